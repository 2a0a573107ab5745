"""Infinite losses and forbidden values, against enumeration; what callbacks are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from estimator_problems import random_logits, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import (
    Categorical,
    ClampedArgmax,
    CorrectedDirect,
    Direct,
    Estimator,
    Exact,
    ImplicitMLE,
    LabelledDirect,
    LocalDivergence,
    LocalExpectation,
    LocalSearch,
    PairwiseBinary,
    PerturbedArgmax,
    Rebar,
    ScoreFunction,
)
from directmax.objectives import LinearCost
from reference import Interaction, all_states, gibbs_probs
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}


def infinite_at_the_last_value(z: Tensor) -> Tensor:
    return (z[..., 0] * 2.0).sum(-1) + torch.where(z[..., -1] > 0, torch.inf, 0.0).sum(-1)


@pytest.mark.parametrize(
    "estimator",
    [
        *(Exact(), LocalExpectation(), ScoreFunction(num_samples=2)),
        *(Direct(), Direct(1.0, two_sided=True), Direct(two_sided=True)),
    ],
    ids=repr,
)
def test_infinite_losses_at_forbidden_values(estimator: Estimator) -> None:
    """Where z has no probability its loss does not matter."""
    logits = random_logits(6, 2, 3).detach()
    logits[..., 2] = -torch.inf
    leaf = logits.clone().requires_grad_()
    loss = estimator(Categorical(leaf), infinite_at_the_last_value, generator=seeded()).loss
    loss.sum().backward()
    assert loss.isfinite().all()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    if isinstance(estimator, Exact):
        probs = logits.softmax(-1)
        torch.testing.assert_close(loss, 2 * probs[..., 0].sum(-1), **EXACT)


@pytest.mark.parametrize("variables", [1, 2])
@pytest.mark.parametrize(
    "estimator",
    [
        *(Exact(), LocalExpectation(), LocalDivergence(), ScoreFunction(num_samples=2)),
        *(Direct(), Direct(1.0, two_sided=True), Direct(rao_blackwell=True), LocalSearch()),
    ],
    ids=repr,
)
def test_infinite_costs_in_a_table(estimator: Estimator, variables: int) -> None:
    """As above, of an objective that is asked for all its values at once."""
    logits = random_logits(6, variables, 3).detach()
    logits[..., 1] = -torch.inf
    leaf = logits.clone().requires_grad_()
    cost = torch.tensor([1.0, torch.inf, 2.0], dtype=torch.float64).expand(variables, 3)
    loss = estimator(Categorical(leaf), LinearCost(cost), generator=seeded()).loss
    loss.sum().backward()
    assert loss.isfinite().all()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert bool((leaf.grad[..., 1] == 0).all())
    if isinstance(estimator, Exact):
        expected = (logits.softmax(-1)[..., [0, 2]] @ cost[0, [0, 2]]).sum(-1)
        torch.testing.assert_close(loss, expected, **EXACT)


@pytest.mark.parametrize("estimator", [Exact(), LocalExpectation(), CorrectedDirect()], ids=repr)
def test_infinite_losses_at_allowed_values_are_named(estimator: Estimator) -> None:
    """Also where such a value is not drawn: the expectation is infinite."""
    logits = random_logits(1, 1, 3).detach()
    logits[..., 2] -= 30
    q = Categorical(logits.requires_grad_())
    with pytest.raises(ValueError, match=r"^the objective must not be NaN, nor, at .*, infinite"):
        estimator(q, infinite_at_the_last_value, generator=seeded())


@given(st.integers(1, 4), st.integers(2, 4), st.integers(0, 2**16), st.floats(0.0, 0.7))
def test_local_gradients_under_masks_by_enumeration(
    n: int, k: int, seed: int, share: float
) -> None:
    """The mean over all z, weighted by q, is the gradient of the expectation."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, n, k, generator=g, dtype=torch.float64)
    forbidden = torch.rand(1, n, k, generator=g) < share
    forbidden[..., int(seed) % k] = False
    logits = logits.masked_fill(forbidden, -torch.inf).requires_grad_()
    f = Interaction(1, n, k).requires_grad_(False)
    table = f(all_states(n, k).unsqueeze(1)).T
    probs = Categorical(logits).log_prob_table().exp()
    (expected,) = torch.autograd.grad((probs * table).sum(), logits)
    (found,) = torch.autograd.grad(Exact()(Categorical(logits), f).loss.sum(), logits)
    torch.testing.assert_close(found, expected.nan_to_num(), **EXACT)
    states, weights = all_states(n, k), probs.detach()[0]
    leaf = logits.detach().expand(len(states), -1, -1).clone().requires_grad_()
    q = Drawn(leaf, states[None])
    for estimator in (LocalExpectation(), ScoreFunction(baseline="none")):
        (each,) = torch.autograd.grad(estimator(q, f).loss.sum(), leaf)
        mean = torch.einsum(
            "s,snk->nk", weights, each.masked_fill((weights == 0)[:, None, None], 0)
        )
        torch.testing.assert_close(mean, expected[0].nan_to_num(), **EXACT)


class Drawn(Categorical):
    """Independent variables of which the sample is given."""

    def __init__(self, logits: Tensor, z: Tensor) -> None:
        super().__init__(logits, validate=False)
        self.z = z

    def sample(self, num_samples: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
        return self.z


@pytest.mark.parametrize("epsilon", [1.0, "auto"])
@pytest.mark.parametrize("two_sided", [False, True])
def test_a_state_of_infinite_loss_is_never_chosen(epsilon: float | str, two_sided: bool) -> None:
    logits = random_logits(500, 2, 3)
    q = Categorical(logits, validate=False)
    estimate = Direct(epsilon, two_sided=two_sided)(  # type: ignore[arg-type]
        q, infinite_at_the_last_value, generator=seeded()
    )
    finite = estimate.loss.isfinite()
    assert 0 < finite.sum() < 500
    (gradient,) = torch.autograd.grad(estimate.loss[finite].sum(), logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("n", [3, 8])
def test_coupled_variables_against_enumeration_of_what_is_allowed(n: int) -> None:
    g = torch.Generator().manual_seed(n)
    unary = torch.randn(3, n, 2, generator=g, dtype=torch.float64)
    pairwise = torch.randn(3, n * (n - 1) // 2, generator=g, dtype=torch.float64)
    unary[0, 0, 1] = unary[1, 2, 0] = unary[2, 1, 0] = -torch.inf
    q = PairwiseBinary(unary.requires_grad_(), pairwise)
    replaced = torch.where(unary == -torch.inf, -1e4, unary)
    probs = gibbs_probs(replaced, pairwise)
    states = all_states(n, 2)
    torch.testing.assert_close(q.log_prob_table().exp(), probs, **EXACT)
    entropy = -(probs * probs.clamp_min(1e-300).log()).sum(-1)
    torch.testing.assert_close(q.entropy(), entropy, **EXACT)
    marginals = torch.einsum("bs,snk->bnk", probs, states)
    torch.testing.assert_close(q.marginals(), marginals, **EXACT)
    torch.testing.assert_close(q.log_prob_states(states).exp(), probs, **EXACT)
    every = states.unsqueeze(1).expand(-1, 3, -1, -1)
    torch.testing.assert_close(q.log_prob(every).exp().T, probs, **EXACT)
    (slope,) = torch.autograd.grad(q.entropy().sum(), unary)
    (wanted,) = torch.autograd.grad(entropy.sum(), unary)
    torch.testing.assert_close(slope, wanted.nan_to_num(), **EXACT)
    both = PairwiseBinary(unary, pairwise, perturbation="states")
    for each in (q, both):
        assert not ((each.sample(50, generator=seeded()) > 0) & (unary == -torch.inf)).any()
    labels = torch.full((3, n), -1)
    labels[0, 0] = 1
    assert q.log_prob_given(_rows(labels))[0] == -torch.inf


def _rows(labels: Tensor) -> Tensor:
    return (labels.unsqueeze(-1) == torch.arange(2)).double()


def test_clamped_argmax_of_masked_couplings_is_unbiased() -> None:
    """With the last of three variables off it is the problem of the other two."""
    unary, pairwise = random_logits(1, 3, 2).detach(), torch.tensor([[1.5, 0.4, -0.7]]).double()
    unary[..., 2, 1] = -torch.inf
    objective = Interaction(1, 3, 2).requires_grad_(False)

    def gradients(potentials: Tensor, pairs: Tensor, f: object) -> Tensor:
        leaf = potentials.expand(4000, -1, -1).clone().requires_grad_()
        q = PairwiseBinary(leaf, pairs.expand(4000, -1))
        loss = ClampedArgmax()(q, f, generator=seeded()).loss  # type: ignore[arg-type]
        return torch.autograd.grad(loss.sum(), leaf)[0]

    def two(z: Tensor) -> Tensor:
        off = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(*z.shape[:-2], 1, 2)
        return objective(torch.cat([z, off], -2))

    found = gradients(unary, pairwise, objective)
    assert (found[:, 2] == 0).all()
    alone = gradients(unary[:, :2], pairwise[:, :1], two)
    assert_mean(found[:, :2] - alone + alone.mean(0), alone.mean(0))


def test_a_maximiser_sees_finite_potentials_and_may_write_to_them() -> None:
    weights = torch.nn.Parameter(torch.tensor([[[0.0, 3.0], [0.0, 1.0], [0.0, 2.0]]]))

    def two(p: Tensor) -> Tensor:
        assert p.isfinite().all()
        s = p[..., 1] - p[..., 0]
        z = torch.zeros(s.shape, dtype=torch.bool)
        for _ in range(2):
            i = s.argmax(-1, keepdim=True)
            z.scatter_(-1, i, True)
            s.scatter_(-1, i, -1e9)
        p.fill_(-1e9)
        return z

    q = PerturbedArgmax(weights, two)
    assert q.mode()[0, :, 1].tolist() == [1.0, 0.0, 1.0]
    for estimator in (ClampedArgmax(), Direct(), ImplicitMLE(1.0)):
        estimator(q, lambda z: (z[..., 1] ** 2).sum(-1)).loss.sum().backward()
    assert weights[0, :, 1].tolist() == [3.0, 1.0, 2.0]
    masked = torch.tensor([[[0.0, -torch.inf], [0.0, 1.0], [0.0, 2.0]]])
    assert PerturbedArgmax(masked, two).mode()[0, :, 1].tolist() == [0.0, 1.0, 1.0]
    only_one = torch.tensor([[[0.0, -torch.inf], [0.0, -torch.inf], [0.0, 2.0]]])
    with pytest.raises(ValueError, match=r"^maximise found no z without the forbidden values"):
        PerturbedArgmax(only_one, two).mode()


def test_labels_and_weights_of_binary_variables() -> None:
    weights = torch.randn(4, 3, generator=seeded())
    labels = torch.tensor([[1, 0, 1]] * 4)
    stacked = torch.stack([torch.zeros_like(weights), weights], -1)
    for one, other in (
        (PairwiseBinary(weights, torch.ones(4, 3)), PairwiseBinary(stacked, torch.ones(4, 3))),
        (Categorical.binary(weights), Categorical(stacked)),
    ):
        expected = LabelledDirect()(other, labels, generator=seeded()).loss
        for kind in (torch.bool, torch.float32, torch.int32):
            found = LabelledDirect()(one, labels.to(kind), generator=seeded()).loss
            assert torch.equal(found, expected)
    with pytest.raises(ValueError, match="must be 0 or 1"):
        LabelledDirect()(Categorical(stacked), labels * 0.5)


def test_with_all_labels_known_the_solver_is_asked_once() -> None:
    solves = 0

    def solver(p: Tensor) -> Tensor:
        nonlocal solves
        solves += 1
        return p.argmax(-1)

    q = PerturbedArgmax(torch.zeros(4, 3), solver)
    LabelledDirect(num_samples=3)(q, torch.ones(4, 3, dtype=torch.int64))
    assert solves == 1
    LabelledDirect(num_samples=3)(q, torch.tensor([[1, 0, -1]] * 4))
    assert solves == 3


def test_numbers_may_be_of_numpy() -> None:
    estimator = Direct(np.float32(0.5), num_samples=np.int64(2), two_sided=np.True_)
    assert repr(estimator) == repr(Direct(0.5, num_samples=2, two_sided=True))
    learned = Rebar(np.float32(0.5), scale=np.float32(1), learn_every=np.int64(2))
    assert repr(learned) == repr(Rebar(0.5, scale=1.0, learn_every=2))
    with pytest.raises(TypeError, match=r"^two_sided must be True or False, got 'no'"):
        Direct(two_sided="no")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_infinite_numbers_of_numpy(kind: type) -> None:
    assert Direct(kind(0.5)).epsilon == 0.5
    for value in (kind("inf"), kind("nan")):
        with pytest.raises(ValueError, match=r"^epsilon must be a finite number above 0"):
            Direct(value)
    with pytest.raises(ValueError, match=r"^epsilon must be a finite number above 0"):
        Direct(10**400)


def test_assignments_that_are_not_one_hot() -> None:
    coupled = PairwiseBinary(torch.zeros(1, 2), torch.ones(1, 1))
    for q in (Categorical(torch.zeros(1, 2, 2)), coupled):
        with pytest.raises(ValueError, match=r"^z must be one-hot, got \[0.5, 0.5\] at index"):
            q.log_prob(torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]))


@pytest.mark.parametrize("value", [-torch.inf, torch.nan, 1e300])
@pytest.mark.parametrize(
    "estimator", [Direct(), Direct(two_sided=True), LocalSearch(refined=True), ClampedArgmax()]
)
def test_coupled_variables_get_numbers_or_the_loss_is_named(
    estimator: Estimator, value: float
) -> None:
    """What independent variables are refused: a loss of one state that leaves no gradient."""

    def objective(z: Tensor) -> Tensor:
        return torch.where(z[..., 1].prod(-1) > 0, value, z[..., 0, 0])

    for seed in range(3):
        unary = torch.zeros(2, 2, 2, dtype=torch.float64, requires_grad=True)
        q = PairwiseBinary(unary, torch.zeros(2, 1, dtype=torch.float64))
        torch.manual_seed(seed)
        try:
            estimator(q, objective).loss.sum().backward()
        except ValueError as error:
            assert "the objective must not be NaN" in str(error)  # noqa: PT017
        else:
            assert bool(unary.grad.isfinite().all())


@pytest.mark.parametrize("value", [-torch.inf, torch.inf, torch.nan, -1e300])
@pytest.mark.parametrize("estimator", [Direct(), LocalSearch(), LocalSearch(refined=True)])
def test_losses_of_coupled_states_that_cannot_be_do_not_matter(
    estimator: Estimator, value: float
) -> None:
    def objective(z: Tensor) -> Tensor:
        return torch.where(z[..., 0, 1] > 0, value, z[..., 1, 0])

    unary = torch.zeros(2, 2, 2, dtype=torch.float64)
    unary[:, 0, 1] = -torch.inf
    found = []
    for other in (value, 0.0):
        value = other
        q = PairwiseBinary(unary.clone().requires_grad_(), torch.ones(2, 1, dtype=torch.float64))
        loss = estimator(q, objective, generator=torch.Generator().manual_seed(0)).loss
        found.append((loss, torch.autograd.grad(loss.sum(), q.unary)[0][:, 1]))
    torch.testing.assert_close(*found)
