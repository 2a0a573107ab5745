"""AttributeVAE: networks of any size, terms and gradients against enumeration, bounds, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from directmax import (
    ClampedArgmax,
    Direct,
    Estimator,
    Exact,
    GumbelSoftmax,
    LabelledDirect,
    LocalExpectation,
    PairwiseBinary,
)
from directmax.distributions import enumerate_states
from directmax.models import (
    AttributeDecoder,
    AttributeEncoder,
    AttributeVAE,
    _attribute_terms,
    _attribute_vae,
)
from directmax.models._convolutions import NormalizedRectifier
from directmax.models._distortion import distorted, turned
from directmax.objectives import gaussian_kl, gaussian_loss
from significance import assert_mean

SHAPE = (2, 9, 9)
ATTRIBUTES, DIMENSIONS, IMAGES = 3, 2, 4
EXACT = {"rtol": 0, "atol": 1e-8}


def make(
    estimator: Estimator | None = None,
    *,
    kind: str = "independent",
    attributes: int = ATTRIBUTES,
    likelihood: str = "gaussian",
) -> AttributeVAE:
    """A small model in float64 whose attributes matter, with q far from uniform."""
    torch.manual_seed(0)
    model = AttributeVAE(
        AttributeEncoder(SHAPE, attributes, DIMENSIONS, hidden=5, width=3, kind=kind),
        AttributeDecoder(SHAPE, attributes, DIMENSIONS, width=3),
        estimator or Exact(),
        likelihood=likelihood,
        supervision=LabelledDirect(rao_blackwell=True),
    ).double()
    with torch.no_grad():
        for parameter in [*model.encoder.parameters(), *model.decoder.parameters()]:
            parameter.mul_(2)
    return model


def pictures(count: int = IMAGES, seed: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, *SHAPE), generator=g, dtype=torch.uint8)


def noise_of(seed: int, count: int = IMAGES) -> Tensor:
    """What the model draws first with that generator."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIMENSIONS, generator=g, dtype=torch.float64)


def by_hand(
    model: AttributeVAE, images: Tensor, noise: Tensor, kl_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """−log P(x | z, ε_z) and weighted KL of every image and state, one at a time: `(b, K)` each."""
    encoder = model.encoder
    features = encoder.features((images.double() + 0.5) / 256)
    losses, kls = [], []
    for state in enumerate_states(encoder.num_variables, 2, dtype=torch.float64)[..., 1]:
        bits = state.expand(len(images), -1)
        hidden = F.relu(encoder.row(torch.cat([features, 2 * bits - 1], -1)))
        mean, log_variance = encoder.last(hidden).chunk(2, -1)
        code = mean + (log_variance / 2).exp() * noise
        image = model.decoder(code, bits)
        losses.append(gaussian_loss(image, model.log_scale, images))
        kls.append(kl_weight * gaussian_kl(mean, log_variance))
    return torch.stack(losses, 1), torch.stack(kls, 1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 17), (3, 32, 32), (2, 20, 33)])
def test_networks_of_any_size(shape: tuple[int, int, int]) -> None:
    encoder = AttributeEncoder(shape, 2, 3, hidden=4, width=2)
    decoder = AttributeDecoder(shape, 2, 3, width=2)
    images = torch.rand(5, *shape)
    assert encoder.classify(images).marginals().shape == (5, 2, 2)
    bits = torch.ones(6, 5, 2)
    mean, log_variance = encoder.gaussians(encoder.features(images), bits)
    assert mean.shape == log_variance.shape == (6, 5, 3)
    decoded = decoder(mean, bits)
    assert decoded.shape == (6, 5, *shape)
    assert bool(((decoded > 0) & (decoded < 1)).all())


def test_middle_of_a_larger_decoded_image() -> None:
    """17 pixels are cut from 32, whose borders the transposed convolutions know less of."""
    decoder = AttributeDecoder((3, 17, 17), 1, 1, width=2)
    grid = decoder.layers.start(torch.zeros(1, 2)).unflatten(-1, (8, 2, 2))
    whole = decoder.layers.layers(grid).sigmoid()
    middle = decoder(torch.zeros(1, 1), 0.5 * torch.ones(1, 1))
    torch.testing.assert_close(middle, whole[..., 7:24, 7:24])  # memory lies in another order


@pytest.mark.parametrize("kind", ["independent", "pairwise", "supermodular"])
@pytest.mark.parametrize("kl_weight", [1.0, 2.5])
def test_terms_and_gradients_are_those_of_enumeration(kind: str, kl_weight: float) -> None:
    model, images = make(kind=kind), pictures()
    g = torch.Generator().manual_seed(5)
    terms = model(images, generator=g, kl_weight=kl_weight)
    losses, kls = by_hand(model, images, noise_of(5), kl_weight)
    q = model.posterior(images)
    expected = (q.log_prob_table().exp() * (losses + kls)).sum(-1)
    torch.testing.assert_close(terms.reconstruction, expected, **EXACT)
    torch.testing.assert_close(terms.kl, q.kl_to_uniform(), **EXACT)
    mean_kl = (q.log_prob_table().exp() * kls / kl_weight).sum(-1)
    torch.testing.assert_close(terms.gaussian_kl, mean_kl, **EXACT)
    assert terms.labelled is terms.supervision is terms.consistency is None
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad((terms.reconstruction + terms.kl).sum(), parameters)
    wanted = torch.autograd.grad((expected + q.kl_to_uniform()).sum(), parameters)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-8)
        assert float(other.abs().max()) > 0


@pytest.mark.parametrize(
    "estimator", [LocalExpectation(), Direct(), GumbelSoftmax(1.0)], ids=lambda e: type(e).__name__
)
def test_every_parameter_learns(estimator: Estimator) -> None:
    model = make(estimator)
    labels = torch.tensor([[1, 0, 1], [0, 0, 1]])
    terms = model(pictures(), labelled=pictures(2, 3), labels=labels, distortion=0.5)
    total = terms.reconstruction.sum() + terms.kl.sum() + terms.labelled.sum()
    (total + terms.supervision.sum() + terms.consistency.sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_clamped_argmax_with_couplings() -> None:
    model = make(ClampedArgmax(), kind="pairwise")
    assert isinstance(model.posterior(pictures()), PairwiseBinary)
    terms = model(pictures(), generator=torch.Generator().manual_seed(0))
    terms.reconstruction.sum().backward()
    gradient = model.encoder.potentials.weight.grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0


def test_labels_are_cross_entropy_and_their_own_f() -> None:
    model, images = make(), pictures()
    labelled, labels = pictures(2, 3), torch.tensor([[1, 0, 1], [0, -1, 1]])
    full = labels.clamp_min(0)
    terms = model(images, labelled=labelled, labels=labels, generator=torch.Generator())
    log_probs = model.posterior(labelled).log_prob_table()
    bits = enumerate_states(3, 2)[..., 1]
    for row in range(2):
        fits = ((bits == full[row]) | (labels[row] < 0)).all(-1)
        wanted = -torch.logsumexp(log_probs[row, fits], 0)
        torch.testing.assert_close(terms.supervision[row], wanted, **EXACT)
    assert terms.consistency is None
    # Unknown attributes have their most probable value in f.
    mode = model.posterior(labelled).mode()[..., 1].long()
    z = torch.where(labels < 0, mode, labels)
    g = torch.Generator()
    torch.randn(IMAGES, DIMENSIONS, generator=g, dtype=torch.float64)
    noise = torch.randn(2, DIMENSIONS, generator=g, dtype=torch.float64)
    losses, kls = by_hand(model, labelled, noise)
    index = (z * torch.tensor([4, 2, 1])).sum(-1)
    wanted = (losses + kls).gather(1, index.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(terms.labelled, wanted, **EXACT)


def test_sure_attributes_are_labels_of_the_distorted_image() -> None:
    model, images = make(), pictures(40)
    with torch.no_grad():
        q = model.posterior(images)
    limit = float(q.probs.amax(-1).median())
    sure = (q.probs > limit).double()  # about half
    g = torch.Generator().manual_seed(2)
    terms = model(images, generator=g, distortion=0.5, confidence=limit)
    g = torch.Generator().manual_seed(2)
    torch.randn(40, DIMENSIONS, generator=g, dtype=torch.float64)  # of the Gaussians; Exact: none
    seen = distorted((images.double() + 0.5) / 256, 0.5, generator=g)
    wanted = -(model.encoder.classify(seen).log_probs * sure).sum((-2, -1))
    torch.testing.assert_close(terms.consistency, wanted, **EXACT)


def test_normalised_at_every_place_of_one_image() -> None:
    layer = NormalizedRectifier(6).double()
    maps = torch.randn(3, 6, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    places = maps - maps.mean(1, keepdim=True)
    wanted = places / (places.square().mean(1, keepdim=True) + layer.norm.eps).sqrt()
    torch.testing.assert_close(layer(maps), wanted.relu(), **EXACT)
    torch.testing.assert_close(layer(maps[1:2]), layer(maps)[1:2], **EXACT)


def test_bound_is_the_sum_over_states() -> None:
    model, images = make(), pictures()
    bound = model.bound(images, generator=torch.Generator().manual_seed(5))
    losses, kls = by_hand(model, images, noise_of(5))
    q = model.posterior(images)
    weights = q.log_prob_table().exp()
    torch.testing.assert_close(bound.reconstruction, (weights * losses).sum(-1), **EXACT)
    torch.testing.assert_close(bound.kl, q.kl_to_uniform() + (weights * kls).sum(-1), **EXACT)
    assert bound.nll is None


@pytest.mark.parametrize("kind", ["independent", "pairwise"])
def test_bound_of_many_attributes_is_sampled_without_bias(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = make(kind=kind), pictures(1)
    images = image.expand(4000, -1, -1, -1)
    monkeypatch.setattr(_attribute_terms, "MAX_STATES", 4)  # 8 are too many
    sampled = model.bound(images, generator=torch.Generator().manual_seed(0))
    monkeypatch.undo()
    exact = model.bound(images, generator=torch.Generator().manual_seed(1))
    assert float(sampled.bound.std()) > float(exact.bound.std())
    difference = sampled.bound - exact.bound
    assert_mean(difference, 0.0, resolution=float(difference.std()) / 8)


def test_chunks_of_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are gone through in order, with one stream of noise."""
    model, images, told = make(), pictures(7), []
    monkeypatch.setattr(_attribute_vae, "EVALUATION_BATCH", 3)
    g = torch.Generator().manual_seed(0)
    whole = model.bound(images, num_samples=2, generator=g, progress=told.append)
    g = torch.Generator().manual_seed(0)
    parts = [model.bound(part, num_samples=2, generator=g).bound for part in images.split(3)]
    assert torch.equal(whole.bound, torch.cat(parts))
    assert told == [1 / 3, 2 / 3, 1.0]


def test_refused() -> None:
    encoder = AttributeEncoder((3, 8, 8), 2, 3)
    with pytest.raises(TypeError, match="estimator must be an Estimator, such as Direct"):
        AttributeVAE(encoder, AttributeDecoder((3, 8, 8), 2, 3), "direct")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="same num_variables, got 2 and 1"):
        AttributeVAE(encoder, AttributeDecoder((3, 8, 8), 1, 3), Exact())
    with pytest.raises(ValueError, match="same shape"):
        AttributeVAE(encoder, AttributeDecoder((1, 8, 8), 2, 3), Exact())
    with pytest.raises(ValueError, match="likelihood"):
        make(likelihood="laplace")
    with pytest.raises(ValueError, match="encoder"):
        AttributeEncoder((3, 8, 8), 2, 3, kind="coupled")
    with pytest.raises(ValueError, match="labelled images and labels go together"):
        make()(pictures(), labelled=pictures())
    with pytest.raises(ValueError, match="labelled images and labels go together"):
        make()(pictures(), labels=torch.zeros(IMAGES, ATTRIBUTES, dtype=torch.int64))
    with pytest.raises(ValueError, match="num_samples"):
        make().bound(pictures(), num_samples=0)


def test_logistic_likelihood() -> None:
    model = make(likelihood="logistic")
    assert bool(model.bound(pictures()).bound.isfinite().all())
    model(pictures()).reconstruction.sum().backward()
    assert model.scale.grad is not None


# Distorted images


def test_distortion_of_strength_0_mirrors_or_not() -> None:
    images = torch.rand(200, 3, 8, 8)
    seen = distorted(images, 0.0, cover=False, generator=torch.Generator().manual_seed(0))
    same = torch.isclose(seen, images, atol=1e-5).flatten(1).all(1)
    mirrored = torch.isclose(seen, images.flip(-1), atol=1e-5).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 60 < int(same.sum()) < 140


def test_no_images_are_distorted_to_none() -> None:
    """A process may have none of the labelled images."""
    model = make(LocalExpectation())
    none = torch.zeros(0, *SHAPE, dtype=torch.uint8)
    labels = torch.zeros(0, ATTRIBUTES, dtype=torch.int64)
    terms = model(pictures(), labelled=none, labels=labels, distortion=0.5)
    (terms.supervision.sum() + terms.labelled.sum() + terms.consistency.sum()).backward()


def test_half_precision_does_not_move_pixels() -> None:
    images = torch.rand(4, 1, 64, 64)
    plain = distorted(images, 1.0, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = distorted(images, 1.0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain, seen)


def test_turned_images_are_not_mirrored() -> None:
    images = torch.zeros(100, 1, 15, 15)
    images[..., 2:5] = 1  # on the left
    seen = turned(images, 1.0, generator=torch.Generator().manual_seed(0))
    assert bool((seen[..., :7].sum((1, 2, 3)) > 4 * seen[..., 8:].sum((1, 2, 3))).all())
    assert torch.allclose(turned(images, 0.0), images, atol=1e-5)


def test_distortion_covers_a_square_and_stays_in_range() -> None:
    images = torch.rand(50, 1, 32, 32).round()
    plain = distorted(images, 0.0, cover=False, generator=torch.Generator().manual_seed(0))
    covered = distorted(images, 0.0, generator=torch.Generator().manual_seed(0))
    share = (plain != covered).flatten(1).float().mean(1)
    assert float(share.max()) < 0.2
    assert float(share.mean()) > 0.02
    strong = distorted(images, 1.0, generator=torch.Generator().manual_seed(0))
    assert 0 <= float(strong.min()) <= float(strong.max()) <= 1
    assert not strong.requires_grad


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("sharpness", [0.0, 1.5])
def test_classification_alone_is_that_of_the_whole(sharpness: float, averaged: bool) -> None:
    model = make()
    if averaged:
        model.average = make().encoder.classifier.requires_grad_(False)
        next(model.average.parameters()).add_(0.3)
    labels = torch.tensor([[1, 0, -1], [0, 1, 1]])
    how = {"distortion": 0.5, "sharpness": sharpness, "patching": True, "mixing": True}
    g = torch.Generator().manual_seed(5)
    whole = model(pictures(), labelled=pictures(2, 3), labels=labels, generator=g, **how)
    g = torch.Generator().manual_seed(5)
    torch.randn(IMAGES, DIMENSIONS, generator=g, dtype=torch.float64)  # of the Gaussian code
    told, known = model.classification_terms(pictures(), pictures(2, 3), labels, generator=g, **how)
    torch.testing.assert_close(told, whole.consistency)
    torch.testing.assert_close(known, whole.supervision)
    own = model.encoder.classifier.parameters()
    slopes = torch.autograd.grad(told.mean() + known.mean(), list(own))
    assert all(bool(each.isfinite().all()) for each in slopes)
    none, _ = model.classification_terms(pictures(), pictures(2, 3), labels, distortion=0)
    assert torch.equal(none, torch.zeros(IMAGES, dtype=none.dtype))
