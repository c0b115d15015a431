"""Lines with sums over any number of terms: both sides are brought to one form, for every size.

In that form no sum is left that can be simplified. Factors without the index stand before it, a
Kronecker delta picks its term, constants are counted, and the entries of a one-hot row or of the
simplex add up to 1. What remains of a sum is given a name, by which the same sum is known wherever
it occurs, whatever its index is called. Then the rest is algebra of symbols, as in any other line.

Two free indices may or may not be the same. Both are tried, as are all ways to pair several.
"""

from __future__ import annotations

import itertools

import sympy as sp

from lossbook.derivation.proof import has_one_root, is_zero
from lossbook.derivation.reading import UNFINISHED, Reader, own_set

MOST_PATTERNS = 15  # ways in which up to four free indices can be equal


class Unprovable(Exception):
    """The line holds something that this form cannot take."""


class GeneralReader(Reader):
    """Reads a line as :class:`Reader` does, but leaves sizes and indices as they are.

    An entry such as ``z[k]`` stays one, of a base with the assumptions that its domain implies.
    """

    def __init__(self, given, domain):
        super().__init__(given, domain)
        self.bases = {}  # what an entry is an entry of: the base that replaces it

    def read(self, expr, values):
        """`expr` with its definitions put in and its derivatives carried out."""
        result = self._read(expr, values, frozenset())
        if any(not isinstance(node, (sp.Sum, sp.Product)) for node in result.atoms(*UNFINISHED)):
            raise Unprovable(expr)
        return result

    def row(self, base):
        """What a replaced base holds in its last index, "one-hot" or "simplex", and its range."""
        written = next((b for b, replaced in self.bases.items() if replaced == base), None)
        kind = self.domain.get(written)
        if not isinstance(kind, str):
            return None, None
        shape = written.shape
        limits = (sp.S.One, shape[-1]) if shape else self._only_range(f"entries of {written}")
        return kind, self._numbers(limits)

    def range_of(self, index):
        """The first and the last number of a replaced index."""
        written = next(atom for atom, symbol in self._symbols.items() if symbol == index)
        limits = self.domain.get(written)
        if isinstance(limits, sp.Set):
            raise Unprovable(written)
        return self._numbers(limits or self._only_range(f"the index {written}"))

    def _numbers(self, limits):
        return tuple(self._read(limit, {}, frozenset()) for limit in limits)

    def _read(self, expr, values, kept):
        # Entries are taken for independent symbols: a function of a whole row would hide some.
        of_a_row = any(isinstance(part, sp.IndexedBase) for part in expr.args)
        if of_a_row and not isinstance(expr, sp.Indexed):
            raise Unprovable(expr)
        return super()._read(expr, values, kept)

    def _read_total(self, expr, values, kept):
        if isinstance(expr, sp.Integral):
            raise Unprovable(expr)
        *inner, (index, first, last) = expr.limits
        body = expr.func(expr.function, *inner) if inner else expr.function
        dummy = sp.Dummy(index.name, integer=True)
        first, last = (self._read(bound, values, kept) for bound in (first, last))
        return expr.func(self._read(body, {**values, index: dummy}, kept), (dummy, first, last))

    def _read_derivative(self, expr, values, kept):
        result = super()._read_derivative(expr, values, kept)
        heads = {variable.base for variable in expr.variables if isinstance(variable, sp.Indexed)}
        written = {self.bases[head]: head for head in heads & self._definitions.keys() - kept}

        def put_in(entry):
            return self._read_defined(written[entry.base], entry.indices, {}, kept)

        return result.replace(
            lambda part: isinstance(part, sp.Indexed) and part.base in written, put_in
        )

    def _replacement(self, atom):
        if not isinstance(atom, sp.Indexed):
            return super()._replacement(atom)
        if atom.base not in self.bases:
            entry = super()._replacement(atom)
            known = {name: truth for name, truth in entry.assumptions0.items() if truth is not None}
            self.bases[atom.base] = sp.IndexedBase(sp.Symbol(f"{atom.base}", **known))
        return self.bases[atom.base][atom.indices]


def proves_for_every_size(reader, exprs, pair, relation):
    """Whether the two expressions that `pair` reads are related as `relation` says, for all sizes.

    Parameters
    ----------
    reader : GeneralReader
    exprs : the lines as written
    pair : function of a reader and of values for sizes and indices
    """
    try:
        reader.instances(*exprs)  # refuses what cannot be read, and finds the ranges of the sums
        left, right = pair(reader, {})
        gap = right - left if relation == "<=" else left - right
        return all(
            is_zero(form) or (relation != "=" and _is_nonnegative(written))
            for written, form in _forms(gap, reader)
        )
    except (Unprovable, NotImplementedError):
        return False


def has_one_root_for_every_size(reader, expr, variable):
    """Whether no more than one value of `variable` can make `expr` zero, for all sizes."""
    try:
        forms = [form for _, form in _forms(reader.read(expr, {}), reader)]
        symbols = set().union(*(form.free_symbols for form in forms))
        sets = {symbol: reader.sets.get(symbol) or own_set(symbol) for symbol in symbols}
        return all(has_one_root(form, reader.variable(variable), sets) for form in forms)
    except (Unprovable, NotImplementedError):
        return False


def _forms(expr, reader):
    """`expr` and its form, for every way in which its free indices can be the same."""
    indices = sorted(_indices(expr), key=str)
    ranges = {index: reader.range_of(index) for index in indices if not index.is_Integer}
    patterns = list(itertools.islice(_patterns(indices), MOST_PATTERNS + 1))
    if len(patterns) > MOST_PATTERNS:
        raise Unprovable(expr)
    for same in patterns:
        written = expr.xreplace(same)
        yield written, NormalForm(written, ranges, reader.row).expr


def _is_nonnegative(gap):
    """Whether a gap is a sum of terms none of which is negative."""
    return all(
        term.is_nonnegative or (isinstance(term, sp.Sum) and term.function.is_nonnegative)
        for term in sp.Add.make_args(gap)
    )


def _indices(expr):
    """The free indices of entries and deltas, and the numbers among them."""
    if isinstance(expr, (sp.Sum, sp.Product)):
        bounds = (bound for limits in expr.limits for bound in limits[1:])
        summed = {limits[0] for limits in expr.limits}
        return _indices(expr.function).union(*map(_indices, bounds)) - summed
    if isinstance(expr, (sp.Indexed, sp.KroneckerDelta)):
        found = set(expr.indices if isinstance(expr, sp.Indexed) else expr.args[:2])
        if not all(index.is_Symbol or index.is_Integer for index in found):
            raise Unprovable(expr)
        return found
    return set().union(*map(_indices, expr.args))


def _patterns(indices):
    """All ways in which indices can be the same, each as what replaces what."""
    if not indices:
        yield {}
        return
    first, *rest = indices
    for same in _patterns(rest):
        yield same
        # To be the same as one of a group is to be the same as its representative.
        for other in dict.fromkeys(same.get(index, index) for index in rest):
            if first.is_Integer and other.is_Integer:
                continue
            keep, lose = (first, other) if first.is_Integer else (other, first)
            if any(i.is_Integer and same.get(i, i) == keep != i for i in rest):
                continue
            moved = {i: keep if to == lose else to for i, to in same.items()}
            yield {**moved, lose: keep}


class NormalForm:
    """`expr` is the form of an expression in which each free index is another number.

    Parameters
    ----------
    ranges : the first and the last number of each free index
    row : function of a base: "one-hot", "simplex" or None, and the range of its last index
    """

    def __init__(self, expr, ranges, row):
        self.ranges, self.row = ranges, row
        self.names = {}  # what is left of a sum: the symbol, or the base of symbols, that names it
        self.lowest = _lowest(expr)
        self.expr = self._of(expr, {})

    def _of(self, expr, scope):
        """The form of `expr`, inside of sums over the indices in `scope`, each with its range."""
        if isinstance(expr, sp.Sum):
            return self._of_sum(expr, scope)
        if isinstance(expr, sp.Product):
            raise Unprovable(expr)
        if isinstance(expr, sp.Piecewise):
            return self._of_cases(expr, scope)
        if isinstance(expr, sp.KroneckerDelta):
            return self._delta(*expr.args[:2], scope)
        if not expr.args or isinstance(expr, sp.Indexed):
            return expr
        if isinstance(expr, sp.log) and isinstance(expr.args[0], sp.Product):
            product = expr.args[0]
            if not product.function.is_positive:
                raise Unprovable(expr)
            return self._of_sum(sp.Sum(sp.log(product.function), *product.limits), scope)
        expr = expr.func(*(self._of(part, scope) for part in expr.args))
        if isinstance(expr, sp.log):
            return sp.expand_log(sp.log(sp.factor(sp.together(expr.args[0]))))
        return expr

    def _delta(self, first, second, scope):
        if first == second:
            return sp.S.One
        if first in scope or second in scope:
            return sp.KroneckerDelta(first, second)
        return sp.S.Zero

    def _of_cases(self, expr, scope):
        """A choice by equal indices: each case times whether it is the first that holds."""
        total, none_before = sp.S.Zero, sp.S.One
        for value, condition in expr.args:
            if condition == sp.true:
                chosen = sp.S.One
            elif isinstance(condition, (sp.Eq, sp.Ne)) and self._are_indices(condition, scope):
                chosen = self._delta(condition.lhs, condition.rhs, scope)
                chosen = 1 - chosen if isinstance(condition, sp.Ne) else chosen
            else:
                raise Unprovable(expr)
            total += none_before * chosen * self._of(value, scope)
            none_before *= 1 - chosen
        return total

    def _are_indices(self, condition, scope):
        return all(
            side in scope or side in self.ranges or side.is_Integer for side in condition.args
        )

    def _of_sum(self, expr, scope):
        *inner, (index, first, last) = expr.limits
        first, last = self._of(first, scope), self._of(last, scope)
        function = expr.func(expr.function, *inner) if inner else expr.function
        total, lowest = sp.S.Zero, self.lowest.get(last, first)
        if first != lowest:
            if not (first.is_Integer and (last - lowest + 1).is_nonnegative):
                raise Unprovable(expr)
            for number in range(int(first), int(lowest)):
                total += self._of(function.xreplace({index: sp.Integer(number)}), scope)
        body = self._of(function, {**scope, index: (lowest, last)})
        for term in sp.Add.make_args(sp.expand(body, log=False)):
            total += self._of_term(term, index, lowest, last, scope)
        return total

    def _of_term(self, term, index, first, last, scope):
        """The sum of one term over `index`."""
        factors = sp.Mul.make_args(term)
        inside = [factor for factor in factors if factor.has(index)]
        outside = sp.Mul(*(factor for factor in factors if not factor.has(index)))
        if not inside:
            return outside * (last - first + 1)
        for factor in inside:
            base, power = factor.as_base_exp()
            if isinstance(base, sp.KroneckerDelta) and power.is_Integer and power > 0:
                (other,) = set(base.args[:2]) - {index}
                self._check_range(other, first, last, scope)
                rest = sp.Mul(*(f for f in inside if f is not factor))
                return outside * self._of(rest.xreplace({index: other}), scope)
        inside = [self._one_hot_power(factor) for factor in inside]
        if len(inside) == 1 and isinstance(inside[0], sp.Indexed):
            (entry,) = inside
            if self._is_whole_row(entry, index, first, last):
                return outside
        return outside * self._named(sp.Mul(*inside), index, first, last, scope)

    def _is_whole_row(self, entry, index, first, last):
        """Whether the sum of an entry is over all entries of a row that sums to 1."""
        kind, limits = self.row(entry.base)
        *others, place = entry.indices
        return kind and place == index and index not in others and limits == (first, last)

    def _one_hot_power(self, factor):
        base, power = factor.as_base_exp()
        is_entry = isinstance(base, sp.Indexed) and self.row(base.base)[0] == "one-hot"
        return base if is_entry and power.is_Integer and power > 0 else factor

    def _check_range(self, index, first, last, scope):
        """An index that a delta picks must be one that the sum runs over."""
        low, high = scope.get(index) or self.ranges.get(index, (index, index))
        if not ((low - first).is_nonnegative and (last - high).is_nonnegative):
            raise Unprovable(index)

    def _named(self, function, index, first, last, scope):
        """The name of a sum; the same for the same function of an index of whatever name."""
        outer = [other for other in scope if function.has(other)]
        places = {
            other: sp.Symbol(f"_{n}", integer=True) for n, other in enumerate((index, *outer))
        }
        key = function.xreplace(places), first, last
        if key not in self.names:
            positive = function.is_positive and (last - first).is_nonnegative
            known = {"real": True} if function.is_real else {}
            known |= {"positive": True} if positive else {}
            symbol = sp.Symbol(f"sum {len(self.names)}", **known)
            self.names[key] = sp.IndexedBase(symbol) if outer else symbol
        name = self.names[key]
        return name[tuple(outer)] if outer else name


def _lowest(expr):
    """For each last number of a sum, from where all sums up to it are taken: the highest first."""
    lowest = {}
    for total in expr.atoms(sp.Sum):
        for _, first, last in total.limits:
            if first.is_Integer:
                lowest[last] = max(first, lowest.get(last, first))
    return lowest
