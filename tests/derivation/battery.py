"""The battery: every template's twins, and how the checker judges them.

`PYTHONPATH=.:tests python -m derivation.battery [KIND or TEMPLATE ...]` prints a table by kind, and
every step that is judged wrongly, as the code that takes it.
"""

import functools
import random
import sys
import time
from collections import Counter

from derivation import twins
from derivation.moves import OUTCOMES, Twins

TEMPLATES = [make for make in vars(twins).values() if hasattr(make, "times")]
KINDS = tuple(dict.fromkeys(make.kind for make in TEMPLATES))


@functools.cache
def battery():
    """All twins, no two alike."""
    return [
        Twins(make.kind, f"{make.__name__}-{number}", *moves)
        for make in TEMPLATES
        for number, moves in enumerate(_drawn(make), 1)
    ]


def _drawn(make):
    """Different pairs of moves; a seed of its own for each keeps them as they are."""
    found = {}
    for turn in range(100):
        pair = make(random.Random(f"{make.__name__} {turn}"))
        found.setdefault("".join(move.code for move in pair), pair)
        if len(found) == make.times:
            return found.values()
    raise ValueError(f"{make.__name__} makes {len(found)} different pairs, not {make.times}")


def report(pairs):
    """The table by kind, and each step that is judged wrongly."""
    counts = {kind: Counter() for kind in [*KINDS, "all"]}
    for pair in pairs:
        for row in (pair.kind, "all"):
            counts[row]["wrong", pair.wrong.outcome] += 1
            counts[row]["right", pair.right.outcome] += 1
    heads = [f"{side} {outcome}" for side in ("wrong", "right") for outcome in OUTCOMES]
    lines = ["kind".ljust(11) + "".join(head.rjust(16) for head in heads)]
    for kind, row in counts.items():
        if row:
            cells = (row[tuple(head.split())] or "." for head in heads)
            lines.append(kind.ljust(11) + "".join(f"{cell:>16}" for cell in cells))
    for pair in pairs:
        lines += pair.complaints
    return "\n".join(lines)


def main(wanted):
    begun = time.perf_counter()
    pairs = [
        pair
        for pair in battery()
        if not wanted or {pair.kind, pair.name, pair.name.rsplit("-", 1)[0]} & wanted
    ]
    print(report(pairs))
    print(f"\n{len(pairs)} twins in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
