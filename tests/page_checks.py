"""What holds for every page: the reader's theme, no sideways scrolling, contrast."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from browser import Browser

WINDOWS = [
    (1280, False),
    pytest.param(1280, True, marks=pytest.mark.slow),
    pytest.param(390, False, marks=pytest.mark.slow),
    (390, True),
]
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


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def check_theme(image: Image.Image, dark: bool) -> None:
    corner = sum(image.getpixel((2, 2)))  # type: ignore[arg-type]
    assert corner < 120 if dark else corner > 700


def check_width(browser: Browser, width: int) -> None:
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(OVERFLOWS) == []
