"""Every file of images and labels, damaged in many ways: one line that names it, or right data."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data_files import SmallMnist, SmallOmniglot
from PIL import Image

import drawn_faces
from damage import survives
from directmax.tool.data import DataError, ImageData, load_attributes, load_images
from directmax.tool.data.cache import read_cache, write_cache
from directmax.tool.data.chardata import CharData, read_chardata
from directmax.tool.data.image_files import opened, read_square

pytestmark = pytest.mark.slow


def same(one: ImageData, other: ImageData) -> bool:
    parts = [(getattr(one, name), getattr(other, name)) for name in ("train", "test")]
    return all(
        a.images.equal(b.images) and a.labels is not None and a.labels.equal(b.labels)
        for a, b in parts
    )


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("number", [0, 1])
def test_idx(tmp_path: Path, small_mnist: SmallMnist, suffix: str, number: int) -> None:
    folder = small_mnist.write(tmp_path, suffix)
    whole = load_images("mnist", data_dir=tmp_path, download=False)
    path = folder / f"{small_mnist.family.files[number].name}{suffix}"
    survives(
        path,
        path.read_bytes(),
        lambda: load_images("mnist", data_dir=tmp_path, download=False),
        error=DataError,
        right=lambda found: same(found, whole),
        count=500,
    )


@pytest.mark.parametrize("archive", ["images_background", "images_evaluation"])
def test_zip(tmp_path: Path, small_omniglot: SmallOmniglot, archive: str) -> None:
    folder = small_omniglot.write(tmp_path)
    whole = load_images("omniglot", data_dir=tmp_path, download=False)
    path = folder / f"{archive}.zip"
    survives(
        path,
        path.read_bytes(),
        lambda: load_images("omniglot", data_dir=tmp_path, download=False),
        error=DataError,
        right=lambda found: same(found, whole),
        count=400,
    )


def test_drawings_in_a_folder(tmp_path: Path, small_omniglot: SmallOmniglot) -> None:
    folder = small_omniglot.write(tmp_path)
    shutil.unpack_archive(folder / "images_background.zip", folder)
    (folder / "images_background.zip").unlink()
    whole = load_images("omniglot", data_dir=tmp_path, download=False)
    path = sorted((folder / "images_background").rglob("*.png"))[7]
    survives(
        path,
        path.read_bytes(),
        lambda: load_images("omniglot", data_dir=tmp_path, download=False),
        error=DataError,
        right=lambda found: same(found, whole),
        names="images_background",
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_chardata(tmp_path: Path, compressed: bool) -> None:
    random = np.random.default_rng(3)
    counts = {"": 12, "test": 5}
    arrays = {}
    for name, count in counts.items():
        arrays[f"{name}data"] = random.random((784, count)).round(1)
        arrays[f"{name}target"] = np.eye(4)[:, np.arange(count) % 4]
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays, do_compression=compressed)
    path = tmp_path / "chardata.mat"

    def right(found: CharData) -> bool:  # nothing in the file says what its grey values were
        grey = all(((part >= 0) & (part <= 1)).all() for part in (found.pool, found.test))
        shapes = (found.pool.shape, found.test.shape) == ((12, 784), (5, 784))
        labels = (found.pool_labels.tolist(), found.test_labels.tolist())
        return grey and shapes and labels == ([0, 1, 2, 3] * 3, [0, 1, 2, 3, 0])

    survives(
        path,
        buffer.getvalue(),
        lambda: read_chardata(path, 12, 5),
        error=DataError,
        right=right,
        count=600,
    )


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_lists_of_faces(tmp_path: Path, name: str) -> None:
    drawn_faces.write(tmp_path, 20, seed=3, processes=1)
    path = tmp_path / "celeba" / name
    whole = load_attributes("celeba", data_dir=tmp_path)
    sizes = len(whole.train) + len(whole.validation) + len(whole.test)

    def read() -> object:
        try:
            return load_attributes("celeba", data_dir=tmp_path)
        except ValueError as error:  # a name of an attribute that was damaged
            if type(error) is ValueError and "unknown attribute" in str(error):
                raise DataError(f"{error} of {name}; {name}") from error
            raise

    survives(
        path,
        path.read_bytes(),
        read,
        error=DataError,
        right=lambda found: len(found.train) + len(found.validation) + len(found.test) == sizes,
        names="celeba",
        count=600,
    )


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 80}),
        ("WEBP", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
    ],
)
def test_images(tmp_path: Path, kind: str, settings: dict[str, object]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **settings)
    path = tmp_path / f"face.{kind.lower()}"

    def read() -> np.ndarray:
        with opened(path) as image:
            return read_square(image, 16)

    survives(
        path,
        buffer.getvalue(),
        read,
        error=DataError,
        right=lambda found: found.shape == (16, 16, 3) and found.dtype == np.uint8,
        count=500,
    )


def test_a_cache_is_never_believed(tmp_path: Path) -> None:
    path = tmp_path / "cache.npz"
    arrays = {"ink": np.arange(400, dtype=np.uint8), "alphabets": np.array(["a", "bc"])}
    write_cache(path, arrays)

    def read() -> dict[str, np.ndarray]:
        found = read_cache(path)
        if found is None:
            raise DataError(f"{path} is damaged; it is made again")
        return found

    survives(
        path,
        path.read_bytes(),
        read,
        error=DataError,
        right=lambda found: all(np.array_equal(found[name], arrays[name]) for name in arrays),
        count=600,
    )
