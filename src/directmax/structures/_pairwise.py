"""Binary variables with pairwise potentials."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._validation import check_count, check_float_tensor
from directmax.solvers import PairwiseSolver, choose_solver, pair_products
from directmax.structures._base import Structure
from directmax.structures._rows import Answer


class Pairwise(Structure):
    r"""All subsets of n elements, with potentials of pairs: ⟨w, z⟩ + Σ_{i<j} h_ij z_i z_j.

    argmax and alternatives: the solvers of `directmax.solvers`. Sums for small n, samples that are
    perturbed on the states, and gradients without autograd: `PairwiseBinary`, the distribution of
    the same potentials.

    Args:
        n: elements.
        pairwise: h_ij of all pairs i < j, one set for each problem, `(b, P)` with P = n(n−1)/2, in
            the order of `torch.triu_indices(n, n, 1)`.
        solver: its name, or an object.

    Raises:
        TypeError, ValueError: potentials of another type or shape, or an unknown solver; at the
            call, potentials that the solver does not take.

    Example:
        >>> pair = Pairwise(2, torch.tensor([[3.0]]))
        >>> pair.argmax(torch.tensor([[-1.0, -1.0]]))
        tensor([[1., 1.]])

    Reference: Lorberbom et al. 2019, eq. 8.
    """

    def __init__(
        self, n: int, pairwise: Float[Tensor, "b P"], solver: str | PairwiseSolver = "auto"
    ) -> None:
        self.shape = (check_count("n", n),)
        check_float_tensor("pairwise", pairwise, ("batch", "pairs"))
        if pairwise.shape[1] != n * (n - 1) // 2:
            raise ValueError(
                f"pairwise must have shape (batch, {n * (n - 1) // 2}), a column for each pair of "
                f"{n} elements, got {tuple(pairwise.shape)}"
            )
        self.pairwise, self.batch_size = pairwise, len(pairwise)
        self.solver = choose_solver(solver)

    def __repr__(self) -> str:
        return f"Pairwise({self.shape[0]}, solver='{self.solver.name}')"

    @property
    def own(self) -> tuple[Tensor, ...]:
        """The couplings."""
        return (self.pairwise,)

    def offset(self, z: Float[Tensor, "*s b n"]) -> Float[Tensor, "*s b"]:
        """Σ_{i<j} h_ij z_i z_j."""
        return (pair_products(z) * self.pairwise.to(z)).sum(-1)

    def _problem(self, rows: Float[Tensor, "r n"]) -> tuple[Tensor, Tensor]:
        """Unary and pairwise potentials; a mask is a finite weight that nothing makes up for."""
        pairwise = self.pairwise.detach().to(rows)
        rows = torch.where(rows == -torch.inf, -self._dominating(rows).to(rows), rows)
        rows = rows.reshape(-1, len(pairwise), *self.shape)
        return torch.stack([torch.zeros_like(rows), rows], -1), pairwise

    def _argmax(self, rows: Float[Tensor, "r n"], masked: bool) -> Answer:
        solution = self.solver(*self._problem(rows), validate=False)
        return solution.value[..., 1].reshape(rows.shape), None

    def _alternatives(
        self, rows: Float[Tensor, "r n"], z: Float[Tensor, "r n"]
    ) -> tuple[Float[Tensor, "n r n"], Bool[Tensor, "n r"]]:
        unary, pairwise = self._problem(rows)
        bits = z.reshape(unary.shape[:-1])
        solution = self.solver.alternatives(unary, pairwise, torch.stack([1 - bits, bits], -1))
        other = solution.value[..., 1].reshape(-1, *rows.shape)
        return other, ~((other > 0) & (rows == -torch.inf)).any(-1)

    def _feasible(self, rows: Float[Tensor, "r n"]) -> Bool[Tensor, " r"]:
        return torch.ones(len(rows), dtype=torch.bool, device=rows.device)

    def _offset_reach(self, rows: int) -> Tensor:
        reach = 2 * self.pairwise.detach().abs().sum(-1)
        return reach.repeat(rows // len(reach))
