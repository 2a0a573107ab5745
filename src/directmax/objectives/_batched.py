"""Objectives that are written for one axis of problems, with the operations of torch.nn."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from directmax._validation import LARGEST, check_callable, check_count, check_dense


def batched(
    function: Callable[..., Tensor], *inputs: Tensor, chunk_assignments: int | None = None
) -> Batched:
    """An objective from a function of `(b, n, k)`: samples are folded into the batch.

    Estimators call an objective with leading sample axes, `(*s, b, n, k)`. Much of torch takes one
    batch axis only: `F.cross_entropy`, convolutions, embeddings, `einsum` with letters for its
    axes. Such a function, `f(z, *inputs)`, is called with z as `(m, n, k)`, m assignments, and with
    its inputs repeated along their first axis to fit: input i goes with problem i.

    Layers that look at other rows of a batch see those of other samples and of candidates, too:
    BatchNorm must be in `.eval()` mode (or be LayerNorm or GroupNorm), and dropout, which would
    make f another function at every call, must be off.

    Args:
        function: from z `(m, n, k)` and inputs `(m, …)` to losses `(m,)`.
        inputs: tensors `(b, …)`: images, targets, whatever belongs to one problem. What does not is
            left to the function.
        chunk_assignments: how many assignments a call has at most, where there is a choice.

    Raises:
        TypeError, ValueError: `function` is no function, inputs are no tensors; at the call, inputs
            for another number of problems.

    Example:
        >>> import torch
        >>> from torch.nn import functional as F
        >>> from directmax import Categorical, Direct
        >>> q, targets = Categorical(torch.zeros(5, 2, 3)), torch.tensor([0, 1, 2, 3, 0])
        >>> classify = torch.nn.Linear(6, 4)
        >>> def loss(z, targets):
        ...     return F.cross_entropy(classify(z.flatten(1)), targets, reduction="none")
        >>> Direct()(q, batched(loss, targets)).loss.shape
        torch.Size([5])
    """
    return Batched(function, inputs, chunk_assignments)


class Batched:
    """What `batched` returns: an `Objective`."""

    def __init__(
        self,
        function: Callable[..., Tensor],
        inputs: tuple[Tensor, ...],
        chunk_assignments: int | None,
    ) -> None:
        check_callable("function", function)
        for each in inputs:
            if not isinstance(each, Tensor) or each.ndim == 0:
                raise TypeError(
                    "inputs must be tensors with one entry for each problem along the first axis, "
                    f"got {type(each).__name__}"
                )
        self.function, self.inputs = function, inputs
        if chunk_assignments is not None:
            self.chunk_assignments = check_count(
                "chunk_assignments", chunk_assignments, maximum=LARGEST
            )

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """f(z)."""
        rows, batch = z.shape[:-2], z.shape[-3]
        inputs = []
        for each in self.inputs:
            if len(each) != batch:
                raise ValueError(
                    f"inputs must have one entry for each of the {batch} problems, got shape "
                    f"{tuple(each.shape)}"
                )
            repeated = each.expand(*rows[:-1], *each.shape).flatten(0, len(rows) - 1)
            # Of one sample they would be the caller's own memory, to which a function may write.
            inputs.append(repeated.clone() if rows.numel() == batch else repeated)
        losses = self.function(z.flatten(0, -3), *inputs)
        if not isinstance(losses, Tensor) or losses.shape != (rows.numel(),):
            got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ValueError(
                f"the function must return one loss per assignment, shape ({rows.numel()},) for z "
                f"of shape {(rows.numel(), *z.shape[-2:])}, got {got}; leave means over the batch "
                "to the caller, as with reduction='none'"
            )
        check_dense("what the function returns", losses)
        return losses.view(rows)
