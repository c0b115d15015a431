"""Sphinx extension: figures are small files, keep their place as they load, and suit a telephone.

While the book is built a notebook's figure is two PNG files in one (see lossbook/display.py): one
for the column of text and, behind it, one for a narrow screen. Each becomes an image of few colours
and a page shows whichever fits. An image that is not in view at first is loaded when it comes near.
"""

import hashlib
import io
import re
from html import escape
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

from lossbook.display import NARROW_PIXELS

# Up to this width of the window a page shows the narrow rendering; book.css has the same number.
NARROW_WINDOW = 600
# Few enough for a small file, and enough for the shades of a line's edges and of translucent areas.
COLOURS = 32
END_OF_PNG = b"IEND\xaeB`\x82"
# What a caption that speaks of left and right adds where the panels are stacked.
STACKED = " On this narrow screen the panels stand below one another, the left one first."


def renderings(data: bytes) -> list[bytes]:
    """The PNG files that stand behind one another in `data`: the wide one first."""
    return [part + END_OF_PNG for part in data.split(END_OF_PNG) if part]


def reduced(png: bytes, widest: int | None = None) -> Image.Image:
    """The image in few colours, and no wider: a label may stick out of a figure by a little."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if widest and image.width > widest:
        image = image.resize((widest, round(image.height * widest / image.width)))
    return image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def stored(image: Image.Image, folder: Path) -> str:
    """Save an image under a name made of its contents; the name is returned."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    name = hashlib.sha256(file.getvalue()).hexdigest()[:16] + ".png"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(file.getvalue())
    return name


def note_on_stacking(node: nodes.Element) -> None:
    """Add to a figure's caption how its panels stand on a narrow screen."""
    for caption in node.parent.findall(nodes.caption):
        if re.search(r"\bLeft\b", caption.astext()):
            caption += nodes.inline("", STACKED, classes=["narrow-only"])


def size(image: Image.Image) -> str:
    """The size at which an image of twice the resolution is shown."""
    return f'width="{round(image.width / 2)}" height="{round(image.height / 2)}"'


def show_figures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace the PNG images of a page."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / app.builder.imagedir
    address = "../" * docname.count("/") + app.builder.imagedir + "/"
    for position, node in enumerate(list(doctree.findall(nodes.image))):
        file = Path(app.srcdir) / node["uri"]
        if file.suffix != ".png" or not file.exists():
            continue
        wide, *narrow = renderings(file.read_bytes())
        wide, narrow = reduced(wide), [reduced(png, 2 * NARROW_PIXELS) for png in narrow]
        if narrow:
            note_on_stacking(node)
        sources = "".join(
            f'<source media="(max-width: {NARROW_WINDOW}px)" '
            f'srcset="{address}{stored(image, folder)}" {size(image)}>'
            for image in narrow
        )
        # The first figure of a page may be in view.
        options = ' loading="lazy"' if position else ""
        if node["classes"]:
            options += f' class="{" ".join(node["classes"])}"'
        image = (
            f'<img src="{address}{stored(wide, folder)}" {size(wide)} '
            f'alt="{escape(node.get("alt", ""))}" decoding="async"{options}>'
        )
        node.replace_self(nodes.raw("", f"<picture>{sources}{image}</picture>", format="html"))


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("doctree-resolved", show_figures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
