"""The convolutional network of the last chapter."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn


class CNN(nn.Module):
    """Two convolutions, each with max-pooling and ReLU, and two linear layers: 28 x 28 to 10.

    It returns raw outputs, one a class: what they mean is for the loss to say. ReLU after pooling
    gives what pooling after ReLU would, from a quarter of the numbers.

    Parameters
    ----------
    seed : int; the weights are drawn from ``numpy.random.default_rng(seed)`` with He's variance,
        2 / fan-in, so that they are the same on every machine; biases start at 0.

    Source: after Y. LeCun et al., "Gradient-based learning applied to document recognition",
    *Proceedings of the IEEE* 86 (1998), with ReLU and max-pooling; K. He et al., "Delving deep into
    rectifiers", *ICCV* (2015), for the initial weights.

    Examples
    --------
    >>> network = CNN(seed=0)
    >>> network(torch.zeros(4, 1, 28, 28)).shape
    torch.Size([4, 10])
    >>> sum(p.numel() for p in network.parameters())
    106122
    """

    def __init__(self, seed=0):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
        rng = np.random.default_rng(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
                else:
                    fan_in = parameter[0].numel()
                    draw = rng.normal(0.0, math.sqrt(2 / fan_in), tuple(parameter.shape))
                    parameter.copy_(torch.from_numpy(draw))

    def forward(self, images):
        return self.classifier(self.features(images))
