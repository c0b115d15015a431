"""Sphinx extension: writes the loss atlas, which book/back/loss-atlas.md includes.

Its text comes from the cards, through `lossbook.display`. The file is written only when the
text changes, so that an unchanged atlas is not built again.
"""

from pathlib import Path

from sphinx.application import Sphinx


def write_atlas(app: Sphinx) -> None:
    """Write the sections of all losses."""
    from lossbook.display import atlas_markdown

    files = sorted(Path(app.srcdir, "book").glob("part*/[0-9][0-9]-*.ipynb"))
    chapters = {
        int(file.name[:2]): f"{{doc}}`/{file.relative_to(app.srcdir).with_suffix('').as_posix()}`"
        for file in files
    }
    target = Path(app.outdir).parent / "generated" / "loss-atlas.md"
    text = atlas_markdown(chapters)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("builder-inited", write_atlas)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
