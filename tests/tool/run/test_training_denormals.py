"""Denormal numbers cost nothing while a model is trained, and are there again afterwards."""

from __future__ import annotations

import torch

from directmax.tool.config import TrainConfig
from directmax.tool.run.denormals import flushed_denormals
from directmax.tool.run.progress import Progress
from directmax.tool.run.train import train


def denormal() -> float:
    return float(torch.tensor([1e-30]) * 1e-10)


def test_setting_is_restored_also_when_nested_and_after_errors() -> None:
    with flushed_denormals():
        with flushed_denormals():
            assert denormal() == 0
        assert denormal() == 0
    assert denormal() > 0
    try:
        with flushed_denormals():
            raise ValueError
    except ValueError:
        assert denormal() > 0


def test_training_flushes_and_leaves_the_setting(tmp_path) -> None:
    class Look(Progress):
        seen: float | None = None

        def step(self, epoch: int, step: int) -> None:
            self.seen = denormal()

    look = Look()
    train(TrainConfig(epochs=1).resolve(), tmp_path / "run", device="cpu", progress=look)
    assert look.seen == 0
    assert denormal() > 0
