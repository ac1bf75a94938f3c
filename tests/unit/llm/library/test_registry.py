"""Requests of the library: who gets which header, and what never leaves this machine."""

from __future__ import annotations

import re

import pytest

from peersky.core.errors import BackendFailed
from peersky.llm.library.registry import Broken, Fetcher, Refused
from tests.fakes.registry_server import Fault, RegistryServer


async def test_the_key_of_one_host_is_not_shown_to_another(registry: RegistryServer) -> None:
    blob = registry.add_blob(b"content")
    with RegistryServer() as other:
        other.add_blob(b"content")
        other.redirect = False
        registry.redirect_to = f"{other.url}/v2/library/x/blobs/{blob['digest']}"
        fetcher = Fetcher()
        try:
            url = f"{registry.url}/v2/library/x/blobs/{blob['digest']}"
            headers = {"authorization": "Bearer secret", "Range": "bytes=0-2"}
            async with fetcher.get(url, headers) as response:
                assert await response.aread() == b"con"
        finally:
            await fetcher.close()
        assert [seen.authorization for seen in registry.seen] == ["Bearer secret"]
        assert [(seen.authorization, seen.range) for seen in other.seen] == [(None, "bytes=0-2")]


async def test_a_proxy_does_not_see_what_is_meant_for_this_machine(
    registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    blob = registry.add_blob(b"content")
    fetcher = Fetcher(stall_s=1)
    try:
        body, _ = await fetcher.read(f"{registry.url}/v2/library/x/blobs/{blob['digest']}", {}, 100)
    finally:
        await fetcher.close()
    assert body == b"content"


async def test_a_proxy_of_an_unknown_kind_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://192.0.2.1:1080")
    fetcher = Fetcher(stall_s=1)
    with pytest.raises(BackendFailed, match="of a kind that PeerSky cannot use"):
        await fetcher.read("http://127.0.0.1:1/", {}, 100)
    await fetcher.close()


async def test_errors_are_told_apart(registry: RegistryServer) -> None:
    blob = registry.add_blob(b"content" * 10_000)
    url = f"{registry.url}/v2/library/x/blobs/{blob['digest']}"
    fetcher = Fetcher(stall_s=0.2)
    try:
        with pytest.raises(Refused) as refused:
            await fetcher.read(f"{registry.url}/nowhere", {}, 100)
        assert (refused.value.status, refused.value.redirected) == (404, False)
        registry.faults.append(Fault("status", code=403))
        with pytest.raises(Refused) as refused:
            await fetcher.read(url, {}, 100)
        assert (refused.value.status, refused.value.redirected) == (403, True)
        with pytest.raises(BackendFailed, match="without end"):
            await fetcher.read(url, {}, 100)
        registry.faults.append(Fault("stall", after=100))
        with pytest.raises(Broken, match=re.escape("sent nothing for 0.2 s")):
            async with fetcher.get(url, {}) as response:
                await response.aread()
    finally:
        await fetcher.close()
        await fetcher.close()
