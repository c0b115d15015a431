"""What cards say about other libraries: PyTorch and scikit-learn are run, and a wrong row fails.

`make conventions` runs the rows of Keras and optax as well.
"""

import inspect
import re
from dataclasses import fields, replace
from pathlib import Path

import conventions
import nbformat
import pytest
import sklearn
import torch

from lossbook.cards import CONVENTION_SOURCES, PADDING, Convention
from lossbook.cards.convention import with_names
from lossbook.display import rosetta
from lossbook.loss import LOSSES

ROOT = Path(__file__).resolve().parents[1]
ROWS = {
    f"{name}-{row.library}": (loss, row)
    for name, loss in LOSSES.items()
    for row in loss.card.conventions
}
RUN_HERE = {
    title: (loss, row)
    for title, (loss, row) in ROWS.items()
    if row.library in ("PyTorch", "scikit-learn") and (row.call != "-" or row.evidence)
}
PADDING_RUN_HERE = [row for row in PADDING if row.library in ("PyTorch", "scikit-learn")]

# What the trials of a call show without more evidence, or why nothing can show it.
NOTES_WITHOUT_EVIDENCE = {
    "No metric or estimator offers it.": "that there is none was looked up, and cannot be run",
    "Only from logits.": "the call is made of the one function that there is",
    "It takes only logits. The two are equal where rows sum to 1.": "the data's rows do",
    "Takes labels of 0 and 1.": "the call passes such labels",
    "Takes log-probabilities and class ids.": "the call passes both",
    "Takes the rate $e^z$, and adds 1e-7 to it inside the logarithm.": "`theirs` says so",
    "`train_score_` holds the mean over the scores of `decision_function`.": "`fit` compares both",
}


def cases(rows):
    return pytest.mark.parametrize(("loss", "row"), rows.values(), ids=rows)


@cases(RUN_HERE)
def test_a_row_holds(loss, row):
    if "torchvision" in row.call:
        pytest.importorskip("torchvision", reason="is not installed", exc_type=ImportError)
    assert conventions.problems(loss, row) == []


@pytest.mark.parametrize("row", PADDING_RUN_HERE, ids=lambda row: row.library)
def test_what_is_said_of_padding_holds(row):
    assert conventions.padding_problems(row) == []


class TestAWrongRowIsNoticed:
    def test_in_padding(self):
        row = replace(PADDING_RUN_HERE[0], evidence=("F.cross_entropy(p[:0], t[:0]) == 0",))
        assert conventions.padding_problems(row) == [f"evidence: not true: {row.evidence[0]}"]

    @pytest.mark.parametrize(
        ("title", "wrong", "noticed"),
        [
            ("huber-PyTorch", {"theirs": "2 * ours"}, "value: the value of an example"),
            ("huber-PyTorch", {"theirs": "ours + t"}, "value: the value of an example"),
            ("brier-PyTorch", {"theirs": "ours / K"}, "value: the value of an example"),
            ("huber-scikit-learn", {"call": "sklearn.linear_model.SGDRegressor()"}, "fit: "),
            (
                "huber-PyTorch",
                {"call": "F.huber_loss(p, t, delta=2.0)"},
                "value: the value of an example",
            ),
            ("huber-PyTorch", {"reduction": "none"}, "reduction: with reduction none"),
            ("log_cosh-PyTorch", {"reduction": "mean"}, "reduction: with reduction mean"),
            ("exponential-scikit-learn", {"reduction": "one example a step"}, "fit: "),
            (
                "huber-PyTorch",
                {"weighted_mean": "sum of weights"},
                "weighted_mean: divided by sum of weights",
            ),
            (
                "squared_error-scikit-learn",
                {"weighted_mean": "number of values"},
                "weighted_mean: divided by number of values",
            ),
            ("huber-scikit-learn", {"weighted_mean": "sum of weights"}, "fit: "),
            ("huber-scikit-learn", {"theirs": "ours / 2"}, "fit: "),
            ("huber-scikit-learn", {"weights": ""}, "fit: "),
            ("exponential-scikit-learn", {"reduction": "none"}, "fit: "),
            ("huber-PyTorch", {"weights": ""}, "weighted_mean: weights are taken, as weight"),
            (
                "squared_error-PyTorch",
                {"call": "F.mse_loss(t, p)"},
                "order: t is passed as input",
            ),
            (
                "absolute_error-scikit-learn",
                {"call": "sklearn.metrics.mean_absolute_error(p, t)"},
                "order: p is passed as y_true",
            ),
            ("softmax_cross_entropy-PyTorch", {"class_axis": "-1"}, "class_axis: "),
            ("softmax_cross_entropy-PyTorch", {"class_axis": "1 of 2"}, "class_axis: "),
            ("brier-scikit-learn", {"class_axis": "-1"}, "class_axis: "),
            ("hinge-PyTorch", {"evidence": ("close(p, t)",)}, "evidence: not true: close(p, t)"),
            ("huber-PyTorch", {"call": "F.no_such_loss(p, t)"}, "call: AttributeError"),
        ],
    )
    def test_in(self, title, wrong, noticed):
        loss, row = ROWS[title]
        found = conventions.problems(loss, replace(row, **wrong))
        assert any(sentence.startswith(noticed) for sentence in found), found


class TestTable:
    def test_versions_are_those_installed(self):
        assert torch.__version__.split("+")[0] == CONVENTION_SOURCES["PyTorch"][0]
        assert sklearn.__version__ == CONVENTION_SOURCES["scikit-learn"][0]

    def test_versions_are_those_that_make_conventions_installs(self):
        lines = (ROOT / "requirements-conventions.txt").read_text().splitlines()
        lines += (ROOT / "requirements.txt").read_text().splitlines()
        pinned = dict(line.split(" ;")[0].split("==") for line in lines if "==" in line)
        package = {"PyTorch": "torch"}
        for library, (version, _) in CONVENTION_SOURCES.items():
            assert pinned[package.get(library, library.lower())] == version

    @pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
    def test_four_libraries_in_one_order(self, loss):
        assert [row.library for row in loss.card.conventions] == list(CONVENTION_SOURCES)

    @cases(ROWS)
    def test_expressions_use_no_other_names(self, loss, row):
        data = {"p", "t", "len", "range", *conventions.MODULES}
        weights = {"w", "class_weights"}
        allowed = {row.theirs: data | {"ours", "K"}}
        if row.call != "-":
            allowed[row.call] = data | loss.hyperparameters.keys()
        if row.weights:
            allowed[row.weighted_call] = allowed[row.call] | weights
        for claim in row.evidence:
            allowed[claim] = data | weights | {"ours", *conventions.HELPERS}
        for expression, names in allowed.items():
            assert conventions.names_in(expression) <= names

    def test_every_library_is_told_of_in_padding(self):
        assert [row.library for row in PADDING] == list(CONVENTION_SOURCES)
        assert all(row.evidence for row in PADDING)

    @cases(ROWS)
    def test_a_note_has_evidence_or_a_reason(self, loss, row):
        assert bool(row.note) == bool(row.evidence) or row.note in NOTES_WITHOUT_EVIDENCE

    def test_no_reason_is_left_over(self):
        bare = {row.note for _, row in ROWS.values() if row.note and not row.evidence}
        assert bare == NOTES_WITHOUT_EVIDENCE.keys()

    @cases(ROWS)
    def test_a_row_without_a_call_says_why(self, loss, row):
        assert row.call != "-" or row.note

    @cases(ROWS)
    def test_text_fits_a_cell_of_a_table(self, loss, row):
        shown = [getattr(row, field.name) for field in fields(Convention)]
        for text in (text for text in shown if isinstance(text, str)):
            assert_fits_a_cell(text)

    @pytest.mark.parametrize("row", PADDING, ids=lambda row: row.library)
    def test_text_on_padding_fits_a_cell_of_a_table(self, row):
        assert_fits_a_cell(row.filler)
        assert_fits_a_cell(row.nothing)


def assert_fits_a_cell(text):
    assert "|" not in text
    assert text.count("$") % 2 == 0
    assert text.count("`") % 2 == 0
    assert text == " ".join(text.split())


class TestRosettaPage:
    def test_every_family_once(self):
        cells = nbformat.read(ROOT / "book" / "back" / "rosetta.ipynb", as_version=4).cells
        calls = [cell.source for cell in cells if cell.source.startswith("rosetta(")]
        shown = [re.fullmatch(r'rosetta\("(\w+)"\)', call)[1] for call in calls]
        assert shown == list(dict.fromkeys(loss.family for loss in LOSSES.values()))

    def test_every_loss_once(self):
        families = dict.fromkeys(loss.family for loss in LOSSES.values())
        text = "\n".join(rosetta(family).text for family in families)
        assert re.findall(r"in this book `(\w+)\(", text) == list(LOSSES)

    @cases(ROWS)
    def test_a_row_says_all_that_a_reader_needs(self, loss, row):
        text = rosetta(loss.family).text
        assert row.note in text
        if row.call != "-":
            names = list(inspect.signature(loss.function).parameters)[:2]
            assert f"`{with_names(row.call, *names)}`" in text
            assert row.reduction in text
        if row.weights:
            assert f"`{row.weights}`" in text
            assert row.weighted_mean in text
