"""Sphinx extension: where a narrow screen stacks the cells of a table, they have names.

A derivation is too wide for a telephone, and so is the table of a loss in other libraries. book.css
stacks their cells there and shows the name of the column in each, which is put into the cells here;
on a wide screen the header says it.
"""

from docutils import nodes
from sphinx.application import Sphinx

# The first two columns of each kind of table. What stands in the first needs no name.
STACKED = (["Expression", "Because"], ["library", "call"])


def name_cells(app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Put names of columns into the cells of tables that are stacked."""
    if app.builder.format != "html":
        return
    for table in doctree.findall(nodes.table):
        head, body = next(table.findall(nodes.thead), None), next(table.findall(nodes.tbody))
        names = [entry.astext() for entry in head.findall(nodes.entry)] if head else []
        if names[:2] not in STACKED:
            continue
        table["classes"].append("stacked")
        for row in body.findall(nodes.row):
            for name, entry in list(zip(names, row.findall(nodes.entry), strict=True))[1:]:
                if entry.astext().strip():
                    label = nodes.inline("", f"{name} ", classes=["cell-name"])
                    entry[0].insert(0, label)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("doctree-resolved", name_cells)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
