"""`peersky run`: the browser with its window."""

from __future__ import annotations

import logging
import signal
import socket
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QSocketNotifier, QTimer
from PyQt6.sip import voidptr

from peersky.qt.application import create_application

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QApplication

    from peersky.system.paths import Profile

_SERVICES_AFTER_MS: Final = 300

_log = logging.getLogger(__name__)


def run(profile: Profile, url: str | None) -> int:
    """Open the window and return its exit code when it closes.

    Args:
        url: address of the first tab; None: the home page.

    Raises:
        NotAllowed: started as root, where Chromium's sandbox does not work.
        ProfileUnusable: the profile is in use, or cannot be used.
    """
    application = create_application(headless=False, on_error=_log.error)
    from peersky.qt.notifier import DesktopNotifier
    from peersky.qt.prompts import WindowPrompts
    from peersky.qt.runtime import Runtime

    interrupts = _QuitOnSignal(application)
    prompts = WindowPrompts()
    notifier = DesktopNotifier()
    runtime = Runtime(profile, prompts, notifier, late=True)
    # Chromium's processes start meanwhile.
    from peersky.qt.window import run_window

    runtime.activity.failed.connect(application.quit)
    # The first page has the computer to itself, unless it asks for them before.
    QTimer.singleShot(_SERVICES_AFTER_MS, runtime.start_services)
    try:
        code = run_window(runtime, url, prompts, notifier)
        runtime.check()
        return code
    finally:
        interrupts.close()
        runtime.close()


class _QuitOnSignal:
    """Ctrl-C and a polite kill end the browser as its Quit does. Python sees signals only when it runs, so a socket
    wakes Qt's loop."""

    def __init__(self, application: QApplication) -> None:
        self._application = application
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self._notifier = QSocketNotifier(voidptr(self._read.fileno()), QSocketNotifier.Type.Read)
        self._notifier.activated.connect(self._quit)

    def _quit(self) -> None:
        self._read.recv(64)
        self._application.closeAllWindows()
        self._application.quit()

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._notifier.setEnabled(False)
        self._read.close()
        self._write.close()
