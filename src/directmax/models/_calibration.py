"""Log-odds of attributes, corrected so that their probabilities are right."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from directmax.distributions import Categorical, DiscreteDistribution


def calibrated_odds(
    odds: Float[Tensor, "*b n"], calibration: Float[Tensor, "3 n"]
) -> Float[Tensor, "*b n"]:
    r"""Log-odds after beta calibration, increasing in those before.

    b·softplus(x) − a·softplus(−x) + c = a log p(on) − b log p(off) + c, of log-odds x: slope b far
    above zero, where the attribute is on, and a far below, where it is off.

    Args:
        odds: x.
        calibration: a ≥ 0, b ≥ 0 and c of every attribute; 1, 1, 0 changes nothing, and a = b is
            Platt's scale and shift.

    Example:
        >>> x = torch.tensor([[-2.0], [0.5]])
        >>> calibrated_odds(x, torch.tensor([[3.0], [3.0], [1.0]]))
        tensor([[-5.0000],
                [ 2.5000]])

    Reference: Kull, Silva Filho and Flach 2017; Platt 1999.
    """
    off, on, shift = calibration.to(odds.dtype)
    return on * F.softplus(odds) - off * F.softplus(-odds) + shift


def calibrated(
    q: DiscreteDistribution, calibration: Float[Tensor, "3 n"] | None
) -> DiscreteDistribution:
    """Binary q with its log-odds calibrated; q itself without `calibration`."""
    if calibration is None:
        return q
    assert isinstance(q, Categorical)
    odds = q.logits[..., 1] - q.logits[..., 0]
    return Categorical.binary(calibrated_odds(odds, calibration), validate=False)


def identity(num_variables: int) -> Float[Tensor, "3 n"]:
    """What changes nothing."""
    return torch.tensor([[1.0], [1.0], [0.0]]).repeat(1, num_variables)


def with_both_sides(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    """Before a state is loaded: one scale for both sides, as earlier versions wrote, twice."""
    found = state.get(f"{prefix}calibration")
    if isinstance(found, Tensor) and found.dim() == 2 and len(found) == 2:
        state[f"{prefix}calibration"] = found[[0, 0, 1]]


@torch.no_grad()
def with_calibration(potentials: nn.Linear, calibration: Float[Tensor, "3 n"]) -> nn.Sequential:
    """A last layer, of an (off, on) pair for each attribute, and its calibration as more layers.

    Example:
        >>> layer, parts = nn.Linear(5, 4), torch.rand(3, 2)
        >>> features = torch.randn(7, 5)
        >>> off, on = with_calibration(layer, parts)(features).unflatten(-1, (2, 2)).unbind(-1)
        >>> odds = layer(features).unflatten(-1, (2, 2)).diff(dim=-1).squeeze(-1)
        >>> torch.allclose(on - off, calibrated_odds(odds, parts), atol=1e-5)
        True
    """
    n, device, dtype = calibration.shape[1], calibration.device, calibration.dtype
    first = nn.Linear(potentials.in_features, 2 * n, device=device, dtype=dtype)  # x, then −x
    odds = potentials.weight.unflatten(0, (n, 2)).diff(dim=1).squeeze(1)
    constants = potentials.bias.unflatten(0, (n, 2)).diff(dim=1).squeeze(1)
    first.weight.copy_(torch.cat([odds, -odds]))
    first.bias.copy_(torch.cat([constants, -constants]))
    last = nn.Linear(2 * n, 2 * n, device=device, dtype=dtype)
    below, above, shift = calibration
    last.weight.zero_()[1::2].copy_(torch.cat([above.diag(), -below.diag()], 1))
    last.bias.zero_()[1::2].copy_(shift)
    return nn.Sequential(first, nn.Softplus(), last)
