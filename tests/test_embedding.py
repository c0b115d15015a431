"""The study of embeddings: its mining, its losses, its plan, and what its trial would notice."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook.data import load_mnist
from lossbook.experiments import embedding, load, study
from lossbook.experiments.trial import TOLERANCE, difference

IMAGES, LABELS = load_mnist("train", "sample")
RNG = np.random.default_rng(0)
POINTS = F.normalize(torch.from_numpy(RNG.normal(size=(70, 16))), dim=1)
IDS = torch.arange(7).repeat_interleave(10)


def test_a_seed_splits_its_known_classes_and_shares_no_image():
    known, train, validation = embedding.split(3, LABELS)
    assert len(set(known)) == 7
    assert train.shape == (7, 300)
    assert validation.shape == (700,)
    assert not set(train.ravel()) & set(validation)
    for each, row in zip(known, train, strict=True):
        assert set(LABELS[row]) == {each}
    assert set(LABELS[validation]) == set(known)
    assert any((embedding.split(seed, LABELS)[0] != known).any() for seed in range(3))


@pytest.mark.parametrize("how", ["random", "hardest", "semi"])
def test_triplets_are_of_the_kind_that_was_asked_for(how):
    points, ids = POINTS.numpy(), IDS.numpy()
    positive, negative = embedding.triplets(points, ids, how, np.random.default_rng(1))
    anchors = np.arange(70)
    assert np.all(ids[positive] == ids)
    assert np.all(positive != anchors)
    assert np.all(ids[negative] != ids)
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    near, far = squares[anchors, positive], squares[anchors, negative]
    for anchor in anchors:
        own = (ids == ids[anchor]) & (anchors != anchor)
        if how == "hardest":
            assert near[anchor] == squares[anchor, own].max()
            assert far[anchor] == squares[anchor, ids != ids[anchor]].min()
        if how == "semi":
            apart = squares[anchor][ids != ids[anchor]]
            beyond = apart[apart > near[anchor]]
            assert far[anchor] == (beyond.min() if beyond.size else apart.max())
    if how == "random":
        assert 0 < np.mean(near > far) < 1


def test_where_no_negative_is_semi_hard_the_farthest_is_taken():
    points = np.array([[0.0], [9.0], [1.0], [2.0]])
    _, negative = embedding.triplets(points, np.array([0, 0, 1, 1]), "semi", RNG)
    assert negative[0] == 3


def by_torch(name):
    """The loss in plain torch, with the draws that the study makes."""
    rng = np.random.default_rng(5)
    if name == "InfoNCE":
        groups = POINTS.reshape(7, 2, 5, 16)
        losses = [
            F.cross_entropy(groups[:, 0, i] @ groups[:, 1, i].T / 0.1, torch.arange(7))
            for i in range(5)
        ]
        return torch.stack(losses).mean()
    if name in embedding.CLASSIFIERS:
        cosines = POINTS @ F.normalize(head().weight, dim=1).T
        cosines[torch.arange(70), IDS] -= embedding.CLASSIFIERS[name]
        return F.cross_entropy(cosines / 0.1, IDS)
    how = embedding.MINED.get(name, "random")
    positive, negative = embedding.triplets(POINTS.numpy(), IDS.numpy(), how, rng)
    near, far = ((POINTS - POINTS[each]).norm(dim=1) for each in (positive, negative))
    if name == "contrastive":
        return (near**2 + F.relu(1 - far) ** 2).mean() / 2
    return F.relu(near**2 - far**2 + 0.2).mean()


def head():
    with study.trial_conditions():
        return embedding.Directions(0)


@pytest.mark.parametrize("name", embedding.LABELLED)
def test_a_loss_is_that_of_plain_torch(name):
    loss = embedding.labelled_loss(name, head(), np.random.default_rng(5))(POINTS, IDS)
    torch.testing.assert_close(loss, by_torch(name), rtol=1e-12, atol=1e-12)


def test_all_ways_with_labels_see_the_same_batches(monkeypatch):
    seen = {}
    for name in embedding.LABELLED:
        batches = seen[name] = []
        network = embedding.Embedder(0)
        network.register_forward_pre_hook(lambda _, inputs, to=batches: to.append(inputs[0]))
        images = IMAGES[embedding.split(0, LABELS)[1]]
        for _ in embedding.labelled_losses(name, network, embedding.Directions(0), images, 0, 2):
            pass
    for batches in seen.values():
        assert torch.equal(torch.stack(batches), torch.stack(seen["contrastive"]))


def test_copies_are_moved_by_whole_pixels_and_not_alike():
    moved = embedding.shifted(IMAGES[:200], np.random.default_rng(0))
    padded = np.pad(IMAGES[:200], [(0, 0), (3, 3), (3, 3)])
    found = [
        {
            (down, right)
            for down in range(7)
            for right in range(7)
            if np.array_equal(big[down : down + 28, right : right + 28], small)
        }
        for big, small in zip(padded, moved, strict=True)
    ]
    assert all(found)
    assert len(set().union(*found)) == 49


def test_a_run_without_labels_sees_as_many_images_whatever_the_batch(monkeypatch):
    for name, (size, _) in embedding.BATCHES.items():
        network = embedding.Embedder(0)
        losses = embedding.unlabelled_losses(name, network, IMAGES[:300], 0, 384)
        assert len(list(losses)) * size == 384
        assert embedding.UNLABELLED % size == 0


def test_what_is_retrieved_is_told_without_the_query_itself():
    points = np.array([[0.0], [0.1], [5.0], [5.1], [0.05]])
    found = embedding.scores(points, np.array([0, 0, 1, 1, 1]))
    assert found["recall"] == pytest.approx(2 / 5)
    assert 0 < found["map"] < 1


def test_points_that_all_coincide_retrieve_nothing_at_first_and_precision_is_chance():
    ids = np.repeat(np.arange(5), 4)
    assert embedding.scores(np.ones((20, 3)), ids) == {
        "recall": 0.0,
        "map": pytest.approx(3 / 19),
    }


def entry(settings, score):
    return {"settings": settings, "results": {"validation": {"map": score, "recall": 1 - score}}}


def test_each_way_tries_as_many_rates_and_takes_the_best_on_validation():
    tuning = embedding.plan([])
    ways, rates = embedding.WAYS, embedding.RATES
    assert len(tuning) == len(ways) * len(rates)
    assert {s["seed"] for s in tuning}.isdisjoint(embedding.SEEDS)
    scores = np.random.default_rng(0).permutation(len(tuning)) / 100
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    assert embedding.plan(done[1:]) == tuning
    final = embedding.plan(done)[len(tuning) :]
    assert len(final) == len(ways) * len(embedding.SEEDS) >= 100
    for name in ways:
        own = {s["lr"]: x for s, x in zip(tuning, scores, strict=True) if s["way"] == name}
        assert {s["lr"] for s in final if s["way"] == name} == {max(own, key=own.get)}


@pytest.mark.parametrize("stage", ["tune", "final"])
@pytest.mark.parametrize("way", ["CosFace", "batch of 32"])
def test_only_final_runs_are_shown_the_test_digits(monkeypatch, stage, way):
    asked = []

    def load_few(split, source):
        asked.append((split, source))
        return IMAGES[:600], LABELS[:600]

    monkeypatch.setattr(embedding, "load_mnist", load_few)
    monkeypatch.setattr(
        embedding, "fit", partial(embedding.fit, steps=2, unlabelled=64, per_class=40)
    )
    settings = embedding.plan([])[0] | {"stage": stage, "way": way}
    found = embedding.run(settings)
    assert {split for split, _ in asked} == ({"train", "test"} if stage == "final" else {"train"})
    assert set(found) == {"validation"} | ({"known", "new"} if stage == "final" else set())
    assert json.loads(json.dumps(found)) == found


def test_pixels_are_scored_on_the_same_groups():
    found = embedding.pixels_retrieve(0)
    assert set(found) == {"known", "new"}
    assert all(0 < score < 1 for group in found.values() for score in group.values())


# What the trial notices ---------------------------------------------------------------------------


def another(**values):
    return lambda patch: [patch.setattr(embedding, key, value) for key, value in values.items()]


def planted(name, value):
    return lambda patch: patch.setitem(getattr(embedding, name), *value)


FAULTS = {
    "another margin of triplets": another(MARGIN=0.201),
    "another margin of cosines": planted("CLASSIFIERS", ("CosFace", 0.201)),
    "another temperature": another(TEMPERATURE=0.101),
    "another temperature without labels": planted(
        "UNLABELLED_WAYS", ("temperature 0.5", (32, 0.51))
    ),
    "another size of batch": planted("UNLABELLED_WAYS", ("batch of 32", (31, 0.1))),
    "another rate": another(RATES=(0, 1.01e-3)),
    "another mining": planted("MINED", ("triplet, semi-hard", "hardest")),
    "copies that are not moved": another(shifted=lambda images, rng: images),
    "other known classes": another(KNOWN=6),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(monkeypatch, fault):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch)
        made = study.make_trial("embedding")
    assert difference(load("embedding")["trial"], made) > TOLERANCE
