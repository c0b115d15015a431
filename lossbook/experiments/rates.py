"""Chapter 16: what the learning rate, the schedule and the batch size do to the training loss.

Four linear models start from weights of 0: squared error on diabetes, binary cross-entropy on
breast cancer, softmax cross-entropy and the hinge loss on handwritten digits. They are trained

- *sweep*: by SGD, SGD with momentum and Adam, each at the same twelve rates, over five orders of
  batches;
- *batch*: the softmax model, for ten epochs, with batches of three sizes, at sixteen rates.

A network with one hidden layer is trained on the same digits

- *tune* and *schedule*: with momentum and with Adam, under five schedules. Each pair of them tries
  the same seven rates, with a seed of its own, and takes the one with the least training loss. At
  that rate it trains over ten further seeds.
- *warm*: with Adam, at five rates, with and without warm-up, over ten seeds.

Everything here is about the training loss. There are no test data, and nothing is said about them.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from lossbook.data import load_breast_cancer, load_diabetes
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.extras import extra
from lossbook.loss import LOSSES
from lossbook.optim import SGD, Adam, cosine, one_cycle
from lossbook.train.step import objective, training_step

STEPS, BATCH = 300, 32
RATES = tuple(10.0 ** (half / 2) for half in range(-8, 4))
SWEPT_SEEDS = range(5)
OPTIMISERS = {
    "SGD": lambda lr: SGD(lr),
    "momentum": lambda lr: SGD(lr, momentum=0.9),
    "Adam": lambda lr: Adam(lr),
}
#: Of each task its loss, and which of them is drawn where.
TASKS = {
    "diabetes": "squared_error",
    "breast cancer": "sigmoid_binary_cross_entropy",
    "digits": "softmax_cross_entropy",
    "eights": "hinge",
}

EPOCHS = 10
BATCH_SIZES = (16, 64, 256)
BATCH_RATES = tuple(2.0**power for power in range(-10, 6))

HIDDEN, NETWORK_STEPS, WARM_UP = 64, 400, 40
NETWORK_RATES = tuple(10.0 ** (half / 2) for half in range(-7, 0))
WARM_RATES = NETWORK_RATES[1:6]
SEEDS = range(10)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100


def steps_down(peak, steps):
    """A rate that is divided by ten after half of the steps, and again after three quarters."""
    return lambda step: peak * 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))


def warm_up(peak, rising):
    """A rate that rises to `peak` in a straight line over `rising` steps, and then stays there.

    >>> rate = warm_up(1.0, 4)
    >>> [rate(step) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return lambda step: peak * min(1.0, (step + 1) / rising)


SCHEDULES = {
    "constant": lambda peak, steps: peak,
    "steps": steps_down,
    "cosine": cosine,
    "one cycle": one_cycle,
    "warm-up": lambda peak, steps: warm_up(peak, steps // 10),
}


def plan(done):
    """All runs but the schedules' at once; those at each schedule's best rate once it is tuned."""
    first = [
        _settings("sweep", task=task, optimiser=name, lr=lr, seed=seed)
        for task in TASKS
        for name in OPTIMISERS
        for lr in RATES
        for seed in SWEPT_SEEDS
    ]
    first += [
        _settings("batch", optimiser=name, batch=size, lr=lr, seed=seed)
        for name in ("SGD", "Adam")
        for size in BATCH_SIZES
        for lr in BATCH_RATES
        for seed in SWEPT_SEEDS
    ]
    first += [
        _settings("warm", schedule=schedule, lr=lr, seed=seed)
        for schedule in ("constant", "warm-up")
        for lr in WARM_RATES
        for seed in SEEDS
    ]
    tuning = [
        _settings("tune", optimiser=name, schedule=schedule, lr=lr, seed=TUNING_SEED)
        for name in ("momentum", "Adam")
        for schedule in SCHEDULES
        for lr in NETWORK_RATES
    ]
    tuned = completed(tuning, done)
    if tuned is None:
        return first + tuning
    best = best_rates(tuned)
    return (
        first
        + tuning
        + [
            _settings(
                "schedule", optimiser=name, schedule=schedule, lr=best[name, schedule], seed=seed
            )
            for name in ("momentum", "Adam")
            for schedule in SCHEDULES
            for seed in SEEDS
        ]
    )


def best_rates(done):
    """For each optimiser and schedule the tuned rate with the least training loss."""
    scores = {}
    for entry in done:
        settings, loss = entry["settings"], entry["results"]["loss"]
        if settings["stage"] == "tune":
            pair = settings["optimiser"], settings["schedule"]
            scores.setdefault(pair, {})[settings["lr"]] = math.inf if loss is None else loss
    return {pair: min(of_rate, key=of_rate.get) for pair, of_rate in scores.items()}


@cache
def task_data(task):
    """Features with a column of ones, targets, and the shape of the weights, which start at 0.

    Columns of the two tables, and the target of diabetes, have mean 0 and standard deviation 1.
    """
    if task in ("digits", "eights"):
        features, ids = digits()
        rows = np.column_stack([features, np.ones(len(features))])
        if task == "digits":
            return rows, ids, (rows.shape[1], 10)
        return rows, np.where(ids == 8, 1.0, -1.0), (rows.shape[1],)
    table = load_diabetes() if task == "diabetes" else load_breast_cancer()
    rows = np.column_stack([_standardised(table.features), np.ones(len(table.features))])
    target = _standardised(table.target) if task == "diabetes" else table.target.astype(float)
    return rows, target, (rows.shape[1],)


@cache
def digits():
    """1,797 handwritten digits of 8 x 8 pixels from 0 to 1, and their classes."""
    with extra("data"):
        from sklearn import datasets

    bunch = datasets.load_digits()
    return bunch.data / 16, bunch.target


def linear_path(task, optimiser, seed, *, steps=STEPS, batch=BATCH):
    """Train a linear model on batches drawn without replacement; yields the weights of each step.

    An epoch is a permutation of the examples, and an incomplete batch at its end is left out.
    """
    rows, target, shape = task_data(task)
    gradient = LOSSES[TASKS[task]].gradient
    weights, order = [np.zeros(shape)], np.empty(0, dtype=int)
    state, rng = optimiser.init(weights), np.random.default_rng(seed)
    for _ in range(steps):
        if len(order) < batch:
            order = rng.permutation(len(rows))
        drawn, order = order[:batch], order[batch:]
        slope = rows[drawn].T @ gradient(rows[drawn] @ weights[0], target[drawn]) / batch
        weights, state = optimiser.update(weights, [slope], state)
        yield weights[0]
        if not np.all(np.isfinite(weights[0])):
            return


def full_loss(task, weights):
    """The mean loss over all examples of a task."""
    rows, target, _ = task_data(task)
    return float(LOSSES[TASKS[task]].value(rows @ weights, target))


def network_of(seed):
    """A network of 64 pixels, 64 hidden units and 10 logits, with weights drawn from a seed."""
    generator = torch.Generator().manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(64, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)
    )
    with torch.no_grad():
        for layer in (network[0], network[2]):
            spread = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-spread, spread, generator=generator)
            layer.bias.zero_()
    return network


def network_loss(settings, *, steps=NETWORK_STEPS, warming=WARM_UP):
    """Train the network; returns it and its training loss over all digits, None if not finite."""
    features, ids = digits()
    inputs = torch.as_tensor(features, dtype=torch.get_default_dtype())
    labels, loss = torch.as_tensor(ids), objective("softmax_cross_entropy")
    peak, schedule = settings["lr"], settings["schedule"]
    if settings["stage"] == "warm":
        rate = peak if schedule == "constant" else warm_up(peak, warming)
    else:
        rate = SCHEDULES[schedule](peak, steps)
    optimiser = OPTIMISERS[settings.get("optimiser", "Adam")](rate)
    network, rng = network_of(settings["seed"]), np.random.default_rng(settings["seed"])
    state = optimiser.init({key: w.detach() for key, w in network.named_parameters()})
    for _ in range(steps):
        drawn = torch.from_numpy(rng.choice(len(ids), BATCH, replace=False))
        _, _, state = training_step(network, loss, optimiser, state, inputs[drawn], labels[drawn])
    with torch.no_grad():
        return network, _finite(loss(network(inputs), labels).item())


def run(settings):
    """One run: the training loss at its end, None where it is not a finite number."""
    if settings["stage"] in ("sweep", "batch"):
        return {"loss": _linear_loss(settings)}
    return {"loss": network_loss(settings)[1]}


def _linear_loss(settings, steps=None):
    size = settings.get("batch", BATCH)
    if settings["stage"] == "sweep":
        task, count = settings["task"], STEPS
    else:
        task = "digits"
        count = EPOCHS * (len(task_data(task)[0]) // size)
    optimiser = OPTIMISERS[settings["optimiser"]](settings["lr"])
    *_, last = linear_path(task, optimiser, settings["seed"], steps=steps or count, batch=size)
    with np.errstate(all="ignore"):
        return _finite(full_loss(task, last)) if np.all(np.isfinite(last)) else None


def trial():
    """Twenty steps of every task, optimiser, schedule and batch size, at one rate."""
    results = {}
    for task in TASKS:
        for name in OPTIMISERS:
            settings = _settings("sweep", task=task, optimiser=name, lr=RATES[5], seed=TUNING_SEED)
            results[f"{task}, {name}"] = _linear_loss(settings, steps=20)
    for size in BATCH_SIZES:
        settings = _settings("batch", optimiser="SGD", batch=size, lr=BATCH_RATES[7], seed=0)
        results[f"batches of {size}"] = _linear_loss(settings, steps=5)
    for stage, names in (("schedule", SCHEDULES), ("warm", ("warm-up",))):
        for schedule in names:
            settings = _settings(stage, schedule=schedule, lr=NETWORK_RATES[3], seed=TUNING_SEED)
            network, loss = network_loss(settings, steps=20, warming=10)
            results[f"{stage}, {schedule}"] = {"loss": loss, "weights": footprint(network)}
    return results


def _settings(stage, **settings):
    return {"stage": stage, **settings}


def _finite(loss):
    return loss if math.isfinite(loss) else None


def _standardised(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)
