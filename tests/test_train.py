"""Training: the command line, stopping and resuming at any moment, and that every loss learns."""

import dataclasses
import itertools
import json
import math
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbook import LOSSES, train
from lossbook.data import load_mnist
from lossbook.optim import SGD, Adam, AdamW, one_cycle
from lossbook.torch import CNN
from lossbook.train import __main__ as command_line
from lossbook.train import store, trainer
from lossbook.train.__main__ import main

SMALL = ("--source", "sample", "--limit", "300", "--batch-size", "64", "--quiet")


@pytest.fixture(scope="module")
def digits():
    """300 training digits: 5 batches of 64."""
    images, labels = load_mnist("train", source="sample")
    return images[:300], labels[:300]


@pytest.fixture
def settings():
    return train.Settings(epochs=3)


class Stopped(Exception):
    """What the tests stop a run with."""


def stop_after(monkeypatch, module, name, calls):
    """Let a function that a module calls work for some calls, then raise."""
    function, made = getattr(module, name), []

    def stopping(*args):
        if len(made) == calls:
            raise Stopped
        made.append(args)
        return function(*args)

    monkeypatch.setattr(module, name, stopping)


def weights_of(run):
    return [w.detach().clone() for w in run.network.parameters()]


def assert_same_run(one, other):
    assert one.history == other.history
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        assert torch.equal(a, b)


FILES = ["checkpoint.previous.safetensors", "checkpoint.safetensors", "metrics.jsonl"]


def assert_same_files(one, other):
    assert (one / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()
    for name in FILES[:2]:
        tensors = [safetensors.torch.load_file(folder / name) for folder in (one, other)]
        assert tensors[0].keys() == tensors[1].keys()
        assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0])
    assert sorted(p.name for p in one.iterdir()) == FILES


def command(*arguments):
    """The process of ``python -m lossbook.train``."""
    return subprocess.Popen(
        [sys.executable, "-m", "lossbook.train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LOSSBOOK_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )


def result_of(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


# The command line ---------------------------------------------------------------------------------


def test_the_command_ends_with_one_json_object():
    process = command("--source", "sample", "--limit", "500", "--epochs", "1", "--seed", "7")
    out, err = process.communicate()
    assert process.returncode == 0, err
    # A strict reader: NaN and Infinity are no JSON.
    result = json.loads(out.splitlines()[-1], parse_constant=pytest.fail)
    assert result | {"train_seconds": 0, "test_accuracy": 0, "test_loss": 0} == {
        "loss": "softmax_cross_entropy",
        "optimizer": "adam",
        "epochs": 1,
        "batch_size": 64,
        "lr": train.RATES["adam"],
        "seed": 7,
        "source": "sample",
        "examples": 500,
        "processes": 1,
        "train_seconds": 0,
        "test_accuracy": 0,
        "test_loss": 0,
    }
    assert result["train_seconds"] > 0
    # One short epoch is enough to beat guessing, 0.1, and not to be perfect.
    assert 0.2 < result["test_accuracy"] < 1
    assert 0 < result["test_loss"] < math.log(10)
    # The bar, with its running means, is on the other stream.
    assert "epoch 1/1" in err
    assert "loss=" in err
    assert "accuracy=" in err


@pytest.mark.parametrize(
    ("option", "valid"), [("--loss", train.TRAINABLE), ("--optimizer", tuple(train.RATES))]
)
def test_an_unknown_name_exits_with_2_and_one_line_of_valid_ones(option, valid):
    process = command(option, "nonsense", *SMALL)
    out, err = process.communicate()
    assert process.returncode == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(option.removeprefix("--") + " must be one of " + ", ".join(valid))
    assert "'nonsense'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss", "huber_grad"), "loss must be one of"),
        (("--loss", "poisson_nll"), "loss must be one of"),
        (("--limit", "0"), "limit must be an integer of at least 1, got 0"),
        (("--limit", "-5"), "limit must be an integer of at least 1, got -5"),
        (("--epochs", "0"), "epochs must be an integer of at least 1, got 0"),
        (("--batch-size", "0"), "batch_size must be an integer of at least 1, got 0"),
        (("--seed", "-1"), "seed must be an integer of at least 0, got -1"),
        (("--lr", "0"), "lr must be a number in (0, infinity), got 0.0"),
        (("--lr", "nan"), "lr must be a number in (0, infinity), got nan"),
        (("--lr", "inf"), "lr must be a number in (0, infinity), got inf"),
        (("--resume",), "--resume needs --out"),
    ],
)
def test_a_bad_option_exits_with_2_and_one_line(arguments, message, capsys):
    assert main([*SMALL, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--epochs", "many"), ("--source", "cloud"), ("--fast",)])
def test_what_cannot_be_parsed_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*SMALL, *arguments])
    assert exit_.value.code == 2
    assert arguments[0].removeprefix("-") in capsys.readouterr().err


def test_data_that_cannot_be_had_exit_with_1(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LOSSBOOK_DATA", str(tmp_path))
    monkeypatch.setattr("lossbook.data.mnist._cache_folder", lambda: tmp_path / "cache")
    assert main(["--source", "full", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "the full MNIST cannot be had" in captured.err


def test_the_sample_is_read_more_often(monkeypatch, capsys):
    seen = []

    def train_nothing(images, labels, settings, **options):
        seen.append(settings.epochs)
        return train.Run(CNN(), [], 0.0)

    monkeypatch.setattr(command_line, "train", train_nothing)
    assert main(["--source", "sample"]) == 0
    assert main(["--source", "sample", "--epochs", "3"]) == 0
    assert seen == [train.EPOCHS["sample"], 3]
    assert result_of(capsys)["epochs"] == 3


def test_the_command_judges_by_the_test_images(monkeypatch, capsys):
    network = CNN(seed=3)
    monkeypatch.setattr(command_line, "train", lambda *a, **k: train.Run(network, [], 0.0))
    assert main([*SMALL, "--loss", "brier"]) == 0
    expected = train.evaluate(network, "brier", *load_mnist("test", source="sample"))
    result = result_of(capsys)
    assert {"accuracy": result["test_accuracy"], "loss": result["test_loss"]} == expected


def test_quiet_is_quiet_and_a_bar_is_not(digits, settings, capsys):
    train.train(*digits, settings, progress=False)
    assert capsys.readouterr() == ("", "")
    train.train(*digits, settings)
    captured = capsys.readouterr()
    assert captured.out == ""
    # The first bar is cleared away, the last stays.
    assert re.search(r"epoch 3/3: 100%.*accuracy=0\.\d{4}, loss=\d\.\d{4}", captured.err)


# Settings and data --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "dice_roll"}, ValueError, "loss must be one of .*softmax_cross_entropy"),
        ({"optimizer": "rmsprop"}, ValueError, "optimizer must be one of adam, adamw, sgd"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer of at least 1, got 1.5"),
        ({"epochs": True}, TypeError, "epochs must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"seed": "0"}, TypeError, "seed must be an integer"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0, got -1"),
        ({"lr": "0.1"}, TypeError, "lr must be a number"),
        ({"lr": -0.1}, ValueError, "lr must be a number"),
    ],
)
def test_a_bad_setting_is_named(options, error, message):
    with pytest.raises(error, match=message):
        train.Settings(**options)


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (np.zeros((2, 28, 28), np.uint8), np.zeros(3, np.uint8), ValueError, "got 2 and 3"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), ValueError, "got 0 and 0"),
        (np.zeros((2, 28, 28)), np.zeros(2, np.uint8), ValueError, "uint8 .* got float64"),
        (np.zeros((2, 784), np.uint8), np.zeros(2, np.uint8), ValueError, r"shape \(2, 784\)"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(2), TypeError, "integer dtype"),
        (np.zeros((2, 28, 28), np.uint8), np.full(2, 10, np.uint8), ValueError, "got 10"),
    ],
)
def test_data_unlike_mnist_are_refused(images, labels, settings, error, message):
    with pytest.raises(error, match=message):
        train.train(images, labels, settings, progress=False)


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def backwards(array):
    return array[::-1].copy()[::-1]


def strided(array):
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 1] = array
    return wide[..., 1]


def swapped(array):
    return array.astype(array.dtype.newbyteorder("S"))


def as_type(dtype):
    return lambda array: array.astype(dtype)


IMAGES_IN_DISGUISE = [read_only, backwards, strided, np.asfortranarray, torch.from_numpy]
LABELS_IN_DISGUISE = [
    *IMAGES_IN_DISGUISE[:3],
    np.ndarray.tolist,
    torch.from_numpy,
    *map(as_type, ["i1", "u2", "u4", "u8", "i8", ">i4", ">u2"]),
]


@pytest.fixture(scope="module")
def plain_run(digits):
    """A short run on plain arrays, and what it is measured by."""
    images, labels = digits[0][:100], digits[1][:100]
    settings = train.Settings(epochs=1)
    run = train.train(images, labels, settings, validation=(images, labels), progress=False)
    return images, labels, settings, run, train.evaluate(run.network, "brier", images, labels)


@pytest.mark.parametrize("disguise", IMAGES_IN_DISGUISE)
def test_images_in_any_form(disguise, plain_run):
    images, labels, settings, run, measured = plain_run
    given = disguise(images)
    again = train.train(given, labels, settings, validation=(given, labels), progress=False)
    assert_same_run(run, again)
    assert train.evaluate(run.network, "brier", given, labels) == measured
    assert torch.equal(train.as_inputs(given), train.as_inputs(images))
    np.testing.assert_array_equal(
        train.predict(run.network, given), train.predict(run.network, images)
    )


@pytest.mark.parametrize("disguise", LABELS_IN_DISGUISE)
def test_labels_in_any_form(disguise, plain_run):
    images, labels, settings, run, measured = plain_run
    given = disguise(labels)
    again = train.train(images, given, settings, validation=(images, given), progress=False)
    assert_same_run(run, again)
    assert train.evaluate(run.network, "brier", images, given) == measured


def test_a_run_is_resumed_with_its_labels_in_another_form(plain_run, tmp_path):
    images, labels, settings, run, _ = plain_run
    options = {"validation": (images, labels), "out": tmp_path, "progress": False}
    train.train(images, labels, settings, **options)
    again = train.train(images, labels.tolist(), settings, resume=True, **options)
    assert_same_run(run, again)


IMAGES, LABELS = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (np.ma.array(IMAGES), LABELS, TypeError, "images must be a plain array, got MaskedArray"),
        (IMAGES, np.ma.array(LABELS), TypeError, "labels must be a plain array, got MaskedArray"),
        (IMAGES, np.ma.masked_equal(LABELS, 0), TypeError, "its mask would be lost; pass"),
        (IMAGES.astype(np.int8), LABELS, ValueError, "images must be uint8 .* got int8"),
        (IMAGES.astype(bool), LABELS, ValueError, "images must be uint8 .* got bool"),
        (IMAGES.tolist(), LABELS, ValueError, "images must be uint8 .* got int64"),
        (IMAGES[0], LABELS, ValueError, r"images must be uint8 .* shape \(28, 28\)"),
        (IMAGES[:, None], LABELS, ValueError, r"images must be uint8 .* shape \(2, 1, 28, 28\)"),
        (IMAGES[..., :27], LABELS, ValueError, r"images must be uint8 .* shape \(2, 28, 27\)"),
        (None, LABELS, ValueError, "images must be uint8 .* got object"),
        ([], [], ValueError, "images must be uint8 of shape"),
        (
            IMAGES[:0],
            [],
            ValueError,
            "images and labels must be equal .* at least one, got 0 and 0",
        ),
        (IMAGES[:0], LABELS[:0], ValueError, "at least one, got 0 and 0"),
        (IMAGES, LABELS[:1], ValueError, "images and labels must be equal .* got 2 and 1"),
        (
            IMAGES,
            [0.0, 1.0],
            TypeError,
            "labels must be class ids of an integer dtype, got float64",
        ),
        (IMAGES, LABELS.astype(bool), TypeError, "labels must be class ids .* got bool"),
        (IMAGES, ["3", "5"], TypeError, "labels must be class ids of an integer dtype, got <U1"),
        (
            IMAGES,
            np.eye(10, dtype=int)[:2],
            ValueError,
            r"labels must be of shape \(N,\), got shape",
        ),
        (
            IMAGES,
            LABELS[:, None],
            ValueError,
            r"labels must be of shape \(N,\), got shape \(2, 1\)",
        ),
        (IMAGES, 3, ValueError, r"labels must be of shape \(N,\), got shape \(\)"),
        (IMAGES, [0, -1], ValueError, r"labels must be class ids in \[0, 9\], got -1"),
        (IMAGES, [10, 0], ValueError, r"labels must be class ids in \[0, 9\], got 10"),
        (IMAGES, np.array([2**64 - 1, 0], np.uint64), ValueError, f"got {2**64 - 1}"),
        (IMAGES, np.array([256, 0], np.uint16), ValueError, r"labels .* got 256"),
    ],
)
def test_digits_of_another_kind_are_named(images, labels, error, message, settings):
    network = CNN()
    with pytest.raises(error, match=message):
        train.train(images, labels, settings, progress=False)
    with pytest.raises(error, match=message):
        train.evaluate(network, "squared_error", images, labels)
    # Before an epoch is spent, and named as what they are.
    with pytest.raises(error, match="validation "):
        train.train(IMAGES, LABELS, settings, validation=(images, labels), progress=False)
    if message.startswith("images must"):
        with pytest.raises(error, match=message):
            train.predict(network, images)
        with pytest.raises(error, match=message):
            train.as_inputs(images)


@pytest.mark.parametrize("images", [IMAGES[:0], torch.from_numpy(IMAGES)[:0]])
def test_of_no_images_there_are_no_outputs(images):
    outputs = train.predict(CNN(), images)
    assert outputs.shape == (0, 10)
    assert outputs.dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, np.uint8(200), np.int8(100), np.uint64(7), 10**30])
def test_any_whole_number_is_a_batch_size(batch_size, digits):
    network = CNN()
    outputs = train.predict(network, digits[0], batch_size)
    # Sums of float32 products, in an order that depends on the size of a batch.
    np.testing.assert_allclose(outputs, train.predict(network, digits[0]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "10", np.float64(10), None])
def test_a_batch_size_that_is_none_is_named(batch_size):
    with pytest.raises((TypeError, ValueError), match="batch_size must be an integer of at least"):
        train.predict(CNN(), IMAGES, batch_size)


@pytest.mark.parametrize("name", train.TRAINABLE)
@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (torch.tensor([0, 10]), ValueError, r"class ids in \[0, 9\], got 10"),
        (torch.tensor([-1, 0]), ValueError, r"class ids in \[0, 9\], got -1"),
        (torch.tensor([0.0, 1.0]), TypeError, "integer dtype"),
        (torch.tensor([0, 1, 2]), ValueError, "labels has shape"),
    ],
)
def test_ids_that_no_output_answers_are_refused(name, ids, error, message):
    with pytest.raises(error, match=message):
        train.objective(name)(torch.full((2, 10), 0.1), ids)


def test_images_become_numbers_from_0_to_1():
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 3, 5] = 255
    inputs = train.as_inputs(images)
    assert inputs.shape == (2, 1, 28, 28)
    assert inputs.dtype == torch.float32
    assert inputs.sum() == inputs[1, 0, 3, 5] == 1


@pytest.mark.parametrize("name", train.TRAINABLE)
def test_outputs_and_ids_are_read_as_the_loss_wants_them(name):
    outputs, ids = torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([1])
    prediction, target = train.read_outputs(LOSSES[name], outputs, ids)
    kind = LOSSES[name].prediction.name
    expected = [[0.0, 1.0, 0.0]]
    if kind == "class logits":
        expected = [1]
    elif kind == "score":
        expected = [[-1.0, 1.0, -1.0]]
    assert target.tolist() == expected
    if kind == "class probabilities":
        assert prediction.sum() == pytest.approx(1, abs=1e-6)  # float32
        assert prediction.argmax() == 1
    else:
        assert prediction is outputs


# Learning -----------------------------------------------------------------------------------------


def test_a_run_is_its_settings(digits):
    one, same, other = (
        train.train(*digits, train.Settings(epochs=1, seed=seed), progress=False)
        for seed in (0, 0, 1)
    )
    assert_same_run(one, same)
    assert one.history != other.history
    assert one.train_seconds > 0


def test_each_epoch_has_its_own_order_and_the_seed_decides_it(digits, monkeypatch):
    seen = []

    def look(network, loss, optimiser, state, inputs, ids):
        seen.append(ids)
        return torch.tensor(0.0), torch.zeros(len(ids), 10), state

    monkeypatch.setattr(trainer, "training_step", look)
    for seed in (0, 0, 1):
        train.train(*digits, train.Settings(epochs=2, seed=seed), progress=False)
    epochs = [torch.cat(seen[i : i + 5]) for i in range(0, 30, 5)]
    assert [len(ids) for ids in seen[:5]] == [64, 64, 64, 64, 44]
    for ids in epochs:
        assert torch.equal(ids.sort().values, torch.from_numpy(digits[1]).sort().values)
    assert torch.equal(torch.cat(epochs[:2]), torch.cat(epochs[2:4]))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[4])


@pytest.mark.parametrize("name", train.TRAINABLE)
def test_every_loss_learns_a_few_digits(name, digits):
    inputs, ids = train.as_inputs(digits[0][:32]), torch.from_numpy(digits[1][:32])
    network, loss = CNN(seed=0), train.objective(name)
    optimiser = train.Settings(name, "adam", lr=1e-3).build_optimizer(25)
    state = optimiser.init({key: w.detach() for key, w in network.named_parameters()})
    losses = []
    for _ in range(25):
        value, outputs, state = train.training_step(network, loss, optimiser, state, inputs, ids)
        losses.append(value.item())
    assert losses[-1] < 0.7 * losses[0]
    assert outputs.shape == (32, 10)


@pytest.mark.parametrize("optimizer", train.RATES)
def test_every_optimiser_learns(optimizer, digits):
    held_out = tuple(part[:200] for part in load_mnist("test", source="sample"))
    run = train.train(
        *digits, train.Settings(optimizer=optimizer, epochs=6), validation=held_out, progress=False
    )
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5, 6]
    first, last = run.history[0], run.history[-1]
    assert last["train_loss"] < 0.5 * first["train_loss"]
    assert last["train_accuracy"] > 0.8
    assert last["validation_accuracy"] > 0.7
    measured = train.evaluate(run.network, "softmax_cross_entropy", *held_out)
    assert {f"validation_{key}": number for key, number in measured.items()}.items() <= last.items()


@pytest.mark.parametrize(
    ("batch_size", "examples"),
    [
        (64, [64]),
        (24, [24, 24, 16]),
        # 64 steps are split into four stretches of 4 and sixteen of 3.
        (1, [4] * 4 + [3] * 16),
    ],
)
def test_the_curve_averages_stretches_of_the_epoch(batch_size, examples, digits):
    images, labels = digits[0][:64], digits[1][:64]
    settings = train.Settings(epochs=1, batch_size=batch_size)
    (row,) = train.train(images, labels, settings, progress=False).history
    assert len(row["train_curve"]) == len(examples) <= trainer.CURVE_POINTS
    # The same numbers, added in another order.
    mean = np.average(row["train_curve"], weights=examples)
    assert mean == pytest.approx(row["train_loss"], rel=1e-13)


def test_a_short_batch_is_averaged_over_its_own_examples(digits, monkeypatch):
    taken = []

    class Still(SGD):
        """Makes no step, and notes down the gradients."""

        def update(self, params, grads, state):
            taken.append(grads)
            return params, state

    monkeypatch.setattr(train.Settings, "build_optimizer", lambda self, steps: Still(0.1))
    settings = train.Settings(epochs=1, batch_size=200)
    run = train.train(*digits, settings, progress=False)
    order = np.random.default_rng([0, 0]).permutation(300)
    inputs, ids = train.as_inputs(digits[0]), torch.from_numpy(digits[1]).long()
    for grads, batch in zip(taken, (order[:200], order[200:]), strict=True):
        loss = torch.nn.functional.cross_entropy(run.network(inputs[batch]), ids[batch])
        expected = torch.autograd.grad(loss, list(run.network.parameters()))
        for ours, theirs in zip(grads.values(), expected, strict=True):
            # Sums of some 1e5 float32 products that partly cancel, against the largest of them.
            atol = 1e-5 * theirs.abs().max().item()
            torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("sgd", SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0}),
        ("adam", Adam, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
        ("adamw", AdamW, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
    ],
)
def test_a_name_stands_for_one_optimiser_under_one_cycle(name, kind, options):
    built = train.Settings(optimizer=name, lr=0.2).build_optimizer(40)
    assert type(built) is kind
    assert {key: getattr(built, key) for key in options} == options
    rate = one_cycle(0.2, 40)
    assert [built.lr(step) for step in range(40)] == [rate(step) for step in range(40)]


@pytest.mark.parametrize("steps", [1, 5])
def test_the_cycle_spans_all_steps_of_the_run(steps, digits, monkeypatch):
    asked = []
    monkeypatch.setattr(
        train.Settings, "build_optimizer", lambda self, steps: asked.append(steps) or SGD(0.1)
    )
    settings = train.Settings(epochs=2, batch_size=64 if steps == 5 else 300)
    train.train(*digits, settings, progress=False)
    assert asked == [2 * steps]


def test_settings_take_the_integers_of_numpy():
    settings = train.Settings(epochs=np.int64(2), batch_size=np.uint8(200), seed=np.int32(1))
    assert settings == train.Settings(epochs=2, batch_size=200, seed=1)
    # A checkpoint names the settings in JSON, which has no numbers of NumPy.
    assert json.loads(json.dumps(dataclasses.asdict(settings)))["batch_size"] == 200


def test_training_takes_the_books_gradient(digits, monkeypatch):
    right = LOSSES["softmax_cross_entropy"]
    upside_down = dataclasses.replace(
        right, gradient=lambda *a, **k: -right.gradient(*a, **k), joint=None
    )
    monkeypatch.setitem(LOSSES, "softmax_cross_entropy", upside_down)
    settings = train.Settings(optimizer="sgd", epochs=2, lr=0.01)
    run = train.train(*digits, settings, progress=False)
    assert run.history[-1]["train_loss"] > math.log(10)


def test_accuracy_and_loss_are_those_of_the_images(digits):
    network = CNN(seed=0)
    outputs = train.predict(network, digits[0], batch_size=77)
    assert outputs.dtype == np.float32
    # Sums of float32 products, in an order that depends on the size of a batch.
    np.testing.assert_allclose(outputs, train.predict(network, digits[0]), rtol=1e-4, atol=1e-5)
    outputs = outputs.astype(float)
    for name, target in (
        ("softmax_cross_entropy", digits[1]),
        ("squared_error", np.eye(10)[digits[1]]),
        ("hinge", 2 * np.eye(10)[digits[1]] - 1),
    ):
        measured = train.evaluate(network, name, *digits)
        assert measured["accuracy"] == np.mean(outputs.argmax(-1) == digits[1])
        expected = LOSSES[name].value(outputs, target)
        assert measured["loss"] == pytest.approx(expected, rel=1e-5)  # float32


def test_a_rate_far_too_large_says_so(digits, capsys):
    settings = train.Settings("squared_error", "sgd", epochs=2, lr=1e6)
    with pytest.raises(FloatingPointError, match=r"in epoch 1 with lr=1000000\.0; try a smaller"):
        train.train(*digits, settings, progress=False)
    options = ("--loss", "squared_error", "--optimizer", "sgd", "--lr", "1e6", "--epochs", "2")
    assert main([*SMALL, *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "try a smaller" in captured.err


# Stopping and resuming ----------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", train.RATES)
@pytest.mark.parametrize("steps", [2, 5, 8])  # in epoch 1, after it, in epoch 2
def test_a_stopped_run_resumes_as_if_unbroken(optimizer, steps, digits, tmp_path, monkeypatch):
    settings = train.Settings(optimizer=optimizer, epochs=3)
    options = {"validation": (digits[0][:50], digits[1][:50]), "progress": False}
    unbroken = train.train(*digits, settings, out=tmp_path / "unbroken", **options)
    with monkeypatch.context() as patch:
        stop_after(patch, trainer, "training_step", steps)
        with pytest.raises(Stopped):
            train.train(*digits, settings, out=tmp_path / "broken", **options)
    resumed = train.train(*digits, settings, out=tmp_path / "broken", resume=True, **options)
    assert_same_run(unbroken, resumed)
    assert_same_files(tmp_path / "broken", tmp_path / "unbroken")
    lines = (tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == unbroken.history
    assert len(lines) == 3


@pytest.mark.parametrize("writes", range(6))  # two an epoch
def test_stopped_before_any_write_it_resumes(writes, digits, settings, tmp_path, monkeypatch):
    unbroken = train.train(*digits, settings, progress=False)
    with monkeypatch.context() as patch:
        stop_after(patch, store, "write_atomically", writes)
        with pytest.raises(Stopped):
            train.train(*digits, settings, out=tmp_path, progress=False)
    resumed = train.train(*digits, settings, out=tmp_path, resume=True, progress=False)
    assert_same_run(unbroken, resumed)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == unbroken.history


def test_the_seconds_of_all_epochs_are_added_up(digits, tmp_path, monkeypatch):
    # A clock that goes on by a second whenever it is looked at: before and after each epoch.
    clock = SimpleNamespace(perf_counter=itertools.count().__next__)
    monkeypatch.setattr(trainer, "time", clock)
    options = {"out": tmp_path, "resume": True, "progress": False}
    with monkeypatch.context() as patch:
        stop_after(patch, trainer, "training_step", 12)
        with pytest.raises(Stopped):
            train.train(*digits, train.Settings(epochs=4), **options)
    assert train.train(*digits, train.Settings(epochs=4), **options).train_seconds == 4


def test_a_killed_process_resumes_as_if_unbroken(tmp_path, capsys):
    arguments = (*SMALL, "--epochs", "12", "--optimizer", "sgd")
    assert main([*arguments, "--out", str(tmp_path / "unbroken")]) == 0
    unbroken = result_of(capsys)

    folder = tmp_path / "broken"
    process = command(*arguments, "--out", str(folder))
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode != 0, "it was finished before it could be killed"
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    assert 1 <= len(rows) < 12
    for unfinished in folder.glob("*.tmp"):
        unfinished.unlink()

    assert main([*arguments, "--out", str(folder), "--resume"]) == 0
    assert result_of(capsys) | {"train_seconds": 0} == unbroken | {"train_seconds": 0}
    assert_same_files(folder, tmp_path / "unbroken")


def test_a_finished_run_is_only_evaluated(tmp_path, monkeypatch, capsys):
    arguments = [*SMALL, "--epochs", "1", "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = result_of(capsys)
    stop_after(monkeypatch, trainer, "training_step", 0)
    assert main([*arguments, "--resume"]) == 0
    assert result_of(capsys) == first


def test_a_folder_with_a_run_is_not_overwritten(tmp_path, capsys):
    arguments = [*SMALL, "--epochs", "1", "--out", str(tmp_path)]
    assert main(arguments) == 0
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    capsys.readouterr()
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "already holds a run; resume it with --resume" in captured.err
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss", "brier"), "loss='softmax_cross_entropy', not loss='brier'"),
        (("--optimizer", "sgd"), "optimizer='adam', not optimizer='sgd'"),
        (("--epochs", "3"), "epochs=2, not epochs=3"),
        (("--batch-size", "32"), "batch_size=64, not batch_size=32"),
        (("--lr", "0.001"), "lr=0.003, not lr=0.001"),
        (("--seed", "1"), "seed=0, not seed=1"),
        (("--limit", "299"), "examples=300, not examples=299"),
    ],
)
def test_a_run_of_other_settings_is_not_resumed(arguments, message, finished, capsys):
    options = [*SMALL, "--epochs", "2", "--out", str(finished), "--resume", *arguments]
    assert main(options) == 1
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, to be read only."""
    folder = tmp_path_factory.mktemp("finished")
    assert main([*SMALL, "--epochs", "2", "--out", str(folder)]) == 0
    return folder


def test_a_run_of_another_network_is_not_resumed(finished, digits, monkeypatch):
    monkeypatch.setattr(trainer, "CNN", lambda seed: torch.nn.Sequential(CNN(seed)))
    with pytest.raises(ValueError, match="holds a run of another network or optimiser"):
        train.train(*digits, train.Settings(epochs=2), out=finished, resume=True, progress=False)


@pytest.mark.parametrize("changed", ["images", "labels"])
def test_a_run_on_other_data_is_not_resumed(changed, finished, digits):
    images, labels = digits[0].copy(), digits[1].copy()
    if changed == "images":
        images[0, 0, 0] += 1
    else:
        labels[0] = (labels[0] + 1) % 10
    settings = train.Settings(epochs=2)
    train.train(*digits, settings, out=finished, resume=True, progress=False)
    with pytest.raises(ValueError, match=r"holds a run with data='CRC-32 [0-9a-f]{8}', not data="):
        train.train(images, labels, settings, out=finished, resume=True, progress=False)


def cut(share):
    return lambda content: content[: int(share * len(content))]


def flipped(place):
    """A byte changed: at a share of the length, or near one of the words in the header."""

    def damaged(content):
        at = int(place * len(content)) if isinstance(place, float) else content.index(place)
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return damaged


#: The header is the first few of a hundred parts, and the numbers are the rest.
DAMAGES = {
    **{f"cut at {share}": cut(share) for share in (0.0, 1e-5, 1e-3, 0.01, 0.5, 0.999999)},
    **{f"flipped at {place}": flipped(place) for place in (0.0, 5e-6, 1e-5, 0.1, 0.5, 0.999999)},
    **{f"flipped {word}": flipped(word) for word in (b"train_loss", b"seed", b"CRC-32", b"F32")},
    "flipped a digit": flipped(b"1, "),
    "longer": lambda content: content + b"0",
    "noughts": lambda content: bytes(len(content)),
    "replaced": lambda content: b"<html>not found</html>",
    "foreign": lambda content: safetensors.torch.save({"weight": torch.zeros(2)}),
    "without words": lambda content: safetensors.torch.save(safetensors.torch.load(content)),
}


@pytest.fixture
def copy_of_finished(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(damage, finished, copy_of_finished, digits, capsys):
    newest, previous = (copy_of_finished / name for name in (FILES[1], FILES[0]))
    newest.write_bytes(damage(newest.read_bytes()))
    before = previous.read_bytes()
    settings = train.Settings(epochs=2)
    train.train(*digits, settings, out=copy_of_finished, resume=True, progress=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"{newest} is damaged, or no checkpoint of this program (")
    assert captured.err.endswith(f"going on from {previous.name}\n")
    # The last epoch was made again, and the damaged file did not take the place of the sound one.
    assert_same_files(finished, copy_of_finished)
    assert previous.read_bytes() == before
    train.train(*digits, settings, out=copy_of_finished, resume=True, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("both", [True, False])
def test_without_a_sound_checkpoint_the_run_is_refused(damage, both, copy_of_finished, digits):
    newest, previous = (copy_of_finished / name for name in (FILES[1], FILES[0]))
    damaged = damage(newest.read_bytes())
    newest.write_bytes(damaged)
    if both:
        previous.write_bytes(damage(previous.read_bytes()))
    else:
        previous.unlink()
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged, or no ch") as caught:
        train.train(
            *digits, train.Settings(epochs=2), out=copy_of_finished, resume=True, progress=False
        )
    assert (f"{previous} is damaged" in str(caught.value)) is both
    remedy = f"{newest.name} and {previous.name}" if both else newest.name
    assert str(caught.value).endswith(f"; delete {remedy} to start anew")
    assert newest.read_bytes() == damaged


@pytest.mark.parametrize("optimizer", train.RATES)
@pytest.mark.parametrize("epochs", [2, 3])
def test_from_the_one_before_it_goes_on_as_if_unbroken(
    optimizer, epochs, digits, tmp_path, monkeypatch
):
    settings = train.Settings(optimizer=optimizer, epochs=4)
    options = {"validation": (digits[0][:50], digits[1][:50]), "progress": False}
    unbroken = train.train(*digits, settings, out=tmp_path / "unbroken", **options)
    with monkeypatch.context() as patch:
        stop_after(patch, trainer, "training_step", 5 * epochs + 2)
        with pytest.raises(Stopped):
            train.train(*digits, settings, out=tmp_path / "broken", **options)
    newest = tmp_path / "broken" / "checkpoint.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    steps = []
    with monkeypatch.context() as patch:
        step = trainer.training_step
        patch.setattr(trainer, "training_step", lambda *args: steps.append(1) or step(*args))
        resumed = train.train(*digits, settings, out=tmp_path / "broken", resume=True, **options)
    assert len(steps) == 5 * (4 - epochs + 1)
    assert_same_run(unbroken, resumed)
    assert_same_files(tmp_path / "broken", tmp_path / "unbroken")


def test_a_missing_newest_checkpoint_is_told_of(copy_of_finished, finished, digits, capsys):
    (copy_of_finished / FILES[1]).unlink()
    settings = train.Settings(epochs=2)
    with pytest.raises(ValueError, match="already holds a run"):
        train.train(*digits, settings, out=copy_of_finished, progress=False)
    train.train(*digits, settings, out=copy_of_finished, resume=True, progress=False)
    expected = f"{copy_of_finished / FILES[1]} is missing; going on from {FILES[0]}\n"
    assert capsys.readouterr().err == expected
    assert_same_files(finished, copy_of_finished)


def test_a_newest_checkpoint_that_cannot_be_read(copy_of_finished, digits, capsys):
    newest = copy_of_finished / FILES[1]
    newest.unlink()
    newest.mkdir()
    stored = (copy_of_finished / FILES[0]).read_bytes()
    settings = train.Settings(epochs=2)
    # A folder cannot be replaced, but what it hides is found and left as it is.
    with pytest.raises(OSError, match=re.escape(newest.name)):
        train.train(*digits, settings, out=copy_of_finished, resume=True, progress=False)
    assert f"going on from {FILES[0]}" in capsys.readouterr().err
    assert (copy_of_finished / FILES[0]).read_bytes() == stored


# An epoch renames the metrics and the new checkpoint, and from the second on, in between, the old.
@pytest.mark.parametrize("renames", range(8))
def test_stopped_before_any_rename_it_resumes(renames, digits, settings, tmp_path, monkeypatch):
    unbroken = train.train(*digits, settings, out=tmp_path / "unbroken", progress=False)
    folder = tmp_path / "broken"
    with monkeypatch.context() as patch:
        stop_after(patch, store, "_rename", renames)
        with pytest.raises(Stopped):
            train.train(*digits, settings, out=folder, progress=False)
    for unfinished in folder.glob("*.tmp"):
        unfinished.unlink()
    resumed = train.train(*digits, settings, out=folder, resume=True, progress=False)
    assert_same_run(unbroken, resumed)
    assert_same_files(folder, tmp_path / "unbroken")


@pytest.mark.parametrize("renames", range(3))
def test_stopped_after_a_damage_it_resumes(
    renames, copy_of_finished, finished, digits, monkeypatch
):
    # Until the damaged checkpoint is replaced, the sound one before it must not be.
    newest = copy_of_finished / FILES[1]
    newest.write_bytes(newest.read_bytes()[:1000])
    options = {"out": copy_of_finished, "resume": True, "progress": False}
    with monkeypatch.context() as patch:
        stop_after(patch, store, "_rename", renames)
        if renames < 2:
            with pytest.raises(Stopped):
                train.train(*digits, train.Settings(epochs=2), **options)
        else:
            train.train(*digits, train.Settings(epochs=2), **options)
    for unfinished in copy_of_finished.glob("*.tmp"):
        unfinished.unlink()
    train.train(*digits, train.Settings(epochs=2), **options)
    assert_same_files(finished, copy_of_finished)


def test_the_state_keeps_a_type_of_its_own(tmp_path, digits):
    """An optimiser may keep float32 beside weights of a half type."""
    network = CNN().bfloat16()
    state = Adam().init({key: w.detach().float() for key, w in network.named_parameters()})
    state = state._replace(step=3, mean={key: w + 0.1 for key, w in state.mean.items()})
    kept = store.Store(tmp_path, train.Settings(), *digits)
    kept.save(network, state, [{"epoch": 1}], 2.0)
    again = CNN(seed=1).bfloat16()
    zeros = Adam().init({key: w.detach() for key, w in again.named_parameters()})
    restored, history, seconds = kept.restore(again, zeros, resume=True)
    assert (restored.step, history, seconds) == (3, [{"epoch": 1}], 2.0)
    for key, w in state.mean.items():
        assert torch.equal(restored.mean[key], w)
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_resuming_needs_a_folder(digits, settings):
    with pytest.raises(ValueError, match="resume=True needs out"):
        train.train(*digits, settings, resume=True)


def test_a_folder_that_cannot_be_made_is_found_out_before_training(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    stop_after(monkeypatch, trainer, "training_step", 0)
    assert main([*SMALL, "--out", str(tmp_path / "file")]) == 1
    assert "file" in capsys.readouterr().err


def test_a_write_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    store.write_atomically(path, b"old")
    store.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]

    def full_disk(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        store.write_atomically(path, b"newer", tmp_path / "previous")
    assert path.read_text() == "new"
    assert not (tmp_path / "previous").exists()


def test_a_write_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, previous, done = tmp_path / "file", tmp_path / "previous", []
    store.write_atomically(path, b"old")
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        done.append("folder" if is_folder else f"{os.fstat(descriptor).st_size} bytes")
        sync(descriptor)

    def noted_replace(source, target):
        done.append(f"named {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    store.write_atomically(path, b"newer", previous)
    folder = ["folder"] if os.name == "posix" else []
    assert done == ["5 bytes", "named previous", *folder, "named file", *folder]
    assert (previous.read_bytes(), path.read_bytes()) == (b"old", b"newer")


def test_a_folder_that_cannot_be_synced_is_written_to(tmp_path, monkeypatch):
    sync = os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError("invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    store.write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


# The temperature ----------------------------------------------------------------------------------


def drawn_outputs(seed, scale):
    """Outputs that say something of their ids, and overstate or understate it."""
    rng = np.random.default_rng(seed)
    count, classes = rng.integers(20, 60), rng.integers(2, 12)
    outputs = rng.normal(size=(count, classes))
    ids = (outputs + rng.normal(size=outputs.shape)).argmax(1)
    return scale * outputs, ids


def nearest_temperature(outputs, ids):
    """Where the loss's slope is 0, by halving in 40 digits."""
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(z)) for z in row] for row in outputs]

        def slope(temperature):
            total = 0
            for row, own in zip(rows, ids, strict=True):
                parts = [mpmath.exp((z - max(row)) / temperature) for z in row]
                total += mpmath.fdot(parts, row) / mpmath.fsum(parts) - row[own]
            return total

        low, high = mpmath.mpf("1e-4"), mpmath.mpf("1e4")
        assert slope(low) > 0 > slope(high)
        for _ in range(60):
            middle = mpmath.sqrt(low * high)
            low, high = (middle, high) if slope(middle) > 0 else (low, middle)
        return float(low)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 30.0, 1e3])
def test_a_temperature_is_where_the_loss_has_no_slope(scale):
    outputs, ids = drawn_outputs(int(1000 * scale), scale)
    found = train.fit_temperature(outputs, ids)
    assert found == pytest.approx(nearest_temperature(outputs, ids), rel=1e-10)
    # The loss is lowest there of all the temperatures that it may have.
    loss = LOSSES["softmax_cross_entropy"].value
    least = loss(outputs / found, ids)
    assert all(least <= loss(outputs / t, ids) for t in np.geomspace(1e-4, 1e4, 500))


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(-1e4, 1e4))
def test_a_temperature_changes_with_the_scale_and_nothing_else(seed, power, added):
    outputs, ids = drawn_outputs(seed, 1.0)
    found = train.fit_temperature(outputs, ids)
    scaled = train.fit_temperature(10**power * outputs, ids)
    assert scaled == pytest.approx(np.clip(10**power * found, 1e-4, 1e4), rel=1e-9)
    # Sums of 1e4 and 1 are rounded to 1e-12.
    moved = train.fit_temperature(outputs + added, ids)
    assert moved == pytest.approx(found, rel=1e-8)
    order = np.random.default_rng(seed).permutation(len(ids))
    assert train.fit_temperature(outputs[order], ids[order]) == found
    np.testing.assert_array_equal((outputs / found).argmax(1), outputs.argmax(1))


FORMS = {
    "float32": (lambda z: z.astype(np.float32), np.asarray),
    "other bytes": (lambda z: z.astype(">f8"), lambda ids: ids.astype(">i8")),
    "small integers": (np.asarray, lambda ids: ids.astype(np.uint8)),
    "columns first": (np.asfortranarray, np.asarray),
    "lists": (np.ndarray.tolist, np.ndarray.tolist),
    "tensors": (torch.from_numpy, torch.from_numpy),
    "float32 tensors": (lambda z: torch.from_numpy(z).float(), torch.from_numpy),
    "a tensor and an array": (torch.from_numpy, np.asarray),
    "an array and a tensor": (np.asarray, torch.from_numpy),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_temperature_of_outputs_in_any_form(form):
    outputs, ids = drawn_outputs(3, 5.0)
    before = outputs.copy(), ids.copy()
    as_outputs, as_ids = FORMS[form]
    found = train.fit_temperature(as_outputs(outputs), as_ids(ids))
    assert type(found) is float
    exact = 1e-6 if "float32" in form else 1e-12
    assert found == pytest.approx(train.fit_temperature(outputs, ids), rel=exact)
    np.testing.assert_array_equal(outputs, before[0])
    np.testing.assert_array_equal(ids, before[1])


def every_id_once(outputs):
    """Rows that are repeated for each class: they say nothing of their ids."""
    classes = outputs.shape[1]
    return np.repeat(outputs, classes, axis=0), np.tile(np.arange(classes), len(outputs))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e300])
def test_a_temperature_without_a_minimum_is_at_an_end(scale):
    outputs = np.random.default_rng(0).normal(size=(30, 4)) * scale
    right, wrong = outputs.argmax(1), outputs.argmin(1)
    for z, ids, end in [
        (outputs, right, 1e-4),
        (outputs[:1], right[:1], 1e-4),
        (outputs, wrong, 1e4),
        (outputs[:1], wrong[:1], 1e4),
        (*every_id_once(outputs), 1e4),
        (0 * outputs, right, 1e4),
        (0 * outputs + scale, right, 1e4),
        (outputs[:, :1], 0 * right, 1e4),
        # Two that are largest alike: as good as right, since nothing of the row is above its own.
        (scale * np.array([[1.0, 1.0, 0.0], [2.0, 0.0, 1.0]]), np.array([1, 0]), 1e-4),
    ]:
        assert train.fit_temperature(z, ids) == end
    # A minimum that lies outside.
    tiny, huge = ((s * z, ids) for s in (1e-9, 1e9) for z, ids in [drawn_outputs(0, 1.0)])
    assert [train.fit_temperature(*tiny), train.fit_temperature(*huge)] == [1e-4, 1e4]
    # The largest floats, whose difference is none.
    largest = np.finfo(float).max * np.array([[1.0, -1.0], [1.0, -1.0]])
    assert train.fit_temperature(largest, np.array([0, 0])) == 1e-4
    assert train.fit_temperature(largest, np.array([0, 1])) == 1e4
    # A row that is certain at every temperature changes nothing, however certain it is.
    few = np.array([[1.0, 0.0], [0.5, 0.0], [1e305, 0.0]]), np.array([0, 1, 0])
    without = train.fit_temperature(few[0][:2], few[1][:2])
    assert train.fit_temperature(*few) == pytest.approx(without, rel=1e-10)


EYE, IDS = np.eye(3), np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("outputs", "ids", "error", "message"),
    [
        (EYE * math.nan, IDS, ValueError, "outputs must be finite, got nan"),
        (np.full((3, 3), -math.inf), IDS, ValueError, "outputs must be finite, got -inf"),
        (np.eye(3, dtype=int), IDS, TypeError, "outputs must hold real .* int64"),
        (EYE > 0, IDS, TypeError, "outputs must hold real .* bool"),
        (EYE * 1j, IDS, TypeError, "outputs must hold real .* complex128"),
        (None, IDS, TypeError, "outputs must hold real"),
        (EYE[0], IDS, ValueError, r"outputs must have shape \(N, C\).* \(3,\)"),
        (EYE[None], IDS, ValueError, r"outputs must have shape \(N, C\).* \(1, 3, 3\)"),
        (EYE[:0], IDS[:0], ValueError, r"outputs must have shape .*, not empty, got \(0, 3\)"),
        (EYE[:, :0], IDS, ValueError, r"outputs must have shape .*, not empty, got \(3, 0\)"),
        ([], [], ValueError, r"outputs must have shape .*, not empty, got \(0,\)"),
        ([[1.0], [1.0, 2.0]], [0, 0], ValueError, "outputs must be an array"),
        (np.ma.array(EYE), IDS, TypeError, "outputs must be a plain array"),
        (torch.eye(3, requires_grad=True), IDS, TypeError, "outputs must be a tensor on the CPU"),
        (EYE, [0, 1, 3], ValueError, r"ids must be class ids in \[0, 2\], got 3"),
        (EYE, [0, 1, -1], ValueError, r"ids must be class ids in \[0, 2\], got -1"),
        (EYE, [0.0, 1.0, 1.0], TypeError, "ids .* integer dtype, got dtype float64"),
        (EYE, EYE, TypeError, "ids .* integer dtype, got dtype float64"),
        (EYE, EYE.astype(int), ValueError, r"ids has shape \(3, 3\)"),
        (EYE, IDS > 0, TypeError, "ids .* integer dtype, got dtype bool"),
        (EYE, IDS[:2], ValueError, r"ids has shape \(2,\)"),
        (EYE, IDS[:, None], ValueError, r"ids has shape \(3, 1\)"),
        (EYE, [], TypeError, "ids .* integer dtype"),
        (EYE, None, TypeError, "ids .* integer dtype"),
        (EYE, np.ma.array(IDS), TypeError, "ids must be a plain array"),
    ],
)
def test_outputs_and_ids_that_have_no_temperature_are_named(outputs, ids, error, message):
    with pytest.raises(error, match=f"^{message}"):
        train.fit_temperature(outputs, ids)


# The claim ----------------------------------------------------------------------------------------


def test_the_sample_reaches_96_percent(capsys):
    # The slowest test: 20 epochs over 4,000 digits, 25 s where nothing else runs.
    assert main(["--source", "sample", "--optimizer", "adam", "--quiet"]) == 0
    assert result_of(capsys)["test_accuracy"] >= 0.96


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in train.TRAINABLE])
def test_an_objective_that_no_classifier_has_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"name must be a loss that trains.*, got '{name}'"):
        train.objective(name)
