"""Every public function, with arguments that any input type can hold: what test_edges tries.

The losses and what declares its spaces are found by inspection. All numbers are multiples of 1/16
below 4, or of 1/64 in rows that sum to 1, so that float16 and bfloat16 hold them as they are: the
result is then the same for every type, to its rounding.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from lossbook import LOSSES, gradcheck, intervals, metrics, numerics, optim, reduction
from lossbook.data import split_validation
from lossbook.losses import FAMILIES
from lossbook.spaces import BIT, CLASS_ID, FRACTION, LABEL_ROW, PROBABILITY, REAL, WEIGHT, ClassId
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
    margin = 1 / 16 if space is PROBABILITY or space.axes else 0
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
    """The functions that a module defines for others, and its optimisers."""
    for name, thing in vars(module).items():
        is_ours = getattr(thing, "__module__", None) == module.__name__
        if is_ours and not name.startswith("_") and (inspect.isfunction(thing) or _updates(thing)):
            yield name, thing


def _updates(thing):
    return inspect.isclass(thing) and hasattr(thing, "update") and hasattr(thing, "init")


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
    scalar = refused if row.prediction.axes else None
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


# What is no loss ----------------------------------------------------------------------------------


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


def stepped(optimiser):
    """The parameter after two steps."""

    def call(w, g):
        params, grads = [w], [g]
        state = optimiser.init(params)
        for _ in range(2):
            params, state = optimiser.update(params, grads, state)
        return params[0]

    return call


REALS = [0.5, -1.25, 2.0, 0.0625, -3.0, 1.5]
MORE = [1.0, 0.25, -2.0, 0.5, 3.0, 1.75]
IDS, OTHER_IDS, BITS = [0, 2, 1, 3, 3, 0], [0, 1, 1, 3, 2, 0], [0, 1, 1, 0, 1, 0]
UNITS = [0.25, 0.75, 0.5, 0.125, 1.0, 0.0625]
TABLE = np.reshape([*REALS, *MORE], (2, 6)).T
PROBABILITY_ROWS = example(LABEL_ROW, np.random.default_rng(1))
NO_ROW = "must not be empty"
IDS_BOTH = {"predicted_ids": (CLASS_ID, OTHER_IDS), "ids": (CLASS_ID, IDS)}
SCORED = {"scores": (REAL, REALS), "labels": (BIT, BITS)}
RANKED = {"scores": (REAL, PROBABILITY_ROWS * 4), "ids": (CLASS_ID, IDS)}
CLAIMED = {"probabilities": (LABEL_ROW, PROBABILITY_ROWS), "ids": (CLASS_ID, IDS)}
TOP = PROBABILITY_ROWS[0].max()
RIGHT = float(PROBABILITY_ROWS[0].argmax() == 0)
METRIC = {"is_float64": True, "none": NO_ROW}
DRAWS = {"is_float64": True, "infinite": {"values": "nan", "a": "nan", "b": "nan", "table": "nan"}}
FEW = "must have one dimension and at least 2 values"
STEP = {"arrays": {"params[0]": (REAL, REALS), "grads[0]": (REAL, MORE)}, "rows": True}
ADAM = STEP | {"infinite": {"grads[0]": "nan"}}
POINT = {
    "arrays": {"x": (REAL, REALS)},
    "is_float64": True,
    "rows": True,
    "infinite": {"x": "nan"},
}
SPLIT = {"images": (REAL, TABLE), "labels": (CLASS_ID, BITS)}
CHECKED = {"the prediction": (REAL, REALS), "argument 2": (REAL, MORE)}
NO_ROWS = "n/a: class weights have no rows"
WEIGHED = dict.fromkeys(("one", "none", "scalar"), NO_ROWS)


def squares(x):
    return x * x


TOLD = [
    told("accuracy", metrics.accuracy, arrays=IDS_BOTH, one=1.0, scalar=1.0, **METRIC),
    told(
        "confusion_matrix",
        metrics.confusion_matrix,
        arrays=IDS_BOTH,
        numbers={"classes": 4},
        one=np.diag([1, 0, 0, 0]),
        scalar=np.diag([1, 0, 0, 0]),
        **METRIC,
    ),
    told(
        "precision_recall_f1",
        lambda *ids, **numbers: metrics.precision_recall_f1(*ids, average="macro", **numbers),
        arrays=IDS_BOTH,
        numbers={"undefined": 0.5},
        one=[1.0, 1.0, 1.0],
        scalar=[1.0, 1.0, 1.0],
        **METRIC,
    ),
    told(
        "top_k_accuracy",
        metrics.top_k_accuracy,
        arrays=RANKED,
        numbers={"k": 2},
        one=float((-PROBABILITY_ROWS[0]).argsort(kind="stable").tolist().index(0) < 2),
        scalar="scores must have shape",
        **METRIC,
    ),
    told(
        "precision_recall_curve",
        metrics.precision_recall_curve,
        arrays=SCORED,
        one=[0.0, np.nan, 0.5],
        scalar="scores must have shape",
        nan={"labels": "refused"},
        **METRIC,
    ),
    told(
        "average_precision",
        metrics.average_precision,
        arrays=SCORED,
        one=np.nan,
        scalar="scores must have shape",
        nan={"labels": "refused"},
        **METRIC,
    ),
    told(
        "reliability_curve",
        metrics.reliability_curve,
        arrays=CLAIMED,
        numbers={"bins": 1},
        one=[TOP, RIGHT, 1],
        scalar="probabilities must have shape",
        **METRIC,
    ),
    told(
        "expected_calibration_error",
        metrics.expected_calibration_error,
        arrays=CLAIMED,
        numbers={"bins": 3},
        one=abs(TOP - RIGHT),
        scalar="probabilities must have shape",
        **METRIC,
    ),
    told(
        "iou",
        metrics.iou,
        arrays={"prediction": (BIT, BITS), "target": (BIT, IDS[:1] + BITS[:5])},
        is_float64=True,
        one=1.0,
        none=1.0,
        scalar=1.0,
        nan={"prediction": "refused", "target": "refused"},
    ),
    told(
        "mean_interval",
        intervals.mean_interval,
        arrays={"values": (REAL, REALS)},
        numbers={"level": 0.5},
        one=FEW,
        none=FEW,
        scalar=FEW,
        **DRAWS,
    ),
    told(
        "paired_difference",
        intervals.paired_difference,
        arrays={"a": (REAL, REALS), "b": (REAL, MORE)},
        numbers={"level": 0.5},
        one=FEW,
        none=FEW,
        scalar=FEW,
        **DRAWS,
    ),
    told(
        "two_way_interval",
        intervals.two_way_interval,
        arrays={"table": (REAL, TABLE)},
        numbers={"level": 0.5, "resamples": 100, "seed": 3},
        one="at least 2 of each",
        none="at least 2 of each",
        scalar="at least 2 of each",
        **DRAWS,
    ),
    told(
        "holm",
        intervals.holm,
        arrays={"p_values": (PROBABILITY, UNITS)},
        is_float64=True,
        one=[0.25],
        none="at least 1 value",
        scalar="must have one dimension",
    ),
    told(
        "wilson_interval",
        lambda successes, n, level: intervals.wilson_interval(successes, n, level),
        arrays={},
        numbers={"successes": 3, "n": 100, "level": 0.5},
    ),
    told(
        "split_validation",
        split_validation,
        arrays=SPLIT,
        numbers={"size": 2, "seed": 1},
        is_float64=True,
        one="at least 2 rows",
        none="at least 2 rows",
        scalar="labels must",
        infinite={"images": "free"},
        nan={"images": "free"},
    ),
    told("SGD", stepped(optim.SGD(0.5, 0.5, nesterov=True)), **STEP),
    told("Adam", stepped(optim.Adam(0.5)), **ADAM),
    told("AdamW", stepped(optim.AdamW(0.5)), **ADAM),
    told(
        "one_cycle",
        lambda **n: optim.one_cycle(**n)(3),
        arrays={},
        numbers={"peak": 0.5, "steps": 100},
    ),
    told(
        "cosine", lambda **n: optim.cosine(**n)(3), arrays={}, numbers={"peak": 0.5, "steps": 100}
    ),
    told("central_difference", lambda x: gradcheck.central_difference(squares, x), **POINT),
    told("complex_step", lambda x: gradcheck.complex_step(squares, x), **POINT),
    told("autograd", lambda x: gradcheck.autograd(squares, x), **POINT | {"infinite": {}}),
    told(
        "check_gradient",
        lambda *inputs: gradcheck.check_gradient("squared_error", *inputs).passed,
        arrays=CHECKED,
        is_float64=True,
        one=True,
        none="n/a: there is nothing to compare",
        scalar="n/a: the functions that it calls are tried",
        infinite=dict.fromkeys(CHECKED, "n/a: a difference of infinities says nothing"),
        nan=dict.fromkeys(CHECKED, "n/a: no gradient agrees with a NaN"),
        types=("NumPy float64",),
    ),
    told(
        "example_inputs",
        lambda **n: gradcheck.example_inputs("hinge", **n),
        arrays={},
        numbers={"size": 3, "seed": 1},
    ),
    told(
        "reduce",
        lambda values, weights: reduction.reduce(values, "mean", weights),
        arrays={"values": (REAL, REALS), "weights": (WEIGHT, UNITS)},
        one=0.5,
        scalar=0.5,
        none="mean of no values",
        infinite={"weights": "free"},
    ),
    told(
        "reduce_grad",
        lambda gradient, weights: reduction.reduce_grad(
            gradient, tuple(weights.shape), "sum", weights
        ),
        arrays={"gradient": (REAL, TABLE), "weights": (WEIGHT, UNITS)},
        rows=True,
        infinite={"weights": "free"},
    ),
    told(
        "ignore",
        reduction.ignore,
        arrays={"labels": (CLASS_ID, IDS)},
        numbers={"index": 2},
        is_float64=True,
        one=[0, 1],
        none=[],
        scalar=[0, 1],
    ),
    told(
        "weigh_classes",
        lambda weights, labels, **numbers: reduction.weigh_classes(labels, weights, **numbers),
        arrays={"class_weights": (WEIGHT, UNITS[:4]), "labels": (LABEL_ROW, PROBABILITY_ROWS)},
        numbers={"label_smoothing": 0.5},
        infinite={"class_weights": "free"},
        **WEIGHED,
    ),
    told(
        "weigh_positives",
        lambda weights, labels: reduction.weigh_positives(labels, weights),
        arrays={"pos_weight": (WEIGHT, UNITS[:4]), "labels": (FRACTION, PROBABILITY_ROWS)},
        infinite={"pos_weight": "free"},
        **WEIGHED,
    ),
    told(
        "one_hot",
        lambda like, ids: numerics.one_hot(ids, like),
        arrays={"like": (REAL, PROBABILITY_ROWS), "ids": (CLASS_ID, IDS)},
        rows=True,
        scalar="like must",
        infinite={"like": "free"},
        nan={"like": "free"},
    ),
]
TOLD = {call.name: call for call in TOLD}

#: Public functions that are not tried, and why.
NOT_TRIED = {
    "around_maximum": "the functions of a row call it, which have checked",
    "clip": "the functions of this package call it, which have checked",
    "picked": "the functions of this package call it, which have checked",
    "check_reduction": "takes the name of a reduction, no array and no number",
}
MODULES = (*FAMILIES, numerics, reduction, optim, metrics, intervals, gradcheck)
WITH_SPACES = [
    declared(
        name,
        function,
        rows=True,
        scalar="must have at least" if function.spaces[0].axes else None,
        nan={"logits": "free"} if name == "label_rows" else {},  # they are there for their shape
    )
    for name, function in public(numerics)
    if hasattr(function, "spaces")
]
CALLS = [
    *(call for row in LOSSES.values() for call in of_loss(row)),
    *WITH_SPACES,
    *TOLD.values(),
]
