"""Pictures of a model with attributes: switched on and off, and edited images."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from directmax._choices import check_choice
from directmax.distributions import enumerate_states
from directmax.models import AttributeVAE
from directmax.tool.data import AttributeData
from directmax.tool.data.image_files import opened, read_square, upright
from directmax.tool.run.described import Described

MOST_SWITCHED = 4
"""2^4 images in a row."""
GAP = 2
TEXT_HEIGHT = 11
ENLARGED = 3
"""Times that pixels of small images are shown."""


@dataclass(frozen=True, eq=False)
class Switched:
    """Images by attributes.

    Attributes:
        names: the switched attributes.
        columns: of every column after the first two, the attributes that are on.
        images: `(rows, 2 + columns, channels, height, width)`: the image, its reconstruction, and
            the decoded combinations; of codes of the prior the combinations alone.
        lead: what stands above the columns in front of the combinations.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    images: UInt8[Tensor, "rows columns channels height width"]
    lead: tuple[str, ...] = ("image", "recon-\nstructed")


@dataclass(frozen=True, eq=False)
class Edit:
    """An edited image, and its attributes: probability before, and value after."""

    image: UInt8[Tensor, "channels height width"]
    attributes: dict[str, tuple[float, bool]]


@torch.no_grad()
def switched(
    model: AttributeVAE,
    data: AttributeData,
    count: int,
    *,
    attributes: Sequence[str] = (),
    split: str = "test",
) -> Switched:
    """The first images of a split, decoded with every combination of attributes.

    The Gaussian code of an image is the mean for its own most probable attributes: the decoder
    alone is told of others. Attributes that are not switched stay.

    Args:
        model: a trained model.
        data: the images.
        count: how many.
        attributes: which to switch; none: all of them.
        split: train, validation or test.

    Raises:
        ValueError: more than 4 attributes, or one that the model does not have.

    Reference: Lorberbom et al. 2019, figure 5.
    """
    names = _named(attributes, data.attribute_names)
    images = getattr(data, split).images
    x = torch.stack([images[row] for row in range(min(count, len(images)))])
    x = x.to(model.scale.device)
    attributes_found, code = _own(model, x)
    columns = [data.attribute_names.index(name) for name in names]
    decoded = _combined(model, code, attributes_found, columns)
    shown = [x, _bytes(model.decoder(code, attributes_found)), *decoded]
    return Switched(names, _on(names), torch.stack(shown, 1).cpu())


@torch.no_grad()
def drawn(
    model: AttributeVAE,
    data: AttributeData | Described,
    count: int,
    *,
    attributes: Sequence[str] = (),
    generator: torch.Generator | None = None,
) -> Switched:
    """Codes of the prior, decoded with every combination of attributes; others are random.

    Args:
        model: a trained model.
        data: names the attributes.
        count: how many codes.
        attributes: which to switch; none: all of them.
        generator: draws them, on the CPU.

    Raises:
        ValueError: more than 4 attributes, or one that the model does not have.
    """
    names = _named(attributes, data.attribute_names)
    code = torch.randn(count, model.encoder.num_dimensions, generator=generator)
    bits = torch.randint(2, (count, model.encoder.num_variables), generator=generator)
    columns = [data.attribute_names.index(name) for name in names]
    images = _combined(model, code.to(model.scale), bits.to(model.scale), columns)
    return Switched(names, _on(names), torch.stack(images, 1).cpu(), lead=())


def _named(attributes: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes to switch."""
    names = tuple(attributes) or known
    for name in names:
        check_choice("attribute", name, known)
    if len(names) > MOST_SWITCHED:
        raise ValueError(
            f"--attributes may switch at most {MOST_SWITCHED} of the model's {len(known)}: name "
            "them"
        )
    return names


def _combined(
    model: AttributeVAE, code: Tensor, found: Tensor, columns: list[int]
) -> list[UInt8[Tensor, "rows channels height width"]]:
    """Codes decoded with every combination of some attributes."""
    decoded = []
    for state in enumerate_states(len(columns), 2)[..., 1]:
        bits = found.clone()
        bits[:, columns] = state.to(bits)
        decoded.append(_bytes(model.decoder(code, bits)))
    return decoded


def _on(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Of every combination, the attributes that are on."""
    return tuple(
        tuple(name for name, value in zip(names, state.tolist(), strict=True) if value)
        for state in enumerate_states(len(names), 2)[..., 1]
    )


@torch.no_grad()
def edited(
    model: AttributeVAE,
    data: AttributeData | Described,
    image: UInt8[Tensor, "channels height width"],
    changes: Mapping[str, bool],
    *,
    keep_detail: bool = False,
) -> Edit:
    """An image with attributes switched; see `switched` for what stays.

    Args:
        model: a trained model.
        data: names the attributes.
        image: 0 … 255.
        changes: attributes to set.
        keep_detail: the image plus the change of the decoded one, in place of the decoded one.
    """
    x = image.unsqueeze(0).to(model.scale.device)
    probability = model.posterior(x).marginals()[0, :, 1].tolist()
    attributes_found, code = _own(model, x)
    bits = attributes_found.clone()
    for name, value in changes.items():
        bits[:, data.attribute_names.index(name)] = float(value)
    decoded = model.decoder(code, bits)
    if keep_detail:
        decoded = x / 255 + decoded - model.decoder(code, attributes_found)
    after = [value > 0.5 for value in bits[0].tolist()]
    both = zip(probability, after, strict=True)
    attributes = dict(zip(data.attribute_names, both, strict=True))
    return Edit(_bytes(decoded)[0].cpu(), attributes)


def read_image(path: Path, size: int) -> NDArray[np.uint8]:
    """The middle square of an image file, `(size, size, 3)`: models have square images.

    Raises:
        DataError: it cannot be read.
    """
    with opened(path) as image:
        return read_square(upright(image), size)


def in_colours(square: NDArray[np.uint8], channels: int) -> UInt8[Tensor, "channels size size"]:
    """An image with the channels of a model."""
    if channels == 1:
        return torch.from_numpy(np.array(Image.fromarray(square).convert("L")))[None]
    return torch.from_numpy(square).permute(2, 0, 1).contiguous()


def figure(grid: Switched) -> bytes:
    """A PNG with a row an image and a column a combination; names of what is on stand above."""
    from matplotlib.figure import Figure

    from directmax.tool.look.figures import png_file, style

    rows, columns, _, height, width = grid.images.shape
    scale = ENLARGED * max(1, 64 // height) / 100
    size = (columns * (width + GAP) * scale, rows * (height + GAP) * scale)
    lines = max(2, len(grid.names))
    head = (TEXT_HEIGHT * 1.25 * lines + 6) / 72  # inches
    titles = [*grid.lead, *("\n".join(on) or "none" for on in grid.columns)]
    longest = max(len(line) for title in titles for line in title.split("\n"))
    points = min(TEXT_HEIGHT, 1.5 * width * scale * 72 / max(1, longest))
    with style():
        drawing = Figure(figsize=(size[0], size[1] + head))
        axes = drawing.add_axes((0.0, 0.0, 1.0, size[1] / (size[1] + head)))
        axes.imshow(_tiled(grid.images), interpolation="nearest", cmap="gray", vmin=0, vmax=255)
        axes.axis("off")
        for column, title in enumerate(titles):
            axes.annotate(
                title,
                ((column + 0.5) * (width + GAP) - 0.5, -0.5),
                (0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=points,
                linespacing=1.1,
                annotation_clip=False,
            )
    return png_file(drawing, dpi=100)


def png(image: UInt8[Tensor, "channels height width"]) -> bytes:
    """A PNG file of one image, in its own size."""
    pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _own(model: AttributeVAE, images: Tensor) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b c"]]:
    """The most probable attributes of images and the mean of their Gaussian code."""
    bits = model.posterior(images).mode()[..., 1]
    return bits, model.mean_code(images, bits)


def _bytes(images: Tensor) -> Tensor:
    return (images.float() * 255).round().clamp(0, 255).to(torch.uint8)


def _tiled(images: UInt8[Tensor, "r c ch h w"]) -> UInt8[np.ndarray, "height width *ch"]:
    """Images in rows and columns with white gaps; a wider one after the image itself."""
    rows, columns, channels, height, width = images.shape
    shape = (rows * (height + GAP), columns * (width + GAP), channels)
    canvas = np.full(shape, 255, dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + GAP), column * (width + GAP) + GAP // 2
            tile = images[row, column].permute(1, 2, 0).numpy()
            canvas[top : top + height, left : left + width] = tile
    return canvas if channels == 3 else canvas[..., 0]
