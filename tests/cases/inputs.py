"""Inputs of a loss for tests: drawn from what its prediction and its target may hold."""

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossbook.spaces import ClassId, ClassRow, OneOfTwo, Parameters

#: How many examples a strategy makes, and of how many classes.
EXAMPLES, CLASSES = 4, 3


def every_pair(predictions, targets):
    """Each prediction with each target, as two arrays of equal length."""
    predictions, targets = np.asarray(predictions, np.float64), np.asarray(targets)
    pairs = np.concatenate([targets] * len(predictions))
    return np.repeat(predictions, len(targets), axis=0), pairs


def batches(loss, case, **hyperparameters):
    """All inputs of a loss: the case's special ones, those of every magnitude, moderate ones."""
    rng = np.random.default_rng(0)
    yield from case.special(**loss.hyperparameters | hyperparameters)
    yield tuple(space.magnitudes(rng, (60,)) for space in loss.function.spaces)
    yield tuple(space.draw(rng, (20,)) for space in loss.function.spaces)


def in_dtype(array, dtype):
    """An array of real numbers in another dtype; class ids as they are."""
    return array if array.dtype.kind == "i" else array.astype(dtype)


def strategy(space):
    """What hypothesis may try for an argument: EXAMPLES valid ones of moderate size."""
    low, high = max(space.low, -10), min(space.high, 10)
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
    # A probability that is predicted stays away from the ends, where a slope may be infinite.
    margin = 0.01 if math.isfinite(space.high) and space.written is None else 0
    return numbers(low + margin, high - margin, EXAMPLES)


def numbers(low, high, shape):
    """Arrays of real numbers in an interval."""
    elements = st.floats(low, high, allow_subnormal=False)
    return hnp.arrays(np.float64, shape, elements=elements)


def far_apart(space, rng, count):
    """Targets at the ends of what they may be: each of a class for sure where there are classes."""
    if math.isinf(space.high) and not isinstance(space, ClassId):
        return space.draw(rng, (count,), CLASSES)
    rows = space.written(rng.integers(0, CLASSES, count), np.zeros((count, CLASSES)))
    return rows if space.axes_of(rows) or rows.ndim == 1 else rows[:, 0]


def corners(case):
    """The single points of a case: its kinks, the ends of the domain, infinite predictions."""
    for prediction, target, *_ in (*case.kinks, *case.ends, *case.at_infinity):
        yield np.array([prediction]), np.array([target])
