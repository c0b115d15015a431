"""Store the outputs of the notebooks in them as they are committed: `make notebooks`.

    python book/_tools/notebooks.py [--check] [notebook ...]

Without paths, every notebook of the book. Those whose outputs are out of date are run first, as
for the built pages. `--check` runs nothing and changes nothing: it names the notebooks that are not
stored in the committed form, and exits with 1 if there are any.

The committed form keeps the text outputs, which the tests compare, and drops what differs from one
machine or run to the next: images, outputs of cells tagged nbval-ignore-output, tracebacks, times
and versions. Running a notebook twice therefore changes nothing. An exercise, the start of a
solution and its end each stand in a cell of their own, and all cells of a solution are tagged
`solution`, so that solutions can be taken out cell by cell.
"""

import argparse
import copy
import itertools
import re
import sys
from pathlib import Path

import light  # noqa: F401
import nbformat
from execution import alone, book_notebooks, bring_up_to_date, stored, with_outputs
from nbformat import NotebookNode

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = ("mystnb", "tags")
IMAGES = ("image/png", "image/jpeg")
FENCE = r"(?:`{3,}|:{3,})"
# An exercise from its start to its end, or the fence that starts or ends a solution.
GATE = re.compile(
    rf"^{FENCE}{{exercise-start}}.*?^{FENCE}{{exercise-end}} *\n{FENCE} *$"
    rf"|^(?P<fence>{FENCE}){{solution-(?:start|end)}}.*?^(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
SOLUTION = "solution"
# Comments around the answer to a question, and the tag of the cells from one to the other.
ANSWER, END = "<!-- answer -->", "<!-- end of answer -->"
FOLDED = "folded"
# What a fold says: of a cell with this call and this tag, closed and open.
PROMPTS = (
    ("Derivation(", "hide-input", "How this was checked", "How this was checked"),
    ("loss_card(", "hide-cell", "Show the loss card", "The loss card"),
)
# What is folded on a page is folded in JupyterLab: cells with these tags.
SOURCE_HIDDEN = {"hide-input", "remove-input", "hide-cell", "remove-cell", SOLUTION, FOLDED}
OUTPUTS_HIDDEN = {"hide-output", "remove-output", "hide-cell", "remove-cell", SOLUTION, FOLDED}


def normalised(notebook: NotebookNode) -> NotebookNode:
    """A copy of `notebook` in the committed form."""
    notebook = copy.deepcopy(notebook)
    kept = {"mystnb": notebook.metadata["mystnb"]} if "mystnb" in notebook.metadata else {}
    notebook.metadata = nbformat.from_dict({**NOTEBOOK_METADATA, **kept})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for position, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{position}")
    notebook.cells = [part for cell in notebook.cells for part in parts(cell)]
    tag_solutions(notebook.cells)
    tag_answers(notebook.cells)
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
        )
        fold(cell)
        name_fold(cell)
        if cell.cell_type == "code":
            count += 1
            # nbval compares nothing in a cell without a count.
            cell.execution_count = count
            ignored = "nbval-ignore-output" in cell.metadata.get("tags", [])
            cell.outputs = [] if ignored else normalised_outputs(cell.outputs, count)
    return notebook


def parts(cell: NotebookNode) -> list[NotebookNode]:
    """The cells that a cell becomes when its gates stand alone and answers have their own."""
    if cell.cell_type != "markdown":
        return [cell]
    bounds = {0, len(cell.source)}
    bounds |= {place for gate in GATE.finditer(cell.source) for place in gate.span()}
    # The answer to a question begins a cell, and ends one.
    bounds |= {mark.start() for mark in re.finditer(f"^{ANSWER}$", cell.source, re.MULTILINE)}
    bounds |= {mark.end() for mark in re.finditer(f"^{END}$", cell.source, re.MULTILINE)}
    if len(bounds) == 2:
        return [cell]
    texts = [cell.source[a:b].strip("\n") for a, b in itertools.pairwise(sorted(bounds))]
    found = [{**copy.deepcopy(cell), "source": text} for text in texts if text.strip()]
    ordinary = 0
    for part in found:
        if not GATE.fullmatch(part["source"]):
            ordinary += 1
            part["id"] = cell.id if ordinary == 1 else f"{cell.id}-{ordinary}"
    return [nbformat.from_dict(part) for part in found]


def tag_solutions(cells: list[NotebookNode]) -> None:
    """Tag the cells of solutions, and name the gates by the label of their exercise."""
    label = ""
    for cell in cells:
        opening = re.match(rf"{FENCE}{{solution-start}} *(\S+)", cell.source)
        closing = re.match(rf"{FENCE}{{solution-end}}", cell.source)
        exercise = re.match(
            rf"{FENCE}{{exercise-start}}.*?^:label: *(\S+)", cell.source, re.MULTILINE | re.DOTALL
        )
        if exercise:
            cell.id = exercise.group(1)
        if opening:
            label = opening.group(1)
            cell.id = f"{label}-solution"
        elif closing:
            cell.id = f"{label}-end"
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != SOLUTION]
        cell.metadata["tags"] = [*tags, SOLUTION] if label else tags
        if closing:
            label = ""


def tag_answers(cells: list[NotebookNode]) -> None:
    """Tag the cells of an answer, from the one that begins with ANSWER to the one that ends it."""
    inside = False
    for cell in cells:
        lines = cell.source.strip().splitlines() or [""]
        inside = inside or lines[0] == ANSWER
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != FOLDED]
        cell.metadata["tags"] = [*tags, FOLDED] if inside else tags
        inside = inside and lines[-1] != END


def fold(cell: NotebookNode) -> None:
    """Hide the source and the outputs of a cell in JupyterLab where a page folds them."""
    tags = set(cell.metadata.get("tags", []))
    if cell.cell_type == "code":
        hidden = {"source_hidden": tags & SOURCE_HIDDEN, "outputs_hidden": tags & OUTPUTS_HIDDEN}
    else:
        # Text of a solution stands below a heading, which is folded as a whole.
        hidden = {"source_hidden": tags & {FOLDED}}
    if any(hidden.values()):
        cell.metadata["jupyter"] = {name: True for name, value in hidden.items() if value}


def name_fold(cell: NotebookNode) -> None:
    """Say what a fold holds where it is the code of a derivation, or a loss card."""
    tags = cell.metadata.get("tags", [])
    for call, tag, show, hide in PROMPTS:
        if cell.cell_type == "code" and call in cell.source and tag in tags:
            prompts = {"code_prompt_show": show, "code_prompt_hide": hide}
            cell.metadata["mystnb"] = {**prompts, **cell.metadata.get("mystnb", {})}


def normalised_outputs(outputs: list[NotebookNode], count: int) -> list[NotebookNode]:
    """Outputs without images, tracebacks and counts of their own; adjacent streams are one."""
    kept = []
    for output in outputs:
        if output.output_type == "stream":
            if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                kept[-1].text += output.text
                continue
        elif output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        else:
            for image in IMAGES:
                output.data.pop(image, None)
                output.metadata.pop(image, None)
            if not output.data:
                continue
        if "execution_count" in output:
            output.execution_count = count
        kept.append(output)
    return kept


def committed(path: Path) -> str:
    """The text of the notebook at `path` in the committed form."""
    return nbformat.writes(normalised(nbformat.read(path, as_version=4))) + "\n"


def main() -> int:
    """Parse the command line; run and store, or check."""
    parser = argparse.ArgumentParser(description="Normalise the book's notebooks.")
    parser.add_argument("--check", action="store_true", help="run nothing, change nothing")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of the book")
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.notebooks] or book_notebooks()
    differing = []
    if arguments.check:
        differing = [path for path in paths if path.read_text("utf-8") != committed(path)]
    else:
        with alone():
            if not bring_up_to_date(paths):
                return 1
            for path in paths:
                notebook = with_outputs(nbformat.read(path, as_version=4), stored(path))
                nbformat.write(normalised(notebook), path)
    for path in differing:
        print(f"{path} is not in the committed form: run `make notebooks`")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
