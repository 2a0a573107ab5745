"""Local search: q learns the posterior around where the search ends, f learns from draws of it."""

from __future__ import annotations

import math

import pytest
import torch
from estimator_problems import gradient_of, random_logits, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import (
    Categorical,
    Decoder,
    LinearDecay,
    LocalDivergence,
    LocalSearch,
    PairwiseBinary,
    Reconstruction,
)
from directmax.distributions import Gibbs
from directmax.estimators import refine
from directmax.estimators._refine import given_others, moved, moved_once
from directmax.structures import Subsets
from reference import Interaction, all_states

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 4))


def changes_of(z: Tensor, objective: Interaction) -> Tensor:
    """f of every change of one variable of z `(b, n, k)`, evaluated one by one."""
    batch, n, k = z.shape
    losses = z.new_empty(batch, n, k)
    for i in range(n):
        for j in range(k):
            changed = z.clone()
            changed[:, i] = torch.eye(k)[j].to(z)
            losses[:, i, j] = objective(changed[None])[0].detach()
    return losses


@given(SIZES)
def test_refined_is_the_posterior_of_each_variable_around_a_code_that_no_change_improves(
    sizes: tuple[int, int, int],
) -> None:
    logits, objective = random_logits(*sizes), Interaction(*sizes)
    found = refine(Categorical(logits.detach()), objective, moves=50)
    z = found.mode()
    losses = changes_of(z, objective)
    here = objective(z[None])[0].detach()
    assert (losses.amin((-2, -1)) >= here - 1e-9).all()
    torch.testing.assert_close(found.log_probs, (-losses).log_softmax(-1), **EXACT)


def test_refined_begins_at_the_mode_and_takes_the_best_change_of_all() -> None:
    q = Categorical(torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]))  # 1, 0
    costs = torch.tensor([[0.0, 2.0, 1.0], [9.0, 5.0, 4.5]])

    def objective(z: Tensor) -> Tensor:
        return (z * costs).sum((-2, -1)) + 100 * z[..., 0, 0] * z[..., 1, 2]

    torch.testing.assert_close(
        refine(q, objective, moves=0, candidates=0).logits[0, 0], -costs[0] - 9
    )
    one = refine(
        q, objective, moves=1, candidates=0
    )  # the second variable to 2: 4.5 less, the first only 2
    torch.testing.assert_close(one.logits[0, 0], -torch.tensor([104.5, 6.5, 5.5]))
    assert refine(q, objective).mode().argmax(-1).tolist() == [[2, 2]]


def test_a_second_search_gets_where_the_first_does_not() -> None:
    n = 6
    q = Categorical(torch.tensor([3.0, -3.0], dtype=torch.float64).expand(9, n, 2))

    def objective(z: Tensor) -> Tensor:  # all off is a trap, all on the best
        on = z[..., 1].sum(-1)
        return torch.where(on >= 3, -3 * on, 5 * on)

    assert refine(q, objective, candidates=0).mode()[..., 1].sum() == 0
    found = refine(q, objective, candidates=40)
    assert found.mode()[..., 1].sum() == 9 * n  # the same for all images: the noise is fixed
    torch.testing.assert_close(found.logits, refine(q, objective, candidates=40).logits, **EXACT)


@given(SIZES)
def test_the_better_end_of_both_searches_counts(sizes: tuple[int, int, int]) -> None:
    logits, objective = random_logits(*sizes), Interaction(*sizes)
    q = Categorical(logits.detach())
    both, first = (objective(refine(q, objective, candidates=c).mode()[None]) for c in (9, 0))
    assert (both <= first + 1e-9).all()


@given(st.integers(1, 4), st.integers(2, 5))
def test_potentials_given_the_others_are_differences_of_scores(batch: int, n: int) -> None:
    unary = torch.randn(batch, n, 2, generator=seeded(), dtype=torch.float64)
    pairs = torch.randn(batch, n * (n - 1) // 2, generator=seeded(), dtype=torch.float64)
    q = PairwiseBinary(unary, pairs)
    z = q.sample(1, generator=seeded())[0]
    given = given_others(q, z)
    for i in range(n):
        on, off = z.clone(), z.clone()
        on[:, i], off[:, i] = torch.tensor([0.0, 1.0]).to(z), torch.tensor([1.0, 0.0]).to(z)
        expected = q.score(on) - q.score(off)
        torch.testing.assert_close(given[:, i, 1] - given[:, i, 0], expected, **EXACT)


def test_potentials_of_a_network_that_diverged_are_not_mended() -> None:
    logits = torch.tensor([[[0.0, 1.0]], [[torch.nan, 0.0]], [[torch.inf, 0.0]]])
    q = Categorical(logits, validate=False)
    found = refine(q, lambda z: z[..., 0, 0])
    assert found.logits.isnan().all(-1).squeeze(-1).tolist() == [False, True, True]


def test_one_variable_has_its_posterior_and_forbidden_values_stay_forbidden() -> None:
    logits = torch.tensor([[[0.0, -torch.inf, 3.0]]], dtype=torch.float64)
    costs = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)

    def objective(z: Tensor) -> Tensor:
        return (z * costs).sum((-2, -1))

    probs = refine(Categorical(logits), objective).probs[0, 0]
    expected = torch.tensor([1.0, 0.0, math.exp(-1)], dtype=torch.float64)
    torch.testing.assert_close(probs, expected / expected.sum(), **EXACT)
    q = Categorical(logits.clone().requires_grad_())
    estimate = LocalSearch(num_samples=64)(q, objective, generator=seeded())
    assert estimate.sample is not None
    assert (estimate.sample[..., 1] == 0).all()
    assert torch.isfinite(estimate.loss).all()


@given(SIZES, st.sampled_from([1.0, 7.0]), st.integers(0, 2))
def test_with_the_kl_term_q_moves_to_where_the_search_ends(
    sizes: tuple[int, int, int], weight: float, moves: int
) -> None:
    logits, objective = random_logits(*sizes), Interaction(*sizes)
    q = Categorical(logits)
    estimate = LocalSearch(moves=moves, kl_weight=weight)(q, objective, generator=seeded())
    total = estimate.loss + weight * q.kl_to_uniform()
    (actual,) = torch.autograd.grad(total.sum(), logits)
    generator = seeded()
    z = q.sample(1, generator=generator)
    z, _ = moved(q, objective, z, moves if sizes[1] > 1 else 0, weight, generator)
    log_p = (-changes_of(z[0], objective) / weight).log_softmax(-1)
    torch.testing.assert_close(actual, weight * (q.probs - log_p.exp()).detach(), **EXACT)
    kl = (log_p.exp() * log_p).sum((-2, -1)) + sizes[1] * math.log(sizes[2])
    assert estimate.kl is not None
    assert not estimate.kl.requires_grad
    torch.testing.assert_close(estimate.kl, kl, **EXACT)


@given(SIZES)
def test_a_move_is_a_sample_of_the_neighbours(sizes: tuple[int, int, int]) -> None:
    _, n, k = sizes
    draws = 20_000
    z = torch.nn.functional.one_hot(torch.zeros(n, dtype=torch.long), k).double()
    changes = torch.rand(n, k, generator=seeded(), dtype=torch.float64) * 3
    changes[:, 0] = 1.0  # of z itself
    uniform = torch.rand(draws, 1, n, k, generator=seeded(), dtype=torch.float64)
    ends = moved_once(
        z.expand(draws, 1, n, k), changes.expand(draws, 1, n, k), noise=-(-uniform.log()).log()
    )
    weights = (-changes).exp()
    total = weights[:, 1:].sum() + weights[0, 0]
    shares = ends.mean((0, 1))[:, 1:]  # of single changes
    torch.testing.assert_close(shares, weights[:, 1:] / total, rtol=0, atol=0.02)


def test_the_decoder_learns_from_the_exact_mean_with_one_variable() -> None:
    torch.manual_seed(0)
    decoder, images = Decoder(1, 4, 6).double(), torch.rand(5, 6, dtype=torch.float64).round()
    objective = Reconstruction(decoder, images)
    q = Categorical(torch.zeros(5, 1, 4, dtype=torch.float64))
    loss = LocalSearch()(q, objective, generator=seeded()).loss
    losses = objective(torch.eye(4, dtype=torch.float64)[:, None, None].expand(4, 5, 1, 4))
    probs = (-losses).softmax(0)
    torch.testing.assert_close(loss, (probs.detach() * losses).sum(0), **EXACT)
    actual = torch.autograd.grad(loss.sum(), list(decoder.parameters()), retain_graph=True)
    evidence = -torch.logsumexp(-losses, 0)  # expectation-maximisation: the gradient of log p
    expected = torch.autograd.grad(evidence.sum(), list(decoder.parameters()))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_with_moves_samples_come_nearer_to_the_posterior() -> None:
    logits, objective = random_logits(1, 2, 3), Interaction(1, 2, 3)
    q = Categorical(logits.detach())
    states = all_states(2, 3).to(logits.dtype)
    posterior = (-objective(states[:, None])).softmax(0)[:, 0].detach()
    far = []
    for moves in (0, 1, 30):
        estimator = LocalSearch(moves=moves, num_samples=20_000)
        sample = estimator(q, objective, generator=seeded()).sample
        assert sample is not None
        table = torch.einsum("snk,cnk->sc", sample[:, 0], states) == 2
        far.append(float((table.double().mean(0) - posterior).abs().sum()))
    assert far[0] > far[1] > far[2]


def test_one_move_after_another_is_a_chain_whose_limit_is_near_the_posterior() -> None:
    # A move draws among the neighbours in proportion to e^-f: not Gibbs sampling, whose limit is
    # exact, but its stationary distribution is p(z) times the neighbourhood's mass.
    objective, q = Interaction(1, 2, 2), Categorical(torch.zeros(1, 2, 2, dtype=torch.float64))
    states = all_states(2, 2).to(torch.float64)
    weights = (-objective(states[:, None]))[:, 0].exp().detach()
    near = (states.flatten(1) @ states.flatten(1).T) >= 1  # differ in at most one variable
    stationary = weights * (near.double() @ weights)
    sample = LocalSearch(moves=40, num_samples=40_000)(q, objective, generator=seeded()).sample
    assert sample is not None
    shares = (torch.einsum("snk,cnk->sc", sample[:, 0], states) == 2).double().mean(0)
    torch.testing.assert_close(shares, stationary / stationary.sum(), rtol=0, atol=0.02)


@given(SIZES, st.sampled_from([0.0, 0.4]), st.integers(0, 2))
def test_below_one_q_has_the_gradient_of_local_divergence(
    sizes: tuple[int, int, int], alpha: float, moves: int
) -> None:
    logits, objective = random_logits(*sizes), Interaction(*sizes)
    found = gradient_of(
        LocalSearch(moves=moves, alpha=alpha), logits, objective, generator=seeded()
    )
    other = gradient_of(LocalDivergence(alpha), logits, objective, generator=seeded())
    torch.testing.assert_close(found, other, **EXACT)


@given(SIZES, st.sampled_from([0.0, 1.0]), st.integers(0, 2))
def test_refined_f_learns_from_draws_of_the_posterior_where_the_best_moves_end(
    sizes: tuple[int, int, int], alpha: float, moves: int
) -> None:
    batch, n, k = sizes[0], sizes[1] + 1, sizes[2]
    objective, draws = Interaction(batch, n, k), 4000
    start = torch.eye(k, dtype=torch.float64)[torch.arange(batch * n).view(batch, n) % k]
    logits = (60 * start).requires_grad_()  # so certain that every draw begins there
    end = start
    for _ in range(moves):
        end = moved_once(end[None], changes_of(end, objective)[None])[0]
    log_p = (-changes_of(end, objective)).log_softmax(-1)
    q = Categorical(logits)
    estimator = LocalSearch(moves=moves, alpha=alpha, refined=True, num_samples=draws)
    estimate = estimator(q, objective, generator=seeded())
    z, kl = estimate.sample, estimate.kl
    assert z is not None
    assert kl is not None
    torch.testing.assert_close(z.mean(0), log_p.exp(), rtol=0, atol=0.05)
    both = torch.einsum("sbj,sbl->bjl", z[..., 0, :], z[..., 1, :]) / draws  # independent
    product = torch.einsum("bj,bl->bjl", *log_p[:, :2].exp().unbind(1))
    torch.testing.assert_close(both, product, rtol=0, atol=0.05)
    torch.testing.assert_close(estimate.loss, objective(z).mean(0), **EXACT)
    torch.testing.assert_close(kl, (log_p.exp() * log_p).sum((-2, -1)) + n * math.log(k), **EXACT)
    target = log_p if alpha == 1 else (-changes_of(start, objective)).log_softmax(-1)
    (actual,) = torch.autograd.grad((estimate.loss + q.kl_to_uniform()).sum(), logits)
    if alpha == 1:
        torch.testing.assert_close(actual, (q.probs - target.exp()).detach(), **EXACT)
        return
    loss = (q.probs * (q.log_probs - target)).sum()  # KL(q || p) of each variable
    torch.testing.assert_close(actual, torch.autograd.grad(loss, logits)[0], **EXACT)


def test_moves_and_what_f_learns_from_follow_schedules() -> None:
    logits, objective = random_logits(2, 3, 3), Interaction(2, 3, 3)
    scheduled = LocalSearch(moves=LinearDecay(0, 2, 1), refined=LinearDecay(0, 1, 2))
    fixed = (LocalSearch(moves=0), LocalSearch(moves=2), LocalSearch(moves=2, refined=True))
    for step, estimator in enumerate(fixed):
        assert scheduled.evaluations(3, 3) == 7 * (3 if step else 1)
        found, expected = (
            each(Categorical(logits), objective, generator=seeded())
            for each in (scheduled, estimator)
        )
        torch.testing.assert_close(found.sample, expected.sample)
        torch.testing.assert_close(found.loss, expected.loss, **EXACT)


def test_alpha_of_coupled_variables_is_one() -> None:
    q = PairwiseBinary(torch.zeros(1, 2, 2), torch.zeros(1, 1))
    with pytest.raises(ValueError, match=r"^alpha must be 1 for the coupled variables"):
        LocalSearch(alpha=0.5)(q, lambda z: z.sum((-2, -1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"moves": -1}, r"^moves must be .* at least 0"),
        ({"moves": 1.5}, r"^moves must be an integer"),
        ({"kl_weight": 0.0}, r"^kl_weight must be"),
        ({"alpha": 1.5}, r"^alpha must be from 0 to 1"),
        ({"num_samples": 0}, r"^num_samples must be"),
        ({"refined": 2}, r"^refined must be"),
    ],
)
def test_wrong_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LocalSearch(**arguments)


def test_a_structure_has_no_single_changes() -> None:
    q = Gibbs(torch.zeros(1, 3), Subsets(3, 1))
    with pytest.raises((TypeError, ValueError), match=r"^candidates must be .* at least 0"):
        refine(Categorical(torch.zeros(1, 2, 2)), lambda z: z.sum((-2, -1)), candidates=-1)
    for call in (LocalSearch(), refine):
        with pytest.raises(TypeError, match=r"needs a Categorical or PairwiseBinary, got Gibbs"):
            call(q, lambda z: z.sum((-2, -1)))


@given(st.integers(1, 4), st.sampled_from([1.0, 7.0]), st.integers(1, 3))
def test_coupled_variables_learn_the_moments_of_what_was_found(
    n: int, weight: float, draws: int
) -> None:
    unary, objective = random_logits(2, n, 2), Interaction(2, n, 2)
    pairs = torch.randn(2, n * (n - 1) // 2, generator=seeded(), dtype=torch.float64) * 2
    pairs.requires_grad_()
    q = PairwiseBinary(unary, pairs)
    estimator = LocalSearch(moves=2, kl_weight=weight, num_samples=draws)
    total = estimator(q, objective, generator=seeded()).loss + weight * q.kl_to_uniform()
    actual = torch.autograd.grad(total.sum(), (unary, pairs))
    generator = seeded()
    z = q.sample(draws, generator=generator)
    z, _ = moved(q, objective, z, 2, weight, generator)
    found = [(-changes_of(one, objective) / weight).softmax(-1) for one in z]
    states = all_states(n, 2).to(unary)
    # KL(q' || q) with q' the mean of the products, by enumeration.
    products = sum(torch.einsum("bnk,cnk->bcn", one, states).prod(-1) for one in found) / draws
    log_q = PairwiseBinary(unary, pairs).log_prob(states.unsqueeze(1).expand(-1, 2, -1, -1))
    loss = -weight * (products * log_q.T).sum()
    expected = torch.autograd.grad(loss, (unary, pairs))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_forbidden_values_of_coupled_variables_stay_forbidden() -> None:
    unary = torch.zeros(3, 2, 2, dtype=torch.float64)
    unary[:, 0, 1] = -torch.inf
    q = PairwiseBinary(unary.requires_grad_(), torch.ones(3, 1, dtype=torch.float64))

    def objective(z: Tensor) -> Tensor:
        return -9 * z[..., 1].sum(-1)  # would have both on

    assert refine(q, objective).probs[:, 0, 1].tolist() == [0.0] * 3
    estimate = LocalSearch(num_samples=8)(q, objective, generator=seeded())
    assert estimate.sample is not None
    assert (estimate.sample[..., 0, 1] == 0).all()
    (gradient,) = torch.autograd.grad((estimate.loss + q.kl_to_uniform()).sum(), unary)
    assert gradient.isfinite().all()


def test_coupled_variables_begin_the_search_at_their_own_mode() -> None:
    unary = torch.randn(4, 5, 2, generator=seeded(), dtype=torch.float64)
    q = PairwiseBinary(unary, torch.ones(4, 10, dtype=torch.float64))
    assert refine(q, lambda z: 0 * z.sum((-2, -1)), moves=0).probs.unique().tolist() == [0.5]
    z = q.mode()
    away = refine(q, lambda y: 9 * (y != z).any(-1).sum(-1).double())
    torch.testing.assert_close(away.mode(), z)


def test_the_weight_follows_a_schedule() -> None:
    logits, objective = random_logits(2, 3, 3), Interaction(2, 3, 3)
    estimator = LocalSearch(kl_weight=LinearDecay(5.0, 1.0, 3))
    first, *_, second = (
        gradient_of(estimator, logits, objective, generator=seeded()) for _ in range(5)
    )
    fixed = gradient_of(LocalSearch(kl_weight=5.0), logits, objective, generator=seeded())
    torch.testing.assert_close(first, fixed, **EXACT)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_f_is_asked_for_z_of_the_type_of_q_whatever_type_its_losses_have(
    n: int, refined: bool
) -> None:
    q = Categorical(torch.randn(4, n, 2, generator=seeded(0)).float().requires_grad_())
    layer = torch.nn.Linear(2 * n, 1, dtype=torch.float32)

    def f(z: Tensor) -> Tensor:  # the layer refuses float64
        return layer(z.flatten(-2)).squeeze(-1).double()

    estimate = LocalSearch(moves=2, refined=refined)(q, f)
    estimate.loss.sum().backward()
    assert estimate.sample is not None
    assert estimate.sample.dtype == torch.float32
    assert refine(q, f, moves=2, candidates=3).logits.isfinite().all()
