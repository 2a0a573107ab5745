"""The report in a real browser: wide and on a phone, light and dark."""

from __future__ import annotations

import io
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


@pytest.fixture(scope="module", params=WINDOWS, ids=NAMES)
def page(
    request: pytest.FixtureRequest, browser: Browser, report: Path
) -> tuple[Browser, int, bool]:
    width, dark = request.param
    browser.open(report / "reproduction.html", width=width, dark=dark)
    return browser, width, dark


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_nothing_is_wider_than_the_window(page: tuple[Browser, int, bool]) -> None:
    browser, width, _ = page
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(OVERFLOWS) == []


def test_what_is_folded_fits_too(page: tuple[Browser, int, bool]) -> None:
    browser, width, _ = page
    browser.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(OVERFLOWS) == []
    words = browser.evaluate(CONTRASTS)["words"]
    assert len(words) > 900
    assert min(contrast for _, contrast, _, _ in words) >= 4.5
    browser.evaluate("document.querySelectorAll('details').forEach(e => { e.open = false; })")


def test_words_and_lines_stand_out(page: tuple[Browser, int, bool]) -> None:
    browser, _, _ = page
    found: dict[str, Any] = browser.evaluate(CONTRASTS)
    assert len(found["words"]) > 300
    assert len(found["lines"]) > 20
    for text, contrast, size, area in found["words"]:
        assert contrast >= 4.5, (text, contrast)
        assert size >= 7.5, (text, size)
        assert area > 0, text
    assert min(found["lines"]) >= 3.0


def test_the_theme_is_the_readers(page: tuple[Browser, int, bool]) -> None:
    browser, width, dark = page
    image = picture(browser.screenshot())
    assert image.width == width
    corner = sum(image.getpixel((2, 2)))  # type: ignore[arg-type]
    assert corner < 120 if dark else corner > 700


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_every_section_is_drawn(browser: Browser, report: Path, width: int, dark: bool) -> None:
    """No section is blank, and figures have their colours and sizes."""
    browser.open(report / "reproduction.html", width=width, dark=dark)
    names = browser.evaluate("[...document.querySelectorAll('section[id]')].map(e => e.id)")
    assert len(names) == 10
    for name in names:
        browser.evaluate(
            f"document.getElementById('{name}').scrollIntoView({{behavior: 'instant'}})"
        )
        image = picture(browser.screenshot())
        assert len(image.getcolors(1 << 24) or ()) > 40, name
    charts = browser.evaluate("document.querySelectorAll('.charts svg').length")
    assert charts == 4 + 4 + 4 + 4
    assert browser.evaluate(
        "[...document.querySelectorAll('.charts svg, .charts img')]"
        ".every(e => e.getBoundingClientRect().width > 250)"
    )


def test_nothing_else_is_asked_for(page: tuple[Browser, int, bool]) -> None:
    browser, _, _ = page
    assert browser.requests
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in browser.requests) == 1


def test_pages_of_a_phone_are_one_column(browser: Browser, report: Path) -> None:
    charts = "[...document.querySelectorAll('#figure2 .charts > div')]"
    places = f"new Set({charts}.map(e => e.offsetLeft)).size"
    browser.open(report / "reproduction.html", width=390, dark=False)
    assert browser.evaluate(places) == 1
    browser.open(report / "reproduction.html", width=1280, dark=False)
    assert browser.evaluate(places) == 2


@pytest.mark.parametrize("dark", [False, True])
def test_a_figure_by_itself_has_its_own_page_colour(
    browser: Browser, report: Path, dark: bool
) -> None:
    browser.open(report / "figures" / "figure2.svg", width=900, height=600, dark=dark)
    image = picture(browser.screenshot())
    corner = sum(image.getpixel((4, 4)))  # type: ignore[arg-type]
    assert corner < 120 if dark else corner > 700
    assert len(image.getcolors(1 << 24) or ()) > 50
