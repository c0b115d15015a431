"""Cards of the penalties: parameters w, of which there are n."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import formula, keras
from lossbook.cards.symbolic import EntryAxis, j, k, n, over

w = sp.IndexedBase("w", real=True)

_PARAMETERS = {w: sp.Reals, j: (1, n)}
_OF_ESTIMATORS = formula(
    "scikit-learn",
    "-",
    note="Options of estimators, such as `alpha` of `Lasso`, `Ridge` and `SGDClassifier`.",
    evidence=(
        "default(sklearn.linear_model.SGDClassifier, 'penalty') == 'l2'",
        "default(sklearn.linear_model.SGDClassifier, 'alpha') == 1e-4",
    ),
)

CARDS = {
    "l1": Card(
        title="L1 penalty",
        chapter=10,
        symbolic=EntryAxis(
            w,
            None,
            over(sp.Abs(w[k]), n),
            sp.sign(w[j]),
            domain=_PARAMETERS,
            size=n,
            first_axis=0,
        ),
        minimiser="Parameters of 0.",
        noise_model="Prior of each parameter: Laplace of scale 1.",
        convexity="Convex in the parameters, not strictly.",
        lipschitz=r"$\sqrt n$-Lipschitz in the Euclidean norm of the $n$ parameters.",
        kinks="At $w_j = 0$, where 0 is chosen.",
        stable_form="As it stands: nothing overflows early or cancels.",
        failure=(
            "Plain gradient steps go back and forth across 0, and no parameter becomes exactly 0."
        ),
        conventions=(
            formula("PyTorch", "p.abs().sum()"),
            keras("keras.regularizers.L1(1.0)(p)", reduction="sum", weights=""),
            _OF_ESTIMATORS,
            formula("optax", "jnp.abs(p).sum()"),
        ),
    ),
    "l2": Card(
        title="L2 penalty",
        chapter=10,
        symbolic=EntryAxis(
            w,
            None,
            over(w[k] ** 2, n) / 2,
            w[j],
            domain=_PARAMETERS,
            size=n,
            first_axis=0,
        ),
        minimiser="Parameters of 0.",
        noise_model="Prior of each parameter: Gaussian of variance 1.",
        convexity="Strictly convex in the parameters.",
        lipschitz="Not Lipschitz; the gradient is 1-Lipschitz.",
        kinks="None.",
        stable_form=(
            "One factor is halved before they are multiplied, so that only the result overflows."
        ),
        failure="It shrinks small parameters less and less, and no parameter becomes exactly 0.",
        conventions=(
            formula("PyTorch", "p.square().sum() / 2"),
            keras(
                "keras.regularizers.L2(1.0)(p)",
                reduction="sum",
                weights="",
                theirs="2 * ours",
                note="Without the factor 1/2.",
                evidence=(
                    "keras.regularizers.L2(1.0)(keras.ops.convert_to_tensor([3.0, 1.0])) == 10",
                ),
            ),
            _OF_ESTIMATORS,
            formula("optax", "optax.losses.l2_loss(p).sum()"),
        ),
    ),
}
