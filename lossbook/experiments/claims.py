"""The claims under test in chapter 17, and how a verdict comes of what the studies measured.

What is claimed, by whom, what would refute it, and the smallest difference that matters stand here
as data. They were written down before the studies were run; only the sentences of WHY, which say
what is behind a verdict, came after them. A verdict is computed: of paired differences for an
empirical claim, of cases that are proved or refuted for a mathematical one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from typing import NamedTuple

import numpy as np

from lossbook.display import Markdown, table
from lossbook.experiments.study import RESULTS, load
from lossbook.intervals import holm, paired_difference

#: The studies whose stored runs decide the empirical claims.
STUDIES = (
    "claims_anomaly",
    "claims_boxes",
    "claims_binary",
    "claims_images",
    "claims_imbalance",
    "claims_multiclass",
    "claims_rates",
    "claims_regression",
)
KINDS = ("empirical", "mathematical", "practice")
STANCES = ("asserted by", "rejected by", "contradicts itself", "folklore")
VERDICTS = (
    "supported",
    "opposite",
    "refuted",
    "practically equal",
    "depends on",
    "inconclusive",
    "not testable as printed",
    "not yet run",
)
#: The four sources, as the chapter names them.
SOURCES = {
    "A": "“Loss Function”, a course page on training CNNs",
    "B": "“What is the mathematical formula for the loss function in convolution neural "
    "networks?”, EITCA Academy, 23 May 2024",
    "C": "“Loss Function in Deep Learning”, Kinder Chen, Medium, 11 October 2021",
    "D": "“Neural Network Loss Function”, a web article with ten tables, without author or date",
}
LEVEL = 0.95


@dataclass(frozen=True)
class Claim:
    """A claim as it is put to the test.

    Parameters
    ----------
    name : a short name, of one word or with hyphens
    words : what is claimed, in plain words
    stances : pairs of a source and its stance, of STANCES; "" is the source of folklore
    kind : of KINDS
    refuted_by : what would refute it
    estimand : of an empirical claim, the difference that is measured; the claim predicts it above 0
    margin : of an empirical claim, the smallest difference that matters
    factors : of an empirical claim, what its contexts differ in
    predicts : "higher", or "equal" where the claim says that there is no difference
    """

    name: str
    words: str
    stances: tuple[tuple[str, str], ...]
    kind: str
    refuted_by: str
    estimand: str = ""
    margin: float | None = None
    factors: tuple[str, ...] = ()
    predicts: str = "higher"

    @property
    def why(self):
        """One sentence on what is behind the verdict."""
        return WHY[self.name]

    def said_by(self):
        """Who says it and who does not, in words; sources that reject a claim do not assert it.

        >>> CLAIMS["lower-is-better"].said_by()
        'rejected by D; asserted by C'
        """
        by_stance = {}
        for source, stance in self.stances:
            by_stance.setdefault(stance, []).append(source)
        words = []
        for stance, sources in by_stance.items():
            names = " and ".join(sources)
            if stance == "contradicts itself":
                words.append(f"{names} contradicts itself")
            else:
                words.append(f"{stance} {names}".strip())
        return "; ".join(words)


def _table(number, words, kind, refuted_by, **others):
    return Claim(f"T{number}", words, (("D", "asserted by"),), kind, refuted_by, **others)


_POINT = 0.01
_ALL = [
    _table(
        1,
        "each task has its loss: MSE for regression, BCE for two classes, CE for more, Dice for "
        "medical segmentation, Wasserstein for generative models",
        "practice",
        "a task of the list for which another loss is as good or better",
    ),
    _table(
        2,
        "the derivatives are 2 (predicted - actual) for MSE, (p - y) / (p (1 - p)) for BCE, and "
        "predicted - actual for categorical CE",
        "mathematical",
        "a variable with respect to which the printed derivative is wrong",
    ),
    _table(
        3,
        "for two classes BCE reaches a higher accuracy and F1 than MSE (.859 and .912 against .743 "
        "and .808)",
        "empirical",
        "data on which the two are practically equal, or MSE is higher",
        estimand="test accuracy, and F1, of BCE minus that of MSE, each at its own rate",
        margin=_POINT,
        factors=("data set", "model", "metric"),
    ),
    _table(
        4,
        "of the learning rates .001, .01 and .1 the middle one gives the highest accuracy (.872, "
        ".901, .827)",
        "empirical",
        "data, an optimiser or a budget with which another rate is as good or better",
        estimand="test accuracy at the rate .01 minus that at another rate",
        margin=_POINT,
        factors=("data set", "optimiser", "number of epochs", "other rate"),
    ),
    _table(
        5,
        "categorical CE tells images apart better than the triplet loss (top-1 .843 against .815, "
        "top-5 .932 against .912)",
        "empirical",
        "data and a way of reading the points out with which the triplet loss is as good or better",
        estimand="test accuracy, top 1 and top 5, of CE minus that of the triplet loss",
        margin=_POINT,
        factors=("data set", "way of reading out", "metric"),
    ),
    _table(
        6,
        "for texts categorical CE reaches a higher accuracy and F1 than BCE (.892 and .934 against "
        ".867 and .920)",
        "empirical",
        "texts on which the two are practically equal, or BCE is higher",
        estimand="test accuracy, and macro F1, of CE minus that of one BCE for each class",
        margin=_POINT,
        factors=("data set", "model", "metric"),
    ),
    _table(
        7,
        "BCE with L2 is more accurate than MSE with L1 (.903 against .817)",
        "empirical",
        "data on which the two are practically equal, or MSE with L1 is higher",
        estimand="test accuracy of BCE with L2 minus that of MSE with L1, each at its own rate and "
        "strength",
        margin=_POINT,
        factors=("data set", "model"),
    ),
    _table(
        8,
        "each loss has its use, by a second table that agrees with T1",
        "practice",
        "a use of the list for which another loss is as good or better",
    ),
    _table(
        9,
        "BCE converges in fewer epochs than MSE and categorical CE (18 against 25 and 23)",
        "empirical",
        "data or a rate with which BCE needs as many epochs or more",
        estimand="epochs to a common validation accuracy of the other loss minus those of BCE",
        margin=2.0,
        factors=("data set", "model", "way of choosing the rate"),
    ),
    _table(
        10,
        "BCE detects anomalies better than MSE (true positives .938 against .812, false positives "
        ".017 against .049)",
        "empirical",
        "data or a reading with which the two are practically equal, or MSE is better",
        estimand="rate of true positives at one threshold rule, and area under the ROC curve, of "
        "BCE minus that of MSE",
        margin=0.05,
        factors=("data set", "reading", "metric"),
    ),
    Claim(
        "only-accuracy",
        "a loss only measures accuracy",
        (("D", "rejected by"),),
        "mathematical",
        "two models of equal accuracy whose losses differ",
    ),
    Claim(
        "one-loss-fits-all",
        "one loss fits all networks",
        (("D", "rejected by"),),
        "mathematical",
        "two losses with different best answers to the same data",
    ),
    Claim(
        "lower-is-better",
        "a lower value of the loss means a better model",
        (("D", "rejected by"), ("C", "asserted by")),
        "mathematical",
        "a model of lower loss that is the worse by the metric that matters",
    ),
    Claim(
        "differentiable",
        "the loss must be differentiable",
        (("D", "contradicts itself"),),
        "mathematical",
        "a loss that is not differentiable everywhere and can be minimised by gradient descent",
    ),
    Claim(
        "architecture",
        "the loss does not affect the architecture",
        (("D", "rejected by"),),
        "mathematical",
        "two losses for one task that need networks with other outputs",
    ),
    Claim(
        "mse-outliers",
        "MSE is insensitive to outliers",
        (("D", "contradicts itself"),),
        "empirical",
        "data on which a few wrong targets make the error of MSE larger by a tenth",
        estimand="logarithm of the median absolute error of MSE with spoilt training rows, minus "
        "that without",
        margin=0.1,
        factors=("data set", "kind of outlier"),
        predicts="equal",
    ),
    Claim(
        "ce-imbalance",
        "cross-entropy suits imbalanced data",
        (("D", "asserted by"),),
        "empirical",
        "imbalanced data on which MSE, or cross-entropy with weights, is as good or better",
        estimand="average precision, and recall at 1/2, of BCE minus that of a rival, at a "
        "prevalence of 2 %",
        margin=0.05,
        factors=("data set", "rival", "metric"),
    ),
    Claim(
        "ce-vanishing",
        "cross-entropy may suffer from vanishing gradients",
        (("D", "asserted by"),),
        "mathematical",
        "that its gradient with respect to the logit is largest where the answer is worst",
    ),
    Claim(
        "bce-multiclass",
        "BCE is unsuitable for more than two classes",
        (("D", "asserted by"),),
        "empirical",
        "data on which one BCE for each class is as accurate as categorical CE, or more",
        estimand="test accuracy, and macro F1, of CE minus that of one BCE for each class",
        margin=_POINT,
        factors=("data set", "model", "metric"),
    ),
    Claim(
        "bce-distributions",
        "BCE measures the dissimilarity of two distributions",
        (("D", "asserted by"),),
        "mathematical",
        "two equal distributions whose BCE is not 0",
    ),
    Claim(
        "mse-whole-set",
        "MSE is averaged over the whole data set",
        (("A", "asserted by"), ("D", "asserted by")),
        "mathematical",
        "training steps whose MSE is averaged over a batch",
    ),
    Claim(
        "toward-targets",
        "minimising the loss moves the predictions toward the targets",
        (("A", "asserted by"),),
        "mathematical",
        "a step that lowers the loss and moves a prediction away from its target",
    ),
    Claim(
        "backprop-adjusts",
        "backpropagation adjusts the weights",
        (("A", "asserted by"),),
        "mathematical",
        "a backward pass after which the weights are what they were",
    ),
    Claim(
        "half",
        "the factor 1/2 simplifies the derivative",
        (("B", "asserted by"),),
        "mathematical",
        "that the derivative keeps a factor, or that training changes by more than the rate",
    ),
    Claim(
        "ce-variant",
        "categorical cross-entropy is a variant of cross-entropy",
        (("B", "asserted by"),),
        "mathematical",
        "that the two formulas are one",
    ),
    Claim(
        "hinge-confident",
        "the hinge loss gives confident predictions",
        (("B", "asserted by"),),
        "mathematical",
        "a right answer of small margin that the hinge loss leaves as it is",
    ),
    Claim(
        "hinge-better",
        "the hinge loss gives better performance",
        (("B", "asserted by"),),
        "empirical",
        "data on which BCE is as accurate or more",
        estimand="test accuracy of the hinge loss minus that of BCE, each at its own rate",
        margin=_POINT,
        factors=("data set", "model"),
    ),
    Claim(
        "mse-boxes",
        "MSE helps to localise boxes accurately",
        (("B", "asserted by"),),
        "empirical",
        "images on which another loss overlaps the true boxes better",
        estimand="mean intersection over union of MSE minus that of another loss for boxes",
        margin=0.02,
        factors=("data set", "other loss"),
    ),
    Claim(
        "robust",
        "MAE and Huber are robust to outliers",
        (("C", "asserted by"), ("D", "asserted by")),
        "empirical",
        "a kind of outlier that spoils them as it spoils MSE",
        estimand="logarithm of the median absolute error of MSE minus that of MAE or Huber, with "
        "spoilt training rows",
        margin=0.1,
        factors=("data set", "kind of outlier", "loss"),
    ),
    Claim(
        "delta-one",
        "the delta of Huber's loss is typically 1",
        (("C", "asserted by"),),
        "mathematical",
        "that a change of units changes what a delta of 1 means",
    ),
    Claim(
        "huber-faster",
        "Huber converges faster than MAE",
        (("C", "asserted by"),),
        "empirical",
        "data or a rate with which Huber needs as many epochs or more",
        estimand="epochs to a common validation error of MAE minus those of Huber",
        margin=2.0,
        factors=("data set", "kind of outlier", "way of choosing the rate"),
    ),
    Claim(
        "huber-precise",
        "Huber is more precise than MAE",
        (("C", "asserted by"),),
        "empirical",
        "data on which MAE is as precise or more",
        estimand="logarithm of the median absolute error of MAE minus that of Huber",
        margin=0.05,
        factors=("data set", "kind of outlier"),
    ),
    Claim(
        "perfect-log-loss",
        "a model of perfect probabilities has a log loss of 0",
        (("C", "asserted by"),),
        "mathematical",
        "the true probabilities of a world with chance in it, and their log loss",
    ),
    Claim(
        "penalty-distance",
        "the penalty is based on the distance from the expected value",
        (("C", "asserted by"),),
        "mathematical",
        "a loss that is not a function of the distance of prediction and target",
    ),
    Claim(
        "sum-over-features",
        "cross-entropy is summed over each binary feature",
        (("C", "asserted by"),),
        "mathematical",
        "a cross-entropy whose number of terms does not change with the number of features",
    ),
    Claim(
        "cost",
        "some losses cost more to evaluate than others",
        (("D", "asserted by"),),
        "mathematical",
        "that all losses take a number of operations of the same order",
    ),
]
#: Every claim by its name, the ten tables first.
CLAIMS = {claim.name: claim for claim in _ALL}

#: One sentence on what is behind each verdict.
WHY = {
    "T1": "No metric, data or rival is named, and each loss of the list has a rival that does as "
    "well on some task.",
    "T2": "The variable and the factor 1/N are missing, and each formula is right for one choice "
    "only.",
    "T3": "With a rate of its own for each loss BCE is clearly ahead nowhere, and most contexts "
    "are practically equal.",
    "T4": "For gradient descent .01 is too small a rate within 20 epochs, and for Adam it is about "
    "right.",
    "T5": "Which loss leads depends on how the points of the triplet loss are turned into a class.",
    "T6": "With two classes both are one model, and with more of them BCE leads with a hidden "
    "layer and not without one.",
    "T7": "With a rate and a strength of its own for each, BCE with L2 is clearly ahead nowhere, "
    "and most contexts are practically equal.",
    "T8": "It repeats T1, and names no metric, data or rival either.",
    "T9": "BCE takes longer steps at the same rate, and with rates of their own its lead stays on "
    "some data only.",
    "T10": "An autoencoder and a classifier are different detectors, and in both the data decide "
    "which loss does better.",
    "only-accuracy": "Two models that are right equally often may have different losses.",
    "one-loss-fits-all": "The squared error aims at the mean and the absolute error at the median.",
    "lower-is-better": "A bold model can have the lower loss and make more mistakes.",
    "differentiable": "A kink does no harm, but a loss that is flat almost everywhere cannot be "
    "descended.",
    "architecture": "A softmax over one output is always 1, so the loss decides how many outputs "
    "there are.",
    "mse-outliers": "One wrong row in ten multiplies its median error by about two or more, "
    "whichever way the row is wrong.",
    "ce-imbalance": "There is no clear lead over MSE, and class weights find more of the positive "
    "rows at the threshold 1/2.",
    "ce-vanishing": "With respect to the logit the gradient vanishes only where the answer is "
    "right.",
    "bce-multiclass": "One BCE for each class is nowhere clearly behind, and a little ahead in "
    "some contexts.",
    "bce-distributions": "It is the divergence plus the entropy, and the entropy of equal "
    "distributions is not 0.",
    "mse-whole-set": "The definition averages over any set, and a step of training averages over "
    "its batch.",
    "toward-targets": "Examples share weights, so one prediction may move away while the loss "
    "falls.",
    "backprop-adjusts": "It computes derivatives, and the optimiser's step changes the weights.",
    "half": "The 2 of the derivative cancels, and apart from the rate nothing else changes.",
    "ce-variant": "It is the cross-entropy of a one-hot label, so the formula is the same.",
    "hinge-confident": "The hinge stops pulling at margin 1, and it gives no probability.",
    "hinge-better": "Where the intervals are narrow enough, the two are practically equal.",
    "mse-boxes": "Each of the other losses overlaps the true boxes better in every world, after "
    "the same tuning.",
    "robust": "Both suffer less than MSE from either kind of wrong row, although one row that is "
    "far enough out defeats them too.",
    "delta-one": "Libraries do set it to 1, but delta has the unit of the target, so 1 means "
    "something else in millimetres.",
    "huber-faster": "MAE gets there first in some contexts, and no context shows Huber clearly "
    "ahead.",
    "huber-precise": "No context shows a clear lead of either.",
    "perfect-log-loss": "True probabilities of a world with chance in it cost its entropy.",
    "penalty-distance": "The hinge charges one side of the target only.",
    "sum-over-features": "There is a term for each label that comes out, whatever goes in.",
    "cost": "Losses that compare all pairs of a batch cost its square.",
}


class Outcome(NamedTuple):
    """What one context says: the mean difference, its 95 % interval, and a word of WORDS.

    The interval is the context's own. The word counts that many contexts were looked at.
    """

    estimate: float
    low: float
    high: float
    word: str


#: Above 0, below 0, within the margin, or none of these at the level of the chapter.
WORDS = ("higher", "lower", "equal", "open")


def outcomes(differences, margins):
    """The outcome of every context of every claim, Holm-adjusted over all of them.

    Each context is tested twice, in Student's way: that the mean difference is not 0, and that it
    is within the margin, by two tests against the margins, of which the worse counts. All p-values
    are adjusted together. A context within the margin is "equal", even if it is above or below 0.

    Parameters
    ----------
    differences : {claim: {context: paired differences, one for each seed}}
    margins : {claim: the smallest difference that matters}

    Examples
    --------
    >>> gaps = {"a": {"x": [0.9, 1.1, 1.0, 1.2]}, "b": {"x": [0.1, -0.1, 0.0, 0.0]}}
    >>> found = outcomes(gaps, {"a": 0.5, "b": 0.5})
    >>> found["a"]["x"].word, found["b"]["x"].word
    ('higher', 'equal')
    """
    places = [(claim, context) for claim, of in differences.items() for context in of]
    if not places:
        return {}
    intervals, p_values = [], []
    for claim, context in places:
        gaps = np.asarray(differences[claim][context], dtype=float)
        found = paired_difference(gaps, np.zeros_like(gaps), LEVEL)
        intervals.append(found)
        # Where all differences are 0 there is no test, and no difference either.
        p_values.append(1.0 if np.isnan(found.p_value) else found.p_value)
        p_values.append(_p_equal(gaps, margins[claim]))
    adjusted = holm(p_values).reshape(-1, 2)
    results = {}
    for (claim, context), found, (differs, equals) in zip(places, intervals, adjusted, strict=True):
        word = "open"
        if equals < 1 - LEVEL:
            word = "equal"
        elif differs < 1 - LEVEL:
            word = "higher" if found.estimate > 0 else "lower"
        results.setdefault(claim, {})[context] = Outcome(*found[:3], word)
    return results


def _p_equal(gaps, margin):
    """The p-value of "the mean is beyond the margin"; below 5 % where the 95 % interval is within.

    Source: D. J. Schuirmann (1987), A comparison of the two one-sided tests procedure and the power
    approach for assessing the equivalence of average bioavailability, Journal of Pharmacokinetics
    and Biopharmaceutics 15(6), 657-680.
    """
    if not -margin < gaps.mean() < margin:
        return 1.0
    # Two-sided p-values: half of them is the one-sided p-value, and half of 5 % its level.
    return max(
        paired_difference(gaps, np.full_like(gaps, end)).p_value for end in (-margin, margin)
    )


def verdict(words, *, predicts="higher", factors=()):
    """The verdict on an empirical claim, of the word of each of its contexts.

    Parameters
    ----------
    words : {context: word of WORDS}, contexts being tuples with an entry for each factor
    predicts : "higher" or "equal", as the claim does
    factors : what the contexts differ in, in their order

    Returns
    -------
    str
        "not yet run" without contexts. "supported", "opposite" or "practically equal" where all
        contexts say so. "depends on ..." where some contexts say one thing and some another, with
        the fewest factors that together tell which is which. "inconclusive" where no two contexts
        disagree and some are open.

    Examples
    --------
    >>> verdict({("wine", "linear"): "higher", ("wine", "hidden"): "higher"})
    'supported'
    >>> words = {("wine", "linear"): "higher", ("wine", "hidden"): "equal"}
    >>> verdict(words, factors=("data set", "model"))
    'depends on the model'
    >>> verdict({("wine",): "higher", ("iris",): "open"})
    'inconclusive'
    """
    if not words:
        return "not yet run"
    as_claimed, *others = {
        "higher": (("higher", "supported"), ("lower", "opposite"), ("equal", "practically equal")),
        "equal": (("equal", "supported"), ("higher", "opposite"), ("lower", "opposite")),
    }[predicts]
    meaning = dict([as_claimed, *others])
    said = {context: meaning[word] for context, word in words.items() if word != "open"}
    if len(set(said.values())) > 1:
        return f"depends on {_joined(_deciding(said, factors))}"
    if len(said) < len(words):
        return "inconclusive"
    return next(iter(said.values()))


def _deciding(said, factors):
    """The fewest factors that together decide what is said; of several such choices the first."""
    for count in range(1, len(factors) + 1):
        for places in combinations(range(len(factors)), count):
            by_level = {}
            for context, word in said.items():
                by_level.setdefault(tuple(context[i] for i in places), set()).add(word)
            if all(len(found) == 1 for found in by_level.values()):
                return [factors[i] for i in places]
    return ["the context"]


def _joined(factors):
    words = [f if f.startswith("the ") else f"the {f}" for f in factors]
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def verdict_of_cases(cases):
    """The verdict on a mathematical claim, of cases that were proved (True) or refuted (False).

    >>> verdict_of_cases({"with respect to p": True, "with respect to the logit": False})
    'depends on the case. True: with respect to p. False: with respect to the logit'
    >>> verdict_of_cases({"a fair coin": False})
    'refuted'
    """
    if not cases:
        raise ValueError("cases must hold at least one case")
    wrong = [case for case, holds in cases.items() if not isinstance(holds, (bool, np.bool_))]
    if wrong:
        raise TypeError(f"each case must be True or False, got {cases[wrong[0]]!r} for {wrong[0]}")
    if all(cases.values()):
        return "supported"
    if not any(cases.values()):
        return "refuted"
    groups = [
        "; ".join(case for case, holds in cases.items() if holds == which)
        for which in (True, False)
    ]
    return "depends on the case. True: {}. False: {}".format(*groups)


def in_words(of_claim):
    """How many contexts of a claim say what, in words.

    >>> in_words({"x": Outcome(1, 0, 2, "higher"), "y": Outcome(0, -1, 1, "open")})
    '1 higher, 1 open'
    """
    words = [outcome.word for outcome in of_claim.values()]
    return ", ".join(f"{words.count(word)} {word}" for word in WORDS if word in words)


def card(claim, verdict, evidence):
    """Show a claim by itself: what is claimed by whom, what would refute it, and what was found.

    Parameters
    ----------
    claim : a Claim, or its name
    verdict, evidence : in words
    """
    claim = CLAIMS[claim] if isinstance(claim, str) else claim
    rows = [
        (f"**{claim.name}**", _sentence(claim.words)),
        ("source", _sentence(claim.said_by())),
        ("type", _sentence(claim.kind)),
        ("refuted by", _sentence(claim.refuted_by)),
    ]
    if claim.kind == "empirical":
        rows.append(
            ("measured", _sentence(f"{claim.estimand}; a difference of {claim.margin:g} matters"))
        )
    rows += [
        ("evidence", _sentence(evidence)),
        ("verdict", f"**{_sentence(verdict)}**"),
        ("why", claim.why),
    ]
    return Markdown(table(rows, ("", "")).text, f"card of the claim {claim.name}")


def _sentence(words):
    return f"{words[0].upper()}{words[1:]}."


def stored_differences(studies=STUDIES):
    """The paired differences of every claim, of the studies whose runs are stored."""
    found = {}
    for name in studies:
        if not (RESULTS / f"{name}.json").exists():
            continue
        module = import_module(f"lossbook.experiments.{name}")
        for claim, contexts in module.differences(load(name)["runs"]).items():
            found.setdefault(claim, {}).update(contexts)
    return found


def empirical_verdicts(differences=None):
    """The verdict on every empirical claim, with the outcome of each of its contexts."""
    differences = stored_differences() if differences is None else differences
    found = outcomes(differences, {name: CLAIMS[name].margin for name in differences})
    results = {}
    for name, claim in CLAIMS.items():
        if claim.kind == "empirical":
            of_claim = found.get(name, {})
            words = {context: outcome.word for context, outcome in of_claim.items()}
            how = {"predicts": claim.predicts, "factors": claim.factors}
            results[name] = verdict(words, **how), of_claim
    return results
