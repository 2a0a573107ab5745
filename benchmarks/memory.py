"""Peak memory and processor time of every command, at the largest example of its page.

    python benchmarks/memory.py [--only NAME …] [--epochs 1]

A command runs as a process of its own; its peak is that of the largest process it starts. Trainings
take one epoch, as more need no more memory. Measurements of commands left out
stay in `reproductions/memory.json`. What needs a run needs its training in the same call.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from common import command_line
from directmax.tool.files import write_json

TINY = "--only data --json memory.json"
OUTPUT = Path(__file__).resolve().parents[1] / "reproductions" / "memory.json"
TRAININGS = {
    "train": "",
    "train mnist": "--data mnist --values 50",
    "train 20×10": "--data fashion-mnist --variables 20 --values 10 --estimator local-expectation",
    "train pairwise": "--data mnist --encoder pairwise",
    "train mixed": "--data mnist --model mixed --labels 50",
    "train attributes": "--model attributes --data fashion-mnist --labels 500",
    "train conv": "--data mnist --network conv",
}
"""Flags of `directmax train` by name."""
OTHERS = {
    "data": "data digits",
    "data mnist": "data mnist",
    "evaluate": "evaluate {train mnist}",
    "evaluate pairwise": "evaluate {train pairwise}",
    "sample": "sample {train mnist} --output sample.png",
    "edit": "edit {train attributes} sample.png --set Warm=1 --output edited.png",
    "explore": "explore {train mnist} --output explore.html",
    "compare": "compare {train} {train mnist} --output compare.html",
    "encode": "encode {train mnist} mnist --output codes.npz",
    "export": "export {train mnist} --output files --format torch",
    "solvers": "solvers --variables 20 --batch-size 10",
    "gradients": "gradients --data mnist --output figures",
    "sweep": "sweep --values 10 20 --epochs 5 --workers 1 --output sweep",
    "reproduce": "reproduce table1 --scale smoke --epochs 2 --workers 1 --output reproduction",
}
"""The other commands; braces name a training that comes before."""


def measured(arguments: list[str], log: Path) -> dict[str, float]:
    """Seconds of processor time and megabytes of one command.

    Raises:
        RuntimeError: it failed.
    """
    with log.open("w") as file:
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "directmax", *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, file.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, file.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(process, 0)
    if status:
        lines = log.read_text().strip().splitlines()
        raise RuntimeError(f"directmax {shlex.join(arguments)}: {lines[-1] if lines else status}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    seconds = usage.ru_utime + usage.ru_stime
    return {"seconds": round(seconds, 1), "megabytes": round(usage.ru_maxrss / unit)}


def main() -> None:
    """Measure, print, write."""
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=(*TRAININGS, *OTHERS))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--json", type=Path, default=OUTPUT, help="the file of all measurements")
    options = parser.parse_args()
    output = options.json.resolve()
    found = json.loads(output.read_text()) if output.exists() else {}
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    table = Table("command", "MB", "s")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        runs = {name: f"runs/{number}" for number, name in enumerate(TRAININGS)}
        lines = {
            name: f"train --epochs {options.epochs} --run-dir {runs[name]} {flags}"
            for name, flags in TRAININGS.items()
        } | {name: line.format_map(runs) for name, line in OTHERS.items()}
        for name in options.only or lines:
            found[name] = measured(shlex.split(lines[name]), Path("log"))
            table.add_row(name, *(str(found[name][key]) for key in ("megabytes", "seconds")))
            write_json(output, found)
    Console().print(table)


if __name__ == "__main__":
    main()
