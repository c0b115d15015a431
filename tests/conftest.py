"""Settings that every test runs under. Kernels and subprocesses inherit them."""

import os

from hypothesis import settings

# No test downloads data: loaders use what is on disk, or the packaged sample.
os.environ["LOSSBOOK_OFFLINE"] = "1"

# Two test processes share the machine. One thread each is fastest then, and sums are taken in the
# order in which the stored outputs of the notebooks were computed, whatever the number of cores.
os.environ["OMP_NUM_THREADS"] = "1"

# A chapter may load torch before it loads lossbook, which is then too late to ask for threads that
# sleep while they wait. Its kernel inherits what is asked for here.
import lossbook  # noqa: F401

# The same examples in every run, however long a busy machine takes for one.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")

# Files of tests that run chapters, small books, or other tests.
RUNS = {"test_without_torch.py", "test_build.py", "test_adding_a_loss.py", "test_student.py"}


def pytest_configure(config):
    """Let files be handed out in the order below, not by their numbers of tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """The notebooks come first, from the last to the first: their runs are what pages are made of.

    Then what takes long: one file of the site, which has the book built, and RUNS meanwhile. The
    other files of the site find it built.
    """
    tests = [item for item in items if item.path.suffix != ".ipynb"]
    site = [item for item in tests if item.path.parent.name == "site"]
    builds = [item for item in site if item.path.name == "test_site.py"]
    runs = [item for item in tests if item.path.name in RUNS]
    rest = [item for item in tests if item not in {*site, *runs}]
    files = {}
    for item in items:
        if item.path.suffix == ".ipynb":
            files.setdefault(item.path, []).append(item)
    notebooks = [cell for path in sorted(files, reverse=True) for cell in files[path]]
    site = [item for item in site if item not in builds]
    items[:] = [*notebooks, *builds, *runs, *site, *rest]
