"""Data of one's own: every form holds the same images, and what is no such form is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from own_files import BITS, COLOURS, COUNT, FORMS, GREY, HEIGHT, LABELS, TRAIN, WIDTH, flat, lines
from PIL import Image

from command_line import refuse, succeed
from directmax.tool.data import DataError, ImageData
from directmax.tool.data.own import files
from directmax.tool.data.own.read import read_path

Fault = Callable[..., str]
BINARY = ("amat", "mushrooms", "header", "bom", "tabs", "packed-text", "digits-only")
COLOURED = ("by-class", "colours-first", "matlab-columns")
SCALED = {"semicolons": 0.5 * BITS}
NAMES = dict.fromkeys(("by-class", "words", "matlab-plain"), ("ant", "bee", "cat"))
NAMES["matlab"] = tuple("123")
UNLABELLED = (
    *("flat", "amat", "camel", "mushrooms", "npy", "columns-first", "minus-one"),
    *("colours-first", "semicolons", "tabs", "packed-text", "digits-only"),
)
THREE = ("in-parts", "amat", "mushrooms")
TWO = ("kaggle-idx", "gzip-idx", "keras", "camel")


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form: str, tmp_path: Path) -> None:
    """Images, labels and parts, each image with its own label."""
    data = ImageData.from_path(FORMS[form](tmp_path))
    parts = (data.train, data.validation, data.test)
    expected = COLOURS.transpose(0, 3, 1, 2) / 255 if form in COLOURED else GREY / 255
    expected = BITS if form in BINARY else SCALED.get(form, expected)
    rows = torch.from_numpy(expected.reshape(COUNT, -1)).float()
    found = torch.cat([part.images for part in parts])
    nearest = torch.cdist(found, rows, compute_mode="donot_use_mm_for_euclid_dist")
    assert nearest.min(1).values.max() < 1e-4
    order = nearest.argmin(1)
    assert sorted(order.tolist()) == list(range(COUNT))
    assert data.train.images.dtype == torch.float32
    pictured = form not in (*BINARY, "semicolons", "matlab")
    assert data.shape == ((HEIGHT, WIDTH) if pictured else (1, HEIGHT * WIDTH))
    assert data.channels == (3 if form in COLOURED else 1)
    labels = torch.cat([part.labels for part in parts])
    if form in UNLABELLED:
        assert (data.num_classes, labels.max()) == (0, 0)
    else:
        assert labels.tolist() == LABELS[order].tolist()
        assert data.label_names == NAMES.get(form, tuple("012"))
    sizes = [30, 5, 5] if form in THREE else [27, 3, 10] if form in TWO else [32, 4, 4]
    assert [len(part) for part in parts] == sizes
    if form in THREE:
        assert sorted(order[:TRAIN].tolist()) == list(range(TRAIN))
    assert f"{COUNT:,} " in data.understood
    assert ("drawn" in data.understood) == (form not in THREE)
    assert "\n" not in data.understood
    again = ImageData.from_path(data.path)
    assert again.identity() == data.identity()


def test_what_is_printed(tmp_path: Path) -> None:
    path = FORMS["words"](tmp_path)
    assert succeed("data", path).out.strip() == (
        f"{path}: 40 grey images of 8×6, 0 … 255 as 0 … 1; 3 classes (ant, bee, cat); 32 training "
        "(images), 4 validation and 4 test images (both drawn from the training ones); left out: "
        "note"
    ).removesuffix("; left out: note")
    assert "'mnist'" in refuse("data", "minst")
    assert "1,797" in succeed("data", "digits").out


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("1,0\n1\n", "changed from 2 to 1"),
        ("p,x\ne,b\n", "no column of several numbers, or of 2 to 64 words"),
        ("1,2\n" * 9 + "3,x\n" + "2,5\n" * 9, "row 10, column 2 holds 'x'; expected a number"),
        ("0," * 63 + "nan\n" + ("1," * 63 + "0\n") * 9, "row 1, column 64 holds no number"),
        ("0,elm\n1,oak\n1\n" * 9, "row 3 has 1 column and row 1 2"),
        ("label,id\n1,0\n", "no columns of pixels"),
        ("1,0\n", "1"),
        ("1,2,split\n1,0,train\n0,1,never\n", "'never'"),
        (b"\0\1\2\3" * 9, "no text"),
        (b"\x1f\x8b\x08broken", "readable"),
    ],
)
def test_tables_refused(content: str | bytes, named: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert named in refuse("data", path)


def test_arrays_refused(tmp_path: Path, fault: Fault) -> None:
    def saved(**arrays: object) -> str:
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        return fault(ImageData.from_path, tmp_path / "a.npz")

    assert "left (40, 8, 6) uint8" in saved(left=GREY, right=GREY[::-1])
    assert "40 images in x and 39 labels in y" in saved(x=GREY, y=LABELS[1:])
    assert "note () object" not in saved(note=np.array({}, dtype=object))
    assert "-4" in saved(x=np.full((20, 8, 8), -4.0))
    assert "(40, 8, 6, 2)" in saved(x=np.stack([GREY, GREY], -1))
    assert "8×6" in saved(x_train=GREY, x_test=GREY.transpose(0, 2, 1))
    assert "no training images" in saved(x_test=GREY, x_valid=GREY)
    objects = saved(x=GREY, labels=LABELS.astype(object))
    assert "labels holds Python objects, which are never unpickled" in objects
    assert "NaN" in saved(x_train=GREY / 255, x_test=np.where(GREY > 200, np.nan, GREY / 255))
    assert "up to 1, and one up to 255" in saved(x_train=GREY, x_test=GREY / 255)
    np.save(tmp_path / "o.npy", np.array([None, 1]), allow_pickle=True)
    assert "never unpickled" in fault(ImageData.from_path, tmp_path / "o.npy")
    np.save(tmp_path / "o.npy", np.zeros(9, dtype=[("grey", "f4", (8, 6)), ("kind", "i8")]))
    assert "records with the fields grey, kind" in fault(ImageData.from_path, tmp_path / "o.npy")
    np.save(tmp_path / "o.npy", np.zeros(9, dtype="V3"))
    assert "entries of the type |V3" in fault(ImageData.from_path, tmp_path / "o.npy")


def test_labels_that_are_none(tmp_path: Path) -> None:
    def understood(**arrays: object) -> str:
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        return ImageData.from_path(tmp_path / "a.npz").understood

    assert "no whole numbers" in understood(x=GREY, y=np.linspace(0, 1, COUNT))
    assert "40 of them differ" in understood(x=GREY, y=np.arange(COUNT))
    assert "test images have none" in understood(x_train=GREY, y_train=LABELS, x_test=GREY)
    assert "left out: latents" in understood(imgs=GREY, latents=np.zeros((COUNT, 4)))


def test_folders_refused(tmp_path: Path, fault: Fault) -> None:
    assert "no files" in fault(ImageData.from_path, tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK")
    assert "1 .zip" in fault(ImageData.from_path, tmp_path)
    assert "unpack it" in fault(ImageData.from_path, tmp_path / "x.zip")
    np.save(tmp_path / "x.npy", GREY)
    np.savez(tmp_path / "x.npz", GREY)
    assert "1 NumPy arrays, 1 NumPy archives" in fault(ImageData.from_path, tmp_path)
    assert "does not exist" in fault(ImageData.from_path, tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot look at" in fault(ImageData.from_path, tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe.npy")
    assert "neither a file nor a folder" in fault(ImageData.from_path, tmp_path / "pipe.npy")
    folder = flat(tmp_path)
    os.mkfifo(folder / "pipe.png")  # is no image, nor waited for
    assert len(ImageData.from_path(folder).train) == 32
    (folder / "far.png").symlink_to("nowhere.png")
    assert "far.png is a link to nothing" in fault(ImageData.from_path, folder)
    (folder / "far.png").unlink()
    (folder / "bad.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    assert "bad.png is no image" in fault(ImageData.from_path, folder)
    assert "one image" in fault(ImageData.from_path, folder / "000.png")


def test_images_of_several_sizes(tmp_path: Path, fault: Fault) -> None:
    for number in range(12):
        Image.new("RGB", (20 + number % 2, 24), (number, 0, 90)).save(tmp_path / f"{number}.png")
    assert "--image-size 20" in fault(ImageData.from_path, tmp_path)
    data = ImageData.from_path(tmp_path, size=8)
    assert (data.shape, data.channels) == ((8, 8), 3)
    assert "8×8" in succeed("data", tmp_path, "--image-size", 8).out
    np.save(tmp_path / "a.npy", GREY)
    assert ImageData.from_path(tmp_path / "a.npy", size=4).shape == (4, 4)
    np.save(tmp_path / "a.npy", GREY.reshape(COUNT, -1))
    assert "rows of 48 numbers" in fault(ImageData.from_path, tmp_path / "a.npy", size=8)


def test_more_than_the_memory(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said from the header, before anything is allocated."""
    path = FORMS["keras"](tmp_path)
    monkeypatch.setattr(files, "available", lambda: 20_000)
    for form in ("npy", "keras", "matlab", "tabs", "gzip-idx", "flat"):
        folder = tmp_path / form
        folder.mkdir()
        path = FORMS[form](folder)
        with monkeypatch.context() as patch:
            for module in ("numpy_files", "matlab"):
                patch.setattr(f"directmax.tool.data.own.{module}.available", lambda: 10**6)
            assert "GiB" in fault(ImageData.from_path, path)


def test_words_for_classes_of_a_table(tmp_path: Path) -> None:
    rows = np.c_[np.array(["no", "yes"])[LABELS % 2], BITS.reshape(COUNT, -1).astype(str)]
    header = ",".join(["Class", *(f"f{i}" for i in range(HEIGHT * WIDTH))])
    (tmp_path / "a.csv").write_text(lines(rows, ",", header))
    data = ImageData.from_path(tmp_path / "a.csv")
    assert data.label_names == ("no", "yes")
    rows[:, 0] = ""
    (tmp_path / "b.csv").write_text(lines(rows, ",", header))
    understood = ImageData.from_path(tmp_path / "b.csv").understood
    assert f"; labels (column Class) left out, as {COUNT} images have none;" in understood


ROWS = [",".join(map(str, range(i, i + 9))) for i in range(1, 13)]
NAMED = ",".join("abcdefghi")
ODD_TABLES = {
    "test only": (["split," + NAMED, *("test," + row for row in ROWS)], "has no training rows"),
    "a word in front": (["NA" + ROWS[0][1:], *ROWS[1:]], "12 rows of 37 numbers, 0/1 for"),
    "NaN in front": (["nan" + ROWS[0][1:], *ROWS[1:]], "12 rows of 37 numbers, 0/1 for"),
    "a gap in front": (
        ["0,,1,1", *["1,0,0,1"] * 5, *["0,1,1,1"] * 6],
        "3 of two numbers (1 with g",
    ),
    "numbered columns": ([",".join(map(str, range(9))), *ROWS], "12 rows of 36"),
    "labels twice": (["label,y," + NAMED, *("1,2," + row for row in ROWS)], "column y left out"),
    "a label lacks": (
        ["label," + NAMED, "," + ROWS[0], *("1," + row for row in ROWS[1:])],
        "labels (column label) left out, as 1 image has none",
    ),
    "of Excel": (["sep=;", *(row.replace(",", ";") for row in ROWS)], "12 rows of 36"),
    "bars": ([row.replace(",", "|") for row in ROWS], "12 rows of 36"),
    "a line end of Unicode": (["label," + NAMED, *("a\u2028b," + row for row in ROWS)], "1 class"),
    "an apostrophe": (["1,2", "1'0,4"], 'row 2, column 1 holds "1\'0"'),
}


@pytest.mark.parametrize("case", ODD_TABLES)
def test_odd_tables(case: str, tmp_path: Path) -> None:
    rows, expected = ODD_TABLES[case]
    (tmp_path / "a.csv").write_text("\n".join(rows), encoding="utf-8")
    try:
        said = ImageData.from_path(tmp_path / "a.csv").understood
    except DataError as error:
        said = str(error)
    assert expected in said


def test_encodings_of_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" + "\n".join(ROWS)).encode("utf-32-le"))
    assert "12 rows of 36" in ImageData.from_path(path).understood
    path.write_bytes(("é" + NAMED + "\n" + ROWS[0]).encode("latin-1"))
    with pytest.raises(DataError, match="no text in UTF-8: byte 0xe9 at 0; save it as UTF-8"):
        ImageData.from_path(path)


class Items(torch.utils.data.Dataset):
    """A dataset as torchvision has them."""

    classes = ("ant", "bee", "cat")

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> object:
        if self.kind == "pillow":
            return Image.fromarray(COLOURS[index]), int(LABELS[index])
        tensor = torch.from_numpy(COLOURS[index]).movedim(2, 0) / 255
        if self.kind == "dictionary":
            return {"label": torch.tensor(LABELS[index]), "image": tensor}
        return tensor


@pytest.mark.parametrize("kind", ["pillow", "dictionary", "alone"])
def test_datasets_of_torch(kind: str) -> None:
    data = ImageData.from_dataset(Items(kind), test=Items(kind))
    rows = torch.from_numpy(COLOURS).permute(0, 3, 1, 2).reshape(COUNT, -1) / 255
    assert torch.allclose(data.test.images, rows)
    assert data.num_classes == (0 if kind == "alone" else 3)
    if kind != "alone":
        assert data.test.labels.tolist() == LABELS.tolist()
        assert data.label_names == Items.classes
    with pytest.raises(TypeError, match="images"):
        ImageData.from_dataset([{"text": "x"}])
    with pytest.raises(ValueError, match="shapes"):
        ImageData.from_dataset([torch.zeros(1, 2, 2), torch.zeros(1, 2, 3)])


def test_labels_of_any_bytes(tmp_path: Path) -> None:
    """Words that are not UTF-8 stay apart, and nothing in a name speaks to the terminal."""
    labels = np.array([b"\xff", b"\xfe", b"\x1b[31m\n"] * 4)
    np.savez(tmp_path / "odd.npz", images=GREY[:12], labels=labels)
    data = ImageData.from_path(tmp_path / "odd.npz")
    assert data.label_names == (r"\x1b[31m\n", r"\xfe", r"\xff")
    assert data.understood.isprintable()


def test_labels_beyond_integers(tmp_path: Path) -> None:
    np.savez(tmp_path / "huge.npz", images=GREY, labels=LABELS * 1e300)
    data = ImageData.from_path(tmp_path / "huge.npz")
    assert data.label_names == ("0.0", "1e+300", "2e+300")
    assert data.num_classes == 3


def test_images_lie_as_they_are_seen(tmp_path: Path) -> None:
    """EXIF data turns an image, also where its size is compared with that of others."""
    picture = Image.fromarray(GREY[0])
    exif = picture.getexif()
    exif[0x112] = 6  # to be turned by a quarter to be upright
    for number in range(5):
        turned = picture.transpose(Image.Transpose.ROTATE_90)
        turned.save(tmp_path / f"{number}.png", exif=exif)
        picture.save(tmp_path / f"{number}.tiff")
    found = ImageData.from_path(tmp_path)
    assert found.shape == (HEIGHT, WIDTH)
    assert (found.train.images == found.train.images[0]).all()
    square = ImageData.from_path(tmp_path, size=4).train.images
    assert (square == square[0]).all()


def test_one_idx_file_has_the_labels_beside_it(tmp_path: Path) -> None:
    folder = FORMS["gzip-idx"](tmp_path)
    (images,) = folder.glob("train-images*")
    (labels,) = folder.glob("train-labels*")
    data = ImageData.from_path(images)
    found = torch.cat([part.labels for part in (data.train, data.validation, data.test)])
    assert sorted(found.tolist()) == sorted(LABELS[:TRAIN].tolist())
    labels.unlink()
    assert not ImageData.from_path(images).num_classes


def test_images_of_one_grey_are_refused(tmp_path: Path) -> None:
    """Such as white icons on transparent ground."""
    for number in range(12):
        icon = Image.new("RGBA", (8, 8), (255, 255, 255, 20 * number))
        icon.save(tmp_path / f"{number:02}.png")
    with pytest.raises(DataError, match=r"nothing but 1, on a scale .* images that differ"):
        ImageData.from_path(tmp_path)


@pytest.mark.parametrize("size", [None, 6])
def test_greys_of_twelve_bits_keep_them(size: int | None, tmp_path: Path) -> None:
    """Cameras and scanners store them in 16; with 8 bits 17 of 4,096 levels were left."""
    greys = np.random.default_rng(0).integers(0, 4096, (30, 6, 6)).astype(np.uint16)
    for number, grey in enumerate(greys):
        Image.fromarray(grey).save(tmp_path / f"{number:02}.png")
    found = read_path(tmp_path, size)
    assert "1 … 4093 as 0 … 1, 4095 being 1" in found.text
    expected = greys.reshape(30, -1) / np.float32(4095)
    np.testing.assert_allclose(found.images["train"], expected, atol=1e-7)
    other = read_path(tmp_path, size, found.reading)
    np.testing.assert_array_equal(other.images["train"], found.images["train"])
    Image.fromarray(np.full((6, 6), 200, np.uint8)).save(tmp_path / "30.png")  # 8 bits, too
    assert "0 … 200 as 0 … 1, 255 being 1" in read_path(tmp_path, size).text
