"""Cards of the losses with a class axis: logits z or probabilities p, labels t or a class id y."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import Convention, keras_classes, metric, optax, pytorch
from lossbook.cards.symbolic import (
    ArgMaxOther,
    ClassAxis,
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
epsilon, gamma = sp.symbols("varepsilon gamma", real=True)
m = sp.Symbol("m", positive=True)

_POSITIVE = sp.Interval.open(0, sp.oo)
_CLASSES = (0, K - 1)
_SOFTMAX = sp.exp(logits[k]) / sp.Sum(sp.exp(logits[i]), (i, 0, K - 1))

CARDS = {
    "categorical_cross_entropy": Card(
        title="Categorical cross-entropy",
        chapter=7,
        symbolic=ClassAxis(
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
        failure="Rows that sum to more than 1 look better than they are, and nothing notices.",
        conventions=(
            pytorch(
                "torch.nn.functional.nll_loss",
                class_axis="1",
                weighted_mean="sum of weights",
                note="Takes log-probabilities and class ids; weights are one a class.",
            ),
            keras_classes(
                "keras.losses.CategoricalCrossentropy",
                note="Rescales rows to sum to 1, then clips to [1e-7, 1 - 1e-7].",
            ),
            metric(
                "sklearn.metrics.log_loss",
                arguments="(y_true, y_proba)",
                class_axis="1",
                note=(
                    "Takes class ids; `labels=` where a class may be absent; clips by the epsilon."
                ),
            ),
            Convention("optax", note="`softmax_cross_entropy(jnp.log(p), t)` where rows sum to 1."),
        ),
    ),
    "softmax_cross_entropy": Card(
        title="Softmax cross-entropy",
        chapter=7,
        symbolic=ClassAxis(
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
        minimiser="The logarithms of the class probabilities, plus any constant.",
        noise_model=r"Categorical of probabilities $\operatorname{softmax}(z)$.",
        convexity="Convex in the logits, not strictly: a constant added to all changes nothing.",
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
            "Fed with probabilities instead of logits it trains, slowly, towards a floor above 0."
        ),
        conventions=(
            pytorch(
                "torch.nn.functional.cross_entropy",
                class_axis="1",
                weighted_mean="sum of weights",
                note=(
                    "Weights are one a class; with probability labels it divides by the number of "
                    "values. An id of -100 is ignored."
                ),
            ),
            keras_classes(
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
                note=(
                    "`from_logits` is False by default; "
                    "`CategoricalCrossentropy` takes one-hot rows."
                ),
            ),
            metric(
                "sklearn.metrics.log_loss",
                arguments="(y_true, y_proba)",
                class_axis="1",
                note="Apply `scipy.special.softmax(z, axis=1)` first; class ids only.",
            ),
            optax(
                "optax.losses.softmax_cross_entropy_with_integer_labels",
                arguments="(logits, labels)",
                class_axis="-1",
                note=(
                    "`softmax_cross_entropy` takes probability labels, "
                    "`smooth_labels` smooths them."
                ),
            ),
        ),
    ),
    "softmax_focal": Card(
        title="Softmax focal loss",
        chapter=9,
        symbolic=ClassAxis(
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
            r"For $\gamma > 0$ not the class probabilities, though the likeliest class stays on "
            "top."
        ),
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the classes.",
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
        failure="Its probabilities are too even; recalibrate before reading them as such.",
        conventions=(
            Convention(
                "PyTorch",
                note=(
                    "`(1 - torch.exp(-ce)) ** gamma * ce` with "
                    '`ce = cross_entropy(input, target, reduction="none")`'
                ),
            ),
            keras_classes(
                "keras.losses.CategoricalFocalCrossentropy(alpha=1.0, from_logits=True)",
                note="`alpha` is 0.25 by default and scales all classes alike; takes one-hot rows.",
            ),
            Convention("scikit-learn", note="No metric or estimator offers it."),
            Convention(
                "optax",
                note=(
                    "As for PyTorch, with `jnp.exp` and "
                    "`softmax_cross_entropy_with_integer_labels`."
                ),
            ),
        ),
    ),
    "brier": Card(
        title="Brier score",
        chapter=6,
        symbolic=ClassAxis(
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
        failure="Behind a softmax that is sure and wrong, its gradient vanishes.",
        conventions=(
            Convention("PyTorch", note="`mse_loss` averages over the $K$ classes: $1/K$ of it."),
            keras_classes(
                "keras.losses.MeanSquaredError", factor="1/K", note="$K$ is the number of classes."
            ),
            metric(
                "sklearn.metrics.brier_score_loss",
                arguments="(y_true, y_proba)",
                class_axis="1",
                factor="1, or 1/2 for two classes",
                note="`scale_by_half=False` never halves; takes class ids.",
            ),
            Convention("optax", note="`squared_error(p, t).sum(axis=-1)`"),
        ),
    ),
    "multiclass_hinge": Card(
        title="Multiclass hinge loss",
        chapter=8,
        symbolic=ClassAxis(
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
            "A lead of $m$ for a class likelier than all others together; without one, a tie of "
            "all."
        ),
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the classes.",
        convexity="Convex in the logits, not strictly.",
        lipschitz=r"$\sqrt2$-Lipschitz in the Euclidean norm of the logits.",
        kinks=(
            "At a lead of exactly $m$, where 0 is chosen, and where rivals tie: the first is taken."
        ),
        stable_form="Rival less own logit first, then $m$: the margin is not lost in large logits.",
        failure="Its scores are no log-probabilities, and with no majority class they say nothing.",
        conventions=(
            Convention(
                "PyTorch",
                note="`multi_margin_loss` is another: it sums over all rivals and divides by $K$.",
            ),
            keras_classes(
                "keras.losses.CategoricalHinge",
                note=(
                    "Equal only where the best rival's score is at least 0, since the true class "
                    "counts as a rival with score 0; margin 1; one-hot rows."
                ),
            ),
            metric(
                "sklearn.metrics.hinge_loss",
                arguments="(y_true, pred_decision)",
                class_axis="1",
                note="Margin 1; `labels=` where a class may be absent; two classes take one score.",
            ),
            optax(
                "optax.losses.multiclass_hinge_loss",
                arguments="(scores, labels)",
                class_axis="-1",
                note="Margin 1.",
            ),
        ),
    ),
}
