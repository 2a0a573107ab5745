"""`python -m directmax` is the same as `directmax`."""

from __future__ import annotations

import sys


def main() -> int:
    """The command line, or one line where its packages are not installed."""
    try:
        from directmax.tool.start import main as command_line

        return command_line()
    except ModuleNotFoundError as error:
        if (error.name or "directmax").partition(".")[0] == "directmax":
            raise
        needs = "the command line needs pip install 'directmax[tool]'"
        print(f"directmax: {needs} ({error.name} is not installed)", file=sys.stderr)
        return 2
    except (MemoryError, ImportError, OSError) as error:
        from directmax._memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        limit = "more memory is needed to start: raise the limit, as with ulimit -v"
        print(f"directmax: out of memory; {limit}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
