"""Where an OpenAI-compatible service is, its key, its models and embeddings, against a server over real HTTP."""

from __future__ import annotations

import base64
import json
import logging
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    NotAllowed,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.llm.endpoint import Endpoint
from tests.fakes.http_server import Cut, Refuse
from tests.fakes.ollama_server import OllamaServer
from tests.fakes.openai_server import OpenAIServer
from tests.unit.llm.openai_compat.conftest import KEY, MODEL, Home, said
from tests.unit.llm.provider_home import ask, ask_for, ask_until_it_breaks, open_settings


@pytest.mark.parametrize(
    ("path", "written"),
    [
        *[("/v1", written) for written in ("", "/", "/v1", "/v1/", "//v1//", "/v1/chat/completions", "/v1/models/")],
        *[("/api/v1", written) for written in ("", "/api", "/api/v1", "/api/v1/", "/api/v1/models")],
        *[("", written) for written in ("", "/", "/chat/completions")],
        *[("/v1beta/openai", written) for written in ("/v1beta/openai/", "/v1beta/openai/chat/completions")],
    ],
)
async def test_the_api_is_found_where_people_point(tmp_path: Path, path: str, written: str) -> None:
    with OpenAIServer(path=path) as server:
        home = Home(open_settings(tmp_path, baseURL=server.url + written))
        for _ in range(2):
            assert (await ask(home.provider, MODEL)).content == "Hello"
        await home.provider.close()
        # What worked is remembered.
        assert server.paths()[-1] == f"POST {path}/chat/completions"
        assert len(server.chats()) <= 4


async def test_the_web_site_of_a_service_is_not_its_api(tmp_path: Path) -> None:
    with OpenAIServer(path="/api/v1") as server:
        server.elsewhere = Refuse(200, "<!doctype html><title>Chat</title>")
        home = Home(open_settings(tmp_path, baseURL=server.url))
        assert (await ask(home.provider, MODEL)).content == "Hello"
        server.path = "/moved"
        with pytest.raises(BackendFailed, match="no OpenAI-compatible API at") as caught:
            await ask(home.provider, MODEL)
        assert caught.value.reason == "backend_error"
        server.path = "/v1"
        assert (await ask(home.provider, MODEL)).content == "Hello"
        await home.provider.close()


@pytest.mark.parametrize("url", ["http://openrouter.ai/api/v1", "http://192.0.43.8/v1", "http://example.org"])
async def test_plain_http_over_the_internet_is_refused(tmp_path: Path, url: str) -> None:
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(url, KEY))
    for attempt in (ask(home.provider, MODEL), home.provider.models()):
        with pytest.raises(NotAllowed) as caught:
            await attempt
        assert caught.value.reason == "insecure_url"
        assert KEY not in caught.value.message


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:1234/v1", True), ("http://192.168.1.7:8000", False), ("https://openrouter.ai/api/v1", False)],
)
def test_local_is_what_stays_here(tmp_path: Path, url: str, local: bool) -> None:
    assert Home(open_settings(tmp_path, baseURL=url)).provider.is_local is local


async def test_the_key_of_one_origin_never_reaches_another(tmp_path: Path) -> None:
    with OpenAIServer(key=KEY) as own, OpenAIServer() as other:
        settings = open_settings(tmp_path, provider="openai", baseURL=own.url + "/v1", apiKey=KEY)
        home = Home(settings)
        await ask(home.provider, MODEL)
        look_alikes = [
            other.url,
            other.url.replace("127.0.0.1", "localhost") + "/v1",
            f"{other.url}/127.0.0.1:{own.port}/v1",
        ]
        for url in look_alikes:
            settings.change({"llm.baseURL": url})
            for attempt in (ask(home.provider, MODEL), home.provider.models(), home.provider.embed(MODEL, ["a"])):
                with suppress(PeerSkyError):
                    await attempt
        assert other.requests
        assert other.keys() == set()
        settings.change({"llm.baseURL": own.url})
        await ask(home.provider, MODEL)
        assert own.keys() == {f"Bearer {KEY}"}
        await home.provider.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(home: Home, server: OpenAIServer, status: int) -> None:
    with OpenAIServer() as other:
        target = f"{other.url}/v1/chat/completions?key={KEY}"
        server.refusals = [Refuse(status, "", {"location": target})]
        with pytest.raises(BackendFailed, match=f"sends questions on to {other.url}") as caught:
            await ask(home.provider, MODEL)
        assert KEY not in caught.value.message
        server.list_reply = Refuse(status, "", {"location": f"{other.url}/v1/models"})
        with pytest.raises(BackendFailed):
            await home.provider.models()
        assert other.requests == []
    assert len(server.requests) == 2


ECHOES: list[Any] = [
    Refuse(401, said(f"Incorrect API key provided: {KEY}.")),
    Refuse(400, f"bad header Authorization: Bearer {KEY}"),
    Refuse(400, said("x" * (400 - 10) + KEY)),
    Refuse(500, {"error": {"message": "no", "metadata": {"raw": KEY}}}),
    Refuse(403, json.dumps(said(KEY)).replace("sk-", "\\u0073k-")),
    Refuse(404, said(f"The model {KEY} does not exist")),
    Refuse(402, [said(KEY)]),
]


@pytest.mark.parametrize("echo", ECHOES, ids=[str(echo.status) for echo in ECHOES])
async def test_a_server_that_repeats_the_key_is_not_quoted(
    home: Home, server: OpenAIServer, echo: Refuse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.refusals = [echo] * 2
    with pytest.raises(PeerSkyError) as caught:
        await ask(home.provider, MODEL)
    server.refusals = []
    server.script = ["Hel", said(f"upstream says {KEY}", code=502), Cut]
    _, in_stream = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    server.whole = said(f"no {KEY}")
    with pytest.raises(PeerSkyError) as in_reply:
        await ask(home.provider, MODEL)
    for error in (caught.value, in_stream, in_reply.value):
        assert KEY[:12] not in str(error)
    assert KEY not in caplog.text
    assert KEY not in json.dumps(home.log.entries)
    assert all(KEY not in request.path for request in server.requests)


async def test_the_key_is_in_no_repr(home: Home) -> None:
    server = await home.provider._server()
    assert server.key == KEY
    for shown in (repr(server), repr(home.provider), repr(home.provider.__dict__), str(server)):
        assert KEY not in shown


@pytest.mark.parametrize("key", ["sk-ключ-1234", "sk-12 34", "sk-12\n34", "sk-1234\x00"])
async def test_what_can_be_no_key_is_said_before_it_is_sent(tmp_path: Path, server: OpenAIServer, key: str) -> None:
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(server.url, key))
    with pytest.raises(BackendFailed) as caught:
        await ask(home.provider, MODEL)
    assert caught.value.reason == "key_refused"
    assert key not in caught.value.message
    assert server.requests == []


@pytest.mark.parametrize("key", ["ollama", "", "  "])
async def test_a_server_without_keys_gets_none(tmp_path: Path, server: OpenAIServer, key: str) -> None:
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(server.url, key))
    await ask(home.provider, MODEL)
    assert server.keys() == set()
    assert (await home.provider.check_key()).state == "none"
    await home.provider.close()


async def test_a_missing_key_is_another_matter_than_a_refused_one(tmp_path: Path) -> None:
    with OpenAIServer(key="another") as server:
        for key, reason in (("", "key_missing"), (KEY, "key_refused")):
            home = Home(open_settings(tmp_path), endpoint=lambda key=key: Endpoint(server.url, key))
            with pytest.raises(BackendFailed) as caught:
                await ask(home.provider, MODEL)
            assert caught.value.reason == reason
            await home.provider.close()


async def test_checking_the_key(tmp_path: Path) -> None:
    with OpenAIServer(key=KEY) as server:
        for key, state in ((KEY, "accepted"), ("sk-wrong", "refused")):
            home = Home(open_settings(tmp_path), endpoint=lambda key=key: Endpoint(server.url, key))
            checked = await home.provider.check_key()
            assert checked.state == state
            assert ("sk-wrong" in checked.sentence, bool(checked.sentence)) == (False, state == "refused")
            await home.provider.close()


async def test_the_list_and_one_of_it(home: Home, server: OpenAIServer) -> None:
    server.models = [{"id": "a", "max_model_len": 4096}, {"id": "b"}]
    assert [(info.name, info.context_length) for info in await home.provider.models()] == [("a", 4096), ("b", 0)]
    assert (await home.provider.describe("a")).context_length == 4096
    assert "does not list" in (await home.provider.describe("c")).note
    assert server.paths() == ["GET /v1/models"]


@pytest.mark.parametrize(
    "reply", [{"nothing": 1}, [], "no", Refuse(200, "<html>"), Refuse(404, {"detail": "Not Found"})]
)
async def test_a_server_without_a_list(home: Home, server: OpenAIServer, reply: Any) -> None:
    server.list_reply = reply
    if reply != []:
        with pytest.raises(BackendFailed):
            await home.provider.models()
    assert (await home.provider.describe(MODEL)).name == MODEL


async def test_choosing_a_cloud_never_pulls(tmp_path: Path) -> None:
    """Not from the service, nor from an Ollama that runs beside it."""
    with OpenAIServer() as server, OllamaServer(models=[]) as ollama:
        settings = open_settings(tmp_path, baseURL=ollama.url)
        home = Home(settings)
        settings.change(
            {"llm.provider": "openai", "llm.baseURL": server.url, "llm.apiKey": KEY, "llm.model": "not-there"}
        )
        reported: list[Any] = []
        await home.provider.ensure("not-there", reported.append)
        await home.provider.ensure(MODEL, reported.append)
        assert (server.paths(), ollama.paths(), reported) == (["GET /v1/models"], [], [])
        await home.provider.close()


async def test_embeddings_in_batches_and_in_order(home: Home, server: OpenAIServer) -> None:
    texts = ["x" * n for n in range(200)]
    assert [vector[0] for vector in await home.provider.embed(MODEL, texts)] == [float(n) for n in range(200)]
    assert [len(request.json["input"]) for request in server.requests] == [128, 72]


async def test_embeddings_as_base64(home: Home, server: OpenAIServer) -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    server.embed_reply = {"data": [{"index": 0, "embedding": packed}]}
    assert await home.provider.embed(MODEL, ["a"]) == [[0.5, -1.0]]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"data": []}, BackendFailed),
        ({"data": [{"embedding": "?"}]}, BackendFailed),
        ({"data": [None]}, BackendFailed),
        ({"error": {"message": "no", "code": 429}}, QuotaExceeded),
        (Refuse(400, said("maximum context length is 8 tokens, however you requested 9")), ContextExceeded),
        (Refuse(501, said("This server does not support embeddings.")), NotSupported),
        (Refuse(400, said("model does not support embeddings")), NotSupported),
    ],
)
async def test_embeddings_that_fail(home: Home, server: OpenAIServer, reply: Any, kind: type[PeerSkyError]) -> None:
    server.embed_reply = reply
    with pytest.raises(kind):
        await home.provider.embed(MODEL, ["a"])


async def test_a_service_without_embeddings(home: Home, server: OpenAIServer) -> None:
    server.embed_reply = Refuse(404, {"detail": "Not Found"})
    await ask(home.provider, MODEL)
    with pytest.raises(NotSupported, match="makes no embeddings"):
        await home.provider.embed(MODEL, ["a"])
    assert (await ask(home.provider, MODEL)).content == "Hello"


@pytest.mark.parametrize(
    ("base_url", "titled"),
    [
        ("https://openrouter.ai", True),
        ("https://openrouter.ai.evil.example/api/v1", False),
        ("http://127.0.0.1:1", False),
    ],
)
async def test_only_openrouter_is_told_who_asks(
    tmp_path: Path, base_url: str, titled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, str]]] = []

    async def send(client: httpx.AsyncClient, request: httpx.Request, **_: Any) -> httpx.Response:
        sent.append((str(request.url), dict(request.headers)))
        raise httpx.ConnectError("no network in this test")

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    home = Home(open_settings(tmp_path), endpoint=lambda: Endpoint(base_url, KEY))
    with pytest.raises(BackendFailed):
        await ask(home.provider, MODEL)
    assert all(("x-title" in headers) is titled for _, headers in sent)
    if titled:
        assert sent[0][0] == "https://openrouter.ai/api/v1/chat/completions"
        assert sent[0][1]["x-title"] == "PeerSky"
    await home.provider.close()
