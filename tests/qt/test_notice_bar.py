"""Questions of the browser cannot be clicked through, whatever the page has the user do meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget

from peersky.core.click_guard import GUARD_S
from peersky.qt.notice_bar import NoticeBar
from tests.qt.window_host import KEYBOARD, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.attack("Questions of the browser")

LEFT = Qt.MouseButton.LeftButton


class Asked:
    """A question in a window, with a clock of the test's own."""

    def __init__(self, text: str = "https://evil.example: May this site publish?", now_label: str = "") -> None:
        self.now = 1000.0
        self.answers: list[bool | None] = []
        self.window = QWidget()
        clock = lambda: self.now  # noqa: E731
        self.bar = NoticeBar("question", text, "Publish", "Do not", self.window, clock=clock, now=now_label)
        self.bar.answered.connect(self.answers.append)
        self.layout = QVBoxLayout(self.window)
        self.layout.addWidget(self.bar)
        self.window.resize(700, 200)
        self.window.show()
        self.seen()

    @property
    def yes(self) -> QWidget:
        return self.bar.buttons[1]

    def seen(self) -> None:
        KEYBOARD.qWaitForWindowExposed(self.window)
        self.bar.repaint()

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.bar.repaint()
        self.bar._show_guard()

    def hold(self, key: Qt.Key) -> None:
        """A key that repeats while it is held."""
        for repeated in (True, True, True):
            event = QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier, "", repeated)
            QApplication.sendEvent(self.yes, event)


@pytest.fixture
def asked(qt_application: QApplication) -> Iterator[Asked]:
    asked = Asked()
    yield asked
    asked.window.deleteLater()


def test_clicks_and_enter_count_after_half_a_second(asked: Asked) -> None:
    asked.later(GUARD_S)
    KEYBOARD.mouseClick(asked.yes, LEFT)
    asked.yes.setFocus()
    KEYBOARD.keyClick(asked.yes, Qt.Key.Key_Space)
    assert asked.answers == [True, True]


def test_clicks_and_enter_before_that_count_for_nothing(asked: Asked) -> None:
    for _ in range(20):
        asked.later(GUARD_S * 0.9)
        KEYBOARD.mouseClick(asked.yes, LEFT)
        KEYBOARD.mouseDClick(asked.yes, LEFT)
        KEYBOARD.keyClick(asked.yes, Qt.Key.Key_Return)
        KEYBOARD.keyClick(asked.yes, Qt.Key.Key_Space)
    assert asked.answers == []
    assert not asked.yes.isEnabled()
    asked.later(GUARD_S)
    assert asked.yes.isEnabled()


def test_the_second_click_of_a_double_click_is_no_answer(asked: Asked) -> None:
    """The page has the user double-click where the question will be: the first click brings it up."""
    asked.later(GUARD_S - 0.05)
    KEYBOARD.mouseClick(asked.yes, LEFT)
    asked.later(0.1)
    KEYBOARD.mouseClick(asked.yes, LEFT)
    asked.later(GUARD_S)
    KEYBOARD.mouseDClick(asked.yes, LEFT, pos=asked.yes.rect().center())
    assert len(asked.answers) <= 1, "the first click of it alone"


def test_a_held_key_is_no_answer(asked: Asked) -> None:
    asked.later(GUARD_S)
    asked.yes.setFocus()
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
        asked.hold(key)
        asked.later(GUARD_S)
    assert asked.answers == []


@pytest.mark.parametrize("width", [320, 480, 700, 2560])
def test_three_answers_are_whole_and_in_reach_of_the_keyboard(qt_application: QApplication, width: int) -> None:
    asked = Asked("https://a.example: May this page send its questions to api.example?", now_label="Allow for now")
    asked.bar.allowed_for_now.connect(lambda: asked.answers.append(None))
    asked.layout.setContentsMargins(0, 0, 0, 0)
    asked.window.resize(width, 400)
    until(lambda: asked.bar.width() == width, "the width")
    KEYBOARD.qWait(0)
    places = [button.geometry() for button in asked.bar.buttons]
    assert [button.text() for button in asked.bar.buttons] == ["Do not", "Allow for now", "Publish"]
    for button, place in zip(asked.bar.buttons, places, strict=True):
        assert asked.bar.rect().contains(place)
        assert place.width() >= button.sizeHint().width()
        assert sum(place.intersects(other) for other in [*places, asked.bar.label.geometry()]) == 1
        assert button.accessibleDescription() == asked.bar.accessibleName()
    asked.later(GUARD_S)
    asked.bar.buttons[0].setFocus()
    for _ in places:
        KEYBOARD.keyClick(QApplication.focusWidget(), Qt.Key.Key_Space)
        KEYBOARD.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert asked.answers == [False, None, True]
    assert asked.bar.close_button.hasFocus()
    asked.window.deleteLater()


def test_it_takes_no_keyboard_from_the_page(asked: Asked) -> None:
    """Whoever is typing answers nothing with the next Enter or space."""
    page = QLineEdit()
    asked.layout.addWidget(page)
    page.show()
    page.setFocus()
    asked.layout.addWidget(NoticeBar("question", "Another?", "Yes", "No"))
    asked.seen()
    assert QApplication.focusWidget() is page


def test_a_bar_that_moves_starts_over(asked: Asked) -> None:
    """Another bar goes away above it, and the button comes to stand under the pointer."""
    asked.later(GUARD_S)
    asked.layout.insertWidget(0, NoticeBar("bell", "Something else.", parent=asked.window))
    until(lambda: not asked.yes.isEnabled(), "the bar has moved")
    KEYBOARD.mouseClick(asked.yes, LEFT)
    assert asked.answers == []
    asked.bar.repaint()
    asked.later(GUARD_S)
    KEYBOARD.mouseClick(asked.yes, LEFT)
    assert asked.answers == [True]


def test_a_window_that_comes_to_the_front_starts_over(asked: Asked) -> None:
    """A page's own window lay above it, and closes under the user's finger."""
    asked.later(GUARD_S)
    QApplication.sendEvent(asked.window, QEvent(QEvent.Type.WindowActivate))
    KEYBOARD.mouseClick(asked.yes, LEFT)
    assert asked.answers == []
    asked.window.hide()
    asked.later(GUARD_S)
    asked.window.show()
    KEYBOARD.mouseClick(asked.yes, LEFT)
    assert asked.answers == []


def test_closing_it_needs_no_patience(asked: Asked) -> None:
    """That is a no, and harms nobody."""
    closed: list[bool] = []
    asked.bar.dismissed.connect(lambda: closed.append(True))
    KEYBOARD.mouseClick(asked.bar.close_button, LEFT)
    assert closed == [True]


def test_what_it_says_is_one_line_of_visible_characters(qt_application: QApplication) -> None:
    asked = Asked("https://evil.example\n\n\u202eyksreeP\u202c:\u200b May\u0007 this\u2028site <b>publish</b>?")
    assert asked.bar.label.text() == "https://evil.example  yksreeP: May this site <b>publish</b>?"
    assert asked.bar.label.textFormat() == Qt.TextFormat.PlainText
    asked.window.deleteLater()
