r"""Cards of the distances between distributions: rows l = log p and t, or samples a and b."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import formula, pytorch
from lossbook.cards.symbolic import (
    EntryAxis,
    K,
    Ordered,
    Rank,
    cases,
    j,
    k,
    minus,
    n,
    over,
    over_classes,
    product,
    rows,
)

log_p = sp.IndexedBase(r"\ell", real=True)
a, b = (sp.IndexedBase(name, real=True) for name in "ab")
r = sp.Symbol("r", integer=True)

_NONE = formula("scikit-learn", "-", note="No metric or estimator offers it.")

CARDS = {
    "kl_divergence": Card(
        title="Kullback-Leibler divergence",
        chapter=13,
        symbolic=EntryAxis(
            log_p,
            rows,
            over_classes(
                cases((product(rows[k], minus(sp.log(rows[k]), log_p[k])), rows[k] > 0), (0, True))
            ),
            -rows[j],
            domain={log_p: sp.Interval(-sp.oo, 0), rows: "simplex", j: (1, K)},
        ),
        minimiser="The logarithms of the target's mean probabilities, among rows that sum to 1.",
        noise_model="Categorical of probabilities $p$, less the entropy of the target.",
        convexity="Convex in the log-probabilities: it is linear in them.",
        lipschitz="1-Lipschitz in the Euclidean norm of the log-probabilities.",
        kinks="None.",
        stable_form=(
            "A term with $t_k = 0$ is left out, and no logarithm of the prediction is taken."
        ),
        failure="One class that occurs and was given the probability 0 makes it infinite.",
        conventions=(
            pytorch(
                "F.kl_div(p, t, reduction='batchmean')",
                note="`reduction='mean'`, its default, divides by the classes too, and warns.",
                evidence=("close(warned(F.kl_div, p, t), ours().mean() / p.shape[1])",),
            ),
            formula(
                "Keras",
                "keras.ops.sum(t * (keras.ops.log(keras.ops.maximum(t, 1e-300)) - p), axis=-1)",
                class_axis="-1",
                note="`KLDivergence` takes probabilities, and clips both to [1e-7, 1].",
                evidence=(
                    "close(keras.losses.KLDivergence()([[1.0, 0.0]], [[0.0, 1.0]]),"
                    " -math.log(1e-7))",
                ),
            ),
            _NONE,
            formula(
                "optax",
                "optax.losses.kl_divergence(p, t)",
                class_axis="-1",
                note="Where $t_k = 0$ meets a log-probability of minus infinity it is NaN.",
                evidence=(
                    "jnp.isnan(optax.losses.kl_divergence(jnp.asarray([0.0, -jnp.inf]),"
                    " jnp.asarray([1.0, 0.0])))",
                ),
            ),
        ),
    ),
    "wasserstein_1d": Card(
        title="Wasserstein-1 distance",
        chapter=13,
        symbolic=EntryAxis(
            a,
            b,
            over(sp.Abs(minus(Ordered(a, k, n), Ordered(b, k, n))), n) / n,
            sp.sign(minus(a[j], Ordered(b, r, n))) / n,
            domain={a: sp.Reals, b: sp.Reals, j: (1, n)},
            where={r: Rank(a, j, n)},
            size=n,
        ),
        minimiser="The median of the target's smallest entries, of its second smallest, and so on.",
        noise_model="None: it compares two samples, not a prediction with an outcome.",
        convexity=(
            "Not convex: two orders of a sample fit alike, and what lies between them does not."
        ),
        lipschitz=r"$1/\sqrt n$-Lipschitz in the Euclidean norm of the $n$ entries.",
        kinks=(
            "Where an entry is at its place, where 0 is chosen; where entries tie, the first "
            "counts as the smaller."
        ),
        stable_form="Each gap is divided by $n$ before they are added: only the result overflows.",
        failure=(
            "It does not see which entry belongs to which: a prediction in any order costs as much."
        ),
        conventions=(
            formula(
                "PyTorch", "(p.sort(dim=-1).values - t.sort(dim=-1).values).abs().mean(dim=-1)"
            ),
            formula(
                "Keras",
                "keras.ops.mean(keras.ops.abs(keras.ops.sort(p) - keras.ops.sort(t)), axis=-1)",
            ),
            _NONE,
            formula("optax", "jnp.abs(jnp.sort(p) - jnp.sort(t)).mean(axis=-1)"),
        ),
    ),
}
