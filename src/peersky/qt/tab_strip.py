"""The row of tabs."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QIcon, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from PyQt6.QtWidgets import QHBoxLayout, QTabBar, QWidget

from peersky.qt.icons import IconButton, text_icon


class _Bar(QTabBar):
    """Middle click closes a tab, a double click beside the tabs opens one."""

    empty_double_clicked = pyqtSignal()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        if self.hasFocus():
            # The style sheet cannot say where the keyboard is.
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 2))
            painter.drawRoundedRect(self.tabRect(self.currentIndex()).adjusted(3, 2, -3, -2), 6, 6)
            painter.end()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and event.button() == Qt.MouseButton.MiddleButton:
            index = self.tabAt(event.position().toPoint())
            if index >= 0:
                self.tabCloseRequested.emit(index)
            return
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and self.tabAt(event.position().toPoint()) < 0:
            self.empty_double_clicked.emit()
            return
        super().mouseDoubleClickEvent(event)


class TabStrip(QWidget):
    """Tabs by position. Knows titles and icons, not pages."""

    selected = pyqtSignal(int)
    close_wanted = pyqtSignal(int)
    moved = pyqtSignal(int, int)
    new_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("tabRow")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.bar = _Bar(self)
        self.bar.setAccessibleName("Tabs")
        self.bar.setExpanding(False)
        self.bar.setMovable(True)
        self.bar.setDrawBase(False)
        self.bar.setUsesScrollButtons(True)
        self.bar.setElideMode(Qt.TextElideMode.ElideRight)
        self.bar.setIconSize(QSize(16, 16))
        self.bar.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.bar.setSelectionBehaviorOnRemove(QTabBar.SelectionBehavior.SelectPreviousTab)
        self.bar.currentChanged.connect(self.selected)
        self.bar.tabCloseRequested.connect(self.close_wanted)
        self.bar.tabMoved.connect(self.moved)
        self.bar.empty_double_clicked.connect(self.new_wanted)
        self.plus = IconButton("plus", "New tab", self, hint="New tab (Ctrl+T)", size=16)
        self.plus.clicked.connect(self.new_wanted)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 0)
        layout.setSpacing(4)
        layout.addWidget(self.bar)
        layout.addWidget(self.plus)
        layout.addStretch(1)

    def insert(self, index: int, title: str) -> None:
        """Add a tab at a position."""
        self.bar.insertTab(index, title)
        close = IconButton("close", "", self.bar, size=12)
        close.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        close.setStyleSheet("padding: 2px;")
        close.clicked.connect(lambda: self._close_by_button(close))
        self.bar.setTabButton(index, QTabBar.ButtonPosition.RightSide, close)
        self.show_tab(index, title, QIcon())

    def _close_by_button(self, button: QWidget) -> None:
        # Tabs move: the button finds its tab when it is pressed.
        for index in range(self.bar.count()):
            if self.bar.tabButton(index, QTabBar.ButtonPosition.RightSide) is button:
                self.close_wanted.emit(index)
                return

    def show_tab(self, index: int, title: str, icon: QIcon) -> None:
        """Show title and icon of a tab."""
        # A single & would underline the letter after it.
        self.bar.setTabText(index, title[:200].replace("&", "&&"))
        self.bar.setTabToolTip(index, title[:400])
        self.bar.setAccessibleTabName(index, title[:200])
        self.bar.setTabIcon(index, text_icon("page", self) if icon.isNull() else icon)
        button = self.bar.tabButton(index, QTabBar.ButtonPosition.RightSide)
        if isinstance(button, IconButton):
            button.setAccessibleName(f"Close tab {title[:80]}")
            button.setToolTip("Close tab (Ctrl+W)")

    def remove(self, index: int) -> None:
        self.bar.removeTab(index)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            for button in self.findChildren(IconButton):
                button.update()
