"""Keeps clicks and keys from the buttons of a question that the user cannot have read yet: of bars and of dialogs."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from PyQt6 import sip
from PyQt6.QtCore import QEvent, QObject, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent

from peersky.core.click_guard import ClickGuard

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtWidgets import QAbstractButton, QWidget

_Event: Final = QEvent.Type
_ANSWERING: Final = frozenset({Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space, Qt.Key.Key_Select})
_PRESSES: Final = frozenset({_Event.MouseButtonPress, _Event.MouseButtonDblClick})
_APPEARS: Final = frozenset({_Event.Show, _Event.Hide, _Event.Move})


class AnswerGuard(QObject):
    """Swallows the answers that :class:`~peersky.core.click_guard.ClickGuard` does not take.

    It counts as appearing when the tab or the window comes to the front, and when the question moves under the pointer.
    Escape and the closing of a window are let through: they are a no, and harm nobody.

    Args:
        surface: the bar or dialog that asks; the guard belongs to it.
        buttons: those that answer.
        clock: seconds, monotonic; None: the system's.
    """

    restarted = pyqtSignal()
    """The time began anew: an answer came too early, or the question appeared."""

    def __init__(self, surface: QWidget, *buttons: QAbstractButton, clock: Callable[[], float] | None = None) -> None:
        super().__init__(surface)
        self._surface, self._guard = surface, ClickGuard(clock or monotonic)
        for watched in (surface, *buttons):
            watched.installEventFilter(self)

    @property
    def remaining_s(self) -> float:
        """Time until an answer counts."""
        return self._guard.remaining_s

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        # A surface that is being deleted still has events, and not all of a surface any more.
        if event is None or sip.isdeleted(self._surface):
            return False
        kind = event.type()
        window = self._surface.window()
        if kind == _Event.WindowActivate and watched is window:
            self._start_over()
        if watched is self._surface:
            return self._on_surface(event)
        if watched is window:
            return False
        return (kind in _PRESSES or kind == _Event.Shortcut or _is_answer(event)) and not self._accepts(event)

    def _on_surface(self, event: QEvent) -> bool:
        kind = event.type()
        if kind in _APPEARS:
            window = self._surface.window()
            if window is not None:
                window.installEventFilter(self)
            self._start_over()
        elif kind == _Event.Paint:
            self._guard.see()
        elif kind in _PRESSES:
            # Clicks on a button that is disabled come here.
            self._accepts(event)
        # What a line of text leaves of a Return presses the dialog's default button.
        return _is_answer(event) and not self._accepts(event)

    def _accepts(self, event: QEvent) -> bool:
        is_held = isinstance(event, QKeyEvent) and event.isAutoRepeat()
        is_second = event.type() == _Event.MouseButtonDblClick
        accepted = self._guard.accepts(repeated=is_held or is_second)
        if not accepted:
            self.restarted.emit()
        return accepted

    def _start_over(self) -> None:
        self._guard.hide()
        self.restarted.emit()
        self._surface.update()


def _is_answer(event: QEvent) -> bool:
    return isinstance(event, QKeyEvent) and event.type() == _Event.KeyPress and event.key() in _ANSWERING
