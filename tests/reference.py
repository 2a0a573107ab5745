"""Truth by enumeration, written plainly and without the package's own enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
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


# Binary variables with pairwise potentials


def pairs_of(num_variables: int) -> list[tuple[int, int]]:
    """i < j in the order of the pairwise potentials."""
    return list(itertools.combinations(range(num_variables), 2))


def pairwise_features(bits: Tensor) -> Tensor:
    """z_i and z_i z_j, `(..., n + P)`, of zeros and ones `(..., n)`."""
    products = [bits[..., i] * bits[..., j] for i, j in pairs_of(bits.shape[-1])]
    return torch.cat([bits, *(product.unsqueeze(-1) for product in products)], -1)


def pairwise_scores(unary: Tensor, pairwise: Tensor) -> Tensor:
    """h(z) of every assignment, `(*s, b, K)`, differentiable."""
    features = pairwise_features(all_states(unary.shape[-2], 2, unary.dtype)[..., 1])  # (K, n + P)
    field = unary[..., 1] - unary[..., 0]
    pairs = pairwise.expand(*field.shape[:-1], -1)
    off = unary[..., 0].sum(-1, keepdim=True)  # h(0, …, 0)
    return torch.cat([field, pairs], -1) @ features.T + off


def gibbs_probs(unary: Tensor, pairwise: Tensor) -> Tensor:
    """q(z) ∝ exp h(z) of every assignment, `(b, K)`, differentiable."""
    return torch.softmax(pairwise_scores(unary, pairwise), -1)


def pairwise_argmax(unary: Tensor, pairwise: Tensor, held: tuple[int, int] | None = None) -> Tensor:
    """One-hot argmax_z h(z), `(*s, b, n, 2)`, by brute force; `held`: a variable, its value."""
    states = all_states(unary.shape[-2], 2, unary.dtype)
    scores = pairwise_scores(unary, pairwise)
    if held is not None:
        variable, value = held
        scores = scores.masked_fill(states[:, variable, value] == 0, -torch.inf)
    return states[scores.argmax(-1)]


def perturb_and_map_probs(unary: Tensor, pairwise: Tensor, panels: int = 4) -> Tensor:
    r"""P(z* = z) for z* = argmax_z h(z) + Σ_i γ_i(z_i) and n ≤ 3, `(K,)`, by quadrature.

    With δ_i = γ_i(1) − γ_i(0), a logistic variable. Given δ_2 and δ_3, z_1 is on with probability
    σ(t_1), where t_1 is the difference of the maxima over (z_2, z_3), and the argmax is the
    maximiser of that side. Over δ_2 and δ_3 by Gauss's rule between the places where a maximiser
    switches. Fewer variables are padded with ones that nothing is coupled to.

    Args:
        unary: h_i(0) and h_i(1) of one problem, `(n, 2)`.
        pairwise: h_ij, `(P,)`.
        panels: pieces between the places where the integrand of δ_3 switches.
    """
    n = unary.shape[0]
    a = [float(x) for x in unary[:, 1] - unary[:, 0]] + [0.0] * (3 - n)
    coupling = dict.fromkeys(pairs_of(3), 0.0)
    for p, pair in enumerate(pairs_of(n)):
        coupling[pair] = float(pairwise[p])
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(16))

    def gauss(edges: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes and weights on the intervals between edges (..., e): (..., (e − 1)·16)."""
        low, width = edges[..., :-1, None], (edges[..., 1:] - edges[..., :-1])[..., None]
        return (low + width * (nodes + 1) / 2).flatten(-2), (width * weights / 2).flatten(-2)

    def third(delta: Tensor, first: float, second: float | Tensor) -> Tensor:
        """What z_3 = 1 gains, given the other two."""
        return a[2] + delta + first * coupling[0, 2] + second * coupling[1, 2]

    # δ_3: the gain of z_3 changes its sign, for each value of the others.
    switch = torch.tensor([-float(third(torch.zeros(()), v, w)) for v in (0, 1) for w in (0, 1)])
    switch = torch.sigmoid(switch.double()).sort().values
    edges = torch.cat([torch.zeros(1), switch, torch.ones(1)]).double()
    inside = torch.arange(panels, dtype=torch.float64) / panels
    fine = (edges[:-1, None] + (edges[1:] - edges[:-1])[:, None] * inside).flatten()
    u3, w3 = gauss(torch.cat([fine, torch.ones(1).double()]))
    delta3 = u3.logit()
    # δ_2: the gain of z_2, with z_3 at its best, changes its sign, for each value of z_1.
    limits = []
    for v in (0, 1):
        with_second, without = third(delta3, v, 1).relu(), third(delta3, v, 0).relu()
        limits.append(-(a[1] + v * coupling[0, 1] + with_second - without))
    ends = torch.stack([torch.zeros_like(u3), *(x.sigmoid() for x in limits), torch.ones_like(u3)])
    u2, w2 = gauss(ends.T.sort(-1).values)
    delta2, delta3 = u2.logit(), delta3[:, None]
    best, codes = [], []
    for v in (0, 1):
        second = (delta2 > limits[v][:, None]).double()
        gain = third(delta3, v, second)
        score = v * a[0] + second * (a[1] + delta2 + v * coupling[0, 1]) + gain.relu()
        best.append(score)
        codes.append((4 * v + 2 * second + (gain > 0)).long())
    on = torch.sigmoid(best[1] - best[0])
    weight = w3[:, None] * w2
    probs = torch.zeros(8, dtype=torch.float64)
    probs.index_add_(0, codes[1].flatten(), (weight * on).flatten())
    probs.index_add_(0, codes[0].flatten(), (weight * (1 - on)).flatten())
    return probs.view(2**n, -1).sum(-1)


def perturb_and_map_gradient(
    unary: Tensor, pairwise: Tensor, losses: Tensor, step: float = 1e-3
) -> Tensor:
    """∂E[f(z*)] by h_i(1) − h_i(0) and h_ij, `(n + P,)`: differences of the quadrature above.

    Args:
        unary: `(n, 2)`.
        pairwise: `(P,)`.
        losses: f of every assignment, `(K,)`.
        step: of Richardson's central differences; their error is O(step⁴).
    """
    n, columns = len(unary), []

    def expectation(entry: int, shift: float) -> float:
        field, pairs = unary.clone(), pairwise.clone()
        if entry < n:
            field[entry, 1] += shift
        else:
            pairs[entry - n] += shift
        return float(perturb_and_map_probs(field, pairs) @ losses)

    for entry in range(n + len(pairwise)):
        slopes = [
            (expectation(entry, h) - expectation(entry, -h)) / (2 * h) for h in (step, 2 * step)
        ]
        columns.append((4 * slopes[0] - slopes[1]) / 3)
    return torch.tensor(columns, dtype=torch.float64)
