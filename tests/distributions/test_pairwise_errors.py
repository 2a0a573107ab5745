"""What PairwiseBinary refuses, and how it says so."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from directmax import PairwiseBinary
from directmax.solvers import Exhaustive


def nothing(*shape: int) -> Tensor:
    return torch.zeros(shape)


@pytest.mark.parametrize(
    ("unary", "pairwise", "error", "message"),
    [
        ([[[0.0, 1.0]]], nothing(1, 0), TypeError, "unary must be a torch.Tensor, got list"),
        (nothing(1, 1, 2), [[]], TypeError, "pairwise must be a torch.Tensor, got list"),
        (nothing(1, 2, 2).long(), nothing(1, 1), TypeError, "unary must be floating point"),
        (nothing(1, 2, 2), nothing(1, 1).long(), TypeError, "pairwise must be floating point"),
        (nothing(2, 1, 2, 2), nothing(1, 1), ValueError, "unary must have shape"),
        (nothing(1, 2, 3), nothing(1, 1), ValueError, r"unary must end in \(batch, variables, 2\)"),
        (nothing(1, 0, 2), nothing(1, 0), ValueError, r"unary must end in \(batch, variables, 2\)"),
        (nothing(1, 3, 2), nothing(1, 2), ValueError, r"pairwise must have shape .* = \(1, 3\)"),
        (nothing(2, 3, 2), nothing(1, 3), ValueError, r"pairwise must have shape .* = \(2, 3\)"),
        (nothing(1, 2, 2), nothing(1, 2, 2), ValueError, "pairwise must have shape"),
        (nothing(1, 2, 2), nothing(1, 1).double(), ValueError, "unary and pairwise must have one"),
        (nothing(1, 1, 2) / 0, nothing(1, 0), ValueError, "unary must be finite.*got nan"),
        (
            nothing(1, 2, 2),
            nothing(1, 1) + math.inf,
            ValueError,
            "pairwise must be finite, got inf",
        ),
    ],
)
def test_wrong_potentials(
    unary: object, pairwise: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}") as caught:
        PairwiseBinary(unary, pairwise)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"solver": "exhausted"}, ValueError, "unknown solver 'exhausted'.*mean 'exhaustive'"),
        ({"solver": None}, TypeError, "solver must be a name or a PairwiseSolver, got NoneType"),
        ({"solver": Exhaustive}, TypeError, "solver must be a name or a PairwiseSolver, got"),
        ({"perturbation": "state"}, ValueError, "unknown perturbation 'state'.*mean 'states'"),
        ({"perturbation": None}, ValueError, "unknown perturbation 'None'"),
    ],
)
def test_wrong_settings(settings: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}") as caught:
        PairwiseBinary(nothing(1, 2, 2), nothing(1, 1), **settings)
    assert "\n" not in str(caught.value)


def test_finiteness_is_checked_only_on_request() -> None:
    PairwiseBinary(nothing(1, 2, 2) / 0, nothing(1, 1), validate=False)
    PairwiseBinary(nothing(1, 2, 2), nothing(1, 1) / 0, validate=False)


@pytest.mark.parametrize("name", ["log_prob", "score"])
def test_assignments_of_another_shape_are_refused(name: str) -> None:
    q = PairwiseBinary(nothing(2, 3, 2), nothing(2, 3))
    with pytest.raises(ValueError, match=r"^z must end in .* = \(2, 3, 2\), got shape \(3, 2\)$"):
        getattr(q, name)(nothing(3, 2))


def test_too_many_variables() -> None:
    q = PairwiseBinary(nothing(1, 25, 2), nothing(1, 300))  # a solver may still sample from it
    for name in ("entropy", "kl_to_uniform", "log_normalizer", "marginals"):
        with pytest.raises(ValueError, match=r"^log-partition.*up to 24; got 25 variables$") as e:
            getattr(q, name)()
        assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match=r"2\^25 = 33,554,432 states, the limit is 65,536"):
        q.log_prob_table()
    with pytest.raises(ValueError, match=r"2\^25 = 33,554,432 states, the limit is 1,048,576"):
        PairwiseBinary(nothing(1, 25, 2), nothing(1, 300), perturbation="states").noise(1)
    with pytest.raises(ValueError, match="'exhaustive' takes at most 24 variables, got 25"):
        PairwiseBinary(nothing(1, 25, 2), nothing(1, 300), solver="exhaustive").sample()
    with pytest.raises(ValueError, match=r"2\^3 = 8 states, the limit is 7"):
        PairwiseBinary(nothing(1, 3, 2), nothing(1, 3)).log_prob_table(max_states=7)


def test_repr() -> None:
    q = PairwiseBinary(nothing(2, 3, 2), nothing(2, 3), solver="max-flow", perturbation="states")
    assert "num_variables=3, solver='max-flow', perturbation='states'" in repr(q)
