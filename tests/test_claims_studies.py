"""The studies behind chapter 17: shared training, data, plans, tuning, signs, and their trials."""

import itertools
import json
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lossbook import experiments
from lossbook.experiments import (
    claims,
    claims_anomaly,
    claims_binary,
    claims_boxes,
    claims_data,
    claims_images,
    claims_imbalance,
    claims_regression,
    stack,
    study,
)
from lossbook.experiments.trial import TOLERANCE, difference, trial_conditions
from lossbook.optim import Adam

MODULES = {name: import_module(f"lossbook.experiments.{name}") for name in claims.STUDIES}
STORED = [name for name in claims.STUDIES if name in experiments.STUDIES]


@pytest.fixture(autouse=True)
def in_double():
    with trial_conditions():
        yield


# Stacks -------------------------------------------------------------------------------------------


def sequential(weights, place):
    """The network at one place of a stack, as torch's own layers."""
    layers = []
    for layer in range(len(weights) // 2):
        weight, bias = weights[f"weight{layer}"][place], weights[f"bias{layer}"][place]
        linear = nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = weight.T.clone(), bias.clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("sizes", [(5, 1), (5, 4, 3, 1)])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(None, torch.optim.SGD), (Adam(1.0), torch.optim.Adam)]
)
def test_a_stack_is_networks_that_are_trained_apart(sizes, ours, theirs):
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.normal(size=(40, 5)))
    labels = (inputs[:, 0] > 0).double()
    names, rates = ["BCE", "BCE", "MSE", "hinge"], torch.tensor([0.01, 0.1, 0.3, 0.03])
    l1, l2 = torch.tensor([0.0, 0.01, 0.0, 0.0]), torch.tensor([0.02, 0.0, 0.03, 0.0])
    first = stack.stacked(stack.first_weights(sizes, seed=3), 4)
    groups = stack.slices(names)

    def loss(weights, batch):
        scores = stack.outputs(weights, inputs[batch])[..., 0]
        fitted = sum(stack.binary_loss(n, scores[s], labels[batch]) for n, s in groups.items())
        return fitted + stack.penalty(weights, l1, l2)

    trained = stack.train(first, rates, loss, stack.epochs(7, 40, 8, 3), ours)
    fitted = {
        "BCE": F.binary_cross_entropy_with_logits,
        "MSE": lambda z, y: F.mse_loss(torch.sigmoid(z), y),
        "hinge": lambda z, y: F.relu(1 - (2 * y - 1) * z).mean(),
    }
    for place, name in enumerate(names):
        network = sequential(first, place)
        optimiser = theirs(network.parameters(), lr=rates[place].item())
        for batch in stack.epochs(7, 40, 8, 3):
            optimiser.zero_grad()
            value = fitted[name](network(inputs[batch])[:, 0], labels[batch])
            for layer in network[::2]:
                value = value + l1[place] * layer.weight.abs().sum()
                value = value + l2[place] * layer.weight.square().sum()
            value.backward()
            optimiser.step()
        answers = stack.outputs(trained, inputs)[place]
        torch.testing.assert_close(answers, network(inputs).detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["CE", "MSE", "BCE"])
def test_a_loss_of_several_classes_is_that_of_plain_torch(name):
    rng = np.random.default_rng(0)
    logits, ids = torch.from_numpy(rng.normal(size=(3, 8, 4))), torch.tensor([0, 1, 2, 3] * 2)
    hot = F.one_hot(ids, 4).double()
    plain = {
        "CE": lambda z: F.cross_entropy(z, ids),
        "MSE": lambda z: (torch.softmax(z, 1) - hot).square().sum(1).mean(),
        "BCE": lambda z: F.binary_cross_entropy_with_logits(z, hot, reduction="none").sum(1).mean(),
    }[name]
    found = stack.multiclass_loss(name, logits, ids)
    torch.testing.assert_close(found, sum(map(plain, logits)))


def test_a_network_that_diverges_leaves_the_others_alone():
    inputs = torch.ones(4, 2)
    weights = stack.stacked(stack.first_weights((2, 1), seed=0), 2)

    def loss(weights, batch):
        return stack.outputs(weights, inputs[batch]).square().sum((1, 2)).sum()

    batches = [np.arange(4)] * 600
    trained = stack.train(weights, torch.tensor([10.0, 0.01]), loss, batches)
    assert not torch.isfinite(trained["weight0"][0]).any()
    assert stack.outputs(trained, inputs)[1].abs().max() < 1e-9


def test_the_batches_of_an_epoch_are_its_rows_and_depend_on_the_seed_alone():
    one, other = list(stack.epochs(1, 50, 16, 2)), list(stack.epochs(2, 50, 16, 2))
    assert [len(batch) for batch in one] == [17, 17, 16] * 2
    assert sorted(np.concatenate(one[:3])) == list(range(50))
    assert (one[0] != one[3]).any()
    assert (one[0] != other[0]).any()
    assert all(map(np.array_equal, one, stack.epochs(1, 50, 16, 2)))


# Data ---------------------------------------------------------------------------------------------


ALL_DATA = claims_data.BINARY | claims_data.MULTICLASS | claims_data.TEXTS


@pytest.mark.parametrize("data", list(ALL_DATA))
def test_parts_share_no_row_and_every_class_keeps_its_share(data):
    features, labels = ALL_DATA[data]()
    assert len(features) == len(labels)
    assert set(labels) == set(range(labels.max() + 1))
    found = claims_data.parts(3, labels)
    assert sorted(np.concatenate(found)) == list(range(len(labels)))
    shares = [np.bincount(labels[part], minlength=labels.max() + 1) / len(part) for part in found]
    np.testing.assert_allclose(shares, shares[0][None].repeat(3, axis=0), atol=0.02)
    again, other = claims_data.parts(3, labels), claims_data.parts(4, labels)
    assert all(map(np.array_equal, found, again))
    assert not np.array_equal(found[2], other[2])


def test_a_constant_feature_stays_0_and_the_others_are_standardised_on_the_training_rows():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(3, 2, 50), np.full(50, 7.0)])
    scaled = claims_data.standardised(features, np.arange(30))
    assert not scaled[:, 1].any()
    assert scaled[:30, 0].mean() == pytest.approx(0, abs=1e-12)
    assert scaled[:30, 0].std() == pytest.approx(1)


def test_a_composite_shows_both_its_digits():
    source = np.arange(20.0)[:, None].repeat(3, axis=1), np.arange(20) % 5
    images, pairs = claims_data.composites(source, [1, 3, 4], 200, np.random.default_rng(0))
    first, second = images[:, 0] % 5, images[:, -1] % 5
    np.testing.assert_array_equal(np.array([1, 3, 4])[pairs // 3], first)
    np.testing.assert_array_equal(np.array([1, 3, 4])[pairs % 3], second)
    assert set(pairs) == set(range(9))


def test_no_digit_is_in_two_parts_of_the_composites(monkeypatch):
    numbered = np.arange(500.0)[:, None], np.arange(500) % 5
    monkeypatch.setitem(claims_images.COMPOSITES, "made", (lambda: numbered, range(5)))
    drawn = claims_images.draw("made", 0, (300, 100, 100))
    seen = [set(images.ravel()) for images, _ in drawn]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(seen, 2))


def test_one_row_in_ten_is_spoilt_and_the_same_rows_in_every_way():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(50, 3)), rng.normal(size=50)
    moved = {}
    for way in claims_regression.WAYS:
        made = claims_regression.spoil(inputs, targets, way, np.random.default_rng(1))
        moved[way] = made[0] - inputs, made[1] - targets
    assert not moved["clean"][0].any()
    assert not moved["clean"][1].any()
    bad = np.flatnonzero(moved["outliers"][1])
    assert len(bad) == 5
    np.testing.assert_allclose(moved["outliers"][1][bad], 10)
    assert not moved["outliers"][0].any()
    np.testing.assert_array_equal(np.flatnonzero(moved["leverage"][1]), bad)
    np.testing.assert_allclose(moved["leverage"][0][bad, 0], 30)
    assert not moved["leverage"][0][:, 1:].any()


def test_one_row_in_fifty_is_positive():
    for make in claims_imbalance.DATA.values():
        features, labels = claims_imbalance.thinned(*make(), np.random.default_rng(0))
        assert labels.mean() == pytest.approx(0.02, abs=5e-4)
        assert len(features) == len(labels)


def test_the_autoencoder_sees_no_anomaly_and_the_parts_share_no_row():
    for make in claims_anomaly.DATA.values():
        _, odd = make()
        training, half, validation, test = claims_anomaly.split(1, odd)
        rows = np.concatenate([training, validation, test])
        assert len(set(rows)) == len(rows)
        assert not odd[training[:half]].any()
        assert odd[training[half:]].all()
        assert odd[training].mean() == pytest.approx(0.05, abs=0.01)
        assert 0.4 < odd[validation].mean() <= 0.5
        assert 0.4 < odd[test].mean() <= 0.5


def test_a_made_box_is_where_the_image_is_bright():
    images, boxes = claims_boxes.draw("large", 20, np.random.default_rng(0))
    for image, (x1, y1, x2, y2) in zip(
        images.reshape(-1, 12, 12), np.round(boxes * 12).astype(int), strict=True
    ):
        inside = np.zeros((12, 12), bool)
        inside[y1:y2, x1:x2] = True
        assert image[inside].mean() > 0.7
        assert image[~inside].mean() < 0.2


def test_the_negative_is_semi_hard():
    """Against the loop: the nearest of another class beyond the positive, or the farthest."""
    rng = np.random.default_rng(0)
    at = F.normalize(torch.from_numpy(rng.normal(size=(2, 12, 3))), dim=2)
    ids = torch.arange(3).repeat_interleave(4)
    total = 0.0
    for points in at:
        for i, anchor in enumerate(points):
            positive = points[i // 4 * 4 + (i + 1) % 4]
            near = (anchor - positive).square().sum()
            others = (points[ids != ids[i]] - anchor).square().sum(1)
            beyond = others[others > near]
            far = beyond.min() if len(beyond) else others.max()
            total += F.relu(near - far + claims_images.MARGIN) / len(points)
    torch.testing.assert_close(claims_images.triplet_loss(at, ids), total)


def test_the_neighbours_and_the_probe_tell_clouds_apart():
    rng = np.random.default_rng(0)
    ids = np.arange(90) % 3
    known = np.eye(3)[ids] + rng.normal(scale=0.1, size=(90, 3))
    for read in (claims_images.by_neighbours, claims_images.by_probe):
        scores = read(known, ids, np.eye(3)[[2, 0, 1]], 3)
        assert scores.argmax(axis=1).tolist() == [2, 0, 1]


@pytest.mark.parametrize("way", claims_regression.WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_the_stored_error_of_a_linear_model_is_that_of_the_exact_minimum(way, seed):
    """Against other ways to it: the normal equations, weighted least squares, and no descent."""
    for data in ("diabetes", "made, straight"):
        settings = {"data": data, "way": way, "seed": seed}
        known, wanted, tested, targets = parts_of(settings)
        minimum = claims_regression.solved(
            *map(torch.from_numpy, (known[:, :-1], wanted, tested[:, :-1])), targets
        )
        stored = [
            entry["results"]["minimum"]
            for entry in experiments.load("claims_regression")["runs"]
            if entry["settings"] == settings
        ]
        rng = np.random.default_rng(0)
        for loss, solve in claims_regression.SOLVERS.items():
            weights = solve(known, wanted)
            f = {"MSE": np.square, "MAE": np.abs, "Huber": huber_of}[loss]
            least = f(known @ weights - wanted).mean()
            other = reweighted(known, wanted, loss)
            assert least <= f(known @ other - wanted).mean() + 1e-9
            assert least == pytest.approx(f(known @ other - wanted).mean(), rel=1e-4)
            for _ in range(50):
                near = weights + 1e-3 * rng.normal(size=len(weights))
                assert f(known @ near - wanted).mean() >= least - 1e-12
            error = np.median(np.abs(tested @ weights - targets))
            assert minimum[loss]["error"] == pytest.approx(error)
            assert stored[0][loss]["error"] == pytest.approx(error, rel=1e-3)


def parts_of(settings):
    """What a run of the regression study trains and tests on, from the words of its docstring."""
    features, targets = claims_regression.DATA[settings["data"]][0]()
    order = np.random.default_rng([settings["seed"], 2]).permutation(len(targets))
    size = min(len(targets) // 5, 300)
    test, training = order[size : 2 * size], order[2 * size :][:300]
    low, middle, high = np.quantile(targets[training], (0.25, 0.5, 0.75))
    targets = (targets - middle) / (high - low)
    features = claims_data.standardised(features, training)
    rng = np.random.default_rng([settings["seed"], 3])
    rows = features[training], targets[training]
    known, wanted = claims_regression.spoil(*rows, settings["way"], rng)
    with_one = [np.column_stack([each, np.ones(len(each))]) for each in (known, features[test])]
    return with_one[0], wanted, with_one[1], targets[test]


def huber_of(gaps):
    return np.where(np.abs(gaps) <= 1, gaps**2 / 2, np.abs(gaps) - 0.5)


def reweighted(inputs, targets, loss):
    """Least squares with weights that are set anew from the gaps, until they settle."""
    weights = np.linalg.solve(inputs.T @ inputs, inputs.T @ targets)
    for _ in range({"MSE": 0, "MAE": 500, "Huber": 500}[loss]):
        sizes = np.abs(inputs @ weights - targets)
        factor = 1 / np.maximum(sizes, 1e-7 if loss == "MAE" else 1.0)
        scaled = inputs.T * factor
        weights = np.linalg.solve(scaled @ inputs, scaled @ targets)
    return weights


def test_a_bad_lever_defeats_all_three_losses_and_a_bad_target_only_squared_error():
    """One straight line, solved: what the study finds, without any of its choices."""
    x = np.column_stack([np.linspace(-1, 1, 21), np.ones(21)])
    for place, moves in (("target", 0.0), ("lever", 100.0)):
        spoilt, y = x.copy(), 2 * x[:, 0]
        y[-1] -= 50
        spoilt[-1, 0] += moves
        errors = {
            loss: np.abs(x @ solve(spoilt, y) - 2 * x[:, 0]).max()
            for loss, solve in claims_regression.SOLVERS.items()
        }
        assert errors["MSE"] > 1
        for loss in ("MAE", "Huber"):
            assert (errors[loss] > 1) == (place == "lever")


def test_the_network_settles_where_smaller_steps_lower_the_loss_no_more():
    """The chosen loss is the smallest, and ends lower than after a third of the steps."""
    rng = np.random.default_rng(0)
    known, wanted = rng.normal(size=(60, 2)), rng.normal(size=60)
    first = stack.first_weights((2, 8, 1), seed=0)
    rows = torch.from_numpy(known), torch.from_numpy(wanted)
    short, long = (
        claims_regression.settled(first, *rows, rows[0], wanted, steps=steps) for steps in (20, 200)
    )
    for loss, found in long.items():
        place = claims_regression.SETTLING_RATES.index(found["rate"])
        assert found["losses"][place] == min(found["losses"])
        assert min(found["losses"]) < min(short[loss]["losses"])


def test_the_best_constant_box_is_the_best_on_the_training_boxes():
    _, training = claims_boxes.draw("large", 80, np.random.default_rng(0))
    _, test = claims_boxes.draw("large", 40, np.random.default_rng(1))
    box, overlap = claims_boxes.constant_box(training, test)

    def mean_overlap(one, others):
        each = claims_boxes.overlaps(torch.tensor(one)[None, None], torch.from_numpy(others))
        return float(each[0])

    best = mean_overlap(box, training)
    assert overlap == pytest.approx(mean_overlap(box, test))
    for edge, move in itertools.product(range(4), (-1 / 12, 1 / 12)):
        moved = box.copy()
        moved[edge] += move
        assert mean_overlap(moved, training) <= best + 1e-12


def test_an_autoencoder_is_scored_by_its_own_loss_and_by_the_squared_error():
    """Under squared error the two ways are one; under BCE the entropy of a pixel counts."""
    features, odd = claims_anomaly.masses()
    settings = {"data": "breast cancer", "reading": "autoencoder", "seed": 0}
    _, found = claims_anomaly.fit(settings, features, odd, count=2)
    own, squared = found[claims_anomaly.OWN], found[claims_anomaly.SQUARED]
    assert own["MSE"] == squared["MSE"]
    assert own["BCE"]["areas"] != squared["BCE"]["areas"]
    _, found = claims_anomaly.fit(settings | {"reading": "classifier"}, features, odd, count=2)
    assert list(found) == [claims_anomaly.LOGIT]
    for of_loss in found[claims_anomaly.LOGIT].values():
        assert of_loss["area"] == of_loss["areas"][str(of_loss["rate"])]
        assert all(0 <= slope <= 0.25 for slope in of_loss["slopes"].values())


# Plans, tuning and signs --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_plan_has_at_least_twenty_seeds_and_three_data_sets(name):
    planned = MODULES[name].plan([])
    assert len({json.dumps(s) for s in planned}) == len(planned)
    seeds_of = {}
    for settings in planned:
        context = tuple(each for key, each in settings.items() if key != "seed")
        seeds_of.setdefault(context, []).append(settings["seed"])
    assert len({s.get("data", s.get("world")) for s in planned}) >= 3
    for seeds in seeds_of.values():
        assert seeds == list(range(len(seeds)))
        assert len(seeds) >= 20


@pytest.mark.parametrize("name", ["claims_binary", "claims_multiclass", "claims_imbalance"])
def test_what_is_chosen_does_not_depend_on_the_test_rows(name, monkeypatch):
    module = MODULES[name]
    settings = module.plan([])[0]
    labels = np.arange(150) % 2
    features = np.random.default_rng(0).normal(size=(150, 4)) + labels[:, None]
    fixed = claims_data.parts(0, labels)
    monkeypatch.setattr(module, "parts", lambda *_: fixed)
    if name == "claims_imbalance":
        monkeypatch.setattr(module, "thinned", lambda features, labels, _: (features, labels))
    other = labels.copy()
    other[fixed[2]] = 1 - other[fixed[2]]
    found = [module.fit(settings, features, each, count=1)[1] for each in (labels, other)]
    one, two = (each.get("chosen", each) for each in found)
    for arm in one:
        for key in ("rate", "validation", "strength"):
            assert one[arm].get(key) == two[arm].get(key)
    assert one != two


def test_the_best_by_validation_is_shown_the_test_rows():
    places = claims_binary.NETWORKS
    weights = {
        "weight0": torch.zeros(len(places), 1, 1),
        "bias0": torch.linspace(-1, 1, len(places))[:, None],
    }
    validated = np.zeros(len(places))
    best = places.index(("BCE", "L2", 1e-3, 0.3))
    validated[best] = 1.0
    inputs, labels = torch.zeros(4, 1), np.array([0, 0, 0, 1])
    found = claims_binary.chosen(weights, validated, inputs, labels)
    assert found["BCE L2"]["strength"] == 1e-3
    assert found["BCE L2"]["rate"] == 0.3
    says_one = weights["bias0"][best].item() > 0
    assert found["BCE L2"]["accuracy"] == (0.25 if says_one else 0.75)


def test_epochs_are_counted_to_a_target_that_the_losses_share():
    places = claims_binary.NETWORKS
    history = np.full((4, len(places)), 0.5)
    quick, slow = places.index(("BCE", "none", 0.0, 0.3)), places.index(("MSE", "none", 0.0, 1.0))
    history[1:, quick], history[3:, slow] = 1.0, 0.98
    found = claims_binary.epochs_to_target(history, np.array([0, 1]))
    assert found["BCE"]["0.3"] == 2
    assert found["MSE"]["1.0"] == 4
    assert found["MSE"]["0.3"] is None


def test_the_quickest_rate_is_chosen_on_the_other_seeds(monkeypatch):
    monkeypatch.setattr(claims_binary, "LEAST_SEEDS", 3)
    counts = [
        {"a": {"1": 5, "2": 9}, "b": {"1": None, "2": 3}},
        {"a": {"1": 6, "2": 1}, "b": {"1": 2, "2": 4}},
        {"a": {"1": 7, "2": 8}, "b": {"1": 8, "2": 4}},
    ]
    slow, fast, own = claims_binary.speeds(counts, "a", "b", (1, 2), 10)
    assert (slow[0], fast[0]) == ("rate 1", "rate 2")
    assert [each.tolist() for each in slow[1:]] == [[5, 6, 7], [11, 2, 8]]
    assert [each.tolist() for each in fast[1:]] == [[9, 1, 8], [3, 4, 4]]
    # Without seed 0 the sums of a are 13 and 9; without 1, 12 and 17; without 2, 11 and 10.
    assert own[0] == "own rate"
    assert own[1].tolist() == [9, 6, 8]
    assert own[2].tolist() == [3, 4, 4]


def test_seeds_in_which_neither_loss_gets_there_are_left_out():
    neither = {"a": {"1": None, "2": 3}, "b": {"1": None, "2": None}}
    one = {"a": {"1": 4, "2": 3}, "b": {"1": None, "2": None}}

    def found(*counts):
        return {
            how: [each.tolist() for each in both]
            for how, *both in claims_binary.speeds(counts, "a", "b", (1, 2), 10)
        }

    gets_there = [[3] * 11, [11] * 11]
    assert found(*[neither] * 11) == {"rate 2": gets_there, "own rate": gets_there}
    assert found(*[neither] * 11, *[one] * 10)["rate 1"] == [[4] * 10, [11] * 10]
    # Nine seeds are too few.
    assert list(found(*[neither] * 11, *[one] * 9)) == ["rate 2", "own rate"]


BINARY_ARMS = [f"{loss} {kind}" for loss in ("MSE", "BCE") for kind in ("none", "L1", "L2")]
BINARY_ARMS.append("hinge none")


def improved(results, arm):
    """A copy of results in which every number of this arm is larger by 1."""
    return results | {arm: {key: number + 1 for key, number in results[arm].items()}}


@pytest.mark.parametrize(
    ("name", "arm", "above", "below"),
    [
        ("claims_binary", "BCE none", ["T3"], ["hinge-better"]),
        ("claims_binary", "BCE L2", ["T7"], []),
        ("claims_binary", "hinge none", ["hinge-better"], []),
        ("claims_multiclass", "CE", ["T6", "bce-multiclass"], []),
        ("claims_images", "CE", ["T5"], []),
        ("claims_imbalance", "BCE", ["ce-imbalance"], []),
        ("claims_anomaly", "BCE", ["T10"], []),
        ("claims_boxes", "MSE", ["mse-boxes"], []),
    ],
)
def test_a_difference_is_above_0_where_the_claim_is_right(name, arm, above, below):
    module = MODULES[name]
    equal = {"accuracy": 0.5, "f1": 0.5, "top-1": 0.5, "top-5": 0.5, "overlap": 0.5}
    equal |= {"average_precision": 0.5, "recall": 0.5, "area": 0.5, "true_positive_rate": 0.5}
    arms = {
        "claims_binary": BINARY_ARMS,
        "claims_multiclass": ["CE", "MSE", "BCE"],
        "claims_images": ["CE", "triplet, neighbours", "triplet, probe"],
        "claims_imbalance": ["MSE", "BCE", "weighted BCE"],
        "claims_anomaly": ["MSE", "BCE"],
        "claims_boxes": ["MSE", "MAE", "Huber", "GIoU"],
    }[name]
    results = improved(dict.fromkeys(arms, equal), arm)
    if name in ("claims_binary", "claims_multiclass"):
        rates = {str(rate): 5 for rate in module.RATES}
        results = {"chosen": results, "epochs": dict.fromkeys(module.LOSSES, rates)}
    if name == "claims_boxes":
        results["constant"] = equal
    if name == "claims_anomaly":
        results = dict.fromkeys(("one score", "another"), results)
    runs = [{"settings": settings, "results": results} for settings in module.plan([])]
    found = module.differences(runs)
    assert set(above) | set(below) <= set(found)
    for claim in set(found) & set(claims.CLAIMS):
        contexts = found[claim]
        sign = 1 if claim in above else -1 if claim in below else 0
        for context, gaps in contexts.items():
            assert len(context) == len(claims.CLAIMS[claim].factors)
            assert gaps == pytest.approx([float(sign)] * len(gaps))
            assert len(gaps) >= 20


def test_what_stands_beside_a_claim_has_its_sign():
    """Boxes under squared error, unweighted BCE, BCE under any penalty, L2 under either loss."""
    scores = {"overlap": 0.5, "average_precision": 0.5, "recall": 0.5, "accuracy": 0.5, "f1": 0.5}
    arms = {
        "claims_boxes": ["MSE", "MAE", "Huber", "GIoU", "constant"],
        "claims_imbalance": ["MSE", "BCE", "weighted BCE"],
        "claims_binary": BINARY_ARMS,
    }
    better = {
        "mse-boxes, other losses": ("claims_boxes", ["MSE"]),
        "ce-imbalance, weights": ("claims_imbalance", ["BCE"]),
        "T7, loss alone": ("claims_binary", ["BCE none", "BCE L1", "BCE L2"]),
        "T7, penalty alone": ("claims_binary", ["MSE L2", "BCE L2"]),
    }
    assert list(better) == list(claims.BESIDE)
    for beside, (name, raised) in better.items():
        module, results = MODULES[name], dict.fromkeys(arms[name], scores)
        for arm in raised:
            results = improved(results, arm)
        if name == "claims_binary":
            rates = {str(rate): 5 for rate in module.RATES}
            results = {"chosen": results, "epochs": dict.fromkeys(module.LOSSES, rates)}
        planned = [s for s in module.plan([]) if s["seed"] < 20]
        runs = [{"settings": settings, "results": results} for settings in planned]
        found = module.differences(runs)[beside]
        assert all(gaps == pytest.approx([1.0] * 20) for gaps in found.values())


def test_texts_are_a_case_of_more_than_two_classes():
    found = claims.stored_differences(("claims_multiclass",))
    texts, all_sets = found["T6"], found["bce-multiclass"]
    assert {context[0] for context in all_sets} == set(MODULES["claims_multiclass"].DATA)
    assert {c for c in all_sets if c[0] in claims_data.TEXTS} == set(texts)
    assert all(all_sets[context] == gaps for context, gaps in texts.items())


def test_the_differences_of_rates_and_of_robust_losses():
    module = MODULES["claims_rates"]
    scores = {"0.001": 0.5, "0.01": 0.75, "0.1": 0.875}
    results = dict.fromkeys(module.OPTIMISERS, dict.fromkeys(map(str, module.BUDGETS), scores))
    found = module.differences([{"settings": s, "results": results} for s in module.plan([])])["T4"]
    assert len(found) == 4 * 2 * 2 * 2
    for context, gaps in found.items():
        assert gaps == [0.25 if context[-1] == "against 0.001" else -0.125] * 20

    errors = {"MSE": 4.0, "MAE": 2.0, "Huber": 1.0}
    epochs = {"MSE": 9, "MAE": 8, "Huber": 5}
    results = {
        "minimum": {loss: {"error": error} for loss, error in errors.items()},
        "epochs": {
            loss: {str(rate): n for rate in claims_regression.RATES} for loss, n in epochs.items()
        },
    }
    planned = claims_regression.plan([])
    found = claims_regression.differences([{"settings": s, "results": results} for s in planned])
    expected = {"mse-outliers": 0, "huber-precise": np.log(2), "huber-faster": 3}
    for claim, contexts in found.items():
        for context, gaps in contexts.items():
            assert len(context) == len(claims.CLAIMS[claim].factors)
            wanted = expected.get(claim, np.log(2 if context[-1].startswith("MAE") else 4))
            assert gaps == pytest.approx([wanted] * 20, abs=1e-12)


@pytest.mark.parametrize(("name", "slow"), [("claims_binary", "MSE"), ("claims_multiclass", "CE")])
def test_the_epochs_of_the_slower_loss_come_first(name, slow):
    module = MODULES[name]
    scores = {"accuracy": 0.5, "f1": 0.5}
    arms = [*BINARY_ARMS, "CE", "BCE"]
    counts = {
        loss: {str(rate): 9 if loss == slow else 5 for rate in module.RATES}
        for loss in module.LOSSES
    }
    results = {"chosen": dict.fromkeys(arms, scores), "epochs": counts}
    found = module.differences([{"settings": s, "results": results} for s in module.plan([])])
    assert all(set(gaps.tolist()) == {4.0} and len(gaps) >= 20 for gaps in found["T9"].values())
    fixed = {f"rate {rate:g}" for rate in module.RATES}
    assert {context[-1] for context in found["T9"]} == fixed | {"own rate"}


# What the trials notice ---------------------------------------------------------------------------

FAULTS = {
    "another rate": lambda patch, module: patch.setattr(
        module,
        "train",
        lambda weights, rates, *rest, **named: stack.train(weights, 1.001 * rates, *rest, **named),
    ),
    "other batches": lambda patch, module: patch.setattr(
        *(
            (
                module,
                "batches",
                lambda seed, ids, steps: claims_images_batches(seed + 1, ids, steps),
            )
            if module is claims_images
            else (module, "epochs", lambda seed, *rest: stack.epochs(seed + 1, *rest))
        )
    ),
    "other first weights": lambda patch, module: patch.setattr(
        module, "first_weights", lambda sizes, seed: stack.first_weights(sizes, seed + 1)
    ),
}
claims_images_batches = claims_images.batches


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_trial_notices_a_fault(name, fault, monkeypatch):
    with monkeypatch.context() as patch:
        FAULTS[fault](patch, MODULES[name])
        made = study.make_trial(name)
    assert difference(experiments.load(name)["trial"], made) > 100 * TOLERANCE
