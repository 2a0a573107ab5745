"""Parquet and Arrow files, where pyarrow is installed: read, and damaged."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_files import COUNT, GREY, LABELS
from PIL import Image

from damage import damages
from directmax.tool.data import DataError, ImageData

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
