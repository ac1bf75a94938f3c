"""The window's icons: small line drawings, coloured from the palette, so that one set serves light and dark."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from PyQt6.QtCore import QByteArray, QEvent, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from PyQt6.QtSvg import QSvgRenderer
from PyQt6.QtWidgets import QToolButton, QWidget

_SIZES: Final = (16, 20, 24, 32, 40, 48, 64, 96)

# Drawn on 24 by 24; stroke and fill take the colour of the text beside them.
_SHAPES: Final = {
    "back": '<path d="M19 12H5M11 6l-6 6 6 6"/>',
    "forward": '<path d="M5 12h14M13 6l6 6-6 6"/>',
    "reload": '<path d="M19.5 12a7.5 7.5 0 1 1-2.2-5.3M19.5 3.5v4h-4"/>',
    "stop": '<path d="M6.5 6.5l11 11M17.5 6.5l-11 11"/>',
    "stop-answer": '<rect x="6" y="6" width="12" height="12" rx="2" fill="COLOR"/>',
    "home": '<path d="M4 11l8-7 8 7M6 9.5V20h12V9.5"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "close": '<path d="M7 7l10 10M17 7L7 17"/>',
    "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "lock": '<rect x="5" y="10.5" width="14" height="9.5" rx="2"/><path d="M8 10.5V8a4 4 0 0 1 8 0v2.5"/>',
    "warning": '<path d="M12 4L2.8 19.5h18.4z"/><path d="M12 10v4.5M12 17v.3"/>',
    "computer": '<rect x="3.5" y="5" width="17" height="11" rx="1.5"/><path d="M9 20h6M12 16v4"/>',
    "file": '<path d="M6.5 3.5h7l4 4v13h-11zM13.5 3.5v4h4"/>',
    "page": '<circle cx="12" cy="12" r="8.5"/><path d="M3.5 12h17M12 3.5c5 5 5 12 0 17M12 3.5c-5 5-5 12 0 17"/>',
    "peers": '<circle cx="12" cy="5.5" r="2.3"/>'
    '<circle cx="5.5" cy="17" r="2.3"/><circle cx="18.5" cy="17" r="2.3"/>'
    '<path d="M10.9 7.5l-4.3 7.5M13.1 7.5l4.3 7.5M7.8 17h8.4"/>',
    "peersky": '<path d="M3 16.5a4.5 4.5 0 0 1 4.3-4.5 5.5 5.5 0 0 1 10.6 1A3.8 3.8 0 0 1 18 20H6.5'
    'A3.5 3.5 0 0 1 3 16.5z"/><path d="M12 3v3M5.5 5.5l1.8 1.8M18.5 5.5l-1.8 1.8"/>',
    "model": '<path d="M11 4l1.8 5.2L18 11l-5.2 1.8L11 18l-1.8-5.2L4 11l5.2-1.8z" fill="COLOR"/>'
    '<path d="M18.5 15.5v5M16 18h5"/>',
    "search": '<circle cx="10.5" cy="10.5" r="6"/><path d="M15 15l5.5 5.5"/>',
    "link": '<path d="M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1.5 1.5"/>'
    '<path d="M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1.5-1.5"/>',
    "up": '<path d="M6 15l6-6 6 6"/>',
    "down": '<path d="M6 9l6 6 6-6"/>',
    "download": '<path d="M12 4v11M7 10.5l5 5 5-5M4.5 20h15"/>',
    "folder": '<path d="M3.5 6.5h6l2 2.5h9v10.5h-17z"/>',
    "question": '<circle cx="12" cy="12" r="8.5"/>'
    '<path d="M9.5 9.5a2.5 2.5 0 1 1 3.4 2.3c-.6.3-.9.8-.9 1.7M12 16.6v.3"/>',
    "location": '<path d="M12 21s7-6.2 7-11.5a7 7 0 0 0-14 0C5 14.8 12 21 12 21z"/><circle cx="12" cy="9.5" r="2.5"/>',
    "camera": '<rect x="3.5" y="6.5" width="12" height="11" rx="2"/><path d="M15.5 11l5-3v8l-5-3"/>',
    "microphone": '<rect x="9" y="3.5" width="6" height="11" rx="3"/><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/>',
    "bell": '<path d="M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10.5 21h3"/>',
    "clipboard": '<rect x="5.5" y="5" width="13" height="15.5" rx="1.5"/><path d="M9 5V3.5h6V5M9 11h6M9 15h6"/>',
    "error": '<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5v5.5M12 16.2v.3"/>',
}


@lru_cache(maxsize=512)
def _pixmap(name: str, color: str, size: int) -> QPixmap:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="COLOR" stroke-width="1.8" '
        f'stroke-linecap="round" stroke-linejoin="round">{_SHAPES[name]}</svg>'
    )
    pixmap = QPixmap(size, size)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(QByteArray(svg.replace("COLOR", color).encode())).render(painter, QRectF(0, 0, size, size))
    painter.end()
    return pixmap


def icon(name: str, color: QColor) -> QIcon:
    """The icon ``name`` in a colour; paler where it is disabled."""
    result = QIcon()
    pale = QColor(color)
    for size in _SIZES:
        result.addPixmap(_pixmap(name, color.name(), size), QIcon.Mode.Normal)
        faded = QPixmap(size, size)
        faded.fill(Qt.GlobalColor.transparent)
        painter = QPainter(faded)
        painter.setOpacity(0.35)
        painter.drawPixmap(0, 0, _pixmap(name, pale.name(), size))
        painter.end()
        result.addPixmap(faded, QIcon.Mode.Disabled)
    return result


def text_icon(name: str, widget: QWidget) -> QIcon:
    """The icon ``name`` in the colour of a widget's text."""
    return icon(name, widget.palette().color(QPalette.ColorGroup.Active, QPalette.ColorRole.WindowText))


class IconButton(QToolButton):
    """A flat button with an icon that follows the palette.

    Args:
        name: of the icon.
        label: what the button does: its accessible name, and its tooltip unless ``hint`` is given.
        hint: tooltip, where it says more (the shortcut).
    """

    def __init__(self, name: str, label: str, parent: QWidget | None = None, *, hint: str = "", size: int = 20) -> None:
        super().__init__(parent)
        self._name = name
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setIconSize(QSize(size, size))
        self.show_as(name, label, hint)

    def show_as(self, name: str, label: str, hint: str = "") -> None:
        """Take another icon and another meaning."""
        self._name = name
        self.setAccessibleName(label)
        self.setToolTip(hint or label)
        self.setIcon(text_icon(name, self))

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self.setIcon(text_icon(self._name, self))
