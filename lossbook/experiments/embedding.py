"""Chapter 11: a network that maps digits to points, under embedding losses, and what it retrieves.

Every seed draws seven classes that the networks may train on; the other three stay new to them. One
small network maps a digit of 14 x 14 pixels to a point on the unit sphere of 16 dimensions. Ways of
training it that have labels see the same batches in the same order. Two further series have no
labels, and tell which of two shifted copies belong together: one varies the size of the batch, the
other the temperature. First each way tries four learning rates once, and takes the one with the
best mean average precision on validation digits of the seven classes. At that rate it trains over
ten further seeds, and those runs alone are shown the test digits, of the seven classes and of the
three.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from lossbook.data import load_mnist
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.metrics import mean_average_precision, recall_at_k
from lossbook.optim import Adam
from lossbook.torch import as_torch

#: Classes to train on, and images of each for training; the rest of them validates.
KNOWN, PER_CLASS = 7, 300
#: Images of each known class in a batch with labels, and the number of batches.
TOGETHER, STEPS = 10, 300
#: Images that a run without labels sees, each as two shifted copies.
UNLABELLED = 12_800
#: Pixels by which a copy may be shifted, in each direction.
SHIFT = 3
DIMENSIONS, HIDDEN = 16, 64
#: Pixels of an image once each square of four is averaged.
PIXELS = 14 * 14
MARGIN, TEMPERATURE, COSINE_MARGIN = 0.2, 0.1, 0.2
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
SEEDS = range(10)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100

MINED = {"triplet, random": "random", "triplet, hardest": "hardest", "triplet, semi-hard": "semi"}
CLASSIFIERS = {"softmax of cosines": 0.0, "CosFace": COSINE_MARGIN}
LABELLED = ("contrastive", *MINED, "InfoNCE", *CLASSIFIERS)
#: Without labels: batch and temperature.
BATCHES = {f"batch of {size}": (size, TEMPERATURE) for size in (8, 32, 128)}
TEMPERATURES = {f"temperature {tau}": (32, tau) for tau in (0.02, 0.5, 2.5)}
UNLABELLED_WAYS = BATCHES | TEMPERATURES
WAYS = (*LABELLED, *UNLABELLED_WAYS)


class Embedder(nn.Module):
    """One hidden layer, and points on the unit sphere; the weights are drawn by NumPy.

    >>> Embedder(0)(torch.ones(2, PIXELS)).norm(dim=1).round(decimals=4)
    tensor([1., 1.], grad_fn=<RoundBackward1>)
    """

    def __init__(self, seed, dimensions=DIMENSIONS, *, on_sphere=True):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, dimensions)
        )
        self.on_sphere = on_sphere
        rng = np.random.default_rng(seed)
        with torch.no_grad():
            for weight in self.parameters():
                if weight.ndim == 1:
                    weight.zero_()
                else:
                    draw = rng.normal(0.0, math.sqrt(2 / weight.shape[1]), tuple(weight.shape))
                    weight.copy_(torch.from_numpy(draw))

    def forward(self, pixels):
        points = self.layers(pixels)
        return nn.functional.normalize(points, dim=1) if self.on_sphere else points


class Directions(nn.Module):
    """For each known class a direction that is learnt, as softmax over cosines needs it."""

    def __init__(self, seed):
        super().__init__()
        draw = np.random.default_rng([seed, 2]).normal(size=(KNOWN, DIMENSIONS))
        self.weight = nn.Parameter(torch.from_numpy(draw).to(torch.get_default_dtype()))

    def forward(self, points):
        return points @ nn.functional.normalize(self.weight, dim=1).T


def plan(done):
    """The tuning runs; once they are done, also the final runs at each way's best rate."""
    tuning = [_settings("tune", name, rate, TUNING_SEED) for name in WAYS for rate in RATES]
    tuned = completed(tuning, done)
    if tuned is None:
        return tuning
    best = best_rates(tuned)
    return tuning + [_settings("final", name, best[name], seed) for seed in SEEDS for name in WAYS]


def best_rates(runs):
    """For each way the rate with the best mean average precision on validation digits."""
    scores = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            score = entry["results"]["validation"]["map"]
            scores.setdefault(settings["way"], {})[settings["lr"]] = score
    return {name: max(of_rate, key=of_rate.get) for name, of_rate in scores.items()}


def split(seed, labels, per_class=PER_CLASS):
    """A seed's known classes, and the positions of its training and of its validation digits."""
    rng = np.random.default_rng(seed)
    known = np.sort(rng.permutation(10)[:KNOWN])
    places = [rng.permutation(np.flatnonzero(labels == each)) for each in known]
    train = np.stack([each[:per_class] for each in places])
    return known, train, np.concatenate([each[per_class:] for each in places])


def as_pixels(images):
    """Images as rows of 196 numbers from 0 to 1, each the mean of four pixels.

    >>> as_pixels(np.full((2, 28, 28), 255, np.uint8)).shape
    torch.Size([2, 196])
    """
    squares = images.reshape(len(images), 14, 2, 14, 2).sum(axis=(2, 4), dtype=np.int64)
    return torch.from_numpy(squares.reshape(len(images), PIXELS)) / (4 * 255)


def triplets(points, ids, how, rng):
    """For each point as anchor, the positions of a positive and of a negative.

    "random": both are drawn. "hardest": the farthest positive and the nearest negative. "semi": a
    positive is drawn, and of the negatives that are farther than it the nearest is taken, or the
    farthest where none is.

    >>> points, ids = np.array([[0.0], [1.0], [0.5], [3.0]]), np.array([0, 0, 1, 1])
    >>> triplets(points, ids, "hardest", np.random.default_rng(0))[1]
    array([2, 2, 0, 1])
    >>> triplets(points, ids, "semi", np.random.default_rng(0))[1]
    array([3, 3, 0, 0])
    """
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    alike = ids[:, None] == ids[None]
    others = alike & ~np.eye(len(ids), dtype=bool)
    if how == "hardest":
        positive = np.where(others, squares, -1).argmax(axis=1)
        return positive, np.where(alike, np.inf, squares).argmin(axis=1)
    positive = np.where(others, rng.uniform(size=alike.shape), -1).argmax(axis=1)
    if how == "random":
        return positive, np.where(alike, -1, rng.uniform(size=alike.shape)).argmax(axis=1)
    at_positive = squares[np.arange(len(ids)), positive][:, None]
    beyond = np.where(~alike & (squares > at_positive), squares, np.inf)
    farthest = np.where(alike, -1, squares).argmax(axis=1)
    return positive, np.where(np.isinf(beyond.min(axis=1)), farthest, beyond.argmin(axis=1))


def labelled_loss(name, head, rng):
    """A function of points and their ids, the loss of the way of training called `name`."""
    if name == "InfoNCE":
        criterion = as_torch("info_nce", temperature=TEMPERATURE)

        def info_nce(points, ids):
            # Batches come class by class: of each, the first five are queries, the rest their keys.
            pairs = points.reshape(KNOWN, 2, TOGETHER // 2, -1).permute(1, 2, 0, 3)
            return criterion(pairs[0].contiguous(), pairs[1].contiguous())

        return info_nce
    if name in CLASSIFIERS:
        margin = CLASSIFIERS[name]

        def of_cosines(points, ids):
            own = nn.functional.one_hot(ids, KNOWN).to(points.dtype)
            logits = (head(points) - margin * own) / TEMPERATURE
            return as_torch("softmax_cross_entropy")(logits, ids)

        return of_cosines
    if name == "contrastive":
        criterion = as_torch("contrastive", margin=1.0)

        def contrastive(points, ids):
            where = points.detach().numpy()
            positive, negative = triplets(where, ids.numpy(), "random", rng)
            second = points[np.append(positive, negative)]
            same = torch.arange(2 * len(ids)) < len(ids)
            return criterion(points.repeat(2, 1), second, same.to(points.dtype))

        return contrastive
    criterion = as_torch("triplet", margin=MARGIN)

    def triplet(points, ids):
        where = points.detach().numpy()
        positive, negative = triplets(where, ids.numpy(), MINED[name], rng)
        return criterion(points, points[positive], points[negative])

    return triplet


def shifted(images, rng):
    """Each image moved by up to SHIFT pixels in both directions, with background moving in.

    >>> dot = np.zeros((1, 28, 28), np.uint8)
    >>> dot[0, 14, 14] = 255
    >>> int(shifted(dot, np.random.default_rng(0)).sum())
    255
    """
    padded = np.pad(images, [(0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)])
    down, right = rng.integers(0, 2 * SHIFT + 1, (2, len(images), 1))
    rows, columns = down + np.arange(28), right + np.arange(28)
    return padded[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def run(settings):
    """One run, measured on validation digits; a final run also on test digits."""
    test = load_mnist("test", "sample") if settings["stage"] == "final" else None
    return fit(settings, *load_mnist("train", "sample"), test)[1]


def fit(
    settings, images, labels, test=None, *, steps=STEPS, unlabelled=UNLABELLED, per_class=PER_CLASS
):
    """Train one network; returns it and what it retrieves."""
    name, seed = settings["way"], settings["seed"]
    known, train, validation = split(seed, labels, per_class)
    network = Embedder(seed)
    head = Directions(seed) if name in CLASSIFIERS else None
    weights = dict(network.named_parameters())
    if head is not None:
        weights["head"] = head.weight
    optimiser = Adam(settings["lr"])
    state = optimiser.init({key: w.detach() for key, w in weights.items()})
    if name in UNLABELLED_WAYS:
        losses = unlabelled_losses(name, network, images[train.ravel()], seed, unlabelled)
    else:
        losses = labelled_losses(name, network, head, images[train], seed, steps)
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(weights.values()))
        with torch.no_grad():
            named = dict(zip(weights, gradients, strict=True))
            updated, state = optimiser.update(weights, named, state)
            for key, weight in weights.items():
                weight.copy_(updated[key])
    results = {"validation": retrieval(network, images[validation], labels[validation])}
    if test is not None:
        old = np.isin(test[1], known)
        for group, chosen in (("known", old), ("new", ~old)):
            results[group] = retrieval(network, test[0][chosen], test[1][chosen])
    return network, results


def labelled_losses(name, network, head, images, seed, steps):
    """The loss of each batch: the network is moved between one and the next.

    `images` has shape (KNOWN, count, 28, 28). The batches depend on the seed alone.
    """
    batches, mining = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    loss = labelled_loss(name, head, mining)
    ids = torch.arange(KNOWN).repeat_interleave(TOGETHER)
    for _ in range(steps):
        drawn = [batches.choice(len(each), TOGETHER, replace=False) for each in images]
        batch = np.concatenate([each[at] for each, at in zip(images, drawn, strict=True)])
        yield loss(network(as_pixels(batch)), ids)


def unlabelled_losses(name, network, images, seed, count):
    """The loss of each batch of `count` images in all: which shifted copies belong together?"""
    size, temperature = UNLABELLED_WAYS[name]
    criterion = as_torch("info_nce", temperature=temperature)
    rng = np.random.default_rng([seed, 0])
    for _ in range(count // size):
        batch = images[rng.choice(len(images), size, replace=False)]
        copies = np.concatenate([shifted(batch, rng), shifted(batch, rng)])
        points = network(as_pixels(copies))
        yield criterion(points[:size].contiguous(), points[size:].contiguous())


def retrieval(network, images, ids):
    """Recall at 1 and mean average precision where every image looks for its like among others."""
    with torch.no_grad():
        points = network(as_pixels(images)).numpy()
    return scores(points, ids)


def scores(points, ids):
    """Recall at 1 and mean average precision, by the distance to all other points.

    >>> scores(np.array([[0.0], [1.0], [3.0], [3.5]]), np.array([0, 0, 1, 1]))
    {'recall': 1.0, 'map': 1.0}
    """
    products = points @ points.T
    squares = np.diag(products)
    nearness = without_diagonal(2 * products - squares[:, None] - squares[None])
    relevant = without_diagonal(ids[:, None] == ids[None])
    return {
        "recall": recall_at_k(nearness, relevant, k=1),
        "map": mean_average_precision(nearness, relevant),
    }


def without_diagonal(square):
    """The rows of a square matrix, each without its own entry.

    >>> without_diagonal(np.arange(9).reshape(3, 3)).tolist()
    [[1, 2], [3, 5], [6, 7]]
    """
    return square[~np.eye(len(square), dtype=bool)].reshape(len(square), -1)


def pixels_retrieve(seed):
    """What the raw pixels retrieve among a seed's test digits, without any network."""
    images, labels = load_mnist("test", "sample")
    known, *_ = split(seed, load_mnist("train", "sample")[1])
    old = np.isin(labels, known)
    rows = as_pixels(images).numpy()
    return {
        group: scores(rows[chosen], labels[chosen])
        for group, chosen in (("known", old), ("new", ~old))
    }


def trial():
    """Each way for a few steps at one rate, in the order of the plan, and a few test digits."""
    images, labels = (each[:600] for each in load_mnist("train", "sample"))
    test = tuple(each[:100] for each in load_mnist("test", "sample"))
    results = {}
    for name in WAYS:
        settings = _settings("tune", name, RATES[1], TUNING_SEED)
        network, found = fit(settings, images, labels, test, steps=3, unlabelled=384, per_class=45)
        results[name] = {**found, "weights": footprint(network)}
    return results


def _settings(stage, name, rate, seed):
    return {"stage": stage, "way": name, "lr": rate, "seed": seed}
