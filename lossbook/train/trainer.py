"""The trainer: epochs of steps, what is measured after each, and the way to go on after a stop."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from lossbook.torch import CNN
from lossbook.train.arrays import as_digits, as_inputs, as_tensor, as_weights
from lossbook.train.evaluation import evaluate
from lossbook.train.step import objective, training_step
from lossbook.train.store import Store
from lossbook.train.team import ALONE

#: In how many stretches of an epoch the training loss is averaged for the learning curve.
CURVE_POINTS = 20


@dataclass
class Run:
    """A trained network, what was measured after each epoch, and the seconds spent in training."""

    network: CNN
    history: list[dict]
    train_seconds: float


def train(
    images,
    labels,
    settings,
    *,
    weights=None,
    validation=None,
    out=None,
    resume=False,
    progress=True,
    team=ALONE,
):
    """Train a CNN on images and labels as :func:`lossbook.data.load_mnist` gives them.

    Parameters
    ----------
    images : uint8 array of shape (N, 28, 28), N at least 1
    labels : integer array of shape (N,), each from 0 to 9
    settings : Settings
    weights : array of shape (N,) or None; how much each example counts, at least 0. A weight of 0
        leaves the example out, and a batch in which all are left out makes no step.
    validation : (images, labels) or None; where given, measured after each epoch
    out : folder or None; where given, ``metrics.jsonl`` and ``checkpoint.safetensors`` are written
        to it after each epoch, each whole or not at all, and the checkpoint before is kept
    resume : whether to go on from the newest checkpoint in `out` that is sound, if there is any;
        where that is the one before, a line on standard error says why
    progress : whether to show a progress bar
    team : Team, the processes that train together: each is given all the arguments, computes its
        share of each batch, and returns the same run; the leading one alone writes to `out`

    Returns
    -------
    Run

    Raises
    ------
    TypeError
        If images or labels are no plain arrays, or labels no integers.
    ValueError
        If images or labels are not of their shape, labels not from 0 to 9, or the two, or those for
        validation, differ in number or are none; if weights are negative or infinite, not one for
        each image, or all 0; if `out` holds a run of other settings or data, or
        holds any and `resume` is false.
    FloatingPointError
        If the loss becomes infinite or NaN: with another rate it might not.
    """
    images, labels = as_digits(images, labels)
    if validation is not None:
        validation = as_digits(*validation, prefix="validation ")
    if resume and out is None:
        raise ValueError("resume=True needs out, the folder to resume from")
    network = CNN(settings.seed).to(memory_format=torch.channels_last)
    inputs, ids = as_inputs(images), as_tensor(labels)
    batches = math.ceil(len(ids) / settings.batch_size)
    optimiser = settings.build_optimizer(settings.epochs * batches)
    state = optimiser.init({key: w.detach() for key, w in network.named_parameters()})
    if weights is not None:
        weights = as_tensor(as_weights(weights, len(ids)))
    loss, history, seconds = _BatchLoss(settings.loss, weights, inputs.dtype, team), [], 0.0
    store = None
    if out is not None:
        store = Store(out, settings, images, labels, weights, team.size)
        state, history, seconds = store.restore(network, state, resume)
    joined = team.joined(network)

    for epoch in range(len(history), settings.epochs):
        start = time.perf_counter()
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(ids))
        total, mass, correct, seen, curve = 0.0, 0, 0, 0, []
        with tqdm(
            range(0, len(ids), settings.batch_size),
            desc=f"epoch {epoch + 1}/{settings.epochs}",
            disable=not (progress and team.leads),
            leave=epoch + 1 == settings.epochs,
        ) as bar:
            for first in bar:
                batch = order[first : first + settings.batch_size]
                counted = loss.counted(batch)
                if not counted:
                    continue
                share = torch.from_numpy(team.share(batch))
                value, outputs, state = training_step(
                    joined, loss.of(batch, share), optimiser, state, inputs[share], ids[share]
                )
                value, right = team.total(
                    value.item() / team.size, (outputs.argmax(-1) == ids[share]).sum().item()
                )
                curve.append(value)
                total, mass = total + value * counted, mass + counted
                correct, seen = correct + right, seen + len(batch)
                if not math.isfinite(total):
                    raise FloatingPointError(
                        f"the loss became {value} in epoch {epoch + 1} with "
                        f"lr={settings.lr}; try a smaller one"
                    )
                bar.set_postfix(
                    loss=f"{total / mass:.4f}", accuracy=f"{correct / seen:.4f}", refresh=False
                )
        seconds += time.perf_counter() - start
        row = {
            "epoch": epoch + 1,
            "train_loss": total / mass,
            "train_accuracy": correct / seen,
            "train_curve": [
                float(part.mean()) for part in np.array_split(curve, min(CURVE_POINTS, len(curve)))
            ],
        }
        if validation is not None:
            measured = evaluate(network, settings.loss, *validation)
            row |= {f"validation_{key}": number for key, number in measured.items()}
        history.append(row)
        if store and team.leads:
            store.save(network, state, history, seconds)
    return Run(network, history, seconds)


class _BatchLoss:
    """The loss of a batch, or what a share of it adds to that of the whole."""

    def __init__(self, name, weights, dtype, team):
        # The mean over a batch, or, of a share, a sum in which an example counts for what it does
        # in that mean.
        self.loss = objective(name) if team.size == 1 else objective(name, "sum")
        self.weights, self.dtype, self.team = weights, dtype, team

    def counted(self, batch):
        """What the mean over a batch is divided by: its examples, or their weights."""
        return len(batch) if self.weights is None else self.weights[batch].sum().item()

    def of(self, batch, share):
        """The function of outputs and ids that this process differentiates."""
        weights = None if self.weights is None else self.weights[share]
        if self.team.size == 1:
            return self.loss if weights is None else partial(self.loss, weights=weights)
        if weights is None:
            weights = torch.ones(len(share), dtype=torch.float64)
        # The team takes the mean of its gradients, so that a sum must be this much longer.
        weights = weights * (self.team.size / self.counted(batch))
        return partial(self.loss, weights=weights.to(self.dtype))
