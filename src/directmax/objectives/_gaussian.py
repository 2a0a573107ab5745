"""KL of a Gaussian code."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from directmax._validation import check_place, check_real, check_tensor


def gaussian_kl(
    mean: Float[Tensor, "*s c"], log_variance: Float[Tensor, "*s c"]
) -> Float[Tensor, "*s"]:
    r"""KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ_c (μ² + σ² − log σ² − 1), in nats.

    Example:
        >>> import torch
        >>> gaussian_kl(torch.tensor([1.0, 2.0]), torch.zeros(2))
        tensor(2.5000)
    """
    for name, value in (("mean", mean), ("log_variance", log_variance)):
        check_real(name, value)
        check_tensor(name, value, tuple(mean.shape), "codes")
    check_place("log_variance", log_variance, mean.device, "mean")
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(-1)
