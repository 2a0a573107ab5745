"""Figure 3: fifteen binary variables; estimators on the left, structured encoders on the right."""

from __future__ import annotations

from typing import Any

from directmax.estimators import ESTIMATORS
from directmax.tool.config import TrainConfig
from directmax.tool.jobs.job import Job
from directmax.tool.paper.item import Item, Request, train_job

_DIRECT: dict[str, Any] = {"estimator": "direct", "epsilon": 0.1, "anneal_rate": 0.0}
_PAPER = ("gumbel-softmax", "rebar", "relax", "arm", "local-expectation")
_AFTER = ("disarm", "reinmax", "score-function")
"""Estimators of the paper's figure, ours among them, and those published after it."""
_UNFIT = ("exact", "clamped-argmax")
"""Sums over all states at every step, and the structured encoders' own."""
_SOLVERS = {"pairwise": "exhaustive", "supermodular": "max-flow"}


def _lines(everything: bool) -> dict[tuple[str, str], dict[str, Any]]:
    """Flags of every line, by encoder and method."""
    lines = {
        ("independent", "direct"): _DIRECT,
        **{("independent", name): {"estimator": name} for name in (*_PAPER, *_AFTER)},
        ("independent", "direct-rao-blackwell"): {"estimator": "direct", "rao_blackwell": True},
    }
    if everything:
        for name in ESTIMATORS:
            if name not in _UNFIT:
                lines.setdefault(("independent", name), {"estimator": name})
    for encoder, solver in _SOLVERS.items():
        common = {"encoder": encoder, "solver": solver}
        lines[encoder, "direct"] = {**common, **_DIRECT}
        lines[encoder, "clamped-argmax"] = {**common, "estimator": "clamped-argmax"}
    return lines


def build(request: Request) -> tuple[Job, ...]:
    """Independent variables by every estimator, structured ones by two."""
    jobs = []
    for data in request.data:
        for (encoder, method), flags in _lines(request.everything).items():
            for seed in request.seeds:
                config = TrainConfig(
                    data=data,
                    variables=request.pick(6, 15, 15),
                    values=2,
                    epochs=request.pick(20, 30, 100),
                    kl_start="auto",
                    refine=False,  # the paper's bound is the encoder's alone
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
