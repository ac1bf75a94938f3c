"""One browser window: the row of tabs, the toolbar, the page, and what the commands do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QEvent, QPoint, Qt
from PyQt6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PyQt6.QtWebEngineCore import QWebEngineNewWindowRequest
from PyQt6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QProgressBar,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from peersky.core.address import Destination, connection_of, display_address, resolve
from peersky.core.errors import InvalidRequest
from peersky.qt.address_bar import AddressBar, Sign
from peersky.qt.commands import Commands
from peersky.qt.downloads import DownloadsBar
from peersky.qt.full_screen import FullScreen
from peersky.qt.icons import IconButton
from peersky.qt.link_dialog import LinkDialog
from peersky.qt.menus import CONNECTIONS, add_tab_numbers, copy_text, make_actions, make_menu, make_panel
from peersky.qt.model_downloads import ModelDownloadsBar
from peersky.qt.model_sign import model_text, page_origin, service_host, sign_for, sign_sentences
from peersky.qt.site_panel import SITES, SitePanel, is_site
from peersky.qt.tab import Tab
from peersky.qt.tab_strip import TabStrip
from peersky.qt.theme import current_colors, style_sheet

if TYPE_CHECKING:
    from peersky.core.origins import Origin
    from peersky.qt.window import Browser

_Destination = QWebEngineNewWindowRequest.DestinationType


class BrowserWindow(QMainWindow):
    """A window with tabs. Made by :meth:`peersky.qt.window.Browser.new_window`."""

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self.browser = browser
        self.tabs: list[Tab] = []
        self._front: Tab | None = None
        self.commands = Commands(self)
        self._closing: set[Tab] | None = None
        self._answered = False
        self.site_panel: SitePanel | None = None
        self._build()
        self._connect()
        self.apply_style()
        self.resize(1200, 800)

    def _build(self) -> None:
        self.strip = TabStrip(self)
        self.toolbar = QFrame(self)
        self.toolbar.setObjectName("toolbar")
        self.back_button = IconButton("back", "Back", self, hint="Back (Alt+Left)")
        self.forward_button = IconButton("forward", "Forward", self, hint="Forward (Alt+Right)")
        self.reload_button = IconButton("reload", "Reload", self, hint="Reload (Ctrl+R)")
        self.home_button = IconButton("home", "Home", self, hint="Home (Alt+Home)")
        self.address = AddressBar(self)
        self.menu_button = IconButton("menu", "Menu", self)
        row = QHBoxLayout(self.toolbar)
        row.setContentsMargins(8, 5, 8, 5)
        row.setSpacing(3)
        for button in (self.back_button, self.forward_button, self.reload_button, self.home_button):
            row.addWidget(button)
        row.addSpacing(3)
        row.addWidget(self.address, 1)
        row.addSpacing(3)
        row.addWidget(self.menu_button)
        self.progress = QProgressBar(self)
        self.progress.setObjectName("progress")
        self.progress.setAccessibleName("Loading")
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(3)
        self.stack = QStackedWidget(self)
        self.downloads = DownloadsBar(self)
        self.model_downloads = ModelDownloadsBar(self)
        central = QWidget(self)
        layout = QVBoxLayout(central)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self.strip, self.toolbar, self.progress):
            layout.addWidget(widget)
        layout.addWidget(self.stack, 1)
        layout.addWidget(self.model_downloads)
        layout.addWidget(self.downloads)
        self.setCentralWidget(central)
        self.page_full_screen = FullScreen(self, (self.strip, self.toolbar, self.progress))

    def _connect(self) -> None:
        self.actions_by_name = make_actions(self, self.commands.by_name())
        add_tab_numbers(self, self.select_tab, lambda: len(self.tabs))
        self.menu = make_menu(self, self.actions_by_name)
        self.menu_button.clicked.connect(self._open_menu)
        # Disabled for the eye only: the shortcut must work when there is something to reopen again.
        self.menu.aboutToHide.connect(lambda: self.actions_by_name["reopen_tab"].setEnabled(True))
        # Enabled only while it has a meaning here: otherwise the key belongs to the page.
        self.escape = QShortcut(QKeySequence("Esc"), self)
        # Not as an argument of the constructor: that connection is lost when Python collects garbage.
        self.escape.activated.connect(self.commands.escape)
        for button, method in (
            (self.back_button, self.commands.back),
            (self.forward_button, self.commands.forward),
            (self.reload_button, self.commands.reload_or_stop),
            (self.home_button, self.commands.home),
        ):
            button.clicked.connect(method)
        self.strip.selected.connect(self._on_selected)
        self.strip.close_wanted.connect(lambda index: self.ask_to_close(self.tabs[index]))
        self.strip.moved.connect(self._on_moved)
        self.strip.new_wanted.connect(self.commands.new_tab)
        self.address.entered.connect(self.go_to)
        self.address.left.connect(self._focus_page)
        self.address.stop_answer.connect(self._stop_answer)
        self.address.sign_button.clicked.connect(self._open_sign_panel)
        self.address.connection_button.clicked.connect(self._open_connection_panel)
        self.address.link_button.clicked.connect(self._open_link_panel)
        self.downloads.publish_wanted.connect(self.commands.publish_path)
        self.address.zoom_button.clicked.connect(self.commands.zoom_reset)

    def apply_style(self) -> None:
        """Take the palette's colours."""
        self.setStyleSheet(style_sheet(current_colors()))

    # Tabs

    @property
    def tab(self) -> Tab | None:
        """The tab in front."""
        return self._front

    def open_tab(self, url: str | None = None, *, background: bool = False, after: Tab | None = None) -> Tab:
        """Add a tab.

        Args:
            url: what it opens, a full address; None leaves it empty.
            background: leave the present tab in front.
            after: the tab that it stands beside; None: at the end.
        """
        tab = Tab(self.browser.host, self)
        index = self.tabs.index(after) + 1 if after in self.tabs else len(self.tabs)
        self.tabs.insert(index, tab)
        self.stack.addWidget(tab)
        self.strip.insert(index, "New tab")
        self._connect_tab(tab)
        if not background or len(self.tabs) == 1:
            self.select_tab(index)
        if url is not None:
            tab.load(Destination(url))
        return tab

    def _connect_tab(self, tab: Tab) -> None:
        tab.changed.connect(lambda: self._on_changed(tab))
        tab.progress.connect(lambda percent: self._on_progress(tab, percent))
        tab.full_screen.connect(lambda on: self._on_page_full_screen(tab, on))
        tab.came_to_front.connect(lambda: self._bring_to_front(tab))
        tab.close_agreed.connect(lambda: self._on_close_agreed(tab))
        tab.close_refused.connect(self._on_close_refused)
        tab.page.newWindowRequested.connect(lambda request: self._on_new_window(tab, request))
        tab.page.printRequested.connect(self.commands.print_pdf)

    def select_tab(self, index: int) -> None:
        """Bring the tab at a position to the front, if there is one."""
        if 0 <= index < len(self.tabs):
            self.strip.bar.setCurrentIndex(index)
            self._on_selected(index)

    def _on_selected(self, index: int) -> None:
        if not 0 <= index < len(self.tabs) or self.tabs[index] is self._front:
            return
        if self._front is not None:
            self._front.typed = self.address.typed
            self.leave_full_screen()
        self._front = self.tabs[index]
        self.stack.setCurrentWidget(self._front)
        self.refresh(typed=self._front.typed)
        if not self.address.edit.hasFocus():
            self._focus_page()

    def _on_moved(self, start: int, end: int) -> None:
        self.tabs.insert(end, self.tabs.pop(start))

    def _bring_to_front(self, tab: Tab) -> None:
        if tab in self.tabs:
            self.select_tab(self.tabs.index(tab))

    def ask_to_close(self, tab: Tab) -> None:
        """Close a tab unless its page or the user objects."""
        self._bring_to_front(tab)
        tab.ask_to_close()

    def _on_close_agreed(self, tab: Tab) -> None:
        if tab not in self.tabs:
            return
        if self._closing is not None:
            self._closing.discard(tab)
            if not self._closing:
                self._answered = True
                self.close()
            return
        self._remove(tab)
        if not self.tabs:
            self._answered = True
            self.close()

    def _on_close_refused(self) -> None:
        self._closing = None
        self.browser.stay()

    def _remove(self, tab: Tab) -> None:
        self.browser.remember_closed(tab)
        if tab is self.tab:
            self.leave_full_screen()
        index = self.tabs.index(tab)
        self.tabs.pop(index)
        self.strip.remove(index)
        self.stack.removeWidget(tab)
        self._front = None if tab is self._front else self._front
        tab.dispose()
        self._on_selected(self.strip.bar.currentIndex())

    def _on_new_window(self, opener: Tab, request: QWebEngineNewWindowRequest) -> None:
        kind = request.destination()
        if kind == _Destination.InNewWindow:
            tab = self.browser.new_window().open_tab()
        else:
            background = kind == _Destination.InNewBackgroundTab
            tab = self.open_tab(background=background, after=opener)
        request.openIn(tab.page)

    # What is shown

    def _on_changed(self, tab: Tab) -> None:
        if tab not in self.tabs:
            return
        self.strip.show_tab(self.tabs.index(tab), tab.title, tab.icon)
        if tab is self.tab:
            editing = self.address.edit.hasFocus() and self.address.typed is not None
            self.refresh(typed=self.address.typed if editing else None)

    def refresh(self, *, typed: str | None = None) -> None:
        """Show the state of the tab in front. ``typed``: what stays in the address bar instead of the address."""
        tab = self.tab
        if tab is None:
            return
        self.setWindowTitle("PeerSky" if tab.title == "PeerSky" else f"{tab.title} — PeerSky")
        self.address.show_address(display_address(tab.address), typed)
        self.address.show_connection(connection_of(tab.address))
        self.address.show_zoom(tab.zoom)
        self.refresh_sign()
        self.browser.tell_shown()
        history = tab.page.history()
        self.back_button.setEnabled(history is not None and history.canGoBack())
        self.forward_button.setEnabled(history is not None and history.canGoForward())
        if tab.loading:
            self.reload_button.show_as("stop", "Stop", "Stop (Esc)")
        else:
            self.reload_button.show_as("reload", "Reload", "Reload (Ctrl+R)")
            self.progress.setValue(0)
        self._refresh_escape()

    def refresh_sign(self) -> None:
        """Show whether the page in front can use the model, and whether it does."""
        settings = self.browser.host.settings
        sign = self.sign()
        self.address.show_sign(sign, model_text(settings), service_host(settings))

    def sign(self) -> Sign:
        """The sign of the page in front."""
        tab = self.tab
        if tab is None or tab.error is not None:
            return Sign.NONE
        origin, host = self.origin(), self.browser.host
        enabled = host.settings.flag("llm.enabled")
        return sign_for(origin, host.policy(), enabled=enabled, busy=self.browser.busy(origin))

    def origin(self) -> Origin:
        """Origin of the page in front; of a page that is still on its way, none yet."""
        return page_origin(self.tab.committed_address if self.tab is not None else "")

    def _on_progress(self, tab: Tab, percent: int) -> None:
        if tab is self.tab:
            self.progress.setValue(percent if tab.loading else 0)

    # What the user does

    def go_to(self, text: str) -> None:
        """Open what was typed, in the tab in front."""
        tab = self.tab or self.open_tab()
        try:
            destination = resolve(text, self.browser.host.settings.text("browser.searchURL"))
        except InvalidRequest as error:
            tab.show_message(error.message)
            return
        if destination is not None:
            self.go(destination)

    def go(self, destination: Destination) -> None:
        """Open an address in the tab in front."""
        tab = self.tab or self.open_tab()
        self.address.edit.setModified(False)
        tab.load(destination)
        self._focus_page()

    def open_url(self, url: str) -> None:
        """Show one of the browser's own addresses: in the tab in front if it is empty, else in a new one."""
        tab = self.tab
        if tab is not None and not tab.address and not tab.loading:
            tab.load(Destination(url))
        else:
            self.open_tab(url, after=tab)

    def _focus_page(self) -> None:
        if self.tab is not None:
            self.tab.focus_page()

    def _stop_answer(self) -> None:
        self.browser.host.stop_generation(str(self.origin()))

    def _open_menu(self) -> None:
        self.actions_by_name["reopen_tab"].setEnabled(self.browser.can_reopen)
        shown = self.commands.shown_path
        this_file = "this" if shown is not None and shown.is_file() else "a"
        self.actions_by_name["publish_file"].setText(f"Publish {this_file} f&ile…")
        self.actions_by_name["publish_folder"].setText(f"Publish {'a' if shown is None else 'this'} folde&r…")
        button = self.menu_button
        corner = button.mapToGlobal(QPoint(button.width(), button.height()))
        self.menu.popup(QPoint(corner.x() - self.menu.sizeHint().width(), corner.y()))

    def _open_sign_panel(self) -> None:
        sign, origin = self.sign(), self.origin()
        sentences = sign_sentences(sign, origin, self.browser.host.settings)
        if is_site(origin):
            self._open_site_panel(origin, sentences, busy=sign is Sign.BUSY)
            return
        entries = {"&Local AI settings": self.commands.llm_settings}
        if sign is Sign.BUSY:
            entries = {"&Stop the answer": self._stop_answer, **entries}
        self._pop_up(make_panel(self, sentences, entries), self.address.sign_button)

    def _open_site_panel(self, origin: Origin, sentences: list[str], *, busy: bool) -> None:
        host, site = self.browser.host, str(origin)
        panel = SitePanel(self, site, sentences, busy=busy)
        panel.show_site(host.site(origin))
        panel.decided.connect(lambda *decided: host.decide_site(site, *decided))
        panel.block_wanted.connect(lambda: host.block_site(site))
        panel.forget_wanted.connect(lambda: host.unblock_site(site))
        panel.stop_wanted.connect(lambda: host.stop_generation(site))
        panel.settings_wanted.connect(self.commands.llm_settings)
        panel.sites_wanted.connect(lambda: self.open_url(SITES))

        def changed(about: str) -> None:
            if about == site:
                panel.show_site(host.site(origin))

        connection = host.activity.site_changed.connect(changed)
        panel.finished.connect(lambda: host.activity.site_changed.disconnect(connection))
        self.site_panel = panel
        panel.open_below(self.address.sign_button)

    def _open_connection_panel(self) -> None:
        address = self.tab.address if self.tab is not None else ""
        copy = {"&Copy the address": lambda: copy_text(address)}
        self._pop_up(make_panel(self, [CONNECTIONS[connection_of(address)]], copy), self.address.connection_button)

    def _open_link_panel(self) -> None:
        address = self.tab.address if self.tab is not None else ""
        entries = {
            "&Copy the link": lambda: copy_text(address),
            "Show as &QR code…": lambda: LinkDialog(address, self).show(),
        }
        self._pop_up(make_panel(self, ["Whoever has this link can open the page."], entries), self.address.link_button)

    @staticmethod
    def _pop_up(panel: QMenu, button: QWidget) -> None:
        panel.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        panel.popup(button.mapToGlobal(QPoint(0, button.height() + 4)))

    # Full screen

    def _on_page_full_screen(self, tab: Tab, on: bool) -> None:
        if on and tab is self.tab:
            self.page_full_screen.begin(str(self.origin()))
        elif on:
            tab.leave_full_screen()
        elif tab is self.tab:
            self.page_full_screen.end()
        self._refresh_escape()

    def toggle_full_screen(self) -> None:
        """The whole window on the whole screen, toolbar included."""
        if self.tab is not None and self.tab.is_page_full_screen:
            self.tab.leave_full_screen()
        else:
            self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _refresh_escape(self) -> None:
        tab = self.tab
        used = tab is not None and (tab.loading or tab.is_page_full_screen or not tab.find_bar.isHidden())
        self.escape.setEnabled(used)

    def leave_full_screen(self) -> None:
        """Take the screen back from the page in front, if it has it."""
        if self.tab is not None and self.tab.is_page_full_screen:
            self.tab.leave_full_screen()
        # At once: a page that is closed has no time to say that it left.
        self.page_full_screen.end()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.WindowStateChange:
            self.browser.tell_shown()

    # Closing

    def closeEvent(self, event: QCloseEvent | None) -> None:
        if event is None:
            return
        if not self._answered and self.tabs:
            # Every page may object; the window closes when the last one agreed.
            event.ignore()
            if self._closing is None:
                if self.browser.confirm_downloads(self):
                    self._closing = set(self.tabs)
                    for tab in list(self.tabs):
                        tab.ask_to_close()
                return
        event.accept()
        self.browser.forget(self)

    def dispose(self) -> None:
        """Delete the pages, then the window. The profile must still be there."""
        for tab in self.tabs:
            tab.dispose()
        self.tabs.clear()
        self._front = None
        self.hide()
        self.deleteLater()
