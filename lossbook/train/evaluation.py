"""How well a network does on images that it is not trained on."""

from __future__ import annotations

import torch

from lossbook.train.step import as_inputs, objective


@torch.no_grad()
def predict(network, images, batch_size=1000):
    """The network's outputs for uint8 images, as a float32 NumPy array (N, 10)."""
    parts = [
        network(as_inputs(images[i : i + batch_size])) for i in range(0, len(images), batch_size)
    ]
    return torch.cat(parts).numpy()


def evaluate(network, loss_name, images, labels):
    """The mean loss and the accuracy on images that are not trained on."""
    outputs = torch.from_numpy(predict(network, images))
    ids = torch.from_numpy(labels)
    accuracy = (outputs.argmax(-1) == ids).double().mean()
    return {"loss": objective(loss_name)(outputs, ids).item(), "accuracy": accuracy.item()}
