"""The HTML and Markdown files: whole, self-contained, and nothing in them runs."""

from __future__ import annotations

import json
import re
import resource
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from report_folder import ReportFolder

from directmax.tool.config import TrainConfig
from directmax.tool.files import RunError
from directmax.tool.look.content import Chart, Figure, Series
from directmax.tool.look.figures import drawn, svg_file
from directmax.tool.look.palette import DARK, LIGHT
from directmax.tool.paper.report import Results, collect, write_report
from directmax.tool.paper.report.page import make_page
from directmax.tool.paper.report.write import write_pages


@pytest.fixture(scope="module")
def html(report: Path) -> str:
    return (report / "reproduction.html").read_text()


@pytest.fixture(scope="module")
def markdown(report: Path) -> str:
    return (report / "reproduction.md").read_text()


def test_the_page_needs_nothing_else(html: str) -> None:
    for attribute in re.findall(r'(?:src|href)="([^"]*)"', html):
        assert attribute.startswith(("#", "data:image/png;base64,")), attribute[:80]
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert "@import" not in html
    assert "<script" not in html


def test_links_lead_somewhere_and_names_are_unique(html: str) -> None:
    names = Counter(re.findall(r'\bid="?([\w.-]+)', html))
    assert not {name for name, count in names.items() if count > 1}
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert {"figure1", "table1", "figure2", "figure3", "table2", "figure4", "figure5"} <= targets
    assert targets <= set(names)


def test_errors_are_text(html: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in html


@pytest.mark.parametrize("page", ["html", "markdown"])
def test_both_pages_say_the_same(page: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(page)
    for expected in (
        "162.72 ± 0.07",  # direct on MNIST, k = 10
        "165.26",  # published
        "figure5 needs CelebA",
        "curves, read off the authors",
        "directmax reproduce all --scale smoke",
        "directmax train --data mnist",
        "2.13.0",
        "0123456789ab",
        "1 of 26 jobs failed",
        "Stopped early",
        "Learning rate",
        "variance of one gradient",
    ):
        assert expected in text, expected


def test_markdown_files_exist(markdown: str, report: Path) -> None:
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", markdown)
    assert len(links) == 5
    for link in links:
        assert (report / link).stat().st_size > 1000, link


def test_markdown_tables_are_rectangular(markdown: str) -> None:
    widths = []
    for line in markdown.splitlines():
        if line.startswith("|"):
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
        elif widths:
            assert len(set(widths)) == 1, line
            widths = []


def test_figures_are_whole_files_with_both_themes(report: Path) -> None:
    files = sorted((report / "figures").glob("*.svg"))
    assert [file.stem for file in files] == [
        "figure1", "figure2", "figure3-fashion-mnist-encoders", "figure3-fashion-mnist-estimators",
    ]  # fmt: skip
    for file in files:
        text = file.read_text()
        ElementTree.fromstring(text)
        assert "prefers-color-scheme:dark" in text
        assert "<text" in text  # text is text


def test_the_report_follows_from_its_results(report: Path) -> None:
    results = Results.from_dict(json.loads((report / "results.json").read_text()))
    assert make_page(results) == make_page(collect(report))


def test_a_reproduction_that_has_not_begun(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for item in ("figure1", "table1", "figure2", "figure3", "table2", "figure4"):
        kind = "gradients" if item == "figure1" else "train"
        settings = TrainConfig(data="mnist").resolve().to_dict()
        cell = {"data": "mnist", "values": 10, "labels": 100, "method": "direct", "seed": 0}
        folder.add([item], item, kind, settings, cell)
    write_report(folder.write())
    text = (folder.root / "reproduction.md").read_text()
    assert "Not finished: 6 of 6 jobs are still to be done" in text
    assert "| 10 | – (paper 165.26) |" in text
    assert "- time of all jobs: –" in text


def test_seeds_are_those_of_trainings(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for seed in (1, 2):
        made = TrainConfig(data="mnist", seed=seed).resolve()
        folder.training(["table1"], f"run-{seed}", made, 165.0, method="direct")
    cell = {"data": "mnist", "values": 10, "method": "em", "seed": 0}
    folder.add(["table1"], "em", "mixture", {"seed": 0}, cell)
    assert ("seeds", "2", "") in make_page(collect(folder.write())).status


def without_pictures(report: Path, root: Path) -> Path:
    """A copy in which only the run of figure 4 is done, so that the rest is soon drawn."""
    shutil.copytree(report, root)
    for state in (root / "jobs").glob("*/state.json"):
        if state.parent.name != "mixed":
            state.unlink()
    for picture in (root / "figures").glob("*.png"):
        picture.unlink()
    return root


def check_left_out(root: Path, why: str) -> None:
    """Both pages say why, and none shows a file that is not there."""
    for name in ("reproduction.html", "reproduction.md"):
        text = (root / name).read_text()
        assert f"No picture: {why}" in text
        assert ".png" not in text
        assert "data:image/png" not in text


def test_a_picture_that_cannot_be_drawn_is_left_out(report: Path, tmp_path: Path) -> None:
    root = without_pictures(report, tmp_path / "out")
    shutil.rmtree(root / "jobs" / "mixed" / "checkpoints")
    write_report(root)
    check_left_out(root, "jobs/mixed has no")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to"), "OutOfMemoryError: CUDA out of"),
        (PermissionError(13, "Permission denied"), "PermissionError: [Errno 13] Permission denied"),
    ],
)
def test_no_picture_costs_the_report(
    report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise error

    root = without_pictures(report, tmp_path / "out")
    monkeypatch.setattr("directmax.tool.run.finished.sample_run", fail)
    write_report(root)
    check_left_out(root, why)


def test_pages_without_pictures(report: Path, tmp_path: Path) -> None:
    """Results alone, such as those that are kept of a reproduction, come without them."""
    root = without_pictures(report, tmp_path / "out")
    write_pages(root, collect(root))
    check_left_out(root, "it was not drawn into this folder.")


def test_a_full_disk_is_one_line_and_breaks_no_file(report: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(report, root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write .*results\.json: File too large"):
            write_report(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_can_be_seen_and_words_read(colors: dict[str, str]) -> None:
    for name, color in colors.items():
        low, high = sorted((luminance(color), luminance(colors["page"])))
        contrast = (high + 0.05) / (low + 0.05)
        words = dict.fromkeys(("soft", "blue", "green", "vermillion"), 4.5)
        least = {"ink": 7.0, "grid": 1.1, "shade": 1.1, "page": 1.0, **words}.get(name, 3.0)
        assert contrast >= least, (name, contrast)


def test_colours_stay_apart_for_the_colour_blind() -> None:
    """Seen without red or green cones (Viénot, Brettel and Mollon 1999), by distance in CIELAB."""
    names = ("ink", "blue", "vermillion", "green", "orange", "purple", "sky")
    for colors in (LIGHT, DARK):
        for kind in ("protan", "deutan"):
            seen = {name: lab(simulated(colors[name], kind)) for name in names}
            for i, one in enumerate(names):
                for other in names[i + 1 :]:
                    distance = (
                        sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True))
                        ** 0.5
                    )
                    assert distance > 12, (kind, one, other, distance)


def simulated(color: str, kind: str) -> list[float]:
    """Linear RGB as seen with one kind of cones missing."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    if kind == "protan":
        return [0.11238 * r + 0.88762 * g, 0.11238 * r + 0.88762 * g, 0.00401 * r - 0.00401 * g + b]
    return [0.29275 * r + 0.70725 * g, 0.29275 * r + 0.70725 * g, -0.02234 * r + 0.02234 * g + b]


def lab(rgb: list[float]) -> tuple[float, float, float]:
    r, g, b = rgb
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_a_chart_without_numbers_is_drawn() -> None:
    empty = Chart("nothing", "epoch", "bound", (Series("a", (1.0,), (None,)),))
    figure = Figure("empty", "Nothing & <more>", (empty,))
    ElementTree.fromstring(svg_file(drawn(figure), figure.name, figure.title))
