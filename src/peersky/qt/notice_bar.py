"""A question in a bar under the address bar: names who asks, waits without blocking, cannot be clicked by accident."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPaintEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from peersky.qt.answer_guard import AnswerGuard
from peersky.qt.icons import IconButton, text_icon

if TYPE_CHECKING:
    from collections.abc import Callable

_LONG_WORD = re.compile(r"\S{32,}")


def _plain(text: str) -> str:
    """The text on one line, without characters that nobody sees: they could turn round what stands beside them."""
    spaced = (" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if unicodedata.category(char) not in ("Cc", "Cf"))


def _breakable(text: str) -> str:
    """The text with places at which a long key may be broken into lines: it must not widen the window."""
    return _LONG_WORD.sub(lambda word: re.sub(r"(.{8})(?=.)", "\\1\u200b", word[0]), text)


class NoticeBar(QFrame):
    """A yes-or-no question, or with ``yes`` empty, a message.

    Args:
        icon_name: of the icon in front.
        text: one sentence, plain text.
        yes, no: labels of the buttons.
        clock: seconds, monotonic; None: the system's.
    """

    answered = pyqtSignal(bool)
    """The user pressed a button."""
    dismissed = pyqtSignal()
    """The user closed the bar without an answer."""

    def __init__(
        self,
        icon_name: str,
        text: str,
        yes: str = "",
        no: str = "",
        parent: QWidget | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(parent)
        text = _plain(text)
        self.setObjectName("notice")
        self.setAccessibleName(text)
        self._icon = QLabel(self)
        self._icon.setPixmap(text_icon(icon_name, self).pixmap(20, 20))
        self.label = QLabel(_breakable(text), self)
        # What a site is called must not become markup.
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setWordWrap(True)
        self.buttons: list[QPushButton] = []
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 7, 8, 7)
        layout.setSpacing(8)
        layout.addWidget(self._icon)
        layout.addWidget(self.label, 1)
        for label, answer in ((no, False), (yes, True)):
            if label:
                layout.addWidget(self._add_button(label, answer, text))
        self.close_button = IconButton("close", "Not now" if yes else "Close this message", self, size=16)
        self.close_button.clicked.connect(self.dismissed)
        layout.addWidget(self.close_button)
        self._guard = AnswerGuard(self, *self.buttons, clock=clock)
        self._guard.restarted.connect(self._wait_again)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._show_guard)
        self._set_enabled(False)

    def _add_button(self, label: str, answer: bool, text: str) -> QPushButton:
        button = QPushButton(label, self)
        button.setAccessibleDescription(text)
        button.setProperty("primary", answer)
        button.setAutoDefault(True)
        button.clicked.connect(lambda: self.answered.emit(answer))
        self.buttons.append(button)
        return button

    def _set_enabled(self, enabled: bool) -> None:
        for button in self.buttons:
            button.setEnabled(enabled)

    def _show_guard(self) -> None:
        """Let the buttons look as they are: able to take an answer, or not yet."""
        remaining_s = self._guard.remaining_s
        self._set_enabled(remaining_s == 0)
        if remaining_s > 0:
            self._timer.start(int(remaining_s * 1000) + 1)

    def _wait_again(self) -> None:
        self._timer.stop()
        self._set_enabled(False)
        # What is not painted takes no answer, and needs no timer.
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        if not self._timer.isActive():
            self._show_guard()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.dismissed.emit()
            return
        super().keyPressEvent(event)
