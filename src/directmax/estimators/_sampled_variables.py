"""Changes of a few variables in place of all: an unbiased table from a random subset."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._transforms import refuse_in_transforms, uncompiled
from directmax.distributions import Categorical
from directmax.estimators._base import average, without_forbidden
from directmax.estimators._slope import losses_and_slope
from directmax.objectives import Objective, changed, evaluate, evaluate_many, real


def subset_of(few: int | None, num_variables: int) -> int | None:
    """How many of the variables are looked at; None for all of them.

    Example:
        >>> subset_of(3, 20), subset_of(3, 2), subset_of(None, 20)
        (3, None, None)
    """
    return few if few is not None and few < num_variables else None


def subset_evaluations(num_samples: int, few: int, num_values: int) -> int:
    """m(k−1)+1 a sample."""
    return num_samples * (few * (num_values - 1) + 1)


def changes_of_some(
    q: Categorical,
    objective: Objective,
    z: Float[Tensor, "s b n k"],
    num_variables: int,
    generator: torch.Generator | None,
) -> tuple[Float[Tensor, " b"], Float[Tensor, "s b n k"]]:
    """mean_s f(z), differentiable, and f̃ − f(z) of m variables, 0 for the others, no gradient.

    They are drawn as for `sampled_changes`; here without weights.
    """
    losses = real(evaluate(objective, z), q.dtype)
    rows, _ = _rows(q, objective, z, losses, num_variables, generator)
    return average(losses), without_forbidden(q, rows)


def sampled_changes(
    q: Categorical,
    objective: Objective,
    z: Float[Tensor, "s b n k"],
    num_variables: int,
    slope: bool,
    generator: torch.Generator | None,
) -> tuple[Float[Tensor, " b"], Float[Tensor, "s b n k"]]:
    r"""mean_s f(z), differentiable, and a table whose expectation is f̃ − f(z), without gradient.

    For every problem and sample m of the n variables are drawn without replacement. With S their
    set and P any table that does not depend on it,

        T = P + (n/m) 1_S (f̃ − f(z) − P),   E_S T = f̃ − f(z),

    because each variable is in S with probability m/n. P is 0 or the prediction by the slope of f,
    P_i(j) = ∂f/∂z_ij − Σ_l z_il ∂f/∂z_il.

    Args:
        q: whose forbidden values are ∞ in the table.
        objective: f.
        z: one-hot.
        num_variables: m.
        slope: whether P is the prediction by the slope.
        generator: of the subsets.
    """
    n = z.shape[-2]
    if slope and torch.is_grad_enabled():
        losses, found = _sloped(objective, z)
        losses = real(losses, q.dtype)
        predicted = found - (found * z).sum(-1, keepdim=True)
    else:
        losses = real(evaluate(objective, z), q.dtype)
        predicted = torch.zeros_like(z)
    rows, chosen = _rows(q, objective, z, losses, num_variables, generator)
    weight = torch.zeros_like(z[..., 0]).scatter_(-1, chosen, n / num_variables).unsqueeze(-1)
    with torch.no_grad():
        table = predicted + weight * (rows - predicted)
    return average(losses), without_forbidden(q, table)


@uncompiled  # differentiates inside, which the compiler cannot trace
def _sloped(
    objective: Objective, z: Float[Tensor, "s b n k"]
) -> tuple[Float[Tensor, "s b"], Float[Tensor, "s b n k"]]:
    """f(z) and ∂f/∂z."""
    name = "LocalExpectation with slope=True"
    refuse_in_transforms(f"{name}, which differentiates f itself,", "leave slope out")
    losses, found = losses_and_slope(objective, z)
    if found is None:
        raise TypeError(f"{name} needs an f differentiable in z")
    return losses, found


@torch.no_grad()
def _rows(
    q: Categorical,
    objective: Objective,
    z: Float[Tensor, "s b n k"],
    losses: Float[Tensor, "s b"],
    num_variables: int,
    generator: torch.Generator | None,
) -> tuple[Float[Tensor, "s b n k"], Tensor]:
    """f̃ − f(z) of m variables, drawn for every problem and sample, and which they are."""
    scores = q.noise(z.shape[0], generator=generator)[..., 0]  # the largest m: any m alike
    chosen = scores.topk(num_variables, -1).indices  # (s, b, m)
    values = other_values(z, chosen)  # (s, b, m, k − 1)
    fast = getattr(objective, "losses_of_changes", None)
    if fast is not None:
        found = fast(z.clone(), chosen, values)
    else:
        found = evaluate_many(objective, _changes(z, chosen, values)).movedim(0, -1)
    change = real(found, q.dtype) - losses.detach().unsqueeze(-1)  # (s, b, m (k − 1))
    columns = (chosen.unsqueeze(-1) * z.shape[-1] + values).flatten(-2)
    return torch.zeros_like(z).flatten(-2).scatter_(-1, columns, change.to(z)).view_as(z), chosen


def other_values(z: Float[Tensor, "s b n k"], chosen: Tensor) -> Tensor:
    """The values that the chosen variables `(s, b, m)` do not have, `(s, b, m, k − 1)`."""
    value = z.argmax(-1).gather(-1, chosen)
    k = z.shape[-1]
    return (value.unsqueeze(-1) + torch.arange(1, k, device=z.device)) % k


def _changes(
    z: Float[Tensor, "s b n k"], chosen: Tensor, values: Tensor
) -> Float[Tensor, "c s b n k"]:
    """All changes of the chosen variables, c = m (k − 1)."""
    variables = chosen.unsqueeze(-1).expand_as(values)
    return changed(z, variables.flatten(-2), values.flatten(-2)).movedim(-3, 0)
