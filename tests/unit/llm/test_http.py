"""HTTP to model servers: to whom, how long, how much, and what a failure is called."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from peersky.core.base_url import parse_base_url
from peersky.core.errors import BackendFailed
from peersky.llm import http
from peersky.llm.http import HttpClients, Limits, failure_of
from peersky.llm.model_server import ModelServer
from tests.fakes.http_server import Answer, FakeServer, Recorded

KEY = "sk-0123456789"
LIMITS = Limits(connect_s=2.0, first_byte_s=5.0, idle_s=0.3, total_s=3.0)


class Pieces(FakeServer):
    """Sends what it is told, and then says nothing more."""

    pieces: tuple[bytes, ...] = ()

    async def handle(self, request: Recorded, answer: Answer) -> None:
        await answer.start(headers={"set-cookie": "a=1"})
        for piece in self.pieces:
            await answer.send(piece)
        await self.hold(answer)
        await answer.end()


@pytest.fixture
def server() -> Iterator[Pieces]:
    with Pieces() as running:
        yield running


@pytest.fixture
async def clients() -> AsyncIterator[HttpClients]:
    made = HttpClients()
    yield made
    await made.close()


def at(url: str) -> ModelServer:
    return ModelServer("The server", parse_base_url(url), KEY, "start it")


async def test_a_key_goes_to_its_own_origin_only(clients: HttpClients, server: Pieces) -> None:
    for url in ("http://127.0.0.1:1/x", server.url.replace("127.0.0.1", "localhost") + "/x", "https://evil.example/"):
        with pytest.raises(ValueError, match="one origin"):
            async with clients.request(at(server.url), "GET", url, limits=LIMITS):
                pass
    assert server.requests == []


async def test_looking_takes_nothing_away(clients: HttpClients, server: Pieces) -> None:
    server.pieces = (b"\xef\xbb\xbf \r\n", b" {", b'"a":1}')
    server.release()
    async with clients.request(at(server.url), "GET", f"{server.url}/x", limits=LIMITS) as reply:
        assert await reply.peek() == await reply.peek() == b"{"
        assert (await reply.body()).strip(b"\xef\xbb\xbf \r\n") == b'{"a":1}'
        assert await reply.peek() == b""


async def test_nothing_is_kept_between_requests(clients: HttpClients, server: Pieces) -> None:
    server.release()
    for _ in range(2):
        async with clients.request(at(server.url), "GET", f"{server.url}/x", limits=LIMITS) as reply:
            await reply.body()
    assert [request.headers.get("authorization") for request in server.requests] == [f"Bearer {KEY}"] * 2


@pytest.mark.fault("A server whose reply never ends")
async def test_a_body_without_end_is_given_up(clients: HttpClients, server: Pieces) -> None:
    server.pieces = (b"x" * 5000,) * 3
    for cut in (True, False):
        async with clients.request(at(server.url), "GET", f"{server.url}/x", limits=LIMITS) as reply:
            if cut:
                assert len(await reply.body(9000, cut=True)) == 9000
            else:
                with pytest.raises(BackendFailed, match="endless"):
                    await reply.body(9000)


async def test_silence_counts_in_lines_and_not_while_nobody_reads(clients: HttpClients, server: Pieces) -> None:
    server.pieces = (b"one\n", b"two")
    async with clients.request(at(server.url), "GET", f"{server.url}/x", limits=LIMITS) as reply:
        loop = asyncio.get_running_loop()
        chunks = reply.chunks()
        await anext(chunks)
        waiting = loop.create_future()
        loop.call_later(2 * LIMITS.idle_s, waiting.set_result, None)
        await waiting
        began_s = loop.time()
        with pytest.raises(BackendFailed, match="silent"):
            async for _ in chunks:
                pass
        assert loop.time() - began_s >= LIMITS.idle_s * 0.9


@pytest.mark.fault("A server that answers with no JSON")
async def test_what_is_no_json(clients: HttpClients, server: Pieces) -> None:
    for pieces in ((b"<html>",), (b"[" * 100_000,), (b"\xff\xfe",)):
        server.pieces = pieces
        server.release()
        async with clients.request(at(server.url), "GET", f"{server.url}/x", limits=LIMITS) as reply:
            with pytest.raises(BackendFailed, match="no JSON"):
                await reply.json()


async def test_encryption_with_a_server_that_has_none(clients: HttpClients, server: Pieces) -> None:
    url = server.url.replace("http:", "https:")
    with pytest.raises(BackendFailed, match="cannot be reached") as caught:
        async with clients.request(at(url), "GET", f"{url}/x", limits=LIMITS):
            pass
    assert caught.value.reason == "unreachable"


def test_a_certificate_that_is_not_valid_is_called_so() -> None:
    error = httpx.ConnectError("x")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    failure = failure_of(error, at("https://x.example"))
    assert "certificate of https://x.example is not valid" in failure.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("x"), "unreachable"),
        (httpx.ConnectTimeout("x"), "unreachable"),
        (httpx.ProxyError("x"), "unreachable"),
        (httpx.ReadTimeout("x"), "interrupted"),
        (TimeoutError(), "interrupted"),
        (httpx.ReadError("x"), "interrupted"),
        (httpx.RemoteProtocolError("x"), "interrupted"),
        (httpx.DecodingError("x"), "backend_error"),
    ],
)
def test_what_a_failure_is_called(error: Exception, reason: str) -> None:
    failure = failure_of(error, at("https://x.example"))
    assert failure.reason == reason
    assert failure.message.endswith(".")


def test_the_key_is_masked_wherever_it_stands() -> None:
    masked = at("https://x.example").masked({KEY: [f"a {KEY} b", {"c": KEY}], "n": 5})
    assert KEY not in str(masked)
    assert masked["n"] == 5
    assert ModelServer("x", parse_base_url("https://x.example"), "abc").masked("abcabc") == "abcabc"
    assert http.MAX_ERROR_BYTES < http.MAX_JSON_BYTES
