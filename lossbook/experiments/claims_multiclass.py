"""Chapter 17: more than two classes under cross-entropy, one BCE a class, and squared error.

Three packaged data sets and three made worlds of texts, a linear model and one with a hidden layer,
plain gradient descent. Within a seed the losses share the split, the first weights and the batches,
and each is trained at the same six rates. The seed takes the rate with the best accuracy on its
validation rows, and the model that was trained so is shown the test rows. For speed, a run counts
the epochs until the validation accuracy first reaches a target that is common to the losses.

Twenty seeds were run first. The two smallest sets, which are the quickest, then got more, planned
from the spread as in :mod:`lossbook.experiments.claims_binary`.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.experiments.claims_binary import by_context, speeds, summary
from lossbook.experiments.claims_data import MULTICLASS, TEXTS, parts, standardised
from lossbook.experiments.stack import (
    epochs,
    first_weights,
    multiclass_loss,
    outputs,
    slices,
    stacked,
    train,
)
from lossbook.metrics import accuracy, precision_recall_f1

LOSSES = ("CE", "MSE", "BCE")
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
HIDDEN = {"linear": (), "hidden": (32,)}
EPOCHS, BATCH = 20, 32
#: Of the way from the share of the largest class to the best accuracy of the seed.
TARGET = 0.95
DATA = MULTICLASS | TEXTS
SEEDS = dict.fromkeys(DATA, range(20)) | {"wine": range(160), "digits": range(40)}

#: Every network of the stack: loss and rate.
NETWORKS = [(loss, rate) for loss in LOSSES for rate in RATES]


def plan(done):
    """A run for each data set, model and seed; the tuning is within the run."""
    return [
        {"data": data, "model": model, "seed": seed}
        for data, seeds in SEEDS.items()
        for seed in seeds
        for model in HIDDEN
    ]


def run(settings):
    """One seed of one model on one data set."""
    return fit(settings, *DATA[settings["data"]]())[1]


def fit(settings, features, labels, *, count=EPOCHS):
    """Train the stack; returns its weights and what was measured."""
    seed = settings["seed"]
    training, validation, test = parts(seed, labels)
    dtype = torch.get_default_dtype()
    inputs = torch.tensor(standardised(features, training), dtype=dtype)
    known = torch.from_numpy(labels[training])
    classes = int(labels.max()) + 1
    sizes = (features.shape[1], *HIDDEN[settings["model"]], classes)
    weights = stacked(first_weights(sizes, seed), len(NETWORKS))
    of_loss = slices([loss for loss, _ in NETWORKS])

    def loss(weights, batch):
        scores = outputs(weights, inputs[training[batch]])
        return sum(multiclass_loss(name, scores[s], known[batch]) for name, s in of_loss.items())

    history, per_epoch = [], max(1, len(training) // BATCH)
    steps = iter(range(1, count * per_epoch + 1))

    def after(weights):
        if next(steps) % per_epoch == 0:
            said = answers(weights, inputs[validation])
            history.append(np.mean(said == labels[validation], axis=1))

    rates = torch.tensor([rate for _, rate in NETWORKS])
    weights = train(weights, rates, loss, epochs(seed, len(training), BATCH, count), after=after)
    said = answers(weights, inputs[test])
    curves = np.array(history)
    floor = np.bincount(labels[validation]).max() / len(validation)
    reached = curves >= floor + TARGET * (curves.max() - floor)
    results = {"chosen": {}, "epochs": {}}
    for name, s in of_loss.items():
        best = s.start + int(curves[-1, s].argmax())
        results["chosen"][name] = {
            "rate": NETWORKS[best][1],
            "validation": float(curves[-1, best]),
            "accuracy": accuracy(said[best], labels[test]),
            "f1": precision_recall_f1(said[best], labels[test], average="macro").f1,
        }
        results["epochs"][name] = {
            str(rate): int(column.argmax()) + 1 if column.any() else None
            for rate, column in zip(RATES, reached[:, s].T, strict=True)
        }
    return weights, results


def answers(weights, inputs):
    """The class that each network scores highest, an integer array of shape (networks, rows).

    A network whose weights are no longer numbers says the first class.
    """
    with torch.no_grad():
        return torch.nan_to_num(outputs(weights, inputs), nan=0.0).argmax(dim=2).numpy()


def differences(runs):
    """The paired differences of each claim, by context, in the order of the seeds."""
    found = {}
    for context, of_context in by_context(runs, "data", "model").items():
        results = [entry["results"] for entry in of_context]
        is_text = of_context[0]["settings"]["data"] in TEXTS
        for metric in ("accuracy", "f1"):
            gaps = [r["chosen"]["CE"][metric] - r["chosen"]["BCE"][metric] for r in results]
            # Texts are a case of both claims.
            for claim in ("T6", "bce-multiclass") if is_text else ("bce-multiclass",):
                found.setdefault(claim, {})[*context, metric] = gaps
        counts = [r["epochs"] for r in results]
        for how, first, second in speeds(counts, "CE", "BCE", RATES, EPOCHS):
            found.setdefault("T9", {})[*context, how] = first - second
    return found


def trial():
    """Both models on two data sets, for one epoch."""
    results = {}
    for data in ("wine", "6 topics, uneven"):
        features, labels = (each[:300] for each in DATA[data]())
        for model in HIDDEN:
            settings = {"data": data, "model": model, "seed": 0}
            weights, found = fit(settings, features, labels, count=1)
            results[f"{data}, {model}"] = {"results": found, "weights": summary(weights)}
    return results
