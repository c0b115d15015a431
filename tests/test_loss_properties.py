"""Laws that the losses obey, tried on inputs that hypothesis looks for."""

import numpy as np
import pytest
import torch
from cases.inputs import CLASSES, numbers, strategy
from cases.inputs import EXAMPLES as N
from cases.table import CASES
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossbook import LOSSES
from lossbook.numerics import sigmoid, softmax
from lossbook.spaces import (
    BIT,
    CLASS_ID,
    CLASS_LOGITS,
    FRACTION,
    LABEL_ROW,
    LOGIT,
    REAL,
    SCORE,
    SIGN,
    WEIGHT,
)

# A few roundings of sums of at most a dozen numbers.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}


def tried(**strategies):
    """Hypothesis' ``given`` with few examples, for the laws that are tried on every loss."""
    return lambda test: settings(max_examples=25)(given(**strategies)(test))


def inputs(row):
    return st.tuples(*map(strategy, row.function.spaces))


every_loss = pytest.mark.parametrize("row", LOSSES.values(), ids=list(LOSSES))
convex = pytest.mark.parametrize(
    "row", [r for r in LOSSES.values() if CASES[r.name].convex], ids=lambda row: row.name
)
# A constant added to all logits rounds them: at a kink that changes which rival is the largest.
smooth_in_leads = pytest.mark.parametrize(
    "name", [n for n, case in CASES.items() if case.by_lead and not case.kinks]
)


def per_example(gradient):
    """A gradient as one row of entries for each example."""
    return gradient.reshape(N, -1)


@convex
@tried(data=st.data())
def test_a_convex_loss_lies_below_its_chords(row, data):
    first, target = data.draw(inputs(row))
    second = data.draw(strategy(row.prediction))
    share = data.draw(st.floats(0, 1))
    between = row.function(share * first + (1 - share) * second, target)
    chord = share * row.function(first, target) + (1 - share) * row.function(second, target)
    # The slack is some roundings of the largest value.
    assert np.all(between <= chord + 1e-12 * (1 + np.abs(chord).max()))


@convex
@tried(data=st.data())
def test_a_convex_loss_lies_above_its_tangents(row, data):
    first, target = data.draw(inputs(row))
    second = data.draw(strategy(row.prediction))
    value, gradient = row.function(first, target), row.gradient(first, target)
    slope = np.sum(per_example(gradient) * per_example(second - first), axis=-1)
    # Rounding of the products, which may be much larger than what they add up to.
    slack = 1e-12 * (1 + np.abs(value) + np.abs(per_example(gradient)).sum(axis=-1) * 20)
    assert np.all(row.function(second, target) >= value + slope - slack)


@every_loss
@tried(data=st.data())
def test_the_reduced_loss_is_what_its_definition_says(row, data):
    prediction, target = data.draw(inputs(row))
    weights = data.draw(strategy(WEIGHT))
    assume(weights.sum() > 0.1)
    values, gradient = row.function(prediction, target), row.gradient(prediction, target)
    rows = per_example(gradient)
    for reduction, w, value, slopes in [
        ("none", None, values, rows),
        ("sum", None, values.sum(), rows),
        ("mean", None, values.mean(), rows / N),
        ("none", weights, weights * values, weights[:, None] * rows),
        ("sum", weights, (weights * values).sum(), weights[:, None] * rows),
        (
            "mean",
            weights,
            np.average(values, weights=weights),
            weights[:, None] * rows / weights.sum(),
        ),
    ]:
        options = {"reduction": reduction, "weights": w}
        np.testing.assert_allclose(row.value(prediction, target, **options), value, **ROUNDING)
        slope = row.grad(prediction, target, **options)
        np.testing.assert_allclose(per_example(slope), slopes, **ROUNDING)
        both = row.value_and_grad(prediction, target, **options)
        # The joint form computes shared parts once, so it may round them differently.
        np.testing.assert_allclose(both[0], row.value(prediction, target, **options), **ROUNDING)
        np.testing.assert_allclose(both[1], slope, **ROUNDING)


@every_loss
@tried(data=st.data())
def test_repeating_an_example_is_the_same_as_weighing_it(row, data):
    prediction, target = data.draw(inputs(row))
    counts = np.array([1, 2, 0, 3])
    repeated = row.value(np.repeat(prediction, counts, axis=0), np.repeat(target, counts, axis=0))
    weighed = row.value(prediction, target, weights=counts)
    np.testing.assert_allclose(weighed, repeated, **ROUNDING)


@every_loss
@tried(data=st.data())
def test_torch_and_numpy_agree(row, data):
    prediction, target = data.draw(inputs(row))
    tensors = torch.from_numpy(prediction), torch.from_numpy(target)
    for function in (row.function, row.gradient):
        of_torch = function(*tensors).numpy()
        np.testing.assert_allclose(of_torch, function(prediction, target), **ROUNDING)


@every_loss
@tried(data=st.data())
def test_examples_do_not_mix(row, data):
    prediction, target = data.draw(inputs(row))
    order = np.array([2, 0, 3, 1])
    for function in (row.function, row.gradient):
        np.testing.assert_array_equal(
            function(prediction[order], target[order]), function(prediction, target)[order]
        )


@smooth_in_leads
@tried(z=strategy(CLASS_LOGITS), ids=strategy(CLASS_ID), shift=st.floats(-100, 100))
def test_softmax_losses_do_not_see_a_constant_added_to_all_logits(name, z, ids, shift):
    # Adding the shift rounds each logit by up to 1e-14.
    near = {"rtol": 1e-12, "atol": 1e-12}
    for function in (LOSSES[name].function, LOSSES[name].gradient):
        np.testing.assert_allclose(function(z + shift, ids), function(z, ids), **near)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.by_lead])
@tried(z=strategy(CLASS_LOGITS), ids=strategy(CLASS_ID))
def test_gradient_rows_by_logit_sum_to_zero(name, z, ids):
    rows = LOSSES[name].gradient(z, ids).sum(axis=-1)
    np.testing.assert_allclose(rows, 0, atol=1e-15 * CLASSES)  # each entry is at most 1 or so


@tried(z=strategy(CLASS_LOGITS), t=strategy(LABEL_ROW), smoothing=st.floats(0, 1))
def test_softmax_cross_entropy_gradient_is_prediction_less_label(z, t, smoothing):
    gradient = LOSSES["softmax_cross_entropy"].gradient(z, t, label_smoothing=smoothing)
    smoothed = (1 - smoothing) * t + smoothing / CLASSES
    np.testing.assert_allclose(gradient, softmax(z) - smoothed, **ROUNDING)


@tried(p=strategy(REAL), t=strategy(REAL), beta=st.floats(0.1, 10))
def test_smooth_l1_is_huber_over_its_threshold(p, t, beta):
    smooth, huber = LOSSES["smooth_l1"], LOSSES["huber"]
    for ours, other in [(smooth.function, huber.function), (smooth.gradient, huber.gradient)]:
        expected = other(p, t, delta=beta) / beta
        np.testing.assert_allclose(ours(p, t, beta=beta), expected, **ROUNDING)


@tried(p=strategy(REAL), t=strategy(REAL), delta=st.floats(0.1, 10))
def test_huber_lies_between_its_parabola_and_its_line(p, t, delta):
    huber = LOSSES["huber"].function(p, t, delta=delta)
    square = LOSSES["half_squared_error"].function(p, t)
    line = delta * LOSSES["absolute_error"].function(p, t)
    assert np.all(huber <= square * (1 + 1e-12))
    assert np.all(huber <= line * (1 + 1e-12))
    inside = np.abs(p - t) <= delta
    np.testing.assert_array_equal(huber[inside], square[inside])


@tried(p=strategy(REAL), t=strategy(REAL))
def test_the_median_quantile_is_half_the_absolute_error(p, t):
    for part in ("function", "gradient"):
        quantile = getattr(LOSSES["quantile"], part)(p, t, level=0.5)
        np.testing.assert_array_equal(quantile, getattr(LOSSES["absolute_error"], part)(p, t) / 2)


@tried(p=strategy(REAL), t=strategy(REAL))
def test_gaussian_nll_of_variance_one_is_half_the_squared_error(p, t):
    prediction = np.stack([p, np.zeros(N)], axis=-1)
    gaussian, square = LOSSES["gaussian_nll"], LOSSES["half_squared_error"]
    np.testing.assert_array_equal(gaussian.function(prediction, t), square.function(p, t))
    np.testing.assert_array_equal(gaussian.gradient(prediction, t)[:, 0], square.gradient(p, t))


@tried(z=strategy(LOGIT), y=strategy(FRACTION))
def test_cross_entropy_of_a_logit_is_that_of_its_probability(z, y):
    logits, p = LOSSES["sigmoid_binary_cross_entropy"], sigmoid(z)
    probabilities = LOSSES["binary_cross_entropy"]
    # 1 - p has lost up to e^10 = 2e4 of its digits.
    near = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(logits.function(z, y), probabilities.function(p, y), **near)
    chained = probabilities.gradient(p, y) * p * (1 - p)
    np.testing.assert_allclose(logits.gradient(z, y), chained, **near)


@tried(z=strategy(LOGIT), y=strategy(BIT))
def test_two_classes_are_one_logit_and_signs_are_labels(z, y):
    two = np.stack([np.zeros(N), z], axis=-1)
    binary, soft = LOSSES["sigmoid_binary_cross_entropy"], LOSSES["softmax_cross_entropy"]
    signed, ids = LOSSES["logistic"], y.astype(int)
    value, gradient = binary.function(z, y), binary.gradient(z, y)
    np.testing.assert_allclose(soft.function(two, ids), value, **ROUNDING)
    np.testing.assert_allclose(soft.gradient(two, ids)[:, 1], gradient, **ROUNDING)
    np.testing.assert_allclose(signed.function(z, 2 * y - 1), value, **ROUNDING)
    np.testing.assert_allclose(signed.gradient(z, 2 * y - 1), gradient, **ROUNDING)


@tried(z=strategy(LOGIT), y=strategy(BIT))
def test_two_class_focal_is_binary_focal(z, y):
    two = np.stack([np.zeros(N), z], axis=-1)
    binary, soft = LOSSES["sigmoid_focal"], LOSSES["softmax_focal"]
    ids = y.astype(int)
    np.testing.assert_allclose(soft.function(two, ids), binary.function(z, y), **ROUNDING)
    np.testing.assert_allclose(soft.gradient(two, ids)[:, 1], binary.gradient(z, y), **ROUNDING)


@tried(z=strategy(CLASS_LOGITS), ids=strategy(CLASS_ID), s=strategy(LOGIT), y=strategy(BIT))
def test_focal_loss_without_focus_is_cross_entropy(z, ids, s, y):
    for focal, entropy, arrays in [
        ("softmax_focal", "softmax_cross_entropy", (z, ids)),
        ("sigmoid_focal", "sigmoid_binary_cross_entropy", (s, y)),
    ]:
        for part in ("function", "gradient"):
            unfocused = getattr(LOSSES[focal], part)(*arrays, gamma=0.0)
            np.testing.assert_allclose(
                unfocused, getattr(LOSSES[entropy], part)(*arrays), **ROUNDING
            )


@tried(z=strategy(LOGIT), y=strategy(BIT), alpha=st.floats(0, 1))
def test_alpha_weighs_the_labels_of_focal_loss(z, y, alpha):
    focal = LOSSES["sigmoid_focal"]
    weights = np.where(y == 1, alpha, 1 - alpha)
    for function in (focal.function, focal.gradient):
        expected = weights * function(z, y)
        np.testing.assert_allclose(function(z, y, alpha=alpha), expected, **ROUNDING)


@tried(z=strategy(CLASS_LOGITS), ids=strategy(CLASS_ID))
def test_class_ids_and_one_hot_rows_are_the_same_label(z, ids):
    loss, rows = LOSSES["softmax_cross_entropy"], np.eye(CLASSES)[ids]
    for function in (loss.function, loss.gradient):
        np.testing.assert_array_equal(function(z, ids), function(z, rows))


def minimiser(name, targets, low, high, **options):
    """Where the mean loss of one prediction for all targets is least: bisection on its slope."""
    row = LOSSES[name]
    for _ in range(60):
        middle = (low + high) / 2
        slope = row.grad(np.full(targets.shape, middle), targets, reduction="sum", **options).sum()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return (low + high) / 2


@tried(targets=numbers(-10, 10, 7))
def test_minimisers_of_the_regression_losses(targets):
    # Bisection ends within 20 / 2^60 of the root, or within rounding of the sum of slopes.
    near = {"atol": 1e-9}
    for name in ("squared_error", "half_squared_error"):
        best = minimiser(name, targets, -11.0, 11.0)
        np.testing.assert_allclose(best, targets.mean(), **near)
    median = np.median(targets)
    np.testing.assert_allclose(minimiser("absolute_error", targets, -11.0, 11.0), median, **near)
    # The level lies between 5/7 and 6/7, so the sixth of seven in order is the only minimiser.
    upper = minimiser("quantile", targets, -11.0, 11.0, level=0.8)
    np.testing.assert_allclose(upper, np.sort(targets)[5], **near)
    huge = minimiser("huber", targets, -11.0, 11.0, delta=100.0)
    np.testing.assert_allclose(huge, targets.mean(), **near)
    tiny = minimiser("huber", targets, -11.0, 11.0, delta=1e-6)
    assert abs(tiny - median) <= 7e-6  # within a few thresholds of the median


@tried(labels=hnp.arrays(np.float64, (9,), elements=st.sampled_from([0.0, 1.0])))
def test_cross_entropy_is_least_at_the_frequency(labels):
    frequency = labels.mean()
    assume(0 < frequency < 1)
    best = minimiser("binary_cross_entropy", labels, 0.001, 0.999)
    np.testing.assert_allclose(best, frequency, atol=1e-9)  # bisection, as above
    log_odds = minimiser("sigmoid_binary_cross_entropy", labels, -10.0, 10.0)
    np.testing.assert_allclose(sigmoid(np.asarray(log_odds)), frequency, atol=1e-9)
    counts = minimiser("poisson_nll", 3 * labels, -10.0, 10.0)
    np.testing.assert_allclose(np.exp(counts), 3 * frequency, atol=1e-9)


@tried(p=strategy(LABEL_ROW), t=strategy(LABEL_ROW))
def test_proper_scores_are_least_at_the_true_distribution(p, t):
    for name in ("categorical_cross_entropy", "brier"):
        score = LOSSES[name].function
        assert np.all(score(t, t) <= score(p, t) + 1e-15 * 10)  # rounding of a sum of ten or fewer
    gradient = LOSSES["softmax_cross_entropy"].gradient(np.log(t), t)
    np.testing.assert_allclose(gradient, 0, atol=1e-15)


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].family == "margin"])
@tried(s=strategy(SCORE), y=strategy(SIGN))
def test_margin_losses_depend_on_the_margin_alone_and_never_rise_with_it(name, s, y):
    row = LOSSES[name]
    np.testing.assert_array_equal(row.function(s, y), row.function(-s, -y))
    np.testing.assert_array_equal(row.gradient(s, y), -row.gradient(-s, -y))
    assert np.all(y * row.gradient(s, y) <= 0)


@tried(s=strategy(SCORE), y=strategy(SIGN))
def test_margin_losses_bound_the_zero_one_loss(s, y):
    mistakes = y * s < 0
    for name in ("hinge", "squared_hinge", "exponential"):
        assert np.all(LOSSES[name].function(s, y) >= mistakes)
    assert np.all(LOSSES["logistic"].function(s, y) >= np.log(2) * mistakes)
