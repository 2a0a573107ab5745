"""The report is one page that needs nothing else; samples are pictures."""

from __future__ import annotations

import base64
import io
import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from command_line import TINY, read, refuse, succeed
from directmax.tool.config import TrainConfig
from directmax.tool.look.content import Cell
from directmax.tool.look.figures import chart_svg
from directmax.tool.run import pictures
from directmax.tool.run.progress import ConsoleProgress
from directmax.tool.run.tables import bound_table, training_note

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Checks that tags are closed, and collects references, identifiers, images and rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "srcset", "action"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with too many codes to show, and a sampled bound."""
    folder = tmp_path_factory.mktemp("many") / "run"
    succeed(*TINY, "--variables", "20", "--values", "2", "--eval-samples", "2", "--run-dir", folder)
    return folder


def test_it_needs_nothing_else(finished: Path, many: Path) -> None:
    for folder in (finished, many):
        text = (folder / "report.html").read_text()
        page = Page(text)
        assert all(re.match(r"data:image/png;base64,|#", ref) for ref in page.references)
        assert "@import" not in text
        assert "<script" not in text
        assert not re.search(r"url\((?!#)", text)
        assert len(page.ids) == len(set(page.ids)), "two figures share an identifier"
        assert len(text) < 500_000


KEYS = ("bound", "reconstruction", "kl", "nll", "amortized")


def test_what_it_shows(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    summary = read(finished / "summary.json")
    page = Page(text)
    for split in ("validation", "test"):
        numbers = [f"{summary[split][x]:.2f}" for x in KEYS]
        assert [split, *numbers] in page.rows
    config = read(finished / "config.json")["config"]
    shown = dict(row for row in page.rows if len(row) == 2)
    assert {name: shown[name] for name in ("data", "epochs", "seed")} == {
        name: str(config[name]) for name in ("data", "epochs", "seed")
    }
    changed = text[text.index("Configuration") : text.index("Settings that are the default")]
    assert ("hidden" in changed, "seed" in changed) == (True, False)
    assert "attributes" not in shown  # there are none
    assert [attributes["alt"] for attributes in page.images] == [
        "All 10 codes, decoded",
        "Validation images and their reconstructions",
    ]
    for attributes in page.images:
        data = base64.b64decode((attributes["src"] or "").partition(",")[2])
        assert Image.open(io.BytesIO(data)).format == "PNG"


def test_many_codes(many: Path) -> None:
    page = Page((many / "report.html").read_text())
    assert page.images[0]["alt"] == "60 random codes, decoded"
    assert "–" in next(row for row in page.rows if row[0] == "test")  # no −log p(x)


def test_a_name_with_html_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "<b>&run"
    succeed(*TINY, "--run-dir", folder)
    Page((folder / "report.html").read_text())


# Tables and lines


def test_accuracy_stands_beside_that_of_the_most_frequent_class() -> None:
    terms = dict.fromkeys(("bound", "reconstruction", "kl"), 1.0)
    how = {"nll": None, "num_samples": 10, "valid": True, "authors": None}
    confusion = [[60, 30], [2, 8]]
    table = bound_table({"test": {**terms, **how, "accuracy": 0.68, "confusion": confusion}})
    assert table.cells[0][-1] == Cell("68.00", "majority 90.00")


@pytest.mark.parametrize(("bound", "differs"), [(20.0, False), (20.004, False), (20.5, True)])
def test_a_bound_that_was_another_one_while_training_is_explained(
    bound: float, differs: bool
) -> None:
    summary = {"best_epoch": 2, "validation": {"bound": 20.0}}
    lines = [{"epoch": 1, "validation": {"bound": 30.0}}]
    lines.append({"epoch": 2, "validation": {"bound": bound}})
    note = training_note(summary, lines)
    assert bool(note) is differs
    assert ("20.50" in note) is differs


def test_what_is_prepared_is_seen_beside_the_bar() -> None:
    out = io.StringIO()
    progress = ConsoleProgress(Console(file=out, width=80, force_terminal=True))
    progress.start("digits", 9, 10)
    for share, words in ((0.5, "grouping images 50%"), (1.0, "epochs")):
        out.truncate(0)
        progress.preparing("grouping images", share)
        progress._bar.refresh()
        assert words in re.sub(r"\x1b\[[^m]*m", "", out.getvalue())
    progress.stop()


def test_what_the_library_logs_is_seen_while_it_trains() -> None:
    out = io.StringIO()
    progress = ConsoleProgress(Console(file=out, width=80, force_terminal=False))
    logger = logging.getLogger("directmax")
    logger.info("before")
    level = logger.level
    progress.start("digits", 9, 10)
    logger.info("compiling kernels")
    progress.stop()
    logger.info("after")
    assert out.getvalue().splitlines() == ["digits: 9 epochs of 10 steps", "compiling kernels"]
    assert not logger.handlers
    assert logger.level == level


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_line_shows_the_best_epochs_own_numbers(width: int) -> None:
    """With labels the best epoch has the best accuracy, and need not have the lowest bound."""
    out = io.StringIO()
    progress = ConsoleProgress(Console(file=out, width=width, force_terminal=width < 200))
    progress.start("digits", 200000, 10)
    progress.resumed([{"validation": {"bound": 30.0, "accuracy": 0.9}}] * 199998, 0)
    for epoch, (bound, accuracy) in enumerate(((20.11, 0.95), (18.25, 0.94)), start=199999):
        validation = {"bound": bound, "accuracy": accuracy}
        line = {"epoch": epoch, "train": {"bound": 19.0}, "validation": validation, "seconds": 1.0}
        progress.epoch(line, improved=epoch == 199999)
    progress.stop()
    last = re.sub(r"\x1b\[[^m]*m", "", out.getvalue())
    assert "…" not in last  # whole, also where there is little room
    assert ("validation 18.25 nats, 94.00% right" in last) == (width > 30)
    assert "200000/200000" in last
    if width == 200:
        assert "(best epoch: 20.11 nats, 95.00% right)" in last


# Samples


def test_sample_of_all_codes(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.png"
    arguments = ("--output", output, "--reconstructions", "0", "--columns", "5")
    assert succeed("sample", finished, *arguments).out == f"wrote {output}\n"
    with Image.open(output) as image:  # 2 rows of 5 images of 8×8 pixels, gap 2
        width, height = 5 * 10 + 2, 2 * 10 + 2
        assert image.size == (width * (900 // width), height * (900 // width))
        assert image.mode == "L"


def test_sample_with_reconstructions(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.PNG"
    succeed("sample", finished, "--output", output, "--reconstructions", "12", "--columns", "6")
    with Image.open(output) as image:  # 2 rows of codes, 2 × (originals + reconstructions)
        scale = 900 // (6 * 10 + 2)
        assert image.size == ((6 * 10 + 2) * scale, (22 + 4 * 12) * scale)


def test_random_codes_are_of_the_seed(many: Path, tmp_path: Path) -> None:
    contents = []
    for number, seed in enumerate((1, 1, 2)):
        path = tmp_path / f"{number}.png"
        succeed("sample", many, "--output", path, "--seed", seed, "--images", "7")
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--output", "x.jpg"), "--output must end in .png"),
        (("--output", "x"), "--output must end in .png"),
        (("--output", "none/x.png"), "the folder none does not exist"),
        (("--output", "folder.png"), "it is a folder"),
        (("--output", "x.png", "--images", "0"), "--images must be"),
        (("--output", "x.png", "--reconstructions", "-1"), "--reconstructions must be"),
        (("--output", "x.png", "--columns", "0"), "--columns must be"),
        (("--output", "x.png", "--seed", "-1"), "--seed must be at least 0, got -1"),
        (("--output", "x.png", "--seed", 10**40), "--seed must be at most"),
        (("--output", "x.png", "--device", "cuda:99"), "--device cuda:99 is not available"),
        ((), "--output"),
    ],
)
def test_samples_that_cannot_be_drawn(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    assert words in refuse("sample", finished, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


# Pictures


def test_tile() -> None:
    images = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.5, 0.0]])  # ink is 1
    picture = pictures.tile(images, (1, 2), columns=2)
    grey = pictures.PAPER_GREY
    assert picture.shape == (2 * 3 + 2, 2 * 4 + 2)
    assert picture[2].tolist() == [grey] * 2 + [255, 0] + [grey] * 2 + [0, 0] + [grey] * 2
    assert picture[5].tolist() == [grey] * 2 + [128, 255] + [grey] * 6


def test_pictures_of_different_widths_stand_one_above_the_other() -> None:
    picture = pictures.above(np.zeros((1, 3), np.uint8), np.zeros((2, 1), np.uint8))
    assert picture.shape == (3, 3)


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_curves(epochs: int) -> None:
    terms = {"bound": 3.0, "kl": 0.0}
    lines = [{"epoch": e + 1, "train": terms, "validation": terms} for e in range(epochs)]
    figure = pictures.training_curves(lines, 1, [lines, lines])
    assert [series.label for series in figure.legend()] == [
        "training", "validation", "validation, other starts", "best, epoch 1",
    ]  # fmt: skip
    for number, chart in enumerate(figure.charts):
        ElementTree.fromstring(chart_svg(chart, f"x-{number}"))


def test_curves_say_whose_codes_they_are_of() -> None:
    terms = {"bound": 3.0, "kl": 0.0}
    lines = [{"epoch": 1, "train": terms, "validation": terms}]

    def labels(**settings: Any) -> list[str]:
        parts = pictures.parts_of(TrainConfig(**settings).resolve())
        return [each.label for each in pictures.training_curves(lines, 0, parts=parts).legend()]

    assert labels(refine=False) == ["training", "validation"]
    assert labels() == ["training, the encoder's own", "validation, refined"]
    assert labels(variables=3) == ["training, where the search ends", "validation, refined"]


def test_usage_beside_a_learned_prior() -> None:
    usage = torch.tensor([[0.2, 0.7, 0.1]])
    text = pictures.usage_svg(usage, torch.tensor([[0.25, 0.6, 0.15]]))
    assert "learned prior" in text
    assert "uniform prior" in pictures.usage_svg(usage)


@pytest.mark.parametrize("shape", [(1, 2), (1, 300), (3, 4), (40, 2)])
def test_usage(shape: tuple[int, int]) -> None:
    text = pictures.usage_svg(torch.full(shape, 1 / shape[1]))
    ElementTree.fromstring(text)
    assert "var(--ink," in text
