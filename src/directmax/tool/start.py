"""Where the command starts: signals and surroundings are settled before anything slow is imported.

Until a command says that it can be stopped tidily (`raise_interrupts`), nothing is written, and a
signal ends the process at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType

from directmax.tool.environment import ENDING, heard_signals, import_quickly, is_helper, prepare


def main() -> int:
    """Run the command line; returns the exit code."""
    for number in heard_signals():
        signal.signal(number, _leave)
    threading.excepthook = _of_a_thread
    import_quickly()
    try:
        prepare()
    except ValueError as error:
        if not is_helper():
            print(f"directmax: {error}", file=sys.stderr)
        return 2
    from directmax.tool.cli import main as run

    code = run()
    for number in ENDING:  # all is done and said
        signal.signal(number, signal.SIG_IGN)
    return code


def _of_a_thread(failed: threading.ExceptHookArgs) -> None:
    """What TensorBoard's thread could not write is said in one line by the main one."""
    if not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)


def _leave(number: int, frame: FrameType | None) -> None:
    """Not by an exception, which modules that are being imported would catch."""
    if not is_helper():
        with contextlib.suppress(OSError):  # the terminal is gone
            os.write(2, b"directmax: interrupted; nothing was written\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
