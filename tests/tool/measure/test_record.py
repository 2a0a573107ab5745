"""Records: whole after every row, continued, and refused when anything in them is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from directmax.tool.files import RunError
from directmax.tool.measure.record import Record, read_record


@dataclass(frozen=True)
class Part:
    """A part of a row."""

    value: float


@dataclass(frozen=True)
class Row:
    """Fields of every kind that rows have."""

    name: str
    count: int
    exact: bool
    step: float | Literal["auto"] | None
    part: Part
    words: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        return cls(**{**values, "part": Part(**values["part"]), "words": tuple(values["words"])})


ROWS = [
    Row("one", 1, True, 0.5, Part(1.0)),
    Row("two", 2, False, "auto", Part(2), ("a", "b")),
    Row("three", 3, True, None, Part(3.5)),
]


def record(path: Path | None, *, resume: bool = False, **configuration: Any) -> Record:
    return Record(path, Row, {"seed": 0, **configuration}, {"machine": "this"}, resume=resume)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "record.json"


def test_whole_after_every_row_and_continued(path: Path) -> None:
    first = record(path)
    first.summary = {"norm": 2.0}
    assert not path.exists()
    for number, row in enumerate(ROWS[:2], 1):
        first.add(row)
        assert len(read_record(path)["rows"]) == number
    again = record(path, resume=True)
    assert again.rows == ROWS[:2]
    again.add(ROWS[2])
    assert record(path, resume=True).rows == ROWS
    content = json.loads(path.read_text())
    assert (content["configuration"], content["machine"]) == ({"seed": 0}, "this")
    assert [entry.name for entry in path.parent.iterdir()] == ["record.json"]


def test_without_a_path_nothing_is_kept(tmp_path: Path) -> None:
    nowhere = record(None)
    nowhere.add(ROWS[0])
    assert nowhere.to_dict()["rows"] == [ROWS[0].to_dict()]
    assert list(tmp_path.iterdir()) == []


def test_refused_to_overwrite_or_to_mix(path: Path) -> None:
    record(path).add(ROWS[0])
    before = path.read_bytes()
    with pytest.raises(RunError, match="exists: add --resume"):
        record(path)
    with pytest.raises(RunError, match="another configuration: seed, draws differ"):
        record(path, resume=True, seed=1, draws=3)
    with pytest.raises(RunError, match="does not exist"):
        record(path.with_name("none.json"), resume=True)
    assert path.read_bytes() == before


def shapes() -> list[str]:
    """Files that are valid JSON, or nearly, of another shape."""
    whole = {"configuration": {"seed": 0}, "rows": []}
    good = ROWS[0].to_dict()
    rows: list[Any] = [3, "rows", {}, [3], [[]], ["row"], [None], [{}], [{"name": "one"}]]
    rows += [[{**good, "more": 1}]]
    for name, wrong in (
        ("name", 1),
        ("count", 1.5),
        ("count", True),
        ("exact", 1),
        ("step", "tiny"),
        ("step", False),
        ("part", {"value": "x"}),
        ("part", [1]),
        ("words", 3),
        ("words", [1]),
    ):
        rows.append([{**good, name: wrong}])
    texts = ["", "3", "[1]", "{}", "nul", "[" * 100_000, '{"a":' * 100_000, "\udcff"]
    texts += [json.dumps({**whole, "configuration": value}) for value in (None, [1], "x")]
    return texts + [json.dumps({**whole, "rows": value}) for value in rows]


@pytest.mark.parametrize("text", shapes(), ids=range(len(shapes())))
def test_any_other_shape_is_one_line(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match="damaged") as caught:
        record(path, resume=True)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(RunError, match="no regular file"):
        record(path, resume=True)
    with pytest.raises(RunError, match="cannot read"):
        record(path.parent, resume=True)


def test_a_file_in_the_place_of_the_folder(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(RunError, match="cannot write"):
        record(path).add(ROWS[0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(path: Path) -> None:
    path.parent.mkdir(mode=0o500)
    with pytest.raises(RunError, match="cannot write"):
        record(path).add(ROWS[0])
