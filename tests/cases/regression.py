"""Cases of the regression losses: a prediction p, a target t, the residual r = p - t."""

import mpmath as mp
import numpy as np
import torch
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from cases.inputs import every_pair
from scipy import optimize, special, stats
from torch.nn import functional as F

from lossbook.spaces import REAL

INF = np.inf

# A population of five targets, each as likely: mean 3.3, median 1.5, 70 % quantile 4.
SEEN, ALIKE = np.array([0.0, 1.0, 1.5, 4.0, 10.0]), np.full(5, 0.2)

# Predictions and targets at which densities are compared.
P, T = np.meshgrid(np.linspace(-4, 4, 9), np.linspace(-3.7, 5.1, 12))
COUNTS = np.repeat(np.arange(12.0)[:, None], 9, axis=1)


def residuals(edge=1.0):
    """Residuals of none, of next to none at any size, and on both sides of an edge."""
    target = REAL.magnitudes(np.random.default_rng(1), (10,))
    around = [0.0, edge, -edge, np.nextafter(edge, 0), np.nextafter(edge, INF), 1e-30]
    prediction = np.concatenate([around, target, np.nextafter(target, INF)])
    return prediction, np.concatenate([np.zeros(6), target, target])


def residuals_of_all_sizes():
    """From where log cosh r is r^2 / 2 to where it is |r| - log 2, and as far as exp overflows."""
    return every_pair(np.geomspace(0.01, 1000, 50), [0.0])


def means_and_log_variances():
    """Spreads so small and so large that the residual over them over- or underflows."""
    rng = np.random.default_rng(1)
    mean, target = (np.concatenate([a, REAL.magnitudes(rng, (50,))]) for a in residuals())
    extreme = [0.0, 180.0, -700.0, 700.0, -1500.0, -180.0]
    spread = np.concatenate([extreme, 100 * rng.normal(size=mean.size - 6)])
    return np.stack([mean, spread], axis=-1), target


def root_of_mean(slope):
    """Where the mean of slope(p - t) over the population is 0."""
    return optimize.brentq(lambda p: np.mean(slope(p - SEEN)), -1, 11, xtol=1e-12)


def huber(p, t, delta):
    r = abs(p - t)
    return r**2 / 2 if r <= delta else delta * (r - delta / 2)


def huber_grad(p, t, delta):
    r = p - t
    return r if abs(r) <= delta else delta * mp.sign(r)


def log_density_of_huber(r, delta):
    """Huber's density: a Gaussian within delta, and exponential tails that continue it."""
    inside, tails = stats.norm().logpdf(r), stats.norm().logpdf(delta) - delta * (abs(r) - delta)
    return np.where(abs(r) <= delta, inside, tails)


def quantile_slope(p, t, level):
    return -level if t > p else 1 - level if t < p else mp.mpf(0)


LINEAR = ((INF, 0.0, INF, 1.0), (-INF, 0.0, INF, -1.0))
CLIPPED_MEAN = root_of_mean(lambda r: np.clip(r, -2, 2))

CASES = {
    "squared_error": Case(
        value=lambda p, t: [(p - t) ** 2],
        gradient=lambda p, t: [[2 * (p - t)]],
        measures=("exact", "exact"),
        torch=F.mse_loss,
        moderate={},
        further=(),
        special=without_hyperparameters(residuals()),
        at_infinity=((INF, 0.0, INF, INF), (-INF, 0.0, INF, -INF)),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(3.3, SEEN, ALIKE, {}),
        lipschitz=Lipschitz({}, None, 2),
        density=lambda: (P, T, stats.norm(P, np.sqrt(0.5)).logpdf(T)),
        by_lead=None,
    ),
    "half_squared_error": Case(
        value=lambda p, t: [(p - t) ** 2 / 2],
        gradient=lambda p, t: [[p - t]],
        measures=("exact", "exact"),
        torch=built(lambda p, t: F.mse_loss(p, t, reduction="none") / 2),
        moderate={},
        further=(),
        special=without_hyperparameters(residuals()),
        at_infinity=((INF, 0.0, INF, INF), (-INF, 0.0, INF, -INF)),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(3.3, SEEN, ALIKE, {}),
        lipschitz=Lipschitz({}, None, 1),
        density=lambda: (P, T, stats.norm(P, 1).logpdf(T)),
        by_lead=None,
    ),
    "absolute_error": Case(
        value=lambda p, t: [abs(p - t)],
        gradient=lambda p, t: [[mp.sign(p - t)]],
        measures=("exact", "exact"),
        torch=F.l1_loss,
        moderate={},
        further=(),
        special=without_hyperparameters(residuals()),
        at_infinity=LINEAR,
        kinks=((3.0, 3.0, 0.0), (2.0, 2.0, 0.0)),
        ends=(),
        convex=True,
        minimum=Minimum(1.5, SEEN, ALIKE, {}),
        lipschitz=Lipschitz({}, 1, None),
        density=lambda: (P, T, stats.laplace(P, 1).logpdf(T)),
        by_lead=None,
    ),
    "huber": Case(
        value=lambda p, t, delta: [huber(p, t, delta)],
        gradient=lambda p, t, delta: [[huber_grad(p, t, delta)]],
        measures=("exact", "exact"),
        torch=F.huber_loss,
        moderate={"delta": 0.7},
        further=({"delta": 0.25}, {"delta": 1000.0}),
        special=lambda delta: (residuals(delta),),
        at_infinity=LINEAR,
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(CLIPPED_MEAN, SEEN, ALIKE, {"delta": 2.0}),
        lipschitz=Lipschitz({"delta": 2.5}, 2.5, 1),
        density=lambda: (P, T, log_density_of_huber(P - T, 1.0)),
        by_lead=None,
    ),
    "smooth_l1": Case(
        value=lambda p, t, beta: [huber(p, t, beta) / beta],
        gradient=lambda p, t, beta: [[huber_grad(p, t, beta) / beta]],
        measures=("exact", "exact"),
        torch=F.smooth_l1_loss,
        moderate={"beta": 0.7},
        further=({"beta": 0.25}, {"beta": 1000.0}),
        special=lambda beta: (residuals(beta),),
        at_infinity=LINEAR,
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(CLIPPED_MEAN, SEEN, ALIKE, {"beta": 2.0}),
        lipschitz=Lipschitz({"beta": 2.5}, 1, 1 / 2.5),
        density=lambda: (P, T, log_density_of_huber(P - T, 1.0)),
        by_lead=None,
    ),
    "log_cosh": Case(
        value=lambda p, t: [mp.log(mp.cosh(p - t))],
        gradient=lambda p, t: [[mp.tanh(p - t)]],
        measures=("exact", "exact"),
        torch=built(lambda p, t: torch.log(torch.cosh(p - t))),
        moderate={},
        further=(),
        special=without_hyperparameters(residuals(), residuals_of_all_sizes()),
        at_infinity=LINEAR,
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(root_of_mean(np.tanh), SEEN, ALIKE, {}),
        lipschitz=Lipschitz({}, 1, 1),
        density=lambda: (P, T, -np.log(np.pi * np.cosh(P - T))),
        by_lead=None,
    ),
    "quantile": Case(
        value=lambda p, t, level: [(p - t) * quantile_slope(p, t, level)],
        gradient=lambda p, t, level: [[quantile_slope(p, t, level)]],
        measures=("exact", "exact"),
        torch=built(lambda p, t, level: torch.maximum(level * (t - p), (1 - level) * (p - t))),
        moderate={"level": 0.9},
        further=({"level": 0.01},),
        special=lambda level: (residuals(),),
        at_infinity=((INF, 0.0, INF, 0.5), (-INF, 0.0, INF, -0.5)),
        kinks=((3.0, 3.0, 0.0), (2.0, 2.0, 0.0)),
        ends=(),
        convex=True,
        minimum=Minimum(4.0, SEEN, ALIKE, {"level": 0.7}),
        lipschitz=Lipschitz({"level": 0.8}, 0.8, None),
        density=lambda: (P, T, stats.laplace_asymmetric(1, P, 2).logpdf(T)),
        by_lead=None,
    ),
    "poisson_nll": Case(
        value=lambda z, t: [mp.exp(z), -t * z],
        gradient=lambda z, t: [[mp.exp(z), -t]],
        measures=("terms", "terms"),  # e^z against t z, and against t
        torch=F.poisson_nll_loss,
        moderate={},
        further=(),
        special=without_hyperparameters(
            every_pair([0.0, 1.0, 40.0, -40.0, 80.0, 700.0], [0.0, 1.0, 3.0, 1e-30, 1e30])
        ),
        at_infinity=((-INF, 2.0, INF, -2.0),),
        kinks=(),
        ends=(),
        convex=True,
        minimum=Minimum(np.log(3.3), SEEN, ALIKE, {}),
        lipschitz=Lipschitz({}, None, None),
        density=lambda: (
            P,
            COUNTS,
            stats.poisson(np.exp(P)).logpmf(COUNTS) + special.gammaln(COUNTS + 1),
        ),
        by_lead=None,
    ),
    "gaussian_nll": Case(
        value=lambda x, t: [x[1] / 2, (x[0] - t) ** 2 * mp.exp(-x[1]) / 2],
        gradient=lambda x, t: [
            [(x[0] - t) * mp.exp(-x[1])],
            [mp.mpf(0.5), -((x[0] - t) ** 2) * mp.exp(-x[1]) / 2],
        ],
        measures=("terms", "terms"),  # s may be negative; 1 against r^2 e^-s
        torch=lambda x, t, reduction: F.gaussian_nll_loss(
            x[..., 0], t, torch.exp(x[..., 1]), eps=1e-300, reduction=reduction
        ),
        moderate={},
        further=(),
        special=without_hyperparameters(means_and_log_variances()),
        at_infinity=(),
        kinks=(),
        ends=(),
        convex=False,
        minimum=Minimum([3.3, np.log(SEEN.var())], SEEN, ALIKE, {}),
        lipschitz=Lipschitz({}, None, None),
        density=lambda: (
            np.stack([P, P / 3], axis=-1),
            T,
            stats.norm(P, np.exp(P / 6)).logpdf(T),
        ),
        by_lead=None,
    ),
}
