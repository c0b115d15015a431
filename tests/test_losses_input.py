"""What the losses accept, what they refuse, and with which words."""

import inspect
import re

import numpy as np
import pytest
import torch

from lossbook import LOSSES
from lossbook.gradcheck import example_inputs
from lossbook.spaces import BIT, LABEL_ROW, MEAN_AND_LOG_VARIANCE, ClassId, ClassRow

PAIRS = [
    pytest.param(name, function, id=function.__name__)
    for name, row in LOSSES.items()
    for function in (row.function, row.gradient)
]
CLASS_AXIS = [name for name, row in LOSSES.items() if isinstance(row.prediction, ClassRow)]
CLASS_IDS = [name for name, row in LOSSES.items() if isinstance(row.target, ClassId)]
INTEGERS = [(name, 1) for name in CLASS_IDS]
HYPERPARAMETERS = [(name, option) for name, row in LOSSES.items() for option in row.hyperparameters]


def arguments(function):
    """The names of the two array arguments."""
    return list(inspect.signature(function).parameters)[:2]


def refused(function, *inputs, error, says, **options):
    with pytest.raises(error, match=re.escape(says)):
        function(*inputs, **options)


@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_lists_are_refused(name, function):
    prediction, target = example_inputs(name)
    first, second = arguments(function)
    refused(function, prediction.tolist(), target, error=TypeError, says=f"{first} must be a NumPy")
    says = f"{second} must be a NumPy"
    refused(function, prediction, target.tolist(), error=TypeError, says=says)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.complex128])
@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_predictions_that_are_not_real_floating_point_are_refused(name, function, dtype):
    prediction, target = example_inputs(name)
    says = f"{arguments(function)[0]} must hold real floating-point numbers, got dtype"
    refused(function, prediction.astype(dtype), target, error=TypeError, says=says)


@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_numpy_and_torch_are_not_mixed(name, function):
    prediction, target = example_inputs(name)
    refused(
        function, torch.from_numpy(prediction), target, error=TypeError, says="one array library"
    )


@pytest.mark.parametrize("reshape", [lambda t: t[:, None], lambda t: t[:1], lambda t: t[0]])
@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_shapes_are_never_broadcast(name, function, reshape):
    prediction, target = example_inputs(name)
    wrong = np.asarray(reshape(target))
    with pytest.raises((TypeError, ValueError), match=f"^{arguments(function)[1]} ") as caught:
        function(prediction, wrong)
    assert str(wrong.shape) in str(caught.value)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", LOSSES)
def test_numbers_that_an_argument_may_not_hold_are_refused(name, which):
    row = LOSSES[name]
    for bad in row.function.spaces[which].refused:
        inputs = example_inputs(name)
        inputs[which].reshape(-1)[2] = bad
        for call in (row.function, row.gradient, row.value, row.grad, row.value_and_grad):
            says = f"^{arguments(row.function)[which]} must .*, got "
            with pytest.raises(ValueError, match=says):
                call(*inputs)


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].prediction.refused])
def test_the_message_shows_the_interval_and_the_number(name):
    space = LOSSES[name].prediction
    for bad in space.refused:
        prediction, target = example_inputs(name)
        prediction.reshape(-1)[1] = bad
        for function in (LOSSES[name].function, LOSSES[name].gradient):
            first = arguments(function)[0]
            says = f"{first} must lie in [{space.low}, {space.high}], got {bad}"
            refused(function, prediction, target, error=ValueError, says=says)


@pytest.mark.parametrize("dtype", [np.float64, np.bool_])
@pytest.mark.parametrize("name", CLASS_IDS)
def test_class_ids_must_be_integers(name, dtype):
    prediction, target = example_inputs(name)
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        says = f"labels of shape {target.shape} must be class ids of an integer dtype"
        refused(function, prediction, target.astype(dtype), error=TypeError, says=says)


@pytest.mark.parametrize("name", [n for n in CLASS_AXIS if LOSSES[n].prediction.least == 2])
def test_two_classes_are_needed_where_one_is_compared_with_the_others(name):
    says = "logits must have at least 2 classes"
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        refused(function, np.zeros((3, 1)), np.zeros(3, int), error=ValueError, says=says)


@pytest.mark.parametrize("name", CLASS_AXIS)
def test_a_prediction_without_a_class_axis_is_refused(name):
    says = f"{arguments(LOSSES[name].function)[0]} must have at least"
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        target = np.asarray(1.0 if LOSSES[name].target is LABEL_ROW else 0)
        refused(function, np.asarray(0.5), target, error=ValueError, says=says)


@pytest.mark.parametrize("shape", [(), (4, 1), (4, 3)])
@pytest.mark.parametrize(
    "name", [n for n in LOSSES if LOSSES[n].prediction is MEAN_AND_LOG_VARIANCE]
)
def test_a_mean_and_a_log_variance_need_a_last_axis_of_two(name, shape):
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        says = "prediction must hold mean and log-variance on a last axis of length 2"
        refused(function, np.zeros(shape), np.zeros(4), error=ValueError, says=says)


@pytest.mark.parametrize(("name", "option"), HYPERPARAMETERS)
def test_bad_hyperparameters_are_refused(name, option):
    inputs, row = example_inputs(name), LOSSES[name]
    for function in (row.function, row.gradient, row.value, row.grad, row.value_and_grad):
        says = f"{option} must be a number in"
        for bad in row.function.numbers[option].refused:
            refused(function, *inputs, error=ValueError, says=says, **{option: bad})
        for bad in ("1", True, np.ones(2), 1j):
            refused(function, *inputs, error=TypeError, says=says, **{option: bad})


@pytest.mark.parametrize("name", LOSSES)
def test_an_unknown_hyperparameter_is_refused_by_name(name):
    for method in (LOSSES[name].value, LOSSES[name].grad, LOSSES[name].value_and_grad):
        with pytest.raises(TypeError, match="has no hyperparameter 'slope'; it accepts:"):
            method(*example_inputs(name), slope=1.0)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("name", "which"), [(n, i) for i in (0, 1) for n in LOSSES if (n, i) not in INTEGERS]
)
def test_nan_in_gives_nan_out(name, which, library):
    inputs = example_inputs(name)
    clean = LOSSES[name].function(*inputs), LOSSES[name].gradient(*inputs)
    inputs[which].reshape(-1)[1] = np.nan
    if library == "torch":
        inputs = tuple(torch.from_numpy(array) for array in inputs)
    value = np.asarray(LOSSES[name].function(*inputs)).reshape(-1)
    gradient = np.asarray(LOSSES[name].gradient(*inputs))
    example = 0 if inputs[which].ndim == 2 else 1  # with a last axis, the first holds entry 1
    assert np.isnan(value[example])
    assert np.isnan(gradient[example]).any()
    others = np.arange(5) != example
    # Up to rounding: torch is compared with NumPy here.
    np.testing.assert_allclose(value[others], clean[0][others], rtol=1e-14)
    np.testing.assert_allclose(gradient[others], clean[1][others], rtol=1e-13)


def test_a_nan_is_not_lost_where_a_factor_is_zero():
    nan, one, zero = np.array([np.nan]), np.array([1.0]), np.array([0.0])
    for label in (zero, one):
        assert np.isnan(LOSSES["binary_cross_entropy"].function(nan, label))
        assert np.isnan(LOSSES["sigmoid_binary_cross_entropy"].function(nan, label))
        assert np.isnan(LOSSES["sigmoid_focal"].function(nan, label, gamma=0.0))
        assert np.isnan(LOSSES["sigmoid_focal"].gradient(nan, label, gamma=0.0))
    rows, labels = np.array([[np.nan, 1.0]]), np.array([[0.0, 1.0]])
    assert np.isnan(LOSSES["categorical_cross_entropy"].function(rows, labels))
    assert np.isnan(LOSSES["categorical_cross_entropy"].gradient(rows, labels)[0, 0])
    assert np.isnan(LOSSES["softmax_cross_entropy"].function(rows, labels))
    exact_mean = np.array([[2.0, np.nan]])
    assert np.isnan(LOSSES["gaussian_nll"].gradient(exact_mean, np.array([2.0]))).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint64])
@pytest.mark.parametrize("name", CLASS_IDS)
def test_class_ids_may_be_of_any_integer_dtype(name, dtype):
    logits, ids = example_inputs(name)
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        expected = function(logits, ids)
        np.testing.assert_array_equal(function(logits, ids.astype(dtype)), expected)
        if dtype not in (np.uint16, np.uint64):  # torch supports these two in part only
            of_torch = function(torch.from_numpy(logits), torch.from_numpy(ids.astype(dtype)))
            np.testing.assert_allclose(of_torch.numpy(), expected, rtol=1e-13)


def test_ids_beyond_255_classes_do_not_wrap():
    logits = np.zeros((1, 300))
    with pytest.raises(ValueError, match=r"labels must be class ids in \[0, 299\], got 300"):
        LOSSES["softmax_cross_entropy"].function(logits, np.array([300], np.uint16))
    gradient = LOSSES["softmax_cross_entropy"].gradient(logits, np.array([255], np.uint8))
    assert gradient.argmin() == 255


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64])
@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].target is BIT])
def test_binary_labels_may_be_booleans_or_integers(name, dtype):
    logits, labels = example_inputs(name)
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        expected = function(logits, labels)
        np.testing.assert_array_equal(function(logits, labels.astype(dtype)), expected)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_prediction_sets_the_dtype_and_no_input_is_changed(name, library):
    prediction, target = example_inputs(name)
    prediction = prediction.astype(np.float32)
    before = prediction.copy(), target.copy()
    if library == "torch":
        prediction, target = torch.from_numpy(prediction), torch.from_numpy(target)
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        assert function(prediction, target).dtype == prediction.dtype
    assert LOSSES[name].value(prediction, target).dtype == prediction.dtype
    np.testing.assert_array_equal(np.asarray(prediction), before[0])
    np.testing.assert_array_equal(np.asarray(target), before[1])


@pytest.mark.parametrize("name", LOSSES)
def test_empty_input_is_refused_for_the_mean_alone(name):
    inputs = example_inputs(name, size=0)
    for method in (LOSSES[name].value, LOSSES[name].grad, LOSSES[name].value_and_grad):
        with pytest.raises(ValueError, match="mean of no values"):
            method(*inputs)
    assert LOSSES[name].value(*inputs, reduction="sum") == 0
    assert LOSSES[name].value(*inputs, reduction="none").shape == (0,)
    assert LOSSES[name].grad(*inputs, reduction="sum").shape == inputs[0].shape
