"""Pictures of a model: what its codes look like, what it makes of an image, how it trained."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from directmax.distributions import (
    DiscreteDistribution,
    PairwiseBinary,
    enumerate_states,
    number_of_states,
)
from directmax.models import DiscreteVAE, MixedVAE, StructuredEncoder
from directmax.tool.config import ResolvedConfig
from directmax.tool.look import content
from directmax.tool.look.content import Chart, Series
from directmax.tool.look.palette import LIGHT
from directmax.tool.run.codes import inferred

PAPER_GREY = 128
GAP = 2
MOST_VALUES = 100
"""Rows of images, one a value."""
CHUNK_NUMBERS = 2**24
"""Of codes that are decoded at a time."""
PARTS = {"training": "train", "validation": "validation"}
"""Images of a line of `metrics.jsonl`, by their names."""


@torch.no_grad()
def decoded_codes(
    model: DiscreteVAE, count: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "c d"]:
    """Mean images of every code, in order, where there are at most `count`; else of random codes.

    Args:
        model: a trained model.
        count: the largest number of images.
        generator: draws the random codes, of the prior, on the CPU.

    Returns:
        Pixel probabilities `(c, d)`.
    """
    n, k = model.encoder.num_variables, model.encoder.num_values
    parameter = next(model.parameters())
    if number_of_states(n, k) <= count:
        codes = enumerate_states(n, k, max_states=count, dtype=parameter.dtype)
        if isinstance(model.encoder, StructuredEncoder):
            structure = model.encoder.structure
            inside = structure.is_feasible(structure.from_one_hot(codes).unsqueeze(1))
            codes = codes[inside.squeeze(1)]
    else:
        codes = model.prior_codes(count, generator=generator)
    return model.decoder(codes.to(parameter.device)).sigmoid().cpu()


@torch.no_grad()
def analogies(
    model: MixedVAE,
    columns: int,
    *,
    order: Int64[Tensor, " k"] | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "c d"]:
    """Mean images of every value of z, a row a value, whose columns share the Gaussian code.

    Args:
        model: a trained model.
        columns: images in a row.
        order: the values of z from the first row to the last; ascending when None.
        generator: draws the Gaussian codes from N(0, I), on the CPU.

    Returns:
        Pixel probabilities `(k · columns, d)`, row by row; of the first 100 values where there are
        more.

    Reference: Lorberbom et al. 2019, figure 4.
    """
    k, c = model.encoder.num_values, model.encoder.num_dimensions
    parameter = next(model.parameters())
    order = (torch.arange(k) if order is None else order)[:MOST_VALUES]
    noise = torch.randn(columns, c, generator=generator)
    images = []
    for part in order.split(max(1, CHUNK_NUMBERS // (columns * k * c))):
        matrix = torch.zeros(len(part), columns, k, c)
        matrix[torch.arange(len(part)), :, part] = noise
        images.append(model.decoder(matrix.flatten(0, 1).to(parameter)).sigmoid().cpu())
    return torch.cat(images)


@torch.no_grad()
def reconstructed(
    model: DiscreteVAE | MixedVAE, images: Float[Tensor, "b d"]
) -> Float[Tensor, "b d"]:
    """Mean images decoded from the most probable code of each image, with its Gaussian's mean."""
    parameter = next(model.parameters())
    images = images.to(parameter.device, parameter.dtype)
    mode = inferred(model, images).mode()
    if isinstance(model, MixedVAE):
        mode = mode.squeeze(1).unsqueeze(-1) * model.encoder(images).mean  # (b, k, c)
    return model.decoder(mode).sigmoid().cpu()


@torch.no_grad()
def code_usage(model: DiscreteVAE | MixedVAE, images: Float[Tensor, "b d"]) -> Float[Tensor, "n k"]:
    """The mean of q(z_i = j | x) over images: how often each value of each variable is used.

    Of structured encoders with more than 20 variables the mean over samples.
    """
    parameter = next(model.parameters())
    sums = torch.zeros(model.encoder.num_variables, model.encoder.num_values)
    for part in images.split(4096):
        q = inferred(model, part.to(parameter.device, parameter.dtype))
        sums += (q.sample(10).mean(0) if _many_states(q) else q.marginals()).sum(0).cpu()
    return sums / len(images)


def _many_states(q: DiscreteDistribution) -> bool:
    return isinstance(q, PairwiseBinary) and q.num_variables > 20


def tile(
    images: Float[Tensor, "c d"], shape: tuple[int, int], columns: int
) -> UInt8[np.ndarray, "height width *3"]:
    """Images side by side, row by row, with a grey gap: ink dark on white, colours as they are.

    Args:
        images: `(c, h·w)` in [0, 1], ink = 1; or `(c, 3·h·w)`, colours one after the other.
        shape: (h, w) of one image.
        columns: images in a row.

    Returns:
        A picture, grey or in colours.
    """
    height, width = shape
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    channels = images.shape[1] // (height * width)
    size = (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP)
    picture = np.full(size if channels == 1 else (*size, channels), PAPER_GREY, dtype=np.uint8)
    for index, image in enumerate(images):
        top = GAP + (index // columns) * (height + GAP)
        left = GAP + (index % columns) * (width + GAP)
        pixels = image.float().numpy()
        pixels = pixels.reshape(-1, *shape).transpose(1, 2, 0) if channels > 1 else 1 - pixels
        bytes_ = (255 * pixels).round().clip(0, 255).astype(np.uint8)
        of_image = picture[top : top + height, left : left + width]
        of_image[:] = bytes_.reshape(of_image.shape)
    return picture


def above(*pictures: UInt8[np.ndarray, ...]) -> UInt8[np.ndarray, ...]:
    """Pictures one above the other, padded to one width."""
    width = max(picture.shape[1] for picture in pictures)
    margins = [((0, 0), (0, width - p.shape[1]), (0, 0))[: p.ndim] for p in pictures]
    padded = [
        np.pad(picture, margin, constant_values=PAPER_GREY)
        for picture, margin in zip(pictures, margins, strict=True)
    ]
    return np.concatenate(padded)


def pairs(
    originals: Float[Tensor, "c d"],
    reconstructions: Float[Tensor, "c d"],
    shape: tuple[int, int],
    columns: int,
) -> UInt8[np.ndarray, "height width"]:
    """Rows of originals, each with its row of reconstructions below."""
    rows = []
    for start in range(0, len(originals), columns):
        part = slice(start, start + columns)
        rows.append(tile(originals[part], shape, columns))
        rows.append(tile(reconstructions[part], shape, columns))
    return above(*rows)


def png(picture: UInt8[np.ndarray, "height width"], *, pixels: int = 900) -> bytes:
    """A PNG file, enlarged by a whole factor to at most about `pixels` in width."""
    image = Image.fromarray(picture)
    factor = max(1, pixels // image.width)
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def parts_of(config: ResolvedConfig) -> dict[str, str]:
    """`PARTS` by names that say whose codes they are of, where those differ."""
    if not config.refine:
        return PARTS
    learned = "where the search ends" if config.estimator == "local-search" else "the encoder's own"
    return {f"training, {learned}": "train", "validation, refined": "validation"}


def training_curves(
    lines: Sequence[dict[str, Any]],
    best_epoch: int,
    others: Sequence[Sequence[dict[str, Any]]] = (),
    *,
    parts: Mapping[str, str] = PARTS,
) -> content.Figure:
    """Bound and KL term by epoch, of training and validation images.

    Args:
        lines: of `metrics.jsonl`.
        best_epoch: the epoch whose weights were chosen; 0 for none.
        others: the same of starts that were not continued, of which the bound is drawn.
        parts: of a line, by what they are called; see `parts_of`.
    """
    bounds = [_curve(name, lines, part) for name, part in parts.items()]
    bounds += [
        replace(_curve("validation, other starts", other, "validation"), faint=True)
        for other in others
    ]
    # The first epochs are far above the rest: show where the curves end up.
    heights = sorted(line["validation"]["bound"] for line in lines)
    low = min(heights[0], *(line["train"]["bound"] for line in lines))
    high = heights[int(0.9 * (len(heights) - 1))]
    margin = max(0.15 * (high - low), 0.02 * abs(low), 1e-3)
    limits = (low - margin, high + margin)
    if best_epoch:
        label = f"best, epoch {best_epoch}"
        bounds.append(Series(label, (best_epoch,) * 2, limits, color="green", dash="dotted"))
    kl = [_curve(name, lines, part, "kl") for name, part in parts.items()]
    charts = [
        Chart("Bound", "epoch", "bound, nats per image", bounds, y_limits=limits),
        Chart("KL term", "epoch", "KL term, nats per image", kl),
    ]
    return content.Figure("training", "Bound and KL term by epoch", charts)


def _curve(label: str, lines: Sequence[dict[str, Any]], part: str, term: str = "bound") -> Series:
    epochs, values = [line["epoch"] for line in lines], [line[part][term] for line in lines]
    color = "orange" if part == "train" else "blue"
    return Series(label, epochs, values, color=color, marker="" if len(epochs) > 1 else "o")


def usage_svg(usage: Float[Tensor, "n k"], prior: Float[Tensor, "n k"] | None = None) -> str:
    """How often codes are used: for one variable sorted bars, for more one row a variable.

    Args:
        usage: shares of images.
        prior: the learned one; uniform when None.
    """
    n, k = usage.shape
    from matplotlib.figure import Figure  # slow to import

    from directmax.tool.look.figures import style, svg, whole_numbers

    with style():
        size = (9, 2.6 if n == 1 else min(8.0, 1.6 + 0.22 * n))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        if n == 1:
            places, (heights, order) = range(1, k + 1), usage[0].sort(descending=True)
            axes.bar(places, heights.tolist(), color=LIGHT["blue"])
            if prior is None:
                axes.axhline(1 / k, color=LIGHT["orange"], linestyle="--", label="uniform prior")
            else:
                shares, orange = prior[0][order].tolist(), LIGHT["orange"]
                axes.step(places, shares, where="mid", color=orange, label="learned prior")
            axes.set(xlabel="code, most used first", ylabel="share of validation images")
            axes.legend()
        else:
            mesh = axes.imshow(
                usage.numpy(),
                aspect="auto",
                interpolation="nearest",
                cmap="cividis",
                vmin=0,
                vmax=max(2 / k, float(usage.max())),  # uniform use: the middle or below
                extent=(0.5, k + 0.5, n + 0.5, 0.5),
            )
            figure.colorbar(mesh, ax=axes, label="share of validation images")
            whole_numbers(axes.yaxis)
            axes.set(xlabel="value", ylabel="variable")
        axes.grid(visible=False)
        whole_numbers(axes.xaxis)
    return svg(figure, "usage", "How often each code is used")
