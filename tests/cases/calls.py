"""Every public function, with arguments that any input type can hold: what test_edges tries.

The losses, and the building blocks that declare their spaces, are found by inspection.
"""

import numpy as np
from cases.call import declared, example, of_loss, public, told

from lossbook import (
    LOSSES,
    data,
    gradcheck,
    intervals,
    layers,
    metrics,
    numerics,
    optim,
    reduction,
)
from lossbook import torch as bridge
from lossbook.losses import FAMILIES
from lossbook.spaces import BIT, CLASS_ID, FRACTION, LABEL_ROW, PROBABILITY, REAL, WEIGHT


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
RETRIEVED = {"scores": (REAL, TABLE), "relevant": (BIT, [[0, 1], [1, 1], [0, 1]] * 2)}
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
SHARED = "n/a: the arrays do not share their first axis"
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
        "recall_at_k",
        metrics.recall_at_k,
        arrays=RETRIEVED,
        numbers={"k": 1},
        one=1.0,
        scalar="scores must have shape",
        nan={"relevant": "refused"},
        **METRIC,
    ),
    told(
        "mean_average_precision",
        metrics.mean_average_precision,
        arrays=RETRIEVED,
        one=1.0,
        scalar="scores must have shape",
        nan={"relevant": "refused"},
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
        "runs_needed",
        lambda spread, half_width, level: intervals.runs_needed(spread, half_width, level),
        arrays={},
        numbers={"spread": 0.1, "half_width": 0.1, "level": 0.5},
    ),
    told(
        "split_validation",
        data.split_validation,
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
    "load_mnist": "takes the name of a source",
    "resolve_source": "takes the name of a source",
    "load_breast_cancer": "takes nothing",
    "load_diabetes": "takes nothing",
}
MODULES = (
    *FAMILIES,
    numerics,
    reduction,
    optim,
    layers,
    metrics,
    intervals,
    gradcheck,
    data,
    bridge,
)
PICTURES = np.reshape(REALS, (6, 1, 1, 1)) * [[[1.0, 0.5], [-0.5, 2.0]]]
BOTH_WAYS = {
    "linear": ({"x": TABLE, "weight": TABLE[::-1] / 2, "bias": np.array(REALS)}, {}),
    "conv2d": (
        {"x": PICTURES, "weight": PICTURES[:, :, :1] / 2, "bias": np.array(MORE)},
        {"padding": 1},
    ),
    "max_pool2d": ({"x": PICTURES}, {"size": 2, "stride": 1, "padding": 1}),
    "relu": ({"x": TABLE}, {}),
    "flatten": ({"x": PICTURES}, {}),
}


def of_layer(name):
    """A layer's forward and backward pass; what is above it is its own output."""
    layer, (arrays, numbers) = layers.LAYERS[name], BOTH_WAYS[name]
    has_rows = not layer.learns
    for way, function in (("", layer.forward), ("_backward", layer.backward)):
        if way:
            above = np.round(16 * layer.forward(*arrays.values(), **numbers)) / 16
            arrays = {"upstream": np.clip(above, -4, 4), **arrays}
        yield told(
            name + way,
            function,
            arrays={n: (REAL, a) for n, a in arrays.items()},
            numbers=numbers,
            rows=has_rows,
            alone=name == "relu",
            one=None if has_rows else SHARED,
            none=None if has_rows else SHARED,
            scalar="x must have shape|upstream has shape" if name != "relu" else None,
            infinite=dict.fromkeys(arrays, "free"),
            # What a gradient does not depend on.
            nan=dict.fromkeys({"bias", "x"} & set(arrays), "free")
            if way and name != "relu"
            else {},
            own_types=bool(way),
            types=("NumPy float64", "NumPy narrow"),
        )


WITH_SPACES = [
    declared(
        name,
        function,
        rows=True,
        scalar="must have at least" if function.spaces[0].axes_of(np.zeros(1)) else None,
        nan={"logits": "free"} if name == "label_rows" else {},  # they are there for their shape
    )
    for name, function in public(numerics)
    if hasattr(function, "spaces")
]
CALLS = [
    *(call for row in LOSSES.values() for call in of_loss(row)),
    *WITH_SPACES,
    *(call for name in layers.LAYERS for call in of_layer(name)),
    *TOLD.values(),
]
