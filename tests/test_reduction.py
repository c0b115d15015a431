"""Reduction: what mean divides by, what weights do, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook import LOSSES, ignore, weigh_classes, weigh_positives
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
        # A mean lies between its values, so that it overflows only where one of them does.
        reduced = reduce(huge, reduction, weights)
        assert reduced == 1e308 if reduction == "mean" else np.all(np.isposinf(reduced))
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


LIBRARIES = pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
LENGTHS = (1, 2, 7, 49, 1000, 100_003)


@LIBRARIES
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [1.0, 0.1, 1 / 3, 1e-7, 6e4])
def test_a_mean_of_equal_values_is_that_value(value, dtype, library):
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        values = np.full(length, value, dtype)
        for weights in (None, np.ones(length), rng.uniform(0.1, 10, length)):
            given = None if weights is None else library(weights)
            assert float(reduce(library(values), weights=given)) == float(values[0])
            # Through a loss, which takes long arrays in blocks.
            loss, zeros = LOSSES["absolute_error"], library(np.zeros_like(values))
            assert float(loss.value(library(values), zeros, weights=given)) == float(values[0])


@LIBRARIES
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_types_are_summed_in_wider_ones(dtype, library):
    # Twenty million values of 2^-10 and their like: each sum below is known exactly.
    loss = LOSSES["absolute_error"]
    small = library(np.full(20_000_000, 2.0**-10, dtype))
    assert float(loss.value(small, library(np.zeros(20_000_000, dtype)))) == 2.0**-10
    residuals = library(np.full(16_384, 4.0, dtype))
    zeros = library(np.zeros(16_384, dtype))
    assert float(loss.value(residuals, zeros)) == 4.0
    total = float(loss.value(residuals, zeros, reduction="sum"))
    assert total == (65_536.0 if dtype is np.float32 else np.inf)  # beyond what float16 holds


@LIBRARIES
def test_a_float32_sum_is_that_of_float64(library):
    values = np.random.default_rng(0).exponential(size=5_000_000).astype(np.float32)
    exact = math.fsum(values.tolist())
    target = np.zeros_like(values)
    for reduction, expected in (("sum", exact), ("mean", exact / values.size)):
        found = LOSSES["absolute_error"].value(
            library(values), library(target), reduction=reduction
        )
        assert abs(float(found) - expected) <= np.spacing(np.float32(expected))


@LIBRARIES
def test_unit_weights_change_nothing_however_many_there_are(library):
    rows, ones = 100_000, np.ones(100_000)
    residuals, zeros = np.ones(rows, np.float16), np.zeros(rows, np.float16)
    value, gradient = LOSSES["absolute_error"].value_and_grad(
        library(residuals), library(zeros), weights=library(ones)
    )
    assert float(value) == 1.0
    np.testing.assert_array_equal(np.asarray(gradient), np.float16(1e-5))


@LIBRARIES
@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-6, 1e308])
def test_equal_weights_of_any_size_leave_the_mean_alone(size, library):
    values, weights = np.array([1.0, 2.0, 4.0]), np.full(3, size)
    found = float(reduce(library(values), weights=library(weights)))
    assert abs(found - 7 / 3) <= np.spacing(7 / 3)
    gradient = reduce_grad(library(values), (3,), weights=library(weights))
    np.testing.assert_allclose(np.asarray(gradient), values / 3, rtol=2**-52)
    half = np.full(3, 1e-6, np.float16)
    found = reduce(library(values.astype(np.float16)), weights=library(half))
    assert float(found) == float(np.float16(7 / 3))


@LIBRARIES
@pytest.mark.parametrize("largest", [np.finfo(np.float64).max, 1.7e308])
def test_a_mean_overflows_only_if_the_result_does(largest, library):
    for length in (3, 1000, 100_003):
        values = library(np.full(length, largest))
        assert float(reduce(values)) == largest
        assert float(reduce(values, weights=library(np.full(length, 1e308)))) == largest
        slopes = np.asarray(reduce_grad(values, (length,), weights=library(np.full(length, 1.5))))
        np.testing.assert_allclose(slopes, largest / length, rtol=1e-15)
    mixed = library(np.array([largest, largest, -largest, -largest, 4.0]))
    assert abs(float(reduce(mixed))) <= largest * 2.0**-50
    assert float(reduce(library(np.array([largest, largest, -np.inf])))) == -np.inf
    assert math.isnan(reduce(library(np.array([largest, np.inf, -np.inf]))))


@LIBRARIES
@pytest.mark.parametrize("held", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_weight_of_zero_leaves_out_whatever_the_value_holds(reduction, held, library):
    values, weights = np.array([1.0, held, 4.0]), np.array([1.0, 0.0, 3.0])
    expected = {"mean": 13 / 4, "sum": 13.0, "none": [1.0, 0.0, 12.0]}[reduction]
    found = reduce(library(values), reduction, library(weights))
    np.testing.assert_array_equal(np.asarray(found), expected)
    slopes = np.asarray(reduce_grad(library(values), (3,), reduction, library(weights)))
    assert slopes[1] == 0
    assert np.isfinite(slopes).all()


@LIBRARIES
@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint8, np.float32])
@pytest.mark.parametrize("index", [-100, 255, 0, 3])
def test_ignored_labels_are_replaced_and_weigh_nothing(index, dtype, library):
    labels = np.array([[2, index, 1], [index, 3, 0]]).astype(dtype)
    given = labels.copy()
    fit, weights = ignore(library(labels), index)
    kept = labels.astype(float) != index
    np.testing.assert_array_equal(np.asarray(weights), kept)
    np.testing.assert_array_equal(np.asarray(fit)[kept], labels[kept])
    assert set(np.asarray(fit)[~kept].tolist()) <= set(labels[kept].tolist())
    np.testing.assert_array_equal(labels, given)


@LIBRARIES
def test_a_loss_of_what_is_not_ignored_is_torchs(library):
    rng = np.random.default_rng(0)
    logits, ids = rng.normal(size=(6, 4)), np.array([0, -100, 3, 2, -100, 1])
    fit, weights = ignore(library(ids))
    value, gradient = LOSSES["softmax_cross_entropy"].value_and_grad(
        library(logits), fit, weights=weights
    )
    z = torch.tensor(logits, requires_grad=True)
    expected = F.cross_entropy(z, torch.tensor(ids))
    expected.backward()
    np.testing.assert_allclose(float(value), expected.item(), rtol=1e-14)
    np.testing.assert_allclose(np.asarray(gradient), z.grad, rtol=1e-13, atol=1e-16)  # 0 in places


def test_all_ignored_has_no_mean_and_says_so():
    fit, weights = ignore(np.array([255, 255]), 255)
    loss, logits = LOSSES["softmax_cross_entropy"], np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"weights must not sum to 0.*all 2 values are left out"):
        loss.value(logits, fit, weights=weights)
    assert loss.value(logits, fit, weights=weights, reduction="sum") == 0
    labels, weights = ignore(np.array([], int))
    assert labels.shape == weights.shape == (0,)


@pytest.mark.parametrize(
    ("labels", "index", "error", "message"),
    [
        ([1, 2], -100, TypeError, "labels must be a NumPy array"),
        (np.ma.array([1, 2]), -100, TypeError, "labels must be a plain array, got MaskedArray"),
        (np.array([1 + 0j]), -100, TypeError, "labels must hold integers or real numbers, got"),
        (np.array([1, 2]), "-100", TypeError, "index must be a number, got '-100'"),
    ],
)
def test_ignore_refuses(labels, index, error, message):
    with pytest.raises(error, match=message):
        ignore(labels, index)


CLASS_WEIGHTS = np.array([0.2, 3.0, 0.0, 40.0])


@LIBRARIES
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("of_rows", [False, True])
def test_weighed_classes_are_those_of_torch(of_rows, label_smoothing, shape, library):
    rng = np.random.default_rng(0)
    logits, ids = rng.normal(size=(*shape, 4)), np.array([0, 1, 3, 2, 1, 0]).reshape(shape)
    labels = np.eye(4)[ids] if of_rows else ids
    smoothing = {"label_smoothing": label_smoothing}
    fit, weights = weigh_classes(library(labels), library(CLASS_WEIGHTS), **smoothing)
    flat = torch.tensor(labels.reshape(6, 4) if of_rows else ids.ravel())

    def torchs(z, reduction):
        z, w = z.reshape(6, 4), torch.tensor(CLASS_WEIGHTS)
        return F.cross_entropy(z, flat, weight=w, reduction=reduction, **smoothing)

    loss, z = LOSSES["softmax_cross_entropy"], torch.tensor(logits, requires_grad=True)
    close = {"rtol": 1e-13, "atol": 1e-15}  # a class of weight 0 gives 0
    none = loss.value(library(logits), fit, weights=weights, reduction="none")
    np.testing.assert_allclose(np.asarray(none).ravel(), torchs(z, "none").detach(), **close)
    total, gradient = loss.value_and_grad(library(logits), fit, weights=weights, reduction="sum")
    torchs(z, "sum").backward()
    np.testing.assert_allclose(np.asarray(gradient), z.grad, **close)
    # What torch's mean divides by: ours is the weighted mean, which divides by the weights.
    divisor = 6 if of_rows else CLASS_WEIGHTS[ids].sum()
    np.testing.assert_allclose(float(total) / divisor, torchs(z, "mean").item(), **close)
    mean = float(loss.value(library(logits), fit, weights=weights))
    np.testing.assert_allclose(mean, float(total) / np.asarray(weights).sum(), **close)
    if not of_rows and not label_smoothing:
        np.testing.assert_allclose(mean, torchs(z, "mean").item(), **close)


@LIBRARIES
def test_weighed_positives_are_those_of_torch(library):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 3)), rng.uniform(size=(5, 3)).round(1)
    labels[0], pos_weight = [0.0, 1.0, 1.0], np.array([3.0, 0.25, 100.0])
    fit, weights = weigh_positives(library(labels), library(pos_weight))
    z = torch.tensor(logits, requires_grad=True)
    loss, w = LOSSES["sigmoid_binary_cross_entropy"], torch.tensor(pos_weight)
    total, gradient = loss.value_and_grad(library(logits), fit, weights=weights, reduction="sum")
    expected = F.binary_cross_entropy_with_logits(z, torch.tensor(labels), pos_weight=w)
    (15 * expected).backward()
    np.testing.assert_allclose(float(total) / 15, expected.item(), rtol=1e-14)
    np.testing.assert_allclose(np.asarray(gradient), z.grad, rtol=1e-12, atol=1e-15)  # cancels


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weigh_classes(np.array([0]), np.ones((1, 2))), "class_weights must have shape"),
        (lambda: weigh_classes(np.array([2]), np.ones(2)), r"labels must be class ids in \[0, 1\]"),
        (lambda: weigh_classes(np.ones((1, 3)) / 3, np.ones(2)), "labels has shape"),
        (lambda: weigh_classes(np.array([0]), np.array([1.0, -1.0])), "class_weights must lie in"),
        (lambda: weigh_classes(np.array([0]), np.ones(2), label_smoothing=2), "label_smoothing"),
        (lambda: weigh_positives(np.ones((1, 3)), np.ones(2)), "pos_weight must have shape"),
        (lambda: weigh_positives(np.ones((1, 2)), np.array([1.0, 0.0])), "pos_weight must be abo"),
        (lambda: weigh_positives(2 * np.ones((1, 2)), np.ones(2)), r"labels must lie in \[0, 1\]"),
    ],
)
def test_weights_that_fit_no_labels_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
