"""One step of training: images into the network, its outputs into a loss, its weights moved."""

from __future__ import annotations

import numpy as np
import torch

from lossbook.loss import LOSSES
from lossbook.torch import as_torch


def as_inputs(images):
    """MNIST images, uint8 (N, 28, 28), as the network reads them: (N, 1, 28, 28), from 0 to 1.

    They are of torch's default dtype, as the network's weights are: float32 where none was set.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"images must be uint8 of shape (N, 28, 28), got {images.dtype} of shape {images.shape}"
        )
    inputs = torch.from_numpy(images).to(torch.get_default_dtype()).unsqueeze(1) / 255
    # Channels last is the layout in which torch's convolutions on a CPU are quickest.
    return inputs.contiguous(memory_format=torch.channels_last)


def objective(name):
    """A function of the network's outputs and the class ids: the loss called `name`, averaged."""
    loss, criterion = LOSSES[name], as_torch(name)
    return lambda outputs, ids: criterion(*read_outputs(loss, outputs, ids))


def read_outputs(loss, outputs, ids):
    """The network's outputs and the class ids, as the prediction and the target of `loss`."""
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
