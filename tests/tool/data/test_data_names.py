"""Names, lazy imports, and arguments of `load_images`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import directmax.tool.data
from directmax.tool.data import DATASETS, load_images
from directmax.tool.data.errors import DataError, reason


def test_names_do_not_import_torch() -> None:
    program = (
        "import sys, directmax.tool.data.names as names; from directmax.tool.data import DATASETS; "
        "assert names.DATASETS is DATASETS; "
        "sys.exit(int(any(m in sys.modules for m in ('torch', 'numpy', 'pooch'))))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_everything_exported_is_there() -> None:
    for name in directmax.tool.data.__all__:
        assert getattr(directmax.tool.data, name) is not None
        assert name in dir(directmax.tool.data)
    with pytest.raises(AttributeError, match="no_such_thing"):
        directmax.tool.data.no_such_thing  # noqa: B018


def test_submodules_do_not_hide_functions() -> None:
    import directmax.tool.data.binarization
    import directmax.tool.data.load

    assert callable(directmax.tool.data.binarize)
    assert callable(directmax.tool.data.load_images)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("minst", "mnist"), ("Fashion_MNIST", "fashion-mnist"), ("omniglott", "omniglot")],
)
def test_unknown_name_suggests(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{meant}'") as caught:
        load_images(name)
    assert all(choice in str(caught.value) for choice in DATASETS)
    assert not isinstance(caught.value, DataError)


def test_wrong_types() -> None:
    with pytest.raises(TypeError, match="name must be a string"):
        load_images(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data_dir must be a path"):
        load_images("digits", data_dir=3)  # type: ignore[arg-type]


def test_errors_are_one_line() -> None:
    assert str(DataError("a\n  b\r\nc")) == "a b c"
    assert reason(PermissionError(13, "Permission denied", "x")) == "Permission denied"
    assert reason(EOFError()) == "EOFError"
    assert reason(ValueError("two\nlines")) == "two lines"
