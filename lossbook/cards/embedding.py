"""Cards of the embedding losses: points of D coordinates, or batches of n of them."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import formula
from lossbook.cards.symbolic import (
    BatchAxes,
    D,
    EntryAxis,
    cases,
    i,
    j,
    k,
    minus,
    n,
    over,
    product,
)

a, b, p, x = (sp.IndexedBase(name, real=True) for name in ("a", "b", "p", "n"))
m = sp.Symbol("m", positive=True)
s, d, d_p, d_n, e = sp.symbols("s d d_p d_n e", real=True)
tau = sp.Symbol("tau", positive=True)
queries, keys = sp.IndexedBase("q", real=True), sp.IndexedBase("k", real=True)
chosen, products = sp.IndexedBase("P", real=True), sp.IndexedBase("z", real=True)
c, l = sp.symbols("c l", integer=True)  # noqa: E741

_POSITIVE = sp.Interval.open(0, sp.oo)
_POINTS = {j: (1, D)}


def _distance(first, second):
    return sp.sqrt(over(minus(first[k], second[k]) ** 2, D))


def _where_violated(slope):
    """A slope of the triplet loss; 0 where the margin is kept."""
    return cases((product(1 + e, slope), _gap > 0), (0, True))


# Distances are squared where e = 1, and taken as they are where e = 0.
_gap = sp.Add(d_p ** (1 + e), -(d_n ** (1 + e)), m, evaluate=False)

# The unit vector from b to a; 0 where the two are equal.
u = sp.IndexedBase("u", real=True)
# Differences where e = 1, unit vectors where e = 0.
_to_p, _to_n = (a[j] - p[j]) * d_p ** (e - 1), (a[j] - x[j]) * d_n ** (e - 1)
_push = 2 * (1 - s) * sp.Max(0, m - d) * u[j]
_pull = 2 * s * (a[j] - b[j])
_by_product = minus(chosen[i, j], sp.KroneckerDelta(i, j)) / tau
_NONE = formula("scikit-learn", "-", note="No metric or estimator offers it.")

CARDS = {
    "contrastive": Card(
        title="Contrastive loss",
        chapter=11,
        symbolic=EntryAxis(
            (a, b),
            s,
            sp.Add(product(s, d**2), product(1 - s, sp.Max(0, minus(m, d)) ** 2), evaluate=False),
            (minus(_pull, _push), minus(_push, _pull)),
            hyperparameters={"margin": m},
            domain=_POINTS | {a: sp.Reals, b: sp.Reals, s: sp.FiniteSet(0, 1), m: _POSITIVE},
            where={u[k]: cases(((a[k] - b[k]) / d, d > 0), (0, True)), d: _distance(a, b)},
            size=D,
        ),
        minimiser="Equal points if they belong together, else any two at least $m$ apart.",
        noise_model="None: points at least $m$ apart all cost 0, so that no density is left.",
        convexity=(
            "Not convex in the points: those that do not belong together cost most where equal."
        ),
        lipschitz=(
            "Not Lipschitz: of points that belong together the slope grows with the distance."
        ),
        kinks="At $d = 0$ of points that do not belong together, where 0 is chosen.",
        stable_form=(
            "Differences are divided by the largest before they are squared: the distance does not "
            "overflow early."
        ),
        failure="Equal points that do not belong together have the slope 0, and never part.",
        conventions=(
            formula(
                "PyTorch",
                "u * (d := F.pairwise_distance(p, t, eps=0)) ** 2"
                " + (1 - u) * F.relu(margin - d) ** 2",
                note="`pairwise_distance` adds 1e-6 to each difference by default.",
                evidence=("close(F.pairwise_distance(p, p), 0 * w + 1e-6 * p.shape[1] ** 0.5)",),
            ),
            formula(
                "Keras",
                "u * (d := keras.ops.norm(p - t, axis=-1)) ** 2"
                " + (1 - u) * keras.ops.relu(margin - d) ** 2",
            ),
            _NONE,
            formula(
                "optax",
                "u * (d := jnp.linalg.norm(p - t, axis=-1)) ** 2"
                " + (1 - u) * jnp.maximum(0, margin - d) ** 2",
            ),
        ),
    ),
    "triplet": Card(
        title="Triplet loss",
        chapter=11,
        symbolic=EntryAxis(
            (a, p, x),
            None,
            sp.Max(0, _gap),
            (
                _where_violated(minus(_to_p, _to_n)),
                _where_violated(-_to_p),
                _where_violated(_to_n),
            ),
            hyperparameters={"margin": m, "squared": e},
            domain=_POINTS
            | dict.fromkeys((a, p, x), sp.Reals)
            | {m: _POSITIVE, e: sp.FiniteSet(0, 1)},
            where={d_p: _distance(a, p), d_n: _distance(a, x)},
            size=D,
        ),
        minimiser="Any triplet whose positive is nearer than its negative by the margin.",
        noise_model="None: all triplets that keep the margin cost 0, so that no density is left.",
        convexity="Not convex in the points.",
        lipschitz=(
            r"Not Lipschitz where distances are squared ($e = 1$); unsquared it is, with the "
            r"constant $\sqrt6$."
        ),
        kinks=(
            "Exactly at the margin, where 0 is chosen; unsquared ($e = 0$) also at a distance of "
            "0, whose unit vector counts as 0."
        ),
        stable_form=(
            "Distances are compared first, then $m$ is added: it is not lost in large ones."
        ),
        failure=(
            "If all points fall together, the loss is the margin, the slope is 0, and nothing "
            "moves."
        ),
        conventions=(
            formula(
                "PyTorch",
                "F.relu((p - t).square().sum(-1) - (p - u).square().sum(-1) + margin)",
                note=(
                    "`triplet_margin_loss` takes distances unsquared, margin 1, and adds 1e-6 to "
                    "each difference."
                ),
                evidence=(
                    "close(F.triplet_margin_loss(p, t, u, eps=0, reduction='none'),"
                    " ours(margin=1.0, squared=False))",
                    "default(F.triplet_margin_loss, 'margin') == 1",
                    "default(F.triplet_margin_loss, 'eps') == 1e-6",
                ),
            ),
            formula(
                "Keras",
                "keras.ops.relu(keras.ops.sum((p - t) ** 2 - (p - u) ** 2, axis=-1) + margin)",
            ),
            _NONE,
            formula(
                "optax",
                "jnp.maximum(0, ((p - t) ** 2 - (p - u) ** 2).sum(axis=-1) + margin)",
                note="`triplet_margin_loss` takes distances unsquared, and margin 1.",
                evidence=(
                    "close(optax.losses.triplet_margin_loss(p, t, u, eps=0.0),"
                    " ours(margin=1.0, squared=False))",
                ),
            ),
        ),
    ),
    "info_nce": Card(
        title="InfoNCE",
        chapter=11,
        symbolic=BatchAxes(
            (queries, keys),
            None,
            product(-1, sp.log(chosen[i, i])),
            (
                sp.Sum(product(_by_product, keys[j, c]), (j, 1, n)),
                sp.Sum(product(_by_product, queries[i, c]), (i, 1, n)),
            ),
            hyperparameters={"temperature": tau},
            domain={
                queries: sp.Reals,
                keys: sp.Reals,
                **dict.fromkeys((i, j), (1, n)),
                c: (1, D),
                tau: _POSITIVE,
            },
            where={
                chosen[i, j]: sp.exp(products[i, j]) / sp.Sum(sp.exp(products[i, l]), (l, 1, n)),
                products[i, j]: sp.Sum(product(queries[i, c], keys[j, c]), (c, 1, D)) / tau,
            },
            places=((i, c), (j, c)),
        ),
        minimiser="None that is finite: the more each query's own key leads, the lower.",
        noise_model="None: points have no density here; which key is chosen is categorical.",
        convexity="Not convex in both at once, but in the queries alone and in the keys alone.",
        lipschitz=(
            "Not Lipschitz: the slope by the queries, that of the sum of all values, grows with "
            "the keys."
        ),
        kinks="None.",
        stable_form=(
            "The largest product is taken out of the log-sum-exp, and $1 - P_{ii}$ is summed from "
            "the other keys."
        ),
        failure="In a batch of one there is nothing to choose from: loss and slope are 0.",
        conventions=(
            formula(
                "PyTorch",
                "F.cross_entropy(p @ t.T / temperature, torch.arange(len(p)))",
                reduction="mean",
            ),
            formula(
                "Keras",
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True)("
                "keras.ops.arange(len(p)), p @ keras.ops.transpose(t) / temperature)",
                reduction="sum_over_batch_size",
            ),
            _NONE,
            formula(
                "optax",
                "optax.losses.softmax_cross_entropy_with_integer_labels("
                "p @ t.T / temperature, jnp.arange(len(p)))",
                note="`ntxent` is another: of cosines, with groups of points in place of pairs.",
                evidence=(
                    "close(optax.losses.ntxent(p, jnp.arange(len(p)) // 2),"
                    " optax.losses.ntxent(2 * p, jnp.arange(len(p)) // 2))",
                ),
            ),
        ),
    ),
}
