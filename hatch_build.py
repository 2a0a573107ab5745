"""Write the git commit into what is built, so that an installed package knows it too."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACES = {"wheel": "directmax/_commit.txt", "sdist": "src/directmax/_commit.txt"}


class CommitHook(BuildHookInterface):
    """Adds `_commit.txt`; a build from a source archive has it already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel or a source archive is built."""
        commit = _commit(Path(self.root))
        if commit is None or version == "editable":
            return
        file = Path(tempfile.mkdtemp()) / "_commit.txt"
        file.write_text(f"{commit}\n")
        build_data["force_include"][str(file)] = PLACES[self.target_name]


def _commit(root: Path) -> str | None:
    if not (root / ".git").exists():
        return None
    # As in `tool/run/provenance.py`: whoever owns the checkout, and wherever pip is called.
    git = ["git", "--no-optional-locks", "-c", f"safe.directory={root}", "-C", str(root)]
    around = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        found = [
            subprocess.run(
                [*git, *words], capture_output=True, text=True, check=True, env=around
            ).stdout.strip()
            for words in (
                ("describe", "--always", "--abbrev=12"),
                ("status", "--porcelain", "-uno"),
            )
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0] + ("-dirty" if found[1] else "")
