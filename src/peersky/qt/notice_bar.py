"""A question in a bar under the address bar: names who asks, waits without blocking, cannot be clicked by accident."""

from __future__ import annotations

import re
from typing import Final

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QShowEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from peersky.qt.icons import IconButton, text_icon

GUARD_MS: Final = 500
"""Clicks are ignored this long after the bar appeared: a page may provoke a click and slide the bar under it."""


_LONG_WORD = re.compile(r"\S{32,}")


def _breakable(text: str) -> str:
    """The text with places at which a long key may be broken into lines: it must not widen the window."""
    return _LONG_WORD.sub(lambda word: re.sub(r"(.{8})(?=.)", "\\1\u200b", word[0]), text)


class NoticeBar(QFrame):
    """A yes-or-no question, or with ``yes`` empty, a message.

    Args:
        icon_name: of the icon in front.
        text: one sentence, plain text.
        yes, no: labels of the buttons.
    """

    answered = pyqtSignal(bool)
    """The user pressed a button."""
    dismissed = pyqtSignal()
    """The user closed the bar without an answer."""

    def __init__(self, icon_name: str, text: str, yes: str = "", no: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
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
        self._guard = QTimer(self)
        self._guard.setSingleShot(True)
        self._guard.setInterval(GUARD_MS)
        self._guard.timeout.connect(lambda: self._set_enabled(True))
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

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        # Coming back to the tab counts as appearing.
        self._set_enabled(False)
        self._guard.start()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.dismissed.emit()
            return
        super().keyPressEvent(event)
