"""The browser's half of HTTP with the P2P node: connections are kept where that is safe, and ended where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from peersky.system.loopback_http import ConnectionBroke, LoopbackHttp, NoConnection

WHOLE = b"HTTP/1.1 200 OK\r\nX-Own: Ab\xe9\r\nContent-Length: 5\r\n\r\nwhole"
REPLIES = {
    b"/whole": WHOLE,
    b"/none": b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    b"/half": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    b"/refused": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    b"/noise": b"no HTTP at all\r\n\r\n",
}


class Server:
    """Answers with what :data:`REPLIES` has; tells which connection each request came by."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, bytes]] = []
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._gone = [asyncio.Event() for _ in range(4)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self._writers)
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b" ", 2)
                self.requests.append((number, target))
                reply = REPLIES[target]
                writer.write(reply.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == b"HEAD" else reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._gone[number].set()
        finally:
            writer.close()

    async def hang_up(self) -> None:
        """Close all connections, as a process that ends does."""
        for number, writer in enumerate(self._writers):
            writer.close()
            await self._gone[number].wait()

    async def gone(self, number: int) -> None:
        async with asyncio.timeout(20):
            await self._gone[number].wait()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    await made.hang_up()
    await listening.wait_closed()


@pytest.fixture
async def wire() -> AsyncIterator[LoopbackHttp]:
    made = LoopbackHttp(keep=True)
    yield made
    await made.close()


async def get(wire: LoopbackHttp, port: int, target: bytes, method: str = "GET") -> bytes:
    reply = await wire.send(port, method, target, [], None)
    try:
        return b"".join([piece async for piece in reply.pieces()])
    finally:
        reply.close()


async def test_a_connection_is_kept_once_its_reply_was_read(server: Server, wire: LoopbackHttp) -> None:
    for _ in range(3):
        assert await get(wire, server.port, b"/whole") == b"whole"
    assert await get(wire, server.port, b"/whole", "HEAD") == b""
    assert await get(wire, server.port, b"/none") == b""
    for method, target in (("HEAD", b"/whole"), ("GET", b"/none")):
        reply = await wire.send(server.port, method, target, [], None)
        reply.close()  # nobody asked for the body, and there is none
    assert await get(wire, server.port, b"/whole") == b"whole"
    assert {number for number, _ in server.requests} == {0}


async def test_headers_are_bytes_and_their_names_in_lower_case(server: Server, wire: LoopbackHttp) -> None:
    reply = await wire.send(server.port, "GET", b"/whole", [(b"x-sent", b"\xe9")], None)
    reply.close()
    assert list(reply.headers) == [(b"x-own", b"Ab\xe9"), (b"content-length", b"5")]


async def test_what_was_not_read_to_its_end_ends_its_connection(server: Server, wire: LoopbackHttp) -> None:
    reply = await wire.send(server.port, "GET", b"/half", [], None)
    async with aclosing(reply.pieces()) as pieces:
        assert await anext(pieces) == b"half"
    reply.close()
    await server.gone(0)
    assert await get(wire, server.port, b"/whole") == b"whole"
    assert [number for number, _ in server.requests] == [0, 1]


async def test_a_body_that_was_refused_ends_its_connection(server: Server, wire: LoopbackHttp) -> None:
    """It may stand unread before the next request."""
    reply = await wire.send(server.port, "PUT", b"/refused", [], b"not read")
    assert reply.status == 403
    reply.close()
    await server.gone(0)
    assert await get(wire, server.port, b"/refused") == b""
    assert await get(wire, server.port, b"/whole") == b"whole"
    assert [number for number, _ in server.requests] == [0, 1, 1]


async def test_a_connection_that_the_other_side_closed_is_not_used(server: Server, wire: LoopbackHttp) -> None:
    assert await get(wire, server.port, b"/whole") == b"whole"
    hanging = asyncio.create_task(server.hang_up())
    await asyncio.sleep(0)
    await server.gone(0)
    await hanging
    assert await get(wire, server.port, b"/whole") == b"whole"
    assert [number for number, _ in server.requests] == [0, 1]


async def test_what_is_no_http_and_whoever_goes_away(server: Server, wire: LoopbackHttp) -> None:
    with pytest.raises(ConnectionBroke):
        await get(wire, server.port, b"/noise")
    with pytest.raises(ConnectionBroke):
        await wire.send(server.port, "GET", b"/a b", [], None)
    with pytest.raises(ConnectionBroke):
        await wire.send(server.port, "GET", b"/whole", [(b"x", b"a\nb")], None)
    with pytest.raises(NoConnection):
        await get(wire, 1, b"/whole")
