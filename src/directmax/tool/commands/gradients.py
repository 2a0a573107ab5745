"""`directmax gradients`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from directmax.tool.commands.shared import DataDir, quiet

AS_TRAIN = "(default: as train, or the run's)"
ModelName = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint=AS_TRAIN)]
ModelSize = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint=AS_TRAIN)]


@dataclass(frozen=True)
class Gradients:
    """Measure bias, variance and cost of gradient estimators against the exact gradient."""

    run_dir: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[RUN_DIR]", help_behavior_hint="(default: a fresh model)"),
    ] = None
    """Folder of a run, whose best checkpoint is measured."""
    data: ModelName = None
    """Of a fresh model: as --data of directmax train."""
    binarize: ModelName = None
    """Of a fresh model: as --binarize of directmax train."""
    encoder: ModelName = None
    """Of a fresh model: as --encoder of directmax train."""
    variables: ModelSize = None
    """Of a fresh model: number n of latent variables."""
    values: ModelSize = None
    """Of a fresh model: number k of their values."""
    hidden: ModelSize = None
    """Of a fresh model: hidden units."""
    estimators: Annotated[
        tuple[str, ...] | None,
        tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: all that can be used)"),
    ] = None
    """Which, by the names of directmax train."""
    epsilons: tuple[float | Literal["auto"], ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, "auto")
    """Steps ε of direct and its relatives, in 1/nats, or auto."""
    sides: tuple[str, ...] = ("one", "two")
    """Differences of direct and its relatives: one, two."""
    rao_blackwell: bool = False
    """Of direct and implicit-mle also the mean over each variable's noise."""
    temperatures: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0)
    """Temperatures τ of gumbel-softmax and its relatives."""
    samples: int = 1
    """Draws that one call of an estimator averages over."""
    draws: int = 1000
    """Calls of each estimator."""
    images: int = 100
    """How many images: the first of the split."""
    split: str = "train"
    """Of which split: train, validation or test."""
    adapt: int = 300
    """Mini-batches of that split on which estimators with parameters or a running mean learn
    before they are measured."""
    seed: int = 0
    """Of the draws, and of a fresh model's weights."""
    output: Annotated[
        str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: only the table)")
    ] = None
    """Folder for gradients.json, gradients.svg and gradients.png."""
    resume: bool = False
    """Continue the measurement in --output; the numbers are the same."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> None:
        """Measure."""
        from directmax.tool.measure.gradients import MODEL_FLAGS, command

        quiet()
        if self.estimators == ():
            raise ValueError("--estimators must name at least one estimator; leave it out for all")
        flags = {**vars(self), "estimators": self.estimators or ()}
        model_flags = {name: flags.pop(name) for name in MODEL_FLAGS}
        command(**flags, model_flags=model_flags)
