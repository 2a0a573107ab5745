"""The reports in a real browser: wide and on a phone, light and dark."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from browser import Browser, find_chromium
from page_checks import CONTRASTS, NAMES, WINDOWS, check_theme, check_width, picture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def pages(report: Path) -> dict[str, Path]:
    """Both reports: of a reproduction, and of a run."""
    return {
        "reproduction": report / "reproduction.html",
        "run": report / "jobs" / "mixed" / "report.html",
    }


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


@pytest.mark.parametrize(
    ("width", "dark", "columns"),
    [(1280, False, 2), pytest.param(390, True, 1, marks=pytest.mark.slow)],
)
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
