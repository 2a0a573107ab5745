"""Which estimators `directmax gradients` measures, each with which settings."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import torch

from directmax.estimators import ESTIMATORS, Estimator
from directmax.laboratory import Setting
from directmax.tool.config import ResolvedConfig, changed
from directmax.tool.config.build import build_estimator
from directmax.tool.config.setting import either
from directmax.tool.measure.gradient_request import GradientRequest

VARIANTS = {
    "two_sided": "two-sided",
    "straight_through": "straight-through",
    "rao_blackwell": "Rao-Blackwell",
}
"""Switches of the configuration that make another estimator of one name."""


def settings_of(
    config: ResolvedConfig, request: GradientRequest
) -> tuple[dict[Setting, ResolvedConfig], list[str]]:
    """Every setting with the configuration that makes it, and why names were left out.

    Args:
        config: of the model; the settings of its own estimator do not matter.
        request: what to measure.

    Raises:
        ValueError: a name that was asked for cannot be used with the model, or none can.
    """
    settings: dict[Setting, ResolvedConfig] = {}
    notes = []
    common: dict[str, Any] = {field: None for each in ESTIMATORS.values() for field in each.uses}
    common |= {"num_samples": request.samples, "anneal_rate": 0.0}
    for name in request.estimators or tuple(ESTIMATORS):
        try:
            _check_samples(config, name)
            base = changed(config, estimator=name, **common)
            learnable = any(p.requires_grad for p in build(base).parameters())
        except (TypeError, ValueError) as error:
            if request.estimators:
                raise
            notes.append(f"without {name}: {error}")
            continue
        grid = _grid(base, request)
        if learnable:  # also its temperature
            grid.pop("temperature", None)
        for values in itertools.product(*grid.values()):
            chosen = dict(zip(grid, values, strict=True))
            parts = [name, *(word for switch, word in VARIANTS.items() if chosen.get(switch))]
            setting = Setting(" ".join(parts), chosen.get("epsilon"), chosen.get("temperature"))
            settings[setting] = changed(base, **chosen)
    if not settings:
        raise ValueError(f"no estimator can be used with this model: {'; '.join(notes)}")
    return settings, notes


def _check_samples(config: ResolvedConfig, name: str) -> None:
    """Refuse what would need another `--perturbation`: that is the run's, and no flag here."""
    takes = ESTIMATORS[name].coupled
    if config.encoder != "independent" and takes and config.perturbation not in takes:
        raise ValueError(
            f"--estimators {name} needs a run of directmax train --perturbation {either(takes)}; "
            f"samples are here those of --perturbation {config.perturbation}"
        )


def _grid(config: ResolvedConfig, request: GradientRequest) -> dict[str, tuple[Any, ...]]:
    """The values that are measured of every setting that the estimator uses."""
    summed = request.rao_blackwell and config.encoder == "independent"
    values = {
        "two_sided": tuple(side == "two" for side in dict.fromkeys(request.sides)),
        "straight_through": (False, True),
        "rao_blackwell": (False, True) if summed else (False,),
        "epsilon": request.epsilons,
        "temperature": request.temperatures,
    }
    uses = ESTIMATORS[config.estimator].uses
    return {field: each for field, each in values.items() if field in uses}


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
    digest_bytes = hashlib.sha256(f"{seed}/{setting.label}/{purpose}".encode()).digest()
    return int.from_bytes(digest_bytes[:8], "big") >> 1
