"""Sphinx extension: where a narrow screen stacks the cells of a table, they have names.

A derivation is too wide for a telephone. book.css stacks its cells there and shows the name of the
column in each, which is put into the cells here; on a wide screen the header says it.
"""

from docutils import nodes
from sphinx.application import Sphinx

# A column of a derivation whose cells need no name: a formula is what it is.
UNNAMED = "Expression"
DERIVATION = ["Line", UNNAMED, "Because", "Check"]


def name_cells(app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Put names of columns into the cells of derivations."""
    if app.builder.format != "html":
        return
    for table in doctree.findall(nodes.table):
        head, body = next(table.findall(nodes.thead), None), next(table.findall(nodes.tbody))
        names = [entry.astext() for entry in head.findall(nodes.entry)] if head else []
        if names != DERIVATION:
            continue
        table["classes"].append("derivation")
        for row in body.findall(nodes.row):
            for name, entry in zip(names, row.findall(nodes.entry), strict=True):
                if name != UNNAMED and entry.astext().strip():
                    label = nodes.inline("", f"{name} ", classes=["cell-name"])
                    entry[0].insert(0, label)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("doctree-resolved", name_cells)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
