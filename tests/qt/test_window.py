"""The browser window in the real QtWebEngine, with the keyboard where a person would use it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QTabBar

from peersky.qt.address_bar import Sign
from peersky.qt.theme import prepare_environment
from peersky.qt.window import Browser, BrowserWindow
from tests.qt.window_host import (
    KEYBOARD,
    PAGES,
    Site,
    WindowHost,
    click,
    open_page,
    page_input,
    press,
    shows,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path


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


def test_internal_pages_show_their_own_address(window: BrowserWindow) -> None:
    open_page(window, "peersky://settings/llm", "settings/llm")
    assert window.address.edit.text() == "peersky://settings/llm"
    assert window.address.connection_button.accessibleName() == "Connection: PeerSky page"


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


@pytest.mark.fault("A page's process is killed: a sentence, and a button that loads the page again")
def test_the_process_of_a_page_is_killed(window: BrowserWindow, site: Site) -> None:
    tab = open_page(window, site.url("/"), "First")
    os.kill(tab.page.renderProcessPid(), signal.SIGKILL)
    until(lambda: tab.error is not None, "the notice")
    assert "stopped working" in tab.error_panel.title.text()
    assert tab.error_panel.retry_button.isVisible()
    tab.error_panel.retry_button.click()
    until(lambda: tab.error is None and tab.title == "First", "the page again")


@pytest.mark.fault("Engine hangs: the window says so, with a button that stops it")
@pytest.mark.parametrize("answer", ["stop", "wait", "it goes on"])
def test_an_engine_that_hangs(window: BrowserWindow, host: WindowHost, site: Site, answer: str) -> None:
    tab = open_page(window, site.url("/"), "First")
    for _ in range(2):
        host.activity.engine_hangs.emit("The built-in engine may hang.")
    (bar,) = tab.bars
    assert bar.label.text() == "The built-in engine may hang."
    wait, stop = bar.buttons
    assert [wait.text(), stop.text()] == ["Keep waiting", "Stop the engine"]
    until(stop.isEnabled, "the buttons")
    if answer == "it goes on":
        host.activity.engine_hangs.emit("")
    else:
        (stop if answer == "stop" else wait).click()
    assert tab.bars == []
    assert host.killed_engines == (answer == "stop")


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
