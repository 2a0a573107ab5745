"""What jobs are estimated from: their images, and measurements, each distinct one once."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.data import ImageData
from directmax.tool.data.locate import user_cache
from directmax.tool.files import RunError, read_json, write_json
from directmax.tool.jobs.machine import hardware
from directmax.tool.run.make import Data, load_data
from directmax.tool.run.provenance import environment

START_SECONDS = 6.0
"""Of every process, until it computes, and for its report at the end."""


class Images:
    """Data sets by what they are of.

    Args:
        data_dir: where to look first.
    """

    def __init__(self, data_dir: str | Path | None = None) -> None:
        self._data_dir = data_dir
        self._loaded: dict[tuple[Any, ...], Data] = {}

    def of(self, config: ResolvedConfig, path: str | None = None) -> Data:
        """The images of a training, by name, or of one's own by their path."""
        kind = (config.model == "attributes", config.attributes, config.image_size)
        key = (*kind, config.data, path)
        if key not in self._loaded:
            self._loaded[key] = load_data(config, self._data_dir, images=path)
        return self._loaded[key]

    def binary(self, name: str) -> ImageData:
        """The images of a name, for models of binary images."""
        found = self.of(TrainConfig(data=name).resolve())
        assert isinstance(found, ImageData)
        return found

    def clear(self) -> None:
        """Forget them."""
        self._loaded.clear()


class Bench:
    """Measures, and keeps what was measured in a file of the user's cache.

    Args:
        images: of all jobs.
        device: that is measured.
        threads: of a job.
        data_dir: where to look for images first.
        fresh: forget what was measured before.
    """

    def __init__(
        self,
        images: Images,
        *,
        device: str,
        threads: int,
        data_dir: str | None = None,
        fresh: bool = False,
    ) -> None:
        self.images, self.device, self.data_dir = images, device, data_dir
        self._threads, self._fresh = threads, fresh
        self._file = user_cache() / "timings.json"
        self._known: dict[str, Any] = {}
        self._measured: set[str] = set()
        with contextlib.suppress(RunError):  # none yet, or damaged: measured again
            self._known = read_json(self._file)

    def seconds(self, key: Any, measure: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
        """What was measured, now or before, with as many threads as a job has.

        Args:
            key: decides what is measured; JSON-ready.
            measure: does it.
        """
        text = json.dumps([self._machine, key], sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        if name not in self._known or (self._fresh and name not in self._measured):
            import torch

            threads = torch.get_num_threads()
            torch.set_num_threads(self._threads)
            try:
                self._known[name] = measure()
            finally:
                torch.set_num_threads(threads)
            self._measured.add(name)
        return tuple(self._known[name])

    def save(self) -> None:
        """Keep what was measured; where that cannot be written it is measured again."""
        with contextlib.suppress(RunError, OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, self._known)

    @functools.cached_property
    def _machine(self) -> list[Any]:
        """What decides how long a step takes, beside what is computed."""
        code = environment()
        return [hardware(), code["versions"], code["git_commit"], self.device, self._threads]
