"""Cases of the overlap losses: probabilities p and labels t of pixels, or two boxes."""

import mpmath as mp
import numpy as np
import torch
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from cases.inputs import every_pair

PREDICTED = [
    [0.0, 0.0, 0.0, 0.0],
    [1.0, 1.0, 0.0, 0.0],
    [1e-30, 0.5, 1 - 2**-53, 0.25],
    [1 - 2**-40, 1.0, 2**-40, 0.0],
    [1e-30, 0.0, 1e-20, 0.0],
]
LABELS = [
    [0.0, 0.0, 0.0, 0.0],
    [1.0, 1.0, 0.0, 0.0],
    [1.0, 1.0, 1.0, 1.0],
    [0.5, 0.25, 0.0, 1e-30],
]
MASKS = every_pair(PREDICTED, LABELS)
MASK = np.array([1.0, 0.0, 1.0])


def sums(p, t, alpha, beta):
    """Hits, and what is wrong, each a list of terms."""
    pairs = list(zip(p, t, strict=True))
    hits = [x * y for x, y in pairs]
    return hits, [alpha * x * (1 - y) + beta * (1 - x) * y for x, y in pairs]


def tversky(p, t, alpha, beta, smooth):
    hits, wrong = map(mp.fsum, sums(p, t, alpha, beta))
    whole = hits + wrong + smooth
    return [wrong / whole if whole else mp.mpf(0)]


def tversky_grad(p, t, alpha, beta, smooth):
    """The quotient rule, in the terms of its numerator."""
    hits, wrong = map(mp.fsum, sums(p, t, alpha, beta))
    right, whole = hits + smooth, hits + wrong + smooth
    if not whole:
        return [[mp.mpf(0)] for _ in p]
    return [
        [
            right * alpha * (1 - y) / whole**2,
            -right * beta * y / whole**2,
            -wrong * y / whole**2,
        ]
        for y in t
    ]


def torch_tversky(p, t, alpha, beta, smooth):
    hits = (p * t).flatten(1).sum(1)
    excess, missed = (p * (1 - t)).flatten(1).sum(1), ((1 - p) * t).flatten(1).sum(1)
    return 1 - (hits + smooth) / (hits + alpha * excess + beta * missed + smooth)


def torch_dice(p, t, smooth):
    both = p.flatten(1).sum(1) + t.flatten(1).sum(1)
    return 1 - (2 * (p * t).flatten(1).sum(1) + smooth) / (both + smooth)


def of_masks(weights, torch_loss, moderate, further, lipschitz):
    """A case of the Tversky family; `weights` turns hyperparameters into alpha, beta and smooth."""
    return Case(
        value=lambda p, t, **options: tversky(p, t, *weights(**options)),
        gradient=lambda p, t, **options: tversky_grad(p, t, *weights(**options)),
        measures=("exact", "terms"),  # what a pixel adds that is right against what is wrong
        torch=built(torch_loss),
        moderate=moderate,
        further=further,
        special=lambda **options: (MASKS,),
        at_infinity=(),
        kinks=(),
        ends=(
            ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
            ([1.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
        ),
        convex=False,
        minimum=Minimum(MASK, MASK[None], np.ones(1), {}),
        lipschitz=lipschitz,
        density=None,
        by_lead=None,
    )


# Boxes: equal, one in the other, crossing, touching at an edge and at a corner, apart, degenerate,
# of extreme sizes.
BOXES = [
    [0.0, 0.0, 2.0, 2.0],
    [1.0, 1.0, 3.0, 3.0],
    [0.5, 0.5, 1.5, 1.5],
    [2.0, 0.0, 4.0, 2.0],
    [2.0, 2.0, 3.0, 3.0],
    [5.0, 7.0, 6.0, 9.0],
    [1.0, 1.0, 1.0, 3.0],
    [1.0, 1.0, 1.0, 1.0],
    [-1e30, 0.0, 1e30, 1e-30],
    [0.0, 0.0, 1e-30, 1e-30],
]


def areas(a, b):
    own, theirs = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    sides = [min(a[n + 2], b[n + 2]) - max(a[n], b[n]) for n in (0, 1)]
    common = max(mp.mpf(0), sides[0]) * max(mp.mpf(0), sides[1])
    outer = [max(a[n + 2], b[n + 2]) - min(a[n], b[n]) for n in (0, 1)]
    return common, own + theirs - common, outer[0] * outer[1], sides, outer


def giou(a, b):
    common, union, around, *_ = areas(a, b)
    overlap = common / union if union else mp.mpf(0)
    return [mp.mpf(1), -overlap, *([mp.mpf(1), -union / around] if around else [])]


def giou_grad(a, b):
    """Each edge's part in its own area, in what is common, and in what is around."""
    common, union, around, sides, outer = areas(a, b)
    if not around:
        return [[mp.mpf(0)] for _ in a]
    slopes = []
    for n in range(4):
        end, axis = divmod(n, 2)
        outwards = 1 if end else -1
        beyond = (1 + mp.sign(outwards * (a[n] - b[n]))) / 2
        of_own = outwards * (a[3 - axis] - a[1 - axis])
        of_common = outwards * (1 - beyond) * sides[1 - axis] if common else mp.mpf(0)
        overlap = common / union**2 if union else mp.mpf(0)
        slopes.append(
            [
                overlap * of_own,
                -of_own / around,
                of_common / around,
                -of_common / union if common else mp.mpf(0),
                -overlap * of_common,
                union / around**2 * outwards * beyond * outer[1 - axis],
            ]
        )
    return slopes


def torch_giou(a, b):
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = torch.relu(high - low).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - common
    outer = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    return 1 - common / union + (outer.prod(-1) - union) / outer.prod(-1)


CASES = {
    "dice": of_masks(
        lambda smooth: (mp.mpf(1) / 2, mp.mpf(1) / 2, smooth / 2),
        torch_dice,
        {"smooth": 0.75},
        ({"smooth": 1e-5},),
        Lipschitz({}, 2, None),
    ),
    "jaccard": of_masks(
        lambda smooth: (1, 1, smooth),
        lambda p, t, smooth: torch_tversky(p, t, 1, 1, smooth),
        {"smooth": 0.75},
        (),
        Lipschitz({}, 1, None),
    ),
    "tversky": of_masks(
        lambda alpha, beta, smooth: (alpha, beta, smooth),
        torch_tversky,
        {"alpha": 0.25, "beta": 0.875, "smooth": 0.75},
        ({"alpha": 0.0, "beta": 1.0}, {"alpha": 2.0, "beta": 0.0}),
        Lipschitz({"alpha": 0.75, "beta": 0.25}, 4, None),
    ),
    "giou": Case(
        value=giou,
        gradient=giou_grad,
        measures=("terms", "terms"),  # 1 against the quotients
        torch=built(torch_giou),
        moderate={},
        further=(),
        special=without_hyperparameters(every_pair(BOXES, BOXES)),
        at_infinity=(),
        kinks=(
            ([0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]),
            # They touch, as if apart: U = C = 2. To move x1 adds as much to U as to C.
            ([0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0], [0.0, 0.0, -0.5, 0.0]),
        ),
        ends=(
            ([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]),
            ([0.0, 0.0, 1.0, 0.0], [3.0, 0.0, 3.0, 1.0], [0.0, 1 / 3, 0.0, -1 / 3]),
        ),
        convex=False,
        minimum=Minimum(
            np.array([0.0, 1.0, 2.0, 5.0]), np.array([[0.0, 1.0, 2.0, 5.0]]), np.ones(1), {}
        ),
        lipschitz=Lipschitz({}, None, None),
        density=None,
        by_lead=None,
    ),
}
