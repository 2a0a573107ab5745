"""What every estimator must do: graphs, modes, transforms and compilation."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from estimator_problems import (
    Alive,
    Watched,
    logit_gradient,
    random_logits,
    random_noise,
    seeded,
)
from estimator_suite import EXACT, Suite
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from directmax import (
    Categorical,
    Estimator,
    PairwiseBinary,
)
from reference import (
    Interaction,
    is_one_hot,
    state_table,
)


class Modes(Suite):
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

    def test_steps_keep_nothing(self) -> None:
        """Neither tensors nor graphs pile up, with the estimator's own parameters trained too."""
        logits, objective = self.problem(2, 1, 2)
        estimator = self.make()
        gc.freeze()  # only what is made from here on is looked through
        parameters = [logits, *objective.parameters(), *estimator.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=1e-3)

        def tensors() -> int:
            gc.collect()
            return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

        counts = []
        for step in range(30):
            estimator(self.distribution(logits), objective).loss.mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if step in (9, 29):
                counts.append(tensors())
        assert counts[1] < counts[0] + 2  # one kept in ten steps would show

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

    def test_losses_need_a_gradient_only_where_something_does(self) -> None:
        logits, objective = self.problem(2, 2, 3)
        estimator = self.make().requires_grad_(False)
        q, fixed = self.distribution(logits.detach()), copy.deepcopy(objective)
        assert estimator(q, objective, generator=seeded()).loss.requires_grad
        fixed.requires_grad_(False)
        assert not estimator(q, fixed, generator=seeded()).loss.requires_grad

    def test_function_transforms(self) -> None:
        """torch.func sees the same gradient as backward()."""
        if not self.transforms:
            pytest.skip("compiled code needs the memory of its tensors")
        sizes = self.sizes(3, 2, 3)
        logits = random_logits(*sizes).detach()
        objective = Interaction(*sizes).requires_grad_(False)

        outside = self.make(2)

        def total(leaf: Tensor, make: Callable[[], Estimator]) -> Tensor:
            return make()(Categorical(leaf), objective, generator=seeded()).loss.sum()

        expected = self.gradient(self.make(2), logits, objective, generator=seeded())
        for make in (lambda: self.make(2), lambda: outside):
            if isinstance(self.transforms, str):
                with pytest.raises(TypeError, match=self.transforms):
                    torch.func.grad(total)(logits, make)
                continue
            torch.testing.assert_close(torch.func.grad(total)(logits, make), expected, **EXACT)
        outside.latest()
        after = self.gradient(outside, logits, objective, generator=seeded())
        assert after.shape == expected.shape

    @pytest.mark.filterwarnings("ignore:There is a performance drop")
    def test_vmap(self) -> None:
        """Under vmap every problem has its own noise and the gradient that this noise gives."""
        if self.transforms is not True:
            pytest.skip("function transforms are refused, or cannot look in")
        sizes = self.sizes(6, 2, 3)
        objective = Interaction(1, *sizes[1:]).requires_grad_(False)
        logits = random_logits(*sizes).detach()

        def draw(leaf: Tensor) -> tuple[Tensor, Tensor]:
            estimate = self.make(2)(Categorical(leaf[None]), objective)
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
        """The compiled estimator gives the same gradients, call after call, for any batch."""
        if not self.transforms:
            pytest.skip("compiled code needs the memory of its tensors")
        plain, compiled = self.make(2), self.make(2)
        problems = {size: self.problem(size, 2, 3) for size in (3, 2, 5)}
        shared = Interaction(1, *self.sizes(1, 2, 3)[1:])  # one for all problems

        def step(estimator: Estimator, leaf: Tensor) -> Tensor:
            return estimator(Categorical(leaf, validate=False), shared).loss

        torch.compiler.reset()
        fast = torch.compile(
            lambda leaf: step(compiled, leaf), backend="eager", fullgraph=self.compiles
        )
        with torch.random.fork_rng():
            for seed, size in enumerate((3, 2, 5, 2)):  # the last batch of an epoch is smaller
                gradients = []
                for function in (lambda leaf: step(plain, leaf), fast):
                    torch.manual_seed(seed)
                    leaf = problems[size][0].detach().clone().requires_grad_()
                    gradients += torch.autograd.grad(function(leaf).sum(), leaf)
                torch.testing.assert_close(*gradients, **EXACT)
        assert compiled.step == plain.step == 4
        torch.compiler.reset()

    def test_made_elsewhere(self) -> None:
        """In inference mode or on the meta device, used and copied outside."""
        logits, objective = self.problem(2, 2, 3)
        expected = self.gradient(self.make(), logits, objective, generator=seeded())
        if not self.blind:
            pytest.skip("the network is not made by the estimator")
        with torch.inference_mode():
            inside = self.make()
        for _ in range(2):
            found = self.gradient(inside, logits, objective, generator=seeded())
            if self.stateless:
                torch.testing.assert_close(found, expected, **EXACT)
        assert inside.step == 2
        assert copy.deepcopy(inside).latest() == inside.latest()
        with torch.device("meta"):
            repr(self.make())

    def test_on_the_meta_device(self) -> None:
        """Shapes without data, or one clear refusal."""
        logits = torch.zeros(self.sizes(4, 2, 3), device="meta", requires_grad=True)
        if not self.transforms:
            with pytest.raises(TypeError, match=r"^PairwiseBinary needs data"):
                PairwiseBinary(logits, logits.new_zeros(4, 1))
            return
        q = self.distribution(logits)
        estimate = self.make().to("meta")(q, lambda z: (z**2).sum((-2, -1)))
        assert estimate.loss.shape == (4,)
        assert estimate.loss.is_meta

    def test_computed_again_in_the_backward_pass(self) -> None:
        """Under checkpointing it is the same, or a clear refusal; a step counts once."""
        logits, objective = self.problem(3, 2, 3)
        estimator = self.make()

        def loss(leaf: Tensor, generator: torch.Generator | None = None) -> Tensor:
            return estimator(self.distribution(leaf), objective, generator=generator).loss

        with torch.random.fork_rng():
            torch.manual_seed(1)
            plain = torch.autograd.grad(loss(logits).sum(), logits)
            torch.manual_seed(1)
            if estimator._has_state():
                with pytest.raises(TypeError, match="cannot be computed again"):
                    torch.autograd.grad(checkpoint(loss, logits, use_reentrant=False).sum(), logits)
            else:
                total = checkpoint(loss, logits, use_reentrant=False).sum()
                torch.testing.assert_close(torch.autograd.grad(total, logits), plain, **EXACT)
                assert estimator.step == 2
        with pytest.raises(TypeError, match="cannot be computed again"):
            torch.autograd.grad(
                checkpoint(loss, logits, seeded(), use_reentrant=False).sum(), logits
            )

    def test_second_derivatives_are_refused(self) -> None:
        logits, objective = self.problem(3, 2, 3)
        loss = self.make()(self.distribution(logits), objective, generator=seeded()).loss.sum()
        (slope,) = torch.autograd.grad(loss, logits, create_graph=True)
        if self.twice:
            (found,) = torch.autograd.grad(slope.square().sum(), logits)
            assert found.isfinite().all()
            if not self.samples:
                total = self.expected_loss(logits, objective).sum()
                (slope,) = torch.autograd.grad(total, logits, create_graph=True)
                (wanted,) = torch.autograd.grad(slope.square().sum(), logits)
                torch.testing.assert_close(found, wanted, **EXACT)
            return
        with pytest.raises(RuntimeError, match="cannot be differentiated again"):
            torch.autograd.grad(slope.square().sum(), logits)

    # What it hands out and what is forbidden

    @pytest.mark.parametrize("num_variables", [1, 2])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_an_objective_may_write_to_z(self, num_variables: int, dtype: torch.dtype) -> None:
        logits, objective = self.problem(3, num_variables, 3)
        logits, objective = logits.to(dtype), objective.to(dtype)
        objective.input = objective.input.to(dtype)

        def rude(z: Tensor) -> Tensor:
            losses = objective(z * 1)
            z.mul_(3).add_(1)
            return losses

        before = logits.detach().clone()
        found = self.gradient(self.make(2), logits, rude, generator=seeded())
        expected = self.gradient(self.make(2), logits, objective, generator=seeded())
        assert torch.equal(found, expected)
        assert torch.equal(logits.detach(), before)

    @pytest.mark.parametrize("filled", [-torch.inf, torch.finfo(torch.float64).min])
    @pytest.mark.parametrize("num_variables", [1, 2])
    def test_a_forbidden_value_is_as_if_it_were_not(
        self, num_variables: int, filled: float
    ) -> None:
        if self.num_values is not None or not self.blind:
            pytest.skip("has two values, or a network of its own that sees how many there are")
        logits, objective = random_logits(3, num_variables, 2), Interaction(3, num_variables, 2)
        noise = random_noise(2, 3, num_variables, 3)
        expected = self.gradient(self.make(2), logits, objective, noise=noise[..., :2])
        third = torch.full((3, num_variables, 1), filled, dtype=torch.float64)

        def masked(z: Tensor) -> Tensor:
            return objective(z[..., :2])

        wide = torch.cat([logits.detach(), third], -1)
        found = self.gradient(self.make(2), wide, masked, noise=noise)
        torch.testing.assert_close(found[..., :2], expected, **EXACT)
        assert (found[..., 2] == 0).all()

    def test_a_variable_with_one_value_left(self) -> None:
        """It has that value, no gradient, and leaves the others as they are."""
        logits, objective = self.problem(20, 2, 3)
        masked = logits.detach().clone()
        masked[:, 0, 1:] = -torch.inf
        q = self.distribution(masked.requires_grad_())
        estimate = self.make(2)(q, objective, generator=seeded())
        gradient = logit_gradient(estimate, masked)
        if self.blind:
            torch.testing.assert_close(gradient[:, 0], torch.zeros_like(gradient[:, 0]), **EXACT)
        assert gradient.isfinite().all()
        assert estimate.loss.isfinite().all()
        if self.samples:
            assert (estimate.sample[..., 0, 0] == 1).all()
        else:
            probs = self.distribution(masked.detach().clone()).log_prob_table().exp()
            table = state_table(masked.detach(), objective)
            torch.testing.assert_close(estimate.loss, (probs * table).sum(-1), **EXACT)

    def test_losses_of_other_types(self) -> None:
        """0/1 losses as bool and integers."""
        if self.make().needs_derivative:
            pytest.skip("needs a derivative")
        logits = self.problem(3, 2, 3)[0]
        gradients = [
            self.gradient(
                self.make(),
                logits,
                lambda z, kind=kind: (z[..., 0].sum(-1) > 1).to(kind),
                generator=seeded(),
            )
            for kind in (torch.float64, torch.bool, torch.int64)
        ]
        assert torch.equal(gradients[0], gradients[1])
        assert torch.equal(gradients[0], gradients[2])

    def test_losses_of_another_precision(self) -> None:
        logits, objective = self.problem(3, 2, 3)
        narrow = logits.float()

        def gradient(kind: torch.dtype) -> Tensor:
            return self.gradient(
                self.make(), narrow, lambda z: objective(z.double()).to(kind), generator=seeded()
            )

        expected = gradient(torch.float32)
        torch.testing.assert_close(gradient(torch.float64), expected, rtol=1e-4, atol=1e-4)
        assert gradient(torch.bfloat16).isfinite().all()
        rounded = lambda z: objective(z.double()).bfloat16()  # noqa: E731
        assert self.make()(self.distribution(narrow), rounded).loss.dtype == torch.float32
        with pytest.raises(TypeError, match="dense"):
            self.make()(self.distribution(narrow), lambda z: objective(z.double()).to_sparse())

    def test_a_loss_that_is_nan_is_named(self) -> None:
        logits, objective = self.problem(3, 2, 3)
        broken = torch.tensor([0.0, torch.nan, 0.0], dtype=torch.float64)
        with pytest.raises(ValueError, match=r"^the objective must not be NaN.* problem"):
            self.make()(self.distribution(logits), lambda z: objective(z) + broken)

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
