"""Runs compared: groups over seeds, what differs, what is apart, the page and the file."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from run_folders import write_run

from command_line import refuse, succeed
from directmax.tool import compare_runs
from directmax.tool.compare.comparison import MEASURES, Part
from directmax.tool.compare.page import _limits
from directmax.tool.files import RunError
from directmax.tool.look.content import Series

VALIDATION = MEASURES[0]


def best(part: Part, name: str = "validation_bound") -> str | None:
    """The label of the group that is marked."""
    found = part.best(next(measure for measure in MEASURES if measure.name == name))
    return found and found.label


def test_groups_differ_by_more_than_the_seed(tmp_path: Path) -> None:
    for seed, bound in enumerate((10.0, 11.0, 12.0)):
        write_run(tmp_path / "runs" / f"a{seed}", bound, seed=seed)
        write_run(tmp_path / "runs" / f"b{seed}", bound + 1.5, seed=seed, estimator="exact")
    comparison = compare_runs([tmp_path / "runs", tmp_path / "runs" / "a0"])  # twice: once
    (part,) = comparison.parts
    assert comparison.notes() == []
    assert [(group.label, len(group.runs)) for group in part.groups] == [
        ("direct", 3),
        ("exact", 3),
    ]
    spread = part.groups[0].of(VALIDATION)
    assert spread is not None
    assert (spread.mean, spread.deviation) == (11.0, pytest.approx(1.0))
    assert "estimator" in part.differing
    assert not {"seed", "data", "epochs"} & set(part.differing)
    assert best(part) == "direct"  # ahead by 1.5, deviation 1
    assert best(part, "test_kl") is None


@pytest.mark.parametrize(("ahead", "marked"), [(0.9, None), (1.1, "direct")])
def test_best_is_ahead_by_more_than_the_deviation(
    tmp_path: Path, ahead: float, marked: str | None
) -> None:
    step = math.sqrt(0.5)  # of two numbers ± step the deviation is 1
    for seed, sign in enumerate((-1, 1)):
        write_run(tmp_path / f"a{seed}", 10 + sign * step, seed=seed)
        write_run(tmp_path / f"b{seed}", 10 + ahead + sign * 1e-3, seed=seed, estimator="exact")
    (part,) = compare_runs([tmp_path]).parts
    assert best(part) == marked


def test_nothing_is_best_of_single_seeds_or_of_machines_that_differ(tmp_path: Path) -> None:
    mixed = {"accuracy": 0.9, "model": "mixed", "labels": 50}
    write_run(tmp_path / "a0", 1.0, **mixed)
    write_run(tmp_path / "b0", 99.0, epochs=5, **mixed)
    (part,) = compare_runs([tmp_path]).parts
    assert {best(part, measure.name) for measure in MEASURES} == {None}
    write_run(tmp_path / "a1", 1.0, seed=1, **mixed)
    write_run(tmp_path / "b1", 99.0, epochs=5, seed=1, seconds=9.0, **mixed)
    summary = json.loads((tmp_path / "b1" / "summary.json").read_text())
    summary["machine"]["processor"] = "arm64"
    (tmp_path / "b1" / "summary.json").write_text(json.dumps(summary))
    (part,) = compare_runs([tmp_path]).parts
    assert not part.one_machine
    assert best(part, "seconds_per_epoch") is None


def test_what_is_not_comparable_is_apart_or_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 10.0)
    write_run(tmp_path / "b", 10.0, seed=1)
    write_run(tmp_path / "static", 1.0, binarize="static")
    write_run(tmp_path / "other", 1.0, data="mnist")
    write_run(tmp_path / "own", 1.0, images={"name": "mine", "sha256": "f" * 64})
    write_run(tmp_path / "unfinished", 1.0, finished=False)
    write_run(tmp_path / "damaged", 1.0)
    (tmp_path / "damaged" / "summary.json").write_text('{"test": 3}')
    comparison = compare_runs([tmp_path])
    assert [len(part.runs) for part in comparison.parts] == [2, 1, 1, 1]
    notes = {Path(note.split(": ")[0]).name: note for note in comparison.notes()}
    assert set(notes) == {"static", "other", "own", "unfinished", "damaged"}
    assert "--binarize static and not threshold" in notes["static"]
    assert "--data mnist and not digits" in notes["other"]
    assert "mine" in notes["own"]
    assert "--resume" in notes["unfinished"]
    with pytest.raises(RunError, match=r"summary\.json is damaged"):
        compare_runs([tmp_path / "damaged"])


def test_settings_that_tell_groups_apart_are_in_their_labels(tmp_path: Path) -> None:
    for values in (10, 20):
        for estimator in ("direct", "exact"):
            write_run(tmp_path / f"{values}{estimator}", 1.0, values=values, estimator=estimator)
    (part,) = compare_runs([tmp_path]).parts
    labels = {group.label for group in part.groups}
    assert labels == {f"values {k}, {e}" for k in (10, 20) for e in ("direct", "exact")}


def test_the_page_and_the_file(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / "runs" / f"a<b>{seed}", 10.0 + seed, seed=seed)
        write_run(tmp_path / "runs" / f"c{seed}", 20.0 + seed, seed=seed, values=20)
    page, file = tmp_path / "page.html", tmp_path / "numbers.csv"
    text = succeed("compare", tmp_path / "runs", "--output", page, "--csv", file).out
    assert "10.50 ± 0.71" in text
    assert f"page: {page}" in text
    html = page.read_text()
    assert html.count("<svg id=") == 2  # by epoch, by time
    assert "a&lt;b&gt;0" in html
    assert "a<b>" not in html
    assert not any(word in html for word in ("<script", "<link", 'src="http', "@import"))
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["values"], row["seed"]) for row in rows] == [
        ("10", "0"), ("10", "1"), ("20", "0"), ("20", "1"),
    ]  # fmt: skip
    assert float(rows[3]["validation_bound"]) == 21.0


def test_bad_input(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "unfinished", 1.0, finished=False)
    for name, message in (
        ("nowhere", "does not exist"),
        ("file", "is a file"),
        ("empty", "holds no run"),
        ("unfinished", "no finished run to compare"),
    ):
        assert message in refuse("compare", tmp_path / name, "--output", page)
    assert "needs run folders" in refuse("compare", "--output", page)
    assert not page.exists()
    write_run(tmp_path / "a", 1.0)
    assert "cannot write" in refuse(
        "compare", tmp_path / "a", "--output", tmp_path / "no" / "x.html"
    )
    with pytest.raises(TypeError, match="list of folders"):
        compare_runs(str(tmp_path))


def test_a_curve_is_seen_from_its_middle_on() -> None:
    """A run that falls to its end is more than a line at the right edge."""
    falling = [60.0 - 2 * epoch for epoch in range(20)]
    low, high = _limits([Series("it", list(range(20)), falling)])
    assert low < falling[-1]
    assert high >= falling[10]
