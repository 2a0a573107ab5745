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
