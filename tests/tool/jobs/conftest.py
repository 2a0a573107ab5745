"""A whole reproduction on the digits, small and real, and the report of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from report_folder import ReportFolder

from directmax.tool.config import TrainConfig
from directmax.tool.measure.gradient_request import GradientRequest
from directmax.tool.measure.gradients import measure_gradients
from directmax.tool.paper.report import write_report
from directmax.tool.run import train as run

LONG = "the loss became NaN in step 3 of epoch 2 <script>alert(1)</script> & more"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, and no pictures of runs."""
    monkeypatch.setattr(run, "write_report", lambda *arguments: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report with every item; figure 4 is of a real run, figure 1 measured."""
    folder = ReportFolder(tmp_path_factory.mktemp("reproduction") / "out")
    for stage in ("initialisation", "mid-training"):
        cell = {"data": "digits", "values": 10, "seed": 0, "stage": stage}
        path = folder.add(["figure1"], f"figure1-{stage}", "gradients", {}, cell, state="done")
        if stage == "initialisation":
            _measure(path)
        else:
            measured = path.parent / "figure1-initialisation" / "gradients.json"
            (path / "gradients.json").write_bytes(measured.read_bytes())
    for values in (10, 20):
        for number, method in enumerate(("exact", "direct", "gumbel-softmax", "ours")):
            for seed in (0, 1):
                bound = 165.0 - values / 3 + number + seed / 10
                folder.training(
                    ["table1", "figure2"] if values == 10 else ["table1"],
                    f"table1-mnist-{values}-{method}-{seed}",
                    TrainConfig(data="mnist", values=values, seed=seed, epochs=300).resolve(),
                    bound,
                    curve=[bound + 40.0 / (epoch + 1) for epoch in range(60)],
                    seconds=1.0 + number / 5,
                    stopped_early=method == "exact",
                    method=method,
                )
    for encoder in ("independent", "supermodular", "pairwise"):
        for estimator in ("direct", "rebar" if encoder == "independent" else "clamped-argmax"):
            config = TrainConfig(
                data="fashion-mnist", variables=15, values=2, encoder=encoder, estimator=estimator,
                kl_start=1.0, learning_rate_schedule="constant",
            ).resolve()  # fmt: skip
            folder.training(
                ["figure3"], f"figure3-{encoder}-{estimator}", config, 160.0, nll=150.0,
                encoder=encoder, method=estimator,
            )  # fmt: skip
    mixed = TrainConfig(model="mixed", labels=50, hidden=20, epochs=1, batch_size=400).resolve()
    cell = {"data": "digits", "labels": 50, "method": "direct", "seed": 0}
    path = folder.add(["table2", "figure4"], "mixed", "train", mixed.to_dict(), cell, state="done")
    state = (path / "state.json").read_bytes()
    (path / "state.json").unlink()
    path.rmdir()
    run.train(mixed, path, device="cpu")
    (path / "state.json").write_bytes(state)
    failed = TrainConfig(data="mnist", seed=2).resolve().to_dict()
    folder.add(
        ["table1"], "table1-mnist-10-direct-2", "train", failed, {}, state="failed", error=LONG
    )
    folder.write(needs={"figure5": "figure5 needs CelebA: put it into the data folder"})
    write_report(folder.root)
    return folder.root


def _measure(folder: Path) -> None:
    state = (folder / "state.json").read_bytes()
    (folder / "state.json").unlink()
    request = GradientRequest(
        hidden=20,
        estimators=("direct", "gumbel-softmax", "score-function"),
        epsilons=(0.01, 0.1, 1.0),
        temperatures=(0.2, 1.0),
        sides=("one",),
        draws=20,
        images=10,
        adapt=0,
    )
    measure_gradients(request, device="cpu", output=folder)
    (folder / "state.json").write_bytes(state)
