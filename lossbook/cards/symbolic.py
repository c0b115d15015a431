r"""What a loss is as a SymPy expression: the formula stated once more, independently of the code.

The code of a loss is a careful rearrangement of its formula. On its card stands the formula itself,
in the usual symbols, so that one can be held against the other. The card prints these expressions,
a derivation starts from one and ends in the other, and the gradient check differentiates them.

Classes and the sums over them count from 1 to :math:`K`, as in the text of the chapters; class ids,
in code, count from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property, reduce
from itertools import combinations
from itertools import product as every

import numpy as np
import sympy as sp

from lossbook.derivation.printing import Printer

# Indexed by class: k runs over the sum, i over a softmax's denominator, j is the gradient's index.
K = sp.Symbol("K", integer=True, positive=True)
# How many coordinates a point has; how many pixels, entries of a sample, or parameters there are.
D = sp.Symbol("D", integer=True, positive=True)
n = sp.Symbol("n", integer=True, positive=True)
i, j, k = sp.symbols("i j k", integer=True)
class_id = sp.Symbol("y", integer=True)
rows = sp.IndexedBase("t", real=True)

# Every sum on a card runs over all entries: its classes, its pixels.
_print = Printer(sum_limits=False).doprint


@dataclass(frozen=True, eq=False)
class Symbolic:
    r"""A loss and its gradient as SymPy expressions.

    Attributes
    ----------
    prediction, target : what the loss is a function of: a symbol, a tuple of symbols for a row, a
        tuple of such tuples for several predictions, or with an axis of entries an
        ``IndexedBase``. `target` is None where there is none, or a label has been filled in.
    stated_value, stated_gradient : the formulas as printed, with the abbreviations of `where`;
        the gradient is a tuple if `prediction` is one, with an entry for each symbol
    hyperparameters : the symbol of each hyperparameter
    domain : the values that each symbol can take
    where : abbreviations and what they stand for, each in terms of later ones only

    Examples
    --------
    >>> from lossbook.cards import CARDS
    >>> CARDS["huber"].symbolic.gradient
    Piecewise((p - t, Abs(p - t) <= delta), (delta*sign(p - t), True))
    >>> from lossbook.cards import CARDS
    >>> CARDS["squared_error"].symbolic.value_latex
    '\\left(p - t\\right)^{2}'
    """

    prediction: sp.Basic | tuple
    target: sp.Basic | tuple | None
    stated_value: sp.Expr
    stated_gradient: sp.Expr | tuple
    hyperparameters: dict = field(default_factory=dict)
    domain: dict = field(default_factory=dict)
    where: dict = field(default_factory=dict)

    @cached_property
    def value(self):
        """The unreduced loss, abbreviations written out."""
        return self._written_out(self.stated_value)

    @cached_property
    def gradient(self):
        """Its gradient with respect to `prediction`: an expression, or a tuple of them."""
        return self._written_out(self.stated_gradient)

    @property
    def slopes(self):
        """For each entry of the prediction: what is to be derived, and the gradient's entry.

        >>> from lossbook.cards import CARDS

        >>> CARDS["half_squared_error"].symbolic.slopes
        ((Derivative((p - t)**2/2, p), p - t),)
        """
        entries, gradients = _entries(self.prediction), _entries(self.gradient)
        slopes = (sp.Derivative(self.value, entry) for entry in entries)
        return tuple(zip(slopes, gradients, strict=True))

    @property
    def value_latex(self):
        """The unreduced loss as LaTeX, with the definitions of its abbreviations."""
        return self._latex(self.stated_value)

    @property
    def gradient_latex(self):
        """The gradient as LaTeX, with the definitions of its abbreviations."""
        return self._latex(self.stated_gradient)

    @property
    def prediction_latex(self):
        r"""What the gradient is taken with respect to, as LaTeX.

        >>> from lossbook.cards import CARDS

        >>> CARDS["gaussian_nll"].symbolic.prediction_latex
        '\\left( \\mu, \\  s\\right)'
        """
        return _print(self.prediction)

    def fixed(self, **hyperparameters):
        """The same loss with these hyperparameters put in; None leaves out a factor, as in code.

        >>> from lossbook.cards import CARDS

        >>> CARDS["huber"].symbolic.fixed(delta=2).value
        Piecewise(((p - t)**2/2, Abs(p - t) <= 2), (2*Abs(p - t) - 2, True))
        """
        if unknown := sorted(hyperparameters.keys() - self.hyperparameters.keys()):
            raise TypeError(
                f"hyperparameters must be {', '.join(self.hyperparameters) or 'none'}, "
                f"got {', '.join(unknown)}"
            )
        symbols = {
            self.hyperparameters[name]: int(x) if isinstance(x, bool) else x
            for name, x in hyperparameters.items()
        }
        numbers = {symbol: sp.sympify(x) for symbol, x in symbols.items() if x is not None}

        def put_in(stated):
            written = self._written_out(stated, symbols.keys() - numbers.keys())
            if isinstance(written, tuple):
                return tuple(entry.xreplace(numbers) for entry in written)
            return written.xreplace(numbers)

        return replace(
            self,
            stated_value=put_in(self.stated_value),
            stated_gradient=put_in(self.stated_gradient),
            hyperparameters={
                name: symbol
                for name, symbol in self.hyperparameters.items()
                if name not in hyperparameters
            },
            domain={key: values for key, values in self.domain.items() if key not in symbols},
            where={},
        )

    def lambdify(self, form="value", /, **hyperparameters):
        """The value, or with ``form="gradient"`` the gradient, as a function of the loss's arrays.

        The value accepts complex predictions and is analytic wherever the loss has a derivative:
        ``Abs`` and ``Max`` pick a branch by the real part. So complex steps may be taken with it.

        >>> from lossbook.cards import CARDS

        >>> value = CARDS["huber"].symbolic.lambdify(delta=1.0)
        >>> value(np.array([3.0 + 1e-20j]), np.array([0.0]))
        array([2.5+1.e-20j])
        """
        self._check(form, hyperparameters)
        given = {name: x for name, x in hyperparameters.items() if x is not None}
        absent = {self.hyperparameters[name] for name in hyperparameters if name not in given}
        stated = self.stated_value if form == "value" else self.stated_gradient
        expression = sp.sympify(self._written_out(stated, absent))
        arguments = (*_entries(self.prediction), *_entries(self.target))
        compute = _compiled(
            (*arguments, *(self.hyperparameters[name] for name in given)), expression
        )
        predictions = _inputs(self.prediction)
        inputs = (*predictions, *_inputs(self.target))

        @np.errstate(all="ignore")
        def function(*arrays):
            columns = [
                column
                for symbols, array in zip(inputs, arrays, strict=True)
                for column in _columns(symbols, array)
            ]
            result = compute(*columns, *given.values())
            if not isinstance(expression, sp.Tuple):
                return np.broadcast_to(result, np.shape(columns[0]))
            stacked = np.stack(np.broadcast_arrays(*result, columns[0])[:-1], axis=-1)
            if form == "value" or len(predictions) == 1:
                return stacked
            ends = np.cumsum([len(symbols) for symbols in predictions])
            return tuple(np.split(stacked, ends[:-1], axis=-1))

        return function

    def _check(self, form, hyperparameters):
        if form not in ("value", "gradient"):
            raise ValueError(f"form must be 'value' or 'gradient', got {form!r}")
        if hyperparameters.keys() != self.hyperparameters.keys():
            raise TypeError(
                f"hyperparameters must be {', '.join(self.hyperparameters) or 'none'}, "
                f"got {', '.join(hyperparameters) or 'none'}"
            )

    def _written_out(self, expression, absent=frozenset()):
        """Replace abbreviations; one that needs an absent hyperparameter is a factor left out."""
        if isinstance(expression, tuple):
            return tuple(self._written_out(entry, absent) for entry in expression)
        for symbol, meaning in self.where.items():
            if not expression.has(symbol.base if isinstance(symbol, sp.Indexed) else symbol):
                continue
            if meaning.free_symbols & absent:
                meaning = sp.S.One
            expression = expression.replace(*_rule(symbol, meaning))
        return expression

    def _latex(self, expression):
        used = sp.sympify(expression)
        printed = _print(expression)
        for symbol, meaning in self.where.items():
            if used.has(symbol.base if isinstance(symbol, sp.Indexed) else symbol):
                printed += rf", \quad {_print(symbol)} = {_print(meaning)}"
                used = sp.Tuple(used, meaning)
        return printed


@dataclass(frozen=True, eq=False)
class EntryAxis(Symbolic):
    r"""A loss with an axis of entries: an indexed statement for any number of them.

    The entries are classes, coordinates, pixels, parameters. `prediction`, or each one of a tuple,
    is an ``IndexedBase``, and so is `target` unless it is a class id, a symbol or None. `gradient`
    is the derivative with respect to the entry of index :math:`j`, a tuple for several predictions.

    Attributes
    ----------
    size : the symbol of the number of entries
    first_axis : the first axis of an array over which entries are counted: -1 where it is the last
        alone, 1 for the pixels of a mask, 0 where all are

    Examples
    --------
    >>> from lossbook.cards import CARDS
    >>> loss = CARDS["softmax_cross_entropy"].symbolic
    >>> loss.gradient_latex.partition(",")[0]
    'p_{j} - \\tilde{t}_{j}'
    >>> from lossbook.cards import CARDS
    >>> CARDS["multiclass_hinge"].symbolic.at(3, label=1).value
    Max(0, m - z_1 + Max(z_2, z_3))
    """

    size: sp.Symbol = K
    first_axis: int = -1

    @property
    def prediction_latex(self):
        r"""What the gradient is taken with respect to, as LaTeX: one entry, or one of each.

        >>> from lossbook.cards import CARDS

        >>> CARDS["brier"].symbolic.prediction_latex
        'p_{j}'
        """
        entries = tuple(base[j] for base in _bases(self.prediction))
        return _print(entries if len(entries) > 1 else entries[0])

    @property
    def slopes(self):
        """As for :class:`Symbolic`, for the entry of index :math:`j`."""
        pairs = zip(_bases(self.prediction), _bases(self.gradient), strict=True)
        return tuple((sp.Derivative(self.value, base[j]), gradient) for base, gradient in pairs)

    def at(self, size, label=None):
        """The loss for a number of entries and, where given, the `label`, from 1 to `size`.

        Indexed symbols become plain ones: ``z[1]`` is ``z_1``. Without a label the target of a
        class axis is a tuple of as many symbols, the label's probabilities.
        """
        if label is None and self.target == class_id:
            raise ValueError("label must be a class: this loss takes no label probabilities")
        places = range(1, size + 1)
        if label is not None and label not in places:
            raise ValueError(f"label must be a class from 1 to {size}, got {label!r}")
        bases = _bases(self.prediction)
        predictions = tuple(_numbered(base, places) for base in bases)
        plain, target, numbers = {}, self.target, {self.size: size}
        domain = {symbol: self.domain[symbol] for symbol in self.hyperparameters.values()}
        for base, symbols in zip(bases, predictions, strict=True):
            plain |= _entries_of(base, symbols)
            domain |= dict.fromkeys(symbols, self.domain[base])
        if label is not None:
            target, numbers = None, numbers | {class_id: int(label)}
            plain |= {rows[place]: sp.Integer(int(place == label)) for place in places}
        elif isinstance(target, sp.IndexedBase):
            target = _numbered(self.target, places)
            plain |= _entries_of(self.target, target)
            values = self.domain[self.target]
            domain |= dict.fromkeys(target, sp.Interval(0, 1) if values == "simplex" else values)
        elif target is not None:
            domain |= {target: self.domain[target]}

        def concrete(expression):
            return expression.subs(numbers).doit().xreplace(plain)

        return Symbolic(
            predictions if len(bases) > 1 else predictions[0],
            target,
            concrete(self.value),
            tuple(
                concrete(gradient.subs(j, place))
                for gradient in _bases(self.gradient)
                for place in places
            ),
            self.hyperparameters,
            domain,
        )

    def lambdify(self, form="value", /, **hyperparameters):
        """As for :class:`Symbolic`; the target may hold class ids or label probabilities."""

        @cache
        def concrete(size, label):
            return self.at(size, label).lambdify(form, **hyperparameters)

        def of_ids(prediction, ids):
            shape = prediction.shape if form == "gradient" else ids.shape
            result = np.empty(shape, prediction.dtype)
            for label in np.unique(ids):
                chosen = ids == label
                of_label = concrete(prediction.shape[-1], int(label) + 1)
                result[chosen] = of_label(prediction[chosen])
            return result

        def function(*arrays):
            if self.target in (class_id, rows) and arrays[1].ndim < arrays[0].ndim:
                return of_ids(*arrays)
            shape = arrays[0].shape
            if self.first_axis >= 0:
                lengths = (*shape[: self.first_axis], int(np.prod(shape[self.first_axis :])))
                arrays = [array.reshape(lengths) for array in arrays]
            result = concrete(arrays[0].shape[-1], None)(*arrays)
            return result.reshape(shape) if form == "gradient" and self.first_axis >= 0 else result

        return function


@dataclass(frozen=True, eq=False)
class BatchAxes(Symbolic):
    r"""A loss of two batches of points, stated for query :math:`i` with doubly indexed symbols.

    `prediction` is a pair of ``IndexedBase``, each with the indices of `places`, of which the last
    counts coordinates; `gradient` holds the derivatives of the sum of all values with respect to
    the entries that `places` says.

    Examples
    --------
    >>> from lossbook.cards import CARDS
    >>> CARDS["info_nce"].symbolic.at(2, 1).prediction
    ((q_1_1, q_2_1), (k_1_1, k_2_1))
    """

    size: sp.Symbol = n
    dimension: sp.Symbol = D
    places: tuple = ()

    @property
    def prediction_latex(self):
        r"""What the gradient is taken with respect to, as LaTeX: one entry of each."""
        pairs = zip(self.prediction, self.places, strict=True)
        return _print(tuple(base[place] for base, place in pairs))

    @property
    def slopes(self):
        """As for :class:`Symbolic`, of the sum of all values."""
        total = sp.Sum(self.value, (i, 1, self.size))
        triples = zip(self.prediction, self.places, self.gradient, strict=True)
        return tuple((sp.Derivative(total, base[place]), slope) for base, place, slope in triples)

    def at(self, size, dimension):
        """The sum of the values for a number of points with a number of coordinates."""
        places = list(every(range(1, size + 1), range(1, dimension + 1)))
        numbers = {self.size: size, self.dimension: dimension}
        symbols = {
            base: tuple(sp.Symbol(f"{base}_{m}_{d}", real=True) for m, d in places)
            for base in self.prediction
        }
        plain = {
            base[place]: symbol
            for base, entries in symbols.items()
            for place, symbol in zip(places, entries, strict=True)
        }

        def concrete(expression, at):
            return expression.subs(at).subs(numbers).doit().xreplace(plain)

        return Symbolic(
            tuple(symbols.values()),
            None,
            sp.Add(*(concrete(self.value, {i: m}) for m in range(1, size + 1))),
            tuple(
                concrete(gradient, dict(zip(indices, place, strict=True)))
                for gradient, indices in zip(self.gradient, self.places, strict=True)
                for place in places
            ),
            self.hyperparameters,
            {symbol: self.domain[symbol] for symbol in self.hyperparameters.values()}
            | {symbol: sp.Reals for entries in symbols.values() for symbol in entries},
        )

    def lambdify(self, form="value", /, **hyperparameters):
        """As for :class:`Symbolic`; a value for each query, and gradients in their shapes.

        Abbreviations are not written out, which would take SymPy long, but computed one by one.
        """
        self._check(form, hyperparameters)
        symbols = (self.size, self.dimension, *self.hyperparameters.values())
        stated = [((i,), self.stated_value)]
        if form == "gradient":
            stated = list(zip(self.places, self.stated_gradient, strict=True))
        steps = [(s.indices, meaning, s.base) for s, meaning in reversed(self.where.items())]
        steps += [(indices, expression, None) for indices, expression in stated]
        bases = (*self.prediction, *(base for _, _, base in steps if base is not None))
        computed = [
            (indices, _compiled((*bases, *symbols, *indices), expression), base)
            for indices, expression, base in steps
        ]

        @np.errstate(all="ignore")
        def function(*arrays):
            lengths = dict(zip((self.size, self.dimension), arrays[0].shape[-2:], strict=True))
            numbers = (*lengths.values(), *(hyperparameters[name] for name in self.hyperparameters))
            known = dict.fromkeys(bases) | {
                base: _from_one(np.moveaxis(array, (-2, -1), (0, 1)))
                for base, array in zip(self.prediction, arrays, strict=True)
            }
            results = []
            for indices, compute, base in computed:
                shape = [lengths[self.domain[index][1]] for index in indices]
                table = [
                    compute(*known.values(), *numbers, *place)
                    for place in every(*(range(1, length + 1) for length in shape))
                ]
                table = np.stack(table).reshape(*shape, *arrays[0].shape[:-2])
                if base is None:
                    results.append(np.moveaxis(table, range(len(shape)), range(-len(shape), 0)))
                else:
                    known[base] = _from_one(table)
            return results[0] if form == "value" else tuple(results)

        return function


def _from_one(array):
    """A table whose entries, in its first two axes, are counted from 1."""
    return np.pad(array, [(1, 0), (1, 0)] + [(0, 0)] * (array.ndim - 2))


class MaxOther(sp.Function):
    r"""The largest entry but one, :math:`\max_{k \ne y} z_k`: a ``Max`` at concrete size.

    >>> MaxOther(sp.IndexedBase("z", real=True), 1, 3)
    Max(z[2], z[3])
    """

    nargs = 3

    @classmethod
    def eval(cls, base, left_out, classes):
        if left_out.is_Integer and classes.is_Integer:
            return sp.Max(*(base[n] for n in range(1, classes + 1) if n != left_out))

    def _latex(self, printer):
        base, left_out, _ = (printer.doprint(argument) for argument in self.args)
        return rf"\max_{{k \ne {left_out}}} {base}_{{k}}"


class Ordered(sp.Function):
    r"""The entry of a rank, :math:`a_{(k)}`, the k-th smallest: of ``Min`` and ``Max`` at a size.

    >>> Ordered(sp.IndexedBase("a", real=True), 1, 2)
    Min(a[1], a[2])
    """

    nargs = 3

    @classmethod
    def eval(cls, base, rank, size):
        if not size.is_Integer or rank.is_Symbol:
            return None
        places = range(1, size + 1)
        if not rank.is_Integer:
            return sp.Piecewise(*((cls(base, m, size), sp.Eq(rank, m)) for m in places))
        # Of every choice of so many entries one is the largest, and the least of these is it.
        choices = combinations([base[m] for m in places], int(rank))
        return sp.Min(*(sp.Max(*choice) for choice in choices))

    def _latex(self, printer):
        base, rank, _ = (printer.doprint(argument) for argument in self.args)
        return rf"{base}_{{({rank})}}"


class Rank(sp.Function):
    r"""Which place an entry takes in order of size; of equal entries the first comes first.

    >>> Rank(sp.IndexedBase("a", real=True), 1, 2)
    Piecewise((1, a[1] > a[2]), (0, True)) + 1
    """

    nargs = 3

    @classmethod
    def eval(cls, base, place, size):
        if not (place.is_Integer and size.is_Integer):
            return None
        before = [base[m] <= base[place] for m in range(1, place)]
        before += [base[m] < base[place] for m in range(place + 1, size + 1)]
        return 1 + sp.Add(*(sp.Piecewise((1, is_before), (0, True)) for is_before in before))

    def _latex(self, printer):
        base, place, _ = (printer.doprint(argument) for argument in self.args)
        return rf"\operatorname{{rank}} {base}_{{{place}}}"


class ArgMaxOther(sp.Function):
    r"""Where :class:`MaxOther` is attained; of several places the first.

    >>> ArgMaxOther(sp.IndexedBase("z", real=True), 1, 3)
    Piecewise((2, z[2] >= z[3]), (3, True))
    """

    nargs = 3

    @classmethod
    def eval(cls, base, left_out, classes):
        if left_out.is_Integer and classes.is_Integer:
            others = [n for n in range(1, classes + 1) if n != left_out]
            # The first entry that no later one exceeds is the first of the largest.
            later = {n: [base[other] for other in others if other > n] for n in others}
            return sp.Piecewise(*((n, base[n] >= sp.Max(*later[n])) for n in others))

    def _latex(self, printer):
        base, left_out, _ = (printer.doprint(argument) for argument in self.args)
        return rf"\operatorname{{argmax}}_{{k \ne {left_out}}} {base}_{{k}}"


def _rule(symbol, meaning):
    """What to look for and what to put in its place, for an abbreviation with or without index."""
    if not isinstance(symbol, sp.Indexed):
        return symbol, meaning
    return (
        lambda part: isinstance(part, sp.Indexed) and part.base == symbol.base,
        lambda part: meaning.xreplace(dict(zip(symbol.indices, part.indices, strict=True))),
    )


def _length(x):
    return np.where(x < 0, -x, x)


def _largest(*entries):
    return reduce(np.maximum, entries)


def _smallest(*entries):
    return reduce(np.minimum, entries)


def _same(first, second):
    return np.equal(first, second) * 1.0


#: NumPy's own abs is the length of a complex number, which has no complex derivative. Comparisons,
#: and so these and a Piecewise, go by the real part first.
_ANALYTIC = {
    sp.Abs: _length,
    sp.Max: _largest,
    sp.Min: _smallest,
    sp.KroneckerDelta: _same,
}


def _compiled(arguments, expression):
    for kind, function in _ANALYTIC.items():
        expression = expression.replace(kind, sp.Function(function.__name__))
    functions = {function.__name__: function for function in _ANALYTIC.values()}
    return sp.lambdify(arguments, expression, [functions, "numpy"])


def _inputs(symbols):
    """What goes with each array: a symbol or a tuple of symbols; nothing for None."""
    if symbols is None:
        return ()
    is_several = isinstance(symbols, tuple) and isinstance(symbols[0], tuple)
    return symbols if is_several else (symbols,)


def _entries(symbols):
    """All symbols, or entries of a gradient, in one tuple."""
    inputs = _inputs(symbols)
    return tuple(e for one in inputs for e in (one if isinstance(one, tuple) else (one,)))


def _bases(stated):
    return stated if isinstance(stated, tuple) else (stated,)


def _columns(symbols, array):
    """The arrays that go with `symbols`: entries of the last axis where there are several."""
    return tuple(np.moveaxis(array, -1, 0)) if isinstance(symbols, tuple) else (array,)


def _numbered(base, numbers):
    assumptions = {name: True for name in ("positive", "real") if getattr(base[0], f"is_{name}")}
    return tuple(sp.Symbol(f"{base}_{n}", **assumptions) for n in numbers)


def _entries_of(base, symbols):
    """The entries of an indexed symbol, counted from 1, and the plain symbol for each."""
    return {base[n]: symbol for n, symbol in enumerate(symbols, start=1)}


def product(*factors):
    """A product printed in the order given; SymPy's own order would turn y s into s y."""
    return sp.Mul(*factors, evaluate=False)


def minus(first, second):
    """A difference printed in the order given."""
    return sp.Add(first, product(-1, *sp.Mul.make_args(second)), evaluate=False)


def over_classes(term):
    return over(term, K)


def over(term, size):
    """A sum over as many entries as `size`."""
    return sp.Sum(term, (k, 1, size))


def cases(*branches):
    """A Piecewise whose conditions are printed as written."""
    return sp.Piecewise(*branches, evaluate=False)
