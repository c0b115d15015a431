"""Chapter 17: anomalies told by squared error and by binary cross-entropy, in two readings.

Three data sets of inputs between 0 and 1, in each of which one class is normal. In the first
reading an autoencoder is trained on normal rows to give back its inputs, and a row is the more
anomalous the worse it is given back, which is scored in two ways: by the loss that the network was
trained with, and by the squared error for both. In the second a classifier is trained on normal
rows and a few anomalies, one in twenty, and scores a row by its logit. Within a seed the losses
share the split, the first weights and the batches; each is trained by Adam at the same six rates,
and for each way of scoring the seed takes the rate with the best area under the ROC curve on its
validation rows, of which half are anomalies. The threshold is the score that one normal validation
row in twenty exceeds, and test rows are then called anomalous or not. For a classifier the mean
slope of the sigmoid on the training anomalies is stored too, for each rate. The scales from 0 to 1
are those of all rows, without their labels.

First autoencoders were scored by their own losses only. The second way came after the results.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.data import load_breast_cancer
from lossbook.experiments.claims_binary import by_context, summary
from lossbook.experiments.claims_data import MULTICLASS
from lossbook.experiments.stack import epochs, first_weights, outputs, slices, stacked, train
from lossbook.metrics import average_precision
from lossbook.optim import Adam
from lossbook.torch import as_torch

LOSSES = ("MSE", "BCE")
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
READINGS = ("autoencoder", "classifier")
OWN, SQUARED, LOGIT = "its own loss", "the squared error", "its logit"
#: The share of anomalies among the rows that train the classifier.
ANOMALIES = 0.05
#: The share of normal validation rows above the threshold.
FALSE_ALARMS = 0.05
HIDDEN, EPOCHS, BATCH = 8, 40, 32
SEEDS = range(20)

NETWORKS = [(loss, rate) for loss in LOSSES for rate in RATES]

cross_entropy = as_torch("sigmoid_binary_cross_entropy", reduction="none")
squared_error = as_torch("squared_error", reduction="none")


def one_class(name, normal):
    """A set of several classes: its features, and whether a row is not of the normal class."""
    features, ids = MULTICLASS[name]()
    return features / features.max(), (ids != normal).astype(np.int64)


def masses():
    """Breast masses, the benign ones normal, each feature on a scale from 0 to 1."""
    features, benign, _ = load_breast_cancer()
    low, high = features.min(axis=0), features.max(axis=0)
    return (features - low) / (high - low), 1 - benign


DATA = {
    "breast cancer": masses,
    "digits, 4 is normal": lambda: one_class("digits", 4),
    "MNIST, 7 is normal": lambda: one_class("MNIST, small", 7),
}


def plan(done):
    """A run for each data set, reading and seed; the tuning is within the run."""
    return [
        {"data": data, "reading": reading, "seed": seed}
        for seed in SEEDS
        for data in DATA
        for reading in READINGS
    ]


def split(seed, anomalous):
    """Training rows, a few anomalies last; validation and test rows, as many of each kind."""
    rng = np.random.default_rng([seed, 2])
    normal, odd = (rng.permutation(np.flatnonzero(anomalous == each)) for each in (0, 1))
    half, quarter = len(normal) // 2, len(normal) // 4
    few = max(1, round(ANOMALIES / (1 - ANOMALIES) * half))
    rest = normal[half:]
    validation = np.append(rest[:quarter], odd[few : few + quarter])
    test = np.append(rest[quarter:], odd[few + quarter :][: len(rest) - quarter])
    return np.append(normal[:half], odd[:few]), half, validation, test


def run(settings):
    """One seed of one reading on one data set."""
    return fit(settings, *DATA[settings["data"]]())[1]


def fit(settings, features, anomalous, *, count=EPOCHS):
    """Train the stack; returns its weights and what was measured."""
    seed = settings["seed"]
    training, half, validation, test = split(seed, anomalous)
    dtype = torch.get_default_dtype()
    inputs = torch.tensor(features, dtype=dtype)
    rebuild = settings["reading"] == "autoencoder"
    if rebuild:
        training, wanted = training[:half], inputs
    else:
        wanted = torch.tensor(anomalous, dtype=dtype)[:, None]
    outs = wanted.shape[1]
    weights = stacked(first_weights((features.shape[1], HIDDEN, outs), seed), len(NETWORKS))

    def loss(weights, batch):
        return values(weights, inputs[training[batch]], wanted[training[batch]]).sum() / len(batch)

    rates = torch.tensor([rate for _, rate in NETWORKS])
    batches = epochs(seed, len(training), BATCH, count)
    weights = train(weights, rates, loss, batches, Adam(1.0))
    with torch.no_grad():
        if rebuild:
            own = values(weights, inputs, inputs).sum(dim=2)
            gaps = torch.sigmoid(outputs(weights, inputs)) - inputs
            scored = {OWN: own, SQUARED: gaps.square().sum(dim=2)}
        else:
            scored = {LOGIT: outputs(weights, inputs)[..., 0]}
    results = {}
    for by, scores in scored.items():
        scores = np.nan_to_num(scores.to(torch.float64).numpy())
        results[by] = {
            name: measured(scores[s], anomalous, validation, test)
            for name, s in slices([loss for loss, _ in NETWORKS]).items()
        }
    if not rebuild:
        odd = 1 / (1 + np.exp(-np.clip(scores[:, training[half:]], -700, 700)))
        for name, s in slices([loss for loss, _ in NETWORKS]).items():
            slopes = (odd * (1 - odd)).mean(axis=1)[s]
            results[LOGIT][name]["slopes"] = dict(
                zip(map(str, RATES), slopes.tolist(), strict=True)
            )
    return weights, results


def measured(scores, anomalous, validation, test):
    """What the rate with the best area on validation rows does on test rows.

    `scores` has a row for each rate.
    """
    validated = [area_under_roc(row[validation], anomalous[validation]) for row in scores]
    best = int(np.argmax(validated))
    normal = validation[anomalous[validation] == 0]
    threshold = np.quantile(scores[best][normal], 1 - FALSE_ALARMS)
    called = scores[best][test] > threshold
    tested = [area_under_roc(row[test], anomalous[test]) for row in scores]
    return {
        "rate": RATES[best],
        "validation": max(validated),
        "true_positive_rate": float(called[anomalous[test] == 1].mean()),
        "false_positive_rate": float(called[anomalous[test] == 0].mean()),
        "area": tested[best],
        "average_precision": average_precision(scores[best][test], anomalous[test]),
        "areas": {str(rate): area for rate, area in zip(RATES, tested, strict=True)},
    }


def values(weights, inputs, wanted):
    """The unreduced loss of each network, an array of shape (networks, rows, outputs)."""
    answers = outputs(weights, inputs)
    of_loss = slices([loss for loss, _ in NETWORKS])
    wanted = wanted.expand(len(RATES), *wanted.shape)
    return torch.cat(
        [
            squared_error(torch.sigmoid(answers[of_loss["MSE"]]), wanted),
            cross_entropy(answers[of_loss["BCE"]], wanted),
        ]
    )


def area_under_roc(scores, labels):
    """The share of pairs of a positive and a negative row in which the positive scores higher.

    Equal scores count half.

    >>> area_under_roc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([1, 1, 0, 0]))
    0.625
    """
    positive, negative = scores[labels == 1][:, None], scores[labels == 0][None]
    return float(np.mean(0.5 * (positive > negative) + 0.5 * (positive >= negative)))


def differences(runs):
    """The paired differences of each claim, by context, in the order of the seeds."""
    found = {}
    for context, of_context in by_context(runs, "data", "reading").items():
        results = [entry["results"] for entry in of_context]
        for by in results[0]:
            for metric, words in (("true_positive_rate", "true positives"), ("area", "area")):
                gaps = [r[by]["BCE"][metric] - r[by]["MSE"][metric] for r in results]
                found.setdefault("T10", {})[*context, by, words] = gaps
    return found


def trial():
    """Both readings of two data sets, for one epoch."""
    results = {}
    for data in ("breast cancer", "digits, 4 is normal"):
        for reading in READINGS:
            settings = {"data": data, "reading": reading, "seed": 0}
            weights, found = fit(settings, *DATA[data](), count=1)
            results[f"{data}, {reading}"] = {"results": found, "weights": summary(weights)}
    return results
