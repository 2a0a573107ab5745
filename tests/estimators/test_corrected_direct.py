"""The direct estimator with its noise summed out, and with its bias taken away: exact sums."""

from __future__ import annotations

import math

import pytest
import torch
from estimator_problems import gradient_of, random_logits, seeded
from torch import Tensor

from directmax import CorrectedDirect, Direct, Estimator, LocalExpectation, PairwiseBinary
from reference import (
    Interaction,
    all_states,
    changes_around,
    direct_expectation,
    expected_gradient,
    local_gradient,
    state_probs,
)
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}
STEPS = [0.1, 1.0, 10.0]
BOTH = pytest.mark.parametrize("two_sided", [False, True])


def auto_steps(logits: Tensor, objective: Interaction, scale: float) -> Tensor:
    """ε for every sample and variable of one problem with epsilon="auto", `(K, n)`."""
    changes = changes_around(objective, all_states(*logits.shape[1:])).detach()
    return scale / changes.var(-1, correction=0).sqrt()


def integration_noise(
    logits: Tensor, objective: Interaction, steps: Tensor, two_sided: bool
) -> tuple[Tensor, Tensor]:
    r"""Noise `(1, N, n, 2)` and weights `(N,)` of one problem: an exact integral over the noise.

    For binary variables only δ_i, the difference of two Gumbels, matters; σ(δ_i) is uniform. The
    estimate is constant between the places where an argmax moves: δ_i = −φ_i for the sample, and
    −φ_i ± ε (f̃_i(1) − f̃_i(0)) for the other, one for every ε and f̃ that a sample z can give. So
    one point a piece is enough. `steps`: ε, `(K, n)` or one number.
    """
    states = all_states(*logits.shape[1:])
    changes = changes_around(objective, states).detach()
    push = steps * (changes[..., 1] - changes[..., 0])  # (K, n)
    places = []
    for variable, (off, on) in enumerate(logits[0].tolist()):
        moves = push[:, variable]
        inner = torch.cat([0 * moves[:1], moves, -moves] if two_sided else [0 * moves[:1], moves])
        edges = torch.cat([torch.tensor([0.0, 1.0]), (inner - (on - off)).sigmoid()]).unique()
        places.append(((edges[1:] + edges[:-1]) / 2, edges.diff()))
    delta = torch.cartesian_prod(*[v.logit() for v, _ in places]).reshape(-1, len(places))
    weights = torch.cartesian_prod(*[w for _, w in places]).reshape(-1, len(places)).prod(-1)
    return torch.stack([0 * delta, delta], -1).unsqueeze(0), weights


def moments_of(
    estimator: Estimator, logits: Tensor, objective: Interaction, steps: Tensor, two_sided: bool
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the gradient of one problem of binary variables."""
    noise, weights = integration_noise(logits, objective, steps, two_sided)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
    gradients = gradient_of(estimator, logits.expand(len(weights), -1, -1), objective, noise=noise)
    mean = torch.einsum("d,dnk->nk", weights, gradients)
    return mean, torch.einsum("d,dnk->nk", weights, (gradients - mean).square())


def binary_problem(num_variables: int) -> tuple[Tensor, Interaction]:
    logits = random_logits(1, num_variables, 2, seed=3).detach()
    return logits, Interaction(1, num_variables, 2, scale=2.0).requires_grad_(False)


def enumerated(estimator: Estimator, logits: Tensor, objective: Interaction) -> Tensor:
    """Gradients `(K, n, k)` of one problem, one for every sample it may draw."""
    states = all_states(*logits.shape[1:])
    many = logits.expand(len(states), -1, -1)
    return gradient_of(estimator, many, objective, noise=1e3 * states.unsqueeze(0))


# The direct estimator with rao_blackwell


@BOTH
@pytest.mark.parametrize("epsilon", STEPS)
@pytest.mark.parametrize("sizes", [(1, 4), (2, 3), (3, 2)])
def test_rao_blackwell_has_the_mean_of_the_direct_estimator(
    sizes: tuple[int, int], epsilon: float, two_sided: bool
) -> None:
    logits, objective = random_logits(1, *sizes).detach(), Interaction(1, *sizes, scale=2.0)
    estimator = Direct(epsilon, two_sided=two_sided, rao_blackwell=True)
    gradients = enumerated(estimator, logits, objective)
    mean = torch.einsum("d,dnk->nk", state_probs(logits)[0], gradients)
    expected = direct_expectation(logits, objective, epsilon, two_sided=two_sided)
    torch.testing.assert_close(mean, expected[0], **EXACT)


@BOTH
@pytest.mark.parametrize("epsilon", [0.5, "auto"])
def test_rao_blackwell_leaves_no_variance_for_one_variable(
    epsilon: float | str, two_sided: bool
) -> None:
    logits, objective = random_logits(1, 1, 4).detach(), Interaction(1, 1, 4, scale=20.0)
    step = float(auto_steps(logits, objective, 1.0)[0, 0]) if epsilon == "auto" else epsilon
    many = logits.expand(30, -1, -1)
    estimator = Direct(epsilon, two_sided=two_sided, rao_blackwell=True)
    gradients = gradient_of(estimator, many, objective, generator=seeded())
    expected = direct_expectation(logits, objective, step, two_sided=two_sided)
    torch.testing.assert_close(gradients, expected.expand_as(gradients), **EXACT)


@BOTH
@pytest.mark.parametrize("epsilon", STEPS)
def test_rao_blackwell_takes_variance_away(epsilon: float, two_sided: bool) -> None:
    logits, objective = binary_problem(2)
    steps = torch.tensor(epsilon, dtype=torch.float64)
    settings = {"epsilon": epsilon, "two_sided": two_sided}
    given = (logits, objective, steps, two_sided)
    plain_mean, plain = moments_of(Direct(**settings), *given)
    mean, less = moments_of(Direct(**settings, rao_blackwell=True), *given)
    torch.testing.assert_close(mean, plain_mean, **EXACT)
    assert (less < 0.9 * plain).all()


@pytest.mark.parametrize(("two_sided", "order"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("num_variables", [1, 2])
def test_rao_blackwell_tends_to_the_local_expectation(
    num_variables: int, two_sided: bool, order: int
) -> None:
    """Sample by sample, not only on average."""
    logits = random_logits(1, num_variables, 3).detach()
    objective = Interaction(1, num_variables, 3)
    limit = enumerated(LocalExpectation(), logits, objective)
    distances = []
    for epsilon in (0.02, 0.01):
        estimator = Direct(epsilon, two_sided=two_sided, rao_blackwell=True)
        distances.append(float((enumerated(estimator, logits, objective) - limit).norm()))
    assert 0 < distances[1] < 0.05 * float(limit.norm())
    assert distances[0] / distances[1] == pytest.approx(2**order, rel=0.05)


# CorrectedDirect


@BOTH
@pytest.mark.parametrize("epsilon", STEPS)
@pytest.mark.parametrize("sizes", [(1, 4), (2, 3)])
def test_the_correction_is_minus_the_bias(
    sizes: tuple[int, int], epsilon: float, two_sided: bool
) -> None:
    """Its mean over the samples, and the mean of the direct estimate, make the true gradient."""
    logits, objective = random_logits(1, *sizes).detach(), Interaction(1, *sizes, scale=2.0)
    corrected = enumerated(CorrectedDirect(epsilon, two_sided=two_sided), logits, objective)
    direct = enumerated(Direct(epsilon, two_sided=two_sided), logits, objective)
    correction = torch.einsum("d,dnk->nk", state_probs(logits)[0], corrected - direct)
    mean = direct_expectation(logits, objective, epsilon, two_sided=two_sided)[0]
    torch.testing.assert_close(mean + correction, expected_gradient(logits, objective)[0], **EXACT)
    assert correction.abs().max() > 1e-4


@BOTH
@pytest.mark.parametrize("epsilon", STEPS)
@pytest.mark.parametrize("num_variables", [1, 2, 3])
def test_unbiased_by_integration_and_above_the_local_expectation(
    num_variables: int, epsilon: float, two_sided: bool
) -> None:
    """At every ε, in every entry, the variance is more than that of `LocalExpectation`."""
    logits, objective = binary_problem(num_variables)
    exact = expected_gradient(logits, objective)[0]
    steps = torch.tensor(epsilon, dtype=torch.float64)
    given = (logits, objective, steps, two_sided)
    mean, variance = moments_of(CorrectedDirect(epsilon, two_sided=two_sided), *given)
    torch.testing.assert_close(mean, exact, **EXACT)
    local_mean, local = moments_of(LocalExpectation(), *given)
    torch.testing.assert_close(local_mean, exact, **EXACT)
    assert (variance > local + 1e-12).all()
    # What is corrected is far more than the tolerance.
    direct, _ = moments_of(Direct(epsilon, two_sided=two_sided), *given)
    assert (direct - exact).abs().max() > 1e-5


@BOTH
@pytest.mark.parametrize("num_variables", [1, 2, 3])
def test_auto_is_unbiased_by_integration(num_variables: int, two_sided: bool) -> None:
    """A step that depended on the variable's own sample, as that of `Direct` does, would not be."""
    logits, objective = binary_problem(num_variables)
    steps = auto_steps(logits, objective, 0.7)
    estimator = CorrectedDirect("auto", scale=0.7, two_sided=two_sided)
    mean, variance = moments_of(estimator, logits, objective, steps, two_sided)
    torch.testing.assert_close(mean, expected_gradient(logits, objective)[0], **EXACT)
    _, local = moments_of(LocalExpectation(), logits, objective, steps, two_sided)
    assert (variance > local + 1e-12).all()


@BOTH
@pytest.mark.parametrize("num_samples", [1, 2])
@pytest.mark.parametrize(("num_variables", "epsilon"), [(1, "auto"), (2, "auto"), (2, 3.0)])
def test_unbiased_with_more_values(
    num_variables: int, epsilon: float | str, num_samples: int, two_sided: bool
) -> None:
    logits = random_logits(1, num_variables, 4).detach()
    objective = Interaction(1, num_variables, 4, scale=3.0)
    estimator = CorrectedDirect(epsilon, two_sided=two_sided, num_samples=num_samples)
    many = logits.expand(20_000, -1, -1)
    gradients = gradient_of(estimator, many, objective, generator=seeded())
    assert_mean(gradients, expected_gradient(logits, objective)[0])


@BOTH
def test_a_draw_as_it_is_written(two_sided: bool) -> None:
    logits, objective = random_logits(1, 2, 3).detach(), Interaction(1, 2, 3, scale=2.0)
    corrected = enumerated(CorrectedDirect(0.8, two_sided=two_sided), logits, objective)
    direct = enumerated(Direct(0.8, two_sided=two_sided), logits, objective)
    for row, state in enumerate(all_states(2, 3)):
        z = state[None]
        push = 0.8 * changes_around(objective, z)
        lower = torch.softmax(logits - push, -1)
        upper, width = torch.softmax(logits, -1), 0.8
        if two_sided:
            upper, width = torch.softmax(logits + push, -1), 1.6
        expected = local_gradient(logits, objective, z) - (upper - lower) / width
        torch.testing.assert_close(corrected[row] - direct[row], expected[0].detach(), **EXACT)


def test_a_smaller_step_of_a_larger_loss() -> None:
    """(ε/2, 2f) gives twice the gradient, so 1/ε is in every term; "auto" does so by itself."""
    logits, objective = random_logits(50, 2, 3), Interaction(50, 2, 3)
    for first, second in ((0.5, 0.25), ("auto", "auto")):
        base = gradient_of(CorrectedDirect(first), logits, objective, generator=seeded())
        twice = gradient_of(
            CorrectedDirect(second), logits, lambda z: 2 * objective(z), generator=seeded()
        )
        torch.testing.assert_close(twice, 2 * base, **EXACT)
        assert base.abs().max() > 0.1


@pytest.mark.parametrize("cls", [CorrectedDirect, Direct])
def test_several_draws_average_their_gradients(cls: type[Direct]) -> None:
    logits, objective = random_logits(3, 2, 3).detach(), Interaction(3, 2, 3)
    noise = torch.randn(5, 3, 2, 3, generator=seeded(), dtype=torch.float64)
    more = {} if cls is CorrectedDirect else {"rao_blackwell": True}
    singles = [gradient_of(cls(0.5, **more), logits, objective, noise=row[None]) for row in noise]
    together = gradient_of(cls(0.5, num_samples=5, **more), logits, objective, noise=noise)
    torch.testing.assert_close(together, torch.stack(singles).mean(0), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1000.0])
@BOTH
def test_saturated_logits(dtype: torch.dtype, size: float, two_sided: bool) -> None:
    logits = size * torch.tensor([[[1, -1, -1], [-1, 1, 1]]]).expand(9, -1, -1).to(dtype)
    for epsilon in (0.1, "auto"):
        for estimator in (
            CorrectedDirect(epsilon, two_sided=two_sided),
            Direct(epsilon, two_sided=two_sided, rao_blackwell=True),
        ):
            gradient = gradient_of(estimator, logits, lambda z: 3 * z[..., 0].sum(-1) ** 2)
            assert gradient.isfinite().all()
            assert gradient[:, 0].double().abs().max() < 1e-15
        # Equal losses: "auto" has no scale to go by.
        gradient = gradient_of(estimator, logits, lambda z: z.sum((-2, -1)) * 0 + math.pi)
        assert not gradient.any()


@pytest.mark.parametrize("estimator", [CorrectedDirect(), Direct(rao_blackwell=True)])
def test_coupled_variables_are_refused(estimator: Estimator) -> None:
    q = PairwiseBinary(random_logits(2, 2, 2), random_logits(2, 1))
    with pytest.raises(TypeError, match=r"^\w+ needs independent variables"):
        estimator(q, lambda z: z.sum((-2, -1)))
