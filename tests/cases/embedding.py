"""Cases of the embedding losses: points a and b, or triplets, or batches of queries and keys."""

import mpmath as mp
import numpy as np
import torch
from cases.case import Case, Lipschitz, Minimum, built, without_hyperparameters
from cases.exact import minus_log_softmax, softmax, softmax_complement
from torch.nn import functional as F

POINTS = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.5, -0.25, 0.125],
        [1.0, 0.0, 0.0],
        [1e-30, 0.0, 0.0],
        [1e30, 1.0, -1e30],
        [3e-200, 4e-200, 0.0],
    ]
)
FIRST, SECOND = (np.repeat(POINTS, 6, axis=0), np.tile(POINTS, (6, 1)))
PAIRS = (
    np.concatenate([FIRST, FIRST]),
    np.concatenate([SECOND, SECOND]),
    np.repeat([0.0, 1.0], len(FIRST)),
)
TRIPLETS = tuple(
    POINTS[np.array(places)]
    for places in zip(
        *[(i, j, k) for i in range(4) for j in range(4) for k in range(4)], strict=True
    )
)
BATCHES = (
    np.array([[[40.0, 0.0], [0.0, 40.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [-2.0, 1.0]]]),
    np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]], [[30.0, 1.0], [2.0, -5.0]]]),
)


def apart(a, b):
    return [x - y for x, y in zip(a, b, strict=True)]


def square(x):
    return mp.fsum(y**2 for y in x)


def contrastive(a, b, same, margin):
    distance = mp.sqrt(square(apart(a, b)))
    if same or distance >= margin:
        return [square(apart(a, b)) if same else mp.mpf(0)]
    return [margin**2, -2 * margin * distance, distance**2]


def contrastive_grad(a, b, same, margin):
    gaps = apart(a, b)
    distance = mp.sqrt(square(gaps))
    if same:
        by_a = [[2 * x] for x in gaps]
    elif 0 < distance < margin:
        by_a = [[-2 * margin * x / distance, 2 * x] for x in gaps]
    else:
        by_a = [[mp.mpf(0)] for x in gaps]
    return by_a + [[-x for x in terms] for terms in by_a]


def triplet(anchor, positive, negative, margin, squared):
    near, far = square(apart(anchor, positive)), square(apart(anchor, negative))
    terms = [margin, near, -far] if squared else [margin, mp.sqrt(near), -mp.sqrt(far)]
    gap = mp.fsum(terms)
    return terms if gap > 0 else [*terms, -gap]


def triplet_grad(anchor, positive, negative, margin, squared):
    terms = triplet(anchor, positive, negative, margin, squared)
    if abs(mp.fsum(terms[:3])) < 1e-6 * mp.fsum(map(abs, terms[:3])):
        return [None] * 3 * len(anchor)
    if mp.fsum(terms[:3]) <= 0:
        return [[mp.mpf(0)] for _ in range(3 * len(anchor))]

    def slopes(gaps):
        length = mp.sqrt(square(gaps))
        factor = 2 if squared else 1 / length if length else 0
        return [factor * x for x in gaps]

    near, far = slopes(apart(anchor, positive)), slopes(apart(anchor, negative))
    by_anchor = [[x, -y] for x, y in zip(near, far, strict=True)]
    return by_anchor + [[-x] for x in near] + [[x] for x in far]


def torch_triplet(anchor, positive, negative, margin, squared):
    if squared:
        near, far = ((anchor - x).square().sum(-1) for x in (positive, negative))
        return F.relu(near - far + margin)
    return F.triplet_margin_loss(anchor, positive, negative, margin, eps=0, reduction="none")


def products(queries, keys, temperature):
    return [
        [mp.fsum(x * y for x, y in zip(q, k, strict=True)) / temperature for k in keys]
        for q in queries
    ]


def info_nce(queries, keys, temperature):
    """For each query the terms: its loss, and the sizes of what its products are added up of."""
    values = []
    for n, row in enumerate(products(queries, keys, temperature)):
        sizes = [abs(x * y) / temperature for k in keys for x, y in zip(queries[n], k, strict=True)]
        largest = max(sizes)
        values.append([minus_log_softmax(row, n), largest, -largest])
    return values


def info_nce_grad(queries, keys, temperature):
    rows, count = products(queries, keys, temperature), len(queries)
    # A power is as far off, relatively, as its exponent is absolutely: by the rounding of the
    # largest of the products that it is added up of.
    largest = [
        max(abs(x * y) / temperature for k in keys for x, y in zip(q, k, strict=True))
        for q in queries
    ]

    def slope(n, m, other):
        own = -softmax_complement(rows[n], n) if n == m else softmax(rows[n], m)
        exact = own * other / temperature
        return [exact * (1 + largest[n]), -exact * largest[n]]

    dimension = range(len(queries[0]))
    by_queries = [
        [x for m in range(count) for x in slope(n, m, keys[m][d])]
        for n in range(count)
        for d in dimension
    ]
    by_keys = [
        [x for n in range(count) for x in slope(n, m, queries[n][d])]
        for m in range(count)
        for d in dimension
    ]
    return by_queries + by_keys


def torch_info_nce(queries, keys, temperature):
    z = queries @ keys.transpose(-1, -2) / temperature
    labels = torch.arange(z.shape[-1]).expand(z.shape[:-1])
    return F.cross_entropy(z.flatten(0, -2), labels.flatten(), reduction="none").reshape(
        labels.shape
    )


def torch_contrastive(a, b, same, margin):
    distance = torch.linalg.vector_norm(a - b, dim=-1)
    return same * distance**2 + (1 - same) * F.relu(margin - distance) ** 2


CASES = {
    "contrastive": Case(
        value=contrastive,
        gradient=contrastive_grad,
        measures=("terms", "terms"),  # the margin against the distance
        torch=built(torch_contrastive),
        moderate={"margin": 2.5},
        further=({"margin": 0.25},),
        special=without_hyperparameters(PAIRS),
        at_infinity=(),
        kinks=(
            ([1.0, 2.0], [1.0, 2.0], 0.0, [0.0, 0.0, 0.0, 0.0]),
            ([1.0, 2.0], [1.0, 2.0], 1.0, [0.0, 0.0, 0.0, 0.0]),
            ([1.0, 0.0], [0.0, 0.0], 0.0, [0.0, 0.0, 0.0, 0.0]),
        ),
        ends=(),
        convex=False,
        minimum=Minimum(([1.0, 2.0], [1.0, 2.0]), np.ones(1), np.ones(1), {}),
        lipschitz=Lipschitz({}, None, None),
        density=None,
        by_lead=None,
    ),
    "triplet": Case(
        value=triplet,
        gradient=triplet_grad,
        measures=("terms", "terms"),  # near against far
        torch=built(torch_triplet),
        moderate={"margin": 2.5, "squared": False},
        further=({"margin": 3.0}, {"squared": False}),
        special=without_hyperparameters(TRIPLETS),
        at_infinity=(),
        # Of three equal points neither distance has a direction.
        kinks=(([1.0], [1.0], [1.0], [0.0, 0.0, 0.0]),),
        ends=(),
        convex=False,
        minimum=Minimum(([0.0, 0.0], [0.5, 0.0], [0.0, 2.0]), None, None, {}),
        lipschitz=Lipschitz({}, None, None),
        density=None,
        by_lead=None,
    ),
    "info_nce": Case(
        value=info_nce,
        gradient=info_nce_grad,
        measures=("terms", "terms"),  # sums of products
        torch=built(torch_info_nce),
        moderate={"temperature": 1.5},
        further=(),
        special=without_hyperparameters(BATCHES),
        at_infinity=(),
        kinks=(),
        ends=(),
        convex=False,
        minimum=None,
        lipschitz=Lipschitz({}, None, None),
        density=None,
        by_lead=None,
    ),
}
