"""One answer from its question to its end: what stops it, and what the log tells of it. Runs on the service loop."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import Any

from peersky.core.chat import ChatChunk, ChatRequest, Usage
from peersky.core.origins import Origin


class Content:
    """What was asked and answered, for a user who wants it in the log."""

    def __init__(self, request: ChatRequest) -> None:
        self._asked = [f"{message['role']}: {_text_of(message['content'])}" for message in request.messages]
        self._answered: list[str] = []

    def saw(self, chunk: ChatChunk) -> None:
        self._answered.append(chunk.content)

    def as_fields(self) -> dict[str, Any]:
        return {"asked": self._asked, "answered": "".join(self._answered)}


def _text_of(content: Any) -> str:
    """A message's content as text; images are left out."""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if part["type"] == "text" else "(image)" for part in content)


@dataclass(slots=True, eq=False)
class Generation:
    """One answer. ``number`` joins its lines in the log; while ``asking``, the user has not allowed it yet."""

    origin: Origin
    provider: str
    model: str
    stopper: asyncio.Timeout
    number: int = field(default_factory=itertools.count(1).__next__)
    started_s: float = field(default_factory=time.monotonic)
    first_token_ms: int | None = None
    usage: Usage | None = None
    outcome: str = "cancelled"
    stopped: bool = False
    asking: bool = False
    content: Content | None = None

    def stop(self) -> None:
        """Interrupt the task that reads the answer, wherever it waits: in the queue, in the prompt, between tokens."""
        if not self.stopped:
            self.stopped = True
            self.stopper.reschedule(asyncio.get_running_loop().time())

    def age_ms(self) -> int:
        """Time since the question came, the wait for its turn included."""
        return round((time.monotonic() - self.started_s) * 1000)

    def saw(self, chunk: ChatChunk) -> None:
        """Take note of a piece of the answer."""
        if self.content is not None:
            self.content.saw(chunk)
        if self.first_token_ms is None and (chunk.content or chunk.reasoning or chunk.tool_calls):
            self.first_token_ms = self.age_ms()
        if chunk.finish_reason:
            self.outcome, self.usage = chunk.finish_reason, chunk.usage

    def as_fields(self) -> dict[str, Any]:
        """What the log tells at the end."""
        usage = self.usage
        return {
            "number": self.number,
            "origin": str(self.origin),
            "provider": self.provider,
            "model": self.model,
            "outcome": "stopped" if self.stopped else self.outcome,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "first_token_ms": self.first_token_ms,
            "duration_ms": self.age_ms(),
            **(self.content.as_fields() if self.content else {}),
        }
