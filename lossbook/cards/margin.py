"""Cards of the margin losses: a score s, a label y of -1 or +1, the margin y s."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import estimator, formula, keras, metric, optax, pytorch
from lossbook.cards.symbolic import Symbolic, cases, product

s, y = sp.symbols("s y", real=True)

_margin = product(-1, y, s)
_SCORE = {s: sp.Reals, y: sp.FiniteSet(-1, 1)}

CARDS = {
    "perceptron": Card(
        title="Perceptron loss",
        chapter=8,
        symbolic=Symbolic(
            s, y, sp.Max(0, _margin), cases((-y, product(y, s) <= 0), (0, True)), domain=_SCORE
        ),
        minimiser="A score of 0, or of the right sign where the label is certain.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly.",
        lipschitz="1-Lipschitz in the score.",
        kinks="At margin 0, where $-y$ is chosen, so that zero weights move.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="A score of 0 costs nothing, so scores shrink and no margin is built.",
        conventions=(
            pytorch(
                "F.margin_ranking_loss(p, torch.zeros_like(p), t)",
                note="Its `margin` is 0 by default.",
                evidence=("default(F.margin_ranking_loss, 'margin') == 0",),
            ),
            formula("Keras", "keras.ops.relu(-t * p)"),
            estimator('sklearn.linear_model.SGDClassifier(loss="perceptron")'),
            optax(
                "optax.losses.perceptron_loss(p, t)",
                note="At score 0 the slope is $-y/2$.",
                evidence=("jax.grad(optax.losses.perceptron_loss)(0.0, 1.0) == -0.5",),
            ),
        ),
    ),
    "hinge": Card(
        title="Hinge loss",
        chapter=8,
        symbolic=Symbolic(
            s,
            y,
            sp.Max(0, sp.Add(1, _margin, evaluate=False)),
            cases((-y, product(y, s) < 1), (0, True)),
            domain=_SCORE,
        ),
        minimiser="The likelier label, $-1$ or $+1$, as the score.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly.",
        lipschitz="1-Lipschitz in the score.",
        kinks="At margin 1, where 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="Its score shows which label is likelier, but not by how much.",
        conventions=(
            pytorch(
                "F.margin_ranking_loss(p, torch.zeros_like(p), t, margin=1)",
                note="At margin 1 its slope is $-y$. `hinge_embedding_loss` is another loss.",
                evidence=(
                    "torch.func.grad(lambda s: F.margin_ranking_loss(s, 0 * s, 0 * s + 1,"
                    " margin=1))(torch.tensor(1.0)) == -1",
                    "not close(F.hinge_embedding_loss(p, t, reduction='none'), ours())",
                ),
            ),
            keras(
                "keras.losses.Hinge()(t, p)",
                note="Labels that are all 0 or 1 are read as -1 and +1.",
                evidence=("close(keras.losses.Hinge()((t + 1) / 2, p), ours().mean())",),
            ),
            metric(
                "sklearn.metrics.hinge_loss(t, p)",
                note="Where all labels are +1 they are read as -1.",
                evidence=("sklearn.metrics.hinge_loss([1, 1], [0.5, 0.5]) == 1.5",),
            ),
            optax(
                "optax.losses.hinge_loss(p, t)",
                note="At margin 1 the slope is $-y/2$.",
                evidence=("jax.grad(optax.losses.hinge_loss)(1.0, 1.0) == -0.5",),
            ),
        ),
    ),
    "squared_hinge": Card(
        title="Squared hinge loss",
        chapter=8,
        symbolic=Symbolic(
            s,
            y,
            sp.Max(0, sp.Add(1, _margin, evaluate=False)) ** 2,
            product(-2, y, sp.Max(0, sp.Add(1, _margin, evaluate=False))),
            domain=_SCORE,
        ),
        minimiser="The mean of $y$: the probability of $+1$ less that of $-1$.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly: flat beyond margin 1.",
        lipschitz="Not Lipschitz; the gradient is 2-Lipschitz.",
        kinks="None; the second derivative jumps at margin 1.",
        stable_form="Clipped at 0 before squaring, so that a wide margin costs exactly nothing.",
        failure="A wrong label far on the other side outweighs many right ones.",
        conventions=(
            formula("PyTorch", "torch.relu(1 - t * p) ** 2"),
            keras(
                "keras.losses.SquaredHinge()(t, p)",
                note="Labels that are all 0 or 1 are read as -1 and +1.",
                evidence=("close(keras.losses.SquaredHinge()((t + 1) / 2, p), ours().mean())",),
            ),
            estimator(
                'sklearn.linear_model.SGDClassifier(loss="squared_hinge")',
                note="Also the default of `LinearSVC`.",
                evidence=("default(sklearn.svm.LinearSVC, 'loss') == 'squared_hinge'",),
            ),
            formula("optax", "optax.losses.hinge_loss(p, t) ** 2"),
        ),
    ),
    "exponential": Card(
        title="Exponential loss",
        chapter=8,
        symbolic=Symbolic(s, y, sp.exp(_margin), product(-1, y, sp.exp(_margin)), domain=_SCORE),
        minimiser="Half the log-odds of label $+1$.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Strictly convex in the score.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form="As it stands; it overflows past a margin of $-709$ in float64.",
        failure="One wrong label takes nearly all the weight.",
        conventions=(
            formula("PyTorch", "torch.exp(-t * p)"),
            formula("Keras", "keras.ops.exp(-t * p)"),
            estimator(
                'sklearn.ensemble.GradientBoostingClassifier(loss="exponential")',
                reduction="mean",
                weighted_mean="sum of weights",
                note="`train_score_` holds the mean over the scores of `decision_function`.",
            ),
            formula("optax", "jnp.exp(-t * p)"),
        ),
    ),
    "logistic": Card(
        title="Logistic loss",
        chapter=8,
        symbolic=Symbolic(
            s, y, sp.log(1 + sp.exp(_margin)), -y / (1 + sp.exp(product(y, s))), domain=_SCORE
        ),
        minimiser="The log-odds of label $+1$.",
        noise_model=r"Bernoulli: label $y$ has probability $\sigma(y s)$.",
        convexity="Strictly convex in the score.",
        lipschitz="1-Lipschitz in the score; the gradient is $1/4$-Lipschitz.",
        kinks="None.",
        stable_form="Softplus of $-m$ by `logaddexp`: $e^{-m}$ alone is never computed.",
        failure=(
            "Where the labels can be separated, no score is large enough: weights grow without end."
        ),
        conventions=(
            pytorch(
                "F.soft_margin_loss(p, t)",
                note="Overflows: a margin of -1000 costs infinity instead of 1000.",
                evidence=("F.soft_margin_loss(0 * p - 1000, 0 * t + 1) == math.inf",),
            ),
            keras(
                "keras.losses.BinaryCrossentropy(from_logits=True)((t + 1) / 2, p)",
                note="Takes labels of 0 and 1.",
            ),
            estimator('sklearn.linear_model.SGDClassifier(loss="log_loss")'),
            optax(
                "optax.losses.sigmoid_binary_cross_entropy(p, (t + 1) / 2)",
                note="Takes labels of 0 and 1.",
            ),
        ),
    ),
}
