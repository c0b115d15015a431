"""The study of a small CNN in NumPy: its plan, its gradients, and what its trial would notice."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook.data import load_mnist
from lossbook.experiments import load, numpy_cnn, study
from lossbook.experiments.trial import TOLERANCE, difference

IMAGES, LABELS = load_mnist("train", "sample")


def test_two_of_the_networks_have_about_as_many_parameters():
    counts = {
        name: sum(w.size for w in numpy_cnn.initial(name, 0).values())
        for name in numpy_cnn.NETWORKS
    }
    assert counts == {"linear": 7850, "hidden layer": 11935, "CNN": 11738}


TWINS = {
    "linear": lambda p, x: F.linear(x.flatten(1), p["out.weight"], p["out.bias"]),
    "hidden layer": lambda p, x: F.linear(
        F.relu(F.linear(x.flatten(1), p["hidden.weight"], p["hidden.bias"])),
        p["out.weight"],
        p["out.bias"],
    ),
    "CNN": lambda p, x: F.linear(
        F.relu(F.max_pool2d(F.conv2d(x, p["conv.weight"], p["conv.bias"]), 2)).flatten(1),
        p["out.weight"],
        p["out.bias"],
    ),
}


@pytest.mark.parametrize("name", numpy_cnn.NETWORKS)
def test_loss_and_gradient_are_those_of_plain_torch(name):
    params = numpy_cnn.initial(name, 1, np.float64)
    pictures, ids = numpy_cnn.as_pictures(IMAGES[:12], np.float64), LABELS[:12]
    loss, grads = numpy_cnn.gradient(numpy_cnn.NETWORKS[name], params, pictures, ids)
    leaves = {key: torch.from_numpy(w).requires_grad_() for key, w in params.items()}
    logits = TWINS[name](leaves, torch.from_numpy(pictures))
    expected = F.cross_entropy(logits, torch.from_numpy(ids).long())
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    expected.backward()
    for key, leaf in leaves.items():
        np.testing.assert_allclose(grads[key], leaf.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_seed_splits_all_images_in_two():
    numbered = np.arange(len(LABELS))
    (training, _), (validation, _) = numpy_cnn.split(3, numbered, LABELS)
    assert len(training) == numpy_cnn.TRAINING
    np.testing.assert_array_equal(np.sort(np.append(training, validation)), numbered)
    assert (numpy_cnn.split(4, numbered, LABELS)[0][0] != training).any()


def entry(settings, score):
    return {"settings": settings, "results": {"validation_accuracy": score}}


def test_each_network_tries_as_many_rates_and_takes_the_best():
    tuning = numpy_cnn.plan([])
    networks, rates = numpy_cnn.NETWORKS, numpy_cnn.RATES
    assert len(tuning) == len(networks) * len(rates)
    assert {s["seed"] for s in tuning}.isdisjoint(numpy_cnn.SEEDS)
    scores = np.random.default_rng(0).permutation(len(tuning)) / 100
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    assert numpy_cnn.plan(done[1:]) == tuning
    final = numpy_cnn.plan(done)[len(tuning) :]
    assert len(final) == len(networks) * len(numpy_cnn.SEEDS) >= 30
    for name in networks:
        own = {s["lr"]: x for s, x in zip(tuning, scores, strict=True) if s["network"] == name}
        assert {s["lr"] for s in final if s["network"] == name} == {max(own, key=own.get)}


@pytest.mark.parametrize("stage", ["tune", "final"])
def test_only_final_runs_are_shown_the_test_images(monkeypatch, stage):
    asked = []

    def load_few(split, source):
        asked.append((split, source))
        return IMAGES[:200], LABELS[:200]

    monkeypatch.setattr(numpy_cnn, "load_mnist", load_few)
    monkeypatch.setattr(numpy_cnn, "split", partial(numpy_cnn.split, training=100))
    monkeypatch.setattr(numpy_cnn, "fit", partial(numpy_cnn.fit, epochs=1))
    settings = numpy_cnn.plan([])[-1] | {"stage": stage}
    results = numpy_cnn.run(settings)
    assert [split for split, _ in asked] == ["train", "test"][: 1 + (stage == "final")]
    assert ("missed" in results) == (stage == "final")
    assert json.loads(json.dumps(results)) == results


# What the trial notices ---------------------------------------------------------------------------


def leaky_relu(patch):
    layer = numpy_cnn.NETWORKS["CNN"].layers["bend"][0]
    fault = layer._replace(backward=lambda g, x: layer.backward(g, x) + 1e-6 * g)
    patch.setitem(numpy_cnn.NETWORKS["CNN"].layers, "bend", (fault, {}))


FAULTS = {
    "a backward pass that leaks a millionth": leaky_relu,
    "another learning rate": lambda patch: patch.setattr(numpy_cnn, "RATES", (0, 1.01e-3)),
    "other initial weights": lambda patch: patch.setattr(
        numpy_cnn,
        "initial",
        lambda name, seed, dtype, first=numpy_cnn.initial: first(name, seed + 1, dtype),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(monkeypatch, fault):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch)
        made = study.make_trial("numpy_cnn")
    assert difference(load("numpy_cnn")["trial"], made) > TOLERANCE
