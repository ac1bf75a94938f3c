"""Downloads of models at the foot of the window, while other pages are used: a row each, until it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from peersky.core.sizes import size_text
from peersky.qt.icons import IconButton, text_icon

if TYPE_CHECKING:
    from peersky.llm.downloads import Download

_RUNNING: Final = frozenset({"queued", "running", "verifying"})
_PERMILLE: Final = 1000


def time_text(seconds: float) -> str:
    """A time that is left, for people: 40 s, 3 min, 1 h 5 min."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def download_text(download: Download) -> str:
    """How far a download is, in one line."""
    model = download.model
    if download.state == "failed":
        return f"{model} was not downloaded: {download.message}"
    if download.interrupted and download.state == "paused":
        return f"The download of {model} was interrupted when PeerSky closed"
    parts = [
        {"paused": f"Paused: {model}", "verifying": f"Checking {model}"}.get(download.state, f"Downloading {model}")
    ]
    if download.percent is not None:
        parts.append(f"{int(download.percent)} %")
    if download.total_bytes:
        parts.append(f"{size_text(download.completed_bytes)} of {size_text(download.total_bytes)}")
    if download.state == "running" and download.bytes_per_second:
        parts.append(f"{size_text(round(download.bytes_per_second))}/s")
    if download.state == "running" and download.seconds_left is not None:
        parts.append(f"{time_text(download.seconds_left)} left")
    return " · ".join(parts)


class ModelDownloadRow(QFrame):
    """One download. Its buttons ask for a step; what comes of it is shown when it is told."""

    step = pyqtSignal(str)
    """``pause``, ``resume`` or ``cancel``."""
    hidden_by_user = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        icon = QLabel(self)
        icon.setPixmap(text_icon("model", self).pixmap(20, 20))
        self.label = QLabel(self)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        # A long sentence must not widen the window.
        self.label.setWordWrap(True)
        self.bar = QProgressBar(self)
        self.bar.setMaximumWidth(200)
        self.bar.setTextVisible(False)
        self.buttons = {
            "pause": QPushButton("Pause", self),
            "resume": QPushButton("Resume", self),
            "cancel": QPushButton("Cancel", self),
        }
        self.close_button = IconButton("close", "Hide; the download goes on", self, size=16)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 4, 8, 4)
        layout.addWidget(icon)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.bar)
        for name, button in self.buttons.items():
            button.clicked.connect(lambda _checked, name=name: self.step.emit(name))
            layout.addWidget(button)
        layout.addWidget(self.close_button)
        self.close_button.clicked.connect(self.hidden_by_user)

    def show_download(self, download: Download) -> None:
        """Take the state of the download."""
        text = download_text(download)
        running = download.state in _RUNNING
        self.label.setText(text)
        self.label.setToolTip(text)
        self.setAccessibleName(text)
        self.bar.setVisible(download.state != "failed")
        self.bar.setAccessibleName(f"Download of {download.model}")
        known = download.percent is not None
        self.bar.setRange(0, _PERMILLE if known or not running else 0)
        self.bar.setValue(round((download.percent or 0) * _PERMILLE / 100))
        self.buttons["pause"].setVisible(running)
        self.buttons["resume"].setVisible(not running)
        self.buttons["resume"].setText("Try again" if download.state == "failed" else "Resume")
        self.buttons["cancel"].setText("Remove" if download.state == "failed" else "Cancel")
        for button in self.buttons.values():
            button.setAccessibleName(f"{button.text()}: {download.model}")


class ModelDownloadsBar(QFrame):
    """The rows; hidden while there is none."""

    step = pyqtSignal(str, str)
    """What the user wants (``pause``, ``resume``, ``cancel``) and the id of the download."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("downloads")
        self.setAccessibleName("Downloads of models")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 2, 0, 2)
        self._layout.setSpacing(0)
        self.rows: dict[str, ModelDownloadRow] = {}
        self._hidden: set[str] = set()
        self.hide()

    def show_download(self, download: Download) -> None:
        """Add, change or take away the row of a download."""
        if download.state in ("done", "removed"):
            self._hidden.discard(download.id)
            self._remove(download.id)
            return
        if download.state == "failed":
            # Who hid the progress has not seen the end.
            self._hidden.discard(download.id)
        if download.id in self._hidden:
            return
        row = self.rows.get(download.id)
        if row is None:
            row = ModelDownloadRow(self)
            row.step.connect(lambda name: self.step.emit(name, download.id))
            row.hidden_by_user.connect(lambda: self._hide(download.id))
            self.rows[download.id] = row
            self._layout.addWidget(row)
        row.show_download(download)
        self.show()

    def _hide(self, download_id: str) -> None:
        self._hidden.add(download_id)
        self._remove(download_id)

    def _remove(self, download_id: str) -> None:
        row = self.rows.pop(download_id, None)
        if row is not None:
            row.hide()
            row.deleteLater()
        self.setVisible(bool(self.rows))
