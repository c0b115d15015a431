"""Cases of the distances between distributions: rows of probabilities, or samples a and b."""

import mpmath as mp
import numpy as np
import torch
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from cases.inputs import every_pair
from cases.multiclass import LABEL_ROWS, log_probabilities, rows_and_labels
from torch.nn import functional as F

LOGS = [[-1.0, -2.0, -0.5, -3.0], [0.0, -np.inf, -1e-30, -800.0], [-1e30, -700.0, -40.0, 0.0]]
SAMPLES = [[0.0, 0.0, 1.0, 2.0], [3.0, 2.0, 1.0, 0.0], [1e30, -1e30, 1e-30, 1.0], [2.0] * 4]
# Three samples, each as likely: the medians of the smallest, the middle and the largest numbers are
# 1, 5 and 6.
SEEN, ALIKE = np.array([[0.0, 5.0, 5.0], [7.0, 1.0, 9.0], [4.0, 3.0, 6.0]]), np.full(3, 1 / 3)


def kl_terms(log_p, t):
    pairs = [(log_q, q) for log_q, q in zip(log_p, t, strict=True) if q]
    return [term for log_q, q in pairs for term in (q * mp.log(q), -q * log_q)]


def order(sample):
    """The places of the entries from the smallest to the largest; of equal ones the first first."""
    return sorted(range(len(sample)), key=lambda place: (sample[place], place))


def wasserstein(a, b):
    return [abs(x - y) / len(a) for x, y in zip(sorted(a), sorted(b), strict=True)]


def wasserstein_grad(a, b):
    places, goals, slopes = order(a), sorted(b), [None] * len(a)
    for rank, place in enumerate(places):
        slopes[place] = [mp.sign(a[place] - goals[rank]) / len(a)]
    return slopes


CASES = {
    "kl_divergence": Case(
        value=lambda log_p, t: kl_terms(log_p, t) or [mp.mpf(0)],
        gradient=lambda log_p, t: [[-q] for q in t],
        measures=("terms", "exact"),  # t log t against t log p
        torch=lambda log_p, t, reduction: {
            "none": lambda x: x,
            "mean": torch.mean,
            "sum": torch.sum,
        }[reduction](F.kl_div(log_p, t, reduction="none").sum(dim=-1)),
        moderate={},
        further=(),
        special=without_hyperparameters(every_pair(LOGS, LABEL_ROWS)),
        at_infinity=(([-np.inf, 0.0], [0.0, 1.0], 0.0, [0.0, -1.0]),),
        kinks=(),
        ends=(([-np.inf, 0.0], [0.5, 0.5], [-0.5, -0.5]),),
        convex=True,
        minimum=Minimum(np.log([0.6, 0.3, 0.1]), np.eye(3), np.array([0.6, 0.3, 0.1]), {}),
        lipschitz=Lipschitz({}, 1, None),
        density=lambda: (
            np.log(rows_and_labels()[0]),
            rows_and_labels()[1],
            log_probabilities(),
        ),
        by_lead=None,
    ),
    "wasserstein_1d": Case(
        value=wasserstein,
        gradient=wasserstein_grad,
        measures=("exact", "exact"),
        torch=built(
            lambda a, b: (a.sort(dim=-1).values - b.sort(dim=-1).values).abs().mean(dim=-1)
        ),
        moderate={},
        further=(),
        special=without_hyperparameters(every_pair(SAMPLES, SAMPLES)),
        at_infinity=(([np.inf, 0.0], [0.0, 1.0], np.inf, [0.5, 0.0]),),
        kinks=(
            ([3.0, 1.0], [1.0, 2.0], [0.5, 0.0]),
            ([2.0, 2.0, 2.0], [1.0, 3.0, 2.0], [1 / 3, 0.0, -1 / 3]),
        ),
        ends=(),
        convex=False,
        minimum=Minimum([6.0, 1.0, 5.0], SEEN, ALIKE, {}),
        lipschitz=Lipschitz({}, 1 / np.sqrt(3), None),
        density=None,
        by_lead=None,
    ),
}
