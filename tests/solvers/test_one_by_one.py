"""A batch by a function that solves one problem: threads, processes, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from directmax import PerturbedArgmax
from directmax.solvers import OneByOne


def best(potentials: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
    """In a module, for other processes."""
    return potentials.argmax(-1)


def nearly(potentials: NDArray[np.float64], problem: int) -> NDArray[np.float64]:
    return potentials.argmax(-1) - 1e-6


def ends(potentials: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
    os._exit(3)


def fails(potentials: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
    raise ZeroDivisionError


def potentials(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_function_may_write_to_its_potentials(dtype: torch.dtype) -> None:
    def rude(rows: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
        answer = rows.argmax(-1)
        rows[:] = -1e9
        return answer

    given = potentials(2, 3, 4, 5).to(dtype)
    before = given.clone()
    assert torch.equal(OneByOne(rude)(given), before.argmax(-1))
    assert torch.equal(given, before)
    weights = torch.nn.Parameter(potentials(3, 4, 5).to(dtype))
    q = PerturbedArgmax(weights, OneByOne(rude))
    assert torch.equal(q.mode().argmax(-1), weights.argmax(-1))
    assert torch.equal(weights.detach(), potentials(3, 4, 5).to(dtype))


def test_without_a_factory_one_thread_calls() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    callers = set()

    def solve(rows: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
        callers.add(threading.get_ident())
        return rows.argmax(-1)

    try:
        OneByOne(solve)(potentials(2, 20, 2, 3))
    finally:
        torch.set_num_threads(threads)
    assert callers == {threading.get_ident()}


def test_a_solver_of_a_factory_has_one_caller_at_a_time() -> None:
    made, clashes = [], []

    def make() -> Callable[..., NDArray[np.int64]]:
        busy = threading.Lock()
        buffer = np.zeros(3, dtype=np.int64)  # re-used, as a solver's memory is

        def solve(rows: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
            if not busy.acquire(blocking=False):
                clashes.append(problem)
            time.sleep(0.0005)
            buffer[:] = rows.argmax(-1)
            busy.release()
            return buffer

        made.append(solve)
        return solve

    maximise = OneByOne(factory=make, threads=3)
    given = potentials(4, 10, 3, 5)
    for _ in range(2):
        assert torch.equal(maximise(given), given.argmax(-1))
    assert not clashes
    assert 1 <= len(made) <= 3


@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_calls_of_solvers_that_are_built_once(count: int) -> None:
    """Each re-uses its memory, in threads that come and go with the problems."""

    def make() -> Callable[..., NDArray[np.int64]]:
        scores, answer = np.zeros((3, 2)), np.zeros(3, dtype=np.int64)

        def solve(rows: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
            np.copyto(scores, rows)
            np.greater(scores[:, 1], scores[:, 0], out=answer, casting="unsafe")
            return answer

        return solve

    maximise, given = OneByOne(factory=make, threads=3), potentials(10, count // 100, 3, 2)
    for _ in range(10):
        assert torch.equal(maximise(given), given.argmax(-1))


@pytest.mark.parametrize("settings", [{"solve": nearly}, {"solve": nearly, "processes": 1}])
def test_answers_may_be_floats_that_are_nearly_whole(settings: dict[str, Any]) -> None:
    """As those of an integer programme."""
    given = potentials(2, 5, 3, 4)
    assert torch.equal(OneByOne(**settings)(given), given.argmax(-1))


def test_a_failure_says_for_which_problem() -> None:
    def solve(rows: NDArray[np.float64], problem: int) -> NDArray[np.int64]:
        if problem == 2:
            raise ArithmeticError("infeasible")
        return rows.argmax(-1)

    for maximise in (OneByOne(solve), OneByOne(factory=lambda: solve, threads=2)):
        with pytest.raises(ArithmeticError, match="infeasible") as error:
            maximise(potentials(1, 4, 3, 2))
        assert error.value.__notes__ == ["solve failed for problem 2"]


@pytest.mark.filterwarnings("error")
def test_answers_may_be_tensors() -> None:
    given = potentials(2, 5, 3, 4)
    maximise = OneByOne(lambda rows, problem: torch.from_numpy(rows).argmax(-1))
    assert torch.equal(maximise(given), given.argmax(-1))


def test_processes() -> None:
    given = potentials(2, 5, 3, 4)
    assert torch.equal(OneByOne(best, processes=1)(given), given.argmax(-1))
    with pytest.raises(RuntimeError, match=r"^a process of OneByOne ended while it solved$"):
        OneByOne(ends, processes=1)(given)
    with pytest.raises(ZeroDivisionError) as caught:
        OneByOne(fails, processes=1)(given)
    assert caught.value.__notes__ == ["solve failed for problem 0"]


def test_processes_of_a_script_that_cannot_be_imported() -> None:
    script = """
import torch
from directmax.solvers import OneByOne


def solve(potentials, problem):
    return potentials.argmax(-1)


OneByOne(solve, processes=1)(torch.zeros(1, 1, 2, 2))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.stderr.splitlines()[-1].endswith(
        "or did not find solve: import it from a file of its own, or, in a script, keep what uses "
        "it under if __name__ == '__main__'"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "takes a function solve, or a factory"),
        ({"solve": best, "factory": lambda: best}, "takes a function solve, or a factory"),
        ({"factory": 3}, "factory must be callable, got int"),
        ({"solve": best, "threads": 2}, "threads need a factory"),
        ({"solve": best, "threads": 0}, "threads must be an integer of at least 1"),
        ({"factory": lambda: best, "processes": 2}, "processes are for"),
        ({"solve": best, "processes": -1}, "processes must be an integer of at least 0"),
        ({"solve": lambda rows, problem: rows, "processes": 1}, "must be a function of a module"),
        ({"solve": partial(best, lock=threading.Lock()), "processes": 1}, "or leave processes out"),
    ],
)
def test_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        OneByOne(**settings)  # type: ignore[arg-type]
