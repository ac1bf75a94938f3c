"""Looking for peers…: stands at the foot of a tab while a peer-to-peer page has not answered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtWidgets import QLabel, QWidget

if TYPE_CHECKING:
    from peersky.web.p2p_lookups import Lookup

SHOWN_AFTER_MS: Final = 700
"""What answers sooner needs no words."""

LOOKING: Final = "Looking for peers…"


class PeerWait(QLabel):
    """Counts the seconds of the lookups that it was told of; hidden while there is none."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("hovered")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(LOOKING)
        self._running: dict[int, float] = {}
        self._sentence = ""
        self._delay, self._tick = QTimer(self), QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(SHOWN_AFTER_MS)
        self._delay.timeout.connect(self._appear)
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self._count)
        self.hide()

    def begin(self, lookup: Lookup) -> None:
        """A page of this tab waits for its first answer."""
        self._running[lookup.number] = lookup.started_s
        if not self._delay.isActive() and self.isHidden():
            self._delay.start()

    def end(self, number: int | None = None) -> None:
        """A lookup has its answer or was given up; None: all of them."""
        if number is None:
            self._running.clear()
        self._running.pop(number or 0, None)
        if not self._running:
            self._delay.stop()
            self._tick.stop()
            self.hide()

    def say(self, sentence: str) -> None:
        """What the node does before it can look for anybody (it is installed, it starts); empty when it looks."""
        self._sentence = sentence
        if not self.isHidden():
            self._count()

    def place(self) -> None:
        """Go to the foot of the tab, above what is said of links."""
        parent = self.parentWidget()
        if parent is not None:
            self.adjustSize()
            self.move(4, parent.height() - 2 * self.height() - 8)

    def _appear(self) -> None:
        self._count()
        self.show()
        self.raise_()
        self._tick.start()

    def _count(self) -> None:
        if self._running:
            seconds = int(time.monotonic() - min(self._running.values()))
            text = f"{self._sentence or LOOKING} {seconds} s (Esc stops)"
            parent = self.parentWidget()
            room = max(120, parent.width() - 40) if parent is not None else 400
            self.setText(self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, room))
            self.setAccessibleName(self._sentence or LOOKING)
            self.place()
