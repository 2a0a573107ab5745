"""Any decoder: the changes of its codes as by calling it, and close to that in bfloat16."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directmax import Categorical, DiscreteVAE, Encoder, LocalExpectation
from directmax.objectives import (
    PlainReconstruction,
    _linear_calls,
    bernoulli_loss,
    single_change_losses,
)
from directmax.objectives import _plain_reconstruction as module

B, N, K, D = 5, 3, 4, 20


class Function(nn.Module):
    """A decoder that is written as a function of its layers and z."""

    def __init__(self, function: Callable[[nn.ModuleList, Tensor], Tensor]) -> None:
        super().__init__()
        sizes = ((N * K, 30), (30, D), (30, 30), (K, D))
        self.layers = nn.ModuleList([nn.Linear(*size) for size in sizes])
        self.layers.append(nn.ConvTranspose2d(30, 5, 2))
        self.layers.append(nn.utils.parametrizations.weight_norm(nn.Linear(30, D)))
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(self.layers, z)


def hidden(layers: nn.ModuleList, z: Tensor) -> Tensor:
    found: Tensor = layers[0](z.flatten(1))
    return found


def residual(layers: nn.ModuleList, z: Tensor) -> Tensor:
    """What a linear layer got and gave is changed in place."""
    x = F.relu_(hidden(layers, z))
    y = layers[2](x)
    x += 1
    found: Tensor = layers[1](torch.tanh_(y) * x)
    return found


def mixing(layers: nn.ModuleList, z: Tensor) -> Tensor:
    """The first axis of the inner layer is not that of the assignments."""
    rows = layers[2](hidden(layers, z).tanh().flip(0).repeat(2, 1)).chunk(2)[1].flip(0)
    found: Tensor = layers[1](rows.tanh())
    return found


def writing(layers: nn.ModuleList, z: Tensor) -> Tensor:
    """What it is given is changed in place."""
    found: Tensor = layers[1](hidden(layers, z.mul_(2).sub_(1)).relu())
    return found


def another_end(layers: nn.ModuleList, z: Tensor) -> Tensor:
    """With few rows the last operation is another one."""
    found: Tensor = layers[1](hidden(layers, z).relu())
    return found if len(z) == 2 * B else 1 * found


def other_calls(layers: nn.ModuleList, z: Tensor) -> Tensor:
    """With few rows there is one linear operation less."""
    weight, bias = layers[0].weight, layers[0].bias
    before = hidden(layers, z) if len(z) == 2 * B else z.flatten(1) @ weight.T + bias
    found: Tensor = layers[1](before.relu())
    return found


DECODERS: dict[str, Callable[[nn.ModuleList, Tensor], Tensor]] = {
    "linear at the end": lambda layers, z: layers[1](hidden(layers, z).relu()),
    "in place": residual,
    "writes to z": writing,
    "changed in place at the end": lambda layers, z: layers[1](hidden(layers, z).tanh()).mul_(2),
    "a convolution": lambda layers, z: layers[4](hidden(layers, z).tanh()[..., None, None]).flatten(
        1
    ),
    "a weight that is computed": lambda layers, z: layers[5](hidden(layers, z).tanh()),
    "no matrix at the end": lambda layers, z: 3 * layers[1](hidden(layers, z).tanh()).sin(),
    "a variable an axis": lambda layers, z: layers[3](z).tanh().prod(1).mul(4),
    "other rows": mixing,
    "another end": another_end,
    "other calls": other_calls,
}


def problem(name: str, dtype: torch.dtype, reduced: bool) -> tuple[PlainReconstruction, Tensor]:
    torch.manual_seed(0)
    images = torch.rand(B, D).round().to(dtype)
    decoder = Function(DECODERS[name]).to(dtype)
    return PlainReconstruction(decoder, images, reduced=reduced), Categorical(
        torch.zeros(B, N, K, dtype=dtype)
    ).sample(2)


def answers(objective: PlainReconstruction, z: Tensor) -> dict[str, Tensor]:
    """By every way that an estimator may ask, as changes of single variables `(2, b, n, k)`."""
    losses, changes = objective.losses_and_changes(z)
    others = torch.stack([z.roll(r, -1) for r in range(K)])  # (k, 2, b, n, k), all variables
    again, rest = objective.losses_and_others(z, others)
    torch.testing.assert_close(again, losses)
    chosen = torch.tensor([2, 0]).expand(2, B, 2)
    values = torch.arange(K).expand(2, B, 2, K)
    some = objective.losses_of_changes(z, chosen, values).unflatten(-1, (2, K))
    return {"changes": changes, "others": rest, "some": some}


def by_calls(objective: PlainReconstruction, z: Tensor) -> dict[str, Tensor]:
    """The same by calls of f alone."""
    with torch.no_grad():
        others = torch.stack([objective(z.roll(r, -1)) for r in range(K)])
    changes = single_change_losses(lambda z: objective(z), z)
    return {"changes": changes, "others": others, "some": changes[..., [2, 0], :]}


@pytest.mark.parametrize("name", list(DECODERS))
@pytest.mark.parametrize("chunk", [1, 7 * D, 2**21])
def test_tables_are_by_calling(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_PIXELS_CPU", chunk)
    objective, z = problem(name, torch.float64, True)
    expected = by_calls(objective, z)
    for key, found in answers(objective, z).items():
        torch.testing.assert_close(found, expected[key], rtol=1e-11, atol=1e-11)
    table = objective.state_losses(N, K)
    index = (z.argmax(-1) * torch.tensor([K ** (N - 1 - i) for i in range(N)])).sum(-1)
    torch.testing.assert_close(table.gather(1, index.T).T, objective(z))


@pytest.mark.parametrize("name", list(DECODERS))
@pytest.mark.parametrize("chunk", [1, 7 * D, 2**21])
def test_bfloat16_changes_a_change_a_little(
    name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By 0.25 % of it or so: so that nothing is lost where a change is small."""
    monkeypatch.setattr(module, "fast_bfloat16", lambda device: True)
    monkeypatch.setattr(module, "CHUNK_PIXELS_CPU", chunk)
    for scale in (1.0, 1e-3):
        objective, z = problem(name, torch.float32, True)
        with torch.no_grad():
            objective.decoder.layers[0].weight.mul_(scale)  # type: ignore[attr-defined]
            objective.decoder.layers[3].weight.mul_(scale)  # type: ignore[attr-defined]
        exact, _ = problem(name, torch.float64, False)
        exact.decoder.load_state_dict(objective.decoder.state_dict())  # type: ignore[attr-defined]
        expected, found = by_calls(exact, z.double()), answers(objective, z)
        base = objective(z).detach().double()
        for key, axes in (("changes", (..., None, None)), ("some", (..., None, None))):
            change = (expected[key] - base[axes]).norm()
            error = (found[key].double() - expected[key]).norm()
            assert error < 0.01 * change + 1e-5, key
            if name == "linear at the end" and scale == 1:
                assert error > 1e-5 * change  # it was used
        change, error = expected["others"] - base, found["others"].double() - expected["others"]
        assert error.norm() < 0.01 * change.norm() + 1e-5


def test_the_kernels_are_torchs() -> None:
    torch.manual_seed(0)
    source, moved = torch.randn(4, 3, 5), 1e3 * torch.randn(8, 3, 5)
    moved[0, 0, :4] = torch.tensor([torch.inf, -torch.inf, torch.nan, -torch.nan])
    change = (moved.unflatten(0, (4, 2)) - source.unsqueeze(1)).bfloat16()
    found = _linear_calls._differences(moved, source)
    torch.testing.assert_close(found, change.flatten(0, 1), rtol=0, atol=0, equal_nan=True)
    total = (change.float() + source.unsqueeze(1)).flatten(0, 1)
    found = _linear_calls._added(source, found)
    torch.testing.assert_close(found, total, rtol=0, atol=0, equal_nan=True)
    elsewhere = _linear_calls._differences(moved.to("meta"), source.to("meta"))
    assert elsewhere.dtype == torch.bfloat16
    summed = _linear_calls._added(source.to("meta"), elsewhere)
    assert (summed.shape, summed.dtype) == (moved.shape, torch.float32)


def test_a_decoder_that_is_no_number_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fast_bfloat16", lambda device: True)
    objective, z = problem("linear at the end", torch.float32, True)
    with torch.no_grad():
        objective.decoder.layers[0].weight[:, 0] = torch.nan  # type: ignore[attr-defined]
    losses, changes = objective.losses_and_changes(z)
    used = (z[..., 0, 0] == 1)[..., None, None].expand(changes.shape).clone()
    assert bool(losses.isnan().any())
    used[..., 0, 0] = True
    assert bool(changes[used].isnan().all())


def test_an_estimate_decodes_a_change_once_and_states_once() -> None:
    torch.manual_seed(0)
    rows = []

    def counted(layers: nn.ModuleList, z: Tensor) -> Tensor:
        rows.append(len(z))
        return DECODERS["linear at the end"](layers, z)

    model = DiscreteVAE(Encoder(D, N, K), Function(counted), LocalExpectation())
    images = torch.rand(B, D).round()
    model(images).reconstruction.mean().backward()
    assert sum(rows) == B * (N * (K - 1) + 1)
    rows.clear()
    model.objective(images).state_losses(N, K)  # type: ignore[attr-defined]
    assert sum(rows) == math.prod([K] * N)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_logits_of_another_type_and_inference_mode(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fast_bfloat16", lambda device: True)
    objective, z = problem("linear at the end", torch.float32, True)
    decoder = objective.decoder
    objective.decoder = lambda z: decoder(z).to(kind)
    expected = by_calls(objective, z)
    with torch.inference_mode():
        found = answers(objective, z)
    for each in (found, answers(objective, z)):
        for key, table in each.items():
            torch.testing.assert_close(table, expected[key], rtol=0, atol=0.02)


def test_a_convolution_whose_maps_are_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's, in bfloat16, returns memory that nobody wrote on CPUs that have matrix units."""
    monkeypatch.setattr(module, "fast_bfloat16", lambda device: True)
    grid = nn.Unflatten(1, (16, 40, 3))
    decoder = nn.Sequential(nn.Flatten(), nn.Linear(N * K, 16 * 40 * 3), grid)
    decoder.extend([nn.Conv2d(16, 32, 4, 2, 1), nn.Flatten(), nn.Linear(32 * 20, D)])
    images, z = torch.rand(B, D).round(), Categorical(torch.randn(B, N, K)).sample()
    exact = PlainReconstruction(decoder, images, reduced=False).single_change_losses(z)
    for _ in range(5):
        del [torch.full((2**power,), torch.nan) for power in range(4, 20) for _ in range(5)][:]
        found = PlainReconstruction(decoder, images).single_change_losses(z)
        torch.testing.assert_close(found, exact, rtol=0, atol=0.02)


def test_what_does_not_fit() -> None:
    objective, z = problem("linear at the end", torch.float32, True)
    for call in (objective, objective.losses_and_changes):
        with pytest.raises(ValueError, match=f"z must be for the {B} images"):
            call(z[:, :2])
    with pytest.raises(ValueError, match=f"z must be for the {B} images"):
        PlainReconstruction(
            nn.Sequential(nn.Flatten(), nn.Linear(K, D)), objective.images
        ).single_change_losses(z[:, :2, :1])
    few = PlainReconstruction(lambda z: z.flatten(1)[:2], torch.rand(B, D))
    with pytest.raises(ValueError, match="decoder must return pixel logits"):
        few(z)
    torch.testing.assert_close(
        objective(z),
        bernoulli_loss(objective.decoder(z.flatten(0, 1)).view(2, B, D), objective.images),
    )
