"""Values of z as classes: which stands for which, how often they are right."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax._precision import sum_dtype
from directmax.models import MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.run.evaluation import Metrics
from directmax.tool.run.selection import standard_error

BATCH = 4096


@torch.no_grad()
def counts_of(
    model: MixedVAE,
    images: Float[Tensor, "N d"],
    labels: Int64[Tensor, " N"],
    num_classes: int,
    *,
    reduce: Callable[[Tensor], Tensor] | None = None,
) -> Int64[Tensor, "classes k"]:
    """Images by class (rows) and most probable value of z (columns).

    Args:
        model: a trained model.
        images: x.
        labels: their classes.
        num_classes: number of classes.
        reduce: sums a tensor over processes, where each holds a share of the images.
    """
    k = model.encoder.num_values
    values = torch.cat(
        [model.posterior(part).mode().squeeze(1).argmax(-1) for part in images.split(BATCH)]
    )
    pairs = labels.to(values.device) * k + values
    counts = torch.bincount(pairs, minlength=num_classes * k).view(num_classes, k)
    counts = counts.to(sum_dtype(counts.device))
    return (counts if reduce is None else reduce(counts)).round().long().cpu()


def matched(counts: Int64[Tensor, "classes k"]) -> Int64[Tensor, " k"]:
    """The class of every value, one-to-one so that most images are right; −1 for a value left over.

    Args:
        counts: see `counts_of`.

    Example:
        >>> matched(torch.tensor([[1, 5, 0], [4, 1, 3]]))
        tensor([ 1,  0, -1])

    Reference: the Hungarian method, Kuhn 1955.
    """
    from scipy.optimize import linear_sum_assignment

    classes, values = linear_sum_assignment(counts.numpy(), maximize=True)
    result = torch.full((counts.shape[1],), -1)
    result[torch.from_numpy(values)] = torch.from_numpy(classes)
    return result


def confusion_of(
    counts: Int64[Tensor, "classes k"], classes: Int64[Tensor, " k"]
) -> tuple[list[list[int]], float]:
    """The confusion matrix and the accuracy of values that stand for classes.

    Args:
        counts: see `counts_of`.
        classes: of every value, −1 for none.

    Returns:
        Images by class (rows) and predicted class (columns), with one more column for "none" where
        a value stands for no class; and the share of images on the diagonal.

    Example:
        >>> confusion_of(torch.tensor([[1, 5, 0], [4, 1, 3]]), torch.tensor([1, 0, -1]))
        ([[5, 1, 0], [1, 4, 3]], 0.6428571428571429)
    """
    rows = counts.shape[0]
    columns = torch.where(classes < 0, rows, classes)
    width = rows + int((classes < 0).any())
    matrix = torch.zeros(rows, width, dtype=torch.int64).index_add(1, columns, counts)
    right = int(matrix.diagonal().sum())
    return matrix.tolist(), right / max(1, int(matrix.sum()))


def with_accuracy(
    metrics: Metrics, counts: Int64[Tensor, "classes k"], classes: Int64[Tensor, " k"]
) -> Metrics:
    """Metrics with accuracy, its standard error and the confusion matrix; see `confusion_of`."""
    confusion, accuracy = confusion_of(counts, classes)
    error = standard_error([(accuracy, int(counts.sum()))])
    return dataclasses.replace(
        metrics, accuracy=accuracy, accuracy_error=error, confusion=confusion
    )


def classes_of(config: ResolvedConfig, counts: Int64[Tensor, "classes k"]) -> Int64[Tensor, " k"]:
    """The class that every value stands for: its own with labels, else matched on these images.

    Args:
        config: says whether there were labels.
        counts: of the validation images; see `counts_of`.
    """
    return torch.arange(counts.shape[1]) if config.labels else matched(counts)
