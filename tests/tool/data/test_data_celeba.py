"""CelebA's files: what is read from them, and one line for everything that can be wrong."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import drawn_faces
from directmax.tool.data import AttributeData, load_attributes
from directmax.tool.data.celeba import count_training, read_square
from directmax.tool.data.locate import Places

Fault = Callable[..., str]
COUNT = 40
TABLE, PARTITION, IMAGES = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
WEBSITE = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a few drawn faces, which tests only read."""
    folder = tmp_path_factory.mktemp("drawn")
    drawn_faces.write(folder, COUNT, seed=3, processes=1)
    return folder


@pytest.fixture
def celeba(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the folder "celeba", which a test may damage."""
    return Path(shutil.copytree(drawn / "celeba", tmp_path / "data" / "celeba"))


def load(celeba: Path) -> AttributeData:
    return load_attributes("celeba", data_dir=celeba.parent)


def edit(path: Path, line: int, change: Callable[[str], str]) -> None:
    """Change a line, numbered from 1."""
    lines = path.read_text().split("\n")
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines))


# What is read


def test_splits_and_attributes(drawn: Path) -> None:
    data = load_attributes("celeba", data_dir=drawn)
    assert data.attribute_names == ("Eyeglasses", "Smiling", "Male")
    assert data.shape == (3, 64, 64)
    assert (len(data.train), len(data.validation), len(data.test)) == (32, 4, 4)
    assert data.source == str(drawn / "celeba")
    faces = [drawn_faces.random_face(3, index) for index in range(COUNT)]
    expected = torch.tensor([[face.eyeglasses, face.smiling, face.male] for face in faces]).long()
    for split, start, end in ((data.train, 0, 32), (data.validation, 32, 36), (data.test, 36, 40)):
        assert torch.equal(split.attributes, expected[start:end])
        assert len(split.images) == len(split) == end - start
    assert count_training(Places(drawn, download=False)) == 32


def test_other_attributes_in_their_order(drawn: Path) -> None:
    data = load_attributes("celeba", ["Male", "Black_Hair"], data_dir=drawn)
    faces = [drawn_faces.random_face(3, index) for index in range(32)]
    black = [drawn_faces.attributes(face)["Black_Hair"] for face in faces]
    expected = torch.tensor([[face.male for face in faces], black]).T.long()
    assert torch.equal(data.train.attributes, expected)


@pytest.mark.parametrize(("size", "tolerance"), [(24, 2.0), (32, 2.0), (64, 1.5), (100, 0.1)])
def test_the_middle_of_the_image(drawn: Path, size: int, tolerance: float) -> None:
    """The middle square, resized. The decoder's reduction, below 90, hardly shows."""
    data = load_attributes("celeba", data_dir=drawn, size=size)
    image = data.validation.images[2]
    assert image.shape == (3, size, size)
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    with Image.open(drawn / "celeba" / IMAGES / "000035.jpg") as file:
        square = file.crop((0, 20, 178, 198)).resize((size, size), Image.Resampling.BILINEAR)
    expected = np.asarray(square, dtype=np.float32)
    difference = np.abs(image.permute(1, 2, 0).numpy() - expected).mean()
    moved = [np.abs(np.roll(expected, 1, axis) - expected).mean() for axis in (0, 1)]
    assert difference <= tolerance < min(moved) / 2


def test_a_size_beyond_the_files(drawn: Path) -> None:
    assert load_attributes("celeba", data_dir=drawn, size=200).train.images[0].shape[-1] == 200


def test_grey_files_have_three_channels() -> None:
    assert (read_square(Image.new("L", (20, 30), 7), 10) == 7).all()
    assert read_square(Image.new("L", (20, 30)), 10).shape == (10, 10, 3)


def test_found_where_the_variable_says(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTMAX_DATA", str(drawn))
    assert len(load_attributes("celeba").test) == 4


def test_empty_lines_and_windows_line_ends_are_read(celeba: Path) -> None:
    table = celeba / TABLE
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    (celeba / "more.txt").write_text("not read")
    (celeba / IMAGES / "999999.jpg").write_text("in no list, so not read")
    assert len(load(celeba).train) == 32


def test_images_can_be_sent_to_processes(drawn: Path) -> None:
    images = load_attributes("celeba", data_dir=drawn).train.images
    again = pickle.loads(pickle.dumps(images))
    assert torch.equal(again[3], images[3])


# What can be wrong: the arguments


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (["Eyeglases"], "unknown attribute 'Eyeglases': .*did you mean 'Eyeglasses'"),
        (["smiling"], "unknown attribute 'smiling': .*did you mean 'Smiling'"),
        (["Male", "Male"], "attributes must differ, got 'Male' twice"),
        ([], "attributes must name at least one, such as Eyeglasses"),
        (["Bald"], "attribute Bald is 0 for all 32 training images"),
    ],
)
def test_attributes_refused(drawn: Path, attributes: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_attributes("celeba", attributes, data_dir=drawn)
    assert "\n" not in str(caught.value)


def test_other_arguments_refused(drawn: Path) -> None:
    with pytest.raises(TypeError, match="name must be a string, got int"):
        load_attributes(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"unknown data set with attributes 'celebs': .*'celeba'"):
        load_attributes("celebs")
    with pytest.raises(TypeError, match="a sequence of names, got the string 'Male'"):
        load_attributes("celeba", "Male")
    with pytest.raises(ValueError, match="size must be an integer of at least 8, got 4"):
        load_attributes("celeba", data_dir=drawn, size=4)
    with pytest.raises(TypeError, match=r"size must be an integer of at least 8, got 64\.0"):
        load_attributes("celeba", data_dir=drawn, size=64.0)  # type: ignore[arg-type]


# What can be wrong: the files


def test_nowhere(tmp_path: Path, fault: Fault) -> None:
    message = fault(load_attributes, "celeba", data_dir=tmp_path)
    assert message.startswith(f"CelebA is in none of {tmp_path / 'celeba'}, ")
    assert WEBSITE in message
    assert "for non-commercial research only" in message
    assert "never downloaded" in message
    assert list(tmp_path.iterdir()) == []


def test_a_list_is_missing(celeba: Path, fault: Fault) -> None:
    (celeba / PARTITION).unlink()
    assert f"{celeba} has no {PARTITION}, expected" in fault(load, celeba)


def test_not_unpacked(celeba: Path, fault: Fault) -> None:
    shutil.rmtree(celeba / IMAGES)
    assert "put it there, from http" in fault(load, celeba)
    (celeba / f"{IMAGES}.zip").write_bytes(b"")
    message = fault(load, celeba)
    assert f"has no {IMAGES}/, expected" in message
    assert message.endswith(f"; unpack {IMAGES}.zip there")


@pytest.mark.parametrize(
    ("file", "line", "change", "message"),
    [
        (TABLE, 1, lambda line: "many", "line 1: 'many', expected the number of images"),
        (TABLE, 1, lambda line: "41", "has 40 rows, expected 41 as its first line says"),
        (TABLE, 1, lambda line: "39", "has 40 rows, expected 39 as its first line says"),
        (TABLE, 1, lambda line: "9" * 15, "has 40 rows, expected 999999999999999"),
        (TABLE, 1, lambda line: "-1", "has 40 rows, expected -1 as its first line says"),
        (TABLE, 2, lambda line: "", "line 2: expected the names of the attributes"),
        (TABLE, 2, lambda line: f"{line} Male", "line 2: expected the names of the attributes"),
        (TABLE, 5, lambda line: "", "has 39 rows, expected 40"),
        (TABLE, 5, lambda line: line[:-3], "line 5: 000003.jpg has 39 values, expected 40"),
        (TABLE, 5, lambda line: line[:-2] + "0", "line 5: Young of 000003.jpg is '0', expected 1"),
        (TABLE, 5, lambda line: line.replace("3.jpg", "4.jpg"), "has two rows of 000004.jpg"),
        (PARTITION, 4, lambda line: "000004.jpg 3", "line 4: the part of 000004.jpg is '3'"),
        (PARTITION, 4, lambda line: "000004.jpg", "line 4: the part of 000004.jpg is ''"),
        (PARTITION, 4, lambda line: "", "line 5: 000005.jpg, but"),
        (PARTITION, 4, lambda line: "000009.jpg 0", "line 4: 000009.jpg, but"),
        (PARTITION, 40, lambda line: "", "has 39 rows and"),
        (PARTITION, 40, lambda line: f"{line}\n000041.jpg 2", "has 41 rows and"),
    ],
)
def test_a_list_is_wrong(
    celeba: Path, fault: Fault, file: str, line: int, change: Callable[[str], str], message: str
) -> None:
    edit(celeba / file, line, change)
    found = fault(load, celeba)
    assert message in found
    assert str(celeba / file) in found
    assert WEBSITE in found


def test_a_list_is_no_text(celeba: Path, fault: Fault) -> None:
    (celeba / TABLE).write_bytes(b"\xff\xfe\x00")
    assert f"cannot read {celeba / TABLE}" in fault(load, celeba)
    (celeba / TABLE).write_bytes(b"")
    assert "line 1: '', expected the number of images" in fault(load, celeba)


def test_a_part_is_empty(celeba: Path, fault: Fault) -> None:
    text = (celeba / PARTITION).read_text().replace("jpg 1", "jpg 0")
    (celeba / PARTITION).write_text(text)
    assert "has no validation image (partition 1)" in fault(load, celeba)


def test_images_are_missing(celeba: Path, fault: Fault) -> None:
    (celeba / IMAGES / "000007.jpg").unlink()
    assert "has no 000007.jpg, expected an image for each of the 40 rows" in fault(load, celeba)
    (celeba / IMAGES / "000009.jpg").unlink()
    assert "has no 000007.jpg nor 1 more, expected" in fault(load, celeba)


def test_an_image_disappears(celeba: Path, fault: Fault) -> None:
    images = load(celeba).train.images
    (celeba / IMAGES / "000001.jpg").unlink()
    assert "000001.jpg does not exist" in fault(images.__getitem__, 0)


def test_an_image_is_damaged(celeba: Path, fault: Fault) -> None:
    images = load(celeba).train.images
    path = celeba / IMAGES / "000001.jpg"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert f"cannot read the image {path}: image file is truncated" in fault(images.__getitem__, 0)
    path.write_bytes(b"")
    assert f"{path} is no image of a known format; expected" in fault(images.__getitem__, 0)
    Image.new("RGB", (100, 90)).save(path, "PNG")  # another format and another size are read
    assert images[0].shape == (3, 64, 64)
    path.write_bytes(content)
    assert images[0].shape == (3, 64, 64)


# Tables of one's own


def own(folder: Path, words: list[str], names: list[str]) -> AttributeData:
    (folder / "pictures" / "more").mkdir(parents=True)
    lines = ["file,Hat,age,Smile"]
    for index, word in enumerate(words):
        place = folder / "pictures" / ("more" if index % 2 else ".") / f"{index}.png"
        image = Image.new("L", (9 + index, 20), index)
        image.convert("L" if index % 3 else "RGB").save(place)
        lines.append(f"{index}.jpg,{word},{20 + index},{1 if index % 2 else -1}")
    (folder / "mine.csv").write_text("\n".join(lines))
    return load_attributes(folder, names, size=8)


def test_one_table_beside_images_of_any_kind(tmp_path: Path) -> None:
    words = ["1", "0", "-1", "", "1.0", "0.0", "nan", "True", "false", "1"] * 2
    data = own(tmp_path, words, ["Hat", "Smile"])
    values = {"1": 1, "1.0": 1, "True": 1, "0": 0, "0.0": 0, "false": 0}
    parts = (data.train, data.validation, data.test)
    for part in parts:
        for index, (hat, smile) in enumerate(part.attributes.tolist()):
            number = int(part.images[index].float().mean())
            assert hat == values.get(words[number], -1)
            assert smile == number % 2
    assert sum(len(part) for part in parts) == len(words)
    unknown = sum(word not in values for word in words)
    assert data.understood.endswith(f"; not known: Hat of {unknown} images")


@pytest.mark.parametrize("between", [";", "\t", '","'])
def test_other_marks_between_the_columns(tmp_path: Path, between: str) -> None:
    data = own(tmp_path, ["1", "0", ""] * 5, ["Hat", "Smile"])
    table = tmp_path / "mine.csv"
    lines = table.read_text().split("\n")
    if len(between) > 1:
        lines = [f'"{line}"' for line in lines]
    table.write_text("\n".join(line.replace(",", between) for line in lines))
    again = load_attributes(tmp_path, ["Hat", "Smile"], size=8)
    assert torch.equal(again.train.attributes, data.train.attributes)


def test_columns_that_are_no_attributes_are_refused_when_they_are_asked_for(
    tmp_path: Path, fault: Fault
) -> None:
    own(tmp_path, ["1", "0"] * 6, ["Hat"])
    message = fault(load_attributes, tmp_path, ["age"], size=8)
    assert "line 2: age of 0.jpg is '20', expected 1 or" in message
    (tmp_path / "other.csv").write_text("file,Hat\n")
    assert "has 2 tables, mine.csv and other.csv" in fault(load_attributes, tmp_path, ["Hat"])


def twelve(folder: Path, header: str, row: str, image: str, table: str = "mine.csv") -> None:
    """Image j is of shade 10 j and has a hat where j is odd; row i is that of image i + 5."""
    lines = [header]
    for index in range(12):
        j = (index + 5) % 12
        path = folder / image.format(j=j)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), 10 * j).save(path)
        lines.append(row.format(index=index, j=j, hat=j % 2, word=("no", "Yes")[j % 2]))
    (folder / table).write_text("\n".join(lines))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])  # as Excel saves them
def test_encodings_of_tables(tmp_path: Path, encoding: str) -> None:
    data = own(tmp_path, ["1", "0", ""] * 5, ["Hat"])
    table = tmp_path / "mine.csv"
    table.write_text(table.read_text().replace("Hat", "Hüte"), encoding=encoding)
    again = load_attributes(tmp_path, ["Hüte"], size=8)
    assert torch.equal(again.train.attributes, data.train.attributes)


@pytest.mark.parametrize(
    ("header", "row", "image", "table"),
    [
        (",file,Hat", "{index},{j}.png,{hat}", "{j}.png", "mine.csv"),  # of pandas
        (",Hat,Scarf", "{j},{hat},1", "{j}.png", "mine.csv"),  # the images' numbers
        ("file,Hat", "{j}.png,{word}", "{j}.png", "mine.CSV"),
        ("file,Hat", "images/{j}.png,{hat}", "images/{j}.png", "mine.csv"),
        ("file,Hat", "more\\{j}.png,{hat}", "more/{j}.png", "mine.csv"),
        ("file,Hat", "{j},{hat}", "{j}.png", "mine.csv"),
        ("file\tHat", "{j}.png\t{hat}", "{j}.png", "mine.TSV"),
    ],
)
def test_habits_of_tables(tmp_path: Path, header: str, row: str, image: str, table: str) -> None:
    twelve(tmp_path, header, row, image, table)
    for index in range(12):
        (tmp_path / image.format(j=index)).with_suffix(".json").write_text("{}")  # of a labelling
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "3.png").touch()
    data = load_attributes(tmp_path, ["Hat"], size=8)
    for part in (data.train, data.validation, data.test):
        for i, (hat,) in enumerate(part.attributes.tolist()):
            assert hat == int(part.images[i].float().mean()) // 10 % 2


def test_a_row_of_two_images_and_two_rows_of_an_image(tmp_path: Path, fault: Fault) -> None:
    twelve(tmp_path, "file,Hat", "{j}.png,{hat}", "cats/{j}.png")
    (tmp_path / "dogs").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "dogs" / "3.png")
    message = fault(load_attributes, tmp_path, ["Hat"], size=8)
    assert "has cats/3.png and dogs/3.png, and mine.csv has 3.png" in message
    (tmp_path / "dogs" / "3.png").unlink()
    with (tmp_path / "mine.csv").open("a") as file:
        file.write("\n3.jpg,0")
    message = fault(load_attributes, tmp_path, ["Hat"], size=8)
    assert "has 3.png and 3.jpg, which are both cats/3.png" in message
