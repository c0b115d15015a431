"""The notebooks without solutions: nothing of a solution stays, and what stays runs."""

import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
from execution import execute  # noqa: E402
from notebooks import book_notebooks, normalised  # noqa: E402
from student import linked, student_notebook  # noqa: E402


def solution(name: str, *cells):
    """The cells of a solution, as downloads hold them."""
    heading = new_markdown_cell("#### Solution", id=f"{name}-solution")
    for cell in (heading, *cells):
        cell.metadata["tags"] = ["solution"]
    return [heading, *cells]


EXERCISE = "```{exercise-start} Slopes\n:label: ex-a\n```\nDerive.\n```{exercise-end}\n```"
START = "````{solution-start} ex-a\n:class: dropdown\n````"
END = "````{solution-end}\n````"


def test_the_committed_form_keeps_gates_apart():
    cells = [
        new_markdown_cell(f"## Exercises\n\n{EXERCISE}\n\n{START}\nIt is 1.", id="cell-1"),
        new_code_cell("1", id="cell-2"),
        new_markdown_cell(f"So be it.\n\n{END}\n\n## Next", id="cell-3"),
        new_code_cell("2", id="cell-4", metadata={"tags": ["solution"]}),
    ]
    once = normalised(new_notebook(cells=cells))
    assert [(c.id, c.source, "solution" in c.metadata.get("tags", [])) for c in once.cells] == [
        ("cell-1", "## Exercises", False),
        ("ex-a", EXERCISE, False),
        ("ex-a-solution", START, True),
        ("cell-1-2", "It is 1.", True),
        ("cell-2", "1", True),
        ("cell-3", "So be it.", True),
        ("ex-a-end", END, True),
        ("cell-3-2", "## Next", False),
        ("cell-4", "2", False),
    ]
    assert normalised(once) == once


def of(path: Path):
    """A chapter's notebook for a student; the tests of downloads look at the text."""
    return student_notebook(nbformat.read(path, as_version=4))


def test_empty_cells_stand_in_the_place_of_a_solution():
    cells = [
        new_markdown_cell("### Exercise", id="ex-a"),
        new_code_cell("given = 1", id="given"),
        *solution("ex-a", new_code_cell("2"), new_markdown_cell("Two."), new_code_cell("3")),
        new_markdown_cell("### Exercise", id="ex-b"),
        *solution("ex-b", new_code_cell("4")),
        new_markdown_cell("### Exercise", id="ex-c"),
        *solution("ex-c", new_markdown_cell("Five.")),
    ]
    found = student_notebook(new_notebook(cells=cells))
    nbformat.validate(found)
    assert [(cell.id, cell.cell_type, cell.source) for cell in found.cells] == [
        ("ex-a", "markdown", "### Exercise"),
        ("given", "code", "given = 1"),
        ("ex-a-answer", "code", ""),
        ("ex-a-answer-text", "markdown", ""),
        ("ex-b", "markdown", "### Exercise"),
        ("ex-b-answer", "code", ""),
        ("ex-c", "markdown", "### Exercise"),
        ("ex-c-answer-text", "markdown", ""),
    ]


def test_outputs_are_folded():
    shown = [new_output("stream", name="stdout", text="1")]
    cells = [new_code_cell("print(1)", outputs=shown), new_code_cell("x = 1")]
    first, second = student_notebook(new_notebook(cells=cells)).cells
    assert first.metadata["jupyter"]["outputs_hidden"] is True
    assert first.outputs == shown
    assert "jupyter" not in second.metadata


@pytest.mark.parametrize("path", book_notebooks(), ids=lambda path: path.stem)
def test_every_exercise_has_a_place_for_its_answer(path):
    given, cells = nbformat.read(path, as_version=4).cells, of(path).cells
    exercises = [cell.id for cell in given if "{exercise-start}" in cell.source]
    answered = {cell.id for cell in cells if "answer" in cell.metadata.get("tags", [])}
    assert [
        name for name in exercises if not {f"{name}-answer", f"{name}-answer-text"} & answered
    ] == []
    assert not [cell.id for cell in cells if "solution" in cell.metadata.get("tags", [])]
    assert len({cell.id for cell in cells}) == len(cells)


@pytest.mark.parametrize("name", ["front/quiz", "part2/04-squared-error"])
def test_a_notebook_without_solutions_runs(name):
    path = ROOT / "book" / f"{name}.ipynb"
    notebook = of(path)
    execute(notebook, path.parent, narrow_too=False)
    assert not [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and cell.metadata.get("tags") != ["answer"]
        and cell.execution_count is None
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[two](../../../book/part2/two.html#a)", "[two](../part2/two.ipynb#a)"),
        ("[one](../../../book/part1/one.html)", "[one](one.ipynb)"),
        ("Knuth [[1984](../../../book/back/bibliography.html#id1)]", "Knuth [1984]"),
        ("[here](#a) and [there](https://example.org/x.html)",) * 2,
    ],
)
def test_links_lead_to_notebooks(text, expected):
    assert linked(text, "book/part1", {"book/part1/one", "book/part2/two"}) == expected
