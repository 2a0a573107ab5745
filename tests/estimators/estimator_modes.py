"""What every estimator must do: graphs, modes, transforms and compilation."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from estimator_problems import (
    Alive,
    Watched,
    logit_gradient,
    random_logits,
    seeded,
)
from estimator_suite import EXACT, Suite
from safetensors.torch import load, save
from torch import Tensor, nn

from directmax import (
    Categorical,
    Estimator,
)
from reference import (
    Interaction,
    is_one_hot,
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
