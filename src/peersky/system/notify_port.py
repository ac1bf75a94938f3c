"""The port through which a service tells the user something that happened while they looked elsewhere."""

from __future__ import annotations

from typing import Protocol


class NotifyPort(Protocol):
    """Shows notices: on the desktop where that can be done, else in the window."""

    def notify(self, title: str, text: str) -> None:
        """Show a notice. Plain text; returns at once, never raises, may be called on any thread."""


class NobodyToNotify:
    """Used where there is no window: who runs a command sees its output."""

    def notify(self, title: str, text: str) -> None:
        return
