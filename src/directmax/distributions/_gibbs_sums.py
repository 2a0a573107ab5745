"""Sums over the 2^n states of a pairwise binary model, as products of matrices.

The variables are split into three groups A, B, C of about n/3. As no potential has more than two
variables, h(z) = L_AB(a, b) + L_AC(a, c) + L_BC(b, c), and with M = e^L entry by entry

    Σ_c e^{h(a, b, c)} = M_AB (M_AC M_BCᵀ),

the first product again entry by entry: a state costs one multiplication and one addition in a
product of matrices, and an exponential is taken some 3·2^{2n/3} times, not 2^n.

Reference: Williams 2005, "A new algorithm for optimal 2-constraint satisfaction and its
implications", where the three groups serve to find a maximum.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from directmax._kernels import over_rows
from directmax._precision import no_autocast, sum_dtype
from directmax._transforms import refuse_wrapped

HALF_RANGE = {torch.float32: 52, torch.float64: 490}
"""Factors are from 2^{−this} to 2^{this}, or 0: products of two, summed, are in the type's range
and no denormal numbers, which a CPU is slow with."""

CHUNK_ELEMENTS = 2**24
"""Scores held at a time where states are summed one by one, entries of a table elsewhere."""

CHUNK_ELEMENTS_CPU = 2**15
"""Entries of a table at a time, of each thread of a CPU: what is in use stays in its cache."""

PAIRS = ((0, 1), (0, 2), (1, 2))

Tables = list[Float[Tensor, "b X Y"]]
"""Of the pairs of groups AB, AC and BC."""
Pairs = list[tuple[Tensor, Tensor]]
"""Matrices to multiply, for each pair of groups."""


class Moments(NamedTuple):
    """Sums over q(z) ∝ e^{h(z)}, h relative to h(0, …, 0); in nats, without gradient."""

    log_normalizer: Float[Tensor, " b"]
    energy: Float[Tensor, " b"]
    """E[h]."""
    first: Float[Tensor, "b n"]
    """E[z_i]."""
    first_covariance: Float[Tensor, "b n"]
    """Cov(h, z_i)."""
    second: Float[Tensor, "b P"]
    """E[z_i z_j]."""
    second_covariance: Float[Tensor, "b P"]
    """Cov(h, z_i z_j)."""


def summed(field: Float[Tensor, "b n"], pairwise: Float[Tensor, "b P"]) -> Moments:
    """All of them; in the given type where its range is enough, else in float64 or state by state.

    Products of float32 matrices are as exact as `torch.set_float32_matmul_precision` says: by
    default wholly.

    Args:
        field: h_i(1) − h_i(0).
        pairwise: h_ij of the pairs i < j.
    """
    batch, n = field.shape
    refuse_wrapped("the entropy of coupled variables", field, pairwise)
    groups = ((n + 2) // 3, (n + 1) // 3, n // 3)
    compiled = field.device.type == "cpu"
    size = CHUNK_ELEMENTS_CPU * torch.get_num_threads() if compiled else CHUNK_ELEMENTS
    rows = max(1, min(batch, size >> (groups[0] + groups[1])))
    problem = field.contiguous(), pairwise.contiguous()
    result = _empty(*problem)
    with no_autocast(field.device):
        if compiled:
            log_total = _compiled(problem, result, groups, rows)
        else:
            chunks = zip(*(part.split(rows) for part in (*problem, *result)), strict=True)
            log_total = torch.cat(
                [_in_torch(chunk[:2], Moments(*chunk[2:]), groups) for chunk in chunks]
            )
        right = _enough(log_total, n)
        if not bool(right.all()):
            again = (~right).nonzero().squeeze(-1)
            better = _otherwise(problem[0][again], problem[1][again], groups)
            for part, other in zip(result, better, strict=True):
                part[again] = other.to(part.dtype)
    return result


def _empty(field: Tensor, pairwise: Tensor) -> Moments:
    scale = field[:, 0]
    like = (scale, scale, field, field, pairwise, pairwise)
    return Moments(*(torch.empty_like(part) for part in like))


def _limits(dtype: torch.dtype) -> tuple[float, float]:
    """What L must be more than, and the largest factor."""
    half = HALF_RANGE[dtype]
    return -2 * half * math.log(2), 2.0**half


def _scale(dtype: torch.dtype) -> float:
    """A product of two factors is up to 2^{2 half}, of three a half more: back to the middle."""
    return 2.0 ** (-3 * HALF_RANGE[dtype] // 2)


def _enough(log_total: Float[Tensor, " b"], num_variables: int) -> Tensor:
    """Whether all states that count have factors above 0.

    A state with a factor of 0 has a weight below 2^{−2 half}, relative to the bound of all: are
    all 2^n of them less than the type's precision of the total?
    """
    precision = -math.log2(torch.finfo(log_total.dtype).eps)
    least = num_variables + precision - 2 * HALF_RANGE[log_total.dtype]
    return log_total > math.log(2) * least


def _otherwise(field: Tensor, pairwise: Tensor, groups: tuple[int, ...]) -> Moments:
    """Where the range of the type is not enough."""
    wide = sum_dtype(field.device)
    if field.dtype != wide:
        return summed(field.to(wide), pairwise.to(wide))
    result = _empty(field, pairwise)
    _by_states(_tables(field, pairwise, groups), result)
    return result


def _work(rows: int, groups: tuple[int, ...], like: Tensor) -> list[Tables]:
    """Memory for four tables of each pair of groups."""
    a, b, c = (2**group for group in groups)
    return [[like.new_empty(rows, x, y) for x, y in ((a, b), (a, c), (b, c))] for _ in range(4)]


def _compiled(
    given: tuple[Tensor, Tensor], out: Moments, groups: tuple[int, ...], rows: int
) -> Float[Tensor, " b"]:
    """Fills `out`; the logarithm of all states' weights relative to the bound, `(b,)`.

    So many rows at a time. What does not change from some to the next is made once: else it took a
    tenth of the time.
    """
    from directmax.distributions._gibbs_kernel import centre, features, prepare

    batch = len(given[0])
    work = _work(rows, groups, given[0])
    log, factor, other, mix = (tuple(table.numpy() for table in kind) for kind in work)
    field, pairwise = (part.numpy() for part in given)
    bound, mean, total = (torch.empty_like(out.energy) for _ in range(3))
    to_bound, to_total, to_mean = bound.numpy(), total.numpy(), mean.numpy()
    parts = tuple(part.numpy() for part in out[2:])
    lowest, top = (field.dtype.type(each) for each in _limits(given[0].dtype))
    each = functools.partial(over_rows, minimum=max(1, 2**15 >> (groups[0] + groups[1])))

    first, count = 0, rows  # of the problems whose turn it is

    def fill(i: int, j: int) -> None:
        prepare(field, pairwise, groups, log, factor, to_bound, lowest, top, first, i, j)

    def middle(i: int, j: int) -> None:
        centre(factor, other, log, to_total, to_mean, first, i, j)

    def write(i: int, j: int) -> None:
        features(factor, other, log, mix, to_total, groups, *parts, first, i, j)

    products = _of_work(work)
    for first in range(0, batch, rows):
        if first + rows > batch:
            count = batch - first
            products = _of_work([[table[:count] for table in kind] for kind in work])
        each(fill, count)
        _products(*products[0])
        each(middle, count)
        _products(*products[1])
        _products(*products[2], add=True)
        each(write, count)
    log_total = total.mul_(_scale(total.dtype)).log_()
    torch.add(bound, log_total, out=out.log_normalizer)
    torch.add(bound, mean, out=out.energy)
    return log_total


def _of_work(work: list[Tables]) -> list[tuple[Pairs, Tables]]:
    """The products that `_compiled` takes, and where to."""
    logs, factors, others, mixed = work
    return [
        (_pairs(factors, factors), others),
        (_pairs(logs, factors), mixed),
        (_pairs(factors, logs), mixed),
    ]


def _pairs(one: Tables, two: Tables) -> Pairs:
    """One table of each, so that their product is a sum over the third group."""
    return [(one[1], two[2].mT), (one[0], two[2]), (one[0].mT, two[1])]


def _products(pairs: Pairs, out: Tables, *, add: bool = False) -> None:
    """The products, times `_scale`."""
    beta, alpha = float(add), _scale(out[0].dtype)
    for table, (left, right) in zip(out, pairs, strict=True):
        torch.baddbmm(table, left, right, beta=beta, alpha=alpha, out=table)


def _in_torch(
    given: tuple[Tensor, Tensor], out: Moments, groups: tuple[int, ...]
) -> Float[Tensor, " b"]:
    """What `_compiled` does, on any device."""
    lowest, top = _limits(given[0].dtype)
    logs = _tables(*given, groups)
    bound = _at_most_zero(logs)
    factors = [F.threshold(log, lowest, -torch.inf).exp_().mul_(top) for log in logs]
    others, mixed = ([torch.empty_like(log) for log in logs] for _ in range(2))
    _products(_pairs(factors, factors), others)
    total = (factors[0] * others[0]).sum((-2, -1))
    each = 1 / total[:, None, None]
    probability = [
        (factor * other).mul_(each) for factor, other in zip(factors, others, strict=True)
    ]
    energy = bound.clone()
    for log, probs in zip(logs, probability, strict=True):
        mean = (probs * log).sum((-2, -1))
        energy += mean
        log -= mean[:, None, None]  # else digits are lost to a difference of large numbers
    products = [factor * log for factor, log in zip(factors, logs, strict=True)]
    _products(_pairs(products, factors), mixed)
    _products(_pairs(factors, products), mixed, add=True)
    for i, table in enumerate(mixed):
        table.mul_(factors[i]).addcmul_(products[i], others[i]).mul_(each)
    log_total = (total * _scale(total.dtype)).log()
    _write(out, bound + log_total, energy, probability, mixed)
    return log_total


def _tables(field: Tensor, pairwise: Tensor, groups: tuple[int, ...]) -> Tables:
    """L_AB, L_AC and L_BC; what is of A alone is in both its tables, half and half."""
    n = field.shape[1]
    matrix = field.new_zeros(len(field), n, n)
    first, second = torch.triu_indices(n, n, 1, device=field.device)
    matrix[:, first, second] = pairwise
    states = [_states(group, field) for group in groups]
    fields = field.split(groups, -1)
    blocks = [row.split(groups, -1) for row in matrix.split(groups, -2)]
    alone = [  # the scores of a group's variables among themselves, (b, X)
        their @ z.T + ((z @ blocks[i][i]) * z).sum(-1)
        for i, (z, their) in enumerate(zip(states, fields, strict=True))
    ]
    ab, ac, bc = (states[i] @ blocks[i][j] @ states[j].T for i, j in PAIRS)
    ab += 0.5 * alone[0][:, :, None]
    ac += 0.5 * alone[0][:, :, None]
    bc += alone[1][:, :, None] + alone[2][:, None, :]
    return [ab, ac, bc]


def _states(group: int, like: Tensor) -> Float[Tensor, "X g"]:
    """The states of a group of variables, the first variable the highest digit."""
    place = torch.arange(group - 1, -1, -1, device=like.device)
    codes = torch.arange(2**group, device=like.device)
    return (codes[:, None] >> place & 1).to(like.dtype)


def _at_most_zero(logs: Tables) -> Float[Tensor, " b"]:
    """Move what is of B or C alone to BC, until every table has largest entry 0; the rest.

    The rest is at least the largest score, and more only as far as B and C disagree about A.
    """
    ab, ac, bc = logs
    of_b, of_c = ab.amax(-2), ac.amax(-2)
    ab -= of_b[:, None, :]
    ac -= of_c[:, None, :]
    bc += of_b[:, :, None] + of_c[:, None, :]
    bound = bc.amax((-2, -1))
    bc -= bound[:, None, None]
    return bound


def _by_states(logs: Tables, out: Moments) -> None:
    """An exponential for each state: right whatever the potentials."""
    bound = _at_most_zero(logs)
    ab, ac, bc = logs
    rows = max(1, CHUNK_ELEMENTS // max(1, len(ab) * bc[0].numel()))
    parts = [slice(start, start + rows) for start in range(0, ab.shape[1], rows)]

    def scores(some: slice) -> Tensor:
        return ab[:, some, :, None] + ac[:, some, None, :] + bc[:, None]  # (b, a, B, C)

    largest = torch.stack([scores(some).amax((1, 2, 3)) for some in parts]).amax(0)
    weights, weighted = ([torch.zeros_like(log) for log in logs] for _ in range(2))
    for some in parts:
        score = scores(some) - largest[:, None, None, None]
        weight = score.exp()
        for tables, what in ((weights, weight), (weighted, weight * score)):
            tables[0][:, some] += what.sum(3)
            tables[1][:, some] += what.sum(2)
            tables[2] += what.sum(1)
    total = weights[0].sum((-2, -1))
    mean, each = weighted[0].sum((-2, -1)) / total, total[:, None, None]
    probability = [table / each for table in weights]
    deviation = [
        table / each - mean[:, None, None] * probs
        for table, probs in zip(weighted, probability, strict=True)
    ]
    relative = bound + largest
    _write(out, relative + total.log(), relative + mean, probability, deviation)


def _write(
    out: Moments, log_normalizer: Tensor, energy: Tensor, probability: Tables, deviation: Tables
) -> None:
    """From pairs of states of groups to variables and their pairs."""
    out.log_normalizer.copy_(log_normalizer)
    out.energy.copy_(energy)
    n = out.first.shape[1]
    upper = torch.triu_indices(n, n, 1, device=energy.device).unbind()
    for tables, first, second in (
        (probability, out.first, out.second),
        (deviation, out.first_covariance, out.second_covariance),
    ):
        sizes = tables[0].shape[-2], *tables[2].shape[-2:]
        groups = [size.bit_length() - 1 for size in sizes]
        states = [_states(group, first) for group in groups]
        matrix = first.new_zeros(len(first), n, n)
        blocks = [row.split(groups, -1) for row in matrix.split(groups, -2)]
        for (i, j), table in zip(PAIRS, tables, strict=True):
            blocks[i][j].copy_(states[i].T @ (table @ states[j]))
        alone = tables[0].sum(-1), tables[0].sum(-2), tables[1].sum(-2)
        for i, (z, sums) in enumerate(zip(states, alone, strict=True)):
            blocks[i][i].copy_((z.T * sums[:, None, :]) @ z)
        first.copy_(matrix.diagonal(dim1=-2, dim2=-1))
        second.copy_(matrix[:, upper[0], upper[1]])
