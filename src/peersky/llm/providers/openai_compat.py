"""The provider of every service that speaks OpenAI's API: OpenRouter, OpenAI, LM Studio, vLLM, llama-server, LiteLLM…
Runs on the service loop.

A generation is one request. It is sent again only when the service has refused it before a word of the answer: because
of an option that it does not take, at another path of the same server where the API was not at the first, or once
after a failure that is known to pass.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from peersky.core.base_url import BaseUrl, candidates, parse_base_url
from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import BackendFailed, NotSupported, PeerSkyError
from peersky.core.sse import SseDecoder
from peersky.llm.endpoint import Endpoint, stored_endpoint
from peersky.llm.http import HttpClients, Limits, Reply
from peersky.llm.model_server import SETTINGS_PAGE, ModelServer, checked_key
from peersky.llm.openai_embeddings import read_vectors
from peersky.llm.openai_models import read_models
from peersky.llm.openai_request import Quirks, chat_payload, refused_option
from peersky.llm.openai_stream import OpenAIStream
from peersky.llm.providers.base import KeyCheck, Provider, PullProgress
from peersky.llm.service_errors import error_in_stream, error_of
from peersky.llm.think_tags import ThinkTags
from peersky.system.children import Log
from peersky.system.settings_store import SettingsStore

EMBEDDING_BATCH: Final = 128
LIST_AGE_S: Final = 600.0
"""How long a list of models is believed."""

LONGEST_WAIT_S: Final = 30.0
"""Longest pause before the second try; who wants to be left alone for longer gets an error that says how long."""

PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
CLOUD_LIMITS: Final = Limits(first_byte_s=120.0)
OWN_LIMITS: Final = Limits(first_byte_s=900.0)
"""A server of the user's own may have to load the model first."""

ASK_LIMITS: Final = Limits(first_byte_s=30.0, idle_s=30.0, total_s=60.0)
AFTER_END_S: Final = 5.0
"""How long usage is waited for once an answer is whole; some servers keep the connection open without a word."""

MOST_REFUSALS: Final = 4


@dataclass(slots=True)
class _Place:
    """What is known of one base URL: which of its candidates answered, its models, and what it does not take."""

    found: BaseUrl | None = None
    models: Sequence[ModelInfo] | None = None
    listed_at_s: float = 0.0
    quirks: dict[str, Quirks] = field(default_factory=dict)


class _WrongPath(Exception):
    """There is no API at this path."""

    def __init__(self, error: PeerSkyError) -> None:
        super().__init__(error.message)
        self.error = error


class _Refused(Exception):
    """The service did not take the request, before it did anything for it."""

    def __init__(self, error: PeerSkyError, status: int, body: Any, retry_after_s: float | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


class OpenAIProvider(Provider):
    """Answers with the models of an OpenAI-compatible service.

    Args:
        settings: where the base URL is, for :attr:`is_local`.
        log: the logbook's ``record``.
        endpoint: where the service is; the stored one where it is None.
        limits: of a generation; by default those of a cloud, or of the user's own network.
        pause: waits for the second try.
    """

    kind = "openai"

    def __init__(
        self,
        settings: SettingsStore,
        log: Log,
        *,
        endpoint: Callable[[], Endpoint] | None = None,
        limits: Limits | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._log = log
        self._endpoint = endpoint or stored_endpoint(settings)
        self._limits = limits
        self._pause = pause
        self._http = HttpClients()
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
        call = "/key" if server.base.is_openrouter else "/models"
        try:
            answer = await self._ask(server, "GET", call)
        except PeerSkyError as error:
            if error.reason in ("key_refused", "refused_by_service"):
                return KeyCheck("refused", error.message)
            raise
        return KeyCheck("accepted", _credit(answer)) if server.base.is_openrouter else KeyCheck("accepted")

    async def models(self) -> Sequence[ModelInfo]:
        return await self._list(await self._server())

    async def describe(self, model: str) -> ModelInfo:
        server = await self._server()
        place = self._place(server)
        if place.models is None or asyncio.get_running_loop().time() - place.listed_at_s > LIST_AGE_S:
            try:
                await self._list(server)
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

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        server = await self._server()
        vectors: list[list[float]] = []
        for start in range(0, len(texts), EMBEDDING_BATCH):
            batch = list(texts[start : start + EMBEDDING_BATCH])
            payload = {"model": model, "input": batch, "encoding_format": "float"}
            limits = self._chat_limits(server.base)
            try:
                answer = await self._ask(server, "POST", "/embeddings", payload, model=model, limits=limits)
            except BackendFailed as error:
                if self._place(server).found is not None and isinstance(error.__cause__, _WrongPath):
                    raise NotSupported(f"{server.name} makes no embeddings. Choose another model or service.") from None
                raise
            vectors += read_vectors(answer, len(batch), server.name)
        return vectors

    async def close(self) -> None:
        await self._http.close()

    # Where the API is

    async def _server(self) -> ModelServer:
        # In a thread: the keyring may take its time.
        endpoint = await asyncio.to_thread(self._endpoint)
        base = parse_base_url(endpoint.base_url)
        advice = f"check the base URL and your network, or choose the built-in engine in {SETTINGS_PAGE}"
        return ModelServer(base.origin.host, base, checked_key(endpoint.api_key), advice)

    def _place(self, server: ModelServer) -> _Place:
        return self._places.setdefault(server.base, _Place())

    def _chat_limits(self, base: BaseUrl) -> Limits:
        return self._limits or (OWN_LIMITS if base.is_private else CLOUD_LIMITS)

    async def _list(self, server: ModelServer) -> Sequence[ModelInfo]:
        found = read_models(await self._ask(server, "GET", "/models"), self.kind)
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
            limits = self._chat_limits(server.base)
            try:
                async with self._try(server, "POST", "/chat/completions", payload, model=model, limits=limits) as reply:
                    yield reply
                    return
            except _Refused as refusal:
                option = refused_option(refusal.body, payload) if refusal.status in (400, 404, 422) else None
                if option in ("reasoning", "reasoning_effort") and request.think and not request.think_if_possible:
                    raise NotSupported(refusal.error.message, param="think") from None
                if option is None or refusals == MOST_REFUSALS - 1 or not quirks.learn(option):
                    raise refusal.error from None
                self._log("backend.option-refused", provider=self.kind, service=server.name, model=model, option=option)

    async def _ask(
        self,
        server: ModelServer,
        method: str,
        call: str,
        payload: Mapping[str, Any] | None = None,
        *,
        model: str = "",
        limits: Limits = ASK_LIMITS,
    ) -> Any:
        """The JSON that a call is answered with."""
        try:
            async with self._try(server, method, call, payload, model=model, limits=limits) as reply:
                answer = await reply.json()
        except _Refused as refusal:
            raise refusal.error from None
        if isinstance(answer, Mapping) and answer.get("error"):
            raise error_of(200, answer, server, model)
        return answer

    @asynccontextmanager
    async def _try(
        self,
        server: ModelServer,
        method: str,
        call: str,
        payload: Mapping[str, Any] | None,
        *,
        model: str,
        limits: Limits,
    ) -> AsyncIterator[Reply]:
        """A reply that is no error, after a second try where that helps, from where the API is."""
        place = self._place(server)
        wrong: _WrongPath | None = None
        for base in (place.found,) if place.found else candidates(server.base):
            for last_try in (False, True):
                try:
                    async with self._once(server, base, method, call, payload, model, limits) as reply:
                        place.found = base
                        yield reply
                        return
                except _WrongPath as error:
                    wrong = wrong or error
                    break
                except _Refused as refusal:
                    place.found = base
                    wait_s = _wait_s(refusal)
                    if last_try or wait_s is None:
                        raise
                    await self._wait(server, wait_s, str(refusal.status))
                except _Unreached as error:
                    if last_try:
                        raise error.error from error.error.__cause__
                    await self._wait(server, 1.0, "unreachable")
        assert wrong is not None
        if call != "/embeddings":
            # Whatever answers there now, the API is not where it was.
            place.found = None
        raise BackendFailed(wrong.error.message, reason=wrong.error.reason) from wrong

    @asynccontextmanager
    async def _once(
        self,
        server: ModelServer,
        base: BaseUrl,
        method: str,
        call: str,
        payload: Mapping[str, Any] | None,
        model: str,
        limits: Limits,
    ) -> AsyncIterator[Reply]:
        headers = {"X-Title": "PeerSky"} if base.is_openrouter else {}
        opened = False
        try:
            async with self._http.request(
                server, method, base.url(call), payload, limits=limits, headers=headers
            ) as reply:
                opened = True
                if not reply.is_ok:
                    body = await reply.error_body()
                    error = error_of(reply.status, body, server, model, reply.retry_after_s)
                    if reply.status == 405 or (reply.status == 404 and error.reason == "backend_error"):
                        raise _WrongPath(_no_api(server))
                    raise _Refused(error, reply.status, body, reply.retry_after_s)
                if await reply.peek() == b"<":
                    # The service's web site.
                    raise _WrongPath(_no_api(server))
                yield reply
        except BackendFailed as error:
            if opened or error.reason != "unreachable":
                raise
            raise _Unreached(error) from error

    async def _wait(self, server: ModelServer, seconds: float, why: str) -> None:
        self._log("backend.retry", provider=self.kind, service=server.name, why=why, wait_s=round(seconds, 1))
        # Not all at once: whoever was refused together would be refused together again.
        await self._pause(seconds + random.uniform(0, 0.5))


class _Unreached(Exception):
    """Nobody took the connection."""

    def __init__(self, error: BackendFailed) -> None:
        super().__init__(error.message)
        self.error = error


def _wait_s(refusal: _Refused) -> float | None:
    """How long to wait before the second try; None if there is to be none."""
    if refusal.status not in PASSING or refusal.error.reason == "credits":
        return None
    wait_s = 1.0 if refusal.retry_after_s is None else refusal.retry_after_s
    return wait_s if wait_s <= LONGEST_WAIT_S else None


def _no_api(server: ModelServer) -> BackendFailed:
    return BackendFailed(
        f"There is no OpenAI-compatible API at {server.base}; check the base URL in {SETTINGS_PAGE}.",
        reason="backend_error",
    )


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
