"""The whole product in the test's process: Runtime on a profile of its own, with the real engine."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PyQt6 import sip
from PyQt6.QtCore import QCoreApplication, QEvent

from peersky.qt.application import create_application
from peersky.qt.driver import PageDriver
from peersky.qt.runtime import Runtime
from peersky.system.paths import open_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PyQt6.QtWidgets import QApplication


NOBODY = 65534


@pytest.fixture(scope="session")
def qt_application() -> QApplication:
    return create_application(headless=True, on_error=lambda text: print(text, file=sys.stderr))


class Product:
    """A running browser without its window."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        profile = open_profile(directory)
        # No test may reach peers that are not its own.
        profile.settings_file.write_text(json.dumps({"p2p": {"listen": "loopback"}, **settings}))
        self.runtime = Runtime(profile)
        self.profile = profile
        self._drivers: list[PageDriver] = []

    def page(self, url: str) -> PageDriver:
        driver = PageDriver(self.runtime.new_page())
        self._drivers.append(driver)
        driver.load(url)
        return driver

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Entries of one kind in the log, oldest first."""
        return [entry for entry in self.runtime.services.logbook.recent(10_000) if entry["kind"] == kind]

    def close_page(self, driver: PageDriver) -> None:
        driver.page.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def close(self) -> None:
        for driver in self._drivers:
            if not sip.isdeleted(driver.page):
                driver.page.deleteLater()
        self._drivers.clear()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        self.runtime.close()


@contextmanager
def local_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A developer's own server at ``http://localhost``; yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def product(qt_application: QApplication, tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Starts the product with the given model (a file) and other settings of the ``llm`` block."""
    running: list[Product] = []

    def start(model: Path | str | None = None, **llm: Any) -> Product:
        if model is not None:
            llm = {"enabled": True, "provider": "builtin", "model": str(model), **llm}
        running.append(Product(tmp_path / f"profile-{len(running)}", {"llm": llm} if llm else {}))
        return running[-1]

    yield start
    for one in running:
        one.close()


@dataclass(frozen=True)
class OrdinaryUser:
    """Starts PeerSky as a user who is not root, so that it has its sandbox and its window.

    Attributes:
        words: stand before a command.
        profile: the user's own.
    """

    words: list[str]
    environment: dict[str, str]
    profile: Path

    def argv(self, command: str, *arguments: str) -> list[str]:
        """The command line; ``--profile`` stands after the command's name (and verb)."""
        start = [*self.words, sys.executable, "-m", "peersky", *command.split()]
        return [*start, "--profile", str(self.profile), *arguments]

    def write_settings(self, **llm: Any) -> None:
        """Put the ``llm`` block of the settings there before the first start."""
        self.profile.mkdir(mode=0o700)
        file = self.profile / "settings.json"
        file.write_text(json.dumps({"llm": llm}))
        if os.geteuid() == 0:
            for path in (self.profile, file):
                os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def as_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> OrdinaryUser:
    home = Path(tmp_path_factory.mktemp("home"))
    environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("QTWEBENGINE_CHROMIUM_FLAGS", None)
    if os.geteuid() != 0:
        return OrdinaryUser([], environment, home / "p")
    setpriv = shutil.which("setpriv")
    assert setpriv, "util-linux has setpriv"
    for directory in (home, *home.parents[:2]):
        directory.chmod(0o755)
    os.chown(home, NOBODY, NOBODY)
    # Python and the checkout may lie below root's home: the one right that "nobody" gets is to read there.
    reading = "-all,+dac_read_search"
    rights = [f"--{kind}-caps={reading}" for kind in ("inh", "ambient")] + [f"--bounding-set={reading}"]
    words = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights]
    return OrdinaryUser(words, environment, home / "p")
