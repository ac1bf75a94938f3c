"""What a page may ask the user, in the real QtWebEngine: permissions, dialogs, leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtWidgets import QApplication, QCheckBox, QLineEdit, QPushButton

from peersky.core.click_guard import GUARD_S
from peersky.qt import answer_guard
from peersky.qt.dialogs import Dialog
from peersky.qt.window import Browser, BrowserWindow
from tests.qt.window_host import (
    KEYBOARD,
    Site,
    click,
    open_page,
    page_input,
    press,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Dialogs:
    """Answers dialogs in turn. They run a loop of their own, so it must happen from inside."""

    def __init__(self, *answers: Callable[[Dialog], None]) -> None:
        self.titles: list[str] = []
        self._answers = list(answers)
        self._seen: list[Dialog] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(10)

    def _look(self) -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, Dialog) and dialog not in self._seen:
            self._seen.append(dialog)
            self.titles.append(dialog.windowTitle())
            if self._answers:
                self._answers.pop(0)(dialog)
            else:
                dialog.reject()

    @property
    def all_answered(self) -> bool:
        return not self._answers and QApplication.activeModalWidget() is None


def press_button(dialog: Dialog, label: str) -> None:
    next(button for button in dialog.findChildren(QPushButton) if button.text() == label).click()


def test_permission_bar(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/place"), "Place")
    until(lambda: tab.bars, "the bar")
    bar = tab.bars[0]
    assert bar.label.text() == f"http://127.0.0.1:{site.port} wants to know where you are."
    block, allow = bar.buttons
    assert (block.text(), allow.text()) == ("Block", "Allow")
    allow.click()
    assert tab.bars == [bar]
    until(block.isEnabled, "the guard is over")
    block.click()
    until(lambda: tab.title == "denied 1", "the page is told")
    assert tab.bars == []


def test_permission_bar_goes_with_its_page(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/place"), "Place")
    until(lambda: tab.bars, "the bar")
    open_page(window, site.url("/second"), "Second")
    assert tab.bars == []


def test_not_now_lets_the_page_ask_again(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/place"), "Place")
    until(lambda: tab.bars, "the bar")
    tab.bars[0].close_button.click()
    until(lambda: tab.title == "denied 1", "the page is told")
    press(window, "Ctrl+R")
    until(lambda: tab.bars, "the bar again")


def test_dialogs_name_the_origin_and_end(window: BrowserWindow, site: Site) -> None:
    texts: list[str] = []

    def read(dialog: Dialog) -> None:
        assert dialog.text.textFormat() == Qt.TextFormat.PlainText
        texts.append(dialog.text.text())
        press_button(dialog, "OK")

    def silence(dialog: Dialog) -> None:
        quiet = dialog.findChild(QCheckBox)
        assert quiet is not None
        quiet.setChecked(True)
        read(dialog)

    dialogs = Dialogs(read, silence)
    tab = window.open_tab()
    window.go_to(site.url("/alerts"))
    until(lambda: dialogs.all_answered and tab.title == "Alerts" and not tab.loading, "no more dialogs")
    assert dialogs.titles == [f"http://127.0.0.1:{site.port} says"] * 2
    assert texts == ["<b>n0", "<b>n1"]


def test_prompt_and_confirm(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")

    def answer(dialog: Dialog) -> None:
        edit = dialog.findChild(QLineEdit)
        assert edit is not None
        assert edit.text() == "x"
        edit.setText("me ")
        press_button(dialog, "OK")

    dialogs = Dialogs(answer, lambda dialog: press_button(dialog, "Cancel"))
    tab.page.runJavaScript("setTimeout(() => { document.title = prompt('Name?', 'x') + confirm('Sure?') }, 0)")
    until(lambda: tab.title == "me false", "the answers")
    assert dialogs.all_answered


@pytest.mark.attack("Questions of the browser")
def test_a_page_gets_no_yes_from_clicks_and_keys_that_were_meant_for_it(
    window: BrowserWindow, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(answer_guard, "monotonic", lambda: now[0])
    tab = open_page(window, site.url("/"), "First")

    def answer(dialog: Dialog) -> None:
        ok = next(button for button in dialog.findChildren(QPushButton) if button.text() == "OK")
        dialog.repaint()
        for _ in range(3):
            now[0] += GUARD_S * 0.9
            KEYBOARD.mouseClick(ok, Qt.MouseButton.LeftButton)
            KEYBOARD.keyClick(dialog, Qt.Key.Key_Return)
        early.append(dialog.isVisible())
        now[0] += GUARD_S
        KEYBOARD.mouseClick(ok, Qt.MouseButton.LeftButton)

    early: list[bool] = []
    dialogs = Dialogs(answer)
    tab.page.runJavaScript("setTimeout(() => { document.title = confirm('Sure?') }, 0)")
    until(lambda: tab.title == "true", "the answer")
    assert early == [True]
    assert dialogs.all_answered


def test_a_page_with_changes_is_not_closed_silently(window: BrowserWindow, browser: Browser, site: Site) -> None:
    tab = open_page(window, site.url("/unload"), "Unload")
    click(tab, 30, 20)
    values: list[object] = []

    def has_text() -> bool:
        KEYBOARD.keyClick(page_input(tab), Qt.Key.Key_A)
        tab.page.runJavaScript("i.value", values.append)
        return any(values)

    until(has_text, "the typed text")
    dialogs = Dialogs(
        lambda dialog: press_button(dialog, "Stay"),
        lambda dialog: press_button(dialog, "Leave"),
    )
    window.close()
    until(lambda: len(dialogs.titles) == 1 and QApplication.activeModalWidget() is None, "the user stays")
    assert browser.windows == [window]
    # The page must have heard the first answer before it is asked again.
    heard: list[object] = []
    tab.page.runJavaScript("'heard'", heard.append)
    until(lambda: heard, "the page goes on")
    window.close()
    until(lambda: browser.windows == [], "the window is closed")
    assert dialogs.titles == [f"Leave http://127.0.0.1:{site.port}?"] * 2


def test_the_last_window_asks_before_it_cancels_downloads(
    window: BrowserWindow, browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(window.downloads), "running", 2)
    open_page(window, site.url("/"), "First")
    dialogs = Dialogs(lambda dialog: press_button(dialog, "Cancel"), lambda dialog: press_button(dialog, "Close"))
    window.close()
    assert browser.windows == [window]
    window.close()
    until(lambda: browser.windows == [], "the window is closed")
    assert dialogs.titles == ["Close PeerSky?"] * 2
