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
import gc
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from estimator_problems import (
    Alive,
    FixedPairs,
    Watched,
    gradient_of,
    independent,
    logit_gradient,
    random_logits,
    random_noise,
    seeded,
)
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, nn

from directmax import (
    Categorical,
    Decoder,
    Estimate,
    Estimator,
    Reconstruction,
)
from directmax.distributions import DiscreteDistribution
from directmax.objectives import bernoulli_loss, evaluate
from reference import (
    Function,
    Interaction,
    expected_gradient,
    expected_loss,
    gibbs_probs,
    is_one_hot,
    perturb_and_map_gradient,
    state_table,
)
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}
HALVES = [torch.bfloat16, torch.float16]


class EstimatorConformance:
    """Inherit, and override `make`."""

    discrete = True
    samples = True
    num_values: int | None = None
    """The one k that the distribution has; None for any."""
    transforms = True
    """Whether function transforms can look in; else a pattern of the refusal."""
    compiles = True
    """Whether torch.compile makes one graph of it; else it works in pieces."""
    draws_per_sample = 1
    """Assignments in `sample` for each of `num_samples`."""
    shift_invariant = True
    """Whether a constant added to f leaves the gradient of every draw alone."""
    quiet = True
    """Whether equal losses give no gradient, whatever is drawn."""
    stateless = True
    """Whether a call leaves the next one alone."""
    looks_again = False
    """Whether f of a plain function is also evaluated with gradient, at every sample."""

    def make(self, num_samples: int = 1) -> Estimator:
        raise NotImplementedError

    def distribution(self, logits: Tensor, noise: Tensor | None = None) -> DiscreteDistribution:
        """The distribution with these potentials of the single variables."""
        return independent(logits, noise)

    def expected_loss(self, logits: Tensor, objective: Function) -> Tensor:
        """E[f], by enumeration."""
        return expected_loss(logits, objective)

    def expected_gradient(self, logits: Tensor, objective: Function) -> Tensor:
        """What an unbiased estimator estimates, by enumeration."""
        return expected_gradient(logits, objective)

    def sizes(self, batch: int, num_variables: int, num_values: int) -> tuple[int, int, int]:
        return batch, num_variables, self.num_values or num_values

    def problem(self, *sizes: int) -> tuple[Tensor, Interaction]:
        """Logits and a loss; k is another where the distribution has one k only."""
        sizes = self.sizes(*sizes)
        return random_logits(*sizes), Interaction(*sizes)

    def gradient(
        self, estimator: Estimator, logits: Tensor, *rest: Function, **given: object
    ) -> Tensor:
        return gradient_of(estimator, logits, *rest, distribution=self.distribution, **given)

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

    # Graphs and modes

    def test_keeps_no_graph(self) -> None:
        logits, objective = self.problem(2, 1, 3)
        alive = Alive()
        watch = weakref.ref(alive)

        def watched(z: Tensor, guard: Alive = alive) -> Tensor:
            return Watched.apply(objective(z), guard)

        estimator = self.make()
        estimate = estimator(self.distribution(logits), watched, generator=seeded())
        assert watch() is not None
        del estimate, watched, alive
        gc.collect()
        assert watch() is None

    def test_a_hundred_steps_keep_nothing(self) -> None:
        """Neither tensors nor graphs pile up, with the estimator's own parameters trained too."""
        logits, objective = self.problem(2, 1, 2)
        estimator = self.make()
        parameters = [logits, *objective.parameters(), *estimator.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=1e-3)

        def tensors() -> int:
            gc.collect()
            return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

        counts = []
        for step in range(100):
            estimator(self.distribution(logits), objective).loss.mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if step in (9, 99):
                counts.append(tensors())
        assert counts[1] < counts[0] + 9  # one kept in ten steps would show

    def test_calls_are_independent(self) -> None:
        """Two estimates under one distribution can be differentiated one after the other."""
        logits, objective = self.problem(2, 2, 3)
        q, estimator = self.distribution(logits), self.make()
        first = estimator(q, objective, generator=seeded())
        first.loss.sum().backward()
        if not self.stateless:
            estimator = self.make()
        alone = logits.grad.clone()
        second = estimator(q, objective, generator=seeded())
        second.loss.sum().backward()
        torch.testing.assert_close(logits.grad, 2 * alone, **EXACT)

    def test_gradients_are_there_after_a_look_without_gradient(self) -> None:
        logits, objective = self.problem(2, 2, 3)
        q, fresh = self.distribution(logits), self.distribution(logits)
        with torch.no_grad():
            q.entropy()
        estimate = self.make()(q, objective, generator=seeded())
        expected = self.make()(fresh, objective, generator=seeded())
        wanted = logit_gradient(expected, logits)
        torch.testing.assert_close(logit_gradient(estimate, logits), wanted, **EXACT)

    def test_without_gradient(self) -> None:
        logits, objective = self.problem(2, 2, 3)
        expected = self.make()(self.distribution(logits), objective, generator=seeded())
        with torch.no_grad():
            estimate = self.make()(self.distribution(logits), objective, generator=seeded())
        assert not estimate.loss.requires_grad
        torch.testing.assert_close(estimate.loss, expected.loss.detach(), rtol=0, atol=1e-12)
        with torch.inference_mode():
            estimate = self.make()(self.distribution(logits), objective, generator=seeded())
        torch.testing.assert_close(estimate.loss, expected.loss.detach(), rtol=0, atol=1e-12)

    def test_function_transforms(self) -> None:
        """torch.func sees the same gradient as backward()."""
        if not self.transforms:
            pytest.skip("compiled code needs the memory of its tensors")
        sizes = self.sizes(3, 2, 3)
        logits = random_logits(*sizes).detach()
        objective = Interaction(*sizes).requires_grad_(False)

        def total(leaf: Tensor) -> Tensor:
            q = Categorical(leaf, validate=False)
            return self.make(2)(q, objective, generator=seeded()).loss.sum()

        if isinstance(self.transforms, str):
            with pytest.raises(TypeError, match=self.transforms):
                torch.func.grad(total)(logits)
            return
        expected = self.gradient(self.make(2), logits, objective, generator=seeded())
        torch.testing.assert_close(torch.func.grad(total)(logits), expected, **EXACT)

    @pytest.mark.filterwarnings("ignore:There is a performance drop")
    def test_vmap(self) -> None:
        """Under vmap every problem has its own noise and the gradient that this noise gives."""
        if self.transforms is not True:
            pytest.skip("function transforms are refused, or cannot look in")
        sizes = self.sizes(6, 2, 3)
        objective = Interaction(1, *sizes[1:]).requires_grad_(False)
        logits = random_logits(*sizes).detach()

        def draw(leaf: Tensor) -> tuple[Tensor, Tensor]:
            q = Categorical(leaf[None], validate=False)
            estimate = self.make(2)(q, objective)
            sample = estimate.loss.detach() if estimate.sample is None else estimate.sample
            return estimate.loss.sum(), sample

        many = torch.func.vmap(torch.func.grad(draw, has_aux=True), randomness="different")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            first, sample = many(logits)
            second, _ = many(logits)
        assert first.shape == logits.shape
        assert first.isfinite().all()
        assert self.samples != torch.equal(first, second)
        if not self.samples:
            expected = self.expected_gradient(logits, objective)
            torch.testing.assert_close(first, expected, **EXACT)
        elif self.discrete:
            assert is_one_hot(sample)

    def test_compiled(self) -> None:
        """The compiled estimator gives the same gradients as the plain one, call after call."""
        if not self.transforms:
            pytest.skip("compiled code needs the memory of its tensors")
        logits, objective = self.problem(3, 2, 3)
        plain, compiled = self.make(2), self.make(2)

        def step(estimator: Estimator, leaf: Tensor) -> Tensor:
            return estimator(Categorical(leaf, validate=False), objective).loss

        torch.compiler.reset()
        fast = torch.compile(
            lambda leaf: step(compiled, leaf), backend="eager", fullgraph=self.compiles
        )
        with torch.random.fork_rng():
            for seed in range(10):  # more often than the compiler would compile anew
                gradients = []
                for function in (lambda leaf: step(plain, leaf), fast):
                    torch.manual_seed(seed)
                    leaf = logits.detach().clone().requires_grad_()
                    gradients += torch.autograd.grad(function(leaf).sum(), leaf)
                torch.testing.assert_close(*gradients, **EXACT)
        assert compiled.step == plain.step == 10
        torch.compiler.reset()

    def test_the_step_counts_calls_in_training_mode(self) -> None:
        logits, objective = self.problem(2, 1, 3)
        q = self.distribution(logits)
        estimator = self.make()
        assert estimator.training
        for expected in (1, 2):
            estimator(q, objective)
            assert estimator.step == expected
        estimator.eval()(q, objective)
        assert estimator.step == 2
        estimator.train()(q, objective)
        assert estimator.step == 3

    def test_the_step_is_saved(self) -> None:
        source = nn.ModuleDict({"estimator": self.make()})
        source["estimator"].step = 12_345
        for state in (source.state_dict(), load(save(source.state_dict()))):
            target = nn.ModuleDict({"estimator": self.make()})
            target.load_state_dict(state)
            assert target["estimator"].step == 12_345
        assert copy.deepcopy(source)["estimator"].step == 12_345

    def test_settings_and_latest_numbers_can_be_shown(self) -> None:
        estimator = self.make()
        assert estimator.latest() == {}
        logits, objective = self.problem(2, 1, 3)
        estimator(self.distribution(logits), objective)
        assert all(isinstance(number, float) for number in estimator.latest().values())
        assert type(estimator).__name__ in repr(estimator)

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


class OverPairs:
    """Runs the suite on coupled binary variables; put it before the suite among the bases."""

    num_values = 2
    transforms = False
    exact_samples = False
    """Whether what it estimates is the Gibbs expectation, not that of the perturbed argmax."""

    @staticmethod
    def pairwise(logits: Tensor) -> Tensor:
        """Couplings of both signs, the same for every problem of a batch."""
        n = logits.shape[-2]
        pairs = torch.tensor([2.0, -1.5, 1.0])[: n * (n - 1) // 2]
        return pairs.to(logits.dtype).expand(len(logits), -1)

    def distribution(self, logits: Tensor, noise: Tensor | None = None) -> DiscreteDistribution:
        return FixedPairs(logits, self.pairwise(logits), noise)

    def expected_loss(self, logits: Tensor, objective: Function) -> Tensor:
        assert self.exact_samples
        probs = gibbs_probs(logits, self.pairwise(logits))
        return (probs * state_table(logits, objective)).sum(-1)

    def expected_gradient(self, logits: Tensor, objective: Function) -> Tensor:
        if self.exact_samples:
            leaf = logits.detach().clone().requires_grad_()
            total = self.expected_loss(leaf, objective).sum()
            return torch.autograd.grad(total, leaf)[0]
        n = logits.shape[-2]
        losses = state_table(logits, objective).detach()
        pairwise = self.pairwise(logits)
        rows = [
            perturb_and_map_gradient(*problem)[:n]
            for problem in zip(logits.detach(), pairwise, losses, strict=True)
        ]
        on = torch.stack(rows)
        return torch.stack([-on, on], -1)
