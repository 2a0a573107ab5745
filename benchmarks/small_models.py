"""Estimators at their defaults in small models, beside what is written by hand.

    OMP_NUM_THREADS=1 python benchmarks/small_models.py [--only TASK …] [--seeds 2]

Eight models with independent discrete variables, each trained with the same network, optimiser and
number of steps; the number is what counts in the end, lower is better:

    experts   digits go to one of 8 linear classifiers: cross-entropy, exact, test images
    gates     60 features, half of them noise, each at 0.01 nats: loss of the best gates, test rows
    code      8 variables of 16 values in an auto-encoder of digits: squared error, test images
    game      a message of at most 4 symbols, each at 0.05 nats, says which of 8 images is meant
    bandit    three answers of ten values, paid when right: minus the reward, no derivative
    skills    6 binary skills behind 40 answers, with their KL: bound, exact, test persons
    sums      two digits of which the sum alone is labelled: share of test images read wrongly
    spins     an Ising model of 40 spins, both signs: energy of the most probable state

"by hand": `F.gumbel_softmax(…, hard=True)`, and REINFORCE with the mean of the other three samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from common import command_line, parse
from directmax import Categorical, Direct, Estimator, Exact, LocalExpectation, ScoreFunction

TINY = "--threads 1 --seeds 1 --steps 2"

Loss = Callable[[Tensor], Tensor]
Way = Callable[[Tensor, Loss], Tensor]
"""From logits (b, n, k) and f to losses (b,) with a gradient."""


def gumbel_softmax(logits: Tensor, f: Loss) -> Tensor:
    return f(F.gumbel_softmax(logits, tau=0.5, hard=True).unsqueeze(0))[0]


def reinforce(logits: Tensor, f: Loss) -> Tensor:
    distribution = torch.distributions.OneHotCategorical(logits=logits)
    z = distribution.sample((4,))
    losses = f(z)
    advantage = (losses.detach() - losses.detach().mean(0)) * (4 / 3)
    score = (advantage * distribution.log_prob(z).sum(-1)).mean(0)
    return losses.mean(0) + score - score.detach()


def by(estimator: Estimator) -> Way:
    return lambda logits, f: estimator(Categorical(logits), f).loss


WAYS: dict[str, Callable[[], Way]] = {
    "Gumbel-Softmax by hand": lambda: gumbel_softmax,
    "REINFORCE by hand": lambda: reinforce,
    "ScoreFunction(4)": lambda: by(ScoreFunction(num_samples=4)),
    "Direct()": lambda: by(Direct()),
    "Direct, Rao-Blackwell": lambda: by(Direct(rao_blackwell=True)),
    "the same, two-sided": lambda: by(Direct(rao_blackwell=True, two_sided=True)),
    "LocalExpectation()": lambda: by(LocalExpectation()),
}


def images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Digits and classes, for training and for the test."""
    pixels, classes = load_digits(return_X_y=True)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(pixels / 16, dtype=torch.float32)[order], torch.tensor(classes)[order]
    return x[397:], y[397:], x[:397], y[:397]


def train(
    modules: list[nn.Module], loss: Callable[[], Tensor], steps: int, rate: float = 3e-3
) -> None:
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().mean().backward()
        optimizer.step()


def wrong(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of logits (*s, b, c)."""
    return -logits.log_softmax(-1)[..., torch.arange(len(classes)), classes]


def network(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, outputs))


def experts(way: Way, steps: int) -> float:
    x, y, x_test, y_test = images()
    router, linear = nn.Linear(64, 8), nn.Linear(64, 80)

    def costs(x: Tensor, y: Tensor) -> Tensor:  # (b, 8)
        return -linear(x).unflatten(-1, (8, 10)).log_softmax(-1)[torch.arange(len(y)), :, y]

    def loss() -> Tensor:
        rows = torch.randint(len(x), (64,))
        cost = costs(x[rows], y[rows])
        return way(router(x[rows]).unsqueeze(1), lambda z: (z[..., 0, :] * cost).sum(-1))

    train([router, linear], loss, steps)
    return (router(x_test).softmax(-1) * costs(x_test, y_test)).sum(-1).mean().item()


def gates(way: Way, steps: int) -> float:
    features, classes = load_breast_cancer(return_X_y=True)
    x = torch.tensor(features, dtype=torch.float32)
    x = (x - x.mean(0)) / x.std(0)
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([x, torch.randn(x.shape, generator=generator)], -1)
    order = torch.randperm(len(x), generator=generator)
    x, y = x[order], torch.tensor(classes)[order]
    net, gate = network(60, 2), nn.Linear(1, 60, bias=False)
    nn.init.zeros_(gate.weight)

    def logits() -> Tensor:  # one choice for all rows
        return torch.stack([torch.zeros(1, 60), 10 * gate(torch.ones(1, 1))], -1)

    def loss() -> Tensor:
        rows = torch.randint(169, len(x), (64,))

        def f(z: Tensor) -> Tensor:
            kept = z[..., 1]
            return wrong(net(x[rows] * kept), y[rows]).mean(-1, keepdim=True) + 0.01 * kept.sum(-1)

        return way(logits(), f)

    train([net, gate], loss, steps, rate=1e-2)
    kept = logits().argmax(-1)
    return (wrong(net(x[:169] * kept), y[:169]).mean() + 0.01 * kept.sum()).item()


def code(way: Way, steps: int) -> float:
    x, _, x_test, _ = images()
    encoder, decoder = network(64, 8 * 16), network(8 * 16, 64)

    def error(z: Tensor, x: Tensor) -> Tensor:
        return ((decoder(z.flatten(-2)) - x) ** 2).sum(-1)

    def loss() -> Tensor:
        batch = x[torch.randint(len(x), (64,))]
        return way(encoder(batch).unflatten(-1, (8, 16)), lambda z: error(z, batch))

    train([encoder, decoder], loss, steps)
    best = Categorical(encoder(x_test).unflatten(-1, (8, 16))).mode()
    return error(best, x_test).mean().item()


def game(way: Way, steps: int) -> float:
    x, _, x_test, _ = images()
    sender, listener, looker = network(64, 4 * 8), network(4 * 8, 32), nn.Linear(64, 32)

    def round_of(pool: Tensor, count: int) -> tuple[Tensor, Loss]:
        shown = pool[torch.rand(count, len(pool)).topk(8).indices]  # (b, 8, 64)
        meant = torch.randint(8, (count,))

        def f(z: Tensor) -> Tensor:  # value 0 ends a message
            said = (1 - z[..., 0]).cumprod(-1)
            heard = listener((z * said.unsqueeze(-1)).flatten(-2))
            scores = torch.einsum("...bd,bcd->...bc", heard, looker(shown))
            return wrong(scores, meant) + 0.05 * said.sum(-1)

        return sender(shown[torch.arange(count), meant]).unflatten(-1, (4, 8)), f

    train([sender, listener, looker], lambda: way(*round_of(x, 64)), steps)
    logits, f = round_of(x_test, 2000)
    return f(Categorical(logits).sample(4)).mean().item()


def bandit(way: Way, steps: int) -> float:
    x, y, x_test, y_test = images()
    policy = network(64, 30)

    def f(z: Tensor, classes: Tensor) -> Tensor:
        right = z.argmax(-1) == torch.stack([classes, (3 * classes + 1) % 10, 9 - classes], -1)
        return -right.sum(-1) / 6 - 0.5 * right.all(-1)

    def loss() -> Tensor:
        rows = torch.randint(len(x), (64,))
        return way(policy(x[rows]).unflatten(-1, (3, 10)), lambda z: f(z, y[rows]))

    train([policy], loss, steps)
    return f(Categorical(policy(x_test).unflatten(-1, (3, 10))).sample(8), y_test).mean().item()


def sums(way: Way, steps: int) -> float:
    x, y, x_test, y_test = images()
    reader = network(64, 10)

    def loss() -> Tensor:
        pairs = torch.randint(len(x), (64, 2))
        total = y[pairs].sum(-1)

        def f(z: Tensor) -> Tensor:
            return (z.argmax(-1).sum(-1) != total).float()

        return way(reader(x[pairs]), f)

    train([reader], loss, steps)
    return (reader(x_test).argmax(-1) != y_test).float().mean().item()


def skills(way: Way, steps: int) -> float:
    generator = torch.Generator().manual_seed(7)
    needs = (torch.rand(40, 6, generator=generator) < 0.35).float()
    has = (torch.rand(3000, 6, generator=generator) < 0.5).float()
    chance = 0.2 + 0.65 * ((1 - has) @ needs.T == 0)
    answers = (torch.rand(3000, 40, generator=generator) < chance).float()
    encoder, decoder = network(40, 6), nn.Linear(6, 40)

    def model(x: Tensor) -> tuple[Tensor, Loss]:
        def f(z: Tensor) -> Tensor:
            output = decoder(z[..., 1])
            return F.binary_cross_entropy_with_logits(
                output, x.expand_as(output), reduction="none"
            ).sum(-1)

        weights = encoder(x)
        return torch.stack([torch.zeros_like(weights), weights], -1), f

    def loss() -> Tensor:
        logits, f = model(answers[torch.randint(500, 3000, (64,))])
        return way(logits, f) + Categorical(logits).kl_to_uniform()

    train([encoder, decoder], loss, steps, rate=1e-2)
    logits, f = model(answers[:500])
    q = Categorical(logits)
    return (Exact()(q, f).loss + q.kl_to_uniform()).mean().item()


def spins(way: Way, steps: int) -> float:
    couplings = torch.randn(40, 40, generator=torch.Generator().manual_seed(0)).triu(1)
    logits = nn.Linear(1, 16 * 40 * 2, bias=False)  # 16 starts
    nn.init.normal_(logits.weight, std=0.01)

    def energy(z: Tensor) -> Tensor:
        spin = 2 * z[..., 1] - 1
        return ((spin @ couplings) * spin).sum(-1)

    def potentials() -> Tensor:
        return logits(torch.ones(1)).view(16, 40, 2)

    train([logits], lambda: way(potentials(), energy), steps, rate=0.1)
    return energy(Categorical(potentials()).mode()).mean().item()


TASKS: dict[str, tuple[Callable[[Way, int], float], int]] = {
    "experts": (experts, 600),
    "gates": (gates, 600),
    "code": (code, 600),
    "game": (game, 600),
    "bandit": (bandit, 400),
    "sums": (sums, 600),
    "skills": (skills, 500),
    "spins": (spins, 300),
}


def result(task: str, way: str, seed: int, steps: int | None) -> str:
    function, usual = TASKS[task]
    torch.manual_seed(seed)
    try:
        return f"{function(WAYS[way](), usual if steps is None else steps):.3f}"
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        return "–"  # no derivative to go through


def main() -> None:
    """Train and print."""
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=tuple(TASKS), metavar="TASK")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=None, help="of every training")
    parser.set_defaults(threads=1)
    options = parse(parser)
    for task in options.only:
        print(f"{task}, seeds 0 to {options.seeds - 1}", flush=True)
        for way in WAYS:
            found = [result(task, way, seed, options.steps) for seed in range(options.seeds)]
            print(f"  {way:24}" + "".join(f"{each:>10}" for each in found), flush=True)


if __name__ == "__main__":
    main()
