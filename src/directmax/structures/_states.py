"""All assignments of a structure that has sums."""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import LARGEST, check_count, shown
from directmax.structures._base import Structure
from directmax.structures._listed import Listed

CHUNK = 2**14
"""So many rows of beginnings are summed over at a time."""

_known: WeakKeyDictionary[Structure, Tensor] = WeakKeyDictionary()


def all_states(structure: Structure, max_states: int) -> Float[Tensor, "K ..."] | None:
    """Every z in Z, in no particular order; None where its parameters may take some out.

    Those are parameters of single problems, and potentials of its own, of which some may be −∞.

    Variable after variable: beginnings are kept that some z continues. Sums over Z tell which, with
    weights that reward what was decided by more than all else could make up for.

    Args:
        structure: with sums.
        max_states: the largest K allowed.

    Returns:
        `(K, *shape)`, to be read only: it is kept for the next call.

    Raises:
        TypeError, ValueError: no structure with sums, K > `max_states`, or no z in which every
            variable has a value.

    Example:
        >>> from directmax.structures import Subsets
        >>> all_states(Subsets(3, 2), 100).tolist()
        [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    if not isinstance(structure, Structure) or not structure.tractable:
        raise TypeError(f"structure must be a Structure with sums, got {shown(structure)}")
    max_states = check_count("max_states", max_states, maximum=LARGEST)
    if structure.batch_size is not None or structure.own:
        return None
    if isinstance(structure, Listed):
        _check(structure, len(structure.states), max_states)
        return structure.states
    with torch.inference_mode(False), torch.no_grad():  # what is kept must serve a later training
        one = torch.zeros(1, *structure.shape, dtype=torch.float64)
        count = float(structure.log_count(one))
        _check(structure, math.exp(min(count, 700.0)), max_states)
        if structure not in _known:
            _known[structure] = _enumerated(structure, count)
        return _known[structure]


def _check(structure: Structure, count: float, max_states: int) -> None:
    if count > max_states + 0.5:
        shown = f"{count:,.0f}" if count < 1e15 else f"about 1e{math.floor(math.log10(count))}"
        raise ValueError(
            f"enumeration of {structure!r} needs {shown} states, the limit is {max_states:,}: "
            "choose an estimator that does not enumerate"
        )


def _enumerated(structure: Structure, log_count: float) -> Float[Tensor, "K ..."]:
    reward = 4 * (log_count + 1)
    shape = structure.shape
    signs = torch.zeros(1, *shape, dtype=torch.float64)  # 1 decided for, −1 against
    values = torch.eye(shape[1]) if len(shape) == 2 else torch.tensor([-1.0, 1.0])
    for i in range(shape[0]):
        signs = signs.repeat_interleave(len(values), 0)
        signs[:, i] = values.to(signs).repeat(len(signs) // len(values), *(1,) * (values.ndim - 1))
        wanted = (signs > 0).flatten(1).sum(-1)
        reached = torch.cat(
            [structure.log_partition(rows) for rows in (reward * signs).split(CHUNK)]
        )
        signs = signs[reached > reward * (wanted - 0.5)]
    if not len(signs):
        raise ValueError(
            f"{structure!r} has no z in which all variables have a value, expected one without "
            "lengths; use ScoreFunction"
        )
    return (signs > 0).float()
