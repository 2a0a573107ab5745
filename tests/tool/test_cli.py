"""Help, flags and the commands on a finished run; what training does is tested in `run/`."""

from __future__ import annotations

import dataclasses
import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import directmax
from command_line import read, refuse, succeed
from directmax.tool import cli
from directmax.tool.commands.jobs import words_of
from directmax.tool.config import PRESETS, ResolvedConfig, TrainConfig
from directmax.tool.config.settings import SETTINGS
from settings_in_use import USED


def parsed(*arguments: str) -> ResolvedConfig:
    """The configuration that the flags of `train` make."""
    command = cli._parse(["train", *arguments])
    assert isinstance(command, cli.Train)
    return command.config()


# Help


@pytest.mark.parametrize(
    "command", [(), *((name,) for name in cli.COMMANDS if name != "reproduce")]
)
def test_help(command: tuple[str, ...]) -> None:
    outcome = succeed(*command, "--help")
    assert outcome.out.startswith(f"usage: {' '.join(('directmax', *command))}")
    assert "{None}" not in outcome.out
    assert max(map(len, outcome.out.splitlines()[1:])) <= 100  # the first names all commands


def test_help_explains_every_flag() -> None:
    text = succeed("train", "--help").out
    for name in SETTINGS:
        assert f"--{name.replace('_', '-')}" in text
    for word in ("omniglot", "local-expectation", "paper", "dynamic", "bf16-mixed"):
        assert word in text


def test_no_arguments_is_help() -> None:
    assert succeed().out == succeed("--help").out


def test_version() -> None:
    words = rf"directmax {re.escape(directmax.__version__)} \(commit (unknown|[0-9a-f]+\S*)\)\n"
    assert re.fullmatch(words, succeed("--version").out)


def test_help_and_refusals_do_not_import_torch() -> None:
    script = """
import contextlib, sys
from directmax.tool.cli import main
for arguments in (["--help"], ["train", "--help"], ["evaluate", "-h"], ["sample", "-h"],
                  ["gradients", "-h"], ["solvers", "-h"], ["--version"], ["train", "--values", "1"],
                  ["train", "--estimator", "x"],
                  ["train", "--preset", "x"], ["trian"], ["evaluate"], ["train", "--resume"],
                  ["train", "--resume", "--run-dir", "/none"]):
    with contextlib.suppress(SystemExit):
        main(arguments)
print("torch" in sys.modules, "matplotlib" in sys.modules)
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False False"


def test_help_is_fast() -> None:
    """Under a second of a processor, the best of two; by the clock it depends on who else runs."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    for arguments in (["--help"], ["train", "--help"]):
        times = []
        for _ in range(2):  # the first may compile bytecode
            before = spent()
            command = [sys.executable, "-m", "directmax.tool.cli", *arguments]
            subprocess.run(command, capture_output=True, check=True)
            times.append(spent() - before)
        assert min(times) < 1


# Presets and flags


def test_presets() -> None:
    assert parsed() == parsed("--preset", "default") == TrainConfig().resolve()
    assert parsed("--preset", "paper") == PRESETS["paper"].resolve()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--preset", "paper", "--epochs", "3", "--data", "omniglot"),
        ("--epochs", "3", "--preset", "paper", "--data", "omniglot"),
        ("--epochs=3", "--data=omniglot", "--preset=paper"),
        ("--data", "omniglot", "--epochs=3", "--preset=paper", "--kl-start=1.0"),
    ],
)
def test_flags_win_over_the_preset_in_any_order(arguments: tuple[str, ...]) -> None:
    given = {"--kl-start": {"kl_start": 1.0}}
    more = [values for flag, values in given.items() if any(flag in each for each in arguments)]
    expected = dataclasses.replace(PRESETS["paper"], data="omniglot", epochs=3)
    assert parsed(*arguments) == dataclasses.replace(expected, **(more or [{}])[0]).resolve()


def test_a_flag_that_repeats_the_default_wins_over_the_preset() -> None:
    paper = PRESETS["paper"].resolve()
    assert parsed("--preset", "paper", "--learning-rate-schedule", "cosine") != paper
    assert parsed("--preset", "paper", "--data", "digits").epochs == paper.epochs


@pytest.mark.parametrize("name", SETTINGS)
def test_every_flag(name: str) -> None:
    common, value = USED.get(name, ({}, None))
    plain = TrainConfig(**common).resolve()
    value = getattr(plain, name) + 1 if value is None else value
    flags = [word for key, each in {**common, name: value}.items() for word in words(key, each)]
    found = parsed(*flags)
    assert found == TrainConfig(**{**common, name: value}).resolve()
    assert found != plain


def words(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *(value if isinstance(value, tuple) else [str(value)])]


def test_words_for_numbers() -> None:
    assert parsed("--epsilon", "auto").epsilon == "auto"
    assert parsed("--epsilon", "1e-2").epsilon == 0.01
    assert parsed("--no-two-sided") == TrainConfig(two_sided=False).resolve()
    assert parsed("--learning_rate", "0.5").learning_rate == 0.5


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("reproduce figure4 --seeds 0 1 --output o --workers 3 --compile", {}),
        (
            "sweep --config c.toml --engine ray --workers 2 --values 3 9 --two-sided yes no",
            {"config_file": "--config"},
        ),
    ],
)
def test_what_was_given_can_be_typed_again(line: str, names: dict[str, str]) -> None:
    name, *words = line.split()
    typed = words_of(cli._parse([name, *words]), names)
    assert sorted(typed) == sorted(words)
    assert cli._parse([name, *typed]) == cli._parse([name, *words])
    bare = words[:1] if name == "reproduce" else []
    assert words_of(cli._parse([name, *bare])) == bare


# Evaluate


def test_evaluate_gives_the_numbers_of_the_summary(run_dir: Path) -> None:
    outcome = succeed("evaluate", run_dir, "--json")
    results = json.loads(outcome.out)
    summary = read(run_dir / "summary.json")
    assert set(results) == {"train", "validation", "test"}
    assert results["validation"] == summary["validation"]
    assert results["test"] == summary["test"]


def test_evaluate_prints_a_table(run_dir: Path) -> None:
    out = succeed("evaluate", run_dir, "--device", "cpu").out
    bound = read(run_dir / "summary.json")["test"]["bound"]
    assert f"{bound:.2f}" in out
    assert [word in out for word in ("train", "validation", "test", "nats")] == [True] * 4


def test_evaluate_leaves_the_run_as_it_was(run_dir: Path) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    succeed("evaluate", run_dir)
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_evaluate_needs_a_split(run_dir: Path) -> None:
    message = refuse("evaluate", run_dir, "--splits")
    assert message == "--splits needs at least one of train, validation and test"


@pytest.mark.parametrize(
    "flags",
    [
        *("--samples 0", "--samples 1000000000", "--samples x", "--seed x", "--seed -1"),
        *(f"--seed {10**40}", "--device tpu"),
    ],
)
def test_evaluate_refuses(run_dir: Path, flags: str) -> None:
    refuse("evaluate", run_dir, *flags.split())


# As a program


def test_the_console_script(here: Path) -> None:
    script = Path(sys.executable).parent / "directmax"
    if not script.exists():
        pytest.skip("the package is not installed with its script")
    version = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert version.returncode == 0
    assert version.stdout.startswith(f"directmax {directmax.__version__} (commit ")
    wrong = subprocess.run([script, "train", "--values", "1"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "directmax: --values must be at least 2, got 1\n"


@pytest.mark.slow
def test_train_with_no_flags(here: Path) -> None:
    command = [sys.executable, "-m", "directmax.tool.cli", "train"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    *_, last = result.stdout.splitlines()
    report = Path(last.removeprefix("report: "))
    summary = read(report.parent / "summary.json")
    assert report.is_file()
    assert read(report.parent / "config.json")["config"] == TrainConfig().resolve().to_dict()
    assert summary["test"]["bound"] < 23
    assert len(result.stdout.splitlines()) < 40
