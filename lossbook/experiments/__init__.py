"""Studies over many seeds: one file each, run by ``python -m lossbook.experiments``.

A study is a module with three names: ``CODE``, the modules, classes and functions that its numbers
depend on besides ``run``; ``plan(done)``, which returns the settings of the next runs, given the
runs so far; and ``run(settings)``, which makes one run and returns what it measured. What is stored
in ``book/results`` is the settings, the results, the versions of the libraries, and the fingerprint
of the code, so that a test can tell when the stored numbers are stale.
"""

from lossbook.experiments.study import fingerprint, is_current, load

STUDIES = ("cnn_mnist",)

__all__ = ["STUDIES", "fingerprint", "is_current", "load"]
