"""The built-in engine: one child process, started on first use, stopped when idle. Runs on the service loop.

Facts about llama.cpp's server that shape this file:

* it closes the connection after each streamed reply, in spite of what it announces, so no connection is used twice;
* it cancels streamed replies only, so everything but embeddings is streamed;
* it sends the reply's head when a request gets a slot. Requests beyond the slots wait here, in order, so a head that
  does not come in time means that the engine hangs;
* while it works in silence it sends comments every :data:`PING_S`; silence therefore means that it hangs, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import BackendFailed, ModelFileInvalid, NotEnoughMemory, PeerSkyError
from peersky.core.sizes import size_text
from peersky.core.sse import SseDecoder
from peersky.llm.engine_threads import engine_threads
from peersky.llm.engine_watch import MEMORY_CHECK_S, HangWatch, MemoryWatch, RequestWatch
from peersky.llm.gguf_head import GgufHead
from peersky.llm.llama_words import llama_reason
from peersky.llm.openai_stream import error_of
from peersky.system.children import Child, ChildRefused, Launch, Log, State, Supervisor
from peersky.system.loopback_http import ConnectionBroke, LoopbackHttp, NoConnection, Reply
from peersky.system.memory import free_memory_bytes
from peersky.system.processors import processors
from peersky.system.tasks import TaskOwner

NAME: Final = "The built-in engine"
BATCH_TOKENS: Final = 64
"""Tokens worked on between two looks at cancelled requests. On two cores, a model of half a billion weights takes up to
0.5 s for such a batch, so stop is heard within a second; 128 took up to 0.95 s, and 256 is only 10 % faster."""

CACHE_RAM_MIB: Final = 256
"""Memory for prompts of conversations that lost their slot."""

PING_S: Final = 10
KEPT_FREE_BYTES: Final = 1024**3
"""Memory that loading a model must leave to the rest of the computer."""

ADDRESS_SPACE_SLACK_BYTES: Final = 4 * 1024**3
MAX_REPLY_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine runs its model.

    Attributes:
        context_length: tokens of one conversation.
        parallel: answers written at once.
        embedding: makes embeddings instead of text.
        chat_template: Jinja source for a file that has none of its own; empty: the file's.
        projector: the file with the model's part for images; None: it sees none.
        projector_bytes: its size.
        header_timeout_s: from sending a request to the head of the reply.
        silence_timeout_s: longest time without a byte within a reply.
        ready_timeout_s: longest time that loading may take.
    """

    context_length: int
    parallel: int = 2
    embedding: bool = False
    chat_template: str = ""
    projector: Path | None = None
    projector_bytes: int = 0
    header_timeout_s: float = 60.0
    silence_timeout_s: float = 120.0
    ready_timeout_s: float = 600.0


def projector_memory(size_bytes: int) -> int:
    """Estimate of what seeing images takes in addition: the part's weights and its work space."""
    return size_bytes * 3 // 2


class Engine:
    """One model in one child process. Belongs to one event loop.

    Args:
        model_file: the GGUF file.
        head: what :func:`~peersky.llm.gguf_head.read_head` said of it.
        options: how to run it.
        idle_timeout_s: the process is stopped after this time without a request; may be assigned later.
        log: told of starts and ends of the process.
        free_memory: tells how much memory is free, in bytes, or None if unknown. Is it short, the idle process ends.
        on_hang: told True when an answer gets neither a word nor progress for ``hang_timeout_s``, then False when it
            goes on or is over.
        memory_check_s: time between two looks at the free memory.
        supervisor_options: passed on to :class:`~peersky.system.children.Supervisor`.
    """

    def __init__(
        self,
        model_file: Path,
        head: GgufHead,
        options: EngineOptions,
        *,
        idle_timeout_s: float,
        log: Log,
        free_memory: Callable[[], int | None] = free_memory_bytes,
        on_hang: Callable[[bool], None] = lambda _hangs: None,
        memory_check_s: float = MEMORY_CHECK_S,
        **supervisor_options: Any,
    ) -> None:
        self.idle_timeout_s = idle_timeout_s
        self.hang_timeout_s = 60.0
        self._log = log
        self._hangs = HangWatch(on_hang)
        self._memory = MemoryWatch(free_memory, self._memory_is_short, memory_check_s)
        self._file = model_file
        self._head = head
        self._options = options
        self._free_memory = free_memory
        self._key = ""
        self._supervisor = Supervisor(
            NAME, self._launch, log, ready_timeout_s=options.ready_timeout_s, **supervisor_options
        )
        self._tasks = TaskOwner(NAME)
        self._slots = asyncio.Semaphore(options.parallel)
        self._holds = 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._http = LoopbackHttp(keep=False)

    @property
    def state(self) -> State:
        return self._supervisor.state

    @property
    def port(self) -> int | None:
        """Where its server listens on loopback, while it runs. May be read on any thread."""
        return self._supervisor.port

    @property
    def busy(self) -> bool:
        """Requests run or wait."""
        return self._holds > 0

    @property
    def memory_bytes(self) -> int:
        """Estimate of the memory that the process takes."""
        tokens = self._options.context_length * self._options.parallel
        return self._head.memory_bytes(tokens, self._batch_tokens) + projector_memory(self._options.projector_bytes)

    def sentence(self) -> str:
        """The state for people."""
        return self._supervisor.sentence()

    def reset(self) -> None:
        """Allow starts again after a crash loop."""
        self._supervisor.reset()

    async def child(self) -> Child:
        """The process, loaded and ready.

        Raises:
            NotEnoughMemory: the model does not fit; with the numbers.
            ModelFileInvalid: llama.cpp cannot load the file; with its reason.
            BackendFailed: the process died (``unreachable``), too often (``crash_loop``).
        """
        try:
            return await self._supervisor.child()
        except ChildRefused as error:
            raise self._refusal(error) from error

    @asynccontextmanager
    async def stream(self, payload: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[str]]:
        """Ask for one streamed answer and read its events' data. Leaving the block stops the engine's work on it.

        Args:
            payload: body for ``/v1/chat/completions``, with ``stream`` true.

        Raises:
            BackendFailed: the engine died or hung (``interrupted``) or could not be started.
            ContextExceeded, InvalidRequest, NotSupported: the engine refused the request.
        """
        watch = self._hangs.request(self.hang_timeout_s)
        try:
            async with (
                self._slot(),
                self._reply("/v1/chat/completions", payload) as (child, reply),
                aclosing(self._events(child, reply, watch)) as events,
            ):
                yield events
        finally:
            watch.close()

    async def post(self, path: str, payload: Mapping[str, Any]) -> Any:
        """Send a request that is answered at once, and return the decoded JSON. Raises as :meth:`stream` does."""
        async with self._slot(), self._reply(path, payload) as (child, reply):
            body = bytearray()
            async with aclosing(self._bytes(child, reply)) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_REPLY_BYTES:
                        raise BackendFailed(f"{NAME} sent an endless reply.", reason="backend_error")
            return json.loads(body)

    async def wait_idle(self) -> None:
        """Wait until no request runs or waits."""
        await self._idle.wait()

    async def stop(self) -> None:
        """End the process. The next request starts it anew."""
        self._disarm()
        await self._supervisor.stop()

    def kill(self) -> None:
        """End the process at once, whatever it does, because the user wants it. The next request starts it anew."""
        self._supervisor.kill()

    async def close(self) -> None:
        """End everything for good. Safe to call twice."""
        self._closed = True
        self._disarm()
        await self._supervisor.close()
        await self._tasks.close()

    # The process

    @property
    def _batch_tokens(self) -> int:
        # A text to embed must fit into one batch.
        return self._options.context_length if self._options.embedding else BATCH_TOKENS

    def _launch(self) -> Launch:
        need, room = self.memory_bytes, self._room()
        if room is not None and need > room:
            raise self._no_room(need, room)
        self._key = secrets.token_urlsafe(32)
        options = self._options
        threads = engine_threads(self._head.size_bytes, processors())
        config = {
            "parent_pid": os.getpid(),
            "model": str(self._file),
            "key": self._key,
            "n_ctx": options.context_length * options.parallel,
            "n_parallel": options.parallel,
            "n_batch": self._batch_tokens,
            "answer_threads": threads.answer,
            "prompt_threads": threads.prompt,
            "cache_ram_mib": CACHE_RAM_MIB,
            "embedding": options.embedding,
            "chat_template": options.chat_template,
            "projector": str(options.projector or ""),
            "ping_s": PING_S,
            "address_space_bytes": need + CACHE_RAM_MIB * 1024**2 + ADDRESS_SPACE_SLACK_BYTES,
        }
        script = Path(__file__).with_name("engine_child.py")
        # -P: the script's neighbours must not hide modules of the standard library.
        return Launch((sys.executable, "-P", str(script)), json.dumps(config))

    def _room(self) -> int | None:
        free = self._free_memory()
        return None if free is None else max(0, free - KEPT_FREE_BYTES)

    def _no_room(self, need: int, free: int | None) -> NotEnoughMemory:
        have = "that is more than there is" if free is None else f"{size_text(free)} can be used now"
        return NotEnoughMemory(
            f"The model {self._file.stem} needs about {size_text(need)} of memory and {have}. "
            "Close other programs, choose a smaller model, or lower the context length in the settings.",
            requested=need,
            quota=free,
        )

    def _refusal(self, error: ChildRefused) -> PeerSkyError:
        reason = llama_reason(error.stderr) or error.message
        if re.search(r"alloc|out of memory", reason, re.IGNORECASE):
            return self._no_room(self.memory_bytes, self._room())
        return ModelFileInvalid(f"The model file {self._file.name} cannot be loaded: {reason.rstrip('.')}.")

    # Requests

    def hold(self) -> None:
        """Say that a request is coming: until :meth:`release`, the engine is not idle."""
        self._holds += 1
        self._idle.clear()
        self._disarm()

    def release(self) -> None:
        """Take back one :meth:`hold`."""
        self._holds -= 1
        if not self._holds:
            self._idle.set()
        if not self._holds and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self.idle_timeout_s, self._idle_for_long)
            self._memory.on()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        self.hold()
        try:
            async with self._slots:
                yield
        finally:
            self.release()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._memory.off()

    def _memory_is_short(self, free_bytes: int) -> None:
        if self.state == "ready":
            self._log("engine.unloaded", model=self._file.stem, why="memory is short", free_bytes=free_bytes)
            self._tasks.start(self._stop_if_idle(), "memory stop")

    def _idle_for_long(self) -> None:
        self._tasks.start(self._stop_if_idle(), "idle stop")

    async def _stop_if_idle(self) -> None:
        if not self.busy:
            await self._supervisor.stop()

    @asynccontextmanager
    async def _reply(self, path: str, payload: Mapping[str, Any]) -> AsyncIterator[tuple[Child, Reply]]:
        child, reply = await self._send(path, payload)
        try:
            if reply.status != 200:
                raise await self._error(child, reply)
            yield child, reply
        finally:
            reply.close()

    async def _send(self, path: str, payload: Mapping[str, Any]) -> tuple[Child, Reply]:
        timeout_s = self._options.header_timeout_s
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        for last_try in (False, True):
            child = await self.child()
            headers = [(b"authorization", f"Bearer {self._key}".encode()), (b"content-type", b"application/json")]
            try:
                async with asyncio.timeout(timeout_s):
                    return child, await self._http.send(child.ready["port"], "POST", path.encode(), headers, body)
            except TimeoutError as error:
                raise self._hung(child, timeout_s) from error
            except (NoConnection, ConnectionBroke) as error:
                died = await self._died(child)
                # It died before it took the question up, while idle most likely: nothing is lost by asking again.
                if last_try:
                    raise died from error
        raise AssertionError("unreachable")

    async def _events(self, child: Child, reply: Reply, watch: RequestWatch) -> AsyncGenerator[str, None]:
        decoder = SseDecoder()
        async with aclosing(self._bytes(child, reply)) as chunks:
            watch.waits()
            async for chunk in chunks:
                for event in decoder.feed(chunk):
                    watch.rests()
                    yield event
                    watch.waits()
        for event in decoder.finish():
            yield event

    async def _bytes(self, child: Child, reply: Reply) -> AsyncGenerator[bytes, None]:
        silence_s, loop = self._options.silence_timeout_s, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as patience, aclosing(reply.pieces()) as pieces:
                # A timeout that is set anew at each piece would cost a dozen calls a piece.
                silence = HangWatch(lambda silent: patience.reschedule(loop.time()) if silent else None)
                with closing(silence.request(silence_s)) as watch:
                    watch.waits()
                    async for piece in pieces:
                        # The time in which nobody reads is not the engine's.
                        watch.rests()
                        yield piece
                        watch.waits()
        except TimeoutError as error:
            raise self._hung(child, silence_s) from error
        except ConnectionBroke as error:
            raise await self._died(child) from error

    async def _error(self, child: Child, reply: Reply) -> PeerSkyError:
        body = bytearray()
        async with aclosing(self._bytes(child, reply)) as chunks:
            async for chunk in chunks:
                body += chunk[: MAX_REPLY_BYTES - len(body)]
        text = body.decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            return error_of(reply.status, json.loads(text), NAME)
        return error_of(reply.status, text, NAME)

    def _hung(self, child: Child, after_s: float) -> BackendFailed:
        child.kill()
        return BackendFailed(
            f"{NAME} did not respond for {after_s:g} s and was stopped. Ask again: it starts anew.",
            reason="interrupted",
        )

    async def _died(self, child: Child) -> BackendFailed:
        # The broken connection is noticed before the exit is.
        await asyncio.wait({child.exited}, timeout=2.0)
        how = NAME + " broke the connection"
        if child.exited.done():
            how = self._supervisor.last_outcome.rstrip(".") if not child.stopping else NAME + " was stopped"
        return BackendFailed(f"{how} before the answer was finished. Ask again: it starts anew.", reason="interrupted")
