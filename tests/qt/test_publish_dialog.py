"""Publishing from the menu: the form, progress, cancel, errors, and the link at the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import segno
from PyQt6.QtCore import QCoreApplication, QEvent, Qt, QUrl
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QApplication

from peersky.core.errors import QuotaExceeded
from peersky.qt.link_dialog import LinkDialog, qr_pixmap
from peersky.qt.publish_dialog import PublishDialog, progress_text, result_text
from peersky.qt.publishing import Wanted
from peersky.qt.window import Browser, BrowserWindow
from tests.qt.window_host import KEYBOARD, Site, WindowHost, page_app, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

    from tests.qt.conftest import World

pytestmark = pytest.mark.usefixtures("patient_user")

URL = f"hyper://{'y' * 52}/"
RESULT = {"url": URL, "root": URL, "bytes": 2_000, "files": 2, "skipped": 1}


@pytest.fixture
def host(world: Callable[..., World], tmp_path: Path) -> WindowHost:
    return WindowHost(world(peersky=page_app, hyper=page_app), tmp_path)


@pytest.fixture
def window(host: WindowHost) -> Iterator[BrowserWindow]:
    browser = Browser(host)
    yield browser.new_window("peersky://home/")
    browser.dispose()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "my <b>site"
    folder.mkdir()
    (folder / "a&b.html").write_text("<title>mine</title>")
    return folder


def dialog() -> PublishDialog:
    return next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, PublishDialog))


def show_file(window: BrowserWindow, path: Path) -> None:
    assert window.tab is not None
    tab = window.tab
    window.go_to(str(path))
    until(lambda: QUrl(tab.committed_address).toLocalFile().rstrip("/") == str(path) and not tab.loading, "the file")


async def two_steps() -> AsyncGenerator[dict[str, Any], None]:
    yield {"done": 1_000, "total": 2_000, "files": 1, "totalFiles": 2, "file": "a&b.html"}
    yield RESULT


def test_the_file_and_the_folder_of_the_tab_are_offered(window: BrowserWindow, site: Path, host: WindowHost) -> None:
    window.commands.publish_file()
    assert dialog().path.text() == ""
    assert not dialog().publish_button.isEnabled()
    dialog().close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    show_file(window, site / "a&b.html")
    window._open_menu()
    labels = [window.actions_by_name[f"publish_{what}"].text() for what in ("file", "folder")]
    assert labels == ["Publish this f&ile…", "Publish this folde&r…"]
    window.menu.close()
    window.commands.publish_folder()
    assert dialog().wanted == Wanted(str(site), "hyper", "my <b>site")
    dialog().ways["ipfs"].setChecked(True)
    dialog().name.setText(" blog ")
    assert dialog().wanted == Wanted(str(site), "ipfs", "blog")


def test_what_is_published_can_be_opened_and_its_link_is_on_the_clipboard(
    window: BrowserWindow, site: Path, host: WindowHost
) -> None:
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    clipboard.setText("before")
    host.publication = two_steps
    show_file(window, site / "a&b.html")
    window.commands.publish_file()
    shown = dialog()
    KEYBOARD.keyClick(shown.publish_button, Qt.Key.Key_Space)
    until(lambda: shown.pages.currentIndex() == 2, "the result")
    assert host.wanted == [Wanted(str(site / "a&b.html"), "hyper", "a&b.html")]
    assert clipboard.text() == shown.link.line.text() == URL
    assert shown.summary.text() == "Published 2 files (2.0 kB). 1 link was left out."
    assert not shown.link.code.pixmap().isNull()
    KEYBOARD.keyClick(shown.open_button, Qt.Key.Key_Space)
    until(lambda: window.tab is not None and window.tab.committed_address == URL, "the page")


def test_a_download_can_be_published(window: BrowserWindow, host: WindowHost) -> None:
    web = Site({"/file.bin": "x" * 50})
    try:
        window.go_to(web.url("/file.bin"))
        until(lambda: window.downloads.rows and not window.downloads.rows[0].is_running, "the download")
    finally:
        web.close()
    row = window.downloads.rows[0]
    until(row.publish.isVisible, "the button")
    KEYBOARD.keyClick(row.publish, Qt.Key.Key_Space)
    assert dialog().wanted == Wanted(f"{host.profile.downloadPath()}/file.bin", "hyper", "file.bin")


def test_progress_then_cancel_then_again(window: BrowserWindow, site: Path, host: WindowHost) -> None:
    ended: list[str] = []

    async def endless() -> AsyncGenerator[dict[str, Any], None]:
        try:
            yield {"done": 500, "total": 2_000, "files": 1, "totalFiles": 2, "file": "<b>x"}
            await asyncio.Event().wait()
        finally:
            ended.append("closed")

    host.publication = endless
    window.commands.publish_folder()
    shown = dialog()
    shown.choose(str(site))
    shown.publish()
    until(lambda: shown.bar.value() == 250, "progress")
    assert (shown.amount.text(), shown.file.text()) == ("500 bytes of 2.0 kB · 1 of 2 files", "<b>x")
    KEYBOARD.keyClick(shown.cancel_button, Qt.Key.Key_Space)
    until(lambda: ended, "the publication is closed")
    assert (shown.pages.currentIndex(), shown.error.text()) == (0, "Cancelled; nothing was published.")
    host.publication = two_steps
    shown.publish()
    until(lambda: shown.pages.currentIndex() == 2, "the result")


@pytest.mark.parametrize("how", ["Escape", "the window is closed"])
def test_closing_cancels(window: BrowserWindow, site: Path, host: WindowHost, how: str) -> None:
    begun, ended = [], []

    async def endless() -> AsyncGenerator[dict[str, Any], None]:
        try:
            begun.append(1)
            while True:
                yield {"done": 0, "total": 0}
                await asyncio.sleep(0.01)
        finally:
            ended.append(1)

    host.publication = endless
    other = window.browser.new_window("peersky://home/")
    other.commands.publish_folder()
    dialog().choose(str(site))
    dialog().publish()
    until(lambda: begun, "it runs")
    if how == "Escape":
        KEYBOARD.keyClick(dialog(), Qt.Key.Key_Escape)
    else:
        other.browser.forget(other)
    until(lambda: ended, "it is cancelled")


def test_an_error_is_said_and_the_form_stays(window: BrowserWindow, site: Path, host: WindowHost) -> None:
    async def full() -> AsyncGenerator[dict[str, Any], None]:
        yield {"done": 1, "total": 2}
        raise QuotaExceeded("The disk is full; free some space and try again.", reason="disk_full")

    host.publication = full
    window.commands.publish_folder()
    shown = dialog()
    shown.choose(str(site))
    shown.publish()
    until(lambda: shown.pages.currentIndex() == 0, "the form")
    assert shown.error.text() == "The disk is full; free some space and try again."
    assert shown.path.text() == str(site)
    shown.choose(str(site / "gone"))
    shown.publish()
    assert shown.error.text() == f"There is no {site / 'gone'}."


def test_a_publication_that_only_ends_is_no_success(window: BrowserWindow, site: Path) -> None:
    window.commands.publish_folder()
    shown = dialog()
    shown.choose(str(site))
    shown.publish()
    until(shown.error.text, "the sentence")
    assert "stopped before everything was published" in shown.error.text()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({}, "0 bytes"),
        ({"done": 5, "total": 10, "files": 0, "totalFiles": 1}, "5 bytes of 10 bytes"),
        (
            {"done": 1_500_000, "total": 2e9, "files": 1_234, "totalFiles": 10_000},
            "1.5 MB of 2.0 GB · 1,234 of 10,000 files",
        ),
    ],
)
def test_progress_in_words(line: dict[str, Any], text: str) -> None:
    assert progress_text(line) == text


def test_the_result_in_words() -> None:
    assert result_text({"files": 1, "bytes": 3}) == "Published 1 file (3 bytes)."
    assert result_text({"files": 0, "bytes": 0, "skipped": 2}).endswith("2 links or special files were left out.")


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_every_module_of_a_code_is_of_whole_pixels(qt_application: QApplication, ratio: float) -> None:
    """Compared with the code's own modules, as the library gives them without drawing."""
    modules = [list(row) for row in segno.make_qr(URL, error="m", boost_error=False).matrix_iter(border=4)]
    image = qr_pixmap(URL, ratio).toImage()
    scale = image.width() // len(modules)
    assert image.width() == scale * len(modules)
    seen = {
        (column // scale, row // scale, image.pixelColor(column, row).name())
        for row in range(image.height())
        for column in range(image.width())
    }
    assert seen == {
        (x, y, "#000000" if dark else "#ffffff") for y, row in enumerate(modules) for x, dark in enumerate(row)
    }


def test_a_p2p_page_shows_its_link(window: BrowserWindow) -> None:
    assert not window.address.link_button.isVisible()
    window.go_to(URL + "a")
    until(window.address.link_button.isVisible, "the sign")
    window._open_link_panel()
    panel = QApplication.activePopupWidget()
    assert panel is not None
    entries = {action.text(): action for action in panel.actions()}
    entries["&Copy the link"].trigger()
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == URL + "a"
    entries["Show as &QR code…"].trigger()
    panel.close()
    shown = next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, LinkDialog))
    assert shown.box.line.text() == URL + "a"
    assert shown.box.code.accessibleName() == "QR code of the link"
    shown.close()
