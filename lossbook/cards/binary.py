"""Cards of the binary losses: a probability p or a logit z, a label y."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import formula, keras, metric, optax, pytorch
from lossbook.cards.symbolic import Symbolic, cases, minus, product

p, z, y, p_y = sp.symbols("p z y p_y", real=True)
alpha, alpha_y, gamma = sp.symbols("alpha alpha_y gamma", real=True)
w = sp.Symbol("w", positive=True)

_PROBABILITY = {p: sp.Interval.open(0, 1), y: sp.Interval(0, 1)}
_LOGIT = {z: sp.Reals, y: sp.Interval(0, 1)}
_POSITIVE = sp.Interval.open(0, sp.oo)

CARDS = {
    "binary_cross_entropy": Card(
        title="Binary cross-entropy",
        chapter=6,
        symbolic=Symbolic(
            p,
            y,
            minus(product(-1, y, sp.log(p)), product(1 - y, sp.log(1 - p))),
            (p - y) / (p * (1 - p)),
            domain=_PROBABILITY,
        ),
        minimiser="The probability of label 1.",
        noise_model="Bernoulli of probability $p$.",
        convexity="Strictly convex in the probability.",
        lipschitz="Not Lipschitz: the slope has no bound towards $p = 0$ and $p = 1$.",
        kinks=(
            "None inside. At $p = y = 0$ and $p = y = 1$ the one-sided slopes, 1 and $-1$, are "
            "used."
        ),
        stable_form=(
            r"$\log(1 - p)$ is `log1p(-p)`, a term of weight 0 is left out, and nothing is "
            "clipped."
        ),
        failure=(
            "If a probability is rounded to 0 or 1 and is wrong, the loss is infinite. Train "
            "on logits."
        ),
        conventions=(
            pytorch(
                "F.binary_cross_entropy(p, t)",
                weights="weight=w",
                weighted_mean="number of values",
                note="Logarithms stop at -100: a certain and wrong prediction costs 100.",
                evidence=("F.binary_cross_entropy(torch.zeros(1), torch.ones(1)) == 100",),
            ),
            keras(
                "keras.losses.BinaryCrossentropy()(t, p)",
                note="Clips to [1e-7, 1 - 1e-7]; `label_smoothing` pulls labels towards 1/2.",
                evidence=(
                    "close(keras.losses.BinaryCrossentropy()(0 * t + 1, 0 * p), -math.log(1e-7))",
                    "close(keras.losses.BinaryCrossentropy(label_smoothing=0.2)(t, p),"
                    " keras.losses.BinaryCrossentropy()(0.8 * t + 0.2 / 2, p))",
                ),
            ),
            metric(
                "sklearn.metrics.log_loss(t, p, labels=[0, 1])",
                note=(
                    "Labels must be 0 or 1, and without `labels=` both must occur. Clips by "
                    "the machine epsilon of the dtype."
                ),
                evidence=(
                    "refuses(sklearn.metrics.log_loss, p, p, labels=[0, 1])",
                    "refuses(sklearn.metrics.log_loss, [1, 1], [0.2, 0.3])",
                    "close(sklearn.metrics.log_loss([1, 0], np.array([0.0, 1.0])),"
                    " -np.log(np.finfo('float64').eps))",
                    "close(sklearn.metrics.log_loss([1, 0], np.array([0, 1], 'float32')),"
                    " -np.log(np.finfo('float32').eps), rel=1e-6)",
                ),
            ),
            formula(
                "optax",
                "optax.losses.sigmoid_binary_cross_entropy(jax.scipy.special.logit(p), t)",
                note="Only from logits.",
            ),
        ),
    ),
    "sigmoid_binary_cross_entropy": Card(
        title="Binary cross-entropy of logits",
        chapter=6,
        symbolic=Symbolic(
            z,
            y,
            sp.Add(
                product(w, y, sp.log(1 + sp.exp(-z))),
                product(1 - y, sp.log(1 + sp.exp(z))),
                evaluate=False,
            ),
            minus((1 - y) / (1 + sp.exp(-z)), product(w, y, 1 / (1 + sp.exp(z)))),
            hyperparameters={"pos_weight": w},
            domain=_LOGIT | {w: _POSITIVE},
        ),
        minimiser=(
            r"The log-odds of label 1, plus $\log w$ if label 1 is weighted by $w$; infinite where "
            "the label is certain."
        ),
        noise_model=r"Bernoulli of probability $\sigma(z)$, at $w = 1$.",
        convexity="Strictly convex in the logit.",
        lipschitz=r"$\max(1, w)$-Lipschitz in the logit; the gradient is $\max(1, w)/4$-Lipschitz.",
        kinks="None.",
        stable_form=(
            r"Softplus of $\pm z$ by `logaddexp`: neither $e^z$ nor $\log 0$ is ever computed."
        ),
        failure=(
            "Where the classes can be separated, no logit is large enough, and the weights "
            "grow indefinitely."
        ),
        conventions=(
            pytorch(
                "F.binary_cross_entropy_with_logits(p, t, pos_weight=torch.tensor(pos_weight))",
                weights="weight=w",
                weighted_mean="number of values",
                note="`pos_weight` must be a tensor.",
                evidence=("refuses(F.binary_cross_entropy_with_logits, p, t, pos_weight=2.0)",),
            ),
            keras(
                "keras.losses.BinaryCrossentropy(from_logits=True)(t, p)",
                note="`from_logits=False`, the default, clips logits like probabilities.",
                evidence=(
                    "default(keras.losses.BinaryCrossentropy, 'from_logits') is False",
                    "close(keras.losses.BinaryCrossentropy()(t, p),"
                    " keras.losses.BinaryCrossentropy()(t, keras.ops.clip(p, 1e-7, 1 - 1e-7)))",
                ),
            ),
            metric(
                "sklearn.metrics.log_loss(t, special.expit(p), labels=[0, 1])",
                note="Takes probabilities, and labels of 0 and 1 only. It has no `pos_weight`.",
                evidence=(
                    "refuses(sklearn.metrics.log_loss, t, p, labels=[0, 1])",
                    "refuses(sklearn.metrics.log_loss, special.expit(p), special.expit(p))",
                    "refuses(sklearn.metrics.log_loss, t, special.expit(p), pos_weight=2.0)",
                ),
            ),
            optax(
                "optax.losses.sigmoid_binary_cross_entropy(p, t)",
                note="No `pos_weight`; shapes (N,) and (N, 1) broadcast silently.",
                evidence=(
                    "refuses(optax.losses.sigmoid_binary_cross_entropy, p, t, pos_weight=2.0)",
                    "silent(optax.losses.sigmoid_binary_cross_entropy, p, t[:, None]).shape"
                    " == (len(p), len(p))",
                ),
            ),
        ),
    ),
    "sigmoid_focal": Card(
        title="Focal loss",
        chapter=9,
        symbolic=Symbolic(
            z,
            y,
            product(-1, alpha_y, (1 - p_y) ** gamma, sp.log(p_y)),
            product(
                -1,
                minus(2 * y, 1),
                alpha_y,
                (1 - p_y) ** gamma,
                sp.Add(1, -p_y, product(-1, gamma, p_y, sp.log(p_y)), evaluate=False),
            ),
            hyperparameters={"gamma": gamma, "alpha": alpha},
            domain={
                z: sp.Reals,
                y: sp.FiniteSet(0, 1),
                gamma: sp.Interval(0, sp.oo),
                alpha: sp.Interval(0, 1),
            },
            where={
                p_y: 1 / (1 + sp.exp(product(-1, minus(2 * y, 1), z))),
                alpha_y: cases((alpha, sp.Eq(y, 1)), (1 - alpha, True)),
            },
        ),
        minimiser=(
            r"Without `alpha`, log-odds of the right sign. For $\gamma > 0$ they are nearer to "
            "0 than the true ones, unless those are 0 or infinite."
        ),
        noise_model=(
            r"None for $\gamma > 0$: $e^{-\text{loss}}$ does not sum to a constant over the two "
            r"labels; at $\gamma = 0$ Bernoulli, without `alpha`."
        ),
        convexity=r"Not convex in the logit for $\gamma > 0$.",
        lipschitz=(
            r"Lipschitz in the logit, with a constant of at most $1 + \gamma / e$. At $\gamma = "
            "2$ the constant is 1.13."
        ),
        kinks="None.",
        stable_form=(
            r"$1 - p_y$ is $\sigma(-m)$ and $-\log p_y$ a softplus: nothing is subtracted from 1."
        ),
        failure=(
            r"For $\gamma > 0$, without `alpha`, its probabilities are too close to one half. "
            "Recalibrate before you read them as probabilities."
        ),
        conventions=(
            pytorch(
                "torchvision.ops.sigmoid_focal_loss("
                "p, t, alpha=-1 if alpha is None else alpha, gamma=gamma)",
                reduction="none",
                note=(
                    "This function is in torchvision, which needs a build that matches torch, "
                    "so it is not run here. `alpha` is 0.25 by default, and -1 switches it "
                    "off."
                ),
                evidence=("default(torchvision.ops.sigmoid_focal_loss, 'alpha') == 0.25",),
            ),
            keras(
                "keras.losses.BinaryFocalCrossentropy("
                "alpha is not None, alpha=alpha, gamma=gamma, from_logits=True)(t, p)",
                note=(
                    "The first argument, `apply_class_balancing`, switches `alpha` on. It is "
                    "False by default, and `alpha` is 0.25. Clips at 1e-7."
                ),
                evidence=(
                    "default(keras.losses.BinaryFocalCrossentropy, 'apply_class_balancing')"
                    " is False",
                    "default(keras.losses.BinaryFocalCrossentropy, 'alpha') == 0.25",
                    "close(keras.losses.BinaryFocalCrossentropy(from_logits=True)(t, p),"
                    " ours().mean())",
                    "close(keras.losses.BinaryFocalCrossentropy()(0 * t + 1, 0 * p),"
                    " -math.log(1e-7), rel=1e-6)",
                ),
            ),
            formula("scikit-learn", "-", note="No metric or estimator offers it."),
            optax(
                "optax.losses.sigmoid_focal_loss(p, t, alpha=alpha, gamma=gamma)",
                note=(
                    "Also takes labels between 0 and 1. Shapes (N,) and (N, 1) broadcast silently."
                ),
                evidence=(
                    "jnp.isfinite(optax.losses.sigmoid_focal_loss(p, 0 * t + 0.3)).all()",
                    "silent(optax.losses.sigmoid_focal_loss, p, t[:, None]).shape"
                    " == (len(p), len(p))",
                ),
            ),
        ),
    ),
}
