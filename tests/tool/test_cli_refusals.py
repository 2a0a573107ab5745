"""What the command line refuses: one line, exit code 2, nothing written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from command_line import TINY, call, refuse
from directmax.tool import cli


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--data mnst", "unknown data set 'mnst': choose from digits, mnist"),
        ("--data=", "unknown data set ''"),
        ("--estimator dirct", "did you mean 'direct'?"),
        ("--preset papr", "unknown preset 'papr': choose from default, paper; did you mean"),
        ("--preset=papr", "unknown preset 'papr'"),
        ("--binarize dynamically", "did you mean 'dynamic'?"),
        ("--values 1", "--values must be at least 2, got 1"),
        ("--variables=-1", "--variables must be at least 1, got -1"),
        ("--epsilon 0", "--epsilon must be a finite number above 0 or auto, got 0.0"),
        ("--epsilon -1", "--epsilon must be a finite number above 0 or auto, got -1.0"),
        ("--epsilon nan", "--epsilon must be a finite number above 0 or auto, got nan"),
        ("--epsilon atuo", "--epsilon must be a number or auto, got 'atuo'"),
        ("--temperature 0", "--temperature must be a finite number above 0"),
        ("--temperature nan", "--temperature must be a finite number above 0"),
        ("--learning-rate inf", "--learning-rate must be a finite number above 0, got inf"),
        ("--learning-rate fast", "--learning-rate must be a number, got 'fast'"),
        ("--kl-fraction nan", "--kl-fraction must be a number between 0 and 1"),
        ("--kl-gradient maybe", "--kl-gradient"),
        ("--epochs -1", "--epochs must be at least 1, got -1"),
        ("--epochs 1.5", "--epochs must be an integer, got '1.5'"),
        ("--epochs ten", "--epochs must be an integer, got 'ten'"),
        ("--epochs=", "--epochs must be an integer, got ''"),
        ("--model attributes", "digits has none: add --data celeba or --data fashion-mnist"),
        ("--model attributes --data celebs", "unknown data set with attributes 'celebs'"),
        (
            "--model mixed --grouped-until 0.2",
            "--grouped-until 0.2 is for --labels and --groups together; leave it out",
        ),
        (
            "--model mixed --labels 10 --no-groups --grouped-until 0.2",
            "--grouped-until 0.2 is for --labels and --groups together; leave it out",
        ),
        ("--model mixed --no-groups --shift 2", "--shift 2 is for runs with labels: add --labels"),
        ("--batch-size -1", "--batch-size must be at least 1"),
        ("--batch-size 1198", "--batch-size 1198 is more than the 1197 training images"),
        ("--seed -1", "--seed must be at least 0"),
        ("--seed 99999999999999999999", "--seed must be at most 9,223,372,036,854,775,807"),
        ("--precision 8", "unknown precision '8'"),
        ("--estimator exact --variables 20 --values 2", "2^20 states"),
        ("--estimator exact --variables 9999 --values 9", "9^9999 states"),
        ("--estimator exact --variables 1 --values 65537", "65537^1 states"),
        ("--hidden 100000000000000", "--hidden must be at most 65,536"),
        ("--device gpu", "unknown device 'gpu': choose auto, cpu, cuda, cuda:N or mps"),
        ("--device cuda:x", "unknown device"),
        ("--device cuda:99", "--device cuda:99 is not available here"),
        ("--devices 0", "--devices must be between 1 and 64, got 0"),
        ("--devices two", "--devices must be an integer, got 'two'"),
        ("--attributes", "--attributes needs at least one value"),
        ("--epsion 0.1", "Unrecognized options: --epsion, 0.1 (did you mean --epsilon?)"),
        ("--variables 1000000000", "--variables must be at most 10,000, got 1000000000"),
        ("--estimator exact --epsilon 1", "--epsilon 1.0 is for --estimator direct"),
        ("--temperature 2", "--temperature 2.0 is for"),
        ("--values", "Missing value for argument '--values'"),
        ("--preset", "Missing value for argument '--preset'"),
        ("--run-dir", "Missing value for argument '--run-dir'"),
        ("extra", "Unrecognized options: extra"),
        ("--two-sided=maybe", "maybe"),
        ("--resume", "config.json does not exist"),
        ("--resume --epochs 3", "config.json does not exist"),
        ("--data mnist --data-dir none", "none does not exist"),
    ],
)
def test_refused(here: Path, flags: str, words: str) -> None:
    message = refuse(*TINY, "--run-dir", "run", *flags.split())
    assert words in message
    assert "Traceback" not in message
    assert len(message) < 350
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "trian",
            "unknown command 'trian': choose from train, evaluate, sample, edit, ",
        ),
        ("--foo", "--foo"),
        ("train --foo", "see directmax train --help"),
        ("sweep --attributes --list", "--attributes needs at least one value"),
        ("evaluate", "RUN_DIR"),
        ("evaluate none", "none/config.json does not exist"),
        ("evaluate none extra", "extra"),
        ("sample none", "--output"),
        ("sample none --output x.png", "none/config.json does not exist"),
        ("train --resume", "--resume needs --run-dir"),
    ],
)
def test_commands_refused(here: Path, arguments: str, words: str) -> None:
    assert words in refuse(*arguments.split())
    assert list(here.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(here: Path, run_dir: Path) -> None:
    for command in ((*TINY,), ("evaluate", run_dir), ("sample", run_dir, "--output", "x.png")):
        message = refuse(*command, "--device", "cuda")
        assert message == "--device cuda is not available here; choose auto or cpu"
    assert "needs a GPU" in refuse(*TINY, "--precision", "16-mixed")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "empty"),
        (b"not an IDX file at all", "not an IDX file"),
        (b"\x1f\x8b\x08\x00broken gzip", "train-images-idx3-ubyte"),
        (bytes((0, 0, 8, 3, 0, 0, 234, 96, 0, 0, 0, 28, 0, 0, 0, 28)) + bytes(99), "truncated"),
        (bytes((0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2)) + bytes(4), "1×2×2"),
    ],
    ids=["empty", "foreign", "damaged", "truncated", "other shape"],
)
def test_damaged_data_files(here: Path, content: bytes | None, words: str) -> None:
    raw = here / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
            (raw / name).write_bytes(content or b"")
    message = refuse(*TINY, "--data", "mnist", "--data-dir", "data", "--run-dir", "run")
    assert words in message
    assert "train-images-idx3-ubyte" in message
    assert [path.name for path in here.iterdir()] == ["data"]


def test_tracebacks_on_request(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTMAX_TRACEBACK", "1")
    with pytest.raises(ValueError, match="--values"):
        call("train", "--values", "1")


# Files and memory: one line


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate",),
        (*TINY, "--run-dir"),
        ("train", "--resume", "--run-dir"),
        ("gradients", "--output"),
    ],
    ids=" ".join,
)
def test_a_name_that_is_too_long(here: Path, command: tuple[str, ...]) -> None:
    message = refuse(*command, "x" * 300)
    assert "x" * 300 in message
    assert "File name too long" in message
    assert list(here.iterdir()) == []


def test_a_picture_with_a_name_that_is_too_long(run_dir: Path) -> None:
    message = refuse("sample", run_dir, "--output", f"{'x' * 300}.png")
    assert "x.png: File name too long" in message


def test_a_folder_that_may_not_be_read(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "exists", forbidden)
    message = refuse("evaluate", run_dir)
    assert str(run_dir) in message
    assert "Permission denied" in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_output_that_cannot_be_written(flag: str) -> None:
    command = [sys.executable, "-m", "directmax.tool.cli", flag]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert result.stderr == "directmax: cannot read or write: No space left on device\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7 TiB"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("the card is full"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=str,
)
def test_out_of_memory(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert "try a smaller --batch-size" in refuse("train")
    assert "try a smaller --hidden or --devices" in refuse("train", "--devices=2", "--hidden", "9")
    assert refuse("evaluate", "x").endswith("try a smaller --samples")


ALLOCATE = """
import resource, sys
import torch
from directmax.tool import cli
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
def fail(arguments):
    if "--hidden" in arguments:
        torch.linalg.svd(torch.zeros(15_000, 15_000))
    torch.zeros(10**10)
cli._run = fail
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_library_that_finds_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """llvmlite says that its file was not found."""

    def fail(arguments: list[str]) -> None:
        try:
            raise OSError("libllvmlite.so: failed to map segment from shared object")
        except OSError:
            raise OSError("Could not find/load shared object file") from None

    monkeypatch.setattr(cli, "_run", fail)
    said = refuse("train")
    assert said.startswith("out of memory (libllvmlite.so: failed to map segment")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--hidden", "9")])
def test_memory_that_really_is_not_there(flags: tuple[str, ...]) -> None:
    """The words are torch's own, so that a version with others is noticed."""
    command = [sys.executable, "-c", ALLOCATE, "train", *flags]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("directmax: out of memory (")
    assert result.stderr.count("\n") == 1


def test_an_illegal_access_is_not_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(RuntimeError, match="illegal"):
        call("train")


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_name_is_no_folder(here: Path, empty: str) -> None:
    """As of a shell's variable that is not set; it is not taken for the flag being left out."""
    assert "run-dir must name a folder, got an empty name" in refuse(*TINY, "--run-dir", empty)
    assert not list(here.iterdir())
