"""Tries what :mod:`lossbook.names` says: the lists, the calls, and the algebra.

A formula and what is written here for it are evaluated twice with the same text: with numbers, on
the made-up data of `conventions`, and with symbols, one example of three entries, on which a
derivation has to prove that they are equal.
"""

import ast
import importlib
import inspect
import re
import warnings

import conventions
import numpy as np
import sympy as sp

from lossbook import LOSSES
from lossbook.cards import CARDS
from lossbook.derivation import Derivation
from lossbook.names import NAMES

ENTRIES_OF_A_ROW = 3

# What each library offers -------------------------------------------------------------------------


def offered(source):
    """The names of all losses that an installed library offers, as NAMES writes them."""
    return set(OFFERED[source]())


def of_torch():
    modules = (importlib.import_module(name) for name in ("torch.nn", "torch.nn.functional"))
    for module in modules:
        for name in dir(module):
            if re.search(r"Loss$|Loss2d$|_loss$|cross_entropy|^kl_div$", name):
                yield name


def of_keras():
    losses = importlib.import_module("keras.losses")
    return [name for name, loss in vars(losses).items() if inspect.isclass(loss) and name != "Loss"]


def of_optax():
    losses = importlib.import_module("optax.losses")
    return [name for name in dir(losses) if inspect.isfunction(getattr(losses, name))]


def of_sklearn():
    """Metrics that are named for a loss, and the losses that estimators let one choose."""
    metrics = importlib.import_module("sklearn.metrics").__all__
    yield from (name for name in metrics if re.search(r"(loss|error|deviance)$", name))
    utils = importlib.import_module("sklearn.utils")
    validation = importlib.import_module("sklearn.utils._param_validation")
    for _, estimator in utils.all_estimators():
        for option, accepted in getattr(estimator, "_parameter_constraints", {}).items():
            if option not in ("loss", "criterion", "penalty") or not isinstance(accepted, list):
                continue
            for strings in accepted:
                if isinstance(strings, validation.StrOptions):
                    yield from (f'{option}="{string}"' for string in sorted(strings.options))


OFFERED = {"PyTorch": of_torch, "Keras": of_keras, "scikit-learn": of_sklearn, "optax": of_optax}

#: What these lists have besides losses.
NO_LOSSES = {
    'criterion="aic"': "chooses between models",
    'criterion="bic"': "chooses between models",
    'criterion="k_best"': "chooses examples to label",
    'criterion="threshold"': "chooses examples to label",
}


#: How closely a call agrees: Keras and optax round in float32 and clip probabilities at 1e-7.
CLOSENESS = {"PyTorch": 1e-12, "Keras": 1e-5, "scikit-learn": 1e-12, "optax": 1e-6}


def missing(source):
    """Sentences on names that a library has and the list has not, or the other way round."""
    theirs, ours = offered(source) - NO_LOSSES.keys(), names_of(NAMES[source])
    found = [f"no answer for {name}" for name in sorted(theirs - ours)]
    return found + [f"no longer there: {name}" for name in sorted(ours - theirs)]


# Numbers ------------------------------------------------------------------------------------------


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def norm(x):
    return np.sqrt((x * x).sum(axis=-1))


def own(x, ids):
    return np.take_along_axis(x, ids[..., None], axis=-1)[..., 0]


def one_hot(ids, like):
    return np.eye(like.shape[-1], dtype=int)[ids]


LOSS_FUNCTIONS = {name: loss.function for name, loss in LOSSES.items()}
WITH_NUMBERS = LOSS_FUNCTIONS | {
    "abs": np.abs,
    "below": lambda x, bound, inside, outside: np.where(x <= bound, inside, outside),
    "cos": np.cos,
    "exp": np.exp,
    "log": np.log,
    "maximum": np.maximum,
    "median": np.median,
    "norm": norm,
    "one_hot": one_hot,
    "ones": np.ones_like,
    "own": own,
    "softmax": softmax,
    "sqrt": np.sqrt,
    "unit": lambda x: x / norm(x)[..., None],
    "zeros": np.zeros_like,
}


def data(entry):
    """The arrays of the entry's loss, by their short names."""
    arrays = conventions.drawn(LOSSES[entry.arrays or entry.loss], (conventions.EXAMPLES,))
    return dict(zip(conventions.SHORT_NAMES, arrays, strict=False))


def number(expression, arrays):
    """The value of a formula, or of what is written here for it."""
    return eval(expression, WITH_NUMBERS | arrays)


def linear_cross_entropy(p, t):
    """torch's loss of features and weights, with the identity as the weights."""
    torch = importlib.import_module("torch")
    features, weights = p, torch.eye(p.shape[-1], dtype=p.dtype)
    return torch.nn.functional.linear_cross_entropy(features, weights, t)


def padded_ids(p, ids):
    """Class ids as torch's multi-label losses take them: one, and then -1."""
    torch = importlib.import_module("torch")
    padded = torch.full(p.shape, -1, dtype=torch.int64)
    padded[:, 0] = ids
    return padded


def problems(source, entry):
    """Sentences on what does not hold of an entry, when it is tried with numbers."""
    if not entry.loss:
        return []
    arrays, found = data(entry), []
    here = number(entry.here, arrays)
    if entry.formula:
        theirs = number(entry.formula, arrays)
        found.append(conventions.differ("the formula", theirs, here, 1e-12))
    if entry.call.startswith("step("):
        # Away from the kink at a score of 0.
        arrays = {name: array.astype(float) for name, array in arrays.items()}
        arrays["p"] += 0.001
        here = slope(entry.here, arrays)
        found.append(conventions.differ("the step", called(source, entry, arrays), here, 1e-6))
    elif entry.call.startswith("fitted("):
        score, predictions = called(source, entry, arrays)
        here = number(entry.here, arrays | {"p": predictions})
        found.append(conventions.differ("the score in training", score, here, 1e-9))
    elif entry.call:
        close = CLOSENESS[source]
        found.append(conventions.differ("the call", called(source, entry, arrays), here, close))
    return list(filter(None, found))


def called(source, entry, arrays):
    """What the library gives for the arrays, which are made its own."""
    array = conventions.evaluate(conventions.ARRAY[source])
    arrays = {name: array(values.copy()) for name, values in arrays.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = conventions.evaluate(entry.call, **arrays, **HELPERS)
    return result if isinstance(result, tuple) else np.asarray(result)


def fitted(estimator, p, t):
    """The loss that an estimator reports in training, and its predictions there."""
    estimator.fit(p[:, None], t)
    return estimator.train_score_[-1], estimator.predict(p[:, None])


HELPERS = {
    "fitted": fitted,
    "linear_cross_entropy": linear_cross_entropy,
    "padded_ids": padded_ids,
    "step": conventions.step,
}


def slope(expression, arrays, h=1e-6):
    """The derivative of an elementwise expression with respect to ``p``, by differences."""
    above, below = (number(expression, arrays | {"p": arrays["p"] + d}) for d in (h, -h))
    return (above - below) / (2 * h)


# Symbols ------------------------------------------------------------------------------------------


def entrywise(function):
    return np.frompyfunc(function, function.__code__.co_argcount, 1)


def symbolic_own(x, ids):
    return np.array([row[label] for row, label in zip(x, ids, strict=True)], dtype=object)


def stated(name):
    """A loss as its card states it, as a function of arrays of one example or of numbers."""
    card, loss = CARDS[name].symbolic, LOSSES[name]

    def value(*arrays, **given):
        hyperparameters = loss.hyperparameters | given
        fixed = {k: v for k, v in hyperparameters.items() if k in card.hyperparameters}
        fixed = {k: sp.nsimplify(v) if isinstance(v, float) else v for k, v in fixed.items()}
        if not hasattr(card, "at"):
            symbols = (card.prediction, card.target)
            if isinstance(card.prediction, tuple):
                return row_value(card.fixed(**fixed), arrays)
            inputs = np.broadcast_arrays(*arrays)
            expression = card.fixed(**fixed).value
            rows = zip(*(a.ravel() for a in inputs), strict=True)
            found = [
                expression.subs(dict(zip(symbols, row, strict=True)), simultaneous=True)
                for row in rows
            ]
            return np.array(found, dtype=object).reshape(inputs[0].shape)
        rows = [arrays[0]] if name in ("l1", "l2") else list(zip(*arrays, strict=True))
        if name in ("l1", "l2"):
            rows = [(arrays[0].ravel(),)]
        found = np.array([of_row(card, fixed, row) for row in rows], dtype=object)
        return found[0] if name in ("l1", "l2") else found

    return value


def row_value(card, arrays):
    (prediction,), (target,) = arrays[0], arrays[1]
    pairs = dict(zip(card.prediction, prediction, strict=True)) | {card.target: target}
    return np.array([card.value.subs(pairs, simultaneous=True)], dtype=object)


def of_row(card, fixed, row):
    first, *others = row
    label = others[0] if others and isinstance(others[0], int) else None
    concrete = card.at(len(first), *([] if label is None else [label + 1])).fixed(**fixed)
    predictions = concrete.prediction
    if isinstance(predictions[0], tuple):
        symbols = [s for point in predictions for s in point]
        entries = [x for point in row[: len(predictions)] for x in point]
        others = row[len(predictions) :]
    else:
        symbols, entries = list(predictions), list(first)
    if label is None and concrete.target is not None:
        target = concrete.target
        symbols += list(target) if isinstance(target, tuple) else [target]
        entries += list(others[0]) if isinstance(target, tuple) else list(others)
    return concrete.value.subs(dict(zip(symbols, entries, strict=True)), simultaneous=True)


WITH_SYMBOLS = {name: stated(name) for name in CARDS} | {
    "abs": entrywise(lambda x: sp.Abs(x)),
    "below": entrywise(lambda x, b, i, o: sp.Piecewise((i, x <= b), (o, True))),
    "cos": entrywise(lambda x: sp.cos(x)),
    "exp": entrywise(lambda x: sp.exp(x)),
    "log": entrywise(lambda x: sp.log(x)),
    "maximum": entrywise(lambda x, y: sp.Max(x, y)),
    "norm": lambda x: WITH_SYMBOLS["sqrt"]((x * x).sum(axis=-1)),
    "one_hot": lambda ids, like: one_hot(ids.astype(int), like),
    "ones": lambda x: np.array(x * 0 + 1, dtype=object),
    "own": symbolic_own,
    "softmax": lambda x: (
        WITH_SYMBOLS["exp"](x) / WITH_SYMBOLS["exp"](x).sum(axis=-1, keepdims=True)
    ),
    "sqrt": entrywise(lambda x: sp.sqrt(x)),
    "unit": lambda x: x / WITH_SYMBOLS["norm"](x)[..., None],
    "zeros": lambda x: np.array(x * 0, dtype=object),
}


class Exact(ast.NodeTransformer):
    """Makes each decimal of an expression the fraction that is meant."""

    def visit_Constant(self, node):
        if not isinstance(node.value, float):
            return node
        return ast.parse(f"Rational({str(node.value)!r})", mode="eval").body


def takes_ids(name):
    """Whether the second array of a loss is drawn as class ids."""
    _, *others = conventions.drawn(LOSSES[name], (conventions.EXAMPLES,))
    return bool(others) and others[0].dtype.kind in "iu" and LOSSES[name].family == "multiclass"


def symbols(name):
    """Arrays of symbols for a loss, and their domain; for class ids, one for each class."""
    card = CARDS[name].symbolic
    if not hasattr(card, "at"):
        inputs = [card.prediction, card.target]
        if isinstance(card.prediction, tuple):
            arrays = [np.array([card.prediction]), np.array([card.target])]
            return [(arrays, card.domain)]
        arrays, domain = [], {}
        for symbol in inputs:
            numbered = sp.symbols(f"{symbol}_1:{ENTRIES_OF_A_ROW + 1}", real=True)
            domain |= dict.fromkeys(numbered, card.domain[symbol])
            arrays.append(np.array(numbered, dtype=object))
        return [(arrays, domain)]
    size = ENTRIES_OF_A_ROW
    if takes_ids(name):
        found = []
        for label in range(size):
            concrete = card.at(size, label + 1)
            ids = np.array([label], dtype=object)
            found.append(([np.array([concrete.prediction], dtype=object), ids], concrete.domain))
        return found
    concrete = card.at(size)
    predictions = concrete.prediction
    rows = predictions if isinstance(predictions[0], tuple) else (predictions,)
    arrays = [np.array([row], dtype=object) for row in rows]
    target = concrete.target
    if target is None:
        return [(arrays, concrete.domain)]
    if isinstance(target, sp.Symbol) and isinstance(concrete.domain[target], sp.FiniteSet):
        labels = concrete.domain[target]
        return [([*arrays, np.array([label], dtype=object)], concrete.domain) for label in labels]
    return [([*arrays, np.array([target], dtype=object)], concrete.domain)]


def proofs(entry):
    """For each kind of label the mark of a derivation from an entry's formula to `here`.

    Where SymPy writes both sides alike there is nothing to derive, and the mark is "proved".
    """
    for arrays, domain in symbols(entry.arrays or entry.loss):
        names = dict(zip(conventions.SHORT_NAMES, arrays, strict=False))
        names |= WITH_SYMBOLS | {"Rational": sp.Rational, "len": len}
        theirs, here = (
            np.ravel(eval(exact(text), dict(names)))[0] for text in (entry.formula, entry.here)
        )
        if theirs == here:
            yield "proved"
            continue
        used = sp.Tuple(theirs, here).free_symbols
        domain = {symbol: values for symbol, values in domain.items() if symbol in used}
        yield from Derivation(theirs, entry.name, domain=domain).step(here, "in the book").marks


def exact(text):
    """An expression in which each decimal is the fraction that is meant, compiled."""
    tree = Exact().visit(ast.parse(text, mode="eval"))
    return compile(ast.fix_missing_locations(tree), text, "eval")


def names_of(entries):
    """All names that a list answers for."""
    return {name for entry in entries for name in (entry.name, *entry.also)}
