"""What the models check of what they are made of."""

from __future__ import annotations

from directmax.estimators import Estimator


def check_estimator(value: object) -> None:
    """Refuse, as argument `estimator` of a model, what is none."""
    if not isinstance(value, Estimator):
        raise TypeError(
            f"estimator must be an Estimator, such as Direct(), got {type(value).__name__}"
        )
