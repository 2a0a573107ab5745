"""Which estimators `directmax gradients` measures, each with which settings."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

from directmax._choices import check_choice
from directmax.estimators import ESTIMATORS, Estimator
from directmax.laboratory import Setting
from directmax.tool.config import ResolvedConfig, changed
from directmax.tool.config.build import build_estimator
from directmax.tool.run.finished import SPLITS

VARIANTS = {
    "two_sided": "two-sided",
    "straight_through": "straight-through",
    "rao_blackwell": "Rao-Blackwell",
}
"""Switches of the configuration that make another estimator of one name."""
ESTIMATOR_FIELDS = (
    "epsilon",
    "epsilon_scale",
    "two_sided",
    "rao_blackwell",
    "temperature",
    "straight_through",
    "baseline",
)
"""Of a run's configuration: its estimator, which is not what is measured; defaults instead."""


@dataclass(frozen=True)
class Request:
    """What to measure, apart from the model; the flags of the command have the same names.

    Raises:
        ValueError: a value out of range; the message names the flag.
    """

    estimators: tuple[str, ...]
    epsilons: tuple[float | Literal["auto"], ...]
    sides: tuple[str, ...]
    rao_blackwell: bool
    temperatures: tuple[float, ...]
    samples: int
    draws: int
    images: int
    split: str
    adapt: int
    seed: int

    def __post_init__(self) -> None:
        for name in self.estimators:
            check_choice("estimator", name, tuple(ESTIMATORS))
        for side in self.sides:
            check_choice("side", side, ("one", "two"))
        check_choice("split", self.split, SPLITS)
        for name, minimum in (("samples", 1), ("draws", 4), ("images", 1), ("adapt", 0)):
            if getattr(self, name) < minimum:
                raise ValueError(f"--{name} must be at least {minimum}, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"--seed must be at least 0 and below 2^63, got {self.seed}")
        for name in ("epsilons", "temperatures", "sides"):
            if not getattr(self, name):
                raise ValueError(f"--{name} must name at least one value")
        for name in ("epsilons", "temperatures"):
            for value in getattr(self, name):
                if value != "auto" and not (math.isfinite(value) and value > 0):
                    raise ValueError(f"--{name} must be finite numbers above 0, got {value}")


def settings_of(
    config: ResolvedConfig, request: Request
) -> tuple[dict[Setting, ResolvedConfig], list[str]]:
    """Every setting with the configuration that makes it, and why names were left out.

    Raises:
        ValueError: a name that was asked for cannot be used with the model, or none can.
    """
    settings: dict[Setting, ResolvedConfig] = {}
    notes = []
    common: dict[str, Any] = dict.fromkeys(ESTIMATOR_FIELDS)
    common |= {"num_samples": request.samples, "anneal_rate": 0.0}
    for name in request.estimators or tuple(ESTIMATORS):
        try:
            base = changed(config, estimator=name, **common)
            learns = any(p.requires_grad for p in build(base).parameters())
        except (TypeError, ValueError) as error:
            if request.estimators:
                raise
            notes.append(f"without {name}: {error}")
            continue
        switches: list[list[bool | None]] = []
        for switch in VARIANTS:
            values: list[bool | None] = [False, True] if _uses(base, switch) else [None]
            if switch == "two_sided" and values != [None]:
                values = [side == "two" for side in dict.fromkeys(request.sides)]
            if switch == "rao_blackwell" and values != [None] and not request.rao_blackwell:
                values = [False]
            switches.append(values)
        epsilons = request.epsilons if _uses(base, "epsilon") else (None,)
        tempered = _uses(base, "temperature") and not learns
        temperatures = request.temperatures if tempered else (None,)
        for chosen, epsilon, temperature in itertools.product(
            itertools.product(*switches), epsilons, temperatures
        ):
            on = dict(zip(VARIANTS, chosen, strict=True))
            words = [name, *(VARIANTS[switch] for switch in VARIANTS if on[switch])]
            setting = Setting(" ".join(words), epsilon, temperature)
            changes: dict[str, Any] = {**on, "epsilon": epsilon, "temperature": temperature}
            changes = {key: value for key, value in changes.items() if value is not None}
            settings[setting] = changed(base, **changes)
    if not settings:
        raise ValueError(f"no estimator can be used with this model: {'; '.join(notes)}")
    return settings, notes


def _uses(config: ResolvedConfig, name: str) -> bool:
    """Whether the estimator has the setting, with this encoder."""
    coupled = name == "rao_blackwell" and config.encoder != "independent"
    return name in ESTIMATORS[config.estimator].uses and not coupled


def build(config: ResolvedConfig, seed: int = 0) -> Estimator:
    """The estimator; torch's global random state, which draws its networks, stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_estimator(config)


def setting_seed(seed: int, setting: Setting, purpose: str) -> int:
    """A seed below 2^63 for each setting and purpose, whatever else is measured.

    Example:
        >>> one, two = Setting("direct", epsilon=1.0), Setting("direct", epsilon=2.0)
        >>> setting_seed(0, one, "draws") == setting_seed(0, one, "draws")
        True
        >>> setting_seed(0, one, "draws") == setting_seed(0, two, "draws")
        False
    """
    words = hashlib.sha256(f"{seed}/{setting.label}/{purpose}".encode()).digest()
    return int.from_bytes(words[:8], "big") >> 1
