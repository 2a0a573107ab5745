"""Parquet and Arrow files, where pyarrow is installed: read, and damaged."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_files import COUNT, GREY, LABELS
from PIL import Image

from damage import damages
from directmax.tool.data import DataError, ImageData
from directmax.tool.data.own.read import read_path

pyarrow = pytest.importorskip("pyarrow")


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(table: Any, file: Any) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, file)


def arrow(table: Any, file: Any) -> None:
    with pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def stream(table: Any, file: Any) -> None:
    with pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize("write", [parquet, arrow, stream])
def test_read_and_damaged(tmp_path: Path, write: Callable[[Any, Any], None]) -> None:
    """Offsets beyond the data are refused: pyarrow itself would end the process."""
    images = [{"bytes": png(pixels), "path": None} for pixels in GREY]
    table = pyarrow.table({"image": images, "label": LABELS.tolist()})
    buffer = io.BytesIO()
    write(table, buffer)
    path = tmp_path / f"data.{'parquet' if write is parquet else 'arrow'}"
    path.write_bytes(buffer.getvalue())
    whole = ImageData.from_path(path)
    assert len(whole.train) + len(whole.validation) + len(whole.test) == COUNT
    refused = []
    for content in damages(buffer.getvalue(), 40):
        path.write_bytes(content)
        try:
            ImageData.from_path(path)
        except DataError as error:
            refused.append(str(error))
    assert refused
    assert not any("\n" in each for each in refused)


FOUR = {name: list(range(COUNT)) for name in "abcd"}
ODD = {
    "labels that are missing": (
        {**FOUR, "label": [None, *LABELS.tolist()[1:]]},
        "labels left out, as 1 image has none",
    ),
    "labels that are records": ({**FOUR, "label": [{"a": 1}] * COUNT}, "column label left out"),
    "two labels": ({**FOUR, "label": LABELS, "target": LABELS}, "column target left out"),
    "words": ({**FOUR, "name": ["x"] * COUNT}, "column name left out"),
    "no number": ({**FOUR, "a": [None, *FOUR["a"][1:]]}, "rows of 17 numbers, 0/1 for columns: 4"),
    "a gap among 0/1": (
        {name: [0, 1] * 20 for name in "bcd"} | {"a": [None, *LABELS[1:] % 2]},
        "rows of 5 numbers, 0/1 for columns: 4",
    ),
    "no rows": ({"image": pyarrow.array([], pyarrow.binary())}, "has no rows"),
    "long lists": (
        {"x": pyarrow.array([[0, 1]] * COUNT, pyarrow.large_list(pyarrow.int64()))},
        "rows of 2 numbers, 0/1",
    ),
    "encoded": (
        {"x": pyarrow.array([png(each) for each in GREY]).dictionary_encode()},
        "grey images",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_columns(case: str, tmp_path: Path) -> None:
    columns, expected = ODD[case]
    parquet(pyarrow.table(columns), tmp_path / "a.parquet")
    try:
        said = ImageData.from_path(tmp_path / "a.parquet").understood
    except DataError as error:
        said = str(error)
    assert re.search(expected, said)


def test_columns_of_one_name_and_other_metadata(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array(FOUR["a"])] * 3, names=["p"] * 3)
    table = table.replace_schema_metadata({b"huggingface": b"[1]"})
    parquet(table, tmp_path / "a.parquet")
    assert "rows of 12 numbers" in ImageData.from_path(tmp_path / "a.parquet").understood


def test_columns_of_words_and_numbers(tmp_path: Path) -> None:
    """As the same table as text."""
    towns = [["Ulm", "Bern", "Linz"][i % 3] for i in range(COUNT)]
    names = [f"person {i}" for i in range(COUNT)]
    wet = [bool(i % 2) for i in range(COUNT)]
    pay = [1.5 * i if i % 4 else None for i in range(COUNT)]
    columns = {"name": names, "town": towns, "wet": wet, "pay": pay}
    parquet(pyarrow.table(columns), tmp_path / "a.parquet")
    rows = zip(towns, map(int, wet), ["" if each is None else each for each in pay], strict=True)
    text = "\n".join(",".join(map(str, row)) for row in [("town", "wet", "pay"), *rows])
    (tmp_path / "a.csv").write_text(text)
    mine, other = (ImageData.from_path(tmp_path / f"a.{end}") for end in ("parquet", "csv"))
    assert np.array_equal(mine.train.images, other.train.images)
    assert mine.number_names == other.number_names
    assert mine.understood.endswith("; column name left out")
    few = {name: values[:2] for name, values in columns.items()}  # of which no name comes twice
    parquet(pyarrow.table(few), tmp_path / "few.parquet")
    like = read_path(tmp_path / "few.parquet", like=mine.reading).images["train"]
    assert np.array_equal(like, read_path(tmp_path / "a.csv").images["train"][:2])
