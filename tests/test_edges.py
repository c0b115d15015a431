"""Every public function with every type, layout and size of input, and numbers at the ends.

For each pair of a function and an input the result is that of the plain arrays, float64 and in C's
order, to a rounding that is stated; or it is an error that names the argument. A public function
that :mod:`cases.calls` does not know fails the test, and a pair that does not apply has a reason.
"""

import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from cases.call import is_ids, public
from cases.calls import CALLS, MODULES, NOT_TRIED

from lossbook import LOSSES, numerics
from lossbook.spaces import OneOfTwo

# Results -----------------------------------------------------------------------------------------


def flat(result):
    """All numbers of a result, whatever holds them, as one float64 array."""
    if isinstance(result, (tuple, list)):
        return np.concatenate([flat(part) for part in result] or [np.zeros(0)])
    if torch.is_tensor(result):
        result = result.detach().to(torch.float64).numpy()
    return np.asarray(result, np.float64).ravel()


def parts(result):
    return [p for part in result for p in parts(part)] if isinstance(result, tuple) else [result]


def assert_result(call, arrays, expected, *, rtol=1e-13, atol=1e-14):
    """The result of a call, in the dtype that was promised."""
    result = call(arrays)
    np.testing.assert_allclose(flat(result), flat(expected), rtol=rtol, atol=atol)
    if not call.is_float64:
        first = (call.taken(call.arrays) | arrays)[call.first]
        kind = first.dtype.newbyteorder("=") if isinstance(first, np.ndarray) else first.dtype
        for part in parts(result):
            assert part.dtype in (kind, first.dtype)


def assert_refused(call, arrays, says):
    """An error in words that name the argument."""
    with pytest.raises((TypeError, ValueError), match=says):
        call(arrays)


# Types and layouts --------------------------------------------------------------------------------


def doubled(array):
    """An array of which every other row is the given one."""
    return np.repeat(array, 2, axis=0)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


#: The same numbers, elsewhere in memory.
LAYOUTS = {
    "strided": lambda a: doubled(a)[::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "in the other order": lambda a: np.repeat(a.T, 2, axis=-1).copy()[..., ::2].T,
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "torch": lambda a: torch.from_numpy(a.copy()),
    "torch strided": lambda a: torch.from_numpy(doubled(a))[::2],
    "torch in the other order": lambda a: torch.from_numpy(a.T.copy()).permute(
        *reversed(range(a.ndim))
    ),
}
#: The same real numbers in a narrower type, ids as they are, and the type's rounding.
TYPES = {
    "float64": (lambda a: a.copy(), 0.0),
    "torch float64": (lambda a: torch.from_numpy(a.copy()), 0.0),
    "float32": (lambda a: a.astype(np.float32), 2**-24),
    "float16": (lambda a: a.astype(np.float16), 2**-11),
    "torch float32": (lambda a: torch.from_numpy(a).to(torch.float32), 2**-24),
    "torch float16": (lambda a: torch.from_numpy(a).to(torch.float16), 2**-11),
    "torch bfloat16": (lambda a: torch.from_numpy(a).to(torch.bfloat16), 2**-8),
}
#: Types of the first array of real numbers and of the others.
MIXED = {
    f"{first} with {other}": (first, other)
    for library in ("", "torch ")
    for first, other in (
        (f"{library}float32", f"{library}float64"),
        (f"{library}float64", f"{library}float32"),
        (f"{library}float16", f"{library}float64"),
        (f"{library}float32", f"{library}float16"),
    )
}
IDS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.uint64, np.dtype(">u2")]
OF_TORCH = [np.int8, np.uint8, np.int16, np.int32]
DISGUISES = {"masked": np.ma.masked_array, "a matrix": lambda a: np.atleast_2d(a).view(np.matrix)}


def kind_of(name):
    if name.startswith("torch"):
        return "torch"
    return "NumPy float64" if name in LAYOUTS or name.startswith("float64") else "NumPy narrow"


def check_arrays(call, name, arrays, rounding=0.0):
    if kind_of(name) not in call.types:
        # A criterion calls its arguments prediction and target whatever its loss does.
        assert_refused(call, arrays, f"^({'|'.join(call.arrays)}|prediction) must")
    elif not rounding or call.is_float64:
        assert_result(call, arrays, call())
    else:
        # Half types compute in float32 and round once. A sum of terms of moderate size is right to
        # float32's rounding of the terms: here they are below 100, and there are a few of them.
        assert_result(call, arrays, call(), rtol=2 * max(rounding, 2**-23), atol=1e-5)


def check_refused(call, arrays, argument):
    assert_refused(call, arrays, f"{re.escape(argument)} (must|is)|^prediction must")


def types_and_layouts(call):
    if not call.arrays:
        return
    reals = {n: a for n, a in call.arrays.items() if not is_ids(call.spaces[n])}
    for name, laid in LAYOUTS.items():
        yield name, partial(check_arrays, call, name, {n: laid(a) for n, a in call.arrays.items()})
    for name, (first, other) in ({name: (name, name) for name in TYPES} | MIXED).items():
        if not reals or (first != other and len(reals) < 2):
            yield name, "n/a: takes too few arrays of real numbers"
            continue
        if first != other and call.own_types:
            yield name, "n/a: each gradient has the type of its own array"
            continue
        rounding = TYPES[first][1]
        casts = {n: TYPES[first if n == call.first else other][0] for n in reals}
        ids = torch.from_numpy if "torch" in name else np.asarray
        arrays = {n: casts.get(n, ids)(a) for n, a in call.arrays.items()}
        yield name, partial(check_arrays, call, name, arrays, rounding)
    for argument, array in call.arrays.items():
        for name, disguise in DISGUISES.items():
            if name == "a matrix" and array.ndim > 2:
                yield f"{name} in {argument}", "n/a: a matrix has two axes"
                continue
            check = partial(check_refused, call, {argument: disguise(array)}, argument)
            yield f"{name} in {argument}", check
        for dtype in IDS if argument not in reals else ():
            name = f"{np.dtype(dtype).str} in {argument}"
            if call.types == ("torch",) and np.dtype(dtype) not in OF_TORCH:
                yield name, "n/a: torch does hardly anything with this type"
            else:
                narrow = call.taken({argument: array.astype(dtype)})
                yield name, partial(assert_result, call, narrow, call())


# Sizes --------------------------------------------------------------------------------------------


def check_told(call, arrays, told):
    arrays = call.taken(arrays)
    if isinstance(told, str):
        assert_refused(call, arrays, told)
    else:
        assert_result(call, arrays, told)


def sizes(call):
    if not call.arrays:
        return
    for name, size in (("no rows", slice(0, 0)), ("one row", slice(0, 1))):
        told = {"no rows": call.none, "one row": call.one}[name]
        arrays = {n: a[size].copy() for n, a in call.arrays.items()}
        if isinstance(told, str) and told.startswith("n/a"):
            yield name, told
        elif told is None:
            yield name, partial(check_rows, call, arrays, size)
        else:
            yield name, partial(check_told, call, arrays, told)
    flat_first = {n: np.asarray(a.flat[0]) for n, a in call.arrays.items()}
    rows = {n: np.asarray(a[0]) for n, a in call.arrays.items()}
    if isinstance(call.scalar, str) and call.scalar.startswith("n/a"):
        yield "0-d", call.scalar
    elif call.scalar is None:
        yield "0-d", partial(check_rows, call, rows, 0)
    else:
        yield "0-d", partial(check_told, call, flat_first, call.scalar)
    if call.rows and call.alone and call.scalar is not None:
        yield "a row alone", partial(check_rows, call, rows, 0)


def check_rows(call, arrays, index):
    assert call.rows
    whole, arrays = call(), call.taken(arrays)
    expected = [part[index] for part in (whole if isinstance(whole, tuple) else (whole,))]
    assert_result(call, arrays, expected)


# Numbers at the end -------------------------------------------------------------------------------

BAD = {"+inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def holds(space, number):
    """Whether an array of this space may hold an infinity; a NaN passes every check of a space."""
    if math.isnan(number):
        return True
    within = space.high == math.inf if number > 0 else space.low == -math.inf
    return within and not isinstance(space, OneOfTwo) and not getattr(space, "sums_to_one", False)


def check_value(call, argument, number, outcome, library):
    def with_first(value):
        arrays = {n: a.copy() for n, a in call.arrays.items()}
        arrays[argument].flat[0] = value
        return {n: library(a) for n, a in arrays.items()}

    if outcome == "refused":
        assert_refused(call, with_first(number), f"{re.escape(argument)} must")
        return
    found = flat(call(with_first(number)))
    if outcome == "nan":
        assert np.isnan(found).any()
        assert found.size > 1 or np.isnan(found).all()
    elif outcome == "limit":
        # What a function tends to shows at 1e30: there each has come to rest, or is past 1e20.
        large = flat(call(with_first(math.copysign(1e30, number))))
        limit = np.where(np.abs(large) > 1e20, np.copysign(math.inf, large), large)
        np.testing.assert_allclose(found, limit, rtol=1e-12, atol=1e-29)


def values(call):
    for argument, space in call.spaces.items():
        for name, number in BAD.items():
            told = call.nan if math.isnan(number) else call.infinite
            outcome = told.get(argument, "nan" if math.isnan(number) else "limit")
            outcome = outcome if holds(space, number) else "refused"
            for library in ("NumPy", "torch"):
                if outcome.startswith("n/a"):
                    yield f"{name} in {argument}, {library}", outcome
                elif is_ids(space):
                    yield f"{name} in {argument}, {library}", "n/a: integers have none"
                elif library == "torch" and library not in call.types:
                    yield f"{name} in {argument}, {library}", "n/a: takes no tensors"
                elif library == "NumPy" and "NumPy float64" not in call.types:
                    yield f"{name} in {argument}, {library}", "n/a: takes tensors alone"
                else:
                    make = np.asarray if library == "NumPy" else torch.from_numpy
                    check = partial(check_value, call, argument, number, outcome, make)
                    yield f"{name} in {argument}, {library}", check


NUMBERS = {
    int: [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64],
    float: [np.float16, np.float32, np.float64],
    bool: [np.bool_],
}


def check_number(call, name, number):
    np.testing.assert_array_equal(flat(call(**{name: number})), flat(call()))


def check_no_number(call, name, number):
    with pytest.raises(TypeError, match=f"{name} must be"):
        call(**{name: number})


def numbers(call):
    for name, number in call.numbers.items():
        for kind in NUMBERS[type(number)]:
            yield f"{kind.__name__} as {name}", partial(check_number, call, name, kind(number))
        for bad in (np.asarray(number), np.ma.masked, "1"):
            check = partial(check_no_number, call, name, bad)
            yield f"{type(bad).__name__} as {name}", check


# The pairs ----------------------------------------------------------------------------------------

PAIRS = [
    (f"{call.name}-{name}", check)
    for call in CALLS
    for pairs in (types_and_layouts, sizes, values, numbers)
    for name, check in pairs(call)
]
#: The pairs that do not apply, and why.
REASONS = {name: check for name, check in PAIRS if isinstance(check, str)}


@pytest.mark.parametrize("check", [pytest.param(c, id=n) for n, c in PAIRS if n not in REASONS])
def test_the_result_is_that_of_plain_arrays_or_an_error_that_names_the_argument(check):
    check()


def test_every_public_function_is_tried():
    tried = {call.name.partition("[")[0] for call in CALLS} | set(NOT_TRIED)
    unknown = {name for module in MODULES for name, _ in public(module)} - tried
    assert not unknown


def test_every_pair_that_does_not_apply_has_its_reason():
    assert all(re.fullmatch("n/a: .+", reason) for reason in REASONS.values())
    assert len(dict(PAIRS)) == len(PAIRS)


# Points, at ends and where they meet --------------------------------------------------------------


@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_points_that_meet_or_lie_infinitely_far_apart(dtype, library):
    origin, far = (library(np.array([x], dtype)) for x in ([0.0, 0.0], [math.inf, 1.0]))
    zero, one = (library(np.array([x], dtype)) for x in (0.0, 1.0))
    contrastive, triplet = LOSSES["contrastive"], LOSSES["triplet"]
    for a, b, same, value, by_a in (
        (origin, origin, one, 0.0, [0.0, 0.0]),
        (origin, origin, zero, 1.0, [0.0, 0.0]),
        (far, origin, one, math.inf, [math.inf, 2.0]),
        (far, origin, zero, 0.0, [0.0, 0.0]),
        (origin, origin, library(np.array([math.nan], dtype)), math.nan, [math.nan, math.nan]),
    ):
        found = contrastive.value_and_grad(a, b, same, reduction="none")
        np.testing.assert_array_equal(flat(found[0]), [value])
        np.testing.assert_array_equal(flat(found[1]), [*by_a, *np.negative(by_a)])
    # At a distance of 0 an unsquared slope has no direction; exactly at the margin there is none.
    unit = library(np.array([[1.0, 0.0]], dtype))
    for arrays, options, value, slopes in (
        ((origin, origin, unit), {"margin": 1.0}, 0.0, [0.0] * 6),
        ((origin, origin, unit), {"margin": 1.5}, 0.5, [2.0, 0, 0, 0, -2, 0]),
        ((origin, origin, unit), {"margin": 1.5, "squared": False}, 0.5, [1.0, 0, 0, 0, -1, 0]),
        ((origin, unit, origin), {"margin": 1.5, "squared": False}, 2.5, [-1.0, 0, 1, 0, 0, 0]),
        ((origin, far, unit), {}, math.inf, [-math.inf, -2, math.inf, 2, -2, 0]),
        ((origin, unit, far), {}, 0.0, [0.0] * 6),
    ):
        found = triplet.value_and_grad(*arrays, reduction="none", **options)
        np.testing.assert_array_equal(flat(found[0]), [value])
        np.testing.assert_array_equal(flat(found[1]), slopes)


@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
def test_a_large_mask_loses_no_digit_in_a_half_type(library):
    # 100,000 pixels: the sum of their halves is past what float16 holds.
    labels = np.zeros((1, 100_000), np.float16)
    labels[:, ::2] = 1
    arrays = library(np.full_like(labels, 0.5)), library(labels)
    for name, value in (("dice", 0.5), ("jaccard", 2 / 3), ("tversky", 0.5)):
        assert float(LOSSES[name].function(*arrays)[0]) == pytest.approx(value, rel=1e-3)
        assert np.isfinite(flat(LOSSES[name].gradient(*arrays))).all()


# Infinities that meet -----------------------------------------------------------------------------

INF, NAN = math.inf, math.nan
#: Rows, or predictions and their targets, in which more than one entry matters.
LIMITS = [
    ("logsumexp", [[-INF, -INF]], -INF),
    ("logsumexp", [[-INF]], -INF),
    ("logsumexp", [[INF, INF]], INF),
    ("logsumexp", [[INF, -INF]], INF),
    ("logsumexp", [[NAN, INF]], NAN),
    ("log_softmax", [[-INF]], 0.0),
    ("log_softmax", [[INF]], 0.0),
    ("log_softmax", [[INF, 0.0]], [0.0, -INF]),
    ("log_softmax", [[-INF, 0.0]], [-INF, 0.0]),
    ("log_softmax", [[INF, INF]], [NAN, NAN]),
    ("softmax", [[INF, 0.0, -INF]], [1.0, 0.0, 0.0]),
    ("softmax", [[-INF, -INF]], [NAN, NAN]),
    ("softmax_complement", [[INF, 0.0]], [0.0, 1.0]),
    ("softplus", [-INF, INF], [0.0, INF]),
    ("sigmoid", [-INF, INF], [0.0, 1.0]),
    ("poisson_nll", [-INF, -INF, INF, INF], [0.0, INF, INF, INF], [0.0, 2.0, 0.0, 2.0]),
    ("poisson_nll_grad", [-INF, -INF, INF, INF], [0.0, -2.0, INF, INF], [0.0, 2.0, 0.0, 2.0]),
    ("gaussian_nll", [[1.0, INF], [1.0, -INF], [1.0, -INF]], [INF, INF, -INF], [0.0, 0.0, 1.0]),
    ("gaussian_nll", [[INF, 0.0], [-INF, 0.0]], [INF, INF], [0.0, 0.0]),
    ("l1", [[INF, -INF]], INF),
    ("l2", [[-INF, 1.0]], INF),
    ("l1_grad", [[INF, -INF]], [1.0, -1.0]),
    ("l2_grad", [[INF, -INF]], [INF, -INF]),
    ("kl_divergence", [[-INF, 0.0], [-INF, 0.0]], [0.0, INF], [[0.0, 1.0], [0.5, 0.5]]),
    ("kl_divergence_grad", [[-INF, 0.0], [NAN, 0.0]], [-0.0, -1.0, NAN, -1.0], [[0.0, 1.0]] * 2),
    (
        "wasserstein_1d",
        [[INF, 0.0], [0.0, -INF], [INF, 0.0]],
        [INF, INF, NAN],
        [[1.0, 0.0]] * 2 + [[INF, 0.0]],
    ),
    ("wasserstein_1d_grad", [[INF, 0.0], [2.0, -INF]], [0.5, 0.0, 0.5, -0.5], [[1.0, 0.0]] * 2),
    (
        "giou",
        [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]],
        [1.0, 2.0],
        [[1.0] * 4, [3.0, 0.0, 3.0, 1.0]],
    ),
    ("giou", [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, INF, 1.0]], [0.0, NAN], [[0.0, 0.0, 1.0, 1.0]] * 2),
    ("dice", [[0.0, 0.0], [0.0, NAN], [1.0, 1.0]], [0.0, NAN, 1.0], [[0.0, 0.0]] * 3),
    ("jaccard_grad", [[0.0, 0.0], [1.0, 1.0]], [0.0] * 4, [[0.0, 0.0]] * 2),
]


@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("name", "prediction", "limit", "target"), [(*x, None)[:4] for x in LIMITS]
)
def test_an_infinity_gives_the_limit(name, prediction, limit, target, library, dtype):
    losses = {f.__name__: f for row in LOSSES.values() for f in (row.function, row.gradient)}
    function = losses.get(name) or getattr(numerics, name)
    inputs = [np.array(x, dtype) for x in (prediction, target) if x is not None]
    np.testing.assert_array_equal(flat(function(*map(library, inputs))), np.ravel(limit))
