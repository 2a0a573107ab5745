"""The page in a real browser: what clicks and keys give is what the library computes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explored import Explored
from PIL import Image
from torch import Tensor

from browser import Browser, find_chromium
from directmax.tool.explore.model import codes_of, decoded
from directmax.tool.run.codes import inferred
from page_checks import CONTRASTS, NAMES, WINDOWS, check_theme, check_width, picture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed"),
]

HOSTILE = "</script><img src=x onerror=alert(1)>{{ 7*7 }}"


class Page:
    """A page that is open, beside the model that it is of."""

    def __init__(self, browser: Browser, kind: str, folder: Path, **names: str) -> None:
        self.browser, self.explored = browser, Explored.of(kind, **names)
        browser.open(self.explored.page(folder), width=1280, dark=False)
        self.ready()

    def ready(self) -> None:
        """Small images are there."""
        self.browser.wait_for("document.querySelector('#nearest').children.length > 0")

    def ask(self, name: str) -> Any:
        """A part of the page's state."""
        return self.browser.evaluate(
            f"ArrayBuffer.isView(state.{name}) ? [...state.{name}] : state.{name}"
        )

    def numbers(self, name: str) -> Tensor:
        return torch.tensor(self.ask(name), dtype=torch.float32)

    def check_decoded(self) -> None:
        """What is shown is what the library makes of the code."""
        values, gaussian = self.numbers("values").long(), self.numbers("gaussian")
        expected = decoded(self.explored.model, values[None], gaussian[None])[0]
        assert (self.numbers("decoded") - expected).abs().max() < 1e-4
        shown = self.browser.evaluate(
            "[...element('decoded').getContext('2d')"
            ".getImageData(0, 0, width, height).data].filter((_, i) => i % 4 == 0)"
        )
        first = expected[: len(shown)]
        grey = first if len(shown) < len(expected) else 1 - first  # ink is dark
        assert (torch.tensor(shown) - 255 * grey).abs().max() <= 1

    def check_found(self) -> None:
        """What was found in the image is what the library finds in it."""
        pixels, model = self.numbers("pixels"), self.explored.model
        codes = codes_of(model, pixels[None])
        values = json.dumps(codes.values[0].tolist(), separators=(",", ":"))
        # What was drawn is encoded in the next frame.
        self.browser.wait_for(f"JSON.stringify([...state.found.values]) === {values!r}")
        found = self.ask("found.gaussian")
        assert torch.allclose(torch.tensor(found), codes.gaussian[0], atol=1e-4)
        unit: Any = pixels[None]
        if self.explored.config.model == "attributes":
            q = model.encoder.classify(unit.unflatten(-1, model.encoder.shape))  # type: ignore
        else:
            q = inferred(model, unit)
        shares = torch.tensor(self.ask("found.probabilities"))
        assert (shares - q.marginals()[0]).abs().max() < 1e-4

    def check_nearest(self) -> None:
        """The fewest differing variables, then the most alike."""
        told = self.browser.evaluate("told.codes")
        code = self.ask("values")
        distances = [sum(a != b for a, b in zip(each, code, strict=True)) for each in told]
        found = self.browser.evaluate("nearest().map(({distance}) => distance)")
        assert found == sorted(distances)[: len(found)]


@pytest.mark.parametrize(
    "kind", ["several", "conv", "resnet", "dropout", "attributes", "calibrated"]
)
def test_an_image_is_encoded_changed_and_decoded(
    browser: Browser, tmp_path: Path, kind: str
) -> None:
    page = Page(browser, kind, tmp_path)
    browser.click("#images button:nth-child(3)")
    assert page.ask("chosen") == 2
    page.check_found()
    page.check_decoded()
    before = page.ask("values")
    assert page.ask("found.values") == before
    if browser.evaluate("binary"):
        browser.click("#variable-1")
        assert page.ask("values") == [before[0], 1 - before[1], *before[2:]]
        browser.press(" ")  # it has the focus
        assert page.ask("values") == before
        browser.press(" ")
    else:
        browser.evaluate("element('variable-0').focus()")
        browser.press("ArrowRight" if before[0] == 0 else "ArrowLeft")
        assert page.ask("values") == [abs(before[0] - 1), *before[1:]]
    page.check_decoded()
    page.check_nearest()
    assert "Changed" in browser.evaluate("element('found').textContent")
    if page.explored.config.gaussian:
        code = page.ask("gaussian")
        browser.evaluate("document.querySelector('#dimensions input').focus()")
        browser.press("ArrowRight", "ArrowRight")
        assert sum(a != b for a, b in zip(page.ask("gaussian"), code, strict=True)) == 1
        page.check_decoded()
    browser.click("#restore")
    assert page.ask("values") == before


def test_a_change_is_chosen_among_small_images(browser: Browser, tmp_path: Path) -> None:
    """By mouse, and with the arrow keys among them; nearest images can be encoded."""
    page = Page(browser, "one", tmp_path)
    browser.wait_for("document.querySelectorAll('#changes button').length == 7")
    browser.click("#changes button:nth-child(6)")
    assert page.ask("values") == [5]
    page.check_decoded()
    browser.wait_for("document.querySelector('#changes [aria-pressed=true]').title == 'z 5'")
    browser.press("ArrowLeft", "ArrowLeft", "Enter")
    assert page.ask("values") == [3]
    assert browser.evaluate("document.querySelectorAll('#changes [tabindex=\"0\"]').length") == 1
    first = browser.evaluate("nearest()[0].index")
    browser.wait_for(f"document.querySelector('#nearest button').title == nameOf({first})"
                     " || document.querySelector('#nearest button').title.startsWith("
                     f"nameOf({first}))")  # fmt: skip
    browser.click("#nearest button")
    assert page.ask("chosen") == first
    page.check_found()


def test_drawing_by_mouse_and_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    page = Page(browser, "several", tmp_path)
    browser.click("#clear")
    assert page.numbers("pixels").sum() == 0
    browser.drag("#image", [(0.2, 0.2), (0.5, 0.6), (0.8, 0.2)])
    browser.wait_for("state.chosen < 0 && state.found.values && state.title == 'Your image'")
    pixels = page.numbers("pixels").view(9, 7)
    assert 4 <= pixels.sum() < 40
    assert pixels[-2:].sum() == 0
    page.check_found()
    page.check_decoded()
    browser.click("#clear")
    browser.evaluate("element('image').focus()")
    browser.press("ArrowUp", " ")
    browser.wait_for("state.pixels.some(value => value > 0)")
    assert page.numbers("pixels").view(9, 7)[3, 3] == 1
    browser.press("Backspace")
    browser.wait_for("state.pixels.every(value => value == 0)")
    page.check_found()


@pytest.mark.parametrize("kind", ["several", "attributes"])
def test_a_picture_from_a_file(browser: Browser, tmp_path: Path, kind: str) -> None:
    """In the model's size; of ink the lighter side is paper, whichever it is."""
    page = Page(browser, kind, tmp_path)
    _, height, width = browser.evaluate("told.shape")
    left = np.zeros((height, width, 3), np.uint8)
    left[1:-1, 1 : width // 2] = (255, 255, 255) if kind == "several" else (200, 30, 90)
    Image.fromarray(left).save(tmp_path / "<b>left.png")
    browser.choose_file("#file", tmp_path / "<b>left.png")
    browser.wait_for("state.title == '<b>left.png'")
    expected = torch.from_numpy(left).permute(2, 0, 1).float() / 255
    if kind == "several":
        expected = expected[0]
    assert (page.numbers("pixels") - expected.flatten()).abs().max() < 1e-6
    page.check_found()
    (tmp_path / "text.png").write_text("no picture")
    browser.choose_file("#file", tmp_path / "text.png")
    browser.wait_for("element('found').textContent.includes('no picture')")


def test_a_code_that_only_a_solver_finds(browser: Browser, tmp_path: Path) -> None:
    """The page says so; its own images have the codes that the library found."""
    page = Page(browser, "unsolved", tmp_path)
    assert not browser.evaluate("element('lacking').hidden")
    assert browser.evaluate("element('drawing-tools').hidden")
    browser.click("#images button:nth-child(4)")
    assert page.ask("values") == browser.evaluate("told.codes[3]")
    before = page.ask("pixels")
    browser.drag("#image", [(0.3, 0.3), (0.6, 0.6)])
    assert page.ask("pixels") == before
    browser.click("#variable-12")
    page.check_decoded()


def test_names_are_text(browser: Browser, tmp_path: Path) -> None:
    """No name of data or of a class becomes part of the page."""
    page = Page(browser, "mixed", tmp_path, name=HOSTILE, label=HOSTILE)
    browser.click("#images button:nth-child(10)")
    assert HOSTILE in browser.evaluate("document.querySelector('.lead').textContent")
    assert browser.evaluate("element('image-title').textContent") == f"Image 10: {HOSTILE}"
    assert browser.evaluate("document.querySelectorAll('img, main script').length") == 3
    page.check_decoded()


@pytest.mark.parametrize(("width", "dark"), WINDOWS, ids=NAMES)
def test_the_page_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    """In the reader's theme, without anything from elsewhere; every control has a name."""
    file = Explored.of("mixed" if dark else "binary").page(tmp_path)
    browser.open(file, width=width, dark=dark)
    browser.wait_for("document.querySelector('#nearest').children.length > 0")
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert len(browser.requests) == 1
    check_theme(picture(browser.screenshot()), dark)
    check_width(browser, width)
    for text, contrast, size, area in browser.evaluate(CONTRASTS)["words"]:
        assert contrast >= 4.5, (text, contrast)
        assert size >= 7.5, text
        assert area > 0, text
    assert browser.evaluate(
        "[...document.querySelectorAll('button, input, canvas[role]')].filter(e =>"
        " !(e.textContent.trim() || e.ariaLabel || e.labels?.length ||"
        " e.getAttribute('aria-labelledby'))).length"
    ) == 0  # fmt: skip
    if width < 600:
        small = browser.evaluate(
            "[...document.querySelectorAll('.tools button, .switch, .thumb')].filter(e =>"
            " e.checkVisibility() && e.getBoundingClientRect().height < 36).length"
        )
        assert small == 0


def test_a_picture_of_the_page_has_the_decoded_image(browser: Browser, tmp_path: Path) -> None:
    """On the screen, not only in the canvas: ink is dark on paper in both themes."""
    page = Page(browser, "several", tmp_path)
    browser.open(tmp_path / "explore.html", width=1280, dark=True)
    page.ready()
    x, y, w, h = browser.evaluate(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(element('decoded').getBoundingClientRect())"
    )
    shot = Image.open(io.BytesIO(browser.screenshot())).convert("L")
    cells = shot.crop((round(x), round(y), round(x + w), round(y + h)))
    means = np.asarray(cells.resize((7, 9), Image.Resampling.BOX), float)
    expected = 255 * (1 - page.numbers("decoded").view(9, 7).numpy())
    assert abs(means - expected)[1:-1, 1:-1].max() < 12
