"""The local expectation of a few variables, drawn anew: unbiased, and cheaper."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import gradient_of, random_logits, seeded
from torch import Tensor

from directmax import Categorical, Decoder, Exact, LocalExpectation, Reconstruction
from reference import Interaction

EXACT = {"rtol": 0, "atol": 1e-9}


@pytest.mark.parametrize("slope", [False, True])
@pytest.mark.parametrize("num_variables", [1, 3])
def test_unbiased(num_variables: int, slope: bool) -> None:
    logits, objective = random_logits(1, 4, 3), Interaction(1, 4, 3)
    exact = gradient_of(Exact(), logits, objective)
    estimator = LocalExpectation(num_variables=num_variables, slope=slope)
    q = Categorical(logits.expand(20_000, 4, 3))

    def together(z: Tensor) -> Tensor:
        return objective(z.flatten(0, -3)[:, None]).view(z.shape[:-2])

    loss = estimator(q, together, generator=seeded()).loss
    (each,) = torch.autograd.grad(loss.sum(), q.logits)
    error = each.std(0) / 20_000**0.5
    assert (each.mean(0) - exact[0]).abs().max() <= 5 * error.max()


def test_the_slope_of_a_linear_function_is_all_of_it() -> None:
    logits, costs = random_logits(3, 5, 4), torch.randn(5, 4, generator=seeded()).double()

    def objective(z: Tensor) -> Tensor:
        return (z * costs).sum((-2, -1))

    sampled = LocalExpectation(num_variables=2, slope=True)
    torch.testing.assert_close(
        gradient_of(sampled, logits, objective, generator=seeded()),
        gradient_of(Exact(), logits, objective),
        **EXACT,
    )


def test_as_many_as_there_are_is_the_whole() -> None:
    logits, objective = random_logits(3, 4, 3), Interaction(3, 4, 3)
    found = (
        gradient_of(estimator, logits, objective, generator=seeded())
        for estimator in (LocalExpectation(num_variables=4), LocalExpectation())
    )
    torch.testing.assert_close(*found, **EXACT)


@pytest.mark.parametrize("slope", [False, True])
def test_a_decoder_is_asked_as_a_plain_function_is(slope: bool) -> None:
    torch.manual_seed(0)
    decoder, images = Decoder(6, 3, 9).double(), torch.rand(4, 9, dtype=torch.float64).round()
    objective, logits = Reconstruction(decoder, images), random_logits(4, 6, 3)
    estimator = LocalExpectation(num_variables=2, slope=slope)
    fast = gradient_of(estimator, logits, objective, generator=seeded())
    plain = gradient_of(estimator, logits, lambda z: objective(z), generator=seeded())
    torch.testing.assert_close(fast, plain, **EXACT)


def test_variance_falls_with_the_slope() -> None:
    torch.manual_seed(0)
    decoder, images = Decoder(20, 2, 30).double(), torch.rand(1, 30, dtype=torch.float64).round()
    objective = Reconstruction(decoder, images.expand(4000, 30))
    logits = torch.zeros(4000, 20, 2, dtype=torch.float64)

    def variance(estimator: LocalExpectation) -> float:
        return float(gradient_of(estimator, logits, objective, generator=seeded()).var(0).sum())

    whole = variance(LocalExpectation())
    without = variance(LocalExpectation(num_variables=2))
    predicted = variance(LocalExpectation(num_variables=2, slope=True))
    assert whole <= predicted < 0.5 * without


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_variables": 0}, r"^num_variables must be .*at least 1"),
        ({"num_variables": 1.5}, r"^num_variables must be an integer"),
        ({"slope": True}, r"^slope=True .*num_variables"),
    ],
)
def test_wrong_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LocalExpectation(**arguments)  # type: ignore[arg-type]


def test_a_slope_needs_a_derivative() -> None:
    q = Categorical(random_logits(2, 3, 3))
    with pytest.raises(TypeError, match=r"slope=True needs an f"):
        LocalExpectation(num_variables=1, slope=True)(q, lambda z: (z > 0).double().sum((-2, -1)))


def test_the_slope_without_gradients() -> None:
    """As losses are validated: there is no gradient to predict."""
    logits, objective = random_logits(2, 4, 3), Interaction(2, 4, 3)
    estimator = LocalExpectation(num_variables=2, slope=True)
    expected = estimator(Categorical(logits), objective, generator=seeded()).loss.detach()
    with torch.no_grad():
        found = estimator(Categorical(logits), objective, generator=seeded()).loss
    assert torch.equal(found, expected)


def test_the_slope_where_f_cannot_be_differentiated_inside() -> None:
    estimator = LocalExpectation(num_variables=1, slope=True)

    def loss(logits: Tensor) -> Tensor:
        q = Categorical(logits, validate=False)
        return estimator(q, lambda z: (z**2).sum((-2, -1))).loss.sum()

    with pytest.raises(TypeError, match=r"^LocalExpectation with slope=True, which differentiates"):
        torch.func.grad(loss)(torch.zeros(2, 3, 2))
    with pytest.raises(Exception, match="leave fullgraph=True out"):
        torch.compile(loss, backend="eager", fullgraph=True)(torch.zeros(2, 3, 2))
