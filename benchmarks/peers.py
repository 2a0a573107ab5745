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
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import directmax
from directmax import ClampedArgmax, Direct, ImplicitMLE, LabelledDirect, PerturbedArgmax
from directmax.objectives import (
    DecisionTask,
    LinearCost,
    fenchel_young,
    knapsack_task,
    regret,
    shortest_path_task,
    spo_plus,
)
from directmax.structures import Chain, Knapsack, Ranking, Subsets

TINY = "--tiny"
SAMPLES = 3
PEERS = ("pyepo", "ortools", "torch-struct")
Loss = Callable[[Tensor, Tensor], Tensor]  # of predictions and the numbers of the examples
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
) -> tuple[float, float]:
    """The measure on test data of the epoch that is least on validation data, and ms a step."""
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
    return answer, 1e3 * seconds / steps


def decision_losses(task: DecisionTask, costs: Tensor) -> dict[str, Loss]:
    """directmax's ways to learn from costs."""
    z, best = task.structure, task.structure.argmax(-costs)

    def estimated(estimator: Direct) -> Loss:
        return lambda guess, i: estimator(
            PerturbedArgmax(-guess, z), LinearCost(costs[i], binary=True)
        ).loss.mean()

    labelled = LabelledDirect(num_samples=SAMPLES)
    noisy = {"noise": "gumbel", "num_samples": SAMPLES}
    return {
        "least squares": lambda guess, i: ((guess - costs[i]) ** 2).mean(),
        "directmax: SPO+": lambda guess, i: spo_plus(guess, costs[i], z, labels=best[i]).mean(),
        "directmax: perturbed SPO+": lambda guess, i: spo_plus(
            guess, costs[i], z, labels=best[i], **noisy
        ).mean(),
        "directmax: LabelledDirect, c − 2ĉ": lambda guess, i: labelled(
            PerturbedArgmax(costs[i] - 2 * guess, z), best[i].long()
        ).loss.mean(),
        "directmax: perturbed Fenchel–Young": lambda guess, i: fenchel_young(
            -guess, best[i], z, noise="gaussian", num_samples=SAMPLES
        ).mean(),
        "directmax: Direct()": estimated(Direct(num_samples=SAMPLES)),
        "directmax: Direct(scale=30)": estimated(Direct(scale=30.0, num_samples=SAMPLES)),
    }


def pyepo_losses(task: DecisionTask, costs: Tensor) -> dict[str, Loss]:
    """PyEPO's, on its own models with OR-Tools."""
    import pyepo
    from pyepo.model.ort import knapsackModel, shortestPathModel

    structure, sign = task.structure, 1.0
    if isinstance(structure, Knapsack):
        sizes, room = structure.sizes.numpy().reshape(1, -1), structure.capacity.numpy().reshape(1)
        model, sign = knapsackModel(sizes, room), -1.0
    else:
        model = shortestPathModel((5, 5))
    best = structure.argmax(-costs)
    optimum = (best * costs).sum(-1, keepdim=True)
    plus = pyepo.func.SPOPlus(model)
    young = pyepo.func.perturbedFenchelYoung(model, n_samples=SAMPLES, sigma=1.0)
    adaptive = pyepo.func.adaptiveImplicitMLE(model, n_samples=SAMPLES)

    return {
        "PyEPO: SPO+": lambda guess, i: plus(
            sign * guess, sign * costs[i], best[i], sign * optimum[i]
        ),
        "PyEPO: perturbed Fenchel–Young": lambda guess, i: young(sign * guess, best[i]),
        "PyEPO: adaptive implicit MLE": lambda guess, i: (
            (adaptive(sign * guess) * costs[i]).sum(-1).mean()
        ),
    }


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
            losses |= pyepo_losses(task, c)
        model = nn.Linear(x.shape[1], c.shape[1])
        return {
            name: fit(model, x, loss, judge, epochs=epochs, seed=seed, rate=3e-2)
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


def sorting(count: int, epochs: int) -> Callable[[int], Rows]:
    """Ten numbers, from sorted lists: per cent of the ranks that are wrong."""

    def run(seed: int) -> Rows:
        g = torch.Generator().manual_seed(seed)
        parts = {part: torch.rand(count, 10, 1, generator=g) for part in ("train", "valid", "test")}
        ranks = {part: x.squeeze(-1).argsort(-1).argsort(-1) for part, x in parts.items()}
        x, ranking = parts["train"], Ranking(10)
        network = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1))

        def wrong(model: nn.Module, part: str) -> float:
            found = ranking.argmax(model(parts[part]).squeeze(-1)).long()
            return float(100 * (found != ranks[part]).float().mean())

        def ranked(guess: Tensor, i: Tensor) -> Tensor:
            return fenchel_young(guess.squeeze(-1), ranks["train"][i].float(), ranking).mean()

        return {
            "directmax: Fenchel–Young on Ranking": fit(
                network, x, ranked, wrong, epochs=epochs, seed=seed
            ),
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
            name: fit(model, train, loss, wrong, epochs=epochs, seed=seed)
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
    versions = {name: version(name) for name in PEERS}
    for name, found in versions.items():
        print(f"{name}: {found or 'not installed'}")
    results: dict[str, Any] = {}
    for name, (unit, run) in tasks(options.tiny).items():
        if options.only and not name.startswith(tuple(options.only)):
            continue
        runs = [run(seed) for seed in range(1 if options.tiny else options.seeds)]
        command = " ".join(["python", *sys.argv])
        results[name] = {"unit": unit, "command": command, "rows": show(name, unit, runs)}
        if options.json:
            save(options.json, options.seeds, versions, results)


def save(path: Path, seeds: int, versions: dict[str, str | None], results: dict[str, Any]) -> None:
    """Results so far, with what they were made by; those of other tasks in the file stay."""
    if path.exists():
        results = json.loads(path.read_text())["tasks"] | results
    about = {
        "seeds": seeds,
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
