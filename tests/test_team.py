"""Several processes that train together make the steps that one process makes."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import safetensors.torch
import torch

from lossbook.train import TRAINABLE, Settings, train
from lossbook.train.team import ALONE, Team, assembled

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=0")
SMALL = ("--source", "sample", "--limit", "301", "--batch-size", "100", "--quiet")

#: What each process runs: every loss, with weights and without, for an epoch of three batches, of
#: which the last has a single example. It keeps the gradient of each step and each batch's loss.
PROGRAM = """
import sys
import numpy as np
import torch
from lossbook.data import load_mnist
from lossbook.train import TRAINABLE, Settings, train, trainer
from lossbook.train.team import assembled

def recording(network, *args):
    found = step(network, *args)
    kept.append(torch.cat([w.grad.ravel() for w in network.parameters()]))
    return found

step, trainer.training_step = trainer.training_step, recording
images, labels = (part[:101] for part in load_mnist("train", source="sample"))
rng = np.random.default_rng(0)
given = {"plain": None, "weighted": rng.choice([0.0, 0.25, 1.0, 7.0], 101)}
# One in ten: the second process has no example that counts in most batches.
given["sparse"] = np.where(rng.random(101) < 0.1, 3.0, 0.0)
results = {}
with assembled() as team:
    for dtype in (torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        # In single precision a few: what it adds is rounding.
        for name in TRAINABLE if dtype == torch.float64 else TRAINABLE[-3:]:
            for kind, weights in given.items():
                kept = []
                settings = Settings(name, "sgd", epochs=1, batch_size=50, lr=1e-3)
                run = train(images, labels, settings, weights=weights, progress=False, team=team)
                key = f"{name} {kind} {dtype}"
                results[f"{key} gradients"] = torch.stack(kept).numpy()
                results[f"{key} losses"] = np.array(run.history[0]["train_curve"])
                results[f"{key} row"] = np.array(
                    [run.history[0]["train_loss"], run.history[0]["train_accuracy"]]
                )
    if team.leads:
        np.savez(sys.argv[1], **results)
"""


def launch(*arguments, processes=None):
    """A process of Python, or of torchrun, with these arguments."""
    start = (sys.executable,) if processes is None else (*TORCHRUN, f"--nproc-per-node={processes}")
    return subprocess.Popen(
        [*start, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LOSSBOOK_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )


def output(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """What one process computed, and what teams of two and of three did."""
    folder = tmp_path_factory.mktemp("teams")
    (folder / "program.py").write_text(PROGRAM)
    results = {}
    for processes in (None, 2, 3):
        output(launch(folder / "program.py", folder / f"{processes}.npz", processes=processes))
        results[processes] = dict(np.load(folder / f"{processes}.npz"))
    return results


@pytest.mark.parametrize("processes", [2, 3])
def test_a_team_has_the_losses_and_gradients_of_one_process(processes, programs):
    alone, team = programs[None], programs[processes]
    assert alone.keys() == team.keys()
    assert len(alone) == 3 * 3 * (len(TRAINABLE) + 3)
    for key, expected in alone.items():
        error = np.abs(team[key] - expected).max()
        if "float64" in key:
            # Relative to the largest entry: in a gradient, terms of either sign cancel.
            assert error < 1e-12 * np.abs(expected).max(), key
        else:
            # Torch's convolutions round as the size of a share will have it: by 2e-6 of entries
            # that are below a half.
            assert error < 1e-6 * max(1, np.abs(expected).max()), key


def test_the_mean_of_the_means_of_the_shares_would_be_noticed(programs):
    # The means of two shares of 25 would count alike, though their weights differ.
    weighted = programs[None]["brier weighted torch.float64 losses"]
    plain = programs[None]["brier plain torch.float64 losses"]
    assert np.abs(weighted - plain).max() > 1e-3


def test_the_command_trains_with_a_team(tmp_path):
    arguments = ("-m", "lossbook.train", *SMALL, "--epochs", "2", "--optimizer", "sgd")
    folders = [tmp_path / "alone", tmp_path / "team"]
    alone = json.loads(output(launch(*arguments, "--out", folders[0])))
    (line,) = output(launch(*arguments, "--out", folders[1], processes=2)).splitlines()
    team = json.loads(line)
    assert (alone["processes"], team["processes"]) == (1, 2)
    differing = {"processes", "train_seconds", "test_loss"}
    assert {k: v for k, v in team.items() if k not in differing} == {
        k: v for k, v in alone.items() if k not in differing
    }
    assert team["test_loss"] == pytest.approx(alone["test_loss"], rel=1e-5)
    weights = [safetensors.torch.load_file(f / "checkpoint.safetensors") for f in folders]
    for key, weight in weights[0].items():
        # Eight steps in float32.
        torch.testing.assert_close(weights[1][key], weight, rtol=1e-5, atol=1e-6)


def test_a_team_that_is_killed_resumes_as_if_unbroken(tmp_path):
    arguments = ("-m", "lossbook.train", *SMALL, "--epochs", "20")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    output(launch(*arguments, "--out", unbroken, processes=2))
    process = launch(*arguments, "--out", broken, processes=2)
    deadline = time.monotonic() + 120
    while not (broken / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    # The workers first: they would go on without the process that started them.
    started = psutil.Process(process.pid)
    for part in (*reversed(started.children(recursive=True)), started):
        part.kill()
    process.communicate()
    assert len((broken / "metrics.jsonl").read_text().splitlines()) < 20
    output(launch(*arguments, "--out", broken, "--resume", processes=2))
    files = [safetensors.torch.load_file(f / "checkpoint.safetensors") for f in (unbroken, broken)]
    assert files[0].keys() == files[1].keys()
    assert all(torch.equal(files[0][key], files[1][key]) for key in files[0])
    assert (unbroken / "metrics.jsonl").read_text() == (broken / "metrics.jsonl").read_text()


def test_a_run_of_one_process_is_not_resumed_by_two(tmp_path):
    arguments = ("-m", "lossbook.train", *SMALL, "--epochs", "1", "--out", tmp_path)
    output(launch(*arguments))
    process = launch(*arguments, "--resume", processes=2)
    _, err = process.communicate()
    assert process.returncode != 0
    assert err.count("holds a run with processes=1, not processes=2") == 1


def test_a_bad_option_is_told_once():
    process = launch("-m", "lossbook.train", "--loss", "nonsense", processes=2)
    out, err = process.communicate()
    assert process.returncode != 0
    assert out == ""
    assert err.count("loss must be one of") == 1


# Shares and weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("examples", [1, 2, 5, 50])
def test_shares_are_the_batch(size, examples):
    batch = np.random.default_rng(0).permutation(examples)
    shares = [Team(rank, size).share(batch) for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate(shares), batch)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_there_is_nothing_to_wait_for():
    network = torch.nn.Linear(1, 1)
    with assembled() as team:
        assert team == ALONE
        assert team.leads
        assert team.joined(network) is network
        assert team.total(1.5, 2) == (1.5, 2)
        with team.leader_first():
            pass


def digits(count=120):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, 28, 28)).astype(np.uint8), rng.integers(0, 10, count)


def test_a_weight_of_zero_leaves_an_example_out():
    images, labels = digits()
    settings = Settings("brier", "sgd", epochs=1, batch_size=120)
    kept = np.arange(120) % 3 != 0
    weighed = train(images, labels, settings, weights=kept * 2.0, progress=False)
    # The same examples in another order, in one batch.
    fewer = train(images[kept], labels[kept], settings, progress=False)
    assert weighed.history[0]["train_loss"] == pytest.approx(
        fewer.history[0]["train_loss"], rel=1e-5
    )
    for one, other in zip(weighed.network.parameters(), fewer.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_batch_without_weight_makes_no_step():
    images, labels = digits()
    settings = Settings(epochs=1, batch_size=10, seed=4)
    order = np.random.default_rng([4, 0]).permutation(120)
    weights = np.ones(120)
    weights[order[20:30]] = 0
    run = train(images, labels, settings, weights=weights, progress=False)
    assert len(run.history[0]["train_curve"]) == 11
    assert all(torch.isfinite(p).all() for p in run.network.parameters())


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(119), ValueError, r"weights has shape \(119,\) but labels has shape \(120,\)"),
        (np.ones((120, 1)), ValueError, r"weights has shape \(120, 1\)"),
        (np.full(120, -1.0), ValueError, "weights must be finite and at least 0, got -1.0"),
        (np.full(120, np.nan), ValueError, "weights must be finite and at least 0, got nan"),
        (np.full(120, np.inf), ValueError, "weights must be finite and at least 0, got inf"),
        (np.zeros(120), ValueError, "weights must not all be 0"),
        (np.ones(120, bool), TypeError, "weights must hold real numbers, got dtype bool"),
        (np.ma.ones(120), TypeError, "weights must be a plain array"),
    ],
)
def test_weights_that_are_none_are_named(weights, error, message):
    with pytest.raises(error, match=message):
        train(*digits(), Settings(epochs=1), weights=weights, progress=False)


def test_a_run_with_other_weights_is_not_resumed(tmp_path):
    settings = Settings(epochs=1, batch_size=60)
    options = {"progress": False, "out": tmp_path}
    train(*digits(), settings, weights=np.ones(120), **options)
    with pytest.raises(ValueError, match="holds a run with data="):
        train(*digits(), settings, weights=np.full(120, 2.0), resume=True, **options)
