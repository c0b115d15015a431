"""Train the CNN of the last chapter with any loss of the book, and tell how well it did.

    python -m lossbook.train --loss softmax_cross_entropy --optimizer adam --seed 0

The last line of the output is one JSON object. A run with --out can be stopped at any moment, and
goes on with --resume. Several processes train together, each on its share of every batch, where
torchrun starts them:

    torchrun --nproc-per-node=2 -m lossbook.train --loss softmax_cross_entropy
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from lossbook.data import DataUnavailableError, load_mnist, resolve_source
from lossbook.train.evaluation import evaluate
from lossbook.train.settings import EPOCHS, RATES, TRAINABLE, Settings
from lossbook.train.team import assembled
from lossbook.train.trainer import train


def main(arguments=None):
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    with assembled() as team:
        code, result = _run(options, team)
        if team.leads:
            print(result, file=sys.stderr if code else sys.stdout)
    return code


def _run(options, team):
    """The exit code and what to print: the result, or one line about what went wrong."""
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
        return 2, error
    try:
        with team.leader_first():
            source = resolve_source(options.source)
            images, labels = load_mnist("train", source=source)
            test = load_mnist("test", source=source)
        if epochs is None:
            settings = replace(settings, epochs=EPOCHS[source])
        run = train(
            images[: options.limit],
            labels[: options.limit],
            settings,
            out=options.out,
            resume=options.resume,
            progress=not options.quiet,
            team=team,
        )
        test = evaluate(run.network, settings.loss, *test)
    except (ValueError, OSError, FloatingPointError, DataUnavailableError) as error:
        return 1, error
    result = {
        **asdict(settings),
        "source": source,
        "examples": len(labels[: options.limit]),
        "processes": team.size,
        "train_seconds": round(run.train_seconds, 2),
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
    }
    return 0, json.dumps(result)


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
