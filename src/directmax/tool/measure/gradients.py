"""`directmax gradients`: bias, variance and cost of estimators, for a model and real images."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from directmax.distributions import (
    DEFAULT_MAX_STATES,
    Categorical,
    PairwiseBinary,
    number_of_states,
)
from directmax.estimators import Estimator
from directmax.laboratory import (
    GradientComparison,
    GradientStatistics,
    Point,
    PotentialGradients,
    Reference,
    Setting,
    exact_reference,
    measure_gradient,
)
from directmax.models import DiscreteVAE, MixedVAE
from directmax.objectives import Reconstruction
from directmax.tool.config.build import build_model
from directmax.tool.config.train import TrainConfig
from directmax.tool.data import ImageData
from directmax.tool.files import write_atomic
from directmax.tool.measure.gradient_grid import Request, build, setting_seed, settings_of
from directmax.tool.measure.gradient_record import Record, Stopped, read_points
from directmax.tool.run.finished import load_binary_run
from directmax.tool.run.images import split_images
from directmax.tool.run.make import load_data
from directmax.tool.run.train import make_fabric

CONFIDENCE = 0.95
ADAPT_BATCH = 100
ADAPT_RATE = 1e-2
"""Mini-batches and Adam's learning rate for what estimators learn."""
MODEL_FLAGS = ("data", "binarize", "encoder", "variables", "values", "hidden")
"""What a run decides; None: not given."""
PERTURB_AND_MAP = (
    "samples are perturb-and-MAP samples, the exact gradient is that of the Gibbs distribution: "
    "where variables are coupled, estimators that are unbiased for their samples show a bias"
)


@dataclass(frozen=True)
class Model:
    """A model, images, and the digest of its weights and of these."""

    config: TrainConfig
    vae: DiscreteVAE | MixedVAE
    images: Float[Tensor, "b d"]
    split: Float[Tensor, "N d"]
    digest: str


def load_model(
    run_dir: str | None,
    request: Request,
    *,
    data_dir: str | None,
    device: str,
    **flags: Any,
) -> Model:
    """The best model of a run, or a fresh one.

    Args:
        run_dir: folder of the run; None for a fresh model.
        request: decides images and seed.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.
        flags: those of `MODEL_FLAGS`, for a fresh model; None: the default.

    Raises:
        ValueError: a flag that the run decides, or data, run or device cannot be used.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if run_dir is not None:
        if given:
            name = next(iter(given))
            raise ValueError(f"--{name} comes from the run {run_dir}; leave it out")
        config, data, vae = load_binary_run(run_dir, data_dir=data_dir, device=device)
    else:
        config = TrainConfig(**given, seed=request.seed)
        found = load_data(config, data_dir)
        assert isinstance(found, ImageData)  # as of every model but that with attributes
        data = found
        vae = build_model(config, data.train.images.shape[1])
        vae.to(make_fabric(device, 1, "32-true").device).eval()
    states = number_of_states(config.variables, config.values)
    if states > DEFAULT_MAX_STATES:
        raise ValueError(
            f"the exact gradient is a sum over --values to the power of --variables, here "
            f"{config.values}^{config.variables} states, and at most {DEFAULT_MAX_STATES:,}; "
            "for larger models compare_gradients of the library takes an average as reference"
        )
    parameter = next(vae.parameters())
    split = split_images(config, data, request.split).to(parameter.device, parameter.dtype)
    if request.images > len(split):
        raise ValueError(
            f"--images {request.images} is more than the {len(split)} {request.split} images of "
            f"{data.name}"
        )
    images = split[: request.images]
    weights = [tensor for name, tensor in vae.state_dict().items() if "estimator" not in name]
    digest = hashlib.sha256()
    for tensor in (*weights, images):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return Model(config, vae, images, split, digest.hexdigest()[:16])


def adapt(estimator: Estimator, model: Model, steps: int, seed: int) -> None:
    """Let an estimator learn its parameters and running means on mini-batches; most have none."""
    parameters = [p for p in estimator.parameters() if p.requires_grad]
    if not parameters and not list(estimator.buffers()):
        return
    device = model.images.device
    order = np.random.default_rng(seed)
    generator = torch.Generator(device).manual_seed(seed)
    optimizer = torch.optim.Adam(parameters, lr=ADAPT_RATE) if parameters else None
    estimator.train()
    for _ in range(steps):
        index = order.choice(len(model.split), min(ADAPT_BATCH, len(model.split)), replace=False)
        gradients = _gradients(model, model.split[torch.from_numpy(index).to(device)])
        q = gradients.distribution()
        loss = estimator(q, gradients.objective, generator=generator).loss.mean()
        if optimizer is not None:
            slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.grad = slope
            optimizer.step()


def _gradients(model: Model, images: Tensor) -> PotentialGradients:
    """Candidates are decoded in full precision, whose rounding is no bias.

    The Gaussians of a mixed model are drawn once, so that f is a function of z.
    """
    if isinstance(model.vae, MixedVAE):
        generator = torch.Generator(images.device).manual_seed(0)
        with torch.no_grad():
            posterior = model.vae.encoder(images)
            objective = model.vae.objective(images, posterior, generator=generator)
        objective.reduced = False
        return PotentialGradients(Categorical(posterior.logits, validate=False), objective)
    with torch.no_grad():
        q = model.vae.posterior(images)
    return PotentialGradients(q, Reconstruction(model.vae.decoder, images, reduced=False))


def measure(
    model: Model,
    settings: dict[Setting, TrainConfig],
    request: Request,
    reference: Reference,
    done: set[Setting],
    progress: Callable[[Setting, float], object] = lambda setting, share: None,
) -> Iterator[Point | str]:
    """Each setting that is not done: what was measured, or why it cannot be.

    Settings do not depend on each other: noise, initial networks and mini-batches have seeds of
    the setting's own.
    """
    gradients = _gradients(model, model.images)
    for setting, config in settings.items():
        if setting in done:
            continue
        seeds = {
            purpose: setting_seed(request.seed, setting, purpose)
            for purpose in ("start", "adapt", "draws")
        }
        try:
            estimator = build(config, seeds["start"]).to(model.images.device)
            adapt(estimator, model, request.adapt, seeds["adapt"])
            generator = torch.Generator(model.images.device).manual_seed(seeds["draws"])
            statistics = measure_gradient(
                gradients,
                setting.label,
                estimator,
                reference,
                num_draws=request.draws,
                confidence=CONFIDENCE,
                generator=generator,
                progress=functools.partial(progress, setting),
            )
        except (TypeError, ValueError) as error:
            if request.estimators:
                raise
            yield f"without {setting.label}: {error}"
            continue
        yield Point(setting, statistics)


def command(
    *,
    run_dir: str | None,
    data_dir: str | None,
    device: str,
    output: str | None,
    resume: bool,
    json: bool,
    model_flags: dict[str, Any],
    **flags: Any,
) -> None:
    """Measure, save after every setting, print the table (or JSON), draw the picture."""
    request = Request(**flags)
    if resume and output is None:
        raise ValueError("--resume needs --output, the folder of the measurement to continue")
    model = load_model(run_dir, request, data_dir=data_dir, device=device, **model_flags)
    settings, notes = settings_of(model.config, request)
    configuration = {
        **dataclasses.asdict(request),
        **{name: getattr(model.config, name) for name in MODEL_FLAGS},
        "weights and images": model.digest,
    }
    record = Record(output, loads(dumps(configuration)), resume, model.images.device)
    gradients = _gradients(model, model.images)
    if isinstance(gradients.q, PairwiseBinary) and gradients.q.perturbation == "unary":
        notes.append(PERTURB_AND_MAP)
    reference = exact_reference(gradients)

    def comparison() -> GradientComparison:
        return GradientComparison(
            rows=tuple(point.statistics for point in record.points),
            reference=reference.name,
            norm=reference.norm,
            num_problems=gradients.shape[0],
            num_entries=gradients.shape[1],
            confidence=CONFIDENCE,
        )

    def content() -> dict[str, Any]:
        return {**record.to_dict(), **comparison().to_dict(), "notes": notes, "rows": record.rows()}

    done = {point.setting for point in record.points}
    record.write(content())
    with _progress(len(settings), len(done), quiet=json) as told:
        try:
            for found in measure(model, settings, request, reference, done, told.share):
                if isinstance(found, str):
                    notes.append(found)
                else:
                    record.points.append(found)
                record.write(content())
                told.finished(found)
        except KeyboardInterrupt:
            raise Stopped(len(record.points), len(settings), output is not None) from None
    if json:
        print(dumps(content(), indent=2, ensure_ascii=False))
    else:
        console = Console()
        console = console if console.is_terminal else Console(width=140)
        console.print(comparison().table(width=console.width))
        for note in notes:
            console.print(Text(note), soft_wrap=True)
    if output is not None:
        _draw(Path(output), record.points, reference.norm, quiet=json)


@dataclass
class _Told:
    """Shows how far the measurement is: a bar on a terminal, a line a setting elsewhere."""

    total: int
    number: int
    bar: Progress | None
    quiet: bool

    def __post_init__(self) -> None:
        self.task = self.bar.add_task("", total=self.total) if self.bar is not None else None

    def share(self, setting: Setting, share: float) -> None:
        """This much of a setting is done."""
        if self.bar is not None and self.task is not None:
            done = self.number + min(share, 0.99)
            self.bar.update(self.task, description=setting.label, completed=done)

    def finished(self, found: Point | str) -> None:
        """A setting is done."""
        self.number += 1
        if self.bar is not None or self.quiet:
            return
        text = found if isinstance(found, str) else _line(found.statistics)
        print(f"{self.number}/{self.total}  {text}", flush=True)


def _line(row: GradientStatistics) -> str:
    return f"{row.label}: bias {row.bias}, variance {row.variance} (nats, nats²)"


@contextlib.contextmanager
def _progress(total: int, done: int, *, quiet: bool) -> Iterator[_Told]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Told(total, done, None, quiet)
        return
    columns = (
        TextColumn("{task.description:34s}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Told(total, done, bar, quiet)


def _draw(folder: Path, points: list[Point], norm: float | None, *, quiet: bool) -> None:
    """Write the picture; say which files there are."""
    from directmax.tool.measure import pictures  # slow to import

    figure = pictures.gradient_figure(points, norm or 0.0)
    write_atomic(folder / "gradients.svg", pictures.svg(figure))
    write_atomic(folder / "gradients.png", pictures.png(figure))
    if not quiet:
        print(f"wrote {folder / 'gradients.json'}, gradients.svg and gradients.png")


def draw_figure_one(files: Mapping[str, str | Path], output: str | Path) -> None:
    """Figure 1 of the paper from files that the command wrote, as SVG and PNG.

    Args:
        files: a `gradients.json` for each stage of the training, such as
            `{"initialisation": "a/gradients.json", "mid-training": "b/gradients.json"}`.
        output: the files to write, without the ending.

    Raises:
        RunError: a file cannot be read or written.
    """
    from directmax.tool.measure import pictures

    figure = pictures.figure_one([(title, *read_points(path)) for title, path in files.items()])
    stem = Path(output)
    write_atomic(stem.with_name(f"{stem.name}.svg"), pictures.svg(figure))
    write_atomic(stem.with_name(f"{stem.name}.png"), pictures.png(figure))
