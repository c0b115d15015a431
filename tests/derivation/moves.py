"""A right move of a derivation and its wrong twin, and what the checker says of each."""

import functools
from dataclasses import dataclass, field

from lossbook.derivation import Derivation, DerivationError

OUTCOMES = ("proved", "excepted", "sampled", "refused", "crashed")


@dataclass(frozen=True)
class Move:
    """A derivation in which everything holds but, perhaps, its last move.

    `then` lists what follows the first line, each a method of `Derivation` and its arguments.
    """

    first: object
    then: tuple
    options: dict = field(default_factory=dict)

    @functools.cached_property
    def verdict(self):
        """The mark of the last move, or how and why it is refused."""
        derivation = Derivation(self.first, "start", **self.options)
        *before, (method, *arguments) = self.then
        for earlier, *its_arguments in before:
            getattr(derivation, earlier)(*its_arguments)
        try:
            return getattr(derivation, method)(*arguments).marks[-1]
        except (DerivationError, ValueError) as error:
            return f"refused: {error}"
        except Exception as error:
            return f"crashed: {type(error).__name__}: {error}"

    @property
    def outcome(self):
        """One of `OUTCOMES`; "excepted" is a mark that names points where the line may fail."""
        if "except at" in self.verdict:
            return "excepted"
        word = self.verdict.split(":")[0].split()[0]
        return word if word in OUTCOMES else "sampled"

    @property
    def code(self):
        options = "".join(f", {name}={value}" for name, value in self.options.items())
        calls = (f".{method}({', '.join(map(str, arguments))})" for method, *arguments in self.then)
        return f"Derivation({self.first}, start{options})" + "".join(calls)


@dataclass(frozen=True)
class Twins:
    """A right move, and the same with a planted fault."""

    kind: str
    name: str
    right: Move
    wrong: Move

    @property
    def right_is_refused(self):
        return self.right.outcome in ("refused", "crashed")

    @property
    def wrong_is_accepted(self):
        """Whether the fault is neither refused nor, at a pole, named in the mark.

        A bare error of SymPy's is no refusal: it tells the reader nothing.
        """
        at_pole = self.kind == "pole" and self.wrong.outcome == "excepted"
        return self.wrong.outcome != "refused" and not at_pole

    @property
    def right_is_proved(self):
        return self.right.outcome in ("proved", "excepted")

    @property
    def wrong_is_called_proved(self):
        return self.wrong_is_accepted and self.wrong.outcome in ("proved", "excepted")

    @property
    def complaints(self):
        """What is judged wrongly, in words, with the code that shows it."""
        sides = (("right", self.right_is_refused), ("wrong", self.wrong_is_accepted))
        for side in (side for side, fails in sides if fails):
            move = getattr(self, side)
            yield f"\n{self.kind}, {self.name}, {side}: {move.verdict}\n    {move.code}"


def template(kind, times=3):
    """Mark a function of a random generator that makes `times` different pairs of moves."""

    def mark(make):
        make.kind, make.times = kind, times
        return make

    return mark


def step(first, right, wrong, relation="=", **options):
    """Two lines that claim to follow from the same first line."""
    return tuple(
        Move(first, (("step", claim, "next", relation),), options) for claim in (right, wrong)
    )


def domains(first, claim, right, wrong, relation="=", **options):
    """One step, in a domain where it holds and in one where it does not."""
    return tuple(
        Move(first, (("step", claim, "next", relation),), {**options, "domain": domain})
        for domain in (right, wrong)
    )


def root(first, symbol, right, wrong, **options):
    """Two claims of what the only zero is."""
    return tuple(
        Move(first, (("solve", symbol, claim, "set to 0"),), options) for claim in (right, wrong)
    )


def roots(first, symbol, claim, right, wrong):
    """One claim of what the only zero is, for values among which it is and others."""
    return tuple(
        Move(first, (("solve", symbol, claim, "set to 0"),), {"domain": {symbol: values}})
        for values in (right, wrong)
    )


def limit(first, symbol, point, right, wrong, direction="+-", **options):
    """Two claims of where the first line goes."""
    return tuple(
        Move(first, (("limit", symbol, point, claim, "limit", direction),), options)
        for claim in (right, wrong)
    )


def chain(lines, right, wrong, **options):
    """A first line and steps that hold, each with its relation, then one of two moves."""
    first, *steps = lines
    before = tuple(("step", line, "holds", relation) for line, relation in steps)
    return tuple(Move(first, (*before, move), options) for move in (right, wrong))
