"""The notebook that a page's download button serves, and the buttons of a repository."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "book" / "_tools"
sys.path.insert(0, str(TOOLS))
from book_download import Translator, Untranslated, opening_line, plain_notebook  # noqa: E402
from notebooks import book_notebooks  # noqa: E402

REPOSITORY = "https://github.com/somebody/losses"
HOSTS = ("colab.research.google.com", "mybinder.org", "github.com")
MYST = re.compile(r"\{[a-z:]+\}`|^\([\w-]+\)=|^[`:]{3,}\{", re.MULTILINE)


class Anything(dict):
    """A dictionary that holds every key."""

    def __missing__(self, key):
        return "something"


def translator():
    return Translator({}, {"slope": "0.25"}, lambda kind, label: f"{kind.capitalize()} 2.1")


# One piece at a time ------------------------------------------------------------------------------

TRANSLATED = {
    "(sec-a)=\n## A": '<a id="sec-a"></a>\n\n## A',
    "It is {glue:text}`slope`.": "It is 0.25.",
    "About {glue:text}`slope:.1f`.": "About 0.2.",
    "{math}`x^2`": "$x^2$",
    "```{dropdown} Answers\n:open:\n\nYes.\n```": (
        "<details>\n<summary>Answers</summary>\n\n\nYes.\n\n</details>"
    ),
    "````{dropdown} Code\n```python\n{ref}`x`\n```\n````": (
        "<details>\n<summary>Code</summary>\n\n```python\n{ref}`x`\n```\n\n</details>"
    ),
    ":::{note}\nMind $x$.\n:::": "> **Note.**\n>\n> Mind $x$.",
    "```{admonition} Why\nSo.\n```": "> **Why.**\n>\n> So.",
    "```{figure} a.png\n:alt: A line\n\nIt falls.\n```": "![A line](a.png)\n\nIt falls.",
    "```{math}\n:label: eq-a\n\nx = 1\n```": "$$\n\nx = 1\n$$",
    "```{code-block} python\nx = 1\n```": "```python\nx = 1\n```",
    "```{solution-end}\n```": "",
    "```{exercise-start} Slopes\n:label: ex-a\n```\nDerive.\n```{exercise-end}\n```": (
        '<a id="ex-a"></a>\n\n### Exercise 2.1: Slopes\n\nDerive.'
    ),
    "```{solution-start} ex-a\n:class: dropdown\n```": "#### Solution of Exercise 2.1\n",
}


@pytest.mark.parametrize("source", TRANSLATED, ids=lambda source: source[:24])
def test_a_piece_of_myst_becomes_plain(source):
    assert translator().markdown(source) == TRANSLATED[source]


@pytest.mark.parametrize("source", ["{ref}`nowhere`", "```{mermaid}\nA\n```", "```{note}\nno end"])
def test_a_piece_without_a_plain_form_is_refused(source):
    with pytest.raises(Untranslated):
        translator().markdown(source)


@pytest.mark.parametrize("path", book_notebooks(), ids=lambda path: path.stem)
def test_nothing_of_myst_is_left_in_the_notebooks_of_the_book(path):
    notebook = nbformat.read(path, as_version=4)
    plain = plain_notebook(notebook, Translator(Anything(), Anything(), "{} {}".format), "Install.")
    nbformat.validate(plain)
    for before, cell in zip([None, *plain.cells], plain.cells, strict=False):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            assert not MYST.search(re.sub(r"```\w*\n.*?```", "", cell.source, flags=re.DOTALL))
        elif "solution" in tags:
            assert cell.metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
        # A heading ends what JupyterLab folds below the heading of a solution.
        if before and "solution" in before.metadata.get("tags", []) and "solution" not in tags:
            assert re.search(r"^#{1,3} ", cell.source, re.MULTILINE), cell.id
    assert len({cell.id for cell in plain.cells}) == len(plain.cells)


def test_what_is_folded_on_the_page_is_folded_in_the_notebook():
    tags = ["hide-input", "hide-output", "hide-cell", "solution", "needs-torch"]
    cells = [new_code_cell("1", metadata={"tags": [tag]}) for tag in tags]
    plain = plain_notebook(new_notebook(cells=cells), translator(), "Install.")
    both = {"source_hidden": True, "outputs_hidden": True}
    found = [cell.metadata.get("jupyter") for cell in plain.cells[1:]]
    assert found == [{"source_hidden": True}, {"outputs_hidden": True}, both, both, None]


@pytest.mark.parametrize("repository", ["", REPOSITORY])
def test_the_first_cell_says_in_one_line_how_to_get_lossbook(repository):
    plain = plain_notebook(new_notebook(), translator(), opening_line(repository))
    (line,) = plain.cells[0].source.splitlines()
    assert "%pip install" in line
    assert "Colab" in line
    assert repository in line


# A small book -------------------------------------------------------------------------------------

CONF = f"""
import sys
sys.path.insert(0, {str(TOOLS)!r})
import light
extensions = ["myst_nb", "sphinx_exercise", "sphinxcontrib.bibtex", "book_download"]
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
bibtex_bibfiles = ["references.bib"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"use_download_button": True}}
html_sourcelink_suffix = ""
nb_execution_mode = "off"
numfig = True
"""
INDEX = """# A book

{{ run_online }}

```{toctree}
:numbered:
part/one
part/two
references
```
"""
REFERENCES = "# References\n\n```{bibliography}\n```\n"
BIB = "@book{knuth1984, author={Donald Knuth}, title={Literate}, publisher={P}, year={1984}}\n"
TWO = "(ch-two)=\n# Two\n\n(sec-two)=\n## Of $x$\n\n```{math}\n:label: eq-two\n\nx = 1\n```\n"
ONE = [
    new_markdown_cell(
        "(ch-one)=\n# One\n\nSee {ref}`ch-two`, {ref}`it <sec-two>`, {doc}`two`, {eq}`eq-two`, "
        "{numref}`fig-a`, {ref}`ex-a`, {ref}`ch-one`, {cite:t}`knuth1984` and {cite:p}`knuth1984`: "
        "{glue:text}`answer`."
    ),
    new_code_cell(
        "plot()",
        metadata={
            "mystnb": {"figure": {"name": "fig-a", "caption": "As in {ref}`ch-two`."}},
            "tags": ["hide-input"],
        },
        outputs=[
            new_output("display_data", data={"text/html": "<b>figure</b>"}),
            new_output(
                "display_data",
                data={"application/papermill.record/text/plain": "'42'"},
                metadata={
                    "scrapbook": {
                        "name": "answer",
                        "mime_prefix": "application/papermill.record/",
                    }
                },
            ),
        ],
    ),
    new_markdown_cell(
        "```{exercise-start} Slopes\n:label: ex-a\n```\nDerive.\n```{exercise-end}\n```"
    ),
    new_markdown_cell("```{solution-start} ex-a\n:class: dropdown\n```"),
    new_markdown_cell("It is 1."),
    new_markdown_cell("```{solution-end}\n```"),
]
SAID = (
    "See [Two](../../part/two.html#ch-two), [it](../../part/two.html#sec-two), "
    "[Two](../../part/two.html), [(2.1)](../../part/two.html#equation-eq-two), "
    "[Fig. 1.1](#fig-a), [Exercise 1.1](#ex-a), [One](#ch-one), "
)


def build(folder, cells, **environment):
    """Build a small book that holds a notebook; its finished process and its output folder."""
    (folder / "part").mkdir(parents=True)
    files = {"conf.py": CONF, "index.md": INDEX, "references.md": REFERENCES, "references.bib": BIB}
    for name, text in {**files, "part/two.md": TWO}.items():
        (folder / name).write_text(text)
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), folder / "part" / "one.ipynb")
    command = [sys.executable, "-m", "sphinx", "-nWqb", "html", folder, folder / "html"]
    variables = {name: value for name, value in os.environ.items() if name != "REPOSITORY_URL"}
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env=variables | environment
    )
    return finished, folder / "html"


METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


@pytest.fixture(scope="module")
def small_book(tmp_path_factory):
    finished, html = build(tmp_path_factory.mktemp("plain"), ONE)
    assert finished.returncode == 0, finished.stderr
    return html


def test_the_download_button_serves_the_plain_notebook(small_book):
    page = (small_book / "part" / "one.html").read_text()
    assert 'href="../_sources/part/one.ipynb"' in page
    notebook = nbformat.read(small_book / "_sources" / "part" / "one.ipynb", as_version=4)
    nbformat.validate(notebook)
    _, text, code, caption, exercise, heading, solution = notebook.cells
    assert SAID in text.source
    cited = r"\[\[Knu84\]\(\.\./\.\./references\.html#id\d+\)\]"
    assert re.search(rf"Knuth {cited} and {cited}: 42\.$", text.source)
    assert [output.data["text/html"] for output in code.outputs] == ["<b>figure</b>"]
    assert caption.source == "*Fig. 1.1.* As in [Two](../../part/two.html#ch-two)."
    assert exercise.source == '<a id="ex-a"></a>\n\n### Exercise 1.1: Slopes\n\nDerive.'
    assert heading.source == "#### Solution of Exercise 1.1"
    assert heading.metadata["jp-MarkdownHeadingCollapsed"] is True
    assert solution.source == "It is 1."


def test_links_of_a_notebook_lead_to_pages_that_are_there(small_book):
    folder = small_book / "_sources" / "part"
    notebook = nbformat.read(folder / "one.ipynb", as_version=4)
    links = re.findall(r"\]\(([^)#]+\.html)", "".join(cell.source for cell in notebook.cells))
    assert len(links) >= 5
    for link in links:
        assert (folder / link).exists(), link


def test_the_page_is_the_same_as_without_the_notebook(small_book):
    page = (small_book / "part" / "one.html").read_text()
    assert "role_source" not in page
    assert '<a class="reference internal" href="two.html#ch-two">' in page


def test_without_a_repository_no_page_leads_to_it(small_book):
    for page in small_book.rglob("*.html"):
        assert not [host for host in HOSTS[:2] if host in page.read_text()], page
    assert "rocket" not in (small_book / "index.html").read_text()


def test_a_repository_brings_its_buttons(tmp_path):
    finished, html = build(tmp_path, ONE, REPOSITORY_URL=REPOSITORY)
    assert finished.returncode == 0, finished.stderr
    page = (html / "part" / "one.html").read_text()
    for address in (
        "https://colab.research.google.com/github/somebody/losses/blob/main/part/one.ipynb",
        "https://mybinder.org/v2/gh/somebody/losses/main?urlpath=lab/tree/part/one.ipynb",
        f'href="{REPOSITORY}"',
        f"{REPOSITORY}/issues/new",
        f"{REPOSITORY}/blob/main/part/one.ipynb",
    ):
        assert address in page, address
    opening = (html / "index.html").read_text()
    assert "click the rocket" in opening
    assert f"git+{REPOSITORY}" in opening
    notebook = nbformat.read(html / "_sources" / "part" / "one.ipynb", as_version=4)
    assert f"git+{REPOSITORY}" in notebook.cells[0].source


def test_a_role_without_a_plain_form_fails_the_build_until_it_is_mended(tmp_path):
    finished, html = build(tmp_path, [new_markdown_cell("# One\n\n{kbd}`a`")])
    assert finished.returncode != 0
    assert "no plain form of {kbd}`a`" in finished.stderr
    assert not (html / "part" / "one.html").exists()
