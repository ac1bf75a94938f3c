"""What the commands of a window do; :mod:`peersky.qt.menus` names them and gives them keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QStandardPaths, QUrl
from PyQt6.QtGui import QDesktopServices
from PyQt6.QtWebEngineCore import QWebEnginePage
from PyQt6.QtWidgets import QFileDialog

from peersky.core.address import Destination
from peersky.qt.menus import COMMANDS
from peersky.qt.publish_dialog import PublishDialog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peersky.qt.browser_window import BrowserWindow
    from peersky.qt.tab import Tab

AI_CHAT: Final = "peersky://p2p/ai-chat/"
LLM_SETTINGS: Final = "peersky://settings/llm"
SETTINGS: Final = "peersky://settings/"
ARCHIVE: Final = "peersky://archive/"
APPS: Final = "peersky://apps/"
ABOUT: Final = "peersky://about/"
_Action = QWebEnginePage.WebAction


class Commands:
    """The commands of one window. Each acts on the tab in front; without one it does nothing."""

    def __init__(self, window: BrowserWindow) -> None:
        self._window = window

    def by_name(self) -> Mapping[str, Callable[[], None]]:
        """Every command of :data:`~peersky.qt.menus.COMMANDS`."""
        return {command.name: getattr(self, command.name) for command in COMMANDS}

    @property
    def _tab(self) -> Tab | None:
        return self._window.tab

    def _act(self, action: QWebEnginePage.WebAction) -> None:
        if self._tab is not None:
            self._tab.page.triggerAction(action)

    # Tabs and windows

    def new_tab(self) -> None:
        self._window.open_tab(self._window.browser.home)
        self.focus_address()

    def new_window(self) -> None:
        self._window.browser.new_window(self._window.browser.home).commands.focus_address()

    def close_tab(self) -> None:
        if self._tab is not None:
            self._window.ask_to_close(self._tab)

    def reopen_tab(self) -> None:
        self._window.browser.reopen(self._window)

    def next_tab(self) -> None:
        self._step(1)

    def previous_tab(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        window = self._window
        if self._tab is not None:
            window.select_tab((window.tabs.index(self._tab) + by) % len(window.tabs))

    # Going places

    def focus_address(self) -> None:
        window = self._window
        window.leave_full_screen()
        window.address.edit.setFocus()
        window.address.edit.selectAll()

    def search(self) -> None:
        """Whatever is typed after the question mark goes to the search engine."""
        self.focus_address()
        self._window.address.edit.setText("? ")
        self._window.address.edit.setModified(True)

    def back(self) -> None:
        self._act(_Action.Back)

    def forward(self) -> None:
        self._act(_Action.Forward)

    def home(self) -> None:
        self._window.go(Destination(self._window.browser.home))

    def reload(self) -> None:
        if self._tab is not None:
            self._tab.reload()

    def reload_all(self) -> None:
        if self._tab is not None:
            self._tab.reload(bypass_cache=True)

    def stop(self) -> None:
        if self._tab is not None:
            self._tab.stop()

    def reload_or_stop(self) -> None:
        """What the one button for both does."""
        if self._tab is not None and self._tab.loading:
            self.stop()
        else:
            self.reload()

    def ai_chat(self) -> None:
        self._window.open_url(AI_CHAT)

    def apps(self) -> None:
        """The list of apps, built-in and the user's own."""
        self._window.open_url(APPS)

    def llm_settings(self) -> None:
        self._window.open_url(LLM_SETTINGS)

    def settings(self) -> None:
        self._window.open_url(SETTINGS)

    # The page

    def open_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self._window, "Open file", str(Path.home()))
        if file:
            self._window.go(Destination(QUrl.fromLocalFile(file).toString(QUrl.ComponentFormattingOption.FullyEncoded)))

    def save_page(self) -> None:
        self._act(_Action.SavePage)

    def print_pdf(self) -> None:
        tab = self._tab
        if tab is None:
            return
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        name = "".join("_" if character in '/\\:*?"<>|' else character for character in tab.title)[:80]
        file, _ = QFileDialog.getSaveFileName(self._window, "Save as PDF", f"{folder}/{name}.pdf", "PDF (*.pdf)")
        if file:
            tab.save_as_pdf(file)

    def publish_file(self) -> None:
        """Publish the file that the tab shows, or another one."""
        self._publish(self.shown_path, folder=False)

    def publish_folder(self) -> None:
        """Publish the folder that the tab shows, or that of the file that it shows, or another one."""
        shown = self.shown_path
        self._publish(shown if shown is None or shown.is_dir() else shown.parent, folder=True)

    def archive(self) -> None:
        """What was published from here."""
        self._window.open_url(ARCHIVE)

    @property
    def shown_path(self) -> Path | None:
        """What the tab in front shows of this computer's disk."""
        url = QUrl(self._tab.committed_address) if self._tab is not None else QUrl()
        return Path(url.toLocalFile()) if url.isLocalFile() else None

    def publish_path(self, path: str) -> None:
        """Publish a file that is known already."""
        self._publish(Path(path), folder=False)

    def _publish(self, path: Path | None, *, folder: bool) -> None:
        window = self._window
        text = str(path) if path is not None and path.is_dir() == folder else ""
        dialog = PublishDialog(window.browser.host.publish, text, window, folder=folder)
        dialog.open_wanted.connect(window.open_url)
        dialog.show()
        dialog.activateWindow()

    def find(self) -> None:
        if self._tab is not None and self._tab.error is None:
            self._tab.find_bar.open()

    def find_next(self) -> None:
        if self._tab is not None:
            self._tab.find_bar.search()

    def find_previous(self) -> None:
        if self._tab is not None:
            self._tab.find_bar.search(backward=True)

    def zoom_in(self) -> None:
        if self._tab is not None:
            self._tab.step_zoom(1)

    def zoom_out(self) -> None:
        if self._tab is not None:
            self._tab.step_zoom(-1)

    def zoom_reset(self) -> None:
        if self._tab is not None:
            self._tab.set_zoom(1.0)

    def full_screen(self) -> None:
        self._window.toggle_full_screen()

    def dev_tools(self) -> None:
        if self._tab is not None:
            self._tab.dev_tools.toggle()

    def escape(self) -> None:
        """Out of what is open: full screen, the find bar, a page that still loads."""
        tab = self._tab
        if tab is None:
            return
        if tab.is_page_full_screen:
            tab.leave_full_screen()
        elif not tab.find_bar.isHidden():
            tab.find_bar.close_bar()
        elif tab.loading:
            tab.stop()

    def downloads(self) -> None:
        """Show the folder where downloads are kept."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._window.browser.host.profile.downloadPath()))

    # The browser

    def about(self) -> None:
        """Version, licences, and what this computer lacks."""
        self._window.open_url(ABOUT)

    def quit(self) -> None:
        self._window.browser.quit()
