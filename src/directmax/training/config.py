"""The configuration of a training run, as data. Does not import torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from directmax._choices import check_choice
from directmax.data.names import (
    ATTRIBUTE_DATASETS,
    BINARIZATIONS,
    DATASETS,
    DEFAULT_ATTRIBUTES,
)

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
SMALLEST_IMAGE = 8
MOST_ATTRIBUTES = 16
"""The bound sums over their 2^n settings."""
GIBBS_VARIABLES = 20
"""Sums over 2^n states at every step are refused beyond."""
BASELINES = ("auto", "leave-one-out", "running-mean", "none")
LEARNING_RATE_SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a run. Times are in epochs, losses in nats per image.

    Raises:
        ValueError: a value out of range; the message names the flag.

    Example:
        >>> TrainConfig(data="mnist", values=50).estimator
        'direct'
    """

    data: str = "digits"
    """Data set: digits, mnist, fashion-mnist or omniglot; with attributes celeba or
    fashion-mnist."""
    model: str = "discrete"
    """discrete, mixed (one variable, each value of which has a Gaussian code of its own), or
    attributes (binary attributes and a Gaussian code of photographs)."""
    attributes: tuple[str, ...] = ()
    """Attributes model: which, by the data set's names; none stands for Eyeglasses, Smiling and
    Male of celeba, Footwear, Upper_Body and Warm of fashion-mnist."""
    image_size: int = 0
    """Attributes model: height and width of the images; 0 stands for 64 with celeba, 32 with
    fashion-mnist."""
    likelihood: str = "gaussian"
    """Attributes model: of a pixel around its mean, gaussian or (discretised) logistic."""
    labels: int = 0
    """Mixed and attributes model: labelled training images, as many of every class or combination
    of attributes; 0: unsupervised."""
    label_weight: float | Literal["auto"] = "auto"
    """Weight of the loss of the labels and of --smoothness or --distortion beside the bound, in
    nats. auto: 50, or 1000 with attributes."""
    distortion: float = 0.5
    """Attributes model with labels: attributes are to stay the same on images distorted so much (1:
    turned by up to 15 degrees); 0 switches this off."""
    smoothness: float = 3.0
    """With labels: q(z|x) is also made smooth within this distance of an unlabelled image, in
    pixels, and sure of one class, all classes equally often; 0 switches the distance off, and with
    --shift 0 all of this."""
    shift: int = 1
    """Mixed model with labels: images are moved by up to so many pixels before they are classified;
    q(z|x) is made to stay the same. Attributes model: training images are mirrored at random and
    moved by up to so many pixels."""
    gaussian: int = 0
    """Mixed and attributes model: dimensions of the Gaussian code; 0 stands for 20, or 64 with
    attributes."""
    binarize: str = "threshold"
    """How grey images become binary: threshold (at 0.5), static (one Bernoulli draw), dynamic
    (a fresh draw every epoch) or none."""
    variables: int = 0
    """Number n of latent variables; 0 stands for 1, or 15 with a structured encoder."""
    values: int = 0
    """Number k of values of each latent variable; 0 stands for 10, or 2 with a structured
    encoder."""
    hidden: int = 0
    """Hidden units of encoder and decoder; 0 stands for 300, 400 with the mixed model, or 256 with
    attributes."""
    encoder: str = "independent"
    """independent; pairwise (binary variables with couplings of any sign) or supermodular
    (couplings of 0 or more)."""
    solver: str = "auto"
    """Of a structured encoder's argmax: auto, exhaustive, max-flow, branch-and-bound, highs, cplex
    or pymaxflow."""
    perturbation: str = "unary"
    """Structured encoders: Gumbel noise on the single variables (unary) or on every state (states;
    exact Gibbs samples, few variables)."""
    kl: str = "gibbs"
    """KL term of structured encoders: of the Gibbs distribution (gibbs, at most 20 variables) or,
    as in the authors' code, of the unary potentials alone (unary, no bound)."""
    candidates: str = "auto"
    """Losses of single changes, with several variables: bfloat16 where that is faster (auto), or
    full precision (full)."""
    estimator: str = "auto"
    """Gradient estimator: direct, corrected-direct, exact, local-expectation, gumbel-softmax,
    gumbel-rao, straight-through, reinmax, implicit-mle, score-function, rebar or relax; arm or
    disarm with binary variables; clamped-argmax, direct, exact, implicit-mle or score-function with
    structured encoders. auto: direct for one variable, local-expectation for several,
    clamped-argmax for structured encoders."""
    epsilon: float | Literal["auto"] = "auto"
    """Direct, corrected-direct and implicit-mle: the step ε in 1/nats, or auto (one standard
    deviation of each image's losses)."""
    epsilon_scale: float = 1.0
    """With auto: the step in standard deviations."""
    two_sided: bool = True
    """Direct, corrected-direct and implicit-mle: central difference."""
    rao_blackwell: bool = False
    """Direct and implicit-mle: the mean over each variable's noise in place of the argmaxes."""
    num_samples: int = 0
    """Gumbel draws an image to average over (all estimators but exact); 0 stands
    for 8 with direct and one variable of the discrete model, where they cost little, for 4 with
    score-function, else for 1."""
    temperature: float | Literal["auto"] = "auto"
    """The temperature τ of gumbel-softmax, gumbel-rao, straight-through and reinmax; with rebar and
    relax where it starts. auto: 0.5 with gumbel-rao, rebar and relax, else 1."""
    straight_through: bool = False
    """Gumbel-Softmax: pass the one-hot argmax forward."""
    baseline: str = "auto"
    """Score-function: leave-one-out (several draws), running-mean or none. auto: leave-one-out, or
    running-mean with one draw."""
    anneal_rate: float = 1e-5
    """ε and τ (not of reinmax, rebar and relax) are multiplied by exp(−rate·step), updated every
    1,000 steps, down to 0.1."""
    kl_gradient: Literal["on", "off"] = "on"
    """off: evaluate the KL term but leave it out of the gradient, as the authors' code does."""
    kl_start: float | Literal["auto"] = "auto"
    """Weight of the KL term at the start, from where it falls to 1 geometrically; 1 switches
    this off. auto: just below the weight at which codes part; 1 with the mixed and the attributes
    model."""
    kl_fraction: float = 2 / 3
    """Share of the run over which it falls."""
    epochs: int = 0
    """Passes over the training images; 0 stands for 400 with digits, 40 with the mixed and the
    attributes model, else 120."""
    patience: int = 0
    """Stop after so many epochs without a better validation bound (with labels, accuracy); those in
    which the weight of the KL term still falls do not count. 0: train to the end."""
    batch_size: int = 0
    """Images in a mini-batch, over all processes together; 0 stands for 100, or 200 with the mixed
    model."""
    learning_rate: float = 1e-3
    """Of Adam."""
    learning_rate_schedule: str = "cosine"
    """constant, or cosine (down to zero at the last step)."""
    seed: int = 0
    """Of initial weights, order of images and noise."""
    precision: str = "32-true"
    """Arithmetic: 32-true, bf16-mixed, 16-mixed (GPU) or 64-true."""
    eval_samples: int = 0
    """Samples an image for the bound, where the states are too many to enumerate, and of the mixed
    and attributes models' Gaussians at the end of the run; 0 stands for 100, 10 with the mixed
    model, or 1 with attributes."""

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        self._check_data()
        check_choice("binarization", self.binarize, BINARIZATIONS)
        check_choice("estimator", self.estimator, ("auto", *ESTIMATOR_NAMES))
        check_choice("encoder", self.encoder, ENCODERS)
        check_choice("baseline", self.baseline, BASELINES)
        check_choice("solver", self.solver, SOLVER_NAMES)
        check_choice("perturbation", self.perturbation, ("unary", "states"))
        check_choice("KL term", self.kl, ("gibbs", "unary"))
        check_choice("candidates", self.candidates, ("auto", "full"))
        check_choice("likelihood", self.likelihood, LIKELIHOODS)
        self._choose("hidden", discrete=300, mixed=400, attributes=256)
        self._choose("eval_samples", discrete=100, mixed=10, attributes=1)
        self._choose("batch_size", discrete=100, mixed=200, attributes=100)
        self._choose("gaussian", discrete=0, mixed=20, attributes=64)
        if self.label_weight == "auto":
            self._choose("label_weight", discrete="auto", mixed=50.0, attributes=1000.0)
        structured = self.encoder != "independent"
        if self.variables == 0:
            several = len(self.attributes) if self.model == "attributes" else 15
            object.__setattr__(
                self, "variables", several if structured or self.model == "attributes" else 1
            )
        if self.values == 0:
            two = structured or self.model == "attributes"
            object.__setattr__(self, "values", 2 if two else 10)
        if self.estimator == "auto":
            object.__setattr__(self, "estimator", self._best_estimator())
        self._check_model()
        self._check_structured()
        self._check_estimator()
        check_choice("KL gradient", self.kl_gradient, ("on", "off"))
        check_choice("learning-rate schedule", self.learning_rate_schedule, LEARNING_RATE_SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)
        if self.epochs == 0:
            many = 120 if self.model == "discrete" else 40
            object.__setattr__(self, "epochs", 400 if self.data == "digits" else many)
        if self.num_samples == 0:
            few = {"score-function": 1 if self.baseline == "running-mean" else 4}
            if self.variables == 1 and self.model == "discrete":
                few["direct"] = 8
            object.__setattr__(self, "num_samples", few.get(self.estimator, 1))
        for name, minimum in _MINIMUM.items():
            if getattr(self, name) < minimum:
                raise ValueError(
                    f"{_flag(name)} must be at least {minimum}, got {getattr(self, name)}"
                )
        if self.seed >= 2**63:
            raise ValueError(f"--seed must be below 2^63, got {self.seed}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value == "auto" and name in ("epsilon", "kl_start", "temperature", "label_weight"):
                continue
            if isinstance(value, str):
                raise ValueError(f"{_flag(name)} must be auto or a number above 0, got '{value}'")
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{_flag(name)} must be a finite number above 0, got {value}")
        for name in ("anneal_rate", "smoothness", "distortion"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{_flag(name)} must be a finite number, 0 or more, got {value}")
        if not 0 <= self.kl_fraction <= 1:
            raise ValueError(f"--kl-fraction must be between 0 and 1, got {self.kl_fraction}")

    def _best_estimator(self) -> str:
        if self.variables == 1 and self.encoder == "independent":
            return "direct"
        if self.encoder == "independent":
            return "local-expectation"
        return "clamped-argmax" if self.perturbation == "unary" else "direct"

    def _choose(self, name: str, **by_model: Any) -> None:
        """What 0 or auto stands for."""
        if getattr(self, name) in (0, "auto"):
            object.__setattr__(self, name, by_model[self.model])

    def _check_data(self) -> None:
        if self.model == "attributes":
            check_choice("data set with attributes", self.data, ATTRIBUTE_DATASETS)
            chosen = tuple(self.attributes) or DEFAULT_ATTRIBUTES[self.data]
            object.__setattr__(self, "attributes", chosen)
            if len(chosen) > MOST_ATTRIBUTES:
                raise ValueError(
                    f"--attributes may name at most {MOST_ATTRIBUTES}, got {len(chosen)}"
                )
            if 0 < self.image_size < SMALLEST_IMAGE:
                raise ValueError(
                    f"--image-size must be at least {SMALLEST_IMAGE}, got {self.image_size}"
                )
            return
        object.__setattr__(self, "attributes", tuple(self.attributes))
        if self.data in ATTRIBUTE_DATASETS and self.data not in DATASETS:
            raise ValueError(
                f"--data {self.data} is for the model of attributes: add --model attributes"
            )
        check_choice("data set", self.data, DATASETS)

    def _check_model(self) -> None:
        for name, models in _ONLY_FOR.items():
            value = getattr(self, name)
            if self.model in models or value in _unused(name):
                continue
            shown = " ".join(value) if isinstance(value, tuple) else value
            either = " or ".join(f"--model {model}" for model in models)
            raise ValueError(
                f"{_flag(name)} {shown} is for the {' or the '.join(models)} model: add {either}, "
                "or leave it out"
            )
        if self.model == "mixed" and (self.variables != 1 or self.encoder != "independent"):
            raise ValueError(
                "--model mixed has one variable: leave out --variables and --encoder, and choose "
                "its values with --values"
            )
        if self.model == "attributes" and (self.variables, self.values) != (
            len(self.attributes),
            2,
        ):
            raise ValueError(
                "--model attributes has a variable with two values for each of --attributes: leave "
                "out --variables and --values"
            )
        if self.model == "discrete":
            return
        if self.gaussian < 2:
            raise ValueError(f"--gaussian must be at least 2, got {self.gaussian}")
        for name in ("label_weight", "smoothness", "distortion"):
            if self.labels == 0 and getattr(self, name) not in _unused(name, self.model):
                raise ValueError(
                    f"{_flag(name)} {getattr(self, name)} is for runs with labels: add --labels, "
                    "or leave it out"
                )
        if self.model == "mixed" and self.labels == 0 and self.shift != TrainConfig.shift:
            raise ValueError(
                f"--shift {self.shift} is for runs with labels: add --labels, or leave it out"
            )

    def _check_estimator(self) -> None:
        if self.estimator in BINARY_ESTIMATORS and self.values != 2:
            raise ValueError(
                f"--estimator {self.estimator} needs binary variables, got --values {self.values}; "
                "add --values 2, or choose local-expectation or score-function"
            )
        if self.rao_blackwell and self.estimator not in ("direct", "implicit-mle"):
            raise ValueError(
                f"--rao-blackwell is for direct and implicit-mle, got {self.estimator}; leave it "
                "out"
            )
        if self.rao_blackwell and self.encoder != "independent":
            raise ValueError("--rao-blackwell needs independent variables; leave it out")
        if (
            self.estimator == "score-function"
            and self.baseline == "leave-one-out"
            and self.num_samples == 1
        ):
            raise ValueError("--baseline leave-one-out needs --num-samples of at least 2, got 1")

    def _check_structured(self) -> None:
        if self.encoder == "independent":
            for name in ("solver", "perturbation", "kl"):
                if getattr(self, name) != getattr(TrainConfig, name):
                    raise ValueError(
                        f"{_flag(name)} {getattr(self, name)} is for structured encoders: add "
                        "--encoder pairwise or --encoder supermodular, or leave it out"
                    )
            if self.estimator == "clamped-argmax":
                raise ValueError(
                    "--estimator clamped-argmax needs --encoder pairwise or supermodular; with "
                    "independent variables choose local-expectation, which is the same there"
                )
            return
        if self.values != 2:
            raise ValueError(
                f"--encoder {self.encoder} needs binary variables, got --values {self.values}; add "
                "--values 2"
            )
        if self.estimator not in COUPLED_ESTIMATORS:
            raise ValueError(
                f"--estimator {self.estimator} needs independent variables; with --encoder "
                f"{self.encoder} choose direct, clamped-argmax, exact, implicit-mle or "
                "score-function"
            )
        if self.estimator == "score-function" and self.perturbation == "unary":
            raise ValueError(
                "--estimator score-function needs samples of the Gibbs distribution: add "
                "--perturbation states, or choose clamped-argmax"
            )
        if self.estimator == "clamped-argmax" and self.perturbation == "states":
            raise ValueError("--estimator clamped-argmax needs --perturbation unary")
        if self.encoder == "pairwise" and self.solver in ("max-flow", "pymaxflow"):
            raise ValueError(
                f"--solver {self.solver} needs couplings of 0 or more: choose --encoder "
                "supermodular, or --solver exhaustive or branch-and-bound"
            )
        if self.variables > GIBBS_VARIABLES and self.kl == "gibbs":
            raise ValueError(
                f"--kl gibbs sums over 2^{self.variables} states at every step, and at most "
                f"2^{GIBBS_VARIABLES}; choose --kl unary (no bound), or fewer --variables"
            )

    @property
    def title(self) -> str:
        """One line for people: data, latent space, estimator."""
        encoder = "" if self.encoder == "independent" else f"{self.encoder} · "
        if self.model != "discrete":
            encoder += f"{self.gaussian} Gaussian dimensions · {self.labels} labels · "
        if self.model == "attributes":
            return f"{self.data} · {', '.join(self.attributes)} · {encoder}{self.estimator}"
        return f"{self.data} · {self.variables}×{self.values} · {encoder}{self.estimator}"

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """From such a dictionary.

        Raises:
            ValueError: an unknown or missing key (a file of another version).
        """
        names = {field.name for field in dataclasses.fields(cls)}
        odd = sorted(names.symmetric_difference(values))
        if odd:
            raise ValueError(
                f"the configuration has unknown or missing entries: {', '.join(odd)}; "
                "it was written by another version of directmax"
            )
        return cls(**values)  # lists of JSON become tuples

    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the configuration."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def differences(self, other: TrainConfig) -> list[str]:
        """One `flag: mine, theirs` for each entry that differs."""
        return [
            f"{_flag(name)}: {value!r} here, {other.to_dict()[name]!r} there"
            for name, value in self.to_dict().items()
            if value != other.to_dict()[name]
        ]


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
    "gaussian",
    "variables",
    "values",
    "hidden",
    "estimator",
    "num_samples",
    "epochs",
    "batch_size",
    "eval_samples",
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
    "distortion": ("attributes",),
    "binarize": ("discrete", "mixed"),
    "candidates": ("discrete", "mixed"),
}
"""Models that a setting is for; others leave it at its default."""


def _unused(name: str, model: str = "discrete") -> tuple[Any, ...]:
    """Values of a setting that say nothing: its default, and what that stands for."""
    stands = {"label_weight": {"mixed": 50.0, "attributes": 1000.0}}.get(name, {})
    default = getattr(TrainConfig, name)
    return (default, stands[model]) if model in stands else (default,)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


PRESETS: dict[str, TrainConfig] = {
    "default": TrainConfig(),
    # Section 5 of the paper: Adam at a constant rate, no KL annealing, ε and τ annealed from 1.
    "paper": TrainConfig(
        data="mnist",
        epsilon=1.0,
        two_sided=False,
        num_samples=1,
        kl_start=1.0,
        kl_fraction=0.0,
        epochs=300,
        learning_rate_schedule="constant",
    ),
}
"""Named starting points; flags given beside `--preset` win."""
