"""From a configuration to the objects of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.estimators import ESTIMATORS, Estimator, LabelledDirect, LocalDivergence, LocalSearch
from directmax.models import (
    ENCODERS,
    AttributeDecoder,
    AttributeEncoder,
    AttributeVAE,
    Decoder,
    DiscreteVAE,
    Encoder,
    ImageDecoder,
    ImageTrunk,
    MixedEncoder,
    MixedVAE,
    PairwiseEncoder,
    StructuredEncoder,
    named_decoder,
    named_trunk,
    structured_encoder,
)
from directmax.schedules import ExponentialDecay, GeometricDecay, LinearDecay, Schedule
from directmax.tool.config.annealing import auto_kl_start
from directmax.tool.config.defaults import ANNEALED_TO
from directmax.tool.config.resolved import ResolvedConfig


def build_estimator(config: ResolvedConfig) -> Estimator:
    """The estimator that a configuration names.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> build_estimator(TrainConfig(estimator="exact").resolve())
        Exact(max_states=65536)
    """
    row = ESTIMATORS[config.estimator]
    settings: dict[str, Any] = {name: getattr(config, name) for name in row.uses}
    if row.anneals and settings[row.anneals] != "auto" and config.anneal_rate:
        initial = settings[row.anneals]
        rate, minimum = config.anneal_rate, min(ANNEALED_TO, initial)
        settings[row.anneals] = ExponentialDecay(initial, rate=rate, minimum=minimum)
    if "num_variables" in settings:
        settings["num_variables"] = config.num_variables or None
    if "covering" in settings:  # where it starts; see `schedule_estimator`
        settings["covering"] = 1.0 if config.covering else 0.0
    return row.make(settings, config.variables, config.values)


def schedule_estimator(
    estimator: Estimator, config: ResolvedConfig, kl_weight: Schedule, steps: int
) -> None:
    """Give an estimator what changes with the step: KL weight, α, moves and what f learns from.

    Args:
        estimator: of a model that is trained.
        config: from where on.
        kl_weight: of the KL term that the training adds.
        steps: of an epoch.
    """
    total = config.epochs * steps
    if isinstance(estimator, LocalDivergence):
        coupled = config.encoder != "independent"
        estimator.alpha = 1.0 if coupled else _jump(1.0, 0.0, config.covering * total)
        estimator.kl_weight = kl_weight
    if isinstance(estimator, LocalSearch) and config.variables > 1:
        estimator.moves = _jump(0, config.moves, config.moves_from * total)
        estimator.refined = _jump(0, 1, config.refined_from * total)


def _jump(before: float, after: float, steps: float) -> LinearDecay:
    hold = round(steps)
    return LinearDecay(before if hold else after, after, hold=hold)


def build_model(config: ResolvedConfig, shape: Sequence[int]) -> DiscreteVAE | MixedVAE:
    """The model of a configuration, its weights drawn from the configuration's seed.

    torch's global random state is left as it was.

    Args:
        config: of a discrete or a mixed model.
        shape: (height, width) or (channels, height, width) of an image.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.model == "mixed":
            return _mixed(config, shape)
        encoder = build_encoder(config, shape)
        decoder = _decoder(config, config.variables, config.values, shape)
        estimator = build_estimator(config)  # may have weights of its own
    return DiscreteVAE(
        encoder,
        decoder,
        estimator,
        unary_kl=config.kl == "unary",
        reduced=config.candidates == "auto",
        likelihood=config.likelihood,
        refined=config.refine,
        learned_prior=config.prior == "learned",
    )


def build_attribute_model(config: ResolvedConfig, shape: tuple[int, int, int]) -> AttributeVAE:
    """The model with attributes, its weights drawn from the configuration's seed.

    torch's global random state is left as it was. A prior of labels is uniform until it is filled.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return AttributeVAE(
            AttributeEncoder(
                shape,
                config.variables,
                config.gaussian,
                hidden=config.hidden,
                normalized=config.normalized,
                kind=config.encoder,
                solver=config.solver,
                perturbation=config.perturbation,  # type: ignore[arg-type]
                mirrored=config.mirrored,
                symmetric=config.symmetric,
            ),
            AttributeDecoder(shape, config.variables, config.gaussian),
            build_estimator(config),
            likelihood=config.likelihood,
            # Cross-entropy also with direct: labels of distorted images are many and uncertain.
            supervision=LabelledDirect(rao_blackwell=True),
            log_prior=_uniform(config.variables) if config.prior == "labels" else None,
            averaged=config.average > 0,
            calibrated=config.calibration != "none",
            decided=config.decided,
        )


def _uniform(variables: int) -> Tensor:
    """log p(z) of binary variables."""
    return torch.full((2**variables,), -variables * math.log(2))


def _trunk(config: ResolvedConfig, shape: Sequence[int]) -> ImageTrunk | None:
    return named_trunk(config.network, shape, config.hidden)


def _decoder(
    config: ResolvedConfig, num_variables: int, num_values: int, shape: Sequence[int]
) -> Decoder | ImageDecoder:
    return named_decoder(config.network, num_variables, num_values, shape, config.hidden)


def _mixed(config: ResolvedConfig, shape: Sequence[int]) -> MixedVAE:
    """With direct the labels' gradient is its difference of argmaxes too; else cross-entropy."""
    by_argmax = config.estimator == "direct" and not config.rao_blackwell
    return MixedVAE(
        MixedEncoder(
            math.prod(shape),
            config.values,
            config.gaussian,
            hidden=config.hidden,
            trunk=_trunk(config, shape),
            dropout=config.dropout,
        ),
        _decoder(config, config.values, config.gaussian, shape),
        build_estimator(config),
        supervision=LabelledDirect(
            rao_blackwell=not by_argmax, num_samples=config.num_samples if by_argmax else 1
        ),
        reduced=config.candidates == "auto",
    )


def build_encoder(
    config: ResolvedConfig, shape: Sequence[int]
) -> Encoder | PairwiseEncoder | StructuredEncoder:
    """The encoder that a configuration names.

    Raises:
        ValueError: its solver is not installed.
    """
    num_pixels, trunk = math.prod(shape), _trunk(config, shape)
    if config.encoder == "independent":
        return Encoder(
            num_pixels, config.variables, config.values, hidden=config.hidden, trunk=trunk
        )
    if ENCODERS[config.encoder].structure:
        return structured_encoder(
            config.encoder,
            num_pixels,
            config.variables,
            config.values,
            chosen=config.chosen,
            hidden=config.hidden,
            trunk=trunk,
        )
    return PairwiseEncoder(
        num_pixels,
        config.variables,
        trunk=trunk,
        supermodular=config.encoder == "supermodular",
        hidden=config.hidden,
        solver=config.solver,
        perturbation=config.perturbation,  # type: ignore[arg-type]
    )


def build_kl_schedule(config: ResolvedConfig, images: Float[Tensor, "N d"], steps: int) -> Schedule:
    """The weight of the KL term as a function of the step, falling to 1.

    Args:
        config: where it starts and how long it falls.
        images: training images as the model sees them, for `kl_start="auto"`.
        steps: of an epoch.
    """
    if config.kl_start != "auto":
        start = config.kl_start
    else:
        start = 1.0 if config.model == "mixed" else auto_kl_start(images, config.likelihood)
    return GeometricDecay(start, 1.0, config.falling_steps(steps))
