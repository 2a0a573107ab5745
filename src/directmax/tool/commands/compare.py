"""`directmax compare`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Compare:
    """Compare finished runs: numbers, settings that differ, curves.

    Runs that differ by their seed only are one group.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")] = ()
    """Run folders, or folders with runs in them."""
    output: Annotated[str, tyro.conf.arg(metavar="FILE.html")] = "compare.html"
    """The page to write."""
    csv: Annotated[
        str | None, tyro.conf.arg(metavar="FILE.csv", help_behavior_hint="(default: none)")
    ] = None
    """A file to write, with a line a run."""

    def run(self) -> None:
        """Compare."""
        if not self.runs:
            raise ValueError("compare needs run folders, such as directmax compare runs/a runs/b")
        from directmax.tool.compare.comparison import compare_runs
        from directmax.tool.compare.page import show, write_csv, write_page
        from directmax.tool.files import user_path
        from directmax.tool.look.progress import make_console

        comparison = compare_runs(self.runs)
        if self.csv is not None:
            write_csv(comparison, user_path(self.csv))
        write_page(comparison, user_path(self.output))
        show(comparison, make_console())
        print(f"page: {self.output}")
