"""What labels of attributes do: prior, draws in other shares, mixtures, mean weights, switches."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from directmax import Categorical, ClampedArgmax, Exact, LabelledDirect, PairwiseBinary
from directmax.distributions import DiscreteDistribution, enumerate_states
from directmax.models import AttributeDecoder, AttributeEncoder, AttributeVAE, attribute_prior
from directmax.models._attribute_known import Known, known_losses
from directmax.models._attribute_prior import kl_to_prior, label_loss
from directmax.models._attribute_terms import decided, told_loss, told_targets
from directmax.models._calibration import calibrated_odds

SHAPE = (1, 9, 9)


def make(**settings: object) -> AttributeVAE:
    torch.manual_seed(0)
    return AttributeVAE(
        AttributeEncoder(SHAPE, 2, 2, hidden=5, width=3),
        AttributeDecoder(SHAPE, 2, 2, width=3),
        Exact(),
        supervision=LabelledDirect(rao_blackwell=True),
        **settings,  # type: ignore[arg-type]
    ).double()


def pictures(count: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, *SHAPE), generator=g, dtype=torch.uint8)


def distributions() -> list[DiscreteDistribution]:
    g = torch.Generator().manual_seed(1)
    unary = torch.randn(5, 3, 2, generator=g, dtype=torch.float64)
    pairwise = torch.randn(5, 3, generator=g, dtype=torch.float64)
    return [Categorical(unary), PairwiseBinary(unary, pairwise)]


def test_prior_of_labels_some_of_which_are_missing() -> None:
    labels = torch.tensor([[0, 0]] * 6 + [[1, 0]] * 2 + [[1, 1], [-1, 1], [0, -1]])
    first, second = 3.5 / 11, 2.5 / 11  # 3 of 10 and 2 of 10, both values half an image more
    share = torch.tensor([(1 - first) * (1 - second), (1 - first) * second])
    share = torch.cat([share, torch.tensor([first * (1 - second), first * second])])
    expected = (torch.tensor([6.0, 0.0, 2.0, 1.0]) + share) / 10
    torch.testing.assert_close(attribute_prior(labels).exp(), expected)
    nothing = attribute_prior(torch.full((4, 3), -1))
    rare = attribute_prior(torch.zeros(2000, 16, dtype=torch.int64))  # 2,000^-16 is no float32
    assert rare.isfinite().all()
    torch.testing.assert_close(nothing.exp(), torch.full((8,), 1 / 8))


@pytest.mark.parametrize("index", [0, 1])
def test_kl_and_loss_are_those_of_enumeration(index: int) -> None:
    q = distributions()[index]
    g = torch.Generator().manual_seed(2)
    log_prior, tilt = torch.randn(2, 8, generator=g, dtype=torch.float64)
    log_prior = log_prior.log_softmax(0)
    p = q.log_prob_table().exp()
    expected = (p * (p.log() - log_prior)).sum(-1)
    torch.testing.assert_close(kl_to_prior(q, log_prior), expected)
    labels = torch.tensor([[1, 0, 1], [0, -1, 1], [-1, -1, -1], [1, 1, -1], [0, 0, 0]])
    observed = torch.stack([labels == 0, labels == 1], -1).double()
    weighted = p * tilt.exp()
    weighted = weighted / weighted.sum(-1, keepdim=True)
    bits = enumerate_states(3, 2)[..., 1]
    fits = ((bits == labels.unsqueeze(1)) | (labels.unsqueeze(1) < 0)).all(-1)
    expected = -(weighted * fits).sum(-1).log()
    torch.testing.assert_close(label_loss(q, observed, tilt), expected)


def test_a_draw_in_other_shares_is_undone() -> None:
    """One attribute that an image shows by chance: fitted to as many with as without, q is right
    for images of which a tenth has it."""
    share, seen = 0.1, torch.tensor([0.8, 0.3])  # of images with and without, those that show it
    drawn = torch.tensor([0.5, 0.5])
    tilt = (drawn / torch.tensor([1 - share, share])).log()
    odds = torch.zeros(2, requires_grad=True)  # of images that show it, and that do not
    optimizer = torch.optim.LBFGS([odds], max_iter=100, line_search_fn="strong_wolfe")
    weights = torch.stack([seen / 2, (1 - seen) / 2])  # (shown?, with?)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.zeros(())
        for shows in range(2):
            q = Categorical.binary(odds[shows].view(1, 1).expand(2, 1))
            losses = label_loss(q, torch.eye(2)[[1, 0]].unsqueeze(1), tilt)
            loss = loss + (weights[shows] * losses).sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    true = torch.stack([share * seen[0] / (share * seen[0] + (1 - share) * seen[1])])
    torch.testing.assert_close(odds[:1].detach().sigmoid(), true, atol=1e-3, rtol=0)


def test_mixed_images_have_the_mean_of_both_losses() -> None:
    model, images = make(), torch.rand(6, *SHAPE, dtype=torch.float64)
    observed = torch.eye(2, dtype=torch.float64)[torch.randint(2, (6, 2))]
    loss = partial(label_loss, tilt=torch.zeros(4, dtype=torch.float64))
    known = [Known(images[:2], observed[:2], loss), Known(images, observed, loss, "means")]
    (plain, mixed), _ = known_losses(
        model.encoder, known, generator=torch.Generator().manual_seed(3)
    )
    g = torch.Generator().manual_seed(3)
    share = torch.rand(6, generator=g, dtype=torch.float64)
    share[::2] = 1  # these stay
    partner = torch.rand(6, generator=g, dtype=torch.float64).argsort()
    weight = share.view(-1, 1, 1, 1)
    q = model.encoder.classify(weight * images + (1 - weight) * images[partner])
    expected = share * loss(q, observed) + (1 - share) * loss(q, observed[partner])
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(plain, loss(model.encoder.classify(images[:2]), observed[:2]))


def test_patched_images_have_the_losses_of_what_is_seen() -> None:
    """Share and place of the patch are read off the images that the network is shown."""
    model, shown = make(), list[Tensor]()
    images = torch.arange(20.0).double().view(20, 1, 1, 1).expand(20, *SHAPE) / 20
    observed = torch.eye(2, dtype=torch.float64)[torch.randint(2, (20, 2))]
    loss = partial(label_loss, tilt=torch.zeros(4, dtype=torch.float64))
    model.encoder.discrete.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    known = [Known(images, observed, loss, "patches")]
    (mixed,), (q,) = known_losses(model.encoder, known, generator=torch.manual_seed(4))
    seen = (shown[0] + 1) / 2 * 20  # whose image every pixel is of
    torch.testing.assert_close(seen[::2], images[::2] * 20)  # these stay
    patched = 0
    for row in range(1, 20, 2):
        own = (seen[row] - row).abs() < 1e-9
        others = seen[row][~own].round().long().unique().tolist()
        if not others:  # a small one, beyond the border, or of the image itself
            torch.testing.assert_close(mixed[row], loss(q, observed)[row])
            continue
        patched += 1
        assert float(own.double().mean()) >= 0.5
        assert len(others) == 1
        inside = (~own[0]).nonzero()
        sides = inside.amax(0) - inside.amin(0) + 1
        assert int(sides.prod()) == len(inside)  # a rectangle
        share = own.double().mean()
        expected = share * loss(q, observed) + (1 - share) * loss(
            q, observed[others].expand(20, 2, 2)
        )
        torch.testing.assert_close(mixed[row], expected[row])
    assert patched >= 5


@pytest.mark.parametrize("averaged", [False, True])
def test_targets_are_as_sure_as_they_are_right(averaged: bool) -> None:
    """−Σ_i E_{t_i}[log q_i(x')] is affine in every t_i, which are those of calibrated log-odds."""
    model, images = make(averaged=averaged, calibrated=True), pictures(4)
    assert model.calibration is not None

    def loss(off: Tensor, on: Tensor, shift: Tensor, *, used: bool = True) -> Tensor:
        model.calibration = torch.stack([off, on, shift]).double()
        told = {"distortion": 0.5, "sharpness": 1.5, "calibrated_targets": used}
        terms = model(images, generator=torch.Generator().manual_seed(0), **told)
        assert terms.consistency is not None
        return terms.consistency.detach()

    slope, sure = torch.ones(2), 100.0
    corner, first, second = (
        loss(slope, slope, sure * torch.tensor(signs))
        for signs in ([-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0])
    )
    below, above, shift = torch.tensor([0.3, 2.0]), torch.tensor([0.7, 0.5]), torch.tensor([1, -2])
    odds = model.raw_posterior(images).marginals().log().diff(dim=-1).squeeze(-1).detach()
    corrected = above * nn.functional.softplus(odds) - below * nn.functional.softplus(-odds) + shift
    t = (1.5 * corrected).sigmoid()  # of sharpness 1.5
    expected = corner + t[:, 0] * (first - corner) + t[:, 1] * (second - corner)
    torch.testing.assert_close(loss(below, above, shift), expected)
    plain = loss(slope, slope, torch.zeros(2))
    torch.testing.assert_close(loss(below, above, shift, used=False), plain)
    assert float((plain - expected).abs().min()) > 1e-3


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("sharpness", [1.0, 1.5])
def test_soft_targets_are_those_of_enumeration(index: int, sharpness: float) -> None:
    q = distributions()[index]
    told = distributions()[index].log_prob_table().flip(0)
    targets = told_targets(distributions()[index], sharpness).flip(0)
    t = (sharpness * told).softmax(-1)
    expected = -(t * q.log_prob_table()).sum(-1)
    torch.testing.assert_close(told_loss(q, targets), expected)


def test_mean_weights_and_calibration_are_what_is_used() -> None:
    model, images = make(averaged=True, calibrated=True), pictures(4)
    with torch.no_grad():
        before = model.raw_posterior(images).logits
        for parameter in model.encoder.parameters():
            parameter.mul_(3)
        torch.testing.assert_close(model.raw_posterior(images).logits, before)
        model.follow(0.0)
        now = model.encoder.classify(model._unit(images)).logits
        torch.testing.assert_close(model.raw_posterior(images).logits, now)
        assert float((now - before).abs().max()) > 0.01
        model.calibration.copy_(torch.tensor([[0.5, 2.0], [0.7, 0.0], [1.0, -1.0]]))
    off, on = now.log_softmax(-1).unbind(-1)
    slopes = torch.tensor([[0.5, 2.0], [0.7, 0.0]])
    expected = (slopes[0] * on - slopes[1] * off + torch.tensor([1.0, -1.0])).sigmoid()
    torch.testing.assert_close(model.posterior(images).marginals()[..., 1], expected)
    earlier = {**model.state_dict(), "calibration": torch.tensor([[0.5, 2.0], [1.0, -1.0]])}
    same = make(averaged=True, calibrated=True)
    same.load_state_dict(earlier)  # of a version with one slope
    odds = same.raw_posterior(images).logits.diff(dim=-1).squeeze(-1)
    scaled = (odds * torch.tensor([0.5, 2.0]) + torch.tensor([1.0, -1.0])).sigmoid()
    torch.testing.assert_close(same.posterior(images).marginals()[..., 1], scaled)
    model.settle()
    assert model.average is model.calibration is None
    plain_q = model.encoder.classify(model._unit(images))
    torch.testing.assert_close(plain_q.marginals()[..., 1], expected)
    fresh = make(averaged=True, calibrated=True)
    fresh.settle()
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh.posterior(images).marginals()[..., 1], expected)


def test_switched_images_teach_the_decoder_alone() -> None:
    model = make(averaged=True, log_prior=attribute_prior(torch.tensor([[0, 1], [1, 1]])))
    terms = model(pictures(5), switched=3, generator=torch.Generator().manual_seed(0))
    assert terms.switched.shape == (3,)
    terms.switched.sum().backward()
    moved = {name for name, value in model.named_parameters() if value.grad is not None}
    assert moved == {f"decoder.{name}" for name, _ in model.decoder.named_parameters()}


def test_calibration_needs_independent_attributes() -> None:
    encoder = AttributeEncoder(SHAPE, 2, 2, width=3, kind="pairwise")
    with pytest.raises(ValueError, match="calibrated is for independent attributes"):
        AttributeVAE(encoder, AttributeDecoder(SHAPE, 2, 2, width=3), Exact(), calibrated=True)


@pytest.mark.parametrize("settled", [False, True])
def test_mirrored_sees_both_sides_alike(settled: bool) -> None:
    """What is corrected is the mean of the log-odds of an image and its mirror image."""
    model = make(averaged=True, calibrated=True)
    images = pictures(4)

    def odds(q: DiscreteDistribution) -> Tensor:
        assert isinstance(q, Categorical)
        return q.logits.diff(dim=-1).squeeze(-1)

    one, other = (odds(model.raw_posterior(each)) for each in (images, images.flip(-1)))
    assert not torch.allclose(one, other)
    model.encoder.mirrored = True
    for each in (images, images.flip(-1)):
        torch.testing.assert_close(odds(model.raw_posterior(each)), (one + other) / 2)
    assert model.calibration is not None
    model.calibration.copy_(torch.tensor([[0.5, 2.0], [1.5, 0.7], [0.3, -0.2]]))
    expected = calibrated_odds((one + other) / 2, model.calibration)
    if settled:
        model.settle()
    torch.testing.assert_close(odds(model.posterior(images)), expected)


@pytest.mark.parametrize("kind", ["independent", "pairwise", "supermodular"])
def test_decided_is_a_power_of_q(kind: str) -> None:
    torch.manual_seed(0)
    encoder = AttributeEncoder((1, 8, 8), 3, 2, kind=kind).double()
    q = encoder.classify(torch.rand(4, 1, 8, 8).double())
    table, found = q.log_prob_table(), decided(q, 3.0).log_prob_table()
    torch.testing.assert_close(found, (3 * table).log_softmax(-1))
    assert decided(q, 1.0) is q


def test_what_is_decided_teaches_the_decoder_alone() -> None:
    model = make(decided=8.0)
    terms = model(pictures(4), generator=torch.Generator().manual_seed(1))
    (terms.reconstruction + terms.kl).mean().backward()
    assert all(each.grad is None for each in model.encoder.classifier.parameters())
    assert all(
        bool(each.grad.any()) for each in model.decoder.parameters() if each.grad is not None
    )
    assert any(each.grad is not None for each in model.decoder.parameters())


@pytest.mark.parametrize("kind", ["independent", "pairwise"])
def test_bound_of_what_is_decided(kind: str) -> None:
    """The same as of a model whose potentials are so many times as large."""
    torch.manual_seed(0)
    encoder = AttributeEncoder((1, 8, 8), 2, 2, kind=kind).double()
    decoder = AttributeDecoder((1, 8, 8), 2, 2).double()
    images = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8)

    def terms(model: AttributeVAE) -> tuple[Any, Any]:
        made = model(images, generator=torch.Generator().manual_seed(1))
        return made, model.bound(images, generator=torch.Generator().manual_seed(1))

    estimator = Exact() if kind == "independent" else ClampedArgmax()
    ours, bound = terms(AttributeVAE(encoder, decoder, estimator, decided=8.0).double())
    larger = copy.deepcopy(encoder)
    with torch.no_grad():
        for weight in larger.potentials.parameters():
            weight *= 8
    theirs, other = terms(AttributeVAE(larger, decoder, estimator).double())
    torch.testing.assert_close(ours.reconstruction, theirs.reconstruction)
    torch.testing.assert_close(ours.kl, theirs.kl)
    torch.testing.assert_close(bound.bound, other.bound)
    plain = terms(AttributeVAE(encoder, decoder, estimator).double())[0]
    assert not torch.allclose(ours.kl, plain.kl)


def test_before_it_decides_the_bound_is_that_of_q() -> None:
    images, noise = pictures(4), lambda: torch.Generator().manual_seed(1)
    plain, later = make(), make(decided=8.0)
    later.load_state_dict(plain.state_dict())
    before = later(images, generator=noise(), deciding=False)
    for one, other in zip(before[:3], plain(images, generator=noise())[:3], strict=True):
        assert torch.equal(one, other)
    (before.reconstruction + before.kl).mean().backward()
    assert any(each.grad is not None for each in later.encoder.classifier.parameters())
    assert not torch.equal(before.kl, later(images, generator=noise()).kl)


def test_decided_must_be_above_zero() -> None:
    parts = AttributeEncoder((1, 8, 8), 2, 2), AttributeDecoder((1, 8, 8), 2, 2)
    with pytest.raises(ValueError, match="decided must be"):
        AttributeVAE(*parts, Exact(), decided=0.0)


@pytest.mark.parametrize("symmetric", [True, False])
def test_what_is_classified_is_mirrored_where_sides_are_alike(
    symmetric: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images, and decoded ones, that are dark but for light columns at the left."""
    shape = (1, 16, 16)
    encoder = AttributeEncoder(shape, 1, 2, hidden=5, width=3, symmetric=symmetric)
    model = AttributeVAE(encoder, AttributeDecoder(shape, 1, 2, width=3), Exact())
    images = torch.full((40, *shape), 60, dtype=torch.uint8)
    images[..., :4] = 250
    seen: list[Tensor] = []
    encoder.discrete.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    noise = torch.Generator().manual_seed(0)
    labels = torch.zeros(40, 1, dtype=torch.int64)
    model.classification_terms(images, images, labels, distortion=0.1, generator=noise)
    told, labelled = seen[-1].split(40)
    light = images[0].float() / 255
    monkeypatch.setattr(model.decoder, "forward", lambda _, z: light.expand(*z.shape[:-1], *shape))
    model(images, generator=noise, switched=40)
    for classified in (told, labelled, seen[-1]):
        sides = [classified[..., some].mean((1, 2, 3)) for some in (slice(2), slice(-2, None))]
        right = int((sides[1] > sides[0]).sum())
        assert (8 < right < 32) if symmetric else right == 0
