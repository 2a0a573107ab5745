"""Results of other reproductions, taken over in place of running their jobs again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from directmax.tool.files import RunError, write_json
from directmax.tool.jobs.store import OUTCOME, State, Store
from directmax.tool.paper.jobs import Job
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


def without_model(store: Store, jobs: Sequence[Job], left: Sequence[Job]) -> list[Job]:
    """Jobs that were taken over by an earlier call, but whose model one that is left needs.

    Args:
        store: where they are.
        jobs: that are asked for.
        left: those of them that are to be run.
    """
    needed = {each for job in left for each in job.after}
    folders = ((job, store.folder(job)) for job in jobs if job.name in needed)
    return [job for job, folder in folders if folder.is_done and not folder.has_model]


def give_back(store: Store, jobs: Sequence[Job]) -> None:
    """Have jobs that were taken over run all the same.

    Args:
        store: where they are.
        jobs: of `without_model`.

    Raises:
        RunError: the folder cannot be written.
    """
    for job in jobs:
        folder = store.folder(job)
        with folder.claim() as mine:
            if mine:
                folder.write_state(State())


def take_over(store: Store, jobs: Sequence[Job], known: Mapping[str, Outcome]) -> None:
    """Put known outcomes into the folders of their jobs, which are then done.

    Args:
        store: where.
        jobs: that are asked for.
        known: by name; see `usable`.

    Raises:
        RunError: the folder cannot be written.
    """
    for job in jobs:
        folder = store.folder(job)
        if job.name not in known or folder.is_done:
            continue
        folder.create(job)
        outcome = known[job.name]
        with folder.claim() as mine:
            if mine:
                write_json(folder.path / OUTCOME, dataclasses.asdict(outcome))
                seconds = outcome.seconds or 0.0
                folder.write_state(State("done", outcome.attempts, None, seconds))
