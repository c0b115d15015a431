"""The stable building blocks against mpmath, where the naive forms overflow or cancel."""

import mpmath as mp
import numpy as np
import pytest
import torch

from lossbook import numerics

RNG = np.random.default_rng(0)
POINTS = np.concatenate(
    [
        [0.0, 1.0, -1.0, 36.7, -36.7, 40.0, -40.0, 88.0, -88.0, 708.0, -745.0, 800.0, -800.0],
        RNG.choice([-1, 1], 60) * 10 ** RNG.uniform(-30, 30, 60),
        4 * RNG.normal(size=40),
    ]
)
ROWS = np.concatenate(
    [
        [[0.0, 0.0, 0.0], [40.0, 0.0, -40.0], [800.0, 0.0, 799.0], [1e30, 1e30, -1e30]],
        [[-np.inf, 0.0, 1.0], [-800.0, -800.0, -801.0], [1e-30, -1e-30, 0.0]],
        RNG.choice([-1, 1], (40, 3)) * 10 ** RNG.uniform(-30, 30, (40, 3)),
        4 * RNG.normal(size=(40, 3)),
    ]
)
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}  # as for the losses that are built of them


def others(x, k):
    return mp.fsum(mp.exp(entry - x[k]) for j, entry in enumerate(x) if j != k)


def of_row(x, k, finite, masked):
    return masked if x[k] == -mp.inf else finite(others(x, k))


# Of a number, or of a row and an index.
SCALAR = {
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
}
ROW = {
    "log_softmax": lambda x, k: of_row(x, k, lambda rest: -mp.log1p(rest), -mp.inf),
    "softmax": lambda x, k: of_row(x, k, lambda rest: 1 / (1 + rest), mp.mpf(0)),
    "softmax_complement": lambda x, k: of_row(x, k, lambda rest: rest / (1 + rest), mp.mpf(1)),
}


# What a single exponential gives at once, by the names of what gives each alone.
PARTS = {
    "sigmoid_parts": (
        lambda x: (numerics.softplus(x), numerics.softplus(-x)),
        lambda x: (numerics.sigmoid(x), numerics.sigmoid(-x)),
    ),
    "softmax_parts": (
        lambda x: (numerics.log_softmax(x),),
        lambda x: (numerics.softmax(x), numerics.softmax_complement(x)),
    ),
}


def assert_close(results, truths):
    tolerance, dtype = TOLERANCES[str(results.dtype)], results.dtype
    for result, truth in zip(results.reshape(-1), truths, strict=True):
        if mp.isinf(truth) or abs(truth) > float(np.finfo(dtype).max):
            assert result == float(mp.sign(truth)) * np.inf
            continue
        with mp.workdps(60):
            # Below the smallest normal number digits are lost, and that is no fault of a formula.
            allowed = tolerance * abs(truth) + float(np.finfo(dtype).tiny)
            assert abs(mp.mpf(float(result)) - truth) <= allowed, (result, mp.nstr(truth, 20))


def call(name, x, library):
    with np.errstate(all="raise"):  # none of them warns, whatever the caller's settings
        if library == "torch":
            return getattr(numerics, name)(torch.from_numpy(x)).numpy()
        return np.asarray(getattr(numerics, name)(x))


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SCALAR)
def test_of_a_number(name, dtype, library):
    x = POINTS.astype(dtype)
    with mp.workdps(60):
        truths = [SCALAR[name](mp.mpf(float(number))) for number in x]
    assert_close(call(name, x, library), truths)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ROW)
def test_of_a_row(name, dtype, library):
    x = ROWS.astype(dtype)
    with mp.workdps(60):
        rows = [[mp.mpf(float(number)) for number in row] for row in x]
        truths = [ROW[name](row, k) for row in rows for k in range(3)]
    results = call(name, x, library)
    assert results.shape == x.shape
    assert_close(results, truths)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_logsumexp(dtype, library):
    x = ROWS.astype(dtype)
    results = call("logsumexp", x, library)
    assert results.shape == x.shape[:1]
    for row, result in zip(x, results, strict=True):
        with mp.workdps(60):
            numbers = [mp.mpf(float(number)) for number in row]
            largest = max(numbers)
            terms = [largest, mp.log(mp.fsum(mp.exp(number - largest) for number in numbers))]
            # The maximum may be negative, the logarithm is not: they can cancel.
            allowed = TOLERANCES[dtype] * mp.fsum(abs(term) for term in terms)
            assert abs(mp.mpf(float(result)) - mp.fsum(terms)) <= allowed


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PARTS)
def test_parts_are_what_each_function_gives_alone(name, dtype, library):
    x = (ROWS if name == "softmax_parts" else POINTS).astype(dtype)
    with np.errstate(all="raise"):
        parts = getattr(numerics, name)(torch.from_numpy(x) if library == "torch" else x)
        alone = [result for functions in PARTS[name] for result in functions(x)]
    for part, result in zip(parts, alone, strict=True):
        assert np.asarray(part).dtype == dtype
        # The same formula; logaddexp and the libraries' own exponentials round differently, and
        # below the smallest normal number digits are lost.
        close = {"rtol": 8 * np.finfo(dtype).eps, "atol": np.finfo(dtype).tiny}
        np.testing.assert_allclose(np.asarray(part), result, **close)


@pytest.mark.parametrize("name", [*SCALAR, *ROW, "logsumexp", *PARTS])
def test_nan_in_gives_nan_out(name):
    results = getattr(numerics, name)(np.array([[0.0, np.nan, 1.0], [0.0, 1.0, 2.0]]))
    for result in results if isinstance(results, tuple) else (results,):
        assert np.isnan(result[0]).any()
        assert not np.isnan(result[1]).any()


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2, 1.0])
def test_label_rows(library, label_smoothing):
    ids, logits = np.array([2, 0], np.uint8), np.zeros((2, 4), np.float32)
    rows = np.eye(4)[ids]
    smoothed = (1 - label_smoothing) * rows + label_smoothing / 4
    make = torch.from_numpy if library == "torch" else np.asarray
    for labels in (ids, rows):
        given = make(logits), make(labels)
        result = numerics.label_rows(*given, label_smoothing=label_smoothing)
        assert np.asarray(result).dtype == np.float32
        np.testing.assert_allclose(np.asarray(result), smoothed, rtol=1e-6)  # rounded to float32


@pytest.mark.parametrize("name", [*SCALAR, *ROW, "logsumexp", *PARTS])
def test_integers_are_refused(name):
    with pytest.raises(TypeError, match="x must hold real floating-point numbers, got dtype int64"):
        getattr(numerics, name)(np.array([0, 1]))


INF, NAN = np.inf, np.nan
# A row, and what logsumexp, log-softmax and softmax make of it.
INFINITE_ROWS = [
    ([-INF], -INF, [0.0], [1.0]),
    ([INF], INF, [0.0], [1.0]),
    ([INF, 0.0], INF, [0.0, -INF], [1.0, 0.0]),
    ([-INF, 0.0], 0.0, [-INF, 0.0], [0.0, 1.0]),
    ([0.0, INF, -INF], INF, [-INF, 0.0, -INF], [0.0, 1.0, 0.0]),
    ([-INF, -INF], -INF, [NAN, NAN], [NAN, NAN]),
    ([INF, INF], INF, [NAN, NAN], [NAN, NAN]),
    ([INF, INF, 0.0], INF, [NAN, NAN, -INF], [NAN, NAN, 0.0]),
    ([NAN, INF], NAN, [NAN, NAN], [NAN, NAN]),
]


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("row", "total", "logarithms", "shares"), INFINITE_ROWS)
def test_infinite_entries_of_a_row(row, total, logarithms, shares, dtype, library):
    x = np.array([row, row], dtype)
    shares = np.array(shares)
    np.testing.assert_array_equal(call("logsumexp", x, library), [total] * 2)
    np.testing.assert_array_equal(call("log_softmax", x, library), [logarithms] * 2)
    np.testing.assert_array_equal(call("softmax", x, library), [shares] * 2)
    np.testing.assert_array_equal(call("softmax_complement", x, library), [1 - shares] * 2)
    parts = numerics.softmax_parts(torch.from_numpy(x) if library == "torch" else x)
    for part, expected in zip(parts, (logarithms, shares, 1 - shares), strict=True):
        np.testing.assert_array_equal(np.asarray(part), [expected] * 2)


@pytest.mark.parametrize("name", [*ROW, "logsumexp", "softmax_parts"])
def test_what_works_on_a_row_needs_one(name):
    for shape in ((), (3, 0)):
        with pytest.raises(ValueError, match="x must have at least 1 class on the last axis"):
            getattr(numerics, name)(np.zeros(shape))


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_long_row_is_summed_pairwise_in_any_order_of_memory(dtype, library):
    x = np.random.default_rng(0).normal(size=(3, 200_000)).astype(dtype)
    exact = np.log(np.sum(np.exp(x.astype(np.float64)), axis=-1))
    for rows in (x, np.asfortranarray(x)):
        given = torch.from_numpy(rows) if library == "torch" else rows
        found = np.asarray(numerics.logsumexp(given))
        # One rounding to the dtype and a few of float32, in which half types are computed.
        np.testing.assert_allclose(found, exact, rtol=np.finfo(dtype).eps + 2e-7)


def test_infinite_numbers_have_their_limits():
    x = np.array([-np.inf, np.inf])
    np.testing.assert_array_equal(numerics.softplus(x), [0.0, np.inf])
    np.testing.assert_array_equal(numerics.sigmoid(x), [0.0, 1.0])
    parts = numerics.sigmoid_parts(x)
    np.testing.assert_array_equal(parts, [[0.0, np.inf], [np.inf, 0.0], [0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_one_hot(library):
    ids, like = np.array([[2, 0], [1, 1]], np.uint8), np.zeros((2, 2, 3), np.float32)
    if library == "torch":
        ids, like = torch.from_numpy(ids), torch.from_numpy(like)
    rows = np.asarray(numerics.one_hot(ids, like))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, np.eye(3)[np.asarray(ids)])


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (np.array([3]), ValueError, r"ids must be class ids in \[0, 2\], got 3"),
        (np.array([-1]), ValueError, r"ids must be class ids in \[0, 2\], got -1"),
        (np.array([1.0]), TypeError, "ids of shape .* must be class ids of an integer dtype"),
        (np.array([0, 1]), ValueError, r"ids has shape \(2,\) but like has shape \(1, 3\)"),
    ],
)
def test_one_hot_refuses_what_is_no_class_id(ids, error, message):
    with pytest.raises(error, match=message):
        numerics.one_hot(ids, np.zeros((1, 3)))
