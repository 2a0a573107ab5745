"""`directmax explore`: the page of a run, written."""

from __future__ import annotations

from pathlib import Path

from directmax.tool.explore.content import Content, content_of
from directmax.tool.files import cannot_write, user_path, write_atomic
from directmax.tool.look.pages import render
from directmax.tool.run.finished import load_run
from directmax.tool.run.make import Data
from directmax.tool.run.run_folder import RunFolder

NAME = "explore.html"


def explore_run(
    run_dir: str | Path,
    output: str | Path | None = None,
    *,
    images: Data | None = None,
    data_dir: str | Path | None = None,
) -> Path:
    """Write a page that encodes images, changes their codes and decodes them, without a server.

    Args:
        run_dir: folder of the run.
        output: HTML file to write; by default `explore.html` in the run's folder.
        images: those that were handed to `train`, if any were.
        data_dir: where to look for images first.

    Returns:
        The file.

    Raises:
        RunError, ValueError: the run or its data cannot be used, the model is too large for a page
            or of a kind that it does not know, or `output` cannot be written.
    """
    path = RunFolder(run_dir).path / NAME if output is None else _page_path(output)
    config, data, model = load_run(run_dir, images=images, data_dir=data_dir, device="cpu")
    content = content_of(config, data, model)
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


def _page_path(output: str | Path) -> Path:
    path = user_path(output)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--output must end in .html, got {output}")
    try:
        if not path.absolute().parent.is_dir():
            raise ValueError(f"cannot write {output}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise ValueError(f"cannot write {output}: it is a folder")
    except OSError as error:  # such as a name that is too long
        raise cannot_write(path, error) from error
    return path
