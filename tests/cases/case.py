"""What the tests must know of a loss, in one place: a case, and every field of it is required.

A case is an independent witness. It takes nothing from the loss's functions or from its card, so
that tests can hold both against it. What an argument may hold is not told here but by the spaces
that the loss declares; :mod:`cases.inputs` draws from those.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Minimum:
    """A prediction that minimises the expected loss over a population of targets.

    Attributes
    ----------
    at : the prediction, or a tuple of them, worked out by another way than by minimising the loss
    targets, probabilities : the population; None where there is no target
    options : hyperparameters
    """

    at: object
    targets: object
    probabilities: object
    options: dict


@dataclass(frozen=True)
class Lipschitz:
    """The least Lipschitz constants of the value and of the gradient, None where there is none.

    Attributes
    ----------
    options : hyperparameters at which they hold
    """

    options: dict
    value: float | None
    gradient: float | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A loss as the tests see it. A field that does not apply says so: there are no defaults.

    Attributes
    ----------
    value, gradient : functions of one example in mpmath numbers (a row is a list) and of every
        hyperparameter; they return terms that add up to the value (where an example is a batch, for
        each of its values), and for each entry of the prediction, or of all that have a gradient
        one after the other, terms that add up to its slope, or None where rounding decides on which
        side of a kink an example lies
    measures : what the errors of value and of gradient are relative to: "exact", the exact result,
        where the terms of the formula share a sign; else "terms", the sum of the terms' absolute
        values, since a sum that cancels cannot be more accurate than its terms
    torch : function of two tensors, `reduction` and the hyperparameters: torch's own loss if it has
        one, else the formula :func:`built` of torch's parts; autograd differentiates it
    moderate : every hyperparameter at another value than its default, one at which inputs of size 1
        fall on each branch of the formula
    further : other sets of hyperparameters to try
    special : function of the hyperparameters; returns tuples of what the loss takes, arrays of
        examples at which the formula is in danger
    at_infinity : limits at infinite predictions, each ``(prediction, target, value, gradient)``, or
        what else the loss takes in the place of the first two
    kinks : points at which the gradient jumps, each ``(prediction, target, chosen subgradient)``,
        alike; several subgradients one after the other
    ends : the same for ends of the domain, where a one-sided slope is taken
    convex : whether the loss is convex in its prediction
    minimum, lipschitz : claims, see there; no minimum where none is attained
    density : function without arguments; returns what the loss takes and the logarithm of the
        density that the card names, up to a constant. None where the card says why there is none.
    by_lead : whether a loss of logits sees only by how much each leads another; None without a
        class axis
    """

    value: Callable
    gradient: Callable
    measures: tuple[str, str]
    torch: Callable
    moderate: dict
    further: tuple[dict, ...]
    special: Callable
    at_infinity: tuple
    kinks: tuple
    ends: tuple
    convex: bool
    minimum: Minimum | None
    lipschitz: Lipschitz
    density: Callable | None
    by_lead: bool | None

    @property
    def options(self):
        """All sets of hyperparameters to try, the defaults first."""
        return ({}, *([self.moderate] if self.moderate else []), *self.further)


def built(values):
    """The torch oracle that reduces what `values` gives for each example."""
    reduce = {"none": lambda x: x, "mean": lambda x: x.mean(), "sum": lambda x: x.sum()}

    def loss(*tensors, reduction, **hyperparameters):
        return reduce[reduction](values(*tensors, **hyperparameters))

    return loss


def without_hyperparameters(*pairs):
    """The `special` of a case whose special inputs are the same whatever the hyperparameters."""
    return lambda **hyperparameters: pairs
