"""MixedVAE: terms and gradients against enumeration with given noise, every estimator, bounds."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directmax import (
    Decoder,
    Direct,
    Estimator,
    Exact,
    GumbelSoftmax,
    LabelledDirect,
    LocalExpectation,
    MixedEncoder,
    MixedVAE,
    Rebar,
    ReinMax,
    ScoreFunction,
)
from directmax.estimators import CorrectedDirect, GumbelRao, ImplicitMLE, StraightThrough
from directmax.models._regularity import adversarial, divergence, indecision, shifted
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}
PIXELS, VALUES, DIMENSIONS = 5, 3, 2


def make(estimator: Estimator, supervision: LabelledDirect | None = None) -> MixedVAE:
    """A small model in float64 with parameters of size one, far from uniform."""
    model = MixedVAE(
        MixedEncoder(PIXELS, VALUES, DIMENSIONS, hidden=4),
        Decoder(VALUES, DIMENSIONS, PIXELS, hidden=4),
        estimator,
        supervision=supervision,
    ).double()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in [*model.encoder.parameters(), *model.decoder.parameters()]:
            scale = parameter.shape[-1] ** -0.5
            parameter.copy_(scale * torch.randn(parameter.shape, generator=g).double())
    return model


def pictures(count: int, seed: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.rand(count, PIXELS, generator=g, dtype=torch.float64).round()


def gaussian_noise(count: int, generator: torch.Generator) -> Tensor:
    """What the model draws first: one number for every dimension of every row."""
    return torch.randn(count, VALUES, DIMENSIONS, generator=generator, dtype=torch.float64)


def by_hand(model: MixedVAE, images: Tensor, noise: Tensor, weight: float = 1.0) -> Tensor:
    """f of every image and value given the Gaussian noise, one decoding each; differentiable."""
    _, mean, log_variance = model.encoder(images)
    table = torch.zeros(len(images), VALUES, dtype=torch.float64)
    for b in range(len(images)):
        for j in range(VALUES):
            normal = torch.distributions.Normal(mean[b, j], (log_variance[b, j] / 2).exp())
            prior = torch.distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
            kl = torch.distributions.kl_divergence(normal, prior).sum()
            matrix = F.one_hot(torch.tensor(j), VALUES).unsqueeze(-1) * (
                normal.loc + normal.scale * noise[b, j]
            )
            logits = model.decoder(matrix)
            loss = F.binary_cross_entropy_with_logits(logits, images[b], reduction="sum")
            table = table.index_put(
                (torch.tensor(b), torch.tensor(j)), (loss + weight * kl).reshape(())
            )
    return table


def gradients(module: nn.Module, value: Tensor) -> list[Tensor]:
    return list(
        torch.autograd.grad(value, list(module.parameters()), retain_graph=True, allow_unused=True)
    )


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_terms_and_gradients_with_the_exact_estimator(weight: float) -> None:
    model, images = make(Exact()), pictures(4)
    terms = model(images, generator=torch.Generator().manual_seed(3), kl_weight=weight)
    table = by_hand(model, images, gaussian_noise(4, torch.Generator().manual_seed(3)), weight)
    probs = model.encoder(images).logits.squeeze(1).softmax(-1)
    expected = (probs * table).sum(-1)
    kl = (probs * (probs * VALUES).log()).sum(-1)
    torch.testing.assert_close(terms.reconstruction, expected, **EXACT)
    torch.testing.assert_close(terms.kl, kl, **EXACT)
    gaussian = (probs * model.encoder(images).row_kl()).sum(-1)
    torch.testing.assert_close(terms.gaussian_kl, gaussian.detach(), **EXACT)
    got = gradients(model, (terms.reconstruction + terms.kl).sum())
    wanted = gradients(model, (expected + kl).sum())
    for mine, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, right, **EXACT)


def test_gradients_against_finite_differences() -> None:
    """Of E_q[f] + KL with fixed noise, with respect to some weights of every layer."""
    model, images = make(Exact()), pictures(2)

    def loss() -> Tensor:
        terms = model(images, generator=torch.Generator().manual_seed(3))
        return (terms.reconstruction + terms.kl).sum()

    gradient = gradients(model, loss())
    for parameter, by_model in zip(model.parameters(), gradient, strict=True):
        index = by_model.abs().argmax()
        flat, step = parameter.data.view(-1), 1e-5
        values = []
        for sign in (1, -1):
            flat[index] += sign * step
            values.append(float(loss().detach()))
            flat[index] -= sign * step
        difference = (values[0] - values[1]) / (2 * step)
        assert abs(difference - float(by_model.reshape(-1)[index])) < 1e-6


ESTIMATORS = {
    "direct": Direct(two_sided=True, num_samples=3),
    "corrected-direct": CorrectedDirect(0.5),
    "gumbel-softmax": GumbelSoftmax(0.5),
    "gumbel-rao": GumbelRao(0.5),
    "straight-through": StraightThrough(1.0),
    "reinmax": ReinMax(1.0),
    "rebar": Rebar(0.5),
    "implicit-mle": ImplicitMLE(0.5),
    "score-function": ScoreFunction(num_samples=4),
    "local-expectation": LocalExpectation(),
}


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_estimator_trains_every_parameter(name: str) -> None:
    model, images = make(ESTIMATORS[name]), pictures(3)
    terms = model(images, generator=torch.Generator().manual_seed(0))
    (terms.reconstruction + terms.kl).sum().backward()
    for parameter in [*model.encoder.parameters(), *model.decoder.parameters()]:
        assert parameter.grad is not None
        assert bool(torch.isfinite(parameter.grad).all())
    assert bool((model.encoder.discrete[0].weight.grad != 0).any())


class GivenNoise(MixedVAE):
    """The same Gaussian noise for every image, so that only z is random."""

    def objective(self, images, posterior, *, kl_weight=1.0, generator=None):  # type: ignore[no-untyped-def]
        noise = gaussian_noise(1, torch.Generator().manual_seed(3))
        return (
            super()
            .objective(images, posterior, kl_weight=kl_weight, generator=None)
            .__class__(
                self.decoder, images, posterior.sample(noise), posterior.row_kl() * kl_weight
            )
        )


def test_gradient_of_the_logits_by_enumeration() -> None:
    """With f's own exact table: local expectation has no variance, score function is unbiased."""
    draws, image = 1500, pictures(1)
    exact = make(LocalExpectation())
    exact.__class__ = GivenNoise
    table = by_hand(exact, image, gaussian_noise(1, torch.Generator().manual_seed(3)))
    head = exact.encoder.discrete[2].bias
    probs = exact.encoder(image).logits.squeeze(1).softmax(-1)
    (expected,) = torch.autograd.grad((probs * table.detach()).sum(), head)
    (got,) = torch.autograd.grad(exact(image).reconstruction.sum(), head)
    torch.testing.assert_close(got, expected, **EXACT)

    model = make(ScoreFunction(num_samples=16))
    model.__class__ = GivenNoise
    terms = [
        torch.autograd.grad(model(image, generator=g).reconstruction.sum(), head_)[0]
        for g, head_ in [(torch.Generator().manual_seed(5), model.encoder.discrete[2].bias)]
        for _ in range(draws)
    ]
    assert_mean(torch.stack(terms), expected)


def test_labelled_images() -> None:
    """f at the label, and the loss of the labels; both reach the encoder."""
    model = make(Exact(), LabelledDirect(rao_blackwell=True))
    images, labelled = pictures(4), pictures(3, seed=2)
    labels = torch.tensor([2, 0, 1])
    terms = model(
        images,
        labelled=labelled,
        labels=labels,
        generator=torch.Generator().manual_seed(3),
        kl_weight=1.5,
    )
    g = torch.Generator().manual_seed(3)
    gaussian_noise(4, g)
    noise = torch.randn(3, DIMENSIONS, generator=g, dtype=torch.float64)  # of the label's row
    table = by_hand(model, labelled, noise.unsqueeze(1).expand(-1, VALUES, -1), 1.5)
    expected = table.gather(1, labels.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(terms.labelled, expected, **EXACT)
    logits = model.encoder(labelled).logits.squeeze(1)
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(terms.supervision, cross_entropy, **EXACT)
    got = gradients(model, (terms.labelled + terms.supervision).sum())
    wanted = gradients(model, (expected + cross_entropy).sum())
    for mine, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, right, **EXACT)


@pytest.mark.parametrize(("radius", "shift"), [(0.5, 0), (0.0, 1), (0.5, 1)])
def test_regularity(radius: float, shift: int) -> None:
    """Its parts by hand, with the same random numbers; labelled images are moved too."""
    model = make(Exact(), LabelledDirect(rao_blackwell=True))
    images, labelled, labels = pictures(4), pictures(3, seed=2), torch.tensor([2, 0, 1])
    shape = (1, PIXELS)
    terms = model(
        images,
        labelled=labelled,
        labels=labels,
        generator=torch.Generator().manual_seed(3),
        radius=radius,
        shift=shift,
        shape=shape,
    )
    g = torch.Generator().manual_seed(3)
    gaussian_noise(4, g)
    classify = model.encoder.classify
    logits, near = classify(images), shifted(images, shape, shift, generator=g)
    if radius:
        near = adversarial(classify, near, logits, radius, generator=g)
    expected = divergence(logits, classify(near)) + indecision(logits)
    torch.testing.assert_close(terms.regularity, expected, **EXACT)
    moved = shifted(labelled, shape, shift, generator=g)
    supervision = F.cross_entropy(classify(moved), labels, reduction="none")
    torch.testing.assert_close(terms.supervision, supervision, **EXACT)
    got = gradients(model, terms.regularity.sum() + terms.supervision.sum())
    wanted = gradients(model, expected.sum() + supervision.sum())
    for mine, right in zip(got, wanted, strict=True):
        assert (mine is None) == (right is None)
        if mine is not None:
            torch.testing.assert_close(mine, right, **EXACT)


def test_bound() -> None:
    model, images = make(Exact()), pictures(6)
    bound = model.bound(images, num_samples=2, generator=torch.Generator().manual_seed(3))
    g = torch.Generator().manual_seed(3)
    tables = torch.stack([by_hand(model, images, gaussian_noise(6, g)) for _ in range(2)])
    probs = model.encoder(images).logits.squeeze(1).softmax(-1)
    kl = (probs * (probs * VALUES).log()).sum(-1)
    torch.testing.assert_close(bound.bound, (probs * tables.mean(0)).sum(-1) + kl, **EXACT)
    gaussian = (probs * model.encoder(images).row_kl()).sum(-1)
    torch.testing.assert_close(bound.kl, kl + gaussian, **EXACT)
    assert (bound.nll, bound.num_samples, bound.valid) == (None, 2, True)
    with pytest.raises(ValueError, match="num_samples must be an integer of at least 1"):
        model.bound(images, num_samples=0)


def test_chunks_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images, told = make(Exact()), pictures(7), []
    monkeypatch.setattr("directmax.models._mixed_vae.EVALUATION_BATCH", 3)
    bound = model.bound(images, progress=told.append)
    assert bound.bound.shape == (7,)
    assert told == pytest.approx([1 / 3, 2 / 3, 1])


def test_dropout() -> None:
    """Units of the row network are left out and the others scaled: in the mean the same μ."""
    torch.manual_seed(0)
    encoder = MixedEncoder(PIXELS, VALUES, DIMENSIONS, dropout=0.25).double()
    images = pictures(1).expand(20_000, -1)
    expected = encoder(images[:1])
    generator = torch.Generator().manual_seed(0)
    dropped = encoder(images, dropped=True, generator=generator)
    torch.testing.assert_close(dropped.logits, expected.logits.expand_as(dropped.logits), **EXACT)
    for found, wanted in zip(dropped[1:], expected[1:], strict=True):
        assert len(found.unique(dim=0)) > 19_000
        assert_mean(found.flatten(1), wanted.flatten())
    means, _ = encoder.row(images, torch.ones(20_000, dtype=torch.int64), dropped=True)
    assert_mean(means, expected.mean[0, 1])

    model = MixedVAE(encoder, Decoder(VALUES, DIMENSIONS, PIXELS).double(), Exact())
    again = copy.deepcopy(encoder)
    again.dropout = 0.0
    without = MixedVAE(again, model.decoder, Exact())
    few, labels = pictures(4), torch.tensor([0, 2, 1, 1])
    terms = [  # training drops units of images with labels and without, evaluation none
        each(few, labelled=few, labels=labels, generator=torch.Generator().manual_seed(1))
        for each in (model, without)
    ]
    for name in ("reconstruction", "gaussian_kl", "labelled"):
        assert not torch.isclose(*(getattr(each, name) for each in terms)).any()
    bounds = [m.bound(few, generator=torch.Generator().manual_seed(1)) for m in (model, without)]
    assert torch.equal(bounds[0].bound, bounds[1].bound)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_dropout_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
        MixedEncoder(PIXELS, VALUES, DIMENSIONS, dropout=share)


def test_refused() -> None:
    encoder = MixedEncoder(PIXELS, VALUES, DIMENSIONS)
    with pytest.raises(TypeError, match="estimator must be an Estimator, such as Direct"):
        MixedVAE(encoder, Decoder(VALUES, DIMENSIONS, PIXELS), "direct")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="decoder must take 3 rows of 2 numbers"):
        MixedVAE(encoder, Decoder(VALUES, 4, PIXELS), Direct())
    model = make(Direct())
    with pytest.raises(ValueError, match=r"shape, .height, width., is needed for a shift and a"):
        model(pictures(2), shift=1)
    with pytest.raises(ValueError, match="num_dimensions must be an integer of at least 1"):
        MixedEncoder(PIXELS, VALUES, 0)
