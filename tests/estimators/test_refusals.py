"""An estimator that a distribution does not fit names others, which fit."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

import directmax
from directmax import estimators
from directmax.distributions import DiscreteDistribution
from directmax.estimators import Estimator
from directmax.structures import Subsets

ALL = sorted(
    name
    for name in estimators.__all__
    if isinstance(kind := getattr(estimators, name), type) and issubclass(kind, Estimator)
)


def weights() -> Tensor:
    return torch.linspace(-1, 1, 8).view(2, 4).requires_grad_()


DISTRIBUTIONS = {
    "Categorical": lambda: directmax.Categorical.binary(weights()),
    "PairwiseBinary": lambda: directmax.PairwiseBinary(torch.zeros(2, 4, 2), torch.zeros(2, 6)),
    "PerturbedArgmax": lambda: directmax.PerturbedArgmax(weights(), Subsets(4, 2)),
    "Gibbs": lambda: directmax.Gibbs(weights(), Subsets(4, 2)),
}


def estimate(name: str, q: DiscreteDistribution) -> None:
    settings = {"Relax": {"surrogate": estimators.Surrogate(4, 2)}}.get(name, {})
    if name == "LabelledDirect":
        settings = {"labels": torch.eye(2)[torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0]])]}
    getattr(estimators, name)(**settings)(q, lambda z: (z[..., 1].sum(-1) - 1.5) ** 2)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("name", [name for name in ALL if name != "Estimator"])
def test_what_is_named_fits(name: str, distribution: str) -> None:
    q, refusal = DISTRIBUTIONS[distribution](), None
    try:
        estimate(name, q)
    except (TypeError, ValueError) as error:
        refusal = str(error)
    if refusal is None:
        return
    _, use, advice = refusal.partition("use ")
    assert use, refusal
    for other in ALL:
        if re.search(rf"\b{other}\b", advice):
            estimate(other, q)
