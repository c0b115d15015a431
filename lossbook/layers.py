r"""Layers of a convolutional network in NumPy: forward passes, and backward passes by hand.

Each layer is a function and its backward pass. The backward pass takes `upstream`, the gradient of
a loss with respect to the layer's output, then the arguments of the forward pass, and gives the
gradient with respect to each of the arrays among them: one array, or a tuple of as many.

    >>> import numpy as np
    >>> x = np.array([[1.0, -2.0]])
    >>> relu(x)
    array([[1., 0.]])
    >>> relu_backward(np.ones((1, 2)), x)
    array([[1., 0.]])

:class:`Network` puts layers one after another. Its parameters and gradients are dicts of arrays, as
:mod:`lossbook.optim` takes them, and may have torch's names: shapes and conventions are those of
``torch.nn.functional``.

All arrays are NumPy's, and real. The results have the dtype of the layer's input, and each gradient
has that of its own array; half types are computed in float32. A NaN that comes in comes out.

Raises ``TypeError`` for anything but plain floating-point NumPy arrays, and ``ValueError`` for
shapes that do not fit together and for a stride, padding or window out of range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from array_api_compat import is_numpy_array
from numpy.lib.stride_tricks import sliding_window_view

from lossbook import checks
from lossbook.checks import silent

# Linear -------------------------------------------------------------------------------------------


@silent
def linear(x, weight, bias, /):
    r"""A linear layer, :math:`y_{nk} = b_k + \sum_d w_{kd}\, x_{nd}`.

    Parameters
    ----------
    x : array of shape (N, D)
    weight : array of shape (K, D)
    bias : array of shape (K,)

    Returns
    -------
    array of shape (N, K)

    Examples
    --------
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    x, weight, bias, own = _linear_arguments(x, weight, bias)
    return (x @ weight.T + bias).astype(own[0])


@silent
def linear_backward(upstream, x, weight, bias, /):
    r"""Backward pass of :func:`linear`.

    With :math:`g` the gradient with respect to the output,

    .. math::

        \frac{\partial L}{\partial x_{nd}} = \sum_k g_{nk} w_{kd}, \qquad
        \frac{\partial L}{\partial w_{kd}} = \sum_n g_{nk} x_{nd}, \qquad
        \frac{\partial L}{\partial b_k} = \sum_n g_{nk}.

    Parameters
    ----------
    upstream : array of shape (N, K)
    x, weight, bias : as in :func:`linear`

    Returns
    -------
    the gradients with respect to x, weight and bias

    Examples
    --------
    >>> x, weight, bias = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5])
    >>> linear_backward(np.array([[10.0]]), x, weight, bias)
    (array([[30., 40.]]), array([[10., 20.]]), array([10.]))
    """
    x, weight, bias, own = _linear_arguments(x, weight, bias)
    upstream = _upstream(upstream, (len(x), len(weight)), x)
    return _each_in(own, upstream @ weight, upstream.T @ x, upstream.sum(axis=0))


def _linear_arguments(x, weight, bias):
    (x, weight, bias), own = _arrays(x=x, weight=weight, bias=bias)
    _axes("x", x, "(N, D)")
    _axes("weight", weight, "(K, D)")
    if weight.shape[1] != x.shape[1]:
        raise ValueError(
            f"weight must have as many columns as x, (K, {x.shape[1]}), got shape {weight.shape}"
        )
    _bias(bias, weight)
    return x, weight, bias, own


# Convolution --------------------------------------------------------------------------------------


@silent
def conv2d(x, weight, bias, /, *, stride=1, padding=0):
    r"""A convolution as networks mean it, which slides the kernel without flipping it.

    With :math:`x` surrounded by a border of zeros, and with its own row :math:`i` and column
    :math:`j` for each entry of the kernel,

    .. math:: y_{nkuv} = b_k + \sum_{c, i, j} w_{kcij}\, x_{n, c, su + i, sv + j}.

    Parameters
    ----------
    x : array of shape (N, C, H, W), pictures of C channels
    weight : array of shape (K, C, h, w), a kernel for each of K output channels
    bias : array of shape (K,)
    stride : int of at least 1, or two of them, for rows and columns: how far the kernel moves
    padding : int of at least 0, or two of them: how many zeros stand on each side

    Returns
    -------
    array of shape (N, K, H', W'), where H' = (H + 2 padding - h) // stride + 1, and W' alike

    Source: V. Dumoulin and F. Visin (2016), A guide to convolution arithmetic for deep learning,
    arXiv:1603.07285, for the sizes.

    Examples
    --------
    >>> picture = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(picture, np.array([[[[1.0, -1.0]]]]), np.zeros(1))[0, 0]
    array([[-1., -1.],
           [-1., -1.],
           [-1., -1.]])
    """
    x, weight, bias, own, slide = _conv_arguments(x, weight, bias, stride, padding)
    y = np.tensordot(slide.windows(x, 0.0), weight, axes=((1, 4, 5), (1, 2, 3)))
    return np.ascontiguousarray(np.moveaxis(y + bias, -1, 1), own[0])


@silent
def conv2d_backward(upstream, x, weight, bias, /, *, stride=1, padding=0):
    r"""Backward pass of :func:`conv2d`.

    Every product :math:`w_{kcij}\, x_{n, c, su + i, sv + j}` of the forward pass gives a part of
    two gradients. With :math:`g` the gradient with respect to the output,

    .. math::

        \frac{\partial L}{\partial w_{kcij}}
            &= \sum_{n, u, v} g_{nkuv}\, x_{n, c, su + i, sv + j}, \\
        \frac{\partial L}{\partial x_{ncab}}
            &= \sum_{k, i, j} \sum_{\substack{u:\, su + i = a \\ v:\, sv + j = b}}
               g_{nkuv}\, w_{kcij}, \\
        \frac{\partial L}{\partial b_k} &= \sum_{n, u, v} g_{nkuv}.

    Parameters
    ----------
    upstream : array of the shape of the output, (N, K, H', W')
    x, weight, bias, stride, padding : as in :func:`conv2d`

    Returns
    -------
    the gradients with respect to x, weight and bias

    Examples
    --------
    >>> picture, kernel = np.ones((1, 1, 2, 3)), np.array([[[[1.0, -1.0]]]])
    >>> by_x, by_weight, by_bias = conv2d_backward(
    ...     np.ones((1, 1, 2, 2)), picture, kernel, np.zeros(1))
    >>> by_x[0, 0]
    array([[ 1.,  0., -1.],
           [ 1.,  0., -1.]])
    >>> by_weight, by_bias
    (array([[[[4., 4.]]]]), array([4.]))
    """
    x, weight, bias, own, slide = _conv_arguments(x, weight, bias, stride, padding)
    upstream = _upstream(upstream, (len(x), len(weight), *slide.output), x)
    by_weight = np.tensordot(upstream, slide.windows(x, 0.0), axes=((0, 2, 3), (0, 2, 3)))
    by_x = slide.gathered(
        x,
        lambda i, j: np.moveaxis(np.tensordot(upstream, weight[:, :, i, j], axes=(1, 0)), -1, 1),
    )
    return _each_in(own, by_x, by_weight, upstream.sum(axis=(0, 2, 3)))


def _conv_arguments(x, weight, bias, stride, padding):
    (x, weight, bias), own = _arrays(x=x, weight=weight, bias=bias)
    _axes("x", x, "(N, C, H, W)")
    _axes("weight", weight, "(K, C, h, w)")
    if weight.shape[1] != x.shape[1]:
        raise ValueError(
            f"weight must have the channels of x, (K, {x.shape[1]}, h, w), got shape {weight.shape}"
        )
    _bias(bias, weight)
    slide = Slide.of(x, "weight", weight.shape[2:], stride, padding)
    return x, weight, bias, own, slide


# Pooling and what has no parameters ---------------------------------------------------------------


@silent
def max_pool2d(x, /, *, size=2, stride=None, padding=0):
    r"""Max-pooling: the largest entry of each window.

    .. math:: y_{ncuv} = \max_{i, j} x_{n, c, su + i, sv + j}

    Rows and columns at the end that fill no window are left out.

    Parameters
    ----------
    x : array of shape (N, C, H, W)
    size : int of at least 1, or two of them, for rows and columns: of the window
    stride : int of at least 1, or two of them; if none is given, windows stand side by side
    padding : int of at least 0, or two of them, at most half the window's size: how many entries of
        minus infinity stand on each side, none of which is ever the largest

    Returns
    -------
    array of shape (N, C, H', W'), sizes as in :func:`conv2d`

    Examples
    --------
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4))[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    x, own, slide = _pool_arguments(x, size, stride, padding)
    return slide.windows(x, -np.inf).max(axis=(4, 5)).astype(own[0])


@silent
def max_pool2d_backward(upstream, x, /, *, size=2, stride=None, padding=0):
    r"""Backward pass of :func:`max_pool2d`: all goes to where the largest entry stands.

    A maximum has no derivative where two entries are the largest. Then the first of them in the
    order of reading takes all, which is a subgradient.

    Parameters
    ----------
    upstream : array of the shape of the output, (N, C, H', W')
    x, size, stride, padding : as in :func:`max_pool2d`

    Returns
    -------
    the gradient with respect to x

    Examples
    --------
    >>> max_pool2d_backward(np.full((1, 1, 1, 1), 3.0), np.array([[[[1.0, 2.0], [2.0, 0.0]]]]))
    array([[[[0., 3.],
             [0., 0.]]]])
    """
    x, own, slide = _pool_arguments(x, size, stride, padding)
    upstream = _upstream(upstream, (*x.shape[:2], *slide.output), x)
    seen = slide.windows(x, -np.inf)
    seen = seen.reshape(*seen.shape[:4], math.prod(slide.size))
    # Of a window that holds minus infinity alone, the first entry that is not of the border.
    inside = slide.windows(np.ones((1, 1, *x.shape[2:])), 0).reshape(
        1, 1, *slide.output, math.prod(slide.size)
    )
    first = np.where(seen.max(axis=-1) == -np.inf, inside.argmax(axis=-1), seen.argmax(axis=-1))
    by_x = slide.gathered(x, lambda i, j: upstream * (first == i * slide.size[1] + j))
    return _nan_where(np.isnan(x), by_x).astype(own[0])


def _pool_arguments(x, size, stride, padding):
    (x,), own = _arrays(x=x)
    _axes("x", x, "(N, C, H, W)")
    size = _pair("size", size, 1)
    slide = Slide.of(x, "size", size, size if stride is None else stride, padding)
    if any(2 * p > s for p, s in zip(slide.padding, size, strict=True)):
        raise ValueError(f"padding must be at most half of size {size}, got {slide.padding}")
    return x, own, slide


@silent
def relu(x, /):
    r"""Rectified linear unit, :math:`\max(x, 0)`, elementwise.

    Examples
    --------
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    (x,), own = _arrays(x=x)
    return np.maximum(x, 0).astype(own[0])


@silent
def relu_backward(upstream, x, /):
    r"""Backward pass of :func:`relu`: :math:`g` where :math:`x > 0`, else 0.

    At 0 every slope from 0 to 1 is a subgradient; this one is 0, as torch's is.

    Examples
    --------
    >>> relu_backward(np.array([5.0, 5.0, 5.0]), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 5.])
    """
    (x,), own = _arrays(x=x)
    passed = np.where(x > 0, _upstream(upstream, x.shape, x), 0)
    return _nan_where(np.isnan(x), passed).astype(own[0])


def flatten(x, /):
    """All axes but the first in one: (N, ...) becomes (N, D).

    Examples
    --------
    >>> flatten(np.zeros((2, 3, 4, 4))).shape
    (2, 48)
    """
    _, own = _arrays(x=x)
    if not x.ndim:
        raise ValueError("x must have shape (N, ...), got shape ()")
    return x.reshape(len(x), math.prod(x.shape[1:])).astype(own[0], copy=False)


def flatten_backward(upstream, x, /):
    """Backward pass of :func:`flatten`: the same numbers in the shape of x.

    Examples
    --------
    >>> flatten_backward(np.zeros((2, 48)), np.zeros((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """
    flat = flatten(x)
    return _upstream(upstream, flat.shape, flat).reshape(x.shape)


# Layers one after another -------------------------------------------------------------------------


class Layer(NamedTuple):
    """A layer: its forward pass, its backward pass, and the arrays it learns."""

    forward: Callable
    backward: Callable
    learns: tuple[str, ...] = ()


#: Every layer there is, by the name of its forward pass.
LAYERS = {
    "linear": Layer(linear, linear_backward, ("weight", "bias")),
    "conv2d": Layer(conv2d, conv2d_backward, ("weight", "bias")),
    "max_pool2d": Layer(max_pool2d, max_pool2d_backward),
    "relu": Layer(relu, relu_backward),
    "flatten": Layer(flatten, flatten_backward),
}


class Network:
    """Layers one after another: forward, keeping what comes in, and backward by the chain rule.

    Parameters
    ----------
    layers : dict from the name of each layer to its kind, one of ``LAYERS``, or to a pair of its
        kind and a dict of the options of its function

    The parameters of a layer called ``first`` are ``params["first.weight"]`` and
    ``params["first.bias"]``.

    Examples
    --------
    >>> network = Network({"hidden": "linear", "bend": "relu", "out": "linear"})
    >>> params = {"hidden.weight": np.array([[1.0], [-1.0]]), "hidden.bias": np.zeros(2),
    ...           "out.weight": np.array([[2.0, 3.0]]), "out.bias": np.zeros(1)}
    >>> outputs, kept = network.forward(params, np.array([[5.0]]))
    >>> outputs
    array([[10.]])
    >>> grads, by_x = network.backward(params, kept, np.array([[1.0]]))
    >>> grads["hidden.weight"], by_x
    (array([[10.],
           [ 0.]]), array([[2.]]))
    """

    def __init__(self, layers: Mapping):
        self.layers = {}
        for name, given in layers.items():
            kind, options = (given, {}) if isinstance(given, str) else given
            if kind not in LAYERS:
                raise ValueError(
                    f"layers[{name!r}] must be one of {', '.join(LAYERS)}, got {kind!r}"
                )
            self.layers[name] = (LAYERS[kind], dict(options))

    @property
    def names(self):
        """The names of all parameters, from the first layer to the last."""
        return [key for name in self.layers for key in self._keys(name)]

    def forward(self, params, x):
        """The outputs for the inputs `x`, and what each layer was given, for the way back."""
        missing = [key for key in self.names if key not in params]
        if missing or len(params) > len(self.names):
            wanted, got = (", ".join(keys) or "nothing" for keys in (self.names, params))
            raise ValueError(f"params must hold {wanted}, got {got}")
        kept = []
        for name, (layer, options) in self.layers.items():
            kept.append(x)
            x = layer.forward(x, *(params[key] for key in self._keys(name)), **options)
        return x, kept

    def backward(self, params, kept, upstream):
        """The gradients with respect to all parameters, and with respect to the inputs.

        Parameters
        ----------
        params : as in :meth:`forward`
        kept : the second result of :meth:`forward`
        upstream : the gradient of the loss with respect to the outputs
        """
        if len(kept) != len(self.layers):
            raise ValueError(
                f"kept must be what forward returned, one input for each of {len(self.layers)} "
                f"layers, got {len(kept)}"
            )
        grads = {}
        for (name, (layer, options)), x in zip(
            reversed(self.layers.items()), reversed(kept), strict=True
        ):
            keys = self._keys(name)
            found = layer.backward(upstream, x, *(params[key] for key in keys), **options)
            upstream, *of_params = found if keys else (found,)
            grads |= dict(zip(keys, of_params, strict=True))
        return {key: grads[key] for key in self.names}, upstream

    def _keys(self, name):
        return [f"{name}.{part}" for part in self.layers[name][0].learns]


# A window that slides over a picture --------------------------------------------------------------


@dataclass(frozen=True)
class Slide:
    """How a window slides over pictures: sizes in rows and columns.

    Attributes
    ----------
    size : of the window
    stride : how far it moves
    padding : what stands on each side of the picture
    output : how many places it takes
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    output: tuple[int, int]

    @classmethod
    def of(cls, x, name, size, stride, padding):
        """The slide of a window over `x`; refuses one that does not fit, called `name`."""
        stride, padding = _pair("stride", stride, 1), _pair("padding", padding, 0)
        room = tuple(length + 2 * p for length, p in zip(x.shape[2:], padding, strict=True))
        if any(not 1 <= s <= r for s, r in zip(size, room, strict=True)):
            raise ValueError(
                f"{name} must be a window that fits into the padded x of {room[0]} x {room[1]}, "
                f"got {size[0]} x {size[1]}"
            )
        output = tuple((r - s) // t + 1 for r, s, t in zip(room, size, stride, strict=True))
        return cls(tuple(size), stride, padding, output)

    def windows(self, x, border):
        """A view of x behind a border, (N, C, H', W', h, w): at each place what the window sees."""
        (top, side), (down, across) = self.padding, self.stride
        padded = np.pad(x, ((0, 0), (0, 0), (top, top), (side, side)), constant_values=border)
        return sliding_window_view(padded, self.size, axis=(2, 3))[:, :, ::down, ::across]

    def gathered(self, x, part):
        """What the places send back to the entries of x that they saw.

        `part(i, j)` is what each place sends to row i and column j of its window, (N, C, H', W').
        """
        (top, side), (down, across), (rows, columns) = self.padding, self.stride, self.output
        height, width = x.shape[2:]
        sent = np.zeros((*x.shape[:2], height + 2 * top, width + 2 * side), x.dtype)
        for i, j in np.ndindex(self.size):
            seen = sent[:, :, i : i + down * rows : down, j : j + across * columns : across]
            seen += part(i, j)
        return sent[:, :, top : top + height, side : side + width]


# Checks -------------------------------------------------------------------------------------------


def _arrays(**arrays):
    """The arrays in the dtype that the first is computed in, and the dtypes of all."""
    for name, array in arrays.items():
        checks.not_in_disguise(name, array)
        if not is_numpy_array(array):
            raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
        checks.real(name, array)
    first = next(iter(arrays.values())).dtype
    wide = np.result_type(first, np.float32)
    return [a.astype(wide, copy=False) for a in arrays.values()], [
        a.dtype.newbyteorder("=") for a in arrays.values()
    ]


def _upstream(upstream, shape, like):
    """The gradient from above, checked against the shape of the output, in the dtype of `like`."""
    (upstream,), _ = _arrays(upstream=upstream)
    checks.has_shape("upstream", upstream, "the output", tuple(shape))
    return upstream.astype(like.dtype, copy=False)


def _axes(name, array, shape):
    if array.ndim != shape.count(",") + 1:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")


def _bias(bias, weight):
    if bias.shape != weight.shape[:1]:
        raise ValueError(
            f"bias must have shape ({len(weight)},), one for each row of weight, got {bias.shape}"
        )


def _pair(name, value, least):
    """A whole number, for rows and columns alike, or two of them."""
    if not isinstance(value, (tuple, list)):
        return (checks.count(name, value, least),) * 2
    if len(value) != 2:
        raise ValueError(f"{name} must be one integer or two, got {len(value)} of them")
    return tuple(checks.count(name, v, least) for v in value)


def _each_in(dtypes, *gradients):
    return tuple(np.asarray(g, dtype) for g, dtype in zip(gradients, dtypes, strict=True))


def _nan_where(unknown, gradient):
    return np.where(unknown, np.nan, gradient)
