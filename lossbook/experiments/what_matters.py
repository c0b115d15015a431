"""Chapter 19: what one change of the recipe does to the test accuracy, in points.

The recipe is cross-entropy, Adam, a one-cycle schedule, He's initial weights and images as they
are, on 10,000 images of the seed's own choice, read three times. Each variant changes one thing.
The recipe and every variant but those of the learning rate try the same four rates once, on a seed
of their own, and take the one with the best validation accuracy. Then all train over ten further
seeds, from which each draws its images, its order and, but for another initialisation, its initial
weights, so that a variant and the recipe are compared seed by seed.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from lossbook.data import load_mnist
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.experiments.worlds import ADAM_RATES, SGD_RATES, World, accuracy, follow_recipe
from lossbook.optim import Adam
from lossbook.torch import CNN
from lossbook.train import Settings, predict

RECIPE = "recipe"
#: Each variant, and the group of variants that it belongs to.
TUNED = {
    RECIPE: None,
    "no schedule": "schedule",
    "shifted images": "augmentation",
    "PyTorch's initial weights": "initialisation",
    "a tenth of He's weights": "initialisation",
    "squared error": "loss",
    "multiclass hinge": "loss",
    "SGD": "optimiser",
}
#: Variants of the rate: by what the recipe's own is multiplied.
RATES = {"a tenth of the rate": 0.1, "a third of the rate": 1 / 3, "three times the rate": 3.0}
GROUPS = TUNED | dict.fromkeys(RATES, "learning rate")
LOSSES = {"squared error": "squared_error", "multiclass hinge": "multiclass_hinge"}
SHIFT = 2
WORLD = World(training=10_000, validation=2_000, epochs=3, batch_size=128)
SEEDS = range(10)
TUNING_SEED = 100


def rates(variant):
    """The learning rates that a variant tries."""
    return SGD_RATES if variant == "SGD" else ADAM_RATES


def plan(done):
    """The tuning runs; once they are done, also the final runs at each variant's best rate."""
    tuning = [
        _settings("tune", variant, rate, TUNING_SEED)
        for variant in TUNED
        for rate in rates(variant)
    ]
    tuned = completed(tuning, done)
    if tuned is None:
        return tuning
    best = best_rates(tuned)
    best |= {variant: float(f"{best[RECIPE] * times:.4g}") for variant, times in RATES.items()}
    return tuning + [
        _settings("final", variant, best[variant], seed) for seed in SEEDS for variant in GROUPS
    ]


def best_rates(runs):
    """For each variant the rate with the best validation accuracy."""
    scores = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            score = entry["results"]["validation_accuracy"]
            scores.setdefault(settings["variant"], {})[settings["lr"]] = score
    return {variant: max(of_rate, key=of_rate.get) for variant, of_rate in scores.items()}


def run(settings):
    """One run; a final one also on the test images."""
    data = WORLD.draw(settings["seed"], *load_mnist("train", "full"))
    test = load_mnist("test", "full") if settings["stage"] == "final" else None
    return fit(settings, data, test)[1]


def fit(settings, data, test=None, world=WORLD):
    """Train a variant of the recipe; returns the network and what was measured."""
    variant, rate, seed = settings["variant"], settings["lr"], settings["seed"]
    images, labels, _ = data
    loss = LOSSES.get(variant, "softmax_cross_entropy")
    optimizer = "sgd" if variant == "SGD" else "adam"
    recipe = Settings(loss, optimizer, world.epochs, world.batch_size, rate, seed)
    changed = {
        "optimiser": Adam(rate) if variant == "no schedule" else None,
        "augment": shifted if variant == "shifted images" else None,
    }
    network = initial_network(variant, seed)
    if not follow_recipe(network, recipe, images[0], labels[0], **changed):
        return network, {"diverged": True, "validation_accuracy": 0.0}
    results = {"validation_accuracy": accuracy(predict(network, images[1]), labels[1])}
    if test is not None:
        results["accuracy"] = accuracy(predict(network, test[0]), test[1])
    return network, results


def initial_network(variant, seed):
    """The network before it is trained."""
    network = CNN(seed)
    if variant == "a tenth of He's weights":
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(0.1)
    if variant == "PyTorch's initial weights":
        generator = torch.Generator().manual_seed(seed)
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                # What their own reset_parameters draws, from a generator of our own.
                bound = layer.weight[0].numel() ** -0.5
                for weight in (layer.weight, layer.bias):
                    nn.init.uniform_(weight, -bound, bound, generator=generator)
    return network


def shifted(images, rng):
    """Images, each moved by up to SHIFT pixels along both axes; what comes in is black.

    >>> import numpy as np
    >>> one = torch.zeros(1, 1, 5, 5)
    >>> one[0, 0, 2, 2] = 1.0
    >>> moved = shifted(one.repeat(100, 1, 1, 1), np.random.default_rng(0))
    >>> moved.shape, len(moved.flatten(1).argmax(1).unique()), moved.sum().item()
    (torch.Size([100, 1, 5, 5]), 25, 100.0)
    """
    count, _, height, width = images.shape
    steps = torch.from_numpy(rng.integers(0, 2 * SHIFT + 1, (2, count, 1)))
    padded = nn.functional.pad(images, (SHIFT,) * 4)
    rows, columns = steps[0] + torch.arange(height), steps[1] + torch.arange(width)
    each = torch.arange(count)[:, None, None]
    moved = padded[each, 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1)
    return moved.contiguous(memory_format=torch.channels_last)


def trial():
    """Each variant for two epochs of 40 digits of the sample."""
    images, labels = load_mnist("train", "sample")
    small = replace(WORLD, training=40, validation=20, epochs=2, batch_size=16)
    data = small.draw(TUNING_SEED, images, labels)
    test = images[-60:], labels[-60:]
    results = {"rates": {variant: list(rates(variant)) for variant in TUNED}, "times": RATES}
    for variant in GROUPS:
        settings = _settings("final", variant, 3e-3, TUNING_SEED)
        network, found = fit(settings, data, test, small)
        results[variant] = found | {"weights": footprint(network)}
    return results


def _settings(stage, variant, rate, seed):
    return {"stage": stage, "variant": variant, "lr": rate, "seed": seed}
