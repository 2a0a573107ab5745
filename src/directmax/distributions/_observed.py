"""Labels of some variables: as one-hot rows, and what they leave of coupled potentials."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._masks import chosen
from directmax._validation import check_dense, check_has_numbers, check_shape
from directmax.solvers import pair_products


def observed_one_hot(
    labels: Tensor,
    shape: tuple[int, ...],
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    validate: bool = True,
) -> Float[Tensor, "b n k"]:
    """Labels as one-hot rows; the row of an unobserved variable is zero.

    Args:
        labels: indices `(b, n)`, or `(b,)` for one variable, −1 for unobserved; or one-hot
            `(b, n, k)` with zero rows for unobserved. For binary variables the indices may also be
            bool, or floating-point.
        shape: (b, n, k).
        dtype: of the result; torch's default one when None.
        device: of the result.
        validate: also look at the values. Reads them (on a GPU, a synchronisation).

    Raises:
        TypeError: `labels` is no tensor, or neither integer nor floating point.
        ValueError: another shape, a label out of range, a row that is neither one-hot nor zero.

    Example:
        >>> observed_one_hot(torch.tensor([[1, -1]]), (1, 2, 3))
        tensor([[[0., 1., 0.],
                 [0., 0., 0.]]])
    """
    _check(labels, device)
    batch, n, k = shape = check_shape("shape", shape, ("batch", "variables", "values"), minimum=0)
    if k == 2 and labels.ndim < 3:
        labels = _binary_indices(labels, validate)
    if labels.is_floating_point():
        if labels.shape != shape:
            raise ValueError(
                f"floating-point labels must be one-hot of shape {shape}, got "
                f"{tuple(labels.shape)}; indices must be integers"
            )
        rows = labels.to(device, dtype or torch.get_default_dtype())
        if validate and not bool((((rows == 0) | (rows == 1)).all(-1) & (rows.sum(-1) <= 1)).all()):
            raise ValueError("each row of labels must be one-hot, or zero where unobserved")
        return rows
    if labels.dtype == torch.bool or labels.is_complex():
        raise TypeError(f"labels must be integers or one-hot floats, got {labels.dtype}")
    if n == 1 and labels.ndim == 1:
        labels = labels.unsqueeze(-1)
    if labels.shape != (batch, n):
        raise ValueError(
            f"integer labels must be indices of shape (batch, variables) = {(batch, n)}, got "
            f"{tuple(labels.shape)}; one-hot labels must be floating point"
        )
    labels = labels.to(device, torch.int64)
    if validate and labels.numel() and not bool(((labels >= -1) & (labels < k)).all()):
        raise ValueError(
            f"labels must be from 0 to {k - 1}, or −1 where unobserved, got values from "
            f"{int(labels.min())} to {int(labels.max())}"
        )
    values = torch.arange(k, device=device)
    return (labels.unsqueeze(-1) == values).to(dtype or torch.get_default_dtype())


def _check(labels: object, device: torch.device | str | None) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch.Tensor, got {type(labels).__name__}")
    check_dense("labels", labels)
    if torch.device(device or "cpu").type != "meta":
        check_has_numbers("labels", labels)


def _binary_indices(labels: Tensor, validate: bool) -> Tensor:
    """Labels of binary variables that are bool or floating-point, as integers."""
    if labels.is_floating_point():
        if validate and not bool((labels == labels.round()).all()):
            raise ValueError("labels of binary variables must be 0 or 1, or −1 where unobserved")
        return labels.to(torch.int64)
    return labels.to(torch.int64) if labels.dtype == torch.bool else labels


class Remaining(NamedTuple):
    """h with the observed variables at their labels, as a function of the others.

    The observed variables are still there, but free: their potentials are zero. So the size is the
    same for every problem, and each contributes log 2 to a log-partition.

    Attributes:
        unary: `(b, n, 2)`.
        pairwise: `(b, P)`.
        constant: h of the observed variables among themselves, `(b,)`.
        observed: which they are, `(b, n)`.
    """

    unary: Float[Tensor, "b n 2"]
    pairwise: Float[Tensor, "b P"]
    constant: Float[Tensor, " b"]
    observed: Bool[Tensor, "b n"]


def remaining_potentials(
    unary: Float[Tensor, "*s b n 2"],
    pairwise: Float[Tensor, "b P"],
    labels: Float[Tensor, "b n 2"],
) -> Remaining:
    r"""Potentials of the unobserved variables given the observed ones, differentiable.

    Σ_{i<j} h_ij z_i z_j: a pair of two unobserved variables stays; of one observed with value v,
    h_ij v moves into the other's h_j(1); of two observed it is a constant.

    Args:
        unary: h_i (with or without noise).
        pairwise: h_ij.
        labels: one-hot, zero rows where unobserved.
    """
    n = labels.shape[-2]
    observed = labels.sum(-1) > 0  # (b, n)
    value = labels[..., 1]  # 1 where observed to be on
    first, second = torch.triu_indices(n, n, 1, device=pairwise.device)
    free = ~observed
    coupled = pairwise * (free[:, first] & free[:, second])
    # h_ij v_i into j, and h_ij v_j into i.
    shift = pairwise.new_zeros(len(pairwise), n)
    shift = shift.index_add(1, second, pairwise * value[:, first])
    shift = shift.index_add(1, first, pairwise * value[:, second])
    shifts = torch.stack([torch.zeros_like(shift), shift], -1)
    rest = (unary + shifts).masked_fill(observed.unsqueeze(-1), 0.0)
    constant = chosen(unary, labels) + (pairwise * pair_products(value)).sum(-1)
    return Remaining(rest, coupled, constant, observed)
