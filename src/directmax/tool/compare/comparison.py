"""Runs in groups that differ by their seed only, and what differs between the groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directmax.tool.compare.runs import SAME, LeftOut, Run, find_runs
from directmax.tool.config import ResolvedConfig, flag_of, shortest
from directmax.tool.config.settings import SETTINGS
from directmax.tool.files import RunError
from directmax.tool.look.spread import Spread


@dataclass(frozen=True)
class Measure:
    """A number of a run.

    Attributes:
        name: of it, as in a file.
        title: over its column.
        read: its value, or None.
        lower: whether lower is better; None where neither is.
    """

    name: str
    title: str
    read: Callable[[Run], float | None]
    lower: bool | None = None


def _of(split: str, name: str, factor: float = 1.0) -> Callable[[Run], float | None]:
    def read(run: Run) -> float | None:
        value = getattr(run, split).get(name)
        return None if value is None else factor * value

    return read


def _encoders(run: Run) -> float | None:
    """The test bound of the encoder's own posterior: what runs with and without --refine share."""
    value: float | None = run.test.get("amortized", run.test.get("bound"))
    return value


MEASURES = (
    Measure("validation_bound", "validation bound", _of("validation", "bound"), lower=True),
    Measure("test_bound", "test bound", _of("test", "bound"), lower=True),
    Measure("test_encoder", "encoder's test bound", _encoders, lower=True),
    Measure("test_nll", "test −log p(x)", _of("test", "nll"), lower=True),
    Measure("test_kl", "test KL", _of("test", "kl")),
    Measure(
        "validation_accuracy",
        "validation accuracy, %",
        _of("validation", "accuracy", 100.0),
        lower=False,
    ),
    Measure("test_accuracy", "test accuracy, %", _of("test", "accuracy", 100.0), lower=False),
    Measure("seconds_per_epoch", "seconds an epoch", lambda run: run.seconds_per_epoch, lower=True),
    Measure("best_epoch", "best epoch", lambda run: float(run.best_epoch)),
)
"""What is compared, a declaration each."""


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed only.

    Attributes:
        label: what tells it from the other groups, in words.
        runs: by seed.
    """

    label: str
    runs: tuple[Run, ...]

    @property
    def config(self) -> ResolvedConfig:
        """Of all its runs, but for the seed."""
        return self.runs[0].unseeded

    def of(self, measure: Measure) -> Spread | None:
        """Mean and deviation over the runs; None where any has no such number."""
        values = [measure.read(run) for run in self.runs]
        return None if None in values else Spread.of(values)


@dataclass(frozen=True)
class Part:
    """Groups whose numbers are comparable: the same images, made binary alike, and kind of model.

    Attributes:
        title: what they are of.
        groups: in the order in which they were found.
        differing: names of the settings that are not the same in all groups.
    """

    title: str
    groups: tuple[Group, ...]
    differing: tuple[str, ...]

    @property
    def runs(self) -> list[Run]:
        """Of all groups."""
        return [run for group in self.groups for run in group.runs]

    @property
    def valid(self) -> bool:
        """Whether what is called a bound is one."""
        return bool(self.runs[0].subject["valid"])

    @property
    def one_machine(self) -> bool:
        """Whether times are comparable."""
        return all(run.machine == self.runs[0].machine for run in self.runs)

    def measures(self) -> list[Measure]:
        """Those that some run has."""
        refined = any("amortized" in run.test for run in self.runs)
        return [
            m
            for m in MEASURES
            if any(m.read(run) is not None for run in self.runs)
            and (refined or m.read is not _encoders)
        ]

    def best(self, measure: Measure) -> Group | None:
        """The group that is better than every other by more than the deviation over seeds.

        Of two deviations the larger one counts; a group of one seed has none, so that nothing is
        known.
        """
        times = measure.name == "seconds_per_epoch"
        if measure.lower is None or len(self.groups) < 2 or (times and not self.one_machine):
            return None
        if not self.valid and measure.name.endswith("_bound"):
            return None
        spreads = [group.of(measure) for group in self.groups]
        found = [each for each in spreads if each is not None]
        if len(found) < len(spreads) or any(each.deviation is None for each in found):
            return None
        sign = 1.0 if measure.lower else -1.0
        first, *others = sorted(range(len(found)), key=lambda number: sign * found[number].mean)
        for other in others:
            deviation = max(found[first].deviation or 0.0, found[other].deviation or 0.0)
            if sign * (found[other].mean - found[first].mean) <= deviation:
                return None
        return self.groups[first]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        parts: the largest first; numbers of different parts are not comparable.
        left_out: what is not compared, and why.

    Example:
        >>> Comparison((), ()).runs
        []
    """

    parts: tuple[Part, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def runs(self) -> list[Run]:
        """Of all parts."""
        return [run for part in self.parts for run in part.runs]

    def notes(self) -> list[str]:
        """What a reader must know before the numbers, a line each."""
        lines = [str(each) for each in self.left_out]
        first, *others = self.parts
        for part in others:
            lines += [
                f"{run.path}: compared apart, {_differences(run, first.runs[0])}"
                for run in part.runs
            ]
        return lines


def compare_runs(paths: Iterable[str | Path]) -> Comparison:
    """Compare finished runs.

    Runs that differ by their seed only are a group, with mean and standard deviation; groups of
    other images or another kind of model are a part of their own.

    Args:
        paths: run folders, or folders with runs somewhere in them; each run counts once.

    Returns:
        Groups, what differs between them, and what was left out.

    Raises:
        RunError: a path is no folder, or holds no finished run, or is a run that is damaged.
        TypeError: `paths` is one path, not several.

    Example:
        >>> compare_runs(["runs/none"])
        Traceback (most recent call last):
        ...
        directmax.tool.files.RunError: runs/none does not exist: expected the folder of a run, or \
one with runs in it
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"paths must be a list of folders, got {str(paths)!r}: write [{paths!r}]")
    runs, left_out = find_runs(paths)
    if not runs:
        if not left_out:
            raise ValueError("paths must name at least one run folder")
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise RunError(f"no finished run to compare: {left_out[0]}{more}")
    by_subject: dict[str, list[Run]] = {}
    for run in runs:
        by_subject.setdefault(repr(run.subject), []).append(run)
    parts = [_part(each) for each in by_subject.values()]
    return Comparison(tuple(sorted(parts, key=lambda part: -len(part.runs))), tuple(left_out))


def _part(runs: Sequence[Run]) -> Part:
    by_config: dict[ResolvedConfig, list[Run]] = {}
    for run in runs:
        by_config.setdefault(run.unseeded, []).append(run)
    groups = [sorted(each, key=lambda run: run.config.seed) for each in by_config.values()]
    names = [n for n in SETTINGS if len({getattr(config, n) for config in by_config}) > 1]
    labels = _labels(list(by_config), names)
    subject = runs[0].subject
    title = " · ".join(str(subject[n]) for n in ("data", "binarize", "model") if subject[n])
    paired = zip(labels, groups, strict=True)
    return Part(title, tuple(Group(label, tuple(each)) for label, each in paired), tuple(names))


def _labels(configs: Sequence[ResolvedConfig], differing: Sequence[str]) -> list[str]:
    """Words that tell configurations apart: what somebody would type, not what follows from it."""
    if len(configs) == 1:
        return [configs[0].title]
    typed = [shortest(config) for config in configs]
    chosen = [n for n in differing if len({repr(each.given().get(n)) for each in typed}) > 1]
    if len({each.preset for each in typed}) > 1:
        words = [[each.preset if each.preset != "default" else ""] for each in typed]
    else:
        words = [[] for _ in typed]
    labels = [_label(config, chosen, first) for config, first in zip(configs, words, strict=True)]
    if len(set(labels)) == len(labels):
        return labels
    return [_label(config, differing, first) for config, first in zip(configs, words, strict=True)]


def _label(config: ResolvedConfig, names: Sequence[str], first: Sequence[str]) -> str:
    words = [word for word in first if word]
    for name in names:
        value = getattr(config, name)
        if (word := setting_text(value)) is not None:
            bare = SETTINGS[name].kind == "str" and value not in ("on", "off", "auto", "none")
            words.append(word if bare else f"{name.replace('_', ' ')} {word}")
    return ", ".join(words) or config.title


def setting_text(value: Any) -> str | None:
    """A setting in a table; None where nothing uses it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(value) or None
    if value is None:
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _differences(run: Run, other: Run) -> str:
    mine: Mapping[str, Any] = run.subject
    theirs = other.subject
    found = [
        f"{flag_of(name)} {setting_text(mine[name])} and not {setting_text(theirs[name])}"
        for name in SAME
        if mine[name] != theirs[name]
    ]
    return ", ".join(found) or ("it has a bound" if mine["valid"] else "it has no bound")
