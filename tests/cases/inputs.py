"""Inputs of a loss for tests: drawn from what its prediction and its target may hold."""

import math

import numpy as np
from array_api_compat import array_namespace
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossbook.spaces import (
    Batch,
    Box,
    ClassId,
    ClassRow,
    LogClassRow,
    Mask,
    OneOfTwo,
    Parameters,
    Row,
    Whole,
)

#: How many examples a strategy makes, of how many classes, and how many points a batch has.
EXAMPLES, CLASSES, POINTS = 4, 3, 3
#: The losses whose predictions may be infinite one by one, and tend to a limit.
OF_NUMBERS = ("regression", "binary", "multiclass", "margin")


# Examples along the first axis, whatever a loss takes as one -------------------------------------


def drawn(row, rng, count, make="draw", classes=4):
    """Arrays of examples along the first axis: a batch, or all parameters, is a single one."""
    return tuple(
        getattr(space, make)(rng, shape_of(space, count), classes) for space in row.function.spaces
    )


def shape_of(space, count):
    """The shape to draw `count` examples in."""
    return (count, POINTS) if isinstance(space, Batch) else (count,)


def each(row, function):
    """A function of a loss for examples along the first axis, also where it takes but one."""
    if not isinstance(row.prediction, Whole):
        return function

    def one_by_one(*arrays, **options):
        results = [function(*example, **options) for example in zip(*arrays, strict=True)]
        stack = np.stack if isinstance(arrays[0], np.ndarray) else array_namespace(arrays[0]).stack
        if isinstance(results[0], tuple):
            return tuple(map(stack, zip(*results, strict=True)))
        return stack(results)

    return one_by_one


def parts(result):
    """A result, or those of a tuple, as a flat list of arrays."""
    if isinstance(result, tuple):
        return [part for each_part in result for part in parts(each_part)]
    return [result]


def in_rows(gradient):
    """All gradients of an example as one row of numbers."""
    arrays = [np.asarray(part) for part in parts(gradient)]
    return np.concatenate([a.reshape(len(a), math.prod(a.shape[1:])) for a in arrays], axis=1)


def sizes_of(row):
    """Shapes that the unreduced values of a loss may have, of one, of three and of no number."""
    if isinstance(row.prediction, Whole):
        return []
    if isinstance(row.prediction, Mask):
        return [(3,), (0,)]
    return [(2, 3, 4), (0, 3)] if isinstance(row.prediction, Batch) else [(), (2, 3, 4), (0,)]


def every_pair(predictions, targets):
    """Each prediction with each target, as two arrays of equal length."""
    predictions, targets = np.asarray(predictions, np.float64), np.asarray(targets)
    pairs = np.concatenate([targets] * len(predictions))
    return np.repeat(predictions, len(targets), axis=0), pairs


def batches(loss, case, **hyperparameters):
    """All inputs of a loss: the case's special ones, those of every magnitude, moderate ones."""
    rng = np.random.default_rng(0)
    yield from case.special(**loss.hyperparameters | hyperparameters)
    yield drawn(loss, rng, 60, "magnitudes")
    yield drawn(loss, rng, 20)


def in_dtype(array, dtype):
    """An array of real numbers in another dtype; class ids as they are."""
    return array if array.dtype.kind == "i" else array.astype(dtype)


def strategy(space):
    """What hypothesis may try for an argument: EXAMPLES valid ones of moderate size."""
    low, high = max(space.low, -10), min(space.high, 10)
    if isinstance(space, Box):
        corners = numbers(low, high, (EXAMPLES, 2)), numbers(0.5, high, (EXAMPLES, 2))
        return st.tuples(*corners).map(lambda two: np.concatenate([two[0], sum(two)], axis=-1))
    if isinstance(space, LogClassRow):
        return numbers(0.01, 1, (EXAMPLES, CLASSES)).map(np.log)
    if isinstance(space, ClassId):
        return hnp.arrays(np.int64, EXAMPLES, elements=st.integers(0, CLASSES - 1))
    if isinstance(space, OneOfTwo):
        return hnp.arrays(np.float64, EXAMPLES, elements=st.sampled_from([low * 1.0, high * 1.0]))
    if isinstance(space, Parameters):
        return numbers(low, high, (EXAMPLES, space.length))
    if isinstance(space, ClassRow):
        rows = (EXAMPLES, CLASSES)
        return (
            numbers(low, high, rows)
            if math.isinf(space.low)
            else numbers(0.01, 1, rows).map(lambda array: array / array.sum(axis=-1, keepdims=True))
        )
    if isinstance(space, Row):
        batch = (POINTS,) if isinstance(space, Batch) else ()
        return numbers(low, high, (EXAMPLES, *batch, CLASSES))
    # A probability that is predicted stays away from the ends, where a slope may be infinite.
    margin = 0.01 if math.isfinite(space.high) and space.written is None else 0
    return numbers(low + margin, high - margin, EXAMPLES)


def numbers(low, high, shape):
    """Arrays of real numbers in an interval."""
    elements = st.floats(low, high, allow_subnormal=False)
    return hnp.arrays(np.float64, shape, elements=elements)


def far_apart(space, rng, count):
    """Targets at the ends of what they may be: each of a class for sure where there are classes."""
    if isinstance(space, Mask):
        return rng.integers(0, 2, (count, CLASSES)).astype(np.float64)
    if math.isinf(space.high) and not isinstance(space, ClassId):
        return space.draw(rng, shape_of(space, count), CLASSES)
    rows = space.written(rng.integers(0, CLASSES, count), np.zeros((count, CLASSES)))
    return rows if space.axes_of(rows) or rows.ndim == 1 else rows[:, 0]


def corners(case):
    """The single points of a case: its kinks, the ends of the domain, infinite predictions."""
    for *arrays, _ in (*case.kinks, *case.ends):
        yield tuple(np.array([array]) for array in arrays)
    for *arrays, _, _ in case.at_infinity:
        yield tuple(np.array([array]) for array in arrays)
