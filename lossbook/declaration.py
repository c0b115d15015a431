"""The declaration above a function: what each argument holds, so that its body is mathematics only.

    >>> import numpy as np
    >>> from lossbook.spaces import POSITIVE, REAL
    >>> @takes(REAL, REAL, scale=POSITIVE)
    ... def scaled(prediction, target, /, *, scale=1.0):
    ...     return (prediction - target) / scale
    >>> scaled(np.array([3.0]), np.array([1.0]), scale=4)
    array([0.5])
    >>> scaled(np.array([3.0]), np.array([[1.0]]))
    Traceback (most recent call last):
    ValueError: target has shape (1, 1) but prediction has shape (1,); they must be the same
    >>> scaled.unchecked(np.array([3.0]), np.array([[1.0]]))
    array([[2.]])

The function as written is kept as ``unchecked``: it is for callers that have checked already, and
for compilers, ``torch.compile`` and ``jax.jit``, in which values cannot be looked at.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

from array_api_compat import array_namespace

from lossbook import checks
from lossbook.checks import silent


@dataclass
class Arguments:
    """The arguments of one call after their dtypes and shapes were checked.

    Attributes
    ----------
    arrays : predictions and targets, in the dtype to compute in
    dtype : that of the result: the first prediction's own
    shape : that of the unreduced values
    doubts : for each rule on values, a boolean array that is true if it is kept, and what to call
        if it is not
    """

    arrays: list
    dtype: object
    shape: tuple
    doubts: list[tuple[object, Callable]] = field(default_factory=list)

    def add(self, space, name, array, given, like):
        """Take in an array, and note down what is to be asked about its values."""
        self.arrays.append(array)
        if 0 in array.shape:
            return
        fine = space.fine(array, given, like)
        if fine is not None:
            self.doubts.append((fine, lambda: space.refuse(name, array, given, like)))

    def settle(self):
        """Ask whether all rules are kept: one question for all arguments."""
        if self.doubts and not functools.reduce(lambda a, b: a & b, (f for f, _ in self.doubts)):
            for _, refuse in self.doubts:
                refuse()

    def narrowed(self, result):
        """A result in the dtype that was promised: half types are computed in float32."""
        if isinstance(result, tuple):
            return tuple(map(self.narrowed, result))
        if result.dtype == self.dtype:
            return result
        return array_namespace(result).astype(result, self.dtype)


def takes(*spaces, **numbers):
    """Declare what the arguments of a function hold; they are checked before it is called.

    Parameters
    ----------
    spaces : one :class:`~lossbook.spaces.Space` for each array, the prediction first
    numbers : one :class:`~lossbook.spaces.Number` for each hyperparameter

    The declared function refuses what it cannot mean, keeps the first array's dtype and device
    (half types are computed in float32 and rounded once), and never warns. It has the attributes
    ``spaces``, ``numbers``, ``unchecked`` and ``arguments``, the check alone.
    """

    def declare(function):
        names = list(inspect.signature(function).parameters)[: len(spaces)]

        def arguments(*arrays):
            if len(arrays) != len(spaces):
                inspect.signature(function).bind(*arrays)  # raises, and names what is missing
            checks.array_namespace(**dict(zip(names, arrays, strict=True)))
            like = spaces[0].form(names[0], arrays[0])
            axes = spaces[0].axes
            checked = Arguments([], like.dtype, tuple(like.shape)[: like.ndim - axes])
            like = _widened(like)
            checked.add(spaces[0], names[0], like, arrays[0], like)
            for space, name, given in zip(spaces[1:], names[1:], arrays[1:], strict=True):
                array = space.form_like(name, given, names[0], like, axes)
                checked.add(space, name, array, given, like)
            return checked

        @functools.wraps(function)
        @silent
        def declared(*arrays, **options):
            options = {
                name: numbers[name].checked(name, value) if name in numbers else value
                for name, value in options.items()
            }
            checked = arguments(*arrays)
            checked.settle()
            return checked.narrowed(function(*checked.arrays, **options))

        declared.spaces, declared.numbers = spaces, numbers
        declared.unchecked, declared.arguments = function, arguments
        return declared

    return declare


def _widened(array):
    """Half types as float32, others as they are."""
    xp = array_namespace(array)
    if xp.finfo(array.dtype).bits < 32:
        return xp.astype(array, xp.float32)
    return array
