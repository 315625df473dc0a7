"""A headless Chromium, where one is installed, driven by the DevTools protocol over a pipe, without a library."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
VARIABLE = "CHROME"
SECONDS = 60
"""The longest wait for an answer; the busiest machine needs less."""
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


def program() -> str | None:
    """The browser that ``CHROME`` names, else one on the PATH."""
    return os.environ.get(VARIABLE) or next((found for name in NAMES if (found := shutil.which(name))), None)


def is_load(event: dict[str, Any], loader: str) -> bool:
    """Whether it says that the page which ``loader`` fetched is complete; an earlier page may still say so too."""
    told = event["params"]
    return event["method"] == "Page.lifecycleEvent" and (told["name"], told["loaderId"]) == ("load", loader)


class Browser:
    """One page. Use it in a ``with`` statement."""

    def __init__(self, path: str, folder: Path) -> None:
        """Start ``path``, with a profile of its own below ``folder``."""
        from_us, self._to = os.pipe()
        self._from, to_us = os.pipe()
        # The browser reads at 3 and writes at 4, which may be numbers that these four have here.
        far = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (from_us, to_us)]
        self._process = subprocess.Popen(
            [path, *SWITCHES, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            preexec_fn=lambda: (os.dup2(far[0], 3), os.dup2(far[1], 4)),
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for each in (from_us, to_us, *far):
            os.close(each)
        self.events: list[dict[str, Any]] = []
        self._rest, self._asked, self._session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, *, session: str = "", **parameters: Any) -> dict[str, Any]:
        """What the browser answers; events that come before are kept in ``events``.

        Args:
            session: of a frame that has a process of its own; else the page's.
        """
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": parameters}
        if session or self._session:
            message["sessionId"] = session or self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._asked:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, url: str, width: int, height: int = 1000) -> None:
        """Load ``url`` in a window of this size, in pixels; it returns when the page is complete."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        loader = self.call("Page.navigate", url=url)["loaderId"]
        while not any(is_load(e, loader) for e in self.events):
            self.events.append(self._read())

    def run(self, script: str, session: str = "") -> Any:
        """The value of a JavaScript expression, awaited, as if the user had just clicked."""
        how = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        found = self.call("Runtime.evaluate", session=session, expression=script, **how)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def frame(self) -> str:
        """The session of the frame that the page opened last; its errors are kept too."""
        attached = [e["params"] for e in self.events if e["method"] == "Target.attachedToTarget"]
        session = next(a["sessionId"] for a in reversed(attached) if a["targetInfo"]["type"] == "iframe")
        for domain in ("Runtime", "Log"):
            self.call(f"{domain}.enable", session=session)
        return str(session)

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of what ``selector`` finds, which is scrolled into view."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', inline: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """On what has the focus."""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key], **text)

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for, since it was opened, other than what it holds itself."""
        sent = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Exceptions, and all that was written to the console or to the browser's log."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [e["params"] for e in self.events if e["method"] in kinds]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._from], [], [], SECONDS)[0], f"no answer from the browser in {SECONDS} s"
            got = os.read(self._from, 1 << 20)
            assert got, "the browser has ended"
            self._rest += got
        message, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(message))
