"""A window is there before the services: pages load at once, what they ask waits, and a failure ends the program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent

from peersky.core.errors import ProfileUnusable
from peersky.qt.driver import PageDriver, wait_until
from peersky.qt.runtime import Runtime
from peersky.system.paths import open_profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peersky.system.paths import Profile

STATUS = "return (await fetch('/api/llm-status')).status"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    found = open_profile(tmp_path)
    found.settings_file.write_text(json.dumps({"p2p": {"listen": "loopback"}}))
    return found


@pytest.fixture
def runtime(qt_application: object, profile: Profile) -> Iterator[Runtime]:
    made = Runtime(profile, late=True)
    yield made
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    made.close()


def test_a_page_that_asks_nothing_needs_no_services(runtime: Runtime) -> None:
    started: list[object] = []
    runtime.start_services = lambda: started.append("services")  # type: ignore[assignment, return-value]
    driver = PageDriver(runtime.new_page())
    driver.load("peersky://assets/peersky.css")
    assert "PeerSky" in driver.evaluate("return document.body.textContent")
    runtime.show_pages(frozenset())
    assert runtime.model_downloads() == ()
    driver.page.deleteLater()
    assert started == []


def test_the_first_question_of_a_page_starts_them(runtime: Runtime) -> None:
    driver = PageDriver(runtime.new_page())
    driver.load("peersky://home/")
    assert driver.evaluate(STATUS) == 200
    assert runtime.services.bridge is not None
    driver.page.deleteLater()


def test_services_that_cannot_start_are_told_once_and_pages_get_an_error(
    runtime: Runtime, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = ProfileUnusable("The profile's socket cannot be made.")

    def failing(*_arguments: object) -> None:
        raise why

    monkeypatch.setattr("peersky.web.control.ControlServer", failing)
    told: list[object] = []
    runtime.activity.failed.connect(told.append)
    driver = PageDriver(runtime.new_page())
    driver.load("peersky://home/")
    assert driver.evaluate(STATUS) == 500
    wait_until(lambda: bool(told), 10, "nobody was told")
    assert told == [why]
    with pytest.raises(ProfileUnusable, match="socket"):
        runtime.check()
    driver.page.deleteLater()
