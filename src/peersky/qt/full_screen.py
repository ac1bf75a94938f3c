"""A page on the whole screen: the window's own parts step aside, and a note says whose page it is and how to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QLabel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PyQt6.QtWidgets import QMainWindow, QWidget

_NOTE_MS: Final = 4000


class FullScreen:
    """Gives a window's whole area to the page, and takes it back.

    Args:
        parts: the widgets that are hidden meanwhile.
    """

    def __init__(self, window: QMainWindow, parts: Sequence[QWidget]) -> None:
        self._window, self._parts = window, parts
        self._before = window.windowState()
        self.is_on = False
        self.note = QLabel(window)
        self.note.setObjectName("hovered")
        self.note.hide()

    def begin(self, site: str) -> None:
        """The page of ``site`` takes the screen."""
        if self.is_on:
            return
        self.is_on, self._before = True, self._window.windowState()
        for part in self._parts:
            part.hide()
        self._window.showFullScreen()
        # The page could draw an address bar of its own: who it is must be said by the browser.
        self.note.setText(f"{site} is in full screen. Press Esc to leave.")
        self.note.adjustSize()
        self.note.move((self._window.width() - self.note.width()) // 2, 24)
        self.note.show()
        self.note.raise_()
        QTimer.singleShot(_NOTE_MS, self.note.hide)

    def end(self) -> None:
        """The window is as it was before."""
        if not self.is_on:
            return
        self.is_on = False
        self.note.hide()
        for part in self._parts:
            part.show()
        self._window.setWindowState(self._before)
