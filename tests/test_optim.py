"""The optimisers step for step beside torch.optim, in float64, and pure."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from lossbook.optim import SGD, Adam, AdamW, cosine, one_cycle

STEPS = 200

# Both sides take the same few operations in another order, each right to 1e-16. The problem is
# convex and the steps are short, so differences only add up: over 200 steps and where a parameter
# passes through 0, to 3e-13 of it.
CLOSE = {"rtol": 1e-12, "atol": 0}

PAIRS = {
    "sgd": (SGD, torch.optim.SGD, {"lr": 0.1}),
    "sgd with momentum": (SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "sgd with Nesterov's momentum": (
        SGD,
        torch.optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    ),
    "sgd with all": (
        SGD,
        torch.optim.SGD,
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam": (Adam, torch.optim.Adam, {"lr": 0.02}),
    "adam by default": (Adam, torch.optim.Adam, {}),
    "adam with all": (
        Adam,
        torch.optim.Adam,
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adam without memory": (Adam, torch.optim.Adam, {"lr": 0.002, "betas": (0.0, 0.0)}),
    "adamw": (AdamW, torch.optim.AdamW, {"lr": 0.02}),
    "adamw with all": (
        AdamW,
        torch.optim.AdamW,
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},
    ),
}


def start():
    rng = np.random.default_rng(0)
    return {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}


def problem(w, b):
    """Logistic regression with a quartic penalty: convex, and far from quadratic."""
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(size=(20, 3)))
    y = torch.from_numpy(rng.choice([-1.0, 1.0], (20, 2)))
    return torch.nn.functional.softplus(-y * (x @ w + b)).sum(1).mean() + (w**4).sum() / 10


def gradients(params):
    """The problem's gradients at torch tensors, in the order of the parameters."""
    leaves = {key: w.detach().clone().requires_grad_() for key, w in params.items()}
    problem(**leaves).backward()
    return {key: leaf.grad for key, leaf in leaves.items()}


def torch_trajectory(make, options, schedule=None):
    params = {key: torch.from_numpy(w).requires_grad_() for key, w in start().items()}
    optimiser = make(params.values(), **options)
    scheduler = schedule(optimiser) if schedule else None
    for _ in range(STEPS):
        optimiser.zero_grad()
        problem(**params).backward()
        optimiser.step()
        if scheduler:
            scheduler.step()
        yield {key: w.detach().numpy().copy() for key, w in params.items()}


@dataclass
class Container:
    """A way to hold the parameters: how to build it from a dict of arrays, and the way back."""

    array: object
    as_list: bool

    def pack(self, arrays):
        packed = {key: self.array(w) for key, w in arrays.items()}
        return list(packed.values()) if self.as_list else packed

    def unpack(self, packed):
        return dict(zip(("w", "b"), packed, strict=True)) if self.as_list else packed


CONTAINERS = {
    "list of NumPy arrays": Container(np.asarray, as_list=True),
    "dict of NumPy arrays": Container(np.asarray, as_list=False),
    "list of tensors": Container(torch.as_tensor, as_list=True),
    "dict of tensors": Container(torch.as_tensor, as_list=False),
}


def assert_lockstep(optimiser, reference, container=CONTAINERS["dict of NumPy arrays"]):
    params = container.pack(start())
    state = optimiser.init(params)
    for expected in reference:
        at = {key: torch.as_tensor(w) for key, w in container.unpack(params).items()}
        grads = container.pack({key: g.numpy() for key, g in gradients(at).items()})
        params, state = optimiser.update(params, grads, state)
        found = container.unpack(params)
        for key in expected:
            assert type(found[key]) is type(container.array(expected[key]))
            np.testing.assert_allclose(np.asarray(found[key]), expected[key], **CLOSE)
    assert state.step == STEPS


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_in_lockstep_with_torch(pair, container):
    ours, theirs, options = PAIRS[pair]
    assert_lockstep(ours(**options), torch_trajectory(theirs, options), CONTAINERS[container])


def test_the_problem_is_hard_enough():
    # Else a lockstep would prove little: the optimisers must differ from each other, and move.
    ends = [list(torch_trajectory(*pair[1:]))[-1]["w"] for pair in PAIRS.values()]
    for i, end in enumerate(ends):
        assert np.abs(end - start()["w"]).max() > 0.05
        for other in ends[:i]:
            assert np.abs(end - other).max() > 1e-6


class LateCorrection(Adam):
    """Adam with the bias correction of the step after."""

    def update(self, params, grads, state):
        params, after = super().update(params, grads, state._replace(step=state.step + 1))
        return params, after._replace(step=state.step + 1)


def test_a_wrong_bias_correction_is_noticed():
    with pytest.raises(AssertionError):
        assert_lockstep(LateCorrection(lr=0.02), torch_trajectory(torch.optim.Adam, {"lr": 0.02}))


# Learning rates -----------------------------------------------------------------------------------


def torch_rates(schedule, steps):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = schedule(optimiser)
    for step in range(steps):
        yield optimiser.param_groups[0]["lr"]
        if step + 1 < steps:
            optimiser.step()
            scheduler.step()


# 1 + cos cancels where a rate is small, so an error is measured against the peak.
@pytest.mark.parametrize("steps", [2, 3, 10, 977])
@pytest.mark.parametrize("options", [{}, {"warmup": 0.6, "start": 10.0, "end": 100.0}])
def test_one_cycle_is_torchs(steps, options):
    names = {"warmup": "pct_start", "start": "div_factor", "end": "final_div_factor"}
    expected = torch_rates(
        lambda optimiser: torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            0.3,
            steps,
            cycle_momentum=False,
            **{names[key]: value for key, value in options.items()},
        ),
        steps,
    )
    rate = one_cycle(0.3, steps, **options)
    np.testing.assert_allclose(
        [rate(step) for step in range(steps)], list(expected), rtol=0, atol=1e-15 * 0.3
    )


@pytest.mark.parametrize("steps", [1, 10, 977])
def test_cosine_is_torchs(steps):
    expected = torch_rates(
        lambda optimiser: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps), steps
    )
    rate = cosine(1.0, steps)
    # torch computes each rate from the one before, and so adds up the roundings of all the steps.
    np.testing.assert_allclose(
        [rate(step) for step in range(steps)], list(expected), rtol=0, atol=1e-15 * steps
    )


@pytest.mark.parametrize("schedule", [one_cycle, cosine])
def test_the_steps_may_be_of_any_integer_type(schedule):
    # 200 + 200 overflows uint8.
    small, plain = schedule(0.1, np.uint8(200)), schedule(0.1, 200)
    assert [small(step) for step in range(200)] == [plain(step) for step in range(200)]


def test_one_cycle_that_rises_in_one_step_starts_at_its_peak():
    assert one_cycle(0.1, 10, warmup=0.1)(0) == pytest.approx(0.1, rel=1e-15)  # one rounding


@pytest.mark.parametrize("schedule", [one_cycle, cosine])
def test_a_schedule_stays_at_its_end(schedule):
    rate = schedule(0.1, 10)
    assert 0 <= rate(10) <= rate(9)
    assert rate(11) == rate(1000) == rate(10)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        (Adam, torch.optim.Adam, {"weight_decay": 0.1}),
        (AdamW, torch.optim.AdamW, {}),
    ],
)
def test_in_lockstep_under_a_schedule(ours, theirs, options):
    # One step more, since torch's scheduler is stepped after the last update too.
    expected = torch_trajectory(
        theirs,
        {"lr": 0.05, **options},
        lambda optimiser: torch.optim.lr_scheduler.OneCycleLR(
            optimiser, 0.05, STEPS + 1, cycle_momentum=False
        ),
    )
    assert_lockstep(ours(one_cycle(0.05, STEPS + 1), **options), expected)


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_a_rate_is_asked_for_each_step_from_0(make):
    asked = []

    def rate(step):
        asked.append(step)
        return 0.1

    optimiser, params = make(rate), [np.ones(1)]
    state = optimiser.init(params)
    for _ in range(3):
        params, state = optimiser.update(params, [np.ones(1)], state)
    assert sorted(set(asked)) == [0, 1, 2]
    assert asked == sorted(asked)


# Pure functions -----------------------------------------------------------------------------------

OPTIMISERS = [
    SGD(0.1),
    SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    Adam(weight_decay=0.1),
    AdamW(),
]


def arrays_of(tree):
    """All arrays in nested containers, in order."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [array for part in tree for array in arrays_of(part)]
    return [np.asarray(tree)]


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
@pytest.mark.parametrize("container", CONTAINERS)
def test_an_update_changes_nothing_it_was_given(optimiser, container):
    params = CONTAINERS[container].pack(start())
    grads = CONTAINERS[container].pack({key: w + 1 for key, w in start().items()})
    state = optimiser.init(params)
    for _ in range(2):
        arguments = (params, grads, state)
        before = copy.deepcopy(arguments)
        params, state = optimiser.update(*arguments)
        again = optimiser.update(*arguments)
        for old, new in zip(arrays_of(before), arrays_of(arguments), strict=True):
            np.testing.assert_array_equal(old, new)
        for one, other in zip(arrays_of((params, state)), arrays_of(again), strict=True):
            np.testing.assert_array_equal(one, other)
            assert not any(np.shares_memory(one, argument) for argument in arrays_of(arguments))


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
def test_a_run_can_go_on_from_its_state(optimiser):
    def advance(params, state, steps):
        for _ in range(steps):
            at = {key: torch.as_tensor(w) for key, w in params.items()}
            grads = {key: g.numpy() for key, g in gradients(at).items()}
            params, state = optimiser.update(params, grads, state)
        return params, state

    whole = advance(start(), optimiser.init(start()), 20)
    half = advance(start(), optimiser.init(start()), 10)
    resumed = advance(*copy.deepcopy(half), 10)
    for one, other in zip(arrays_of(whole), arrays_of(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_order_of_the_keys_does_not_matter():
    params = {"w": np.ones(2), "b": np.zeros(1)}
    grads = {"b": np.ones(1), "w": np.full(2, 3.0)}
    optimiser = SGD(0.5)
    params, _ = optimiser.update(params, grads, optimiser.init(params))
    np.testing.assert_array_equal(params["w"], [-0.5, -0.5])
    np.testing.assert_array_equal(params["b"], [-0.5])


@pytest.mark.parametrize(
    "optimiser",
    [
        SGD(np.float64(0.1), momentum=np.float64(0.9), weight_decay=np.float64(0.1)),
        SGD(lambda step: np.float64(0.1)),
        Adam(np.float64(0.1), betas=(np.float64(0.9), np.float64(0.99)), eps=np.float64(1e-8)),
        AdamW(lambda step: np.float64(0.1), weight_decay=np.float64(0.1)),
    ],
)
@pytest.mark.parametrize("asarray", [np.asarray, torch.as_tensor])
def test_single_precision_stays_single(optimiser, asarray):
    params = [asarray(np.ones(2, np.float32))]
    grads = [asarray(np.ones(2))]
    state = optimiser.init(params)
    for _ in range(2):
        params, state = optimiser.update(params, grads, state)
    for array in arrays_of((params, state[1:])):
        assert array.dtype == np.float32


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
@pytest.mark.parametrize("asarray", [np.asarray, torch.as_tensor])
def test_what_overflows_comes_out_infinite_or_nan_without_a_warning(optimiser, asarray):
    params = [asarray(np.array([1.0, 1.0, 1.0]))]
    grads = [asarray(np.array([np.nan, 1e300, 1.0]))]
    state = optimiser.init(params)
    for _ in range(2):
        params, state = optimiser.update(params, grads, state)
    assert math.isnan(params[0][0])
    assert math.isfinite(params[0][2])


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), ValueError, r"lr must be a number in \[0, infinity\), got -0.1"),
        (lambda: SGD(math.nan), ValueError, "lr must be .* got nan"),
        (lambda: SGD("fast"), TypeError, "lr must be .* got 'fast'"),
        (lambda: SGD(0.1, momentum=1), ValueError, r"momentum must be a number in \[0, 1\), got 1"),
        (lambda: SGD(0.1, momentum=-0.1), ValueError, "momentum"),
        (lambda: SGD(0.1, weight_decay=-1), ValueError, "weight_decay"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "nesterov=True needs a momentum above 0"),
        (lambda: Adam(-1.0), ValueError, "lr"),
        (lambda: Adam(betas=(1.0, 0.9)), ValueError, r"betas\[0\] must .* got 1.0"),
        (lambda: Adam(betas=(0.9, -0.1)), ValueError, r"betas\[1\] must .* got -0.1"),
        (lambda: Adam(betas=(0.9,)), TypeError, r"betas must be a tuple of two .* got \(0.9,\)"),
        (lambda: Adam(betas=0.9), TypeError, "betas must be a tuple of two .* got 0.9"),
        (lambda: Adam(eps=-1e-8), ValueError, "eps"),
        (lambda: AdamW(weight_decay=-0.01), ValueError, "weight_decay"),
        (lambda: one_cycle(0.0, 10), ValueError, "peak"),
        (lambda: one_cycle(0.1, 1), ValueError, "steps must be an integer of at least 2, got 1"),
        (lambda: one_cycle(0.1, 10.0), TypeError, "steps must be an integer .* got 10.0"),
        (lambda: one_cycle(0.1, 10, warmup=1.0), ValueError, "warmup"),
        (lambda: one_cycle(0.1, 10, start=0.5), ValueError, "start"),
        (lambda: one_cycle(0.1, 10, end=0.5), ValueError, "end"),
        (lambda: cosine(-0.1, 10), ValueError, "peak"),
        (lambda: cosine(0.1, 0), ValueError, "steps must be an integer of at least 1, got 0"),
        (lambda: cosine(0.1, math.inf), TypeError, "steps must be an integer .* got inf"),
    ],
)
def test_a_bad_hyperparameter_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
@pytest.mark.parametrize(
    ("params", "grads", "error", "message"),
    [
        ({"w": np.ones(2)}, {"v": np.ones(2)}, ValueError, "got a dict of w and a dict of v"),
        ({"w": np.ones(2)}, {}, ValueError, "alike"),
        ({"w": np.ones(2)}, [np.ones(2)], ValueError, "a dict of w and a list of 1"),
        ([np.ones(2)], [np.ones(2), np.ones(2)], ValueError, "a list of 1 and a list of 2"),
        ([np.ones(2)], (np.ones(2),), ValueError, "a list of 1 and a tuple"),
        ([np.ones(2)], None, ValueError, "a list of 1 and a NoneType"),
        ([np.ones(2)], np.ones((1, 2)), ValueError, "a list of 1 and a ndarray"),
        ([np.ones(2)], [np.ones(1)], ValueError, r"grads\[0\] has shape \(1,\) but params\[0\]"),
        ([np.ones(2)], [np.ones((2, 1))], ValueError, r"grads\[0\] has shape \(2, 1\)"),
        ([np.ones(2)], [[1.0, 1.0]], TypeError, r"grads\[0\] must be a NumPy array .* got list"),
        ([np.ones(2)], [torch.ones(2)], TypeError, r"params\[0\] is .*, grads\[0\] is a torch"),
        ([np.ones(2)], [np.ones(2) * 1j], TypeError, r"grads\[0\] must hold real .* complex128"),
        ({1: np.ones(2)}, {"1": np.ones(2)}, ValueError, "alike"),
        ({"w": np.ones(2)}, {"w": np.ones(3)}, ValueError, r"grads\['w'\] .* params\['w'\] has"),
    ],
)
def test_gradients_unlike_their_parameters_are_refused(optimiser, params, grads, error, message):
    with pytest.raises(error, match=message):
        optimiser.update(params, grads, optimiser.init(params))


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ((np.ones(2),), "params must be a list or a dict of arrays, got tuple"),
        (np.ones(2), "params must be a list or a dict of arrays, got ndarray"),
        ([[1.0]], r"params\[0\] must be a NumPy array or a torch tensor, got list"),
        ([np.array([1, 2])], r"params\[0\] must hold real floating-point numbers, got dtype int64"),
    ],
)
def test_parameters_that_are_no_list_of_real_arrays_are_refused(optimiser, params, message):
    with pytest.raises(TypeError, match=message):
        optimiser.init(params)


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused_when_it_is_asked_for(rate):
    optimiser, params = SGD(lambda step: rate), [np.ones(1)]
    with pytest.raises(ValueError, match=r"lr\(step\) must be a number in \[0, infinity\)"):
        optimiser.update(params, params, optimiser.init(params))
