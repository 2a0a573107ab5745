"""Random wrong command lines: exit code 2, one line that names the flag, nothing left behind."""

from __future__ import annotations

import dataclasses
import random
import typing
from pathlib import Path

import pytest

from command_line import call
from damage import in_time
from directmax.tool.cli import COMMANDS
from directmax.tool.config.settings import SETTINGS

WRONG = {
    "int": ("x", "1.5", "", "nan", "-1", "-10000000000", "9" * 40, "1e3", "0x10", "1,000"),
    "float": ("x", "", "nan", "inf", "-inf", "-1", "1e999", "1,5", "--"),
    "bool": ("maybe", "2", "", "None"),
    "word": ("nonsense", "", "DIRECT", " ", "a b", "\x1b[31m", "é", "9"),
    "device": ("tpu", "cuda:99", "", "cuda:-1", "cpu:0:0", "cuda:x", "mps"),
    "folder": ("missing", "file", "", " ", "x" * 300, "file/below"),
    "picture": ("x.jpg", "", "missing/x.png", ".", "x" * 300 + ".png", "file/x.png", "noending"),
}
KINDS = {
    **{"device": "device", "data_dir": "folder", "run_dir": "folder"},
    **{"engine": "word", "strategy": "word", "scale": "word", "preset": "word", "split": "word"},
}
TRIED = ("train", "evaluate", "sample", "edit", "solvers", "gradients", "reproduce")
"""The others ask for more files than words; their own tests have their refusals."""
RUN_DIR = ("evaluate", "sample", "edit")
NEEDS = {
    "train": ("--epochs", "1", "--hidden", "4", "--device", "cpu"),
    "sample": ("--output", "x.png"),
    "edit": ("face.png", "--set", "Smiling=1"),
    "reproduce": ("figure2", "--dry-run"),
}
"""What makes the rest of the command right, or nearly so."""


def flags(command: str) -> dict[str, str]:
    """The flags of a command, and the kind of each."""
    found: dict[str, str] = {}
    if command == "train":
        for each in SETTINGS.values():
            found[each.flag] = "word" if each.kind in ("str", "tuple") else each.kind
    hints = typing.get_type_hints(COMMANDS[command])
    fields = dataclasses.fields(COMMANDS[command])
    for name in {"request", "jobs"} & set(hints):  # flags that are fields of one
        fields = (*dataclasses.fields(hints[name]), *fields)
        hints = hints | typing.get_type_hints(hints[name])
    for field in fields:
        if field.name in (
            "flags",
            "request",
            "jobs",
            "name",
            "image",
            "changes",
            "run_dir",
            "output",
        ):
            continue
        if field.name == "data_dir" and command in ("sample", "edit"):  # do without, and say so
            continue
        text = str(hints[field.name])
        kind = next((each for each in ("bool", "int", "float") if each in text), None)
        kind = KINDS.get(field.name, kind)
        if kind is not None and kind != "bool":
            found["--" + field.name.replace("_", "-")] = kind
    if command == "sample":
        found["--output"] = "picture"
    return found


def wrong_command(draw: random.Random, run_dir: str) -> tuple[list[str], str | None]:
    """A command line, and the flag that is wrong."""
    command = draw.choice([each for each in COMMANDS if each in TRIED])
    words = [command]
    if command in RUN_DIR:
        words.append(run_dir)
    words += NEEDS.get(command, ())
    kind = draw.random()
    if kind < 0.05:
        return [*words, "--nonsense", "1"], "--nonsense"
    if kind < 0.1:
        return [*words, "one", "too", "many"], None
    if kind < 0.15 and command in RUN_DIR:
        return [command, draw.choice(WRONG["folder"]), *words[2:]], None
    flag, of = draw.choice(tuple(flags(command).items()))
    if kind < 0.2 and of != "bool":  # which may stand alone
        return [*words, flag], flag
    value = draw.choice(WRONG[of])
    if flag == "--labels" and value == "0":
        value = "-1"
    return [*words, f"{flag}={value}"], flag


def faults(count: int, seed: int, run_dir: Path, here: Path) -> list[str]:
    draw, found = random.Random(seed), []
    for _ in range(count):
        words, flag = wrong_command(draw, str(run_dir))
        case = f"directmax {words}"
        with in_time(case, 100):
            outcome = call(*words)
        lines = outcome.err.splitlines()
        flag = flag or words[0]
        names = (
            flag,
            flag[2:],
            flag[2:].replace("-", "_"),
            "unknown",
            "cannot write",
            "cannot look at",
        )
        named = flag == words[0] or any(name in outcome.err for name in names)
        named = named or words[0] == "edit"  # this run has no attributes, which is said instead
        if outcome.code != 2 or len(lines) != 1 or not lines[0].startswith("directmax: "):
            found.append(f"{case}: {outcome}")
        elif not named:
            found.append(f"{case}: does not name the flag: {lines[0]}")
        left = sorted(path.name for path in here.iterdir() if path.name != "file")
        if left:
            found.append(f"{case}: leaves {left}")
            break
    return found


@pytest.mark.parametrize(
    ("count", "seed"), [(6, 0), *(pytest.param(300, n, marks=pytest.mark.slow) for n in (1, 2, 3))]
)
def test_wrong_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_dir: Path, count: int, seed: int
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "file").write_text("in the way")
    monkeypatch.chdir(here)
    assert faults(count, seed, run_dir, here) == []
