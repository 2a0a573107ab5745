"""MNIST's files: plain and compressed, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import SmallMnist, idx_bytes

from directmax.tool.data import load_images, mnist
from directmax.tool.data.idx import IdxFile

Fault = Callable[..., str]
NAME = "train-images-idx3-ubyte"


def load(root: Path) -> object:
    return load_images("mnist", data_dir=root, download=False)


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_loads_plain_and_compressed(small_mnist: SmallMnist, tmp_path: Path, suffix: str) -> None:
    folder = small_mnist.write(tmp_path, suffix)
    data = load_images("mnist", data_dir=str(tmp_path), download=False)
    images, labels, test, test_labels = (torch.from_numpy(a.copy()) for a in small_mnist.arrays)
    assert data.shape == (4, 3)
    assert data.source == str(folder)
    assert torch.equal(data.train.images, images[:22].reshape(22, 12).float() / 255)
    assert torch.equal(data.validation.images, images[22:].reshape(8, 12).float() / 255)
    assert torch.equal(data.test.images, test.reshape(10, 12).float() / 255)
    assert torch.equal(data.train.labels, labels[:22].long())
    assert torch.equal(data.validation.labels, labels[22:].long())
    assert torch.equal(data.test.labels, test_labels.long())


def test_splits_share_no_memory(small_mnist: SmallMnist, tmp_path: Path) -> None:
    small_mnist.write(tmp_path)
    data = load_images("mnist", data_dir=tmp_path)
    assert data.train.images.untyped_storage().nbytes() == 22 * 12 * 4
    data.train.images.zero_()
    assert data.validation.images.any()


def test_compression_is_seen_from_the_content(small_mnist: SmallMnist, tmp_path: Path) -> None:
    folder = small_mnist.write(tmp_path)
    path = folder / f"{NAME}.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    load(tmp_path)


def test_other_gzip_wrapping_is_fine(small_mnist: SmallMnist, tmp_path: Path) -> None:
    folder = small_mnist.write(tmp_path)
    path = folder / f"{NAME}.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=5))
    load(tmp_path)


def test_truncated_gzip(small_mnist: SmallMnist, tmp_path: Path, fault: Fault) -> None:
    path = small_mnist.write(tmp_path) / f"{NAME}.gz"
    whole = path.read_bytes()
    for length in (3, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        message = fault(load, tmp_path)
        assert str(path) in message
        assert "truncated" in message


def test_damaged_gzip(small_mnist: SmallMnist, tmp_path: Path, fault: Fault) -> None:
    path = small_mnist.write(tmp_path) / f"{NAME}.gz"
    whole = path.read_bytes()
    for place in (2, 15, len(whole) // 2, len(whole) - 6):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 0xFF,)) + whole[place + 1 :])
        assert str(path) in fault(load, tmp_path)


def test_truncated_idx(small_mnist: SmallMnist, tmp_path: Path, fault: Fault) -> None:
    path = small_mnist.write(tmp_path, "") / NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert "truncated: 375 bytes decompressed, expected 376" in fault(load, tmp_path)
    path.write_bytes(whole[:9])
    assert "truncated: 9 bytes, expected a header of 16" in fault(load, tmp_path)
    path.write_bytes(whole + b"x")
    assert "too long: more than 376 bytes" in fault(load, tmp_path)
    path.write_bytes(b"")
    assert "empty" in fault(load, tmp_path)


def test_no_idx_file(small_mnist: SmallMnist, tmp_path: Path, fault: Fault) -> None:
    path = small_mnist.write(tmp_path, "") / NAME
    path.write_bytes(b"<!DOCTYPE html><html>not found</html>")
    message = fault(load, tmp_path)
    assert "not an IDX file" in message
    assert "0x3c21444f, expected 0x00000803" in message


def test_other_dimensions(small_mnist: SmallMnist, tmp_path: Path, fault: Fault) -> None:
    path = small_mnist.write(tmp_path, "") / NAME
    path.write_bytes(idx_bytes(np.zeros((30, 3, 4), np.uint8)))
    assert "30×3×4 bytes, expected 30×4×3" in fault(load, tmp_path)
    path.write_bytes(idx_bytes(np.zeros(30, np.uint8)))
    assert "3 axes" in fault(load, tmp_path)


def test_foreign_content(small_mnist: SmallMnist, tmp_path: Path, fault: Fault) -> None:
    path = small_mnist.write(tmp_path, "") / NAME
    path.write_bytes(idx_bytes(small_mnist.arrays[0] ^ 1))
    message = fault(load, tmp_path)
    assert small_mnist.family.files[0].md5 in message
    assert "got " in message
    assert "not the official MNIST training images" in message


def test_mistaken_content_is_named(
    small_mnist: SmallMnist, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_mnist.write(tmp_path, "") / "train-labels-idx1-ubyte"
    fashion = small_mnist.arrays[1][::-1]
    path.write_bytes(idx_bytes(fashion))
    known = IdxFile("Fashion labels", "x", (30,), hashlib.md5(idx_bytes(fashion)).hexdigest())
    monkeypatch.setattr(mnist, "_OFFICIAL", (known,))
    assert "these are the Fashion labels" in fault(load, tmp_path)


def test_unreadable(
    small_mnist: SmallMnist, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_mnist.write(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    message = fault(load, tmp_path)
    assert f"cannot read {folder / NAME}.gz: Permission denied" in message


def test_damaged_file_is_not_passed_over(
    small_mnist: SmallMnist, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good copy in a later place does not hide the damage in an earlier one."""
    small_mnist.write(tmp_path / "later")
    monkeypatch.setenv("DIRECTMAX_DATA", str(tmp_path / "later"))
    path = small_mnist.write(tmp_path / "first") / f"{NAME}.gz"
    path.write_bytes(b"\x1f\x8b")
    assert str(path) in fault(load, tmp_path / "first")
