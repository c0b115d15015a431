"""The worlds of chapter 19: losses, draws, plans, measures, and what their trials would notice."""

import json
import math
from collections import Counter
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from faults import draws_of, optimiser_with
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from lossbook import optim, train
from lossbook.data import load_mnist
from lossbook.experiments import (
    memorisation,
    study,
    world_clean,
    world_few,
    world_flipped,
    world_imbalanced,
    worlds,
)
from lossbook.experiments.trial import TOLERANCE, difference
from lossbook.metrics import expected_calibration_error
from lossbook.torch import CNN

IMAGES, LABELS = load_mnist("train", "sample")
#: As many labels as MNIST has, and images that are told from each other.
MANY = np.random.default_rng(0).integers(0, 10, 60_000, dtype=np.uint8)
NUMBERED = np.arange(len(MANY))
STUDIES = {
    "world_few": world_few,
    "world_flipped": world_flipped,
    "world_imbalanced": world_imbalanced,
    "world_clean": world_clean,
}
ALL = pytest.mark.parametrize("name", STUDIES)


def few(name, **options):
    """The world of a study with few digits, which are read twice in batches of 16."""
    small = {"training": 40, "validation": 20, "epochs": 2, "batch_size": 16}
    if name == "world_imbalanced":
        small |= {"training": 50, "validation": 50}
    return replace(STUDIES[name].WORLD, **small | options)


def final(loss, seed=3, optimizer="adam", lr=3e-3):
    return {"stage": "final", "loss": loss, "optimizer": optimizer, "lr": lr, "seed": seed}


# The losses ---------------------------------------------------------------------------------------


def test_every_loss_that_can_train_is_trained_or_stands_for_another():
    both = [*worlds.TRAINED, *worlds.SAME_AS]
    assert len(both) == len(set(both))
    assert set(both) == set(train.TRAINABLE)
    assert set(worlds.SAME_AS.values()) <= set(worlds.TRAINED)
    for module in STUDIES.values():
        assert set(module.WORLD.compared) <= set(worlds.TRAINED)
        assert worlds.BASELINE in module.WORLD.compared


@cache
def gradient(loss, scale):
    rng = np.random.default_rng(1)
    outputs = torch.from_numpy(scale * rng.normal(size=(60, 10))).requires_grad_()
    train.objective(loss)(outputs, torch.from_numpy(rng.integers(0, 10, 60))).backward()
    return outputs.grad.numpy().ravel()


def distance_from_a_multiple(one, other):
    """What is left of a vector beside another, as a share of its length."""
    factor = one @ other / (other @ other)
    return np.linalg.norm(one - factor * other) / np.linalg.norm(one), factor


@pytest.mark.parametrize("loss", worlds.SAME_AS)
def test_a_loss_that_is_left_out_has_the_gradient_of_another(loss):
    factors = []
    for scale in (0.1, 1.0, 10.0):
        pair = gradient(loss, scale), gradient(worlds.SAME_AS[loss], scale)
        left, factor = distance_from_a_multiple(*pair)
        assert left < 1e-12
        factors.append(factor)
    assert factors == pytest.approx([factors[0]] * 3, rel=1e-12)
    assert factors[0] > 0


def test_no_two_losses_that_are_trained_have_one_gradient():
    for one in worlds.TRAINED:
        for other in set(worlds.TRAINED) - {one}:
            # Alike where outputs are small, as Huber's and the squared error, is not the same.
            pairs = [(gradient(one, s), gradient(other, s)) for s in (0.1, 1.0, 10.0)]
            found = [distance_from_a_multiple(*pair) for pair in pairs]
            factors = [factor for _, factor in found]
            assert max(left for left, _ in found) > 0.01 or np.ptp(factors) > 0.01 * max(factors)


@pytest.mark.parametrize("loss", worlds.TRAINED)
def test_sgd_takes_longer_steps_where_the_gradient_is_shorter(loss):
    rng = np.random.default_rng(0)
    outputs = torch.from_numpy(0.1 * rng.normal(size=(1000, 10))).requires_grad_()
    ids = torch.from_numpy(rng.integers(0, 10, 1000))
    sizes = []
    for name in (worlds.BASELINE, loss):
        outputs.grad = None
        train.objective(name)(outputs, ids).backward()
        sizes.append(1000 * outputs.grad.norm(dim=1).mean().item())
        assert worlds.gradient_size(name) == pytest.approx(sizes[-1], rel=1e-12)
    expected = [rate * sizes[0] / sizes[1] for rate in worlds.SGD_RATES]
    # Rates are rounded to two digits.
    assert worlds.sgd_rates(loss) == pytest.approx(expected, rel=0.05)
    assert all(rate == float(f"{rate:.1e}") for rate in worlds.sgd_rates(loss))
    assert worlds.sgd_rates(worlds.BASELINE) == worlds.SGD_RATES


# What a seed draws --------------------------------------------------------------------------------


@ALL
def test_a_seed_draws_images_for_training_and_others_for_validation(name):
    world = STUDIES[name].WORLD
    before = MANY.copy()
    chosen, true, recorded = world.draw(3, NUMBERED, MANY)
    np.testing.assert_array_equal(MANY, before)
    assert not set(chosen[0]) & set(chosen[1])
    for part, labels, noted in zip(chosen, true, recorded, strict=True):
        assert len(set(part)) == len(part) == len(labels) == len(noted)
        np.testing.assert_array_equal(labels, MANY[part])
        assert noted.dtype == MANY.dtype
        assert not np.shares_memory(noted, MANY)
    sizes = [len(part) for part in chosen]
    if world.rarity == 1:
        assert sizes == [world.training, world.validation]
    for again, drawn in zip(world.draw(3, NUMBERED, MANY), (chosen, true, recorded), strict=True):
        for one, other in zip(again, drawn, strict=True):
            np.testing.assert_array_equal(one, other)
    other = world.draw(4, NUMBERED, MANY)[0]
    # Another seed has another choice, not only another order.
    assert all(set(one) != set(part) for one, part in zip(other, chosen, strict=True))


@ALL
def test_four_in_ten_labels_are_flipped_in_one_world_and_none_in_the_others(name):
    _, true, recorded = STUDIES[name].WORLD.draw(5, NUMBERED, MANY)
    for labels, noted in zip(true, recorded, strict=True):
        assert np.mean(labels != noted) == (0.4 if name == "world_flipped" else 0)
        assert set(noted) == set(range(10))


@pytest.mark.parametrize("seed", [0, 1, worlds.TUNING_SEED])
def test_odd_digits_are_exactly_50_times_as_rare_as_even_ones(seed):
    world = world_imbalanced.WORLD
    _, true, _ = world.draw(seed, NUMBERED, MANY)
    for labels, common in zip(true, (world.training, world.validation), strict=True):
        counts = Counter(labels.tolist())
        assert {counts[digit] for digit in range(0, 10, 2)} == {common}
        assert {50 * counts[digit] for digit in range(1, 10, 2)} == {common}
        # Classes are mixed, so that an order of the batches says nothing of them.
        assert set(labels[: len(labels) // 10]) >= set(range(0, 10, 2))


def test_all_losses_of_a_seed_share_weights_images_and_batches(monkeypatch):
    world, seen = few("world_flipped"), []
    step = worlds.training_step

    def look(network, loss, optimiser, state, inputs, ids):
        if len(seen[-1]) == 0:
            seen[-1].append(torch.cat([w.detach().ravel() for w in network.parameters()]))
        seen[-1].append((inputs.clone(), ids))
        return step(network, loss, optimiser, state, inputs, ids)

    monkeypatch.setattr(worlds, "training_step", look)
    monkeypatch.setattr(worlds, "load_mnist", lambda split, source: (IMAGES, LABELS))
    for settings in (
        final("softmax_cross_entropy"),
        final("hinge", lr=1e-3),
        final("hinge", seed=4),
        final("brier", optimizer="sgd"),
    ):
        seen.append([])
        world.run(settings | {"stage": "tune"})
    first, same, other, sgd = seen
    for twin in (same, sgd):
        assert torch.equal(twin[0], first[0])
        for (inputs, ids), (their, theirs) in zip(first[1:], twin[1:], strict=True):
            assert torch.equal(inputs, their)
            assert torch.equal(ids, theirs)
    assert not torch.equal(other[0], first[0])
    assert not torch.equal(other[1][1], first[1][1])
    assert [len(ids) for _, ids in first[1:]] == [16, 16, 8] * 2
    # Each epoch shows each drawn image once, with its recorded label, in an order of its own.
    images, _, recorded = world.draw(3, IMAGES, LABELS)
    epochs = [first[1:4], first[4:]]
    orders = []
    for epoch in epochs:
        shown = torch.cat([inputs for inputs, _ in epoch]).flatten(1)
        drawn = train.as_inputs(images[0]).flatten(1)
        order = torch.cdist(shown, drawn).argmin(1)
        assert torch.equal(shown, drawn[order])
        assert torch.equal(order.sort().values, torch.arange(40))
        ids = torch.cat([ids for _, ids in epoch])
        np.testing.assert_array_equal(ids.numpy(), recorded[0][order.numpy()])
        orders.append(order)
    assert not torch.equal(*orders)


# The plan -----------------------------------------------------------------------------------------


def entry(settings, score):
    return {"settings": settings, "results": {"validation_accuracy": score}}


@ALL
def test_every_loss_tries_as_many_rates_once_on_a_seed_of_its_own(name):
    world, tuning = STUDIES[name].WORLD, STUDIES[name].plan([])
    tried = Counter((s["loss"], s["optimizer"]) for s in tuning)
    optimisers = ("adam", "sgd") if name == "world_clean" else ("adam",)
    assert tried.keys() == {(loss, o) for loss in worlds.TRAINED for o in optimisers}
    assert len(set(map(str, tuning))) == len(tuning)
    for optimiser in optimisers:
        assert len({tried[pair] for pair in tried if pair[1] == optimiser}) == 1
    assert min(tried.values()) >= 3
    assert {s["stage"] for s in tuning} == {"tune"}
    assert {s["seed"] for s in tuning} == {worlds.TUNING_SEED}
    assert worlds.TUNING_SEED not in range(max(world.seeds, world.other_seeds))
    adam = {s["lr"] for s in tuning if s["optimizer"] == "adam"}
    assert adam == set(world.adam_rates)


@ALL
def test_the_best_rate_is_trained_over_further_seeds(name):
    world, plan = STUDIES[name].WORLD, STUDIES[name].plan
    tuning = plan([])
    scores = np.random.default_rng(0).permutation(len(tuning)) / len(tuning)
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    for left_out in (0, 1, len(done) - 1):
        assert plan(done[:left_out] + done[left_out + 1 :]) == tuning
    # Runs come in any order, and those of final stages or of other plans are not looked at.
    others = [entry(final("hinge", lr=7.0), 2.0), entry(tuning[0] | {"lr": 7.0}, 2.0)]
    planned = plan(others + done[::-1])
    assert planned[: len(tuning)] == tuning
    runs = planned[len(tuning) :]
    assert len(set(map(str, runs))) == len(runs)
    assert {s["stage"] for s in runs} == {"final"}
    for pair in {(s["loss"], s["optimizer"]) for s in tuning}:
        rates = {
            s["lr"]: x
            for s, x in zip(tuning, scores, strict=True)
            if (s["loss"], s["optimizer"]) == pair
        }
        own = [s for s in runs if (s["loss"], s["optimizer"]) == pair]
        assert {s["lr"] for s in own} == {max(rates, key=rates.get)}
        seeds = 20 if pair[0] in world.compared else world.other_seeds
        assert sorted(s["seed"] for s in own) == list(range(seeds))
    assert world.other_seeds >= 3


def test_a_loss_of_which_a_rate_diverged_takes_another():
    plan = world_few.plan
    tuning = plan([])
    done = [
        {"settings": s, "results": {"diverged": True, "validation_accuracy": 0.0}}
        if s["lr"] < max(worlds.ADAM_RATES)
        else entry(s, 0.1)
        for s in tuning
    ]
    assert {s["lr"] for s in plan(done)[len(tuning) :]} == {max(worlds.ADAM_RATES)}


# A run --------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """Which digits are asked for: they are those of the sample."""
    asked = []

    def load(split, source):
        asked.append((split, source))
        return (IMAGES, LABELS) if split == "train" else (IMAGES[-48:], LABELS[-48:])

    monkeypatch.setattr(worlds, "load_mnist", load)
    return asked


@ALL
@pytest.mark.parametrize("stage", ["tune", "final"])
def test_only_final_runs_are_shown_the_test_images(name, stage, asked):
    world = few(name)
    compared, other = world.compared[-1], "perceptron"
    for loss in (compared, other):
        asked.clear()
        found = world.run(final(loss) | {"stage": stage})
        assert asked == [("train", "full"), ("test", "full")][: 1 + (stage == "final")]
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        keys = {"validation_accuracy"}
        if stage == "final":
            keys |= {"accuracy", "temperature", "right"}
            keys |= {f"{k}{s}" for k in ("log_loss", "calibration_error") for s in ("", "_scaled")}
            if loss == compared:
                keys |= {"bins", "bins_scaled", "worst"}
            if name == "world_flipped":
                keys |= {"history", "memorised"}
        assert found.keys() == keys


@ALL
def test_a_run_is_measured_on_validation_images_as_recorded_and_on_test_images(name, asked):
    world = few(name, **({} if name == "world_imbalanced" else {"validation": 200}))
    settings, test = final(world.compared[1], lr=1e-2), (IMAGES[-48:], LABELS[-48:])
    data = world.draw(3, IMAGES, LABELS)
    network, found = world.fit(settings, data, test)
    assert world.run(settings) == found
    outputs = train.predict(network, data[0][1])
    answers, true, recorded = outputs.argmax(1), data[1][1], data[2][1]
    expected = np.mean(answers == recorded)
    if name == "world_imbalanced":
        expected = np.mean([np.mean(answers[recorded == k] == k) for k in range(10)])
    assert found["validation_accuracy"] == pytest.approx(expected, rel=1e-12)
    if name == "world_flipped":
        assert expected != np.mean(answers == true)
    temperature = train.fit_temperature(outputs, recorded)
    assert found["temperature"] == pytest.approx(temperature, rel=1e-5)
    shown = train.predict(network, test[0])
    assert found["accuracy"] == pytest.approx(np.mean(shown.argmax(1) == test[1]), rel=1e-5)
    told = worlds.details(shown, test[1], found["temperature"])
    assert {key: found[key] for key in told} == told


def test_rare_classes_count_as_much_as_common_ones_by_which_rates_are_chosen():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), np.where(np.arange(10) % 2, 8, 400))
    outputs = rng.normal(size=(len(labels), 10)) + 2 * np.eye(10)[labels]
    outputs[:, 5] = -9.0  # never told, so its recall is 0
    hits = outputs.argmax(1) == labels
    recalls = [np.mean(hits[labels == digit]) for digit in range(10)]
    assert recalls[5] == 0
    assert world_imbalanced.WORLD.score(outputs, labels) == pytest.approx(np.mean(recalls))
    for name in STUDIES.keys() - {"world_imbalanced"}:
        assert STUDIES[name].WORLD.score(outputs, labels) == np.mean(hits)


def test_the_share_of_wrong_labels_that_are_learnt_is_followed_by_epoch():
    world = few("world_flipped", training=30, epochs=40, batch_size=10)
    data, test = world.draw(3, IMAGES, LABELS), (IMAGES[-48:], LABELS[-48:])
    network, found = world.fit(final("softmax_cross_entropy"), data, test)
    assert len(found["history"]) == 40
    shares = [row["memorised"] for row in found["history"]]
    # Of 30 labels 12 are wrong: shares are twelfths. Few are learnt at once, at last all are.
    np.testing.assert_allclose(np.array(shares) * 12 % 1, 0, atol=1e-9)
    assert shares[0] < 0.5
    assert shares[-1] == found["memorised"] == 1
    images, true, recorded = (part[0] for part in data)
    told = train.predict(network, images).argmax(1)
    np.testing.assert_array_equal(told, recorded)
    assert np.mean(told == true) == pytest.approx(0.6)
    # The accuracy is followed on every fourth test image, with true labels.
    last = np.mean(train.predict(network, test[0][::4]).argmax(1) == test[1][::4])
    assert found["history"][-1]["accuracy"] == pytest.approx(last)


def test_of_labels_half_learnt_the_share_is_that_of_the_wrong_ones_alone():
    world = few("world_flipped", training=60)
    data = world.draw(3, IMAGES, LABELS)
    network, found = world.fit(final("hinge"), data, (IMAGES[-48:], LABELS[-48:]))
    images, true, recorded = (part[0] for part in data)
    wrong = true != recorded
    told = train.predict(network, images).argmax(1)
    assert found["memorised"] == pytest.approx(np.mean(told[wrong] == recorded[wrong]))
    assert 0 < found["memorised"] < 1
    assert found["memorised"] != np.mean(told == recorded)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("stage", ["tune", "final"])
@pytest.mark.parametrize("name", ["world_flipped", "world_clean"])
def test_a_run_that_diverges_ends_at_once_and_is_a_result(name, stage, asked, monkeypatch):
    step, values = worlds.training_step, []

    def look(*args):
        made = step(*args)
        values.append(made[0].item())
        return made

    monkeypatch.setattr(worlds, "training_step", look)
    for loss, optimizer in (("squared_error", "sgd"), ("exponential", "adam")):
        values.clear()
        settings = final(loss, lr=1e12, optimizer=optimizer) | {"stage": stage}
        assert few(name).run(settings) == {"diverged": True, "validation_accuracy": 0.0}
        assert np.isfinite(values).tolist() == [True] * (len(values) - 1) + [False]
        assert len(values) < 6


def test_weights_that_the_last_step_made_infinite_are_seen(monkeypatch):
    step, steps = worlds.training_step, []

    def last_one_breaks(network, *args):
        made = step(network, *args)
        steps.append(made)
        if len(steps) == 6:
            with torch.no_grad():
                list(network.parameters())[-1][3] = math.inf
        return made

    monkeypatch.setattr(worlds, "training_step", last_one_breaks)
    world = few("world_few")
    found = world.fit(final("brier"), world.draw(3, IMAGES, LABELS))[1]
    assert len(steps) == 6
    assert found == {"diverged": True, "validation_accuracy": 0.0}


# What is reported ---------------------------------------------------------------------------------


def drawn_outputs(count=457, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count, dtype=np.uint8)
    outputs = 3 * (rng.normal(size=(count, 10)) + 1.5 * np.eye(10)[labels])
    return outputs.astype(np.float32), labels


def probabilities_of(outputs, scale=1.0):
    return F.softmax(torch.from_numpy(outputs).double() / scale, 1).numpy()


def calibration_error(probabilities, labels, bins=15):
    """Over rows sorted by confidence and cut into parts."""
    order = np.argsort(probabilities.max(1), kind="stable")
    hits = probabilities.argmax(1) == labels
    edges = [math.ceil(len(order) * m / bins) for m in range(bins + 1)]
    gaps = [
        abs(np.sum(probabilities.max(1)[part]) - np.sum(hits[part]))
        for part in (order[a:b] for a, b in pairwise(edges))
    ]
    return sum(gaps) / len(order)


def test_a_report_is_what_torch_and_a_sorted_list_say():
    outputs, labels = drawn_outputs()
    found = worlds.report(*drawn_outputs(seed=1), outputs, labels)
    right = outputs.argmax(1) == labels
    assert found["accuracy"] == pytest.approx(np.mean(right), rel=1e-5)
    assert found["temperature"] == pytest.approx(
        train.fit_temperature(*drawn_outputs(seed=1)), rel=1e-5
    )
    assert found["temperature"] > 1.2
    for suffix, scale in (("", 1.0), ("_scaled", found["temperature"])):
        logits = torch.from_numpy(outputs).double() / scale
        expected = F.cross_entropy(logits, torch.from_numpy(labels).long()).item()
        assert found[f"log_loss{suffix}"] == pytest.approx(expected, rel=1e-5)
        gap = calibration_error(probabilities_of(outputs, scale), labels)
        assert found[f"calibration_error{suffix}"] == pytest.approx(gap, rel=1e-5)
    assert found["log_loss_scaled"] < found["log_loss"]
    assert found["calibration_error_scaled"] < found["calibration_error"]
    np.testing.assert_array_equal(worlds.unpacked(found["right"], len(labels)), right)
    # Six digits, and nothing that JSON does not have.
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(x == float(f"{x:.6g}") for x in found.values() if not isinstance(x, str))


def test_details_are_the_bins_and_the_images_with_the_largest_loss():
    outputs, labels = drawn_outputs()
    found = worlds.details(outputs, labels, 2.5)
    for key, scale in (("bins", 1.0), ("bins_scaled", 2.5)):
        confidence, accuracy, count = map(np.array, found[key])
        assert count.sum() == len(labels)
        assert len(count) == 15
        assert np.ptp(count) <= 1
        probabilities = probabilities_of(outputs, scale)
        assert np.all(np.diff(confidence) > 0)
        assert count @ accuracy == pytest.approx(np.sum(outputs.argmax(1) == labels), rel=1e-5)
        assert count @ confidence == pytest.approx(probabilities.max(1).sum(), rel=1e-5)
        gap = np.average(np.abs(confidence - accuracy), weights=count)
        assert gap == pytest.approx(calibration_error(probabilities, labels), rel=1e-4)
    losses = F.cross_entropy(
        torch.from_numpy(outputs).double(), torch.from_numpy(labels).long(), reduction="none"
    ).numpy()
    images, answers, values = zip(*found["worst"], strict=True)
    assert len(images) == len(set(images)) == worlds.WORST
    assert list(values) == sorted(values, reverse=True)
    np.testing.assert_allclose(values, losses[list(images)], rtol=1e-5)
    assert min(values) > np.delete(losses, images).max() * (1 - 1e-5)
    np.testing.assert_array_equal(answers, outputs.argmax(1)[list(images)])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_flags_come_back_from_their_text(count, seed):
    flags = np.random.default_rng(seed).random(count) < 0.5
    text = worlds.packed(flags)
    assert text.isascii()
    # Three bytes are four characters.
    assert len(text) == 4 * math.ceil(count / 24)
    back = worlds.unpacked(text, count)
    assert back.dtype == bool
    np.testing.assert_array_equal(back, flags)


@pytest.mark.parametrize("flags", [np.ones(10_000, bool), np.zeros(9, bool), np.ones(1, bool)])
def test_flags_that_are_all_alike_come_back(flags):
    np.testing.assert_array_equal(worlds.unpacked(worlds.packed(flags), len(flags)), flags)


# What the trials notice ---------------------------------------------------------------------------


def trial_of(name, *losses):
    """A study's trial with the code as it stands, of some losses only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "TRAINED", losses)
        return study.make_trial(name)


@pytest.fixture(scope="module")
def sound():
    """A trial without a fault; each is made once."""
    return cache(trial_of)


def perturbed(patch):
    objective = worlds.objective

    def other(name, **options):
        loss = objective(name, **options)
        return lambda outputs, ids: loss(outputs, ids) + 1e-3 * outputs[:, 0].sum()

    patch.setattr(worlds, "objective", other)


def world_with(name, **options):
    def plant(patch):
        patch.setattr(STUDIES[name], "WORLD", replace(STUDIES[name].WORLD, **options))

    return plant


def in_worlds(**values):
    def plant(patch):
        for name, value in values.items():
            patch.setattr(worlds, name, value)

    return plant


def same_order_in_every_epoch(seed, epoch):
    return [seed, 19 if epoch == 19 else 0]


def other_order(seed, epoch):
    return [seed, 19 if epoch == 19 else 7 + epoch]


def another_choice(seed, second):
    return [seed, 20 if second == 19 else second]


#: Of each study.
FAULTS = {
    "another order of the batches": draws_of(other_order),
    "another choice of images": draws_of(another_choice),
    "another network": in_worlds(CNN=lambda seed: CNN(seed + 1)),
    "another loss": perturbed,
    "another Adam": optimiser_with("adam", betas=(0.9, 0.99)),
}
#: Of what the studies share, by one of them, and of a study alone.
OWN = {
    ("world_few", "every epoch in one order"): draws_of(same_order_in_every_epoch),
    ("world_few", "another schedule"): lambda patch: patch.setattr(
        train.settings, "one_cycle", partial(optim.one_cycle, warmup=0.29)
    ),
    ("world_few", "bins of equal width"): in_worlds(
        expected_calibration_error=lambda *args, strategy: expected_calibration_error(*args)
    ),
    ("world_few", "upside-down answers"): in_worlds(predict=lambda *args: -train.predict(*args)),
    ("world_few", "another grid"): world_with(
        "world_few", adam_rates=tuple(1.01 * rate for rate in worlds.ADAM_RATES)
    ),
    ("world_few", "one rate more"): world_with("world_few", adam_rates=(*worlds.ADAM_RATES, 0.1)),
    ("world_few", "flipped labels"): world_with("world_few", flipped=True),
    ("world_few", "rare classes"): world_with("world_few", rarity=10),
    ("world_flipped", "another grid"): world_with("world_flipped", adam_rates=(3e-4, 1e-3, 4e-3)),
    ("world_flipped", "another share of flips"): lambda patch: patch.setattr(
        memorisation, "FLIPPED", 0.38
    ),
    ("world_flipped", "no flips"): world_with("world_flipped", flipped=False),
    ("world_flipped", "flips that follow no draw"): in_worlds(
        flip=lambda labels, rng: (labels + (np.arange(len(labels)) % 5 < 2)) % 10
    ),
    ("world_flipped", "accuracy followed by other images"): in_worlds(
        FOLLOWED=slice(None, None, 5)
    ),
    ("world_imbalanced", "another grid"): world_with("world_imbalanced", adam_rates=(2e-3, 1e-2)),
    ("world_imbalanced", "another rarity"): world_with("world_imbalanced", rarity=25),
    ("world_imbalanced", "no rare class"): world_with("world_imbalanced", rarity=1),
    ("world_clean", "another grid of Adam"): world_with("world_clean", adam_rates=(1e-3, 3e-3)),
    ("world_clean", "another grid of SGD"): in_worlds(SGD_RATES=(0.0075, 0.03, 0.12, 0.6)),
    ("world_clean", "another SGD"): optimiser_with("sgd", momentum=0.8),
    ("world_clean", "no SGD"): world_with("world_clean", sgd=False),
    ("world_clean", "SGD's rates as for cross-entropy"): in_worlds(gradient_size=lambda loss: 1.0),
}
PLANTED = OWN | {(name, fault): plant for name in STUDIES for fault, plant in FAULTS.items()}


@pytest.mark.parametrize(("name", "fault"), PLANTED)
def test_a_trial_notices_a_fault(name, fault, sound):
    # What a rate of SGD should be shows by a loss whose gradient is of another size.
    losses = ["squared_error" if "as for cross-entropy" in fault else worlds.BASELINE]
    before = sound(name, *losses)
    with pytest.MonkeyPatch.context() as patch:
        PLANTED[name, fault](patch)
        made = trial_of(name, *losses)
    assert difference(before, made) > 100 * TOLERANCE


@pytest.mark.parametrize("loss", worlds.TRAINED)
def test_a_trial_notices_another_loss(loss, sound):
    before = sound("world_few", loss)
    assert list(before) == ["rates", f"{loss} adam"]
    assert not before[f"{loss} adam"].get("diverged")
    with pytest.MonkeyPatch.context() as patch:
        perturbed(patch)
        made = trial_of("world_few", loss)
    assert difference(before, made) > 100 * TOLERANCE


@ALL
def test_a_trial_made_again_is_the_same(name, sound):
    again = trial_of(name, worlds.BASELINE)
    assert difference(sound(name, worlds.BASELINE), again) <= TOLERANCE
    pairs = {" ".join(pair) for pair in STUDIES[name].WORLD.grids}
    assert again["rates"].keys() == {p for p in pairs if p.startswith(f"{worlds.BASELINE} ")}
    assert ("history" in again[f"{worlds.BASELINE} adam"]) == (name == "world_flipped")


def test_final_runs_are_given_by_pair_and_in_the_order_of_their_seeds():
    runs = [
        {"settings": final("hinge", seed), "results": {"accuracy": seed / 10}} for seed in (2, 0, 1)
    ]
    runs += [{"settings": final("hinge", 5) | {"stage": "tune"}, "results": {}}]
    runs += [{"settings": final("brier", 4, "sgd"), "results": {"diverged": True}}]
    found = worlds.final_runs({"runs": runs})
    assert found == {
        ("hinge", "adam"): [{"seed": s, "lr": 3e-3, "accuracy": s / 10} for s in (0, 1, 2)],
        ("brier", "sgd"): [{"seed": 4, "lr": 3e-3, "diverged": True}],
    }
