"""LaTeX in the order of a textbook.

SymPy sorts the terms of a sum and the factors of a product as it builds them, so the order in
which they were written is lost. Here they are put into an order that reads well. What was built
with ``evaluate=False``, in another order than SymPy's own, is printed as it was written.
"""

import itertools
import re

import sympy as sp
from sympy.core.alphabets import greeks
from sympy.core.basic import Basic
from sympy.core.function import AppliedUndef
from sympy.printing.conventions import requires_partial
from sympy.printing.latex import LatexPrinter

# In a product a label stands before the score that it multiplies, and a weight before its input.
LATE_FACTORS = frozenset("hsxz")
TARGETS = frozenset("ty")
STEPS = frozenset("h")
TOTALS = (sp.Sum, sp.Product, sp.Integral, sp.Limit)
# These reach as far to the right as the product does, so nothing may follow them.
OPEN_ENDED = (*TOTALS, sp.Derivative, sp.Piecewise)
# A term made of these alone is as plain as a polynomial's.
PLAIN = (sp.Abs, sp.Max, sp.Min, sp.KroneckerDelta, AppliedUndef)


class Printer(LatexPrinter):
    """Prints without vertical bars, which would end a cell of a Markdown table."""

    def __init__(self, sum_limits=True):
        super().__init__()
        self._sum_limits = sum_limits

    def doprint(self, expr):
        return super().doprint(_factored(sp.sympify(expr)))

    def _print_Add(self, expr, order=None):
        text = ""
        for term in ordered_terms(expr):
            negative, printed = self._signed(term)
            joint = ("- " if negative else "") if not text else (" - " if negative else " + ")
            text += joint + (_brackets(printed) if term.is_Add else printed)
        return text

    def _print_Mul(self, expr):
        negative, printed = self._signed(expr)
        return f"- {printed}" if negative else printed

    def _signed(self, expr):
        """Whether a minus stands in front, and what stands behind it."""
        if not (expr.is_Mul or expr.is_Pow or expr.is_Number):
            return False, self._print(expr)
        if _keeps_numbers(expr):
            printed = super()._print_Mul(expr)
            return printed.startswith("- "), printed.removeprefix("- ")
        coefficient, factors = ordered_factors(expr)
        above, below = [], []
        for factor in factors:
            below.append(1 / factor) if _divides(factor) else above.append(factor)
        negative = coefficient < 0
        return negative, self._fraction(abs(coefficient), above, below, alone=not negative)

    def _fraction(self, coefficient, above, below, alone):
        """A quotient, or a product, which without a minus before it may be `alone`."""
        outside = []
        if not any(factor.has(*TOTALS) for factor in below):
            outside = [factor for factor in above if isinstance(factor, OPEN_ENDED)]
        whole = coefficient.q == 1 and not below
        inside = above if whole else [factor for factor in above if factor not in outside]
        if whole:
            return self._product(coefficient.p, inside, alone)
        numerator = self._product(coefficient.p, inside)
        fraction = rf"\frac{{{numerator}}}{{{self._product(coefficient.q, below)}}}"
        return f"{fraction} {self._product(1, outside, alone=False)}" if outside else fraction

    def _product(self, number, factors, alone=True):
        """The factors side by side; a sum stands without brackets if it is `alone`."""
        if not factors:
            return str(number)
        parts = [str(number)] if number != 1 else []
        alone = alone and not parts and len(factors) == 1
        for position, factor in enumerate(factors, 1):
            printed = self._print(factor)
            if not alone and _needs_brackets(factor, last=position == len(factors)):
                printed = _brackets(printed)
            if parts and parts[-1][-1].isdigit() and printed[0].isdigit():
                parts.append(r"\cdot")
            parts.append(printed)
        return " ".join(parts)

    def _print_Sum(self, expr):
        return self._print_total(r"\sum", expr)

    def _print_Product(self, expr):
        return self._print_total(r"\prod", expr)

    def _print_total(self, sign, expr):
        text = ""
        for limits in reversed(expr.limits):
            index, *bounds = map(self._print, limits)
            shown = self._sum_limits and len(bounds) == 2
            first, last = (f"={bounds[0]}", f"^{{{bounds[1]}}}") if shown else ("", "")
            text += f"{sign}_{{{index}{first}}}{last} "
        body = _factored(expr.function)
        negative, printed = self._signed(body)
        return text + (_brackets(self._print(body)) if body.is_Add or negative else printed)

    def _print_Derivative(self, expr):
        sign = r"\partial" if requires_partial(expr.expr) else "d"
        below = [
            f"{sign} {self.parenthesize_super(self._print(variable))}^{{{count}}}"
            if count != 1
            else f"{sign} {self._print(variable)}"
            for variable, count in reversed(expr.variable_count)
        ]
        order = sum(count for _, count in expr.variable_count)
        above = sign if order == 1 else f"{sign}^{{{order}}}"
        printed = self._print(expr.expr)
        if expr.expr.is_Add or (expr.expr.is_Mul and not printed.startswith(r"\frac")):
            printed = _brackets(printed)
        return rf"\frac{{{above}}}{{{' '.join(below)}}} {printed}"

    def _print_Abs(self, expr, exp=None):
        bars = rf"\lvert {self._print(expr.args[0])} \rvert"
        return bars if exp is None else f"{bars}^{{{exp}}}"

    def _print_Indexed(self, expr):
        return f"{self._print(expr.base)}_{{{','.join(map(self._print, expr.indices))}}}"

    def _print_log(self, expr, exp=None):
        (argument,) = expr.args
        printed = self._print(argument)
        text = rf"\log {printed}" if _is_bare(expr) else rf"\log\left({printed}\right)"
        return text if exp is None else rf"{_brackets(text)}^{{{exp}}}"

    def _print_Relational(self, expr):
        # SymPy turns |r| <= delta round.
        turned = expr.rhs.has(sp.Abs) and not expr.lhs.has(sp.Abs)
        if turned and not isinstance(expr, (sp.Eq, sp.Ne)):
            expr = expr.reversed
        return super()._print_Relational(expr)


print_latex = Printer().doprint


def ordered_terms(expr):
    """The terms of a sum, positive ones first: plain terms, then functions, then constants."""
    if not _is_sorted(expr):
        return list(expr.args)
    terms = sorted(expr.as_ordered_terms(), key=_place_in_sum)
    positive = [ordered_factors(term)[0] > 0 for term in terms]
    if len(terms) == 2 and all(positive):
        return terms[::-1] if _comes_first(terms[1], terms[0]) else terms
    if not any(positive):
        return terms
    start = stop = positive.index(True)
    kind = _kind(terms[start])
    while stop < len(terms) and positive[stop] and _kind(terms[stop]) == kind:
        stop += 1
    return terms[start:stop] + terms[:start] + terms[stop:]


def ordered_factors(expr):
    """The number in front of a product, and its other factors in order.

    A sum gives up a minus in front of all its terms, and a whole number that all of them share.
    """
    number, factors = sp.S.One, []
    written = expr.is_Mul and not _is_sorted(expr)
    parts = expr.args if written else sp.Mul.make_args(expr)
    for factor in itertools.chain.from_iterable(map(_opened, parts)):
        if factor.is_Rational:
            number *= factor
            continue
        base, power = factor.as_base_exp() if factor.is_Pow else (factor, sp.S.One)
        if expr.is_Mul and base.is_Add and abs(power) == 1 and _is_sorted(base):
            shared, base = _shared(base)
            number *= shared**power
            factor = base**power
        factors.append(factor)
    if not written:
        factors = sorted(sp.Mul(*factors, evaluate=False).as_ordered_factors(), key=_place)
        factors = _joint_roots([factor for factor in factors if factor != 1])
    return number, factors


def _opened(factor):
    """The parts of 1/(2 h), so that what stands before it goes into the same fraction."""
    parts = factor.args if factor.is_Mul else ()
    below = all(part.is_Rational or _divides(part) for part in parts)
    return parts if parts and below else (factor,)


def _divides(factor):
    _, power = factor.as_base_exp()
    return power.is_Rational and power.is_negative


def _factored(expr):
    """2 p - 2 t, into which SymPy turns 2 (p - t), as the product."""
    if not (expr.is_Add and _is_sorted(expr)):
        return expr
    sizes = {abs(term.as_coeff_Mul()[0]) for term in expr.args}
    content, rest = expr.primitive()
    alike = len(sizes) == 1 and not any(map(_kind, expr.args))
    shares = alike and content.is_Integer and content > 1
    return sp.Mul(content, rest, evaluate=False) if shares else expr


def _shared(total):
    content, rest = total.primitive()
    if not content.is_Integer:
        content, rest = sp.S.One, total
    negative = all(term.as_coeff_Mul()[0].is_negative for term in rest.args)
    return (-content, -rest) if negative else (content, rest)


def _joint_roots(factors):
    """The square roots in `factors` under one sign, and so with other roots."""
    roots = {}
    for factor in factors:
        if factor.is_Pow and factor.exp.is_Rational and factor.exp.q > 1 and abs(factor.exp.p) == 1:
            roots.setdefault(factor.exp.q, []).append(factor)
    for degree, group in roots.items():
        if len(group) > 1 and all(factor.base.is_nonnegative for factor in group):
            inside = sp.Mul(*(factor.base**factor.exp.p for factor in group))
            root = sp.Pow(inside, sp.Rational(1, degree), evaluate=False)
            first = factors.index(group[0])
            factors = [factor for factor in factors if factor not in group]
            factors.insert(first, root)
    return factors


def _is_sorted(expr):
    """Whether the arguments stand in the order in which SymPy puts them by itself."""
    if not isinstance(expr, (sp.Add, sp.Mul)):
        return True
    numbers = [argument for argument in expr.args if argument.is_Number]
    others = [argument for argument in expr.args if not argument.is_Number]
    in_order = all(Basic.compare(*pair) <= 0 for pair in itertools.pairwise(others))
    return in_order and list(expr.args) == numbers + others


def _keeps_numbers(expr):
    """Whether numbers stand in a product that SymPy would have carried out, such as 2 times 3."""
    numbers = [part for part in expr.args if part.is_Number and part != -1]
    return expr.is_Mul and (expr.args[0] == 1 or len(numbers) > 1)


def _place_in_sum(term):
    number, atom = term.as_coeff_Mul()
    name = _name(atom.as_base_exp()[0])
    last = name in STEPS or (name in TARGETS and number.is_negative)
    return _kind(term), last or term.is_Number


def _kind(term):
    """0 for a plain term, 1 for brackets and functions, 2 for logarithms, 3 for constants."""
    if not term.free_symbols:
        return 0 if term.is_Number else 3
    if term.has(sp.log):
        return 2
    functions = term.atoms(sp.Function, sp.exp)
    plain = all(isinstance(function, PLAIN) for function in functions)
    return 0 if plain and not term.has(*OPEN_ENDED, sp.Add) else 1


def _comes_first(second, first):
    """Whether of two positive terms the later one reads better in front: 1 + x, z_k + c."""
    if second.is_Number:
        return True
    ranged = second.has(sp.Indexed) and not first.has(sp.Indexed)
    return ranged and not first.is_Number and _kind(second) < 2 and not second.has(*TOTALS)


def _place(factor):
    base = factor.base if factor.is_Pow and not isinstance(factor, sp.exp) else factor
    if base.is_Number:
        return 0, 0
    if isinstance(base, sp.KroneckerDelta):
        return 1, 4
    if isinstance(base, AppliedUndef):
        return 1, 6
    if base.is_Atom or isinstance(base, sp.Indexed):
        name = _name(base)
        if isinstance(base, sp.Indexed):
            return 1, 7 if name in LATE_FACTORS else 5
        if name in LATE_FACTORS:
            return 1, 6
        if name[:1].isupper():
            return 1, 0
        return 1, 1 if name.lower().removeprefix("var") in greeks else 2
    if isinstance(base, sp.exp):
        return 3, 0
    if isinstance(base, OPEN_ENDED):
        return 5, (sp.Piecewise, sp.Derivative, *TOTALS).index(type(base))
    if isinstance(base, sp.Function):
        return 4, 0
    plain = not base.has(sp.Indexed, AppliedUndef, sp.Function, sp.exp)
    late = {_name(symbol) for symbol in base.free_symbols} & LATE_FACTORS
    return (1, 3) if base.is_Add and plain and not late else (2, 0)


def _name(atom):
    r"""The letter of a symbol without index and accent: t for `t_k` and for `\\tilde{t}[k]`."""
    text = str(atom.base if isinstance(atom, sp.Indexed) else atom)
    text = re.sub(r"\\(tilde|bar|hat)\s*", "", text).strip("{}\\")
    return re.split(r"[_{}'^]|\d", text)[0]


def _is_bare(logarithm):
    argument = logarithm.args[0]
    return argument.is_Symbol or argument.is_Integer or isinstance(argument, (sp.Indexed, sp.cosh))


def _needs_brackets(factor, last):
    if factor.is_Mul:
        negative = ordered_factors(factor)[0] < 0
        return negative or (not last and factor.has(*OPEN_ENDED))
    if isinstance(factor, sp.log) and _is_bare(factor):
        return not last
    return factor.is_Add or (not last and isinstance(factor, OPEN_ENDED))


def _brackets(printed):
    return rf"\left({printed}\right)"
