"""The model and the images whose gradients are measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from directmax.distributions import DEFAULT_MAX_STATES, Categorical, number_of_states
from directmax.estimators import Estimator
from directmax.laboratory import PotentialGradients
from directmax.models import ENCODERS, DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.config.build import build_model
from directmax.tool.data import ImageData
from directmax.tool.data.names import OWN, is_path
from directmax.tool.measure.gradient_request import GradientRequest
from directmax.tool.run.described import image_shape
from directmax.tool.run.finished import load_binary_run
from directmax.tool.run.images import split_images
from directmax.tool.run.make import load_data, traits_of
from directmax.tool.run.train import make_fabric

ADAPT_BATCH = 100
ADAPT_RATE = 1e-2
"""Mini-batches and Adam's learning rate for what estimators learn."""


@dataclass(frozen=True)
class Model:
    """A model, images, and the digest of its weights and of these."""

    config: ResolvedConfig
    vae: DiscreteVAE | MixedVAE
    images: Float[Tensor, "b d"]
    split: Float[Tensor, "N d"]
    digest: str

    def gradients(self, images: Float[Tensor, "b d"] | None = None) -> PotentialGradients:
        """Of E_q[f] for images, those that are measured if not given.

        Candidates are decoded in full precision, whose rounding is no bias. The Gaussians of a
        mixed model are drawn once, so that f is a function of z.
        """
        images = self.images if images is None else images
        with torch.no_grad():
            if isinstance(self.vae, DiscreteVAE):
                q = self.vae.posterior(images)
                return PotentialGradients(q, self.vae.objective(images, reduced=False))
            generator = torch.Generator(images.device).manual_seed(0)
            posterior = self.vae.encoder(images)
            mixed = self.vae.objective(images, posterior, generator=generator)
        mixed.reduced = False
        return PotentialGradients(Categorical(posterior.logits, validate=False), mixed)

    def adapt(self, estimator: Estimator, steps: int, seed: int) -> None:
        """Let an estimator learn its parameters and running means on mini-batches, if it has any.

        Args:
            estimator: is changed.
            steps: mini-batches.
            seed: of these, and of the noise.
        """
        parameters = [p for p in estimator.parameters() if p.requires_grad]
        if not parameters and not list(estimator.buffers()):
            return
        device = self.images.device
        order = np.random.default_rng(seed)
        generator = torch.Generator(device).manual_seed(seed)
        optimizer = torch.optim.Adam(parameters, lr=ADAPT_RATE) if parameters else None
        estimator.train()
        for _ in range(steps):
            index = order.choice(len(self.split), min(ADAPT_BATCH, len(self.split)), replace=False)
            gradients = self.gradients(self.split[torch.from_numpy(index).to(device)])
            q = gradients.distribution()
            loss = estimator(q, gradients.objective, generator=generator).loss.mean()
            if optimizer is not None:
                slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
                for parameter, slope in zip(parameters, slopes, strict=True):
                    parameter.grad = slope
                optimizer.step()


def load_model(
    request: GradientRequest,
    *,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> Model:
    """The best model of a run, or a fresh one.

    Args:
        request: decides images and seed, and the fresh model.
        run_dir: folder of the run; None for a fresh model.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        ValueError: a setting that the run decides, or data, run or device cannot be used.
    """
    if run_dir is not None:
        for name in request.model:
            raise ValueError(f"--{name} comes from the run {run_dir}; leave it out")
        config, data, vae = load_binary_run(run_dir, data_dir=data_dir, device=device)
    else:
        given, own = dict(request.model), None
        if is_path(request.data or ""):
            given["data"], own = OWN, request.data
        asked = TrainConfig(**given, seed=request.seed)
        found = load_data(asked.resolve(), data_dir, images=own)
        assert isinstance(found, ImageData)  # as of every model but that with attributes
        data = found
        config = asked.resolve(*traits_of(data))
        vae = build_model(config, image_shape(data))
        vae.to(make_fabric(device, 1, "32-true").device).eval()
    if ENCODERS[config.encoder].structure:
        raise ValueError(
            f"gradients are of a model with --encoder independent, pairwise or supermodular, not "
            f"{config.encoder}: for codes of a set compare_gradients of the library takes a "
            "function that returns q, and parameters"
        )
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
