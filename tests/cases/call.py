"""What a test of every public function must know of one: a call of it, with examples.

All numbers are multiples of 1/16 up to 4, or of 1/64 in rows that sum to 1, so that float16 and
bfloat16 hold them as they are: the result is then the same for every type, to its rounding.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from lossbook.spaces import LABEL_ROW, PROBABILITY, ClassId
from lossbook.torch import as_torch

ROWS, CLASSES = 6, 4


@dataclass(frozen=True, kw_only=True)
class Call:
    """A public function and arguments for it.

    Attributes
    ----------
    function : takes the arrays by position and the numbers by name
    spaces : what each array holds, by the name that messages call it
    arrays : examples, by the same names
    numbers : hyperparameters and counts that the function takes, valid in every number type
    is_float64 : whether results are float64 or counts whatever the inputs; else they have the first
        array's dtype
    rows : whether row i of every result comes of row i of every array
    one : what a function of all rows gives for the first row alone, or the words of its refusal, or
        "n/a: " and why there is nothing to say
    none : the same for no rows
    scalar : the same for an array without axes in place of the first one
    infinite : what becomes of an infinity in an array: "limit" if nothing is said, else "nan",
        "refused", "free" for anything but an error, or "n/a: " and why
    nan : what becomes of a NaN in it: "nan" if nothing is said, or as for an infinity
    types : the array types that are accepted; another is refused by name of the first array
    """

    name: str
    function: Callable
    spaces: dict
    arrays: dict
    numbers: dict = field(default_factory=dict)
    is_float64: bool = False
    rows: bool = False
    one: object = None
    none: object = None
    scalar: object = None
    infinite: dict = field(default_factory=dict)
    nan: dict = field(default_factory=dict)
    types: tuple = ("NumPy float64", "NumPy narrow", "torch")

    @property
    def first(self):
        return next(iter(self.arrays))

    def __call__(self, arrays=None, **numbers):
        given = self.taken(self.arrays) | (arrays or {})
        return self.function(*given.values(), **self.numbers | numbers)

    def taken(self, arrays):
        """Plain arrays, as tensors where the function takes nothing else."""
        if self.types != ("torch",):
            return arrays
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def example(space, rng):
    """Numbers that a space may hold and any floating-point type too."""
    if space is LABEL_ROW:
        return (1 + rng.multinomial(64 - CLASSES, np.full(CLASSES, 1 / CLASSES), ROWS)) / 64
    array = space.draw(rng, (ROWS,), CLASSES)
    if array.dtype.kind == "i":
        return array
    low, high = (0, 1) if space.high == 1 and space.low == 0 else (space.low, 4)
    margin = 1 / 16 if space is PROBABILITY or space.axes_of(array) else 0
    return np.clip(np.round(16 * array) / 16, max(low, -4) + margin, high - margin)


def number_of(space):
    """A hyperparameter in the interval, which every number type holds."""
    low, high = max(space.low, 0), min(space.high, 2)
    return (low + high) / 2


def declared(name, function, methods_of=None, **options):
    """A call of what says itself what it takes; `methods_of` does where `function` is a method."""
    source = methods_of or function
    names = list(inspect.signature(source).parameters)[: len(source.spaces)]
    rng = np.random.default_rng(0)
    return Call(
        name=name,
        function=function,
        spaces=dict(zip(names, source.spaces, strict=True)),
        arrays={n: example(space, rng) for n, space in zip(names, source.spaces, strict=True)},
        numbers={n: number_of(space) for n, space in source.numbers.items()},
        **options,
    )


def is_ids(space):
    """Whether integers stand in an array of this space."""
    return isinstance(space, ClassId)


def public(module):
    """The functions and optimisers that a module has for others; its `__all__` where it has one."""
    for name in getattr(module, "__all__", vars(module)):
        thing = getattr(module, name)
        is_tried = inspect.isfunction(thing) or (
            hasattr(thing, "update") and hasattr(thing, "init")
        )
        if not is_tried or name.startswith("_"):
            continue
        if hasattr(module, "__all__") or thing.__module__ == module.__name__:
            yield name, thing


# The losses ---------------------------------------------------------------------------------------


def criterion(name, backward):
    def call(prediction, target, **hyperparameters):
        module = as_torch(name, **hyperparameters)
        if not backward:
            return module(prediction, target)
        leaf = prediction.detach().clone().requires_grad_() if torch.is_tensor(prediction) else None
        module(prediction if leaf is None else leaf, target).backward()
        return leaf.grad

    return call


def of_loss(row):
    """A loss's functions, its methods and its criterion."""
    refused = f"{next(iter(inspect.signature(row.function).parameters))} must"
    scalar = refused if row.prediction.axes_of(np.zeros(1)) else None
    for function in (row.function, row.gradient):
        yield declared(function.__name__, function, rows=True, scalar=scalar)
    for reduced in ("value", "grad", "value_and_grad"):
        parts = {"value": (0,), "grad": (1,), "value_and_grad": (0, 1)}[reduced]
        for source in ("LOSSES", "as_torch") if reduced != "value_and_grad" else ("LOSSES",):
            method = getattr(row, reduced)
            if source == "as_torch":
                method = criterion(row.name, reduced == "grad")
            call = declared(f"{source}[{row.name}].{reduced}", method, row.function)
            first = {n: a[:1] for n, a in call.arrays.items()}.values()
            of_first = [f(*first, **call.numbers) for f in (row.function, row.gradient)]
            one = [of_first[0][0], of_first[1]]
            yield declared(
                call.name,
                method,
                row.function,
                one=[one[part] for part in parts],
                none="mean of no values",
                scalar=scalar or [of_first[part][0] for part in parts],
                types=("torch",) if source == "as_torch" else Call.types,
            )


def told(name, function, *, numbers=None, **options):
    """A call of what does not say what it takes; the arrays are told as (space, array)."""
    given = options.pop("arrays")
    return Call(
        name=name,
        function=function,
        spaces={n: space for n, (space, _) in given.items()},
        arrays={
            n: np.asarray(array, np.int64 if is_ids(space) else np.float64)
            for n, (space, array) in given.items()
        },
        numbers=numbers or {},
        **options,
    )
