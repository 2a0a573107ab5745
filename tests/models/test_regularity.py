"""Divergence under the worst step, and information: against plain formulas."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from directmax.models._distortion import turned
from directmax.models._regularity import adversarial, divergence, indecision, shifted

EXACT = {"rtol": 0, "atol": 1e-9}


def linear(seed: int = 0) -> nn.Linear:
    g = torch.Generator().manual_seed(seed)
    layer = nn.Linear(4, 3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(3, 4, generator=g))
        layer.bias.copy_(torch.randn(3, generator=g))
    return layer


def by_hand(layer: nn.Module, image: Tensor, step: Tensor) -> Tensor:
    """KL(q(x) ‖ q(x + r)), in plain Python."""
    p, q = (layer(at).softmax(-1) for at in (image, image + step))
    return sum(p[j] * (p[j] / q[j]).log() for j in range(len(p)))


def test_against_the_worst_of_many_steps() -> None:
    """Close to the largest divergence over the sphere, and far above that of a random step."""
    layer, g = linear(), torch.Generator().manual_seed(1)
    images = torch.rand(5, 4, generator=g, dtype=torch.float64)
    radius = 0.2
    moved = adversarial(layer, images, layer(images), radius, generator=g)
    torch.testing.assert_close((moved - images).norm(dim=-1), torch.full((5,), radius).double())
    found = divergence(layer(images), layer(moved))
    steps = torch.randn(2000, 4, generator=g, dtype=torch.float64)
    steps = radius * steps / steps.norm(dim=-1, keepdim=True)
    for image, step, value in zip(images, moved - images, found, strict=True):
        values = torch.stack([by_hand(layer, image, step) for step in steps]).detach()
        assert abs(float(by_hand(layer, image, step).detach()) - float(value.detach())) < 1e-9
        # A probe of length 1 is long among four pixels: not quite the steepest.
        assert float(values.max()) * 0.6 < float(value.detach()) <= float(values.max()) * 1.02
        assert float(value.detach()) > 1.5 * float(values.mean())


@pytest.mark.parametrize("sure", [40.0, 50.0, 60.0, 80.0, 95.0, 200.0])
def test_the_step_has_its_length_however_sure_q_is(sure: float) -> None:
    """The square of a slope of e⁻⁵⁰ is 0 in float32; a slope of 0 gives a step of 0."""
    layer, images = nn.Linear(4, 3), torch.rand(50, 4)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.0, 0.0, sure]))
    length = (adversarial(layer, images, layer(images), 0.5) - images).norm(dim=-1)
    torch.testing.assert_close(length, torch.where(length > 0, 0.5, 0.0))
    assert sure > 60 or bool((length > 0).all())


def test_the_target_is_a_constant() -> None:
    """The gradient against finite differences of the cross-entropy."""
    target = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: divergence(target.detach(), x), logits)
    divergence(target, logits).sum().backward()
    assert target.grad is None


def test_generator_decides() -> None:
    layer, images = linear(), torch.rand(3, 4, dtype=torch.float64)
    values = [
        adversarial(layer, images, layer(images), 0.5, generator=torch.Generator().manual_seed(0))
        for _ in range(2)
    ]
    assert torch.equal(*values)


def test_shifts() -> None:
    """Every shift of a picture, each about as often; what leaves it is lost, what enters is 0."""
    picture = torch.arange(1.0, 13).view(3, 4)
    padded = nn.functional.pad(picture, (1, 1, 1, 1))
    expected = {
        tuple(padded[i : i + 3, j : j + 4].flatten().tolist()) for i in range(3) for j in range(3)
    }
    images = picture.flatten().expand(900, -1)
    moved = shifted(images, (3, 4), 1, generator=torch.Generator().manual_seed(0))
    found = Counter(tuple(image.tolist()) for image in moved)
    assert set(found) == expected
    assert all(60 < count < 140 for count in found.values())
    assert shifted(images, (3, 4), 0) is images


@pytest.mark.parametrize("seed", range(3))
def test_indecision(seed: int) -> None:
    """E H(z|x) − 2 H(z), for x uniform over the batch."""
    g = torch.Generator().manual_seed(seed)
    q = (3 * torch.randn(6, 4, generator=g, dtype=torch.float64)).softmax(-1)
    conditional = -sum(q[b, z] / 6 * q[b, z].log() for b in range(6) for z in range(4))
    mean = [sum(q[b, z] for b in range(6)) / 6 for z in range(4)]
    marginal = -sum(p * p.log() for p in mean)
    torch.testing.assert_close(indecision(q.log()), conditional - 2 * marginal, **EXACT)


def test_indecision_with_shares() -> None:
    """E H(z|x) + 2 KL(q ‖ s) − 2 log k; equal shares change nothing, and s itself costs nothing."""
    g = torch.Generator().manual_seed(0)
    q = (3 * torch.randn(6, 4, generator=g, dtype=torch.float64)).softmax(-1)
    shares = torch.rand(4, generator=g, dtype=torch.float64).softmax(-1)
    conditional, mean = -(q * q.log()).sum(-1).mean(), q.mean(0)
    expected = conditional + 2 * (mean * (mean / shares).log()).sum() - 2 * math.log(4)
    torch.testing.assert_close(indecision(q.log(), shares), expected, **EXACT)
    equal = torch.full((4,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(indecision(q.log(), equal), indecision(q.log()), **EXACT)
    right = mean.log().expand(5, -1)
    used = indecision(right, mean) + (mean * mean.log()).sum() + 2 * math.log(4)
    assert abs(float(used)) < 1e-12


def test_indecision_at_its_ends() -> None:
    sure = 60 * torch.eye(4, dtype=torch.float64)
    one, none = sure[:1].expand(5, -1), torch.zeros(5, 4, dtype=torch.float64)
    for logits, expected in ((sure, -2 * math.log(4)), (one, 0.0), (none, -math.log(4))):
        torch.testing.assert_close(float(indecision(logits)), expected, **EXACT)


@pytest.mark.parametrize("size", [(8, 1), (1, 8), (1, 1), (28, 28)])
def test_half_precision_turns_images_as_float32(size: tuple[int, int]) -> None:
    """Images come in bfloat16 where a training runs in it; places in it would be off."""
    images = torch.rand(20, 1, *size).round()
    for kind in (torch.bfloat16, torch.float16):
        found = turned(images.to(kind), 1.0, generator=torch.Generator().manual_seed(0))
        expected = turned(images, 1.0, generator=torch.Generator().manual_seed(0))
        assert torch.equal(found, expected.to(kind))
