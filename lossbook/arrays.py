"""Every check on an argument, and so every error message, lives here.

The functions of :mod:`lossbook` take NumPy arrays or torch tensors. They find the namespace to
compute in with :func:`array_namespace`, refuse what they cannot mean, cast targets and labels to
the dtype and device of the prediction, and never change a shape to make two arguments fit.

Each check returns the array it checked, or raises a ``TypeError`` (the wrong kind of thing) or a
``ValueError`` (the right kind with the wrong shape or value). The message names the argument, what
it got and what is accepted. A NaN is no error: it passes every check and comes out as NaN.
"""

from __future__ import annotations

import math
from numbers import Real

import array_api_compat
import numpy as np

#: Decorates every loss: an overflow to infinity is the right answer, not a reason to warn.
silent = np.errstate(all="ignore")


def array_namespace(**arrays):
    """Return the array namespace that all the arguments share.

    Parameters are given by name, so that the error can say which one is not an array.

    Raises
    ------
    TypeError
        If an argument is not an array, or if NumPy arrays and torch tensors are mixed.

    Examples
    --------
    >>> array_namespace(prediction=np.zeros(2)).__name__
    'array_api_compat.numpy'
    >>> array_namespace(prediction=[0.0, 0.0])
    Traceback (most recent call last):
    TypeError: prediction must be a NumPy array or a torch tensor, got list; wrap it in \
numpy.asarray(...)
    """
    for name, array in arrays.items():
        if not array_api_compat.is_array_api_obj(array):
            raise TypeError(
                f"{name} must be a NumPy array or a torch tensor, got {type(array).__name__}; "
                "wrap it in numpy.asarray(...)"
            )
    try:
        return array_api_compat.array_namespace(*arrays.values())
    except TypeError:
        kinds = ", ".join(f"{name} is a {_kind(array)}" for name, array in arrays.items())
        raise TypeError(f"all arguments must be of one array library, but {kinds}") from None


def real(name, array):
    """Check that `array` holds real floating-point numbers; return its namespace and itself.

    Examples
    --------
    >>> real("prediction", np.array([1, 2]))
    Traceback (most recent call last):
    TypeError: prediction must hold real floating-point numbers, got dtype int64
    """
    xp = array_namespace(**{name: array})
    if not xp.isdtype(array.dtype, "real floating"):
        raise TypeError(f"{name} must hold real floating-point numbers, got dtype {array.dtype}")
    return xp, array


def cast_like(name, array, reference_name, reference):
    """Cast real or integer `array` to the dtype and device of `reference`, shape unchanged.

    Examples
    --------
    >>> cast_like("target", np.array([1, 2]), "prediction", np.zeros(2, np.float32)).dtype
    dtype('float32')
    """
    xp = array_namespace(**{reference_name: reference, name: array})
    if not xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    array = array_api_compat.to_device(array, array_api_compat.device(reference))
    return xp.astype(array, reference.dtype, copy=False)


def same_shape(name, array, reference_name, reference):
    """Check that two arrays have one shape: broadcasting here is nearly always a bug.

    Examples
    --------
    >>> same_shape("target", np.zeros((3, 1)), "prediction", np.zeros(3))
    Traceback (most recent call last):
    ValueError: target has shape (3, 1) but prediction has shape (3,); they must be the same
    """
    if tuple(array.shape) != tuple(reference.shape):
        raise ValueError(
            f"{name} has shape {tuple(array.shape)} but {reference_name} has shape "
            f"{tuple(reference.shape)}; they must be the same"
        )
    return array


def real_pair(prediction, target, names=("prediction", "target")):
    """Check a floating-point prediction and a target of its shape; cast the target to its dtype.

    Returns
    -------
    xp, prediction, target

    Examples
    --------
    >>> xp, prediction, target = real_pair(np.array([0.5], np.float32), np.array([1]))
    >>> target
    array([1.], dtype=float32)
    """
    xp, prediction = real(names[0], prediction)
    target = cast_like(names[1], target, names[0], prediction)
    same_shape(names[1], target, names[0], prediction)
    return xp, prediction, target


def within(name, array, low=-math.inf, high=math.inf):
    """Check that every value of `array` lies in the closed interval from `low` to `high`.

    Examples
    --------
    >>> within("labels", np.array([0.0, 1.5]), 0, 1)
    Traceback (most recent call last):
    ValueError: labels must lie in [0, 1], got 1.5
    """
    xp = array_namespace(**{name: array})
    outside = (array < low) | (array > high)
    if xp.any(outside):
        interval = f"[{low}, {high}]" if high < math.inf else f"[{low}, infinity)"
        raise ValueError(f"{name} must lie in {interval}, got {_first(array, outside)}")
    return array


def one_of(name, array, first, second):
    """Check that every value of `array` is one of two numbers.

    Examples
    --------
    >>> one_of("labels", np.array([-1.0, 0.0]), -1, 1)
    Traceback (most recent call last):
    ValueError: labels must be -1 or 1, got 0.0
    """
    xp = array_namespace(**{name: array})
    # Written with < and > so that a NaN, which is neither, is let through.
    outside = (array < first) | (array > second) | ((array > first) & (array < second))
    if xp.any(outside):
        raise ValueError(f"{name} must be {first} or {second}, got {_first(array, outside)}")
    return array


def probability_rows(name, array):
    """Check that `array` holds probabilities that sum to 1 along the last axis.

    Rows may miss 1 by rounding: by the square root of the dtype's machine epsilon.

    Examples
    --------
    >>> probability_rows("labels", np.array([[0.5, 0.6]]))
    Traceback (most recent call last):
    ValueError: labels must sum to 1 along the last axis, got a row that sums to 1.1
    """
    xp = array_namespace(**{name: array})
    within(name, array, 0, 1)
    totals = xp.sum(array, axis=-1)
    off = xp.abs(totals - 1) > math.sqrt(float(xp.finfo(array.dtype).eps))
    if xp.any(off):
        raise ValueError(
            f"{name} must sum to 1 along the last axis, got a row that sums to "
            f"{_first(totals, off):.6g}"
        )
    return array


def class_ids(name, ids, reference_name, reference):
    """Check integer class ids: one for each row of `reference`, each below its last axis' length.

    Examples
    --------
    >>> class_ids("labels", np.array([3]), "logits", np.zeros((1, 3)))
    Traceback (most recent call last):
    ValueError: labels must be class ids in [0, 2], got 3
    """
    xp = array_namespace(**{reference_name: reference, name: ids})
    has_classes(reference_name, reference, 1)
    if not xp.isdtype(ids.dtype, "integral"):
        raise TypeError(
            f"{name} of shape {tuple(ids.shape)} must be class ids of an integer dtype, "
            f"got dtype {ids.dtype}"
        )
    if tuple(ids.shape) != tuple(reference.shape[:-1]):
        raise ValueError(
            f"{name} has shape {tuple(ids.shape)} but {reference_name} has shape "
            f"{tuple(reference.shape)}; class ids need shape {tuple(reference.shape[:-1])}"
        )
    classes = reference.shape[-1]
    ids = array_api_compat.to_device(ids, array_api_compat.device(reference))
    ids = xp.astype(ids, xp.int64, copy=False)
    outside = (ids < 0) | (ids >= classes)
    if xp.any(outside):
        raise ValueError(
            f"{name} must be class ids in [0, {classes - 1}], got {_first(ids, outside)}"
        )
    return ids


def has_classes(name, array, least):
    """Check that the last axis, the class axis, is at least `least` long.

    Examples
    --------
    >>> has_classes("logits", np.zeros((5, 1)), 2)
    Traceback (most recent call last):
    ValueError: logits must have at least 2 classes on the last axis, got shape (5, 1)
    """
    if array.ndim == 0 or array.shape[-1] < least:
        raise ValueError(
            f"{name} must have at least {least} class{'es' if least > 1 else ''} "
            f"on the last axis, got shape {tuple(array.shape)}"
        )
    return array


def hyperparameter(name, value, low, high=math.inf, *, open_low=False, open_high=False):
    """Check that a hyperparameter is a real number in an interval; return it as a float.

    Examples
    --------
    >>> hyperparameter("delta", 0, 0, open_low=True)
    Traceback (most recent call last):
    ValueError: delta must be a number in (0, infinity), got 0
    """
    open_high = open_high or high == math.inf
    is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if is_number:
        above = value > low if open_low else value >= low
        below = value < high if open_high else value <= high
    if not (is_number and above and below):
        interval = (
            f"{'(' if open_low else '['}{low}, "
            f"{'infinity' if high == math.inf else high}{')' if open_high else ']'}"
        )
        kind = TypeError if not is_number else ValueError
        raise kind(f"{name} must be a number in {interval}, got {value!r}")
    return float(value)


def _first(array, mask):
    """The first value of `array` where `mask` is true, as a Python number, for a message."""
    xp = array_api_compat.array_namespace(array)
    index = int(xp.argmax(xp.astype(xp.reshape(mask, (-1,)), xp.int64)))
    return xp.reshape(array, (-1,))[index].item()


def _kind(array):
    return "torch tensor" if array_api_compat.is_torch_array(array) else "NumPy array"
