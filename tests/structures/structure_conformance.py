"""What every `Structure` must do. A structure's tests are a subclass that says which sets it has.

class TestMyStructure(StructureConformance):
    def cases(self):
        return [Case(MyStructure(3), lambda z, problem: z.sum() == 1)]
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from directmax.structures import Structure
from significance import assert_mean

PROBLEMS = 3


@dataclass(frozen=True, eq=False)
class Case:
    """A structure, and the same set in other words.

    Attributes:
        structure: for any number of problems, or for three.
        allowed: whether zeros and ones z are in the set of that problem.
        offset: c(z) of that problem.
        padded: variables may be without a value.
        costs: takes weights of at most 0 only.
        clamps: has max-marginals.
    """

    structure: Structure
    allowed: Callable[[Tensor, int], bool]
    offset: Callable[[Tensor, int], float] | None = None
    padded: bool = False
    costs: bool = False
    clamps: bool = True

    @functools.cached_property
    def candidates(self) -> Tensor:
        """All zeros and ones, or all one-hot assignments."""
        shape = self.structure.shape
        if len(shape) == 1:
            bits = list(itertools.product((0, 1), repeat=shape[0]))
            return torch.tensor(bits, dtype=torch.float64)
        rows = torch.eye(shape[1], dtype=torch.float64)
        if self.padded:
            rows = torch.cat([rows, torch.zeros(1, shape[1], dtype=torch.float64)])
        values = list(itertools.product(range(len(rows)), repeat=shape[0]))
        return rows[torch.tensor(values)]

    @functools.cached_property
    def inside(self) -> Tensor:
        """Which of them are in the set, `(3, K)`."""
        each = [[bool(self.allowed(z, p)) for z in self.candidates] for p in range(PROBLEMS)]
        return torch.tensor(each)

    @functools.cached_property
    def offsets(self) -> Tensor:
        """c of all candidates in the set, `(3, K)`."""
        if self.offset is None:
            return torch.zeros_like(self.inside, dtype=torch.float64)
        each = [[float(self.offset(z, p)) for z in self.candidates] for p in range(PROBLEMS)]
        return torch.tensor(each, dtype=torch.float64)

    def scores(self, weights: Tensor) -> Tensor:
        """Of all candidates, `(*s, 3, K)`; −∞ outside of the set, and where a mask is."""
        wide, z = weights.detach().double().flatten(-len(self.structure.shape)), self.candidates
        masked = wide == -torch.inf
        flat = z.flatten(1)
        scores = wide.masked_fill(masked, 0) @ flat.T + self.offsets
        return scores.masked_fill((masked.double() @ flat.T > 0) | ~self.inside, -torch.inf)

    def weights(self, *samples: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        shape = (*samples, PROBLEMS, *self.structure.shape)
        weights = torch.randn(shape, generator=g, dtype=torch.float64)
        return (-weights.abs() if self.costs else weights).to(dtype)

    def masked(self, seed: int) -> Tensor:
        """Weights with as many masks as leave something."""
        weights = self.weights(seed=seed)
        g = torch.Generator().manual_seed(seed)
        keep = [row.nonzero()[0, 0] for row in self.inside]  # one z of each problem stays
        mask = torch.rand(weights.shape, generator=g) < 0.4
        mask &= self.candidates[torch.stack(keep)] == 0
        return weights.masked_fill(mask, -torch.inf)


class StructureConformance(ABC):
    """Inherit, and say which cases there are."""

    @abstractmethod
    def cases(self) -> list[Case]:
        """Small sets: all assignments are tried."""

    def tractable(self) -> list[Case]:
        return [case for case in self.cases() if case.structure.tractable]

    def check(self, case: Case, weights: Tensor) -> None:
        """The argmax against enumeration: its score, its place in the set, its type."""
        before = weights.clone()
        z = case.structure.argmax(weights.requires_grad_())
        assert torch.equal(weights, before)
        assert z.shape == weights.shape
        assert z.dtype == weights.dtype
        assert not z.requires_grad
        assert bool(case.structure.is_feasible(z).all())
        best = case.scores(weights).amax(-1)
        own = case.structure.score(weights.double(), z.double())
        size = float(weights.detach().double().masked_fill(weights == -torch.inf, 0).abs().sum())
        wide = torch.promote_types(weights.dtype, torch.float32)
        torch.testing.assert_close(
            own.detach(), best, rtol=0, atol=4 * torch.finfo(wide).eps * (size + 10)
        )

    def test_argmax_is_the_best(self) -> None:
        for case in self.cases():
            for seed in range(5):
                self.check(case, case.weights(seed=seed))
                self.check(case, case.weights(seed=seed).round())  # ties
                self.check(case, case.masked(seed))
            self.check(case, case.weights(2, 4, dtype=torch.float32))
            self.check(case, case.weights(2, dtype=torch.bfloat16))
            self.check(case, 1e6 * case.weights(seed=9))
            self.check(case, -case.weights(seed=9).abs())
            self.check(case, torch.zeros_like(case.weights()))

    def test_several_threads_find_the_same(self) -> None:
        threads = torch.get_num_threads()
        for case in self.cases():
            weights = case.weights(50)
            one = case.structure.argmax(weights)
            try:
                torch.set_num_threads(3)
                assert torch.equal(case.structure.argmax(weights), one)
            finally:
                torch.set_num_threads(threads)

    def test_knows_what_is_in_the_set(self) -> None:
        for case in self.cases():
            z = case.candidates.unsqueeze(1).expand(-1, PROBLEMS, *case.structure.shape)
            assert torch.equal(case.structure.is_feasible(z).T, case.inside)
            assert not bool(case.structure.is_feasible(z[:1] + 0.5).any())

    def test_max_marginals(self) -> None:
        for case in self.cases():
            if not case.clamps:
                continue
            for weights in (case.weights(2), case.weights().round(), case.masked(1)):
                scores = case.scores(weights).unsqueeze(-1)
                chosen = case.candidates.flatten(1) > 0

                def best(where: Tensor, scores: Tensor = scores) -> Tensor:
                    return torch.where(where, scores, -torch.inf).amax(-2)

                expected = best(chosen)
                if len(case.structure.shape) == 1:
                    expected = torch.stack([best(~chosen), expected], -1)
                else:
                    expected = expected.unflatten(-1, case.structure.shape)
                found = case.structure.max_marginals(weights)
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)

    def test_alternatives(self) -> None:
        for case in self.cases():
            if not case.clamps:
                continue
            for weights in (case.weights(2), case.weights().round(), case.masked(1)):
                z = case.structure.argmax(weights)
                other, reached = case.structure.alternatives(weights, z)
                taken = case.structure.one_hot(z) > 0
                values = case.structure.max_marginals(weights).masked_fill(taken, -torch.inf)
                wanted = values.amax(-1).movedim(-1, 0)
                assert torch.equal(reached, wanted > -torch.inf)
                own = case.structure.score(weights, other).masked_fill(~reached, -torch.inf)
                torch.testing.assert_close(own, wanted, rtol=0, atol=1e-9)
                assert bool(case.structure.is_feasible(other).all())
                change = case.structure.one_hot(other) != case.structure.one_hot(z)
                changed = change.any(-1).diagonal(dim1=0, dim2=-1).movedim(-1, 0)
                assert torch.equal(changed, reached)

    def test_no_problems(self) -> None:
        for case in self.cases():
            if case.structure.batch_size is None:
                empty = case.weights()[:0]
                assert case.structure.argmax(empty).shape == empty.shape
                assert case.structure.is_feasible(empty).shape == (0,)
                if case.clamps:
                    other, found = case.structure.alternatives(empty, empty)
                    assert other.shape == (case.structure.shape[0], *empty.shape)
                    assert found.shape == other.shape[:2]
                    assert case.structure.max_marginals(empty).shape[0] == 0
            assert case.structure.argmax(case.weights(0)).shape == case.weights(0).shape

    def test_refuses_in_one_line(self) -> None:
        for case in self.cases():
            s, weights = case.structure, case.weights()
            bad = weights.clone()
            bad[(0,) * bad.ndim] = torch.nan
            infinite = weights.clone()
            infinite[(0,) * bad.ndim] = torch.inf
            none = torch.full_like(weights, -torch.inf)
            wrong = [weights.long(), weights[..., :-1], weights[0], bad, infinite, "w", None]
            if not bool((case.scores(none) > -torch.inf).any()):
                wrong.append(none)
            if s.batch_size is not None:
                wrong.append(weights[:2])
            for value in wrong:
                with pytest.raises((TypeError, ValueError)) as error:
                    s.argmax(value)
                assert "\n" not in str(error.value)

    # Sums.

    def test_sums_are_those_of_enumeration(self) -> None:
        for case in self.tractable():
            for weights in (case.weights(2), case.masked(2), 30 * case.weights(seed=3)):
                scores = case.scores(weights)
                log_probs = scores.log_softmax(-1)
                probs = log_probs.exp()
                marginals = (probs @ case.candidates.flatten(1)).reshape(weights.shape)
                entropy = -torch.where(probs > 0, probs * log_probs, 0).sum(-1)
                count = case.inside.sum(-1).double().log()
                s, close = case.structure, {"rtol": 1e-9, "atol": 1e-9}
                torch.testing.assert_close(s.log_partition(weights), scores.logsumexp(-1), **close)
                torch.testing.assert_close(s.marginals(weights), marginals, **close)
                torch.testing.assert_close(s.entropy(weights), entropy, **close)
                torch.testing.assert_close(s.log_count(weights), count.expand_as(entropy), **close)
                torch.testing.assert_close(s.kl_to_uniform(weights), count - entropy, **close)
                best = s.argmax(weights)
                torch.testing.assert_close(s.log_prob(weights, best), log_probs.amax(-1), **close)

    def test_entropy_in_float32(self) -> None:
        """As in float64, also where all weights are large and nearly equal, as costs may be."""
        for case, shared in itertools.product(self.tractable(), (0.0, -1e4)):
            weights = (case.weights() + shared).float().requires_grad_()
            wide = weights.detach().double().requires_grad_()
            found, expected = case.structure.entropy(weights), case.structure.entropy(wide)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
            (slope,) = torch.autograd.grad(found.sum(), weights)
            (expected,) = torch.autograd.grad(expected.sum(), wide)
            torch.testing.assert_close(slope.double(), expected, rtol=1e-5, atol=1e-5)

    def test_gradients_of_sums(self) -> None:
        for case in self.tractable():
            weights = case.weights().requires_grad_()
            s = case.structure
            (gradient,) = torch.autograd.grad(s.log_partition(weights).sum(), weights)
            torch.testing.assert_close(gradient, s.marginals(weights).detach())
            assert torch.autograd.gradcheck(s.log_partition, weights, fast_mode=True)
            assert torch.autograd.gradcheck(s.marginals, weights, fast_mode=True)
            assert torch.autograd.gradcheck(s.kl_to_uniform, weights, fast_mode=True)
            with torch.no_grad():
                assert not s.entropy(weights).requires_grad

    def test_sums_in_inference_mode(self) -> None:
        for case in self.tractable():
            weights = case.weights(2)
            with torch.inference_mode():
                for given in (weights, weights.clone()):  # of before, and of inference itself
                    s = case.structure
                    found = s.marginals(given), s.kl_to_uniform(given)
                    assert s.sample(given, 2).shape == (2, *weights.shape)
            expected = case.structure.marginals(weights), case.structure.kl_to_uniform(weights)
            torch.testing.assert_close(found, expected)

    def test_samples_are_those_of_the_gibbs_distribution(self, generator: torch.Generator) -> None:
        for case in self.tractable():
            weights = case.weights()
            expected = case.scores(weights).softmax(-1)
            draws = case.structure.sample(weights, 4000, generator=generator)
            assert draws.shape == (4000, *weights.shape)
            same = draws.flatten(2).unsqueeze(-2) == case.candidates.flatten(1)
            found = same.all(-1).double()  # (4000, 3, K)
            assert torch.equal(found.sum(-1), torch.ones(4000, PROBLEMS, dtype=torch.float64))
            for problem in range(PROBLEMS):
                inside = expected[problem] > 0.01  # the rarer ones are drawn too rarely
                assert_mean(found[:, problem, inside], expected[problem, inside])

    def test_without_sums_it_says_so(self) -> None:
        for case in self.cases():
            if not case.structure.tractable:
                with pytest.raises(TypeError, match="no tractable sums"):
                    case.structure.log_partition(case.weights())

    def test_repr_names_it(self) -> None:
        for case in self.cases():
            assert repr(case.structure).startswith(type(case.structure).__name__ + "(")

    def test_sums_refuse_problems_of_which_nothing_is_left(self) -> None:
        for case in self.tractable():
            weights = case.weights().masked_fill(case.candidates.sum(0) >= 0, -torch.inf)
            structure, empty = case.structure, (case.scores(weights) == -torch.inf).all(-1)
            if not bool(empty.any()):
                continue  # nothing chosen is in the set
            first = int(empty.nonzero()[0])
            for sums in (
                structure.log_partition,
                structure.marginals,
                structure.entropy,
                structure.kl_to_uniform,
                structure.sample,
            ):
                with pytest.raises(ValueError, match=f"no z left for problem {first}"):
                    sums(weights)
