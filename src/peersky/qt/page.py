"""The page of a tab: which navigations are refused before a scheme handler could see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWebEngineCore import QWebEnginePage

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtCore import QObject, QUrl
    from PyQt6.QtWebEngineCore import QWebEngineProfile

_INTERNAL: Final = frozenset({"peersky", "llm"})


_Level = QWebEnginePage.JavaScriptConsoleMessageLevel
_LEVELS: Final = {_Level.WarningMessageLevel: "warning", _Level.ErrorMessageLevel: "error"}


class PeerSkyPage(QWebEnginePage):
    """A page that no server can redirect into the browser's own pages.

    A typed address that redirects to ``peersky:`` reaches the scheme handler looking exactly like a typed
    ``peersky:`` address (empty initiator), so the redirect is refused here.
    """

    console_message = pyqtSignal(str, str, int, str)
    """Level (``info``, ``warning``, ``error``), text, line and source of a console message."""

    def __init__(self, profile: QWebEngineProfile, parent: QObject | None, on_error: Callable[[str], None]) -> None:
        super().__init__(profile, parent)
        self._on_error = on_error

    def acceptNavigationRequest(self, url: QUrl, type: QWebEnginePage.NavigationType, isMainFrame: bool) -> bool:  # noqa: A002
        try:
            return self.accepts(url, type, isMainFrame)
        except Exception as error:  # noqa: BLE001 - an exception in a Qt virtual aborts the browser
            self._on_error(f"navigation refused: {error!r}")
            return False

    def javaScriptConsoleMessage(
        self,
        level: QWebEnginePage.JavaScriptConsoleMessageLevel,
        message: str | None,
        lineNumber: int,
        sourceID: str | None,
    ) -> None:
        self.console_message.emit(_LEVELS.get(level, "info"), message or "", lineNumber, sourceID or "")

    def accepts(self, url: QUrl, kind: QWebEnginePage.NavigationType, is_main_frame: bool) -> bool:
        """Whether a navigation may go on. Subclasses add their rules to this one."""
        redirect = kind == QWebEnginePage.NavigationType.NavigationTypeRedirect
        return not (redirect and url.scheme() in _INTERNAL)
