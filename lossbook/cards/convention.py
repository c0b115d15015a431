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
    >>> from lossbook.cards import CARDS
    >>> pytorch = CARDS["huber"].conventions[0]
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


pytorch = partial(
    Convention,
    "PyTorch",
    arguments="(input, target)",
    reduction="mean",
    factor="1",
    weighted_mean="no weights",
)
keras = partial(
    Convention,
    "Keras",
    arguments="(y_true, y_pred)",
    reduction="sum_over_batch_size",
    factor="1, averaged over the last axis",
    weighted_mean="number of values",
)
keras_classes = partial(keras, class_axis="-1", factor="1")
metric = partial(
    Convention,
    "scikit-learn",
    arguments="(y_true, y_pred)",
    reduction="mean",
    factor="1",
    weighted_mean="sum of weights",
)
estimator = partial(
    Convention,
    "scikit-learn",
    arguments="fit(X, y)",
    reduction="one example a step",
    factor="1",
    weighted_mean="nothing: a weight scales its step",
)
optax = partial(
    Convention,
    "optax",
    arguments="(predictions, targets)",
    reduction="none",
    factor="1",
    weighted_mean="no weights",
)
