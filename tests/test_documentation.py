"""The Python of the README and of the guide runs as it stands, block after block."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "docs/any-argmax.md",
    "docs/attributes.md",
    "docs/command-line.md",
    "docs/denoising.md",
    "docs/hard-attention.md",
    "docs/index.md",
    "docs/mixed.md",
    "docs/structured.md",
    "docs/your-own-model.md",
)
"""Those that need neither images nor the results of a command."""


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where they may write
    blocks = re.findall(
        r"(?:^<!-- needs: (\w+) -->\n)?^```python\n(.*?)^```",
        (ROOT / page).read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert blocks
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        for number, (package, block) in enumerate(blocks, 1):
            if package and importlib.util.find_spec(package) is None:
                continue
            exec(compile(block, f"{page}, block {number}", "exec"), names)


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
