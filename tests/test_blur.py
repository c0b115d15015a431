"""The study of blur: its data, its losses, its plan, its measures, and what its trial notices."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook.experiments import blur, load, study
from lossbook.experiments.trial import TOLERANCE, difference
from lossbook.torch import as_torch

TWINS = {"squared_error": F.mse_loss, "absolute_error": F.l1_loss}


def test_pixels_are_rows_between_paper_and_ink():
    images = blur.pixels("test")
    assert images.shape == (1000, 784)
    assert (images.min().item(), images.max().item()) == (0, 1)


@pytest.mark.parametrize("name", blur.LOSSES)
def test_a_loss_and_its_gradient_are_those_of_plain_torch(name):
    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.uniform(size=(3, 784)))
    drawn = [torch.from_numpy(rng.uniform(size=(3, 784))).requires_grad_() for _ in range(2)]
    drawn[1].data.copy_(drawn[0].data)
    for each, loss in zip(drawn, (as_torch(name), TWINS[name]), strict=True):
        loss(each, target).backward()
    torch.testing.assert_close(drawn[0].grad, drawn[1].grad, rtol=1e-12, atol=1e-15)


def test_a_seed_settles_the_first_weights_for_both_losses_and_leaves_torchs_own_generator():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one, same, other = (blur.Autoencoder(2, seed) for seed in (4, 4, 5))
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    for a, b, c in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert (a != c).any()


def entry(settings, validation):
    return {"settings": settings, "results": {"validation": validation}}


def test_each_loss_tries_as_many_rates_and_takes_the_one_with_its_own_smallest_value():
    tuning = blur.plan([])
    assert len(tuning) == len(blur.LOSSES) * len(blur.CODES) * len(blur.RATES)
    assert {s["seed"] for s in tuning}.isdisjoint(blur.SEEDS)
    values = np.random.default_rng(0).permutation(len(tuning)) / 100
    done = [entry(s, x) for s, x in zip(tuning, values, strict=True)]
    assert blur.plan(done[1:]) == tuning
    final = blur.plan(done)[len(tuning) :]
    assert len(final) == len(blur.LOSSES) * len(blur.CODES) * len(blur.SEEDS)
    for name in blur.LOSSES:
        for code in blur.CODES:
            own = {
                s["lr"]: x
                for s, x in zip(tuning, values, strict=True)
                if (s["loss"], s["code"]) == (name, code)
            }
            rates = {s["lr"] for s in final if (s["loss"], s["code"]) == (name, code)}
            assert rates == {min(own, key=own.get)}


@pytest.mark.parametrize("stage", ["tune", "final"])
def test_only_final_runs_are_shown_the_test_images(monkeypatch, stage):
    asked, pixels = [], blur.pixels

    def few(split):
        asked.append(split)
        return pixels(split)[:60]

    monkeypatch.setattr(blur, "pixels", few)
    monkeypatch.setattr(blur, "TRAINING", 40)
    monkeypatch.setattr(blur, "EPOCHS", 1)
    results = blur.run(blur.plan([])[0] | {"stage": stage})
    assert asked == ["train", "test"][: 1 + (stage == "final")]
    assert ("grey" in results) == (stage == "final")
    assert json.loads(json.dumps(results)) == results


def test_measures_of_the_images_themselves_and_of_a_grey_page():
    images = blur.pixels("test")
    own = blur.measures(images, images)
    assert own["squared_error"] == own["absolute_error"] == 0
    assert own["ink"] == own["edges"] == 1
    assert 0.05 < own["grey"] < 0.07  # MNIST smooths the borders of its strokes
    page = blur.measures(torch.full_like(images, 0.5), images)
    assert (page["grey"], page["edges"]) == (1, 0)
    assert page["ink"] == pytest.approx(0.5 / images.mean().item())


def test_edges_see_the_neighbours_in_rows_and_in_columns():
    line = torch.zeros(1, 28, 28)
    line[0, 10, :] = 1.0  # from edge to edge: 28 steps up and 28 down, and none along it
    shifted = line.transpose(1, 2)
    both = [image.reshape(1, 784) for image in (line, shifted)]
    assert blur.measures(both[0], both[1])["edges"] == 1
    assert blur.measures(both[0] / 2, both[1])["edges"] == 0.5


# What the trial notices ---------------------------------------------------------------------------


def other_loss(patch):
    criterion = blur.as_torch

    def planted(name):
        loss = criterion(name)
        return lambda drawn, images: loss(drawn, images) + 1e-3 * drawn[:, 300].mean()

    patch.setattr(blur, "as_torch", planted)


FAULTS = {
    "another loss": other_loss,
    "another learning rate": lambda patch: patch.setattr(blur, "RATES", (0, 3.03e-3)),
    "another code": lambda patch: patch.setattr(blur, "CODES", (3, 8)),
    "another grey": lambda patch: patch.setattr(blur, "GREY", (0.3, 0.7)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(monkeypatch, fault):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch)
        made = study.make_trial("blur")
    assert difference(load("blur")["trial"], made) > TOLERANCE
