"""Layers that compute on a CPU otherwise than torch does: the same numbers, and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from directmax.models._convolutions import Convolution, Doubling
from directmax.models._normalized import FEWEST, NormalizedRectifier


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("after", [1, 3, 9])
def test_doubling_is_a_transposed_convolution(after: int) -> None:
    layer = Doubling(5, after).double()
    assert layer.bias is not None
    assert set(layer.state_dict()) == {"weight", "bias"}
    maps = normal(2, 5, 3, 4).requires_grad_()
    wanted = F.conv_transpose2d(maps, layer.weight, layer.bias, 2, 1)
    found = layer(maps)
    given = (maps, layer.weight, layer.bias)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(layer(maps), wanted, rtol=0, atol=1e-12)
    slope = normal(*wanted.shape, seed=1)
    slopes = zip(*(torch.autograd.grad(y, given, slope) for y in (found, wanted)), strict=True)
    for own, other in slopes:
        torch.testing.assert_close(own, other, rtol=0, atol=1e-11)


def garbage() -> None:
    """Leave NaN in the memory that is handed out next."""
    sizes = (2**power for power in range(4, 15) for _ in range(20))
    del [torch.full((size,), torch.nan) for size in sizes][:]


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (5, 1), (9, 2), (4, 3)])
@pytest.mark.parametrize(
    "layer", [Convolution(4, 16, 3, 2, 1), Convolution(4, 16, 5, 2, 2), Doubling(4, 16)]
)
def test_narrow_maps_in_bfloat16(
    layer: torch.nn.Module, size: tuple[int, int], autocast: bool
) -> None:
    """Torch's own return memory that nobody wrote, on CPUs that have matrix units."""
    layer = copy.deepcopy(layer) if autocast else copy.deepcopy(layer).bfloat16()
    exact = copy.deepcopy(layer).double()
    x = normal(20, 4, *size).bfloat16().requires_grad_()
    for _ in range(5):
        garbage()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = layer(x)
        assert found.dtype == torch.bfloat16
        slope = normal(*found.shape, seed=1).bfloat16()
        garbage()
        slopes = torch.autograd.grad(found, (x, *layer.parameters()), slope)
        wide = x.detach().double().requires_grad_()
        wanted = exact(wide)
        others = torch.autograd.grad(wanted, (wide, *exact.parameters()), slope.double())
        for own, other in zip((found, *slopes), (wanted, *others), strict=True):
            distance = (own.double() - other).abs().max()
            assert distance <= 0.02 * other.abs().max()  # NaN is not


def rectified(layer: NormalizedRectifier, maps: Tensor) -> Tensor:
    norm = layer.norm
    places = F.layer_norm(maps.permute(0, 2, 3, 1), (maps.shape[1],), norm.weight, norm.bias)
    return places.relu().permute(0, 3, 1, 2)


def layer_and_maps(channels: int) -> tuple[NormalizedRectifier, Tensor]:
    layer = NormalizedRectifier(channels)
    with torch.no_grad():
        layer.norm.weight.copy_(1 + 0.3 * normal(channels, seed=1))
        layer.norm.bias.copy_(0.5 * normal(channels, seed=2))
    side = int((2 * FEWEST / channels / 3) ** 0.5)
    maps = 2 + 3 * normal(3, channels, side, side + 1, dtype=torch.float32)
    return layer, maps.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_compiled_normalisation(kind: torch.dtype) -> None:
    layer, maps = layer_and_maps(20)
    x = maps.to(kind).requires_grad_()
    found = layer(x)
    slope = normal(*found.shape, seed=3).to(kind)
    slopes = torch.autograd.grad(found, (x, layer.norm.weight, layer.norm.bias), slope)
    exact, wide = NormalizedRectifier(20).double(), x.detach().double().requires_grad_()
    exact.load_state_dict({name: each.double() for name, each in layer.state_dict().items()})
    wanted = rectified(exact, wide)
    given = (wide, exact.norm.weight, exact.norm.bias)
    exact_slopes = torch.autograd.grad(wanted, given, slope.double())
    eps = torch.finfo(kind).eps
    assert found.dtype == slopes[0].dtype == kind
    torch.testing.assert_close(found.double(), wanted, rtol=eps, atol=1e-5)
    torch.testing.assert_close(slopes[0].double(), exact_slopes[0], rtol=2 * eps, atol=1e-4)
    for own, other in zip(slopes[1:], exact_slopes[1:], strict=True):  # float32 either way
        assert float(other.abs().max()) > 10
        torch.testing.assert_close(own.double(), other, rtol=1e-4, atol=1e-2)


def test_compiled_normalisation_of_one_image_does_not_see_the_others() -> None:
    layer, maps = layer_and_maps(64)
    alone = torch.cat([maps[1:2]] * 2)
    assert torch.equal(layer(alone)[:1], layer(maps)[1:2])


def test_compiled_normalisation_keeps_nan_and_is_differentiated_twice() -> None:
    layer, maps = layer_and_maps(16)
    broken = maps.clone()
    broken[1, 2, 3, 4] = torch.nan
    assert layer(broken).isnan().sum() == 16
    assert layer(broken.bfloat16()).isnan().sum() == 16
    x = maps.clone().requires_grad_()
    norms = []
    for y in (layer(x), rectified(layer, x)):
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        norms.append(torch.autograd.grad(slope.square().sum(), x)[0])
    torch.testing.assert_close(*norms, rtol=1e-3, atol=1e-4)


def test_an_export_takes_batches_of_any_size() -> None:
    """The number of places was asked for, and kept as a limit of the batch."""
    layer = NormalizedRectifier(4)
    batch = {"maps": {0: torch.export.Dim("batch", min=1)}}
    exported = torch.export.export(layer, (torch.randn(3, 4, 5, 5),), dynamic_shapes=batch)
    maps = torch.randn(7, 4, 5, 5)
    torch.testing.assert_close(exported.module()(maps), layer(maps))
