"""The claims of chapter 17: none is left out, none ascribed wrongly; verdicts follow the rules."""

import itertools
import re

import numpy as np
import pytest

from lossbook.experiments import claims
from lossbook.experiments.claims import CLAIMS, WORDS, outcomes, verdict, verdict_of_cases
from lossbook.intervals import holm, mean_interval, paired_difference

TABLES = [f"T{number}" for number in range(1, 11)]
SAYINGS = {
    "only-accuracy", "one-loss-fits-all", "lower-is-better", "differentiable", "architecture",
    "mse-outliers", "ce-imbalance", "ce-vanishing", "bce-multiclass", "bce-distributions",
    "mse-whole-set", "toward-targets", "backprop-adjusts", "half", "ce-variant", "hinge-confident",
    "hinge-better", "mse-boxes", "robust", "delta-one", "huber-faster", "huber-precise",
    "perfect-log-loss", "penalty-distance", "sum-over-features", "cost",
}  # fmt: skip


def test_every_table_and_every_saying_is_a_claim_and_the_tables_stand_first():
    assert list(CLAIMS)[:10] == TABLES
    assert set(CLAIMS) - set(TABLES) == SAYINGS
    assert len(CLAIMS) == 36
    assert all(name == claim.name for name, claim in CLAIMS.items())


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_a_claim_says_what_it_needs(claim):
    assert claim.kind in claims.KINDS
    assert claim.words
    assert claim.refuted_by
    assert claim.stances
    # One sentence says why.
    assert claim.why.endswith(".")
    assert ". " not in claim.why
    for source, stance in claim.stances:
        assert stance in claims.STANCES
        assert (source in claims.SOURCES) == (stance != "folklore")
    # Only an experiment has an estimand, a margin that was set before it, and contexts.
    experiment = claim.kind == "empirical"
    assert bool(claim.estimand) == (claim.margin is not None) == bool(claim.factors) == experiment
    assert claim.margin is None or claim.margin > 0
    assert claim.predicts in ("higher", "equal")
    # Which words refute it, as data; "equal" cannot refute that there is no difference.
    assert bool(claim.refuting) == experiment
    assert set(claim.refuting) <= set(claims.REFUTING)
    assert not (claim.predicts == "equal" and "equal" in claim.refuting)
    if "equal" in claim.refuting:
        assert re.search(r"as (good|many|accurate|precise|large|well)|equal", claim.refuted_by)


REJECTED = ["only-accuracy", "one-loss-fits-all", "lower-is-better", "architecture"]


def test_what_a_source_rejects_is_not_said_to_be_asserted_by_it():
    for claim in CLAIMS.values():
        by = {}
        for source, stance in claim.stances:
            by.setdefault(source, []).append(stance)
        assert all(len(stances) == 1 for stances in by.values())
    rejected = [n for n, c in CLAIMS.items() if ("D", "rejected by") in c.stances]
    assert rejected == REJECTED
    for name in REJECTED:
        assert "asserted by D" not in CLAIMS[name].said_by()
        assert "rejected by D" in CLAIMS[name].said_by()
    for name in ("differentiable", "mse-outliers"):
        assert CLAIMS[name].said_by() == "D contradicts itself"


# Contexts -----------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=20)
NOISE = (NOISE - NOISE.mean()) / NOISE.std(ddof=1)


def gaps(mean, spread):
    """Twenty differences with exactly this mean and this deviation."""
    return (mean + spread * NOISE).tolist()


@pytest.mark.parametrize(
    ("mean", "spread", "word"),
    [
        (1.0, 0.5, "higher"),
        (-1.0, 0.5, "lower"),
        (0.0, 0.1, "equal"),
        # Clearly above 0, and within the margin: not a difference that matters.
        (0.05, 0.01, "equal"),
        (0.1, 1.0, "open"),
        # Clearly above 0, on both sides of the margin.
        (0.2, 0.1, "higher"),
    ],
)
def test_the_word_of_a_context(mean, spread, word):
    found = outcomes({"claim": {("x",): gaps(mean, spread)}}, {"claim": 0.2})["claim"][("x",)]
    assert found.word == word
    assert found.estimate == pytest.approx(mean, abs=1e-12)
    assert found[:3] == pytest.approx(mean_interval(gaps(mean, spread)), abs=1e-12)


def test_a_single_context_is_equal_exactly_when_an_interval_is_within_the_margin():
    """Two tests in the family: Holm's first step is at 2.5 %, the level of a 97.5 % interval."""
    for mean in np.linspace(0, 0.3, 13):
        for spread in (0.05, 0.2, 0.4):
            values = gaps(mean, spread)
            _, low, high = mean_interval(values, 0.975)
            _, low_second, high_second = mean_interval(values, 0.95)
            differs = low > 0 or high < 0
            within = low > -0.2 and high < 0.2
            # Where one of the two is rejected, the other is tried at 5 %.
            within |= differs and low_second > -0.2 and high_second < 0.2
            word = outcomes({"c": {"x": values}}, {"c": 0.2})["c"]["x"].word
            assert (word == "equal") == within, (mean, spread)


def test_the_words_are_adjusted_over_all_claims():
    doubtful = gaps(0.55, 1.0)
    assert paired_difference(doubtful, np.zeros(20)).p_value < 0.025
    alone = outcomes({"a": {"x": doubtful}}, {"a": 0.1})
    assert alone["a"]["x"].word == "higher"
    many = {f"claim {i}": {"x": gaps(0.0, 1.0)} for i in range(10)}
    margins = dict.fromkeys(["a", *many], 0.1)
    assert outcomes({"a": {"x": doubtful}} | many, margins)["a"]["x"].word == "open"


def test_the_adjustment_is_holms_over_both_tests_of_every_context():
    table = {"a": {i: gaps(0.02 * i, 0.1) for i in range(8)}, "b": {0: gaps(0.09, 0.2)}}
    found = outcomes(table, {"a": 0.1, "b": 0.3})
    p_values = []
    for claim, margin in (("a", 0.1), ("b", 0.3)):
        for values in map(np.array, table[claim].values()):
            p_values.append(paired_difference(values, 0 * values).p_value)
            two = [paired_difference(values, 0 * values + e).p_value for e in (-margin, margin)]
            p_values.append(max(two) if abs(values.mean()) < margin else 1.0)
    differs, equals = (holm(p_values) < 0.05).reshape(-1, 2).T
    words = [outcome.word for of_claim in found.values() for outcome in of_claim.values()]
    expected = np.where(equals, "equal", np.where(differs, "higher", "open"))
    assert words == expected.tolist()
    assert len(set(words)) == 3


def test_differences_that_are_all_0_are_equal():
    assert outcomes({"a": {"x": [0.0] * 5}}, {"a": 0.1})["a"]["x"] == (0, 0, 0, "equal")


def test_false_alarms_are_rare():
    """Of 200 chapters of twelve contexts without a difference, at most a few find one."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        table = {"a": {i: rng.normal(size=10) for i in range(12)}}
        words = [outcome.word for outcome in outcomes(table, {"a": 0.1})["a"].values()]
        alarms += not {"higher", "lower"}.isdisjoint(words)
    # The adjusted level is 5 %, so 10 of 200; four standard deviations are 12 more.
    assert alarms <= 22


# Verdicts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "predicts", "expected"),
    [
        # All contexts say the same.
        (["higher", "higher"], "higher", "supported"),
        (["lower", "lower"], "higher", "opposite"),
        (["equal", "equal"], "higher", "practically equal"),
        (["equal", "equal"], "equal", "supported"),
        (["higher", "lower"], "equal", "opposite"),
        # Some say what the claim says, and some refute it.
        (["higher", "equal"], "higher", "depends on the data set"),
        (["higher", "lower", "open"], "higher", "depends on the data set"),
        (["equal", "lower"], "equal", "depends on the data set"),
        # None says what the claim says, and at least one refutes it.
        (["lower", "equal"], "higher", "refuted"),
        (["lower", "open", "open"], "higher", "refuted"),
        (["equal", "open"], "higher", "refuted"),
        (["higher", "open"], "equal", "refuted"),
        # None refutes it, and not all say what it says.
        (["open", "open"], "higher", "inconclusive"),
        (["higher", "open"], "higher", "inconclusive"),
        (["equal", "open"], "equal", "inconclusive"),
        ([], "higher", "not yet run"),
    ],
)
def test_the_verdict_on_words(words, predicts, expected):
    contexts = {(str(i),): word for i, word in enumerate(words)}
    refuting = ("equal", "contrary") if predicts == "higher" else ("contrary",)
    how = {"predicts": predicts, "factors": ("data set",), "refuting": refuting}
    assert verdict(contexts, **how) == expected


@pytest.mark.parametrize(
    ("words", "refuting", "expected"),
    [
        (["higher", "equal"], ("contrary",), "inconclusive"),
        (["higher", "equal", "lower"], ("contrary",), "depends on the data set"),
        (["equal", "open"], ("contrary",), "inconclusive"),
        (["equal", "lower"], ("contrary",), "refuted"),
        (["equal", "lower"], ("equal",), "refuted"),
        (["open", "lower"], ("equal",), "inconclusive"),
        (["equal", "equal"], ("contrary",), "practically equal"),
    ],
)
def test_only_what_would_refute_a_claim_refutes_it(words, refuting, expected):
    contexts = {(str(i),): word for i, word in enumerate(words)}
    assert verdict(contexts, factors=("data set",), refuting=refuting) == expected


def test_no_verdict_depends_where_no_context_says_what_the_claim_says():
    """Over all words of three contexts, in words of the rule."""
    for words in itertools.product(WORDS, repeat=3):
        found = verdict({(str(i),): word for i, word in enumerate(words)}, factors=("data set",))
        against = {"equal", "lower"} & set(words)
        assert found.startswith("depends on") == ("higher" in words and bool(against))
        if "higher" not in words and len(set(words)) > 1:
            assert found == "refuted"


def test_a_verdict_names_the_factor_that_decides():
    factors = ("data set", "rate")
    both = {(d, r): "higher" if r == "fast" else "lower" for d in "ab" for r in ("slow", "fast")}
    assert verdict(both, factors=factors) == "depends on the rate"
    both["a", "slow"] = "open"
    assert verdict(both, factors=factors) == "depends on the rate"
    both["a", "slow"] = "higher"
    assert verdict(both, factors=factors) == "depends on the data set and the rate"


def test_a_verdict_names_no_more_factors_than_are_needed():
    factors = ("data set", "optimiser", "other rate")
    table = {
        (data, optimiser, rate): "lower" if (optimiser, rate) == ("SGD", ".1") else "higher"
        for data in "ab"
        for optimiser in ("SGD", "Adam")
        for rate in (".001", ".1")
    }
    assert verdict(table, factors=factors) == "depends on the optimiser and the other rate"
    table["a", "Adam", ".1"] = "equal"
    assert verdict(table, factors=factors).endswith("data set, the optimiser and the other rate")


def test_every_computed_verdict_is_of_the_protocol():
    for first in WORDS:
        for second in WORDS:
            for predicts in ("higher", "equal"):
                found = verdict({("a",): first, ("b",): second}, predicts=predicts)
                assert found.startswith(claims.VERDICTS)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_card_can_be_read_alone(name):
    claim = CLAIMS[name]
    shown = claims.card(name, "supported", "3 contexts")
    rows = [line.strip("| ").split(" | ") for line in shown.text.splitlines()[2:]]
    said = dict(rows)
    assert said.pop(f"**{name}**").lower() == f"{claim.words}.".lower()
    assert said["verdict"] == "**Supported.**"
    assert said["why"] == claim.why
    assert ("measured" in said) == (claim.kind == "empirical")
    wanted = {"source": claim.said_by(), "type": claim.kind, "refuted by": claim.refuted_by}
    for row, words in wanted.items():
        assert said[row].lower() == f"{words}.".lower()
    assert repr(shown) == f"card of the claim {name}"


def test_cases_that_are_no_truth_values_are_refused():
    assert verdict_of_cases({"a": True, "b": np.True_}) == "supported"
    with pytest.raises(TypeError, match="True or False, got 'yes' for a"):
        verdict_of_cases({"a": "yes"})
    with pytest.raises(ValueError, match="at least one case"):
        verdict_of_cases({})


def test_every_empirical_claim_has_a_verdict_and_the_contexts_that_its_factors_name():
    found = claims.empirical_verdicts()
    assert list(found) == [n for n, c in CLAIMS.items() if c.kind == "empirical"]
    for name, (words, of_claim) in found.items():
        assert words.startswith(claims.VERDICTS)
        assert (words == "not yet run") == (not of_claim)
        assert all(len(context) == len(CLAIMS[name].factors) for context in of_claim)
        if of_claim:
            assert len({context[0] for context in of_claim}) >= 3


def test_what_stands_beside_the_claims_is_adjusted_with_them_and_decides_none():
    gaps_of = {"T7": {("a", "linear"): gaps(0.0, 0.1)}, "T7, loss alone": {("a",): gaps(1, 0.1)}}
    found = claims.all_outcomes(gaps_of)
    assert found["T7, loss alone"]["a",].word == "higher"
    assert claims.empirical_verdicts(gaps_of)["T7"][1] == found["T7"]
    assert not set(claims.BESIDE) & set(CLAIMS)
    assert set(claims.BESIDE) <= set(claims.stored_differences())
