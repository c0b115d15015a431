"""Cards of the losses with a class axis: logits z or probabilities p, labels t or a class id y."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import formula, keras_classes, metric_of_classes, optax, pytorch
from lossbook.cards.symbolic import (
    ArgMaxOther,
    EntryAxis,
    K,
    MaxOther,
    cases,
    class_id,
    i,
    j,
    k,
    minus,
    over_classes,
    product,
    rows,
)

logits = sp.IndexedBase("z", real=True)
probabilities = sp.IndexedBase("p", positive=True)
smoothed = sp.IndexedBase(r"\tilde{t}", real=True)
r = sp.Symbol("r", integer=True)
epsilon, gamma, q = sp.symbols("varepsilon gamma q", real=True)
m = sp.Symbol("m", positive=True)

_POSITIVE = sp.Interval.open(0, sp.oo)
_CLASSES = (1, K)
_SOFTMAX = sp.exp(logits[k]) / sp.Sum(sp.exp(logits[i]), (i, 1, K))

CARDS = {
    "categorical_cross_entropy": Card(
        title="Categorical cross-entropy",
        chapter=7,
        symbolic=EntryAxis(
            probabilities,
            rows,
            -over_classes(product(rows[k], sp.log(probabilities[k]))),
            -rows[j] / probabilities[j],
            domain={probabilities: sp.Interval.open(0, 1), rows: "simplex", j: _CLASSES},
        ),
        minimiser="The class probabilities, among rows that sum to 1.",
        noise_model="Categorical of probabilities $p$.",
        convexity="Convex in the probabilities, strictly in those with $t_k > 0$.",
        lipschitz="Not Lipschitz: the slope has no bound towards $p_k = 0$.",
        kinks="None; where $t_k = 0$ the slope is 0.",
        stable_form="A term with $t_k = 0$ is left out, and nothing is clipped.",
        failure="If a row sums to more than 1, the loss is too small, and no error is raised.",
        conventions=(
            pytorch(
                "F.nll_loss(torch.log(p), t.argmax(dim=1))",
                class_axis="1",
                weights="weight=class_weights",
                weighted_mean="sum of weights",
                note="Takes log-probabilities and class ids.",
            ),
            keras_classes(
                "keras.losses.CategoricalCrossentropy()(t, p)",
                note="Rescales rows to sum to 1, then clips to [1e-7, 1 - 1e-7].",
                evidence=(
                    "close(keras.losses.CategoricalCrossentropy()(t, 3 * p), ours().mean())",
                    "close(keras.losses.CategoricalCrossentropy()([[1.0, 0.0]], [[0.0, 1.0]]),"
                    " -math.log(1e-7))",
                ),
            ),
            metric_of_classes(
                "sklearn.metrics.log_loss(t.argmax(axis=1), p, labels=range(p.shape[1]))",
                note=(
                    "Takes class ids. Without `labels=` each class must occur. Clips by the "
                    "machine epsilon."
                ),
                evidence=(
                    "refuses(sklearn.metrics.log_loss, [0, 1], p[:2])",
                    "close(sklearn.metrics.log_loss([0, 1], np.eye(2)[::-1]),"
                    " -np.log(np.finfo('float64').eps))",
                ),
            ),
            formula(
                "optax",
                "optax.losses.softmax_cross_entropy(jnp.log(p), t)",
                class_axis="-1",
                note="It takes only logits. The two are equal where rows sum to 1.",
            ),
        ),
    ),
    "softmax_cross_entropy": Card(
        title="Softmax cross-entropy",
        chapter=7,
        symbolic=EntryAxis(
            logits,
            rows,
            -over_classes(product(smoothed[k], sp.log(probabilities[k]))),
            minus(probabilities[j], smoothed[j]),
            hyperparameters={"label_smoothing": epsilon},
            domain={logits: sp.Reals, rows: "simplex", j: _CLASSES, epsilon: sp.Interval(0, 1)},
            where={
                probabilities[k]: _SOFTMAX,
                smoothed[k]: sp.Add((1 - epsilon) * rows[k], epsilon / K, evaluate=False),
            },
        ),
        minimiser=(
            r"Logits $z_k = \log((1 - \varepsilon) t_k + \varepsilon / K)$ plus any constant, "
            r"where $t$ holds the class probabilities and $\varepsilon$ is the label smoothing."
        ),
        noise_model=(
            r"Categorical of probabilities $\operatorname{softmax}(z)$ without label smoothing; "
            "with it, none."
        ),
        convexity=(
            "Convex in the logits. It is not strictly convex, since a constant added to all logits "
            "changes nothing."
        ),
        lipschitz=(
            r"$\sqrt2$-Lipschitz in the Euclidean norm of the logits; the gradient is "
            "$1/2$-Lipschitz."
        ),
        kinks="None.",
        stable_form=(
            "The largest logit is taken out of the log-sum-exp, and $1 - p_k$ is summed from the"
            " others."
        ),
        failure=(
            "If it is given probabilities instead of logits, it still trains, but slowly, and "
            "its value cannot fall to 0."
        ),
        conventions=(
            pytorch(
                "F.cross_entropy(p, t, label_smoothing=label_smoothing)",
                class_axis="1",
                weights="weight=class_weights",
                weighted_mean="sum of weights",
                note=(
                    "With probability labels a weighted mean divides by the number of values. "
                    "Under smoothing each class's share has its own weight. An id of -100 is "
                    "ignored."
                ),
                evidence=(
                    "close(F.cross_entropy(p, t, weight=class_weights, label_smoothing=1.0),"
                    " -(class_weights * p.log_softmax(1)).mean(1).sum() / class_weights[t].sum())",
                    "close(F.cross_entropy(p, rows := p.flip(0).softmax(1), weight=class_weights),"
                    " -(class_weights * rows * p.log_softmax(1)).sum(1).mean())",
                    "F.cross_entropy(p[:2], torch.tensor([0, -100]))"
                    " == F.cross_entropy(p[:1], torch.tensor([0]))",
                ),
            ),
            keras_classes(
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(t, p)",
                note=(
                    "`from_logits` is False by default; "
                    "`CategoricalCrossentropy` takes one-hot rows, and smooths labels as this book."
                ),
                evidence=(
                    "default(keras.losses.SparseCategoricalCrossentropy, 'from_logits') is False",
                    "close(keras.losses.CategoricalCrossentropy(from_logits=True,"
                    " label_smoothing=0.1)(keras.ops.one_hot(t, p.shape[-1], dtype='float64'), p),"
                    " ours(label_smoothing=0.1).mean())",
                ),
            ),
            metric_of_classes(
                "sklearn.metrics.log_loss(t, special.softmax(p, axis=1), labels=range(p.shape[1]))",
                note="Takes probabilities, and class ids only.",
                evidence=(
                    "refuses(sklearn.metrics.log_loss, t, p)",
                    "refuses(sklearn.metrics.log_loss, q := special.softmax(p, axis=1), q)",
                ),
            ),
            optax(
                "optax.losses.softmax_cross_entropy_with_integer_labels(p, t)",
                class_axis="-1",
                note=(
                    "`softmax_cross_entropy` takes probability labels, and `smooth_labels` "
                    "smooths them. A single label is silently broadcast to all rows."
                ),
                evidence=(
                    "silent(optax.losses.softmax_cross_entropy_with_integer_labels, p, t[:1]).shape"
                    " == silent(optax.losses.softmax_cross_entropy, p, p[:1]).shape == p.shape[:1]",
                    "close(optax.losses.softmax_cross_entropy(p, optax.losses.smooth_labels("
                    "jax.nn.one_hot(t, p.shape[-1]), 0.1)), ours(label_smoothing=0.1))",
                ),
            ),
        ),
    ),
    "softmax_focal": Card(
        title="Softmax focal loss",
        chapter=9,
        symbolic=EntryAxis(
            logits,
            class_id,
            product(-1, (1 - probabilities[class_id]) ** gamma, sp.log(probabilities[class_id])),
            product(
                (1 - probabilities[class_id]) ** minus(gamma, 1),
                sp.Add(
                    1,
                    -probabilities[class_id],
                    product(-1, gamma, probabilities[class_id], sp.log(probabilities[class_id])),
                    evaluate=False,
                ),
                minus(probabilities[j], sp.KroneckerDelta(j, class_id)),
            ),
            hyperparameters={"gamma": gamma},
            domain={
                logits: sp.Reals,
                class_id: _CLASSES,
                j: _CLASSES,
                gamma: sp.Interval(0, sp.oo),
            },
            where={probabilities[k]: _SOFTMAX},
        ),
        minimiser=(
            r"For $\gamma > 0$ in general not the class probabilities, though the likeliest class "
            "stays on top."
        ),
        noise_model=(
            r"None for $\gamma > 0$: $e^{-\text{loss}}$ does not sum to a constant over the "
            r"classes; at $\gamma = 0$ categorical."
        ),
        convexity=r"Not convex in the logits for $\gamma > 0$.",
        lipschitz=(
            r"Lipschitz in the Euclidean norm of the logits, the constant at most $\sqrt2\, (1 + "
            r"\gamma / e)$."
        ),
        kinks="None.",
        stable_form=(
            "$1 - p_y$ is summed from the other classes, and their shares of it come from a "
            "softmax."
        ),
        failure=(
            r"For $\gamma > 0$ the top probability is too low where the true one is above one "
            "half, and too high where all are small: recalibrate."
        ),
        conventions=(
            formula(
                "PyTorch",
                "(-torch.expm1(-(ce := F.cross_entropy(p, t, reduction='none')))).clamp(min=1e-30)"
                " ** gamma * ce",
                class_axis="1",
                note=(
                    "Without the clamp, a power below 1 has a gradient of NaN once the probability "
                    "of the true class rounds to 1."
                ),
                evidence=(
                    "torch.func.grad(lambda z: (-torch.expm1(-F.cross_entropy(z, t[0]))) ** 0.5)"
                    "(30 * F.one_hot(t[0], p.shape[-1]).float()).isnan().any()",
                    "torch.func.grad(lambda z: (-torch.expm1(-F.cross_entropy(z, t[0])))"
                    ".clamp(min=1e-30) ** 0.5)"
                    "(30 * F.one_hot(t[0], p.shape[-1]).float()).isfinite().all()",
                ),
            ),
            keras_classes(
                "keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, "
                "from_logits=True)(keras.ops.one_hot(t, p.shape[-1]), p)",
                note="`alpha` is 0.25 by default and scales all classes alike; takes one-hot rows.",
                evidence=(
                    "close(keras.losses.CategoricalFocalCrossentropy(from_logits=True)"
                    "(keras.ops.one_hot(t, p.shape[-1]), p), 0.25 * ours().mean())",
                ),
            ),
            formula("scikit-learn", "-", note="No metric or estimator offers it."),
            formula(
                "optax",
                "jnp.maximum(-jnp.expm1(-(ce := optax.losses."
                "softmax_cross_entropy_with_integer_labels(p, t))), 1e-30) ** gamma * ce",
                class_axis="-1",
            ),
        ),
    ),
    "generalized_cross_entropy": Card(
        title="Generalised cross-entropy",
        chapter=9,
        symbolic=EntryAxis(
            logits,
            class_id,
            minus(1, probabilities[class_id] ** q) / q,
            product(
                probabilities[class_id] ** q,
                minus(probabilities[j], sp.KroneckerDelta(j, class_id)),
            ),
            hyperparameters={"q": q},
            domain={
                logits: sp.Reals,
                class_id: _CLASSES,
                j: _CLASSES,
                q: sp.Interval.Lopen(0, 1),
            },
            where={probabilities[k]: _SOFTMAX},
        ),
        minimiser=(
            r"For $q < 1$, logits $\frac{1}{1 - q} \log t_k$ plus any constant, $t$ the class "
            "probabilities; the likeliest class is given too much."
        ),
        noise_model="None: $e^{-\\text{loss}}$ does not sum to a constant over the classes.",
        convexity="Not convex in the logits.",
        lipschitz=(
            r"$\sqrt2\, q^q / (1 + q)^{1 + q}$-Lipschitz in the Euclidean norm of the logits."
        ),
        kinks="None.",
        stable_form=(
            r"$1 - p_y^q$ is `expm1` of $q \log p_y$ with its sign changed: nothing is subtracted "
            "from 1."
        ),
        failure=(
            "An example of small $p_y$ hardly pulls, wrongly labelled or merely hard. With $K$ "
            "classes training starts with $K^{-q}$ times the gradient of cross-entropy."
        ),
        conventions=(
            formula(
                "PyTorch",
                '-torch.expm1(-q * F.cross_entropy(p, t, reduction="none")) / q',
                class_axis="1",
            ),
            keras_classes(
                "keras.losses.CategoricalGeneralizedCrossEntropy(q=q)("
                "t, keras.ops.softmax(p, axis=-1))",
                note="Takes class ids and probabilities; `q` is 0.5 by default.",
                evidence=("default(keras.losses.CategoricalGeneralizedCrossEntropy, 'q') == 0.5",),
            ),
            formula("scikit-learn", "-", note="No metric or estimator offers it."),
            formula(
                "optax",
                "-jnp.expm1(-q * optax.losses.softmax_cross_entropy_with_integer_labels(p, t)) / q",
                class_axis="-1",
            ),
        ),
    ),
    "brier": Card(
        title="Brier score",
        chapter=6,
        symbolic=EntryAxis(
            probabilities,
            rows,
            over_classes(minus(probabilities[k], rows[k]) ** 2),
            product(2, minus(probabilities[j], rows[j])),
            domain={probabilities: sp.Interval.Lopen(0, 1), rows: "simplex", j: _CLASSES},
        ),
        minimiser="The class probabilities.",
        noise_model=(
            "None for labels; as a density of the row $t$, Gaussian of variance $1/2$ around $p$."
        ),
        convexity="Strictly convex in the probabilities; not in the logits of a softmax before it.",
        lipschitz=(
            r"$2\sqrt2$-Lipschitz in the Euclidean norm on rows that sum to 1; the gradient is "
            "2-Lipschitz."
        ),
        kinks="None.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="After a softmax that is sure and wrong, its gradient vanishes.",
        conventions=(
            formula(
                "PyTorch",
                'F.mse_loss(p, t, reduction="none").sum(dim=-1)',
                class_axis="-1",
                note="Without `reduction` it averages over the $K$ classes too: $1/K$ of it.",
                evidence=("close(F.mse_loss(p, t), ours().mean() / p.shape[-1])",),
            ),
            keras_classes("keras.losses.MeanSquaredError()(t, p)", theirs="ours / K"),
            metric_of_classes(
                "sklearn.metrics.brier_score_loss(t.argmax(axis=1), p, labels=range(p.shape[1]))",
                note=(
                    "Takes class ids. For two classes it returns half the value, unless "
                    "`scale_by_half=False`."
                ),
                evidence=(
                    "close(sklearn.metrics.brier_score_loss([1], [0.2]), 0.8**2)",
                    "close(sklearn.metrics.brier_score_loss([1, 0], [0.2, 0.2],"
                    " scale_by_half=False), 0.8**2 + 0.2**2)",
                ),
            ),
            formula("optax", "optax.losses.squared_error(p, t).sum(axis=-1)", class_axis="-1"),
        ),
    ),
    "multiclass_hinge": Card(
        title="Multiclass hinge loss",
        chapter=8,
        symbolic=EntryAxis(
            logits,
            class_id,
            sp.Max(0, sp.Add(m, MaxOther(logits, class_id, K), -logits[class_id], evaluate=False)),
            cases(
                (
                    minus(sp.KroneckerDelta(j, r), sp.KroneckerDelta(j, class_id)),
                    sp.Add(m, MaxOther(logits, class_id, K), -logits[class_id], evaluate=False) > 0,
                ),
                (0, True),
            ),
            hyperparameters={"margin": m},
            domain={logits: sp.Reals, class_id: _CLASSES, j: _CLASSES, m: _POSITIVE},
            where={r: ArgMaxOther(logits, class_id, K)},
        ),
        minimiser=(
            "If one class has a probability above one half, it leads by $m$. Otherwise classes "
            "tie. Classes that never occur may lie lower."
        ),
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the classes.",
        convexity="Convex in the logits, not strictly.",
        lipschitz=r"$\sqrt2$-Lipschitz in the Euclidean norm of the logits.",
        kinks=(
            "At a lead of exactly $m$, where 0 is chosen, and where rivals tie: the first is taken."
        ),
        stable_form=(
            "Rival minus own logit first, then $m$: the margin is not lost in large logits."
        ),
        failure=(
            "Its scores are not log-probabilities, and where no class has a majority they tell you "
            "nothing."
        ),
        conventions=(
            formula(
                "PyTorch",
                "torch.relu(margin + p.scatter(-1, t[..., None], -torch.inf).amax(-1)"
                " - p.gather(-1, t[..., None])[..., 0])",
                class_axis="-1",
                note="`multi_margin_loss` is another: it sums over all rivals and divides by $K$.",
                evidence=(
                    "close(F.multi_margin_loss(p, t, reduction='none'), (torch.relu("
                    "1 + p - p.gather(1, t[:, None])).sum(1) - 1) / p.shape[1])",
                    "not close(F.multi_margin_loss(p, t, reduction='none'), ours())",
                ),
            ),
            keras_classes(
                "keras.losses.CategoricalHinge()(keras.ops.one_hot(t, p.shape[-1]), "
                "p - keras.ops.min(p, axis=-1, keepdims=True))",
                note=(
                    "The true class counts as a rival of score 0: equal as it stands where a rival "
                    "has at least 0 or the true class at least 1, so scores are raised; margin 1; "
                    "one-hot rows."
                ),
                evidence=(
                    "close(keras.losses.CategoricalHinge()([[1.0, 0.0]], [[1.0, -4.0]]), 0)",
                    "close(keras.losses.CategoricalHinge()([[1.0, 0.0]], [[0.5, -4.0]]), 0.5)",
                    "close(keras.losses.CategoricalHinge()([[1.0, 0.0]], [[-3.0, 0.0]]), 4)",
                    "close(keras.losses.CategoricalHinge()([[1.0, 0.0]], [[-3.0, -4.0]]), 4)",
                ),
            ),
            metric_of_classes(
                "sklearn.metrics.hinge_loss(t, p, labels=range(p.shape[1]))",
                note=(
                    "Margin 1; without `labels=` each class must occur; two classes take one score."
                ),
                evidence=(
                    "refuses(sklearn.metrics.hinge_loss, [0, 1], p[:2])",
                    "refuses(sklearn.metrics.hinge_loss, [0, 1], p[:2, :2])",
                    "sklearn.metrics.hinge_loss([0, 1], [-0.5, 0.5]) == 0.5",
                ),
            ),
            optax(
                "optax.losses.multiclass_hinge_loss(p, t)",
                class_axis="-1",
                note="Margin 1. Labels of shape (N, 1) broadcast silently.",
                evidence=(
                    "silent(optax.losses.multiclass_hinge_loss, p, t[:, None]).shape"
                    " == (len(p), len(p))",
                ),
            ),
        ),
    ),
}
