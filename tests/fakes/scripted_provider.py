"""A provider that answers as the test says, chunk by chunk, and tells what became of it. Enters by the real door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo, Usage
from peersky.core.errors import NotSupported
from peersky.llm.providers.base import Provider, PullProgress

USAGE = Usage(input_tokens=7, output_tokens=3, cached_tokens=2)
END = ChatChunk(finish_reason="stop", usage=USAGE)
HELLO = (ChatChunk(content="Hello"), END)


class Hold:
    """A step at which the provider waits: ``reached`` when it is there, goes on after ``release``."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.released.wait()


Step = ChatChunk | Exception | Hold
Script = Sequence[Step] | Callable[[ChatRequest], Sequence[Step]]


class ScriptedProvider(Provider):
    """Plays a script for each question.

    Attributes:
        script: the steps, or a function that makes them of the question: a chunk is sent, an exception raised, a
            :class:`Hold` waited for.
        requests: what was asked, in order.
        open: how many answers are being written; ``most_open``: at the same time, at any time.
        cut: how many answers were left before their script's end.
    """

    kind = "builtin"
    is_local = True

    def __init__(self, script: Script = HELLO) -> None:
        self.script = script
        self.requests: list[ChatRequest] = []
        self.open = self.most_open = self.cut = 0
        self.closed = False
        self.now = ("ready", "")
        self.infos = [
            ModelInfo("peersky-starter", "builtin", context_length=2048, note="A demonstration."),
            ModelInfo("other", "builtin", frozenset({"completion", "vision", "embedding"}), 4096),
        ]

    def state(self) -> tuple[str, str]:
        return self.now

    def reset(self) -> None:
        self.now = ("stopped", "")

    async def models(self) -> Sequence[ModelInfo]:
        return self.infos

    async def describe(self, model: str) -> ModelInfo:
        for info in self.infos:
            if info.name == model:
                return info
        raise NotSupported(f"There is no model {model}.", reason="model_missing")

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        await self.describe(model)

    @asynccontextmanager
    async def chat(self, model: str, request: ChatRequest) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        self.requests.append(request)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        script = self.script(request) if callable(self.script) else self.script
        finished: list[bool] = []
        try:
            yield self._play(script, finished)
        finally:
            try:
                # What a real provider does here takes time: closing a connection.
                await asyncio.sleep(0)
            finally:
                self.open -= 1
                self.cut += not finished

    async def _play(self, script: Sequence[Step], finished: list[bool]) -> AsyncIterator[ChatChunk]:
        for step in script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Hold):
                await step.wait()
            else:
                yield step
        finished.append(True)

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text)), 0.5] for text in texts]

    async def close(self) -> None:
        self.closed = True


class Log:
    """Stands where the logbook does: keeps what it was given."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def __call__(self, kind: str, **fields: Any) -> None:
        self.entries.append({"kind": kind, **fields})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["kind"] == kind]
