"""The trial of a step at points of its domain, and of the two steps that are not a relation."""

import functools
import itertools
from collections import deque
from dataclasses import dataclass

import mpmath
import sympy as sp

from lossbook.derivation.descent import low_points
from lossbook.derivation.enclosure import ENCLOSURES, Undefined, Unresolved, known_value
from lossbook.derivation.points import (
    Points,
    boundaries_of,
    coefficients,
    sign_changes,
    smooth_pieces,
    zeros_along,
)
from lossbook.derivation.proof import cases_of, numerator
from lossbook.derivation.smoothness import inner_poles, poles_of
from lossbook.derivation.wording import decimal, distinct, shown

POINTS = 64
LINES_THROUGH = 8  # of the points: along each symbol, where there are branches
MOST_POINTS = 400
SPECIAL = 12  # points of each kind that a step has to pass without a proof
CLOSE = mpmath.mpf("1e-30")
VANISHING = mpmath.mpf("1e-60")


@dataclass(frozen=True)
class Counterexample:
    """A point where a step fails, and in words what is found there."""

    point: dict
    found: tuple


class Trial:
    """Tries one relation between two expressions, in one of `cases` choices of sizes and indices.

    After `run`, `usable` of the `tried` seeded points gave both sides a finite real value, and
    `valid` points did so in all.
    """

    def __init__(self, left, right, relation, reader, values, cases, slopes, poles):
        self.sides, self.relation, self.slopes = (left, right), relation, slopes
        self.poles = []
        if poles is not None:
            pairs = zip(poles, self.sides, strict=True)
            self.poles = [[*own, *poles_of(side)] for own, side in pairs]
        self.sets = reader.sets
        self.left_out = {}
        functions = [slope.function.xreplace(slope.meaning) for slope in slopes]
        seen = sp.Tuple(left, right, *functions, *itertools.chain(*self.poles)).free_symbols
        self.symbols = sorted(seen & self.sets.keys(), key=str)
        self.points = points_for(set(self.symbols), reader, values)
        self.spread = self.points.spread(max(4, POINTS // cases))
        self.budget = max(60, MOST_POINTS // cases)
        self.special = max(1, SPECIAL // cases)
        self.boundaries = boundaries_of(left, right, *functions)
        self.tried, self.usable, self.valid = len(self.spread), 0, 0
        self.branches = set()
        self.cells = []  # a point of each stretch between boundaries that was come upon

    @functools.cached_property
    def boundary_values(self):
        return sp.lambdify(self.symbols, self.boundaries, "mpmath", cse=True)

    def run(self):
        """The first counterexample, if there is one; if it can be, at round numbers."""
        for point in self.spread:
            if wrong := self._try(point):
                rounds = (self._try(rounder, special=True) for rounder in self.points.rounds())
                return next(filter(None, rounds), wrong)
        self.usable = self.valid
        for point in self.spread[:4]:
            for end in self.points.ends(point):
                if wrong := self._try(end, special=True):
                    return wrong
        return self._try_poles() or self._explore()

    def search(self):
        """The first counterexample where none is met by chance, for a step without a proof.

        Points are judged to 300 digits, then far out and close to zero. At an end of the domain
        where one side has no value, the other must have the value that it approaches. The gap of
        an inequality is followed down.
        """
        near = self.spread[: self.special]
        for point in (*near, *self.cells[: 4 * self.special]):
            if wrong := self._try(point, enclosures=ENCLOSURES[-1:]):
                return wrong
        rays = itertools.islice(self.points.rays(near[0]), 4 * self.special)
        for point in (*self.points.far(self.special), *rays):
            if wrong := self._try(point):
                return wrong
        if self.relation == "=":
            return None if self.slopes else self._jump()
        left, right = self.sides
        gap = right - left if self.relation == "<=" else left - right
        for point in low_points(gap, self.points.symbols, self.sets, self.spread):
            if wrong := self._try(point):
                return wrong
        return None

    def _jump(self):
        """An end of the domain where the only side with a value jumps, if there is one."""
        for point in self.spread[:4]:
            for end in self.points.ends(point):
                values = [known_value(side, end) for side in self.sides]
                if values.count(None) == 1:
                    side = self.sides[values.index(None) - 1]
                    if not _approaches_itself(side, point, end):
                        return Counterexample(end, distinct(*values))
        return None

    def unreached(self):
        """A `Piecewise` branch that may be possible although no point used it, if there is one."""
        for side in self.sides:
            for node in sorted(side.atoms(sp.Piecewise), key=str):
                for index, branch in enumerate(node.args):
                    if (node, index) not in self.branches and self._possible(side, node, index):
                        return branch
        return None

    def _try_poles(self):
        """Look where something that is divided by is zero, or the argument of a logarithm."""
        inner = map(inner_poles, self.sides if self.poles else ())
        for pole in dict.fromkeys(itertools.chain(*self.poles, *inner)):
            if pole.is_positive or pole.is_negative:
                continue
            symbols = [symbol for symbol in self.points.symbols if pole.has(symbol)]
            for start, symbol in itertools.product(self.spread[:2], symbols):
                for smooth in smooth_pieces(pole):
                    for zero in zeros_along(smooth, symbol, start, self.sets[symbol]):
                        if wrong := self._try_pole(smooth, start | {symbol: zero}):
                            return wrong
        return None

    def _try_pole(self, pole, point):
        values = [
            None if any(self._near_zero(p, point) for p in poles) else known_value(side, point)
            for side, poles in zip(self.sides, self.poles, strict=True)
        ]
        if (values[0] is None) == (values[1] is None) or self._leaves_out(point):
            return None
        if lost := [slope for slope in self.slopes if slope.is_lost(point)]:
            self.left_out.setdefault(lost[0].words(pole), lost[0])
            return None
        return Counterexample(point, distinct(*values))

    def _near_zero(self, pole, point):
        value = known_value(pole, point)
        return value is not None and abs(value).b < mpmath.mpf("1e-20")

    def _leaves_out(self, point):
        """Whether a derivative that was taken does not exist at `point`."""
        for slope in self.slopes:
            if (boundary := slope.fails(point)) is not None:
                self.left_out.setdefault(slope.words(boundary), slope)
                return True
        return False

    def _explore(self):
        """Walk along lines through the points, and on from every new cell between boundaries."""
        queue = deque(self.spread[:LINES_THROUGH] if self.boundaries else ())
        cells = set()
        while queue and self.budget > 0:
            start = queue.popleft()
            for symbol in self.points.symbols:
                for point, on_boundary in self.points.line(start, symbol, self.boundaries):
                    self.budget -= 1
                    if wrong := self._try(point, special=on_boundary):
                        return wrong
                    cell = self._cell(point)
                    if not on_boundary and cell not in cells:
                        queue.append(point)
                        self.cells.append(point)
                    cells.add(cell)
        return None

    def _try(self, point, special=False, enclosures=ENCLOSURES):
        """The counterexample that `point` is, if it is one; else count it if it is valid."""
        if special and self._leaves_out(point):
            return None
        for enclosure in enclosures:
            try:
                left, right = (self._value(enclosure, side, point) for side in self.sides)
            except Unresolved:
                continue
            if left is None and right is None:
                return None
            if left is None or right is None:
                if special or self._leaves_out(point):
                    return None
                return Counterexample(point, distinct(left, right))
            gap = right - left
            if (gap.b < 0 and self.relation != ">=") or (gap.a > 0 and self.relation != "<="):
                if self._leaves_out(point):
                    return None
                return Counterexample(point, distinct(left, right))
            holds = {"=": False, "<=": gap.a >= 0, ">=": gap.b <= 0}[self.relation]
            agree = gap.delta <= max(abs(left).b, abs(right).b) * CLOSE
            vanish = 0 in left and 0 in right and gap.delta < VANISHING
            if holds or agree or vanish:
                self.valid += 1
                return None
        return None

    def _value(self, enclosure, side, point):
        try:
            return enclosure.value(side, point, self.branches)
        except Undefined:
            return None

    def _cell(self, point):
        """The sides of all boundaries that the point is on, as far as 40 digits show."""
        with mpmath.workdps(40):
            numbers = [mpmath.mpf(int(x.p)) / int(x.q) for x in map(point.get, self.symbols)]
            try:
                return tuple(mpmath.sign(value) for value in self.boundary_values(*numbers))
            except (ValueError, ZeroDivisionError, OverflowError):
                return None

    def _possible(self, side, node, index):
        marker = sp.Dummy(real=True)
        branches = list(node.args)
        branches[index] = (marker, branches[index].cond)
        cases = cases_of(side.xreplace({node: sp.Piecewise(*branches)}), self.sets)
        return cases is None or any(marker in sp.Tuple(v, *c).free_symbols for v, c in cases)


def _approaches_itself(side, point, end):
    """Whether values of `side` on the way from `point` to `end` close in on its value there."""
    goal, distances = known_value(side, end), []
    for power in (10, 20, 40):
        part = sp.Integer(10) ** -power
        near = {s: value + (point[s] - value) * part for s, value in end.items()}
        value = known_value(side, near)
        if value is None:
            return True
        distances.append(abs(value - goal).b)
    return bool(2 * distances[-1] < max(distances[0], CLOSE))


def points_for(symbols, reader, values):
    """The points on which expressions in `symbols` are tried."""
    return Points(symbols, reader.sets, reader.label_vectors(symbols, values))


def other_root(function, variable, root, reader, values):
    """A point where `function` has a zero besides `root`, or where `root` leaves its domain."""
    domain = reader.sets[variable]
    zero_with = numerator(function)
    symbols = (function.free_symbols | root.free_symbols) - {variable}
    for point in points_for(symbols, reader, values).spread(8):
        interval, exact = known_value(root, point), root.xreplace(point)
        if interval is None:
            continue
        if not exact.is_Rational:
            with mpmath.workdps(60):
                exact = sp.Rational(mpmath.nstr(mpmath.mpf(interval.mid), 40))
        if exact not in domain:
            return Counterexample(point, (f"{variable} = {decimal(exact)} is not in {domain}",))
        zeros = zeros_along(zero_with, variable, point | {variable: exact}, domain)
        along = zero_with.xreplace(point)
        if not all(number.is_Rational for number in coefficients(along, variable) or [sp.nan]):
            zeros += far_zeros(along, variable, exact, domain)
        for zero in zeros:
            if abs(zero - exact) > max(1, abs(exact)) / sp.Integer(10) ** 20:
                return Counterexample(point, (f"{variable} = {decimal(zero)} is a zero too",))
    return None


def far_zeros(function, variable, root, domain):
    """Zeros from 1e-12 to 1e12 in size, and as far from `root`; those without a change of sign."""
    sizes = [sp.Integer(10) ** k * n for k in range(-12, 13) for n in (1, 3)]
    sizes = [side * size for side in (-1, 1) for size in sizes]
    grid = {*sizes, *(root + size for size in sizes)}
    grid = sorted(x for x in grid if x in domain and x != root)
    turns = sign_changes(sp.diff(function, variable), variable, grid)

    def size(x):
        value = known_value(function, {variable: x})
        return mpmath.inf if value is None else abs(value).b

    # A turn is known to thirty digits: at a double zero the function has lost twice as many.
    touches = [x for x in turns if x != root and size(x) <= size(x + _aside(x)) * CLOSE]
    crossings = [
        x
        for x in sign_changes(function, variable, sorted({*grid, *turns} - {root}))
        # A sign also changes at a pole.
        if size(x) <= size(x + _aside(x))
    ]
    return touches + crossings


def _aside(x):
    return max(abs(x), sp.Rational(1, 10**12)) / sp.Integer(10) ** 6


def approaches(domain, point, direction):
    """The sides from which `point` can be approached in the domain, each with a sequence."""
    if point.free_symbols:
        raise ValueError(f"point must be a number or infinite, got {point}")
    powers = [sp.Integer(10) ** k for k in range(4, 33, 4)]
    if point.is_infinite:
        ways = {"-": powers} if point == sp.oo else {"+": [-power for power in powers]}
    else:
        at = point if point.is_Rational else sp.Rational(str(point.evalf(60)))
        ways = {
            "+": [at + 1 / power for power in powers],
            "-": [at - 1 / power for power in powers],
        }
        ways = {side: steps for side, steps in ways.items() if side in direction}
    return {side: steps for side, steps in ways.items() if all(x in domain for x in steps)}


def other_limit(limits, target, reader, values):
    """A point where one of the `limits` differs from `target`, with what it is there."""
    for limit in limits:
        symbols = limit.free_symbols | target.free_symbols
        for point in points_for(symbols & reader.sets.keys(), reader, values).spread(8):
            found, goal = limit.xreplace(point), target.xreplace(point)
            if found == goal:
                continue
            if not (found.is_finite and goal.is_finite):
                return Counterexample(point, (str(found),))
            one, other = known_value(found, {}), known_value(goal, {})
            if one is not None and other is not None and 0 not in one - other:
                return Counterexample(point, (distinct(one, other)[0],))
    return None


def misses_limit(function, variable, target, sequences, reader, values):
    """A point near the limit where `function` is not near `target`."""
    symbols = (function.free_symbols | target.free_symbols) - {variable}
    points = points_for(symbols, reader, values).spread(8)
    for point, steps in itertools.product(points, sequences):
        reached = [known_value(function, point | {variable: x}) for x in steps]
        known = [value for value in reached if value is not None]
        arrives = _grows if target.is_infinite else _closes_in
        if len(known) < 4 or not arrives(known, target, point):
            return Counterexample(point | {variable: steps[-1]}, (shown(reached[-1]),))
    return None


def _grows(reached, target, point):
    sizes = [value if target == sp.oo else -value for value in reached]
    rises = all((b - a).a > 0 for a, b in itertools.pairwise(sizes))
    return rises and sizes[-1].a > 2 * abs(sizes[0]).b


def _closes_in(reached, target, point):
    goal = known_value(target, point)
    if goal is None:
        return False
    errors = [abs(value - goal).b for value in reached]
    near = max(1, abs(goal).b) * mpmath.mpf("1e-8")
    return bool(errors[-1] <= near and errors[-1] <= max(errors[0], CLOSE))
