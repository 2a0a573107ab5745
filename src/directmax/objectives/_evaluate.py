"""Evaluate any objective: at samples, at every state, at every single-variable change.

An objective is a callable from one-hot assignments `(*s, b, n, k)` to losses `(*s, b)` in nats.
One that also has a method `state_losses` or `single_change_losses` (see `Reconstruction`) is
asked for that table instead of being called many times.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax._memory import is_out_of_memory
from directmax._precision import widened
from directmax._validation import (
    check_callable,
    check_dense,
    check_integers,
    check_real,
    check_shape,
    shown,
)
from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states
from directmax.objectives._training_mode import looked_at

CHUNK_ELEMENTS = 2**22
"""Assignments are passed to a plain objective in chunks of at most so many one-hot entries."""
CHUNK_ASSIGNMENTS_CPU = 2**11
"""And of so many assignments where no gradient is wanted, on a CPU: what f makes of them then tends
to stay in its cache, and a call of f costs little beside them."""


class Objective(Protocol):
    """f(z) in nats: one-hot `(*s, b, n, k)` in, `(*s, b)` out; lower is better.

    There may be any number of leading dimensions, also two (changes and samples); for a function
    that is written for one axis of problems, `(b, n, k)`, there is `batched`. Within one call of an
    estimator it must be a deterministic function of z. It may write to z. Losses may be of any real
    type, also bool, and +∞ at assignments that are forbidden.

    Some methods are optional; an estimator uses them where they are:

    - `state_losses(num_variables, num_values, *, max_states)`: f of all k^n assignments, `(b, K)`,
      differentiable, in the order of `enumerate_states`;
    - `single_change_losses(z)`: f̃, `(*s, b, n, k)`, without gradient;
    - `losses_and_changes(z)`: f(z), differentiable, and f̃, at once;
    - `losses_and_changes_below(z, most)`: the same for an argmax: f̃ where f̃ − f(z) < `most`
      (`(*s, b, n, k)`), elsewhere a bound of f̃ from below that is not under f(z) + `most`;
    - `losses_and_others(z, others)`: f(z), differentiable, and f of other assignments
      `(c, *s, b, n, k)` for the same problems, `(c, *s, b)`, without gradient;
    - `losses_of_changes(z, chosen, values)`: f after changes of the variables `(*s, b, m)` to the
      values `(*s, b, m, v)`, `(*s, b, m·v)`, without gradient;
    - `chunk_assignments`, a number: how many assignments, over samples and problems, a call may
      have where there is a choice; for an f that needs much memory for each;
    - `losses_and_table(weights)`, n = 1: Σ_j w_j f(j) for weights `(b, k)`, differentiable, and f
      of all k values, `(b, k)`, without gradient. Estimators that draw samples ask for it in place
      of `state_losses`: for an f that costs much to differentiate at every value.
    """

    def __call__(self, z: Tensor, /) -> Tensor: ...


def evaluate(objective: Objective, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
    """f(z), with the shape of the result checked.

    Raises:
        TypeError: the objective returned no tensor.
        ValueError: the result has not the shape `(*s, b)`.

    Example:
        >>> z = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> evaluate(lambda z: z[..., 1].sum(-1), z)
        tensor([1.])
    """
    _check(objective, z)
    losses = _called(objective, z)
    if not isinstance(losses, Tensor):
        raise TypeError(f"the objective must return a torch.Tensor, got {type(losses).__name__}")
    if losses.shape != z.shape[:-2]:
        raise ValueError(
            f"the objective must return one loss per assignment, shape {tuple(z.shape[:-2])} "
            f"for z of shape {tuple(z.shape)}, got {tuple(losses.shape)}{_hint(z, losses)}"
        )
    return real(losses, z.dtype)


def _check(objective: object, z: object) -> None:
    check_callable("objective", objective)
    z = check_real("z", z)
    if z.ndim < 3 or 0 in z.shape[-2:]:
        raise ValueError(f"z must end in (batch, variables, values), got shape {tuple(z.shape)}")


def _called(objective: Objective, z: Tensor) -> object:
    """f of a copy of z; what torch says of shapes, with a hint."""
    if torch.compiler.is_compiling():
        return objective(z.clone())
    try:
        return objective(z.clone())
    except (RuntimeError, ValueError, IndexError) as error:
        if "dtype" in str(error):
            error.add_note(f"z is {z.dtype}: a module of another type takes z.to(weight.dtype)")
        elif z.ndim > 3 and not is_out_of_memory(error):
            error.add_note(f"the objective failed for z of shape {tuple(z.shape)}{_hint(z)}")
        raise


def _hint(z: Tensor, losses: Tensor | None = None) -> str:
    if (
        losses is not None
        and z.shape[-3] == 1
        and z.shape[:-3] in (losses.shape, losses.shape[:-1])
    ):
        return (
            "; one choice for many rows of data is one problem, batch = 1: return the mean over "
            "the rows, .mean(-1, keepdim=True)"
        )
    if z.ndim <= 3:
        return ""
    return (
        "; the axes before (batch, variables, values) are samples: an f that is written for z of "
        "shape (batch, variables, values) can be passed as directmax.batched(f)"
    )


def real(losses: Tensor, dtype: torch.dtype) -> Tensor:
    """Losses in float32 or wider, or in this type where they are bool or integers.

    In half precision, as in autocast, their mean would be rounded to nats.

    Example:
        >>> real(torch.tensor([True]), torch.float32)
        tensor([1.])
    """
    if not isinstance(losses, Tensor) or losses.is_complex():
        got = losses.dtype if isinstance(losses, Tensor) else type(losses).__name__
        raise TypeError(f"the objective must return losses of real numbers, got {got}")
    check_dense("the losses of the objective", losses)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype must be a torch.dtype, got {shown(dtype)}")
    return widened(losses) if losses.is_floating_point() else losses.to(dtype)


def tabled(method: str, losses: object, shape: tuple[int, ...], axes: str) -> Tensor:
    """What an optional method of an objective returned, if its shape is right.

    Another might be broadcast, and the gradient be wrong without a word.

    Args:
        method: its name, for the message.
        losses: what it returned.
        shape: what they must have.
        axes: what these are.

    Raises:
        TypeError: no tensor.
        ValueError: another shape.

    Example:
        >>> tabled("state_losses", torch.zeros(1, 3), (1, 3), "problems, states").shape
        torch.Size([1, 3])
    """
    if not isinstance(losses, Tensor):
        raise TypeError(
            f"{method} of the objective must return losses ({axes}), got {type(losses).__name__}"
        )
    if losses.shape != shape:
        raise ValueError(
            f"{method} of the objective must return losses ({axes}) = {shape}, got shape "
            f"{tuple(losses.shape)}"
        )
    return losses


def state_losses(
    objective: Objective,
    shape: tuple[int, int, int],
    *,
    max_states: int = DEFAULT_MAX_STATES,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "b K"]:
    """f of all K = k^n assignments for every problem of the batch, differentiable.

    Args:
        objective: any callable, or one with `state_losses(num_variables, num_values)`.
        shape: (b, n, k).
        max_states: the largest K allowed.
        dtype: type of the assignments that a plain callable is given.
        device: where those assignments live.

    Returns:
        Losses `(b, K)` in nats, in the order of `enumerate_states`.

    Raises:
        ValueError: K > `max_states`, or the objective is one of another batch size.

    Example:
        >>> state_losses(lambda z: z[..., 1].sum(-1), (1, 2, 2)).squeeze(0)
        tensor([0., 1., 1., 2.])
    """
    if not torch.compiler.is_compiling():
        check_shape("shape", shape, ("batch", "variables", "values"), minimum=0)
    batch_size, num_variables, num_values = shape
    fast = getattr(objective, "state_losses", None)
    if fast is not None:
        table: Tensor = fast(num_variables, num_values, max_states=max_states)
        problems = len(table) if isinstance(table, Tensor) and table.ndim == 2 else batch_size
        if problems not in (1, batch_size):
            raise ValueError(
                f"the objective must hold one problem or the {batch_size} of the distribution, "
                f"got losses (problems, states) of shape {tuple(table.shape)}"
            )
        tabled("state_losses", table, (problems, num_values**num_variables), "problems, states")
        return real(table, dtype or torch.get_default_dtype()).expand(batch_size, -1)
    states = enumerate_states(
        num_variables, num_values, max_states=max_states, dtype=dtype, device=device
    )
    z = states.unsqueeze(1).expand(-1, batch_size, -1, -1)  # (K, b, n, k), no copy
    return evaluate_many(objective, z).T


def evaluate_many(objective: Objective, z: Float[Tensor, "c *s b n k"]) -> Float[Tensor, "c *s b"]:
    """f of assignments along a first axis, in chunks of it that bound the memory; differentiable.

    Args:
        objective: any callable; one with `chunk_assignments` decides how much a call has.
        z: c times the assignments of a call, `(c, *s, b, n, k)`.

    Returns:
        Losses `(c, *s, b)` in nats.

    Raises:
        TypeError, ValueError: as `evaluate`.

    Example:
        >>> evaluate_many(lambda z: z[..., 1].sum(-1), torch.eye(2).view(2, 1, 1, 2))
        tensor([[0.],
                [1.]])
    """
    _check(objective, z)
    if z.ndim < 4 or not len(z):
        raise ValueError(f"z must be (c, …, batch, variables, values), c ≥ 1, got {tuple(z.shape)}")
    parts = z.split(_chunk(objective, z[0]))
    with looked_at(objective):
        return torch.cat([evaluate(objective, part) for part in parts])


def _chunk(objective: Objective, z: Tensor) -> int:
    """How many assignments like z `(*s, b, n, k)` one call has."""
    most = getattr(objective, "chunk_assignments", None)
    if most is None:
        chunk = CHUNK_ELEMENTS // max(1, z.numel())
        if z.device.type == "cpu" and not torch.is_grad_enabled():
            chunk = min(chunk, CHUNK_ASSIGNMENTS_CPU // max(1, z.shape[:-2].numel()))
        return max(1, chunk)
    return max(1, most // max(1, math.prod(z.shape[:-2])))


@torch.no_grad()
def single_change_losses(
    objective: Objective,
    z: Float[Tensor, "*s b n k"],
    *,
    losses: Float[Tensor, "*s b"] | None = None,
) -> Float[Tensor, "*s b n k"]:
    r"""f̃_i(j) = f(z_1, …, z_i = j, …, z_n): the loss after every change of a single variable.

    Only n(k−1)+1 of the n·k assignments are distinct; only those are evaluated, in chunks.
    For n = 1 the table holds the loss of every code. No gradient.

    Args:
        objective: any callable, or one with `single_change_losses(z)`.
        z: one-hot `(*s, b, n, k)`.
        losses: f(z) where it is known, else it is evaluated.

    Returns:
        Losses `(*s, b, n, k)` in nats; entries with z_i = j all hold f(z).

    Example:
        >>> cost = torch.tensor([[1.0, 2.0], [10.0, 20.0]])
        >>> z = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
        >>> single_change_losses(lambda z: (z * cost).sum((-2, -1)), z)
        tensor([[[11., 12.],
                 [11., 21.]]])

    Reference: Lorberbom et al. 2019, section 4.1 (the low-dimensional approximation f̃).
    """
    _check(objective, z)
    fast = getattr(objective, "single_change_losses", None)
    if fast is not None:
        axes = "samples, problems, variables, values"
        return real(tabled("single_change_losses", fast(z.clone()), tuple(z.shape), axes), z.dtype)
    num_variables, num_values = z.shape[-2:]
    base = evaluate(objective, z) if losses is None else losses  # (*s, b)
    columns = torch.arange(num_variables * (num_values - 1), device=z.device)
    variables, shifts = columns // (num_values - 1), columns % (num_values - 1) + 1
    held, parts = z.argmax(-1), []
    with looked_at(objective):
        for some in torch.stack([variables, shifts]).split(_chunk(objective, z), 1):
            values = (held[..., some[0]] + some[1]) % num_values  # (*s, b, c)
            part = changed(z, some[0].expand_as(values), values)
            parts.append(evaluate(objective, part.movedim(-3, 0)))
    table = torch.cat(parts).unflatten(0, (num_variables, num_values - 1))  # (n, k-1, *s, b)
    return align_changes(base, table.movedim((0, 1), (-2, -1)), z)


class _Tabled(Protocol):
    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int
    ) -> Float[Tensor, "b K"]: ...


def changes_of_one(objective: _Tabled, z: Float[Tensor, "*s b 1 k"]) -> Float[Tensor, "*s b 1 k"]:
    """f̃ of a single variable: f of all its values, whatever z has.

    Raises:
        ValueError: `z` is for another number of problems.
    """
    num_values = z.shape[-1]
    table = objective.state_losses(1, num_values, max_states=num_values)  # (b, k)
    if z.ndim < 3 or z.shape[-3] != len(table):
        raise ValueError(
            f"z must be for the {len(table)} images of the objective, got shape {tuple(z.shape)} "
            "of (batch, variables, values)"
        )
    return table.unsqueeze(-2).expand(z.shape)


def changed(
    z: Float[Tensor, "*s n k"], variables: Int64[Tensor, "*s c"], values: Int64[Tensor, "*s c"]
) -> Float[Tensor, "*s c n k"]:
    """Assignments in each of which one variable of z has another value.

    Example:
        >>> z = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
        >>> changed(z, torch.tensor([[1]]), torch.tensor([[1]]))
        tensor([[[[1., 0.],
                  [0., 1.]]]])
    """
    check_real("z", z)
    for name, index in (("variables", variables), ("values", values)):
        if check_integers(name, index).shape[:-1] != z.shape[:-2]:
            raise ValueError(
                f"{name} must be (…, changes) for z (…, variables, values) = {tuple(z.shape)}, "
                f"got {tuple(index.shape)}"
            )
    k, count = z.shape[-1], values.shape[-1]
    # The new tensor depends on all three, so that torch.vmap may write to it.
    copies = z.flatten(-2).unsqueeze(-2) + torch.zeros_like(values, dtype=z.dtype).unsqueeze(-1)
    start = variables * k
    old = start + z.argmax(-1).gather(-1, variables)
    copies.scatter_(-1, old.unsqueeze(-1), 0.0).scatter_(-1, (start + values).unsqueeze(-1), 1.0)
    return copies.view(*z.shape[:-2], count, *z.shape[-2:])


def align_changes(
    base: Float[Tensor, "*s b"],
    changed: Float[Tensor, "*s b n k_minus_1"],
    z: Float[Tensor, "*s b n k"],
) -> Float[Tensor, "*s b n k"]:
    """Losses of the changes z_i → z_i + r (r = 1 … k−1, modulo k), moved to column z_i + r."""
    num_values = z.shape[-1]
    if num_values == 2:  # the other value is the one that z does not hold
        return torch.where(z > 0, base[..., None, None], changed)
    base = base.unsqueeze(-1).unsqueeze(-1).expand(*z.shape[:-1], 1)
    by_shift = torch.cat([base, changed], -1)  # column r holds the change by r
    shift = torch.arange(num_values, device=z.device) - z.argmax(-1, keepdim=True)
    return by_shift.gather(-1, shift % num_values)
