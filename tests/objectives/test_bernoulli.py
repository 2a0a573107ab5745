"""Bernoulli losses: against torch's cross-entropy, all pairs at once, and their gradients."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from directmax.objectives import bernoulli_loss, bernoulli_table

EXACT = {"rtol": 0, "atol": 1e-9}


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=g, dtype=torch.float64)


def images_of(batch_size: int, num_pixels: int, *, gray: bool) -> Tensor:
    g = torch.Generator().manual_seed(9)
    images = torch.rand(batch_size, num_pixels, generator=g, dtype=torch.float64)
    return images if gray else images.round()


def cross_entropy(logits: Tensor, images: Tensor) -> Tensor:
    images = images.expand_as(logits)
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum(-1)


@given(
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(0, 3),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from([1.0, 30.0, 800.0]),
)
def test_loss_is_the_cross_entropy(
    leading: list[int], batch_size: int, num_pixels: int, gray: bool, scale: float
) -> None:
    logits = draw(*leading, batch_size, num_pixels, scale=scale)
    images = images_of(batch_size, num_pixels, gray=gray)
    expected = cross_entropy(logits, images)
    torch.testing.assert_close(bernoulli_loss(logits, images), expected, rtol=1e-14, atol=1e-9)


@given(
    st.integers(1, 4),
    st.integers(0, 4),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from([1.0, 30.0, 800.0]),
)
def test_table_holds_the_loss_of_every_pair(
    num_codes: int, batch_size: int, num_pixels: int, gray: bool, scale: float
) -> None:
    logits = draw(num_codes, num_pixels, scale=scale)
    images = images_of(batch_size, num_pixels, gray=gray)
    table = bernoulli_table(logits, images)
    pairs = logits.expand(batch_size, -1, -1)
    torch.testing.assert_close(
        table, cross_entropy(pairs, images.unsqueeze(1)), rtol=1e-14, atol=1e-9
    )


def test_table_gradient() -> None:
    logits = draw(3, 5, scale=3.0).requires_grad_()
    images = images_of(4, 5, gray=True)
    assert torch.autograd.gradcheck(lambda rows: bernoulli_table(rows, images), logits)


def test_loss_gradient() -> None:
    logits = draw(2, 4, 5, scale=3.0).requires_grad_()
    images = images_of(4, 5, gray=True)
    assert torch.autograd.gradcheck(lambda rows: bernoulli_loss(rows, images), logits)


def test_table_gradient_far_out() -> None:
    """σ(L) and the slope of softplus agree where both are flat."""
    logits = torch.tensor([[900.0, -900.0, 41.0, 39.0]], dtype=torch.float64, requires_grad=True)
    images = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    bernoulli_table(logits, images).sum().backward()
    expected = torch.sigmoid(logits.detach()) - images
    torch.testing.assert_close(logits.grad, expected, **EXACT)


def test_perfect_reconstruction_costs_nothing() -> None:
    images = torch.tensor([[1.0, 0.0]])
    logits = 200 * (2 * images - 1)
    assert bernoulli_loss(logits, images).tolist() == [0.0]
    assert bernoulli_table(logits, images).tolist() == [[0.0]]
