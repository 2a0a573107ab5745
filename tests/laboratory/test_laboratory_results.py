"""What a comparison looks like, and what it refuses."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from comparisons import Noisy, compared, logits_of, smooth
from torch import Tensor

from directmax import (
    Arm,
    Categorical,
    CorrectedDirect,
    Direct,
    Exact,
    GradientComparison,
    GumbelSoftmax,
    compare_gradients,
)
from directmax.laboratory import Measured, _measure
from reference import separable

# Results


@pytest.fixture(scope="module")
def result() -> GradientComparison:
    estimators = {"exact": Exact(), "direct": Direct(1.0), "relaxed": GumbelSoftmax()}
    generator = torch.Generator().manual_seed(0)
    return compare_gradients(
        Categorical(logits_of(3, 1, 4)), smooth(3, 1, 4), estimators, generator=generator
    )


def test_results_survive_json_and_pickle(result: GradientComparison) -> None:
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert GradientComparison.from_dict(json.loads(text)) == result
    assert pickle.loads(pickle.dumps(result)) == result


def test_results_for_people(result: GradientComparison) -> None:
    text = str(result)
    for words in ("exact", "direct", "relaxed", "bias", "variance", "cosine", "∞", "nats"):
        assert words in text
    assert (
        repr(result) == "GradientComparison(3 estimators, 3 problems of 4 entries, reference exact)"
    )
    assert [row.label for row in result] == ["exact", "direct", "relaxed"]
    assert len(result) == 3
    with pytest.raises(KeyError):
        result["nothing"]


def test_narrow_tables_leave_columns_out(result: GradientComparison) -> None:
    for width in (60, 200):
        lines = result.table(width=width).splitlines()
        assert max(map(len, lines)) <= width
        assert all(any(line.startswith(row.label) for line in lines) for row in result)
        for title, least in (("bias", 60), ("variance", 60), ("zero", 60), ("S/N", 200)):
            assert (title in lines[1]) == (width >= least), (width, title)


@pytest.mark.parametrize(
    ("measured", "text"),
    [
        (Measured(0.123456, 0.12, 0.127), "0.123 ±0.004"),
        (Measured(0.01, 0.0, 0.5), "≤ 0.5"),
        (Measured(1234.5, 1200.0, 1300.0), "1234 ±50"),
        (Measured(1.5e-7, 1.4e-7, 1.6e-7), "1.50e-7 ±1e-8"),
        (Measured(math.inf, math.inf, math.inf), "∞"),
        (Measured(0.0, 0.0, 0.0), "0"),
    ],
)
def test_numbers_for_people(measured: Measured, text: str) -> None:
    assert str(measured) == text


def test_progress() -> None:
    told: list[tuple[str, float]] = []
    q, f = Categorical(logits_of(3, 1, 4)), smooth(3, 1, 4)
    estimators = {"one": Direct(), "two": GumbelSoftmax()}
    compare_gradients(q, f, estimators, num_draws=50, progress=lambda *each: told.append(each))
    assert list(dict.fromkeys(label for label, _ in told)) == ["one", "two"]
    shares = [share for label, share in told if label == "one"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


# Refusals


def infinite_at_the_last(z: Tensor) -> Tensor:
    return torch.where(z[..., -1] > 0, torch.inf, 0.0).sum(-1)


def test_infinite_losses_where_q_has_no_probability() -> None:
    masked = torch.tensor([[[0.0, 1.0, -torch.inf]]], dtype=torch.float64)
    found = compare_gradients(
        Categorical(masked),
        lambda z: infinite_at_the_last(z) + z[..., 1].sum(-1),
        {"exact": Exact(), "direct": Direct(0.01)},
        num_draws=20,
    )
    assert found["exact"].bias.value < 1e-12


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"q": 3}, "q must be a Categorical or a PairwiseBinary"),
        ({"q": lambda: None}, "needs parameters="),
        ({"objective": 3}, "objective must be callable, got int"),
        ({"estimators": [Direct()]}, "estimators must be a mapping"),
        ({"estimators": {}}, "must name at least one estimator"),
        ({"estimators": {"x": 1}}, "got 'x': int"),
        ({"estimators": {1: Direct()}}, "got 1: Direct"),
        ({"num_draws": 3}, "num_draws must be an integer of at least 4, got 3"),
        ({"num_draws": 2.5}, "num_draws must be an integer"),
        ({"max_problems": 0}, "max_problems must be"),
        ({"max_states": 0}, "max_states must be"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
        ({"confidence": "high"}, "confidence must be a finite number"),
        ({"reference": "exct"}, "did you mean 'exact'?"),
        ({"reference": 1}, "reference must be 'exact', 'none' or an estimator"),
        ({"reference": Direct()}, "reference must be an unbiased estimator"),
        ({"parameters": [torch.zeros(1, requires_grad=True)]}, "q must be a function"),
        ({"q": lambda: None, "parameters": []}, "parameters must not be empty"),
        ({"q": lambda: None, "parameters": [torch.zeros(1)]}, "got one that does not"),
        ({"objective": lambda z: z.sum()}, "must return one loss per assignment"),
        ({"estimators": {"arm": Arm()}}, "needs binary variables"),
        (
            {"estimators": {"nan": Noisy(torch.full((2, 1, 3), np.nan), 1.0)}},
            "the objective must be finite wherever q has probability, got nan",
        ),
        ({"objective": infinite_at_the_last}, "must be finite wherever q has probability, got inf"),
        ({"objective": infinite_at_the_last, "reference": "none"}, "must be finite wherever"),
    ],
)
def test_refused(settings: dict[str, Any], words: str) -> None:
    arguments = {
        "q": Categorical(torch.zeros(2, 1, 3, dtype=torch.float64)),
        "objective": separable(torch.ones(3)),
        "estimators": {"direct": Direct()},
    }
    with pytest.raises((TypeError, ValueError), match=r"\w") as error:
        compare_gradients(**{**arguments, **settings})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_few_draws() -> None:
    assert _measure.FEWEST_DRAWS == 4
    row = compared(Categorical(logits_of(2, 1, 3)), smooth(2, 1, 3), Direct(1.0), num_draws=4)["it"]
    assert row.num_draws == 4


def test_draws_that_are_all_alike_are_not_certain() -> None:
    """What corrects `Direct` is no draw: the differences that it corrects have not come yet."""
    cost = torch.tensor([0.0, 0.1, 0.2])
    q = Categorical(torch.zeros(1, 1, 3))
    for estimator, p_value in ((CorrectedDirect(1e-6), None), (Exact(), 1.0)):
        row = compared(q, separable(cost), estimator, num_draws=200, timing=False)["it"]
        assert row.bias_p_value == p_value


def test_draws_that_are_all_zero_are_not_certain() -> None:
    """A difference of two argmaxes that was never seen may be large."""
    cost = torch.tensor([0.0, 0.1, 0.2])
    q, rare = Categorical(torch.zeros(1, 1, 3)), Direct(1e-6)
    row = compared(q, separable(cost), rare, num_draws=200, timing=False)["it"]
    assert row.sparsity.value == 1.0
    assert row.bias_p_value is None
    assert row.bias is not None
    assert row.relative_bias is not None
    assert row.bias.low == 0.0 < row.bias.high
    assert str(row.bias).startswith("≤")
