"""Directed trees: every node has a head, and all hang from one root."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._randomness import draw
from directmax._validation import check_count, check_flag
from directmax.structures._base import Structure
from directmax.structures._parameters import check_numbers, per_row
from directmax.structures._rows import Answer, solve_rows
from directmax.structures._weights import forbidden


class _DirectedTrees(Structure):
    """n nodes beside the root; z_j is the head of node j + 1, one-hot `(n, n + 1)`, 0 the root."""

    tractable: ClassVar[bool] = True

    def __init__(
        self, n: int, *, single_root: bool = False, lengths: Int[Tensor, " b"] | None = None
    ) -> None:
        check_count("n", n)
        self.shape = (n, n + 1)
        self.single_root = check_flag("single_root", single_root)
        self.has_lengths = lengths is not None
        self.lengths, self.batch_size = check_numbers(
            "lengths", n if lengths is None else lengths, 1, n
        )
        # Nobody is their own head.
        self._loops = torch.eye(n, n + 1, device="cpu").roll(1, 1).bool()

    def __repr__(self) -> str:
        single = ", single_root=True" if self.single_root else ""
        return f"{type(self).__name__}({self.shape[0]}{single})"

    @staticmethod
    @abstractmethod
    def _kernel() -> Callable[..., None]:
        """Finds the best tree."""

    @abstractmethod
    def _inside(self, rows: Float[Tensor, "r n h"]) -> Float[Tensor, " r"]:
        """log Σ_z exp⟨w, z⟩ of finite weights, all nodes within the length."""

    def _argmax(self, rows: Float[Tensor, "r n h"], masked: bool) -> Answer:
        z, ok = solve_rows(self._kernel(), self._padded(rows), self.single_root)
        return self._cut(z), ok

    def _log_partition(self, rows: Float[Tensor, "r n h"], scale: Tensor | float) -> Tensor:
        return self._inside(self._finite(self._padded(rows)))

    def _padded(self, rows: Float[Tensor, "r n h"]) -> Float[Tensor, "r n h"]:
        """No loops; nodes beyond the length hang, for nothing, from the one before."""
        rows = rows.masked_fill(self._loops.to(rows.device), -torch.inf)
        if not self.has_lengths:
            return rows
        beyond = self._beyond(rows)  # (r, n)
        before = torch.eye(*self.shape, dtype=torch.bool, device=rows.device)
        hangs = torch.where(before, 0.0, -torch.inf).to(rows)
        rows = torch.where(beyond.unsqueeze(-1), hangs, rows)
        heads = torch.cat([torch.zeros_like(beyond[:, :1]), beyond], -1)  # (r, n + 1)
        return rows.masked_fill(heads.unsqueeze(1) & ~beyond.unsqueeze(-1), -torch.inf)

    def _beyond(self, rows: Tensor) -> Bool[Tensor, "r n"]:
        nodes = torch.arange(self.shape[0], device=rows.device)
        beyond = nodes >= per_row(self.lengths, rows).unsqueeze(-1)
        return beyond.expand(len(rows), -1)

    def present(self) -> Bool[Tensor, "b n"] | None:
        """Those within the length."""
        if not self.has_lengths:
            return None
        return torch.arange(self.shape[0], device="cpu") < self.lengths.unsqueeze(-1)

    def _cut(self, z: Float[Tensor, "r n h"]) -> Float[Tensor, "r n h"]:
        return z.masked_fill(self._beyond(z).unsqueeze(-1), 0) if self.has_lengths else z

    def _feasible(self, rows: Float[Tensor, "r n h"]) -> Bool[Tensor, " r"]:
        within = ~self._beyond(rows)
        whole = (rows.sum(-1) == within).all(-1)
        heads = [[int(h) for h in row] for row in rows.argmax(-1).tolist()]
        lengths = within.sum(-1).tolist()
        trees = [self._is_tree(h[:size]) for h, size in zip(heads, lengths, strict=True)]
        return whole & torch.tensor(trees, device=rows.device)

    def _is_tree(self, heads: list[int]) -> bool:
        """Whether all lead to the root."""
        if self.single_root and heads.count(0) != 1:
            return False
        for node in range(1, len(heads) + 1):
            for _ in heads:
                node = heads[node - 1] if 0 < node <= len(heads) else node
            if node != 0:
                return False
        return True


class Arborescence(_DirectedTrees):
    r"""Directed trees over n nodes and a root, such as dependency trees that may cross.

    z_j is the head of node j + 1, one-hot `(n, n + 1)`; head 0 is the root. No node is its own
    head, whatever its weight. argmax: Chu–Liu–Edmonds in O(n²), compiled. Sums: the matrix-tree
    theorem, where the weights are; the determinant is found by eliminating node after node, in
    logarithms and without a subtraction, so that weights of any size are summed exactly.

    Args:
        n: nodes beside the root.
        single_root: exactly one node hangs from the root.
        lengths: nodes of every problem, from 1 to n, `(b,)`; z and marginals are 0 beyond.

    Raises:
        TypeError, ValueError: n < 1, or lengths that do not fit.

    Example:
        >>> weights = torch.tensor([[[1.0, 0.0, 2.0], [0.0, 2.0, 0.0]]])
        >>> Arborescence(2).argmax(weights).argmax(-1)  # 1 hangs from the root, 2 from 1
        tensor([[0, 1]])
        >>> Arborescence(2).log_partition(torch.zeros(1, 2, 3)).exp()
        tensor([3.])

    Reference: Chu and Liu 1965; Edmonds 1967; Gabow et al. 1986; Koo et al. 2007 (sums);
    Grassmann, Taksar and Heyman 1985 (elimination); Wilson 1996 (samples).
    """

    @staticmethod
    def _kernel() -> Callable[..., None]:
        from directmax.structures._arborescence_kernel import maximise

        return maximise

    def _inside(self, rows: Float[Tensor, "r n h"]) -> Float[Tensor, " r"]:
        root, among = rows[:, :, 0], rows[:, :, 1:]
        penalty = torch.zeros_like(root[:, 0])
        if self.single_root:  # so small a weight on the root's edges that one of them is all
            penalty = self._range(rows)
            root = root - penalty.unsqueeze(-1)
        total = penalty
        for _ in range(self.shape[0]):
            # The first node hands its heads on to those that it is the head of.
            heads = torch.cat([root[:, :1], among[:, 0, 1:]], -1)
            pivot = heads.logsumexp(-1)
            total = total + pivot
            below = among[:, 1:, 0] - pivot.unsqueeze(-1)
            root = torch.stack([root[:, 1:], below + root[:, :1]]).logsumexp(0)
            through = below.unsqueeze(-1) + among[:, :1, 1:]
            among = torch.stack([among[:, 1:, 1:], through]).logsumexp(0)
            among = among.masked_fill(
                torch.eye(among.shape[1], dtype=torch.bool, device=rows.device),
                forbidden(rows.dtype),
            )
        return total

    def _sample(
        self, rows: Float[Tensor, "r n h"], generator: torch.Generator | None
    ) -> Float[Tensor, "r n h"]:
        if self.single_root:
            return super()._sample(rows, generator)
        from directmax.structures._arborescence_sample_kernel import sample

        uniforms = draw(
            torch.rand, rows.shape[:2], generator, dtype=torch.float32, device=rows.device
        )
        wide = self._padded(rows).double().contiguous()
        lowest = forbidden(rows.dtype) / 2
        z, _ = solve_rows(sample, wide, uniforms.double().cpu(), lowest)
        return self._cut(z.to(rows.dtype))

    @staticmethod
    @torch.no_grad()
    def _range(rows: Float[Tensor, "r n h"]) -> Float[Tensor, " r"]:
        """The logarithm of more than what all trees with two root edges sum to, relative to one."""
        masked = rows <= forbidden(rows.dtype) / 2
        high = rows.amax(-1)
        low = rows.masked_fill(masked, torch.inf).amin(-1)
        slack = math.log(rows.shape[-1]) + 1
        return (high - low + slack).sum(-1) - 2 * math.log(torch.finfo(rows.dtype).eps)


class ProjectiveTree(_DirectedTrees):
    r"""Directed trees over n words and a root in front of them, in which no two edges cross.

    As `Arborescence`, for trees that can be drawn above a sentence without crossings. argmax:
    Eisner's algorithm in O(n³), compiled. Sums: the same with sums for maxima, where the weights
    are.

    Args:
        n: words.
        single_root: exactly one word hangs from the root.
        lengths: words of every problem, from 1 to n, `(b,)`; z and marginals are 0 beyond.

    Raises:
        TypeError, ValueError: n < 1, or lengths that do not fit.

    Example:
        >>> ProjectiveTree(3).log_partition(torch.zeros(1, 3, 4)).exp().round()
        tensor([12.])
        >>> Arborescence(3).log_partition(torch.zeros(1, 3, 4)).exp().round()
        tensor([16.])

    Reference: Eisner 1996.
    """

    @staticmethod
    def _kernel() -> Callable[..., None]:
        from directmax.structures._projective_kernel import maximise

        return maximise

    def _is_tree(self, heads: list[int]) -> bool:
        spans = [(min(j, h), max(j, h)) for j, h in enumerate(heads, 1)]
        crossing = any(a < c < b < d for a, b in spans for c, d in spans)
        return super()._is_tree(heads) and not crossing

    def _inside(self, rows: Float[Tensor, "r n h"]) -> Float[Tensor, " r"]:
        """By width: all spans of a width at once. A list holds the spans of each width."""
        if self.single_root:
            root, rows = rows[:, :, 0], rows[:, :, 1:]
            right, left = self._spans(rows)
            # One node m hangs from the root, and has all others on its two sides.
            each = [left[m][:, 0] + right[rows.shape[1] - 1 - m][:, m] for m in range(len(root[0]))]
            return (torch.stack(each, -1) + root).logsumexp(-1)
        none = self._finite(rows.new_full((len(rows), 1, rows.shape[2]), -torch.inf))
        right, _ = self._spans(torch.cat([none, rows], 1))
        return right[-1][:, 0]

    @staticmethod
    def _spans(
        weights: Float[Tensor, "r p p"],
    ) -> tuple[list[Float[Tensor, "r i"]], list[Float[Tensor, "r i"]]]:
        """Closed spans of positions i … i + width, by width: with head i, and with the last."""
        p = weights.shape[1]
        right = [torch.zeros_like(weights[:, :, 0])]
        left = [right[0]]
        open_right: list[Tensor] = [right[0]]  # no span of width 0 is open; only its place counts
        open_left: list[Tensor] = [right[0]]
        for width in range(1, p):
            count = p - width
            parts = [
                right[m][:, :count] + left[width - 1 - m][:, m + 1 : m + 1 + count]
                for m in range(width)
            ]
            both = torch.stack(parts).logsumexp(0)
            open_right.append(both + weights.diagonal(-width, 1, 2))  # of j the head i = j − width
            open_left.append(both + weights.diagonal(width, 1, 2))
            steps = range(1, width + 1)
            into = [open_right[m][:, :count] + right[width - m][:, m : m + count] for m in steps]
            out = [
                left[width - m][:, :count] + open_left[m][:, width - m :][:, :count] for m in steps
            ]
            right.append(torch.stack(into).logsumexp(0))
            left.append(torch.stack(out).logsumexp(0))
        return right, left
