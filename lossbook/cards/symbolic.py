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

import numpy as np
import sympy as sp

from lossbook.derivation.printing import Printer

# Indexed by class: k runs over the sum, i over a softmax's denominator, j is the gradient's index.
K = sp.Symbol("K", integer=True, positive=True)
i, j, k = sp.symbols("i j k", integer=True)
class_id = sp.Symbol("y", integer=True)
rows = sp.IndexedBase("t", real=True)

# Every sum on a card runs over the classes.
_print = Printer(sum_limits=False).doprint


@dataclass(frozen=True, eq=False)
class Symbolic:
    r"""A loss and its gradient as SymPy expressions.

    Attributes
    ----------
    prediction, target : what the loss is a function of: a symbol, a tuple of symbols, or with a
        class axis an ``IndexedBase``. `target` is None where a label has been filled in.
    stated_value, stated_gradient : the formulas as printed, with the abbreviations of `where`;
        the gradient is a tuple if `prediction` is one
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
        symbols = {self.hyperparameters[name]: x for name, x in hyperparameters.items()}
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
        """The value, or with ``form="gradient"`` the gradient, as a function of two arrays.

        The value accepts complex predictions and is analytic wherever the loss has a derivative:
        ``Abs`` and ``Max`` pick a branch by the real part. So complex steps may be taken with it.

        >>> from lossbook.cards import CARDS

        >>> value = CARDS["huber"].symbolic.lambdify(delta=1.0)
        >>> value(np.array([3.0 + 1e-20j]), np.array([0.0]))
        array([2.5+1.e-20j])
        """
        if form not in ("value", "gradient"):
            raise ValueError(f"form must be 'value' or 'gradient', got {form!r}")
        if hyperparameters.keys() != self.hyperparameters.keys():
            raise TypeError(
                f"hyperparameters must be {', '.join(self.hyperparameters) or 'none'}, "
                f"got {', '.join(hyperparameters) or 'none'}"
            )
        given = {name: x for name, x in hyperparameters.items() if x is not None}
        absent = {self.hyperparameters[name] for name in hyperparameters if name not in given}
        stated = self.stated_value if form == "value" else self.stated_gradient
        expression = sp.sympify(self._written_out(stated, absent))
        arguments = (*_entries(self.prediction), *_entries(self.target))
        compute = _compiled(
            (*arguments, *(self.hyperparameters[name] for name in given)), expression
        )

        @np.errstate(all="ignore")
        def function(prediction, target=None):
            predictions = _columns(self.prediction, prediction)
            result = compute(*predictions, *_columns(self.target, target), *given.values())
            if isinstance(expression, sp.Tuple):
                return np.stack(np.broadcast_arrays(*result), axis=-1)
            return np.broadcast_to(result, np.shape(predictions[0]))

        return function

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
class ClassAxis(Symbolic):
    r"""A loss with a class axis: an indexed statement for any number of classes.

    `prediction` and, unless the target is a class id, `target` are ``IndexedBase``; `gradient` is
    the derivative with respect to the entry of index :math:`j`.

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

    @property
    def prediction_latex(self):
        r"""What the gradient is taken with respect to, as LaTeX: one entry.

        >>> from lossbook.cards import CARDS

        >>> CARDS["brier"].symbolic.prediction_latex
        'p_{j}'
        """
        return _print(self.prediction[j])

    @property
    def slopes(self):
        """As for :class:`Symbolic`, for the entry of index :math:`j`."""
        return ((sp.Derivative(self.value, self.prediction[j]), self.gradient),)

    def at(self, classes, label=None):
        """The loss for a number of classes and, where given, the `label`, from 1 to `classes`.

        Indexed symbols become plain ones: ``z[1]`` is ``z_1``. Without a label the target is a
        tuple of as many symbols, the label's probabilities.
        """
        if label is None and self.target == class_id:
            raise ValueError("label must be a class: this loss takes no label probabilities")
        numbers_of_classes = range(1, classes + 1)
        if label is not None and label not in numbers_of_classes:
            raise ValueError(f"label must be a class from 1 to {classes}, got {label!r}")
        predictions = _numbered(self.prediction, numbers_of_classes)
        plain = _entries_of(self.prediction, predictions)
        if label is None:
            target, numbers = _numbered(self.target, numbers_of_classes), {K: classes}
            plain |= _entries_of(self.target, target)
        else:
            target, numbers = None, {K: classes, class_id: int(label)}
            plain |= {rows[n]: sp.Integer(int(n == label)) for n in numbers_of_classes}

        def concrete(expression):
            return expression.subs(numbers).doit().xreplace(plain)

        domain = {symbol: self.domain[symbol] for symbol in self.hyperparameters.values()}
        domain |= dict.fromkeys(predictions, self.domain[self.prediction])
        domain |= dict.fromkeys(target or (), sp.Interval(0, 1))
        return Symbolic(
            predictions,
            target,
            concrete(self.value),
            tuple(concrete(self.gradient.subs(j, n)) for n in numbers_of_classes),
            self.hyperparameters,
            domain,
        )

    def lambdify(self, form="value", /, **hyperparameters):
        """As for :class:`Symbolic`; the target holds class ids or label probabilities."""

        @cache
        def concrete(classes, label):
            return self.at(classes, label).lambdify(form, **hyperparameters)

        def function(prediction, target):
            classes = prediction.shape[-1]
            if target.ndim == prediction.ndim:
                return concrete(classes, None)(prediction, target)
            shape = prediction.shape if form == "gradient" else target.shape
            result = np.empty(shape, prediction.dtype)
            for label in np.unique(target):
                chosen = target == label
                result[chosen] = concrete(classes, int(label) + 1)(prediction[chosen])
            return result

        return function


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
    (index,) = symbol.indices
    return (
        lambda part: isinstance(part, sp.Indexed) and part.base == symbol.base,
        lambda part: meaning.xreplace({index: part.indices[0]}),
    )


def _length(x):
    return np.where(x < 0, -x, x)


def _largest(*entries):
    return reduce(np.maximum, entries)


def _same(first, second):
    return np.equal(first, second) * 1.0


#: NumPy's own abs is the length of a complex number, which has no complex derivative. Comparisons,
#: and so these and a Piecewise, go by the real part first.
_ANALYTIC = {sp.Abs: _length, sp.Max: _largest, sp.KroneckerDelta: _same}


def _compiled(arguments, expression):
    for kind, function in _ANALYTIC.items():
        expression = expression.replace(kind, sp.Function(function.__name__))
    functions = {function.__name__: function for function in _ANALYTIC.values()}
    return sp.lambdify(arguments, expression, [functions, "numpy"])


def _entries(symbols):
    if symbols is None:
        return ()
    return symbols if isinstance(symbols, tuple) else (symbols,)


def _columns(symbols, array):
    """The arrays that go with `symbols`: entries of the last axis where there are several."""
    if symbols is None:
        return ()
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
    return sp.Sum(term, (k, 1, K))


def cases(*branches):
    """A Piecewise whose conditions are printed as written."""
    return sp.Piecewise(*branches, evaluate=False)
