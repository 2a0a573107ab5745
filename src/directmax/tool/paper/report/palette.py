"""Colours by name, for light pages and dark ones, after Okabe and Ito (safe for the colour-blind).

Their palette is made for surfaces; as thin lines on white its lighter colours are too faint, and
on black its blue is. They are moved in lightness so that every line has a contrast of at least 3
with its page, those that also colour words (blue, green, vermillion) 4.5, and any two remain apart
for those who see no red or no green. A test holds them to this.
"""

from __future__ import annotations

LIGHT = {
    "ink": "#1b1f24",
    "soft": "#57606a",
    "grid": "#d5dae0",
    "blue": "#0067a8",
    "vermillion": "#bb4400",
    "green": "#00855f",
    "orange": "#ba8a00",
    "purple": "#b35f92",
    "sky": "#2f8fc4",
    "shade": "#c3cad2",
}
DARK = {
    "ink": "#e8eaed",
    "soft": "#a8b0b9",
    "grid": "#383f47",
    "blue": "#4aa3df",
    "vermillion": "#f0803c",
    "green": "#2fbf93",
    "orange": "#e69f00",
    "purple": "#d98fb8",
    "sky": "#8ccdf2",
    "shade": "#3d454e",
}
PAGE_LIGHT, PAGE_DARK = "#ffffff", "#14171a"


def css() -> str:
    """The colours as CSS variables, for both themes."""

    def variables(colors: dict[str, str], page: str) -> str:
        return "".join(f"--{name}:{value};" for name, value in {**colors, "page": page}.items())

    return (
        f":root{{color-scheme:light dark;{variables(LIGHT, PAGE_LIGHT)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{variables(DARK, PAGE_DARK)}}}}}"
    )


def sentinels() -> dict[str, str]:
    """A colour for each name that occurs nowhere else, to be found again in a drawing."""
    return {name: f"#0102{number + 3:02x}" for number, name in enumerate(LIGHT)}
