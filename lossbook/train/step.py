"""One step of training: images into the network, its outputs into a loss, its weights moved."""

from __future__ import annotations

import math

import torch

from lossbook.loss import LOSSES
from lossbook.spaces import CLASS_ID
from lossbook.torch import as_torch


def objective(name, reduction="mean"):
    """A function of the network's outputs and the class ids: the loss called `name`, averaged.

    Its third argument, if one is given, is a weight for each example. Under "sum" the weights say
    what each example counts for in a mean of more examples than these, as in a share of a batch.

    Raises
    ------
    ValueError
        For a loss whose prediction the outputs of a classifier cannot be read as.
    """
    loss, criterion = LOSSES[name], as_torch(name, reduction=reduction)
    if loss.prediction.read is None:
        raise ValueError(
            f"name must be a loss that trains a classifier, got {name!r}, whose prediction is a "
            f"{loss.prediction.name}"
        )

    def of(outputs, ids, weights=None):
        prediction, target = read_outputs(loss, outputs, ids)
        if weights is not None:
            weights = spread(loss, weights, prediction, reduction)
        return criterion(prediction, target, weights)

    return of


def spread(loss, weights, prediction, reduction):
    """Weights of examples as weights of values: an example has one, or as many as outputs."""
    values = prediction.shape[: prediction.ndim - loss.prediction.axes_of(prediction)]
    if reduction == "sum":
        weights = weights / math.prod(values[1:])
    return weights.reshape(-1, *(1 for _ in values[1:])).expand(values)


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
    network.zero_grad()
    outputs = network(inputs)
    value = loss(outputs, ids)
    value.backward()
    # What several processes train together is wrapped, and has the names of its inside.
    weights = dict(getattr(network, "module", network).named_parameters())
    with torch.no_grad():
        gradients = {key: weight.grad for key, weight in weights.items()}
        updated, state = optimiser.update(weights, gradients, state)
        for key, weight in weights.items():
            weight.copy_(updated[key])
    return value.detach(), outputs.detach(), state
