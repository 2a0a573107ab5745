"""Divergence under the worst step, and information: against plain formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from directmax.models._regularity import adversarial_divergence, information

EXACT = {"rtol": 0, "atol": 1e-9}


def linear(seed: int = 0) -> nn.Linear:
    g = torch.Generator().manual_seed(seed)
    layer = nn.Linear(4, 3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(3, 4, generator=g))
        layer.bias.copy_(torch.randn(3, generator=g))
    return layer


def divergence(layer: nn.Module, image: Tensor, step: Tensor) -> Tensor:
    """KL(q(x) ‖ q(x + r)), in plain Python."""
    p, q = (layer(at).softmax(-1) for at in (image, image + step))
    return sum(p[j] * (p[j] / q[j]).log() for j in range(len(p)))


def test_against_the_worst_of_many_steps() -> None:
    """Close to the largest divergence over the sphere, and far above that of a random step."""
    layer, g = linear(), torch.Generator().manual_seed(1)
    images = torch.rand(5, 4, generator=g, dtype=torch.float64)
    radius = 0.2
    found = adversarial_divergence(layer, images, layer(images), radius, generator=g)
    steps = torch.randn(2000, 4, generator=g, dtype=torch.float64)
    steps = radius * steps / steps.norm(dim=-1, keepdim=True)
    for image, value in zip(images, found, strict=True):
        values = torch.stack([divergence(layer, image, step) for step in steps])
        assert float(value.detach()) <= float(values.detach().max()) * 1.02
        assert float(value.detach()) > 1.5 * float(values.detach().mean())


def test_gradient_takes_q_at_the_image_as_given() -> None:
    """Against finite differences of the cross-entropy at the step that was found."""
    layer = linear()
    images = torch.rand(3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def value(target: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(3)
        return adversarial_divergence(layer, images, target, 0.5, generator=g).sum()

    fixed = layer(images).detach()
    (gradient,) = torch.autograd.grad(value(fixed), layer.bias)
    for index in range(3):
        ends = []
        for sign in (1, -1):
            layer.bias.data[index] += sign * 1e-5
            ends.append(float(value(fixed).detach()))
            layer.bias.data[index] -= sign * 1e-5
        # A bias also turns the step a little, which is of second order at its maximum.
        assert abs((ends[0] - ends[1]) / 2e-5 - float(gradient[index])) < 0.05


def test_generator_decides() -> None:
    layer, images = linear(), torch.rand(3, 4, dtype=torch.float64)
    values = [
        adversarial_divergence(
            layer, images, layer(images), 0.5, generator=torch.Generator().manual_seed(0)
        )
        for _ in range(2)
    ]
    assert torch.equal(*values)


@pytest.mark.parametrize("seed", range(3))
def test_information(seed: int) -> None:
    """I(x; z) = Σ_xz p(x) q(z|x) log q(z|x)/q(z) for x uniform over the batch."""
    g = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(6, 4, generator=g, dtype=torch.float64)
    q = logits.softmax(-1)
    mean = q.mean(0)
    expected = sum(q[b, z] / 6 * (q[b, z] / mean[z]).log() for b in range(6) for z in range(4))
    torch.testing.assert_close(information(logits), expected, **EXACT)


def test_information_at_its_ends() -> None:
    sure = 60 * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(float(information(sure)), math.log(4), **EXACT)
    for logits in (sure[:1].expand(5, -1), torch.zeros(5, 4, dtype=torch.float64)):
        torch.testing.assert_close(float(information(logits)), 0.0, **EXACT)
