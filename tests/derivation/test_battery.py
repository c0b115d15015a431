"""No planted fault is called proved, and next to none is accepted; no right step is refused."""

import pytest
from derivation.battery import KINDS, battery, report

# Faults that are accepted, none of them as proved: name and reason.
ACCEPTED = {}


@pytest.mark.parametrize("kind", KINDS)
def test_faults_are_refused_and_right_steps_are_not(kind):
    pairs = [pair for pair in battery() if pair.kind == kind]
    refused = [pair.name for pair in pairs if pair.right_is_refused]
    accepted = {pair.name for pair in pairs if pair.wrong_is_accepted}
    proved = [pair.name for pair in pairs if pair.wrong.outcome == "proved"]
    known = {pair.name for pair in pairs if pair.name in ACCEPTED}
    assert (refused, proved, accepted) == ([], [], known), report(pairs)


def test_the_battery_is_large_and_its_known_gaps_are_few():
    names = [pair.name for pair in battery()]
    assert len(names) == len(set(names)) >= 300
    assert set(ACCEPTED) <= set(names)
    assert len(ACCEPTED) <= len(names) / 100
