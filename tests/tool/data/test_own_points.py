"""Tables with decimal commas: what a point means there. Wide tables: the time of looking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from directmax.tool.data import DataError
from directmax.tool.data.own.read import read_path
from directmax.tool.data.own.written import written_table


def test_points_between_thousands_are_refused(tmp_path: Path) -> None:
    """1.250 was read as less than 999."""
    path = tmp_path / "a.csv"
    rows = ["1,5;999", "2,5;1.250", "3,5;12.500"] * 5
    path.write_text("\n".join(["a;b", *rows]))
    with pytest.raises(DataError, match=r"has decimal commas, and '1\.250' in column 2"):
        read_path(path)
    for other in ("1.25", "0.125"):  # of which some are decimal points
        path.write_text("\n".join(["a;b", *rows, f"1,5;{other}"]))
        assert "numbers cut" in read_path(path).text
    path.write_text("\n".join(["a;b", *[row.replace(",", ".") for row in rows]]))
    assert "numbers cut" in read_path(path).text


def test_a_wide_table_is_looked_at_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the words of the header was sought for in each row, in Python."""

    class Row(list[str]):
        looked = 0

        def __getitem__(self, index: Any) -> Any:
            Row.looked += 1
            return super().__getitem__(index)

    from directmax.tool.data.own import written

    plain = written.fields
    monkeypatch.setattr(written, "fields", lambda *given: Row(plain(*given)))
    header = ",".join(f"w{i}" for i in range(50))
    data = "\n".join([header, *[",".join("01" * 25)] * 20]).encode()
    assert written_table(tmp_path / "a.csv", data).header[:2] == ["w0", "w1"]
    assert Row.looked < 100
    again = "\n".join([header, *[",".join("01" * 25)] * 20, header.replace("w3,", "w0,")]).encode()
    assert not written_table(tmp_path / "a.csv", again).header


def test_commas_in_quotes_are_between_thousands_or_decimal(tmp_path: Path) -> None:
    """Their columns were taken for words, and left out where these were many."""
    path = tmp_path / "a.csv"
    people = [f"{137 * i * i:,}" for i in range(1, 101)]
    plain = "\n".join(
        ["city,people", *(f"c{i},{each.replace(',', '')}" for i, each in enumerate(people))]
    )
    path.write_text(plain)
    expected = read_path(path)
    path.write_text(
        "\n".join(["city,people", *(f'c{i},"{each}"' for i, each in enumerate(people))])
    )
    found = read_path(path)
    assert "commas in quotes left out" in found.notes
    assert (found.images["train"] == expected.images["train"]).all()
    assert found.number_names == expected.number_names
    table = written_table(path, b'a,b\n"1,250","2,5"\n"3,125","10,25"\n')
    assert table.lines == ["1.250,2.5", "3.125,10.25"]
    assert table.notes == ["commas in quotes read as decimal points"]
    ends = written_table(path, 'a,b\n"1,250",x\u2028y\n"2,500",z\n'.encode())
    assert ends.lines == ["1250,x\u2028y", "2500,z"]  # a label may have another line end
    words = b'a,b\n"1,2,3",x\n"4,5",y\n"Bern, old",z\n'
    assert written_table(path, words).notes == []
