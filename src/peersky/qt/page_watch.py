"""Notices that the page in front does not answer, because a script in it has no end, and offers to end it."""

from __future__ import annotations

import contextlib
import os
import signal
from time import monotonic
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QEvent, QObject, QTimer
from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineScript

from peersky.qt.notice_bar import NoticeBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtWidgets import QWidget

LOOK_MS: Final = 5000
PATIENCE_S: Final = 15.0
"""How long a page may take to answer. Long enough for a heavy page on a slow computer."""

_WORLD: Final = QWebEngineScript.ScriptWorldId.ApplicationWorld.value
SENTENCE: Final = "This page does not answer: a script in it goes on without end. What you typed into it may be lost."


class PageWatch(QObject):
    """Asks the page something now and then, while its tab is seen.

    Args:
        page: of the tab.
        tab: looked at only while it is visible.
        may_answer: whether the page is able to answer now: there is one, and neither a dialog nor a debugger holds it.
        add: puts a bar into the tab.
        remove: takes it out again.
    """

    def __init__(
        self,
        page: QWebEnginePage,
        tab: QWidget,
        may_answer: Callable[[], bool],
        add: Callable[[NoticeBar], None],
        remove: Callable[[NoticeBar], None],
    ) -> None:
        super().__init__(tab)
        self._page, self._tab, self._may_answer = page, tab, may_answer
        self._add, self._remove = add, remove
        self._bar: NoticeBar | None = None
        self._number = 0
        self._asked_s: float | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        tab.installEventFilter(self)

    def start_over(self) -> None:
        """Another page stands in the tab, or none, or the user wants to wait: what was asked counts no more."""
        self._number += 1
        self._asked_s = None
        if self._bar is not None:
            bar, self._bar = self._bar, None
            self._remove(bar)

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self.start_over()
            if event.type() == QEvent.Type.Show:
                self._timer.start()
            else:
                self._timer.stop()
        return False

    def _look(self) -> None:
        if not self._may_answer():
            self.start_over()
        elif self._asked_s is None:
            self._asked_s = monotonic()
            number = self._number
            self._page.runJavaScript("0", _WORLD, lambda _zero: self._answered(number))
        elif self._bar is None and monotonic() - self._asked_s >= PATIENCE_S:
            self._offer()

    def _answered(self, number: int) -> None:
        if number == self._number:
            self.start_over()

    def _offer(self) -> None:
        self._bar = bar = NoticeBar("warning", SENTENCE, "End it", "Keep waiting", self._tab)
        bar.answered.connect(self._on_answer)
        bar.dismissed.connect(self.start_over)
        self._add(bar)

    def _on_answer(self, end: bool) -> None:
        self.start_over()
        pid = self._page.renderProcessPid()
        if end and pid > 0:
            # The tab hears of it as of any crash. Windows has no SIGKILL; SIGTERM ends a process there at once.
            with contextlib.suppress(OSError):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
