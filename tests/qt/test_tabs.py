"""Tabs of the window in the real QtWebEngine, and the pages that open them."""

from __future__ import annotations

from PyQt6.QtCore import Qt

from peersky.qt.window import Browser, BrowserWindow
from tests.qt.window_host import (
    KEYBOARD,
    Site,
    click,
    open_page,
    page_input,
    press,
    shows,
    until,
    wait_until_painted,
)


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
