"""What a person sees of work that goes on: bars on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

WIDTH = 140
"""Columns where there is no terminal."""


class Terminal(Console):
    """A console that says when the reader of its pipe has left; rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Let the command line hear of it."""
        self.quiet = True  # what is left to say, as a bar that is removed, would fail again
        raise


def make_console() -> Console:
    """Standard output: the terminal, or a file of wide lines."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=WIDTH)


@contextlib.contextmanager
def bars(
    console: Console | None = None, total: float = 1.0
) -> Iterator[Callable[[str, float], None] | None]:
    """Bars for work in named parts; yields what is called with a part and how much of it is done.

    None where there is no terminal.

    Args:
        console: where to draw; None: standard error.
        total: the whole of a part.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description:10s}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: float) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        yield show


def duration(seconds: float) -> str:
    """In words of one unit or two.

    Example:
        >>> [duration(x) for x in (0.4, 75, 5400, 200000)]
        ['1 s', '1 min 15 s', '1 h 30 min', '2 d 8 h']
    """
    rest = max(1, round(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (name, size), (smaller, part) in pairwise(units):
        if rest >= size:
            more = round(rest % size / part) if size > 60 else rest % size
            if more * part == size:
                return duration((rest // size + 1) * size)
            return f"{rest // size} {name}" + (f" {more} {smaller}" if more else "")
    return f"{rest} s"
