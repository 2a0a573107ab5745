"""Numbers that change during training: ε, τ, α and the weight of the KL term."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from directmax._validation import LARGEST, check_count, check_number, check_positive


@runtime_checkable
class Schedule(Protocol):
    """A number as a function of the training step (the first step is 0)."""

    def __call__(self, step: int, /) -> float: ...


@dataclass(frozen=True)
class ExponentialDecay:
    """initial · exp(−rate · step), updated every `every` steps, never below `minimum`.

    The defaults are the protocol of Jang et al. 2017 that the paper follows: rate 1e-5, every
    1,000 steps, down to 0.1.

    Raises:
        TypeError, ValueError: a number that is not positive (rate may be 0).

    Example:
        >>> epsilon = ExponentialDecay()
        >>> epsilon(999), round(epsilon(1000), 4), epsilon(10**6)
        (1.0, 0.99, 0.1)

    Reference: Lorberbom et al. 2019, section 5.
    """

    initial: float = 1.0
    rate: float = 1e-5
    every: int = 1000
    minimum: float = 0.1

    def __post_init__(self) -> None:
        check_positive("initial", self.initial)
        check_positive("minimum", self.minimum)
        check_count("every", self.every, maximum=LARGEST)
        if check_number("rate", self.rate) < 0:
            raise ValueError(f"rate must be a finite number of at least 0, got {self.rate}")
        if self.minimum > self.initial:
            raise ValueError(
                f"minimum must be at most initial, got minimum {self.minimum} above {self.initial}"
            )

    def __call__(self, step: int, /) -> float:
        """The value at a training step."""
        _check_step(step)
        return max(
            self.minimum, self.initial * math.exp(-self.rate * (step // self.every * self.every))
        )


@dataclass(frozen=True)
class GeometricDecay:
    """From `initial` to `final` along a geometric line over `steps` steps, then constant.

    At step s < steps: initial · (final/initial)^(s/steps). Used for the weight of the KL term.

    Raises:
        TypeError, ValueError: a number that is not positive (`steps` may be 0).

    Example:
        >>> weight = GeometricDecay(initial=16.0, final=1.0, steps=4)
        >>> [weight(step) for step in range(6)]
        [16.0, 8.0, 4.0, 2.0, 1.0, 1.0]
    """

    initial: float
    final: float
    steps: int

    def __post_init__(self) -> None:
        check_positive("initial", self.initial)
        check_positive("final", self.final)
        check_count("steps", self.steps, minimum=0, maximum=LARGEST)

    def __call__(self, step: int, /) -> float:
        """The value at a training step."""
        _check_step(step)
        if step >= self.steps:
            return self.final
        return self.initial * (self.final / self.initial) ** (step / self.steps)


@dataclass(frozen=True)
class LinearDecay:
    """`initial` for `hold` steps, then along a line to `final` over `steps` steps, then constant.

    With `steps=0` it jumps. Used for α of `LocalDivergence`.

    Raises:
        TypeError, ValueError: a number that is not finite, or counts below 0.

    Example:
        >>> alpha = LinearDecay(initial=1.0, final=0.0, hold=2, steps=2)
        >>> [alpha(step) for step in range(6)]
        [1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    """

    initial: float
    final: float
    hold: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        check_number("initial", self.initial)
        check_number("final", self.final)
        check_count("hold", self.hold, minimum=0, maximum=LARGEST)
        check_count("steps", self.steps, minimum=0, maximum=LARGEST)

    def __call__(self, step: int, /) -> float:
        """The value at a training step."""
        _check_step(step)
        if step < self.hold:
            return self.initial
        if step >= self.hold + self.steps:
            return self.final
        return self.initial + (self.final - self.initial) * (step - self.hold) / self.steps


def at(value: float | Schedule, step: int) -> float:
    """The number itself, or a schedule's value at a step.

    Example:
        >>> at(0.5, step=7), at(ExponentialDecay(), step=0)
        (0.5, 1.0)
    """
    return value(step) if callable(value) else value


def _check_step(step: object) -> None:
    """Refuse what is no integer, at no cost for what is."""
    if not isinstance(step, int):
        check_count("step", step, 0, maximum=LARGEST)
