"""Figure 1: bias and variance of direct by ε and of Gumbel-Softmax by τ, at the start and later.

What was published is the standard deviation by ε and τ from 0.1 to 1; the rest is beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from directmax.tool.config import PRESETS, TrainConfig
from directmax.tool.jobs.job import Job
from directmax.tool.paper import slides
from directmax.tool.paper.item import SMOKE_DATA, Item, Request, train_job

_FIGURE = ("mnist", SMOKE_DATA)
_BINARY = ("fashion-mnist", SMOKE_DATA)
"""Data sets of the paper's model, and of the one with binary variables beside it."""


PUBLISHED = "published"
"""Entry of the cells of measurements at the published numbers."""


def _published(request: Request) -> dict[str, Any]:
    """Flags of `directmax gradients` for what was published: the numbers of both curves."""
    numbers = {name: list(curve.x) for name, curve in slides.DEVIATIONS.items()}
    return {
        **_settings(request),
        "estimators": list(numbers),
        "epsilons": numbers["direct"],
        "temperatures": numbers["gumbel-softmax"],
        "sides": ["one"],
        "rao_blackwell": False,
        "draws": request.pick(40, 300, 1000),
        "adapt": 0,
    }


def _settings(request: Request) -> dict[str, Any]:
    """Flags of `directmax gradients` for the paper's model."""
    # On the paper's scale, all estimators that can be used; else those of the figure, if no more
    # is asked for.
    reduced = request.scale != "paper" and not request.everything
    return {
        "estimators": ["direct", "gumbel-softmax"] if reduced else [],
        "epsilons": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, "auto"],
        "sides": ["one", "two"],
        "rao_blackwell": not reduced,
        "temperatures": [0.1, 0.2, 0.5, 1.0, 2.0],
        "samples": 1,
        "draws": request.pick(40, 300, 1000),
        "images": request.pick(20, 100, 100),
        "split": "train",
        "adapt": request.pick(0, 300, 1000),
    }


def _named(request: Request) -> str:
    """On a smaller scale more estimators are another measurement than the figure's."""
    return "{}-all" if request.everything and request.scale != "paper" else "{}"


def _stages(
    trained: Job,
    model: dict[str, Any],
    settings: dict[str, Any],
    named: str,
    words: str = "",
    entries: Mapping[str, Any] = MappingProxyType({}),
) -> list[Job]:
    """Measurements of a fresh model, and of the trained one."""
    seed = trained.cell["seed"]

    def measure(stage: str, title: str, after: tuple[str, ...], **subject: Any) -> Job:
        name = trained.name.replace("-training-", f"-{named.format(stage)}-")
        cell = {**model, "seed": seed, "stage": f"{words}{title}", **entries}
        return Job(name, "gradients", {**settings, "seed": seed, **subject}, cell, after)

    return [
        measure("start", "initialisation", (), **model),
        measure("middle", "mid-training", (trained.name,), trained=trained.digest()),
    ]


def _figure(request: Request, data: str, seed: int) -> list[Job]:
    """The paper's model, of ten values, by the published protocol."""
    config = dataclasses.replace(
        PRESETS["paper"], data=data, seed=seed, epochs=request.length(40, 30, 30)
    ).resolve()
    trained = train_job(f"figure1-{data}-training-{seed}", config, method="direct")
    model = {"data": data, "values": 10}
    published = _stages(
        trained, model, _published(request), "published-{}", entries={PUBLISHED: True}
    )
    return [trained, *_stages(trained, model, _settings(request), _named(request)), *published]


def _binary(request: Request, data: str, seed: int) -> list[Job]:
    """Fifteen binary variables by every estimator."""
    model: dict[str, Any] = {"data": data, "variables": 15, "values": 2}
    config = TrainConfig(
        **model, estimator="local-expectation", epochs=request.epochs or 15, seed=seed
    ).resolve()
    name = f"figure1-{data}-binary-training-{seed}"
    settings = {
        **_settings(request),
        "epsilons": [0.01, 0.03, 0.1, 0.3, 1.0, "auto"],
        "draws": request.pick(40, 300, 400),
        "images": request.pick(20, 50, 50),
    }
    trained = train_job(name, config, method="local-expectation", variables=15)
    words = "15 binary variables, "
    return [trained, *_stages(trained, model, settings, _named(request), words)]


def build(request: Request) -> tuple[Job, ...]:
    """A fresh model and a trained one."""
    jobs = []
    for data in request.data:
        for seed in request.seeds:
            if data in _FIGURE:
                jobs += _figure(request, data, seed)
            if data in _BINARY and request.everything:
                jobs += _binary(request, data, seed)
    return tuple(jobs)


ITEM = Item(
    "figure1",
    "Figure 1: bias and variance of gradient estimators",
    "Direct optimisation by its step ε and Gumbel-Softmax by its temperature τ, against the "
    "enumerated gradient, at initialisation and in mid-training.",
    _FIGURE[:1],
    build,
    beyond=_BINARY[:1],
)
