"""Light and dark: one palette and one style sheet for the window, and the scheme that web pages are told.

Pages read ``prefers-color-scheme`` from ``QStyleHints.colorScheme``. Qt's platform themes of the known desktops can
switch it; where there is none (a bare X server, the offscreen platform) the window still follows the setting.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor, QGuiApplication, QPalette
from PyQt6.QtWidgets import QApplication


@dataclass(frozen=True, slots=True)
class Colors:
    """The window's colours as ``#rrggbb``. Text on ``window`` and on ``field`` has a contrast of at least 7:1."""

    window: str
    field: str
    text: str
    muted: str
    line: str
    hover: str
    accent: str
    accent_text: str
    model: str
    danger: str


LIGHT: Final = Colors(
    window="#eceef2", field="#ffffff", text="#1b1e24", muted="#565d6b", line="#c6cad3", hover="#dadde5",
    accent="#1f5fbf", accent_text="#ffffff", model="#6a35b5", danger="#a8261c",
)  # fmt: skip
DARK: Final = Colors(
    window="#22252b", field="#2e323a", text="#eceef2", muted="#a9b0bd", line="#474d59", hover="#3a3f49",
    accent="#8ab6f5", accent_text="#10233d", model="#c6a6f7", danger="#ff9d92",
)  # fmt: skip

_SCHEMES: Final = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}


def prepare_environment() -> None:
    """Before QApplication: on Linux without a known desktop, take the platform theme that can switch light and dark."""
    known = ("QT_QPA_PLATFORMTHEME", "XDG_CURRENT_DESKTOP", "DESKTOP_SESSION", "KDE_FULL_SESSION")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in known):
        os.environ["QT_QPA_PLATFORMTHEME"] = "gnome"


def apply_scheme(setting: str) -> bool:
    """Switch the application to a scheme.

    Args:
        setting: ``light``, ``dark`` or ``system``.

    Returns:
        Whether the window is dark now.
    """
    hints, application = QGuiApplication.styleHints(), QApplication.instance()
    assert hints is not None
    assert isinstance(application, QApplication)
    wanted = _SCHEMES.get(setting, Qt.ColorScheme.Unknown)
    hints.setColorScheme(wanted)
    known = wanted if wanted != Qt.ColorScheme.Unknown else hints.colorScheme()
    dark = known == Qt.ColorScheme.Dark
    colors = DARK if dark else LIGHT
    application.setPalette(_palette(colors))
    return dark


def current_colors() -> Colors:
    """The colours of the palette that is in use."""
    window = QGuiApplication.palette().color(QPalette.ColorRole.Window)
    return DARK if window.lightness() < 128 else LIGHT


def _palette(colors: Colors) -> QPalette:
    palette, role = QPalette(), QPalette.ColorRole
    for names, value in {
        (role.Window, role.Button, role.AlternateBase): colors.window,
        (role.Base, role.ToolTipBase): colors.field,
        (role.WindowText, role.Text, role.ButtonText, role.ToolTipText): colors.text,
        (role.PlaceholderText,): colors.muted,
        (role.Mid, role.Dark): colors.line,
        (role.Midlight, role.Light): colors.hover,
        (role.Shadow,): "#000000",
        (role.Highlight, role.Link, role.Accent): colors.accent,
        (role.HighlightedText,): colors.accent_text,
        (role.LinkVisited,): colors.model,
        (role.BrightText,): colors.danger,
    }.items():
        for name in names:
            palette.setColor(name, QColor(value))
    for name in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, name, QColor(colors.muted))
    return palette


def style_sheet(colors: Colors) -> str:
    """The window's style sheet."""
    return f"""
    QToolButton {{ border: none; border-radius: 6px; padding: 5px; color: {colors.text}; }}
    QToolButton:hover:enabled {{ background: {colors.hover}; }}
    QToolButton:pressed, QToolButton:checked {{ background: {colors.line}; }}
    QToolButton:focus {{ outline: none; border: 2px solid {colors.accent}; padding: 3px; }}
    QToolButton:disabled {{ color: {colors.muted}; }}
    QToolButton::menu-indicator {{ image: none; }}
    QPushButton {{ border: 1px solid {colors.line}; border-radius: 6px; padding: 5px 14px; background: {colors.field};
        color: {colors.text}; }}
    QPushButton:hover:enabled {{ background: {colors.hover}; }}
    QPushButton:focus {{ border: 2px solid {colors.accent}; padding: 4px 13px; }}
    QPushButton:disabled {{ color: {colors.muted}; background: {colors.window}; }}
    QPushButton[primary="true"] {{ background: {colors.accent}; color: {colors.accent_text};
        border-color: {colors.accent}; }}
    QPushButton[primary="true"]:focus {{ border: 2px solid {colors.text}; }}
    QPushButton[primary="true"]:disabled {{ background: {colors.line}; color: {colors.muted};
        border-color: {colors.line}; }}
    #address {{ background: {colors.field}; border: 1px solid {colors.line}; border-radius: 15px; }}
    #address[active="true"] {{ border: 2px solid {colors.accent}; }}
    #address QLineEdit {{ border: none; background: transparent; color: {colors.text};
        selection-background-color: {colors.accent}; selection-color: {colors.accent_text}; padding: 0 2px; }}
    #address QToolButton {{ border-radius: 11px; padding: 2px 6px; min-height: 18px; }}
    #address QToolButton:focus {{ padding: 0 4px; }}
    #connection[insecure="true"] {{ color: {colors.danger}; }}
    #sign {{ color: {colors.model}; font-weight: 600; }}
    #sign[off="true"] {{ color: {colors.muted}; font-weight: 400; }}
    #stopAnswer {{ color: {colors.danger}; font-weight: 600; border: 1px solid {colors.line}; }}
    #toolbar {{ background: {colors.window}; border-bottom: 1px solid {colors.line}; }}
    #tabRow {{ background: {colors.hover}; }}
    #notice {{ background: {colors.field}; border-bottom: 1px solid {colors.line}; }}
    #findBar, #downloads {{ background: {colors.window}; border-top: 1px solid {colors.line}; }}
    #findBar QLineEdit {{ border: 1px solid {colors.line}; border-radius: 6px; padding: 4px 8px;
        background: {colors.field}; color: {colors.text}; }}
    #findBar QLineEdit:focus {{ border: 2px solid {colors.accent}; padding: 3px 7px; }}
    #hovered {{ background: {colors.field}; color: {colors.text}; border: 1px solid {colors.line};
        border-radius: 4px; padding: 2px 8px; }}
    #progress {{ border: none; background: transparent; }}
    #progress::chunk {{ background: {colors.accent}; }}
    #errorPanel {{ background: {colors.field}; }}
    #errorTitle {{ font-size: 22px; font-weight: 600; }}
    #errorHint, #errorCode, #publishHint {{ color: {colors.muted}; }}
    #sitePanel {{ background: {colors.field}; border: 1px solid {colors.line}; }}
    #sitePanel QLabel {{ color: {colors.text}; }}
    #sitePanel #publishHint {{ color: {colors.muted}; }}
    #panelTitle {{ font-weight: 600; }}
    #publishHeading {{ font-weight: 600; }}
    #publishError {{ color: {colors.danger}; }}
    QTabBar {{ background: {colors.hover}; }}
    QTabBar::tab {{ background: transparent; color: {colors.text}; border: none; padding: 7px 8px 7px 10px;
        margin: 0 1px; min-width: 80px; max-width: 220px; border-top-left-radius: 8px;
        border-top-right-radius: 8px; }}
    QTabBar::tab:selected {{ background: {colors.window}; }}
    QTabBar::tab:hover:!selected {{ background: {colors.line}; }}
    QMenu {{ background: {colors.field}; color: {colors.text}; border: 1px solid {colors.line}; padding: 4px; }}
    QMenu::item {{ padding: 6px 28px 6px 24px; border-radius: 4px; }}
    QMenu::item:selected {{ background: {colors.accent}; color: {colors.accent_text}; }}
    QMenu::item:disabled {{ color: {colors.muted}; background: transparent; }}
    QMenu::separator {{ height: 1px; background: {colors.line}; margin: 4px 8px; }}
    QToolTip {{ background: {colors.field}; color: {colors.text}; border: 1px solid {colors.line}; padding: 3px; }}
    """
