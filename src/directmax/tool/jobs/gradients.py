"""Bias and variance of estimators, figure 1, from the settings of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def measure_gradients(
    settings: Mapping[str, Any],
    *,
    run_dir: str | None,
    data_dir: str | None,
    device: str,
    output: str | None = None,
    resume: bool = False,
) -> None:
    """Measure what a job asks for.

    Args:
        settings: flags of `directmax gradients`; lists, as in a file, stand for tuples.
        run_dir: of the run that is measured; None for the fresh model of the settings.
        data_dir: where to look for images first.
        device: cpu, cuda:N, …
        output: folder of the measurement; None keeps nothing.
        resume: continue the measurement there.
    """
    from directmax.tool.measure import gradients
    from directmax.tool.measure.gradient_request import GradientRequest

    flags = {name: value for name, value in settings.items() if name != "trained"}
    table = gradients.measure_gradients(
        GradientRequest.from_dict(flags),
        run_dir=run_dir,
        data_dir=data_dir,
        device=device,
        output=output,
        resume=resume,
    )
    if output is not None:
        gradients.save_pictures(table, output)
