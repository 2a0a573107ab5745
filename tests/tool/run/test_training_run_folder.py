"""What a run leaves, who may write it, and what happens when it cannot be written."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

import directmax
from command_line import TINY, Forked, call, metrics, read, refuse, succeed
from directmax.tool.config import stored_config
from directmax.tool.run.run_folder import RunFolder

TERMS = {"bound", "reconstruction", "kl", "nll", "num_samples", "authors", "valid"}


def test_files(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {
        ".lock",
        "checkpoints",
        "config.json",
        "events",
        "metrics.jsonl",
        "report.html",
        "summary.json",
    }
    for name in ("best", "last"):
        folder = finished / "checkpoints" / name
        suffixes = sorted(path.suffix for path in folder.iterdir())
        assert suffixes == [".json", ".safetensors"]


def test_config(finished: Path) -> None:
    record = read(finished / "config.json")
    config = stored_config(record["config"])
    assert (config.epochs, config.batch_size, config.seed) == (2, 400, 0)
    assert record["digest"] == config.digest()
    assert record["versions"]["directmax"] == directmax.__version__
    assert set(record["versions"]) >= {"python", "torch", "numpy"}
    assert "git_commit" in record


def test_metrics(finished: Path) -> None:
    text = (finished / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert text.endswith("\n")
    assert [line["epoch"] for line in lines] == [1, 2]
    for line in lines:
        assert set(line["validation"]) == TERMS
        assert line["train"]["bound"] == pytest.approx(
            line["train"]["reconstruction"] + line["train"]["kl"]
        )
        assert line["validation"]["bound"] >= line["validation"]["nll"] - 1e-4  # rounding
        assert line["alpha"] in (0, 1)
        assert line["seconds"] > 0


def test_summary(finished: Path) -> None:
    summary = read(finished / "summary.json")
    lines = metrics(finished)
    best = min(lines, key=lambda line: line["validation"]["bound"])
    assert set(summary["test"]) == set(summary["validation"]) == TERMS | {"amortized"}
    assert {name: summary["validation"][name] for name in TERMS} == best["validation"]
    assert summary["best_epoch"] == best["epoch"]
    assert (summary["epochs"], summary["seed"]) == (2, 0)
    assert summary["seconds_per_epoch"] > 0
    assert summary["versions"]["torch"]
    assert summary["test"]["num_samples"] is None
    assert summary["test"]["bound"] >= summary["test"]["nll"] - 1e-4  # rounding


def test_events(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "events")).Reload()
    values = [event.value for event in events.Scalars("validation/bound")]
    expected = [line["validation"]["bound"] for line in metrics(finished)]
    assert values == pytest.approx(expected)
    assert [event.step for event in events.Scalars("train/kl")] == [1, 2]
    assert "alpha" in events.Tags()["scalars"]


@pytest.mark.usefixtures("no_report")
def test_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    outcome = succeed(*TINY, "--run-dir", tmp_path / "run")
    *table, best, _, report = outcome.out.splitlines()
    assert "nats per image, exact" in "\n".join(table)
    bound = read(tmp_path / "run" / "summary.json")["test"]["bound"]
    assert f"│ {bound:.2f} │" in next(line for line in table if "│ test" in line)
    assert best.startswith("best epoch 2 of 2, ")
    assert report == f"report: {tmp_path / 'run' / 'report.html'}"
    assert len(outcome.out.splitlines()) < 17
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("no_report")
def test_a_run_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = set()
    for _ in range(2):  # also within one second
        *_, last = succeed(*TINY).out.splitlines()
        report = Path(last.removeprefix("report: "))
        assert report.name == "report.html"
        assert (report.parent / "summary.json").is_file()
        assert report.parent.parent == Path("runs")
        assert "digits-1x10-local-divergence-" in report.parent.name
        folders.add(report.parent)
    assert len(folders) == 2


# Who may write


def test_a_folder_with_a_run_is_refused(copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    message = refuse(*TINY, "--run-dir", copy)
    assert "already holds a run" in message
    assert "--resume" in message
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("missing", ["config.json", "metrics.jsonl"])
def test_remains_of_a_run_are_not_mixed_with_a_new_one(copy: Path, missing: str) -> None:
    (copy / missing).unlink()
    assert "already holds a run" in refuse(*TINY, "--run-dir", copy)


@pytest.mark.usefixtures("no_report")
def test_a_second_writer_is_refused(copy: Path) -> None:
    before = (copy / "metrics.jsonl").read_bytes()
    with RunFolder(copy).lock():
        assert "another process" in refuse(
            "train", "--device", "cpu", "--resume", "--run-dir", copy
        )
        assert "another process" in refuse(*TINY, "--run-dir", copy)
    assert (copy / "metrics.jsonl").read_bytes() == before
    succeed("train", "--device", "cpu", "--resume", "--run-dir", copy)


@pytest.mark.usefixtures("no_report")
def test_a_second_writer_is_refused_while_the_first_trains(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    read_end, write_end = os.pipe()

    def wait_for_the_second() -> None:
        from directmax.tool.run.loop import Trainer

        step = Trainer._train_step

        def slow(self: Trainer, *arguments: Any) -> None:
            os.write(write_end, b"!")
            step(self, *arguments)
            while not (tmp_path / "done").exists():
                pass

        Trainer._train_step = slow  # type: ignore[method-assign]

    first = Forked(*TINY, "--run-dir", folder, prepare=wait_for_the_second)
    os.read(read_end, 1)
    messages = [
        refuse(*TINY, "--run-dir", folder),
        refuse("train", "--device", "cpu", "--resume", "--run-dir", folder),
    ]
    (tmp_path / "done").touch()
    assert first.wait().code == 0
    assert all("another process" in message for message in messages)
    assert len(metrics(folder)) == 2


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    message = refuse(*TINY, "--run-dir", tmp_path / "run")
    assert message.startswith(f"cannot lock {tmp_path / 'run' / '.lock'}: No locks available; ")
    assert list(tmp_path.iterdir()) == []


# What cannot be written


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none/run", "/dev/null/run"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    message = refuse(*TINY, "--run-dir", tmp_path / place)
    assert message.startswith(f"cannot write {tmp_path / place}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["events", "checkpoints", "metrics.jsonl", "config.json", ".lock"])
def test_something_in_the_way_inside_the_folder(tmp_path: Path, name: str) -> None:
    if "." in name:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("in the way")
    message = refuse(*TINY, "--run-dir", tmp_path)
    assert "cannot write" in message or "already holds a run" in message


def no_space(monkeypatch: pytest.MonkeyPatch, call_number: int) -> None:
    """From the n-th synchronisation on, the disk is full."""
    calls = iter(range(1, 1000))
    fsync = os.fsync

    def full(handle: int) -> None:
        if next(calls) >= call_number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)


def test_no_space_at_the_start_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_space(monkeypatch, 1)
    message = refuse(*TINY, "--run-dir", tmp_path / "run")
    assert "No space left on device" in message
    assert "config.json" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_report")
def test_no_space_later_can_be_resumed(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Per epoch: best tensors and state, the line, last tensors and state. Then the summary."""
    folder, command = tmp_path / "run", (*TINY,)
    for call_number in (2, *range(1, 8), 6, 1):  # one more than before is cutting metrics.jsonl
        with monkeypatch.context() as patch:
            no_space(patch, call_number)
            message = refuse(*command, "--run-dir", folder)
        assert "No space left on device" in message
        assert not [path for path in folder.rglob(".*") if path.name != ".lock"]
        command = ("train", "--device", "cpu", "--resume")
    succeed(*command, "--run-dir", folder)
    assert metrics(folder) == metrics(finished)
    assert read(folder / "summary.json")["test"] == read(finished / "summary.json")["test"]


@pytest.mark.parametrize("limit", [2_000, 24_000])
def test_files_may_not_grow(tmp_path: Path, limit: int) -> None:
    outcome = Forked(
        *TINY,
        "--run-dir",
        tmp_path / "run",
        prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    ).wait()
    assert outcome.code == 2
    assert "File too large" in outcome.message


def test_events_that_may_not_grow(tmp_path: Path) -> None:
    """They are the first file that cannot be written, and fail again when they are closed."""

    def prepare() -> None:
        append = RunFolder.append_metrics

        def then_full(*arguments: Any) -> None:
            append(*arguments)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

        RunFolder.append_metrics = then_full  # type: ignore[method-assign]

    outcome = Forked(*TINY, "--run-dir", tmp_path / "run", prepare=prepare).wait()
    assert outcome.code == 2
    folder = tmp_path / "run" / "events"
    assert outcome.message.startswith(f"cannot write {folder}: File too large; ")


@pytest.mark.parametrize("flag", ["--images", "--reconstructions", "--columns"])
def test_pictures_have_an_end(finished: Path, tmp_path: Path, flag: str) -> None:
    output = tmp_path / "x.png"
    assert f"{flag} must be at most" in refuse("sample", finished, "--output", output, flag, 10**6)
    assert not output.exists()


# Damaged folders


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"config": 3}', b'{"config": {"epochs": 2}}', b"\xff\xfe"],
)
def test_a_damaged_configuration(copy: Path, content: bytes) -> None:
    (copy / "config.json").write_bytes(content)
    for command in (
        ("evaluate", copy),
        ("sample", copy, "--output", copy / "x.png"),
        ("train", "--resume", "--run-dir", copy),
    ):
        assert str(copy / "config.json") in refuse(*command)


@pytest.mark.parametrize("value", ["3", None, -1, [2]])
def test_a_configuration_with_a_wrong_value(copy: Path, value: object) -> None:
    record = read(copy / "config.json")
    record["config"]["epochs"] = value
    (copy / "config.json").write_text(json.dumps(record))
    assert "config.json is damaged" in refuse("evaluate", copy)


def test_a_changed_configuration_does_not_fit_the_checkpoint(copy: Path) -> None:
    record = read(copy / "config.json")
    record["config"]["epochs"] = 3
    (copy / "config.json").write_text(json.dumps(record))
    message = refuse("train", "--device", "cpu", "--resume", "--run-dir", copy)
    assert "another configuration" in message


@pytest.mark.parametrize("content", [b"", b'{"epoch": 1}\n{', b"\xff\n", b"\n\n"])
def test_damaged_metrics(copy: Path, content: bytes) -> None:
    (copy / "metrics.jsonl").write_bytes(content)
    assert "metrics.jsonl" in refuse("train", "--device", "cpu", "--resume", "--run-dir", copy)


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_commands_need_a_run(tmp_path: Path, command: str) -> None:
    output = ("--output", tmp_path / "x.png") if command == "sample" else ()
    for folder in (tmp_path / "none", tmp_path):
        assert "config.json does not exist" in refuse(command, folder, *output)
    assert list(tmp_path.iterdir()) == []


def test_commands_need_a_checkpoint(copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints")
    assert "has no checkpoint yet" in refuse("evaluate", copy)
    assert "has no checkpoint yet" in refuse("sample", copy, "--output", copy / "x.png")
    assert not (copy / "x.png").exists()


def test_a_broken_pipe_is_no_error(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    outcome = Forked("evaluate", finished, "--json", prepare=lambda: os.dup2(write_end, 1)).wait()
    assert (outcome.code, outcome.err) == (0, "")


def test_interrupted_before_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    from directmax.tool.run import make

    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "load_images", stop)
    assert (call(*TINY).code, call(*TINY).err) == (130, "directmax: interrupted\n")
