"""The page of a tab: tells the scheme handlers which addresses the user is taken to by the browser itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QUrl, pyqtSignal
from PyQt6.QtWebEngineCore import QWebEnginePage

from peersky.core.origins import BROWSER, OPAQUE, OWN_SCHEMES
from peersky.core.reach import Closed, may_send

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtCore import QObject
    from PyQt6.QtWebEngineCore import QWebEngineProfile

    from peersky.core.origins import Origin

_Level = QWebEnginePage.JavaScriptConsoleMessageLevel
_LEVELS: Final = {_Level.WarningMessageLevel: "warning", _Level.ErrorMessageLevel: "error"}


_Type = QWebEnginePage.NavigationType
_BY_THE_BROWSER: Final = frozenset(
    {_Type.NavigationTypeTyped, _Type.NavigationTypeBackForward, _Type.NavigationTypeReload}
)


class BrowserNavigations:
    """Addresses of our schemes that the browser itself is loading, one at most for each page.

    A typed address that a server redirects to ``peersky:`` reaches the scheme handler looking exactly like a typed
    ``peersky:`` address: no initiator. So a navigation without initiator counts as the browser's own only if a page
    announced it here, which it does for typed addresses, back, forward and reload, and never for redirects. And a link
    of a trusted page that a server redirects has that page as initiator: such a load is disowned here.
    """

    def __init__(self) -> None:
        self._announced: dict[int, QUrl] = {}
        self._disowned: dict[int, QUrl] = {}

    def announce(self, page: int, url: QUrl | None) -> None:
        """The next main-frame load of a page; None where it is none of the browser's own to one of our schemes."""
        self._note(page, self._announced, url)

    def disown(self, page: int, url: QUrl) -> None:
        """A server of another scheme sends a page's main frame to this address: nobody of ours asked for it."""
        self._note(page, self._disowned, url)

    def _note(self, page: int, where: dict[int, QUrl], url: QUrl | None) -> None:
        self._announced.pop(page, None)
        self._disowned.pop(page, None)
        if url is not None and url.scheme() in OWN_SCHEMES:
            where[page] = _bare(url)

    def asker(self, url: QUrl, initiator: Origin | None) -> Origin:
        """Who navigates to an address of ours. An announcement counts once."""
        if _take(self._disowned, url):
            return OPAQUE
        if initiator is not None:
            return initiator
        return BROWSER if _take(self._announced, url) else OPAQUE


def _take(noted: dict[int, QUrl], url: QUrl) -> bool:
    page = next((page for page, there in noted.items() if there == _bare(url)), None)
    if page is not None:
        del noted[page]
    return page is not None


def _text(url: QUrl) -> str:
    return url.toEncoded(QUrl.UrlFormattingOption.RemoveUserInfo).data().decode("ascii", "replace")


def _bare(url: QUrl) -> QUrl:
    return url.adjusted(QUrl.UrlFormattingOption.RemoveFragment)


class PeerSkyPage(QWebEnginePage):
    """A page of a tab, of the headless commands or of a test."""

    console_message = pyqtSignal(str, str, int, str)
    """Level (``info``, ``warning``, ``error``), text, line and source of a console message."""

    def __init__(
        self,
        profile: QWebEngineProfile,
        parent: QObject | None,
        navigations: BrowserNavigations,
        on_error: Callable[[str], None],
        closed: Callable[[], Closed] = Closed,
    ) -> None:
        super().__init__(profile, parent)
        self._navigations, self._on_error, self._closed = navigations, on_error, closed
        # Where the main frame is on its way to, until it is there.
        self._pending = QUrl()
        self.loadFinished.connect(self._arrived)

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
        """Whether a navigation may go on: all may, but for redirects to the browser's own servers.

        The interceptor sees those, too, and keeps the reply back; but by then the request is on its way.

        What Qt calls a redirect may be a server's, or a page's own reload or ``location.replace``. A server's comes
        while a load is on its way.
        """
        if kind == _Type.NavigationTypeRedirect and not may_send(OPAQUE, _text(url), self._closed(), navigation=True):
            return False
        if not is_main_frame:
            return True
        from_elsewhere = self._pending.isValid() and self._pending.scheme() != "peersky"
        if kind == _Type.NavigationTypeRedirect and from_elsewhere:
            self._navigations.disown(id(self), url)
        else:
            self._navigations.announce(id(self), url if kind in _BY_THE_BROWSER else None)
        self._pending = url
        return True

    def _arrived(self) -> None:
        self._pending = QUrl()
