"""What pages may ask for (camera, place, notifications…): one bar per request, no answer is no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtWebEngineCore import QWebEnginePermission

from peersky.qt.dialogs import site_name
from peersky.qt.notice_bar import NoticeBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from PyQt6.QtWidgets import QWidget

_Type = QWebEnginePermission.PermissionType
_WISHES: Final = {
    _Type.MediaAudioCapture: ("microphone", "use your microphone"),
    _Type.MediaVideoCapture: ("camera", "use your camera"),
    _Type.MediaAudioVideoCapture: ("camera", "use your camera and your microphone"),
    _Type.DesktopVideoCapture: ("computer", "see your screen"),
    _Type.DesktopAudioVideoCapture: ("computer", "see your screen and hear its sound"),
    _Type.MouseLock: ("computer", "take over your mouse pointer (Esc gives it back)"),
    _Type.Notifications: ("bell", "show notifications"),
    _Type.Geolocation: ("location", "know where you are"),
    _Type.ClipboardReadWrite: ("clipboard", "read what you copied"),
    _Type.LocalFontsAccess: ("file", "list the fonts of this computer"),
}


class PermissionBars:
    """The open requests of one tab.

    Args:
        add: puts a bar into the tab.
        remove: takes it out again.
    """

    def __init__(self, add: Callable[[NoticeBar], None], remove: Callable[[NoticeBar], None], parent: QWidget) -> None:
        self._add, self._remove, self._parent = add, remove, parent
        self._open: dict[tuple[str, QWebEnginePermission.PermissionType], NoticeBar] = {}

    def ask(self, permission: QWebEnginePermission) -> None:
        """Show the request; the same one twice is one bar."""
        kind, site = permission.permissionType(), site_name(permission.origin())
        wish = _WISHES.get(kind)
        if wish is None:
            permission.deny()
            return
        key = (site, kind)
        if key in self._open:
            self._close(key)
        bar = NoticeBar(wish[0], f"{site} wants to {wish[1]}.", "Allow", "Block", self._parent)
        # Our own reference: the C++ object behind the signal's argument does not outlive the signal.
        kept = QWebEnginePermission(permission)
        bar.answered.connect(lambda allowed: self._answer(key, kept, allowed))
        bar.dismissed.connect(lambda: self._not_now(key, kept))
        self._open[key] = bar
        self._add(bar)

    def _answer(
        self, key: tuple[str, QWebEnginePermission.PermissionType], permission: QWebEnginePermission, allowed: bool
    ) -> None:
        if allowed:
            permission.grant()
        else:
            permission.deny()
        self._close(key)

    def _not_now(self, key: tuple[str, QWebEnginePermission.PermissionType], permission: QWebEnginePermission) -> None:
        """No for this time: the site may ask again."""
        permission.deny()
        permission.reset()
        self._close(key)

    def _close(self, key: tuple[str, QWebEnginePermission.PermissionType]) -> None:
        self._remove(self._open.pop(key))

    def withdraw_all(self) -> None:
        """The page went away, and its requests with it."""
        for key in list(self._open):
            self._close(key)
