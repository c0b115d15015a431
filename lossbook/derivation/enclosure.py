"""Values of SymPy expressions in interval arithmetic, so that rounding never refutes a line."""

import functools
import math

import mpmath
import sympy as sp
from mpmath.ctx_iv import MPIntervalContext
from mpmath.libmp import ComplexResult, NoConvergence, finf, fnan, fninf, mpf_sign
from sympy.core.relational import Relational

KINKED = (sp.Abs, sp.sign, sp.Heaviside, sp.Max, sp.Min)
NOT_FINITE = frozenset({finf, fninf, fnan})
# Functions that rise or fall all the way from each number to the next, by their last argument.
INFINITE = float("inf")
LINE, HALF_LINE = (-INFINITE, INFINITE), (0, INFINITE)
MONOTONE = {
    **dict.fromkeys((sp.sinh, sp.tanh, sp.asinh, sp.atan, sp.erf, sp.erfc, sp.erfi, sp.Shi), LINE),
    **dict.fromkeys((sp.floor, sp.ceiling), LINE),
    **dict.fromkeys((sp.cosh, sp.sech, sp.coth, sp.csch), (-INFINITE, 0, INFINITE)),
    **dict.fromkeys((sp.polygamma, sp.lowergamma, sp.uppergamma, sp.expint, sp.Ei), HALF_LINE),
    **dict.fromkeys((sp.asin, sp.acos, sp.atanh, sp.erfinv), (-1, 1)),
    **dict.fromkeys((sp.acosh, sp.zeta, sp.li), (1, INFINITE)),
    sp.LambertW: (-0.36787944117144, INFINITE),
}


class Undefined(Exception):
    """The expression has no finite real value here."""


class Unresolved(Exception):
    """The value cannot be told with so few digits."""


class Enclosure:
    """Evaluates an expression at a point of rational numbers: the true value is inside the result.

    A function is evaluated by the method `_at_<its name>`. Any other is evaluated by mpmath, at a
    rational number or where it is listed as monotone, and is not resolved elsewhere.
    """

    def __init__(self, digits):
        self.digits = digits
        self.iv = MPIntervalContext()
        self.iv.dps = digits
        self.rationals = {}

    def value(self, expr, point, taken=None):
        """The interval of `expr` at `point`; `Piecewise` branches on the way go into `taken`."""
        self.point, self.known = point, {}
        self.taken = set() if taken is None else taken
        return self._value(expr)

    def sign(self, expr, point):
        """-1, 0 or 1: the sign of `expr` at `point`, with certainty."""
        self.point, self.known, self.taken = point, {}, set()
        return self._sign(expr)

    def _value(self, expr):
        if expr not in self.known:
            value = self._evaluate(expr)
            if not NOT_FINITE.isdisjoint(value._mpi_):
                raise Unresolved
            self.known[expr] = value
        return self.known[expr]

    def _evaluate(self, expr):
        if expr.is_Symbol:
            expr = self.point[expr]
        if expr.is_Rational:
            if expr not in self.rationals:
                self.rationals[expr] = self.iv.mpf(expr.p) / expr.q
            return self.rationals[expr]
        if isinstance(expr, sp.NumberSymbol):
            with mpmath.workdps(self.digits + 10):
                return self._spanned([mpmath.mpf(str(expr.evalf(self.digits + 10)))])
        if not expr.args:
            raise Undefined
        return getattr(self, f"_at_{type(expr).__name__}", self._at_function)(expr)

    def _sign(self, expr):
        # Comparing the ends as intervals, value.a > 0, would take most of the time.
        low, high = map(mpf_sign, self._value(expr)._mpi_)
        if low > 0 or high < 0:
            return 1 if low > 0 else -1
        exact = expr.xreplace(self.point)
        if not exact.is_Rational:
            raise Unresolved
        return int(sp.sign(exact))

    def _spanned(self, ends):
        """The interval from the least of `ends` to the greatest, with room for their rounding."""
        if not all(mpmath.im(end) == 0 and mpmath.isfinite(end) for end in ends):
            raise Undefined
        with mpmath.workdps(self.digits + 10):
            ends = [mpmath.re(end) for end in ends]
            room = max(map(abs, ends)) * mpmath.mpf(10) ** (3 - self.digits)
            return self.iv.mpf([min(ends) - room, max(ends) + room])

    def _at_function(self, expr):
        *given, last = exact = [argument.xreplace(self.point) for argument in expr.args]
        if all(argument.is_Rational for argument in exact):
            return self._spanned([self._number(expr.func, *exact)])
        if expr.func not in MONOTONE or not all(argument.is_Rational for argument in given):
            raise Unresolved
        value, stops = self._value(expr.args[-1]), MONOTONE[expr.func]
        _refuse_vast(value)
        low, high = map(mpmath.mp.make_mpf, value._mpi_)
        numbers = [self._number(expr.func, *given, end) for end in (low, high)]
        if low < stops[0] or high > stops[-1]:
            raise Undefined if all(map(mpmath.im, numbers)) else Unresolved
        turns = [stop for stop in stops if low < stop < high]
        return self._spanned([*numbers, *(self._number(expr.func, *given, x) for x in turns)])

    def _number(self, function, *arguments):
        with mpmath.workdps(self.digits + 10):
            try:
                return _numeric(function, len(arguments))(*map(mpmath.mpmathify, arguments))
            except (ValueError, ZeroDivisionError):
                raise Undefined from None
            except (OverflowError, NoConvergence):
                raise Unresolved from None

    def _at_native(self, expr):
        """By mpmath's own function of intervals."""
        value = self._value(expr.args[0])
        _refuse_vast(value)
        try:
            return getattr(self.iv, type(expr).__name__)(value)
        except ComplexResult:
            raise Undefined if value.b < 0 else Unresolved from None

    _at_sin = _at_cos = _at_tan = _at_gamma = _at_loggamma = _at_factorial = _at_native

    def _at_Add(self, expr):
        return sum(map(self._value, expr.args), self.iv.zero)

    def _at_Mul(self, expr):
        return math.prod(map(self._value, expr.args), start=self.iv.one)

    def _at_Pow(self, expr):
        base, power = self._value(expr.base), expr.exp.xreplace(self.point)
        if power.is_Integer and abs(power) < 10**9:
            if power < 0 and base.a <= 0 <= base.b and self._sign(expr.base) == 0:
                raise Undefined
            return base ** int(power)
        if base.a > 0:
            return self._exponential(self._value(expr.exp) * self.iv.log(base))
        if self._sign(expr.base) != 0 or self._sign(expr.exp) <= 0:
            raise Undefined
        return self.iv.zero

    def _at_exp(self, expr):
        return self._exponential(self._value(expr.args[0]))

    def _exponential(self, exponent):
        _refuse_vast(exponent)
        return self.iv.exp(exponent)

    def _at_log(self, expr):
        value = self._value(expr.args[0])
        if value.a > 0:
            return self.iv.log(value)
        raise Unresolved if self._sign(expr.args[0]) > 0 else Undefined

    def _at_Abs(self, expr):
        return abs(self._value(expr.args[0]))

    def _at_sign(self, expr):
        return self.iv.mpf(self._sign(expr.args[0]))

    def _at_Heaviside(self, expr):
        side = self._sign(expr.args[0])
        return self._value(expr.args[1]) if side == 0 else self.iv.mpf(max(side, 0))

    def _at_DiracDelta(self, expr):
        if self._sign(expr.args[0]) == 0:
            raise Undefined
        return self.iv.zero

    def _at_KroneckerDelta(self, expr):
        return self.iv.mpf(int(self._sign(expr.args[0] - expr.args[1]) == 0))

    def _at_Max(self, expr):
        values = [self._value(argument) for argument in expr.args]
        return self.iv.mpf([max(x.a for x in values), max(x.b for x in values)])

    def _at_Min(self, expr):
        values = [self._value(argument) for argument in expr.args]
        return self.iv.mpf([min(x.a for x in values), min(x.b for x in values)])

    def _at_Piecewise(self, expr):
        for index, (value, condition) in enumerate(expr.args):
            if self._holds(condition):
                self.taken.add((expr, index))
                return self._value(value)
        raise Undefined

    def _holds(self, condition):
        if condition in (sp.true, sp.false):
            return bool(condition)
        if isinstance(condition, Relational):
            return bool(condition.func(self._sign(difference(condition)), 0))
        if isinstance(condition, sp.Not):
            return not self._holds(condition.args[0])
        decisive, unresolved = isinstance(condition, sp.Or), False
        for part in condition.args:
            try:
                if self._holds(part) is decisive:
                    return decisive
            except Unresolved:
                unresolved = True
        if unresolved:
            raise Unresolved
        return not decisive


def _refuse_vast(interval):
    # Beyond 2**130 the digits of the result's own exponent could fill the memory.
    if any(power + bits > 130 for _, _, power, bits in interval._mpi_):
        raise Unresolved


@functools.cache
def _numeric(function, count):
    arguments = sp.symbols(f"x:{count}")
    return sp.lambdify(arguments, function(*arguments), "mpmath")


@functools.cache
def difference(relation):
    """Left side less right side: the relation turns where this is zero."""
    return relation.lhs - relation.rhs


# More digits where fewer leave a comparison open.
ENCLOSURES = tuple(map(Enclosure, (50, 100, 300)))


def known_value(expr, point):
    """The interval of `expr` at `point`, or None where it has no finite real value."""
    for enclosure in ENCLOSURES:
        try:
            return enclosure.value(expr, point)
        except Undefined:
            return None
        except Unresolved:
            continue
    return None
