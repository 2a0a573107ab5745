"""What a reader finds in a file or folder: arrays, and which part of the data they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
"""As the splits of `ImageData`."""


@dataclass(frozen=True)
class Layout:
    """How a table is written, so that others are read like it.

    Attributes:
        header: whether its first line names the columns.
        columns: how many, with that of labels.
        labels: the one without a name that was taken for them, from 0, if any was.
    """

    header: bool
    columns: int
    labels: int | None = None


@dataclass(eq=False)
class Part:
    """Images of one part, and labels where there are any.

    Attributes:
        images: `(N, d)`, `(N, H, W)`, `(N, H, W, c)` or `(N, c, H, W)`, numbers of any type; of a
            table with columns of words `(N, columns)`, all as words, objects.
        labels: `(N,)`, numbers or words.
        name: what the file calls it.
        rows: numbers of them in the file, from 0, where that has other parts, too.
        files: of a folder of image files that of each, as seen from the folder.
    """

    images: NDArray[Any]
    labels: NDArray[Any] | None = None
    name: str = ""
    rows: NDArray[np.int64] | None = None
    files: tuple[str, ...] = ()


@dataclass(eq=False)
class Found:
    """What a reader found.

    Attributes:
        parts: by the names of `PARTS`, "train" among them.
        notes: what was left out or taken otherwise than it is written, for people.
        class_names: of labels that are numbers from 0, where the file names them.
        columns: names of those of a table, where it has them.
        places: of these columns among all of the table, from 0; empty where they are all.
        layout: of a table that is a text.
        labelled: the name of the column of labels.
    """

    parts: dict[str, Part]
    notes: list[str] = field(default_factory=list)
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    layout: Layout | None = None
    labelled: str = ""
