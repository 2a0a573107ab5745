"""The standard tasks of decisions under predicted costs, generated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._randomness import check_generator
from directmax._validation import check_count, check_number, check_positive
from directmax.structures import Knapsack, Matching, Paths, Structure, Subsets, Tours

MOST_DEGREE = 40
"""Of a polynomial: beyond it float32 overflows."""


@dataclass(frozen=True)
class DecisionTask:
    """Features from which costs are to be predicted, and the decisions that they are for.

    Attributes:
        features: `(num, p)`.
        costs: `(num, *shape)`, to be minimised: values are negative.
        structure: the set of decisions.
    """

    features: Float[Tensor, "num p"]
    costs: Float[Tensor, "num ..."]
    structure: Structure


def polynomial_costs(
    num: int,
    num_features: int,
    outputs: int,
    *,
    degree: int = 1,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "num p"], Float[Tensor, "num outputs"]]:
    r"""Costs that are no linear function of the features, ((Bx/√p + 3)^d + 1)/3.5^d · U.

    x is normal, B has zeros and ones, and U is uniform on 1 ± noise. The larger the degree d, the
    more a linear model misses.

    Args:
        num: how many problems.
        num_features: p.
        outputs: costs of a problem.
        degree: d ≥ 1.
        noise: half the width of U, from 0 to below 1.
        generator: source of randomness; torch's default one when None.

    Raises:
        TypeError, ValueError: a count below 1, or noise out of range.

    Example:
        >>> features, costs = polynomial_costs(100, 5, 40, degree=4)
        >>> features.shape, costs.shape, bool((costs > 0).all())
        (torch.Size([100, 5]), torch.Size([100, 40]), True)

    Reference: Elmachtoub and Grigas 2022, section 6.1; as in PyEPO 2, `pyepo.data`.
    """
    check_count("outputs", outputs)
    _check_draws(num, num_features, degree, noise, generator)
    mixing = (torch.rand(outputs, num_features, generator=generator) < 0.5).float()
    features = torch.randn(num, num_features, generator=generator)
    costs = (features @ mixing.T / num_features**0.5 + 3) ** degree + 1
    factor = 1 + float(noise) * (2 * torch.rand(num, outputs, generator=generator) - 1)
    return features, costs / 3.5**degree * factor


def shortest_path_task(
    num: int,
    num_features: int = 5,
    *,
    grid: tuple[int, int] = (5, 5),
    degree: int = 1,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> DecisionTask:
    """Paths through a grid, to the right and down, whose edges have `polynomial_costs`.

    Args:
        num: as there, as the others.
        num_features: p.
        grid: rows and columns.
        degree: of the polynomial.
        noise: half the width of the factor.
        generator: source of randomness.

    Example:
        >>> shortest_path_task(10).costs.shape
        torch.Size([10, 40])

    Reference: Elmachtoub and Grigas 2022, section 6.1.
    """
    structure = Paths.grid(*grid)
    features, costs = polynomial_costs(
        num, num_features, structure.shape[0], degree=degree, noise=noise, generator=generator
    )
    return DecisionTask(features, costs, structure)


def knapsack_task(
    num: int,
    num_features: int = 5,
    *,
    items: int = 32,
    capacity: float = 20.0,
    degree: int = 1,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> DecisionTask:
    """One knapsack; items have sizes from 3 to 8, in hundredths, and values 5 · `polynomial_costs`.

    Args:
        num: as there, as the others.
        num_features: p.
        items: how many.
        capacity: of the knapsack.
        degree: of the polynomial.
        noise: half the width of the factor.
        generator: source of randomness.

    Example:
        >>> task = knapsack_task(10)
        >>> task.structure, bool((task.costs < 0).all())
        (Knapsack(32 items, capacity 2000), True)

    Reference: Elmachtoub and Grigas 2022; PyEPO 2, `pyepo.data.knapsack` (in one dimension).
    """
    check_count("items", items)
    check_generator(generator)
    sizes = torch.randint(300, 800, (items,), generator=generator)
    features, values = polynomial_costs(
        num, num_features, items, degree=degree, noise=noise, generator=generator
    )
    room = round(100 * check_positive("capacity", capacity))
    return DecisionTask(features, -5 * values, Knapsack(sizes, room))


def matching_task(
    num: int,
    num_features: int = 5,
    *,
    persons: int = 10,
    degree: int = 1,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> DecisionTask:
    """Everybody takes one of as many tasks; pairs have `polynomial_costs`.

    Args:
        num: as there, as the others.
        num_features: p.
        persons: and tasks.
        degree: of the polynomial.
        noise: half the width of the factor.
        generator: source of randomness.

    Example:
        >>> matching_task(10, persons=4).costs.shape
        torch.Size([10, 4, 4])

    Reference: the costs of Elmachtoub and Grigas 2022, on a matching.
    """
    check_count("persons", persons)
    features, costs = polynomial_costs(
        num, num_features, persons**2, degree=degree, noise=noise, generator=generator
    )
    return DecisionTask(features, costs.view(num, persons, persons), Matching(persons))


def travelling_salesman_task(
    num: int,
    num_features: int = 5,
    *,
    cities: int = 10,
    degree: int = 1,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> DecisionTask:
    r"""Round trips: distances of cities on a plane plus (Bx/√p + 3)^d/3^(d−1) · U.

    Half of the cities are uniform on [−2, 2]², the others normal; B are zeros, or uniform from −2
    to 2; x and U are as of `polynomial_costs`.

    Args:
        num: how many problems.
        num_features: p.
        cities: from 3 to 16.
        degree: d ≥ 1.
        noise: half the width of U, from 0 to below 1.
        generator: source of randomness; torch's default one when None.

    Raises:
        TypeError, ValueError: a count or noise out of range.

    Example:
        >>> task = travelling_salesman_task(10, cities=6)
        >>> task.structure, task.costs.shape
        (Tours(6), torch.Size([10, 15]))

    Reference: as in PyEPO 2, `pyepo.data.tsp`; Tang and Khalil 2022.
    """
    structure = Tours(cities)
    _check_draws(num, num_features, degree, noise, generator)
    half = cities // 2
    places = torch.cat(
        [
            4 * torch.rand(half, 2, generator=generator) - 2,
            torch.randn(cities - half, 2, generator=generator),
        ]
    )
    edges = structure.shape[0]
    kept = (torch.rand(edges, num_features, generator=generator) < 0.5).float()
    mixing = kept * (4 * torch.rand(edges, num_features, generator=generator) - 2)
    features = torch.randn(num, num_features, generator=generator)
    detour = (features @ mixing.T / num_features**0.5 + 3) ** degree / 3 ** (degree - 1)
    factor = 1 + float(noise) * (2 * torch.rand(num, edges, generator=generator) - 1)
    return DecisionTask(features, torch.pdist(places) + detour * factor, structure)


def portfolio_task(
    num: int,
    num_features: int = 5,
    *,
    assets: int = 50,
    chosen: int = 10,
    degree: int = 1,
    noise: float = 1.0,
    generator: torch.Generator | None = None,
) -> DecisionTask:
    r"""The best of so many assets, in equal shares: costs are −r, r their returns.

    r = (0.05 Bx/√p + 0.1^{1/d})^d + Lf + 0.01 τ ξ, with zeros and ones B, loadings L uniform on
    ±0.0025 τ, and normal x, f and ξ. In PyEPO and in Elmachtoub and Grigas shares are continuous
    and their variance is bounded: that is no finite set, and not the task here, whose variance
    stays small because many assets have equal shares.

    Args:
        num: how many problems.
        num_features: p.
        assets: to choose from.
        chosen: how many are held, from 1 to below `assets`.
        degree: d ≥ 1.
        noise: τ ≥ 0.
        generator: source of randomness; torch's default one when None.

    Raises:
        TypeError, ValueError: a count or noise out of range.

    Example:
        >>> portfolio_task(10, assets=20, chosen=5).structure
        Subsets(20, 5)

    Reference: returns as in Elmachtoub and Grigas 2022, section 6.2, and PyEPO 2,
    `pyepo.data.portfolio`.
    """
    check_count("assets", assets, 2)
    structure = Subsets(assets, check_count("chosen", chosen))
    _check_draws(num, num_features, degree, 0.0, generator)
    if check_number("noise", noise) < 0:
        raise ValueError(f"noise must be a finite number of at least 0, got {noise}")
    mixing = (torch.rand(assets, num_features, generator=generator) < 0.5).float()
    loadings = 0.0025 * noise * (2 * torch.rand(assets, num_features, generator=generator) - 1)
    features = torch.randn(num, num_features, generator=generator)
    signal = (0.05 * features @ mixing.T / num_features**0.5 + 0.1 ** (1 / degree)) ** degree
    common = torch.randn(num, num_features, generator=generator) @ loadings.T
    own = 0.01 * noise * torch.randn(num, assets, generator=generator)
    return DecisionTask(features, -(signal + common + own), structure)


def _check_draws(num: int, num_features: int, degree: int, noise: float, generator: object) -> None:
    """What all generators take."""
    check_count("num", num)
    check_count("num_features", num_features)
    if check_count("degree", degree) > MOST_DEGREE:
        raise ValueError(f"degree must be at most {MOST_DEGREE}, got {degree}")
    check_generator(generator)
    if not 0 <= check_number("noise", noise) < 1:
        raise ValueError(f"noise must be from 0 to below 1, got {noise}")
