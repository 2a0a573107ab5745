"""Recorded by torch.export or torch.jit.trace: the same numbers, or one line that refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from directmax import (
    Categorical,
    Direct,
    ImplicitMLE,
    LocalExpectation,
    PerturbedArgmax,
    Rebar,
    Reconstruction,
    refine,
)
from directmax.models import (
    AttributeEncoder,
    ChainEncoder,
    Decoder,
    DiscreteVAE,
    Encoder,
    ImageDecoder,
    MixedEncoder,
    MixedVAE,
    PairwiseEncoder,
    StructuredEncoder,
)
from directmax.structures import Subsets

PIXELS = 12


class Recorded(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def total(z: Tensor) -> Tensor:
    return ((z * torch.arange(6.0).view(3, 2)).sum((-2, -1)) - 1.3) ** 2


@pytest.mark.slow
def test_a_model_is_exported_with_its_gradient() -> None:
    torch.manual_seed(0)
    model = DiscreteVAE(Encoder(PIXELS, 3, 4), Decoder(3, 4, PIXELS), Direct(1.0), reduced=False)
    images = torch.rand(5, PIXELS).round()
    program = torch.export.export(model, (images,)).module()
    found = []
    for each in (model, program):
        torch.manual_seed(1)
        reconstruction, kl = (each(1 - images)[i] for i in (0, 1))
        loss = (reconstruction + kl).sum()
        found.append((loss, *torch.autograd.grad(loss, list(each.parameters()))))
    assert len(found[0]) > 5
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_logits_that_are_looked_at() -> None:
    """A check cannot become part of what is recorded."""
    logits = torch.linspace(-1, 1, 12).view(2, 3, 2)
    module = Recorded(lambda x: Categorical(x).entropy())
    program = torch.export.export(module, (logits,)).module()
    torch.testing.assert_close(program(2 * logits), module(2 * logits))


def test_candidates() -> None:
    """Their compiled code is left out."""
    torch.manual_seed(0)
    f = Reconstruction(Decoder(2, 2, 5, hidden=3), torch.rand(4, 5).round(), reduced=False)
    z = torch.eye(2)[torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0]])]
    program = torch.export.export(Recorded(f.single_change_losses), (z,)).module()
    torch.testing.assert_close(program(1 - z), f.single_change_losses(1 - z))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_a_search() -> None:
    """It goes on to its end, as nobody can ask whether it has arrived."""

    def total(z: Tensor) -> Tensor:
        return ((z * torch.arange(6.0).view(2, 3)).sum((-2, -1)) - 4.3) ** 2

    search = Recorded(lambda x: refine(Categorical(x), total, candidates=0).probs)
    logits = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(search, (torch.zeros(4, 2, 3),)).module()
    torch.testing.assert_close(program(logits), search(logits))
    both = torch.stack([logits, -logits])
    torch.testing.assert_close(torch.func.vmap(search)(both)[0], search(logits))


@pytest.mark.slow
def test_a_mixed_model() -> None:
    """All codes are decoded, as nobody can ask which have weight."""
    torch.manual_seed(0)
    images = torch.rand(4, PIXELS).round()
    model = MixedVAE(MixedEncoder(PIXELS, 4, 3), Decoder(4, 3, PIXELS), LocalExpectation())
    program = torch.export.export(model, (1 - images,)).module()
    found = []
    for each in (model, program):
        torch.manual_seed(1)
        found.append([each(images)[i] for i in (0, 1)])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


def test_convolutions_under_vmap() -> None:
    encoder, images = AttributeEncoder((3, 8, 8), 3, 2, width=2), torch.rand(2, 4, 3, 8, 8)
    found = torch.func.vmap(encoder.features)(images)
    torch.testing.assert_close(found, encoder.features(images.flatten(0, 1)).view(found.shape))


REFUSED = {
    "pairwise": (PairwiseEncoder(PIXELS, 3), "PairwiseBinary cannot be recorded"),
    "chain": (ChainEncoder(PIXELS, 3, 2), "Chain with transitions cannot be recorded"),
    "subset": (StructuredEncoder(PIXELS, Subsets(3, 2)), "Gibbs cannot be recorded"),
    "argmax": (
        Recorded(lambda x: PerturbedArgmax(x, Subsets(PIXELS, 2)).mode()),
        "PerturbedArgmax cannot be recorded",
    ),
    "rsample": (
        Recorded(lambda x: ImplicitMLE().rsample(Categorical.binary(x))),
        "the gradient of rsample cannot be recorded",
    ),
    "rebar": (
        Recorded(lambda x: Rebar()(Categorical.binary(x[:, :3]), total).loss),
        "what differentiates f itself cannot be recorded",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    module, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        torch.export.export(module, (torch.rand(2, PIXELS),))


@pytest.mark.filterwarnings("ignore")  # torch's: the tracer is deprecated
def test_traced() -> None:
    """Networks are; of a distribution the sizes would be no numbers."""
    z = torch.eye(4).expand(5, 4, 4).contiguous()
    decoder = ImageDecoder(4, 4, (8, 8), width=2)
    torch.testing.assert_close(torch.jit.trace(decoder, (z,))(z[:2]), decoder(z[:2]))
    module = Recorded(lambda x: Categorical.binary(x).sample())
    with pytest.raises(TypeError, match=r"Categorical does not work under torch\.jit\.trace"):
        torch.jit.trace(module, (torch.zeros(2, 3),))


def test_symbols_are_named() -> None:
    with pytest.raises(TypeError, match=r"got a Proxy of torch\.fx, .*use torch\.export"):
        torch.fx.symbolic_trace(Encoder(PIXELS, 3, 4))
