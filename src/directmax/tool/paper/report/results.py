"""What came out of the jobs of a reproduction, as data that the report is drawn from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from directmax.tool.files import RunError, read_json, reading, write_atomic
from directmax.tool.jobs.machine import hardware
from directmax.tool.jobs.plan import Part
from directmax.tool.jobs.store import OUTCOME, STATES
from directmax.tool.look.spread import Spread
from directmax.tool.paper.items import place_of
from directmax.tool.paper.kinds import KINDS


@dataclass(frozen=True)
class Outcome:
    """One job and what came out of it. Losses in nats per image, times in seconds.

    Attributes:
        name: of the job, readable and unique.
        kind: train, gradients or mixture.
        cell: where the result belongs.
        settings: of the job; of a training its configuration.
        folder: relative to that of the reproduction.
        state: done, failed, running or waiting.
        error: why it failed, in one line.
        attempts: how often it was started.
        seconds: all attempts together.
        validation: metrics of the chosen epoch on the validation images.
        test: the same on the test images, evaluated once.
        epochs: that were run, of the start that was continued.
        best_epoch: chosen by the validation images.
        stopped_early: the validation bound no longer moved.
        seconds_per_epoch: median.
        measured: seconds of an epoch as measured before the runs, each configuration in turn.
        curves: validation metrics by epoch; `epoch` holds the numbers of the epochs.
        points: of a measurement of gradients.
        norm: of its exact gradient, in nats.
        versions: of the packages.
        machine: that ran it.
        git_commit: of the code.
    """

    name: str
    kind: str
    cell: Mapping[str, Any]
    settings: Mapping[str, Any]
    folder: str
    state: str = "waiting"
    error: str | None = None
    attempts: int = 0
    seconds: float | None = None
    validation: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    best_epoch: int | None = None
    stopped_early: bool = False
    seconds_per_epoch: float | None = None
    measured: float | None = None
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    points: tuple[Mapping[str, Any], ...] = ()
    norm: float | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    git_commit: str | None = None

    @property
    def done(self) -> bool:
        """Whether there is a result."""
        return self.state == "done"


@dataclass(frozen=True)
class Results:
    """A reproduction: what was asked for and what came out.

    Attributes:
        command: the exact command line.
        scale: smoke, short or paper.
        scale_note: what that means.
        parts: the items, in the paper's order.
        outcomes: of all jobs.
        hardware: of the machine that collected.
    """

    command: str
    scale: str
    scale_note: str
    parts: tuple[Part, ...]
    outcomes: tuple[Outcome, ...]
    hardware: Mapping[str, Any]

    def of(self, part: Part, *kinds: str) -> list[Outcome]:
        """The outcomes of an item, of some kinds or of all."""
        names = set(part.jobs)
        return [o for o in self.outcomes if o.name in names and (not kinds or o.kind in kinds)]

    def in_state(self, state: str) -> list[Outcome]:
        """Outcomes that are done, failed, running or waiting."""
        return [outcome for outcome in self.outcomes if outcome.state == state]

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary; `from_dict` reads it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Results:
        """From such a dictionary.

        Raises:
            ValueError: it is no such dictionary.
        """
        try:
            return cls(
                **{
                    **values,
                    "parts": tuple(
                        Part(**{**part, "jobs": tuple(part["jobs"])}) for part in values["parts"]
                    ),
                    "outcomes": tuple(
                        Outcome(**{**each, "points": tuple(each.get("points", ()))})
                        for each in values["outcomes"]
                    ),
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no results of a reproduction: {error}") from error


def collect(output: str | Path) -> Results:
    """Read the folder of a reproduction, finished or not.

    Raises:
        RunError: it has no plan, or a file in it is damaged.
    """
    root = Path(output)
    plan = read_json(root / "plan.json")
    with reading(root / "plan.json"):
        return Results(
            command=plan["command"],
            scale=plan["scale"],
            scale_note=plan.get("scale_note") or "",
            parts=tuple(
                Part(
                    name=item["name"],
                    title=item["title"],
                    caption=item["caption"],
                    jobs=tuple(item["jobs"]),
                    needs=item.get("needs"),
                )
                for item in sorted(plan["items"], key=lambda item: place_of(item["name"]))
            ),
            outcomes=tuple(_outcome(root, job) for job in plan["jobs"]),
            hardware=hardware(),
        )


def write_results(output: Path, results: Results) -> None:
    """Write `results.json`, atomically."""
    values = results.to_dict()
    outcomes = values.pop("outcomes")
    head = json.dumps(values, indent=1, ensure_ascii=False)
    # A line an outcome, so that the file is small and its history readable.
    lines = ",\n".join(json.dumps(outcome, ensure_ascii=False) for outcome in outcomes)
    write_atomic(output / "results.json", f'{head[:-2]},\n "outcomes": [\n{lines}\n ]\n}}\n')


def mean_of(outcomes: Iterable[Outcome], value: Callable[[Outcome], Any]) -> Spread | None:
    """Mean and deviation of a number over those that are done and have it."""
    return Spread.of(value(outcome) for outcome in outcomes if outcome.done)


Cost = Callable[[Outcome], float | None]
"""Reads the seconds of an epoch."""


def cost_of(outcomes: Iterable[Outcome]) -> Cost:
    """Reads the seconds of an epoch of outcomes that are compared, for `seconds_of`.

    Those measured in turn if all have them, else the runs' own medians: never some of each.
    """
    if measured_in_turn(list(outcomes)):
        return lambda outcome: outcome.measured
    return lambda outcome: outcome.seconds_per_epoch


def seconds_of(outcomes: Sequence[Outcome], cost: Cost) -> Spread | None:
    """Seconds of an epoch over seeds; None of several machines, whose mean says nothing."""
    return mean_of(outcomes, cost) if on_one_machine(outcomes) else None


def measured_in_turn(outcomes: Sequence[Outcome]) -> bool:
    """Whether all that are done were timed on one machine before the runs, one after the other."""
    done = [outcome for outcome in outcomes if outcome.done]
    timed = all(outcome.measured is not None for outcome in done)
    return bool(done) and timed and on_one_machine(done)


def on_one_machine(outcomes: Iterable[Outcome]) -> bool:
    """Whether all that are done ran on the same machine, with as many threads."""
    machines = [outcome.machine for outcome in outcomes if outcome.done]
    return all(machine == machines[0] for machine in machines)


def on_test(name: str) -> Callable[[Outcome], Any]:
    """Reads a metric of the test images, for `mean_of`; accuracies in per cent."""
    factor = 100 if name == "accuracy" else 1

    def read(outcome: Outcome) -> float | None:
        value = outcome.test.get(name)
        return None if value is None else factor * value

    return read


def _outcome(root: Path, job: Mapping[str, Any]) -> Outcome:
    folder = root / job["folder"]
    state = read_json(folder / "state.json") if (folder / "state.json").exists() else {}
    common: dict[str, Any] = {
        "name": job["name"],
        "kind": job["kind"],
        "cell": job["cell"],
        "settings": job["settings"],
        "folder": str(job["folder"]),
        "state": state.get("state", "waiting"),
        "error": state.get("error"),
        "attempts": state.get("attempts", 0),
        "seconds": state.get("seconds"),
        "measured": job.get("seconds_per_epoch"),
    }
    if (folder / OUTCOME).exists():
        record = read_json(folder / OUTCOME)
        with reading(folder / OUTCOME):
            return _taken_over(record, common)
    if common["state"] not in STATES:
        raise RunError(f"{folder / 'state.json'} is damaged: unknown state {common['state']!r}")
    kind = KINDS[job["kind"]]
    return Outcome(**common, **kind.result(folder, done=common["state"] == "done"))


def _taken_over(record: Mapping[str, Any], job: Mapping[str, Any]) -> Outcome:
    """An outcome of other results, under the name of the job here.

    Its times are those of its machine; one that was not measured before it ran has that of here.
    """
    names = ["name", "kind", "cell", "settings", "folder", "state", "error"]
    if record.get("measured") is None:
        names.append("measured")
    values = {name: job[name] for name in names}
    return Outcome(**{**record, **values, "points": tuple(record["points"])})
