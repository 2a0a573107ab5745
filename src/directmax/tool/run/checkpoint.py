"""Checkpoints: a safetensors file and a JSON file that names it.

A checkpoint folder holds `tensors-<digest>.safetensors` and `state.json`. `state.json` is
replaced last and names the tensor file and its SHA-256, so that a crash at any moment leaves the
previous checkpoint or the new one, whole. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from directmax.tool.files import (
    RunError,
    cannot_write,
    read_bytes,
    read_json,
    tidy,
    write_atomic,
    write_json,
)
from directmax.tool.run.adam import Adam


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: tensors by name, and a JSON-ready dictionary."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under `prefix.`, with the prefix removed."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the one that `folder` held is kept until the new one is complete.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    tensors = {k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()}
    content = save(tensors)
    digest = hashlib.sha256(content).hexdigest()
    name = f"tensors-{digest[:16]}.safetensors"
    write_atomic(folder / name, content)
    state = {**checkpoint.state, "file": name, "sha256": digest}
    write_json(folder / "state.json", {**state, "state_sha256": _digest(state)})
    tidy(folder)
    for old in folder.glob("tensors-*"):  # the previous ones
        if old.name != name:
            old.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        RunError: it is missing, damaged, or not the file that `state.json` names.
    """
    state = read_json(folder / "state.json")
    if state.pop("state_sha256", None) != _digest(state):
        raise RunError(f"{folder / 'state.json'} is damaged: its SHA-256 is another")
    name, digest = state.pop("file", None), state.pop("sha256", None)
    if not isinstance(name, str) or Path(name).name != name:
        raise RunError(f"{folder / 'state.json'} is damaged: it names no tensor file")
    path = folder / name
    content = read_bytes(path)
    actual_digest = hashlib.sha256(content).hexdigest()
    if actual_digest != digest:
        raise RunError(
            f"the checkpoint {path} is damaged: expected SHA-256 {str(digest)[:16]}…, got "
            f"{actual_digest[:16]}…; train again into a new folder, or restore the file"
        )
    try:
        return Checkpoint(tensors=load(content), state=state)
    except SafetensorError as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}") from error


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer | Adam) -> dict[str, Tensor]:
    """An optimizer's state as tensors named `<parameter index>.<entry>`."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": torch.as_tensor(v) for i, e in state.items() for key, v in e.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer | Adam, tensors: dict[str, Tensor]) -> None:
    """Restore what `optimizer_tensors` returned; the parameter groups stay as they are."""
    groups = optimizer.state_dict()["param_groups"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # Fused Adam goes through memory, so moments must lie there as their parameter does.
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def restore_model(model: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    """Load weights, with one line when they do not fit.

    Raises:
        RunError: names or shapes differ from the model's.
    """
    with fitting(folder):
        model.load_state_dict(tensors)


@contextlib.contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """What a checkpoint holds is put where it belongs.

    Raises:
        RunError: names, shapes or types are others.
    """
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"the checkpoint {folder} does not fit the model: {reason}") from error
