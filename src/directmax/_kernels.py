"""Running compiled kernels: over the rows of a batch, on as many threads as torch uses.

The kernels release the GIL, so Python's own threads will do: unlike numba's parallel loops they are
safe when several threads call at once, and after a fork, as in a DataLoader's workers.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from directmax._transforms import uncompiled

LOW_VARIABLES = 7
"""Variables inside a table of `_state_tables`: 2^7 entries stay in the innermost cache."""


@uncompiled
def over_rows(
    kernel: Callable[[int, int], None], rows: int, *, chunk: int | None = None, minimum: int = 1
) -> None:
    """Call kernel(start, stop) on slices that together make range(rows).

    Args:
        kernel: works on its rows only and releases the GIL.
        rows: how many there are.
        chunk: rows a call; 1 where the work differs much from row to row. None for eight calls a
            thread: a thread that is late, because torch's still hold its core, then does less.
        minimum: fewer rows than this are not worth a second thread.

    Example:
        >>> seen = []
        >>> over_rows(lambda start, stop: seen.extend(range(start, stop)), 5, chunk=2)
        >>> sorted(seen)
        [0, 1, 2, 3, 4]
    """
    threads = min(torch.get_num_threads(), max(1, rows // minimum))
    if threads <= 1:
        kernel(0, rows)
        return
    size = chunk or max(1, -(-rows // (8 * threads)))
    starts, lock = iter(range(0, rows, size)), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                start = next(starts, None)
            if start is None:
                return
            kernel(start, min(start + size, rows))

    pool = _pool(os.getpid(), threads)
    futures = [pool.submit(work) for _ in range(threads - 1)]
    try:
        work()  # this thread works too
    finally:
        for future in futures:
            future.result()


@functools.lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One pool a process (threads do not survive a fork) and size."""
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="directmax")
