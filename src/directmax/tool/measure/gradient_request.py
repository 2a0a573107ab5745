"""What `directmax gradients` measures, as data. Does not import torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from directmax._choices import check_choice
from directmax.estimators import ESTIMATORS
from directmax.tool.config.setting import Setting

AS_TRAIN = "(default: as train, or the run's)"
ModelName = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint=AS_TRAIN)]
ModelSize = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint=AS_TRAIN)]

MODEL_SETTINGS = ("data", "binarize", "encoder", "variables", "values", "hidden")
"""What a run decides, if a run is measured."""
RANGES = {
    **{"samples": (1, 10_000), "draws": (4, 10**7), "images": (1, 10**6), "adapt": (0, 10**6)},
    "seed": (0, 2**63 - 1),
}
"""The least and the largest of each count."""


@dataclass(frozen=True)
class GradientRequest:
    """Which estimators are measured, how, and on which images; the fields are flags.

    Raises:
        ValueError: a value out of range; the message names the flag.

    Example:
        >>> GradientRequest(draws=100, epsilons=(0.1, "auto")).images
        100
    """

    data: ModelName = None
    """Of a fresh model: digits, mnist, fashion-mnist, omniglot, or the path of your own."""
    binarize: ModelName = None
    """Of a fresh model: threshold, static, dynamic or none."""
    encoder: ModelName = None
    """Of a fresh model: independent, pairwise or supermodular."""
    variables: ModelSize = None
    """Of a fresh model: number n of latent variables."""
    values: ModelSize = None
    """Of a fresh model: number k of their values."""
    hidden: ModelSize = None
    """Of a fresh model: hidden units."""
    estimators: Annotated[
        tuple[str, ...] | None,
        tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: all that can be used)"),
    ] = None
    """Which, by the names of directmax train."""
    epsilons: tuple[float | Literal["auto"], ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, "auto")
    """Steps ε of direct and its relatives, in 1/nats, or auto."""
    sides: tuple[str, ...] = ("one", "two")
    """Differences of direct and its relatives: one, two."""
    rao_blackwell: bool = False
    """Of direct and implicit-mle also the mean over each variable's noise."""
    temperatures: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0)
    """Temperatures τ of gumbel-softmax and its relatives."""
    samples: int = 1
    """Draws that one call of an estimator averages over."""
    draws: int = 1000
    """Calls of each estimator."""
    images: int = 100
    """How many images: the first of the split."""
    split: str = "train"
    """Of which split: train, validation or test."""
    adapt: int = 300
    """Mini-batches of that split on which estimators with parameters or a running mean learn
    before they are measured."""
    seed: int = 0
    """Of the draws, and of a fresh model's weights."""

    def __post_init__(self) -> None:
        for name in self.estimators or ():
            check_choice("estimator", name, tuple(ESTIMATORS))
        for side in self.sides:
            check_choice("side", side, ("one", "two"))
        check_choice("split", self.split, ("train", "validation", "test"))
        for name, ends in RANGES.items():
            Setting("", range=ends, name=name, annotation="int").check(getattr(self, name))
        for name in ("epsilons", "temperatures", "sides"):
            if not getattr(self, name):
                raise ValueError(f"--{name} must name at least one value")
        if self.estimators == ():
            raise ValueError("--estimators must name at least one estimator; leave it out for all")
        for name in ("epsilons", "temperatures"):
            for value in getattr(self, name):
                if value != "auto" and not (math.isfinite(value) and value > 0):
                    raise ValueError(f"--{name} must be finite numbers above 0, got {value}")

    @property
    def model(self) -> dict[str, Any]:
        """What is asked of a fresh model; the rest is as for `directmax train`."""
        model_settings = {name: getattr(self, name) for name in MODEL_SETTINGS}
        return {name: value for name, value in model_settings.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary, in which no estimators stand for all."""
        values = {**dataclasses.asdict(self), "estimators": self.estimators or ()}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GradientRequest:
        """From such a dictionary, or a part of one.

        Example:
            >>> GradientRequest.from_dict({"estimators": [], "sides": ["one"]}).sides
            ('one',)
        """
        given: dict[str, Any] = {"estimators": None}
        given |= {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**{**given, "estimators": given["estimators"] or None})
