"""The interface of solvers for binary variables with pairwise potentials."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from directmax._masks import check_masked, without_infinities
from directmax._precision import widened
from directmax._transforms import refuse_wrapped
from directmax._validation import (
    check_broadcast,
    check_count,
    check_flag,
    check_float_tensor,
    check_one_hot,
    check_place,
    check_tensor,
    shown,
)
from directmax.solvers._solution import Solution, Status


class PairwiseSolver(ABC):
    r"""argmax_z Σ_i h_i(z_i) + Σ_{i<j} h_ij z_i z_j over z in {0, 1}^n, for a batch.

    A solver is an object that holds its settings (limits, threads) and no state; it may be called
    from several threads.

    A subclass sets `name` and implements `_maximise`; where its method needs a package that may be
    missing, it overrides `missing`.

    Attributes:
        name: the word that chooses it on the command line.
        exact: whether it ends only with the argmax, unless it reaches a limit.
        max_variables: the largest n it accepts; None for any.
        supermodular_only: whether it refuses pairwise potentials below 0.
        on_device: whether it works where the potentials are; else they are copied to the CPU.

    Example:
        >>> from directmax.solvers import Exhaustive
        >>> unary = torch.tensor([[[0.0, -1.0], [0.0, -1.0]]])  # alone, each prefers 0
        >>> solution = Exhaustive()(unary, torch.tensor([[3.0]]))  # together they gain 3
        >>> solution.value.argmax(-1).tolist(), solution.objective.tolist()
        ([[1, 1]], [1.0])

    Reference: Lorberbom et al. 2019, eq. 8.
    """

    name: ClassVar[str]
    exact: ClassVar[bool] = True
    max_variables: ClassVar[int | None] = None
    supermodular_only: ClassVar[bool] = False
    on_device: ClassVar[bool] = False

    @classmethod
    def missing(cls) -> str | None:
        """Why this solver cannot be used here, and what installs it; None if it can."""
        return None

    def __call__(
        self,
        unary: Float[Tensor, "*s b n 2"],
        pairwise: Float[Tensor, "b P"],
        *,
        validate: bool = True,
    ) -> Solution:
        """Maximise.

        Args:
            unary: h_i(0) and h_i(1), `(*s, b, n, 2)`, with any leading sample dimensions; −∞ for
                a forbidden value.
            pairwise: h_ij of the P = n(n−1)/2 pairs i < j, `(b, P)`, in the order of
                `torch.triu_indices(n, n, 1)`: (0, 1), (0, 2), …, (n−2, n−1). Shared by all samples.
            validate: also refuse non-finite potentials (on a GPU, a synchronisation).

        Returns:
            A `Solution`; which of several maximisers it holds is not specified.

        Raises:
            TypeError: no floating-point tensors.
            ValueError: shapes that do not fit, a non-finite entry, too many variables.
        """
        n = check_potentials(unary, pairwise, finite=validate)
        refuse_wrapped("the argmax of coupled variables", unary, pairwise)
        if self.max_variables is not None and n > self.max_variables:
            raise ValueError(
                f"the solver '{self.name}' takes at most {self.max_variables} variables, "
                f"got {n}; choose another, such as 'branch-and-bound' or 'highs'"
            )
        found = self._solution(widened(unary.detach()), widened(pairwise.detach()))
        if found.value.dtype == unary.dtype:
            return found
        return replace(found, value=found.value.to(unary.dtype))

    def _solution(
        self, unary: Float[Tensor, "*s b n 2"], pairwise: Float[Tensor, "b P"]
    ) -> Solution:
        """Of potentials in float32 or float64 that were looked at."""
        off, on = _without_infinities(unary, pairwise).unbind(-1)
        field = (on - off).reshape(off.shape[:-2].numel(), *off.shape[-2:])
        if field.numel():  # a solver may write to what it gets
            bits, status = self._maximise(field.contiguous(), pairwise.clone().contiguous())
        else:
            bits, status = torch.zeros_like(field, dtype=torch.bool), Status.OPTIMAL
        bits = bits.reshape(off.shape)
        one = bits.to(unary.dtype)
        value = torch.stack([1 - one, one], -1)
        return Solution(value=value, objective=potential(unary, pairwise, bits), status=status)

    @torch.no_grad()
    def alternatives(
        self,
        unary: Float[Tensor, "*s b n 2"],
        pairwise: Float[Tensor, "b P"],
        value: Float[Tensor, "*s b n 2"],
        *,
        validate: bool = True,
    ) -> Solution:
        """For every variable the best assignment in which it has the other value than in `value`.

        Args:
            unary: as above.
            pairwise: as above.
            value: one-hot assignments.
            validate: also look at values (on a GPU, a synchronisation).

        Returns:
            A `Solution` with a leading axis for the variable: `value` `(n, *s, b, n, 2)`,
            `objective` `(n, *s, b)`. Where the other value is forbidden: `value` itself, and −∞.
        """
        check_potentials(unary, pairwise, finite=validate)
        check_tensor("value", value, tuple(unary.shape), "samples, batch, variables, 2")
        check_place("value", value, unary.device, "unary")
        if validate:
            check_one_hot("value", value)
        unary, pairwise = widened(unary.detach()), widened(pairwise.detach())
        solution = self._alternatives(_without_infinities(unary, pairwise), pairwise, value)
        forbidden = (unary == -torch.inf).any(-1).movedim(-1, 0)  # (n, *s, b)
        chosen = torch.where(forbidden[..., None, None], value, solution.value.to(value.dtype))
        objective = potential(unary, pairwise, chosen[..., 1] > 0)
        objective = objective.masked_fill(forbidden, -torch.inf)
        return Solution(value=chosen, objective=objective, status=solution.status)

    def _alternatives(
        self,
        unary: Float[Tensor, "*s b n 2"],
        pairwise: Float[Tensor, "b P"],
        value: Float[Tensor, "*s b n 2"],
    ) -> Solution:
        """`alternatives` of finite potentials; here n maximisations, one variable held in each."""
        n = unary.shape[-2]
        held = torch.eye(n, dtype=torch.bool, device=unary.device)
        held = held.view(n, *(1,) * (unary.ndim - 2), n, 1) & (value > 0)
        # More than the whole range of scores: no assignment with the held value is worth it.
        reach = (unary[..., 1] - unary[..., 0]).abs().sum(-1) + pairwise.abs().sum(-1)
        penalty = torch.where(reach > 0, 2 * reach, 1.0)[..., None, None]
        solution = self(torch.where(held, unary - penalty, unary), pairwise, validate=False)
        bits = solution.value[..., 1] > 0
        objective = potential(unary, pairwise, bits)
        return Solution(value=solution.value, objective=objective, status=solution.status)

    @abstractmethod
    def _maximise(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        """The maximisers of Σ_i field_i z_i + Σ_{i<j} h_ij z_i z_j.

        Args:
            field: h_i(1) − h_i(0), contiguous, float32 or float64, s·b ≥ 1.
            pairwise: contiguous, of the same type and device.

        Returns:
            z as booleans, and how the search ended.
        """


def check_sampled(name: str, potentials: Tensor, *, finite: bool = True) -> None:
    """Refuse what are no potentials `(*s, b, n, k)`."""
    if not isinstance(potentials, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(potentials).__name__}")
    axes = ("samples",) * max(0, potentials.ndim - 3) + ("batch", "variables", "values")
    check_float_tensor(name, potentials, axes, finite=False)
    if finite:
        check_masked(name, potentials, axes, finite)


def check_potentials(unary: Tensor, pairwise: Tensor, *, finite: bool = True) -> int:
    """The number of variables, after a check of shapes, types and, if asked, values.

    Raises:
        TypeError, ValueError: as `PairwiseSolver.__call__` says.
    """
    check_sampled("unary", unary, finite=check_flag("finite", finite))
    hint = (
        "one entry for each pair i < j; from a matrix: matrix[:, i, j] with "
        "i, j = torch.triu_indices(n, n, 1)"
    )
    if isinstance(pairwise, Tensor) and pairwise.ndim == 3:
        raise ValueError(
            f"pairwise must have shape (batch, pairs), {hint}; got {tuple(pairwise.shape)}"
        )
    check_float_tensor("pairwise", pairwise, ("batch", "pairs"), finite=finite)
    batch, variables, values = unary.shape[-3:]
    if values != 2 or variables < 1:
        raise ValueError(
            "unary must end in (batch, variables, 2), the potentials of 0 and 1 of at least one "
            f"variable, got shape {tuple(unary.shape)}"
        )
    pairs = variables * (variables - 1) // 2
    if pairwise.shape != (batch, pairs):
        raise ValueError(
            f"pairwise must have shape (batch, pairs) = {(batch, pairs)} for {variables} "
            f"variables, {hint}; got {tuple(pairwise.shape)}"
        )
    if unary.dtype != pairwise.dtype or unary.device != pairwise.device:
        raise ValueError(
            f"unary and pairwise must have one type and device, got {unary.dtype} on "
            f"{unary.device} and {pairwise.dtype} on {pairwise.device}"
        )
    return variables


def _without_infinities(
    unary: Float[Tensor, "*s b n 2"], pairwise: Float[Tensor, "b P"]
) -> Float[Tensor, "*s b n 2"]:
    """Finite potentials with the same maximisers; as they are where nothing is forbidden."""
    if unary.device.type == "cpu" and (not unary.numel() or float(unary.amin()) > -torch.inf):
        return unary
    return without_infinities(unary, coupling_reach(pairwise, unary.shape[-2]).unsqueeze(-1))


def coupling_reach(pairwise: Float[Tensor, "b P"], num_variables: int) -> Float[Tensor, "b n"]:
    """Σ_j |h_ij|: by how much the others may move what a variable gains.

    Example:
        >>> coupling_reach(torch.tensor([[1.0, -2.0, 4.0]]), 3)
        tensor([[3., 5., 6.]])
    """
    n = check_count("num_variables", num_variables)
    check_float_tensor("pairwise", pairwise, ("batch", "pairs"), finite=False)
    check_tensor("pairwise", pairwise, (n * (n - 1) // 2,), "pairs")
    size = pairwise.detach().abs()
    reach = size.new_zeros(len(size), num_variables)
    for end in torch.triu_indices(num_variables, num_variables, 1, device=size.device):
        reach = reach.index_add(1, end, size)
    return reach


def pair_products(bits: Float[Tensor, "... n"]) -> Float[Tensor, "... P"]:
    """z_i z_j of all pairs i < j, in the order of `torch.triu_indices`.

    Example:
        >>> pair_products(torch.tensor([1.0, 0.0, 1.0])).tolist()  # (0,1), (0,2), (1,2)
        [0.0, 1.0, 0.0]
    """
    if not isinstance(bits, Tensor) or not bits.ndim:
        raise TypeError(f"bits must be a tensor (…, variables), got {shown(bits)}")
    first, second = _pairs(bits.shape[-1], bits.device)
    return bits.index_select(-1, first) * bits.index_select(-1, second)


def _pairs(n: int, device: torch.device) -> tuple[Int64[Tensor, " P"], ...]:
    """`torch.triu_indices(n, n, 1)`."""
    if device.type != "cpu" or torch.compiler.is_compiling():
        return torch.triu_indices(n, n, 1, device=device).unbind()
    return tuple(torch.from_numpy(end) for end in _pairs_in_numpy(n))


@functools.lru_cache(maxsize=4)
def _pairs_in_numpy(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(n, 1)


def potential(
    unary: Float[Tensor, "*s b n 2"],
    pairwise: Float[Tensor, "b P"],
    bits: Bool[Tensor, "*s b n"],
) -> Float[Tensor, "*s b"]:
    """h(z) = Σ_i h_i(z_i) + Σ_{i<j} h_ij z_i z_j of given assignments (equation 8 of the paper).

    Args:
        unary: h_i, `(*s, b, n, 2)`; −∞ for forbidden values.
        pairwise: h_ij `(b, P)`, P = n(n−1)/2, in the order (0, 1), (0, 2), …, (1, 2), …
        bits: z as booleans, `(*s, b, n)`.

    Example:
        >>> unary = torch.tensor([[[0.0, 1.0], [0.0, -2.0]]])
        >>> potential(unary, torch.tensor([[3.0]]), torch.tensor([[True, True]]))
        tensor([2.])
    """
    if not isinstance(bits, Tensor) or bits.dtype != torch.bool or not bits.ndim:
        raise TypeError(f"bits must be a tensor of booleans (…, variables), got {shown(bits)}")
    n = bits.shape[-1]
    check_tensor("unary", unary, (n, 2), "variables, 2")
    check_tensor("pairwise", pairwise, (n * (n - 1) // 2,), "pairs")
    check_broadcast("unary and bits", unary[..., 0], bits)
    check_broadcast("pairwise and bits", pairwise[..., :1], bits[..., :1])
    off, alone = unary.unbind(-1)
    chosen = torch.where(bits, alone, off).sum(-1)
    on = bits.to(pairwise.dtype)  # torch gathers booleans slowly
    return chosen + (pair_products(on) * pairwise).sum(-1)
