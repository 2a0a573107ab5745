"""Versions, machine and git commit: where a result comes from."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import directmax
from directmax._version import __version__

if TYPE_CHECKING:
    import torch


def environment(device: torch.device | None = None) -> dict[str, Any]:
    """Versions, machine and git commit, for the record.

    Args:
        device: that is used. None: not known, the first card of the machine is named.
    """
    import numpy
    import torch

    return {
        "versions": {
            "directmax": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            "cuda": _card(device),
        },
        "git_commit": git_commit(),
    }


def _card(device: torch.device | None) -> str | None:
    """The name of the card that is used; None where it is none."""
    import torch

    if not torch.cuda.is_available() or (device is not None and device.type != "cuda"):
        return None
    return torch.cuda.get_device_name(device)


@functools.cache
def git_commit() -> str | None:
    """The commit of the checkout, or that which an installed package was built from; else None.

    As it was when the process first asked: what was imported is not what is checked out later.
    """
    package = Path(directmax.__file__).resolve().parent
    with contextlib.suppress(OSError):  # not that of a repository which it is installed into
        return (package / "_commit.txt").read_text().strip() or None
    return _git_commit(package.parents[1])


def _git_commit(source: Path) -> str | None:
    if not (source / ".git").exists():
        return None
    # Not of the repository in whose hook this runs; a checkout of another user, as in a container,
    # is no danger to who has imported it.
    around = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    safe = ("--no-optional-locks", "-c", f"safe.directory={source}", "-C", str(source))

    def git(*arguments: str) -> str:
        result = subprocess.run(
            ["git", *safe, *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
            env=around,
        )
        return result.stdout.strip()

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # Not `describe --dirty`: it writes the index, and one killed leaves the checkout locked.
        commit = git("describe", "--always", "--abbrev=12")
        return f"{commit}-dirty" if git("status", "--porcelain", "-uno") else commit or None
    return None
