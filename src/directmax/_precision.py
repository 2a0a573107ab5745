"""Half precision at the edges: what must be computed in float32, also under autocast.

A loss of some hundred nats has a rounding step of one or two nats in bfloat16, and Gumbel noise
rounded to it has ties, so both are always float32 or wider. Sums over a data set are float64, where
the device has it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

NARROW = 2
"""Columns of a map of which torch's strided convolutions in half precision are wrong on some CPUs.

Seen on CPUs with matrix units (AMX), torch 2.13: results that are one column wide, and gradients
there, are memory that nobody wrote, finite or NaN; float32 is right (pytorch/pytorch#169688).
"""

LEAST_GAIN = 1.25
"""How much faster products must be in bfloat16; what is rounded to it is not free either.

Measured: 0.6 on an Intel CPU whose AVX-512 has it but no matrix units, 3 to 5 with these.
"""
SIZE = 384
"""Rows and columns of the matrices that are multiplied to find out: a millisecond a product."""
ROUNDS = 6
"""Products of each type, of which the first makes its kernel."""


def widened(x: Tensor) -> Tensor:
    """`x` in float32 where it is of a half-precision type, else unchanged.

    Example:
        >>> widened(torch.zeros(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def sum_dtype(device: torch.device) -> torch.dtype:
    """What sums over a data set are added up in: float64, or float32 on MPS, which has no other.

    In float32 a mean over some ten thousand images is off by about 1e-7 of it.

    Example:
        >>> sum_dtype(torch.device("cpu")), sum_dtype(torch.device("mps"))
        (torch.float64, torch.float32)
    """
    return torch.float32 if device.type == "mps" else torch.float64


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context without autocast; costs nothing where it is off.

    Example:
        >>> with torch.autocast("cpu", dtype=torch.bfloat16), no_autocast(torch.device("cpu")):
        ...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
        torch.float32
    """
    if device.type != "meta" and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices faster in bfloat16 than in float32.

    CPUs need instructions for it (AVX-512 BF16 or AMX); without, torch emulates it slowly. Those of
    AVX-512 are twice as fast as float32 on some CPUs and slower on others, so it is measured, once
    in a process; a compiled step is in float32 where it was not measured before.

    Example:
        >>> fast_bfloat16(torch.device("cpu")) in (True, False)
        True
    """
    if device.type == "cpu":
        return _fast_on_cpu()
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


@contextmanager
def settled(fast: bool | None) -> Iterator[None]:
    """In here CPUs are as fast in bfloat16 as is said, so that a run goes on as it began.

    Args:
        fast: None where it is to be measured.

    Example:
        >>> with settled(False):
        ...     fast_bfloat16(torch.device("cpu"))
        False
    """
    global _settled
    before, _settled = _settled, fast
    try:
        yield
    finally:
        _settled = before


_settled: bool | None = None
_measured: bool | None = None


def _fast_on_cpu() -> bool:
    global _measured
    if _settled is not None:
        return _settled
    if _measured is None and not torch.compiler.is_compiling():  # which cannot look at a clock
        _measured = cpu_has_bfloat16() and _gain() > LEAST_GAIN
    return bool(_measured)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16, fast or not."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def _gain() -> float:
    """Seconds of a product of float32 matrices over those of one of bfloat16, on the CPU.

    The least of a few, in turn: what else the machine does makes some of them longer.
    """
    with no_autocast(torch.device("cpu")), torch.inference_mode():
        matrix = torch.ones(SIZE, SIZE, dtype=torch.float32, device="cpu")
        matrices = {dtype: matrix.to(dtype) for dtype in (torch.float32, torch.bfloat16)}
        least = dict.fromkeys(matrices, math.inf)
        for _ in range(ROUNDS):
            for dtype, factor in matrices.items():
                start = time.perf_counter()
                torch.mm(factor, factor)
                least[dtype] = min(least[dtype], time.perf_counter() - start)
    return least[torch.float32] / least[torch.bfloat16]
