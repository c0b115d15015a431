"""Sphinx extension: the script that would connect a page to a remote kernel is taken out."""

from sphinx.application import Sphinx

REMOTE_KERNEL_EXTENSION = "sphinx_thebe"


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
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
