r"""Overlap losses: one minus a share of what a prediction and its target have in common.

`probabilities` and `labels` of a mask have shape (items, ...), where every axis after the first is
one of pixels, and values have shape (items,). With the hits :math:`I = \sum p t`, what is predicted
too much, :math:`O = \sum p (1 - t)`, and what is missed, :math:`M = \sum (1 - p) t`, each sum over
the pixels of an item, the three losses of masks are computed as :math:`(O + M) / (\dots)`: all
terms have one sign, so that a loss close to 0 keeps its digits. Where nothing is predicted and
nothing is there, and `smooth` is 0, the loss is 0 and so is the gradient.

Boxes have shape (..., 4) and hold x1, y1, x2, y2 with x1 <= x2 and y1 <= y2; values have shape
(...).

A gradient is that of the sum of the values with respect to the first argument, and has its shape.

All raise ``TypeError`` for a first argument that is not a floating-point array, and ``ValueError``
for a second one of another shape, for values outside their domain and for a hyperparameter out of
range.
"""

from __future__ import annotations

import math

from array_api_compat import array_namespace

from lossbook.declaration import takes
from lossbook.numerics import clip
from lossbook.spaces import BOX, MASK, MASK_LABELS, NOT_NEGATIVE

__all__ = [
    "dice",
    "dice_grad",
    "jaccard",
    "jaccard_grad",
    "tversky",
    "tversky_grad",
    "giou",
    "giou_grad",
]


@takes(MASK, MASK_LABELS, smooth=NOT_NEGATIVE)
def dice(probabilities, labels, /, *, smooth=0.0):
    r"""Dice loss, :math:`1 - \frac{2 \sum p t + s}{\sum p + \sum t + s}`.

    Parameters
    ----------
    probabilities : array of shape (items, ...)
    labels : array of the same shape, in [0, 1]
    smooth : float >= 0; :math:`s` pulls the loss of small masks towards 0

    Source: F. Milletari, N. Navab and S.-A. Ahmadi, "V-Net: fully convolutional neural networks for
    volumetric medical image segmentation", *3DV* (2016), with squares in the denominator there.

    Examples
    --------
    >>> import numpy as np
    >>> dice(np.array([[1.0, 0.5, 0.0]]), np.array([[1, 1, 0]])).round(4)
    array([0.1429])
    """
    return tversky.unchecked(probabilities, labels, smooth=smooth / 2)


@takes(MASK, MASK_LABELS, smooth=NOT_NEGATIVE)
def dice_grad(probabilities, labels, /, *, smooth=0.0):
    r"""Gradient of :func:`dice`, :math:`(q - 2 t) / D`.

    :math:`D` is the denominator and :math:`q` the quotient, one minus the loss.

    Examples
    --------
    >>> import numpy as np
    >>> dice_grad(np.array([[1.0, 0.5, 0.0]]), np.array([[1, 1, 0]])).round(4)
    array([[-0.3265, -0.3265,  0.2449]])
    """
    return tversky_grad.unchecked(probabilities, labels, smooth=smooth / 2)


def dice_value_and_grad(probabilities, labels, /, *, smooth=0.0):
    return tversky_value_and_grad(probabilities, labels, smooth=smooth / 2)


@takes(MASK, MASK_LABELS, smooth=NOT_NEGATIVE)
def jaccard(probabilities, labels, /, *, smooth=0.0):
    r"""Jaccard loss, or soft IoU loss, :math:`1 - \frac{I + s}{\sum p + \sum t - I + s}`.

    :math:`I = \sum p t`.

    Parameters
    ----------
    probabilities : array of shape (items, ...)
    labels : array of the same shape, in [0, 1]
    smooth : float >= 0; :math:`s` pulls the loss of small masks towards 0

    Source: M. A. Rahman and Y. Wang, "Optimizing intersection-over-union in deep neural networks
    for image segmentation", *ISVC* (2016).

    Examples
    --------
    >>> import numpy as np
    >>> jaccard(np.array([[1.0, 0.5, 0.0]]), np.array([[1, 1, 0]]))
    array([0.25])
    """
    return tversky.unchecked(probabilities, labels, alpha=1.0, beta=1.0, smooth=smooth)


@takes(MASK, MASK_LABELS, smooth=NOT_NEGATIVE)
def jaccard_grad(probabilities, labels, /, *, smooth=0.0):
    r"""Gradient of :func:`jaccard`, :math:`(q - q t - t) / D`.

    :math:`D` is the denominator and :math:`q` the quotient, one minus the loss.

    Examples
    --------
    >>> import numpy as np
    >>> jaccard_grad(np.array([[1.0, 0.5, 0.0]]), np.array([[1, 1, 0]]))
    array([[-0.5  , -0.5  ,  0.375]])
    """
    return tversky_grad.unchecked(probabilities, labels, alpha=1.0, beta=1.0, smooth=smooth)


def jaccard_value_and_grad(probabilities, labels, /, *, smooth=0.0):
    return tversky_value_and_grad(probabilities, labels, alpha=1.0, beta=1.0, smooth=smooth)


@takes(MASK, MASK_LABELS, alpha=NOT_NEGATIVE, beta=NOT_NEGATIVE, smooth=NOT_NEGATIVE)
def tversky(probabilities, labels, /, *, alpha=0.5, beta=0.5, smooth=0.0):
    r"""Tversky loss, :math:`1 - \frac{I + s}{I + \alpha O + \beta M + s}`.

    :math:`I = \sum p t` are the hits, :math:`O = \sum p (1 - t)` is predicted too much, and
    :math:`M = \sum (1 - p) t` is missed. Where the denominator is 0, the loss is 0.

    Parameters
    ----------
    probabilities : array of shape (items, ...)
    labels : array of the same shape, in [0, 1]
    alpha : float >= 0, the weight of what is predicted too much
    beta : float >= 0, the weight of what is missed; both 1/2 is :func:`dice`, both 1 is
        :func:`jaccard`
    smooth : float >= 0; :math:`s` pulls the loss of small masks towards 0

    Source: S. S. M. Salehi, D. Erdogmus and A. Gholipour, "Tversky loss function for image
    segmentation using 3D fully convolutional deep networks", *MLMI* (2017).

    Examples
    --------
    >>> import numpy as np
    >>> tversky(np.array([[1.0, 0.5, 0.0]]), np.array([[1, 1, 0]]), alpha=0.25, beta=1.0)
    array([0.25])
    """
    _, wrong, whole = shares(probabilities, labels, alpha, beta, smooth)
    return wrong / whole


@takes(MASK, MASK_LABELS, alpha=NOT_NEGATIVE, beta=NOT_NEGATIVE, smooth=NOT_NEGATIVE)
def tversky_grad(probabilities, labels, /, *, alpha=0.5, beta=0.5, smooth=0.0):
    r"""Gradient of :func:`tversky`, :math:`\bigl(q (\alpha (1 - t) - \beta t) - L t\bigr) / D`.

    :math:`D` is the denominator, :math:`L` the loss and :math:`q = 1 - L`.

    Examples
    --------
    >>> import numpy as np
    >>> tversky_grad(np.array([[1.0, 0.5, 0.0]]), np.array([[1, 1, 0]]), alpha=0.25, beta=1.0)
    array([[-0.5    , -0.5    ,  0.09375]])
    """
    return tversky_value_and_grad(probabilities, labels, alpha=alpha, beta=beta, smooth=smooth)[1]


def tversky_value_and_grad(probabilities, labels, /, *, alpha=0.5, beta=0.5, smooth=0.0):
    right, wrong, whole = shares(probabilities, labels, alpha, beta, smooth)
    pixels = (..., *(None for _ in labels.shape[1:]))
    loss, quotient = (wrong / whole)[pixels], (right / whole)[pixels]
    slope = quotient * (alpha * (1 - labels) - beta * labels) - loss * labels
    return wrong / whole, slope / whole[pixels]


def shares(probabilities, labels, alpha, beta, smooth):
    """For each item what counts as right, what counts as wrong, and both (1 where that is 0)."""
    xp = array_namespace(probabilities)
    shape = (labels.shape[0], math.prod(labels.shape[1:]))
    p, t = xp.reshape(probabilities, shape), xp.reshape(labels, shape)
    right = xp.sum(p * t, axis=-1) + smooth
    wrong = alpha * xp.sum(p * (1 - t), axis=-1) + beta * xp.sum((1 - p) * t, axis=-1)
    whole = right + wrong
    return right, wrong, xp.where(whole == 0, xp.ones_like(whole), whole)


@takes(BOX, BOX)
def giou(boxes, other, /):
    r"""Generalised IoU loss, :math:`1 - \frac{I}{U} + \frac{C - U}{C}`.

    :math:`I` is the area of what two boxes have in common, :math:`U` that of what they cover and
    :math:`C` that of the smallest box around both. Values lie between 0 and 2; where the boxes do
    not meet, the second quotient grows with the gap. A quotient of 0 and 0 counts as 0: two
    boxes without an area have :math:`I / U = 0`, and cost 2 if the box around them has one, else 1.

    Parameters
    ----------
    boxes : array of shape (..., 4): x1, y1, x2, y2 with x1 <= x2 and y1 <= y2
    other : array of the same shape

    Source: H. Rezatofighi et al., "Generalized intersection over union: a metric and a loss for
    bounding box regression", *CVPR* (2019).

    Examples
    --------
    >>> import numpy as np
    >>> giou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 3.0, 3.0]])).round(4)
    array([1.0794])
    """
    xp = array_namespace(boxes)
    own, common, union, around, _, _ = in_units_of_the_enclosing_box(boxes, other)
    overlap = xp.prod(common, axis=-1) / xp.where(union == 0, xp.ones_like(union), union)
    return 1 - overlap + (around - union)


@takes(BOX, BOX)
def giou_grad(boxes, other, /):
    r"""Gradient of :func:`giou` with respect to `boxes`.

    Moving an edge outwards adds to the box's own area :math:`A`, to :math:`I` where the edge bounds
    what the boxes have in common, and to :math:`C` where it bounds the box around both:

    .. math:: \Bigl(\frac{I}{U^2} - \frac1C\Bigr) A'
        + \Bigl(\frac1C - \frac1U - \frac{I}{U^2}\Bigr) I' + \frac{U}{C^2} C'.

    Where an edge lies on the other box's same edge, half of the slope of each side is taken, which
    is 0 for equal boxes. Boxes that only touch have the slope of boxes apart. Quotients of 0 and 0
    have slope 0.

    Examples
    --------
    >>> import numpy as np
    >>> giou_grad(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 3.0, 3.0]])).round(4)
    array([[-0.0779, -0.0779, -0.2336, -0.2336]])
    """
    return giou_value_and_grad(boxes, other)[1]


def giou_value_and_grad(boxes, other, /):
    xp = array_namespace(boxes)
    own, common, union, around, unit, beyond = in_units_of_the_enclosing_box(boxes, other)
    some = xp.where(union == 0, xp.ones_like(union), union)
    value = 1 - xp.prod(common, axis=-1) / some + (around - union)
    some, union, around = (x[..., None] for x in (some, union, around))
    # I / U^2, in an order in which no product of two small sides underflows.
    overlap = xp.prod(common / some, axis=-1)[..., None]
    # An area grows by its other side, as the edge x1, y1, x2 or y2 moves outwards.
    by_own, by_common = (xp.concat([xp.flip(s, axis=-1)] * 2, axis=-1) for s in (own, common))
    meets = xp.min(common, axis=-1)[..., None] > 0
    slope = (
        (overlap - 1) * by_own
        + xp.where(meets, (1 - 1 / some - overlap) * by_common, 0 * by_common) * (1 - beyond) / 2
        + union * (1 + beyond) / 2
    )
    return value, around * slope * xp.concat([-1 / unit, 1 / unit], axis=-1)


def in_units_of_the_enclosing_box(boxes, other):
    """Sides over those of the box around both: so no area overflows, and C is 1, or 0 if it was.

    Returns
    -------
    the sides of `boxes` and of what the two have in common, in such units; U and C; the units (1
    in place of 0); and whether each edge lies beyond the same one of the other box, as 1, 0 or -1
    """
    xp = array_namespace(boxes)
    low, high, their_low, their_high = (
        half for x in (boxes, other) for half in (x[..., :2], x[..., 2:])
    )
    enclosing = xp.maximum(high, their_high) - xp.minimum(low, their_low)
    unit = xp.where(enclosing == 0, xp.ones_like(enclosing), enclosing)
    own, theirs = (high - low) / unit, (their_high - their_low) / unit
    common = clip(xp.minimum(high, their_high) - xp.maximum(low, their_low), 0.0) / unit
    union = xp.prod(own, axis=-1) + xp.prod(theirs, axis=-1) - xp.prod(common, axis=-1)
    beyond = xp.concat([xp.sign(their_low - low), xp.sign(high - their_high)], axis=-1)
    return own, common, union, xp.prod(enclosing / unit, axis=-1), unit, beyond
