"""Memory that a training step has freed, kept for the next one."""

from __future__ import annotations

import ctypes
import functools
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Names of settings in glibc's malloc.h."""
LARGEST_BLOCK, LARGEST_FREE, GROWN_BY = 2**30, 2**31 - 1, 2**26
"""Bytes: of a block that is not mapped by itself, of what stays with the process, of a growth."""


@functools.cache
def keep_freed_memory() -> bool:
    """Have glibc keep freed blocks, where it is the allocator; whether it was.

    By default it returns the megabytes that a step frees to the system, and every page of them is
    handed out and zeroed again in the next step: about a tenth of the processor time of a training
    on a CPU. The largest amount that a process has does not change.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    settings = (
        (MMAP_THRESHOLD, LARGEST_BLOCK),
        (TRIM_THRESHOLD, LARGEST_FREE),
        (TOP_PAD, GROWN_BY),
    )
    return all(set_option(name, value) for name, value in settings)
