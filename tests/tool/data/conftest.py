"""Small data sets, a web server, and folders that no test shares with a user."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import Server, SmallMnist, SmallOmniglot, idx_bytes, use_cache

from directmax.tool.data import DataError, download, mnist, omniglot
from directmax.tool.data.idx import IdxFile
from directmax.tool.data.omniglot_png import Archive

OFFICIAL_FOLDER = os.environ.get("DIRECTMAX_DATA")


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No user folder, no environment variable, no proxy, no waiting between attempts."""
    use_cache(monkeypatch, tmp_path / "cache")
    monkeypatch.delenv("DIRECTMAX_DATA", raising=False)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setattr(download, "RETRIES", 0)


@pytest.fixture(scope="session")
def official_folder() -> Path:
    """The folder of real data files that DIRECTMAX_DATA names."""
    if not OFFICIAL_FOLDER:
        pytest.skip("DIRECTMAX_DATA is not set")
    return Path(OFFICIAL_FOLDER)


@pytest.fixture
def fault() -> Callable[..., str]:
    """Call something that must raise `DataError`, and return its message, which is one line."""

    def call(function: Callable[..., object], *args: Any, **kwargs: Any) -> str:
        with pytest.raises(DataError) as caught:
            function(*args, **kwargs)
        message = str(caught.value)
        assert "\n" not in message
        assert "; " in message, "a message ends in what to do"
        return message

    return call


# IDX files


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> SmallMnist:
    """`load_images("mnist")` loads small generated files in this test."""
    random = np.random.default_rng(7)
    arrays = [
        random.integers(0, 256, (30, 4, 3), dtype=np.uint8),
        random.integers(0, 10, 30, dtype=np.uint8),
        random.integers(0, 256, (10, 4, 3), dtype=np.uint8),
        random.integers(0, 10, 10, dtype=np.uint8),
    ]
    files = tuple(
        IdxFile(file.title, file.name, array.shape, hashlib.md5(idx_bytes(array)).hexdigest())
        for file, array in zip(mnist.MNIST.files, arrays, strict=True)
    )
    family = replace(mnist.MNIST, files=files, num_validation=8, mirrors=())
    monkeypatch.setattr(mnist, "MNIST", family)
    return SmallMnist(family, arrays)


# Omniglot


@pytest.fixture
def small_omniglot(monkeypatch: pytest.MonkeyPatch) -> SmallOmniglot:
    """`load_images("omniglot")` loads small generated archives in this test."""
    random = np.random.default_rng(11)
    alphabets = {
        "images_background": ("Korean", "Arcadian", "Zulu_(x)"),
        "images_evaluation": ("ULOG", "Angelic", "Malayalam"),
    }
    drawings = {
        archive: {
            f"{alphabet}/character{character:02}/{character:04}_{drawing:02}.png": random.random(
                (105, 105)
            )
            < 0.2
            for alphabet in names
            for character in (1, 2)
            for drawing in range(1, 6)
        }
        for archive, names in alphabets.items()
    }
    archives = []
    for archive, part in drawings.items():
        digest = hashlib.sha256()
        for name, ink in sorted(part.items()):
            digest.update(name.encode() + b"\n" + np.packbits(ink).tobytes())
        archives.append(Archive(archive, len(part), "0" * 32, digest.hexdigest()))
    monkeypatch.setattr(omniglot, "ARCHIVES", tuple(archives))
    monkeypatch.setattr(omniglot, "MIRRORS", ())
    monkeypatch.setattr(omniglot, "SIZES", omniglot.Sizes(train=36, validation=6, test=12))
    return SmallOmniglot(drawings)


# A web server


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append(self.path)
            answer = site.answers.get(self.path, 404)
            if isinstance(answer, int):
                self.send_error(answer)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        site = Server(f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield site
        httpd.shutdown()
        thread.join()
