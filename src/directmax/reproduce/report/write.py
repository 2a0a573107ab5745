"""Writes the report of a reproduction into its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from directmax.reproduce.report.draw import figure_svg
from directmax.reproduce.report.html import render_html
from directmax.reproduce.report.layout import Section
from directmax.reproduce.report.markdown import FIGURES, render_markdown
from directmax.reproduce.report.page import make_page
from directmax.reproduce.report.results import Results, collect, write_results
from directmax.reproduce.report.sections.labels import picture_name
from directmax.training.files import RunError, cannot_write, write_atomic

COLUMNS = {"figure4": 12, "figure5": 6}
"""Images in a row of figure 4, rows of figure 5."""


def write_report(
    output: str | Path, *, data_dir: str | Path | None = None, device: str = "cpu"
) -> Results:
    """Collect what is done and write `results.json`, `reproduction.html`, `.md` and `figures/`.

    May be called at any time, also while jobs run. The page is written last.

    Args:
        output: folder of the reproduction, with its `plan.json`.
        data_dir: where to look for images first, for the pictures of figures 4 and 5.
        device: that draws them.

    Returns:
        The results.

    Raises:
        RunError: the folder has no plan, a file in it is damaged, or it cannot be written.
    """
    root = Path(output)
    results = collect(root)
    write_results(root, results)
    figures = root / FIGURES
    try:
        figures.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(figures, error) from error
    _draw_pictures(root, results, data_dir, device)
    write_pages(root, results)
    return results


def write_pages(root: Path, results: Results) -> None:
    """Write the pages and figures of results, such as `Results.from_dict` gives.

    Pictures are those that `figures/` holds.
    """
    page = make_page(results)
    figures = root / FIGURES
    for section in page.sections:
        for figure in section.figures:
            write_atomic(figures / f"{figure.name}.svg", figure_svg(figure))
    write_atomic(root / "reproduction.md", render_markdown(page))
    write_atomic(
        root / "reproduction.html", render_html(page, _read_pictures(figures, page.sections))
    )


def _draw_pictures(root: Path, results: Results, data_dir: str | Path | None, device: str) -> None:
    """Figures 4 and 5: an image file a finished run, drawn once."""
    from directmax.training.finished import sample_run

    for part in results.parts:
        if part.name not in COLUMNS:
            continue
        for outcome in results.of(part, "train"):
            path = root / FIGURES / f"{picture_name(part, outcome)}.png"
            if not outcome.done or path.exists():
                continue
            # The report is worth having without it: the page says that it is missing.
            with contextlib.suppress(ValueError):
                sample_run(
                    root / outcome.folder,
                    path,
                    num_reconstructions=0,
                    columns=COLUMNS[part.name],
                    data_dir=data_dir,
                    device=device,
                )


def _read_pictures(folder: Path, sections: tuple[Section, ...]) -> Mapping[str, bytes]:
    found = {}
    for section in sections:
        for picture in section.pictures:
            path = folder / f"{picture.name}.png"
            try:
                found[picture.name] = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise RunError(f"cannot read {path}: {error.strerror}") from error
    return found
