"""Names, order and colours of what is compared, and where an outcome belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from directmax.tool.data.names import ATTRIBUTE_DATASETS, DATASETS
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
    dash: Literal["solid", "dashed", "dotted"] = "solid"


LOOKS = {
    "exact": Look("unbiased (enumeration)", "green"),
    "direct": Look("direct", "blue"),
    "gumbel-softmax": Look("Gumbel-Softmax", "vermillion"),
    "ours": Look("ours, the default", "ink"),
    "local-expectation": Look("local expectation (ours)", "ink"),
    "rebar": Look("REBAR", "green"),
    "relax": Look("RELAX", "orange"),
    "arm": Look("ARM", "purple"),
    "disarm": Look("DisARM", "purple", "dashed"),
    "score-function": Look("score function, 4 samples", "sky", "dashed"),
    "reinmax": Look("ReinMax", "vermillion", "dashed"),
    "direct-rao-blackwell": Look("direct, Rao-Blackwell", "blue", "dashed"),
    "clamped-argmax": Look("clamped argmax (ours)", "ink"),
    "pairwise": Look("pairwise encoder, clamped argmax (ours)", "orange"),
    "em": Look("expectation-maximisation", "purple", "dotted"),
}
"""By method; the order is that of legends and columns."""
ENCODERS = {
    "independent": Look("independent", "green"),
    "supermodular": Look("super-modular, max-flow", "orange"),
    "pairwise": Look("general", "blue"),
}
_SPARE = ("ink", "blue", "vermillion", "green", "orange", "purple", "sky")


def look(method: str) -> Look:
    """Of any method; those without a look of their own get one that depends on the name alone."""
    if method in LOOKS:
        return LOOKS[method]
    number = sum(method.encode())
    dash: Literal["dashed", "dotted"] = "dotted" if number % 2 else "dashed"
    return Look(method.replace("-", " "), _SPARE[number % len(_SPARE)], dash)


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


def data_title(name: str) -> str:
    """A data set as people write it."""
    return DATA_TITLES.get(name, name)


def by(outcomes: Iterable[Outcome], key: Callable[[Outcome], Any]) -> dict[Any, list[Outcome]]:
    """Outcomes by a property, in the order of appearance."""
    groups: dict[Any, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome), []).append(outcome)
    return groups


def in_order(names: Iterable[Any], order: Iterable[Any]) -> list[Any]:
    """Names in a given order, unknown ones last, as they come."""
    names, order = list(names), list(order)
    known = [name for name in order if name in names]
    return known + [name for name in names if name not in order]


def data_sets(outcomes: Iterable[Outcome]) -> list[str]:
    """The data sets that occur, in the tool's order."""
    return in_order(by(outcomes, data_of), dict.fromkeys((*DATASETS, *ATTRIBUTE_DATASETS)))


def methods(outcomes: Iterable[Outcome]) -> list[str]:
    """The methods that occur, in the order of `LOOKS`."""
    return in_order(by(outcomes, method_of), LOOKS)


def run_titles(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Single runs in words, by name: data, labels and method, and the seed if there are several."""
    outcomes = list(outcomes)
    several = len(by(outcomes, entry("seed"))) > 1
    titles = {}
    for outcome in outcomes:
        labels = entry("labels")(outcome)
        words = [data_title(data_of(outcome)), f"{labels:,} labels" if labels else "no labels"]
        words.append(look(method_of(outcome)).label)
        if several:
            words.append(f"seed {entry('seed')(outcome)}")
        titles[outcome.name] = ", ".join(words)
    return titles
