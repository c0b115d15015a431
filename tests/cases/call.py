"""What a test of every public function must know of one: a call of it, with examples.

All numbers are multiples of 1/16 up to 4, or of 1/64 in rows that sum to 1, so that float16 and
bfloat16 hold them as they are: the result is then the same for every type, to its rounding.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from lossbook import LOSSES
from lossbook.spaces import LABEL_ROW, PROBABILITY, Batch, ClassId, Flag, Mask, Whole
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
    alone : whether a row without the first axis gives what it gives in the array
    one : what a function of all rows gives for the first row alone, or the words of its refusal, or
        "n/a: " and why there is nothing to say
    none : the same for no rows
    scalar : the same for an array without axes in place of the first one
    infinite : what becomes of an infinity in an array: "limit" if nothing is said, else "nan",
        "refused", "free" for anything but an error, or "n/a: " and why
    nan : what becomes of a NaN in it: "nan" if nothing is said, or as for an infinity
    own_types : whether each result has the dtype of its own array, not of the first
    types : the array types that are accepted; another is refused by name of the first array
    """

    name: str
    function: Callable
    spaces: dict
    arrays: dict
    numbers: dict = field(default_factory=dict)
    is_float64: bool = False
    rows: bool = False
    alone: bool = True
    one: object = None
    none: object = None
    scalar: object = None
    infinite: dict = field(default_factory=dict)
    nan: dict = field(default_factory=dict)
    own_types: bool = False
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
    low, high = space.low, min(space.high, 4)
    margin = 1 / 16 if space is PROBABILITY or space.axes_of(array) else 0
    return np.clip(np.round(16 * array) / 16, max(low, -4) + margin, high - margin)


def number_of(space):
    """A hyperparameter in the interval, which every number type holds."""
    if isinstance(space, Flag):
        return True
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


#: What becomes of an infinity in points whose distances, or products, are compared; and in a box.
_CORNER = "n/a: x1 must not be infinity, and a box without end has no size to compare with"
INFINITE = {
    "triplet": {"anchor": "free"},
    "info_nce": {"queries": "free", "keys": "free"},
    "giou": {"boxes": _CORNER, "other": _CORNER},
}


def criterion(name, backward):
    def call(*arrays, **hyperparameters):
        module, count = as_torch(name, **hyperparameters), LOSSES[name].gradients
        if not backward:
            return module(*arrays)
        leaves = [
            x.detach().clone().requires_grad_() if torch.is_tensor(x) else x for x in arrays[:count]
        ]
        module(*leaves, *arrays[count:]).backward()
        return tuple(leaf.grad for leaf in leaves) if count > 1 else leaves[0].grad

    return call


def of_loss(row):
    """A loss's functions, its methods and its criterion."""
    refused = f"{row.arrays[0]} must"
    is_whole = isinstance(row.prediction, Whole)
    has_row = bool(row.prediction.axes_of(np.zeros(1))) or isinstance(row.prediction, Mask)
    scalar = refused if has_row else None
    infinite = INFINITE.get(row.name, {})
    none = refused if isinstance(row.prediction, Batch) else "mean of no values"
    for function in (row.function, row.gradient):
        call = declared(
            function.__name__,
            function,
            rows=True,
            alone=not isinstance(row.prediction, Mask),
            scalar=scalar,
            infinite=infinite,
        )
        if row.function.indivisible:
            # What one row gives, and none, is not what it gives among others.
            told = {"one": slice(0, 1)} | (
                {"none": slice(0, 0), "scalar": (0, 0)} if is_whole else {}
            )
            told = {
                size: function(*(np.asarray(a[at]) for a in call.arrays.values()), **call.numbers)
                for size, at in told.items()
            }
            call = replace(call, rows=False, **{"none": none} | told)
        yield call
    for reduced in ("value", "grad", "value_and_grad"):
        parts = {"value": (0,), "grad": (1,), "value_and_grad": (0, 1)}[reduced]
        for source in ("LOSSES", "as_torch") if reduced != "value_and_grad" else ("LOSSES",):
            method = getattr(row, reduced)
            if source == "as_torch":
                method = criterion(row.name, reduced == "grad")
            call = declared(f"{source}[{row.name}].{reduced}", method, row.function)
            first = {n: a[:1] for n, a in call.arrays.items()}.values()
            of_first = [f(*first, **call.numbers) for f in (row.function, row.gradient)]
            # Of one row there is one value, and the mean over it is this value.
            one = [np.sum(of_first[0]), of_first[1]]
            if is_whole:
                none = [[0.0, np.zeros(0)][part] for part in parts]
                numbers = [np.asarray(a[0, 0]) for a in call.arrays.values()]
                scalar = [f(*numbers) for f in (row.function, row.gradient)]
                scalar = [scalar[part] for part in parts]
            yield declared(
                call.name,
                method,
                row.function,
                one=[one[part] for part in parts],
                none=none,
                infinite=infinite,
                own_types=source == "as_torch" and reduced == "grad" and row.gradients > 1,
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
