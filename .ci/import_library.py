"""Import every module of the library, where only the library is installed; the tool must say so."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import directmax

ROOT = Path(directmax.__file__).parent
paths = [path.relative_to(ROOT.parent) for path in sorted(ROOT.rglob("*.py"))]
names = [
    ".".join(path.parent.parts if path.stem == "__init__" else path.with_suffix("").parts)
    for path in paths
    if path.parts[1] not in ("tool", "__main__.py")
]
for name in names:
    importlib.import_module(name)
tool = [name for name in sys.modules if name.startswith("directmax.tool")]
assert not tool, f"the library imports {tool}"

command = Path(sys.executable).with_name("directmax")
refused = subprocess.run([command, "train"], capture_output=True, text=True)
assert refused.returncode == 2, refused
assert refused.stderr.count("\n") == 1, refused.stderr
assert "directmax[tool]" in refused.stderr, refused.stderr
print(f"{len(names)} modules without the tool")
