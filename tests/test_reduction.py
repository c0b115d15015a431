"""Reduction: what mean divides by, what weights do, and what is refused."""

import math

import numpy as np
import pytest
import torch

from lossbook.reduction import REDUCTIONS, reduce, reduce_grad

VALUES = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
WEIGHTS = np.array([[3.0, 0.0, 1.0], [0.5, 0.25, 0.25]])

# Powers of 2, so that the results are exact; 63 / 6 and 5 in the divisor are rounded once.
EXPECTED = {
    ("none", False): VALUES,
    ("sum", False): 63.0,
    ("mean", False): 10.5,
    ("none", True): np.array([[3.0, 0.0, 4.0], [4.0, 4.0, 8.0]]),
    ("sum", True): 23.0,
    ("mean", True): 4.6,
}


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("reduction", "weighted"), EXPECTED)
def test_reduce(reduction, weighted, dtype, library):
    values, weights = VALUES.astype(dtype), WEIGHTS if weighted else None
    if library == "torch":
        values = torch.from_numpy(values)
        weights = torch.from_numpy(WEIGHTS) if weighted else None
    result = np.asarray(reduce(values, reduction, weights))
    assert result.dtype == dtype
    rounding = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(result, EXPECTED[reduction, weighted], rtol=rounding)


@pytest.mark.parametrize("trailing", [(), (2,), (2, 5)])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reduce_grad_is_the_gradient_of_reduce(reduction, weights, trailing):
    gradient = np.random.default_rng(0).normal(size=VALUES.shape + trailing)
    # The derivative of the reduced value by each unreduced one, by a unit change of it.
    slopes = np.empty(VALUES.shape)
    for index in np.ndindex(VALUES.shape):
        unit = np.zeros(VALUES.shape)
        unit[index] = 1.0
        slopes[index] = np.sum(reduce(unit, reduction, weights))
    expected = gradient * slopes.reshape(VALUES.shape + (1,) * len(trailing))
    result = reduce_grad(gradient, VALUES.shape, reduction, weights)
    np.testing.assert_allclose(result, expected, rtol=1e-15)  # a few roundings


def test_zero_dimensional_values_are_one_value():
    assert reduce(np.asarray(3.0)) == 3.0
    assert reduce(np.asarray(3.0), "sum", np.asarray(2.0)) == 6.0
    np.testing.assert_array_equal(reduce_grad(np.array([1.0, 2.0]), ()), [1.0, 2.0])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_overflow_and_nan_pass_without_a_warning(reduction):
    huge, weights = np.array([1e308, 1e308, 1e308]), np.array([10.0, 10.0, 10.0])
    with np.errstate(all="raise"):
        assert np.all(np.isposinf(reduce(huge, "sum")))
        assert np.all(np.isposinf(reduce(huge, reduction, weights)))
        assert np.all(np.isposinf(reduce_grad(huge, (3,), "none", weights)))
        assert np.isnan(reduce(np.array([np.nan, 1.0]), reduction)).any()
        assert np.isnan(reduce(np.ones(2), reduction, np.array([np.nan, 1.0]))).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reduction": "average"}, ValueError, "reduction must be one of mean, sum, none, got 'av"),
        ({"reduction": None}, ValueError, "reduction must be one of mean, sum, none, got None"),
        ({"weights": [1.0, 1.0]}, TypeError, "weights must be a NumPy array"),
        ({"weights": np.ones((2, 1))}, ValueError, r"weights has shape \(2, 1\) but the unreduced"),
        ({"weights": np.ones(3)}, ValueError, r"weights has shape \(3,\) but the unreduced loss"),
        ({"weights": np.asarray(1.0)}, ValueError, r"weights has shape \(\) but the unreduced"),
        ({"weights": np.array([1.0, -1.0])}, ValueError, r"weights must lie in .*, got -1.0"),
        ({"weights": np.zeros(2)}, ValueError, "weights must not sum to 0 under reduction='mean'"),
        ({"weights": np.ones(2) * 1j}, TypeError, "weights must hold real numbers, got dtype comp"),
        ({"weights": torch.ones(2)}, TypeError, "one array library"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    for call in (
        lambda: reduce(np.ones(2), **options),
        lambda: reduce_grad(np.ones((2, 3)), (2,), **options),
    ):
        with pytest.raises(error, match=message):
            call()


def test_weights_of_zero_are_fine_unless_the_mean_divides_by_them():
    zeros = np.zeros(2)
    assert reduce(np.ones(2), "sum", zeros) == 0.0
    np.testing.assert_array_equal(reduce(np.ones(2), "none", zeros), zeros)


def test_empty_input_has_a_sum_but_no_mean():
    empty = np.zeros((0, 3))
    assert reduce(empty, "sum") == 0.0
    assert reduce(empty, "none").shape == (0, 3)
    assert reduce_grad(np.zeros((0, 3, 2)), (0, 3), "sum").shape == (0, 3, 2)
    for weights in (None, empty):
        with pytest.raises(ValueError, match=r"the mean of no values .* shape \(0, 3\)"):
            reduce(empty, "mean", weights)
    with pytest.raises(ValueError, match="the mean of no values"):
        reduce_grad(np.zeros((0, 3)), (0,))


def test_weights_may_be_integers_or_booleans_and_take_the_dtype_of_the_values():
    values = np.array([1.0, 2.0, 4.0], np.float32)
    for weights in (np.array([1, 0, 1]), np.array([True, False, True])):
        result = reduce(values, weights=weights)
        assert result.dtype == np.float32
        assert math.isclose(result, 2.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-300, 1e-40, 1e38, 1e300, 8e307])
def test_a_mean_does_not_see_the_scale_of_its_weights(size, dtype):
    # float64 weights that float32 values could not hold, and whose sum float64 could not.
    values, weights = np.array([1.0, 2.0, 4.0, 8.0], dtype), np.array([2.0, 1.0, 0.0, 2.0])
    found = reduce(values, weights=size * weights)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, 4.0, rtol=4 * np.finfo(dtype).eps)  # rounding of the sums
    slopes = reduce_grad(np.ones(4, dtype), (4,), weights=size * weights)
    np.testing.assert_allclose(slopes, weights / 5, rtol=4 * np.finfo(dtype).eps)


def test_scaling_the_weights_loses_no_digit():
    rng = np.random.default_rng(0)
    for _ in range(20):
        # Whole numbers, and 2^10 for the sum of the weights: every result can be exact.
        weights = np.diff(np.sort(rng.integers(0, 1025, 6)), prepend=0, append=1024).astype(float)
        values = rng.integers(0, 100, 7).astype(float)
        assert reduce(values, weights=weights) == np.sum(weights * values) / 1024
