"""What an argument of a loss may hold: each kind stated once, and used wherever it matters.

A space checks arrays, draws valid examples and names refused ones; the space of a prediction says
how the outputs of a network are read as it, and that of a target how class ids are written as it.
A :class:`Number` is the same for a hyperparameter. The declaration above a loss,
:func:`lossbook.declaration.takes`, names one space for each of its arguments.

Values are checked in two steps. ``signs`` gives a few numbers, still on the array's device, that
tell whether all is well, so that those of all arguments of a call are looked at together: on a GPU
each look means waiting. Where they are not as they should be, ``refuse`` looks closer, and raises
the error or finds that it was only a NaN, which no check minds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from array_api_compat import array_namespace, device

from lossbook import checks


@dataclass(frozen=True, kw_only=True)
class Space:
    """What every kind has; on its own, one real number for each value of the loss.

    Attributes
    ----------
    name : what is printed on a loss card
    low, high : the ends of the closed interval that the numbers lie in
    read : for a prediction, the function that makes it of a network's outputs (N, K); None where a
        classifier's outputs cannot be read as it
    written : for a target, the function that makes it of class ids (N,) and those outputs
    refused : numbers that no array of this kind may hold
    reach : the largest power of 10 in :meth:`magnitudes`

    Examples
    --------
    >>> PROBABILITY.draw(np.random.default_rng(0), (2,)).round(2)
    array([0.61, 0.32])
    >>> PROBABILITY.checked("probabilities", np.array([0.5, 1.5]))
    Traceback (most recent call last):
    ValueError: probabilities must lie in [0, 1], got 1.5
    >>> SIGN.written(np.array([1, 0]), np.zeros((2, 3)))
    array([[-1.,  1., -1.],
           [ 1., -1., -1.]])
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    read: Callable | None = None
    written: Callable | None = None
    refused: tuple = ()
    reach: int = 30

    # Checking

    def axes_of(self, array):
        """How many trailing axes of an array make up what one value of the loss is computed of.

        None of a number, the last of a row, all but the first of a mask, all of parameters.
        """
        return 0

    def form(self, name, array):
        """Check a prediction's dtype and shape, and return it."""
        checks.real(name, array)
        return array

    def form_like(self, name, array, like_name, like, axes):
        """Check a target's dtype and shape, and return it in the dtype of the prediction `like`.

        `axes` is how many trailing axes of `like` make up one prediction.
        """
        cast = checks.cast_like(name, array, like_name, like)
        _check_shape(name, cast, self.axes_of(like), like_name, like, axes, "targets need")
        return cast

    def signs(self, array, given, like):
        """Pairs of an array without axes and the interval that it lies in if all values are fit.

        `given` is the array before it was cast, `like` the prediction that it goes with.
        """
        xp, signs = array_namespace(array), []
        if not math.isinf(self.low):
            signs.append((xp.min(array), (self.low, math.inf)))
        if not math.isinf(self.high):
            signs.append((xp.max(array), (-math.inf, self.high)))
        return signs

    def refuse(self, name, array, given, like):
        """Raise a ``ValueError`` that shows the first value that breaks a rule, if there is one.

        Returns the array otherwise. Rounding may have carried a value past the upper end by a few
        units in the last place of the dtype that it came in; the end itself stands for it then.
        """
        xp = array_namespace(array)
        above = array > self.high
        slack = 4 * _eps(array, given) * max(abs(self.high), 1)
        fault = (array < self.low) | (array > self.high + slack)
        rule = f"must lie in {checks.interval(self.low, self.high)}"
        checks.refuse_where(fault, name, rule, array)
        return xp.where(above, xp.full_like(array, self.high), array) if xp.any(above) else array

    def checked(self, name, array, like_name=None, like=None, axes=0):
        """Check everything at once; return the array, in the dtype of `like` where one is given."""
        if like is None:
            cast = self.form(name, array)
        else:
            cast = self.form_like(name, array, like_name, like, axes)
        return self.refuse(name, cast, array, like)

    # Examples

    def draw(self, rng, shape, classes=4):
        """Seeded valid examples of moderate size, and predictions away from the ends."""
        if math.isinf(self.low):
            return 2 * rng.normal(size=shape)
        if math.isinf(self.high):
            return self.low + rng.poisson(3.0, shape).astype(np.float64)
        margin = 0.1 if self.written is None else 0.0
        return rng.uniform(self.low + margin, self.high - margin, shape)

    def magnitudes(self, rng, shape, classes=4):
        """Valid examples of every magnitude, 1e-30 to 1e30, or distance from the ends."""
        size = 10 ** rng.uniform(-self.reach, self.reach, shape)
        if math.isinf(self.low):
            return rng.choice([-1.0, 1.0], shape) * size
        if math.isinf(self.high):
            return self.low + size
        near_high = self.high - (self.high - self.low) * 10 ** rng.uniform(-16, 0, shape)
        return np.where(rng.random(shape) < 0.5, self.low + np.minimum(size, 1 / size), near_high)


@dataclass(frozen=True, kw_only=True)
class OneOfTwo(Space):
    """One of two numbers, `low` or `high`, for each value of the loss.

    Examples
    --------
    >>> SIGN.checked("labels", np.array([1.0, 0.0]), "scores", np.zeros(2))
    Traceback (most recent call last):
    ValueError: labels must be -1 or 1, got 0.0
    """

    def signs(self, array, given, like):
        """As for every space."""
        return [(array_namespace(array).all((array == self.low) | (array == self.high)), (1, 1))]

    def refuse(self, name, array, given, like):
        """As for every space."""
        # Written with < and > so that a NaN, which is neither, is let through.
        outside = (array < self.low) | (array > self.high)
        between = (array > self.low) & (array < self.high)
        checks.refuse_where(outside | between, name, f"must be {self.low} or {self.high}", array)
        return array

    def draw(self, rng, shape, classes=4):
        """As for every space."""
        return self.low + (self.high - self.low) * rng.integers(0, 2, shape).astype(np.float64)

    def magnitudes(self, rng, shape, classes=4):
        """As for every space: there are only two."""
        return self.draw(rng, shape)


@dataclass(frozen=True, kw_only=True)
class Row(Space):
    """A row of numbers on the last axis, of any length above 0: a point, or a sample.

    Examples
    --------
    >>> POINT.checked("a", np.zeros((2, 0)))
    Traceback (most recent call last):
    ValueError: a must have at least 1 entry on the last axis, got shape (2, 0)
    """

    def axes_of(self, array):
        """As for every space: the last one."""
        return 1

    def form(self, name, array):
        """As for every space; there must be an entry."""
        checks.real(name, array)
        return _check_last_axis(name, array, 1, "entry", "entries")

    def draw(self, rng, shape, classes=4):
        """As for every space, in rows of `classes` numbers."""
        return super().draw(rng, (*shape, classes))

    def magnitudes(self, rng, shape, classes=4):
        """As for every space, in rows of `classes` numbers."""
        return super().magnitudes(rng, (*shape, classes))


@dataclass(frozen=True, kw_only=True)
class Batch(Row):
    """Rows of which each is compared with all others of its batch, the axis before the last."""

    def form(self, name, array):
        """As for every space; there must be a batch."""
        super().form(name, array)
        if array.ndim < 2 or not array.shape[-2]:
            raise ValueError(
                f"{name} must have a batch of at least 1 point before the last axis, got shape "
                f"{tuple(array.shape)}"
            )
        return array


@dataclass(frozen=True, kw_only=True)
class Mask(Row):
    """Numbers for the pixels of an item: the first axis counts the items, all others pixels.

    Examples
    --------
    >>> MASK.checked("probabilities", np.asarray(0.5))
    Traceback (most recent call last):
    ValueError: probabilities must have a first axis that counts the items, got shape ()
    """

    def axes_of(self, array):
        """As for every space: all but the first."""
        return array.ndim - 1

    def form(self, name, array):
        """As for every space; there must be an axis of items."""
        checks.real(name, array)
        if array.ndim == 0:
            raise ValueError(f"{name} must have a first axis that counts the items, got shape ()")
        return array


@dataclass(frozen=True, kw_only=True)
class Whole(Row):
    """An array that has one value as a whole, such as the parameters of a network."""

    def axes_of(self, array):
        """As for every space: all."""
        return array.ndim

    def form(self, name, array):
        """As for every space."""
        checks.real(name, array)
        return array


@dataclass(frozen=True, kw_only=True)
class Parameters(Row):
    """A row of a fixed length on the last axis: the parameters of a distribution."""

    length: int

    def form(self, name, array):
        """As for every space; the last axis must have the right length."""
        checks.real(name, array)
        if array.ndim == 0 or array.shape[-1] != self.length:
            raise ValueError(
                f"{name} must hold {self.name} on a last axis of length {self.length}, "
                f"got shape {tuple(array.shape)}"
            )
        return array

    def draw(self, rng, shape, classes=4):
        """As for every space, with one more axis."""
        return super().draw(rng, shape, self.length)

    def magnitudes(self, rng, shape, classes=4):
        """As for every space, with one more axis."""
        return super().magnitudes(rng, shape, self.length)


@dataclass(frozen=True, kw_only=True)
class Box(Parameters):
    """The corners of a box on the last axis, x1, y1, x2, y2, of which the second is not before.

    Examples
    --------
    >>> BOX.checked("boxes", np.array([[0.0, 0.0, 1.0, -1.0]]))
    Traceback (most recent call last):
    ValueError: boxes must have x1 <= x2 and y1 <= y2, got the box [0.0, 0.0, 1.0, -1.0]
    """

    length: int = 4

    def signs(self, array, given, like):
        """As for every space."""
        return [(array_namespace(array).min(_sides(array)), (0, math.inf))]

    def refuse(self, name, array, given, like):
        """As for every space; the box is shown whole."""
        xp = array_namespace(array)
        is_turned = xp.any(array[..., 2:] < array[..., :2], axis=-1)
        if xp.any(is_turned):
            first = int(xp.argmax(xp.astype(xp.reshape(is_turned, (-1,)), xp.int64)))
            box = xp.reshape(array, (-1, 4))[first, :]
            got = [float(box[n]) for n in range(4)]
            raise ValueError(f"{name} must have x1 <= x2 and y1 <= y2, got the box {got}")
        return array

    def draw(self, rng, shape, classes=4):
        """As for every space: boxes of which most overlap."""
        corner, side = rng.normal(size=(*shape, 2)), rng.uniform(0.5, 3, (*shape, 2))
        return np.concatenate([corner, corner + side], axis=-1)

    def magnitudes(self, rng, shape, classes=4):
        """As for every space."""
        return _in_order(super().magnitudes(rng, shape))


@dataclass(frozen=True, kw_only=True)
class ClassRow(Row):
    """A row of numbers on the last axis, one for each class.

    Attributes
    ----------
    least : how many classes there must be
    sums_to_one : whether each row must, up to rounding in the dtype that it comes in

    Examples
    --------
    >>> LABEL_ROW.checked("labels", np.array([[0.5, 0.6]]), "logits", np.zeros((1, 2)), 1)
    Traceback (most recent call last):
    ValueError: labels must sum to 1 along the last axis, got a row that sums to 1.1
    """

    least: int = 1
    sums_to_one: bool = False

    def form(self, name, array):
        """As for every space; there must be enough classes."""
        checks.real(name, array)
        return _check_classes(name, array, self.least)

    def signs(self, array, given, like):
        """As for every space."""
        signs = super().signs(array, given, like)
        if self.sums_to_one:
            excess, allowed = _row_excess(array, given)
            signs.append((array_namespace(excess).max(excess), (0, allowed)))
        return signs

    def refuse(self, name, array, given, like):
        """As for every space."""
        settled = super().refuse(name, array, given, like)
        if self.sums_to_one:
            excess, allowed = _row_excess(array, given)
            totals = array_namespace(given).sum(given, axis=-1)
            rule = "must sum to 1 along the last axis"
            checks.refuse_where(excess > allowed, name, rule, totals, "a row that sums to {:.6g}")
        return settled

    def draw(self, rng, shape, classes=4):
        """As for every space, in rows of `classes` numbers."""
        if math.isinf(self.low):
            return super().draw(rng, shape, classes)
        return 0.1 / classes + 0.9 * rng.dirichlet(np.ones(classes), shape)

    def magnitudes(self, rng, shape, classes=4):
        """As for every space, in rows of `classes` numbers."""
        if not self.sums_to_one:
            return super().magnitudes(rng, shape, classes)
        # Whole numbers of 2^-20, whose sums are exact in any dtype but the half types.
        cuts = np.sort(rng.integers(0, 2**20 + 1, (*shape, classes - 1)), axis=-1)
        return np.diff(cuts, axis=-1, prepend=0, append=2**20) / 2**20


@dataclass(frozen=True, kw_only=True)
class LogClassRow(ClassRow):
    """The logarithms of a row of probabilities, at most 0; minus infinity is that of 0."""

    high: float = 0

    def draw(self, rng, shape, classes=4):
        """As for every space."""
        return np.log(LABEL_ROW.draw(rng, shape, classes))

    def magnitudes(self, rng, shape, classes=4):
        """As for every space."""
        return -np.abs(super().magnitudes(rng, shape, classes))


@dataclass(frozen=True, kw_only=True)
class ClassId(Space):
    """An integer for each row of classes: the number of the true one, counted from 0.

    Examples
    --------
    >>> CLASS_ID.checked("labels", np.array([3]), "logits", np.zeros((1, 3)), 1)
    Traceback (most recent call last):
    ValueError: labels must be class ids in [0, 2], got 3
    """

    def form_like(self, name, array, like_name, like, axes):
        """As for every space; the ids become int64."""
        xp = checks.array_namespace(**{like_name: like, name: array})
        _check_classes(like_name, like, 1)
        if not checks.is_kind(xp, array.dtype, "integral"):
            raise TypeError(
                f"{name} of shape {tuple(array.shape)} must be class ids of an integer dtype, "
                f"got dtype {array.dtype}"
            )
        _check_shape(name, array, 0, like_name, like, axes, "class ids need")
        return checks.as_like(array, like, xp.int64)

    def signs(self, array, given, like):
        """As for every space."""
        xp, most = array_namespace(array), like.shape[-1] - 1
        return [(xp.min(array), (0, most)), (xp.max(array), (0, most))]

    def refuse(self, name, array, given, like):
        """As for every space."""
        most = like.shape[-1] - 1
        rule = f"must be class ids in [0, {most}]"
        checks.refuse_where((array < 0) | (array > most), name, rule, array)
        return array

    def draw(self, rng, shape, classes=4):
        """As for every space."""
        return rng.integers(0, classes, shape)

    def magnitudes(self, rng, shape, classes=4):
        """As for every space."""
        return self.draw(rng, shape, classes)


@dataclass(frozen=True, kw_only=True)
class ClassIdOrRow(ClassId):
    """Class ids, or where the array has the prediction's number of axes, rows of probabilities."""

    def _kind(self, array, like):
        return LABEL_ROW if array.ndim == like.ndim else CLASS_ID

    def form_like(self, name, array, like_name, like, axes):
        """As for every space."""
        return self._kind(array, like).form_like(name, array, like_name, like, axes)

    def signs(self, array, given, like):
        """As for every space."""
        return self._kind(array, like).signs(array, given, like)

    def refuse(self, name, array, given, like):
        """As for every space."""
        return self._kind(array, like).refuse(name, array, given, like)


@dataclass(frozen=True, kw_only=True)
class Number:
    """A hyperparameter: one real number in an interval.

    Attributes
    ----------
    low, high, open_low, open_high : the interval, closed at an end unless it says so
    optional : whether None is accepted too
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    optional: bool = False

    def checked(self, name, value):
        """The number as a Python float, or None.

        >>> POSITIVE.checked("delta", 0)
        Traceback (most recent call last):
        ValueError: delta must be a number in (0, infinity), got 0
        """
        if value is None and self.optional:
            return None
        ends = {"open_low": self.open_low, "open_high": self.open_high}
        return checks.number(name, value, self.low, self.high, **ends)

    def held(self, name, value, xp, dtype):
        """The number, if `dtype` can hold it: a positive one must not become 0 or infinity.

        >>> POSITIVE.held("beta", 1e-50, np, np.dtype("float32"))
        Traceback (most recent call last):
        ValueError: beta must be a number in (0, infinity), got 1e-50, which is out of the \
range of float32
        """
        number = self.checked(name, value)
        if self.open_low and not _limits(xp, dtype)[0] <= number <= _limits(xp, dtype)[1]:
            ends = checks.interval(self.low, self.high, open_low=True, open_high=self.open_high)
            raise ValueError(
                f"{name} must be a number in {ends}, got {value!r}, "
                f"which is out of the range of {str(dtype).removeprefix('torch.')}"
            )
        return number

    @property
    def refused(self):
        """Numbers out of the interval.

        >>> UNIT.refused
        (-0.5, 1.5, nan)
        """
        low = (self.low,) if self.open_low else ()
        high = (self.high,) if self.open_high or math.isinf(self.high) else (self.high + 0.5,)
        return (*low, self.low - 0.5, *high, math.nan)


@dataclass(frozen=True)
class Flag:
    """A hyperparameter that is True or False.

    >>> Flag().checked("squared", 1)
    Traceback (most recent call last):
    TypeError: squared must be True or False, got 1
    """

    optional = False
    refused = ()

    def checked(self, name, value):
        """The flag as a Python bool."""
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, got {value!r}")
        return bool(value)

    def held(self, name, value, xp, dtype):
        """As for a number: there is nothing that a dtype could not hold."""
        return self.checked(name, value)


@cache
def _limits(xp, dtype):
    """The smallest and the largest positive number that a dtype holds."""
    info = xp.finfo(dtype)
    return float(info.smallest_normal) * float(info.eps), float(info.max)


def _check_shape(name, array, axes, like_name, like, like_axes, need):
    """`array`, of whose axes the last `axes` make up one argument, must go with `like`."""
    shape = tuple(like.shape)
    needed = shape if axes == like_axes else shape[: len(shape) - like_axes]
    if tuple(array.shape) != needed:
        rule = "they must be the same" if needed == shape else f"{need} shape {needed}"
        raise ValueError(
            f"{name} has shape {tuple(array.shape)} but {like_name} has shape {shape}; {rule}"
        )


def _check_classes(name, array, least):
    return _check_last_axis(name, array, least, "class", "classes")


def _check_last_axis(name, array, least, one, several):
    if array.ndim == 0 or array.shape[-1] < least:
        raise ValueError(
            f"{name} must have at least {least} {several if least > 1 else one} "
            f"on the last axis, got shape {tuple(array.shape)}"
        )
    return array


def _sides(boxes):
    """Width and height of each box."""
    return boxes[..., 2:] - boxes[..., :2]


def _in_order(corners):
    """Boxes between any two corners each."""
    pairs = np.sort(corners.reshape(*corners.shape[:-1], 2, 2), axis=-2)
    return pairs.reshape(corners.shape)


def _row_excess(array, given):
    """How far each row's sum is from 1, and how far rounding in its own dtype may carry it."""
    xp, own = array_namespace(given), _floating(array, given)
    wide = xp.astype(own, xp.result_type(own.dtype, array.dtype), copy=False)
    return xp.abs(xp.sum(wide, axis=-1) - 1), math.sqrt(_eps(array, given))


def _eps(array, given):
    """The machine epsilon of the dtype that an array came in."""
    return float(array_namespace(array).finfo(_floating(array, given).dtype).eps)


def _floating(array, given):
    """The array as it came, or as it was cast if it came as integers."""
    return given if checks.is_kind(array_namespace(given), given.dtype, "real floating") else array


def rows_of(ids, like):
    """Class ids (...,) as rows of 0 and 1, in the shape, dtype and device of `like` (..., K)."""
    xp = array_namespace(like)
    return xp.astype(xp.arange(like.shape[-1], device=device(like)) == ids[..., None], like.dtype)


def _signs_of(ids, like):
    return 2 * rows_of(ids, like) - 1


def _ids(ids, like):
    return ids


def _as_they_are(outputs):
    return outputs


def _as_probabilities(outputs):
    xp = array_namespace(outputs)
    shares = xp.exp(outputs - xp.max(outputs, axis=-1, keepdims=True))
    return shares / xp.sum(shares, axis=-1, keepdims=True)


#: Predictions, and the target that is a real number too.
REAL = Space(name="real", read=_as_they_are, written=rows_of)
LOG_RATE = Space(name="log-rate")
MEAN_AND_LOG_VARIANCE = Parameters(name="mean and log-variance", length=2)
PROBABILITY = Space(name="probability", low=0, high=1, refused=(-1e-9, 1.5, math.inf))
LOGIT = Space(name="logit", read=_as_they_are)
SCORE = Space(name="score", read=_as_they_are)
CLASS_PROBABILITIES = ClassRow(
    name="class probabilities",
    low=0,
    high=1,
    read=_as_probabilities,
    refused=(-1e-9, 1.5, math.inf),
)
CLASS_LOGITS = ClassRow(name="class logits", read=_as_they_are)
#: Class logits where the true class is compared with the others, so that there must be some.
RIVAL_LOGITS = ClassRow(name="class logits", read=_as_they_are, least=2)
LOG_PROBABILITIES = LogClassRow(name="log-probabilities", refused=(0.5, math.inf))
SAMPLE = Row(name="sample of real numbers")
POINT = Row(name="point")
#: Numbers that are multiplied by each other: the square of the largest is still one of float32.
POINTS = Batch(name="batch of points", reach=15)
MASK = Mask(name="probability of each pixel", low=0, high=1, refused=(-1e-9, 1.5, math.inf))
BOX = Box(name="box x1, y1, x2, y2")
PARAMETERS = Whole(name="parameters")

#: Targets.
MASK_LABELS = Mask(name="label in [0, 1] of each pixel", low=0, high=1, refused=(1.5, -0.1))
COUNT = Space(name="count", low=0, refused=(-1.0,))
FRACTION = Space(name="label in [0, 1]", low=0, high=1, written=rows_of, refused=(1.5, -0.1))
BIT = OneOfTwo(name="label 0 or 1", low=0, high=1, written=rows_of, refused=(0.5, -1.0, 2.0))
SIGN = OneOfTwo(name="label -1 or +1", low=-1, high=1, written=_signs_of, refused=(0.0, 2.0, -3.0))
LABEL_ROW = ClassRow(
    name="class probabilities",
    low=0,
    high=1,
    sums_to_one=True,
    written=rows_of,
    refused=(0.9, -0.5, 1.5),
)
CLASS_ID = ClassId(name="class id", written=_ids, refused=(-1, 4))
CLASS_ID_OR_ROW = ClassIdOrRow(name="class id or probabilities", written=_ids, refused=(-1, 4))

#: What weighs an example: see :mod:`lossbook.reduction`.
WEIGHT = Space(name="weight", low=0, refused=(-1.0,))

#: Hyperparameters.
POSITIVE = Number(low=0, open_low=True)
NOT_NEGATIVE = Number(low=0)
UNIT = Number(low=0, high=1)
UNIT_ABOVE_0 = Number(low=0, high=1, open_low=True)
INSIDE_UNIT = Number(low=0, high=1, open_low=True, open_high=True)
UNIT_OR_NONE = Number(low=0, high=1, optional=True)
FLAG = Flag()
