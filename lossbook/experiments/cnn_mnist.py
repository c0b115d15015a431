"""Chapter 19: one CNN, three losses, two optimisers, five seeds, on the full MNIST.

First each of the six pairs tries every learning rate of its grid once, on 55,000 images, and is
scored on the 5,000 of the training set that were held back. Then the rate with the best validation
accuracy trains over five seeds, and those runs, and no others, are shown the test images.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.data import load_mnist, split_validation
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.train import Settings, objective, predict, train
from lossbook.train.arrays import as_digits, as_tensor

#: Peak learning rates to try: the same number for each pair. The squared error is averaged over
#: ten outputs as well as over examples, so its gradients are smaller and its rates larger.
RATES = {
    ("softmax_cross_entropy", "sgd"): (0.003, 0.01, 0.03, 0.1, 0.3),
    ("squared_error", "sgd"): (0.03, 0.1, 0.3, 1.0, 3.0),
    ("multiclass_hinge", "sgd"): (0.003, 0.01, 0.03, 0.1, 0.3),
    ("softmax_cross_entropy", "adam"): (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    ("squared_error", "adam"): (1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    ("multiclass_hinge", "adam"): (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
}
VALIDATION = 5_000
SEEDS = range(5)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100


def plan(done):
    """The tuning runs; once they are done, also the final runs at each pair's best rate."""
    tuning = [
        _settings("tune", loss, optimizer, rate, TUNING_SEED)
        for (loss, optimizer), rates in RATES.items()
        for rate in rates
    ]
    tuned = completed(tuning, done)
    if tuned is None:
        return tuning
    best = best_rates(tuned)
    return tuning + [
        _settings("final", loss, optimizer, best[loss, optimizer], seed)
        for seed in SEEDS
        for loss, optimizer in RATES
    ]


def best_rates(runs):
    """For each pair of loss and optimiser, the tuned rate: the best validation accuracy."""
    scores = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            pair = settings["loss"], settings["optimizer"]
            score = entry["results"]["history"][-1]["validation_accuracy"]
            scores.setdefault(pair, {})[settings["lr"]] = score
    return {pair: max(of_rate, key=of_rate.get) for pair, of_rate in scores.items()}


def run(settings):
    """One run: its history, and for a final run what it makes of the test images."""
    options = {key: value for key, value in settings.items() if key != "stage"}
    training, validation = split_validation(*load_mnist("train", "full"), VALIDATION)
    try:
        trained = train(*training, Settings(**options), validation=validation, progress=False)
    except FloatingPointError as error:
        # A rate too large to train with is a finding of the tuning, not a failure of the study.
        return {"diverged": str(error), "history": [{"validation_accuracy": 0.0}]}
    results = {"history": trained.history, "train_seconds": round(trained.train_seconds, 1)}
    if settings["stage"] == "final":
        results |= _test_results(trained.network, settings["loss"], *load_mnist("test", "full"))
    return results


def trial():
    """Each pair for 20 steps at the middle of its rates, on 308 digits of the sample.

    They make nine batches of 32 and one of 20, so that a short batch is part of it.
    """
    images, labels = load_mnist("train", "sample")
    training, held_back = split_validation(images[:360], labels[:360], 52)
    results = {}
    for (loss, optimizer), rates in RATES.items():
        settings = Settings(loss, optimizer, epochs=2, batch_size=32, lr=rates[2], seed=TUNING_SEED)
        trained = train(*training, settings, validation=held_back, progress=False)
        results[f"{loss} {optimizer}"] = {
            "history": trained.history,
            "test": _test_results(trained.network, loss, *held_back),
            "weights": footprint(trained.network),
        }
    return results


def _test_results(network, loss, images, labels):
    images, labels = as_digits(images, labels)
    outputs = predict(network, images)
    answers = outputs.argmax(-1)
    wrong = np.flatnonzero(answers != labels)
    return {
        "test_accuracy": float(np.mean(answers == labels)),
        "test_loss": objective(loss)(torch.from_numpy(outputs), as_tensor(labels)).item(),
        "wrong": wrong.tolist(),
        "answers": answers[wrong].tolist(),
    }


def _settings(stage, loss, optimizer, rate, seed):
    settings = {"stage": stage, "loss": loss, "optimizer": optimizer, "lr": rate, "seed": seed}
    return settings | {"epochs": 3, "batch_size": 64}
