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

Parameters keep their dtype. For half types the step is computed, and the state kept, in float32,
and only the new parameter is rounded: in float16 Adam's ``eps`` of 1e-8 would be 0, and the square
of a gradient of 300 infinite. Gradients come in any real dtype.

A NaN in a gradient makes its weight NaN, and so does an infinite one in Adam; in SGD an infinite
gradient makes the weight infinite, or NaN. The weight stays so: nothing is overlooked. A finite
step that leaves the range of the parameter's dtype comes out infinite.

Raises ``TypeError`` for parameters that are not a list or dict of floating-point arrays and for a
state of another optimiser, and ``ValueError`` for gradients or a state of other keys or shapes and
for a hyperparameter out of range. The message calls an array by its key: ``grads['w']``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from lossbook.checks import as_like, cast_like, count, number, real, same_shape, silent
from lossbook.numerics import clip


class Momentum(NamedTuple):
    """State of :class:`SGD`: how many steps were made, and the velocity of each parameter."""

    step: int
    velocity: Any


class Moments(NamedTuple):
    """State of :class:`Adam`: steps made, and each gradient's running mean and root mean square."""

    step: int
    mean: Any
    rms: Any


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
        if not isinstance(self.nesterov, (bool, np.bool_)):
            raise TypeError(f"nesterov must be True or False, got {self.nesterov!r}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0")

    def init(self, params):
        """The state before the first step: no velocity."""
        return Momentum(0, _zeros(params))

    @silent
    def update(self, params, grads, state):
        """One step; returns new parameters and a new state."""
        weights, grads, state = _checked(params, grads, state, Momentum)
        grads = _decayed(grads, weights, self.weight_decay)
        velocity = _map(lambda v, g: self.momentum * v + g, state.velocity, grads)
        direction = velocity
        if self.nesterov:
            direction = _map(lambda g, v: g + self.momentum * v, grads, velocity)
        lr = _rate(self.lr, state.step)
        moved = _map(lambda w, d: w - _times(lr, d), weights, direction)
        return _rounded(moved, params), Momentum(state.step + 1, velocity)


@dataclass(frozen=True)
class Adam:
    r"""Adam: momentum, with each parameter's step divided by the typical size of its gradient.

    With gradient :math:`g` at step :math:`k = 1, 2, \dots`

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1) g, & \hat m &= m / (1 - \beta_1^k), \\
        u &\leftarrow \beta_2 u + (1 - \beta_2) g^2, & \hat u &= u / (1 - \beta_2^k), \\
        w &\leftarrow w - \eta\, \hat m / (\sqrt{\hat u} + \epsilon).

    where 0/0 is taken as 0: with :math:`\epsilon = 0`, a weight that had no gradient yet stays.
    Weight decay :math:`\lambda` adds :math:`\lambda w` to the gradient first, where Adam then
    rescales it; :class:`AdamW` does not.

    The state holds :math:`\sqrt u`, not :math:`u`: a square overflows, or vanishes, where the
    gradient itself does not. From one step to the next,
    :math:`\sqrt u \leftarrow \operatorname{hypot}(\sqrt{\beta_2} \sqrt u, \sqrt{1 - \beta_2}\, g)`
    squares nothing.

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
        return Moments(0, _zeros(params), _zeros(params))

    @silent
    def update(self, params, grads, state):
        """One step; returns new parameters and a new state."""
        weights, grads, state = _checked(params, grads, state, Moments)
        moved, state = self._step(weights, _decayed(grads, weights, self.weight_decay), state)
        return _rounded(moved, params), state

    def _step(self, weights, grads, state):
        beta1, beta2 = self.betas
        step = state.step + 1
        mean = _map(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, grads)
        rms = _map(lambda r, g: _root(beta2, r, g), state.rms, grads)
        # Both bias corrections are numbers, so they are kept out of the arrays.
        lr, scale = _rate(self.lr, state.step) / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
        weights = _map(
            lambda w, m, r: w - _times(lr, m / _positive(scale * r + self.eps)), weights, mean, rms
        )
        return weights, Moments(step, mean, rms)


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
        weights, grads, state = _checked(params, grads, state, Moments)
        shrink = 1 - _rate(self.lr, state.step) * self.weight_decay
        moved, state = self._step(_map(lambda w: shrink * w, weights), grads, state)
        return _rounded(moved, params), state


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
    # Python's numbers: a narrow type's would be rounded, or overflow.
    peak = number("peak", peak, 0, open_low=True)
    steps = count("steps", steps, 2)
    warmup = number("warmup", warmup, 0, 1, open_low=True, open_high=True)
    start, end = number("start", start, 1), number("end", end, 1)
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
    peak, steps = number("peak", peak, 0, open_low=True), count("steps", steps)
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


def _names(kind, arrays):
    """What messages call each array: params['w'], grads[0]."""
    if isinstance(arrays, dict):
        return {key: f"{kind}[{key!r}]" for key in arrays}
    if isinstance(arrays, list):
        return [f"{kind}[{index}]" for index in range(len(arrays))]
    raise TypeError(f"params must be a list or a dict of arrays, got {type(arrays).__name__}")


def _zeros(params):
    """Zeros in the shape of each parameter and the dtype that it is computed in."""
    widened = _map(_widened, _names("params", params), params)
    return _map(lambda w: array_namespace(w).zeros_like(w), widened)


def _widened(name, parameter):
    """A parameter in the dtype that it is computed in, which is float32 at least."""
    xp, parameter = real(name, parameter)
    return as_like(parameter, parameter, xp.result_type(parameter.dtype, xp.float32))


def _checked(params, grads, state, kind):
    """All arrays in the dtypes that are computed in, each checked against its parameter."""
    if not isinstance(state, kind):
        raise TypeError(
            f"state must be a {kind.__name__}, as init returns it, got {type(state).__name__}"
        )
    names = _names("params", params)
    weights = _map(_widened, names, params)

    def checked(name, arrays):
        return _map(_alike, names, weights, _names(name, params), arrays)

    parts = {
        key: checked(f"state.{key}", arrays)
        for key, arrays in zip(kind._fields[1:], state[1:], strict=True)
    }
    return weights, checked("grads", grads), kind(count("state.step", state.step, 0), **parts)


def _alike(parameter_name, parameter, name, array):
    """An array of the shape of a parameter, in its dtype and on its device."""
    array = cast_like(name, array, parameter_name, parameter)
    return same_shape(name, array, parameter_name, parameter)


def _rounded(weights, params):
    """The new parameters in the dtypes of the old ones."""
    return _map(lambda new, old: as_like(new, old, old.dtype), weights, params)


def _decayed(grads, weights, weight_decay):
    """The gradients, plus that of the penalty."""
    if not weight_decay:
        return grads
    return _map(lambda g, w: g + weight_decay * w, grads, weights)


def _root(beta, root, gradient):
    """The root of the running mean of squares, one gradient later."""
    # A root that is multiplied by the rounded root of beta is off to the same side at each step.
    # What it loses is small, and so is the rounding of that.
    lost = (1 - beta) / (1 + math.sqrt(beta))
    xp = array_namespace(root)
    return xp.hypot(root - lost * root, math.sqrt(1 - beta) * gradient)


def _positive(array):
    """An array without its zeros: a mean of 0 stays 0 when it is divided by one."""
    limits = array_namespace(array).finfo(array.dtype)
    return clip(array, float(limits.smallest_normal) * float(limits.eps))


def _times(rate, array):
    """A learning rate times an array, in float64 if the array's dtype cannot hold the rate."""
    xp = array_namespace(array)
    limits = xp.finfo(array.dtype)
    if rate and not float(limits.smallest_normal) <= rate <= float(limits.max):
        array = xp.astype(array, xp.float64)
    return rate * array


def _map(function, first, *others):
    """Apply a function to the arrays of alike lists or dicts."""
    for other in others:
        if not _are_alike(first, other):
            raise ValueError(
                "params, grads and state must be alike, "
                f"got a {_structure(first)} and a {_structure(other)}"
            )
    if isinstance(first, dict):
        return {key: _array(function(*(each[key] for each in (first, *others)))) for key in first}
    return [_array(function(*arrays)) for arrays in zip(first, *others, strict=True)]


def _array(result):
    # NumPy's arithmetic turns an array without axes into a number.
    return np.asarray(result) if isinstance(result, np.generic) else result


def _are_alike(one, other):
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys()
    return isinstance(other, list) and len(one) == len(other)


def _structure(arrays):
    if isinstance(arrays, dict):
        return f"dict of {', '.join(map(str, arrays))}"
    if isinstance(arrays, list):
        return f"list of {len(arrays)}"
    return type(arrays).__name__
