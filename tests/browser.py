"""A real browser for tests: headless Chromium, controlled over a pipe. Standard library only."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program() -> str | None:
    """The path of Chromium, or None if it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page; `errors` collects its errors, its warnings and its requests to the network."""

    def __init__(self, to_browser: int, from_browser: int):
        self._to, self._from, self._rest, self._number, self._session = to_browser, from_browser, b"", 0, None
        self.errors: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command of the DevTools protocol and waits for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            received = self._read()
            if received.get("id") == self._number:
                assert "error" not in received, f"{method}: {received['error']}"
                return received["result"]
            self._note(received)

    def open(self, file: Path) -> None:
        self.send("Page.navigate", url=file.resolve().as_uri())
        self.until("document.documentElement?.dataset.drawn !== undefined")

    def value(self, code: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, code: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not self.value(code):
            assert time.monotonic() < end, f"waited {seconds:g} s for {code}; {self.errors}"
            time.sleep(0.1)

    def point_at(self, code: str) -> None:
        """Moves the pointer in steps to the middle of the element that the code selects."""
        self.value(f"({code}).scrollIntoView({{block: 'center'}})")
        box = self.value(f"(({code}).getBoundingClientRect()).toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for step in (8, 4, 0):
            self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x + step, y=y + step)

    def click(self, code: str) -> None:
        self.value(f"({code}).scrollIntoView({{block: 'center'}})")
        box = self.value(f"(({code}).getBoundingClientRect()).toJSON()")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, **at)

    def look(self, *, width: int, dark: bool = False, height: int = 900) -> None:
        """Sets the width of the screen, and the light or dark colour scheme."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, file: Path) -> None:
        """The whole page as PNG."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.send("Page.printToPDF", preferCSSPageSize=True)["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._from], [], [], 120)[0], "the browser does not answer"
            more = os.read(self._from, 2**20)
            assert more, "the browser has exited"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        what = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(what["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.errors.append(str([arg.get("value", arg.get("description")) for arg in what["args"]]))
        elif event.get("method") == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.errors.append(what["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            url = what["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "about:")):
                self.errors.append(f"requested {url} from the network")


@contextmanager
def browser() -> Iterator[Page]:
    """A page in a new Chromium, which is closed afterwards."""
    path = program()
    assert path, "no Chromium is installed"
    read_theirs, write_ours = os.pipe()
    read_ours, write_theirs = os.pipe()
    with tempfile.TemporaryDirectory(prefix="browser_", ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "--hide-scrollbars"]
        fds = tuple(fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (read_theirs, write_theirs))
        as_3_and_4 = f"import os, sys; os.dup2({fds[0]}, 3); os.dup2({fds[1]}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        line = [sys.executable, "-c", as_3_and_4, path, *flags]
        process = subprocess.Popen(line, pass_fds=fds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (*fds, read_theirs, write_theirs):
            os.close(fd)
        try:
            yield Page(write_ours, read_ours)
        finally:
            process.terminate()
            process.wait()
            os.close(write_ours)
            os.close(read_ours)
