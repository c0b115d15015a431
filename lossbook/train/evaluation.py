"""How well a network does on images that it is not trained on."""

from __future__ import annotations

import torch

from lossbook.checks import count
from lossbook.train.arrays import as_digits, as_images, as_inputs, as_tensor
from lossbook.train.step import objective


@torch.no_grad()
def predict(network, images, batch_size=1000):
    """The network's outputs for images, as a NumPy array (N, 10) of their own dtype.

    Parameters
    ----------
    images : uint8 array of shape (N, 28, 28); of no images there are no outputs, (0, 10)
    batch_size : int >= 1, how many images the network is given at a time

    Raises
    ------
    TypeError, ValueError
        For images of another dtype or shape, or a batch size that is no such number.
    """
    images, step = as_images(images), count("batch_size", batch_size)
    # Of no images one empty batch, so that the network says how many outputs it has.
    starts = range(0, max(len(images), 1), step)
    return torch.cat([network(as_inputs(images[i : i + step])) for i in starts]).numpy()


def evaluate(network, loss_name, images, labels):
    """The mean loss and the accuracy on images that are not trained on.

    Parameters
    ----------
    loss_name : one of ``TRAINABLE``
    images, labels : at least one of each and as many, as of :func:`lossbook.data.load_mnist`

    Raises
    ------
    TypeError, ValueError
        For images or labels of another dtype or shape, labels out of 0 to 9, unequal numbers, or
        none at all.
    """
    images, labels = as_digits(images, labels)
    outputs, ids = torch.from_numpy(predict(network, images)), as_tensor(labels)
    accuracy = (outputs.argmax(-1) == ids).double().mean()
    return {"loss": objective(loss_name)(outputs, ids).item(), "accuracy": accuracy.item()}
