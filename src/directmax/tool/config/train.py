"""What was given for a training run, and what it means. Does not import torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from directmax._choices import check_choice
from directmax.tool.config.file import PRESET, read_settings
from directmax.tool.config.resolved import ResolvedConfig, Traits, fill
from directmax.tool.config.rules import check, check_data, refuse_unused, unused
from directmax.tool.config.settings import SETTINGS, Settings
from directmax.tool.config.words import users
from directmax.tool.data.names import OWN
from directmax.tool.files import RunError

_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Section 5 of the paper: Adam at a constant rate, no KL annealing, ε and τ annealed from 1.
    "paper": {
        "data": "mnist",
        "values": 10,
        "hidden": 300,
        "estimator": "direct",
        "epsilon": 1.0,
        "two_sided": False,
        "num_samples": 1,
        "kl_start": 1.0,
        "kl_fraction": 0.0,
        "starts": 1,
        "epochs": 300,
        "batch_size": 100,
        "learning_rate_schedule": "constant",
        "refine": False,
        "eval_samples": 100,
    },
}

_SHARES = (
    "kl_fraction",
    "covering",
    "moves_from",
    "refined_from",
    "decided_from",
    "grouped_until",
)
"""Settings that are shares of the run."""


@dataclass(frozen=True)
class TrainConfig(Settings):
    """What was given for a training run; None stands for nothing. `resolve` says what it means.

    The fields are the flags of `directmax train`, whose help says what each is, its default, and
    who uses it.

    Attributes:
        preset: where settings come from that are not given: default, or paper (the published
            protocol).

    Raises:
        TypeError: a value of another type; the message names the flag.
        ValueError: a value out of range, two that do not go together, or one that nothing uses.

    Example:
        >>> import dataclasses
        >>> config = TrainConfig(data="mnist", estimator="direct")
        >>> config.epochs, config.resolve().epochs, config.resolve().start_epochs
        (None, 120, 20)
        >>> dataclasses.replace(config, epochs=2).resolve().starts  # too few to choose after
        1
    """

    preset: str = "default"

    def __post_init__(self) -> None:
        self.resolve()

    @classmethod
    def from_file(cls, path: str | Path, **changes: Any) -> TrainConfig:
        """What a file says: TOML, YAML (with PyYAML), or the `config.json` of a run.

        Keys are the names of the settings, with - or _, and `preset`. Of a run it is the least
        that gives its configuration, so that other settings may be changed. Where `data` is a
        path, `train` takes it as `images`; see `data_path`.

        Args:
            path: the file, by its ending, or the folder of a run.
            changes: settings that win over those of the file; None for nothing.

        Raises:
            RunError: the file cannot be read.
            TypeError: a value of another type; the message names file and key.
            ValueError: an unknown key, a value out of range, or two that do not go together.

        Example:
            >>> import tempfile, pathlib
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = pathlib.Path(folder, "mine.toml")
            ...     _ = file.write_text('data = "mnist"\\nbatch-size = 200')
            ...     config = TrainConfig.from_file(file, values=20)
            >>> config.given()
            {'data': 'mnist', 'values': 20, 'batch_size': 200}
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        file = read_settings(path)
        if file.whole:
            try:
                stored = shortest(stored_config(file.values))
            except (LookupError, TypeError, ValueError, ArithmeticError) as error:
                raise RunError(f"{path} is damaged: {error}") from error
            return cls(**_laid_over(stored.given(), changes, changes.pop(PRESET, stored.preset)))
        try:
            return cls(**{**file.values, **changes})
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error} (settings of {path})") from None

    @staticmethod
    def data_path(path: str | Path) -> str | None:
        """Where the images of one's own lie that a file has as `data`, or a run was trained on.

        Raises:
            RunError, TypeError, ValueError: as `from_file`.

        Example:
            >>> import tempfile, pathlib
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = pathlib.Path(folder, "mine.toml")
            ...     _ = file.write_text('data = "mushrooms.npz"')
            ...     TrainConfig.from_file(file).data, TrainConfig.data_path(file)
            ('own', 'mushrooms.npz')
        """
        return read_settings(path).data

    def given(self) -> dict[str, Any]:
        """What is not unset, as plain Python values, each of its type and in its range."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {n: SETTINGS[n].check(v) for n, v in values.items() if not SETTINGS[n].unset(v)}

    def resolve(
        self,
        num_images: int | None = None,
        channels: int = 1,
        rows: bool = False,
        num_classes: int = 0,
        threshold: float = 0.5,
    ) -> ResolvedConfig:
        """Every setting with its value: given, of the preset, or the default for the others.

        Args:
            num_images: of the training images, on which the defaults of `epochs` and `batch_size`
                depend; None: those of the data set that is named.
            channels: 3 where they are in colours, on which that of `likelihood` depends.
            rows: whether they are rows of numbers, which are not moved.
            num_classes: which with labels is the default of `values`.
            threshold: the default of `threshold`.
        """
        traits = Traits(num_images, channels, rows, num_classes, threshold)
        check_choice("preset", self.preset, tuple(_PRESETS))
        given = self.given()
        return _resolve(_PRESETS[self.preset] | given, given, traits)


def _laid_over(
    stored: Mapping[str, Any], changes: Mapping[str, Any], preset: str
) -> dict[str, Any]:
    """Settings of a run with changes, without those of the run that nothing uses any more."""
    values = {**stored, **changes}
    typed = {name: value for name, value in values.items() if not SETTINGS[name].unset(value)}
    check_choice("preset", preset, tuple(_PRESETS))
    config = fill(_PRESETS[preset] | typed)
    kept = {n: v for n, v in typed.items() if n in changes or not unused(n, config)}
    return {**kept, PRESET: preset}


def _resolve(
    values: dict[str, Any],
    given: Mapping[str, Any],
    traits: Traits | None = None,
) -> ResolvedConfig:
    if values.get("attributes") == ():  # none are named: those by default
        del values["attributes"]
    plain = {name: SETTINGS[name].default for name in ("model", "data")}
    check_data(SimpleNamespace(**plain | values))
    config = fill(values, traits)
    refuse_unused(given, config)
    check(config)
    return config


def stored_config(values: Mapping[str, Any]) -> ResolvedConfig:
    """The configuration that `ResolvedConfig.to_dict` wrote, now or in an earlier version.

    Raises:
        TypeError, ValueError: an unknown or missing key, or a value that makes no sense.

    Example:
        >>> config = TrainConfig(values=20).resolve()
        >>> stored_config(config.to_dict()) == config
        True
    """
    values = _of_earlier_versions(values.get("estimator")) | dict(values)
    mismatched = sorted(set(SETTINGS).symmetric_difference(values))
    if mismatched:
        raise ValueError(
            f"the configuration has unknown or missing entries: {', '.join(mismatched)}; "
            "it was written by another version of directmax"
        )
    known_values = {
        name: SETTINGS[name].check(SETTINGS[name].from_file(value))
        for name, value in values.items()
        if SETTINGS[name].stored is None or value != SETTINGS[name].stored
    }
    return _resolve(known_values, {})


def _of_earlier_versions(estimator: object) -> dict[str, Any]:
    """What was the case before settings came, or what stands for one that nothing uses."""
    return {
        name: each.before if each.stored is None or estimator in users(name) else each.stored
        for name, each in SETTINGS.items()
        if each.since > 1
    }


def changed(config: ResolvedConfig, **changes: Any) -> ResolvedConfig:
    """The configuration with other settings; those that are None are chosen anew.

    What nothing uses any more stays, and is not refused.

    Raises:
        TypeError, ValueError: as `TrainConfig`.
    """
    values = {name: value for name, value in (vars(config) | changes).items() if value is not None}
    return _resolve({name: SETTINGS[name].check(value) for name, value in values.items()}, {})


def extended(config: ResolvedConfig, epochs: int) -> ResolvedConfig:
    """The configuration of a run that goes on for some epochs more.

    What happens in a share of the run (α, the weight of the KL term) stays at the steps where it
    was, unless that is the whole run; the learning rate falls anew, from where it then is. It
    ends where it is asked to, not before (`patience`).

    Raises:
        ValueError: `epochs` < 0, too many, or a configuration that cannot be trained for longer.

    Example:
        >>> config = extended(TrainConfig(data="mnist").resolve(), 40)
        >>> config.epochs, round(config.covering, 4)
        (80, 0.3333)
    """
    if epochs == 0:
        return config
    if epochs < 0:
        raise ValueError(f"--extend must be at least 0, got {epochs}")
    total = SETTINGS["epochs"].check(config.epochs + epochs)
    share = config.epochs / total
    shares = {name: getattr(config, name) for name in _SHARES}
    part = {name: value for name, value in shares.items() if value is not None}
    whole = {name for name, value in part.items() if value == 1 and name != "kl_fraction"}
    changes = {name: value * share for name, value in part.items() if name not in whole}
    longer = dataclasses.replace(config, epochs=total, patience=0, **changes)
    check(longer)  # before anything is written with it
    return longer


def shortest(config: ResolvedConfig) -> TrainConfig:
    """The least that can be given for a configuration, without what nothing uses.

    Example:
        >>> shortest(TrainConfig(preset="paper", estimator="exact").resolve()).given()
        {'estimator': 'exact'}
    """
    found = []
    for preset, base in _PRESETS.items():
        changed_values = {name: value for name, value in vars(config).items() if value is not None}
        for name in list(changed_values):
            fewer = {key: value for key, value in changed_values.items() if key != name}
            if _is_for(config, base | fewer):
                changed_values = fewer
        used = {name: value for name, value in changed_values.items() if not unused(name, config)}
        found.append((len(changed_values) - len(used), len(used), preset, used))
    *_, preset, used = min(found, key=lambda each: each[:2])
    return TrainConfig(**used, preset=preset)


def _is_for(config: ResolvedConfig, values: Mapping[str, Any]) -> bool:
    """Whether values mean a configuration, with data of one's own whatever that is."""
    kinds = (Traits(), Traits(1, 3), Traits(1, 1, True, 3)) if config.data == OWN else (Traits(),)
    return all(fill(values, traits) == config for traits in kinds)


PRESETS: dict[str, TrainConfig] = {name: TrainConfig(preset=name) for name in _PRESETS}
"""Named starting points; what is given beside `preset` wins."""
