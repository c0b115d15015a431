"""The only place that reduces: from one value per example to the number that is minimised.

``mean`` divides by the number of values, or by the sum of the weights where weights are given.
``sum`` adds, ``none`` leaves the values as they are. Weights multiply the values first, and a
weight of 0 leaves an example out, whatever its value: infinity and NaN too.

:func:`ignore`, :func:`weigh_classes` and :func:`weigh_positives` make such weights of labels that
are missing, of weights for classes, and of weights for positive labels.

Sums are accumulated in float64, whatever the values are, and rounded once. A mean of equal values
is that value, and a mean overflows only if the result does.
"""

from __future__ import annotations

import math
from numbers import Real

from array_api_compat import array_namespace

from lossbook import checks
from lossbook.checks import silent
from lossbook.declaration import on_each, settle
from lossbook.numerics import label_rows
from lossbook.spaces import CLASS_ID, FRACTION, UNIT, WEIGHT

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
            # A mean does not see the scale of its weights. Divided by a power of 2 in their own
            # precision, so that the largest is at most 1, they lose no digit, and neither a sum of
            # them nor a product with one overflows.
            wide = xp.astype(weights, xp.result_type(cast.dtype, weights.dtype), copy=False)
            largest = xp.max(wide)
            scale = 2.0 ** xp.floor(xp.log2(largest))
            self.weights = xp.astype(wide / scale / 2, like.dtype, copy=False)
            self.divisor = _number(_sum(self.weights))
            tiny = float(xp.finfo(wide.dtype).smallest_normal)
            nothing = [(largest, (tiny, math.inf))]
            self.doubts.append((nothing, lambda: _refuse_zero(largest, count)))

    def weighed(self, array, part=None):
        """Values, or a gradient with further axes, times the weights.

        `part` is a slice where the array holds only those of the values, in a single axis.
        """
        if self.weights is None:
            return array
        weights = self._aligned(array, part)
        xp = array_namespace(array)
        return xp.where(weights == 0, xp.zeros_like(array), array * weights)

    def _aligned(self, array, part):
        """The weights of an array's values, with an axis for each further one of the array."""
        weights = self.weights
        if part is not None:
            weights = array_namespace(weights).reshape(weights, (-1,))[part]
        return weights[(..., *(None for _ in range(array.ndim - weights.ndim)))]

    def value(self, values):
        """The values, reduced; in float64 where that is at hand, to be rounded once."""
        return self.weighed(values) if self.is_none else self.joined([self.portion(values)])

    def portion(self, values, part=None):
        """What values, those of `part` or all, give to the reduced one: a mean and its weight.

        Under ``sum`` the weight is 1 and the mean stands for the sum.
        """
        if not self.is_mean:
            return _sum(self.weighed(values, part)), 1
        if self.weights is None:
            return _mean(values), math.prod(values.shape)
        weights = self._aligned(values, part)
        kept = array_namespace(values).where(weights == 0, weights, values)
        return _mean(kept, weights), _sum(weights)

    def joined(self, portions):
        """The reduced value, from the portions that it falls into."""
        if len(portions) == 1:
            return portions[0][0]
        values, weights = (list(column) for column in zip(*portions, strict=True))
        if not self.is_mean:
            return sum(values[1:], values[0])
        xp = array_namespace(values[0])
        values = xp.stack(values)
        weights = xp.stack([xp.asarray(w, dtype=values.dtype) for w in weights])
        return _mean(values, weights)

    def gradient(self, gradient, part=None):
        """The gradient of the reduced value, from that of the sum of the values."""

        def reduced(gradient):
            weighed = self.weighed(gradient, part)
            return weighed if self.divisor is None else weighed / self.divisor

        return on_each(reduced, gradient)


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
    checks.real("values", values)
    reduced = _settled(reduction, weights, tuple(values.shape), values).value(values)
    return checks.as_like(reduced, values, values.dtype)


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
    checks.real("gradient", gradient)
    return _settled(reduction, weights, tuple(values_shape), gradient).gradient(gradient)


def _settled(reduction, weights, shape, like):
    reduction = Reduction(reduction, weights, shape, like)
    settle(reduction.doubts)
    return reduction


def ignore(labels, index=-100):
    """Leave out the labels that hold `index`, as weights: a weight of 0 leaves an example out.

    Parameters
    ----------
    labels : array of class ids or of binary labels, any shape
    index : number that marks a label as missing, as -100 or 255

    Returns
    -------
    labels : the labels fit to pass on: one of the others stands in for each that is marked
    weights : array of their shape, 0 where a label was marked and 1 elsewhere

    Where all labels are marked, the weights sum to 0, and a mean over them is an error.

    Examples
    --------
    >>> import numpy as np
    >>> from lossbook import LOSSES
    >>> labels, weights = ignore(np.array([1, -100, 2]))
    >>> labels, weights
    (array([1, 1, 2]), array([1., 0., 1.]))
    >>> loss = LOSSES["softmax_cross_entropy"]
    >>> round(float(loss.value(np.zeros((3, 4)), labels, weights=weights)), 4)  # log 4
    1.3863
    """
    xp = checks.array_namespace(labels=labels)
    if isinstance(index, bool) or not isinstance(index, Real):
        raise TypeError(f"index must be a number, got {index!r}")
    if checks.is_kind(xp, labels.dtype, "integral"):
        # A narrow type would wrap an index that it cannot hold.
        labels = xp.astype(labels, xp.int64)
    elif not checks.is_kind(xp, labels.dtype, "real floating"):
        raise TypeError(f"labels must hold integers or real numbers, got dtype {labels.dtype}")
    marked = labels == index
    weights = xp.where(marked, 0.0, 1.0)
    if 0 in labels.shape or xp.all(marked):
        return xp.where(marked, xp.zeros_like(labels), labels), weights
    stand_in = xp.min(xp.where(marked, xp.max(labels), labels))
    return xp.where(marked, stand_in, labels), weights


@silent
def weigh_classes(labels, class_weights, label_smoothing=0.0):
    r"""Weigh classes: labels and weights under which class :math:`k` counts :math:`w_k` times.

    With the label row :math:`t`, smoothed, the loss :math:`-\sum_k w_k t_k \log p_k` is the
    cross-entropy of the row :math:`w_k t_k / s` with the weight :math:`s = \sum_k w_k t_k`. For
    class ids without smoothing that is the id itself with the weight of its class.

    Parameters
    ----------
    labels : class ids of shape (...), or probabilities of shape (..., classes) that sum to 1
    class_weights : array of shape (classes,), at least 0
    label_smoothing : float in [0, 1]; smooth here, not in the loss

    Returns
    -------
    labels, weights : to pass to ``LOSSES["softmax_cross_entropy"]``, whose unreduced values and
        sum are then those of torch's ``weight=``. The mean divides by the sum of the weights, so
        that a mean of equal values is that value. Torch does the same for class ids without
        smoothing; with smoothing it divides by the sum of ``class_weights[ids]``, and for rows
        by their number.

    Examples
    --------
    >>> import numpy as np
    >>> weigh_classes(np.array([0, 1, 1]), np.array([2.0, 0.5]))
    (array([0, 1, 1]), array([2. , 0.5, 0.5]))
    >>> rows, weights = weigh_classes(np.array([[0.5, 0.5]]), np.array([3.0, 1.0]))
    >>> rows, weights
    (array([[0.75, 0.25]]), array([2.]))
    """
    xp = checks.array_namespace(labels=labels, class_weights=class_weights)
    if class_weights.ndim != 1:
        raise ValueError(
            f"class_weights must have shape (classes,), got shape {tuple(class_weights.shape)}"
        )
    checks.real("class_weights", class_weights)
    WEIGHT.checked("class_weights", class_weights)
    label_smoothing = UNIT.checked("label_smoothing", label_smoothing)
    is_ids = checks.is_kind(xp, labels.dtype, "integral")
    shape = tuple(labels.shape) if is_ids else tuple(labels.shape)[:-1]
    like = xp.broadcast_to(class_weights, (*shape, class_weights.shape[0]))
    if is_ids and not label_smoothing:
        ids = CLASS_ID.checked("labels", labels, "class_weights", like, axes=1)
        return labels, class_weights[ids]
    rows = label_rows(like, labels, label_smoothing=label_smoothing)
    weights = xp.sum(like * rows, axis=-1)
    nothing = weights[..., None] == 0
    return xp.where(
        nothing, rows, like * rows / xp.where(nothing, 1.0, weights[..., None])
    ), weights


@silent
def weigh_positives(labels, pos_weight):
    r"""Weigh the positive labels of each column: labels and weights that do it.

    With label :math:`y`, the loss :math:`w y \log(1 + e^{-z}) + (1 - y) \log(1 + e^z)` is the
    binary cross-entropy of the label :math:`w y / s` with the weight :math:`s = w y + 1 - y`.

    Parameters
    ----------
    labels : array of shape (..., C) of numbers in [0, 1]
    pos_weight : array of shape (C,), above 0: :math:`w` for each column

    Returns
    -------
    labels, weights : to pass to ``LOSSES["sigmoid_binary_cross_entropy"]``, whose unreduced values
        and sum are then those of torch's ``pos_weight=``. Torch's mean is that sum divided by the
        number of values; the mean of these divides by the sum of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> labels, weights = weigh_positives(np.array([[1.0, 0.0], [0.5, 1.0]]), np.array([3.0, 1.0]))
    >>> labels
    array([[1.  , 0.  ],
           [0.75, 1.  ]])
    >>> weights
    array([[3., 1.],
           [2., 1.]])
    """
    xp = checks.array_namespace(labels=labels, pos_weight=pos_weight)
    checks.real("pos_weight", pos_weight)
    WEIGHT.checked("pos_weight", pos_weight)
    if pos_weight.ndim != 1 or labels.ndim == 0 or labels.shape[-1] != pos_weight.shape[0]:
        raise ValueError(
            f"pos_weight must have shape (C,) and labels shape (..., C), got "
            f"{tuple(pos_weight.shape)} and {tuple(labels.shape)}"
        )
    checks.refuse_where(pos_weight == 0, "pos_weight", "must be above 0", pos_weight)
    like = xp.broadcast_to(pos_weight, tuple(labels.shape))
    labels = FRACTION.checked("labels", labels, "pos_weight", like)
    positive = like * labels
    weights = positive + (1 - labels)
    return positive / weights, weights


def _sum(values):
    """The sum of all values, accumulated in float64 where that costs nothing to speak of."""
    xp = array_namespace(values)
    return xp.sum(values, dtype=_accumulator(xp, values))


def _accumulator(xp, values):
    """The dtype to sum in. Other devices sum in a tree, and may have no float64."""
    return xp.float64 if checks.is_near(values) else values.dtype


def _number(scalar):
    """A scalar as a number that does not change the dtype of an array that it divides."""
    return float(scalar) if checks.is_near(scalar) else scalar


def _mean(values, weights=None):
    """The mean, of equal values exactly theirs, which overflows only if the result does."""
    xp = array_namespace(values)
    wide = _accumulator(xp, values)
    if weights is None:
        mass, total = math.prod(values.shape), xp.sum(values, dtype=wide)
    else:
        mass, total = _sum(weights), _sum(xp.astype(weights, wide, copy=False) * values)
        if checks.is_near(mass) and not mass:
            return mass
    mean = total / mass
    if values.dtype != xp.float64 or not checks.is_near(values):
        # A sum of narrower numbers has digits to spare.
        return mean
    if not math.isfinite(mean) and math.isfinite(mass):
        return _mean_without_overflow(values, weights)
    if values[(0,) * values.ndim] == values[(-1,) * values.ndim]:
        # All may be equal. What rounding took is the mean of what they are above the mean.
        rest = values - mean
        mean = mean + _sum(rest if weights is None else weights * rest) / mass
    return mean


def _mean_without_overflow(values, weights):
    """The mean of values of which some are infinite or NaN, or too large to be added."""
    xp = array_namespace(values)
    is_finite = xp.isfinite(values)
    if not xp.all(is_finite):
        return xp.sum(xp.where(is_finite, xp.zeros_like(values), values))
    limit = xp.finfo(values.dtype).max
    return xp.clip(_mean(values * 2.0**-64, weights) * 2.0**64, -limit, limit)


def _refuse_zero(largest, count):
    if largest == 0:
        raise ValueError(
            "weights must not sum to 0 under reduction='mean', got a sum of 0: "
            f"all {count} values are left out"
        )
