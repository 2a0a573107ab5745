"""f of binary attributes: tables against single decodings, estimators against enumeration."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from directmax import AttributeReconstruction, Categorical, Direct, Exact, LocalExpectation
from directmax.distributions import enumerate_states
from directmax.objectives import gaussian_loss, single_change_losses, state_losses
from significance import assert_mean

N, B, C = 3, 4, 2
EXACT = {"rtol": 0, "atol": 1e-9}
KIND = torch.float64


def problem() -> tuple[AttributeReconstruction, nn.Module]:
    """Small linear networks on random images, in float64."""
    torch.manual_seed(0)
    head, decoder = nn.Linear(N, 2 * C).double(), nn.Linear(C + N, 8).double()
    images = torch.randint(256, (B, 2, 2, 2), dtype=torch.uint8)
    shift = torch.randn(B, 2 * C, dtype=KIND)

    def gaussians(bits: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = (head(bits) + shift).chunk(2, -1)
        return mean, log_variance

    def decode(code: Tensor, bits: Tensor) -> Tensor:
        return decoder(torch.cat([code, bits], -1)).unflatten(-1, (2, 2, 2))

    loss = lambda mean, x: gaussian_loss(mean, torch.tensor(0.0).double(), x)  # noqa: E731
    noise = torch.randn(B, C, dtype=KIND)
    objective = AttributeReconstruction(decode, gaussians, loss, images, noise, kl_weight=1.5)
    return objective, nn.ModuleList([head, decoder])


def table_of(objective: AttributeReconstruction) -> Tensor:
    """f of every assignment, one call each."""
    states = enumerate_states(N, 2, dtype=KIND)
    columns = [objective(state.expand(B, -1, -1)) for state in states]
    return torch.stack(columns, 1)


@pytest.mark.parametrize("most", [1, 3 * B, 256])
def test_tables(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the chunks, no call has more images than asked for, or one assignment of each."""
    monkeypatch.setattr("directmax.objectives._attribute_reconstruction.CHUNK_IMAGES_CPU", most)
    objective, _ = problem()
    table = table_of(objective)
    decoded = []
    decode = objective.decoder
    objective.decoder = lambda code, bits: (
        decoded.append(bits[..., 0].numel()) or decode(code, bits)
    )
    torch.testing.assert_close(state_losses(objective, (B, N, 2), dtype=KIND), table, **EXACT)
    assert sum(decoded) == 8 * B
    states = enumerate_states(N, 2, dtype=KIND)
    z = states[5].expand(B, -1, -1)
    changes = single_change_losses(objective, z, losses=table[:, 5])
    assert sum(decoded) == 8 * B + N * B
    assert max(decoded) <= max(most, B)
    torch.testing.assert_close(single_change_losses(objective, z), changes, **EXACT)
    for i in range(N):
        for j in range(2):
            changed = states[5].clone()
            changed[i] = nn.functional.one_hot(torch.tensor(j), 2).double()
            index = int((states == changed).all(-1).all(-1).nonzero())
            torch.testing.assert_close(changes[:, i, j], table[:, index], **EXACT)


def test_the_gaussian_kl() -> None:
    objective, _ = problem()
    z = enumerate_states(N, 2, dtype=KIND)[3].expand(B, -1, -1)
    mean, log_variance = objective.gaussians(z[..., 1])
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    kl = torch.distributions.kl_divergence(normal, standard).sum(-1)
    losses, part = objective.parts(z)
    torch.testing.assert_close(part, kl, **EXACT)
    torch.testing.assert_close(objective(z), losses + 1.5 * kl, **EXACT)


def gradient(estimator, objective, logits: Tensor, g: torch.Generator) -> Tensor:  # type: ignore[no-untyped-def]
    loss = estimator(Categorical(logits), objective, generator=g).loss.sum()
    return torch.autograd.grad(loss, logits)[0]


def test_estimators_against_enumeration() -> None:
    """Exact, the mean of local expectation, and the direction of direct."""
    objective, _ = problem()
    g = torch.Generator().manual_seed(1)
    logits = torch.randn(B, N, 2, generator=g, dtype=KIND, requires_grad=True)
    q = Categorical(logits)
    weights = q.log_prob_table().exp()
    expected = torch.autograd.grad((weights * table_of(objective).detach()).sum(), logits)[0]
    torch.testing.assert_close(gradient(Exact(), objective, logits, g), expected, **EXACT)
    repeat = partial(gradient, objective=objective, logits=logits, g=g)
    local = torch.stack([repeat(LocalExpectation()) for _ in range(800)])
    assert_mean(local, expected)
    direct = torch.stack([repeat(Direct(0.2, two_sided=True, num_samples=20)) for _ in range(200)])
    similarity = torch.cosine_similarity(direct.mean(0).flatten(), expected.flatten(), dim=0)
    assert similarity > 0.9


def test_refused() -> None:
    objective, _ = problem()
    with pytest.raises(ValueError, match="z must be one-hot of binary variables for the 4 images"):
        objective(torch.zeros(3, N, 2, dtype=KIND))
