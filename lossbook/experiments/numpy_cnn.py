"""Chapter 15: a small CNN in NumPy beside two networks without convolution, on the MNIST sample.

The sample's 4,000 training images are split anew for every seed, 3,500 to train on and 500 to
validate. Each of three networks tries five learning rates once and takes the one that ends with the
best validation accuracy. At that rate it trains over ten further seeds, and those runs alone are
shown the 1,000 test images. Within a seed the networks share the split and the order of the images.
"""

from __future__ import annotations

import numpy as np

from lossbook.data import load_mnist
from lossbook.experiments.study import completed
from lossbook.layers import Network
from lossbook.loss import LOSSES
from lossbook.optim import Adam

#: Each network, and the shapes of its parameters. Two of them have about as many numbers to learn.
NETWORKS = {
    "linear": Network({"flat": "flatten", "out": "linear"}),
    "hidden layer": Network(
        {"flat": "flatten", "hidden": "linear", "bend": "relu", "out": "linear"}
    ),
    "CNN": Network(
        {
            "conv": "conv2d",
            "pool": "max_pool2d",
            "bend": "relu",
            "flat": "flatten",
            "out": "linear",
        }
    ),
}
SHAPES = {
    "linear": {"out.weight": (10, 784), "out.bias": (10,)},
    "hidden layer": {
        "hidden.weight": (15, 784),
        "hidden.bias": (15,),
        "out.weight": (10, 15),
        "out.bias": (10,),
    },
    "CNN": {
        "conv.weight": (8, 1, 5, 5),
        "conv.bias": (8,),
        "out.weight": (10, 8 * 12 * 12),
        "out.bias": (10,),
    },
}
TRAINING = 3_500
EPOCHS, BATCH = 8, 50
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SEEDS = range(10)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100

cross_entropy = LOSSES["softmax_cross_entropy"]


def plan(done):
    """The tuning runs; once they are done, also the final runs at each network's best rate."""
    tuning = [_settings("tune", name, rate, TUNING_SEED) for name in NETWORKS for rate in RATES]
    tuned = completed(tuning, done)
    if tuned is None:
        return tuning
    best = best_rates(tuned)
    return tuning + [
        _settings("final", name, best[name], seed) for seed in SEEDS for name in NETWORKS
    ]


def best_rates(runs):
    """For each network the rate that ends with the best validation accuracy."""
    scores = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            of_rate = scores.setdefault(settings["network"], {})
            of_rate[settings["lr"]] = entry["results"]["validation_accuracy"]
    return {name: max(of_rate, key=of_rate.get) for name, of_rate in scores.items()}


def initial(name, seed, dtype=np.float32):
    """Weights of He's variance, 2 divided by the numbers that each output reads; biases of 0.

    >>> {key: w.shape for key, w in initial("linear", 0).items()}
    {'out.weight': (10, 784), 'out.bias': (10,)}
    """
    rng = np.random.default_rng(seed)
    params = {}
    for key, shape in SHAPES[name].items():
        scale = 0.0 if key.endswith("bias") else np.sqrt(2 / np.prod(shape[1:]))
        params[key] = (scale * rng.normal(size=shape)).astype(dtype)
    return params


def as_pictures(images, dtype=np.float32):
    """Ink from 0 to 1, with an axis for the one channel: (N, 1, 28, 28)."""
    return images[:, None].astype(dtype) / 255


def gradient(network, params, pictures, ids):
    """The mean cross-entropy, and its gradient with respect to every parameter."""
    logits, kept = network.forward(params, pictures)
    loss, upstream = cross_entropy.value_and_grad(logits, ids)
    return loss, network.backward(params, kept, upstream)[0]


def fit(settings, pictures, ids, *, epochs=EPOCHS, batch_size=BATCH):
    """Train one network; returns its parameters and the loss of each batch."""
    network = NETWORKS[settings["network"]]
    params = initial(settings["network"], settings["seed"], pictures.dtype)
    optimiser, losses = Adam(settings["lr"]), []
    state = optimiser.init(params)
    for epoch in range(epochs):
        order = np.random.default_rng([settings["seed"], epoch]).permutation(len(ids))
        for first in range(0, len(ids), batch_size):
            batch = order[first : first + batch_size]
            loss, grads = gradient(network, params, pictures[batch], ids[batch])
            params, state = optimiser.update(params, grads, state)
            losses.append(float(loss))
    return params, losses


def answers(name, params, pictures):
    """The class that the network gives to each picture."""
    parts = np.array_split(pictures, max(1, len(pictures) // 250))
    return np.concatenate([NETWORKS[name].forward(params, part)[0].argmax(1) for part in parts])


def split(seed, images, labels, training=TRAINING):
    """A seed's training and validation pictures, each with their labels."""
    order = np.random.default_rng(seed).permutation(len(images))
    return [(images[rows], labels[rows]) for rows in (order[:training], order[training:])]


def run(settings):
    """One run: its validation accuracy, and for a final run the test images that it misses."""
    images, labels = load_mnist("train", "sample")
    (pictures, ids), (unseen, truth) = split(settings["seed"], as_pictures(images), labels)
    params, _ = fit(settings, pictures, ids)
    told = answers(settings["network"], params, unseen)
    results = {"validation_accuracy": float(np.mean(told == truth))}
    if settings["stage"] == "final":
        images, labels = load_mnist("test", "sample")
        told = answers(settings["network"], params, as_pictures(images))
        results["missed"] = np.flatnonzero(told != labels).tolist()
    return results


def trial():
    """Each network for two epochs of 100 digits in float64, the last batch of each a short one."""
    images, labels = load_mnist("train", "sample")
    pictures = as_pictures(images[:150], np.float64)
    (pictures, ids), (unseen, truth) = split(TUNING_SEED, pictures, labels[:150], training=90)
    results = {}
    for name in NETWORKS:
        settings = _settings("tune", name, RATES[1], TUNING_SEED)
        params, losses = fit(settings, pictures, ids, epochs=2, batch_size=40)
        right = float(np.mean(answers(name, params, unseen) == truth))
        results[name] = {"losses": losses, "right": right, "weights": _footprint(params)}
    return results


def _footprint(params):
    """Of each array its norm and two seeded random projections, as for the networks in torch."""
    rng = np.random.default_rng(0)
    return {
        name: [float(np.linalg.norm(w)), *(rng.normal(size=(2, w.size)) @ w.ravel()).tolist()]
        for name, w in params.items()
    }


def _settings(stage, name, rate, seed):
    return {"stage": stage, "network": name, "lr": rate, "seed": seed}
