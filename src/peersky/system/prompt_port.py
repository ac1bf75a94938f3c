"""The port through which a service asks the user. The window implements it; without a window, the answer is no."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from peersky.core.origins import Origin


class Consent(enum.Enum):
    """What the user said. A refusal holds until PeerSky is closed."""

    FOR_GOOD = "for good"
    FOR_NOW = "until PeerSky is closed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a site may do something: for good, until PeerSky is closed, or not.

    Attributes:
        origin: who wants something; named in the prompt.
        capability: stable identifier, ``publish``, ``cloud``…
        text: the question, one sentence, plain text.
        target: the service that ``cloud`` is about. One prompt is open per origin, capability and target.
        yes, now, no: labels of the buttons.
    """

    origin: Origin
    capability: str
    text: str
    target: str = ""
    yes: str = "Allow"
    now: str = "Allow for now"
    no: str = "Don’t allow"


class PromptPort(Protocol):
    """Shows questions to the user."""

    async def ask(self, question: Question) -> Consent:
        """A yes only when the user said so. Cancelling the call (the page went away) withdraws the question."""


class NobodyToAsk:
    """Used where there is no window: every question is answered no."""

    async def ask(self, question: Question) -> Consent:
        return Consent.REFUSED
