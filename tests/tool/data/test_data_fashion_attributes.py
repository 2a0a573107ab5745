"""Fashion-MNIST with attributes of its classes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import SmallMnist, idx_bytes

from directmax.tool.data import load_attributes, load_images, mnist
from directmax.tool.data.fashion_attributes import ATTRIBUTES, framed
from directmax.tool.data.idx import IdxFile


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SmallMnist:
    """Fashion-MNIST is 30 + 10 made-up images of 28×28 pixels, three and one of every class."""
    random = np.random.default_rng(5)
    arrays = [
        random.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        np.arange(30, dtype=np.uint8) % 10,
        random.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        np.arange(10, dtype=np.uint8),
    ]
    files = tuple(
        IdxFile(file.title, file.name, array.shape, hashlib.md5(idx_bytes(array)).hexdigest())
        for file, array in zip(mnist.FASHION_MNIST.files, arrays, strict=True)
    )
    family = replace(
        mnist.FASHION_MNIST, files=files, num_validation=10, mirrors=("http://127.0.0.1:9/",)
    )
    monkeypatch.setattr(mnist, "FASHION_MNIST", family)
    data = SmallMnist(family, arrays)
    data.write(tmp_path)
    return data


def test_the_classes_have_the_attributes(small: SmallMnist, tmp_path: Path) -> None:
    data = load_attributes("fashion-mnist", tuple(ATTRIBUTES), data_dir=tmp_path)
    assert data.attribute_names == ("Footwear", "Upper_Body", "Lower_Body", "Warm")
    assert data.test.attributes.tolist() == [
        [0, 1, 0, 0],  # T-shirt/top
        [0, 0, 1, 0],  # trouser
        [0, 1, 0, 1],  # pullover
        [0, 1, 1, 0],  # dress
        [0, 1, 0, 1],  # coat
        [1, 0, 0, 0],  # sandal
        [0, 1, 0, 0],  # shirt
        [1, 0, 0, 0],  # sneaker
        [0, 0, 0, 0],  # bag
        [1, 0, 0, 1],  # ankle boot
    ]
    assert torch.equal(data.train.attributes[10:20], data.test.attributes)
    assert len(data.train) == 20
    assert len(data.validation) == 10


def test_no_attribute_tells_the_class() -> None:
    names = set(mnist.FASHION_MNIST.label_names)
    for classes in ATTRIBUTES.values():
        assert classes < names
        assert 2 <= len(classes) <= 8


def test_images_are_the_files_in_a_frame(small: SmallMnist, tmp_path: Path) -> None:
    data = load_attributes("fashion-mnist", data_dir=tmp_path)
    assert data.shape == (1, 32, 32)
    images = torch.stack([data.train.images[index] for index in range(20)])
    assert images.dtype == torch.uint8
    assert torch.equal(images[:, 0, 2:-2, 2:-2], torch.from_numpy(small.arrays[0][:20]))
    images[:, :, 2:-2, 2:-2] = 0
    assert not images.any()
    bigger = load_attributes("fashion-mnist", ["Warm"], data_dir=tmp_path, size=48)
    assert bigger.shape == (1, 48, 48)
    assert bigger.test.images[0].shape == (1, 48, 48)


def test_resized_images_keep_their_brightness() -> None:
    grey = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(1))
    expected = grey.sum((1, 2)) / 32**2 * 255
    for size in (16, 24, 48):
        assert torch.allclose(framed(grey, size).float().mean((1, 2, 3)), expected, atol=1.0)


def test_refused(small: SmallMnist, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown attribute 'Footware': .*'Footwear'"):
        load_attributes("fashion-mnist", ["Footware"], data_dir=tmp_path)
    (tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ValueError, match=r"is in none of .*; allow the download"):
        load_attributes("fashion-mnist", data_dir=tmp_path, download=False)


@pytest.mark.data
def test_official_images(official_folder: Path) -> None:
    data = load_attributes("fashion-mnist", data_dir=official_folder, download=False)
    grey = load_images("fashion-mnist", data_dir=official_folder, download=False)
    assert (len(data.train), len(data.validation), len(data.test)) == (50_000, 10_000, 10_000)
    assert data.train.attributes.float().mean(0).tolist() == pytest.approx(
        [0.3, 0.5, 0.3], abs=0.01
    )
    bag = grey.test.labels == grey.label_names.index("bag")
    assert not data.test.attributes[bag].any()
    picture = data.test.images[4][0, 2:-2, 2:-2].float() / 255
    assert torch.allclose(picture, grey.test.images[4].view(28, 28))
