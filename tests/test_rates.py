"""The study of learning rates: its data, schedules and plan, and what its trial would notice."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook import LOSSES
from lossbook.experiments import load, rates, study
from lossbook.experiments.trial import TOLERANCE, difference
from lossbook.optim import SGD, Adam

TWINS = {
    "diabetes": F.mse_loss,
    "breast cancer": F.binary_cross_entropy_with_logits,
    "digits": F.cross_entropy,
    "eights": lambda s, y: F.relu(1 - y * s).mean(),
}


@pytest.mark.parametrize("task", rates.TASKS)
def test_a_linear_path_is_that_of_plain_torch(task):
    rows, target, shape = rates.task_data(task)
    weights = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    reference = torch.optim.SGD([weights], lr=0.01, momentum=0.9)
    order = np.random.default_rng(5).permutation(len(rows))
    inputs, targets = torch.from_numpy(rows), torch.as_tensor(target)
    for step, ours in enumerate(rates.linear_path(task, SGD(0.01, momentum=0.9), 5, steps=4)):
        drawn = order[32 * step : 32 * (step + 1)]
        reference.zero_grad()
        TWINS[task](inputs[drawn] @ weights, targets[drawn]).backward()
        reference.step()
        np.testing.assert_allclose(ours, weights.detach().numpy(), rtol=1e-9, atol=1e-12)
    whole = TWINS[task](inputs @ weights, targets).item()
    assert rates.full_loss(task, ours) == pytest.approx(whole, rel=1e-9)


def test_an_epoch_shows_each_example_once_and_leaves_out_an_incomplete_batch():
    seen, rows = [], rates.task_data("diabetes")[0]
    gradient = LOSSES["squared_error"].gradient
    with pytest.MonkeyPatch.context() as patch:
        spied = dict(LOSSES)

        class Spy:
            @staticmethod
            def gradient(prediction, target):
                seen.append(target)
                return gradient(prediction, target)

        spied["squared_error"] = Spy
        patch.setattr(rates, "LOSSES", spied)
        assert len(list(rates.linear_path("diabetes", SGD(0.01), 0, steps=15))) == 15
    assert {len(targets) for targets in seen} == {32}
    order = np.random.default_rng(0).permutation(len(rows))
    whole = np.concatenate(seen[: 442 // 32])
    np.testing.assert_array_equal(whole, rates.task_data("diabetes")[1][order[: len(whole)]])


def test_tables_are_standardised_and_weights_start_at_zero_loss_known():
    for task in ("diabetes", "breast cancer"):
        rows = rates.task_data(task)[0]
        np.testing.assert_allclose(rows[:, :-1].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(rows[:, :-1].std(axis=0), 1)
        assert np.all(rows[:, -1] == 1)
    known = {
        "diabetes": 1,
        "breast cancer": math.log(2),
        "digits": math.log(10),
        "eights": 1,
    }
    for task, first in known.items():
        assert rates.full_loss(task, np.zeros(rates.task_data(task)[2])) == pytest.approx(first)


def test_a_diverged_run_is_a_result():
    settings = {"stage": "sweep", "task": "diabetes", "optimiser": "SGD", "lr": 1e8, "seed": 0}
    assert rates.run(settings) == {"loss": None}
    assert json.loads(json.dumps(rates.run(settings))) == {"loss": None}


@pytest.mark.parametrize("name", rates.SCHEDULES)
def test_a_schedule_ends_after_its_steps_and_never_exceeds_its_peak(name):
    drawn = rates.SCHEDULES[name](0.5, 400)
    values = [drawn(step) if callable(drawn) else drawn for step in range(400)]
    assert max(values) == pytest.approx(0.5, rel=1e-3)
    assert min(values) >= 0
    ends = {"constant": 0.5, "warm-up": 0.5, "steps": 0.005, "cosine": 0, "one cycle": 0}
    assert values[-1] == pytest.approx(ends[name], abs=1e-4)


def test_steps_and_warm_up_change_where_they_should():
    steps = rates.steps_down(1.0, 8)
    assert [steps(k) for k in (0, 3)] == [1, 1]
    assert [steps(k) for k in (4, 5, 6, 7)] == pytest.approx([0.1, 0.1, 0.01, 0.01])


def entry(settings, loss):
    return {"settings": settings, "results": {"loss": loss}}


def test_each_schedule_tries_as_many_rates_and_takes_the_best_that_is_finite():
    first = rates.plan([])
    tuning = [s for s in first if s["stage"] == "tune"]
    assert not [s for s in first if s["stage"] == "schedule"]
    assert len(tuning) == 2 * len(rates.SCHEDULES) * len(rates.NETWORK_RATES)
    assert {s["seed"] for s in tuning}.isdisjoint(rates.SEEDS)
    scores = np.random.default_rng(0).permutation(len(tuning)).tolist()
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    done[scores.index(0)]["results"]["loss"] = None  # it diverged, so it is not the best
    assert rates.plan(done[1:]) == first
    final = rates.plan(done)[len(first) :]
    assert len(final) == 2 * len(rates.SCHEDULES) * len(rates.SEEDS)
    for name, schedule in rates.best_rates(done):
        own = {
            d["settings"]["lr"]: d["results"]["loss"]
            for d in done
            if (d["settings"]["optimiser"], d["settings"]["schedule"]) == (name, schedule)
            and d["results"]["loss"] is not None
        }
        pair = [s for s in final if (s["optimiser"], s["schedule"]) == (name, schedule)]
        assert {s["lr"] for s in pair} == {min(own, key=own.get)}
        assert [s["seed"] for s in pair] == list(rates.SEEDS)


def test_a_seed_gives_every_method_the_same_weights_and_batches(monkeypatch):
    drawn = []

    def spy(network, loss, optimiser, state, inputs, labels):
        drawn.append(inputs.sum().item())
        return None, None, state

    monkeypatch.setattr(rates, "training_step", spy)
    for stage, schedule in (("schedule", "cosine"), ("warm", "warm-up")):
        settings = {"stage": stage, "schedule": schedule, "lr": 0.01, "seed": 3}
        rates.network_loss(settings, steps=5)
    assert drawn[:5] == drawn[5:]
    one, other = rates.network_of(3), rates.network_of(4)
    assert torch.equal(one[0].weight, rates.network_of(3)[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)


def test_the_stored_runs_are_those_of_the_plan():
    runs = load("rates")["runs"]
    planned = rates.plan(runs)
    assert len(planned) == len(runs)
    assert all(run["settings"] in planned for run in runs)


# What the trial notices ---------------------------------------------------------------------------

FAULTS = {
    "another rate": lambda patch: patch.setattr(
        rates, "RATES", tuple(1.01 * lr for lr in rates.RATES)
    ),
    "another momentum": lambda patch: patch.setitem(
        rates.OPTIMISERS, "momentum", lambda lr: SGD(lr, momentum=0.91)
    ),
    "another Adam": lambda patch: patch.setitem(
        rates.OPTIMISERS, "Adam", lambda lr: Adam(lr, betas=(0.9, 0.99))
    ),
    "another batch": lambda patch: patch.setattr(rates, "BATCH_SIZES", (17, 64, 256)),
    "another warm-up": lambda patch: patch.setattr(
        rates, "warm_up", lambda peak, rising: lambda step: peak * min(1.0, step / rising)
    ),
    "another initial network": lambda patch: patch.setattr(rates, "HIDDEN", 63),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(monkeypatch, fault):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch)
        made = study.make_trial("rates")
    assert difference(load("rates")["trial"], made) > TOLERANCE
