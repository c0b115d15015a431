"""Chapter 17: squared error, absolute error and Huber's loss where some of the rows are wrong.

Three data sets, two packaged or made with a straight rule and one with a bent one, and a linear
model, or a network for the bent rule. Each seed spoils one training row in ten, and one validation
row in ten, in one of three ways: not at all; "outliers", whose targets are moved up by 10;
"leverage", whose first input is moved by 30 and the target by 60. Test rows are never
spoilt. The losses share the split, the spoilt rows, the first weights and the batches, and each is
trained at the same eight rates. Targets are in units of their interquartile range in the training
rows, and the delta of Huber's loss is 1 in these units.

The errors that are compared are those at the minimum of each loss on the training rows. A linear
model is solved, by least squares, as a linear programme, and by a quasi-Newton method. The network
is trained by Adam on all rows at once, at five rates that are lowered twice, and of the five the
one with the smallest loss on the training rows is taken. That is near a minimum and need not be the
lowest. The runs of 30 epochs of gradient descent count the epochs to a common validation error. Of
them the seed also takes the rate with the smallest median of absolute errors on its validation
rows.

First the errors of those runs were compared. Many of them had stopped far from their minimum, so
that their errors told of the number of steps more than of the losses, and the minimum took their
place after that was seen. At first the network had the three smaller rates only, and took the
largest of them in most runs.
"""

from __future__ import annotations

import numpy as np
import torch

from lossbook.data import load_diabetes
from lossbook.experiments.claims_binary import speeds, summary
from lossbook.experiments.claims_data import LARGEST, standardised
from lossbook.experiments.stack import epochs, first_weights, outputs, slices, stacked, train
from lossbook.extras import extra
from lossbook.optim import Adam
from lossbook.torch import as_torch

#: Of Huber's loss.
DELTA = 1.0
OBJECTIVES = {
    "MSE": as_torch("squared_error", reduction="sum"),
    "MAE": as_torch("absolute_error", reduction="sum"),
    "Huber": as_torch("huber", reduction="sum", delta=DELTA),
}
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
WAYS = ("clean", "outliers", "leverage")
SPOILT, MOVED = 0.1, 10.0
#: How far "leverage" moves the first input, in deviations, and the target.
FAR, FAR_MOVED = 30.0, 60.0
EPOCHS, BATCH = 30, 32
#: How the network is brought to its minimum: Adam's rates, by what each of its phases multiplies
#: them, and the steps of a phase.
SETTLING_RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
PHASES, STEPS = (1.0, 0.1, 0.01), 400
#: A run has got there when its error is at most this much above the smallest of the seed.
TARGET = 0.1
SEEDS = range(20)

NETWORKS = [(loss, rate) for loss in OBJECTIVES for rate in RATES]


def straight(rows=1000, features=10):
    """A made world with a straight rule, and heavy tails: Student's t with 3 degrees of freedom."""
    rng = np.random.default_rng(19)
    inputs = rng.normal(size=(rows, features))
    return inputs, inputs @ rng.normal(size=features) + rng.standard_t(3, size=rows)


def bent(rows=1000):
    """A made world with a bent rule of five inputs, and normal noise.

    Source of the rule: J. H. Friedman (1991), Multivariate adaptive regression splines, Annals of
    Statistics 19(1), 1-67.
    """
    rng = np.random.default_rng(20)
    x = rng.uniform(size=(rows, 5))
    rule = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    return x, rule + 10 * x[:, 3] + 5 * x[:, 4] + rng.normal(size=rows)


DATA = {
    "diabetes": (lambda: load_diabetes()[:2], ()),
    "made, straight": (straight, ()),
    "made, bent": (bent, (16,)),
}


def plan(done):
    """A run for each data set, way of spoiling and seed; the tuning is within the run."""
    return [
        {"data": data, "way": way, "seed": seed} for seed in SEEDS for data in DATA for way in WAYS
    ]


def spoil(inputs, targets, way, rng):
    """Inputs and targets of which one row in ten is spoilt; standardised ones are expected."""
    inputs, targets = inputs.copy(), targets.copy()
    bad = rng.choice(len(targets), int(SPOILT * len(targets)), replace=False)
    if way == "outliers":
        targets[bad] += MOVED
    if way == "leverage":
        inputs[bad, 0] += FAR
        targets[bad] += FAR_MOVED
    return inputs, targets


def run(settings):
    """One seed on one data set, spoilt in one way."""
    make, hidden = DATA[settings["data"]]
    return fit(settings, *make(), hidden)[1]


def fit(settings, features, targets, hidden, *, count=EPOCHS):
    """Train the stack; returns its weights and what was measured."""
    seed = settings["seed"]
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(len(targets))
    size = min(len(targets) // 5, LARGEST)
    validation, test = order[:size], order[size : 2 * size]
    training = order[2 * size :][:LARGEST]
    low, middle, high = np.quantile(targets[training], (0.25, 0.5, 0.75))
    targets = (targets - middle) / (high - low)
    features = standardised(features, training)
    dtype = torch.get_default_dtype()
    # The rows and the amounts are the same for every way.
    dirty = np.random.default_rng([seed, 3])
    known, wanted = spoil(features[training], targets[training], settings["way"], dirty)
    clean = features[validation], targets[validation]
    checked, checked_wanted = spoil(*clean, settings["way"], dirty)
    known, wanted, checked, tested = (
        torch.tensor(each, dtype=dtype) for each in (known, wanted, checked, features[test])
    )
    first = first_weights((features.shape[1], *hidden, 1), seed)
    weights = stacked(first, len(NETWORKS))
    of_loss = slices([loss for loss, _ in NETWORKS])

    def loss(weights, batch):
        answers = outputs(weights, known[batch])[..., 0]
        each = (
            f(answers[of_loss[name]], wanted[batch].expand(len(RATES), -1))
            for name, f in OBJECTIVES.items()
        )
        return sum(each) / len(batch)

    history, per_epoch = [], max(1, len(training) // BATCH)
    steps = iter(range(1, count * per_epoch + 1))

    def after(weights):
        if next(steps) % per_epoch == 0:
            history.append(errors(weights, checked, checked_wanted))

    rates = torch.tensor([rate for _, rate in NETWORKS])
    weights = train(weights, rates, loss, epochs(seed, len(training), BATCH, count), after=after)
    curves, final = np.array(history), errors(weights, tested, targets[test])
    reached = curves <= (1 + TARGET) * curves.min()
    if hidden:
        minimum = settled(
            first, known, wanted, tested, targets[test], steps=max(1, STEPS * count // EPOCHS)
        )
    else:
        minimum = solved(known, wanted, tested, targets[test])
    results = {"minimum": minimum, "chosen": {}, "epochs": {}}
    for name, s in of_loss.items():
        best = s.start + int(curves[-1, s].argmin())
        results["chosen"][name] = {
            "rate": NETWORKS[best][1],
            "validation": float(curves[-1, best]),
            "error": float(final[best]),
        }
        results["epochs"][name] = {
            str(rate): int(column.argmax()) + 1 if column.any() else None
            for rate, column in zip(RATES, reached[:, s].T, strict=True)
        }
    return weights, results


def solved(known, wanted, tested, targets):
    """The test error of the linear model that minimises each loss exactly."""
    known, wanted, tested = (each.to(torch.float64).numpy() for each in (known, wanted, tested))
    known, tested = (np.column_stack([each, np.ones(len(each))]) for each in (known, tested))
    found = {}
    for name, solve in SOLVERS.items():
        gaps = np.abs(tested @ solve(known, wanted) - targets)
        found[name] = {"error": float(np.median(gaps))}
    return found


def least_squares(inputs, targets):
    """The weights with the smallest sum of squared errors."""
    return np.linalg.lstsq(inputs, targets, rcond=None)[0]


def least_absolute(inputs, targets):
    """The weights with the smallest sum of absolute errors.

    A linear programme: the gap of each row is what it has above 0 less what it has below.

    >>> least_absolute(np.ones((3, 1)), np.array([0.0, 1.0, 50.0]))
    array([1.])
    """
    with extra("stats"):
        from scipy.optimize import linprog

    rows, columns = inputs.shape
    cost = np.append(np.zeros(columns), np.ones(2 * rows))
    equations = np.hstack([inputs, np.eye(rows), -np.eye(rows)])
    bounds = [(None, None)] * columns + [(0, None)] * (2 * rows)
    return linprog(cost, A_eq=equations, b_eq=targets, bounds=bounds).x[:columns]


def least_huber(inputs, targets):
    """The weights with the smallest sum of Huber's loss, by BFGS from the least squares."""
    with extra("stats"):
        from scipy.optimize import minimize

    def value_and_slope(weights):
        gaps = inputs @ weights - targets
        slopes = np.clip(gaps, -DELTA, DELTA)
        return np.mean(slopes * (gaps - slopes / 2)), inputs.T @ slopes / len(gaps)

    first = least_squares(inputs, targets)
    return minimize(value_and_slope, first, jac=True, method="BFGS", options={"gtol": 1e-8}).x


SOLVERS = {"MSE": least_squares, "MAE": least_absolute, "Huber": least_huber}


def settled(first, known, wanted, tested, targets, *, steps=STEPS):
    """The test error of the network that each loss has been brought to the minimum of.

    Of the rates the one with the smallest loss on the training rows is taken.
    """
    names = [loss for loss in OBJECTIVES for _ in SETTLING_RATES]
    of_loss = slices(names)

    def loss(weights, _):
        answers = outputs(weights, known)[..., 0]
        own = wanted.expand(len(SETTLING_RATES), -1)
        return sum(f(answers[of_loss[name]], own) for name, f in OBJECTIVES.items()) / len(wanted)

    rates = torch.tensor(SETTLING_RATES * len(OBJECTIVES))
    weights = stacked(first, len(names))
    for phase in PHASES:
        weights = train(weights, phase * rates, loss, range(steps), Adam(1.0))
    final, found = errors(weights, tested, targets), {}
    for name, s in of_loss.items():
        losses = [
            float(OBJECTIVES[name](answers, wanted)) / len(wanted)
            for answers in outputs(weights, known)[s, :, 0]
        ]
        best = int(np.argmin(np.nan_to_num(losses, nan=np.inf)))
        found[name] = {
            "rate": SETTLING_RATES[best],
            "losses": losses,
            "error": float(final[s.start + best]),
        }
    return found


def errors(weights, inputs, targets):
    """The median absolute error of each network; very large where its weights are no numbers."""
    with torch.no_grad():
        answers = outputs(weights, inputs)[..., 0].to(torch.float64).numpy()
    gaps = np.abs(np.nan_to_num(answers, nan=1e12, posinf=1e12, neginf=-1e12) - targets)
    return np.minimum(np.median(gaps, axis=1), 1e12)


def differences(runs):
    """The paired differences of each claim: logarithms of ratios of errors, or epochs."""
    groups, found = {}, {}
    for entry in sorted(runs, key=lambda entry: entry["settings"]["seed"]):
        settings = entry["settings"]
        groups.setdefault(settings["data"], {}).setdefault(settings["way"], []).append(
            entry["results"]
        )
    for data, of_way in groups.items():
        logs = {
            (way, loss): np.log([r["minimum"][loss]["error"] for r in of_way[way]])
            for way in WAYS
            for loss in OBJECTIVES
        }

        def add(claim, *context, gaps, data=data):
            found.setdefault(claim, {})[data, *context] = [float(x) for x in gaps]

        for way in ("outliers", "leverage"):
            add("mse-outliers", way, gaps=logs[way, "MSE"] - logs["clean", "MSE"])
            for loss in ("MAE", "Huber"):
                gaps = logs[way, "MSE"] - logs[way, loss]
                add("robust", way, f"{loss} against MSE", gaps=gaps)
        for way in WAYS:
            add("huber-precise", way, gaps=logs[way, "MAE"] - logs[way, "Huber"])
            counts = [r["epochs"] for r in of_way[way]]
            for how, first, second in speeds(counts, "MAE", "Huber", RATES, EPOCHS):
                add("huber-faster", way, how, gaps=first - second)
    return found


def trial():
    """Every data set, spoilt in every way, for one epoch."""
    results = {}
    for data, (make, hidden) in DATA.items():
        features, targets = (each[:300] for each in make())
        for way in WAYS:
            settings = {"data": data, "way": way, "seed": 0}
            weights, found = fit(settings, features, targets, hidden, count=1)
            results[f"{data}, {way}"] = {"results": found, "weights": summary(weights)}
    return results
