"""What `directmax reproduce` does beside running jobs: what is known, and the report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from directmax.tool.data import DataError
from directmax.tool.data.celeba import count_training
from directmax.tool.data.locate import Places
from directmax.tool.jobs.plan import Plan
from directmax.tool.jobs.work import Work, at_the_end
from directmax.tool.paper import kinds
from directmax.tool.paper.known import give_back, read_known, take_over, usable, without_model
from directmax.tool.paper.report import write_report


def present_data(data_dir: str | Path | None) -> dict[str, int]:
    """Training images of the data sets that cannot be downloaded and are there."""
    try:
        return {"celeba": count_training(Places(data_dir, download=False))}
    except DataError:  # a damaged one is reported when it is loaded
        return {}


class Reproduction(Work):
    """A plan of the paper's items in its folder, with what is known of other reproductions.

    Args:
        plan: what is to be done.
        output: the folder.
        known: `results.json` of other reproductions, whose finished jobs are taken over.
        data_dir: where to look for images first.
        console: where to write.

    Raises:
        ValueError: images are missing or damaged.
        RunError: the folder or a file cannot be used.
    """

    def __init__(
        self,
        plan: Plan,
        output: str | Path,
        *,
        known: Sequence[str] = (),
        data_dir: str | None = None,
        console: Console,
    ) -> None:
        super().__init__(plan, output, kinds=kinds.__name__, data_dir=data_dir, console=console)
        self._known = usable(plan.jobs, read_known(known))
        unfinished = {name for name in self.left if name not in self._known}
        self._again = without_model(self.folders, unfinished)
        self.left = [name for name in self.folders if name in unfinished or name in self._again]

    def unmeasured(self) -> list[str]:
        """Names of the jobs that are taken over from where nothing was measured."""
        return [name for name, outcome in self._known.items() if outcome.measured is None]

    def prepare(self, command: str, *, compiled: bool) -> None:
        """Write the plan, and what is known; see `Work.prepare`."""
        super().prepare(command, compiled=compiled)
        give_back(self.folders[name] for name in self._again)
        take_over(self.folders, self._known)

    @contextlib.contextmanager
    def reported(self, device: str) -> Iterator[None]:
        """Write the report at the end, also after an error or Ctrl-C.

        Args:
            device: that draws its pictures.
        """
        root = self.store.root
        with at_the_end(lambda: write_report(root, data_dir=self._data_dir, device=device)):
            yield
        print(f"report: {root / 'reproduction.html'}")
