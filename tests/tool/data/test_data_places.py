"""Where files are looked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_files import SmallMnist

from directmax.tool.data import load_images
from directmax.tool.data.locate import Places, user_cache

Fault = Callable[..., str]


def put(root: Path, name: str = "file") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(str(root))
    return root


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, variable, given = user_cache(), tmp_path / "variable", tmp_path / "given"
    given.mkdir()
    assert Places(given).find("file") is None
    put(cache)
    assert Places(given).find("file") == cache / "file"
    monkeypatch.setenv("DIRECTMAX_DATA", str(put(variable)))
    assert Places(given).find("file") == variable / "file"
    assert Places().find("file") == variable / "file"
    put(given)
    assert Places(given).find("file") == given / "file"
    assert Places().find("file") == variable / "file"


def test_places_before_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second choice in the first place comes before the first choice in the second place."""
    put(tmp_path / "a", "second")
    monkeypatch.setenv("DIRECTMAX_DATA", str(put(tmp_path / "b", "first")))
    assert Places(tmp_path / "a").find("first", "second") == tmp_path / "a" / "second"
    put(tmp_path / "a", "first")
    assert Places(tmp_path / "a").find("first", "second") == tmp_path / "a" / "first"


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    assert Places(tmp_path).find("thing") is None
    assert Places(tmp_path).find(folders=("thing",)) == tmp_path / "thing"


def test_files_of_one_set_may_lie_in_several_places(
    small_mnist: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = small_mnist.write(tmp_path / "a"), small_mnist.write(tmp_path / "b")
    (first / "t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setenv("DIRECTMAX_DATA", str(tmp_path / "b"))
    assert load_images("mnist", data_dir=tmp_path / "a").source == f"{first}, {second}"


def test_user_cache_serves(small_mnist: SmallMnist) -> None:
    folder = small_mnist.write(user_cache())
    assert load_images("mnist", download=False).source == str(folder)


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "data")
    assert Places("~/data").find("file") == tmp_path / "data" / "file"
    monkeypatch.setenv("DIRECTMAX_DATA", "~/data")
    assert Places().find("file") == tmp_path / "data" / "file"


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_data_dir_must_exist(tmp_path: Path, fault: Fault, name: str) -> None:
    message = fault(load_images, name, data_dir=tmp_path / "none")
    assert f"data_dir {tmp_path / 'none'} does not exist" in message
    assert not (tmp_path / "none").exists()


def test_data_dir_must_be_a_folder(tmp_path: Path, fault: Fault) -> None:
    (tmp_path / "file").touch()
    assert "is a file, expected a folder" in fault(load_images, "mnist", data_dir=tmp_path / "file")
    assert "data_dir is empty" in fault(load_images, "mnist", data_dir="")


def test_variable_must_not_name_a_file(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIRECTMAX_DATA", str(tmp_path / "file"))
    assert f"DIRECTMAX_DATA={tmp_path / 'file'} is a file" in fault(load_images, "mnist")
    assert len(load_images("digits").test) == 300  # digits read no folder
    monkeypatch.setenv("DIRECTMAX_DATA", "")
    assert Places().folders() == (user_cache(),)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "omniglot"])
def test_missing_without_download(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DIRECTMAX_DATA", str(tmp_path / "variable"))
    message = fault(load_images, name, data_dir=tmp_path, download=False)
    for place in (tmp_path, tmp_path / "variable", user_cache()):
        assert str(place) in message
    assert "download=True" in message
    assert "http" in message
    assert list(tmp_path.iterdir()) == []


def test_folder_that_may_not_be_searched(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)
    message = fault(load_images, "mnist", data_dir=tmp_path)
    assert "Permission denied" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("layout", ["raw", "files", "kaggle", "nested", "keras", "renamed"])
def test_layouts_in_the_wild(
    small_mnist: SmallMnist, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the files itself, Kaggle's names and folders, Keras's archive."""
    expected = load_images("mnist", data_dir=small_mnist.write(tmp_path / "as").parents[1])
    folder = tmp_path / "data"
    for name, content in small_mnist.contents("").items():
        path = {
            "raw": folder / "raw" / name,
            "kaggle": folder / name.replace("-idx", ".idx"),
            "nested": folder / "mnist" / name / name,
            "renamed": folder / "MNIST" / name,
        }.get(layout, folder / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if layout == "keras":
        keys = ("x_train", "y_train", "x_test", "y_test")
        (folder / "train-images-idx3-ubyte").unlink()
        np.savez(folder / "mnist.npz", **dict(zip(keys, small_mnist.arrays, strict=True)))
    found = load_images("mnist", data_dir=folder, download=False)
    assert found.identity() == expected.identity()


def test_files_of_another_data_set_are_passed_over(
    small_mnist: SmallMnist, tmp_path: Path, fault: Fault
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in small_mnist.contents(""):
        (folder / name).write_bytes(b"\0\0\x08\x03")
    right = small_mnist.write(user_cache())
    assert load_images("mnist", data_dir=folder, download=False).source == str(right)
    np.savez(folder / "mnist.npz", x_train=small_mnist.arrays[0] + 1)
    (right / "train-images-idx3-ubyte.gz").unlink()
    message = fault(load_images, "mnist", data_dir=folder, download=False)
    assert "official MNIST training images as x_train" in message
