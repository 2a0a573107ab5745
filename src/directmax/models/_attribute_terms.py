"""Parts of the loss of a model with attributes that are read off q(z|x), without gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._precision import widened
from directmax.distributions import DiscreteDistribution, enumerate_states
from directmax.objectives import AttributeReconstruction, gaussian_kl


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
    return (marginals > limit).to(marginals.dtype)
