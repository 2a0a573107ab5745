"""Solutions that are found during a training."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._randomness import check_generator
from directmax._validation import check_number, check_real
from directmax.structures import Listed, Structure


class SolutionPool:
    r"""Known solutions of a structure, which grow while a model learns.

    `pool.grown(ĉ)` solves, in a share of the calls, for the predicted costs, keeps what is new, and
    returns all as a `Listed`: for `noise_contrastive`, and for `fenchel_young(-ĉ, label, …,
    noise="none")`, which on a pool is contrastive MAP. A structure that is slow to maximise is then
    asked rarely.

    Args:
        structure: the set, the same for every problem.
        states: solutions to begin with, such as the best ones of the true costs, `(K, *shape)`;
            repeated ones count once.
        share: of the calls that solve, from 0 to 1.

    Raises:
        TypeError, ValueError: a structure with parameters that differ by problem, states that are
            not in it, or a share out of range.

    Example:
        >>> from directmax.objectives import noise_contrastive
        >>> from directmax.structures import Subsets
        >>> pairs, costs = Subsets(4, 2), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        >>> pool = SolutionPool(pairs, pairs.argmax(-costs), share=1.0)
        >>> guess = torch.tensor([[4.0, 3.0, 2.0, 1.0]], requires_grad=True)
        >>> noise_contrastive(guess, pairs.argmax(-costs), pool.grown(guess))
        tensor([2.], grad_fn=<SumBackward1>)
        >>> pool
        SolutionPool(2 of Subsets(4, 2), share=1.0)

    Reference: Mulamba et al. 2021, section 4.
    """

    def __init__(
        self, structure: Structure, states: Float[Tensor, "K ..."], *, share: float = 0.05
    ) -> None:
        if not isinstance(structure, Structure):
            raise TypeError(f"structure must be a Structure, got {type(structure).__name__}")
        if structure.batch_size is not None or not structure.is_binary:
            raise ValueError(
                "structure must have zeros and ones, and the same set for every problem, got "
                f"{structure!r}"
            )
        if isinstance(states, Tensor) and not bool(structure.is_feasible(states).all()):
            raise ValueError(f"states must be of {structure!r}, got one that is not")
        self.structure, self.share = structure, check_number("share", share)
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be from 0 to 1, got {share}")
        self.listed = Listed(states.unique(dim=0) if isinstance(states, Tensor) else states)

    def __repr__(self) -> str:
        return f"SolutionPool({len(self.listed.states)} of {self.structure!r}, share={self.share})"

    @torch.no_grad()
    def grown(
        self, predicted: Float[Tensor, "b ..."], *, generator: torch.Generator | None = None
    ) -> Listed:
        """All solutions so far, in a share of the calls with those of these costs.

        Args:
            predicted: ĉ `(b, *shape)`.
            generator: source of randomness, for the share; torch's default one when None.

        Raises:
            TypeError, ValueError: costs that do not fit.
        """
        check_generator(generator)
        device = None if generator is None else generator.device
        if float(torch.rand((), generator=generator, device=device)) < self.share:
            found = self.structure.argmax(-check_real("predicted", predicted))
            self.listed = self.listed.extended(found.flatten(0, found.ndim - self._axes - 1))
        else:
            self.structure.check(predicted)
        return self.listed

    @property
    def _axes(self) -> int:
        return len(self.structure.shape)
