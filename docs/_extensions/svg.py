"""Figures of the gallery as SVG, which dark pages invert as they do all plots."""

from __future__ import annotations

from typing import Any

from sphinx_gallery.scrapers import matplotlib_scraper


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the open figures; returns what shows them."""
    rst: str = matplotlib_scraper(block, block_vars, gallery_conf, format="svg")
    return rst
