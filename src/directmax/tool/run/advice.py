"""What a user should know of a finished training: one line each, with what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from directmax.distributions import Categorical
from directmax.estimators import LocalSearch
from directmax.models import DiscreteVAE, MixedVAE
from directmax.tool.run.codes import inferred

STILL_FALLING = 0.003
"""Of the bound, in the last fifth of the run."""
OVERFITTING = 0.05
"""Of the bound, between training and validation images."""
SILENT = 0.01
"""Nats that a variable says of an image, on average."""
UNUSED = 0.1
"""Of the share that a value would have if all were used equally."""
EQUAL_STARTS = 0.001
"""Of the bound, between the best start and the worst."""
LESS_RIGHT = 0.05
"""Of the images, at the end of a run with labels."""
UNEQUAL = 1.25
"""Share of the largest class, in equal shares."""
NUM_IMAGES = 1_000
"""That are encoded to see which codes are used."""


def advice(
    summary: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    model: nn.Module,
    images: Tensor,
    *,
    labelled: bool = False,
    grouped: bool = False,
    starts: Sequence[Sequence[Mapping[str, Any]]] = (),
    start_epochs: int = 0,
) -> list[str]:
    """What to know of a run and what to try.

    Args:
        summary: of the run.
        lines: its `metrics.jsonl`, of the start that was continued.
        model: with its best weights.
        images: validation images, `(N, d)`, on the model's device.
        labelled: whether the values of z are classes, by labels.
        grouped: whether groups added to the labels, and classes were as frequent as they are.
        starts: lines of every other start.
        start_epochs: of each start.
    """
    found = [
        _still_falling(lines, summary["best_epoch"]),
        _overfitting(summary, lines, model),
        _less_right(summary, lines) if labelled and not grouped else "",
        _starts(lines, starts, start_epochs),
    ]
    if isinstance(model, DiscreteVAE | MixedVAE):
        found += [_codes(model, images[:NUM_IMAGES], labelled)]
    return [line for line in found if line]


def _still_falling(lines: Sequence[Mapping[str, Any]], best_epoch: int) -> str:
    bounds = [line["validation"]["bound"] for line in lines]
    earlier = bounds[: round(0.8 * len(bounds))]
    if len(bounds) < 5 or not earlier:
        return ""
    if best_epoch <= len(earlier):  # with labels: what more epochs bring is not kept either
        return ""
    fall = min(earlier) - bounds[-1]
    if bounds[-1] > min(bounds) or fall < STILL_FALLING * bounds[-1]:
        return ""
    return (
        f"The validation bound still fell, by {fall:.2f} nats in the last fifth of the run: a "
        f"longer one may be better (--resume --extend {len(lines)})."
    )


def _learns_refined(model: nn.Module) -> bool:
    """Whether the bound of training images is one of refined codes."""
    return isinstance(model, DiscreteVAE) and isinstance(model.estimator, LocalSearch)


def _overfitting(
    summary: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], model: nn.Module
) -> str:
    best = [line for line in lines if line["epoch"] == summary["best_epoch"]]
    if not best:
        return ""
    training, validation = (best[-1][part]["bound"] for part in ("train", "validation"))
    term, which = "bound", "validation bound"
    if "amortized" in summary["validation"] and not _learns_refined(model):  # as training has it
        term, which = "amortized", "encoder's own validation bound"
        validation = summary["validation"][term]
    gap = validation - training
    if best[-1].get("kl_weight", 1) != 1 or gap < OVERFITTING * validation:
        return ""
    slack = summary["validation"].get("nll")
    encoder = "" if slack is None else f", {summary['validation'][term] - slack:.1f} of it q's"
    other = "or larger --dreams or --pseudo-images"
    if isinstance(model, MixedVAE):
        other = "or a smaller --gaussian"
    return (
        f"The {which} is {gap:.1f} nats above the training images'{encoder}: the model "
        f"learns them by heart. Try more images, a smaller --hidden, {other}."
    )


def _less_right(summary: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """Where classes are not equally frequent, as images without labels are taken to be."""
    kept, last = summary["validation"].get("accuracy"), lines[-1]["validation"].get("accuracy")
    if kept is None or last is None or kept - last < LESS_RIGHT:
        return ""
    counts = [sum(row) for row in summary["validation"]["confusion"]]
    largest = max(counts) / max(1, sum(counts))
    if largest * len(counts) < UNEQUAL:
        return ""
    return (
        f"At the end {last:.1%} of the validation images were right, in epoch "
        f"{summary['best_epoch']} {kept:.1%}: images without labels are taken to be of all classes "
        f"equally often, and {largest:.0%} are of one. Leave out --no-groups."
    )


@torch.no_grad()
def _codes(model: DiscreteVAE | MixedVAE, images: Tensor, labelled: bool) -> str:
    """Of independent variables: those that say nothing, else values that are hardly used."""
    q = inferred(model, images)
    if not isinstance(q, Categorical) or not len(images):
        return ""
    probs = q.probs.float().cpu()
    mean = probs.mean(0)  # (n, k)
    entropy = -torch.special.xlogy(mean, mean).sum(-1)
    each = -torch.special.xlogy(probs, probs).sum(-1).mean(0)
    silent = int((entropy - each < SILENT).sum())
    n, k = mean.shape
    if silent:
        which = "the variable says" if n == 1 else f"{silent} of {n} variables say"
        other = "Try a longer training, --kl-start 10, or some --labels."
        if labelled:
            other = "They are hardly surer than a guess in the epoch that was kept."
        elif isinstance(model, DiscreteVAE):
            other = "Try a longer training, --kl-start 1, or fewer variables."
        return f"Codes are alike: {which} nothing of the images (less than {SILENT} nats). {other}"
    if labelled:  # a value is a class: there can be no fewer
        return ""
    unused = int((mean < UNUSED / k).sum())
    if 2 * unused < n * k:
        return ""
    return (
        f"{unused} of {n * k} values are hardly used (less than {UNUSED:.0%} of an equal share): "
        "fewer --values, or another --seed, may do as well."
    )


def _starts(
    lines: Sequence[Mapping[str, Any]],
    others: Sequence[Sequence[Mapping[str, Any]]],
    start_epochs: int,
) -> str:
    ends = [
        start[start_epochs - 1]["validation"]
        for start in (lines, *others)
        if start_epochs and len(start) >= start_epochs
    ]
    bounds = [end["bound"] for end in ends]
    if len(bounds) < 2 or max(bounds) - min(bounds) >= EQUAL_STARTS * min(bounds):
        return ""
    return (
        f"The {len(bounds)} starts were level when one was chosen ({min(bounds):.2f} to "
        f"{max(bounds):.2f} nats): a longer fall tells them apart (--kl-fraction, --epochs)."
    )
