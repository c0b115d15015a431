"""Points of a domain: spread over it by a seeded generator, and placed around branch boundaries."""

import functools
import itertools
import math
import random
from collections import Counter
from fractions import Fraction

import sympy as sp
from sympy.core.relational import Relational

from lossbook.derivation.enclosure import ENCLOSURES, KINKED, Undefined, Unresolved, difference

MOST_BOUNDARIES = 200
# What a reader checks in their head, in the order in which it is tried.
ROUND = [sp.Rational(n) for n in ("2", "1", "3", "1/2", "1/4", "3/4", "4", "0", "-1", "-2")]
RAYS = [side * sp.Integer(10) ** power for power in (9, 12, -9, -12) for side in (1, -1)]


class Points:
    """Points for `symbols`, whose values are in `sets`; `vectors` holds entries drawn together."""

    def __init__(self, symbols, sets, vectors):
        entries = {entry for _, vector in vectors for entry in vector}
        self.symbols = sorted(symbols - entries, key=str)
        self.sets, self.vectors = sets, vectors
        self.random = random.Random(0)

    def spread(self, count):
        """All points, where they are no more than `count`; else moderate ones, then extreme."""
        finite = all(isinstance(self.sets[symbol], sp.FiniteSet) for symbol in self.symbols)
        if finite and not self.vectors:
            choices = [sorted(self.sets[symbol]) for symbol in self.symbols]
            if math.prod(map(len, choices)) <= count:
                every = itertools.product(*choices)
                return [dict(zip(self.symbols, chosen, strict=True)) for chosen in every]
        return [self._draw(6 if 8 * n >= 5 * count else None) for n in range(count)]

    def far(self, count):
        """Points whose values are up to 1e12 in size and down to 1e-12."""
        return [self._draw(12) for _ in range(count)]

    def rounds(self):
        """Points of round numbers: labels of 0 and 1 first, and no two symbols alike at first."""
        choices = {symbol: _rounds(self.sets[symbol]) for symbol in self.symbols}
        if not all(choices.values()):
            return
        for n in range(3 * len(ROUND)):
            # Symbols move on at different paces, so that they meet in many ways.
            point = {
                symbol: found[(place + n + n // len(found) * place) % len(found)]
                for place, (symbol, found) in enumerate(choices.items())
            }
            for kind, entries in self.vectors:
                point |= zip(entries, _round_vector(kind, len(entries), n), strict=True)
            yield point

    def _draw(self, powers):
        point = {s: _draw(self.sets[s], self.random, powers) for s in self.symbols}
        for kind, entries in self.vectors:
            if kind == "one-hot":
                chosen = self.random.randrange(len(entries))
                parts = [sp.Integer(n == chosen) for n in range(len(entries))]
            else:
                parts = _simplex(len(entries), self.random)
            point |= dict(zip(entries, parts, strict=True))
        return point

    def rays(self, point):
        """`point` moved along each symbol, far out and close to zero or to an end."""
        for symbol in self.symbols:
            values = self.sets[symbol]
            if not isinstance(values, sp.FiniteSet):
                starts = {sp.S.Zero, *(x for x in (values.inf, values.sup) if x.is_finite)}
                for start in sorted(map(_rational, starts)):
                    for step in RAYS:
                        if start + step in values:
                            yield point | {symbol: start + step}

    def ends(self, point):
        """`point` moved to each end that belongs to the domain."""
        for symbol in self.symbols:
            values = self.sets[symbol]
            if not isinstance(values, sp.FiniteSet):
                for end in (values.inf, values.sup):
                    if end.is_finite and end in values:
                        yield point | {symbol: _rational(end)}

    def line(self, point, symbol, boundaries):
        """Points along `symbol` through `point`, each with whether it is on a boundary.

        They lie inside every stretch between boundaries, close to both sides of each, and on it.
        """
        values = self.sets[symbol]
        if isinstance(values, sp.FiniteSet):
            return [(point | {symbol: value}, False) for value in sorted(values)]
        zeros = sorted({x for g in boundaries for x in zeros_along(g, symbol, point, values)})
        if not zeros:
            return []
        if _of_integers(values):
            near = {sp.floor(zero) + n for zero in zeros for n in (-1, 0, 1, 2)}
            return [(point | {symbol: n}, n in zeros) for n in sorted(near) if n in values]
        low, high = (
            _rational(end) if end.is_finite else zero + side * max(1, abs(zero))
            for end, zero, side in ((values.inf, zeros[0], -1), (values.sup, zeros[-1], 1))
        )
        stops = sorted({low, *zeros, high})
        found = [((a + b) / 2, False) for a, b in itertools.pairwise(stops)]
        gaps = [b - a for a, b in itertools.pairwise(stops)]
        for zero in zeros:
            at = stops.index(zero)
            step = min(gap / 1000 for gap in gaps[max(at - 1, 0) : at + 1])
            step = min(step, max(1, abs(zero)) / sp.Integer(10) ** 9)
            found += [(zero - step, False), (zero + step, False), (zero, True)]
        return [(point | {symbol: x}, on) for x, on in found if x in values]


def _rounds(values):
    """The round numbers in a set, in the order in which they are tried."""
    if isinstance(values, sp.FiniteSet):
        return sorted(values, reverse=True)
    ends = [sp.S.One, sp.S.Zero] if values == sp.Interval(0, 1) else []
    return ends or [number for number in ROUND if number in values]


def _round_vector(kind, count, turn):
    """A one-hot vector, or positive numbers that sum to one: 1/2, 1/4, ..., the last two alike."""
    if kind == "one-hot":
        return [sp.Integer(n == turn % count) for n in range(count)]
    halves = [sp.Rational(1, 2 ** (n + 1)) for n in range(count - 1)]
    return [*halves, halves[-1]] if halves else [sp.S.One]


def _draw(values, random, powers):
    """A random element with few digits: of size about one, or up to so many powers of ten."""
    if isinstance(values, sp.FiniteSet):
        return random.choice(sorted(values))
    if isinstance(values, sp.Union):
        return _draw(random.choice(sorted(values.args, key=sp.default_sort_key)), random, powers)
    low, high = values.inf, values.sup
    side = random.choice([-1, 1])
    if _of_integers(values):
        if low.is_finite and high.is_finite:
            return sp.Integer(random.randint(int(low), int(high)))
        size = int(10 ** random.uniform(0, powers - 2 if powers else 1)) - 1
        if low.is_finite or high.is_finite:
            return low + size if low.is_finite else high - size
        return sp.Integer(side * size)
    if low.is_finite and high.is_finite:
        part = _short(10 ** random.uniform(-powers, -1) if powers else random.uniform(0.01, 0.99))
        part = 1 - part if powers and side < 0 else part
        return _rational(low) + (_rational(high) - _rational(low)) * part
    size = _short(10 ** random.uniform(-powers, powers) if powers else random.uniform(0.05, 4))
    if low.is_finite or high.is_finite:
        return _rational(low) + size if low.is_finite else _rational(high) - size
    return side * size


def _simplex(count, random):
    """Positive numbers that sum to exactly one, drawn evenly: fractions of a power of two."""
    weights = [random.expovariate(1) for _ in range(count)]
    drawn = Counter(random.choices(range(count), weights, k=1024 - count))
    return [sp.Rational(1 + drawn[n], 1024) for n in range(count)]


@functools.cache
def _of_integers(values):
    return values.is_subset(sp.S.Integers)


def _short(number):
    """`number` to three digits."""
    return sp.Rational(*Fraction(f"{number:.3g}").as_integer_ratio())


def _rational(number):
    return number if number.is_Rational else sp.Rational(str(number.evalf(60)))


def boundaries_of(*exprs):
    """Smooth functions that vanish where the branches of `exprs` change."""
    functions = []
    for node in itertools.chain(*map(sp.preorder_traversal, exprs)):
        if isinstance(node, Relational):
            functions.append(difference(node))
        elif isinstance(node, (sp.Max, sp.Min)):
            functions += [a - b for a, b in itertools.combinations(node.args, 2)]
        elif isinstance(node, KINKED):
            functions.append(node.args[0])
    smooth = itertools.chain(*map(smooth_pieces, dict.fromkeys(functions)))
    distinct = dict.fromkeys(itertools.islice(smooth, MOST_BOUNDARIES))
    return [function for function in distinct if function.free_symbols]


def smooth_pieces(expr):
    """`expr` with each branch of each function in it that has a kink."""
    kinked = sorted(expr.atoms(sp.Piecewise, *KINKED), key=sp.default_sort_key)
    if not kinked:
        yield expr
        return
    node = min(kinked, key=sp.count_ops)
    if isinstance(node, sp.Piecewise):
        pieces = [piece for piece, _ in node.args]
    elif isinstance(node, (sp.Max, sp.Min)):
        pieces = node.args
    elif isinstance(node, sp.Abs):
        pieces = [node.args[0], -node.args[0]]
    else:
        pieces = [sp.S.NegativeOne, sp.S.Zero, sp.S.One]
    for piece in pieces:
        yield from smooth_pieces(expr.xreplace({node: piece}))


@functools.cache
def coefficients(function, symbol):
    """Coefficients of a polynomial in `symbol`, the highest first; None if it is none."""
    if not function.is_polynomial(symbol):
        return None
    return sp.Poly(function, symbol).all_coeffs()


def zeros_along(function, symbol, point, values):
    """Where `function` vanishes along `symbol`: exactly if rational, else to 30 digits or more."""
    if not function.has(symbol):
        return []
    others = {s: x for s, x in point.items() if s != symbol}
    numbers = [c.xreplace(others) for c in coefficients(function, symbol) or [sp.nan]]
    if all(number.is_Rational for number in numbers):
        polynomial = sp.Poly(numbers, symbol)
        roots = [] if polynomial.is_zero else map(_rational, polynomial.real_roots())
        return [root for root in roots if root in values]
    along, grid = function.xreplace(others), _grid(values)
    turns = sign_changes(sp.diff(along, symbol), symbol, grid)
    return sign_changes(along, symbol, sorted({*grid, *turns}))


@functools.cache
def _grid(values):
    """Rational numbers in all parts of a set of real numbers, in order."""
    low, high = values.inf, values.sup
    if low.is_finite and high.is_finite:
        small = [sp.Rational(1, 10**k) for k in range(3, 10)]
        parts = [sp.Rational(n, 40) for n in range(41)] + small + [1 - part for part in small]
        grid = [_rational(low) + (_rational(high) - _rational(low)) * part for part in parts]
    else:
        sizes = [sp.Rational(n, 4) * 10**k for k in range(6) for n in (1, 2, 4, 7, 12, 20, 30)]
        sizes += [sp.Rational(1, 10**k) for k in range(1, 10)]
        grid = [side * size for side in (-1, 1) for size in sizes]
        grid += [_rational(low) + size for size in sizes if low.is_finite]
        grid += [_rational(high) - size for size in sizes if high.is_finite]
        grid += [_rational(end) for end in (low, high) if end.is_finite]
    return sorted({x for x in grid if x in values})


def sign_changes(function, symbol, grid):
    """Zeros of a smooth function between neighbours of the grid where it changes sign."""

    def sign(x):
        try:
            return ENCLOSURES[0].sign(function, {symbol: x})
        except (Undefined, Unresolved):
            return None

    signs = [sign(x) for x in grid]
    zeros = [x for x, s in zip(grid, signs, strict=True) if s == 0]
    for (a, sign_a), (b, sign_b) in itertools.pairwise(zip(grid, signs, strict=True)):
        if sign_a and sign_b and sign_a != sign_b:
            zeros.append(_bisected(sign, a, b))
    return zeros


def _bisected(sign, low, high):
    sign_low = sign(low)
    for _ in range(100):
        middle = (low + high) / 2
        found = sign(middle)
        if not found:
            break
        low, high = (middle, high) if found == sign_low else (low, middle)
    return middle
