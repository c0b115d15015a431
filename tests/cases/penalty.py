"""Cases of the penalties: parameters w."""

import mpmath as mp
import numpy as np
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from scipy import stats

PARAMETERS = np.array([[0.0, -0.0, 1e-30], [1.5, -2.5, 1e15], [3.0, 0.0, -1e-15]])
W = np.random.default_rng(1).normal(0, 2, (30, 3))

CASES = {
    "l1": Case(
        value=lambda w: [abs(x) for x in w],
        gradient=lambda w: [[mp.sign(x)] for x in w],
        measures=("exact", "exact"),
        torch=built(lambda w: w.abs().sum()),
        moderate={},
        further=(),
        special=without_hyperparameters((PARAMETERS,)),
        at_infinity=(),
        kinks=(([0.0, 2.0, -3.0], [0.0, 1.0, -1.0]),),
        ends=(),
        convex=True,
        minimum=Minimum([0.0, 0.0, 0.0], None, None, {}),
        lipschitz=Lipschitz({}, np.sqrt(3), None),
        density=lambda: (W, stats.laplace(0, 1).logpdf(W).sum(axis=-1)),
        by_lead=None,
    ),
    "l2": Case(
        value=lambda w: [x**2 / 2 for x in w],
        gradient=lambda w: [[x] for x in w],
        measures=("exact", "exact"),
        torch=built(lambda w: w.square().sum() / 2),
        moderate={},
        further=(),
        special=without_hyperparameters((PARAMETERS,)),
        at_infinity=(),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum([0.0, 0.0, 0.0], None, None, {}),
        lipschitz=Lipschitz({}, None, 1),
        density=lambda: (W, stats.norm(0, 1).logpdf(W).sum(axis=-1)),
        by_lead=None,
    ),
}
