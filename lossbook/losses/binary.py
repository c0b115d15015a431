r"""Binary losses: labels :math:`y` that are 0, 1 or a probability between.

Every function works elementwise and returns an array of the shape and dtype of its first argument;
a gradient is that of the sum of the values with respect to that argument, which is named for its
space: `probabilities` :math:`p` in [0, 1], or `logits` :math:`z`, any real number, with
:math:`p = \sigma(z) = 1 / (1 + e^{-z})`. `labels` have exactly its shape and are cast to its dtype.

All raise ``TypeError`` for a first argument that is not a floating-point array, and ``ValueError``
for labels of another shape, for values outside their domain and for a hyperparameter out of range.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from lossbook import numerics
from lossbook.declaration import takes
from lossbook.spaces import BIT, FRACTION, LOGIT, NOT_NEGATIVE, POSITIVE, PROBABILITY, UNIT_OR_NONE

# A loss has checked its arguments before it calls these.
sigmoid, softplus = numerics.sigmoid.unchecked, numerics.softplus.unchecked
sigmoid_parts = numerics.sigmoid_parts.unchecked

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_grad",
    "sigmoid_binary_cross_entropy",
    "sigmoid_binary_cross_entropy_grad",
    "sigmoid_focal",
    "sigmoid_focal_grad",
]


@takes(PROBABILITY, FRACTION)
def binary_cross_entropy(probabilities, labels, /):
    r"""Binary cross-entropy of probabilities, :math:`-y \log p - (1 - y) \log(1 - p)`, in nats.

    Nothing is clipped: a certain and wrong prediction costs infinity. A term whose weight,
    :math:`y` or :math:`1 - y`, is 0 is 0. From logits use :func:`sigmoid_binary_cross_entropy`.

    Source: I. J. Good, "Rational decisions", *Journal of the Royal Statistical Society B* 14
    (1952): the logarithmic score.

    Examples
    --------
    >>> import numpy as np
    >>> binary_cross_entropy(np.array([0.5, 1.0, 0.0]), np.array([1, 1, 1])).round(4)
    array([0.6931, 0.    ,    inf])
    """
    xp = array_namespace(probabilities)
    p, y = probabilities, labels
    # A branch that is not taken is fed 1/2, or autograd would multiply its infinite slope by 0.
    half = 0.5 + 0 * p
    of_one = xp.where(y == 0, 0 * p, -y * xp.log(xp.where(y == 0, half, p)))
    of_zero = xp.where(y == 1, 0 * p, (y - 1) * xp.log1p(-xp.where(y == 1, half, p)))
    return of_one + of_zero


@takes(PROBABILITY, FRACTION)
def binary_cross_entropy_grad(probabilities, labels, /):
    r"""Gradient of :func:`binary_cross_entropy` with respect to the probability.

    It is :math:`(p - y) / (p (1 - p))`. Where :math:`p = y = 0` it is the slope on the side where
    probabilities lie, 1; where :math:`p = y = 1` it is -1.

    Examples
    --------
    >>> import numpy as np
    >>> binary_cross_entropy_grad(np.array([0.5, 0.25, 0.0]), np.array([1, 1, 0]))
    array([-2., -4.,  1.])
    """
    xp = array_namespace(probabilities)
    p, y = probabilities, labels
    at_certainty = (p == y) & ((y == 0) | (y == 1))
    return xp.where(at_certainty, 1 - 2 * y, (p - y) / p / (1 - p))


@takes(LOGIT, FRACTION, pos_weight=POSITIVE)
def sigmoid_binary_cross_entropy(logits, labels, /, *, pos_weight=1.0):
    r"""Binary cross-entropy of logits, in nats.

    .. math:: w y \log(1 + e^{-z}) + (1 - y) \log(1 + e^{z})

    Parameters
    ----------
    pos_weight : float > 0, the weight :math:`w` of the positive term.

    Source: D. R. Cox, "The regression analysis of binary sequences", *Journal of the Royal
    Statistical Society B* 20 (1958).

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_binary_cross_entropy(np.array([0.0, 1000.0]), np.array([1, 0])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    xp = array_namespace(logits)
    z, y = logits, labels
    of_one = xp.where(y == 0, y, pos_weight * y * softplus(-z))
    of_zero = xp.where(y == 1, 1 - y, (1 - y) * softplus(z))
    return of_one + of_zero


@takes(LOGIT, FRACTION, pos_weight=POSITIVE)
def sigmoid_binary_cross_entropy_grad(logits, labels, /, *, pos_weight=1.0):
    r"""Gradient of :func:`sigmoid_binary_cross_entropy` with respect to the logit.

    It is :math:`(1 - y) \sigma(z) - w y \sigma(-z)`. With :math:`w = 1` this is
    :math:`\sigma(z) - y`. Written with :math:`\sigma(-z)` instead of :math:`1 - \sigma(z)` it
    keeps a gradient that is tiny but not 0.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_binary_cross_entropy_grad(np.array([0.0, 1000.0]), np.array([1, 0]))
    array([-0.5,  1. ])
    """
    z, y = logits, labels
    return (1 - y) * sigmoid(z) - pos_weight * y * sigmoid(-z)


def sigmoid_binary_cross_entropy_value_and_grad(logits, labels, /, *, pos_weight=1.0):
    xp = array_namespace(logits)
    one, zero = pos_weight * labels, 1 - labels
    softplus_z, softplus_minus_z, sigmoid_z, sigmoid_minus_z = sigmoid_parts(logits)
    of_one = xp.where(one == 0, one, one * softplus_minus_z)
    of_zero = xp.where(zero == 0, zero, zero * softplus_z)
    return of_one + of_zero, zero * sigmoid_z - one * sigmoid_minus_z


@takes(LOGIT, BIT, gamma=NOT_NEGATIVE, alpha=UNIT_OR_NONE)
def sigmoid_focal(logits, labels, /, *, gamma=2.0, alpha=None):
    r"""Focal loss of logits, :math:`-\alpha_y (1 - p_y)^\gamma \log p_y`, in nats.

    Here :math:`p_y` is the probability of the true label.

    Parameters
    ----------
    labels : 0 or 1, nothing between
    gamma : float >= 0; at 0 the loss is the binary cross-entropy
    alpha : float in [0, 1] or None; weight of label 1, label 0 weighs 1 - alpha. With None both
        weigh 1.

    Source: T.-Y. Lin et al., "Focal loss for dense object detection", *ICCV* (2017).

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_focal(np.array([0.0, 0.0]), np.array([1, 0]), alpha=0.25).round(4)
    array([0.0433, 0.13  ])
    """
    xp = array_namespace(logits)
    margin = (2 * labels - 1) * logits
    miss, cost = sigmoid(-margin), softplus(-margin)
    # Where both are 0 the factor does not matter, but the slope of a root at 0 would be infinite.
    factor = xp.where(miss == 0, xp.ones_like(miss), miss) ** gamma
    return weigh_labels(factor * cost, labels, alpha)


@takes(LOGIT, BIT, gamma=NOT_NEGATIVE, alpha=UNIT_OR_NONE)
def sigmoid_focal_grad(logits, labels, /, *, gamma=2.0, alpha=None):
    r"""Gradient of :func:`sigmoid_focal` with respect to the logit.

    With :math:`s = 2y - 1`, margin :math:`m = s z` and :math:`p_y = \sigma(m)`, it is
    :math:`-s\, \alpha_y (1 - p_y)^\gamma \left(1 - p_y - \gamma p_y \log p_y\right)`.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_focal_grad(np.array([0.0]), np.array([1]), gamma=0.0)
    array([-0.5])
    """
    xp = array_namespace(logits)
    sign = 2 * labels - 1
    margin = sign * logits
    miss, hit, cost = sigmoid(-margin), sigmoid(margin), softplus(-margin)
    hit_times_cost = xp.where(hit == 0, hit, hit * cost)
    return weigh_labels(-sign * miss**gamma * (miss + gamma * hit_times_cost), labels, alpha)


def sigmoid_focal_value_and_grad(logits, labels, /, *, gamma=2.0, alpha=None):
    xp = array_namespace(logits)
    sign = 2 * labels - 1
    _, cost, hit, miss = sigmoid_parts(sign * logits)
    factor, hit_times_cost = miss**gamma, xp.where(hit == 0, hit, hit * cost)
    slope = -sign * factor * (miss + gamma * hit_times_cost)
    return weigh_labels(factor * cost, labels, alpha), weigh_labels(slope, labels, alpha)


def weigh_labels(costs, labels, alpha):
    """Costs times `alpha` where the label is 1 and 1 - `alpha` where it is 0; unchanged for None.

    A label of weight 0 costs nothing, even where the cost is infinite.
    """
    if alpha is None:
        return costs
    xp = array_namespace(costs)
    weights = alpha * labels + (1 - alpha) * (1 - labels)
    return xp.where((weights == 0) & xp.isinf(costs), weights, weights * costs)
