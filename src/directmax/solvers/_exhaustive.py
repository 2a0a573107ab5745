"""All 2^n assignments, by brute force done well."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from directmax._kernels import over_rows
from directmax._precision import no_autocast
from directmax.solvers._compiled import CompiledSolver
from directmax.solvers._pairwise import pair_products, potential
from directmax.solvers._solution import Solution, Status

CHUNK_ELEMENTS = 2**26
"""Scores held at a time on a GPU."""


class Exhaustive(CompiledSolver):
    r"""The largest of all 2^n scores; any potentials, n ≤ 24, exact.

    On a CPU compiled and parallel over the batch: three tables of 2^{2n/3} entries add up to every
    score, and only those states are looked at that the tables do not rule out, usually less than
    one in a hundred; O(2^n) in the worst case. `alternatives` looks at all. On other devices in
    torch, O(n 2^n), in chunks.

    Example:
        >>> unary = torch.tensor([[[0.0, -1.0], [0.0, -1.0], [0.0, 0.5]]])
        >>> pairwise = torch.tensor([[3.0, 0.0, -2.0]])  # (0,1), (0,2), (1,2)
        >>> Exhaustive()(unary, pairwise).value.argmax(-1).tolist()
        [[1, 1, 0]]
    """

    name: ClassVar[str] = "exhaustive"
    on_device: ClassVar[bool] = True
    max_variables: ClassVar[int] = 24

    def _elsewhere(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        return _in_torch(field, pairwise), Status.OPTIMAL

    def _search(
        self, field: Float[NDArray, "r n"], pairwise: Float[NDArray, "b P"], negative: bool
    ) -> tuple[UInt8[NDArray, "r n"], Status]:
        from directmax.solvers._exhaustive_kernel import maximise

        bits = np.empty(field.shape, np.uint8)
        over_rows(
            lambda start, stop: maximise(field, pairwise, bits, start, stop),
            len(field),
            minimum=_least(field.shape[1]),
        )
        return bits, Status.OPTIMAL

    def _alternatives(
        self,
        unary: Float[Tensor, "*s b n 2"],
        pairwise: Float[Tensor, "b P"],
        value: Float[Tensor, "*s b n 2"],
    ) -> Solution:
        """See `PairwiseSolver`; on a CPU all n of them in one pass over the states."""
        n = unary.shape[-2]
        if unary.device.type != "cpu" or not unary.numel() or n > self.max_variables:
            return super()._alternatives(unary, pairwise, value)
        from directmax.solvers._exhaustive_kernel import alternatives

        rows = (unary[..., 1] - unary[..., 0]).reshape(-1, n).contiguous()
        bits = value[..., 1].reshape(-1, n).to(torch.uint8).contiguous()
        out = torch.empty(n, *rows.shape, dtype=torch.uint8, device="cpu")
        arrays = tuple(t.numpy() for t in (rows, pairwise.contiguous(), bits, out))
        over_rows(
            lambda start, stop: alternatives(*arrays, start, stop), len(rows), minimum=_least(n)
        )
        found = out.view(n, *unary.shape[:-1]).bool()
        one_hot = torch.stack([~found, found], -1).to(unary.dtype)
        return Solution(one_hot, potential(unary, pairwise, found), Status.OPTIMAL)


def _least(num_variables: int) -> int:
    """Problems that a thread is worth waking for: some 50,000 states."""
    return max(1, 50_000 >> num_variables)


@torch.no_grad()
def _in_torch(field: Tensor, pairwise: Tensor) -> Tensor:
    """The same split in high and low variables, as batched matrix products."""
    samples, batch, n = field.shape
    low = min(n, 12)
    high = n - low
    place = torch.arange(n - 1, -1, -1, device=field.device)
    lower = _digits(2**low, low, field)  # (2^l, l)
    first, second = torch.triu_indices(n, n, 1, device=field.device)
    matrix = field.new_zeros(batch, n, n)
    matrix[:, first, second] = pairwise
    with no_autocast(field.device):
        inside = second >= high
        inside &= first >= high
        low_pairs = pairwise[:, inside] @ pair_products(lower).T  # (b, 2^l)
        base = field[..., high:] @ lower.T + low_pairs  # (s, b, 2^l)
        best = torch.full((samples, batch), -torch.inf, dtype=field.dtype, device=field.device)
        code = torch.zeros(samples, batch, dtype=torch.long, device=field.device)
        chunk = max(1, CHUNK_ELEMENTS // max(1, samples * batch * 2**low))
        for start in range(0, 2**high, chunk):
            stop = min(start + chunk, 2**high)
            upper = _digits(stop, high, field, start)  # (c, h)
            cross = upper @ matrix[:, :high, high:]  # (b, c, l)
            pairs = pairwise[:, second < high] @ pair_products(upper).T  # (b, c)
            extra = field[..., :high] @ upper.T + pairs  # (s, b, c)
            score = (cross @ lower.T) + base[..., None, :] + extra[..., None]  # (s, b, c, 2^l)
            value, index = score.flatten(-2).max(-1)
            code = torch.where(value > best, index + start * 2**low, code)
            best = torch.maximum(value, best)
    return (code.unsqueeze(-1) >> place & 1).bool()


def _digits(stop: int, width: int, like: Tensor, start: int = 0) -> Tensor:
    """The binary digits of start … stop−1, `(stop − start, width)`, the highest first."""
    place = torch.arange(width - 1, -1, -1, device=like.device)
    return (torch.arange(start, stop, device=like.device).unsqueeze(-1) >> place & 1).to(like.dtype)
