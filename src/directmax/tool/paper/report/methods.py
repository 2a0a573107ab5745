"""Names, order and looks of what is compared, and where an outcome belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from directmax.tool.data.names import ATTRIBUTE_DATASETS, DATASETS
from directmax.tool.look.content import Dash
from directmax.tool.look.palette import METHODS
from directmax.tool.paper.report.results import Outcome

DATA_TITLES = {
    "digits": "scikit-learn digits",
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "omniglot": "Omniglot",
    "celeba": "CelebA",
}


@dataclass(frozen=True)
class Look:
    """How a method is called and drawn."""

    label: str
    color: str
    dash: Dash = "solid"


LOOKS = {
    "exact": Look("unbiased (enumeration)", METHODS["exact"]),
    "direct": Look("direct", METHODS["direct"]),
    "gumbel-softmax": Look("Gumbel-Softmax", METHODS["gumbel-softmax"]),
    "ours": Look("ours, annealed", "ink"),
    "default": Look("default of this tool", "ink"),
    "local-expectation": Look("local expectation (ours)", METHODS["local-expectation"]),
    "local-search": Look("local search (ours)", METHODS["local-search"]),
    "local-divergence": Look("local divergence (ours)", METHODS["local-divergence"], "dashed"),
    "rebar": Look("REBAR", METHODS["rebar"]),
    "relax": Look("RELAX", METHODS["relax"]),
    "arm": Look("ARM", METHODS["arm"]),
    "disarm": Look("DisARM", METHODS["disarm"], "dashed"),
    "score-function": Look("score function, 4 samples", METHODS["score-function"], "dashed"),
    "reinmax": Look("ReinMax", METHODS["reinmax"], "dashed"),
    "direct-rao-blackwell": Look(
        "direct, Rao-Blackwell", METHODS["direct-rao-blackwell"], "dashed"
    ),
    "clamped-argmax": Look("clamped argmax (ours)", METHODS["clamped-argmax"]),
    "pairwise": Look("pairwise encoder, clamped argmax (ours)", "orange"),
    "em": Look("expectation-maximisation", "purple", "dotted"),
}
"""By method; the order is that of legends and columns."""
ENCODERS = {
    "independent": Look("independent", "green"),
    "supermodular": Look("super-modular, max-flow", "orange"),
    "pairwise": Look("general", "blue"),
}
ENDINGS = {
    "-annealed": ", annealed",
    "-alone": ", as in the authors' code",
    "-grouped": ", with groups",
    "-drawn": ", pixels drawn",
    "-static": ", pixels drawn once",
    "-learned": ", prior learned",
}
"""Of methods that are another in other circumstances, and what these are called."""
_SPARE = ("ink", "blue", "vermillion", "green", "orange", "purple", "sky")


def look(method: str) -> Look:
    """Of any method; those without a look of their own get one that depends on the name alone."""
    if method in LOOKS:
        return LOOKS[method]
    for ending, words in ENDINGS.items():
        if method.endswith(ending):
            base = look(method.removesuffix(ending))
            return replace(base, label=f"{base.label}{words}", dash="dashed")
    number = sum(method.encode())
    color = METHODS.get(method, _SPARE[number % len(_SPARE)])
    return Look(method.replace("-", " "), color, "dotted" if number % 2 else "dashed")


def method_of(outcome: Outcome) -> str:
    """The method of a job: as its cell says, else its estimator."""
    if "method" in outcome.cell:
        return str(outcome.cell["method"])
    if outcome.kind == "mixture":
        return "em"
    name = str(outcome.settings.get("estimator", outcome.kind))
    return f"{name}-rao-blackwell" if outcome.settings.get("rao_blackwell") else name


def entry(name: str) -> Callable[[Outcome], Any]:
    """Reads an entry of the cell, else of the settings."""
    return lambda outcome: outcome.cell.get(name, outcome.settings.get(name))


data_of = entry("data")


def by_protocol(outcome: Outcome) -> bool:
    """Whether a training is by the published protocol: no KL annealing, a constant rate."""
    settings = outcome.settings
    constant = settings.get("learning_rate_schedule") == "constant"
    return constant and settings.get("kl_start") == 1


def data_title(name: str) -> str:
    """A data set as people write it."""
    return DATA_TITLES.get(name, name)


Groups = dict[Any, list[Outcome]]


def by(outcomes: Iterable[Outcome], key: Callable[[Outcome], Any]) -> Groups:
    """Outcomes by a property, in the order of appearance."""
    groups: Groups = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome), []).append(outcome)
    return groups


def in_order(groups: Mapping[Any, list[Outcome]], order: Iterable[Any]) -> Groups:
    """Groups in a given order, unknown ones last, as they come."""
    names = dict.fromkeys((*order, *groups))
    return {name: groups[name] for name in names if name in groups}


def by_data(outcomes: Iterable[Outcome]) -> Groups:
    """Outcomes by data set, in the tool's order."""
    return in_order(by(outcomes, data_of), (*DATASETS, *ATTRIBUTE_DATASETS))


def by_method(outcomes: Iterable[Outcome]) -> Groups:
    """Outcomes by method, in the order of `LOOKS`."""
    return in_order(by(outcomes, method_of), LOOKS)


def by_number(outcomes: Iterable[Outcome], name: str) -> Groups:
    """Outcomes by an entry that is a number, in ascending order."""
    return dict(sorted(by(outcomes, entry(name)).items()))


def run_titles(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Single runs in words, by name: data, labels and method, and the seed if there are several."""
    outcomes = list(outcomes)
    has_seeds = len(by(outcomes, entry("seed"))) > 1
    titles = {}
    for outcome in outcomes:
        labels = entry("labels")(outcome)
        parts = [data_title(data_of(outcome)), f"{labels:,} labels" if labels else "no labels"]
        parts.append(look(method_of(outcome)).label)
        if has_seeds:
            parts.append(f"seed {entry('seed')(outcome)}")
        titles[outcome.name] = ", ".join(parts)
    return titles
