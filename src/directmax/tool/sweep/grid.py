"""From words after flags to trainings. Does not import torch."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from directmax.tool.config import ResolvedConfig, TrainConfig, flag_of
from directmax.tool.config.resolved import Traits
from directmax.tool.config.rules import unused
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data.names import OWN, is_path

MOST_TRAININGS = 10_000


@dataclass(frozen=True)
class Training:
    """One training of a grid.

    Attributes:
        name: from the settings that vary, and the seed.
        config: what is trained.
        path: of images of one's own; None: `config` names them.
    """

    name: str
    config: ResolvedConfig
    path: str | None = None


@dataclass(frozen=True)
class Grid:
    """The trainings of a grid.

    Attributes:
        trainings: every combination once.
        notes: which settings were left out where nothing uses them, a sentence each.
    """

    trainings: tuple[Training, ...]
    notes: tuple[str, ...]


def make_grid(
    axes: Mapping[str, Sequence[Any]],
    *,
    seeds: int | None = None,
    base: Mapping[str, Any] | None = None,
    preset: str = "default",
    sizes: Mapping[str, Traits] | None = None,
) -> Grid:
    """Every combination of the values of some settings.

    A setting that a combination does not use, such as a temperature with the direct estimator, is
    left out there, as long as another combination uses it.

    Args:
        axes: values by setting; one with a single value is the same everywhere.
        seeds: how many, from the value of `seed` (0 where none is given) on.
        base: settings of all, such as those of a file; `axes` win.
        preset: of all.
        sizes: `Traits` of images by path, for values of `data` that are paths; defaults follow from
            them.

    Raises:
        TypeError, ValueError: a combination makes no sense, which the message names, or a setting
            is used by none.

    Example:
        >>> grid = make_grid({"estimator": ["direct", "gumbel-softmax"]}, seeds=2)
        >>> [training.name for training in grid.trainings][:3]
        ['direct-seed-0', 'direct-seed-1', 'gumbel-softmax-seed-0']
    """
    axes = {name: list(dict.fromkeys(values)) for name, values in axes.items()}
    given = dict(base or {})
    if seeds is not None:
        axes["seed"] = _seeds(seeds, axes.get("seed", [given.get("seed", 0)]))
    count = math.prod(map(len, axes.values()))
    if count > MOST_TRAININGS:
        raise ValueError(f"a sweep has at most {MOST_TRAININGS:,} trainings, got {count:,}")
    varying = [name for name, values in axes.items() if len(values) > 1]
    used = dict.fromkeys(axes, False)
    left_out: dict[tuple[str, str], None] = {}
    trainings: dict[tuple[str, str | None], Training] = {}
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        settings, path = _without_path(given | chosen)
        typed, dropped = _used(settings, chosen, preset)
        used |= dict.fromkeys(set(chosen) - set(dropped), True)
        left_out |= dict.fromkeys(dropped.items())
        kept = {name: value for name, value in chosen.items() if name in typed}
        try:
            config = TrainConfig(**typed, preset=preset).resolve(*(sizes or {}).get(path or "", ()))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{error}{_where(kept, varying)}") from None
        training = Training(_name(kept, varying, config), config, path)
        trainings.setdefault((config.digest(), path), training)
    _refuse_unused(used, list(left_out))
    notes = [f"{flag_of(name)} is left out where it is not used" for name, _ in left_out]
    return Grid(tuple(_distinct(list(trainings.values()))), tuple(dict.fromkeys(notes)))


def _refuse_unused(used: Mapping[str, bool], left_out: Sequence[tuple[str, str]]) -> None:
    for name, is_used in used.items():
        if not is_used:
            reason = next(reason for other, reason in left_out if other == name)
            raise ValueError(f"{flag_of(name)} is for {reason}")


def _without_path(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Settings with a word for images of one's own, and the path of these."""
    word = settings.get("data")
    if isinstance(word, str) and is_path(word):
        return {**settings, "data": OWN}, word
    return dict(settings), None


def _seeds(count: int, first: Sequence[Any]) -> list[int]:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"--seeds must be at least 1, a number of seeds, got {count}")
    if len(first) > 1:
        raise ValueError("--seeds is a number of seeds, and --seed a list of them: leave one out")
    start = SETTINGS["seed"].check(first[0])
    return [start + number for number in range(count)]


def _used(
    typed: Mapping[str, Any], chosen: Mapping[str, Any], preset: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings without those of `chosen` that nothing uses, and what these are for, by name."""
    kept = dict(typed)
    dropped: dict[str, str] = {}
    for name in chosen:
        try:
            TrainConfig(**kept, preset=preset)
        except (ValueError, TypeError):
            fewer = {key: value for key, value in kept.items() if key != name}
            try:
                reason = unused(name, TrainConfig(**fewer, preset=preset).resolve())
            except (ValueError, TypeError):
                continue  # another one is wrong too
            if reason is not None:
                kept, dropped = fewer, dropped | {name: reason}
    return kept, dropped


def _where(chosen: Mapping[str, Any], varying: Sequence[str]) -> str:
    """Which combination it is, in a message."""
    words = [f"{flag_of(name)} {_word(chosen[name])}" for name in varying if name in chosen]
    return f" (with {' '.join(words)})" if words else ""


def _word(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _name(chosen: Mapping[str, Any], varying: Sequence[str], config: ResolvedConfig) -> str:
    """A name for a folder, such as values-10-direct-seed-0."""
    words = []
    for name in varying:
        if name == "seed" or name not in chosen:
            continue
        word = _word(chosen[name])
        if name == "data":
            word = PurePath(word).name.split(".")[0] or OWN
        bare = SETTINGS[name].kind == "str" and word not in ("on", "off", "auto", "none")
        words.append(word if bare else f"{name}-{word}")
    text = "-".join([*words, f"seed-{config.seed}"]).replace("_", "-")
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")[-80:]


def _distinct(trainings: Sequence[Training]) -> list[Training]:
    """The same with a number behind names that are there already."""
    seen: dict[str, int] = {}
    found = []
    for each in trainings:
        seen[each.name] = number = seen.get(each.name, 0) + 1
        name = each.name if number == 1 else f"{each.name}-{each.config.digest()[:6]}"
        found.append(dataclasses.replace(each, name=name))
    return found
