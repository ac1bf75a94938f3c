"""The provider of the built-in engine: GGUF files on this machine. Runs on the service loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import InvalidRequest, NotSupported, PeerSkyError
from peersky.core.model_names import parse_model_name
from peersky.core.settings_schema import STARTER_MODEL
from peersky.llm.builtin_request import chat_payload, check_possible
from peersky.llm.engine import BATCH_TOKENS, NAME, Engine, EngineOptions, projector_memory
from peersky.llm.gguf_head import GgufHead
from peersky.llm.library.blobs import ollama_stores
from peersky.llm.library.catalogue import STARTER_FILE, Catalogue, FoundModel, library_name_of
from peersky.llm.library.puller import Puller
from peersky.llm.library.store import ModelStore, name_for_file
from peersky.llm.openai_stream import OpenAIStream
from peersky.llm.providers.base import Provider, PullProgress
from peersky.system.children import Log, State
from peersky.system.files import unusable
from peersky.system.settings_store import SettingsStore

STARTER_NOTE: Final = "A demonstration that this computer can answer offline; choose a real model for useful answers."
EMBEDDING_CONTEXT_LIMIT: Final = 2048
EMBEDDING_TIMEOUT_S: Final = 300.0
"""Embeddings are not streamed: until a batch is done, the engine is silent."""

EMBEDDING_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class _Wanted:
    model: FoundModel
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
        settings: ``llm.contextLength``, ``llm.parallel``, ``llm.idleTimeout`` and ``llm.hangTimeout`` are read at each
            request.
        models_dir: holds NAME.gguf files and, without ``store``, the library.
        log: the logbook's ``record``.
        starter_file: the demonstration model.
        store: the library of models; None: below ``models_dir``, with the files of an Ollama on this computer.
        puller: brings models into ``store``.
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
        store: ModelStore | None = None,
        puller: Puller | None = None,
        **engine_options: Any,
    ) -> None:
        self._settings = settings
        self._models_dir = models_dir
        self._starter_file = starter_file
        self.store = store or ModelStore(models_dir, ollama_stores(os.environ, Path.home()))
        self._puller = Puller(self.store) if puller is None else puller
        self._catalogue = Catalogue(models_dir, self.store, starter_file)
        self._log = log
        self._engine_options = engine_options
        self.on_hang: Callable[[str], None] = lambda _sentence: None
        """Takes a sentence when the engine seems to hang, and an empty text when it goes on or was stopped."""
        self._chat_seat = _Seat()
        self._embedding_seat = _Seat()
        self._closed = False

    def state(self) -> tuple[State, str]:
        """What the chat engine is doing: ``stopped``, ``starting``, ``ready`` or ``crash_loop``, and a sentence."""
        engine = self._chat_seat.engine
        if engine is None:
            return "stopped", f"{NAME} is not running; it starts with the next question."
        return engine.state, engine.sentence()

    def ports(self) -> frozenset[int]:
        """Where the engines that run listen on loopback. May be called on any thread."""
        engines = (self._chat_seat.engine, self._embedding_seat.engine)
        return frozenset(engine.port for engine in engines if engine is not None and engine.port is not None)

    def reset(self) -> None:
        """Try again after a crash loop; the engine starts with the next question."""
        for seat in (self._chat_seat, self._embedding_seat):
            if seat.engine is not None:
                seat.engine.reset()

    def kill(self) -> None:
        """Stop the engines at once, whatever they do; the next question starts them anew."""
        for seat in (self._chat_seat, self._embedding_seat):
            if seat.engine is not None:
                seat.engine.kill()

    async def models(self) -> Sequence[ModelInfo]:
        return [await self._listed(name) for name in await asyncio.to_thread(self._catalogue.names)]

    async def describe(self, model: str) -> ModelInfo:
        return self._info(await self._find(model))

    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        name = library_name_of(model)
        if name is None or self._catalogue.file_of(model) is not None:
            await self._find(model)
        elif await asyncio.to_thread(self._catalogue.find, model) is not None:
            await self._puller.update(name, report)
        else:
            await self._puller.pull(name, report)

    async def discard(self, model: str) -> None:
        name = library_name_of(model)
        if name is not None:
            await asyncio.to_thread(self.store.discard, name)

    def canonical_name(self, model: str) -> str:
        name = library_name_of(model.strip())
        return model.strip() if name is None or self._catalogue.file_of(model.strip()) is not None else str(name)

    async def remove(self, model: str) -> int:
        if model == STARTER_MODEL or Path(model).is_absolute():
            raise NotSupported(f"{model} does not belong to the library, and is not removed.", reason="not_in_library")
        file, name = await asyncio.to_thread(self._catalogue.file_of, model), library_name_of(model)
        freed = None
        if file is not None:
            freed = await asyncio.to_thread(_delete, file)
        elif name is not None:
            freed = await asyncio.to_thread(self.store.remove, name)
        if freed is None:
            raise self._missing(model)
        self._log("model-removed", model=model, freed_bytes=freed)
        return freed

    async def details(self, model: str) -> dict[str, Any]:
        """What :meth:`describe` tells, and what belongs to the model, for people.

        Raises:
            NotSupported: there is no such model.
        """
        found = await self._find(model)
        told = {
            **self._info(found).as_object(),
            "file": str(found.file),
            "architecture": found.head.architecture,
            "trainedContextLength": found.head.context_length,
            "chatTemplate": "own" if found.head.chat_template else "library" if found.chat_template else "none",
            "system": found.extras.system,
            "stop": list(found.extras.stop),
            "parameters": found.extras.parameters,
            "layers": [],
        }
        name = library_name_of(model)
        if name is not None and self._catalogue.file_of(model) is None:
            manifest = await asyncio.to_thread(self.store.manifest, name)
            layers = manifest.used if manifest else ()
            told["layers"] = [{"kind": layer.kind, "digest": layer.digest, "size": layer.size} for layer in layers]
        return told

    async def import_file(self, file: Path, wanted: str | None = None) -> str:
        """Make a GGUF file a model of the library, by a hard link or a copy; the name it has there.

        Raises:
            InvalidRequest: ``wanted`` is no name, or taken.
            ModelFileInvalid, NotSupported: the engine cannot run it.
            QuotaExceeded: the disk is too full for a copy.
            ProfileUnusable: the file cannot be read, or the profile not written.
        """
        name = name_for_file(file, wanted)
        if await asyncio.to_thread(self.store.manifest, name) is not None:
            raise InvalidRequest(f"There is a model {name} already. Give the file another name.", param="name")
        await self.store.import_file(file, name)
        self._log("model-imported", model=str(name))
        return str(name)

    @asynccontextmanager
    async def chat(self, model: str, request: ChatRequest) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        found = await self._find(model)
        payload = chat_payload(request, found.extras)
        check_possible(found, request)
        options = EngineOptions(
            self._context_length(found.head),
            self._settings.whole("llm.parallel"),
            chat_template=found.chat_template,
            projector=found.projector,
            projector_bytes=found.projector_bytes,
        )
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
        await self._puller.close()

    # Models

    async def _find(self, model: str) -> FoundModel:
        """Look the model up, and read its head if it is new or has changed."""
        found = await asyncio.to_thread(self._catalogue.find, model)
        if found is None:
            raise self._missing(model)
        return found

    def _missing(self, model: str) -> NotSupported:
        if model == STARTER_MODEL:
            sentence = (
                f"This installation lacks the starter model ({self._starter_file.name}). "
                "Choose another model in the settings."
            )
        elif Path(model).is_absolute():
            sentence = f"There is no model file {model}. Choose another model in the settings."
        else:
            try:
                parse_model_name(model)
                sentence = (
                    f"There is no built-in model {model}. Download it in peersky://settings/llm or "
                    f"with `peersky models pull {model}`, or choose another model."
                )
            except InvalidRequest as error:
                sentence = error.message
        return NotSupported(sentence, reason="model_missing")

    async def _listed(self, name: str) -> ModelInfo:
        """As :meth:`describe`, but a model that cannot be used is listed with the reason."""
        try:
            return await self.describe(name)
        except PeerSkyError as error:
            return ModelInfo(name, self.kind, frozenset(), present=False, note=error.message)

    def _info(self, model: FoundModel) -> ModelInfo:
        note = model.head.name
        if model.head.generates and not model.head.chat_template and not model.chat_template:
            note = f"{note} has no chat template of its own; its answers may be odd or run on.".lstrip()
        return ModelInfo(
            name=model.name,
            provider=self.kind,
            capabilities=model.capabilities,
            context_length=self._context_length(model.head),
            size_bytes=model.size_bytes,
            note=STARTER_NOTE if model.file == self._starter_file else note,
            memory_bytes=self._memory_bytes(model),
        )

    def _memory_bytes(self, model: FoundModel) -> int:
        if not model.head.generates:
            context = min(self._context_length(model.head), EMBEDDING_CONTEXT_LIMIT)
            return model.head.memory_bytes(context, context)
        context = self._context_length(model.head) * self._settings.whole("llm.parallel")
        return model.head.memory_bytes(context, BATCH_TOKENS) + projector_memory(model.projector_bytes)

    def _context_length(self, head: GgufHead) -> int:
        wanted = self._settings.whole("llm.contextLength")
        return min(wanted, head.context_length) if head.context_length else wanted

    # Engines

    def _tell_hang(self, hangs: bool) -> None:
        seconds = self._settings.whole("llm.hangTimeout")
        self._log("engine.hangs" if hangs else "engine.goes-on", after_s=seconds)
        self.on_hang(f"{NAME} has shown neither a word nor progress for {seconds} s; it may hang." if hangs else "")

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
                    on_hang=self._tell_hang,
                    **self._engine_options,
                )
                seat.running = wanted
            engine = seat.engine
            engine.idle_timeout_s = idle_timeout_s
            engine.hang_timeout_s = self._settings.number("llm.hangTimeout")
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


def _delete(file: Path) -> int | None:
    try:
        size = file.stat().st_size
        file.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(error, file, "delete") from error
    return size
