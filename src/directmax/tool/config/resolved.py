"""What a configuration means: every setting has its value. Does not import torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from directmax.tool.config.defaults import falling_epochs
from directmax.tool.config.setting import flag_of
from directmax.tool.config.settings import SETTINGS, Settings
from directmax.tool.data.names import ALL


@dataclass(frozen=True)
class ResolvedConfig(Settings):
    """What a configuration means: every setting has its value, None where nothing uses it.

    It comes from `TrainConfig.resolve` or, from a file, `stored_config`.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> TrainConfig(data="mnist", values=50).resolve().estimator
        'local-divergence'
    """

    def __post_init__(self) -> None:
        if any(getattr(self, n) is None and s.stored is None for n, s in SETTINGS.items()):
            raise TypeError("a ResolvedConfig is made by TrainConfig(...).resolve()")

    def resolve(self, *_traits: object) -> ResolvedConfig:
        """Itself, for any images."""
        return self

    @property
    def title(self) -> str:
        """One line for people: data, latent space, estimator."""
        encoder = "" if self.encoder == "independent" else f"{self.encoder} · "
        if self.network != "mlp":
            encoder = f"{self.network} · {encoder}"
        if self.model != "discrete":
            unlabelled = self.groups and not self.labels
            shown = f"{self.values} groups" if unlabelled else f"{self.labels} labels"
            encoder += f"{self.gaussian} Gaussian dimensions · {shown} · "
        if self.model == "attributes":
            return f"{self.data} · {', '.join(self.attributes)} · {encoder}{self.estimator}"
        return f"{self.data} · {self.variables}×{self.values} · {encoder}{self.estimator}"

    @property
    def start_epochs(self) -> int:
        """Epochs of each start, after which the best one is continued; 0 where there is one."""
        return self.falling_epochs if self.starts > 1 else 0

    @property
    def falling_epochs(self) -> int:
        """Epochs in which the weight of the KL term falls, if it does; the last one may be cut."""
        return falling_epochs(self.kl_fraction, self.epochs)

    def falling_steps(self, steps_per_epoch: int) -> int:
        """Steps in which it falls."""
        return round(self.kl_fraction * (self.epochs * steps_per_epoch))

    @property
    def total_epochs(self) -> int:
        """Of all starts together.

        Example:
            >>> from directmax.tool.config import TrainConfig
            >>> TrainConfig(estimator="direct", data="mnist", starts=3).resolve().total_epochs
            160
        """
        return self.epochs + (self.starts - 1) * self.start_epochs

    def epochs_before(self, start: int, epoch: int) -> int:
        """Epochs of other starts that come before an epoch (from 1) of a start (from 0).

        Example:
            >>> from directmax.tool.config import TrainConfig
            >>> config = TrainConfig(estimator="direct", data="mnist", starts=3).resolve()
            >>> config.epochs_before(1, 20), config.epochs_before(1, 21)  # 21: after the choice
            (20, 40)
        """
        first = self.start_epochs
        return first * (start if epoch <= first else self.starts - 1)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary, without settings of later versions that were not used."""
        values = {}
        for name, each in SETTINGS.items():
            value = each.to_file(getattr(self, name), self)
            unused = each.stored is not None and value == each.stored
            if each.since > 1 and (unused or value == each.before):
                continue
            values[name] = list(value) if isinstance(value, tuple) else value
        return values

    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the configuration."""
        return digest_of(self.to_dict())

    def differences(self, other: ResolvedConfig) -> list[str]:
        """One `flag: mine, theirs` for each entry that differs."""
        return [
            f"{flag_of(name)}: {getattr(self, name)!r} here, {getattr(other, name)!r} there"
            for name in SETTINGS
            if getattr(self, name) != getattr(other, name)
        ]


class Traits(NamedTuple):
    """What defaults depend on of images.

    Attributes:
        num_images: of the training images; None: those of the data set that is named.
        channels: 3 where they are in colours.
        rows: whether they are rows of numbers, not pictures.
        num_classes: 0 where there are none, or it is not known.
        threshold: that parts ink from ground.
    """

    num_images: int | None = None
    channels: int = 1
    rows: bool = False
    num_classes: int = 0
    threshold: float = 0.5


class _Filler:
    """Settings by name: the value that was given, or the default, which may ask for others."""

    def __init__(self, values: Mapping[str, Any], traits: Traits) -> None:
        self.channels, self.rows, self.num_classes, self.ink = traits[1:]
        self._given = dict(values)
        self._values = dict(values)
        known = ALL.get(self.data)
        self.num_images = traits.num_images or (known.train_images if known else None)

    def given(self, name: str) -> Any:
        """None: not given."""
        return self._given.get(name)

    def __getattr__(self, name: str) -> Any:
        if name not in self._values:
            default = SETTINGS[name].default
            self._values[name] = default(self) if callable(default) else default
        return self._values[name]


def fill(values: Mapping[str, Any], traits: Traits | None = None) -> ResolvedConfig:
    """Every setting: the value that is given, else its default; nothing else is looked at."""
    filler = _Filler(values, traits or Traits())
    return ResolvedConfig(**{name: getattr(filler, name) for name in SETTINGS})


def digest_of(stored: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that identify what `ResolvedConfig.to_dict` wrote."""
    text = json.dumps(stored, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
