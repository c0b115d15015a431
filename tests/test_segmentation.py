"""The study of segmentation: its images, its losses, its plan, and what its trial would notice."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook import dice
from lossbook.experiments import load, segmentation, study
from lossbook.experiments.trial import TOLERANCE, difference


def test_images_hold_an_object_of_the_size_asked_for_or_none():
    images, masks = segmentation.draw(np.random.default_rng(1), 500)
    assert images.shape == masks.shape == (500, segmentation.SIDE, segmentation.SIDE)
    assert set(np.unique(masks)) == {0, 1}
    pixels = masks.sum((1, 2))
    # 400 images are expected to hold one; five standard deviations are 45.
    assert abs((pixels > 0).sum() - 400) < 45
    # A circle of radius 2 has about 13 pixels, one of radius 6 about 113.
    assert 8 <= pixels[pixels > 0].min() < 20
    assert 90 < pixels.max() < 130
    assert images[masks > 0].mean() > images[masks == 0].mean() + 0.5


def test_a_seed_makes_its_own_images_and_the_same_for_every_loss():
    one, again, other = (segmentation.data_of(seed, 5, 5, 5) for seed in (3, 3, 4))
    for part in range(3):
        np.testing.assert_array_equal(one[part][0], again[part][0])
        assert (one[part][0] != other[part][0]).any()
    assert (one[0][0] != one[1][0]).any()


def torch_dice(z, t):
    p = torch.sigmoid(z)
    hits = (p * t).sum((-2, -1))
    return (1 - (2 * hits + 1) / (p.sum((-2, -1)) + t.sum((-2, -1)) + 1)).mean()


TWINS = {
    "BCE": F.binary_cross_entropy_with_logits,
    "Dice": torch_dice,
    "Dice, batch": lambda z, t: torch_dice(z.reshape(1, 1, -1), t.reshape(1, 1, -1)),
    "BCE + Dice": lambda z, t: F.binary_cross_entropy_with_logits(z, t) + torch_dice(z, t),
}


@pytest.mark.parametrize("name", segmentation.OBJECTIVES)
def test_a_loss_and_its_gradient_are_those_of_plain_torch(name):
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(rng.integers(0, 2, (3, 4, 5)).astype(float))
    masks[0] = 0
    logits = [torch.from_numpy(rng.normal(size=(3, 4, 5)) * 3).requires_grad_() for _ in range(2)]
    logits[1].data.copy_(logits[0].data)
    for z, loss in zip(logits, (segmentation.OBJECTIVES[name], TWINS[name]), strict=True):
        loss(z, masks).backward()
    torch.testing.assert_close(logits[0].grad, logits[1].grad, rtol=1e-12, atol=1e-12)


def entry(settings, score):
    return {"settings": settings, "results": {"validation_dice": score}}


def test_each_loss_tries_as_many_rates_and_takes_the_best():
    tuning = segmentation.plan([])
    losses, rates = segmentation.OBJECTIVES, segmentation.RATES
    assert len(tuning) == len(losses) * len(rates)
    assert {s["seed"] for s in tuning}.isdisjoint(segmentation.SEEDS)
    scores = np.random.default_rng(0).permutation(len(tuning)) / 100
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    assert segmentation.plan(done[1:]) == tuning
    final = segmentation.plan(done)[len(tuning) :]
    assert len(final) == len(losses) * len(segmentation.SEEDS) >= 30
    for name in losses:
        own = {s["lr"]: x for s, x in zip(tuning, scores, strict=True) if s["loss"] == name}
        assert {s["lr"] for s in final if s["loss"] == name} == {max(own, key=own.get)}


@pytest.mark.parametrize("stage", ["tune", "final"])
def test_only_final_runs_are_shown_test_images(monkeypatch, stage):
    asked = []
    monkeypatch.setattr(segmentation, "TRAINING", 20)
    monkeypatch.setattr(segmentation, "EPOCHS", 1)
    real = segmentation.draw
    monkeypatch.setattr(
        segmentation, "draw", lambda rng, count: asked.append(count) or real(rng, count)
    )
    settings = segmentation.plan([])[0] | {"stage": stage}
    results = segmentation.run(settings)
    assert asked == [20, 200, 400][: 2 + (stage == "final")]
    assert ("test_dice" in results) == (stage == "final")
    assert json.loads(json.dumps(results)) == results


def test_scores_are_those_of_the_book():
    rng = np.random.default_rng(0)
    found, masks = rng.uniform(size=(4, 6, 6)), rng.integers(0, 2, (4, 6, 6)).astype(float)
    masks[0] = 0
    found[0] /= 3
    hard = (found > 0.5).astype(float)
    np.testing.assert_allclose(
        segmentation.dice_score(found, masks, 0.5), 1 - dice(hard, masks), rtol=1e-15
    )


def test_what_is_measured_on_test_images():
    masks = np.zeros((3, 32, 32))
    masks[0, :4, :5], masks[1, :6, :6] = 1, 1
    found = np.where(masks > 0, 0.9, 0.2)
    found[2, 0, 0] = 0.8
    measured = segmentation.on_test(found, masks, 0.85)
    assert (measured["small"], measured["large"], measured["empty"]) == (1, 1, 0)
    assert measured["test_dice"] == pytest.approx(2 / 3)
    assert measured["test_dice_cut"] == 1
    assert measured["wrong_pixels"] == pytest.approx(1 / masks.size)
    likelihood = np.where(masks > 0, found, 1 - found)
    assert measured["log_loss"] == pytest.approx(-np.log(likelihood).mean())
    counts, said, true = measured["bins"]
    assert (counts[8], counts[9], true[9]) == (1, 56, 56)
    assert said[9] == pytest.approx(0.9 * 56)


# What the trial notices ---------------------------------------------------------------------------


def moved(name):
    def plant(patch):
        loss = segmentation.OBJECTIVES[name]
        patch.setitem(
            segmentation.OBJECTIVES, name, lambda z, t: loss(z, t) + 1e-3 * z[:, 0].mean()
        )

    return plant


FAULTS = {
    **{f"another {name}": moved(name) for name in segmentation.OBJECTIVES},
    "another learning rate": lambda patch: patch.setattr(segmentation, "RATES", (0, 1.01e-2)),
    "more objects": lambda patch: patch.setattr(segmentation, "WITH_OBJECT", 0.85),
    "another network": lambda patch: patch.setattr(
        segmentation, "Finder", partial(segmentation.Finder, channels=7)
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(monkeypatch, fault):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch)
        made = study.make_trial("segmentation")
    assert difference(load("segmentation")["trial"], made) > TOLERANCE
