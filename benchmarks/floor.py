"""How far a step is from its floor, and what the trainer adds to the bare step.

    python benchmarks/floor.py [--rounds 30] [--threads 2]

The floor is what cannot be left out: the matrix products of a step, timed alone, and
the memory traffic of Adam, timed as one fused call. The trainer's loop (Fabric, schedules, metrics,
progress) is timed against the bare step in the same rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from common import (
    Step,
    command_line,
    interleaved,
    mnist,
    model_step,
    parse,
    ratio,
    yardstick,
)
from directmax import Decoder, DiscreteVAE, Encoder
from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.config.build import build_estimator
from directmax.tool.data import ImageData, Split
from directmax.tool.run.loop import Trainer
from directmax.tool.run.make import make_task
from directmax.tool.run.progress import Progress
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.train import make_fabric

TINY = "--threads 1 --rounds 2 --calls 1"


def floor(k: int) -> Step:
    """The matrix products of a step with one variable, and Adam."""
    x, hidden, logits = torch.randn(100, 784), torch.randn(100, 300), torch.randn(100, k)
    codes, pixels = torch.randn(k, 300), torch.randn(k, 784)
    w1, w2 = torch.randn(300, 784), torch.randn(k, 300)
    w3, w4 = torch.randn(300, k), torch.randn(784, 300)
    parameters = [nn.Parameter(w.clone()) for w in (w1, w2, w3, w4)]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    @torch.no_grad()
    def step() -> None:
        x @ w1.T  # encoder, forward
        hidden @ w2.T
        codes @ w4.T  # decoder, forward: its first layer is a copy
        x @ pixels.T  # all pairs of images and codes
        logits.T @ x  # backward: pixels
        pixels @ w4
        pixels.T @ codes
        logits.T @ hidden  # encoder, backward
        logits @ w2
        hidden.T @ x
        optimizer.step()

    return step


@contextmanager
def trainer_step(config: ResolvedConfig, images: Tensor) -> Iterator[Step]:
    """One step of the trainer's loop, with everything that happens at every step."""
    split = Split(images=images, labels=torch.zeros(len(images), dtype=torch.int64))
    data = ImageData("mnist", (28, 28), split, split, split, "benchmark", 10)
    fabric = make_fabric("cpu", 1, config.precision)
    fabric.launch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(make_task(config, data, fabric), RunFolder(folder), Progress())
        yield lambda: trainer.train_steps(1)
        trainer.close()


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=30)
    parser.add_argument("--calls", type=int, default=10, help="steps in a round")
    options = parse(parser)
    images = mnist()[:10_000]
    for k in (10, 50):
        config = TrainConfig(data="mnist", values=k).resolve()
        model = DiscreteVAE(Encoder(784, 1, k), Decoder(1, k, 784), build_estimator(config))
        with trainer_step(config, images) as step:
            steps = {
                "floor": floor(k),
                "bare step": model_step(model, images),
                "trainer": step,
                "G": yardstick(images, k),
            }
            seconds = interleaved(steps, rounds=options.rounds, calls=options.calls)
        print(f"default direct, k={k}, threads {options.threads}")
        for name, yard in (("bare step", "floor"), ("trainer", "bare step"), ("floor", "G")):
            median, low, high = ratio(seconds, name, yard)
            print(f"  {name} / {yard}: {median:.2f}  ({low:.2f}–{high:.2f})")


if __name__ == "__main__":
    main()
