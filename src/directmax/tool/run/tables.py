"""Tables of a run's numbers, for the terminal and for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from directmax.tool.look.content import Cell, Table
from directmax.tool.run.evaluation import NO_BOUND


def results_table(summary: Mapping[str, Any]) -> Table:
    """Of the validation and the test images of a finished run, with what is simpler.

    Args:
        summary: of the run.
    """
    classes = "confusion" in summary["test"]
    metrics = {split: summary[split] for split in ("validation", "test")}
    return bound_table(metrics, summary.get("yardsticks") if classes else None)


def bound_table(
    metrics: Mapping[str, Mapping[str, Any]], yardsticks: Mapping[str, Any] | None = None
) -> Table:
    """Bound, its terms and −log p(x) in nats per image, and accuracy where there is one.

    Args:
        metrics: by split, as `Metrics.to_dict` and `summary.json` have them.
        yardsticks: of the summary of a run with classes: what is simpler has on the test images.
    """
    first = next(iter(metrics.values()))
    samples = first["num_samples"]
    method = "exact, by enumeration" if samples is None else f"{samples} samples an image"
    columns = {"bound": "bound", "reconstruction": "reconstruction", "kl": "KL", "nll": "−log p(x)"}
    note = ""
    if not first["valid"]:
        columns["bound"], columns["kl"] = "no bound", "KL of the unary potentials"
        note = NO_BOUND
    elif first["authors"] is not None:
        columns["authors"] = "no bound"
        note = f"Bound and KL are those of the Gibbs distribution. {NO_BOUND}"
    if first.get("amortized") is not None:
        columns["amortized"] = "encoder's bound"
        refined = "The bound is that of codes refined by a local search with the decoder."
        gibbs = f"The encoder's is that of the Gibbs distribution. {NO_BOUND}"
        note = refined if first["authors"] is None else f"{refined} {gibbs}"
    rows: list[list[Any]] = [
        [split, *(_nats(each[name]) for name in columns)] for split, each in metrics.items()
    ]
    if "accuracy" in first:
        columns["accuracy"] = "accuracy, %"
        method = f"{samples} Gaussian {'sample' if samples == 1 else 'samples'} for every z"
        for row, each in zip(rows, metrics.values(), strict=True):
            row.append(_accuracy(each["accuracy"], _majority(each)))
        if yardsticks:
            simple = f"{100 * yardsticks['regression']['accuracy']:.2f} %"
            note = f"Logistic regression on the labelled images: {simple} of the test images right."
    return Table(f"nats per image, {method}", ["", *columns.values()], rows, note)


def confusion_table(
    split: str, matrix: Sequence[Sequence[int]], names: Sequence[str] = ()
) -> Table:
    """Images by class (rows) and predicted class (columns).

    Args:
        split: which images.
        matrix: counts; a column beyond the number of rows is that of values without a class.
        names: of the classes; their numbers when empty.

    Example:
        >>> confusion_table("test", [[3, 0, 1], [1, 2, 0]]).columns
        ['class', '0', '1', 'none']
    """
    names = names or [str(number) for number in range(len(matrix))]
    columns = ["class", *names, *["none"] * (len(matrix[0]) - len(matrix))]
    rows = [[name, *row] for name, row in zip(names, matrix, strict=True)]
    return Table(f"{split}: images by class and predicted class", columns, rows)


def attribute_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    """Accuracy of every attribute, in per cent, beside that of always the more frequent value.

    Args:
        metrics: by split, with `attributes` from 0 to 1 by name, and `majority` where it is known.

    Example:
        >>> test = {"attributes": {"Male": 0.98}, "majority": {"Male": 0.6}}
        >>> str(attribute_table({"test": test}).cells[0][1])
        '98.00 (majority 60.00)'
    """
    found = {split: each for split, each in metrics.items() if "attributes" in each}
    names = next(iter(found.values()))["attributes"]
    rows = [
        [
            name,
            *(
                _accuracy(each["attributes"][name], each.get("majority", {}).get(name))
                for each in found.values()
            ),
        ]
        for name in names
    ]
    return Table("accuracy of every attribute, %", ["", *found], rows)


def score_table(summary: Mapping[str, Any], shown: Mapping[str, str]) -> Table:
    """How right and how honest q(z|x) is on the test images, and what simpler methods have.

    Args:
        summary: of a run, with `scores` of the test images.
        shown: yardsticks that a summary may have, in words.
    """
    others = summary.get("yardsticks", {})
    rows = []
    for name, own in summary["test"]["scores"].items():
        simpler = [found.get(name, {}).get("accuracy") for found in others.values()]
        accuracies = [own["accuracy"], own["balanced"], own["majority"], *simpler]
        cells = [None if each is None else f"{100 * each:.2f}" for each in accuracies]
        honest = [f"{own['cross_entropy']:.3f}", f"{own['calibration_error']:.3f}"]
        rows.append([name, *cells, *honest])
    return Table(
        "test images: the model beside what is simpler, accuracy in %",
        ["", "model", "balanced", "majority", *others, "nats", "calibration"],
        rows,
        "Balanced: the mean of the model's accuracies on images with and without. "
        + "".join(f"{key.capitalize()}: {shown[key]}. " for key in others)
        + "Nats: the model's cross-entropy. Calibration: the mean distance of its probability "
        "and the share that is so, in ten equally wide bins.",
    )


def switched_table(found: Mapping[str, Any]) -> Table:
    """What `switching_scores` found, in per cent."""
    heads = ("switched", "kept", "near", "alike", "recognised", "judge")
    rows = [
        [name, *(None if each[key] is None else f"{100 * each[key]:.2f}" for key in heads)]
        for name, each in found["attributes"].items()
    ]
    distances = found["frechet"]
    return Table(
        f"{found['images']:,} test images with one attribute switched, judged by a classifier of "
        "real images, %",
        ["", *heads],
        rows,
        "Switched: it sees the other value. Kept: every other attribute as in the reconstruction. "
        "Near, alike: nearer to the image, in pixels and to the judge, than two images are to each "
        "other. Recognised: in the reconstruction as in the image. Judge: how often it is right. "
        f"Reconstruction error (root mean square, pixels 0 to 1) {found['error']:.4f}; Fréchet "
        f"distance of the judge's features to those of the images: reconstructed "
        f"{distances['reconstructed']:.2f}, switched {distances['switched']:.2f}.",
    )


def training_note(summary: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """Why the validation bound of the best epoch was another one while the run trained; "" if not.

    Args:
        summary: of the run.
        lines: its `metrics.jsonl`, of the start that was continued.
    """
    best = [line for line in lines if line["epoch"] == summary["best_epoch"]]
    then, last = (each["validation"]["bound"] for each in (best[-1] if best else summary, summary))
    if _nats(then) == _nats(last):
        return ""
    refined = "amortized" in summary["validation"]
    less = "fewer samples an image" + (", or of codes searched for once" if refined else "")
    return (
        f"While it trained, the validation bound of epoch {summary['best_epoch']} was "
        f"{_nats(then)}: then it is of fewer images, or of {less}."
    )


def _majority(values: Mapping[str, Any]) -> float | None:
    """Accuracy of always the most frequent class or values."""
    if "confusion" in values:
        counts = [sum(row) for row in values["confusion"]]
        return max(counts) / max(1, sum(counts))
    majorities = values.get("majority", {}).values()
    return sum(majorities) / len(majorities) if majorities else None


def _accuracy(value: float, majority: float | None) -> Cell:
    below = "" if majority is None else f"majority {100 * majority:.2f}"
    return Cell(f"{100 * value:.2f}", below)


def _nats(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
