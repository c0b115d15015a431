"""Fonts cut down to the characters the book uses."""

import logging
from pathlib import Path

from fontTools import subset

# It tells of every table that it cuts.
logging.getLogger(subset.__name__).setLevel(logging.WARNING)
logging.getLogger("fontTools").setLevel(logging.WARNING)


def save_subset(font: Path, characters: set[str], target: Path) -> None:
    """Write the glyphs of these characters, and those they grow into, as a web font."""
    options = subset.Options()
    options.flavor = "woff2"
    options.hinting = False
    # ssty: other shapes for indices; dtls: an i without its dot, for an accent.
    options.layout_features = ["ssty", "dtls", "flac", "ccmp"]
    with subset.load_font(str(font), options) as loaded:
        cut = subset.Subsetter(options)
        cut.populate(unicodes=map(ord, characters))
        cut.subset(loaded)
        target.parent.mkdir(parents=True, exist_ok=True)
        subset.save_font(loaded, str(target), options)
