"""`compare_gradients`: against closed forms, with intervals that cover, for a user's own model."""

from __future__ import annotations

import io
import json
import math
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from directmax import (
    Arm,
    Categorical,
    ClampedArgmax,
    CorrectedDirect,
    Decoder,
    Direct,
    DisArm,
    Estimate,
    Estimator,
    Exact,
    GradientComparison,
    GumbelRao,
    GumbelSoftmax,
    ImplicitMLE,
    LocalExpectation,
    PairwiseBinary,
    Rebar,
    Reconstruction,
    ReinMax,
    Relax,
    ScoreFunction,
    StraightThrough,
    Surrogate,
    compare_gradients,
)
from directmax.laboratory import (
    Measured,
    PotentialGradients,
    Reference,
    _measure,
    _timing,
    measure_gradient,
)
from reference import Interaction, direct_expectation, expected_gradient, gibbs_probs, separable
from significance import ALPHA, assert_mean, quantile

SURE = 1 - ALPHA
"""Intervals at the level of the suite: they fail on a right implementation as rarely."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short timings."""
    monkeypatch.setattr(_timing, "SECONDS", 0.0)


def logits_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(*shape: int) -> Interaction:
    return Interaction(*shape).requires_grad_(False)


def compared(
    q: Any, objective: Any, estimator: Estimator, seed: int = 0, **settings: Any
) -> GradientComparison:
    return compare_gradients(
        q, objective, {"it": estimator}, generator=torch.Generator().manual_seed(seed), **settings
    )


def norm(vectors: Tensor) -> float:
    """√mean_b‖v_b‖²."""
    return float(vectors.flatten(1).square().sum(-1).mean().sqrt())


class Noisy(Estimator):
    """The gradient `mean` plus independent normal noise: everything about it is known."""

    unbiased: ClassVar[bool] = False

    def __init__(self, mean: Tensor, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def evaluations(self, num_variables: int, num_values: int) -> int:
        return 0

    def _estimate(self, q: Any, objective: Any, generator: torch.Generator | None) -> Estimate:
        copies = q.batch_size // len(self.mean)
        noise = torch.randn(q.logits.shape, generator=generator, dtype=torch.float64)
        gradient = self.mean.repeat(copies, 1, 1) + self.deviation * noise
        return Estimate(loss=(q.logits * gradient).sum((-2, -1)), sample=None)


# Closed forms


@pytest.mark.parametrize("sizes", [(1, 5), (3, 2)])
def test_exact_has_no_error(sizes: tuple[int, int]) -> None:
    logits, objective = logits_of(4, *sizes), smooth(4, *sizes)
    result = compared(Categorical(logits), objective, Exact())
    row = result["it"]
    assert row.bias is not None
    assert row.bias.value < 1e-12
    assert (row.variance.value, row.signal_to_noise.value) == (0.0, math.inf)
    assert row.bias_p_value == 1.0
    assert row.cosine is not None
    assert row.cosine.value == pytest.approx(1.0)
    assert row.evaluations == sizes[1] ** sizes[0]
    assert result.reference == "exact"
    assert result.norm == pytest.approx(norm(expected_gradient(logits, objective)), rel=1e-12)


def test_local_expectation_of_one_variable_is_exact() -> None:
    row = compared(Categorical(logits_of(4, 1, 5)), smooth(4, 1, 5), LocalExpectation())["it"]
    assert row.variance.value == 0.0
    assert row.bias is not None
    assert row.bias.value < 1e-12
    assert row.bias_p_value == 1.0


def test_rounding_in_float32_is_no_bias() -> None:
    model = smooth(4, 1, 5).float()
    model.input = model.input.float()
    row = compared(Categorical(logits_of(4, 1, 5).float()), model, LocalExpectation())["it"]
    assert row.bias is not None
    assert 0 < row.bias.value < 1e-6
    assert row.bias_p_value == 1.0


@pytest.mark.parametrize("sizes", [(1, 4), (2, 3)])
@pytest.mark.parametrize("two_sided", [False, True])
def test_draws_of_direct_have_the_closed_form(
    sizes: tuple[int, int], two_sided: bool, generator: torch.Generator
) -> None:
    logits, objective = logits_of(2, *sizes), smooth(2, *sizes)
    gradients = PotentialGradients(Categorical(logits), objective)
    draws = gradients.draws(Direct(1.0, two_sided=two_sided), 40_000, generator)
    expected = direct_expectation(logits, objective, 1.0, two_sided=two_sided)
    assert_mean(draws, expected.flatten(1))


@pytest.mark.parametrize("epsilon", [1.0, 3.0])
def test_direct_as_in_closed_form(epsilon: float) -> None:
    """Of one variable also the variance and the zeros: two argmaxes under one noise are equal, at
    j, with probability 1/Σ_i max(p_i/p_j, r_i/r_j)."""
    logits, objective = logits_of(3, 1, 4), smooth(3, 1, 4)
    exact = expected_gradient(logits, objective)
    mean = direct_expectation(logits, objective, epsilon)
    p = logits.softmax(-1)
    losses = torch.stack([objective(each.expand(3, 1, 4)) for each in torch.eye(4).double()], -1)
    r = (logits - epsilon * losses.unsqueeze(1)).softmax(-1)
    ratios = torch.maximum(
        p.unsqueeze(-1) / p.unsqueeze(-2), r.unsqueeze(-1) / r.unsqueeze(-2)
    )  # (b, 1, i, j)
    equal = (1 / ratios.sum(-2)).sum(-1).squeeze(-1)  # (b,)
    square = float((2 * (1 - equal) / epsilon**2).mean())
    truth = {
        "bias": norm(mean - exact),
        "relative_bias": norm(mean - exact) / norm(exact),
        "variance": square - norm(mean) ** 2,
        "mse": square - norm(mean) ** 2 + norm(mean - exact) ** 2,
        "signal_to_noise": norm(mean) ** 2 / (square - norm(mean) ** 2),
        "sparsity": float(equal.mean()),
    }
    row = compared(
        Categorical(logits), objective, Direct(epsilon), num_draws=20_000, confidence=SURE
    )["it"]
    for name, value in truth.items():
        found = getattr(row, name)
        assert found.low <= value <= found.high, name
        assert found.high - found.low < value, f"no power for {name}"
    assert row.bias_p_value == 1e-4


@pytest.mark.parametrize(
    "estimator",
    [
        ScoreFunction(num_samples=4),
        LocalExpectation(),
        CorrectedDirect(1.0),
        Rebar(),
        Arm(num_samples=4),
        DisArm(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_unbiased_estimators_show_no_bias(estimator: Estimator) -> None:
    q = Categorical(logits_of(3, 2, 2))
    row = compared(q, smooth(3, 2, 2), estimator, num_draws=4000, confidence=SURE)["it"]
    assert row.unbiased
    assert row.bias is not None
    assert row.bias.low == 0.0
    assert row.bias_p_value is not None
    assert row.bias_p_value > ALPHA
    assert row.bias.high < 0.3 * norm(expected_gradient(q.logits, smooth(3, 2, 2)))


def test_coupled_variables() -> None:
    unary, pairwise = logits_of(3, 3, 2), logits_of(3, 3, seed=1)
    table = torch.stack([smooth(3, 3, 2)(z.expand(3, 3, 2)) for z in torch.cartesian_prod(
        *[torch.arange(2)] * 3)  .unsqueeze(-1).eq(torch.arange(2)).double()], -1)  # fmt: skip
    leaf = unary.clone().requires_grad_()
    (exact,) = torch.autograd.grad((gibbs_probs(leaf, pairwise) * table).sum(), leaf)
    q = PairwiseBinary(unary, pairwise, perturbation="states")
    result = compared(q, smooth(3, 3, 2), ScoreFunction(), num_draws=4000, confidence=SURE)
    assert result.norm == pytest.approx(norm(exact), rel=1e-10)
    assert result["it"].bias is not None
    assert result["it"].bias.low == 0.0
    coupled = PairwiseBinary(unary, 3 * pairwise)  # perturb-and-MAP samples
    row = compared(coupled, smooth(3, 3, 2), ClampedArgmax(), num_draws=4000)["it"]
    assert row.bias_p_value == 1e-4


# Intervals


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_intervals_cover(shift: float) -> None:
    """Of an estimator with normal noise, whose bias and variance are known."""
    repeats, deviation = 200, 1.0
    exact = logits_of(2, 1, 3)
    q = Categorical(torch.zeros(2, 1, 3, dtype=torch.float64))
    gradients = PotentialGradients(q, separable(torch.zeros(3)))
    reference = Reference(exact.flatten(1), "exact")
    mean = exact + shift
    variance = 3 * deviation**2
    truth = {
        "bias": norm(mean - exact),
        "variance": variance,
        "mse": variance + norm(mean - exact) ** 2,
        "signal_to_noise": norm(mean) ** 2 / variance,
        "sparsity": 0.0,
    }
    covered = dict.fromkeys(truth, 0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(repeats):
        row = measure_gradient(
            gradients,
            "it",
            Noisy(mean, deviation),
            reference,
            num_draws=60,
            timing=False,
            generator=generator,
        )
        for name, value in truth.items():
            found = getattr(row, name)
            covered[name] += found.low <= value <= found.high
    least = 0.95 - quantile() * math.sqrt(0.95 * 0.05 / repeats)
    for name, count in covered.items():
        assert count / repeats >= least, (name, count / repeats)
    if shift:  # and they are no wider than they must be
        for name in ("bias", "variance", "mse"):
            assert covered[name] < repeats, name


def test_means_of_the_estimates_are_right() -> None:
    exact = logits_of(2, 1, 3)
    gradients = PotentialGradients(
        Categorical(torch.zeros(2, 1, 3, dtype=torch.float64)), separable(torch.zeros(3))
    )
    generator = torch.Generator().manual_seed(0)
    rows = [
        measure_gradient(
            gradients,
            "it",
            Noisy(exact + 0.5, 2.0),
            Reference(exact.flatten(1), "exact"),
            num_draws=40,
            timing=False,
            generator=generator,
        )
        for _ in range(100)
    ]
    assert_mean(torch.tensor([row.variance.value for row in rows]), 12.0)
    mse = [row.mse.value for row in rows if row.mse is not None]
    assert_mean(torch.tensor(mse), 12.75)


def test_more_confidence_is_wider() -> None:
    q, f = Categorical(logits_of(3, 1, 4)), smooth(3, 1, 4)
    rows = [compared(q, f, Direct(1.0), confidence=c)["it"] for c in (0.5, 0.99)]
    assert rows[0].variance.value == rows[1].variance.value
    assert rows[0].variance.low > rows[1].variance.low
    assert rows[0].variance.error == rows[1].variance.error


# What a call costs, and what stays


ALL = (
    *(Direct(), Direct(num_samples=3, two_sided=True), CorrectedDirect(), Exact()),
    *(LocalExpectation(num_samples=2), GumbelSoftmax(), GumbelRao(), ImplicitMLE()),
    *(ScoreFunction(num_samples=4), StraightThrough(), ReinMax(), Rebar(num_samples=2)),
    *(Relax(Surrogate(2, 2)), Arm(), DisArm()),
)


@pytest.mark.parametrize("estimator", ALL, ids=lambda estimator: type(estimator).__name__)
def test_evaluations_are_as_the_estimators_say(estimator: Estimator) -> None:
    torch.manual_seed(0)
    objective = Reconstruction(Decoder(2, 2, 6, hidden=4), torch.rand(3, 6).round())
    row = compared(Categorical(torch.zeros(3, 2, 2)), objective, estimator, num_draws=4)["it"]
    assert row.evaluations == estimator.evaluations(2, 2)
    assert row.seconds is not None
    assert 0 < row.seconds.low <= row.seconds.value <= row.seconds.high


def test_without_timing() -> None:
    row = compared(Categorical(logits_of(2, 1, 3)), smooth(2, 1, 3), Direct(), timing=False)["it"]
    assert (row.seconds, row.evaluations) == (None, None)


def test_nothing_of_yours_changes() -> None:
    logits = logits_of(3, 1, 4).requires_grad_()
    model = Interaction(3, 1, 4)
    estimator = ScoreFunction()
    before = {name: value.clone() for name, value in estimator.state_dict().items()}
    compared(Categorical(logits), model, estimator, num_draws=10)
    assert estimator.training
    assert estimator.step == 0
    assert all(torch.equal(value, before[name]) for name, value in estimator.state_dict().items())
    assert logits.grad is None
    assert all(parameter.grad is None for parameter in model.parameters())


def test_learned_parameters_are_as_they_were_given() -> None:
    q, f = Categorical(logits_of(3, 1, 4)), smooth(3, 1, 4)
    wild, tame = (compared(q, f, Rebar(scale=scale))["it"].variance.value for scale in (5.0, 1.0))
    assert wild > 2 * tame


def test_the_same_seed_gives_the_same_numbers() -> None:
    q, f = Categorical(logits_of(3, 1, 4)), smooth(3, 1, 4)
    one, two, other = (
        compared(q, f, Direct(1.0), seed, timing=False).to_dict() for seed in (1, 1, 2)
    )
    assert one == two != other


def test_chunks_are_bounded_and_change_no_statistic() -> None:
    seen = []
    model = smooth(3, 1, 4)

    def objective(z: Tensor) -> Tensor:
        seen.append(z.shape[:-2].numel())
        losses: Tensor = model(z)
        return losses

    q = Categorical(logits_of(3, 1, 4))
    settings = {"num_draws": 3000, "timing": False, "confidence": SURE}
    small = compared(q, objective, GumbelSoftmax(), max_problems=30, **settings)["it"]
    assert max(seen[4:]) == 30  # after the enumeration
    large = compared(q, objective, GumbelSoftmax(), seed=1, **settings)["it"]
    assert max(seen) == 450
    assert small.variance.low < large.variance.value < small.variance.high


# References


def test_an_average_as_reference() -> None:
    q, f = Categorical(logits_of(3, 2, 3)), smooth(3, 2, 3)
    settings = {"num_draws": 1000, "timing": False}
    result = compared(q, f, GumbelSoftmax(2.0), reference=ScoreFunction(), **settings)
    exact = compared(q, f, GumbelSoftmax(2.0), **settings)
    assert result.reference.startswith("the mean of 10,000 draws of ScoreFunction(")
    one, two = result["it"], exact["it"]
    assert one.bias is not None
    assert two.bias is not None
    assert one.bias.value == pytest.approx(two.bias.value, rel=0.2)
    assert one.bias_p_value is None
    assert result.norm == pytest.approx(exact.norm, rel=0.2)


def test_no_reference() -> None:
    q, f = Categorical(torch.zeros(2, 40, 2)), separable(torch.ones(2))
    result = compared(q, f, GumbelSoftmax(), reference="none", num_draws=10)
    row = result["it"]
    assert (row.bias, row.relative_bias, row.mse, row.cosine, row.bias_p_value) == (None,) * 5
    assert row.variance.value >= 0
    assert result.norm is None
    assert "bias" not in str(result)


def test_too_many_states() -> None:
    q = Categorical(torch.zeros(2, 40, 2))
    with pytest.raises(ValueError, match=r"sum over 2\^40 states, and at most max_states=65,536"):
        compared(q, separable(torch.ones(2)), Direct())


# A model's parameters


def test_gradients_of_parameters() -> None:
    torch.manual_seed(0)
    encoder = torch.nn.Linear(5, 4).double()
    x, model = torch.randn(3, 5, dtype=torch.float64), Interaction(3, 1, 4)
    parameters = [*encoder.parameters(), *model.parameters()]

    def posterior() -> Categorical:
        return Categorical(encoder(x).unsqueeze(1))

    settings = {"parameters": parameters, "num_draws": 400, "confidence": SURE}
    exact = compared(posterior, model, Exact(), **settings)
    size = sum(parameter.numel() for parameter in parameters)
    assert (exact.num_problems, exact.num_entries) == (1, size)
    assert exact["it"].bias is not None
    assert exact["it"].bias.value < 1e-10
    Exact()(posterior(), model).loss.mean().backward()
    total = sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None)
    assert exact.norm == pytest.approx(total**0.5, rel=1e-10)
    # The decoder's gradient is noisy also where the encoder's is exact.
    row = compared(posterior, model, LocalExpectation(), **settings)["it"]
    assert row.bias is not None
    assert row.bias.low == 0.0
    assert row.variance.value > 0
    encoder_only = {**settings, "parameters": list(encoder.parameters())}
    assert (
        compared(posterior, model, LocalExpectation(), **encoder_only)["it"].variance.value < 1e-20
    )


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
        file = io.StringIO()
        Console(file=file, width=width).print(result.table(width=width))
        lines = file.getvalue().splitlines()
        assert "…" not in file.getvalue()
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
        ({"confidence": "high"}, "confidence must be a number"),
        ({"reference": "exct"}, "did you mean 'exact'?"),
        ({"reference": 1}, "reference must be 'exact', 'none' or an estimator"),
        ({"parameters": [torch.zeros(1, requires_grad=True)]}, "q must be a function"),
        ({"q": lambda: None, "parameters": []}, "parameters must not be empty"),
        ({"q": lambda: None, "parameters": [torch.zeros(1)]}, "got one that does not"),
        ({"objective": lambda z: z.sum()}, "must return one loss per assignment"),
        ({"estimators": {"arm": Arm()}}, "needs binary variables"),
        (
            {"estimators": {"nan": Noisy(torch.full((2, 1, 3), np.nan), 1.0)}},
            "'nan' has a gradient",
        ),
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
