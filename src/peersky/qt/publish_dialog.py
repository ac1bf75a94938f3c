"""Publish a file or folder: what, where to and under which name; then how far it is; then its link."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from peersky.core.sizes import size_text
from peersky.qt.answer_guard import AnswerGuard
from peersky.qt.link_dialog import REACH, LinkBox
from peersky.qt.menus import copy_text
from peersky.qt.publishing import Publishing, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.p2p.publisher import Network

_PERMILLE: Final = 1000
_WAYS: Final[dict[Network, str]] = {
    "hyper": "&Hyper: a drive of yours. Publishing under the same name again changes it, and the link stays.",
    "ipfs": "&IPFS: fixed for ever. The link stands for exactly these files; changed files get another link.",
}
_PUBLIC: Final = "Published files are public. Others may keep copies, also after you stop sharing them."


class PublishDialog(QDialog):
    """Three steps in one window that blocks nothing: form, progress, result.

    Args:
        start: makes the publication, not yet started.
        path: what is published, if that is known already; else empty.
        folder: whether it is a folder.
    """

    open_wanted = pyqtSignal(str)
    """The user wants to see what was published at this address."""

    def __init__(
        self, start: Callable[[Wanted], Publishing], path: str, parent: QWidget | None = None, *, folder: bool = False
    ) -> None:
        super().__init__(parent)
        self._start = start
        self._job: Publishing | None = None
        self.setWindowTitle("Publish a folder" if folder else "Publish a file")
        self.setModal(False)
        self.setMinimumWidth(520)
        self.finished.connect(self.deleteLater)
        self.pages = QStackedWidget(self)
        for page in (self._form(folder), self._progress(), self._result()):
            self.pages.addWidget(page)
        layout = QVBoxLayout(self)
        layout.addWidget(self.pages)
        AnswerGuard(self, *self.findChildren(QPushButton))
        self.choose(path)

    # The form

    def _form(self, folder: bool) -> QWidget:
        self.path = QLineEdit(self)
        self.path.setAccessibleName("Folder" if folder else "File")
        self.path.setPlaceholderText("Choose what to publish")
        browse = QPushButton("Choose…", self)
        browse.clicked.connect(lambda: self._browse(folder))
        what = QLabel("&Folder" if folder else "&File", self)
        what.setBuddy(self.path)
        row = QHBoxLayout()
        row.addWidget(self.path, 1)
        row.addWidget(browse)
        self.ways = {to: QRadioButton(words.partition(":")[0], self) for to, words in _WAYS.items()}
        self.ways["hyper"].setChecked(True)
        self.name = QLineEdit(self)
        self.name.setMaxLength(64)
        name = QLabel("&Name", self)
        name.setBuddy(self.name)
        self.error = _words("", self)
        self.error.setObjectName("publishError")
        self.error.hide()
        self.publish_button = _primary("Publish", self)
        self.publish_button.clicked.connect(self.publish)
        self.path.textChanged.connect(self._on_path)
        cancel = QPushButton("Cancel", self)
        cancel.clicked.connect(self.close)
        page, layout = _page(self)
        layout.addWidget(what)
        layout.addLayout(row)
        for to, button in self.ways.items():
            words = _WAYS[to].partition(": ")[2]
            words = words[0].upper() + words[1:]
            button.setAccessibleDescription(words)
            note = _words(words, self)
            note.setObjectName("publishHint")
            note.setIndent(26)
            layout.addWidget(button)
            layout.addWidget(note)
        for widget in (name, self.name, _words(_PUBLIC, self), self.error):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(_buttons(cancel, self.publish_button))
        return page

    def _browse(self, folder: bool) -> None:
        start = self.path.text() or str(Path.home())
        if folder:
            chosen = QFileDialog.getExistingDirectory(self, "Publish a folder", start)
        else:
            chosen = QFileDialog.getOpenFileName(self, "Publish a file", start)[0]
        if chosen:
            self.choose(chosen)

    def choose(self, path: str) -> None:
        """Take a file or folder; its name is the one suggested."""
        self.path.setText(path)
        self._on_path(path)
        if path:
            self.name.setText(Path(path).name[:64])
            self.publish_button.setFocus()

    def _on_path(self, path: str) -> None:
        self.publish_button.setEnabled(bool(path.strip()))

    @property
    def wanted(self) -> Wanted:
        """What the form says."""
        to = next(to for to, button in self.ways.items() if button.isChecked())
        path = Path(self.path.text().strip()).expanduser().absolute()
        return Wanted(str(path), to, self.name.text().strip() or path.name)

    # Progress

    def _progress(self) -> QWidget:
        self.heading = _words("", self)
        self.heading.setObjectName("publishHeading")
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of publishing")
        self.amount = _words("", self)
        self.file = QLabel(self)
        self.file.setTextFormat(Qt.TextFormat.PlainText)
        self.file.setObjectName("publishHint")
        self.cancel_button = QPushButton("Cancel", self)
        self.cancel_button.clicked.connect(self.cancel)
        page, layout = _page(self)
        for widget in (self.heading, self.bar, self.amount, self.file):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(_buttons(self.cancel_button))
        return page

    def publish(self) -> None:
        """Start what the form says."""
        wanted = self.wanted
        if not Path(wanted.path).exists():
            self._back(f"There is no {wanted.path}.")
            return
        self.heading.setText(f"Publishing {wanted.name}")
        self.amount.setText("Starting…")
        self.file.clear()
        self.bar.setRange(0, 0)
        self.pages.setCurrentIndex(1)
        self.cancel_button.setFocus()
        job = self._job = self._start(wanted)
        job.progressed.connect(self._on_progress)
        job.published.connect(self._on_published)
        job.failed.connect(self._on_failed)
        # The window may be closed with the dialog in it, which tells the dialog nothing.
        self.destroyed.connect(job.cancel)
        job.start()

    @property
    def _is_stale(self) -> bool:
        """Whether the signal that arrives now is of a publication that was cancelled meanwhile."""
        return self.sender() is not self._job

    def _on_progress(self, line: dict[str, Any]) -> None:
        if self._is_stale:
            return
        self.amount.setText(progress_text(line))
        name = self.file.fontMetrics().elidedText(str(line.get("file", "")), Qt.TextElideMode.ElideMiddle, 480)
        self.file.setText(name)
        total = line.get("total") or 0
        self.bar.setRange(0, _PERMILLE if total else 0)
        self.bar.setValue(round(_PERMILLE * min(1, line.get("done", 0) / total)) if total else 0)

    def cancel(self) -> None:
        """Stop the publication and show the form again."""
        if self._job is not None:
            self._job.cancel()
            self._back("Cancelled; nothing was published.")

    def _on_failed(self, sentence: str) -> None:
        if not self._is_stale:
            self._back(sentence)

    def _back(self, sentence: str) -> None:
        self._job = None
        self.error.setText(sentence)
        self.error.show()
        self.setAccessibleDescription(sentence)
        self.publish_button.setText("Try again")
        self.pages.setCurrentIndex(0)
        self.publish_button.setFocus()

    # The result

    def _result(self) -> QWidget:
        self.summary = _words("", self)
        self.summary.setObjectName("publishHeading")
        self.link = LinkBox("", self)
        self.open_button = _primary("Open", self)
        self.open_button.clicked.connect(self._open)
        close = QPushButton("Close", self)
        close.clicked.connect(self.close)
        page, layout = _page(self)
        for widget in (self.summary, _words(f"Its link is on the clipboard. {REACH}", self), self.link):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(_buttons(close, self.open_button))
        return page

    def _on_published(self, result: dict[str, Any]) -> None:
        if self._is_stale:
            return
        self._job = None
        url = str(result["url"])
        copy_text(url)
        self.summary.setText(result_text(result))
        self.setAccessibleDescription(self.summary.text())
        self.link.show_link(url)
        self.pages.setCurrentIndex(2)
        self.open_button.setFocus()

    def _open(self) -> None:
        self.open_wanted.emit(self.link.line.text())
        self.close()

    def reject(self) -> None:
        # However the dialog is closed, Qt comes here.
        if self._job is not None:
            self._job.cancel()
            self._job = None
        super().reject()


def progress_text(line: dict[str, Any]) -> str:
    """How far a publication is, in one line."""
    done, total = line.get("done", 0), line.get("total") or 0
    parts = [f"{size_text(done)} of {size_text(total)}" if total else size_text(done)]
    if (line.get("totalFiles") or 0) > 1:
        parts.append(f"{line.get('files', 0):,} of {line['totalFiles']:,} files")
    return " · ".join(parts)


def result_text(result: dict[str, Any]) -> str:
    """What was published, in one or two sentences."""
    files, skipped = result.get("files", 0), result.get("skipped") or 0
    text = f"Published {files:,} file{'' if files == 1 else 's'} ({size_text(result.get('bytes', 0))})."
    if skipped:
        text += f" {skipped:,} link{' was' if skipped == 1 else 's or special files were'} left out."
    return text


def _page(parent: QWidget) -> tuple[QWidget, QVBoxLayout]:
    page = QWidget(parent)
    layout = QVBoxLayout(page)
    layout.setContentsMargins(4, 4, 4, 4)
    layout.setSpacing(8)
    return page, layout


def _words(text: str, parent: QWidget) -> QLabel:
    """Text that wraps; names of files in it must not become markup."""
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label


def _primary(text: str, parent: QWidget) -> QPushButton:
    button = QPushButton(text, parent)
    button.setProperty("primary", True)
    button.setDefault(True)
    return button


def _buttons(*buttons: QPushButton) -> QHBoxLayout:
    row = QHBoxLayout()
    row.addStretch(1)
    for button in buttons:
        row.addWidget(button)
    return row
