"""What an item of the paper consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from directmax.tool.config import ResolvedConfig
from directmax.tool.jobs.job import Job

SCALES: dict[str, str] = {
    "smoke": (
        "scikit-learn's digits in place of the paper's data, table 1 at full length, elsewhere "
        "small models and tens of epochs: shows that everything runs"
    ),
    "short": "the paper's data, tens of epochs: the order of methods, not their limits",
    "paper": "the paper's data and protocol",
}
"""How much is run, and what that means for the numbers."""
SEEDS: dict[str, tuple[int, ...]] = {"smoke": (0,), "short": (0,), "paper": (0, 1, 2)}
"""Seeds of a scale, unless others are asked for."""
SMOKE_DATA = "digits"


@dataclass(frozen=True)
class Request:
    """What is asked of an item.

    Attributes:
        scale: smoke, short or paper.
        seeds: a run for each; none: those of the scale.
        data: only these data sets; none: those of the scale.
        present: numbers of training images of the data sets at hand that cannot be downloaded.
        everything: also what the paper's item does not have.
        epochs: of every training, in place of the scale's.

    Example:
        >>> Request("short").pick(3, 30, 300)
        30
        >>> Request("short").length(3, 30, 300), Request("paper", epochs=60).length(3, 30, 300)
        (30, 60)
    """

    scale: str
    seeds: tuple[int, ...] = ()
    data: tuple[str, ...] = ()
    present: Mapping[str, int] = field(default_factory=dict)
    everything: bool = False
    epochs: int | None = None

    def pick(self, smoke: Any, short: Any, paper: Any) -> Any:
        """The value for the scale."""
        return {"smoke": smoke, "short": short, "paper": paper}[self.scale]

    def length(self, smoke: int | None, short: int | None, paper: int | None) -> Any:
        """Epochs of a training: what was asked for, else the value for the scale.

        None: as many as the tool takes by default.
        """
        return self.epochs or self.pick(smoke, short, paper)


@dataclass(frozen=True)
class Item:
    """A table or a figure of the paper.

    Attributes:
        name: table1, figure1, …
        title: one line for people.
        caption: what is shown.
        data: its data sets; the scale `smoke` takes the digits instead.
        build: the jobs of a request, in which nothing is left open.
        embedded: whether the digits will do.
        extra: data sets that cannot be downloaded, taken where they are at hand.
        beyond: data sets that only a request for everything takes.

    Example:
        >>> from directmax.tool.paper import ITEMS
        >>> jobs = ITEMS["table1"].jobs(Request("paper", seeds=(0,), data=("mnist",)))
        >>> jobs[-1].name
        'table1-mnist-50-ours-0'
    """

    name: str
    title: str
    caption: str
    data: tuple[str, ...]
    build: Callable[[Request], tuple[Job, ...]] = field(repr=False)
    embedded: bool = True
    extra: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()

    def jobs(self, request: Request) -> tuple[Job, ...]:
        """Everything that it needs, dependencies first.

        Raises:
            ValueError: the item has no such data set.
        """
        digits = (SMOKE_DATA,) if self.embedded else ()
        named = self.data + (self.beyond if request.everything else ())
        at_hand = tuple(name for name in self.extra if name in request.present)
        default_data = digits if request.scale == "smoke" else named + at_hand
        available = (*named, *self.extra, *digits)
        if request.data and not set(request.data) & set(available):
            requested = " ".join(request.data)
            raise ValueError(f"{self.name} is on {', '.join(available)}; got --data {requested}")
        data = tuple(name for name in request.data if name in available) or default_data
        seeds = request.seeds or SEEDS[request.scale]
        return self.build(replace(request, seeds=seeds, data=data)) if data else ()

    def lacks(self, request: Request) -> str | None:
        """What is left out and why, in one line; None for nothing."""
        if request.data or (request.scale == "smoke" and self.embedded):
            return None
        if request.scale == "smoke":
            every = " or ".join(f"--data {name}" for name in (*self.data, *self.extra))
            return f"{self.name} has no embedded data and is left out: add {every}"
        missing = [name for name in self.extra if name not in request.present]
        if not missing:
            return None
        return (
            f"{self.name} is without {', '.join(missing)}: not in the data folders, and not to be "
            "downloaded for you"
        )


def train_job(name: str, config: ResolvedConfig, **cell: Any) -> Job:
    """A training; its cell has data, values and seed, and what else is given."""
    full_cell = {"data": config.data, "values": config.values, "seed": config.seed, **cell}
    return Job(name, "train", config.to_dict(), full_cell)
