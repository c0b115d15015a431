"""The loss cards, one file a family: what is said of each loss, stated independently of its code.

A card holds the formula as a SymPy expression, the passport that a reader sees, and the loss's
names and conventions in other libraries. No card imports the loss that it describes: tests hold one
against the other. The kinds of prediction and target are declared above the loss itself.
"""

from lossbook.cards import (
    binary,
    distribution,
    embedding,
    margin,
    multiclass,
    overlap,
    penalty,
    regression,
)
from lossbook.cards.card import Card
from lossbook.cards.convention import CONVENTION_SOURCES, PADDING, Convention, Padding
from lossbook.cards.derivation import DerivationCheck, check_derivation
from lossbook.cards.symbolic import BatchAxes, EntryAxis, Symbolic

#: Every card, by the name of its loss.
CARDS = {
    name: card
    for family in (
        regression,
        binary,
        multiclass,
        margin,
        penalty,
        embedding,
        overlap,
        distribution,
    )
    for name, card in family.CARDS.items()
}

__all__ = [
    "CARDS",
    "CONVENTION_SOURCES",
    "PADDING",
    "BatchAxes",
    "Card",
    "Convention",
    "DerivationCheck",
    "EntryAxis",
    "Padding",
    "Symbolic",
    "check_derivation",
]
