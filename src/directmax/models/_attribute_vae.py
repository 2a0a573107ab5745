"""The auto-encoder of images with binary attributes and one Gaussian code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from directmax._choices import check_choice
from directmax._validation import check_count
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.distributions._observed import observed_one_hot
from directmax.estimators import Estimator, LabelledDirect
from directmax.models._attribute_networks import (
    AttributeDecoder,
    AttributeEncoder,
    AttributePosterior,
    image_input,
)
from directmax.models._bound import Bound
from directmax.models._regularity import adversarial_divergence
from directmax.objectives import AttributeReconstruction, gaussian_loss, logistic_loss

LIKELIHOODS = {"gaussian": gaussian_loss, "logistic": logistic_loss}

MAX_STATES = 2**8
"""Assignments whose losses are enumerated for the bound; each is decoded for every image."""

EVALUATION_BATCH = 100
"""Images evaluated at a time."""


class AttributeTerms(NamedTuple):
    """What a training step sums, in nats, with gradients; see `AttributeVAE.forward`.

    Attributes:
        reconstruction: E_q[f(z)] of the unlabelled images, `(b,)`, the Gaussian KL within f.
        kl: KL(q(z|x) ‖ uniform), `(b,)`.
        labelled: f(label) of the labelled images, `(m,)`; None without.
        supervision: the loss of the labels, `(m,)`; None without.
        regularity: how much the worst step of length `radius` changes q(z|x) of the unlabelled
            images, plus its entropy, `(b,)`; None without `radius`.
    """

    reconstruction: Tensor
    kl: Tensor
    labelled: Tensor | None = None
    supervision: Tensor | None = None
    regularity: Tensor | None = None


class AttributeVAE(nn.Module):
    r"""−log P(x) ≤ E_{q(z|x)}[f(z)] + KL(q(z|x) ‖ uniform), z the attributes of an image.

    f(z) = E_{ε ∼ N(μ_z, σ_z²)}[−log P(x | z, ε)] + KL(N(μ_z, σ_z²) ‖ N(0, I)) for n binary
    variables z, independent or coupled. While training, ε_z = μ_z + σ_z · noise with one noise
    vector an image for all z, so that f is a function of z and every estimator of the library works.
    The code has the same meaning for all z: attributes are switched by changing z while ε stays.

    Images are 8-bit, `(b, channels, height, width)`. Their likelihood is an upper bound of −log P
    under a Gaussian, or −log P under a discretised logistic; see `gaussian_loss`, `logistic_loss`.

    Args:
        encoder: pixels to an `AttributePosterior`, features and attributes to Gaussians.
        decoder: code and attributes to the mean image; holds the likelihood's scale.
        estimator: how the gradient of E_q[f] passes the sample of z.
        likelihood: gaussian or logistic.
        supervision: the loss of the labels; `LabelledDirect()` when None.

    Raises:
        TypeError: `estimator` is no `Estimator`.
        ValueError: the sizes of encoder and decoder differ, or an unknown likelihood.

    Example:
        >>> import torch
        >>> from directmax import AttributeDecoder, AttributeEncoder, Direct
        >>> shape = (3, 16, 16)
        >>> encoder = AttributeEncoder(shape, 2, 4, width=8, hidden=16)
        >>> model = AttributeVAE(encoder, AttributeDecoder(shape, 2, 4, width=8), Direct())
        >>> images = torch.randint(256, (5, *shape), dtype=torch.uint8)
        >>> labels = torch.tensor([[1, 0], [0, -1]])  # −1: not known
        >>> terms = model(images, labelled=images[:2], labels=labels)
        >>> loss = (terms.reconstruction + terms.kl).mean() + terms.labelled.mean()
        >>> (loss + terms.supervision.mean()).backward()
        >>> model.bound(images).bound.shape
        torch.Size([5])

    Reference: Lorberbom et al. 2019, sections 4.2 and 5, figure 5.
    """

    def __init__(
        self,
        encoder: AttributeEncoder,
        decoder: AttributeDecoder,
        estimator: Estimator,
        *,
        likelihood: Literal["gaussian", "logistic"] = "gaussian",
        supervision: LabelledDirect | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(estimator, Estimator):
            raise TypeError(
                f"estimator must be an Estimator, such as Direct(), got {type(estimator).__name__}"
            )
        check_choice("likelihood", likelihood, tuple(LIKELIHOODS))
        ours, theirs = (
            (part.shape, part.num_variables, part.num_dimensions) for part in (encoder, decoder)
        )
        if ours != theirs:
            raise ValueError(
                "encoder and decoder must have the same image shape, number of attributes and "
                f"dimensions of the code, got {ours} and {theirs}"
            )
        self.encoder, self.decoder, self.estimator = encoder, decoder, estimator
        self.likelihood = likelihood
        self.supervision = LabelledDirect() if supervision is None else supervision

    def posterior(self, images: UInt8[Tensor, "b ch h w"]) -> DiscreteDistribution:
        """q(z|x), the attributes."""
        posterior: AttributePosterior = self.encoder(image_input(images, self))
        return posterior.q

    def loss(
        self, mean: Float[Tensor, "*s b ch h w"], images: UInt8[Tensor, "b ch h w"]
    ) -> Float[Tensor, "*s b"]:
        """−log P(x), or its bound, for mean images, in nats."""
        return LIKELIHOODS[self.likelihood](mean, self.decoder.log_scale, images)

    def objective(
        self,
        images: UInt8[Tensor, "b ch h w"],
        features: Float[Tensor, "b f"],
        *,
        kl_weight: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> AttributeReconstruction:
        """f for one noise vector an image.

        Args:
            images: x.
            features: the encoder's, of these images.
            kl_weight: of the Gaussian KL within f.
            generator: source of the Gaussian noise.
        """
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        noise = torch.randn(
            (len(images), self.encoder.num_dimensions),
            generator=generator,
            dtype=dtype,
            device=features.device,
        )
        return AttributeReconstruction(
            self.decoder,
            lambda bits: self.encoder.gaussians(features, bits),
            self.loss,
            images,
            noise,
            kl_weight=kl_weight,
        )

    def forward(
        self,
        images: UInt8[Tensor, "b ch h w"],
        *,
        labelled: UInt8[Tensor, "m ch h w"] | None = None,
        labels: Int[Tensor, "m n"] | None = None,
        generator: torch.Generator | None = None,
        kl_gradient: bool = True,
        kl_weight: float = 1.0,
        radius: float = 0.0,
    ) -> AttributeTerms:
        """The terms of eq. 9 for a batch without labels and, where given, one with labels.

        Args:
            images: x without labels.
            labelled: x with labels.
            labels: their attributes, 0 or 1, −1 where unknown.
            generator: source of the Gaussian and the Gumbel noise.
            kl_gradient: when False, the KL of q(z|x) is evaluated but carries no gradient.
            kl_weight: of the Gaussian KL within f; that of the discrete KL is the caller's.
            radius: of the step in `adversarial_divergence`; 0 leaves `regularity` out.
        """
        count = len(images)
        pixels = image_input(images, self)
        together = pixels
        if labelled is not None:
            together = torch.cat([pixels, image_input(labelled, self)])
        features = self.encoder.features(together)
        q = self.encoder.distribution(features[:count])
        objective = self.objective(
            images, features[:count], kl_weight=kl_weight, generator=generator
        )
        estimate = self.estimator(q, objective, generator=generator)
        with torch.set_grad_enabled(kl_gradient and torch.is_grad_enabled()):
            kl = q.kl_to_uniform()
        terms = AttributeTerms(estimate.loss, kl)
        if radius > 0:
            divergence = self._divergence(pixels, q, radius, generator)
            terms = terms._replace(regularity=divergence + q.entropy())
        if labelled is None or labels is None:
            return terms
        q = self.encoder.distribution(features[count:])
        shape = (q.batch_size, q.num_variables, q.num_values)
        known = observed_one_hot(labels, shape, dtype=q.dtype, device=q.device, validate=False)
        supervision = self.supervision(q, known, generator=generator, validate=False).loss
        with torch.no_grad():  # where a label is unknown, what q thinks
            noise = q.noise(1, generator=generator)
            z = q.argmax_given(noise, known).squeeze(0)
        theirs = self.objective(
            labelled, features[count:], kl_weight=kl_weight, generator=generator
        )
        return terms._replace(labelled=theirs(z), supervision=supervision)

    def _divergence(
        self,
        pixels: Float[Tensor, "b ch h w"],
        q: DiscreteDistribution,
        radius: float,
        generator: torch.Generator | None,
    ) -> Float[Tensor, " b"]:
        """KL(q(·|x) ‖ q(·|x + r)) of the joint distribution of the attributes."""

        def logits_of(flat: Tensor) -> Tensor:
            features = self.encoder.features(flat.view_as(pixels))
            return _logits(self.encoder.distribution(features))

        divergence = adversarial_divergence(
            logits_of, pixels.flatten(1), _logits(q), radius, generator=generator
        )
        return divergence.sum(-1)

    @torch.no_grad()
    def bound(
        self,
        images: UInt8[Tensor, "N ch h w"],
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Bound:
        """The bound of every image: all 2^n assignments where n ≤ 8, else a sample of z.

        Args:
            images: x, any number of them; processed in chunks.
            num_samples: Gaussian samples an image, and of z where n > 8.
            generator: source of those samples.
            progress: told of the share of the images that is done.

        Returns:
            A `Bound`, in nats per image; `kl` is the sum of the discrete and the Gaussian part.
            `nll` is None. `valid` is False where coupled variables had to be sampled.

        Raises:
            TypeError, ValueError: `num_samples` is no integer of at least 1.
        """
        check_count("num_samples", num_samples)
        reconstruction, kl, valid = [], [], True
        for index, part in enumerate(parts := images.split(EVALUATION_BATCH)):
            q, features = self.encoder(image_input(part, self))
            n = q.num_variables
            losses = gaussian = torch.zeros(len(part), dtype=q.dtype, device=q.device)
            for _ in range(num_samples):
                objective = self.objective(part, features, generator=generator)
                if 2**n <= MAX_STATES:
                    weights = q.log_prob_table().exp().T  # (K, b)
                    z = _states(q).unsqueeze(1).expand(-1, len(part), -1, -1)
                else:
                    valid = isinstance(q, Categorical)
                    weights = torch.ones(1, len(part), dtype=q.dtype, device=q.device)
                    z = q.sample(1, generator=generator)
                for state, weight in zip(z, weights, strict=True):
                    one, one_kl = objective.parts(state)
                    losses, gaussian = losses + weight * one, gaussian + weight * one_kl
            reconstruction.append(losses / num_samples)
            kl.append(q.kl_to_uniform() + gaussian / num_samples)
            if progress is not None:
                progress((index + 1) / len(parts))
        return Bound(
            torch.cat(reconstruction),
            torch.cat(kl),
            nll=None,
            num_samples=num_samples,
            valid=valid,
        )

    @torch.no_grad()
    def encode(
        self,
        images: UInt8[Tensor, "b ch h w"],
        attributes: Float[Tensor, "b n"] | None = None,
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b c"]]:
        """The most probable attributes, 0 or 1, and the mean of the code.

        Args:
            images: x.
            attributes: of which assignment the code is; the most probable one when None.

        Returns:
            Attributes `(b, n)` and code `(b, c)`, for `decoder(code, attributes)`.
        """
        q, features = self.encoder(image_input(images, self))
        bits = q.mode()[..., 1] if attributes is None else attributes.to(features)
        mean, _ = self.encoder.gaussians(features, bits)
        return bits, mean


def _states(q: DiscreteDistribution) -> Float[Tensor, "K n 2"]:
    from directmax.distributions import enumerate_states

    return enumerate_states(q.num_variables, 2, dtype=q.dtype, device=q.device)


def _logits(q: DiscreteDistribution) -> Tensor:
    """Independent variables as `(b, n, 2)`; coupled ones as one variable with 2^n values."""
    return q.logits if isinstance(q, Categorical) else q.log_prob_table().unsqueeze(1)
