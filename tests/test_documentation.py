"""The Python of the README and of the guide runs as it stands, and its commands can be parsed.

A block that cannot run says so in the line above it: `<!-- not run: why -->`, or, where it can run
with a package, `<!-- not run: without PACKAGE -->`.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import drawn_faces
from directmax.tool import cli
from directmax.tool.config import TrainConfig
from directmax.tool.run.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "_build" not in path.parts
}
SHELLS = ("console", "bash", "sh", "shell")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: after the fence.
        text: without the fences.
        reason: why it is not run; None: it is.
    """

    language: str
    text: str
    reason: str | None


def blocks(page: str) -> list[Block]:
    """The fenced blocks in order."""
    pattern = r"^(?:<!-- not run: (.+) -->\n+)?```(\w*)\n(.*?)^```"
    found = re.findall(pattern, PAGES[page], re.DOTALL | re.MULTILINE)
    return [Block(language, text, reason or None) for reason, language, text in found]


def commands(page: str) -> list[str]:
    """What the reader types, after a prompt or without; lines that go on are one."""
    lines = []
    for block in blocks(page):
        joined = block.text.replace("\\\n", " ").splitlines()
        if block.language in SHELLS:
            lines += [line.removeprefix("$ ") for line in joined]
        elif block.language == "text":
            lines += [line.removeprefix("$ ") for line in joined if line.startswith("$ ")]
    words = r"^(?:torchrun .*--no-python )?(?:\.venv/bin/)?directmax (?=[a-z-])"
    return [re.sub(words, "", line) for line in lines if re.match(words, line)]


PYTHON = [page for page in PAGES if any(b.language == "python" for b in blocks(page))]
COMMANDS = [page for page in PAGES if commands(page)]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten drawn faces in the place of CelebA."""
    folder = tmp_path_factory.mktemp("data")
    drawn_faces.write(folder, 10, seed=0, processes=1)
    return folder


def _runs(reason: str | None) -> bool:
    """Whether a block runs: always, or with a package that is there."""
    if reason is None:
        return True
    package = re.fullmatch(r"without (\w+)", reason)
    return package is not None and importlib.util.find_spec(package[1]) is not None


@pytest.mark.parametrize("page", PYTHON)
def test_python_blocks_run(
    page: str, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where they may write
    monkeypatch.setenv("DIRECTMAX_DATA", str(data_dir))
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        for number, block in enumerate(blocks(page), 1):
            if block.language == "python" and _runs(block.reason):
                exec(compile(block.text, f"{page}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", COMMANDS)
def test_commands_can_be_parsed(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFolder, "config", lambda folder: TrainConfig().resolve())  # of --resume
    for command in commands(page):
        arguments = shlex.split(re.sub(r" \[.*?\]", "", command), comments=True)
        if not {"--help", "--version"} & set(arguments):
            cli._parse(arguments)


def test_what_is_looked_for_is_found() -> None:
    assert {"README.md", "docs/your-own-model.md"} <= set(PYTHON)
    assert {"docs/reproduce.md", "docs/command-line.md"} <= set(COMMANDS)
    skipped = [block for page in PYTHON for block in blocks(page) if block.reason]
    assert len(skipped) == sum(text.count("<!-- not run:") for text in PAGES.values())


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", PAGES["README.md"])
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
