"""Chapter 17: one positive row in fifty, under squared error and cross-entropy, and with weights.

Three worlds are thinned until 2 % of the rows are positive: "is it an 8?" on two sets of digits,
and two normal clouds. A network with one hidden layer is trained by Adam. Within a seed the losses
share the split, the first weights and the batches, and each is trained at the same five rates. The
seed takes the rate with the best average precision on its validation rows, and the network that
was trained so is shown the test rows. "Weighted BCE" counts a positive row 49 times, so that both
classes weigh the same.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.experiments.claims_binary import by_context, summary
from lossbook.experiments.claims_data import MULTICLASS, parts, standardised
from lossbook.experiments.stack import epochs, first_weights, outputs, slices, stacked, train
from lossbook.metrics import average_precision, expected_calibration_error
from lossbook.numerics import sigmoid
from lossbook.optim import Adam
from lossbook.torch import as_torch

LOSSES = ("MSE", "BCE", "weighted BCE")
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
POSITIVE = 0.02
HIDDEN, EPOCHS, BATCH = 16, 20, 64
TRAINING, VALIDATION = 1000, 700
SEEDS = range(20)

NETWORKS = [(loss, rate) for loss in LOSSES for rate in RATES]

cross_entropy = as_torch("sigmoid_binary_cross_entropy", reduction="none")
squared_error = as_torch("squared_error", reduction="none")


def clouds(rows=6000, features=10):
    """A made world: two normal clouds, 2.5 deviations apart; one row in ten is positive."""
    rng = np.random.default_rng(21)
    labels = (np.arange(rows) % 10 == 0).astype(np.int64)
    return rng.normal(size=(rows, features)) + labels[:, None] * 2.5 / np.sqrt(features), labels


def eights(name):
    """Digits of a set of ten classes, and whether each is an 8."""
    features, ids = MULTICLASS[name]()
    return features, (ids == 8).astype(np.int64)


DATA = {
    "8 of digits": lambda: eights("digits"),
    "8 of MNIST": lambda: eights("MNIST, small"),
    "made, clouds": clouds,
}


def thinned(features, labels, rng):
    """All negative rows, and as many of the positive ones, drawn, that they are 2 % of all."""
    negative, positive = (np.flatnonzero(labels == each) for each in (0, 1))
    count = round(POSITIVE / (1 - POSITIVE) * len(negative))
    kept = np.sort(np.append(negative, rng.permutation(positive)[:count]))
    return features[kept], labels[kept]


def plan(done):
    """A run for each data set and seed; the tuning is within the run."""
    return [{"data": data, "seed": seed} for seed in SEEDS for data in DATA]


def run(settings):
    """One seed on one data set."""
    return fit(settings, *DATA[settings["data"]]())[1]


def fit(settings, features, labels, *, count=EPOCHS):
    """Train the stack; returns its weights and what was measured."""
    seed = settings["seed"]
    features, labels = thinned(features, labels, np.random.default_rng([seed, 2]))
    training, validation, test = parts(seed, labels, TRAINING, VALIDATION)
    dtype = torch.get_default_dtype()
    inputs = torch.tensor(standardised(features, training), dtype=dtype)
    known = torch.tensor(labels[training], dtype=dtype)
    weights = stacked(first_weights((features.shape[1], HIDDEN, 1), seed), len(NETWORKS))
    of_loss = slices([loss for loss, _ in NETWORKS])

    def loss(weights, batch):
        scores = outputs(weights, inputs[training[batch]])[..., 0]
        own = known[batch].expand(len(RATES), -1)
        heavy = 1 + own * ((1 - POSITIVE) / POSITIVE - 1)
        values = (
            squared_error(torch.sigmoid(scores[of_loss["MSE"]]), own),
            cross_entropy(scores[of_loss["BCE"]], own),
            cross_entropy(scores[of_loss["weighted BCE"]], own) * heavy,
        )
        return sum(each.sum() for each in values) / len(batch)

    rates = torch.tensor([rate for _, rate in NETWORKS])
    batches = epochs(seed, len(training), BATCH, count)
    weights = train(weights, rates, loss, batches, Adam(1.0))
    results = {}
    scores = scored(weights, inputs)
    for name, s in of_loss.items():
        validated = [average_precision(row[validation], labels[validation]) for row in scores[s]]
        best = s.start + int(np.argmax(validated))
        results[name] = {
            "rate": NETWORKS[best][1],
            "validation": float(max(validated)),
            **measured(scores[best][test], labels[test]),
        }
        if name == "weighted BCE":
            # Odds that are divided by the weight, which is to subtract its logarithm.
            corrected = scores[best][test] - np.log((1 - POSITIVE) / POSITIVE)
            results["weighted BCE, corrected"] = measured(corrected, labels[test])
    return weights, results


def scored(weights, inputs):
    """The logits of each network, float64 of shape (networks, rows)."""
    with torch.no_grad():
        return np.nan_to_num(outputs(weights, inputs)[..., 0].to(torch.float64).numpy())


def measured(logits, labels):
    """Average precision, recall at the threshold 1/2, and calibration error of test rows."""
    return {
        "average_precision": average_precision(logits, labels),
        "recall": float(np.mean(logits[labels == 1] > 0)),
        "calibration_error": expected_calibration_error(sigmoid(logits), labels),
    }


def differences(runs):
    """The paired differences from squared error, and from weights, in the order of the seeds."""
    found = {}
    for (data,), of_data in by_context(runs, "data").items():
        results = [entry["results"] for entry in of_data]
        for name, second in (("ce-imbalance", "MSE"), ("ce-imbalance, weights", "weighted BCE")):
            for metric in ("average_precision", "recall"):
                gaps = [r["BCE"][metric] - r[second][metric] for r in results]
                found.setdefault(name, {})[data, metric.replace("_", " ")] = gaps
    return found


def trial():
    """Every data set for one epoch."""
    results = {}
    for data, make in DATA.items():
        weights, found = fit({"data": data, "seed": 0}, *make(), count=1)
        results[data] = {"results": found, "weights": summary(weights)}
    return results
