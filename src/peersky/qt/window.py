"""All browser windows, and what they share: closed tabs, downloads, colours, questions, which page uses the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QByteArray, QCoreApplication, QEvent, QObject
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWebEngineCore import QWebEngineDownloadRequest, QWebEngineNotification, QWebEngineSettings
from PyQt6.QtWidgets import QApplication, QFileDialog

from peersky.qt.browser_window import BrowserWindow
from peersky.qt.dialogs import Dialog, discard, site_name
from peersky.qt.downloads import accept
from peersky.qt.icons import icon
from peersky.qt.model_sign import page_origin
from peersky.qt.notice_bar import NoticeBar
from peersky.qt.prompts import WindowPrompts
from peersky.qt.theme import apply_scheme
from peersky.qt.unreachable_dialog import INSTALL_URL, UnreachableDialog
from peersky.system.prompt_port import Consent, Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.core.origins import Origin
    from peersky.llm.downloads import Download
    from peersky.qt.host import Host
    from peersky.qt.notifier import DesktopNotifier
    from peersky.qt.tab import Tab
    from peersky.web.p2p_lookups import Lookup

__all__ = ["Browser", "BrowserWindow", "WindowPrompts", "run_window"]

_MOST_CLOSED: Final = 25


def run_window(
    runtime: Host, url: str | None, prompts: WindowPrompts | None = None, notifier: DesktopNotifier | None = None
) -> int:
    """Open a window, run Qt's loop until the last one is closed, and delete every page.

    Args:
        url: what the first tab opens, as typed in the address bar; None: the home page.
        prompts: the services' questions; they stand in the windows from now on.
        notifier: the services' notices; those that the desktop does not take stand in the windows.

    Returns:
        The exit code of the application.
    """
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    browser = Browser(runtime, prompts)
    if notifier is not None:
        notifier.banner = browser.show_notice
    try:
        window = browser.new_window(None if url else browser.home)
        if url:
            window.go_to(url)
        return application.exec()
    finally:
        browser.dispose()


class Browser(QObject):
    """The windows of one profile. Dispose of it before the profile is deleted."""

    def __init__(self, host: Host, prompts: WindowPrompts | None = None) -> None:
        super().__init__()
        self.host = host
        self.windows: list[BrowserWindow] = []
        self._closed: list[tuple[str, QByteArray]] = []
        self._busy: dict[str, int] = {}
        self._shown: frozenset[Origin] = frozenset()
        self._quitting = False
        self._prompts = prompts
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.setStyle("Fusion")
        self.apply_colors()
        application.setWindowIcon(icon("peersky", QGuiApplication.palette().accent().color()))
        host.activity.changed.connect(self._on_activity)
        host.activity.settings_changed.connect(self._on_settings)
        host.activity.site_changed.connect(self._on_site)
        host.activity.open_requested.connect(self.open)
        host.activity.download_changed.connect(self._on_model_download)
        host.activity.unreachable.connect(self._on_unreachable)
        host.activity.engine_hangs.connect(self._on_hang)
        host.activity.lookup_changed.connect(self._on_lookup)
        host.activity.node_prepares.connect(self._on_node)
        host.profile.downloadRequested.connect(self._on_download)
        host.profile.setNotificationPresenter(self._on_notification)
        hints = QGuiApplication.styleHints()
        if hints is not None:
            hints.colorSchemeChanged.connect(self._on_system_scheme)
        if prompts is not None:
            prompts.presenter = self._present

    @property
    def home(self) -> str:
        """Address of a new tab."""
        return self.host.settings.text("browser.home")

    # Windows

    def new_window(self, url: str | None = None) -> BrowserWindow:
        """Show another window, with one tab if ``url`` is given."""
        window = BrowserWindow(self)
        self.windows.append(window)
        window.model_downloads.step.connect(self.host.steer_download)
        for download in self.host.model_downloads():
            window.model_downloads.show_download(download)
        if url is not None:
            window.open_tab(url)
        window.show()
        return window

    @property
    def active(self) -> BrowserWindow | None:
        """The window that the user works in, or worked in last."""
        active = QApplication.activeWindow()
        if isinstance(active, BrowserWindow) and active in self.windows:
            return active
        return self.windows[-1] if self.windows else None

    def open(self, url: str | None) -> None:
        """Somebody outside the window asks: show this address in a new tab, or (None) come to the front."""
        window = self.active or self.new_window(self.home)
        if url is not None:
            window.open_tab()
            window.go_to(url)
        window.showNormal() if window.isMinimized() else window.show()
        window.raise_()
        window.activateWindow()

    def forget(self, window: BrowserWindow) -> None:
        """A window was closed: delete its pages."""
        if window in self.windows:
            self.windows.remove(window)
        window.dispose()
        self.tell_shown()
        if not self.windows and self._prompts is not None:
            self._prompts.refuse_all()
        if self._quitting and self.windows:
            self.windows[-1].close()

    def quit(self) -> None:
        """Close every window; a page or the user may object."""
        self._quitting = True
        if self.windows:
            self.windows[-1].close()

    def stay(self) -> None:
        """The user objected to closing something."""
        self._quitting = False

    def dispose(self) -> None:
        """Delete all windows and pages now, without asking them."""
        if self._prompts is not None:
            self._prompts.presenter = None
            self._prompts.refuse_all()
        self.host.profile.setNotificationPresenter(lambda _notification: None)
        for window in list(self.windows):
            self.windows.remove(window)
            window.dispose()
        # Chromium aborts when a page outlives its profile, so nothing may wait for the next turn of the loop.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    # Closed tabs

    def remember_closed(self, tab: Tab) -> None:
        if tab.committed_address not in ("", "about:blank", self.home):
            self._closed.append((tab.committed_address, tab.save_history()))
            del self._closed[:-_MOST_CLOSED]

    @property
    def can_reopen(self) -> bool:
        return bool(self._closed)

    def reopen(self, window: BrowserWindow) -> None:
        """Open the tab that was closed last, with its history."""
        if self._closed:
            _, history = self._closed.pop()
            window.open_tab().restore_history(history)

    # The model

    def busy(self, origin: Origin) -> int:
        """How many questions of an origin run or wait."""
        return self._busy.get(str(origin), 0)

    def tell_shown(self) -> None:
        """Tell the services which pages the user can see: their questions go before those of other tabs."""
        windows = [window for window in self.windows if window.isVisible() and not window.isMinimized()]
        shown = frozenset(window.origin() for window in windows if window.tab is not None)
        if shown != self._shown:
            self._shown = shown
            self.host.show_pages(shown)

    def _on_site(self, _origin: str) -> None:
        for window in self.windows:
            window.refresh_sign()

    def _on_activity(self, origin: str, busy: int) -> None:
        if busy > 0:
            self._busy[origin] = busy
        else:
            self._busy.pop(origin, None)
        for window in self.windows:
            window.refresh_sign()

    def _on_model_download(self, download: Download) -> None:
        for window in self.windows:
            window.model_downloads.show_download(download)

    def _on_lookup(self, lookup: Lookup, runs: bool) -> None:
        for tab in [tab for window in self.windows for tab in window.tabs]:
            tab.show_lookup(lookup, runs)

    def _on_node(self, sentence: str) -> None:
        for tab in [tab for window in self.windows for tab in window.tabs]:
            tab.peer_wait.say(sentence)

    def _on_unreachable(self, sentence: str) -> None:
        """Say once that Ollama is not there, and offer what helps; the user goes on with the page meanwhile."""
        window = self.active
        if window is None:
            return
        dialog = UnreachableDialog(sentence, window)
        dialog.builtin_wanted.connect(self.host.use_builtin)
        dialog.install_wanted.connect(lambda: window.open_tab(INSTALL_URL))
        dialog.show()
        dialog.activateWindow()

    def _on_hang(self, sentence: str) -> None:
        """Say that the engine gets nowhere, and offer to stop it; take that back when it is over."""
        for tab in [tab for window in self.windows for tab in window.tabs]:
            for bar in [bar for bar in tab.bars if bar.property("hang")]:
                tab.remove_bar(bar)
        window = self.active
        if sentence and window is not None and window.tab is not None:
            tab = window.tab
            bar = NoticeBar("warning", sentence, "Stop the engine", "Keep waiting", tab)
            bar.setProperty("hang", True)
            bar.answered.connect(lambda stop: self._answer_hang(bar, tab, stop))
            bar.dismissed.connect(lambda: self._answer_hang(bar, tab, False))
            tab.add_bar(bar)

    def _answer_hang(self, bar: NoticeBar, tab: Tab, stop: bool) -> None:
        tab.remove_bar(bar)
        if stop:
            self.host.kill_engine()

    def show_notice(self, title: str, text: str) -> bool:
        """Show a service's notice above the page in front; False where there is no window."""
        window = self.active
        if window is None or window.tab is None:
            return False
        window.tab.show_message(f"{title}. {text}", "bell")
        return True

    # Settings and colours

    def _on_settings(self, keys: object) -> None:
        if isinstance(keys, (set, frozenset)) and "browser.colorScheme" in keys:
            self.apply_colors()
        for window in self.windows:
            window.refresh_sign()

    def _on_system_scheme(self) -> None:
        if self.host.settings.text("browser.colorScheme") == "system":
            self.apply_colors()
        self._tell_pages()

    def apply_colors(self) -> None:
        """Follow the setting and the system."""
        apply_scheme(self.host.settings.text("browser.colorScheme"))
        for window in self.windows:
            window.apply_style()
        self._tell_pages()

    def _tell_pages(self) -> None:
        """Chromium reads Qt's colour scheme only when it computes a page's preferences anew: change one and back."""
        settings = self.host.profile.settings()
        if settings is not None:
            attribute = QWebEngineSettings.WebAttribute.PrintElementBackgrounds
            value = settings.testAttribute(attribute)
            settings.setAttribute(attribute, not value)
            settings.setAttribute(attribute, value)

    # What pages and services ask

    def _window_of(self, page: object) -> BrowserWindow | None:
        return next((w for w in self.windows if any(tab.page is page for tab in w.tabs)), self.active)

    def _on_download(self, request: QWebEngineDownloadRequest) -> None:
        window = self._window_of(request.page())
        if window is None:
            request.cancel()
            return

        def choose(name: str) -> str:
            return QFileDialog.getSaveFileName(window, "Save file", name)[0]

        if accept(request, Path(self.host.profile.downloadPath()), choose):
            window.downloads.add(request)

    def confirm_downloads(self, window: BrowserWindow) -> bool:
        """Whether a window may be closed although it still saves files: downloads end with the last window."""
        running = sum(each.downloads.running for each in self.windows)
        if not running or len(self.windows) > 1:
            return True
        text = f"{running} download{'s are' if running > 1 else ' is'} not finished and will be cancelled."
        # Links and pages can bring this up: what closes the last tab closes the window.
        dialog = Dialog(window, "Close PeerSky?", text, "Close", enter_is_yes=False)
        closes = dialog.ask()
        discard(dialog)
        if not closes:
            self.stay()
        return closes

    def _on_notification(self, notification: QWebEngineNotification) -> None:
        window = self.active
        if window is None or window.tab is None:
            return
        text = f"{site_name(notification.origin())}: {notification.title()} {notification.message()}"
        window.tab.show_message(text.strip()[:300], "bell")
        notification.show()

    def _present(self, question: Question, answer: Callable[[Consent], None]) -> Callable[[], None] | None:
        """Show a service's question in the tab of the site that asks, or in front of the user where it has none."""
        window = self.active
        if window is None or window.tab is None:
            return None
        shown = [w.tab for w in self.windows if w.tab is not None]
        rest = [tab for w in self.windows for tab in w.tabs]
        theirs = (tab for tab in [*shown, *rest] if page_origin(tab.committed_address) == question.origin)
        tab = next(theirs, window.tab)
        text = f"{question.origin}: {question.text}"
        bar = NoticeBar("question", text, question.yes, question.no, tab, now=question.now)
        bar.answered.connect(lambda yes: answer(Consent.FOR_GOOD if yes else Consent.REFUSED))
        bar.allowed_for_now.connect(lambda: answer(Consent.FOR_NOW))
        bar.dismissed.connect(lambda: answer(Consent.REFUSED))
        tab.add_bar(bar)
        return lambda: tab.remove_bar(bar)
