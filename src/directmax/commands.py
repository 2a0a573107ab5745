"""The commands of the command line, as dataclasses whose fields are flags. torch comes on use."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal

import tyro

from directmax.training.config import TrainConfig

DataDir = Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
AS_TRAIN = "(default: as train, or the run's)"
ModelName = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint=AS_TRAIN)]
ModelSize = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint=AS_TRAIN)]
RunDir = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]


@dataclass(frozen=True)
class Train:
    """Train a variational auto-encoder with discrete variables, and report on it."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str = "default"
    """Starting point: default, or paper (the published protocol). Flags beside it win."""
    run_dir: Annotated[
        str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: new under runs/)")
    ] = None
    """Folder for checkpoints, metrics and the report."""
    data_dir: DataDir = None
    """Where to look for images first; then $DIRECTMAX_DATA, then the user's cache."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    workers: int = 2
    """Processes that read the images of the attributes model; the result does not depend on it."""
    devices: int = 1
    """Processes (DistributedDataParallel), each with its share of every mini-batch. Leave it out
    with torchrun, which says it itself, also for several machines."""
    strategy: str = "auto"
    """ddp, or auto (ddp where there are several processes)."""
    compile: bool = False
    """Compile the training step with torch.compile: its first steps take up to a minute, results
    differ by rounding."""
    resume: bool = False
    """Continue the run in --run-dir where it stopped; the result is the same."""

    def run(self) -> None:
        """Train."""
        from rich.console import Console

        from directmax.training.progress import ConsoleProgress
        from directmax.training.run import train

        _quiet()
        folder = self.run_dir or _new_folder(self.config)
        console = Console()
        summary = train(
            self.config,
            folder,
            data_dir=self.data_dir,
            resume=self.resume,
            device=self.device,
            workers=self.workers,
            devices=self.devices,
            strategy=self.strategy,
            compiled=self.compile,
            progress=None if is_helper() else ConsoleProgress(console),
        )
        if is_helper():
            return
        console.print(_results({split: summary[split] for split in ("validation", "test")}))
        console.print(
            f"best epoch {summary['best_epoch']} of {summary['epochs']}, "
            f"{summary['seconds_per_epoch']:.2f} s an epoch"
        )
        if summary["stopped_early"]:
            console.print(
                f"stopped early: no better epoch in the last {self.config.patience} "
                f"(--epochs {self.config.epochs})"
            )
        print(f"report: {os.path.join(folder, 'report.html')}")  # noqa: PTH118 (as the user typed it)


@dataclass(frozen=True)
class Evaluate:
    """Bound, its terms and −log p(x) of a run's best checkpoint; accuracy where it has labels."""

    run_dir: RunDir
    """Folder of the run."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    samples: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as in the run)")
    ] = None
    """Samples an image, where the states are too many to enumerate."""
    seed: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as in the run)")
    ] = None
    """Of those samples."""
    splits: tuple[str, ...] = ("train", "validation", "test")
    """Which images: any of train, validation and test."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> None:
        """Evaluate."""
        from directmax.training.finished import evaluate_run
        from directmax.training.progress import share_bar

        _quiet()
        with share_bar() as progress:
            metrics = evaluate_run(
                self.run_dir,
                data_dir=self.data_dir,
                device=self.device,
                num_samples=self.samples,
                seed=self.seed,
                splits=self.splits,
                progress=progress,
            )
        if self.json:
            import json

            print(json.dumps(metrics, indent=2))
            return
        from rich.console import Console

        from directmax.training.tables import attribute_table, confusion_table

        console = Console()
        for split, values in metrics.items():
            if "confusion" in values:
                console.print(confusion_table(split, values["confusion"]))
        attributes = {s: v["attributes"] for s, v in metrics.items() if "attributes" in v}
        if attributes:
            console.print(attribute_table(attributes))
        console.print(_results(metrics))


@dataclass(frozen=True)
class Sample:
    """Draw a run's model: images decoded from its codes, reconstructions beside their originals."""

    run_dir: RunDir
    """Folder of the run."""
    output: Annotated[str, tyro.conf.arg(metavar="FILE.png")]
    """The PNG file to write."""
    images: int = 100
    """How many codes to decode: all of them, in order, where there are at most so many, else
    random ones. A mixed model has a row a class instead, whose columns share the Gaussian code;
    a model of attributes test images by attributes, a row an image."""
    reconstructions: int = 20
    """How many test images to reconstruct (0: none)."""
    columns: int = 10
    """Images in a row; of a model of attributes, test images."""
    attributes: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: all, at most 4)"),
    ] = ()
    """Of a model of attributes: which are switched on and off."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    seed: int = 0
    """Of the random codes."""

    def run(self) -> None:
        """Draw."""
        from directmax.training.finished import sample_run

        _quiet()
        sample_run(
            self.run_dir,
            self.output,
            num_images=self.images,
            num_reconstructions=self.reconstructions,
            columns=self.columns,
            attributes=self.attributes,
            data_dir=self.data_dir,
            device=self.device,
            seed=self.seed,
        )
        print(f"wrote {self.output}")


@dataclass(frozen=True)
class Edit:
    """Switch attributes of an image: its Gaussian code is decoded with others."""

    run_dir: RunDir
    """Folder of a run of the attributes model."""
    image: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """The image; its middle square is taken."""
    changes: Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=0|1 ...")]
    """Attributes to switch, such as Smiling=1 Eyeglasses=0."""
    output: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE.png", help_behavior_hint="(default: IMAGE's name-edited.png)"),
    ] = None
    """The PNG file to write."""
    keep_detail: bool = False
    """Add the change to the image itself, in place of the decoded one, which is smoother."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    def run(self) -> None:
        """Edit."""
        from directmax.training.finished import edit_image

        _quiet()
        output = self.output or f"{PurePath(self.image).stem}-edited.png"
        attributes = edit_image(
            self.run_dir,
            self.image,
            output,
            changes=_switches(self.changes),
            keep_detail=self.keep_detail,
            data_dir=self.data_dir,
            device=self.device,
        )
        for name, (before, after) in attributes.items():
            print(f"{name}: {before:.1%} before, {'on' if after else 'off'} now")
        print(f"wrote {output}")


@dataclass(frozen=True)
class Solvers:
    """List the solvers of a structured encoder's argmax, time them and compare their answers."""

    variables: int = 15
    """Timed with this many variables, and with twice as many on fewer instances."""
    batch_size: int = 100
    """Instances at a time (highs, cplex: at most 5)."""
    seed: int = 0
    """Of the random instances."""
    timing: bool = True
    """Time and compare; without, only list."""
    json: bool = False
    """Print JSON instead of a table."""
    device: str = "auto"
    """Where the instances are: auto, cpu, cuda, cuda:N or mps."""

    def run(self) -> None:
        """List."""
        from directmax.solver_table import command

        if not command(**vars(self)):
            sys.exit(1)


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
    """Of a fresh model: digits, mnist, fashion-mnist or omniglot."""
    binarize: ModelName = None
    """Of a fresh model: threshold, static, dynamic or none."""
    encoder: ModelName = None
    """Of a fresh model: independent, pairwise or supermodular."""
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
        from directmax.gradient_table import MODEL_FLAGS, command

        _quiet()
        if self.estimators == ():
            raise ValueError("--estimators must name at least one estimator; leave it out for all")
        flags = {**vars(self), "estimators": self.estimators or ()}
        model_flags = {name: flags.pop(name) for name in MODEL_FLAGS}
        command(**flags, model_flags=model_flags)


@dataclass(frozen=True)
class Reproduce:
    """Run what a table or a figure of the paper needs, and report it beside the published values.

    Called again, it does only what is left.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """figure1, table1, figure2, figure3, table2, figure4, figure5 or all."""
    scale: str = "smoke"
    """smoke (minutes, the digits), short (the paper's data, tens of epochs) or paper (its protocol,
    300 epochs)."""
    seeds: Annotated[
        tuple[int, ...],
        tyro.conf.arg(metavar="INT ...", help_behavior_hint="(default: 0; of paper 0 1 2)"),
    ] = ()
    """A run for each."""
    data: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: those of the scale)"),
    ] = ()
    """Only these data sets."""
    only: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: all)")
    ] = ()
    """Only jobs whose names begin so, such as table1-mnist-10, and what they need."""
    known: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="FILE ...", help_behavior_hint="(default: none)")
    ] = ()
    """results.json of other reproductions: their finished jobs are taken over, not run again."""
    dry_run: bool = False
    """Print the jobs and how long they would take, measured from a few steps; run nothing."""
    output: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/reproduction-SCALE)"),
    ] = None
    """Folder of jobs and report."""
    engine: str = "local"
    """local (processes of this machine) or ray (a cluster)."""
    address: Annotated[
        str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="(default: this machine)")
    ] = None
    """Of a Ray cluster that sees --output and the images under the same paths."""
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: cores, or 4 a GPU)")
    ] = None
    """Jobs at a time."""
    retries: int = 2
    """How often a job that dies is started again from its checkpoint."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda (all cards), cuda:N or mps."""
    compile: bool = False
    """Compile the steps of trainings, as directmax train --compile does."""

    def run(self) -> None:
        """Reproduce."""
        from directmax.reproduce.command import command

        _quiet()
        flags = vars(self).copy()
        if code := command(compiled=flags.pop("compile"), **flags, words=self._words()):
            sys.exit(code)

    def _words(self) -> list[str]:
        """The command line of what differs from the defaults, for the report."""
        words = [self.name]
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                words.append("--" + field.name.replace("_", "-"))
                values = value if isinstance(value, tuple) else (value,)
                words += [str(each) for each in values if each is not True]
        return words


def _switches(words: tuple[str, ...]) -> dict[str, bool]:
    """Attributes and values of `--set`.

    Raises:
        ValueError: none, or another form than NAME=0 or NAME=1.
    """
    if not words:
        raise ValueError("--set needs at least one attribute, such as --set Smiling=1")
    changes = {}
    for word in words:
        name, _, value = word.partition("=")
        if value not in ("0", "1") or not name:
            raise ValueError(f"--set needs NAME=0 or NAME=1, such as Smiling=1, got '{word}'")
        changes[name] = value == "1"
    return changes


def _results(metrics: dict[str, dict[str, Any]]) -> Any:
    from rich.table import Table

    from directmax.training.evaluation import NO_BOUND

    first = next(iter(metrics.values()))
    samples = first["num_samples"]
    how = "exact" if samples is None else f"{samples} samples an image"
    columns = {"bound": "bound", "reconstruction": "reconstruction", "kl": "KL", "nll": "−log p(x)"}
    caption = None
    if not first["valid"]:
        columns["bound"], columns["kl"] = "no bound", "KL of the unary potentials"
        caption = NO_BOUND
    elif first["authors"] is not None:
        columns["authors"] = "no bound"
        caption = f"Bound and KL are those of the Gibbs distribution. {NO_BOUND}"
    if "accuracy" in first:
        columns["accuracy"] = "accuracy, %"
        samples_of = "Gaussian sample" if samples == 1 else "Gaussian samples"
        how = f"{samples} {samples_of} for every z"
    table = Table(
        title=f"nats per image, {how}",
        title_justify="left",
        caption=caption,
        caption_justify="left",
    )
    table.add_column("")
    for name in columns.values():
        table.add_column(name, justify="right")
    for split, values in metrics.items():
        percent = {"accuracy": 100 * values.get("accuracy", 0.0)}
        cells = ((values | percent)[name] for name in columns)
        table.add_row(split, *("–" if cell is None else f"{cell:.2f}" for cell in cells))
    return table


def _new_folder(config: TrainConfig) -> str:
    """A name under runs/ that no other run has."""
    encoder = "" if config.encoder == "independent" else f"-{config.encoder}"
    if config.model != "discrete":
        encoder += f"-{config.model}-{config.labels}-labels"
    stem = f"{config.data}-{config.variables}x{config.values}{encoder}-{config.estimator}"
    path = os.path.join("runs", f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}")  # noqa: PTH118
    number, candidate = 2, path
    while os.path.exists(candidate):  # noqa: PTH110
        candidate, number = f"{path}-{number}", number + 1
    return candidate


def is_helper() -> bool:
    """Whether this is not the first of several processes: that one speaks for all."""
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "RANK"))


def _quiet() -> None:
    """Leave out Lightning's notes on processes and precision."""
    import lightning_fabric  # sets the level when it is imported

    logging.getLogger(lightning_fabric.__name__).setLevel(logging.WARNING)
