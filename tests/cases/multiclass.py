"""Cases of the multiclass losses: logits z or probabilities p, a row t or a class id y."""

import mpmath as mp
import numpy as np
import torch
from cases.binary import focal_label_probabilities
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from cases.exact import entropy_term, minus_log_softmax, softmax, softmax_complement
from cases.inputs import CLASSES, every_pair
from scipy import stats
from torch.nn import functional as F

# A population of three classes, as ids and as rows.
IDS, ROWS, SHARES = np.arange(CLASSES), np.eye(CLASSES), np.array([0.6, 0.3, 0.1])

LOGITS = [
    [0.0, 0.0, 0.0, 0.0],
    [40.0, 0.0, 0.0, 0.0],
    [0.0, 40.0, 40.0, -40.0],
    [800.0, 0.0, -800.0, 1.0],
    [1e30, 1e30, -1e30, 0.0],
    [1.0, 0.0, -np.inf, -np.inf],
    [-np.inf, 800.0, 0.0, 2.0],
    [1.0, 1.0, 0.0, 0.75],
    [0.0, 16.75, 0.0, -40.0],
    [0.0, 36.75, 0.0, -40.0],
]
PROBABILITIES = [[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 1e-30, 1.0, 1 - 2**-53]]

# Halves and quarters, whose sums are exactly 1 in any dtype.
LABEL_ROWS = [
    [1.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
    [0.5, 0.25, 0.25, 0.0],
    [0.25, 0.25, 0.25, 0.25],
    [0.0, 2.0**-20, 1 - 2.0**-20, 0.0],
]
LOGITS_AND_IDS = every_pair(LOGITS, np.arange(4))


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


def gce_grad(z, y, q):
    factor = softmax(z, y) ** q
    return [
        [factor * (-softmax_complement(z, y) if k == y else softmax(z, k))] for k in range(len(z))
    ]


def rival(z, y):
    return max((k for k in range(len(z)) if k != y), key=lambda k: z[k])


def multiclass_hinge(z, y, margin):
    terms = [margin, z[rival(z, y)], -z[y]]
    return terms if mp.fsum(terms) > 0 else [mp.mpf(0)]


def multiclass_hinge_grad(z, y, margin):
    violated = margin + z[rival(z, y)] - z[y] > 0
    return [[violated * ((k == rival(z, y)) - (k == y))] for k in range(len(z))]


def torch_cross_entropy(z, y, reduction, label_smoothing):
    return F.cross_entropy(z, y, label_smoothing=label_smoothing, reduction=reduction)


def torch_focal(z, y, gamma):
    cost = F.cross_entropy(z, y, reduction="none")
    return (1 - torch.exp(-cost)) ** gamma * cost


def torch_gce(z, y, q):
    return -torch.expm1(-q * F.cross_entropy(z, y, reduction="none")) / q


def torch_multiclass_hinge(z, y, margin):
    own = z.gather(1, y[:, None])
    others = z.masked_fill(F.one_hot(y, z.shape[1]).bool(), -torch.inf)
    return F.relu(margin + others.max(dim=1).values - own[:, 0])


def rows_and_labels():
    """A few rows of probabilities, each with every label."""
    return every_pair(np.random.default_rng(1).dirichlet(np.ones(CLASSES), 20), ROWS)


def log_probabilities():
    """The logarithm of the probability that each row gives its label."""
    return np.log(np.sum(np.prod(rows_and_labels(), axis=0), axis=-1))


def log_density_of_rows(p, t):
    return stats.norm(p, np.sqrt(0.5)).logpdf(t).sum(axis=-1)


#: What the focal loss is least at, for a population that is surer than this.
FOCAL = np.array([0.5, 0.3, 0.2])

CASES = {
    "categorical_cross_entropy": Case(
        value=lambda p, t: [entropy_term(*pair) for pair in zip(t, p, strict=True)],
        gradient=lambda p, t: [
            [mp.mpf(0) if not t_k else -t_k / p_k if p_k else -mp.inf]
            for p_k, t_k in zip(p, t, strict=True)
        ],
        measures=("exact", "exact"),
        torch=built(lambda p, t: -(t * torch.log(p)).sum(dim=1)),
        moderate={},
        further=(),
        special=without_hyperparameters(every_pair(PROBABILITIES, LABEL_ROWS)),
        at_infinity=(),
        kinks=(),
        ends=(([1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]),),
        convex=True,
        minimum=Minimum(SHARES, ROWS, SHARES, {}),
        lipschitz=Lipschitz({}, None, None),
        density=lambda: (*rows_and_labels(), log_probabilities()),
        by_lead=False,
    ),
    "softmax_cross_entropy": Case(
        value=softmax_cross_entropy,
        gradient=softmax_cross_entropy_grad,
        measures=("exact", "terms"),  # p (1 - t) against t (1 - p)
        torch=torch_cross_entropy,
        moderate={"label_smoothing": 0.1},
        further=({"label_smoothing": 1.0},),
        special=lambda label_smoothing: (LOGITS_AND_IDS, every_pair(LOGITS, LABEL_ROWS)),
        at_infinity=(),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(np.log(SHARES) + 5, IDS, SHARES, {}),
        lipschitz=Lipschitz({}, np.sqrt(2), 1 / 2),
        density=lambda: (
            np.log(rows_and_labels()[0]) + 2,
            rows_and_labels()[1],
            log_probabilities(),
        ),
        by_lead=True,
    ),
    "softmax_focal": Case(
        value=lambda z, y, gamma: [softmax_complement(z, y) ** gamma * minus_log_softmax(z, y)],
        gradient=softmax_focal_grad,
        measures=("exact", "exact"),
        torch=built(torch_focal),
        moderate={"gamma": 1.5},
        further=({"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 5.0}),
        special=lambda gamma: (LOGITS_AND_IDS,),
        at_infinity=(),
        kinks=(),
        ends=(),
        convex=False,
        minimum=Minimum(np.log(FOCAL), IDS, focal_label_probabilities(FOCAL), {}),
        lipschitz=Lipschitz({"gamma": 2.0}, np.sqrt(2) * 1.129, None),
        density=None,
        by_lead=True,
    ),
    "generalized_cross_entropy": Case(
        value=lambda z, y, q: [-mp.expm1(-q * minus_log_softmax(z, y)) / q],
        gradient=gce_grad,
        measures=("exact", "exact"),
        torch=built(torch_gce),
        moderate={"q": 0.5},
        further=({"q": 0.01}, {"q": 1.0}),
        special=lambda q: (LOGITS_AND_IDS,),
        at_infinity=(),
        kinks=(),
        ends=(),
        convex=False,
        # Lagrange's condition: p_k^(q - 1) t_k is the same for every class.
        minimum=Minimum(np.log(SHARES) / (1 - 0.7), IDS, SHARES, {}),
        lipschitz=Lipschitz({"q": 0.7}, np.sqrt(2) * 0.7**0.7 / 1.7**1.7, None),
        density=None,
        by_lead=True,
    ),
    "brier": Case(
        value=lambda p, t: [(p_k - t_k) ** 2 for p_k, t_k in zip(p, t, strict=True)],
        gradient=lambda p, t: [[2 * (p_k - t_k)] for p_k, t_k in zip(p, t, strict=True)],
        measures=("exact", "exact"),
        torch=built(lambda p, t: ((p - t) ** 2).sum(dim=1)),
        moderate={},
        further=(),
        special=without_hyperparameters(every_pair(PROBABILITIES, LABEL_ROWS)),
        at_infinity=(),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(SHARES, ROWS, SHARES, {}),
        lipschitz=Lipschitz({}, 2 * np.sqrt(2), 2),
        density=lambda: (*rows_and_labels(), log_density_of_rows(*rows_and_labels())),
        by_lead=False,
    ),
    "multiclass_hinge": Case(
        value=multiclass_hinge,
        gradient=multiclass_hinge_grad,
        measures=("terms", "exact"),  # margin + rival against own
        torch=built(torch_multiclass_hinge),
        moderate={"margin": 0.7},
        further=({"margin": 0.25},),
        special=lambda margin: (LOGITS_AND_IDS,),
        at_infinity=(),
        kinks=(
            ([1.0, 0.0], 0, [0.0, 0.0]),
            ([2.0, 1.0, 0.0], 0, [0.0, 0.0, 0.0]),
            ([0.0, 0.0, 0.0], 1, [1.0, -1.0, 0.0]),
            ([0.0, 1.0, 1.0], 0, [-1.0, 1.0, 0.0]),
        ),
        ends=(),
        convex=True,
        minimum=Minimum([2.0, 0.0, 0.0], IDS, SHARES, {"margin": 2.0}),
        lipschitz=Lipschitz({}, np.sqrt(2), None),
        density=None,
        by_lead=True,
    ),
}
