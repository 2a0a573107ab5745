"""All that wants a GPU, in one program of at most ten minutes; writes one JSON file to send.

    python benchmarks/gpu.py [--device cuda] [--minutes 10] [--file gpu.json]

The tests that are marked gpu; training steps of table 1's methods at paper scale, and the time
that its 300 epochs would take; the same step compiled; several runs on one card; exhaustive search,
chains and subsets. Each part is timed apart; one that fails is in the file with its error, and the
others go on. When time is up, what is left is named as skipped. Runs on a CPU too, to see that it
works.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from common import Step, command_line, interleaved, mnist, model_step, ratio, yardstick
from directmax import Decoder, Direct, DiscreteVAE, Encoder, Estimator, Exact, GumbelSoftmax
from directmax.solvers import Exhaustive
from directmax.structures import Chain, Subsets
from directmax.tool.files import write_atomic
from directmax.tool.run.provenance import environment

TINY = "--device cpu --threads 1 --tiny --file gpu.json"
EPOCHS, IMAGES = 300, 50_000
"""Of table 1, at a batch of 100."""
METHODS: dict[str, Callable[[], Estimator]] = {
    "direct": lambda: Direct(two_sided=True, num_samples=8),
    "gumbel-softmax": GumbelSoftmax,
    "exact": Exact,
}


def model_of(estimator: Estimator, k: int = 10, n: int = 1) -> DiscreteVAE:
    """The paper's networks."""
    torch.manual_seed(0)
    return DiscreteVAE(Encoder(784, n, k), Decoder(n, k, 784), estimator)


def timed(steps: dict[str, Step], options: Namespace) -> dict[str, dict[str, float]]:
    """Milliseconds, and the median ratio to the first."""
    rounds, calls = (2, 1) if options.tiny else (15, 20)
    seconds = interleaved(steps, rounds=rounds, calls=calls, warmup=1 if options.tiny else 5)
    first = next(iter(steps))
    return {
        name: {
            "milliseconds": 1e3 * statistics.median(seconds[name]),
            "ratio": ratio(seconds, name, first)[0],
        }
        for name in steps
    }


def tests(options: Namespace) -> dict[str, Any]:
    """The marked tests, in a process of their own."""
    root = Path(__file__).parents[1]
    words = ["-m", "gpu", "-q", "-p", "no:cacheprovider", *(["--co"] if options.tiny else [])]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(root / "tests")],
        cwd=root, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return {"exit": found.returncode, "end": found.stdout.splitlines()[-15:]}


def table1(options: Namespace) -> dict[str, Any]:
    """Steps of its methods, and the minutes of one training at paper scale."""
    images, sizes = mnist().to(options.device), (10,) if options.tiny else (10, 50)
    result: dict[str, Any] = {}
    for k in sizes:
        steps = {"G": yardstick(images, k)}
        for name, make in METHODS.items():
            steps[name] = model_step(model_of(make(), k), images)
        result[f"k={k}"] = found = timed(steps, options)
        for row in found.values():
            row["minutes a training"] = row["milliseconds"] * EPOCHS * IMAGES / 100 / 6e4
    steps = {"G": yardstick(images, 2, 15)}
    steps |= {
        name: model_step(model_of(METHODS[name](), 2, 15), images)
        for name in ("direct", "gumbel-softmax")
    }
    result["n=15, k=2"] = timed(steps, options)
    return result


def compiled(options: Namespace) -> dict[str, Any]:
    """The step of the direct estimator, as it is and compiled."""
    images = mnist().to(options.device)
    plain, other = (model_of(METHODS["direct"]()).to(options.device) for _ in range(2))
    other.compile(disable=options.tiny)
    began = time.perf_counter()
    step = model_step(other, images)
    step()
    first = time.perf_counter() - began
    found = timed({"eager": model_step(plain, images), "compiled": step}, options)
    return {"seconds of the first step": first, **found}


def several(options: Namespace) -> dict[str, float]:
    """Steps a second of 1, 2 and 4 runs at a time on one card, all together."""
    result = {}
    for runs in (1, 2) if options.tiny else (1, 2, 4):
        command = [sys.executable, __file__, "--device", options.device, "--worker"]
        command += ["--threads", str(options.threads), *(["--tiny"] if options.tiny else [])]
        workers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(runs)
        ]
        answers = [worker.communicate(timeout=120)[0] for worker in workers]
        result[f"{runs} at a time"] = sum(float(each.splitlines()[-1]) for each in answers)
    return result


def worker(options: Namespace) -> None:
    """One of several runs: prints its steps a second."""
    step = model_step(model_of(METHODS["direct"]()), mnist().to(options.device))
    for _ in range(2 if options.tiny else 20):
        step()
    began, count, most = time.perf_counter(), 0, 0.2 if options.tiny else 8.0
    while time.perf_counter() - began < most:
        step()
        count += 1
    if options.device != "cpu":
        torch.cuda.synchronize()
    print(count / (time.perf_counter() - began))


def searches(options: Namespace) -> dict[str, Any]:
    """Batched argmaxes: exhaustive search, chains and subsets; the yardstick is a sort."""
    g, device = torch.Generator().manual_seed(0), options.device
    batch = 8 if options.tiny else 1000

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g).to(device)

    rows = normal(640, 10)
    steps: dict[str, Step] = {"a sort of 640 x 10": lambda: rows.sort(-1)}
    for n in (6,) if options.tiny else (15, 20):
        unary, pairs = normal(batch, n, 2), normal(batch, n * (n - 1) // 2)
        steps[f"exhaustive, n = {n}"] = lambda u=unary, p=pairs: Exhaustive()(u, p)
    chain = Chain(50, 20, normal(20, 20))
    chains = normal(batch, *chain.shape)
    steps["chain, 50 of 20 states"] = lambda: chain.argmax(chains)
    subset = Subsets(10, 5)
    subsets = normal(batch, *subset.shape)
    steps["5 of 10"] = lambda: subset.argmax(subsets)
    return {"batch": batch, **timed(steps, options)}


PARTS: dict[str, Callable[[Namespace], dict[str, Any]]] = {
    "table 1": table1,
    "searches": searches,
    "several runs": several,
    "compiled": compiled,
    "tests": tests,
}


def main() -> None:
    """Run the parts until time is up, and write the file after each; exit code 1 after an error."""
    parser = command_line(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--file", type=Path, default=Path("gpu.json"))
    parser.add_argument("--tiny", action="store_true", help="little of everything")
    parser.add_argument("--worker", action="store_true", help="one of several runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("no CUDA device is found here; --device cpu --tiny shows that it works")
    if options.worker:
        worker(options)
        return
    record: dict[str, Any] = {"device": options.device, **environment(torch.device(options.device))}
    began = time.perf_counter()
    for name, part in PARTS.items():
        at = time.perf_counter()
        if at - began > 60 * options.minutes - 60:
            record[name] = {"skipped": "no time was left"}
        else:
            try:
                record[name] = part(options)
            except Exception as error:
                record[name] = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
            record[name]["seconds"] = time.perf_counter() - at
        write_atomic(options.file, json.dumps(record, indent=1) + "\n")
        print(f"{name}: {json.dumps(record[name])[:2000]}")
    print(f"written to {options.file}")
    failed = [name for name in PARTS if "error" in record[name] or record[name].get("exit")]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
