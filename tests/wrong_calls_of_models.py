"""Good calls of models, networks and the objectives made of them, to be spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

import directmax as dm
from directmax import models, objectives
from wrong_values import Call, always


def images(*shape: int) -> Tensor:
    size = int(np.prod(shape))
    return (torch.arange(size) % 2).float().view(shape)


def bytes_of(*shape: int) -> Tensor:
    return (torch.arange(int(np.prod(shape))) % 256).to(torch.uint8).view(shape)


def _networks_and_models() -> Iterator[Call]:
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


def _likelihoods() -> Iterator[Call]:
    pixels = partial(bytes_of, 2, 1, 2, 2)
    for name in ("gaussian_loss", "logistic_loss"):
        yield Call(name, getattr(objectives, name), {
            "mean": lambda: torch.zeros(2, 1, 2, 2), "log_scale": lambda: torch.zeros(()),
            "images": pixels})  # fmt: skip
    rows = {"rows": lambda: torch.zeros(3, 3, 2), "row_kl": lambda: torch.zeros(3, 3)}
    yield Call("MixedReconstruction", dm.MixedReconstruction, rows | {
        "decoder": always(dm.Decoder(3, 2, 4)), "images": partial(images, 3, 4),
        "reduced": always(True)})  # fmt: skip
    yield Call("AttributeReconstruction", lambda **given: dm.AttributeReconstruction(**given)(
        torch.eye(2)[torch.tensor([[0, 1, 1], [1, 0, 0]])]), {
        "decoder": always(lambda code, bits: code.sum(-1)[..., None, None, None]),
        "gaussians": always(lambda bits: (bits, torch.zeros_like(bits))),
        "loss": always(lambda mean, x: objectives.gaussian_loss(mean, torch.tensor(0.0), x)),
        "images": pixels, "noise": lambda: torch.zeros(2, 3),
        "kl_weight": always(1.0)})  # fmt: skip
    yield Call("unit_pixels", objectives.unit_pixels, {"images": partial(bytes_of, 2, 3)})
    yield Call("attribute_prior", models.attribute_prior, {
        "labels": lambda: torch.tensor([[0, 1], [1, -1]])})  # fmt: skip
    yield Call("distorted", models.distorted, {
        "images": partial(images, 2, 1, 4, 4), "strength": always(0.5), "cover": always(True),
        "generator": always(None)})  # fmt: skip


def _more_networks() -> Iterator[Call]:
    sizes = {"num_variables": always(2), "num_values": always(3)}
    yield Call("Codebook", dm.Codebook, sizes | {
        "dimensions": always(2), "out_features": always(5), "shared": always(True)})  # fmt: skip
    yield Call("Codebook()", dm.Codebook(2, 3, 2), {"z": lambda: torch.zeros(2, 6)})
    yield Call("CodebookDecoder", dm.CodebookDecoder, sizes | {
        "num_pixels": always(4), "dimensions": always(2), "shared": always(False),
        "hidden": always(5)})  # fmt: skip
    picture = {"shape": always((4, 4)), "width": always(4), "residual": always(True)}
    yield Call("ImageDecoder", dm.ImageDecoder, sizes | picture)
    yield Call("ImageTrunk", dm.ImageTrunk, picture | {"hidden": always(5)})
    named = {"network": always("conv"), "shape": always((4, 4)), "hidden": always(5)}
    yield Call("named_trunk", models.named_trunk, named)
    yield Call("named_decoder", models.named_decoder, named | sizes)
    pixels = {"num_pixels": always(4), "hidden": always(5)}
    yield Call("ChainEncoder", models.ChainEncoder, pixels | {
        "length": always(3), "states": always(2)})  # fmt: skip
    yield Call("structured_encoder", models.structured_encoder, pixels | {
        "kind": always("subset"), "num_variables": always(3), "num_values": always(2),
        "chosen": always(1)})  # fmt: skip
    for name, network in (
        ("Encoder()", dm.Encoder(4, 2, 3)),
        ("PairwiseEncoder()", dm.PairwiseEncoder(4, 3)),
        ("ChainEncoder()", models.ChainEncoder(4, 3, 2)),
    ):
        yield Call(name, network, {"images": partial(images, 3, 4)})
    for name, network in (
        ("Decoder()", dm.Decoder(2, 3, 4)),
        ("ImageDecoder()", dm.ImageDecoder(2, 3, (4, 4))),
    ):
        yield Call(name, network, {"z": lambda: torch.zeros(2, 2, 3)})


def _inference() -> Iterator[Call]:
    parts = (dm.Encoder(4, 2, 3), dm.Decoder(2, 3, 4), dm.LocalDivergence())
    refined = dm.DiscreteVAE(*parts, refined=True)
    three = partial(images, 3, 4)
    yield Call("quick", refined.inferred, {"images": three, "quick": always(True)})
    for name in ("forward", "inferred", "objective"):
        yield Call(f"refined {name}", getattr(refined, name), {"images": three})
    yield Call("refined bound", refined.bound, {
        "images": three, "num_samples": always(2), "max_states": always(100),
        "generator": always(None)})  # fmt: skip
    yield Call("DiscreteVAE, likelihood", dm.DiscreteVAE, {
        "encoder": always(parts[0]), "decoder": always(parts[1]), "estimator": always(parts[2]),
        "likelihood": always("logistic"), "refined": always(True),
        "unary_kl": always(False)})  # fmt: skip


def model_calls() -> Iterator[Call]:
    """Networks, models, likelihoods."""
    for calls in (_networks_and_models, _likelihoods, _more_networks, _inference):
        yield from calls()
