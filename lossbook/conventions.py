r"""How four other libraries write the losses of this book: what changes when you cross over.

One row a loss and library. Some things hold for a whole library. **PyTorch** takes the prediction
first, averages by default, and puts classes on axis 1. **Keras** takes the target first and
averages an elementwise loss over its last axis before anything else; its weighted mean divides by
the number of values left, or by the sum of the weights under
``reduction="mean_with_sample_weight"``. **scikit-learn** takes the target first; a metric divides
by the sum of the weights. **optax** takes the prediction first and averages none of these losses.
This book divides by the sum of the weights.

The rows of PyTorch and scikit-learn are run against the installed versions by the tests; those of
Keras, optax and torchvision (0.29.2) were run once, at the versions of :data:`CONVENTION_SOURCES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

#: Library -> the version that the rows describe, and its documentation.
CONVENTION_SOURCES = {
    "PyTorch": ("2.13.0", "https://docs.pytorch.org/docs/stable/nn.functional.html"),
    "Keras": ("3.15.1", "https://keras.io/api/losses/"),
    "scikit-learn": ("1.9.1", "https://scikit-learn.org/stable/api/sklearn.metrics.html"),
    "optax": ("0.2.8", "https://optax.readthedocs.io/en/latest/api/losses.html"),
}


@dataclass(frozen=True)
class Convention:
    """How another library writes a loss.

    Attributes
    ----------
    library, name : the library, and the loss's name in it; "none" where it has no such function
    arguments : their order
    class_axis : where the classes are, "-" for an elementwise loss
    reduction : the default
    factor : what this book's unreduced value is multiplied by to give theirs
    weighted_mean : what theirs divides by when weights are given
    note : what bites, or how to get the loss where there is no such function

    Examples
    --------
    >>> pytorch = CONVENTIONS["huber"][0]
    >>> pytorch.name, pytorch.weighted_mean
    ('torch.nn.functional.huber_loss', 'number of values')
    """

    library: str
    name: str = "none"
    arguments: str = "-"
    class_axis: str = "-"
    reduction: str = "-"
    factor: str = "-"
    weighted_mean: str = "-"
    note: str = ""


_pytorch = partial(
    Convention,
    "PyTorch",
    arguments="(input, target)",
    reduction="mean",
    factor="1",
    weighted_mean="no weights",
)
_keras = partial(
    Convention,
    "Keras",
    arguments="(y_true, y_pred)",
    reduction="sum_over_batch_size",
    factor="1, averaged over the last axis",
    weighted_mean="number of values",
)
_keras_classes = partial(_keras, class_axis="-1", factor="1")
_metric = partial(
    Convention,
    "scikit-learn",
    arguments="(y_true, y_pred)",
    reduction="mean",
    factor="1",
    weighted_mean="sum of weights",
)
_estimator = partial(
    Convention,
    "scikit-learn",
    arguments="fit(X, y)",
    reduction="one example a step",
    factor="1",
    weighted_mean="nothing: a weight scales its step",
)
_optax = partial(
    Convention,
    "optax",
    arguments="(predictions, targets)",
    reduction="none",
    factor="1",
    weighted_mean="no weights",
)

#: Loss -> its conventions in PyTorch, Keras, scikit-learn and optax, in this order.
CONVENTIONS = {
    "squared_error": (
        _pytorch(
            "torch.nn.functional.mse_loss",
            weighted_mean="sum of weights",
            note="Shapes (N,) and (N, 1) broadcast to (N, N) with only a warning.",
        ),
        _keras(
            "keras.losses.MeanSquaredError",
            note='`reduction="mean_with_sample_weight"` divides by the sum of the weights.',
        ),
        _metric("sklearn.metrics.mean_squared_error"),
        _optax("optax.losses.squared_error", note="Refuses arguments of different shapes."),
    ),
    "half_squared_error": (
        Convention("PyTorch", note="`0.5 * mse_loss(input, target)`"),
        Convention("Keras", note="Half of `MeanSquaredError`."),
        _estimator(
            'sklearn.linear_model.SGDRegressor(loss="squared_error")',
            note="Halved in spite of its name; the metric `mean_squared_error` is not.",
        ),
        _optax("optax.losses.l2_loss"),
    ),
    "absolute_error": (
        _pytorch("torch.nn.functional.l1_loss", weighted_mean="sum of weights"),
        _keras("keras.losses.MeanAbsoluteError"),
        _metric("sklearn.metrics.mean_absolute_error"),
        Convention("optax", note="`jnp.abs(predictions - targets)`"),
    ),
    "huber": (
        _pytorch(
            "torch.nn.functional.huber_loss",
            weighted_mean="number of values",
            note="Its weighted mean differs from that of `mse_loss` and `l1_loss`.",
        ),
        _keras("keras.losses.Huber"),
        _estimator(
            'sklearn.linear_model.SGDRegressor(loss="huber")',
            note=(
                "$\\delta$ is called `epsilon` and is 0.1 by default; `HuberRegressor` also fits "
                "a scale: another loss."
            ),
        ),
        _optax("optax.losses.huber_loss", note="Shapes (N,) and (N, 1) broadcast silently."),
    ),
    "smooth_l1": (
        _pytorch("torch.nn.functional.smooth_l1_loss", note="Takes `beta=0` for absolute error."),
        Convention("Keras", note="`Huber(delta=beta)`, divided by `beta`."),
        Convention("scikit-learn", note="The Huber loss, divided by its threshold."),
        Convention("optax", note="`huber_loss(predictions, targets, delta=beta) / beta`"),
    ),
    "log_cosh": (
        Convention(
            "PyTorch",
            note=(
                "`torch.logaddexp(d, -d) - math.log(2)` with `d = input - target`; it cancels too: "
                "a residual of 1e-9 costs 0 in float64."
            ),
        ),
        _keras("keras.losses.LogCosh", note="Cancels: a residual of 1e-9 costs 0 in float64."),
        Convention("scikit-learn", note="No metric or estimator offers it."),
        _optax("optax.losses.log_cosh", note="Cancels: a residual of 1e-9 costs 0 in float64."),
    ),
    "quantile": (
        Convention(
            "PyTorch",
            note="`torch.maximum(level * d, (level - 1) * d)` with `d = target - input`",
        ),
        Convention("Keras", note="As for PyTorch, with `keras.ops.maximum`."),
        _metric("sklearn.metrics.mean_pinball_loss", note="The level is called `alpha`."),
        Convention("optax", note="As for PyTorch, with `jnp.maximum`."),
    ),
    "poisson_nll": (
        _pytorch(
            "torch.nn.functional.poisson_nll_loss",
            note=(
                "`log_input=False` takes the rate, and adds `eps`, 1e-8, to it inside the "
                "logarithm; `full=True` adds Stirling's $\\log t!$."
            ),
        ),
        _keras(
            "keras.losses.Poisson",
            note="Takes the rate $e^z$, and adds 1e-7 to it inside the logarithm.",
        ),
        _metric(
            "sklearn.metrics.mean_poisson_deviance",
            factor="2, plus a term of the target alone",
            note="Takes the rate $e^z$; a perfect prediction costs 0.",
        ),
        Convention("optax", note="`jnp.exp(z) - t * z`"),
    ),
    "gaussian_nll": (
        _pytorch(
            "torch.nn.functional.gaussian_nll_loss",
            arguments="(input, target, var)",
            note=(
                "Takes the variance, not its logarithm, and raises it to `eps`, 1e-6; "
                "`full=True` adds the constant."
            ),
        ),
        Convention("Keras", note="Written with `keras.ops` from the formula."),
        Convention("scikit-learn", note="No metric or estimator offers it."),
        Convention("optax", note="Written with `jnp` from the formula."),
    ),
    "binary_cross_entropy": (
        _pytorch(
            "torch.nn.functional.binary_cross_entropy",
            weighted_mean="number of values",
            note="Logarithms stop at -100: a certain and wrong prediction costs 100.",
        ),
        _keras(
            "keras.losses.BinaryCrossentropy",
            note="Clips to [1e-7, 1 - 1e-7]; `label_smoothing` pulls labels towards 1/2.",
        ),
        _metric(
            "sklearn.metrics.log_loss",
            arguments="(y_true, y_proba)",
            note="Labels of 0 and 1 only; clips by the machine epsilon of the dtype.",
        ),
        Convention("optax", note="Only from logits: `sigmoid_binary_cross_entropy`."),
    ),
    "sigmoid_binary_cross_entropy": (
        _pytorch(
            "torch.nn.functional.binary_cross_entropy_with_logits",
            weighted_mean="number of values",
            note="`pos_weight` must be a tensor.",
        ),
        _keras(
            "keras.losses.BinaryCrossentropy(from_logits=True)",
            note="`from_logits=False`, the default, clips logits as if probabilities.",
        ),
        _metric(
            "sklearn.metrics.log_loss",
            arguments="(y_true, y_proba)",
            note="Apply `scipy.special.expit` first; labels of 0 and 1 only; no `pos_weight`.",
        ),
        _optax(
            "optax.losses.sigmoid_binary_cross_entropy",
            arguments="(logits, labels)",
            note="No `pos_weight`; shapes (N,) and (N, 1) broadcast silently.",
        ),
    ),
    "sigmoid_focal": (
        _pytorch(
            "torchvision.ops.sigmoid_focal_loss",
            arguments="(inputs, targets)",
            reduction="none",
            note="In torchvision; `alpha` is 0.25 by default, and -1 for none.",
        ),
        _keras(
            "keras.losses.BinaryFocalCrossentropy(from_logits=True)",
            note="`apply_class_balancing=True` switches `alpha`, 0.25, on; clips at 1e-7.",
        ),
        Convention("scikit-learn", note="No metric or estimator offers it."),
        _optax(
            "optax.losses.sigmoid_focal_loss",
            arguments="(logits, labels)",
            note="Also takes labels between 0 and 1.",
        ),
    ),
    "categorical_cross_entropy": (
        _pytorch(
            "torch.nn.functional.nll_loss",
            class_axis="1",
            weighted_mean="sum of weights",
            note="Takes log-probabilities and class ids; weights are one a class.",
        ),
        _keras_classes(
            "keras.losses.CategoricalCrossentropy",
            note="Rescales rows to sum to 1, then clips to [1e-7, 1 - 1e-7].",
        ),
        _metric(
            "sklearn.metrics.log_loss",
            arguments="(y_true, y_proba)",
            class_axis="1",
            note="Takes class ids; `labels=` where a class may be absent; clips by the epsilon.",
        ),
        Convention("optax", note="`softmax_cross_entropy(jnp.log(p), t)` where rows sum to 1."),
    ),
    "softmax_cross_entropy": (
        _pytorch(
            "torch.nn.functional.cross_entropy",
            class_axis="1",
            weighted_mean="sum of weights",
            note=(
                "Weights are one a class; with probability labels it divides by the number of "
                "values. An id of -100 is ignored."
            ),
        ),
        _keras_classes(
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
            note="`from_logits` is False by default; `CategoricalCrossentropy` takes one-hot rows.",
        ),
        _metric(
            "sklearn.metrics.log_loss",
            arguments="(y_true, y_proba)",
            class_axis="1",
            note="Apply `scipy.special.softmax(z, axis=1)` first; class ids only.",
        ),
        _optax(
            "optax.losses.softmax_cross_entropy_with_integer_labels",
            arguments="(logits, labels)",
            class_axis="-1",
            note="`softmax_cross_entropy` takes probability labels, `smooth_labels` smooths them.",
        ),
    ),
    "softmax_focal": (
        Convention(
            "PyTorch",
            note=(
                "`(1 - torch.exp(-ce)) ** gamma * ce` with "
                '`ce = cross_entropy(input, target, reduction="none")`'
            ),
        ),
        _keras_classes(
            "keras.losses.CategoricalFocalCrossentropy(alpha=1.0, from_logits=True)",
            note="`alpha` is 0.25 by default and scales all classes alike; takes one-hot rows.",
        ),
        Convention("scikit-learn", note="No metric or estimator offers it."),
        Convention(
            "optax",
            note=(
                "As for PyTorch, with `jnp.exp` and `softmax_cross_entropy_with_integer_labels`."
            ),
        ),
    ),
    "brier": (
        Convention("PyTorch", note="`mse_loss` averages over the $K$ classes: $1/K$ of it."),
        _keras_classes(
            "keras.losses.MeanSquaredError", factor="1/K", note="$K$ is the number of classes."
        ),
        _metric(
            "sklearn.metrics.brier_score_loss",
            arguments="(y_true, y_proba)",
            class_axis="1",
            factor="1, or 1/2 for two classes",
            note="`scale_by_half=False` never halves; takes class ids.",
        ),
        Convention("optax", note="`squared_error(p, t).sum(axis=-1)`"),
    ),
    "multiclass_hinge": (
        Convention(
            "PyTorch",
            note="`multi_margin_loss` is another: it sums over all rivals and divides by $K$.",
        ),
        _keras_classes(
            "keras.losses.CategoricalHinge",
            note=(
                "Equal only where the best rival's score is at least 0, since the true class "
                "counts as a rival with score 0; margin 1; one-hot rows."
            ),
        ),
        _metric(
            "sklearn.metrics.hinge_loss",
            arguments="(y_true, pred_decision)",
            class_axis="1",
            note="Margin 1; `labels=` where a class may be absent; two classes take one score.",
        ),
        _optax(
            "optax.losses.multiclass_hinge_loss",
            arguments="(scores, labels)",
            class_axis="-1",
            note="Margin 1.",
        ),
    ),
    "perceptron": (
        _pytorch(
            "torch.nn.functional.margin_ranking_loss",
            arguments="(input1, input2, target)",
            note="With zeros as `input2` and `margin=0`, the default.",
        ),
        Convention("Keras", note="`keras.ops.relu(-y_true * y_pred)`"),
        _estimator('sklearn.linear_model.SGDClassifier(loss="perceptron")'),
        _optax(
            "optax.losses.perceptron_loss",
            arguments="(predictor_outputs, targets)",
            note="At score 0 the slope is $-y/2$.",
        ),
    ),
    "hinge": (
        _pytorch(
            "torch.nn.functional.margin_ranking_loss",
            arguments="(input1, input2, target)",
            note=(
                "With zeros as `input2` and `margin=1`; at margin 1 its slope is $-y$. "
                "`hinge_embedding_loss` is another loss."
            ),
        ),
        _keras("keras.losses.Hinge", note="Labels that are all 0 or 1 are read as -1 and +1."),
        _metric("sklearn.metrics.hinge_loss", arguments="(y_true, pred_decision)"),
        _optax(
            "optax.losses.hinge_loss",
            arguments="(predictor_outputs, targets)",
            note="At margin 1 the slope is $-y/2$.",
        ),
    ),
    "squared_hinge": (
        Convention("PyTorch", note="`torch.relu(1 - target * input) ** 2`"),
        _keras(
            "keras.losses.SquaredHinge",
            note="Labels that are all 0 or 1 are read as -1 and +1.",
        ),
        _estimator(
            'sklearn.linear_model.SGDClassifier(loss="squared_hinge")',
            note="Also the default of `LinearSVC`.",
        ),
        Convention("optax", note="`hinge_loss(predictor_outputs, targets) ** 2`"),
    ),
    "exponential": (
        Convention("PyTorch", note="`torch.exp(-target * input)`"),
        Convention("Keras", note="`keras.ops.exp(-y_true * y_pred)`"),
        _estimator(
            'sklearn.ensemble.GradientBoostingClassifier(loss="exponential")',
            reduction="mean",
            weighted_mean="sum of weights",
            note="`train_score_` holds the mean over the scores of `decision_function`.",
        ),
        Convention("optax", note="`jnp.exp(-targets * predictor_outputs)`"),
    ),
    "logistic": (
        _pytorch(
            "torch.nn.functional.soft_margin_loss",
            note="Overflows: a margin of -1000 costs infinity instead of 1000.",
        ),
        _keras(
            "keras.losses.BinaryCrossentropy(from_logits=True)",
            note="Takes labels of 0 and 1: pass `(y + 1) / 2`.",
        ),
        _estimator('sklearn.linear_model.SGDClassifier(loss="log_loss")'),
        _optax(
            "optax.losses.sigmoid_binary_cross_entropy",
            arguments="(logits, labels)",
            note="Takes labels of 0 and 1: pass `(y + 1) / 2`.",
        ),
    ),
}
