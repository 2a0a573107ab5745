"""Downloads, from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from data_files import Server, SmallMnist, SmallOmniglot, use_cache
from rich.console import Console

from directmax.tool.data import download, load_images, mnist, omniglot
from directmax.tool.data.download import Remote, fetch
from directmax.tool.data.locate import user_cache

Fault = Callable[..., str]
CONTENT = b"content" * 1000


def remote(server: Server, *mirrors: str, content: bytes = CONTENT) -> Remote:
    return Remote(
        "folder/file.bin",
        tuple(f"{server.url}/{mirror}/" for mirror in mirrors),
        known_hash=f"md5:{hashlib.md5(content).hexdigest()}",
    )


def files_below(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_first_mirror_suffices(server: Server, tmp_path: Path) -> None:
    server.answers = {"/a/file.bin": CONTENT}
    path = fetch(remote(server, "a", "b"), tmp_path / "new" / "root")
    assert path.read_bytes() == CONTENT
    assert server.requests == ["/a/file.bin"]
    assert files_below(tmp_path) == [
        "new",
        "new/root",
        "new/root/folder",
        "new/root/folder/file.bin",
    ]


@pytest.mark.parametrize("answer", [b"wrong", b"", 404, 503])
def test_next_mirror_is_tried(server: Server, tmp_path: Path, answer: bytes | int) -> None:
    server.answers = {"/a/file.bin": answer, "/b/file.bin": CONTENT}
    assert fetch(remote(server, "a", "b"), tmp_path).read_bytes() == CONTENT
    assert server.requests == ["/a/file.bin", "/b/file.bin"]
    assert files_below(tmp_path) == ["folder", "folder/file.bin"]


def test_unreachable_mirror_is_passed_over(server: Server, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    server.answers = {"/b/file.bin": CONTENT}
    good = remote(server, "b")
    assert fetch(replace(good, mirrors=(dead, *good.mirrors)), tmp_path).read_bytes() == CONTENT


def test_retries(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setattr(download, "RETRIES", 2)
    server.answers = {"/a/file.bin": 503, "/b/file.bin": CONTENT}
    fetch(remote(server, "a", "b"), tmp_path)
    assert server.requests == ["/a/file.bin"] * 3 + ["/b/file.bin"]
    assert 1 in waits
    assert 2 in waits


def test_all_mirrors_fail(server: Server, tmp_path: Path, fault: Fault) -> None:
    server.answers = {"/a/file.bin": b"wrong", "/b/file.bin": 503}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    both = remote(server, "a", "b", "c")
    message = fault(fetch, replace(both, mirrors=(*both.mirrors, dead)), tmp_path)
    assert f"{server.url}/a/file.bin (MD5 hash of downloaded file" in message
    assert f"expected {both.known_hash} but got {hashlib.md5(b'wrong').hexdigest()})" in message
    assert f"{server.url}/b/file.bin (HTTP 503 Service Unavailable)" in message
    assert f"{server.url}/c/file.bin (HTTP 404 Not Found)" in message
    assert f"{dead}file.bin (no connection)" in message
    assert f"put the file at {tmp_path / 'folder/file.bin'} by hand" in message
    assert files_below(tmp_path) == []


def test_interruption_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        raise KeyboardInterrupt

    server.answers = {"/a/file.bin": CONTENT}
    with pytest.raises(KeyboardInterrupt):
        fetch(replace(remote(server, "a"), check=interrupt), tmp_path)
    assert files_below(tmp_path) == []


def test_timeout(
    server: Server, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        message = fault(fetch, replace(remote(server), mirrors=(mirror,)), tmp_path)
    assert "(timed out)" in message


def test_unwritable_folder(server: Server, tmp_path: Path, fault: Fault) -> None:
    server.answers = {"/a/file.bin": CONTENT}
    (tmp_path / "folder").touch()  # in the way
    message = fault(fetch, remote(server, "a"), tmp_path)
    assert f"cannot save file.bin in {tmp_path}" in message
    message = fault(fetch, remote(server, "a"), tmp_path / "folder" / "below")
    assert "cannot save" in message
    assert files_below(tmp_path) == ["folder"]


def test_file_is_readable_as_others_are(server: Server, tmp_path: Path) -> None:
    server.answers = {"/a/file.bin": CONTENT}
    path = fetch(remote(server, "a"), tmp_path)
    (tmp_path / "other").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_silent_without_a_terminal(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answers = {"/a/file.bin": 404, "/b/file.bin": CONTENT}
    fetch(remote(server, "a", "b"), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_progress_on_a_terminal(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(download, "Console", lambda stderr: terminal)
    server.answers = {"/a/file.bin": CONTENT}
    fetch(remote(server, "a"), tmp_path)
    assert "file.bin" in screen.getvalue()
    assert "7.0/7.0 kB" in screen.getvalue()


def serve(server: Server, mirror: str, contents: dict[str, bytes]) -> str:
    server.answers |= {f"/{mirror}/{name}": content for name, content in contents.items()}
    return f"{server.url}/{mirror}/"


def test_mnist(
    server: Server, small_mnist: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mirror has a foreign and a truncated file; the other wraps its gzip files differently."""
    good = {
        name: gzip.compress(gzip.decompress(content), 1, mtime=9)
        for name, content in small_mnist.contents().items()
    }
    bad = small_mnist.contents()
    images, labels, *_ = bad
    bad[images] = gzip.compress(bytearray(gzip.decompress(bad[images]))[:-1] + b"?")
    bad[labels] = bad[labels][:-7]
    mirrors = (serve(server, "bad", bad), serve(server, "good", good))
    monkeypatch.setattr(mnist, "MNIST", replace(small_mnist.family, mirrors=mirrors))
    data = load_images("mnist", data_dir=tmp_path)
    assert data.source == str(tmp_path / "MNIST/raw")
    assert torch.equal(data.test.labels, torch.from_numpy(small_mnist.arrays[3]).long())
    assert [r.split("/")[1] for r in server.requests] == [
        "bad",
        "good",
        "bad",
        "good",
        "bad",
        "bad",
    ]
    assert {path.name for path in (tmp_path / "MNIST/raw").iterdir()} == set(good)
    assert (tmp_path / "MNIST/raw" / images).read_bytes() == good[images]

    del server.answers, server.requests[:]
    load_images("mnist", data_dir=tmp_path)
    assert server.requests == []


def test_mnist_failure_names_the_fault(
    server: Server,
    small_mnist: SmallMnist,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    contents = small_mnist.contents() | {"train-images-idx3-ubyte.gz": b"<html>captive portal"}
    mirrors = (serve(server, "bad", contents),)
    monkeypatch.setattr(mnist, "MNIST", replace(small_mnist.family, mirrors=mirrors))
    message = fault(load_images, "mnist", data_dir=tmp_path)
    assert "(the file is not an IDX file of bytes with 3 axes" in message
    assert ".directmax-" not in message
    assert files_below(tmp_path) == []


def test_download_goes_to_the_first_place(
    server: Server, small_mnist: SmallMnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = (serve(server, "a", small_mnist.contents()),)
    monkeypatch.setattr(mnist, "MNIST", replace(small_mnist.family, mirrors=mirrors))
    assert load_images("mnist").source == str(user_cache() / "MNIST/raw")
    use_cache(monkeypatch, tmp_path / "another")
    monkeypatch.setenv("DIRECTMAX_DATA", str(tmp_path / "variable"))
    assert load_images("mnist").source == str(tmp_path / "variable/MNIST/raw")


def test_omniglot(
    server: Server, small_omniglot: SmallOmniglot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"{name}.zip": small_omniglot.zip_bytes(name) for name in small_omniglot.drawings}
    archives = tuple(
        replace(a, zip_md5=hashlib.md5(contents[f"{a.name}.zip"]).hexdigest())
        for a in omniglot.ARCHIVES
    )
    damaged = {name: content[:-1] for name, content in contents.items()}
    mirrors = (serve(server, "bad", damaged), serve(server, "good", contents))
    monkeypatch.setattr(omniglot, "ARCHIVES", archives)
    monkeypatch.setattr(omniglot, "MIRRORS", mirrors)
    assert len(load_images("omniglot", data_dir=tmp_path).train) == 36
    assert len(server.requests) == 4
    assert {path.name for path in (tmp_path / "omniglot-py").iterdir()} == set(contents)


@pytest.mark.network
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "omniglot"])
@pytest.mark.parametrize("mirror", [0, 1])
def test_real_mirrors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mirror: int
) -> None:
    for family in ("MNIST", "FASHION_MNIST"):
        value = getattr(mnist, family)
        monkeypatch.setattr(mnist, family, replace(value, mirrors=(value.mirrors[mirror],)))
    monkeypatch.setattr(omniglot, "MIRRORS", (omniglot.MIRRORS[mirror],))
    assert len(load_images(name, data_dir=tmp_path).train) in (50_000, 23_000)
