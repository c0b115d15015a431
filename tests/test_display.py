"""What chapters show: only what no doctest of `lossbook.display` and no notebook can say."""

import myst_nb
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from lossbook.display import glue, rosetta


def test_glue_leaves_what_the_book_builder_looks_for():
    InteractiveShell.instance()
    with capture_output() as theirs:
        myst_nb.glue("error", "0.125", display=False)
    with capture_output() as ours:
        glue("error", "0.125")
    for found in (theirs, ours):
        assert len(found.outputs) == 1
    assert ours.outputs[0].data == theirs.outputs[0].data
    assert ours.outputs[0].metadata == theirs.outputs[0].metadata


def test_rosetta_names_the_families_there_are():
    with pytest.raises(ValueError, match=r"one of regression, .*, distribution, got 'huber'"):
        rosetta("huber")
