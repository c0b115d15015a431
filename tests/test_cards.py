"""The cards: complete, and true. What a card claims in words is tried here in numbers."""

import re
from collections import Counter
from functools import partial

import mpmath as mp
import numpy as np
import pytest
from cases.binary import FOCAL as FOCAL_BINARY
from cases.binary import focal_label_probabilities
from cases.claims import FAILURES, ROUNDING, STABLE, expected_loss
from cases.inputs import CLASSES, OF_NUMBERS, each, far_apart, in_rows, shape_of
from cases.multiclass import FOCAL as FOCAL_MULTICLASS
from cases.regression import ALIKE, SEEN
from cases.table import CASES
from english import unsaid
from scipy import optimize, stats

from lossbook import LOSSES
from lossbook.cards import CARDS
from lossbook.numerics import log_softmax, softmax
from lossbook.spaces import REAL, Box, ClassRow, LogClassRow, Mask, Whole

TEXTS = ("minimiser", "noise_model", "convexity", "lipschitz", "kinks", "stable_form", "failure")

# Where a card or a case is missing, the first test below and that of the cases say so.
TOLD = [loss for name, loss in LOSSES.items() if name in CARDS and name in CASES]


def of_losses(losses):
    return pytest.mark.parametrize("loss", losses, ids=[loss.name for loss in losses])


every_loss = of_losses(TOLD)


def losses_where(field, start):
    """The losses whose text starts like this, as a parametrisation."""
    return of_losses([loss for loss in TOLD if getattr(loss.card, field).startswith(start)])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def drawn(space, rng, count):
    return space.draw(rng, shape_of(space, count), CLASSES)


def predictions(loss, rng, count, draw=drawn):
    """What the loss has a gradient by: a tuple of arrays of examples along the first axis."""
    return tuple(draw(space, rng, count) for space in loss.function.spaces[: loss.gradients])


def targets_of(loss, rng, count):
    """What else it takes."""
    return tuple(far_apart(space, rng, count) for space in loss.function.spaces[loss.gradients :])


def values(loss, *arrays, **options):
    """One value for each example: the sum over a batch."""
    found = each(loss, loss.function)(*arrays, **options)
    return found.reshape(len(arrays[0]), -1).sum(axis=-1)


def rows_of_slopes(loss, *arrays, **options):
    """All slopes of each example."""
    return in_rows(each(loss, loss.gradient)(*arrays, **options))


def far_out(space, rng, count):
    """Predictions near the ends of what they may be."""
    near = drawn(space, rng, count)
    return 15 * near if is_unbounded(space) else 1e-6 + (1 - CLASSES * 1e-6) * (near > 0.5)


def is_unbounded(space):
    return np.isinf(space.low)


def sizes(loss, arrays):
    """One number for each example: the Euclidean norm of all its slopes, or of all predictions.

    Of masks, whose cards speak of the sum of absolute changes, it is the largest slope.
    """
    return np.linalg.norm(
        in_rows(arrays), np.inf if isinstance(loss.prediction, Mask) else 2, axis=-1
    )


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_card(name):
    where = f"lossbook/cards/{LOSSES[name].family}.py"
    assert name in CARDS, f"{name} has no card: what is said of it belongs in {where}"


def test_every_card_is_that_of_a_loss():
    assert [name for name in CARDS if name not in LOSSES] == []


class TestTexts:
    def test_titles_differ(self):
        assert len({card.title for card in CARDS.values()}) == len(CARDS)

    @every_loss
    def test_chapter_exists(self, loss):
        assert 1 <= loss.card.chapter <= 19

    @every_loss
    @pytest.mark.parametrize("field", TEXTS)
    def test_text_is_one_tidy_sentence(self, loss, field):
        text = getattr(loss.card, field)
        assert re.match(r"[A-Z$0-9]", text)
        assert text.endswith(".")
        assert len(text.split()) <= 28
        assert unsaid(text) == []
        assert_fits_a_markdown_table(text)

    @every_loss
    def test_hyperparameters_are_documented(self, loss):
        for name in loss.hyperparameters:
            assert re.search(rf"^    {name} : ", loss.function.__doc__, re.MULTILINE), name


def assert_fits_a_markdown_table(text):
    assert "|" not in text
    assert text.count("$") % 2 == 0
    assert text.count("`") % 2 == 0
    assert "  " not in text
    assert text == text.strip()


THRESHOLDS = {"huber": "delta", "smooth_l1": "beta"}


def neighbours(space, prediction, rng):
    """Points near and far around a prediction, inside the domain."""
    prediction = np.asarray(prediction, float)
    for scale in (1e-3, 1e-2, 0.1, 1.0, 5.0):
        for _ in range(40):
            step = rng.normal(0, scale, prediction.shape)
            if isinstance(space, ClassRow) and not is_unbounded(space):
                step = step - step.mean()
            moved = prediction + step
            if isinstance(space, Mask):
                yield np.clip(moved, 0, 1)
            elif isinstance(space, LogClassRow):
                yield log_softmax(moved)
            elif isinstance(space, Box):
                yield np.concatenate(
                    [np.minimum(*np.split(moved, 2)), np.maximum(*np.split(moved, 2))]
                )
            elif np.all((space.low < moved) & (moved < space.high)):
                yield moved


class TestMinimiser:
    @of_losses([loss for loss in TOLD if CASES[loss.name].minimum])
    def test_no_neighbour_does_better(self, loss, rng):
        claim = CASES[loss.name].minimum
        population = claim.targets, claim.probabilities, claim.options
        least = expected_loss(loss, claim.at, *population)
        around = neighbours(loss.prediction, claim.at, rng)
        if isinstance(claim.at, tuple):
            around = map(tuple, around)
        others = [expected_loss(loss, prediction, *population) for prediction in around]
        assert len(others) > 50
        assert min(others) >= least - ROUNDING

    def test_info_nce_falls_without_end(self):
        assert [name for name, case in CASES.items() if case.minimum is None] == ["info_nce"]
        for scale in (1.0, 2.0, 4.0):
            less, more = (
                LOSSES["info_nce"].value(factor * np.eye(3), np.eye(3), temperature=1.0)
                for factor in (scale, scale + 0.1)
            )
            assert 0 < more < less

    def test_any_points_that_keep_their_margin_cost_nothing(self):
        far = np.array([[0.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([[30.0, -2.0]])
        assert LOSSES["contrastive"].value(far[0], far[1], np.zeros(1)) == 0
        assert LOSSES["contrastive"].value(far[0], far[2], np.zeros(1)) == 0
        for squared in (True, False):
            assert LOSSES["triplet"].value(*far, squared=squared) == 0

    @pytest.mark.parametrize("name", ["huber", "smooth_l1"])
    # The minimum is flat: a search finds it to about the root of the precision of float64.
    @pytest.mark.parametrize(("threshold", "claim", "near"), [(100, 3.3, 1e-6), (0.01, 1.5, 0.02)])
    def test_threshold_runs_from_median_to_mean(self, name, threshold, claim, near):
        def objective(p):
            return expected_loss(LOSSES[name], p, SEEN, ALIKE, {THRESHOLDS[name]: threshold})

        found = optimize.minimize_scalar(
            objective, bounds=(0, 10), method="bounded", options={"xatol": 1e-10}
        ).x
        assert found == pytest.approx(claim, abs=near)

    @pytest.mark.parametrize("width", [0.01, 1000.0])
    def test_log_cosh_is_near_the_mean_of_narrow_and_the_median_of_wide_targets(self, width):
        targets = SEEN * width
        found = optimize.brentq(lambda p: np.mean(np.tanh(p - targets)), -1, 11 * width)
        near = targets.mean() if width < 1 else np.median(targets)
        # Narrow targets leave out a cubic term; wide ones leave half a unit around the median.
        assert found == pytest.approx(near, abs=1e-4 if width < 1 else 0.6)

    @pytest.mark.parametrize("name", ["perceptron", "hinge", "squared_hinge"])
    @pytest.mark.parametrize("label", [-1.0, 1.0])
    def test_a_certain_label_leaves_every_score_beyond_free(self, name, label):
        edge = 0.0 if name == "perceptron" else 1.0
        scores = label * np.array([edge - 0.1, edge, edge + 0.1, 50.0])
        costs = LOSSES[name].function(scores, np.full(4, label))
        assert costs[0] > 0
        assert np.all(costs[1:] == 0)

    @pytest.mark.parametrize(
        ("name", "hard", "sure"),
        [
            ("sigmoid_binary_cross_entropy", 1.0, 1.0),
            ("sigmoid_focal", 1.0, 1.0),
            ("exponential", 1.0, 1.0),
            ("logistic", 1.0, 1.0),
            ("softmax_cross_entropy", 0, [1.0, 0.0]),
            ("softmax_focal", 0, [1.0, 0.0]),
            ("poisson_nll", 0.0, -1.0),
        ],
    )
    def test_a_certain_target_has_its_minimiser_at_infinity(self, name, hard, sure):
        predictions = np.multiply.outer([1.0, 5.0, 20.0, 30.0], sure)
        costs = LOSSES[name].function(predictions, np.full(4, hard))
        assert np.all(np.diff(costs) < 0)

    def test_gaussian_nll_falls_without_end_where_the_variance_is_0(self):
        log_variances = -np.geomspace(1, 1e6, 13)
        predictions = np.stack([np.ones(13), log_variances], axis=-1)
        costs = LOSSES["gaussian_nll"].function(predictions, np.ones(13))
        assert np.all(costs == log_variances / 2)

    def test_hinge_at_even_odds_is_least_everywhere_between(self):
        scores = np.array([-1.2, -1.0, -0.3, 0.0, 0.7, 1.0, 1.2])
        costs = [
            expected_loss(LOSSES["hinge"], s, np.array([-1.0, 1.0]), np.array([0.5, 0.5]), {})
            for s in scores
        ]
        assert np.all(np.array(costs[1:-1]) == 1)
        assert costs[0] > 1
        assert costs[-1] > 1

    @pytest.mark.parametrize("name", ["absolute_error", "quantile"])
    def test_every_median_is_a_minimiser(self, name):
        targets, alike = np.array([1.0, 2.0, 4.0, 9.0]), np.full(4, 0.25)
        costs = [expected_loss(LOSSES[name], p, targets, alike, {}) for p in (2, 2.5, 3, 4)]
        assert np.ptp(costs) == 0
        for p in (1.9, 4.1):
            assert expected_loss(LOSSES[name], p, targets, alike, {}) > costs[0] + 0.01

    @pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
    def test_label_smoothing_moves_the_minimiser(self, smoothing, rng):
        loss, truth = LOSSES["softmax_cross_entropy"], np.array([0.9, 0.1, 0.0])
        options = {"label_smoothing": smoothing}
        at = np.log((1 - smoothing) * truth + smoothing / 3) - 2
        least = expected_loss(loss, at, np.arange(3), truth, options)
        for logits in neighbours(loss.prediction, at, rng):
            assert expected_loss(loss, logits, np.arange(3), truth, options) >= least - ROUNDING
        unmoved = np.log(truth + 1e-300)
        assert expected_loss(loss, unmoved, np.arange(3), truth, options) > least + 0.01

    @pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0, 2.0, 5.0, 20.0])
    def test_sigmoid_focal_log_odds_have_the_right_sign_and_are_nearer_0(self, gamma):
        fitted = np.concatenate([np.geomspace(1e-9, 0.4, 50), np.linspace(0.401, 0.499, 50)])
        for p in fitted:
            truth = focal_label_probabilities([p, 1 - p], gamma)[0]
            assert truth < p < 0.5

    @pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0, 2.0, 5.0, 20.0])
    def test_softmax_focal_winner_is_too_low_above_one_half(self, gamma, rng):
        for _ in range(500):
            count = rng.integers(2, 50)
            fitted = rng.dirichlet(np.full(count, rng.choice([0.05, 0.3, 1.0])))
            fitted = np.clip(fitted, 1e-12, 1 - 1e-9)
            truth = focal_label_probabilities(fitted / fitted.sum(), gamma)
            assert fitted.argmax() == truth.argmax()
            if truth.max() > 0.5:
                assert fitted.max() < truth.max()

    @pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
    def test_softmax_focal_winner_is_too_high_among_many_small_ones(self, gamma, rng):
        for _ in range(100):
            fitted = rng.dirichlet(np.full(100, 20.0))
            truth = focal_label_probabilities(fitted, gamma)
            assert fitted.argmax() == truth.argmax()
            assert max(truth) < max(fitted) < 0.05

    def test_softmax_focal_minimiser_of_a_hundred_classes(self):
        truth = np.full(100, 0.96 / 99)
        truth[0] = 0.04

        def slope(top):
            logits = np.log(np.append(top, np.full(99, (1 - top) / 99)))
            gradient = LOSSES["softmax_focal"].gradient
            return truth @ gradient(np.tile(logits, (100, 1)), np.arange(100))[:, 0]

        # Given to three digits on purpose: the true 4 % are read as 4.4 %.
        assert optimize.brentq(slope, 0.01, 0.3) == pytest.approx(0.0438, abs=5e-5)

    def test_focal_minimisers_in_general_are_not_the_class_probabilities(self):
        for fitted in (FOCAL_BINARY, FOCAL_MULTICLASS):
            truth = focal_label_probabilities(fitted)
            assert np.argmax(fitted) == np.argmax(truth)
            assert max(fitted) < max(truth) - 0.05

    @pytest.mark.parametrize(
        ("eta", "best"),
        [
            ([0.6, 0.4, 0.0], [[2.0, 0.0, 0.0], [2.0, 0.0, -9.0]]),
            ([1.0, 0.0, 0.0], [[2.0, 0.0, 0.0], [7.0, 3.0, -9.0]]),
            ([0.5, 0.5, 0.0], [[0.0, 0.0, 0.0], [0.0, 0.0, -9.0], [2.0, 0.0, 0.0]]),
            ([0.4, 0.35, 0.25], [[1.0, 1.0, 1.0]]),
        ],
    )
    def test_multiclass_hinge_leads_for_a_majority_and_ties_else(self, eta, best, rng):
        loss, options = LOSSES["multiclass_hinge"], {"margin": 2.0}
        population = np.arange(3), np.array(eta), options
        costs = [expected_loss(loss, logits, *population) for logits in best]
        assert np.ptp(costs) <= ROUNDING
        for logits in neighbours(loss.prediction, best[0], rng):
            assert expected_loss(loss, logits, *population) >= costs[0] - ROUNDING
        if max(eta) < 1:
            for worse in ([3.0, 0.0, 0.0], [0.0, 0.0, 1.0]):
                assert expected_loss(loss, worse, *population) > costs[0] + 0.01


def chord_gaps(loss, rng, count=4000, **hyperparameters):
    """Mean of a chord's ends less the value in its middle: not negative where a loss is convex.

    Half of the chords between rows shift all logits alike, or swap two probabilities.
    """
    a, b = (predictions(loss, rng, count) for _ in range(2))
    half = count // 2
    if isinstance(loss.prediction, ClassRow):
        shifted = a[0][:half] + rng.normal(0, 3, (half, 1))
        is_shifted = is_unbounded(loss.prediction) and loss.prediction.high == np.inf
        b[0][:half] = shifted if is_shifted else a[0][:half, [0, 2, 1]]
    targets = targets_of(loss, rng, count)
    ends = [values(loss, *p, *targets, **hyperparameters) for p in (a, b)]
    between = tuple((x + y) / 2 for x, y in zip(a, b, strict=True))
    middle = values(loss, *between, *targets, **hyperparameters)
    apart = sizes(loss, tuple(x - y for x, y in zip(a, b, strict=True))) > 0.1
    return (sum(ends) / 2 - middle)[apart], (sum(map(np.abs, ends)) + 1)[apart]


class TestConvexity:
    def test_every_text_takes_a_side(self):
        for loss in TOLD:
            assert loss.card.convexity.startswith(("Strictly convex", "Convex", "Not"))
            assert loss.card.convexity.startswith("Not") == (not CASES[loss.name].convex), loss.name

    @losses_where("convexity", ("Strictly convex", "Convex"))
    def test_no_chord_lies_below(self, loss, rng):
        gaps, scale = chord_gaps(loss, rng)
        assert np.all(gaps >= -ROUNDING * scale)

    @losses_where("convexity", "Strictly convex")
    def test_every_chord_lies_above_where_strict(self, loss, rng):
        gaps, _ = chord_gaps(loss, rng)
        assert np.all(gaps > 0)

    @losses_where("convexity", "Convex")
    def test_some_chord_touches_where_not_strict(self, loss, rng):
        gaps, scale = chord_gaps(loss, rng)
        assert np.any(np.abs(gaps) <= ROUNDING * scale)

    @losses_where("convexity", "Not")
    def test_some_chord_lies_below_where_not_convex(self, loss, rng):
        gammas = (0.5, 1.0, 2.0, 5.0) if "gamma" in loss.hyperparameters else (None,)
        for gamma in gammas:
            gaps, _ = chord_gaps(loss, rng, **({} if gamma is None else {"gamma": gamma}))
            assert gaps.min() < -1e-6

    @pytest.mark.parametrize("fixed", [0, 1])
    def test_gaussian_nll_is_convex_in_mean_and_in_log_variance_alone(self, fixed, rng):
        a, b = rng.normal(0, 3, (2, 4000, 2))
        b[:, fixed] = a[:, fixed]
        value = LOSSES["gaussian_nll"].function
        t = rng.normal(0, 3, 4000)
        ends = value(a, t) + value(b, t)
        assert np.all(ends / 2 - value((a + b) / 2, t) >= -ROUNDING * (1 + abs(ends)))

    @pytest.mark.parametrize("name", THRESHOLDS)
    @pytest.mark.parametrize("threshold", [0.5, 1.0, 4.0])
    def test_strictly_convex_only_within_the_threshold(self, name, threshold, rng):
        def gaps(a, b):
            value = partial(LOSSES[name].function, **{THRESHOLDS[name]: threshold})
            ends, middle = (value(p, 0 * p) for p in (a, b)), value((a + b) / 2, 0 * a)
            return (sum(ends) / 2 - middle)[abs(a - b) > 0.01 * threshold]

        within = rng.uniform(-threshold, threshold, (2, 2000))
        beyond = rng.uniform(threshold, 9 * threshold, (2, 2000))
        assert np.all(gaps(*within) > 0)
        assert np.all(np.abs(gaps(*beyond)) < ROUNDING)

    def test_categorical_cross_entropy_is_strict_in_classes_that_occur(self, rng):
        rows = rng.dirichlet(np.ones(3), (2, 2000))
        # The last class never occurs: moving probability between it and nothing costs nothing.
        label = np.tile([0.6, 0.4, 0.0], (2000, 1))
        value = LOSSES["categorical_cross_entropy"].function
        first, second = rows
        apart = np.abs(first - second)[:, :2].max(axis=1) > 0.01
        gap = (value(first, label) + value(second, label)) / 2 - value((first + second) / 2, label)
        assert np.all(gap[apart] > 0)
        certain = np.tile([1.0, 0.0, 0.0], (2000, 1))
        second = first[:, [0, 2, 1]]
        middle = value((first + second) / 2, certain)
        assert np.allclose(value(first, certain) + value(second, certain), 2 * middle, rtol=1e-12)

    def test_squared_hinge_is_flat_beyond_margin_1(self):
        assert np.all(LOSSES["squared_hinge"].function(np.array([1.0, 2.0, 50.0]), np.ones(3)) == 0)

    def test_brier_is_not_convex_in_logits(self):
        logits, label = np.array([[0.0, 4.0], [0.0, 8.0], [0.0, 12.0]]), np.array([[1, 0]] * 3)
        low, middle, high = LOSSES["brier"].function(softmax(logits), label)
        assert middle > (low + high) / 2


def slopes(loss, rng, options, count=20_000):
    """Sizes of gradients, and of their differences per distance, from moderate to far out."""
    space = loss.prediction
    count = count // 10 if isinstance(space, Whole) else count
    near, far = (predictions(loss, rng, count, draw) for draw in (drawn, far_out))
    a = tuple(map(np.concatenate, zip(near, far, strict=True)))
    targets = targets_of(loss, rng, 2 * count)
    b = tuple(np.clip(x + 1e-2 * rng.normal(size=x.shape), space.low, space.high) for x in a)
    at_a, at_b = (rows_of_slopes(loss, *p, *targets, **options) for p in (a, b))
    apart = sizes(loss, tuple(y - x for x, y in zip(a, b, strict=True)))
    moved = apart > 1e-4
    return sizes(loss, at_a), sizes(loss, at_b - at_a)[moved] / apart[moved]


class TestLipschitz:
    @every_loss
    def test_text_and_case_agree(self, loss):
        constants, text = CASES[loss.name].lipschitz, loss.card.lipschitz
        assert text.startswith("Not") == (constants.value is None)
        assert bool(re.search(r"gradient is [$12]", text)) == (constants.gradient is not None)

    @every_loss
    def test_constant_of_the_value_holds_and_is_the_least(self, loss, rng):
        constants = CASES[loss.name].lipschitz
        constant, steepest = constants.value, slopes(loss, rng, constants.options)[0].max()
        if constant is None and isinstance(loss.prediction, Box):
            small = 1e-3 * np.array([[0.0, 0.0, 1.0, 1.0]])
            assert sizes(loss, loss.gradient(small, small / 2)) > 50
        elif constant is None:
            assert steepest > 50
        else:
            # Sampling comes within 2 % of the supremum, which may be a limit.
            assert 0.98 * constant < steepest <= constant * (1 + ROUNDING)

    @every_loss
    def test_constant_of_the_gradient_holds_and_is_the_least(self, loss, rng):
        constants = CASES[loss.name].lipschitz
        constant, steepest = constants.gradient, slopes(loss, rng, constants.options)[1].max()
        if constant is not None:
            # Rounding of the gradients, 1e-14 here, is divided by a step of at least 1e-4. The
            # softmax needs two equal logits and a low third: random ones come within 10 %.
            assert 0.9 * constant < steepest <= constant + 1e-9
        elif "neither is the gradient" in loss.card.lipschitz:
            assert steepest > 1000

    def test_constant_of_the_unsquared_triplet_loss(self, rng):
        steepest = slopes(LOSSES["triplet"], rng, {"squared": False, "margin": 100.0})[0].max()
        assert 0.98 * np.sqrt(6) < steepest <= np.sqrt(6) * (1 + ROUNDING)

    @pytest.mark.parametrize("smooth", [0.0, 0.01, 3.0])
    @pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (1.0, 0.1), (0.0, 1.0), (1.0, 4.0)])
    def test_constants_of_the_overlap_losses_with_and_without_labels(
        self, alpha, beta, smooth, rng
    ):
        p = np.concatenate([np.round(rng.uniform(size=(2000, 3))), rng.uniform(size=(2000, 3))])
        t = np.round(rng.uniform(size=p.shape))
        t[:, 0] = 1
        p[0], p[1], t[:2, 1:] = 0, [1, 0, 0], 0
        priced = {"alpha": alpha, "beta": beta}
        for name, options, constant, empty in (
            ("dice", {}, 2, 1),
            ("jaccard", {}, 1, 1),
            ("tversky", priced, max(beta, 1 / beta), alpha),
        ):
            gradient, options = LOSSES[name].gradient, options | {"smooth": smooth}
            steepest = np.abs(gradient(p, t, **options)).max()
            assert steepest <= constant * (1 + ROUNDING)
            if smooth == 0:
                assert steepest == pytest.approx(constant)
            else:
                nothing = gradient(np.full((1, 3), 1e-9), np.zeros((1, 3)), **options)
                assert nothing.max() == pytest.approx(empty / smooth)

    @pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0, 20.0])
    def test_bound_of_the_focal_losses(self, gamma, rng):
        for name, factor in (("sigmoid_focal", 1), ("softmax_focal", np.sqrt(2))):
            steepest = slopes(LOSSES[name], rng, {"gamma": gamma})[0].max()
            assert steepest <= factor * (1 + gamma / np.e) * (1 + ROUNDING)

    @pytest.mark.parametrize(("name", "delta"), [("huber", 0.5), ("smooth_l1", 4.0)])
    def test_constants_at_another_threshold(self, name, delta, rng):
        value, gradient = slopes(LOSSES[name], rng, {THRESHOLDS[name]: delta})
        assert value.max() == pytest.approx(delta if name == "huber" else 1)
        assert gradient.max() == pytest.approx(1 if name == "huber" else 1 / delta)


class TestKinks:
    @every_loss
    def test_text_and_case_agree(self, loss):
        assert loss.card.kinks.startswith("None") == (not CASES[loss.name].kinks)

    @every_loss
    def test_gradient_jumps_exactly_where_there_is_a_kink(self, loss, rng):
        points, targets = predictions(loss, rng, 2000), targets_of(loss, rng, 2000)
        options = {"margin": 1.0} if loss.name == "triplet" else {}
        if is_unbounded(loss.prediction):
            # Multiples of one half hit residuals of 0 and 1, margins of 0 and 1, and ties.
            points = tuple(np.round(2 * array) / 2 for array in points)
            # And some points are equal.
            for other in points[1:2]:
                other[:50] = points[0][:50]
        if loss.target is REAL or loss.family not in OF_NUMBERS:
            targets = tuple(np.round(array) for array in targets)
        if isinstance(loss.prediction, LogClassRow):
            points, targets = predictions(loss, rng, 2000), targets_of(loss, rng, 2000)
        steps = [1e-9 * rng.choice([-1.0, 1.0], array.shape) for array in points]
        ahead, behind = (
            rows_of_slopes(
                loss,
                *(x + sign * step for x, step in zip(points, steps, strict=True)),
                *targets,
                **options,
            )
            for sign in (1, -1)
        )
        jumps = sizes(loss, ahead - behind) / (1 + sizes(loss, ahead) ** 2)
        # A smooth gradient changes by its slope, here at most 1e4, times 2e-9; a kink's jump stays.
        assert np.any(jumps > 0.1) == (not loss.card.kinks.startswith("None"))
        if loss.card.kinks.startswith("None"):
            assert np.all(jumps < 1e-4)

    @pytest.mark.parametrize(
        ("name", "at", "target", "jump"),
        [
            ("huber", 1.0, 0.0, -1.0),
            ("huber", -1.0, 0.0, 1.0),
            ("smooth_l1", 1.0, 0.0, -1.0),
            ("smooth_l1", -1.0, 0.0, 1.0),
            ("squared_hinge", 1.0, 1.0, -2.0),
            ("squared_hinge", -1.0, -1.0, 2.0),
        ],
    )
    def test_second_derivative_jumps_where_the_card_says(self, name, at, target, jump):
        points = at + 1e-4 * np.array([-2.0, -1.0, 1.0, 2.0])
        slopes = LOSSES[name].gradient(points, np.full(4, target))
        below, _, above = np.diff(slopes) / np.diff(points)
        assert above - below == pytest.approx(jump, rel=1e-8)


class TestNoiseModel:
    @of_losses([loss for loss in TOLD if CASES[loss.name].density])
    def test_loss_is_the_negative_log_likelihood_up_to_a_constant(self, loss):
        *arrays, log_density = CASES[loss.name].density()
        rest = each(loss, loss.function)(*arrays) + log_density
        # The densities go through an exponential and a logarithm of numbers down to 1e-35.
        assert np.ptp(rest) < 1e-10

    @pytest.mark.parametrize("name", ["huber", "smooth_l1"])
    def test_gaussian_middle_and_exponential_tails(self, name):
        threshold, r = 2.0, np.linspace(0, 8, 81)
        values = LOSSES[name].function(r, 0 * r, **{THRESHOLDS[name]: threshold})
        variance = 1 if name == "huber" else threshold
        middle, tail = r <= threshold, r >= threshold
        assert np.ptp((values + stats.norm(0, np.sqrt(variance)).logpdf(r))[middle]) < ROUNDING
        assert np.ptp(np.diff(values[tail])) < ROUNDING

    def test_no_density_where_a_loss_stops_growing(self):
        far = 1e6 * np.eye(2)
        assert not LOSSES["contrastive"].function(far, -far, np.zeros(2)).any()
        assert not LOSSES["triplet"].function(far, far, -far).any()
        far_apart_boxes = np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([[1e9, 1e9, 1e9 + 1, 1e9 + 1]])
        assert LOSSES["giou"].function(*far_apart_boxes) <= 2

    @of_losses([loss for loss in TOLD if "does not sum to a constant" in loss.card.noise_model])
    def test_no_label_distribution_where_there_is_none(self, loss):
        assert abs(np.diff(totals_over_labels(loss))) > 0.01

    @pytest.mark.parametrize("gamma", [0.5, 1.0, 5.0])
    @pytest.mark.parametrize("name", ["sigmoid_focal", "softmax_focal"])
    def test_focal_losses_have_a_label_distribution_at_gamma_0_only(self, name, gamma):
        assert abs(np.diff(totals_over_labels(LOSSES[name], gamma=gamma))) > 0.01
        assert totals_over_labels(LOSSES[name], gamma=0.0) == pytest.approx([1, 1], rel=ROUNDING)

    @pytest.mark.parametrize(
        ("name", "option"),
        [
            ("softmax_cross_entropy", {"label_smoothing": 0.1}),
            ("sigmoid_focal", {"gamma": 0.0, "alpha": 0.25}),
            ("sigmoid_binary_cross_entropy", {"pos_weight": 3.0}),
        ],
    )
    def test_an_option_takes_the_label_distribution_away(self, name, option):
        assert abs(np.diff(totals_over_labels(LOSSES[name], **option))) > 0.01

    @pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
    def test_scale_of_the_asymmetric_laplace(self, level):
        r = np.linspace(-6, 6, 49)
        values = LOSSES["quantile"].function(0 * r, r, level=level)
        density = level * (1 - level) * np.exp(-values)
        # SciPy's slopes are kappa / scale above and 1 / (kappa scale) below.
        kappa, scale = np.sqrt(level / (1 - level)), 1 / np.sqrt(level * (1 - level))
        assert density == pytest.approx(stats.laplace_asymmetric(kappa, 0, scale).pdf(r))
        if level == 0.5:
            assert density == pytest.approx(stats.laplace(0, 2).pdf(r))

    @every_loss
    def test_text_and_case_agree(self, loss):
        none = re.match("None(:| for .gamma)", loss.card.noise_model.replace("$\\", "."))
        assert bool(none) == (CASES[loss.name].density is None)


def totals_over_labels(loss, **options):
    """The sum over all labels of e to the minus loss, for a sure and for an even prediction."""
    is_row = loss.prediction.axes_of(np.zeros(1)) or isinstance(loss.prediction, Mask)
    sure, even = ([4.0, 1.0, 0.0], [0.0, 0.0, 0.0]) if is_row else (3.0, 0.0)
    predictions = np.array([sure, even])
    if not is_unbounded(loss.prediction):
        predictions = softmax(10 * predictions)
    # Each label that there is: all that drawing many finds.
    labels = np.unique(far_apart(loss.target, np.random.default_rng(0), 100), axis=0)
    return [
        np.exp(-loss.function(np.repeat(p[None], len(labels), axis=0), labels, **options)).sum()
        for p in predictions
    ]


class TestStableForm:
    @of_losses([loss for loss in TOLD if loss.name in STABLE])
    def test_formula_as_typed_fails_where_the_stable_form_holds(self, loss):
        naive, examples = STABLE[loss.name]
        assert loss.card.stable_form.startswith("As it stands") == (naive is None)
        for example in examples:
            arrays = tuple(map(np.array, example))
            exact = exact_value(loss, example)
            with np.errstate(all="ignore", over="raise"):
                function = each(loss, loss.function.unchecked)
                ours = function(*(array[None] for array in arrays)).sum()
            # Exponents near 700 are known to 1e-13 only, as any float64 of that size is.
            assert ours == pytest.approx(exact, rel=1e-12, abs=0)
            assert naive is None or fails(naive, arrays, exact)

    @pytest.mark.parametrize(("name", "sign"), [("poisson_nll", 1.0), ("exponential", -1.0)])
    def test_exponential_overflows_past_709(self, name, sign):
        values = LOSSES[name].function(sign * np.array([709.0, 710.0]), np.ones(2))
        assert np.isfinite(values[0])
        assert np.isposinf(values[1])

    @pytest.mark.parametrize(
        ("name", "options"), [("softmax_cross_entropy", {}), ("softmax_focal", {"gamma": 0.0})]
    )
    def test_slope_of_a_sure_answer_is_not_lost(self, name, options):
        slopes = LOSSES[name].gradient(np.array([[40.0, 0.0]]), np.array([0]), **options)
        assert slopes[0] == pytest.approx(np.exp(-40.0) * np.array([-1, 1]), rel=1e-12)


def exact_value(loss, example):
    """The loss of one example at 50 digits, by its case."""
    with mp.workdps(50):
        numbers = [x if isinstance(x, int) else as_exact(x) for x in example]
        terms = CASES[loss.name].value(*numbers, **loss.hyperparameters)
        return float(
            mp.fsum(x for term in terms for x in (term if isinstance(term, list) else [term]))
        )


def as_exact(number):
    return list(map(as_exact, number)) if isinstance(number, list) else mp.mpf(number)


def fails(naive, arrays, exact):
    """Whether a formula overflows on the way, or is off by more than a millionth."""
    try:
        with np.errstate(all="ignore", over="raise"):
            return not abs(naive(*arrays) - exact) <= 1e-6 * abs(exact)
    except FloatingPointError:
        return True


class TestFailure:
    @pytest.mark.parametrize("name", FAILURES)
    def test_loss_fails_as_its_card_says(self, name):
        FAILURES[name]()


# The table of what is tried in numbers: kind of row -> the losses, and where. A row that can only
# be argued would stand in ARGUED, with the reason.
HELD = {
    "minimiser": (CASES, TestMinimiser),
    "noise_model": (CASES, TestNoiseModel),
    "convexity": (CASES, TestConvexity),
    "lipschitz": (CASES, TestLipschitz),
    "kinks": (CASES, TestKinks),
    "stable_form": (STABLE, TestStableForm),
    "failure": (FAILURES, TestFailure),
}
ARGUED = {}


class TestEveryRowIsHeld:
    @pytest.mark.parametrize("field", TEXTS)
    @pytest.mark.parametrize("name", CARDS)
    def test_row_is_tried_or_a_reason_is_given(self, name, field):
        held, argued = name in HELD[field][0], bool(ARGUED.get((name, field)))
        assert held != argued, f"the row {field} of {name} has no test in numbers, and no reason"

    def test_rows_tried_and_argued_add_up(self):
        tried = {field: len(losses) for field, (losses, _) in HELD.items()}
        argued = Counter(field for _, field in ARGUED)
        print(f"rows tried in numbers: {tried}, argued: {dict(argued)}")
        assert all(tried[field] + argued[field] == len(CARDS) for field in TEXTS)

    def test_the_table_names_rows_that_exist(self):
        assert list(HELD) == list(TEXTS)
        for losses, _ in HELD.values():
            assert set(losses) <= set(CARDS)
        assert all(name in CARDS and field in TEXTS for name, field in ARGUED)
