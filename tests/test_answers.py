"""Answers are folded as a whole: outputs, code and prose, on the page and in the notebook."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

TOOLS = Path(__file__).resolve().parents[1] / "book" / "_tools"
sys.path.insert(0, str(TOOLS))
from notebooks import ANSWER, END, normalised  # noqa: E402

CONFIGURATION = f"""
import sys
sys.path.insert(0, {str(TOOLS)!r})
import light
extensions = ["myst_nb", "book_answers"]
nb_execution_mode = "off"
"""


def printed(text: str) -> list:
    return [new_output("stream", name="stdout", text=text)]


QUESTION = [
    new_markdown_cell("# One\n\nCommit yourself.", id="question"),
    new_code_cell("ask()", id="ask", outputs=printed("7\n"), metadata={"tags": ["hide-output"]}),
]
REPLY = [
    new_markdown_cell(f"{ANSWER}\n\nIt is seven.", id="says"),
    new_code_cell("explain()", id="explain", outputs=printed("because\n")),
    new_markdown_cell(f"Nothing else.\n\n{END}", id="ends"),
    new_markdown_cell("On we go.", id="next"),
]


def page(folder: Path, cells: list) -> tuple[BeautifulSoup, str]:
    """The page that Sphinx makes of a notebook with these cells, and its warnings."""
    language = {"name": "python", "pygments_lexer": "ipython3"}
    notebook = new_notebook(cells=cells, metadata={"language_info": language})
    nbformat.write(notebook, folder / "index.ipynb")
    (folder / "conf.py").write_text(CONFIGURATION)
    command = [sys.executable, "-m", "sphinx", "-qb", "html", folder, folder / "html"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    return BeautifulSoup((folder / "html" / "index.html").read_text(), "html.parser"), built.stderr


def test_an_answer_is_one_fold_with_the_outputs_above_it(tmp_path):
    soup, warnings = page(tmp_path, QUESTION + REPLY)
    assert warnings == ""
    [fold] = soup.select("details.answer")
    said = [word for word in ("7", "It is seven", "explain()", "because") if word in fold.text]
    assert said == ["7", "It is seven", "explain()", "because"]
    outside = soup.select_one("[role=main]").text.replace(fold.text, "")
    assert "ask()" in outside
    assert "On we go." in outside
    assert "because" not in outside
    assert "answer -->" not in str(soup)


@pytest.mark.parametrize("tags", [[], ["hide-input"]])
def test_outputs_that_are_shown_stay_where_they_are(tmp_path, tags):
    shown = new_code_cell("ask()", outputs=printed("7\n"), metadata={"tags": tags})
    soup, warnings = page(tmp_path, [QUESTION[0], shown, *REPLY])
    assert warnings == ""
    assert "7" not in soup.select_one("details.answer").text


def test_an_answer_without_an_end_is_a_warning(tmp_path):
    _, warnings = page(tmp_path, [*QUESTION, *REPLY[:2]])
    assert "has no end" in warnings


def test_an_answer_is_folded_in_the_notebook_too():
    cells = {cell.id: cell for cell in normalised(new_notebook(cells=QUESTION + REPLY)).cells}
    assert "jupyter" not in cells["question"].metadata
    assert cells["ask"].metadata["jupyter"] == {"outputs_hidden": True}
    assert cells["says"].metadata["jupyter"] == {"source_hidden": True}
    both = {"source_hidden": True, "outputs_hidden": True}
    assert cells["explain"].metadata["jupyter"] == both
    assert cells["ends"].metadata["tags"] == ["folded"]
    assert "tags" not in cells["next"].metadata


def test_the_fold_of_a_derivation_says_what_it_holds():
    source = 'Derivation(x, "definition")'
    folded = new_code_cell(source, metadata={"tags": ["hide-input"]})
    cells = normalised(new_notebook(cells=[folded, new_code_cell(source)])).cells
    assert cells[0].metadata["mystnb"]["code_prompt_show"] == "How this was checked"
    assert "mystnb" not in cells[1].metadata


def test_an_answer_gets_cells_of_its_own():
    source = f"Commit yourself.\n\n{ANSWER}\n\nSeven.\n\n{END}\n\nOn we go."
    cells = normalised(new_notebook(cells=[new_markdown_cell(source, id="all")])).cells
    assert [(cell.id, "tags" in cell.metadata) for cell in cells] == [
        ("all", False),
        ("all-2", True),
        ("all-3", False),
    ]
