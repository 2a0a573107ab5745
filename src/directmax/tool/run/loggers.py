"""Which logs there are, and several of them as one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from directmax._choices import check_choice
from directmax.tool.config import ResolvedConfig
from directmax.tool.look.content import Picture
from directmax.tool.run.log_csv import CsvLogger
from directmax.tool.run.log_services import MlflowLogger, WandbLogger
from directmax.tool.run.logger import Logger
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.tensorboard import Events

LOGGERS: dict[str, type[Logger]] = {
    "csv": CsvLogger,
    "tensorboard": Events,
    "wandb": WandbLogger,
    "mlflow": MlflowLogger,
}
DEFAULT = ("tensorboard",)


def check_loggers(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse a log that does not exist or is not installed.

    Returns:
        The names, each once.

    Raises:
        ValueError: the message names it, and what installs it.
    """
    if isinstance(names, str):
        raise TypeError(f"log must be a list of words, got {names!r}")
    for name in names:
        missing = LOGGERS[check_choice("--log", name, tuple(LOGGERS))].missing()
        if missing is not None:
            raise ValueError(f"--log {name} needs {missing}, or leave it out")
    return tuple(dict.fromkeys(names))


class Loggers:
    """Several logs as one.

    One that can fail for reasons outside of the run is left out when it does, with a warning: no
    training ends for the sake of its log.

    Args:
        names: of `LOGGERS`.
        folder: of the run.
        config: of the run.
    """

    def __init__(self, names: Sequence[str], folder: RunFolder, config: ResolvedConfig) -> None:
        self._loggers = {name: LOGGERS[name](folder, config) for name in names}

    def open(self, epochs_done: int) -> None:
        """Begin, or go on; what fails here ends the run before it trains."""
        for logger in self._loggers.values():
            logger.open(epochs_done)

    def add(self, line: dict[str, Any]) -> None:
        """See `Logger.add`."""
        self._all(lambda logger: logger.add(line))

    def restart(self, lines: list[dict[str, Any]]) -> None:
        """See `Logger.restart`."""
        self._all(lambda logger: logger.restart(lines))

    def finish(self, summary: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
        """See `Logger.finish`."""
        self._all(lambda logger: logger.finish(summary, pictures))

    def close(self) -> None:
        """See `Logger.close`."""
        self._all(lambda logger: logger.close())

    def _all(self, call: Callable[[Logger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                call(logger)
            except Exception as error:
                if not logger.remote:
                    raise
                del self._loggers[name]
                with contextlib.suppress(Exception):
                    logger.close()
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                text = f"{name} failed and is left out ({reason}); the run goes on without it"
                print(f"directmax: {text}", file=sys.stderr)
