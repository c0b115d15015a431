"""The cards: complete, and true. What a card claims in words is tried here in numbers."""

import re

import numpy as np
import pytest
from cases.binary import FOCAL as FOCAL_BINARY
from cases.binary import focal_label_probabilities
from cases.inputs import CLASSES, far_apart
from cases.multiclass import FOCAL as FOCAL_MULTICLASS
from cases.regression import ALIKE, SEEN
from cases.table import CASES
from scipy import optimize, stats

from lossbook import LOSSES
from lossbook.cards import CARDS
from lossbook.numerics import softmax
from lossbook.spaces import REAL, ClassRow

TEXTS = ("minimiser", "noise_model", "convexity", "lipschitz", "kinks", "stable_form", "failure")

# Every sum below has at most a dozen terms of order 1 to 100 in float64: rounding stays below this.
ROUNDING = 1e-12

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
    return space.draw(rng, (count,), CLASSES)


def far_out(space, rng, count):
    """Predictions near the ends of what they may be."""
    near = drawn(space, rng, count)
    return 15 * near if is_unbounded(space) else 1e-6 + (1 - CLASSES * 1e-6) * (near > 0.5)


def is_unbounded(space):
    return np.isinf(space.low)


def sizes(loss, arrays):
    """Euclidean norm over the axes that the loss drops: one number a value."""
    return np.linalg.norm(arrays, axis=-1) if loss.prediction.axes else np.abs(arrays)


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


def expected_loss(loss, prediction, targets, probabilities, options):
    repeated = np.repeat(np.asarray(prediction, float)[None], len(targets), axis=0)
    return loss.value(repeated, targets, weights=probabilities, **options)


def neighbours(space, prediction, rng):
    """Points near and far around a prediction, inside the domain."""
    prediction = np.asarray(prediction, float)
    for scale in (1e-3, 1e-2, 0.1, 1.0, 5.0):
        for _ in range(40):
            step = rng.normal(0, scale, prediction.shape)
            if isinstance(space, ClassRow) and not is_unbounded(space):
                step = step - step.mean()
            moved = prediction + step
            if np.all((space.low < moved) & (moved < space.high)):
                yield moved


class TestMinimiser:
    @every_loss
    def test_no_neighbour_does_better(self, loss, rng):
        claim = CASES[loss.name].minimum
        population = claim.targets, claim.probabilities, claim.options
        least = expected_loss(loss, claim.at, *population)
        around = neighbours(loss.prediction, claim.at, rng)
        others = [expected_loss(loss, prediction, *population) for prediction in around]
        assert len(others) > 50
        assert min(others) >= least - ROUNDING

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

    def test_focal_minimisers_are_less_sure_but_name_the_same_winner(self):
        for fitted in (FOCAL_BINARY, FOCAL_MULTICLASS):
            truth = focal_label_probabilities(fitted)
            assert np.argmax(fitted) == np.argmax(truth)
            assert max(fitted) < max(truth) - 0.05

    def test_multiclass_hinge_without_a_majority_ends_in_a_tie(self, rng):
        loss, eta = LOSSES["multiclass_hinge"], np.array([0.4, 0.35, 0.25])
        tie = expected_loss(loss, np.zeros(3), np.arange(3), eta, {})
        for logits in neighbours(loss.prediction, np.zeros(3), rng):
            assert expected_loss(loss, logits, np.arange(3), eta, {}) >= tie - ROUNDING


def chord_gaps(loss, rng, count=4000, **hyperparameters):
    """Mean of a chord's ends less the value in its middle: not negative where a loss is convex.

    Half of the chords between rows shift all logits alike, or swap two probabilities.
    """
    a, b = (drawn(loss.prediction, rng, count) for _ in range(2))
    half = count // 2
    if isinstance(loss.prediction, ClassRow):
        shifted = a[:half] + rng.normal(0, 3, (half, 1))
        b[:half] = shifted if is_unbounded(loss.prediction) else a[:half, [0, 2, 1]]
    targets = far_apart(loss.target, rng, count)
    ends = [loss.function(p, targets, **hyperparameters) for p in (a, b)]
    middle = loss.function((a + b) / 2, targets, **hyperparameters)
    apart = sizes(loss, a - b) > 0.1
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

    def test_brier_is_not_convex_in_logits(self):
        logits, label = np.array([[0.0, 4.0], [0.0, 8.0], [0.0, 12.0]]), np.array([[1, 0]] * 3)
        low, middle, high = LOSSES["brier"].function(softmax(logits), label)
        assert middle > (low + high) / 2


def slopes(loss, rng, options, count=20_000):
    """Sizes of gradients, and of their differences per distance, from moderate to far out."""
    space = loss.prediction
    a = np.concatenate([drawn(space, rng, count), far_out(space, rng, count)])
    targets = far_apart(loss.target, rng, 2 * count)
    b = np.clip(a + 1e-2 * rng.normal(size=a.shape), space.low, space.high)
    at_a, at_b = (loss.gradient(p, targets, **options) for p in (a, b))
    apart = sizes(loss, b - a)
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
        if constant is None:
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
        points, targets = drawn(loss.prediction, rng, 2000), far_apart(loss.target, rng, 2000)
        if is_unbounded(loss.prediction):
            # Multiples of one half hit residuals of 0 and 1, margins of 0 and 1, and ties.
            points = np.round(2 * points) / 2
        if loss.target is REAL:
            targets = np.round(targets)
        step = 1e-9 * rng.choice([-1.0, 1.0], points.shape)
        ahead, behind = (loss.gradient(points + sign * step, targets) for sign in (1, -1))
        jumps = sizes(loss, ahead - behind) / (1 + sizes(loss, ahead) ** 2)
        # A smooth gradient changes by its slope, here at most 1e4, times 2e-9; a kink's jump stays.
        assert np.any(jumps > 0.1) == (not loss.card.kinks.startswith("None"))
        if loss.card.kinks.startswith("None"):
            assert np.all(jumps < 1e-4)


class TestNoiseModel:
    @of_losses([loss for loss in TOLD if CASES[loss.name].density])
    def test_loss_is_the_negative_log_likelihood_up_to_a_constant(self, loss):
        prediction, target, log_density = CASES[loss.name].density()
        rest = loss.function(prediction, target) + log_density
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

    @losses_where("noise_model", "None")
    def test_no_label_distribution_where_there_is_none(self, loss):
        if loss.prediction.axes:
            sure, even = [4.0, 1.0, 0.0], [0.0, 0.0, 0.0]
        else:
            sure, even = 3.0, 0.0
        predictions = np.array([sure, even])
        if not is_unbounded(loss.prediction):
            predictions = softmax(10 * predictions)
        # Each label that there is: all that drawing many finds.
        labels = np.unique(far_apart(loss.target, np.random.default_rng(0), 100), axis=0)
        totals = [
            np.exp(-loss.function(np.repeat(p[None], len(labels), axis=0), labels)).sum()
            for p in predictions
        ]
        assert abs(totals[0] - totals[1]) > 0.01

    @every_loss
    def test_text_and_case_agree(self, loss):
        assert loss.card.noise_model.startswith("None:") == (CASES[loss.name].density is None)
