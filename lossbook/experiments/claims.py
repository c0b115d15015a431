"""The claims under test in chapter 17, and how a verdict comes of what the studies measured.

What is claimed, by whom, what would refute it, and the smallest difference that matters stand here
as data. A verdict is computed: of paired differences for an empirical claim, of cases that are
proved or refuted for a mathematical one.

The claims, their margins and their estimands were written down before the studies were run. What
came after the first results is told here. The sentences of WHY say what is behind a verdict. The
verdict "refuted" did not exist for an empirical claim: words against a claim that nothing supported
were called "depends on" if they were of two kinds, and "inconclusive" if some contexts were open.
Now a verdict uses what would refute the claim. The estimand of mse-boxes was a comparison with
other losses, which the claim does not make; that of ce-imbalance had cross-entropy with weights
for a second rival, which is a cross-entropy too. Both comparisons are shown beside the claims. The
epochs of T9 and huber-faster were compared at one fixed rate only, bce-multiclass had no texts, an
autoencoder of T10 was scored by its own loss only, and the errors of the regression study were not
those of a minimum. Before that, seeds in which neither loss reaches its target were left out of the
counts of epochs, with contexts of fewer than ten seeds, and more seeds were run on small data.
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
#: What a context may say against a claim: "equal" is practically equal, where the claim says that
#: there is a difference, and "contrary" a difference that the claim does not say.
REFUTING = ("equal", "contrary")
#: What the studies can tell besides, on claims that none of the sources makes, and the claim whose
#: margin each has. The words are adjusted together with those of the claims.
BESIDE = {
    "mse-boxes, other losses": "mse-boxes",
    "ce-imbalance, weights": "ce-imbalance",
    "T7, loss alone": "T7",
    "T7, penalty alone": "T7",
}


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
    refuting : of an empirical claim, which words of a context are that: of REFUTING
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
    refuting: tuple[str, ...] = ()
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
        "nothing, as it names no metric, no data and no rival",
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
        refuting=REFUTING,
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
        refuting=REFUTING,
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
        refuting=REFUTING,
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
        refuting=REFUTING,
        estimand="test accuracy, and macro F1, of CE minus that of one BCE for each class",
        margin=_POINT,
        factors=("data set", "model", "metric"),
    ),
    _table(
        7,
        "BCE with L2 is more accurate than MSE with L1 (.903 against .817)",
        "empirical",
        "data on which the two are practically equal, or MSE with L1 is higher",
        refuting=REFUTING,
        estimand="test accuracy of BCE with L2 minus that of MSE with L1, each at its own rate and "
        "strength",
        margin=_POINT,
        factors=("data set", "model"),
    ),
    _table(
        8,
        "each loss has its use, by a second table that agrees with T1",
        "practice",
        "nothing, as it names no metric, no data and no rival",
    ),
    _table(
        9,
        "BCE converges in fewer epochs than MSE and categorical CE (18 against 25 and 23)",
        "empirical",
        "data or a rate with which BCE needs as many epochs or more",
        refuting=REFUTING,
        estimand="epochs to a common validation accuracy of the other loss minus those of BCE",
        margin=2.0,
        factors=("data set", "model", "rate"),
    ),
    _table(
        10,
        "BCE detects anomalies better than MSE (true positives .938 against .812, false positives "
        ".017 against .049)",
        "empirical",
        "data, a reading or a score with which the two are practically equal, or MSE is better",
        refuting=REFUTING,
        estimand="rate of true positives at one threshold rule, and area under the ROC curve, of "
        "BCE minus that of MSE",
        margin=0.05,
        factors=("data set", "reading", "score", "metric"),
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
        "a lower value of the loss always means a better model",
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
        "MSE is insensitive to outliers (and, on the same page, emphasises large errors)",
        (("D", "contradicts itself"),),
        "empirical",
        "data on which a few wrong rows make the error of MSE clearly larger, or smaller",
        refuting=("contrary",),
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
        "imbalanced data on which MSE is as good or better",
        refuting=REFUTING,
        estimand="average precision, and recall at 1/2, of BCE minus that of MSE, at a "
        "prevalence of 2 %",
        margin=0.05,
        factors=("data set", "metric"),
    ),
    Claim(
        "ce-vanishing",
        "cross-entropy may suffer from vanishing gradients",
        (("D", "asserted by"),),
        "mathematical",
        "a badly wrong answer at whose logit its gradient is not small",
    ),
    Claim(
        "bce-multiclass",
        "BCE is unsuitable for more than two classes",
        (("D", "asserted by"),),
        "empirical",
        "data on which one BCE for each class is as good as categorical CE, or better",
        refuting=REFUTING,
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
        "a derivative that keeps a factor, or training that changes by more than the rate",
    ),
    Claim(
        "ce-variant",
        "categorical cross-entropy is a variant of cross-entropy",
        (("B", "asserted by"),),
        "mathematical",
        "a categorical cross-entropy that another formula gives",
    ),
    Claim(
        "hinge-confident",
        "the hinge loss gives confident predictions",
        (("B", "asserted by"),),
        "mathematical",
        "a right answer of a margin that the hinge loss does not make larger",
    ),
    Claim(
        "hinge-better",
        "the hinge loss gives better performance",
        (("B", "asserted by"),),
        "empirical",
        "data on which BCE is as accurate or more",
        refuting=REFUTING,
        estimand="test accuracy of the hinge loss minus that of BCE, each at its own rate",
        margin=_POINT,
        factors=("data set", "model"),
    ),
    Claim(
        "mse-boxes",
        "MSE helps to localise boxes accurately",
        (("B", "asserted by"),),
        "empirical",
        "images on which the best constant box overlaps the true boxes as well or better",
        refuting=REFUTING,
        estimand="mean intersection over union of MSE minus that of the best constant box",
        margin=0.02,
        factors=("data set",),
    ),
    Claim(
        "robust",
        "MAE and Huber are robust to outliers",
        (("C", "asserted by"), ("D", "asserted by")),
        "empirical",
        "data and a kind of outlier with which their error is as large as that of MSE, or larger",
        refuting=REFUTING,
        estimand="logarithm of the median absolute error of MSE minus that of MAE or Huber, with "
        "spoilt training rows, each at its minimum",
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
        refuting=REFUTING,
        estimand="epochs to a common validation error of MAE minus those of Huber",
        margin=2.0,
        factors=("data set", "kind of outlier", "rate"),
    ),
    Claim(
        "huber-precise",
        "Huber is more precise than MAE",
        (("C", "asserted by"),),
        "empirical",
        "data on which MAE is as precise or more",
        refuting=REFUTING,
        estimand="logarithm of the median absolute error of MAE minus that of Huber, each at its "
        "minimum",
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
    "T1": "No metric, data or rival is named, so that no result could contradict it.",
    "T2": "The variable and the factor 1/N are missing, and each formula is right for one choice "
    "only.",
    "T3": "With a rate of its own for each loss BCE is clearly ahead nowhere, and most contexts "
    "are practically equal.",
    "T4": "For gradient descent .01 is too small a rate within 20 epochs, and for Adam it is "
    "about right.",
    "T5": "Which loss leads depends on how the points of the triplet loss are turned into a "
    "class, and ten neighbours hardly ever name five classes.",
    "T6": "With a hidden layer one BCE for each class is ahead on all three sets of texts, "
    "without one CE is on the uneven topics, and the study does not show why.",
    "T7": "With a rate and a strength of its own for each, BCE with L2 is clearly ahead nowhere, "
    "and neither is BCE under the same penalty.",
    "T8": "It repeats T1, and names no metric, data or rival either.",
    "T9": "On two classes BCE is ahead at small rates and MSE at large ones, above all with a "
    "hidden layer, and with rates of their own BCE's lead stays in a few contexts of several "
    "classes.",
    "T10": "BCE is clearly ahead only where the classifier of masses fails under squared error, "
    "and MSE only where each autoencoder is scored by its own loss.",
    "only-accuracy": "Two models that are right equally often may have different losses.",
    "one-loss-fits-all": "The squared error aims at the mean and the absolute error at the median.",
    "lower-is-better": "A bold model can have the lower loss and make more mistakes.",
    "differentiable": "A kink can be descended, though a fixed rate may hop across it, and a loss "
    "that is flat almost everywhere cannot.",
    "architecture": "A softmax over one output is always 1, so the loss decides how many outputs "
    "there are.",
    "mse-outliers": "One wrong row in ten multiplies its median error by one and a half or more, "
    "whichever way the row is wrong.",
    "ce-imbalance": "All estimates favour BCE over MSE, and no interval is narrow enough to say "
    "so at the level of the chapter.",
    "ce-vanishing": "With respect to the logit the gradient vanishes only where the answer is "
    "right.",
    "bce-multiclass": "Without a hidden layer CE is ahead on the uneven topics, and with one BCE "
    "is ahead on the texts and on the digits.",
    "bce-distributions": "It is the divergence plus the entropy, and the entropy of equal "
    "distributions is not 0.",
    "mse-whole-set": "The definition averages over any set, and a step of training averages over "
    "its batch.",
    "toward-targets": "Examples share weights, so one prediction may move away while the loss "
    "falls.",
    "backprop-adjusts": "The backward pass computes derivatives, and the optimiser's step changes "
    "the weights.",
    "half": "The 2 of the derivative cancels, and for plain gradient descent without a penalty "
    "only the rate changes.",
    "ce-variant": "It is the cross-entropy of a one-hot label, so the formula is the same.",
    "hinge-confident": "The hinge stops pulling at margin 1, and it gives no probability.",
    "hinge-better": "Where the intervals are narrow enough, the two are practically equal.",
    "mse-boxes": "In every world it overlaps the true boxes far better than the best constant "
    "box, though MAE, Huber and GIoU do better still.",
    "robust": "Wrong targets spoil MSE far more, but where the inputs of the wrong rows are far "
    "out as well, the linear models of all three losses are spoilt alike.",
    "delta-one": "Some libraries set it to 1 and others do not, and delta has the unit of the "
    "target, so 1 means something else in millimetres.",
    "huber-faster": "MAE gets there first in several contexts at small rates, and Huber in two at "
    "the largest rate.",
    "huber-precise": "With wrong targets MAE is more precise in both made worlds, and Huber is "
    "clearly ahead nowhere.",
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


def verdict(words, *, predicts="higher", factors=(), refuting=REFUTING):
    """The verdict on an empirical claim, of the word of each of its contexts.

    Parameters
    ----------
    words : {context: word of WORDS}, contexts being tuples with an entry for each factor
    predicts : "higher" or "equal", as the claim does
    factors : what the contexts differ in, in their order
    refuting : which words refute the claim, of REFUTING

    Returns
    -------
    str
        "not yet run" without contexts. "supported", "opposite" or "practically equal" where all
        contexts say so. "depends on ..." where some contexts say what the claim says and some what
        refutes it, with the fewest factors that together tell which is which. "refuted" where none
        says what the claim says and at least one refutes it, however many are open. "inconclusive"
        otherwise.

    Examples
    --------
    >>> verdict({("wine", "linear"): "higher", ("wine", "hidden"): "higher"})
    'supported'
    >>> words = {("wine", "linear"): "higher", ("wine", "hidden"): "equal"}
    >>> verdict(words, factors=("data set", "model"))
    'depends on the model'
    >>> verdict({("wine",): "equal", ("iris",): "open"})
    'refuted'
    >>> verdict({("wine",): "higher", ("iris",): "open"})
    'inconclusive'
    """
    if not words:
        return "not yet run"
    said = {context: _meaning(word, predicts) for context, word in words.items()}
    kinds = set(said.values())
    alone = {"claim": "supported", "contrary": "opposite", "equal": "practically equal"}
    if len(kinds) == 1 and kinds != {"open"}:
        return alone[kinds.pop()]
    decided = {
        context: kind == "claim"
        for context, kind in said.items()
        if kind == "claim" or kind in refuting
    }
    if len(set(decided.values())) > 1:
        return f"depends on {_joined(_deciding(decided, factors))}"
    return "refuted" if False in decided.values() else "inconclusive"


def _meaning(word, predicts):
    """What a word says of a claim: "claim", "contrary", "equal" or "open"."""
    if word == "open":
        return "open"
    if word == predicts:
        return "claim"
    return "equal" if word == "equal" else "contrary"


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
    """The paired differences of every claim, of the studies whose runs are stored.

    Those of BESIDE are among them.
    """
    found = {}
    for name in studies:
        if not (RESULTS / f"{name}.json").exists():
            continue
        module = import_module(f"lossbook.experiments.{name}")
        for claim, contexts in module.differences(load(name)["runs"]).items():
            found.setdefault(claim, {}).update(contexts)
    return found


def all_outcomes(differences=None):
    """The outcome of every context of every empirical claim and of BESIDE, adjusted together."""
    differences = stored_differences() if differences is None else differences
    return outcomes(
        differences, {name: CLAIMS[BESIDE.get(name, name)].margin for name in differences}
    )


def empirical_verdicts(differences=None):
    """The verdict on every empirical claim, with the outcome of each of its contexts."""
    found = all_outcomes(differences)
    results = {}
    for name, claim in CLAIMS.items():
        if claim.kind == "empirical":
            of_claim = found.get(name, {})
            words = {context: outcome.word for context, outcome in of_claim.items()}
            how = {"predicts": claim.predicts, "factors": claim.factors}
            results[name] = verdict(words, refuting=claim.refuting, **how), of_claim
    return results
