"""HTTP to our own children, the engine and the P2P node: h11 on asyncio's streams.

A client for every case took three quarters of the time that a small file cost the browser, and most of what a token
did (bench/notes.md). This one knows servers on loopback, without TLS, proxies, redirects or cookies.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import suppress
from typing import Final

import h11

HOST: Final = "127.0.0.1"

_CONNECT_S: Final = 10.0
_READ_BYTES: Final = 1 << 18
"""Taken at a time: as much as asyncio itself asks of a socket."""

_MOST_IDLE: Final = 16
_BREAKS: Final = (OSError, h11.ProtocolError)

Headers = Sequence[tuple[bytes, bytes]]
Body = AsyncIterable[bytes] | bytes | None


class NoConnection(Exception):
    """Nobody listens; nothing was sent."""


class ConnectionBroke(Exception):
    """The server went away, or what was said was no HTTP."""


class _Connection:
    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port = port
        self._reader, self.writer = reader, writer
        self.state = h11.Connection(h11.CLIENT)

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, also where the loop has not looked yet."""
        return not (self.writer.is_closing() or self._reader.at_eof() or _is_readable(self.writer))

    async def write(self, *events: h11.Event) -> None:
        try:
            self.writer.write(b"".join(self.state.send(event) or b"" for event in events))
            await self.writer.drain()
        except _BREAKS as error:
            raise ConnectionBroke(str(error)) from error

    async def next_event(self) -> object:
        try:
            while (event := self.state.next_event()) is h11.NEED_DATA:
                self.state.receive_data(await self._reader.read(_READ_BYTES))
        except _BREAKS as error:
            raise ConnectionBroke(str(error)) from error
        return event

    def abort(self) -> None:
        self.writer.transport.abort()


class Reply:
    """A reply whose head is here.

    Attributes:
        status: HTTP status.
        headers: as the server sent them, names in lower case.
    """

    def __init__(
        self, wire: LoopbackHttp, connection: _Connection, head: h11.Response, *, has_sent_body: bool = False
    ) -> None:
        self._wire, self._connection = wire, connection
        # A body that was refused may stand unread before the next request.
        self._may_keep = not has_sent_body or head.status_code < 400
        self.status = head.status_code
        self.headers: Headers = list(head.headers)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives.

        Raises:
            ConnectionBroke: it ended before all was here.
        """
        while isinstance(event := await self._connection.next_event(), h11.Data):
            yield bytes(event.data)

    def close(self) -> None:
        """Keep the connection if all was read, else end it."""
        state = self._connection.state
        with suppress(h11.ProtocolError):
            # The end of a reply without a body was not asked for.
            if state.their_state is h11.SEND_BODY:
                state.next_event()
            if state.their_state is h11.DONE and self._may_keep:
                state.start_next_cycle()
                self._wire.keep(self._connection)
                return
        self._connection.abort()


class LoopbackHttp:
    """Connections to one child, for any number of requests at once.

    Args:
        keep: use a connection again once its reply was read. For a server that closes none that is idle: one that was
            closed says that it has ended.
    """

    def __init__(self, *, keep: bool) -> None:
        self._most_idle = _MOST_IDLE if keep else 0
        self._idle: list[_Connection] = []

    async def send(self, port: int, method: str, target: bytes, headers: Headers, body: Body) -> Reply:
        """Send a request; the head of its reply. The caller closes the reply.

        Args:
            port: where the server listens.
            headers: without ``Host``; ``Content-Length`` where an iterated body's length is known.
            body: read as fast as the server takes it; what it raises ends the connection.

        Raises:
            NoConnection: nothing was sent.
            ConnectionBroke: there is no reply.
        """
        connection = await self._connection(port)
        try:
            head = _head(port, method, target, headers, body)
            if body is None or isinstance(body, bytes):
                await connection.write(head, h11.Data(data=body or b""), h11.EndOfMessage())
            else:
                await connection.write(head)
                async for piece in body:
                    await connection.write(h11.Data(data=piece))
                await connection.write(h11.EndOfMessage())
            while not isinstance(reply := await connection.next_event(), h11.Response):
                pass
        except BaseException:
            connection.abort()
            raise
        return Reply(self, connection, reply, has_sent_body=body is not None)

    def keep(self, connection: _Connection) -> None:
        """A connection whose request is over."""
        if len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            connection.abort()

    async def close(self) -> None:
        """End what is idle."""
        while self._idle:
            writer = self._idle.pop().writer
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connection(self, port: int) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.port == port and connection.is_open:
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(HOST, port, limit=_READ_BYTES)
        except OSError as error:
            raise NoConnection(str(error)) from error
        return _Connection(port, reader, writer)


def _head(port: int, method: str, target: bytes, headers: Headers, body: Body) -> h11.Request:
    host = (b"host", f"{HOST}:{port}".encode())
    try:
        return h11.Request(method=method, target=target, headers=[host, *headers, *_framing(method, headers, body)])
    except h11.ProtocolError as error:
        raise ConnectionBroke(str(error)) from error


def _framing(method: str, headers: Headers, body: Body) -> Headers:
    """The header that says how long the body is, where there is none yet (RFC 9112, section 6)."""
    if any(name == b"content-length" for name, _ in headers) or (body is None and method in ("GET", "HEAD")):
        return []
    if body is None or isinstance(body, bytes):
        return [(b"content-length", str(len(body or b"")).encode())]
    return [(b"transfer-encoding", b"chunked")]


def _is_readable(writer: asyncio.StreamWriter) -> bool:
    """Whether something came, which can only be the end: nothing was asked."""
    descriptor = writer.get_extra_info("socket").fileno()
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
