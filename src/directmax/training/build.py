"""From a configuration to the objects of a run."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.estimators import (
    ClampedArgmax,
    Direct,
    Estimator,
    Exact,
    GumbelSoftmax,
    LocalExpectation,
)
from directmax.models import Decoder, DiscreteVAE, Encoder, PairwiseEncoder
from directmax.schedules import ExponentialDecay, GeometricDecay, Schedule
from directmax.training.annealing import auto_kl_start
from directmax.training.config import TrainConfig


def build_estimator(config: TrainConfig) -> Estimator:
    """The estimator that a configuration names.

    Example:
        >>> build_estimator(TrainConfig(estimator="exact"))
        Exact(max_states=65536)
    """
    if config.estimator == "exact":
        return Exact()
    if config.estimator == "clamped-argmax":
        return ClampedArgmax(num_samples=config.num_samples)
    if config.estimator == "local-expectation":
        return LocalExpectation(num_samples=config.num_samples)
    if config.estimator == "gumbel-softmax":
        return GumbelSoftmax(
            _annealed(config.temperature, config.anneal_rate),
            straight_through=config.straight_through,
            num_samples=config.num_samples,
        )
    epsilon = config.epsilon
    return Direct(
        epsilon if epsilon == "auto" else _annealed(epsilon, config.anneal_rate),
        scale=config.epsilon_scale,
        two_sided=config.two_sided,
        num_samples=config.num_samples,
    )


def build_model(config: TrainConfig, num_pixels: int) -> DiscreteVAE:
    """The model of a configuration, its weights drawn from the configuration's seed.

    torch's global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = build_encoder(config, num_pixels)
        decoder = Decoder(config.variables, config.values, num_pixels, hidden=config.hidden)
    return DiscreteVAE(
        encoder,
        decoder,
        build_estimator(config),
        unary_kl=config.kl == "unary",
        reduced=config.candidates == "auto",
    )


def build_encoder(config: TrainConfig, num_pixels: int) -> Encoder | PairwiseEncoder:
    """The encoder that a configuration names.

    Raises:
        ValueError: its solver is not installed.
    """
    if config.encoder == "independent":
        return Encoder(num_pixels, config.variables, config.values, hidden=config.hidden)
    return PairwiseEncoder(
        num_pixels,
        config.variables,
        supermodular=config.encoder == "supermodular",
        hidden=config.hidden,
        solver=config.solver,
        perturbation=config.perturbation,  # type: ignore[arg-type]
    )


def build_kl_schedule(
    config: TrainConfig, images: Float[Tensor, "N d"], total_steps: int
) -> Schedule:
    """The weight of the KL term as a function of the step, falling to 1.

    Args:
        config: where it starts and how long it falls.
        images: binarised training images, for `kl_start="auto"`.
        total_steps: steps of the whole run.
    """
    start = auto_kl_start(images) if config.kl_start == "auto" else config.kl_start
    return GeometricDecay(start, 1.0, round(config.kl_fraction * total_steps))


def _annealed(initial: float, rate: float) -> float | Schedule:
    if rate == 0:
        return initial
    return ExponentialDecay(initial, rate=rate, minimum=min(0.1, initial))
