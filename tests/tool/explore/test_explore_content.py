"""What a page is told gives back the model: its layers, computed here by torch's functions."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from explored import SETTINGS, Explored
from torch import Tensor, nn
from torch.nn import functional as F

from command_line import call, refuse, succeed
from directmax.tool.explore import content
from directmax.tool.explore.content import content_of
from directmax.tool.explore.model import codes_of, decoded
from directmax.tool.explore.networks import UnknownLayerError, Weights, layers_of
from directmax.tool.files import RunError
from directmax.tool.run.export_parts import ExportedEncoder

LACKING = ("unsolved", "matching")
"""Kinds whose codes a page cannot find."""


def computed(told: dict[str, Any], name: str, x: Tensor) -> Tensor:
    """What a page computes, for a batch."""
    packed = base64.b64decode(told["weights"]["bytes"])
    dtype = np.dtype(told["weights"]["dtype"]).newbyteorder("<")
    weights = torch.from_numpy(np.frombuffer(packed, dtype).astype(np.float32))

    def part(start: int, *shape: int) -> Tensor:
        return weights[start : start + int(np.prod(shape))].view(shape)

    def through(layers: list[dict[str, Any]], x: Tensor) -> Tensor:
        for layer in layers:
            x = operation(layer, x)
        return x

    def operation(layer: dict[str, Any], x: Tensor) -> Tensor:
        if layer["op"] == "softplus":
            return F.softplus(x)
        if layer["op"] == "relu":
            return x.relu()
        if layer["op"] == "leaky":
            return F.leaky_relu(x, layer["slope"])
        if layer["op"] == "norm":
            scale, shift = (part(layer[key], layer["from"][0]) for key in ("weight", "bias"))
            x = x.view(-1, *layer["from"])
            return F.group_norm(x, layer["groups"], scale, shift, layer["epsilon"])
        if layer["op"] == "placeNorm":
            channels = layer["from"][0]
            scale, shift = (part(layer[key], channels) for key in ("weight", "bias"))
            x = x.view(-1, *layer["from"]).movedim(1, -1)
            return F.layer_norm(x, (channels,), scale, shift, layer["epsilon"]).movedim(-1, 1)
        if layer["op"] == "upsample":
            return F.interpolate(x.view(-1, *layer["from"]), scale_factor=layer["scale"])
        if layer["op"] == "sum":
            return through(layer["layers"], x) + through(layer["shortcut"], x)
        if layer["op"] == "linear":
            o, i = layer["outputs"], layer["inputs"]
            return F.linear(x.flatten(1), part(layer["weight"], o, i), part(layer["bias"], o))
        if layer["op"] == "crop":
            top, left, (_, h, w) = layer["top"], layer["left"], layer["to"]
            return x[..., top : top + h, left : left + w]
        i, o, k = layer["from"][0], layer["to"][0], layer["kernel"]
        back = layer["op"] == "transposed"
        weight = part(layer["weight"], *((i, o) if back else (o, i)), k, k)
        function = F.conv_transpose2d if back else F.conv2d
        bias, settings = part(layer["bias"], o), (layer["stride"], layer["padding"])
        x = function(x.view(-1, *layer["from"]), weight, bias, *settings)
        assert x.shape[1:] == tuple(layer["to"])
        return x

    return through(told["networks"][name], x).flatten(1)


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind not in LACKING])
def test_the_page_has_the_model(kind: str) -> None:
    """Its layers and weights decode codes and encode images as the model does."""
    explored = Explored.of(kind)
    model: Any = explored.model
    told = content_of(explored.config, explored.data, model).data
    assert told["lacking"] == ""
    pixels = np.frombuffer(base64.b64decode(told["images"]), np.uint8)
    images = torch.from_numpy(pixels.reshape(len(told["codes"]), -1) / 255).float()
    codes = codes_of(model, images)
    assert codes.values.tolist() == told["codes"]
    assert len(codes.values.unique(dim=0)) > 1
    with torch.no_grad():
        if explored.config.model == "attributes":
            code = torch.cat([codes.gaussian, 2 * codes.values - 1], 1)
            signed = 2 * images - 1
            other = signed.view(-1, 3, 20, 18).flip(-1).flatten(1)
            outputs = model.encoder.potentials(model.encoder.seen(signed.view(-1, 3, 20, 18)))
            if model.encoder.mirrored:
                both = computed(told, "trunk", signed) + computed(told, "trunk", other)
                signed = both / 2
            potentials = computed(told, "potentials", signed)
        elif explored.config.model == "mixed":
            rows = F.one_hot(codes.values, 10).float().transpose(1, 2) * codes.gaussian[:, None]
            code, outputs = rows.flatten(1), model.encoder.classify(images)
            features = computed(told, "base", images)
            potentials = computed(told, "potentials", features)
            every = computed(told, "rows", features).unflatten(1, (10, -1))
            own = every[torch.arange(len(images)), codes.values[:, 0]]
            mean = computed(told, "gaussian", own).chunk(2, -1)[0]
            assert (mean - codes.gaussian).abs().max() < 1e-4
        else:
            code = F.one_hot(codes.values, model.encoder.num_values).float().flatten(1)
            outputs, potentials = model.encoder.layers(images), computed(told, "potentials", images)
    pixels = computed(told, "decoder", code).sigmoid()
    assert (pixels - decoded(model, codes.values, codes.gaussian)).abs().max() < 1e-5
    assert pixels.std(0).max() > 0.01
    torch.testing.assert_close(potentials, outputs, rtol=1e-4, atol=1e-4)


def test_what_is_exported_is_calibrated() -> None:
    explored = Explored.of("calibrated")
    model: Any = explored.model
    images = torch.randint(256, (3, 3, 20, 18), dtype=torch.uint8)
    exported: Any = SimpleNamespace(model=model, config=explored.config)
    found = ExportedEncoder(exported)((images + 0.5) / 256)[0]
    torch.testing.assert_close(found, model.posterior(images).marginals())


def test_codes_in_a_set() -> None:
    """A page cannot find them, says so and does not hold the encoder; the library's are there."""
    explored = Explored.of("matching")
    told = content_of(explored.config, explored.data, explored.model).data
    assert "set" in told["lacking"]
    assert set(told["networks"]) == {"decoder"}
    assert len(told["codes"]) == 30
    assert all(sorted(code) == [0, 1, 2, 3] for code in told["codes"])


def test_half_of_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is too large is rounded to 16 bits, where it decodes as before."""
    explored = Explored.of("mixed")
    whole = content_of(explored.config, explored.data, explored.model)
    size = len(base64.b64decode(whole.data["weights"]["bytes"]))
    monkeypatch.setattr(content, "LARGEST_WEIGHTS", size - 1)
    half = content_of(explored.config, explored.data, explored.model)
    assert half.data["weights"]["dtype"] == "float16"
    assert len(base64.b64decode(half.data["weights"]["bytes"])) == size / 2
    assert "16 bits" in half.note
    monkeypatch.setattr(content, "MOST_ROUNDING", 1e-9)
    with pytest.raises(RunError, match="changes pixels by up to"):
        content_of(explored.config, explored.data, explored.model)
    monkeypatch.setattr(content, "LARGEST_WEIGHTS", size // 2 - 1)
    with pytest.raises(RunError, match="also in 16 bits"):
        content_of(explored.config, explored.data, explored.model)


def test_layers_that_a_page_does_not_know() -> None:
    """Of the decoder they are refused, of the encoder only images of the page have codes."""
    with pytest.raises(UnknownLayerError, match="Tanh"):
        layers_of(nn.Linear(2, 3), nn.Tanh(), shape=(2,), weights=Weights())
    explored = Explored.of("binary")
    model: Any = explored.model
    model.encoder.layers[1] = nn.Tanh()
    told = content_of(explored.config, explored.data, model).data
    assert "Tanh" in told["lacking"]
    assert "potentials" not in told["networks"]
    assert len(told["codes"]) == 30
    model.decoder.first = nn.Dropout()
    with pytest.raises(RunError, match="Dropout"):
        content_of(explored.config, explored.data, model)


def test_the_command(run_dir: Path, here: Path) -> None:
    """It writes beside the run, or where it is told to, and nothing where it cannot."""
    assert "explore.html" in succeed("explore", run_dir).out
    page = (run_dir / "explore.html").read_text()
    (run_dir / "explore.html").unlink()
    succeed("explore", run_dir, "--output", "page.html")
    assert (here / "page.html").read_text() == page
    assert "must end in .html" in refuse("explore", run_dir, "--output", "page.png")
    assert "does not exist" in refuse("explore", run_dir, "--output", "no/page.html")
    assert call("explore", here / "nothing").code == 2
    assert [path.name for path in here.iterdir()] == ["page.html"]
