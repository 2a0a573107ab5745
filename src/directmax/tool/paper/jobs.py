"""What an item of the paper consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from directmax.tool.config import ResolvedConfig

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
class Job:
    """One independent piece of work.

    Attributes:
        name: unique and readable, such as `table1-mnist-10-direct-0`.
        kind: `train`; `gradients`, bias and variance of estimators; or `mixture`,
            expectation-maximisation of the model of table 1.
        settings: of a training `ResolvedConfig.to_dict()`, else the arguments of the measurement.
        cell: where the result belongs, such as `{"data": "mnist", "values": 10, "method": "direct",
            "seed": 0}`.
        after: names of jobs whose results it needs.

    Example:
        >>> job = train_job("mine", TrainConfig(values=20).resolve(), method="direct")
        >>> job.cell["values"], job.key() == f"mine-{job.digest()[:8]}"
        (20, True)
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    cell: Mapping[str, Any]
    after: tuple[str, ...] = ()

    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the work, whatever it is called."""
        text = json.dumps({"kind": self.kind, "settings": self.settings}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def key(self) -> str:
        """The name of its folder."""
        return f"{self.name}-{self.digest()[:8]}"

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return {
            "name": self.name,
            "kind": self.kind,
            "settings": dict(self.settings),
            "cell": dict(self.cell),
            "after": list(self.after),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """From such a dictionary.

        Raises:
            KeyError, TypeError: it is no such dictionary.
        """
        return cls(
            name=str(values["name"]),
            kind=str(values["kind"]),
            settings=dict(values["settings"]),
            cell=dict(values["cell"]),
            after=tuple(values["after"]),
        )


@dataclass(frozen=True)
class Request:
    """What is asked of an item.

    Attributes:
        scale: smoke, short or paper.
        seeds: a run for each.
        data: data sets.
        present: numbers of training images of the data sets at hand that cannot be downloaded.

    Example:
        >>> Request("short", (0,), ("mnist",)).pick(3, 30, 300)
        30
    """

    scale: str
    seeds: tuple[int, ...]
    data: tuple[str, ...]
    present: Mapping[str, int] = field(default_factory=dict)

    def pick(self, smoke: Any, short: Any, paper: Any) -> Any:
        """The value for the scale."""
        return {"smoke": smoke, "short": short, "paper": paper}[self.scale]


@dataclass(frozen=True)
class Item:
    """A table or a figure of the paper.

    Attributes:
        name: table1, figure1, …
        title: one line for people.
        caption: what is shown.
        data: its data sets; the scale `smoke` takes the digits instead.
        build: the jobs of a request.
        embedded: whether the digits will do.
        extra: data sets that cannot be downloaded, taken where they are at hand.

    Example:
        >>> from directmax.tool.paper import ITEMS
        >>> [job.name for job in ITEMS["table1"].jobs("paper", seeds=(0,), data=("mnist",))][-1]
        'table1-mnist-50-ours-0'
    """

    name: str
    title: str
    caption: str
    data: tuple[str, ...]
    build: Callable[[Request], tuple[Job, ...]] = field(repr=False)
    embedded: bool = True
    extra: tuple[str, ...] = ()

    def jobs(
        self,
        scale: str,
        seeds: tuple[int, ...] = (),
        data: tuple[str, ...] = (),
        present: Mapping[str, int] = MappingProxyType({}),
    ) -> tuple[Job, ...]:
        """Everything that it needs, dependencies first.

        Args:
            scale: smoke, short or paper.
            seeds: a run for each; none: those of the scale.
            data: only these data sets; none: those of the scale.
            present: which of `extra` are at hand, and how many training images they have.

        Raises:
            ValueError: the item has no such data set.
        """
        digits = (SMOKE_DATA,) if self.embedded else ()
        at_hand = tuple(name for name in self.extra if name in present)
        usual = digits if scale == "smoke" else self.data + at_hand
        known = (*self.data, *self.extra, *digits)
        if data and not set(data) & set(known):
            raise ValueError(f"{self.name} is on {', '.join(known)}; got --data {' '.join(data)}")
        chosen = tuple(name for name in data if name in known) or usual
        asked = Request(scale, seeds or SEEDS[scale], chosen, present)
        return self.build(asked) if chosen else ()

    def lacks(
        self, scale: str, data: tuple[str, ...] = (), present: Container[str] = ()
    ) -> str | None:
        """What is left out and why, in one line; None for nothing. Arguments as those of `jobs`."""
        if data or (scale == "smoke" and self.embedded):
            return None
        if scale == "smoke":
            every = " or ".join(f"--data {name}" for name in (*self.data, *self.extra))
            return f"{self.name} has no embedded data and is left out: add {every}"
        missing = [name for name in self.extra if name not in present]
        if not missing:
            return None
        return (
            f"{self.name} is without {', '.join(missing)}: not in the data folders, and not to be "
            "downloaded for you"
        )


def train_job(name: str, config: ResolvedConfig, **cell: Any) -> Job:
    """A training; its cell has data, values and seed, and what else is given."""
    where = {"data": config.data, "values": config.values, "seed": config.seed, **cell}
    return Job(name, "train", config.to_dict(), where)
