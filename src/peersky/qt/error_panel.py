"""What stands in the place of a page that did not load: a sentence, advice, and a button that tries again.

A widget and not a page: nothing from the failed site is in it, the history keeps the failed address, and reload works.
"""

from __future__ import annotations

from PyQt6.QtCore import QEvent, Qt, pyqtSignal
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from peersky.core.load_errors import LoadError
from peersky.qt.icons import text_icon


class ErrorPanel(QFrame):
    """Shows one :class:`~peersky.core.load_errors.LoadError`."""

    retry = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("errorPanel")
        self._icon = QLabel(self)
        self.title = self._label("errorTitle")
        self.sentence = self._label("errorSentence")
        self.advice = self._label("errorHint")
        self.code = self._label("errorCode")
        self.retry_button = QPushButton("Try again", self)
        self.retry_button.setProperty("primary", True)
        self.retry_button.setAutoDefault(True)
        self.retry_button.clicked.connect(self.retry)
        column = QVBoxLayout()
        column.setSpacing(12)
        for widget in (self._icon, self.title, self.sentence, self.advice):
            column.addWidget(widget)
        row = QHBoxLayout()
        row.addWidget(self.retry_button)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(self.code)
        inner = QWidget(self)
        inner.setMaximumWidth(620)
        inner.setLayout(column)
        across = QHBoxLayout()
        across.addStretch(1)
        across.addWidget(inner, 8)
        across.addStretch(1)
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        outer.addLayout(across)
        outer.addStretch(3)

    def _label(self, name: str) -> QLabel:
        label = QLabel(self)
        label.setObjectName(name)
        label.setWordWrap(True)
        # The text holds the name of the site: it must not become markup.
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        return label

    def explain(self, error: LoadError) -> None:
        """Show an error."""
        self.title.setText(error.title)
        self.sentence.setText(error.sentence)
        self.advice.setText(error.advice)
        self.code.setText(error.code)
        self.code.setVisible(bool(error.code))
        self.setAccessibleName(f"{error.title}. {error.sentence} {error.advice}")
        self._paint_icon()

    def _paint_icon(self) -> None:
        self._icon.setPixmap(text_icon("error", self).pixmap(48, 48))

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._paint_icon()
