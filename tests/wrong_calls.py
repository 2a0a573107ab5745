"""Calls of the public interface with one argument that is wrong, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

import directmax as dm
from directmax import distributions, estimators, laboratory, objectives, solvers
from wrong_calls_of_gradients import attach_calls
from wrong_calls_of_models import images, model_calls
from wrong_calls_of_rooms import room_calls
from wrong_calls_of_structures import structure_calls
from wrong_values import Call, WrongCall, always, method, wrong_values


def logits() -> Tensor:
    return torch.linspace(-1, 1, 18).view(3, 2, 3).requires_grad_().detach()


def unary() -> Tensor:
    return torch.linspace(-1, 1, 18).view(3, 3, 2)


def pairwise() -> Tensor:
    return torch.linspace(-1, 1, 9).view(3, 3)


def one_hot(values: int = 3, variables: int = 2) -> Tensor:
    return torch.eye(values)[torch.arange(3 * variables).view(3, variables) % values]


def quadratic(z: Tensor) -> Tensor:
    return (z[..., -1].sum(-1) - 0.3) ** 2


def best(potentials: Tensor) -> Tensor:
    return potentials.argmax(-1)


def categorical() -> dm.Categorical:
    return dm.Categorical(logits())


def coupled() -> dm.PairwiseBinary:
    return dm.PairwiseBinary(unary(), pairwise())


def perturbed() -> dm.PerturbedArgmax:
    return dm.PerturbedArgmax(unary(), best)


def _estimator_calls() -> Iterator[Call]:
    settings: dict[str, dict[str, object]] = {
        "temperature": {"temperature": 0.5},
        "epsilon": {"epsilon": 0.5, "scale": 1.0, "two_sided": True, "rao_blackwell": False},
        "others": {"num_samples": 2, "straight_through": True, "num_conditional": 2},
        "more": {"learn_every": 2, "baseline": "auto", "max_states": 100, "num_variables": 1},
        "local": {"moves": 2, "alpha": 0.7, "kl_weight": 1.0, "slope": True},
    }
    flat = {name: value for group in settings.values() for name, value in group.items()}
    classes = {each.cls for each in estimators.ESTIMATORS.values()} | {dm.LabelledDirect}
    for cls in sorted(classes, key=lambda each: each.__name__):
        names = cls.__init__.__annotations__
        good = {name: always(value) for name, value in flat.items() if name in names}
        if cls is dm.Relax:
            good["surrogate"] = lambda: dm.Surrogate(2, 3)
        yield Call(cls.__name__, cls, good)
        if cls is dm.LabelledDirect:
            labels = {"labels": always(torch.zeros(3, 2, dtype=torch.int64))}
            yield method(dm.LabelledDirect, "__call__", q=categorical, **labels)
            continue
        q = dm.Categorical(logits()[..., :2]) if cls in (dm.Arm, dm.DisArm) else categorical()
        q = coupled() if cls is dm.ClampedArgmax else q
        surrogate = (dm.Surrogate(2, 3),) if cls is dm.Relax else ()
        made = cls(*surrogate)
        sizes = {"num_variables": always(2), "num_values": always(3)}
        yield Call(f"{cls.__name__}().evaluations", made.evaluations, sizes)
        yield Call(
            f"{cls.__name__}()",
            made,
            {"q": always(q), "objective": always(quadratic), "generator": always(None)},
        )


def _distribution_calls() -> Iterator[Call]:
    yield Call("Categorical", dm.Categorical, {"logits": logits, "validate": always(True)})
    pairs = {"unary": unary, "pairwise": pairwise, "solver": always("auto")}
    yield Call("PairwiseBinary", dm.PairwiseBinary, pairs | {"perturbation": always("unary")})
    yield Call("PerturbedArgmax", dm.PerturbedArgmax, {"unary": unary, "maximise": always(best)})
    yield Call("mode", lambda maximise: dm.PerturbedArgmax(unary(), maximise).mode(), {
        "maximise": always(best)})  # fmt: skip
    labels = always(torch.zeros(3, 2, dtype=torch.int64))
    for make, values, variables in ((categorical, 3, 2), (coupled, 2, 3)):
        z = partial(one_hot, values, variables)
        for name in ("log_prob", "score"):
            yield method(make, name, z=z)
        yield method(make, "sample", num_samples=always(2), generator=always(None))
        yield method(make, "noise", num_samples=always(2))
        yield method(make, "log_prob_table", max_states=always(100))
        yield method(make, "log_prob_states", states=partial(one_hot, values, variables))
        yield method(make, "log_prob_given", labels=z)
        noise = lambda v=variables, k=values: torch.zeros(2, 3, v, k)  # noqa: E731
        yield method(make, "argmax", noise=noise, shift=noise)
        yield method(make, "argmax_given", noise=noise, labels=z)
    sizes = {"num_variables": always(2), "num_values": always(3), "max_states": always(100)}
    yield Call("enumerate_states", distributions.enumerate_states, sizes)
    yield Call("number_of_states", distributions.number_of_states, sizes)
    yield Call("Categorical.binary", dm.Categorical.binary, {
        "weights": lambda: torch.zeros(3, 2), "validate": always(True)})  # fmt: skip
    yield Call("observed_one_hot", distributions.observed_one_hot, {
        "labels": labels, "shape": always((3, 2, 3))})  # fmt: skip
    gumbel = {"shape": always((2, 3)), "dtype": always(torch.float32), "generator": always(None)}
    yield Call("sample_gumbel", dm.sample_gumbel, gumbel)
    given = {"logits": logits, "value": one_hot, "noise": lambda: torch.zeros(3, 2, 3)}
    yield Call("conditional_gumbel", dm.conditional_gumbel, given)


def _solver_calls() -> Iterator[Call]:
    for name, declared in solvers.SOLVERS.items():
        if declared.cls.missing() is None:
            potentials = {"unary": unary, "pairwise": lambda: pairwise().abs()}
            yield Call(name, declared.cls(), potentials)
            values = {"value": partial(one_hot, 2, 3)}
            if not declared.cls.supermodular_only:
                yield method(declared.cls, "alternatives", **potentials, **values)
    for cls in (solvers.Highs, solvers.BranchAndBound):
        yield Call(cls.__name__, cls, {"time_limit": always(1.0)})
    yield Call("BranchAndBound", solvers.BranchAndBound, {"node_limit": always(10)})
    yield Call("solve_independent", solvers.solve_independent, {"unary": logits})
    yield Call("choose_solver", solvers.choose_solver, {"solver": always("auto")})
    one = {"solve": always(lambda row, problem: row.argmax(-1)), "threads": always(1)}
    yield Call("OneByOne", solvers.OneByOne, one | {"processes": always(0)})
    ready = solvers.OneByOne(lambda row, problem: row.argmax(-1))
    yield Call("OneByOne()", ready, {"potentials": lambda: torch.zeros(2, 3, 2, 4)})


def _objective_calls() -> Iterator[Call]:
    yield Call("LinearCost", dm.LinearCost, {"cost": logits, "binary": always(False)})
    yield Call("LinearCost()", dm.LinearCost(logits()), {"z": one_hot})
    yield Call("batched", lambda function, inputs, chunk_assignments: dm.batched(
        function, inputs, chunk_assignments=chunk_assignments)(one_hot()), {
        "function": always(lambda z, x: z[..., 1].sum(-1)), "inputs": lambda: torch.zeros(3),
        "chunk_assignments": always(8)})  # fmt: skip
    decoder = dm.Decoder(2, 3, 4)
    yield Call("Reconstruction", dm.Reconstruction, {
        "decoder": always(decoder), "images": partial(images, 3, 4)})  # fmt: skip
    yield Call("Reconstruction()", dm.Reconstruction(decoder, images(3, 4)), {"z": one_hot})
    table = {"objective": always(quadratic), "z": one_hot}
    yield Call("refine", dm.refine, {
        "q": categorical, "objective": always(quadratic), "moves": always(2),
        "candidates": always(2)})  # fmt: skip
    yield Call("refine of coupled", dm.refine, {"q": coupled, "objective": always(quadratic)})
    yield Call("evaluate_many", objectives.evaluate_many, {
        "objective": always(quadratic), "z": lambda: one_hot().unsqueeze(0)})  # fmt: skip
    for function in (objectives.evaluate, objectives.single_change_losses):
        yield Call(function.__name__, function, table)
    yield Call("state_losses", objectives.state_losses, {
        "objective": always(quadratic), "shape": always((3, 2, 3)),
        "max_states": always(100)})  # fmt: skip
    pair = {"logits": lambda: torch.zeros(3, 4), "images": partial(images, 3, 4)}
    yield Call("bernoulli_loss", objectives.bernoulli_loss, pair)
    yield Call("bernoulli_table", objectives.bernoulli_table, pair)
    yield Call("gaussian_kl", objectives.gaussian_kl, {
        "mean": lambda: torch.zeros(3, 4), "log_variance": lambda: torch.zeros(3, 4)})  # fmt: skip


def _other_calls() -> Iterator[Call]:
    exponential = {"initial": 1.0, "rate": 1e-5, "every": 10, "minimum": 0.1}
    yield Call("ExponentialDecay", dm.ExponentialDecay, {
        name: always(value) for name, value in exponential.items()})  # fmt: skip
    yield Call("LinearDecay", dm.LinearDecay, {
        "initial": always(1.0), "final": always(0.0), "hold": always(1),
        "steps": always(2)})  # fmt: skip
    geometric = {"initial": 4.0, "final": 1.0, "steps": 3}
    yield Call("GeometricDecay", dm.GeometricDecay, {
        name: always(value) for name, value in geometric.items()})  # fmt: skip
    yield Call("compare_gradients", dm.compare_gradients, {
        "q": categorical, "objective": always(quadratic), "num_draws": always(8),
        "estimators": lambda: {"direct": dm.Direct()}, "confidence": always(0.9),
        "reference": always("exact"), "max_states": always(100), "timing": always(False),
        "max_problems": always(1000), "parameters": always(None)})  # fmt: skip


def _laboratory_calls() -> Iterator[Call]:
    gradients = laboratory.PotentialGradients(categorical(), quadratic)
    exact = laboratory.exact_reference(gradients)
    yield Call("PotentialGradients", laboratory.PotentialGradients, {
        "q": categorical, "objective": always(quadratic)})  # fmt: skip
    yield Call("exact_reference", laboratory.exact_reference, {
        "gradients": always(gradients), "max_states": always(100)})  # fmt: skip
    draws = {"gradients": always(gradients), "estimator": always(dm.Direct())}
    draws |= {"num_draws": always(8), "generator": always(None), "max_problems": always(1000)}
    yield Call("average_reference", laboratory.average_reference, draws)
    yield Call("measure_gradient", partial(laboratory.measure_gradient, label="direct"), draws | {
        "reference": always(exact), "confidence": always(0.9),
        "timing": always(False)})  # fmt: skip


def calls() -> list[Call]:
    """All that is called."""
    makers = (_estimator_calls, _distribution_calls, _solver_calls, _objective_calls)
    more = (_laboratory_calls, model_calls, _other_calls, structure_calls, attach_calls, room_calls)
    return [call for make in (*makers, *more) for call in make()]


def wrong_calls(count: int, seed: int) -> list[WrongCall]:
    """So many, each function and argument about as often as another."""
    draw = random.Random(seed)
    every = [(call, name) for call in calls() for name in call.good]
    found = []
    for index in range(count):
        if index % len(every) == 0:
            draw.shuffle(every)
        call, name = every[index % len(every)]
        found.append(WrongCall(call, name, wrong_values(call.good[name](), draw)))
    return found
