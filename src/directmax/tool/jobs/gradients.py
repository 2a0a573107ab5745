"""Bias and variance of estimators, figure 1, from the settings of a job."""

from __future__ import annotations

import contextlib
import io
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
    """What `directmax gradients` does, without its table.

    Args:
        settings: its flags; lists, as in a file, stand for tuples.
        run_dir: of the run that is measured; None for the fresh model of the settings.
        data_dir: where to look for images first.
        device: cpu, cuda:N, …
        output: folder of the measurement; None keeps nothing.
        resume: continue the measurement there.
    """
    from directmax.tool.measure.gradients import MODEL_FLAGS, command

    flags = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    flags.pop("trained", None)  # the digest of the run, for the job's own
    model_flags = {name: flags.pop(name, None) for name in MODEL_FLAGS}
    with contextlib.redirect_stdout(io.StringIO()):
        command(
            **flags,
            run_dir=run_dir,
            data_dir=data_dir,
            device=device,
            output=output,
            resume=resume,
            json=True,
            model_flags=model_flags,
        )
