"""Streams of mini-batches: the same for any number of workers, resumed or not."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

import drawn_faces
from directmax.tool import helpers
from directmax.tool.data import (
    Augmentation,
    DataError,
    ImagesInMemory,
    ImageStream,
    load_attributes,
)
from directmax.tool.run.interrupt import InterruptGuard

Fault = Callable[..., str]
COUNT = 30


class Numbered(Dataset[Tensor]):
    """Image i is full of the number i; some cannot be read."""

    def __init__(self, broken: int = -1, deadly: int = -1) -> None:
        self.broken = broken
        self.deadly = deadly

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Tensor:
        if index == self.broken:
            raise DataError(f"image {index} is damaged, expected a JPEG; replace it")
        if index == self.deadly:
            os._exit(3)
        return torch.full((1, 2, 2), index, dtype=torch.uint8)


def in_memory() -> ImagesInMemory:
    images = torch.arange(COUNT * 3 * 5 * 4) % 251
    return ImagesInMemory(images.view(COUNT, 3, 5, 4).to(torch.uint8))


def numbers(batches: Iterator[Tensor]) -> list[list[int]]:
    return [batch[:, 0, 0, 0].tolist() for batch in batches]


def flat(batches: Iterator[Tensor]) -> list[int]:
    return [number for batch in numbers(batches) for number in batch]


def shuffled(epoch: int = 0) -> Tensor:
    return torch.randperm(COUNT, generator=torch.Generator().manual_seed(epoch))


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def test_batches_follow_the_order() -> None:
    order = shuffled()[:23]
    with ImageStream(Numbered(), batch_size=5) as stream:
        batches = list(stream.batches(order))
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert batches[0].shape == (5, 1, 2, 2)
    assert batches[0].dtype == torch.uint8
    assert flat(iter(batches)) == order.tolist()


@pytest.mark.parametrize("images", [Numbered(), in_memory()], ids=["one by one", "at once"])
def test_workers_make_no_difference(images: Numbered | ImagesInMemory) -> None:
    """Over two epochs, with augmentation, the second begun in its middle."""
    seen = []
    for workers in (0, 1, 2):
        turn = Augmentation(seed=5, shift=1)
        with ImageStream(images, batch_size=4, workers=workers, augmentation=turn) as stream:
            first = list(stream.batches(shuffled(0), epoch=0))
            second = list(stream.batches(shuffled(1), epoch=1, start=3))
        seen.append(torch.cat([*first, *second]))
        assert len(second) == 5
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_in_the_middle_of_an_epoch(workers: int) -> None:
    turn = Augmentation(seed=1, shift=1)
    order = shuffled(2)
    with ImageStream(in_memory(), batch_size=4, workers=workers, augmentation=turn) as stream:
        whole = list(stream.batches(order, epoch=7))
        for start in (0, 1, 6, 8, 9):
            rest = list(stream.batches(order, epoch=7, start=start))
            assert len(rest) == max(8 - start, 0)
            assert all(torch.equal(a, b) for a, b in zip(rest, whole[start:], strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_that_was_left_early(workers: int) -> None:
    with ImageStream(Numbered(), batch_size=3, workers=workers) as stream:
        for left_after in (1, 2):
            batches = stream.batches(shuffled(left_after))
            for _ in range(left_after):
                next(batches)
            order = shuffled(5)
            assert flat(stream.batches(order)) == order.tolist()


def test_workers_stay_for_the_next_epoch_and_end_with_the_stream() -> None:
    stream = ImageStream(Numbered(), batch_size=5, workers=2)
    assert multiprocessing.active_children() == []
    numbers(stream.batches(shuffled()))
    first = {process.pid for process in multiprocessing.active_children()}
    numbers(stream.batches(shuffled(1)))
    assert {process.pid for process in multiprocessing.active_children()} == first
    assert len(first) == 2
    stream.close()
    stream.close()
    assert multiprocessing.active_children() == []
    assert numbers(stream.batches(torch.tensor([4]))) == [[4]]
    half = stream.batches(shuffled())
    next(half)
    stream.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_random_state_is_left_alone(workers: int) -> None:
    before = torch.get_rng_state()
    with ImageStream(Numbered(), batch_size=5, workers=workers) as stream:
        numbers(stream.batches(shuffled()))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_image_that_cannot_be_read(workers: int, fault: Fault) -> None:
    """The same line from a worker, and the batches before it are whole."""
    order = torch.arange(COUNT)
    seen: list[list[int]] = []

    def read(stream: ImageStream) -> None:
        for batch in stream.batches(order):
            seen.append(batch[:, 0, 0, 0].tolist())

    with ImageStream(Numbered(broken=13), batch_size=5, workers=workers) as stream:
        message = fault(read, stream)
        assert message == "image 13 is damaged, expected a JPEG; replace it"
        assert seen == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
        assert numbers(stream.batches(order[:4])) == [[0, 1, 2, 3]]


def test_a_corrupt_jpeg_in_a_worker(tmp_path: Path, fault: Fault) -> None:
    folder = drawn_faces.write(tmp_path, 10, processes=1)
    images = load_attributes("celeba", ["Male"], data_dir=tmp_path, size=16).train.images
    path = folder / "img_align_celeba" / "000006.jpg"
    path.write_bytes(path.read_bytes()[:3000])
    with ImageStream(images, batch_size=2, workers=1) as stream:
        message = fault(list, stream.batches(torch.arange(8)))
    assert message.startswith(f"cannot read the image {path}: image file is truncated")


def test_a_worker_that_is_killed(fault: Fault) -> None:
    with ImageStream(Numbered(deadly=8), batch_size=5, workers=1) as stream:
        message = fault(list, stream.batches(torch.arange(COUNT)))
    # torch notices it by a signal, or by the broken connection, whichever comes first.
    assert message.startswith("a process that reads images (PID ")
    assert message.endswith("use fewer workers (0 reads without)")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGSTOP, marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_is_lost_between_batches(
    number: signal.Signals,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Known where the next batch is waited for, and nowhere else; one that is stopped ends too."""
    monkeypatch.setattr("directmax.tool.data.workers.PATIENCE", 1)
    monkeypatch.setattr(helpers, "SILENCE", 0.2)
    images = ImagesInMemory(torch.zeros(100, 1, 2, 2, dtype=torch.uint8))
    with ImageStream(images, batch_size=5, workers=1) as stream, InterruptGuard() as guard:
        batches = guard.until_requested(stream.batches(torch.arange(100)))
        next(batches)
        (worker,) = multiprocessing.active_children()
        assert worker.pid is not None
        os.kill(worker.pid, number)
        if number != signal.SIGSTOP:
            worker.join()  # not here
            message = fault(list, batches)
            assert message.startswith(f"a process that reads images (PID {worker.pid}) ended")
        else:
            threading.Timer(2.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
            assert len(list(batches)) < 19
            assert guard.requested
    assert multiprocessing.active_children() == []
    said = capfd.readouterr().err
    assert said.count("\n") == said.count("it is stopped") == (number == signal.SIGSTOP)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_more_workers_than_cores_are_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    images = ImagesInMemory(torch.zeros(4, 1, 2, 2, dtype=torch.uint8))
    with ImageStream(images, batch_size=2, workers=2) as stream, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(stream.batches(torch.arange(4)))) == 2


def test_no_workers_can_be_started(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """As where /dev/shm is missing or full: one line, and nothing at the collection of garbage."""

    def missing() -> None:
        raise FileNotFoundError(2, "No such file or directory")

    later: list[object] = []
    monkeypatch.setattr(torch.multiprocessing, "Queue", missing)
    monkeypatch.setattr(sys, "unraisablehook", later.append)
    with ImageStream(Numbered(), batch_size=5, workers=1) as stream:
        message = fault(next, stream.batches(torch.arange(20)))
    gc.collect()
    assert "No such file or directory; is /dev/shm there" in message
    assert not later


def test_workers_leave_ctrl_c_to_the_program(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group; the program stops when it wants, and no process stays."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing, time, torch
            from directmax.tool.data import ImagesInMemory, ImageStream
            from directmax.tool.run.interrupt import InterruptGuard

            images = ImagesInMemory(torch.zeros(400, 1, 2, 2, dtype=torch.uint8))
            steps_after_request = 0
            with ImageStream(images, batch_size=1, workers=2) as stream:
                batches = stream.batches(torch.arange(400))
                next(batches)  # workers that know nothing of the guard
                with InterruptGuard() as guard:
                    print(*(p.pid for p in multiprocessing.active_children()), flush=True)
                    for step, batch in enumerate(batches):
                        time.sleep(0.02)
                        steps_after_request += guard.requested
                        if steps_after_request == 10:  # the workers still answer
                            break
            print("stopped after", step, flush=True)
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    children = [int(word) for word in process.stdout.readline().split()]
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("stopped after ")
    assert int(output.split()[-1]) < 399
    assert len(children) == 2
    assert not any(alive(child) for child in children)


def alive(process: int) -> bool:
    """Whether a process exists, after a moment to end in."""
    for _ in range(400):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def test_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got 0"):
        ImageStream(Numbered(), batch_size=0)
    with pytest.raises(ValueError, match="workers must be an integer of at least 0, got -1"):
        ImageStream(Numbered(), batch_size=1, workers=-1)
    stream = ImageStream(Numbered(), batch_size=4)
    with pytest.raises(TypeError, match=r"order must be a tensor of integers, got torch\.float32"):
        stream.batches(torch.zeros(3))
    with pytest.raises(TypeError, match="order must be a tensor of integers, got list"):
        stream.batches([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"order must have one axis, got shape \(2, 2\)"):
        stream.batches(torch.zeros(2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="numbers in 0 … 29, got numbers from 0 to 30"):
        stream.batches(torch.tensor([0, 30]))
    with pytest.raises(ValueError, match="start must be an integer of at least 0, got -1"):
        stream.batches(torch.tensor([0]), start=-1)
    assert list(stream.batches(torch.tensor([], dtype=torch.long))) == []


# Augmentation


def test_an_image_is_turned_by_its_number_alone() -> None:
    images = in_memory().images
    turn = Augmentation(seed=2, shift=2)
    whole = turn(images, torch.arange(COUNT), epoch=3)
    order = shuffled()
    assert torch.equal(turn(images[order], order, epoch=3), whole[order])
    assert torch.equal(turn(images[7:8], torch.tensor([7]), epoch=3), whole[7:8])
    assert not torch.equal(turn(images, torch.arange(COUNT), epoch=4), whole)
    other = Augmentation(seed=3, shift=2)
    assert not torch.equal(other(images, torch.arange(COUNT), epoch=3), whole)


def test_every_turn_is_as_frequent() -> None:
    """Two flips times nine shifts, told apart by the pixels that they bring to the middle."""
    image = torch.arange(25, dtype=torch.uint8).view(1, 1, 5, 5)
    count = 18_000
    turned = Augmentation(seed=0, shift=1)(
        image.expand(count, -1, -1, -1), torch.arange(count), epoch=0
    )
    kinds, frequency = turned.flatten(1).unique(dim=0, return_counts=True)
    assert len(kinds) == 18
    expected = count / 18
    chi_squared = float(((frequency - expected) ** 2 / expected).sum())
    assert chi_squared < 40.8  # 0.999 quantile of 17 degrees of freedom; the draws are fixed


def test_what_a_shift_does() -> None:
    image = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3)
    turned = Augmentation(seed=0, flip=False, shift=1)(
        image.expand(300, -1, -1, -1), torch.arange(300), epoch=0
    )
    kinds = {tuple(kind) for kind in turned.flatten(1).tolist()}
    assert len(kinds) == 9
    assert (0, 1, 2, 3, 4, 5, 6, 7, 8) in kinds
    assert (0, 0, 1, 0, 0, 1, 3, 3, 4) in kinds  # down and right, with the edge repeated
    assert (3, 4, 5, 6, 7, 8, 6, 7, 8) in kinds  # up
    mirrored = Augmentation(seed=0)(image.expand(50, -1, -1, -1), torch.arange(50), epoch=0)
    kinds = {tuple(kind) for kind in mirrored.flatten(1).tolist()}
    assert kinds == {(0, 1, 2, 3, 4, 5, 6, 7, 8), (2, 1, 0, 5, 4, 3, 8, 7, 6)}


@pytest.mark.parametrize(("argument", "value"), [("seed", -1), ("shift", -1), ("shift", 0.5)])
def test_augmentation_refused(argument: str, value: float) -> None:
    with pytest.raises((ValueError, TypeError), match=f"{argument} must be an integer"):
        Augmentation(**{"seed": 0, argument: value})  # type: ignore[arg-type]


@pytest.mark.gpu
def test_page_locked_batches() -> None:
    for workers in (0, 2):
        with ImageStream(in_memory(), batch_size=4, workers=workers, pin_memory=True) as stream:
            order = shuffled()
            batches = list(stream.batches(order))
        assert all(batch.is_pinned() for batch in batches)
        assert torch.equal(torch.cat(batches), in_memory().images[order])
    turn = Augmentation(seed=2, shift=2)
    images, order = in_memory().images, torch.arange(COUNT)
    on_device = turn(images.cuda(), order.cuda(), epoch=1)
    assert torch.equal(on_device.cpu(), turn(images, order, epoch=1))
