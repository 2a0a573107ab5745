"""The command line: flags to commands, errors to one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from directmax._choices import check_choice
from directmax._version import __version__
from directmax.tool.commands import (
    Edit,
    Evaluate,
    Gradients,
    Reproduce,
    Sample,
    Solvers,
    Train,
)
from directmax.tool.config.rules import CHOSEN
from directmax.tool.config.train import PRESETS, TrainConfig
from directmax.tool.environment import is_helper

COMMANDS = ("train", "evaluate", "sample", "edit", "solvers", "gradients", "reproduce")


class UsageError(Exception):
    """The command line could not be understood; one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if is_helper():
        warnings.simplefilter("ignore")  # the first process says it
    try:
        _run(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of a pipe left
        _drop_output()
        return 0
    except (UsageError, ValueError, TypeError) as error:
        if os.environ.get("DIRECTMAX_TRACEBACK"):
            raise
        return _fail(str(error), getattr(error, "exit_code", 2))
    except Exception as error:
        from directmax.tool.run.interrupt import Interrupted

        if isinstance(error, Interrupted):
            return _fail(str(error), 130)
        from directmax.tool.jobs.faults import is_memory

        if is_memory(error):
            return _fail(f"{error}; try a smaller --batch-size, --num-samples or --hidden", 2)
        if isinstance(error, OSError) and not os.environ.get("DIRECTMAX_TRACEBACK"):
            return _fail(_file_error(error), 2)
        raise
    return 0


def _run(arguments: list[str]) -> None:
    """Run a command; what it prints has been written at the end, or an OSError says why not."""
    if "--version" in arguments:
        print(f"directmax {__version__}")
    else:
        try:
            _parse(arguments).run()
        except SystemExit:  # --help
            sys.stdout.flush()
            raise
    sys.stdout.flush()


def _file_error(error: OSError) -> str:
    """What could not be read or written, and why."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    what = "read or write" if error.filename is None else f"use {error.filename}"
    return f"cannot {what}: {error.strerror or str(error) or type(error).__name__}"


def _drop_output() -> None:
    """What cannot be printed would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(
    arguments: list[str],
) -> Train | Evaluate | Sample | Edit | Solvers | Gradients | Reproduce:
    if arguments and not arguments[0].startswith("-"):
        check_choice("command", arguments[0], COMMANDS)
    default = _default_config(arguments)
    commands = Annotated[Train, tyro.conf.subcommand("train", default=Train(default))]
    everything: Any = (
        commands
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Sample, tyro.conf.subcommand("sample")]
        | Annotated[Edit, tyro.conf.subcommand("edit")]
        | Annotated[Solvers, tyro.conf.subcommand("solvers")]
        | Annotated[Gradients, tyro.conf.subcommand("gradients")]
        | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
    )
    description = f"directmax {__version__}: train through arg max. Try: directmax train"
    if not arguments:
        arguments = ["--help"]
    return _one_line_errors(
        lambda: tyro.cli(everything, prog="directmax", description=description, args=arguments),
        f"directmax {arguments[0]} --help" if arguments[0] in COMMANDS else "directmax --help",
    )


def _default_config(arguments: list[str]) -> TrainConfig:
    """What flags are laid over: a preset, or with --resume the stored configuration."""
    if arguments[:1] != ["train"] or {"-h", "--help"} & set(arguments):
        return _unresolved(TrainConfig())
    if "--resume" in arguments:
        folder = _flag_value(arguments, "--run-dir")
        if not folder:
            raise UsageError("--resume needs --run-dir, the folder of the run to continue")
        if _flag_value(arguments, "--preset") is None:
            from directmax.tool.run.run_folder import RunFolder

            return RunFolder(folder).config()
    name = _flag_value(arguments, "--preset") or "default"
    check_choice("preset", name, tuple(PRESETS))
    preset = PRESETS[name]
    if name == "default":  # what 0 stands for depends on flags that are not yet parsed
        return _unresolved(preset)
    return preset


def _unresolved(preset: TrainConfig) -> TrainConfig:
    """The preset with 0 or auto for what the configuration chooses by itself."""
    config = dataclasses.replace(preset)
    for name in CHOSEN:
        object.__setattr__(config, name, getattr(TrainConfig, name))
    return config


def _flag_value(arguments: list[str], flag: str) -> str | None:
    value = None
    for index, argument in enumerate(arguments):
        name, separator, rest = argument.partition("=")
        if name.replace("_", "-") == flag:
            value = rest if separator else "".join(arguments[index + 1 : index + 2])
    return value


def _one_line_errors(parse: Callable[[], Any], help_command: str) -> Any:
    """Turn tyro's boxed message into one line."""
    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            return parse()
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        # A box of sections, drawn with lines or (where the terminal is not UTF-8) with hyphens:
        # a title, the message, and perhaps a similar flag.
        title, *lines = [line.strip("│╭╮╰╯ ") for line in captured.getvalue().splitlines()]
        rule = [not line.strip("─-") for line in lines]
        start = next((i for i, is_rule in enumerate(rule) if not is_rule), 0)
        cut = next((i for i in range(start, len(rule)) if lines[i] and rule[i]), len(rule))
        message = " ".join(" ".join(lines[start:cut]).split()) or title
        hint = re.search(r"you meant.*?(--[a-z][a-z-]*)", " ".join(lines[cut:]))
        suggestion = f" (did you mean {hint.group(1)}?)" if hint else ""
        raise UsageError(f"{_plain(message)}{suggestion}; see {help_command}") from None


def _plain(message: str) -> str:
    """tyro's words about a value of the wrong type, in ours."""
    words = {"int()": "an integer", "float": "a number", "FLOAT|{auto}": "a number or auto"}
    for pattern in (
        r"invalid literal for (?P<type>int\(\)).*: (?P<got>'.*')",
        r"could not convert string to (?P<type>float): (?P<got>'.*')",
        r"no type matching (?P<type>\S+) .* from \[(?P<got>'.*?')\].*",
    ):
        if found := re.fullmatch(r"Error parsing (?P<flag>--\S+): " + pattern, message):
            kind = words.get(found["type"], found["type"])
            return f"{found['flag']} must be {kind}, got {found['got']}"
    return message.rstrip(".")


def _outlive_parent(seconds: float = 10.0) -> bool:
    """Wait for the end of the first process; should a helper fail before, Lightning kills it.

    Returns:
        Whether the first process goes on: it does not know what is wrong.
    """
    parent, end = os.getppid(), time.monotonic() + seconds
    while os.getppid() == parent > 1:
        if time.monotonic() > end:
            return True
        time.sleep(0.05)
    return False


def _fail(message: str, code: int) -> int:
    if is_helper() and not _outlive_parent():
        return code
    print(f"directmax: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
