"""Exports: files that do as the model does, or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import directmax
from command_line import TINY, refuse, succeed
from directmax.tool.run import export, train


def test_export(finished: Path, here: Path) -> None:
    out = succeed("export", finished, "--format", "torch", "--output", here / "files").out
    assert out.count("differs by at most") == 2
    names = {path.name for path in (here / "files").iterdir()}
    assert names == {"encoder.pt2", "decoder.pt2", "model.json"}
    about = json.loads((here / "files" / "model.json").read_text())
    assert about["images"]["shape"] == [8, 8]
    assert about["outputs"]["encoder"] == ["probabilities", "code"]
    model, images = directmax.load(finished, device="cpu"), torch.rand(17, 64).round()
    encoder = torch.export.load(here / "files" / "encoder.pt2").module()
    decoder = torch.export.load(here / "files" / "decoder.pt2").module()
    probabilities, code = encoder(images=images)
    q = model.model.posterior(images)  # without the decoder, which refines what `encode` gives
    torch.testing.assert_close(probabilities, q.marginals())
    assert torch.equal(code, q.mode().argmax(-1))
    z = torch.nn.functional.one_hot(code, 10).float()
    torch.testing.assert_close(decoder(z=z), model.decode(code))


def test_a_learned_prior_is_in_the_description(here: Path) -> None:
    succeed(*TINY, "--prior", "learned", "--run-dir", here / "run")
    succeed("export", here / "run", "--format", "torch", "--output", here / "files")
    about = json.loads((here / "files" / "model.json").read_text())
    prior = directmax.load(here / "run", device="cpu").model.prior
    torch.testing.assert_close(torch.tensor(about["prior"]), prior.detach())


@pytest.mark.slow
@pytest.mark.parametrize("format", ["torch", "onnx"])
@pytest.mark.parametrize(
    "words",
    [
        ("--network", "conv"),
        ("--network", "resnet", "--variables", "2"),
        ("--encoder", "pairwise", "--variables", "4"),
        ("--model", "mixed", "--gaussian", "3", "--precision", "64-true"),
    ],
    ids=" ".join,
)
def test_every_model(words: tuple[str, ...], format: str, here: Path) -> None:  # noqa: A002
    if format == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package)
    succeed(*TINY, *words, "--run-dir", here / "run")
    differences = export.export_run(here / "run", here / "files", format=format)
    assert max(differences.values()) < 1e-5


def test_what_differs_is_not_kept(
    finished: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(file: Path, format: str) -> object:  # noqa: A002
        module = torch.export.load(file).module()
        return lambda inputs: tuple(each + 1e-3 for each in export._tuple(module(**inputs)))

    monkeypatch.setattr(export, "_reader", shifted)
    line = refuse("export", finished, "--format", "torch", "--output", here / "files")
    assert "encoder.pt2 differs from the model" in line
    assert not (here / "files").exists()


@pytest.mark.parametrize("encoder", ["chain", "subset", "matching", "tree"])
def test_codes_of_a_set_cannot_be_exported(
    here: Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "write_report", lambda *arguments: None)
    words = ("--encoder", encoder, "--variables", "3")
    words += ("--values", "3") if encoder == "chain" else ()
    succeed(*TINY, *words, "--run-dir", "run")
    line = refuse("export", "run", "--format", "torch", "--output", "files")
    assert f"--encoder {encoder} cannot be exported" in line
    assert not (here / "files").exists()


def test_what_cannot_be_exported(finished: Path, here: Path) -> None:
    (here / "file").write_text("")
    assert "unknown format 'onxn'" in refuse(
        "export", finished, "--format", "onxn", "--output", "."
    )
    words = ("--format", "torch", "--output")
    assert "it is no folder" in refuse("export", finished, *words, here / "file")
    assert "does not exist" in refuse("export", here / "none", *words, here / "files")
    assert not (here / "files").exists()
