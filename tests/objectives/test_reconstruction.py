"""Reconstruction: fast tables equal those of the same function as a plain callable."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from directmax import Categorical, Decoder, LocalExpectation, Reconstruction, _precision
from directmax.objectives import (
    FactoredDecoder,
    _candidates,
    bernoulli_loss,
    evaluate,
    single_change_losses,
    state_losses,
)
from directmax.objectives._linear_map import is_factored

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 4), st.integers(1, 6))


def make(
    sizes: tuple[int, int, int, int], *, scale: float = 1.0, seed: int = 0
) -> tuple[Reconstruction, Decoder]:
    """An objective over (b, n, k, d), with logits of about `scale`."""
    batch_size, num_variables, num_values, num_pixels = sizes
    g = torch.Generator().manual_seed(seed)
    decoder = Decoder(num_variables, num_values, num_pixels, hidden=5).double()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=g, dtype=torch.float64))
    images = torch.rand(batch_size, num_pixels, generator=g, dtype=torch.float64).round()
    return Reconstruction(decoder, images), decoder


def plain(objective: Reconstruction) -> object:
    """The same function, without its tables."""
    return lambda z: bernoulli_loss(objective.decoder(z), objective.images)


def draw(num_samples: int, sizes: tuple[int, ...], seed: int = 3) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return Categorical(torch.zeros(sizes[:3], dtype=torch.float64)).sample(num_samples, generator=g)


def gradients(value: Tensor, decoder: Decoder) -> list[Tensor]:
    weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    return list(torch.autograd.grad((value * weight).sum(), list(decoder.parameters())))


@given(st.integers(1, 3), SIZES)
def test_call_equals_the_plain_function(num_samples: int, sizes: tuple[int, int, int, int]) -> None:
    objective, decoder = make(sizes)
    z = draw(num_samples, sizes).requires_grad_()
    fast, slow = evaluate(objective, z), evaluate(plain(objective), z)
    torch.testing.assert_close(fast, slow, **EXACT)
    torch.testing.assert_close(gradients(fast, decoder), gradients(slow, decoder), **EXACT)
    (by_fast,) = torch.autograd.grad(evaluate(objective, z).sum(), z)
    (by_slow,) = torch.autograd.grad(evaluate(plain(objective), z).sum(), z)
    torch.testing.assert_close(by_fast, by_slow, **EXACT)


@given(SIZES)
def test_state_losses_equal_the_plain_ones(sizes: tuple[int, int, int, int]) -> None:
    objective, decoder = make(sizes)
    fast = state_losses(objective, sizes[:3], dtype=torch.float64)
    slow = state_losses(plain(objective), sizes[:3], dtype=torch.float64)
    torch.testing.assert_close(fast, slow, **EXACT)
    torch.testing.assert_close(gradients(fast, decoder), gradients(slow, decoder), **EXACT)


@given(st.integers(1, 3), SIZES, st.sampled_from([1, 20, 2**19]), st.sampled_from([0.1, 1.0, 10.0]))
def test_single_change_losses_equal_the_plain_ones(
    num_samples: int, sizes: tuple[int, int, int, int], chunk: int, scale: float
) -> None:
    objective, _ = make(sizes, scale=scale)
    z = draw(num_samples, sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_candidates, "CHUNK_ELEMENTS_CPU", chunk)
        fast = single_change_losses(objective, z)
    assert fast.shape == z.shape
    assert not fast.requires_grad
    slow = single_change_losses(plain(objective), z)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("num_variables", [1, 3])
def test_extra_leading_dimensions_and_none(num_variables: int) -> None:
    sizes = (2, num_variables, 3, 4)
    objective, _ = make(sizes)
    z = draw(6, sizes)
    table = single_change_losses(objective, z)
    torch.testing.assert_close(
        single_change_losses(objective, z.unflatten(0, (3, 2))), table.unflatten(0, (3, 2))
    )
    torch.testing.assert_close(single_change_losses(objective, z[2]), table[2])


@pytest.mark.parametrize("num_variables", [1, 2])
def test_empty_batch(num_variables: int) -> None:
    sizes = (0, num_variables, 3, 4)
    objective, _ = make(sizes)
    z = draw(2, sizes)
    assert evaluate(objective, z).shape == (2, 0)
    assert state_losses(objective, sizes[:3]).shape == (0, 3**num_variables)
    assert single_change_losses(objective, z).shape == (2, 0, num_variables, 3)


@pytest.mark.parametrize("num_variables", [1, 2])
def test_a_first_layer_without_bias(num_variables: int) -> None:
    sizes = (2, num_variables, 3, 4)
    objective, decoder = make(sizes)
    decoder.first = nn.Linear(num_variables * 3, 5, bias=False).double()
    z = draw(2, sizes)
    for table in (single_change_losses, evaluate):
        torch.testing.assert_close(table(objective, z), table(plain(objective), z), **EXACT)
    torch.testing.assert_close(
        state_losses(objective, sizes[:3]),
        state_losses(plain(objective), sizes[:3], dtype=torch.float64),
        **EXACT,
    )


def test_tables_follow_the_decoder() -> None:
    """Nothing of an old decoder is kept."""
    objective, decoder = make((2, 2, 3, 4))
    z = draw(1, (2, 2, 3))
    before = single_change_losses(objective, z)
    with torch.no_grad():
        decoder.first.weight.mul_(2.0)
    after = single_change_losses(objective, z)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, single_change_losses(plain(objective), z), **EXACT)


def test_float32_tables_are_close() -> None:
    objective, decoder = make((4, 3, 4, 200))
    z = draw(2, (4, 3, 4))
    expected = single_change_losses(objective, z)
    decoder.float()
    single = Reconstruction(decoder, objective.images.float(), reduced=False)
    # 200 pixels of a few nats, in float32.
    torch.testing.assert_close(
        single_change_losses(single, z.float()).double(), expected, rtol=1e-5, atol=1e-3
    )
    assert state_losses(single, (4, 3, 4)).dtype == torch.float32


@pytest.mark.parametrize("num_values", [2, 3])
def test_bfloat16_changes_are_close_relative_to_the_change(num_values: int) -> None:
    """Whether or not this machine is faster with it: what is computed must be right."""
    sizes = (20, 6, num_values, 300)
    objective, decoder = make(sizes, scale=3.0)
    z = draw(2, sizes)
    expected = single_change_losses(objective, z)
    decoder.float()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_candidates, "fast_bfloat16", lambda device: True)
        reduced = single_change_losses(
            Reconstruction(decoder, objective.images.float()), z.float()
        ).double()
    base = (expected * z).sum(-1, keepdim=True)
    size = (expected - base).square().mean().sqrt()
    assert size > 1.0  # nats: there is something to get wrong
    error = ((reduced - expected).square().mean()).sqrt()
    assert 1e-6 < error / size < 0.01  # it is bfloat16, and the error is relative to the change


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_of_other_assignments(dtype: torch.dtype) -> None:
    sizes = (5, 4, 2, 30)
    objective, decoder = make(sizes)
    z, others = draw(2, sizes), torch.stack([draw(2, sizes, seed) for seed in (1, 2, 3)])
    expected = evaluate(objective, others)
    decoder.to(dtype)
    same = Reconstruction(decoder, objective.images.to(dtype), reduced=False)
    losses, other_losses = same.losses_and_others(z.to(dtype), others.to(dtype))
    close = EXACT if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-4}
    torch.testing.assert_close(other_losses.double(), expected, **close)
    torch.testing.assert_close(losses, evaluate(same, z.to(dtype)))
    assert losses.requires_grad
    assert not other_losses.requires_grad


def test_losses_and_changes_are_those_of_the_single_calls() -> None:
    objective, decoder = make((4, 3, 2, 20))
    z = draw(2, (4, 3, 2))
    losses, changes = objective.losses_and_changes(z)
    torch.testing.assert_close(changes, single_change_losses(objective, z), **EXACT)
    torch.testing.assert_close(
        gradients(losses, decoder), gradients(evaluate(plain(objective), z), decoder), **EXACT
    )


def test_too_many_states() -> None:
    objective, _ = make((2, 3, 2, 4))
    with pytest.raises(ValueError, match=r"2\^3 = 8 states, the limit is 7"):
        objective.state_losses(3, 2, max_states=7)
    objective, _ = make((2, 1, 9, 4))
    with pytest.raises(ValueError, match=r"9\^1 = 9 states, the limit is 8"):
        objective.state_losses(1, 9, max_states=8)


@pytest.mark.parametrize("num_variables", [1, 2])
def test_another_batch_size_is_a_one_line_error(num_variables: int) -> None:
    objective, _ = make((4, num_variables, 3, 5))
    for batch_size in (1, 3):
        with pytest.raises(ValueError, match=r"^the objective must hold[^\n]*\(4, \d+\)$"):
            state_losses(objective, (batch_size, num_variables, 3))


def test_other_decoders_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^decoder must have a linear layer `first`.*got Linear"):
        Reconstruction(nn.Linear(3, 4), torch.zeros(2, 4))


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (torch.zeros(2, 4, dtype=torch.uint8), TypeError),
        ([[0.0]], TypeError),
        (torch.zeros(2, 1, 2, 2), ValueError),
    ],
)
def test_other_images_are_refused(images: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^images must [^\n]*$"):
        Reconstruction(Decoder(1, 3, 4), images)


def test_the_decoder_is_a_factored_decoder() -> None:
    decoder: FactoredDecoder = Decoder(1, 2, 3)  # mypy looks; modules hide layers from isinstance
    assert is_factored(decoder)


@pytest.mark.parametrize("gain", [0.6, 4.0])
def test_torch_compile_makes_one_graph_of_it(gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU that multiplies faster in bfloat16, too."""
    torch.compiler.reset()
    monkeypatch.setattr(_precision, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(_precision, "_gain", lambda: gain)
    monkeypatch.setattr(_precision, "_measured", None)
    torch.manual_seed(0)
    decoder, images = Decoder(3, 4, 20), torch.rand(5, 20).round()
    logits = torch.randn(5, 3, 4, requires_grad=True)

    def step(logits: Tensor) -> Tensor:
        objective = Reconstruction(decoder, images)
        return LocalExpectation()(Categorical(logits, validate=False), objective).loss

    gradients = []
    for function in (step, torch.compile(step, backend="eager", fullgraph=True)):
        torch.manual_seed(1)
        gradients += torch.autograd.grad(function(logits).sum(), logits)
    torch.testing.assert_close(*gradients, rtol=0, atol=0.02 if gain > 1 else 1e-5)
