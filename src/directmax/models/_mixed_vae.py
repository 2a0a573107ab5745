"""The mixed discrete-continuous auto-encoder: z chooses which Gaussian row the decoder sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from directmax._randomness import draw
from directmax._validation import check_callable, check_count, check_flag
from directmax.distributions import Categorical, observed_one_hot
from directmax.estimators import Estimator, LabelledDirect
from directmax.models._bound import Bound
from directmax.models._checks import (
    check_class_labels,
    check_estimator,
    check_images,
    check_parts,
    num_pixels_of,
)
from directmax.models._distortion import turned
from directmax.models._mixed_networks import MixedEncoder, MixedPosterior
from directmax.models._regularity import adversarial, divergence, indecision, shifted
from directmax.objectives import MixedReconstruction, bernoulli_loss, gaussian_kl

EVALUATION_BATCH = 500
"""Images of which all codes are decoded at a time."""


class MixedTerms(NamedTuple):
    """What a training step sums, in nats, with gradients; see `MixedVAE.forward`.

    Attributes:
        reconstruction: E_q[f(z)] of the unlabelled images, `(b,)`, the Gaussian KL within f.
        kl: KL of the categorical to uniform, `(b,)`.
        gaussian_kl: the part of `reconstruction` that is the Gaussian KL, for reports, `(b,)`;
            without gradient.
        labelled: f(label) of the labelled images, `(m,)`; None without.
        supervision: the loss of the labels, `(m,)`; None without.
        regularity: of q(z|x) as a classifier of the unlabelled images: how much a shift and the
            worst step change it, and how unsure it is, `(b,)`; None without `radius` and `shift`.

    Example:
        >>> import torch
        >>> from directmax import Decoder, Direct, MixedEncoder
        >>> model = MixedVAE(MixedEncoder(64, 10, 3), Decoder(10, 3, 64), Direct())
        >>> terms = model(torch.rand(5, 64).round())
        >>> terms.reconstruction.shape, terms.supervision
        (torch.Size([5]), None)
    """

    reconstruction: Tensor
    kl: Tensor
    gaussian_kl: Tensor
    labelled: Tensor | None = None
    supervision: Tensor | None = None
    regularity: Tensor | None = None


@dataclass(frozen=True)
class _Moved:
    """Images shifted and distorted at random, before they are classified."""

    shape: tuple[int, int] | None
    shift: int
    distortion: float
    generator: torch.Generator | None

    def __post_init__(self) -> None:
        if (self.shift or self.distortion) and self.shape is None:
            raise ValueError("shape, (height, width), is needed for a shift and a distortion")

    def __call__(self, images: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        if self.shape is None:
            return images
        images = shifted(images, self.shape, self.shift, generator=self.generator)
        if self.distortion == 0:
            return images
        grid = images.view(len(images), -1, *self.shape)
        return turned(grid, self.distortion, generator=self.generator).flatten(1)


class MixedVAE(nn.Module):
    r"""−log p(x) ≤ E_{q(z|x)}[f(z)] + KL(q(z|x) ‖ uniform), a Gaussian row for each value of z.

    f(z) = E_{ε ∼ N(μ_z, σ_z²)}[−log p(x|z, ε)] + KL(N(μ_z, σ_z²) ‖ N(0, I)). The decoder sees a
    k × c matrix, zero but for row z, which holds ε. While training, ε is one reparameterised sample
    for each row, drawn once for all that an estimator asks, so that f is a function of z and every
    estimator of the library works.

    Args:
        encoder: images `(b, d)` to a `MixedPosterior`.
        decoder: the matrix `(…, k, c)` to pixel logits `(…, d)`.
        estimator: how the gradient of E_q[f] passes the sample of z.
        supervision: the loss of the labels; `LabelledDirect()` when None.
        reduced: decode candidates in bfloat16 where that is faster.

    Raises:
        TypeError: `estimator` is no `Estimator`.
        ValueError: the sizes of encoder and decoder differ.

    Example:
        >>> import torch
        >>> from directmax import Decoder, Direct, MixedEncoder
        >>> model = MixedVAE(MixedEncoder(64, 10, 3), Decoder(10, 3, 64), Direct())
        >>> images, labels = torch.rand(5, 64).round(), torch.tensor([4, 1])
        >>> terms = model(images, labelled=images[:2], labels=labels)
        >>> loss = (terms.reconstruction + terms.kl).mean() + terms.labelled.mean()
        >>> (loss + terms.supervision.mean()).backward()
        >>> model.bound(images, num_samples=2).bound.shape
        torch.Size([5])

    Reference: Lorberbom et al. 2019, eq. 9 and section 5; Kingma et al. 2014 (M2) for f(label).
    """

    __call__: Callable[..., MixedTerms]

    def __init__(
        self,
        encoder: MixedEncoder,
        decoder: nn.Module,
        estimator: Estimator,
        *,
        supervision: LabelledDirect | None = None,
        reduced: bool = True,
    ) -> None:
        super().__init__()
        check_estimator(estimator)
        check_parts(encoder=encoder, decoder=decoder)
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            if not hasattr(part, "num_values"):
                raise TypeError(f"{name} must have num_values, got {type(part).__name__}")
        if (decoder.num_variables, decoder.num_values) != (
            encoder.num_values,
            encoder.num_dimensions,
        ):
            raise ValueError(
                f"decoder must take {encoder.num_values} rows of {encoder.num_dimensions} numbers, "
                f"as the encoder gives, got {decoder.num_variables} of {decoder.num_values}"
            )
        self.encoder, self.estimator = encoder, estimator
        self.decoder: Any = decoder
        self.supervision = LabelledDirect() if supervision is None else supervision
        self.reduced = check_flag("reduced", reduced)

    def posterior(self, images: Float[Tensor, "b d"]) -> Categorical:
        """q(z|x), the discrete part."""
        check_images(images, num_pixels_of(self.encoder))
        return Categorical(self.encoder(images).logits, validate=False)

    def objective(
        self,
        images: Float[Tensor, "b d"],
        posterior: MixedPosterior,
        *,
        kl_weight: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> MixedReconstruction:
        """f for one Gaussian sample of every row.

        Args:
            images: x in [0, 1].
            posterior: the encoder's, of these images.
            kl_weight: of the Gaussian KL within f.
            generator: source of the Gaussian noise.
        """
        mean = posterior.mean
        noise = draw(torch.randn, mean.shape, generator, dtype=mean.dtype, device=mean.device)
        rows, row_kl = posterior.sample(noise), posterior.row_kl() * kl_weight
        return MixedReconstruction(self.decoder, images, rows, row_kl, reduced=self.reduced)

    def forward(
        self,
        images: Float[Tensor, "b d"],
        *,
        labelled: Float[Tensor, "m d"] | None = None,
        labels: Int[Tensor, " m"] | None = None,
        generator: torch.Generator | None = None,
        kl_gradient: bool = True,
        kl_weight: float = 1.0,
        radius: float = 0.0,
        shift: int = 0,
        distortion: float = 0.0,
        shape: tuple[int, int] | None = None,
        shares: Float[Tensor, " k"] | None = None,
    ) -> MixedTerms:
        """The terms of eq. 9 for a batch without labels and, where given, one with labels.

        Args:
            images: x without labels.
            labelled: x with labels.
            labels: their values of z, `(m,)`, from 0 to k − 1.
            generator: source of the Gaussian and the Gumbel noise.
            kl_gradient: when False, the categorical KL is evaluated but carries no gradient.
            kl_weight: of the Gaussian KL within f; that of the categorical KL is the caller's.
            radius: q at an image is also asked for within this distance, in units of a pixel.
            shift: and where the image is moved by so many pixels; labelled images are moved too
                before they are classified.
            distortion: and turned by this strength, see `turned`. 0 for all three leaves it out.
            shape: (height, width) of the images; needed for `shift` and `distortion`.
            shares: of the values among all images, which `regularity` asks for; None: equal ones.

        Raises:
            ValueError: `shift` or `distortion` without `shape`.
        """
        move = _Moved(shape, shift, distortion, generator)
        self._check(images, labelled, labels)
        posterior = self.encoder(images, **self._dropped(generator))
        terms = self._without_labels(images, posterior, kl_weight, kl_gradient, generator)
        neighbours = []  # images to classify: around those without labels, and those with
        logits, classify = posterior.logits.squeeze(1), self.encoder.classify
        if radius > 0:
            neighbours.append(
                adversarial(classify, move(images), logits, radius, generator=generator)
            )
        elif shift or distortion:
            neighbours.append(move(images))
        count = len(images) if neighbours else 0
        if labelled is not None and labels is not None:
            neighbours.append(move(labelled))
        if not neighbours:
            return terms
        neighbour_logits = classify(torch.cat(neighbours))
        if count:
            regularity = divergence(logits, neighbour_logits[:count]) + indecision(logits, shares)
            terms = terms._replace(regularity=regularity)
        if labelled is None or labels is None:
            return terms
        return self._with_labels(
            terms, neighbour_logits[count:], labelled, labels, kl_weight, generator
        )

    def _dropped(self, generator: torch.Generator | None) -> dict[str, Any]:
        """What encoders that have dropout take in a training step."""
        drops = getattr(self.encoder, "dropout", 0.0)
        return {"dropped": True, "generator": generator} if drops else {}

    def _check(self, images: Tensor, labelled: Tensor | None, labels: Tensor | None) -> None:
        check_images(images, num_pixels_of(self.encoder))
        if (labelled is None) != (labels is None):
            raise ValueError("labelled images and labels go together: give both or neither")
        if labelled is not None:
            check_images(labelled, num_pixels_of(self.encoder), name="labelled")
            check_class_labels(labels, len(labelled), self.encoder.num_values)

    def _without_labels(
        self,
        images: Float[Tensor, "b d"],
        posterior: MixedPosterior,
        kl_weight: float,
        kl_gradient: bool,
        generator: torch.Generator | None,
    ) -> MixedTerms:
        q = Categorical(posterior.logits, validate=False)
        objective = self.objective(images, posterior, kl_weight=kl_weight, generator=generator)
        estimate = self.estimator(q, objective, generator=generator)
        with torch.set_grad_enabled(kl_gradient and torch.is_grad_enabled()):
            kl = q.kl_to_uniform()
        with torch.no_grad():
            gaussian = (q.probs.squeeze(1) * posterior.row_kl()).sum(-1)
        return MixedTerms(estimate.loss, kl, gaussian)

    def _with_labels(
        self,
        terms: MixedTerms,
        logits: Float[Tensor, "m k"],
        images: Float[Tensor, "m d"],
        labels: Int[Tensor, " m"],
        kl_weight: float,
        generator: torch.Generator | None,
    ) -> MixedTerms:
        """The terms of labelled images, classified."""
        q = Categorical(logits.unsqueeze(1), validate=False)
        shape = (len(labels), 1, q.num_values)
        z = observed_one_hot(labels, shape, dtype=q.dtype, device=q.device, validate=False)
        supervision = self.supervision(q, z, generator=generator, validate=False).loss
        loss = self._labelled_loss(images, labels, z, kl_weight, generator)
        return terms._replace(labelled=loss, supervision=supervision)

    def _labelled_loss(
        self,
        images: Float[Tensor, "m d"],
        labels: Int[Tensor, " m"],
        z: Float[Tensor, "m 1 k"],
        kl_weight: float,
        generator: torch.Generator | None,
    ) -> Float[Tensor, " m"]:
        """f(label): only the label's row is encoded and decoded."""
        mean, log_variance = self.encoder.row(images, labels, **self._dropped(generator))
        noise = draw(torch.randn, mean.shape, generator, dtype=mean.dtype, device=mean.device)
        row = mean + (0.5 * log_variance).exp() * noise
        matrix = z.transpose(-1, -2) * row.unsqueeze(-2)  # (m, k, c)
        logits = self.decoder(matrix.to(self.decoder.first.weight.dtype))
        return bernoulli_loss(logits, images) + kl_weight * gaussian_kl(mean, log_variance)

    @torch.no_grad()
    def bound(
        self,
        images: Float[Tensor, "N d"],
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Bound:
        """The bound of every image: all k codes, and samples of their Gaussians.

        Args:
            images: x `(N, d)`, any number of them; processed in chunks.
            num_samples: Gaussian samples an image and a row.
            generator: source of those samples.
            progress: told of the share of the images that is done.

        Returns:
            A `Bound`, in nats per image; `kl` is the sum of both parts, the Gaussian one averaged
            over q(z|x). `nll` is None.

        Raises:
            TypeError, ValueError: `num_samples` is no integer of at least 1.
        """
        check_count("num_samples", num_samples)
        check_callable("progress", progress, optional=True)
        check_images(images, num_pixels_of(self.encoder))
        reconstruction, kl = [], []
        for index, part in enumerate(parts := images.split(EVALUATION_BATCH)):
            posterior = self.encoder(part)
            q = Categorical(posterior.logits, validate=False)
            weights = q.probs.squeeze(1)  # (b, k)
            table = torch.zeros_like(weights)
            for _ in range(num_samples):
                objective = self.objective(part, posterior, generator=generator)
                table += objective.state_losses(1, q.num_values) - objective.row_kl
            reconstruction.append((weights * table).sum(-1) / num_samples)
            kl.append(q.kl_to_uniform() + (weights * objective.row_kl).sum(-1))
            if progress is not None:
                progress((index + 1) / len(parts))
        return Bound(torch.cat(reconstruction), torch.cat(kl), nll=None, num_samples=num_samples)
