"""Figure 5 by numbers: a classifier of real images judges what the decoder makes of others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy import linalg
from torch import Tensor, nn
from torch.nn import functional as F

from directmax._precision import fast_bfloat16
from directmax.models import AttributeVAE, distorted
from directmax.objectives import unit_pixels
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.build import build_attribute_model
from directmax.tool.data import AttributeData, ImageStream
from directmax.tool.files import RunError
from directmax.tool.run.finished import load_run
from directmax.tool.run.make import Given

STEPS = 1000
"""Of the training of the judge, of mini-batches of 100 images."""
BATCH, READ = 100, 250
LEARNING_RATE = 1e-3
FEATURES = 128
"""Of the judge."""
MOST_IMAGES = 2000
"""Test images that are switched."""
PAIRS = 10_000
"""Pairs of different images, of whose distances the median is taken."""


class Judge(nn.Module):
    """Convolutions like those of q(z|x), a hidden layer on all places, and a linear one.

    Args:
        trunk: images in [−1, 1] to vectors of `size`.
        size: of these.
        attributes: n.
    """

    def __init__(self, trunk: nn.Module, size: int, attributes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.hidden = nn.Linear(size, FEATURES)
        self.last = nn.Linear(FEATURES, attributes)

    def features(self, images: Float[Tensor, "b ch h w"]) -> Float[Tensor, "b c"]:
        """Of images in [0, 1]: before the ReLU, behind which some are 0 for all real images."""
        found: Tensor = self.hidden(self.trunk(2 * images - 1))
        return found

    def odds(self, features: Float[Tensor, "b c"]) -> Float[Tensor, "b n"]:
        """Log-odds of the attributes."""
        found: Tensor = self.last(F.relu(features))
        return found

    def forward(self, images: Float[Tensor, "b ch h w"]) -> Float[Tensor, "b n"]:
        """Log-odds of the attributes."""
        return self.odds(self.features(images))


def trained_judge(
    config: ResolvedConfig, data: AttributeData, device: torch.device, *, steps: int = STEPS
) -> Judge:
    """A classifier of all labelled training images; what the model was told plays no part.

    Args:
        config: sizes, and the seed.
        data: the images; all known attributes of the training images are labels.
        device: where it is trained.
        steps: mini-batches.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        encoder = build_attribute_model(config, data.shape).encoder
        trunk = encoder.discrete
        judge = Judge(trunk, trunk.size, len(data.attribute_names)).to(device)
    generator = torch.Generator().manual_seed(config.seed + 1)
    rows = torch.randint(len(data.train), (steps, BATCH), generator=generator)
    optimizer = torch.optim.Adam(judge.parameters(), lr=LEARNING_RATE)
    noise = torch.Generator(device).manual_seed(config.seed + 1)
    with ImageStream(data.train.images, batch_size=BATCH) as stream:
        for step, images in enumerate(stream.batches(rows.flatten())):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            labels = data.train.attributes[rows[step]].to(device)
            known = (labels >= 0).float()
            seen = distorted(
                images.to(device) / 255, 0.5, cover=False, mirror=config.symmetric, generator=noise
            )
            with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
                odds = judge(seen)
            target = labels.clamp_min(0).float()
            loss = F.binary_cross_entropy_with_logits(odds.float(), target, reduction="none")
            (loss * known).sum().div(known.sum().clamp_min(1)).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return judge.eval()


def switched_run(
    run_dir: str | Path,
    *,
    data: str | None = None,
    images: Given | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Figure 5 by numbers: see `switching_scores`.

    Args:
        run_dir: folder of a run of the model with attributes.
        data: as `evaluate_run`.
        images: as `evaluate_run`.
        data_dir: as `evaluate_run`.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        RunError, ValueError: the run, the data or the device cannot be used.
    """
    config, found, model = load_run(
        run_dir, data=data, images=images, data_dir=data_dir, device=device
    )
    if not isinstance(model, AttributeVAE) or not isinstance(found, AttributeData):
        raise RunError(
            f"{run_dir} is a run of --model {config.model}, which has no attributes to switch; "
            "choose one of --model attributes, or leave --switched out"
        )
    return switching_scores(config, model, found)


@torch.no_grad()
def switching_scores(
    config: ResolvedConfig, model: AttributeVAE, data: AttributeData, *, steps: int = STEPS
) -> dict[str, Any]:
    """What a judge sees of test images that are decoded with one attribute switched.

    The image's own attributes are those that the model finds, its Gaussian code is the mean for
    them, and the decoder is told of another value of one attribute, as in the pictures.

    - switched: share of images in which the judge sees the other value, by attribute;
    - kept: share of images in which it sees every other attribute as in the reconstruction;
    - near: share of switched images whose pixels are nearer to their original's than two different
      images are (median of root mean squares);
    - alike: the same in the judge's features, but for the direction in which they say this
      attribute (that of its last layer's weights), which is meant to change;
    - judge: its accuracy on the test images, by attribute;
    - recognised: share of reconstructions in which it sees the attribute as in the image;
    - error: root of the mean squared error of the reconstruction's pixels, 0 to 1;
    - frechet: Fréchet distance between the judge's features of the images and those of the
      reconstructions, and, as "switched", of all switched images; features have deviation 1.

    Reference: Lorberbom et al. 2019, figure 5; Heusel et al. 2017 (Fréchet distance).
    """
    with torch.enable_grad():
        judge = trained_judge(config, data, model.scale.device, steps=steps)
    found = _looked_at(model, judge, data)
    own, error, count = found.own, found.error, len(found.own)
    sees = [judge.odds(each.to(model.scale.device)).cpu() > 0 for each in found.features]
    spread = found.features[0].std(0).clamp_min(1e-6)
    features = [each / spread for each in found.features]
    width = _median_distance(found.pixels[0])
    labels = data.test.attributes[:count]
    by_name = {}
    for index, name in enumerate(data.attribute_names):
        known = labels[:, index] >= 0
        right = (sees[0][:, index] == (labels[:, index] > 0))[known]
        others = [i for i in range(len(data.attribute_names)) if i != index]
        same = (sees[2 + index][:, others] == sees[1][:, others]).all(-1)
        near = (found.pixels[2 + index] - found.pixels[0]).norm(dim=-1) < width
        direction = F.normalize(judge.last.weight[index].cpu() * spread, dim=0)
        switched, image = (without(features[i], direction) for i in (2 + index, 0))
        alike = (switched - image).norm(dim=-1) < _median_distance(image)
        by_name[name] = {
            "switched": _share(sees[2 + index][:, index] != (own[:, index] > 0.5)),
            "kept": _share(same) if others else None,
            "near": _share(near),
            "alike": _share(alike),
            "judge": _share(right) if len(right) else None,
            "recognised": _share(sees[1][:, index] == sees[0][:, index]),
        }
    distances = {
        "reconstructed": frechet_distance(features[0], features[1]),
        "switched": frechet_distance(features[0], torch.cat(features[2:])),
    }
    return {"images": count, "error": error, "frechet": distances, "attributes": by_name}


class _LookedAt(NamedTuple):
    """Of images, reconstructions, and images with each attribute switched.

    Attributes:
        features: the judge's, `(N, c)` each.
        pixels: of the images at most 32×32 pixels large, `(N, …)` each.
        own: the attributes that the model finds, `(N, n)`.
        error: of the reconstructions.
    """

    features: list[Tensor]
    pixels: list[Tensor]
    own: Tensor
    error: float


def _looked_at(model: AttributeVAE, judge: Judge, data: AttributeData) -> _LookedAt:
    n = len(data.attribute_names)
    seen: list[list[Tensor]] = [[] for _ in range(n + 2)]
    pixels: list[list[Tensor]] = [[] for _ in range(n + 2)]
    found, squares = [], 0.0
    for chunk in _images(data):
        images = chunk.to(model.scale.device)
        own = model.posterior(images).mode()[..., 1]
        code = model.mean_code(images, own)
        shown = [unit_pixels(images), model.decoder(code, own)]
        squares += float((shown[1] - shown[0]).square().mean((1, 2, 3)).sum())
        for index in range(n):
            other = own.clone()
            other[:, index] = 1 - other[:, index]
            shown.append(model.decoder(code, other))
        for index, each in enumerate(shown):
            seen[index].append(judge.features(each).cpu())
            smaller = F.adaptive_avg_pool2d(each, min(32, each.shape[-1]))
            pixels[index].append(smaller.flatten(1).cpu())
        found.append(own.cpu())
    own = torch.cat(found)
    first, second = ([torch.cat(parts) for parts in each] for each in (seen, pixels))
    return _LookedAt(first, second, own, math.sqrt(squares / len(own)))


def without(features: Float[Tensor, "m c"], direction: Float[Tensor, " c"]) -> Float[Tensor, "m c"]:
    """Features but for what they are along a direction of length 1.

    Example:
        >>> without(torch.tensor([[3.0, 4.0]]), torch.tensor([0.0, 1.0]))
        tensor([[3., 0.]])
    """
    return features - (features @ direction).unsqueeze(-1) * direction


def frechet_distance(first: Float[Tensor, "m c"], second: Float[Tensor, "k c"]) -> float:
    r"""|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) of the features' means and covariances.

    Example:
        >>> features = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> round(frechet_distance(features, features + 2), 3)
        12.0
    """
    one, other = first.double().numpy(), second.double().numpy()
    covariances = [np.atleast_2d(np.cov(each, rowvar=False)) for each in (one, other)]
    values, vectors = linalg.eigh(covariances[0])
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    # tr (Σ₁Σ₂)^½ from Σ₁^½ Σ₂ Σ₁^½, which has the same eigenvalues and is symmetric.
    shared = np.sqrt(linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    difference = one.mean(0) - other.mean(0)
    total = difference @ difference + np.trace(covariances[0] + covariances[1]) - 2 * shared
    return float(max(0.0, total))


def _images(data: AttributeData) -> Iterator[Tensor]:
    rows = torch.arange(min(MOST_IMAGES, len(data.test)))
    with ImageStream(data.test.images, batch_size=READ) as stream:
        yield from stream.batches(rows)


def _median_distance(features: Float[Tensor, "m c"]) -> float:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(len(features), (2, PAIRS), generator=generator)
    different = first != second
    return float((features[first] - features[second])[different].norm(dim=-1).median())


def _share(which: Tensor) -> float:
    return float(which.double().mean())
