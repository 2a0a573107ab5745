"""DiscreteVAE: loss terms, gradients against enumeration, bounds, mixed precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directmax import (
    Decoder,
    Direct,
    DiscreteVAE,
    Encoder,
    Estimator,
    Exact,
    GumbelSoftmax,
    LocalExpectation,
)
from directmax.models import Bound, LossTerms, _bound
from reference import all_states
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}
PIXELS = 5


def make(
    estimator: Estimator, num_variables: int = 1, num_values: int = 3, num_pixels: int = PIXELS
) -> DiscreteVAE:
    """A small model in float64 with parameters of size one, far from uniform."""
    model = DiscreteVAE(
        Encoder(num_pixels, num_variables, num_values, hidden=4),
        Decoder(num_variables, num_values, num_pixels, hidden=4),
        estimator,
    ).double()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g, dtype=torch.float64))
    return model


def pictures(count: int, num_pixels: int = PIXELS) -> Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.rand(count, num_pixels, generator=g, dtype=torch.float64).round()


def by_hand(model: DiscreteVAE, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E_q[−log p(x|z)], KL(q ‖ uniform) and −log p(x), state by state; differentiable."""
    factors = model.encoder(images).softmax(-1)  # (b, n, k)
    states = all_states(*factors.shape[1:])
    reconstruction = kl = marginal = torch.zeros(len(images), dtype=torch.float64)
    for state in states:
        prob = (factors * state).sum(-1).prod(-1)
        logits = model.decoder(state.expand(len(images), -1, -1))
        loss = F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum(-1)
        reconstruction = reconstruction + prob * loss
        kl = kl + prob * (prob * len(states)).log()
        marginal = marginal + (-loss).exp() / len(states)
    return reconstruction, kl, -marginal.log()


def parameter_gradient(module: nn.Module, value: Tensor) -> Tensor:
    """The gradient with respect to all parameters, as one vector."""
    gradients = torch.autograd.grad(value, list(module.parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


# Training


@pytest.mark.parametrize("num_variables", [1, 2])
def test_terms_and_gradients_with_the_exact_estimator(num_variables: int) -> None:
    model, images = make(Exact(), num_variables), pictures(6)
    terms = model(images)
    assert isinstance(terms, LossTerms)
    reconstruction, kl, _ = by_hand(model, images)
    torch.testing.assert_close(terms.reconstruction, reconstruction, **EXACT)
    torch.testing.assert_close(terms.kl, kl, **EXACT)
    for actual, wanted in ((terms.reconstruction, reconstruction), (terms.kl, kl)):
        torch.testing.assert_close(
            parameter_gradient(model.encoder, actual.sum()),
            parameter_gradient(model.encoder, wanted.sum()),
            **EXACT,
        )
    torch.testing.assert_close(
        parameter_gradient(model.decoder, terms.reconstruction.sum()),
        parameter_gradient(model.decoder, reconstruction.sum()),
        **EXACT,
    )


def estimator_cases() -> list[Estimator]:
    return [
        Direct(0.5),
        Direct(two_sided=True, num_samples=2),
        Exact(),
        GumbelSoftmax(0.5),
        LocalExpectation(),
    ]


@pytest.mark.parametrize("estimator", estimator_cases(), ids=lambda e: type(e).__name__)
def test_kl_without_gradient(estimator: Estimator) -> None:
    model, images = make(estimator), pictures(4)
    free = model(images, generator=torch.Generator().manual_seed(2))
    fixed = model(images, generator=torch.Generator().manual_seed(2), kl_gradient=False)
    assert free.kl.requires_grad
    assert not fixed.kl.requires_grad
    torch.testing.assert_close(fixed.kl, free.kl.detach(), **EXACT)
    torch.testing.assert_close(
        parameter_gradient(model.encoder, fixed.reconstruction.sum()),
        parameter_gradient(model.encoder, free.reconstruction.sum()),
        **EXACT,
    )


def test_every_parameter_gets_a_gradient() -> None:
    for estimator in estimator_cases():
        model = make(estimator, num_variables=2)
        terms = model(pictures(50), generator=torch.Generator().manual_seed(2))
        (terms.reconstruction + terms.kl).mean().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("num_variables", [1, 2])
@pytest.mark.parametrize(
    "estimator",
    [Direct(0.1, two_sided=True, num_samples=1500), LocalExpectation(num_samples=1500)],
    ids=lambda e: type(e).__name__,
)
def test_mean_gradients_approach_the_exact_ones(estimator: Estimator, num_variables: int) -> None:
    """Encoder and decoder, through the fast tables; each call averages 1,500 draws."""
    model, images = make(estimator, num_variables), pictures(2)
    g = torch.Generator().manual_seed(3)
    draws = []
    for _ in range(60):
        loss = model(images, generator=g).reconstruction.sum()
        draws.append(parameter_gradient(model, loss))  # encoder, then decoder
    expected = by_hand(model, images)[0].sum()
    wanted, actual = parameter_gradient(model, expected), torch.stack(draws)
    split = sum(parameter.numel() for parameter in model.encoder.parameters())
    assert_mean(actual[:, :split], wanted[:split])
    assert_mean(actual[:, split:], wanted[split:])


def test_training_lowers_the_bound() -> None:
    images = pictures(40)
    for estimator in estimator_cases()[1:]:
        model = make(estimator, num_variables=2)
        before = model.bound(images).bound.mean()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        g = torch.Generator().manual_seed(4)
        for _ in range(40):
            optimizer.zero_grad()
            terms = model(images, generator=g)
            (terms.reconstruction + terms.kl).mean().backward()
            optimizer.step()
        assert model.bound(images).bound.mean() < 0.8 * before


def test_a_generator_decides() -> None:
    model, images = make(Direct(0.5)), pictures(20)
    state = torch.get_rng_state()
    first = model(images, generator=torch.Generator().manual_seed(1))
    again = model(images, generator=torch.Generator().manual_seed(1))
    other = model(images, generator=torch.Generator().manual_seed(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.reconstruction, again.reconstruction)
    assert not torch.equal(first.reconstruction, other.reconstruction)


def test_the_estimators_step_travels_with_the_model() -> None:
    model = make(Direct())
    model(pictures(2))
    assert model.estimator.step == 1
    model.eval()(pictures(2))
    model.bound(pictures(2))
    assert model.estimator.step == 1
    other = make(Direct())
    other.load_state_dict(model.state_dict())
    assert other.estimator.step == 1


def test_the_estimator_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^estimator must be an Estimator.*got str$"):
        DiscreteVAE(Encoder(4, 1, 2), Decoder(1, 2, 4), "direct")


# Bounds


@pytest.mark.parametrize("num_variables", [1, 3])
def test_bound_by_enumeration(num_variables: int) -> None:
    model, images = make(Exact(), num_variables), pictures(9)
    bound = model.bound(images)
    reconstruction, kl, nll = by_hand(model, images)
    assert isinstance(bound, Bound)
    assert bound.num_samples is None
    assert not bound.bound.requires_grad
    torch.testing.assert_close(bound.reconstruction, reconstruction.detach(), **EXACT)
    torch.testing.assert_close(bound.kl, kl.detach(), **EXACT)
    torch.testing.assert_close(bound.nll, nll.detach(), **EXACT)
    torch.testing.assert_close(bound.bound, (reconstruction + kl).detach(), **EXACT)
    assert (bound.bound >= bound.nll).all()


def test_the_bound_is_tight_at_the_posterior() -> None:
    """One image, whose exact posterior is put into the encoder's last bias."""
    model, images = make(Exact()), pictures(1)
    losses = torch.stack(
        [
            F.binary_cross_entropy_with_logits(model.decoder(s)[None], images, reduction="sum")
            for s in all_states(1, 3)
        ]
    )
    with torch.no_grad():
        model.encoder.layers[2].weight.zero_()
        model.encoder.layers[2].bias.copy_(-losses)
    bound = model.bound(images)
    torch.testing.assert_close(bound.bound, bound.nll, **EXACT)


def test_sampled_bound_agrees_with_the_exact_one() -> None:
    model, images = make(Exact(), 2), pictures(3)
    exact = model.bound(images)
    many = images.repeat_interleave(20_000, 0)
    g = torch.Generator().manual_seed(5)
    sampled = model.bound(many, max_states=8, num_samples=2, generator=g)
    assert sampled.num_samples == 2
    assert sampled.nll is None
    assert_mean(sampled.reconstruction.unflatten(0, (3, -1)).T, exact.reconstruction)
    torch.testing.assert_close(sampled.kl.unflatten(0, (3, -1))[:, 0], exact.kl, **EXACT)


def test_more_samples_vary_less() -> None:
    model = make(Exact(), 2)
    many = pictures(1).expand(4000, -1)
    spread = [
        model.bound(many, max_states=8, num_samples=s, generator=torch.Generator().manual_seed(6))
        .reconstruction.var()
        .item()
        for s in (1, 10)
    ]
    assert spread[0] / spread[1] == pytest.approx(10, rel=0.2)


@pytest.mark.parametrize("limit", [1, 7, 64, 1000])
@pytest.mark.parametrize("max_states", [2**16, 8])
def test_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, limit: int, max_states: int
) -> None:
    model, images = make(Exact(), 2), pictures(11)
    whole = model.bound(images, max_states=max_states, num_samples=4)
    monkeypatch.setattr(_bound, "TABLE_ELEMENTS", limit)
    monkeypatch.setattr(_bound, "BLOCK_STATES", min(limit, 3))
    parts = model.bound(images, max_states=max_states, num_samples=4)
    assert parts.reconstruction.shape == (11,)
    torch.testing.assert_close(parts.kl, whole.kl, **EXACT)
    if max_states > 8:
        torch.testing.assert_close(parts.reconstruction, whole.reconstruction, **EXACT)
        torch.testing.assert_close(parts.nll, whole.nll, **EXACT)


def test_bound_without_images() -> None:
    bound = make(Exact(), 2).bound(pictures(0))
    assert bound.bound.shape == bound.nll.shape == (0,)


def test_a_bound_needs_samples() -> None:
    with pytest.raises(ValueError, match=r"^num_samples must be an integer of at least 1, got 0"):
        make(Exact(), 2).bound(pictures(2), max_states=8, num_samples=0)


def test_the_bound_of_a_hopeless_image_is_finite() -> None:
    """Losses of thousands of nats: exp(−loss) underflows, the bound does not."""
    model = make(Exact(), num_pixels=400)
    with torch.no_grad():
        model.decoder.last.bias.fill_(60.0)
    bound = model.bound(torch.zeros(2, 400, dtype=torch.float64))
    assert (bound.nll > 10_000).all()
    assert bound.nll.isfinite().all()
    assert (bound.bound >= bound.nll - 1e-9).all()


# Mixed precision


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def large(estimator: Estimator, num_variables: int) -> tuple[DiscreteVAE, Tensor]:
    """A float32 model of 196 pixels, losses of about 136 nats, as at the start of training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DiscreteVAE(
            Encoder(196, num_variables, 4, hidden=50),
            Decoder(num_variables, 4, 196, hidden=50),
            estimator,
        )
        return model, torch.rand(16, 196).round()


@pytest.mark.parametrize("num_variables", [1, 3])
@pytest.mark.parametrize(
    "estimator",
    [Exact(), LocalExpectation(), GumbelSoftmax(0.5)],
    ids=lambda e: type(e).__name__,
)
def test_autocast(estimator: Estimator, num_variables: int) -> None:
    """bfloat16 keeps 8 bits: matrix products are off by about 2^-8, sums over pixels must not be.

    A loss that is itself rounded to bfloat16 is off by half a nat at 136 nats, more than the losses
    of two codes differ; the encoder's gradient is then noise.
    """
    model, images = large(estimator, num_variables)
    expected = model(images, generator=torch.Generator().manual_seed(1))
    wanted = parameter_gradient(model, (expected.reconstruction + expected.kl).mean())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = model(images, generator=torch.Generator().manual_seed(1))
    assert actual.reconstruction.dtype == actual.kl.dtype == torch.float32
    gradient = parameter_gradient(model, (actual.reconstruction + actual.kl).mean())
    # A pixel's loss is off by 2^-8 of its logit (0.1), the sum of 196 by much less than 0.1 nats.
    torch.testing.assert_close(actual.reconstruction, expected.reconstruction, rtol=0, atol=0.1)
    torch.testing.assert_close(actual.kl, expected.kl, rtol=0, atol=0.005)
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    # A few roundings of 2^-8 in a row; differences between codes are small, so theirs weigh more.
    assert relative_error(gradient[encoder:], wanted[encoder:]) < 0.05
    assert relative_error(gradient[:encoder], wanted[:encoder]) < 0.15


@pytest.mark.parametrize("num_variables", [1, 3])
def test_autocast_direct(num_variables: int) -> None:
    """An argmax may flip under rounding, so the mean over many draws is compared."""
    model, images = large(Direct(two_sided=True, num_samples=500), num_variables)
    expected = model(images, generator=torch.Generator().manual_seed(1)).reconstruction.mean()
    wanted = parameter_gradient(model.encoder, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = model(images, generator=torch.Generator().manual_seed(1)).reconstruction.mean()
    assert relative_error(parameter_gradient(model.encoder, actual), wanted) < 0.15


@pytest.mark.parametrize("num_variables", [1, 3])
def test_autocast_bound(num_variables: int) -> None:
    model, images = large(Exact(), num_variables)
    expected = model.bound(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = model.bound(images)
    assert actual.bound.dtype == actual.nll.dtype == torch.float32
    torch.testing.assert_close(actual.bound, expected.bound, rtol=0, atol=0.1)
    torch.testing.assert_close(actual.nll, expected.nll, rtol=0, atol=0.1)
    assert (actual.bound >= actual.nll - 1e-4).all()


def test_uniform_prior_constant() -> None:
    """With equal decoded codes the likelihood is that of any one code: log K cancels."""
    model, images = make(Exact(), 2), pictures(3)
    with torch.no_grad():
        model.decoder.first.weight.zero_()
    bound = model.bound(images)
    torch.testing.assert_close(bound.nll, bound.reconstruction, **EXACT)
    assert bound.kl.max() <= 2 * math.log(3)


def test_prior_terms_of_one_variable_are_exact() -> None:
    """The decoder's: the mean over all codes. The encoder's: of images that are new every time."""
    model, mean = make(Exact()), torch.tensor([0.1, 0.9, 0.5, 0.3, 0.0], dtype=torch.float64)
    terms = model.prior_terms(mean, generator=torch.Generator().manual_seed(3))
    logits = model.decoder(torch.eye(3, dtype=torch.float64).unsqueeze(1))
    losses = F.binary_cross_entropy_with_logits(
        logits, mean.expand(3, PIXELS), reduction="none"
    ).sum(-1)
    torch.testing.assert_close(terms.decoder, losses.mean(), **EXACT)
    encoder = torch.autograd.grad(terms.encoder, [*model.encoder.parameters()], retain_graph=True)
    assert all(bool(gradient.abs().sum() > 0) for gradient in encoder)
    decoder = torch.autograd.grad(
        terms.encoder, [*model.decoder.parameters()], allow_unused=True, retain_graph=True
    )
    assert all(gradient is None for gradient in decoder)  # it is not taught by its own dreams
    other = model.prior_terms(mean, generator=torch.Generator().manual_seed(4))
    assert terms.encoder != other.encoder


def test_dreams_have_the_decoders_distribution() -> None:
    """With an encoder that knows the posterior, −log q(z|x̃) is the entropy of z given x̃."""
    model = make(Exact(), num_values=2, num_pixels=3)
    mean = torch.full((3,), 0.5, dtype=torch.float64)
    probs = model.decoder(torch.eye(2, dtype=torch.float64).unsqueeze(1)).sigmoid()  # (2, 3)
    images = all_states(3, 2)[..., 1]
    joint = (images[:, None] * probs + (1 - images[:, None]) * (1 - probs)).prod(-1) / 2  # (8, 2)
    log_q = model.encoder(images).log_softmax(-1).squeeze(1)
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        draws = torch.stack([model.prior_terms(mean, generator=g).encoder for _ in range(3000)])
    assert_mean(draws, -(joint * log_q).sum().item())
