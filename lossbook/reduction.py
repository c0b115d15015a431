"""The only place that reduces: from one value per example to the number that is minimised.

``mean`` divides by the number of values, or by the sum of the weights where weights are given.
``sum`` adds, ``none`` leaves the values as they are. Weights multiply the values first, and a
weight of 0 leaves an example out, whatever its value: infinity and NaN too.
"""

from __future__ import annotations

import math

from array_api_compat import array_namespace

from lossbook import checks
from lossbook.checks import silent
from lossbook.declaration import settle
from lossbook.spaces import WEIGHT

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction):
    """Raise a ``ValueError`` unless `reduction` is the name of one.

    >>> check_reduction("average")
    Traceback (most recent call last):
    ValueError: reduction must be one of mean, sum, none, got 'average'
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")


class Reduction:
    """One way to reduce values of one shape: what to multiply them by, and what to divide by.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    weights : array of exactly the shape of the values, or None
    shape : that of the values
    like : an array of their dtype and device

    Attributes
    ----------
    doubts : what is still to be asked about the weights, as in
        :class:`~lossbook.declaration.Arguments`
    """

    def __init__(self, reduction, weights, shape, like):
        check_reduction(reduction)
        self.is_mean, self.is_none = reduction == "mean", reduction == "none"
        self.weights, self.divisor, self.doubts = None, None, []
        count = math.prod(shape)
        if self.is_mean and not count:
            raise ValueError(f"the mean of no values is undefined, got an input of shape {shape}")
        if weights is None:
            self.divisor = count if self.is_mean else None
            return
        cast = checks.cast_like("weights", weights, "values", like)
        self.weights = checks.has_shape("weights", cast, "the unreduced loss", shape)
        if count:
            signs = WEIGHT.signs(cast, weights, like)
            self.doubts.append((signs, lambda: WEIGHT.refuse("weights", cast, weights, like)))
        if self.is_mean:
            xp = array_namespace(cast)
            # A mean does not see the scale of its weights. Divided by a power of 2 near the largest
            # in their own precision, they lose no digit, and no sum of them overflows.
            wide = xp.astype(weights, xp.result_type(cast.dtype, weights.dtype), copy=False)
            largest = xp.max(wide)
            scale = 2.0 ** xp.floor(xp.log2(largest))
            self.weights = xp.astype(wide / scale, like.dtype, copy=False)
            self.divisor = xp.sum(self.weights)
            tiny = float(xp.finfo(wide.dtype).smallest_normal)
            self.doubts.append(([(largest, (tiny, math.inf))], lambda: _refuse_zero(largest)))

    def weighed(self, array, part=None):
        """Values, or a gradient with further axes, times the weights.

        `part` is a slice where the array holds only those of the values, in a single axis.
        """
        if self.weights is None:
            return array
        xp = array_namespace(array)
        weights = self.weights if part is None else xp.reshape(self.weights, (-1,))[part]
        weights = weights[(..., *(None for _ in range(array.ndim - weights.ndim)))]
        return xp.where(weights == 0, xp.zeros_like(array), array * weights)

    def total(self, values, part=None):
        """The sum of the weighted values."""
        return array_namespace(values).sum(self.weighed(values, part))

    def divided(self, array):
        """A total or a gradient over what the mean divides by."""
        return array if self.divisor is None else array / self.divisor

    def value(self, values):
        """The values, reduced."""
        return self.weighed(values) if self.is_none else self.divided(self.total(values))

    def gradient(self, gradient, part=None):
        """The gradient of the reduced value, from that of the sum of the values."""
        return self.divided(self.weighed(gradient, part))


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
    return _settled(reduction, weights, tuple(values.shape), values).value(values)


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
    return _settled(reduction, weights, tuple(values_shape), gradient).gradient(gradient)


def _settled(reduction, weights, shape, like):
    reduction = Reduction(reduction, weights, shape, like)
    settle(reduction.doubts)
    return reduction


def _refuse_zero(largest):
    if largest == 0:
        raise ValueError("weights must not sum to 0 under reduction='mean', got a sum of 0")
