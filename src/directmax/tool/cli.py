"""The command line: flags to commands, errors to one line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import operator
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from directmax._choices import check_choice
from directmax._version import __version__
from directmax.tool.commands import (
    Compare,
    Data,
    Edit,
    Encode,
    Evaluate,
    Explore,
    Export,
    Gradients,
    Reproduce,
    Sample,
    Solvers,
    Sweep,
    Train,
)
from directmax.tool.config.setting import either, flag_of
from directmax.tool.config.settings import SETTINGS
from directmax.tool.environment import heard_signals, is_helper
from directmax.tool.files import printable

COMMANDS: dict[str, Any] = {
    "train": Train,
    "evaluate": Evaluate,
    "sample": Sample,
    "edit": Edit,
    "explore": Explore,
    "compare": Compare,
    "sweep": Sweep,
    "encode": Encode,
    "export": Export,
    "data": Data,
    "solvers": Solvers,
    "gradients": Gradients,
    "reproduce": Reproduce,
}
UNFINISHED = {
    "train": "--resume continues from the last checkpoint",
    "sweep": "call it again to do what is left",
    "reproduce": "call it again to do what is left",
}
"""Commands that print while they work: where the reader of a pipe leaves, they are not done."""


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
        goes_on = UNFINISHED.get(arguments[0] if arguments else "")
        return _fail(f"stopped, as nobody reads the output; {goes_on}", 2) if goes_on else 0
    except (UsageError, ValueError, TypeError) as error:
        if os.environ.get("DIRECTMAX_TRACEBACK"):
            raise
        return _fail(str(error), getattr(error, "exit_code", 2))
    except Exception as error:
        from directmax.tool.run.interrupt import Interrupted

        if isinstance(error, Interrupted):  # of all processes at once
            return 130 if is_helper() else _fail(str(error), 130)
        from directmax._memory import is_out_of_memory, memory_error

        if is_out_of_memory(error):
            reason = str(memory_error(error)) or "no more could be had"
            return _fail(f"out of memory ({reason}){_smaller(arguments)}", 2)
        if isinstance(error, OSError) and not os.environ.get("DIRECTMAX_TRACEBACK"):
            return _fail(_file_error(error), 2)
        raise
    return 0


def _run(arguments: list[str]) -> None:
    """Run a command; what it prints has been written at the end, or an OSError says why not."""
    if "--version" in arguments:
        from directmax.tool.run.provenance import git_commit

        print(f"directmax {__version__} (commit {git_commit() or 'unknown'})")
    else:
        try:
            _parse(arguments).run()
        except SystemExit:  # --help
            sys.stdout.flush()
            raise
    sys.stdout.flush()


def _smaller(arguments: list[str]) -> str:
    """Which flags to lower: those that were given, of those that take memory."""
    command = COMMANDS.get(arguments[0] if arguments else "")
    typed = {argument.partition("=")[0].replace("_", "-") for argument in arguments}
    flags = getattr(command, "memory", ())
    flags = tuple(flag for flag in flags if flag in typed) or flags
    return f"; try a smaller {either(flags)}" if flags else ""


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


def _parse(arguments: list[str]) -> Any:
    """The command, its flags set."""
    if arguments and not arguments[0].startswith("-"):
        check_choice("command", arguments[0], tuple(COMMANDS))
    if not arguments:
        arguments = ["--help"]
    _check_values(arguments)
    if arguments[0] in ("train", "sweep"):
        following = [*arguments[1:], ""]
        arguments = [
            word if after in ("yes", "no") else _switch(word)
            for word, after in zip(arguments, following, strict=True)
        ]
    what, prog, description = _program(arguments[0])
    words = arguments[1:] if arguments[0] in COMMANDS else arguments
    return _one_line_errors(
        lambda: tyro.cli(what, prog=prog, description=description, args=words), f"{prog} --help"
    )


def _program(name: str) -> tuple[Any, str, str | None]:
    """What is parsed, what it is called and its description: one command, or all by their names."""
    if name in COMMANDS:
        return COMMANDS[name], f"directmax {name}", None
    everything = functools.reduce(
        operator.or_,
        (Annotated[cls, tyro.conf.subcommand(name)] for name, cls in COMMANDS.items()),
    )
    return (
        everything,
        "directmax",
        f"directmax {__version__}: train through arg max. Try: directmax train",
    )


def _check_values(arguments: list[str]) -> None:
    """Refuse what tyro takes for nothing given: the word None, a list without an entry, a file of
    settings before another one."""
    if sum(argument.partition("=")[0] == "--config" for argument in arguments) > 1:
        raise UsageError("--config is given twice; expected one file: put all settings into it")
    command = COMMANDS.get(arguments[0])
    fields = [] if command is None else list(dataclasses.fields(command))
    for field in tuple(fields):  # settings are fields of one
        fields += (
            dataclasses.fields(field.default) if dataclasses.is_dataclass(field.default) else ()
        )
    lists = {
        flag_of(field.name)
        for field in fields
        if field.default == () or (field.default is None and "tuple[" in str(field.type))
    }
    for argument, after in zip(arguments, [*arguments[1:], "--"], strict=True):
        flag, equals, value = argument.partition("=")
        if not flag.startswith("--") or flag == "--":
            continue
        value = value if equals else after
        if value == "None":
            raise UsageError(f"{flag} must be a value, got 'None'; leave it out for the default")
        if flag in lists and not equals and value.startswith("--"):
            raise UsageError(f"{flag} needs at least one value; leave it out for the default")


def _switch(argument: str) -> str:
    """`--two-sided` and `--no-two-sided` as `--two-sided=yes` and `--two-sided=no`."""
    name = argument.replace("_", "-")
    switches = [each.flag for each in SETTINGS.values() if each.kind == "bool"]
    if name in switches:
        return f"{name}=yes"
    positive = name.replace("--no-", "--", 1)
    return f"{positive}=no" if name != positive and positive in switches else argument


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
    types = {
        "int()": "an integer",
        "{None}|INT": "an integer",
        "float": "a number",
        "FLOAT|{auto}": "a number or auto",
    }
    for pattern in (
        r"invalid literal for (?P<type>int\(\)).*: (?P<got>'.*')",
        r"could not convert string to (?P<type>float): (?P<got>'.*')",
        r"no type matching (?P<type>\S+) .* from \[(?P<got>'.*?')\].*",
    ):
        if found := re.fullmatch(r"Error parsing (?P<flag>--\S+): " + pattern, message):
            kind = types.get(found["type"], found["type"])
            return f"{found['flag']} must be {kind}, got {found['got']}"
    return message.rstrip(".")


def _outlive_parent(seconds: float = 10.0) -> bool:
    """Wait for the end of what started this process; should a helper fail before, it is killed.

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
    if is_helper():
        for number in heard_signals():  # torchrun ends it where the first process has failed
            signal.signal(number, lambda *_: os._exit(code))
        if not _outlive_parent():
            return code
    with contextlib.suppress(OSError):  # the terminal is gone
        print(f"directmax: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
