"""Find in page: the words, how many there are, next and previous."""

from __future__ import annotations

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWebEngineCore import QWebEngineFindTextResult, QWebEnginePage
from PyQt6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLabel, QLineEdit, QWidget

from peersky.qt.icons import IconButton

_Flag = QWebEnginePage.FindFlag


class FindBar(QFrame):
    """Searches the page of its tab."""

    opened = pyqtSignal()
    closed = pyqtSignal()

    def __init__(self, page: QWebEnginePage, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("findBar")
        self.setAccessibleName("Find in page")
        self._page = page
        self.edit = QLineEdit(self)
        self.edit.setPlaceholderText("Find in page")
        self.edit.setAccessibleName("Find in page")
        self.edit.setMaximumWidth(320)
        self.count = QLabel("", self)
        self.count.setAccessibleName("Matches")
        self.count.setMinimumWidth(90)
        self.case = QCheckBox("Match &case", self)
        self.previous = IconButton("up", "Previous match", self, hint="Previous match (Shift+Enter)", size=16)
        self.next = IconButton("down", "Next match", self, hint="Next match (Enter)", size=16)
        close = IconButton("close", "Close find", self, hint="Close (Esc)", size=16)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(10, 5, 8, 5)
        for widget in (self.edit, self.previous, self.next, self.count, self.case):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addWidget(close)
        self.edit.textChanged.connect(self._search_on)
        self.case.toggled.connect(self._search_on)
        self.previous.clicked.connect(lambda: self.search(backward=True))
        self.next.clicked.connect(self._search_on)
        close.clicked.connect(self.close_bar)
        page.findTextFinished.connect(self._show_result)
        self.hide()

    def open(self) -> None:
        """Show the bar with the words selected, ready to type over."""
        self.show()
        self.opened.emit()
        self.edit.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.edit.selectAll()
        if self.edit.text():
            self.search()

    def close_bar(self) -> None:
        """Hide the bar and unmark the matches."""
        if not self.isHidden():
            self._page.findText("")
            self.hide()
            self.closed.emit()

    def search(self, *, backward: bool = False) -> None:
        """Go to the next match, or the one before."""
        flags = QWebEnginePage.FindFlag(0)
        if backward:
            flags |= _Flag.FindBackward
        if self.case.isChecked():
            flags |= _Flag.FindCaseSensitively
        self._page.findText(self.edit.text(), flags)

    def refresh(self) -> None:
        """Another page stands in the tab: mark its matches, if the bar is open."""
        if not self.isHidden() and self.edit.text():
            self.search()

    def _search_on(self) -> None:
        self.search()

    def _show_result(self, result: QWebEngineFindTextResult) -> None:
        total, active = result.numberOfMatches(), result.activeMatch()
        if not self.edit.text():
            self.count.setText("")
        elif total == 0:
            self.count.setText("No match")
        else:
            self.count.setText(f"{active} of {total}")
        for button in (self.previous, self.next):
            button.setEnabled(total > 0)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        match event.key() if event is not None else None:
            case Qt.Key.Key_Escape:
                self.close_bar()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if event is not None:
                self.search(backward=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
            case _:
                super().keyPressEvent(event)
