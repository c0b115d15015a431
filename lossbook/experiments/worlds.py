"""Chapter 19: one network, every loss that can train it, in a world of its own making.

A world says how many images a seed draws from MNIST's 60,000 for training and for validation, and
what is wrong with them: four in ten labels flipped, rare classes, or few images. The test images
are MNIST's 10,000 in every world, with their true labels.

In its world every loss tries the same number of learning rates once, on a seed of its own, and is
scored by its answers to the validation images, whose labels are as bad as those it is trained on.
At the best rate it trains over further seeds, and those runs alone are shown the test images.
Within a seed all losses share images, flipped labels, initial weights and batches.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from lossbook.data import load_mnist
from lossbook.experiments.memorisation import flip
from lossbook.experiments.study import completed
from lossbook.experiments.trial import footprint
from lossbook.loss import LOSSES
from lossbook.metrics import expected_calibration_error, precision_recall_f1, reliability_curve
from lossbook.numerics import softmax
from lossbook.torch import CNN
from lossbook.train import Settings, fit_temperature, objective, predict, training_step
from lossbook.train.arrays import as_inputs, as_tensor

#: Every loss that can train the network, without those that are another one times a constant.
TRAINED = (
    "softmax_cross_entropy",
    "softmax_focal",
    "generalized_cross_entropy",
    "brier",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal",
    "squared_error",
    "absolute_error",
    "huber",
    "log_cosh",
    "multiclass_hinge",
    "perceptron",
    "hinge",
    "squared_hinge",
    "exponential",
)
#: What trains the network as another loss does, since its gradient is a multiple of the other's.
SAME_AS = {
    "half_squared_error": "squared_error",
    "smooth_l1": "huber",
    "quantile": "absolute_error",
    "logistic": "sigmoid_binary_cross_entropy",
    "categorical_cross_entropy": "softmax_cross_entropy",
}
BASELINE = "softmax_cross_entropy"
#: Adam's step does not depend on the size of the gradient, so one grid serves all losses.
ADAM_RATES = (1e-3, 3e-3, 1e-2, 3e-2)
#: SGD's rates for cross-entropy; those of another loss are as much larger as its gradient is
#: smaller.
SGD_RATES = (0.0075, 0.03, 0.12, 0.5)
#: Tuning runs use a seed of their own, so that no reported run was chosen for its luck.
TUNING_SEED = 100
#: The share of test images by which accuracy is followed from epoch to epoch.
FOLLOWED = slice(None, None, 4)
WORST = 20


@dataclass(frozen=True)
class World:
    """What a seed draws, how long it trains, and which losses are compared over how many seeds.

    Parameters
    ----------
    training, validation : how many images each has; of a common class, where some are rare
    epochs, batch_size : of every run
    compared : losses that train over `seeds` seeds and keep details of their probabilities
    seeds, other_seeds : over how many seeds the compared losses and the others train
    flipped : whether four in ten labels are replaced by another class
    rarity : how many times as rare as the even digits the odd ones are
    adam_rates : the learning rates that each loss tries under Adam
    sgd : whether SGD trains as well as Adam
    """

    training: int
    validation: int
    epochs: int
    batch_size: int
    compared: tuple[str, ...] = (BASELINE,)
    seeds: int = 20
    other_seeds: int = 3
    flipped: bool = False
    rarity: int = 1
    adam_rates: tuple[float, ...] = ADAM_RATES
    sgd: bool = False

    @property
    def grids(self):
        """The learning rates of each pair of loss and optimiser."""
        grids = {(loss, "adam"): self.adam_rates for loss in TRAINED}
        if self.sgd:
            grids |= {(loss, "sgd"): sgd_rates(loss) for loss in TRAINED}
        return grids

    def plan(self, done):
        """The tuning runs; once they are done, also the final runs at each pair's best rate."""
        tuning = [
            _settings("tune", *pair, rate, TUNING_SEED)
            for pair, rates in self.grids.items()
            for rate in rates
        ]
        tuned = completed(tuning, done)
        if tuned is None:
            return tuning
        best = best_rates(tuned)
        return tuning + [
            _settings("final", *pair, best[pair], seed)
            for seed in range(self.seeds)
            for pair in self.grids
            if seed < self.other_seeds or pair[0] in self.compared
        ]

    def draw(self, seed, images, labels):
        """A seed's images, true labels and recorded labels, each for training and validation."""
        rng = np.random.default_rng([seed, 19])
        order = rng.permutation(len(labels))
        # Where an image stands: among all, or among those of its class where some are rare.
        groups = [order]
        if self.rarity > 1:
            groups = [order[labels[order] == digit] for digit in range(10)]
        parts = [[], []]
        for digit, group in enumerate(groups):
            scarce = self.rarity if self.rarity > 1 and digit % 2 else 1
            first, second = self.training // scarce, self.validation // scarce
            parts[0].append(group[:first])
            parts[1].append(group[first : first + second])
        chosen = [rng.permutation(np.concatenate(part)) for part in parts]
        true = [labels[part] for part in chosen]
        recorded = [flip(part, rng) if self.flipped else part for part in true]
        return [images[part] for part in chosen], true, recorded

    def run(self, settings):
        """One run; a final one also on the test images."""
        data = self.draw(settings["seed"], *load_mnist("train", "full"))
        test = load_mnist("test", "full") if settings["stage"] == "final" else None
        return self.fit(settings, data, test)[1]

    def fit(self, settings, data, test=None):
        """Train a network on drawn data; returns it and what was measured."""
        images, true, recorded = data
        wrong = true[0] != recorded[0]
        network, history = CNN(settings["seed"]), []

        def after_epoch():
            row = {"accuracy": accuracy(predict(network, test[0][FOLLOWED]), test[1][FOLLOWED])}
            told = predict(network, images[0][wrong]).argmax(-1)
            row["memorised"] = float(np.mean(told == recorded[0][wrong]))
            history.append(row)

        follow = after_epoch if test is not None and self.flipped else None
        options = {key: value for key, value in settings.items() if key != "stage"}
        recipe = Settings(**options, epochs=self.epochs, batch_size=self.batch_size)
        if not follow_recipe(network, recipe, images[0], recorded[0], after_epoch=follow):
            # A rate too large to train with is a finding of the tuning, not a failure of the study.
            return network, {"diverged": True, "validation_accuracy": 0.0}
        outputs = predict(network, images[1])
        results = {"validation_accuracy": self.score(outputs, recorded[1])}
        if test is not None:
            seen = predict(network, test[0])
            results |= report(outputs, recorded[1], seen, test[1])
            if settings["loss"] in self.compared:
                results |= details(seen, test[1], results["temperature"])
        if follow:
            results |= {"history": history, "memorised": history[-1]["memorised"]}
        return network, results

    def score(self, outputs, labels):
        """By what rates are chosen: the accuracy, or its mean over classes where some are rare."""
        if self.rarity == 1:
            return accuracy(outputs, labels)
        recalls = precision_recall_f1(outputs.argmax(-1), labels, average="macro", undefined=0.0)
        return recalls.recall

    def trial(self, training, validation, epochs=2):
        """Each pair for an epoch or two of a few digits of the sample, in batches of 16."""
        images, labels = load_mnist("train", "sample")
        small = replace(self, training=training, validation=validation, epochs=epochs)
        small = replace(small, batch_size=16)
        data = small.draw(TUNING_SEED, images, labels)
        test = images[-60:], labels[-60:]
        results = {"rates": {" ".join(pair): list(rates) for pair, rates in self.grids.items()}}
        for pair, rates in self.grids.items():
            network, found = small.fit(_settings("final", *pair, rates[0], TUNING_SEED), data, test)
            # Of so few images a temperature may be at its end, and text is nothing to compare.
            kept = ("accuracy", "log_loss", "calibration_error", "history", "diverged")
            summary = {key: found[key] for key in kept if key in found}
            if "diverged" not in found:
                summary["weights"] = footprint(network)
            results[" ".join(pair)] = summary
        return results


def follow_recipe(
    network, recipe, images, labels, *, optimiser=None, after_epoch=None, augment=None
):
    """Train a network with a recipe, or with another optimiser than the recipe's.

    Returns whether its loss and its weights stayed finite.
    """
    if optimiser is None:
        steps = recipe.epochs * math.ceil(len(labels) / recipe.batch_size)
        optimiser = recipe.build_optimizer(steps)
    network.to(memory_format=torch.channels_last)
    loss, inputs, ids = objective(recipe.loss), as_inputs(images), as_tensor(labels)
    state = optimiser.init({key: w.detach() for key, w in network.named_parameters()})
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng([recipe.seed, epoch])
        order = rng.permutation(len(ids))
        for first in range(0, len(ids), recipe.batch_size):
            batch = torch.from_numpy(order[first : first + recipe.batch_size])
            pictures = inputs[batch] if augment is None else augment(inputs[batch], rng)
            value, _, state = training_step(network, loss, optimiser, state, pictures, ids[batch])
            if not torch.isfinite(value):
                return False
        if after_epoch:
            after_epoch()
    return all(bool(torch.isfinite(w).all()) for w in network.parameters())


def gradient_size(loss):
    """The mean length of a loss's gradient with respect to ten outputs that are small and random.

    >>> round(gradient_size("softmax_cross_entropy") / gradient_size("squared_error"), 1)
    4.6
    """
    rng = np.random.default_rng(0)
    outputs = torch.from_numpy(0.1 * rng.normal(size=(1000, 10))).requires_grad_()
    objective(loss, reduction="sum")(outputs, as_tensor(rng.integers(0, 10, 1000))).backward()
    sizes = outputs.grad.norm(dim=1)
    # A loss of the ten outputs one by one is averaged over them.
    values = 10 if LOSSES[loss].prediction.axes_of(outputs.detach()) == 0 else 1
    return float(sizes.mean()) / values


def sgd_rates(loss):
    """SGD's rates for a loss: a gradient that is half as long has rates that are twice as large."""
    ratio = gradient_size(BASELINE) / gradient_size(loss)
    return tuple(float(f"{rate * ratio:.1e}") for rate in SGD_RATES)


def best_rates(runs):
    """For each pair of loss and optimiser the rate with the best score on validation images."""
    scores = {}
    for entry in runs:
        settings = entry["settings"]
        if settings["stage"] == "tune":
            pair = settings["loss"], settings["optimizer"]
            scores.setdefault(pair, {})[settings["lr"]] = entry["results"]["validation_accuracy"]
    return {pair: max(of_rate, key=of_rate.get) for pair, of_rate in scores.items()}


def final_runs(study):
    """What the final runs of a stored study measured: pair of loss and optimiser to a list by seed.

    Each is a dict that also holds the run's ``seed`` and ``lr``.
    """
    found = {}
    final = [entry for entry in study["runs"] if entry["settings"]["stage"] == "final"]
    for entry in sorted(final, key=lambda entry: entry["settings"]["seed"]):
        settings = entry["settings"]
        kept = {key: settings[key] for key in ("seed", "lr")} | entry["results"]
        found.setdefault((settings["loss"], settings["optimizer"]), []).append(kept)
    return found


def accuracy(outputs, labels):
    """The share of rows whose largest output is that of their label."""
    return float(np.mean(outputs.argmax(-1) == labels))


def report(validation_outputs, validation_labels, outputs, labels):
    """What a final run makes of the test images.

    Outputs are read as logits under every loss, as they are and divided by the temperature that
    the validation images of the world ask for.
    """
    temperature = fit_temperature(validation_outputs, validation_labels)
    found = {"accuracy": accuracy(outputs, labels), "temperature": temperature}
    for suffix, scale in (("", 1.0), ("_scaled", temperature)):
        logits = outputs.astype(np.float64) / scale
        loss = LOSSES[BASELINE].value(logits, labels)
        gap = expected_calibration_error(softmax(logits), labels, strategy="quantile")
        found |= {f"log_loss{suffix}": float(loss), f"calibration_error{suffix}": gap}
    return _rounded(found) | {"right": packed(outputs.argmax(-1) == labels)}


def details(outputs, labels, temperature):
    """Claims and outcomes in bins of equal counts, and the images with the largest log loss."""
    found = {}
    for name, scale in (("bins", 1.0), ("bins_scaled", temperature)):
        probabilities = softmax(outputs.astype(np.float64) / scale)
        curve = reliability_curve(probabilities, labels, strategy="quantile")
        found[name] = [[_rounded(float(x)) for x in row] for row in curve]
    losses = LOSSES[BASELINE].value(outputs.astype(np.float64), labels, reduction="none")
    worst = np.argsort(-losses, kind="stable")[:WORST]
    answers = outputs.argmax(-1)
    found["worst"] = [[int(i), int(answers[i]), _rounded(float(losses[i]))] for i in worst]
    return found


def packed(flags):
    """Booleans as text, six a character.

    >>> unpacked(packed(np.array([True, False, True])), 3)
    array([ True, False,  True])
    """
    return base64.b64encode(np.packbits(flags).tobytes()).decode()


def unpacked(text, count):
    """The booleans that :func:`packed` made text of."""
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.unpackbits(data, count=count).astype(bool)


def _rounded(found):
    """Numbers with six digits, which is all that a table of them can use."""
    if isinstance(found, dict):
        return {key: _rounded(value) for key, value in found.items()}
    return float(f"{found:.6g}")


def _settings(stage, loss, optimizer, rate, seed):
    return {"stage": stage, "loss": loss, "optimizer": optimizer, "lr": rate, "seed": seed}
