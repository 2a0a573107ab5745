"""What a configuration stands for and whether it makes sense. Does not import torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from directmax._choices import check_choice
from directmax.tool.data.names import (
    ATTRIBUTE_DATASETS,
    BINARIZATIONS,
    DATASETS,
    DEFAULT_ATTRIBUTES,
)

if TYPE_CHECKING:
    from directmax.tool.config.train import TrainConfig

ESTIMATOR_NAMES = (
    "direct",
    "exact",
    "gumbel-softmax",
    "local-expectation",
    "clamped-argmax",
    "corrected-direct",
    "score-function",
    "rebar",
    "relax",
    "arm",
    "disarm",
    "straight-through",
    "reinmax",
    "gumbel-rao",
    "implicit-mle",
)
BINARY_ESTIMATORS = ("arm", "disarm")
COUPLED_ESTIMATORS = ("direct", "clamped-argmax", "exact", "implicit-mle", "score-function")
"""Those that structured encoders can have."""
MODELS = ("discrete", "mixed", "attributes")
LIKELIHOODS = ("gaussian", "logistic")
ENCODERS = ("independent", "pairwise", "supermodular")
SOLVER_NAMES = (
    "auto",
    "exhaustive",
    "max-flow",
    "branch-and-bound",
    "highs",
    "cplex",
    "pymaxflow",
)
FEWEST_START_EPOCHS = 5
"""With fewer, one start is as good as another."""
SMALLEST_IMAGE = 8
EXACT_ATTRIBUTES = 6
MOST_ATTRIBUTES = 16
"""q is tabulated over their 2^n settings where the bound is sampled."""
GIBBS_VARIABLES = 20
"""Sums over 2^n states at every step are refused beyond."""
BASELINES = ("auto", "leave-one-out", "running-mean", "none")
LEARNING_RATE_SCHEDULES = ("constant", "cosine")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")

_MINIMUM = {
    "variables": 1,
    "values": 2,
    "hidden": 1,
    "num_samples": 1,
    "epochs": 1,
    "patience": 0,
    "batch_size": 1,
    "seed": 0,
    "eval_samples": 1,
    "labels": 0,
    "image_size": 0,
    "shift": 0,
    "starts": 1,
}

_POSITIVE = (
    "epsilon",
    "epsilon_scale",
    "temperature",
    "learning_rate",
    "kl_start",
    "label_weight",
)


CHOSEN = (
    "attributes",
    "label_weight",
    "distortion",
    "gaussian",
    "variables",
    "values",
    "hidden",
    "estimator",
    "num_samples",
    "epochs",
    "batch_size",
    "eval_samples",
    "kl_fraction",
    "starts",
)
"""Settings that a configuration chooses where they are left at 0, auto or none."""

_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "labels": ("mixed", "attributes"),
    "label_weight": ("mixed", "attributes"),
    "gaussian": ("mixed", "attributes"),
    "shift": ("mixed", "attributes"),
    "smoothness": ("mixed",),
    "attributes": ("attributes",),
    "image_size": ("attributes",),
    "likelihood": ("attributes",),
    "distortion": ("mixed", "attributes"),
    "binarize": ("discrete", "mixed"),
    "kl": ("discrete",),
    "candidates": ("discrete", "mixed"),
}
"""Models that a setting is for; others leave it at its default."""


_STANDS: dict[str, dict[str, float]] = {
    "label_weight": {"mixed": 50.0, "attributes": 1000.0},  # pixels of photographs weigh more
    "distortion": {"mixed": 0.5, "attributes": 0.5},
}
"""What auto stands for, by model."""


def settle(config: TrainConfig) -> None:
    """Choose what was left at 0, auto or none, and refuse what makes no sense.

    Raises:
        ValueError: a value out of range, or two that do not go together; the message names the
            flag.
    """
    check_choice("model", config.model, MODELS)
    _check_data(config)
    for what, value, choices in (
        ("binarization", config.binarize, BINARIZATIONS),
        ("estimator", config.estimator, ("auto", *ESTIMATOR_NAMES)),
        ("encoder", config.encoder, ENCODERS),
        ("baseline", config.baseline, BASELINES),
        ("solver", config.solver, SOLVER_NAMES),
        ("perturbation", config.perturbation, ("unary", "states")),
        ("KL term", config.kl, ("gibbs", "unary")),
        ("candidates", config.candidates, ("auto", "full")),
        ("likelihood", config.likelihood, LIKELIHOODS),
        ("KL gradient", config.kl_gradient, ("on", "off")),
        ("learning-rate schedule", config.learning_rate_schedule, LEARNING_RATE_SCHEDULES),
        ("precision", config.precision, PRECISIONS),
    ):
        check_choice(what, value, choices)
    _choose_all(config)
    _check_model(config)
    _check_structured(config)
    _check_estimator(config)
    _check_numbers(config)


def _choose_all(config: TrainConfig) -> None:
    attributes = config.model == "attributes"
    two = attributes or config.encoder != "independent"
    _choose(config, "hidden", discrete=300, mixed=400, attributes=256)
    _choose(config, "eval_samples", discrete=100, mixed=10, attributes=1)
    _choose(config, "batch_size", discrete=100, mixed=200, attributes=100)
    _choose(config, "gaussian", discrete=0, mixed=20, attributes=64)
    if config.label_weight == "auto":
        _choose(config, "label_weight", discrete="auto", **_STANDS["label_weight"])
    if config.distortion == "auto":
        _choose(config, "distortion", discrete="auto", **_STANDS["distortion"])
    _choose(config, "variables", len(config.attributes) if attributes else 15 if two else 1)
    _choose(config, "values", 2 if two else 10)
    if config.estimator == "auto":
        _choose(config, "estimator", _best_estimator(config))
    for name in _STANDS:
        value = getattr(config, name)
        if isinstance(value, int):
            object.__setattr__(config, name, float(value))
    epochs = {"discrete": 120, "mixed": 40, "attributes": 40}[config.model]
    _choose(config, "epochs", 400 if config.data == "digits" else epochs)
    _choose_starts(config)
    few = {"score-function": 1 if config.baseline == "running-mean" else 4}
    if config.variables == 1 and config.model == "discrete":
        few["direct"] = 8
    _choose(config, "num_samples", few.get(config.estimator, 1))


def _choose(config: TrainConfig, name: str, value: Any = None, **by_model: Any) -> None:
    """What 0 or auto stands for: the same for all models, or a value for each."""
    if getattr(config, name) in (0, "auto"):
        object.__setattr__(config, name, by_model[config.model] if by_model else value)


def _choose_starts(config: TrainConfig) -> None:
    one = config.model == "discrete" and config.variables == 1
    auto = config.kl_fraction == "auto"
    if auto:
        object.__setattr__(config, "kl_fraction", 1 / 6 if one else 2 / 3)
    falls = auto and config.kl_start != 1 and config.falling_epochs >= FEWEST_START_EPOCHS
    _choose(config, "starts", 4 if one and falls else 1)


def _check_numbers(config: TrainConfig) -> None:
    for name, minimum in _MINIMUM.items():
        if getattr(config, name) < minimum:
            raise ValueError(
                f"{flag_of(name)} must be at least {minimum}, got {getattr(config, name)}"
            )
    if config.seed >= 2**63:
        raise ValueError(f"--seed must be below 2^63, got {config.seed}")
    for name in _POSITIVE:
        value = getattr(config, name)
        if value == "auto" and name in ("epsilon", "kl_start", "temperature", "label_weight"):
            continue
        if isinstance(value, str):
            raise ValueError(f"{flag_of(name)} must be auto or a number above 0, got '{value}'")
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{flag_of(name)} must be a finite number above 0, got {value}")
    for name in ("anneal_rate", "smoothness", "distortion"):
        value = getattr(config, name)
        if value == "auto":
            continue
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{flag_of(name)} must be a finite number, 0 or more, got {value}")
    if isinstance(config.kl_fraction, str) or not 0 <= config.kl_fraction <= 1:
        raise ValueError(f"--kl-fraction must be auto or between 0 and 1, got {config.kl_fraction}")
    if config.starts > 1 and not 0 < config.falling_epochs < config.epochs:
        raise ValueError(
            f"--starts {config.starts} chooses after the share --kl-fraction of --epochs, which is "
            f"{config.falling_epochs} of {config.epochs}: it must be at least 1 and not all"
        )


def _best_estimator(config: TrainConfig) -> str:
    if config.variables == 1 and config.encoder == "independent":
        return "direct"
    if config.encoder == "independent":
        return "local-expectation"
    return "clamped-argmax" if config.perturbation == "unary" else "direct"


def _check_data(config: TrainConfig) -> None:
    if config.model == "attributes":
        if config.data in DATASETS and config.data not in ATTRIBUTE_DATASETS:
            raise ValueError(
                f"--model attributes needs images with attributes, and {config.data} has none: add "
                f"{' or '.join(f'--data {name}' for name in ATTRIBUTE_DATASETS)}"
            )
        check_choice("data set with attributes", config.data, ATTRIBUTE_DATASETS)
        chosen = tuple(config.attributes) or DEFAULT_ATTRIBUTES[config.data]
        object.__setattr__(config, "attributes", chosen)
        if len(chosen) > MOST_ATTRIBUTES:
            raise ValueError(f"--attributes may name at most {MOST_ATTRIBUTES}, got {len(chosen)}")
        if 0 < config.image_size < SMALLEST_IMAGE:
            raise ValueError(
                f"--image-size must be at least {SMALLEST_IMAGE}, got {config.image_size}"
            )
        return
    object.__setattr__(config, "attributes", tuple(config.attributes))
    if config.data in ATTRIBUTE_DATASETS and config.data not in DATASETS:
        raise ValueError(
            f"--data {config.data} is for the model of attributes: add --model attributes"
        )
    check_choice("data set", config.data, DATASETS)


def _check_model(config: TrainConfig) -> None:
    for name, models in _ONLY_FOR.items():
        value = getattr(config, name)
        if config.model in models or value in _unused(config, name):
            continue
        shown = " ".join(value) if isinstance(value, tuple) else value
        either = " or ".join(f"--model {model}" for model in models)
        raise ValueError(
            f"{flag_of(name)} {shown} is for the {' or the '.join(models)} model: add {either}, "
            "or leave it out"
        )
    if config.model == "mixed" and (config.variables != 1 or config.encoder != "independent"):
        raise ValueError(
            "--model mixed has one variable: leave out --variables and --encoder, and choose "
            "its values with --values"
        )
    if config.model == "attributes" and (config.variables, config.values) != (
        len(config.attributes),
        2,
    ):
        raise ValueError(
            "--model attributes has a variable with two values for each of --attributes: leave "
            "out --variables and --values"
        )
    if config.model == "discrete":
        return
    many = config.model == "attributes" and config.variables > EXACT_ATTRIBUTES
    if many and config.estimator == "exact":
        raise ValueError(
            f"--estimator exact decodes all 2^{config.variables} combinations of attributes for "
            f"every image, and is for at most {EXACT_ATTRIBUTES} attributes: choose "
            "local-expectation or direct"
        )
    if config.gaussian < 2:
        raise ValueError(f"--gaussian must be at least 2, got {config.gaussian}")
    for name in ("label_weight", "smoothness", "distortion"):
        if config.labels == 0 and getattr(config, name) not in _unused(config, name, config.model):
            raise ValueError(
                f"{flag_of(name)} {getattr(config, name)} is for runs with labels: add --labels, "
                "or leave it out"
            )
    if config.model == "mixed" and config.labels == 0 and config.shift != type(config).shift:
        raise ValueError(
            f"--shift {config.shift} is for runs with labels: add --labels, or leave it out"
        )


def _check_estimator(config: TrainConfig) -> None:
    if config.estimator in BINARY_ESTIMATORS and config.values != 2:
        raise ValueError(
            f"--estimator {config.estimator} needs binary variables, got --values {config.values}; "
            "add --values 2, or choose local-expectation or score-function"
        )
    if config.rao_blackwell and config.estimator not in ("direct", "implicit-mle"):
        raise ValueError(
            f"--rao-blackwell is for direct and implicit-mle, got {config.estimator}; leave it out"
        )
    if config.rao_blackwell and config.encoder != "independent":
        raise ValueError("--rao-blackwell needs independent variables; leave it out")
    if (
        config.estimator == "score-function"
        and config.baseline == "leave-one-out"
        and config.num_samples == 1
    ):
        raise ValueError("--baseline leave-one-out needs --num-samples of at least 2, got 1")


def _check_structured(config: TrainConfig) -> None:
    if config.encoder == "independent":
        for name in ("solver", "perturbation", "kl"):
            if getattr(config, name) != getattr(type(config), name):
                raise ValueError(
                    f"{flag_of(name)} {getattr(config, name)} is for structured encoders: add "
                    "--encoder pairwise or --encoder supermodular, or leave it out"
                )
        if config.estimator == "clamped-argmax":
            raise ValueError(
                "--estimator clamped-argmax needs --encoder pairwise or supermodular; with "
                "independent variables choose local-expectation, which is the same there"
            )
        return
    if config.values != 2:
        raise ValueError(
            f"--encoder {config.encoder} needs binary variables, got --values {config.values}; add "
            "--values 2"
        )
    if config.estimator not in COUPLED_ESTIMATORS:
        raise ValueError(
            f"--estimator {config.estimator} needs independent variables; with --encoder "
            f"{config.encoder} choose direct, clamped-argmax, exact, implicit-mle or "
            "score-function"
        )
    if config.estimator == "score-function" and config.perturbation == "unary":
        raise ValueError(
            "--estimator score-function needs samples of the Gibbs distribution: add "
            "--perturbation states, or choose clamped-argmax"
        )
    if config.estimator == "clamped-argmax" and config.perturbation == "states":
        raise ValueError("--estimator clamped-argmax needs --perturbation unary")
    if config.encoder == "pairwise" and config.solver in ("max-flow", "pymaxflow"):
        raise ValueError(
            f"--solver {config.solver} needs couplings of 0 or more: choose --encoder "
            "supermodular, or --solver exhaustive or branch-and-bound"
        )
    if config.variables > GIBBS_VARIABLES and config.kl == "gibbs":
        raise ValueError(
            f"--kl gibbs sums over 2^{config.variables} states at every step, and at most "
            f"2^{GIBBS_VARIABLES}; choose --kl unary (no bound), or fewer --variables"
        )


def _unused(config: TrainConfig, name: str, model: str = "discrete") -> tuple[Any, ...]:
    """Values of a setting that say nothing: its default, and what that stands for."""
    stands = _STANDS.get(name, {})
    default = getattr(type(config), name)
    return (default, stands[model]) if model in stands else (default,)


def flag_of(name: str) -> str:
    """The flag of a setting.

    Example:
        >>> flag_of("batch_size")
        '--batch-size'
    """
    return "--" + name.replace("_", "-")
