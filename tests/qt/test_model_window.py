"""What the window tells about models while other pages are used: downloads, notices, the one-time dialog, a cloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QPushButton

from peersky.llm.downloads import Download
from peersky.qt.address_bar import Sign
from peersky.qt.model_downloads import download_text
from peersky.qt.notifier import DesktopNotifier
from peersky.qt.unreachable_dialog import UnreachableDialog
from peersky.qt.window import Browser, BrowserWindow
from tests.qt.window_host import KEYBOARD, WindowHost, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("patient_user")

RUNNING = Download(
    id="d1",
    provider="builtin",
    model="qwen3:4b",
    state="running",
    status="Downloading",
    completed_bytes=1_000_000_000,
    total_bytes=2_500_000_000,
    percent=40.0,
    bytes_per_second=12_300_000,
    seconds_left=122,
    message="",
    interrupted=False,
)
SENTENCE = "Ollama cannot be reached at http://127.0.0.1:11434; start it."


@pytest.fixture
def window(browser: Browser) -> BrowserWindow:
    window = browser.new_window("peersky://home/")
    until(lambda: window.tab is not None and window.tab.title == "home/", "the page")
    return window


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Downloading qwen3:4b · 40 % · 1.0 GB of 2.5 GB · 12.3 MB/s · 2 min left"),
        ({"percent": None, "total_bytes": 0, "bytes_per_second": 0, "seconds_left": None}, "Downloading qwen3:4b"),
        ({"state": "paused"}, "Paused: qwen3:4b · 40 % · 1.0 GB of 2.5 GB"),
        ({"state": "verifying"}, "Checking qwen3:4b · 40 % · 1.0 GB of 2.5 GB"),
        ({"state": "paused", "interrupted": True}, "The download of qwen3:4b was interrupted when PeerSky closed"),
        ({"state": "failed", "message": "The disk is full."}, "qwen3:4b was not downloaded: The disk is full."),
    ],
)
def test_a_download_in_one_line(changes: dict[str, Any], text: str) -> None:
    assert download_text(replace(RUNNING, **changes)) == text


def test_a_download_is_seen_in_every_window_until_it_is_done(
    browser: Browser, window: BrowserWindow, host: WindowHost
) -> None:
    second = browser.new_window("peersky://home/")
    for one in (window, second):
        assert not one.model_downloads.isVisible()
    host.activity.download_changed.emit(RUNNING)
    for one in (window, second):
        until(one.model_downloads.isVisible, "the download is shown")
        assert one.model_downloads.rows["d1"].bar.value() == 400
    host.activity.download_changed.emit(replace(RUNNING, percent=50.0))
    assert window.model_downloads.rows["d1"].bar.value() == 500
    host.activity.download_changed.emit(replace(RUNNING, state="done", percent=100.0))
    for one in (window, second):
        assert not one.model_downloads.isVisible()


def test_a_download_is_steered_with_the_keyboard(window: BrowserWindow, host: WindowHost) -> None:
    host.activity.download_changed.emit(RUNNING)
    row = window.model_downloads.rows["d1"]
    for name in ("pause", "cancel"):
        row.buttons[name].setFocus()
        KEYBOARD.keyClick(row.buttons[name], Qt.Key.Key_Space)
    host.activity.download_changed.emit(replace(RUNNING, state="paused"))
    assert not row.buttons["pause"].isVisible()
    KEYBOARD.keyClick(row.buttons["resume"], Qt.Key.Key_Space)
    assert host.steps == [("pause", "d1"), ("cancel", "d1"), ("resume", "d1")]
    assert row.buttons["resume"].accessibleName() == "Resume: qwen3:4b"


def test_a_hidden_row_stays_away_until_the_download_fails(window: BrowserWindow, host: WindowHost) -> None:
    host.activity.download_changed.emit(RUNNING)
    window.model_downloads.rows["d1"].close_button.click()
    host.activity.download_changed.emit(replace(RUNNING, percent=60.0))
    assert not window.model_downloads.isVisible()
    host.activity.download_changed.emit(replace(RUNNING, state="failed", message="The connection broke."))
    assert "The connection broke." in window.model_downloads.rows["d1"].label.text()


def test_a_long_sentence_does_not_widen_the_window(window: BrowserWindow, host: WindowHost) -> None:
    before = window.minimumSizeHint().width()
    message = "The model needs 2.0 GB of disk space, and 120 MB are free where the models are. " * 3
    host.activity.download_changed.emit(replace(RUNNING, state="failed", message=message))
    assert window.model_downloads.isVisible()
    assert window.minimumSizeHint().width() <= max(before, 600)


def test_what_a_quit_interrupted_is_offered_at_the_next_start(browser: Browser, host: WindowHost) -> None:
    host.downloads = [replace(RUNNING, state="paused", interrupted=True)]
    window = browser.new_window("peersky://home/")
    assert window.model_downloads.isVisible()
    window.model_downloads.rows["d1"].buttons["resume"].click()
    assert host.steps == [("resume", "d1")]


# The notice at the end of a download


def test_the_first_channel_that_can_shows_a_notice() -> None:
    seen: list[tuple[str, str, str]] = []

    def channel(name: str, can: bool) -> Callable[[str, str], bool]:
        def show(title: str, text: str) -> bool:
            seen.append((name, title, text))
            return can

        return show

    notifier = DesktopNotifier([channel("one", False), channel("two", True), channel("three", True)])
    notifier.notify("Ready", "It is here.")
    assert seen == [("one", "Ready", "It is here."), ("two", "Ready", "It is here.")]


def test_without_a_desktop_the_window_shows_it(browser: Browser, window: BrowserWindow) -> None:
    notifier = DesktopNotifier([lambda _title, _text: False])
    notifier.banner = browser.show_notice

    async def from_the_services() -> None:
        notifier.notify("qwen3:4b is ready", "It can <b>answer</b>.")

    host = browser.host
    assert isinstance(host, WindowHost)
    host.call(from_the_services())
    assert window.tab is not None
    tab = window.tab
    until(lambda: [bar.label.text() for bar in tab.bars] == ["qwen3:4b is ready. It can <b>answer</b>."], "the banner")


def test_with_neither_nothing_breaks() -> None:
    DesktopNotifier([]).notify("Ready", "It is here.")


# The one-time dialog


def dialog_of(window: BrowserWindow) -> UnreachableDialog:
    found: list[UnreachableDialog] = []

    def shown() -> bool:
        found[:] = [each for each in window.findChildren(UnreachableDialog) if each.isVisible()]
        return bool(found)

    until(shown, "the dialog")
    return found[0]


def press(button: QPushButton) -> None:
    button.setFocus()
    KEYBOARD.keyClick(button, Qt.Key.Key_Space)


def test_the_dialog_says_what_the_page_was_told_and_blocks_nothing(window: BrowserWindow, host: WindowHost) -> None:
    host.activity.unreachable.emit(SENTENCE)
    dialog = dialog_of(window)
    assert dialog.text.text() == SENTENCE
    assert dialog.accessibleDescription() == SENTENCE
    assert not dialog.isModal()
    labels = [dialog.builtin.text(), dialog.install.text(), dialog.later.text()]
    assert labels == ["Use the built-in engine", "Install Ollama", "Not now"]
    press(dialog.later)
    until(lambda: not window.findChildren(UnreachableDialog), "the dialog is gone")
    assert host.used_builtin == 0
    assert len(window.tabs) == 1


def test_escape_means_not_now(window: BrowserWindow, host: WindowHost) -> None:
    host.activity.unreachable.emit(SENTENCE)
    dialog = dialog_of(window)
    until(dialog.isActiveWindow, "the dialog has the keyboard")
    KEYBOARD.keyClick(dialog, Qt.Key.Key_Escape)
    until(lambda: not window.findChildren(UnreachableDialog), "the dialog is gone")
    assert host.used_builtin == 0


def test_the_built_in_engine_is_one_click_away(window: BrowserWindow, host: WindowHost) -> None:
    host.activity.unreachable.emit(SENTENCE)
    press(dialog_of(window).builtin)
    assert host.used_builtin == 1


def test_installing_opens_exactly_ollamas_page(window: BrowserWindow, host: WindowHost) -> None:
    host.activity.unreachable.emit(SENTENCE)
    press(dialog_of(window).install)
    assert len(window.tabs) == 2
    assert window.tabs[1].address == "https://ollama.com/download"


# The sign


def test_the_sign_says_that_questions_go_to_a_service(window: BrowserWindow, host: WindowHost) -> None:
    host.settings.change(
        {
            "llm.enabled": True,
            "llm.provider": "openai",
            "llm.baseURL": "https://openrouter.ai/api/v1",
            "llm.model": "big",
        }
    )
    until(lambda: window.address.sign is Sign.READY, "the sign")
    assert window.address.sign_button.text() == "AI at openrouter.ai"
    host.activity.changed.emit("peersky://home", 1)
    assert window.address.sign_button.text() == "openrouter.ai is answering…"
    host.settings.change({"llm.baseURL": "http://127.0.0.1:1234/v1"})
    until(lambda: window.address.sign_button.text() == "Answering…", "the sign of a model on this computer")
    host.settings.change({"llm.provider": "ollama", "llm.model": "gpt-oss:120b-cloud"})
    until(lambda: window.address.sign_button.text() == "ollama.com is answering…", "the sign of Ollama's cloud")


DESKTOP = """
import sys
from PyQt6.QtCore import QCoreApplication, QObject, pyqtClassInfo, pyqtSlot, QMetaType
from PyQt6.QtDBus import QDBusAbstractAdaptor, QDBusConnection, QDBusMessage

class Notifications(QDBusAbstractAdaptor):
    @pyqtSlot(QDBusMessage)
    def Notify(self, message):
        print(message.signature(), message.arguments()[3:5], flush=True)
        application.quit()

pyqtClassInfo("D-Bus Interface", "org.freedesktop.Notifications")(Notifications)
application = QCoreApplication(sys.argv)
owner = QObject()
adaptor = Notifications(owner)
bus = QDBusConnection.sessionBus()
bus.registerObject("/org/freedesktop/Notifications", owner)
assert bus.registerService("org.freedesktop.Notifications")
print("ready", flush=True)
application.exec()
"""
ASKER = """
import sys
from PyQt6.QtCore import QCoreApplication
from peersky.qt.notifier import notify_by_dbus
application = QCoreApplication(sys.argv)
assert notify_by_dbus("qwen3:4b is ready", "It can <b>answer</b>.")
"""


SESSION = """
import subprocess
import sys
desktop = subprocess.Popen([sys.executable, "desktop.py"], stdout=subprocess.PIPE, text=True)
assert desktop.stdout.readline() == "ready\\n"
subprocess.run([sys.executable, "asker.py"], check=True)
print(desktop.stdout.readline(), end="")
desktop.wait()
"""


@pytest.mark.skipif(shutil.which("dbus-run-session") is None, reason="there is no D-Bus here")
def test_a_desktops_notification_service_is_asked_as_the_specification_says(tmp_path: Path) -> None:
    for name, text in {"desktop": DESKTOP, "asker": ASKER, "session": SESSION}.items():
        (tmp_path / f"{name}.py").write_text(text)
    done = subprocess.run(
        ["dbus-run-session", "--", sys.executable, "session.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        capture_output=True,
        text=True,
    )
    expected = "susssasa{sv}i ['qwen3:4b is ready', 'It can &lt;b&gt;answer&lt;/b&gt;.']\n"
    assert done.stdout == expected, done.stderr
