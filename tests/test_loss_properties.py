"""Laws that the losses obey, tried on inputs that hypothesis looks for."""

import numpy as np
import pytest
import torch
from cases.inputs import CLASSES, each, in_rows, numbers, parts, strategy
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


weighable = pytest.mark.parametrize(
    "row",
    [r for r in LOSSES.values() if not r.function.indivisible],
    ids=lambda row: row.name,
)


@convex
@tried(data=st.data())
def test_a_convex_loss_lies_below_its_chords(row, data):
    first, *target = data.draw(inputs(row))
    second = data.draw(strategy(row.prediction))
    share, value = data.draw(st.floats(0, 1)), each(row, row.function)
    between = value(share * first + (1 - share) * second, *target)
    chord = share * value(first, *target) + (1 - share) * value(second, *target)
    # The slack is some roundings of the largest value.
    assert np.all(between <= chord + 1e-12 * (1 + np.abs(chord).max()))


@convex
@tried(data=st.data())
def test_a_convex_loss_lies_above_its_tangents(row, data):
    first, *target = data.draw(inputs(row))
    second, function = data.draw(strategy(row.prediction)), each(row, row.function)
    value, slopes = function(first, *target), in_rows(each(row, row.gradient)(first, *target))
    slope = np.sum(slopes * in_rows(second - first), axis=-1)
    # Rounding of the products, which may be much larger than what they add up to.
    slack = 1e-12 * (1 + np.abs(value) + np.abs(slopes).sum(axis=-1) * 20)
    assert np.all(function(second, *target) >= value + slope - slack)


@every_loss
@tried(data=st.data())
def test_without_weights_the_reduced_loss_is_what_its_definition_says(row, data):
    arrays = data.draw(inputs(row))
    values, gradient = row.function(*arrays), parts(row.gradient(*arrays))
    for reduction, value, divisor in (
        ("none", values, 1),
        ("sum", values.sum(), 1),
        ("mean", values.mean(), values.size),
    ):
        np.testing.assert_allclose(row.value(*arrays, reduction=reduction), value, **ROUNDING)
        found = parts(row.grad(*arrays, reduction=reduction))
        for ours, slopes in zip(found, gradient, strict=True):
            np.testing.assert_allclose(ours, slopes / divisor, **ROUNDING)


@weighable
@tried(data=st.data())
def test_the_reduced_loss_is_what_its_definition_says(row, data):
    arrays = data.draw(inputs(row))
    weights = data.draw(strategy(WEIGHT))
    assume(weights.sum() > 0.1)
    values, rows = row.function(*arrays), in_rows(row.gradient(*arrays))
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
        np.testing.assert_allclose(row.value(*arrays, **options), value, **ROUNDING)
        slope = in_rows(row.grad(*arrays, **options))
        np.testing.assert_allclose(slope, slopes, **ROUNDING)
        both = row.value_and_grad(*arrays, **options)
        # The joint form computes shared parts once, so it may round them differently.
        np.testing.assert_allclose(both[0], row.value(*arrays, **options), **ROUNDING)
        np.testing.assert_allclose(in_rows(both[1]), slope, **ROUNDING)


@weighable
@tried(data=st.data())
def test_repeating_an_example_is_the_same_as_weighing_it(row, data):
    arrays = data.draw(inputs(row))
    counts = np.array([1, 2, 0, 3])
    repeated = row.value(*(np.repeat(array, counts, axis=0) for array in arrays))
    weighed = row.value(*arrays, weights=counts)
    np.testing.assert_allclose(weighed, repeated, **ROUNDING)


@every_loss
@tried(data=st.data())
def test_torch_and_numpy_agree(row, data):
    arrays = data.draw(inputs(row))
    tensors = [torch.from_numpy(array) for array in arrays]
    for function in (row.function, row.gradient):
        pairs = zip(parts(function(*tensors)), parts(function(*arrays)), strict=True)
        for of_torch, of_numpy in pairs:
            np.testing.assert_allclose(of_torch.numpy(), of_numpy, **ROUNDING)


@weighable
@tried(data=st.data())
def test_examples_do_not_mix(row, data):
    arrays = data.draw(inputs(row))
    order = np.array([2, 0, 3, 1])
    for function in (row.function, row.gradient):
        mixed = parts(function(*(array[order] for array in arrays)))
        for ours, plain in zip(mixed, parts(function(*arrays)), strict=True):
            np.testing.assert_array_equal(ours, plain[order])


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


# Points, masks, boxes, samples, parameters --------------------------------------------------------


def strategies(name):
    return st.tuples(*map(strategy, LOSSES[name].function.spaces))


def drawn_for(name):
    return tried(arrays=strategies(name))


@drawn_for("triplet")
def test_gradients_of_points_sum_to_zero_and_moving_all_alike_changes_nothing(arrays):
    a, p, n = arrays
    moved = [array + 8.0 for array in arrays]
    for squared in (True, False):
        loss = LOSSES["triplet"]
        by_points = loss.gradient(a, p, n, squared=squared)
        np.testing.assert_allclose(sum(by_points), 0, atol=1e-13)  # a few numbers of size 100
        values = loss.function(a, p, n, squared=squared), loss.function(*moved, squared=squared)
        # Adding 8 rounds each coordinate by up to 1e-15, of distances up to 600 squared.
        np.testing.assert_allclose(*values, rtol=1e-12, atol=1e-11)


@drawn_for("contrastive")
def test_of_a_pair_either_point_may_come_first(arrays):
    a, b, same = arrays
    loss = LOSSES["contrastive"]
    np.testing.assert_array_equal(loss.function(a, b, same), loss.function(b, a, same))
    by_a, by_b = loss.gradient(a, b, same)
    np.testing.assert_array_equal(by_a, -by_b)
    np.testing.assert_array_equal(by_a, loss.gradient(b, a, same)[1])


@drawn_for("info_nce")
def test_info_nce_is_the_softmax_cross_entropy_of_products(arrays):
    q, k = arrays
    z, ids = q @ k.swapaxes(-1, -2) / 0.5, np.broadcast_to(np.arange(3), (N, 3))
    entropy, loss = LOSSES["softmax_cross_entropy"], LOSSES["info_nce"]
    # Products of numbers up to 10 are rounded by 1e-13, and then exponents.
    near = {"rtol": 1e-11, "atol": 1e-11}
    values = loss.function(q, k, temperature=0.5)
    np.testing.assert_allclose(values, entropy.function(z, ids), **near)
    by_z = entropy.gradient(z, ids) / 0.5
    by_q, by_k = loss.gradient(q, k, temperature=0.5)
    np.testing.assert_allclose(by_q, by_z @ k, **near)
    np.testing.assert_allclose(by_k, by_z.swapaxes(-1, -2) @ q, **near)


@drawn_for("dice")
def test_dice_and_jaccard_are_ends_of_tversky_and_functions_of_each_other(arrays):
    dice, jaccard, tversky = (LOSSES[name].function for name in ("dice", "jaccard", "tversky"))
    d, j = dice(*arrays), jaccard(*arrays)
    np.testing.assert_allclose(d, tversky(*arrays, alpha=0.5, beta=0.5), **ROUNDING)
    np.testing.assert_allclose(j, tversky(*arrays, alpha=1.0, beta=1.0), **ROUNDING)
    np.testing.assert_allclose(d, j / (2 - j), **ROUNDING)
    assert np.all((d >= 0) & (d <= 1))


@drawn_for("giou")
def test_giou_does_not_see_the_unit_nor_which_box_comes_first(arrays):
    loss = LOSSES["giou"]
    a, b = arrays
    values = loss.function(a, b)
    assert np.all((values >= 0) & (values <= 2))
    # Powers of 2 round nothing.
    np.testing.assert_array_equal(loss.function(1024 * a, 1024 * b), values)
    np.testing.assert_array_equal(loss.gradient(1024 * a, 1024 * b) * 1024, loss.gradient(a, b))
    np.testing.assert_allclose(loss.function(b, a), values, **ROUNDING)


@drawn_for("kl_divergence")
def test_kl_is_the_cross_entropy_less_the_entropy_and_never_negative(arrays):
    log_p, t = arrays
    log_p = log_p - np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
    log_p = np.minimum(log_p, 0)
    values = LOSSES["kl_divergence"].function(log_p, t)
    entropy = LOSSES["categorical_cross_entropy"].function
    expected = entropy(np.exp(log_p), t) - entropy(t, t)
    np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-12)
    assert np.all(values >= -1e-12)


@drawn_for("wasserstein_1d")
def test_wasserstein_is_a_distance_of_samples_in_any_order(arrays):
    distance = LOSSES["wasserstein_1d"].function
    a, b = arrays
    np.testing.assert_array_equal(distance(a, b), distance(b, a))
    np.testing.assert_array_equal(distance(a[:, ::-1], b), distance(a, b))
    np.testing.assert_allclose(distance(a + 3, a), 3, rtol=1e-14)
    assert np.all(distance(a, b) <= distance(a, 0 * a) + distance(0 * a, b) + 1e-12)
    # No other way to pair the two is cheaper.
    assert np.all(distance(a, b) <= np.abs(a - b).mean(axis=-1) + 1e-12)


@drawn_for("l1")
def test_the_penalty_of_two_arrays_is_the_sum_of_theirs(arrays):
    (w,) = arrays
    for name in ("l1", "l2"):
        penalty = LOSSES[name].function
        np.testing.assert_allclose(penalty(w), penalty(w[:1]) + penalty(w[1:]), **ROUNDING)
        np.testing.assert_array_equal(penalty(w), penalty(-w))
