"""Figure 1: bias and variance of direct by ε and of Gumbel-Softmax by τ, at the start and later."""

from __future__ import annotations

import dataclasses
from typing import Any

from directmax.tool.config import PRESETS
from directmax.tool.paper.jobs import Item, Job, Request, train_job

# Arguments of `directmax gradients`.
_EPSILONS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, "auto"]
_TEMPERATURES = [0.1, 0.2, 0.5, 1.0, 2.0]


def _measurement(name: str, cell: dict[str, Any], request: Request, **model: Any) -> Job:
    few = request.scale != "paper"
    settings = {
        # All that can be used, on the paper's scale; those of the figure else.
        "estimators": ["direct", "gumbel-softmax"] if few else [],
        "epsilons": _EPSILONS,
        "sides": ["one", "two"],
        "rao_blackwell": not few,
        "temperatures": _TEMPERATURES,
        "samples": 1,
        "draws": request.pick(40, 300, 1000),
        "images": request.pick(20, 100, 100),
        "split": "train",
        "adapt": request.pick(0, 300, 1000),
        "seed": cell["seed"],
        **model,
    }
    return Job(name, "gradients", settings, cell)


def build(request: Request) -> tuple[Job, ...]:
    """A fresh model and a trained one, of ten values, by the published protocol."""
    jobs = []
    for data in request.data:
        for seed in request.seeds:
            cell = {"data": data, "values": 10, "seed": seed}
            config = dataclasses.replace(
                PRESETS["paper"], data=data, seed=seed, epochs=request.pick(40, 30, 30)
            ).resolve()
            trained = train_job(f"figure1-{data}-training-{seed}", config, method="direct")
            jobs += [
                trained,
                _measurement(
                    f"figure1-{data}-start-{seed}",
                    {**cell, "stage": "initialisation"},
                    request,
                    data=data,
                    values=10,
                ),
                dataclasses.replace(
                    _measurement(
                        f"figure1-{data}-middle-{seed}",
                        {**cell, "stage": "mid-training"},
                        request,
                        trained=trained.digest(),
                    ),
                    after=(trained.name,),
                ),
            ]
    return tuple(jobs)


ITEM = Item(
    "figure1",
    "Figure 1: bias and variance of gradient estimators",
    "Direct optimisation by its step ε and Gumbel-Softmax by its temperature τ, against the "
    "enumerated gradient, at initialisation and in mid-training.",
    ("mnist",),
    build,
)
