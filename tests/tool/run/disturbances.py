"""What happens to a run in the middle, and what it leaves."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from directmax.tool.run.checkpoint import load_checkpoint


def weights(folder: Path) -> dict[str, dict[str, bytes]]:
    """The tensors of the best and the last checkpoint."""
    found = {}
    for name in ("best", "last"):
        tensors = load_checkpoint(folder / "checkpoints" / name).tensors
        found[name] = {key: tensor.numpy().tobytes() for key, tensor in tensors.items()}
    return found


def at_call(
    owner: Any, name: str, number: int, act: Callable[[], object], *, after: bool = False
) -> None:
    """Do something before (or after) the n-th call of a function."""
    function, calls = getattr(owner, name), iter(range(1, 1000))

    @functools.wraps(function)
    def counting(*arguments: Any, **options: Any) -> Any:
        now = next(calls) == number
        if now and not after:
            act()
        result = function(*arguments, **options)
        if now and after:
            act()
        return result

    setattr(owner, name, counting)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def crash() -> None:
    raise RuntimeError("simulated crash")
