"""Chapter 9: what a CNN makes of 5,000 digits when 40 % of their labels are wrong.

Every seed draws its own training and validation images and flips 40 % of both their labels, each to
one of the nine other classes. Five losses then train the same network from the same weights on the
same batches. First each loss tries four learning rates once, and takes the one that in its best
epoch agrees best with the labels of the validation images, wrong ones included, since in practice
there are no others. At that rate it trains over ten further seeds, and those runs alone are shown
the test images, whose labels are right.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.data import load_mnist
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.numerics import one_hot
from lossbook.optim import Adam
from lossbook.torch import CNN, as_torch
from lossbook.train import objective, predict, training_step
from lossbook.train.arrays import as_inputs, as_tensor

CLASSES = 10
#: The share of labels that are replaced by another class.
FLIPPED = 0.4
TRAINING, VALIDATION = 5_000, 2_000
EPOCHS, BATCH = 30, 100
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
SEEDS = range(10)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100


def forward_corrected(outputs, ids):
    """Cross-entropy of the noisy labels: the probabilities pass through the transition matrix."""
    transition = torch.full((CLASSES, CLASSES), FLIPPED / (CLASSES - 1), dtype=outputs.dtype)
    transition.fill_diagonal_(1 - FLIPPED)
    seen = torch.softmax(outputs, -1) @ transition
    return as_torch("categorical_cross_entropy")(seen, one_hot(ids, seen))


OBJECTIVES = {
    "cross-entropy": objective("softmax_cross_entropy"),
    "label smoothing": as_torch("softmax_cross_entropy", label_smoothing=0.1),
    "forward correction": forward_corrected,
    "squared error": objective("squared_error"),
    "generalised cross-entropy": as_torch("generalized_cross_entropy", q=0.7),
}


def plan(done):
    """The tuning runs; once they are done, also the final runs at each loss's best rate."""
    tuning = [_settings("tune", name, rate, TUNING_SEED) for name in OBJECTIVES for rate in RATES]
    tuned = completed(tuning, done)
    if tuned is None:
        return tuning
    best = best_rates(tuned)
    return tuning + [
        _settings("final", name, best[name], seed) for seed in SEEDS for name in OBJECTIVES
    ]


def best_rates(runs):
    """For each loss the rate whose best epoch agrees best with the validation labels."""
    scores = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            score = max(row["validation_accuracy"] for row in entry["results"]["history"])
            scores.setdefault(settings["loss"], {})[settings["lr"]] = score
    return {name: max(of_rate, key=of_rate.get) for name, of_rate in scores.items()}


def flip(labels, rng):
    """Labels of which a share of FLIPPED is replaced, each by one of the nine other classes.

    >>> labels = np.zeros(10, np.uint8)
    >>> int((flip(labels, np.random.default_rng(0)) != labels).sum())
    4
    """
    flipped = labels.copy()
    chosen = rng.permutation(len(labels))[: round(FLIPPED * len(labels))]
    step = rng.integers(1, CLASSES, len(chosen), dtype=labels.dtype)
    flipped[chosen] = (labels[chosen] + step) % CLASSES
    return flipped


def draw(seed, images, labels, training=TRAINING, validation=VALIDATION):
    """A seed's images, true labels and recorded labels, for training and for validation."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(images))[: training + validation]
    images, labels = images[chosen], labels[chosen]
    recorded = np.append(flip(labels[:training], rng), flip(labels[training:], rng))
    return [(a[:training], a[training:]) for a in (images, labels, recorded)]


def run(settings):
    """One run, measured after each epoch; a final run also on the test images."""
    data = draw(settings["seed"], *load_mnist("train", "full"))
    test = load_mnist("test", "full") if settings["stage"] == "final" else None
    return {"history": fit(settings, *data, test, epochs=EPOCHS)[1]}


def fit(settings, images, labels, recorded, test=None, *, epochs, batch_size=BATCH):
    """Train one network on the recorded labels; returns it and what was measured."""
    loss, network = OBJECTIVES[settings["loss"]], CNN(settings["seed"])
    network = network.to(memory_format=torch.channels_last)
    inputs, ids = as_inputs(images[0]), as_tensor(recorded[0])
    optimiser, history = Adam(settings["lr"]), []
    state = optimiser.init({key: w.detach() for key, w in network.named_parameters()})
    wrong = labels[0] != recorded[0]
    for epoch in range(epochs):
        order = np.random.default_rng([settings["seed"], epoch]).permutation(len(ids))
        for first in range(0, len(ids), batch_size):
            batch = torch.from_numpy(order[first : first + batch_size])
            _, _, state = training_step(network, loss, optimiser, state, inputs[batch], ids[batch])
        told = answers(network, images[0][wrong])
        row = {
            "validation_accuracy": accuracy(network, images[1], recorded[1]),
            "wrong_labels_learnt": float(np.mean(told == recorded[0][wrong])),
            "wrong_labels_corrected": float(np.mean(told == labels[0][wrong])),
        }
        if test is not None:
            row["test_accuracy"] = accuracy(network, *test)
        history.append(row)
    return network, history


def answers(network, images):
    """The class that the network gives to each image."""
    return predict(network, images, batch_size=250).argmax(-1)


def accuracy(network, images, labels):
    """The share of images to which the network gives their label."""
    return float(np.mean(answers(network, images) == labels))


def trial():
    """Each loss for two epochs of 150 digits of the sample, the last batch of each a short one."""
    images, labels = load_mnist("train", "sample")
    data = draw(TUNING_SEED, images, labels, training=150, validation=50)
    test = (images[-100:], labels[-100:])
    results = {}
    for name in OBJECTIVES:
        settings = _settings("tune", name, RATES[1], TUNING_SEED)
        network, history = fit(settings, *data, test, epochs=2, batch_size=20)
        results[name] = {"history": history, "weights": footprint(network)}
    return results


def _settings(stage, name, rate, seed):
    return {"stage": stage, "loss": name, "lr": rate, "seed": seed}
