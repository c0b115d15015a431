"""Where the gap of an inequality is lowest: a broken one may hold at every point drawn."""

import mpmath
import sympy as sp

from lossbook.derivation.enclosure import KINKED, known_value
from lossbook.derivation.points import zeros_along

MOST_OPERATIONS = 240
STARTS = 2
ROUNDS = 3
NEWTON_STEPS = 12


def low_points(gap, symbols, sets, points):
    """Points reached from the lowest of `points` by descending in the `symbols` that vary."""
    varying = [s for s in symbols if gap.has(s) and not isinstance(sets[s], sp.FiniteSet)]
    # Turning points of other functions of several symbols take too long to find.
    quick = len(varying) == 1 or gap.is_polynomial(*varying)
    if not varying or not quick or sp.count_ops(gap) > MOST_OPERATIONS:
        return
    slopes = [sp.diff(gap, symbol) for symbol in varying]

    def height(point):
        value = known_value(gap, point)
        return mpmath.inf if value is None else mpmath.mpf(value.mid)

    for start in sorted(points, key=height)[:STARTS]:
        lowest = start
        for _ in range(ROUNDS):
            for symbol, slope in zip(varying, slopes, strict=True):
                turns = zeros_along(slope, symbol, lowest, sets[symbol])
                lowest = min((lowest, *(lowest | {symbol: x} for x in turns)), key=height)
        yield lowest
        # Along one symbol at a time a narrow valley is not followed to its end.
        for point in () if gap.has(sp.Piecewise, *KINKED) else (start, lowest):
            bottom = _stationary(slopes, varying, point)
            if all(bottom[symbol] in sets[symbol] for symbol in varying):
                yield bottom


def _stationary(slopes, symbols, point):
    """The point itself, moved as far as Newton's method takes the slopes towards zero."""
    fixed = {symbol: value for symbol, value in point.items() if symbol not in symbols}
    slopes = sp.Matrix(slopes).xreplace(fixed)
    numbers = sp.lambdify(symbols, (slopes, slopes.jacobian(symbols)), "mpmath")
    with mpmath.workdps(50):
        at = mpmath.matrix([mpmath.mpmathify(point[symbol]) for symbol in symbols])
        try:
            for _ in range(NEWTON_STEPS):
                slope, bend = numbers(*at)
                at -= mpmath.lu_solve(bend, slope)
            moved = [sp.Rational(mpmath.nstr(x, 40)) for x in at]
        except (ZeroDivisionError, ValueError, TypeError, OverflowError):
            return point
    return point | dict(zip(symbols, moved, strict=True))
