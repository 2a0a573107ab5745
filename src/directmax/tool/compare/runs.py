"""Finished runs, as they are compared, and how they are found."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directmax.tool.config import ResolvedConfig
from directmax.tool.files import RunError, read_json, reading, user_path
from directmax.tool.run.run_folder import RunFolder

MOST_POINTS = 200
"""Of a curve; of longer ones every so many epochs is kept, and the last."""
SAME = ("data", "binarize", "threshold", "model", "attributes", "image_size", "likelihood")
"""Settings that say what a bound is of; where they differ, bounds are not comparable."""


@dataclass(frozen=True)
class Curve:
    """Validation images by epoch, of the start that was continued.

    Attributes:
        epochs: their numbers.
        seconds: of training until then, epochs of other starts counted as if all had come before.
        bounds: nats per image.
        accuracies: from 0 to 1; empty without labels.
    """

    epochs: Sequence[int]
    seconds: Sequence[float]
    bounds: Sequence[float | None]
    accuracies: Sequence[float]


@dataclass(frozen=True)
class Run:
    """A finished run. Losses in nats per image, times in seconds.

    Attributes:
        path: of its folder, as it was given or found.
        config: of it.
        images: identity of images that were handed over in Python; None: those of `config.data`.
        validation: metrics of the chosen epoch, as in `summary.json`.
        test: the same of the test images.
        best_epoch: which one was chosen.
        epochs: that were run.
        seconds_per_epoch: median.
        curve: of the validation images.
        machine: that ran it.
        code: version of directmax and of torch, and the commit.
    """

    path: str
    config: ResolvedConfig
    images: Mapping[str, Any] | None
    validation: Mapping[str, Any]
    test: Mapping[str, Any]
    best_epoch: int
    epochs: int
    seconds_per_epoch: float
    curve: Curve
    machine: Mapping[str, Any]
    code: tuple[str, ...]

    @property
    def subject(self) -> dict[str, Any]:
        """What its bound is of: runs with another one are not compared with it."""
        values = {name: getattr(self.config, name) for name in SAME}
        if self.images is not None:
            sha = str(self.images.get("sha256"))[:12]
            values["data"] = f"{self.images.get('name')} (SHA-256 {sha}…)"
        return {**values, "valid": bool(self.test.get("valid", True))}

    @property
    def unseeded(self) -> ResolvedConfig:
        """What it shares with runs of other seeds."""
        return dataclasses.replace(self.config, seed=0)


@dataclass(frozen=True)
class LeftOut:
    """A folder that is not compared.

    Attributes:
        path: of it.
        reason: in words.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def find_runs(paths: Iterable[str | Path]) -> tuple[list[Run], list[LeftOut]]:
    """The finished runs in some folders, each once, and what was left out.

    Args:
        paths: run folders, or folders with runs somewhere in them.

    Raises:
        RunError: a path is no folder, holds no run, or is a run that is damaged.
    """
    found: dict[str, Run] = {}
    left_out: dict[str, LeftOut] = {}
    for path in paths:
        root = user_path(path)
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            raise RunError(f"{root} {what}: expected the folder of a run, or one with runs in it")
        folders = list(_run_folders(root))
        if not folders:
            raise RunError(f"{root} holds no run: expected a config.json in it or below it")
        for folder in folders:
            key = os.path.realpath(folder)
            if key in found or key in left_out:
                continue
            try:
                read = read_run(folder)
            except RunError as error:
                if folder == root:
                    raise
                read = LeftOut(str(folder), f"not compared, {error}")
            if isinstance(read, Run):
                found[key] = read
            else:
                left_out[key] = read
    return list(found.values()), list(left_out.values())


def _run_folders(root: Path) -> Iterator[Path]:
    """Folders of runs, in order; nothing is looked for inside of one."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        if "config.json" in files:
            names.clear()
            yield Path(folder)


def read_run(path: str | Path) -> Run | LeftOut:
    """A run, or why it cannot be compared yet.

    Raises:
        RunError: the folder holds none, or a file of it is damaged.
    """
    folder = RunFolder(path)
    config = folder.config()
    record = read_json(folder.config_file)
    with reading(folder.metrics_file):
        lines = folder.metrics()
        if not folder.summary_file.exists():
            done = lines[-1]["epoch"] if lines else 0
            return LeftOut(
                str(folder.path),
                f"not compared, it is unfinished ({done} of {config.epochs} epochs); directmax "
                f"train --resume --run-dir {folder.path} continues it",
            )
        curve = _curve(lines, folder.other_starts())
    summary = read_json(folder.summary_file)
    with reading(folder.summary_file):
        for split in ("validation", "test"):
            float(summary[split]["bound"]), float(summary[split]["kl"])
        versions = summary["versions"]
        return Run(
            path=str(folder.path),
            config=config,
            images=record.get("images"),
            validation=dict(summary["validation"]),
            test=dict(summary["test"]),
            best_epoch=int(summary["best_epoch"]),
            epochs=int(summary["epochs"]),
            seconds_per_epoch=float(summary["seconds_per_epoch"]),
            curve=curve,
            machine=dict(summary["machine"]),
            code=(
                str(versions["directmax"]),
                str(versions["torch"]),
                str(summary.get("git_commit")),
            ),
        )


def _curve(lines: Sequence[Mapping[str, Any]], others: Sequence[Sequence[Any]]) -> Curve:
    spent = sum(float(line["seconds"]) for other in others for line in other)
    seconds = []
    for line in lines:
        spent += float(line["seconds"])
        seconds.append(spent)
    kept = sorted({*range(0, len(lines), -(-len(lines) // MOST_POINTS) or 1), len(lines) - 1})
    kept = [index for index in kept if index >= 0]
    validation = [lines[index]["validation"] for index in kept]
    with_accuracy = all(each.get("accuracy") is not None for each in validation)
    return Curve(
        [int(lines[index]["epoch"]) for index in kept],
        [seconds[index] for index in kept],
        [each["bound"] for each in validation],
        [float(each["accuracy"]) for each in validation] if with_accuracy else [],
    )
