"""Derivations in which every line is checked against the one before it."""

from lossbook.derivation.lines import Derivation, DerivationError

__all__ = ["Derivation", "DerivationError"]
