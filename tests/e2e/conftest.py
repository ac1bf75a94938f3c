"""The whole product in the test's process: Runtime on a profile of its own, with the real engine."""

from __future__ import annotations

import json
import sys
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
    from pathlib import Path

    from PyQt6.QtWidgets import QApplication


@pytest.fixture(scope="session")
def qt_application() -> QApplication:
    return create_application(headless=True, on_error=lambda text: print(text, file=sys.stderr))


class Product:
    """A running browser without its window."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        profile = open_profile(directory)
        profile.settings_file.write_text(json.dumps(settings))
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
