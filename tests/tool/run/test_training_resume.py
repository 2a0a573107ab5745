"""Kill it, stop it, let it crash at any point: the resumed run ends as the undisturbed one."""

from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from disturbances import at_call, crash, interrupt, kill, weights
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from command_line import STEPS, TINY, Forked, call, metrics, read, refuse, succeed
from directmax.tool import files
from directmax.tool.run import checkpoint, loop, state
from directmax.tool.run import train as run
from directmax.tool.run.binary_task import BinaryTask
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.loop import Trainer
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.tensorboard import Events

pytestmark = pytest.mark.usefixtures("no_report")

VARIANTS: dict[str, tuple[str, ...]] = {
    "direct": (),
    "dynamic": ("--binarize", "dynamic", "--variables", "3", "--values", "3"),
    "gumbel-softmax": ("--estimator", "gumbel-softmax", "--binarize", "static"),
    "64-true": ("--precision", "64-true", "--epsilon", "0.5"),
    "bf16-mixed": ("--precision", "bf16-mixed", "--estimator", "local-expectation"),
    "relax": ("--estimator", "relax", "--variables", "3", "--values", "2"),
    "running mean": ("--estimator", "score-function", "--num-samples", "1"),
    "starts": ("--epochs", "3", "--kl-start", "8", "--kl-fraction", "0.34", "--starts", "3"),
    "sampled": ("--variables", "20", "--values", "2", "--eval-samples", "3"),
}


def outcome(folder: Path) -> dict[str, Any]:
    """Everything a run leaves, without times."""
    summary = read(folder / "summary.json")
    kept = ("validation", "test", "best_epoch", "epochs", "seed")
    return {
        "metrics": metrics(folder),
        "summary": {key: summary[key] for key in kept},
        **weights(folder),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """The outcome of a run of a variant that nothing disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "write_report", lambda *arguments: None)

        @functools.cache
        def of(variant: str) -> dict[str, Any]:
            folder = tmp_path_factory.mktemp(variant) / "run"
            succeed(*TINY, *VARIANTS[variant], "--run-dir", folder)
            return outcome(folder)

        yield of


def assert_resumes(folder: Path, expected: dict[str, Any], *, tidy: bool = True) -> None:
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
    assert outcome(folder) == expected
    if tidy:
        assert len(list(folder.rglob("tensors-*"))) == 2  # one for best, one for last
        assert not list((folder / "checkpoints").rglob(".*"))


# One epoch writes: best (tensors, state), the line, events, last (tensors, state).
MOMENTS: dict[str, tuple[Any, str, int, bool]] = {
    "before the first step": (Trainer, "_train_step", 1, False),
    "in the first epoch": (Trainer, "_train_step", 2, True),
    "before the first checkpoint": (state, "save_checkpoint", 1, False),
    "inside best, before its tensors": (checkpoint, "write_atomic", 1, False),
    "inside best, before its state": (checkpoint, "write_json", 1, False),
    "inside best, after its state": (checkpoint, "write_json", 1, True),
    "after best": (state, "save_checkpoint", 1, True),
    "after the first line": (RunFolder, "append_metrics", 1, True),
    "after the first events": (Events, "add", 1, True),
    "before the first last": (state, "save_checkpoint", 2, False),
    "inside the first last": (checkpoint, "write_json", 2, False),
    "after the first last": (state, "save_checkpoint", 2, True),
    "in the second epoch": (Trainer, "_train_step", STEPS + 1, True),
    "after the last step": (Trainer, "_train_step", 2 * STEPS, True),
    "between two checkpoints": (state, "save_checkpoint", 3, True),
    "before the second line": (RunFolder, "append_metrics", 2, False),
    "inside the second last": (checkpoint, "write_json", 4, False),
    "before the old tensors are removed": (checkpoint, "write_json", 4, True),
    "before a rename": (files.Path, "replace", 7, False),
    "before the summary": (run, "write_json", 1, False),
    "after the summary": (run, "write_json", 1, True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed(tmp_path: Path, moment: str, undisturbed: Callable[[str], Any]) -> None:
    owner, name, number, after = MOMENTS[moment]
    folder = tmp_path / "run"
    child = Forked(
        *TINY,
        "--run-dir",
        folder,
        prepare=lambda: at_call(owner, name, number, kill, after=after),
    )
    assert child.wait().code == -signal.SIGKILL
    # Nothing is left to save, so nothing tidies up.
    tidy = moment != "before the old tensors are removed"
    assert_resumes(folder, undisturbed("direct"), tidy=tidy)


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"direct"}))
def test_killed_in_the_second_epoch(
    tmp_path: Path, variant: str, undisturbed: Callable[[str], Any]
) -> None:
    folder = tmp_path / "run"
    child = Forked(
        *TINY,
        *VARIANTS[variant],
        "--run-dir",
        folder,
        prepare=lambda: at_call(Trainer, "_train_step", STEPS + 2, kill),
    )
    assert child.wait().code == -signal.SIGKILL
    assert_resumes(folder, undisturbed(variant))


def test_killed_inside_a_line(tmp_path: Path, undisturbed: Callable[[str], Any]) -> None:
    folder = tmp_path / "run"

    def prepare() -> None:
        def half(self: RunFolder, line: dict[str, Any]) -> None:
            with self.metrics_file.open("a") as file:
                file.write('{"epoch": 1, "train": {"bou')
            kill()

        RunFolder.append_metrics = half  # type: ignore[method-assign]

    assert Forked(*TINY, "--run-dir", folder, prepare=prepare).wait().code == -signal.SIGKILL
    assert_resumes(folder, undisturbed("direct"))


def test_killed_again_and_again(tmp_path: Path, undisturbed: Callable[[str], Any]) -> None:
    folder = tmp_path / "run"
    arguments = [*TINY, "--run-dir", folder]
    for step in (2, STEPS + 1, 2):
        child = Forked(
            *arguments, prepare=lambda step=step: at_call(Trainer, "_train_step", step, kill)
        )
        assert child.wait().code == -signal.SIGKILL
        arguments = ["train", "--device", "cpu", "--resume", "--run-dir", folder]
    assert_resumes(folder, undisturbed("direct"))


@pytest.mark.parametrize(
    "moment", ["inside best, before its state", "after best", "inside the second last"]
)
def test_crashed(
    tmp_path: Path,
    moment: str,
    undisturbed: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, name, number, after = MOMENTS[moment]
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, getattr(owner, name))  # undone at the end
        at_call(owner, name, number, crash, after=after)
        with pytest.raises(RuntimeError, match="simulated"):
            call(*TINY, "--run-dir", folder)
    assert_resumes(folder, undisturbed("direct"))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("step", [1, STEPS + 2])
def test_interrupted(
    tmp_path: Path, variant: str, step: int, undisturbed: Callable[[str], Any]
) -> None:
    folder = tmp_path / "run"
    stopped = Forked(
        *TINY,
        *VARIANTS[variant],
        "--run-dir",
        folder,
        prepare=lambda: at_call(Trainer, "_train_step", step, interrupt, after=True),
    ).wait()
    assert stopped.code == 130
    epoch, inside = divmod(step - 1, STEPS)
    assert f"(epoch {epoch + 1}, step {inside + 1})" in stopped.message
    assert f"directmax train --resume --run-dir {folder}" in stopped.message
    assert load_checkpoint(folder / "checkpoints" / "last").state["position"]["step"] == inside + 1
    assert_resumes(folder, undisturbed(variant))


def test_the_seconds_before_a_stop_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, folder = [0.0], tmp_path / "run"
    step = Trainer._train_step

    def slow(self: Trainer, *arguments: Any) -> None:
        now[0] += 100
        step(self, *arguments)

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", slow)
        at_call(Trainer, "_train_step", STEPS + 1, interrupt, after=True)
        assert call(*TINY, "--run-dir", folder).code == 130
    monkeypatch.setattr(Trainer, "_train_step", slow)
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["seconds"] for line in lines] == [100 * STEPS, 100 * STEPS]


def test_the_scale_of_the_loss_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """float16 without a GPU: a scale that is too large at first, and soon grows."""

    def scaled(*arguments: object) -> Fabric:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**26, growth_interval=3)
        return Fabric(
            accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu", scaler)
        )

    monkeypatch.setattr(run, "make_fabric", scaled)
    command = (*TINY, "--batch-size", "100", "--run-dir")
    succeed(*command, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", Trainer._train_step)
        at_call(Trainer, "_train_step", 19, interrupt, after=True)
        assert call(*command, tmp_path / "stopped").code == 130
    kept = load_checkpoint(tmp_path / "stopped" / "checkpoints" / "last").state["loss_scaling"]
    assert kept["scale"] < 2.0**26
    assert kept["_growth_tracker"] > 0
    succeed("train", "--device", "cpu", "--resume", "--run-dir", tmp_path / "stopped")
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


def test_a_checkpoint_of_an_older_version(
    tmp_path: Path, undisturbed: Callable[[str], Any]
) -> None:
    folder = tmp_path / "run"
    stopped = Forked(
        *TINY,
        "--run-dir",
        folder,
        prepare=lambda: at_call(Trainer, "_train_step", STEPS + 2, interrupt, after=True),
    ).wait()
    assert stopped.code == 130
    last = load_checkpoint(folder / "checkpoints" / "last")
    del last.state["position"]["seconds"], last.state["loss_scaling"]
    checkpoint.save_checkpoint(folder / "checkpoints" / "last", last)
    assert_resumes(folder, undisturbed("direct"))


@pytest.mark.parametrize("step", [STEPS, 2 * STEPS])
def test_interrupted_at_the_last_step_of_an_epoch(
    tmp_path: Path, step: int, undisturbed: Callable[[str], Any]
) -> None:
    folder = tmp_path / "run"
    stopped = Forked(
        *TINY,
        "--run-dir",
        folder,
        prepare=lambda: at_call(Trainer, "_train_step", step, interrupt),
    ).wait()
    assert stopped.code == 130
    assert f"(after epoch {step // STEPS})" in stopped.message
    assert_resumes(folder, undisturbed("direct"))


def test_interrupted_while_validating(tmp_path: Path, undisturbed: Callable[[str], Any]) -> None:
    folder = tmp_path / "run"
    stopped = Forked(
        *TINY,
        "--run-dir",
        folder,
        prepare=lambda: at_call(BinaryTask, "validate", 1, interrupt),
    ).wait()
    assert stopped.code == 130
    assert "(after epoch 1)" in stopped.message
    assert_resumes(folder, undisturbed("direct"))


def test_interrupted_before_training(tmp_path: Path, undisturbed: Callable[[str], Any]) -> None:
    folder = tmp_path / "run"
    stopped = Forked(
        *TINY, "--run-dir", folder, prepare=lambda: at_call(Events, "open", 1, interrupt)
    ).wait()
    assert (stopped.code, stopped.err) == (130, "directmax: interrupted\n")
    assert_resumes(folder, undisturbed("direct"))


def test_terminated_saves_too(tmp_path: Path, undisturbed: Callable[[str], Any]) -> None:
    folder = tmp_path / "run"
    stopped = Forked(
        *TINY,
        "--run-dir",
        folder,
        prepare=lambda: at_call(
            Trainer, "_train_step", 2, lambda: os.kill(os.getpid(), signal.SIGTERM)
        ),
    ).wait()
    assert stopped.code == 130
    assert "(epoch 1, step 2)" in stopped.message
    assert_resumes(folder, undisturbed("direct"))


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path, undisturbed: Callable[[str], Any]) -> None:
    folder = tmp_path / "run"

    def twice() -> None:
        interrupt()
        interrupt()

    stopped = Forked(
        *TINY,
        "--run-dir",
        folder,
        prepare=lambda: at_call(Trainer, "_train_step", STEPS + 2, twice),
    ).wait()
    assert (stopped.code, stopped.err) == (130, "directmax: interrupted\n")
    assert_resumes(folder, undisturbed("direct"))


def test_resuming_a_finished_run_changes_nothing(
    copy: Path, undisturbed: Callable[[str], Any]
) -> None:
    for _ in range(2):
        assert_resumes(copy, undisturbed("direct"))


def test_the_same_command_again_with_resume(
    tmp_path: Path, undisturbed: Callable[[str], Any]
) -> None:
    folder = tmp_path / "run"
    command = (*TINY, "--run-dir", folder)
    Forked(*command, prepare=lambda: at_call(Trainer, "_train_step", 5, kill)).wait()
    succeed(*command, "--resume")
    assert outcome(folder) == undisturbed("direct")


def test_global_random_state_does_not_matter(
    tmp_path: Path, undisturbed: Callable[[str], Any]
) -> None:
    torch.manual_seed(99)
    torch.rand(7)
    state = torch.get_rng_state()
    succeed(*TINY, "--run-dir", tmp_path / "run")
    assert outcome(tmp_path / "run") == undisturbed("direct")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (("--seed", "1"), "--seed: 1 here, 0 there"),
        (("--epochs=3",), "--epochs: 3 here, 2 there"),
        (("--binarize", "dynamic"), "--binarize: 'dynamic' here, 'threshold' there"),
        (("--epsilon", "0.5"), "--epsilon: 0.5 here, 'auto' there"),
        (("--preset", "paper"), "--data: 'mnist' here, 'digits' there"),
    ],
)
def test_another_configuration_is_refused(
    copy: Path, flags: tuple[str, ...], difference: str, undisturbed: Callable[[str], Any]
) -> None:
    if "paper" in flags:
        flags = (*flags, "--data", "digits", "--batch-size", "400", "--hidden", "12")
        difference = "--epsilon: 1.0 here, 'auto' there"
    message = refuse("train", "--device", "cpu", "--resume", "--run-dir", copy, *flags)
    assert "cannot resume" in message
    assert difference in message
    assert outcome(copy) == undisturbed("direct")


def test_resume_needs_a_folder() -> None:
    assert "--resume needs --run-dir" in refuse("train", "--resume")
    assert "--resume needs --run-dir" in refuse("train", "--resume", "--run-dir")


def test_resume_needs_a_run(tmp_path: Path) -> None:
    assert "config.json does not exist" in refuse(
        "train", "--resume", "--run-dir", tmp_path / "none"
    )
    assert list(tmp_path.iterdir()) == []
