"""Figure 3: fifteen binary variables; estimators on the left, structured encoders on the right."""

from __future__ import annotations

from typing import Any

from directmax.tool.config import TrainConfig
from directmax.tool.paper.jobs import Item, Job, Request, train_job

_DIRECT: dict[str, Any] = {"estimator": "direct", "epsilon": 0.1, "anneal_rate": 0.0}
_PAPER = ("gumbel-softmax", "rebar", "relax", "arm", "local-expectation")
_AFTER = ("disarm", "reinmax", "score-function")
"""Estimators of the paper's figure, ours among them, and those published after it."""
_ENCODERS = {"pairwise": "exhaustive", "supermodular": "max-flow"}


def estimators() -> dict[str, dict[str, Any]]:
    """Flags of every line of the left half, by method."""
    return {
        "direct": _DIRECT,
        **{name: {"estimator": name} for name in (*_PAPER, *_AFTER)},
        "direct-rao-blackwell": {"estimator": "direct", "rao_blackwell": True},
    }


def encoders() -> dict[tuple[str, str], dict[str, Any]]:
    """Flags of the structured encoders' lines, by encoder and method."""
    found = {}
    for encoder, solver in _ENCODERS.items():
        common = {"encoder": encoder, "solver": solver}
        found[encoder, "direct"] = {**common, **_DIRECT}
        found[encoder, "clamped-argmax"] = {**common, "estimator": "clamped-argmax"}
    return found


def build(request: Request) -> tuple[Job, ...]:
    """Independent variables by every estimator, structured ones by two."""
    lines = {("independent", method): flags for method, flags in estimators().items()}
    lines |= encoders()
    jobs = []
    for data in request.data:
        for (encoder, method), flags in lines.items():
            for seed in request.seeds:
                config = TrainConfig(
                    data=data,
                    variables=request.pick(6, 15, 15),
                    values=2,
                    epochs=request.pick(20, 30, 100),
                    seed=seed,
                    **flags,
                ).resolve()
                name = f"figure3-{data}-{encoder}-{method}-{seed}"
                jobs.append(train_job(name, config, encoder=encoder, method=method))
    return tuple(jobs)


ITEM = Item(
    "figure3",
    "Figure 3: structured decoder, independent and structured encoders",
    "Binary variables and a structured decoder: gradient estimators with independent variables, "
    "and encoders with pairwise potentials of any sign or super-modular.",
    ("fashion-mnist",),
    build,
)
