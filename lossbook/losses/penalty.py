r"""Penalties: one number for all parameters, added to a loss to keep them small.

A penalty takes an array of any shape, and its value has shape (); the penalty of several arrays is
the sum of theirs. There is no target, no strength (multiply the value and the gradient by it), and
nothing to weigh or to reduce: every reduction gives the same number. Of no parameters it is 0.

All raise ``TypeError`` for an argument that is not a floating-point array.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from lossbook.declaration import takes
from lossbook.spaces import PARAMETERS

__all__ = ["l1", "l1_grad", "l2", "l2_grad"]

_ONE_NUMBER = "a penalty is one number for all parameters; multiply it by its strength"


@takes(PARAMETERS, indivisible=_ONE_NUMBER)
def l1(parameters, /):
    r"""L1 penalty, :math:`\sum_i |w_i|`.

    Source: R. Tibshirani, "Regression shrinkage and selection via the lasso", *Journal of the Royal
    Statistical Society B* 58 (1996).

    Examples
    --------
    >>> import numpy as np
    >>> l1(np.array([3.0, -4.0, 0.0]))
    np.float64(7.0)
    """
    xp = array_namespace(parameters)
    return xp.sum(xp.abs(parameters))


@takes(PARAMETERS, indivisible=_ONE_NUMBER)
def l1_grad(parameters, /):
    r"""Gradient of :func:`l1`, :math:`\operatorname{sign}(w_i)`; 0 at :math:`w_i = 0`.

    Examples
    --------
    >>> import numpy as np
    >>> l1_grad(np.array([3.0, -4.0, 0.0]))
    array([ 1., -1.,  0.])
    """
    return array_namespace(parameters).sign(parameters)


@takes(PARAMETERS, indivisible=_ONE_NUMBER)
def l2(parameters, /):
    r"""L2 penalty, :math:`\frac12 \sum_i w_i^2`, whose gradient is the parameters themselves.

    It is half the square of the Euclidean norm. Source: A. E. Hoerl and R. W. Kennard, "Ridge
    regression: biased estimation for nonorthogonal problems", *Technometrics* 12 (1970).

    Examples
    --------
    >>> import numpy as np
    >>> l2(np.array([3.0, -4.0, 0.0]))
    np.float64(12.5)
    """
    return array_namespace(parameters).sum(parameters * (parameters / 2))


@takes(PARAMETERS, indivisible=_ONE_NUMBER)
def l2_grad(parameters, /):
    r"""Gradient of :func:`l2`, :math:`w_i`.

    Examples
    --------
    >>> import numpy as np
    >>> l2_grad(np.array([3.0, -4.0, 0.0]))
    array([ 3., -4.,  0.])
    """
    return 1 * parameters
