r"""Multiclass losses: the last axis is the class axis, and is dropped.

`logits` and `probabilities` have shape (..., classes), and values have shape (...). A gradient is
that of the sum of the values with respect to the first argument, and has its shape.
`labels` are class ids of shape (...) and any integer dtype, or, where a function says so,
probabilities of shape (..., classes).
With :math:`p = \operatorname{softmax}(z)`, :math:`p_k = e^{z_k} / \sum_j e^{z_j}`.

An infinite logit gives the limit, as in :mod:`lossbook.numerics`: a logit of :math:`-\infty` masks
its class, whose loss is infinite if it is the true one. A row without a limit, as one of nothing
but :math:`-\infty`, has the loss NaN.

All raise ``TypeError`` for a first argument that is not a floating-point array or class ids that
are not integers, and ``ValueError`` for labels of another shape, for ids out of range, for values
outside their domain and for a hyperparameter out of range.
"""

from __future__ import annotations

from array_api_compat import array_namespace, device

from lossbook import numerics
from lossbook.declaration import takes
from lossbook.numerics import clip, picked
from lossbook.spaces import (
    CLASS_ID,
    CLASS_ID_OR_ROW,
    CLASS_LOGITS,
    CLASS_PROBABILITIES,
    LABEL_ROW,
    NOT_NEGATIVE,
    POSITIVE,
    RIVAL_LOGITS,
    UNIT,
    UNIT_ABOVE_0,
    rows_of,
)

# A loss has checked its arguments before it calls these.
label_rows, log_softmax = numerics.label_rows.unchecked, numerics.log_softmax.unchecked
softmax, softmax_complement = numerics.softmax.unchecked, numerics.softmax_complement.unchecked
softmax_parts = numerics.softmax_parts.unchecked

__all__ = [
    "categorical_cross_entropy",
    "categorical_cross_entropy_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "softmax_focal",
    "softmax_focal_grad",
    "generalized_cross_entropy",
    "generalized_cross_entropy_grad",
    "brier",
    "brier_grad",
    "multiclass_hinge",
    "multiclass_hinge_grad",
]


@takes(CLASS_PROBABILITIES, LABEL_ROW)
def categorical_cross_entropy(probabilities, labels, /):
    r"""Cross-entropy of probabilities, :math:`-\sum_k t_k \log p_k`, in nats.

    `labels` :math:`t` are probabilities that sum to 1. Nothing is clipped, and a class with
    :math:`t_k = 0` adds 0. The row sums of `probabilities` are not looked at: the gradient treats
    every :math:`p_k` as free. From logits use :func:`softmax_cross_entropy`.

    Source: I. J. Good, "Rational decisions", *Journal of the Royal Statistical Society B* 14
    (1952): the logarithmic score.

    Examples
    --------
    >>> import numpy as np
    >>> categorical_cross_entropy(np.array([[0.5, 0.25, 0.25]]), np.array([[1, 0, 0]])).round(4)
    array([0.6931])
    """
    xp = array_namespace(probabilities)
    p, t = probabilities, labels
    # A branch that is not taken is fed 1, or autograd would multiply its infinite slope by 0.
    return xp.sum(xp.where(t == 0, 0 * p, -t * xp.log(xp.where(t == 0, 1 + 0 * p, p))), axis=-1)


@takes(CLASS_PROBABILITIES, LABEL_ROW)
def categorical_cross_entropy_grad(probabilities, labels, /):
    r"""Gradient of :func:`categorical_cross_entropy`, :math:`-t_k / p_k`; 0 where :math:`t_k = 0`.

    Examples
    --------
    >>> import numpy as np
    >>> categorical_cross_entropy_grad(np.array([[0.5, 0.25, 0.25]]), np.array([[1, 0, 0]]))
    array([[-2.,  0.,  0.]])
    """
    xp = array_namespace(probabilities)
    p, t = probabilities, labels
    return xp.where(t == 0, 0 * p, -t / p)


@takes(CLASS_LOGITS, CLASS_ID_OR_ROW, label_smoothing=UNIT)
def softmax_cross_entropy(logits, labels, /, *, label_smoothing=0.0):
    r"""Cross-entropy of logits, :math:`-\sum_k t_k \log \operatorname{softmax}(z)_k`, in nats.

    Parameters
    ----------
    labels : class ids of shape (...), or probabilities of shape (..., classes)
    label_smoothing : float in [0, 1]; the share :math:`\varepsilon` of each label that is spread
        evenly over all :math:`K` classes: :math:`(1 - \varepsilon) t_k + \varepsilon / K`.

    Source: J. S. Bridle, "Probabilistic interpretation of feedforward classification network
    outputs" (1990); label smoothing: C. Szegedy et al., "Rethinking the Inception architecture for
    computer vision", *CVPR* (2016), section 7.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_cross_entropy(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    xp = array_namespace(logits)
    t = label_rows(logits, labels, label_smoothing=label_smoothing)
    return xp.sum(xp.where(t == 0, t, -t * log_softmax(logits)), axis=-1)


@takes(CLASS_LOGITS, CLASS_ID_OR_ROW, label_smoothing=UNIT)
def softmax_cross_entropy_grad(logits, labels, /, *, label_smoothing=0.0):
    r"""Gradient of :func:`softmax_cross_entropy` with respect to the logits, :math:`p_k - t_k`.

    It is computed as :math:`p_k (1 - t_k) - t_k (1 - p_k)`, with :math:`1 - p_k` summed from the
    other classes, so that a gradient of :math:`-4 \times 10^{-18}` does not become 0.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_cross_entropy_grad(np.array([[0.0, 0.0]]), np.array([0]))
    array([[-0.5,  0.5]])
    """
    t = label_rows(logits, labels, label_smoothing=label_smoothing)
    return softmax(logits) * (1 - t) - t * softmax_complement(logits)


def softmax_cross_entropy_value_and_grad(logits, labels, /, *, label_smoothing=0.0):
    if labels.ndim < logits.ndim and not label_smoothing:
        return cross_entropy_of_ids(logits, labels)
    xp = array_namespace(logits)
    log_p, p, complement = softmax_parts(logits)
    t = label_rows(logits, labels, label_smoothing=label_smoothing)
    value = xp.sum(xp.where(t == 0, t, -t * log_p), axis=-1)
    return value, p * (1 - t) - t * complement


def cross_entropy_of_ids(logits, ids):
    r"""The softmax cross-entropy of class ids, and its gradient, from a single exponential.

    With :math:`e_k = e^{z_k - \max z}`, and :math:`r` the sum of :math:`e_k` over the others than
    :math:`y`, the gradient is :math:`e_k / (r + e_y)`, and for :math:`y` :math:`-r / (r + e_y)`.
    """
    xp = array_namespace(logits)
    own, largest = ids[..., None], xp.max(logits, axis=-1, keepdims=True)
    is_own = xp.arange(logits.shape[-1], device=device(logits)) == own
    own_logit = picked(logits, own)
    # Infinity minus infinity is NaN, infinity minus the largest number, clipped, is the 0 it means.
    limit = xp.finfo(logits.dtype).max
    powers = xp.exp(clip(logits - clip(largest, high=limit), high=0.0))
    rest = xp.sum(xp.where(is_own, xp.zeros_like(own_logit), powers), axis=-1, keepdims=True)
    leads_alone = (own_logit == largest) & (rest == 0)
    behind = xp.where(leads_alone, xp.zeros_like(rest), own_logit - largest)
    # One less than the sum of all powers: beside exp(0) = 1 a tiny rest would be lost.
    excess = rest + xp.expm1(behind)
    value = xp.log1p(excess) - behind
    return value[..., 0], xp.where(is_own, -rest, powers) / (1 + excess)


@takes(RIVAL_LOGITS, CLASS_ID, gamma=NOT_NEGATIVE)
def softmax_focal(logits, labels, /, *, gamma=2.0):
    r"""Focal loss of logits, :math:`-(1 - p_y)^\gamma \log p_y`, :math:`y` the true class id.

    Parameters
    ----------
    labels : class ids of shape (...); there must be at least 2 classes
    gamma : float >= 0; at 0 the loss is the softmax cross-entropy

    Source: T.-Y. Lin et al., "Focal loss for dense object detection", *ICCV* (2017), here with the
    softmax in the sigmoid's place.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_focal(np.array([[0.0, 0.0]]), np.array([0])).round(4)
    array([0.1733])
    """
    xp = array_namespace(logits)
    own = labels[..., None]
    miss, log_p = picked(softmax_complement(logits), own), picked(log_softmax(logits), own)
    # Where both are 0 the factor does not matter, but the slope of a root at 0 would be infinite.
    factor = xp.where(miss == 0, xp.ones_like(miss), miss) ** gamma
    return (factor * -log_p)[..., 0]


@takes(RIVAL_LOGITS, CLASS_ID, gamma=NOT_NEGATIVE)
def softmax_focal_grad(logits, labels, /, *, gamma=2.0):
    r"""Gradient of :func:`softmax_focal` with respect to the logits.

    With :math:`q = 1 - p_y` and :math:`c = q^\gamma (q - \gamma p_y \log p_y)` it is :math:`-c` for
    the true class, and for each other class :math:`c` times its share among the others,
    :math:`p_k / q`. A share is a softmax over the others, so nothing is divided by a vanishing
    :math:`q`. Where :math:`c = 0`, as where every other logit is :math:`-\infty`, it is 0.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_focal_grad(np.array([[0.0, 0.0]]), np.array([0]), gamma=0.0)
    array([[-0.5,  0.5]])
    """
    xp = array_namespace(logits)
    t = rows_of(labels, logits)
    miss = xp.sum(t * softmax_complement(logits), axis=-1, keepdims=True)
    log_p = xp.sum(xp.where(t == 0, t, log_softmax(logits)), axis=-1, keepdims=True)
    p_log_p = xp.where(log_p == -xp.inf, 0 * miss, xp.exp(log_p) * log_p)
    share = softmax(xp.where(t == 0, logits, -xp.inf * t))
    slope = miss**gamma * (miss - gamma * p_log_p)
    return xp.where(slope == 0, 0 * t, slope * (share - t))


@takes(CLASS_LOGITS, CLASS_ID, q=UNIT_ABOVE_0)
def generalized_cross_entropy(logits, labels, /, *, q=0.7):
    r"""Generalised cross-entropy of logits, :math:`(1 - p_y^q) / q`, :math:`y` the true class id.

    Parameters
    ----------
    labels : class ids of shape (...)
    q : float in (0, 1]; at 1 the loss is :math:`1 - p_y`, towards 0 it tends to the softmax
        cross-entropy

    Source: Z. Zhang and M. R. Sabuncu, "Generalized cross entropy loss for training deep neural
    networks with noisy labels", *NeurIPS* (2018).

    Examples
    --------
    >>> import numpy as np
    >>> generalized_cross_entropy(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1])).round(4)
    array([0.5492, 1.4286])
    """
    xp = array_namespace(logits)
    log_p = picked(log_softmax(logits), labels[..., None])[..., 0]
    return -xp.expm1(q * log_p) / q


@takes(CLASS_LOGITS, CLASS_ID, q=UNIT_ABOVE_0)
def generalized_cross_entropy_grad(logits, labels, /, *, q=0.7):
    r"""Gradient of :func:`generalized_cross_entropy` with respect to the logits.

    It is :math:`p_y^q (p_k - t_k)`, where :math:`t` is the label as a row of 0 and 1. It is
    the gradient of the softmax cross-entropy times :math:`p_y^q`; as there, :math:`1 - p_y` is
    summed from the other classes.

    Examples
    --------
    >>> import numpy as np
    >>> generalized_cross_entropy_grad(np.array([[0.0, 0.0]]), np.array([0]), q=1.0)
    array([[-0.25,  0.25]])
    """
    xp, t = array_namespace(logits), rows_of(labels, logits)
    factor = xp.exp(q * picked(log_softmax(logits), labels[..., None]))
    return factor * (softmax(logits) * (1 - t) - t * softmax_complement(logits))


def generalized_cross_entropy_value_and_grad(logits, labels, /, *, q=0.7):
    xp, t = array_namespace(logits), rows_of(labels, logits)
    log_p, p, complement = softmax_parts(logits)
    power = q * picked(log_p, labels[..., None])
    return -xp.expm1(power)[..., 0] / q, xp.exp(power) * (p * (1 - t) - t * complement)


@takes(CLASS_PROBABILITIES, LABEL_ROW)
def brier(probabilities, labels, /):
    r"""Brier score, :math:`\sum_k (p_k - t_k)^2`, without a factor of one half.

    `labels` :math:`t` are probabilities that sum to 1. Values lie between 0 and 2.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", *Monthly
    Weather Review* 78 (1950).

    Examples
    --------
    >>> import numpy as np
    >>> brier(np.array([[0.5, 0.25, 0.25]]), np.array([[1, 0, 0]]))
    array([0.375])
    """
    return array_namespace(probabilities).sum((probabilities - labels) ** 2, axis=-1)


@takes(CLASS_PROBABILITIES, LABEL_ROW)
def brier_grad(probabilities, labels, /):
    r"""Gradient of :func:`brier` with respect to the probabilities, :math:`2 (p_k - t_k)`.

    Examples
    --------
    >>> import numpy as np
    >>> brier_grad(np.array([[0.5, 0.25, 0.25]]), np.array([[1, 0, 0]]))
    array([[-1. ,  0.5,  0.5]])
    """
    return 2 * (probabilities - labels)


def brier_value_and_grad(probabilities, labels, /):
    gap = probabilities - labels
    return array_namespace(gap).sum(gap**2, axis=-1), 2 * gap


@takes(RIVAL_LOGITS, CLASS_ID, margin=POSITIVE)
def multiclass_hinge(logits, labels, /, *, margin=1.0):
    r"""Multiclass hinge of Crammer and Singer, :math:`\max(0, m + \max_{k \ne y} z_k - z_y)`.

    Only the strongest rival counts. (torch's ``multi_margin_loss`` sums over all rivals and
    divides by the number of classes: another loss.)

    Parameters
    ----------
    labels : class ids of shape (...); there must be at least 2 classes
    margin : float > 0, the lead :math:`m` that the true class must have over every other

    Source: K. Crammer and Y. Singer, "On the algorithmic implementation of multiclass kernel-based
    vector machines", *Journal of Machine Learning Research* 2 (2001).

    Examples
    --------
    >>> import numpy as np
    >>> multiclass_hinge(np.array([[2.0, 0.5, 1.5]]), np.array([0]))
    array([0.5])
    """
    own, rival, _ = own_and_rival(logits, labels)
    return clip(margin + (rival - own), 0.0)


@takes(RIVAL_LOGITS, CLASS_ID, margin=POSITIVE)
def multiclass_hinge_grad(logits, labels, /, *, margin=1.0):
    r"""Gradient of :func:`multiclass_hinge` with respect to the logits.

    Where the loss is above 0 it is 1 for the rival and -1 for the true class, else 0. Of rivals
    that tie, the first is taken; where the loss is exactly at its kink, 0.

    Examples
    --------
    >>> import numpy as np
    >>> multiclass_hinge_grad(np.array([[2.0, 0.5, 1.5]]), np.array([0]))
    array([[-1.,  0.,  1.]])
    """
    xp = array_namespace(logits)
    own, rival, rival_id = own_and_rival(logits, labels)
    slope = clip(xp.sign(margin + (rival - own)), 0.0)
    return slope[..., None] * (rows_of(rival_id, logits) - rows_of(labels, logits))


def multiclass_hinge_value_and_grad(logits, labels, /, *, margin=1.0):
    xp = array_namespace(logits)
    own, rival, rival_id = own_and_rival(logits, labels)
    gap = margin + (rival - own)
    slope = clip(xp.sign(gap), 0.0)[..., None]
    gradient = slope * (rows_of(rival_id, logits) - rows_of(labels, logits))
    return clip(gap, 0.0), gradient


def own_and_rival(logits, labels):
    """The logit of the true class, the largest of the others, and the class that has it."""
    xp = array_namespace(logits)
    t = rows_of(labels, logits)
    others = xp.where(t == 1, -xp.inf * t, logits)
    own = xp.sum(xp.where(t == 1, logits, 0 * t), axis=-1)
    return own, xp.max(others, axis=-1), xp.argmax(others, axis=-1)
