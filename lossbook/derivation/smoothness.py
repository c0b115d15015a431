"""Where an expression has no value, and where a derivative that was taken does not exist."""

import functools
from dataclasses import dataclass, field

import sympy as sp

from lossbook.derivation.enclosure import ENCLOSURES, KINKED, Undefined, Unresolved, known_value
from lossbook.derivation.points import boundaries_of, coefficients


@dataclass(frozen=True)
class Slope:
    """A derivative that was taken; `meaning` holds what defined symbols of it stand for."""

    function: sp.Expr
    variable: sp.Symbol
    meaning: dict = field(default_factory=dict, compare=False)

    @functools.cached_property
    def boundaries(self):
        return boundaries_of(self.function)

    @functools.cached_property
    def at_hand(self):
        """What can make the derivative fail, in the symbols that points have."""
        return [boundary.xreplace(self.meaning) for boundary in self.boundaries]

    def at(self, put):
        """The same slope, with `put` for symbols of points."""
        return Slope(self.function, self.variable, {**self.meaning, **put})

    def fails(self, point):
        """The boundary at `point` on which the derivative does not exist, if there is one."""
        inner = point | {s: x.xreplace(point) for s, x in self.meaning.items()}
        pairs = zip(self.boundaries, self.at_hand, strict=True)
        at = [boundary for boundary, seen in pairs if vanishes(seen, point)]
        return at[0] if at and not self._exists(inner) else None

    def _exists(self, point):
        if not all(value.is_Rational for value in point.values()):
            return False
        beside = [_beside(self.function, point, self.variable, side) for side in (-1, 1)]
        if None in beside:
            return False
        slopes = [sp.diff(f, self.variable) for f in beside]
        taken = sp.diff(self.function, self.variable)
        return _agree([self.function, *beside], point) and _agree([taken, *slopes], point)

    def is_lost(self, point):
        """Whether the derivative has no value at `point` although its function has one."""
        inner = point | {s: x.xreplace(point) for s, x in self.meaning.items()}
        if not all(value.is_Rational for value in inner.values()):
            return False
        taken = sp.diff(self.function, self.variable)
        return known_value(taken, inner) is None and known_value(self.function, inner) is not None

    def words(self, boundary):
        """`boundary` as a condition on the variable."""
        slopes = coefficients(boundary, self.variable)
        if slopes is not None and len(slopes) == 2:
            return f"{self.variable} = {sp.expand(-slopes[1] / slopes[0])}"
        return f"{boundary} = 0"


def vanishes(function, point):
    """Whether `function` is exactly zero at `point`."""
    if not function.free_symbols <= point.keys():
        return False
    try:
        return ENCLOSURES[0].sign(function, point) == 0
    except (Undefined, Unresolved):
        return False


def _agree(functions, point):
    values = [known_value(function, point) for function in functions]
    return None not in values and all(0 in value - values[0] for value in values)


def _beside(function, point, variable, side):
    """The smooth expression that `function` is just below `point` (side -1) or just above it."""
    step = max(1, abs(point[variable])) / sp.Integer(10) ** 25
    near = point | {variable: point[variable] + side * step}

    def smooth(expr):
        if not expr.has(sp.Piecewise, *KINKED):
            return expr
        if isinstance(expr, sp.Piecewise):
            chosen = sp.Piecewise(*((n, condition) for n, (_, condition) in enumerate(expr.args)))
            value = known_value(chosen, near)
            return sp.nan if value is None else smooth(expr.args[int(value.mid)].expr)
        if isinstance(expr, (sp.Max, sp.Min)):
            values = [known_value(argument, near) for argument in expr.args]
            if None in values:
                return sp.nan
            best = max if isinstance(expr, sp.Max) else min
            return smooth(expr.args[best(range(len(values)), key=lambda n: values[n].mid)])
        if isinstance(expr, KINKED):
            sign = ENCLOSURES[1].sign(expr.args[0], near)
            if isinstance(expr, sp.Abs):
                return sign * smooth(expr.args[0])
            return sp.Integer(sign if isinstance(expr, sp.sign) else max(sign, 0))
        return expr.func(*map(smooth, expr.args))

    try:
        found = smooth(function)
    except (Undefined, Unresolved):
        return None
    return None if found.has(sp.nan) else found


@functools.cache
def poles_of(expr):
    """What must not be zero for `expr` to have a value, wherever it is used at all."""
    if isinstance(expr, (sp.Piecewise, sp.Derivative, sp.Sum, sp.Product, sp.Integral, sp.Limit)):
        return ()
    found = [pole for argument in expr.args for pole in poles_of(argument)]
    if isinstance(expr, sp.Pow) and expr.exp.is_negative:
        found += sp.Mul.make_args(expr.base)
    if isinstance(expr, sp.log):
        found.append(expr.args[0])
    return tuple(dict.fromkeys(pole for pole in found if pole.free_symbols))


@functools.cache
def inner_poles(expr):
    """What must not be zero in one branch or another of `expr`."""
    branches = [value for node in expr.atoms(sp.Piecewise) for value, _ in node.args]
    return tuple(sorted({pole for branch in branches for pole in poles_of(branch)}, key=str))
