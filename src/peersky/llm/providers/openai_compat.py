"""The provider of every service that speaks OpenAI's API: OpenRouter, OpenAI, LM Studio, vLLM, llama-server, LiteLLM…
Runs on the service loop.

A generation is one request. It is sent again only when the service has refused it before a word of the answer: because
of an option that it does not take, at another path of the same server where the API was not at the first, or once
after a failure that is known to pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from peersky.core.base_url import BaseUrl, parse_base_url
from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import BackendFailed, NotSupported, PeerSkyError
from peersky.core.sse import SseDecoder
from peersky.llm.call import ASK_WAIT_S, LOOK_WAIT_S, Call
from peersky.llm.endpoint import Endpoint
from peersky.llm.http import Limits, Reply
from peersky.llm.model_server import SETTINGS_PAGE, ModelServer, checked_key
from peersky.llm.openai_calls import OpenAICalls, Refused, WrongPath
from peersky.llm.openai_embeddings import read_vectors
from peersky.llm.openai_models import read_models
from peersky.llm.openai_request import Quirks, chat_payload, refused_option
from peersky.llm.openai_stream import OpenAIStream
from peersky.llm.providers.base import KeyCheck, PullProgress
from peersky.llm.providers.server import ServerProvider
from peersky.llm.service_errors import error_in_stream
from peersky.llm.think_tags import ThinkTags
from peersky.system.children import Log
from peersky.system.settings_store import SettingsStore

LIST_AGE_S: Final = 600.0
"""How long a list of models is believed."""

CLOUD_LIMITS: Final = Limits(first_byte_s=120.0)
OWN_LIMITS: Final = Limits(first_byte_s=900.0)
"""A server of the user's own may have to load the model first."""

AFTER_END_S: Final = 5.0
"""How long usage is waited for once an answer is whole; some servers keep the connection open without a word."""

MOST_REFUSALS: Final = 4


@dataclass(slots=True)
class _Place:
    """What is known of the service at one base URL: its models, and what it does not take."""

    models: Sequence[ModelInfo] | None = None
    listed_at_s: float = 0.0
    quirks: dict[str, Quirks] = field(default_factory=dict)


class OpenAIProvider(ServerProvider):
    """Answers with the models of an OpenAI-compatible service.

    Args:
        settings: where the base URL is, for :attr:`is_local`.
        log: the logbook's ``record``.
        endpoint: where the service is; the stored one where it is None.
        limits: of a generation; by default those of a cloud, or of the user's own network.
        pause: waits for the second try.
    """

    kind = "openai"
    embedding_batch = 128

    def __init__(
        self,
        settings: SettingsStore,
        log: Log,
        *,
        endpoint: Callable[[], Endpoint] | None = None,
        limits: Limits | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(settings, log, endpoint)
        self._limits = limits
        self._calls = OpenAICalls(self._http, log, pause)
        self._places: dict[BaseUrl, _Place] = {}

    @property
    def is_local(self) -> bool:
        try:
            return parse_base_url(self._settings.text("llm.baseURL")).is_loopback
        except PeerSkyError:
            return False

    async def check_key(self) -> KeyCheck:
        server = await self._server()
        if not server.key:
            return KeyCheck("none")
        # OpenRouter lists its models to everybody, so the list says nothing about the key.
        path = "/key" if server.base.is_openrouter else "/models"
        try:
            answer = await self._calls.ask(server, Call("GET", path, longest_wait_s=LOOK_WAIT_S))
        except PeerSkyError as error:
            if error.reason in ("key_refused", "refused_by_service"):
                return KeyCheck("refused", error.message)
            raise
        return KeyCheck("accepted", _credit(answer)) if server.base.is_openrouter else KeyCheck("accepted")

    async def models(self) -> Sequence[ModelInfo]:
        return await self._list(await self._server(), LOOK_WAIT_S)

    async def describe(self, model: str) -> ModelInfo:
        server = await self._server()
        place = self._place(server)
        if place.models is None or asyncio.get_running_loop().time() - place.listed_at_s > LIST_AGE_S:
            try:
                await self._list(server, ASK_WAIT_S)
            except BackendFailed as error:
                if error.reason != "backend_error":
                    raise
                # A server of one model may have no list.
        infos = place.models or ()
        # OpenRouter's variants (":online", ":nitro") are ways to serve a model, and not in its list.
        names = (model, model.rpartition(":")[0]) if server.base.is_openrouter else (model,)
        for name in names:
            for info in infos:
                if info.name == name:
                    return replace(info, name=model)
        if infos and (server.base.is_openrouter or server.base.is_openai):
            raise NotSupported(
                f"{server.name} offers no model {model}; choose another one in {SETTINGS_PAGE}.",
                reason="model_missing",
            )
        return ModelInfo(model, self.kind, note=f"{server.name} does not list this model; it may answer all the same.")

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        # There is nothing to download: what a service offers is there, and what it does not cannot be had.
        await self.describe(model)

    @asynccontextmanager
    async def chat(self, model: str, request: ChatRequest) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        server = await self._server()
        async with (
            self._answer(server, model, request) as reply,
            aclosing(_chunks(reply, server, model)) as chunks,
        ):
            yield chunks

    async def _embed(self, server: ModelServer, model: str, batch: list[str]) -> list[list[float]]:
        payload = {"model": model, "input": batch, "encoding_format": "float"}
        call = Call("POST", "/embeddings", payload, model, self._chat_limits(server.base))
        try:
            answer = await self._calls.ask(server, call)
        except BackendFailed as error:
            if self._calls.has_found(server) and isinstance(error.__cause__, WrongPath):
                raise NotSupported(f"{server.name} makes no embeddings. Choose another model or service.") from None
            raise
        return read_vectors(answer, len(batch), server.name)

    # Where the service is, and what is known of it

    def _server_at(self, endpoint: Endpoint) -> ModelServer:
        base = parse_base_url(endpoint.base_url)
        advice = f"check the base URL and your network, or choose the built-in engine in {SETTINGS_PAGE}"
        return ModelServer(base.origin.host, base, checked_key(endpoint.api_key), advice)

    def _place(self, server: ModelServer) -> _Place:
        return self._places.setdefault(server.base, _Place())

    def _chat_limits(self, base: BaseUrl) -> Limits:
        return self._limits or (OWN_LIMITS if base.is_private else CLOUD_LIMITS)

    async def _list(self, server: ModelServer, longest_wait_s: float) -> Sequence[ModelInfo]:
        call = Call("GET", "/models", longest_wait_s=longest_wait_s)
        found = read_models(await self._calls.ask(server, call), self.kind)
        if found is None:
            raise BackendFailed(
                f"{server.name} does not list its models; enter the name of one in {SETTINGS_PAGE}.",
                reason="backend_error",
            )
        place = self._place(server)
        place.models, place.listed_at_s = found, asyncio.get_running_loop().time()
        return found

    # Requests

    @asynccontextmanager
    async def _answer(self, server: ModelServer, model: str, request: ChatRequest) -> AsyncIterator[Reply]:
        """The reply that holds the answer."""
        quirks = self._place(server).quirks.setdefault(model, Quirks.expected(server.base))
        for refusals in range(MOST_REFUSALS):
            payload = chat_payload(model, request, server.base, quirks)
            call = Call("POST", "/chat/completions", payload, model, self._chat_limits(server.base))
            try:
                async with self._calls.send(server, call) as reply:
                    yield reply
                    return
            except Refused as refusal:
                option = refused_option(refusal.body, payload) if refusal.status in (400, 404, 422) else None
                if option in ("reasoning", "reasoning_effort") and request.think and not request.think_if_possible:
                    raise NotSupported(refusal.error.message, param="think") from None
                if option is None or refusals == MOST_REFUSALS - 1 or not quirks.learn(option):
                    raise refusal.error from None
                self._log("backend.option-refused", provider=self.kind, service=server.name, model=model, option=option)


async def _chunks(reply: Reply, server: ModelServer, model: str) -> AsyncGenerator[ChatChunk, None]:
    """The answer in chunks, thoughts apart from the text."""
    stream = OpenAIStream(server.name, lambda event: error_in_stream(event, server, model))
    tags: ThinkTags | None = ThinkTags()
    async with aclosing(_events(reply, stream)) as events:
        async for event in events:
            for chunk in stream.read(event):
                if chunk.reasoning:
                    # This server keeps thoughts apart by itself, so tags in the text are text.
                    if tags is not None and (rest := ChatChunk(*tags.finish())) != ChatChunk():
                        yield rest
                    tags = None
                if tags is None:
                    yield chunk
                    continue
                content, thoughts = tags.feed(chunk.content)
                if chunk.finish_reason:
                    last_content, last_thoughts = tags.finish()
                    content, thoughts = content + last_content, thoughts + last_thoughts
                chunk = replace(chunk, content=content, reasoning=thoughts)
                if chunk != ChatChunk():
                    yield chunk
    stream.finish()


async def _events(reply: Reply, stream: OpenAIStream) -> AsyncGenerator[str, None]:
    """The data of the events; a server that ignores ``stream`` sends one, without the form of an event."""
    first = await reply.peek()
    if first in (b"{", b"["):
        yield (await reply.body()).decode("utf-8", "replace")
        return
    decoder = SseDecoder()
    try:
        async with aclosing(reply.chunks()) as chunks:
            async for chunk in chunks:
                for event in decoder.feed(chunk):
                    yield event
                if stream.is_done:
                    return
                if stream.is_finished:
                    reply.idle_s = AFTER_END_S
        for event in decoder.finish():
            yield event
    except BackendFailed as error:
        # The answer is whole; only its end was not told properly.
        if not stream.is_finished or error.reason != "interrupted":
            raise


def _credit(answer: Any) -> str:
    """What OpenRouter says is left on the account, for people; empty where it does not."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    left = data.get("limit_remaining") if isinstance(data, Mapping) else None
    return f"${left:,.2f} of the key's limit are left." if isinstance(left, (int, float)) else ""
