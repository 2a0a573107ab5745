"""A whole run: data, training, the one evaluation on the test set, summary and report."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from directmax._choices import check_choice
from directmax._validation import check_count
from directmax.data import ImageData, load_images
from directmax.distributions import DEFAULT_MAX_STATES, number_of_states
from directmax.models import DiscreteVAE, MixedVAE
from directmax.training import pictures
from directmax.training.build import build_model
from directmax.training.checkpoint import load_checkpoint, restore_model
from directmax.training.classes import classes_of, counts_of, with_accuracy
from directmax.training.config import TrainConfig
from directmax.training.denormals import flushed_denormals
from directmax.training.evaluation import MAX_STATES, evaluate_images, max_states
from directmax.training.files import RunError, write_atomic, write_json
from directmax.training.images import split_images
from directmax.training.loop import Trainer
from directmax.training.progress import Progress
from directmax.training.randomness import Stream, derive_seed
from directmax.training.report import write_report
from directmax.training.run_folder import RunFolder, environment

SPLITS = ("train", "validation", "test")
STRATEGIES = ("auto", "ddp")


@flushed_denormals()
def train(
    config: TrainConfig,
    run_dir: str | Path,
    *,
    data_dir: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    compiled: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train, evaluate the best epoch on the test set once, write the run folder.

    Args:
        config: what to train.
        run_dir: folder of the run; must not hold one unless `resume`.
        data_dir: where to look for images first.
        resume: continue the run in `run_dir`; the result is the same as without the interruption.
        device: auto, cpu, cuda, cuda:N or mps.
        devices: number of processes (DistributedDataParallel), each with its share of a batch. A
            process that torchrun started takes the number, also of machines, from there.
        strategy: ddp, or auto (ddp where there are several processes).
        compiled: whether torch compiles the training step, which changes results by rounding.
        progress: told of every step and epoch.

    Returns:
        The summary, as written to `summary.json`.

    Raises:
        RunError: the folder cannot be used, a checkpoint is damaged, the loss became NaN.
        ValueError: data, device or configuration cannot be used.
        Interrupted: Ctrl-C; the state is saved.

    Example:
        >>> import tempfile
        >>> config = TrainConfig(epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     summary = train(config, Path(folder) / "run", device="cpu")
        >>> sorted(summary["test"])
        ['authors', 'bound', 'kl', 'nll', 'num_samples', 'reconstruction', 'valid']
    """
    progress = progress or Progress()
    fabric = make_fabric(device, devices, config.precision, strategy)
    fabric.launch()
    folder = RunFolder(fabric.broadcast(str(run_dir)))  # a name with the time may differ
    data = load_images(config.data, data_dir=data_dir)
    _check_size(config, data)
    trainer = Trainer(config, data, folder, fabric, progress, compiled=compiled)
    with _claim(folder, config, resume, fabric):
        progress.start(config.title, config.epochs, trainer.steps_per_epoch)
        try:
            if resume:
                trainer.resume()
            with _compiler(compiled):
                trainer.run()
        finally:
            progress.stop()
            trainer.close()
        summary = _finish(trainer)
    fabric.barrier()
    return summary


def load_run(
    run_dir: str | Path, *, data_dir: str | Path | None = None, device: str = "auto"
) -> tuple[TrainConfig, ImageData, DiscreteVAE | MixedVAE]:
    """The configuration, the images and the best model of a run.

    Raises:
        RunError: the folder holds no finished epoch, or its checkpoint is damaged.
    """
    folder = RunFolder(run_dir)
    config = folder.config()
    if not (folder.best / "state.json").exists():
        raise RunError(
            f"{folder.path} has no checkpoint yet: its first epoch is not done; continue with "
            f"directmax train --resume --run-dir {folder.path}"
        )
    checkpoint = load_checkpoint(folder.best)
    data = load_images(config.data, data_dir=data_dir)
    model = build_model(config, data.train.images.shape[1])
    if config.precision == "64-true":
        model.double()
    restore_model(model, checkpoint.part("model"), folder.best)
    model.to(make_fabric(device, 1, "32-true").device)
    return config, data, model.eval()


def make_fabric(device: str, devices: int, precision: str, strategy: str = "auto") -> Fabric:
    """Lightning Fabric for a device name such as cpu, cuda or cuda:1.

    Raises:
        ValueError: the device or the strategy is not there, or torchrun says another number.
    """
    check_choice("strategy", strategy, STRATEGIES)
    kind, _, index = device.partition(":")
    available = {"cpu": True, "auto": True}
    available["cuda"] = torch.cuda.is_available()
    available["mps"] = torch.backends.mps.is_available()
    if kind not in available or (index and not index.isdigit()):
        raise ValueError(f"unknown device '{device}': choose auto, cpu, cuda, cuda:N or mps")
    if not available[kind] or (index and int(index) >= torch.cuda.device_count()):
        raise ValueError(f"--device {device} is not available here; choose auto or cpu")
    if devices < 1:
        raise ValueError(f"--devices must be at least 1, got {devices}")
    if precision == "16-mixed" and (kind == "cpu" or not (available["cuda"] or available["mps"])):
        raise ValueError("--precision 16-mixed needs a GPU; choose bf16-mixed or 32-true")
    nodes = 1
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        devices, nodes = _torchrun(devices)
    if index and devices > 1:
        raise ValueError(f"--device {device} is one device, and there are {devices} processes")
    return Fabric(
        accelerator=kind,
        devices=[int(index)] if index else devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else strategy,
        precision=precision,  # type: ignore[arg-type]
    )


def _torchrun(devices: int) -> tuple[int, int]:
    """Processes of this machine, and machines, as torchrun started them."""
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    if devices not in (1, local):
        raise ValueError(
            f"torchrun started {local} processes here, and --devices says {devices}; leave it out"
        )
    return local, int(os.environ["WORLD_SIZE"]) // local


def _check_size(config: TrainConfig, data: ImageData) -> None:
    if config.batch_size > len(data.train):
        raise ValueError(
            f"--batch-size {config.batch_size} is more than the {len(data.train)} training images "
            f"of {data.name}"
        )
    if config.labels and config.values != data.num_classes:
        raise ValueError(
            f"--labels gives every class a value: {data.name} has {data.num_classes} classes, got "
            f"--values {config.values}"
        )
    states = number_of_states(config.variables, config.values)
    if config.estimator == "exact" and states > DEFAULT_MAX_STATES:
        others = "clamped-argmax or direct"
        if config.encoder == "independent":
            others = "direct, gumbel-softmax or local-expectation"
        raise ValueError(
            f"--estimator exact enumerates --values to the power of --variables, here "
            f"{config.values}^{config.variables} states, and at most {DEFAULT_MAX_STATES:,}: "
            f"choose {others}"
        )


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
def _claim(folder: RunFolder, config: TrainConfig, resume: bool, fabric: Fabric) -> Iterator[None]:
    """Be the only writer in the folder. The first process decides, all hear of a refusal."""
    refusal = None
    with contextlib.ExitStack() as stack:
        if fabric.is_global_zero:
            try:
                stack.enter_context(_locked(folder, config) if resume else folder.create(config))
            except RunError as error:
                refusal = str(error)
        if refusal := fabric.broadcast(refusal):
            raise RunError(refusal)
        yield


@contextlib.contextmanager
def _locked(folder: RunFolder, config: TrainConfig) -> Iterator[None]:
    stored = folder.config()
    if differences := config.differences(stored):
        raise RunError(
            f"cannot resume {folder.path} with another configuration: {'; '.join(differences)}; "
            "leave these flags out, or train into a new folder"
        )
    with folder.lock():
        yield


def _finish(trainer: Trainer) -> dict[str, Any]:
    """Evaluate the best weights, on the test set for the first time, and write the results."""
    trainer.load_best()
    results = {
        split: trainer.evaluate(
            trainer.evaluation_images(split), max_states=max_states(trainer.config)
        )
        for split in ("validation", "test")
    }
    if trainer.config.model == "mixed":
        counts = {s: trainer.counts(s, trainer.evaluation_images(s)) for s in results}
        classes = classes_of(trainer.config, counts["validation"])
        results = {s: with_accuracy(results[s], counts[s], classes) for s in results}
    folder, config = trainer.folder, trainer.config
    summary = {
        **{split: metrics.to_dict() for split, metrics in results.items()},
        "best_epoch": trainer.position.best_epoch,
        "epochs": trainer.position.epoch,
        "stopped_early": trainer.stopped_early,
        "compiled": trainer.compiled,
        "seconds_per_epoch": 0.0,
        "seed": config.seed,
        **environment(),
    }
    if trainer.fabric.is_global_zero:
        lines = folder.metrics()
        summary["seconds_per_epoch"] = statistics.median(line["seconds"] for line in lines)
        write_json(folder.summary_file, summary)
        write_report(folder, trainer.model, trainer.data, summary)
    return summary


def evaluate_run(
    run_dir: str | Path,
    *,
    data_dir: str | Path | None = None,
    device: str = "auto",
    num_samples: int | None = None,
    seed: int | None = None,
    splits: Sequence[str] = SPLITS,
    progress: Callable[[str, float], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Bound, its terms and, where enumerable, −log p(x) of a run's best model on every split.

    Args:
        run_dir: folder of the run.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.
        num_samples: samples an image, where the states are too many to enumerate; by default as
            many as in the run's summary.
        seed: of those samples; by default the samples are those of the run's summary.
        splits: which of train, validation and test.
        progress: told of the split and the share of it that is done.

    Returns:
        For each split what `Metrics.to_dict` returns, in nats per image.

    Raises:
        RunError, ValueError: the run, the data or the device cannot be used.
    """
    if num_samples is not None:
        check_count("--samples", num_samples)
    for split in splits:
        check_choice("split", split, SPLITS)
    config, data, model = load_run(run_dir, data_dir=data_dir, device=device)
    num_samples = config.eval_samples if num_samples is None else num_samples
    seed = derive_seed(config.seed, Stream.SAMPLES, 0) if seed is None else seed
    parameter = next(model.parameters())
    results = {}
    classes = _classes(config, data, model)
    for split in splits:
        images = split_images(config, data, split).to(parameter.device, parameter.dtype)
        metrics = evaluate_images(
            model,
            images,
            num_samples=num_samples,
            max_states=MAX_STATES,
            seed=seed,
            progress=functools.partial(progress, split) if progress else None,
        )
        if isinstance(model, MixedVAE):
            counts = counts_of(model, images, getattr(data, split).labels, data.num_classes)
            metrics = with_accuracy(metrics, counts, classes)
        results[split] = metrics.to_dict()
    return results


def _classes(config: TrainConfig, data: ImageData, model: DiscreteVAE | MixedVAE) -> Tensor:
    """The class of every value of a mixed model, from the validation images; else nothing."""
    if not isinstance(model, MixedVAE):
        return torch.empty(0, dtype=torch.int64)
    parameter = next(model.parameters())
    images = split_images(config, data, "validation").to(parameter.device, parameter.dtype)
    counts = counts_of(model, images, data.validation.labels, data.num_classes)
    return classes_of(config, counts)


def sample_run(
    run_dir: str | Path,
    output: str | Path,
    *,
    num_images: int = 100,
    num_reconstructions: int = 20,
    columns: int = 10,
    data_dir: str | Path | None = None,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Write a PNG of decoded codes and, below, of test images and their reconstructions.

    Of a mixed model the codes are a row a class, in the order of the classes; images of a column
    share the Gaussian code, and `num_images` does not count.

    Raises:
        RunError, ValueError: the run, the data or the device cannot be used, or `output` cannot
            be written.
    """
    check_count("--images", num_images)
    check_count("--reconstructions", num_reconstructions, minimum=0)
    check_count("--columns", columns)
    path = Path(output)
    if path.suffix.lower() != ".png":
        raise ValueError(f"--output must end in .png, got {output}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"cannot write {output}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise ValueError(f"cannot write {output}: it is a folder")
    config, data, model = load_run(run_dir, data_dir=data_dir, device=device)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(model, MixedVAE):
        order = _classes(config, data, model).argsort()
        codes = pictures.analogies(model, columns, order=order, generator=generator)
    else:
        codes = pictures.decoded_codes(model, num_images, generator=generator)
    picture = pictures.tile(codes, data.shape, columns)
    if num_reconstructions:
        images = split_images(config, data, "test")[:num_reconstructions]
        pairs = pictures.pairs(images, pictures.reconstructed(model, images), data.shape, columns)
        picture = pictures.above(picture, pairs)
    write_atomic(path, pictures.png(picture))
