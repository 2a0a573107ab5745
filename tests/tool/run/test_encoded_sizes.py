"""Codes of images that a run resizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import succeed

TINY = ("--device", "cpu", "--epochs", "1", "--batch-size", "8", "--hidden", "4")


@pytest.mark.parametrize("model", ["discrete", "attributes"])
def test_a_run_encodes_the_folder_that_it_learned(model: str, tmp_path: Path) -> None:
    """It was refused, of another size, where training and evaluation resize its images."""
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 9, 13, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number:02d}.png")
    rows = [f"{number:02d}.png,{number % 2},{number // 2 % 2}" for number in range(20)]
    flags = TINY
    if model == "attributes":
        (folder / "list.csv").write_text("\n".join(["image,Hat,Scarf", *rows]))
        flags = ("--model", "attributes", "--attributes", "Hat", "Scarf", "--workers", "0", *TINY)
    run, output = tmp_path / "run", tmp_path / "codes.npz"
    succeed("train", "--data", folder, "--image-size", 8, "--run-dir", run, *flags)
    succeed("encode", run, folder, "--output", output)
    found = np.load(output)["probabilities"]
    assert len(found) == 20
    succeed("encode", run, folder / "03.png", "--output", output)
    np.testing.assert_allclose(np.load(output)["probabilities"][0], found[3], atol=1e-5)


def test_one_image_of_twelve_bits_is_read_as_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 4096, (20, 8, 8)).astype(np.uint16)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number:02d}.png")
    run, output = tmp_path / "run", tmp_path / "codes.npz"
    succeed("train", "--data", folder, "--run-dir", run, *TINY)
    succeed("encode", run, folder, "--output", output)
    found = np.load(output)["probabilities"]
    succeed("encode", run, folder / "03.png", "--output", output)
    np.testing.assert_allclose(np.load(output)["probabilities"][0], found[3], atol=1e-5)
