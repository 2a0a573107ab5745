"""Table 1: one variable with k values; exact, direct, Gumbel-Softmax and our annealed direct."""

from __future__ import annotations

import dataclasses
from typing import Any

from directmax.tool.config import PRESETS, ResolvedConfig, TrainConfig
from directmax.tool.jobs.job import Job
from directmax.tool.paper.item import Item, Request, train_job
from directmax.tool.paper.published import VALUES

# The published protocol. As in the authors' code, the KL term's gradient is left out with direct.
_PROTOCOL: dict[str, dict[str, Any]] = {
    "exact": {"estimator": "exact"},
    "direct": {"estimator": "direct", "kl_gradient": "off"},
    "gumbel-softmax": {"estimator": "gumbel-softmax"},
    "gumbel-softmax-whole": {"estimator": "gumbel-softmax", "patience": 0},
}
_OURS: dict[str, dict[str, Any]] = {
    "ours": {"estimator": "direct"},
    "ours-one-start": {"estimator": "direct", "starts": 1, "kl_fraction": 2 / 3},
    "ours-learned": {"estimator": "direct", "prior": "learned"},
}
METHODS = ("exact", "direct", "gumbel-softmax", "ours")
_MORE = ("gumbel-softmax-whole", "ours-one-start", "ours-learned")
STATIC = "-static"
"""Ending of a method whose images are drawn from the grey values once, in place of a threshold."""
_GREY = "mnist"
"""Data that the paper calls binarized after Salakhutdinov and Murray 2008, who drew pixels so."""


def config_of(method: str, data: str, values: int, seed: int, request: Request) -> ResolvedConfig:
    """The configuration of one cell."""
    if method.endswith(STATIC):
        by_threshold = config_of(method.removesuffix(STATIC), data, values, seed, request)
        return dataclasses.replace(by_threshold, binarize="static")
    if method in _OURS:
        # An annealed run says only at its end how good it is: it has no patience.
        epochs = request.length(None, 40, None)
        config = TrainConfig(data=data, values=values, seed=seed, epochs=epochs, **_OURS[method])
        return config.resolve()
    return dataclasses.replace(
        PRESETS["paper"],
        data=data,
        values=values,
        seed=seed,
        epochs=request.length(300, 40, 300),
        **{"patience": request.pick(0, 0, 40), **_PROTOCOL[method]},
    ).resolve()


def trainings(request: Request, values: tuple[int, ...]) -> tuple[Job, ...]:
    """The trainings of some rows."""
    return tuple(
        train_job(
            f"table1-{data}-{k}-{method}-{seed}",
            config_of(method, data, k, seed, request),
            method=method,
        )
        for data in request.data
        for k in values
        for method in _methods(data, request)
        for seed in request.seeds
    )


def _methods(data: str, request: Request) -> tuple[str, ...]:
    if not request.everything:
        return METHODS
    drawn = tuple(f"{method}{STATIC}" for method in METHODS) if data == _GREY else ()
    return (*METHODS, *_MORE, *drawn)


def rows(request: Request) -> tuple[int, ...]:
    """Numbers k of values."""
    chosen: tuple[int, ...] = request.pick((10, 20), VALUES, VALUES)
    return chosen


def mixture(data: str, values: int, request: Request) -> Job:
    """Expectation-maximisation of the same model: the reference."""
    settings = {
        "data": data,
        "values": values,
        "binarize": "threshold",
        "restarts": request.pick(1, 3, 3),
        "iterations": request.pick(50, 200, 200),
        "seed": 0,
    }
    cell = {"data": data, "values": values, "method": "em", "seed": 0}
    return Job(f"table1-{data}-{values}-em", "mixture", settings, cell)


def build(request: Request) -> tuple[Job, ...]:
    """All trainings, and the reference of every row."""
    references = tuple(mixture(data, k, request) for data in request.data for k in rows(request))
    return (*references, *trainings(request, rows(request)))


ITEM = Item(
    "table1",
    "Table 1: test bound of one variable with k values",
    "Exact gradient, direct optimisation and Gumbel-Softmax by the published protocol, the default "
    "of this tool, and expectation-maximisation of the same mixture as a reference.",
    ("mnist", "fashion-mnist", "omniglot"),
    build,
)
