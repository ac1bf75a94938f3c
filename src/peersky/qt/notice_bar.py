"""A question in a bar under the address bar: names who asks, waits without blocking, cannot be clicked by accident."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QBoxLayout, QFrame, QGridLayout, QLabel, QPushButton, QWidget

from peersky.qt.answer_guard import AnswerGuard
from peersky.qt.icons import IconButton, text_icon

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_TEXT: Final = 120
_GOOD_TEXT: Final = 240
"""Width of the text, in pixels: below the first it is not squeezed, below the second the buttons go out of its way."""
_LONG_WORD = re.compile(r"\S{32,}")


def _plain(text: str) -> str:
    """The text on one line, without characters that nobody sees: they could turn round what stands beside them."""
    spaced = (" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if unicodedata.category(char) not in ("Cc", "Cf"))


def _breakable(text: str) -> str:
    """The text with places at which a long key may be broken into lines: it must not widen the window."""
    return _LONG_WORD.sub(lambda word: re.sub(r"(.{8})(?=.)", "\\1\u200b", word[0]), text)


class NoticeBar(QFrame):
    """A question, or with ``yes`` empty, a message. Where the bar is narrow, the buttons stand below the text.

    Args:
        icon_name: of the icon in front.
        text: one sentence, plain text.
        yes, no: labels of the buttons.
        now: label of a third one, a yes that is not for good; empty: there is none.
        clock: seconds, monotonic; None: the system's.
    """

    answered = pyqtSignal(bool)
    """The user pressed ``yes`` or ``no``."""
    allowed_for_now = pyqtSignal()
    """The user pressed ``now``."""
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
        now: str = "",
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
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._row.setSpacing(8)
        self._add_button(no, text, lambda: self.answered.emit(False))
        self._add_button(now, text, self.allowed_for_now.emit)
        self._add_button(yes, text, lambda: self.answered.emit(True), primary=True)
        self._layout = layout = QGridLayout(self)
        layout.setContentsMargins(12, 7, 8, 7)
        layout.setSpacing(8)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self._icon, 0, 0)
        layout.addWidget(self.label, 0, 1)
        layout.addLayout(self._row, 0, 2)
        self.close_button = IconButton("close", "Not now" if yes else "Close this message", self, size=16)
        self.close_button.clicked.connect(self.dismissed)
        layout.addWidget(self.close_button, 0, 3)
        self._guard = AnswerGuard(self, *self.buttons, clock=clock)
        self._guard.restarted.connect(self._wait_again)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._show_guard)
        self._set_enabled(False)

    def _add_button(self, label: str, text: str, on_click: Callable[[], None], *, primary: bool = False) -> None:
        if not label:
            return
        button = QPushButton(label, self)
        button.setAccessibleDescription(text)
        button.setProperty("primary", primary)
        button.setAutoDefault(True)
        button.clicked.connect(lambda _checked: on_click())
        self.buttons.append(button)
        self._row.addWidget(button)

    # Three buttons must neither widen the window nor be cut off.

    def minimumSizeHint(self) -> QSize:
        widest = max((button.minimumSizeHint().width() for button in self.buttons), default=0)
        margins = self._layout.contentsMargins()
        sides = margins.left() + margins.right()
        text = self._icon.sizeHint().width() + self.close_button.sizeHint().width() + 2 * self._layout.spacing()
        return QSize(sides + max(widest, text + _LEAST_TEXT), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        widths = [button.sizeHint().width() for button in self.buttons]
        room = self.contentsRect().width() - 2 * self._layout.contentsMargins().left()
        in_a_row = sum(widths) + self._row.spacing() * max(0, len(widths) - 1)
        way = QBoxLayout.Direction
        self._row.setDirection(way.LeftToRight if in_a_row <= room else way.TopToBottom)
        self._layout.removeItem(self._row)
        if in_a_row + _GOOD_TEXT <= room:
            self._layout.addLayout(self._row, 0, 2)
        else:
            self._layout.addLayout(self._row, 1, 0, 1, 4, Qt.AlignmentFlag.AlignRight)

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
