"""The provider of an Ollama server, through its native API. Runs on the service loop.

A generation is one request: what a model can do is taken from what the server last told, and where it has told
nothing, the server itself refuses. ``num_ctx`` stays the same for a model as long as the setting does, since another
one would load the model anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from peersky.core.base_url import BaseUrl, parse_ollama_url
from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import BackendFailed, NotSupported, PeerSkyError
from peersky.core.manifest import MAX_MANIFEST_BYTES, MEDIA_TYPE, parse_manifest
from peersky.core.model_names import is_loopback, parse_model_name
from peersky.core.ndjson import LineDecoder
from peersky.llm.call import Call
from peersky.llm.endpoint import Endpoint
from peersky.llm.http import Limits, Reply
from peersky.llm.model_server import SETTINGS_PAGE, ModelServer, checked_key
from peersky.llm.ollama_errors import NAME, error_of
from peersky.llm.ollama_models import Known, model_name, own_context_length, possible, whole
from peersky.llm.ollama_pull import PullReader
from peersky.llm.ollama_wire import OllamaStream, chat_payload
from peersky.llm.providers.base import KeyCheck, PullProgress
from peersky.llm.providers.server import ServerProvider
from peersky.system.children import Log
from peersky.system.settings_store import SettingsStore

CAPABILITIES: Final = frozenset({"completion", "tools", "vision", "thinking", "embedding"})

CHAT_LIMITS: Final = Limits(first_byte_s=900.0)
"""Nothing is sent before the first token: the queue, five minutes of loading and the prompt are in the first byte."""

ASK_LIMITS: Final = Limits(connect_s=5.0, first_byte_s=30.0, idle_s=30.0, total_s=60.0)
PULL_LIMITS: Final = Limits(first_byte_s=120.0, idle_s=900.0, total_s=math.inf)
"""While the digest of a large layer is checked, nothing comes."""

MANIFEST_LIMITS: Final = Limits(connect_s=5.0, first_byte_s=5.0, idle_s=5.0, total_s=10.0)


class OllamaProvider(ServerProvider):
    """Answers with the models of an Ollama server.

    Args:
        settings: ``llm.contextLength`` and ``llm.idleTimeout`` are read at each request.
        log: the logbook's ``record``.
        endpoint: where the server is; the stored one where it is None.
        limits: of a generation.
        layer_sizes: tells the size of each layer of a model by its digest, empty if unknown; by default the registry
            that the model's name means is asked.
    """

    kind = "ollama"
    embedding_batch = 64

    def __init__(
        self,
        settings: SettingsStore,
        log: Log,
        *,
        endpoint: Callable[[], Endpoint] | None = None,
        limits: Limits = CHAT_LIMITS,
        layer_sizes: Callable[[str], Awaitable[Mapping[str, int]]] | None = None,
    ) -> None:
        super().__init__(settings, log, endpoint)
        self._limits = limits
        self._layer_sizes = layer_sizes or self._ask_registry
        self._known: dict[tuple[BaseUrl, str], Known] = {}
        self._shown: dict[tuple[BaseUrl, str], Mapping[str, Any]] = {}
        self._num_ctx: dict[tuple[BaseUrl, str, int], int] = {}

    @property
    def is_local(self) -> bool:
        """Whether prompts stay on this machine: the server is here, and the chosen model is none of Ollama's cloud."""
        try:
            base = parse_ollama_url(self._settings.text("llm.baseURL"))
        except PeerSkyError:
            return False
        return base.is_loopback and not self._is_remote(base, self._settings.text("llm.model"))

    def canonical_name(self, model: str) -> str:
        return canonical(model)

    async def check_key(self) -> KeyCheck:
        # Ollama itself has no keys; a proxy in front of it may, and shows it by refusing the list of models.
        return KeyCheck("unknown" if (await self._server()).key else "none")

    async def models(self) -> Sequence[ModelInfo]:
        server = await self._server()
        return [await self._info(server, entry) for entry in await self._tags(server)]

    async def describe(self, model: str) -> ModelInfo:
        server = await self._server()
        wanted = canonical(model)
        for entry in await self._tags(server):
            if canonical(model_name(entry)) == wanted:
                return replace(await self._info(server, entry), name=model)
        self._forget(server.base, wanted)
        raise error_of(404, {"error": f"model '{model}' not found"}, model)

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        try:
            await self.describe(model)
        except NotSupported:
            await self._pull(await self._server(), model, report)

    @asynccontextmanager
    async def chat(self, model: str, request: ChatRequest) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        server = await self._server()
        known = self._known.get((server.base, canonical(model)))
        if known is not None and known.capabilities is not None:
            request = possible(model, request, known.capabilities)
        num_ctx = self._context(server.base, model)
        payload = chat_payload(model, request, num_ctx=num_ctx, keep_alive_s=self._settings.whole("llm.idleTimeout"))
        async with (
            self._answer(server, model, payload, request) as reply,
            aclosing(_chunks(reply, OllamaStream(model, num_ctx))) as chunks,
        ):
            yield chunks

    async def _embed(self, server: ModelServer, model: str, batch: list[str]) -> list[list[float]]:
        # Not refused by what the list of models says: v0.33.0 lists some embedding models as text models only.
        keep_alive_s = self._settings.whole("llm.idleTimeout")
        payload = {"model": model, "input": batch, "truncate": False, "keep_alive": keep_alive_s}
        answer = await self._ask(server, Call("POST", "/api/embed", payload, model, self._limits))
        return _vectors(answer, len(batch))

    # What the server has

    def _server_at(self, endpoint: Endpoint) -> ModelServer:
        base = parse_ollama_url(endpoint.base_url)
        advice = f"start it, or choose the built-in engine in {SETTINGS_PAGE}"
        return ModelServer(NAME, base, checked_key(endpoint.api_key), advice)

    async def _tags(self, server: ModelServer) -> list[Mapping[str, Any]]:
        answer = await self._ask(server, Call("GET", "/api/tags"))
        entries = answer.get("models") if isinstance(answer, Mapping) else None
        if not isinstance(entries, list):
            raise error_of(404, "", "")
        return [entry for entry in entries if isinstance(entry, Mapping) and model_name(entry)]

    async def _info(self, server: ModelServer, entry: Mapping[str, Any]) -> ModelInfo:
        """What ``/api/tags`` says of a model; before 0.24 it did not say enough, and ``/api/show`` is asked once."""
        name = model_name(entry)
        details = entry.get("details")
        details = details if isinstance(details, Mapping) else {}
        capabilities, context_length = entry.get("capabilities"), whole(details.get("context_length"))
        if not isinstance(capabilities, list) or not context_length:
            shown = await self._show(server, name, str(entry.get("digest", "")))
            capabilities = capabilities if isinstance(capabilities, list) else shown.get("capabilities")
            context_length = context_length or own_context_length(shown.get("model_info"))
        told = frozenset(map(str, capabilities)) if isinstance(capabilities, list) else None
        remote_host = entry.get("remote_host")
        key = (server.base, canonical(name))
        self._known[key] = Known(told, context_length, bool(remote_host))
        note = f"Runs on {remote_host}, not on this computer." if remote_host else ""
        return ModelInfo(
            name=name,
            provider=self.kind,
            capabilities=CAPABILITIES & told if told is not None else frozenset({"completion"}),
            context_length=self._context(server.base, name) if context_length else 0,
            size_bytes=0 if remote_host else whole(entry.get("size")),
            note=note,
        )

    async def _show(self, server: ModelServer, name: str, digest: str) -> Mapping[str, Any]:
        key = (server.base, f"{name} {digest}")
        if key not in self._shown:
            try:
                call = Call("POST", "/api/show", {"model": name, "verbose": False}, name)
                answer = await self._ask(server, call)
            except NotSupported:
                # It was removed between the two questions.
                return {}
            self._shown[key] = answer if isinstance(answer, Mapping) else {}
        return self._shown[key]

    def _context(self, base: BaseUrl, model: str) -> int:
        """The one ``num_ctx`` of a model: what the user set, as far as the model reaches, if that is known in time."""
        wanted, name = self._settings.whole("llm.contextLength"), canonical(model)
        known = self._known.get((base, name))
        own = known.context_length if known else 0
        return self._num_ctx.setdefault((base, name, wanted), min(wanted, own) if own else wanted)

    def _is_remote(self, base: BaseUrl, model: str) -> bool:
        known = self._known.get((base, canonical(model)))
        # These endings are instructions to Ollama, and no mere names.
        return (known is not None and known.is_remote) or canonical(model).endswith((":cloud", "-cloud"))

    def _forget(self, base: BaseUrl, name: str) -> None:
        self._known.pop((base, name), None)

    # Requests

    async def _ask(self, server: ModelServer, call: Call) -> Any:
        url, limits = server.base.url(call.path), call.limits or ASK_LIMITS
        async with self._http.request(server, call.method, url, call.payload, limits=limits) as reply:
            if not reply.is_ok:
                raise error_of(reply.status, await reply.error_body(), call.model)
            return await reply.json()

    @asynccontextmanager
    async def _answer(
        self, server: ModelServer, model: str, payload: dict[str, Any], request: ChatRequest
    ) -> AsyncIterator[Reply]:
        url = server.base.url("/api/chat")
        for may_change in (True, False):
            async with self._http.request(server, "POST", url, payload, limits=self._limits) as reply:
                if reply.is_ok:
                    yield reply
                    return
                error = error_of(reply.status, await reply.error_body(), model)
            if error.reason == "model_missing":
                self._forget(server.base, canonical(model))
            if may_change and error.param == "think" and request.think_if_possible and "think" in payload:
                # The user's default; this model cannot think, which nobody knew.
                del payload["think"]
                self._log("backend.option-refused", provider=self.kind, model=model, option="think")
                continue
            raise error

    async def _pull(self, server: ModelServer, model: str, report: Callable[[PullProgress], None]) -> None:
        report(PullProgress("starting"))
        reader = PullReader(model, await self._layer_sizes(model))
        payload = {"model": model, "stream": True, "insecure": _is_own_registry(model)}
        url = server.base.url("/api/pull")
        async with self._http.request(server, "POST", url, payload, limits=PULL_LIMITS) as reply:
            if not reply.is_ok:
                raise error_of(reply.status, await reply.error_body(), model)
            async with aclosing(_lines(reply)) as lines:
                async for line in lines:
                    found = _object(line)
                    if found is not None:
                        report(reader.read(found))
                    if reader.is_done:
                        return
        raise BackendFailed(
            f"{NAME} broke off the download of {model}. Try again; what arrived is kept.", reason="interrupted"
        )

    async def _ask_registry(self, model: str) -> Mapping[str, int]:
        """The sizes of all layers, from the registry; empty where that cannot be reached, which ends nothing."""
        try:
            name = parse_model_name(model)
            base = BaseUrl(parse_ollama_url(name.manifest_url).origin)
            registry = ModelServer(name.host, base)
            headers = {"Accept": MEDIA_TYPE}
            async with self._http.request(
                registry, "GET", name.manifest_url, limits=MANIFEST_LIMITS, headers=headers
            ) as reply:
                if not reply.is_ok:
                    return {}
                manifest = parse_manifest(await reply.body(MAX_MANIFEST_BYTES), name.host)
        except PeerSkyError:
            return {}
        return {layer.digest: layer.size for layer in manifest.layers}


def canonical(model: str) -> str:
    """A name in the form that makes equal what Ollama takes for equal: with its tag, in small letters."""
    name = model.strip().lower()
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"


async def _chunks(reply: Reply, stream: OllamaStream) -> AsyncGenerator[ChatChunk, None]:
    async with aclosing(_lines(reply)) as lines:
        async for line in lines:
            for chunk in stream.read(line):
                yield chunk
            if stream.is_done:
                return
    stream.finish()


async def _lines(reply: Reply) -> AsyncGenerator[str, None]:
    decoder = LineDecoder()
    async with aclosing(reply.chunks()) as chunks:
        async for chunk in chunks:
            for line in decoder.feed(chunk):
                yield line
    for line in decoder.finish():
        yield line


def _object(line: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _vectors(answer: Any, count: int) -> list[list[float]]:
    rows = answer.get("embeddings") if isinstance(answer, Mapping) else None
    if not isinstance(rows, list) or len(rows) != count or not all(isinstance(row, list) for row in rows):
        raise BackendFailed(f"{NAME} sent embeddings that do not fit the texts.", reason="backend_error")
    return [[float(value) for value in row] for row in rows]


def _is_own_registry(model: str) -> bool:
    """Whether the name's registry is this computer, which speaks plain http; Ollama has to be told."""
    host, _, rest = model.strip().partition("/")
    return "/" in rest and is_loopback(host)
