"""Stable building blocks: each formula in the form that neither overflows nor cancels.

All work on the last axis where they need one, and keep dtype and device.
"""

from __future__ import annotations

from array_api_compat import device

from lossbook.arrays import array_namespace, class_ids, real, silent


@silent
def softplus(x, /):
    r"""Softplus, :math:`\log(1 + e^x)`, elementwise, for any real `x`.

    Computed as :math:`\max(x, 0) + \log(1 + e^{-|x|})`, which is what ``logaddexp(x, 0)`` does:
    the exponential never overflows, and for very negative `x` nothing is added to 1 and lost.

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1000.0, 0.0, 1000.0])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+03])
    """
    xp, x = real("x", x)
    return xp.logaddexp(x, xp.zeros_like(x))


@silent
def sigmoid(x, /):
    r"""Logistic sigmoid, :math:`1 / (1 + e^{-x})`, elementwise, for any real `x`.

    For negative `x` both numerator and denominator are multiplied by :math:`e^{x}`, so that only
    :math:`e^{-|x|} \le 1` is ever computed.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    xp, x = real("x", x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, xp.ones_like(x), small) / (1 + small)


@silent
def logsumexp(x, /):
    r"""Log of the sum of exponentials over the last axis, :math:`\log \sum_k e^{x_k}`.

    The largest term is factored out: what is left is :math:`m + \log(1 + r)`, where :math:`m` is
    the largest entry and :math:`r = \sum_{k \ne \arg\max} e^{x_k - m}`. Taking the 1 out of the
    sum keeps a tiny :math:`r` that adding it to 1 would lose.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([1000.0, 1000.0])).round(4)
    np.float64(1000.6931)
    """
    xp, x = real("x", x)
    _, _, rest = _around_maximum(xp, x)
    return xp.max(x, axis=-1) + xp.log1p(rest[..., 0])


@silent
def log_softmax(x, /):
    r"""Log-softmax over the last axis, :math:`x_k - \log \sum_j e^{x_j}`; same shape as `x`.

    Accurate relative to its own value: where one logit leads by 40, its log-probability is
    :math:`-4 \times 10^{-18}`, not 0.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([40.0, 0.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    xp, x = real("x", x)
    shifted, _, rest = _around_maximum(xp, x)
    return shifted - xp.log1p(rest)


@silent
def softmax(x, /):
    r"""Softmax over the last axis, :math:`e^{x_k} / \sum_j e^{x_j}`; same shape as `x`.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[0.0, np.log(3.0)]]))
    array([[0.25, 0.75]])
    """
    xp, x = real("x", x)
    shifted, _, rest = _around_maximum(xp, x)
    return xp.exp(shifted) / (1 + rest)


@silent
def softmax_complement(x, /):
    r"""One minus softmax, :math:`\sum_{j \ne k} e^{x_j} / \sum_j e^{x_j}`; same shape as `x`.

    Subtracting a softmax from 1 loses everything when it is close to 1. Only the largest entry can
    be, and for that one the sum of the others is at hand.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_complement(np.array([40.0, 0.0]))
    array([4.24835426e-18, 1.00000000e+00])
    >>> 1 - softmax(np.array([40.0, 0.0]))
    array([0., 1.])
    """
    xp, x = real("x", x)
    shifted, is_maximum, rest = _around_maximum(xp, x)
    return xp.where(is_maximum, rest, 1 + rest - xp.exp(shifted)) / (1 + rest)


def one_hot(ids, like, /):
    """Class ids as rows of 0 and 1, in the shape, dtype and device of `like`.

    Parameters
    ----------
    ids : integer array of shape (...)
    like : floating-point array of shape (..., classes)

    Raises
    ------
    TypeError, ValueError
        If `ids` is not of an integer dtype, has the wrong shape, or holds an id out of range.

    Examples
    --------
    >>> import numpy as np
    >>> one_hot(np.array([2, 0], np.uint8), np.zeros((2, 3)))
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    ids = class_ids("ids", ids, "like", like)
    xp = array_namespace(like=like)
    return xp.astype(_class_index(xp, like) == ids[..., None], like.dtype)


def _around_maximum(xp, x):
    """Each entry less the row's maximum, where that is, and the exponentials of all the others."""
    is_maximum = _class_index(xp, x) == xp.argmax(x, axis=-1, keepdims=True)
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    others = xp.where(is_maximum, xp.zeros_like(x), xp.exp(shifted))
    return shifted, is_maximum, xp.sum(others, axis=-1, keepdims=True)


def _class_index(xp, x):
    return xp.arange(x.shape[-1], device=device(x))
