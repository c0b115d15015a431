"""What every study shares: how its runs are made, stored, and found to be stale."""

from __future__ import annotations

import json
import zlib
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path

import torch
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from lossbook.experiments.trial import TOLERANCE, difference, trial_conditions
from lossbook.extras import extra
from lossbook.train.store import write_atomically

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "book" / "results"
UNFINISHED = ROOT / "_build" / "experiments"
#: How joblib makes runs on this machine. One run a core is quicker than one run on all cores, and
#: rounds alike however many there are.
HERE = {"backend": "loky", "n_jobs": -1, "inner_max_num_threads": 1}


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
        raise FileNotFoundError(
            f"{path} is missing; make it with python -m lossbook.experiments run {name}"
        )
    return json.loads(path.read_text())


def make_trial(name):
    """The trial of a study with the code as it stands, as JSON gives it back."""
    with trial_conditions():
        return json.loads(json.dumps(_module(name).trial()))


def completed(planned, done):
    """The runs that were planned, each with its results; None while one of them is missing.

    What the final runs of a study are may depend on its tuning runs, and only on all of them.

    Examples
    --------
    >>> done = [{"settings": {"lr": 0.1}, "results": {"score": 3}}]
    >>> completed([{"lr": 0.1}], done) == done, completed([{"lr": 0.1}, {"lr": 1.0}], done)
    (True, None)
    """
    found = [entry for entry in done if entry["settings"] in planned]
    finished = [entry["settings"] for entry in found]
    return found if all(settings in finished for settings in planned) else None


def is_current(name):
    """Whether the code as it stands computes what the stored results were computed with."""
    return _agree(load(name)["trial"], make_trial(name))


def record_trial(name):
    """Store the trial of the code as it stands beside the runs that are stored; make none."""
    stored = load(name)
    return _store(name, stored["versions"], make_trial(name), stored["runs"])


def perform(name, *, dask=None):
    """Run a study and store it; a study that was stopped goes on where it was.

    Parameters
    ----------
    dask : the address of the scheduler of a Dask cluster, whose workers then make the runs, and
        make again those of a worker that is lost; if none is given, each core here makes one

    Raises
    ------
    OSError
        If nothing answers at the address.
    RuntimeError
        If the cluster has no worker, or one with other versions or another package than this one.
    """
    study = _module(name)
    versions, trial = _versions(), make_trial(name)
    journal = _journal(name, versions, trial)
    # A line without its end was being written when the study was stopped: that run is made again.
    heading, *lines = (s for s in journal.read_text().splitlines(True) if s.endswith("\n"))
    write_atomically(journal, "".join([heading, *lines]).encode())
    done = [json.loads(line) for line in lines]
    with _workers(dask), tqdm(desc=name, unit="run", initial=len(done)) as bar:
        while planned := [s for s in study.plan(done) if s not in [d["settings"] for d in done]]:
            bar.total = len(done) + len(planned)
            bar.refresh()
            # One by one, so that each run is in the journal as soon as it has ended.
            parallel = Parallel(return_as="generator_unordered", batch_size=1)
            runs = parallel(delayed(_on_one_thread)(study.run, settings) for settings in planned)
            for settings, results in runs:
                entry = {"settings": settings, "results": results}
                with journal.open("a") as file:
                    file.write(json.dumps(entry) + "\n")
                done.append(entry)
                bar.update()
    # The journal may also hold runs that an earlier plan asked for.
    planned = study.plan(done)
    return _store(name, versions, trial, [e for e in done if e["settings"] in planned])


@contextmanager
def _workers(dask):
    """Let joblib make its runs on the cores of this machine, or on the workers of a cluster."""
    if dask is None:
        with parallel_config(**HERE):
            yield
        return
    with extra("experiments"):
        from distributed import Client
    with Client(dask, timeout="10 s") as client:
        _check_workers(client.run(_installed), _installed())
        with parallel_config("dask", n_jobs=-1):
            yield


def _check_workers(theirs, ours):
    """Refuse workers whose runs would not be those of this machine."""
    if not theirs:
        raise RuntimeError("the Dask cluster has no worker; start some with: dask worker ADDRESS")
    for worker, installed in theirs.items():
        for package, version in ours.items():
            if installed.get(package) != version:
                raise RuntimeError(
                    f"the Dask worker {worker} has {package} {installed.get(package)}, and this "
                    f"machine {version}; install the same there"
                )


def _versions():
    return {package: metadata.version(package) for package in ("numpy", "torch")}


def _installed():
    """What decides the results of a run: the versions of the libraries, and this package's text."""
    checksum = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        checksum = zlib.crc32(path.read_bytes(), checksum)
    return _versions() | {"lossbook": f"with CRC-32 {checksum:08x}"}


def _on_one_thread(run, settings):
    torch.set_num_threads(1)
    return settings, run(settings)


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


def _module(name):
    return import_module(f"lossbook.experiments.{name}")
