"""Chapter 14: one network, two tasks, and four ways to weigh their losses.

A network with one hidden layer is to say which digit an image shows, and by how many degrees the
digit leans. The first task is trained with softmax cross-entropy, the second with squared error in
degrees, which at the start is about a hundred times as large. The arms differ in how the two are
added up; two more arms train one task only. Every arm tries nine settings once on validation
images, and takes the one with the least sum of both tasks' unexplained shares (of one task's, where
there is only one). With that setting it trains over fifteen further seeds, and those runs alone are
shown the test images. Within a seed all arms share training images, initial weights and batches.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from lossbook.data import load_mnist
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.optim import Adam
from lossbook.torch import as_torch

CLASSES, HIDDEN = 10, 64
TRAINING, EPOCHS, BATCH = 3_000, 12, 100
#: Nine rates for an arm that has nothing else to choose, three for one that has.
RATES = (3e-4, 6e-4, 1e-3, 2e-3, 3e-3, 6e-3, 1e-2, 2e-2, 3e-2)
FEW_RATES = RATES[2::2][:3]
#: Of each arm what else it chooses: the weight of the squared error, the log-variance that the
#: squared error starts with, or the share of the gradient that the squared error gets.
ARMS = {
    "digit only": (None,),
    "slant only": (None,),
    "plain sum": (None,),
    "fixed weight": (0.1, 0.01, 0.001),
    "uncertainty": (0.0, 2.5, 5.0),
    "gradient size": (0.2, 0.5, 0.8),
}
SEEDS = range(15)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100


def slant(images):
    """By how many degrees each digit leans to the right: the direction of its second moments.

    >>> leaning = np.zeros((1, 28, 28), np.uint8)
    >>> leaning[0, np.arange(10, 18), np.arange(17, 9, -1)] = 255
    >>> slant(leaning).round(6)
    array([45.])
    """
    ink = np.asarray(images, dtype=np.float64)
    rows, columns = np.mgrid[: ink.shape[1], : ink.shape[2]]
    mass = ink.sum(axis=(1, 2))
    down = rows - (ink * rows).sum(axis=(1, 2))[:, None, None] / mass[:, None, None]
    right = columns - (ink * columns).sum(axis=(1, 2))[:, None, None] / mass[:, None, None]
    tall, mixed = ((ink * down * other).sum(axis=(1, 2)) for other in (down, right))
    return np.degrees(np.arctan(-mixed / tall))


def plan(done):
    """The tuning runs; once they are done, also the final runs at each arm's best setting."""
    tuning = [
        _settings("tune", arm, rate, choice, TUNING_SEED)
        for arm, choices in ARMS.items()
        for rate in (RATES if len(choices) == 1 else FEW_RATES)
        for choice in choices
    ]
    tuned = completed(tuning, done)
    if tuned is None:
        return tuning
    best = best_settings(tuned)
    return tuning + [_settings("final", arm, *best[arm], seed) for seed in SEEDS for arm in ARMS]


def best_settings(runs):
    """For each arm the rate and the choice with the least unexplained share on validation data."""
    scores = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            shares = entry["results"]["validation"]
            parts = {"digit only": ["digit_share"], "slant only": ["slant_share"]}
            of_arm = parts.get(settings["arm"], ["digit_share", "slant_share"])
            score = sum(shares[name] for name in of_arm)
            place = (settings["lr"], settings["choice"])
            scores.setdefault(settings["arm"], {})[place] = score if score == score else math.inf
    return {arm: min(of_place, key=of_place.get) for arm, of_place in scores.items()}


def first_weights(seed):
    """The network's weights at the start, and the two log-variances, which are 0."""
    rng = np.random.default_rng(seed)
    shapes = {"hidden": (784, HIDDEN), "digit": (HIDDEN, CLASSES), "slant": (HIDDEN, 1)}
    weights = {}
    for name, shape in shapes.items():
        draw = rng.normal(0.0, math.sqrt(2 / shape[0]), shape)
        weights[name] = torch.tensor(draw, dtype=torch.get_default_dtype())
        weights[f"{name} bias"] = torch.zeros(shape[1])
    return weights | {"log-variances": torch.zeros(2)}


def outputs(weights, inputs):
    """The shared features, the ten logits, and the slant in degrees."""
    features = torch.relu(inputs @ weights["hidden"] + weights["hidden bias"])
    logits = features @ weights["digit"] + weights["digit bias"]
    return features, logits, (features @ weights["slant"] + weights["slant bias"])[:, 0]


CROSS_ENTROPY, SQUARED_ERROR = as_torch("softmax_cross_entropy"), as_torch("squared_error")


def combined(arm, choice, weights, features, digit_loss, slant_loss):
    """What an arm minimises, and by what it multiplies the gradients of the two losses."""
    if arm == "uncertainty":
        s = weights["log-variances"]
        losses = torch.stack([digit_loss, slant_loss])
        shares = torch.exp(-s) / 2
        return (shares * losses + s / 2).sum(), shares.tolist()
    if arm == "gradient size":
        sizes = [
            torch.autograd.grad(loss, features, retain_graph=True)[0].norm()
            for loss in (digit_loss, slant_loss)
        ]
        factors = [(1 - choice) / sizes[0], choice / sizes[1]]
    else:
        factors = {
            "digit only": [1.0, 0.0],
            "slant only": [0.0, 1.0],
            "plain sum": [1.0, 1.0],
            "fixed weight": [1.0, choice],
        }[arm]
    return factors[0] * digit_loss + factors[1] * slant_loss, list(map(float, factors))


def draw(seed, images, labels, training=TRAINING):
    """A seed's digits for training, and all others for validation."""
    order = np.random.default_rng(seed).permutation(len(images))
    return [(images[part], labels[part]) for part in (order[:training], order[training:])]


def fit(settings, images, labels, *, epochs=EPOCHS, batch_size=BATCH):
    """Train one network; returns its weights and, for each epoch, losses and factors."""
    inputs, ids = _inputs(images), torch.from_numpy(labels.astype(np.int64))
    degrees = torch.tensor(slant(images), dtype=inputs.dtype)
    weights = first_weights(settings["seed"])
    if settings["arm"] == "uncertainty":
        weights["log-variances"][1] = settings["choice"]
    optimiser, history = Adam(settings["lr"]), []
    state = optimiser.init(weights)
    for epoch in range(epochs):
        order = np.random.default_rng([settings["seed"], epoch]).permutation(len(ids))
        rows = []
        for first in range(0, len(ids), batch_size):
            batch = torch.from_numpy(order[first : first + batch_size])
            for weight in weights.values():
                weight.requires_grad_()
            features, logits, lean = outputs(weights, inputs[batch])
            losses = CROSS_ENTROPY(logits, ids[batch]), SQUARED_ERROR(lean, degrees[batch])
            total, factors = combined(
                settings["arm"], settings["choice"], weights, features, *losses
            )
            grads = torch.autograd.grad(
                total, list(weights.values()), allow_unused=True, materialize_grads=True
            )
            with torch.no_grad():
                weights = {name: weight.detach() for name, weight in weights.items()}
                by_name = dict(zip(weights, grads, strict=True))
                weights, state = optimiser.update(weights, by_name, state)
            rows.append([*(float(loss.detach()) for loss in losses), *factors])
        means = np.mean(rows, axis=0).tolist()
        names = ("digit_loss", "slant_loss", "digit_factor", "slant_factor")
        history.append(dict(zip(names, means, strict=True)))
    return weights, history


def measure(weights, images, labels):
    """Errors in the units of each task, and the share of each loss that is left unexplained."""
    _, logits, lean = outputs(weights, _inputs(images))
    degrees = slant(images)
    missed = (lean.numpy() - degrees) ** 2
    ids = torch.from_numpy(labels.astype(np.int64))
    return {
        "digit_errors": float(np.mean(logits.argmax(-1).numpy() != labels)),
        "slant_rmse": float(np.sqrt(missed.mean())),
        "digit_share": float(CROSS_ENTROPY(logits, ids)) / math.log(CLASSES),
        "slant_share": float(missed.mean() / degrees.var()),
    }


def run(settings):
    """One run, measured on validation images; a final run also on the test images."""
    training, validation = draw(settings["seed"], *load_mnist("train", "sample"))
    weights, history = fit(settings, *training)
    results = {"validation": measure(weights, *validation), "last": history[-1]}
    if settings["stage"] == "final":
        results["test"] = measure(weights, *load_mnist("test", "sample"))
    return results


def trial():
    """Each arm for two epochs of 150 digits, the last batch of each a short one."""
    training, validation = draw(TUNING_SEED, *load_mnist("train", "sample"), training=150)
    results = {}
    for arm, choices in ARMS.items():
        settings = _settings("tune", arm, RATES[2], choices[-1], TUNING_SEED)
        weights, history = fit(settings, *training, epochs=2, batch_size=40)
        measured = measure(weights, *(a[:100] for a in validation))
        network = torch.nn.ParameterDict({k.replace(" ", "_"): w for k, w in weights.items()})
        results[arm] = {"history": history, "validation": measured, "weights": footprint(network)}
    return results


def _inputs(images):
    scaled = images.reshape(len(images), -1) / 255.0
    return torch.tensor(scaled, dtype=torch.get_default_dtype())


def _settings(stage, arm, rate, choice, seed):
    return {"stage": stage, "arm": arm, "lr": rate, "choice": choice, "seed": seed}
