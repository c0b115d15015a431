"""The witnesses pass a right gradient, refuse a wrong one, and say when they cannot tell."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from cases.inputs import parts

from lossbook import LOSSES
from lossbook.declaration import takes
from lossbook.gradcheck import (
    GradientCheck,
    Witness,
    autograd,
    central_difference,
    check_gradient,
    complex_step,
    example_inputs,
)
from lossbook.spaces import Batch, Mask, Whole

METHODS = ["central differences", "complex steps", "automatic differentiation"]
P, T = np.array([0.5, 3.0, -2.0]), np.array([0.0, 0.0, 1.0])


def cube(x, t=0.0):
    return (x - t) ** 3


def cube_grad(x, t=0.0):
    return 3 * (x - t) ** 2


@pytest.mark.parametrize("x", [np.asarray(2.0), P, P.reshape(3, 1), np.zeros((0, 2))])
@pytest.mark.parametrize("differentiate", [central_difference, complex_step, autograd])
def test_each_method_gives_the_derivative_in_the_shape_of_its_argument(differentiate, x):
    result = differentiate(cube, x)
    assert result.shape == x.shape
    assert result.dtype == np.float64
    # Two thirds of the digits are what central differences have.
    tolerance = 1e-9 if differentiate is central_difference else 1e-15
    np.testing.assert_allclose(result, cube_grad(x), rtol=tolerance)


@pytest.mark.parametrize("differentiate", [central_difference, complex_step, autograd])
def test_entries_that_influence_each_other(differentiate):
    def f(x):
        return (x[0] + 2 * x[1]) ** 2 + (3 * x[1] + x[2]) ** 2

    first, second = 2 * (P[0] + 2 * P[1]), 2 * (3 * P[1] + P[2])
    expected = np.array([first, 2 * first + 3 * second, second])
    np.testing.assert_allclose(differentiate(f, P), expected, rtol=1e-9)  # as above


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6, 1e100])
def test_the_step_of_central_differences_follows_the_size_of_the_entry(size):
    x = np.array([size, -3 * size])
    np.testing.assert_allclose(central_difference(lambda x: x**3, x), 3 * x**2, rtol=1e-8)


def test_central_differences_err_less_with_the_right_step_than_with_either_wrong_one():
    x = np.array([1.0])
    errors = [
        abs(central_difference(np.exp, x, step=step)[0] - np.e) for step in (1e-1, 6e-6, 1e-13)
    ]
    assert errors[1] < 1e-9  # eps^(2/3), times e
    assert errors[0] > 1e-3
    assert errors[2] > 1e-6


def test_complex_steps_keep_all_digits_where_differences_lose_them():
    x = np.array([1.5])
    assert abs(complex_step(np.exp, x)[0] / np.exp(1.5) - 1) < 1e-15


def test_complex_steps_refuse_a_function_that_drops_the_imaginary_part():
    with pytest.raises(TypeError, match="f must return complex numbers for complex ones"):
        complex_step(np.abs, P)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_passes_at_its_example_inputs(name):
    check = check_gradient(name)
    assert check.passed
    assert [witness.method for witness in check.witnesses] == METHODS
    assert all(witness.passed for witness in check.witnesses)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LOSSES)
def test_each_witness_sees_a_planted_error_in_one_entry(name, method):
    row = LOSSES[name]

    def wrong(*inputs, **hyperparameters):
        gradients = [part.copy() for part in parts(row.gradient(*inputs, **hyperparameters))]
        gradient = max(gradients, key=lambda part: np.abs(part).max())
        largest = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        gradient[largest] *= 1.0001
        return tuple(gradients) if len(gradients) > 1 else gradients[0]

    check = check_gradient(dataclasses.replace(row, gradient=wrong, joint=None))
    assert not check.passed
    (witness,) = (w for w in check.witnesses if w.method == method)
    assert not witness.passed
    assert witness.error == pytest.approx(1e-4, rel=1e-2)
    assert repr(check).count("WRONG") == 3


def test_each_witness_sees_an_error_in_the_code_of_the_value():
    row = LOSSES["huber"]

    @takes(*row.function.spaces, **row.function.numbers)
    def huber(prediction, target, *, delta=1.0):
        return 2 * row.function(prediction, target, delta=delta)

    check = check_gradient(dataclasses.replace(row, function=huber, joint=None))
    findings = {w.method: w.passed for w in check.witnesses}
    assert findings == {
        "central differences": False,
        "complex steps": True,  # of the formula, not of the code
        "automatic differentiation": False,
    }


@pytest.mark.parametrize(
    ("gradient", "passed"),
    [
        (lambda p, t: 3 * (p - t) ** 2, True),
        (lambda p, t: 3 * (p - t), False),
        (lambda p, t: -3 * (p - t) ** 2, False),
        (lambda p, t: 3 * (p - t) ** 2 / p.size, False),
        (lambda p, t: 0 * p, False),
        (lambda p, t: np.nan * p, False),
    ],
)
def test_your_own_pair_of_functions(gradient, passed):
    check = check_gradient((cube, gradient), P, T)
    assert check.passed is passed
    assert all(witness.passed is passed for witness in check.witnesses)


def test_hyperparameters_reach_both_functions():
    def value(p, t, *, power):
        return (p - t) ** power

    def gradient(p, t, *, power):
        return power * (p - t) ** (power - 1)

    assert check_gradient((value, gradient), P, T, power=4).passed
    assert check_gradient("huber", P, T, delta=0.7).passed


def huber_with_abs(p, t):
    return np.where(np.abs(p - t) <= 1, (p - t) ** 2 / 2, np.abs(p - t) - 0.5)


# Between these `np.interp` is the identity, which torch does not have.
ENDS = [-100.0, 100.0]


@pytest.mark.parametrize(
    ("value", "steps", "autodiff"),
    [
        (lambda p, t: np.exp(np.interp(p - t, ENDS, ENDS)), "TypeError", "TypeError"),
        (lambda p, t: np.abs(np.exp(p - t)), "TypeError", None),
    ],
)
def test_a_method_that_cannot_be_used_says_so(value, steps, autodiff):
    check = check_gradient((value, lambda p, t: np.exp(p - t)), P, T)
    assert check.passed
    _, complex_steps, automatic = check.witnesses
    for witness, error in ((complex_steps, steps), (automatic, autodiff)):
        expected = f"not available: {error} from the value function" if error else "error < 1e-12"
        assert witness.finding == expected


def test_a_function_that_is_not_analytic_is_not_blamed_on_the_gradient():
    check = check_gradient((huber_with_abs, lambda p, t: np.clip(p - t, -1, 1)), P, T)
    assert check.passed
    assert check.witnesses[1].finding == "not available: the value is not analytic"


FLAT = {
    "at the target": (lambda p: (p - P) ** 2, lambda p: 2 * (p - P), P),
    "at a minimum where rounding is left": (
        lambda w: np.mean((w * P - 0.1) ** 2),
        lambda w: np.array([np.mean(2 * P * (w * P - 0.1))]),
        np.array([0.1 * P.sum() / (P @ P)]),
    ),
    "of a large value": (lambda p: (p - P) ** 2 + 5, lambda p: 2 * (p - P), P),
    "a constant": (lambda p: 0 * p + 3, lambda p: 0 * p, P),
}


@pytest.mark.parametrize("case", FLAT)
def test_a_gradient_of_zero_passes_and_one_that_is_not_zero_there_does_not(case):
    value, gradient, x = FLAT[case]
    assert check_gradient((value, gradient), x).passed
    check = check_gradient((value, lambda p: gradient(p) + 1e-4), x)
    assert [w.passed for w in check.witnesses] == [False] * 3


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        *[(name, (P, P)) for name in ("squared_error", "huber", "smooth_l1", "log_cosh")],
        ("softmax_cross_entropy", (np.zeros((2, 3)), np.full((2, 3), 1 / 3))),
        ("softmax_cross_entropy", (np.zeros((2, 3)), np.array([0, 2]))),
        ("softmax_focal", (np.zeros((2, 3)), np.array([0, 2]))),
        ("generalized_cross_entropy", (np.array([[1.0, 1.0, 0.0]]), np.array([1]))),
        ("sigmoid_binary_cross_entropy", (np.zeros(3), np.full(3, 0.5))),
    ],
)
def test_a_loss_passes_at_its_minimum_and_where_logits_are_equal(name, inputs):
    assert check_gradient(name, *inputs).passed


def test_a_wrong_gradient_is_seen_beside_an_infinite_value():
    # A tenth away from 0.1 the logarithm is minus infinity.
    x = np.array([0.1, 0.5])
    pair = lambda p: -np.log(p), lambda p: -3 / p
    assert [w.passed for w in check_gradient(pair, x).witnesses] == [False] * 3


def test_a_value_that_bends_quickly_is_analytic_and_its_gradient_right():
    x = np.array([0.3, 1.0])
    pair = lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x)
    assert [w.passed for w in check_gradient(pair, x).witnesses] == [True] * 3
    wrong = pair[0], lambda x: 1001 * np.cos(1000 * x)
    assert [w.passed for w in check_gradient(wrong, x).witnesses] == [False] * 3


def test_no_witness_at_all_is_no_pass():
    assert not GradientCheck("f", 1, (Witness("central differences"),)).passed


@pytest.mark.parametrize(
    ("prediction", "error", "message"),
    [
        ([0.5, 3.0, -2.0], TypeError, "the prediction must be a NumPy array of dtype float64"),
        (P.astype(np.float32), TypeError, "dtype float64, got float32"),
    ],
)
def test_predictions_other_than_float64_are_refused(prediction, error, message):
    with pytest.raises(error, match=message):
        check_gradient("squared_error", prediction, T)


def swapped(array):
    return array.astype(array.dtype.newbyteorder("S"))


def backwards(array):
    return array[::-1].copy()[::-1]


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def strided(array):
    return np.repeat(array, 2, axis=0)[::2]


FORMS = [swapped, backwards, read_only, strided]


@pytest.mark.parametrize("form", [*FORMS, np.ndarray.tolist])
@pytest.mark.parametrize("differentiate", [central_difference, complex_step, autograd])
def test_an_array_may_have_any_form(differentiate, form):
    np.testing.assert_array_equal(differentiate(cube, form(P)), differentiate(cube, P))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("form", FORMS)
def test_a_loss_is_checked_at_arrays_of_any_form(name, form):
    inputs = example_inputs(name)
    check = check_gradient(name, *map(form, inputs))
    assert repr(check) == repr(check_gradient(name, *inputs))
    assert check.passed


@pytest.mark.parametrize("dtype", ["i1", "u1", "u2", "u4", "u8", ">i8", ">u2"])
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "multiclass_hinge"])
def test_class_ids_may_have_any_integer_dtype(name, dtype):
    prediction, ids = example_inputs(name)
    assert check_gradient(name, prediction, ids.astype(dtype)).passed


@pytest.mark.parametrize("dtype", ["i1", "u2", "u8", ">f8"])
def test_your_own_functions_take_targets_of_any_dtype(dtype):
    check = check_gradient((cube, cube_grad), P, np.array([2, 0, 1], dtype))
    assert check.passed
    assert all(witness.passed for witness in check.witnesses)


@pytest.mark.parametrize("differentiate", [central_difference, complex_step, autograd])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ma.masked_greater(P, 1), "x must be a plain array, got MaskedArray"),
        (P + 1j, "x must hold real numbers, got dtype complex128"),
        (["1"], "x must hold real numbers, got dtype <U1"),
        (None, "x must hold real numbers, got dtype object"),
    ],
)
def test_what_is_no_array_of_real_numbers_is_named(differentiate, x, message):
    with pytest.raises(TypeError, match=message):
        differentiate(cube, x)


def test_a_mask_is_not_lost():
    masked = np.ma.masked_greater(P, 1)
    with pytest.raises(TypeError, match="the prediction must be a plain array, got MaskedArray"):
        check_gradient("squared_error", masked, T)
    with pytest.raises(TypeError, match="argument 2 must be a plain array, got MaskedArray"):
        check_gradient((cube, cube_grad), P, masked)
    with pytest.raises(TypeError, match="the gradient must be a plain array, got MaskedArray"):
        check_gradient((cube, lambda p, t: np.ma.array(cube_grad(p, t))), P, T)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"the gradient has shape \(3, 1\) but the prediction"):
        check_gradient((cube, lambda p, t: cube_grad(p, t)[:, None]), P, T)


def test_what_is_printed_holds_no_digit_of_a_rounding_error():
    check = check_gradient("huber", P, T)
    assert repr(check) == (
        "gradient of huber, 3 entries: passed\n"
        "  central differences        error < 1e-06\n"
        "  complex steps              error < 1e-12\n"
        "  automatic differentiation  error < 1e-12"
    )
    assert check._repr_markdown_() == (
        "| gradient of `huber`, 3 entries | passed |\n"
        "|:--|:--|\n"
        "| central differences | error < 1e-06 |\n"
        "| complex steps | error < 1e-12 |\n"
        "| automatic differentiation | error < 1e-12 |"
    )


def test_a_failure_is_printed_plainly():
    check = check_gradient((cube, lambda p, t: cube_grad(p, t) / 2), P, T)
    assert repr(check).startswith("gradient of cube, 3 entries: FAILED\n")
    assert repr(check).count("error 0.5: WRONG") == 3
    assert "**FAILED**" in check._repr_markdown_()


@pytest.mark.parametrize("size", [(), 3, (2, 3), 0])
@pytest.mark.parametrize("name", LOSSES)
def test_example_inputs_are_accepted_and_the_same_every_time(name, size):
    inputs, again = example_inputs(name, size=size), example_inputs(name, size=size)
    for first, second in zip(inputs, again, strict=True):
        np.testing.assert_array_equal(first, second)
    shape = (size,) if isinstance(size, int) else size
    row = LOSSES[name]
    if row.function.indivisible or isinstance(row.prediction, Mask):
        # What they have one value of needs an axis of its own, and empty batches are refused.
        shape = () if isinstance(row.prediction, Whole) else shape[:1]
        if size == () or (size == 0 and isinstance(row.prediction, Batch)):
            return
        shape = (2, 3) if size == (2, 3) and isinstance(row.prediction, Batch) else shape
    assert np.shape(LOSSES[name].function(*map(np.asarray, inputs))) == shape


def test_the_module_does_not_load_torch_before_it_is_asked_to():
    code = "import sys, lossbook.gradcheck; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Several gradients --------------------------------------------------------------------------------


def product(x, y, factor=1.0):
    return factor * x * y


def product_grad(x, y, factor=1.0):
    return factor * y, factor * x


def test_your_own_gradients_by_several_arguments_are_checked_at_once():
    check = check_gradient((product, product_grad), P, T + 1, factor=2.0)
    assert check.passed
    assert check.entries == 6
    assert all(witness.passed for witness in check.witnesses)


@pytest.mark.parametrize("place", [0, 1])
def test_a_wrong_gradient_by_any_argument_is_found(place):
    def wrong(x, y):
        return tuple(g * (1.01 if n == place else 1) for n, g in enumerate(product_grad(x, y)))

    check = check_gradient((product, wrong), P, T + 1)
    assert not check.passed
    assert repr(check).count("WRONG") == 3


def test_several_gradients_must_go_with_as_many_arguments():
    says = r"the gradient of argument 2 has shape \(2,\) but argument 2 has shape \(3,\)"
    with pytest.raises(ValueError, match=says):
        check_gradient((product, lambda x, y: (y, x[:2])), P, T)
    with pytest.raises(ValueError, match="there are 3 gradients but only 2 arguments"):
        check_gradient((product, lambda x, y: (y, x, x)), P, T)
    with pytest.raises(TypeError, match="argument 2 must be a NumPy array of dtype float64"):
        check_gradient((product, product_grad), P, T.astype(int))
