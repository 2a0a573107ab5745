"""Models whose weights are of half precision: every kind trains, and is close to float64."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from directmax import (
    AttributeDecoder,
    AttributeEncoder,
    AttributeVAE,
    Decoder,
    DiscreteVAE,
    Encoder,
    ImageDecoder,
    ImageTrunk,
    LocalExpectation,
    LocalSearch,
    MixedEncoder,
    MixedVAE,
    PairwiseEncoder,
)

B, SIZE, PIXELS = 5, 4, 16


def plain() -> DiscreteVAE:
    decoder = nn.Sequential(nn.Flatten(), nn.Linear(12, PIXELS))
    return DiscreteVAE(Encoder(PIXELS, 3, 4), decoder, LocalExpectation())


def convolutional() -> DiscreteVAE:
    shape = (SIZE, SIZE)
    encoder = Encoder(PIXELS, 3, 4, hidden=8, trunk=ImageTrunk(shape, 8))
    return DiscreteVAE(encoder, ImageDecoder(3, 4, shape), LocalExpectation())


def coupled() -> DiscreteVAE:
    return DiscreteVAE(PairwiseEncoder(PIXELS, 4), Decoder(4, 2, PIXELS), LocalSearch())


def mixed() -> MixedVAE:
    return MixedVAE(MixedEncoder(PIXELS, 4, 3), Decoder(4, 3, PIXELS), LocalExpectation())


def attributes() -> AttributeVAE:
    shape = (1, SIZE, SIZE)
    return AttributeVAE(
        AttributeEncoder(shape, 2, 6), AttributeDecoder(shape, 2, 6), LocalExpectation()
    )


def terms(model: nn.Module, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """The loss of images, and of one with a label where the model takes them; and the KL term."""
    bits = torch.rand(B, PIXELS).round()
    images = bits.to(kind)
    labels: Tensor | None = torch.tensor([1])
    if isinstance(model, DiscreteVAE):
        found = model(images)
        return (found.reconstruction + found.kl).mean(), found.kl
    if isinstance(model, AttributeVAE):
        images = (255 * bits).byte().view(B, 1, SIZE, SIZE)
        labels = torch.tensor([[1, 0]])
    found = model(images, labelled=images[:1], labels=labels)
    loss = (found.reconstruction + found.kl).mean() + found.labelled.mean()
    return loss + found.supervision.mean(), found.kl


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("build", [plain, convolutional, coupled, mixed, attributes])
def test_a_step_in_half_precision(build: Callable[[], nn.Module], kind: torch.dtype) -> None:
    model = build()
    found = []
    for each in (copy.deepcopy(model).to(kind), model.double()):
        torch.manual_seed(0)
        loss, kl = terms(each, next(each.parameters()).dtype)
        loss.backward()
        for weight in each.parameters():
            assert weight.grad is None or weight.grad.isfinite().all()
        found.append((loss.detach().double(), kl.detach().double()))
    (loss, kl), (exact, wanted) = found
    torch.testing.assert_close(kl, wanted, rtol=0.05, atol=0.05)
    tolerance = 0.05 if isinstance(model, DiscreteVAE) else 0.3  # other Gaussian noise
    torch.testing.assert_close(loss, exact, rtol=tolerance, atol=0)


@pytest.mark.parametrize("build", [convolutional, mixed])
def test_images_of_another_type(build: Callable[[], nn.Module]) -> None:
    for kind in (torch.float16, torch.float64):
        with pytest.raises(TypeError, match=r"images must be torch.float32 on cpu, as the encoder"):
            terms(build(), kind)
