"""The command `directmax solvers`: what it lists, that timings and comparisons are right."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from command_line import call, refuse, succeed
from directmax.solvers import SOLVERS, Exhaustive, MaxFlow, PairwiseSolver, Solution, Status
from directmax.tool.commands.solvers import as_table, notes
from directmax.tool.measure import solvers as solver_table
from directmax.tool.measure.solvers import (
    SolverRow,
    SolverTable,
    Timing,
    instances,
    measure_solvers,
)

FAST = ("auto", "exhaustive", "max-flow")


class Scripted(PairwiseSolver):
    """Exhaustive search that may lie; its class attributes say how."""

    name = "scripted"
    status = Status.OPTIMAL
    wrong = False
    boasts = False
    fails = False

    def __call__(self, unary: Tensor, pairwise: Tensor, *, validate: bool = True) -> Solution:
        if self.fails:
            raise RuntimeError("no licence")
        true = Exhaustive()(unary, pairwise)
        value = true.value.flip(-1) if self.wrong else true.value
        objective = true.objective
        if self.wrong:
            bits = value[..., 1]
            first, second = torch.triu_indices(unary.shape[-2], unary.shape[-2], 1)
            objective = (unary * value).sum((-2, -1))
            objective = objective + (bits[..., first] * bits[..., second] * pairwise).sum(-1)
        return Solution(value, objective + (1.0 if self.boasts else 0.0), self.status)

    def _maximise(self, field: Tensor, pairwise: Tensor) -> tuple[Tensor, Status]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only solvers that are fast to load, and short timings."""
    monkeypatch.setattr(solver_table, "CELL_SECONDS", 0.002)
    for name in set(SOLVERS) - set(FAST):
        monkeypatch.delitem(SOLVERS, name)


def script(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> None:
    """Add a solver that behaves so."""
    solver = type("Other", (Scripted,), attributes)
    monkeypatch.setitem(SOLVERS, "scripted", SimpleNamespace(cls=solver))  # type: ignore[arg-type]


def measured(**settings: Any) -> dict[str, tuple[Timing, ...]]:
    """The timings by name, with 6 and 12 variables."""
    table = measure_solvers(**{"variables": 6, "batch_size": 10, "device": "cpu", **settings})
    return {row.name: row.timings for row in table.rows}


# Instances


@pytest.mark.parametrize("supermodular", [False, True])
def test_instances(supermodular: bool, generator: torch.Generator) -> None:
    unary, pairwise = instances(15, 200, supermodular=supermodular, generator=generator)
    assert unary.shape == (200, 15, 2)
    assert pairwise.shape == (200, 105)
    assert bool((pairwise < 0).any()) != supermodular
    on = Exhaustive()(unary, pairwise).value[..., 1].mean()
    assert 0.2 < float(on) < 0.8


def test_the_same_seed_gives_the_same_instances() -> None:
    for supermodular in (False, True):
        one, two = (
            instances(
                4, 3, supermodular=supermodular, generator=torch.Generator().manual_seed(seed)
            )
            for seed in (5, 5)
        )
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])


def test_one_variable() -> None:
    unary, pairwise = instances(1, 2, supermodular=True)
    assert (unary.shape, pairwise.shape) == ((2, 1, 2), (2, 0))


# The list


def test_rows_say_what_the_solvers_are() -> None:
    table = measure_solvers(timing=False, device="cpu")
    assert [row.name for row in table.rows] == list(SOLVERS)
    by_name = {entry["name"]: entry for entry in table.to_dict()["solvers"]}
    assert by_name["exhaustive"]["max_variables"] == Exhaustive.max_variables
    assert all(entry["exact"] and entry["installed"] for entry in by_name.values())
    assert all(entry["timings"] == [] for entry in by_name.values())


def test_names_in_the_constants_are_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert set(solver_table.FEW) <= set(SOLVERS)


# Timings


def test_every_solver_is_timed_and_compared() -> None:
    table = measured()
    for name in ("auto", "exhaustive", "max-flow"):
        timings = table[name]
        assert [timing.variables for timing in timings] == [6, 12]
        for timing in timings:
            assert timing.microseconds is not None
            assert timing.microseconds > 0
            assert timing.status == "optimal"
            assert timing.agrees
            assert timing.note is None
    # max-flow is compared with exhaustive search, auto too; that has no other solver here.
    assert [timing.compared > 0 for timing in table["max-flow"]] == [True, True]
    assert [timing.compared > 0 for timing in table["auto"]] == [True, True]
    assert [timing.compared for timing in table["exhaustive"]] == [0, 0]


def test_a_size_beyond_the_largest_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, max_variables=10)
    last = measured()["scripted"][1]
    assert (last.variables, last.microseconds, last.agrees, last.note) == (12, None, True, None)


def test_few_instances_for_slow_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(solver_table.FEW, "exhaustive", 2)
    monkeypatch.setattr(solver_table, "CELL_SECONDS", 0.05)
    assert [timing.instances for timing in measured()["exhaustive"]] == [2, 2]


def test_progress_names_what_is_timed() -> None:
    said: list[str] = []
    measured(progress=said.append)
    assert any(text.startswith("max-flow, n = 12") for text in said)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [({"wrong": True}, "exhaustive"), ({"boasts": True}, "its assignment has")],
)
def test_a_wrong_answer_is_noted(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, bool], words: str
) -> None:
    script(monkeypatch, **attributes)
    table = measured()
    assert not any(timing.agrees for timing in table["scripted"])
    note = table["scripted"][0].note
    assert note is not None
    assert note.startswith("instance ")
    assert words in note
    assert all(timing.agrees for timing in table["exhaustive"])
    assert all(timing.agrees for timing in table["auto"])


def test_a_worse_answer_at_a_limit_is_no_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, wrong=True, status=Status.TIME_LIMIT)
    for timing in measured()["scripted"]:
        assert (timing.agrees, timing.status) == (True, "time limit")


def test_a_limit_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, status=Status.TIME_LIMIT)
    assert [timing.compared for timing in measured()["exhaustive"]] == [0, 0]


def test_a_failure_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, fails=True)
    timing = measured()["scripted"][0]
    assert (timing.microseconds, timing.note, timing.agrees) == (None, "no licence", True)


def test_a_missing_package_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MaxFlow, "missing", classmethod(lambda cls: "not here: pip install it"))
    assert measured()["max-flow"] == ()
    outcome = succeed("solvers", "--no-timing")
    assert "not here: pip install it" in outcome.out
    assert "no " in next(line for line in outcome.out.splitlines() if "max-flow" in line)


# The command


def test_table() -> None:
    outcome = succeed("solvers", "--variables", 5, "--batch-size", 5, "--device", "cpu")
    for words in (*FAST, "n = 5", "n = 10", "pairs ≥ 0", "24", "compared"):
        assert words in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "…" not in outcome.out


def test_no_timing() -> None:
    out = succeed("solvers", "--no-timing").out
    assert all(name in out for name in FAST)
    assert "n = " not in out


def test_json() -> None:
    out = succeed("solvers", "--json", "--variables", 3, "--seed", 4, "--batch-size", 7).out
    record = json.loads(out)
    assert (record["batch_size"], record["seed"]) == (7, 4)
    by_name = {entry["name"]: entry for entry in record["solvers"]}
    assert list(by_name) == list(FAST)
    assert by_name["max-flow"]["potentials"] == "pairwise ≥ 0"
    assert [timing["variables"] for timing in by_name["exhaustive"]["timings"]] == [3, 6]


def test_a_disagreement_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, wrong=True)
    outcome = call("solvers", "--variables", 3)
    assert outcome.code == 1
    assert "differs" in outcome.out
    assert "scripted: instance 0 of n = 3: found" in outcome.out
    assert call("solvers", "--variables", 3, "--json").code == 1
    assert call("solvers", "--no-timing").code == 0


def shown(timing: Timing) -> SolverTable:
    """A table of one solver."""
    return SolverTable((SolverRow("exhaustive", (timing,)),), "cpu", 1, 2, 0)


def test_a_disagreement_is_red() -> None:
    found = shown(Timing(3, 2, 1.5, "optimal", 2, False, "instance 0: wrong"))
    assert any("red" in str(cell) for cell in as_table(found).columns[-1].cells)
    assert notes(found) == [("exhaustive: instance 0: wrong", True)]


def test_a_limit_is_shown_as_such() -> None:
    found = shown(Timing(3, 1, 1.004e6, "time limit"))
    assert "> 1 s" in [str(cell) for cell in as_table(found).columns[-2].cells]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--variables 0", "--variables must be between 1 and 200, got 0"),
        ("--variables 201", "--variables must be between 1 and 200, got 201"),
        ("--variables many", "--variables must be an integer, got 'many'"),
        ("--batch-size 0", "--batch-size must be between 1 and 10000, got 0"),
        ("--seed -1", "--seed must be at least 0"),
        ("--device tpu", "unknown device 'tpu'"),
        ("--timing maybe", "maybe"),
        ("extra", "extra"),
    ],
)
def test_refused(flags: str, words: str) -> None:
    assert words in refuse("solvers", *flags.split())
