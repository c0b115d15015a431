"""Sphinx extension: what stands far below a page's top is laid out when the reader comes near.

A chapter has twenty thousand elements, most of them parts of formulas, and a telephone would lay
them all out before it shows the first line. The sections behind the first screens get a class here
whose blocks book.css lets browsers skip; links into them, searching and printing work as ever.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# Characters above the first section that waits: more than a large window holds.
AT_ONCE = 6000
LATER = "later"  # book.css names the same class
# What a figure or a formula takes of the screen, in characters of text.
HEIGHTS = {nodes.image: 700, nodes.math_block: 150}
# As a page opens the theme asks each of these boxes whether it scrolls, which lays out all of them.
# boxes.js asks those that are laid out.
BOXES_OF_THEME = r'\["pre",[^\]]*\]\.join\(", "\)'
THEME_SCRIPT = Path("_static") / "scripts" / "pydata-sphinx-theme.js"
NOTHING = '":not(*)"'  # a selector


def mark_later_sections(app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Give the sections that begin far below the top their class."""
    above = 0
    for node in doctree.findall():
        if isinstance(node, nodes.section) and above > AT_ONCE:
            node["classes"].append(LATER)
        elif isinstance(node, nodes.Text):
            above += len(node)
        else:
            above += HEIGHTS.get(type(node), 0)


def ask_less(app: Sphinx, exception: Exception | None) -> None:
    """Let the theme's script ask no box whether it scrolls."""
    if exception is not None or app.builder.format != "html":
        return
    script = Path(app.outdir) / THEME_SCRIPT
    text, found = re.subn(BOXES_OF_THEME, NOTHING, script.read_text(encoding="utf-8"))
    if found != 1 and NOTHING not in text:
        raise ExtensionError(f"{THEME_SCRIPT} no longer asks which boxes scroll: see {__file__}")
    script.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_js_file("boxes.js")
    app.connect("doctree-resolved", mark_later_sections)
    app.connect("build-finished", ask_less)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
