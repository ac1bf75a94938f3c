"""The browser window in the real QtWebEngine, with the keyboard where a person would use it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import QCoreApplication, QEvent, QPoint, Qt, QTimer
from PyQt6.QtGui import QKeySequence
from PyQt6.QtWidgets import QAbstractButton, QApplication, QCheckBox, QLineEdit, QPushButton, QTabBar, QWidget

from peersky.core.settings_schema import STARTER_MODEL
from peersky.qt.address_bar import Sign
from peersky.qt.dialogs import Dialog
from peersky.qt.theme import prepare_environment
from peersky.qt.window import Browser, BrowserWindow
from tests.qt.window_host import KEYBOARD, Site, WindowHost, page_app, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from peersky.qt.tab import Tab
    from tests.qt.conftest import World

PAGES = {
    "/": "<title>First</title><h1>One needle, two Needles</h1><a id=a href=/second>second</a>",
    "/second": "<title>Second</title>second",
    "/popup": "<title>Popup</title><button id=b autofocus onclick=\"window.open('/second')\">open</button>",
    "/blank": "<title>Blank</title><a id=a target=_blank href=/second>open</a>"
    "<script>onload = () => a.focus()</script>",
    "/unload": "<title>Unload</title><input id=i autofocus><script>onbeforeunload = e => e.preventDefault()</script>",
    "/alerts": "<title>Alerts</title><script>onload = () => { for (let i = 0; i < 9; i++) alert('<b>n' + i) }</script>",
    "/place": "<title>Place</title><script>navigator.geolocation.getCurrentPosition(() => document.title = 'found',"
    " e => document.title = 'denied ' + e.code)</script>",
    "/file.bin": "x" * 5000,
    "/full": "<title>Full</title><button onclick='document.documentElement.requestFullscreen()'>go</button>",
    "/wide": "<title>Wide</title><p>wide",
}


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(dict(PAGES))
    yield site
    site.close()


@pytest.fixture
def host(world: Callable[..., World], tmp_path: Path) -> WindowHost:
    return WindowHost(world(peersky=page_app, hyper=page_app), tmp_path)


@pytest.fixture
def browser(host: WindowHost) -> Iterator[Browser]:
    browser = Browser(host)
    yield browser
    browser.dispose()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def window(browser: Browser) -> BrowserWindow:
    window = browser.new_window()
    window.resize(900, 600)
    window.activateWindow()
    until(window.isActiveWindow, "the window is active")
    return window


def open_page(window: BrowserWindow, url: str, title: str) -> Tab:
    tab = window.tab or window.open_tab()
    loaded: list[bool] = []
    connection = tab.page.loadFinished.connect(loaded.append)
    window.go_to(url)
    until(lambda: True in loaded and shows(window, title) and not tab.loading, title)
    tab.page.loadFinished.disconnect(connection)
    return tab


def shows(window: BrowserWindow, title: str) -> bool:
    """Whether the window has heard of the page with this title (its tab knows a moment before)."""
    return window.windowTitle() == f"{title} — PeerSky"


def press(widget: QWidget, keys: str) -> None:
    """Press a shortcut as a person does: through the focus of the window."""
    KEYBOARD.keySequence(widget, QKeySequence(keys))


def page_input(tab: Tab) -> QWidget:
    """The widget that takes the page's keys and clicks."""
    proxy = tab.view.focusProxy()
    assert proxy is not None
    return proxy


def wait_until_painted(tab: Tab) -> None:
    """What is not painted cannot be hit, and does not hear keys."""
    frames: list[object] = []

    def is_painted() -> bool:
        tab.page.runJavaScript("window.framesShown ?? 0", frames.append)
        return any(isinstance(count, (int, float)) and count > 2 for count in frames)

    count = "window.framesShown = (window.framesShown ?? 0) + 1"
    tab.page.runJavaScript(f"(function next() {{ {count}; requestAnimationFrame(next); }})()")
    until(is_painted, "the page is painted")


def click(tab: Tab, x: int, y: int, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
    """Click into the page."""
    wait_until_painted(tab)
    KEYBOARD.mouseClick(page_input(tab), button, pos=QPoint(x, y))


class Dialogs:
    """Answers dialogs in turn. They run a loop of their own, so it must happen from inside."""

    def __init__(self, *answers: Callable[[Dialog], None]) -> None:
        self.titles: list[str] = []
        self._answers = list(answers)
        self._seen: list[Dialog] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(10)

    def _look(self) -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, Dialog) and dialog not in self._seen:
            self._seen.append(dialog)
            self.titles.append(dialog.windowTitle())
            if self._answers:
                self._answers.pop(0)(dialog)
            else:
                dialog.reject()

    @property
    def all_answered(self) -> bool:
        return not self._answers and QApplication.activeModalWidget() is None


def press_button(dialog: Dialog, label: str) -> None:
    next(button for button in dialog.findChildren(QPushButton) if button.text() == label).click()


# Addresses and history


def test_typed_address_back_forward_and_titles(window: BrowserWindow, site: Site) -> None:
    window.open_tab()
    press(window, "Ctrl+L")
    assert window.address.edit.hasFocus()
    KEYBOARD.keyClicks(window.address.edit, f"127.0.0.1:{site.port}")
    assert site.seen == []
    KEYBOARD.keyClick(window.address.edit, Qt.Key.Key_Return)
    tab = window.tab
    assert tab is not None
    until(lambda: shows(window, "First"), "first page")
    assert window.address.edit.text() == site.url("/")
    assert not window.back_button.isEnabled()
    open_page(window, site.url("/second"), "Second")
    assert window.back_button.isEnabled()
    press(window, "Alt+Left")
    until(lambda: window.address.edit.text() == site.url("/") and window.forward_button.isEnabled(), "back")
    assert tab.title == "First"
    press(window, "Alt+Right")
    until(lambda: window.strip.bar.tabText(0) == "Second", "forward")


def test_words_go_to_the_chosen_search_engine(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    host.settings.change({"browser.searchURL": site.url("/wide") + "?q={query}"})
    window.go_to("two words")
    until(lambda: site.seen, "the search")
    assert site.seen[0] == "/wide?q=two%20words"


def test_nothing_leaves_before_enter_and_escape_brings_the_address_back(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    seen = list(site.seen)
    press(window, "Ctrl+L")
    KEYBOARD.keyClicks(window.address.edit, site.url("/second"))
    assert window.address.edit.text() == site.url("/second")
    KEYBOARD.keyClick(window.address.edit, Qt.Key.Key_Escape)
    assert window.address.edit.text() == site.url("/")
    assert tab.view.hasFocus() or page_input(tab).hasFocus()
    assert [path for path in site.seen if path != "/favicon.ico"] == [path for path in seen if path != "/favicon.ico"]


def test_a_script_in_the_address_bar_is_refused_with_a_sentence(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    window.go_to("javascript:document.title='run'")
    assert "not run from the address bar" in tab.bars[0].label.text()
    assert tab.title == "First"
    tab.bars[0].close_button.click()
    assert tab.bars == []


def test_what_was_typed_stays_with_its_tab(window: BrowserWindow, site: Site) -> None:
    first = open_page(window, site.url("/"), "First")
    press(window, "Ctrl+L")
    KEYBOARD.keyClicks(window.address.edit, "half a tho")
    window.open_tab(site.url("/second"))
    assert window.address.edit.text() != "half a tho"
    window.select_tab(window.tabs.index(first))
    assert window.address.edit.text() == "half a tho"


# Errors


def test_error_panel_and_recovery_by_reload(window: BrowserWindow, site: Site) -> None:
    open_page(window, site.url("/"), "First")
    port = site.port
    site.close()
    tab = window.tab
    assert tab is not None
    window.go_to(f"localhost:{port}/second")
    until(tab.error_panel.isVisible, "the error")
    assert "refused the connection" in tab.error_panel.sentence.text()
    assert f"localhost:{port}" in tab.error_panel.sentence.text()
    assert window.address.edit.text() == f"http://localhost:{port}/second"
    assert window.windowTitle() == "Nothing answers here — PeerSky"
    assert window.address.sign is Sign.NONE
    again = Site(dict(PAGES), port)
    try:
        tab.error_panel.retry_button.click()
        until(lambda: shows(window, "Second") and not tab.loading, "the page after all")
        assert tab.error is None
        assert tab.view.isVisible()
        press(window, "Alt+Left")
        until(lambda: shows(window, "First"), "back to the page before the error")
    finally:
        again.close()


def test_unknown_site_and_empty_404(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    window.go_to("nowhere.invalid")
    until(tab.error_panel.isVisible, "the error")
    assert tab.error is not None
    assert "nowhere.invalid" in tab.error.sentence
    assert "http://" in tab.error.advice
    window.go_to(site.url("/missing"))
    until(lambda: tab.error_panel.code.text() == "HTTP 404", "the 404")


def test_a_scheme_that_nobody_serves_gets_a_sentence(window: BrowserWindow) -> None:
    tab = window.open_tab()
    window.go_to("ipns://docs.example/")
    until(tab.error_panel.isVisible, "the error")
    assert "ipns:" in tab.error_panel.sentence.text()
    assert window.address.edit.text() == "ipns://docs.example/"


def test_stop(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    window.go_to(site.url("/never"))
    until(lambda: "/never" in site.seen, "the request")
    assert window.reload_button.accessibleName() == "Stop"
    assert window.address.edit.text() == site.url("/never")
    press(window, "Esc")
    until(lambda: not tab.loading, "the stop")
    assert tab.error is None
    assert window.address.edit.text() == site.url("/")
    assert window.reload_button.accessibleName() == "Reload"


def test_a_crashed_page_says_so_and_loads_again(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    window.go_to("chrome://crash")
    assert "not for the address bar" in tab.bars[0].label.text()
    tab.page.renderProcessTerminated.emit(tab.page.RenderProcessTerminationStatus.CrashedTerminationStatus, 11)
    assert "stopped working" in tab.error_panel.title.text()
    tab.error_panel.retry_button.click()
    until(lambda: tab.error is None and tab.title == "First", "the page again")


# Tabs


def test_tab_shortcuts(window: BrowserWindow, site: Site) -> None:
    open_page(window, site.url("/"), "First")
    press(window, "Ctrl+T")
    assert len(window.tabs) == 2
    assert window.address.edit.hasFocus()
    home = window.tab
    assert home is not None
    until(lambda: home.title == "home/", "home page")
    press(window, "Ctrl+Tab")
    assert window.tab is window.tabs[0]
    press(window, "Ctrl+PgUp")
    assert window.tab is window.tabs[1]
    press(window, "Alt+1")
    assert window.tab is window.tabs[0]
    press(window, "Alt+9")
    assert window.tab is window.tabs[1]
    press(window, "Alt+1")
    press(window, "Ctrl+W")
    until(lambda: len(window.tabs) == 1, "the tab is closed")
    assert window.tab is home
    press(window, "Ctrl+Shift+T")
    until(lambda: shows(window, "First"), "the tab is back")


def test_a_reopened_tab_has_its_history(window: BrowserWindow, site: Site) -> None:
    open_page(window, site.url("/"), "First")
    open_page(window, site.url("/second"), "Second")
    window.open_tab()
    press(window, "Alt+1")
    press(window, "Ctrl+W")
    until(lambda: len(window.tabs) == 1, "the tab is closed")
    press(window, "Ctrl+Shift+T")
    until(lambda: shows(window, "Second"), "the tab is back")
    until(window.back_button.isEnabled, "its history too")


def test_moving_a_tab_keeps_page_and_title_together(window: BrowserWindow, site: Site) -> None:
    first = open_page(window, site.url("/"), "First")
    second = window.open_tab(site.url("/second"))
    until(lambda: window.strip.bar.tabText(1) == "Second", "second")
    window.strip.bar.moveTab(0, 1)
    assert window.tabs == [second, first]
    assert [window.strip.bar.tabText(index) for index in (0, 1)] == ["Second", "First"]
    window.select_tab(1)
    assert window.tab is first


def test_closing_the_last_tab_closes_the_window(window: BrowserWindow, browser: Browser, site: Site) -> None:
    open_page(window, site.url("/"), "First")
    press(window, "Ctrl+W")
    until(lambda: browser.windows == [], "the window is closed")


def test_window_open_needs_a_gesture_and_makes_a_tab(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/popup"), "Popup")
    results: list[object] = []
    tab.page.runJavaScript("setTimeout(() => document.title = 'opened ' + window.open('/second'), 0)")
    until(lambda: tab.title == "opened null", "the popup is blocked")
    assert len(window.tabs) == 1
    assert results == []
    click(tab, 20, 20)
    until(lambda: len(window.tabs) == 2, "the new tab")
    until(lambda: shows(window, "Second"), "its page")
    assert window.tab is window.tabs[1]


def test_target_blank_and_ctrl_click(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/blank"), "Blank")
    wait_until_painted(tab)
    KEYBOARD.keyClick(page_input(tab), Qt.Key.Key_Return)
    until(lambda: len(window.tabs) == 2 and window.tabs[1].title == "Second", "target=_blank")
    assert window.tab is window.tabs[1]
    window.select_tab(0)
    click(tab, 20, 18, Qt.MouseButton.MiddleButton)
    until(lambda: len(window.tabs) == 3 and window.tabs[1].title == "Second", "middle click")
    assert window.tab is tab


def test_internal_pages_show_their_own_address(window: BrowserWindow) -> None:
    open_page(window, "peersky://settings/llm", "settings/llm")
    assert window.address.edit.text() == "peersky://settings/llm"
    assert window.address.connection_button.accessibleName() == "Connection: PeerSky page"


# The model's sign


def test_sign_only_on_trusted_pages(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    host.settings.change({"llm.enabled": True, "llm.provider": "builtin", "llm.model": STARTER_MODEL})
    open_page(window, "peersky://home/", "home/")
    address = window.address
    assert address.sign is Sign.READY
    assert address.sign_button.isVisible()
    assert address.sign_button.text() == "AI"
    assert not address.sign_button.icon().isNull()
    assert "can use your model" in address.sign_button.accessibleName()
    assert "on this computer" in address.sign_button.accessibleName()
    open_page(window, site.url("/", "localhost"), "First")
    assert address.sign is Sign.READY
    open_page(window, site.url("/"), "First")
    assert address.sign is Sign.NONE
    assert not address.sign_button.isVisible()


def test_sign_while_answering_and_stop(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    host.settings.change({"llm.enabled": True})
    open_page(window, "peersky://home/", "home/")
    host.activity.changed.emit("http://localhost:1", 1)
    assert window.address.sign is Sign.READY
    host.activity.changed.emit("peersky://home", 2)
    assert window.address.sign_button.text() == "Answering…"
    assert window.address.stop_button.isVisible()
    window.address.stop_button.click()
    assert host.stopped == ["peersky://home"]
    host.activity.changed.emit("peersky://home", 0)
    assert window.address.sign is Sign.READY
    assert not window.address.stop_button.isVisible()


def test_sign_follows_the_setting_and_names_a_cloud(window: BrowserWindow, host: WindowHost) -> None:
    open_page(window, "peersky://home/", "home/")
    assert window.address.sign is Sign.OFF
    cloud = {"llm.provider": "openai", "llm.baseURL": "https://cloud.example/v1", "llm.model": "big"}
    host.settings.change({"llm.enabled": True, **cloud})
    until(lambda: window.address.sign is Sign.READY, "the sign")
    assert window.address.sign_button.accessibleName() == "This page can use your model big at cloud.example"


def test_the_sign_belongs_to_the_page_shown_and_not_to_the_one_on_its_way(
    window: BrowserWindow, host: WindowHost, site: Site
) -> None:
    host.settings.change({"llm.enabled": True})
    open_page(window, site.url("/"), "First")
    window.go_to(site.url("/never", "localhost"))
    until(lambda: "/never" in site.seen, "the request")
    assert window.address.sign is Sign.NONE


# Find, zoom, developer tools, full screen


def test_find(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    press(window, "Ctrl+F")
    bar = tab.find_bar
    assert bar.edit.hasFocus()
    KEYBOARD.keyClicks(bar.edit, "needle")
    until(lambda: bar.count.text() == "1 of 2", "the count")
    KEYBOARD.keyClick(bar.edit, Qt.Key.Key_Return)
    until(lambda: bar.count.text() == "2 of 2", "the next match")
    bar.previous.click()
    until(lambda: bar.count.text() == "1 of 2", "the match before")
    bar.case.setChecked(True)
    until(lambda: bar.count.text() == "1 of 1", "with the case")
    bar.edit.setText("haystack")
    until(lambda: bar.count.text() == "No match", "no match")
    KEYBOARD.keyClick(bar.edit, Qt.Key.Key_Escape)
    assert bar.isHidden()


def test_zoom_stays_with_the_tab(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    assert not window.address.zoom_button.isVisible()
    press(window, "Ctrl++")
    press(window, "Ctrl++")
    assert window.address.zoom_button.text() == "125 %"
    open_page(window, site.url("/second", "localhost"), "Second")
    assert tab.page.zoomFactor() == pytest.approx(1.25)
    other = window.open_tab(site.url("/", "localhost"))
    until(lambda: other.title == "First", "the other tab")
    assert not window.address.zoom_button.isVisible()
    window.select_tab(0)
    window.address.zoom_button.click()
    assert tab.page.zoomFactor() == pytest.approx(1.0)


def test_developer_tools(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    press(window, "F12")
    view = tab.dev_tools.view
    assert view is not None
    until(lambda: "devtools" in view.url().toString(), "the tools")
    inspected = view.page()
    assert inspected is not None
    assert inspected is not tab.page
    press(window, "Ctrl+Shift+I")
    assert tab.dev_tools.view is None
    open_page(window, site.url("/second"), "Second")


def test_full_screen_by_a_page_and_out_with_escape(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/full"), "Full")
    click(tab, 20, 20)
    until(lambda: tab.is_page_full_screen, "full screen")
    assert not window.toolbar.isVisible()
    press(window, "Esc")
    until(lambda: not tab.is_page_full_screen, "out of full screen")
    assert window.toolbar.isVisible()


def test_closing_a_tab_that_has_the_whole_screen_brings_the_window_back(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/full"), "Full")
    window.open_tab(site.url("/second"), background=True)
    click(tab, 20, 20)
    until(lambda: tab.is_page_full_screen, "full screen")
    assert window.page_full_screen.note.text().startswith(f"http://127.0.0.1:{site.port} is in full screen")
    window.commands.close_tab()
    until(lambda: len(window.tabs) == 1, "the tab is closed")
    assert window.toolbar.isVisible()
    assert not window.isFullScreen()


# Questions


def test_permission_bar(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/place"), "Place")
    until(lambda: tab.bars, "the bar")
    bar = tab.bars[0]
    assert bar.label.text() == f"http://127.0.0.1:{site.port} wants to know where you are."
    block, allow = bar.buttons
    assert (block.text(), allow.text()) == ("Block", "Allow")
    allow.click()
    assert tab.bars == [bar]
    until(block.isEnabled, "the guard is over")
    block.click()
    until(lambda: tab.title == "denied 1", "the page is told")
    assert tab.bars == []


def test_permission_bar_goes_with_its_page(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/place"), "Place")
    until(lambda: tab.bars, "the bar")
    open_page(window, site.url("/second"), "Second")
    assert tab.bars == []


def test_not_now_lets_the_page_ask_again(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/place"), "Place")
    until(lambda: tab.bars, "the bar")
    tab.bars[0].close_button.click()
    until(lambda: tab.title == "denied 1", "the page is told")
    press(window, "Ctrl+R")
    until(lambda: tab.bars, "the bar again")


def test_dialogs_name_the_origin_and_end(window: BrowserWindow, site: Site) -> None:
    texts: list[str] = []

    def read(dialog: Dialog) -> None:
        assert dialog.text.textFormat() == Qt.TextFormat.PlainText
        texts.append(dialog.text.text())
        press_button(dialog, "OK")

    def silence(dialog: Dialog) -> None:
        quiet = dialog.findChild(QCheckBox)
        assert quiet is not None
        quiet.setChecked(True)
        read(dialog)

    dialogs = Dialogs(read, silence)
    tab = window.open_tab()
    window.go_to(site.url("/alerts"))
    until(lambda: dialogs.all_answered and tab.title == "Alerts" and not tab.loading, "no more dialogs")
    assert dialogs.titles == [f"http://127.0.0.1:{site.port} says"] * 2
    assert texts == ["<b>n0", "<b>n1"]


def test_prompt_and_confirm(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")

    def answer(dialog: Dialog) -> None:
        edit = dialog.findChild(QLineEdit)
        assert edit is not None
        assert edit.text() == "x"
        edit.setText("me ")
        press_button(dialog, "OK")

    dialogs = Dialogs(answer, lambda dialog: press_button(dialog, "Cancel"))
    tab.page.runJavaScript("setTimeout(() => { document.title = prompt('Name?', 'x') + confirm('Sure?') }, 0)")
    until(lambda: tab.title == "me false", "the answers")
    assert dialogs.all_answered


def test_a_page_with_changes_is_not_closed_silently(window: BrowserWindow, browser: Browser, site: Site) -> None:
    tab = open_page(window, site.url("/unload"), "Unload")
    click(tab, 30, 20)
    values: list[object] = []

    def has_text() -> bool:
        KEYBOARD.keyClick(page_input(tab), Qt.Key.Key_A)
        tab.page.runJavaScript("i.value", values.append)
        return any(values)

    until(has_text, "the typed text")
    dialogs = Dialogs(
        lambda dialog: press_button(dialog, "Stay"),
        lambda dialog: press_button(dialog, "Leave"),
    )
    window.close()
    until(lambda: len(dialogs.titles) == 1 and QApplication.activeModalWidget() is None, "the user stays")
    assert browser.windows == [window]
    # The page must have heard the first answer before it is asked again.
    heard: list[object] = []
    tab.page.runJavaScript("'heard'", heard.append)
    until(lambda: heard, "the page goes on")
    window.close()
    until(lambda: browser.windows == [], "the window is closed")
    assert dialogs.titles == [f"Leave http://127.0.0.1:{site.port}?"] * 2


# Downloads, colours, access


def test_download(window: BrowserWindow, site: Site, tmp_path: Path) -> None:
    open_page(window, site.url("/"), "First")
    window.go_to(site.url("/file.bin"))
    until(lambda: window.downloads.rows and not window.downloads.rows[0].is_running, "the download")
    row = window.downloads.rows[0]
    assert row.label.text() == f"Saved file.bin (5.0 kB) in {tmp_path / 'downloads'}"
    assert (tmp_path / "downloads" / "file.bin").read_text() == PAGES["/file.bin"]
    assert window.tab is not None
    assert window.tab.error is None
    assert window.address.edit.text() == site.url("/")
    row.close_button.click()
    assert not window.downloads.isVisible()


def test_colours_follow_the_setting(window: BrowserWindow, host: WindowHost, qt_application: QApplication) -> None:
    host.settings.change({"browser.colorScheme": "dark"})
    assert qt_application.palette().window().color().lightness() < 80
    host.settings.change({"browser.colorScheme": "light"})
    assert qt_application.palette().window().color().lightness() > 200


def test_a_bare_x_server_gets_a_theme_that_can_be_dark(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORMTHEME", "XDG_CURRENT_DESKTOP", "DESKTOP_SESSION", "KDE_FULL_SESSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    # Set first, so that it is put back at the end.
    monkeypatch.setenv("QT_QPA_PLATFORMTHEME", "")
    prepare_environment()
    assert os.environ["QT_QPA_PLATFORMTHEME"] == "gnome"
    monkeypatch.setenv("QT_QPA_PLATFORMTHEME", "")
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "KDE")
    prepare_environment()
    assert os.environ["QT_QPA_PLATFORMTHEME"] == ""


def test_every_control_has_a_name(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    press(window, "Ctrl+F")
    tab.show_message("A message.")
    internal = {"ScrollLeftButton", "ScrollRightButton"}
    for button in window.findChildren(QAbstractButton):
        if button.isVisible() and button.objectName() not in internal:
            assert button.accessibleName() or button.text(), button.objectName()
            assert button.focusPolicy() != Qt.FocusPolicy.NoFocus or isinstance(button.parent(), QTabBar)
    for edit in window.findChildren(QLineEdit):
        assert edit.accessibleName()
    assert window.strip.bar.accessibleName() == "Tabs"


def test_a_request_from_outside_opens_a_tab(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    open_page(window, site.url("/"), "First")
    host.activity.open_requested.emit(site.url("/second"))
    until(lambda: shows(window, "Second"), "the tab")
    assert len(window.tabs) == 2


def test_a_second_window_and_quit(window: BrowserWindow, browser: Browser, site: Site) -> None:
    open_page(window, site.url("/"), "First")
    press(window, "Ctrl+N")
    assert len(browser.windows) == 2
    other = browser.windows[1].tab
    assert other is not None
    until(lambda: other.title == "home/", "its home page")
    press(window, "Ctrl+Q")
    until(lambda: browser.windows == [], "both windows are closed")
