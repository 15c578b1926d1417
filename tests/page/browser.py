"""A headless Chromium spoken to through pipes: the DevTools protocol, with the standard library alone."""

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
WAIT = 60.0  # seconds, on a machine whose cores are busy
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)
KEYS = {"Tab": 9, "Enter": 13, " ": 32}


def program() -> str | None:
    """Chromium's path, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab. `events` are all that it reported since the last `open`."""

    def __init__(self, profile: Path) -> None:
        found = program()
        assert found, "no chromium on PATH: apt install chromium"
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        root = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox refuses root
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", found, *FLAGS, *root, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.rest, self.number, self.session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the process that was started here."""
        os.close(self.out)  # it ends when its pipe does
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self.into)

    def read(self, until: float) -> dict[str, Any]:
        """The next message; they end with a zero byte."""
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.into], [], [], max(0.0, until - time.monotonic()))
            assert ready, "chromium does not answer"
            part = os.read(self.into, 1 << 20)
            assert part, "chromium ended"
            self.rest += part
        line, self.rest = self.rest.split(b"\0", 1)
        return dict(json.loads(line))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command, and its answer."""
        self.number += 1
        session = {"sessionId": self.session} if self.session else {}
        message = {"id": self.number, "method": method, "params": params, **session}
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + WAIT
        while True:
            answer = self.read(until)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, file: Path, fragment: str = "") -> None:
        """Load a file and wait until it is there."""
        self.call("Page.navigate", url="about:blank")
        self.settle("about:blank")
        self.events = []
        self.call("Page.navigate", url=file.resolve().as_uri() + fragment)
        self.settle(file.resolve().as_uri())
        self("globalThis.all = (selector) => [...document.querySelectorAll(selector)]; 0")  # for the tests' expressions

    def settle(self, address: str) -> None:
        """Wait for the load of this address."""
        until = time.monotonic() + WAIT
        while not self("document.readyState === 'complete' && location.href.startsWith(" + json.dumps(address) + ")"):
            assert time.monotonic() < until, f"{address} is not loaded"
            time.sleep(0.05)

    def __call__(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def key(self, key: str) -> None:
        """Press and release a key."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        facts = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **facts)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def type(self, text: str) -> None:
        """Text into the focused field, as from a keyboard."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """A mouse click into the middle of an element, once it is drawn there and the page stands still."""
        here = f"""new Promise(done => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: "center", behavior: "instant"}});
            requestAnimationFrame(() => requestAnimationFrame(() => {{ const r = e.getBoundingClientRect();
                const x = r.x + r.width / 2, y = r.y + r.height / 2;
                done([x, y, e.contains(document.elementFromPoint(x, y))]); }})); }})"""
        until = time.monotonic() + WAIT
        before, (x, y, there) = None, self(here)
        while before != (x, y) or not there:
            assert time.monotonic() < until, f"{selector} cannot be clicked"
            before, (x, y, there) = (x, y), self(here)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def size(self, width: int, height: int = 900) -> None:
        """The window, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def media(self, kind: str = "screen", scheme: str = "light") -> None:
        """Screen or paper, and the system's colours; nothing scrolls smoothly, or a click could miss its target."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def screenshot(self, file: Path, whole: bool = True) -> None:
        """A PNG of the page."""
        file.write_bytes(b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))

    def pdf(self) -> bytes:
        """The page as printed."""
        return b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])
