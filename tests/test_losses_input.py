"""What the losses accept, what they refuse, and with which words."""

import inspect
import re

import numpy as np
import pytest
import torch
from cases.inputs import parts

from lossbook import LOSSES
from lossbook.gradcheck import example_inputs
from lossbook.spaces import BIT, LABEL_ROW, MEAN_AND_LOG_VARIANCE, ClassId, ClassRow, Flag

PAIRS = [
    pytest.param(name, function, id=function.__name__)
    for name, row in LOSSES.items()
    for function in (row.function, row.gradient)
]
CLASS_AXIS = [name for name, row in LOSSES.items() if isinstance(row.prediction, ClassRow)]
CLASS_IDS = [name for name, row in LOSSES.items() if isinstance(row.target, ClassId)]
INTEGERS = [(name, 1) for name in CLASS_IDS]
PLACES = [(name, place) for name, row in LOSSES.items() for place in range(len(row.arrays))]
HYPERPARAMETERS = [(name, option) for name, row in LOSSES.items() for option in row.hyperparameters]


def arguments(function):
    """The names of the array arguments."""
    return list(inspect.signature(function).parameters)[: len(function.spaces)]


def refused(function, *inputs, error, says, **options):
    with pytest.raises(error, match=re.escape(says)):
        function(*inputs, **options)


@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_lists_are_refused(name, function):
    inputs = example_inputs(name)
    for place, argument in enumerate(arguments(function)):
        given = [a.tolist() if n == place else a for n, a in enumerate(inputs)]
        refused(function, *given, error=TypeError, says=f"{argument} must be a NumPy")


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.complex128])
@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_predictions_that_are_not_real_floating_point_are_refused(name, function, dtype):
    inputs = example_inputs(name)
    for place in range(LOSSES[name].gradients):
        says = f"{arguments(function)[place]} must hold real floating-point numbers, got dtype"
        given = [np.abs(a).astype(dtype) if n == place else a for n, a in enumerate(inputs)]
        refused(function, *given, error=TypeError, says=says)


@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_numpy_and_torch_are_not_mixed(name, function):
    first, *others = example_inputs(name)
    if others:
        tensor = torch.from_numpy(first)
        refused(function, tensor, *others, error=TypeError, says="one array library")


@pytest.mark.parametrize("reshape", [lambda t: t[:, None], lambda t: t[:1], lambda t: t[0]])
@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_shapes_are_never_broadcast(name, function, reshape):
    first, *others = example_inputs(name)
    for place, array in enumerate(others):
        wrong = np.asarray(reshape(array))
        given = [wrong if n == place else a for n, a in enumerate(others)]
        says = f"^{arguments(function)[1 + place]} "
        with pytest.raises((TypeError, ValueError), match=says) as caught:
            function(first, *given)
        assert str(wrong.shape) in str(caught.value)


@pytest.mark.parametrize(("name", "which"), PLACES)
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
        first, *others = example_inputs(name)
        first.reshape(-1)[1] = bad
        for function in (LOSSES[name].function, LOSSES[name].gradient):
            named = arguments(function)[0]
            says = f"{named} must lie in [{space.low}, {space.high}], got {bad}"
            refused(function, first, *others, error=ValueError, says=says)


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
        if isinstance(row.function.numbers[option], Flag):
            for bad in ("1", 1, 0.0, None, np.ones(2)):
                says = f"{option} must be True or False, got "
                refused(function, *inputs, error=TypeError, says=says, **{option: bad})
            continue
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
@pytest.mark.parametrize(("name", "which"), [place for place in PLACES if place not in INTEGERS])
def test_nan_in_gives_nan_out(name, which, library):
    row, inputs = LOSSES[name], example_inputs(name)
    clean = row.function(*inputs), row.gradient(*inputs)
    inputs[which].reshape(-1)[1] = np.nan
    if library == "torch":
        inputs = tuple(torch.from_numpy(array) for array in inputs)
    value = np.asarray(row.function(*inputs)).reshape(-1)
    gradients = [np.asarray(gradient) for gradient in parts(row.gradient(*inputs))]
    example = 0 if inputs[which].ndim == 2 else 1  # with a last axis, the first holds entry 1
    assert np.isnan(value[0 if row.function.indivisible else example])
    assert any(np.isnan(gradient[example]).any() for gradient in gradients)
    if row.function.indivisible:
        return
    others = np.arange(5) != example
    # Up to rounding: torch is compared with NumPy here.
    np.testing.assert_allclose(value[others], clean[0][others], rtol=1e-14)
    for gradient, plain in zip(gradients, parts(clean[1]), strict=True):
        np.testing.assert_allclose(gradient[others], plain[others], rtol=1e-13)


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
    *others, labels = example_inputs(name)
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        expected = function(*others, labels)
        found = function(*others, labels.astype(dtype))
        for ours, plain in zip(parts(found), parts(expected), strict=True):
            np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_prediction_sets_the_dtype_and_no_input_is_changed(name, library):
    first, *others = example_inputs(name)
    inputs = [first.astype(np.float32), *others]
    before = [array.copy() for array in inputs]
    if library == "torch":
        inputs = [torch.from_numpy(array) for array in inputs]
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        for part in parts(function(*inputs)):
            assert part.dtype == inputs[0].dtype
    assert LOSSES[name].value(*inputs).dtype == inputs[0].dtype
    for array, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(np.asarray(array), old)


@pytest.mark.parametrize("name", [n for n, row in LOSSES.items() if not row.function.indivisible])
def test_empty_input_is_refused_for_the_mean_alone(name):
    inputs = example_inputs(name, size=0)
    for method in (LOSSES[name].value, LOSSES[name].grad, LOSSES[name].value_and_grad):
        with pytest.raises(ValueError, match="mean of no values"):
            method(*inputs)
    assert LOSSES[name].value(*inputs, reduction="sum") == 0
    assert LOSSES[name].value(*inputs, reduction="none").shape == (0,)
    gradient = LOSSES[name].grad(*inputs, reduction="sum")
    for part, array in zip(parts(gradient), inputs, strict=False):
        assert part.shape == array.shape


def test_an_empty_batch_is_refused_and_no_parameters_cost_nothing():
    empty = np.zeros((0, 3))
    for method in (LOSSES["info_nce"].function, LOSSES["info_nce"].value):
        refused(
            method, empty, empty, error=ValueError, says="must have a batch of at least 1 point"
        )
    for name in ("l1", "l2"):
        for reduction in ("mean", "sum", "none"):
            value, gradient = LOSSES[name].value_and_grad(empty, reduction=reduction)
            assert value == 0
            assert gradient.shape == empty.shape


def test_a_box_turned_inside_out_is_refused_and_shown():
    right, wrong = (
        np.array([[0.0, 0, 1, 1], [0, 0, 2, 2]]),
        np.array([[0.0, 0, 1, 1], [0, 3, 2, 2.5]]),
    )
    for library in (np.asarray, torch.as_tensor):
        for function in (LOSSES["giou"].function, LOSSES["giou"].gradient, LOSSES["giou"].value):
            for place, named in enumerate(("boxes", "other")):
                given = [library(wrong if n == place else right) for n in range(2)]
                says = f"{named} must have x1 <= x2 and y1 <= y2, got the box [0.0, 3.0, 2.0, 2.5]"
                refused(function, *given, error=ValueError, says=says)
    refused(LOSSES["giou"].function, right[:, :3], right[:, :3], error=ValueError, says="length 4")


def test_masks_need_an_axis_of_items_and_rows_an_entry():
    refused(
        LOSSES["dice"].function,
        np.asarray(0.5),
        np.asarray(1.0),
        error=ValueError,
        says="probabilities must have a first axis that counts the items, got shape ()",
    )
    empty = np.zeros((2, 0))
    refused(
        LOSSES["wasserstein_1d"].function, empty, empty, error=ValueError, says="at least 1 entry"
    )
    assert LOSSES["dice"].function(empty, empty).tolist() == [0, 0]
