"""A learned prior: the objective with costs against plain sums, and what a model makes of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from directmax import Decoder, Direct, DiscreteVAE, Encoder, Exact, LocalSearch
from directmax.distributions import enumerate_states
from directmax.models import StructuredEncoder
from directmax.objectives import LinearCost, PlainReconstruction, Reconstruction, WithCost
from directmax.structures import Subsets

D, N, K = 12, 3, 4


def made(kind: type, n: int = N) -> tuple[WithCost, Any, Tensor]:
    torch.manual_seed(0)
    decoder = Decoder(n, K, D, hidden=8).double()
    images = torch.rand(5, D, dtype=torch.float64).round()
    costs = torch.randn(n, K, dtype=torch.float64, requires_grad=True)
    objective = WithCost(kind(decoder, images, reduced=False), LinearCost(costs))

    def plain(z: Tensor) -> Tensor:
        logits = decoder(z.flatten(0, -3)).view(*z.shape[:-2], D)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, images.expand_as(logits), reduction="none"
        )
        return loss.sum(-1) + (z * costs).sum((-2, -1))

    return objective, plain, costs


def codes(samples: int, n: int = N) -> Tensor:
    values = torch.randint(K, (samples, 5, n), generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.one_hot(values, K).double()


@pytest.mark.parametrize("kind", [Reconstruction, PlainReconstruction])
@pytest.mark.parametrize("n", [1, N])
def test_losses_are_those_of_the_sum(kind: type, n: int) -> None:
    objective, plain, _ = made(kind, n)
    z = codes(2, n)
    torch.testing.assert_close(objective(z), plain(z))
    states = enumerate_states(n, K, dtype=torch.float64)
    table = plain(states.unsqueeze(1).expand(-1, 5, -1, -1)).T
    torch.testing.assert_close(objective.state_losses(n, K), table)
    changes = torch.empty(2, 5, n, K, dtype=torch.float64)
    for i in range(n):
        for j in range(K):
            other = z.clone()
            other[..., i, :] = torch.eye(K, dtype=torch.float64)[j]
            changes[..., i, j] = plain(other)
    torch.testing.assert_close(objective.single_change_losses(z), changes)
    losses, found = objective.losses_and_changes(z)
    torch.testing.assert_close((losses, found), (plain(z), changes))
    chosen = torch.zeros(2, 5, 1, dtype=torch.int64)
    values = (z.argmax(-1)[..., :1, None] + torch.arange(1, K)) % K
    one = objective.losses_of_changes(z, chosen, values)
    torch.testing.assert_close(one, changes[..., 0, :].gather(-1, values.flatten(-2)))
    others = torch.stack([codes(2, n).flip(1), z])
    torch.testing.assert_close(objective.losses_and_others(z, others), (plain(z), plain(others)))


@pytest.mark.parametrize("kind", [Reconstruction, PlainReconstruction])
def test_gradient_of_the_costs(kind: type) -> None:
    objective, plain, costs = made(kind)
    z = codes(1)
    for losses in (objective(z), objective.losses_and_changes(z)[0], plain(z)):
        (gradient,) = torch.autograd.grad(losses.sum(), costs)
        torch.testing.assert_close(gradient, z.sum((0, 1)))


def model(n: int = 2, **settings: Any) -> DiscreteVAE:
    torch.manual_seed(0)
    parts = (Encoder(D, n, K, hidden=8), Decoder(n, K, D, hidden=8))
    found = DiscreteVAE(*parts, Exact(), reduced=False, learned_prior=True, **settings).double()
    assert found.prior_logits is not None
    with torch.no_grad():
        found.prior_logits.normal_()
    return found


@pytest.mark.parametrize("refined", [False, True])
def test_bound_and_evidence_by_hand(refined: bool) -> None:
    vae = model(refined=refined)
    images = torch.rand(6, D, dtype=torch.float64).round()
    states = enumerate_states(2, K, dtype=torch.float64)
    prior = vae.prior
    assert prior is not None
    log_prior = (states * prior.log()).sum((-2, -1))  # (K,)
    logits = vae.decoder(states)
    losses = vae.pixels.table(logits, images)
    found = vae.bound(images)
    q = vae.inferred(images).log_prob_states(states)
    kl = (q.exp() * (q - log_prior)).nan_to_num().sum(-1)
    torch.testing.assert_close(found.kl, kl)
    torch.testing.assert_close(found.nll, -torch.logsumexp(log_prior - losses, -1))
    torch.testing.assert_close(found.bound, (q.exp() * losses).sum(-1) + kl)
    assert bool((found.bound >= found.nll - 1e-9).all())
    if refined:
        own = vae.posterior(images).log_prob_states(states)
        amortized = (own.exp() * (losses + own - log_prior)).sum(-1)
        torch.testing.assert_close(found.amortized, amortized)


def test_sampled_bound_has_the_prior() -> None:
    vae = model()
    images = torch.rand(6, D, dtype=torch.float64).round()
    generator = torch.Generator().manual_seed(0)
    sampled = vae.bound(images, max_states=1, num_samples=20_000, generator=generator)
    exact = vae.bound(images)
    torch.testing.assert_close(sampled.kl, exact.kl, atol=0.05, rtol=0)
    torch.testing.assert_close(sampled.bound, exact.bound, atol=0.2, rtol=0)


def test_training_terms_are_the_bound_and_teach_the_prior() -> None:
    vae = model()
    images = torch.rand(6, D, dtype=torch.float64).round()
    terms = vae(images)
    loss = terms.reconstruction + terms.kl
    torch.testing.assert_close(loss.detach(), vae.bound(images).bound)
    loss.mean().backward()
    assert vae.prior is not None
    assert vae.prior_logits is not None
    mean = vae.posterior(images).probs.mean(0)  # the gradient of −E log p_i is p_i − E q_i
    torch.testing.assert_close(vae.prior_logits.grad, vae.prior.detach() - mean.detach())


def test_uniform_at_first_is_the_uniform_prior() -> None:
    vae = model()
    assert vae.prior_logits is not None
    with torch.no_grad():
        vae.prior_logits.zero_()
    plain = DiscreteVAE(vae.encoder, vae.decoder, Exact(), reduced=False)
    images = torch.rand(6, D, dtype=torch.float64).round()
    for name in ("reconstruction", "kl", "nll"):
        ours, theirs = getattr(vae.bound(images), name), getattr(plain.bound(images), name)
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("n", "estimator"), [(1, Direct()), (1, LocalSearch()), (2, Exact()), (2, LocalSearch())]
)
def test_shares_of_groups_are_learned(n: int, estimator: Any) -> None:
    """Three of four images are of one kind: so are three of four codes of the prior."""
    torch.manual_seed(0)
    vae = DiscreteVAE(
        Encoder(D, n, 2, hidden=16), Decoder(n, 2, D, hidden=16), estimator, learned_prior=True
    )
    images = torch.zeros(40, D)
    images[:10] = 1
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.03)
    for _ in range(150):
        terms = vae(images)
        (terms.reconstruction + terms.kl).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(vae.bound(images).bound.mean()) < 2  # of 12 pixels
    bright = vae.decoder(vae.prior_codes(4000)).sigmoid().mean(-1) > 0.5
    assert float(bright.float().mean()) == pytest.approx(0.25, abs=0.04)


def test_prior_terms_weigh_values_by_their_shares() -> None:
    vae = model(n=1)
    mean = torch.full((D,), 0.5, dtype=torch.float64)
    assert vae.prior_logits is not None
    with torch.no_grad():
        vae.prior_logits[:] = torch.tensor([50.0, 0, 0, 0])
    generator = torch.Generator().manual_seed(0)
    logits = vae.decoder(torch.eye(K, dtype=torch.float64).unsqueeze(1))
    images = vae.pixels.draw(logits, torch.Generator().manual_seed(0))
    log_prob = vae.posterior(images.double()).log_prob(torch.eye(K).double().unsqueeze(1))
    terms = vae.prior_terms(mean, generator=generator)
    torch.testing.assert_close(terms.encoder, -log_prob[0])


def test_what_has_no_learned_prior() -> None:
    with pytest.raises(ValueError, match="those of a structure"):
        DiscreteVAE(
            StructuredEncoder(D, Subsets(4, 2)),
            Decoder(4, 2, D),
            Direct(),
            learned_prior=True,
        )

    class Bare(torch.nn.Linear):
        pass

    with pytest.raises(ValueError, match="num_variables and num_values"):
        DiscreteVAE(Bare(D, 4), Decoder(1, 4, D), Direct(), learned_prior=True)


def test_what_gets_no_cost() -> None:
    objective, _, _ = made(Reconstruction)
    with pytest.raises(TypeError, match="objective must be a Reconstruction"):
        WithCost(lambda z: z.sum(), objective.cost)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cost must be a LinearCost"):
        WithCost(objective.objective, torch.zeros(N, K))  # type: ignore[arg-type]
