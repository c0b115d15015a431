"""The study of two losses: the slant, the arms, the plan, and what the trial would notice."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook.data import load_mnist
from lossbook.experiments import load, study, two_losses
from lossbook.experiments.trial import TOLERANCE, difference

IMAGES, LABELS = load_mnist("train", "sample")


def test_the_slant_does_not_depend_on_place_or_ink_and_changes_sign_in_a_mirror():
    leaning = IMAGES[:50]
    slant = two_losses.slant(leaning)
    np.testing.assert_allclose(two_losses.slant(leaning[:, :, ::-1]), -slant, atol=1e-9)
    np.testing.assert_allclose(two_losses.slant(leaning * 2.0), slant, atol=1e-9)
    moved = np.pad(leaning, ((0, 0), (0, 3), (2, 0)))
    np.testing.assert_allclose(two_losses.slant(moved), slant, atol=1e-9)


def test_a_sheared_bar_leans_by_the_angle_of_its_shear():
    bar = np.zeros((1, 28, 28))
    for row in range(4, 24):
        bar[0, row, 14 + (13 - row) // 2] = 1
    assert abs(two_losses.slant(bar)[0] - np.degrees(np.arctan(0.5))) < 1


def test_training_and_validation_digits_do_not_overlap_and_are_the_same_for_every_arm():
    numbered = np.arange(len(LABELS))
    training, validation = two_losses.draw(3, numbered, LABELS)
    assert len(training[0]) == two_losses.TRAINING
    assert sorted([*training[0], *validation[0]]) == list(numbered)
    again, _ = two_losses.draw(3, numbered, LABELS)
    other, _ = two_losses.draw(4, numbered, LABELS)
    np.testing.assert_array_equal(again[0], training[0])
    assert (other[0] != training[0]).any()


def of_arm(arm, choice):
    """What an arm minimises and its gradient with respect to the shared weights, two steps in."""
    weights = two_losses.first_weights(0)
    weights["log-variances"] += torch.tensor([0.5, 2.0])
    for weight in weights.values():
        weight.requires_grad_()
    inputs = torch.tensor(IMAGES[:20].reshape(20, -1) / 255, dtype=torch.float32)
    features, logits, lean = two_losses.outputs(weights, inputs)
    ids = torch.from_numpy(LABELS[:20].astype(np.int64))
    degrees = torch.tensor(two_losses.slant(IMAGES[:20]), dtype=torch.float32)
    losses = F.cross_entropy(logits, ids), F.mse_loss(lean, degrees)
    total, factors = two_losses.combined(arm, choice, weights, features, *losses)
    return weights, features, losses, total, factors


@pytest.mark.parametrize(
    ("arm", "choice", "expected"),
    [
        ("digit only", None, (1.0, 0.0)),
        ("slant only", None, (0.0, 1.0)),
        ("plain sum", None, (1.0, 1.0)),
        ("fixed weight", 0.01, (1.0, 0.01)),
        ("uncertainty", 5.0, (np.exp(-0.5) / 2, np.exp(-2.0) / 2)),
    ],
)
def test_an_arm_multiplies_the_gradients_by_its_factors(arm, choice, expected):
    weights, _, losses, total, factors = of_arm(arm, choice)
    np.testing.assert_allclose(factors, expected, rtol=1e-6)
    shared = weights["hidden"]
    whole = torch.autograd.grad(total, shared, retain_graph=True)[0]
    parts = [torch.autograd.grad(loss, shared, retain_graph=True)[0] for loss in losses]
    combined = sum(factor * part for factor, part in zip(factors, parts, strict=True))
    torch.testing.assert_close(whole, combined)


def test_uncertainty_is_least_where_each_log_variance_is_the_log_of_its_loss():
    weights, features, losses, *_ = of_arm("uncertainty", 5.0)
    weights["log-variances"] = torch.stack(losses).log().detach().requires_grad_()
    total, _ = two_losses.combined("uncertainty", 5.0, weights, features, *losses)
    slopes = torch.autograd.grad(total, weights["log-variances"])[0]
    assert slopes.abs().max() < 1e-6


def test_gradient_size_gives_each_task_its_share_of_the_features_gradient():
    _, features, losses, _, factors = of_arm("gradient size", 0.2)
    sizes = [torch.autograd.grad(loss, features, retain_graph=True)[0].norm() for loss in losses]
    shares = [float(size) * factor for size, factor in zip(sizes, factors, strict=True)]
    np.testing.assert_allclose(shares, [0.8, 0.2], rtol=1e-5)


def entry(settings, score):
    shares = {"digit_share": score, "slant_share": score / 2}
    return {"settings": settings, "results": {"validation": shares}}


def test_each_arm_tries_as_many_settings_and_takes_the_best():
    tuning = two_losses.plan([])
    arms = two_losses.ARMS
    counts = {arm: sum(s["arm"] == arm for s in tuning) for arm in arms}
    assert set(counts.values()) == {9}
    assert {s["seed"] for s in tuning}.isdisjoint(two_losses.SEEDS)
    scores = np.random.default_rng(0).permutation(len(tuning)) / 100
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    assert two_losses.plan(done[1:]) == tuning
    final = two_losses.plan(done)[len(tuning) :]
    assert len(final) == len(arms) * len(two_losses.SEEDS)
    of = {(s["arm"], s["lr"], s["choice"]): x for s, x in zip(tuning, scores, strict=True)}
    for arm in arms:
        best = min((place for place in of if place[0] == arm), key=of.get)
        assert {(s["arm"], s["lr"], s["choice"]) for s in final if s["arm"] == arm} == {best}


def test_a_run_that_diverged_is_not_chosen():
    tuning = two_losses.plan([])
    done = [entry(s, float("nan") if s["lr"] == tuning[0]["lr"] else s["lr"]) for s in tuning]
    assert all(lr != tuning[0]["lr"] for lr, _ in two_losses.best_settings(done).values())


@pytest.mark.parametrize("stage", ["tune", "final"])
def test_only_final_runs_are_shown_the_test_images(monkeypatch, stage):
    asked = []

    def load_few(split, source):
        asked.append((split, source))
        return IMAGES[:200], LABELS[:200]

    monkeypatch.setattr(two_losses, "load_mnist", load_few)
    monkeypatch.setattr(two_losses, "TRAINING", 100)
    monkeypatch.setattr(two_losses.draw, "__defaults__", (100,))
    monkeypatch.setattr(two_losses.fit, "__kwdefaults__", {"epochs": 1, "batch_size": 50})
    results = two_losses.run(two_losses.plan([])[-1] | {"stage": stage})
    assert [split for split, _ in asked] == ["train", "test"][: 1 + (stage == "final")]
    assert ("test" in results) == (stage == "final")
    assert json.loads(json.dumps(results)) == results


# What the trial notices ---------------------------------------------------------------------------


def other_factor(arm, patch):
    combined = two_losses.combined

    def planted(name, *arguments):
        total, factors = combined(name, *arguments)
        return (total * 1.001 if name == arm else total), factors

    patch.setattr(two_losses, "combined", planted)


FAULTS = {
    **{
        f"another {arm}": lambda patch, arm=arm: patch.setitem(two_losses.ARMS, arm, (0.3,))
        for arm in ("fixed weight", "uncertainty", "gradient size")
    },
    "another slant": lambda patch: patch.setattr(
        two_losses, "slant", lambda images: images[:, 14, 14] / 255.0
    ),
    "another learning rate": lambda patch: patch.setattr(two_losses, "RATES", (0, 0, 1.01e-3)),
    "another sum": lambda patch: other_factor("uncertainty", patch),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(monkeypatch, fault):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch)
        made = study.make_trial("two_losses")
    assert difference(load("two_losses")["trial"], made) > TOLERANCE
