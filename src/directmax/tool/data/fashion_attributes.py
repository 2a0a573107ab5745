"""Fashion-MNIST with binary attributes: what is true of every article of a class."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from directmax._choices import check_choice
from directmax.tool.data.attributes import AttributeData, AttributeSplit, ImagesInMemory
from directmax.tool.data.locate import Places
from directmax.tool.data.mnist import load_fashion_mnist
from directmax.tool.data.types import Split

FRAMED = 32

ATTRIBUTES: dict[str, frozenset[str]] = {
    "Footwear": frozenset({"sandal", "sneaker", "ankle boot"}),
    "Upper_Body": frozenset({"T-shirt/top", "pullover", "dress", "coat", "shirt"}),
    "Lower_Body": frozenset({"trouser", "dress"}),
    "Warm": frozenset({"pullover", "coat", "ankle boot"}),
}
"""Attribute → the classes that have it.

No attribute tells the class. Sleeves are none: shirts and dresses have long and short ones.
"""

BLOCK = 2000
"""Images resized at once."""


def load(places: Places, attributes: tuple[str, ...], size: int) -> AttributeData:
    """Load Fashion-MNIST, the splits of `load_images`, with attributes of the classes.

    | attribute  | of these classes, and no others           | that is                       |
    | ---------- | ----------------------------------------- | ----------------------------- |
    | Footwear   | sandal, sneaker, ankle boot               | worn on a foot                |
    | Upper_Body | T-shirt/top, pullover, dress, coat, shirt | worn on the upper body        |
    | Lower_Body | trouser, dress                            | reaches below the hips        |
    | Warm       | pullover, coat, ankle boot                | for the cold: long or high    |

    The images have 28×28 pixels. Two black ones on each side make 32×32; another size is resized
    from these (bilinear, antialiased).

    Args:
        places: where to look for, or download to, `FashionMNIST/raw`.
        attributes: which, in the order of the columns.
        size: height and width of the images.

    Raises:
        ValueError: an unknown attribute.
        DataError: a file is missing, damaged or not the official one.

    Reference:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
        Learning Algorithms", 2017. MIT.
    """
    for attribute in attributes:
        check_choice("attribute", attribute, tuple(ATTRIBUTES))
    data = load_fashion_mnist(places)
    of_class = torch.tensor(
        [[name in ATTRIBUTES[attribute] for attribute in attributes] for name in data.label_names]
    ).long()  # (classes, n)

    def split(part: Split) -> AttributeSplit:
        images = ImagesInMemory(framed(part.images.view(-1, *data.shape), size))
        return AttributeSplit(images, of_class[part.labels])

    return AttributeData(
        name="fashion-mnist",
        attribute_names=attributes,
        shape=(1, size, size),
        train=split(data.train),
        validation=split(data.validation),
        test=split(data.test),
        source=data.source,
    )


def framed(grey: Float[Tensor, "images 28 28"], size: int) -> UInt8[Tensor, "images 1 size size"]:
    """Pad 28×28 images to 32×32, resize them where another size is wanted, and round.

    Args:
        grey: `(N, 28, 28)`, values in [0, 1].
        size: height and width of the result.

    Returns:
        `(N, 1, size, size)`, uint8, 0 … 255.

    Example:
        >>> framed(torch.ones(1, 28, 28), 32)[0, 0, :4, 16].tolist()
        [0, 0, 255, 255]
    """
    margin = (FRAMED - grey.shape[-1]) // 2
    blocks = []
    for block in grey.split(BLOCK):
        images = F.pad(block.unsqueeze(1), (margin,) * 4)
        if size != FRAMED:
            images = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
        blocks.append((images * 255).round().clamp(0, 255).to(torch.uint8))
    return torch.cat(blocks)
