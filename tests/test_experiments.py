"""Studies: fingerprints that see what matters, results that survive a stop and are not stale."""

import importlib.util
import json
import os
import runpy
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from lossbook.data import load_mnist
from lossbook.experiments import STUDIES, cnn_mnist, fingerprint, is_current, load, study

# The fingerprint ----------------------------------------------------------------------------------

SOURCE = '''
"""A module."""

def loss(p, t):
    """Squared."""
    # Not the half of it.
    return (p - t) ** 2

class Model:
    """A model."""

    rate = 0.1

    def step(self, x):
        return x - self.rate
'''

DIFFERENT = {
    "constant": ("** 2", "** 3"),
    "operator": ("(p - t)", "(p + t)"),
    "name": ("x - self.rate", "x - self.pace"),
    "class attribute": ("rate = 0.1", "rate = 0.2"),
    "default": ("loss(p, t)", "loss(p, t=0)"),
    "string": ("return x - self.rate", "return 'a'"),
    "decorator": ("    def step", "    @staticmethod\n    def step"),
}
SAME = {
    "comment": ("# Not the half of it.", "# Halved elsewhere."),
    "docstring of a function": ('"""Squared."""', '"""The square of the residual."""'),
    "docstring of a class": ('"""A model."""', '"""Some model."""'),
    "docstring of a module": ('"""A module."""', '"""Another."""'),
    "no docstring": ('    """Squared."""\n', ""),
    "layout": ("(p - t) ** 2", "(\n        p - t\n    ) ** 2"),
    "place": ("def loss", "\n\n\ndef loss"),
}


@pytest.fixture
def module_of(tmp_path):
    """A function that makes a module of its source."""
    made = []

    def make(source):
        path = tmp_path / f"code{len(made)}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        made.append(path.stem)
        spec.loader.exec_module(module)
        return module

    yield make
    for name in made:
        del sys.modules[name]


def fingerprints(module):
    """By the whole module, and by what stands in it."""
    return fingerprint([module]), fingerprint([module.loss, module.Model])


@pytest.mark.parametrize("change", DIFFERENT)
def test_a_fingerprint_sees_what_code_does(change, module_of):
    assert SOURCE.count(DIFFERENT[change][0]) == 1
    before = fingerprints(module_of(SOURCE))
    after = fingerprints(module_of(SOURCE.replace(*DIFFERENT[change])))
    assert before[0] != after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("change", SAME)
def test_a_fingerprint_does_not_see_words_and_layout(change, module_of):
    assert SOURCE.count(SAME[change][0]) == 1
    before = fingerprints(module_of(SOURCE))
    assert before == fingerprints(module_of(SOURCE.replace(*SAME[change])))


def test_a_fingerprint_of_a_method_is_of_that_method_only(module_of):
    before, after = module_of(SOURCE), module_of(SOURCE.replace("rate = 0.1", "rate = 0.2"))
    assert fingerprint([before.Model.step]) == fingerprint([after.Model.step])
    assert fingerprint([before.loss, before.Model]) != fingerprint([before.Model, before.loss])


# Running and storing ------------------------------------------------------------------------------


class Interrupted(Exception):
    """What stops a study in these tests."""


def code():
    return 1


def other_code():
    return 2


class FakeStudy:
    """Squares numbers: first 0 to 3, then one more than the number of runs done."""

    CODE = (code,)

    def __init__(self):
        self.made = []
        self.fails_at = None

    def plan(self, done):
        first = [{"number": n} for n in (3, 1, 2, 0)]
        return first if len(done) < 4 else [*first, {"number": 4 + len(done) // 4}]

    def run(self, settings):
        if len(self.made) == self.fails_at:
            raise Interrupted
        self.made.append(settings["number"])
        return {"square": settings["number"] ** 2}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A study called "fake" whose runs take no time, made in a thread, one after the other."""
    fake = FakeStudy()
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(study, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(study, "ProcessPoolExecutor", ThreadPoolExecutor)
    # Of runs that have ended, as_completed hands out any first.
    monkeypatch.setattr(study, "as_completed", iter)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
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
    monkeypatch.setattr(study, "as_completed", lambda runs: reversed(list(runs)))
    monkeypatch.setattr(study, "UNFINISHED", study.UNFINISHED / "again")
    assert study.perform("fake").read_bytes() == before
    assert len(fake.made) == 10


@pytest.mark.parametrize("runs", [0, 1, 3, 4])
def test_a_stopped_study_goes_on(runs, fake, tmp_path):
    fake.fails_at = runs
    with pytest.raises(Interrupted):
        study.perform("fake")
    assert not (tmp_path / "results").exists()
    journalled = journal_of(tmp_path).read_text().splitlines()
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


def test_changed_code_makes_the_results_stale_and_starts_anew(fake, tmp_path):
    study.perform("fake")
    fake.CODE = (other_code,)
    assert not is_current("fake")
    fake.made.clear()
    study.perform("fake")
    assert len(fake.made) == 5
    assert is_current("fake")
    assert len(list((tmp_path / "unfinished").iterdir())) == 2


def test_a_changed_run_makes_the_results_stale_too(fake):
    study.perform("fake")
    fake.run = code
    assert not is_current("fake")


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


def test_the_command_runs_the_studies(monkeypatch, capsys):
    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
        runpy.run_module("lossbook.experiments", run_name="__main__")

    monkeypatch.setattr(study, "perform", lambda name: f"{name}.json")
    main()
    assert capsys.readouterr().out == "".join(f"stored {name}.json\n" for name in STUDIES)
    main(STUDIES[-1])
    assert capsys.readouterr().out == f"stored {STUDIES[-1]}.json\n"
    with pytest.raises(SystemExit) as exit_:
        main("nonsense")
    assert exit_.value.code == 2
    assert STUDIES[0] in capsys.readouterr().err


# What is stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_stored_results_are_complete_and_of_the_code_as_it_is(name):
    assert is_current(name), f"{name} is stale: run python -m lossbook.experiments {name}"
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
