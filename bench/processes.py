"""The window, and a bare view beside it, as ordinary programs: when they paint, and what they take of the memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
from websockets.sync.client import connect

from bench.world import NO_KEYRING, PATIENCE_S, ROOT, World

NOBODY: Final = 65534


class Window:
    """A program with web pages, and what its developer tools and the system say of it."""

    def __init__(self, process: subprocess.Popen[bytes], began_s: float, port: int) -> None:
        self.process, self.began_s, self._port = process, began_s, port

    def first_paint_s(self) -> float:
        """From the start of the process to the first content on the screen, by Chromium's own clock.

        Raises:
            TimeoutError: nothing was painted.
        """
        # Nothing looks at the program until it is most likely done.
        time.sleep(1.0)
        script = (
            "(() => {const [paint] = performance.getEntriesByName('first-contentful-paint');"
            "return paint ? performance.timeOrigin + paint.startTime : 0;})()"
        )
        until_s = time.monotonic() + PATIENCE_S / 4
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError, ValueError):
                # Of several views, those that are not shown paint nothing.
                if painted := [found for page in self._pages() if (found := _evaluate(page, script))]:
                    return float(min(painted)) / 1000 - self.began_s
            time.sleep(0.25)
        raise TimeoutError("nothing was painted")

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the first page, or of the promise that it is."""
        return _evaluate(self._pages()[0], script)

    def _pages(self) -> list[str]:
        """Where the developer tools of each page are."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/json/list", timeout=10) as reply:
            return [page["webSocketDebuggerUrl"] for page in json.load(reply) if page["type"] == "page"]

    def memory_mb(self) -> float:
        """Memory of all its processes, what they share counted once."""
        return tree_memory_mb(self.process.pid)


def _evaluate(page: str, script: str) -> Any:
    order = {"expression": script, "awaitPromise": True, "returnByValue": True}
    with connect(page, open_timeout=10, max_size=None) as tools:
        tools.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": order}))
        while (reply := json.loads(tools.recv(60))).get("id") != 1:
            pass
    return reply["result"]["result"].get("value")


def tree_memory_mb(pid: int) -> float:
    """Proportional memory of a process and all below it; where the system keeps that back, what they do not share."""
    total = 0
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            try:
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
            except PermissionError:
                memory = process.memory_info()
                total += memory.rss - memory.shared
    return total / 1e6


def _as_user() -> list[str]:
    """Words before a command: root's Chromium would have no sandbox, and users have one."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        return []
    reading = "-all,+dac_read_search"
    rights = [f"--{kind}-caps={reading}" for kind in ("inh", "ambient")] + [f"--bounding-set={reading}"]
    return [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights]


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)


def _environment(world: World) -> dict[str, str]:
    home = world.folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    _give_away(home)
    given = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "QT_QPA_PLATFORM": "offscreen"}
    environment = {**os.environ, **given, "PYTHON_KEYRING_BACKEND": NO_KEYRING, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("QTWEBENGINE_CHROMIUM_FLAGS", None)
    return environment


@contextlib.contextmanager
def _running(world: World, arguments: list[str]) -> Iterator[Window]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {**_environment(world), "QTWEBENGINE_REMOTE_DEBUGGING": str(port)}
    began_s = time.time()
    with subprocess.Popen(
        [*_as_user(), sys.executable, "-m", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=ROOT,
    ) as process:
        try:
            yield Window(process, began_s, port)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def browser_window(world: World, profile: Path) -> Iterator[Window]:
    """``peersky run`` with its home page."""
    _give_away(profile)
    with _running(world, ["peersky", "run", "--profile", str(profile)]) as window:
        yield window


def open_tab(world: World, profile: Path, url: str) -> None:
    """Another tab in the browser that runs on the profile."""
    command = [*_as_user(), sys.executable, "-m", "peersky", "run", "--profile", str(profile), url]
    subprocess.run(command, check=True, env=_environment(world), cwd=ROOT, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def bare_view(world: World, count: int = 1) -> Iterator[Window]:
    """A QWebEngineView, or several in one window, and nothing else."""
    with _running(world, ["bench.view", str(count)]) as window:
        yield window
