"""An estimator with its settings, as a point of a curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from directmax.laboratory._results import GradientStatistics


@dataclass(frozen=True)
class Setting:
    """One estimator of a grid.

    Attributes:
        family: its name, with a variant such as "direct two-sided".
        epsilon: the step ε in 1/nats, or "auto"; None where it has none.
        temperature: τ; None where it has none, or learns it.

    Example:
        >>> Setting("direct", epsilon=0.1).label
        'direct ε=0.1'
    """

    family: str
    epsilon: float | Literal["auto"] | None = None
    temperature: float | None = None

    @property
    def label(self) -> str:
        """For tables; no two settings of a grid have the same."""
        parts = [self.family]
        if self.epsilon is not None:
            parts.append(f"ε={_number(self.epsilon)}")
        if self.temperature is not None:
            parts.append(f"τ={_number(self.temperature)}")
        return " ".join(parts)


@dataclass(frozen=True)
class Point:
    """What was measured at a setting."""

    setting: Setting
    statistics: GradientStatistics

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return {**vars(self.setting), **self.statistics.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Point:
        """From such a dictionary."""
        setting = Setting(values["family"], values["epsilon"], values["temperature"])
        return cls(setting, GradientStatistics.from_dict(values))


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"
