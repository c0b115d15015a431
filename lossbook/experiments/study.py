"""What every study shares: the fingerprint of its code, and how its results are stored."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import textwrap
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module, metadata
from pathlib import Path

import torch
from tqdm import tqdm

from lossbook.train import write_atomically

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "book" / "results"
UNFINISHED = ROOT / "_build" / "experiments"


def fingerprint(objects):
    """A hash of what the code of some modules, classes and functions does.

    Comments, docstrings and layout do not count: changing them leaves every result what it was.

    Examples
    --------
    >>> fingerprint([fingerprint]) == fingerprint([fingerprint, load])
    False
    """
    digest = hashlib.sha256()
    for thing in objects:
        tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                del body[0]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


def load(name):
    """The stored study called `name`: a dict with ``code``, ``versions`` and ``runs``.

    Each run is a dict of its ``settings`` and ``results``.

    Raises
    ------
    FileNotFoundError
        If it was never run; the message says how to.
    """
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; make it with python -m lossbook.experiments")
    return json.loads(path.read_text())


def is_current(name):
    """Whether the stored results of a study were made by the code as it stands."""
    return load(name)["code"] == _code(_module(name))


def perform(name):
    """Run a study and store it; a study that was stopped goes on where it was."""
    study = _module(name)
    code = _code(study)
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    journal = UNFINISHED / f"{name}-{code}.jsonl"
    journal.touch()
    # A line without its end was being written when the study was stopped: that run is made again.
    lines = [line for line in journal.read_text().splitlines(True) if line.endswith("\n")]
    write_atomically(journal, "".join(lines).encode())
    done = [json.loads(line) for line in lines]
    with tqdm(desc=name, unit="run", initial=len(done)) as bar:
        while planned := [s for s in study.plan(done) if s not in [d["settings"] for d in done]]:
            bar.total = len(done) + len(planned)
            bar.refresh()
            pool = ProcessPoolExecutor(os.cpu_count(), initializer=_use_one_thread)
            try:
                runs = {pool.submit(study.run, settings): settings for settings in planned}
                for future in as_completed(runs):
                    entry = {"settings": runs[future], "results": future.result()}
                    with journal.open("a") as file:
                        file.write(json.dumps(entry) + "\n")
                    done.append(entry)
                    bar.update()
            finally:
                # After a failure nobody would collect what the runs still waiting bring.
                pool.shutdown(cancel_futures=True)
    versions = {package: metadata.version(package) for package in ("numpy", "torch")}
    # Runs end in any order; sorted, the same study writes the same file. The journal may also hold
    # runs that an earlier plan asked for.
    planned = study.plan(done)
    kept = [entry for entry in done if entry["settings"] in planned]
    runs = ",\n".join(sorted(json.dumps(entry) for entry in kept))
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = (
        f'{{"study": "{name}", "code": "{code}", "versions": {json.dumps(versions)}, '
        f'"runs": [\n{runs}\n]}}\n'
    )
    write_atomically(path, text.encode())
    return path


def _code(study):
    return fingerprint((*study.CODE, study.run))


def _use_one_thread():
    # One run a core is quicker than one run on all, and rounds alike however many cores there are.
    torch.set_num_threads(1)


def _module(name):
    return import_module(f"lossbook.experiments.{name}")


def _is_docstring(node):
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
