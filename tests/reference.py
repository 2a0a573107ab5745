"""Truth by enumeration, written plainly and without the package's own enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]


def all_states(num_variables: int, num_values: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """One-hot assignments `(K, n, k)`, the last variable fastest."""
    codes = list(itertools.product(range(num_values), repeat=num_variables))
    return torch.eye(num_values, dtype=dtype)[torch.tensor(codes)]


def state_probs(logits: Tensor) -> Tensor:
    """q(z) of every assignment, `(b, K)`: a product of softmaxes, one factor at a time."""
    factors = torch.softmax(logits, -1)  # (b, n, k)
    codes = itertools.product(range(logits.shape[-1]), repeat=logits.shape[-2])
    rows = []
    for code in codes:
        row = torch.ones(logits.shape[0], dtype=logits.dtype)
        for variable, value in enumerate(code):
            row = row * factors[:, variable, value]
        rows.append(row)
    return torch.stack(rows, -1)


def state_table(logits: Tensor, function: Function) -> Tensor:
    """f of every assignment, `(b, K)`, one call an assignment."""
    states = all_states(logits.shape[-2], logits.shape[-1], logits.dtype)
    return torch.stack([function(state.expand(logits.shape[0], -1, -1)) for state in states], -1)


def expected_loss(logits: Tensor, function: Function) -> Tensor:
    """E_q[f], `(b,)`, differentiable."""
    return (state_probs(logits) * state_table(logits, function)).sum(-1)


def expected_gradient(logits: Tensor, function: Function) -> Tensor:
    """∂E_q[f]/∂h, `(b, n, k)`: the gradient of each problem's own expectation."""
    leaf = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(expected_loss(leaf, function).sum(), leaf)
    return gradient


def changes_around(function: Function, z: Tensor) -> Tensor:
    """f after every change of a single variable, `(*s, b, n, k)`, one call a change."""
    table = torch.zeros_like(z)
    for variable in range(z.shape[-2]):
        for value in range(z.shape[-1]):
            changed = z.clone()
            changed[..., variable, :] = 0
            changed[..., variable, value] = 1
            table[..., variable, value] = function(changed)
    return table


def direct_expectation(
    logits: Tensor, function: Function, epsilon: float | Tensor, *, two_sided: bool = False
) -> Tensor:
    r"""E_γ of the direct gradient for independent variables, `(b, n, k)`, in closed form.

    Given the other variables, z*_i and z^ε_i are samples of softmax(h_i) and softmax(h_i − ε f̃_i),
    and f̃_i depends on the other variables alone. Hence the mean is
    E_{z∼q}[(softmax(h_i) − softmax(h_i − ε f̃_i(z)))/ε], and its central analogue. `epsilon` is a
    number or one number a problem.
    """
    epsilon = torch.as_tensor(epsilon, dtype=logits.dtype).reshape(-1, 1, 1)
    total = torch.zeros_like(logits)
    states, probs = all_states(*logits.shape[-2:], logits.dtype), state_probs(logits).unbind(-1)
    for state, prob in zip(states, probs, strict=True):
        push = epsilon * changes_around(function, state.expand(logits.shape))
        lower = torch.softmax(logits - push, -1)
        upper = torch.softmax(logits + push if two_sided else logits, -1)
        total += prob[:, None, None] * (upper - lower) / (epsilon * (2 if two_sided else 1))
    return total


def local_gradient(logits: Tensor, function: Function, z: Tensor) -> Tensor:
    """Σ_j ∂q_i(j)/∂h_i f̃_i(j) around one z, `(b, n, k)`: q_i (f̃_i − E_{q_i} f̃_i)."""
    probs = torch.softmax(logits, -1)
    changes = changes_around(function, z)
    return probs * (changes - (probs * changes).sum(-1, keepdim=True))


class Interaction(nn.Module):
    """A smooth f(z) with interactions between all variables, parameters and one input a problem."""

    def __init__(
        self,
        batch_size: int,
        num_variables: int,
        num_values: int,
        *,
        scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=g, dtype=torch.float64)

        self.weight = nn.Parameter(normal(num_variables * num_values, 5))
        self.out = nn.Parameter(scale * normal(5))
        self.input = normal(batch_size, 5)

    def forward(self, z: Tensor) -> Tensor:
        hidden = torch.tanh(z.flatten(-2) @ self.weight + self.input)
        return (hidden * self.out).sum(-1) + math.pi


def separable(cost: Tensor) -> Function:
    """f(z) = Σ_i cost_i(z_i), with cost `(n, k)` or `(b, n, k)`."""
    return lambda z: (z * cost).sum((-2, -1))


def is_one_hot(z: Tensor) -> bool:
    """Zeros and a single one along the last axis."""
    return bool(((z == 0) | (z == 1)).all() and (z.sum(-1) == 1).all())
