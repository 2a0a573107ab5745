"""Results of other reproductions, taken over in place of running their jobs again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from directmax.tool.files import RunError, write_json
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.store import OUTCOME, JobFolder, State
from directmax.tool.paper.report.results import Outcome, Results


def read_known(files: Iterable[str | Path]) -> dict[str, Outcome]:
    """Finished outcomes of `results.json` files, by the digest of their jobs.

    Args:
        files: of which a later one wins.

    Raises:
        RunError: a file is missing or no results of a reproduction.
    """
    found = {}
    for file in map(Path, files):
        try:
            results = Results.from_dict(json.loads(file.read_text()))
        except FileNotFoundError as error:
            raise RunError(f"--known {file} does not exist") from error
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"--known {file} is no results.json of a reproduction") from error
        for outcome in results.outcomes:
            if outcome.done:
                job = Job(outcome.name, outcome.kind, outcome.settings, outcome.cell)
                found[job.digest()] = outcome
    return found


def usable(jobs: Sequence[Job], known: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Of known outcomes those of jobs, by name; not of jobs whose folder another one needs.

    Args:
        jobs: that are asked for.
        known: by digest.
    """
    needed = {each for job in jobs for each in job.after if job.digest() not in known}
    found = {job.name: known.get(job.digest()) for job in jobs if job.name not in needed}
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def without_model(folders: Mapping[str, JobFolder], left: Container[str]) -> list[str]:
    """Jobs that were taken over by an earlier call, but whose model one that is left needs.

    Args:
        folders: of the jobs that are asked for, by name.
        left: names of those that are to be run.
    """
    needed = {each for name in folders if name in left for each in folders[name].job.after}
    return [n for n, f in folders.items() if n in needed and f.is_done and not f.has_model]


def give_back(folders: Iterable[JobFolder]) -> None:
    """Have jobs that were taken over run all the same.

    Raises:
        RunError: a folder cannot be written.
    """
    for folder in folders:
        with folder.claim() as locked:
            if locked:
                folder.write_state(State())


def take_over(folders: Mapping[str, JobFolder], known: Mapping[str, Outcome]) -> None:
    """Put known outcomes into the folders of their jobs, which are then done.

    Args:
        folders: of the jobs that are asked for, by name.
        known: by name; see `usable`.

    Raises:
        RunError: a folder cannot be written.
    """
    for name, outcome in known.items():
        folder = folders[name]
        if folder.is_done:
            continue
        folder.create()
        with folder.claim() as locked:
            if locked:
                write_json(folder.path / OUTCOME, dataclasses.asdict(outcome))
                seconds = outcome.seconds or 0.0
                folder.write_state(State("done", outcome.attempts, None, seconds))
