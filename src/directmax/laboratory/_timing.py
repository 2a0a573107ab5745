"""What one call of an estimator costs: seconds, and evaluations of f."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from directmax.estimators import Estimator
from directmax.laboratory._gradients import Gradients
from directmax.laboratory._objectives import Counted
from directmax.laboratory._results import Measured
from directmax.objectives import Objective

SECONDS = 0.2
"""Spent on the timing of an estimator, if three calls do not take longer."""
FEWEST, MOST = 5, 50
"""Calls that are timed."""


@dataclass(frozen=True)
class Cost:
    """Of one plain call on the whole batch, and its backward pass."""

    seconds: Measured
    evaluations: int


def measure_cost(
    gradients: Gradients, estimator: Estimator, *, confidence: float = 0.95, seed: int = 0
) -> Cost:
    """The median time of calls in training mode, and the evaluations of f for one problem.

    The backward pass goes to everything that the loss depends on, as in training, but no `.grad` is
    changed. The estimator is copied: its state stays. The first calls do not count.

    Args:
        gradients: what to call the estimator with.
        estimator: any estimator.
        confidence: of the interval of the median, from order statistics.
        seed: of the noise.
    """
    estimator = copy.deepcopy(estimator).train()
    counted = Counted(gradients.objective)
    q = gradients.distribution()
    generator = torch.Generator(q.device).manual_seed(seed)
    _call(gradients, estimator, counted, generator)
    _call(gradients, estimator, gradients.objective, generator)
    times: list[float] = []
    while len(times) < FEWEST or (sum(times) < SECONDS and len(times) < MOST):
        times.append(_call(gradients, estimator, gradients.objective, generator))
        if len(times) >= 3 and sum(times) > 10 * SECONDS:
            break
    return Cost(_median(times, confidence), counted.evaluations)


def _call(
    gradients: Gradients, estimator: Estimator, objective: Objective, generator: torch.Generator
) -> float:
    q = gradients.distribution()
    began = _now(q.device)
    loss = estimator(q, objective, generator=generator).loss
    forward = _now(q.device) - began
    if not loss.requires_grad:
        return forward
    leaves = _leaves(loss)
    began = _now(q.device)
    torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
    return forward + _now(q.device) - began


def _leaves(loss: Tensor) -> list[Tensor]:
    """The tensors that a backward pass would give gradients to."""
    leaves, seen, pending = [], set(), [loss.grad_fn]
    if loss.grad_fn is None:
        return [loss]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor) and variable.requires_grad:
            leaves.append(variable)
        pending += [each for each, _ in node.next_functions]
    return leaves


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def _median(times: list[float], confidence: float) -> Measured:
    """With the order statistics between which the true median lies."""
    ordered, count = sorted(times), len(times)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - half))
    high = count - 1 - low
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return Measured(middle, ordered[low], ordered[high])
