"""The argmax over any set that a function of the caller's can maximise over."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._masks import allowed, binary_potentials, check_masked, without_infinities
from directmax._transforms import OUTSIDE, refuse_recorded
from directmax._validation import (
    check_callable,
    check_count,
    check_flag,
    check_positive,
)
from directmax.distributions._noise import Noise, check_noise, draw
from directmax.distributions._structured import StructuredPotentials
from directmax.structures import Structure

TOLERANCE = 1e-3
"""More than solvers of integer programmes leave by default, relative to the potentials."""
Maximiser = Callable[[Float[Tensor, "s b n k"]], Int[Tensor, "s b n"]]


class PerturbedArgmax(StructuredPotentials):
    r"""z* = argmax_{z ∈ Z} h(z) + Σ_i γ_i(z_i), for a structure, or a set and a maximiser of yours.

    Z may be the paths of a graph, its matchings or spanning trees, the subsets of k elements,
    rankings, schedules: the structures of `directmax.structures`, or whatever a function finds the
    best of. The estimators differentiate an expectation through it:

    - `ClampedArgmax`, for binary variables: unbiased, any f, which it evaluates on Z only;
    - `Direct`: f̃, the single-variable changes of f, may leave Z, so f must be defined there. For a
      linear f, such as the cost of a path, f̃ is exact, and so is z^ε;
    - `ImplicitMLE`: any f that has a derivative at z*;
    - `LabelledDirect`: learns from known z, such as optimal paths.

    The distribution of z*, perturb-and-MAP, is known by its samples: there is no probability,
    entropy or KL, and what needs one refuses it.

    On a structure of elements z_i = 1 − z_i, z_i one-hot has two values, h_i = (0, w_i), and Gumbel
    noise is on both: together a logistic variable of deviation 1.81. Other noise is on the weights.

    Args:
        unary: for a structure its weights, `(b, m)` or `(b, n, k)`, −∞ for masks. For a function
            h_i(j), `(b, n, k)`, −∞ for a forbidden value; or the weights of variables that are on
            or off, `(b, n)`: h_i(1) is the weight, h_i(0) is 0.
        maximise: a `Structure`; or a function from finite potentials `(s, b, n, k)`, no gradient,
            its own to write to, to the z in Z of the highest sum, exactly, with nothing of its own
            added: values 0 … k − 1, integers or bool `(s, b, n)`. A forbidden value has a potential
            so low that it is chosen only where every z in Z has one, which is refused. Along the
            second axis lie the b problems, along the first any number of samples of each.
            `directmax.solvers.OneByOne` makes such a function of one for a single problem.
        noise: "gumbel"; "gaussian", of deviation 1; "none"; or a function such as
            `SumOfGamma(kappa)`. `ClampedArgmax` is right for Gumbel noise only.
        scale: what the noise is multiplied by, above 0.
        validate: also look at the values: of `unary`, and of every answer. Reads them (on a GPU, a
            synchronisation).

    Raises:
        TypeError, ValueError: `unary` is no finite floating-point tensor `(b, n, k)`; at the call,
            an answer of `maximise` of another type or shape, or out of range.

    Example:
        >>> import torch
        >>> from directmax import ClampedArgmax
        >>> def two_of(potentials):  # the two best of n elements
        ...     weights = potentials[..., 1] - potentials[..., 0]
        ...     best = weights.topk(2, -1).indices
        ...     return torch.zeros_like(weights, dtype=torch.bool).scatter(-1, best, True)
        >>> weights = torch.tensor([[3.0, 0.0, 2.0, 0.0]], requires_grad=True)
        >>> q = PerturbedArgmax(weights, two_of)
        >>> q.mode()[0, :, 1]
        tensor([1., 0., 1., 0.])
        >>> estimate = ClampedArgmax(num_samples=100)(q, lambda z: (z[..., 0, 1] - 1) ** 2)
        >>> estimate.loss.sum().backward()  # how often the first is not among them
        >>> bool(weights.grad[0, 0] < 0), bool(weights.grad[0, 2] > 0)
        (True, True)

    Reference: Papandreou and Yuille 2011 (perturb-and-MAP); Lorberbom et al. 2019, section 4.1;
    Berthet et al. 2020 (perturbed optimisers).
    """

    def __init__(
        self,
        unary: Float[Tensor, "b n k"] | Float[Tensor, "b m"],
        maximise: Maximiser | Structure,
        *,
        noise: str | Noise = "gumbel",
        scale: float = 1.0,
        validate: bool = True,
    ) -> None:
        self.noise_kind, self.scale = check_noise(noise), check_positive("scale", scale)
        if isinstance(maximise, Structure):
            self._set(unary, maximise, validate)
            return
        refuse_recorded("PerturbedArgmax", OUTSIDE)
        self.structure = None
        if isinstance(unary, Tensor) and unary.ndim == 2:
            unary = binary_potentials("unary", unary)
        self.unary = check_masked("unary", unary, ("batch", "variables", "values"), validate)
        if unary.is_meta:
            raise TypeError("PerturbedArgmax needs data: a maximiser cannot look at a meta tensor")
        self.batch_size, self.num_variables, self.num_values = unary.shape
        self.dtype, self.device = self.unary.dtype, unary.device
        if self.num_variables < 1 or self.num_values < 2:
            raise ValueError(
                "unary must have at least 1 variable and 2 values, got shape "
                f"(batch, variables, values) = {tuple(unary.shape)}"
            )
        check_callable("maximise", maximise)
        self.maximise, self.validate = maximise, check_flag("validate", validate)

    def noise(
        self, num_samples: int, *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "s b n k"]:
        """γ on the values, `(num_samples, b, n, k)`, by `noise` and `scale`."""
        check_count("num_samples", num_samples, minimum=0)
        like, lifted = self.unary, False
        if self.structure is not None and len(self.structure.shape) == 1:
            # On elements Gumbel noise is on both values; on ranks it moves a whole item.
            lifted = self.noise_kind != "gumbel" or not self.structure.is_binary
            like = self.weights if lifted else self.unary
        drawn = draw(self.noise_kind, (num_samples, *like.shape), generator, like.detach())
        drawn = drawn if self.scale == 1 else drawn * self.scale
        return self.structure.potentials(drawn) if lifted and self.structure else drawn

    @torch.no_grad()
    def _solve(self, potentials: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """The maximiser's answer, checked, one-hot."""
        if self.structure is not None:
            return self.structure.argmax_potentials(potentials, validate=self.validate)
        shape = (self.batch_size, self.num_variables)
        if not potentials.numel():
            return potentials.to(self.dtype)
        finite = without_infinities(potentials, _dominating(potentials))
        rows = finite.reshape(-1, *shape, self.num_values)
        values = self.maximise(rows.clone())
        if not isinstance(values, Tensor):
            raise TypeError(f"maximise must return a torch.Tensor, got {type(values).__name__}")
        if values.is_floating_point() or values.is_complex():
            raise TypeError(
                f"maximise must return integers or bool, got {values.dtype}; round them where they "
                "are whole, as .round().long()"
            )
        if values.shape != rows.shape[:-1]:
            raise ValueError(
                f"maximise must return the value of every variable, shape {tuple(rows.shape[:-1])} "
                f"for potentials of shape {tuple(rows.shape)}, got {tuple(values.shape)}"
            )
        values = values.to(self.device, torch.int64)
        if self.validate and values.numel():
            least, most = int(values.min()), int(values.max())
            if least < 0 or most >= self.num_values:
                raise ValueError(
                    f"maximise must return values from 0 to {self.num_values - 1}, got values from "
                    f"{least} to {most}"
                )
        each = torch.arange(self.num_values, device=self.device)
        z = (values.unsqueeze(-1) == each).to(self.dtype).view(potentials.shape)
        if self.validate:
            wrong = ((z > 0) & (self.unary == -torch.inf)).any(-1).any(-1)
            if bool(wrong.any()):
                raise ValueError(
                    "maximise found no z without the forbidden values of problem "
                    f"{int(wrong.nonzero()[0, -1])}: it must be able to return one"
                )
        return z

    def argmax(
        self, noise: Float[Tensor, "*s b n k"], shift: Float[Tensor, "*s b n k"] | None = None
    ) -> Float[Tensor, "*s b n k"]:
        """One-hot argmax_{z ∈ Z} Σ_i h_i(z_i) + γ_i(z_i) + shift_i(z_i), without gradient."""
        self._check_tensor("noise", noise, self._shape, "batch, variables, values")
        scores = self.unary.detach() + noise
        if shift is not None:
            self._check_shift(noise, shift)
            return self._solve(scores + shift)
        if self.structure is None:
            return self._solve(scores)
        z = self.structure.argmax(self._weights(scores), validate=self.validate)
        return self.structure.one_hot(z)

    def _weights(self, scores: Float[Tensor, "*s b n k"]) -> Tensor:
        """The structure's weights, from potentials that are theirs."""
        assert self.structure is not None
        if len(self.structure.shape) == 2:
            return scores
        return scores[..., 1] - scores[..., 0]

    @torch.no_grad()
    def argmax_given(
        self, noise: Float[Tensor, "s b n k"], labels: Float[Tensor, "b n k"]
    ) -> Float[Tensor, "s b n k"]:
        """The argmax of `argmax(noise)` among the z in Z in which observed variables have labels.

        The labels get so much that no z without them could be better; `maximise` sees no
        infinities.

        Raises:
            ValueError: no z in Z has the labels (asked with `validate` only; of an own `maximise`
                only where some variable is unobserved).
        """
        self._check_given(noise, labels)
        if bool((labels.sum(-1) > 0).all()):
            self._check_inside(labels)
            return labels.expand(noise.shape)
        scores = self.unary.detach() + noise
        if self.structure is not None:
            reach = self.structure.reach(self._weights(scores))
            z = self._solve(scores + reach[..., None, None] * labels)
        else:
            z = self._solve(scores + _dominating(scores) * labels)
        if self.validate:
            violated = ((z - 1) * labels).sum((-2, -1)) < 0
            if bool(violated.any()):
                problem = int(violated.nonzero()[0, -1])
                raise ValueError(
                    f"maximise found no z with the labels of problem {problem}: they must be of "
                    "an assignment that it can return"
                )
        return z

    def _check_inside(self, labels: Float[Tensor, "b n k"]) -> None:
        """Refuse complete labels that are not in Z: the gradient would push towards no z."""
        if self.structure is None or not self.validate:
            return
        outside = ~self.structure.is_feasible(self.structure.from_one_hot(labels))
        if bool(outside.any()):
            raise ValueError(
                f"the labels of problem {int(outside.nonzero()[0])} are not in {self.structure}, "
                "expected an assignment that its is_feasible accepts"
            )

    @torch.no_grad()
    def alternatives(
        self, noise: Float[Tensor, "s b n 2"], z: Float[Tensor, "s b n 2"]
    ) -> tuple[Float[Tensor, "n s b n 2"], Float[Tensor, "n s b"]]:
        """For every binary variable the best z in Z in which it has the other value than in z*.

        Args:
            noise: on the single variables.
            z: `argmax(noise)`.

        Returns:
            The assignments, and by how much each falls short of z*, γ_i left out of both, which may
            be negative. Where no z in Z has that value: z* itself, and infinity.
        """
        self._check_alternatives(noise, z)
        scores = self.unary.detach() + noise
        difference = noise[..., 1] - noise[..., 0]  # γ_i(1) − γ_i(0)
        margin = (difference * (2 * z[..., 1] - 1)).movedim(-1, 0)
        structure = self.structure
        if structure is not None:
            weights, best = self._weights(scores), structure.from_one_hot(z)
            elements, feasible = structure.alternatives(weights, best)
            gap = structure.score(weights, best) - structure.score(weights, elements) - margin
            return structure.one_hot(elements), gap.masked_fill(~feasible, torch.inf)
        identity = torch.eye(self.num_variables, dtype=self.dtype, device=self.device)
        target = identity[:, None, None, :, None] * (1 - z)  # (n, s, b, n, 2)
        large = _dominating(scores)
        other = self._solve(scores + large * target)
        feasible = (other * target).sum((-2, -1)) > 0  # (n, s, b)
        other = torch.where(feasible[..., None, None], other, z)
        finite = scores.masked_fill(scores == -torch.inf, 0.0)
        ahead = ((z - other) * finite).sum((-2, -1))
        if self.validate and feasible.numel():
            _doubt(ahead, feasible, large[..., 0, 0])
        return other, (ahead - margin).masked_fill(~feasible, torch.inf)

    def mode(self) -> Float[Tensor, "b n k"]:
        """argmax_{z ∈ Z} h(z), one-hot: the answer without noise."""
        return self._solve(self.unary.detach())


def _doubt(
    ahead: Float[Tensor, "n s b"], feasible: Bool[Tensor, "n s b"], large: Float[Tensor, "s b"]
) -> None:
    """Warn where answers contradict each other: where `maximise` minimises nothing else would say.

    Args:
        ahead: how much more the first answer is worth than that with another value of a variable.
        feasible: whether it found one with that value.
        large: what the value was worth, and so the size of what may be rounded.
    """
    inexact = max(TOLERANCE, len(ahead) * torch.finfo(ahead.dtype).eps)
    if not bool(feasible.any()):
        told = "never returned another value of any variable, whatever that was worth"
    elif bool((ahead < -inexact * large).any()):
        told = "returned a z that is worth less than another one that it returned"
    else:
        return
    warnings.warn(
        f"maximise {told}: gradients made of such answers have no guarantee; does it minimise, "
        "clip potentials, add some of its own or stop before the best z?",
        RuntimeWarning,
        stacklevel=3,
    )


def _dominating(scores: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b 1 1"]:
    """More than any two assignments without forbidden values can differ by."""
    lowest = torch.where(allowed(scores), scores, torch.inf).amin(-1, keepdim=True)
    spread = (scores.amax(-1, keepdim=True) - lowest).sum(-2, keepdim=True)
    return torch.where(spread > 0, 2 * spread, 1.0)
