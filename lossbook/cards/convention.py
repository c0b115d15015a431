r"""How four other libraries write the losses of this book: what changes when you cross over.

One row a loss and library. Some things hold for a whole library. **PyTorch** takes the prediction
first, averages by default, and puts classes on axis 1. **Keras** takes the target first and
averages an elementwise loss over its last axis before anything else, in float32; its
``sum_over_batch_size`` is the mean of what is left, also where weights are given. **scikit-learn**
takes the target first; a metric divides by the sum of the weights. **optax** takes the prediction
first and averages none of these losses. This book divides by the sum of the weights.

What a whole library does with padding, and with a batch of no examples, stands in ``PADDING``.

A row is a claim that can be run. Its call is evaluated with the names of :class:`Convention`; the
tests do so for PyTorch and scikit-learn, ``make conventions`` for all four libraries.
"""

from __future__ import annotations

import re
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

    `call`, `theirs` and `evidence` are Python expressions in the prediction ``p`` and the target
    ``t``, arrays of the library that hold what they hold in this book, and in the usual modules:
    ``torch`` and ``F`` (torch.nn.functional), ``keras``, ``sklearn``, ``jax``, ``jnp`` and
    ``optax``, ``np``, ``special`` (scipy.special) and ``math``.

    Attributes
    ----------
    library : the library's name
    call : what to write there, hyperparameters by this book's names; "-" where the library has
        nothing to write it with. A function is called with its default reduction, so that one
        example gives one unreduced value. An estimator, which gives no values, is compared by the
        steps it takes or by its score in training.
    named : whether the library has this loss as a function; otherwise the call is a formula
    theirs : what the call gives for an example where this book gives ``ours``; K classes
    class_axis : where the classes are, "-" for an elementwise loss; "1 of 2" where arrays may have
        no more axes
    reduction : what the call does with the values of many examples
    weights : the argument of the call, or of an estimator's ``fit``, that takes weights, one for
        each value (``w``) or each class (``class_weights``); empty where there is none
    weighted_mean : what theirs divides by when weights are given
    note : what bites
    evidence : expressions that are true if the note is; in them ``ours`` is this book's function of
        ``p`` and ``t``, and HELPERS of ``tests/conventions.py`` may be used

    Examples
    --------
    >>> from lossbook.cards import CARDS
    >>> pytorch = CARDS["huber"].conventions[0]
    >>> pytorch.call, pytorch.weighted_mean
    ('F.huber_loss(p, t, delta=delta)', 'number of values')
    >>> pytorch.weighted_call
    'F.huber_loss(p, t, delta=delta, weight=w)'
    """

    library: str
    call: str
    named: bool = True
    theirs: str = "ours"
    class_axis: str = "-"
    reduction: str = "none"
    weights: str = ""
    weighted_mean: str = "no weights"
    note: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def weighted_call(self):
        """The call with the weights as its last argument."""
        return f"{self.call.removesuffix(')')}, {self.weights})"


def with_names(expression, prediction, target):
    """An expression of a row as it is shown: ``p`` and ``t`` by the names of a loss's arguments.

    >>> with_names("F.huber_loss(p, t, delta=delta)", "prediction", "target")
    'F.huber_loss(prediction, target, delta=delta)'
    """
    names = {"p": prediction, "t": target}
    return re.sub(r"\b[pt]\b", lambda found: names[found[0]], expression)


@dataclass(frozen=True)
class Padding:
    """What a whole library does with examples that are not there.

    Attributes
    ----------
    library : the library's name
    filler : how an example that only fills up a batch is left out, and what bites
    nothing : what a batch without examples gives
    evidence : expressions that are true if both are, as of a :class:`Convention`; ``p`` and ``t``
        are logits and class ids
    """

    library: str
    filler: str
    nothing: str
    evidence: tuple[str, ...]


PADDING = (
    Padding(
        "PyTorch",
        filler=(
            "`cross_entropy` and `nll_loss` leave out the id `ignore_index`, -100 by default, also "
            "in the divisor. Elsewhere `weight=` with zeros, which a NaN survives."
        ),
        nothing="The mean is NaN, the sum 0; the same where every id is ignored.",
        evidence=(
            "default(F.cross_entropy, 'ignore_index') == default(F.nll_loss, 'ignore_index')"
            " == -100",
            "F.cross_entropy(p[:2], torch.tensor([0, -100]))"
            " == F.cross_entropy(p[:1], torch.tensor([0]))",
            "F.mse_loss(math.nan * w, w, weight=0 * w).isnan()",
            "F.cross_entropy(p[:0], t[:0]).isnan() and F.mse_loss(w[:0], w[:0]).isnan()",
            "F.cross_entropy(p, 0 * t - 100).isnan()",
            "F.cross_entropy(p[:0], t[:0], reduction='sum') == 0",
            "F.cross_entropy(p, 0 * t - 100, reduction='sum') == 0",
        ),
    ),
    Padding(
        "Keras",
        filler=(
            "`SparseCategoricalCrossentropy` leaves out the id `ignore_class`, None by default, "
            "and each loss what a layer has masked, also in the divisor. Without it, an id of -100 "
            "costs 0 and is counted. So is a `sample_weight` of 0, which a NaN survives."
        ),
        nothing="The mean is an empty array, neither a number nor an error; of weights 0 it is 0.",
        evidence=(
            "default(keras.losses.SparseCategoricalCrossentropy, 'ignore_class') is None",
            "close(keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)"
            "(keras.ops.convert_to_tensor([0, -100]), p[:2]),"
            " keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
            "(keras.ops.convert_to_tensor([0]), p[:1]))",
            "close(keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
            "(keras.ops.convert_to_tensor([0, -100]), p[:2]),"
            " keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
            "(keras.ops.convert_to_tensor([0]), p[:1]) / 2)",
            "keras.losses.MeanSquaredError()(keras.ops.convert_to_tensor([[[1.0], [5.0]]]),"
            " keras.layers.Masking()(keras.ops.convert_to_tensor([[[3.0], [0.0]]]))) == 4",
            "keras.losses.MeanSquaredError()(np.array([[1.0], [5.0]]), np.array([[3.0], [0.0]]),"
            " sample_weight=np.array([1.0, 0.0])) == 2",
            "math.isnan(keras.losses.MeanSquaredError()(np.ones((1, 1)), np.full((1, 1), math.nan),"
            " sample_weight=np.zeros(1)))",
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(t[:0], p[:0]).shape"
            " == keras.losses.MeanSquaredError()(p[:0], p[:0]).shape == (0,)",
            "keras.losses.MeanSquaredError()(p, 2 * p, sample_weight=0 * w) == 0",
        ),
    ),
    Padding(
        "scikit-learn",
        filler=(
            "Unknown ids and NaN are refused, and no id means padding: leave the rows out, or give "
            "them a `sample_weight` of 0, which is not counted."
        ),
        nothing="A `ValueError`, also where all weights are 0.",
        evidence=(
            "refuses(sklearn.metrics.log_loss, [0, -100, 1], [[0.5, 0.5]] * 3, labels=[0, 1])",
            "refuses(sklearn.metrics.mean_squared_error, [0, 1], [math.nan, 1],"
            " sample_weight=[0, 1])",
            "sklearn.metrics.mean_squared_error([1, 5], [3, 0], sample_weight=[1, 0]) == 4",
            "refuses(sklearn.metrics.mean_squared_error, w[:0], w[:0])",
            "refuses(sklearn.metrics.log_loss, t[:0], special.softmax(p, axis=1)[:0],"
            " labels=range(4))",
            "refuses(sklearn.metrics.mean_squared_error, w, w, sample_weight=0 * w)",
        ),
    ),
    Padding(
        "optax",
        filler=(
            "Leave it out of your own mean, by `jnp.mean(values, where=...)`. No id means padding: "
            "-100 costs NaN, and -1 is read as the last class. `where=` of the softmax "
            "cross-entropies leaves out classes."
        ),
        nothing="No values, of which your own mean is NaN.",
        evidence=(
            "jnp.mean(jnp.asarray([4.0, math.nan]), where=jnp.asarray([True, False])) == 4",
            "jnp.isnan(optax.losses.softmax_cross_entropy_with_integer_labels("
            "p[:1], jnp.asarray([-100])))[0]",
            "close(optax.losses.softmax_cross_entropy_with_integer_labels(p[:1],"
            " jnp.asarray([-1])), optax.losses.softmax_cross_entropy_with_integer_labels(p[:1],"
            " jnp.asarray([p.shape[-1] - 1])))",
            "close(optax.losses.softmax_cross_entropy_with_integer_labels(p, 0 * t,"
            " where=jnp.arange(p.shape[-1]) + 0 * p < 2),"
            " optax.losses.softmax_cross_entropy_with_integer_labels(p[:, :2], 0 * t))",
            "optax.losses.squared_error(w[:0], w[:0]).shape == (0,)",
            "jnp.isnan(optax.losses.squared_error(w[:0], w[:0]).mean())",
        ),
    ),
)

pytorch = partial(Convention, "PyTorch", reduction="mean")
keras = partial(
    Convention,
    "Keras",
    reduction="last axis, then sum_over_batch_size",
    weights="sample_weight=w",
    weighted_mean="number of values",
)
keras_classes = partial(keras, class_axis="-1", reduction="sum_over_batch_size")
metric = partial(
    Convention,
    "scikit-learn",
    reduction="mean",
    weights="sample_weight=w",
    weighted_mean="sum of weights",
)
metric_of_classes = partial(metric, class_axis="1 of 2")
estimator = partial(
    Convention,
    "scikit-learn",
    reduction="one example a step",
    weights="sample_weight=w",
    weighted_mean="nothing, a weight scales its step",
)
optax = partial(Convention, "optax")
formula = partial(Convention, named=False, weighted_mean="-")
