"""What every set of assignments offers: the best one, and where tractable sums over all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NoReturn

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._precision import sum_dtype
from directmax._randomness import check_generator
from directmax._validation import check_count, check_flag, check_real, check_tensor
from directmax.structures._inference import outside_inference
from directmax.structures._rows import Answer
from directmax.structures._weights import Weighted, categorical, forbidden, within


class Structure(Weighted, ABC):
    r"""A finite set Z of assignments z with the score ⟨w, z⟩ + c(z), for a batch of weights w.

    `shape` is that of z and of the weights of one problem. It is either `(m,)`: m elements, z_i is
    1 where element i is chosen and 0 elsewhere; or `(n, k)`: n variables with k values each, z is
    one-hot. c(z) is 0, except where a structure has potentials of its own (`Chain`, `Pairwise`).

    Weights are `(*s, b, *shape)`, b problems with any leading sample dimensions; results have the
    same leading dimensions. A weight of −∞ takes what it stands for out of the set: a mask.
    Parameters that differ from problem to problem have b rows. float32 and float64 are computed
    with as they are, half precision in float32. Nothing is random except `sample`, a structure
    holds nothing but its parameters, and several threads may call it.

    - every structure: `argmax`, `alternatives`, `max_marginals`, `score`,
      `is_feasible`;
    - those with `tractable`: `log_partition`, `marginals`, `entropy`, `kl_to_uniform`, `log_prob`
      and `sample` of the Gibbs distribution q(z) ∝ exp(⟨w, z⟩ + c(z)) on Z. They are differentiable
      with respect to the weights, any number of times, and to the structure's own potentials.

    A subclass sets `shape`, and `batch_size` where its parameters differ by problem; it implements
    `_argmax` and `_feasible`, for sums `_log_partition`, and whatever it can do faster. These take
    rows `(r, *shape)`, where row i belongs to problem i mod b.

    Attributes:
        shape: of z, `(m,)` or `(n, k)`.
        batch_size: how many problems its parameters are for; None for any number.
        tractable: whether sums over Z are available.

    Example:
        >>> from directmax.structures import Subsets
        >>> pairs = Subsets(4, 2)
        >>> weights = torch.tensor([[0.5, 3.0, -1.0, 1.0]])
        >>> pairs.argmax(weights)
        tensor([[0., 1., 0., 1.]])
        >>> pairs.max_marginals(weights)[0, 0].tolist()  # the best without, with the first
        [4.0, 3.5]
        >>> pairs.kl_to_uniform(torch.zeros(1, 4)).abs() < 1e-6
        tensor([True])

    Reference: Papandreou and Yuille 2011; Rush 2020, Torch-Struct (sums by differentiation).
    """

    @torch.no_grad()
    def argmax(
        self, weights: Float[Tensor, "*s b *shape"], *, validate: bool = True
    ) -> Float[Tensor, "*s b *shape"]:
        """The z in Z of the highest score, without gradient; ties may go either way.

        Args:
            weights: finite, or −∞ for what must not be chosen.
            validate: also refuse NaN and +∞, and problems of which no z is left (on a GPU, a
                synchronisation). Without it, the z of such a problem means nothing.

        Raises:
            TypeError, ValueError: weights of another type or shape, NaN or +∞; no z is left.
        """
        rows = self._rows(weights, False)
        check_flag("validate", validate)
        if not len(rows):
            return torch.zeros_like(weights)
        masked = validate and self._has_masks(rows)
        z, ok = self._argmax(rows, masked)
        if validate and ok is not None and not bool(ok.all()):
            self._refuse_rows(~ok, weights)
        return z.to(weights.dtype).reshape(weights.shape)

    def score(
        self, weights: Float[Tensor, "*s b *shape"], z: Float[Tensor, "*s b *shape"]
    ) -> Float[Tensor, "*s b"]:
        """⟨w, z⟩ + c(z), differentiable with respect to the weights and the potentials in c.

        What z has beyond the length of a problem, such as padded labels, does not count.

        Raises:
            TypeError, ValueError: weights or z of another type or shape.
        """
        self._fit_both(weights, z)
        z = within(self.present(), z)
        chosen = torch.where(z > 0, weights, torch.zeros_like(weights)) * z
        total = chosen.flatten(chosen.ndim - len(self.shape)).sum(-1)
        offset = self.offset(z)
        return total if offset is None else total + offset

    def offset(self, z: Float[Tensor, "*s b *shape"]) -> Float[Tensor, "*s b"] | None:
        """c(z), the structure's own part of the score; None where it is 0."""
        return None

    @torch.no_grad()
    def is_feasible(self, z: Float[Tensor, "*s b *shape"]) -> Bool[Tensor, "*s b"]:
        """Whether z is in Z. Slow: a check, not for an inner loop.

        Raises:
            TypeError, ValueError: z of another type or shape.
        """
        rows = self._rows(z.detach() if isinstance(z, Tensor) else z, True, "z")
        if not len(rows):
            return torch.ones(0, dtype=torch.bool, device=z.device).reshape(self._leading(z))
        binary = ((rows == 0) | (rows == 1)).flatten(1).all(1)
        return (binary & self._feasible(rows)).reshape(self._leading(z))

    @property
    def own(self) -> tuple[Tensor, ...]:
        """The potentials in c, which may learn."""
        return ()

    # One-hot variables, as distributions and estimators have them.

    @property
    def num_values(self) -> int:
        """Of a variable: k, and 2 where elements are chosen or not."""
        return self.shape[1] if len(self.shape) == 2 else 2

    @property
    def is_binary(self) -> bool:
        """Whether z is zeros and ones of elements or one-hot: `Ranking` has numbers."""
        return True

    def potentials(self, weights: Float[Tensor, "*s b ..."]) -> Float[Tensor, "*s b n k"]:
        """What every value of every variable adds to the score; 0 and w_i for elements."""
        weights = self._fit(weights)
        if len(self.shape) == 2:
            return weights
        return torch.stack([torch.zeros_like(weights), weights], -1)

    def one_hot(self, z: Float[Tensor, "*s b ..."]) -> Float[Tensor, "*s b n k"]:
        """z as one-hot variables, of which 1 − z_i, z_i stand for an element."""
        axes = "elements" if len(self.shape) == 1 else "variables, values"
        check_tensor("z", check_real("z", z), self.shape, axes)
        return z if len(self.shape) == 2 else torch.stack([1 - z, z], -1)

    def from_one_hot(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b ..."]:
        """z as the structure has it."""
        check_tensor("z", z, (self.shape[0], self.num_values), "variables, values")
        return z if len(self.shape) == 2 else z[..., 1]

    def argmax_potentials(
        self, potentials: Float[Tensor, "*s b n k"], *, validate: bool = True
    ) -> Float[Tensor, "*s b n k"]:
        """The best z for any such potentials, one-hot."""
        check_real("potentials", potentials)
        check_tensor(
            "potentials", potentials, (self.shape[0], self.num_values), "variables, values"
        )
        if len(self.shape) == 2:
            return self.argmax(potentials, validate=validate)
        return self.one_hot(self.argmax(potentials[..., 1] - potentials[..., 0], validate=validate))

    @torch.no_grad()
    def alternatives(
        self, weights: Float[Tensor, "*s b *shape"], z: Float[Tensor, "*s b *shape"]
    ) -> tuple[Float[Tensor, "n *s b *shape"], Bool[Tensor, "n *s b"]]:
        """For every element or variable the best z in Z in which it is another than in `z`.

        Args:
            weights: as above.
            z: assignments.

        Returns:
            The assignments, and where there is one; elsewhere the assignment is `z`.
        """
        self._fit_both(weights, z)
        if weights.shape != z.shape:
            raise ValueError(
                f"weights and z must have one shape, got {tuple(weights.shape)} and "
                f"{tuple(z.shape)}"
            )
        rows, flat = self._rows(weights, False), self._rows(z, False)
        other, reached = self._alternatives(rows, flat)
        n = len(other)
        found = reached.reshape(*reached.shape, *(1,) * len(self.shape))
        other = torch.where(found, other.to(flat.dtype), flat).to(z.dtype)
        return other.reshape(n, *z.shape), reached.reshape(n, *self._leading(z))

    @torch.no_grad()
    def max_marginals(self, weights: Float[Tensor, "*s b *shape"]) -> Tensor:
        """The best score with one variable held, for each of its values; −∞ where there is no z.

        Args:
            weights: as above.

        Returns:
            For elements `(*s, b, m, 2)`: without and with element i. For variables
            `(*s, b, n, k)`: with z_i = j.
        """
        rows = self._rows(weights, True)
        found = self._max_marginals(rows)
        return found.reshape(*self._leading(weights), *found.shape[1:])

    # Sums.

    def log_partition(self, weights: Float[Tensor, "*s b *shape"]) -> Float[Tensor, "*s b"]:
        """log Σ_{z ∈ Z} exp(⟨w, z⟩ + c(z)), in nats.

        Raises:
            TypeError, ValueError: as `argmax`; likewise the other sums, and `sample`.
        """
        rows = self._finite(self._rows(weights, True))
        total = self._log_partition(rows, 1.0)
        self._check_left(total, weights)
        return total.reshape(self._leading(weights))

    @outside_inference
    def marginals(self, weights: Float[Tensor, "*s b *shape"]) -> Float[Tensor, "*s b *shape"]:
        """E_q[z], the probability of every element or value: the gradient of `log_partition`."""
        graph = torch.is_grad_enabled() and self._fit(weights).requires_grad
        with torch.enable_grad():
            leaf = weights
            if not graph:  # a tensor of inference mode cannot become a leaf outside of it
                leaf = weights.clone() if weights.is_inference() else weights.detach()
                leaf.requires_grad_()
            total = self.log_partition(leaf).sum()
            return torch.autograd.grad(total, leaf, create_graph=graph)[0]

    @outside_inference
    def entropy(self, weights: Float[Tensor, "*s b *shape"]) -> Float[Tensor, "*s b"]:
        """−Σ_z q(z) log q(z) in nats: log Z(1) − log Z′(1), Z(t) that of t times the score.

        In float64, where the device has it: with weights of some hundreds that all share, both are
        thousands, and in float32 their difference would be off by nats.
        """
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            given = self._rows(weights, True)
            rows = self._finite(given.to(sum_dtype(given.device)))
            t = torch.ones(len(rows), dtype=rows.dtype, device=rows.device, requires_grad=True)
            tempered = rows * t.reshape(-1, *(1,) * len(self.shape))
            total = self._log_partition(tempered, t)
            self._check_left(total, weights)
            (mean,) = torch.autograd.grad(total.sum(), t, create_graph=graph)
            entropy = (total - mean).to(given.dtype).reshape(self._leading(weights))
        return entropy if graph else entropy.detach()

    def log_count(self, weights: Float[Tensor, "*s b *shape"]) -> Float[Tensor, "*s b"]:
        """log |Z| in nats for every problem of these weights, whose values do not matter."""
        rows = torch.zeros_like(self._rows(weights, False).detach())
        with torch.no_grad():
            return self._log_partition(rows, 0.0).reshape(self._leading(weights))

    def kl_to_uniform(self, weights: Float[Tensor, "*s b *shape"]) -> Float[Tensor, "*s b"]:
        """KL(q ‖ the uniform distribution on Z) = log |Z| − entropy, in nats."""
        return self.log_count(weights) - self.entropy(weights)

    def log_prob(
        self, weights: Float[Tensor, "*s b *shape"], z: Float[Tensor, "*s b *shape"]
    ) -> Float[Tensor, "*s b"]:
        """log q(z) in nats, for z in Z (`is_feasible`, not asked here)."""
        return self.score(weights, z) - self.log_partition(weights)

    @torch.no_grad()
    def sample(
        self,
        weights: Float[Tensor, "*s b *shape"],
        num_samples: int = 1,
        *,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "num_samples *s b *shape"]:
        """Independent exact samples of q."""
        check_generator(generator)
        num_samples = check_count("num_samples", num_samples, 0)
        rows = self._finite(self._rows(weights, True))
        if len(rows) and any(bool((p == -torch.inf).any()) for p in (weights, *self.own)):
            self._check_left(self._log_partition(rows, 1.0), weights)
        rows = rows.expand(num_samples, *rows.shape).flatten(0, 1)
        z = self._sample(rows, generator) if len(rows) else rows
        return z.to(weights.dtype).reshape(num_samples, *weights.shape)

    def _check_left(self, total: Float[Tensor, " r"], weights: Tensor) -> None:
        """Refuse problems whose sum is of forbidden z alone."""
        left = total.detach() > forbidden(total.dtype) / 2
        if not bool(left.all()):
            self._refuse_rows(~left, weights)

    def _refuse_rows(self, empty: Bool[Tensor, " r"], weights: Tensor) -> NoReturn:
        problem = int(empty.nonzero()[0]) % weights.shape[-1 - len(self.shape)]
        raise ValueError(
            f"{type(self).__name__} has no z left for problem {problem}, expected at least one "
            "whose weights are above -inf; mask less, or check its parameters"
        )

    # What a subclass implements, on rows.

    @abstractmethod
    def _argmax(self, rows: Float[Tensor, "r ..."], masked: bool) -> Answer:
        """The best z of every row, and, where weights may be −∞ (`masked`), which rows have one."""

    @abstractmethod
    def _feasible(self, rows: Float[Tensor, "r ..."]) -> Bool[Tensor, " r"]:
        """Whether zeros and ones are in Z."""

    def _log_partition(
        self, rows: Float[Tensor, "r ..."], scale: Tensor | float
    ) -> Float[Tensor, " r"]:
        """log Σ_z exp(⟨w, z⟩ + scale · c(z)) of finite weights; scale a number, or one a row."""
        raise TypeError(
            f"{type(self).__name__} has no tractable sums, expected a structure such as Subsets, "
            "Paths without cycles, Chain, Arborescence or Listed; use its samples (PerturbedArgmax)"
        )

    @outside_inference
    def _sample(
        self, rows: Float[Tensor, "r n k"], generator: torch.Generator | None
    ) -> Float[Tensor, "r n k"]:
        """One sample a row. Here one variable after the other, from its marginals given those."""
        rows, z = rows.clone(), torch.zeros_like(rows)
        for i in range(self.shape[0]):
            with torch.enable_grad():
                leaf = rows.detach().requires_grad_()
                (marginals,) = torch.autograd.grad(self._log_partition(leaf, 1.0).sum(), leaf)
            probs = marginals[:, i]
            z[:, i] = categorical(probs.clamp_min(0).log(), generator) * (
                probs.sum(-1, keepdim=True) > 0.5  # beyond a problem's length there is nothing
            )
            rows[:, i] = self._finite(torch.where(z[:, i] > 0, rows[:, i], -torch.inf))
        return z

    def _alternatives(
        self, rows: Float[Tensor, "r ..."], z: Float[Tensor, "r ..."]
    ) -> tuple[Float[Tensor, "n r ..."], Bool[Tensor, "n r"]]:
        """As `alternatives`. Here n maximisations, each with another value forced."""
        rows, n = rows.double(), self.shape[0]
        itself = torch.eye(n, dtype=rows.dtype, device=rows.device)
        if len(self.shape) == 1:
            wanted = itself.unsqueeze(1) * (1 - 2 * z)  # 1 to choose, −1 to leave
        else:
            wanted = itself.view(n, 1, n, 1) * (1 - z)
        pushed = rows + self._dominating(rows) * wanted
        other, ok = self._argmax(pushed.flatten(0, 1).contiguous(), True)
        other = other.reshape(wanted.shape)
        reached = ((other - z) * wanted).flatten(2).sum(-1) > 0
        return other, reached if ok is None else reached & ok.reshape(reached.shape)

    def _max_marginals(self, rows: Float[Tensor, "r ..."]) -> Tensor:
        """As `max_marginals`. Here as many maximisations as there are values."""
        if len(self.shape) == 1:
            z, _ = self._argmax(rows, True)
            other, reached = self._alternatives(rows, z)
            values = (
                self._row_scores(rows, other.to(rows.dtype)).masked_fill(~reached, -torch.inf).T
            )
            own = self._row_scores(rows, z).unsqueeze(-1)
            chosen = z > 0
            without = torch.where(chosen, values, own)
            return torch.stack([without, torch.where(chosen, own, values)], -1)
        (n, k), wide = self.shape, rows.double()
        held = torch.eye(n * k, dtype=rows.dtype, device=rows.device).view(n * k, 1, n, k)
        rest = held.sum(-1, keepdim=True) - held  # the other values of that variable
        pushed = wide - self._dominating(wide) * rest
        z, ok = self._argmax(pushed.flatten(0, 1).contiguous(), True)
        z = z.reshape(pushed.shape).to(rows.dtype)
        values = self._row_scores(rows, z)
        reached = (z * held).sum((-2, -1)) > 0
        if ok is not None:
            reached = reached & ok.reshape(reached.shape)
        return values.masked_fill(~reached, -torch.inf).T.reshape(-1, n, k)

    def _row_scores(self, rows: Float[Tensor, "r ..."], z: Float[Tensor, "*s r ..."]) -> Tensor:
        """`score` of rows, `(*s, r)`; parameters are of b problems."""
        if self.batch_size is None:
            return self.score(rows, z)
        apart = -1 - len(self.shape), (-1, self.batch_size)
        return self.score(rows.unflatten(*apart), z.unflatten(*apart)).flatten(-2)

    def _dominating(self, rows: Float[Tensor, "r ..."]) -> Float[Tensor, "r ..."]:
        """More than any two assignments can differ by."""
        finite = rows.masked_fill(rows == -torch.inf, 0).flatten(1)
        reach = 2 * finite.abs().sum(-1) + self._offset_reach(len(rows))
        reach = torch.where(reach > 0, reach, 1.0)  # not 1 more, in which small weights are lost
        return reach.reshape(-1, *(1,) * len(self.shape))

    def _offset_reach(self, rows: int) -> Tensor | float:
        """More than c(z) of two assignments can differ by, a number or one a row."""
        return 0.0

    def reach(self, weights: Float[Tensor, "*s b ..."]) -> Float[Tensor, "*s b"]:
        """More than any two z can differ by in score, and than their number matters in sums."""
        rows = self._rows(weights, False).detach()
        sizes = self._dominating(rows).reshape(len(rows)) - math.log(torch.finfo(rows.dtype).eps)
        count = math.log(2) * math.prod(self.shape)
        return (sizes + count).to(rows.dtype).reshape(self._leading(weights))
