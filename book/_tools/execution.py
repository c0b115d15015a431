"""Run the chapters whose outputs are out of date, side by side, and keep what they put out.

Every chapter has one file below `_build/executed`: the notebook as it was run, with the key of what
it was computed from (reach.py). jupyter-cache, which comes with the book's builder, compares the
cells alone, and runs one chapter after another.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import light  # noqa: F401
import nbformat
from filelock import FileLock
from inputs import ROOT
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode
from reach import code_cells, key

# For the kernels, which inherit it, lossbook asks for threads that sleep while they wait: a chapter
# may load torch first, and then it is too late.
import lossbook  # noqa: F401
from lossbook.display import NARROW_TOO

BOOK = ROOT / "book"
EXECUTED = ROOT / "_build" / "executed"
# The longest chapter takes a fifth of the time of all: more kernels would only take memory.
KERNELS = min(5, os.cpu_count() or 1)
TIMEOUT = 600  # seconds for a cell


def alone() -> FileLock:
    """To be held while chapters are run and pages are made: two at once would do it all twice."""
    EXECUTED.parent.mkdir(exist_ok=True)
    return FileLock(EXECUTED.parent / "building.lock")


class ChapterError(Exception):
    """A chapter could not be run to its end."""


def book_notebooks() -> list[Path]:
    """Every notebook of the book, in reading order."""
    return sorted(file for file in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in file.parts)


def stored_path(path: Path) -> Path:
    """Where the outputs of the notebook at `path` are kept."""
    return EXECUTED / path.relative_to(ROOT)


def stored(path: Path) -> NotebookNode | None:
    """The notebook at `path` as it was last run to its end, if it was."""
    file = stored_path(path)
    return nbformat.read(file, as_version=4) if file.is_file() else None


def is_current(path: Path) -> bool:
    """Whether a run of the notebook at `path` would only repeat what is stored."""
    kept = stored(path)
    wanted = key(nbformat.read(path, as_version=4))
    return kept is not None and kept.metadata.get("lossbook", {}).get("key") == wanted


def execute(notebook: NotebookNode, folder: Path, narrow_too: bool = True) -> None:
    """Run `notebook` inside `folder` and put the outputs into it.

    Without `narrow_too` figures come in one rendering, which will do where none is looked at.
    """
    position = 0

    def remember(cell_index, **_):
        nonlocal position
        position = cell_index

    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=remember,
        # Each kernel would warn that it talks to this process unencrypted.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    # Kernels share the cores, and one thread takes its sums in the order the tests do. Pages show
    # each figure in two renderings.
    settings = {"OMP_NUM_THREADS": "1", NARROW_TOO: "1" if narrow_too else ""}
    try:
        # In a thread of its own: a caller may have a loop that runs, as the tests' browser has.
        running = client.async_execute(env={**os.environ, **settings})
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, running).result()
    except (CellControlSignal, DeadKernelError) as error:
        raise ChapterError(f"cell {position + 1} of {len(notebook.cells)}: {error}") from error


def say(line: str) -> None:
    """Print a line at once and whole: `print` writes its end apart, and threads get between."""
    print(f"{line}\n", end="", flush=True)


def run(path: Path) -> None:
    """Run the notebook at `path` and store it, with a line as it starts and one as it ends."""
    name = path.relative_to(BOOK).with_suffix("").as_posix()
    notebook = nbformat.read(path, as_version=4)
    # Before the run: what is edited meanwhile makes the outputs stale.
    before = key(notebook)
    say(f"{name}: runs")
    started = time.monotonic()
    try:
        execute(notebook, path.parent)
    except ChapterError as error:
        say(f"{name}: failed")
        raise ChapterError(f"{path.relative_to(ROOT)}, {error}") from error
    seconds = time.monotonic() - started
    store(path, notebook, before, seconds)
    say(f"{name}: {seconds:.0f} s")


def store(path: Path, notebook: NotebookNode, before: str, seconds: float) -> None:
    """Keep `notebook`, which was run, as that at `path`; `before` is its key before the run."""
    notebook.metadata["lossbook"] = {"key": before, "seconds": round(seconds, 1)}
    file = stored_path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    unfinished.replace(file)


def bring_up_to_date(paths: Iterable[Path]) -> bool:
    """Run those of the notebooks that are out of date; say which failed, and whether none did."""
    # The last chapters train networks. They take longest, and begin first so that no core is idle
    # in the end.
    stale = [path for path in reversed(list(paths)) if not is_current(path)]
    if stale:
        print(f"Running {len(stale)} of the book's notebooks, {KERNELS} at a time.", flush=True)
    pool = ThreadPoolExecutor(KERNELS)
    runs = [pool.submit(run, path) for path in stale]
    try:
        errors = [error for error in map(Future.exception, runs) if error]
    except KeyboardInterrupt:
        # The threads would wait for their kernels, which end once this process is gone. What was
        # run to its end is stored.
        print("\nStopped: what was run is kept.", file=sys.stderr, flush=True)
        os._exit(130)
    pool.shutdown()
    for error in errors:
        if not isinstance(error, ChapterError):
            raise error
        print(f"\n{error}", file=sys.stderr)
    return not errors


def with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """`notebook` with the outputs that its code cells have in `executed`."""
    for cell, run_cell in zip(code_cells(notebook), code_cells(executed), strict=True):
        cell.outputs, cell.execution_count = run_cell.outputs, run_cell.execution_count
    return notebook
