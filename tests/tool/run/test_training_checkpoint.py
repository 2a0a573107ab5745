"""Checkpoints: damaged ones are refused in one line, and nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from disturbances import RESUME, disturbed, interrupt, kill, outcome
from hypothesis import given
from hypothesis import strategies as st

from command_line import STEPS, TINY, Outcome, call, read, refuse, succeed
from directmax.tool.files import RunError
from directmax.tool.run.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    restore_model,
    restore_optimizer,
    save_checkpoint,
)
from directmax.tool.run.loop import Trainer
from directmax.tool.run.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("no_report")


def tensors_of(folder: Path, name: str) -> Path:
    (path,) = (folder / "checkpoints" / name).glob("tensors-*")
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


class Bomb:
    """Pickled, it creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def put_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(path.parent.parent.parent / "exploded")))


def put_torch_file(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def sign(path: Path, state: dict[str, Any]) -> None:
    """Write a state with the digest that belongs to it."""
    state.pop("state_sha256", None)
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**state, "state_sha256": digest}))


DAMAGES = (truncate, flip, empty, Path.unlink, put_pickle, put_torch_file, put_folder)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_best(copy: Path, damage: Callable[[Path], None]) -> None:
    path = tensors_of(copy, "best")
    damage(path)
    output = copy / "x.png"
    for command in (
        ("evaluate", copy),
        ("sample", copy, "--output", output),
        ("train", "--device", "cpu", "--resume", "--run-dir", copy),
    ):
        assert str(path) in refuse(*command)
    assert not output.exists()
    assert not (copy / "exploded").exists()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_last(copy: Path, damage: Callable[[Path], None]) -> None:
    metrics = (copy / "metrics.jsonl").read_bytes()
    path = tensors_of(copy, "last")
    damage(path)
    assert str(path) in refuse("train", "--device", "cpu", "--resume", "--run-dir", copy)
    assert not (copy / "exploded").exists()
    assert (copy / "metrics.jsonl").read_bytes() == metrics
    succeed("evaluate", copy)  # needs only the best


@pytest.mark.parametrize("name", ["best", "last"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_state(copy: Path, damage: Callable[[Path], None], name: str) -> None:
    path = copy / "checkpoints" / name / "state.json"
    damage(path)
    message = refuse("train", "--device", "cpu", "--resume", "--run-dir", copy)
    assert str(path) in message
    assert not (copy / "exploded").exists()


def test_a_pickle_with_the_right_digest(copy: Path) -> None:
    path = tensors_of(copy, "best")
    put_pickle(path)
    state_file = path.parent / "state.json"
    state = read(state_file)
    state["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    sign(state_file, state)
    assert "damaged" in refuse("evaluate", copy)
    assert not (copy / "exploded").exists()


@pytest.mark.parametrize("file", ["../../x.safetensors", "/etc/passwd", "", 3, None])
def test_a_state_that_names_a_file_elsewhere(copy: Path, file: object) -> None:
    state_file = copy / "checkpoints" / "best" / "state.json"
    sign(state_file, {**read(state_file), "file": file})
    refuse("evaluate", copy)


def test_weights_of_another_model(copy: Path, tmp_path: Path) -> None:
    succeed(*TINY, "--hidden", "13", "--run-dir", tmp_path / "other")
    foreign = load_checkpoint(tmp_path / "other" / "checkpoints" / "best")
    save_checkpoint(copy / "checkpoints" / "best", foreign)
    message = refuse("evaluate", copy)
    assert "does not fit the model" in message


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_to_load(*arguments: Any, **options: Any) -> None:
        raise AssertionError("unpickled")

    for owner, name in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(owner, name, refuse_to_load)
    folder = tmp_path / "run"
    succeed(*TINY, "--run-dir", folder)
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
    succeed("evaluate", folder)
    succeed("sample", folder, "--output", tmp_path / "x.png")


def test_the_sources_do_not_unpickle() -> None:
    import directmax

    for path in Path(directmax.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert "torch.load" not in text, path
        assert "import pickle" not in text, path


@given(data=st.data())
def test_any_single_changed_byte_is_noticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("checkpoint")
    tensors = {"model.a": torch.arange(6.0), "generator": torch.arange(3, dtype=torch.uint8)}
    state = {"position": {"epoch": 3, "best_bound": 1.25}, "digest": "0123"}
    save_checkpoint(folder, Checkpoint(tensors, state))
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    index = data.draw(st.integers(0, len(content) - 1))
    content[index] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        loaded = load_checkpoint(folder)
    except RunError:
        return
    # White space, or the name of the digest itself: what matters is the same.
    assert {key: value for key, value in loaded.state.items() if key in state} == state
    assert all(torch.equal(loaded.tensors[key], tensors[key]) for key in tensors)


def test_round_trip(tmp_path: Path) -> None:
    tensors = {
        "model.weight": torch.randn(3, 2).T,  # not contiguous
        "model.step": torch.tensor(7),
        "double": torch.tensor([1 / 3], dtype=torch.float64),
        "half": torch.tensor([0.5], dtype=torch.bfloat16),
    }
    save_checkpoint(tmp_path / "a" / "b", Checkpoint(tensors, {"x": [1, None]}))
    loaded = load_checkpoint(tmp_path / "a" / "b")
    assert loaded.state == {"x": [1, None]}
    assert set(loaded.part("model")) == {"weight", "step"}
    for name, tensor in tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_a_new_checkpoint_replaces_the_old_one(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        save_checkpoint(tmp_path, Checkpoint({"x": torch.tensor(value)}, {}))
    assert load_checkpoint(tmp_path).tensors["x"] == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_optimizer_round_trip() -> None:
    def trained(steps: int, restore: dict[str, torch.Tensor] | None = None) -> Any:
        parameter = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = torch.optim.Adam([parameter], lr=0.1)
        if restore is not None:
            restore_optimizer(optimizer, restore)
        for _ in range(steps):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()
        return optimizer

    tensors = optimizer_tensors(trained(3))
    assert set(tensors) == {"0.step", "0.exp_avg", "0.exp_avg_sq"}
    restored = optimizer_tensors(trained(0, tensors))
    assert all(torch.equal(restored[name], tensors[name]) for name in tensors)


def test_restore_model_says_what_does_not_fit() -> None:
    model = torch.nn.Linear(2, 3)
    with pytest.raises(RunError, match="size mismatch") as caught:
        restore_model(model, {"weight": torch.zeros(2, 2), "bias": torch.zeros(3)}, Path("x"))
    assert "\n" not in str(caught.value)


def test_evaluate_is_unchanged_by_a_resume(copy: Path) -> None:
    before: Outcome = call("evaluate", copy, "--json")
    succeed("train", "--device", "cpu", "--resume", "--run-dir", copy)
    assert call("evaluate", copy, "--json") == before


def test_short_epochs_are_not_saved_one_by_one(tmp_path: Path) -> None:
    """The first and the last are, and a killed run goes on from what is saved."""
    longer = (*TINY, "--epochs", "4")
    succeed(*longer, "--run-dir", tmp_path / "whole")
    folder = tmp_path / "run"
    moments = (
        (RunFolder, "append_metrics", 3, kill, True),  # the lines of three epochs are there
        (Trainer, "_train_step", 1, interrupt, True),
        (Trainer, "_train_step", 2 * STEPS, interrupt, False),
    )
    killed, stopped, later = disturbed(longer, folder, *moments)
    assert (killed.code, stopped.code, later.code) == (-signal.SIGKILL, 130, 130)
    assert "(epoch 2, step 1)" in stopped.message  # one epoch was saved before the kill
    assert "(epoch 4, step 1)" in later.message
    succeed(*RESUME, "--run-dir", folder)
    assert outcome(folder) == outcome(tmp_path / "whole")
