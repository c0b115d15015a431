"""What the cards say of stable forms and of failures, as trials: a part of each loss's case.

They stand apart from the cases since they call the losses, which a case never does.
"""

import numpy as np
import pytest
from cases.binary import focal_label_probabilities

from lossbook import LOSSES
from lossbook.numerics import softmax

# Every sum below has at most a dozen terms of order 1 to 100 in float64: rounding stays below this.
ROUNDING = 1e-12


def expected_loss(loss, prediction, targets, probabilities, options):
    predictions = prediction if isinstance(prediction, tuple) else (prediction,)
    arrays = [np.asarray(one, float) for one in predictions]
    if targets is None:
        return loss.value(*arrays, **options)
    repeated = (np.repeat(array[None], len(targets), axis=0) for array in arrays)
    return loss.value(*repeated, targets, weights=probabilities, **options)


def binary_naive(z, y):
    return np.log(1 + np.exp(z)) - y * z


def focal_naive(z, y):
    q = 1 / (1 + np.exp(-(2 * y - 1) * z))
    return -((1 - q) ** 2) * np.log(q)


def softmax_focal_naive(z, y):
    p = np.exp(z[y]) / np.exp(z).sum()
    return -((1 - p) ** 2) * np.log(p)


def gce_naive(z, y):
    p = np.exp(z[y]) / np.exp(z).sum()
    return (1 - p**0.7) / 0.7


def multiclass_hinge_naive(z, y):
    return max(0.0, 1 + np.delete(z, y).max() - z[y])


def mask_naive(p, t):
    return 1 - 2 * np.sum(p * t) / (np.sum(p) + np.sum(t))


def giou_naive(a, b):
    common = np.prod(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common
    around = np.prod(np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2]))
    return 1 - common / union + (around - union) / around


def contrastive_naive(a, b, same):
    distance = np.sqrt(np.sum((a - b) ** 2))
    return same * distance**2 + (1 - same) * np.maximum(0, 1 - distance) ** 2


def triplet_naive(a, p, n):
    return np.maximum(0, np.sum((a - p) ** 2) + 0.2 - np.sum((a - n) ** 2))


def info_nce_naive(q, k):
    powers = np.exp(q @ k.T / 0.1)
    return -np.log(np.diag(powers) / powers.sum(axis=1)).sum()


LARGE = [(1e300, -1.0), (1e-300, 1.0), (-3.0, 1.0)]
# What the formula would do if it were typed in as it stands in a textbook, and the examples at
# which that overflows or is wrong. None where the card says that the formula is computed as it
# stands: then these are the examples at which it must be right all the same.
STABLE = {
    "squared_error": (lambda p, t: p * p - 2 * p * t + t * t, [(1e9 + 1, 1e9)]),
    "half_squared_error": (lambda p, t: (p * p - 2 * p * t + t * t) / 2, [(1e9 + 1, 1e9)]),
    "absolute_error": (None, LARGE),
    "huber": (lambda p, t: np.where(abs(p - t) <= 1, (p - t) ** 2 / 2, 0), [(1e200, 0.0)]),
    "smooth_l1": (lambda p, t: np.where(abs(p - t) <= 1, (p - t) ** 2 / 2, 0), [(1e200, 0.0)]),
    "log_cosh": (lambda p, t: np.log(np.cosh(p - t)), [(1e-9, 0.0), (1000.0, 0.0)]),
    "quantile": (None, LARGE),
    "poisson_nll": (lambda z, t: np.exp(z) - t * np.log(np.exp(z)), [(-800.0, 3.0)]),
    "gaussian_nll": (
        lambda p, t: (p[1] + (p[0] - t) ** 2 * np.exp(-p[1])) / 2,
        [([1e200, 700.0], 0.0), ([1e-300, -1400.0], 0.0)],
    ),
    "binary_cross_entropy": (
        lambda p, y: -y * np.log(p) - (1 - y) * np.log(1 - p),
        [(1e-20, 0.0), (0.0, 0.0), (1.0, 1.0)],
    ),
    "sigmoid_binary_cross_entropy": (binary_naive, [(800.0, 0.0), (-50.0, 0.0)]),
    "sigmoid_focal": (focal_naive, [(40.0, 1.0), (-40.0, 0.0)]),
    "categorical_cross_entropy": (
        lambda p, t: -np.sum(t * np.log(p)),
        [([1.0, 0.0], [1.0, 0.0])],
    ),
    "softmax_cross_entropy": (
        lambda z, y: np.log(np.exp(z).sum()) - z[y],
        [([800.0, 0.0], 1), ([50.0, 0.0], 0)],
    ),
    "softmax_focal": (softmax_focal_naive, [([40.0, 0.0], 0), ([800.0, 0.0], 1)]),
    "generalized_cross_entropy": (gce_naive, [([40.0, 0.0], 0), ([800.0, 0.0], 1)]),
    "brier": (None, [([1.0, 0.0], [0.0, 1.0]), ([1e-9, 1 - 1e-9], [0.0, 1.0])]),
    "multiclass_hinge": (multiclass_hinge_naive, [([1e17, 1e17], 0)]),
    "perceptron": (None, LARGE),
    "hinge": (None, LARGE),
    "squared_hinge": (lambda s, y: np.where(y * s < 1, (1 - y * s) ** 2, 0), [(1e200, 1.0)]),
    "exponential": (None, [(-709.0, 1.0), (700.0, 1.0)]),
    "logistic": (lambda s, y: np.log(1 + np.exp(-y * s)), [(-1000.0, 1.0), (50.0, 1.0)]),
    "l1": (None, [([1e300, -2.0, 1e-300],)]),
    "l2": (lambda w: np.sum(w**2) / 2, [([1.5e154, 0.0],)]),
    "contrastive": (contrastive_naive, [([3e200, 4e200], [0.0, 0.0], 0.0)]),
    "triplet": (triplet_naive, [([0.0], [1e9], [-1e9])]),
    "info_nce": (info_nce_naive, [([[9.0, 0.0], [0.0, 9.0]], [[9.0, 0.0], [0.0, 9.0]])]),
    "dice": (mask_naive, [([1.0, 1e-20], [1.0, 0.0])]),
    "jaccard": (
        lambda p, t: 1 - np.sum(p * t) / np.sum(p + t - p * t),
        [([1.0, 1e-20], [1.0, 0.0])],
    ),
    "tversky": (mask_naive, [([1.0, 1e-20], [1.0, 0.0])]),
    "giou": (
        giou_naive,
        [
            ([0.0, 0.0, 1e200, 1e200], [0.0, 0.0, 2e200, 1e200]),
            ([0.0, 0.0, 1e-200, 1e-200], [0.0, 0.0, 2e-200, 1e-200]),
        ],
    ),
    "kl_divergence": (
        lambda log_p, t: np.sum(t * (np.log(t) - log_p)),
        [([-1.0, -2.0], [0.0, 1.0])],
    ),
    "wasserstein_1d": (
        lambda a, b: np.abs(np.sort(a) - np.sort(b)).sum() / 2,
        [([1.2e308, 1.3e308], [0.0, 0.0])],
    ),
}


#: A function for each loss that asserts what its card says of its failure.
FAILURES = {}


def failure_of(name):
    def keep(trial):
        FAILURES[name] = trial
        return trial

    return keep


def both(name, predictions, targets, **options):
    """Values and slopes of a loss."""
    loss = LOSSES[name]
    arrays = np.asarray(predictions, float), np.asarray(targets)
    return loss.function(*arrays, **options), loss.gradient(*arrays, **options)


@failure_of("squared_error")
def outlier_outweighs_many():
    _, pulls = both("squared_error", np.zeros(100), np.append(np.ones(99), -1000.0))
    assert abs(pulls[-1]) > 10 * abs(pulls[:-1].sum())


@failure_of("half_squared_error")
def half_looks_twice_as_good():
    p, t = np.random.default_rng(0).normal(size=(2, 20))
    half, full = both("half_squared_error", p, t), both("squared_error", p, t)
    assert np.allclose(2 * half[0], full[0], rtol=ROUNDING)
    assert np.allclose(p - 0.2 * half[1], p - 0.1 * full[1], rtol=ROUNDING)


@failure_of("absolute_error")
def fixed_rate_steps_over_the_target_for_ever():
    p = np.array([0.03])
    seen = []
    for _ in range(100):
        p = p - 0.1 * both("absolute_error", p, [0.0])[1]
        seen.append(p[0])
    assert np.all(np.sign(seen[1:]) == -np.sign(seen[:-1]))
    assert min(map(abs, seen)) > 0.02


@failure_of("huber")
def units_decide_between_squared_and_absolute():
    r = np.array([0.5, 1.0, 2.0, 4.0])
    assert np.allclose(both("huber", r / 1000, 0 * r)[0], (r / 1000) ** 2 / 2, rtol=ROUNDING)
    assert np.allclose(both("huber", 1000 * r, 0 * r)[0], 1000 * r, rtol=1e-2)


@failure_of("smooth_l1")
def taken_for_huber_it_is_off_by_a_factor():
    r = np.linspace(-5, 5, 21)
    for beta in (0.25, 1.0, 4.0):
        smooth = both("smooth_l1", r, 0 * r, beta=beta)[0]
        assert np.allclose(smooth, both("huber", r, 0 * r, delta=beta)[0] / beta, rtol=ROUNDING)


@failure_of("log_cosh")
def bends_at_one_unit():
    assert LOSSES["log_cosh"].hyperparameters == {}
    step = 1e-6
    at = np.array([0.01, 0.5, 1.0, 2.0, 10.0])
    ahead, behind = (both("log_cosh", at + h, 0 * at)[1] for h in (step, -step))
    bends = (ahead - behind) / (2 * step)
    assert bends[0] > 0.99
    assert 0.3 < bends[2] < 0.6
    assert bends[-1] < 1e-6


@failure_of("quantile")
def quantiles_fitted_one_by_one_cross():
    x = np.repeat([0.0, 1.0], 11)
    targets = np.concatenate([np.arange(11.0), 5 + np.arange(11.0) / 100])
    lines = {0.5: (5.0, 5.05), 0.9: (9.0, 5.09)}
    for level, (start, end) in lines.items():
        fitted = start + (end - start) * x
        least = both("quantile", fitted, targets, level=level)[0].sum()
        changes = np.random.default_rng(0).normal(0, 0.5, (200, 2))
        others = [
            both("quantile", fitted + change[0] + change[1] * x, targets, level=level)[0].sum()
            for change in changes
        ]
        assert min(others) >= least - 1e-9
        assert np.median(others) > least + 0.1
    median, high = (start + 2 * (end - start) for start, end in lines.values())
    assert high < median


@failure_of("poisson_nll")
def slope_grows_exponentially():
    _, slopes = both("poisson_nll", [10.0, 11.0, 20.0], np.ones(3))
    assert slopes[1] / slopes[0] == pytest.approx(np.e, rel=1e-3)
    assert slopes[2] > 1e8


@failure_of("gaussian_nll")
def bad_fit_is_given_a_large_variance():
    residuals = np.array([2.0, 10.0, 50.0])
    for r in residuals:
        choices = np.linspace(-2, 12, 2801)
        pairs = np.stack([np.full(2801, r), choices], axis=-1)
        best = choices[both("gaussian_nll", pairs, np.zeros(2801))[0].argmin()]
        assert best == pytest.approx(np.log(r**2), abs=0.005)
        pull = both("gaussian_nll", [[r, best]], [0.0])[1][0, 0]
        assert pull == pytest.approx(1 / r, rel=0.01)


@failure_of("binary_cross_entropy")
def rounded_probability_costs_infinity():
    probability = 1 / (1 + np.exp(-np.array([40.0])))
    assert np.isposinf(both("binary_cross_entropy", probability, [0.0])[0])
    assert both("sigmoid_binary_cross_entropy", [40.0], [0.0])[0] == 40


def weights_grow_without_end(name, targets):
    """On two points at -1 and 1 the slope by the one weight never turns."""
    x = np.array([-1.0, 1.0])
    for w in (0.0, 1.0, 10.0, 30.0):
        assert both(name, w * x, targets)[1] @ x < 0


@failure_of("sigmoid_binary_cross_entropy")
def separable_logits_grow():
    weights_grow_without_end("sigmoid_binary_cross_entropy", [0.0, 1.0])


@failure_of("logistic")
def separable_scores_grow():
    weights_grow_without_end("logistic", [-1.0, 1.0])


@failure_of("sigmoid_focal")
def probabilities_are_too_near_one_half():
    truth = focal_label_probabilities([0.9, 0.1])[0]
    _, slopes = both("sigmoid_focal", [np.log(9), np.log(9)], [1.0, 0.0])
    assert truth * slopes[0] + (1 - truth) * slopes[1] == pytest.approx(0, abs=ROUNDING)
    assert truth > 0.95


@failure_of("softmax_focal")
def top_is_too_low_or_too_high():
    for fitted, too_low in (([0.6, 0.3, 0.1], True), ([0.06] + [0.02] * 47, False)):
        fitted = np.array(fitted)
        truth = focal_label_probabilities(fitted)
        rows = np.tile(np.log(fitted), (len(fitted), 1))
        _, slopes = both("softmax_focal", rows, np.arange(len(fitted)))
        assert np.allclose(truth @ slopes, 0, atol=ROUNDING)
        assert (fitted[0] < truth[0]) == too_low


@failure_of("generalized_cross_entropy")
def hard_examples_hardly_pull():
    for z, y in (([0.0, 8.0], 0), ([0.0] * 100, 3)):
        own = softmax(np.array(z))[y]
        (ours,), (entropy,) = (
            both(name, [z], [y])[1]
            for name in ("generalized_cross_entropy", "softmax_cross_entropy")
        )
        assert np.allclose(ours, own**0.7 * entropy, rtol=ROUNDING)
        assert np.abs(ours).max() < 0.05 * np.abs(entropy).max()


@failure_of("categorical_cross_entropy")
def rows_above_one_look_better():
    p, t = np.array([[0.5, 0.3, 0.2]]), [[1, 0, 0]]
    right, doubled = (both("categorical_cross_entropy", k * p, t)[0] for k in (1, 1.5))
    assert doubled < right


@failure_of("softmax_cross_entropy")
def probabilities_as_logits_have_a_floor():
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.eye(10)[:1], rng.dirichlet(np.full(10, 0.1), 2000)])
    costs = both("softmax_cross_entropy", rows, np.zeros(2001, int))[0]
    floor = np.log(1 + 9 / np.e)
    assert costs[0] == pytest.approx(floor)
    assert min(costs) >= floor * (1 - ROUNDING)
    # Slowly: the second softmax multiplies the slopes at the start by a tenth.
    once = both("softmax_cross_entropy", np.zeros((1, 10)), [0])[1][0]
    jacobian = np.eye(10) / 10 - 1 / 100
    assert np.allclose(jacobian @ once, once / 10, rtol=ROUNDING)


@failure_of("brier")
def gradient_vanishes_behind_a_sure_softmax():
    logits = np.array([20.0, 0.0])
    p = softmax(logits)
    jacobian = np.diag(p) - np.outer(p, p)
    slopes = both("brier", p[None], [[0, 1]])[1][0]
    assert np.abs(slopes).max() > 1.99
    assert np.abs(jacobian @ slopes).max() < 1e-7
    assert np.abs(both("softmax_cross_entropy", logits[None], [1])[1]).max() > 0.99


@failure_of("multiclass_hinge")
def scores_do_not_tell_probabilities():
    loss = LOSSES["multiclass_hinge"]
    for eta in ([0.6, 0.3, 0.1], [0.9, 0.06, 0.04]):
        best = expected_loss(loss, [1.0, 0.0, 0.0], np.arange(3), np.array(eta), {})
        for lead in (0.0, 0.5, 1.5, 3.0):
            assert best < expected_loss(loss, [lead, 0, 0], np.arange(3), np.array(eta), {})
    unclear = np.array([0.45, 0.3, 0.25])
    for lead in (0.5, 1.0):
        tie, led = (expected_loss(loss, [k, 0, 0], np.arange(3), unclear, {}) for k in (0, lead))
        assert tie < led


@failure_of("perceptron")
def scores_shrink_to_nothing():
    labels, shares = np.array([-1.0, 1.0]), np.array([0.1, 0.9])
    costs = [
        expected_loss(LOSSES["perceptron"], s, labels, shares, {}) for s in (1, 0.1, 0.01, 0.0)
    ]
    assert np.all(np.diff(costs) < 0)
    assert costs[-1] == 0


@failure_of("hinge")
def score_tells_the_side_only():
    labels, scores = np.array([-1.0, 1.0]), np.linspace(-2, 2, 401)
    for likely in (0.6, 0.9):
        shares = np.array([1 - likely, likely])
        costs = [expected_loss(LOSSES["hinge"], s, labels, shares, {}) for s in scores]
        assert scores[np.argmin(costs)] == pytest.approx(1)


@failure_of("squared_hinge")
def far_wrong_label_outweighs_many():
    scores, labels = np.append(np.zeros(10), 20.0), np.append(np.ones(10), -1.0)
    _, pulls = both("squared_hinge", scores, labels)
    assert abs(pulls[-1]) > 2 * abs(pulls[:-1].sum())


@failure_of("l1")
def plain_steps_cross_zero_for_ever():
    w, seen = np.array([0.03]), []
    for _ in range(100):
        w = w - 0.1 * LOSSES["l1"].gradient(w)
        seen.append(w[0])
    assert np.all(np.sign(seen[1:]) == -np.sign(seen[:-1]))
    assert min(map(abs, seen)) > 0.02


@failure_of("l2")
def small_parameters_are_hardly_shrunk():
    w = np.array([1.0, 1e-3])
    for _ in range(100):
        step = 0.1 * LOSSES["l2"].gradient(w)
        assert step[1] < 2e-4
        w = w - step
    assert np.all(w > 0)


@failure_of("contrastive")
def equal_points_never_part():
    points = np.ones((1, 3))
    value, gradients = LOSSES["contrastive"].value_and_grad(points, points, np.zeros(1))
    assert value == 1
    assert not any(map(np.any, gradients))


@failure_of("triplet")
def points_that_fell_together_stay():
    points = np.ones((5, 3))
    for squared in (True, False):
        value, gradients = LOSSES["triplet"].value_and_grad(
            points, points, points, margin=0.3, squared=squared
        )
        assert value == pytest.approx(0.3)
        assert not any(map(np.any, gradients))


@failure_of("info_nce")
def a_batch_of_one_teaches_nothing():
    value, gradients = LOSSES["info_nce"].value_and_grad(np.ones((1, 3)), -np.ones((1, 3)))
    assert value == 0
    assert not any(map(np.any, gradients))


@failure_of("dice")
def an_empty_mask_has_no_slope():
    rows = np.array([[1e-6, 0.0, 0.0], [1.0, 1.0, 1.0], [0.1, 0.2, 0.3]])
    value, slopes = both("dice", rows, np.zeros((3, 3)))
    assert np.all(value == 1)
    assert not slopes.any()


@failure_of("jaccard")
def one_pixel_weighs_as_much_as_thousands():
    labels = np.zeros((2, 10_000))
    labels[0, 0] = labels[1, :5000] = 1
    assert np.all(both("jaccard", 0 * labels, labels)[0] == 1)


@failure_of("tversky")
def marking_all_costs_nothing():
    labels = np.eye(4)
    assert np.all(both("tversky", np.ones((4, 4)), labels, alpha=0.0)[0] == 0)


@failure_of("giou")
def a_box_inside_is_not_centred():
    inside = np.array([[1.0, 1.0, 2.0, 2.0], [4.0, 0.5, 5.0, 1.5], [7.9, 8.9, 8.9, 9.9]])
    values, slopes = both("giou", inside, [[0.0, 0.0, 10.0, 10.0]] * 3)
    assert np.ptp(values) < ROUNDING
    assert np.allclose(slopes[:, 0] + slopes[:, 2], 0, atol=ROUNDING)


@failure_of("kl_divergence")
def one_impossible_class_is_enough():
    with np.errstate(divide="ignore"):
        logs = np.log([[0.999, 0.001, 0.0]])
    assert np.isinf(both("kl_divergence", logs, [[0.999, 0.0009, 0.0001]])[0])


@failure_of("wasserstein_1d")
def order_is_not_seen():
    a, b = np.random.default_rng(0).normal(size=(2, 1, 20))
    turned = both("wasserstein_1d", a[:, ::-1], b)[0]
    assert np.allclose(both("wasserstein_1d", a, b)[0], turned, rtol=ROUNDING)
    assert both("wasserstein_1d", b[:, ::-1], b)[0] == 0


@failure_of("exponential")
def one_wrong_label_takes_the_weight():
    _, pulls = both("exponential", np.append(np.ones(99), -10.0), np.ones(100))
    assert abs(pulls[-1]) > 0.99 * np.abs(pulls).sum()
