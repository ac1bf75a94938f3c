"""A question in a bar under the address bar: names who asks, waits without blocking, cannot be clicked by accident."""

from __future__ import annotations

import re
import time
import unicodedata
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QEvent, QObject, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QHideEvent, QKeyEvent, QMouseEvent, QMoveEvent, QPaintEvent, QShowEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from peersky.core.click_guard import ClickGuard
from peersky.qt.icons import IconButton, text_icon

if TYPE_CHECKING:
    from collections.abc import Callable

_LONG_WORD = re.compile(r"\S{32,}")
_Event: Final = QEvent.Type
_ANSWERING: Final = frozenset({Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space, Qt.Key.Key_Select})


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
        clock: seconds, monotonic.
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
        clock: Callable[[], float] = time.monotonic,
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
        self._guard = ClickGuard(clock)
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
        button.installEventFilter(self)
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

    def _start_over(self) -> None:
        self._guard.hide()
        self._timer.stop()
        self._set_enabled(False)
        self.update()

    # It counts as appearing when the tab or the window comes to the front, and when the bar moves under the pointer.

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        window = self.window()
        if window is not None:
            window.installEventFilter(self)
        self._start_over()

    def hideEvent(self, event: QHideEvent | None) -> None:
        super().hideEvent(event)
        self._start_over()

    def moveEvent(self, event: QMoveEvent | None) -> None:
        super().moveEvent(event)
        self._start_over()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        self._guard.see()
        if not self._timer.isActive():
            self._show_guard()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        # Clicks on a button that takes no answer yet come here.
        self._guard.accepts()
        self._show_guard()
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        self.mousePressEvent(event)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is None:
            return False
        if watched is self.window():
            if event.type() == _Event.WindowActivate:
                self._start_over()
            return False
        is_key = isinstance(event, QKeyEvent) and event.type() == _Event.KeyPress and event.key() in _ANSWERING
        if is_key or event.type() in (_Event.MouseButtonPress, _Event.MouseButtonDblClick):
            repeated = event.isAutoRepeat() if isinstance(event, QKeyEvent) else event.type() != _Event.MouseButtonPress
            if not self._guard.accepts(repeated=repeated):
                self._show_guard()
                return True
        return False

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.dismissed.emit()
            return
        super().keyPressEvent(event)
