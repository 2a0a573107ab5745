"""The configuration of a training run, as data. Does not import torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from directmax.tool.config.rules import flag_of, settle

LATER: dict[str, Any] = {"starts": 1}
"""Settings that came after runs were kept, and what says that they are not used: left out of files
and digests then, so that older runs are recognised."""


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
    """Mixed and attributes model: labelled training images, the same number of every class or
    combination of attributes (so a multiple of the number of classes); 0: unsupervised."""
    label_weight: float | Literal["auto"] = "auto"
    """Weight of the loss of the labels and of --smoothness or --distortion beside the bound, in
    nats. auto: 50, or 1000 with attributes."""
    distortion: float | Literal["auto"] = "auto"
    """With labels: images are turned, scaled and moved by this strength (1: up to 15 degrees)
    before they are classified, and q(z|x) is made to stay the same; with attributes they are also
    mirrored, recoloured and partly covered; 0 switches this off. auto: 0.5."""
    smoothness: float = 3.0
    """With labels: q(z|x) must also change little within this Euclidean distance (grey values, 0
    to 1 a pixel) of every unlabelled image, and be sure of one class, all classes equally often; 0
    switches the distance off, and with --shift 0 and --distortion 0 all of this."""
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
    clamped-argmax for structured encoders (direct with --perturbation states)."""
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
    kl_fraction: float | Literal["auto"] = "auto"
    """Share of the run over which it falls. auto: a sixth with one variable of the discrete model,
    else two thirds."""
    starts: int = 0
    """Trainings from other initial weights while the weight of the KL term falls; the one with the
    best validation bound then (with labels, accuracy) is continued. 0 stands for 4 with one
    variable of the discrete model, whose local optima differ, where the weight falls as auto says
    and in five epochs or more, else for 1."""
    epochs: int = 0
    """Passes over the training images (of the start that is continued); 0 stands for 400 with
    digits, 40 with the mixed and the attributes model, else 120."""
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
        settle(self)

    @property
    def title(self) -> str:
        """One line for people: data, latent space, estimator."""
        encoder = "" if self.encoder == "independent" else f"{self.encoder} · "
        if self.model != "discrete":
            encoder += f"{self.gaussian} Gaussian dimensions · {self.labels} labels · "
        if self.model == "attributes":
            return f"{self.data} · {', '.join(self.attributes)} · {encoder}{self.estimator}"
        return f"{self.data} · {self.variables}×{self.values} · {encoder}{self.estimator}"

    @property
    def start_epochs(self) -> int:
        """Epochs of each start, after which the best one is continued; 0 where there is one."""
        return self.falling_epochs if self.starts > 1 else 0

    @property
    def falling_epochs(self) -> int:
        """Epochs in which the weight of the KL term falls, if it does; the last one may be cut."""
        return math.ceil(self._share * self.epochs - 1e-9)

    def falling_steps(self, steps_per_epoch: int) -> int:
        """Steps in which it falls."""
        return round(self._share * (self.epochs * steps_per_epoch))

    @property
    def _share(self) -> float:
        assert not isinstance(self.kl_fraction, str)  # it is settled
        return self.kl_fraction

    @property
    def total_epochs(self) -> int:
        """Of all starts together.

        Example:
            >>> TrainConfig(data="mnist", starts=3).total_epochs  # 20 twice, then 120
            160
        """
        return self.epochs + (self.starts - 1) * self.start_epochs

    def epochs_before(self, start: int, epoch: int) -> int:
        """Epochs of other starts that come before an epoch (from 1) of a start (from 0).

        Example:
            >>> config = TrainConfig(data="mnist", starts=3)  # 20 epochs each
            >>> config.epochs_before(1, 20), config.epochs_before(1, 21)  # 21: after the choice
            (20, 40)
        """
        first = self.start_epochs
        return first * (start if epoch <= first else self.starts - 1)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary, without settings of `LATER` that were not used."""
        values = {**dataclasses.asdict(self), "attributes": list(self.attributes)}
        return {k: v for k, v in values.items() if k not in LATER or v != LATER[k]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """From such a dictionary.

        Raises:
            ValueError: an unknown or missing key (a file of another version).
        """
        names = {field.name for field in dataclasses.fields(cls)}
        values = {**LATER, **values}
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
        mine, theirs = LATER | self.to_dict(), LATER | other.to_dict()
        return [
            f"{flag_of(name)}: {value!r} here, {theirs[name]!r} there"
            for name, value in mine.items()
            if value != theirs[name]
        ]


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
