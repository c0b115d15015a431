"""What no page of the book says, because nobody would say it aloud."""

import re

#: As regular expressions, and what is said instead.
PHRASES = {
    r"\b(?:slopes?|derivatives?|gradients?|curvatures?) by (?:a |an |the |its |their )?"
    r"(?:\$|logits?|scores?|probabilit|predict|weights?|parameters?|entr)": "with respect to",
    r"\bfor want of\b": "because there is no",
    r"\bholds? 0\b": "is 0",
    r"\bwe\b|\bour\b": "you, the section, or the passive",
    r"\bin the place of\b": "in place of",
    r"\bbehind (?:a|the) (?:sigmoid|softmax)\b": "after the sigmoid",
    r"\b(?:turned|turns?) round\b": "reversed",
    r"\bsaid of\b": "the subject first",
    r"\bin brackets stand": "the brackets contain",
    r"\b(?:knows?|learns?|learnt) of\b": "about",
    r"\bbackwards? way\b|\bway (?:back|forward)\b": "backward pass, forward pass",
    r"\bw\.r\.t\.": "with respect to",
}


def unsaid(text):
    """What a text says that nobody would, each with what is said instead.

    >>> unsaid("The slope by $w$ is 1.")
    ["'slope by $', not 'with respect to': 'The slope by $w$ is 1.'"]
    """
    return [
        f"{found[0]!r}, not {better!r}: {text[max(found.start() - 40, 0) : found.end() + 20]!r}"
        for phrase, better in PHRASES.items()
        for found in re.finditer(phrase, text, re.IGNORECASE)
    ]
