"""A folder of a reproduction written by hand, with numbers that are known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.paper.report import collect
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.sections import sections

VERSIONS = {"directmax": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"}
MACHINE = {"platform": "Linux", "processor": "x86_64", "threads": 1, "cuda": None}
MEASURED = {"reconstruction": 100.0, "num_samples": None, "authors": None, "valid": True}


class ReportFolder:
    """Jobs are added one by one, then the plan is written.

    Args:
        root: the folder of the reproduction.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs: list[dict[str, Any]] = []
        self.items: dict[str, list[str]] = {}

    def add(
        self,
        items: Sequence[str],
        name: str,
        kind: str,
        settings: Mapping[str, Any],
        cell: Mapping[str, Any],
        *,
        seconds_per_epoch: float | None = None,
        **state: Any,
    ) -> Path:
        """A job and its `state.json`; returns its folder."""
        folder = self.root / "jobs" / name
        folder.mkdir(parents=True)
        if state:
            record = {"attempts": 1, "error": None, "seconds": 12.5, **state}
            (folder / "state.json").write_text(json.dumps(record))
        job = {"name": name, "kind": kind, "settings": dict(settings), "cell": dict(cell)}
        job |= {"folder": f"jobs/{name}", "seconds_per_epoch": seconds_per_epoch}
        self.jobs.append(job)
        for item in items:
            self.items.setdefault(item, []).append(name)
        return folder

    def training(
        self,
        items: Sequence[str],
        name: str,
        config: ResolvedConfig,
        bound: float,
        *,
        curve: Sequence[float] = (),
        seconds: float = 2.0,
        stopped_early: bool = False,
        accuracy: float | None = None,
        attributes: Mapping[str, float] | None = None,
        nll: float | None = None,
        seconds_per_epoch: float | None = None,
        machine: Mapping[str, Any] = MACHINE,
        more: Mapping[str, Any] = MappingProxyType({}),
        **cell: Any,
    ) -> Path:
        """A finished run whose test bound is given; the curve is of the validation bound."""
        where = {"data": config.data, "values": config.values, "seed": config.seed, **cell}
        folder = self.add(
            items,
            name,
            "train",
            config.to_dict(),
            where,
            state="done",
            seconds_per_epoch=seconds_per_epoch,
        )
        curve = curve or [bound + 30.0 / (epoch + 1) for epoch in range(4)]
        validation = {"bound": bound - 1, "kl": 2.0, "nll": nll, **MEASURED}
        test = {**validation, "bound": bound, **more}
        if accuracy is not None:
            test |= {"accuracy": accuracy, "confusion": [[1, 0], [0, 1]]}
        if attributes is not None:
            mean = sum(attributes.values()) / len(attributes)
            test |= {"accuracy": mean, "attributes": dict(attributes)}
        lines = [
            {
                "epoch": epoch + 1,
                "train": {"bound": value, "kl": 2.0, "reconstruction": value - 2.0},
                "validation": {**validation, "bound": value},
                "seconds": seconds,
            }
            for epoch, value in enumerate(curve)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        summary = {
            "validation": validation,
            "test": test,
            "best_epoch": len(curve),
            "epochs": config.epochs,
            "stopped_early": stopped_early,
            "versions": VERSIONS,
            "machine": dict(machine),
            "git_commit": "0123456789ab",
        }
        (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    def write(self, *, needs: Mapping[str, str] | None = None) -> Path:
        """Write `plan.json`; returns the folder."""
        needs = needs or {}
        plan = {
            "command": "directmax reproduce all --scale smoke",
            "scale": "smoke",
            "scale_note": "These numbers show that everything runs.",
            "items": [
                {
                    "name": name,
                    "title": f"{name.title()}: what it shows",
                    "caption": "What is in it.",
                    "jobs": self.items.get(name, []),
                    "needs": needs.get(name),
                }
                for name in (*self.items, *needs)
            ],
            "jobs": self.jobs,
        }
        self.root.mkdir(exist_ok=True)
        (self.root / "plan.json").write_text(json.dumps(plan))
        return self.root


def config(seed: int = 0, **settings: object) -> ResolvedConfig:
    """A run with one start on MNIST."""
    return TrainConfig(**{"data": "mnist", "seed": seed, "starts": 1, **settings}).resolve()  # type: ignore[arg-type]


def only_section(folder: ReportFolder) -> Section:
    """The section of the one item in the folder."""
    (section,) = sections(collect(folder.write()))
    return section
