"""Layers: each backward pass against torch's, differences and the chain rule's own identity."""

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbook import layers
from lossbook.layers import LAYERS, Network
from lossbook.torch import CNN

# Against torch, over sizes, strides and paddings --------------------------------------------------

#: Of what the terms of a sum add up to in absolute value; a sum here has fewer than 3,000 terms.
CLOSE = 1e-13


def agree(found, expected, scale):
    """Equal to torch's to rounding, relative to the absolute terms of each sum."""
    assert found.shape == tuple(expected.shape)
    assert found.dtype == np.float64
    assert np.all(np.abs(found - expected.detach().numpy()) <= CLOSE * scale)


def beside_torch(name, twin, arrays, rng, **options):
    """Forward and backward as torch has them, on the same numbers."""
    layer = LAYERS[name]
    leaves = [torch.from_numpy(a).requires_grad_() for a in arrays]
    expected = twin(*leaves)
    sizes = [np.abs(a) for a in arrays]
    y = layer.forward(*arrays, **options)
    agree(y, expected, np.abs(y) if name == "max_pool2d" else layer.forward(*sizes, **options))
    upstream = rng.normal(size=y.shape)
    expected.backward(torch.from_numpy(upstream))
    found = layer.backward(upstream, *arrays, **options)
    found = found if isinstance(found, tuple) else (found,)
    scales = layer.backward(np.abs(upstream), *(arrays if len(arrays) == 1 else sizes), **options)
    scales = scales if isinstance(scales, tuple) else (scales,)
    for gradient, leaf, scale in zip(found, leaves, scales, strict=True):
        agree(gradient, leaf.grad, scale)


lengths = st.integers(1, 4)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.tuples(lengths, lengths, lengths),
    room=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    window=pairs,
    stride=pairs,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=seeds,
)
def test_conv2d_is_torchs(sizes, room, window, stride, padding, seed):
    (n, c, k), rng = sizes, np.random.default_rng(seed)
    height, width = (max(1, w - 2 * p) + r for w, p, r in zip(window, padding, room, strict=True))
    arrays = [rng.normal(size=shape) for shape in ((n, c, height, width), (k, c, *window), (k,))]
    twin = partial(F.conv2d, stride=stride, padding=padding)
    beside_torch("conv2d", twin, arrays, rng, stride=stride, padding=padding)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.tuples(lengths, lengths),
    room=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    window=pairs,
    stride=pairs,
    padded=st.tuples(st.booleans(), st.booleans()),
    repeats=st.booleans(),
    seed=seeds,
)
def test_max_pool2d_is_torchs(sizes, room, window, stride, padded, repeats, seed):
    rng = np.random.default_rng(seed)
    padding = tuple(w // 2 if p else 0 for w, p in zip(window, padded, strict=True))
    x = rng.normal(size=(*sizes, *(w + r for w, r in zip(window, room, strict=True))))
    if repeats:
        # Many equal entries, infinite ones among them: the first takes all in torch too.
        x = rng.choice([0.0, 1.0, -math.inf, math.inf], size=x.shape)
    twin = partial(F.max_pool2d, kernel_size=window, stride=stride, padding=padding)
    if repeats:
        leaf = torch.from_numpy(x).requires_grad_()
        expected = twin(leaf)
        options = {"size": window, "stride": stride, "padding": padding}
        np.testing.assert_array_equal(layers.max_pool2d(x, **options), expected.detach().numpy())
        upstream = rng.integers(1, 9, size=tuple(expected.shape)).astype(np.float64)
        expected.backward(torch.from_numpy(upstream))
        found = layers.max_pool2d_backward(upstream, x, **options)
        np.testing.assert_array_equal(found, leaf.grad.numpy())
    else:
        beside_torch("max_pool2d", twin, [x], rng, size=window, stride=stride, padding=padding)


@settings(max_examples=50, deadline=None)
@given(sizes=st.tuples(*[st.integers(1, 9)] * 3), seed=seeds)
def test_linear_is_torchs(sizes, seed):
    (n, d, k), rng = sizes, np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in ((n, d), (k, d), (k,))]
    beside_torch("linear", F.linear, arrays, rng)


def test_relu_is_torchs_at_its_kink_too():
    x = np.array([[-math.inf, -1.0, -0.0, 0.0, 2.0, math.inf]])
    leaf = torch.from_numpy(x).requires_grad_()
    expected = F.relu(leaf)
    expected.backward(torch.full_like(leaf, 3.0))
    np.testing.assert_array_equal(layers.relu(x), expected.detach().numpy())
    np.testing.assert_array_equal(layers.relu_backward(np.full_like(x, 3.0), x), leaf.grad.numpy())


# Without torch ------------------------------------------------------------------------------------

EXAMPLES = {
    "linear": (((3, 4), (2, 4), (2,)), {}),
    "conv2d": (((2, 2, 5, 6), (3, 2, 3, 2), (3,)), {"stride": (2, 1), "padding": (1, 2)}),
    "max_pool2d": (((2, 3, 6, 5),), {"size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    "relu": (((4, 5),), {}),
    "flatten": (((3, 2, 2, 2),), {}),
}


@pytest.fixture(params=LAYERS)
def example(request):
    shapes, options = EXAMPLES[request.param]
    rng = np.random.default_rng(7)
    return LAYERS[request.param], [rng.normal(size=shape) for shape in shapes], options, rng


def test_every_backward_pass_is_the_slope_along_any_direction(example):
    layer, arrays, options, rng = example
    upstream = rng.normal(size=layer.forward(*arrays, **options).shape)
    found = layer.backward(upstream, *arrays, **options)
    found = found if isinstance(found, tuple) else (found,)
    for place, gradient in enumerate(found):
        direction = rng.normal(size=gradient.shape)

        def along(step, place=place, direction=direction):
            moved = list(arrays)
            moved[place] = moved[place] + step * direction
            return np.sum(upstream * layer.forward(*moved, **options))

        # Each of the passes is of first degree in each array, as long as no maximum changes.
        slope = (along(1e-4) - along(-1e-4)) / 2e-4
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-8)


def test_an_input_is_never_changed(example):
    layer, arrays, options, rng = example
    before = [a.copy() for a in arrays]
    upstream = rng.normal(size=layer.forward(*arrays, **options).shape)
    for a in (*arrays, upstream):
        a.flags.writeable = False
    layer.backward(upstream, *arrays, **options)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.longdouble])
def test_results_keep_the_type_and_each_gradient_that_of_its_array(example, dtype):
    layer, arrays, options, _ = example
    narrow = [arrays[0].astype(dtype), *arrays[1:]]
    y = layer.forward(*narrow, **options)
    assert y.dtype == np.dtype(dtype).newbyteorder("=")
    # Half types are rounded once, at the end.
    rounding = max(np.finfo(y.dtype).eps, np.finfo(np.float64).eps)
    wide = layer.forward(narrow[0].astype(np.float64), *arrays[1:], **options)
    np.testing.assert_allclose(y.astype(np.float64), wide, rtol=2 * rounding, atol=20 * rounding)
    found = layer.backward(np.ones_like(y), *narrow, **options)
    found = found if isinstance(found, tuple) else (found,)
    for gradient, array in zip(found, narrow, strict=True):
        assert gradient.dtype == array.dtype.newbyteorder("=")
        assert gradient.shape == array.shape


def test_a_sum_of_many_half_numbers_neither_overflows_nor_stands_still():
    ones = np.ones((1, 4096), np.float16)
    assert layers.linear(ones, np.ones((1, 4096)), np.full(1, -4000.0)) == 96
    assert (
        layers.linear_backward(np.ones((4096, 1)), ones.T, np.ones((1, 1)), np.ones(1))[2] == 4096
    )


def test_a_nan_in_comes_out(example):
    layer, arrays, options, rng = example
    upstream = rng.normal(size=layer.forward(*arrays, **options).shape)
    arrays[0].flat[0] = np.nan
    assert np.isnan(layer.forward(*arrays, **options)).any()
    if layer.learns:
        assert np.isnan(layer.backward(upstream, *arrays, **options)[1]).any()
    elif layer.forward is not layers.flatten:
        assert np.isnan(layer.backward(upstream, *arrays, **options).flat[0])
    # The largest, so that no maximum and no ReLU keeps what comes from above from it.
    arrays[0].flat[0] = 10.0
    upstream.flat[0] = np.nan
    found = layer.backward(upstream, *arrays, **options)
    assert np.isnan(np.concatenate([np.ravel(f) for f in found])).any()


# What is refused ----------------------------------------------------------------------------------

X, W, B = np.zeros((2, 3, 5, 5)), np.zeros((4, 3, 3, 3)), np.zeros(4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.relu([1.0]), TypeError, "x must be a NumPy array, got list"),
        (lambda: layers.relu(torch.ones(2)), TypeError, "x must be a NumPy array, got Tensor"),
        (lambda: layers.relu(np.arange(3)), TypeError, "x must hold real floating-point numbers"),
        (lambda: layers.relu(np.ma.array([1.0])), TypeError, "x must be a plain array"),
        (lambda: layers.flatten(np.array(1.0)), ValueError, r"x must have shape \(N, ...\)"),
        (
            lambda: layers.relu_backward(np.ones((2, 1)), np.ones(2)),
            ValueError,
            r"upstream has shape \(2, 1\) but the output has shape \(2,\)",
        ),
        (
            lambda: layers.conv2d(X[0], W, B),
            ValueError,
            r"x must have shape \(N, C, H, W\), got \(3, 5, 5\)",
        ),
        (lambda: layers.conv2d(X, W[0], B), ValueError, r"weight must have shape \(K, C, h, w\)"),
        (
            lambda: layers.conv2d(X, W[:, :2], B),
            ValueError,
            r"weight must have the channels of x, \(K, 3, h, w\), got shape \(4, 2, 3, 3\)",
        ),
        (lambda: layers.conv2d(X, W, B[:3]), ValueError, r"bias must have shape \(4,\)"),
        (lambda: layers.conv2d(X, W, B[:, None]), ValueError, r"bias must have shape \(4,\)"),
        (lambda: layers.conv2d(X, W, B, stride=0), ValueError, "stride must be an integer of at"),
        (lambda: layers.conv2d(X, W, B, stride=1.5), TypeError, "stride must be an integer"),
        (lambda: layers.conv2d(X, W, B, stride=(1, 2, 3)), ValueError, "stride must be one integ"),
        (lambda: layers.conv2d(X, W, B, padding=-1), ValueError, "padding must be an integer of"),
        (
            lambda: layers.conv2d(X[..., :2], W, B),
            ValueError,
            "weight must be a window that fits into the padded x of 5 x 2, got 3 x 3",
        ),
        (
            lambda: layers.conv2d_backward(np.ones((2, 4, 3, 2)), X, W, B),
            ValueError,
            r"upstream has shape \(2, 4, 3, 2\) but the output has shape \(2, 4, 3, 3\)",
        ),
        (lambda: layers.max_pool2d(X, size=6), ValueError, "size must be a window that fits"),
        (
            lambda: layers.max_pool2d(X, size=2, padding=2),
            ValueError,
            r"padding must be at most half of size \(2, 2\), got \(2, 2\)",
        ),
        (
            lambda: layers.linear(np.ones((2, 3)), np.ones((3, 2)), np.ones(3)),
            ValueError,
            r"weight must have as many columns as x, \(K, 3\), got shape \(3, 2\)",
        ),
        (
            lambda: Network({"first": "convolution"}),
            ValueError,
            r"layers\['first'\] must be one of linear, conv2d, .*, got 'convolution'",
        ),
        (
            lambda: Network({"a": "linear"}).forward({"a.weight": B}, X),
            ValueError,
            "params must hold a.weight, a.bias, got a.weight",
        ),
        (
            lambda: Network({"a": "relu"}).forward({"b.weight": B}, X),
            ValueError,
            "params must hold nothing, got b.weight",
        ),
        (
            lambda: Network({"a": "relu"}).backward({}, [], X),
            ValueError,
            "kept must be what forward returned, one input for each of 1 layers, got 0",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Whole networks -----------------------------------------------------------------------------------

#: The network of the last chapter, layer by layer, under the names that torch gives its parameters.
LIKE_CNN = {
    "features.0": ("conv2d", {"padding": 2}),
    "features.1": "max_pool2d",
    "features.2": "relu",
    "features.3": ("conv2d", {"padding": 1}),
    "features.4": "max_pool2d",
    "features.5": "relu",
    "classifier.0": "flatten",
    "classifier.1": "linear",
    "classifier.2": "relu",
    "classifier.3": "linear",
}


def test_the_network_of_the_last_chapter_is_torchs():
    twin, rng = CNN(seed=3).double(), np.random.default_rng(3)
    network = Network(LIKE_CNN)
    params = {name: p.detach().numpy() for name, p in twin.named_parameters()}
    assert network.names == list(params)
    images, upstream = rng.random((8, 1, 28, 28)), rng.normal(size=(8, 10))
    leaf = torch.from_numpy(images).requires_grad_()
    expected = twin(leaf)
    outputs, kept = network.forward(params, images)
    np.testing.assert_allclose(outputs, expected.detach().numpy(), rtol=1e-10, atol=1e-13)
    expected.backward(torch.from_numpy(upstream))
    grads, by_images = network.backward(params, kept, upstream)
    # Terms of either sign cancel in a gradient: it is compared with the largest of its array.
    for name, p in twin.named_parameters():
        scale = np.abs(grads[name]).max()
        np.testing.assert_allclose(grads[name], p.grad.numpy(), rtol=1e-10, atol=1e-12 * scale)
    scale = np.abs(by_images).max()
    np.testing.assert_allclose(by_images, leaf.grad.numpy(), rtol=1e-10, atol=1e-12 * scale)
