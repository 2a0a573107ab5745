"""Writes the report of a reproduction into its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from directmax.tool.files import RunError, cannot_write, write_atomic
from directmax.tool.look.content import Picture
from directmax.tool.look.figures import drawn, svg_file
from directmax.tool.look.pages import render
from directmax.tool.paper.report.page import make_page
from directmax.tool.paper.report.results import Results, collect, write_results
from directmax.tool.paper.report.sections.labels import picture_name

FIGURES = "figures"
"""The folder of figures and pictures, beside the pages."""
COLUMNS = {"figure4": 12, "figure5": 6}
"""Images in a row of figure 4, rows of figure 5."""
UNDRAWN = "it was not drawn into this folder"


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
    write_pages(root, results, _draw_pictures(root, results, data_dir, device))
    return results


def write_pages(
    root: Path, results: Results, undrawn: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write the pages and figures of results, such as `Results.from_dict` gives.

    Pictures are those that `figures/` holds.

    Args:
        root: folder of the report.
        results: what is shown.
        undrawn: why pictures could not be drawn, by name.
    """
    folder, page = root / FIGURES, make_page(results)
    sections = [
        replace(section, pictures=[_read(folder, each, undrawn) for each in section.pictures])
        for section in page.sections
    ]
    page = replace(page, sections=sections)
    for section in sections:
        for figure in section.figures:
            text = svg_file(drawn(figure), figure.name, figure.title)
            write_atomic(folder / f"{figure.name}.svg", text)
    for ending in ("md", "html"):
        text = render(f"reproduction.{ending}", title=page.title, page=page)
        write_atomic(root / f"reproduction.{ending}", text)


def _draw_pictures(
    root: Path, results: Results, data_dir: str | Path | None, device: str
) -> dict[str, str]:
    """Figures 4 and 5: an image file a finished run, drawn once; why others were not, by name."""
    from directmax.tool.run import finished

    undrawn = {}
    for part in results.parts:
        if part.name not in COLUMNS:
            continue
        for outcome in results.of(part, "train"):
            name = picture_name(part, outcome)
            path = root / FIGURES / f"{name}.png"
            if not outcome.done or path.exists():
                continue
            try:
                finished.sample_run(
                    root / outcome.folder,
                    path,
                    num_reconstructions=0,
                    columns=COLUMNS[part.name],
                    data_dir=data_dir,
                    device=device,
                )
            # The report is worth having without it. A card's memory that ran out is a RuntimeError.
            except (ValueError, RuntimeError, OSError, MemoryError) as error:
                undrawn[name] = _reason(error, root)
    return undrawn


def _reason(error: Exception, root: Path) -> str:
    """An error in one line, with paths relative to the report."""
    text = " ".join(str(error).split()).replace(f"{root}/", "").rstrip(".")
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _read(folder: Path, picture: Picture, undrawn: Mapping[str, str]) -> Picture:
    """A picture with its file, or with the reason why there is none."""
    path = folder / f"{picture.name}.png"
    try:
        return replace(picture, png=path.read_bytes())
    except FileNotFoundError:
        return replace(picture, missing=f"No picture: {undrawn.get(picture.name, UNDRAWN)}.")
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
