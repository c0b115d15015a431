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

import os

from lossbook import losses
from lossbook.loss import LOSSES, register
from lossbook.losses import *
from lossbook.reduction import ignore, weigh_classes, weigh_positives

__all__ = ["LOSSES", "ignore", "register", "weigh_classes", "weigh_positives", *losses.__all__]

# Torch's threads, when they wait, would otherwise keep the cores from those they wait for, and two
# trainings side by side would take many times as long as one. Torch reads this when it is loaded,
# and nothing above loads it. Whoever asked for something else is left with that.
if os.environ.setdefault("OMP_WAIT_POLICY", "passive").lower() == "passive":
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
