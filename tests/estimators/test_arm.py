"""ARM and DisARM: exact sums and integrals over the noise, and one as the mean of the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from estimator_problems import (
    coupled_distribution,
    gradient_of,
    independent,
    random_logits,
    random_noise,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import Arm, Categorical, DisArm, Estimator
from reference import Interaction, expected_gradient

EXACT = {"rtol": 0, "atol": 1e-9}


def integration_noise(logits: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    r"""Noise `(1, N, n, 2)` and weights `(N,)` for one problem: Gauss's rule between the steps.

    Only δ_i, the difference of a variable's two Gumbels, matters, and v_i = σ(δ_i) is uniform. The
    samples are constant in v between σ(−|φ|) and σ(|φ|) and on either side, and the estimators are
    linear in v_i there: one node a piece integrates them, two also their squares. The pieces are
    the 3^n outcomes of (z, z̃).
    """
    places, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(nodes))
    size = (logits[0, :, 1] - logits[0, :, 0]).detach().abs().unsqueeze(-1)  # |φ|, (n, 1)
    edges = torch.cat([size * 0 - torch.inf, -size, size, size * 0 + torch.inf], -1).sigmoid()
    width = edges.diff()[..., None]  # (n, 3, 1)
    v = (edges[:, :-1, None] + width * (places + 1) / 2).flatten(1)  # (n, 3·nodes)
    weight = (width * weights / 2).flatten(1)
    delta = torch.cartesian_prod(*v.logit()).reshape(-1, len(v))  # (N, n)
    total = torch.cartesian_prod(*weight).reshape(-1, len(v)).prod(-1)
    return torch.stack([-0.3 * delta, 0.7 * delta], -1).unsqueeze(0), total


def all_gradients(
    estimator: Estimator, logits: Tensor, objective: Interaction, nodes: int
) -> tuple[Tensor, Tensor]:
    """Gradients `(N, n, 2)` at the nodes, and the nodes' weights."""
    noise, weights = integration_noise(logits, nodes)
    many = logits.detach().expand(len(weights), -1, -1)
    return gradient_of(estimator, many, objective, noise=noise), weights


@given(st.integers(1, 4), st.integers(0, 30), st.sampled_from([0.1, 1.0, 4.0]))
def test_unbiased_by_integration(num_variables: int, seed: int, size: float) -> None:
    logits = size * random_logits(1, num_variables, 2, seed=seed).detach()
    objective = Interaction(1, num_variables, 2, scale=3.0, seed=seed)
    expected = expected_gradient(logits, objective)[0]
    for estimator in (Arm(), DisArm()):
        gradients, weights = all_gradients(estimator, logits, objective, nodes=1)
        assert len(weights) == 3**num_variables
        torch.testing.assert_close(weights.sum(), torch.ones((), dtype=torch.float64))
        torch.testing.assert_close(torch.einsum("d,dni->ni", weights, gradients), expected, **EXACT)


@pytest.mark.parametrize("num_variables", [1, 2, 3])
def test_disarm_is_the_mean_of_arm_given_the_two_samples(num_variables: int) -> None:
    """So its variance is less in every entry."""
    logits = random_logits(1, num_variables, 2, seed=3)
    objective = Interaction(1, num_variables, 2, scale=3.0)
    arm, weights = all_gradients(Arm(), logits, objective, nodes=2)
    disarm, _ = all_gradients(DisArm(), logits, objective, nodes=2)
    pieces = [2, 3][::-1] * num_variables  # piece, node, piece, node, …
    order = [*range(0, 2 * num_variables, 2), *range(1, 2 * num_variables, 2)]

    def by_outcome(x: Tensor) -> Tensor:
        x = x.unflatten(0, pieces).movedim(order, tuple(range(2 * num_variables)))
        return x.flatten(num_variables, 2 * num_variables - 1).flatten(0, num_variables - 1)

    share = by_outcome(weights)  # (3^n, 2^n)
    given_outcome = torch.einsum("on,on...->o...", share, by_outcome(arm))
    given_outcome /= share.sum(-1)[:, None, None]
    for node in by_outcome(disarm).unbind(1):
        torch.testing.assert_close(node, given_outcome, **EXACT)

    mean = expected_gradient(logits, objective)[0]
    noisy, quiet = (torch.einsum("d,dni->ni", weights, (g - mean).square()) for g in (arm, disarm))
    assert (quiet < noisy).all()
    if num_variables > 1:
        assert (quiet > 0.01 * noisy).all()


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 30))
def test_arm_as_it_is_written(num_variables: int, num_samples: int, seed: int) -> None:
    """(f(1[u > σ(−φ)]) − f(1[u < σ(φ)])) (u − ½), theorem 1, averaged over the draws."""
    logits = random_logits(2, num_variables, 2, seed=seed)
    noise = random_noise(num_samples, 2, num_variables, 2, seed=seed)
    objective = Interaction(2, num_variables, 2)
    phi = (logits[..., 1] - logits[..., 0]).detach()
    u = (noise[..., 1] - noise[..., 0]).sigmoid()
    above, below = (u > (-phi).sigmoid()).double(), (u < phi.sigmoid()).double()
    first, second = (objective(torch.stack([1 - on, on], -1)) for on in (above, below))
    expected = ((first - second).unsqueeze(-1) * (u - 0.5)).mean(0).detach()
    arm = gradient_of(Arm(num_samples=num_samples), logits, objective, noise=noise)
    torch.testing.assert_close(arm, torch.stack([-expected, expected], -1), **EXACT)

    sign = (above - below) * torch.sigmoid(phi.abs())  # (−1)^z̃ 1[z ≠ z̃] σ(|φ|)
    expected = (0.5 * (first - second).unsqueeze(-1) * sign).mean(0).detach()
    disarm = gradient_of(DisArm(num_samples=num_samples), logits, objective, noise=noise)
    torch.testing.assert_close(disarm, torch.stack([-expected, expected], -1), **EXACT)


@pytest.mark.parametrize("estimator", [Arm(num_samples=3), DisArm(num_samples=3)])
def test_both_samples_are_used_and_the_loss_is_their_mean(estimator: Estimator) -> None:
    logits, noise = random_logits(5, 2, 2), random_noise(3, 5, 2, 2)
    objective = Interaction(5, 2, 2)
    estimate = estimator(independent(logits, noise), objective)
    q = Categorical(logits)
    assert torch.equal(estimate.sample[:3], q.argmax(noise))
    assert torch.equal(estimate.sample[3:], q.argmax(noise.flip(-1)))
    assert not torch.equal(estimate.sample[:3], estimate.sample[3:])
    torch.testing.assert_close(estimate.loss, objective(estimate.sample).mean(0), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1000.0])
def test_saturated_logits(dtype: torch.dtype, size: float) -> None:
    """Both samples are the same, so the gradient is exactly zero."""
    logits = size * torch.tensor([[[1, -1], [-1, 1]]]).expand(50, -1, -1).to(dtype)
    for estimator in (Arm(), DisArm()):
        gradient = gradient_of(estimator, logits, lambda z: 300 * z[..., 0].sum(-1))
        assert torch.equal(gradient, torch.zeros_like(logits))


def test_one_saturated_variable_among_others() -> None:
    """DisARM gives it nothing; ARM gives it the others' losses times noise of mean zero."""
    logits = torch.tensor([[[0.0, 1000.0], [0.3, -0.2]]], dtype=torch.float64)
    objective = Interaction(1, 2, 2, scale=3.0)
    arm, weights = all_gradients(Arm(), logits, objective, nodes=2)
    disarm, _ = all_gradients(DisArm(), logits, objective, nodes=2)
    possible = weights > 0
    assert 0 < possible.sum() < len(weights)
    arm, disarm = arm[possible], disarm[possible]
    assert arm[:, 0].abs().max() > 0.1
    assert not disarm[:, 0].any()
    assert disarm[:, 1].abs().max() > 0.1


@pytest.mark.parametrize("estimator", [Arm(), DisArm()])
def test_what_is_refused(estimator: Estimator) -> None:
    name = type(estimator).__name__
    with pytest.raises(ValueError, match=rf"^{name} needs binary variables \(k = 2\), got 3"):
        estimator(Categorical(torch.zeros(2, 2, 3)), lambda z: z.sum((-2, -1)))
    with pytest.raises(TypeError, match=rf"^{name} needs independent variables"):
        estimator(coupled_distribution(), lambda z: z.sum((-2, -1)))
