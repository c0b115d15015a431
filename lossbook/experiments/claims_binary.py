"""Chapter 17: two classes under squared error, binary cross-entropy and hinge, and penalties.

On four data sets a linear model and one with a hidden layer are trained by plain gradient descent.
Within a seed all losses share the split, the first weights and the batches. Squared error and
binary cross-entropy are trained without penalty and with an L1 or an L2 penalty of three
strengths, the hinge without; each of them at the same seven rates. For every loss and penalty the
seed takes the rate and strength with the best accuracy on its validation rows, and the model that
was trained so is shown the test rows. For speed, a run counts the epochs until the validation
accuracy first reaches a target that is common to the losses of the seed.

Twenty seeds were run first. From the spread of their differences, and not from their means, more
were planned: (5.1 s / 0.01)^2 for a spread s, in twenties and at most 160. The number was meant to
bring an interval of that spread within the margin of 0.01 with a probability of 90 % where there is
no difference. It counts one end of the interval only, and fewer contexts than there are by now, so
that the probability is nearer to three in four.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.experiments.claims_data import BINARY, parts, standardised
from lossbook.experiments.stack import (
    binary_loss,
    epochs,
    first_weights,
    outputs,
    penalty,
    slices,
    stacked,
    train,
)
from lossbook.metrics import accuracy, precision_recall_f1

LOSSES = ("MSE", "BCE", "hinge")
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
STRENGTHS = (1e-4, 1e-3, 1e-2)
HIDDEN = {"linear": (), "hidden": (16,)}
EPOCHS, BATCH = 20, 32
#: Of the way from the share of the larger class to the best accuracy of the seed.
TARGET = 0.95
#: Fewer seeds than these are not compared.
LEAST_SEEDS = 10
SEEDS = {
    "breast cancer": range(100),
    "even digits": range(40),
    "diabetes": range(160),
    "made, noisy": range(80),
}

#: Every network of the stack: loss, penalty, strength, rate.
NETWORKS = [
    (loss, kind, strength, rate)
    for loss in LOSSES
    for kind in (("none",) if loss == "hinge" else ("none", "L1", "L2"))
    for strength in ((0.0,) if kind == "none" else STRENGTHS)
    for rate in RATES
]


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
    features, labels = BINARY[settings["data"]]()
    return fit(settings, features, labels)[1]


def fit(settings, features, labels, *, count=EPOCHS):
    """Train the stack; returns its weights and what was measured."""
    seed = settings["seed"]
    training, validation, test = parts(seed, labels)
    dtype = torch.get_default_dtype()
    inputs = torch.tensor(standardised(features, training), dtype=dtype)
    known = torch.tensor(labels[training], dtype=dtype)
    sizes = (features.shape[1], *HIDDEN[settings["model"]], 1)
    weights = stacked(first_weights(sizes, seed), len(NETWORKS))
    of_loss = slices([loss for loss, *_ in NETWORKS])
    l1, l2 = (
        torch.tensor([s if kind == which else 0.0 for _, kind, s, _ in NETWORKS])
        for which in ("L1", "L2")
    )

    def loss(weights, batch):
        scores = outputs(weights, inputs[training[batch]])[..., 0]
        fitted = (binary_loss(name, scores[s], known[batch]) for name, s in of_loss.items())
        return sum(fitted) + penalty(weights, l1, l2)

    history, per_epoch = [], max(1, len(training) // BATCH)
    steps = iter(range(1, count * per_epoch + 1))

    def after(weights):
        if next(steps) % per_epoch == 0:
            history.append(rightly(weights, inputs[validation], labels[validation]))

    rates = torch.tensor([rate for *_, rate in NETWORKS])
    weights = train(weights, rates, loss, epochs(seed, len(training), BATCH, count), after=after)
    results = {"chosen": chosen(weights, history[-1], inputs[test], labels[test])}
    results["epochs"] = epochs_to_target(history, labels[validation])
    return weights, results


def answers(weights, inputs):
    """Whether each network says 1, an integer array of shape (networks, rows).

    A network whose weights are no longer numbers says 0.
    """
    with torch.no_grad():
        return (outputs(weights, inputs)[..., 0] > 0).numpy().astype(np.int64)


def rightly(weights, inputs, labels):
    """The accuracy of each network."""
    return np.mean(answers(weights, inputs) == labels, axis=1)


def chosen(weights, validated, inputs, labels):
    """For each loss and penalty the network that validated best, and its scores on test rows."""
    results = {}
    for name in dict.fromkeys((loss, kind) for loss, kind, *_ in NETWORKS):
        places = [i for i, network in enumerate(NETWORKS) if network[:2] == name]
        best = places[int(np.argmax(validated[places]))]
        said = answers({key: w[best : best + 1] for key, w in weights.items()}, inputs)[0]
        results[" ".join(name)] = {
            "strength": NETWORKS[best][2],
            "rate": NETWORKS[best][3],
            "validation": float(validated[best]),
            "accuracy": accuracy(said, labels),
            "f1": precision_recall_f1(said, labels, undefined=0.0).f1,
        }
    return results


def epochs_to_target(history, labels):
    """For each loss without penalty and each rate the epochs to the common target, or None.

    `history` is the validation accuracy of each network after each epoch.
    """
    places = {(loss, rate): i for i, (loss, kind, _, rate) in enumerate(NETWORKS) if kind == "none"}
    curves = np.array(history)[:, list(places.values())]
    floor = max(labels.mean(), 1 - labels.mean())
    reached = curves >= floor + TARGET * (curves.max() - floor)
    counts = [int(c.argmax()) + 1 if c.any() else None for c in reached.T]
    results = {}
    for (loss, rate), number in zip(places, counts, strict=True):
        results.setdefault(loss, {})[str(rate)] = number
    return results


def differences(runs):
    """The paired differences of each claim, by context, in the order of the seeds."""
    found = {}
    for context, of_context in by_context(runs, "data", "model").items():
        results = [entry["results"] for entry in of_context]

        def gap(first, second, metric, results=results):
            return [r["chosen"][first][metric] - r["chosen"][second][metric] for r in results]

        for metric in ("accuracy", "f1"):
            found.setdefault("T3", {})[*context, metric] = gap("BCE none", "MSE none", metric)
        found.setdefault("T7", {})[context] = gap("BCE L2", "MSE L1", "accuracy")
        for kind in ("none", "L1", "L2"):
            gaps = gap(f"BCE {kind}", f"MSE {kind}", "accuracy")
            found.setdefault("T7, loss alone", {})[*context, kind] = gaps
        for loss in ("MSE", "BCE"):
            gaps = gap(f"{loss} L2", f"{loss} L1", "accuracy")
            found.setdefault("T7, penalty alone", {})[*context, loss] = gaps
        found.setdefault("hinge-better", {})[context] = gap("hinge none", "BCE none", "accuracy")
        counts = [r["epochs"] for r in results]
        for how, first, second in speeds(counts, "MSE", "BCE", RATES, EPOCHS):
            found.setdefault("T9", {})[*context, how] = first - second
    return found


def by_context(runs, *keys):
    """The runs of each context, the tuple of these settings, sorted by seed."""
    groups = {}
    for entry in sorted(runs, key=lambda entry: entry["settings"]["seed"]):
        groups.setdefault(tuple(entry["settings"][key] for key in keys), []).append(entry)
    return groups


def speeds(counts, first, second, rates, last):
    """Epochs to the target of two losses, at each rate for both, and each at its quickest rate.

    `counts` holds for each seed, loss and rate the epochs, or None for a run that did not get
    there in `last` epochs; such a run counts as last + 1, which is too few. The quickest rate of a
    seed is the one with the smallest mean over the other seeds. A seed in which neither loss gets
    there does not say which is quicker and is left out, and so is a way of choosing the rate that
    fewer than LEAST_SEEDS seeds say anything about.
    """
    tables = [
        np.array([[of_seed[loss][str(rate)] or last + 1 for rate in rates] for of_seed in counts])
        for loss in (first, second)
    ]
    others = [(table.sum(axis=0) - table).argmin(axis=1) for table in tables]
    seeds = np.arange(len(counts))
    fixed = [(f"rate {rate:g}", [np.full(len(counts), i)] * 2) for i, rate in enumerate(rates)]
    for how, places in (*fixed, ("own rate", others)):
        both = [table[seeds, at] for table, at in zip(tables, places, strict=True)]
        known = np.min(both, axis=0) <= last
        if known.sum() >= LEAST_SEEDS:
            yield how, *(each[known].astype(float) for each in both)


def trial():
    """Both models on two data sets, for one epoch."""
    results = {}
    for data in ("breast cancer", "made, noisy"):
        features, labels = (each[:300] for each in BINARY[data]())
        for model in HIDDEN:
            settings = {"data": data, "model": model, "seed": 0}
            weights, found = fit(settings, features, labels, count=1)
            results[f"{data}, {model}"] = {"results": found, "weights": summary(weights)}
    return results


def summary(weights):
    """Of every network of a stack two numbers for each array, which any change of it changes."""
    rng = np.random.default_rng(0)
    found = {}
    # A network that diverged may have a norm beyond the range of numbers.
    with np.errstate(over="ignore", invalid="ignore"):
        for name, w in weights.items():
            flat = w.detach().to(torch.float64).numpy().reshape(len(w), -1)
            found[name] = np.stack(
                [np.linalg.norm(flat, axis=1), flat @ rng.normal(size=flat.shape[1])]
            )
    return {name: table.tolist() for name, table in found.items()}
