"""Chapter 17: boxes around bright rectangles, found under squared error and under three others.

Three made worlds of images of 12 x 12 pixels, each with one bright rectangle on noise: large
rectangles on little noise, large ones on more noise, and small ones. A network with one hidden
layer answers the middle of the box, and through softplus its width and height. Squared, absolute
and Huber's error are those of the four edges, in sides of the image; the last loss is the
generalised IoU. Within a seed the losses share the images, the first weights and the batches, and
each is trained by Adam at the same five rates. The seed takes the rate with the best mean overlap,
intersection over union, on its validation images.

What a loss has to beat is the best constant box, one and the same answer to every image: of all
boxes whose edges lie between pixels the one with the best mean overlap on the training images.

First squared error was compared with the three other losses only. The constant box came after the
results, since the claim does not say that squared error is better than they are.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from lossbook.experiments.claims_binary import by_context, summary
from lossbook.experiments.stack import epochs, first_weights, outputs, slices, stacked, train
from lossbook.optim import Adam
from lossbook.torch import as_torch

SIDE = 12
#: For each world the shortest and the longest side of a rectangle, and the deviation of the noise.
WORLDS = {"large": (3, 7, 0.2), "large, noisy": (3, 7, 0.4), "small": (2, 4, 0.1)}
OBJECTIVES = {
    "MSE": as_torch("squared_error", reduction="sum"),
    "MAE": as_torch("absolute_error", reduction="sum"),
    "Huber": as_torch("huber", reduction="sum", delta=0.1),
    "GIoU": as_torch("giou", reduction="sum"),
}
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
HIDDEN, EPOCHS, BATCH = 64, 20, 50
TRAINING, VALIDATION, TEST = 600, 300, 1000
SEEDS = range(20)

NETWORKS = [(loss, rate) for loss in OBJECTIVES for rate in RATES]
#: The claim itself, and what its study can tell besides.
CLAIM, BESIDE = "mse-boxes", "mse-boxes, other losses"


def plan(done):
    """A run for each world and seed; the tuning is within the run."""
    return [{"world": world, "seed": seed} for seed in SEEDS for world in WORLDS]


def draw(world, count, rng):
    """Images as rows of pixels, and their boxes x1, y1, x2, y2 in sides of the image.

    >>> images, boxes = draw("small", 3, np.random.default_rng(0))
    >>> images.shape, bool(np.all(boxes[:, 2:] > boxes[:, :2]))
    ((3, 144), True)
    """
    shortest, longest, noise = WORLDS[world]
    sides = rng.integers(shortest, longest + 1, size=(count, 2))
    first = rng.integers(0, SIDE - sides + 1)
    last = first + sides
    across, down = (
        (np.arange(SIDE) >= first[:, k, None]) & (np.arange(SIDE) < last[:, k, None])
        for k in (0, 1)
    )
    images = (down[:, :, None] & across[:, None, :]) + rng.normal(0, noise, (count, SIDE, SIDE))
    return images.reshape(count, -1), np.concatenate([first, last], axis=1) / SIDE


def run(settings):
    """One seed in one world."""
    return fit(settings)[1]


def fit(settings, *, count=EPOCHS, sizes=(TRAINING, VALIDATION, TEST)):
    """Train the stack; returns its weights and what was measured."""
    seed = settings["seed"]
    rng = np.random.default_rng([seed, 0])
    dtype = torch.get_default_dtype()
    drawn = [draw(settings["world"], size, rng) for size in sizes]
    (images, wanted), validation, test = (
        [torch.tensor(each, dtype=dtype) for each in part] for part in drawn
    )
    weights = stacked(first_weights((SIDE**2, HIDDEN, 4), seed), len(NETWORKS))
    of_loss = slices([loss for loss, _ in NETWORKS])

    def loss(weights, batch):
        found = boxes(weights, images[batch])
        own = wanted[batch].expand(len(RATES), -1, -1)
        return sum(f(found[of_loss[name]], own) for name, f in OBJECTIVES.items()) / len(batch)

    rates = torch.tensor([rate for _, rate in NETWORKS])
    batches = epochs(seed, len(images), BATCH, count)
    weights = train(weights, rates, loss, batches, Adam(1.0))
    with torch.no_grad():
        validated, tested = (overlaps(boxes(weights, x), y) for x, y in (validation, test))
    results = {}
    for name, s in of_loss.items():
        best = s.start + int(validated[s].argmax())
        results[name] = {
            "rate": NETWORKS[best][1],
            "validation": float(validated[best]),
            "overlap": float(tested[best]),
        }
    box, overlap = constant_box(drawn[0][1], drawn[2][1])
    results["constant"] = {"box": box.tolist(), "overlap": overlap}
    return weights, results


def boxes(weights, images):
    """The boxes that each network finds, of shape (networks, rows, 4): x1, y1, x2, y2."""
    answers = outputs(weights, images)
    half = torch.nn.functional.softplus(answers[..., 2:]) / 2
    return torch.cat([answers[..., :2] - half, answers[..., :2] + half], dim=-1)


def overlaps(found, wanted):
    """The mean intersection over union of each network.

    >>> squares = torch.tensor([[[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 2.0, 2.0]]])
    >>> overlaps(squares, torch.tensor([[0.0, 0.0, 2.0, 2.0]])).tolist()
    [1.0, 0.5]
    """
    first = torch.maximum(found[..., :2], wanted[..., :2])
    last = torch.minimum(found[..., 2:], wanted[..., 2:])
    common = (last - first).clamp(min=0).prod(dim=-1)
    areas = ((each[..., 2:] - each[..., :2]).prod(dim=-1) for each in (found, wanted))
    return torch.nan_to_num(common / (sum(areas) - common)).mean(dim=1).numpy()


def constant_box(training, test):
    """The box with the best mean overlap on the training boxes, and its mean overlap on the others.

    >>> box, overlap = constant_box(np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0.5, 1]]))
    >>> box.tolist(), overlap
    ([0.0, 0.0, 1.0, 1.0], 0.5)
    """
    sides = list(combinations(np.arange(SIDE + 1) / SIDE, 2))
    all_boxes = torch.tensor(
        [(x1, y1, x2, y2) for x1, x2 in sides for y1, y2 in sides], dtype=torch.float64
    )
    training, test = (torch.as_tensor(each, dtype=torch.float64) for each in (training, test))
    means = [overlaps(some[:, None], training) for some in all_boxes.split(500)]
    best = all_boxes[int(np.concatenate(means).argmax())]
    return best.numpy(), float(overlaps(best[None, None], test)[0])


def differences(runs):
    """The paired differences of the claim and of the other losses, in the order of the seeds."""
    found = {CLAIM: {}, BESIDE: {}}
    for (world,), of_world in by_context(runs, "world").items():
        own = [entry["results"]["MSE"]["overlap"] for entry in of_world]
        constant = [entry["results"]["constant"]["overlap"] for entry in of_world]
        gaps = [mine - other for mine, other in zip(own, constant, strict=True)]
        found[CLAIM][world,] = gaps
        for second in ("MAE", "Huber", "GIoU"):
            other = [entry["results"][second]["overlap"] for entry in of_world]
            gaps = [mine - its for mine, its in zip(own, other, strict=True)]
            found[BESIDE][world, f"against {second}"] = gaps
    return found


def trial():
    """Every world for one epoch of few images."""
    results = {}
    for world in WORLDS:
        weights, found = fit({"world": world, "seed": 0}, count=1, sizes=(200, 100, 100))
        results[world] = {"results": found, "weights": summary(weights)}
    return results
