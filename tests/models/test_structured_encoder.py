"""An auto-encoder whose posterior is a structure's: its bound against enumeration."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from directmax import Decoder, DiscreteVAE, Exact, ScoreFunction
from directmax.distributions import enumerate_states
from directmax.models import StructuredEncoder
from directmax.structures import Chain, Matching, Structure, Subsets
from significance import assert_mean

PIXELS = 5
CASES = {
    "subsets": Subsets(4, 2),
    "chain": Chain(3, 2, torch.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=torch.float64)),
    "matching": Matching(3),
    "some forbidden": Chain(3, 2, torch.tensor([[1.0, -torch.inf], [0.5, 2.0]]).double()),
}


@pytest.fixture(params=CASES)
def structure(request: pytest.FixtureRequest) -> Structure:
    return CASES[request.param]


def make(structure: Structure, estimator: object) -> tuple[DiscreteVAE, Tensor]:
    """A model with parameters of size one, and images."""
    encoder = StructuredEncoder(PIXELS, structure, hidden=4)
    decoder = Decoder(encoder.num_variables, encoder.num_values, PIXELS, hidden=4)
    model = DiscreteVAE(encoder, decoder, estimator).double()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g, dtype=torch.float64))
    return model, torch.rand(6, PIXELS, generator=g, dtype=torch.float64).round()


def by_hand(model: DiscreteVAE, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E_q[−log p(x|z)], KL(q ‖ uniform on Z) and −log p(x), over the states in Z."""
    structure = model.encoder.structure
    states = enumerate_states(
        model.encoder.num_variables, model.encoder.num_values, dtype=torch.float64
    )
    z = structure.from_one_hot(states)
    inside = structure.is_feasible(z.unsqueeze(1)).squeeze(-1)
    states, z = states[inside], z[inside]
    weights = model.encoder.layers(images).unflatten(-1, structure.shape)
    scores = torch.stack([structure.score(weights, each.expand_as(weights)) for each in z], -1)
    logits = model.decoder(states)
    pairs = logits.expand(len(images), *logits.shape), images.unsqueeze(1).expand(-1, len(z), -1)
    losses = F.binary_cross_entropy_with_logits(*pairs, reduction="none").sum(-1)
    log_probs, size = scores.log_softmax(-1), torch.tensor(float(len(z))).double().log()
    kl = (log_probs.exp() * (log_probs + size)).sum(-1)
    return (log_probs.exp() * losses).sum(-1), kl, size - (-losses).logsumexp(-1)


def test_the_bound_is_that_of_enumeration(structure: Structure) -> None:
    model, images = make(structure, ScoreFunction())
    bound = model.bound(images)
    for found, wanted in zip(
        (bound.reconstruction, bound.kl, bound.nll), by_hand(model, images), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
    assert bound.valid
    assert bool((bound.bound >= bound.nll).all())
    sampled = model.bound(
        images, max_states=1, num_samples=20_000, generator=torch.Generator().manual_seed(1)
    )
    assert sampled.valid
    torch.testing.assert_close(sampled.kl, bound.kl)
    torch.testing.assert_close(sampled.reconstruction, bound.reconstruction, rtol=0, atol=0.05)


def test_gradients_are_those_of_enumeration(structure: Structure) -> None:
    model, images = make(structure, Exact())
    parameters = list(model.parameters())
    reconstruction, kl, _ = by_hand(model, images)
    wanted = torch.autograd.grad((reconstruction + kl).sum(), parameters)
    terms = model(images)
    found = torch.autograd.grad((terms.reconstruction + terms.kl).sum(), parameters)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    model.estimator = ScoreFunction(num_samples=50)
    g = torch.Generator().manual_seed(2)
    bias = model.encoder.layers[2].bias
    draws = []
    for _ in range(200):
        terms = model(images, generator=g)
        draws.append(torch.autograd.grad((terms.reconstruction + terms.kl).sum(), bias)[0])
    assert_mean(torch.stack(draws), wanted[3])


@pytest.mark.parametrize(
    "wrong", [Matching(15), Subsets(3, torch.tensor([1, 2])), "subsets"], ids=lambda w: str(w)[:8]
)
def test_refused_in_one_line(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        StructuredEncoder(PIXELS, wrong)
    assert "\n" not in str(error.value)


def test_codes_of_the_prior_are_uniform_on_the_set() -> None:
    encoder = StructuredEncoder(PIXELS, Subsets(4, 2), hidden=4).double()
    codes = encoder.prior_codes(6000, generator=torch.Generator().manual_seed(0))
    assert codes.shape == (6000, 4, 2)
    assert bool((codes[..., 1].sum(-1) == 2).all())
    pairs = codes[:, 0, 1] * codes[:, 1, 1]
    assert_mean(pairs.unsqueeze(-1), torch.tensor([1 / 6], dtype=torch.float64))
    model, images = make(Subsets(4, 2), ScoreFunction())
    terms = model.prior_terms(images.mean(0))
    assert bool(terms.encoder.isfinite())
    with pytest.raises(TypeError, match="potentials of its own"):
        StructuredEncoder(PIXELS, CASES["chain"], hidden=4).prior_codes(2)
