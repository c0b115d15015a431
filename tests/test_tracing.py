"""Ordinary NumPy code has three witnesses too."""

import numpy as np
import pytest
import torch
from scipy import special

from lossbook.gradcheck import autograd, check_gradient, complex_step
from lossbook.torch.tracing import Traced

X = np.array([[0.5, 1.5, 0.25], [2.0, 0.75, 1.25]])
T = np.array([[0.25, 1.0, 1.0], [1.0, 2.0, 0.5]])

# What a reader may write, analytic so that complex steps are the exact answer.
FUNCTIONS = {
    "ufuncs": lambda x: np.exp(-x) * np.log1p(x) + np.sqrt(x) / np.cosh(x),
    "operators with an array on the left": lambda x: T - x * T**2 + 2**x,
    "sum along an axis": lambda x: np.sum(x * T, axis=-1) ** 2,
    "mean and keepdims": lambda x: x / np.mean(x, axis=1, keepdims=True),
    "a method": lambda x: x.sum(axis=0) ** 3,
    "where": lambda x: np.where(T < 1, x**2, np.sin(x)),
    "matrix product": lambda x: (x @ T.T) ** 2,
    "slices": lambda x: x[:, 0] * x[:, 1:].sum(axis=1),
    "ids": lambda x: np.log(x[np.arange(2), np.array([0, 2])]),
    "stack": lambda x: np.stack([x[0] ** 2, x[1]]).prod(axis=0),
    "concatenate": lambda x: np.concatenate([x, x**2], axis=1) ** 2,
    "SciPy": lambda x: special.erf(x) * x,
    "power": lambda x: np.power(x, 1.5) + np.square(x) + np.reciprocal(x),
}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_numpy_code_is_differentiated(f):
    np.testing.assert_allclose(autograd(f, X), complex_step(f, X), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.maximum(x, 1.0) * np.minimum(2.0, x),
        lambda x: np.abs(x - T),
        lambda x: np.maximum(0, x - 1) + np.minimum(x, 2) ** 2,
        lambda x: np.maximum(0, 1 - np.max(x, -1)),
        lambda x: np.clip(x, 0.6, 1.4),
        lambda x: np.max(x, axis=-1),
        lambda x: np.where(x > 1, x, 0.0),
        # No complex step checks these: NumPy takes a variance of squared lengths.
        lambda x: np.var(x * T, axis=1) + np.std(x * T, axis=1, ddof=1),
        lambda x: (x * T).std() + (x * T).var(),
    ],
)
def test_numpy_code_is_differentiated_as_differences_say(f):
    plain = autograd(f, X)
    moved = (f(X + 1e-7).sum() - f(X - 1e-7).sum()) / 2e-7
    assert plain.sum() == pytest.approx(moved, rel=1e-6)


def test_all_witnesses_speak_of_numpy_code():
    def value(p, t):
        return np.sqrt(1 + (p - t) ** 2) - 1

    def gradient(p, t):
        return (p - t) / np.sqrt(1 + (p - t) ** 2)

    check = check_gradient((value, gradient), X, T)
    assert [witness.passed for witness in check.witnesses] == [True] * 3
    wrong = check_gradient((value, lambda p, t: p - t), X, T)
    assert [witness.passed for witness in wrong.witnesses] == [False] * 3


def test_what_torch_does_not_have_is_said():
    check = check_gradient((doubled_in_tenths, lambda x: 2 * np.ones_like(x)), X[0])
    assert check.witnesses[0].passed
    assert check.witnesses[2].finding == "not available: TypeError from the value function"


@pytest.mark.parametrize("f", [np.median, lambda x: np.sort(x)[0], lambda x: np.gradient(x)])
def test_functions_that_only_share_a_name_are_not_taken(f):
    with pytest.raises((TypeError, AttributeError)):
        f(Traced(torch.tensor([1.0, 4.0, 2.0, 8.0])))


def doubled_in_tenths(x):
    return np.interp(x, np.linspace(0, 10, 101), np.linspace(0, 20, 101))


def test_a_traced_array_looks_like_what_it_holds():
    traced = Traced(torch.ones(2, 3))
    assert traced.shape == (2, 3)
    assert traced.ndim == 2
    assert len(traced) == 2
