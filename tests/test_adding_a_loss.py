"""A loss is added by functions, card, case and chapter, each in one file, and by nothing else.

The two losses of chapter 14 are written into a copy of the project: their functions and cards are
the cells that the chapter runs, their cases the text that it shows. They must then be found
wherever losses are, and the tests of the copy must pass them and their chapter; and they must say
what is missing where one part is left out.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
BATTERY = [
    "test_losses.py",
    "test_losses_input.py",
    "test_loss.py",
    "test_cards.py",
    "test_conventions.py",
]

CHAPTER = "book/part4/14-choosing-combining-writing"
LOSSES = ("expectile", "linex")


def cells(*ids):
    """The code of these cells of chapter 14, as it stands there."""
    notebook = nbformat.read(ROOT / f"{CHAPTER}.ipynb", as_version=4)
    sources = {cell.id: cell.source for cell in notebook.cells}
    return "\n\n\n".join(sources[name] for name in ids)


def cases():
    """The cases, which the chapter shows as text: only tests can run them."""
    return re.findall(r"```python\n(.*?)```", cells("case"), re.DOTALL)


PUBLIC = "__all__ += [" + ", ".join(f'"{name}", "{name}_grad"' for name in LOSSES) + "]"
FUNCTIONS = [
    PUBLIC,
    cells("expectile-functions", "expectile-gradient", "linex-function", "linex-gradient"),
]
CARD = [
    cells("expectile-formula", "linex-formula"),
    cells("linex-words", "linex-card", "expectile-card"),
    "CARDS |= {" + ", ".join(f'"{name}": {name}_card' for name in LOSSES) + "}",
]
CASE = ["from cases.claims import STABLE, both, failure_of", *cases()]

PARTS = {
    "functions": ("lossbook/losses/regression.py", FUNCTIONS),
    "card": ("lossbook/cards/regression.py", CARD),
    "case": ("tests/cases/regression.py", CASE),
}

LOOK = """
import numpy as np
import lossbook, lossbook.display, lossbook.torch
from lossbook import LOSSES, expectile, expectile_grad, linex, linex_grad
from lossbook.cards import CARDS
from lossbook.gradcheck import check_gradient

print(lossbook.__file__)
two = np.array([2.0]), np.array([0.0])
assert expectile(*two, level=0.75) == 1.0 and expectile_grad(*two, level=0.75) == 1.0
assert np.isclose(linex(*two), np.exp(2) - 3) and np.isclose(linex_grad(*two), np.exp(2) - 1)
atlas = lossbook.display.atlas_markdown({14: "the chapter on choosing"})
for name, title, option in (
    ("expectile", "Expectile loss", "level=0.5"), ("linex", "LINEX loss", "rate=1.0")
):
    assert {name, f"{name}_grad"} <= set(lossbook.__all__)
    assert LOSSES[name].card is CARDS[name]
    assert f"(loss-{name})=" in atlas
    call = f"{name}(prediction, target, /, *, {option})"
    assert f"{call}`, derived in the chapter on choosing" in atlas
    assert f"**{title}**, in this book" in lossbook.display.rosetta("regression").text
    card = lossbook.display.loss_card(name).text
    assert card.startswith(f"**{title}**: `lossbook.{call}")
    assert check_gradient(name).passed
    assert repr(lossbook.torch.as_torch(name)).startswith(f"Criterion({name}")
"""


@pytest.fixture
def copied(tmp_path):
    """Copies the project, with these parts of the chapter's losses written into it."""

    def copy(*parts):
        generated = shutil.ignore_patterns("__pycache__")
        for folder in ("lossbook", "tests", "book"):
            shutil.copytree(ROOT / folder, tmp_path / folder, ignore=generated)
        for file in ("pyproject.toml", "_toc.yml"):
            shutil.copy(ROOT / file, tmp_path)
        for part in parts:
            name, texts = PARTS[part]
            with (tmp_path / name).open("a") as file:
                file.write("\n\n\n".join(["", *texts, ""]))
        return tmp_path

    return copy


def run(root, *arguments):
    """Run Python on the copy: whether it succeeded, and what it said."""
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'book' / '_tools'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return finished.returncode == 0, finished.stdout


def run_tests(root, *arguments):
    """Run tests of the copy. `light`, loaded before nbval, lets that start faster."""
    options = ["-q", "-p", "light", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return run(root, "-m", "pytest", *options, *arguments)


def run_battery(root, *files):
    return run_tests(root, "-k", " or ".join(LOSSES), *(f"tests/{file}" for file in files))


def test_functions_cards_and_cases_are_all_it_takes(copied):
    root = copied("functions", "card", "case")
    found, said = run(root, "-c", LOOK)
    assert found, said
    assert said.strip() == str(root / "lossbook" / "__init__.py")
    passed, said = run_battery(root, *BATTERY)
    assert passed, said


def chapter_passes(root):
    rules = "losses_of_the_chapter"
    return run_tests(root, "-k", f"14- and {rules}", "tests/test_chapters.py")


def test_the_chapter_shows_and_derives_them(copied):
    root = copied("functions", "card", "case")
    passed, said = chapter_passes(root)
    assert passed, said
    assert "2 passed" in said, said
    notebook = root / f"{CHAPTER}.ipynb"
    text = notebook.read_text()
    spoilt = text.replace('check_derivation(\\"linex\\"', 'check_derivation(\\"huber\\"')
    assert spoilt != text
    notebook.write_text(spoilt.replace('loss_card(\\"expectile', 'loss_card(\\"huber'))
    passed, said = chapter_passes(root)
    assert not passed
    assert "no derivation of linex is held to its card" in said, said
    assert "no loss card of expectile" in said, said


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (
            ("functions", "card"),
            "expectile has no case: what the tests must know of it belongs in "
            "tests/cases/regression.py",
        ),
        (
            ("functions", "case"),
            "expectile has no card: what is said of it belongs in lossbook/cards/regression.py",
        ),
    ],
)
def test_what_is_left_out_is_said(copied, parts, says):
    passed, said = run_battery(copied(*parts), "test_losses.py", "test_cards.py")
    assert not passed
    assert says in said, said


def test_a_card_or_a_case_of_no_loss_is_refused(copied):
    tests = [
        "tests/test_cards.py::test_every_card_is_that_of_a_loss",
        "tests/test_losses.py::test_every_case_is_that_of_a_loss",
    ]
    passed, said = run_tests(copied("card", "case"), *tests)
    assert not passed
    assert "2 failed" in said
    # Once for each; where the whole report is shown, as in CI, once more in its summary.
    assert said.count("assert ['expectile', 'linex'] == []") >= 2, said
