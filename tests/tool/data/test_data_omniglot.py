"""Omniglot from archives, folders, the cache and chardata.mat."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from data_files import SmallOmniglot, png_bytes, use_cache
from numpy.typing import NDArray

from directmax.tool.data import ImageData, load_images, omniglot
from directmax.tool.data.locate import user_cache
from directmax.tool.data.omniglot_png import resample

Fault = Callable[..., str]
NAMES = ("images_background", "images_evaluation")
DRAWING = "Korean/character01/0001_01.png"


def load(root: Path) -> ImageData:
    return load_images("omniglot", data_dir=root, download=False)


def equal(a: ImageData, b: ImageData) -> bool:
    pairs = [(a.train, b.train), (a.validation, b.validation), (a.test, b.test)]
    return all(
        torch.equal(x.images, y.images) and torch.equal(x.labels, y.labels) for x, y in pairs
    )


def area_mean(ink: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean over areas, by cutting every pixel into 4×4 and averaging over 15×15."""
    fine = ink.repeat(4, axis=1).repeat(4, axis=2)  # (N, 420, 420)
    return fine.reshape(-1, 28, 15, 28, 15).mean(axis=(2, 4)).reshape(len(ink), 784)


def test_resample_is_the_mean_over_areas() -> None:
    ink = np.random.default_rng(0).random((5, 105, 105)) < 0.3
    np.testing.assert_allclose(resample(ink) / 225, area_mean(ink), atol=1e-12)
    assert not resample(np.zeros_like(ink)).any()
    assert (resample(np.ones_like(ink)) == 225).all()


def test_images_labels_and_order(small_omniglot: SmallOmniglot, tmp_path: Path) -> None:
    small_omniglot.write(tmp_path)
    data = load(tmp_path)
    ink, alphabets = small_omniglot.ordered()
    names = sorted(set(alphabets))
    labels = np.array([names.index(alphabet) for alphabet in alphabets])
    assert data.label_names == tuple(names)
    assert data.num_classes == 6
    assert data.shape == (28, 28)
    expected = area_mean(ink)
    indices = omniglot.split_indices(labels, omniglot.SIZES)
    for split, index in zip((data.train, data.validation, data.test), indices, strict=True):
        np.testing.assert_allclose(split.images.numpy(), expected[index], atol=1e-6)
        assert split.labels.tolist() == labels[index].tolist()
        assert split.images.dtype == torch.float32
        assert split.images.is_contiguous()


def test_split_is_disjoint_and_stratified() -> None:
    labels = np.repeat(np.arange(50), np.linspace(280, 1018, 50).astype(int))  # (N,)
    assert len(labels) > 32_415
    train, validation, test = omniglot.split_indices(labels, omniglot.SIZES)
    assert (len(train), len(validation), len(test)) == (23_000, 1_345, 8_070)
    used = np.concatenate([train, validation, test])
    assert len(set(used.tolist())) == 32_415
    share = np.bincount(labels[test]) / np.bincount(labels)
    assert np.ptp(share) < 0.01
    assert len(set(labels[validation].tolist())) == 50
    again = omniglot.split_indices(labels, omniglot.SIZES)
    assert all(np.array_equal(a, b) for a, b in zip((train, validation, test), again, strict=True))


def test_unpacked_folders_serve(small_omniglot: SmallOmniglot, tmp_path: Path) -> None:
    folder = small_omniglot.write(tmp_path)
    packed = load(tmp_path)
    for name in NAMES:
        path = folder / f"{name}.zip"
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        path.unlink()
    assert equal(load(tmp_path), packed)
    (folder / NAMES[0] / DRAWING).write_bytes(b"broken")
    with pytest.raises(ValueError, match=DRAWING):
        load(tmp_path)


def test_cache_is_used_and_rebuilt(
    small_omniglot: SmallOmniglot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_omniglot.write(tmp_path)
    data = load(tmp_path)
    (cache,) = user_cache().iterdir()
    whole = cache.read_bytes()

    decoded = []
    original = omniglot.read_archive
    monkeypatch.setattr(omniglot, "read_archive", lambda *a: decoded.append(a) or original(*a))
    assert equal(load(tmp_path), data)
    assert decoded == []
    random = np.random.default_rng(0)
    damages = [b"", b"PK", whole[:-30], whole[: len(whole) // 2], b"\x93NUMPY" + whole]
    for place in (*random.integers(0, len(whole), 20), 20, 9, len(whole) - 10):
        damages.append(whole[:place] + bytes((whole[place] ^ 0x5A,)) + whole[place + 1 :])
    for damage in damages:
        cache.write_bytes(damage)
        assert equal(load(tmp_path), data)
        if decoded:
            assert cache.read_bytes()[:2] == b"PK"
    assert len(decoded) >= 2 * 20
    assert list(user_cache().iterdir()) == [cache]


def test_cache_that_is_a_pickle_is_not_run(small_omniglot: SmallOmniglot, tmp_path: Path) -> None:
    small_omniglot.write(tmp_path)
    data = load(tmp_path)
    (cache,) = user_cache().iterdir()
    np.savez(cache, ink=np.array([{"an": "object"}], dtype=object), digest=np.array("x"))
    assert equal(load(tmp_path), data)


def test_cache_belongs_to_its_archives(
    small_omniglot: SmallOmniglot, tmp_path: Path, fault: Fault
) -> None:
    """A changed archive is looked at again, even though a cache is there."""
    folder = small_omniglot.write(tmp_path)
    load(tmp_path)
    path = folder / "images_background.zip"
    path.write_bytes(small_omniglot.zip_bytes(NAMES[0], {f"{NAMES[0]}/{DRAWING}": None}))
    assert "29 images" in fault(load, tmp_path)


def test_no_cache_where_none_can_be(
    small_omniglot: SmallOmniglot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_omniglot.write(tmp_path)
    (tmp_path / "file").touch()
    use_cache(monkeypatch, tmp_path / "file")
    assert equal(load(tmp_path), load(tmp_path))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"<html>", None])
def test_no_zip(
    small_omniglot: SmallOmniglot, tmp_path: Path, fault: Fault, content: bytes | None
) -> None:
    path = small_omniglot.write(tmp_path) / "images_evaluation.zip"
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    message = fault(load, tmp_path)
    assert f"{path} is a damaged zip file" in message
    assert "delete" in message
    assert list(tmp_path.glob("cache/directmax/*")) == []


def test_flipped_byte_in_a_zip(small_omniglot: SmallOmniglot, tmp_path: Path, fault: Fault) -> None:
    path = small_omniglot.write(tmp_path) / "images_background.zip"
    whole = path.read_bytes()
    place = whole.index(b"IDAT") + 20
    path.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
    assert "Bad CRC-32" in fault(load, tmp_path)


@pytest.mark.parametrize("kind", ["text", "truncated", "header", "size"])
def test_corrupt_png(
    small_omniglot: SmallOmniglot, tmp_path: Path, fault: Fault, kind: str
) -> None:
    good = png_bytes(small_omniglot.drawings[NAMES[0]][DRAWING])
    bad = {
        "text": b"not a PNG",
        "truncated": good[:-60],
        "header": good[:20] + b"\xff" * 8 + good[28:],
        "size": png_bytes(np.zeros((28, 28), dtype=bool)),
    }[kind]
    path = small_omniglot.write(tmp_path) / "images_background.zip"
    path.write_bytes(small_omniglot.zip_bytes(NAMES[0], {f"{NAMES[0]}/{DRAWING}": bad}))
    message = fault(load, tmp_path)
    assert f"{path}: {DRAWING} is no readable 105×105 PNG" in message


def test_incomplete_and_foreign(
    small_omniglot: SmallOmniglot, tmp_path: Path, fault: Fault
) -> None:
    path = small_omniglot.write(tmp_path) / "images_background.zip"
    path.write_bytes(small_omniglot.zip_bytes(NAMES[0], {f"{NAMES[0]}/{DRAWING}": None}))
    assert "holds 29 images" in fault(load, tmp_path)
    path.write_bytes(small_omniglot.zip_bytes(NAMES[1]))
    assert "holds 0 images" in fault(load, tmp_path)
    other = ~small_omniglot.drawings[NAMES[0]][DRAWING]
    path.write_bytes(
        small_omniglot.zip_bytes(NAMES[0], {f"{NAMES[0]}/{DRAWING}": png_bytes(other)})
    )
    message = fault(load, tmp_path)
    assert "does not hold the official images" in message
    assert omniglot.ARCHIVES[0].sha256 in message


def test_unreadable_archive(
    small_omniglot: SmallOmniglot, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_omniglot.write(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        message = fault(load, tmp_path)
    assert f"cannot read {folder / 'images_background.zip'}: Permission denied" in message
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", refuse)
        assert "Permission denied" in fault(load, tmp_path)


# chardata.mat


@pytest.fixture
def chardata(monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray]:
    """The arrays of a chardata.mat with 40 + 10 images, every column an image by columns."""
    monkeypatch.setattr(omniglot, "SIZES", omniglot.Sizes(train=32, validation=8, test=10))
    random = np.random.default_rng(5)
    arrays: dict[str, NDArray] = {}
    for prefix, count in (("", 40), ("test", 10)):
        pictures = random.random((count, 28, 28))
        alphabets = random.integers(0, 50, count)
        columns = [picture.flatten(order="F") for picture in pictures]
        arrays[f"{prefix}data"] = np.stack(columns, axis=1)  # (784, N)
        arrays[f"{prefix}target"] = np.eye(50)[:, alphabets]  # (50, N)
        arrays[f"{prefix}targetchar"] = random.integers(1, 56, (1, count))
        arrays[f"_{prefix}pictures"] = pictures.reshape(count, 784)
        arrays[f"_{prefix}alphabets"] = alphabets
    return arrays


def write_chardata(path: Path, arrays: dict[str, NDArray], **changes: NDArray | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {k: v for k, v in (arrays | changes).items() if v is not None and k[0] != "_"}
    scipy.io.savemat(path, content, do_compression=True)
    return path


@pytest.mark.parametrize("place", ["chardata.mat", "omniglot-py/chardata.mat"])
def test_chardata(chardata: dict[str, NDArray], tmp_path: Path, place: str) -> None:
    path = write_chardata(tmp_path / place, chardata)
    data = load(tmp_path)
    assert data.source == str(path)
    assert data.num_classes == 50
    assert data.label_names == ()
    order = np.random.RandomState(123).permutation(40)
    pictures = chardata["_pictures"].astype(np.float32)
    assert np.array_equal(data.train.images.numpy(), pictures[order[:32]])
    assert np.array_equal(data.validation.images.numpy(), pictures[order[32:]])
    assert data.train.labels.tolist() == chardata["_alphabets"][order[:32]].tolist()
    assert data.validation.labels.tolist() == chardata["_alphabets"][order[32:]].tolist()
    assert np.array_equal(data.test.images.numpy(), chardata["_testpictures"].astype(np.float32))
    assert data.test.labels.tolist() == chardata["_testalphabets"].tolist()


def test_chardata_reads_as_published_code_does(
    chardata: dict[str, NDArray], tmp_path: Path
) -> None:
    write_chardata(tmp_path / "chardata.mat", chardata)
    columns = chardata["testdata"]
    published = columns.T.astype("float32").reshape((-1, 28, 28), order="F")
    assert np.array_equal(load(tmp_path).test.images.view(-1, 28, 28).numpy(), published)


def test_chardata_comes_before_archives_but_after_places(
    small_omniglot: SmallOmniglot,
    chardata: dict[str, NDArray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_omniglot.write(tmp_path / "a")
    write_chardata(tmp_path / "b" / "chardata.mat", chardata)
    monkeypatch.setenv("DIRECTMAX_DATA", str(tmp_path / "b"))
    assert load_images("omniglot").source.endswith("chardata.mat")
    assert load(tmp_path / "a").source.endswith("images_evaluation.zip")
    write_chardata(tmp_path / "a" / "chardata.mat", chardata)
    assert load(tmp_path / "a").source.endswith("chardata.mat")


def test_chardata_faults(chardata: dict[str, NDArray], tmp_path: Path, fault: Fault) -> None:
    path = tmp_path / "chardata.mat"
    write_chardata(path, chardata, testdata=None)
    assert "has no array testdata" in fault(load, tmp_path)
    write_chardata(path, chardata, data=chardata["data"].T)
    assert "data is an array (40, 784) of float64, expected numbers in (784, 40)" in fault(
        load, tmp_path
    )
    write_chardata(path, chardata, target=chardata["target"][:, :-1])
    assert "target is an array (50, 39)" in fault(load, tmp_path)
    write_chardata(path, chardata, data=chardata["data"] * 255)
    assert "expected grey values in [0, 1]" in fault(load, tmp_path)
    write_chardata(path, chardata, data=np.full((784, 40), np.nan))
    assert "expected grey values in [0, 1]" in fault(load, tmp_path)
    for strange in (np.empty((784, 40), dtype="U1"), scipy.sparse.eye_array(784, 40)):
        write_chardata(path, chardata, data=strange)
        assert "expected numbers in (784, 40)" in fault(load, tmp_path)


def test_damaged_chardata(chardata: dict[str, NDArray], tmp_path: Path, fault: Fault) -> None:
    path = write_chardata(tmp_path / "chardata.mat", chardata)
    whole = path.read_bytes()
    for content in (b"", b"<html>" * 40, whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(content)
        message = fault(load, tmp_path)
        assert str(path) in message
        assert "yburda/iwae" in message


def test_unreadable_chardata(
    chardata: dict[str, NDArray], tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_chardata(tmp_path / "chardata.mat", chardata)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(os, "open", refuse)
    assert f"cannot read {path}: {os.strerror(13)}" in fault(load, tmp_path)
