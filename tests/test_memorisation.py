"""The study of memorisation: its labels, its losses, its plan, and what its trial would notice."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook import LOSSES
from lossbook.data import load_mnist
from lossbook.experiments import load, memorisation, study
from lossbook.experiments.trial import TOLERANCE, difference

IMAGES, LABELS = load_mnist("train", "sample")


def test_four_in_ten_labels_are_flipped_to_any_other_class():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 5000, dtype=np.uint8)
    before = labels.copy()
    flipped = memorisation.flip(labels, rng)
    np.testing.assert_array_equal(labels, before)
    wrong = flipped != labels
    assert wrong.sum() == 2000
    counts = np.zeros((10, 10))
    np.add.at(counts, (labels[wrong], flipped[wrong]), 1)
    assert np.all(np.diag(counts) == 0)
    # Each of the 90 kinds is expected 22 times; five standard deviations are 24.
    assert counts[~np.eye(10, dtype=bool)].min() > 0
    assert counts.max() < 22 + 24


def test_a_seed_draws_images_that_do_not_overlap_and_the_same_for_every_loss():
    numbered = np.arange(len(LABELS))
    drawn = memorisation.draw(3, numbered, LABELS, training=150, validation=50)
    (training, validation), labels, recorded = drawn
    assert not set(training) & set(validation)
    for ids, true, noted in zip((training, validation), labels, recorded, strict=True):
        np.testing.assert_array_equal(true, LABELS[ids])
        assert np.mean(noted != true) == memorisation.FLIPPED
    again = memorisation.draw(3, numbered, LABELS, training=150, validation=50)
    other = memorisation.draw(4, numbered, LABELS, training=150, validation=50)
    np.testing.assert_array_equal(again[2][0], recorded[0])
    assert (other[0][0] != training).any()


def torch_forward(outputs, ids):
    matrix = torch.full((10, 10), 0.4 / 9, dtype=outputs.dtype).fill_diagonal_(0.6)
    joint = F.log_softmax(outputs, 1)[:, :, None] + matrix.log()
    return F.nll_loss(torch.logsumexp(joint, 1), ids)


TWINS = {
    "cross-entropy": F.cross_entropy,
    "label smoothing": partial(F.cross_entropy, label_smoothing=0.1),
    "forward correction": torch_forward,
    "squared error": lambda z, ids: F.mse_loss(z, F.one_hot(ids, 10).to(z.dtype)),
    "generalised cross-entropy": lambda z, ids: (
        (1 - F.softmax(z, 1).gather(1, ids[:, None]) ** 0.7) / 0.7
    ).mean(),
}


@pytest.mark.parametrize("name", memorisation.OBJECTIVES)
def test_a_loss_and_its_gradient_are_those_of_plain_torch(name):
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(0, 10, 12))
    outputs = [torch.from_numpy(rng.normal(size=(12, 10)) * 3).requires_grad_() for _ in range(2)]
    outputs[1].data.copy_(outputs[0].data)
    for z, loss in zip(outputs, (memorisation.OBJECTIVES[name], TWINS[name]), strict=True):
        loss(z, ids).backward()
    torch.testing.assert_close(outputs[0].grad, outputs[1].grad, rtol=1e-12, atol=1e-12)


def entry(settings, score):
    rows = [{"validation_accuracy": x} for x in (score / 2, score, 0.0)]
    return {"settings": settings, "results": {"history": rows}}


def test_each_loss_tries_as_many_rates_and_takes_the_one_with_the_best_epoch():
    tuning = memorisation.plan([])
    losses, rates = memorisation.OBJECTIVES, memorisation.RATES
    assert len(tuning) == len(losses) * len(rates)
    assert {s["seed"] for s in tuning}.isdisjoint(memorisation.SEEDS)
    scores = np.random.default_rng(0).permutation(len(tuning)) / 100
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    assert memorisation.plan(done[1:]) == tuning
    final = memorisation.plan(done)[len(tuning) :]
    assert len(final) == len(losses) * len(memorisation.SEEDS) >= 50
    for name in losses:
        own = {s["lr"]: x for s, x in zip(tuning, scores, strict=True) if s["loss"] == name}
        assert {s["lr"] for s in final if s["loss"] == name} == {max(own, key=own.get)}


@pytest.fixture
def few_digits(monkeypatch):
    asked = []

    def load_few(split, source):
        asked.append((split, source))
        return IMAGES[:200], LABELS[:200]

    monkeypatch.setattr(memorisation, "load_mnist", load_few)
    draw = partial(memorisation.draw, training=100, validation=50)
    monkeypatch.setattr(memorisation, "draw", draw)
    monkeypatch.setattr(memorisation, "EPOCHS", 2)
    return asked


@pytest.mark.parametrize("stage", ["tune", "final"])
def test_only_final_runs_are_shown_the_test_images(few_digits, stage):
    settings = memorisation.plan([])[0] | {"stage": stage}
    history = memorisation.run(settings)["history"]
    assert [asked for asked, _ in few_digits] == ["train", "test"][: 1 + (stage == "final")]
    assert len(history) == 2
    assert all(("test_accuracy" in row) == (stage == "final") for row in history)
    assert json.loads(json.dumps(history)) == history


def test_wrong_labels_that_are_learnt_are_not_corrected():
    """With labels learnt by heart all wrong ones are learnt, and the true classes are not told."""
    images, labels, recorded = memorisation.draw(0, IMAGES, LABELS, training=60, validation=20)
    settings = memorisation.plan([])[0] | {"lr": 3e-3}
    images, labels, recorded = [images[0]] * 2, [labels[0]] * 2, [recorded[0]] * 2
    *_, last = memorisation.fit(settings, images, labels, recorded, epochs=60, batch_size=20)[1]
    assert last["validation_accuracy"] == 1
    assert last["wrong_labels_learnt"] == 1
    assert last["wrong_labels_corrected"] == 0


# What the trial notices ---------------------------------------------------------------------------


def doubled(name):
    def plant(patch):
        loss = memorisation.OBJECTIVES[name]
        patch.setitem(
            memorisation.OBJECTIVES, name, lambda z, ids: loss(z, ids) + 1e-3 * z[:, 0].sum()
        )

    return plant


FAULTS = {
    **{f"another {name}": doubled(name) for name in memorisation.OBJECTIVES},
    "another rate of flips": lambda patch: patch.setattr(memorisation, "FLIPPED", 0.38),
    "another learning rate": lambda patch: patch.setattr(memorisation, "RATES", (0, 1.01e-3)),
    "the same flips for every seed": lambda patch: patch.setattr(
        memorisation, "flip", lambda labels, rng: (labels + (np.arange(len(labels)) % 5 < 2)) % 10
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(monkeypatch, fault):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch)
        made = study.make_trial("memorisation")
    assert difference(load("memorisation")["trial"], made) > TOLERANCE


def test_the_generalised_cross_entropy_is_the_books():
    z, ids = np.array([[2.0, 0.0]]), np.array([1])
    made = memorisation.OBJECTIVES["generalised cross-entropy"](
        torch.from_numpy(z), torch.from_numpy(ids)
    )
    assert made.item() == LOSSES["generalized_cross_entropy"].value(z, ids, q=0.7)
