"""`directmax train`."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, ClassVar

import tyro

from directmax.objectives import BERNOULLI
from directmax.tool.commands.shared import DataDir, quiet
from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.config.setting import Setting
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data.names import OWN, also_a_path, is_path
from directmax.tool.environment import is_helper

_METAVARS = {"int": "INT", "float": "FLOAT", "str": "NAME", "tuple": "NAME ..."}


def flag_help(each: Setting, *, several: bool = False) -> Any:
    """Help and metavar of the flag of a setting, with one value or with several."""
    metavar = _METAVARS.get(each.kind, f"| --no-{each.name.replace('_', '-')}")
    if each.choices or each.name == "data":
        metavar = "NAME|PATH" if each.name == "data" else "NAME"
    if several:
        metavar = {"bool": "yes|no", "tuple": "NAME,..."}.get(each.kind, metavar)
    shown = each.shown or each.default
    if each.kind == "bool":
        shown = "on" if each.default else "off"
    return tyro.conf.arg(
        help=each.help,
        metavar=metavar + ("|auto" if each.auto else "") + (" ..." if several else ""),
        help_behavior_hint=f"(default: {shown})",
    )


def _flag(each: Setting) -> tuple[str, Any, Any]:
    """The field of a flag: words as they are typed, None where it is not given."""
    kind: Any = tuple[str, ...] | None if each.kind == "tuple" else str | None
    return each.name, Annotated[kind, flag_help(each)], dataclasses.field(default=None)


Flags: Any = dataclasses.make_dataclass("Flags", map(_flag, SETTINGS.values()), frozen=True)
"""The flags that are settings, as they are typed."""


@dataclass(frozen=True)
class Train:
    """Train a variational auto-encoder with discrete variables, and report on it."""

    flags: Annotated[Flags, tyro.conf.arg(name="")] = Flags()  # noqa: RUF009
    config_file: Annotated[
        str | None,
        tyro.conf.arg(name="config", metavar="FILE", help_behavior_hint="(default: none)"),
    ] = None
    """Settings by name in TOML, YAML, or the config.json of a run. Flags beside it win."""
    preset: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: default)")
    ] = None
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
    log: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: tensorboard)"),
    ] = ("tensorboard",)
    """Where epochs are written beside metrics.jsonl: csv, tensorboard, wandb, mlflow."""
    resume: bool = False
    """Continue the run in --run-dir where it stopped; the result is the same."""
    extend: int = 0
    """With --resume: train for so many epochs more than the run was to have."""

    memory: ClassVar[tuple[str, ...]] = (
        *("--batch-size", "--num-samples", "--variables", "--values", "--hidden"),
        *("--image-size", "--eval-samples", "--devices", "--workers"),
    )

    def run(self) -> None:
        """Train."""
        config = self.config()  # before torch, which takes seconds

        from directmax.tool.look.progress import Terminal
        from directmax.tool.run.progress import ConsoleProgress
        from directmax.tool.run.run_folder import RunFolder
        from directmax.tool.run.tables import results_table, score_table, training_note
        from directmax.tool.run.train import train

        quiet()
        if self.run_dir is not None and not self.run_dir.strip():
            raise ValueError(
                "run-dir must name a folder, got an empty name (an unset variable of the shell?); "
                "leave the flag out for a new folder under runs/"
            )
        folder = self.run_dir or _new_folder(config, self.path)
        console = Terminal()
        images = self._images(config)
        if images is not None and not self.resume:
            config = self.config(images)
        summary = train(
            config,
            folder,
            images=images,
            data_dir=self.data_dir,
            resume=self.resume,
            extend=self.extend,
            device=self.device,
            workers=self.workers,
            devices=self.devices,
            strategy=self.strategy,
            compiled=self.compile,
            log=self.log,
            progress=None if is_helper() else ConsoleProgress(console),
        )
        if is_helper():
            return
        console.print(results_table(summary))
        if "scores" in summary["test"]:
            from directmax.tool.run.attribute_yardsticks import SHOWN

            console.print(score_table(summary, SHOWN))
        if note := training_note(summary, RunFolder(folder).metrics()):
            console.print(note)
        for line in summary["advice"]:
            console.print(line)
        console.print(
            f"best epoch {summary['best_epoch']} of {summary['epochs']}, "
            f"{summary['seconds_per_epoch']:.2f} s an epoch"
        )
        if summary["stopped_early"]:
            console.print(
                f"stopped early: no better epoch in the last {config.patience} "
                f"(--epochs {config.epochs})"
            )
        run = shlex.quote(folder)
        print(f"to look at: directmax explore {run}; beside others: directmax compare {run} OTHER")
        print(f"report: {os.path.join(folder, 'report.html')}")  # noqa: PTH118 (as the user typed it)

    @functools.cached_property
    def path(self) -> str | None:
        """Of data of one's own, if --data is one, or `data` in the file of settings."""
        word = self.flags.data
        if word is None and self.config_file is not None:
            return TrainConfig.data_path(self.config_file)
        return word if word is not None and is_path(word) else None

    def _images(self, config: ResolvedConfig) -> Any:
        """Data of one's own, after a line that says what was understood; None: by name."""
        if self.path is None:
            if (note := also_a_path(self.flags.data or "")) and not is_helper():
                print(note)
            return None
        if self.resume:
            return self.path
        from directmax.tool.run.make import load_data
        from directmax.tool.run.processes import make_fabric

        make_fabric(self.device, 1, config.precision)  # says what is wrong before images are read
        data = load_data(config, self.data_dir, images=self.path)
        if not is_helper():
            shown = _pixels(self.config(data), data)
            print(f"{self.path}: {data.understood}{shown}", flush=True)
        return data

    def config(self, data: Any = None) -> ResolvedConfig:
        """What the flags mean; with --resume, laid over the stored configuration.

        Args:
            data: to train on, where they are not a data set by name.
        """
        flags = vars(self.flags) | ({} if self.path is None else {"data": OWN})
        typed = {name: word for name, word in flags.items() if not SETTINGS[name].unset(word)}
        given: dict[str, Any] = {
            name: value if isinstance(value, tuple) else SETTINGS[name].read(value)
            for name, value in typed.items()
        }
        if self.config_file is not None:
            config = TrainConfig.from_file(self.config_file, **given, preset=self.preset)
            if not self.resume:
                return _for(config, data)
            given = config.given()
        elif not self.resume or self.preset is not None:
            return _for(TrainConfig(**given, preset=self.preset or "default"), data)
        from directmax.tool.run.run_folder import RunFolder

        if not self.run_dir:
            raise ValueError("--resume needs --run-dir, the folder of the run to continue")
        stored = RunFolder(self.run_dir).config()
        checked = {name: SETTINGS[name].check(value) for name, value in given.items()}
        return dataclasses.replace(stored, **checked)


def _for(config: TrainConfig, data: Any) -> ResolvedConfig:
    """What was given means, for these images if they are known."""
    if data is None:
        return config.resolve()
    from directmax.tool.run.make import traits_of

    return config.resolve(*traits_of(data))


def _pixels(config: ResolvedConfig, data: Any) -> str:
    """What becomes of shades and colours; they are not changed unasked without a word."""
    if config.model == "discrete" and config.likelihood != BERNOULLI:
        return f"; pixels have 256 levels (--likelihood {config.likelihood})"
    if config.model == "attributes" or config.binarize == "none":
        return ""
    images = data.train.images
    if bool(((images == 0) | (images == 1)).all()):
        return ""
    at = "" if config.threshold in (None, 0.5) else f" --threshold {config.threshold:g}"
    return f"; every number becomes 0 or 1 (--binarize {config.binarize}{at})"


def _new_folder(config: ResolvedConfig, own: str | None) -> str:
    """A name under runs/ that no other run has."""
    data = config.data if own is None else PurePath(own).name.split(".")[0] or OWN
    encoder = "" if config.encoder == "independent" else f"-{config.encoder}"
    if config.model != "discrete":
        encoder += f"-{config.model}-{config.labels}-labels"
    stem = f"{data}-{config.variables}x{config.values}{encoder}-{config.estimator}"
    path = os.path.join("runs", f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}")  # noqa: PTH118
    number, candidate = 2, path
    while os.path.exists(candidate):  # noqa: PTH110
        candidate, number = f"{path}-{number}", number + 1
    return candidate
