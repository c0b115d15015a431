"""The study of what matters in points: its variants and plan, and what its trial would notice."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from faults import draws_of, optimiser_with
from torch import nn

from lossbook import optim, train
from lossbook.data import load_mnist
from lossbook.experiments import study, what_matters, worlds
from lossbook.experiments.trial import TOLERANCE, difference
from lossbook.torch import CNN

IMAGES, LABELS = load_mnist("train", "sample")
WORLD = replace(what_matters.WORLD, training=40, validation=20, epochs=2, batch_size=16)
VARIANTS = tuple(what_matters.GROUPS)


def final(variant, seed=3, lr=3e-3):
    return {"stage": "final", "variant": variant, "lr": lr, "seed": seed}


def fitted(variant, **options):
    data = WORLD.draw(3, IMAGES, LABELS)
    return what_matters.fit(final(variant, **options), data, world=WORLD)[0]


def weights_of(network):
    return torch.cat([w.detach().ravel() for w in network.parameters()])


# The plan -----------------------------------------------------------------------------------------


def entry(settings, score):
    return {"settings": settings, "results": {"validation_accuracy": score}}


def test_every_variant_but_the_recipe_belongs_to_a_group():
    assert [v for v, group in what_matters.GROUPS.items() if group is None] == ["recipe"]
    assert set(what_matters.GROUPS) == set(what_matters.TUNED) | set(what_matters.RATES)
    assert set(what_matters.GROUPS.values()) - {None} == {
        "schedule",
        "augmentation",
        "initialisation",
        "loss",
        "optimiser",
        "learning rate",
    }
    assert set(what_matters.LOSSES.values()) <= set(train.TRAINABLE)


def test_every_variant_but_those_of_the_rate_tries_as_many_rates_on_a_seed_of_its_own():
    tuning = what_matters.plan([])
    assert Counter(s["variant"] for s in tuning) == dict.fromkeys(what_matters.TUNED, 4)
    assert len(set(map(str, tuning))) == len(tuning)
    assert {s["stage"] for s in tuning} == {"tune"}
    assert {s["seed"] for s in tuning}.isdisjoint(what_matters.SEEDS)
    for variant in what_matters.TUNED:
        grid = worlds.SGD_RATES if variant == "SGD" else worlds.ADAM_RATES
        assert {s["lr"] for s in tuning if s["variant"] == variant} == set(grid)


@pytest.mark.parametrize("seed", range(4))
def test_a_variant_takes_its_best_rate_and_those_of_the_rate_multiples_of_the_recipes(seed):
    tuning = what_matters.plan([])
    scores = np.random.default_rng(seed).permutation(len(tuning)) / len(tuning)
    done = [entry(s, x) for s, x in zip(tuning, scores, strict=True)]
    for left_out in (0, 7, len(done) - 1):
        assert what_matters.plan(done[:left_out] + done[left_out + 1 :]) == tuning
    others = [entry(final("SGD", lr=7.0), 2.0), entry(tuning[0] | {"lr": 7.0}, 2.0)]
    planned = what_matters.plan(others + done[::-1])
    assert planned[: len(tuning)] == tuning
    runs = planned[len(tuning) :]
    assert {s["stage"] for s in runs} == {"final"}
    # Each seed trains every variant once: they are compared seed by seed.
    for seed in range(10):
        assert Counter(s["variant"] for s in runs if s["seed"] == seed) == dict.fromkeys(
            VARIANTS, 1
        )
    assert len(runs) == 10 * len(VARIANTS)
    best = {}
    for variant in what_matters.TUNED:
        own = {s["lr"]: x for s, x in zip(tuning, scores, strict=True) if s["variant"] == variant}
        best[variant] = max(own, key=own.get)
    factors = {"a tenth of the rate": 0.1, "a third of the rate": 1 / 3, "three times the rate": 3}
    for variant, factor in factors.items():
        assert what_matters.RATES[variant] == factor
        best[variant] = factor * best["recipe"]
    for s in runs:
        # Rates are rounded to four digits.
        assert s["lr"] == pytest.approx(best[s["variant"]], rel=1e-3)
        if s["variant"] in what_matters.TUNED:
            assert s["lr"] == best[s["variant"]]


# A run --------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """Which digits are asked for: they are those of the sample."""
    asked = []

    def load(split, source):
        asked.append((split, source))
        return (IMAGES, LABELS) if split == "train" else (IMAGES[-48:], LABELS[-48:])

    monkeypatch.setattr(what_matters, "load_mnist", load)
    monkeypatch.setattr(what_matters, "WORLD", WORLD)
    fit = what_matters.fit
    monkeypatch.setattr(what_matters, "fit", lambda *args: fit(*args, world=WORLD))
    return asked


@pytest.mark.parametrize("stage", ["tune", "final"])
def test_only_final_runs_are_shown_the_test_images(stage, asked):
    settings = final("SGD", lr=0.03) | {"stage": stage}
    found = what_matters.run(settings)
    assert asked == [("train", "full"), ("test", "full")][: 1 + (stage == "final")]
    keys = {"validation_accuracy"} | ({"accuracy"} if stage == "final" else set())
    assert found.keys() == keys
    assert json.loads(json.dumps(found)) == found
    images, labels, _ = WORLD.draw(3, IMAGES, LABELS)
    network = what_matters.fit(settings, (images, labels, None))[0]
    told = train.predict(network, images[1]).argmax(1)
    assert found["validation_accuracy"] == np.mean(told == labels[1])
    if stage == "final":
        told = train.predict(network, IMAGES[-48:]).argmax(1)
        assert found["accuracy"] == np.mean(told == LABELS[-48:])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("variant", ["squared error", "SGD", "recipe"])
def test_a_run_that_diverges_is_a_result(variant, asked):
    found = what_matters.run(final(variant, lr=1e15))
    assert found == {"diverged": True, "validation_accuracy": 0.0}


def steps_of(variant, monkeypatch, **options):
    """What each step of a run is given, and the weights before the first."""
    seen, step = [], worlds.training_step

    def look(network, loss, optimiser, state, inputs, ids):
        seen.append((weights_of(network), optimiser, inputs.clone(), ids.clone()))
        return step(network, loss, optimiser, state, inputs, ids)

    with monkeypatch.context() as patch:
        patch.setattr(worlds, "training_step", look)
        patch.setattr(what_matters, "load_mnist", lambda split, source: (IMAGES, LABELS))
        patch.setattr(what_matters, "WORLD", WORLD)
        fit = what_matters.fit
        patch.setattr(what_matters, "fit", lambda *args: fit(*args, world=WORLD))
        what_matters.run(final(variant, **options) | {"stage": "tune"})
    return seen


def test_variants_of_a_seed_share_images_order_and_first_weights(monkeypatch):
    recipe = steps_of("recipe", monkeypatch)
    assert [len(ids) for *_, ids in recipe] == [16, 16, 8] * 2
    for variant in VARIANTS[1:]:
        other = steps_of(variant, monkeypatch)
        for (*_, inputs, ids), (*_, their, theirs) in zip(recipe, other, strict=True):
            assert torch.equal(ids, theirs)
            assert torch.equal(inputs, their) == (variant != "shifted images")
        own = what_matters.GROUPS[variant] == "initialisation"
        assert torch.equal(recipe[0][0], other[0][0]) == (not own)
    another = steps_of("recipe", monkeypatch, seed=4)
    assert not torch.equal(another[0][0], recipe[0][0])
    assert not torch.equal(another[0][-1], recipe[0][-1])


def test_each_variant_trains_other_weights_than_the_recipe():
    recipe = weights_of(fitted("recipe"))
    assert torch.equal(weights_of(fitted("recipe")), recipe)
    for variant in what_matters.TUNED.keys() - {"recipe"}:
        assert not torch.allclose(weights_of(fitted(variant)), recipe)
    # Variants of the rate differ by their rate alone.
    for variant in what_matters.RATES:
        assert torch.equal(weights_of(fitted(variant)), recipe)
        assert not torch.allclose(weights_of(fitted(variant, lr=1e-3)), recipe)


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_without_a_schedule_is_the_rate_constant(variant, monkeypatch):
    (optimiser,) = {id(made): made for _, made, *_ in steps_of(variant, monkeypatch)}.values()
    kind = optim.SGD if variant == "SGD" else optim.Adam
    assert type(optimiser) is kind
    rate = optimiser.lr
    rates = [rate(step) if callable(rate) else rate for step in range(6)]
    if variant == "no schedule":
        assert set(rates) == {3e-3}
    else:
        cycle = optim.one_cycle(3e-3, 6)
        assert rates == [cycle(step) for step in range(6)]
        assert len(set(rates)) == 6
    if variant == "SGD":
        assert (optimiser.momentum, optimiser.nesterov) == (0.9, True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_has_the_loss_that_it_is_called_by(variant, monkeypatch):
    asked = []
    objective = worlds.objective
    monkeypatch.setattr(worlds, "objective", lambda name: asked.append(name) or objective(name))
    fitted(variant)
    names = {"squared error": "squared_error", "multiclass hinge": "multiclass_hinge"}
    assert asked == [names.get(variant, "softmax_cross_entropy")]


# Images that are moved ----------------------------------------------------------------------------


def slowly_shifted(image, down, right):
    """Pixel by pixel; what comes from outside is 0."""
    height, width = image.shape
    moved = torch.zeros_like(image)
    for i, j in product(range(height), range(width)):
        if 0 <= i + down < height and 0 <= j + right < width:
            moved[i, j] = image[i + down, j + right]
    return moved


def test_shifted_images_are_those_of_a_slow_shift():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((12, 1, 7, 6), dtype=np.float32))
    before = images.clone()
    moved = what_matters.shifted(images, np.random.default_rng(5))
    assert torch.equal(images, before)
    assert moved.shape == images.shape
    assert moved.dtype == images.dtype
    downs, rights = np.random.default_rng(5).integers(0, 5, (2, 12)) - 2
    for image, shown, down, right in zip(images, moved, downs, rights, strict=True):
        assert torch.equal(shown[0], slowly_shifted(image[0], down, right))


def test_every_step_of_up_to_two_pixels_is_as_likely_as_any_other():
    one = torch.zeros(1, 1, 9, 9)
    one[0, 0, 4, 4] = 1.0
    moved = what_matters.shifted(one.repeat(5000, 1, 1, 1), np.random.default_rng(0))
    counts = moved.sum(dim=(0, 1)).numpy()
    assert counts.sum() == 5000
    inside = counts[2:7, 2:7]
    assert inside.sum() == 5000
    # Each of the 25 is expected 200 times; five standard deviations are 70.
    assert np.abs(inside - 200).max() < 70


def cut_out(image, down, right):
    """An image seen through a window that is moved, and black beyond its edges."""
    around = nn.functional.pad(image, (2,) * 4)
    return around[2 + down : 30 + down, 2 + right : 30 + right]


def test_every_epoch_shifts_images_anew_and_their_labels_stay(monkeypatch):
    plain, moved, again = (
        steps_of(v, monkeypatch) for v in ("recipe", "shifted images", "shifted images")
    )
    steps = list(product(range(-2, 3), repeat=2))
    epochs = [{}, {}]
    for step, (*_, inputs, ids) in enumerate(plain):
        assert torch.equal(moved[step][-1], ids)
        assert torch.equal(moved[step][-2], again[step][-2])
        for image, shown in zip(inputs[:, 0], moved[step][-2][:, 0], strict=True):
            found = [s for s in steps if torch.equal(shown, cut_out(image, *s))]
            assert found
            epochs[step // 3][image.numpy().tobytes()] = found[0]
    one, other = epochs
    assert one.keys() == other.keys()
    # Of 25 steps each image is moved by the same in both epochs with a chance of 4 %.
    assert sum(one[image] == other[image] for image in one) < 10


# First weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_begins_as_its_variant_says(variant):
    he = CNN(7).state_dict()
    made = what_matters.initial_network(variant, 7).state_dict()
    assert made.keys() == he.keys()
    for key, weight in made.items():
        if variant == "a tenth of He's weights":
            torch.testing.assert_close(weight, he[key] / 10)
        elif variant == "PyTorch's initial weights":
            assert not torch.equal(weight, he[key])
        else:
            assert torch.equal(weight, he[key])
    again = what_matters.initial_network(variant, 7).state_dict()
    assert all(torch.equal(again[key], weight) for key, weight in made.items())
    other = what_matters.initial_network(variant, 8).state_dict()
    assert not all(torch.equal(other[key], weight) for key, weight in made.items())


def test_pytorchs_weights_are_those_of_its_reset_parameters(monkeypatch):
    """The layers' own method draws from torch's generator, within the same bounds in one order."""
    made = what_matters.initial_network("PyTorch's initial weights", 7)
    reset = CNN(7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        layers = [m for m in reset.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        for layer in layers:
            layer.reset_parameters()
    assert layers
    # No other layer has weights.
    assert sum(w.numel() for m in layers for w in m.parameters()) == weights_of(reset).numel()
    for one, other in zip(made.parameters(), reset.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


# What the trial notices ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound():
    return study.make_trial("what_matters")


def in_study(**values):
    def plant(patch):
        for name, value in values.items():
            patch.setattr(what_matters, name, value)

    return plant


def perturbed(name):
    def plant(patch):
        objective = worlds.objective

        def other(asked):
            loss = objective(asked)
            if asked != name:
                return loss
            return lambda outputs, ids: loss(outputs, ids) + 1e-3 * outputs[:, 0].sum()

        patch.setattr(worlds, "objective", other)

    return plant


def wider_bounds(patch):
    uniform = nn.init.uniform_
    patch.setattr(
        nn.init, "uniform_", lambda w, low, high, **options: uniform(w, low, 1.01 * high, **options)
    )


#: Each fault, and what shows it of the parts of the trial that are made: see OTHERS.
FAULTS = {
    "another order of the batches": (
        draws_of(lambda seed, epoch: [seed, 19 if epoch == 19 else 7 + epoch]),
        {"recipe", "squared error"},
    ),
    "another choice of images": (
        draws_of(lambda seed, second: [seed, 20 if second == 19 else second]),
        {"recipe", "squared error"},
    ),
    "another network": (in_study(CNN=lambda seed: CNN(seed + 1)), {"recipe", "SGD"}),
    "another schedule": (
        lambda patch: patch.setattr(
            train.settings, "one_cycle", partial(optim.one_cycle, warmup=0.29)
        ),
        {"recipe", "SGD"},
    ),
    "another constant rate": (in_study(Adam=lambda lr: optim.Adam(1.01 * lr)), {"no schedule"}),
    "other shifts": (in_study(SHIFT=1), {"shifted images"}),
    "shifts of another sign": (
        in_study(shifted=lambda images, rng: torch.flip(images, (3,))),
        {"shifted images"},
    ),
    "other bounds": (wider_bounds, {"PyTorch's initial weights"}),
    "another SGD": (optimiser_with("sgd", momentum=0.8), {"SGD"}),
    "another squared error": (perturbed("squared_error"), {"squared error"}),
    "another hinge": (perturbed("multiclass_hinge"), {"multiclass hinge"}),
    "another cross-entropy": (
        perturbed("softmax_cross_entropy"),
        {"recipe", "no schedule"},
    ),
    "another grid": (in_study(ADAM_RATES=(1e-3, 3e-3, 1e-2)), {"rates"}),
    "another grid of SGD": (in_study(SGD_RATES=(0.0075, 0.03, 0.12, 0.6)), {"rates"}),
    "other multiples": (
        lambda patch: patch.setitem(what_matters.RATES, "a tenth of the rate", 0.2),
        {"times"},
    ),
}


#: Which further variant is made, and does not change.
OTHERS = {
    "another schedule": "no schedule",
    "another cross-entropy": "multiclass hinge",
    "another constant rate": "recipe",
    "another network": "PyTorch's initial weights",
}


def trial_of(*variants):
    """The trial with the code as it stands, of some variants only."""
    with pytest.MonkeyPatch.context() as patch:
        kept = {variant: what_matters.GROUPS[variant] for variant in variants}
        patch.setattr(what_matters, "GROUPS", kept)
        return study.make_trial("what_matters")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_trial_notices_a_fault(fault, sound):
    plant, shows = FAULTS[fault]
    other = {OTHERS[fault]} if fault in OTHERS else {"recipe"} - shows
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        made = trial_of(*(shows & what_matters.GROUPS.keys()), *other)
    assert other | shows < made.keys()
    changed = {key for key in made if difference(sound[key], made[key]) > 100 * TOLERANCE}
    assert changed == shows


def test_a_trial_made_again_is_the_same(sound):
    assert sound.keys() == {*VARIANTS, "rates", "times"}
    again = trial_of("recipe", "shifted images", "SGD")
    assert difference({key: sound[key] for key in again}, again) <= TOLERANCE
    # In so short a run each variant has other weights, but those of the rate.
    for variant in VARIANTS[1:]:
        same = difference(sound["recipe"], sound[variant]) <= TOLERANCE
        assert same == (variant in what_matters.RATES)
