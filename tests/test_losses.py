"""Each loss against three oracles: mpmath at 50 digits and more, differences, torch.

The error of a result is measured against the exact one where the terms of the formula share a sign,
and else against the sum of the terms' absolute values: a sum that cancels cannot be more accurate
than its terms. MEASURES says which holds for each loss.
"""

import functools
import warnings
from dataclasses import dataclass

import array_api_strict
import mpmath as mp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbook import LOSSES
from lossbook.gradcheck import check_gradient, example_inputs

DIGITS = 130  # so that 50 are left when 1e-30 squared, or 1e-60, has been added to 1

# The requirement: a few dozen roundings at the worst, which are 1e-16 and 6e-8 each.
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}

# (of the value, of the gradient)
MEASURES = {
    "squared_error": ("exact", "exact"),
    "half_squared_error": ("exact", "exact"),
    "absolute_error": ("exact", "exact"),
    "huber": ("exact", "exact"),
    "smooth_l1": ("exact", "exact"),
    "log_cosh": ("exact", "exact"),
    "quantile": ("exact", "exact"),
    "poisson_nll": ("terms", "terms"),  # e^z against t z, and against t
    "gaussian_nll": ("terms", "terms"),  # s may be negative; 1 against r^2 e^-s
    "binary_cross_entropy": ("exact", "exact"),
    "sigmoid_binary_cross_entropy": ("exact", "terms"),  # pull to 1 against pull to 0
    "sigmoid_focal": ("exact", "exact"),
    "categorical_cross_entropy": ("exact", "exact"),
    "softmax_cross_entropy": ("exact", "terms"),  # p (1 - t) against t (1 - p)
    "softmax_focal": ("exact", "exact"),
    "brier": ("exact", "exact"),
    "multiclass_hinge": ("terms", "exact"),  # margin + rival against own
    "perceptron": ("exact", "exact"),
    "hinge": ("exact", "exact"),
    "squared_hinge": ("exact", "exact"),
    "exponential": ("exact", "exact"),
    "logistic": ("exact", "exact"),
}

HYPERPARAMETERS = {
    "huber": [{}, {"delta": 0.25}, {"delta": 1000.0}],
    "smooth_l1": [{}, {"beta": 0.25}, {"beta": 1000.0}],
    "quantile": [{}, {"level": 0.9}, {"level": 0.01}],
    "sigmoid_binary_cross_entropy": [{}, {"pos_weight": 0.1}, {"pos_weight": 30.0}],
    "sigmoid_focal": [
        {},
        {"gamma": 0.0},
        {"gamma": 0.5, "alpha": 0.25},
        {"gamma": 5.0, "alpha": 1.0},
    ],
    "softmax_cross_entropy": [{}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}],
    "softmax_focal": [{}, {"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 5.0}],
    "multiclass_hinge": [{}, {"margin": 0.25}],
}
CASES = [(name, options) for name in LOSSES for options in HYPERPARAMETERS.get(name, [{}])]


# The references. Each takes one example in mpmath numbers, z a list where there is a class axis,
# and returns terms that add up to the value, or for each entry of the prediction to its gradient.


@dataclass(frozen=True)
class Reference:
    value: object
    gradient: object
    inputs: object


def softplus(x):
    return mp.log1p(mp.exp(x))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softmax(z, k):
    return 1 / mp.fsum(mp.exp(other - z[k]) for other in z) if z[k] != -mp.inf else mp.mpf(0)


def softmax_complement(z, k):
    return mp.fsum(softmax(z, j) for j in range(len(z)) if j != k)


def minus_log_softmax(z, k):
    if z[k] == -mp.inf:
        return mp.inf
    return mp.log1p(mp.fsum(mp.exp(other - z[k]) for j, other in enumerate(z) if j != k))


def huber(p, t, delta):
    r = abs(p - t)
    return r**2 / 2 if r <= delta else delta * (r - delta / 2)


def huber_grad(p, t, delta):
    r = p - t
    return r if abs(r) <= delta else delta * mp.sign(r)


def quantile_slope(p, t, level):
    return -level if t > p else 1 - level if t < p else mp.mpf(0)


def entropy_term(t, p):
    return -t * mp.log(p) if t else mp.mpf(0)


def binary_cross_entropy_grad(p, y):
    if p in (0, 1):
        return 1 - 2 * y if p == y else mp.inf * (p - y)
    return (p - y) / (p * (1 - p))


def focal_weight(y, alpha):
    return 1 if alpha is None else alpha if y == 1 else 1 - alpha


def focal(z, y, gamma, alpha):
    m = z if y == 1 else -z
    return focal_weight(y, alpha) * sigmoid(-m) ** gamma * softplus(-m)


def focal_grad(z, y, gamma, alpha):
    sign = 1 if y == 1 else -1
    q, miss, loss = sigmoid(sign * z), sigmoid(-sign * z), softplus(-sign * z)
    return -sign * focal_weight(y, alpha) * miss**gamma * (miss + gamma * q * loss)


def label_row(label, count, label_smoothing):
    row = label if isinstance(label, list) else [mp.mpf(k == label) for k in range(count)]
    return [(1 - label_smoothing) * t + label_smoothing / count for t in row]


def softmax_cross_entropy(z, label, label_smoothing):
    rows = enumerate(label_row(label, len(z), label_smoothing))
    return [t * minus_log_softmax(z, k) for k, t in rows if t]


def softmax_cross_entropy_grad(z, label, label_smoothing):
    rows = enumerate(label_row(label, len(z), label_smoothing))
    return [[softmax(z, k) * (1 - t), -t * softmax_complement(z, k)] for k, t in rows]


def softmax_focal_grad(z, y, gamma):
    q, miss = softmax(z, y), softmax_complement(z, y)
    slope = miss ** (gamma - 1) * (miss + (gamma * q * minus_log_softmax(z, y) if q else 0))
    return [[slope * (-miss if k == y else softmax(z, k))] for k in range(len(z))]


def rival(z, y):
    return max((k for k in range(len(z)) if k != y), key=lambda k: z[k])


def multiclass_hinge(z, y, margin):
    terms = [margin, z[rival(z, y)], -z[y]]
    return terms if mp.fsum(terms) > 0 else [mp.mpf(0)]


def multiclass_hinge_grad(z, y, margin):
    violated = margin + z[rival(z, y)] - z[y] > 0
    return [[violated * ((k == rival(z, y)) - (k == y))] for k in range(len(z))]


# The inputs: special points, then seeded ones of every magnitude.


def magnitudes(rng, count, low=-30, high=30):
    return rng.choice([-1.0, 1.0], count) * 10 ** rng.uniform(low, high, count)


def real_numbers(rng, options):
    edge = next((x for name, x in options.items() if name in ("delta", "beta")), 1.0)
    special = np.array([0.0, edge, -edge, np.nextafter(edge, 0), np.nextafter(edge, 9e9), 1e-30])
    target = np.concatenate([np.zeros(6), magnitudes(rng, 80), rng.normal(size=20)])
    prediction = np.concatenate([special, magnitudes(rng, 80), rng.normal(size=20)])
    prediction[6:16] = target[6:16]
    prediction[16:26] = np.nextafter(target[16:26], np.inf)
    return prediction, target


def log_rates(rng, options):
    z = np.concatenate([[0.0, 1.0, 40.0, -40.0, 80.0, 700.0], magnitudes(rng, 60)])
    z = np.concatenate([z, 5 * rng.normal(size=34)])
    counts = np.concatenate([[0.0, 1.0, 3.0], np.abs(magnitudes(rng, 47)), rng.poisson(4, 50)])
    return z, rng.permutation(counts)


def means_and_log_variances(rng, options):
    mean, target = real_numbers(rng, {})
    spread = np.concatenate(
        [
            [0.0, 180.0, -700.0, 700.0, -1500.0, -180.0],  # the last with a residual of 1e-30
            magnitudes(rng, 50),
            100 * rng.normal(size=50),
        ]
    )
    return np.stack([mean, spread], axis=-1), target


def unit_interval(rng, count):
    return np.concatenate(
        [
            [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5, 1 - 2**-53],
            10 ** rng.uniform(-30, 0, count),
            1 - 10 ** rng.uniform(-16, 0, count),
            rng.uniform(size=count),
        ]
    )


def probabilities(rng, options):
    labels = unit_interval(rng, 30)
    labels[:8] = [0.0, 1.0, 0.5, 0.0, 1.0, 0.5, 0.5, 1.0]
    labels[20:60] = np.round(labels[20:60])
    return unit_interval(rng, 30), labels


def real_logits(rng, count=40):
    special = [0.0, 1.0, -1.0, 40.0, -40.0, 800.0, -800.0, np.nextafter(1, 2), np.nextafter(1, 0)]
    return np.concatenate([special, magnitudes(rng, count), 4 * rng.normal(size=count)])


def logits_and_probabilities(rng, options):
    z = real_logits(rng)
    labels = rng.permutation(np.concatenate([unit_interval(rng, 20), [0.0, 1.0] * 20]))
    return z, labels[: z.size]


def logits_and_bits(rng, options):
    z = np.tile(real_logits(rng), 2)
    return z, np.repeat([0.0, 1.0], z.size // 2)


def scores_and_signs(rng, options):
    scores, bits = logits_and_bits(rng, options)
    return scores, 2 * bits - 1


def class_logits(rng, count=25):
    special = [
        [0.0, 0.0, 0.0, 0.0],
        [40.0, 0.0, 0.0, 0.0],
        [0.0, 40.0, 40.0, -40.0],
        [800.0, 0.0, -800.0, 1.0],
        [1e30, 1e30, -1e30, 0.0],
        [1.0, 0.0, -np.inf, -np.inf],
        [-np.inf, 800.0, 0.0, 2.0],
        [1.0, 1.0, 0.0, 0.75],
    ]
    return np.concatenate(
        [special, magnitudes(rng, (count, 4)), 4 * rng.normal(size=(count, 4))]
    )


def logits_and_ids(rng, options):
    z = np.repeat(class_logits(rng), 4, axis=0)
    return z, np.tile(np.arange(4), len(z) // 4)


# Halves and quarters, whose sums are exactly 1 in any dtype.
LABEL_ROWS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.5, 0.25, 0.25, 0.0],
        [0.25, 0.25, 0.25, 0.25],
        [0.0, 2.0**-20, 1 - 2.0**-20, 0.0],
    ]
)


def class_probabilities(rng, options):
    p = np.concatenate(
        [
            [[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 1e-30, 1.0, 1 - 2**-53]],
            10 ** rng.uniform(-30, 0, (20, 4)),
            rng.dirichlet(np.ones(4), 20),
        ]
    )
    p = np.repeat(p, len(LABEL_ROWS), axis=0)
    return p, np.tile(LABEL_ROWS, (len(p) // len(LABEL_ROWS), 1))


REFERENCES = {
    "squared_error": Reference(
        lambda p, t: [(p - t) ** 2], lambda p, t: [[2 * (p - t)]], real_numbers
    ),
    "half_squared_error": Reference(
        lambda p, t: [(p - t) ** 2 / 2], lambda p, t: [[p - t]], real_numbers
    ),
    "absolute_error": Reference(
        lambda p, t: [abs(p - t)], lambda p, t: [[mp.sign(p - t)]], real_numbers
    ),
    "huber": Reference(
        lambda p, t, delta: [huber(p, t, delta)],
        lambda p, t, delta: [[huber_grad(p, t, delta)]],
        real_numbers,
    ),
    "smooth_l1": Reference(
        lambda p, t, beta: [huber(p, t, beta) / beta],
        lambda p, t, beta: [[huber_grad(p, t, beta) / beta]],
        real_numbers,
    ),
    "log_cosh": Reference(
        lambda p, t: [mp.log(mp.cosh(p - t))], lambda p, t: [[mp.tanh(p - t)]], real_numbers
    ),
    "quantile": Reference(
        lambda p, t, level: [(p - t) * quantile_slope(p, t, level)],
        lambda p, t, level: [[quantile_slope(p, t, level)]],
        real_numbers,
    ),
    "poisson_nll": Reference(
        lambda z, t: [mp.exp(z), -t * z], lambda z, t: [[mp.exp(z), -t]], log_rates
    ),
    "gaussian_nll": Reference(
        lambda x, t: [x[1] / 2, (x[0] - t) ** 2 * mp.exp(-x[1]) / 2],
        lambda x, t: [
            [(x[0] - t) * mp.exp(-x[1])],
            [mp.mpf(0.5), -((x[0] - t) ** 2) * mp.exp(-x[1]) / 2],
        ],
        means_and_log_variances,
    ),
    "binary_cross_entropy": Reference(
        lambda p, y: [entropy_term(y, p), entropy_term(1 - y, 1 - p)],
        lambda p, y: [[binary_cross_entropy_grad(p, y)]],
        probabilities,
    ),
    "sigmoid_binary_cross_entropy": Reference(
        lambda z, y, pos_weight: [pos_weight * y * softplus(-z), (1 - y) * softplus(z)],
        lambda z, y, pos_weight: [[(1 - y) * sigmoid(z), -pos_weight * y * sigmoid(-z)]],
        logits_and_probabilities,
    ),
    "sigmoid_focal": Reference(
        lambda z, y, gamma, alpha: [focal(z, y, gamma, alpha)],
        lambda z, y, gamma, alpha: [[focal_grad(z, y, gamma, alpha)]],
        logits_and_bits,
    ),
    "categorical_cross_entropy": Reference(
        lambda p, t: [entropy_term(*pair) for pair in zip(t, p, strict=True)],
        lambda p, t: [
            [mp.mpf(0) if not t_k else -t_k / p_k if p_k else -mp.inf]
            for p_k, t_k in zip(p, t, strict=True)
        ],
        class_probabilities,
    ),
    "softmax_cross_entropy": Reference(
        softmax_cross_entropy, softmax_cross_entropy_grad, logits_and_ids
    ),
    "softmax_focal": Reference(
        lambda z, y, gamma: [softmax_complement(z, y) ** gamma * minus_log_softmax(z, y)],
        softmax_focal_grad,
        logits_and_ids,
    ),
    "brier": Reference(
        lambda p, t: [(p_k - t_k) ** 2 for p_k, t_k in zip(p, t, strict=True)],
        lambda p, t: [[2 * (p_k - t_k)] for p_k, t_k in zip(p, t, strict=True)],
        class_probabilities,
    ),
    "multiclass_hinge": Reference(multiclass_hinge, multiclass_hinge_grad, logits_and_ids),
    "perceptron": Reference(
        lambda s, y: [max(mp.mpf(0), -y * s)],
        lambda s, y: [[-y if y * s <= 0 else mp.mpf(0)]],
        scores_and_signs,
    ),
    "hinge": Reference(
        lambda s, y: [max(mp.mpf(0), 1 - y * s)],
        lambda s, y: [[-y if y * s < 1 else mp.mpf(0)]],
        scores_and_signs,
    ),
    "squared_hinge": Reference(
        lambda s, y: [max(mp.mpf(0), 1 - y * s) ** 2],
        lambda s, y: [[-2 * y * max(mp.mpf(0), 1 - y * s)]],
        scores_and_signs,
    ),
    "exponential": Reference(
        lambda s, y: [mp.exp(-y * s)], lambda s, y: [[-y * mp.exp(-y * s)]], scores_and_signs
    ),
    "logistic": Reference(
        lambda s, y: [softplus(-y * s)], lambda s, y: [[-y * sigmoid(-y * s)]], scores_and_signs
    ),
}

# The same losses in torch: its own function where it has one, else built from its parts. Each takes
# tensors and hyperparameters, returns unreduced values, and is differentiated by autograd.


def torch_focal(z, y, gamma, alpha):
    cost = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    weight = 1 if alpha is None else torch.where(y == 1, alpha, 1 - alpha)
    return weight * (1 - torch.exp(-cost)) ** gamma * cost


def torch_softmax_focal(z, y, gamma):
    cost = F.cross_entropy(z, y, reduction="none")
    return (1 - torch.exp(-cost)) ** gamma * cost


def torch_multiclass_hinge(z, y, margin):
    own = z.gather(1, y[:, None])
    others = z.masked_fill(F.one_hot(y, z.shape[1]).bool(), -torch.inf)
    return F.relu(margin + others.max(dim=1).values - own[:, 0])


TORCH = {
    "squared_error": lambda p, t: F.mse_loss(p, t, reduction="none"),
    "half_squared_error": lambda p, t: F.mse_loss(p, t, reduction="none") / 2,
    "absolute_error": lambda p, t: F.l1_loss(p, t, reduction="none"),
    "huber": lambda p, t, delta: F.huber_loss(p, t, reduction="none", delta=delta),
    "smooth_l1": lambda p, t, beta: F.smooth_l1_loss(p, t, reduction="none", beta=beta),
    "log_cosh": lambda p, t: torch.log(torch.cosh(p - t)),
    "quantile": lambda p, t, level: torch.maximum(level * (t - p), (1 - level) * (p - t)),
    "poisson_nll": lambda z, t: F.poisson_nll_loss(z, t, full=False, reduction="none"),
    "gaussian_nll": lambda x, t: F.gaussian_nll_loss(
        x[:, 0], t, torch.exp(x[:, 1]), eps=1e-300, reduction="none"
    ),
    "binary_cross_entropy": lambda p, y: F.binary_cross_entropy(p, y, reduction="none"),
    "sigmoid_binary_cross_entropy": lambda z, y, pos_weight: F.binary_cross_entropy_with_logits(
        z, y, pos_weight=torch.tensor(pos_weight, dtype=z.dtype), reduction="none"
    ),
    "sigmoid_focal": torch_focal,
    "categorical_cross_entropy": lambda p, t: -(t * torch.log(p)).sum(dim=1),
    "softmax_cross_entropy": lambda z, y, label_smoothing: F.cross_entropy(
        z, y, label_smoothing=label_smoothing, reduction="none"
    ),
    "softmax_focal": torch_softmax_focal,
    "brier": lambda p, t: ((p - t) ** 2).sum(dim=1),
    "multiclass_hinge": torch_multiclass_hinge,
    "perceptron": lambda s, y: F.relu(-y * s),
    "hinge": lambda s, y: F.relu(1 - y * s),
    "squared_hinge": lambda s, y: F.relu(1 - y * s) ** 2,
    "exponential": lambda s, y: torch.exp(-y * s),
    "logistic": lambda s, y: F.soft_margin_loss(s, y, reduction="none"),
}


@pytest.mark.parametrize("table", [MEASURES, REFERENCES, TORCH], ids=["measures", "mp", "torch"])
def test_every_loss_stands_in_every_table(table):
    assert list(table) == list(LOSSES)


def exact(number):
    """One entry of an array in mpmath, a row as a list, a class id as it is."""
    if isinstance(number, np.ndarray):
        return [exact(entry) for entry in number]
    return int(number) if isinstance(number, np.integer) else mp.mpf(float(number))


@functools.cache
def judged(name, options, dtype):
    """Inputs of a case, and the terms of the exact value and gradient of each example."""
    options = dict(options)
    rng = np.random.default_rng(0)
    prediction, target = REFERENCES[name].inputs(rng, options)
    prediction = prediction.astype(dtype)
    if target.dtype != int:
        target = target.astype(dtype)
    with mp.workdps(DIGITS):
        numbers = {
            key: None if x is None else mp.mpf(x)
            for key, x in (LOSSES[name].hyperparameters | options).items()
        }
        examples = [(exact(x), exact(y)) for x, y in zip(prediction, target, strict=True)]
        values = [REFERENCES[name].value(*example, **numbers) for example in examples]
        gradients = [REFERENCES[name].gradient(*example, **numbers) for example in examples]
    return prediction, target, values, gradients


def assert_close(results, exact_terms, measure):
    """Compare an array with nested lists of terms that add up to what each entry should be."""
    if results.ndim == 2 or isinstance(exact_terms[0][0], list):
        results = results.reshape(-1)
        exact_terms = [terms for row in exact_terms for terms in row]
    dtype = results.dtype
    limit = float(np.finfo(dtype).max)
    # Below the smallest normal number a float has fewer digits, so there an absolute error counts.
    least = float(np.finfo(dtype).tiny)
    for index, (result, terms) in enumerate(zip(results, exact_terms, strict=True)):
        with mp.workdps(DIGITS):
            truth = mp.fsum(terms)
            scale = abs(truth) if measure == "exact" else mp.fsum(abs(term) for term in terms)
            error = abs(mp.mpf(float(result)) - truth)
            close = error <= TOLERANCES[str(dtype)] * scale + least
        if max(terms) > limit and min(terms) < -limit:
            continue  # infinity less infinity: nothing is promised
        if abs(truth) > limit or (abs(truth) > limit / 4 and np.isinf(result)):
            # Overflow: by a factor of 4 too early is fine, since a square may be halved last.
            close = float(result) == float(mp.sign(truth)) * np.inf
        assert close, f"entry {index} is {result!r}, should be {mp.nstr(truth, 20)}"


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_agrees_with_mpmath(name, options, dtype, library):
    prediction, target, values, gradients = judged(name, tuple(options.items()), dtype)
    inputs = (prediction, target)
    if library == "torch":
        inputs = tuple(torch.from_numpy(array) for array in inputs)
    # Errors are raised even if the caller asked NumPy for them: no loss ever warns.
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        value = LOSSES[name].function(*inputs, **options)
        gradient = LOSSES[name].gradient(*inputs, **options)
    for result, shape in [(value, target.shape[:1]), (gradient, prediction.shape)]:
        assert type(result) is type(inputs[0])
        assert result.dtype == inputs[0].dtype
        assert result.shape == shape
    of_value, of_gradient = MEASURES[name]
    assert_close(np.asarray(value), values, of_value)
    assert_close(np.asarray(gradient), gradients, of_gradient)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_softmax_cross_entropy_of_soft_labels_agrees_with_mpmath(dtype, label_smoothing):
    z = np.repeat(class_logits(np.random.default_rng(0)), len(LABEL_ROWS), axis=0).astype(dtype)
    t = np.tile(LABEL_ROWS, (len(z) // len(LABEL_ROWS), 1)).astype(dtype)
    loss = LOSSES["softmax_cross_entropy"]
    with mp.workdps(DIGITS):
        smoothing = mp.mpf(label_smoothing)
        examples = [(exact(a), exact(b), smoothing) for a, b in zip(z, t, strict=True)]
        values = [softmax_cross_entropy(*example) for example in examples]
        gradients = [softmax_cross_entropy_grad(*example) for example in examples]
    assert_close(loss.function(z, t, label_smoothing=label_smoothing), values, "exact")
    assert_close(loss.gradient(z, t, label_smoothing=label_smoothing), gradients, "terms")


@pytest.mark.parametrize(("name", "options"), CASES)
def test_reference_gradient_is_the_derivative_of_the_reference_value(name, options):
    row, reference = LOSSES[name], REFERENCES[name]
    numbers = {
        key: None if x is None else mp.mpf(x) for key, x in (row.hyperparameters | options).items()
    }
    with mp.workdps(50):
        for x, target in zip(*example_inputs(row), strict=True):
            x, target = exact(x), exact(target)
            gradient = [mp.fsum(terms) for terms in reference.gradient(x, target, **numbers)]
            for k, slope in enumerate(gradient):

                def along(step, x=x, target=target, k=k):
                    if isinstance(x, list):
                        moved = [entry + step * (n == k) for n, entry in enumerate(x)]
                    else:
                        moved = x + step
                    return mp.fsum(reference.value(moved, target, **numbers))

                # mp.diff evaluates with extra digits; 1e-20 is far below any formula's error.
                assert abs(mp.diff(along, 0) - slope) < mp.mpf("1e-20")


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradient_agrees_with_differences_and_autograd(name, options):
    check = check_gradient(name, *example_inputs(name, size=12), **options)
    assert check.passed, check


@pytest.mark.parametrize(("name", "options"), CASES)
def test_agrees_with_torch(name, options):
    row = LOSSES[name]
    prediction, target = (torch.from_numpy(a) for a in example_inputs(name, size=50))
    prediction.requires_grad_(True)
    expected = TORCH[name](prediction, target, **row.hyperparameters | options)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), prediction)
    # Inputs are of size 1, so that 1e-12 is some thousand roundings of torch's own, less careful,
    # formulas: it takes 1 - q by subtraction.
    close = {"rtol": 1e-12, "atol": 1e-12}
    value = row.function(prediction.detach(), target, **options)
    gradient = row.gradient(prediction.detach(), target, **options)
    torch.testing.assert_close(value, expected.detach(), **close)
    torch.testing.assert_close(gradient, expected_gradient, **close)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_runs_on_the_array_standard_alone(name, options):
    row, inputs = LOSSES[name], example_inputs(name)
    strict = [array_api_strict.asarray(array) for array in inputs]
    for function in (row.function, row.gradient):
        result = function(*strict, **options)
        assert type(result) is type(strict[0])
        # The same formula by the same NumPy underneath, up to the order of a sum.
        np.testing.assert_allclose(np.asarray(result), function(*inputs, **options), rtol=1e-14)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("size", [(), (2, 3, 4), (0,)])
@pytest.mark.parametrize("name", LOSSES)
def test_works_on_any_leading_shape(name, size, library):
    row = LOSSES[name]
    prediction, target = (np.asarray(array) for array in example_inputs(name, size=size))
    if library == "torch":
        prediction, target = torch.from_numpy(prediction), torch.from_numpy(target)
    value, gradient = row.function(prediction, target), row.gradient(prediction, target)
    assert tuple(value.shape) == size
    assert gradient.shape == prediction.shape
    if value.ndim == 3:
        first = row.function(prediction[0, 0], target[0, 0])
        # Up to rounding: torch uses other instructions for arrays of other lengths.
        np.testing.assert_allclose(np.asarray(value[0, 0]), np.asarray(first), rtol=1e-14)


ZERO, INF = 0.0, np.inf
#: Value and gradient at infinite predictions, where they have a limit: (prediction, target).
AT_INFINITY = {
    "absolute_error": [((INF, 0.0), (INF, 1.0)), ((-INF, 0.0), (INF, -1.0))],
    "huber": [((INF, 0.0), (INF, 1.0)), ((-INF, 0.0), (INF, -1.0))],
    "smooth_l1": [((INF, 0.0), (INF, 1.0)), ((-INF, 0.0), (INF, -1.0))],
    "log_cosh": [((INF, 0.0), (INF, 1.0)), ((-INF, 0.0), (INF, -1.0))],
    "quantile": [((INF, 0.0), (INF, 0.5)), ((-INF, 0.0), (INF, -0.5))],
    "sigmoid_binary_cross_entropy": [
        ((INF, 1.0), (ZERO, ZERO)),
        ((-INF, 1.0), (INF, -1.0)),
        ((INF, 0.0), (INF, 1.0)),
        ((-INF, 0.0), (ZERO, ZERO)),
    ],
    "sigmoid_focal": [((INF, 1.0), (ZERO, ZERO)), ((-INF, 1.0), (INF, -1.0))],
    "perceptron": [((INF, 1.0), (ZERO, ZERO)), ((-INF, 1.0), (INF, -1.0))],
    "hinge": [((INF, 1.0), (ZERO, ZERO)), ((-INF, 1.0), (INF, -1.0)), ((INF, -1.0), (INF, 1.0))],
    "squared_hinge": [((INF, 1.0), (ZERO, ZERO)), ((-INF, 1.0), (INF, -INF))],
    "exponential": [((INF, 1.0), (ZERO, ZERO)), ((-INF, 1.0), (INF, -INF))],
    "logistic": [((INF, 1.0), (ZERO, ZERO)), ((-INF, 1.0), (INF, -1.0))],
}


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("name", "inputs", "limits"),
    [(name, *case) for name, cases in AT_INFINITY.items() for case in cases],
)
def test_infinite_predictions_give_the_limits(name, inputs, limits, library):
    make = np.array if library == "numpy" else torch.tensor
    prediction, target = (make([x]) for x in inputs)
    results = LOSSES[name].function(prediction, target), LOSSES[name].gradient(prediction, target)
    assert tuple(float(result[0]) for result in results) == limits


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "softmax_focal", "multiclass_hinge"])
def test_a_class_whose_every_rival_is_masked_costs_nothing(name):
    logits, labels = np.array([[2.0, -np.inf, -np.inf]]), np.array([0])
    assert LOSSES[name].function(logits, labels) == 0
    np.testing.assert_array_equal(LOSSES[name].gradient(logits, labels), [[0.0, 0.0, 0.0]])


KINKS = [
    ("absolute_error", 3.0, 3.0, 0.0),
    ("quantile", 3.0, 3.0, 0.0),
    ("perceptron", 0.0, 1.0, -1.0),
    ("perceptron", 0.0, -1.0, 1.0),
    ("hinge", 1.0, 1.0, 0.0),
    ("hinge", -1.0, -1.0, 0.0),
    ("multiclass_hinge", [1.0, 0.0], 0, [0.0, 0.0]),
    ("multiclass_hinge", [0.0, 0.0, 0.0], 1, [1.0, -1.0, 0.0]),
]


@pytest.mark.parametrize(("name", "prediction", "target", "subgradient"), KINKS)
def test_the_documented_subgradient_is_taken_at_a_kink(name, prediction, target, subgradient):
    gradient = LOSSES[name].gradient(np.array([prediction]), np.array([target]))
    np.testing.assert_array_equal(gradient, [subgradient])
