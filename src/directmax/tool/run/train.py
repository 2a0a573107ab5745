"""A whole run: data, training, the one evaluation on the test set, summary and report."""

from __future__ import annotations

import contextlib
import logging
import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from directmax._precision import cpu_has_bfloat16, fast_bfloat16, settled
from directmax.tool.config import ResolvedConfig, TrainConfig, extended
from directmax.tool.data.names import OWN
from directmax.tool.files import RunError, write_json
from directmax.tool.run.allocator import keep_freed_memory
from directmax.tool.run.denormals import flushed_denormals
from directmax.tool.run.described import Described
from directmax.tool.run.loggers import DEFAULT, check_loggers
from directmax.tool.run.loop import Trainer
from directmax.tool.run.make import (
    Data,
    Given,
    images_of_run,
    load_data,
    make_task,
    record_of,
    title_of,
    traits_of,
)
from directmax.tool.run.processes import joined, make_fabric, used_precision
from directmax.tool.run.progress import Progress
from directmax.tool.run.provenance import environment
from directmax.tool.run.report import write_report
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.threads import threads_of


@flushed_denormals()
def train(
    config: TrainConfig | ResolvedConfig,
    run_dir: str | Path,
    *,
    images: Given | None = None,
    data_dir: str | Path | None = None,
    resume: bool = False,
    extend: int = 0,
    device: str = "auto",
    workers: int = 0,
    devices: int = 1,
    strategy: str = "auto",
    compiled: bool = False,
    log: Sequence[str] = DEFAULT,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train, evaluate the best epoch on the test set once, write the run folder.

    Args:
        config: what to train.
        run_dir: folder of the run; must not hold one unless `resume`.
        images: in place of those that `config` names, or their path; the same again to resume.
        data_dir: where to look for images first; the run keeps it.
        resume: continue the run in `run_dir`, to the same result.
        extend: epochs more than it was to have; see `directmax.tool.config.extended`.
        device: auto, cpu, cuda, cuda:N or mps.
        workers: processes that read the images of the attributes model; 0 reads in this one.
        devices: processes, each with its share of a batch; torchrun says how many itself.
        strategy: ddp, or auto (ddp where there are several processes).
        compiled: whether torch compiles the step; results differ by rounding.
        log: any of csv, tensorboard, wandb, mlflow.
        progress: told of steps and epochs.

    Returns:
        The summary, as written to `summary.json`.

    Raises:
        RunError: the folder cannot be used, a checkpoint is damaged, the loss became NaN.
        ValueError: data, device or configuration cannot be used.
        Interrupted: Ctrl-C; the state is saved.

    Example:
        >>> import tempfile, torch, directmax.tool.data
        >>> noise = directmax.tool.data.ImageData.from_arrays(torch.rand(200, 4, 6))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train(TrainConfig(epochs=2), folder, images=noise, device="cpu")["best_epoch"] > 0
        True
    """
    given, config, log = config, config.resolve(), check_loggers(log)
    with _as_it_began(run_dir, resume):
        fabric = make_fabric(device, devices, config.precision, strategy)
        with joined(fabric):
            folder = RunFolder(fabric.broadcast(str(run_dir)))  # a name with the time may differ
            data = _data(folder, config, data_dir, images, resume)
            before, config = _of_this_length(given, data, extend, resume)
            task = make_task(config, data, fabric, workers=workers)
            trainer = Trainer(task, folder, progress or Progress(), compiled=compiled, log=log)
            sources = _sources(config, data, data_dir, images)
            with _stops_told(trainer), _claim(trainer, sources, resume, before if extend else None):
                return _train(trainer, resume=resume)


def _data(
    folder: RunFolder,
    config: ResolvedConfig,
    data_dir: str | Path | None,
    images: Given | None,
    resume: bool,
) -> Data:
    find = partial(images_of_run, folder) if resume else load_data
    return find(config, data_dir, images=images)


@contextlib.contextmanager
def _as_it_began(run_dir: str | Path, resume: bool) -> Iterator[None]:
    """In here a run goes on with the arithmetic that it began with, whatever is faster now."""
    fast = None
    if resume:
        with contextlib.suppress(RunError):  # is said later
            fast = RunFolder(run_dir).record().get("bfloat16", cpu_has_bfloat16())  # once decided
    with settled(fast if isinstance(fast, bool) else None):
        yield


def _sources(
    config: ResolvedConfig,
    data: Data,
    data_dir: str | Path | None,
    images: Given | None,
) -> dict[str, Any]:
    """What a run folder keeps of where its images are from; see `RunFolder.create`."""
    own = images is not None or config.data == OWN
    return {"images": record_of(data)} if own else {"data_dir": data_dir}


def _of_this_length(
    given: TrainConfig | ResolvedConfig, data: Data, extend: int, resume: bool
) -> tuple[ResolvedConfig, ResolvedConfig]:
    """The configuration for these images as it was, and with more epochs."""
    if extend and not resume:
        raise ValueError("--extend goes on with a run: add --resume and --run-dir")
    before = given.resolve(*traits_of(data))
    return before, extended(before, extend)


@contextlib.contextmanager
def _stops_told(trainer: Trainer) -> Iterator[None]:
    """Whenever the run is stopped it says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if not trainer.folder.config_file.exists():  # nothing to go on with
            raise
        raise trainer.interrupted(saved=False) from None


def _train(trainer: Trainer, *, resume: bool) -> dict[str, Any]:
    """The run in its folder, to its summary."""
    if trainer.fabric.device.type == "cpu":
        keep_freed_memory()
    with threads_of(trainer.config, trainer.task.data, trainer.fabric.device):
        return _phases(trainer, resume=resume)


def _phases(trainer: Trainer, *, resume: bool) -> dict[str, Any]:
    trainer.progress.start(
        title_of(trainer.config, trainer.task.data),
        trainer.config.total_epochs,
        trainer.steps_per_epoch,
    )
    try:
        try:
            trainer.task.prepare(trainer.folder, trainer.progress)
            if resume:
                trainer.resume()
            with _compiler(trainer.compiled):
                trainer.run()
        finally:
            trainer.progress.stop()
            trainer.task.close()
        summary = _finish(trainer)
    finally:
        trainer.close()
    trainer.fabric.barrier()
    return summary


@contextlib.contextmanager
def _compiler(compiled: bool) -> Iterator[None]:
    """Errors of the compiler in one line; its notes on what it leaves out are silenced."""
    if not compiled:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    try:
        yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"torch cannot compile the step here: {reason}; leave --compile out"
        ) from error


@contextlib.contextmanager
def _claim(
    trainer: Trainer, sources: dict[str, Any], resume: bool, before: ResolvedConfig | None
) -> Iterator[None]:
    """Be the only writer in the folder. The first process decides, all hear of a refusal.

    Args:
        sources: `images` and `data_dir` of `RunFolder.create`.
        before: what the configuration was extended from; None: it was not.
    """
    folder, config, fabric = trainer.folder, trainer.config, trainer.fabric
    refusal = None
    with contextlib.ExitStack() as stack:
        if fabric.is_global_zero:
            try:
                if before is not None:
                    claim = folder.extend(config, before)
                elif resume:
                    claim = folder.resume(config)
                else:
                    described = Described.of(trainer.task.data).to_dict()
                    fast = fast_bfloat16(fabric.device)
                    sources |= {"data": described, "bfloat16": fast}
                    claim = folder.create(config, fabric.device, **sources)
                stack.enter_context(claim)
            except RunError as error:
                refusal = str(error)
        if refusal := fabric.broadcast(refusal):
            raise RunError(refusal)
        yield


def _finish(trainer: Trainer) -> dict[str, Any]:
    """Evaluate the best weights, on the test set for the first time, and write the results."""
    trainer.state.load_weights(trainer.folder.best)
    results = trainer.task.results()
    folder, config = trainer.folder, trainer.config
    summary = {
        **{split: metrics.to_dict() for split, metrics in results.items()},
        **({"classes": trainer.task.classes} if trainer.task.classes else {}),
        **({"distortion": trainer.task.tried} if trainer.task.tried else {}),
        "best_epoch": trainer.position.best_epoch,
        "epochs": trainer.position.epoch,
        **({"start": trainer.position.start} if config.start_epochs else {}),
        "stopped_early": trainer.stopped_early,
        "compiled": trainer.compiled,
        "seconds_per_epoch": 0.0,
        "seed": config.seed,
        "precision": used_precision(config.precision, trainer.fabric.device),
        **environment(trainer.fabric.device),
    }
    if trainer.fabric.is_global_zero:
        lines = folder.metrics()
        summary["seconds_per_epoch"] = statistics.median(line["seconds"] for line in lines)
        if found := trainer.task.yardsticks():
            summary["yardsticks"] = found
        summary["advice"] = trainer.task.advice(summary, lines, folder.other_starts())
        write_json(folder.summary_file, summary)
        pictures = write_report(folder, trainer.model, trainer.task.data, summary)
        if trainer.log is not None:
            trainer.log.finish(summary, pictures or [])
    return summary
