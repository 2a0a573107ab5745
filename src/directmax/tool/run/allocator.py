"""Memory that a training step has freed, kept for the next one, in large pages."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Names of settings in glibc's malloc.h."""
LARGEST_BLOCK, LARGEST_FREE, GROWN_BY = 2**30, 2**31 - 1, 2**26
"""Bytes: of a block that is not mapped by itself, of what stays with the process, of a growth."""
ADVISED, PART, LARGE_PAGE = 3 * 2**29, 2**29, 2**21
"""Bytes: of addresses that get large pages once they are used, less than `LARGEST_FREE`, and at a
time; of a page."""


@functools.cache
def keep_freed_memory() -> bool:
    """Have glibc keep freed blocks, in large pages, where it is the allocator; whether it was.

    By default it returns the megabytes that a step frees to the system, and every page of them is
    handed out and zeroed again in the next step: about a tenth of the processor time of a training
    on a CPU. And pages are of 4 KiB, which a processor finds slowly where a step goes through
    hundreds of megabytes, above all in a virtual machine: another fifth with images of 64×64
    pixels. The largest amount that a process has does not change but for the last large page.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        set_option = libc.mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    settings = (
        (MMAP_THRESHOLD, LARGEST_BLOCK),
        (TRIM_THRESHOLD, LARGEST_FREE),
        (TOP_PAD, GROWN_BY),
    )
    kept = all(set_option(name, value) for name, value in settings)
    if kept:
        _advise_large_pages(libc)
    return kept


def _advise_large_pages(libc: ctypes.CDLL) -> None:
    """Ask the system for large pages where the heap will grow.

    Only addresses are taken for that, and given back to the heap's free end: no memory until it is
    used. Where the system knows no large pages, or grants no addresses, nothing changes.
    """
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is None:
        return
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    blocks = [libc.malloc(PART) for _ in range(min(ADVISED, memory // 4) // PART)]
    for block in filter(None, blocks):
        start = -(-block // LARGE_PAGE) * LARGE_PAGE
        libc.madvise(start, (block + PART - start) // LARGE_PAGE * LARGE_PAGE, advice)
        libc.free(block)
