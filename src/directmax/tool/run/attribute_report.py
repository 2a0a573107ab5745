"""The parts of a run's report that are those of a model with attributes."""

from __future__ import annotations

from typing import Any

from directmax.models import AttributeVAE
from directmax.tool.data import AttributeData
from directmax.tool.run import attribute_pictures

ROWS = 8
"""Validation images in the picture."""


def accuracies(summary: dict[str, Any], names: tuple[str, ...]) -> list[list[str]]:
    """A row an attribute: its accuracy on validation and test images, in per cent."""
    rows = []
    for name in names:
        cells = (summary[split].get("attributes", {}) for split in ("validation", "test"))
        rows.append([name, *(f"{100 * cell[name]:.2f}" if cell else "–" for cell in cells)])
    return rows


def picture(model: AttributeVAE, data: AttributeData) -> tuple[bytes, tuple[str, ...]]:
    """Validation images with attributes on and off, as a PNG, and which attributes."""
    names = data.attribute_names[: attribute_pictures.MOST_SWITCHED]
    grid = attribute_pictures.switched(model, data, ROWS, attributes=names, split="validation")
    return attribute_pictures.figure(grid), names
