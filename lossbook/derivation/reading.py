"""From a line as written to what is checked: definitions put in, operations carried out."""

import functools
import itertools

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from lossbook.derivation.smoothness import Slope

SIZES = (2, 3, 5)
MOST_TERMS = 14  # of a sum, where a condition on its size asks for more
UNFINISHED = (sp.Derivative, sp.Integral, sp.Limit, sp.Sum, sp.Product, sp.Subs, AppliedUndef)


class Reader:
    """Reads lines under the definitions in `given` and the sets in `domain`.

    Every symbol is replaced by one whose assumptions follow from its domain, every index and every
    size of a sum by a number, and every entry such as `z[2]` by a symbol of its own. `sets` holds
    the values of the replacing symbols.
    """

    def __init__(self, given, domain):
        self.given = tuple(given)
        self.domain = dict(domain)
        self.sets = {}
        self._symbols = {}  # what is written: the symbol that replaces it
        self._definitions = {}  # what is defined: arguments and right side
        self._sum_ranges = set()  # limits that hold a size, of all sums so far
        self._slopes = []  # the derivatives taken in what is being read
        self._results = {}  # what has been read, with its slopes: lines
        self._defined = {}  # and right sides of definitions, for their arguments and numbers
        for key, value in self.domain.items():
            self._accept_domain(key, value)
        for equation in self.given:
            self._accept_definition(equation)
        self._refuse_circles()

    def _accept_domain(self, key, value):
        if not isinstance(key, (sp.Symbol, sp.IndexedBase)):
            raise TypeError(f"domain must be keyed by symbols, got {key!r}")
        if isinstance(value, tuple):
            if len(value) != 2:
                raise ValueError(f"domain of the index {key} must be (first, last), got {value!r}")
            self.domain[key] = tuple(map(sp.sympify, value))
        elif isinstance(value, str):
            if value not in ("one-hot", "simplex") or not isinstance(key, sp.IndexedBase):
                raise ValueError(
                    f"domain of {key} must be a set, got {value!r}; only an IndexedBase can be "
                    '"one-hot" or "simplex"'
                )
        elif isinstance(value, (sp.Set, set, frozenset)):
            values = value if isinstance(value, sp.Set) else sp.FiniteSet(*value)
            own = own_set(key)
            if values.is_subset(own) is not True or values.is_empty:
                raise ValueError(
                    f"domain of {key} must be a set of numbers that its assumptions allow "
                    f"({own}), got {value}"
                )
            self.domain[key] = values
        else:
            raise TypeError(f"domain of {key} must be a set, got {value!r}")

    def _accept_definition(self, equation):
        if not isinstance(equation, sp.Equality):
            raise TypeError(f"given must hold equations Eq(symbol, expression), got {equation!r}")
        head, arguments = _head(equation.lhs)
        if head is None or not all(isinstance(argument, sp.Symbol) for argument in arguments):
            raise ValueError(
                f"given: the left side must be a symbol, p(z) or p[k], got {equation.lhs}"
            )
        if head in self._definitions or head in self.domain:
            raise ValueError(f"given: {head} is defined twice, or has a domain of its own")
        stray = sorted(_free_indices(equation.rhs) - set(arguments), key=str)
        if stray:
            raise ValueError(f"given: the index {stray[0]} of {equation.rhs} is not on the left")
        self._definitions[head] = arguments, equation.rhs

    def _refuse_circles(self):
        def visit(head, path):
            if head in path:
                names = " -> ".join(map(str, [*path, head]))
                raise ValueError(f"given: the definitions run in a circle, {names}")
            if head in self._definitions:
                for node in sp.preorder_traversal(self._definitions[head][1]):
                    visit(_head(node)[0], [*path, head])

        for head in self._definitions:
            visit(head, [])

    def statement(self, show):
        """The definitions and domains in words; `show` turns SymPy objects into text."""
        terms = []
        for key, value in self.domain.items():
            if isinstance(value, tuple):
                terms.append(f"{show(key)} from {show(value[0])} to {show(value[1])}")
            elif isinstance(value, str):
                terms.append(f"{show(key)} {value if value == 'one-hot' else 'on the simplex'}")
            else:
                terms.append(f"{show(key)} in {show(value)}")
        heads = {_head(atom)[0]: self.sets[symbol] for atom, symbol in self._symbols.items()}
        for key in sorted(heads.keys() - self.domain.keys() - self._definitions.keys(), key=str):
            if heads[key] != sp.S.Reals:
                terms.append(f"{show(key)} in {show(heads[key])}")
        parts = [f"given {', '.join(map(show, self.given))}"] if self.given else []
        parts += [f"for {', '.join(terms)}"] if terms else []
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}." if text else ""

    def variable(self, symbol):
        """The symbol that replaces one which is to be solved for or taken to a limit."""
        if symbol in self._definitions:
            raise ValueError(f"symbol {symbol} is defined in given, so it cannot vary")
        return self._replacement(symbol)

    def instances(self, *exprs):
        """Numbers for every size and free index, case by case, and the sizes in words."""
        sum_ranges = {
            limits[1:]
            for expr in (*exprs, *(meaning for _, meaning in self._definitions.values()))
            for total in expr.atoms(sp.Sum, sp.Product)
            for limits in total.limits
            if limits[1:].free_symbols
        }
        self._sum_ranges |= sum_ranges
        indices = set().union(*map(_free_indices, exprs)) - self._definitions.keys()
        limits = set().union(*(bound.free_symbols for pair in sum_ranges for bound in pair))
        indices -= self._sizes_of_ranges() | (limits - self.domain.keys())
        indices = sorted((i for i in indices if not self._has_set(i)), key=str)
        ranges = [self.domain.get(i) or self._only_range(f"the index {i}") for i in indices]
        bounds = itertools.chain(*sum_ranges, *ranges)
        sizes = set().union(*(bound.free_symbols for bound in bounds)) - set(indices)
        sizes = sorted(sizes, key=str)
        gap = sp.Add(*exprs[:1], *(-expr for expr in exprs[1:]))
        meanings = [meaning for _, meaning in self._definitions.values()]
        numbers = sorted(set().union(SIZES, *(_telling(size, gap, *meanings) for size in sizes)))
        # Each size starts elsewhere in the list, so that N and K are never the same number.
        turns = [numbers[turn:] + numbers[:turn] for turn in range(len(sizes))]
        choices = list(zip(*turns, strict=True)) if sizes else [()]
        cases = []
        for numbers in choices:
            values = dict(zip(sizes, map(sp.Integer, numbers), strict=True))
            spans = [_numbers(limits, values) for limits in ranges]
            for chosen in itertools.product(*spans):
                cases.append(values | dict(zip(indices, chosen, strict=True)))
        listed = choices if len(sizes) > 1 else [number for choice in choices for number in choice]
        words = f"{', '.join(map(str, sizes))} = {', '.join(map(str, listed))}" if sizes else ""
        return cases, words

    def _sizes_of_ranges(self):
        ranges = (values for values in self.domain.values() if isinstance(values, tuple))
        return set().union(*(bound.free_symbols for limits in ranges for bound in limits))

    def _has_set(self, key):
        return isinstance(self.domain.get(key), sp.Set)

    def _only_range(self, what):
        if len(self._sum_ranges) != 1:
            raise ValueError(f"domain must give {what} its range, such as {{k: (1, K)}}")
        return next(iter(self._sum_ranges))

    def label_vectors(self, symbols, values):
        """The one-hot and simplex vectors that `symbols` come from: kind and all entries."""
        written = {symbol: atom for atom, symbol in self._symbols.items()}
        vectors = {}
        for symbol in sorted(symbols, key=str):
            base, indices = _head(written[symbol])
            kind = self.domain.get(base)
            if isinstance(kind, str):
                shape = base.shape
                limits = (sp.S.One, shape[-1]) if shape else self._only_range(f"entries of {base}")
                entries = [base[(*indices[:-1], n)] for n in _numbers(limits, values)]
                vectors[base, indices[:-1]] = kind, list(map(self._replacement, entries))
        return list(vectors.values())

    def read(self, expr, values):
        """`expr` with everything in it carried out, for the given numbers."""
        key = expr, tuple(values.items())
        if key not in self._results:
            self._slopes = []
            result = self._read(expr, values, frozenset())
            left = sorted(result.atoms(*UNFINISHED), key=str)
            if left:
                raise TypeError(
                    f"SymPy cannot carry out {left[0]} in {expr}: define it in given, or argue"
                )
            self._results[key] = result, self._slopes
        return self._results[key][0]

    def slopes(self, expr, values):
        """The derivatives that are taken in reading `expr`."""
        self.read(expr, values)
        return self._results[expr, tuple(values.items())][1]

    def _read(self, expr, values, kept):
        """Read `expr`; what is in `kept` stays a variable although it is defined."""
        if expr in values:
            return values[expr]
        if expr.is_Float:
            return sp.Rational(str(expr))
        if isinstance(expr, sp.Derivative):
            return self._read_derivative(expr, values, kept)
        if isinstance(expr, sp.Limit):
            return self._read_limit(expr, values, kept)
        if isinstance(expr, (sp.Sum, sp.Product, sp.Integral)):
            return self._read_total(expr, values, kept)
        if isinstance(expr, sp.UnevaluatedExpr):
            return self._read(expr.args[0], values, kept)
        if isinstance(expr, sp.IndexedBase):
            return expr
        head, arguments = _head(expr)
        if head is None:
            parts = [self._read(part, values, kept) for part in expr.args]
            result = expr.func(*parts) if parts else expr
            # A function of a whole row, such as the largest entry, writes out its entries now.
            whole = any(isinstance(part, sp.IndexedBase) for part in parts)
            return self._read(result, values, kept) if whole and result != expr else result
        arguments = [self._read(argument, values, kept) for argument in arguments]
        if head in self._definitions and head not in kept:
            return self._read_defined(head, tuple(arguments), values, kept)
        if isinstance(expr, AppliedUndef):
            return self._replacement(head(*arguments)) if head in kept else expr
        return self._replacement(head[tuple(arguments)] if arguments else head)

    def _read_defined(self, head, arguments, values, kept):
        formal, meaning = self._definitions[head]
        numbers = frozenset((s, values[s]) for s in meaning.free_symbols if s in values)
        key = head, arguments, numbers, kept
        if key not in self._defined:
            inner = values | dict(zip(formal, arguments, strict=True))
            outer, self._slopes = self._slopes, []
            self._defined[key] = self._read(meaning, inner, kept), self._slopes
            self._slopes = outer
        meaning, slopes = self._defined[key]
        self._slopes = self._slopes + slopes
        return meaning

    def _read_derivative(self, expr, values, kept):
        """Differentiate with the variables kept, then put in what they are defined as."""
        variables = {_head(variable)[0] for variable in expr.variables}
        inside = functools.partial(self._read, values=values, kept=kept | variables)
        result = inside(expr.expr)
        for variable in expr.variables:
            symbol = inside(variable)
            defined = {
                symbol: self._read(atom, values, frozenset())
                for atom, symbol in list(self._symbols.items())
                if _head(atom)[0] in self._definitions and symbol in result.free_symbols
            }
            self._slopes.append(Slope(result, symbol, defined))
            result = sp.diff(result, symbol)
        defined = {
            symbol: self._read(atom, values, kept)
            for atom, symbol in list(self._symbols.items())
            if _head(atom)[0] in variables and symbol in result.free_symbols
        }
        return result.xreplace(defined)

    def _read_limit(self, expr, values, kept):
        function, variable, point, side = expr.args
        dummy = sp.Symbol(variable.name, real=True)
        function = self._read(function, {**values, variable: dummy}, kept)
        return sp.limit(function, dummy, self._read(point, values, kept), str(side))

    def _read_total(self, expr, values, kept):
        """Write out a sum between numbers; leave an integral or a series to SymPy."""
        *inner, (index, *bounds) = expr.limits
        if len(bounds) != 2:
            raise TypeError(f"{expr} must have both its limits")
        body = expr.func(expr.function, *inner) if inner else expr.function
        first, last = (self._read(bound, values, kept) for bound in bounds)
        if not isinstance(expr, sp.Integral) and first.is_Integer and last.is_Integer:
            numbers = map(sp.Integer, range(int(first), int(last) + 1))
            terms = [self._read(body, {**values, index: n}, kept) for n in numbers]
            return sp.Add(*terms) if isinstance(expr, sp.Sum) else sp.Mul(*terms)
        known = {"real": True} if isinstance(expr, sp.Integral) else {"integer": True}
        dummy = sp.Symbol(index.name, **known)
        body = self._read(body, {**values, index: dummy}, kept)
        return expr.func(body, (dummy, first, last)).doit()

    def _replacement(self, atom):
        """The symbol that stands for `atom` in checks, with the assumptions its domain implies."""
        if atom not in self._symbols and atom not in self.sets:
            values = self.domain.get(_head(atom)[0])
            if isinstance(values, str):
                values = sp.Interval(0, 1) if values == "one-hot" else sp.Interval.open(0, 1)
            elif not isinstance(values, sp.Set):
                values = own_set(atom)
            known = {name: truth for name, truth in atom.assumptions0.items() if truth is not None}
            symbol = sp.Symbol(str(atom), **{**known, **_assumptions(values)})
            if any(str(atom) == other.name for other in self.sets):
                first = next(other for other in self._symbols if str(other) == str(atom))
                raise ValueError(
                    f"two different symbols are both called {_head(atom)[0]}: use the first one, "
                    f"{sp.srepr(_head(first)[0])}, not {sp.srepr(_head(atom)[0])}"
                )
            self.sets[symbol] = values
            self._symbols[atom] = symbol
        return self._symbols.get(atom, atom)


def _head(expr):
    """What a definition or a domain is keyed by, and the arguments it is applied to."""
    if isinstance(expr, sp.Symbol):
        return expr, ()
    if isinstance(expr, sp.Indexed):
        return expr.base, expr.indices
    if isinstance(expr, AppliedUndef):
        return expr.func, expr.args
    return None, ()


def _free_indices(expr):
    """Symbols that pick an entry or stand in a Kronecker delta, and are not summed over."""
    found = set().union(*map(_free_indices, expr.args))
    if isinstance(expr, (sp.Sum, sp.Product)):
        return found - {limits[0] for limits in expr.limits}
    if isinstance(expr, sp.Indexed):
        found |= set().union(*(index.free_symbols for index in expr.indices))
    if isinstance(expr, sp.KroneckerDelta):
        plain = (index for index in expr.args if not index.has(sp.IndexedBase))
        found |= set().union(*(index.free_symbols for index in plain))
    return found


@functools.cache
def _telling(size, *exprs):
    """Numbers for `size` on which no polynomial of the degree in `exprs` vanishes altogether.

    Where a condition turns at a number of its own, that one and the next are with them.
    """
    degree = max(_degree(expr, size) for expr in exprs)
    numbers = set(range(2, degree + 3)) if degree >= len(SIZES) else set()
    for node in set().union(*(expr.atoms(Relational, sp.KroneckerDelta) for expr in exprs)):
        turn = sp.expand(size - (node.args[0] - node.args[1]))
        turn = turn if turn.is_Integer else sp.expand(size + node.args[0] - node.args[1])
        if turn.is_Integer and 0 < turn < MOST_TERMS:
            numbers |= {int(turn), int(turn) + 1}
    return numbers


def _degree(expr, size):
    """The degree in `size` of the numerator of `expr`, or of parts that are no polynomial."""
    hidden = {}

    def plain(node):
        if node.is_Add or node.is_Mul or (node.is_Pow and node.exp.is_Integer):
            return node.func(*map(plain, node.args))
        if node.is_Symbol or node.is_number:
            return node
        if isinstance(node, sp.IndexedBase):
            return sp.Dummy()
        if node not in hidden:
            parts = [_degree(part, size) for part in node.args if part.has(size)]
            hidden[node] = sp.Dummy() * size ** max(parts, default=0)
        return hidden[node]

    numerator = sp.fraction(sp.together(plain(expr)))[0]
    return int(max(0, sp.degree(numerator, size))) if numerator.has(size) else 0


def _numbers(limits, values):
    first, last = (int(limit.xreplace(values)) for limit in limits)
    return [sp.Integer(n) for n in range(first, last + 1)]


def own_set(atom):
    """The values that the assumptions of `atom` allow it."""
    if atom.is_complex and not atom.is_real:
        raise ValueError(f"{atom} must be real")
    values = sp.S.Integers if atom.is_integer else sp.S.Reals
    if atom.is_nonnegative:
        values = sp.S.Naturals0 if atom.is_integer else sp.Interval(0, sp.oo)
    if atom.is_nonpositive:
        values = sp.Range(0, -sp.oo, -1) if atom.is_integer else sp.Interval(-sp.oo, 0)
    if atom.is_positive and atom.is_integer:
        values = sp.S.Naturals
    return values - sp.FiniteSet(0) if atom.is_nonzero and 0 in values else values


def _assumptions(values):
    """What a symbol with these values may be assumed to be."""
    known = {"integer" if values.is_subset(sp.S.Integers) else "real": True}
    if 0 not in values:
        known["zero"] = False
    if values.inf >= 0:
        known["nonnegative"] = True
    if values.sup <= 0:
        known["nonpositive"] = True
    return known
