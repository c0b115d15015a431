"""Sphinx extension: writes the loss atlas and the table of names, which book/back includes.

Their text comes from the cards and from `lossbook.names`, through `lossbook.display`. A file is
written only when its text changes, so that an unchanged page is not built again.
"""

from pathlib import Path

from sphinx.application import Sphinx


def write_pages(app: Sphinx) -> None:
    """Write the sections of all losses, and those of all names."""
    from lossbook.display import atlas_markdown, names_markdown

    files = sorted(Path(app.srcdir, "book").glob("part*/[0-9][0-9]-*.ipynb"))
    chapters = {
        int(file.name[:2]): f"{{doc}}`/{file.relative_to(app.srcdir).with_suffix('').as_posix()}`"
        for file in files
    }
    folder = Path(app.outdir).parent / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "loss-atlas.md": atlas_markdown(chapters),
        "loss-names.md": names_markdown(chapters),
    }
    for name, text in texts.items():
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
