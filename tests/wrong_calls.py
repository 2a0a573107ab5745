"""Calls of the public interface with one argument that is wrong, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import directmax as dm
from directmax import distributions, estimators, objectives, solvers

Make = Callable[[], Any]
NOT_NUMBERS = ("x", None, [1], 1 + 1j, object(), torch.ones(2), np.array([1.0, 2.0]), b"1", {})
OUT_OF_RANGE = (-1, 0, float("nan"), float("inf"), -float("inf"), 1.5, np.float32("nan"), -(10**40))
NOT_MODULES = (None, 3, "direct", nn.Linear(2, 2), dm.Direct, torch.zeros(2), [dm.Direct()])


@dataclass(frozen=True)
class Call:
    """A function, and how its good arguments are made: numbers, tensors, functions, modules."""

    name: str
    function: Callable[..., Any]
    good: dict[str, Make]


@dataclass(frozen=True)
class WrongCall:
    """A call of which one argument is another."""

    call: Call
    argument: str
    value: Any

    def __call__(self) -> Any:
        arguments = {name: make() for name, make in self.call.good.items()}
        return self.call.function(**(arguments | {self.argument: self.value}))

    def __repr__(self) -> str:
        value = self.value
        shown = getattr(value, "__name__", repr(value))
        if isinstance(value, Tensor):
            shown = f"{value.dtype}{tuple(value.shape)} of {value.flatten()[:3].tolist()}"
        return f"{self.call.name}({self.argument}={shown})"


def wrong_values(good: object, draw: random.Random) -> object:
    """One that is wrong in place of a good one, or at least unusual."""
    if isinstance(good, Tensor):
        return wrong_tensor(good, draw)
    if isinstance(good, nn.Module | distributions.DiscreteDistribution):
        return draw.choice(NOT_MODULES)
    if callable(good):
        return draw.choice((None, 3, "f", torch.zeros(2), *map(returns, range(7))))
    if isinstance(good, tuple | dict):
        return draw.choice((*NOT_NUMBERS, -1, (), (1,), (-1, 2, 2), (2.5, 2, 2), ("x",) * 3))
    return draw.choice((*NOT_NUMBERS, *OUT_OF_RANGE))


def wrong_tensor(good: Tensor, draw: random.Random) -> object:
    """Another type, shape or value."""
    axis = draw.randrange(good.ndim)
    size = good.shape[axis]
    longer = torch.cat([good, good.narrow(axis, 0, 1)], axis)
    floats = good.is_floating_point()
    spoilt = good.clone()
    spoilt.view(-1)[0] = draw.choice((torch.nan, torch.inf, -7.5)) if floats else 77
    kinds: tuple[object, ...] = (
        *("x", None, 3, 2.5, good.tolist(), good.numpy(), object()),
        *(longer, longer, good.narrow(axis, 0, size - 1), good.narrow(axis, 0, 0)),
        *(good.unsqueeze(0), good.unsqueeze(-1), good.select(axis, 0), good.flatten()),
        *(spoilt, spoilt, torch.full_like(spoilt, spoilt.view(-1)[0].item())),
        *(good.to(torch.complex64), good.to(torch.int64) if floats else good.float() + 0.5),
        *(good > 0, torch.zeros(()), torch.zeros(0)),
    )
    return draw.choice(kinds)


def returns(kind: int) -> Callable[..., object]:
    """A function of which the result does not fit."""

    def wrong(*inputs: Any) -> object:
        z = inputs[0] if inputs else torch.zeros(1, 2, 3)
        z = torch.as_tensor(z)
        results = (
            *(None, 1.0, "x", torch.zeros(()), torch.zeros(*z.shape, 2)),
            *(
                torch.full(z.shape[:-2], torch.nan),
                z.new_zeros(z.shape[:-2], dtype=torch.complex64),
            ),
        )
        return results[kind]

    wrong.__name__ = f"returns_{kind}"
    return wrong


def logits() -> Tensor:
    return torch.linspace(-1, 1, 18).view(3, 2, 3).requires_grad_().detach()


def unary() -> Tensor:
    return torch.linspace(-1, 1, 18).view(3, 3, 2)


def pairwise() -> Tensor:
    return torch.linspace(-1, 1, 9).view(3, 3)


def one_hot(values: int = 3, variables: int = 2) -> Tensor:
    return torch.eye(values)[torch.arange(3 * variables).view(3, variables) % values]


def quadratic(z: Tensor) -> Tensor:
    return (z[..., 1].sum(-1) - 0.3) ** 2


def best(potentials: Tensor) -> Tensor:
    return potentials.argmax(-1)


def images(*shape: int) -> Tensor:
    size = int(np.prod(shape))
    return (torch.arange(size) % 2).float().view(shape)


def bytes_of(*shape: int) -> Tensor:
    return (torch.arange(int(np.prod(shape))) % 256).to(torch.uint8).view(shape)


def categorical() -> dm.Categorical:
    return dm.Categorical(logits())


def coupled() -> dm.PairwiseBinary:
    return dm.PairwiseBinary(unary(), pairwise())


def perturbed() -> dm.PerturbedArgmax:
    return dm.PerturbedArgmax(unary(), best)


def always(value: object) -> Make:
    return lambda: value


def method(make: Make, name: str, **good: Make) -> Call:
    """A method of an object that is made anew."""
    return Call(f"{name} of {make.__name__}", lambda **given: getattr(make(), name)(**given), good)


def _estimator_calls() -> Iterator[Call]:
    settings: dict[str, dict[str, object]] = {
        "temperature": {"temperature": 0.5},
        "epsilon": {"epsilon": 0.5, "scale": 1.0, "two_sided": True, "rao_blackwell": False},
        "others": {"num_samples": 2, "straight_through": True, "num_conditional": 2},
        "more": {"learn_every": 2, "baseline": "auto", "max_states": 100},
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
        yield method(make, "argmax", noise=lambda v=variables, k=values: torch.zeros(2, 3, v, k))
        yield method(make, "log_prob_given", labels=z)
    sizes = {"num_variables": always(2), "num_values": always(3), "max_states": always(100)}
    yield Call("enumerate_states", distributions.enumerate_states, sizes)
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


def _model_calls() -> Iterator[Call]:
    sizes = {"num_variables": always(2), "num_values": always(3), "num_pixels": always(4)}
    for cls, good in (
        (dm.Encoder, sizes),
        (dm.Decoder, sizes),
        (dm.MixedEncoder, {"num_pixels": always(4), "num_values": always(3)}
         | {"num_dimensions": always(2)}),
        (dm.PairwiseEncoder, {"num_pixels": always(4), "num_variables": always(2)}
         | {"solver": always("auto"), "supermodular": always(False)}),
        (dm.Surrogate, {"num_variables": always(2), "num_values": always(3)}),
    ):  # fmt: skip
        yield Call(cls.__name__, cls, good | {"hidden": always(5)})
    image = {"shape": always((3, 16, 16)), "num_variables": always(2)}
    image |= {"num_dimensions": always(4), "width": always(4)}
    yield Call("AttributeDecoder", dm.AttributeDecoder, image)
    yield Call("AttributeEncoder", dm.AttributeEncoder, image | {"kind": always("independent")})
    parts = {"encoder": always(dm.Encoder(4, 2, 3)), "decoder": always(dm.Decoder(2, 3, 4))}
    parts |= {"estimator": always(dm.Direct())}
    yield Call("DiscreteVAE", dm.DiscreteVAE, parts | {"reduced": always(True)})
    discrete = dm.DiscreteVAE(dm.Encoder(4, 2, 3), dm.Decoder(2, 3, 4), dm.Direct())
    for name in ("forward", "bound", "posterior"):
        yield Call(
            f"DiscreteVAE.{name}", getattr(discrete, name), {"images": partial(images, 3, 4)}
        )
    mixed_parts = (dm.MixedEncoder(4, 3, 2), dm.Decoder(3, 2, 4), dm.Direct())
    names = ("encoder", "decoder", "estimator")
    yield Call("MixedVAE", dm.MixedVAE, {
        name: always(part) for name, part in zip(names, mixed_parts, strict=True)})  # fmt: skip
    mixed = dm.MixedVAE(*mixed_parts)
    labels = {"labelled": partial(images, 2, 4), "labels": always(torch.tensor([0, 1]))}
    yield Call("MixedVAE.forward", mixed, {"images": partial(images, 3, 4)} | labels)
    yield Call("MixedVAE.bound", mixed.bound, {"images": partial(images, 3, 4)})
    faces = dm.AttributeVAE(
        dm.AttributeEncoder((3, 16, 16), 2, 4, width=4),
        dm.AttributeDecoder((3, 16, 16), 2, 4, width=4),
        dm.LocalExpectation(),
    )
    labels = {"labelled": partial(bytes_of, 1, 3, 16, 16), "labels": always(torch.tensor([[0, 1]]))}
    yield Call("AttributeVAE()", faces, {"images": partial(bytes_of, 2, 3, 16, 16)} | labels)
    yield Call("AttributeVAE.bound", faces.bound, {"images": partial(bytes_of, 2, 3, 16, 16)})


def _other_calls() -> Iterator[Call]:
    exponential = {"initial": 1.0, "rate": 1e-5, "every": 10, "minimum": 0.1}
    yield Call("ExponentialDecay", dm.ExponentialDecay, {
        name: always(value) for name, value in exponential.items()})  # fmt: skip
    geometric = {"initial": 4.0, "final": 1.0, "steps": 3}
    yield Call("GeometricDecay", dm.GeometricDecay, {
        name: always(value) for name, value in geometric.items()})  # fmt: skip
    yield Call("compare_gradients", dm.compare_gradients, {
        "q": categorical, "objective": always(quadratic), "num_draws": always(8),
        "estimators": lambda: {"direct": dm.Direct()}, "confidence": always(0.9),
        "reference": always("exact"), "max_states": always(100), "timing": always(False),
        "max_problems": always(1000), "parameters": always(None)})  # fmt: skip


def calls() -> list[Call]:
    """All that is called."""
    makers = (_estimator_calls, _distribution_calls, _solver_calls, _objective_calls)
    return [call for make in (*makers, _model_calls, _other_calls) for call in make()]


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
