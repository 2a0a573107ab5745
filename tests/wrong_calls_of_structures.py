"""Good calls of structures, their distributions and the losses of decisions, to be spoilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import directmax as dm
from directmax import objectives, structures
from wrong_values import Call, always, method

Z = torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 1]])


def elements() -> Tensor:
    return torch.linspace(-1, 1, 12).view(3, 4)


def chosen() -> Tensor:
    return Z.clone()


def subsets() -> structures.Subsets:
    return structures.Subsets(4, 2)


def chain() -> structures.Chain:
    return structures.Chain(3, 2, torch.eye(2))


def listed() -> structures.Listed:
    return structures.Listed(chosen())


def numbers(*values: int) -> Callable[[], Tensor]:
    return lambda: torch.tensor(values)


def _made() -> Iterator[Call]:
    n, flag = always(4), always(False)
    edges = numbers(0, 1, 1, 2, 0, 2)
    square = lambda: edges().view(3, 2)  # noqa: E731
    for name, good in (
        ("Arborescence", {"n": n, "single_root": flag, "lengths": numbers(4, 2)}),
        ("ProjectiveTree", {"n": n, "single_root": flag, "lengths": numbers(4, 2)}),
        ("Chain", {"length": n, "states": always(2), "transitions": lambda: torch.eye(2)}
         | {"lengths": numbers(4, 2)}),
        ("Knapsack", {"sizes": numbers(3, 4, 5), "capacity": always(7)}),
        ("Listed", {"states": chosen}),
        ("Matching", {"n": n, "m": always(5)}),
        ("Milp", {"matrix": lambda: torch.ones(1, 4), "lower": lambda: torch.zeros(1)}
         | {"upper": lambda: torch.ones(1), "time_limit": always(1.0)}),
        ("Pairwise", {"n": n, "pairwise": lambda: torch.zeros(2, 6), "solver": always("auto")}),
        ("Paths", {"edges": square, "source": always(0), "target": always(2)}
         | {"on": always("edges"), "clip": flag}),
        ("Ranking", {"n": n}),
        ("SpanningTree", {"vertices": always(3), "edges": square}),
        ("Subsets", {"n": n, "k": always(2), "at_most": flag}),
        ("Tours", {"vertices": n}),
    ):  # fmt: skip
        yield Call(name, getattr(structures, name), good)
    yield Call(
        "Paths.grid",
        structures.Paths.grid,
        {"rows": always(2), "columns": always(3), "neighbours": always("4")},
    )


def _used() -> Iterator[Call]:
    variables = lambda: torch.linspace(-1, 1, 18).view(3, 3, 2)  # noqa: E731
    codes = lambda: torch.eye(2)[torch.tensor([[0, 1, 1], [1, 0, 0], [1, 1, 1]])]  # noqa: E731
    for make, weights, z in ((subsets, elements, chosen), (chain, variables, codes)):
        yield method(make, "argmax", weights=weights, validate=always(True))
        yield method(make, "is_feasible", z=z)
        for name in ("alternatives", "score", "log_prob"):
            yield method(make, name, weights=weights, z=z)
        for name in ("max_marginals", "log_partition", "marginals", "entropy", "kl_to_uniform"):
            yield method(make, name, weights=weights)
        yield method(make, "log_count", weights=weights)
        yield method(make, "reach", weights=weights)
        yield method(make, "check", weights=weights)
        yield method(make, "potentials", weights=weights)
        yield method(make, "sample", weights=weights, num_samples=always(2), generator=always(None))
        one_hot = lambda make=make, z=z: make().one_hot(z())  # noqa: E731
        yield method(make, "one_hot", z=z)
        yield method(make, "from_one_hot", z=one_hot)
        wide = lambda make=make: torch.zeros(2, 3, make().shape[0], 2)  # noqa: E731
        yield method(make, "argmax_potentials", potentials=wide)
    yield method(listed, "extended", states=chosen)
    milp = lambda: structures.Milp(torch.ones(1, 4), upper=torch.ones(1))  # noqa: E731
    yield Call("Milp.solve", lambda weights: milp().solve(weights), {"weights": elements})


def gibbs() -> dm.Gibbs:
    return dm.Gibbs(elements(), subsets())


def best_pairs() -> dm.PerturbedArgmax:
    return dm.PerturbedArgmax(elements(), subsets())


def _distributions() -> Iterator[Call]:
    yield Call("Gibbs", dm.Gibbs, {
        "weights": elements, "structure": subsets, "validate": always(True)})  # fmt: skip
    yield Call("PerturbedArgmax", dm.PerturbedArgmax, {
        "unary": elements, "maximise": subsets, "noise": always("gumbel"), "scale": always(1.0),
        "validate": always(True)})  # fmt: skip
    yield Call("SumOfGamma", dm.SumOfGamma, {"kappa": always(2.0), "terms": always(5)})
    one_hot = lambda: subsets().one_hot(chosen())  # noqa: E731
    for make in (gibbs, best_pairs):
        yield method(make, "score", z=one_hot)
        yield method(make, "sample", num_samples=always(2), generator=always(None))
    yield method(gibbs, "log_prob", z=one_hot)
    yield method(gibbs, "log_prob_states", states=one_hot)
    yield method(gibbs, "log_prob_table", max_states=always(100))
    yield method(best_pairs, "noise", num_samples=always(2), generator=always(None))
    yield method(best_pairs, "argmax", noise=lambda: torch.zeros(2, 3, 4, 2),
                 shift=lambda: torch.zeros(2, 3, 4, 2))  # fmt: skip
    yield method(best_pairs, "argmax_given", noise=lambda: torch.zeros(2, 3, 4, 2), labels=one_hot)
    yield method(best_pairs, "alternatives", noise=lambda: torch.zeros(1, 3, 4, 2),
                 z=lambda: one_hot().unsqueeze(0))  # fmt: skip
    quadratic = always(lambda z: (z[..., 1].sum(-1) - 0.3) ** 2)
    for cls in (dm.ScoreFunction, dm.Exact):
        yield Call(f"{cls.__name__} of Gibbs", cls(), {"q": gibbs, "objective": quadratic})


def _decisions() -> Iterator[Call]:
    costs = {"predicted": elements, "costs": lambda: elements().square()}
    draws = {"noise": always("gumbel"), "scale": always(0.5), "num_samples": always(2)}
    yield Call("regret", objectives.regret, costs | {"structure": subsets})
    yield Call("spo_plus", objectives.spo_plus, costs | draws
               | {"structure": subsets, "labels": chosen})  # fmt: skip
    yield Call("fenchel_young", objectives.fenchel_young, draws | {
        "weights": elements, "labels": chosen, "structure": subsets})  # fmt: skip
    yield Call("noise_contrastive", objectives.noise_contrastive, {
        "predicted": elements, "labels": chosen, "pool": listed})  # fmt: skip
    yield Call("SolutionPool", objectives.SolutionPool, {
        "structure": subsets, "states": chosen, "share": always(0.5)})  # fmt: skip
    pool = lambda: objectives.SolutionPool(subsets(), chosen(), share=1.0)  # noqa: E731
    yield Call("SolutionPool.grown", lambda **given: pool().grown(**given), {
        "predicted": elements, "generator": always(None)})  # fmt: skip
    sizes = {"num": always(3), "num_features": always(2), "degree": always(2)}
    own = {
        "polynomial_costs": {"outputs": always(4), "noise": always(0.5)},
        "shortest_path_task": {"grid": always((2, 3)), "noise": always(0.5)},
        "knapsack_task": {"items": always(4), "capacity": always(9.0), "noise": always(0.5)},
        "matching_task": {"persons": always(3), "noise": always(0.5)},
        "travelling_salesman_task": {"cities": always(4), "noise": always(0.5)},
        "portfolio_task": {"assets": always(5), "chosen": always(2), "noise": always(0.5)},
    }
    for name, more in own.items():
        yield Call(name, getattr(objectives, name), sizes | more | {"generator": always(None)})


def structure_calls() -> Iterator[Call]:
    """Structures, what is done with them, distributions on them, losses of decisions."""
    for calls in (_made, _used, _distributions, _decisions):
        yield from calls()
