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


@pytest.mark.parametrize("name", [*SCALAR, *ROW, "logsumexp"])
def test_nan_in_gives_nan_out(name):
    result = getattr(numerics, name)(np.array([[0.0, np.nan, 1.0], [0.0, 1.0, 2.0]]))
    assert np.isnan(result[0]).any()
    assert not np.isnan(result[1]).any()


@pytest.mark.parametrize("name", [*SCALAR, *ROW, "logsumexp"])
def test_integers_are_refused(name):
    with pytest.raises(TypeError, match="x must hold real floating-point numbers, got dtype int64"):
        getattr(numerics, name)(np.array([0, 1]))


def test_infinite_numbers_have_their_limits():
    x = np.array([-np.inf, np.inf])
    np.testing.assert_array_equal(numerics.softplus(x), [0.0, np.inf])
    np.testing.assert_array_equal(numerics.sigmoid(x), [0.0, 1.0])


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
