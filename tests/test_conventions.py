"""The conventions of PyTorch and scikit-learn, run against the installed libraries."""

import inspect
import pkgutil
import re
from fractions import Fraction
from pathlib import Path

import nbformat
import numpy as np
import pytest
import sklearn
import sklearn.ensemble
import sklearn.linear_model
import torch
from lossbook.conventions import CONVENTION_SOURCES, CONVENTIONS
from lossbook.registry import LOSSES
from scipy import special
from sklearn import metrics
from torch.nn import functional as F

from lossbook.display import rosetta

# Both sides compute the same formula in float64, on numbers of order 1, in another order.
CLOSE = {"rel": 1e-12, "abs": 1e-14}

N, CLASSES = 12, 4
RNG = np.random.default_rng(0)
P, T = RNG.normal(0, 2, (2, N))
COUNTS, LEVELS = RNG.poisson(3.0, N).astype(float), RNG.uniform(0.05, 0.95, N)
LOGITS, ROWS = RNG.normal(0, 2, (N, CLASSES)), RNG.dirichlet(np.ones(CLASSES), N)
IDS = np.arange(N) % CLASSES
ONE_HOT = np.eye(CLASSES)[IDS]
LABELS_01 = np.arange(N) % 2.0
LABELS_PM = 2 * LABELS_01 - 1
WEIGHTS, CLASS_WEIGHTS = RNG.uniform(0.5, 2, N), RNG.uniform(0.5, 2, CLASSES)

# Loss -> what this book's loss is called with.
INPUTS = {
    "squared_error": (P, T),
    "half_squared_error": (P, T),
    "absolute_error": (P, T),
    "huber": (P, T),
    "smooth_l1": (P, T),
    "log_cosh": (P, T),
    "quantile": (P, T),
    "poisson_nll": (P, COUNTS),
    "gaussian_nll": (np.stack([P, T / 2], axis=-1), T),
    "binary_cross_entropy": (LEVELS, LABELS_01),
    "sigmoid_binary_cross_entropy": (P, LABELS_01),
    "categorical_cross_entropy": (ROWS, ONE_HOT),
    "softmax_cross_entropy": (LOGITS, IDS),
    "softmax_focal": (LOGITS, IDS),
    "brier": (ROWS, ONE_HOT),
    "multiclass_hinge": (LOGITS, IDS),
    "perceptron": (P, LABELS_PM),
    "hinge": (P, LABELS_PM),
    "squared_hinge": (P, LABELS_PM),
    "exponential": (P, LABELS_PM),
    "logistic": (P, LABELS_PM),
}


def torch_function(arguments=lambda p, t: (p, t), **options):
    """A loss of torch.nn.functional on NumPy arrays, its arguments made from ours."""

    def call(row, p, t, **more):
        function = pkgutil.resolve_name(row.name)
        inputs = (torch.as_tensor(np.array(array)) for array in arguments(p, t))
        return function(*inputs, **options, **more).numpy()

    return call


# Loss -> their function of our inputs.
PYTORCH = {
    "squared_error": torch_function(),
    "absolute_error": torch_function(),
    "huber": torch_function(),
    "smooth_l1": torch_function(),
    "poisson_nll": torch_function(),
    "gaussian_nll": torch_function(lambda p, t: (p[:, 0], t, np.exp(p[:, 1]))),
    "binary_cross_entropy": torch_function(),
    "sigmoid_binary_cross_entropy": torch_function(),
    "categorical_cross_entropy": torch_function(lambda p, t: (np.log(p), t.argmax(axis=-1))),
    "softmax_cross_entropy": torch_function(),
    "perceptron": torch_function(lambda s, y: (s, 0 * s, y)),
    "hinge": torch_function(lambda s, y: (s, 0 * s, y), margin=1.0),
    "logistic": torch_function(),
}


def metric(arguments=lambda p, t: (t, p), **options):
    """A metric of scikit-learn, its arguments made from ours."""

    def call(row, p, t, **more):
        return pkgutil.resolve_name(row.name)(*arguments(p, t), **options, **more)

    return call


METRICS = {
    "squared_error": metric(),
    "absolute_error": metric(),
    "quantile": metric(),
    "binary_cross_entropy": metric(),
    "sigmoid_binary_cross_entropy": metric(lambda z, y: (y, special.expit(z))),
    "categorical_cross_entropy": metric(lambda p, t: (t.argmax(axis=-1), p)),
    "softmax_cross_entropy": metric(lambda z, ids: (ids, special.softmax(z, axis=1))),
    "brier": metric(lambda p, t: (t.argmax(axis=-1), p)),
    "multiclass_hinge": metric(labels=range(CLASSES)),
    "hinge": metric(),
}
# scikit-learn has these inside an estimator only: loss -> how the estimator is asked for ours.
SGD = {
    "half_squared_error": {"loss": "squared_error"},
    "huber": {"loss": "huber", "epsilon": 1.0},
    "perceptron": {"loss": "perceptron"},
    "squared_hinge": {"loss": "squared_hinge"},
    "logistic": {"loss": "log_loss"},
}
# Compared in a test of their own, or, for torchvision, not installed here.
APART = {
    "PyTorch": {"sigmoid_focal"},
    "scikit-learn": {"poisson_nll", "exponential"},
}


def row_of(name, library):
    return next(row for row in CONVENTIONS[name] if row.library == library)


def factor(row):
    return float(Fraction(row.factor.split(",")[0]))


def ours(name, reduction="mean", weights=None):
    return LOSSES[name].value(*INPUTS[name], reduction=reduction, weights=weights)


def weighted_mean(row, name, weights):
    """Our values reduced as the row says that they reduce theirs."""
    total = ours(name, reduction="sum", weights=weights)
    return total / {"sum of weights": weights.sum(), "number of values": N}[row.weighted_mean]


def parameters(row):
    return inspect.signature(pkgutil.resolve_name(row.name)).parameters


class TestTable:
    def test_versions_are_those_installed(self):
        assert torch.__version__.split("+")[0] == CONVENTION_SOURCES["PyTorch"][0]
        assert sklearn.__version__ == CONVENTION_SOURCES["scikit-learn"][0]

    @pytest.mark.parametrize("library", ["PyTorch", "scikit-learn"])
    def test_every_named_function_is_compared(self, library):
        compared = set(PYTORCH) if library == "PyTorch" else set(METRICS) | set(SGD)
        named = {name for name in LOSSES if row_of(name, library).name != "none"}
        assert named == compared | APART[library]

    @pytest.mark.parametrize("name", PYTORCH)
    def test_signature_in_pytorch(self, name):
        row = row_of(name, "PyTorch")
        stated = row.arguments.strip("()").split(", ")
        assert list(parameters(row))[: len(stated)] == stated
        assert parameters(row)["reduction"].default == row.reduction
        assert ("weight" in parameters(row)) == (row.weighted_mean != "no weights")

    @pytest.mark.parametrize("name", METRICS)
    def test_signature_in_scikit_learn(self, name):
        row = row_of(name, "scikit-learn")
        assert list(parameters(row))[:2] == row.arguments.strip("()").split(", ")
        assert "sample_weight" in parameters(row)


class TestPyTorch:
    @pytest.mark.parametrize("name", PYTORCH)
    def test_unreduced_value_and_default_reduction(self, name):
        row = row_of(name, "PyTorch")
        unreduced = PYTORCH[name](row, *INPUTS[name], reduction="none")
        assert unreduced == pytest.approx(factor(row) * ours(name, "none"), **CLOSE)
        assert PYTORCH[name](row, *INPUTS[name]) == pytest.approx(factor(row) * ours(name), **CLOSE)

    @pytest.mark.parametrize(
        "name", [name for name in PYTORCH if "weight" in parameters(row_of(name, "PyTorch"))]
    )
    def test_weighted_mean(self, name):
        row = row_of(name, "PyTorch")
        by_class = row.class_axis == "1"
        theirs = PYTORCH[name](
            row, *INPUTS[name], weight=torch.tensor(CLASS_WEIGHTS if by_class else WEIGHTS)
        )
        weights = CLASS_WEIGHTS[IDS] if by_class else WEIGHTS
        assert theirs == pytest.approx(weighted_mean(row, name, weights), **CLOSE)

    @pytest.mark.parametrize("name", ["categorical_cross_entropy", "softmax_cross_entropy"])
    def test_classes_are_on_axis_1(self, name):
        p, labels = (array.reshape(3, 4, *array.shape[1:]) for array in INPUTS[name])
        row = row_of(name, "PyTorch")

        def classes_first(p, labels):
            ids = labels if name == "softmax_cross_entropy" else labels.argmax(axis=-1)
            return np.moveaxis(p if ids is labels else np.log(p), -1, 1), ids

        theirs = torch_function(classes_first, reduction="none")(row, p, labels)
        assert theirs == pytest.approx(LOSSES[name].function(p, labels), **CLOSE)

    def test_probability_labels_divide_by_the_number_of_values(self):
        theirs = F.cross_entropy(
            torch.tensor(LOGITS), torch.tensor(ROWS), weight=torch.tensor(CLASS_WEIGHTS)
        )
        weighted = -(CLASS_WEIGHTS * ROWS * special.log_softmax(LOGITS, axis=1)).sum(axis=1)
        assert float(theirs) == pytest.approx(weighted.mean(), **CLOSE)

    def test_label_smoothing_is_ours(self):
        theirs = F.cross_entropy(torch.tensor(LOGITS), torch.tensor(IDS), label_smoothing=0.1)
        mine = LOSSES["softmax_cross_entropy"].value(LOGITS, IDS, label_smoothing=0.1)
        assert float(theirs) == pytest.approx(mine, **CLOSE)

    def test_pos_weight_is_ours(self):
        theirs = F.binary_cross_entropy_with_logits(
            torch.tensor(P), torch.tensor(LABELS_01), pos_weight=torch.tensor([3.0])
        )
        mine = LOSSES["sigmoid_binary_cross_entropy"].value(P, LABELS_01, pos_weight=3.0)
        assert float(theirs) == pytest.approx(mine, **CLOSE)

    @pytest.mark.parametrize(("name", "option"), [("huber", "delta"), ("smooth_l1", "beta")])
    def test_threshold_is_ours(self, name, option):
        theirs = PYTORCH[name](row_of(name, "PyTorch"), P, T, **{option: 0.7})
        assert theirs == pytest.approx(LOSSES[name].value(P, T, **{option: 0.7}), **CLOSE)

    def test_rate_and_full_poisson(self):
        z, t = torch.tensor(P), torch.tensor(COUNTS)
        by_rate = F.poisson_nll_loss(z.exp(), t, log_input=False, eps=0.0)
        assert float(by_rate) == pytest.approx(ours("poisson_nll"), **CLOSE)
        added = F.poisson_nll_loss(z, t, full=True) - F.poisson_nll_loss(z, t)
        stirling = COUNTS * np.log(np.maximum(COUNTS, 1)) - COUNTS
        stirling += 0.5 * np.log(2 * np.pi * np.maximum(COUNTS, 1))
        assert float(added) == pytest.approx(np.where(COUNTS > 1, stirling, 0).mean(), **CLOSE)

    # Where the note gives a formula, it is the loss.
    @pytest.mark.parametrize(
        ("name", "formula"),
        [
            ("half_squared_error", lambda p, t: 0.5 * F.mse_loss(p, t, reduction="none")),
            ("log_cosh", lambda p, t: torch.logaddexp(p - t, t - p) - np.log(2)),
            ("quantile", lambda p, t: torch.maximum(0.5 * (t - p), (0.5 - 1) * (t - p))),
            ("brier", lambda p, t: CLASSES * F.mse_loss(p, t, reduction="none").mean(dim=-1)),
            ("squared_hinge", lambda s, y: torch.relu(1 - y * s) ** 2),
            ("exponential", lambda s, y: torch.exp(-y * s)),
        ],
    )
    def test_formula_of_a_note(self, name, formula):
        theirs = formula(*map(torch.tensor, INPUTS[name])).numpy()
        assert theirs == pytest.approx(ours(name, "none"), **CLOSE)

    def test_formula_of_the_softmax_focal_note(self):
        ce = F.cross_entropy(torch.tensor(LOGITS), torch.tensor(IDS), reduction="none")
        theirs = ((1 - torch.exp(-ce)) ** 2.0 * ce).numpy()
        assert theirs == pytest.approx(ours("softmax_focal", "none"), **CLOSE)


class TestWhatBitesInPyTorch:
    def test_squared_error_broadcasts_with_a_warning(self):
        column, line = torch.tensor(P)[:, None], torch.tensor(T)
        with pytest.warns(UserWarning, match="different to the input size"):
            assert F.mse_loss(column, line, reduction="none").shape == (N, N)

    def test_certain_and_wrong_costs_100(self):
        zero, one = torch.zeros(1), torch.ones(1)
        assert float(F.binary_cross_entropy(zero, one)) == 100

    def test_variance_is_raised_to_eps(self):
        zero, tiny = torch.zeros(1, dtype=torch.float64), torch.full((1,), 1e-9).double()
        theirs = F.gaussian_nll_loss(zero, zero, tiny)
        assert float(theirs) == pytest.approx(np.log(1e-6) / 2, **CLOSE)

    def test_full_gaussian_adds_the_constant(self):
        one = torch.ones(1, dtype=torch.float64)
        added = F.gaussian_nll_loss(one, one, one, full=True)
        assert float(added) == pytest.approx(np.log(2 * np.pi) / 2, **CLOSE)

    def test_id_of_minus_100_is_ignored(self):
        ids = torch.tensor([0, -100])
        both = F.cross_entropy(torch.tensor(LOGITS[:2]), ids)
        assert float(both) == float(F.cross_entropy(torch.tensor(LOGITS[:1]), ids[:1]))

    def test_multi_margin_loss_sums_over_rivals(self):
        theirs = F.multi_margin_loss(torch.tensor(LOGITS), torch.tensor(IDS), reduction="none")
        own = LOGITS[np.arange(N), IDS][:, None]
        by_rival = np.maximum(0, 1 + LOGITS - own) * (1 - ONE_HOT)
        assert theirs.numpy() == pytest.approx(by_rival.sum(axis=1) / CLASSES, **CLOSE)
        assert np.abs(theirs.numpy() - ours("multiclass_hinge", "none")).max() > 0.1

    def test_hinge_embedding_loss_is_another_loss(self):
        theirs = F.hinge_embedding_loss(torch.tensor(P), torch.tensor(LABELS_PM), reduction="none")
        assert np.abs(theirs.numpy() - ours("hinge", "none")).max() > 0.1

    @pytest.mark.parametrize(("margin", "score"), [(0.0, 0.0), (1.0, 1.0)])
    def test_slope_at_the_kink_of_margin_ranking_loss(self, margin, score):
        s = torch.tensor([score], requires_grad=True)
        F.margin_ranking_loss(s, torch.zeros(1), torch.ones(1), margin=margin).backward()
        assert float(s.grad) == -1

    def test_soft_margin_loss_overflows(self):
        score = torch.tensor([-1000.0], dtype=torch.float64)
        assert float(F.soft_margin_loss(score, torch.ones(1).double())) == np.inf
        assert LOSSES["logistic"].value(score, torch.ones(1)) == 1000

    def test_smooth_l1_takes_a_beta_of_0(self):
        theirs = F.smooth_l1_loss(torch.tensor(P), torch.tensor(T), beta=0.0)
        assert float(theirs) == pytest.approx(ours("absolute_error"), **CLOSE)


class TestScikitLearn:
    @pytest.mark.parametrize("name", METRICS)
    def test_default_reduction(self, name):
        row = row_of(name, "scikit-learn")
        theirs = METRICS[name](row, *INPUTS[name])
        assert theirs == pytest.approx(factor(row) * ours(name), **CLOSE)

    @pytest.mark.parametrize("name", METRICS)
    def test_weighted_mean(self, name):
        row = row_of(name, "scikit-learn")
        theirs = METRICS[name](row, *INPUTS[name], sample_weight=WEIGHTS)
        assert theirs == pytest.approx(factor(row) * weighted_mean(row, name, WEIGHTS), **CLOSE)

    def test_pinball_level_is_alpha(self):
        theirs = metrics.mean_pinball_loss(T, P, alpha=0.8)
        assert theirs == pytest.approx(LOSSES["quantile"].value(P, T, level=0.8), **CLOSE)

    def test_poisson_deviance_is_twice_ours_less_the_best(self):
        counts = COUNTS + 1
        row = row_of("poisson_nll", "scikit-learn")
        loss = LOSSES["poisson_nll"]
        excess = loss.value(P, counts, weights=WEIGHTS)
        excess -= loss.value(np.log(counts), counts, weights=WEIGHTS)
        theirs = metrics.mean_poisson_deviance(counts, np.exp(P), sample_weight=WEIGHTS)
        assert theirs == pytest.approx(factor(row) * excess, **CLOSE)

    @pytest.mark.parametrize(("halve", "share"), [("auto", 0.5), (False, 1.0)])
    def test_brier_of_two_classes_is_halved(self, halve, share):
        theirs = metrics.brier_score_loss(LABELS_01, LEVELS, scale_by_half=halve)
        rows = np.stack([1 - LEVELS, LEVELS], axis=-1)
        labels = np.stack([1 - LABELS_01, LABELS_01], axis=-1)
        assert theirs == pytest.approx(share * LOSSES["brier"].value(rows, labels), **CLOSE)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_log_loss_clips_by_the_epsilon(self, dtype):
        theirs = metrics.log_loss([1, 0], np.array([0, 1], dtype))
        assert theirs == pytest.approx(-np.log(np.finfo(dtype).eps), rel=1e-6)

    def test_log_loss_refuses_probability_labels(self):
        with pytest.raises(ValueError, match="not supported"):
            metrics.log_loss(ROWS, ROWS)

    # With the identity as its features each example has a weight of its own, so that one pass of
    # rate 1 over the data moves every score by minus its gradient.
    @pytest.mark.parametrize("name", SGD)
    def test_step_of_an_estimator(self, name):
        row = row_of(name, "scikit-learn")
        scores, targets = INPUTS[name][0].copy(), INPUTS[name][1]
        scores[0] = 0.0
        estimator = pkgutil.resolve_name(row.name.split("(")[0])(
            **SGD[name],
            learning_rate="constant",
            eta0=1.0,
            penalty=None,
            fit_intercept=False,
            shuffle=False,
            max_iter=1,
            tol=None,
        )
        assert f'loss="{estimator.loss}"' in row.name
        estimator.fit(np.eye(N), targets, coef_init=scores.copy(), sample_weight=WEIGHTS)
        expected = LOSSES[name].grad(scores, targets, reduction="none", weights=WEIGHTS)
        step = scores - estimator.coef_.ravel()
        assert step == pytest.approx(factor(row) * expected, **CLOSE)

    def test_threshold_of_the_huber_estimator_is_a_tenth(self):
        assert sklearn.linear_model.SGDRegressor().epsilon == 0.1

    def test_exponential_loss_of_boosting(self):
        features = np.stack([P, T], axis=1)
        boosting = sklearn.ensemble.GradientBoostingClassifier(loss="exponential", n_estimators=2)
        boosting.fit(features, LABELS_01, sample_weight=WEIGHTS)
        scores = boosting.decision_function(features)
        mine = LOSSES["exponential"].value(scores, LABELS_PM, weights=WEIGHTS)
        assert boosting.train_score_[-1] == pytest.approx(mine, **CLOSE)


def test_the_rosetta_page_has_every_loss_once():
    page = Path(__file__).resolve().parents[1] / "book" / "back" / "rosetta.ipynb"
    cells = nbformat.read(page, as_version=4).cells
    calls = [cell.source for cell in cells if cell.source.startswith("rosetta(")]
    shown = [name for call in calls for name in re.findall(r'"(\w+)"', call)]
    assert sorted(shown) == sorted(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_of_the_rosetta_page_says_all_that_a_reader_needs(name):
    text = rosetta(name).text
    for row in CONVENTIONS[name]:
        if row.name == "none":
            assert f"**{row.library}**: none. {row.note}" in text
            assert row.note
        else:
            assert f"`{row.name}" in text
            assert row.reduction != "-"
            assert row.factor != "-"
            assert row.weighted_mean != "-"
        assert row.note in text
