"""What happens to a run in the middle, and what it leaves."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from command_line import Forked, Outcome, metrics, read
from directmax.tool.run.checkpoint import load_checkpoint

RESUME = ("train", "--device", "cpu", "--resume")

Moment = tuple[Any, str, int, Callable[[], object], bool]
"""Before (or, if the last is true, after) the n-th call of a function of an owner, do this."""


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


def disturbed(command: Sequence[object], folder: Path, *moments: Moment) -> Iterator[Outcome]:
    """Train, disturbed at each moment in turn and resumed after it; yields how each try ended.

    The last moment leaves the run for the caller to resume. A moment counts calls from the start of
    its own process.
    """
    arguments = (*command, "--run-dir", folder)
    for owner, name, number, act, after in moments:
        prepare = functools.partial(at_call, owner, name, number, act, after=after)
        yield Forked(*arguments, prepare=prepare).wait()
        if (folder / "config.json").exists():
            arguments = (*RESUME, "--run-dir", folder)


def outcome(folder: Path) -> dict[str, Any]:
    """Everything a run leaves, without times."""
    summary = read(folder / "summary.json")
    kept = ("validation", "test", "best_epoch", "epochs", "seed", "start")
    results = {key: summary.get(key) for key in kept}
    return {"metrics": metrics(folder), "summary": results, **weights(folder)}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def twice() -> None:
    interrupt()
    interrupt()


def crash() -> None:
    raise RuntimeError("simulated crash")
