"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from directmax.tool.run.evaluation import NO_BOUND


def bound_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    """Bound, its terms and −log p(x) in nats per image, and accuracy where there is one.

    Args:
        metrics: by split, as `Metrics.to_dict` and `summary.json` have them.
    """
    first = next(iter(metrics.values()))
    samples = first["num_samples"]
    how = "exact" if samples is None else f"{samples} samples an image"
    columns = {"bound": "bound", "reconstruction": "reconstruction", "kl": "KL", "nll": "−log p(x)"}
    caption = None
    if not first["valid"]:
        columns["bound"], columns["kl"] = "no bound", "KL of the unary potentials"
        caption = NO_BOUND
    elif first["authors"] is not None:
        columns["authors"] = "no bound"
        caption = f"Bound and KL are those of the Gibbs distribution. {NO_BOUND}"
    if "accuracy" in first:
        columns["accuracy"] = "accuracy, %"
        samples_of = "Gaussian sample" if samples == 1 else "Gaussian samples"
        how = f"{samples} {samples_of} for every z"
    table = Table(
        title=f"nats per image, {how}",
        title_justify="left",
        caption=caption,
        caption_justify="left",
    )
    table.add_column("")
    for name in columns.values():
        table.add_column(name, justify="right")
    for split, values in metrics.items():
        percent = {"accuracy": 100 * values.get("accuracy", 0.0)}
        cells = ({**values, **percent}[name] for name in columns)
        table.add_row(split, *("–" if cell is None else f"{cell:.2f}" for cell in cells))
    return table


def confusion_table(split: str, matrix: list[list[int]]) -> Table:
    """Images by class (rows) and predicted class (columns).

    Args:
        split: which images.
        matrix: counts; a column beyond the number of rows is that of values without a class.

    Example:
        >>> confusion_table("test", [[3, 0, 1], [1, 2, 0]]).row_count
        2
    """
    title = f"{split}: images by class and predicted class"
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in range(len(matrix[0])):
        table.add_column(str(column) if column < len(matrix) else "none", justify="right")
    for number, row in enumerate(matrix):
        table.add_row(str(number), *map(str, row))
    return table


def attribute_table(accuracies: dict[str, dict[str, float]]) -> Table:
    """Accuracy of every attribute, in per cent.

    Args:
        accuracies: by split, then by attribute, from 0 to 1.

    Example:
        >>> attribute_table({"test": {"Smiling": 0.98, "Male": 1.0}}).row_count
        2
    """
    table = Table(title="accuracy of every attribute, %", title_justify="left")
    table.add_column("")
    for split in accuracies:
        table.add_column(split, justify="right")
    for name in next(iter(accuracies.values())):
        table.add_row(name, *(f"{100 * each[name]:.2f}" for each in accuracies.values()))
    return table
