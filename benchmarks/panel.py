"""Defaults on many data sets and sizes: validation bounds of `directmax train` without flags.

A cell is a data set, perhaps cut (`mnist:1000`), or a file `NAME.npz` with `train_data`,
`valid_data` and `test_data`, a number of variables and one of values, and a seed. Runs lie in a
folder each under `--runs`: what is finished is not done again, what was stopped is continued. For
one variable the mixture that expectation-maximisation finds, the best of three by validation, is
beside it. Test images are not looked at by this program; the runs' own `summary.json` has their
bound, for when the choices are made.

    python benchmarks/panel.py --cells digits,1,10 mnist:1000,1,50 digits,8,4 --json panel.json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from directmax.tool import train
from directmax.tool.config import TrainConfig
from directmax.tool.data import ImageData, load_images
from directmax.tool.files import write_json
from directmax.tool.paper.kinds.mixture import fit_mixture
from directmax.tool.run.images import split_images
from directmax.tool.run.provenance import environment

TINY = "--cells digits:200,1,3 digits:200,2,2 --epochs 2 --runs panel --json panel.json"
CELLS = [
    *(f"{data},1,{k}" for data in ("digits", "mushrooms.npz", "mnist:1000") for k in (10, 50)),
    *(f"{data}:1000,1,{k}" for data in ("fashion-mnist", "omniglot") for k in (10, 50)),
    *(f"mnist,1,{k}" for k in (10, 50)),
    *("digits,8,2", "digits,8,4", "mushrooms.npz,8,2", "fashion-mnist:5000,15,2"),
    "fashion-mnist,15,2",
]
COLUMNS = ["data", "n×k", "seed", "epochs", "bound", "encoder's", "−log p(x)"]
COLUMNS += ["EM", "difference", "seconds"]
EM_STARTS, EM_ITERATIONS = 3, 300


def images_of(name: str) -> ImageData:
    """A data set, with fewer training images after a colon."""
    base, _, count = name.partition(":")
    if base.endswith(".npz"):
        with np.load(Path(os.environ.get("DIRECTMAX_DATA", ".")) / "own" / base) as file:
            parts = [file[part] for part in ("train_data", "valid_data", "test_data")]
        train_images, validation, test = (part.astype(np.float32) for part in parts)
        shape = (1, train_images.shape[1])
    else:
        data = load_images(base)
        shape = data.shape
        train_images, validation, test = (
            part.images.numpy() for part in (data.train, data.validation, data.test)
        )
    if count:
        train_images = train_images[: int(count)]
    return ImageData.from_arrays(train_images, validation, test, shape=shape, name=name)


def mixture_bound(data: ImageData, values: int) -> float:
    """Validation −log p(x) of the best of several mixtures, nats per image."""
    config = TrainConfig().resolve()
    images, validation = (split_images(config, data, part) for part in ("train", "validation"))
    g = torch.Generator().manual_seed(0)
    fits = [
        fit_mixture(images, values, iterations=EM_ITERATIONS, generator=g) for _ in range(EM_STARTS)
    ]
    return min(fit.nll(validation) for fit in fits)


def cell(text: str, seed: int, flags: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One run, resumed or read where it is there."""
    name, n, k = text.split(",")
    data = images_of(name)
    config = TrainConfig(variables=int(n), values=int(k), seed=seed, **flags)
    began = time.process_time()
    if (folder / "summary.json").exists():
        summary = json.loads((folder / "summary.json").read_text())
    else:
        summary = train(config, folder, images=data, resume=(folder / "config.json").exists())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    best = lines[summary["best_epoch"] - 1]
    row = {
        "data": name,
        "variables": int(n),
        "values": int(k),
        "seed": seed,
        "flags": flags,
        "epochs": summary["epochs"],
        "best_epoch": summary["best_epoch"],
        "training": best["train"]["bound"],
        "validation": summary["validation"]["bound"],
        "nll": summary["validation"].get("nll"),
        "amortized": summary["validation"].get("amortized"),
        "processor_seconds": time.process_time() - began,
        "seconds_of_epochs": sum(line["seconds"] for line in lines),
        "advice": summary["advice"],
    }
    if int(n) == 1:
        row["mixture"] = mixture_bound(data, int(k))
    return row


def cells_of(row: dict[str, Any]) -> list[str]:
    """A row of the table, under `COLUMNS`."""
    bound, mixture = row["validation"], row.get("mixture")
    return [
        row["data"],
        f"{row['variables']}×{row['values']}",
        str(row["seed"]),
        str(row["epochs"]),
        f"{bound:.2f}",
        *("" if row[name] is None else f"{row[name]:.2f}" for name in ("amortized", "nll")),
        f"{mixture:.2f}" if mixture else "",
        f"{bound - mixture:+.2f}" if mixture else "",
        f"{row['seconds_of_epochs']:.0f}",
    ]


def shown(rows: list[dict[str, Any]]) -> Table:
    """What was found."""
    table = Table(title="validation, nats per image")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "data" else "right")
    for row in rows:
        table.add_row(*cells_of(row))
    return table


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The same for the documentation."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(cells_of, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Run the cells one after the other; the file is written after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="DATA,N,K")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="of every run; the default's without")
    parser.add_argument("--estimator", help="in place of the default")
    parser.add_argument("--encoder", help="likewise")
    parser.add_argument("--refine", action=argparse.BooleanOptionalAction, help="likewise")
    parser.add_argument("--runs", type=Path, default=Path("runs/panel"))
    parser.add_argument("--json", type=Path, help="write what was found there")
    options = parser.parse_args()
    flags = {
        name: getattr(options, name)
        for name in ("epochs", "estimator", "encoder", "refine")
        if getattr(options, name) is not None
    }
    rows = []
    for text in options.cells:
        for seed in options.seeds:
            words = [text.replace(",", "-").replace(":", "-"), str(seed), *map(str, flags.values())]
            rows.append(cell(text, seed, flags, options.runs / "-".join(words)))
            if options.json:
                record = {"rows": rows, **environment(torch.device("cpu"))}
                write_json(options.json, record)
                options.json.with_suffix(".md").write_text(as_markdown(rows))
    Console().print(shown(rows))


if __name__ == "__main__":
    main()
