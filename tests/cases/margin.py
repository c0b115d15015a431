"""Cases of the margin losses: a score s, a label y of -1 or +1, the margin y s."""

import mpmath as mp
import numpy as np
import torch
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from cases.exact import sigmoid, softplus
from cases.inputs import every_pair
from scipy import special
from torch.nn import functional as F

INF = np.inf

# A population of labels: label +1 has probability 0.3.
SIGNS, SHARES = np.array([-1.0, 1.0]), np.array([0.7, 0.3])
LOG_ODDS = np.log(0.3 / 0.7)

# Around the kinks at a margin of 0 and of 1, and where an exponential over- or underflows.
SCORES = [0.0, 1.0, -1.0, np.nextafter(1, 2), np.nextafter(1, 0), 40.0, -40.0, 800.0, -800.0]
SPECIAL = without_hyperparameters(every_pair(SCORES, SIGNS))

# Scores at which densities are compared.
S = np.linspace(-3, 3, 7)

CASES = {
    "perceptron": Case(
        value=lambda s, y: [max(mp.mpf(0), -y * s)],
        gradient=lambda s, y: [[-y if y * s <= 0 else mp.mpf(0)]],
        measures=("exact", "exact"),
        torch=lambda s, y, reduction: F.margin_ranking_loss(
            s, torch.zeros_like(s), y, reduction=reduction
        ),
        moderate={},
        further=(),
        special=SPECIAL,
        at_infinity=((INF, 1.0, 0.0, 0.0), (-INF, 1.0, INF, -1.0)),
        kinks=((0.0, 1.0, -1.0), (0.0, -1.0, 1.0)),
        ends=(),
        convex=True,
        minimum=Minimum(0.0, SIGNS, SHARES, {}),
        lipschitz=Lipschitz({}, 1, None),
        density=None,
        by_lead=None,
    ),
    "hinge": Case(
        value=lambda s, y: [max(mp.mpf(0), 1 - y * s)],
        gradient=lambda s, y: [[-y if y * s < 1 else mp.mpf(0)]],
        measures=("exact", "exact"),
        torch=lambda s, y, reduction: F.margin_ranking_loss(
            s, torch.zeros_like(s), y, margin=1.0, reduction=reduction
        ),
        moderate={},
        further=(),
        special=SPECIAL,
        at_infinity=((INF, 1.0, 0.0, 0.0), (-INF, 1.0, INF, -1.0), (INF, -1.0, INF, 1.0)),
        kinks=((1.0, 1.0, 0.0), (-1.0, -1.0, 0.0)),
        ends=(),
        convex=True,
        minimum=Minimum(-1.0, SIGNS, SHARES, {}),
        lipschitz=Lipschitz({}, 1, None),
        density=None,
        by_lead=None,
    ),
    "squared_hinge": Case(
        value=lambda s, y: [max(mp.mpf(0), 1 - y * s) ** 2],
        gradient=lambda s, y: [[-2 * y * max(mp.mpf(0), 1 - y * s)]],
        measures=("exact", "exact"),
        torch=built(lambda s, y: F.relu(1 - y * s) ** 2),
        moderate={},
        further=(),
        special=SPECIAL,
        at_infinity=((INF, 1.0, 0.0, 0.0), (-INF, 1.0, INF, -INF)),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(-0.4, SIGNS, SHARES, {}),
        lipschitz=Lipschitz({}, None, 2),
        density=None,
        by_lead=None,
    ),
    "exponential": Case(
        value=lambda s, y: [mp.exp(-y * s)],
        gradient=lambda s, y: [[-y * mp.exp(-y * s)]],
        measures=("exact", "exact"),
        torch=built(lambda s, y: torch.exp(-y * s)),
        moderate={},
        further=(),
        special=SPECIAL,
        at_infinity=((INF, 1.0, 0.0, 0.0), (-INF, 1.0, INF, -INF)),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(LOG_ODDS / 2, SIGNS, SHARES, {}),
        lipschitz=Lipschitz({}, None, None),
        density=None,
        by_lead=None,
    ),
    "logistic": Case(
        value=lambda s, y: [softplus(-y * s)],
        gradient=lambda s, y: [[-y * sigmoid(-y * s)]],
        measures=("exact", "exact"),
        torch=F.soft_margin_loss,
        moderate={},
        further=(),
        special=SPECIAL,
        at_infinity=((INF, 1.0, 0.0, 0.0), (-INF, 1.0, INF, -1.0)),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(LOG_ODDS, SIGNS, SHARES, {}),
        lipschitz=Lipschitz({}, 1, 1 / 4),
        density=lambda: (
            *every_pair(S, SIGNS),
            np.log(np.stack([special.expit(-S), special.expit(S)], axis=-1)).ravel(),
        ),
        by_lead=None,
    ),
}
