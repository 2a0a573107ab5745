"""`directmax reproduce`: plan, estimate, run, report."""

from __future__ import annotations

import contextlib
import gc
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from directmax._choices import check_choice
from directmax.tool.config import stored_config
from directmax.tool.files import RunError
from directmax.tool.jobs.engine import Engine
from directmax.tool.jobs.engine_local import RUNS_PER_GPU, LocalEngine, Resources, resources
from directmax.tool.jobs.estimate import Estimate, Estimates, makespan
from directmax.tool.jobs.images import load_all, present_data
from directmax.tool.jobs.known import give_back, read_known, take_over, usable, without_model
from directmax.tool.jobs.plan import Plan, make_plan
from directmax.tool.jobs.progress import JobsProgress, duration
from directmax.tool.jobs.runner import Runner
from directmax.tool.jobs.store import Store
from directmax.tool.jobs.worker import Task
from directmax.tool.paper.jobs import SCALES, Job
from directmax.tool.paper.report import write_report

ENGINES = ("local", "ray")


def command(
    *,
    name: str,
    scale: str,
    seeds: Sequence[int],
    data: Sequence[str],
    only: Sequence[str],
    known: Sequence[str],
    dry_run: bool,
    output: str | None,
    engine: str,
    address: str | None,
    workers: int | None,
    retries: int,
    data_dir: str | None,
    device: str,
    compiled: bool,
    words: Sequence[str],
) -> int:
    """Run the command; returns the exit code: 0, or 1 if jobs failed.

    Raises:
        ValueError: a flag or the data cannot be used.
        RunError: the folder cannot be used or written.
        Stopped: Ctrl-C; what ran is saved.
    """
    check_choice("engine", engine, ENGINES)
    if retries < 0:
        raise ValueError(f"--retries must be at least 0, got {retries}")
    if address is not None and engine != "ray":
        raise ValueError("--address is for --engine ray: add it, or leave --address out")
    if data_dir is not None:  # a worker on another machine has a working directory of its own
        data_dir = str(Path(data_dir).absolute())
    present = present_data(data_dir)
    plan = make_plan(name, scale, seeds=seeds, data=data, only=only, present=present)
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    store = Store(output or Path("runs") / f"reproduction-{scale}")
    store.check(scale)
    images = load_all(plan.jobs, data_dir)  # before they start: nothing is downloaded twice
    taken = usable(plan.jobs, read_known(known))
    left = [job for job in plan.jobs if job.name not in taken and not store.folder(job).is_done]
    again = without_model(store, plan.jobs, left)
    left = [job for job in plan.jobs if job in left or job in again]
    share = resources(device, workers, len(left))
    told = Estimates(images, device=share.devices[0], threads=share.threads, data_dir=data_dir)
    unmeasured = {name for name, outcome in taken.items() if outcome.measured is None}
    measured = [job for job in plan.jobs if job in left or job.name in unmeasured]
    estimates = _estimate(told, measured, console)
    _announce(console, plan, left, estimates, share, engine)
    if dry_run:
        return 0
    del images, told
    _free(share.devices[0])
    store.create()
    give_back(store, again)
    take_over(store, plan.jobs, taken)
    # Steps that are compiled were not measured: the runs' own times are taken.
    epochs = {} if compiled else {job: each.epoch for job, each in estimates.items()}
    store.add_plan(plan.to_dict(shlex.join(["directmax", "reproduce", *words]), store, epochs))
    failed: dict[str, str] = {}
    try:
        if left:
            with contextlib.closing(_engine(engine, address, share, workers)) as running:
                failed = _run(store, plan, running, estimates, console, retries, data_dir, compiled)
    except Exception:  # also Ctrl-C, once what runs is saved
        with contextlib.suppress(RunError):  # such as a full disk, which the first error says
            write_report(store.root, data_dir=data_dir, device=share.devices[0])
        raise
    write_report(store.root, data_dir=data_dir, device=share.devices[0])
    print(f"report: {store.root / 'reproduction.html'}")
    if failed:
        noun = "job" if len(failed) == 1 else "jobs"
        print(
            f"directmax: {len(failed)} {noun} failed; the same command tries again: "
            f"{', '.join(failed)}",
            file=sys.stderr,
        )
        return 1
    return 0


def _run(
    store: Store,
    plan: Plan,
    engine: Engine,
    estimates: dict[str, Estimate],
    console: Console,
    retries: int,
    data_dir: str | None,
    compiled: bool,
) -> dict[str, str]:
    """Run what is left; returns why jobs failed, by name."""
    with JobsProgress(console) as progress:
        runner = Runner(
            store,
            plan.jobs,
            engine,
            task=Task("", data_dir=data_dir, compiled=compiled),
            retries=retries,
            progress=progress,
            seconds={name: each.total for name, each in estimates.items()},
        )
        runner.run()
    return runner.failed


def _free(device: str) -> None:
    """Give back the memory of a card that measuring took, before jobs share it."""
    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def _engine(name: str, address: str | None, share: Resources, workers: int | None) -> Engine:
    if name == "local":
        return LocalEngine(share)
    from directmax.tool.jobs.engine_ray import RayEngine

    gpus = 1 / RUNS_PER_GPU if share.devices[0].startswith("cuda") else 0.0
    return RayEngine(
        address,
        workers=workers if address else share.workers,
        threads=1 if address else share.threads,
        gpus=gpus,
    )


def _estimate(told: Estimates, jobs: Sequence[Job], console: Console) -> dict[str, Estimate]:
    if not console.is_terminal:
        return told.of(jobs)
    columns = (TextColumn("measuring a few steps"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(jobs))
        return told.of(jobs, lambda done, total: bar.update(task, completed=done))


def _announce(
    console: Console,
    plan: Plan,
    left: Sequence[Job],
    estimates: dict[str, Estimate],
    share: Resources,
    engine: str,
) -> None:
    """The jobs, how long they are expected to take, and how that is divided."""
    console.print(Text(f"scale {plan.scale}: {SCALES[plan.scale]}"), soft_wrap=True)
    table = Table()
    table.add_column("job")
    for title in ("epochs", "s an epoch", "whole"):
        table.add_column(title, justify="right")
    waiting = {job.name for job in left}
    for job in plan.jobs:
        epochs = _epochs(job) if job.kind == "train" else ""
        if job.name not in waiting:
            table.add_row(Text(job.name), epochs, "", "done")
            continue
        estimate = estimates[job.name]
        each = "" if estimate.epoch is None else f"{estimate.epoch:.2f}"
        table.add_row(Text(job.name), epochs, each, duration(estimate.total))
    console.print(table)
    for chosen in plan.items:
        if chosen.needs:
            console.print(Text(chosen.needs), soft_wrap=True)
    total = [estimates[job.name].total for job in left]
    if not total:
        console.print(Text("everything is done; the report is written anew"))
        return
    where = f" ({share})" if engine == "local" else " (on this machine alone)"
    console.print(
        Text(
            f"{len(left)} of {len(plan.jobs)} jobs left, about "
            f"{duration(makespan(total, share.workers))}{where}"
        ),
        soft_wrap=True,
    )


def _epochs(job: Job) -> str:
    return str(stored_config(dict(job.settings)).total_epochs)
