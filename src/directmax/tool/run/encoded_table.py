"""Codes of images as a table, a row an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from directmax.tool.config import ResolvedConfig
from directmax.tool.run.described import Described


def encoded_table(arrays: Mapping[str, Any], config: ResolvedConfig, images: Described) -> bytes:
    """The most probable value of every variable, and how probable it is, as text with commas.

    Values of a model that was trained with labels are classes, and those of one with attributes are
    1 and 0, below their names; others are numbered from 0, below z1, z2, ….

    Args:
        arrays: `codes` and `probabilities`, perhaps `labels`, `split` and `files`.
        config: of the run.
        images: what its images are.
    """
    codes, names = arrays["codes"], _names(config, images)
    probable = np.take_along_axis(arrays["probabilities"], codes[..., None], -1)[..., 0]
    classes = list(images.label_names) if names == ["class"] else []
    columns: dict[str, Sequence[Any]] = {}
    for number, name in enumerate(names):
        values = codes[:, number].tolist()
        columns[name] = [classes[v] if v < len(classes) else v for v in values]
    for number, name in enumerate(names):
        columns[f"probability of {name}"] = [f"{p:.6g}" for p in probable[:, number].tolist()]
    others = [name for name in ("labels", "split", "files") if name in arrays]
    columns |= {name: arrays[name].tolist() for name in others}
    if classes and "labels" in columns:  # numbered as the model's classes, −1 for others
        columns["labels"] = [classes[v] if v >= 0 else "" for v in columns["labels"]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _names(config: ResolvedConfig, images: Described) -> list[str]:
    if config.model == "attributes" and config.labels:
        return list(images.attribute_names)
    if config.model == "mixed" and config.labels:
        return ["class"]
    return [f"z{number}" for number in range(1, config.variables + 1)]
