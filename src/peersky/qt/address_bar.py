"""The address bar: how the page came here, its address, its zoom, and the sign of a page that can use the model."""

from __future__ import annotations

import enum
from typing import Final

from PyQt6.QtCore import QEvent, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPalette
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QSizePolicy, QToolButton, QWidget

from peersky.core.address import Connection
from peersky.qt.icons import icon
from peersky.qt.theme import current_colors

_CONNECTION_ICONS: Final = {
    Connection.INTERNAL: "peersky",
    Connection.P2P: "peers",
    Connection.LOCAL: "computer",
    Connection.SECURE: "lock",
    Connection.INSECURE: "warning",
    Connection.FILE: "file",
    Connection.NONE: "page",
}
# These say so in words; for the rest, the icon and its accessible name do.
_IN_WORDS: Final = frozenset({Connection.INSECURE, Connection.FILE})


class Sign(enum.Enum):
    """What the page in the tab has to do with the model."""

    NONE = enum.auto()
    """It cannot use it."""
    OFF = enum.auto()
    """It could, but local AI is off."""
    BLOCKED = enum.auto()
    """It could, but the user blocked it."""
    READY = enum.auto()
    BUSY = enum.auto()
    """It is using it now."""


class AddressEdit(QLineEdit):
    """The line with the address. A first click selects all of it; Escape puts the page's address back."""

    left = pyqtSignal()
    focus_changed = pyqtSignal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._select_on_release = False
        self.setPlaceholderText("Search or type an address")
        self.setAccessibleName("Address and search")
        self.setAccessibleDescription("Type an address, or words to search for, and press Enter")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(80)
        self.setFrame(False)

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        super().focusInEvent(event)
        if event is not None and event.reason() == Qt.FocusReason.MouseFocusReason:
            self._select_on_release = True
        else:
            self.selectAll()
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        super().focusOutEvent(event)
        self._select_on_release = False
        self.deselect()
        self.focus_changed.emit(False)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        super().mouseReleaseEvent(event)
        if self._select_on_release and not self.hasSelectedText():
            self.selectAll()
        self._select_on_release = False

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.left.emit()
            return
        super().keyPressEvent(event)


class AddressBar(QFrame):
    """Everything in the rounded frame. Shows what it is told; decides nothing."""

    entered = pyqtSignal(str)
    """The user pressed Enter on this text."""
    left = pyqtSignal()
    """The user gave up editing (Escape)."""
    stop_answer = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("address")
        self._connection, self._sign, self._model = Connection.NONE, Sign.NONE, ""
        self._address = ""
        self.connection_button = self._button("connection", "About this page's connection")
        self.edit = AddressEdit(self)
        self.link_button = self._button("link", "Link to this page")
        self.zoom_button = self._button("zoom", "Zoom")
        self.sign_button = self._button("sign", "")
        self.stop_button = self._button("stopAnswer", "Stop the model's answer")
        self.stop_button.setText("Stop")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(5, 2, 5, 2)
        layout.setSpacing(3)
        for widget in (
            *(self.connection_button, self.edit, self.link_button, self.zoom_button, self.sign_button),
            self.stop_button,
        ):
            layout.addWidget(widget)
        self.setFixedHeight(32)
        self.edit.returnPressed.connect(lambda: self.entered.emit(self.edit.text()))
        self.edit.left.connect(self._leave)
        self.edit.focus_changed.connect(self._mark_active)
        self.stop_button.clicked.connect(self.stop_answer)
        self.show_connection(Connection.NONE)
        self.show_zoom(1.0)
        self.show_sign(Sign.NONE, "")

    def _button(self, name: str, label: str) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName(name)
        button.setAccessibleName(label)
        button.setToolTip(label)
        button.setIconSize(QSize(16, 16))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        return button

    def show_address(self, address: str, typed: str | None = None) -> None:
        """Show the page's address, or what the user was typing in this tab."""
        self._address = address
        text = address if typed is None else typed
        if text != self.edit.text():
            self.edit.setText(text)
            # The start names the site: a long path must not push it out of sight.
            self.edit.setCursorPosition(0)
        if self.edit.hasFocus() and typed is None:
            self.edit.selectAll()
        self.edit.setModified(typed is not None)

    @property
    def typed(self) -> str | None:
        """What the user typed and did not send, if anything."""
        return self.edit.text() if self.edit.isModified() and self.edit.text() != self._address else None

    def show_connection(self, connection: Connection) -> None:
        self._connection = connection
        button, words = self.connection_button, connection.value
        button.setText(words if connection in _IN_WORDS else "")
        only_icon = not button.text()
        style = Qt.ToolButtonStyle
        button.setToolButtonStyle(style.ToolButtonIconOnly if only_icon else style.ToolButtonTextBesideIcon)
        button.setAccessibleName(f"Connection: {words}" if words else "About this page's connection")
        button.setToolTip(words or "About this page's connection")
        self._set_flag(button, "insecure", connection is Connection.INSECURE)
        self.link_button.setVisible(connection is Connection.P2P)
        self._paint_icons()

    def show_zoom(self, factor: float) -> None:
        percent = round(factor * 100)
        self.zoom_button.setVisible(percent != 100)
        self.zoom_button.setText(f"{percent} %")
        self.zoom_button.setAccessibleName(f"Zoom {percent} percent, press for 100 percent")
        self.zoom_button.setToolTip("Back to 100 % (Ctrl+0)")

    def show_sign(self, sign: Sign, model: str, service: str = "") -> None:
        """Show whether the page can use the model.

        Args:
            model: the model's name and where it runs, "NAME on this computer".
            service: the host that questions go to; empty while they stay on this computer.
        """
        self._sign, self._model = sign, model
        button = self.sign_button
        button.setVisible(sign is not Sign.NONE)
        self.stop_button.setVisible(sign is Sign.BUSY)
        label = ""
        match sign:
            case Sign.OFF:
                button.setText("AI off")
                label = "Local AI is off; this page could use it"
            case Sign.BLOCKED:
                button.setText("AI blocked")
                label = "You blocked this page from your model"
            case Sign.READY:
                button.setText(f"AI at {service}" if service else "AI")
                label = f"This page can use your model {model}"
            case Sign.BUSY:
                button.setText(f"{service} is answering…" if service else "Answering…")
                label = f"This page is using your model {model}"
            case Sign.NONE:
                pass
        button.setAccessibleName(label)
        button.setToolTip(label)
        self._set_flag(button, "off", sign in (Sign.OFF, Sign.BLOCKED))
        self._paint_icons()

    @property
    def sign(self) -> Sign:
        return self._sign

    def _leave(self) -> None:
        self.show_address(self._address)
        self.left.emit()

    def _mark_active(self, active: bool) -> None:
        if not active and self.typed is None:
            self.edit.setCursorPosition(0)
        self._set_flag(self, "active", active)

    @staticmethod
    def _set_flag(widget: QWidget, name: str, value: bool) -> None:
        """Set a property that the style sheet looks at."""
        if widget.property(name) != value:
            widget.setProperty(name, value)
            style = widget.style()
            if style is not None:
                style.unpolish(widget)
                style.polish(widget)

    def _paint_icons(self) -> None:
        colors = current_colors()
        text = self.palette().color(QPalette.ColorRole.WindowText)
        insecure = self._connection is Connection.INSECURE
        color = QColor(colors.danger) if insecure else text
        self.connection_button.setIcon(icon(_CONNECTION_ICONS[self._connection], color))
        self.link_button.setIcon(icon("link", text))
        self.sign_button.setIcon(
            icon("model", QColor(colors.muted if self._sign in (Sign.OFF, Sign.BLOCKED) else colors.model))
        )
        self.stop_button.setIcon(icon("stop-answer", QColor(colors.danger)))

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._paint_icons()
