"""What every study shares: how its runs are made, stored, and found to be stale."""

from __future__ import annotations

import json
import os
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module, metadata
from pathlib import Path

import torch
from tqdm import tqdm

from lossbook.experiments.trial import TOLERANCE, difference, trial_conditions
from lossbook.train.store import write_atomically

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "book" / "results"
UNFINISHED = ROOT / "_build" / "experiments"


def load(name):
    """The stored study called `name`: a dict with ``versions``, ``trial`` and ``runs``.

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


def make_trial(name):
    """The trial of a study with the code as it stands, as JSON gives it back."""
    with trial_conditions():
        return json.loads(json.dumps(_module(name).trial()))


def is_current(name):
    """Whether the code as it stands computes what the stored results were computed with."""
    return _agree(load(name)["trial"], make_trial(name))


def record_trial(name):
    """Store the trial of the code as it stands beside the runs that are stored; make none."""
    stored = load(name)
    return _store(name, stored["versions"], make_trial(name), stored["runs"])


def perform(name):
    """Run a study and store it; a study that was stopped goes on where it was."""
    study = _module(name)
    versions = {package: metadata.version(package) for package in ("numpy", "torch")}
    # Made in a process of its own: this one is going to be forked, and torch bears that only as
    # long as it has not been at work.
    with _pool() as pool:
        trial = pool.submit(make_trial, name).result()
    journal = _journal(name, versions, trial)
    # A line without its end was being written when the study was stopped: that run is made again.
    heading, *lines = (s for s in journal.read_text().splitlines(True) if s.endswith("\n"))
    write_atomically(journal, "".join([heading, *lines]).encode())
    done = [json.loads(line) for line in lines]
    with tqdm(desc=name, unit="run", initial=len(done)) as bar:
        while planned := [s for s in study.plan(done) if s not in [d["settings"] for d in done]]:
            bar.total = len(done) + len(planned)
            bar.refresh()
            pool = _pool()
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
    # The journal may also hold runs that an earlier plan asked for.
    planned = study.plan(done)
    return _store(name, versions, trial, [e for e in done if e["settings"] in planned])


def _journal(name, versions, trial):
    """The journal of runs that were made with these numerics, a new one if there is none."""
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    for journal in sorted(UNFINISHED.glob(f"{name}-*.jsonl")):
        heading = json.loads(journal.read_text().partition("\n")[0])
        if heading["versions"] == versions and _agree(heading["trial"], trial):
            return journal
    heading = (json.dumps({"versions": versions, "trial": trial}) + "\n").encode()
    journal = UNFINISHED / f"{name}-{zlib.crc32(heading):08x}.jsonl"
    write_atomically(journal, heading)
    return journal


def _store(name, versions, trial, runs):
    # Runs end in any order; sorted, the same study writes the same file.
    lines = ",\n".join(sorted(map(json.dumps, runs)))
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = (
        f'{{"study": "{name}", "versions": {json.dumps(versions)},\n'
        f'"trial": {json.dumps(trial)},\n"runs": [\n{lines}\n]}}\n'
    )
    write_atomically(path, text.encode())
    return path


def _agree(one, other):
    return difference(one, other) <= TOLERANCE


def _pool():
    return ProcessPoolExecutor(os.cpu_count(), initializer=_use_one_thread)


def _use_one_thread():
    # One run a core is quicker than one run on all, and rounds alike however many cores there are.
    torch.set_num_threads(1)


def _module(name):
    return import_module(f"lossbook.experiments.{name}")
