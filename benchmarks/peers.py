"""The tasks of PyEPO and torch-struct with directmax beside them: same data, machine and run.

Peers that are not installed are left out and said to be. Best epoch by validation; milliseconds a
step are of the training loop, without validation.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import directmax
from directmax import ClampedArgmax, Direct, ImplicitMLE, PerturbedArgmax
from directmax.gumbel import sample_gumbel
from directmax.objectives import (
    DecisionTask,
    fenchel_young,
    knapsack_task,
    regret,
    shortest_path_task,
)
from directmax.structures import Chain, Matching, Ranking, Subsets
from peers_decisions import Loss, decision_losses, pyepo_losses

TINY = "--tiny"
PEERS = ("pyepo", "ortools", "torch-struct")
Rows = dict[str, tuple[float, float]]  # by method: what is measured, and milliseconds a step


def version(package: str) -> str | None:
    """Of an installed package; None without it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def fit(
    model: nn.Module,
    x: Tensor,
    loss: Loss,
    judge: Callable[[nn.Module, str], float],
    *,
    epochs: int,
    seed: int,
    rate: float = 1e-2,
) -> tuple[float, float, float]:
    """The measure of the best epoch on validation data, on test data then, and ms a step."""
    torch.manual_seed(seed)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    best, answer, seconds, steps = float("inf"), float("inf"), 0.0, 0
    for _ in range(epochs):
        began = time.perf_counter()
        for index in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            loss(model(x[index]), index).backward()
            optimizer.step()
            steps += 1
        seconds += time.perf_counter() - began
        with torch.no_grad():
            now = judge(model, "valid")
            if now < best:
                best, answer = now, judge(model, "test")
    return best, answer, 1e3 * seconds / steps


def decisions(make: Callable[..., DecisionTask], degree: int, n: int, epochs: int) -> Any:
    """A task: relative regret in per cent, by seed."""

    def run(seed: int) -> Rows:
        g = torch.Generator().manual_seed(seed)
        tests = min(1000, 2 * n)
        task = make(n + n // 4 + tests, degree=degree, noise=0.5, generator=g)
        sizes = [n, n // 4, tests]
        parts = dict(
            zip(
                ("train", "valid", "test"),
                zip(task.features.split(sizes), task.costs.split(sizes), strict=True),
                strict=True,
            )
        )

        def judge(model: nn.Module, part: str) -> float:
            x, c = parts[part]
            optimum = (task.structure.argmax(-c) * c).sum().abs()
            return float(100 * regret(model(x), c, task.structure).sum() / optimum)

        x, c = parts["train"]
        losses = decision_losses(task, c)
        if version("pyepo") and version("ortools"):
            losses |= pyepo_losses(task, x, c)
        model = nn.Linear(x.shape[1], c.shape[1])
        return {
            name: fit(model, x, loss, judge, epochs=epochs, seed=seed, rate=3e-2)[1:]
            for name, loss in losses.items()
        }

    return run


def subset(steps: int) -> Callable[[int], Rows]:
    """E‖z − b‖² of 5 of 10 elements above the least, after so many steps of one draw."""
    fives = Subsets(10, 5)

    def run(seed: int) -> Rows:
        target = torch.rand(10, generator=torch.Generator().manual_seed(seed))
        least = float(((fives.argmax(target[None]) - target) ** 2).sum())

        def distance(z: Tensor) -> Tensor:
            return ((z[..., 1] - target) ** 2).sum(-1)

        rows = {}
        for name, estimator in {
            "directmax: clamped argmax": ClampedArgmax(),
            "directmax: direct, two-sided": Direct(two_sided=True),
            "directmax: implicit MLE": ImplicitMLE(),
        }.items():
            torch.manual_seed(seed)
            weights = torch.zeros(1, 10, requires_grad=True)
            optimizer = torch.optim.Adam([weights], lr=0.1)
            began = time.perf_counter()
            for _ in range(steps):
                optimizer.zero_grad()
                estimator(PerturbedArgmax(weights, fives), distance).loss.sum().backward()
                optimizer.step()
            spent = 1e3 * (time.perf_counter() - began) / steps
            drawn = PerturbedArgmax(weights.detach(), fives).sample(5000)
            rows[name] = float(distance(drawn).mean()) - least, spent
        return rows

    return run


def sinkhorn(scores: Tensor, rounds: int = 20) -> Tensor:
    """A doubly stochastic matrix near exp(scores), `(b, n, n)`."""
    for _ in range(rounds):
        scores = scores - scores.logsumexp(-1, keepdim=True)
        scores = scores - scores.logsumexp(-2, keepdim=True)
    return scores.exp()


def sorting(count: int, epochs: int) -> Callable[[int], Rows]:
    """Ten numbers, from sorted lists: per cent of the ranks that are wrong.

    Gumbel–Sinkhorn as in Mena et al. 2018, section 4.1, with the temperature and the learning rate
    of the least error on validation data, then of the least time.
    """

    def run(seed: int) -> Rows:
        g = torch.Generator().manual_seed(seed)
        parts = {part: torch.rand(count, 10, 1, generator=g) for part in ("train", "valid", "test")}
        ranks = {part: x.squeeze(-1).argsort(-1).argsort(-1) for part, x in parts.items()}
        x, ranking = parts["train"], Ranking(10)
        ordered = x.sort(1).values
        shape = {"epochs": epochs, "seed": seed}
        network = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1))
        wide = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 10))

        def wrong(model: nn.Module, part: str) -> float:
            found = ranking.argmax(model(parts[part]).squeeze(-1)).long()
            return float(100 * (found != ranks[part]).float().mean())

        def mismatched(model: nn.Module, part: str) -> float:
            found = Matching(10).argmax(model(parts[part])).argmax(-1)
            return float(100 * (found != ranks[part]).float().mean())

        def ranked(guess: Tensor, i: Tensor) -> Tensor:
            return fenchel_young(guess.squeeze(-1), ranks["train"][i].float(), ranking).mean()

        def soft(temperature: float) -> Loss:
            def loss(guess: Tensor, i: Tensor) -> Tensor:
                noisy = (guess + sample_gumbel(guess.shape)) / temperature
                return ((sinkhorn(noisy).mT @ x[i] - ordered[i]) ** 2).mean()

            return loss

        tried = [
            fit(wide, x, soft(temperature), mismatched, rate=rate, **shape)
            for temperature in (0.1, 0.3, 1.0)
            for rate in (3e-3, 1e-2, 3e-2)
        ]
        return {
            "directmax: Fenchel–Young on Ranking": fit(network, x, ranked, wrong, **shape)[1:],
            "Gumbel–Sinkhorn, tuned": min(tried, key=lambda t: (t[0], t[2]))[1:],
        }

    return run


class Tagger(nn.Module):
    """Scores of tags from noisy observations, and transitions."""

    def __init__(self, symbols: int, tags: int) -> None:
        super().__init__()
        self.emission = nn.Linear(symbols, tags)
        self.transitions = nn.Parameter(torch.zeros(tags, tags))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.transitions)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.emission(x)
        return scores


def tagging(count: int, epochs: int) -> Callable[[int], Rows]:
    """Tags of a Markov chain from symbols: per cent of the tags that are wrong."""
    length, tags, symbols = 20, 8, 16

    def run(seed: int) -> Rows:
        g = torch.Generator().manual_seed(seed)
        move = (3 * torch.randn(tags, tags, generator=g)).softmax(-1)
        emit = (2 * torch.randn(tags, symbols, generator=g)).softmax(-1)
        state = torch.randint(tags, (3 * count,), generator=g)
        path = []
        for _ in range(length):
            path.append(state)
            state = move[state].multinomial(1, generator=g).squeeze(-1)
        y = torch.stack(path, 1)
        seen = emit[y.flatten()].multinomial(1, generator=g).view(y.shape)
        x, z = torch.eye(symbols)[seen], torch.eye(tags)[y]
        where = dict(zip(("train", "valid", "test"), torch.arange(3 * count).chunk(3), strict=True))
        model = Tagger(symbols, tags)

        def wrong(model: nn.Module, part: str) -> float:
            chain = Chain(length, tags, model.transitions.detach())
            found = chain.argmax(model(x[where[part]]))
            return float(100 * (found != z[where[part]]).any(-1).float().mean())

        def ours(guess: Tensor, i: Tensor) -> Tensor:
            return -Chain(length, tags, model.transitions).log_prob(guess, z[i]).mean()

        def perceptron(guess: Tensor, i: Tensor) -> Tensor:
            return fenchel_young(guess, z[i], Chain(length, tags, model.transitions)).mean()

        def theirs(guess: Tensor, i: Tensor) -> Tensor:
            from torch_struct import LinearChainCRF

            # Of place t + 1 and t: (b, n − 1, to, from); the first place has its scores in t = 0.
            scores = guess[:, 1:, :, None] + model.transitions.T
            first = nn.functional.pad(guess[:, :1, None, :], (0, 0, 0, 0, 0, length - 2))
            chain = LinearChainCRF((scores + first).contiguous())
            event = z[i][:, 1:, :, None] * z[i][:, :-1, None, :]
            return -chain.log_prob(event.contiguous()).mean()

        losses = {
            "directmax: log_prob of Chain": ours,
            "directmax: perturbed Fenchel–Young": perceptron,
        }
        if version("torch-struct"):
            losses["torch-struct: LinearChainCRF"] = theirs
        train = x[where["train"]]
        return {
            name: fit(model, train, loss, wrong, epochs=epochs, seed=seed)[1:]
            for name, loss in losses.items()
        }

    return run


def tasks(tiny: bool) -> dict[str, tuple[str, Callable[[int], Rows]]]:
    """By name: the unit, and what runs it for a seed."""
    n, epochs = (64, 1) if tiny else (1000, 5)
    few = 64 if tiny else 320
    return {
        "shortest path, degree 4": ("regret, %", decisions(shortest_path_task, 4, n, epochs)),
        "shortest path, degree 6": ("regret, %", decisions(shortest_path_task, 6, n, epochs)),
        "knapsack, degree 4": ("regret, %", decisions(knapsack_task, 4, few, 1 if tiny else 5)),
        "5 of 10": ("above the least", subset(3 if tiny else 200)),
        "sorting ten numbers": ("ranks wrong, %", sorting(n, 4 * epochs)),
        "tagging": ("tags wrong, %", tagging(n // 2, epochs)),
    }


def show(name: str, unit: str, seeds: list[Rows]) -> list[dict[str, Any]]:
    """Print a table, times as ratios to its first directmax line; and return its rows."""
    print(f"\n{name}: {unit}\n{'':38s} {'mean':>8s} {'sd':>6s} {'ms':>8s} {'ratio':>6s}")
    rows, base = [], None
    for method in seeds[0]:
        values = [run[method][0] for run in seeds]
        spent = statistics.median(run[method][1] for run in seeds)
        base = spent if base is None and method.startswith("directmax") else base
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        ratio = spent / base if base else 0.0
        mean = statistics.mean(values)
        shown = f"{ratio:6.1f}" if base else f"{'':6s}"
        print(f"{method:38s} {mean:8.2f} {spread:6.2f} {spent:8.2f} {shown}")
        rows.append(
            {"method": method, "by_seed": [round(v, 4) for v in values], "ms": round(spent, 3)}
        )
    return rows


def main() -> None:
    """All tasks, or those named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="beginnings of the tasks' names")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--tiny", action="store_true", help="one seed, few problems")
    options = parser.parse_args()
    torch.set_num_threads(1)
    about = {"command": " ".join(["python", *sys.argv]), "commit": commit()}
    versions = {name: version(name) for name in PEERS}
    for name, found in versions.items():
        print(f"{name}: {found or 'not installed'}")
    results: dict[str, Any] = {}
    for name, (unit, run) in tasks(options.tiny).items():
        if options.only and not name.startswith(tuple(options.only)):
            continue
        runs = [run(seed) for seed in range(1 if options.tiny else options.seeds)]
        results[name] = {"unit": unit, "rows": show(name, unit, runs)}
        if options.json:
            save(options.json, about | {"seeds": options.seeds}, versions, results)


def commit() -> str | None:
    """Of the checkout, with a + where files differ from it; None outside of one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True)
    except OSError:
        return None
    return (found.stdout.strip() + "+" * bool(changed.stdout)) or None


def save(
    path: Path, about: dict[str, Any], versions: dict[str, str | None], results: dict[str, Any]
) -> None:
    """Results so far, with what they were made by."""
    about |= {
        "versions": {"directmax": directmax.__version__, "torch": torch.__version__} | versions,
        "machine": f"{platform.machine()}, {platform.system()}, one thread, shared with others",
    }
    temporary = path.with_suffix(".part")
    temporary.write_text(
        json.dumps(about | {"tasks": results}, indent=1, ensure_ascii=False) + "\n"
    )
    temporary.rename(path)


if __name__ == "__main__":
    main()
