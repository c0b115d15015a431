"""Runs what the loss cards say about other libraries: `make conventions`.

    python tests/conventions.py

Every row of every card is tried on made-up data: its call on one example at a time, on all of them,
with classes in the middle of three axes and with weights, and the evidence for its note. Besides,
`jax.jit` compiles each loss. A table says which rows hold; the exit code is 1 if any does not. The
tests do the same for the libraries of the book's own environment, through `problems`.
"""

import ast
import importlib
import inspect
import os
import sys
import warnings
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from lossbook import LOSSES
from lossbook.cards import PADDING, Convention
from lossbook.cards.convention import SHORT_NAMES
from lossbook.loss import Loss
from lossbook.names import NAMES
from lossbook.spaces import FRACTION, LABEL_ROW, Number, rows_of

EXAMPLES, CLASSES = 12, 4

WEIGHTS = np.random.default_rng(1).uniform(0.5, 2, EXAMPLES)
CLASS_WEIGHTS = np.random.default_rng(2).uniform(0.5, 2, CLASSES)

# Names that expressions on cards may use, and the modules behind them.
MODULES = {
    "F": "torch.nn.functional",
    "jnp": "jax.numpy",
    "np": "numpy",
    "special": "scipy.special",
    **{name: name for name in ("jax", "keras", "math", "optax", "sklearn", "torch", "torchvision")},
}
ARRAY = {
    "PyTorch": "torch.as_tensor",
    "Keras": "keras.ops.convert_to_tensor",
    "scikit-learn": "np.asarray",
    "optax": "jnp.asarray",
}
REDUCTIONS = {
    "none": lambda values: values,
    "mean": np.mean,
    "sum": np.sum,
    "sum_over_batch_size": np.mean,
    "last axis, then sum_over_batch_size": np.mean,
}
# What becomes of weighted values.
WEIGHTED = {
    "sum of weights": lambda weighted, weights: weighted.sum() / weights.sum(),
    "number of values": lambda weighted, weights: weighted.mean(),
    "nothing, a weight scales its step": lambda weighted, weights: weighted,
}
# How closely both sides agree, relatively: the same formula in float64, rounded in another order.
# Keras takes the mean over an axis in float32, whatever the dtype.
CLOSENESS = {"PyTorch": 1e-12, "Keras": 1e-6, "scikit-learn": 1e-12, "optax": 1e-12}
# What cancelling leaves of numbers of order 1, as in a log-cosh near 0.
CANCELLED = 1e-14
# What libraries call a target. A prediction has too many names.
TARGET_NAMES = {"labels", "target", "targets", "y_true"}
WEIGHT_NAMES = {"sample_weight", "weight", "weights"}


def names_in(expression):
    """The names that an expression uses and does not itself bind."""
    nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - bound


def evaluate(expression, **names):
    """The value of an expression on a card; only the modules that it names are loaded."""
    used = names_in(expression) & MODULES.keys()
    modules = {name: importlib.import_module(MODULES[name]) for name in used}
    return eval(expression, modules | names)


# What the evidence for a note may use besides.


def close(theirs, ours, rel=1e-12):
    """Whether two arrays have one shape and agree."""
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    return theirs.shape == ours.shape and np.allclose(theirs, ours, rtol=rel, atol=CANCELLED)


def refuses(function, *arguments, **options):
    """Whether a call raises an error."""
    try:
        function(*arguments, **options)
    except (TypeError, ValueError, AssertionError):
        return True
    return False


def warned(function, *arguments, **options):
    """The result of a call that must warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*arguments, **options)
    assert caught, f"{function} does not warn"
    return result


def silent(function, *arguments, **options):
    """The result of a call that must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*arguments, **options)


def default(function, name):
    """The default of an argument."""
    return inspect.signature(function).parameters[name].default


def step(estimator, p, t, **weights):
    """How far one pass of a linear estimator moves each score down: its gradient.

    At rate 1, and with the identity as its features, each example has a coefficient of its own.
    """
    estimator.set_params(learning_rate="constant", eta0=1.0, penalty=None, fit_intercept=False)
    estimator.set_params(shuffle=False, max_iter=1, tol=None)
    estimator.fit(np.eye(len(p)), t, coef_init=p.copy(), **weights)
    return p - estimator.coef_.ravel()


HELPERS = {helper.__name__: helper for helper in (close, refuses, warned, silent, default, step)}

# Data


def drawn(loss, shape):
    """The arrays that a loss takes; labels are hard, since several libraries take no others.

    The first score is 0, which is where the perceptron loss has its kink.
    """
    rng = np.random.default_rng(0)
    p, *others = (space.draw(rng, shape, CLASSES) for space in loss.function.spaces)
    if loss.family == "margin":
        p.flat[0] = 0.0
    if loss.target is FRACTION:
        others = map(np.round, others)
    elif loss.target is LABEL_ROW:
        others = (rows_of(t.argmax(axis=-1), t) for t in others)
    return p, *others


def hyperparameters(loss, expression):
    """Unusual values for the hyperparameters that an expression names; others keep their default.

    They are exact in float32, which is what a plain number becomes in a tensor.
    """
    return {
        name: number.low + 0.375
        for name, number in loss.function.numbers.items()
        if name in names_in(expression) and isinstance(number, Number)
    }


def differ(what, theirs, expected, rel):
    """A sentence if two arrays are not close, else None."""
    theirs, expected = np.asarray(theirs), np.asarray(expected)
    if close(theirs, expected, rel):
        return None
    if theirs.shape != expected.shape:
        return f"{what} has shape {theirs.shape}, not {expected.shape}"
    worst = np.abs(theirs - expected).argmax()
    return f"{what} is {theirs.flat[worst]:.6g}, not {expected.flat[worst]:.6g}"


@dataclass(frozen=True)
class Trial:
    """A row of a loss's card, and data to try it on.

    The methods that OF_FUNCTIONS and OF_ESTIMATORS name each try one claim of the row, and return a
    sentence if it does not hold.
    """

    loss: Loss
    row: Convention

    @cached_property
    def shape(self):
        """That of the values: Keras reduces twice, and needs a second axis to show it."""
        return (EXAMPLES, 2) if self.row.reduction.startswith("last axis") else (EXAMPLES,)

    @cached_property
    def data(self):
        return drawn(self.loss, self.shape)

    @cached_property
    def options(self):
        return hyperparameters(self.loss, self.row.call)

    @cached_property
    def accepted(self):
        """The names of the arguments of the call's function."""
        function = ast.unparse(ast.parse(self.row.call, mode="eval").body.func)
        return list(inspect.signature(evaluate(function, **self.options)).parameters)

    def ours(self, *data, **options):
        """What the call must give for each example, according to the row."""
        values = self.stated(self.loss.function(*data, **options), *data)
        return values.mean(axis=-1) if len(self.shape) == 2 else values

    def stated(self, ours, *data):
        """What the row says theirs is where this book has `ours`."""
        arrays = dict(zip(SHORT_NAMES, data, strict=False))
        return evaluate(self.row.theirs, ours=ours, K=CLASSES, **arrays)

    def theirs(self, expression, *data, w=WEIGHTS, **names):
        """What an expression of the row gives, the arrays made theirs."""
        array = evaluate(ARRAY[self.row.library])
        arrays = dict(zip(SHORT_NAMES, data, strict=False))
        arrays |= {"w": w, "class_weights": CLASS_WEIGHTS}
        arrays = {name: array(value.copy()) for name, value in arrays.items()}
        return evaluate(expression, **arrays, **names)

    def differ(self, what, theirs, expected):
        return differ(what, theirs, expected, CLOSENESS[self.row.library])

    def value(self):
        """What the call gives for one example: alone, or where a metric must see every label, with
        a weight of 0 for the others.
        """
        if self.loss.function.indivisible:
            return None  # There is no single example: `reduction` compares all values.
        data = self.data
        if self.row.library == "scikit-learn":
            call = self.row.weighted_call
            single = [self.theirs(call, *data, w=w, **self.options) for w in np.eye(EXAMPLES)]
        else:
            examples = [[array[i : i + 1] for array in data] for i in range(EXAMPLES)]
            single = [self.theirs(self.row.call, *one, **self.options) for one in examples]
        values = np.stack(list(map(np.asarray, single))).reshape(EXAMPLES)
        return self.differ("the value of an example", values, self.ours(*data, **self.options))

    def reduction(self):
        theirs = self.theirs(self.row.call, *self.data, **self.options)
        expected = REDUCTIONS[self.row.reduction](self.ours(*self.data, **self.options))
        return self.differ(f"with reduction {self.row.reduction}, the result", theirs, expected)

    def order(self):
        """A symmetric loss does not show in which order it was called; the arguments' names do."""
        if not self.row.named:
            return None
        call = ast.parse(self.row.call, mode="eval").body
        for name, argument in zip(self.accepted, call.args, strict=False):
            used = names_in(ast.unparse(argument)) & {"p", "t"}
            if used and ("t" in used) != (name in TARGET_NAMES):
                return f"{ast.unparse(argument)} is passed as {name}"
        return None

    def class_axis(self):
        """With the classes where the row says, three axes give what they give in this book."""
        axis = self.row.class_axis
        if axis == "-":
            return None
        p, t = drawn(self.loss, (3, 5))
        if axis == "1 of 2":
            for data in ((p, t), (np.moveaxis(p, -1, 1), t)):
                if not refuses(self.theirs, self.row.call, *data, **self.options):
                    return "three axes are accepted"
            return None
        expected = REDUCTIONS[self.row.reduction](self.ours(p, t, **self.options))
        p, t = (np.moveaxis(a, -1, int(axis)) if a.ndim == 3 else a for a in (p, t))
        theirs = self.theirs(self.row.call, p, t, **self.options)
        return self.differ(f"with classes on axis {axis}, the result", theirs, expected)

    def weighted_mean(self):
        if not self.row.weights:
            taken = WEIGHT_NAMES.intersection(self.accepted) if self.row.named else ()
            return f"weights are taken, as {', '.join(taken)}" if taken else None
        (p, t), weights, options = self.data, WEIGHTS, self.options
        if "class_weights" in self.row.weights:
            weights = CLASS_WEIGHTS[t if t.ndim == 1 else t.argmax(axis=-1)]
            # A smoothed label belongs to all classes, so that no one weight is its own.
            options = {name: 0.0 for name in options if name == "label_smoothing"}
        theirs = self.theirs(self.row.weighted_call, p, t, **options)
        return self.differ_weighted(theirs, self.ours(p, t, **options), weights)

    def differ_weighted(self, theirs, values, weights):
        """A sentence if `theirs` is not what the row says of weighted values."""
        expected = WEIGHTED[self.row.weighted_mean](weights * values, weights)
        return self.differ(
            f"divided by {self.row.weighted_mean}, the weighted result", theirs, expected
        )

    def fit(self):
        """An estimator gives no values: its steps are compared, or its score in training."""
        p, t = self.data
        estimator = self.theirs(self.row.call, p, t, **self.options)
        weights = {self.row.weights.removesuffix("=w"): WEIGHTS}
        if self.row.reduction == "one example a step":
            theirs = step(estimator, p, t, **weights)
            ours = self.stated(self.loss.gradient(p, t, **self.options), p, t)
        elif self.row.reduction == "mean":
            estimator.fit(p[:, None], t, **weights)
            theirs = estimator.train_score_[-1]
            ours = self.ours(estimator.decision_function(p[:, None]), t, **self.options)
        else:
            return f"no estimator is compared with reduction {self.row.reduction}"
        return self.differ_weighted(theirs, ours, WEIGHTS)

    def evidence(self):
        extras = HELPERS | {
            "close": partial(close, rel=CLOSENESS[self.row.library]),
            "ours": partial(self.loss.function, *self.data),
        }
        for claim in self.row.evidence:
            if not self.theirs(claim, *self.data, **extras):
                return f"not true: {claim}"
        return None


OF_FUNCTIONS = ("value", "reduction", "order", "class_axis", "weighted_mean", "evidence")
OF_ESTIMATORS = ("fit", "evidence")


def problems(loss, row):
    """Sentences on what does not hold of a row; ModuleNotFoundError if its library is missing."""
    trial, found = Trial(loss, row), []
    if row.call == "-":
        claims = ("evidence",)
    else:
        try:
            result = trial.theirs(row.call, *trial.data, **trial.options)
        except ModuleNotFoundError:
            raise
        except Exception as error:
            return [f"call: {error!r}"]
        claims = OF_ESTIMATORS if hasattr(result, "fit") else OF_FUNCTIONS
    for claim in claims:
        try:
            problem = getattr(trial, claim)()
        except Exception as error:
            problem = repr(error)
        if problem:
            found.append(f"{claim}: {problem}")
    return found


def padding_problems(row):
    """The same of what a library does with padding and with no examples."""
    claim = Convention(row.library, "-", evidence=row.evidence)
    return problems(LOSSES["softmax_cross_entropy"], claim)


def jit_problems(loss):
    """Sentences on which functions of a loss `jax.jit` does not compile to the same values."""
    import jax

    found = []
    data = drawn(loss, (EXAMPLES,))
    options = {
        name: number.low + 0.375
        for name, number in loss.function.numbers.items()
        if isinstance(number, Number)
    }
    for name in ("function", "gradient", "joint"):
        function = getattr(loss, name)
        if function is None:
            continue
        function = partial(getattr(function, "unchecked", function), **options)
        try:
            compiled = jax.tree.leaves(jax.jit(function)(*map(jax.numpy.asarray, data)))
        except Exception as error:
            found.append(f"{name}: {error!r}")
            continue
        with np.errstate(all="ignore"):
            plain = jax.tree.leaves(function(*data))
        for theirs, ours in zip(compiled, plain, strict=True):
            found += filter(None, [differ(f"{name}: the compiled result", theirs, ours, 1e-12)])
    return found


def main():
    """Try every row and every name, and compile every loss; print what holds."""
    import keras
    import names

    keras.config.set_floatx("float64")
    trials = [
        (f"{name}, {row.library}", partial(problems, loss, row))
        for name, loss in LOSSES.items()
        for row in loss.card.conventions
        if row.call != "-" or row.evidence
    ]
    trials += [(f"padding, {row.library}", partial(padding_problems, row)) for row in PADDING]
    trials += [(f"all names, {source}", partial(names.missing, source)) for source in names.OFFERED]
    trials += [
        (f"{entry.name}, {source}", partial(names.problems, source, entry))
        for source in names.OFFERED
        for entry in NAMES[source]
        if entry.call
    ]
    trials += [(f"{name}, jax.jit", partial(jit_problems, loss)) for name, loss in LOSSES.items()]
    failed = skipped = 0
    for title, trial in trials:
        try:
            found = trial()
        except ModuleNotFoundError as error:
            # Not every build of torch has one to go with it; whatever else is missing is a fault.
            if error.name != "torchvision":
                raise
            outcome = "not run: torchvision is not installed"
            skipped += 1
        else:
            outcome = "; ".join(found) or "holds"
            failed += bool(found)
        print(f"{title:48} {outcome}")
    print(f"{len(trials)} rows, of which {failed} no longer hold and {skipped} are not run")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "true"}
    sys.exit(main())
