"""A headless Chromium, driven through its debugging pipe: no package beyond the browser itself."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

KEYS = {
    **{"Backspace": 8, "Tab": 9, "Enter": 13, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37},
    **{"ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Delete": 46},
}


def find_chromium() -> str | None:
    """The browser's path; None where none is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page at a time: open a file in a given window and theme, ask it, photograph it.

    The pipe speaks the DevTools protocol: JSON messages that end in a zero byte, to the browser
    on file descriptor 3 and from it on 4.
    """

    def __init__(self) -> None:
        program = find_chromium()
        assert program is not None
        self.requests: list[str] = []
        self._number = 0
        self._buffer = b""
        self._profile = tempfile.mkdtemp(prefix="directmax-browser-")
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # The child's 3 and 4 must be these two; a shell puts them there, whatever their numbers.
        command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *FLAGS, f"--user-data-dir={self._profile}"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM"):
            self._ask(f"{domain}.enable")
        self._ask("Page.setLifecycleEventsEnabled", enabled=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._out)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session: its children too
        self._process.wait()
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, file: Path, *, width: int, height: int = 900, dark: bool) -> None:
        """Load a file. Up to 600 pixels in width the window is a phone's."""
        self.requests.clear()
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width <= 600,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[theme])
        loader = self._ask("Page.navigate", url=file.resolve().as_uri())["loaderId"]
        while not _is_loaded(self._receive(), loader):
            pass

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element."""
        x, y = self._middle(selector)
        self.drag(selector, [(0.5, 0.5)])
        self._mouse("mouseMoved", x, y, 0)

    def drag(self, selector: str, points: Sequence[tuple[float, float]]) -> None:
        """Move the pressed mouse over an element, from point to point, in shares of its size."""
        self._middle(selector)
        left, top, width, height = self.evaluate(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        where = [(left + x * width, top + y * height) for x, y in points]
        self._mouse("mousePressed", *where[0], 1)
        for x, y in where[1:]:
            self._mouse("mouseMoved", x, y, 1)
        self._mouse("mouseReleased", *where[-1], 0)

    def press(self, *keys: str) -> None:
        """Press keys of the keyboard, such as ArrowLeft or " "."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            names = {"key": key, "code": "Space" if key == " " else key}
            number = KEYS.get(key, 0)
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            for event in (down, {"type": "keyUp"}):
                self._ask("Input.dispatchKeyEvent", **names, windowsVirtualKeyCode=number, **event)

    def choose_file(self, selector: str, file: Path) -> None:
        """Give a file to an input."""
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        node = self._ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def wait_for(self, script: str, seconds: float = 20.0) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < end, script
            time.sleep(0.02)

    def _middle(self, selector: str) -> tuple[float, float]:
        """Where an element is, in view and not covered by another."""
        x, y, covered = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const box = e.getBoundingClientRect();"
            " const x = box.x + box.width / 2, y = box.y + box.height / 2;"
            " return [x, y, !e.contains(document.elementFromPoint(x, y))]; })()"
        )
        assert not covered, f"{selector} is covered"
        return x, y

    def _mouse(self, kind: str, x: float, y: float, buttons: int) -> None:
        button = "none" if kind == "mouseMoved" and not buttons else "left"
        self._ask(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons,
            clickCount=1,
        )  # fmt: skip

    def screenshot(self, *, full: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        clip = self._clip() if full else {}
        answer = self._ask(
            "Page.captureScreenshot", captureBeyondViewport=full, optimizeForSpeed=True, **clip
        )
        return base64.b64decode(answer["data"])

    def _clip(self) -> dict[str, Any]:
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {**size, "scale": 1}}

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._call(method, session=self._session, **parameters)

    def _call(self, method: str, *, session: str | None = None, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has gone"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        return message


def _is_loaded(message: dict[str, Any], loader: str) -> bool:
    """Whether it says that this page, and not one before it, is there."""
    event = message.get("params", {})
    return event.get("name") == "load" and event.get("loaderId") == loader
