"""Downloads: a row each at the foot of the window, with progress, cancel, and where the file is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt, QUrl, pyqtSignal
from PyQt6.QtGui import QDesktopServices
from PyQt6.QtWebEngineCore import QWebEngineDownloadRequest
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from peersky.core.download_names import file_name
from peersky.core.sizes import size_text
from peersky.qt.icons import IconButton, text_icon

if TYPE_CHECKING:
    from collections.abc import Callable

_State = QWebEngineDownloadRequest.DownloadState
_Reason = QWebEngineDownloadRequest.DownloadInterruptReason
_WHY: Final = {
    _Reason.FileNoSpace: "the disk is full",
    _Reason.FileAccessDenied: "the folder cannot be written to",
    _Reason.FileNameTooLong: "the file's name is too long",
    _Reason.FileTooLarge: "the file is too large for this disk",
    _Reason.NetworkDisconnected: "the network connection was lost",
    _Reason.NetworkTimeout: "the site stopped answering",
    _Reason.ServerForbidden: "the site does not allow it",
    _Reason.ServerUnauthorized: "the site asks you to sign in first",
    _Reason.ServerBadContent: "the site no longer has the file",
}
_MAX_ROWS: Final = 5


class DownloadRow(QFrame):
    """One download."""

    finished = pyqtSignal()
    closed = pyqtSignal()
    publish_wanted = pyqtSignal(str)
    """The user wants to publish the file with this path."""

    def __init__(self, request: QWebEngineDownloadRequest, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.request = request
        self._icon = QLabel(self)
        self._icon.setPixmap(text_icon("download", self).pixmap(20, 20))
        self.label = QLabel(self)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.bar = QProgressBar(self)
        self.bar.setMaximumWidth(200)
        self.bar.setTextVisible(False)
        self.cancel = QPushButton("Cancel", self)
        self.again = QPushButton("Try again", self)
        self.folder = QPushButton("Show folder", self)
        self.publish = QPushButton("Publish…", self)
        self.close_button = IconButton("close", "Remove from this list", self, size=16)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 4, 8, 4)
        layout.addWidget(self._icon)
        layout.addWidget(self.label, 1)
        for widget in (self.bar, self.cancel, self.again, self.publish, self.folder, self.close_button):
            layout.addWidget(widget)
        self.cancel.clicked.connect(self._cancel)
        self.again.clicked.connect(self._resume)
        self.folder.clicked.connect(self._show_folder)
        self.publish.clicked.connect(lambda: self.publish_wanted.emit(str(self.path)))
        self.close_button.clicked.connect(self.closed)
        request.receivedBytesChanged.connect(self._show)
        request.totalBytesChanged.connect(self._show)
        request.stateChanged.connect(lambda _state: self._show())
        request.isFinishedChanged.connect(self.finished)
        self._show()

    @property
    def path(self) -> Path:
        """Where the file is kept."""
        return Path(self.request.downloadDirectory()) / self.request.downloadFileName()

    @property
    def is_running(self) -> bool:
        return self.request.state() in (_State.DownloadRequested, _State.DownloadInProgress)

    def _show(self) -> None:
        request, name = self.request, self.request.downloadFileName()
        state, received, total = request.state(), request.receivedBytes(), request.totalBytes()
        running = self.is_running
        match state:
            case _State.DownloadCompleted:
                text = f"Saved {name} ({size_text(received)}) in {request.downloadDirectory()}"
            case _State.DownloadCancelled:
                text = f"Cancelled {name}"
            case _State.DownloadInterrupted:
                why = _WHY.get(request.interruptReason(), "the connection broke")
                text = f"{name} was not saved: {why}"
            case _:
                amount = f"{size_text(received)} of {size_text(total)}" if total > 0 else size_text(received)
                text = f"Saving {name}: {amount}"
        self.label.setText(text)
        self.label.setToolTip(text)
        self.setAccessibleName(text)
        self.bar.setVisible(running)
        self.bar.setRange(0, 100 if total > 0 else 0)
        if total > 0:
            self.bar.setValue(min(100, received * 100 // total))
        self.bar.setAccessibleName(f"Progress of {name}")
        for button, label, shown in (
            (self.cancel, f"Cancel saving {name}", running),
            (self.again, f"Try saving {name} again", state == _State.DownloadInterrupted),
            (self.publish, f"Publish {name}", state == _State.DownloadCompleted),
            (self.folder, f"Show the folder of {name}", state == _State.DownloadCompleted),
            (self.close_button, f"Remove {name} from this list", not running),
        ):
            button.setAccessibleName(label)
            button.setVisible(shown)

    def _cancel(self) -> None:
        self.request.cancel()

    def _resume(self) -> None:
        self.request.resume()

    def _show_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.request.downloadDirectory()))


class DownloadsBar(QFrame):
    """The rows, newest last; hidden while there is none."""

    publish_wanted = pyqtSignal(str)
    """The user wants to publish the file with this path."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("downloads")
        self.setAccessibleName("Downloads")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 2, 0, 2)
        self._layout.setSpacing(0)
        self.rows: list[DownloadRow] = []
        self.hide()

    def add(self, request: QWebEngineDownloadRequest) -> DownloadRow:
        """Show a download that was accepted."""
        row = DownloadRow(request, self)
        row.closed.connect(lambda: self._remove(row))
        row.publish_wanted.connect(self.publish_wanted)
        finished = [old for old in self.rows if not old.is_running]
        for old in finished[: max(0, len(self.rows) + 1 - _MAX_ROWS)]:
            self._remove(old)
        self.rows.append(row)
        self._layout.addWidget(row)
        self.show()
        return row

    def _remove(self, row: DownloadRow) -> None:
        if row in self.rows:
            self.rows.remove(row)
            row.hide()
            row.deleteLater()
            self.setVisible(bool(self.rows))

    @property
    def running(self) -> int:
        """How many are still being saved."""
        return sum(row.is_running for row in self.rows)


def accept(request: QWebEngineDownloadRequest, folder: Path, choose: Callable[[str], str]) -> bool:
    """Start a download into the folder for downloads.

    Args:
        request: as Chromium made it. The folder and the name that it has are not to be trusted: a page that calls its
            file ``../x`` or ``/etc/x`` would have it written there.
        folder: the folder for downloads.
        choose: asks the user for a file when the folder cannot be used; takes the suggested name, returns a path or "".

    Returns:
        Whether it was started.
    """
    suggested = request.suggestedFileName() or request.downloadFileName()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        chosen = choose(file_name(suggested, lambda _: False))
        if not chosen:
            request.cancel()
            return False
        request.setDownloadDirectory(str(Path(chosen).parent))
        request.setDownloadFileName(Path(chosen).name)
    else:
        request.setDownloadDirectory(str(folder))
        request.setDownloadFileName(file_name(suggested, lambda name: os.path.lexists(folder / name)))
    request.accept()
    return True
