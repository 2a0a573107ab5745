"""Kill it, stop it, let it crash at any point: the resumed run ends as the undisturbed one."""

from __future__ import annotations

import functools
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from disturbances import (
    RESUME,
    at_call,
    crash,
    disturbed,
    interrupt,
    kill,
    outcome,
    terminate,
    twice,
)
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from command_line import STEPS, TINY, Forked, call, refuse, succeed
from directmax.tool import files
from directmax.tool.run import checkpoint, loop, state
from directmax.tool.run import train as run
from directmax.tool.run.binary_task import BinaryTask
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.loop import Trainer
from directmax.tool.run.processes import Alone
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.tensorboard import Events

pytestmark = pytest.mark.usefixtures("no_report", "every_epoch_saved")

VARIANTS: dict[str, tuple[str, ...]] = {
    "direct": (),
    "long": ("--epochs", "5"),
    "longer": ("--epochs", "8"),
    "dynamic": ("--binarize", "dynamic", "--variables", "3", "--values", "3"),
    "gumbel-softmax": ("--estimator", "gumbel-softmax", "--binarize", "static"),
    "64-true": ("--precision", "64-true", "--epsilon", "0.5"),
    "bf16-mixed": ("--precision", "bf16-mixed", "--estimator", "local-expectation"),
    "relax": ("--estimator", "relax", "--variables", "3", "--values", "2"),
    "running mean": ("--estimator", "score-function", "--num-samples", "1"),
    "starts": ("--epochs", "3", "--kl-start", "8", "--kl-fraction", "0.34", "--starts", "3"),
    "sampled": ("--variables", "20", "--values", "2", "--eval-samples", "3"),
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


def assert_resumes(folder: Path, expected: dict[str, Any]) -> None:
    succeed(*RESUME, "--run-dir", folder)
    assert outcome(folder) == expected
    assert len(list(folder.rglob("tensors-*"))) == 2  # one for best, one for last
    assert not list((folder / "checkpoints").rglob(".*"))


# One epoch writes: best (tensors, state), the line, events, last (tensors, state).
IN_AN_EPOCH: tuple[tuple[Any, str, int, bool], ...] = (
    (Trainer, "_train_step", 1, False),
    (Trainer, "_train_step", 2, True),
    (state, "save_checkpoint", 1, False),
    (checkpoint, "write_atomic", 1, False),  # inside best, before its tensors
    (checkpoint, "write_json", 1, False),  # before its state
    (checkpoint, "write_json", 1, True),
    (state, "save_checkpoint", 1, True),
    (RunFolder, "append_metrics", 1, False),
    (RunFolder, "append_metrics", 1, True),
    (Events, "add", 1, True),
    (state, "save_checkpoint", 2, False),
    (checkpoint, "write_json", 2, False),  # inside last
    (files.Path, "replace", 2, False),
    (checkpoint, "write_json", 2, True),  # the old tensors are still there
    (state, "save_checkpoint", 2, True),
    (Trainer, "_train_step", STEPS + 1, True),
    (Trainer, "_train_step", STEPS, True),
)
AT_THE_END = ((run, "write_json", 1, False), (run, "write_json", 1, True))


@pytest.mark.parametrize(
    ("act", "times", "variant"),
    [
        pytest.param(kill, 1, "long", marks=pytest.mark.slow),
        pytest.param(kill, 2, "longer", marks=pytest.mark.slow),
        pytest.param(crash, 1, "long", marks=pytest.mark.slow),
    ],
)
def test_disturbed_at_every_moment_of_an_epoch(
    tmp_path: Path,
    undisturbed: Callable[[str], Any],
    act: Callable[[], object],
    times: int,
    variant: str,
) -> None:
    """In the first epoch, perhaps again in the second, and while the results are written."""
    moments = [(*moment[:3], act, moment[3]) for moment in (*IN_AN_EPOCH * times, *AT_THE_END)]
    code = -signal.SIGKILL if act is kill else 70
    expected = undisturbed(variant)
    ends = list(disturbed((*TINY, *VARIANTS[variant]), tmp_path / "run", *moments))
    assert [end.code for end in ends] == [code] * len(moments), ends
    assert_resumes(tmp_path / "run", expected)


SOON = ("bf16-mixed", "relax", "starts")
"""Disturbed by default: precision, parameters of the estimator, and starts."""
CASES = [
    pytest.param(name, marks=[] if name in SOON else [pytest.mark.slow])
    for name in sorted(set(VARIANTS) - {"long", "longer"})
]


@pytest.mark.parametrize("variant", CASES)
def test_disturbed(tmp_path: Path, variant: str, undisturbed: Callable[[str], Any]) -> None:
    """Stopped in the first epoch, killed in the second, stopped there."""
    folder = tmp_path / "run"
    moments = (
        (Trainer, "_train_step", 1, interrupt, True),
        (Trainer, "_train_step", STEPS + 1, kill, False),
        (Trainer, "_train_step", 2, interrupt, True),
    )
    expected = undisturbed(variant)
    first, second, third = disturbed((*TINY, *VARIANTS[variant]), folder, *moments)
    assert (first.code, second.code, third.code) == (130, -signal.SIGKILL, 130)
    assert "(epoch 1, step 1)" in first.message
    assert load_checkpoint(folder / "checkpoints" / "last").state["position"]["step"] == 2
    assert_resumes(folder, expected)


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


STOPPED = "stopped; saved is what was done"


def test_what_is_said_when_it_is_stopped(tmp_path: Path, undisturbed: Callable[[str], Any]) -> None:
    """At any moment, by Ctrl-C or SIGTERM; a second Ctrl-C ends it at once."""
    folder = tmp_path / "run"
    said = (
        ((Alone, "broadcast", 2, terminate, False), f"{STOPPED} (after epoch 0)"),  # it has begun
        ((Events, "open", 1, interrupt, False), f"{STOPPED} (after epoch 0)"),
        ((BinaryTask, "order", 1, interrupt, True), "stopped and saved (after epoch 0)"),
        ((Trainer, "_train_step", 1, twice, True), f"{STOPPED} (after epoch 0)"),
        ((Trainer, "_train_step", 2, terminate, False), "stopped and saved (epoch 1, step 2)"),
        ((BinaryTask, "validate", 1, interrupt, False), "stopped and saved (after epoch 1)"),
        ((BinaryTask, "order", 2, terminate, False), "stopped and saved (after epoch 2)"),
        ((Trainer, "_train_step", STEPS, interrupt, False), "stopped and saved (after epoch 3)"),
        ((BinaryTask, "results", 1, terminate, False), f"{STOPPED} (after epoch 8)"),
        ((run, "write_json", 1, interrupt, True), f"{STOPPED} (after epoch 8)"),
    )
    tries = disturbed((*TINY, *VARIANTS["longer"]), folder, *(moment for moment, _ in said))
    for end, (_, words) in zip(tries, said, strict=True):
        assert end.code == 130
        assert end.message.startswith(words)
        assert f"directmax train --resume --run-dir {folder}" in end.message
    assert_resumes(folder, undisturbed("longer"))


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
    (stopped,) = disturbed(TINY, folder, (Trainer, "_train_step", STEPS + 2, interrupt, True))
    assert stopped.code == 130
    last = load_checkpoint(folder / "checkpoints" / "last")
    del last.state["position"]["seconds"], last.state["loss_scaling"]
    checkpoint.save_checkpoint(folder / "checkpoints" / "last", last)
    assert_resumes(folder, undisturbed("direct"))


def test_resuming_a_finished_run_changes_nothing(
    copy: Path, undisturbed: Callable[[str], Any]
) -> None:
    assert_resumes(copy, undisturbed("direct"))


def test_the_same_command_again_with_resume(
    tmp_path: Path, undisturbed: Callable[[str], Any]
) -> None:
    folder = tmp_path / "run"
    command = (*TINY, "--run-dir", folder)
    list(disturbed(TINY, folder, (Trainer, "_train_step", 5, kill, False)))
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
    assert "--run-dir" in refuse("train", "--resume", "--run-dir")


def test_resume_needs_a_run(tmp_path: Path) -> None:
    assert "config.json does not exist" in refuse(
        "train", "--resume", "--run-dir", tmp_path / "none"
    )
    assert list(tmp_path.iterdir()) == []
