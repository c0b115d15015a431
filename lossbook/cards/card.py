"""A loss card: what is said of a loss, apart from its code."""

from __future__ import annotations

from dataclasses import dataclass

from lossbook.cards.convention import Convention
from lossbook.cards.symbolic import Symbolic


@dataclass(frozen=True, kw_only=True)
class Card:
    r"""A loss's passport: its formula, what to know before using it, its names elsewhere.

    Attributes
    ----------
    title, chapter : what the loss is called, and the chapter that derives it
    symbolic : its value and gradient as SymPy expressions
    minimiser : which prediction minimises the expected loss
    noise_model : the likelihood it is the negative logarithm of, or why there is none
    convexity, lipschitz, kinks, stable_form, failure : what a reader should know before using it
    conventions : the loss in PyTorch, Keras, scikit-learn and optax, in this order

    Examples
    --------
    >>> from lossbook.cards import CARDS
    >>> CARDS["huber"].title, CARDS["huber"].chapter
    ('Huber loss', 5)
    >>> CARDS["half_squared_error"].formula
    '\\frac{\\left(p - t\\right)^{2}}{2}'
    """

    title: str
    chapter: int
    symbolic: Symbolic
    minimiser: str
    noise_model: str
    convexity: str
    lipschitz: str
    kinks: str
    stable_form: str
    failure: str
    conventions: tuple[Convention, ...]

    @property
    def formula(self):
        """The unreduced value as LaTeX."""
        return self.symbolic.value_latex

    @property
    def gradient_formula(self):
        """The unreduced gradient as LaTeX."""
        return self.symbolic.gradient_latex
