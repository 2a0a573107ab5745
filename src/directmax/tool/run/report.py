"""`report.html`: one self-contained page about a run, for light and dark screens."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

import torch

from directmax.distributions import number_of_states
from directmax.models import AttributeVAE, DiscreteVAE, MixedVAE
from directmax.tool.config.train import TrainConfig
from directmax.tool.data import AttributeData, ImageData
from directmax.tool.files import write_atomic
from directmax.tool.run import attribute_report, pictures
from directmax.tool.run.evaluation import NO_BOUND
from directmax.tool.run.images import split_images
from directmax.tool.run.make import Data, Model, title_of
from directmax.tool.run.run_folder import RunFolder

MAX_CODES = 200
NUM_RECONSTRUCTIONS = 20

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#666}
@media (prefers-color-scheme:dark){:root{--soft:#aaa;--blue:#56b4e9}}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .5rem .25rem 1rem;border-bottom:1px solid var(--line)}
th{white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
img,svg{max-width:100%;height:auto}img{image-rendering:pixelated}
p.note{color:var(--soft);margin:.2rem 0 .8rem}.wide{overflow-x:auto}
.wide svg{min-width:28rem}.pair{display:flex;flex-wrap:wrap;gap:.5rem 1rem}
.pair svg{flex:1 1 20rem;min-width:0}
@media (max-width:34rem){th,td{padding:.25rem .2rem .25rem .5rem;font-size:.9rem}}
"""


def write_report(folder: RunFolder, model: Model, data: Data, summary: dict[str, Any]) -> None:
    """Write the report of a finished run.

    Args:
        folder: where the metrics are read and the report is written.
        model: the model with its best weights.
        data: the images it was trained on.
        summary: the content of `summary.json`.
    """
    write_atomic(folder.report_file, render(folder, model, data, summary))


def render(folder: RunFolder, model: Model, data: Data, summary: dict[str, Any]) -> str:
    """The page as text."""
    config = folder.config()
    lines, others = folder.metrics(), folder.other_starts()
    title = title_of(config, data)
    if isinstance(model, AttributeVAE):
        assert isinstance(data, AttributeData)
        found, drawn = _attributes(model, data, summary)
    else:
        assert isinstance(data, ImageData)
        found, drawn = _confusion(summary["test"], data), _binary(config, model, data)
    body = [
        f"<h1>directmax: {escape(title)}</h1>",
        f"<p class=note>{_length(config, summary)}, seed {config.seed}; the best validation "
        f"{'accuracy' if config.labels else 'bound'}, epoch {summary['best_epoch']}, chose the "
        f"weights. {summary['seconds_per_epoch']:.2f} s an epoch (median).</p>",
        _results(summary),
        found,
        "<h2>Training</h2>",
        "<div class=pair>"
        f"{pictures.svg(pictures.bound_curves(lines, summary['best_epoch'], others), 'bound')}"
        f"{pictures.svg(pictures.kl_curves(lines), 'kl')}</div>",
        drawn,
        "<h2>Configuration</h2>",
        _table(["setting", "value"], [[k, _short(v)] for k, v in config.to_dict().items()]),
        f"<p class=note>Data: {escape(data.source)}</p>",
        "<h2>Versions and machine</h2>",
        _table(
            ["name", "value"],
            [
                [name, str(value)]
                for part in ("versions", "machine")
                for name, value in summary[part].items()
            ]
            + [["git commit", str(summary["git_commit"])]],
        ),
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>directmax: {escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _binary(config: TrainConfig, model: DiscreteVAE | MixedVAE, data: ImageData) -> str:
    """Codes, reconstructions and the use of codes."""
    generator = torch.Generator().manual_seed(config.seed)
    validation = split_images(config, data, "validation")
    codes, which = _codes(model, data, generator)
    some = validation[:NUM_RECONSTRUCTIONS]
    pairs = pictures.pairs(some, pictures.reconstructed(model, some), data.shape, columns=10)
    usage = pictures.svg(pictures.usage_bars(pictures.code_usage(model, validation)), "usage")
    return (
        f"<h2>{which}, decoded</h2>"
        + _image(pictures.png(codes), which)
        + "<h2>Validation images and their reconstructions</h2>"
        "<p class=note>Each row of images is followed by what the decoder makes of their most "
        "probable codes.</p>"
        + _image(pictures.png(pairs), "images and reconstructions")
        + f"<h2>Use of the codes</h2><div class=wide>{usage}</div>"
    )


def _attributes(
    model: AttributeVAE, data: AttributeData, summary: dict[str, Any]
) -> tuple[str, str]:
    """The table of accuracies, and the picture of attributes on and off."""
    table = ""
    if "accuracy" in summary["test"]:
        rows = attribute_report.accuracies(summary, data.attribute_names)
        table = "<h2>Accuracy of every attribute, %</h2>" + _table(["", "validation", "test"], rows)
    drawn, names = attribute_report.picture(model, data)
    return table, (
        "<h2>Validation images with attributes on and off</h2>"
        "<p class=note>Each row: the image, its reconstruction, and its Gaussian code decoded with "
        "the attributes above the column.</p>"
        f"<div class=wide>{_image(drawn, 'images by ' + ', '.join(names))}</div>"
    )


def _length(config: TrainConfig, summary: dict[str, Any]) -> str:
    epochs = summary["epochs"]
    length = f"{epochs} epochs"
    if summary.get("stopped_early"):
        length = f"{epochs} of {config.epochs} epochs (no better one in the last {config.patience})"
    if not config.start_epochs:
        return length
    return f"the best of {config.starts} starts after {config.start_epochs} epochs, {length}"


def _codes(
    model: DiscreteVAE | MixedVAE, data: ImageData, generator: torch.Generator
) -> tuple[Any, str]:
    """A picture of the codes, and what it shows."""
    if isinstance(model, MixedVAE):
        images = pictures.analogies(model, 20, generator=generator)
        return pictures.tile(images, data.shape, 20), "A row a value, a column a Gaussian code"
    states = number_of_states(model.encoder.num_variables, model.encoder.num_values)
    count = MAX_CODES if states <= MAX_CODES else 60
    images = pictures.decoded_codes(model, count, generator=generator)
    which = f"All {states} codes" if states <= MAX_CODES else f"{count} random codes"
    return pictures.tile(images, data.shape, columns=20), which


def _confusion(metrics: dict[str, Any], data: ImageData) -> str:
    """The confusion matrix of the test images, for the mixed model."""
    if "confusion" not in metrics:
        return ""
    names = list(data.label_names) or [str(number) for number in range(data.num_classes)]
    matrix = metrics["confusion"]
    header = ["class", *names, *["none"] * (len(matrix[0]) - len(names))]
    rows = [[name, *map(str, row)] for name, row in zip(names, matrix, strict=True)]
    return (
        "<h2>Test images by class and predicted class</h2>"
        f"<p class=note>Accuracy of the most probable value: {metrics['accuracy']:.2%}.</p>"
        + _table(header, rows)
    )


def _results(summary: dict[str, Any]) -> str:
    rows = []
    for split in ("validation", "test"):
        values = summary[split]
        rows.append(
            [split, *(_nats(values[key]) for key in ("bound", "reconstruction", "kl", "nll"))]
        )
    samples, valid = summary["test"]["num_samples"], summary["test"]["valid"]
    how = "exact, by enumeration" if samples is None else f"{samples} samples an image"
    header = ["", "bound", "reconstruction", "KL", "−log p(x)"]
    note = f"Nats per image; {how}."
    authors = [summary[split]["authors"] for split in ("validation", "test")]
    if not valid:
        header[1], header[3] = "no bound", "KL of the unary potentials"
        note += f" {NO_BOUND}"
    elif authors[0] is not None:
        header.append("no bound")
        rows = [[*row, _nats(value)] for row, value in zip(rows, authors, strict=True)]
        note += f" Bound and KL are those of the Gibbs distribution. {NO_BOUND}"
    return _table(header, rows) + f"<p class=note>{note}</p>"


def _short(value: object) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _nats(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div>"


def _image(content: bytes, alt: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
