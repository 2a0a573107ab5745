"""What the collectors of finished runs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from directmax.tool.run.run_folder import RunFolder


def load(folder: Path) -> dict[str, Any] | None:
    """What is kept of a run; None while it is not finished."""
    if not (folder / "summary.json").exists():
        return None
    record = json.loads((folder / "config.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    lines = RunFolder(folder).metrics()
    return {
        "run": folder.name,
        "config": record["config"],
        "digest": record["digest"],
        **{key: summary[key] for key in ("test", "validation", "best_epoch", "epochs")},
        "seconds_per_epoch": summary["seconds_per_epoch"],
        "versions": summary["versions"],
        "machine": summary["machine"],
        "git_commit": summary["git_commit"],
        "validation_bound_by_epoch": [round(line["validation"]["bound"], 3) for line in lines],
    }
