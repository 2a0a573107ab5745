"""`directmax gradients`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from directmax.tool.commands.shared import DataDir, quiet
from directmax.tool.measure.gradient_request import GradientRequest

if TYPE_CHECKING:
    from directmax.tool.measure.gradients import GradientTable


@dataclass(frozen=True)
class Gradients:
    """Measure bias, variance and cost of gradient estimators against the exact gradient."""

    request: Annotated[GradientRequest, tyro.conf.arg(name="")]
    run_dir: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[RUN_DIR]", help_behavior_hint="(default: a fresh model)"),
    ] = None
    """Folder of a run, whose best checkpoint is measured."""
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

    memory: ClassVar[tuple[str, ...]] = ("--images", "--samples", "--draws")

    def run(self) -> None:
        """Measure, save after every setting, print the table (or JSON), draw the picture."""
        from directmax.tool.measure.gradients import measure_gradients, save_pictures

        quiet()
        with _display(quiet=self.json) as progress:
            table = measure_gradients(
                self.request,
                run_dir=self.run_dir,
                data_dir=self.data_dir,
                device=self.device,
                output=self.output,
                resume=self.resume,
                progress=progress,
            )
        if self.json:
            print(json.dumps(table.to_dict(), indent=2, ensure_ascii=False))
        else:
            _print(table)
        if self.output is not None:
            save_pictures(table, self.output)
            if not self.json:
                print(f"wrote {self.output}/gradients.json, gradients.svg and gradients.png")


def _print(table: GradientTable) -> None:
    from rich.text import Text

    from directmax.tool.look.progress import make_console

    console = make_console()
    console.print(Text(table.comparison.table(width=console.width)), soft_wrap=True)
    for note in table.notes:
        console.print(Text(note), soft_wrap=True)


@contextlib.contextmanager
def _display(*, quiet: bool) -> Iterator[Callable[[str, float, int], object]]:
    """Shows how far the measurement is: a bar on a terminal, a line a setting elsewhere."""
    from rich import progress
    from rich.console import Console

    def line(text: str, done: float, total: int) -> None:
        if done == int(done) and not quiet:  # not in the middle of a setting
            print(f"{done}/{total}  {text}", flush=True)

    console = Console(stderr=True)
    if not console.is_terminal:
        yield line
        return
    columns = (
        progress.TextColumn("{task.description:34.34s}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda text, done, total: bar.update(
            task, description=text, completed=done, total=total
        )
