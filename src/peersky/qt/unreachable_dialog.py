"""The one-time dialog when Ollama cannot be reached: says so, offers ways out, and blocks nothing."""

from __future__ import annotations

from typing import Final

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPushButton, QVBoxLayout, QWidget

from peersky.qt.answer_guard import AnswerGuard

INSTALL_URL: Final = "https://ollama.com/download"
TITLE: Final = "Ollama cannot be reached"


class UnreachableDialog(QDialog):
    """Three buttons; Escape means "Not now".

    Args:
        sentence: what the page was told.
    """

    builtin_wanted = pyqtSignal()
    install_wanted = pyqtSignal()

    def __init__(self, sentence: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(TITLE)
        self.setModal(False)
        self.finished.connect(self.deleteLater)
        self.setMinimumWidth(420)
        self.setAccessibleName(TITLE)
        self.setAccessibleDescription(sentence)
        heading = QLabel(TITLE, self)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        self.text = QLabel(sentence, self)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        buttons = QDialogButtonBox(self)
        self.builtin = QPushButton("Use the built-in engine", self)
        self.install = QPushButton("Install Ollama", self)
        self.later = QPushButton("Not now", self)
        buttons.addButton(self.builtin, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.install, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.later, QDialogButtonBox.ButtonRole.RejectRole)
        self.builtin.setDefault(True)
        self.builtin.setProperty("primary", True)
        self.builtin.clicked.connect(self.builtin_wanted)
        self.install.clicked.connect(self.install_wanted)
        for button in (self.builtin, self.install, self.later):
            button.clicked.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        for widget in (heading, self.text, buttons):
            layout.addWidget(widget)
        AnswerGuard(self, *buttons.buttons())
