"""The same small data set in every form that people keep images in."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
from data_files import idx_bytes
from numpy.typing import NDArray
from PIL import Image

COUNT, TRAIN, HEIGHT, WIDTH = 40, 30, 8, 6
_RANDOM = np.random.default_rng(5)
GREY = _RANDOM.integers(0, 256, (COUNT, HEIGHT, WIDTH), dtype=np.uint8)
GREY[0, 0, :2] = 0, 255
BITS = (GREY > 127).astype(np.uint8)
COLOURS = _RANDOM.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
LABELS = np.arange(COUNT) % 3
WORDS = np.array(["ant", "bee", "cat"])[LABELS]
ROWS = BITS.reshape(COUNT, -1)

Writer = Callable[[Path], Path]


def lines(values: NDArray, separator: str, header: str = "") -> str:
    rows = "\n".join(separator.join(map(str, row)) for row in values.tolist())
    return f"{header}\n{rows}\n" if header else f"{rows}\n"


def _image(path: Path, pixels: NDArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _savez(**arrays: NDArray) -> Writer:
    def write(root: Path) -> Path:
        np.savez(root / "data.npz", **arrays)
        return root / "data.npz"

    return write


def _text(name: str, content: str | bytes) -> Writer:
    def write(root: Path) -> Path:
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return root / name

    return write


def _mat(compressed: bool = True, **arrays: NDArray) -> Writer:
    def write(root: Path) -> Path:
        scipy.io.savemat(root / "data.mat", arrays, do_compression=compressed)
        return root / "data.mat"

    return write


def _npy(array: NDArray) -> Writer:
    def write(root: Path) -> Path:
        np.save(root / "data.npy", array)
        return root / "data.npy"

    return write


def flat(root: Path) -> Path:
    for number, pixels in enumerate(GREY):
        _image(root / "flat" / f"{number:03}.png", pixels)
    (root / "flat" / ".DS_Store").write_bytes(b"?")
    (root / "flat" / "again").symlink_to(".")  # a loop
    return root / "flat"


def by_class(root: Path) -> Path:
    for number, pixels in enumerate(COLOURS):
        _image(root / "zoo" / "pets" / WORDS[number] / f"{number:03}.png", pixels)
    return root / "zoo"


def in_parts(root: Path) -> Path:
    for number, pixels in enumerate(GREY):
        part = "Train" if number < TRAIN else "val" if number < TRAIN + 5 else "test"
        _image(root / "parts" / part / str(LABELS[number]) / f"{number:03}.png", pixels)
    return root / "parts"


def _idx(root: Path, name: Callable[[str], str], pack: Callable[[bytes], bytes]) -> Path:
    parts = {"train": slice(0, TRAIN), "t10k": slice(TRAIN, None)}
    for part, rows in parts.items():
        for kind, values in (("images-idx3", GREY), ("labels-idx1", LABELS.astype(np.uint8))):
            path = root / "idx" / name(f"{part}-{kind}-ubyte")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pack(idx_bytes(values[rows])))
    return root / "idx"


def kaggle(root: Path) -> Path:
    _idx(root, lambda name: name.replace("-idx", ".idx"), bytes)
    return _idx(root, lambda name: f"{name}/{name}", bytes)


def packed_idx(root: Path) -> Path:
    return _idx(root, lambda name: f"{name}.gz", gzip.compress)


def amat(root: Path) -> Path:
    for part, rows in (
        ("train", slice(0, TRAIN)),
        ("valid", slice(30, 35)),
        ("test", slice(35, 40)),
    ):
        path = root / "mats" / f"binarized_{part}.amat"
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines(ROWS[rows], " "))
    (root / "mats" / "README.txt").write_text("About these.")
    return root / "mats"


HEADER = ",".join(["label", *(f"pixel{i}" for i in range(ROWS.shape[1]))])
SPLIT = {"x_train": GREY[:TRAIN], "x_test": GREY[TRAIN:]}
SPLIT_LABELS = {"y_train": LABELS[:TRAIN], "y_test": LABELS[TRAIN:]}

FORMS: dict[str, Writer] = {
    "flat": flat,
    "by-class": by_class,
    "in-parts": in_parts,
    "kaggle-idx": kaggle,
    "gzip-idx": packed_idx,
    "amat": amat,
    "keras": _savez(**SPLIT, **SPLIT_LABELS),
    "capitals": _savez(X=GREY, Y=np.eye(3)[LABELS]),
    "camel": _savez(trainImages=GREY[:TRAIN], testImages=GREY[TRAIN:]),
    "mushrooms": _savez(train_data=ROWS[:30], valid_data=ROWS[30:35], test_data=ROWS[35:]),
    "unnamed": _savez(arr_0=GREY, arr_1=LABELS),
    "words": _savez(images=GREY, labels=WORDS, note=np.array({}, dtype=object)),
    "npy": _npy(GREY),
    "columns-first": _npy(np.asfortranarray(GREY)),
    "minus-one": _npy((GREY / 127.5 - 1).astype(np.float32)),
    "colours-first": _npy(np.moveaxis(COLOURS, 3, 1)),
    "header": _text("a.csv", lines(np.c_[LABELS, ROWS], ",", HEADER)),
    "bom": _text("a.csv", b"\xef\xbb\xbf" + lines(np.c_[LABELS, ROWS], ",", HEADER).encode()),
    "semicolons": _text("a.csv", lines(BITS.reshape(COUNT, -1) / 2, ";").replace(".", ",")),
    "tabs": _text("a.tsv", lines(ROWS, "\t")),
    "packed-text": _text("a.txt.gz", gzip.compress(lines(ROWS, " ").encode())),
    "digits-only": _text("a.txt", lines(ROWS, "")),
    "matlab": _mat(fea=GREY.reshape(COUNT, -1), gnd=LABELS[:, None] + 1),
    "matlab-plain": _mat(False, images=GREY, labels=WORDS.astype(object)[:, None], note={"a": 1}),
    "matlab-columns": _mat(X=np.moveaxis(COLOURS, 0, -1), y=LABELS[:, None]),
}
"""Name → a function that writes it into a folder and returns its path."""
