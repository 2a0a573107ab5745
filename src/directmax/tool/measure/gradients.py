"""Bias, variance and cost of gradient estimators, for a model of ours and real images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from directmax.distributions import PairwiseBinary
from directmax.laboratory import (
    GradientComparison,
    GradientStatistics,
    Point,
    PotentialGradients,
    Reference,
    Setting,
    exact_reference,
    measure_gradient,
)
from directmax.tool.config import ResolvedConfig
from directmax.tool.files import write_atomic
from directmax.tool.measure.gradient_grid import build, setting_seed, settings_of
from directmax.tool.measure.gradient_model import Model, load_model
from directmax.tool.measure.gradient_request import MODEL_SETTINGS, GradientRequest
from directmax.tool.measure.record import Record, parse, read_record
from directmax.tool.run.interrupt import Interrupted
from directmax.tool.run.provenance import environment

CONFIDENCE = 0.95
FILE = "gradients.json"
PERTURB_AND_MAP = (
    "samples are perturb-and-MAP samples, the exact gradient is that of the Gibbs distribution: "
    "where variables are coupled, estimators that are unbiased for their samples show a bias"
)


class Stopped(Interrupted):
    """The measurement was stopped by the user."""

    def __init__(self, done: int, total: int, saved: bool) -> None:
        text = f"stopped after {done} of {total} estimators"
        if saved:
            text += "; they are saved: the same command with --resume continues"
        Exception.__init__(self, text)


@dataclass(frozen=True)
class GradientTable:
    """What `measure_gradients` found.

    Attributes:
        points: a setting each, with what was measured.
        comparison: the same without settings, as the library's `compare_gradients` has it, with
            the norm of the exact gradient; it prints a table.
        notes: what was left out, and why.
        configuration: what was asked for, with the model's settings and a digest of weights and
            images.
        environment: versions, machine and git commit.
    """

    points: tuple[Point, ...]
    comparison: GradientComparison
    notes: tuple[str, ...]
    configuration: dict[str, Any]
    environment: dict[str, Any]

    @property
    def norm(self) -> float:
        """Of the exact gradient, in nats."""
        return self.comparison.norm or 0.0

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary, that of the file."""
        return {
            "configuration": self.configuration,
            **self.environment,
            **self.comparison.to_dict(),
            "notes": list(self.notes),
            "rows": [point.to_dict() for point in self.points],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GradientTable:
        """From such a dictionary."""
        return cls(
            tuple(map(Point.from_dict, values["rows"])),
            GradientComparison.from_dict(values),
            tuple(values["notes"]),
            values["configuration"],
            {name: values[name] for name in ("versions", "machine", "git_commit")},
        )


def measure_gradients(
    request: GradientRequest | None = None,
    *,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    output: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[str, float, int], object] = lambda text, done, total: None,
) -> GradientTable:
    """Bias, variance and cost of every estimator that a model can be trained with.

    Settings do not depend on each other: noise, initial networks and mini-batches have seeds of
    the setting's own, so that a measurement that is continued finds the same numbers.

    Args:
        request: estimators, their settings, images and, without a run, the model.
        run_dir: folder of the run whose best checkpoint is measured; None for a fresh model.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.
        output: folder for `gradients.json`, which is whole after every setting; None keeps nothing.
        resume: continue the measurement in `output`.
        progress: called while a setting is measured, with its label, the settings that are done
            (with the part of this one) and their number; at its end with what was found.

    Returns:
        The table, in the order of the settings.

    Raises:
        ValueError: request, run, data, device or output cannot be used.
        Stopped: Ctrl-C; what is done is saved.
    """
    request = request or GradientRequest()
    if resume and output is None:
        raise ValueError("--resume needs --output, the folder of the measurement to continue")
    model = load_model(request, run_dir=run_dir, data_dir=data_dir, device=device)
    settings, notes = settings_of(model.config, request)
    configuration = {
        **request.to_dict(),
        **{name: getattr(model.config, name) for name in MODEL_SETTINGS},
        "weights and images": model.digest,
    }
    path = None if output is None else Path(output) / FILE
    machine = environment(model.images.device)
    record = Record(path, Point, configuration, machine, resume=resume)
    try:
        _measure_all(model, settings, notes, request, record, progress)
    except KeyboardInterrupt:
        raise Stopped(len(record.rows), len(settings), path is not None) from None
    return GradientTable.from_dict(record.to_dict())


def _measure_all(
    model: Model,
    settings: dict[Setting, ResolvedConfig],
    notes: list[str],
    request: GradientRequest,
    record: Record,
    progress: Callable[[str, float, int], object],
) -> None:
    """Add the settings that are not in the record yet."""
    gradients = model.gradients()
    if isinstance(gradients.q, PairwiseBinary) and gradients.q.perturbation == "unary":
        notes.append(PERTURB_AND_MAP)
    reference = exact_reference(gradients)
    empty = GradientComparison(
        (), reference.name, reference.norm, *gradients.shape, confidence=CONFIDENCE
    )
    record.summary = {**empty.to_dict(), "notes": notes}
    record.write()
    done, total = {point.setting for point in record.rows}, len(settings)
    waiting = [setting for setting in settings if setting not in done]
    for number, setting in enumerate(waiting, total - len(waiting)):

        def part(share: float, label: str = setting.label, number: int = number) -> None:
            progress(label, number + min(share, 0.99), total)

        try:
            found = _measure(model, gradients, setting, settings[setting], request, reference, part)
        except (TypeError, ValueError) as error:
            if request.estimators:
                raise
            notes.append(f"without {setting.label}: {error}")
            record.write()
            progress(notes[-1], number + 1, total)
        else:
            record.add(Point(setting, found))
            text = f"bias {found.bias}, variance {found.variance} (nats, nats²)"
            progress(f"{setting.label}: {text}", number + 1, total)


def _measure(
    model: Model,
    gradients: PotentialGradients,
    setting: Setting,
    config: ResolvedConfig,
    request: GradientRequest,
    reference: Reference,
    progress: Callable[[float], object],
) -> GradientStatistics:
    """One setting: its estimator, adapted, with noise of its own."""
    start, adapt, draws = (
        setting_seed(request.seed, setting, purpose) for purpose in ("start", "adapt", "draws")
    )
    estimator = build(config, start).to(model.images.device)
    model.adapt(estimator, request.adapt, adapt)
    return measure_gradient(
        gradients,
        setting.label,
        estimator,
        reference,
        num_draws=request.draws,
        confidence=CONFIDENCE,
        generator=torch.Generator(model.images.device).manual_seed(draws),
        progress=progress,
    )


def read_gradients(path: str | Path) -> GradientTable:
    """The table in a `gradients.json`.

    Raises:
        RunError: the file is missing, unreadable or damaged.
    """
    return parse(GradientTable, read_record(Path(path)), Path(path))


def save_pictures(table: GradientTable, folder: str | Path) -> None:
    """Write `gradients.svg` and `gradients.png`.

    Raises:
        RunError: they cannot be written.
    """
    from directmax.tool.measure import pictures  # slow to import

    _save(pictures.gradient_figure(table.points, table.norm), Path(folder) / "gradients")


def draw_figure_one(files: Mapping[str, str | Path], output: str | Path) -> None:
    """Figure 1 of the paper from files that `measure_gradients` wrote, as SVG and PNG.

    Args:
        files: a `gradients.json` for each stage of the training, such as
            `{"initialisation": "a/gradients.json", "mid-training": "b/gradients.json"}`.
        output: the files to write, without the ending.

    Raises:
        RunError: a file cannot be read or written.
    """
    from directmax.tool.measure import pictures

    tables = {title: read_gradients(path) for title, path in files.items()}
    stages = [(title, table.points, table.norm) for title, table in tables.items()]
    _save(pictures.figure_one(stages), Path(output))


def _save(figure: Any, stem: Path) -> None:
    from directmax.tool.measure import pictures

    write_atomic(stem.with_name(f"{stem.name}.svg"), pictures.svg(figure))
    write_atomic(stem.with_name(f"{stem.name}.png"), pictures.png(figure))
