"""`compare_gradients`: against closed forms, with intervals that cover, for a user's own model."""

from __future__ import annotations

import math

import pytest
import torch
from comparisons import SURE, Noisy, compared, logits_of, norm, smooth
from torch import Tensor

from directmax import (
    Arm,
    Categorical,
    ClampedArgmax,
    CorrectedDirect,
    Decoder,
    Direct,
    DisArm,
    Estimator,
    Exact,
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
)
from directmax.laboratory import (
    PotentialGradients,
    Reference,
    measure_gradient,
)
from reference import Interaction, direct_expectation, expected_gradient, gibbs_probs, separable
from significance import ALPHA, assert_mean, quantile

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


@pytest.mark.parametrize("shift", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_intervals_cover(shift: float) -> None:
    """Of an estimator with normal noise, whose bias and variance are known."""
    repeats, deviation = 100, 1.0
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
        for _ in range(60)
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
