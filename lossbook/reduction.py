"""The only place that reduces: from one value per example to the number that is minimised.

``mean`` divides by the number of values, or by the sum of the weights where weights are given.
``sum`` adds, ``none`` leaves the values as they are. Weights multiply the values first.
"""

from __future__ import annotations

import math

from lossbook.arrays import array_namespace, cast_like, same_shape, silent, within

REDUCTIONS = ("mean", "sum", "none")


@silent
def reduce(values, reduction="mean", weights=None):
    r"""Reduce unreduced losses :math:`\ell_i` with weights :math:`a_i` (all 1 if not given).

    ``mean`` is :math:`\sum_i a_i \ell_i / \sum_i a_i`, ``sum`` is :math:`\sum_i a_i \ell_i`, and
    ``none`` is the array of :math:`a_i \ell_i`.

    Parameters
    ----------
    values : array, any shape
    reduction : {"mean", "sum", "none"}
    weights : array of exactly the shape of `values`, at least 0, or None

    Raises
    ------
    ValueError
        For an unknown reduction, a mean over nothing, weights of another shape, a negative
        weight, or weights that sum to 0 under ``mean``.

    Examples
    --------
    >>> import numpy as np
    >>> float(reduce(np.array([1.0, 4.0]), weights=np.array([3.0, 1.0])))
    1.75
    """
    factors, weights = _factors(values, reduction, weights)
    if weights is not None:
        values = values * weights
    if reduction == "none":
        return values
    return array_namespace(values=values).sum(values) * factors


@silent
def reduce_grad(gradient, values_shape, reduction="mean", weights=None):
    """Gradient of the reduced value, given the gradient of the sum of the unreduced ones.

    An example's gradient is multiplied by its weight and, under ``mean``, divided by what the mean
    divides by. `gradient` has `values_shape` first and then any axes that the loss summed over.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_grad(np.array([[2.0, -2.0], [4.0, -4.0]]), (2,))
    array([[ 1., -1.],
           [ 2., -2.]])
    """
    xp = array_namespace(gradient=gradient)
    extra = (1,) * (gradient.ndim - len(values_shape))
    # Any array of the values' shape and dtype will do to check against: one entry per example.
    like = gradient[(..., *(0 for _ in extra))] if extra else gradient
    factors, weights = _factors(like, reduction, weights)
    if weights is not None:
        gradient = gradient * xp.reshape(weights, tuple(weights.shape) + extra)
    return gradient * factors


def _factors(values, reduction, weights):
    """What the reduction multiplies by, and the weights after every check."""
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}"
        )
    if weights is not None:
        weights = cast_like("weights", weights, "values", values)
        same_shape("weights", weights, "the unreduced loss", values)
        within("weights", weights, 0)
    if reduction != "mean":
        return 1, weights
    count = math.prod(values.shape)
    if count == 0:
        raise ValueError(
            f"the mean of no values is undefined, got an input of shape {tuple(values.shape)}"
        )
    if weights is None:
        return 1 / count, None
    total = array_namespace(weights=weights).sum(weights)
    if total == 0:
        raise ValueError("weights must not sum to 0 under reduction='mean', got a sum of 0")
    return 1 / total, weights
