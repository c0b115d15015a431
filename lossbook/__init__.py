"""Losses: derived, checked, trained. The package behind the book.

Every loss is a pair of plain functions, an unreduced value and its gradient::

    >>> import numpy as np
    >>> from lossbook import LOSSES, huber, huber_grad
    >>> prediction, target = np.array([0.5, 3.0]), np.array([0.0, 0.0])
    >>> huber(prediction, target)
    array([0.125, 2.5  ])
    >>> huber_grad(prediction, target)
    array([0.5, 1. ])

and a row of the table ``LOSSES``, which reduces, weighs and describes it::

    >>> float(LOSSES["huber"].value(prediction, target, reduction="sum"))
    2.625
"""

from lossbook import losses
from lossbook.loss import LOSSES
from lossbook.losses import *
from lossbook.reduction import ignore, weigh_classes, weigh_positives

__all__ = ["LOSSES", "ignore", "weigh_classes", "weigh_positives", *losses.__all__]
