"""Logs of a run: what they get, that they change nothing, that they survive a resumption."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from command_line import TINY, call, metrics, read, refuse, succeed
from directmax.tool.config import TrainConfig
from directmax.tool.look.content import Picture
from directmax.tool.run import train as run
from directmax.tool.run.loggers import LOGGERS, check_loggers
from directmax.tool.run.loop import Trainer

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
"""One black pixel."""
STARTS = ("--epochs", "3", "--kl-start", "8", "--kl-fraction", "0.34", "--starts", "2")
NAMES = ("csv", "tensorboard", "wandb", "mlflow")


@pytest.fixture(autouse=True)
def _one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a report."""
    monkeypatch.setattr(
        run, "write_report", lambda *arguments: [Picture("codes", "Codes", "", PNG)]
    )


class FakeRun:
    """What is used of a run of wandb."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.logged, self.summary = options, [], {}
        self.ended: int | None = None

    def define_metric(self, name: str, step_metric: str) -> None:
        assert (name, step_metric) == ("*", "epoch")

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def finish(self, exit_code: int) -> None:
        self.ended = exit_code


class FakeClient:
    """What is used of a client of mlflow; all clients share one store."""

    store: Any

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1") if name in self.store.experiments else None

    def create_experiment(self, name: str) -> str:
        self.store.experiments.append(name)
        return "1"

    def create_run(self, experiment: str, run_name: str) -> Any:
        self.store.runs.append(run_name)
        return SimpleNamespace(info=SimpleNamespace(run_id=f"run{len(self.store.runs)}"))

    def update_run(self, run: str, status: str) -> None:
        self.store.status[run] = status

    def log_param(self, run: str, key: str, value: Any) -> None:
        self.store.params[key] = value

    def log_metric(self, run: str, key: str, value: float, step: int = 0) -> None:
        self.store.metrics[key].append((step, value))

    def log_image(self, run: str, image: Any, name: str) -> None:
        self.store.images[name] = image.size

    def set_terminated(self, run: str, status: str) -> None:
        self.store.status[run] = status


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Both services, made up."""
    names = ("params", "status", "images")
    found = SimpleNamespace(wandb=[], experiments=[], runs=[], metrics=defaultdict(list))
    vars(found).update({name: {} for name in names})
    wandb: Any = ModuleType("wandb")

    def init(**options: Any) -> FakeRun:
        found.wandb.append(FakeRun(options))
        return found.wandb[-1]

    wandb.init, wandb.Image = init, lambda image: image.size
    mlflow: Any = ModuleType("mlflow")
    mlflow.MlflowClient = type("Client", (FakeClient,), {"store": found})
    for module in (wandb, mlflow):
        module.__spec__ = SimpleNamespace(name=module.__name__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return found


def test_logs_change_nothing_and_have_every_epoch(
    tmp_path: Path, services: SimpleNamespace
) -> None:
    quiet, logged = tmp_path / "quiet", tmp_path / "logged"
    succeed(*TINY, *STARTS, "--run-dir", quiet)
    succeed(*TINY, *STARTS, "--run-dir", logged, "--log", *NAMES)
    lines = metrics(quiet)
    assert metrics(logged) == lines
    summaries = [read(folder / "summary.json") for folder in (quiet, logged)]
    assert summaries[0]["test"] == summaries[1]["test"]
    chosen = [line for line in lines if line["start"] == lines[-1]["start"]]
    wanted = [(line["epoch"], line["validation"]["bound"]) for line in chosen]

    with (logged / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation/bound"]) for row in rows] == [
        line["validation"]["bound"] for line in lines
    ]
    assert services.metrics["validation/bound"] == wanted
    assert [step for step, _ in services.metrics["starts/1/validation/bound"]] == [1, 2]
    assert services.params["hidden"] == 12
    assert services.images == {"codes.png": (1, 1)}
    assert services.status == {"run1": "FINISHED"}
    (made,) = services.wandb
    plain = [each for each in made.logged if "validation/bound" in each]
    assert [(each["epoch"], each["validation/bound"]) for each in plain] == wanted
    assert made.options["config"]["hidden"] == 12
    assert made.options["config"]["likelihood"] == "bernoulli"  # not what files have in its place
    assert "label_weight" not in made.options["config"]
    assert made.summary["final/test/bound"] == summaries[0]["test"]["bound"]
    assert made.ended == 0


def stopped_after_two(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """A run that is interrupted once its second epoch has ended."""

    def stop(trainer: Trainer, *rest: Any, epochs: Any = Trainer._run_epoch) -> None:
        epochs(trainer, *rest)
        if trainer.position.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_run_epoch", stop)
        assert call(*arguments).code == 130


@pytest.mark.usefixtures("every_epoch_saved")
def test_a_run_that_is_continued_is_the_same_one(
    tmp_path: Path, services: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    arguments = (*TINY, "--epochs", "3", "--run-dir", folder, "--log", *NAMES)

    stopped_after_two(monkeypatch, *arguments)
    assert services.status == {"run1": "KILLED"}
    assert services.wandb[0].ended == 1
    succeed(*arguments, "--resume")
    assert services.status == {"run1": "FINISHED"}
    assert [step for step, _ in services.metrics["validation/bound"]] == [1, 2, 3]
    first, second = services.wandb
    assert first.options["id"] == second.options["id"]
    assert [each["epoch"] for each in second.logged if "epoch" in each] == [3]
    assert (folder / "metrics.csv").read_text().count("\n") == 4


def test_services_have_what_is_saved(
    tmp_path: Path, services: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch that a crash loses is not there twice when it is repeated."""
    arguments = (*TINY, "--epochs", "3", "--run-dir", tmp_path / "run", "--log", *NAMES)

    stopped_after_two(monkeypatch, *arguments)
    succeed(*arguments, "--resume")
    assert [step for step, _ in services.metrics["validation/bound"]] == [1, 2, 3]
    logged = [[each["epoch"] for each in run.logged if "epoch" in each] for run in services.wandb]
    assert logged == [[1], [2, 3]]


def test_a_service_that_fails_does_not_end_a_run(
    tmp_path: Path, services: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(FakeRun, "log", fail)
    outcome = call(*TINY, "--run-dir", tmp_path / "run", "--log", "wandb", "csv")
    assert outcome.code == 0
    assert outcome.message.startswith("wandb failed and is left out (ConnectionError: no network)")
    assert (tmp_path / "run" / "metrics.csv").exists()
    monkeypatch.setattr(sys.modules["wandb"], "init", fail)
    message = refuse(*TINY, "--run-dir", tmp_path / "second", "--log", "wandb")
    assert message.startswith("cannot log to wandb (ConnectionError: no network)")


def test_pictures_and_settings_in_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    succeed(*TINY, "--run-dir", tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "events")).Reload()
    assert events.Tags()["images"] == ["codes"]
    assert "final/test/bound" in events.Tags()["scalars"]
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    data = HParamsPluginData.FromString(content)
    assert data.session_start_info.hparams["hidden"].number_value == 12


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb", "mlflow"):
        monkeypatch.setattr(
            LOGGERS[name], "missing", classmethod(lambda cls: f"{cls.name}: pip install it")
        )
        message = refuse(*TINY, "--run-dir", tmp_path / "run", "--log", name)
        assert message.startswith(f"--log {name} needs {name}: pip install it")
    assert "did you mean 'wandb'?" in refuse(
        *TINY, "--run-dir", tmp_path / "run", "--log", "wandbb"
    )
    assert not (tmp_path / "run").exists()
    assert check_loggers(("csv", "csv")) == ("csv",)
    with pytest.raises(TypeError, match="list of words"):
        run.train(TrainConfig(), tmp_path / "run", log="csv")
