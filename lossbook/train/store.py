"""What a run leaves on disk, written so that it can be stopped at any moment and resumed.

There are two checkpoints, the newest and the one before it: should the newest be damaged, or the
run be stopped just as the one takes the place of the other, the earlier one is gone on from.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from dataclasses import asdict
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save


class Store:
    """The folder that a run writes to, so that it can be stopped at any moment and resumed."""

    def __init__(self, folder, settings, images, labels, weights=None, processes=1):
        self.folder = Path(folder)
        # Made at once: a folder that cannot be written should not cost an epoch to find out.
        self.folder.mkdir(parents=True, exist_ok=True)
        checksum = zlib.crc32(labels.tobytes(), zlib.crc32(images.tobytes()))
        if weights is not None:
            checksum = zlib.crc32(weights.numpy().tobytes(), checksum)
        self.about = {
            **asdict(settings),
            "examples": len(labels),
            "data": f"CRC-32 {checksum:08x}",
            "processes": processes,
        }
        self.checkpoint = self.folder / "checkpoint.safetensors"
        self.previous = self.folder / "checkpoint.previous.safetensors"
        # Only a checkpoint known to be sound takes the place of the one before it.
        self.newest_is_sound = False
        self.metrics = self.folder / "metrics.jsonl"

    def save(self, network, state, history, seconds):
        """Write both files; the checkpoint last, so that it never runs ahead of the metrics."""
        progress = {"step": state.step, "history": history, "seconds": seconds}
        metadata = {"settings": json.dumps(self.about), "progress": json.dumps(progress)}
        tensors = {key: w.contiguous() for key, w in _tensors(network, state).items()}
        metadata["checksum"] = _checksum(tensors, metadata)
        lines = "".join(json.dumps(row) + "\n" for row in history)
        write_atomically(self.metrics, lines.encode())
        previous = self.previous if self.newest_is_sound else None
        write_atomically(self.checkpoint, save(tensors, metadata), previous)
        self.newest_is_sound = True

    def restore(self, network, state, resume):
        """The state, history and seconds to go on from; the network's weights are set in place."""
        there = [path for path in (self.checkpoint, self.previous) if os.path.lexists(path)]
        if not there:
            return state, [], 0.0
        if not resume:
            raise ValueError(
                f"{self.folder} already holds a run; resume it with --resume, or choose another "
                "folder"
            )
        about, progress, tensors = self._read(there)
        differing = [key for key in self.about if about.get(key) != self.about[key]]
        if differing:
            key = differing[0]
            raise ValueError(
                f"{self.folder} holds a run with {key}={about.get(key)!r}, "
                f"not {key}={self.about[key]!r}"
            )
        if tensors.keys() != _tensors(network, state).keys():
            raise ValueError(f"{self.folder} holds a run of another network or optimiser")
        with torch.no_grad():
            for key, weight in network.named_parameters():
                weight.copy_(tensors[f"network.{key}"])
        restored = {
            field: {key: tensors[f"{field}.{key}"] for key in value}
            for field, value in state._asdict().items()
            if field != "step"
        }
        state = state._replace(step=progress["step"], **restored)
        return state, progress["history"], progress["seconds"]

    def _read(self, paths):
        """What the first sound checkpoint holds; one line says so where it is not the newest."""
        faults = [] if self.checkpoint in paths else [f"{self.checkpoint} is missing"]
        for path in paths:
            try:
                content = _content(path)
            # What a reader makes of bytes that are out of place cannot be foreseen.
            except Exception as error:
                faults.append(f"{path} is damaged, or no checkpoint of this program ({error})")
                continue
            self.newest_is_sound = path == self.checkpoint
            if faults:
                print(f"{faults[0]}; going on from {path.name}", file=sys.stderr)
            return content
        remedy = " and ".join(path.name for path in paths)
        raise ValueError(f"{'; '.join(faults)}; delete {remedy} to start anew")


def _tensors(network, state):
    """All that a run computes with, by name: the network's weights and the optimiser's state."""
    tensors = {f"network.{key}": w.detach() for key, w in network.named_parameters()}
    for field, value in state._asdict().items():
        if field != "step":
            tensors |= {f"{field}.{key}": w for key, w in value.items()}
    return tensors


def _content(path):
    """Settings, progress and tensors of a checkpoint, or an error if it is not sound."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        # Copies: Windows cannot replace a file that a tensor still maps.
        tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - not a dict
    if metadata.keys() != {"settings", "progress", "checksum"}:
        raise ValueError("it does not say what run it is of")
    # The format has none of its own, and a changed digit in a weight would never be noticed.
    if metadata["checksum"] != _checksum(tensors, metadata):
        raise ValueError("its checksum is wrong")
    return json.loads(metadata["settings"]), json.loads(metadata["progress"]), tensors


def _checksum(tensors, metadata):
    """Of all that a checkpoint holds: names, types, shapes, numbers, settings and progress."""
    words = (metadata["settings"] + metadata["progress"]).encode()
    return f"CRC-32 {zlib.crc32(words, zlib.crc32(save(tensors))):08x}"


def write_atomically(path, data, previous=None):
    """Write bytes under a temporary name, then rename: a reader sees the old file or the new.

    The bytes are on the disk before the name is, so that it is so even where the power fails. Where
    `previous` is given, the old file is kept under that name.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if previous is not None:
        _rename(path, previous)
    _rename(temporary, path)


def _rename(path, target):
    os.replace(path, target)
    if hasattr(os, "O_DIRECTORY"):  # Windows has no handle of a folder.
        # Some file systems cannot write a folder out: it then lasts as well as they see to.
        with contextlib.suppress(OSError):
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
