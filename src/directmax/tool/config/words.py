"""Which estimators and encoders a setting is about, for its help. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable

from directmax.estimators import ESTIMATORS, Declaration
from directmax.models import ENCODERS, EncoderKind
from directmax.tool.config.setting import either


def users(name: str) -> list[str]:
    """The estimators that use a setting."""
    return [e for e, row in ESTIMATORS.items() if name in (*row.uses, *row.timed, row.anneals)]


def those(kind: Callable[[Declaration], bool], last: str = "or") -> str:
    """The estimators of a kind, in words."""
    return either([name for name, row in ESTIMATORS.items() if kind(row)], last)


def by_encoder(of: Callable[[EncoderKind], object]) -> str:
    """What encoders have by default, in words."""
    having: dict[object, list[str]] = {}
    for name, kind in ENCODERS.items():
        having.setdefault(of(kind), []).append(name)
    (first, _), *rest = having.items()
    return ", ".join([f"{first}", *(f"{value} with {either(names)}" for value, names in rest)])
