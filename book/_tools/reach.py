"""What the outputs of a chapter are computed from: one key, which changes with any of it.

These are its code cells, the modules of the package that they reach by imports, however far, the
stored results they name, the installed versions, and which MNIST there is. Modules and results
count with their whole text, docstrings and comments included, for a chapter may show it. An import
counts wherever it stands, inside functions too; one whose name is computed is not seen.
"""

import ast
import hashlib
import importlib.util
import platform
import re
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from inputs import ROOT, digest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

PACKAGE = "lossbook"
RESULTS = "book/results"
# The module that finds a data set from outside the project.
MNIST = "lossbook/data/mnist.py"


def module_file(name: str, root: Path) -> Path | None:
    """The file of the package's module `name`, None where there is no such module."""
    path = root.joinpath(*name.split("."))
    found = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in found if file.is_file()), None)


def imported_names(source: str, package: str = "") -> set[str]:
    """The dotted names that `source`, a module of `package`, imports from this package."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            origin = importlib.util.resolve_name(relative, package)
            # What is imported may itself be a module.
            found |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] == PACKAGE}


@cache
def imports_of(file: Path, root: Path) -> frozenset[Path]:
    """The files that importing `file` of the package runs first."""
    package = ".".join(file.relative_to(root).parent.parts)
    return files_of(imported_names(file.read_text(encoding="utf-8"), package), root)


def files_of(names: set[str], root: Path) -> frozenset[Path]:
    """The files that importing modules of these names runs: their packages come with them."""
    parts = [name.split(".") for name in names]
    whole = {".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)}
    return frozenset(filter(None, (module_file(name, root) for name in whole)))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that are run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parses(source: str) -> bool:
    """Whether `source` is Python; a cell may show what is not."""
    with suppress(SyntaxError):
        ast.parse(source)
        return True
    return False


def files_reached(notebook: NotebookNode, root: Path = ROOT) -> list[str]:
    """The modules and stored results that the chapter uses, as paths below `root`."""
    cells = [TransformerManager().transform_cell(cell.source) for cell in code_cells(notebook)]
    reached, ahead = set(), files_of(set().union(*map(imported_names, filter(parses, cells))), root)
    while ahead:
        reached |= ahead
        ahead = frozenset().union(*(imports_of(file, root) for file in ahead)) - reached
    words = set(re.findall(r"\w+", "\n".join(cells)))
    reached |= {file for file in (root / RESULTS).glob("*") if file.stem in words}
    return sorted(file.relative_to(root).as_posix() for file in reached)


@cache
def environment(root: Path = ROOT) -> tuple[str, ...]:
    """Python and the installed packages among those that the project asks for."""
    requirements = (root / "requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^[\w.-]+", requirements, re.MULTILINE)
    found = {dist.name.lower().replace("_", "-"): dist.version for dist in metadata.distributions()}
    wanted = sorted({name.lower().replace("_", "-") for name in names} & found.keys())
    return platform.python_version(), *(f"{name}=={found[name]}" for name in wanted)


@cache
def mnist_source() -> str:
    """Which MNIST the chapters are going to find; it is downloaded here, once for all, if need be.

    What the environment variables lead to counts, not how they are written: tests forbid downloads,
    and find what was downloaded before.
    """
    from lossbook.data import resolve_source

    return resolve_source()


def key(notebook: NotebookNode, root: Path = ROOT) -> str:
    """A digest of all that the outputs of a chapter are computed from."""
    cells = [(cell.source, cell.metadata.get("tags", [])) for cell in code_cells(notebook)]
    files = files_reached(notebook, root)
    data = mnist_source() if MNIST in files else ""
    whole = repr((cells, digest(files, root), environment(root), data))
    return hashlib.sha256(whole.encode()).hexdigest()
