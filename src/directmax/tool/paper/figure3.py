"""Figure 3: fifteen binary variables; estimators, seconds a step, and structured encoders."""

from __future__ import annotations

import dataclasses
from typing import Any

from directmax.estimators import ESTIMATORS
from directmax.tool.config import PRESETS, TrainConfig
from directmax.tool.config.resolved import ResolvedConfig
from directmax.tool.jobs.job import Job
from directmax.tool.paper.item import Item, Request, train_job

_METHODS: dict[str, dict[str, Any]] = {
    # As in the authors' code, the KL term's gradient is left out with direct.
    "direct": {"estimator": "direct", "kl_gradient": "off"},
    **{name: {"estimator": name} for name in ("rebar", "relax", "arm", "gumbel-softmax")},
}
"""Of the paper's figure, by its protocol."""
_ENCODERS: dict[str, dict[str, Any]] = {
    "independent": {},
    "supermodular": {"encoder": "supermodular", "solver": "max-flow", "kl": "unary"},
    "pairwise": {"encoder": "pairwise", "solver": "exhaustive", "kl": "unary"},
}
"""As in the authors' code, whose KL term has no couplings."""
_COUPLED = ("supermodular", "pairwise")
STATES = "pairwise-gumbel-softmax"
"""Gumbel-Softmax over all states of a structured encoder, which the paper only timed."""
DEFAULT = "default"
ANNEALED = "-annealed"
"""End of the names of methods under the tool's annealing of the KL weight."""
_UNFIT = ("exact", "clamped-argmax")
"""Sums over all states at every step, and the structured encoders' own."""


def _protocol(request: Request, **flags: Any) -> ResolvedConfig:
    """The paper's: constant rate, KL weight 1, ε from 1, one draw, one-sided."""
    epochs = request.length(20, 30, 300)
    return dataclasses.replace(PRESETS["paper"], values=2, epochs=epochs, **flags).resolve()


def _default(request: Request, **flags: Any) -> ResolvedConfig:
    """What `directmax train` does."""
    return TrainConfig(values=2, epochs=request.length(20, 30, None), **flags).resolve()


def _annealed(request: Request, **flags: Any) -> ResolvedConfig:
    """The tool's annealing of the KL weight."""
    epochs = request.length(20, 30, 100)
    annealing: dict[str, Any] = {"kl_start": "auto", "refine": False}
    return TrainConfig(values=2, epochs=epochs, **annealing, **flags).resolve()


def _annealed_lines() -> dict[tuple[str, str], dict[str, Any]]:
    """Flags of every line that the paper does not have, by encoder and method."""
    direct = {"estimator": "direct", "epsilon": 0.1, "anneal_rate": 0.0}
    lines: dict[tuple[str, str], dict[str, Any]] = {
        ("independent", "direct"): direct,
        ("independent", "direct-rao-blackwell"): {"estimator": "direct", "rao_blackwell": True},
    }
    for name in ESTIMATORS:
        if name not in _UNFIT:
            lines.setdefault(("independent", name), {"estimator": name})
    for encoder in _COUPLED:
        common = {"encoder": encoder, "solver": _ENCODERS[encoder]["solver"]}
        lines[encoder, "direct"] = {**common, **direct}
        lines[encoder, "clamped-argmax"] = {**common, "estimator": "clamped-argmax"}
    return lines


def _configs(request: Request, **common: Any) -> dict[tuple[str, str], ResolvedConfig]:
    """Every training of a data set and seed, by encoder and method."""
    found = {
        ("independent", name): _protocol(request, **flags, **common)
        for name, flags in _METHODS.items()
    }
    for encoder, flags in _ENCODERS.items():
        both = {**_METHODS["direct"], **flags, **common}
        found[encoder, "direct"] = _protocol(request, **both)
        found[encoder, DEFAULT] = _default(request, encoder=encoder, **common)
    if request.everything:
        for (encoder, name), flags in _annealed_lines().items():
            found[encoder, name + ANNEALED] = _annealed(request, **flags, **common)
    return found


def _steps(request: Request, data: str) -> Job:
    """What is timed: direct, and Gumbel-Softmax over all states, by number of variables."""
    flags: dict[str, dict[str, Any]] = {
        **{f"{name}-direct": {**_METHODS["direct"], **_ENCODERS[name]} for name in _COUPLED},
        STATES: {
            **_METHODS["gumbel-softmax"],
            **{**_ENCODERS["pairwise"], "solver": "auto"},
            "perturbation": "states",
        },
    }
    request = dataclasses.replace(request, epochs=None)  # which no step depends on
    configs = [
        (method, _protocol(request, data=data, variables=n, **each).to_dict())
        for n in request.pick(range(3, 9), range(5, 16), range(5, 16))
        for method, each in flags.items()
    ]
    base = configs[0][1]
    trainings = [
        {"method": method, "changes": {k: v for k, v in config.items() if base[k] != v}}
        for method, config in configs
    ]
    settings = {"base": base, "trainings": trainings, "seconds": request.pick(0.1, 0.5, 1.0)}
    return Job(f"figure3-{data}-steps", "steps", settings, {"data": data, "seed": 0})


def build(request: Request) -> tuple[Job, ...]:
    """The paper's estimators and encoders, and our default beside them; seconds a step."""
    jobs = []
    for data in request.data:
        for seed in request.seeds:
            common = {"data": data, "seed": seed, "variables": request.pick(6, 15, 15)}
            for (encoder, method), config in _configs(request, **common).items():
                name = f"figure3-{data}-{encoder}-{method}-{seed}"
                jobs.append(train_job(name, config, encoder=encoder, method=method))
        jobs.append(_steps(request, data))
    return tuple(jobs)


ITEM = Item(
    "figure3",
    "Figure 3: structured decoder, independent and structured encoders",
    "Binary variables and a structured decoder by the published protocol: gradient estimators with "
    "independent variables, and encoders with pairwise potentials of any sign or super-modular; "
    "beside them the default of this tool.",
    ("fashion-mnist",),
    build,
)
