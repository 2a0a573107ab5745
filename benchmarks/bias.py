"""Where the bias of an estimator on coupled binary variables comes from.

    OMP_NUM_THREADS=1 python benchmarks/bias.py [--draws 20000] [--seed 0]

Random `PairwiseBinary` problems (n = 4 and 8; attractive, repulsive and mixed couplings; weak and
strong) with two losses: a random two-layer network of z, and a `Reconstruction` by a random
decoder. Each estimator's mean gradient by h_i(1) − h_i(0) and h_ij is compared with

    a  the gradient of E[f(z*)], z* = argmax h(z) + Σ_i γ_i(z_i) (perturb-and-MAP), and
    b  the gradient of E_q[f] under the Gibbs distribution, by `Exact`.

"f̃" is `Direct` as it is, with the loss replaced by its single changes; "f" is the same with the
loss itself inside the argmax, by a search over all states that is written here. So the difference
between f̃ and f is what the replacement costs, the bias of f is what ε costs, and the bias of
`ClampedArgmax` against b is what perturb-and-MAP costs.

Truth (a) is the mean of many draws of `ClampedArgmax`; a finite difference of E[f(z*)] along it, by
plain samples under common noise, checks it. Biases are ‖mean − truth‖/‖truth‖, with the part that
is due to the number of draws taken out, ± its size; variances are of one draw, Σ var/‖truth a‖².
"""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common import command_line, parse
from directmax import ClampedArgmax, Decoder, Direct, Exact, PairwiseBinary, Reconstruction
from directmax.distributions import enumerate_states
from directmax.objectives import state_losses
from directmax.solvers import pair_products

TINY = "--draws 20 --truth-draws 40 --variables 3 --couplings weak"
EPSILONS = (0.02, 0.1, 0.5, 1.0, "auto")
SIGNS = ("attractive", "repulsive", "mixed")
COUPLINGS = {"weak": 0.5, "strong": 2.5}


@dataclass
class Problem:
    """One distribution and the losses of all its states."""

    unary: Tensor
    """`(1, n, 2)`."""
    pairwise: Tensor
    """`(1, P)`."""
    losses: Tensor
    """`(2^n,)`, in the order of `enumerate_states`."""

    @property
    def n(self) -> int:
        return self.unary.shape[1]

    def objective(self, z: Tensor) -> Tensor:
        """f by looking it up."""
        place = 2 ** torch.arange(self.n - 1, -1, -1)
        return self.losses[(z[..., 1].long() * place).sum(-1)]

    def copies(self, draws: int) -> tuple[Tensor, Tensor]:
        """The potentials of as many equal problems, with gradient."""
        unary, pairwise = self.unary.expand(draws, -1, -1), self.pairwise.expand(draws, -1)
        return unary.clone().requires_grad_(), pairwise.clone().requires_grad_()


def random_problem(n: int, sign: str, coupling: float, loss: str, seed: int) -> Problem:
    """Couplings of about `coupling`, and fields that leave every variable undecided."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    pairwise = coupling * normal(1, n * (n - 1) // 2)
    if sign != "mixed":
        pairwise = pairwise.abs() * (1 if sign == "attractive" else -1)
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[tuple(torch.triu_indices(n, n, 1))] = pairwise[0]
    field = 0.5 * normal(n) - (matrix + matrix.T).sum(0) / 2
    unary = torch.stack([torch.zeros_like(field), field], -1)[None]
    if loss == "network":
        first, bias, last = normal(2 * n, 16), normal(16), normal(16)
        states = enumerate_states(n, 2, dtype=torch.float64)
        losses = torch.tanh(states.flatten(1) @ first + bias) @ last
    else:
        decoder = Decoder(n, 2, 64, hidden=32).double()
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.copy_(normal(*parameter.shape) / math.sqrt(parameter.shape[-1]))
        image = (normal(1, 64) > 0).double()
        losses = state_losses(Reconstruction(decoder, image), (1, n, 2))[0].detach()
    return Problem(unary, pairwise, losses)


def gradients(estimator: nn.Module, problem: Problem, draws: int, generator: object) -> Tensor:
    """One draw's gradient a row, `(draws, n + P)`."""
    unary, pairwise = problem.copies(draws)
    q = PairwiseBinary(unary, pairwise, validate=False)
    loss = estimator(q, problem.objective, generator=generator).loss.sum()
    by_unary, by_pairs = torch.autograd.grad(loss, [unary, pairwise])
    return torch.cat([by_unary[..., 1], by_pairs], -1)


def with_the_loss_itself(
    epsilon: float | str, two_sided: bool, problem: Problem, draws: int, generator: object
) -> Tensor:
    """The direct gradient with argmax h + γ ∓ ε f over all states, `(draws, n + P)`."""
    q = PairwiseBinary(*problem.copies(draws), validate=False)
    noise = q.noise(1, generator=generator)[0]  # (draws, n, 2)
    bits = enumerate_states(problem.n, 2, dtype=torch.float64)[..., 1]
    features = torch.cat([bits, pair_products(bits)], -1)  # (K, n + P)
    field = problem.unary[..., 1] - problem.unary[..., 0]
    score = torch.cat([field, problem.pairwise], -1) @ features.T  # (1, K)
    score = score + (noise[..., 1] - noise[..., 0]) @ bits.T  # (draws, K)
    best = score.argmax(-1)
    if epsilon == "auto":  # as in Direct: one over the deviation of single changes
        place = 2 ** torch.arange(problem.n - 1, -1, -1)
        flipped = problem.losses[best[:, None] ^ place]  # (draws, n)
        change = (flipped - problem.losses[best][:, None]) / 2
        step = 1 / change.square().mean(-1, keepdim=True).sqrt()
    else:
        step = torch.full((len(score), 1), epsilon, dtype=torch.float64)
    lower = features[(score - step * problem.losses).argmax(-1)]
    if two_sided:
        return (features[(score + step * problem.losses).argmax(-1)] - lower) / (2 * step)
    return (features[best] - lower) / step


def truths(problem: Problem, draws: int, generator: object) -> tuple[Tensor, Tensor, float, float]:
    """Gradients (a) and (b), the standard error of (a), and how far a finite difference is off."""
    parts = [gradients(ClampedArgmax(), problem, draws // 8, generator) for _ in range(8)]
    found = torch.cat(parts)
    truth = found.mean(0)
    error = float((found.var(0).sum() / len(found)).sqrt() / truth.norm())
    gibbs = gradients(Exact(), problem, 1, generator)[0]
    # Along (a), E[f(z*)] should change by ‖a‖ a unit.
    direction, step = truth / truth.norm(), 0.1
    copies = draws * 5 // 8
    noise = PairwiseBinary(*problem.copies(copies), validate=False).noise(1, generator=generator)
    ends = []
    for sign in (1, -1):
        unary, pairwise = problem.unary.clone(), problem.pairwise.clone()
        unary[0, :, 1] += sign * step * direction[: problem.n]
        pairwise[0] += sign * step * direction[problem.n :]
        moved = Problem(unary, pairwise, problem.losses)
        q = PairwiseBinary(*moved.copies(copies), validate=False)
        ends.append(problem.objective(q.argmax(noise))[0])
    slope = (ends[0] - ends[1]) / (2 * step)
    off = (slope.mean() - truth.norm()) / (slope.std() / len(slope) ** 0.5)
    return truth, gibbs, error, float(off)


def debiased(draws: Tensor, truth: Tensor) -> tuple[float, float]:
    """‖mean − truth‖/‖truth‖ without the part that the draws' noise adds, and that part."""
    noise = draws.var(0).sum() / len(draws)
    square = (draws.mean(0) - truth).square().sum() - noise
    return tuple(float(x.clamp_min(0).sqrt() / truth.norm()) for x in (square, noise))


def estimators() -> dict[str, Callable[..., Tensor]]:
    """Name to a function of a problem, a number of draws and a generator."""
    table: dict[str, Callable[..., Tensor]] = {
        "clamped argmax": lambda *arguments: gradients(ClampedArgmax(), *arguments)
    }
    for two_sided in (False, True):
        for epsilon in EPSILONS:
            sides = "two-sided" if two_sided else "one-sided"
            table[f"direct {sides} ε={epsilon} f̃"] = lambda *arguments, e=epsilon, t=two_sided: (
                gradients(Direct(e, two_sided=t), *arguments)
            )
            table[f"direct {sides} ε={epsilon} f"] = lambda *arguments, e=epsilon, t=two_sided: (
                with_the_loss_itself(e, t, *arguments)
            )
    return table


def group(title: str, problems: list[Problem], options: Namespace) -> float:
    """Print a table of problems that differ by the sign of their couplings.

    Returns:
        How far the finite differences are from truth (a), in standard errors.
    """
    truth = [
        truths(problem, options.truth_draws, torch.Generator().manual_seed(options.seed))
        for problem in problems
    ]
    print(f"\n{title}")
    spread = [float(p.losses.std()) for p in problems]
    print("deviation of f over states: " + ", ".join(f"{x:.2g}" for x in spread))
    print(f"{'':27s}" + "".join(f"{sign:>34s}" for sign in SIGNS))
    print(f"{'':27s}" + f"{'bias to a':>14s}{'to b':>9s}{'variance':>11s}" * 3)
    cells = []
    for a, b, error, _ in truth:
        apart = float((a - b).norm() / b.norm())
        cells.append(f"{f'±{error:.3f}':>14s}{apart:9.2f}{'':11s}")
    print(f"{'truth a':27s}" + "".join(cells))
    for name, run in estimators().items():
        cells = []
        for problem, (a, b, _, _) in zip(problems, truth, strict=True):
            draws = run(problem, options.draws, torch.Generator().manual_seed(options.seed + 1))
            to_a, noise = debiased(draws, a)
            variance = float(draws.var(0).sum() / a.square().sum())
            bias = f"{to_a:.3f} ±{noise:.3f}"
            cells.append(f"{bias:>14s}{debiased(draws, b)[0]:9.2f}{variance:11.3g}")
        print(f"{name:27s}" + "".join(cells))
    return max(abs(off) for *_, off in truth)


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--truth-draws", type=int, default=160_000)
    parser.add_argument("--variables", type=int, nargs="+", default=(4, 8))
    parser.add_argument("--couplings", nargs="+", choices=COUPLINGS, default=tuple(COUPLINGS))
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(threads=1)
    options = parse(parser)
    began, worst = time.perf_counter(), 0.0
    for loss in ("network", "reconstruction"):
        for n in options.variables:
            for strength in options.couplings:
                problems = []
                for number, sign in enumerate(SIGNS):
                    seed = 100 * options.seed + 10 * number + n
                    problems.append(random_problem(n, sign, COUPLINGS[strength], loss, seed))
                title = f"{loss}, n = {n}, {strength} couplings"
                worst = max(worst, group(title, problems, options))
    print(
        f"\nfinite differences agree with truth a within {worst:.1f} standard errors; "
        f"{time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
