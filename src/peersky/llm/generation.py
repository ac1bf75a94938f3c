"""One answer from its question to its end: what stops it, and what the log tells of it. Runs on the service loop."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from peersky.core.chat import ChatChunk, ChatRequest, Usage
from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.core.origins import Origin
from peersky.system.site_records import Used

CHARACTERS_PER_TOKEN = 4
"""Where a back end does not count what it read."""


class Content:
    """What was asked and answered, for a user who wants it in the log."""

    def __init__(self, request: ChatRequest) -> None:
        self._asked = [f"{message['role']}: {_text_of(message['content'])}" for message in request.messages]
        self._answered: list[str] = []

    def saw(self, chunk: ChatChunk) -> None:
        self._answered.append(chunk.content)

    def as_fields(self) -> dict[str, Any]:
        return {"asked": self._asked, "answered": "".join(self._answered)}


def characters_of(request: ChatRequest) -> int:
    """Length of a question, images left out."""
    return sum(len(_text_of(message["content"])) for message in request.messages if message["content"])


def _text_of(content: Any) -> str:
    """A message's content as text; images are left out."""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if part["type"] == "text" else "(image)" for part in content)


@dataclass(slots=True, eq=False)
class Generation:
    """One answer.

    Attributes:
        page: origin of the tab's page that the asker is, or is a frame in; None: the asker itself.
        service: where the question goes; None: it stays on this computer.
        action: ``question`` or ``embeddings``.
        number: joins its lines in the log.
        stopped_by: why it was stopped, where that was not the asker's wish.
        asking: the user has not allowed it yet.
        asked_characters: length of the question.
        started: it had its turn at the back end.
        chunks: pieces of the answer so far; of most back ends, each is a token.
    """

    origin: Origin
    provider: str
    model: str
    stopper: asyncio.Timeout
    service: Origin | None = None
    action: str = "question"
    number: int = field(default_factory=itertools.count(1).__next__)
    started_s: float = field(default_factory=time.monotonic)
    first_token_ms: int | None = None
    usage: Usage | None = None
    outcome: str = "cancelled"
    stopped: bool = False
    stopped_by: PeerSkyError | None = None
    asking: bool = False
    content: Content | None = None
    page: Origin | None = None
    asked_characters: int = 0
    started: bool = False
    chunks: int = 0

    def stop(self, because: PeerSkyError | None = None) -> None:
        """Interrupt the task that reads the answer, wherever it waits: in the queue, in the prompt, between tokens.

        Args:
            because: what the asker is told; None: that it was stopped.
        """
        if not self.stopped:
            self.stopped, self.stopped_by = True, because
            self.stopper.reschedule(asyncio.get_running_loop().time())

    def age_ms(self) -> int:
        """Time since the question came, the wait for its turn included."""
        return round((time.monotonic() - self.started_s) * 1000)

    def saw(self, chunk: ChatChunk) -> None:
        """Take note of a piece of the answer."""
        if self.content is not None:
            self.content.saw(chunk)
        self.chunks += chunk.progress is None
        if self.first_token_ms is None and (chunk.content or chunk.reasoning or chunk.tool_calls):
            self.first_token_ms = self.age_ms()
        if chunk.finish_reason:
            self.outcome, self.usage = chunk.finish_reason, chunk.usage

    @property
    def result(self) -> str:
        """How it ended, in one word."""
        if self.stopped:
            return self.stopped_by.reason if self.stopped_by else "stopped"
        return self.outcome

    def tokens(self) -> int:
        """Tokens read and written so far; estimated where the back end has not told them."""
        return self.used().tokens

    def used(self) -> Used:
        """What it has taken so far."""
        seconds, usage = self.age_ms() / 1000, self.usage
        if usage is None:
            return Used(1, -(-self.asked_characters // CHARACTERS_PER_TOKEN), self.chunks, seconds)
        return Used(1, usage.input_tokens, usage.output_tokens, seconds, usage.cost)

    def as_fields(self) -> dict[str, Any]:
        """What the log tells at the end."""
        usage = self.usage
        return {
            "number": self.number,
            "origin": str(self.origin),
            "provider": self.provider,
            "model": self.model,
            "outcome": self.result,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "first_token_ms": self.first_token_ms,
            "duration_ms": self.age_ms(),
            **(self.content.as_fields() if self.content else {}),
        }


async def whole_answer(
    chunks: AsyncIterator[ChatChunk], generation: Generation, on_chunk: Callable[[Generation], None]
) -> AsyncGenerator[ChatChunk, None]:
    """The chunks, the last one joined with a usage that came after it.

    Args:
        on_chunk: may end the answer by raising.

    Raises:
        BackendFailed: ``interrupted``: the answer just ends.
    """
    last: ChatChunk | None = None
    async for chunk in chunks:
        if last is None and not chunk.finish_reason:
            generation.saw(chunk)
            on_chunk(generation)
            yield chunk
        else:
            last = replace(last, usage=chunk.usage or last.usage) if last else chunk
    if last is None:
        raise BackendFailed("The model stopped in the middle of its answer; ask again.", reason="interrupted")
    generation.saw(last)
    yield last
