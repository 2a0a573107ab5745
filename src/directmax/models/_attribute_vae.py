"""The auto-encoder of images with binary attributes and a Gaussian code that depends on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from directmax import objectives
from directmax._choices import check_choice
from directmax._precision import widened
from directmax._randomness import draw
from directmax._validation import check_count
from directmax.distributions import (
    DiscreteDistribution,
    enumerate_states,
    number_of_states,
    observed_one_hot,
)
from directmax.estimators import Estimator, LabelledDirect
from directmax.models._attribute_networks import AttributeDecoder, AttributeEncoder
from directmax.models._bound import Bound
from directmax.models._checks import check_estimator, check_parts, check_sizes
from directmax.models._distortion import distorted
from directmax.models._pixels import INITIAL_LOG_SCALE, SCALE_RATE
from directmax.objectives import (
    LIKELIHOODS,
    AttributeReconstruction,
    gaussian_kl,
    unit_pixels,
)

CONFIDENT = 0.95
"""Probability from which an attribute of an image without label counts as known."""
EVALUATION_BATCH = 250
"""Images of which all settings of the attributes are decoded at a time."""
MAX_STATES = 16
"""Settings that are decoded for the bound; with more, samples are."""


class AttributeTerms(NamedTuple):
    """What a training step sums, in nats, with gradients; see `AttributeVAE.forward`.

    Attributes:
        reconstruction: E_q[f(z)] of the unlabelled images, `(b,)`, the Gaussian KL within f.
        kl: KL of the attributes to uniform, `(b,)`.
        gaussian_kl: the part of `reconstruction` that is the Gaussian KL, for reports, `(b,)`;
            without gradient.
        labelled: f(labels) of the labelled images, `(m,)`; None without.
        supervision: the loss of the labels, `(m,)`; None without.
        consistency: the loss of attributes that are sure, on the distorted images, `(b,)`; None
            without.

    Example:
        >>> from directmax import LocalExpectation
        >>> encoder = AttributeEncoder((3, 16, 16), 2, 8)
        >>> model = AttributeVAE(encoder, AttributeDecoder((3, 16, 16), 2, 8), LocalExpectation())
        >>> terms = model(torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8))
        >>> terms.reconstruction.shape, terms.supervision
        (torch.Size([5]), None)
    """

    reconstruction: Tensor
    kl: Tensor
    gaussian_kl: Tensor
    labelled: Tensor | None = None
    supervision: Tensor | None = None
    consistency: Tensor | None = None


class AttributeVAE(nn.Module):
    r"""−log P(x) ≤ E_{q(z|x)}[f(z)] + KL(q(z|x) ‖ uniform) for n binary attributes z.

    f(z) = E_{ε ∼ N(μ_z, σ_z²)}[−log P(x | z, ε)] + KL(N(μ_z, σ_z²) ‖ N(0, I)), as in `MixedVAE`,
    but with one Gaussian code whose mean and variance depend on z, and 8-bit images. While training
    there is one noise vector an image, so that f is a function of z.

    Args:
        encoder: images to q(z|x) and to the Gaussians.
        decoder: code and attributes to mean images.
        estimator: how the gradient of E_q[f] passes the sample of z.
        likelihood: "gaussian" or "logistic" (discretised), around the mean image, with one learned
            scale.
        supervision: the loss of the labels; `LabelledDirect()` when None.

    Raises:
        TypeError: `estimator` is no `Estimator`.
        ValueError: the sizes of encoder and decoder differ, an unknown likelihood.

    Example:
        >>> from directmax import LocalExpectation
        >>> encoder = AttributeEncoder((3, 16, 16), 2, 8)
        >>> model = AttributeVAE(encoder, AttributeDecoder((3, 16, 16), 2, 8), LocalExpectation())
        >>> images = torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8)
        >>> terms = model(images, labelled=images[:1], labels=torch.tensor([[1, 0]]))
        >>> loss = (terms.reconstruction + terms.kl).mean() + terms.labelled.mean()
        >>> (loss + terms.supervision.mean()).backward()
        >>> model.bound(images).bound.shape
        torch.Size([5])

    Reference: Lorberbom et al. 2019, eq. 9, section 5 and figure 5.
    """

    def __init__(
        self,
        encoder: AttributeEncoder,
        decoder: AttributeDecoder,
        estimator: Estimator,
        *,
        likelihood: str = "gaussian",
        supervision: LabelledDirect | None = None,
    ) -> None:
        super().__init__()
        check_estimator(estimator)
        check_parts(encoder=encoder, decoder=decoder)
        check_choice("likelihood", likelihood, tuple(LIKELIHOODS))
        check_sizes(encoder, decoder, ("shape", "num_variables", "num_dimensions"))
        self.encoder, self.decoder, self.estimator = encoder, decoder, estimator
        self.likelihood = likelihood
        self.supervision = LabelledDirect() if supervision is None else supervision
        self.scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE / SCALE_RATE))

    @property
    def log_scale(self) -> Float[Tensor, ""]:
        """log of the likelihood's scale, in units of the unit interval."""
        return SCALE_RATE * self.scale

    def posterior(self, images: UInt8[Tensor, "b channels height width"]) -> DiscreteDistribution:
        """q(z|x), the attributes."""
        return self.encoder.classify(self._unit(images))

    def objective(
        self,
        images: UInt8[Tensor, "b channels height width"],
        *,
        kl_weight: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> AttributeReconstruction:
        """f for one Gaussian noise vector an image.

        Args:
            images: x, 0 … 255.
            kl_weight: of the Gaussian KL.
            generator: source of the noise.
        """
        features = self.encoder.features(self._unit(images))
        shape = (len(images), self.encoder.num_dimensions)
        settings = {"dtype": self.scale.dtype, "device": images.device}
        noise = draw(torch.randn, shape, generator, **settings)
        loss = getattr(objectives, LIKELIHOODS[self.likelihood])
        return AttributeReconstruction(
            self.decoder,
            partial(self.encoder.gaussians, features),
            lambda mean, x: loss(mean, self.log_scale, x),
            images,
            noise,
            kl_weight=kl_weight,
        )

    def forward(
        self,
        images: UInt8[Tensor, "b channels height width"],
        *,
        labelled: UInt8[Tensor, "m channels height width"] | None = None,
        labels: Int[Tensor, "m n"] | None = None,
        generator: torch.Generator | None = None,
        kl_gradient: bool = True,
        kl_weight: float = 1.0,
        distortion: float = 0.0,
    ) -> AttributeTerms:
        """The terms of eq. 9 for a batch without labels and, where given, one with labels.

        Attributes of which q(z|x) is sure (0.95) are taken for labels of the distorted image; the
        others are unobserved there. Labelled images are distorted, too, before they are classified.
        What is encoded and decoded is never distorted.

        Args:
            images: x without labels.
            labelled: x with labels.
            labels: their attributes, `(m, n)`, 0 or 1; −1 where unknown.
            generator: source of the Gaussian and the Gumbel noise.
            kl_gradient: when False, the KL of the attributes carries no gradient.
            kl_weight: of the Gaussian KL within f; that of the other KL is the caller's.
            distortion: strength, see `distorted`; 0 leaves `consistency` out.

        Raises:
            ValueError: labelled images without labels, or labels without images.
        """
        if (labelled is None) != (labels is None):
            raise ValueError("labelled images and labels go together: give both or neither")
        unit = self._unit(images)
        q = self.encoder.classify(unit)
        objective = self.objective(images, kl_weight=kl_weight, generator=generator)
        estimate = self.estimator(q, objective, generator=generator)
        with torch.set_grad_enabled(kl_gradient and torch.is_grad_enabled()):
            kl = q.kl_to_uniform()
        gaussian = _mean_kl(q, objective, estimate.sample)
        terms = AttributeTerms(estimate.loss, kl, gaussian)
        near = []
        if distortion > 0:
            near.append(distorted(unit, distortion, generator=generator))
        labelled_images = None
        if labelled is not None and labels is not None:
            labelled_images = self._unit(labelled, "labelled")
            if distortion > 0:
                labelled_images = distorted(
                    labelled_images, distortion, cover=False, generator=generator
                )
            near.append(labelled_images)
        if not near:
            return terms
        targets = [_sure(q)] if distortion > 0 else []
        if labelled_images is not None and labels is not None:
            shape = (len(labelled_images), q.num_variables, 2)
            looked_at = q.device.type == "cpu" and not torch.compiler.is_compiling()
            targets.append(
                observed_one_hot(labels, shape, dtype=q.dtype, device=q.device, validate=looked_at)
            )
        return self._with_labels(terms, near, targets, labelled, kl_weight, generator)

    def _with_labels(
        self,
        terms: AttributeTerms,
        near: list[Tensor],
        targets: list[Tensor],
        labelled: Tensor | None,
        kl_weight: float,
        generator: torch.Generator | None,
    ) -> AttributeTerms:
        """The terms of observed attributes; distorted images and labelled ones in one pass."""
        neighbour_logits = self.encoder.classify(torch.cat(near))
        observed = torch.cat(targets)
        loss = self.supervision(
            neighbour_logits, observed, generator=generator, validate=False
        ).loss
        count = len(loss) - (0 if labelled is None else len(labelled))
        if count:
            terms = terms._replace(consistency=loss[:count])
        if labelled is None:
            return terms
        objective = self.objective(labelled, kl_weight=kl_weight, generator=generator)
        shown = observed[count:]
        unknown = shown.sum(-1, keepdim=True) == 0  # there the most probable value
        z = torch.where(unknown, neighbour_logits.mode()[count:], shown)
        return terms._replace(supervision=loss[count:], labelled=objective(z))

    @torch.no_grad()
    def mean_code(
        self, images: UInt8[Tensor, "b channels height width"], bits: Float[Tensor, "b n"]
    ) -> Float[Tensor, "b c"]:
        """The mean of the Gaussian code of images with attributes z, from 0 to 1."""
        return self.encoder.gaussians(self.encoder.features(self._unit(images)), bits)[0]

    @torch.no_grad()
    def bound(
        self,
        images: UInt8[Tensor, "N channels height width"],
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Bound:
        """The bound of every image: all settings of at most 4 attributes, else samples of them.

        Args:
            images: x, any number of them; processed in chunks.
            num_samples: of Gaussian noise an image, and of z where there are more attributes.
            generator: source of those samples.
            progress: told of the share of the images that is done.

        Returns:
            A `Bound`, in nats per image; `kl` is the sum of both parts, the Gaussian one averaged
            over q(z|x). `nll` is None.

        Raises:
            TypeError, ValueError: `num_samples` is no integer of at least 1.
        """
        check_count("num_samples", num_samples)
        self._check(images, "images")
        reconstruction, kl = [], []
        for index, part in enumerate(parts := images.split(EVALUATION_BATCH)):
            q = self.posterior(part)
            losses = gaussian = torch.zeros(len(part), dtype=q.dtype, device=q.device)
            for _ in range(num_samples):
                objective = self.objective(part, generator=generator)
                each = self._expected(q, objective, generator)
                losses, gaussian = losses + each[0], gaussian + each[1]
            reconstruction.append(losses / num_samples)
            kl.append(q.kl_to_uniform() + gaussian / num_samples)
            if progress is not None:
                progress((index + 1) / len(parts))
        return Bound(torch.cat(reconstruction), torch.cat(kl), nll=None, num_samples=num_samples)

    def _expected(
        self,
        q: DiscreteDistribution,
        objective: AttributeReconstruction,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """E_q of the loss and of the Gaussian KL, for the noise of the objective."""
        n = q.num_variables
        states = enumerate_states(n, 2, dtype=q.dtype, device=q.device)
        table = q.log_prob_table().exp()  # (b, K)
        if number_of_states(n, 2) > MAX_STATES:
            chosen = torch.multinomial(table, 1, generator=generator).squeeze(-1)
            return objective.parts(states[chosen])
        losses, gaussian = torch.zeros_like(table[:, 0]), torch.zeros_like(table[:, 0])
        for state, weight in zip(states, table.T, strict=True):
            each = objective.parts(state.expand(len(table), -1, -1))
            losses, gaussian = losses + weight * each[0], gaussian + weight * each[1]
        return losses, gaussian

    def _check(self, images: object, name: str) -> None:
        shape = tuple(self.encoder.shape)
        if not isinstance(images, Tensor) or images.dtype != torch.uint8:
            got = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"{name} must be 8-bit, torch.uint8 from 0 to 255, got {got}")
        if images.shape[1:] != shape:
            raise ValueError(f"{name} must have shape (batch, *{shape}), got {tuple(images.shape)}")

    def _unit(self, images: Tensor, name: str = "images") -> Tensor:
        self._check(images, name)
        return unit_pixels(images, self.scale.dtype)


@torch.no_grad()
def _mean_kl(
    q: DiscreteDistribution, objective: AttributeReconstruction, sample: Tensor | None
) -> Float[Tensor, " b"]:
    """The Gaussian KL, averaged as the estimator averages f: over its samples, or over q."""
    if sample is not None:
        return gaussian_kl(*map(widened, objective.gaussians(sample[..., 1]))).mean(0)
    states = enumerate_states(q.num_variables, 2, dtype=q.dtype, device=q.device)[..., 1]
    bits = states.unsqueeze(1).expand(-1, q.batch_size, -1)  # (K, b, n)
    each = gaussian_kl(*map(widened, objective.gaussians(bits)))
    return (q.log_prob_table().exp() * each.T).sum(-1)


@torch.no_grad()
def _sure(q: DiscreteDistribution) -> Float[Tensor, "b n 2"]:
    """Attributes of which q is sure as one-hot rows; a row of zeros for each of the others."""
    marginals = q.marginals()
    return (marginals > CONFIDENT).to(marginals.dtype)
