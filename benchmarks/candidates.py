"""What bfloat16 candidates change: the encoder's gradient with and without, under the same noise.

    python benchmarks/candidates.py [RUN_DIR] [--batches 20]

For mini-batches of real training images prints the relative difference of the two gradients beside
the relative spread of the gradient over noise, which training averages over in any case. Without a
run the model is a fresh one of the digits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from common import command_line, parse
from directmax._precision import fast_bfloat16
from directmax.models import DiscreteVAE
from directmax.tool.measure.gradient_model import load_model
from directmax.tool.measure.gradient_request import GradientRequest

TINY = "--threads 1 --batches 2"


def gradient(model: DiscreteVAE, images: Tensor, seed: int, *, reduced: bool) -> Tensor:
    """Of the mean loss with respect to all weights of the encoder, as one vector."""
    model.reduced = reduced
    model.zero_grad()
    terms = model(images, generator=torch.Generator().manual_seed(seed))
    terms.reconstruction.mean().backward()
    return torch.cat([weight.grad.flatten() for weight in model.encoder.parameters()])


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("run", nargs="?", help="folder of a run")
    parser.add_argument("--batches", type=int, default=20)
    options = parse(parser)
    loaded = load_model(GradientRequest(), run_dir=options.run, device="cpu")
    model, images = loaded.vae, loaded.split
    assert isinstance(model, DiscreteVAE), "a run of another model"
    print(f"{loaded.config.title}; bfloat16 is used here: {fast_bfloat16(torch.device('cpu'))}")
    rounding, noise = [], []
    for batch in range(options.batches):
        part = images[100 * batch : 100 * (batch + 1)]
        full = gradient(model, part, batch, reduced=False)
        rounding.append((gradient(model, part, batch, reduced=True) - full).norm() / full.norm())
        other = gradient(model, part, batch + 1000, reduced=False)
        noise.append((other - full).norm() / full.norm() / 2**0.5)
    print(f"change by bfloat16: {torch.stack(rounding).mean():.2e} of the gradient's norm")
    print(f"deviation over noise: {torch.stack(noise).mean():.2e} of the gradient's norm")


if __name__ == "__main__":
    main()
