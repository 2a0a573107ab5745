"""The reference of table 1: expectation-maximisation of the very model that is trained there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.tool.config import TrainConfig
from directmax.tool.data import ImageData, load_images
from directmax.tool.files import read_json, reading, write_json
from directmax.tool.jobs.bench import START_SECONDS, Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.kind import Estimate, Kind
from directmax.tool.jobs.task import Task
from directmax.tool.kinds.shared import origin, small
from directmax.tool.run.images import split_images
from directmax.tool.run.provenance import environment
from directmax.tool.run.train import make_fabric

PRIOR = 1.0
"""Pseudo-images with the mean image in every component, so that no probability is 0 or 1."""
TOLERANCE = 1e-4
"""Nats per image; an iteration that gains less is the last."""
CHUNK = 10_000
FEW_ITERATIONS = 3


@dataclass(frozen=True)
class Mixture:
    """A Bernoulli mixture with equal weights.

    Attributes:
        logits: of the pixels, a component a row.
        iterations: until it no longer moved.
    """

    logits: Float[Tensor, "k d"]
    iterations: int

    def nll(self, images: Float[Tensor, "N d"]) -> float:
        """Mean −log p(x) in nats per image."""
        sums = [_joint(self.logits, x).logsumexp(1).sum() for x in images.split(CHUNK)]
        return -sum(map(float, sums)) / len(images)


def fit_mixture(
    images: Float[Tensor, "N d"], values: int, *, iterations: int, generator: torch.Generator
) -> Mixture:
    r"""Fit p(x) = (1/k) Σ_z Π_i p_{zi}^{x_i} (1 − p_{zi})^{1 − x_i} by expectation-maximisation.

    It is the model of table 1: a decoder of one variable with k values and a uniform prior is k
    images of probabilities. Starts from k images, each drawn towards the mean image.

    Args:
        images: binary x `(N, d)`.
        values: k.
        iterations: at most so many.
        generator: of the start.

    Returns:
        The mixture.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(50, 1)
        >>> start = torch.Generator().manual_seed(0)
        >>> round(fit_mixture(x, 2, iterations=50, generator=start).nll(x), 2)  # log 2 = 0.69
        0.71

    Reference:
        Dempster, Laird and Rubin 1977; Bishop 2006, section 9.3.3.
    """
    count = len(images)
    mean = (images.sum(0) + 0.5) / (count + 1)
    chosen = torch.randperm(count, generator=generator)[:values].to(images.device)
    if len(chosen) < values:
        raise ValueError(f"a mixture of {values} needs as many images, got {count}")
    logits = torch.logit(0.75 * mean + 0.25 * images[chosen])
    before, done = float("inf"), 0
    while done < iterations:
        done += 1
        sums, sizes = torch.zeros_like(logits), images.new_zeros(values)
        total = 0.0
        for x in images.split(CHUNK):
            joint = _joint(logits, x)
            total -= float(joint.logsumexp(1).sum())
            weights = joint.softmax(1)
            sums += weights.T @ x
            sizes += weights.sum(0)
        logits = torch.logit((sums + PRIOR * mean) / (sizes + PRIOR).unsqueeze(1))
        bound = total / count
        if before - bound < TOLERANCE:
            break
        before = bound
    return Mixture(logits, done)


def measure_mixture(settings: Mapping[str, Any], data: ImageData, device: torch.device) -> Any:
    """The best of some restarts, by the validation images.

    Args:
        settings: `data`, `binarize`, `values`, `restarts`, `iterations` and `seed`.
        data: the images.
        device: where to compute.

    Returns:
        `nll` in nats per image under `validation` and `test`, JSON-ready, and the iterations.
    """
    config = TrainConfig(
        data=settings["data"],
        binarize=settings["binarize"],
        values=settings["values"],
        seed=settings["seed"],
    ).resolve()
    images = {
        split: split_images(config, data, split).to(device, torch.float32)
        for split in ("train", "validation", "test")
    }
    generator = torch.Generator().manual_seed(settings["seed"])
    fits = [
        fit_mixture(
            images["train"],
            settings["values"],
            iterations=settings["iterations"],
            generator=generator,
        )
        for _ in range(settings["restarts"])
    ]
    best = min(fits, key=lambda fit: fit.nll(images["validation"]))
    return {
        "validation": {"nll": best.nll(images["validation"])},
        "test": {"nll": best.nll(images["test"])},
        "train": {"nll": best.nll(images["train"])},
        "iterations": [fit.iterations for fit in fits],
    }


def _joint(logits: Float[Tensor, "k d"], x: Float[Tensor, "N d"]) -> Float[Tensor, "N k"]:
    """Log p(x, z)."""
    constant = torch.nn.functional.logsigmoid(-logits).sum(1)
    log_k = torch.log(torch.tensor(float(len(logits)), device=x.device))
    return x @ logits.T + constant - log_k


class Fitting(Kind):
    """A mixture; the settings are those of `measure_mixture`."""

    def run(self, job: Job, folder: Path, task: Task) -> None:
        """Fit it from all starts."""
        data = load_images(str(job.settings["data"]), data_dir=task.data_dir)
        device = make_fabric(task.device, 1, "32-true").device
        found = measure_mixture(job.settings, data, device)
        write_json(folder / "result.json", {**found, **environment(device)})

    def load(self, job: Job, images: Images) -> None:
        """Its images."""
        images.binary(job.settings["data"])

    def estimate(self, job: Job, bench: Bench) -> Estimate:
        """From a few iterations; it may need fewer than are allowed."""
        reduced = {**job.settings, "seed": 0, "restarts": 1, "iterations": FEW_ITERATIONS}

        def measure() -> tuple[float]:

            device = make_fabric(bench.device, 1, "32-true").device
            began = time.perf_counter()
            found = measure_mixture(reduced, bench.images.binary(reduced["data"]), device)
            return ((time.perf_counter() - began) / sum(found["iterations"]),)

        (each,) = bench.seconds(("mixture", reduced), measure)
        iterations = job.settings["restarts"] * job.settings["iterations"]
        return Estimate(None, START_SECONDS + iterations * each)

    def result(self, folder: Path, *, done: bool) -> dict[str, Any]:
        """Losses of validation and test images."""
        if not done:
            return {}
        record = read_json(folder / "result.json")
        with reading(folder / "result.json"):
            losses = {split: small(record.get(split)) for split in ("validation", "test")}
            return {**losses, **origin(record)}
