"""Chapters 1 to 6 run without torch: the cells that are about it, tagged `needs-torch`, say so."""

import copy
import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
from execution import execute  # noqa: E402
from notebooks import normalised  # noqa: E402

CHAPTERS = sorted((ROOT / "book").glob("part*/0[1-6]-*.ipynb"))
MISSING = "torch is not installed"
BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
"""
# What `check_gradient` says of its third witness, in plain text and in a table.
WITNESS = re.compile(
    r"(automatic differentiation(?:  | \| ))(?:error|not available: )[^\\|]*?(?= \||\\n|\")"
)


@pytest.fixture
def without_torch(tmp_path, monkeypatch):
    """Kernels started in the test cannot import torch."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))


def text_of(outputs) -> str:
    return json.dumps(outputs, sort_keys=True)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_without_torch(path, without_torch):
    committed = nbformat.read(path, as_version=4)
    run = copy.deepcopy(committed)
    execute(run, path.parent, narrow_too=False)
    for before, after in zip(committed.cells, normalised(run).cells, strict=True):
        if before.cell_type != "code":
            continue
        expected, found = text_of(before.outputs), text_of(after.outputs)
        if "needs-torch" in before.metadata.get("tags", []):
            assert MISSING in found, before.id
        else:
            expected = WITNESS.sub(rf"\1not available: {MISSING}", expected)
            assert found == expected, before.id
