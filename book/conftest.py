"""What nbval runs is kept, so that the pages are made from the run that was tested.

A notebook takes as long to run for its page as for its test. Here the outputs of a notebook of
which every cell has passed, pictures included, are stored where the build looks for them.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nbformat.v4 import output_from_msg
from nbval.plugin import IPyNbCell

from lossbook.display import NARROW_TOO

sys.path.insert(0, str(Path(__file__).resolve().parent / "_tools"))
from execution import is_current, store
from reach import code_cells, key

OUTPUTS = {"stream", "display_data", "execute_result", "error"}


@dataclass
class Run:
    """A notebook's key before it was run, when that began, and what its cells put out so far."""

    before: str
    began: float = field(default_factory=time.monotonic)
    outputs: list = field(default_factory=list)
    passed: bool = True


RUN = pytest.StashKey[Run]()


def begin(notebook):
    """Let a notebook of nbval's note down what its kernel says."""
    run = notebook.stash[RUN] = Run(key(notebook.nb))
    receive = notebook.get_kernel_message

    def received(*args, **options):
        message = receive(*args, **options)
        if message["msg_type"] in OUTPUTS:
            run.outputs[-1].append(output_from_msg(message))
        return message

    notebook.get_kernel_message = received


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Before the first cell a kernel is started; its figures come in both renderings of a page."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    if RUN not in item.parent.stash:
        begin(item.parent)
    item.parent.stash[RUN].outputs.append([])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NARROW_TOO, os.environ.get(NARROW_TOO, "1"))
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Note down whether a cell has passed."""
    report = yield
    if isinstance(item, IPyNbCell):
        item.parent.stash[RUN].passed &= report.passed
    return report


def pytest_runtest_teardown(item, nextitem):
    """After the last cell of a notebook, store the run if all of it has passed."""
    if not isinstance(item, IPyNbCell) or (nextitem and nextitem.parent is item.parent):
        return
    run, notebook = item.parent.stash[RUN], item.parent.nb
    cells = code_cells(notebook)
    if not run.passed or len(run.outputs) < len(cells) or is_current(item.path):
        return
    for count, (cell, outputs) in enumerate(zip(cells, run.outputs, strict=True), start=1):
        cell.outputs, cell.execution_count = outputs, count
        for output in outputs:
            if output.output_type == "execute_result":
                # nbval asks the kernel not to count.
                output.execution_count = count
    store(item.path, notebook, run.before, time.monotonic() - run.began)
