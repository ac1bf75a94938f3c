"""Dialogs that a page or a server asks for: each names who asks, none is answered by accident or opened without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PyQt6 import sip
from PyQt6.QtCore import QObject, Qt, QUrl, pyqtSignal
from PyQt6.QtNetwork import QAuthenticator
from PyQt6.QtWebEngineCore import QWebEnginePage
from PyQt6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from peersky.core.address import Connection, connection_of
from peersky.core.origins import parse_origin
from peersky.qt.answer_guard import AnswerGuard

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TEXT: Final = 4000
# QtWebEngine shows `beforeunload` as a confirm() of its own wording.
_LEAVE: Final = "Are you sure you want to leave this page?"
_Button = QDialogButtonBox.StandardButton


def url_text(url: QUrl) -> str:
    """A URL as encoded text without user name and password."""
    return url.toEncoded(QUrl.UrlFormattingOption.RemoveUserInfo).data().decode("ascii", "replace")


def site_name(url: QUrl) -> str:
    """Who asks, as the user may compare it with the address bar: the whole origin, in ASCII."""
    origin = parse_origin(url_text(url))
    if origin.is_opaque:
        return "A local file" if url.scheme() == "file" else "This page"
    return str(origin)


class Dialog(QDialog):
    """A dialog with a plain text and two buttons.

    Args:
        title: names who asks.
        text: plain text; cut where it is endless.
        yes, no: labels of the buttons; an empty ``no`` leaves that button out.
        enter_is_yes: otherwise Enter means no.
    """

    def __init__(
        self, parent: QWidget, title: str, text: str, yes: str = "OK", no: str = "Cancel", *, enter_is_yes: bool = True
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumWidth(380)
        heading = QLabel(title, self)
        heading.setTextFormat(Qt.TextFormat.PlainText)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        self.text = QLabel(text[:_MAX_TEXT], self)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setMaximumWidth(640)
        self.setAccessibleName(title)
        self.setAccessibleDescription(self.text.text())
        self.form = QFormLayout()
        self.buttons = QDialogButtonBox(self)
        accept = self.buttons.addButton(yes, QDialogButtonBox.ButtonRole.AcceptRole)
        reject = self.buttons.addButton(no, QDialogButtonBox.ButtonRole.RejectRole) if no else None
        default = accept if enter_is_yes else reject
        if default is not None:
            default.setDefault(True)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        for widget in (heading, self.text):
            layout.addWidget(widget)
        layout.addLayout(self.form)
        layout.addWidget(self.buttons)
        AnswerGuard(self, *self.buttons.buttons())

    def ask(self) -> bool:
        """Show the dialog and wait. False also when the tab went away meanwhile."""
        accepted = self.exec() == QDialog.DialogCode.Accepted
        return accepted and not sip.isdeleted(self)


class PageDialogs(QObject):
    """``alert``, ``confirm``, ``prompt`` and ``beforeunload`` of one page, and the passwords that servers ask for.

    Args:
        page: its virtual methods are answered here.
        parent: the tab; the dialogs belong to its window.
        bring_to_front: makes the tab the current one, so that the dialog stands over the page that it names.
    """

    stayed = pyqtSignal()
    """The user chose not to leave the page."""

    def __init__(self, page: QWebEnginePage, parent: QWidget, bring_to_front: Callable[[], None]) -> None:
        super().__init__(parent)
        self._tab, self._bring_to_front = parent, bring_to_front
        self._shown, self._silenced, self._open_dialogs = 0, False, 0
        # PyQt looks for overrides of virtual methods on the object as well as in its class.
        for name, method in {
            "javaScriptAlert": self._alert,
            "javaScriptConfirm": self._confirm,
            "javaScriptPrompt": self._prompt,
        }.items():
            setattr(page, name, method)
        page.authenticationRequired.connect(self._authenticate)
        page.proxyAuthenticationRequired.connect(self._authenticate_proxy)

    def start_over(self) -> None:
        """Another page stands in the tab: what the user said about the last one is forgotten."""
        self._shown, self._silenced = 0, False

    @property
    def is_open(self) -> bool:
        """Whether a dialog waits for the user."""
        return self._open_dialogs > 0

    def _wait(self, dialog: Dialog) -> bool:
        self._open_dialogs += 1
        try:
            return dialog.ask()
        finally:
            self._open_dialogs -= 1

    def _open(self, title: str, text: str, yes: str = "OK", no: str = "Cancel") -> Dialog:
        self._bring_to_front()
        window = self._tab.window()
        return Dialog(window if window is not None else self._tab, title, text, yes, no)

    def _run(self, dialog: Dialog) -> bool:
        self._shown += 1
        quiet: QCheckBox | None = None
        if self._shown > 1:
            quiet = QCheckBox("Do not let this page open more dialogs", dialog)
            dialog.form.addRow(quiet)
        answer = self._wait(dialog)
        if sip.isdeleted(dialog):
            return False
        self._silenced = quiet is not None and quiet.isChecked()
        return answer

    def _alert(self, origin: QUrl, text: str | None) -> None:
        if not self._silenced:
            dialog = self._open(f"{site_name(origin)} says", text or "", no="")
            self._run(dialog)
            discard(dialog)

    def _confirm(self, origin: QUrl, text: str | None) -> bool:
        if (text or "").startswith(_LEAVE):
            return self._leave(origin)
        if self._silenced:
            return False
        dialog = self._open(f"{site_name(origin)} asks", text or "")
        answer = self._run(dialog)
        discard(dialog)
        return answer

    def _leave(self, origin: QUrl) -> bool:
        text = "What you changed on this page may not be saved."
        dialog = self._open(f"Leave {site_name(origin)}?", text, "Leave", "Stay")
        leaves = self._wait(dialog)
        discard(dialog)
        if not leaves:
            self.stayed.emit()
        return leaves

    def _prompt(self, origin: QUrl, text: str | None, default: str | None) -> tuple[bool, str | None]:
        if self._silenced:
            return False, None
        dialog = self._open(f"{site_name(origin)} asks", text or "")
        edit = QLineEdit((default or "")[:_MAX_TEXT], dialog)
        edit.setAccessibleName("Answer")
        dialog.form.addRow(edit)
        edit.setFocus()
        if not self._run(dialog):
            discard(dialog)
            return False, None
        value = edit.text()
        discard(dialog)
        return True, value

    def _authenticate(self, url: QUrl, authenticator: QAuthenticator | None) -> None:
        open_line = connection_of(url.toString()) is Connection.INSECURE
        warning = " The connection is not secure: others may read the password." if open_line else ""
        self._ask_password(
            f"Sign in to {site_name(url)}", f"The site asks for a name and a password.{warning}", authenticator
        )

    def _authenticate_proxy(self, url: QUrl, authenticator: QAuthenticator | None, proxy: str | None) -> None:
        text = "The proxy of your network asks for a name and a password."
        self._ask_password(f"Sign in to the proxy {proxy or ''}".rstrip(), text, authenticator)

    def _ask_password(self, title: str, text: str, authenticator: QAuthenticator | None) -> None:
        if authenticator is None:
            return
        dialog = self._open(title, text, "Sign in")
        name, password = QLineEdit(dialog), QLineEdit(dialog)
        password.setEchoMode(QLineEdit.EchoMode.Password)
        dialog.form.addRow("&Name", name)
        dialog.form.addRow("&Password", password)
        name.setFocus()
        if self._wait(dialog) and not sip.isdeleted(dialog):
            authenticator.setUser(name.text())
            authenticator.setPassword(password.text())
        discard(dialog)


def discard(dialog: QDialog) -> None:
    """Delete a dialog that was answered, if the tab did not take it along."""
    if not sip.isdeleted(dialog):
        dialog.deleteLater()
