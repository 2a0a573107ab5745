"""Tables whose columns are of several kinds: words, numbers of any range, what is not known."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import directmax
from command_line import refuse, succeed
from directmax.tool.data import DataError, ImageData
from directmax.tool.data.own.coded import Code
from directmax.tool.data.own.read import read_path
from directmax.tool.data.own.reading import Reading
from directmax.tool.run.finished import evaluate_run

DRAW = np.random.default_rng(0)
AGES = DRAW.integers(18, 90, 60).tolist()
PAY = DRAW.lognormal(8, 1, 60).round(2).tolist()
TOWNS = ["Ulm", "Bern", "Linz"] * 20
SMOKES = ["yes", "no"] * 30
PIXELS = DRAW.integers(0, 256, (60, 7))
PIXELS[0] = 255


def write(path: Path, header: Sequence[str], *columns: Sequence[object]) -> None:
    rows = [list(header)] * bool(header) + [list(row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(",".join(map(str, row)) for row in rows))


def table(path: Path, header: Sequence[str], *columns: Sequence[object]) -> ImageData:
    write(path, header, *columns)
    return ImageData.from_path(path)


def rows_of(data: ImageData) -> torch.Tensor:
    """Of all parts; which rows are drawn for which does not matter here."""
    return torch.cat([data.train.images, data.validation.images, data.test.images])


def test_words_and_numbers_become_bits(tmp_path: Path) -> None:
    data = table(tmp_path / "a.csv", ["town", "smokes", "age", "pay"], TOWNS, SMOKES, AGES, PAY)
    assert "60 rows of 12 numbers, 0/1 for columns: 2 of words, 2 of numbers" in data.understood
    rows = rows_of(data)
    assert set(rows.unique().tolist()) == {0.0, 1.0}
    assert (rows[:, :3].sum(1) == 1).all()  # a town each
    assert rows[:, 3].mean() == 0.5  # yes, the second of two words
    for first in (4, 8):  # four cuts at the fifths, in order
        cuts = rows[:, first : first + 4]
        assert (cuts[:, :-1] >= cuts[:, 1:]).all()
        assert torch.allclose(cuts.mean(0), torch.tensor([0.8, 0.6, 0.4, 0.2]), atol=0.04)


def test_a_number_is_one_from_its_cut_on(tmp_path: Path) -> None:
    paid = [0.0] * 50 + [float(each) for each in range(900, 910)]
    data = table(tmp_path / "a.csv", ["few", "mostly_zero"], [1, 2, 7] * 20, paid)
    assert data.shape == (1, 3)  # between 1, 2 and 7, and 0 apart from all others
    rows = rows_of(data)
    assert rows.sum(0).tolist() == [40, 20, 10]


def test_cuts_are_of_training_rows(tmp_path: Path) -> None:
    for part, high in (("train", 100), ("test", 100_000)):
        rows = "\n".join(f"{i % 2},{each}" for i, each in enumerate(range(0, high, high // 50)))
        (tmp_path / f"{part}.csv").write_text("sex,dose\n" + rows)
    data = ImageData.from_path(tmp_path)
    dose = data.test.images[:, 1:]
    assert data.train.images[:, 1:].mean(0)[0] == pytest.approx(0.8, abs=0.03)
    assert dose.mean(0)[-1] > 0.9  # nearly all are beyond the training rows'


def test_parts_of_which_one_has_words(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("stage,age\n" + "1,30\nX,700\nX,31\n2,45\n2,9\n1,80\n" * 4)
    (tmp_path / "test.csv").write_text("stage,age\n" + "1,33\n2,70\n" * 4)
    data = ImageData.from_path(tmp_path)
    assert "1 of words, 1 of numbers" in data.understood
    assert len(data.test) == 8
    assert set(data.test.images[:, :3].sum(1).tolist()) == {1.0}
    (tmp_path / "test.csv").write_text("stage\n" + "1\n2\n" * 4)
    with pytest.raises(ValueError, match="1 columns of test rows, and 2 of training rows"):
        ImageData.from_path(tmp_path)


def test_what_is_not_known(tmp_path: Path) -> None:
    ages = [age if i % 10 else "?" for i, age in enumerate(AGES)]
    towns = [town if i % 6 else "" for i, town in enumerate(TOWNS)]
    data = table(tmp_path / "a.csv", ["age", "town"], ages, towns)
    rows = rows_of(data)
    assert data.shape == (1, 5 + 4)
    assert rows[:, 4].sum() == 6
    assert (rows[rows[:, 4] == 1][:, :4] == 0).all()
    assert rows[:, 5:].sum(0).min() == 10  # not known is a word as others


def test_columns_that_say_nothing(tmp_path: Path) -> None:
    names = [f"person {i}" for i in range(60)]
    data = table(tmp_path / "a.csv", ["name", "planet", "age"], names, ["Earth"] * 60, AGES)
    assert data.shape == (1, 4)
    assert data.understood.endswith("columns name, planet left out")


def test_pixels_beside_the_names_of_files(tmp_path: Path) -> None:
    pixels = DRAW.integers(0, 256, (60, 64))
    files = [f"{i}.png" for i in range(60)]
    header = ["FileName", *(f"p{i}" for i in range(64))]
    data = table(tmp_path / "a.csv", header, files, *pixels.T.tolist())
    assert data.shape == (8, 8)
    assert data.understood.endswith("column FileName left out")


def test_labels_without_names(tmp_path: Path) -> None:
    for columns in ((AGES, PAY, TOWNS), (TOWNS, AGES, PAY)):
        data = table(tmp_path / "a.csv", [], *columns)
        assert data.label_names == ("Bern", "Linz", "Ulm")
        assert data.shape == (1, 8)
    assert table(tmp_path / "a.csv", [], TOWNS, AGES, SMOKES).num_classes == 0  # either may be


def test_numbers_of_a_usual_range_stay_numbers(tmp_path: Path) -> None:
    def understood(rows: np.ndarray) -> str:
        np.save(tmp_path / "a.npy", rows)
        return ImageData.from_path(tmp_path / "a.npy").understood

    pixels = DRAW.integers(0, 256, (60, 7))
    pixels[0] = 255
    assert "rows of 7 numbers, 0 … 255 as 0 … 1;" in understood(pixels)
    assert "rows of 7 numbers, 0" in understood(pixels / 255)
    assert "0/1 for" not in understood(pixels / 255)
    assert "−1 being 0" in understood(pixels / 127.5 - 1)
    unlike = pixels.copy()
    unlike[:, 3:] //= 50  # 0 to 5 beside 255
    for rows in (unlike, pixels % 101, pixels % 13, DRAW.normal(size=(60, 7))):
        assert "0/1 for columns: 7 of numbers" in understood(rows)
    assert "0 … 199 as 0 … 1, 255 being 1" in understood(DRAW.integers(0, 200, (60, 64)))


def test_endings_of_old_tables(tmp_path: Path) -> None:
    for ending, count in (("tra", 40), ("tes", 20)):
        rows = DRAW.integers(0, 17, (count, 65))
        rows[:, -1] = np.arange(count) % 10
        np.savetxt(tmp_path / f"digits.{ending}", rows, "%d", ",")
    data = ImageData.from_path(tmp_path)
    assert (data.num_classes, len(data.test)) == (10, 20)
    assert data.shape == (8, 8)


def test_other_files_are_read_like_the_training_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cuts and words are the run's, whatever another file has; what that lacks is refused."""
    monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)
    header = ["town", "age", "pay"]
    table(tmp_path / "a.csv", header, TOWNS, AGES, PAY)
    run = tmp_path / "run"
    flags = ("--epochs", 1, "--batch-size", 20, "--hidden", 4, "--values", 3, "--device", "cpu")
    succeed("train", "--data", tmp_path / "a.csv", "--run-dir", run, *flags)
    reading = directmax.load(run).images.reading
    assert reading is not None
    write(tmp_path / "b.csv", header, ["Ulm", "Ulm"], [min(AGES), max(AGES)], [0.5, 1e6])
    other = read_path(tmp_path / "b.csv", like=reading).images["train"]
    assert other.tolist() == [[0, 0, 1] + [0] * 8, [0, 0, 1] + [1] * 8]
    out = tmp_path / "codes.npz"
    succeed("encode", run, tmp_path / "b.csv", "--output", out)
    assert np.load(out)["codes"].shape == (2, 1)
    both = tmp_path / "both"
    both.mkdir()
    for name in ("train", "test"):
        (both / f"{name}.csv").write_text((tmp_path / "a.csv").read_text())
    assert evaluate_run(run, data=str(both), device="cpu")
    for place, (names, *columns) in {
        "row 2, column 1 (town) holds what": (header, ["Ulm", "Rome"], [30, 30], [9, 9]),
        "expected one of 'Bern', 'Linz', 'Ulm'": (header, ["?", "Ulm"], [30, 30], [9, 9]),
        "row 1, column 2 (age) holds what": (header, ["Ulm", "Bern"], ["?", 30], [9, 9]),
        "row 2, column 3 (pay) holds 'x'": (header, ["Ulm", "Bern"], [9, 30], [9, "x"]),
        "'pay' as column 2": (["town", "pay", "age"], ["Ulm"], [9], [30]),
        "has 2 columns": (header[:2], ["Ulm"], [9]),
    }.items():
        write(tmp_path / "b.csv", names, *columns)
        assert place in refuse("encode", run, tmp_path / "b.csv", "--output", tmp_path / "x.npz")
        assert not (tmp_path / "x.npz").exists()


def test_the_same_bits_in_every_form(tmp_path: Path) -> None:
    """At a cut, too, whatever the type of the numbers is."""
    tenths = np.stack([DRAW.integers(0, 70, 60) / 10, np.arange(60.0)], 1)
    tenths[::2] = tenths[1::2]
    files = [tmp_path / name for name in ("a.csv", "b.npy", "c.npy", "d.csv")]
    write(files[0], ["a", "b"], *tenths.T.tolist())
    np.save(files[1], tenths)
    np.save(files[2], tenths.astype(np.float32))
    write(files[3], [], *tenths.T.tolist(), TOWNS)
    for one in files:
        found = read_path(one)
        for other in files[1:3] if one == files[3] else files[:3]:
            rows = read_path(other, like=found.reading).images["train"]
            assert (rows == found.images["train"]).all(), (one, other)
    days = [20240101 + i % 5 for i in range(60)]  # float32 has every second number there
    assert table(tmp_path / "a.csv", ["day"], days).shape == (1, 4)
    far = read_path(tmp_path / "b.npy", like=Reading(codes=(Code(cuts=(1e300,)), Code(cuts=(3,)))))
    np.save(tmp_path / "b.npy", tenths.astype(np.float32))
    again = read_path(tmp_path / "b.npy", like=far.reading)
    assert (again.images["train"] == far.images["train"]).all()


def test_what_other_files_hold(tmp_path: Path) -> None:
    """Of words that look like numbers, of what is not known, of columns that are left out."""
    kinds = ["01", "1234567", "X"] * 20
    names = [f"n{age} {i}" for i, age in enumerate(AGES)]
    ages = ["?", *AGES[1:]]
    write(tmp_path / "a.csv", ["kind", "age", "name"], kinds, ages, names)
    found = read_path(tmp_path / "a.csv")
    write(tmp_path / "b.csv", ["kind", "age", "name"], ["01", "1234567"], ["nan", AGES[1]], [7, 8])
    other = read_path(tmp_path / "b.csv", like=found.reading).images["train"]
    assert (other == found.images["train"][:2]).all()
    np.save(tmp_path / "b.npy", np.array([[1234567, np.nan, 0], [1234567, AGES[1], 0]]))
    other = read_path(tmp_path / "b.npy", like=found.reading).images["train"]
    assert (other[1] == found.images["train"][1]).all()
    assert (other[0, 3:] == found.images["train"][0, 3:]).all()
    write(tmp_path / "b.csv", ["kind", "age", "name"], ["01"] * 3, [9, "x", "x"], [1, "u", 2])
    with pytest.raises(DataError, match=r"row 2, column 2 \(age\) holds what the training rows"):
        read_path(tmp_path / "b.csv", like=found.reading)
    write(tmp_path / "b.csv", ["a", "age"], [1, 2], [9, "x"])
    with pytest.raises(DataError, match=r"row 2, column 2 \(age\) holds 'x'; expected a number"):
        read_path(tmp_path / "b.csv", like=Reading(low=0, high=255))
    write(tmp_path / "b.csv", ["kind", "age", "town", "name"], ["01"], [9], ["Ulm"], ["u"])
    with pytest.raises(DataError, match=r"4 columns, and the training rows 3 \(town in one alone"):
        read_path(tmp_path / "b.csv", like=found.reading)


def test_long_words_take_no_more_memory(tmp_path: Path) -> None:
    words = ["x" * 20_000, *["short", "no"] * 199, "no"] * 2
    write(tmp_path / "a.csv", ["text", "age"], words, range(800))
    tracemalloc.start()
    try:
        assert read_path(tmp_path / "a.csv").images["train"].shape == (800, 7)
        assert tracemalloc.get_traced_memory()[1] < 10e6  # 64 MB, as wide as the longest
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("rows", "few"),
    [
        (PIXELS, PIXELS[5:9]),  # rows of bytes, whose largest is lacking
        (PIXELS / 127.5 - 1, np.abs(PIXELS[5:9] / 127.5 - 1)),  # nothing below 0
        (2 * DRAW.random((60, 3)) - 1, np.array([[0.0, 1.0, 1.0]] * 2)),  # 0/1 by chance
        (PIXELS, np.array([[0, 1, 1, 0, 0, 0, 0]] * 2)),
        (DRAW.integers(0, 256, (60, 64)), DRAW.integers(0, 30, (3, 64))),  # dark ones
        (DRAW.integers(0, 65536, (60, 64)), DRAW.integers(0, 3000, (3, 64))),
    ],
)
def test_few_rows_do_not_change_the_range(
    rows: np.ndarray, few: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", np.concatenate([rows, few]))
    np.save(tmp_path / "b.npy", few)
    whole = read_path(tmp_path / "a.npy")
    found = read_path(tmp_path / "b.npy", like=whole.reading)
    assert np.allclose(found.images["train"], whole.images["train"][len(rows) :])


def test_numbers_of_two_values_are_not_cut_for_a_run_of_bits(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", DRAW.integers(0, 2, (60, 5)))
    reading = ImageData.from_path(tmp_path / "a.npy").reading
    np.save(tmp_path / "b.npy", DRAW.integers(1, 3, (60, 5)))
    with pytest.raises(DataError, match="from 1 to 2; expected 0/1"):
        read_path(tmp_path / "b.npy", like=reading)


def test_other_files_have_the_range_of_the_training_file(tmp_path: Path) -> None:
    shades = np.concatenate([DRAW.integers(0, 17, (40, 64)), np.full((1, 64), 16)])
    np.save(tmp_path / "a.npy", shades)
    reading = ImageData.from_path(tmp_path / "a.npy").reading
    np.save(tmp_path / "b.npy", np.full((3, 64), 8))
    assert read_path(tmp_path / "b.npy", like=reading).images["train"].max() == 0.5
    np.save(tmp_path / "b.npy", np.full((3, 64), 0.25))
    assert read_path(tmp_path / "b.npy", like=reading).images["train"].max() == 0.25
    np.save(tmp_path / "b.npy", np.full((3, 64), 30))
    with pytest.raises(DataError, match="from 30 to 30; the training rows have 0 … 16"):
        read_path(tmp_path / "b.npy", like=reading)
