"""The losses: two plain functions each, one file a family, mathematics only.

``name`` returns unreduced values, ``name_grad`` the derivative of their sum with respect to the
prediction. Where the two share work, ``name_value_and_grad`` computes both; it checks nothing, and
is called by the front door, :class:`lossbook.loss.Loss`. The public names are listed in
``__all__``.
"""

from lossbook.losses import binary, margin, multiclass, regression
from lossbook.losses.binary import *
from lossbook.losses.margin import *
from lossbook.losses.multiclass import *
from lossbook.losses.regression import *

#: In the order of the atlas.
FAMILIES = (regression, binary, multiclass, margin)

__all__ = [name for family in FAMILIES for name in family.__all__]
