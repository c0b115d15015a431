"""Digits as arrays: checked where they come in, and in the one form that torch takes.

Torch cannot take every NumPy array: not one whose steps are negative or whose bytes stand in the
other order, only with a warning one that is read-only, and of unsigned integers hardly any but
uint8. So arrays are copied into a plain form here, and nowhere else.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.checks import has_shape, plain, refuse_where

#: How many digits there are: the network has as many outputs.
CLASSES = 10


def as_images(images, name="images"):
    """MNIST images as a plain uint8 array of shape (N, 28, 28).

    >>> as_images(np.zeros((2, 28, 28)))
    Traceback (most recent call last):
    ValueError: images must be uint8 of shape (N, 28, 28), got float64 of shape (2, 28, 28)
    """
    images = plain(name, images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"{name} must be uint8 of shape (N, 28, 28), got {images.dtype} of shape {images.shape}"
        )
    return images


def as_labels(labels, name="labels"):
    """The digits that images show, of any integer dtype, as a plain uint8 array of shape (N,).

    >>> as_labels([3, 10])
    Traceback (most recent call last):
    ValueError: labels must be class ids in [0, 9], got 10
    """
    labels = plain(name, labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f"{name} must be class ids of an integer dtype, got {labels.dtype} "
            f"of shape {labels.shape}"
        )
    if labels.ndim != 1:
        raise ValueError(f"{name} must be of shape (N,), got shape {labels.shape}")
    outside = labels[(labels < 0) | (labels >= CLASSES)]
    if outside.size:
        raise ValueError(f"{name} must be class ids in [0, {CLASSES - 1}], got {outside[0]}")
    return labels.astype(np.uint8)


def as_digits(images, labels, prefix=""):
    """Images and labels, equal in number and at least one.

    >>> as_digits(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8))
    Traceback (most recent call last):
    ValueError: images and labels must be equal in number and at least one, got 0 and 0
    """
    images = as_images(images, f"{prefix}images")
    if not np.size(labels):
        # A list of none has no integer dtype, and is not to be blamed for that.
        labels = np.zeros(0, np.uint8)
    labels = as_labels(labels, f"{prefix}labels")
    if not 0 < len(images) == len(labels):
        raise ValueError(
            f"{prefix}images and {prefix}labels must be equal in number and at least one, "
            f"got {len(images)} and {len(labels)}"
        )
    return images, labels


def as_weights(weights, count):
    """A weight for each of `count` examples, none negative and not all 0, as a float64 array.

    >>> as_weights([1.0, -1.0], 2)
    Traceback (most recent call last):
    ValueError: weights must be finite and at least 0, got -1.0
    """
    weights = plain("weights", weights)
    if weights.dtype.kind not in "fiu":
        raise TypeError(f"weights must hold real numbers, got dtype {weights.dtype}")
    weights = has_shape("weights", weights, "labels", (count,)).astype(np.float64)
    fault = ~((weights >= 0) & np.isfinite(weights))
    refuse_where(fault, "weights", "must be finite and at least 0", weights)
    if not weights.any():
        raise ValueError("weights must not all be 0, which leaves no example to train on")
    return weights


def as_tensor(array):
    """A tensor that owns what it holds, whatever form the array is in.

    >>> as_tensor(np.arange(3)[::-1])
    tensor([2, 1, 0])
    """
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))


def as_inputs(images):
    """MNIST images, uint8 (N, 28, 28), as the network reads them: (N, 1, 28, 28), from 0 to 1.

    They are of torch's default dtype, as the network's weights are: float32 where none was set.
    """
    inputs = as_tensor(as_images(images)).to(torch.get_default_dtype()).unsqueeze(1) / 255
    # Channels last is the layout in which torch's convolutions on a CPU are quickest.
    return inputs.contiguous(memory_format=torch.channels_last)
