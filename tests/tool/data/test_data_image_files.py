"""Image files from anywhere: depths and colours as they are meant; what is not opened at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from directmax.tool.data.errors import DataError
from directmax.tool.data.image_files import FORMATS, opened, read_square, upright

RAMP = np.linspace(0, 1, 8)[None, :].repeat(8, 0)
BYTES = (RAMP * 255).round().astype(np.uint8)


def square(path: Path, size: int = 8) -> np.ndarray:
    with opened(path) as image:
        return read_square(image, size)


def saved(folder: Path, image: Image.Image, name: str = "x.png", **options: object) -> np.ndarray:
    image.save(folder / name, **options)  # type: ignore[arg-type]
    return square(folder / name)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((RAMP * 65535).round().astype(np.uint16), "x.png"),
        ((RAMP * 65535).round().astype(np.uint16), "x.tiff"),
        (RAMP.astype(np.float32), "x.tiff"),
        (BYTES, "x.png"),
        (BYTES, "x.bmp"),
    ],
    ids=["16 bit", "16 bit TIFF", "float", "8 bit", "BMP"],
)
def test_depths(tmp_path: Path, values: np.ndarray, name: str) -> None:
    found = saved(tmp_path, Image.fromarray(values), name)
    assert np.abs(found.astype(int) - BYTES[..., None]).max() <= 1
    assert found.shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    image.paste((0, 0, 0, 128), (4, 0, 6, 8))
    found = saved(tmp_path, image.convert(mode), "x.tiff" if mode == "PA" else "x.png")
    assert found[0, 0].tolist() == [0, 0, 0]
    assert found[0, 7].tolist() == [255, 255, 255]
    assert 125 <= found[0, 5, 0] <= 129


def test_other_colours(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert saved(tmp_path, red.convert("CMYK"), "x.jpg", quality=100)[4, 4, 0] > 240
    assert saved(tmp_path, red.convert("CMYK"), "x.jpg", quality=100)[4, 4, 1:].max() < 30
    assert saved(tmp_path, red.convert("P"))[4, 4].tolist() == [255, 0, 0]
    palette = red.convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert saved(tmp_path, palette, "y.gif", transparency=palette.getpixel((0, 0))).min() == 255
    assert saved(tmp_path, Image.new("1", (8, 8), 1)).min() == 255


@pytest.mark.parametrize("values", [RAMP.astype(np.float32) * 255, RAMP.astype(np.float32) - 1])
def test_numbers_of_an_unknown_range(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(DataError, match="expected 0 to 1"):
        saved(tmp_path, Image.fromarray(values), "x.tiff")


def header(width: int, height: int) -> bytes:
    """A PNG that says it is large, with nothing in it."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\x00" * 4


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n{} loop\n",
        header(13_300, 13_300),
        header(2**31 - 1, 2**31 - 1),
        b"",
        b"\x00" * 100,
        b"<svg/>",
    ],
    ids=["EPS", "large", "huge", "empty", "zeros", "SVG"],
)
def test_what_is_not_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        square(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "face.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(DataError, match=r"regular file|directory"):
        square(path)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.stack([BYTES] * 3, -1)).save(buffer, kind)
    return buffer.getvalue()


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_in_any_place(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(encoded(data.draw(st.sampled_from(FORMATS))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert square(path).shape == (8, 8, 3)
    except DataError as error:
        message = str(error)
    else:
        return
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_damaged_exif_says_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"turned.{kind}"
    for damage in (b"Exif\0\0garbage", b"\xe1M\0*", b"Exif\0\0MM\0*\xff\xff\xff\xff"):
        Image.new("RGB", (4, 2)).save(path, exif=damage)
        with opened(path) as image:
            assert upright(image).size == (4, 2)
            assert read_square(image, 2).shape == (2, 2, 3)


@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientations_are_those_of_viewers(orientation: int) -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    image.getexif()[0x112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(np.asarray(upright(image)), expected)
