"""The provider of the built-in engine: GGUF files on this machine. Runs on the service loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import ModelFileInvalid, NotSupported, PeerSkyError
from peersky.core.settings_schema import STARTER_MODEL
from peersky.llm.engine import NAME, Engine, EngineOptions
from peersky.llm.gguf_head import GgufHead, read_head
from peersky.llm.openai_stream import OpenAIStream
from peersky.llm.providers.base import Provider, PullProgress
from peersky.system.children import Log, State
from peersky.system.settings_store import SettingsStore

STARTER_FILE: Final = Path(__file__).parents[2] / "assets" / "models" / "starter.gguf"
STARTER_NOTE: Final = "A demonstration that this computer can answer offline; choose a real model for useful answers."
SEED_MASK: Final = 0xFFFF_FFFF
"""The engine's seeds have 32 bits."""

EMBEDDING_CONTEXT_LIMIT: Final = 2048
EMBEDDING_TIMEOUT_S: Final = 300.0
"""Embeddings are not streamed: until a batch is done, the engine is silent."""

EMBEDDING_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class _Model:
    """A model file as it is on disk now; a replaced file is another model."""

    name: str = field(compare=False)
    file: Path
    modified_ns: int
    size_bytes: int
    head: GgufHead


@dataclass(frozen=True, slots=True)
class _Wanted:
    model: _Model
    options: EngineOptions


@dataclass(slots=True)
class _Seat:
    """Room for one engine. Whoever wants another model waits until the one before is idle."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    running: _Wanted | None = None
    engine: Engine | None = None


class BuiltinProvider(Provider):
    """Answers with GGUF files of this machine.

    One engine process for chat and one for embeddings exist at most. Asking for another model, or changing
    ``llm.contextLength`` or ``llm.parallel``, replaces the engine as soon as it is idle.

    Args:
        settings: ``llm.contextLength``, ``llm.parallel`` and ``llm.idleTimeout`` are read at each request.
        models_dir: holds NAME.gguf files.
        log: the logbook's ``record``.
        starter_file: the demonstration model.
        engine_options: passed on to :class:`~peersky.llm.engine.Engine`.
    """

    kind = "builtin"
    is_local = True

    def __init__(
        self,
        settings: SettingsStore,
        models_dir: Path,
        log: Log,
        *,
        starter_file: Path = STARTER_FILE,
        **engine_options: Any,
    ) -> None:
        self._settings = settings
        self._models_dir = models_dir
        self._starter_file = starter_file
        self._log = log
        self._engine_options = engine_options
        self._chat_seat = _Seat()
        self._embedding_seat = _Seat()
        self._known: dict[Path, _Model] = {}
        self._closed = False

    def state(self) -> tuple[State, str]:
        """What the chat engine is doing: ``stopped``, ``starting``, ``ready`` or ``crash_loop``, and a sentence."""
        engine = self._chat_seat.engine
        if engine is None:
            return "stopped", f"{NAME} is not running; it starts with the next question."
        return engine.state, engine.sentence()

    def reset(self) -> None:
        """Try again after a crash loop; the engine starts with the next question."""
        for seat in (self._chat_seat, self._embedding_seat):
            if seat.engine is not None:
                seat.engine.reset()

    async def models(self) -> Sequence[ModelInfo]:
        names = [STARTER_MODEL]
        files = await asyncio.to_thread(_gguf_files, self._models_dir)
        names += [file.stem for file in files if file.stem != STARTER_MODEL]
        return [await self._listed(name) for name in names]

    async def describe(self, model: str) -> ModelInfo:
        return self._info(await self._find(model))

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        await self._find(model)

    @asynccontextmanager
    async def chat(self, model: str, request: ChatRequest) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        found = await self._find(model)
        payload = chat_payload(request)
        _check_possible(found, request)
        options = EngineOptions(self._context_length(found.head), self._settings.whole("llm.parallel"))
        async with (
            self._use(self._chat_seat, _Wanted(found, options)) as engine,
            engine.stream(payload) as events,
            aclosing(_chunks(events)) as chunks,
        ):
            yield chunks

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        found = await self._find(model)
        if not found.head.makes_embeddings:
            raise NotSupported(f"The model {found.name} makes no embeddings. Choose an embedding model.")
        if not texts:
            return []
        context = min(self._context_length(found.head), EMBEDDING_CONTEXT_LIMIT)
        options = EngineOptions(
            context,
            parallel=1,
            embedding=True,
            header_timeout_s=EMBEDDING_TIMEOUT_S,
            silence_timeout_s=EMBEDDING_TIMEOUT_S,
        )
        vectors: list[list[float]] = []
        async with self._use(self._embedding_seat, _Wanted(found, options)) as engine:
            for start in range(0, len(texts), EMBEDDING_BATCH):
                batch = list(texts[start : start + EMBEDDING_BATCH])
                reply = await engine.post("/v1/embeddings", {"input": batch, "encoding_format": "float"})
                rows = sorted(reply["data"], key=lambda row: int(row["index"]))
                vectors += ([float(value) for value in row["embedding"]] for row in rows)
        return vectors

    async def close(self) -> None:
        self._closed = True
        for seat in (self._chat_seat, self._embedding_seat):
            if seat.engine is not None:
                await seat.engine.close()

    # Models

    def _path(self, model: str) -> Path | None:
        if model == STARTER_MODEL:
            return self._starter_file
        path = Path(model)
        if path.is_absolute():
            return path if path.suffix.lower() == ".gguf" else None
        if not model or model.startswith(".") or any(c in model for c in "/\\\0"):
            return None
        return self._models_dir / f"{model}.gguf"

    async def _find(self, model: str) -> _Model:
        """Look the model up, and read its head if it is new or has changed."""
        path = self._path(model)
        found = await asyncio.to_thread(self._read, model, path) if path is not None else None
        if found is None and path == self._starter_file:
            raise NotSupported(
                f"This installation lacks the starter model ({path.name}). Choose another model in the settings.",
                reason="model_missing",
            )
        if found is None:
            raise NotSupported(
                f"There is no built-in model {model}. Put {Path(model).name.removesuffix('.gguf')}.gguf into "
                f"{self._models_dir}, or choose another model in the settings.",
                reason="model_missing",
            )
        return found

    def _read(self, model: str, path: Path) -> _Model | None:
        try:
            if not path.is_file():
                return None
            stat = path.stat()
        except (OSError, ValueError):  # ValueError: a name that no file can have.
            return None
        known = self._known.get(path)
        if known and (known.modified_ns, known.size_bytes) == (stat.st_mtime_ns, stat.st_size):
            return replace(known, name=model)
        found = _Model(model, path, stat.st_mtime_ns, stat.st_size, read_head(path))
        if found.head.parts > 1:
            raise ModelFileInvalid(
                f"{path.name} is one of {found.head.parts} parts of a model. Join them with llama.cpp's gguf-split."
            )
        self._known[path] = found
        return found

    async def _listed(self, name: str) -> ModelInfo:
        """As :meth:`describe`, but a model that cannot be used is listed with the reason."""
        try:
            return await self.describe(name)
        except PeerSkyError as error:
            return ModelInfo(name, self.kind, frozenset(), present=False, note=error.message)

    def _info(self, model: _Model) -> ModelInfo:
        note = model.head.name
        if model.head.generates and not model.head.chat_template:
            note = f"{note} has no chat template of its own; its answers may be odd or run on.".lstrip()
        return ModelInfo(
            name=model.name,
            provider=self.kind,
            capabilities=model.head.capabilities,
            context_length=self._context_length(model.head),
            size_bytes=model.size_bytes,
            note=STARTER_NOTE if model.file == self._starter_file else note,
        )

    def _context_length(self, head: GgufHead) -> int:
        wanted = self._settings.whole("llm.contextLength")
        return min(wanted, head.context_length) if head.context_length else wanted

    # Engines

    @asynccontextmanager
    async def _use(self, seat: _Seat, wanted: _Wanted) -> AsyncIterator[Engine]:
        async with seat.turn:
            if seat.engine is not None and seat.running != wanted:
                await seat.engine.wait_idle()
                await seat.engine.close()
                seat.engine = None
            if self._closed:
                raise NotSupported(f"{NAME} has been shut down.")
            idle_timeout_s = self._settings.number("llm.idleTimeout")
            if seat.engine is None:
                seat.engine = Engine(
                    wanted.model.file,
                    wanted.model.head,
                    wanted.options,
                    idle_timeout_s=idle_timeout_s,
                    log=self._log,
                    **self._engine_options,
                )
                seat.running = wanted
            engine = seat.engine
            engine.idle_timeout_s = idle_timeout_s
            engine.hold()
        try:
            yield engine
        finally:
            engine.release()


async def _chunks(events: AsyncIterator[str]) -> AsyncGenerator[ChatChunk, None]:
    stream = OpenAIStream(NAME)
    async for event in events:
        for chunk in stream.read(event):
            yield chunk
    stream.finish()


def _gguf_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".gguf" and not file.name.startswith("."))
    except OSError:
        return []


def _check_possible(model: _Model, request: ChatRequest) -> None:
    capabilities = model.head.capabilities
    if "completion" not in capabilities:
        raise NotSupported(f"The model {model.name} makes embeddings and cannot chat. Choose another model.")
    if request.tools and "tools" not in capabilities:
        raise NotSupported(f"The model {model.name} cannot call tools. Choose another model.", param="tools")
    for message in request.messages:
        content = message.get("content")
        if isinstance(content, list) and any(part.get("type") != "text" for part in content):
            raise NotSupported(
                f"The model {model.name} cannot see images. Choose a model with vision.", param="messages"
            )


def chat_payload(request: ChatRequest) -> dict[str, Any]:
    """The body for llama.cpp's server.

    The conversation's key stays here: as the server's header for it, it would keep abandoned answers alive.
    """
    payload: dict[str, Any] = {
        "messages": list(request.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": True,
    }
    optional = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "seed": None if request.seed is None else request.seed & SEED_MASK,
        "tools": list(request.tools) or None,
        "tool_choice": request.tool_choice if request.tools else None,
        "response_format": request.response_format,
    }
    payload |= {name: value for name, value in optional.items() if value is not None}
    if request.think is not None:
        payload["chat_template_kwargs"] = {"enable_thinking": bool(request.think)}
        if isinstance(request.think, str):
            payload["reasoning_effort"] = request.think
    return payload
