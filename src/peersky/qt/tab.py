"""One tab: the page, what stands in its place when it fails, its bars, its find bar and its developer tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QByteArray, QDataStream, QIODevice, QMarginsF, Qt, QTimer, QUrl, pyqtSignal
from PyQt6.QtGui import QContextMenuEvent, QIcon, QPageLayout, QPageSize, QResizeEvent
from PyQt6.QtWebEngineCore import (
    QWebEngineCertificateError,
    QWebEngineFullScreenRequest,
    QWebEngineLoadingInfo,
    QWebEnginePage,
    QWebEngineSettings,
)
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication, QLabel, QSplitter, QStackedLayout, QVBoxLayout, QWidget

from peersky.core.load_errors import ABORTED, CRASHED, LoadError, explain, no_handler
from peersky.core.origins import P2P_SCHEMES
from peersky.qt.dev_tools import DevTools
from peersky.qt.dialogs import PageDialogs, url_text
from peersky.qt.error_panel import ErrorPanel
from peersky.qt.find_bar import FindBar
from peersky.qt.notice_bar import NoticeBar
from peersky.qt.page_watch import PageWatch
from peersky.qt.peer_wait import PeerWait
from peersky.qt.permissions import PermissionBars

if TYPE_CHECKING:
    from peersky.core.address import Destination
    from peersky.qt.host import Host
    from peersky.web.p2p_lookups import Lookup

ZOOM_STEPS: Final = (0.25, 0.33, 0.5, 0.67, 0.75, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0)
CLOSE_WAIT_MS: Final = 4000
"""A page whose process does not answer is closed without its consent after this time."""

_Action = QWebEnginePage.WebAction
_Load = QWebEngineLoadingInfo.LoadStatus
# Without it a PDF has no margins, whatever the page's own style says.
_PAPER: Final = QPageLayout(
    QPageSize(QPageSize.PageSizeId.A4),
    QPageLayout.Orientation.Portrait,
    QMarginsF(15, 15, 15, 15),
    QPageLayout.Unit.Millimeter,
)


def _same_page(one: QUrl, other: QUrl) -> bool:
    without = QUrl.UrlFormattingOption.RemoveFragment
    return bool(one.adjusted(without) == other.adjusted(without))


class PageView(QWebEngineView):
    """The page on the screen, with a context menu that can inspect."""

    inspect = pyqtSignal()

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        menu = self.createStandardContextMenu()
        if menu is None or event is None:
            return
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addSeparator()
        entry = menu.addAction("Inspect")
        if entry is not None:
            entry.triggered.connect(self.inspect)
        menu.popup(event.globalPos())


class Tab(QWidget):
    """A page and everything that belongs to it alone. Delete it before the profile."""

    changed = pyqtSignal()
    """Address, title, icon, error or zoom changed, or loading began or ended."""
    progress = pyqtSignal(int)
    """How much of the page has come, in percent."""
    full_screen = pyqtSignal(bool)
    came_to_front = pyqtSignal()
    close_agreed = pyqtSignal()
    """The page may be closed: it has no objection, or the user overruled it."""
    close_refused = pyqtSignal()
    """The user stays on the page."""

    def __init__(self, host: Host, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Created before the view, so that Qt deletes it first: pages go before views, and both before the profile.
        self.page: QWebEnginePage = host.new_page(self)
        self.loading = self._close_asked = False
        self.error: LoadError | None = None
        self.typed: str | None = None
        self.is_page_full_screen = False
        self._destination: Destination | None = None
        self._pending, self._stopped_by_user, self._zoom = "", False, 1.0
        self._loading_url = QUrl()
        self._host = host
        self._build()
        self._connect()

    def _build(self) -> None:
        self.view = PageView(self)
        self.view.setPage(self.page)
        self.view.setAccessibleName("Page")
        self.splitter = QSplitter(Qt.Orientation.Vertical, self)
        self.splitter.addWidget(self.view)
        self.dev_tools = DevTools(self.page, self.splitter)
        self.splitter.setChildrenCollapsible(False)
        self.error_panel = ErrorPanel(self)
        self.find_bar = FindBar(self.page, self)
        self._bars = QVBoxLayout()
        self._stack = QStackedLayout()
        self._stack.addWidget(self.splitter)
        self._stack.addWidget(self.error_panel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._bars)
        layout.addLayout(self._stack, 1)
        layout.addWidget(self.find_bar)
        self._hovered = QLabel(self)
        self._hovered.setObjectName("hovered")
        self._hovered.setTextFormat(Qt.TextFormat.PlainText)
        self._hovered.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._hovered.hide()
        self.peer_wait = PeerWait(self)

    def _connect(self) -> None:
        page = self.page
        settings = page.settings()
        if settings is not None:
            # Chromium's own error page is never seen (the panel covers it), but with it the failed address gets its
            # place in the history, and the page that was there before is gone instead of running on unseen.
            settings.setAttribute(QWebEngineSettings.WebAttribute.ErrorPageEnabled, True)
            # Only a click or a key opens windows.
            settings.setAttribute(QWebEngineSettings.WebAttribute.JavascriptCanOpenWindows, False)
            settings.setAttribute(QWebEngineSettings.WebAttribute.FullScreenSupportEnabled, True)
            # A page that arrives late must not take the keyboard from the address bar.
            settings.setAttribute(QWebEngineSettings.WebAttribute.FocusOnNavigationEnabled, False)
        self.dialogs = PageDialogs(page, self, self.came_to_front.emit)
        self.permissions = PermissionBars(self.add_bar, self.remove_bar, self)
        self.watch = PageWatch(page, self, self._can_answer, self.add_bar, self.remove_bar)
        self.dialogs.stayed.connect(self._on_stay)
        page.loadingChanged.connect(self._on_loading)
        page.loadProgress.connect(self.progress)
        page.urlChanged.connect(self._on_url)
        page.titleChanged.connect(lambda _title: self.changed.emit())
        page.iconChanged.connect(lambda _icon: self.changed.emit())
        page.linkHovered.connect(self._show_hovered)
        page.permissionRequested.connect(self.permissions.ask)
        page.certificateError.connect(self._refuse_certificate)
        page.renderProcessTerminated.connect(self._on_crash)
        page.fullScreenRequested.connect(self._on_full_screen)
        page.windowCloseRequested.connect(self.close_agreed)
        page.pdfPrintingFinished.connect(self._on_pdf)
        self.error_panel.retry.connect(self.reload)
        self.find_bar.closed.connect(self.focus_page)
        self.find_bar.closed.connect(self.changed)
        self.find_bar.opened.connect(self.changed)
        self.view.inspect.connect(self.dev_tools.inspect)
        self.dev_tools.closed.connect(self.focus_page)

    @property
    def address(self) -> str:
        """What the address bar shows: the page's encoded URL, or where the user sent the tab while it has not come."""
        return self._pending or url_text(self.page.url())

    @property
    def committed_address(self) -> str:
        """The address of the page that is shown now, whatever is on its way."""
        return url_text(self.page.url())

    @property
    def title(self) -> str:
        """Never empty."""
        if self.error is not None:
            return self.error.title
        return self.page.title().strip() or self.address.partition("://")[2].strip("/") or "New tab"

    @property
    def icon(self) -> QIcon:
        """The site's icon; null where it has none."""
        return QIcon() if self.error is not None else self.page.icon()

    def load(self, destination: Destination) -> None:
        """Open what the user typed, chose or clicked in the window's own parts."""
        self._destination, self._pending = destination, destination.url
        self._stopped_by_user = False
        self.typed = None
        self.page.load(QUrl(destination.url))
        self.changed.emit()

    def reload(self, *, bypass_cache: bool = False) -> None:
        """Load the page again, the failed address if it failed."""
        if self.error is not None and self._pending:
            self.page.load(QUrl(self._pending))
        else:
            self.page.triggerAction(_Action.ReloadAndBypassCache if bypass_cache else _Action.Reload)

    def stop(self) -> None:
        """Stop loading; what has come stays."""
        self._stopped_by_user = True
        self.page.triggerAction(_Action.Stop)

    def ask_to_close(self) -> None:
        """Let the page's ``beforeunload`` speak; :attr:`close_agreed` or :attr:`close_refused` follows."""
        if self.error is not None or not self.page.url().isValid():
            self.close_agreed.emit()
        else:
            self._close_asked = True
            self.page.triggerAction(_Action.RequestClose)
            QTimer.singleShot(CLOSE_WAIT_MS, self._agree_if_silent)

    def _agree_if_silent(self) -> None:
        """A page whose process hangs cannot keep its tab open. A dialog of it can: the user has not answered yet."""
        if self._close_asked and not self.dialogs.is_open:
            self.close_agreed.emit()

    def _on_stay(self) -> None:
        self._close_asked = False
        self.close_refused.emit()

    def focus_page(self) -> None:
        """Give the keyboard to the page, or to what stands in its place."""
        if self.error is not None:
            self.error_panel.retry_button.setFocus()
        else:
            self.view.setFocus()

    def leave_full_screen(self) -> None:
        """Take the screen back from the page."""
        self.page.triggerAction(_Action.ExitFullScreen)

    def save_as_pdf(self, file: str) -> None:
        """Print the page into a file; a message says how it went."""
        self.page.printToPdf(file, _PAPER)

    def _on_pdf(self, file: str, success: bool) -> None:
        text = f"Saved as {file}." if success else f"{file} could not be written; choose another folder."
        self.show_message(text, "file" if success else "warning")

    def dispose(self) -> None:
        """Delete the page and all that hangs on it. The profile must still be there."""
        for bar in self.bars:
            bar.dismissed.emit()
        self.dev_tools.close()
        self.hide()
        self.setParent(None)
        self.deleteLater()

    # What the page reports

    def _on_loading(self, info: QWebEngineLoadingInfo) -> None:
        status = info.status()
        self.loading = status == _Load.LoadStartedStatus
        self._loading_url = info.url() if self.loading else QUrl()
        if not self.loading:
            self.peer_wait.end()
        if status == _Load.LoadStartedStatus:
            self._stopped_by_user = False
            self._show_error(None)
            self.permissions.withdraw_all()
            self.dialogs.start_over()
            self.watch.start_over()
        elif status == _Load.LoadFailedStatus and info.isErrorPage():
            self._on_failure(info)
        elif status == _Load.LoadStoppedStatus:
            self._on_stopped(info)
        else:
            self._pending = ""
            self.find_bar.refresh()
        self._apply_zoom()
        self.changed.emit()

    def _on_failure(self, info: QWebEngineLoadingInfo) -> None:
        url = url_text(info.url())
        self._pending = ""
        by_status = info.errorDomain() == QWebEngineLoadingInfo.ErrorDomain.HttpStatusCodeDomain
        guessed = self._destination is not None and self._destination.guessed_https and self._destination.url == url
        self._show_error(
            explain(url, info.errorCode(), info.errorString(), http_status=by_status, guessed_https=guessed)
        )

    def _on_stopped(self, info: QWebEngineLoadingInfo) -> None:
        """Stopped by the user, a download, another navigation: no error, unless nobody serves a typed P2P address."""
        scheme = info.url().scheme()
        unserved = scheme in P2P_SCHEMES and self._host.profile.urlSchemeHandler(scheme.encode()) is None
        if self._pending and unserved and not self._stopped_by_user and info.errorCode() == ABORTED:
            self._show_error(no_handler(scheme))
        else:
            self._pending = ""

    def _show_error(self, error: LoadError | None) -> None:
        self.error = error
        if error is not None:
            had_focus = self._page_has_focus()
            self.error_panel.explain(error)
            self._stack.setCurrentWidget(self.error_panel)
            if had_focus:
                self.error_panel.retry_button.setFocus()
        else:
            self._stack.setCurrentWidget(self.splitter)

    def _page_has_focus(self) -> bool:
        focused = QApplication.focusWidget()
        return focused is not None and (focused is self.view or self.view.isAncestorOf(focused))

    def _on_url(self, url: QUrl) -> None:
        if url_text(url) != self._pending and not self.loading:
            self._pending = ""
        self._apply_zoom()
        self.changed.emit()

    def _on_crash(self, status: QWebEnginePage.RenderProcessTerminationStatus, code: int) -> None:
        if status != QWebEnginePage.RenderProcessTerminationStatus.NormalTerminationStatus:
            self.loading = False
            if self.is_page_full_screen:
                self.is_page_full_screen = False
                self.full_screen.emit(False)
            self._show_error(CRASHED)
            self.changed.emit()

    def _can_answer(self) -> bool:
        """Whether the page is able to answer: a dialog of it, or a debugger, may hold it."""
        held = self.dialogs.is_open or self.dev_tools.view is not None
        return self.error is None and self.page.url().isValid() and not held

    def _refuse_certificate(self, error: QWebEngineCertificateError) -> None:
        error.rejectCertificate()

    def _on_full_screen(self, request: QWebEngineFullScreenRequest) -> None:
        request.accept()
        self.is_page_full_screen = request.toggleOn()
        self.full_screen.emit(request.toggleOn())

    def show_lookup(self, lookup: Lookup, runs: bool) -> None:
        """A page somewhere begins or ends to wait for a peer; if it is this tab's, the tab says so."""
        if not runs:
            self.peer_wait.end(lookup.number)
        elif lookup.asker.is_navigation and _same_page(QUrl(lookup.url), self._loading_url):
            self.peer_wait.begin(lookup)

    # Bars

    def add_bar(self, bar: NoticeBar) -> None:
        """Put a question or message above the page. A question takes the screen back from a page that fills it."""
        if bar.buttons and self.is_page_full_screen:
            self.leave_full_screen()
        self._bars.addWidget(bar)
        bar.show()

    def remove_bar(self, bar: NoticeBar) -> None:
        """Take a bar away; the page gets the focus if the bar had it."""
        had_focus = any(button.hasFocus() for button in [*bar.buttons, bar.close_button])
        self._bars.removeWidget(bar)
        bar.hide()
        bar.deleteLater()
        if had_focus:
            self.view.setFocus()

    def show_message(self, text: str, icon_name: str = "warning") -> NoticeBar:
        """Say one sentence above the page, until the user closes it."""
        bar = NoticeBar(icon_name, text, parent=self)
        bar.dismissed.connect(lambda: self.remove_bar(bar))
        self.add_bar(bar)
        return bar

    @property
    def bars(self) -> list[NoticeBar]:
        """The bars that stand above the page, from the top."""
        items = (self._bars.itemAt(index) for index in range(self._bars.count()))
        widgets = (item.widget() for item in items if item is not None)
        return [widget for widget in widgets if isinstance(widget, NoticeBar)]

    def _show_hovered(self, url: str) -> None:
        self._hovered.setVisible(bool(url))
        if url:
            metrics = self._hovered.fontMetrics()
            self._hovered.setText(
                metrics.elidedText(url, Qt.TextElideMode.ElideMiddle, max(100, self.width() * 2 // 3))
            )
            self._place_hovered()
            self._hovered.raise_()

    def _place_hovered(self) -> None:
        self._hovered.adjustSize()
        self._hovered.move(4, self.height() - self._hovered.height() - 4)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._place_hovered()
        self.peer_wait.place()

    # Zoom

    @property
    def zoom(self) -> float:
        """1.0 is the page's own size."""
        return self._zoom

    def set_zoom(self, factor: float) -> None:
        """Show the tab's pages at a size, until it is changed."""
        self._zoom = factor
        self._apply_zoom()
        self.changed.emit()

    def step_zoom(self, steps: int) -> None:
        """Larger (1) or smaller (-1)."""
        nearest = min(range(len(ZOOM_STEPS)), key=lambda index: abs(ZOOM_STEPS[index] - self._zoom))
        self.set_zoom(ZOOM_STEPS[max(0, min(len(ZOOM_STEPS) - 1, nearest + steps))])

    def _apply_zoom(self) -> None:
        # Chromium keeps the factor per site: going elsewhere would forget it.
        if abs(self.page.zoomFactor() - self._zoom) > 0.001:
            self.page.setZoomFactor(self._zoom)

    # History of a closed tab

    def save_history(self) -> QByteArray:
        """Back and forward list, for :meth:`restore_history`."""
        data = QByteArray()
        stream, history = QDataStream(data, QIODevice.OpenModeFlag.WriteOnly), self.page.history()
        if history is not None:
            stream << history  # type: ignore[operator]
        return data

    def restore_history(self, data: QByteArray) -> None:
        """Bring back what :meth:`save_history` kept, and load its page."""
        stream, history = QDataStream(data, QIODevice.OpenModeFlag.ReadOnly), self.page.history()
        if history is not None:
            stream >> history  # type: ignore[operator]
