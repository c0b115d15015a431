"""Chapter 14 is where a reader chooses: its page of questions leads to every loss and chapter."""

import re
from pathlib import Path

import nbformat

from lossbook import LOSSES

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = ROOT / "book" / "part4" / "14-choosing-combining-writing.ipynb"


def page():
    cells = nbformat.read(CHAPTER, as_version=4).cells
    (text,) = (cell.source for cell in cells if "(sec-14-questions)=" in cell.source)
    return text


def test_the_page_of_questions_links_the_card_of_every_loss():
    linked = re.findall(r"<loss-([\w-]+)>", page())
    assert {name.replace("_", "-") for name in LOSSES} == set(linked)
    assert len(linked) == len(set(linked))


def test_the_page_of_questions_links_every_chapter_that_derives_a_loss():
    linked = set(re.findall(r"<((?:ch|sec-\d\d)-[\w-]+)>", page()))
    numbers = {loss.card.chapter for loss in LOSSES.values()}
    for notebook in sorted((ROOT / "book").glob("part*/*.ipynb")):
        if int(notebook.name[:2]) in numbers:
            labels = set(re.findall(r"\(((?:ch|sec)-[\w-]+)\)=", notebook.read_text()))
            assert labels & linked, notebook.name
