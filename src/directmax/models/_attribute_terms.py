"""The terms of the loss of a model with attributes, and what is read off q(z|x) for them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._precision import widened
from directmax._validation import check_number
from directmax.distributions import DiscreteDistribution, enumerate_states
from directmax.objectives import AttributeReconstruction, gaussian_kl


class AttributeTerms(NamedTuple):
    """What a training step sums, in nats, with gradients; see `AttributeVAE.forward`.

    Attributes:
        reconstruction: E_q[f(z)] of the unlabelled images, `(b,)`, the Gaussian KL within f.
        kl: KL of the attributes to their prior, `(b,)`.
        gaussian_kl: the part of `reconstruction` that is the Gaussian KL, for reports, `(b,)`;
            without gradient.
        labelled: f(labels) of the labelled images, or of the first of them, `(m,)`; None without.
        supervision: the loss of the labels, `(m,)`; None without.
        consistency: the loss of attributes that are sure, on the distorted images, `(b,)`; None
            without.
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
