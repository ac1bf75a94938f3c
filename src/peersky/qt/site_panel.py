"""The panel under the sign in the address bar: what this site may do, what it used today, its limits, and a block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from PyQt6.QtCore import QPoint, Qt, pyqtSignal
from PyQt6.QtWidgets import QComboBox, QDialog, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from peersky.core.errors import InvalidRequest
from peersky.core.trust import CLOUD, MEMORY, MODEL, PUBLISH, Decision
from peersky.system.permissions import check_site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peersky.core.origins import Origin

RIGHTS: Final = {
    MODEL: "Ask your model",
    MEMORY: "Keep conversations",
    PUBLISH: "Publish",
    CLOUD: "Send questions to services",
}
SITES: Final = "peersky://settings/sites"
_ANSWERS: Final = {"yes": "allowed", "ask": "asks first", "no": "not allowed"}

Choice = tuple[Decision | None, bool]
"""A decision (None: as usual), and whether it is for good."""

CHOICES: Final[dict[str, Choice]] = {
    "As usual": (None, True),
    "Allow": (Decision.ALLOW, True),
    "Allow until PeerSky closes": (Decision.ALLOW, False),
    "Ask me": (Decision.ASK, True),
    "Block": (Decision.BLOCK, True),
    "Block until PeerSky closes": (Decision.BLOCK, False),
}


class SitePanel(QDialog):
    """Goes away when the user clicks elsewhere or presses Escape. What is chosen counts at once.

    Args:
        origin: the site, serialised.
        sentences: what is to be said of it first.
    """

    decided = pyqtSignal(str, object, bool)
    """A capability, the :class:`~peersky.core.trust.Decision` or None, and whether it is for good."""
    block_wanted = pyqtSignal()
    forget_wanted = pyqtSignal()
    stop_wanted = pyqtSignal()
    settings_wanted = pyqtSignal()
    sites_wanted = pyqtSignal()

    def __init__(self, parent: QWidget, origin: str, sentences: list[str], *, busy: bool) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("sitePanel")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAccessibleName(f"What {origin} may do")
        self.setAccessibleDescription(" ".join(sentences))
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(16, 14, 16, 14)
        self._layout.setSpacing(10)
        self.title = self._text(origin)
        self.title.setObjectName("panelTitle")
        for sentence in sentences:
            self._text(sentence)
        self.choices: dict[str, QComboBox] = {}
        grid = QGridLayout()
        grid.setColumnStretch(0, 1)
        for row, (capability, name) in enumerate(RIGHTS.items()):
            label, box = QLabel(name, self), QComboBox(self)
            label.setBuddy(box)
            box.addItems(list(CHOICES))
            box.setAccessibleName(name)
            # `activated` is the user; what is shown by `show_site` is no decision.
            box.activated.connect(lambda _index, capability=capability: self._decide(capability))
            grid.addWidget(label, row, 0)
            grid.addWidget(box, row, 1)
            self.choices[capability] = box
        self._layout.addLayout(grid)
        self.services = self._text("")
        self.used = self._text("")
        self.limits = self._text("")
        self.limits.setObjectName("publishHint")
        self.stop_button = self._button("&Stop the answer", self.stop_wanted)
        self.stop_button.setVisible(busy)
        self.block_button = QPushButton("&Block this site", self)
        self.block_button.clicked.connect(self._block_or_forget)
        self.sites_button = self._button("All sites and &limits", self.sites_wanted)
        self.settings_button = self._button("Local &AI settings", self.settings_wanted)
        self._is_blocked = False
        for pair in ((self.stop_button, self.block_button), (self.sites_button, self.settings_button)):
            row_layout = QHBoxLayout()
            for button in pair:
                button.setAutoDefault(False)
                row_layout.addWidget(button)
            self._layout.addLayout(row_layout)

    def show_site(self, site: Mapping[str, Any]) -> None:
        """Show the state of the site: see :func:`peersky.web.sites_api.site_summary`."""
        for capability, box in self.choices.items():
            right = site["rights"][capability]
            decision = Decision(right["decision"]) if right["decision"] and not right["declined"] else None
            chosen = (decision, right["forGood"] if decision else True)
            box.setCurrentIndex(list(CHOICES.values()).index(chosen) if chosen in CHOICES.values() else 0)
            usual = "" if decision else f" ({_ANSWERS[right['answer']]})"
            box.setItemText(0, f"As usual{usual}")
        rights = site["rights"].values()
        self._is_blocked = all(right["decision"] == "block" and not right["declined"] for right in rights)
        self.block_button.setText("Un&block this site" if self._is_blocked else "&Block this site")
        single = services_text(site["rights"])
        self.services.setText(single)
        self.services.setVisible(bool(single))
        self.used.setText(used_text(site["today"]))
        self.limits.setText(limits_text(site["limits"]))

    def open_below(self, widget: QWidget) -> None:
        """Show the panel below a widget of the window, inside the window's width."""
        window = widget.window() or widget
        self.setMaximumWidth(max(280, window.width() - 16))
        self.adjustSize()
        corner = widget.mapToGlobal(QPoint(0, widget.height() + 4))
        right = window.mapToGlobal(QPoint(window.width() - 8, 0)).x()
        left = window.mapToGlobal(QPoint(8, 0)).x()
        self.move(max(left, min(corner.x(), right - self.width())), corner.y())
        self.show()
        self.choices[MODEL].setFocus()

    def _text(self, text: str) -> QLabel:
        label = QLabel(text, self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        self._layout.addWidget(label)
        return label

    def _button(self, text: str, signal: Any) -> QPushButton:
        button = QPushButton(text, self)

        def clicked() -> None:
            self.close()
            signal.emit()

        button.clicked.connect(clicked)
        return button

    def _decide(self, capability: str) -> None:
        decision, for_good = list(CHOICES.values())[self.choices[capability].currentIndex()]
        self.decided.emit(capability, decision, for_good)

    def _block_or_forget(self) -> None:
        (self.forget_wanted if self._is_blocked else self.block_wanted).emit()


def is_site(origin: Origin) -> bool:
    """Whether the user can decide something about an origin: not about the browser's own pages."""
    try:
        check_site(str(origin))
    except InvalidRequest:
        return False
    return True


def services_text(rights: Mapping[str, Any]) -> str:
    """What was decided about single services, in one sentence; empty where nothing was."""
    single = [one for right in rights.values() for one in right["services"]]
    words = [f"{'may' if one['decision'] == 'allow' else 'may not'} ask {one['service']}" for one in single]
    return f"It {', '.join(words)}." if words else ""


def used_text(used: Mapping[str, Any]) -> str:
    """What a site used today, in one sentence."""
    if not used["requests"]:
        return "It has not used your model today."
    count, tokens = used["requests"], used["inputTokens"] + used["outputTokens"]
    questions = f"{count:,} question{'s' if count != 1 else ''}"
    cost = f", {used['cost']:.4g} credits" if used["cost"] is not None else ""
    return f"Today: {questions}, {tokens:,} tokens, {round(used['seconds']):,} seconds{cost}."


def limits_text(limits: Mapping[str, int]) -> str:
    """The limits of a site, in one sentence."""
    parts = [f"{limits['parallel']} answers at once"]
    parts += [
        f"{limits[f'tokens_per_{unit}']:,} tokens a {unit}"
        for unit in ("minute", "day")
        if limits[f"tokens_per_{unit}"]
    ]
    return f"Its limits: {', '.join(parts)}."
