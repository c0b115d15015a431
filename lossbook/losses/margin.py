r"""Margin losses: raw scores :math:`s`, labels :math:`y` of -1 or +1, margin :math:`m = y s`.

Every function works elementwise and returns an array of the shape and dtype of `scores`; a
gradient is that of the sum of the values with respect to the scores. `labels` have exactly their
shape and are cast to their dtype. A margin is positive where the sign of the score is right.

All raise ``TypeError`` for scores that are not a floating-point array, and ``ValueError`` for
labels of another shape or other than -1 and +1.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from lossbook import numerics
from lossbook.declaration import takes
from lossbook.numerics import clip
from lossbook.spaces import SCORE, SIGN

# A loss has checked its arguments before it calls these.
sigmoid, softplus = numerics.sigmoid.unchecked, numerics.softplus.unchecked
sigmoid_parts = numerics.sigmoid_parts.unchecked

__all__ = [
    "perceptron",
    "perceptron_grad",
    "hinge",
    "hinge_grad",
    "squared_hinge",
    "squared_hinge_grad",
    "exponential",
    "exponential_grad",
    "logistic",
    "logistic_grad",
]


@takes(SCORE, SIGN)
def perceptron(scores, labels, /):
    r"""Perceptron loss, :math:`\max(0, -m)`.

    Source: F. Rosenblatt, "The perceptron", *Psychological Review* 65 (1958), for the rule whose
    steps follow this loss's subgradient.

    Examples
    --------
    >>> import numpy as np
    >>> perceptron(np.array([2.0, -0.5]), np.array([1, 1]))
    array([0. , 0.5])
    """
    return clip(-labels * scores, 0.0)


@takes(SCORE, SIGN)
def perceptron_grad(scores, labels, /):
    r"""Gradient of :func:`perceptron`: :math:`-y` where :math:`m \le 0`, else 0.

    At the kink, :math:`m = 0`, every number between 0 and :math:`-y` is a subgradient; :math:`-y`
    is chosen, so that a classifier that starts at zero weights moves at all.

    Examples
    --------
    >>> import numpy as np
    >>> perceptron_grad(np.array([2.0, -0.5, 0.0]), np.array([1, 1, 1]))
    array([ 0., -1., -1.])
    """
    xp = array_namespace(scores)
    return labels * clip(xp.sign(labels * scores) - 1, -1.0, 0.0)


def perceptron_value_and_grad(scores, labels, /):
    xp = array_namespace(scores)
    margin = labels * scores
    return clip(-margin, 0.0), labels * clip(xp.sign(margin) - 1, -1.0, 0.0)


@takes(SCORE, SIGN)
def hinge(scores, labels, /):
    r"""Hinge loss, :math:`\max(0, 1 - m)`.

    Source: C. Cortes and V. Vapnik, "Support-vector networks", *Machine Learning* 20 (1995).

    Examples
    --------
    >>> import numpy as np
    >>> hinge(np.array([2.0, 0.25, -0.5]), np.array([1, 1, 1]))
    array([0.  , 0.75, 1.5 ])
    """
    return clip(1 - labels * scores, 0.0)


@takes(SCORE, SIGN)
def hinge_grad(scores, labels, /):
    r"""Gradient of :func:`hinge`: :math:`-y` where :math:`m < 1`, else 0.

    At the kink, :math:`m = 1`, every number between 0 and :math:`-y` is a subgradient; 0 is
    chosen: a margin that is just wide enough is left alone.

    Examples
    --------
    >>> import numpy as np
    >>> hinge_grad(np.array([2.0, 1.0, -0.5]), np.array([1, 1, 1]))
    array([ 0.,  0., -1.])
    """
    xp = array_namespace(scores)
    return labels * clip(xp.sign(labels * scores - 1), high=0.0)


def hinge_value_and_grad(scores, labels, /):
    xp = array_namespace(scores)
    cost = clip(1 - labels * scores, 0.0)
    return cost, -labels * xp.sign(cost)


@takes(SCORE, SIGN)
def squared_hinge(scores, labels, /):
    r"""Squared hinge loss, :math:`\max(0, 1 - m)^2`: as the hinge, but without its kink.

    Source: K.-W. Chang, C.-J. Hsieh and C.-J. Lin, "Coordinate descent method for large-scale
    L2-loss linear support vector machines", *Journal of Machine Learning Research* 9 (2008).

    Examples
    --------
    >>> import numpy as np
    >>> squared_hinge(np.array([2.0, 0.5, -1.0]), np.array([1, 1, 1]))
    array([0.  , 0.25, 4.  ])
    """
    return clip(1 - labels * scores, 0.0) ** 2


@takes(SCORE, SIGN)
def squared_hinge_grad(scores, labels, /):
    r"""Gradient of :func:`squared_hinge`, :math:`-2 y \max(0, 1 - m)`.

    Examples
    --------
    >>> import numpy as np
    >>> squared_hinge_grad(np.array([2.0, 0.5, -1.0]), np.array([1, 1, 1]))
    array([-0., -1., -4.])
    """
    return -2 * labels * clip(1 - labels * scores, 0.0)


def squared_hinge_value_and_grad(scores, labels, /):
    gap = clip(1 - labels * scores, 0.0)
    return gap**2, -2 * labels * gap


@takes(SCORE, SIGN)
def exponential(scores, labels, /):
    r"""Exponential loss, :math:`e^{-m}`, the loss that AdaBoost lowers step by step.

    Source: J. Friedman, T. Hastie and R. Tibshirani, "Additive logistic regression", *Annals of
    Statistics* 28 (2000).

    Examples
    --------
    >>> import numpy as np
    >>> exponential(np.array([0.0, 1.0]), np.array([1, -1])).round(4)
    array([1.    , 2.7183])
    """
    xp = array_namespace(scores)
    return xp.exp(-labels * scores)


@takes(SCORE, SIGN)
def exponential_grad(scores, labels, /):
    r"""Gradient of :func:`exponential`, :math:`-y e^{-m}`.

    Examples
    --------
    >>> import numpy as np
    >>> exponential_grad(np.array([0.0, 1.0]), np.array([1, -1])).round(4)
    array([-1.    ,  2.7183])
    """
    xp = array_namespace(scores)
    return -labels * xp.exp(-labels * scores)


def exponential_value_and_grad(scores, labels, /):
    cost = array_namespace(scores).exp(-labels * scores)
    return cost, -labels * cost


@takes(SCORE, SIGN)
def logistic(scores, labels, /):
    r"""Logistic loss, :math:`\log(1 + e^{-m})`, in nats.

    It is the binary cross-entropy of logits, with labels -1 and +1 in place of 0 and 1.

    Source: J. Friedman, T. Hastie and R. Tibshirani, "Additive logistic regression", *Annals of
    Statistics* 28 (2000).

    Examples
    --------
    >>> import numpy as np
    >>> logistic(np.array([0.0, -1000.0]), np.array([1, 1])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    return softplus(-labels * scores)


@takes(SCORE, SIGN)
def logistic_grad(scores, labels, /):
    r"""Gradient of :func:`logistic`, :math:`-y\, \sigma(-m)`.

    Examples
    --------
    >>> import numpy as np
    >>> logistic_grad(np.array([0.0, -1000.0]), np.array([1, 1]))
    array([-0.5, -1. ])
    """
    return -labels * sigmoid(-labels * scores)


def logistic_value_and_grad(scores, labels, /):
    _, cost, _, miss = sigmoid_parts(labels * scores)
    return cost, -labels * miss
