"""The command line that makes a job by itself."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from directmax.tool.paper.kinds import KINDS
from directmax.tool.paper.report.results import Outcome


def command_of(outcome: Outcome, others: Sequence[Outcome] = ()) -> str:
    """What to type for one job alone; nothing where there is no such command.

    Args:
        outcome: of the job.
        others: among them is the run whose model a measurement takes.
    """
    folders = [other.folder for other in others]
    arguments = KINDS[outcome.kind].words(outcome.settings, outcome.folder, folders)
    return shlex.join(["directmax", *arguments]) if arguments else ""
