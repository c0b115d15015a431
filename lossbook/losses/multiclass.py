r"""Multiclass losses: the last axis is the class axis, and is dropped.

`logits` and `probabilities` have shape (..., classes); values have shape (...), gradients that of
the first argument: of the sum of the values, with respect to it. `labels` are class ids of shape
(...) and any integer dtype, or, where a function says so, probabilities of shape (..., classes).
With :math:`p = \operatorname{softmax}(z)`, :math:`p_k = e^{z_k} / \sum_j e^{z_j}`.

All raise ``TypeError`` for a first argument that is not a floating-point array or class ids that
are not integers, and ``ValueError`` for labels of another shape, for ids out of range, for values
outside their domain and for a hyperparameter out of range.
"""

from __future__ import annotations

from lossbook.arrays import (
    class_ids,
    has_classes,
    hyperparameter,
    probability_rows,
    real,
    real_pair,
    silent,
    within,
)
from lossbook.numerics import log_softmax, one_hot, softmax, softmax_complement


@silent
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
    xp, p, t = _probabilities(probabilities, labels)
    return xp.sum(xp.where(t == 0, 0 * p, -t * xp.log(p)), axis=-1)


@silent
def categorical_cross_entropy_grad(probabilities, labels, /):
    r"""Gradient of :func:`categorical_cross_entropy`, :math:`-t_k / p_k`; 0 where :math:`t_k = 0`.

    Examples
    --------
    >>> import numpy as np
    >>> categorical_cross_entropy_grad(np.array([[0.5, 0.25, 0.25]]), np.array([[1, 0, 0]]))
    array([[-2.,  0.,  0.]])
    """
    xp, p, t = _probabilities(probabilities, labels)
    return xp.where(t == 0, 0 * p, -t / p)


@silent
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
    xp, z, t = _smoothed(logits, labels, label_smoothing)
    return xp.sum(xp.where(t == 0, t, -t * log_softmax(z)), axis=-1)


@silent
def softmax_cross_entropy_grad(logits, labels, /, *, label_smoothing=0.0):
    r"""Gradient of :func:`softmax_cross_entropy` by logits, :math:`p_k - t_k`.

    It is computed as :math:`p_k (1 - t_k) - t_k (1 - p_k)`, with :math:`1 - p_k` summed from the
    other classes, so that a gradient of :math:`-4 \times 10^{-18}` does not become 0.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_cross_entropy_grad(np.array([[0.0, 0.0]]), np.array([0]))
    array([[-0.5,  0.5]])
    """
    xp, z, t = _smoothed(logits, labels, label_smoothing)
    return softmax(z) * (1 - t) - t * softmax_complement(z)


@silent
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
    xp, z, t = _logits_and_one_hot(logits, labels)
    gamma = hyperparameter("gamma", gamma, 0)
    miss = xp.sum(t * softmax_complement(z), axis=-1)
    return miss**gamma * -xp.sum(xp.where(t == 0, t, log_softmax(z)), axis=-1)


@silent
def softmax_focal_grad(logits, labels, /, *, gamma=2.0):
    r"""Gradient of :func:`softmax_focal` by logits.

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
    xp, z, t = _logits_and_one_hot(logits, labels)
    gamma = hyperparameter("gamma", gamma, 0)
    miss = xp.sum(t * softmax_complement(z), axis=-1, keepdims=True)
    log_p = xp.sum(xp.where(t == 0, t, log_softmax(z)), axis=-1, keepdims=True)
    p_log_p = xp.where(miss == 1, 0 * miss, xp.exp(log_p) * log_p)
    share = softmax(xp.where(t == 0, z, -xp.inf * t))
    slope = miss**gamma * (miss - gamma * p_log_p)
    return xp.where(slope == 0, 0 * t, slope * (share - t))


@silent
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
    xp, p, t = _probabilities(probabilities, labels)
    return xp.sum((p - t) ** 2, axis=-1)


@silent
def brier_grad(probabilities, labels, /):
    r"""Gradient of :func:`brier` by probabilities, :math:`2 (p_k - t_k)`.

    Examples
    --------
    >>> import numpy as np
    >>> brier_grad(np.array([[0.5, 0.25, 0.25]]), np.array([[1, 0, 0]]))
    array([[-1. ,  0.5,  0.5]])
    """
    xp, p, t = _probabilities(probabilities, labels)
    return 2 * (p - t)


@silent
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
    xp, own, rival, _, _, margin = _own_and_rival(logits, labels, margin)
    return xp.clip(margin + (rival - own), 0.0, None)


@silent
def multiclass_hinge_grad(logits, labels, /, *, margin=1.0):
    r"""Gradient of :func:`multiclass_hinge` by logits.

    Where the loss is above 0 it is 1 for the rival and -1 for the true class, else 0. Of rivals
    that tie, the first is taken; where the loss is exactly at its kink, 0.

    Examples
    --------
    >>> import numpy as np
    >>> multiclass_hinge_grad(np.array([[2.0, 0.5, 1.5]]), np.array([0]))
    array([[-1.,  0.,  1.]])
    """
    xp, own, rival, t, others, margin = _own_and_rival(logits, labels, margin)
    is_rival = one_hot(xp.argmax(others, axis=-1), others)
    slope = xp.clip(xp.sign(margin + (rival - own)), 0.0, None)
    return slope[..., None] * (is_rival - t)


def _probabilities(probabilities, labels):
    xp, p, t = real_pair(probabilities, labels, ("probabilities", "labels"))
    has_classes("probabilities", p, 1)
    within("probabilities", p, 0, 1)
    probability_rows("labels", t)
    return xp, p, t


def _smoothed(logits, labels, label_smoothing):
    """Logits, and label rows after smoothing, from class ids or from probabilities."""
    xp, z = real("logits", logits)
    has_classes("logits", z, 1)
    label_smoothing = hyperparameter("label_smoothing", label_smoothing, 0, 1)
    if getattr(labels, "ndim", None) == z.ndim:
        _, _, t = real_pair(z, labels, ("logits", "labels"))
        probability_rows("labels", t)
    else:
        t = one_hot(class_ids("labels", labels, "logits", z), z)
    if label_smoothing:
        t = (1 - label_smoothing) * t + label_smoothing / z.shape[-1]
    return xp, z, t


def _logits_and_one_hot(logits, labels):
    xp, z = real("logits", logits)
    has_classes("logits", z, 2)
    return xp, z, one_hot(class_ids("labels", labels, "logits", z), z)


def _own_and_rival(logits, labels, margin):
    """The true class's logit, the largest of the others, one-hot labels, the others' logits."""
    xp, z, t = _logits_and_one_hot(logits, labels)
    margin = hyperparameter("margin", margin, 0, open_low=True)
    own = xp.sum(xp.where(t == 1, z, 0 * t), axis=-1)
    others = xp.where(t == 1, -xp.inf * t, z)
    return xp, own, xp.max(others, axis=-1), t, others, margin
