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
        minimiser="A score of 0. Where the label is certain, also every score of its sign.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly.",
        lipschitz="1-Lipschitz in the score.",
        kinks="At margin 0, where $-y$ is chosen, so that zero weights move.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="A score of 0 costs nothing, so scores shrink and no margin is built.",
        conventions=(
            pytorch(
                "F.margin_ranking_loss(p, torch.zeros_like(p), t)",
                note=(
                    "Its `margin` is 0 by default. A single label is silently broadcast to all "
                    "scores."
                ),
                evidence=(
                    "default(F.margin_ranking_loss, 'margin') == 0",
                    "silent(F.margin_ranking_loss, p, 0 * p, t[:1], reduction='none').shape"
                    " == p.shape",
                ),
            ),
            formula("Keras", "keras.ops.relu(-t * p)"),
            estimator(
                'sklearn.linear_model.SGDClassifier(loss="perceptron")',
                note=(
                    "Its default penalty shrinks the weights at each step. `Perceptron` is the "
                    "same without a penalty, at rate 1."
                ),
                evidence=(
                    "default(sklearn.linear_model.SGDClassifier, 'penalty') == 'l2'",
                    "close(sklearn.linear_model.Perceptron().fit(p[:, None], t).coef_,"
                    " sklearn.linear_model.SGDClassifier(loss='perceptron', penalty=None,"
                    " learning_rate='constant', eta0=1, random_state=0).fit(p[:, None], t).coef_)",
                ),
            ),
            optax(
                "optax.losses.perceptron_loss(p, t)",
                note="At score 0 the slope is $-y/2$. Refuses arguments of different shapes.",
                evidence=(
                    "jax.grad(optax.losses.perceptron_loss)(0.0, 1.0) == -0.5",
                    "refuses(optax.losses.perceptron_loss, p, t[:, None])",
                ),
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
        minimiser=(
            "$-1$ or $+1$, whichever label is likelier. At even odds it is every score "
            "between, and where the label is certain, every score beyond."
        ),
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly.",
        lipschitz="1-Lipschitz in the score.",
        kinks="At margin 1, where 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="Its score shows which label is likelier, but not by how much.",
        conventions=(
            pytorch(
                "F.margin_ranking_loss(p, torch.zeros_like(p), t, margin=1)",
                note=(
                    "At margin 1 its slope is $-y$. A single label is silently broadcast to "
                    "all scores. `hinge_embedding_loss` is a different loss."
                ),
                evidence=(
                    "silent(F.margin_ranking_loss, p, 0 * p, t[:1], reduction='none').shape"
                    " == p.shape",
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
                note=(
                    "Where all labels are +1 they are read as -1. "
                    "`SGDClassifier`, of which it is the default, adds `alpha`/2 times the squared "
                    "weights to the mean, without the intercept. "
                    '`LinearSVC(loss="hinge")` multiplies the sum by `C`, and adds half the '
                    "squared weights and half the squared intercept."
                ),
                evidence=(
                    "sklearn.metrics.hinge_loss([1, 1], [0.5, 0.5]) == 1.5",
                    "default(sklearn.linear_model.SGDClassifier, 'loss') == 'hinge'",
                    "close(step(sklearn.linear_model.SGDClassifier(), p, t),"
                    " np.where(t * p < 1, -t, 0))",
                    "(m := sklearn.linear_model.SGDClassifier(alpha=0.5, learning_rate='constant',"
                    " eta0=0.1, shuffle=False, max_iter=1, tol=None).fit([[1.0], [-1.0]], [1, -1],"
                    " coef_init=[[10.0]], intercept_init=[0.5]))"
                    " and close([m.coef_[0, 0], m.intercept_[0]], [10 * 0.95**2, 0.5])",
                    "close(sklearn.svm.LinearSVC(loss='hinge', C=0.25, tol=1e-10)"
                    ".fit([[1.0], [-1.0]], [1, -1]).coef_, [[2 * 0.25]], rel=1e-6)",
                    "close(sklearn.svm.LinearSVC(loss='hinge', C=0.25, tol=1e-10)"
                    ".fit([[0.0]] * 3, [1, 1, -1]).intercept_, [0.25], rel=1e-6)",
                ),
            ),
            optax(
                "optax.losses.hinge_loss(p, t)",
                note="At margin 1 the slope is $-y/2$. Shapes (N,) and (N, 1) broadcast silently.",
                evidence=(
                    "jax.grad(optax.losses.hinge_loss)(1.0, 1.0) == -0.5",
                    "silent(optax.losses.hinge_loss, p, t[:, None]).shape == (len(p), len(p))",
                ),
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
        minimiser=(
            "The mean of $y$, which is the probability of $+1$ minus that of $-1$. Where the "
            "label is certain, also every score beyond."
        ),
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
                note=(
                    "Also the default of `LinearSVC`, which multiplies the sum by `C`, and adds "
                    "half the squared weights and half the squared intercept. "
                    '`loss="modified_huber"` is the same down to margin $-1$, and a line of slope '
                    "$-4$ beyond."
                ),
                evidence=(
                    "default(sklearn.svm.LinearSVC, 'loss') == 'squared_hinge'",
                    "close(sklearn.svm.LinearSVC(C=0.25, tol=1e-10).fit([[1.0], [-1.0]], [1, -1])"
                    ".coef_, [[4 * 0.25 / (1 + 4 * 0.25)]], rel=1e-6)",
                    "close(sklearn.svm.LinearSVC(C=0.25, tol=1e-10).fit([[0.0]] * 3, [1, 1, -1])"
                    ".intercept_, [2 * 0.25 / (1 + 6 * 0.25)], rel=1e-6)",
                    "close(step(sklearn.linear_model.SGDClassifier(loss='modified_huber'), p, t),"
                    " -t * np.clip(2 * (1 - t * p), 0, 4))",
                ),
            ),
            formula(
                "optax",
                "optax.losses.hinge_loss(p, t) ** 2",
                note="Shapes (N,) and (N, 1) broadcast silently.",
                evidence=(
                    "silent(optax.losses.hinge_loss, p, t[:, None]).shape == (len(p), len(p))",
                ),
            ),
        ),
    ),
    "exponential": Card(
        title="Exponential loss",
        chapter=8,
        symbolic=Symbolic(s, y, sp.exp(_margin), product(-1, y, sp.exp(_margin)), domain=_SCORE),
        minimiser="Half the log-odds of label $+1$, infinite where the label is certain.",
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
        minimiser="The log-odds of label $+1$, infinite where the label is certain.",
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
                note=(
                    "Overflows: a margin of -1000 costs infinity instead of 1000. One label alone "
                    "serves for all, silently."
                ),
                evidence=(
                    "F.soft_margin_loss(0 * p - 1000, 0 * t + 1) == math.inf",
                    "silent(F.soft_margin_loss, p, t[:1], reduction='none').shape == p.shape",
                ),
            ),
            keras(
                "keras.losses.BinaryCrossentropy(from_logits=True)((t + 1) / 2, p)",
                note="Takes labels of 0 and 1.",
            ),
            estimator('sklearn.linear_model.SGDClassifier(loss="log_loss")'),
            optax(
                "optax.losses.sigmoid_binary_cross_entropy(p, (t + 1) / 2)",
                note="Takes labels of 0 and 1; shapes (N,) and (N, 1) broadcast silently.",
                evidence=(
                    "silent(optax.losses.sigmoid_binary_cross_entropy, p, t[:, None]).shape"
                    " == (len(p), len(p))",
                ),
            ),
        ),
    ),
}
