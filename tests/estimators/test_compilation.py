"""torch.compile in one graph where every size and number may change, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from directmax import (
    Categorical,
    Direct,
    Estimator,
    GumbelSoftmax,
    ImplicitMLE,
    LinearDecay,
    Surrogate,
)
from directmax.estimators import ESTIMATORS

DECAY = LinearDecay(1.0, 0.1, steps=10)
BREAKS = {"rebar", "relax", "implicit-mle"}


def squared(z: Tensor) -> Tensor:
    weights = torch.arange(z.shape[-2] * z.shape[-1], dtype=z.dtype).view(z.shape[-2:])
    return ((z * weights).sum((-2, -1)) - 1.3) ** 2


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def check(plain: Callable[[Tensor], Tensor], same: Callable[[Tensor], Tensor], values: int) -> None:
    """Gradients of a compiled function are those of the same one, for batches of any size."""
    fast = torch.compile(same, backend="eager", dynamic=True, fullgraph=True)
    with torch.random.fork_rng():
        for size in (3, 2, 5):
            gradients = []
            for function in (plain, fast):
                torch.manual_seed(size)
                leaf = torch.randn(size, 2, values, dtype=torch.float64, requires_grad=True)
                gradients += torch.autograd.grad(function(leaf).sum(), leaf)
            torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def outside(make: Callable[[], Estimator], values: int) -> None:
    estimators = make(), make()

    def step(estimator: Estimator, leaf: Tensor) -> Tensor:
        return estimator(Categorical(leaf, validate=False), squared).loss

    plain, compiled = estimators
    check(lambda leaf: step(plain, leaf), lambda leaf: step(compiled, leaf), values)
    assert plain.step == compiled.step == 3


def inside(make: Callable[[], Estimator], values: int) -> None:
    def step(leaf: Tensor) -> Tensor:
        return make()(Categorical(leaf, validate=False), squared).loss

    make()  # what is imported on first use is
    check(step, step, values)


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: Direct(0.5), lambda: GumbelSoftmax(DECAY)])
def test_numbers_and_schedules(make: Callable[[], Estimator]) -> None:
    outside(make, 3)


@pytest.mark.slow
def test_made_inside() -> None:
    inside(lambda: Direct(rao_blackwell=True, two_sided=True), 3)


def test_what_breaks_the_graph_says_so() -> None:
    estimator = ImplicitMLE()

    def step(leaf: Tensor) -> Tensor:
        return estimator(Categorical(leaf, validate=False), squared).loss

    with pytest.raises(Exception, match="leave fullgraph=True out"):
        torch.compile(step, backend="eager", fullgraph=True)(torch.zeros(2, 2, 3))


@pytest.mark.slow
@pytest.mark.parametrize("where", [outside, inside])
@pytest.mark.parametrize(
    "name", [name for name, row in ESTIMATORS.items() if row.independent and name not in BREAKS]
)
def test_every_estimator(name: str, where: Callable[[Callable[[], Estimator], int], None]) -> None:
    row = ESTIMATORS[name]
    cls, values = row.cls, 2 if row.binary else 3
    where(lambda: cls(**{part: Surrogate(2, values) for part in row.parts}), values)
