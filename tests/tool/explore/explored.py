"""Models of every kind with weights at random, and the pages of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.data import AttributeData, ImageData, ImagesInMemory
from directmax.tool.data.attributes import AttributeSplit
from directmax.tool.explore.content import content_of
from directmax.tool.explore.write import page_of
from directmax.tool.run.described import Described
from directmax.tool.run.make import Data, Model, make_model

SETTINGS: dict[str, dict[str, Any]] = {
    "one": {"values": 7},
    "several": {"variables": 3, "values": 4},
    "binary": {"variables": 5, "values": 2},
    "pairwise": {"variables": 4, "values": 2, "encoder": "pairwise"},
    "supermodular": {"variables": 4, "values": 2, "encoder": "supermodular"},
    "unsolved": {"variables": 13, "values": 2, "encoder": "supermodular"},
    "matching": {"variables": 4, "encoder": "matching"},
    "conv": {"variables": 3, "values": 3, "network": "conv"},
    "resnet": {"variables": 4, "values": 2, "encoder": "supermodular", "network": "resnet"},
    "mixed": {"model": "mixed", "labels": 20, "gaussian": 9},
    "dropout": {"model": "mixed", "labels": 20, "gaussian": 9, "dropout": 0.5},
    "attributes": {"model": "attributes", "gaussian": 3, "encoder": "pairwise"},
    "calibrated": {"model": "attributes", "gaussian": 3, "labels": 5},
}
"""Of trainings, whose models are explored with their first weights."""


@dataclass(frozen=True, eq=False)
class Explored:
    """A model and what it would be trained on."""

    config: ResolvedConfig
    data: Data
    model: Model

    @classmethod
    def of(cls, kind: str, **names: str) -> Explored:
        """One of `SETTINGS`, with weights larger than the first ones, so that codes differ."""
        settings = {"hidden": 24, **SETTINGS[kind]}
        attributes = settings.get("model") == "attributes"
        if attributes:
            config = TrainConfig(
                data="celeba", attributes=("Smiling", "Young"), image_size=64, **settings
            ).resolve()
        else:
            config = TrainConfig(data="digits", **settings).resolve()
        data = attribute_data() if attributes else image_data(**names)
        model = make_model(config, Described.of(data).shape).eval()
        with torch.no_grad():
            for parameter in (*model.encoder.parameters(), *model.decoder.parameters()):
                parameter.mul_(1.6 if attributes or config.network != "mlp" else 3.0)
            if attributes:  # whose potentials are normalised, and much alike at first
                images = torch.stack([data.train.images[row] for row in range(14)]) / 255
                potentials = model.encoder.classifier(2 * images - 1)
                model.encoder.potentials.bias.sub_(potentials.mean(0))
                model.encoder.potentials.weight.mul_(5.0)
                model.encoder.potentials.bias.mul_(5.0)
            if attributes and model.calibration is not None:
                model.calibration.copy_(torch.tensor([[0.5, 2.0], [1.5, 0.7], [0.3, -0.2]]))
                model.follow(0.0)
                model.settle()
        return cls(config, data, model)

    def page(self, folder: Path) -> Path:
        """The page, written."""
        content = content_of(self.config, self.data, self.model)
        file = folder / "explore.html"
        file.write_text(page_of(content))
        return file


def image_data(name: str = "noise", label: str = "nine") -> ImageData:
    """Smooth shapes of 9×7 pixels in ten classes."""
    generator = torch.Generator().manual_seed(4)
    small = torch.rand(80, 1, 3, 3, generator=generator)
    images = torch.nn.functional.interpolate(small, (9, 7), mode="bilinear").squeeze(1)
    return ImageData.from_arrays(
        images,
        images[:30].flip(1),
        images[:30],
        labels=torch.arange(80) % 10,
        validation_labels=torch.arange(30) % 10,
        test_labels=torch.arange(30) % 10,
        name=name,
        label_names=[*"012345678", label],
    )


def attribute_data() -> AttributeData:
    """Colours in 20×18 pixels, with two attributes."""
    generator = torch.Generator().manual_seed(5)
    small = torch.rand(14, 3, 4, 4, generator=generator)
    images = torch.nn.functional.interpolate(small, (20, 18), mode="bilinear")
    split = AttributeSplit(
        ImagesInMemory((255 * images).to(torch.uint8)),
        torch.randint(2, (14, 2), generator=generator),
    )
    return AttributeData("colours", ("Smiling", "Young"), (3, 20, 18), split, split, split, "none")
