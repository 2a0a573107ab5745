"""Settings from a file: TOML, YAML, or the `config.json` of a run. Does not import torch."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directmax.tool.config.setting import Setting, shown
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data.names import OWN, is_path
from directmax.tool.files import LARGEST_JSON, RunError, read_bytes, user_path

PRESET = "preset"
ENDINGS = (".toml", ".yaml", ".yml", ".json")


@dataclass(frozen=True)
class SettingsFile:
    """What a file holds.

    Attributes:
        values: each of its type and in its range, by the settings' names.
        whole: whether they are a whole configuration, as `ResolvedConfig.to_dict` wrote it.
        data: the path of data of one's own, for which `values` have a word; else None.
    """

    values: dict[str, Any]
    whole: bool
    data: str | None


def read_settings(path: str | Path) -> SettingsFile:
    """The entries of a file.

    Args:
        path: of a file with one of `ENDINGS`, or a run folder.

    Raises:
        RunError: the file cannot be read, or is no table of settings.
        TypeError, ValueError: an entry that is none, or makes no sense; the message names both.
    """
    file = user_path(path)
    if file.is_dir():
        file = file / "config.json"
    kind = file.suffix.lower()
    if kind not in ENDINGS:
        raise RunError(
            f"{file} must end in .toml, .yaml or .json, so that it is known how to read it"
        )
    values = _parse(file, kind)
    if kind == ".json" and isinstance(values.get("config"), dict) and "digest" in values:
        images = values.get("images")
        lie = images.get("path") if isinstance(images, dict) else None
        return SettingsFile(values["config"], True, lie if isinstance(lie, str) else None)
    found = _checked(file, values, words=kind in (".yaml", ".yml"))
    if not is_path(found.get("data") or ""):
        return SettingsFile(found, False, None)
    return SettingsFile({**found, "data": OWN}, False, found["data"])


def _parse(file: Path, kind: str) -> dict[str, Any]:
    try:
        text = read_bytes(file, LARGEST_JSON).decode("utf-8-sig")
        if kind == ".toml":
            values: Any = tomllib.loads(text)
        elif kind == ".json":
            values = json.loads(text, object_pairs_hook=_each_once)
        else:
            values = _parse_yaml(file, text)
    except RunError:
        raise
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"{file} is no {kind[1:].upper().replace('YML', 'YAML')}: {reason}"
        ) from None
    if values is None:  # an empty YAML
        values = {}
    if not isinstance(values, dict):
        raise RunError(f"{file} must hold settings by name, got {type(values).__name__}")
    return values


def _parse_yaml(file: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise RunError(
            f"{file} needs PyYAML: pip install 'directmax[yaml]', or write it as TOML"
        ) from None
    try:
        whole = yaml.compose(text, Loader=yaml.SafeLoader)
        if isinstance(whole, yaml.MappingNode):
            _each_once([(key.value, None) for key, _ in whole.value])
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _each_once(entries: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """A table of entries, which readers of JSON and YAML make without a word of what is twice."""
    found: dict[Any, Any] = {}
    for key, value in entries:
        if str(key) in found:
            raise ValueError(f"it has {key} twice; leave one of them out")
        found[str(key)] = value
    return found


def _checked(file: Path, values: Mapping[Any, Any], *, words: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name in found:
            raise ValueError(f"{file} has {name} twice, as {key} too; leave one of them out")
        if name == PRESET:
            if not isinstance(value, str):
                raise TypeError(f"{file}: preset must be a word, got {shown(value)}")
            found[name] = value
            continue
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, [*SETTINGS, PRESET], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"{file}: unknown setting '{str(key)[:60]}'{hint or '; see directmax train --help'}"
            )
        found[name] = _value(file, str(key), SETTINGS[name], value, words=words)
    return found


def _value(file: Path, key: str, each: Setting, value: Any, *, words: bool) -> Any:
    """A checked value; errors name the file and the key in place of the flag."""
    if isinstance(value, bool) and "on" in each.choices:  # YAML's on and off, TOML's true and false
        value = "on" if value else "off"
    try:
        if each.unset(value):
            return value
        if words and isinstance(value, str) and each.kind in ("int", "float"):
            value = each.read(value)  # YAML reads 1e-3 as a word
        return each.check(value)
    except (TypeError, ValueError) as error:
        message = str(error).replace(each.flag, key)
        where = f"{file}: " if key in message else f"{file}: {key}: "
        raise type(error)(where + message) from None
