"""How well a network does on images that it is not trained on."""

from __future__ import annotations

import math

import numpy as np
import torch

from lossbook.checks import count, plain, real, refuse_where, silent
from lossbook.extras import extra
from lossbook.numerics import softmax
from lossbook.spaces import CLASS_ID
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


@silent
def fit_temperature(outputs, ids):
    r"""The number T by which outputs are divided to make them the best logits of these ids.

    .. math:: \operatorname{arg\,min}_T -\frac1N \sum_i \log \operatorname{softmax}(z_i / T)_{y_i}

    The order of a row stays, and so its answer does. The loss is convex in 1/T.

    Parameters
    ----------
    outputs : array of finite floats of shape (N, C), a network's outputs for images it was not
        trained on
    ids : integer array of shape (N,), class ids in [0, C - 1]

    Returns
    -------
    float in [1e-4, 1e4]
        One of the ends where the loss has no minimum between them: the smallest where all rows are
        right, the largest where the outputs say nothing of the ids.

    Raises
    ------
    TypeError, ValueError
        For outputs that are not finite floats of two dimensions, or ids that are none of theirs.

    Source: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger (2017), On calibration of modern neural
    networks, ICML.

    Examples
    --------
    Three rows in four are right at odds of 9 to 1, which should have been 3 to 1.

    >>> outputs = np.array([[2.0, 0.0]] * 4) * np.log(3.0)
    >>> round(fit_temperature(outputs, np.array([0, 0, 0, 1])), 4)
    2.0
    """
    with extra("stats"):
        from scipy.optimize import brentq

    outputs = real("outputs", plain("outputs", outputs))[1].astype(np.float64)
    if outputs.ndim != 2 or not outputs.size:
        raise ValueError(f"outputs must have shape (N, C), not empty, got {outputs.shape}")
    refuse_where(~np.isfinite(outputs), "outputs", "must be finite", outputs)
    ids = CLASS_ID.checked("ids", plain("ids", ids), "outputs", outputs, axes=1)
    # How far each output is behind the largest of its row, halved so that it cannot overflow, and
    # how far ahead of the one of the row's own class. What is added to a whole row changes neither.
    behind = outputs / 2 - outputs.max(axis=1, keepdims=True) / 2
    excess = behind - np.take_along_axis(behind, ids[:, None], axis=1)
    excess /= -behind.min() or 1.0

    def slope(log_temperature):
        """The loss's slope with respect to 1/T, times a constant, for any order of the rows."""
        probabilities = softmax(behind / math.exp(log_temperature) * 2)
        return math.fsum(np.sum(probabilities * excess, axis=1))

    low, high = math.log(1e-4), math.log(1e4)
    if not excess.any() or slope(high) > 0:
        return 1e4
    # Where all rows are right the slope may vanish in rounding, but never is above 0.
    if excess.max() <= 0 or slope(low) < 0:
        return 1e-4
    return math.exp(brentq(slope, low, high, xtol=1e-12))
