"""Losses: derived, checked, trained. The package behind the book.

Every loss is a pair of plain functions, an unreduced value and its gradient::

    >>> import numpy as np
    >>> from lossbook import LOSSES, huber, huber_grad
    >>> prediction, target = np.array([0.5, 3.0]), np.array([0.0, 0.0])
    >>> huber(prediction, target)
    array([0.125, 2.5  ])
    >>> huber_grad(prediction, target)
    array([0.5, 1. ])

and a row of the table ``LOSSES``, which reduces, weighs and describes it::

    >>> float(LOSSES["huber"].value(prediction, target, reduction="sum"))
    2.625
"""

from lossbook.losses.binary import (
    binary_cross_entropy,
    binary_cross_entropy_grad,
    sigmoid_binary_cross_entropy,
    sigmoid_binary_cross_entropy_grad,
    sigmoid_focal,
    sigmoid_focal_grad,
)
from lossbook.losses.margin import (
    exponential,
    exponential_grad,
    hinge,
    hinge_grad,
    logistic,
    logistic_grad,
    perceptron,
    perceptron_grad,
    squared_hinge,
    squared_hinge_grad,
)
from lossbook.losses.multiclass import (
    brier,
    brier_grad,
    categorical_cross_entropy,
    categorical_cross_entropy_grad,
    multiclass_hinge,
    multiclass_hinge_grad,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_focal,
    softmax_focal_grad,
)
from lossbook.losses.regression import (
    absolute_error,
    absolute_error_grad,
    gaussian_nll,
    gaussian_nll_grad,
    half_squared_error,
    half_squared_error_grad,
    huber,
    huber_grad,
    log_cosh,
    log_cosh_grad,
    poisson_nll,
    poisson_nll_grad,
    quantile,
    quantile_grad,
    smooth_l1,
    smooth_l1_grad,
    squared_error,
    squared_error_grad,
)
from lossbook.registry import LOSSES

__all__ = [
    "LOSSES",
    "absolute_error",
    "absolute_error_grad",
    "binary_cross_entropy",
    "binary_cross_entropy_grad",
    "brier",
    "brier_grad",
    "categorical_cross_entropy",
    "categorical_cross_entropy_grad",
    "exponential",
    "exponential_grad",
    "gaussian_nll",
    "gaussian_nll_grad",
    "half_squared_error",
    "half_squared_error_grad",
    "hinge",
    "hinge_grad",
    "huber",
    "huber_grad",
    "log_cosh",
    "log_cosh_grad",
    "logistic",
    "logistic_grad",
    "multiclass_hinge",
    "multiclass_hinge_grad",
    "perceptron",
    "perceptron_grad",
    "poisson_nll",
    "poisson_nll_grad",
    "quantile",
    "quantile_grad",
    "sigmoid_binary_cross_entropy",
    "sigmoid_binary_cross_entropy_grad",
    "sigmoid_focal",
    "sigmoid_focal_grad",
    "smooth_l1",
    "smooth_l1_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "softmax_focal",
    "softmax_focal_grad",
    "squared_error",
    "squared_error_grad",
    "squared_hinge",
    "squared_hinge_grad",
]
