"""Was a gradient derived? A derivation is held to a loss card, from the value to the gradient."""

from __future__ import annotations

from dataclasses import dataclass

from lossbook.cards.symbolic import Symbolic
from lossbook.derivation import Derivation


@dataclass(frozen=True)
class DerivationCheck:
    """How derivations were found to begin and end as a loss card says, and their lines of prose."""

    name: str
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    argued: int = 0

    def __repr__(self):
        starts, ends = (", ".join(dict.fromkeys(marks)) for marks in (self.starts, self.ends))
        prose = f"\n  lines argued between: {self.argued}" if self.argued else ""
        return (
            f"derivation of {self.name}\n"
            f"  starts at the derivative of the card's value: {starts}\n"
            f"  ends at the card's gradient: {ends}{prose}"
        )


def check_derivation(loss, /, *derivations, card=None, **hyperparameters):
    """Hold a derivation to a loss card: its first line to the value, its last to the gradient.

    The first line must equal the derivative of the card's value, and is best written so, as
    ``Derivative(value, prediction)``. The last must equal the card's gradient, at kinks too. There
    must be a step between them, and every step an equality: a bound leads to another quantity. A
    line of prose is no step, so the chain passes over it; the result counts such lines. Symbols are
    matched by name.

    Parameters
    ----------
    loss : a name in ``LOSSES`` or a row of it
    derivations : Derivation, one for each entry of the gradient where the card has several (the
        Gaussian's mean and log-variance, or the classes of a card at a concrete size)
    card : the statement to compare with if not all of the loss's own, such as
        ``CARDS["multiclass_hinge"].symbolic.at(3, label=1)``
    hyperparameters : what the derivation has in their place, as for ``Symbolic.fixed``

    Raises
    ------
    DerivationError
        If a line is not what the card says, with a counterexample.
    ValueError
        If a derivation has no step, or one that is not an equality.
    TypeError
        If there are not as many derivations as entries, a hyperparameter is unknown, or an argument
        is not of its type.

    Examples
    --------
    >>> from sympy import Derivative
    >>> from lossbook.derivation import Derivation
    >>> from lossbook.cards import CARDS
    >>> card = CARDS["squared_error"].symbolic
    >>> p, t = card.prediction, card.target
    >>> d = Derivation(Derivative((p - t) ** 2, p), "definition").step(2 * (p - t), "power rule")
    >>> check_derivation("squared_error", d)
    derivation of squared_error
      starts at the derivative of the card's value: proved
      ends at the card's gradient: proved
    """
    from lossbook.cards import CARDS

    name = loss if isinstance(loss, str) else loss.name
    card = CARDS[name].symbolic if card is None else card
    if not isinstance(card, Symbolic):
        raise TypeError(f"card must be a Symbolic, got {type(card).__name__}: {card!r}")
    for derivation in derivations:
        if not isinstance(derivation, Derivation):
            got = f"{type(derivation).__name__}: {derivation!r}"
            raise TypeError(f"derivations must be Derivation objects, got {got}")
        steps = [relation for relation in derivation.relations if relation != "argue"]
        if not steps:
            raise ValueError("a derivation must have a step from the value to the gradient")
        if other := [relation for relation in steps if relation != "="]:
            raise ValueError(f"every step of a derivation must be an equality, got {other[0]!r}")
    slopes = card.fixed(**hyperparameters).slopes
    if len(derivations) != len(slopes):
        raise TypeError(
            f"{name} needs {len(slopes)} derivations, one for each entry of its gradient, "
            f"got {len(derivations)}"
        )
    starts, ends = [], []
    for derivation, (slope, gradient) in zip(derivations, slopes, strict=True):
        starts.append(derivation.compare("first", slope, "the derivative of the card's value"))
        ends.append(derivation.compare("last", gradient, "the card's gradient"))
    argued = sum(derivation.counts["argued"] for derivation in derivations)
    return DerivationCheck(name, tuple(starts), tuple(ends), argued)
