"""Sphinx extension: a chapter shows the outputs that build.py stored when it ran it.

They are put into the notebook as Sphinx reads it, and Sphinx reads it again when they change.
"""

from pathlib import Path

import nbformat
from execution import stored, stored_path, with_outputs
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def show_outputs(app: Sphinx, docname: str, content: list[str]) -> None:
    """Exchange the outputs that are committed, which lack the figures, for those stored."""
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    executed = stored(path)
    if executed is None:
        raise ExtensionError(f"{path} was not run: build the book with book/_tools/build.py")
    app.env.note_dependency(str(stored_path(path)))
    notebook = nbformat.reads(content[0], as_version=4)
    content[0] = nbformat.writes(with_outputs(notebook, executed))


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("source-read", show_outputs)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
