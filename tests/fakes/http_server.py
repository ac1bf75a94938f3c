"""A small HTTP server on loopback for faults that a web framework hides: raw bytes, broken connections, silence.

It runs in a thread of its own, so that tests with and without an event loop, and whole browsers, can use it::

    with SomeServer() as server:
        … server.url …
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

PATIENCE_S: Final = 20.0
_REASONS: Final = {200: "OK", 404: "Not Found"}


@dataclass
class Recorded:
    """One request as it came.

    Attributes:
        headers: with lower-case names.
        json: the decoded body; None where there is none.
        gone: the client went away before the reply had ended.
    """

    method: str
    path: str
    headers: dict[str, str]
    json: Any
    gone: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Hold:
    """Wait for ``server.release(name)``; until then nothing is sent."""

    name: str = "hold"


class Abort:
    """Break the connection, as a killed server does."""


class Cut:
    """End the reply in good order, but without its last line."""


class Silence:
    """Say nothing more, and keep the connection."""


class Drip:
    """Send a byte now and then, and never end a line."""


@dataclass(frozen=True)
class Refuse:
    """Answer with a status before any line. Only as the first step."""

    status: int
    body: Any
    headers: Mapping[str, str] | None = None


class Gone(Exception):
    """The client went away."""


class Answer:
    """The reply to one request. Whatever is not sent in whole before the handler returns is cut there."""

    def __init__(self, server: FakeServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._writer = writer
        self._chunked = False
        self._watch = asyncio.ensure_future(reader.read(1))

    async def json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """A whole reply."""
        await self.text(json.dumps(value), status, {"content-type": "application/json", **(headers or {})})

    async def text(self, text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        body = text.encode()
        await self.start(status, {"content-length": str(len(body)), **(headers or {})}, chunked=False)
        await self.raw(body)

    async def start(self, status: int = 200, headers: Mapping[str, str] | None = None, *, chunked: bool = True) -> None:
        """The head of a reply whose body follows in pieces."""
        self._chunked = chunked
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += ["transfer-encoding: chunked"] * chunked
        await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def send(self, data: bytes) -> None:
        """One piece of the body."""
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    async def end(self) -> None:
        """The proper end of a body in pieces."""
        if self._chunked:
            await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        if self._watch.done():
            raise Gone
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Gone from error

    async def abort(self) -> None:
        """Break the connection as a killed process does: with a reset."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def silence(self) -> None:
        """Say nothing until the client goes away or the server ends."""
        await self.wait(asyncio.Event())

    async def drip(self) -> None:
        """A byte every 50 ms, until the client goes away."""
        while True:
            await self.send(b"x")
            await asyncio.wait({self._watch}, timeout=0.05)

    async def wait(self, event: asyncio.Event) -> None:
        """Wait for an event. Raises :class:`Gone` when the client goes away before."""
        waiting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({waiting, self._watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._watch.done() and not event.is_set():
            raise Gone

    async def close(self) -> None:
        self._watch.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class FakeServer:
    """A server on a free loopback port. Subclasses answer in :meth:`handle`, on the server's own loop.

    Attributes:
        requests: what came, in order.
    """

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Recorded] = []
        self._port = port
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._released: dict[str, asyncio.Event] = {}
        self._handlers: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)

    async def handle(self, request: Recorded, answer: Answer) -> None:
        """Answer one request."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self.call(asyncio.start_server(self._connected, "127.0.0.1", self._port, limit=2**26))
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def release(self, name: str = "hold") -> None:
        """Let what waits for ``name`` go on."""
        self._loop.call_soon_threadsafe(self._event(name).set)

    def paths(self) -> list[str]:
        """``METHOD /path`` of every request, in order."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Block until ``condition`` holds, which is looked at whenever something happens here."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), f"it never happened; requests: {self.paths()}"

    async def until(self, condition: Callable[[], bool]) -> None:
        """As :meth:`wait_until`, for async tests."""
        await asyncio.to_thread(self.wait_until, condition)

    def happened(self) -> None:
        """Look at the conditions that somebody waits for."""
        with self._changed:
            self._changed.notify_all()

    async def hold(self, answer: Answer, name: str = "hold") -> None:
        """Wait for :meth:`release`; for handlers."""
        await answer.wait(self._event(name))

    async def play(self, script: Iterable[Any], answer: Answer, send: Callable[[Any], Awaitable[None]]) -> bool:
        """Go through a script: bytes go out as they are, texts and objects as ``send`` writes them, the rest happens.

        Returns:
            Whether the reply is still to be ended: it was neither cut nor broken.
        """
        for step in script:
            if isinstance(step, bytes):
                await answer.send(step)
            elif isinstance(step, (str, Mapping)):
                await send(step)
            elif isinstance(step, Hold):
                await self.hold(answer, step.name)
            elif step is Silence:
                await answer.silence()
            elif step is Drip:
                await answer.drip()
            elif step is Cut:
                await answer.end()
                return False
            else:
                await answer.abort()
                return False
        return True

    def _event(self, name: str) -> asyncio.Event:
        return self._released.setdefault(name, asyncio.Event())

    async def _stop(self) -> None:
        # Not closed first: asyncio leaks the connections that it has accepted and not yet set up (Server._attach).
        for listening in self._server.sockets:
            self._loop.remove_reader(listening)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others & self._handlers:
                task.cancel()
            await asyncio.wait(others, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        # A closed transport gives its socket back in a later turn of the loop.
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)
        await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self._writers.append(writer)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._handlers.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        if request is None:
            writer.close()
            return
        self.requests.append(request)
        self.happened()
        answer = Answer(self, reader, writer)
        try:
            await self.handle(request, answer)
        except Gone:
            request.gone = True
        finally:
            await answer.close()
            self.happened()


async def _read(reader: asyncio.StreamReader) -> Recorded | None:
    """One request; None where the client went away before it had sent all of it."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, OSError):
        return None
    return Recorded(method, path, headers, json.loads(body) if body else None)
