"""Sphinx extension: a chapter is run again when anything its outputs are computed from changes.

jupyter-cache notices changes of the cells alone. Keeping one cache per digest of the package, of
the stored results and of the pinned environment makes it notice those too. Which data set the
chapters train on depends on two environment variables, so that they are part of the key.
"""

import hashlib
import os
from pathlib import Path

from inputs import COMPUTATION, digest
from sphinx.application import Sphinx


def choose_cache(app: Sphinx, config) -> None:
    """Name the folder of the execution cache."""
    settings = [os.environ.get(name, "") for name in ("LOSSBOOK_DATA", "LOSSBOOK_OFFLINE")]
    key = hashlib.sha256(repr([digest(COMPUTATION), *settings]).encode()).hexdigest()[:16]
    config.nb_execution_cache_path = str(Path(app.outdir).parent / "executed" / key)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("config-inited", choose_cache)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
