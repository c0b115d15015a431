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
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from array_api_compat import array_namespace, is_numpy_array, is_torch_array

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
    doubts : what is still to be asked about values, each a list of signs, as of
        :meth:`lossbook.spaces.Space.signs`, and what to call where they are not as they should be
    options : the hyperparameters, checked
    """

    arrays: list
    dtype: object
    shape: tuple
    doubts: list[tuple[list, Callable]] = field(default_factory=list)
    options: dict = field(default_factory=dict)

    def add(self, space, name, array, given, like):
        """Take in an array, and note down what is to be asked about its values."""
        place = len(self.arrays)
        self.arrays.append(array)
        signs = [] if 0 in array.shape else space.signs(array, given, like)

        def look():
            self.arrays[place] = space.refuse(name, array, given, like)

        if signs:
            self.doubts.append((signs, look))

    def narrowed(self, result):
        """A result in the dtype that was promised: half types are computed in float32."""
        if isinstance(result, tuple):
            return tuple(map(self.narrowed, result))
        if result.dtype == self.dtype:
            return result
        return array_namespace(result).astype(result, self.dtype)


def on_each(function, gradient):
    """What `function` makes of a gradient, or of each one where several arrays have theirs."""
    return tuple(map(function, gradient)) if isinstance(gradient, tuple) else function(gradient)


def takes(*spaces, gradients=1, indivisible="", **numbers):
    """Declare what the arguments of a function hold; they are checked before it is called.

    Parameters
    ----------
    spaces : one :class:`~lossbook.spaces.Space` for each array, the prediction first
    gradients : how many of the arrays, the first ones, a loss has a gradient by; where there are
        several the gradient is a tuple of as many arrays
    indivisible : why the values of a loss can neither be weighed nor computed in parts; empty where
        each comes of its own example alone
    numbers : one :class:`~lossbook.spaces.Number` for each hyperparameter

    The declared function refuses what it cannot mean, keeps the first array's dtype and device
    (half types are computed in float32 and rounded once), and never warns. It has the attributes
    ``spaces``, ``numbers``, ``gradients``, ``indivisible``, ``unchecked`` and ``arguments``, the
    check alone.
    """

    def declare(function):
        names = list(inspect.signature(function).parameters)[: len(spaces)]

        def arguments(*arrays, **options):
            if len(arrays) != len(spaces):
                inspect.signature(function).bind(*arrays)  # raises, and names what is missing
            xp = checks.array_namespace(**dict(zip(names, arrays, strict=True)))
            like = spaces[0].form(names[0], arrays[0])
            axes = spaces[0].axes_of(like)
            checked = Arguments([], like.dtype, tuple(like.shape)[: like.ndim - axes])
            if _is_half(xp, like.dtype):
                like = xp.astype(like, xp.float32)
            if axes and is_numpy_array(like) and not like.flags.c_contiguous:
                # NumPy adds along an axis of neighbours pairwise, along another one by one.
                like = xp.ascontiguousarray(like)
            for name, value in options.items():
                checked.options[name] = (
                    numbers[name].held(name, value, xp, like.dtype) if name in numbers else value
                )
            checked.add(spaces[0], names[0], like, arrays[0], like)
            for place in range(1, len(spaces)):
                space, name, given = spaces[place], names[place], arrays[place]
                if place < gradients:
                    space.form(name, given)
                array = space.form_like(name, given, names[0], like, axes)
                checked.add(space, name, array, given, like)
            return checked

        @functools.wraps(function)
        @silent
        def declared(*arrays, **options):
            checked = arguments(*arrays, **options)
            settle(checked.doubts)
            return checked.narrowed(function(*checked.arrays, **checked.options))

        declared.spaces, declared.numbers = spaces, numbers
        declared.gradients, declared.indivisible = gradients, indivisible
        declared.unchecked, declared.arguments = function, arguments
        return declared

    return declare


@cache
def _is_half(xp, dtype):
    return xp.finfo(dtype).bits < 32


def settle(doubts):
    """Ask whether all values are fit: one question for all arguments, as in :class:`Arguments`."""
    signs = [sign for signs, _ in doubts for sign in signs]
    if signs and not _all_within(signs):
        for _, refuse in doubts:
            refuse()


def _all_within(signs):
    """Whether each sign lies in its interval."""
    first = signs[0][0]
    if not checks.is_near(first):
        within = ((sign >= low) & (sign <= high) for sign, (low, high) in signs)
        return bool(functools.reduce(operator.and_, within))
    if is_torch_array(first):
        return all(low <= sign.item() <= high for sign, (low, high) in signs)
    return all(low <= float(sign) <= high for sign, (low, high) in signs)
