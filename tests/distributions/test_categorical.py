"""Categorical: against torch.distributions, against enumeration, at the edges, and its errors."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributions

from directmax import Categorical
from directmax.distributions import DiscreteDistribution
from reference import all_states, is_one_hot, state_probs

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(2, 5))


def random_logits(sizes: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*sizes, generator=g, dtype=torch.float64)


def torch_distribution(logits: Tensor) -> distributions.Independent:
    return distributions.Independent(distributions.OneHotCategorical(logits=logits), 1)


@given(SIZES, st.integers(0, 100), st.sampled_from([0.1, 1.0, 10.0]))
def test_agrees_with_torch(sizes: tuple[int, int, int], seed: int, scale: float) -> None:
    logits = random_logits(sizes, seed, scale)
    q, p = Categorical(logits), torch_distribution(logits)
    z = q.sample(7, generator=torch.Generator().manual_seed(seed))
    assert z.shape == (7, *sizes)
    assert is_one_hot(z)
    torch.testing.assert_close(q.log_prob(z), p.log_prob(z), **EXACT)
    torch.testing.assert_close(q.entropy(), p.entropy(), **EXACT)
    uniform = torch_distribution(torch.zeros_like(logits))
    torch.testing.assert_close(q.kl_to_uniform(), distributions.kl_divergence(p, uniform), **EXACT)
    torch.testing.assert_close(q.probs, logits.softmax(-1), **EXACT)
    torch.testing.assert_close(q.log_probs, logits.log_softmax(-1), **EXACT)


@given(SIZES, st.integers(0, 100))
def test_agrees_with_enumeration(sizes: tuple[int, int, int], seed: int) -> None:
    logits = random_logits(sizes, seed)
    q = Categorical(logits)
    probs = state_probs(logits)  # (b, K)
    table = q.log_prob_table()
    torch.testing.assert_close(table, probs.log(), **EXACT)
    torch.testing.assert_close(table.exp().sum(-1), torch.ones(sizes[0]).double(), **EXACT)
    torch.testing.assert_close(q.entropy(), -(probs * probs.log()).sum(-1), **EXACT)
    kl = (probs * (probs * probs.shape[-1]).log()).sum(-1)
    torch.testing.assert_close(q.kl_to_uniform(), kl, **EXACT)
    states = all_states(*sizes[1:]).unsqueeze(1).expand(-1, sizes[0], -1, -1)
    torch.testing.assert_close(q.log_prob(states), table.T, **EXACT)
    # h(z) and log q(z) differ by a constant of the problem.
    difference = q.score(states) - table.T
    torch.testing.assert_close(difference, difference[:1].expand_as(difference), **EXACT)


def test_leading_dimensions() -> None:
    q = Categorical(random_logits((2, 3, 4)))
    z = q.sample(6).unflatten(0, (3, 2))
    assert q.log_prob(z).shape == q.score(z).shape == (3, 2, 2)
    assert q.log_prob(z[0, 0]).shape == (2,)
    torch.testing.assert_close(q.log_prob(z)[1, 0], q.log_prob(z[1, 0]))


def test_mode_and_argmax() -> None:
    logits = torch.tensor([[[0.0, 3.0, 1.0], [2.0, 2.0, 0.0]]])
    q = Categorical(logits)
    assert q.mode().argmax(-1).tolist() == [[1, 0]]
    shift = torch.zeros(5, 1, 2, 3)
    shift[3, 0, 1, 2] = 2.5
    assert q.argmax(shift).argmax(-1).tolist() == [[[1, 0]]] * 3 + [[[1, 2]]] + [[[1, 0]]]
    assert torch.equal(q.argmax(torch.zeros_like(logits)), q.mode())


def test_samples_carry_no_gradient() -> None:
    q = Categorical(random_logits((2, 1, 3)).requires_grad_())
    for z in (q.sample(), q.mode(), q.argmax(torch.zeros(1, 2, 1, 3).double())):
        assert not z.requires_grad


def test_noise_and_samples_are_reproducible() -> None:
    q = Categorical(random_logits((2, 3, 4)))
    state = torch.get_rng_state()
    first = q.noise(2, generator=torch.Generator().manual_seed(4))
    again = q.noise(2, generator=torch.Generator().manual_seed(4))
    assert first.shape == (2, 2, 3, 4)
    assert first.dtype == torch.float64
    assert torch.equal(first, again)
    z = q.sample(2, generator=torch.Generator().manual_seed(4))
    assert torch.equal(z, q.argmax(first))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("weight", [0.25, "per problem"])
def test_attach_adds_the_difference_of_scores_to_the_gradient(weight: float | str) -> None:
    logits = random_logits((3, 2, 4)).requires_grad_()
    other = torch.ones(3, dtype=torch.float64, requires_grad=True)
    q = Categorical(logits)
    first, second = q.sample(5), q.sample(5)
    each = torch.tensor([0.5, -2.0, 7.0]).double() if isinstance(weight, str) else weight
    upstream = torch.tensor([1.0, 10.0, -3.0], dtype=torch.float64)

    wanted = each * (q.score(first) - q.score(second)).mean(0)
    expected = torch.autograd.grad((wanted * upstream).sum(), logits)[0]
    value = q.attach(other.square(), first, second, each)
    assert torch.equal(value.detach(), other.detach().square())
    (value * upstream).sum().backward()
    torch.testing.assert_close(logits.grad, expected, **EXACT)
    torch.testing.assert_close(other.grad, 2 * upstream, **EXACT)


def test_attach_equals_the_general_one() -> None:
    """Distributions without a rule of their own inherit value + (s − s.detach())."""
    logits = random_logits((3, 2, 4)).requires_grad_()
    value = torch.ones(3, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([0.5, -2.0, 7.0], dtype=torch.float64)
    q = Categorical(logits)
    first, second = q.sample(5), q.sample(5)
    special = q.attach(value, first, second, weight)
    general = DiscreteDistribution.attach(q, value, first, second, weight)
    assert torch.equal(special, general)
    torch.testing.assert_close(
        torch.autograd.grad(special.square().sum(), [logits, value]),
        torch.autograd.grad(general.square().sum(), [logits, value]),
        **EXACT,
    )


def test_attach_leaves_a_value_exact_whatever_the_scores() -> None:
    # value + s − s.detach() in float32 loses the value's last digits where s is large, and is no
    # number where s is infinite.
    for largest in (3e4, torch.finfo(torch.float32).max):
        logits = torch.tensor([[[largest, 0.0], [largest, 1.0]]], requires_grad=True)
        q, value = Categorical(logits), torch.tensor([0.1])
        z = q.mode().unsqueeze(0)
        attached = q.attach(value, z, 1 - z, 1e4)
        assert torch.equal(attached.detach(), value)
        attached.sum().backward()
        assert torch.equal(logits.grad, 1e4 * (2 * z[0] - 1))


@pytest.mark.parametrize("name", ["entropy", "kl_to_uniform", "log_prob_table"])
def test_gradcheck(name: str) -> None:
    logits = random_logits((2, 2, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: getattr(Categorical(h), name)(), logits)


@pytest.mark.parametrize("name", ["log_prob", "score"])
def test_gradcheck_at_a_sample(name: str) -> None:
    logits = random_logits((2, 2, 3)).requires_grad_()
    z = Categorical(logits).sample(4)
    assert torch.autograd.gradcheck(lambda h: getattr(Categorical(h), name)(z), logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1e4])
@pytest.mark.parametrize("num_variables", [1, 2])
def test_saturated_logits(dtype: torch.dtype, size: float, num_variables: int) -> None:
    row = torch.tensor([size, -size, 0.0], dtype=dtype)
    logits = row.expand(2, num_variables, 3).clone().requires_grad_()
    q = Categorical(logits)
    z = q.sample(20, generator=torch.Generator().manual_seed(0))
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert q.dtype == z.dtype == wide  # half precision has too few digits for noise and sums
    assert z[..., 0].all()
    results = [q.entropy(), q.kl_to_uniform(), q.log_prob(z), q.log_prob_table(), q.score(z)]
    for result in results:
        assert result.dtype == wide
        assert result.isfinite().all()
    tolerance = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(q.entropy().float(), torch.zeros(2), **tolerance)
    kl = torch.full((2,), num_variables * math.log(3))
    torch.testing.assert_close(q.kl_to_uniform().float(), kl, **tolerance)
    sum(result.float().sum() for result in results).backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.isfinite().all()


def test_gradients_are_there_after_a_look_without_gradient() -> None:
    logits = random_logits((2, 1, 3)).requires_grad_()
    q = Categorical(logits)
    with torch.no_grad():
        q.entropy()  # someone logs a number
    q.kl_to_uniform().sum().backward()
    assert logits.grad.abs().sum() > 0


def test_two_backward_passes_through_one_distribution() -> None:
    logits = random_logits((2, 1, 3)).requires_grad_()
    q = Categorical(logits)
    q.kl_to_uniform().sum().backward()
    q.entropy().sum().backward()  # the KL term is a constant minus the entropy
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), **EXACT)


def test_empty_batch() -> None:
    q = Categorical(torch.zeros(0, 2, 3))
    assert q.sample(4).shape == (4, 0, 2, 3)
    assert q.entropy().shape == q.kl_to_uniform().shape == (0,)
    assert q.log_prob_table().shape == (0, 9)


@pytest.mark.parametrize(
    ("logits", "error", "message"),
    [
        ([[[0.0, 1.0]]], TypeError, "logits must be a torch.Tensor, got list"),
        (torch.zeros(1, 1, 2, dtype=torch.int64), TypeError, "logits must be floating point"),
        (torch.zeros(1, 1, 2, dtype=torch.bool), TypeError, "logits must be floating point"),
        (torch.zeros(1, 1, 2, dtype=torch.complex64), TypeError, "logits must be floating point"),
        (torch.zeros(3, 2), ValueError, r"logits must have shape \(batch, variables, values\)"),
        (torch.zeros(1, 1, 3, 2), ValueError, "with 4 axes"),
        (torch.zeros(2, 1, 1), ValueError, "logits must have at least 1 variable and 2 values"),
        (torch.zeros(2, 0, 3), ValueError, "logits must have at least 1 variable and 2 values"),
        (torch.tensor([[[0.0, math.nan]]]), ValueError, r"logits must be finite.*got nan at.*1\)"),
        (torch.tensor([[[math.inf, 0.0]]]), ValueError, "logits must be finite.*got inf at"),
        (torch.full((1, 1, 2), -65504.0).half(), ValueError, ".*got -65504, which stands for −inf"),
    ],
)
def test_wrong_logits(logits: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}|{message}$") as caught:
        Categorical(logits)
    assert str(caught.value).startswith("logits ")
    assert "\n" not in str(caught.value)


def test_finiteness_is_checked_only_on_request() -> None:
    Categorical(torch.tensor([[[0.0, math.nan]]]), validate=False)


@pytest.mark.parametrize("name", ["log_prob", "score"])
def test_assignments_of_another_shape_are_refused(name: str) -> None:
    q = Categorical(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"^z must end in .* = \(2, 3, 4\), got shape \(3, 4\)$"):
        getattr(q, name)(torch.zeros(3, 4))


def test_too_many_states() -> None:
    with pytest.raises(ValueError, match=r"2\^3 = 8 states, the limit is 7"):
        Categorical(torch.zeros(1, 3, 2)).log_prob_table(max_states=7)
    with pytest.raises(ValueError, match=r"9\^1 = 9 states, the limit is 8"):
        Categorical(torch.zeros(1, 1, 9)).log_prob_table(max_states=8)


def test_repr() -> None:
    assert "num_values=4" in repr(Categorical(torch.zeros(2, 3, 4)))
