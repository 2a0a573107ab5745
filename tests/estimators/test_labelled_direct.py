"""LabelledDirect: draw by draw, its mean by enumeration, partly observed pairs, errors."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from estimator_problems import FixedNoise, FixedPairs, random_logits, random_noise, seeded
from pairwise_estimates import PROBLEMS, problem
from torch import Tensor
from torch.nn import functional as F

from directmax import (
    Categorical,
    Direct,
    LabelledDirect,
    PairwiseBinary,
    PerturbedArgmax,
    structures,
)
from directmax.distributions import DiscreteDistribution
from reference import all_states
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}


def potential(unary: Tensor, pairwise: Tensor, bits: tuple[int, ...]) -> Tensor:
    """h(z) of one problem, in plain Python."""
    total = sum(unary[i, bit] for i, bit in enumerate(bits))
    pairs = itertools.combinations(range(len(bits)), 2)
    return total + sum(h * bits[i] * bits[j] for h, (i, j) in zip(pairwise, pairs, strict=True))


def agrees(bits: tuple[int, ...], labels: list[int]) -> bool:
    return all(label in (-1, bit) for bit, label in zip(bits, labels, strict=True))


def one_hot(bits: tuple[int, ...]) -> Tensor:
    return F.one_hot(torch.tensor(bits), 2).double()


# Independent variables


def test_draw_by_draw() -> None:
    logits, noise = random_logits(5, 3, 4), random_noise(2, 5, 3, 4)
    labels = torch.tensor([[0, -1, 3], [-1, -1, -1], [1, 1, 1], [3, 2, -1], [-1, 0, 0]])
    estimate = LabelledDirect(0.5, num_samples=2)(FixedNoise(logits, noise), labels)
    (gradient,) = torch.autograd.grad(estimate.loss.sum(), logits)
    wrong = torch.zeros(5, dtype=torch.float64)
    expected = torch.zeros_like(gradient)
    for s, b, i in itertools.product(range(2), range(5), range(3)):
        drawn, label = int((logits[b, i] + noise[s, b, i]).argmax()), int(labels[b, i])
        if label >= 0:
            wrong[b] += 0.5 * (drawn != label)
            expected[b, i, drawn] += 0.5 / 0.5
            expected[b, i, label] -= 0.5 / 0.5
    torch.testing.assert_close(gradient, expected, **EXACT)
    torch.testing.assert_close(estimate.loss.detach(), wrong, **EXACT)


def test_is_direct_with_an_infinite_loss() -> None:
    """What Direct does where wrong assignments cost more than any h + γ."""
    logits, noise, labels = random_logits(6, 1, 4), random_noise(3, 6, 1, 4), torch.arange(6) % 4
    q = FixedNoise(logits, noise)
    right = F.one_hot(labels, 4).double()
    loss = Direct(0.1, num_samples=3)(q, lambda z: 1e6 * (z.squeeze(-2) != right).any(-1)).loss
    (expected,) = torch.autograd.grad(loss.sum(), logits)
    (gradient,) = torch.autograd.grad(
        LabelledDirect(0.1, num_samples=3)(q, labels).loss.sum(), logits
    )
    torch.testing.assert_close(gradient, expected, **EXACT)


def test_the_mean_is_cross_entropy() -> None:
    """Its expectation, by the probabilities of z*, and the Rao-Blackwellised form."""
    logits, labels, epsilon = random_logits(4, 2, 3), torch.tensor([[0, 2]] * 3 + [[-1, 1]]), 0.25
    observed = (labels >= 0).double()
    picked = logits.log_softmax(-1).gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    cross_entropy = -(picked * observed).sum(-1) / epsilon
    (expected,) = torch.autograd.grad(cross_entropy.sum(), logits, retain_graph=True)
    one = F.one_hot(labels.clamp_min(0), 3)
    mean = (logits.softmax(-1) - one) * observed.unsqueeze(-1) / epsilon
    torch.testing.assert_close(mean, expected, **EXACT)

    estimate = LabelledDirect(epsilon, rao_blackwell=True)(Categorical(logits), labels)
    torch.testing.assert_close(estimate.loss, cross_entropy, **EXACT)
    (gradient,) = torch.autograd.grad(estimate.loss.sum(), logits)
    torch.testing.assert_close(gradient, expected, **EXACT)

    draws = 4000
    many = logits.detach()[:1].expand(draws, -1, -1).clone().requires_grad_()
    loss = LabelledDirect(epsilon)(
        Categorical(many), labels[:1].expand(draws, -1), generator=seeded()
    ).loss
    assert_mean(torch.autograd.grad(loss.sum(), many)[0], expected[0])


def test_one_variable_and_one_hot_labels() -> None:
    logits, noise = random_logits(3, 1, 4), random_noise(1, 3, 1, 4)
    q, labels = FixedNoise(logits, noise), torch.tensor([2, -1, 0])
    rows = torch.zeros(3, 1, 4)
    rows[0, 0, 2] = rows[2, 0, 0] = 1
    by_index, by_row = (LabelledDirect()(q, form).loss for form in (labels, rows))
    assert torch.equal(by_index, by_row)
    assert torch.equal(by_index, LabelledDirect()(q, labels.unsqueeze(-1)).loss)


# Coupled variables


LABELS = {2: [[1, -1], [-1, 0], [0, 1], [-1, -1]], 3: [[1, -1, -1], [-1, 0, 1], [0, 1, 1]]}


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_pairs_draw_by_draw(name: str) -> None:
    unary, pairwise = problem(name)
    n = len(unary)
    for labels in LABELS[n]:
        noise = random_noise(20, 1, n, 2)
        leaf, pairs = unary[None].clone().requires_grad_(), pairwise[None].clone().requires_grad_()
        q = FixedPairs(leaf, pairs, noise)
        estimate = LabelledDirect(num_samples=20)(q, torch.tensor([labels]))
        expected = torch.zeros_like(unary)
        states = list(itertools.product((0, 1), repeat=n))
        for draw in noise[:, 0]:
            h = {bits: float(potential(unary + draw, pairwise, bits)) for bits in states}
            best = max(states, key=h.__getitem__)
            right = max((bits for bits in states if agrees(bits, labels)), key=h.__getitem__)
            expected += (one_hot(best) - one_hot(right)) / 20
        (gradient,) = torch.autograd.grad(estimate.loss.sum(), leaf)
        torch.testing.assert_close(gradient[0], expected, **EXACT)


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_pairs_by_enumeration(name: str) -> None:
    """−log q(labels)/ε, and the mean over noise on every state has its gradient."""
    unary, pairwise = problem(name)
    n = len(unary)
    for labels in LABELS[n]:
        leaf, pairs = unary[None].clone().requires_grad_(), pairwise[None].clone().requires_grad_()
        scores = {
            bits: potential(leaf[0], pairs[0], bits) for bits in itertools.product((0, 1), repeat=n)
        }
        inside = torch.stack([h for bits, h in scores.items() if agrees(bits, labels)])
        value = torch.stack(list(scores.values())).logsumexp(0) - inside.logsumexp(0)
        expected = torch.autograd.grad(2 * value, [leaf, pairs])
        loss = LabelledDirect(0.5, rao_blackwell=True)(
            PairwiseBinary(leaf, pairs), torch.tensor([labels])
        ).loss
        torch.testing.assert_close(loss[0], 2 * value, **EXACT)
        for got, right in zip(
            torch.autograd.grad(loss.sum(), [leaf, pairs]), expected, strict=True
        ):
            if got.shape[-1] == 2 and got.ndim == 3:  # equal up to a constant of each variable
                got, right = got - got.mean(-1, True), right - right.mean(-1, True)
            torch.testing.assert_close(got, right, **EXACT)


def test_pairs_with_noise_on_states_sample_the_conditional() -> None:
    unary, pairwise = problem("frustrated")
    labels, draws = torch.tensor([[-1, 0, -1]]), 4000
    q = PairwiseBinary(unary[None], pairwise[None], perturbation="states")
    z = q.argmax_given(
        q.noise(draws, generator=seeded()), F.one_hot(labels + 1, 3)[..., 1:].double()
    )
    assert bool((z[..., 1, 0] == 1).all())
    states = [bits for bits in itertools.product((0, 1), repeat=3) if bits[1] == 0]
    probs = torch.stack([potential(unary, pairwise, bits) for bits in states]).softmax(0)
    for index, bits in enumerate(states):
        hit = (z[:, 0] == one_hot(bits)).all(-1).all(-1).double()
        assert_mean(hit, probs[index])


def test_log_prob_given_sums_to_one() -> None:
    unary, pairwise = problem("attractive")
    q = PairwiseBinary(unary[None], pairwise[None])
    total = torch.stack([q.log_prob_given(state[None]) for state in all_states(3, 2)]).logsumexp(0)
    torch.testing.assert_close(total, torch.zeros(1, dtype=torch.float64), **EXACT)
    none = q.log_prob_given(torch.zeros(1, 3, 2, dtype=torch.float64))
    torch.testing.assert_close(none, torch.zeros(1, dtype=torch.float64), **EXACT)


# Errors


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([1, 2], TypeError, "labels must be a torch.Tensor, got list"),
        (torch.tensor([True, False]), TypeError, "must be integers or one-hot floats"),
        (torch.tensor([0, 3]), ValueError, "must be from 0 to 2, or −1 where unobserved"),
        (torch.tensor([0, -2]), ValueError, "got values from -2 to 0"),
        (torch.tensor([0, 1, 2]), ValueError, r"\(batch, variables\) = \(2, 1\), got \(3, 1\)"),
        (torch.zeros(2, 3), ValueError, r"one-hot of shape \(2, 1, 3\)"),
        (torch.full((2, 1, 3), 0.5), ValueError, "must be one-hot, or zero where unobserved"),
        (torch.ones(2, 1, 3), ValueError, "must be one-hot, or zero where unobserved"),
    ],
)
def test_labels_that_do_not_fit(labels: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LabelledDirect()(Categorical(torch.zeros(2, 1, 3)), labels)


def test_complete_labels_outside_the_structure() -> None:
    weights = torch.zeros(2, 4, requires_grad=True)
    q = PerturbedArgmax(weights, structures.Subsets(4, 2))
    labels = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 0]])
    with pytest.raises(ValueError, match=r"labels of problem 1 are not in Subsets\(.*is_feasible"):
        LabelledDirect()(q, labels)
    unchecked = PerturbedArgmax(weights, structures.Subsets(4, 2), validate=False)
    assert LabelledDirect()(unchecked, labels).loss.shape == (2,)


def test_other_errors() -> None:
    with pytest.raises(ValueError, match="epsilon must be a finite number above 0"):
        LabelledDirect(0.0)
    with pytest.raises(ValueError, match="num_samples must be an integer of at least 1"):
        LabelledDirect(num_samples=0)
    with pytest.raises(TypeError, match="q must be a distribution"):
        LabelledDirect()(torch.zeros(2, 1, 3), torch.tensor([0, 1]))  # type: ignore[arg-type]
    assert repr(LabelledDirect(2.0)) == (
        "LabelledDirect(epsilon=2.0, rao_blackwell=False, num_samples=1)"
    )
    assert isinstance(Categorical(torch.zeros(1, 1, 2)), DiscreteDistribution)
    assert math.isclose(LabelledDirect(3).epsilon, 3.0)
