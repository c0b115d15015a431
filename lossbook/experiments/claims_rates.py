"""Chapter 17: one learning rate against another, for two optimisers and two budgets of epochs.

The network with a hidden layer is trained by binary cross-entropy on the four data sets of two
classes, by plain gradient descent and by Adam, at the three rates of the claim. Within a seed all
share the split, the first weights and the batches. Nothing is tuned, since the rate is what is
compared; the test rows are shown to each network twice, after few epochs and after many.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.experiments.claims_binary import by_context, rightly, summary
from lossbook.experiments.claims_data import BINARY, parts, standardised
from lossbook.experiments.stack import binary_loss, epochs, first_weights, outputs, stacked, train
from lossbook.optim import SGD, Adam

OPTIMISERS = {"gradient descent": SGD, "Adam": Adam}
RATES = (0.001, 0.01, 0.1)
BUDGETS = (5, 20)
HIDDEN, BATCH = 16, 32
SEEDS = range(20)


def plan(done):
    """A run for each data set and seed."""
    return [{"data": data, "seed": seed} for seed in SEEDS for data in BINARY]


def run(settings):
    """One seed on one data set."""
    return fit(settings, *BINARY[settings["data"]]())[1]


def fit(settings, features, labels, *, budgets=BUDGETS):
    """Train one stack for each optimiser; returns their weights and the test accuracies."""
    seed = settings["seed"]
    training, _, test = parts(seed, labels)
    dtype = torch.get_default_dtype()
    inputs = torch.tensor(standardised(features, training), dtype=dtype)
    known = torch.tensor(labels[training], dtype=dtype)
    ends = [budget * max(1, len(training) // BATCH) for budget in budgets]

    def loss(weights, batch):
        scores = outputs(weights, inputs[training[batch]])[..., 0]
        return binary_loss("BCE", scores, known[batch])

    results, all_weights = {}, {}
    for name, optimiser in OPTIMISERS.items():
        weights = stacked(first_weights((features.shape[1], HIDDEN, 1), seed), len(RATES))
        found, steps = [], iter(range(1, ends[-1] + 1))

        def after(weights, found=found, steps=steps):
            if next(steps) in ends:
                found.append(rightly(weights, inputs[test], labels[test]).tolist())

        batches = epochs(seed, len(training), BATCH, budgets[-1])
        rates = torch.tensor(RATES)
        weights = train(weights, rates, loss, batches, optimiser(1.0), after)
        results[name] = {
            str(budget): {str(rate): x for rate, x in zip(RATES, row, strict=True)}
            for budget, row in zip(budgets, found, strict=True)
        }
        all_weights[name] = summary(weights)
    return all_weights, results


def differences(runs):
    """How much more accurate the middle rate is than each of the others, by context."""
    found = {}
    for (data,), of_data in by_context(runs, "data").items():
        for name in OPTIMISERS:
            for budget in map(str, BUDGETS):
                scores = [entry["results"][name][budget] for entry in of_data]
                for other in ("0.001", "0.1"):
                    context = data, name, f"{budget} epochs", f"against {other}"
                    gaps = [of_seed["0.01"] - of_seed[other] for of_seed in scores]
                    found.setdefault("T4", {})[context] = gaps
    return found


def trial():
    """Two data sets for two epochs in all."""
    results = {}
    for data in ("breast cancer", "made, noisy"):
        features, labels = (np.asarray(each)[:300] for each in BINARY[data]())
        found = fit({"data": data, "seed": 0}, features, labels, budgets=(1, 2))
        results[data] = list(found)
    return results
