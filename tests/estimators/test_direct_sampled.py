"""`Direct` of a few variables, drawn anew: in the mean what all of them give."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest
import torch
from estimator_problems import gradient_of, random_logits, seeded
from torch import Tensor

from directmax import Categorical, Decoder, Direct, PairwiseBinary, Reconstruction
from reference import Interaction

N, K = 4, 3
EXACT = {"rtol": 0, "atol": 1e-9}


def expected(logits: Tensor, objective: Interaction, epsilon: float, two_sided: bool) -> Tensor:
    """The mean of the estimate of all variables, by enumeration.

    Given the others, the noise of variable i is fresh: summed out, (z*_i − z^ε_i)/ε is a difference
    of softmaxes, whose mean over z is a sum over all states.
    """
    probs, total = logits.softmax(-1), torch.zeros_like(logits)
    for state in itertools.product(range(K), repeat=N):
        weight = torch.stack([probs[0, i, j] for i, j in enumerate(state)]).prod()
        z = torch.nn.functional.one_hot(torch.tensor(state), K)[None].to(logits)
        for i in range(N):
            changed = z.repeat(K, 1, 1)
            changed[:, i] = torch.eye(K, dtype=z.dtype)
            losses = torch.cat([objective(each[None]) for each in changed])
            lower = (logits[0, i] - epsilon * losses).softmax(-1)
            upper = logits[0, i] + (epsilon * losses if two_sided else 0)
            scale = 2 * epsilon if two_sided else epsilon
            total[0, i] += weight * (upper.softmax(-1) - lower) / scale
    return total


@pytest.mark.parametrize("num_variables", [1, 3])
@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("rao_blackwell", [False, True])
def test_the_mean_is_that_of_all(num_variables: int, two_sided: bool, rao_blackwell: bool) -> None:
    logits, objective = random_logits(1, N, K), Interaction(1, N, K)
    exact = expected(logits, objective, 0.7, two_sided)
    assert exact.abs().max() > 0.05
    estimator = Direct(
        0.7, two_sided=two_sided, rao_blackwell=rao_blackwell, num_variables=num_variables
    )
    q = Categorical(logits.expand(40_000, N, K).clone().requires_grad_())

    def together(z: Tensor) -> Tensor:
        return objective(z.flatten(0, -3)[:, None]).view(z.shape[:-2])

    loss = estimator(q, together, generator=seeded()).loss
    (each,) = torch.autograd.grad(loss.sum(), q.logits)
    error = (each.std(0) / 40_000**0.5).max()
    assert error < 0.25 * exact.abs().max(), "no power"
    assert (each.mean(0) - exact[0]).abs().max() <= 5 * error


@pytest.mark.parametrize("epsilon", ["auto", 0.5])
def test_as_many_as_there_are_is_the_whole(epsilon: float | Literal["auto"]) -> None:
    logits, objective = random_logits(3, N, K), Interaction(3, N, K)
    found = (
        gradient_of(Direct(epsilon, num_variables=m), logits, objective, generator=seeded())
        for m in (N, None)
    )
    torch.testing.assert_close(*found, **EXACT)


def test_auto_takes_the_deviation_of_those_looked_at() -> None:
    """All variables alike: then it is that of all."""
    logits = random_logits(50, N, K)
    steps = []
    for m in (2, None):
        estimator = Direct(num_variables=m)
        gradient_of(estimator, logits, lambda z: z[..., 1].sum(-1), generator=seeded())
        steps.append(estimator.latest()["epsilon"])
    assert steps[0] == pytest.approx(steps[1])


def test_a_decoder_is_asked_as_a_plain_function_is() -> None:
    torch.manual_seed(0)
    decoder, images = Decoder(6, 3, 9).double(), torch.rand(4, 9, dtype=torch.float64).round()
    objective, logits = Reconstruction(decoder, images), random_logits(4, 6, 3)
    estimator = Direct(0.5, rao_blackwell=True, num_variables=2)
    fast = gradient_of(estimator, logits, objective, generator=seeded())
    plain = gradient_of(estimator, logits, lambda z: objective(z), generator=seeded())
    assert fast.abs().max() > 0
    torch.testing.assert_close(fast, plain, **EXACT)


def test_counts_what_it_asks_for() -> None:
    assert Direct(num_variables=3, num_samples=2).evaluations(20, 10) == 2 * (3 * 9 + 1)
    assert Direct(num_variables=30).evaluations(20, 10) == Direct().evaluations(20, 10)


def test_not_for_coupled_variables() -> None:
    q = PairwiseBinary(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(TypeError, match="num_variables needs independent variables"):
        Direct(num_variables=1)(q, lambda z: z.sum((-2, -1)))
    with pytest.raises(ValueError, match="num_variables must be"):
        Direct(num_variables=0)
