"""What this book says of a loss that somebody else has named."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A loss by the name that a library or a survey gives it, and where this book has it.

    There are three answers: it is a loss of this book (`loss` alone); it is made of one (`formula`
    says how it is usually written, `here` how it is written with this book's functions, and the
    tests prove that both are equal); or the book does without it, and `note` says why and where it
    is explained.

    `call`, `formula` and `here` are Python expressions in the arrays of `loss`: ``p``, ``t`` and
    ``u`` in this order. In `call` they are the library's arrays, in the other two NumPy's. The
    functions of :mod:`lossbook` may be used there by their names, and those of FUNCTIONS.

    Attributes
    ----------
    name : as its source writes it
    loss : the loss of this book that it is, or is made of; empty where the book does without it
    here : its value in this book's functions
    call : its value in the library, with the default reduction; "" where nothing gives it
    formula : its usual formula, where it is not a loss of this book but made of one
    note : what to mind, or why the book does without it
    also : other names that its source has for it
    arrays : the loss whose arrays are ``p``, ``t`` and ``u``, where it is not `loss`

    Examples
    --------
    >>> Entry("mean_squared_error", "squared_error", "squared_error(p, t).mean()").answer
    'derived'
    >>> Entry("CTC", note="Sums over alignments.").answer
    'not here'
    """

    name: str
    loss: str = ""
    here: str = ""
    call: str = ""
    formula: str = ""
    note: str = ""
    also: tuple[str, ...] = ()
    arrays: str = ""

    @property
    def answer(self):
        """One of ANSWERS."""
        if not self.loss:
            return "not here"
        return "made of it" if self.formula else "derived"


#: The three kinds of answer.
ANSWERS = ("derived", "made of it", "not here")

#: What `formula` and `here` may use besides NumPy's arithmetic and the losses, and what it means.
FUNCTIONS = {
    "abs": "absolute value",
    "below": "of four, the third where the first is at most the second, else the fourth",
    "cos": "cosine",
    "exp": "exponential",
    "log": "natural logarithm",
    "maximum": "the larger of two, entry by entry",
    "median": "median of all entries",
    "norm": "length along the last axis",
    "one_hot": "class ids as rows of 0 and 1, as wide as the second argument",
    "ones": "an array of ones of the same shape",
    "own": "the entry of each row that belongs to its class id",
    "softmax": "softmax along the last axis",
    "sqrt": "square root",
    "unit": "points divided by their length",
    "zeros": "an array of zeros of the same shape",
}
