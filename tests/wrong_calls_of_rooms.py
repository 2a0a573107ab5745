"""Good calls of what rooms share, to be spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

import directmax as dm
from directmax import distributions, laboratory, models, objectives, solvers, structures
from wrong_calls_of_models import images
from wrong_values import Call, always


def _groups() -> Iterator[Call]:
    yield Call("group_images", models.group_images, {
        "images": partial(images, 12, 4), "num_groups": always(2), "shape": always((2, 2)),
        "labels": partial(torch.zeros, 12, dtype=torch.int64),
        "shares": partial(torch.full, (2,), 0.5), "steps": always(8), "generator": always(None),
        "progress": always(lambda share: None)})  # fmt: skip
    yield Call("neighbour_pairs", models.neighbour_pairs, {"num_images": always(9)})


def _solvers() -> Iterator[Call]:
    potentials = {"unary": partial(torch.zeros, 3, 3, 2), "pairwise": partial(torch.zeros, 3, 3)}
    bits = partial(torch.ones, 3, 3, dtype=torch.bool)
    yield Call("potential", solvers.potential, potentials | {"bits": bits})
    yield Call("check_potentials", solvers.check_potentials, potentials | {"finite": always(True)})
    yield Call("coupling_reach", solvers.coupling_reach, {
        "pairwise": potentials["pairwise"], "num_variables": always(3)})  # fmt: skip
    yield Call("pair_products", solvers.pair_products, {"bits": partial(torch.zeros, 2, 3)})


def _objectives() -> Iterator[Call]:
    yield Call("real", objectives.real, {"losses": partial(torch.zeros, 3)} | {
        "dtype": always(torch.float32)})  # fmt: skip
    yield Call("PlainReconstruction", objectives.PlainReconstruction, {
        "decoder": always(dm.ImageDecoder(2, 3, (2, 2))), "images": partial(images, 3, 4),
        "loss": always(objectives.bernoulli_loss), "reduced": always(True)})  # fmt: skip


def _others() -> Iterator[Call]:
    leaf = torch.zeros(3, 2, 3, requires_grad=True)
    yield Call("candidate_noise", dm.candidate_noise, {
        "count": always(3), "num_variables": always(2), "num_values": always(2)})  # fmt: skip
    yield Call("state_block", distributions.state_block, {
        "num_variables": always(2), "num_values": always(3), "start": always(1),
        "stop": always(4)})  # fmt: skip
    yield Call("ParameterGradients", laboratory.ParameterGradients, {
        "posterior": always(lambda: dm.Categorical(leaf)), "parameters": always((leaf,)),
        "objective": always(lambda z: z[..., 0].sum(-1))})  # fmt: skip
    yield Call("StructuredEncoder", models.StructuredEncoder, {
        "num_pixels": always(4), "structure": always(structures.Subsets(3, 1)),
        "hidden": always(5)})  # fmt: skip
    yield Call("NoiseScore", dm.NoiseScore, {"num_samples": always(2)})
    for cls in (dm.GumbelSoftmax, dm.ImplicitMLE, dm.NoiseScore, dm.StraightThrough):
        yield Call(f"{cls.__name__}().rsample", cls().rsample, {
            "q": always(dm.Categorical(torch.zeros(3, 2, 2))),
            "generator": always(None)})  # fmt: skip
    model = dm.DiscreteVAE(dm.Encoder(4, 2, 3), dm.Decoder(2, 3, 4), dm.Direct())
    yield Call("DiscreteVAE.bound", model.bound, {
        "images": partial(images, 3, 4), "progress": always(lambda share: None)})  # fmt: skip
    yield Call("compare_gradients", dm.compare_gradients, {
        "q": always(dm.Categorical(torch.zeros(3, 2, 2))), "num_draws": always(8),
        "objective": always(lambda z: z[..., 0].sum(-1)), "estimators": always({"a": dm.Direct()}),
        "progress": always(None)})  # fmt: skip


def room_calls() -> Iterator[Call]:
    """Functions that are public because more than one room uses them, and callbacks."""
    for calls in (_groups, _solvers, _objectives, _others):
        yield from calls()
