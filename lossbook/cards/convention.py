r"""How four other libraries write the losses of this book: what changes when you cross over.

One row a loss and library. Some things hold for a whole library. **PyTorch** takes the prediction
first, averages by default, and puts classes on axis 1. **Keras** takes the target first and
averages an elementwise loss over its last axis before anything else, in float32; its
``sum_over_batch_size`` is the mean of what is left, also where weights are given. **scikit-learn**
takes the target first; a metric divides by the sum of the weights. **optax** takes the prediction
first and averages none of these losses. This book divides by the sum of the weights.

A row is a claim that can be run. Its call is evaluated with the names of :class:`Convention`; the
tests do so for PyTorch and scikit-learn, ``make conventions`` for all four libraries.
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
