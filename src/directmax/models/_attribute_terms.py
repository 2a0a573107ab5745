"""The terms of the loss of a model with attributes, and what is read off q(z|x) for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._precision import widened
from directmax._validation import check_number, check_positive
from directmax.distributions import (
    Categorical,
    DiscreteDistribution,
    PairwiseBinary,
    enumerate_states,
    number_of_states,
)
from directmax.objectives import AttributeReconstruction, gaussian_kl

Loss = Callable[[DiscreteDistribution, Tensor], Tensor]
"""Of q(z|x) and what is known of z, a number an image."""
MAX_STATES = 16
"""Settings that are decoded for the bound; with more, samples are."""


class AttributeTerms(NamedTuple):
    """What a training step sums, in nats, with gradients; see `AttributeVAE.forward`.

    Attributes:
        reconstruction: E_q[f(z)] of the unlabelled images, `(b,)`, the Gaussian KL within f.
        kl: KL of the attributes to their prior, `(b,)`.
        gaussian_kl: the part of `reconstruction` that is the Gaussian KL, for reports, `(b,)`;
            without gradient.
        labelled: f(labels) of the labelled images, or of the first of them, `(m,)`; None without.
        supervision: the loss of the labels, `(m,)`; None without.
        consistency: the loss of what q(z|x) says of images without label, on the distorted images,
            `(b,)`; None without.
        switched: the loss of images decoded with other attributes, `(s,)`; None without.

    Example:
        >>> from directmax import AttributeDecoder, AttributeEncoder, AttributeVAE, LocalExpectation
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
    switched: Tensor | None = None


@torch.no_grad()
def mean_gaussian_kl(
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
def expected_parts(
    q: DiscreteDistribution, objective: AttributeReconstruction, generator: torch.Generator | None
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """E_q of f and of the Gaussian KL, for the noise of the objective.

    All settings of the attributes are decoded, or with more than 16 a sample of q.
    """
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


@torch.no_grad()
def mean_parts(
    q: DiscreteDistribution,
    objectives: Iterable[AttributeReconstruction],
    generator: torch.Generator | None,
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """`expected_parts`, averaged over objectives of other noise."""
    parts = [expected_parts(q, objective, generator) for objective in objectives]
    losses, gaussian = (torch.stack(each).mean(0) for each in zip(*parts, strict=True))
    return losses, gaussian


def decided(q: DiscreteDistribution, power: float) -> DiscreteDistribution:
    r"""t(z) ∝ q(z)^power of independent or coupled attributes.

    Without gradient, but for power 1: what reconstructs an image would else move q where labels
    leave it in doubt, and the more so the more power there is.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.log(torch.tensor([[[0.8, 0.2]]])))
        >>> decided(q, 2.0).marginals()
        tensor([[[0.9412, 0.0588]]])
    """
    if check_positive("decided", power) == 1:
        return q
    if isinstance(q, PairwiseBinary):
        return PairwiseBinary(
            power * q.unary.detach(),
            power * q.pairwise.detach(),
            solver=q.solver,
            perturbation=q.perturbation,
            validate=q.validate,
        )
    assert isinstance(q, Categorical)
    return Categorical(power * q.logits.detach(), validate=q.validate)


@torch.no_grad()
def sure_values(q: DiscreteDistribution, limit: float) -> Float[Tensor, "b n 2"]:
    """Attributes of which q is surer than a probability; rows of zeros for the others.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.log(torch.tensor([[[0.99, 0.01], [0.5, 0.5]]])))
        >>> sure_values(q, 0.95)
        tensor([[[1., 0.],
                 [0., 0.]]])
    """
    marginals = q.marginals()
    return (marginals > check_number("confidence", limit)).to(marginals.dtype)


@torch.no_grad()
def told_targets(q: DiscreteDistribution, sharpness: float) -> Tensor:
    r"""log t, t(z) ∝ q(z|x)^s: what the distorted image of x should be told of its attributes.

    s > 1 makes the targets of unlabelled images surer than q is itself (Berthelot et al. 2019 have
    s = 2), s = 1 takes q as it is (Tarvainen and Valpola 2017).

    Args:
        q: the attributes, as they are seen without distortion.
        sharpness: s, more than 0.

    Returns:
        log-probabilities: of every attribute by itself, `(b, n, 2)`, where attributes are
        independent, and of all combinations, `(b, 2^n)`, where they are coupled.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.log(torch.tensor([[[0.8, 0.2]]])))
        >>> told_targets(q, 2.0).exp()
        tensor([[[0.9412, 0.0588]]])
    """
    check_positive("sharpness", sharpness)
    table = q.log_probs if isinstance(q, Categorical) else q.log_prob_table()
    return (sharpness * table).log_softmax(-1)


def told_loss(q: DiscreteDistribution, targets: Tensor) -> Float[Tensor, " b"]:
    r"""−E_{z ∼ t}[log q(z|x')] in nats, exactly: cross-entropy of soft targets.

    Args:
        q: of the distorted images x'.
        targets: log t, of `told_targets`.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.zeros(1, 1, 2))
        >>> told_loss(q, told_targets(q, 1.5))
        tensor([0.6931])
    """
    table = q.log_probs if isinstance(q, Categorical) else q.log_prob_table()
    return -(targets.exp() * table).flatten(1).sum(-1)


def targets_of(
    q: DiscreteDistribution, sharpness: float, confidence: float, sure: Loss
) -> tuple[Tensor, Loss]:
    """What distorted images should be told of their attributes, and the loss of that.

    Args:
        q: the attributes, as they are seen without distortion.
        sharpness: see `told_targets`; 0: only the attributes of which q is sure.
        confidence: the probability above which it is sure.
        sure: the loss of those, one-hot.
    """
    if sharpness:
        return told_targets(q, sharpness), told_loss
    return sure_values(q, confidence), sure
