"""NumPy code under automatic differentiation: a tensor that NumPy's functions take for an array.

torch cannot differentiate ``np.sqrt(x)``, since NumPy would take the numbers out of the tensor.
NumPy hands its functions to arrays that say they know better, and :class:`Traced` does: it gives
them, and those of SciPy that work alike, to the function of the same name in torch.
"""

from __future__ import annotations

import numpy as np
import torch

# NumPy's names where torch has others; all else is called the same.
NAMES = {
    "absolute": "abs",
    "power": "pow",
    "true_divide": "divide",
    "max": "amax",
    "min": "amin",
    "concatenate": "cat",
    "invert": "logical_not",
}
KEYWORDS = {
    "axis": "dim",
    "keepdims": "keepdim",
    "a_min": "min",
    "a_max": "max",
    "ddof": "correction",
}
# Torch has functions of these names that give something else.
OTHERS = {"gradient", "median", "nanmedian", "sort", "unique"}


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """A tensor in the place of a NumPy array: operators, functions, methods and slices work on it.

    Raises
    ------
    TypeError
        From a function of NumPy that torch does not have, or an option of it.

    Examples
    --------
    >>> x = torch.tensor([1.0, 4.0], requires_grad=True)
    >>> np.sum(np.sqrt(Traced(x))).tensor.backward()
    >>> x.grad
    tensor([0.5000, 0.2500])
    """

    def __init__(self, tensor):
        self.tensor = tensor

    def __array_ufunc__(self, function, method, *inputs, **options):
        if method != "__call__" or options:
            return NotImplemented
        return self.__array_function__(function, (), map(_operand, inputs), {})

    def __array_function__(self, function, _types, arguments, options):
        name = NAMES.get(function.__name__, function.__name__)
        theirs = getattr(torch, name, getattr(torch.special, name, None))
        if theirs is None or name in OTHERS:
            return NotImplemented
        options = _options(name, options)
        if name in ("cat", "stack"):
            # A list of arrays, and perhaps an axis.
            arrays, *axis = arguments
            return Traced(theirs([_tensor(array) for array in arrays], *axis, **options))
        return _traced(theirs(*map(_tensor, arguments), **options))

    def __getattr__(self, name):
        if name in OTHERS:
            raise AttributeError(f"torch's {name} is another function than NumPy's")
        found = getattr(self.tensor, name)
        if not callable(found):
            return _traced(found)

        def method(*arguments, **options):
            return _traced(found(*map(_tensor, arguments), **_options(name, options)))

        return method

    def __getitem__(self, key):
        keys = key if isinstance(key, tuple) else (key,)
        return Traced(self.tensor[tuple(map(_tensor, keys))])

    def __len__(self):
        return len(self.tensor)


def _options(name, options):
    """NumPy's options as torch calls them; NumPy divides a variance by the number of values."""
    options = {KEYWORDS.get(key, key): _tensor(value) for key, value in options.items()}
    return {"correction": 0, **options} if name in ("std", "var") else options


def _tensor(value):
    """The tensor of a traced array or of a NumPy one; all else, such as an axis, as it is."""
    if isinstance(value, Traced):
        return value.tensor
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _operand(value):
    """As `_tensor`; a number becomes a tensor too, since ``torch.maximum`` takes nothing else."""
    value = _tensor(value)
    return value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64)


def _traced(value):
    return Traced(value) if isinstance(value, torch.Tensor) else value
