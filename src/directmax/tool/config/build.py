"""From a configuration to the objects of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.estimators import (
    Arm,
    ClampedArgmax,
    CorrectedDirect,
    Direct,
    DisArm,
    Estimator,
    Exact,
    GumbelRao,
    GumbelSoftmax,
    ImplicitMLE,
    LabelledDirect,
    LocalExpectation,
    Rebar,
    ReinMax,
    Relax,
    ScoreFunction,
    StraightThrough,
    Surrogate,
)
from directmax.models import (
    AttributeDecoder,
    AttributeEncoder,
    AttributeVAE,
    Decoder,
    DiscreteVAE,
    Encoder,
    MixedEncoder,
    MixedVAE,
    PairwiseEncoder,
)
from directmax.schedules import ExponentialDecay, GeometricDecay, Schedule
from directmax.tool.config.train import TrainConfig
from directmax.tool.run.annealing import auto_kl_start


def build_estimator(config: TrainConfig) -> Estimator:
    """The estimator that a configuration names.

    Example:
        >>> build_estimator(TrainConfig(estimator="exact"))
        Exact(max_states=65536)
    """
    return _BUILDERS[config.estimator](config)


def _exact(config: TrainConfig) -> Estimator:
    return Exact()


def _clamped_argmax(config: TrainConfig) -> Estimator:
    return ClampedArgmax(num_samples=config.num_samples)


def _local_expectation(config: TrainConfig) -> Estimator:
    return LocalExpectation(num_samples=config.num_samples)


def _difference(config: TrainConfig) -> dict[str, Any]:
    """What the estimators with two argmaxes have in common."""
    epsilon: float | Schedule | Literal["auto"] = "auto"
    if config.epsilon != "auto":
        epsilon = _annealed(config.epsilon, config.anneal_rate)
    return {
        "epsilon": epsilon,
        "scale": config.epsilon_scale,
        "two_sided": config.two_sided,
        "num_samples": config.num_samples,
    }


def _direct(config: TrainConfig) -> Estimator:
    return Direct(**_difference(config), rao_blackwell=config.rao_blackwell)


def _corrected_direct(config: TrainConfig) -> Estimator:
    return CorrectedDirect(**_difference(config))


def _implicit_mle(config: TrainConfig) -> Estimator:
    return ImplicitMLE(**_difference(config), rao_blackwell=config.rao_blackwell)


def _gumbel_softmax(config: TrainConfig) -> Estimator:
    return GumbelSoftmax(
        _annealed(_temperature(config), config.anneal_rate),
        straight_through=config.straight_through,
        num_samples=config.num_samples,
    )


def _gumbel_rao(config: TrainConfig) -> Estimator:
    temperature = _annealed(_temperature(config), config.anneal_rate)
    return GumbelRao(temperature, num_samples=config.num_samples)


def _straight_through(config: TrainConfig) -> Estimator:
    temperature = _annealed(_temperature(config), config.anneal_rate)
    return StraightThrough(temperature, num_samples=config.num_samples)


def _reinmax(config: TrainConfig) -> Estimator:
    return ReinMax(_temperature(config), num_samples=config.num_samples)


def _rebar(config: TrainConfig) -> Estimator:
    return Rebar(_temperature(config), num_samples=config.num_samples)


def _relax(config: TrainConfig) -> Estimator:
    surrogate = Surrogate(config.variables, config.values)
    return Relax(surrogate, _temperature(config), num_samples=config.num_samples)


def _score_function(config: TrainConfig) -> Estimator:
    baseline = config.baseline
    return ScoreFunction(num_samples=config.num_samples, baseline=baseline)  # type: ignore[arg-type]


def _arm(config: TrainConfig) -> Estimator:
    return Arm(num_samples=config.num_samples)


def _disarm(config: TrainConfig) -> Estimator:
    return DisArm(num_samples=config.num_samples)


_BUILDERS: dict[str, Callable[[TrainConfig], Estimator]] = {
    "arm": _arm,
    "clamped-argmax": _clamped_argmax,
    "corrected-direct": _corrected_direct,
    "direct": _direct,
    "disarm": _disarm,
    "exact": _exact,
    "gumbel-rao": _gumbel_rao,
    "gumbel-softmax": _gumbel_softmax,
    "implicit-mle": _implicit_mle,
    "local-expectation": _local_expectation,
    "rebar": _rebar,
    "reinmax": _reinmax,
    "relax": _relax,
    "score-function": _score_function,
    "straight-through": _straight_through,
}


def _temperature(config: TrainConfig) -> float:
    if config.temperature == "auto":
        return 0.5 if config.estimator in ("gumbel-rao", "rebar", "relax") else 1.0
    return config.temperature


def build_model(config: TrainConfig, num_pixels: int) -> DiscreteVAE | MixedVAE:
    """The model of a configuration, its weights drawn from the configuration's seed.

    torch's global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.model == "mixed":
            return _mixed(config, num_pixels)
        encoder = build_encoder(config, num_pixels)
        decoder = Decoder(config.variables, config.values, num_pixels, hidden=config.hidden)
        estimator = build_estimator(config)  # may have weights of its own
    return DiscreteVAE(
        encoder,
        decoder,
        estimator,
        unary_kl=config.kl == "unary",
        reduced=config.candidates == "auto",
    )


def build_attribute_model(config: TrainConfig, shape: tuple[int, int, int]) -> AttributeVAE:
    """The model with attributes, its weights drawn from the configuration's seed.

    torch's global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return AttributeVAE(
            AttributeEncoder(
                shape,
                config.variables,
                config.gaussian,
                hidden=config.hidden,
                kind=config.encoder,
                solver=config.solver,
                perturbation=config.perturbation,  # type: ignore[arg-type]
            ),
            AttributeDecoder(shape, config.variables, config.gaussian),
            build_estimator(config),
            likelihood=config.likelihood,
            # Cross-entropy also with direct: labels of distorted images are many and uncertain.
            supervision=LabelledDirect(rao_blackwell=True),
        )


def _mixed(config: TrainConfig, num_pixels: int) -> MixedVAE:
    """With direct the labels' gradient is its difference of argmaxes too; else cross-entropy."""
    by_argmax = config.estimator == "direct" and not config.rao_blackwell
    return MixedVAE(
        MixedEncoder(num_pixels, config.values, config.gaussian, hidden=config.hidden),
        Decoder(config.values, config.gaussian, num_pixels, hidden=config.hidden),
        build_estimator(config),
        supervision=LabelledDirect(
            rao_blackwell=not by_argmax, num_samples=config.num_samples if by_argmax else 1
        ),
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


def build_kl_schedule(config: TrainConfig, images: Float[Tensor, "N d"], steps: int) -> Schedule:
    """The weight of the KL term as a function of the step, falling to 1.

    Args:
        config: where it starts and how long it falls.
        images: binarised training images, for `kl_start="auto"`.
        steps: of an epoch.
    """
    if config.kl_start != "auto":
        start = config.kl_start
    else:
        start = 1.0 if config.model == "mixed" else auto_kl_start(images)
    return GeometricDecay(start, 1.0, config.falling_steps(steps))


def _annealed(initial: float, rate: float) -> float | Schedule:
    if rate == 0:
        return initial
    return ExponentialDecay(initial, rate=rate, minimum=min(0.1, initial))
