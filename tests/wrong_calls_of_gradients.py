"""Good calls of what estimators ask of distributions, to be spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

import directmax as dm
from directmax import structures
from wrong_values import Call, Make, always, method


def categorical() -> dm.Categorical:
    return dm.Categorical(torch.linspace(-1, 1, 12).view(3, 2, 2))


def coupled() -> dm.PairwiseBinary:
    return dm.PairwiseBinary(torch.linspace(-1, 1, 12).view(3, 2, 2), torch.ones(3, 1))


def over_states() -> dm.PairwiseBinary:
    unary = torch.linspace(-1, 1, 12).view(3, 2, 2)
    return dm.PairwiseBinary(unary, torch.ones(3, 1), perturbation="states")


def perturbed() -> dm.PerturbedArgmax:
    return dm.PerturbedArgmax(torch.linspace(-1, 1, 6).view(3, 2), structures.Subsets(2, 1))


def z(shift: int = 0) -> Tensor:
    return torch.eye(2)[(torch.arange(12).view(2, 3, 2) + shift) % 2]


def zeros(*shape: int) -> Make:
    return partial(torch.zeros, *shape)


def attach_calls() -> Iterator[Call]:
    both = {"value": zeros(3), "first": z, "second": partial(z, 1)}
    for make in (categorical, coupled, perturbed):
        yield method(make, "attach", **both, weight=always(0.5))
    for make in (categorical, coupled):
        weighted = {"value": zeros(3), "z": z, "weight": zeros(2, 3)}
        yield method(make, "attach_log_prob", **weighted)
    for make in (categorical, perturbed):
        yield method(make, "with_gradient", value=zeros(3), gradient=zeros(3, 2, 2))
    gradients = {"field": zeros(3, 2), "pairwise": zeros(3, 1)}
    yield method(coupled, "with_gradient", value=zeros(3), **gradients)
    yield method(over_states, "relaxed", noise=zeros(2, 3, 4), temperature=always(0.5))
    for make in (coupled, perturbed):
        yield method(make, "alternatives", noise=zeros(2, 3, 2, 2), z=z)
