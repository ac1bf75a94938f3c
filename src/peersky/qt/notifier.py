"""Notices on the desktop: D-Bus where a desktop listens there, else the tray, else a banner in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from PyQt6.QtCore import QMetaType, QObject, QTimer, pyqtSignal
from PyQt6.QtDBus import QDBusArgument, QDBusConnection, QDBusMessage
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QSystemTrayIcon

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Channel = Callable[[str, str], bool]

_SERVICE: Final = "org.freedesktop.Notifications"
_PATH: Final = "/org/freedesktop/Notifications"
# D-Bus is strict about types: uint32 and a list of texts.
_UNSIGNED: Final = cast("int", QMetaType.Type.UInt.value)
_TEXTS: Final = cast("int", QMetaType.Type.QStringList.value)
SHOWN_MS: Final = 10_000


class DesktopNotifier(QObject):
    """A :class:`~peersky.system.notify_port.NotifyPort`. Make it on the main thread.

    Args:
        channels: tried in turn until one shows the notice; by default D-Bus and the tray. :attr:`banner` is the last.
    """

    _asked = pyqtSignal(str, str)

    def __init__(self, channels: Sequence[Channel] | None = None) -> None:
        super().__init__()
        self._tray: QSystemTrayIcon | None = None
        self._channels = (notify_by_dbus, self._notify_by_tray) if channels is None else tuple(channels)
        self.banner: Channel | None = None
        """Shows a notice in the window; set by the window."""
        self._asked.connect(self._show)

    def notify(self, title: str, text: str) -> None:
        """See :class:`~peersky.system.notify_port.NotifyPort`. May be called on any thread."""
        self._asked.emit(title, text)

    def _show(self, title: str, text: str) -> None:
        for channel in (*self._channels, self.banner):
            if channel is not None and channel(title, text):
                return

    def _notify_by_tray(self, title: str, text: str) -> bool:
        if not (QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages()):
            return False
        if self._tray is None:
            self._tray = QSystemTrayIcon(QGuiApplication.windowIcon(), self)
        # The icon is there only for its message: PeerSky has no business in the tray.
        self._tray.show()
        self._tray.showMessage(title, text, QGuiApplication.windowIcon(), SHOWN_MS)
        QTimer.singleShot(SHOWN_MS + 1000, self._tray.hide)
        return True


def notify_by_dbus(title: str, text: str) -> bool:
    """Ask the desktop's notification service (Desktop Notifications Specification 1.2); False where there is none."""
    bus = QDBusConnection.sessionBus()
    interface = bus.interface() if bus.isConnected() else None
    if interface is None or not interface.isServiceRegistered(_SERVICE).value():
        return False
    replaces = QDBusArgument()
    replaces.add(0, _UNSIGNED)
    actions = QDBusArgument([], _TEXTS)
    # The body may be read as markup there; the title never is.
    body = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    message = QDBusMessage.createMethodCall(_SERVICE, _PATH, _SERVICE, "Notify")
    message.setArguments(["PeerSky", replaces, "", title, body, actions, {}, SHOWN_MS])
    return bus.send(message)
