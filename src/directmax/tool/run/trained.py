"""A trained run in use: encode, decode, sample and bound, without the images it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from directmax._randomness import check_generator
from directmax._validation import check_callable, check_count
from directmax.distributions import DiscreteDistribution, PairwiseBinary
from directmax.models import AttributeVAE, Bound, DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.data import binarize
from directmax.tool.run.best_model import BestModel, load_best
from directmax.tool.run.codes import inferred
from directmax.tool.run.described import Described
from directmax.tool.run.evaluation import most_states
from directmax.tool.run.fitting_images import as_tensor, byte_images, unit_images

BATCH = 1000
"""Images encoded or decoded at a time."""
MARGINAL_VARIABLES = 20
"""Coupled variables, at most, whose marginals are sums over all states."""
MARGINAL_SAMPLES = 100


@dataclass(frozen=True, eq=False)
class Encoding:
    """Codes of images, on the CPU.

    Attributes:
        probabilities: q(z_i = j | x), `(N, n, k)`.
        code: the most probable code, z_i from 0 to k − 1, `(N, n)`; of coupled variables the
            argmax of all together, by the solver.
        samples: of q(z|x), `(s, N, n)`.
        gaussian: of mixed models and those of attributes, the mean of the Gaussian code for the
            most probable code, `(N, c)`; else None.
        exact: False where probabilities are shares of 100 samples: of more than 20 coupled
            variables.
    """

    probabilities: Float[Tensor, "N n k"]
    code: Int64[Tensor, "N n"]
    samples: Int64[Tensor, "s N n"]
    gaussian: Float[Tensor, "N c"] | None
    exact: bool


class TrainedModel:
    """The best model of a run; `directmax.load` makes it.

    Images come in any shape that fits, `(N, h, w)` or `(N, d)`, 8-bit or in [0, 1], and are
    binarised as in the run (`binarization`), which leaves binary images as they are. Results are
    on the CPU. Nothing carries a gradient; for that there is `model`.

    Attributes:
        model: the `DiscreteVAE`, `MixedVAE` or `AttributeVAE`.
        config: the configuration of the run.
        images: the kind of images: shape, classes, attributes.
        binarization: threshold, static, dynamic (a draw of every pixel) or none.
    """

    def __init__(self, best: BestModel) -> None:
        self.model: Any = best.model
        self.config: ResolvedConfig = best.config
        self.images: Described = best.images
        self.binarization = "none" if best.config.model == "attributes" else best.config.binarize

    def __repr__(self) -> str:
        return (
            f"TrainedModel({self.config.title}; images {self.images.shown}, binarised: "
            f"{self.binarization}{self._at})"
        )

    @property
    def _at(self) -> str:
        """The threshold, where it is one of its own."""
        threshold = self.config.threshold
        return "" if threshold in (None, 0.5) else f" at {threshold:g}"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        found: torch.device = next(self.model.parameters()).device
        return found

    @torch.no_grad()
    def encode(
        self,
        images: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Encoding:
        """Codes of images.

        Args:
            images: x.
            num_samples: of q(z|x), an image; 0 for none.
            generator: source of samples, on the model's device, and of a static or dynamic
                binarisation.
            progress: told of the share of the images that is done.

        Raises:
            TypeError, ValueError: images that do not fit.
        """
        check_count("num_samples", num_samples, 0)
        check_callable("progress", progress, optional=True)
        parts = []
        for part, share in self._batches(images, generator):
            parts.append(self._encoded(part, num_samples, generator))
            if progress is not None:
                progress(share)
        return Encoding(
            probabilities=torch.cat([each.probabilities for each in parts]),
            code=torch.cat([each.code for each in parts]),
            samples=torch.cat([each.samples for each in parts], 1),
            gaussian=None
            if parts[0].gaussian is None
            else torch.cat([each.gaussian for each in parts if each.gaussian is not None]),
            exact=all(each.exact for each in parts),
        )

    @torch.no_grad()
    def decode(self, z: Any, *, gaussian: Any = None) -> Float[Tensor, "*s N *shape"]:
        """Mean images of codes, in [0, 1].

        Args:
            z: integers from 0 to k − 1, `(…, n)`, or one-hot floating-point numbers `(…, n, k)`.
            gaussian: the Gaussian code of mixed models and those of attributes, `(…, c)`, such as
                `Encoding.gaussian`; zeros, the mean of the prior, where it is None.

        Raises:
            TypeError, ValueError: codes that do not fit.
        """
        one_hot = self._one_hot(z)
        rows = one_hot.flatten(0, -3)
        code = self._gaussian(gaussian, one_hot.shape[:-2])
        decoded = [
            self._decoded(part, None if code is None else code[start : start + BATCH])
            for start, part in zip(range(0, len(rows), BATCH), rows.split(BATCH), strict=True)
        ]
        images = torch.cat(decoded).unflatten(-1, self.images.shape)
        return images.unflatten(0, one_hot.shape[:-2])

    def sample(
        self, num_images: int, *, generator: torch.Generator | None = None
    ) -> Float[Tensor, m * shape]:
        """Mean images of codes that are drawn from the prior.

        That is uniform or learned, and standard normal for Gaussian codes.

        Args:
            num_images: m.
            generator: source of the codes, on the CPU.
        """
        n, k = self.config.variables, self.config.values
        count = check_count("num_images", num_images)
        check_generator(generator)
        if isinstance(self.model, DiscreteVAE):
            return self.decode(self.model.prior_codes(count, generator=generator))
        z = torch.randint(k, (count, n), generator=generator)
        return self.decode(
            z, gaussian=torch.randn(count, self.config.gaussian, generator=generator)
        )

    def bound(
        self,
        images: Any,
        *,
        num_samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Bound:
        """The bound of every image, in nats: exact where states can be enumerated, else sampled.

        Args:
            images: x.
            num_samples: an image, where there are samples; by default as in the run's evaluation.
            generator: as of `encode`.

        Returns:
            `bound`, its terms and, where enumerable, `nll` = −log p(x), each `(N,)`, on the CPU;
            `num_samples` is None where it is exact.

        Raises:
            TypeError, ValueError: images that do not fit.
        """
        samples = self.config.eval_samples if num_samples is None else num_samples
        settings: dict[str, Any] = {"num_samples": samples, "generator": generator}
        if self.config.model == "discrete":
            settings["max_states"] = most_states(self.config)
        fitting = self._fitting(images, generator).to(self.device)
        found: Bound = self.model.bound(fitting, **settings)
        tensors: dict[str, Any] = {
            name: each.cpu() for name, each in vars(found).items() if isinstance(each, Tensor)
        }
        return dataclasses.replace(found, **tensors)

    def _fitting(self, images: Any, generator: torch.Generator | None) -> Tensor:
        """Images as the model takes them, on the CPU."""
        check_generator(generator)
        if isinstance(self.model, AttributeVAE):
            channels, height, width = self.images.shape
            return byte_images(images, (channels, height, width))
        grey = unit_images(images, self.images.shape)
        own = None if generator is None or generator.device.type != "cpu" else generator
        threshold = self.config.threshold
        binary = binarize(grey, self.binarization, generator=own, threshold=threshold)
        return binary.to(self._dtype)

    def _batches(
        self, images: Any, generator: torch.Generator | None
    ) -> Iterator[tuple[Tensor, float]]:
        fitting = self._fitting(images, generator)
        done = 0
        for part in fitting.split(BATCH):
            done += len(part)
            yield part.to(self.device), done / len(fitting)

    def _encoded(
        self, images: Tensor, num_samples: int, generator: torch.Generator | None
    ) -> Encoding:
        q: DiscreteDistribution = inferred(self.model, images)
        mode = q.mode()
        exact = not isinstance(q, PairwiseBinary) or q.num_variables <= MARGINAL_VARIABLES
        drawn = q.sample(num_samples, generator=generator)
        shares = q.marginals() if exact else q.sample(MARGINAL_SAMPLES, generator=generator).mean(0)
        gaussian = None
        if isinstance(self.model, AttributeVAE):
            gaussian = self.model.mean_code(images, mode[..., 1]).cpu()
        elif isinstance(self.model, MixedVAE):
            gaussian = self.model.encoder.row(images, mode.squeeze(1).argmax(-1))[0].cpu()
        return Encoding(
            shares.cpu(), mode.argmax(-1).cpu(), drawn.argmax(-1).cpu(), gaussian, exact
        )

    def _decoded(self, z: Tensor, gaussian: Tensor | None) -> Float[Tensor, "m d"]:
        z = z.to(self.device, self._dtype)
        if isinstance(self.model, AttributeVAE):
            assert gaussian is not None
            mean = self.model.decoder(gaussian.to(z), z[..., 1])
            return mean.flatten(1).cpu()
        if isinstance(self.model, MixedVAE):
            assert gaussian is not None
            z = z.squeeze(1).unsqueeze(-1) * gaussian.to(z).unsqueeze(1)  # (m, k, c)
        logits: Tensor = self.model.decoder(z)
        return logits.sigmoid().cpu()

    @property
    def _dtype(self) -> torch.dtype:
        found: torch.dtype = next(self.model.parameters()).dtype
        return found

    def _one_hot(self, z: Any) -> Float[Tensor, "*s N n k"]:
        """Codes as one-hot rows, checked."""
        n, k = self.config.variables, self.config.values
        values = as_tensor("z", z)
        if values.dtype == torch.bool:
            raise TypeError(f"z must be integers or one-hot numbers, got {values.dtype}")
        if values.is_floating_point():
            if values.ndim < 3 or values.shape[-2:] != (n, k) or not values.numel():
                raise ValueError(f"one-hot z must end in ({n}, {k}), got {tuple(values.shape)}")
            if not (values.min() >= 0 and torch.allclose(values.sum(-1), values.new_ones(()))):
                raise ValueError("rows of one-hot z must be 0 or more and add up to 1")
            return values
        if values.ndim == 1 and n == 1:
            values = values.unsqueeze(-1)
        if values.ndim < 2 or values.shape[-1] != n or not values.numel():
            raise ValueError(
                f"z must be integers that end in ({n},), one for each variable, or one-hot and end "
                f"in ({n}, {k}), got shape {tuple(values.shape)}"
            )
        if values.min() < 0 or values.max() >= k:
            raise ValueError(
                f"z must be from 0 to {k - 1}, got values from {values.min()} to {values.max()}"
            )
        return nn.functional.one_hot(values.long(), k).float()

    def _gaussian(self, code: Any, rows: torch.Size) -> Float[Tensor, "m c"] | None:
        if self.config.model == "discrete":
            if code is not None:
                raise ValueError("gaussian is for models with a Gaussian code; leave it out")
            return None
        shape = (*rows, self.config.gaussian)
        if code is None:
            return torch.zeros(shape).flatten(0, -2)
        values = as_tensor("gaussian", code)
        if not values.is_floating_point() or values.shape[-1:] != shape[-1:]:
            raise ValueError(
                f"gaussian must be floating-point numbers {shape}, got {values.dtype} of shape "
                f"{tuple(values.shape)}"
            )
        if not bool(values.isfinite().all()):
            raise ValueError("gaussian must be finite numbers, got NaN or an infinity")
        try:
            return values.expand(shape).flatten(0, -2)
        except RuntimeError as error:
            raise ValueError(
                f"gaussian must have shape {shape}, got {tuple(values.shape)}"
            ) from error


def load(run_dir: str | Path, *, device: str | torch.device = "auto") -> TrainedModel:
    """The best model of a run; see `directmax.load`."""
    return TrainedModel(load_best(run_dir, device))
