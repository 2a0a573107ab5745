"""What anyone would try first on the same labelled images, beside a model with attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from directmax.distributions import enumerate_states
from directmax.models import AttributeVAE, attribute_prior, distorted
from directmax.tool.config import ResolvedConfig
from directmax.tool.data import AttributeData, ImageStream
from directmax.tool.run.attribute_scores import score_sums, scores_of
from directmax.tool.run.labelled import LARGEST_BATCH

ORIENTATIONS, CELLS = 9, 8
"""Of the histograms of gradients: directions, and cells along a side."""
STEPS = 1000
"""Of the supervised network, at most; it has seen every labelled image hundreds of times then."""
LOOKS = 10
"""At the validation images, while it is trained."""
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse ridges of the regression, of which the validation images choose."""
READ = 250

SHOWN = {
    "regression": "logistic regression on histograms of gradients",
    "network": "the network of q(z|x) trained on the labelled images alone",
}
"""The yardsticks, in words."""


def gradient_histograms(
    images: Float[Tensor, "b channels height width"],
) -> Float[Tensor, "b features"]:
    """Histograms of oriented gradients (Dalal and Triggs 2005): 8×8 cells, blocks of 2×2, L2.

    Args:
        images: in [0, 1]; channels are averaged.

    Example:
        >>> gradient_histograms(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 1764])
    """
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), "replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    angle = torch.atan2(down, across) / math.pi % 1 * ORIENTATIONS
    votes = torch.zeros(len(grey), ORIENTATIONS, *across.shape[2:])
    votes.scatter_(1, angle.long() % ORIENTATIONS, (across.square() + down.square()).sqrt())
    cells = F.adaptive_avg_pool2d(votes, CELLS)
    blocks = F.unfold(cells, 2).transpose(1, 2)  # (b, blocks, 4 · orientations)
    return F.normalize(blocks, dim=-1, eps=1e-3).flatten(1)


def yardsticks(
    config: ResolvedConfig,
    data: AttributeData,
    fresh: AttributeVAE,
    rows: Int64[Tensor, " m"],
    tilt: Float[Tensor, " states"] | None,
    *,
    distortion: float,
    steps: int,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores on the test images of what the same labelled images give without the model.

    Both have what the model has: the validation images choose, and where the labelled images are
    drawn in other shares than all images, the log-odds are shifted by the difference.

    Args:
        config: of the run: seed, learning rate.
        data: the images.
        fresh: an untrained model, whose network of q(z|x) is trained.
        rows: the labelled training images.
        tilt: see `label_loss`.
        distortion: of the images that the network is trained on.
        steps: of the run; the network takes as many, at most 1,000.

    Returns:
        By yardstick and attribute what `scores_of` finds; of the regression also `mirrored`, what
        is `balanced`, of the mirror images of the test images.
    """
    labels = data.train.attributes[rows]
    with ImageStream(data.train.images, batch_size=READ) as stream:
        images = torch.cat(list(stream.batches(rows)))
    shift, names = _shift(labels, tilt), data.attribute_names
    regression, mirrored = (
        scores_of(sums, names) for sums in _regression(data, images, labels, shift)
    )
    for name, each in regression.items():
        each["mirrored"] = mirrored[name]["balanced"]
    network = _network(config, data, fresh, images, labels, shift, min(steps, STEPS), distortion)
    return {"regression": regression, "network": scores_of(network, names)}


def attribute_advice(summary: Mapping[str, Any], *, symmetric: bool = True) -> list[str]:
    """A line for each thing that is simpler than the model and better on the test images.

    Args:
        summary: of a run.
        symmetric: whether training images were mirrored.

    Example:
        >>> hat = {"accuracy": 0.6, "majority": 0.7, "calibration_error": 0.01}
        >>> attribute_advice({"test": {"scores": {"Hat": hat}}})
        ['Worse than the majority: Hat 60.00 % right on the test images, and 70.00 % by always \
saying the more frequent value. Try more --labels or more --epochs.']
    """
    scores = summary["test"].get("scores", {})
    found = [
        f"Worse than the majority: {name} {each['accuracy']:.2%} right on the test images, and "
        f"{each['majority']:.2%} by always saying the more frequent value. Try more --labels or "
        "more --epochs."
        for name, each in scores.items()
        if each["accuracy"] < each["majority"]
    ]
    for yardstick, others in summary.get("yardsticks", {}).items():
        worse = [
            f"{name} {each['accuracy']:.2%} against {others[name]['accuracy']:.2%}"
            for name, each in scores.items()
            if name in others and each["accuracy"] < others[name]["accuracy"]
        ]
        if worse:
            found.append(f"Worse than {SHOWN[yardstick]}: {'; '.join(worse)} (test images).")
    for name, each in summary.get("yardsticks", {}).get("regression", {}).items():
        if symmetric and _tells_sides(each):
            found.append(
                f"{name} tells left from right: {SHOWN['regression']} has {each['balanced']:.2%} "
                f"of the test images right, and {each['mirrored']:.2%} of their mirror images. "
                "Training images are mirrored, so the model cannot learn it: add --no-symmetric."
            )
    return [line.replace("%", " %") for line in found]


def _tells_sides(scores: Mapping[str, Any]) -> bool:
    """Whether a regression is right on images and wrong on mirrored ones, by two errors each."""
    balanced, mirrored = scores["balanced"], scores.get("mirrored")
    if balanced is None or mirrored is None:  # of one kind alone, or of a run of before
        return False
    more = scores["majority"] * scores["images"]
    margin = 0.5 * math.sqrt(1 / more + 1 / (scores["images"] - more))
    return bool(balanced - 0.5 > margin and 0.5 - mirrored > margin)


def _shift(labels: Tensor, tilt: Tensor | None) -> Float[Tensor, " n"]:
    """Log-odds of every attribute among the labelled images minus those among all."""
    n = labels.shape[1]
    if tilt is None:
        return torch.zeros(n)
    drawn = attribute_prior(labels)
    bits = enumerate_states(n, 2)[..., 1]
    on = [(table.exp() @ bits).clamp(1e-6, 1 - 1e-6).logit() for table in (drawn, drawn - tilt)]
    return on[0] - on[1]


def _parts(data: AttributeData, split: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Images in [0, 1] and labels of a split, some at a time."""
    part = getattr(data, split)
    rows = torch.arange(len(part))
    with ImageStream(part.images, batch_size=READ) as stream:
        for chunk, images in zip(rows.split(READ), stream.batches(rows), strict=True):
            yield images.float() / 255, part.attributes[chunk]


def _regression(
    data: AttributeData, images: UInt8[Tensor, "m c h w"], labels: Tensor, shift: Tensor
) -> list[Tensor]:
    """Sums of scores on the test images, and on their mirror images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = gradient_histograms(images.float() / 255).numpy()
    looked_at = {
        split: [(gradient_histograms(x).numpy(), y) for x, y in _parts(data, split)]
        for split in ("validation", "test")
    }
    looked_at["mirrored"] = [
        (gradient_histograms(x.flip(-1)).numpy(), y) for x, y in _parts(data, "test")
    ]
    columns: list[Tensor] = []  # (2, N) each
    for index in range(labels.shape[1]):
        known = (labels[:, index] >= 0).numpy()
        target = labels[:, index].numpy()[known]
        if len(np.unique(target)) < 2:  # nothing to learn from: always what was seen
            odds = np.full((2, len(data.test)), 10.0 if target.sum() else -10.0)
            columns.append(torch.from_numpy(odds) - shift[index])
            continue
        scaler = StandardScaler().fit(features[known])
        best = (math.inf, np.zeros(0))
        for strength in STRENGTHS:
            fitted = LogisticRegression(C=strength, max_iter=200)
            fitted.fit(scaler.transform(features[known]), target)
            odds_of = {
                split: np.concatenate(
                    [fitted.decision_function(scaler.transform(x)) for x, _ in parts]
                )
                for split, parts in looked_at.items()
            }
            truth = data.validation.attributes[:, index : index + 1]
            p = torch.from_numpy(odds_of["validation"]) - shift[index]
            sums = score_sums(p.sigmoid().unsqueeze(1), truth)
            both = np.stack([odds_of["test"], odds_of["mirrored"]])
            best = min(best, (float(sums[0, 4]), both), key=lambda pair: pair[0])
        columns.append(torch.from_numpy(best[1]) - shift[index])
    probabilities = torch.stack(columns, -1).sigmoid()
    return [score_sums(each, data.test.attributes) for each in probabilities]


def _network(
    config: ResolvedConfig,
    data: AttributeData,
    fresh: AttributeVAE,
    images: UInt8[Tensor, "m c h w"],
    labels: Tensor,
    shift: Tensor,
    steps: int,
    distortion: float,
) -> Tensor:
    """The layers of `classify`, with distorted images; the best of ten looks at validation."""
    layers = fresh.encoder.classifier
    n = labels.shape[1]
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.Adam(layers.parameters(), lr=config.learning_rate)
    size = min(len(images), LARGEST_BATCH)
    best, chosen = math.inf, layers.state_dict()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        rows = torch.randint(len(images), (size,), generator=generator)
        seen = images[rows].float() / 255
        if distortion:
            mirror = config.symmetric
            seen = distorted(seen, distortion, cover=False, mirror=mirror, generator=generator)
        known = labels[rows] >= 0
        odds = layers(2 * seen - 1)[:, : 2 * n].unflatten(-1, (n, 2)).diff(dim=-1).squeeze(-1)
        target = labels[rows].clamp_min(0).to(odds)
        loss = F.binary_cross_entropy_with_logits(odds, target, reduction="none")
        (loss * known).sum().div(known.sum().clamp_min(1)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % max(1, steps // LOOKS) == 0:
            wrong = -_scored(layers, data, "validation", shift)[:, 2].sum().item()
            if wrong < best:
                best, chosen = wrong, {k: v.clone() for k, v in layers.state_dict().items()}
    layers.load_state_dict(chosen)
    return _scored(layers, data, "test", shift)


@torch.no_grad()
def _scored(
    layers: Callable[[Tensor], Tensor], data: AttributeData, split: str, shift: Tensor
) -> Tensor:
    n = len(shift)
    total = score_sums(torch.zeros(0, n), torch.zeros(0, n, dtype=torch.int64))
    for images, labels in _parts(data, split):
        odds = layers(2 * images - 1)[:, : 2 * n].unflatten(-1, (n, 2)).diff(dim=-1).squeeze(-1)
        total = total + score_sums((odds - shift).sigmoid(), labels)
    return total
