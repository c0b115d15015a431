r"""Optimisers: gradient descent with momentum, Adam and AdamW, as pure functions of their state.

An optimiser is a frozen set of hyperparameters with two methods. ``init(params)`` gives the state
before the first step; ``update(params, grads, state)`` gives new parameters and a new state, and
changes neither its arguments nor anything else::

    >>> import numpy as np
    >>> optimiser = SGD(lr=0.1)
    >>> params = [np.array([1.0, -2.0])]
    >>> state = optimiser.init(params)
    >>> params, state = optimiser.update(params, [2 * params[0]], state)
    >>> params
    [array([ 0.8, -1.6])]

`params` and `grads` are lists or dicts of NumPy arrays or torch tensors, alike in keys and shapes.
A learning rate is a number, or a function of the step: the number of updates made so far, from 0.

Raises ``TypeError`` for parameters that are not a list or dict of floating-point arrays, and
``ValueError`` for gradients of other keys or shapes and for a hyperparameter out of range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from lossbook.checks import cast_like, count, number, real, same_shape, silent


class Momentum(NamedTuple):
    """State of :class:`SGD`: how many steps were made, and the velocity of each parameter."""

    step: int
    velocity: Any


class Moments(NamedTuple):
    """State of :class:`Adam`: steps made, and running means of the gradient and of its square."""

    step: int
    mean: Any
    square: Any


@dataclass(frozen=True)
class SGD:
    r"""Gradient descent, plain, with momentum, or with Nesterov's momentum.

    With gradient :math:`g`, velocity :math:`v`, momentum :math:`\mu` and learning rate
    :math:`\eta`:

    .. math:: v \leftarrow \mu v + g, \qquad w \leftarrow w - \eta v,

    or, with Nesterov's momentum, :math:`w \leftarrow w - \eta (g + \mu v)`. Weight decay
    :math:`\lambda` adds :math:`\lambda w` to the gradient first.

    Parameters
    ----------
    lr : float >= 0, or callable of the step
    momentum : float in [0, 1)
    nesterov : bool; needs a momentum above 0
    weight_decay : float >= 0

    Sources: H. Robbins and S. Monro (1951); B. T. Polyak (1964); Y. Nesterov (1983). The velocity
    is scaled as in ``torch.optim.SGD``.
    """

    lr: float | Callable
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self):
        _check_rate(self)
        _check(self, "momentum", 0, 1, open_high=True)
        _check(self, "weight_decay", 0)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0")

    def init(self, params):
        """The state before the first step: no velocity."""
        return Momentum(0, _map(_zeros, params))

    @silent
    def update(self, params, grads, state):
        """One step; returns new parameters and a new state."""
        grads = _decayed(grads, params, self.weight_decay)
        velocity = _map(lambda v, g: self.momentum * v + g, state.velocity, grads)
        direction = velocity
        if self.nesterov:
            direction = _map(lambda g, v: g + self.momentum * v, grads, velocity)
        lr = _rate(self.lr, state.step)
        params = _map(lambda w, d: w - lr * d, params, direction)
        return params, Momentum(state.step + 1, velocity)


@dataclass(frozen=True)
class Adam:
    r"""Adam: momentum, with each parameter's step divided by the typical size of its gradient.

    With gradient :math:`g` at step :math:`k = 1, 2, \dots`

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1) g, & \hat m &= m / (1 - \beta_1^k), \\
        u &\leftarrow \beta_2 u + (1 - \beta_2) g^2, & \hat u &= u / (1 - \beta_2^k), \\
        w &\leftarrow w - \eta\, \hat m / (\sqrt{\hat u} + \epsilon).

    Weight decay :math:`\lambda` adds :math:`\lambda w` to the gradient first, where Adam then
    rescales it; :class:`AdamW` does not.

    Parameters
    ----------
    lr : float >= 0, or callable of the step
    betas : two floats in [0, 1)
    eps : float >= 0
    weight_decay : float >= 0

    Source: D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", *ICLR* (2015).

    Examples
    --------
    >>> import numpy as np
    >>> params = [np.array([1.0])]
    >>> optimiser = Adam(lr=0.1)
    >>> params, state = optimiser.update(params, [np.array([50.0])], optimiser.init(params))
    >>> params[0].round(6)  # the first step has the length of the rate, whatever the gradient
    array([0.9])
    """

    lr: float | Callable = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self):
        _check_rate(self)
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise TypeError(f"betas must be a tuple of two numbers in [0, 1), got {self.betas!r}")
        _check(self, "betas", 0, 1, open_high=True)
        _check(self, "eps", 0)
        _check(self, "weight_decay", 0)

    def init(self, params):
        """The state before the first step: both running means are 0."""
        return Moments(0, _map(_zeros, params), _map(_zeros, params))

    @silent
    def update(self, params, grads, state):
        """One step; returns new parameters and a new state."""
        return self._step(params, _decayed(grads, params, self.weight_decay), state)

    def _step(self, params, grads, state):
        beta1, beta2 = self.betas
        step = state.step + 1
        mean = _map(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, grads)
        square = _map(lambda u, g: beta2 * u + (1 - beta2) * g * g, state.square, grads)
        # Both bias corrections are numbers, so they are kept out of the arrays.
        length = _rate(self.lr, state.step) / (1 - beta1**step)
        scale = 1 / math.sqrt(1 - beta2**step)
        params = _map(
            lambda w, m, u: w - length * m / (scale * u**0.5 + self.eps), params, mean, square
        )
        return params, Moments(step, mean, square)


@dataclass(frozen=True)
class AdamW(Adam):
    r"""Adam with decoupled weight decay: :math:`w` first shrinks by :math:`\eta \lambda w`.

    Parameters are those of :class:`Adam`.

    Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", *ICLR* (2019),
    with the learning rate multiplying the decay, as in ``torch.optim.AdamW``.

    Examples
    --------
    >>> import numpy as np
    >>> params = {"w": np.array([1.0])}
    >>> optimiser = AdamW(lr=0.1, weight_decay=0.5)
    >>> params, state = optimiser.update(params, {"w": np.array([0.0])}, optimiser.init(params))
    >>> params["w"].round(6)
    array([0.95])
    """

    weight_decay: float = 0.01

    @silent
    def update(self, params, grads, state):
        """One step; returns new parameters and a new state."""
        grads = _checked(grads, params)
        shrink = 1 - _rate(self.lr, state.step) * self.weight_decay
        return self._step(_map(lambda w: shrink * w, params), grads, state)


def one_cycle(peak, steps, *, warmup=0.3, start=25.0, end=1e4):
    r"""A learning rate that rises from `peak` / `start` to `peak`, then falls to almost nothing.

    Both parts follow half a cosine; the last rate is `peak` / (`start` `end`). It equals
    ``torch.optim.lr_scheduler.OneCycleLR`` with its defaults.

    Parameters
    ----------
    peak : float > 0
    steps : int >= 2, how many updates will be made
    warmup : float in (0, 1), the share of the steps that rise

    Source: L. N. Smith and N. Topin, "Super-convergence" (2018).

    Examples
    --------
    >>> rate = one_cycle(0.1, 10, warmup=0.5)
    >>> [round(rate(step), 4) for step in (0, 4, 9)]
    [0.004, 0.1, 0.0]
    """
    number("peak", peak, 0, open_low=True)
    steps = count("steps", steps, 2)
    number("warmup", warmup, 0, 1, open_low=True, open_high=True)
    number("start", start, 1)
    number("end", end, 1)
    first, last = peak / start, peak / start / end
    turn = warmup * steps - 1

    def rate(step):
        if step < turn:
            return _half_cosine(first, peak, step / turn)
        return _half_cosine(peak, last, min(1.0, (step - turn) / (steps - 1 - turn)))

    return rate


def cosine(peak, steps):
    r"""A learning rate that falls from `peak` to 0 along half a cosine over `steps` updates.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    *ICLR* (2017), without the restarts.

    Examples
    --------
    >>> rate = cosine(0.1, 10)
    >>> [round(rate(step), 4) for step in (0, 5, 10)]
    [0.1, 0.05, 0.0]
    """
    number("peak", peak, 0, open_low=True)
    steps = count("steps", steps)
    return lambda step: _half_cosine(peak, 0.0, min(1.0, step / steps))


def _half_cosine(first, last, share):
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _check(optimiser, name, low, high=math.inf, **ends):
    """Check a hyperparameter, or a tuple of them, and keep it as Python numbers.

    A NumPy number would turn float32 parameters into float64 ones.
    """
    value = getattr(optimiser, name)
    if isinstance(value, (tuple, list)):
        value = tuple(
            number(f"{name}[{i}]", part, low, high, **ends) for i, part in enumerate(value)
        )
    else:
        value = number(name, value, low, high, **ends)
    object.__setattr__(optimiser, name, value)


def _check_rate(optimiser):
    if not callable(optimiser.lr):
        _check(optimiser, "lr", 0)


def _rate(lr, step):
    return number("lr(step)", lr(step), 0) if callable(lr) else lr


def _checked(grads, params):
    """The gradients, each of its parameter's shape, dtype and device."""

    def checked(parameter, gradient):
        real("a parameter", parameter)
        gradient = cast_like("its gradient", gradient, "a parameter", parameter)
        return same_shape("its gradient", gradient, "a parameter", parameter)

    return _map(checked, params, grads)


def _decayed(grads, params, weight_decay):
    """The gradients, checked against the parameters, plus that of the penalty."""
    grads = _checked(grads, params)
    if not weight_decay:
        return grads
    return _map(lambda g, w: g + weight_decay * w, grads, params)


def _zeros(array):
    xp, array = real("a parameter", array)
    return xp.zeros_like(array)


def _map(function, first, *others):
    """Apply a function to the arrays of alike lists or dicts."""
    if not isinstance(first, (list, dict)):
        raise TypeError(f"params must be a list or a dict of arrays, got {type(first).__name__}")
    for other in others:
        if _structure(other) != _structure(first):
            raise ValueError(
                "params, grads and state must be alike, "
                f"got a {_structure(first)} and a {_structure(other)}"
            )
    if isinstance(first, dict):
        return {key: function(array, *(o[key] for o in others)) for key, array in first.items()}
    return [function(*arrays) for arrays in zip(first, *others, strict=True)]


def _structure(arrays):
    if isinstance(arrays, dict):
        return f"dict of {', '.join(sorted(map(str, arrays)))}"
    if isinstance(arrays, list):
        return f"list of {len(arrays)}"
    return type(arrays).__name__
