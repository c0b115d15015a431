"""Stable building blocks: each formula in the form that neither overflows nor cancels.

All work on the last axis where they need one, and keep dtype and device.

An infinite entry stands for the limit as it grows. A softmax with a single entry of infinity is
certain of it, one with minus infinity gives that entry nothing, and of one class it is 1. Where two
entries are infinity, or all of several are minus infinity, there is no limit: what depends on which
of them grows faster is NaN.
"""

from __future__ import annotations

from array_api_compat import array_namespace, device, is_torch_array

from lossbook.declaration import takes
from lossbook.spaces import CLASS_ID, CLASS_ID_OR_ROW, CLASS_LOGITS, REAL, UNIT, rows_of


@takes(REAL)
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
    xp = array_namespace(x)
    return xp.logaddexp(x, xp.zeros_like(x))


@takes(REAL)
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
    xp = array_namespace(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, xp.ones_like(x), small) / (1 + small)


def around_maximum(x, /):
    """What the functions of a row share: its largest entry taken out, and what the others add.

    Returns
    -------
    each entry minus the largest of its row, whether it is the largest (of several the first), and
    for each row the sum of the exponentials of the others, on a last axis of length 1. Where the
    largest is infinite, this is 0 for that entry if it is the only one.

    Examples
    --------
    >>> import numpy as np
    >>> around_maximum(np.array([0.0, 40.0]))
    (array([-40.,   0.]), array([False,  True]), array([4.24835426e-18]))
    """
    xp = array_namespace(x)
    first = xp.argmax(x, axis=-1, keepdims=True)
    is_largest = xp.arange(x.shape[-1], device=device(x)) == first
    # Not the maximum, whose slope automatic differentiation shares out among equals.
    largest = picked(x, first)
    shifted, zero = x - largest, xp.zeros_like(x)
    rest = xp.sum(xp.where(is_largest, zero, xp.exp(shifted)), axis=-1, keepdims=True)
    # Infinity minus infinity is NaN: of the largest itself, and of each that is as large.
    alone = xp.isinf(largest) & ~xp.isnan(rest)
    rest = xp.where((largest == xp.inf) & ~alone, largest, rest)
    return xp.where(is_largest & alone, zero, shifted), is_largest, rest


@takes(CLASS_LOGITS)
def logsumexp(x, /):
    r"""Log of the sum of exponentials over the last axis, :math:`\log \sum_k e^{x_k}`.

    The largest term is factored out: what is left is :math:`m + \log(1 + r)`, where :math:`m` is
    the largest entry and :math:`r = \sum_{k \ne \arg\max} e^{x_k - m}`. Taking the 1 out of the
    sum keeps a tiny :math:`r` that adding it to 1 would lose. Of nothing but :math:`-\infty` it is
    :math:`-\infty`, and with an entry of :math:`\infty` it is :math:`\infty`.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([1000.0, 1000.0])).round(4)
    np.float64(1000.6931)
    """
    xp = array_namespace(x)
    _, _, rest = around_maximum(x)
    largest = picked(x, xp.argmax(x, axis=-1, keepdims=True))[..., 0]
    return xp.where(xp.isinf(largest), largest, largest + xp.log1p(rest[..., 0]))


@takes(CLASS_LOGITS)
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
    xp = array_namespace(x)
    shifted, _, rest = around_maximum(x)
    return shifted - xp.log1p(rest)


@takes(CLASS_LOGITS)
def softmax(x, /):
    r"""Softmax over the last axis, :math:`e^{x_k} / \sum_j e^{x_j}`; same shape as `x`.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[0.0, np.log(3.0)]]))
    array([[0.25, 0.75]])
    """
    xp = array_namespace(x)
    shifted, _, rest = around_maximum(x)
    return xp.exp(shifted) / (1 + rest)


@takes(CLASS_LOGITS)
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
    xp = array_namespace(x)
    shifted, is_largest, rest = around_maximum(x)
    # What is not the largest has at most a half, so that nothing is lost by subtracting it.
    return xp.where(is_largest, rest / (1 + rest), 1 - xp.exp(shifted) / (1 + rest))


@takes(REAL)
def sigmoid_parts(x, /):
    r"""Four functions of `x` from a single exponential, for who needs more than one of them.

    Returns
    -------
    softplus of `x`, softplus of `-x`, sigmoid of `x`, sigmoid of `-x` : arrays of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> [part.item() for part in sigmoid_parts(np.array([1000.0]))]
    [1000.0, 0.0, 1.0, 0.0]
    """
    xp = array_namespace(x)
    small = xp.exp(-xp.abs(x))
    tail, share = xp.log1p(small), 1 / (1 + small)
    is_positive = xp.astype(x >= 0, x.dtype)
    rises, falls = xp.maximum(small, is_positive), xp.maximum(small, 1 - is_positive)
    above, below = clip(x, 0.0), clip(-x, 0.0)
    return above + tail, below + tail, share * rises, share * falls


@takes(CLASS_LOGITS)
def softmax_parts(x, /):
    r"""Log-softmax, softmax and one minus softmax from a single exponential for each entry.

    Examples
    --------
    >>> import numpy as np
    >>> log_p, p, complement = softmax_parts(np.array([0.0, np.log(3.0)]))
    >>> p, complement
    (array([0.25, 0.75]), array([0.75, 0.25]))
    """
    xp = array_namespace(x)
    shifted, is_largest, rest = around_maximum(x)
    p = xp.exp(shifted) / (1 + rest)
    return shifted - xp.log1p(rest), p, xp.where(is_largest, rest / (1 + rest), 1 - p)


@takes(CLASS_LOGITS, CLASS_ID_OR_ROW, label_smoothing=UNIT)
def label_rows(logits, labels, /, *, label_smoothing=0.0):
    r"""Labels as rows of probabilities, smoothed to :math:`(1-\varepsilon) t_k + \varepsilon/K`.

    Parameters
    ----------
    logits : array of shape (..., K), for the shape, dtype and device of the rows
    labels : class ids of shape (...), or probabilities of shape (..., K)
    label_smoothing : float in [0, 1], the share :math:`\varepsilon` that is spread over all classes

    Examples
    --------
    >>> import numpy as np
    >>> label_rows(np.zeros((1, 4)), np.array([1]), label_smoothing=0.2)
    array([[0.05, 0.85, 0.05, 0.05]])
    """
    rows = labels if labels.ndim == logits.ndim else rows_of(labels, logits)
    if not label_smoothing:
        return rows
    return (1 - label_smoothing) * rows + label_smoothing / logits.shape[-1]


def clip(x, /, low=None, high=None):
    """Each entry of `x`, raised to `low` where it is below and lowered to `high` where above.

    Examples
    --------
    >>> import numpy as np
    >>> clip(np.array([-2.0, 0.5, 2.0]), -1.0, 1.0)
    array([-1. ,  0.5,  1. ])
    """
    if hasattr(x, "clip"):
        # The arrays' own, in NumPy and torch alike, takes a single pass.
        return x.clip(low, high)
    return array_namespace(x).clip(x, low, high)


def picked(rows, positions, /):
    """The entries of each row at `positions`, which has as many axes as `rows`.

    Examples
    --------
    >>> import numpy as np
    >>> picked(np.array([[0.5, 0.25, 0.25]]), np.array([[1]]))
    array([[0.25]])
    """
    if is_torch_array(rows):
        # The standard's function first makes negative positions fit, which takes longer than this.
        return rows.gather(-1, positions)
    return array_namespace(rows).take_along_axis(rows, positions, axis=-1)


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
    return rows_of(CLASS_ID.checked("ids", ids, "like", like, axes=1), like)
