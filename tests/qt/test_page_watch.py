"""A page whose script has no end: said, and ended when the user wants it. Only that page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt

from peersky.core.load_errors import CRASHED
from peersky.qt import page_watch
from peersky.qt.page_watch import SENTENCE
from tests.qt.window_host import KEYBOARD, Site, open_page, until

if TYPE_CHECKING:
    from peersky.qt.notice_bar import NoticeBar
    from peersky.qt.tab import Tab
    from peersky.qt.window import BrowserWindow

pytestmark = pytest.mark.usefixtures("patient_user")

ENDLESS = "document.title = 'Busy'; setTimeout(() => { for (;;); }, 0)"


class Clock:
    """Goes on by ``step`` seconds at each look."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = page_watch.PATIENCE_S
        self.read = 0

    def __call__(self) -> float:
        self.read += 1
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Each look is one patience later."""
    clock = Clock()
    monkeypatch.setattr(page_watch, "LOOK_MS", 20)
    monkeypatch.setattr(page_watch, "monotonic", clock)
    return clock


def bar_of(window: BrowserWindow) -> NoticeBar:
    tab = window.tab
    assert tab is not None
    until(lambda: tab.bars, "the bar")
    (bar,) = tab.bars
    return bar


def answers(tab: Tab, times: int) -> None:
    """Wait until the page has answered so often."""
    before = tab.watch._number
    until(lambda: tab.watch._number >= before + times, "answers")


def press(bar: NoticeBar, label: str) -> None:
    button = next(button for button in bar.buttons if button.text() == label)
    until(button.isEnabled, "the button")
    KEYBOARD.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.fault("A page's script has no end: said, ended by hand, and the page can be loaded again")
def test_a_page_without_an_end_is_said_and_ended(window: BrowserWindow, clock: Clock, site: Site) -> None:
    clock.step = 0
    tab = open_page(window, site.url("/"), "First")
    tab.page.runJavaScript(ENDLESS)
    until(lambda: tab.title == "Busy", "the loop")
    clock.step = page_watch.PATIENCE_S
    bar = bar_of(window)
    assert bar.label.text() == SENTENCE
    press(bar, "Keep waiting")
    assert tab.bars == []
    press(bar_of(window), "End it")
    until(lambda: tab.error is CRASHED, "the page ends")
    assert tab.bars == []
    # And it stays so: nobody is asked who is not there.
    tab.reload()
    until(lambda: tab.title == "First" and not tab.loading, "the page again")


def test_a_page_that_goes_on_takes_the_question_back(window: BrowserWindow, clock: Clock, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    # A synchronous request that the test answers when it wants to: no time is measured.
    tab.page.runJavaScript(
        "setTimeout(() => { const x = new XMLHttpRequest(); x.open('GET', '/never', false);"
        " try { x.send() } catch {} document.title = 'Went on' }, 0)"
    )
    until(lambda: "/never" in site.seen, "the request")
    bar_of(window)
    clock.step = 0
    site.release.set()
    until(lambda: tab.title == "Went on", "the page goes on")
    until(lambda: tab.bars == [], "the question is taken back")


def test_a_page_that_waits_for_a_server_answers(window: BrowserWindow, clock: Clock, site: Site) -> None:
    clock.step = 0
    tab = open_page(window, site.url("/"), "First")
    answers(tab, 3)
    window.go_to(site.url("/never"))
    until(lambda: "/never" in site.seen, "the request")
    answers(tab, 3)
    assert tab.bars == []


@pytest.mark.parametrize("held", ["dialog", "tools", "error"])
def test_nobody_is_asked_who_cannot_answer(
    window: BrowserWindow, clock: Clock, site: Site, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    tab = open_page(window, site.url("/"), "First")
    if held == "dialog":
        monkeypatch.setattr(type(tab.dialogs), "is_open", True)
    elif held == "tools":
        tab.dev_tools.open()
    else:
        tab.error = CRASHED
    looks = clock.read
    tab.watch._look()
    tab.watch._look()
    assert clock.read == looks
