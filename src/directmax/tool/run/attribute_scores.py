"""How right and how honest probabilities of binary attributes are, from sums over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax.tool.look.content import Chart, Figure, Series

COLOURS = ("blue", "vermillion", "green", "orange", "purple", "sky")
BINS = 10
"""Of probabilities, equally wide."""
_PLAIN = 5


def score_sums(
    probabilities: Float[Tensor, "b n"],
    labels: Int[Tensor, "b n"],
    decided: Bool[Tensor, "b n"] | None = None,
) -> Float[Tensor, "n m"]:
    """What scores are made of, added up over images, so that sums may be added.

    Args:
        probabilities: of every attribute to be on.
        labels: 1 or 0, −1 where it is not known; such do not count.
        decided: which are taken to be on; None: those that are more probable than not.
    """
    p, known, on = probabilities.double(), labels >= 0, labels > 0
    right = ((p > 0.5 if decided is None else decided) == on) & known
    nats = -torch.where(on, p, 1 - p).clamp_min(1e-12).log() * known
    plain = [known, on & known, right, right & on, nats]
    inside = torch.nn.functional.one_hot((p * BINS).long().clamp(0, BINS - 1), BINS)
    inside = inside * known.unsqueeze(-1)  # (b, n, bins)
    bins = [inside, inside * p.unsqueeze(-1), inside * on.unsqueeze(-1)]
    return torch.cat(
        [torch.stack([each.double().sum(0) for each in plain], -1)]
        + [each.double().sum(0) for each in bins],
        -1,
    )


def scores_of(sums: Float[Tensor, "n m"], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Scores of every attribute of which any image is known, by its name.

    - accuracy: share of right values;
    - balanced: mean of that among images with and without, None where all are the same;
    - cross_entropy: −log of the probability of the right value, nats;
    - calibration_error: Σ_bins (images in bin)/(images) · |mean p − share that is on|, of ten
      equally wide bins of p (Naeini et al. 2015);
    - reliability: of every bin with images, its mean p, share that is on, and number of images;
    - majority: accuracy of always the more frequent value;
    - images: of how many the attribute is known.

    Example:
        >>> sums = score_sums(torch.tensor([[0.95], [0.75], [0.4]]), torch.tensor([[1], [0], [-1]]))
        >>> found = scores_of(sums, ["Hat"])["Hat"]
        >>> found["accuracy"], found["balanced"], round(found["calibration_error"], 2)
        (0.5, 0.5, 0.4)
    """
    found = {}
    for name, row in zip(names, sums.cpu().double(), strict=True):
        count, on, right, right_on, nats = row[:_PLAIN].tolist()
        if not count:
            continue
        inside, p, positive = row[_PLAIN:].view(3, BINS)
        full = inside > 0
        of_on = right_on / on if on else None
        of_off = (right - right_on) / (count - on) if count > on else None
        both = None if of_on is None or of_off is None else (of_on + of_off) / 2
        reliability = torch.stack([p / inside, positive / inside, inside], -1)[full]
        found[name] = {
            "accuracy": right / count,
            "balanced": both,
            "cross_entropy": nats / count,
            "calibration_error": float((p - positive).abs().sum() / count),
            "reliability": reliability.tolist(),
            "majority": max(on, count - on) / count,
            "images": round(count),
        }
    return found


def reliability_figure(scores: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Share of images that have an attribute, against the probability that q(z|x) gives it.

    Example:
        >>> figure = reliability_figure({"Hat": {"reliability": [[0.1, 0.2, 50]]}})
        >>> [series.label for series in figure.charts[0].series]
        ['right', 'Hat']
    """
    series = [Series("right", (0, 1), (0, 1), color="soft", dash="dashed")]
    for index, (name, each) in enumerate(scores.items()):
        p, share, _ = zip(*each["reliability"], strict=True)
        color = COLOURS[index % len(COLOURS)]
        series.append(Series(name, p, share, color=color, marker="o"))
    chart = Chart("", "probability", "share of images", series, y_limits=(0, 1))
    return Figure("reliability", "Test images: how often what q(z|x) says is so", [chart], 1)
