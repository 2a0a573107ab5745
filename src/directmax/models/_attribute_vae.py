"""The auto-encoder of images with binary attributes and a Gaussian code that depends on them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from directmax import objectives
from directmax._choices import check_choice
from directmax._randomness import draw
from directmax._validation import check_callable, check_count, check_positive, check_tensor
from directmax.distributions import DiscreteDistribution
from directmax.estimators import Estimator, LabelledDirect
from directmax.models._attribute_known import Known, Shown, known_losses, shown_images
from directmax.models._attribute_networks import AttributeDecoder, AttributeEncoder
from directmax.models._attribute_prior import kl_to_prior
from directmax.models._attribute_switched import switched_loss
from directmax.models._attribute_terms import AttributeTerms, decided, mean_gaussian_kl, mean_parts
from directmax.models._bound import Bound
from directmax.models._calibration import calibrated as calibrated_by
from directmax.models._calibration import identity, with_both_sides, with_calibration
from directmax.models._checks import check_bytes, check_estimator, check_parts, check_sizes
from directmax.models._convolutions import channels_last
from directmax.models._pixels import INITIAL_LOG_SCALE, SCALE_RATE
from directmax.objectives import LIKELIHOODS, AttributeReconstruction, unit_pixels

CONFIDENCE = 0.8
"""Probability above which an attribute of an image without label counts as known."""
AVERAGE_DECAY = 0.99
"""Of the mean weights: a mean over about 100 steps."""
EVALUATION_BATCH = 250
"""Images of which all settings of the attributes are decoded at a time."""


class AttributeVAE(nn.Module):
    r"""−log P(x) ≤ E_{t(z|x)}[f(z)] + KL(t(z|x) ‖ p(z)) for n binary attributes z, t ∝ q^s.

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
        log_prior: log p(z) of all 2^n combinations, `(2^n,)`, or uniform; see `attribute_prior`.
        averaged: whether `posterior` is that of a running mean of the weights, see `follow`.
        calibrated: whether its log-odds are corrected by the buffer `calibration`, `(3, n)`.
        decided: s. What labels say of an attribute may leave q(z|x) in doubt where the image does
            not: decoded with both values, it would show neither. But for s = 1 the bound has no
            gradient with respect to q(z|x).

    Raises:
        TypeError: `estimator` is no `Estimator`.
        ValueError: sizes of encoder and decoder differ, an unknown likelihood; `calibrated` with
            coupled attributes.

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
        log_prior: Float[Tensor, " states"] | None = None,
        averaged: bool = False,
        calibrated: bool = False,
        decided: float = 1.0,
    ) -> None:
        super().__init__()
        check_estimator(estimator)
        check_parts(encoder=encoder, decoder=decoder)
        check_choice("likelihood", likelihood, tuple(LIKELIHOODS))
        check_sizes(encoder, decoder, ("shape", "num_variables", "num_dimensions"))
        self.encoder, self.decoder, self.estimator = encoder, decoder, estimator
        self.likelihood, self.decided = likelihood, check_positive("decided", decided)
        self.supervision = LabelledDirect() if supervision is None else supervision
        self.scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE / SCALE_RATE))
        if log_prior is not None:
            check_tensor("log_prior", log_prior, (2**encoder.num_variables,), "combinations")
        self.log_prior: Tensor | None
        self.register_buffer("log_prior", log_prior)
        self.average = copy.deepcopy(encoder.classifier).requires_grad_(False) if averaged else None
        if calibrated and encoder.coupled is not None:
            raise ValueError("calibrated is for independent attributes, and these are coupled")
        self.calibration: Tensor | None
        self.register_buffer("calibration", identity(encoder.num_variables) if calibrated else None)
        self.register_load_state_dict_pre_hook(with_both_sides)

    @torch.no_grad()
    def settle(self) -> None:
        """Make `posterior` the encoder's own: mean weights and calibration become layers of it.

        For a model whose training has ended; it has neither afterwards. Its state is that of a
        settled model: settle the one that it is loaded into first.
        """
        if self.average is not None:
            present = self.encoder.classifier.parameters()
            for own, mean in zip(present, self.average.parameters(), strict=True):
                own.copy_(mean)
        if self.calibration is not None:
            assert isinstance(self.encoder.potentials, nn.Linear)
            self.encoder.potentials = with_calibration(self.encoder.potentials, self.calibration)
        self.average = self.calibration = None

    @property
    def log_scale(self) -> Float[Tensor, ""]:
        """log of the likelihood's scale, in units of the unit interval."""
        return SCALE_RATE * self.scale

    def posterior(self, images: UInt8[Tensor, "b channels height width"]) -> DiscreteDistribution:
        """q(z|x), the attributes: of the mean weights, and calibrated, where the model has that."""
        return calibrated_by(self.raw_posterior(images), self.calibration)

    def raw_posterior(
        self, images: UInt8[Tensor, "b channels height width"]
    ) -> DiscreteDistribution:
        """q(z|x) before it is calibrated."""
        return self.encoder.classify(self._unit(images), self.average)

    @torch.no_grad()
    def follow(self, decay: float = AVERAGE_DECAY) -> None:
        """Move the mean weights towards the present ones; of a training, after every step.

        Args:
            decay: share that stays, from 0 to 1.

        Reference: Tarvainen and Valpola 2017 (mean teacher).
        """
        if self.average is not None:
            present = self.encoder.classifier.parameters()
            for mean, weight in zip(self.average.parameters(), present, strict=True):
                mean.lerp_(weight, 1 - decay)

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
        images = channels_last(images)
        shape = (len(images), self.encoder.num_dimensions)
        noise = draw(torch.randn, shape, generator, dtype=self.scale.dtype, device=images.device)
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
        sharpness: float = 0.0,
        confidence: float = CONFIDENCE,
        patching: bool = False,
        mixing: bool = False,
        tilt: Float[Tensor, " states"] | None = None,
        calibrated_targets: bool = False,
        decoded: int | None = None,
        switched: int = 0,
        deciding: bool = True,
    ) -> AttributeTerms:
        """The terms of eq. 9 for a batch without labels and, where given, one with labels.

        What q(z|x), of the mean weights, says of an image is the target of the distorted image.

        Args:
            images: x without labels.
            labelled: x with labels.
            labels: their attributes, `(m, n)`, 0 or 1; −1 where unknown.
            generator: source of the Gaussian and the Gumbel noise.
            kl_gradient: when False, the KL of the attributes carries no gradient.
            kl_weight: of the Gaussian KL within f; that of the other KL is the caller's.
            distortion: of what is classified, see `distorted`; 0 leaves `consistency` out.
            sharpness: s of targets ∝ q(z|x)^s; 0: those attributes of which q(z|x) is sure.
            confidence: the probability above which it is sure, with `sharpness` 0.
            patching: whether half of the distorted images are covered in part by another of them.
            mixing: whether half of the labelled images are classified as means of two.
            tilt: log w(z) of labelled images drawn in other shares, see `label_loss`.
            calibrated_targets: whether targets are of q(z|x) after the correction `calibration`.
            decoded: `labelled` is of the first so many labelled images; of all when None.
            switched: the first so many are also decoded with other attributes, see `switched_loss`.
            deciding: whether the bound is that of t(z|x), as `bound` says it, or of q(z|x).

        Raises:
            ValueError: labelled images without labels, or labels without images.
        """
        if (labelled is None) != (labels is None):
            raise ValueError("labelled images and labels go together: give both or neither")
        self._check(images, "images")
        images = channels_last(images)
        q, terms = self._bound_terms(
            images, generator, kl_gradient, kl_weight, switched, self.decided if deciding else 1.0
        )
        told = self.raw_posterior(images) if distortion > 0 and self.average is not None else q
        told = calibrated_by(told, self.calibration) if calibrated_targets else told
        how = Shown(distortion, sharpness, confidence, patching, mixing, tilt)
        known = self._known(images, told, labelled, labels, generator, how)
        labelled = None if labelled is None else labelled[:decoded]
        return self._with_known(terms, known, labelled, kl_weight, generator) if known else terms

    def classification_terms(
        self,
        images: UInt8[Tensor, "b channels height width"],
        labelled: UInt8[Tensor, "m channels height width"],
        labels: Int[Tensor, "m n"],
        *,
        distortion: float,
        generator: torch.Generator | None = None,
        sharpness: float = 0.0,
        confidence: float = CONFIDENCE,
        patching: bool = False,
        mixing: bool = False,
        tilt: Float[Tensor, " states"] | None = None,
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " m"]]:
        r"""−E_t[log q(z|x')] and −log q(labels|x) of `forward` alone, in a fraction of its time.

        Nothing is reconstructed. t ∝ q(z|x)^s of the mean weights, x' is the image distorted. For
        the arguments see `forward`; with distortion 0 the first is 0.

        Returns:
            `consistency` `(b,)` and `supervision` `(m,)` of `AttributeTerms`, in nats.

        Raises:
            TypeError, ValueError: images of another type or shape, labels that do not fit them.

        Example:
            >>> from directmax import LocalExpectation
            >>> encoder = AttributeEncoder((3, 16, 16), 2, 8)
            >>> decoder = AttributeDecoder((3, 16, 16), 2, 8)
            >>> model = AttributeVAE(encoder, decoder, LocalExpectation())
            >>> images = torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8)
            >>> labels = torch.tensor([[1, 0]])
            >>> told, known = model.classification_terms(images, images[:1], labels, distortion=0.5)
            >>> told.shape, known.shape
            (torch.Size([5]), torch.Size([1]))
        """
        self._check(images, "images")
        images = channels_last(images)
        told = self.raw_posterior(images if distortion > 0 else images[:1])
        how = Shown(distortion, sharpness, confidence, patching, mixing, tilt)
        known = self._known(images, told, labelled, labels, generator, how)
        losses, _ = known_losses(self.encoder, known, generator=generator)
        return losses[0] if len(losses) > 1 else losses[0].new_zeros(len(images)), losses[-1]

    def _known(
        self,
        images: Tensor,
        told: DiscreteDistribution,
        labelled: Tensor | None,
        labels: Tensor | None,
        generator: torch.Generator | None,
        how: Shown,
    ) -> list[Known]:
        """Images in [0, 1], of which q(z|x) is told, then the labelled ones, as they are shown."""
        unit = None if labelled is None else self._unit(labelled, "labelled")
        shown = (self._unit(images), told, unit, labels, self.supervision)
        how = how._replace(symmetric=self.encoder.symmetric)
        return shown_images(*shown, how, generator=generator)

    def _bound_terms(
        self,
        images: Tensor,
        generator: torch.Generator | None,
        kl_gradient: bool,
        kl_weight: float,
        switched: int,
        power: float,
    ) -> tuple[DiscreteDistribution, AttributeTerms]:
        """q(z|x) of images without labels, the terms of their bound, and that of switched ones."""
        q = self.encoder.distribution(self.encoder.classifier((2 * self._unit(images)).sub_(1)))
        objective = self.objective(images, kl_weight=kl_weight, generator=generator)
        t = decided(q, power)
        estimate = self.estimator(t, objective, generator=generator)
        with torch.set_grad_enabled(kl_gradient and torch.is_grad_enabled()):
            kl = kl_to_prior(t, self.log_prior)
        gaussian = mean_gaussian_kl(t, objective, estimate.sample)
        terms = AttributeTerms(estimate.loss, kl, gaussian)
        if not switched:
            return q, terms
        layers = self.encoder.classifier if self.average is None else self.average
        looks = (self.encoder, layers, self.supervision)
        return q, terms._replace(switched=switched_loss(q, objective, *looks, switched, generator))

    def _with_known(
        self,
        terms: AttributeTerms,
        known: list[Known],
        labelled: Tensor | None,
        kl_weight: float,
        generator: torch.Generator | None,
    ) -> AttributeTerms:
        """The terms of observed attributes: sure ones first, then, where given, those of labels."""
        losses, posteriors = known_losses(self.encoder, known, generator=generator)
        if labelled is None or len(known) > 1:
            terms = terms._replace(consistency=losses[0])
        if labelled is None:
            return terms
        shown = known[-1].observed[: len(labelled)]
        unknown = shown.sum(-1, keepdim=True) == 0  # there the most probable value
        probable = self.raw_posterior(labelled) if known[-1].mixed else posteriors[-1]
        objective = self.objective(labelled, kl_weight=kl_weight, generator=generator)
        z = torch.where(unknown, probable.mode()[: len(labelled)], shown)
        return terms._replace(supervision=losses[-1], labelled=objective(z))

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
            over t(z|x). `nll` is None.

        Raises:
            TypeError, ValueError: `num_samples` is no integer of at least 1.
        """
        check_count("num_samples", num_samples)
        check_callable("progress", progress, optional=True)
        self._check(images, "images")
        reconstruction, kl = [], []
        for index, part in enumerate(parts := images.split(EVALUATION_BATCH)):
            t = decided(self.posterior(part), self.decided)
            objectives = (self.objective(part, generator=generator) for _ in range(num_samples))
            losses, gaussian = mean_parts(t, objectives, generator)
            reconstruction.append(losses)
            kl.append(kl_to_prior(t, self.log_prior) + gaussian)
            if progress is not None:
                progress((index + 1) / len(parts))
        return Bound(torch.cat(reconstruction), torch.cat(kl), nll=None, num_samples=num_samples)

    def _check(self, images: object, name: str) -> None:
        check_bytes(name, images, self.encoder.shape, self.scale.device)

    def _unit(self, images: Tensor, name: str = "images") -> Tensor:
        self._check(images, name)
        return unit_pixels(images, self.scale.dtype)
