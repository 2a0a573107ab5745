"""How a job's process ended, and whether to start it again."""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass

DONE, ERROR, REFUSED, DIVERGED, MEMORY, DISK, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 75, 130
"""Exit codes of a worker; a negative one is the signal that killed it."""
LOST = -1000
"""In place of an exit code: the machine that ran it is gone."""
_REASONS = {
    ERROR: "ended with an error",
    REFUSED: "was refused",
    DIVERGED: "diverged",
    MEMORY: "ran out of memory",
    DISK: "could not write",
    LOST: "was lost with its machine",
}
_FINAL = (REFUSED, DISK)
"""Another attempt would end in the same way."""


@dataclass(frozen=True)
class Exit:
    """How a worker ended.

    Attributes:
        code: its exit code, negative for a signal.
        message: its last words, in one line.
    """

    code: int
    message: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether something went wrong."""
        return self.code not in (DONE, BUSY, INTERRUPTED)

    @property
    def may_retry(self) -> bool:
        """Whether another attempt, from the last checkpoint, may end better."""
        return self.is_fault and self.code not in _FINAL

    def reason(self) -> str:
        """One line for people.

        Example:
            >>> Exit(-9).reason()
            'was killed (SIGKILL)'
        """
        if self.message:
            return self.message
        if LOST < self.code < 0:
            try:
                name = signal.Signals(-self.code).name
            except ValueError:
                name = f"signal {-self.code}"
            return f"was killed ({name})"
        return _REASONS.get(self.code, f"ended with exit code {self.code}")


def code_of(error: BaseException) -> int:
    """The exit code of a worker that ends with an exception."""
    from directmax._memory import is_out_of_memory
    from directmax.tool.run.interrupt import Interrupted
    from directmax.tool.run.loop import DivergedError

    if isinstance(error, Interrupted | KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, DivergedError):
        return DIVERGED
    if is_out_of_memory(error):
        return MEMORY
    if is_disk(error):
        return DISK
    return REFUSED if isinstance(error, ValueError | TypeError) else ERROR


def is_disk(error: BaseException) -> bool:
    """Whether a file could not be written, by this error or the one that it was made from."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
    return any(
        isinstance(each, OSError) and each.errno in numbers for each in (error, error.__cause__)
    )
