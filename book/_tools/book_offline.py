"""Sphinx extension: no page of the book asks any other host for anything.

MathJax is one file, copied from an installed package. The script that would connect a page to a
remote kernel is taken out.
"""

import importlib.metadata
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

MATHJAX = "tex-svg-full.js"  # `mathjax_path` in _config.yml names the same file
REMOTE_KERNEL_EXTENSION = "sphinx_thebe"


def installed_mathjax() -> Path:
    """Where the package sphinx-mathjax-offline keeps the single-file MathJax."""
    for file in importlib.metadata.files("sphinx-mathjax-offline") or []:
        if file.name == MATHJAX:
            return Path(file.locate())
    raise ExtensionError(f"sphinx-mathjax-offline is installed without {MATHJAX}")


def copy_mathjax(app: Sphinx) -> None:
    """Put MathJax where the pages look for it."""
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(installed_mathjax(), static / MATHJAX)


def unplug_remote_kernel(app: Sphinx) -> None:
    """Take out what jupyter-book loads for remote kernels: it throws on every page of this book."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            listener
            for listener in listeners
            if listener.handler.__module__ != REMOTE_KERNEL_EXTENSION
        ]
    app.registry.css_files[:] = [
        (name, attributes)
        for name, attributes in app.registry.css_files
        if name != "sphinx-thebe.css"
    ]


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    unplug_remote_kernel(app)
    app.connect("builder-inited", copy_mathjax)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
