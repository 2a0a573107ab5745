"""The discrete variational auto-encoder: loss terms to train on, bounds to report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._validation import check_count
from directmax.distributions import DEFAULT_MAX_STATES, Categorical, number_of_states
from directmax.estimators import Estimator
from directmax.models._networks import Decoder, Encoder
from directmax.objectives import Reconstruction, evaluate

TABLE_ELEMENTS = 2**24
"""Losses of (state, image) pairs held at a time when a bound is computed."""


class LossTerms(NamedTuple):
    """The two terms of the bound for a mini-batch, `(b,)` each, in nats, with gradients."""

    reconstruction: Tensor
    kl: Tensor


@dataclass(frozen=True)
class Bound:
    """The bound of every image, in nats; lower is better.

    Attributes:
        reconstruction: E_q[−log p(x|z)], `(N,)`.
        kl: KL(q ‖ uniform prior), `(N,)`.
        nll: −log p(x) by enumeration, `(N,)`; None where the states were sampled.
        num_samples: samples an image in `reconstruction`; None where it was enumerated.
    """

    reconstruction: Float[Tensor, " N"]
    kl: Float[Tensor, " N"]
    nll: Float[Tensor, " N"] | None
    num_samples: int | None

    @property
    def bound(self) -> Float[Tensor, " N"]:
        """reconstruction + kl ≥ −log p(x) (in expectation, where sampled)."""
        return self.reconstruction + self.kl


class DiscreteVAE(nn.Module):
    r"""Encoder, decoder and estimator: −log p(x) ≤ E_q[−log p(x|z)] + KL(q ‖ p), p uniform.

    `forward` computes the loss terms, so that wrappers such as DistributedDataParallel see every
    parameter being used.

    Args:
        encoder: images `(b, d)` to logits `(b, n, k)`.
        decoder: one-hot `(…, n, k)` to pixel logits `(…, d)`; see `FactoredDecoder`.
        estimator: how the gradient of the first term passes the sample.

    Raises:
        TypeError: `estimator` is no `Estimator`.

    Example:
        >>> import torch
        >>> from directmax import Decoder, Direct, Encoder
        >>> model = DiscreteVAE(Encoder(64, 1, 10), Decoder(1, 10, 64), Direct())
        >>> images = torch.rand(5, 64).round()
        >>> terms = model(images)
        >>> (terms.reconstruction + terms.kl).mean().backward()
        >>> bool((model.bound(images).bound >= model.bound(images).nll - 1e-4).all())
        True

    Reference: Lorberbom et al. 2019, eq. 1.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, estimator: Estimator) -> None:
        super().__init__()
        if not isinstance(estimator, Estimator):
            raise TypeError(
                f"estimator must be an Estimator, such as Direct(), got {type(estimator).__name__}"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.estimator = estimator

    def posterior(self, images: Float[Tensor, "b d"]) -> Categorical:
        """q(z|x). Logits are not checked to be finite: training loops watch their loss."""
        return Categorical(self.encoder(images), validate=False)

    def forward(
        self,
        images: Float[Tensor, "b d"],
        *,
        generator: torch.Generator | None = None,
        kl_gradient: bool = True,
    ) -> LossTerms:
        """The terms of eq. 1 for a mini-batch.

        Args:
            images: x in [0, 1].
            generator: source of the Gumbel noise.
            kl_gradient: when False, the KL term is evaluated but carries no gradient.
        """
        q = self.posterior(images)
        estimate = self.estimator(q, Reconstruction(self.decoder, images), generator=generator)
        with torch.set_grad_enabled(kl_gradient and torch.is_grad_enabled()):
            kl = q.kl_to_uniform()
        return LossTerms(reconstruction=estimate.loss, kl=kl)

    @torch.no_grad()
    def bound(
        self,
        images: Float[Tensor, "N d"],
        *,
        max_states: int = DEFAULT_MAX_STATES,
        num_samples: int = 100,
        generator: torch.Generator | None = None,
    ) -> Bound:
        """The bound of every image: by enumeration where k^n ≤ `max_states`, else by sampling.

        Args:
            images: x `(N, d)`, any number of them; processed in chunks.
            max_states: the largest number of states to enumerate.
            num_samples: samples of z an image where there are more.
            generator: source of randomness for those samples.

        Returns:
            A `Bound`, in nats per image.

        Raises:
            TypeError, ValueError: `num_samples` is no integer of at least 1.
        """
        check_count("num_samples", num_samples)
        n, k = self.encoder.num_variables, self.encoder.num_values
        states = number_of_states(n, k)
        exact = states <= max_states
        width = states if exact else num_samples * images.shape[-1]
        parts = [
            self._enumerated(part, states) if exact else self._sampled(part, num_samples, generator)
            for part in images.split(max(1, TABLE_ELEMENTS // width))
        ]
        reconstruction, kl, nll = (torch.cat(term) for term in zip(*parts, strict=True))
        return Bound(
            reconstruction=reconstruction,
            kl=kl,
            nll=nll if exact else None,
            num_samples=None if exact else num_samples,
        )

    def _enumerated(self, images: Tensor, states: int) -> tuple[Tensor, Tensor, Tensor]:
        q = self.posterior(images)
        objective = Reconstruction(self.decoder, images)
        losses = objective.state_losses(q.num_variables, q.num_values, max_states=states)  # (b, K)
        probs = q.log_prob_table(max_states=states).exp()
        nll = math.log(states) - torch.logsumexp(-losses, -1)
        return (probs * losses).sum(-1), q.kl_to_uniform(), nll

    def _sampled(
        self, images: Tensor, num_samples: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        q = self.posterior(images)
        z = q.sample(num_samples, generator=generator)
        losses = evaluate(Reconstruction(self.decoder, images), z)  # (s, b)
        kl = q.kl_to_uniform()
        return losses.mean(0), kl, torch.full_like(kl, torch.nan)
