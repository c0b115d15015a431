"""What a run leaves on disk, written so that it can be stopped at any moment and resumed."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save


class Store:
    """The folder that a run writes to, so that it can be stopped at any moment and resumed."""

    def __init__(self, folder, settings, images, labels):
        self.folder = Path(folder)
        # Made at once: a folder that cannot be written should not cost an epoch to find out.
        self.folder.mkdir(parents=True, exist_ok=True)
        checksum = zlib.crc32(labels.tobytes(), zlib.crc32(images.tobytes()))
        self.about = {
            **asdict(settings),
            "examples": len(labels),
            "data": f"CRC-32 {checksum:08x}",
        }
        self.checkpoint = self.folder / "checkpoint.safetensors"
        self.metrics = self.folder / "metrics.jsonl"

    def save(self, network, state, history, seconds):
        """Write both files; the checkpoint last, so that it never runs ahead of the metrics."""
        tensors = {f"network.{key}": w.detach() for key, w in network.named_parameters()}
        for field, value in state._asdict().items():
            if field != "step":
                tensors |= {f"{field}.{key}": w for key, w in value.items()}
        progress = {"step": state.step, "history": history, "seconds": seconds}
        metadata = {"settings": json.dumps(self.about), "progress": json.dumps(progress)}
        lines = "".join(json.dumps(row) + "\n" for row in history)
        write_atomically(self.metrics, lines.encode())
        tensors = {key: w.contiguous() for key, w in tensors.items()}
        write_atomically(self.checkpoint, save(tensors, metadata))

    def restore(self, network, state, resume):
        """The state, history and seconds to go on from; the network's weights are set in place."""
        if not self.checkpoint.exists():
            return state, [], 0.0
        if not resume:
            raise ValueError(
                f"{self.folder} already holds a run; resume it with --resume, or choose another "
                "folder"
            )
        try:
            with safetensors.safe_open(self.checkpoint, "pt") as file:
                metadata = file.metadata() or {}
                # Copies: Windows cannot replace a file that a tensor still maps.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - not a dict
            about, progress = (json.loads(metadata[key]) for key in ("settings", "progress"))
        except (safetensors.SafetensorError, KeyError) as error:
            raise ValueError(
                f"{self.checkpoint} is damaged, or no checkpoint of this program ({error}); "
                "delete it to start anew"
            ) from None
        differing = [key for key in self.about if about.get(key) != self.about[key]]
        if differing:
            key = differing[0]
            raise ValueError(
                f"{self.folder} holds a run with {key}={about.get(key)!r}, "
                f"not {key}={self.about[key]!r}"
            )
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


def write_atomically(path, data):
    """Write bytes under a temporary name, then rename: a reader sees the old file or the new."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)
