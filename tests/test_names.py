"""What the book says of every name of a loss: nothing missing, calls run, algebra proved.

`make conventions` tries the names of Keras and optax as well.
"""

from dataclasses import replace

import names
import pytest
from english import unsaid

from lossbook import LOSSES
from lossbook.display import names_markdown
from lossbook.names import ANSWERS, FUNCTIONS, NAMES, Entry

INSTALLED = ("PyTorch", "scikit-learn")
ENTRIES = {
    f"{source}: {entry.name}": (source, entry)
    for source, entries in NAMES.items()
    for entry in entries
}

#: Options of estimators that give no value to compare, each with where its loss is run.
RUN_ON_A_CARD = {'loss="exponential"': 'GradientBoostingClassifier(loss="exponential"'}
#: And those that nothing runs, as their documentation has them.
NOT_RUN = {'loss="poisson"', 'penalty="l1"', 'penalty="l2"', 'penalty="elasticnet"'}


def cases(chosen):
    chosen = {title: case for title, case in ENTRIES.items() if chosen(*case)}
    return pytest.mark.parametrize(("source", "entry"), chosen.values(), ids=chosen)


@pytest.mark.parametrize("source", INSTALLED)
def test_every_loss_that_a_library_offers_has_an_answer(source):
    assert names.missing(source) == []


def test_a_missing_name_is_noticed(monkeypatch):
    without = [entry for entry in NAMES["PyTorch"] if entry.name != "TripletMarginLoss"]
    monkeypatch.setitem(NAMES, "PyTorch", without)
    assert names.missing("PyTorch") == [
        "no answer for TripletMarginLoss",
        "no answer for triplet_margin_loss",
    ]


@cases(lambda source, entry: bool(entry.loss))
def test_what_is_said_holds_of_numbers(source, entry):
    if source in ("Keras", "optax"):
        entry = replace(entry, call="")
    assert names.problems(source, entry) == []


@cases(lambda source, entry: bool(entry.formula))
def test_a_line_of_algebra_is_proved(source, entry):
    assert set(names.proofs(entry)) == {"proved"}


@cases(lambda source, entry: source in (*INSTALLED, "Keras", "optax") and bool(entry.loss))
def test_a_library_is_called(source, entry):
    if entry.call:
        assert "(p" in entry.call or ", p" in entry.call or "(t" in entry.call
    elif entry.name in RUN_ON_A_CARD:
        calls = [row.call for row in LOSSES[entry.loss].card.conventions]
        assert any(RUN_ON_A_CARD[entry.name] in call for call in calls), calls
    else:
        assert entry.name in NOT_RUN


@cases(lambda source, entry: True)
def test_an_answer_is_whole(source, entry):
    assert entry.answer in ANSWERS
    if entry.loss:
        assert entry.loss in LOSSES
        assert entry.here
    else:
        assert entry.note
        assert {entry.here, entry.call, entry.formula} == {""}
    assert "|" not in entry.note + entry.here + entry.formula
    assert unsaid(entry.note) == []


def test_expressions_use_the_functions_that_are_explained():
    told = FUNCTIONS.keys() | LOSSES.keys() | {"p", "t", "u", "len"}
    for entry in (entry for _, entry in ENTRIES.values()):
        for expression in filter(None, (entry.formula, entry.here)):
            assert names.conventions.names_in(expression) <= told, expression


class TestAWrongEntryIsNoticed:
    HUBER = next(entry for entry in NAMES["PyTorch"] if entry.name == "HuberLoss")
    RANKING = next(entry for entry in NAMES["scikit-learn"] if "modified_huber" in entry.name)

    def test_by_its_call(self):
        wrong = replace(self.HUBER, here="huber(p, t, delta=2.0).mean()")
        assert names.problems("PyTorch", wrong)[0].startswith("the call is")

    def test_by_the_step_of_an_estimator(self):
        wrong = replace(self.RANKING, here="huber(hinge(p, t), zeros(p), delta=2.0)", formula="")
        assert names.problems("scikit-learn", wrong)[0].startswith("the step is")

    def test_by_its_formula(self):
        wrong = replace(self.RANKING, formula="maximum(0, 1 - t * p) ** 2", call="")
        assert names.problems("scikit-learn", wrong)[0].startswith("the formula is")

    def test_by_its_algebra(self):
        wrong = replace(self.RANKING, formula="maximum(0, 1 - t * p) ** 2")
        with pytest.raises(ValueError, match="not equal to line 1"):
            list(names.proofs(wrong))


CHAPTERS = {5: "the chapter on robust losses"}


class TestPage:
    def test_every_name_has_a_row(self):
        lines = names_markdown(CHAPTERS).splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        assert len(rows) == sum(map(len, NAMES.values())) + len(NAMES)
        assert all(row.count("|") == 5 for row in rows)

    def test_a_row_links_its_loss_and_chapter(self):
        text = names_markdown(CHAPTERS)
        assert (
            "| `HuberLoss` | {ref}`Huber loss <loss-huber>`, the chapter on robust losses "
            "| `huber(prediction, target).mean()` |" in text
        )

    def test_what_is_made_of_a_loss_is_an_equation(self):
        text = names_markdown(CHAPTERS)
        assert "`sqrt(contrastive(a, b, same, margin=1.0))`" in text
        assert "made of: {ref}`Contrastive loss <loss-contrastive>`" in text

    def test_an_entry_of_no_loss_says_why(self):
        assert Entry("CTC", note="Sums over alignments.").answer == "not here"
