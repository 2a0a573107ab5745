"""The discrete variational auto-encoder: loss terms to train on, bounds to report."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._randomness import check_generator
from directmax._validation import (
    LARGEST,
    check_callable,
    check_count,
    check_flag,
    check_float_tensor,
)
from directmax.distributions import (
    DEFAULT_MAX_STATES,
    Categorical,
    DiscreteDistribution,
    PairwiseBinary,
    number_of_states,
)
from directmax.estimators import Estimator, refine
from directmax.models._bound import NUM_AUTHORS_SAMPLES, TABLE_ELEMENTS, Bound, enumerated, sampled
from directmax.models._checks import (
    check_estimator,
    check_images,
    check_parts,
    check_sizes,
    num_pixels_of,
    posterior_of,
)
from directmax.models._decoding import reconstruction
from directmax.models._one_variable import fits_one_pass, one_pass
from directmax.models._pixels import pixels_of
from directmax.models._prior import (
    ALL_PRIOR_CODES,
    NUM_PRIOR_CODES,
    PriorTerms,
    cost_of,
    drawn_codes,
    needed_sizes,
    said_sizes,
    uniform_logits,
)
from directmax.objectives import BERNOULLI, LinearCost, Objective, WithCost


class LossTerms(NamedTuple):
    """The two terms of the bound for a mini-batch, in nats, with gradients.

    Attributes:
        reconstruction: E_q[−log p(x|z)] of each image, `(b,)`, by the estimator; with a learned
            prior E_q[−log p(x|z) − log p(z)] − n log k.
        kl: KL(q ‖ uniform prior) of each image, `(b,)`; where the estimator samples from a refined
            posterior, with the value of that one.
        prior: what codes of the prior add, where it was asked for.

    Example:
        >>> terms = LossTerms(torch.tensor([9.0, 8.0]), torch.tensor([1.0, 0.5]))
        >>> (terms.reconstruction + terms.kl).mean()  # what is minimised
        tensor(9.2500)
    """

    reconstruction: Tensor
    kl: Tensor
    prior: PriorTerms | None = None


class DiscreteVAE(nn.Module):
    r"""Encoder, decoder and estimator: −log p(x) ≤ E_q[−log p(x|z)] + KL(q ‖ p), p(z) uniform.

    `forward` computes the loss terms, so that wrappers such as DistributedDataParallel see every
    parameter being used.

    Args:
        encoder: images `(b, d)` to logits `(b, n, k)` or to a distribution; any module.
        decoder: one-hot `(m, n, k)` to pixel logits `(m, d)`; any module. One whose first layer is
            linear, a `FactoredDecoder`, takes any leading axes, and has fast tables.
        estimator: how the gradient of the first term passes the sample.
        unary_kl: pairwise encoders: train with the KL of the unary potentials' softmax, as the
            authors' code does, instead of the Gibbs distribution's. It needs no sum over states,
            and gives no bound. An estimator that samples from a refined posterior, `LocalSearch`,
            has the Gibbs distribution's all the same.
        reduced: decode candidates in bfloat16 where that is faster; see `Reconstruction` and
            `PlainReconstruction`.
        likelihood: of a pixel: "bernoulli", or of 256 levels, x = v/255, around the mean σ(logit)
            with one learned scale: "logistic" (discretised) or "gaussian" (a bound of it); see
            `logistic_loss` and `gaussian_loss`. These have no fast tables.
        refined: whether codes and bounds are those after a local search with the decoder that
            begins at the encoder's most probable code; see `refine`.
        learned_prior: p(z) = Π_i p_i(z_i) with learned shares of the values, uniform at first, in
            place of the uniform one: `prior`. Training adds −log p(z) − n log k to f, so that every
            estimator, and the search, has it; its mean is part of `LossTerms.reconstruction` there,
            and of `Bound.kl` here.

    Raises:
        TypeError: `estimator` is no `Estimator`; at a call, images, logits or pixel logits are no
            floating-point tensor.
        ValueError: encoder and decoder are of other sizes; at a call, images are, or not in [0, 1],
            or encoder or decoder return another shape; `learned_prior` where the encoder says not
            how many variables and values it has, or its codes are those of a structure.

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

    __call__: Callable[..., LossTerms]

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        estimator: Estimator,
        *,
        unary_kl: bool = False,
        reduced: bool = True,
        likelihood: str = BERNOULLI,
        refined: bool = False,
        learned_prior: bool = False,
    ) -> None:
        super().__init__()
        check_estimator(estimator)
        check_parts(encoder=encoder, decoder=decoder)
        check_sizes(encoder, decoder, ("num_variables", "num_values"))
        self.encoder: Any = encoder
        self.decoder: Any = decoder
        self.estimator = estimator
        self.unary_kl = check_flag("unary_kl", unary_kl)
        self.reduced = check_flag("reduced", reduced)
        self.pixels = pixels_of(likelihood)
        self.likelihood = likelihood
        self.refined = check_flag("refined", refined)
        self.prior_logits: nn.Parameter | None = None
        if check_flag("learned_prior", learned_prior):
            self.prior_logits = uniform_logits(encoder)

    @property
    def prior(self) -> Float[Tensor, "n k"] | None:
        """p_i of every variable, where it is learned."""
        return None if self.prior_logits is None else self.prior_logits.softmax(-1)

    @property
    def _prior_cost(self) -> LinearCost | None:
        """Of a learned prior."""
        return None if self.prior_logits is None else cost_of(self.prior_logits)

    def posterior(self, images: Float[Tensor, "b d"]) -> DiscreteDistribution:
        """q(z|x). Potentials are not checked to be finite: training loops watch their loss."""
        check_images(images, num_pixels_of(self.encoder))
        return self._posterior(images)

    def _posterior(self, images: Float[Tensor, "b d"]) -> DiscreteDistribution:
        """Of images that were looked at."""
        return posterior_of(self.encoder(images), images.shape[0])

    def inferred(
        self, images: Float[Tensor, "b d"], *, quick: bool = False
    ) -> DiscreteDistribution:
        """What images are encoded with: q(z|x), refined where the model says so.

        Args:
            images: x in [0, 1].
            quick: with one search in place of two, in less than half the time; see `refine`.
        """
        check_images(images, num_pixels_of(self.encoder))
        check_flag("quick", quick)
        return self._inferred(images, quick=quick)

    def _inferred(self, images: Float[Tensor, "b d"], *, quick: bool) -> DiscreteDistribution:
        """Of images that were looked at."""
        if not self.refined or not len(images):
            return self._posterior(images)
        n, k = self._sizes(images)
        codes = 2 * (n * (k - 1) + 1)  # of a move
        width = max(1, TABLE_ELEMENTS // (codes * images.shape[-1]))
        candidates = 0 if quick else None
        found = [
            refine(
                self._posterior(part), self.objective(part, reduced=False), candidates=candidates
            ).logits
            for part in images.split(width)
        ]
        return Categorical(torch.cat(found), validate=False)

    def objective(self, images: Float[Tensor, "b d"], *, reduced: bool | None = None) -> Objective:
        """f(z) = −log p(x|z), in nats per image; with a learned prior − log p(z) − n log k more.

        Args:
            images: x in [0, 1].
            reduced: in place of the model's own.
        """
        reduced = self.reduced if reduced is None else reduced
        losses = reconstruction(self.decoder, images, self.pixels, reduced=reduced)
        return losses if (cost := self._prior_cost) is None else WithCost(losses, cost)

    def forward(
        self,
        images: Float[Tensor, "b d"],
        *,
        generator: torch.Generator | None = None,
        kl_gradient: bool = True,
        validate: bool = True,
        mean: Float[Tensor, " d"] | None = None,
    ) -> LossTerms:
        """The terms of eq. 1 for a mini-batch.

        Args:
            images: x in [0, 1].
            generator: source of the Gumbel noise.
            kl_gradient: when False, the KL term is evaluated but carries no gradient.
            validate: also look at the values of the images; for those that were looked at before.
            mean: the mean training image, for `prior_terms` as well. With one variable, and an
                `Encoder`, these cost half of what they do by themselves.
        """
        if validate:
            check_images(images, num_pixels_of(self.encoder))
        q: DiscreteDistribution
        objective: Objective
        prior: PriorTerms | None = None
        if mean is not None and fits_one_pass(self.encoder, self.estimator, self.prior_logits):
            check_generator(generator)
            self._check_mean(mean, validate)
            given = (self.encoder, self.decoder, self.pixels, images, mean, generator)
            q, objective, prior = one_pass(*given)
        else:
            q, objective = self._posterior(images), self.objective(images)
        estimate = self.estimator(q, objective, generator=generator)
        with torch.set_grad_enabled(kl_gradient and torch.is_grad_enabled()):
            if self.unary_kl and isinstance(q, PairwiseBinary) and estimate.kl is None:
                kl = q.unary_kl_to_uniform()
            else:
                kl = q.kl_to_uniform()
        if estimate.kl is not None:  # the value of what was sampled from, the gradient of q
            kl = estimate.kl + (kl - kl.detach())
        if mean is not None and prior is None:
            prior = self.prior_terms(mean, generator=generator, validate=validate)
        return LossTerms(estimate.loss, kl, prior)

    def prior_terms(
        self,
        mean: Float[Tensor, " d"],
        *,
        generator: torch.Generator | None = None,
        validate: bool = True,
    ) -> PriorTerms:
        """What codes of the prior can teach, so that few images are not learned by heart.

        Decoder: E_z[−log p(m|z)] of the mean training image m. Added to the training loss with
        weight w·c/N, where N is the number of training images and c = n(k − 1) + 1 that of the
        values that the decoder has, it is a prior: as if w images more for each of them were equal
        to m. With one variable that is the pseudo-count of a mixture, so that no pixel has
        probability 0 because few images have its code.

        Encoder: E_z E_{x̃ ∼ p(x|z)}[−log q(z|x̃)], of images that the decoder draws, always new ones.

        Args:
            mean: m in [0, 1], `(d,)`.
            generator: source of codes and images.
            validate: also look at the values of m.

        Returns:
            Both losses, in nats: one number each.

        Raises:
            TypeError: `mean` is no floating-point tensor, `generator` none.
            ValueError: `mean` is no image in [0, 1], or log q of coupled variables sums over too
                many states (n > 24).

        Example:
            >>> from directmax import Decoder, Encoder, LocalDivergence
            >>> model = DiscreteVAE(Encoder(64, 1, 10), Decoder(1, 10, 64), LocalDivergence())
            >>> images = torch.rand(500, 64).round()
            >>> terms = model(images[:100], mean=images.mean(0))  # with the terms of the prior
            >>> loss = (terms.reconstruction + terms.kl).mean()
            >>> (loss + 10 / len(images) * terms.prior.decoder + terms.prior.encoder).backward()

        Reference: the second is the sleep phase of Hinton, Dayan, Frey and Neal 1995.
        """
        check_generator(generator)
        self._check_mean(mean, validate)
        n, k = self._sizes(mean.unsqueeze(0))
        shares: Tensor | None = None
        if n == 1 and k <= ALL_PRIOR_CODES:
            z = torch.eye(k, dtype=mean.dtype, device=mean.device).unsqueeze(1)
            shares = None if self.prior is None else self.prior.detach().squeeze(0)
        else:
            settings = (NUM_PRIOR_CODES, generator, mean)
            z = drawn_codes(self.encoder, self.prior, n, k, *settings)
        logits = self.decoder(z)  # (c, d)
        images = self.pixels.draw(logits, generator).to(mean.dtype)
        log_prob = self._posterior(images).log_prob(z)
        encoder = -log_prob.mean() if shares is None else -(shares * log_prob).sum()
        return PriorTerms(self.pixels.loss(logits, mean.expand_as(logits)).mean(), encoder)

    def _check_mean(self, mean: Tensor, validate: bool) -> None:
        check_float_tensor("mean", mean, ("pixels",), finite=False)
        if validate:
            check_images(mean.unsqueeze(0), num_pixels_of(self.encoder), name="mean")

    @torch.no_grad()
    def prior_codes(
        self, count: int, *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "count n k"]:
        """Codes that are drawn from the prior, one-hot: uniform, learned, or of a structure's set.

        Args:
            count: how many.
            generator: source of randomness, on any device.

        Raises:
            TypeError, ValueError: `count` is no integer of at least 1; the encoder does not say how
                many variables and values it has.

        Example:
            >>> from directmax import Decoder, Direct, Encoder
            >>> model = DiscreteVAE(Encoder(64, 3, 10), Decoder(3, 10, 64), Direct())
            >>> model.decoder(model.prior_codes(5)).shape
            torch.Size([5, 64])
        """
        check_count("count", count)
        check_generator(generator)
        like = next(self.parameters())
        sizes = needed_sizes(self.encoder)
        return drawn_codes(self.encoder, self.prior, *sizes, count, generator, like)

    @torch.no_grad()
    def bound(
        self,
        images: Float[Tensor, "N d"],
        *,
        max_states: int = DEFAULT_MAX_STATES,
        num_samples: int = 100,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
        quick: bool = False,
    ) -> Bound:
        """The bound of every image: by enumeration where k^n ≤ `max_states`, else by sampling.

        Args:
            images: x `(N, d)`, any number of them; processed in chunks.
            max_states: the largest number of states to enumerate.
            num_samples: samples of z an image where there are more.
            generator: source of randomness for those samples.
            progress: told of the share of the states that is done.
            quick: of a model that is refined, for an estimate while it is trained: codes are
                refined by one search in place of two, and the encoder's own bound is left out.

        Returns:
            A `Bound`, in nats per image. For pairwise encoders with enumerable states it is that
            of the Gibbs distribution; with more states there is none, and `valid` is False. For a
            `StructuredEncoder` there is one always: its KL and its samples are exact.

        Raises:
            TypeError, ValueError: `num_samples` is no integer of at least 1.
        """
        check_count("num_samples", num_samples)
        check_callable("progress", progress, optional=True)
        check_count("max_states", max_states, maximum=LARGEST)
        check_flag("quick", quick)
        check_images(images, num_pixels_of(self.encoder))
        n, k = self._sizes(images)
        alone = self._posterior if self.refined and not quick else None
        inferred = functools.partial(self._inferred, quick=quick)
        model = (inferred, self.decoder, self.pixels, self._prior_cost)
        if number_of_states(n, k) > max_states:
            found = sampled(*model, images, num_samples, generator)
            if alone is None:
                return found
            other = sampled(alone, *model[1:], images, num_samples, generator)
            terms = {"amortized": other.bound} if other.valid else {"authors": other.authors}
            return dataclasses.replace(found, **terms)
        exact = enumerated(*model, images, n, k, progress, alone=alone)
        if not isinstance(self._posterior(images[:1]), PairwiseBinary):
            return exact
        num_few = min(num_samples, NUM_AUTHORS_SAMPLES)
        authors = sampled(self._posterior, *model[1:], images, num_few, generator)
        return dataclasses.replace(exact, authors=authors.bound)

    def _sizes(self, images: Float[Tensor, "N d"]) -> tuple[int, int]:
        """n and k, as the encoder says them or as its output has them."""
        if (said := said_sizes(self.encoder)) is not None:
            return said
        q = self.posterior(images[:1])
        return q.num_variables, q.num_values
