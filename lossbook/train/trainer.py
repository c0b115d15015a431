"""The trainer: epochs of steps, what is measured after each, and the way to go on after a stop."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from lossbook.torch import CNN
from lossbook.train.arrays import as_digits, as_inputs, as_tensor
from lossbook.train.evaluation import evaluate
from lossbook.train.step import objective, training_step
from lossbook.train.store import Store

#: In how many stretches of an epoch the training loss is averaged for the learning curve.
CURVE_POINTS = 20


@dataclass
class Run:
    """A trained network, what was measured after each epoch, and the seconds spent in training."""

    network: CNN
    history: list[dict]
    train_seconds: float


def train(images, labels, settings, *, validation=None, out=None, resume=False, progress=True):
    """Train a CNN on images and labels as :func:`lossbook.data.load_mnist` gives them.

    Parameters
    ----------
    images : uint8 array of shape (N, 28, 28), N at least 1
    labels : integer array of shape (N,), each from 0 to 9
    settings : Settings
    validation : (images, labels) or None; where given, measured after each epoch
    out : folder or None; where given, ``metrics.jsonl`` and ``checkpoint.safetensors`` are written
        to it after each epoch, each whole or not at all, and the checkpoint before is kept
    resume : whether to go on from the newest checkpoint in `out` that is sound, if there is any;
        where that is the one before, a line on standard error says why
    progress : whether to show a progress bar

    Returns
    -------
    Run

    Raises
    ------
    TypeError
        If images or labels are no plain arrays, or labels no integers.
    ValueError
        If images or labels are not of their shape, labels not from 0 to 9, or the two, or those for
        validation, differ in number or are none; if `out` holds a run of other settings or data, or
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
    loss, history, seconds = objective(settings.loss), [], 0.0
    store = Store(out, settings, images, labels) if out is not None else None
    if store:
        state, history, seconds = store.restore(network, state, resume)

    for epoch in range(len(history), settings.epochs):
        start = time.perf_counter()
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(ids))
        total, correct, curve = 0.0, 0, []
        with tqdm(
            range(0, len(ids), settings.batch_size),
            desc=f"epoch {epoch + 1}/{settings.epochs}",
            disable=not progress,
            leave=epoch + 1 == settings.epochs,
        ) as bar:
            for first in bar:
                batch = torch.from_numpy(order[first : first + settings.batch_size])
                value, outputs, state = training_step(
                    network, loss, optimiser, state, inputs[batch], ids[batch]
                )
                curve.append(value.item())
                total += value.item() * len(batch)
                correct += (outputs.argmax(-1) == ids[batch]).sum().item()
                if not math.isfinite(total):
                    raise FloatingPointError(
                        f"the loss became {value.item()} in epoch {epoch + 1} with "
                        f"lr={settings.lr}; try a smaller one"
                    )
                seen = min(first + settings.batch_size, len(ids))
                bar.set_postfix(
                    loss=f"{total / seen:.4f}", accuracy=f"{correct / seen:.4f}", refresh=False
                )
        seconds += time.perf_counter() - start
        row = {
            "epoch": epoch + 1,
            "train_loss": total / len(ids),
            "train_accuracy": correct / len(ids),
            "train_curve": [
                float(part.mean()) for part in np.array_split(curve, min(CURVE_POINTS, batches))
            ],
        }
        if validation is not None:
            measured = evaluate(network, settings.loss, *validation)
            row |= {f"validation_{key}": number for key, number in measured.items()}
        history.append(row)
        if store:
            store.save(network, state, history, seconds)
    return Run(network, history, seconds)
