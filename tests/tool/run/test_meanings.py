"""What values stand for, in the report of a run on a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import succeed
from directmax.tool.data import ImageData
from directmax.tool.run.meanings import NUM_VALUES, meanings


def test_names_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("town,wet,age,\n" + "Ulm,no,1,7\nBern,yes,?,7\nLinz,no,30,8\n" * 9)
    names = ImageData.from_path(path).number_names
    towns = ("town = Bern", "town = Linz", "town = Ulm")
    assert names == (*towns, "wet = yes", "age ≥ 30", "age unknown", "column 4 ≥ 8")
    path.write_text("a,b\n" + "0,1\n1,0\n" * 9)
    assert ImageData.from_path(path).number_names == ("a", "b")
    np.save(tmp_path / "a.npy", np.eye(20))
    assert ImageData.from_path(tmp_path / "a.npy").number_names == ()


def test_the_most_frequent_values_of_one_variable() -> None:
    draw = torch.Generator().manual_seed(0)
    codes = torch.randint(200, (5000, 1), generator=draw)
    codes[:2000] = 7
    rows = torch.zeros(5000, 3)
    rows[:2000, 1] = 1
    table = meanings(codes, rows, ["a", "b", "c"], 200)
    assert table.rows[0] == ["7", "40.4", "b 99 % (40)"]
    assert len(table.rows) == NUM_VALUES
    assert "140 more values are left out" in table.note
    assert meanings(codes, rows * 0, ["a", "b", "c"], 200).rows[0][2] == "as all"


def test_several_variables_and_classes() -> None:
    codes = torch.tensor([[0, 1], [0, 0], [1, 1], [1, 0]])
    rows = codes.double()
    told = {row[0]: row[2] for row in meanings(codes, rows, ["p", "q"], 2).rows}
    assert told["z1 = 1"] == "p 100 % (50)"
    assert told["z2 = 0"] == "q 0 % (50)"
    named = meanings(codes[:, :1], rows, ["p", "q"], 2, ("no", "yes"))
    assert [row[0] for row in named.rows] == ["no", "yes"]
    more = meanings(codes[:, :1] + 1, rows, ["p", "q"], 3, ("no", "yes"))  # than there are classes
    assert [row[0] for row in more.rows] == ["yes", "2"]


@pytest.mark.parametrize("flags", [("--values", "3"), ("--model", "mixed", "--labels", "6")])
def test_a_report(flags: tuple[str, ...], tmp_path: Path) -> None:
    lines = [f"{'ab'[i % 2]},{i % 2},{7 * i % 50},<b>{i % 3}" for i in range(60)]
    (tmp_path / "a.csv").write_text("class,on,age,<tag>\n" + "\n".join(lines))
    small = ("--epochs", "2", "--hidden", "4", "--device", "cpu", "--run-dir", tmp_path / "run")
    succeed("train", "--data", tmp_path / "a.csv", *small, *flags)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "what the values of z stand for" in page
    assert "<tag>" not in page
