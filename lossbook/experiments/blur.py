"""Chapter 13: what an autoencoder draws where its code does not tell it enough.

The sample of 5,000 digits is split into 3,000 for training, 1,000 for validation and 1,000 for
testing, the same for every run. An autoencoder squeezes each image through a code of 2 or of 8
numbers and draws it again. It is trained with the squared error or with the absolute error of the
pixels. First each loss tries four learning rates once for each length of code, and takes the one
with the smallest value of its own on the validation images. At that rate it trains over ten further
seeds, the same for both losses, and those runs alone are shown the test images. They also report
both errors on the images they were trained on, which tells a poor fit from a poor generalisation.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from lossbook.data import load_mnist
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.optim import Adam
from lossbook.torch import as_torch
from lossbook.train import training_step

LOSSES = ("squared_error", "absolute_error")
CODES = (2, 8)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TRAINING, EPOCHS, BATCH = 3_000, 20, 100
SEEDS = range(10)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100
#: A pixel between these is neither paper nor ink.
GREY = (0.2, 0.8)


class Autoencoder(nn.Module):
    """From 784 pixels to a code and back, each way with one hidden layer of 128 numbers."""

    def __init__(self, code, seed):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, code))
            self.decoder = nn.Sequential(nn.Linear(code, 128), nn.ReLU(), nn.Linear(128, 784))

    def forward(self, pixels):
        """The images drawn again, each pixel between 0 and 1."""
        return torch.sigmoid(self.decoder(self.encoder(pixels)))


def plan(done):
    """The tuning runs; once they are done, also the final runs at each loss's best rates."""
    cells = [(loss, code) for code in CODES for loss in LOSSES]
    tuning = [_settings("tune", *cell, rate, TUNING_SEED) for cell in cells for rate in RATES]
    tuned = completed(tuning, done)
    if tuned is None:
        return tuning
    best = best_rates(tuned)
    return tuning + [
        _settings("final", *cell, best[cell], seed) for seed in SEEDS for cell in cells
    ]


def best_rates(runs):
    """For each loss and length of code, the rate with the smallest value of that loss itself."""
    values = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            cell = values.setdefault((settings["loss"], settings["code"]), {})
            cell[settings["lr"]] = entry["results"]["validation"]
    return {cell: min(of_rate, key=of_rate.get) for cell, of_rate in values.items()}


def pixels(split):
    """The images of a split of the sample, as rows of 784 numbers between 0 and 1."""
    images, _ = load_mnist(split, "sample")
    rows = images.reshape(len(images), -1) / 255
    return torch.from_numpy(rows).to(torch.get_default_dtype())


def run(settings):
    """One run, measured on validation images; a final run also on the test images."""
    images = pixels("train")
    network = fit(settings, images[:TRAINING], epochs=EPOCHS)
    results = {"validation": value(settings["loss"], network, images[TRAINING:])}
    if settings["stage"] == "final":
        test = pixels("test")
        results |= measures(redrawn(network, test), test)
        seen = images[:TRAINING]
        results |= {f"training_{loss}": value(loss, network, seen) for loss in LOSSES}
    return results


def fit(settings, images, *, epochs, batch_size=BATCH):
    """An autoencoder trained on images; the seed settles its first weights and the batches."""
    network = Autoencoder(settings["code"], settings["seed"])
    criterion, optimiser = as_torch(settings["loss"]), Adam(settings["lr"])
    state = optimiser.init({key: w.detach() for key, w in network.named_parameters()})
    for epoch in range(epochs):
        order = np.random.default_rng([settings["seed"], epoch]).permutation(len(images))
        for first in range(0, len(images), batch_size):
            batch = images[torch.from_numpy(order[first : first + batch_size])]
            _, _, state = training_step(network, criterion, optimiser, state, batch, batch)
    return network


def redrawn(network, images):
    """What the network makes of images."""
    with torch.no_grad():
        return network(images)


def value(loss, network, images):
    """The mean of a loss over all pixels."""
    return as_torch(loss)(redrawn(network, images), images).item()


def measures(drawn, images):
    """Both errors, and of what was drawn the share of grey pixels, the ink and the edges.

    The ink is the sum of an image's pixels and the edges are the sum of the differences between
    neighbours in rows and in columns, each divided by that of the true images.

    >>> black = torch.zeros(1, 784)
    >>> black[0, 300] = 1.0
    >>> measures(black / 2, black)["grey"] == 1 / 784
    True
    >>> measures(black / 2, black)["edges"]
    0.5
    """
    low, high = GREY
    return {
        "squared_error": (drawn - images).square().mean().item(),
        "absolute_error": (drawn - images).abs().mean().item(),
        "grey": ((drawn > low) & (drawn < high)).double().mean().item(),
        "ink": (drawn.sum() / images.sum()).item(),
        "edges": (_edges(drawn) / _edges(images)).item(),
    }


def _edges(images):
    square = images.reshape(-1, 28, 28)
    return square.diff(dim=1).abs().sum() + square.diff(dim=2).abs().sum()


def trial():
    """Each loss and code for two epochs of 150 digits, the last batch of each a short one."""
    images, test = pixels("train")[:200], pixels("test")[:50]
    results = {}
    for code in CODES:
        for loss in LOSSES:
            settings = _settings("tune", loss, code, RATES[1], TUNING_SEED)
            network = fit(settings, images[:150], epochs=2, batch_size=40)
            results[f"{loss} {code}"] = {
                "validation": value(loss, network, images[150:]),
                "test": measures(redrawn(network, test), test),
                "weights": footprint(network),
            }
    return results


def _settings(stage, loss, code, rate, seed):
    return {"stage": stage, "loss": loss, "code": code, "lr": rate, "seed": seed}
