"""`directmax explore`: a page to touch a run's model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from directmax.tool.commands.shared import DataDir, OtherData, RunDir, quiet


@dataclass(frozen=True)
class Explore:
    """Write a page to touch a run's model: draw an image, change its code, see it decoded."""

    run_dir: RunDir
    """Folder of the run."""
    output: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE.html", help_behavior_hint="(default: RUN_DIR/explore.html)"),
    ] = None
    """The HTML file to write; it needs nothing beside itself."""
    data: OtherData = None
    """Other images of the same kind."""
    data_dir: DataDir = None
    """Where to look for images first."""

    def run(self) -> None:
        """Explore."""
        from directmax.tool.explore.content import size_of
        from directmax.tool.explore.write import explore_run

        quiet()
        path = explore_run(self.run_dir, self.output, data=self.data, data_dir=self.data_dir)
        print(f"wrote {path} ({size_of(path.stat().st_size)}); open it in a browser")
