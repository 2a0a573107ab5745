"""Changes that cannot win an argmax are bounded, not decoded: the same z^ε."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from directmax import Categorical, Decoder, Direct, Estimate, Reconstruction
from directmax.objectives import _candidates


def problem(n: int, k: int, b: int = 20) -> tuple[Reconstruction, Tensor]:
    torch.manual_seed(n)
    decoder, images = Decoder(n, k, 40, hidden=30), torch.rand(b, 40).round()
    for weight in decoder.parameters():
        nn.init.normal_(weight)
    return Reconstruction(decoder, images, reduced=False), torch.randn(b, n, k)


@pytest.mark.parametrize(("n", "k"), [(6, 2), (5, 4)])
def test_bounds_are_below_and_the_rest_is_exact(n: int, k: int) -> None:
    objective, logits = problem(n, k)
    z = Categorical(logits).sample(3)
    losses, exact = objective.losses_and_changes(z)
    most = -20 * torch.rand(z.shape)
    again, found = objective.losses_and_changes_below(z, most)
    torch.testing.assert_close(again, losses)
    change, bound = exact - losses[..., None, None], found - losses[..., None, None]
    matters = change < most
    assert 0.02 < matters.float().mean() < 0.8
    torch.testing.assert_close(found[matters], exact[matters])
    others = ~matters & (z == 0)
    assert (bound[others] <= change[others] + 1e-3).all()
    assert (bound[others] >= most[others] - 1e-3).all()
    assert (change - bound)[others].max() > 1  # a bound, where it is one


def estimate(epsilon: float, fast: bool, num_samples: int) -> tuple[Estimate, Tensor]:
    objective, logits = problem(6, 4)
    q = Categorical(logits.requires_grad_())
    if not fast:
        objective.losses_and_changes_below = None  # type: ignore[method-assign, assignment]
    g = torch.Generator().manual_seed(1)
    found = Direct(epsilon, num_samples=num_samples)(q, objective, generator=g)
    found.loss.sum().backward()
    assert logits.grad is not None
    return found, logits.grad


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("num_samples", [1, 3])
def test_the_estimate_is_the_same(
    monkeypatch: pytest.MonkeyPatch, epsilon: float, num_samples: int
) -> None:
    decoded, real = [], _candidates.loss_changes

    def counted(logits: Tensor, change: Tensor, images: Tensor) -> Tensor:
        decoded.append(change.shape[:-1].numel())
        return real(logits, change, images)

    monkeypatch.setattr(_candidates, "loss_changes", counted)
    slow, expected = estimate(epsilon, False, num_samples)
    every = sum(decoded)
    decoded.clear()
    fast, gradient = estimate(epsilon, True, num_samples)
    assert fast.sample is not None
    assert slow.sample is not None
    assert torch.equal(fast.sample, slow.sample)
    torch.testing.assert_close(fast.loss, slow.loss)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, expected)
    assert sum(decoded) < every * (0.9 if epsilon == 1 else 0.6)
