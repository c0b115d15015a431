"""What SymPy can show of a relation that has passed its trial at points.

The effort is bounded by the number of operations, never by time, so that a line gets the same mark
on every machine.
"""

import functools
import itertools

import sympy as sp
from sympy.core.relational import Relational
from sympy.logic.inference import satisfiable

from lossbook.derivation.enclosure import KINKED, difference
from lossbook.derivation.points import coefficients
from lossbook.derivation.reading import own_set

CONTINUOUS = (sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.atan, sp.asinh, sp.erf)
MOST_CASES = 64
MOST_OPERATIONS = 240


def proves(left, right, relation, sets, slopes):
    """Whether `left relation right` holds wherever the symbols are in their sets.

    Symbols with up to three values are tried one by one, branches are taken apart. Boundaries on
    which one of the derivatives `slopes` never exists do not count.
    """
    gap = right - left if relation == "<=" else left - right
    few = [s for s in gap.free_symbols if isinstance(sets[s], sp.FiniteSet) and len(sets[s]) <= 3]
    few = sorted(few, key=str)[:3]
    for chosen in itertools.product(*(sorted(sets[s]) for s in few)):
        numbers = dict(zip(few, chosen, strict=True))
        part = gap.xreplace(numbers)
        if relation == "=" and is_zero(_with_kinks_as_symbols(part)):
            continue
        cases = cases_of(part, sets)
        if cases is None:
            return False
        shows = _is_zero_on if relation == "=" else _is_nonnegative_on
        for value, conditions in cases:
            if any(_never_exists(slope, numbers, conditions, sets) for slope in slopes):
                continue
            if not shows(value, conditions, sets):
                return False
    return True


def _never_exists(slope, numbers, conditions, sets):
    """Whether conditions leave only points where a function or its slope jumps."""
    function, variable = slope.function.xreplace(numbers), slope.variable
    for symbol, value in _equalities(conditions, sets):
        if symbol != variable:
            continue
        near = [c for c in conditions if _holds_beside(c, variable, conditions, sets)]
        below = _pieces_at(function, symbol, value, (*near, symbol < value), sets)
        above = _pieces_at(function, symbol, value, (*near, symbol > value), sets)
        if below and above:
            jumps = [a - b for a in above for b in below]
            return all(_jumps(jump, symbol, value, sets) for jump in jumps)
    return False


def _holds_beside(condition, variable, conditions, sets):
    """Whether a condition that holds at a point does so a little to both sides as well."""
    if isinstance(condition, (sp.Gt, sp.Lt, sp.Ne)):
        return True
    if not sp.expand(difference(condition)).has(variable):
        return True
    return not _feasible((*conditions, sp.Eq(condition.lhs, condition.rhs)), sets)


def _pieces_at(function, symbol, value, conditions, sets):
    """The smooth expressions that `function` can be on the side of `value` that is described."""
    loose = {sp.Gt: sp.Ge, sp.Lt: sp.Le}
    cases = cases_of(function, sets, conditions)
    return [
        piece
        for piece, found in cases or ()
        if _feasible(
            (*(loose.get(c.func, c.func)(c.lhs, c.rhs) for c in found), sp.Eq(symbol, value)), sets
        )
    ]


def _jumps(gap, symbol, value, sets):
    sides = gap, sp.diff(gap, symbol)
    return any(_is_nonzero(sp.factor(side.xreplace({symbol: value})), sets) for side in sides)


def has_one_root(function, variable, sets):
    """Whether no more than one value of `variable` can make `function` zero."""
    if function.has(sp.Piecewise, *KINKED):
        return False
    slopes = coefficients(numerator(function), variable)
    if slopes is not None and len(slopes) == 2:
        return bool(sp.factor(slopes[0]).is_nonzero)
    # On each side of a pole a function can rise, and have a zero of its own.
    if not (isinstance(sets[variable], sp.Interval) and _continuous(function, variable, sets)):
        return False
    slope = sp.factor(sp.diff(function, variable))
    return bool(slope.is_positive or slope.is_negative)


def _continuous(function, variable, sets):
    """Whether `function` is seen to be defined and continuous along all of `variable`'s set."""
    if not function.has(variable) or function == variable:
        return True
    if not all(_continuous(argument, variable, sets) for argument in function.args):
        return False
    if isinstance(function, sp.Pow):
        power = function.exp
        if power.is_Integer:
            return bool(power > 0 or _is_nonzero(function.base, sets))
        return _is_positive(function.base, sets)
    if isinstance(function, sp.log):
        return _is_positive(function.args[0], sets)
    return isinstance(function, (sp.Add, sp.Mul, *CONTINUOUS))


def _is_positive(expr, sets):
    return any(form.is_positive for form in (expr, sp.factor(_unbounded(expr, sets))))


def _is_nonzero(expr, sets):
    return any(form.is_nonzero for form in (expr, sp.factor(_unbounded(expr, sets))))


def limits_found(function, variable, point, sides):
    """What SymPy finds as the limit from each of the sides; None where it finds nothing."""
    if function.has(sp.Piecewise, *KINKED) or sp.count_ops(function) > MOST_OPERATIONS // 2:
        return None
    try:
        found = [sp.limit(function, variable, point, side) for side in sides]
    except (NotImplementedError, ValueError, TypeError):
        return None
    return None if any(limit.has(sp.Limit, sp.nan) for limit in found) else found


def same(one, other):
    """Whether SymPy sees that two expressions are equal."""
    return one == other or bool(is_zero(one - other))


@functools.cache
def numerator(function):
    """The function that is zero where a smooth `function` is; any other as it stands."""
    if function.has(sp.Piecewise, *KINKED) or sp.count_ops(function) > MOST_OPERATIONS:
        return function
    return sp.fraction(sp.cancel(sp.together(function)))[0]


def _with_kinks_as_symbols(expr):
    kinked = sorted(expr.atoms(sp.Piecewise, *KINKED), key=str)
    return expr.xreplace({n: sp.Symbol(f"kink {i}", real=True) for i, n in enumerate(kinked)})


def cases_of(expr, sets, conditions=()):
    """The smooth expressions that `expr` consists of, each with its conditions; None if many."""
    switch = _simplest_switch(expr)
    if switch is None:
        return [(expr, conditions)]
    found = []
    for value, *new in _choices(switch):
        longer = (*conditions, *(c for c in new if c != sp.true))
        if longer != conditions and not _feasible(longer, sets):
            continue
        cases = cases_of(expr.xreplace({switch: value}), sets, longer)
        if cases is None or len(found) + len(cases) > MOST_CASES:
            return None
        found += cases
    return found


def _simplest_switch(expr):
    """A condition or a function with a kink, with nothing of the kind inside it."""
    switches = [
        node
        for node in expr.atoms(Relational, *KINKED)
        if not any(argument.has(sp.Piecewise, *KINKED) for argument in node.args)
    ]
    return min(switches, key=lambda node: (sp.count_ops(node), str(node)), default=None)


def _choices(switch):
    """The values a switch can take, each followed by its conditions."""
    if isinstance(switch, Relational):
        return [(sp.true, switch), (sp.false, switch.negated)]
    if isinstance(switch, sp.Max):
        return [(a, *(a >= b for b in switch.args if b != a)) for a in switch.args]
    if isinstance(switch, sp.Min):
        return [(a, *(a <= b for b in switch.args if b != a)) for a in switch.args]
    inside = switch.args[0]
    if isinstance(switch, sp.Abs):
        return [(inside, inside >= 0), (-inside, inside < 0)]
    below, at = (-1, 0) if isinstance(switch, sp.sign) else (0, switch.args[1])
    return [
        (sp.S.One, inside > 0),
        (sp.Integer(below), inside < 0),
        (sp.sympify(at), sp.Eq(inside, 0)),
    ]


def _feasible(conditions, sets):
    """Whether conditions may hold together: products and functions count as free variables."""
    variables, known = {}, []
    for condition in conditions:
        if condition == sp.false:
            return False
        if isinstance(condition, Relational) and not isinstance(condition, sp.Ne):
            constant, terms = _terms(difference(condition))
            for term, _ in terms:
                variables.setdefault(term, sp.Dummy())
            total = sum((factor * variables[term] for term, factor in terms), constant)
            known.append(condition.func(total, 0))
    for term, variable in variables.items():
        values = sets.get(term) or (own_set(term) if term.is_real else sp.S.Reals)
        if values.inf.is_Rational:
            known.append(variable >= values.inf if values.inf in values else variable > values.inf)
        if values.sup.is_Rational:
            known.append(variable <= values.sup if values.sup in values else variable < values.sup)
    return satisfiable(sp.And(*known), use_lra_theory=True) is not False


@functools.cache
def _terms(expr):
    """The rational constant in a sum, and every other term with its rational factor."""
    constant, rest = sp.expand(expr).as_coeff_Add(rational=True)
    parts = [part.as_coeff_Mul(rational=True) for part in sp.Add.make_args(rest)]
    return constant, tuple((term, factor) for factor, term in parts if term != 0)


def _equalities(conditions, sets):
    """Each symbol, with its value, that the conditions leave no choice about."""
    for condition in conditions:
        if isinstance(condition, (sp.Ge, sp.Le)):
            strict = sp.Gt if isinstance(condition, sp.Ge) else sp.Lt
            if _feasible((*conditions, strict(condition.lhs, condition.rhs)), sets):
                continue
        elif not isinstance(condition, sp.Eq):
            continue
        for symbol in sorted(condition.free_symbols, key=str):
            slopes = coefficients(difference(condition), symbol)
            if slopes is not None and len(slopes) == 2 and slopes[0].is_nonzero:
                yield symbol, -slopes[1] / slopes[0]


def _is_zero_on(expr, conditions, sets):
    if is_zero(expr):
        return True
    unbounded = _unbounded(expr, sets)
    if unbounded != expr and is_zero(unbounded):
        return True
    return any(is_zero(expr.xreplace({s: x})) for s, x in _equalities(conditions, sets))


def _is_nonnegative_on(expr, conditions, sets):
    forms = [expr, *(sp.expand(form) for form in (expr, *_with_slack(expr, conditions)))]
    if sp.count_ops(expr) <= MOST_OPERATIONS:
        forms.append(sp.factor(expr))
    if any(form.is_nonnegative for form in forms) or _is_zero_on(expr, conditions, sets):
        return True
    if not expr.is_real:
        return False
    return not _feasible((*conditions, sp.expand(expr) < 0), sets)


def _with_slack(expr, conditions):
    """Put d + u with u >= 0 for a symbol that a condition says is at least d, or at most d."""
    u = sp.Symbol("slack", nonnegative=True)
    for condition in conditions:
        if isinstance(condition, (sp.Gt, sp.Ge, sp.Lt, sp.Le)):
            slack = u if isinstance(condition, (sp.Gt, sp.Ge)) else -u
            for symbol in sorted(condition.free_symbols, key=str):
                slopes = coefficients(difference(condition), symbol)
                if slopes is not None and len(slopes) == 2 and slopes[0].is_Rational:
                    yield expr.xreplace({symbol: (slack - slopes[1]) / slopes[0]})


def _unbounded(expr, sets):
    """Put (a + b u)/(1 + u), u > 0, for each symbol between a and b: this opens log(1 - p)."""
    moved = {}
    for symbol in sorted(expr.free_symbols, key=str):
        values = sets[symbol]
        if isinstance(values, sp.Interval) and values.is_open and values.measure.is_finite:
            u = sp.Symbol(f"u_{symbol}", positive=True)
            moved[symbol] = (values.inf + values.sup * u) / (1 + u)
    return expr.xreplace(moved)


def is_zero(expr):
    """Whether SymPy can show that `expr` is 0, by a bounded effort."""
    if expr.is_zero:
        return True
    operations = sp.count_ops(expr)
    if operations > MOST_OPERATIONS:
        return sp.expand(expr) == 0
    if any(form(expr) == 0 for form in (_expanded, _exponential, _logarithmic)):
        return True
    return operations <= MOST_OPERATIONS // 4 and sp.simplify(expr) == 0


def _expanded(expr):
    return sp.expand(sp.numer(sp.together(sp.expand(expr))))


def _exponential(expr):
    hyperbolic = (sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch)
    return _expanded(sp.powsimp(expr.rewrite(hyperbolic, sp.exp)))


def _logarithmic(expr):
    """Logarithms of products taken apart, after writing what is inside as a product."""
    expr = expr.rewrite((sp.sinh, sp.cosh, sp.tanh), sp.exp)
    factored = expr.replace(sp.log, lambda inside: sp.log(sp.factor(sp.together(inside))))
    return _expanded(sp.expand_log(factored))
