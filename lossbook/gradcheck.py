r"""Is a gradient right? Three witnesses that know nothing of its derivation are asked.

*Central differences* move an input a little both ways and watch the loss. *Complex steps* move it
along the imaginary axis, where nothing has to be subtracted, so that the step can be tiny and the
result is exact to rounding. *Automatic differentiation* lets torch apply the chain rule to the code
of the value. Of a loss of this book the complex step is taken with its SymPy formula, so that this
witness does not see the code at all.

At a kink of the loss the witnesses may rightly disagree: there is more than one subgradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from lossbook.checks import count, plain, same_shape, silent
from lossbook.extras import extra
from lossbook.loss import LOSSES, Loss

EPS = np.finfo(np.float64).eps


@silent
def central_difference(f, x, /, *, step=EPS ** (1 / 3)):
    r"""Gradient of the sum of ``f(x)`` by central differences, :math:`(f(x + h) - f(x - h)) / 2h`.

    Parameters
    ----------
    f : function of one array
    x : array of real numbers, any shape
    step : float > 0; for each entry :math:`h` is `step` times its size, or times 0.01 if that is
        more. The cube root of the machine epsilon balances the error of the formula, which grows
        with :math:`h^2`, and that of rounding, which grows with :math:`1 / h`.

    Examples
    --------
    >>> central_difference(lambda x: x**3, np.array([1.0, 2.0])).round(6)
    array([ 3., 12.])
    """
    x = _float64_copy(x)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        h = step * max(abs(x[index]), 0.01)
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        # Divided by the distance that rounding left, which is not quite 2 h.
        gradient[index] = np.sum(f(up) - f(down)) / (up[index] - down[index])
    return gradient


@silent
def complex_step(f, x, /, *, step=1e-30):
    r"""Gradient of the sum of ``f(x)`` by complex steps, :math:`\operatorname{Im} f(x + i h) / h`.

    `f` must take complex arrays and be analytic: ``abs``, which measures a complex number's length,
    is not; ``where(x < 0, -x, x)`` is.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or if ``f`` returns real numbers for complex ones.

    Source: W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
    functions", *SIAM Review* 40 (1998).

    Examples
    --------
    >>> complex_step(lambda x: x**3, np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    x = _float64_copy(x)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        moved = x.astype(np.complex128)
        moved[index] += 1j * step
        values = f(moved)
        if not np.iscomplexobj(values):
            raise TypeError("f must return complex numbers for complex ones, got real ones")
        gradient[index] = np.sum(values).imag / step
    return gradient


def autograd(f, x, /):
    """Gradient of the sum of ``f(x)`` by torch's automatic differentiation, as a NumPy array.

    `f` is called with a tensor. Where that is refused, as NumPy's functions do, it is called with
    an array that gives NumPy's functions to torch.

    Examples
    --------
    >>> autograd(lambda x: x**3, np.array([1.0, 2.0]))
    array([ 3., 12.])
    >>> autograd(lambda x: np.sum(np.sqrt(x)), np.array([1.0, 4.0]))
    array([0.5 , 0.25])
    """
    with extra("torch"):
        import torch

        from lossbook.torch.tracing import Traced

    x = torch.from_numpy(_float64_copy(x)).requires_grad_()
    try:
        values = f(x)
    except (TypeError, ValueError, RuntimeError, AttributeError):
        values = f(Traced(x))
    values.sum().backward()
    return x.grad.numpy()


@dataclass(frozen=True)
class Witness:
    """What one method says: the error it finds, what it may be, or why it says nothing.

    The error is the largest difference of the two gradients, relative to their largest entry. Where
    the loss is flat, as at its minimum, that is rounding: there it is relative to the slope of the
    loss a little way off.
    """

    method: str
    tolerance: float | None = None
    error: float | None = None
    note: str = ""

    @property
    def passed(self):
        """Whether the error is within the tolerance; None without an error."""
        return None if self.error is None else bool(self.error < self.tolerance)

    @property
    def finding(self):
        """The error in words; one that passes is not told apart from the tolerance."""
        if self.error is None:
            return f"not available: {self.note}"
        # Digits of a rounding error differ between machines, those of a wrong gradient do not.
        return f"error < {self.tolerance:.0e}" if self.passed else f"error {self.error:.3g}: WRONG"


@dataclass(frozen=True)
class GradientCheck:
    """The witnesses' findings on one gradient. `passed` says whether none disagrees."""

    name: str
    entries: int
    witnesses: tuple[Witness, ...]

    @property
    def passed(self):
        """Whether at least one method could be used, and each that could agrees."""
        verdicts = [w.passed for w in self.witnesses if w.passed is not None]
        return bool(verdicts) and all(verdicts)

    def __repr__(self):
        verdict = "passed" if self.passed else "FAILED"
        width = max(len(w.method) for w in self.witnesses)
        lines = (f"  {w.method:{width}}  {w.finding}" for w in self.witnesses)
        return "\n".join([f"gradient of {self.name}, {self.entries} entries: {verdict}", *lines])

    def _repr_markdown_(self):
        verdict = "passed" if self.passed else "**FAILED**"
        rows = [f"| {w.method} | {w.finding} |" for w in self.witnesses]
        head = f"| gradient of `{self.name}`, {self.entries} entries | {verdict} |"
        return "\n".join([head, "|:--|:--|", *rows])


def check_gradient(loss, /, *inputs, **hyperparameters):
    """Compare a gradient with central differences, complex steps and automatic differentiation.

    Parameters
    ----------
    loss : a name in ``LOSSES``, a row of it, or your own ``(value, gradient)``: two functions of
        the same arguments, in operators, NumPy's functions or torch's, of which the gradient is
        that of the sum of the values with respect to the first, or a tuple of those with respect
        to the first ones
    inputs : the prediction, in float64 and away from kinks, then the other arguments. Without any,
        a loss of the book is checked at :func:`example_inputs`. Several arrays of which there is a
        gradient are checked at once, as if they were one long prediction.
    hyperparameters : passed on

    Raises
    ------
    TypeError, ValueError
        If the prediction is no float64 array, an input is a masked array or a matrix, or the
        gradient does not have the shape of the prediction, or there are too many of them.

    Examples
    --------
    >>> p, t = np.array([0.5, 3.0]), np.array([0.0, 0.0])
    >>> check_gradient("huber", p, t, delta=1.0)
    gradient of huber, 2 entries: passed
      central differences        error < 1e-06
      complex steps              error < 1e-12
      automatic differentiation  error < 1e-12
    >>> def value(p, t):
    ...     return (p - t) ** 2
    >>> def gradient(p, t):
    ...     return p - t
    >>> check_gradient((value, gradient), p, t)
    gradient of value, 2 entries: FAILED
      central differences        error 0.5: WRONG
      complex steps              error 0.5: WRONG
      automatic differentiation  error 0.5: WRONG
    """
    ours = not isinstance(loss, tuple)
    if ours:
        row = loss if isinstance(loss, Loss) else LOSSES[loss]
        name, value, gradient = row.name, row.function, row.gradient
        inputs = inputs or example_inputs(row)
        formula = row.symbolic.lambdify(**row.hyperparameters | hyperparameters)
    else:
        value, gradient = loss
        name = value.__name__
    first = _float64("the prediction", inputs[0])
    rest = [
        plain(f"argument {place}", other) if isinstance(other, np.ndarray) else other
        for place, other in enumerate(inputs[1:], start=2)
    ]
    claimed = gradient(first, *rest, **hyperparameters)
    claims = claimed if isinstance(claimed, tuple) else (claimed,)
    if len(claims) > len(inputs):
        raise ValueError(f"there are {len(claims)} gradients but only {len(inputs)} arguments")
    several = [f"argument {place}" for place in range(1, len(claims) + 1)]
    names = several if len(claims) > 1 else ["the prediction"]
    moved = [first, *map(_float64, names[1:], rest)]
    others = rest[len(claims) - 1 :]
    gradients = []
    for argument, called, one in zip(moved, names, claims, strict=True):
        which = "the gradient" if len(claims) == 1 else f"the gradient of {called}"
        gradients.append(same_shape(which, plain(which, one), called, argument))
    prediction, apart = _joined(moved)
    claimed, _ = _joined(gradients)

    def of_prediction(x):
        return value(*apart(x), *others, **hyperparameters)

    def of_tensor(x):
        import torch

        if not isinstance(x, torch.Tensor):
            return of_prediction(x)
        tensors = (
            torch.from_numpy(_for_torch(o)) if isinstance(o, np.ndarray) else o for o in others
        )
        return value(*apart(x), *tensors, **hyperparameters)

    def of_complex(x):
        return formula(*apart(x), *others) if ours else of_prediction(x)

    differences = central_difference(of_prediction, prediction)

    @cache
    def nearby():
        return _slope_nearby(of_prediction, prediction)

    def relative_error(one, other):
        scale, gap = max(np.max(np.abs(one)), np.max(np.abs(other))), np.max(np.abs(one - other))
        if gap > 1e-12 * scale and scale < 1e-3 * nearby():
            scale = nearby()
        return float(gap / scale) if scale else 0.0

    @cache
    def extrapolated():
        # Of two steps the error in h^2 cancels, the one that counts where a loss bends quickly.
        doubled = central_difference(of_prediction, prediction, step=2 * EPS ** (1 / 3))
        return (4 * differences - doubled) / 3

    def error_of_differences(gradient):
        error = relative_error(gradient, differences)
        finer = error if error < 1e-6 else relative_error(gradient, extrapolated())
        return finer if finer < 1e-6 else error

    witnesses = [Witness("central differences", 1e-6, error_of_differences(claimed))]
    for method, differentiate, f in (
        ("complex steps", complex_step, of_complex),
        ("automatic differentiation", autograd, of_tensor),
    ):
        try:
            found = differentiate(f, prediction)
        except ModuleNotFoundError as error:
            witness = Witness(method, note=f"{error.name} is not installed")
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            if ours:
                raise
            witness = Witness(method, note=f"{type(error).__name__} from the value function")
        else:
            witness = Witness(method, 1e-12, relative_error(claimed, found))
            # Of one function there is one derivative: where it is not analytic, steps are not it.
            if not ours and f is of_complex and not error_of_differences(found) < 1e-6:
                witness = Witness(method, note="the value is not analytic")
        witnesses.append(witness)
    return GradientCheck(name, claimed.size, tuple(witnesses))


def example_inputs(loss, /, *, size=5, classes=4, seed=0):
    """Seeded inputs for a loss, drawn from what its prediction and target may hold.

    Parameters
    ----------
    loss : a name in ``LOSSES`` or a row of it
    size : int or tuple of int, the shape of the unreduced values
    classes : int, the length of the axis of classes, entries or pixels where there is one

    Returns
    -------
    prediction, target, or what else the loss takes : float64 arrays; class ids are integers. A loss
        whose values are those of whole arrays gets such arrays as `size` leaves room for.

    Examples
    --------
    >>> prediction, target = example_inputs("softmax_cross_entropy", size=3)
    >>> prediction.shape, target
    ((3, 4), array([1, 3, 2]))
    """
    row = loss if isinstance(loss, Loss) else LOSSES[loss]
    lengths = size if isinstance(size, tuple) else (size,)
    shape, classes = tuple(count("size", n, least=0) for n in lengths), count("classes", classes)
    rng = np.random.default_rng(count("seed", seed, least=0))
    return tuple(space.draw(rng, shape, classes) for space in row.function.spaces)


def _float64_copy(x, name="x"):
    """A float64 copy of an array of real numbers, in the one form that torch takes too."""
    x = plain(name, x)
    if not np.isdtype(x.dtype, ("real floating", "integral")):
        raise TypeError(f"{name} must hold real numbers, got dtype {x.dtype}")
    return np.array(x, np.float64, order="C")


def _float64(name, array):
    """A copy of what must be a float64 array."""
    if not isinstance(array, np.ndarray) or array.dtype.newbyteorder("=") != np.float64:
        got = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be a NumPy array of dtype float64, got {got}")
    return _float64_copy(array, name)


def _joined(arrays):
    """Several arrays as one long one, and the function that takes it apart; one alone as it is."""
    if len(arrays) == 1:
        return arrays[0], lambda x: (x,)
    ends = np.cumsum([array.size for array in arrays]).tolist()
    shapes = [array.shape for array in arrays]

    def apart(x):
        starts = [0, *ends[:-1]]
        parts = zip(starts, ends, shapes, strict=True)
        return tuple(x[start:end].reshape(shape) for start, end, shape in parts)

    return np.concatenate([array.ravel() for array in arrays]), apart


def _for_torch(array):
    """A copy as torch takes it, which is not every form, and of unsigned integers hardly any."""
    is_integer = np.issubdtype(array.dtype, np.integer)
    dtype = np.int64 if is_integer else array.dtype.newbyteorder("=")
    return np.array(array, dtype, order="C")


@silent
def _slope_nearby(f, x):
    """The steepest finite chord from x to where one entry is a tenth of its size, or 0.1, away."""
    slopes, start = [0.0], np.sum(f(x))
    for index in np.ndindex(x.shape):
        for step in 0.1 * max(abs(x[index]), 1.0) * np.array([1, -1]):
            moved = x.copy()
            moved[index] += step
            try:
                slopes.append(abs(np.sum(f(moved)) - start) / abs(step))
            except ValueError:
                # Outside the domain there is no chord.
                continue
    # An infinite one would make any error a small one.
    return float(max(slope for slope in slopes if np.isfinite(slope)))
