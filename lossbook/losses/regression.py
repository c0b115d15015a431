r"""Regression losses: a real prediction :math:`p`, a real target :math:`t`.

The residual is :math:`r = p - t`. Every function works elementwise and returns an array of the
prediction's shape and dtype; a gradient is that of the sum of the values with respect to the
prediction. `prediction` holds real floating-point numbers, `target` has exactly its shape and is
cast to its dtype. The one exception is :func:`gaussian_nll`, whose prediction carries a mean and a
log-variance on its last axis.

All raise ``TypeError`` for a prediction that is not a floating-point array, and ``ValueError`` for
a target of another shape or a hyperparameter out of range. Values have the units of the target
(squared, for the squared losses).
"""

from __future__ import annotations

import math

from array_api_compat import array_namespace

from lossbook.declaration import takes
from lossbook.numerics import clip
from lossbook.spaces import (
    COUNT,
    INSIDE_UNIT,
    LOG_RATE,
    MEAN_AND_LOG_VARIANCE,
    POSITIVE,
    REAL,
)

__all__ = [
    "squared_error",
    "squared_error_grad",
    "half_squared_error",
    "half_squared_error_grad",
    "absolute_error",
    "absolute_error_grad",
    "huber",
    "huber_grad",
    "smooth_l1",
    "smooth_l1_grad",
    "log_cosh",
    "log_cosh_grad",
    "quantile",
    "quantile_grad",
    "poisson_nll",
    "poisson_nll_grad",
    "gaussian_nll",
    "gaussian_nll_grad",
]


@takes(REAL, REAL)
def squared_error(prediction, target, /):
    r"""Squared error, :math:`(p - t)^2`, in squared units of the target.

    Source: A.-M. Legendre, *Nouvelles méthodes pour la détermination des orbites des comètes*
    (1805), where the sum of squared errors is made a minimum.

    Examples
    --------
    >>> import numpy as np
    >>> squared_error(np.array([1.0, 5.0]), np.array([3.0, 5.0]))
    array([4., 0.])
    """
    return (prediction - target) ** 2


@takes(REAL, REAL)
def squared_error_grad(prediction, target, /):
    r"""Gradient of :func:`squared_error`, :math:`2 (p - t)`.

    Examples
    --------
    >>> import numpy as np
    >>> squared_error_grad(np.array([1.0, 5.0]), np.array([3.0, 5.0]))
    array([-4.,  0.])
    """
    return 2 * (prediction - target)


def squared_error_value_and_grad(prediction, target, /):
    residual = prediction - target
    return residual**2, 2 * residual


@takes(REAL, REAL)
def half_squared_error(prediction, target, /):
    r"""Half the squared error, :math:`(p - t)^2 / 2`, whose gradient is the residual itself.

    It is the negative log-likelihood of a Gaussian of variance 1 without its constant
    :math:`\tfrac12 \log 2\pi`. Source: C. M. Bishop, *Pattern Recognition and Machine Learning*
    (2006), section 1.2.5.

    Examples
    --------
    >>> import numpy as np
    >>> half_squared_error(np.array([1.0, 5.0]), np.array([3.0, 5.0]))
    array([2., 0.])
    """
    residual = prediction - target
    return residual * (residual / 2)


@takes(REAL, REAL)
def half_squared_error_grad(prediction, target, /):
    r"""Gradient of :func:`half_squared_error`, :math:`p - t`.

    Examples
    --------
    >>> import numpy as np
    >>> half_squared_error_grad(np.array([1.0, 5.0]), np.array([3.0, 5.0]))
    array([-2.,  0.])
    """
    return prediction - target


def half_squared_error_value_and_grad(prediction, target, /):
    residual = prediction - target
    return residual * (residual / 2), residual


@takes(REAL, REAL)
def absolute_error(prediction, target, /):
    r"""Absolute error, :math:`|p - t|`, in units of the target.

    Source: P. J. Huber and E. M. Ronchetti, *Robust Statistics* (2nd ed., 2009), section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> absolute_error(np.array([1.0, 5.0]), np.array([3.0, 5.0]))
    array([2., 0.])
    """
    return abs(prediction - target)


@takes(REAL, REAL)
def absolute_error_grad(prediction, target, /):
    r"""Gradient of :func:`absolute_error`, :math:`\operatorname{sign}(p - t)`.

    At the kink, :math:`p = t`, every number in :math:`[-1, 1]` is a subgradient; 0 is chosen, so
    that an exact prediction stays where it is.

    Examples
    --------
    >>> import numpy as np
    >>> absolute_error_grad(np.array([1.0, 5.0, 9.0]), np.array([3.0, 5.0, 5.0]))
    array([-1.,  0.,  1.])
    """
    xp = array_namespace(prediction)
    return xp.sign(prediction - target)


def absolute_error_value_and_grad(prediction, target, /):
    residual = prediction - target
    return abs(residual), array_namespace(residual).sign(residual)


@takes(REAL, REAL, delta=POSITIVE)
def huber(prediction, target, /, *, delta=1.0):
    r"""Huber loss: a parabola near the target, a straight line far from it.

    It is :math:`r^2 / 2` where :math:`|r| \le \delta`, else :math:`\delta (|r| - \delta / 2)`.

    Parameters
    ----------
    delta : float > 0, in units of the target: where the parabola becomes a straight line.

    Source: P. J. Huber, "Robust estimation of a location parameter", *Annals of Mathematical
    Statistics* 35 (1964).

    Examples
    --------
    >>> import numpy as np
    >>> huber(np.array([0.5, 3.0]), np.array([0.0, 0.0]))
    array([0.125, 2.5  ])
    """
    xp = array_namespace(prediction)
    distance = abs(prediction - target)
    near = clip(distance, 0.0, delta)
    return xp.where(distance <= delta, near * (near / 2), delta * (distance - delta / 2))


@takes(REAL, REAL, delta=POSITIVE)
def huber_grad(prediction, target, /, *, delta=1.0):
    r"""Gradient of :func:`huber`: the residual, clipped to :math:`[-\delta, \delta]`.

    Examples
    --------
    >>> import numpy as np
    >>> huber_grad(np.array([0.5, 3.0]), np.array([0.0, 0.0]))
    array([0.5, 1. ])
    """
    return clip(prediction - target, -delta, delta)


def huber_value_and_grad(prediction, target, /, *, delta=1.0):
    """With :math:`c` the clipped residual, the value is :math:`c (r - c / 2)` on both branches."""
    residual = prediction - target
    clipped = clip(residual, -delta, delta)
    return clipped * (residual - clipped / 2), clipped


@takes(REAL, REAL, beta=POSITIVE)
def smooth_l1(prediction, target, /, *, beta=1.0):
    r"""Smooth L1 loss: a parabola near the target, a line of slope 1 far from it.

    It is :math:`r^2 / (2 \beta)` where :math:`|r| \le \beta`, else :math:`|r| - \beta / 2`. This is
    the Huber loss divided by its threshold, :math:`\text{huber}(\beta) / \beta`: far from the
    target the slope is 1 whatever `beta` is.

    Parameters
    ----------
    beta : float > 0, in units of the target.

    Source: R. Girshick, "Fast R-CNN", *ICCV* (2015), equation 3, where :math:`\beta = 1`.

    Examples
    --------
    >>> import numpy as np
    >>> smooth_l1(np.array([0.5, 3.0]), np.array([0.0, 0.0]), beta=2.0)
    array([0.0625, 2.    ])
    """
    xp = array_namespace(prediction)
    distance = abs(prediction - target)
    near = clip(distance, 0.0, beta)
    return xp.where(distance <= beta, near / beta * (near / 2), distance - beta / 2)


@takes(REAL, REAL, beta=POSITIVE)
def smooth_l1_grad(prediction, target, /, *, beta=1.0):
    r"""Gradient of :func:`smooth_l1`: :math:`r / \beta`, clipped to :math:`[-1, 1]`.

    Examples
    --------
    >>> import numpy as np
    >>> smooth_l1_grad(np.array([0.5, 3.0]), np.array([0.0, 0.0]), beta=2.0)
    array([0.25, 1.  ])
    """
    return clip((prediction - target) / beta, -1.0, 1.0)


def smooth_l1_value_and_grad(prediction, target, /, *, beta=1.0):
    """As for the Huber loss, divided by its threshold."""
    residual = prediction - target
    clipped = clip(residual, -beta, beta)
    slope = clipped / beta
    return slope * (residual - clipped / 2), slope


@takes(REAL, REAL)
def log_cosh(prediction, target, /):
    r"""Log-cosh loss, :math:`\log \cosh (p - t)`.

    It is about :math:`r^2 / 2` near the target and :math:`|r| - \log 2` far from it. For
    :math:`|r| < 1` it is computed as :math:`\log(1 + 2 \sinh^2(r / 2))`, which keeps tiny
    residuals; beyond, as :math:`|r| + \log(1 + e^{-2 |r|}) - \log 2`, which never overflows.

    Source: P. J. Green, "Bayesian reconstructions from emission tomography data using a modified
    EM algorithm", *IEEE Transactions on Medical Imaging* 9 (1990), as a potential.

    Examples
    --------
    >>> import numpy as np
    >>> log_cosh(np.array([0.0, 1000.0]), np.array([0.0, 0.0])).round(4)
    array([  0.    , 999.3069])
    """
    xp = array_namespace(prediction)
    distance = abs(prediction - target)
    near = xp.log1p(2 * xp.sinh(clip(distance, 0.0, 1.0) / 2) ** 2)
    far = distance + xp.log1p(xp.exp(-2 * distance)) - math.log(2)
    return xp.where(distance < 1, near, far)


@takes(REAL, REAL)
def log_cosh_grad(prediction, target, /):
    r"""Gradient of :func:`log_cosh`, :math:`\tanh(p - t)`.

    Examples
    --------
    >>> import numpy as np
    >>> log_cosh_grad(np.array([0.0, 1000.0]), np.array([0.0, 0.0]))
    array([0., 1.])
    """
    xp = array_namespace(prediction)
    return xp.tanh(prediction - target)


@takes(REAL, REAL, level=INSIDE_UNIT)
def quantile(prediction, target, /, *, level=0.5):
    r"""Quantile (pinball) loss: predictions too low and too high cost differently.

    It is :math:`\tau (t - p)` where :math:`t > p`, else :math:`(1 - \tau)(p - t)`.

    Parameters
    ----------
    level : float in (0, 1), the quantile :math:`\tau` that the best prediction estimates. At 0.5
        the loss is half the absolute error.

    Source: R. Koenker and G. Bassett, "Regression quantiles", *Econometrica* 46 (1978).

    Examples
    --------
    >>> import numpy as np
    >>> quantile(np.array([1.0, 5.0]), np.array([3.0, 4.0]), level=0.75)
    array([1.5 , 0.25])
    """
    xp = array_namespace(prediction)
    residual = prediction - target
    return xp.where(residual < 0, -level * residual, (1 - level) * residual)


@takes(REAL, REAL, level=INSIDE_UNIT)
def quantile_grad(prediction, target, /, *, level=0.5):
    r"""Gradient of :func:`quantile`.

    It is :math:`-\tau` where :math:`t > p` and :math:`1 - \tau` where :math:`t < p`. At the kink,
    :math:`p = t`, every number in :math:`[-\tau, 1 - \tau]` is a subgradient; 0 is chosen, as for
    the absolute error.

    Examples
    --------
    >>> import numpy as np
    >>> quantile_grad(np.array([1.0, 5.0, 3.0]), np.array([3.0, 4.0, 3.0]), level=0.75)
    array([-0.75,  0.25,  0.  ])
    """
    xp = array_namespace(prediction)
    sign = xp.sign(prediction - target)
    return xp.where(sign < 0, level * sign, (1 - level) * sign)


def quantile_value_and_grad(prediction, target, /, *, level=0.5):
    """The value is the slope times the residual, on both branches."""
    xp = array_namespace(prediction)
    residual = prediction - target
    sign = xp.sign(residual)
    slope = xp.where(sign < 0, level * sign, (1 - level) * sign)
    return slope * residual, slope


@takes(LOG_RATE, COUNT)
def poisson_nll(prediction, target, /):
    r"""Poisson negative log-likelihood of a count :math:`t` at log-rate :math:`z`.

    It is :math:`e^{z} - t z`. The constant :math:`\log t!` is left out. Counts need not be whole
    numbers, but at least 0.

    A rate of 0, at :math:`z = -\infty`, costs nothing where nothing was counted, else infinity, and
    an infinite rate always costs infinity.

    Parameters
    ----------
    prediction : the log-rate :math:`z`, any real number
    target : at least 0, shape of `prediction`

    Source: P. McCullagh and J. A. Nelder, *Generalized Linear Models* (2nd ed., 1989), chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> poisson_nll(np.array([0.0]), np.array([3.0]))
    array([1.])
    """
    xp = array_namespace(prediction)
    return rate_minus_reward(xp.exp(prediction), prediction, target)


@takes(LOG_RATE, COUNT)
def poisson_nll_grad(prediction, target, /):
    r"""Gradient of :func:`poisson_nll` with respect to the log-rate, :math:`e^{z} - t`.

    Examples
    --------
    >>> import numpy as np
    >>> poisson_nll_grad(np.array([0.0]), np.array([3.0]))
    array([-2.])
    """
    xp = array_namespace(prediction)
    return xp.exp(prediction) - target


def poisson_nll_value_and_grad(prediction, target, /):
    rate = array_namespace(prediction).exp(prediction)
    return rate_minus_reward(rate, prediction, target), rate - target


def rate_minus_reward(rate, prediction, target):
    r"""The rate minus the count times the log-rate, :math:`e^z - t z`. At infinity it is the limit.

    Where the rate overflows, :math:`z (e^z / z - t)` decides which of the two terms is the larger.
    """
    xp = array_namespace(prediction)
    zero, overflows = xp.zeros_like(rate), rate == xp.inf
    reward = xp.where((target == 0) & (rate == 0), zero, target * prediction)
    large = xp.where(overflows, prediction, zero + 1)
    beyond = large * (xp.exp(large - xp.log(clip(large, high=1e4))) - target)
    return xp.where(overflows, beyond, rate - reward)


@takes(MEAN_AND_LOG_VARIANCE, REAL)
def gaussian_nll(prediction, target, /):
    r"""Gaussian negative log-likelihood, :math:`\tfrac12 (s + (t - \mu)^2 e^{-s})`.

    The constant :math:`\tfrac12 \log 2\pi` is left out, and the density may exceed 1: negative
    values are normal. As :math:`s \to -\infty` it goes to :math:`-\infty` where the mean is exactly
    the target, and to infinity elsewhere.

    Parameters
    ----------
    prediction : shape (..., 2): mean :math:`\mu` and log-variance :math:`s` on the last axis
    target : shape (...)

    Returns
    -------
    array of shape (...)

    Source: D. A. Nix and A. S. Weigend, "Estimating the mean and variance of the target
    probability distribution", *ICNN* (1994).

    Examples
    --------
    >>> import numpy as np
    >>> gaussian_nll(np.array([[1.0, 0.0]]), np.array([3.0]))
    array([2.])
    """
    xp = array_namespace(prediction)
    square = standardised_residual(prediction, target) ** 2
    # An infinite square outweighs a log-variance of minus infinity.
    return xp.where(square == xp.inf, square, (prediction[..., 1] + square) / 2)


@takes(MEAN_AND_LOG_VARIANCE, REAL)
def gaussian_nll_grad(prediction, target, /):
    r"""Gradient of :func:`gaussian_nll` with respect to the mean and the log-variance.

    .. math:: (\mu - t) e^{-s} \quad\text{and}\quad \tfrac12 (1 - (t - \mu)^2 e^{-s})

    Examples
    --------
    >>> import numpy as np
    >>> gaussian_nll_grad(np.array([[1.0, 0.0]]), np.array([3.0]))
    array([[-2. , -1.5]])
    """
    xp = array_namespace(prediction)
    z = standardised_residual(prediction, target)
    settled = (z == 0) | xp.isinf(z)
    by_mean = xp.where(settled, z, z * xp.exp(-prediction[..., 1] / 2))
    return xp.stack([by_mean, (1 - z**2) / 2], axis=-1)


def standardised_residual(prediction, target):
    r"""The residual over the standard deviation, :math:`(\mu - t) e^{-s/2}`.

    It is multiplied by two factors one after the other, so that it overflows only if the result
    does. It is exactly 0 where the mean is the target, and infinite where the mean is infinite,
    whatever the standard deviation.
    """
    xp = array_namespace(prediction)
    residual, log_variance = prediction[..., 0] - target, prediction[..., 1]
    factor = xp.exp(-log_variance / 4)
    exact = (residual == 0) & ~xp.isnan(log_variance)
    exact = exact | (xp.isinf(residual) & xp.isfinite(log_variance))
    return xp.where(exact, residual, residual * factor * factor)
