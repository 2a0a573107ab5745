"""A batch of problems by a function that solves one."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from directmax._validation import check_callable, check_count, shown
from directmax.solvers._pairwise import check_sampled

Solve = Callable[[NDArray[np.float64], int], ArrayLike]
WHOLE = 1e-4
"""By how much a float may be off a whole number: more than the tolerance of any such solver."""


class OneByOne:
    """The `maximise` of a `PerturbedArgmax`, from a function that solves a single problem.

    `OneByOne(solve)` calls it for one problem after the other, in the thread of the caller. Faster:

    - `OneByOne(factory=make, threads=4)` calls `make()` once a thread, for a `solve` of the
      thread's own: for solvers that are built once and re-used, none of which two threads may touch
      (HiGHS, OR-Tools, Gurobi), and that release Python's lock while they search.
    - `OneByOne(solve, processes=4)` for functions in pure Python, which threads would not speed up.
      `solve` must be one that pickle finds by its name: of a module, no lambda.

    Threads and processes are started at the first call, and end with the object.

    Args:
        solve: from the potentials of one problem, float64 `(n, k)`, its own to write to, and the
            number of the problem in the batch (for a graph of its own), to the best values
            `(n,)`: integers or bool, or floats within 1e-4 of whole numbers, as those of an integer
            programme.
        factory: returns such a function; in place of `solve`.
        threads: how many there are; more than 1 with a `factory` only.
        processes: how many other processes solve; 0 for none.

    Raises:
        TypeError, ValueError: neither or both of `solve` and `factory`, or no functions, several
            threads without a factory, threads and processes; at the call, an answer that is no
            array of n whole numbers.
        RuntimeError: at the call, a process ended.

    Example:
        >>> import torch
        >>> from scipy.optimize import linear_sum_assignment
        >>> def matching(potentials, problem):  # person i does the task z_i, each task once
        ...     return linear_sum_assignment(potentials, maximize=True)[1]
        >>> maximise = OneByOne(matching)
        >>> maximise(torch.tensor([[[[3.0, 2.0], [2.0, 0.0]]]]))  # one sample, one problem
        tensor([[[1, 0]]])
    """

    def __init__(
        self,
        solve: Solve | None = None,
        *,
        factory: Callable[[], Solve] | None = None,
        threads: int = 1,
        processes: int = 0,
    ) -> None:
        if (solve is None) == (factory is None):
            raise TypeError("OneByOne takes a function solve, or a factory of such functions")
        for name, value in (("solve", solve), ("factory", factory)):
            if value is not None:
                check_callable(name, value)
        self.threads = check_count("threads", threads)
        self.processes = check_count("processes", processes, minimum=0)
        if threads > 1 and factory is None:
            raise ValueError(
                "threads need a factory, which makes a solver for each: two threads may not share "
                "one; OneByOne(factory=lambda: solve, threads=…) where yours may be shared"
            )
        if processes and (threads > 1 or factory is not None):
            raise ValueError("processes are for OneByOne(solve, processes=…), without a factory")
        if processes:
            _check_sent(solve)
        self.solve, self.factory = solve, factory
        self._solvers: queue.SimpleQueue[Solve] = queue.SimpleQueue()
        self._pool: tuple[int, ThreadPoolExecutor | ProcessPoolExecutor] | None = None

    @torch.no_grad()
    def __call__(self, potentials: Float[Tensor, "s b n k"]) -> Int[Tensor, "s b n"]:
        """The best values of every problem and sample."""
        check_sampled("potentials", potentials, finite=False)
        if 0 in potentials.shape[-2:]:
            raise ValueError(
                "potentials must have at least one variable and value, got shape "
                f"{tuple(potentials.shape)}"
            )
        batch, n = potentials.shape[-3:-1]
        # A copy, and each row of its own memory: solve may write to it.
        rows = potentials.detach().to("cpu", torch.float64, copy=True).numpy()
        rows = np.ascontiguousarray(rows.reshape(-1, *rows.shape[-2:]))
        problems = [index % batch for index in range(len(rows))]
        if self.processes:
            answers = self._in_processes(list(rows), problems)
        elif self.threads > 1:
            answers = list(self._executor().map(self._borrowed, rows, problems))
        else:
            answers = [self._borrowed(*each) for each in zip(rows, problems, strict=True)]
        values = np.empty((len(rows), n), dtype=np.int64)
        for index, answer in enumerate(answers):
            values[index] = _checked(answer, n, problems[index])
        return torch.from_numpy(values).view(potentials.shape[:-1]).to(potentials.device)

    def _borrowed(self, row: NDArray[np.float64], problem: int) -> ArrayLike:
        """By `solve`, or by a solver that no other thread has now."""
        if self.solve is not None:
            return _asked(self.solve, row, problem)
        assert self.factory is not None
        try:
            solver = self._solvers.get_nowait()
        except queue.Empty:
            solver = self.factory()
        try:
            return _asked(solver, row, problem)
        finally:
            self._solvers.put(solver)

    def _in_processes(
        self, rows: list[NDArray[np.float64]], problems: list[int]
    ) -> list[ArrayLike]:
        chunk = max(1, len(rows) // (4 * self.processes))
        assert self.solve is not None
        try:
            asked = partial(_asked, self.solve)
            return list(self._executor().map(asked, rows, problems, chunksize=chunk))
        except BrokenProcessPool:
            self._pool = None
            raise RuntimeError(
                f"a process of OneByOne ended while it solved{_why(self.solve)}"
            ) from None

    def _executor(self) -> ThreadPoolExecutor | ProcessPoolExecutor:
        """The pool of this process: threads and processes do not survive a fork."""
        if self._pool is None or self._pool[0] != os.getpid():
            if self.processes:
                context = get_context("spawn")  # a fork would copy the locks of torch's threads
                pool: ThreadPoolExecutor | ProcessPoolExecutor = ProcessPoolExecutor(
                    self.processes, context
                )
            else:
                pool = ThreadPoolExecutor(self.threads, thread_name_prefix="directmax")
            self._pool = (os.getpid(), pool)
        return self._pool[1]

    def __getstate__(self) -> dict[str, object]:
        kept = {"solve", "factory", "threads", "processes"}
        return {name: value for name, value in vars(self).items() if name in kept}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._solvers, self._pool = queue.SimpleQueue(), None

    def __repr__(self) -> str:
        made = self.solve or self.factory
        return f"OneByOne({getattr(made, '__name__', made)!s})"


def _check_sent(solve: object) -> None:
    """Refuse what no other process can be given; it is written as the pool will, and not read."""
    try:
        ForkingPickler.dumps(solve)
    except Exception as error:  # of any type: that of an attribute of the caller's, too
        raise TypeError(
            "solve must be a function of a module, which other processes find by its name, got "
            f"{shown(solve)} ({error}); define it in a file of its own, or leave processes out"
        ) from None


def _why(solve: object) -> str:
    """What else may have ended a process: it begins by importing what the function is in."""
    if getattr(solve, "__module__", None) != "__main__":
        return ""
    return (
        ", or did not find solve: import it from a file of its own, or, in a script, keep what "
        "uses it under if __name__ == '__main__'"
    )


def _asked(solve: Solve, row: NDArray[np.float64], problem: int) -> ArrayLike:
    """The answer, copied: a solver may re-use its memory. An error says which problem it was."""
    try:
        return np.asarray(solve(row, problem)).copy()
    except Exception as error:
        error.add_note(f"solve failed for problem {problem}")
        raise


def _checked(answer: ArrayLike, n: int, problem: int) -> NDArray[np.int64]:
    """Whole numbers; solvers of integer programmes return floats that are nearly so."""
    values = np.asarray(answer)
    if values.dtype.kind not in "biuf" or values.shape != (n,):
        got = f"{values.dtype} of shape {values.shape}"
        if values.dtype == object and values.shape == ():
            got = type(values.item()).__name__
        raise ValueError(
            f"solve must return {n} integers or bool, the value of every variable, "
            f"got {got} for problem {problem}"
        )
    if values.dtype.kind != "f":
        return values
    whole = values.round()
    wrong = ~(np.abs(values - whole) <= WHOLE)  # also of NaN
    if wrong.any():
        variable = int(wrong.argmax())
        raise ValueError(
            f"solve must return {n} integers or bool, the value of every variable, got "
            f"{values[variable]:g} for variable {variable} of problem {problem}; solve for "
            "integers, not for the relaxation"
        )
    return whole
