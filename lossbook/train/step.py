"""One step of training: images into the network, its outputs into a loss, its weights moved."""

from __future__ import annotations

import torch

from lossbook.loss import LOSSES
from lossbook.spaces import CLASS_ID
from lossbook.torch import as_torch


def objective(name):
    """A function of the network's outputs and the class ids: the loss called `name`, averaged.

    Raises
    ------
    ValueError
        For a loss whose prediction the outputs of a classifier cannot be read as.
    """
    loss, criterion = LOSSES[name], as_torch(name)
    if loss.prediction.read is None:
        raise ValueError(
            f"name must be a loss that trains a classifier, got {name!r}, whose prediction is a "
            f"{loss.prediction.name}"
        )
    return lambda outputs, ids: criterion(*read_outputs(loss, outputs, ids))


def read_outputs(loss, outputs, ids):
    """The network's outputs and the class ids, as the prediction and the target of `loss`.

    Raises
    ------
    TypeError, ValueError
        For labels that are no class ids of these outputs: written as a row of 0 and 1, an id that
        there is not would be a row of 0.
    """
    ids = CLASS_ID.checked("labels", ids, "outputs", outputs.detach(), axes=1)
    return loss.prediction.read(outputs), loss.target.written(ids, outputs.detach())


def training_step(network, loss, optimiser, state, inputs, ids):
    """One step on one batch: forward, backward, update; returns loss, outputs and state."""
    outputs = network(inputs)
    value = loss(outputs, ids)
    weights = dict(network.named_parameters())
    gradients = torch.autograd.grad(value, list(weights.values()))
    with torch.no_grad():
        gradients = dict(zip(weights, gradients, strict=True))
        updated, state = optimiser.update(weights, gradients, state)
        for key, weight in weights.items():
            weight.copy_(updated[key])
    return value.detach(), outputs.detach(), state
