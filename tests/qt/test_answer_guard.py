"""No dialog that a page, a link or a server can provoke is answered by the click or key that was meant for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QApplication, QDialog, QLineEdit, QPushButton, QWidget

from peersky.core.click_guard import GUARD_S
from peersky.qt import answer_guard
from peersky.qt.dialogs import Dialog
from peersky.qt.link_dialog import LinkDialog
from peersky.qt.publish_dialog import PublishDialog
from peersky.qt.publishing import Publishing, Wanted
from peersky.qt.unreachable_dialog import UnreachableDialog
from tests.fakes.clock import Clock
from tests.qt.window_host import KEYBOARD, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.attack("Questions of the browser")

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(answer_guard, "monotonic", clock)
    return clock


@pytest.fixture
def window(qt_application: QApplication) -> Iterator[QWidget]:
    window = QWidget()
    window.resize(900, 600)
    window.show()
    yield window
    window.deleteLater()


def page_dialog(window: QWidget) -> QDialog:
    return Dialog(window, "https://evil.example asks", "Sure?")


def sign_in(window: QWidget) -> QDialog:
    dialog = Dialog(window, "Sign in to https://evil.example", "A name and a password.", "Sign in")
    dialog.form.addRow("Name", QLineEdit(dialog))
    return dialog


def close_browser(window: QWidget) -> QDialog:
    return Dialog(window, "Close PeerSky?", "1 download is not finished.", "Close", enter_is_yes=False)


def publish(window: QWidget) -> QDialog:
    def start(_wanted: Wanted) -> Publishing:
        raise AssertionError("nothing is to be published")

    return PublishDialog(start, "/nowhere/index.html", window)


def link(window: QWidget) -> QDialog:
    return LinkDialog(f"hyper://{'y' * 52}/", window)


def unreachable(window: QWidget) -> QDialog:
    return UnreachableDialog("Ollama cannot be reached.", window)


ALL: list[tuple[Callable[[QWidget], QDialog], str]] = [
    (page_dialog, "OK"),
    (sign_in, "Sign in"),
    (close_browser, "Close"),
    (publish, "Publish"),
    (publish, "Cancel"),
    (link, "Close"),
    (link, "Copy link"),
    (unreachable, "Install Ollama"),
]


class Shown:
    """A dialog on the screen."""

    def __init__(self, dialog: QDialog, label: str) -> None:
        self.dialog, self.presses = dialog, list[bool]()
        found = (button for button in dialog.findChildren(QPushButton) if button.text().replace("&", "") == label)
        self.button = next(found)
        self.button.clicked.connect(lambda: self.presses.append(True))
        dialog.show()
        self.seen()

    def seen(self) -> None:
        KEYBOARD.qWaitForWindowExposed(self.dialog)
        KEYBOARD.qWaitForWindowActive(self.dialog)
        self.dialog.repaint()


@pytest.mark.parametrize(("make", "label"), ALL)
def test_clicks_and_keys_of_the_first_half_second_answer_nothing(
    make: Callable[[QWidget], QDialog], label: str, window: QWidget, clock: Clock
) -> None:
    shown = Shown(make(window), label)
    for _ in range(5):
        clock.now += GUARD_S * 0.9
        KEYBOARD.mouseClick(shown.button, LEFT)
        KEYBOARD.mouseDClick(shown.button, LEFT)
        KEYBOARD.keyClick(shown.button, Qt.Key.Key_Space)
        KEYBOARD.keyClick(shown.button, Qt.Key.Key_Return)
        KEYBOARD.keyClick(shown.dialog, Qt.Key.Key_Return)
    assert shown.presses == []
    assert shown.dialog.isVisible()
    clock.now += GUARD_S
    KEYBOARD.mouseClick(shown.button, LEFT)
    assert shown.presses == [True]


def test_enter_in_a_line_of_text_answers_after_half_a_second(window: QWidget, clock: Clock) -> None:
    """The user types into the page, the dialog takes the keyboard, and the Enter was meant for the page."""
    shown = Shown(sign_in(window), "Sign in")
    line = shown.dialog.findChild(QLineEdit)
    assert line is not None
    KEYBOARD.keyClicks(line, "me")
    KEYBOARD.keyClick(line, Qt.Key.Key_Return)
    assert shown.dialog.isVisible()
    clock.now += GUARD_S
    KEYBOARD.keyClick(line, Qt.Key.Key_Return)
    assert shown.dialog.result() == QDialog.DialogCode.Accepted
    assert line.text() == "me"


def test_enter_does_not_close_the_browser_while_it_saves_files(window: QWidget, clock: Clock) -> None:
    shown = Shown(close_browser(window), "Close")
    clock.now += GUARD_S
    KEYBOARD.keyClick(shown.dialog, Qt.Key.Key_Return)
    assert shown.dialog.result() == QDialog.DialogCode.Rejected
    assert not shown.dialog.isVisible()


def test_a_held_enter_answers_nothing(window: QWidget, clock: Clock) -> None:
    shown = Shown(page_dialog(window), "OK")
    for target in (shown.button, shown.dialog):
        clock.now += GUARD_S
        held = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, "", True)
        QApplication.sendEvent(target, held)
    assert shown.dialog.isVisible()


def test_escape_needs_no_patience(window: QWidget, clock: Clock) -> None:
    """It is a no, and harms nobody."""
    shown = Shown(page_dialog(window), "OK")
    KEYBOARD.keyClick(shown.dialog, Qt.Key.Key_Escape)
    assert not shown.dialog.isVisible()
    assert shown.dialog.result() == QDialog.DialogCode.Rejected


def test_a_dialog_that_comes_to_the_front_starts_over(window: QWidget, clock: Clock) -> None:
    """A pop-up lay above it and closes under the user's finger."""
    shown = Shown(page_dialog(window), "OK")
    clock.now += GUARD_S
    QApplication.sendEvent(shown.dialog, QEvent(QEvent.Type.WindowActivate))
    KEYBOARD.mouseClick(shown.button, LEFT)
    assert shown.dialog.isVisible()
    shown.dialog.repaint()
    clock.now += GUARD_S
    KEYBOARD.mouseClick(shown.button, LEFT)
    until(lambda: not shown.dialog.isVisible(), "the answer")
