"""All assignments of n variables with k values."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import LARGEST, LARGEST_SIZE, check_count

DEFAULT_MAX_STATES = 2**16
"""Enumeration beyond this many states is refused unless the caller raises the limit."""


def number_of_states(num_variables: int, num_values: int, max_states: int | None = None) -> int:
    """k^n, refused when it is beyond `max_states`.

    Raises:
        ValueError: k^n > `max_states`; the message holds the count.

    Example:
        >>> number_of_states(15, 2)
        32768
    """
    if max_states is not None:
        check_count("max_states", max_states, maximum=LARGEST)
    check_count("num_variables", num_variables, minimum=0)
    check_count("num_values", num_values, minimum=0)
    digits = int(num_variables) * math.log10(max(1, int(num_values)))
    # A number of that many digits would take the longer to compute the more there are.
    many = max_states is not None and digits > math.log10(max_states) + 1
    count = 0 if many else int(num_values) ** int(num_variables)
    if max_states is not None and (many or count > max_states):
        shown = f"about 1e{math.floor(digits)}"
        if digits < 15:
            shown = f"{int(num_values) ** int(num_variables):,}"
        raise ValueError(
            f"enumeration needs {num_values}^{num_variables} = {shown} states, the limit is "
            f"{max_states:,}: choose an estimator that does not enumerate"
        )
    return count


def enumerate_states(
    num_variables: int,
    num_values: int,
    *,
    max_states: int = DEFAULT_MAX_STATES,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "K n k"]:
    """All K = k^n assignments as one-hot rows, in lexicographic order (the last variable fastest).

    Args:
        num_variables: n ≥ 1.
        num_values: k ≥ 2.
        max_states: the largest K allowed.
        dtype: floating-point type of the result.
        device: where to put it.

    Returns:
        One-hot assignments `(K, n, k)`.

    Raises:
        ValueError: K > `max_states`.

    Example:
        >>> enumerate_states(2, 2).argmax(-1).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    check_count("num_variables", num_variables)
    check_count("num_values", num_values, minimum=2)
    count = number_of_states(num_variables, num_values, max_states)
    return state_block(num_variables, num_values, 0, count, dtype=dtype, device=device)


def state_block(
    num_variables: int,
    num_values: int,
    start: int,
    stop: int,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "c n k"]:
    """States start … stop−1 of `enumerate_states`, without making the others.

    Example:
        >>> state_block(2, 2, 1, 3).argmax(-1).tolist()
        [[0, 1], [1, 0]]
    """
    check_count("num_variables", num_variables)
    check_count("num_values", num_values)
    check_count("start", start, 0, maximum=LARGEST)
    check_count("stop", stop, start, maximum=start + LARGEST_SIZE)
    place = num_values ** torch.arange(num_variables - 1, -1, -1, device=device)  # (n,)
    codes = torch.arange(start, stop, device=device)
    digits = codes.unsqueeze(-1) // place % num_values  # (c, n)
    dtype = dtype or torch.get_default_dtype()
    states = torch.zeros(stop - start, num_variables, num_values, dtype=dtype, device=device)
    return states.scatter_(-1, digits.unsqueeze(-1), 1.0)
