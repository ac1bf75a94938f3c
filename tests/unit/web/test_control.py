"""The private socket's app and its client, in one process: what is served, and what is refused."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import peersky
from peersky.core.errors import PeerSkyError
from peersky.llm.bridge import Bridge
from peersky.system.paths import Profile, open_profile
from peersky.system.private_socket import Address, read_address
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.compose import Services, open_services
from peersky.web.control import ControlServer
from peersky.web.control_client import ControlClient, HolderGone
from peersky.web.llm_app import make_llm_app
from peersky.web.requests import MAX_API_BODY_BYTES
from tests.fakes.scripted_provider import ScriptedProvider


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return open_profile(tmp_path / "p")


@pytest.fixture
async def services(profile: Profile) -> AsyncIterator[Services]:
    with ProfileLock.acquire(profile):
        services = await open_services(profile, NobodyToAsk())
        await services.bridge.close()
        provider = ScriptedProvider()
        services.bridge = Bridge(services.settings, {provider.kind: provider}, services.logbook.record)
        services.apps["llm"] = make_llm_app(services.bridge, services.policy)
        yield services
        await services.close()


@pytest.fixture
async def server(services: Services) -> AsyncIterator[ControlServer]:
    server = ControlServer(services, "command")
    yield server
    await server.close()


async def ask(profile: Profile, work: Callable[[ControlClient], Any]) -> Any:
    """Let the client, which is synchronous, work in a thread."""
    address = read_address(profile)
    assert address is not None
    client = ControlClient(address)
    try:
        async with asyncio.timeout(20):
            return await asyncio.to_thread(work, client)
    finally:
        client.close()


@pytest.mark.usefixtures("server")
async def test_who_holds_the_profile(profile: Profile) -> None:
    holder = await ask(profile, lambda client: client.ping())
    assert holder == {"pid": os.getpid(), "kind": "command", "version": peersky.__version__}


@pytest.mark.usefixtures("server")
async def test_the_model_that_answers(profile: Profile) -> None:
    model = await ask(profile, lambda client: client.model(None))
    assert (model["id"], model["note"]) == ("peersky-starter", "A demonstration.")
    assert (await ask(profile, lambda client: client.model("other")))["contextLength"] == 4096
    assert (await ask(profile, lambda client: client.model("/a b/ü?.gguf")))["id"] == "/a b/ü?.gguf"


@pytest.mark.usefixtures("server")
async def test_settings(profile: Profile, services: Services) -> None:
    await ask(profile, lambda client: client.change({"llm.enabled": True, "llm.apiKey": "sk-0123456789"}))
    reply = await ask(profile, lambda client: client.settings())
    assert reply["settings"]["llm.enabled"]["value"] is True
    assert reply["settings"]["llm.apiKey"]["set"] is True
    assert "sk-0123456789" not in str(reply)
    assert reply["secretsIn"] == "file"
    assert services.settings.flag("llm.enabled")
    with pytest.raises(PeerSkyError, match="There is no setting 'x'") as refused:
        await ask(profile, lambda client: client.change({"x": 1}))
    assert refused.value.param == "x"


@pytest.mark.usefixtures("server")
async def test_the_log_shows_no_key(profile: Profile, services: Services) -> None:
    services.settings.change({"llm.apiKey": "sk-0123456789"})
    services.logbook.record("test", text="Bearer sk-0123456789")
    entries = await ask(profile, lambda client: client.logs(1))
    assert [entry["text"] for entry in entries] == ["Bearer (secret)"]


@pytest.mark.usefixtures("server")
async def test_no_window_opens_no_tab(profile: Profile) -> None:
    with pytest.raises(PeerSkyError, match="by a command, not by a browser window"):
        await ask(profile, lambda client: client.open("peersky://home/"))


async def test_a_window_opens_a_tab(profile: Profile, services: Services) -> None:
    opened: list[str | None] = []
    server = ControlServer(services, "browser", opened.append)
    await ask(profile, lambda client: client.open("peersky://home/"))
    await ask(profile, lambda client: client.open(None))
    assert opened == ["peersky://home/", None]
    await server.close()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("path", ["/ping", "/settings", "/logs", "/model", "/llm/v1/models", "/nothing"])
@pytest.mark.parametrize("token", ["", "x", "ü"])
async def test_without_the_token_there_is_nothing(profile: Profile, path: str, token: str) -> None:
    address = read_address(profile)
    assert address is not None
    assert await raw(address, f"GET {path} HTTP/1.1", token) == 403


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("request_line", "body", "status"),
    [
        ("GET /nothing HTTP/1.1", b"", 404),
        ("DELETE /settings HTTP/1.1", b"", 405),
        ("GET /logs?limit=many HTTP/1.1", b"", 400),
        ("POST /settings HTTP/1.1", b"{", 400),
        ("POST /settings HTTP/1.1", b"[]", 400),
        ("POST /settings HTTP/1.1", b"[" * 100_000, 400),
        ("POST /settings HTTP/1.1", b'{"changes": 5}', 400),
        ("GET /logs?limit=" + "9" * 5000 + " HTTP/1.1", b"", 400),
        ("GET /logs?limit=%c2%b2 HTTP/1.1", b"", 400),
        ("POST /settings HTTP/1.1", b" " * (MAX_API_BODY_BYTES + 1), 413),
        ("POST /open HTTP/1.1", b'{"url": 5}', 400),
        ("GET /llm/v1/nothing HTTP/1.1", b"", 404),
        ("GET /llm/v1/status HTTP/1.1", b"", 200),
    ],
)
async def test_requests_that_make_no_sense(profile: Profile, request_line: str, body: bytes, status: int) -> None:
    address = read_address(profile)
    assert address is not None
    assert await raw(address, request_line, address.token, body) == status


async def raw(address: Address, request_line: str, token: str, body: bytes = b"") -> int:
    reader, writer = await asyncio.open_unix_connection(address.path)
    head = f"{request_line}\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {len(body)}\r\n"
    writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
    async with asyncio.timeout(20):
        reply = await reader.read()
    writer.close()
    return int(reply.split()[1])


async def test_a_stream_that_is_left_stops_the_generation(profile: Profile, server: ControlServer) -> None:
    def leave(client: ControlClient) -> dict[str, Any]:
        with client.chat({"messages": [{"role": "user", "content": "hello"}]}) as chunks:
            return next(chunks)

    chunk = await ask(profile, leave)
    assert chunk["choices"][0]["delta"]["content"] == "Hello"
    async with asyncio.timeout(20):
        await server.idle()


# httpcore leaves it to the garbage collector to close a Unix socket that found nobody to connect to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_closing_leaves_nothing_to_connect_to(profile: Profile, services: Services) -> None:
    server = ControlServer(services, "command")
    address = read_address(profile)
    assert address is not None
    await server.close()
    await server.close()
    assert read_address(profile) is None
    client = ControlClient(address)
    with pytest.raises(HolderGone):
        await asyncio.to_thread(client.ping)
    client.close()


async def test_without_unix_sockets_it_works_over_loopback(
    profile: Profile, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    server = ControlServer(services, "command")
    assert (await ask(profile, lambda client: client.ping()))["pid"] == os.getpid()
    await server.close()
