"""Checks that any function may need, and the words in which it refuses: one place for messages.

Each check returns what it checked, or raises a ``TypeError`` (the wrong kind of thing) or a
``ValueError`` (the right kind with the wrong shape or value). The message names the argument, what
it got and what is accepted. A NaN is no error: it passes every check and comes out as NaN. No check
changes a shape to make two arguments fit.

What a prediction or a target may hold is told in :mod:`lossbook.spaces`, which uses these.
"""

from __future__ import annotations

import math
from functools import cache
from numbers import Integral, Real

import array_api_compat
import numpy as np

# A few questions are asked of every array of every call: their answers are remembered.
_NAMESPACES = {}

#: Decorates what must not warn: an overflow to infinity is the right answer, not a fault.
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
    kinds = set(map(type, arrays.values()))
    if len(kinds) == 1 and (xp := _NAMESPACES.get(*kinds)):
        return xp
    for name, array in arrays.items():
        if not array_api_compat.is_array_api_obj(array):
            raise TypeError(
                f"{name} must be a NumPy array or a torch tensor, got {type(array).__name__}; "
                "wrap it in numpy.asarray(...)"
            )
        not_in_disguise(name, array)
    try:
        xp = array_api_compat.array_namespace(*arrays.values())
    except TypeError:
        found = ", ".join(f"{name} is a {_kind(array)}" for name, array in arrays.items())
        raise TypeError(f"all arguments must be of one array library, but {found}") from None
    _NAMESPACES.update(dict.fromkeys(kinds, xp))
    return xp


#: Arrays that are not what they seem, and what to pass in their place.
_DISGUISES = {
    np.ma.MaskedArray: "its mask would be lost; pass the data, and the mask as weights of 0",
    np.matrix: "its * is not elementwise; pass numpy.asarray(...) of it",
}


def not_in_disguise(name, array):
    """Refuse subclasses of NumPy's array that would silently lose, or change, what they mean.

    Examples
    --------
    >>> not_in_disguise("target", np.ma.array([1.0, 2.0], mask=[False, True]))
    Traceback (most recent call last):
    TypeError: target must be a plain array, got MaskedArray: its mask would be lost; pass the \
data, and the mask as weights of 0
    """
    for kind, advice in _DISGUISES.items():
        if isinstance(array, kind):
            raise TypeError(f"{name} must be a plain array, got {type(array).__name__}: {advice}")
    return array


def plain(name, array):
    """An array, a tensor on the CPU or a list of numbers as a NumPy array; none in disguise.

    Raises
    ------
    TypeError, ValueError
        For a masked array or a matrix, a tensor on a device or with a gradient, rows of unequal
        lengths. NumPy has no bfloat16: such a tensor becomes float32, which holds all its numbers.

    Examples
    --------
    >>> plain("ids", [0, 2])
    array([0, 2])
    """
    not_in_disguise(name, array)
    if array_api_compat.is_torch_array(array):
        xp = array_namespace(**{name: array})
        if array.requires_grad or not is_near(array):
            fault = "that requires a gradient" if array.requires_grad else f"on {array.device}"
            raise TypeError(
                f"{name} must be a tensor on the CPU without a gradient, got one {fault}; "
                "pass its .detach().cpu()"
            )
        if array.dtype == xp.bfloat16:
            array = xp.astype(array, xp.float32)
    try:
        return np.asarray(array)
    except ValueError as error:
        raise ValueError(f"{name} must be an array or a list of numbers: {error}") from None


@cache
def is_kind(xp, dtype, kind):
    """Whether a dtype is of a kind: what the namespace says, remembered.

    >>> is_kind(np, np.dtype("float32"), "real floating")
    True
    """
    return xp.isdtype(dtype, kind)


def real(name, array):
    """Check that `array` holds real floating-point numbers; return its namespace and itself.

    Examples
    --------
    >>> real("prediction", np.array([1, 2]))
    Traceback (most recent call last):
    TypeError: prediction must hold real floating-point numbers, got dtype int64
    """
    xp = array_namespace(**{name: array})
    if not is_kind(xp, array.dtype, "real floating"):
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
    if not is_kind(xp, array.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return as_like(array, reference, reference.dtype)


def as_like(array, reference, dtype):
    """An array in a dtype and on the device of `reference`: itself, where it is there already."""
    if array.device != reference.device:
        array = array_api_compat.to_device(array, array_api_compat.device(reference))
    if array.dtype == dtype:
        return array
    return array_api_compat.array_namespace(array).astype(array, dtype)


def is_near(array):
    """Whether a number of `array` can be looked at without waiting: it is no tensor on a device.

    >>> is_near(np.zeros(2))
    True
    """
    return not array_api_compat.is_torch_array(array) or array.device.type == "cpu"


def same_shape(name, array, reference_name, reference):
    """Check that two arrays have one shape: broadcasting here is nearly always a bug.

    Examples
    --------
    >>> same_shape("target", np.zeros((3, 1)), "prediction", np.zeros(3))
    Traceback (most recent call last):
    ValueError: target has shape (3, 1) but prediction has shape (3,); they must be the same
    """
    return has_shape(name, array, reference_name, tuple(reference.shape))


def has_shape(name, array, reference_name, shape):
    """Check that an array has the shape of what is called `reference_name`."""
    if tuple(array.shape) != shape:
        raise ValueError(
            f"{name} has shape {tuple(array.shape)} but {reference_name} has shape {shape}; "
            "they must be the same"
        )
    return array


def within(name, array, low=-math.inf, high=math.inf):
    """Check that every value of `array` lies in the closed interval from `low` to `high`.

    Examples
    --------
    >>> within("labels", np.array([0.0, 1.5]), 0, 1)
    Traceback (most recent call last):
    ValueError: labels must lie in [0, 1], got 1.5
    """
    array_namespace(**{name: array})
    refuse_where((array < low) | (array > high), name, f"must lie in {interval(low, high)}", array)
    return array


def refuse_where(fault, name, rule, shown, words="{}"):
    """Raise a ``ValueError`` with the first entry of `shown` where `fault` is true, if any is.

    `words` is how the entry is put into the message.

    Examples
    --------
    >>> refuse_where(np.array([False, True]), "labels", "must be 0 or 1", np.array([1.0, 0.5]))
    Traceback (most recent call last):
    ValueError: labels must be 0 or 1, got 0.5
    """
    xp = array_api_compat.array_namespace(fault)
    if xp.any(fault):
        index = int(xp.argmax(xp.astype(xp.reshape(fault, (-1,)), xp.int64)))
        got = words.format(xp.reshape(shown, (-1,))[index].item())
        raise ValueError(f"{name} {rule}, got {got}")


def interval(low, high, *, open_low=False, open_high=False):
    """An interval in words.

    >>> interval(0, math.inf), interval(0, 1, open_low=True)
    ('[0, infinity)', '(0, 1]')
    """
    ends = "infinity" if high == math.inf else high
    closing = ")" if open_high or high == math.inf else "]"
    return f"{'(' if open_low else '['}{low}, {ends}{closing}"


def number(name, value, low, high=math.inf, *, open_low=False, open_high=False):
    """Check that a setting is a real number in an interval; return it as a float.

    Examples
    --------
    >>> number("delta", 0, 0, open_low=True)
    Traceback (most recent call last):
    ValueError: delta must be a number in (0, infinity), got 0
    """
    ends = interval(low, high, open_low=open_low, open_high=open_high)
    accepted = f"{name} must be a number in {ends}"
    if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{accepted}, got {value!r}")
    above = value > low if open_low else value >= low
    below = value < high if open_high or high == math.inf else value <= high
    if not (above and below):
        raise ValueError(f"{accepted}, got {value!r}")
    return float(value)


def count(name, value, least=1, most=None):
    """Check that a setting is a whole number in an interval; return it as an int.

    Examples
    --------
    >>> count("bins", np.uint8(20))
    20
    >>> count("bins", 0)
    Traceback (most recent call last):
    ValueError: bins must be an integer of at least 1, got 0
    """
    accepted = (
        f"an integer of at least {least}" if most is None else f"an integer in [{least}, {most}]"
    )
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be {accepted}, got {value!r}")
    if value < least or (most is not None and value > most):
        raise ValueError(f"{name} must be {accepted}, got {value!r}")
    return int(value)


def _kind(array):
    return "torch tensor" if array_api_compat.is_torch_array(array) else "NumPy array"
