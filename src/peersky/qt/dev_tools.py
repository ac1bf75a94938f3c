"""Chromium's developer tools, in the lower part of a tab."""

from __future__ import annotations

from PyQt6.QtCore import QObject, QTimer, pyqtSignal
from PyQt6.QtWebEngineCore import QWebEnginePage
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QSplitter


class DevTools(QObject):
    """The developer tools of one page.

    Args:
        page: what they inspect.
        splitter: where their view stands while they are open.
    """

    closed = pyqtSignal()

    def __init__(self, page: QWebEnginePage, splitter: QSplitter) -> None:
        super().__init__(splitter)
        self._page, self._splitter = page, splitter
        self.view: QWebEngineView | None = None

    def toggle(self) -> None:
        if self.view is None:
            self.open()
        else:
            self.close()

    def open(self) -> None:
        """Show them."""
        if self.view is not None:
            return
        self.view = QWebEngineView(self._splitter)
        self.view.setAccessibleName("Developer tools")
        # A page of its own, and none of ours: it needs no bars, dialogs or bridge.
        tools = QWebEnginePage(self._page.profile(), self.view)
        self.view.setPage(tools)
        # Not from within the signal: the page that sends it is deleted.
        tools.windowCloseRequested.connect(lambda: QTimer.singleShot(0, self.close))
        height = self._splitter.height()
        self._splitter.addWidget(self.view)
        self._splitter.setSizes([height * 3 // 5, height * 2 // 5])
        self._page.setDevToolsPage(tools)

    def close(self) -> None:
        """Take them away."""
        if self.view is None:
            return
        view, self.view = self.view, None
        self._page.setDevToolsPage(None)
        view.setParent(None)
        view.deleteLater()
        self.closed.emit()

    def inspect(self) -> None:
        """Open them at what was clicked last."""
        self.open()
        self._page.triggerAction(QWebEnginePage.WebAction.InspectElement)
