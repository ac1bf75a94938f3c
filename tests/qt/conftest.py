"""The real QtWebEngine in this process, with ASGI apps of the test's own at the schemes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PyQt6 import sip
from PyQt6.QtCore import QCoreApplication, QEvent

from peersky.core import click_guard
from peersky.core.trust import Policy
from peersky.qt.application import create_application
from peersky.qt.driver import PageDriver
from peersky.qt.profile import WebProfile
from peersky.qt.service_thread import ServiceThread
from peersky.qt.window import Browser
from tests.qt.llm_lab import Lab
from tests.qt.window_host import PAGES, Site, WindowHost, page_app, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from PyQt6.QtWidgets import QApplication

    from peersky.qt.window import BrowserWindow


class Errors(list[str]):
    """Faults that the Qt side reported. A test fails when one is left unread."""


@pytest.fixture(scope="session")
def qt_application() -> QApplication:
    return create_application(headless=True, on_error=Errors().append)


class World:
    """Apps at schemes, and pages that load them."""

    def __init__(self, spool: Path, apps: Mapping[str, Any]) -> None:
        self.errors = Errors()
        self.policy = Policy()
        self.services = ServiceThread()
        self.profile = WebProfile(apps, self.services, lambda: self.policy, None, spool, self.errors.append)
        self._drivers: list[PageDriver] = []

    def page(self, url: str | None = None) -> PageDriver:
        driver = PageDriver(self.profile.new_page())
        self._drivers.append(driver)
        if url is not None:
            driver.load(url)
        return driver

    def close(self) -> None:
        # Pages before their profile, or Chromium aborts.
        for driver in self._drivers:
            if not sip.isdeleted(driver.page):
                driver.page.deleteLater()
        self._drivers.clear()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        self.profile.close()
        self.services.stop()


@pytest.fixture
def world(qt_application: QApplication, tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**apps: Any) -> World:
        worlds.append(World(tmp_path / f"spool-{len(worlds)}", apps))
        return worlds[-1]

    yield make
    errors = [error for one in worlds for error in one.errors]
    for one in worlds:
        one.close()
    assert not errors


@pytest.fixture
def lab(tmp_path: Path, world: Callable[..., World]) -> Iterator[Lab]:
    made = Lab(tmp_path, world)
    yield made
    made.close()


@pytest.fixture
def patient_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever presses a button has looked at it for long enough."""
    monkeypatch.setattr(click_guard, "GUARD_S", 0.0)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(dict(PAGES))
    yield site
    site.close()


@pytest.fixture
def host(world: Callable[..., World], tmp_path: Path) -> WindowHost:
    return WindowHost(world(peersky=page_app, hyper=page_app), tmp_path)


@pytest.fixture
def browser(host: WindowHost) -> Iterator[Browser]:
    browser = Browser(host)
    yield browser
    browser.dispose()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def window(browser: Browser) -> BrowserWindow:
    window = browser.new_window()
    window.resize(900, 600)
    window.activateWindow()
    until(window.isActiveWindow, "the window is active")
    return window
