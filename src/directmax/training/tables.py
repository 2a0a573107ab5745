"""Tables for the terminal."""

from __future__ import annotations

from rich.table import Table


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
