"""What the benchmarks share: the command line, the yardstick G, interleaved timing, real images.

Every program has a constant `TINY`: flags with which it does all that it can do in a second. The
tests run it with them.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directmax.models import DiscreteVAE
from directmax.tool.data import DataError, binarize, load_images

Step = Callable[[], object]


def command_line(description: str, *, rounds: int | None = None) -> argparse.ArgumentParser:
    """Flags that the benchmarks have in common, to which each adds its own; the first line says it.

    Args:
        description: docstring of the program.
        rounds: by default; None for a program without.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help="at least 2, for quartiles")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The flags of this call; torch gets its threads."""
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def mnist() -> Tensor:
    """50,000 binarised training images; 10,000 random ones of their size and density if absent."""
    try:
        data = load_images("mnist", data_dir=os.environ.get("DIRECTMAX_DATA"), download=False)
    except DataError as error:
        print(f"using random images instead of MNIST: {error}")
        return (torch.rand(10_000, 784, generator=torch.Generator().manual_seed(0)) < 0.13).float()
    return binarize(data.train.images, "threshold")


def batches(images: Tensor, batch_size: int = 100) -> Callable[[], Tensor]:
    """Draws a random mini-batch at every call."""

    def draw() -> Tensor:
        index = torch.randint(len(images), (batch_size,), device=images.device)
        return images.index_select(0, index)

    return draw


def yardstick(images: Tensor, num_values: int, num_variables: int = 1) -> Step:
    """G: one training step of a plain Gumbel-Softmax VAE, written as users write it."""
    n, k, d = num_variables, num_values, images.shape[1]
    device = images.device
    encoder = nn.Sequential(nn.Linear(d, 300), nn.ReLU(), nn.Linear(300, n * k)).to(device)
    decoder = nn.Sequential(nn.Linear(n * k, 300), nn.ReLU(), nn.Linear(300, d)).to(device)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    draw = batches(images)

    def step() -> None:
        x = draw()
        logits = encoder(x).view(-1, n, k)
        z = F.gumbel_softmax(logits, tau=1.0)
        output = decoder(z.flatten(1))
        reconstruction = F.binary_cross_entropy_with_logits(output, x, reduction="none").sum(-1)
        log_q = logits.log_softmax(-1)
        kl = (log_q.exp() * (log_q + math.log(k))).sum((-2, -1))
        loss = (reconstruction + kl).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def model_step(model: DiscreteVAE, images: Tensor, *, batch_size: int = 100) -> Step:
    """One training step of a model of ours, without the trainer around it."""
    model.to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator(images.device).manual_seed(0)
    draw = batches(images, batch_size)

    def step() -> None:
        terms = model(draw(), generator=generator)
        loss = (terms.reconstruction + terms.kl).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def interleaved(
    steps: dict[str, Step], *, rounds: int = 30, calls: int = 10, warmup: int = 10
) -> dict[str, list[float]]:
    """Seconds a call of each step, one number a round, all steps in turn in every round.

    Noise of the machine hits neighbours alike, so ratios within a round are steadier than times.
    """
    for step in steps.values():
        for _ in range(warmup):
            step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            synchronize()
            began = time.perf_counter()
            for _ in range(calls):
                step()
            synchronize()
            seconds[name].append((time.perf_counter() - began) / calls)
    return seconds


def synchronize() -> None:
    """Wait for a GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ratio(seconds: dict[str, list[float]], name: str, yard: str) -> tuple[float, float, float]:
    """Median and quartiles over rounds of one step's time over another's in the same round."""
    pairs = zip(seconds[name], seconds[yard], strict=True)
    quotients = sorted(a / b for a, b in pairs)
    low, median, high = statistics.quantiles(quotients, n=4)
    return median, low, high
