"""The port through which a service asks the user. The window implements it; without a window, the answer is no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from peersky.core.origins import Origin


@dataclass(frozen=True, slots=True)
class Question:
    """A yes-or-no question on behalf of a site.

    Attributes:
        origin: who wants something; named in the prompt.
        capability: stable identifier, ``publish``, ``cloud``…; one open prompt per origin and capability.
        text: the question, one sentence, plain text.
        yes, no: labels of the buttons.
    """

    origin: Origin
    capability: str
    text: str
    yes: str = "Allow"
    no: str = "Block"


class PromptPort(Protocol):
    """Shows questions to the user."""

    async def ask(self, question: Question) -> bool:
        """True only when the user said yes. Cancelling the call (the page went away) withdraws the question."""


class NobodyToAsk:
    """Used where there is no window: every question is answered no."""

    async def ask(self, question: Question) -> bool:
        return False
