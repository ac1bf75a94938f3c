"""Every command of the window, once: label, shortcuts, what it does. The menu button and the keyboard use the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PyQt6.QtGui import QAction, QGuiApplication, QKeySequence
from PyQt6.QtWidgets import QMenu

from peersky.core.address import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PyQt6.QtWidgets import QWidget


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the window: identifier, label, shortcuts in Qt's portable form."""

    name: str
    label: str
    keys: tuple[str, ...] = ()


COMMANDS: Final = (
    Command("new_tab", "New &tab", ("Ctrl+T",)),
    Command("new_window", "New &window", ("Ctrl+N",)),
    Command("close_tab", "&Close tab", ("Ctrl+W", "Ctrl+F4")),
    Command("reopen_tab", "&Reopen closed tab", ("Ctrl+Shift+T",)),
    Command("next_tab", "Next tab", ("Ctrl+Tab", "Ctrl+PgDown")),
    Command("previous_tab", "Previous tab", ("Ctrl+Shift+Tab", "Ctrl+PgUp")),
    Command("focus_address", "Go to the address bar", ("Ctrl+L", "Alt+D", "F6")),
    Command("search", "Search the web", ("Ctrl+K", "Ctrl+E")),
    Command("back", "Back", ("Alt+Left",)),
    Command("forward", "Forward", ("Alt+Right",)),
    Command("home", "Home", ("Alt+Home",)),
    Command("reload", "Reload", ("Ctrl+R", "F5")),
    Command("reload_all", "Reload without the cache", ("Ctrl+Shift+R", "Ctrl+F5", "Shift+F5")),
    Command("open_file", "&Open file…", ("Ctrl+O",)),
    Command("save_page", "&Save page…", ("Ctrl+S",)),
    Command("downloads", "Downloads fol&der", ("Ctrl+J",)),
    Command("print_pdf", "Save as &PDF…", ("Ctrl+P",)),
    Command("publish_file", "Publish a f&ile…"),
    Command("publish_folder", "Publish a folde&r…"),
    Command("archive", "Arc&hive"),
    Command("find", "&Find in page…", ("Ctrl+F",)),
    Command("find_next", "Find next", ("F3", "Ctrl+G")),
    Command("find_previous", "Find previous", ("Shift+F3", "Ctrl+Shift+G")),
    Command("zoom_in", "Zoom &in", ("Ctrl++", "Ctrl+=")),
    Command("zoom_out", "Zoom &out", ("Ctrl+-",)),
    Command("zoom_reset", "&100 %", ("Ctrl+0",)),
    Command("full_screen", "F&ull screen", ("F11",)),
    Command("dev_tools", "&Developer tools", ("F12", "Ctrl+Shift+I")),
    Command("ai_chat", "&AI chat"),
    Command("apps", "A&pps"),
    Command("llm_settings", "&Local AI settings"),
    Command("settings", "S&ettings", ("Ctrl+,",)),
    Command("about", "A&bout PeerSky"),
    Command("quit", "&Quit", ("Ctrl+Q",)),
)
"""Identifiers name the window's methods."""

CONNECTIONS: Final = {
    Connection.INTERNAL: "This page is part of PeerSky.",
    Connection.P2P: "This page came from other people's computers; its address proves that nobody changed it.",
    Connection.LOCAL: "This page came from a server on this computer.",
    Connection.SECURE: "The connection is encrypted, and the site proved its name.",
    Connection.INSECURE: "The connection is not encrypted: others can read and change this page.",
    Connection.FILE: "This page is a file on this computer.",
    Connection.NONE: "This page came from no site.",
}
"""What the panel of the connection sign says."""

TAB_NUMBERS: Final = 9
"""Alt+1 to Alt+8 (and Ctrl+1…) choose a tab by its place; with 9 it is the last one."""

_MENU: Final = (
    ("new_tab", "new_window", "close_tab", "reopen_tab"),
    ("ai_chat", "apps", "llm_settings", "settings"),
    ("find", "zoom", "full_screen"),
    ("open_file", "save_page", "print_pdf", "downloads"),
    ("publish_file", "publish_folder", "archive"),
    ("dev_tools",),
    ("about", "quit"),
)
_ZOOM: Final = ("zoom_in", "zoom_out", "zoom_reset")


def make_actions(window: QWidget, methods: Mapping[str, Callable[[], None]]) -> dict[str, QAction]:
    """One QAction per command, with its shortcuts, active in the whole window.

    Args:
        methods: what each command does, by name.
    """
    actions: dict[str, QAction] = {}
    for command in COMMANDS:
        action = QAction(command.label, window)
        action.setShortcuts([QKeySequence(key) for key in command.keys])
        action.triggered.connect(_without_argument(methods[command.name]))
        window.addAction(action)
        actions[command.name] = action
    return actions


def add_tab_numbers(window: QWidget, choose: Callable[[int], None], count: Callable[[], int]) -> None:
    """Alt+N and Ctrl+N choose the Nth tab."""
    for number in range(1, TAB_NUMBERS + 1):
        action = QAction(f"Tab {number}", window)
        action.setShortcuts([QKeySequence(f"Alt+{number}"), QKeySequence(f"Ctrl+{number}")])

        def go(number: int = number) -> None:
            choose(count() - 1 if number == TAB_NUMBERS else number - 1)

        action.triggered.connect(_without_argument(go))
        window.addAction(action)


def make_menu(window: QWidget, actions: Mapping[str, QAction]) -> QMenu:
    """The menu of the menu button."""
    menu = QMenu(window)
    for group in _MENU:
        if not menu.isEmpty():
            menu.addSeparator()
        for name in group:
            if name == "zoom":
                zoom = menu.addMenu("&Zoom")
                if zoom is not None:
                    zoom.addActions([actions[entry] for entry in _ZOOM])
            else:
                menu.addAction(actions[name])
    return menu


def make_panel(parent: QWidget, sentences: list[str], entries: Mapping[str, Callable[[], None]]) -> QMenu:
    """A small menu that opens with sentences, which cannot be chosen, and then has entries."""
    menu = QMenu(parent)
    menu.setAccessibleName(" ".join(sentences))
    for sentence in sentences:
        note = menu.addAction(sentence.replace("&", "&&"))
        if note is not None:
            note.setEnabled(False)
    menu.addSeparator()
    for label, method in entries.items():
        entry = menu.addAction(label)
        if entry is not None:
            entry.triggered.connect(_without_argument(method))
    return menu


def copy_text(text: str) -> None:
    """Put a text on the clipboard."""
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def _without_argument(method: Callable[[], None]) -> Callable[[], None]:
    """QAction.triggered carries a flag that the methods do not want."""

    def call(_checked: bool = False) -> None:
        method()

    return call
