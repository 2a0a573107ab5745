"""Runs in wandb and mlflow, where these are installed; both can only add, never take back.

Epochs of a start that may not be continued are under `starts/`; those of the one that is are logged
again by their own names when that is known.
"""

from __future__ import annotations

import importlib.util
import io
import os
import uuid
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from directmax.tool.files import RunError, read_json, reading, write_json
from directmax.tool.look.content import Picture
from directmax.tool.run.logger import Logger, hyperparameters, numbers, results

PROJECT = "directmax"


class Service(Logger):
    """A service that keeps runs by a name of its own, which the run folder remembers."""

    remote = True
    name: str
    extra: str

    @classmethod
    def missing(cls) -> str | None:
        """The package."""
        found = importlib.util.find_spec(cls.name)
        return None if found else f"{cls.name}: pip install 'directmax[{cls.extra}]'"

    def open(self, epochs_done: int) -> None:
        """Begin, or continue the service's run."""
        self.finished = False
        try:
            self._begin(self._known())
        except RunError:
            raise
        except Exception as error:  # whatever the service says
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise RunError(
                f"cannot log to {self.name} ({reason}): mend it and add --resume, or leave --log "
                f"{self.name} out"
            ) from error

    def add(self, line: dict[str, Any]) -> None:
        """Log an epoch."""
        undecided = "start" in line and line["epoch"] <= self.config.start_epochs
        self._log(line, f"starts/{line['start'] + 1}/" if undecided else "")

    def restart(self, lines: list[dict[str, Any]]) -> None:
        """Log the epochs of the start that is continued."""
        for line in lines:
            self._log(line, "")

    def finish(self, summary: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
        """Log results and pictures."""
        images = {each.name: _image(each.png) for each in pictures if each.png is not None}
        self._finish(results(summary), images)
        self.finished = True

    def _log(self, line: Mapping[str, Any], prefix: str) -> None:
        values = {f"{prefix}{tag}": number for tag, number in numbers(line)}
        self._add(values, line["epoch"])

    def _known(self) -> str | None:
        """What the service called the run when it began; None: it begins now."""
        file = self.folder.path / f"{self.name}.json"
        if not file.exists():
            return None
        record = read_json(file)
        with reading(file):
            return str(record["id"])

    def _remember(self, run: str) -> None:
        write_json(self.folder.path / f"{self.name}.json", {"id": run})

    @abstractmethod
    def _begin(self, known: str | None) -> None: ...

    @abstractmethod
    def _add(self, values: dict[str, float], epoch: int) -> None: ...

    @abstractmethod
    def _finish(self, values: dict[str, float], images: Mapping[str, Any]) -> None: ...


class WandbLogger(Service):
    """A run of Weights & Biases, by epoch; the project is $WANDB_PROJECT, else directmax."""

    name = extra = "wandb"
    _run: Any = None

    def _begin(self, known: str | None) -> None:
        import wandb

        self._wandb = wandb
        run = known or uuid.uuid4().hex[:12]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=self.folder.path.name,
            id=run,
            resume="allow",
            dir=str(self.folder.path),
            config=hyperparameters(self.config),
        )
        self._run.define_metric("*", step_metric="epoch")
        self._remember(run)

    def _add(self, values: dict[str, float], epoch: int) -> None:
        self._run.log({**values, "epoch": epoch})

    def _finish(self, values: dict[str, float], images: Mapping[str, Any]) -> None:
        if images:
            self._run.log({name: self._wandb.Image(image) for name, image in images.items()})
        self._run.summary.update(values)

    def close(self) -> None:
        """End the run of the service."""
        if self._run is not None:
            run, self._run = self._run, None
            run.finish(exit_code=0 if self.finished else 1)


class MlflowLogger(Service):
    """A run of mlflow, where $MLFLOW_TRACKING_URI says, or mlflow's default.

    The experiment is $MLFLOW_EXPERIMENT_NAME, else directmax. No run of the caller's is touched.
    """

    name = extra = "mlflow"
    _run: str | None = None

    def _begin(self, known: str | None) -> None:
        import mlflow

        self._client = mlflow.MlflowClient()
        if known is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            found = self._client.get_experiment_by_name(name)
            experiment = found.experiment_id if found else self._client.create_experiment(name)
            made = self._client.create_run(experiment, run_name=self.folder.path.name)
            known = str(made.info.run_id)
            self._remember(known)
            for key, value in hyperparameters(self.config).items():
                self._client.log_param(known, key, value)
        else:
            self._client.update_run(known, status="RUNNING")
        self._run = known

    def _add(self, values: dict[str, float], epoch: int) -> None:
        for name, number in values.items():
            self._client.log_metric(self._run, name, number, step=epoch)

    def _finish(self, values: dict[str, float], images: Mapping[str, Any]) -> None:
        for name, number in values.items():
            self._client.log_metric(self._run, name, number)
        for name, image in images.items():
            self._client.log_image(self._run, image, f"{name}.png")

    def close(self) -> None:
        """End the run of the service."""
        if self._run is not None:
            run, self._run = self._run, None
            self._client.set_terminated(run, status="FINISHED" if self.finished else "KILLED")


def _image(png: bytes) -> Any:
    return Image.open(io.BytesIO(png)).convert("RGB")
