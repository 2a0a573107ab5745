"""The real files, where DIRECTMAX_DATA points at them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import torch
from data_files import use_cache

from directmax.tool.data import ImageData, Split, load_images
from directmax.tool.data.omniglot import ARCHIVES

pytestmark = pytest.mark.data

SIZES = {
    "mnist": (50_000, 10_000, 10_000),
    "fashion-mnist": (50_000, 10_000, 10_000),
    "omniglot": (23_000, 1_345, 8_070),
}
CHECKSUMS = {
    "mnist": (
        "92007e805b574be86fa192ae5f66578ad37ed501051242da9e264862d6576dff",
        "a10bc9e78462e9764d081560188e2d232af5db2477e26c0e2a06668be4d5743b",
        "8c26786d4955bfbe4b1bc0048b3bedb22913ad773005ea62cd29f5c431131685",
    ),
    "fashion-mnist": (
        "89c5c2a63968457a984e53e4c76f657feae9c80e5e69bf67e5659ddd69fa1deb",
        "ce2e64d3bfe93e3e48d4e6f7333978398edb61ab354c51ea1065cdb9479f02f8",
        "85becac1ad785a4af13d68041f78ad7bbc4d7dd9091c4d8e90869bb47bb80296",
    ),
    "omniglot": (
        "206b563977d95bb7b055b0e104580a9413ca8ccf786fd37ebd4de6c4ce5327a4",
        "2735fa292c656c9e075fabe66e013b3eeb8052bcad7797f1685667efe8e744e8",
        "76b0bb3f51219cc5353b4f68e63a44cb7be516e901b5f69a162a5ef8e73ba08f",
    ),
}


def splits(data: ImageData) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


SLOW = pytest.param("omniglot", marks=pytest.mark.slow)  # 32,460 files are decoded


@pytest.fixture(scope="module", params=[*sorted(set(SIZES) - {"omniglot"}), SLOW])
def data(
    request: pytest.FixtureRequest, official_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ImageData:
    with pytest.MonkeyPatch.context() as patch:
        use_cache(patch, tmp_path_factory.mktemp("cache"))
        return load_images(request.param, data_dir=official_folder, download=False)


def test_official_counts(data: ImageData) -> None:
    assert tuple(len(split) for split in splits(data)) == SIZES[data.name]
    assert data.shape == (28, 28)
    assert sum(archive.num_images for archive in ARCHIVES) == 32_460


def test_types_and_ranges(data: ImageData) -> None:
    for split in splits(data):
        assert split.images.shape == (len(split), 784)
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert split.images.aminmax() == (0, 1)
        assert split.labels.unique().tolist() == list(range(data.num_classes))
    assert len(data.label_names) == data.num_classes == (50 if data.name == "omniglot" else 10)


def test_checksums(data: ImageData) -> None:
    for split, checksum in zip(splits(data), CHECKSUMS[data.name], strict=True):
        content = split.images.numpy().tobytes() + split.labels.numpy().tobytes()
        assert hashlib.sha256(content).hexdigest() == checksum


def test_ink_is_one(data: ImageData) -> None:
    """Paper around the drawing is 0."""
    border = data.train.images.view(-1, 28, 28)[:, 0, :]
    assert border.mean() < data.train.images.mean() / 2


def test_mnist_loads_in_two_seconds(official_folder: Path) -> None:
    for _ in range(3):  # the first call may read from a cold disk
        start = time.process_time()  # the clock would count other processes too
        load_images("mnist", data_dir=official_folder, download=False)
        if time.process_time() - start < 2:
            return
    raise AssertionError("it takes 2 seconds or more")
