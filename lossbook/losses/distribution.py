r"""Distances between distributions: the last axis is the distribution, and is dropped.

:func:`kl_divergence` compares rows of probabilities over the same classes, of which the predicted
ones are given by their logarithms. :func:`wasserstein_1d` compares two samples of as many real
numbers, in whatever order they come. Inputs have shape (..., n) and values shape (...). A gradient
is that of the sum of the values with respect to the first argument, and has its shape.

All raise ``TypeError`` for a first argument that is not a floating-point array, and ``ValueError``
for a second one of another shape, for a last axis without entries and for values outside their
domain.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from lossbook.declaration import takes
from lossbook.numerics import picked
from lossbook.spaces import LABEL_ROW, LOG_PROBABILITIES, SAMPLE

__all__ = [
    "kl_divergence",
    "kl_divergence_grad",
    "wasserstein_1d",
    "wasserstein_1d_grad",
]


@takes(LOG_PROBABILITIES, LABEL_ROW)
def kl_divergence(log_probabilities, probabilities, /):
    r"""Kullback-Leibler divergence, :math:`\sum_k t_k (\log t_k - \log p_k)`, in nats.

    It is that of the target :math:`t` from the prediction :math:`p`, in the order
    :math:`D(t \,\|\, p)`. A class with :math:`t_k = 0` adds 0, also where :math:`\log p_k` is
    :math:`-\infty`; where it is and :math:`t_k > 0`, the divergence is infinite. The row sums of
    :math:`p` are not looked at: the gradient treats every :math:`\log p_k` as free.

    Parameters
    ----------
    log_probabilities : array of shape (..., classes), at most 0: :math:`\log p_k`
    probabilities : array of the same shape, in [0, 1], rows that sum to 1: :math:`t_k`

    Source: S. Kullback and R. A. Leibler, "On information and sufficiency", *Annals of Mathematical
    Statistics* 22 (1951).

    Examples
    --------
    >>> import numpy as np
    >>> kl_divergence(np.log([[0.5, 0.25, 0.25]]), np.array([[1.0, 0.0, 0.0]])).round(4)
    array([0.6931])
    """
    xp = array_namespace(log_probabilities)
    log_p, t = log_probabilities, probabilities
    # What is left out costs 0, but a NaN stays one.
    nothing = xp.where(log_p == -xp.inf, xp.zeros_like(t), 0 * log_p)
    terms = t * (xp.log(xp.where(t == 0, xp.ones_like(t), t)) - log_p)
    return xp.sum(xp.where(t == 0, nothing, terms), axis=-1)


@takes(LOG_PROBABILITIES, LABEL_ROW)
def kl_divergence_grad(log_probabilities, probabilities, /):
    r"""Gradient of :func:`kl_divergence` with respect to the log-probabilities, :math:`-t_k`.

    Examples
    --------
    >>> import numpy as np
    >>> kl_divergence_grad(np.log([[0.5, 0.25, 0.25]]), np.array([[0.5, 0.5, 0.0]]))
    array([[-0.5, -0.5, -0. ]])
    """
    xp = array_namespace(log_probabilities)
    return xp.where(xp.isnan(log_probabilities), log_probabilities, -probabilities)


@takes(SAMPLE, SAMPLE)
def wasserstein_1d(samples, other, /):
    r"""Wasserstein-1 distance of two samples, :math:`\frac1n \sum_k |a_{(k)} - b_{(k)}|`.

    :math:`a_{(k)}` is the k-th smallest entry of `samples`, :math:`b_{(k)}` that of `other`: on the
    line it is cheapest to move the smallest to the smallest, and so on. The distance has the unit
    of the entries.

    Parameters
    ----------
    samples : array of shape (..., n), n at least 1
    other : array of the same shape

    Source: C. Villani, *Topics in Optimal Transportation* (2003), section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> wasserstein_1d(np.array([3.0, 0.0]), np.array([1.0, 1.5]))
    np.float64(1.25)
    """
    xp = array_namespace(samples)
    gap = xp.sort(samples, axis=-1) - xp.sort(other, axis=-1)
    # Divided before they are added, so that the mean overflows only if it is too large itself.
    return xp.sum(xp.abs(gap) / samples.shape[-1], axis=-1)


@takes(SAMPLE, SAMPLE)
def wasserstein_1d_grad(samples, other, /):
    r"""Gradient of :func:`wasserstein_1d` with respect to `samples`.

    It is :math:`\operatorname{sign}(a_{(k)} - b_{(k)}) / n`, put back to where the k-th smallest
    entry came from. Of equal entries of `samples` the first counts as the smaller. Where an entry
    is at its place, :math:`a_{(k)} = b_{(k)}`, the slope is 0.

    Examples
    --------
    >>> import numpy as np
    >>> wasserstein_1d_grad(np.array([3.0, 0.0]), np.array([1.0, 1.5]))
    array([ 0.5, -0.5])
    """
    xp = array_namespace(samples)
    order = xp.argsort(samples, axis=-1, stable=True)
    gap = picked(samples, order) - xp.sort(other, axis=-1)
    return picked(xp.sign(gap) / samples.shape[-1], xp.argsort(order, axis=-1))


def wasserstein_1d_value_and_grad(samples, other, /):
    xp = array_namespace(samples)
    order = xp.argsort(samples, axis=-1, stable=True)
    gap = picked(samples, order) - xp.sort(other, axis=-1)
    value = xp.sum(xp.abs(gap) / samples.shape[-1], axis=-1)
    return value, picked(xp.sign(gap) / samples.shape[-1], xp.argsort(order, axis=-1))
