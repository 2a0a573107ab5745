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
    "page": "#ffffff",
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
    "page": "#14171a",
}

METHODS = {
    "exact": "green",
    "direct": "blue",
    "direct two-sided": "sky",
    "direct-rao-blackwell": "blue",
    "corrected-direct": "green",
    "corrected-direct two-sided": "ink",
    "implicit-mle": "orange",
    "implicit-mle two-sided": "vermillion",
    "gumbel-softmax": "vermillion",
    "gumbel-softmax straight-through": "orange",
    "straight-through": "purple",
    "reinmax": "green",
    "gumbel-rao": "ink",
    "local-expectation": "ink",
    "local-divergence": "blue",
    "local-search": "sky",
    "clamped-argmax": "ink",
    "score-function": "sky",
    "rebar": "green",
    "relax": "orange",
    "arm": "purple",
    "disarm": "purple",
}
"""Of estimators and their variants, wherever they are drawn; where two that share a colour meet,
dash, marker or a name beside the line tells them apart."""


def css() -> str:
    """The colours as CSS variables, for both themes."""
    light, dark = (
        "".join(f"--{name}:{value};" for name, value in colors.items()) for colors in (LIGHT, DARK)
    )
    dark_theme = f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f":root{{color-scheme:light dark;{light}}}{dark_theme}"


def themed(svg: str) -> str:
    """An SVG whose colours of the light theme are variables, with these colours as fallback."""
    for name, value in LIGHT.items():
        svg = svg.replace(value, f"var(--{name},{value})")
    return svg
