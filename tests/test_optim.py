"""The optimisers step for step beside torch.optim, in float64, and pure."""

import copy
import math
from dataclasses import dataclass

import mpmath
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


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_the_numbers_of_a_schedule_may_be_of_any_type(kind):
    # In float16 a rate of 2^-14 / 25 / 10^4 would be 0.
    numbers = {"warmup": 0.25, "start": 25.0, "end": 1e4}
    narrow = {name: kind(number) for name, number in numbers.items()}
    assert one_cycle(kind(2**-14), 10, **narrow)(10) == one_cycle(2**-14, 10, **numbers)(10) > 0
    assert cosine(kind(2**-14), 1000)(999) == cosine(2**-14, 1000)(999)


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


# Narrow types and far ends ------------------------------------------------------------------------

TYPES = {
    "float16": lambda x: np.array(x, np.float16),
    "float32": lambda x: np.array(x, np.float32),
    "float64": lambda x: np.array(x, np.float64),
    "torch float16": lambda x: torch.tensor(x, dtype=torch.float16),
    "torch bfloat16": lambda x: torch.tensor(x, dtype=torch.bfloat16),
    "torch float32": lambda x: torch.tensor(x, dtype=torch.float32),
}
HALVES = [name for name in TYPES if "float16" in name]


def run(optimiser, array, gradients, start=0.0):
    """A weight after each of some gradients, in the type that `array` makes."""
    params, path = [array([start])], []
    state = optimiser.init(params)
    for gradient in gradients:
        params, state = optimiser.update(params, [array([gradient])], state)
        path.append(float(params[0][0]))
    return path


def exact_adam(gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    """Adam's formulas as they stand, in 50 digits, from a weight of 0."""
    with mpmath.workdps(50):
        (b1, b2), m, u, w = map(mpmath.mpf, betas), mpmath.mpf(0), mpmath.mpf(0), mpmath.mpf(0)
        for k, g in enumerate(map(mpmath.mpf, gradients), 1):
            m, u = b1 * m + (1 - b1) * g, b2 * u + (1 - b2) * g * g
            root = mpmath.sqrt(u / (1 - b2**k)) + eps
            w -= lr * m / (1 - b1**k) / root if root else 0
        return float(w)


def torchs_adam(dtype, gradients, **options):
    weight = torch.zeros(1, dtype=dtype, requires_grad=True)
    optimiser = torch.optim.Adam([weight], **options)
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=dtype)
        optimiser.step()
    return weight.item()


def test_torchs_adam_in_float16_is_nan_after_a_gradient_of_0_and_ours_is_not():
    assert math.isnan(torchs_adam(torch.float16, [0.0]))
    assert run(Adam(), TYPES["float16"], [0.0]) == [0.0]
    assert run(Adam(), TYPES["torch float16"], [0.0]) == [0.0]


@pytest.mark.parametrize("array", HALVES)
@pytest.mark.parametrize("gradients", [[0.0015], [300.0, -20.0, 1.0], [1e-5, 0.0, 2e-5], [6e4] * 3])
def test_adam_in_half_types_is_exact_where_torchs_is_infinite(array, gradients):
    given = [float(TYPES[array]([g])[0]) for g in gradients]
    eps = 2**-8 if "bfloat16" in array else 2**-11
    # A weight is rounded once a step, and no weight on the way is larger than the sum of the steps.
    allowed = len(given) * eps * 1e-3 * len(given)
    assert run(Adam(), TYPES[array], given)[-1] == pytest.approx(exact_adam(given), abs=allowed)
    if gradients == [0.0015]:
        assert torchs_adam(torch.float16, given) == -math.inf


@pytest.mark.parametrize(
    "gradients", [[1e25], [1e25, -3e24, 5e24], [3e38] * 4, [1e25, 1e-25, 0.0], [1e-25, 3e-26]]
)
def test_adam_in_float32_moves_where_torchs_stays(gradients):
    given = [float(np.float32(g)) for g in gradients]
    for array in ("float32", "torch float32"):
        for eps in (1e-8, 0.0, 1e-60):
            found = run(Adam(eps=eps), TYPES[array], given)[-1]
            # A few roundings of 6e-8 a step.
            assert found == pytest.approx(exact_adam(given, eps=eps), rel=1e-6)
    if gradients[0] == 1e25:
        assert torchs_adam(torch.float32, given) == 0
    if gradients[0] == 1e-25:
        # torch's step is infinite: its square has vanished and its mean has not.
        assert torchs_adam(torch.float32, given, eps=0.0) == -math.inf


@pytest.mark.parametrize(
    "gradients", [[1e200], [1.7e308, -1.7e308, 1e300], [1e-200, 3e-200], [1e-307, 0.0, 1e-306]]
)
def test_adam_in_float64_has_no_gradient_that_is_too_large_or_small(gradients):
    for eps in (1e-8, 0.0):
        found = run(Adam(eps=eps), TYPES["float64"], gradients)[-1]
        # A few roundings of 1e-16 a step.
        assert found == pytest.approx(exact_adam(gradients, eps=eps), rel=1e-14)


def test_the_beta_of_a_narrow_type_is_not_rounded():
    # In float32 0.999 is off by 1e-8, over a thousand steps by 1e-5 of the mean that it makes.
    rng = np.random.default_rng(0)
    params, gradients = [np.zeros(1, np.float32)], rng.normal(size=2000).astype(np.float32)
    optimiser = Adam()
    state, u = optimiser.init(params), 0.0
    for g in gradients:
        params, state = optimiser.update(params, [np.array([g])], state)
        u = 0.999 * u + 0.001 * float(g) ** 2
    # What is left are roundings to either side, of which about a thousand are remembered.
    assert float(state.rms[0][0]) == pytest.approx(math.sqrt(u), rel=2e-6)


@pytest.mark.parametrize("array", TYPES)
@pytest.mark.parametrize("eps", [0.0, 1e-8, 1e-60])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.0)])
def test_without_a_gradient_nothing_moves(array, eps, betas):
    assert run(Adam(eps=eps, betas=betas), TYPES[array], [0.0] * 3, 1.0) == [1.0] * 3
    assert run(AdamW(eps=eps, betas=betas, weight_decay=0.0), TYPES[array], [0.0], 1.0) == [1.0]
    assert run(SGD(1e39, momentum=0.9), TYPES[array], [0.0] * 3, 1.0) == [1.0] * 3


@pytest.mark.parametrize("array", HALVES)
@pytest.mark.parametrize(
    "optimiser",
    [SGD(0.03, momentum=0.9, nesterov=True, weight_decay=0.1), Adam(weight_decay=0.1), AdamW(0.03)],
    ids=repr,
)
def test_half_types_are_computed_in_float32_and_rounded_once(array, optimiser):
    array, single = TYPES[array], lambda x: np.asarray(x, np.float32)
    gradients = np.random.default_rng(0).normal(size=(20, 3))
    params, twins = [array([1.0, -2.0, 0.5])], [single([1.0, -2.0, 0.5])]
    state, twin_state = optimiser.init(params), optimiser.init(twins)
    for gradient in gradients:
        given = single(gradient)
        same = torch.from_numpy(given) if isinstance(params[0], torch.Tensor) else given
        params, state = optimiser.update(params, [same], state)
        twins, twin_state = optimiser.update(twins, [given], twin_state)
        twins = [single(array(twins[0].tolist()).tolist())]
        assert params[0].dtype == array([0.0]).dtype
        np.testing.assert_array_equal(single(params[0].tolist()), twins[0])
    for part, twin in zip(state[1:], twin_state[1:], strict=True):
        assert np.asarray(part[0]).dtype == np.float32
        # torch and NumPy may differ in the last bit of a root.
        np.testing.assert_allclose(np.asarray(part[0]), twin[0], rtol=1e-5)


@pytest.mark.parametrize("array", HALVES)
def test_a_velocity_in_half_types_keeps_what_the_type_would_lose(array):
    # 1 + 1e-3 / 4 is 1 in float16: its own velocity would forget the small gradients.
    gradients = [1.0] + [2.0**-12] * 100
    velocity = 0.0
    params = [TYPES[array]([0.0])]
    optimiser = SGD(0.1, momentum=0.99)
    state = optimiser.init(params)
    for gradient in gradients:
        params, state = optimiser.update(params, [TYPES[array]([gradient])], state)
        velocity = 0.99 * velocity + gradient
    assert float(state.velocity[0][0]) == pytest.approx(velocity, rel=1e-5)  # roundings of 6e-8


def test_a_gradient_may_be_of_a_wider_type_than_its_weight():
    # 1e5 is infinite in float16.
    optimiser, params = SGD(1e-6), [np.zeros(1, np.float16)]
    params, _ = optimiser.update(params, [np.array([1e5], np.float32)], optimiser.init(params))
    assert params[0][0] == np.float16(-0.1)


@pytest.mark.parametrize(
    ("array", "rate", "gradient"),
    [
        ("float16", 1e-8, 6e4),
        ("torch bfloat16", 1e-43, 1e38),
        ("float32", 1e-46, 1e38),
        ("torch float32", 1e-46, 1e38),
        ("float32", 1e39, 1e-38),
        ("torch float32", 1e39, 1e-38),
    ],
)
def test_a_rate_need_not_be_a_number_of_the_weights_type(array, rate, gradient):
    given = float(TYPES[array]([gradient])[0])
    (found,) = run(SGD(rate), TYPES[array], [given])
    assert found == pytest.approx(-rate * given, rel=4e-3)  # half a unit of bfloat16's last place


@pytest.mark.parametrize("array", TYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
def test_a_gradient_that_is_no_number_is_not_overlooked(array, bad, optimiser):
    path = run(optimiser, TYPES[array], [1.0, bad, 1.0, 0.0], 1.0)
    assert math.isfinite(path[0])
    assert not any(map(math.isfinite, path[1:]))
    if math.isnan(bad) or isinstance(optimiser, Adam):
        assert all(map(math.isnan, path[1:]))
    else:
        assert path[1] == -bad


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
def test_the_count_of_steps_may_be_of_any_integer_type(optimiser):
    # 255 + 1 overflows uint8.
    params, grads = [np.ones(2)], [np.full(2, 0.5)]
    plain, small = (optimiser.init(params)._replace(step=n) for n in (255, np.uint8(255)))
    expected, after = optimiser.update(params, grads, plain)
    found, after_small = optimiser.update(params, grads, small)
    assert after.step == after_small.step == 256
    np.testing.assert_array_equal(found[0], expected[0])


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
        (lambda: SGD(0.1, 0.9, nesterov="no"), TypeError, "nesterov must be True or .* got 'no'"),
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


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)
def test_a_state_that_is_not_of_these_parameters_is_refused(optimiser):
    params = {"w": np.ones(3)}
    state = optimiser.init({"w": np.ones(1)})
    field = state._fields[1]
    with pytest.raises(ValueError, match=rf"^state.{field}\['w'\] has shape \(1,\) but params"):
        optimiser.update(params, params, state)
    other = AdamW() if isinstance(optimiser, SGD) else SGD(0.1)
    for wrong in (other.init(params), tuple(state), None):
        with pytest.raises(TypeError, match=f"state must be a {type(state).__name__}, .* got"):
            optimiser.update(params, params, wrong)
    for step in (-1, 1.0):
        with pytest.raises((TypeError, ValueError), match=r"state\.step must be an integer"):
            optimiser.update(params, params, optimiser.init(params)._replace(step=step))
