"""What compiled kernels share. Imports numba, so only the kernels import it.

numba keeps compiled code in `__pycache__` and notices edits of a kernel's own file only: after an
edit here, or of a kernel that others import, delete those files (`*.nbi`, `*.nbc`).

A function whose sums may be reordered and that other kernels call needs `forceinline=True`.
Without, the process that compiles may call the function's own machine code, and one that loads from
the cache the copy within its caller, which adds in another order: results would depend on it.
"""

from __future__ import annotations

import logging
import math

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.event import Event, Listener, register
from numba.extending import intrinsic, overload

FAST = {"reassoc", "nsz", "contract", "arcp", "afn"}
"""Sums may be reordered; overflow must still be seen."""

COMPILING = "compiling kernels for this machine, once; some ten seconds"


class Compiling(Listener):
    """Logs, of kernels of this package and once a process, that one is compiled, not loaded."""

    said = False

    def on_start(self, event: Event) -> None:
        """A compilation begins."""
        module = getattr(event.data["dispatcher"].py_func, "__module__", "")
        if not self.said and module.startswith("directmax."):
            self.said = True
            logging.getLogger("directmax").info(COMPILING)

    def on_end(self, event: Event) -> None:
        """It is done."""


register("numba:compile", Compiling())

# 2^r on [−½, ½] by its Taylor series: errors of 1e-8 (float32) and 2e-17 (float64).
_TERMS_32 = tuple(np.float32(math.log(2) ** i / math.factorial(i)) for i in range(8))
_TERMS_64 = tuple(math.log(2) ** i / math.factorial(i) for i in range(14))


def exp(x: float) -> float:
    """e^x, clamped to the range of the type, written so that the compiler vectorises it."""
    # As it is where numba does not compile (NUMBA_DISABLE_JIT).
    bound = 86.0 if isinstance(x, np.float32) else 700.0
    return type(x)(math.exp(min(max(float(x), -bound), bound)))


@overload(exp, inline="always")
def _exp_compiled(x):  # type: ignore[no-untyped-def]
    if x.bitwidth == 32:
        t0, t1, t2, t3, t4, t5, t6, t7 = _TERMS_32
        log2e, half = np.float32(1.4426950408889634), np.float32(0.5)
        lowest, highest, bias, shift = np.float32(-86.0), np.float32(86.0), 127, 23

        def single(x):  # type: ignore[no-untyped-def]
            t = min(max(x, lowest), highest) * log2e
            nearest = np.floor(t + half)
            whole, r = np.int32(nearest), t - nearest
            p = t0 + r * (t1 + r * (t2 + r * (t3 + r * (t4 + r * (t5 + r * (t6 + r * t7))))))
            return p * np.int32((whole + bias) << shift).view(np.float32)

        return single
    c = _TERMS_64
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = c
    log2e64, lowest64, highest64, bias64, shift64 = 1.4426950408889634, -700.0, 700.0, 1023, 52

    def double(x):  # type: ignore[no-untyped-def]
        t = min(max(x, lowest64), highest64) * log2e64
        nearest = np.floor(t + 0.5)
        whole, r = np.int64(nearest), t - nearest
        p = c7 + r * (c8 + r * (c9 + r * (c10 + r * (c11 + r * (c12 + r * c13)))))
        p = c0 + r * (c1 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * p))))))
        return p * np.int64((whole + bias64) << shift64).view(np.float64)

    return double


def lowest_bit(word: np.uint64) -> np.uint64:
    """The place of the lowest bit that is set, 0 … 63, of a word that is not 0."""
    return np.uint64((int(word) & -int(word)).bit_length() - 1)


@overload(lowest_bit, inline="always")
def _lowest_bit_compiled(word):  # type: ignore[no-untyped-def]
    return lambda word: _trailing_zeros(word)


@intrinsic
def _trailing_zeros(typing_context, word):  # type: ignore[no-untyped-def]
    """One instruction of a processor; of no bits, anything."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], cgutils.true_bit)

    return types.uint64(types.uint64), generate


def widened(number: float) -> float:
    """A float32 from itself, or from the bits of a bfloat16, held as int16."""
    # As it is where numba does not compile (NUMBA_DISABLE_JIT).
    return (
        np.int32(np.int32(number) << 16).view(np.float32)
        if isinstance(number, np.int16)
        else number
    )


@overload(widened, inline="always")
def _widened_compiled(number):  # type: ignore[no-untyped-def]
    if number.bitwidth == 16:
        return lambda number: np.int32(np.int32(number) << 16).view(np.float32)
    return lambda number: number


def narrowed(number: np.float32, like: float) -> float:
    """A float32 as itself, or as the bits of a bfloat16 where `like` is of these (int16).

    Rounded to the nearest, ties to even, as torch does.
    """
    if not isinstance(like, np.int16):
        return float(number)
    bits = int(np.float32(number).view(np.int32))
    return np.array((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.int16).item()


@overload(narrowed, inline="always")
def _narrowed_compiled(number, like):  # type: ignore[no-untyped-def]
    if like.bitwidth == 32:
        return lambda number, like: number

    def rounded(number, like):  # type: ignore[no-untyped-def]
        bits = np.float32(number).view(np.int32)
        return np.int16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)

    return rounded
