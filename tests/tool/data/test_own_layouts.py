"""How tables are written: first lines, what stands between columns, quotes; others like them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from directmax.tool.data import DataError, ImageData
from directmax.tool.data.own.read import Understood, read_path
from directmax.tool.data.own.reading import Reading
from directmax.tool.data.own.written import column_of, written_table

DRAW = np.random.default_rng(0)
AGES = DRAW.integers(18, 90, 60).tolist()
TOWNS = ["Ulm", "Bern", "Linz"] * 20
ROWS = [f"{town},{age}" for town, age in zip(TOWNS, AGES, strict=True)]
COUNTED = "0/1 for columns: "


def read(path: Path, *lines: str, like: Reading | None = None) -> Understood:
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_path(path, like=like)


def same(one: Understood, other: Understood, count: int) -> bool:
    """Whether the first rows of one are all of the other."""
    return one.images["train"][:count].tolist() == other.images["train"].tolist()


def test_first_rows_of_other_tables_are_no_names(tmp_path: Path) -> None:
    """Nor is a column of classes taken for one of the rows, however few there are."""
    whole = read(tmp_path / "a.csv", *ROWS)
    assert whole.text.endswith("3 classes (Bern, Linz, Ulm)")
    mixed = [f"{i % 2},{row},{i % 3}" for i, row in enumerate(ROWS)]
    unlabelled = read(tmp_path / "c.csv", *mixed)
    for count in (1, 2, 3):
        few = read(tmp_path / "b.csv", *ROWS[:count], like=whole.reading)
        assert same(whole, few, count)
        alone = [row.split(",")[1] for row in ROWS[:count]]
        assert same(whole, read(tmp_path / "b.csv", *alone, like=whole.reading), count)
        few = read(tmp_path / "b.csv", *mixed[:count], like=unlabelled.reading)
        assert same(unlabelled, few, count)
    with pytest.raises(DataError, match=r"row 1, column 2 holds 'age'; expected a number"):
        read(tmp_path / "b.csv", "town,age", *ROWS, like=whole.reading)


def test_classes_of_pictures_stay_where_they_are(tmp_path: Path) -> None:
    rows = np.c_[np.arange(40) % 10, DRAW.integers(0, 256, (40, 64))]
    lines = [",".join(map(str, row)) for row in rows]
    whole = read(tmp_path / "a.csv", *lines)
    few = read(tmp_path / "b.csv", *lines[:3], like=whole.reading)
    assert same(whole, few, 3)
    lines = [line.split(",", 1)[1] for line in lines[:3]]
    assert same(whole, read(tmp_path / "b.csv", *lines, like=whole.reading), 3)


def test_parts_have_the_same_columns(tmp_path: Path) -> None:
    def understood(train: list[str], test: list[str]) -> str:
        for name, lines in (("train", train), ("test", test)):
            (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        return ImageData.from_path(tmp_path).understood

    with pytest.raises(DataError, match=r"test\.csv has 'age' as column 1, and the training rows"):
        understood(["town,age", *ROWS], ["age,town", "30,Ulm", "40,Bern"])
    with pytest.raises(DataError, match=r"has 'Ulm' as column 1, and the training rows 'town'"):
        understood(["town,age", *ROWS], ["Ulm,30", "Bern,40"])
    labelled = [f"{row},{1 + i % 2}" for i, row in enumerate(ROWS)]
    assert "62 rows" in understood(labelled, ["Ulm,30,1", "Bern,40,2"])
    odd = [f"{row},{'X' if i % 9 == 0 else 1 + i % 2}" for i, row in enumerate(ROWS)]
    said = understood(["town,age,label", *odd], ["town,age,label", "Ulm,30,1", "Bern,40,2"])
    assert "; 3 classes (1, 2, X);" in said


def test_what_stands_between_columns(tmp_path: Path) -> None:
    def text(*lines: str) -> str:
        found = read(tmp_path / "a.csv", *lines)
        return "; ".join([found.text, *found.notes])

    assert "10 rows of 3 numbers" in text("name,notes,age", *['x,"a;b",3', 'y,"c;d",400'] * 5)
    late = text("a;b", "1;2", *["1,5;2", "7;300"] * 6)
    assert f"13 rows of 3 numbers, {COUNTED}1 of two numbers, 1 of numbers" in late
    assert "commas read as decimal points" in late
    words = read(tmp_path / "a.csv", "a;b", *["1,5;Ulm, old", "9;Bern", "9;Linz"] * 6)
    assert words.reading.codes[1].words == ("Bern", "Linz", "Ulm, old")
    ends = text("a,b,label", *["1,2,x,", "3,40,y,", "5,600,x,"] * 5)
    assert "15 rows of 4 numbers" in ends
    assert "2 classes (x, y)" in ends
    assert "20 rows of 6" in text("1,2,", "3,400,", *["5,6,7", "5,6,8"] * 9)
    assert "15 rows of 4" in text("a\tb\t", *["1\t200\t", "2\t300\t", "7\t1\t"] * 5)
    assert "4 rows of 4" in text("a\tb", "1\t2", "\t", "300\t4", "1\t2")
    assert "10 rows of 5" in text(
        "n, name", *['1, "Smith, J"', '2, "Roe, K"', '9, "x"'] * 3, '1, "x"'
    )
    assert "4 rows of 3" in text(
        '"town" "n"', *['"New York" 2', '"Ulm" 4', '"New York" 9', '"Ulm" 4']
    )
    assert "15 rows of 5" in text("colour,n", *["#ff0000,1", "red,300", "#00ff00,5"] * 5)
    assert "2 rows of 2" in text("# of 1999, by me", "a,b", "1,2", "300,4", "# the, end, yes")


def test_first_lines(tmp_path: Path) -> None:
    def notes(*lines: str) -> str:
        found = read(tmp_path / "a.csv", *lines)
        return "; ".join([found.text, *found.notes])

    odd = notes("kim,30,5.5", "eve,31,600", "ann,40,7", "tom,50,9")
    assert "the first line (kim, 30, 5.5) taken for names of columns" in odd
    assert "taken for names" not in notes("label,0,1", "1,5,600", "0,40,7", "1,50,9", "0,5,5")
    assert "3 rows" in notes(",0,1", "0,3,400", "1,6,7", "2,6,8")
    assert "5 rows" in notes(",42", "3,5", "3,400", "4,40", "7,1")  # no names, as 3 comes twice
    assert "column 1 left out" in notes('"a","b"', '"1",2,300', '"2",3,4', '"3",3,9')  # of R
    with pytest.raises(DataError, match="2 names of columns and 3 columns"):
        notes("a,b", "u,2,300", "u,3,4", "v,3,9")


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (
            ["a,label", "1,x", "300,y", '7,"x', "8,y"],
            "quote that is not closed in its line '7,\"x'",
        ),
        (["a,b,label", "1,200,x", "3,4,5,y", "4,5,y"], "row 2 has 4 columns and row 1 3"),
        (["a,label", "1,u", "3", "4,u"], "row 2 has 1 column and row 1 2"),
        (["a", "1_2", "13", "13", "4"], "holds '1_2'; expected a number"),
        (["id,label,a", "7,x,1", "8,y,2", "9,x,two"], r"row 3, column 3 \(a\) holds 'two'"),
        (["u,5,7", "v,6,900"] * 9 + ["u,7,x"], "row 19, column 3 holds 'x'"),
        (
            ["a,split", *["1,test", "2,train", "5,train"] * 9, "two,test"],
            r"a\.csv: row 28, column 1 \(a\) holds 'two'",
        ),
    ],
)
def test_refused(lines: list[str], named: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=named):
        read(tmp_path / "a.csv", *lines)


def test_column_of_labels_is_named(tmp_path: Path) -> None:
    text = read(tmp_path / "a.csv", "x,y", "1,2.5", "300,2.5", "4,1.5").text
    assert "labels (column y) left out, as they are no whole numbers" in text


def test_numbers_beside_words_for_classes(tmp_path: Path) -> None:
    """Without a header, too, they stay numbers, and pictures pictures."""
    rows = DRAW.integers(0, 256, (60, 64))
    lines = [",".join([*map(str, row), town]) for row, town in zip(rows, TOWNS, strict=True)]
    assert "60 grey images of 8×8" in read(tmp_path / "a.csv", *lines).text
    lines = [
        f"{each},{0.5 * each},{town}" for each, town in zip(DRAW.random(60), TOWNS, strict=True)
    ]
    assert COUNTED not in read(tmp_path / "a.csv", *lines).text


def test_a_single_row_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones((1, 64)))
    with pytest.raises(DataError, match=r"\(1, 64\) float64, a single row where each image is one"):
        read_path(tmp_path / "one.npy")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_fields_in_quotes_may_go_on_in_the_next_lines(delimiter: str, tmp_path: Path) -> None:
    """As pandas writes them, also in the names of columns, with quotes of their own."""
    rows = [["town", "of the\nmayor", "people"]]
    for i in range(40):
        said = [f'"{i % 3}",\n\nand; \'x\t', "plain", "a\r\nb"][i % 3]
        rows.append([TOWNS[i], said, str(AGES[i])])
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path = tmp_path / "a.csv"
    found = written_table(path, text.getvalue().encode())
    assert found.header == ["town", "of the mayor", "people"]
    assert column_of(found, 1) == [" ".join(row[1].split()) for row in rows[1:]]
    assert column_of(found, 2) == [row[2] for row in rows[1:]]
    assert found.notes == ["line ends in quotes read as blanks"]
