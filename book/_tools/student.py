"""Write the notebooks for a class into _build/student: `make student`.

They are those of the download buttons, without solutions. In the place of each stand empty cells
for an answer, one for code and one for text where the solution has text. Outputs are folded, and
links lead from notebook to notebook. What stays runs from top to bottom: nothing outside a solution
uses what a solution computes, which a test of the chapters holds.
"""

import posixpath
import re
import shutil
import sys
from itertools import groupby

import light  # noqa: F401
import nbformat
from build import build, is_current
from inputs import ROOT
from nbformat import NotebookNode
from notebooks import SOLUTION

DOWNLOADS = ROOT / "_build" / "html" / "_sources"
STUDENT = ROOT / "_build" / "student"
LINK = re.compile(r"\[(?P<text>[^][]+)\]\((?P<page>\.\.?/[^)#]*)\.html(?P<anchor>#[^)]*)?\)")


def is_solution(cell: NotebookNode) -> bool:
    """Whether the cell belongs to the solution of an exercise."""
    return SOLUTION in cell.metadata.get("tags", [])


def answer_cells(solution: list[NotebookNode]) -> list[NotebookNode]:
    """Empty cells for what the solution holds, named by its exercise."""
    heading, *body = solution
    label = heading.id.removesuffix("-solution")
    kinds = {cell.cell_type for cell in body}
    cells = []
    for kind, new, name in (
        ("code", nbformat.v4.new_code_cell, f"{label}-answer"),
        ("markdown", nbformat.v4.new_markdown_cell, f"{label}-answer-text"),
    ):
        if kind in kinds:
            cells.append(new(id=name, metadata={"tags": ["answer"]}))
    return cells


def student_notebook(notebook: NotebookNode) -> NotebookNode:
    """A downloaded notebook as a student gets it."""
    cells = []
    for solved, group in groupby(notebook.cells, key=is_solution):
        run = list(group)
        cells += answer_cells(run) if solved else run
    for cell in cells:
        if cell.cell_type == "code" and cell.outputs:
            cell.metadata.setdefault("jupyter", {})["outputs_hidden"] = True
    return nbformat.from_dict({**notebook, "cells": cells})


def linked(text: str, folder: str, notebooks: set[str]) -> str:
    """Text whose links lead to notebooks; those to other pages of the book become their words."""

    def link(found: re.Match) -> str:
        # From the download's folder, the pages of the site start above `_sources`.
        page = posixpath.normpath(posixpath.join("_sources", folder, found["page"]))
        if page not in notebooks:
            return found["text"]
        target = posixpath.relpath(f"{page}.ipynb", folder)
        return f"[{found['text']}]({target}{found['anchor'] or ''})"

    return LINK.sub(link, text)


def main() -> int:
    """Build the book where needed, and write the notebooks."""
    if not is_current() and (code := build()):
        return code
    shutil.rmtree(STUDENT, ignore_errors=True)
    files = sorted(DOWNLOADS.rglob("*.ipynb"))
    names = {file.relative_to(DOWNLOADS).with_suffix("").as_posix() for file in files}
    for file in files:
        path = file.relative_to(DOWNLOADS)
        notebook = student_notebook(nbformat.read(file, as_version=4))
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = linked(cell.source, path.parent.as_posix(), names)
        target = STUDENT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
    print(f"\nThe notebooks without solutions are in\n    {STUDENT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
