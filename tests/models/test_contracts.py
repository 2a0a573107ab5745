"""What the models refuse, and what their parts may do."""

from __future__ import annotations

import pytest
import torch

from directmax import Categorical, Decoder, Direct, DiscreteVAE, Encoder, Reconstruction


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.randint(256, (2, 6)).float() + 2, "images must be from 0 to 1"),
        (torch.full((2, 6), torch.nan), "images must be from 0 to 1"),
        (torch.zeros(2, 7), "images must have the 6 pixels of the model"),
        (torch.zeros(2, 6, dtype=torch.uint8), "images must be floating point"),
        (torch.zeros(2, 6).double(), r"images must be torch\.float32 on cpu"),
        (torch.zeros(2, 6, device="meta"), r"images must be torch\.float32 on cpu"),
        (torch.zeros(6), "images must have shape"),
    ],
)
def test_images_that_do_not_fit(images: torch.Tensor, words: str) -> None:
    model = DiscreteVAE(Encoder(6, 1, 3), Decoder(1, 3, 6), Direct())
    for call in (model, model.bound):
        with pytest.raises((TypeError, ValueError), match=words):
            call(images)


def test_encoder_and_decoder_of_other_sizes() -> None:
    with pytest.raises(ValueError, match=r"^encoder and decoder must have the same num_values"):
        DiscreteVAE(Encoder(6, 1, 3), Decoder(1, 4, 6), Direct())


@pytest.mark.parametrize("num_variables", [1, 3])
def test_a_decoder_may_work_in_place(num_variables: int) -> None:
    """As with nn.ReLU(inplace=True)."""

    class Plain(torch.nn.Module):
        def __init__(self, inplace: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first = torch.nn.Linear(num_variables * 2, 4)
            self.layers = torch.nn.Sequential(torch.nn.ReLU(inplace=inplace), torch.nn.Linear(4, 6))

        def rest(self, pre_activation: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.layers(pre_activation)
            return out

    images, logits = torch.rand(5, 6).round(), torch.randn(5, num_variables, 2)
    gradients = []
    for inplace in (False, True):
        leaf = logits.clone().requires_grad_()
        objective = Reconstruction(Plain(inplace), images)
        generator = torch.Generator().manual_seed(1)
        Direct(1.0)(Categorical(leaf), objective, generator=generator).loss.sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize(
    "mean", [3, torch.rand(5), torch.rand(2, 6), torch.full((6,), 9.0), torch.ones(6).long()]
)
def test_a_mean_that_is_no_image(mean: object) -> None:
    model = DiscreteVAE(Encoder(6, 1, 4), Decoder(1, 4, 6), Direct())
    with pytest.raises((TypeError, ValueError), match=r"^mean must "):
        model.prior_terms(mean)  # type: ignore[arg-type]
