"""Studies: trials that notice a fault and nothing else, results that survive a stop."""

import copy
import importlib
import json
import logging
import math
import os
import re
import runpy
import shutil
import signal
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import distributed
import numpy as np
import pytest
import torch
from faults import draws_of, optimiser_with

from lossbook import LOSSES, optim, train
from lossbook.data import load_mnist
from lossbook.experiments import STUDIES, cnn_mnist, is_current, load, study
from lossbook.experiments.trial import TOLERANCE, difference, footprint, trial_conditions
from lossbook.torch import CNN


class Interrupted(Exception):
    """What stops a study in these tests."""


# The trial ----------------------------------------------------------------------------------------

PAIRS = [f"{loss} {optimizer}" for loss, optimizer in cnn_mnist.RATES]
CROSS_ENTROPY = "softmax_cross_entropy"


def trial_of(monkeypatch, *pairs):
    """The study's trial with the code as it stands, of some pairs only."""
    rates = dict.fromkeys(map(tuple, map(str.split, pairs)), (0.003, 0.01, 0.03))
    rates |= {pair: r for pair, r in cnn_mnist.RATES.items() if pair in rates}
    with monkeypatch.context() as patch:
        patch.setattr(cnn_mnist, "RATES", rates)
        return study.make_trial("cnn_mnist")


def distance_from_the_stored(monkeypatch, *pairs):
    stored = load("cnn_mnist")["trial"]
    return difference({pair: stored[pair] for pair in pairs}, trial_of(monkeypatch, *pairs))


def adam_from_ones(patch):
    def init(self, params):
        ones = {key: torch.ones_like(w) for key, w in params.items()}
        return optim.Moments(0, ones, dict(ones))

    patch.setattr(optim.Adam, "init", init)


def cycle(**options):
    def plant(patch):
        patch.setattr(train.settings, "one_cycle", partial(optim.one_cycle, **options))

    return plant


def one_step_fewer_in_the_cycle(patch):
    patch.setattr(train.settings, "one_cycle", lambda peak, n: optim.one_cycle(peak, n - 1))


def short_batch_counts_as_a_whole_one(patch):
    objective = train.step.objective

    def summed(name):
        loss = objective(name)
        return lambda outputs, ids: loss(outputs, ids) * (32 / len(ids))

    patch.setattr(train.trainer, "objective", summed)


def short_batch_reported_as_a_whole_one(patch):
    step = train.trainer.training_step

    def weighted(*args):
        value, *rest = step(*args)
        return value * (32 / len(args[-1])), *rest

    patch.setattr(train.trainer, "training_step", weighted)


def scaled_gradient(name):
    def plant(patch):
        loss = LOSSES[name]

        def gradient(*args, **options):
            return 2 * loss.gradient(*args, **options)

        patch.setitem(LOSSES, name, replace(loss, gradient=gradient, joint=None))

    return plant


def two_steps_exchanged(patch):
    draw = np.random.default_rng

    class Exchanged:
        def __init__(self, seed):
            self.draw = draw(seed)

        def permutation(self, n):
            order = self.draw.permutation(n)
            return np.concatenate([order[32:64], order[:32], order[64:]])

    patch.setattr(
        np.random, "default_rng", lambda seed: (Exchanged if isinstance(seed, list) else draw)(seed)
    )


def upside_down_answers(patch):
    patch.setattr(cnn_mnist, "predict", lambda *args: -train.predict(*args))


FAULTS = {
    "Adam's state starts at ones": (adam_from_ones, f"{CROSS_ENTROPY} adam"),
    "momentum 0.8 for 0.9": (optimiser_with("sgd", momentum=0.8), f"{CROSS_ENTROPY} sgd"),
    "momentum without Nesterov's term": (
        optimiser_with("sgd", nesterov=False),
        f"{CROSS_ENTROPY} sgd",
    ),
    "a shorter warm-up": (cycle(warmup=0.29), f"{CROSS_ENTROPY} sgd"),
    "another first rate": (cycle(start=24.0), f"{CROSS_ENTROPY} adam"),
    "another last rate": (cycle(end=1e3), f"{CROSS_ENTROPY} adam"),
    "a shorter cycle": (one_step_fewer_in_the_cycle, f"{CROSS_ENTROPY} adam"),
    "a short batch weighs too much": (short_batch_counts_as_a_whole_one, "squared_error sgd"),
    "a short batch's loss weighs too much": (
        short_batch_reported_as_a_whole_one,
        "squared_error sgd",
    ),
    "every epoch in one order": (draws_of(lambda seed, epoch: seed), "multiclass_hinge adam"),
    "another order in the last epoch": (
        draws_of(lambda seed, epoch: [seed, 2 * epoch]),
        "multiclass_hinge sgd",
    ),
    "two steps exchanged": (two_steps_exchanged, "multiclass_hinge adam"),
    "another answer to the test": (upside_down_answers, "squared_error adam"),
} | {
    # Adam divides each gradient by its size, and notices a factor only by its epsilon, 1e-8.
    f"a gradient twice as long, {pair}": (
        scaled_gradient(pair.split()[0]),
        pair,
    )
    for pair in PAIRS
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_trial_notices_a_fault(fault, monkeypatch):
    plant, pair = FAULTS[fault]
    with monkeypatch.context() as patch:
        plant(patch)
        distance = distance_from_the_stored(monkeypatch, pair)
    # Far above the tolerance: the verdict must not hang on the machine.
    assert distance > 100 * TOLERANCE


def test_a_trial_notices_adamw_without_its_decay(monkeypatch):
    before = trial_of(monkeypatch, f"{CROSS_ENTROPY} adamw")
    monkeypatch.setattr(train.settings, "AdamW", optim.Adam)
    assert difference(before, trial_of(monkeypatch, f"{CROSS_ENTROPY} adamw")) > 100 * TOLERANCE
    # The study itself does not use it, and stays what it was.
    assert distance_from_the_stored(monkeypatch, f"{CROSS_ENTROPY} adam") <= TOLERANCE


def adam_rewritten(patch):
    def step(self, params, grads, state):
        beta1, beta2 = self.betas
        k, moved, mean, rms = state.step + 1, {}, {}, {}
        for key, g in grads.items():
            mean[key] = state.mean[key] + (1 - beta1) * (g - state.mean[key])
            square = state.rms[key] ** 2 * beta2 + (1 - beta2) * g**2
            rms[key] = square.sqrt()
            scale = (square / (1 - beta2**k)).sqrt() + self.eps
            moved[key] = params[key] - self.lr(k - 1) * mean[key] / (1 - beta1**k) / scale
        return moved, optim.Moments(k, mean, rms)

    patch.setattr(optim.Adam, "_step", step)


def gradient_rewritten(patch):
    def gradient(logits, ids):
        return logits.softmax(-1) - torch.nn.functional.one_hot(ids.long(), logits.shape[-1])

    loss = LOSSES[CROSS_ENTROPY]
    patch.setitem(LOSSES, CROSS_ENTROPY, replace(loss, gradient=gradient, joint=None))


def step_rewritten(patch):
    def training_step(network, loss, optimiser, state, inputs, ids):
        network.zero_grad()
        outputs = network(inputs.contiguous())
        value = loss(outputs, ids)
        value.backward()
        weights = {key: w.detach() for key, w in network.named_parameters()}
        grads = {key: w.grad for key, w in network.named_parameters()}
        updated, state = optimiser.update(weights, grads, state)
        network.load_state_dict(updated)
        return value.detach(), outputs.detach(), state

    patch.setattr(train.trainer, "training_step", training_step)


REWRITES = {
    "Adam in one loop": (adam_rewritten, f"{CROSS_ENTROPY} adam"),
    "softmax by torch": (gradient_rewritten, f"{CROSS_ENTROPY} sgd"),
    "a step by backward": (step_rewritten, "multiclass_hinge sgd"),
}


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_trial_does_not_mind_a_rewrite(rewrite, monkeypatch):
    plant, pair = REWRITES[rewrite]
    with monkeypatch.context() as patch:
        plant(patch)
        distance = distance_from_the_stored(monkeypatch, pair)
    assert distance < TOLERANCE / 100


def test_a_trial_is_made_in_double_precision_on_one_thread_and_leaves_no_trace():
    with trial_conditions():
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_num_threads() == 1
        assert train.predict(CNN(), np.zeros((1, 28, 28), np.uint8)).dtype == np.float64
    before = torch.get_num_threads()
    with pytest.raises(Interrupted), trial_conditions():
        raise Interrupted
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("pair", PAIRS)
def test_a_trial_has_twenty_steps_and_a_short_batch(pair):
    history = load("cnn_mnist")["trial"][pair]["history"]
    assert [len(row["train_curve"]) for row in history] == [10, 10]
    for row in history:
        # The same numbers, added in another order.
        mean = np.average(row["train_curve"], weights=[32] * 9 + [20])
        assert row["train_loss"] == pytest.approx(mean, rel=1e-13)


def test_a_footprint_notices_every_entry_and_every_exchange():
    layer = torch.nn.Linear(3, 2)
    layer.weight.data = torch.tensor([[0.5, -1.0, 0.25], [2.0, -0.75, 1.5]])
    layer.bias.data = torch.tensor([0.5, -1.0])
    before = footprint(layer)
    assert before.keys() == {"weight", "bias"}
    for i in range(6):
        moved = copy.deepcopy(layer)
        moved.weight.data.view(-1)[i] *= 1 + 1e-5
        assert difference(before, footprint(moved)) > 1e-7
        assert footprint(moved)["bias"] == before["bias"]
    turned = copy.deepcopy(layer)
    turned.weight.data = layer.weight.data.flip(1)
    assert difference(before, footprint(turned)) > 1e-3
    negated = copy.deepcopy(layer)
    negated.bias.data *= -1
    assert difference(before, footprint(negated)) > 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (2.0, 2.0, 0.0),
        (2.0, 1.0, 0.5),
        (0.0, 1e-300, 1.0),
        (0, 0.0, 0.0),
        (1.0, -1.0, 2.0),
        (1.0, math.nan, math.inf),
        (math.nan, 1.0, math.inf),
        (math.inf, 1.0, math.inf),
        ([1.0, 4.0], [1.0, 3.0], 0.25),
        ([4.0, 1.0], [3.0, 1.0], 0.25),
        ([1.0], [1.0, 1.0], math.inf),
        ({"a": 1.0, "b": [2.0]}, {"b": [4.0], "a": 1.0}, 0.5),
        ({"a": 1.0}, {"b": 1.0}, math.inf),
        ({"a": 1.0}, {"a": 1.0, "b": 1.0}, math.inf),
        ([1.0], 1.0, math.inf),
        (None, 1.0, math.inf),
        ([], [], 0.0),
    ],
)
def test_the_difference_of_two_trials(one, other, expected):
    assert difference(one, other) == expected


# Running and storing ------------------------------------------------------------------------------


class FakeStudy:
    """Squares numbers: first 0 to 3, then one more than the number of runs done."""

    def __init__(self):
        self.made = []
        self.fails_at = None
        self.precision = 1.0

    def plan(self, done):
        first = [{"number": n} for n in (3, 1, 2, 0)]
        return first if len(done) < 4 else [*first, {"number": 4 + len(done) // 4}]

    def run(self, settings):
        if len(self.made) == self.fails_at:
            raise Interrupted
        self.made.append(settings["number"])
        return {"square": settings["number"] ** 2}

    def trial(self):
        return {"a": [self.precision, np.float64(2.0)], "b": {"c": 3}}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A study called "fake" whose runs take no time, made here, one after the other."""
    fake = FakeStudy()
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(study, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(study, "HERE", {"backend": "threading", "n_jobs": 1})
    monkeypatch.setitem(sys.modules, "lossbook.experiments.fake", fake)
    return fake


def journal_of(tmp_path):
    (journal,) = (tmp_path / "unfinished").iterdir()
    return journal


def test_a_study_is_run_and_stored(fake, capsys):
    path = study.perform("fake")
    stored = load("fake")
    assert json.loads(path.read_text()) == stored
    assert stored["study"] == "fake"
    assert stored["trial"] == {"a": [1.0, 2.0], "b": {"c": 3}}
    assert stored["versions"].keys() == {"numpy", "torch"}
    # Sorted, whatever order the runs ended in; the last was planned from the results of the others.
    assert stored["runs"] == [
        {"settings": {"number": n}, "results": {"square": n**2}} for n in (0, 1, 2, 3, 5)
    ]
    assert is_current("fake")
    assert [p.name for p in path.parent.iterdir()] == ["fake.json"]
    assert "5/5" in capsys.readouterr().err


def test_the_order_of_the_runs_does_not_show(fake, monkeypatch):
    before = study.perform("fake").read_bytes()

    class Backwards(study.Parallel):
        def __call__(self, calls):
            return reversed(list(super().__call__(calls)))

    monkeypatch.setattr(study, "Parallel", Backwards)
    monkeypatch.setattr(study, "UNFINISHED", study.UNFINISHED / "again")
    assert study.perform("fake").read_bytes() == before
    assert len(fake.made) == 10


@pytest.mark.parametrize("runs", [0, 1, 3, 4])
def test_a_stopped_study_goes_on(runs, fake, tmp_path):
    fake.fails_at = runs
    with pytest.raises(Interrupted):
        study.perform("fake")
    assert not (tmp_path / "results").exists()
    heading, *journalled = journal_of(tmp_path).read_text().splitlines()
    assert json.loads(heading).keys() == {"versions", "trial"}
    assert len(journalled) == runs
    fake.fails_at = None
    fake.made.clear()
    study.perform("fake")
    assert len(fake.made) == 5 - runs
    assert [entry["settings"]["number"] for entry in load("fake")["runs"]] == [0, 1, 2, 3, 5]


def test_after_a_failure_the_runs_still_waiting_are_not_made(fake):
    def run(settings):
        fake.made.append(settings["number"])
        if settings["number"] == 0:
            raise Interrupted
        time.sleep(0.01)

    fake.run = run
    fake.plan = lambda done: [{"number": n} for n in range(1000)]
    with pytest.raises(Interrupted):
        study.perform("fake")
    assert len(fake.made) < 1000


def test_a_line_torn_by_a_kill_is_made_again(fake, tmp_path):
    study.perform("fake")
    journal = journal_of(tmp_path)
    whole = journal.read_text()
    journal.write_text(whole[:-9])
    fake.made.clear()
    study.perform("fake")
    assert fake.made == [5]
    assert journal.read_text() == whole


def test_a_finished_study_is_only_stored_again(fake, tmp_path):
    path = study.perform("fake")
    before = path.read_bytes()
    path.unlink()
    fake.made.clear()
    assert study.perform("fake").read_bytes() == before
    assert fake.made == []


def test_other_numerics_make_the_results_stale_and_start_anew(fake, tmp_path):
    study.perform("fake")
    fake.precision = 1 + 2 * TOLERANCE
    assert not is_current("fake")
    fake.made.clear()
    study.perform("fake")
    assert len(fake.made) == 5
    assert is_current("fake")
    assert len(list((tmp_path / "unfinished").iterdir())) == 2
    # Back to the first, whose runs are still there.
    fake.precision = 1.0
    assert not is_current("fake")
    study.perform("fake")
    assert len(fake.made) == 5
    assert is_current("fake")


def test_rounding_makes_nothing_stale_and_a_stopped_study_goes_on(fake, tmp_path):
    fake.fails_at = 2
    with pytest.raises(Interrupted):
        study.perform("fake")
    fake.fails_at, fake.precision = None, 1 + TOLERANCE / 2
    study.perform("fake")
    assert len(fake.made) == 5
    journal_of(tmp_path)
    fake.precision = 1.0
    assert is_current("fake")


def test_runs_that_are_no_longer_planned_are_not_stored(fake):
    fake.fails_at = 3
    with pytest.raises(Interrupted):
        study.perform("fake")
    fake.fails_at = None
    fake.plan = lambda done: [{"number": 1}, {"number": 7}]
    study.perform("fake")
    assert fake.made == [3, 1, 2, 7]
    assert [entry["settings"]["number"] for entry in load("fake")["runs"]] == [1, 7]


def test_runs_of_other_versions_are_not_mixed(fake, tmp_path, monkeypatch):
    fake.fails_at = 2
    with pytest.raises(Interrupted):
        study.perform("fake")
    fake.fails_at = None
    fake.made.clear()
    monkeypatch.setattr(study.metadata, "version", lambda package: "another")
    study.perform("fake")
    assert len(fake.made) == 5
    assert load("fake")["versions"] == {"numpy": "another", "torch": "another"}


def test_a_trial_can_be_stored_without_a_run(fake, tmp_path, monkeypatch):
    study.perform("fake")
    before = load("fake")
    fake.made.clear()
    fake.precision = 2.0
    monkeypatch.setattr(study.metadata, "version", lambda package: "another")
    assert not is_current("fake")
    study.record_trial("fake")
    assert is_current("fake")
    assert fake.made == []
    # The runs, and the versions that they were made with, stay what they were.
    after = load("fake")
    assert after["trial"]["a"] == [2.0, 2.0]
    assert after | {"trial": 0} == before | {"trial": 0}


def test_results_are_stored_whole_or_not_at_all(fake, monkeypatch):
    path = study.perform("fake")
    before = path.read_bytes()

    def interrupted(source, target):
        if str(target) == str(path):
            raise Interrupted
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    fake.plan = lambda done: [{"number": n} for n in range(9)]
    with pytest.raises(Interrupted):
        study.perform("fake")
    assert path.read_bytes() == before


def test_a_study_that_was_never_run_says_how_to(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"cnn_mnist\.json is missing; make it with python"):
        load("cnn_mnist")


def command(monkeypatch, *arguments):
    """The exit code of ``python -m lossbook.experiments``."""
    monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_module("lossbook.experiments", run_name="__main__")
    return exit_.value.code


def test_the_command_runs_the_studies(monkeypatch, capsys):
    monkeypatch.setattr(study, "perform", lambda name, dask: f"{name}.json")
    monkeypatch.setattr(study, "record_trial", lambda name: f"the trial of {name}")
    assert command(monkeypatch, "run") == 0
    assert capsys.readouterr().out == "".join(f"stored {name}.json\n" for name in STUDIES)
    assert command(monkeypatch, "run", STUDIES[-1], STUDIES[0]) == 0
    assert capsys.readouterr().out == f"stored {STUDIES[-1]}.json\nstored {STUDIES[0]}.json\n"
    assert command(monkeypatch, "trial", STUDIES[-1]) == 0
    assert capsys.readouterr().out == f"stored the trial of {STUDIES[-1]}\n"
    assert command(monkeypatch, "run", "nonsense") == 2
    assert STUDIES[0] in capsys.readouterr().err
    assert command(monkeypatch) == 2
    assert "{run,trial}" in capsys.readouterr().err


# On a cluster -------------------------------------------------------------------------------------


@pytest.fixture
def cluster():
    """Two workers, each a process with one thread."""
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster,
    ):
        # What a lost worker leaves behind is collected whenever Python gets to it.
        warnings.simplefilter("ignore", ResourceWarning)
        yield cluster


def test_a_study_outlives_a_worker_that_is_killed(fake, cluster, tmp_path):
    def run(settings):
        """Half-way the worker that makes this run is killed, as often as the file says."""
        first = Path(settings["folder"]) / "killed"
        if settings["number"] == 6 and not first.exists():
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": settings["number"] ** 2, "process": os.getpid()}

    fake.run = run
    fake.plan = lambda done: [{"number": n, "folder": str(tmp_path)} for n in range(12)]
    workers = {info["name"] for info in cluster.scheduler_info["workers"].values()}
    assert len(workers) == 2
    study.perform("fake", dask=cluster.scheduler_address)
    assert (tmp_path / "killed").exists()
    runs = load("fake")["runs"]
    assert sorted(entry["settings"]["number"] for entry in runs) == list(range(12))
    assert all(e["results"]["square"] == e["settings"]["number"] ** 2 for e in runs)
    # Made elsewhere, by more than one.
    processes = {entry["results"]["process"] for entry in runs}
    assert len(processes) > 1
    assert os.getpid() not in processes
    # Each run was journalled once, the killed one too.
    _, *lines = journal_of(tmp_path).read_text().splitlines()
    assert len(lines) == 12


def test_an_address_where_nothing_answers_is_named(fake, monkeypatch, capsys):
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda a, timeout: client(a, timeout="1 s"))
    monkeypatch.setattr(sys.modules["lossbook.experiments"], "STUDIES", ("fake",))
    address = "tcp://127.0.0.1:1"
    assert command(monkeypatch, "run", "fake", "--dask", address) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"--dask {address}: ")
    assert fake.made == []


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({}, "the Dask cluster has no worker; start some with: dask worker ADDRESS"),
        (
            {"tcp://one": {"torch": "2"}, "tcp://two": {"torch": "1"}},
            "the Dask worker tcp://two has torch 1, and this machine 2; install the same there",
        ),
        ({"tcp://one": {}}, "the Dask worker tcp://one has torch None"),
    ],
)
def test_workers_unlike_this_machine_are_refused(theirs, message):
    with pytest.raises(RuntimeError, match=re.escape(message)):
        study._check_workers(theirs, {"torch": "2"})


def test_what_is_installed_is_known_by_its_text(tmp_path, monkeypatch):
    ours = study._installed()
    assert ours.keys() == {"numpy", "torch", "lossbook"}
    assert study._installed() == ours
    shutil.copytree(study.PACKAGE, tmp_path / "lossbook")
    monkeypatch.setattr(study, "PACKAGE", tmp_path / "lossbook")
    assert study._installed() == ours
    with (tmp_path / "lossbook" / "losses" / "binary.py").open("a") as file:
        file.write("# another\n")
    assert study._installed() != ours


# What is stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_stored_results_are_complete_and_what_the_code_computes(name):
    assert is_current(name), f"{name} is stale: python -m lossbook.experiments run {name}"
    runs = load(name)["runs"]
    made = [entry["settings"] for entry in runs]
    planned = importlib.import_module(f"lossbook.experiments.{name}").plan(runs)
    assert planned
    assert len(made) == len(planned)
    assert all(made.count(settings) == 1 for settings in planned)


def test_no_other_results_are_stored():
    assert {path.stem for path in study.RESULTS.glob("*.json")} == set(STUDIES)


def test_every_pair_has_five_seeds_at_its_tuned_rate():
    runs = load("cnn_mnist")["runs"]
    best = cnn_mnist.best_rates(runs)
    final = [entry["settings"] for entry in runs if entry["settings"]["stage"] == "final"]
    assert len(runs) == len(final) + sum(len(rates) for rates in cnn_mnist.RATES.values())
    assert best.keys() == cnn_mnist.RATES.keys()
    for pair, rate in best.items():
        own = [s for s in final if (s["loss"], s["optimizer"]) == pair]
        assert sorted(s["seed"] for s in own) == [0, 1, 2, 3, 4]
        assert {s["lr"] for s in own} == {rate}


def test_stored_accuracies_agree_with_the_stored_mistakes():
    for entry in load("cnn_mnist")["runs"]:
        results = entry["results"]
        if entry["settings"]["stage"] == "tune":
            assert "test_accuracy" not in results
            continue
        assert results["test_accuracy"] == pytest.approx(1 - len(results["wrong"]) / 10_000)
        assert len(results["answers"]) == len(results["wrong"]) == len(set(results["wrong"]))
        assert [row["epoch"] for row in results["history"]] == [1, 2, 3]


# The plan of cnn_mnist ----------------------------------------------------------------------------


def entry(settings, accuracy):
    return {"settings": settings, "results": {"history": [{"validation_accuracy": accuracy}]}}


def test_tuning_comes_first_and_with_a_seed_of_its_own():
    tuning = cnn_mnist.plan([])
    assert len(tuning) == sum(len(rates) for rates in cnn_mnist.RATES.values()) == 30
    assert {settings["stage"] for settings in tuning} == {"tune"}
    assert not {settings["seed"] for settings in tuning} & set(cnn_mnist.SEEDS)
    # Each pair tries the same number of rates, each of them once.
    assert {len(rates) for rates in cnn_mnist.RATES.values()} == {5}
    assert len({tuple(settings.items()) for settings in tuning}) == 30
    for missing in (0, 11, 29):
        done = [entry(settings, 0.9) for i, settings in enumerate(tuning) if i != missing]
        assert tuning[missing] in cnn_mnist.plan(done)
        assert {settings["stage"] for settings in cnn_mnist.plan(done)} == {"tune"}


def test_the_final_runs_take_the_best_rate_by_validation():
    rng = np.random.default_rng(0)
    tuning = cnn_mnist.plan([])
    scores = rng.permutation(len(tuning)) / 100
    done = [entry(s, score) for s, score in zip(tuning, scores, strict=True)]
    plan = cnn_mnist.plan(done)
    assert plan[: len(tuning)] == tuning
    final = plan[len(tuning) :]
    assert len(final) == 5 * len(cnn_mnist.RATES)
    assert {settings["stage"] for settings in final} == {"final"}
    for loss, optimizer in cnn_mnist.RATES:
        own = [
            (score, settings["lr"])
            for settings, score in zip(tuning, scores, strict=True)
            if (settings["loss"], settings["optimizer"]) == (loss, optimizer)
        ]
        assert cnn_mnist.best_rates(done)[loss, optimizer] == max(own)[1]
        rates = [s["lr"] for s in final if (s["loss"], s["optimizer"]) == (loss, optimizer)]
        assert rates == [max(own)[1]] * 5
    # Final runs, however bad, do not change what was tuned.
    done += [entry(settings, 0.0) for settings in final]
    assert cnn_mnist.plan(done) == tuning + final


@pytest.fixture
def few_digits(monkeypatch):
    """The study's data, replaced by 300 digits and 100; lists what was asked for."""
    asked = []

    def load_few(split, source):
        asked.append((split, source))
        number = 300 if split == "train" else 100
        return tuple(part[:number] for part in load_mnist(split, source="sample"))

    monkeypatch.setattr(cnn_mnist, "load_mnist", load_few)
    monkeypatch.setattr(cnn_mnist, "VALIDATION", 50)
    return SimpleNamespace(asked=asked, test=load_few("test", "full"))


def test_tuning_never_sees_the_test_images(few_digits):
    few_digits.asked.clear()
    results = cnn_mnist.run(cnn_mnist.plan([])[0] | {"epochs": 1})
    assert few_digits.asked == [("train", "full")]
    assert results.keys() == {"history", "train_seconds"}
    assert results["history"][0]["validation_accuracy"] > 0.1


def test_a_final_run_says_which_test_images_it_got_wrong(few_digits):
    settings = cnn_mnist.plan([])[0] | {"epochs": 2, "stage": "final", "lr": 0.1, "seed": 0}
    results = cnn_mnist.run(settings)
    labels = few_digits.test[1]
    assert results["test_accuracy"] == pytest.approx(1 - len(results["wrong"]) / 100)
    assert 0 < len(results["wrong"]) < 100
    for i, answer in zip(results["wrong"], results["answers"], strict=True):
        assert answer != labels[i]
    assert results["test_loss"] > 0
    assert json.loads(json.dumps(results)) == results


def test_a_rate_that_diverges_is_a_result(few_digits):
    settings = cnn_mnist.plan([])[0] | {"loss": "squared_error", "lr": 1e6, "epochs": 1}
    results = cnn_mnist.run(settings)
    assert "try a smaller one" in results["diverged"]
    assert cnn_mnist.best_rates([{"settings": settings, "results": results}]) == {
        ("squared_error", "sgd"): 1e6
    }
