"""`directmax explore`: the page of a run, written."""

from __future__ import annotations

from pathlib import Path

from directmax.tool.explore.content import Content, content_of
from directmax.tool.files import output_file, write_atomic
from directmax.tool.look.pages import render
from directmax.tool.run.finished import load_run
from directmax.tool.run.make import Given
from directmax.tool.run.run_folder import RunFolder

NAME = "explore.html"


def explore_run(
    run_dir: str | Path,
    output: str | Path | None = None,
    *,
    data: str | None = None,
    images: Given | None = None,
    data_dir: str | Path | None = None,
) -> Path:
    """Write a page that encodes images, changes their codes and decodes them, without a server.

    Args:
        run_dir: folder of the run.
        output: HTML file to write; by default `explore.html` in the run's folder.
        data: other images of the same kind, in place of those that it was trained on.
        images: those that were handed to `train`, if any were, or where they lie now.
        data_dir: where to look for images first.

    Returns:
        The file.

    Raises:
        RunError, ValueError: the run or its data cannot be used, the model is too large for a page
            or of a kind that it does not know, or `output` cannot be written.
    """
    path = RunFolder(run_dir).path / NAME if output is None else output_file(output, ".html")
    config, found, model = load_run(
        run_dir, data=data, images=images, data_dir=data_dir, device="cpu"
    )
    content = content_of(config, found, model)
    write_atomic(path, page_of(content))
    return path


def page_of(content: Content) -> str:
    """The page as text."""
    return render(
        "explore.html",
        title="directmax explore",
        lead=content.lead,
        note=content.note,
        data=content.data,
    )
