"""The reports in a real browser: wide and on a phone, light and dark."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, find_chromium
from PIL import Image

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")

WINDOWS = [(1280, False), (1280, True), (390, False), (390, True)]
NAMES = ["wide-light", "wide-dark", "phone-light", "phone-dark"]

CONTRASTS = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const cache = {};
  const rgba = color => {
    if (color in cache) return cache[color];
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return cache[color] = [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = color => {
    const [r, g, b] = rgba(color).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (rgba(color)[3] == 255) return color;
    }
    return "white";
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const words = [], lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), e = walker.currentNode.parentElement;
    if (!text || !e.checkVisibility() || e.closest("defs, style, metadata")) continue;
    const style = getComputedStyle(e), svg = e.closest("svg");
    const color = svg ? style.fill : style.color;
    const box = e.getBoundingClientRect();
    let size = parseFloat(style.fontSize);
    if (svg) size *= svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    words.push([text.slice(0, 40), contrast(color, behind(e)), size, box.width * box.height]);
  }
  for (const e of document.querySelectorAll(".charts path")) {
    const style = getComputedStyle(e);
    if (style.stroke == "none" || parseFloat(style.strokeWidth) < 1.5) continue;
    if (e.closest("defs") || !e.checkVisibility()) continue;
    lines.push(contrast(style.stroke, behind(e)));
  }
  return {words, lines};
})()
"""
OVERFLOWS = """
[...document.querySelectorAll("body *")].filter(e => {
  if (e.closest("svg, .wide, pre")) return false;
  const box = e.getBoundingClientRect();
  return e.checkVisibility() && (box.right > innerWidth + 1 || box.left < -1);
}).map(e => e.tagName + "." + e.className)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(report: Path) -> dict[str, Path]:
    """Both reports: of a reproduction, and of a run."""
    return {
        "reproduction": report / "reproduction.html",
        "run": report / "jobs" / "mixed" / "report.html",
    }


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def check_theme(image: Image.Image, dark: bool) -> None:
    corner = sum(image.getpixel((2, 2)))  # type: ignore[arg-type]
    assert corner < 120 if dark else corner > 700


def check_width(browser: Browser, width: int) -> None:
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(OVERFLOWS) == []


@pytest.mark.parametrize(("width", "dark"), WINDOWS, ids=NAMES)
@pytest.mark.parametrize(
    ("name", "words", "lines"), [("reproduction", 250, 20), ("run", 100, 4)], ids=["all", "run"]
)
def test_a_page_fits_and_can_be_read(
    browser: Browser,
    pages: dict[str, Path],
    name: str,
    words: int,
    lines: int,
    width: int,
    dark: bool,
) -> None:
    """In the reader's theme, without anything from elsewhere; what is folded fits too."""
    browser.open(pages[name], width=width, dark=dark)
    assert sum(url.startswith("file:") for url in browser.requests) == 1
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    image = picture(browser.screenshot())
    assert image.width == width
    check_theme(image, dark)
    check_width(browser, width)
    browser.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    check_width(browser, width)
    found: dict[str, Any] = browser.evaluate(CONTRASTS)
    assert len(found["words"]) > words
    assert len(found["lines"]) >= lines
    for text, contrast, size, area in found["words"]:
        assert contrast >= 4.5, (text, contrast)
        assert size >= 7.5, (text, size)
        assert area > 0, text
    assert min(found["lines"]) >= 3.0


@pytest.mark.parametrize("name", ["reproduction", "run"])
def test_a_page_is_for_everybody(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """Headings in order, a text for every picture, and what scrolls is reached by keyboard."""
    browser.open(pages[name], width=1280, dark=False)
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert browser.evaluate(
        "[...document.querySelectorAll('img')].every(e => e.alt) && "
        "[...document.querySelectorAll('svg:not([aria-hidden])')]"
        ".every(e => e.ariaLabel && e.getAttribute('role') == 'img') && "
        "[...document.querySelectorAll('.wide')].every(e => e.tabIndex == 0 && e.ariaLabel)"
    )
    assert browser.evaluate(
        "[...document.querySelectorAll('.charts svg, .charts img')]"
        ".every(e => e.getBoundingClientRect().width > 250)"
    )


@pytest.mark.parametrize(("width", "dark", "columns"), [(1280, False, 2), (390, True, 1)])
def test_every_section_is_drawn(
    browser: Browser, pages: dict[str, Path], width: int, dark: bool, columns: int
) -> None:
    """No section is blank, and charts stand side by side where there is room."""
    browser.open(pages["reproduction"], width=width, dark=dark)
    names = browser.evaluate("[...document.querySelectorAll('section[id]')].map(e => e.id)")
    assert len(names) == 10
    for name in names:
        browser.evaluate(
            f"document.getElementById('{name}').scrollIntoView({{behavior: 'instant'}})"
        )
        image = picture(browser.screenshot())
        assert len(image.getcolors(1 << 24) or ()) > 40, name
    charts = "[...document.querySelectorAll('#figure2 .charts > div')]"
    assert browser.evaluate(f"new Set({charts}.map(e => e.offsetLeft)).size") == columns


@pytest.mark.parametrize("dark", [False, True])
def test_a_figure_by_itself_has_its_own_page_colour(
    browser: Browser, report: Path, dark: bool
) -> None:
    browser.open(report / "figures" / "figure2.svg", width=900, height=600, dark=dark)
    image = picture(browser.screenshot())
    check_theme(image, dark)
    assert len(image.getcolors(1 << 24) or ()) > 50
