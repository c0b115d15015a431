"""Cases of the binary losses: a probability p or a logit z, a label y in [0, 1]."""

import mpmath as mp
import numpy as np
import torch
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from cases.exact import entropy_term, sigmoid, softplus
from cases.inputs import every_pair
from scipy import special
from torch.nn import functional as F

INF = np.inf

# A population of labels: label 1 has probability 0.3.
BITS, SHARES = np.array([0.0, 1.0]), np.array([0.7, 0.3])
LOG_ODDS = np.log(0.3 / 0.7)

FRACTIONS = [0.0, 1e-30, 0.5, 1 - 2**-53, 1.0]
# Among them where 1 - sigmoid rounds to 1, in float32 and in float64.
LOGITS = [0.0, 1.0, -1.0, 16.75, -16.75, 36.75, -36.75, 40.0, -40.0, 800.0, -800.0]

# Logits at which densities are compared.
Z = np.linspace(-3, 3, 7)


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


def torch_focal(z, y, gamma, alpha):
    cost = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    weight = 1 if alpha is None else torch.where(y == 1, alpha, 1 - alpha)
    return weight * (1 - torch.exp(-cost)) ** gamma * cost


def torch_cross_entropy(z, y, reduction, pos_weight):
    weight = torch.tensor(pos_weight, dtype=z.dtype)
    return F.binary_cross_entropy_with_logits(z, y, pos_weight=weight, reduction=reduction)


def focal_label_probabilities(probabilities, gamma=2.0):
    """The label probabilities whose focal minimiser is `probabilities` (Charoenphakdee 2021)."""
    p = np.asarray(probabilities)
    weights = p / ((1 - p) ** gamma - gamma * (1 - p) ** (gamma - 1) * p * np.log(p))
    return weights / weights.sum()


#: What the focal loss is least at, for a population that is surer than this.
FOCAL = np.array([0.3, 0.7])

CASES = {
    "binary_cross_entropy": Case(
        value=lambda p, y: [entropy_term(y, p), entropy_term(1 - y, 1 - p)],
        gradient=lambda p, y: [[binary_cross_entropy_grad(p, y)]],
        measures=("exact", "exact"),
        torch=F.binary_cross_entropy,
        moderate={},
        further=(),
        special=without_hyperparameters(every_pair(FRACTIONS, FRACTIONS)),
        at_infinity=(),
        kinks=(),
        ends=((0.0, 0.0, 1.0), (1.0, 1.0, -1.0)),
        convex=True,
        minimum=Minimum(0.3, BITS, SHARES, {}),
        lipschitz=Lipschitz({}, None, None),
        density=lambda: (*every_pair([0.2, 0.7], BITS), np.log([0.8, 0.2, 0.3, 0.7])),
        by_lead=None,
    ),
    "sigmoid_binary_cross_entropy": Case(
        value=lambda z, y, pos_weight: [pos_weight * y * softplus(-z), (1 - y) * softplus(z)],
        gradient=lambda z, y, pos_weight: [[(1 - y) * sigmoid(z), -pos_weight * y * sigmoid(-z)]],
        measures=("exact", "terms"),  # pull to 1 against pull to 0
        torch=torch_cross_entropy,
        moderate={"pos_weight": 3.0},
        further=({"pos_weight": 0.1}, {"pos_weight": 30.0}),
        special=lambda pos_weight: (every_pair(LOGITS, FRACTIONS),),
        at_infinity=(
            (INF, 1.0, 0.0, 0.0),
            (-INF, 1.0, INF, -1.0),
            (INF, 0.0, INF, 1.0),
            (-INF, 0.0, 0.0, 0.0),
        ),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(LOG_ODDS + np.log(2), BITS, SHARES, {"pos_weight": 2.0}),
        lipschitz=Lipschitz({"pos_weight": 3.0}, 3, 3 / 4),
        density=lambda: (
            *every_pair(Z, BITS),
            np.log(np.stack([special.expit(-Z), special.expit(Z)], axis=-1)).ravel(),
        ),
        by_lead=None,
    ),
    "sigmoid_focal": Case(
        value=lambda z, y, gamma, alpha: [focal(z, y, gamma, alpha)],
        gradient=lambda z, y, gamma, alpha: [[focal_grad(z, y, gamma, alpha)]],
        measures=("exact", "exact"),
        torch=built(torch_focal),
        moderate={"gamma": 1.5, "alpha": 0.25},
        further=({"gamma": 0.0}, {"gamma": 0.5, "alpha": 0.25}, {"gamma": 5.0, "alpha": 1.0}),
        special=lambda gamma, alpha: (every_pair(LOGITS, BITS),),
        at_infinity=((INF, 1.0, 0.0, 0.0), (-INF, 1.0, INF, -1.0)),
        kinks=(),
        ends=(),
        convex=False,
        minimum=Minimum(special.logit(FOCAL[1]), BITS, focal_label_probabilities(FOCAL), {}),
        lipschitz=Lipschitz({"gamma": 2.0}, 1.129, None),
        density=None,
        by_lead=None,
    ),
}
