"""Train the CNN of the last chapter with any loss of the book, and tell how well it did.

From the command line, with one JSON object as the last line of the output::

    python -m lossbook.train --loss softmax_cross_entropy --optimizer adam --seed 0

From Python, :func:`train` does the same on arrays at hand. Everything random comes from the seed:
the network's first weights, and each epoch's order of the examples from the seed and the epoch. So
a run that was stopped and resumed makes the steps that an unbroken one makes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save
from tqdm import tqdm

from lossbook.checks import number
from lossbook.data import DataUnavailableError, load_mnist, resolve_source
from lossbook.loss import LOSSES
from lossbook.optim import SGD, Adam, AdamW, one_cycle
from lossbook.torch import CNN, as_torch

#: The peak learning rate that each optimiser takes if none is given.
RATES = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.1}
#: Epochs if none are given: the sample is 15 times smaller, so it is read more often.
EPOCHS = {"full": 3, "sample": 20}
#: In how many stretches of an epoch the training loss is averaged for the learning curve.
CURVE_POINTS = 20

#: The losses that can train the network: its outputs can be read as their prediction.
TRAINABLE = tuple(name for name, loss in LOSSES.items() if loss.prediction.read)


@dataclass(frozen=True)
class Settings:
    """All that decides a run, apart from the data."""

    loss: str = "softmax_cross_entropy"
    optimizer: str = "adam"
    epochs: int = EPOCHS["full"]
    batch_size: int = 64
    lr: float | None = None
    seed: int = 0

    def __post_init__(self):
        if self.loss not in TRAINABLE:
            raise ValueError(f"loss must be one of {', '.join(TRAINABLE)}, got {self.loss!r}")
        if self.optimizer not in RATES:
            raise ValueError(f"optimizer must be one of {', '.join(RATES)}, got {self.optimizer!r}")
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        rate = RATES[self.optimizer] if self.lr is None else self.lr
        object.__setattr__(self, "lr", number("lr", rate, 0, open_low=True))

    def build_optimizer(self, steps):
        """The optimiser, its learning rate a single cycle over all the steps."""
        rate = one_cycle(self.lr, max(steps, 2))
        match self.optimizer:
            case "sgd":
                return SGD(rate, momentum=0.9, nesterov=True)
            case "adam":
                return Adam(rate)
            case "adamw":
                return AdamW(rate)


@dataclass
class Run:
    """A trained network, what was measured after each epoch, and the seconds spent in training."""

    network: CNN
    history: list[dict]
    train_seconds: float


def as_inputs(images):
    """MNIST images, uint8 (N, 28, 28), as the network reads them: float32 (N, 1, 28, 28), 0-1."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"images must be uint8 of shape (N, 28, 28), got {images.dtype} of shape {images.shape}"
        )
    inputs = torch.from_numpy(images).to(torch.float32).unsqueeze(1) / 255
    # Channels last is the layout in which torch's convolutions on a CPU are quickest.
    return inputs.contiguous(memory_format=torch.channels_last)


def objective(name):
    """A function of the network's outputs and the class ids: the loss called `name`, averaged."""
    loss, criterion = LOSSES[name], as_torch(name)
    return lambda outputs, ids: criterion(*read_outputs(loss, outputs, ids))


def read_outputs(loss, outputs, ids):
    """The network's outputs and the class ids, as the prediction and the target of `loss`."""
    return loss.prediction.read(outputs), loss.target.written(ids, outputs.detach())


def training_step(network, loss, optimiser, state, inputs, ids):
    """One step on one batch: forward, backward, update; returns loss, outputs and state."""
    outputs = network(inputs)
    value = loss(outputs, ids)
    weights = dict(network.named_parameters())
    gradients = torch.autograd.grad(value, list(weights.values()))
    with torch.no_grad():
        gradients = dict(zip(weights, gradients, strict=True))
        updated, state = optimiser.update(weights, gradients, state)
        for key, weight in weights.items():
            weight.copy_(updated[key])
    return value.detach(), outputs.detach(), state


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


def train(images, labels, settings, *, validation=None, out=None, resume=False, progress=True):
    """Train a CNN on images and labels as :func:`lossbook.data.load_mnist` gives them.

    Parameters
    ----------
    settings : Settings
    validation : (images, labels) or None; where given, measured after each epoch
    out : folder or None; where given, ``metrics.jsonl`` and ``checkpoint.safetensors`` are written
        to it after each epoch, each whole or not at all
    resume : whether to go on from the checkpoint in `out`, if there is one
    progress : whether to show a progress bar

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If images and labels differ in number, or `out` holds a run of other settings or data, or
        holds any and `resume` is false.
    FloatingPointError
        If the loss becomes infinite or NaN: with another rate it might not.
    """
    if not 0 < len(images) == len(labels):
        raise ValueError(
            "images and labels must be equal in number and at least one, "
            f"got {len(images)} and {len(labels)}"
        )
    if resume and out is None:
        raise ValueError("resume=True needs out, the folder to resume from")
    network = CNN(settings.seed).to(memory_format=torch.channels_last)
    inputs, ids = as_inputs(images), torch.from_numpy(labels)
    batches = math.ceil(len(ids) / settings.batch_size)
    optimiser = settings.build_optimizer(settings.epochs * batches)
    state = optimiser.init({key: w.detach() for key, w in network.named_parameters()})
    loss, history, seconds = objective(settings.loss), [], 0.0
    store = Store(out, settings, images, labels) if out is not None else None
    if store:
        state, history, seconds = store.restore(network, state, resume)

    for epoch in range(len(history), settings.epochs):
        start = time.perf_counter()
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(ids))
        total, correct, curve = 0.0, 0, []
        with tqdm(
            range(0, len(ids), settings.batch_size),
            desc=f"epoch {epoch + 1}/{settings.epochs}",
            disable=not progress,
            leave=epoch + 1 == settings.epochs,
        ) as bar:
            for first in bar:
                batch = torch.from_numpy(order[first : first + settings.batch_size])
                value, outputs, state = training_step(
                    network, loss, optimiser, state, inputs[batch], ids[batch]
                )
                curve.append(value.item())
                total += value.item() * len(batch)
                correct += (outputs.argmax(-1) == ids[batch]).sum().item()
                if not math.isfinite(total):
                    raise FloatingPointError(
                        f"the loss became {value.item()} in epoch {epoch + 1} with "
                        f"lr={settings.lr}; try a smaller one"
                    )
                seen = min(first + settings.batch_size, len(ids))
                bar.set_postfix(
                    loss=f"{total / seen:.4f}", accuracy=f"{correct / seen:.4f}", refresh=False
                )
        seconds += time.perf_counter() - start
        row = {
            "epoch": epoch + 1,
            "train_loss": total / len(ids),
            "train_accuracy": correct / len(ids),
            "train_curve": [
                float(part.mean()) for part in np.array_split(curve, min(CURVE_POINTS, batches))
            ],
        }
        if validation is not None:
            measured = evaluate(network, settings.loss, *validation)
            row |= {f"validation_{key}": number for key, number in measured.items()}
        history.append(row)
        if store:
            store.save(network, state, history, seconds)
    return Run(network, history, seconds)


class Store:
    """The folder that a run writes to, so that it can be stopped at any moment and resumed."""

    def __init__(self, folder, settings, images, labels):
        self.folder = Path(folder)
        # Made at once: a folder that cannot be written should not cost an epoch to find out.
        self.folder.mkdir(parents=True, exist_ok=True)
        checksum = zlib.crc32(labels.tobytes(), zlib.crc32(images.tobytes()))
        self.about = {
            **asdict(settings),
            "examples": len(labels),
            "data": f"CRC-32 {checksum:08x}",
        }
        self.checkpoint = self.folder / "checkpoint.safetensors"
        self.metrics = self.folder / "metrics.jsonl"

    def save(self, network, state, history, seconds):
        """Write both files; the checkpoint last, so that it never runs ahead of the metrics."""
        tensors = {f"network.{key}": w.detach() for key, w in network.named_parameters()}
        for field, value in state._asdict().items():
            if field != "step":
                tensors |= {f"{field}.{key}": w for key, w in value.items()}
        progress = {"step": state.step, "history": history, "seconds": seconds}
        metadata = {"settings": json.dumps(self.about), "progress": json.dumps(progress)}
        lines = "".join(json.dumps(row) + "\n" for row in history)
        write_atomically(self.metrics, lines.encode())
        tensors = {key: w.contiguous() for key, w in tensors.items()}
        write_atomically(self.checkpoint, save(tensors, metadata))

    def restore(self, network, state, resume):
        """The state, history and seconds to go on from; the network's weights are set in place."""
        if not self.checkpoint.exists():
            return state, [], 0.0
        if not resume:
            raise ValueError(
                f"{self.folder} already holds a run; resume it with --resume, or choose another "
                "folder"
            )
        try:
            with safetensors.safe_open(self.checkpoint, "pt") as file:
                metadata = file.metadata() or {}
                # Copies: Windows cannot replace a file that a tensor still maps.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - not a dict
            about, progress = (json.loads(metadata[key]) for key in ("settings", "progress"))
        except (safetensors.SafetensorError, KeyError) as error:
            raise ValueError(
                f"{self.checkpoint} is damaged, or no checkpoint of this program ({error}); "
                "delete it to start anew"
            ) from None
        differing = [key for key in self.about if about.get(key) != self.about[key]]
        if differing:
            key = differing[0]
            raise ValueError(
                f"{self.folder} holds a run with {key}={about.get(key)!r}, "
                f"not {key}={self.about[key]!r}"
            )
        with torch.no_grad():
            for key, weight in network.named_parameters():
                weight.copy_(tensors[f"network.{key}"])
        restored = {
            field: {key: tensors[f"{field}.{key}"] for key in value}
            for field, value in state._asdict().items()
            if field != "step"
        }
        state = state._replace(step=progress["step"], **restored)
        return state, progress["history"], progress["seconds"]


def write_atomically(path, data):
    """Write bytes under a temporary name, then rename: a reader sees the old file or the new."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def main(arguments=None):
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    epochs = options.epochs
    try:
        settings = Settings(
            options.loss,
            options.optimizer,
            EPOCHS["full"] if epochs is None else epochs,
            options.batch_size,
            options.lr,
            options.seed,
        )
        if options.limit is not None and options.limit < 1:
            raise ValueError(f"limit must be an integer of at least 1, got {options.limit}")
        if options.resume and options.out is None:
            raise ValueError("--resume needs --out, the folder to resume from")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        source = resolve_source(options.source)
        if epochs is None:
            settings = replace(settings, epochs=EPOCHS[source])
        images, labels = load_mnist("train", source=source)
        run = train(
            images[: options.limit],
            labels[: options.limit],
            settings,
            out=options.out,
            resume=options.resume,
            progress=not options.quiet,
        )
        test = evaluate(run.network, settings.loss, *load_mnist("test", source=source))
    except (ValueError, OSError, FloatingPointError, DataUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    result = {
        **asdict(settings),
        "source": source,
        "examples": len(labels[: options.limit]),
        "train_seconds": round(run.train_seconds, 2),
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
    }
    print(json.dumps(result))
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m lossbook.train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--loss", default=Settings.loss, help=", ".join(TRAINABLE))
    parser.add_argument("--optimizer", default=Settings.optimizer, help=", ".join(RATES))
    parser.add_argument(
        "--epochs",
        type=int,
        help="passes over the data "
        f"({EPOCHS['full']} on the full data, {EPOCHS['sample']} on the sample)",
    )
    parser.add_argument("--batch-size", type=int, default=Settings.batch_size)
    rates = ", ".join(f"{name} {rate}" for name, rate in RATES.items())
    parser.add_argument("--lr", type=float, help=f"the cycle's peak learning rate ({rates})")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--source", default="auto", choices=("auto", "full", "sample"))
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for metrics and checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--limit", type=int, metavar="N", help="train on the first N images only")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


if __name__ == "__main__":
    sys.exit(main())
