"""What every estimator must do. An estimator's tests are a subclass that says how to make one.

    class TestMyEstimator(EstimatorConformance):
        def make(self, num_samples=1):
            return MyEstimator(num_samples=num_samples)

`discrete` says whether the sample is one-hot, `samples` whether there is one at all. With
`OverPairs` before it among the bases, the suite runs on coupled binary variables:

    class TestMyEstimatorOverPairs(OverPairs, EstimatorConformance): ...
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from estimator_modes import Modes
from estimator_problems import (
    logit_gradient,
    random_logits,
    random_noise,
    seeded,
)
from estimator_suite import EXACT, HALVES
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import (
    Decoder,
    Estimate,
    Reconstruction,
)
from directmax.objectives import bernoulli_loss, evaluate
from reference import (
    Interaction,
    is_one_hot,
)
from significance import assert_mean


class EstimatorConformance(Modes):
    """Inherit, and override `make`."""

    # What it returns

    @given(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(2, 4)), st.integers(1, 3))
    def test_shapes(self, sizes: tuple[int, int, int], num_samples: int) -> None:
        sizes = self.sizes(*sizes)
        logits, objective = random_logits(*sizes), Interaction(*sizes)
        estimate = self.make(num_samples)(self.distribution(logits), objective, generator=seeded())
        assert isinstance(estimate, Estimate)
        assert estimate.loss.shape == sizes[:1]
        assert estimate.loss.dtype == torch.float64
        assert logit_gradient(estimate, logits).shape == sizes
        if self.samples:
            assert estimate.sample.shape == (num_samples * self.draws_per_sample, *sizes)
            assert estimate.sample.dtype == torch.float64
            assert not estimate.sample.requires_grad
            assert is_one_hot(estimate.sample) == self.discrete
        else:
            assert estimate.sample is None

    @pytest.mark.parametrize("num_samples", [1, 3])
    def test_value_and_gradient_of_the_objective(self, num_samples: int) -> None:
        """The loss is the mean of f over the sample, or its expectation; so is f's gradient."""
        logits, objective = self.problem(4, 2, 3)
        estimate = self.make(num_samples)(self.distribution(logits), objective, generator=seeded())
        if self.samples:
            expected = evaluate(objective, estimate.sample).mean(0)
        else:
            expected = self.expected_loss(logits.detach(), objective)
        torch.testing.assert_close(estimate.loss, expected, rtol=0, atol=1e-12)
        weight = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
        parameters = list(objective.parameters())
        actual = torch.autograd.grad((estimate.loss * weight).sum(), parameters)
        wanted = torch.autograd.grad((expected * weight).sum(), parameters)
        torch.testing.assert_close(actual, wanted, **EXACT)

    def test_large_logits_leave_the_loss_exact(self) -> None:
        """A surrogate of 1e6 that is added and subtracted would cost float32 its last digits."""
        logits = torch.tensor([[[3e3, 2e3, -5e3], [1e3, -3e3, 1e3]]])
        cost = torch.tensor([[0.1, 500.0, 7.0], [0.01, 300.0, 0.03]])
        logits = logits[..., : self.num_values].clone().requires_grad_()
        cost = cost[..., : self.num_values]

        def objective(z: Tensor) -> Tensor:
            return (z * cost).sum((-2, -1))

        estimate = self.make()(self.distribution(logits), objective, generator=seeded())
        if self.samples:
            assert torch.equal(estimate.loss, objective(estimate.sample).mean(0))
        else:
            torch.testing.assert_close(
                estimate.loss, self.expected_loss(logits.double(), objective).float()
            )

    # Problems and draws

    @pytest.mark.parametrize("num_variables", [1, 2])
    def test_problems_of_a_batch_do_not_touch(self, num_variables: int) -> None:
        logits, objective = self.problem(3, num_variables, 3)
        noise = random_noise(2, *logits.shape)
        together = self.gradient(self.make(2), logits, objective, noise=noise)
        for row in range(3):
            part = slice(row, row + 1)
            single = copy.deepcopy(objective)
            single.input = objective.input[part]
            alone = self.gradient(self.make(2), logits[part], single, noise=noise[:, part])
            torch.testing.assert_close(alone[0], together[row], **EXACT)

    @pytest.mark.parametrize("num_variables", [1, 2])
    def test_draws_are_averaged(self, num_variables: int) -> None:
        if not self.samples:
            pytest.skip("draws nothing")
        logits, objective = self.problem(3, num_variables, 4)
        noise = random_noise(3, *logits.shape)
        same = noise[:1].expand(3, -1, -1, -1)
        torch.testing.assert_close(
            self.gradient(self.make(3), logits, objective, noise=same),
            self.gradient(self.make(1), logits, objective, noise=noise[:1]),
            **EXACT,
        )
        order = torch.tensor([2, 0, 1])
        torch.testing.assert_close(
            self.gradient(self.make(3), logits, objective, noise=noise),
            self.gradient(self.make(3), logits, objective, noise=noise[order]),
            **EXACT,
        )

    def test_empty_batch(self) -> None:
        sizes = self.sizes(0, 2, 3)
        logits = torch.zeros(sizes, requires_grad=True)
        estimate = self.make()(self.distribution(logits), lambda z: z.sum((-2, -1)))
        assert estimate.loss.shape == (0,)
        assert logit_gradient(estimate, logits).shape == sizes

    def test_one_constant_moves_no_gradient_of_the_logits(self) -> None:
        if not self.shift_invariant:
            pytest.skip("only in expectation")
        logits, objective = self.problem(3, 2, 3)
        noise = random_noise(1, *logits.shape)
        torch.testing.assert_close(
            self.gradient(self.make(), logits, lambda z: objective(z) + 500, noise=noise),
            self.gradient(self.make(), logits, objective, noise=noise),
            **EXACT,
        )

    # Randomness

    def test_a_generator_decides(self) -> None:
        logits, objective = self.problem(4, 2, 3)
        state = torch.get_rng_state()
        first = self.make(2)(self.distribution(logits), objective, generator=seeded(1))
        again = self.make(2)(self.distribution(logits), objective, generator=seeded(1))
        other = self.make(2)(self.distribution(logits), objective, generator=seeded(2))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(first.loss, again.loss)
        assert torch.equal(logit_gradient(first, logits), logit_gradient(again, logits))
        assert torch.equal(first.loss, other.loss) != self.samples

    def test_without_a_generator_torchs_own_decides(self) -> None:
        logits, objective = self.problem(4, 2, 3)
        with torch.random.fork_rng():
            losses = []
            for seed in (1, 1, 2):
                torch.manual_seed(seed)
                losses.append(self.make()(self.distribution(logits), objective).loss)
        assert torch.equal(losses[0], losses[1])
        assert torch.equal(losses[0], losses[2]) != self.samples

    # Objectives

    @pytest.mark.parametrize("num_variables", [1, 3])
    def test_reconstruction_equals_its_plain_function(self, num_variables: int) -> None:
        _, n, k = self.sizes(4, num_variables, 3)
        decoder = Decoder(n, k, 6, hidden=5).double()
        with torch.no_grad():
            for number, parameter in enumerate(decoder.parameters()):
                parameter.copy_(random_logits(*parameter.shape, seed=number))
        images = random_logits(4, 6, seed=9).detach().sigmoid().round()
        logits = random_logits(4, n, k)

        def run(objective: Callable[[Tensor], Tensor]) -> Sequence[Tensor]:
            estimate = self.make(2)(self.distribution(logits), objective, generator=seeded())
            weight = torch.arange(1.0, 5.0, dtype=torch.float64)
            total = (estimate.loss * weight).sum()
            gradients = torch.autograd.grad(total, [logits, *decoder.parameters()])
            return [estimate.loss, *gradients] + ([estimate.sample] if self.samples else [])

        fast = run(Reconstruction(decoder, images))
        slow = run(lambda z: bernoulli_loss(decoder(z), images))
        torch.testing.assert_close(fast, slow, **EXACT)

    @pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
    @pytest.mark.parametrize("size", [1.0, 50.0])
    @pytest.mark.parametrize("num_variables", [1, 2])
    def test_finite_in_any_precision(
        self, dtype: torch.dtype, size: float, num_variables: int
    ) -> None:
        signs = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=dtype)
        part = (slice(num_variables), slice(self.num_values))
        logits = (size * signs)[part].expand(8, -1, -1).clone().requires_grad_()
        cost = torch.tensor([[0.0, 1.0, 300.0], [20.0, -30.0, 0.5]], dtype=dtype)[part]
        q = self.distribution(logits)
        estimate = self.make(2)(q, lambda z: (z * cost).sum((-2, -1)), generator=seeded())
        assert estimate.loss.dtype == q.dtype
        assert estimate.loss.isfinite().all()
        gradient = logit_gradient(estimate, logits)
        assert gradient.dtype == dtype
        assert gradient.isfinite().all()

    @pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
    def test_equal_losses_have_no_gradient(self, dtype: torch.dtype) -> None:
        if not self.quiet:
            pytest.skip("only in expectation")
        logits = random_logits(*self.sizes(50, 2, 3)).detach().to(dtype).requires_grad_()
        for level in (0.0, 700.0):
            estimate = self.make(2)(
                self.distribution(logits),
                lambda z, level=level: z.sum((-2, -1)) * 0 + level,
                generator=seeded(),
            )
            # Where states are weighted, the rounding of the weights is left.
            rounding = 0 if self.discrete else 4 * level * torch.finfo(dtype).eps
            assert (estimate.loss - level).abs().max() <= rounding
            assert logit_gradient(estimate, logits).abs().max() <= rounding

    @pytest.mark.parametrize("num_variables", [1, 3])
    @pytest.mark.parametrize("num_samples", [1, 2])
    def test_evaluations_are_as_many_as_it_says(self, num_variables: int, num_samples: int) -> None:
        logits, objective = self.problem(4, num_variables, 3)
        count = 0

        def counted(z: Tensor) -> Tensor:
            nonlocal count
            count += z.shape[:-3].numel()
            return objective(z)

        estimator = self.make(num_samples)
        estimator(self.distribution(logits), counted, generator=seeded())
        expected = estimator.evaluations(*logits.shape[1:])
        # The k values of a single variable serve all samples, but a plain f sees each sample too.
        again = num_samples - 1 if self.looks_again and num_variables == 1 else 0
        assert count == expected + again

    def test_says_whether_it_needs_a_derivative(self) -> None:
        logits, objective = self.problem(4, 2, 3)

        def blunt(z: Tensor) -> Tensor:
            return objective(z.detach().round())

        estimator = self.make(2)
        if estimator.needs_derivative:
            with pytest.raises(TypeError, match=r"needs an f that is differentiable in z$"):
                estimator(self.distribution(logits), blunt, generator=seeded())
        else:
            estimate = estimator(self.distribution(logits), blunt, generator=seeded())
            wanted = self.make(2)(self.distribution(logits), objective, generator=seeded())
            torch.testing.assert_close(
                logit_gradient(estimate, logits), logit_gradient(wanted, logits), **EXACT
            )

    # Errors

    def test_wrong_arguments_are_one_line_errors(self) -> None:
        logits = torch.zeros(self.sizes(2, 1, 3))
        q, objective = self.distribution(logits), lambda z: z.sum((-2, -1))
        estimator = self.make()
        with pytest.raises(TypeError, match=r"^q must be a distribution[^\n]*got Tensor$"):
            estimator(logits, objective)
        with pytest.raises(TypeError, match=r"^objective must be callable, got Tensor$"):
            estimator(q, logits)
        with pytest.raises(ValueError, match=r"^the objective must return one loss[^\n]*$"):
            estimator(q, lambda z: z.sum())
        with pytest.raises(TypeError, match=r"^the objective must return a torch.Tensor, got int$"):
            estimator(q, lambda z: 1)
        assert estimator.step == 0

    @pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
    def test_wrong_sample_counts_are_refused(self, value: object) -> None:
        if not self.samples:
            pytest.skip("draws nothing")
        with pytest.raises((TypeError, ValueError), match=r"^num_samples must be an integer"):
            self.make(value)

    # Mathematics

    def test_unbiased_where_it_says_so(self) -> None:
        if not self.make().unbiased:
            pytest.skip("says it is biased; its own tests show how the bias shrinks")
        draws = 4000
        logits, objective = self.problem(1, 2, 3)
        many = logits.detach().expand(draws, -1, -1)
        gradients = self.gradient(self.make(), many, objective, generator=seeded())
        expected = self.expected_gradient(logits, objective)[0]
        if self.samples:
            assert_mean(gradients, expected)
        else:
            torch.testing.assert_close(gradients, expected.expand_as(gradients), **EXACT)
