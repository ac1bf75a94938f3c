"""A peer-to-peer link as text and as QR code, for people and telephones that are to open it."""

from __future__ import annotations

from typing import Final

from PyQt6.QtCore import QByteArray, QRectF, Qt
from PyQt6.QtGui import QPainter, QPixmap
from PyQt6.QtSvg import QSvgRenderer
from PyQt6.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from peersky.core.errors import PeerSkyError
from peersky.qt.answer_guard import AnswerGuard
from peersky.qt.menus import copy_text
from peersky.web.qr import qr_svg

QR_SIZE: Final = 232
"""About how wide a code is shown, in pixels."""

REACH: Final = (
    "Everybody who has this link can open it in a peer-to-peer browser while somebody who has the pages is online."
)


class LinkBox(QWidget):
    """The link in a line that can be selected, a button that copies it, and its QR code."""

    def __init__(self, url: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit(self)
        self.line.setReadOnly(True)
        self.line.setAccessibleName("Link")
        self.copy_button = QPushButton("Copy link", self)
        self.copy_button.clicked.connect(self._copy)
        self.code = QLabel(self)
        self.code.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.code.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.copy_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addLayout(row)
        layout.addWidget(self.code)
        self.show_link(url)

    def show_link(self, url: str) -> None:
        """Take a link."""
        self.line.setText(url)
        self.line.setCursorPosition(0)
        if not url:
            return
        try:
            pixmap = qr_pixmap(url, self.devicePixelRatioF())
            self.code.setPixmap(pixmap)
            self.code.setAccessibleName("QR code of the link")
            # A label that may wrap gives its height away, and half a code cannot be read.
            self.code.setMinimumHeight(round(pixmap.deviceIndependentSize().height()))
        except PeerSkyError as error:
            self.code.setText(error.message)

    def _copy(self) -> None:
        copy_text(self.line.text())
        self.copy_button.setText("Copied")


class LinkDialog(QDialog):
    """Shows one link."""

    def __init__(self, url: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Link to this page")
        self.setAccessibleDescription(REACH)
        self.setMinimumWidth(460)
        self.finished.connect(self.deleteLater)
        reach = QLabel(REACH, self)
        reach.setWordWrap(True)
        self.box = LinkBox(url, self)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        for widget in (reach, self.box, buttons):
            layout.addWidget(widget)
        AnswerGuard(self, self.box.copy_button, *buttons.buttons())


def qr_pixmap(text: str, ratio: float) -> QPixmap:
    """The QR code of a text, dark on white in every colour scheme.

    Args:
        ratio: device pixels per pixel.

    Raises:
        NotSupported: the text is too long for one.
    """
    image = QSvgRenderer(QByteArray(qr_svg(text)))
    modules = image.viewBox().width()
    # Whole pixels for each module: between pixels, rows would part.
    side = modules * max(1, round(QR_SIZE * ratio / modules))
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.white)
    painter = QPainter(pixmap)
    image.render(painter, QRectF(0, 0, side, side))
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
