"""Defaults on many data sets and sizes, beside other choices: validation bounds.

A cell is a data set of `panel_data.py`, perhaps cut (`mnist:1000`), or a path with a `/`, a number
of variables and one of values, and an encoder where variables are coupled. A cell is trained by the
default and by every variant that is asked for, with each seed. Runs lie in a folder each under
`--runs`: what is finished is not done again, what was stopped is continued. In the file of `--json`
a run replaces what was there of the same cell, variant and seed, and `.md` beside it is the table.

With one variable the mixture that expectation-maximisation finds, the best of three by validation,
is beside it; with several the best of the grid. Test images are not looked at by this program.

    python benchmarks/panel.py --cells digits,1,10 mnist:1000,1,50 --json panel.json
    python benchmarks/panel.py --cells digits,8,4 --variants default local-search --json grid.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from directmax.tool import train
from directmax.tool.config import TrainConfig
from directmax.tool.data import ImageData
from directmax.tool.files import write_json
from directmax.tool.paper.kinds.mixture import fit_mixture
from directmax.tool.run.images import split_images
from directmax.tool.run.make import traits_of
from directmax.tool.run.provenance import environment
from panel_data import images_of

TINY = "--cells digits:200,1,3 bars:200,2,2 --epochs 2 --runs panel --json panel.json"
CELLS = [
    *(f"{data},1,{k}" for data in ("digits", "mushrooms.npz", "mnist:1000") for k in (10, 50)),
    *(f"{data}:1000,1,{k}" for data in ("fashion-mnist", "omniglot") for k in (10, 50)),
    *(f"mnist,1,{k}" for k in (10, 50)),
    *("digits,8,2", "digits,8,4", "mushrooms.npz,8,2", "fashion-mnist:5000,15,2"),
    "fashion-mnist,15,2",
]
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "whole": {"patience": 0},
    "local-divergence": {"estimator": "local-divergence"},
    "search": {"estimator": "local-search", "moves_from": 0.0, "refined_from": 1.0},
    "early": {"estimator": "local-search", "moves_from": 0.1},
    "late": {"estimator": "local-search", "moves_from": 2 / 3},
    "covering": {"estimator": "local-divergence", "covering": 1.0},
    "bound": {"estimator": "local-divergence", "covering": 0.0},
    "local-expectation": {"estimator": "local-expectation", "refine": True},
    "clamped-argmax": {"estimator": "clamped-argmax", "refine": True},
    "paper": {"preset": "paper"},
}
"""Flags of each."""
CELL = ("data", "variables", "values", "encoder", "asked_epochs", "seed")
"""What runs are compared within; `asked_epochs` is 0 for the default's."""
RUN = (*CELL, "variant")
"""What a run is found by."""
EM_STARTS, EM_ITERATIONS = 3, 300


def mixture_bound(data: ImageData, values: int) -> float:
    """Validation −log p(x) of the best of several mixtures, nats per image."""
    config = TrainConfig().resolve(*traits_of(data))
    images, validation = (split_images(config, data, part) for part in ("train", "validation"))
    g = torch.Generator().manual_seed(0)
    fits = [
        fit_mixture(images, values, iterations=EM_ITERATIONS, generator=g) for _ in range(EM_STARTS)
    ]
    return min(fit.nll(validation) for fit in fits)


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """By which a run is found."""
    return tuple(row[name] for name in RUN)


def cell(text: str, variant: str, seed: int, more: dict[str, Any], runs: Path) -> dict[str, Any]:
    """One run, resumed or read where it is there."""
    name, n, k, *rest = text.split(",")
    text = f"{Path(name).name},{text.split(',', 1)[1]}"
    encoder = rest[0] if rest else "independent"
    data, flags = images_of(name), VARIANTS[variant] | more
    variables, values = int(n), int(k)
    config = TrainConfig(encoder=encoder, variables=variables, values=values, seed=seed, **flags)
    words = [text.replace(",", "-").replace(":", "-"), variant, str(seed), *map(str, more.values())]
    folder, began = runs / "-".join(words), time.process_time()
    if (folder / "summary.json").exists():
        summary = json.loads((folder / "summary.json").read_text())
    else:
        summary = train(config, folder, images=data, resume=(folder / "config.json").exists())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    best, found = lines[summary["best_epoch"] - 1], summary["validation"]
    measured = {"bound": found["bound"], "encoder_bound": found.get("amortized", found["bound"])}
    found_by = (Path(name).name, variables, values, encoder, more.get("epochs", 0), seed, variant)
    row = dict(zip(RUN, found_by, strict=True)) | {
        "flags": flags,
        "epochs": summary["epochs"],
        "best_epoch": summary["best_epoch"],
        "training": best["train"]["bound"],
        **{name: value if found["valid"] else None for name, value in measured.items()},
        "nll": found.get("nll"),
        "processor_seconds": time.process_time() - began,
        "seconds_of_epochs": sum(line["seconds"] for line in lines),
        "advice": summary["advice"],
        "command": " ".join(["python benchmarks/panel.py", *sys.argv[1:]]),
        **environment(torch.device("cpu")),
    }
    if variables == 1:
        row["mixture"] = mixture_bound(data, values)
    return row


def cells_of(row: dict[str, Any], best: float | None) -> list[str]:
    """A row of the table, under `COLUMNS`."""
    bound, yardstick = row["bound"], row.get("mixture", best)
    behind = bound is not None and yardstick is not None
    name = "" if row["encoder"] == "independent" else f" {row['encoder']}"
    return [
        row["data"],
        f"{row['variables']}×{row['values']}{name}",
        row["variant"],
        str(row["seed"]),
        str(row["epochs"]),
        *("" if row[key] is None else f"{row[key]:.2f}" for key in ("bound", "encoder_bound")),
        "" if row["nll"] is None else f"{row['nll']:.2f}",
        f"{bound - yardstick:+.2f}" if behind else "",
        "" if row["seconds_of_epochs"] is None else f"{row['seconds_of_epochs']:.0f}",
    ]


COLUMNS = ["data", "n×k", "variant", "seed", "epochs", "bound", "encoder's", "−log p(x)"]
COLUMNS += ["above the best", "seconds"]


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of text; what is best is the least bound of a cell, with one variable EM's mixture."""

    best: dict[tuple[Any, ...], float] = {}
    for row in rows:
        place = key(row)[:-1]
        if row["bound"] is not None:
            best[place] = min(row["bound"], best.get(place, row["bound"]))
    return [cells_of(row, best.get(key(row)[:-1])) for row in rows]


def shown(rows: list[dict[str, Any]]) -> Table:
    """What was found."""
    found = Table(title="validation, nats per image")
    for name in COLUMNS:
        found.add_column(name, justify="left" if name in ("data", "variant") else "right")
    for row in table(rows):
        found.add_row(*row)
    return found


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The same for the documentation."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *table(rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def keep(file: Path, row: dict[str, Any]) -> None:
    """Write a run in place of what was there of the same cell, variant and seed."""
    rows = json.loads(file.read_text())["rows"] if file.exists() else []
    rows = sorted([*(old for old in rows if key(old) != key(row)), row], key=key)
    write_json(file, {"rows": rows})
    file.with_suffix(".md").write_text(as_markdown(rows))


def main() -> None:
    """Run the cells one after the other; the file is written after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="DATA,N,K[,ENCODER]")
    parser.add_argument("--variants", nargs="+", default=["default"], choices=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="of every run; the default's without")
    parser.add_argument("--runs", type=Path, default=Path("runs/panel"))
    parser.add_argument("--json", type=Path, help="write what was found there, beside what is")
    options = parser.parse_args()
    more = {} if options.epochs is None else {"epochs": options.epochs}
    rows = []
    for text, seed, variant in product(options.cells, options.seeds, options.variants):
        rows.append(cell(text, variant, seed, more, options.runs))
        if options.json:
            keep(options.json, rows[-1])
    Console().print(shown(rows))


if __name__ == "__main__":
    main()
