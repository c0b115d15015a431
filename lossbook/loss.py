"""The front door: every loss by name, reduced and weighted, its value and its gradient in one pass.

A :class:`Loss` is put together from what stands in three wings. The functions, in
:mod:`lossbook.losses`, are the mathematics; the declaration above them says what the arguments
hold; the card, in :mod:`lossbook.cards`, says the rest, and is loaded when it is asked for.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np

from lossbook.blocks import reduced_in_blocks
from lossbook.checks import silent
from lossbook.declaration import settle
from lossbook.losses import FAMILIES
from lossbook.reduction import Reduction


@dataclass(frozen=True)
class Loss:
    """One loss: its unreduced functions, their reduced versions, and its card.

    Attributes
    ----------
    function, gradient : the unreduced value and its gradient, as in :mod:`lossbook.losses`
    joint : both at once, where they share work; it checks nothing

    Examples
    --------
    >>> import numpy as np
    >>> p, t = np.array([1.0, 5.0]), np.array([3.0, 5.0])
    >>> float(LOSSES["huber"].value(p, t, delta=1.0))
    0.75
    >>> LOSSES["huber"].grad(p, t, reduction="none")
    array([-1.,  0.])
    """

    function: Callable
    gradient: Callable
    joint: Callable | None = None

    @property
    def name(self):
        """The function's name, which is the loss's key in :data:`LOSSES`."""
        return self.function.__name__

    @property
    def family(self):
        """The name of the module that the loss stands in."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def prediction(self):
        """The :class:`~lossbook.spaces.Space` of the prediction, or of the first one.

        >>> LOSSES["hinge"].prediction.name
        'score'
        """
        return self.function.spaces[0]

    @property
    def target(self):
        """The :class:`~lossbook.spaces.Space` of the target; None where all has a gradient."""
        targets = self.function.spaces[self.gradients :]
        return targets[0] if targets else None

    @property
    def gradients(self):
        """By how many of its arrays, the first ones, the loss has a gradient.

        >>> LOSSES["hinge"].gradients
        1
        """
        return self.function.gradients

    @cached_property
    def arrays(self):
        """The names of the arrays that the loss takes.

        >>> LOSSES["hinge"].arrays
        ('scores', 'labels')
        """
        return tuple(inspect.signature(self.function).parameters)[: len(self.function.spaces)]

    @cached_property
    def hyperparameters(self):
        """The keyword-only arguments and their defaults.

        >>> LOSSES["huber"].hyperparameters
        {'delta': 1.0}
        """
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def card(self):
        """What is said of the loss, a :class:`~lossbook.cards.Card`; SymPy is loaded for it.

        >>> LOSSES["huber"].card.minimiser[:20]
        'The $p$ at which res'
        """
        from lossbook.cards import CARDS

        return CARDS[self.name]

    @property
    def symbolic(self):
        """The loss as a SymPy expression: an independent statement of the formula, on the card."""
        return self.card.symbolic

    def value(self, *inputs, reduction="mean", weights=None, **hyperparameters):
        """The reduced loss: a number, or with ``reduction="none"`` an array.

        `weights` has exactly the shape of the unreduced values. ``mean`` divides by the number of
        values, or by the sum of the weights where they are given. A weight of 0 leaves a value out.
        """
        return self._reduced(inputs, reduction, weights, hyperparameters, with_gradient=False)[0]

    def grad(self, *inputs, reduction="mean", weights=None, **hyperparameters):
        """Gradient of the reduced loss, in the shape of the prediction.

        Where the loss has a gradient by several arrays, it is a tuple with one for each.
        """
        return self._reduced(inputs, reduction, weights, hyperparameters, with_value=False)[1]

    def value_and_grad(self, *inputs, reduction="mean", weights=None, **hyperparameters):
        """The reduced loss and its gradient; what training calls.

        >>> import numpy as np
        >>> LOSSES["squared_error"].value_and_grad(np.array([3.0]), np.array([1.0]))
        (np.float64(4.0), array([4.]))
        """
        return self._reduced(inputs, reduction, weights, hyperparameters)

    def check_hyperparameters(self, hyperparameters):
        """Return hyperparameters as they are computed with; refuse unknown or unfit ones.

        Raises
        ------
        TypeError, ValueError
            For one that this loss does not have, or that is no number in its interval.
        """
        self.refuse_unknown(hyperparameters)
        numbers = self.function.numbers
        return {name: numbers[name].checked(name, x) for name, x in hyperparameters.items()}

    def refuse_unknown(self, hyperparameters):
        """Raise a ``TypeError`` for a hyperparameter that this loss does not have."""
        unknown = [name for name in hyperparameters if name not in self.hyperparameters]
        if unknown:
            accepted = ", ".join(self.hyperparameters) or "none"
            raise TypeError(
                f"{self.name} has no hyperparameter {unknown[0]!r}; it accepts: {accepted}"
            )

    @silent
    def _reduced(
        self, inputs, reduction, weights, hyperparameters, with_value=True, with_gradient=True
    ):
        """The reduced value, the reduced gradient or both; None for the one that is not wanted."""
        self.refuse_unknown(hyperparameters)
        if weights is not None and self.function.indivisible:
            raise TypeError(f"{self.name} takes no weights: {self.function.indivisible}")
        arguments = self.function.arguments(*inputs, **hyperparameters)
        options = arguments.options
        reduction = Reduction(reduction, weights, arguments.shape, arguments.arrays[0])
        settle(arguments.doubts + reduction.doubts)
        value, gradient = (getattr(f, "unchecked", f) for f in (self.function, self.gradient))

        def compute(*arrays):
            if with_value and with_gradient and self.joint:
                return self.joint(*arrays, **options)
            return (
                value(*arrays, **options) if with_value else None,
                gradient(*arrays, **options) if with_gradient else None,
            )

        in_one = self.gradients > 1 or bool(self.function.indivisible)
        results = reduced_in_blocks(
            compute, arguments.arrays, arguments.shape, reduction, in_one=in_one
        )
        return tuple(r if r is None else arguments.narrowed(r) for r in results)


class Losses(dict):
    """Losses by name; an unknown name says which ones there are, or which was meant.

    >>> LOSSES["hubber"]
    Traceback (most recent call last):
    KeyError: "no loss is called 'hubber'; did you mean 'huber'?"
    """

    def __missing__(self, name):
        close = difflib.get_close_matches(str(name), self, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self)}"
        raise KeyError(f"no loss is called {name!r}; {hint}")


def _losses():
    """Each loss that a family exports, with its gradient and, if there is one, its joint form."""
    for family in FAMILIES:
        for name in family.__all__:
            if f"{name}_grad" in family.__all__:
                joint = getattr(family, f"{name}_value_and_grad", None)
                yield name, Loss(getattr(family, name), getattr(family, f"{name}_grad"), joint)


#: Every loss of the book, by name.
LOSSES = Losses(_losses())
_OF_THE_BOOK = frozenset(LOSSES)


def register(function, gradient, joint=None, *, card):
    """Put your own loss into :data:`LOSSES`, for as long as this Python runs, and return it.

    From then on it is found wherever a loss of the book is: ``LOSSES``, ``as_torch``,
    ``loss_card``, ``check_gradient``, ``check_derivation``. A loss of your own may be registered
    again, as when a cell of a notebook is run twice; then the last one counts.

    Parameters
    ----------
    function, gradient : the unreduced value and its gradient, each declared with
        :func:`~lossbook.declaration.takes`. The name of the first is the loss's name, and that of
        the second ends in ``_grad``.
    joint : both at once, where they share work; it checks nothing
    card : :class:`~lossbook.cards.Card`, which states the formula independently of the code

    Raises
    ------
    TypeError
        If a function is not declared, or the card is no card.
    ValueError
        If the name is that of a loss of the book, or the functions and the card do not agree: on
        names or hyperparameters, or on a value or a gradient at a few drawn inputs, with the
        default hyperparameters and with those times 0.7 where they may be that.

    Examples
    --------
    >>> register(LOSSES["huber"].function, LOSSES["huber"].gradient, card=LOSSES["huber"].card)
    Traceback (most recent call last):
    ValueError: function must not be called 'huber', which is a loss of the book
    """
    from lossbook.cards import CARDS, Card

    for role, declared in (("function", function), ("gradient", gradient)):
        if not hasattr(declared, "unchecked"):
            raise TypeError(f"{role} must be declared with takes(...), got {declared!r}")
    if not isinstance(card, Card):
        raise TypeError(f"card must be a Card, got {type(card).__name__}")
    loss = Loss(function, gradient, joint)
    name, named = loss.name, tuple(loss.hyperparameters)
    if name in _OF_THE_BOOK:
        raise ValueError(f"function must not be called {name!r}, which is a loss of the book")
    if gradient.__name__ != f"{name}_grad":
        raise ValueError(f"gradient must be called '{name}_grad', got {gradient.__name__!r}")
    if tuple(Loss(gradient, gradient).hyperparameters) != named:
        raise ValueError(f"gradient must have the hyperparameters of {name}, which are {named}")
    if tuple(card.symbolic.hyperparameters) != named:
        on_card = tuple(card.symbolic.hyperparameters)
        raise ValueError(f"card must have the hyperparameters {named} of {name}, got {on_card}")
    for options in (loss.hyperparameters, _moved(loss)):
        _refuse_disagreement(loss, card, options)
    LOSSES[name], CARDS[name] = loss, card
    return loss


def _moved(loss):
    """The hyperparameters of a loss, those that are numbers times 0.7 where they may be that.

    A default may hide a mistake, as the level 1/2 does in a formula with its two sides exchanged.
    """
    options = dict(loss.hyperparameters)
    for name, default in options.items():
        if isinstance(default, Real):
            with suppress(TypeError, ValueError):
                options[name] = loss.function.numbers[name].checked(name, 0.7 * default)
    return options


@silent
def _refuse_disagreement(loss, card, options):
    """Raise a ``ValueError`` if a function and the card's formula differ at drawn inputs."""
    rng = np.random.default_rng(0)
    inputs = tuple(space.draw(rng, (5,), 4) for space in loss.function.spaces)
    for form, function in (("value", loss.function), ("gradient", loss.gradient)):
        computed, stated = (
            result if isinstance(result, tuple) else (result,)
            for result in (
                function(*inputs, **options),
                card.symbolic.lambdify(form, **options)(*inputs),
            )
        )
        got, wanted = (
            ", ".join(str(np.shape(one)) for one in results) for results in (computed, stated)
        )
        if got != wanted:
            raise ValueError(
                f"{function.__name__} must have the shape of the card's {form}, {wanted}, got {got}"
            )
        for one, other in zip(computed, stated, strict=True):
            scale = np.max(np.abs(other), initial=0.0)
            agree = np.abs(one - other) <= 1e-6 * scale  # not so for a NaN
            if not np.all(agree):
                worst = np.unravel_index(np.argmin(agree), np.shape(one))
                raise ValueError(
                    f"{function.__name__} must be the {form} on the card, which is "
                    f"{other[worst]:.6g} at an example input, got {one[worst]:.6g}"
                )
