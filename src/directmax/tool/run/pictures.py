"""Pictures of a model: what its codes look like, what it makes of an image, how it trained."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from directmax.distributions import (
    DiscreteDistribution,
    PairwiseBinary,
    enumerate_states,
    number_of_states,
)
from directmax.models import DiscreteVAE, MixedVAE

PAPER_GREY = 128
GAP = 2

# Okabe and Ito's palette, safe for the colour-blind; the first two also differ in lightness.
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"
INK = "#010203"
"""Colour of text and axes in vector figures; `svg` turns it into the page's text colour."""


@torch.no_grad()
def decoded_codes(
    model: DiscreteVAE, count: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "c d"]:
    """Mean images of every code, in order, where there are at most `count`; else of random codes.

    Args:
        model: a trained model.
        count: the largest number of images.
        generator: draws the random codes, uniformly, on the CPU.

    Returns:
        Pixel probabilities `(c, d)`.
    """
    n, k = model.encoder.num_variables, model.encoder.num_values
    parameter = next(model.parameters())
    if number_of_states(n, k) <= count:
        codes = enumerate_states(n, k, max_states=count, dtype=parameter.dtype)
    else:
        values = torch.randint(k, (count, n), generator=generator)
        codes = torch.zeros(count, n, k, dtype=parameter.dtype)
        codes.scatter_(-1, values.unsqueeze(-1), 1.0)
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
        Pixel probabilities `(k · columns, d)`, row by row.

    Reference: Lorberbom et al. 2019, figure 4.
    """
    k, c = model.encoder.num_values, model.encoder.num_dimensions
    parameter = next(model.parameters())
    order = torch.arange(k) if order is None else order
    noise = torch.randn(columns, c, generator=generator)
    matrix = torch.zeros(k, columns, k, c)
    matrix[torch.arange(k), :, order] = noise
    return model.decoder(matrix.flatten(0, 1).to(parameter)).sigmoid().cpu()


@torch.no_grad()
def reconstructed(
    model: DiscreteVAE | MixedVAE, images: Float[Tensor, "b d"]
) -> Float[Tensor, "b d"]:
    """Mean images decoded from the most probable code of each image, with its Gaussian's mean."""
    parameter = next(model.parameters())
    images = images.to(parameter.device, parameter.dtype)
    mode = model.posterior(images).mode()
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
        q = model.posterior(part.to(parameter.device, parameter.dtype))
        sums += (q.sample(10).mean(0) if _many_states(q) else q.marginals()).sum(0).cpu()
    return sums / len(images)


def _many_states(q: DiscreteDistribution) -> bool:
    return isinstance(q, PairwiseBinary) and q.num_variables > 20


def tile(
    images: Float[Tensor, "c d"], shape: tuple[int, int], columns: int
) -> UInt8[np.ndarray, "height width"]:
    """Images side by side, row by row, ink dark on white, with a grey gap.

    Args:
        images: `(c, h·w)` in [0, 1], ink = 1.
        shape: (h, w) of one image.
        columns: images in a row.

    Returns:
        A grey picture.
    """
    height, width = shape
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    picture = np.full(
        (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP), PAPER_GREY, dtype=np.uint8
    )
    for index, image in enumerate(images):
        top = GAP + (index // columns) * (height + GAP)
        left = GAP + (index % columns) * (width + GAP)
        grey = (255 * (1 - image.float().numpy().reshape(shape))).round().clip(0, 255)
        picture[top : top + height, left : left + width] = grey.astype(np.uint8)
    return picture


def above(*pictures: UInt8[np.ndarray, ...]) -> UInt8[np.ndarray, ...]:
    """Pictures one above the other, padded to one width."""
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=PAPER_GREY) for p in pictures
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


def bound_curves(
    lines: list[dict[str, Any]], best_epoch: int, others: Sequence[list[dict[str, Any]]] = ()
) -> Figure:
    """Training and validation bound by epoch, and the latter of starts that were not continued."""
    figure, axes = _curves(lines, "bound")
    for number, other in enumerate(others):
        epochs, bounds = zip(*((x["epoch"], x["validation"]["bound"]) for x in other), strict=True)
        label = "" if number else "validation, other starts"
        axes.plot(epochs, bounds, color=BLUE, alpha=0.4, linewidth=1, label=label)
    if others:
        axes.legend(frameon=False, labelcolor=INK)
    train = [line["train"]["bound"] for line in lines]
    validation = sorted(line["validation"]["bound"] for line in lines)
    if best_epoch:
        axes.axvline(best_epoch, color=GREEN, linestyle=":", label=f"best, epoch {best_epoch}")
        axes.legend(frameon=False, labelcolor=INK)
    # The first epochs are far above the rest: show where the curves end up.
    low, high = min(validation[0], *train), validation[int(0.9 * (len(validation) - 1))]
    margin = max(0.15 * (high - low), 0.02 * abs(low), 1e-3)
    axes.set_ylim(low - margin, high + margin)
    return figure


def kl_curves(lines: list[dict[str, Any]]) -> Figure:
    """The KL term by epoch."""
    return _curves(lines, "kl")[0]


def _curves(lines: list[dict[str, Any]], term: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    epochs = [line["epoch"] for line in lines]
    for part, label, color in (("train", "training", ORANGE), ("validation", "validation", BLUE)):
        values = [line[part][term] for line in lines]
        axes.plot(epochs, values, color=color, label=label, marker="" if len(epochs) > 1 else "o")
    axes.set_xlabel("epoch")
    axes.set_ylabel({"bound": "bound", "kl": "KL term"}[term] + ", nats per image")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.legend(frameon=False, labelcolor=INK)
    _ink(axes)
    return figure, axes


def usage_bars(usage: Float[Tensor, "n k"]) -> Figure:
    """How often codes are used: for one variable sorted bars, for more one row a variable."""
    n, k = usage.shape
    figure = Figure(figsize=(9, 2.6 if n == 1 else min(8.0, 1.6 + 0.22 * n)), layout="constrained")
    axes = figure.subplots()
    if n == 1:
        axes.bar(range(1, k + 1), usage[0].sort(descending=True).values.tolist(), color=BLUE)
        axes.axhline(1 / k, color=ORANGE, linestyle="--", label="uniform prior")
        axes.set_xlabel("code, most used first")
        axes.set_ylabel("share of validation images")
        axes.legend(frameon=False, labelcolor=INK)
    else:
        mesh = axes.imshow(
            usage.numpy(),
            aspect="auto",
            interpolation="nearest",
            cmap="cividis",
            vmin=0,
            vmax=max(2 / k, float(usage.max())),  # uniform use: the middle of the scale or below
            extent=(0.5, k + 0.5, n + 0.5, 0.5),
        )
        bar = figure.colorbar(mesh, ax=axes, label="share of validation images")
        axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        _ink(bar.ax)
        bar.outline.set_edgecolor(INK)
        axes.set_xlabel("value")
        axes.set_ylabel("variable")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    _ink(axes)
    return figure


def svg(figure: Figure, name: str) -> str:
    """An SVG element whose text and axes take the colour of the page, for light and dark.

    Args:
        figure: what to draw.
        name: of the figure, different from that of others on the page.
    """
    buffer = io.StringIO()
    # Text stays text, in the page's font; names depend on the content alone.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = text.replace(BLUE, f"var(--blue,{BLUE})")  # lighter on a dark page
    # Several figures share a page: no two elements may have one name.
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)


def _ink(axes: Any) -> None:
    for spine in axes.spines.values():
        spine.set_color(INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, which="both")
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
