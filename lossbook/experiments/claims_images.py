"""Chapter 17: images of two digits side by side, told apart by cross-entropy and by triplets.

Three data sets of 25 or 36 classes, the pairs of five or six digits. A seed first splits the images
of single digits, so that no digit of a test image was seen in training, and then draws the pairs.
Two networks with one hidden layer of equal size are trained by Adam on the same balanced batches:
one answers a logit for each class and minimises cross-entropy; the other answers a point on the
unit sphere and minimises the triplet loss with semi-hard negatives. The points are read out in two
ways: by the ten nearest training images, and by a linear probe, fitted to the points of the
training images by least squares. Each is trained at the same five rates, and the seed takes for
each way of reading the rate with the best accuracy on its validation images.

Top 5 cannot be read well from ten neighbours: nearly all images have neighbours of fewer than five
classes, and the places that are left go by the order of the classes. These contexts were planned,
and stay.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.experiments.claims_binary import by_context, summary
from lossbook.experiments.claims_data import COMPOSITES, composites
from lossbook.experiments.stack import first_weights, multiclass_loss, outputs, stacked, train
from lossbook.metrics import top_k_accuracy
from lossbook.optim import Adam
from lossbook.torch import as_torch

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
HIDDEN, DIMENSIONS = 64, 16
MARGIN, NEIGHBOURS, WARMTH, RIDGE = 0.2, 10, 0.1, 1e-3
TRAINING, VALIDATION, TEST = 1500, 500, 1000
STEPS, OF_EACH = 250, 4
SEEDS = range(20)

triplet = as_torch("triplet", margin=MARGIN, reduction="sum")


def plan(done):
    """A run for each data set and seed; the tuning is within the run."""
    return [{"data": data, "seed": seed} for seed in SEEDS for data in COMPOSITES]


def run(settings):
    """One seed on one data set."""
    return fit(settings)[1]


def draw(data, seed, counts=(TRAINING, VALIDATION, TEST)):
    """Training, validation and test images and their classes; no digit is in two of the parts."""
    source, digits = COMPOSITES[data]
    images, labels = source()
    rng = np.random.default_rng([seed, 0])
    order = rng.permutation(len(labels))
    ends = [3 * len(order) // 5, 4 * len(order) // 5]
    return [
        composites((images[part], labels[part]), list(digits), count, rng)
        for part, count in zip(np.split(order, ends), counts, strict=True)
    ]


def batches(seed, ids, steps):
    """Positions of OF_EACH images of each class, class by class; the same for both losses."""
    rng = np.random.default_rng([seed, 1])
    places = [np.flatnonzero(ids == each) for each in np.unique(ids)]
    for _ in range(steps):
        yield np.concatenate([rng.choice(own, OF_EACH) for own in places])


def fit(settings, *, steps=STEPS, counts=(TRAINING, VALIDATION, TEST)):
    """Train both stacks; returns summaries of their weights and what was measured."""
    seed = settings["seed"]
    parts = draw(settings["data"], seed, counts)
    dtype = torch.get_default_dtype()
    inputs = [torch.tensor(images, dtype=dtype) for images, _ in parts]
    ids = [classes for _, classes in parts]
    known, classes = torch.from_numpy(ids[0]), int(ids[0].max()) + 1
    rates = torch.tensor(RATES)

    def cross_entropy(weights, batch):
        return multiclass_loss("CE", outputs(weights, inputs[0][batch]), known[batch])

    def of_triplets(weights, batch):
        at = points(weights, inputs[0][batch])
        return triplet_loss(at, known[batch])

    found = {}
    for name, outs, loss in (
        ("CE", classes, cross_entropy),
        ("triplet", DIMENSIONS, of_triplets),
    ):
        weights = stacked(first_weights((inputs[0].shape[1], HIDDEN, outs), seed), len(RATES))
        found[name] = train(weights, rates, loss, batches(seed, ids[0], steps), Adam(1.0))
    with torch.no_grad():
        logits = [np.nan_to_num(outputs(found["CE"], each).numpy()) for each in inputs[1:]]
        at = [np.nan_to_num(points(found["triplet"], each).numpy()) for each in inputs]
    scores = {"CE": list(zip(*logits, strict=True))}
    for name, read in (("triplet, neighbours", by_neighbours), ("triplet, probe", by_probe)):
        scores[name] = [
            [read(of_rate[0], ids[0], each, classes) for each in of_rate[1:]]
            for of_rate in zip(*at, strict=True)
        ]
    results = {}
    for name, of_rates in scores.items():
        validated = [top_k_accuracy(validation, ids[1], k=1) for validation, _ in of_rates]
        best = int(np.argmax(validated))
        results[name] = {
            "rate": RATES[best],
            "validation": validated[best],
            **{f"top-{k}": top_k_accuracy(of_rates[best][1], ids[2], k=k) for k in (1, 5)},
        }
    return {name: summary(weights) for name, weights in found.items()}, results


def points(weights, inputs):
    """The points on the unit sphere, an array of shape (networks, rows, DIMENSIONS)."""
    return torch.nn.functional.normalize(outputs(weights, inputs), dim=2)


def triplet_loss(points, ids):
    """The mean triplet loss of each network on a batch, added up.

    The positive of an image is the next one of its class in the batch, and its negative the nearest
    point of another class that is farther than the positive, or the farthest one if none is.
    """
    networks, rows, dimensions = points.shape
    positive = (torch.arange(rows) // OF_EACH) * OF_EACH + (torch.arange(rows) + 1) % OF_EACH
    with torch.no_grad():
        squares = 2 - 2 * points @ points.transpose(1, 2)
        alike = ids[:, None] == ids[None]
        at_positive = squares[:, torch.arange(rows), positive][..., None]
        beyond = squares.masked_fill(alike | (squares <= at_positive), torch.inf)
        farthest = squares.masked_fill(alike, -1).argmax(dim=2)
        none = torch.isinf(beyond.min(dim=2).values)
        negative = torch.where(none, farthest, beyond.argmin(dim=2))
    chosen = points.gather(1, negative[..., None].expand(-1, -1, dimensions))
    arrays = points, points[:, positive], chosen
    return triplet(*(each.reshape(networks * rows, dimensions) for each in arrays)) / rows


def by_neighbours(known, ids, asked, classes):
    """Scores of the classes: each of the nearest known points votes for its class, by nearness.

    >>> known, ids = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])
    >>> by_neighbours(known, ids, np.array([[0.6, 0.8]]), 2).argmax()
    np.int64(1)
    """
    cosines = asked @ known.T
    count = min(NEIGHBOURS, len(known))
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    votes = np.exp(np.take_along_axis(cosines, nearest, axis=1) / WARMTH)
    scores = np.zeros((len(asked), classes))
    np.add.at(scores, (np.arange(len(asked))[:, None], ids[nearest]), votes)
    return scores


def by_probe(known, ids, asked, classes):
    """Scores of the classes: least squares from the points, and a constant, to one-hot rows."""
    known, asked = (np.column_stack([each, np.ones(len(each))]) for each in (known, asked))
    ridge = RIDGE * len(known) * np.eye(known.shape[1])
    return asked @ np.linalg.solve(known.T @ known + ridge, known.T @ np.eye(classes)[ids])


def differences(runs):
    """The paired differences of each claim, by context, in the order of the seeds."""
    found = {}
    for (data,), of_data in by_context(runs, "data").items():
        results = [entry["results"] for entry in of_data]
        for second in ("triplet, neighbours", "triplet, probe"):
            for metric in ("top-1", "top-5"):
                gaps = [r["CE"][metric] - r[second][metric] for r in results]
                found.setdefault("T5", {})[data, f"against {second}", metric] = gaps
    return found


def trial():
    """Two data sets for a few steps."""
    return {
        data: list(fit({"data": data, "seed": 0}, steps=4, counts=(150, 60, 60)))
        for data in ("MNIST, 0 to 4", "digits, 0 to 5")
    }
