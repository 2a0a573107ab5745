"""Whether memory ran out: by type, and by text only where torch has no type for it."""

from __future__ import annotations

import errno
import sys

_WORDS = (
    "out of memory",  # other devices, and CUDA's own errors behind a call
    "allocate memory",  # of the CPU's allocator: "can't …", "Cannot …"
    "not enough memory",  # of the same, on Windows
    "can't start new thread",  # of Python, where memory or processes are limited
    "std::bad_alloc",  # of operators that allocate by themselves, such as a decomposition
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no more memory, on the CPU or another device.

    Example:
        >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
        True
        >>> is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
        False
    """
    torch = sys.modules.get("torch")  # imported, if its error is to come
    if isinstance(error, (MemoryError, getattr(torch, "OutOfMemoryError", MemoryError))):
        return True
    if isinstance(error, (OSError, ImportError)):  # of a process, a file or a library
        if getattr(error, "errno", None) == errno.ENOMEM or "map segment" in str(error):
            return True
        return isinstance(error.__context__, OSError) and is_out_of_memory(error.__context__)
    # The CPU's allocator raises a plain RuntimeError.
    text = str(error).lower()
    return type(error) is RuntimeError and any(words in text for words in _WORDS)


def memory_error(error: BaseException) -> BaseException:
    """The error that says so: llvmlite's own words leave out what the system said before.

    Example:
        >>> memory_error(MemoryError("8 GiB"))
        MemoryError('8 GiB')
    """
    before = error.__context__
    return before if isinstance(error, OSError) and isinstance(before, OSError) else error
