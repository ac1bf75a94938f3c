"""The private socket's routes for models and downloads, over the socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import PeerSkyError
from peersky.system.paths import Profile, open_profile
from peersky.system.private_socket import read_address
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.compose import Services, open_services
from peersky.web.control import ControlServer
from peersky.web.control_client import ControlClient
from tests.fakes.registry_server import RegistryServer

WAIT_S = 20


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return open_profile(tmp_path / "p")


@pytest.fixture
async def services(profile: Profile) -> AsyncIterator[Services]:
    with ProfileLock.acquire(profile):
        services = await open_services(profile, NobodyToAsk())
        server = ControlServer(services, "command")
        yield services
        await server.close()
        await services.close()


@pytest.fixture
def ask(services: Services, profile: Profile) -> Callable[..., Any]:
    """Lets the client, which is synchronous, work in a thread."""

    async def work(call: Callable[[ControlClient], Any]) -> Any:
        address = read_address(profile)
        assert address is not None
        client = ControlClient(address)
        try:
            async with asyncio.timeout(WAIT_S):
                return await asyncio.to_thread(call, client)
        finally:
            client.close()

    return work


def states(client: ControlClient, download_id: str) -> list[str]:
    """The states of a download until it settles."""
    seen = []
    with client.follow_download(download_id) as events:
        for event in events:
            seen.append(event["state"])
            if event["state"] in ("done", "failed", "paused", "removed"):
                break
    return seen


async def test_a_download_is_followed_to_its_end(ask: Callable[..., Any], registry: RegistryServer, tiny: Path) -> None:
    name = registry.add("tiny:1b", {"model": tiny.read_bytes()})  # noqa: ASYNC240
    download, joined = await ask(lambda client: client.start_download("builtin", name))
    assert not joined
    seen = await ask(lambda client: states(client, download["id"]))
    assert seen[-1] == "done"
    listed = await ask(lambda client: client.models())
    assert listed["models"][-1]["id"] == name
    assert listed["models"][-1]["memoryBytes"] > 0
    assert listed["diskBytes"] > 200_000
    assert (await ask(lambda client: client.show_model(name)))["architecture"] == "llama"
    assert await ask(lambda client: client.remove_model(name)) > 200_000


async def test_a_download_is_steered(
    ask: Callable[..., Any], registry: RegistryServer, services: Services, tiny: Path
) -> None:
    name = registry.add("tiny:1b", {"model": tiny.read_bytes()})  # noqa: ASYNC240
    registry.gate.clear()
    download, _ = await ask(lambda client: client.start_download("builtin", name))
    assert await ask(lambda client: client.start_download("builtin", name)) != (download, False)
    await asyncio.to_thread(registry.stalled.wait, WAIT_S)
    await ask(lambda client: client.steer_download(download["id"], "pause"))
    assert await ask(lambda client: states(client, download["id"])) == ["paused"]
    assert [found.state for found in services.downloads.list()] == ["paused"]
    assert await ask(lambda client: client.remove_model(name)) == 0
    assert services.downloads.list() == []


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda client: client.start_download("openai", "m"), "provider_missing"),
        (lambda client: client.steer_download("none", "pause"), "not_found"),
        (lambda client: client.steer_download("../models", "pause"), "not_found"),
        (lambda client: client.steer_download("none", "explode"), "invalid_request"),
        (lambda client: states(client, "none"), "not_found"),
        (lambda client: client.show_model("none"), "model_missing"),
        (lambda client: client.remove_model("none"), "model_missing"),
        (lambda client: client.remove_model("/etc/passwd"), "not_in_library"),
        (lambda client: client.remove_model("peersky-starter"), "not_in_library"),
        (lambda client: client.import_model("relative.gguf", None), "invalid_request"),
        (lambda client: client.import_model("/nowhere/x.gguf", None), "model_file_invalid"),
    ],
)
async def test_what_is_refused(ask: Callable[..., Any], call: Callable[[ControlClient], Any], reason: str) -> None:
    with pytest.raises(PeerSkyError) as caught:
        await ask(call)
    assert caught.value.reason == reason
