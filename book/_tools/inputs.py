"""One digest for a set of input files: says whether something built from them is still current."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What the built pages are made from.
PAGES = ("book", "lossbook", "_config.yml", "_toc.yml", "requirements.txt")


def files_below(names: Iterable[str], root: Path = ROOT) -> list[Path]:
    """The files named, and those below the folders named, without what Python and Jupyter leave."""
    found = []
    for name in names:
        path = root / name
        candidates = [path] if path.is_file() else path.rglob("*")
        found += [
            file
            for file in candidates
            if file.is_file()
            and not {"__pycache__", ".ipynb_checkpoints"} & set(file.parts)
            and file.suffix != ".pyc"
        ]
    return sorted(found)


def digest(names: Iterable[str], root: Path = ROOT) -> str:
    """SHA-256 over the paths and contents of `files_below(names, root)`."""
    whole = hashlib.sha256()
    for file in files_below(names, root):
        whole.update(file.relative_to(root).as_posix().encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()
