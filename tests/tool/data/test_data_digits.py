"""The digits of scikit-learn."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from directmax.tool.data import ImageData, digits, load_images
from directmax.tool.data.digits import ORDER, SIZES

CHECKSUM = "0a2b5ddd99d1fb943cb30ab4806619356b2a19dec84fd8fe0fbad8ee12917059"


def splits(data: ImageData) -> list:
    return [data.train, data.validation, data.test]


def test_sizes_types_and_ranges() -> None:
    data = load_images("digits", download=False)
    assert data.name == "digits"
    assert data.shape == (8, 8)
    assert data.source == "scikit-learn"
    assert data.num_classes == len(data.label_names) == 10
    assert [len(split) for split in splits(data)] == [1197, 300, 300]
    for split in splits(data):
        assert split.images.shape == (len(split), 64)
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert split.images.min() == 0
        assert split.images.max() == 1


def test_split_is_that_of_scikit_learn() -> None:
    labels = load_digits().target
    rest, test = train_test_split(np.arange(1797), test_size=300, stratify=labels, random_state=0)
    train, validation = train_test_split(rest, test_size=300, stratify=labels[rest], random_state=0)
    assert [len(train), len(validation), len(test)] == list(SIZES)
    assert np.load(ORDER).tolist() == [*train, *validation, *test]


def test_without_the_file_scikit_learn_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load_images("digits")
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    assert torch.equal(load_images("digits").test.images, found.test.images)


def test_images_keep_their_labels() -> None:
    bunch, data = load_digits(), load_images("digits")
    pairs = zip(bunch.data, bunch.target, strict=True)
    by_image = {image.tobytes(): label for image, label in pairs}
    assert len(by_image) == 1797, "no two images are the same"
    for split in splits(data):
        found = [by_image[image.tobytes()] for image in split.images.double().numpy() * 16]
        assert found == split.labels.tolist()


def test_same_at_every_call_and_on_every_machine() -> None:
    first, second = load_images("digits").train, load_images("digits").train
    assert torch.equal(first.images, second.images)
    content = first.images.numpy().tobytes() + first.labels.numpy().tobytes()
    assert hashlib.sha256(content).hexdigest() == CHECKSUM


def test_needs_no_folder(tmp_path: Path) -> None:
    assert len(load_images("digits", data_dir=tmp_path, download=False).test) == 300
    assert list(tmp_path.iterdir()) == []
