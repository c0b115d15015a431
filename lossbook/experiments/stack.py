"""Many small networks of one shape trained at once, side by side in one stack of arrays.

A study that compares losses, rates and penalties on small data spends its time on the overhead of
each step. Here the networks of a study that share their data, their first weights and their batches
are the slices of one stack, and one step is a step of all of them. No network feels another: the
loss of the stack is the sum of theirs.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch

from lossbook.numerics import one_hot
from lossbook.optim import SGD
from lossbook.torch import as_torch


def first_weights(sizes, seed):
    """The weights of one network with layers of these sizes: normal draws, and biases of 0.

    >>> {name: tuple(w.shape) for name, w in first_weights((3, 4, 1), seed=0).items()}
    {'weight0': (3, 4), 'bias0': (4,), 'weight1': (4, 1), 'bias1': (1,)}
    """
    rng = np.random.default_rng(seed)
    weights = {}
    for layer, (ins, outs) in enumerate(pairwise(sizes)):
        draw = rng.normal(0.0, math.sqrt(2 / ins), (ins, outs))
        weights[f"weight{layer}"] = torch.from_numpy(draw).to(torch.get_default_dtype())
        weights[f"bias{layer}"] = torch.zeros(outs)
    return weights


def stacked(weights, count):
    """`count` equal networks."""
    return {name: w.expand(count, *w.shape).clone() for name, w in weights.items()}


def outputs(weights, inputs):
    """What each network of the stack answers: an array of shape (networks, rows, outputs).

    Hidden layers have the ReLU. `inputs` has shape (rows, features), or (networks, rows, features).

    >>> two = stacked(first_weights((3, 4, 1), seed=0), 2)
    >>> tuple(outputs(two, torch.ones(5, 3)).shape)
    (2, 5, 1)
    """
    layers = len(weights) // 2
    values = inputs
    for layer in range(layers):
        values = torch.matmul(values, weights[f"weight{layer}"]) + weights[f"bias{layer}"][:, None]
        if layer < layers - 1:
            values = torch.relu(values)
    return values


def train(weights, rates, loss, batches, optimiser=None, after=None):
    """Train a stack of networks, each at its own rate; returns its weights.

    Parameters
    ----------
    weights : dict of arrays of shape (networks, ...)
    rates : array of shape (networks,)
    loss : function of the weights and a batch, the sum over the networks of what each minimises
    batches : an iterable of batches, whatever the loss takes
    optimiser : of :mod:`lossbook.optim`, with rate 1; plain gradient descent if none is given
    after : called with the weights after each batch, if given
    """
    optimiser = SGD(1.0) if optimiser is None else optimiser
    # The step from 0 at rate 1, times a rate, is the step at that rate, however small it is.
    zeros = {name: torch.zeros_like(w) for name, w in weights.items()}
    state = optimiser.init(zeros)
    shaped = {name: rates.reshape(-1, *[1] * (w.ndim - 1)) for name, w in weights.items()}
    for batch in batches:
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        gradients = torch.autograd.grad(loss(leaves, batch), list(leaves.values()))
        with torch.no_grad():
            steps, state = optimiser.update(zeros, dict(zip(leaves, gradients, strict=True)), state)
            weights = {name: w + shaped[name] * steps[name] for name, w in weights.items()}
        if after is not None:
            after(weights)
    return weights


def epochs(seed, rows, size, count):
    """The batches of `count` epochs: positions among `rows` rows, in an order of the seed alone."""
    rng = np.random.default_rng([seed, 1])
    for _ in range(count):
        yield from np.array_split(rng.permutation(rows), max(1, rows // size))


def slices(names):
    """For each name in a list where equal names stand together, the slice of its places.

    >>> slices(["BCE", "BCE", "MSE"])
    {'BCE': slice(0, 2, None), 'MSE': slice(2, 3, None)}
    """
    return {name: slice(names.index(name), names.index(name) + names.count(name)) for name in names}


def penalty(weights, l1, l2):
    """The sum over the networks of l1 times their weights' sizes and l2 times their squares.

    Biases are not penalised. `l1` and `l2` have shape (networks,).
    """
    kept = [w for name, w in weights.items() if name.startswith("weight")]
    return sum((l1 * w.abs().sum((1, 2))).sum() + (l2 * w.square().sum((1, 2))).sum() for w in kept)


def binary_loss(name, logits, labels):
    """The mean loss of each network of a stack on a batch, added up. `logits`: (networks, rows).

    "BCE" and "MSE" are of the sigmoid's probability, and "hinge" is of the logit as a score.
    """
    labels = labels.expand(logits.shape)
    if name == "MSE":
        logits = torch.sigmoid(logits)
    if name == "hinge":
        labels = 2 * labels - 1
    return as_torch(BINARY[name], reduction="sum")(logits, labels) / logits.shape[1]


BINARY = {"BCE": "sigmoid_binary_cross_entropy", "MSE": "squared_error", "hinge": "hinge"}


def multiclass_loss(name, logits, ids):
    """The mean loss of each network of a stack on a batch, added up.

    `logits` has shape (networks, rows, classes). "CE" is the cross-entropy of the softmax, "MSE"
    the squared error of the softmax's probabilities, and "BCE" the binary cross-entropy of one
    sigmoid a class; both are added up over the classes.
    """
    rows = logits.shape[1]
    flat, ids = logits.reshape(-1, logits.shape[2]), ids.repeat(len(logits))
    if name == "CE":
        return as_torch("softmax_cross_entropy", reduction="sum")(flat, ids) / rows
    target = one_hot(ids, flat)
    if name == "BCE":
        return as_torch("sigmoid_binary_cross_entropy", reduction="sum")(flat, target) / rows
    return as_torch("squared_error", reduction="sum")(torch.softmax(flat, 1), target) / rows
