"""The passports: complete, and true. What a row claims in words is tried here in numbers."""

import inspect
import re
from dataclasses import fields

import numpy as np
import pytest
from scipy import optimize, special, stats

from lossbook.conventions import CONVENTION_SOURCES, CONVENTIONS, Convention
from lossbook.losses import binary, margin, multiclass, regression
from lossbook.numerics import softmax
from lossbook.registry import LOSSES, PREDICTIONS, TARGETS, Loss

TEXTS = ("minimiser", "noise_model", "convexity", "lipschitz", "kinks", "stable_form", "failure")
CLASSES = 3

# Every sum below has at most a dozen terms of order 1 to 100 in float64: rounding stays below this.
ROUNDING = 1e-12

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))


def losses_where(field, start):
    """The losses whose text starts like this, as a parametrisation."""
    chosen = [loss for loss in LOSSES.values() if getattr(loss, field).startswith(start)]
    return pytest.mark.parametrize("loss", chosen, ids=[loss.name for loss in chosen])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw_predictions(loss, rng, count, scale=3.0):
    """Predictions anywhere in the domain; `scale` is the spread of what is unbounded."""
    if loss.prediction == "probability":
        return rng.uniform(0.01, 0.99, count)
    if loss.prediction == "class probabilities":
        return rng.dirichlet(np.full(CLASSES, 0.5), count)
    shape = {"class logits": (count, CLASSES), "mean and log-variance": (count, 2)}
    return rng.normal(0, scale, shape.get(loss.prediction, count))


def draw_targets(loss, rng, count):
    ids = rng.integers(0, CLASSES, count)
    return {
        "real": rng.normal(0, 3, count),
        "count": rng.poisson(3, count).astype(float),
        "label in [0, 1]": rng.choice([0.0, 0.3, 1.0], count),
        "label 0 or 1": rng.choice([0.0, 1.0], count),
        "label -1 or +1": rng.choice([-1.0, 1.0], count),
        "class probabilities": np.eye(CLASSES)[ids],
        "class id": ids,
        "class id or probabilities": ids,
    }[loss.target]


def sizes(loss, arrays):
    """Euclidean norm over the axes that the loss drops: one number a value."""
    return np.linalg.norm(arrays, axis=-1) if loss.dropped_axes else np.abs(arrays)


class TestRows:
    @every_loss
    def test_key_is_the_name_of_the_function_and_its_gradient(self, loss):
        assert LOSSES[loss.name] is loss
        assert loss.gradient.__name__ == f"{loss.name}_grad"
        assert inspect.signature(loss.gradient) == inspect.signature(loss.function)

    @every_loss
    def test_family_is_the_module(self, loss):
        assert loss.function.__module__ == f"lossbook.losses.{loss.family}"

    def test_every_loss_of_the_package_has_a_row(self):
        named = {
            name.removesuffix("_grad")
            for module in (binary, margin, multiclass, regression)
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__ and name.endswith("_grad")
        }
        assert named == set(LOSSES)

    @every_loss
    def test_kinds_are_in_the_vocabulary(self, loss):
        assert loss.prediction in PREDICTIONS
        assert loss.target in TARGETS

    def test_titles_differ(self):
        assert len({loss.title for loss in LOSSES.values()}) == len(LOSSES)

    @every_loss
    def test_chapter_exists(self, loss):
        assert 1 <= loss.chapter <= 19

    @every_loss
    @pytest.mark.parametrize("field", TEXTS)
    def test_text_is_one_tidy_sentence(self, loss, field):
        text = getattr(loss, field)
        assert re.match(r"[A-Z$0-9]", text)
        assert text.endswith(".")
        assert len(text.split()) <= 28
        assert_fits_a_markdown_table(text)

    @every_loss
    def test_hyperparameters_are_documented(self, loss):
        for name in loss.hyperparameters:
            assert re.search(rf"^    {name} : ", loss.function.__doc__, re.MULTILINE), name

    @every_loss
    def test_dropped_axes(self, loss, rng):
        prediction = draw_predictions(loss, rng, 5)
        values = loss.function(prediction, draw_targets(loss, rng, 5))
        assert prediction.ndim - values.ndim == loss.dropped_axes


def assert_fits_a_markdown_table(text):
    assert "|" not in text
    assert text.count("$") % 2 == 0
    assert text.count("`") % 2 == 0
    assert "  " not in text
    assert text == text.strip()


class TestConventionRows:
    def test_every_loss_and_no_other_has_conventions(self):
        assert list(CONVENTIONS) == list(LOSSES)

    @every_loss
    def test_four_libraries_in_one_order(self, loss):
        assert [row.library for row in loss.conventions] == list(CONVENTION_SOURCES)

    @every_loss
    def test_fields_are_filled(self, loss):
        for row in loss.conventions:
            for field in fields(Convention):
                text = getattr(row, field.name)
                assert_fits_a_markdown_table(text)
                assert text or field.name == "note"

    @every_loss
    def test_without_a_function_a_note_says_what_to_do(self, loss):
        for row in loss.conventions:
            if row.name == "none":
                assert row.note
                assert {row.arguments, row.reduction, row.factor, row.weighted_mean} == {"-"}
            else:
                assert "-" not in (row.arguments, row.reduction, row.factor, row.weighted_mean)


PI, ETA = 0.3, np.array([0.6, 0.3, 0.1])
TARGETS_SEEN = np.array([0.0, 1.0, 1.5, 4.0, 10.0])
FLAT = np.full(5, 0.2)
LABELS_01, LABELS_PM, WEIGHTS = np.array([0.0, 1.0]), np.array([-1.0, 1.0]), np.array([1 - PI, PI])
LOGIT = np.log(PI / (1 - PI))


def root_of_mean(slope):
    """Where the mean of slope(p - t) over TARGETS_SEEN is 0."""
    return optimize.brentq(lambda p: np.mean(slope(p - TARGETS_SEEN)), -1, 11, xtol=1e-12)


def focal_label_probabilities(probabilities, gamma=2.0):
    """The label probabilities whose focal minimiser is `probabilities` (Charoenphakdee 2021)."""
    p = np.asarray(probabilities)
    weights = p / ((1 - p) ** gamma - gamma * (1 - p) ** (gamma - 1) * p * np.log(p))
    return weights / weights.sum()


THRESHOLDS = {"huber": "delta", "smooth_l1": "beta"}
FOCAL_2, FOCAL_3 = np.array([0.3, 0.7]), np.array([0.5, 0.3, 0.2])

# Loss -> the minimiser that the row claims, the targets, their probabilities, hyperparameters.
MINIMISERS = {
    "squared_error": (3.3, TARGETS_SEEN, FLAT, {}),
    "half_squared_error": (3.3, TARGETS_SEEN, FLAT, {}),
    "absolute_error": (1.5, TARGETS_SEEN, FLAT, {}),
    "huber": (root_of_mean(lambda r: np.clip(r, -2, 2)), TARGETS_SEEN, FLAT, {"delta": 2.0}),
    "smooth_l1": (root_of_mean(lambda r: np.clip(r, -2, 2)), TARGETS_SEEN, FLAT, {"beta": 2.0}),
    "log_cosh": (root_of_mean(np.tanh), TARGETS_SEEN, FLAT, {}),
    "quantile": (4.0, TARGETS_SEEN, FLAT, {"level": 0.7}),
    "poisson_nll": (np.log(3.3), TARGETS_SEEN, FLAT, {}),
    "gaussian_nll": ([3.3, np.log(TARGETS_SEEN.var())], TARGETS_SEEN, FLAT, {}),
    "binary_cross_entropy": (PI, LABELS_01, WEIGHTS, {}),
    "sigmoid_binary_cross_entropy": (LOGIT + np.log(2), LABELS_01, WEIGHTS, {"pos_weight": 2.0}),
    "sigmoid_focal": (
        special.logit(FOCAL_2[1]),
        LABELS_01,
        focal_label_probabilities(FOCAL_2),
        {},
    ),
    "categorical_cross_entropy": (ETA, np.eye(CLASSES), ETA, {}),
    "softmax_cross_entropy": (np.log(ETA) + 5, np.arange(CLASSES), ETA, {}),
    "softmax_focal": (np.log(FOCAL_3), np.arange(CLASSES), focal_label_probabilities(FOCAL_3), {}),
    "brier": (ETA, np.eye(CLASSES), ETA, {}),
    "multiclass_hinge": ([2.0, 0.0, 0.0], np.arange(CLASSES), ETA, {"margin": 2.0}),
    "perceptron": (0.0, LABELS_PM, WEIGHTS, {}),
    "hinge": (-1.0, LABELS_PM, WEIGHTS, {}),
    "squared_hinge": (2 * PI - 1, LABELS_PM, WEIGHTS, {}),
    "exponential": (LOGIT / 2, LABELS_PM, WEIGHTS, {}),
    "logistic": (LOGIT, LABELS_PM, WEIGHTS, {}),
}


def expected_loss(loss, prediction, targets, probabilities, hyperparameters):
    repeated = np.repeat(np.asarray(prediction, float)[None], len(targets), axis=0)
    return loss.value(repeated, targets, weights=probabilities, **hyperparameters)


def neighbours(loss, prediction, rng):
    """Points near and far around a prediction, inside the domain."""
    prediction = np.asarray(prediction, float)
    for scale in (1e-3, 1e-2, 0.1, 1.0, 5.0):
        for _ in range(40):
            step = rng.normal(0, scale, prediction.shape)
            if loss.prediction == "class probabilities":
                step = step - step.mean()
            if "probabilit" not in loss.prediction or np.all(abs(prediction + step - 0.5) < 0.5):
                yield prediction + step


class TestMinimiser:
    @every_loss
    def test_no_neighbour_does_better(self, loss, rng):
        claim, *population = MINIMISERS[loss.name]
        least = expected_loss(loss, claim, *population)
        others = [expected_loss(loss, p, *population) for p in neighbours(loss, claim, rng)]
        assert len(others) > 50
        assert min(others) >= least - ROUNDING

    @pytest.mark.parametrize("name", ["huber", "smooth_l1"])
    # The minimum is flat: a search finds it to about the root of the precision of float64.
    @pytest.mark.parametrize(("threshold", "claim", "near"), [(100, 3.3, 1e-6), (0.01, 1.5, 0.02)])
    def test_threshold_runs_from_median_to_mean(self, name, threshold, claim, near):
        def objective(p):
            return expected_loss(LOSSES[name], p, TARGETS_SEEN, FLAT, {THRESHOLDS[name]: threshold})

        found = optimize.minimize_scalar(
            objective, bounds=(0, 10), method="bounded", options={"xatol": 1e-10}
        ).x
        assert found == pytest.approx(claim, abs=near)

    @pytest.mark.parametrize("width", [0.01, 1000.0])
    def test_log_cosh_is_near_the_mean_of_narrow_and_the_median_of_wide_targets(self, width):
        targets = TARGETS_SEEN * width
        found = optimize.brentq(lambda p: np.mean(np.tanh(p - targets)), -1, 11 * width)
        near = targets.mean() if width < 1 else np.median(targets)
        # Narrow targets leave out a cubic term; wide ones leave half a unit around the median.
        assert found == pytest.approx(near, abs=1e-4 if width < 1 else 0.6)

    def test_focal_minimisers_are_less_sure_but_name_the_same_winner(self):
        for fitted in (FOCAL_2, FOCAL_3):
            truth = focal_label_probabilities(fitted)
            assert np.argmax(fitted) == np.argmax(truth)
            assert max(fitted) < max(truth) - 0.05

    def test_multiclass_hinge_without_a_majority_ends_in_a_tie(self, rng):
        loss, eta = LOSSES["multiclass_hinge"], np.array([0.4, 0.35, 0.25])
        tie = expected_loss(loss, np.zeros(3), np.arange(3), eta, {})
        for logits in neighbours(loss, np.zeros(3), rng):
            assert expected_loss(loss, logits, np.arange(3), eta, {}) >= tie - ROUNDING


def chord_gaps(loss, rng, count=4000, **hyperparameters):
    """Mean of a chord's ends less the value in its middle: not negative where a loss is convex.

    Half of the chords between rows shift all logits alike, or swap two probabilities.
    """
    a, b = draw_predictions(loss, rng, count), draw_predictions(loss, rng, count)
    if loss.prediction == "class logits":
        b[: count // 2] = a[: count // 2] + rng.normal(0, 3, (count // 2, 1))
    if loss.prediction == "class probabilities":
        b[: count // 2] = a[: count // 2, [0, 2, 1]]
    targets = draw_targets(loss, rng, count)
    ends = [loss.function(p, targets, **hyperparameters) for p in (a, b)]
    middle = loss.function((a + b) / 2, targets, **hyperparameters)
    apart = sizes(loss, a - b) > 0.1
    return (sum(ends) / 2 - middle)[apart], (sum(map(np.abs, ends)) + 1)[apart]


class TestConvexity:
    def test_every_text_takes_a_side(self):
        for loss in LOSSES.values():
            assert loss.convexity.startswith(("Strictly convex", "Convex", "Not"))

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


# Loss -> hyperparameters, and the constants of the value and of the gradient, None without one.
LIPSCHITZ = {
    "squared_error": ({}, None, 2),
    "half_squared_error": ({}, None, 1),
    "absolute_error": ({}, 1, None),
    "huber": ({"delta": 2.5}, 2.5, 1),
    "smooth_l1": ({"beta": 2.5}, 1, 1 / 2.5),
    "log_cosh": ({}, 1, 1),
    "quantile": ({"level": 0.8}, 0.8, None),
    "poisson_nll": ({}, None, None),
    "gaussian_nll": ({}, None, None),
    "binary_cross_entropy": ({}, None, None),
    "sigmoid_binary_cross_entropy": ({"pos_weight": 3.0}, 3, 3 / 4),
    "sigmoid_focal": ({"gamma": 2.0}, 1.129, None),
    "categorical_cross_entropy": ({}, None, None),
    "softmax_cross_entropy": ({}, np.sqrt(2), 1 / 2),
    "softmax_focal": ({"gamma": 2.0}, np.sqrt(2) * 1.129, None),
    "brier": ({}, 2 * np.sqrt(2), 2),
    "multiclass_hinge": ({}, np.sqrt(2), None),
    "perceptron": ({}, 1, None),
    "hinge": ({}, 1, None),
    "squared_hinge": ({}, None, 2),
    "exponential": ({}, None, None),
    "logistic": ({}, 1, 1 / 4),
}


def slopes(loss, rng, hyperparameters, count=20_000):
    """Sizes of gradients, and of their differences per distance, from moderate to far out."""
    near = draw_predictions(loss, rng, count)
    if "probabilit" in loss.prediction:
        far = 1e-6 + (1 - CLASSES * 1e-6) * (near > 0.5)
    else:
        far = draw_predictions(loss, rng, count, scale=30.0)
    a, targets = np.concatenate([near, far]), draw_targets(loss, rng, 2 * count)
    step = 1e-2 * rng.normal(size=a.shape)
    b = np.clip(a + step, 0, 1) if "probabilit" in loss.prediction else a + step
    at_a, at_b = (loss.gradient(p, targets, **hyperparameters) for p in (a, b))
    apart = sizes(loss, b - a)
    moved = apart > 1e-4
    return sizes(loss, at_a), sizes(loss, at_b - at_a)[moved] / apart[moved]


class TestLipschitz:
    @every_loss
    def test_text_and_table_agree(self, loss):
        _, value, gradient = LIPSCHITZ[loss.name]
        assert loss.lipschitz.startswith("Not") == (value is None)
        assert (
            "gradient is $" in loss.lipschitz
            or "gradient is 1" in loss.lipschitz
            or "gradient is 2" in loss.lipschitz
        ) == (gradient is not None)

    @every_loss
    def test_constant_of_the_value_holds_and_is_the_least(self, loss, rng):
        hyperparameters, constant, _ = LIPSCHITZ[loss.name]
        steepest = slopes(loss, rng, hyperparameters)[0].max()
        if constant is None:
            assert steepest > 50
        else:
            # Sampling comes within 2 % of the supremum, which may be a limit.
            assert 0.98 * constant < steepest <= constant * (1 + ROUNDING)

    @every_loss
    def test_constant_of_the_gradient_holds_and_is_the_least(self, loss, rng):
        hyperparameters, _, constant = LIPSCHITZ[loss.name]
        steepest = slopes(loss, rng, hyperparameters)[1].max()
        if constant is not None:
            # Rounding of the gradients, 1e-14 here, is divided by a step of at least 1e-4. The
            # softmax needs two equal logits and a low third: random ones come within 10 %.
            assert 0.9 * constant < steepest <= constant + 1e-9
        elif "neither is the gradient" in loss.lipschitz:
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


# Loss -> prediction and target at the kink, and the subgradient that the row says is chosen.
CHOSEN = {
    "absolute_error": [(2.0, 2.0, 0.0)],
    "quantile": [(2.0, 2.0, 0.0)],
    "binary_cross_entropy": [(0.0, 0.0, 1.0), (1.0, 1.0, -1.0)],
    "categorical_cross_entropy": [([1.0, 0.0], [1.0, 0.0], [-1.0, 0.0])],
    "multiclass_hinge": [
        ([2.0, 1.0, 0.0], 0, [0.0, 0.0, 0.0]),
        ([0.0, 1.0, 1.0], 0, [-1.0, 1.0, 0.0]),
    ],
    "perceptron": [(0.0, 1.0, -1.0), (0.0, -1.0, 1.0)],
    "hinge": [(1.0, 1.0, 0.0), (-1.0, -1.0, 0.0)],
}


class TestKinks:
    @pytest.mark.parametrize("name", CHOSEN)
    def test_chosen_subgradient(self, name):
        for prediction, target, expected in CHOSEN[name]:
            gradient = LOSSES[name].gradient(np.array([prediction]), np.array([target]))
            np.testing.assert_array_equal(gradient[0], expected)

    def test_every_kink_has_its_choice_tested(self):
        kinked = {name for name, loss in LOSSES.items() if not loss.kinks.startswith("None")}
        assert kinked == {
            "absolute_error",
            "quantile",
            "multiclass_hinge",
            "perceptron",
            "hinge",
        }
        assert kinked <= set(CHOSEN)

    @every_loss
    def test_gradient_jumps_exactly_where_there_is_a_kink(self, loss, rng):
        if "probabilit" in loss.prediction:
            points, targets = draw_predictions(loss, rng, 200), draw_targets(loss, rng, 200)
        else:
            # Multiples of one half hit residuals of 0 and 1, margins of 0 and 1, and ties.
            points = np.round(2 * draw_predictions(loss, rng, 2000)) / 2
            targets = draw_targets(loss, rng, 2000)
            targets = np.round(targets) if loss.target == "real" else targets
        step = 1e-9 * rng.choice([-1.0, 1.0], points.shape)
        ahead, behind = (loss.gradient(points + sign * step, targets) for sign in (1, -1))
        jumps = sizes(loss, ahead - behind) / (1 + sizes(loss, ahead) ** 2)
        # A smooth gradient changes by its slope, here at most 1e4, times 2e-9; a kink's jump stays.
        assert np.any(jumps > 0.1) == (not loss.kinks.startswith("None"))
        if loss.kinks.startswith("None"):
            assert np.all(jumps < 1e-4)


P, T = np.meshgrid(np.linspace(-4, 4, 9), np.linspace(-3.7, 5.1, 12))
COUNTS = np.repeat(np.arange(12.0)[:, None], 9, axis=1)
Z = np.linspace(-3, 3, 7)


def log_density_of_rows(p, t):
    return stats.norm(p, np.sqrt(0.5)).logpdf(t).sum(axis=-1)


def class_rows():
    """Every label with each of a few probability rows."""
    rows = np.random.default_rng(1).dirichlet(np.ones(CLASSES), 20)
    return np.repeat(rows, CLASSES, axis=0), np.tile(np.eye(CLASSES), (20, 1))


# Loss -> prediction, target, and the logarithm of the density that the row names.
NOISE = {
    "squared_error": lambda: (P, T, stats.norm(P, np.sqrt(0.5)).logpdf(T)),
    "half_squared_error": lambda: (P, T, stats.norm(P, 1).logpdf(T)),
    "absolute_error": lambda: (P, T, stats.laplace(P, 1).logpdf(T)),
    "log_cosh": lambda: (P, T, -np.log(np.pi * np.cosh(P - T))),
    "quantile": lambda: (P, T, stats.laplace_asymmetric(1, P, 2).logpdf(T)),
    "poisson_nll": lambda: (
        P,
        COUNTS,
        stats.poisson(np.exp(P)).logpmf(COUNTS) + special.gammaln(COUNTS + 1),
    ),
    "gaussian_nll": lambda: (
        np.stack([P, P / 3], axis=-1),
        T,
        stats.norm(P, np.exp(P / 6)).logpdf(T),
    ),
    "binary_cross_entropy": lambda: (
        np.tile([0.2, 0.7], 2),
        np.repeat([0.0, 1.0], 2),
        np.log([0.8, 0.3, 0.2, 0.7]),
    ),
    "sigmoid_binary_cross_entropy": lambda: (
        np.tile(Z, 2),
        np.repeat([0.0, 1.0], 7),
        np.log(np.concatenate([1 - special.expit(Z), special.expit(Z)])),
    ),
    "categorical_cross_entropy": lambda: (
        *class_rows(),
        np.log(np.sum(np.prod(class_rows(), axis=0), axis=-1)),
    ),
    "softmax_cross_entropy": lambda: (
        np.log(class_rows()[0]) + 2,
        class_rows()[1],
        np.log(np.sum(np.prod(class_rows(), axis=0), axis=-1)),
    ),
    "brier": lambda: (*class_rows(), log_density_of_rows(*class_rows())),
    "logistic": lambda: (
        np.tile(Z, 2),
        np.repeat([-1.0, 1.0], 7),
        np.log(special.expit(np.concatenate([-Z, Z]))),
    ),
}


class TestNoiseModel:
    @pytest.mark.parametrize("name", NOISE)
    def test_loss_is_the_negative_log_likelihood_up_to_a_constant(self, name):
        prediction, target, log_density = NOISE[name]()
        rest = LOSSES[name].function(prediction, target) + log_density
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
        if loss.prediction == "class probabilities":
            predictions, labels = np.array([[1.0, 0.0, 0.0], [1 / 3] * 3]), np.eye(CLASSES)
        elif loss.dropped_axes:
            predictions, labels = np.array([[4.0, 1.0, 0.0], [0.0] * 3]), np.arange(CLASSES)
        else:
            predictions = np.array([3.0, 0.0])
            labels = LABELS_01 if loss.family == "binary" else LABELS_PM
        totals = [
            np.exp(-loss.function(np.repeat(p[None], len(labels), axis=0), labels)).sum()
            for p in predictions
        ]
        assert abs(totals[0] - totals[1]) > 0.01

    def test_every_model_is_tested(self):
        named = {name for name, x in LOSSES.items() if not x.noise_model.startswith("None for")}
        without = {name for name, x in LOSSES.items() if x.noise_model.startswith("None:")}
        assert named - without - {"huber", "smooth_l1"} == set(NOISE) - {"brier"}


class TestFrontDoor:
    def test_unknown_loss_names_the_one_that_was_meant(self):
        with pytest.raises(KeyError, match=r"'hubber'; did you mean 'huber'\?"):
            LOSSES["hubber"]

    def test_unknown_loss_unlike_any_lists_all(self):
        with pytest.raises(KeyError, match=r"there are squared_error, .*, logistic"):
            LOSSES["xyzzy"]

    @pytest.mark.parametrize("method", ["value", "grad", "value_and_grad"])
    def test_unknown_hyperparameter(self, method):
        ones = np.ones(2)
        with pytest.raises(TypeError, match="no hyperparameter 'beta'; it accepts: delta"):
            getattr(LOSSES["huber"], method)(ones, ones, beta=1.0)
        with pytest.raises(TypeError, match="no hyperparameter 'margin'; it accepts: none"):
            getattr(LOSSES["hinge"], method)(ones, ones, margin=1.0)

    def test_hyperparameters_and_defaults(self):
        assert LOSSES["sigmoid_focal"].hyperparameters == {"gamma": 2.0, "alpha": None}
        assert LOSSES["squared_error"].hyperparameters == {}

    @every_loss
    def test_reductions_of_the_value(self, loss, rng):
        p, t = draw_predictions(loss, rng, 6), draw_targets(loss, rng, 6)
        values, w = loss.function(p, t), rng.uniform(0.5, 2, 6)
        np.testing.assert_array_equal(loss.value(p, t, reduction="none"), values)
        assert loss.value(p, t) == pytest.approx(values.sum() / 6, rel=ROUNDING)
        assert loss.value(p, t, reduction="sum") == pytest.approx(values.sum(), rel=ROUNDING)
        mean = (w * values).sum() / w.sum()
        assert loss.value(p, t, weights=w) == pytest.approx(mean, rel=ROUNDING)

    @every_loss
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    def test_gradient_weighs_and_divides_as_the_value_does(self, loss, reduction, rng):
        p, t = draw_predictions(loss, rng, 6), draw_targets(loss, rng, 6)
        w = rng.uniform(0.5, 2, 6)
        by_example = w / w.sum() if reduction == "mean" else w
        expected = loss.gradient(p, t) * by_example.reshape((6,) + (1,) * loss.dropped_axes)
        got = loss.grad(p, t, reduction=reduction, weights=w)
        np.testing.assert_allclose(got, expected, rtol=ROUNDING)

    @every_loss
    def test_value_and_grad_is_both(self, loss, rng):
        p, t = draw_predictions(loss, rng, 6), draw_targets(loss, rng, 6)
        value, gradient = loss.value_and_grad(p, t, reduction="sum")
        assert value == loss.value(p, t, reduction="sum")
        np.testing.assert_array_equal(gradient, loss.grad(p, t, reduction="sum"))

    @every_loss
    def test_weights_of_another_shape_are_refused(self, loss, rng):
        p, t = draw_predictions(loss, rng, 6), draw_targets(loss, rng, 6)
        for method in (loss.value, loss.grad):
            with pytest.raises(ValueError, match="weights has shape"):
                method(p, t, weights=np.ones((6, 1)))

    @pytest.mark.parametrize("method", ["value", "grad"])
    def test_unknown_reduction(self, method):
        with pytest.raises(ValueError, match="reduction must be one of mean, sum, none, got 'avg'"):
            getattr(LOSSES["huber"], method)(np.ones(2), np.ones(2), reduction="avg")

    def test_rows_are_frozen(self):
        with pytest.raises(AttributeError):
            LOSSES["huber"].title = "another"
        assert isinstance(LOSSES["huber"], Loss)
