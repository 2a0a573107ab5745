"""PairwiseBinary: everything about q against enumeration, its gradients, its edges, its errors."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pairwise_problems import EXACT, entropy, log_normalizer, random_problem, seeded

from directmax import Categorical, PairwiseBinary
from directmax.distributions import DiscreteDistribution
from reference import (
    all_states,
    gibbs_probs,
    pairs_of,
    pairwise_argmax,
    pairwise_features,
    pairwise_scores,
)

VARIABLES = range(1, 10)
"""Across the 7 variables that the compiled sums keep in a table."""
SIZES = st.tuples(st.integers(1, 3), st.sampled_from(VARIABLES))


@given(SIZES, st.integers(0, 1000), st.sampled_from([0.1, 1.0, 4.0]))
def test_agrees_with_enumeration(sizes: tuple[int, int], seed: int, scale: float) -> None:
    batch, n = sizes
    unary, pairwise = random_problem(batch, n, seed=seed, scale=scale)
    q = PairwiseBinary(unary, pairwise)
    states, scores = all_states(n, 2), pairwise_scores(unary, pairwise)
    log_probs = scores.log_softmax(-1)  # (b, K)
    torch.testing.assert_close(q.log_normalizer(), log_normalizer(unary, pairwise), **EXACT)
    torch.testing.assert_close(q.entropy(), entropy(unary, pairwise), **EXACT)
    kl = (log_probs.exp() * (log_probs + n * math.log(2))).sum(-1)
    torch.testing.assert_close(q.kl_to_uniform(), kl, **EXACT)
    torch.testing.assert_close(q.log_prob_table(), log_probs, **EXACT)
    every = states.unsqueeze(1).expand(-1, batch, -1, -1)
    torch.testing.assert_close(q.score(every), scores.T, **EXACT)
    torch.testing.assert_close(q.log_prob(every), log_probs.T, **EXACT)
    some = torch.arange(len(states)).flip(0)[::3]
    torch.testing.assert_close(q.log_prob_states(states[some]), log_probs[:, some], **EXACT)
    marginals = torch.einsum("bs,snk->bnk", log_probs.exp(), states)
    torch.testing.assert_close(q.marginals(), marginals, **EXACT)
    assert torch.equal(q.mode(), states[scores.argmax(-1)])


@given(SIZES, st.integers(0, 1000))
def test_gradients_agree_with_enumeration(sizes: tuple[int, int], seed: int) -> None:
    """By the unary and the pairwise potentials, weighted by something that differs by problem."""
    batch, n = sizes
    unary, pairwise = random_problem(batch, n, seed=seed, gradient=True)
    q = PairwiseBinary(unary, pairwise)
    states = all_states(n, 2)
    some, weight = states[1::2], torch.arange(1.0, batch + 1, dtype=torch.float64)
    z = states[torch.arange(batch) % len(states)]
    log_probs = pairwise_scores(unary, pairwise).log_softmax(-1)
    mixture = torch.linspace(-1, 2, 2 * n, dtype=torch.float64).view(n, 2)
    results = {
        "log_normalizer": (q.log_normalizer(), log_normalizer(unary, pairwise)),
        "entropy": (q.entropy(), entropy(unary, pairwise)),
        "kl_to_uniform": (q.kl_to_uniform(), -entropy(unary, pairwise)),
        "log_prob": (q.log_prob(z), log_probs[range(batch), torch.arange(batch) % len(states)]),
        "log_prob_states": (
            q.log_prob_states(some).cos().sum(-1),
            log_probs[:, 1::2].cos().sum(-1),
        ),
        "log_prob_table": (q.log_prob_table().cos().sum(-1), log_probs.cos().sum(-1)),
        "marginals": (
            (q.marginals().square() * mixture).sum((-2, -1)),
            (torch.einsum("bs,snk->bnk", log_probs.exp(), states).square() * mixture).sum((-2, -1)),
        ),
    }
    for name, (actual, expected) in results.items():
        torch.testing.assert_close(
            torch.autograd.grad((actual * weight).sum(), [unary, pairwise], retain_graph=True),
            torch.autograd.grad((expected * weight).sum(), [unary, pairwise], retain_graph=True),
            msg=lambda text, name=name: f"{name}: {text}",
            **EXACT,
        )


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize(
    "name", ["log_normalizer", "entropy", "kl_to_uniform", "log_prob_table", "marginals"]
)
def test_gradcheck(name: str, n: int) -> None:
    potentials = random_problem(2 if n < 8 else 1, n, gradient=True)
    assert torch.autograd.gradcheck(lambda *h: getattr(PairwiseBinary(*h), name)(), potentials)


@pytest.mark.parametrize("name", ["log_prob", "score"])
def test_gradcheck_at_a_sample(name: str) -> None:
    potentials = random_problem(2, 3, gradient=True)
    z = PairwiseBinary(*potentials).sample(4, generator=seeded())
    assert torch.autograd.gradcheck(lambda *h: getattr(PairwiseBinary(*h), name)(z), potentials)


def test_sums_over_states_refuse_a_second_derivative() -> None:
    """Their gradients are computed beside them, without a graph; the table's are ordinary."""
    unary, pairwise = random_problem(1, 3, gradient=True)
    for name in ("entropy", "log_normalizer", "kl_to_uniform"):
        value = getattr(PairwiseBinary(unary, pairwise), name)().sum()
        (gradient,) = torch.autograd.grad(value, unary, create_graph=True)
        with pytest.raises(RuntimeError, match="differentiated again"):
            gradient.square().sum().backward()
    with pytest.raises(RuntimeError, match="differentiated again"):
        torch.autograd.functional.hessian(
            lambda h: PairwiseBinary(h, pairwise.detach()).entropy().sum(), unary.detach()
        )
    assert torch.autograd.gradgradcheck(
        lambda *h: PairwiseBinary(*h).log_prob_table(), (unary, pairwise)
    )


@given(SIZES, st.integers(0, 1000), st.booleans())
def test_without_couplings_everything_is_a_categorical(
    sizes: tuple[int, int], seed: int, gradient: bool
) -> None:
    unary, pairwise = random_problem(*sizes, seed=seed, gradient=gradient)
    n, states = sizes[1], all_states(sizes[1], 2)
    q, p = PairwiseBinary(unary, torch.zeros_like(pairwise)), Categorical(unary)
    z = q.sample(4, generator=seeded(seed))
    assert torch.equal(z, p.sample(4, generator=seeded(seed)))
    assert torch.equal(q.mode(), p.mode())
    noise = p.noise(3, generator=seeded(seed))
    assert torch.equal(q.noise(3, generator=seeded(seed)), noise)
    assert torch.equal(q.argmax(noise, noise.flip(-1)), p.argmax(noise, noise.flip(-1)))
    pairs = [
        (q.unary_kl_to_uniform(), p.kl_to_uniform()),
        (q.kl_to_uniform(), p.kl_to_uniform()),
        (q.entropy(), p.entropy()),
        (q.marginals().cos(), p.marginals().cos()),
        (q.log_prob(z), p.log_prob(z)),
        (q.score(z), p.score(z)),
        (q.log_prob_table(), p.log_prob_table()),
        (q.log_prob_states(states[: n + 1]), p.log_prob_states(states[: n + 1])),
    ]
    for actual, expected in pairs:
        torch.testing.assert_close(actual, expected, **EXACT)
        if gradient:
            torch.testing.assert_close(
                torch.autograd.grad(actual.sum(), unary),
                torch.autograd.grad(expected.sum(), unary),
                **EXACT,
            )


def test_the_unary_kl_ignores_the_couplings() -> None:
    unary, pairwise = random_problem(2, 3)
    q = PairwiseBinary(unary, pairwise)
    torch.testing.assert_close(q.unary_kl_to_uniform(), Categorical(unary).kl_to_uniform(), **EXACT)
    assert (q.unary_kl_to_uniform() - q.kl_to_uniform()).abs().max() > 0.1


def test_the_order_of_the_pairs() -> None:
    """Only z_0 and z_2 are coupled: their correlation, and no other."""
    pairwise = torch.tensor([[0.0, 3.0, 0.0]], dtype=torch.float64)
    q = PairwiseBinary(torch.zeros(1, 3, 2, dtype=torch.float64), pairwise)
    bits = all_states(3, 2)[..., 1]
    probs = q.log_prob_table().exp()[0]
    weight = math.exp(3)  # of both on, 1 for the three other states of the pair
    covariance = weight / (weight + 3) - ((weight + 1) / (weight + 3)) ** 2
    for i, j in pairs_of(3):
        together = (probs * bits[:, i] * bits[:, j]).sum()
        both = (probs @ bits)[i] * (probs @ bits)[j]
        assert float((together - both).abs()) == pytest.approx(
            covariance * ((i, j) == (0, 2)), abs=1e-9
        )


def test_leading_dimensions() -> None:
    q = PairwiseBinary(*random_problem(2, 3))
    z = q.sample(6).unflatten(0, (3, 2))
    assert q.log_prob(z).shape == q.score(z).shape == (3, 2, 2)
    torch.testing.assert_close(q.log_prob(z)[1, 0], q.log_prob(z[1, 0]))


# Gradients attached to a value


@pytest.mark.parametrize("weight", [0.25, "per problem"])
def test_attach_adds_the_difference_of_scores_to_the_gradient(weight: float | str) -> None:
    unary, pairwise = random_problem(3, 4, gradient=True)
    other = torch.ones(3, dtype=torch.float64, requires_grad=True)
    q = PairwiseBinary(unary, pairwise)
    first, second = q.sample(5, generator=seeded(1)), q.sample(5, generator=seeded(2))
    each = torch.tensor([0.5, -2.0, 7.0]).double() if isinstance(weight, str) else weight
    upstream = torch.tensor([1.0, 10.0, -3.0], dtype=torch.float64)
    difference = pairwise_features(first[..., 1]) - pairwise_features(second[..., 1])
    wanted = (each * upstream)[:, None] * difference.mean(0)  # (b, n + P)
    assert wanted.abs().max() > 0.1

    for value in (
        q.attach(other.square(), first, second, each),
        DiscreteDistribution.attach(q, other.square(), first, second, each),
    ):
        assert torch.equal(value.detach(), other.detach().square())
        actual = torch.autograd.grad((value * upstream).sum(), [unary, pairwise, other])
        torch.testing.assert_close(actual[0][..., 1], wanted[:, :4], **EXACT)
        torch.testing.assert_close(actual[0][..., 0], -wanted[:, :4], **EXACT)
        torch.testing.assert_close(actual[1], wanted[:, 4:], **EXACT)
        torch.testing.assert_close(actual[2], 2 * upstream, **EXACT)


def test_with_gradient() -> None:
    unary, pairwise = random_problem(3, 4, gradient=True)
    other = torch.ones(3, dtype=torch.float64, requires_grad=True)
    field, pairs = random_problem(3, 4, seed=1)
    field = field[..., 0]
    value = PairwiseBinary(unary, pairwise).with_gradient(other.square(), field, pairs)
    assert torch.equal(value.detach(), other.detach().square())
    upstream = torch.tensor([1.0, 10.0, -3.0], dtype=torch.float64)
    actual = torch.autograd.grad((value * upstream).sum(), [unary, pairwise, other])
    expected = torch.stack([-field, field], -1) * upstream[:, None, None]
    torch.testing.assert_close(actual[0], expected, **EXACT)
    torch.testing.assert_close(actual[1], pairs * upstream[:, None], **EXACT)
    torch.testing.assert_close(actual[2], 2 * upstream, **EXACT)


def test_attach_leaves_a_value_exact_whatever_the_scores() -> None:
    unary = torch.tensor([[[3e4, -3e4], [1e4, 3e4]]], requires_grad=True)
    q = PairwiseBinary(unary, torch.tensor([[5e4]]))
    z = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    value = torch.tensor([0.1])
    assert torch.equal(q.attach(value, z, 1 - z, 1e4).detach(), value)


def test_gradients_are_there_after_a_look_without_gradient() -> None:
    """The sums over states are cached; the cache carries no gradient, and costs none."""
    unary, pairwise = random_problem(2, 3, gradient=True)
    for quiet in (torch.no_grad, torch.inference_mode):
        q = PairwiseBinary(unary, pairwise)
        with quiet():
            looks = q.entropy(), q.log_normalizer(), q.marginals()
        assert not any(look.requires_grad for look in looks)
        for name in ("entropy", "log_normalizer"):
            actual = torch.autograd.grad(getattr(q, name)().sum(), [unary, pairwise])
            fresh = getattr(PairwiseBinary(unary, pairwise), name)()
            torch.testing.assert_close(
                actual, torch.autograd.grad(fresh.sum(), [unary, pairwise]), **EXACT
            )


def test_two_backward_passes_through_one_distribution() -> None:
    unary, pairwise = random_problem(2, 3, gradient=True)
    q = PairwiseBinary(unary, pairwise)
    q.kl_to_uniform().sum().backward()
    q.entropy().sum().backward()  # the KL term is a constant minus the entropy
    torch.testing.assert_close(unary.grad, torch.zeros_like(unary), **EXACT)
    torch.testing.assert_close(pairwise.grad, torch.zeros_like(pairwise), **EXACT)


def test_problems_of_a_batch_do_not_touch() -> None:
    unary, pairwise = random_problem(4, 8)
    q = PairwiseBinary(unary, pairwise)
    for row in range(4):
        part = slice(row, row + 1)
        alone = PairwiseBinary(unary[part], pairwise[part])
        for name in ("entropy", "log_normalizer", "log_prob_table", "marginals", "mode"):
            torch.testing.assert_close(
                getattr(q, name)()[part], getattr(alone, name)(), rtol=0, atol=1e-13
            )


# Edges


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [100.0, 1e4])
@pytest.mark.parametrize("n", [2, 7, 9])
def test_saturated_potentials(dtype: torch.dtype, size: float, n: int) -> None:
    """A frustrated problem with one best state, by at least `size`."""
    signs = torch.tensor([-1.0, 1.0])
    unary = (size * signs).repeat(2, n, 1)
    unary[:, ::2] = -unary[:, ::2]
    pairwise = torch.full((2, n * (n - 1) // 2), size / 2)
    expected = pairwise_argmax(unary.double(), pairwise.double())
    scores = pairwise_scores(unary.double(), pairwise.double()).sort(-1).values
    assert (scores[:, -1] - scores[:, -2]).min() >= size
    unary, pairwise = (t.to(dtype).requires_grad_() for t in (unary, pairwise))
    best = pairwise_scores(unary.detach().double(), pairwise.detach().double()).amax(-1)
    for perturbation in ("unary", "states"):
        q = PairwiseBinary(unary, pairwise, perturbation=perturbation)
        z = q.sample(5, generator=seeded())
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        assert q.dtype == z.dtype == wide
        assert torch.equal(z, expected.to(wide).expand_as(z))
    assert torch.equal(q.mode(), expected.to(wide))
    torch.testing.assert_close(q.marginals(), expected.to(wide), rtol=0, atol=1e-12)
    results = [q.entropy(), q.kl_to_uniform(), q.log_prob(z), q.log_prob_table(), q.marginals()]
    results += [q.log_normalizer(), q.log_prob_states(all_states(n, 2, wide)), q.score(z)]
    for result in results:
        assert result.dtype == wide
        assert result.isfinite().all()
    rounding = {"rtol": 0, "atol": 4 * n**2 * size * torch.finfo(wide).eps + 1e-12}
    torch.testing.assert_close(q.entropy(), torch.zeros(2, dtype=wide), **rounding)
    torch.testing.assert_close(
        q.kl_to_uniform(), torch.full((2,), n * math.log(2), dtype=wide), **rounding
    )
    torch.testing.assert_close(q.log_prob(z), torch.zeros(5, 2, dtype=wide), **rounding)
    torch.testing.assert_close(q.log_normalizer(), best.to(wide), rtol=1e-6, atol=0)
    sum(result.sum() for result in results).backward()
    for leaf in (unary, pairwise):
        assert leaf.grad.dtype == dtype
        assert leaf.grad.isfinite().all()


def test_half_precision_is_widened_not_recomputed() -> None:
    unary, pairwise = (t.bfloat16() for t in random_problem(2, 3))
    narrow, wide = PairwiseBinary(unary, pairwise), PairwiseBinary(unary.float(), pairwise.float())
    for name in ("entropy", "log_normalizer", "log_prob_table", "marginals", "mode"):
        assert torch.equal(getattr(narrow, name)(), getattr(wide, name)())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for name in ("entropy", "log_prob_table"):
            assert torch.equal(getattr(narrow, name)(), getattr(wide, name)())


@pytest.mark.parametrize("perturbation", ["unary", "states"])
@pytest.mark.parametrize("n", [1, 3, 9])
def test_empty_batch(n: int, perturbation: str) -> None:
    unary = torch.zeros(0, n, 2, requires_grad=True)
    pairs = n * (n - 1) // 2
    q = PairwiseBinary(unary, torch.zeros(0, pairs), perturbation=perturbation)
    assert q.sample(4).shape == (4, 0, n, 2)
    assert q.mode().shape == q.marginals().shape == (0, n, 2)
    assert q.entropy().shape == q.kl_to_uniform().shape == q.log_normalizer().shape == (0,)
    assert q.log_prob_table().shape == (0, 2**n)
    q.entropy().sum().backward()
    assert unary.grad.shape == unary.shape


def test_one_variable() -> None:
    unary, pairwise = random_problem(3, 1, gradient=True)
    q, p = PairwiseBinary(unary, pairwise), Categorical(unary)
    assert pairwise.shape == (3, 0)
    torch.testing.assert_close(q.entropy(), p.entropy(), **EXACT)
    (q.entropy() - p.entropy()).sum().backward()
    torch.testing.assert_close(unary.grad, torch.zeros_like(unary), **EXACT)


def test_float32_is_as_good_as_its_input() -> None:
    unary, pairwise = (t.float() for t in random_problem(3, 9, scale=2.0))
    q, exact = PairwiseBinary(unary, pairwise), (unary.double(), pairwise.double())
    torch.testing.assert_close(
        q.log_normalizer().double(), log_normalizer(*exact), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(q.entropy().double(), entropy(*exact), rtol=0, atol=1e-5)
    marginals = torch.einsum("bs,snk->bnk", gibbs_probs(*exact), all_states(9, 2))
    torch.testing.assert_close(q.marginals().double(), marginals, rtol=0, atol=1e-6)
