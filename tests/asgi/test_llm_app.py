"""``llm://bridge/v1`` without Qt: wire format, refusals, errors before and in mid-stream, and who goes away."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from peersky.core.chat import ChatChunk, Progress
from peersky.core.errors import BackendFailed, ContextExceeded, NotEnoughMemory, NotSupported, PeerSkyError
from peersky.core.origins import BROWSER, OPAQUE, Origin, parse_origin
from peersky.core.sse import SseDecoder
from peersky.core.trust import Policy
from peersky.llm.bridge import Bridge
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import COMMAND_LINE, NOBODY, Asker
from peersky.web.llm_app import MAX_BODY_BYTES, make_llm_app
from tests.asgi.client import AsgiClient, Reply
from tests.fakes.scripted_provider import END, USAGE, Hold, Log, ScriptedProvider

CHAT, MODELS = "llm://bridge/v1/chat/completions", "llm://bridge/v1/models"
STATUS, EMBEDDINGS = "llm://bridge/v1/status", "llm://bridge/v1/embeddings"
PAGE = Origin("hyper", "a")
QUESTION = {"messages": [{"role": "user", "content": "Hi"}]}
STREAM = QUESTION | {"stream": True}


def page(origin: Origin | str, top: Origin | str | None = None) -> Asker:
    own = parse_origin(origin) if isinstance(origin, str) else origin
    above = parse_origin(top) if isinstance(top, str) else top
    return Asker(own, above or own, "xhr")


class World:
    """The app over a real bridge and real settings, and a provider that answers as told."""

    def __init__(self, folder: Path) -> None:
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.settings.change({"llm.enabled": True, "llm.provider": "builtin"})
        self.provider = ScriptedProvider()
        self.log = Log()
        self.bridge = Bridge(self.settings, {"builtin": self.provider}, self.log)
        self.policy = Policy()
        self.client = AsgiClient(make_llm_app(self.bridge, lambda: self.policy), page(PAGE))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def events(reply: Reply) -> list[Any]:
    decoder = SseDecoder()
    found = decoder.feed(reply.body) + decoder.finish()
    return [event if event == "[DONE]" else json.loads(event) for event in found]


def error_of(reply: Reply) -> dict[str, Any]:
    assert reply.headers["content-type"] == "application/json"
    error: dict[str, Any] = reply.json["error"]
    assert error["message"].endswith(".")
    return error


# --- OpenAI's wire format


async def test_a_whole_answer(world: World) -> None:
    world.provider.script = [ChatChunk(role="assistant"), ChatChunk(reasoning="Hm."), ChatChunk(content="Hé🙂"), END]
    reply = await world.client.post(CHAT, json=QUESTION)
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    answer = reply.json
    assert answer["id"].startswith("chatcmpl-")
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "peersky-starter"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hé🙂", "reasoning": "Hm."},
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == USAGE.as_object()


async def test_a_streamed_answer(world: World) -> None:
    world.provider.script = [ChatChunk(content="Hé"), ChatChunk(content="🙂\n\ndata: x"), END]
    reply = await world.client.post(CHAT, json=STREAM)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    first, second, last, done = events(reply)
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in (first, second, last)} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in (first, second, last)}) == 1
    assert first["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": "Hé"}, "finish_reason": None}]
    assert second["choices"][0]["delta"] == {"content": "🙂\n\ndata: x"}
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert last["usage"] == USAGE.as_object()
    assert "usage" not in first


async def test_chunks_arrive_one_by_one(world: World) -> None:
    hold = Hold()
    world.provider.script = [ChatChunk(content="a"), hold, ChatChunk(content="b"), END]
    async with world.client.stream("POST", CHAT, json=STREAM) as reply:
        assert b'"a"' in await reply.next_chunk()
        await hold.reached.wait()
        hold.released.set()
        assert b'"b"' in await reply.next_chunk()
        await reply.read()


async def test_progress_of_the_prompt_comes_before_the_answer(world: World) -> None:
    world.provider.script = [ChatChunk(progress=Progress(256, 1024)), ChatChunk(content="a"), END]
    reply = await world.client.post(CHAT, json=STREAM)
    progress, first, *_ = events(reply)
    assert progress["prompt_progress"] == {"processed": 256, "total": 1024}
    assert progress["choices"][0]["delta"] == {}
    assert first["choices"][0]["delta"]["role"] == "assistant"


async def test_tool_calls(world: World) -> None:
    fragment = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}
    rest = {"index": 0, "function": {"arguments": "}"}}
    world.provider.script = [
        ChatChunk(tool_calls=(fragment,)),
        ChatChunk(tool_calls=(rest,)),
        ChatChunk(finish_reason="tool_calls", usage=USAGE),
    ]
    streamed = await world.client.post(CHAT, json=STREAM)
    assert [e["choices"][0]["delta"].get("tool_calls") for e in events(streamed)[:2]] == [[fragment], [rest]]
    whole = await world.client.post(CHAT, json=QUESTION)
    assert whole.json["choices"][0]["message"]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


async def test_models(world: World) -> None:
    reply = await world.client.get(MODELS)
    assert reply.json["object"] == "list"
    assert [(model["id"], model["object"]) for model in reply.json["data"]] == [("peersky-starter", "model")]
    assert reply.json["data"][0]["contextLength"] == 2048


@pytest.mark.parametrize("texts", ["three", ["three"]])
async def test_embeddings(world: World, texts: Any) -> None:
    reply = await world.client.post(EMBEDDINGS, json={"input": texts, "model": "peersky-starter"})
    assert reply.json["data"] == [{"object": "embedding", "index": 0, "embedding": [5.0, 0.5]}]


async def test_embeddings_as_the_client_libraries_want_them(world: World) -> None:
    reply = await world.client.post(EMBEDDINGS, json={"input": "three", "encoding_format": "base64"})
    assert struct.unpack("<2f", base64.b64decode(reply.json["data"][0]["embedding"])) == (5.0, 0.5)


async def test_status_tells_the_settings(world: World) -> None:
    assert (await world.client.get(STATUS)).json["supported"] is True
    world.settings.change({"llm.enabled": False})
    status = (await world.client.get(STATUS)).json
    assert (status["enabled"], status["supported"], status["reason"]) == (False, False, "llm_disabled")


async def test_content_type_is_not_asked_for(world: World) -> None:
    body = json.dumps(QUESTION).encode()
    for headers in ({}, {"Content-Type": "text/plain;charset=UTF-8"}):
        assert (await world.client.post(CHAT, content=body, headers=headers)).status == 200


async def test_a_body_in_pieces(world: World) -> None:
    body = json.dumps(QUESTION).encode()
    assert (await world.client.post(CHAT, content=[body[:5], body[5:9], body[9:]])).status == 200


async def test_a_whole_answer_of_a_server_that_cut_an_emoji_in_two(world: World) -> None:
    """Found by tests/fuzz/test_openapi.py: the reply broke off before its status."""
    world.provider.script = [ChatChunk(content="Hi \ud83d"), ChatChunk(content="\ude42"), END]
    reply = await world.client.post(CHAT, json=QUESTION)
    assert rb"Hi \ud83d\ude42" in reply.body
    assert reply.json["choices"][0]["message"]["content"] == "Hi 🙂"


async def test_half_a_surrogate_pair_reaches_no_back_end(world: World) -> None:
    body = rb'{"messages": [{"content": "a\ud83d \\ud83d \ud83d\ude42"}]}'
    assert (await world.client.post(CHAT, content=body)).status == 200
    (request,) = world.provider.requests
    assert request.messages[0]["content"] == "a� \\ud83d 🙂"


# --- who is let in: a list of rejections

TRUSTED = [
    page("peersky://home"),
    page("peersky://p2p"),
    page("peersky://app-notes"),
    page("hyper://abc"),
    page("ipfs://bafy"),
    page("ipns://k51"),
    page("http://localhost"),
    page("http://localhost:3000"),
    page("https://agregore.mauve.moe"),
    page("hyper://abc", "http://localhost:5"),
    COMMAND_LINE,
]
REFUSED = [
    (NOBODY, "not_trusted"),
    (page(OPAQUE), "not_trusted"),
    (page(BROWSER), "not_trusted"),
    (page("https://localhost"), "not_trusted"),
    (page("http://localhost."), "not_trusted"),
    (page("http://localhost.evil.example"), "not_trusted"),
    (page("http://127.0.0.1"), "not_trusted"),
    (page("http://agregore.mauve.moe"), "not_trusted"),
    (page("https://agregore.mauve.moe.evil.example"), "not_trusted"),
    (page("https://agregore.mauve.moe:8443"), "not_trusted"),
    (page("https://evil.example"), "not_trusted"),
    (page("hyper://abc", "https://evil.example"), "not_trusted"),
    (page("peersky://p2p", OPAQUE), "not_trusted"),
    (Asker(parse_origin("https://evil.example")), "not_trusted"),
    (Asker(parse_origin("hyper://abc")), "no_stamp"),
    (Asker(parse_origin("peersky://home")), "no_stamp"),
    (page("hyper://blocked"), "blocked_by_user"),
    (page("hyper://abc", "hyper://blocked"), "blocked_by_user"),
    (page("hyper://blocked", "https://evil.example"), "not_trusted"),
]
EVERYTHING = [
    ("POST", CHAT),
    ("POST", EMBEDDINGS),
    ("GET", MODELS),
    ("GET", STATUS),
    ("GET", "llm://bridge/"),
    ("GET", "llm://elsewhere/"),
]


@pytest.mark.parametrize("asker", TRUSTED, ids=lambda asker: f"{asker.origin} in {asker.top}")
async def test_trusted(world: World, asker: Asker) -> None:
    assert (await world.client.get(STATUS, asker=asker)).status == 200
    assert (await world.client.post(CHAT, json=QUESTION, asker=asker)).status == 200


@pytest.mark.parametrize(("asker", "reason"), REFUSED, ids=[f"{asker.origin} in {asker.top}" for asker, _ in REFUSED])
async def test_refused_everywhere(world: World, asker: Asker, reason: str) -> None:
    world.policy = Policy(blocked=frozenset({"hyper://blocked"}))
    for method, url in EVERYTHING:
        reply = await world.client.request(method, url, asker=asker, content=json.dumps(QUESTION).encode())
        assert reply.status == 403
        error = error_of(reply)
        assert (error["name"], error["code"], error["type"]) == ("NotAllowedError", reason, "permission_error")
    assert world.provider.requests == []


async def test_a_change_of_the_policy_counts_at_once(world: World) -> None:
    asker = page("https://friend.example")
    assert (await world.client.get(STATUS, asker=asker)).status == 403
    world.policy = Policy(allowlist=frozenset({"https://friend.example"}))
    assert (await world.client.get(STATUS, asker=asker)).status == 200
    assert (await world.client.get(STATUS, asker=page("https://agregore.mauve.moe"))).status == 403


@pytest.mark.parametrize("body", [QUESTION, STREAM])
async def test_disabled(world: World, body: Any) -> None:
    world.settings.change({"llm.enabled": False})
    reply = await world.client.post(CHAT, json=body)
    assert (reply.status, error_of(reply)["code"]) == (403, "llm_disabled")
    assert (await world.client.get(MODELS)).status == 403
    assert (await world.client.post(CHAT, json=body, asker=COMMAND_LINE)).status == 200


async def test_a_page_asks_for_a_model_that_is_not_exposed(world: World) -> None:
    reply = await world.client.post(CHAT, json=QUESTION | {"model": "other"})
    error = error_of(reply)
    assert (reply.status, error["code"], error["param"]) == (501, "model_not_exposed", "model")
    answer = await world.client.post(CHAT, json=QUESTION | {"model": "other"}, asker=COMMAND_LINE)
    assert answer.json["model"] == "other"


# --- bad requests


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\xfd", b"null", b"[]", b'"x"', b"[" * 100_000, b'{"messages": "x"'], ids=repr
)
@pytest.mark.parametrize("url", [CHAT, EMBEDDINGS])
async def test_malformed_bodies(world: World, url: str, body: bytes) -> None:
    reply = await world.client.post(url, content=body)
    assert reply.status == 400
    assert error_of(reply)["name"] == "TypeError"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"role": "king", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a", 7]}, "stop"),
        ({"top_p": True}, "top_p"),
        ({"seed": "x"}, "seed"),
        ({"tools": {}}, "tools"),
        ({"response_format": "json"}, "response_format"),
        ({"think": "deeply"}, "think"),
        ({"stream": "yes"}, "stream"),
        ({"model": 7}, "model"),
    ],
)
async def test_a_wrong_type_is_named(world: World, change: dict[str, Any], param: str) -> None:
    for body in (QUESTION | change, STREAM | change):
        reply = await world.client.post(CHAT, json=body)
        error = error_of(reply)
        assert (reply.status, error["name"], error["param"]) == (400, "TypeError", param)
        assert param.split("[")[0] in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": "x", "model": 7}, "model"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
    ],
)
async def test_wrong_embedding_requests(world: World, body: Any, param: str) -> None:
    reply = await world.client.post(EMBEDDINGS, json=body)
    assert (reply.status, error_of(reply)["param"]) == (400, param)


async def test_a_body_over_the_bound(world: World) -> None:
    piece = b"x" * (MAX_BODY_BYTES // 2)
    reply = await world.client.post(CHAT, content=[piece, piece, b"x"])
    error = error_of(reply)
    assert (reply.status, error["code"], error["quota"]) == (413, "body_too_large", MAX_BODY_BYTES)
    assert error["requested"] > error["quota"]


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", CHAT, 405),
        ("PUT", CHAT, 405),
        ("POST", MODELS, 405),
        ("DELETE", STATUS, 405),
        ("GET", EMBEDDINGS, 405),
        ("GET", "llm://bridge/", 404),
        ("GET", "llm://bridge/v1", 404),
        ("GET", "llm://bridge/v1/models/", 404),
        ("POST", "llm://bridge/v1/completions", 404),
        ("POST", "llm://bridge/v2/chat/completions", 404),
        ("POST", "llm://other/v1/chat/completions", 404),
    ],
)
async def test_what_is_not_there(world: World, method: str, url: str, status: int) -> None:
    reply = await world.client.request(method, url, content=b"{}")
    assert reply.status == status
    assert error_of(reply)["message"]
    if status == 405:
        assert reply.headers["allow"]


# --- errors of the back end

FAILURES: list[tuple[Exception, int, str, str]] = [
    (ContextExceeded("Too long.", requested=4017, quota=512), 400, "QuotaExceededError", "context_length"),
    (NotEnoughMemory("Too big.", requested=9, quota=8), 507, "QuotaExceededError", "not_enough_memory"),
    (NotSupported("No such model.", reason="model_missing"), 501, "NotSupportedError", "model_missing"),
    (BackendFailed("Not there."), 502, "NetworkError", "unreachable"),
    (PeerSkyError("Odd."), 500, "OperationError", "internal_error"),
    (RuntimeError("secret detail"), 500, "OperationError", "internal_error"),
]


@pytest.mark.parametrize(("failure", "status", "name", "code"), FAILURES, ids=lambda value: str(value)[:20])
async def test_errors_before_the_first_chunk_have_their_status(
    world: World, failure: Exception, status: int, name: str, code: str
) -> None:
    world.provider.script = [failure]
    for body in (QUESTION, STREAM):
        reply = await world.client.post(CHAT, json=body)
        error = error_of(reply)
        assert (reply.status, error["name"], error["code"]) == (status, name, code)
        assert "secret" not in reply.text
        if isinstance(failure, ContextExceeded):
            assert (error["requested"], error["quota"]) == (4017, 512)


@pytest.mark.parametrize("first", [ChatChunk(content="a"), ChatChunk(progress=Progress(1, 2))])
@pytest.mark.parametrize(("failure", "status", "name", "code"), FAILURES, ids=lambda value: str(value)[:20])
async def test_errors_in_mid_stream_are_an_event_and_no_normal_end(
    world: World, failure: Exception, status: int, name: str, code: str, first: ChatChunk
) -> None:
    world.provider.script = [first, failure]
    reply = await world.client.post(CHAT, json=STREAM)
    assert reply.status == 200
    _, last = events(reply)
    assert (last["error"]["name"], last["error"]["code"]) == (name, code)
    assert b"[DONE]" not in reply.body
    assert "secret" not in reply.text


async def test_an_answer_that_just_ends_is_no_normal_end(world: World) -> None:
    world.provider.script = [ChatChunk(content="a")]
    reply = await world.client.post(CHAT, json=STREAM)
    assert events(reply)[-1]["error"]["code"] == "interrupted"
    whole = await world.client.post(CHAT, json=QUESTION)
    assert (whole.status, error_of(whole)["code"]) == (502, "interrupted")


async def test_a_fault_of_ours_goes_to_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.provider.script = [RuntimeError("secret detail")]
    await world.client.post(CHAT, json=QUESTION)
    assert "secret detail" in caplog.text


async def test_embeddings_fail_with_their_status(world: World) -> None:
    reply = await world.client.post(EMBEDDINGS, json={"input": "x", "model": "other"})
    assert (reply.status, error_of(reply)["code"]) == (501, "model_not_exposed")


# --- going away


@pytest.mark.parametrize("before", [[], [ChatChunk(progress=Progress(1, 9))], [ChatChunk(content="a")]])
@pytest.mark.parametrize("body", [QUESTION, STREAM])
async def test_going_away_stops_the_generation(world: World, body: Any, before: list[ChatChunk]) -> None:
    hold = Hold()
    world.provider.script = [*before, hold, END]
    reply = world.client.send("POST", CHAT, json=body)
    await asyncio.wait_for(hold.reached.wait(), 10)
    await reply.disconnect()
    await reply.finished()
    assert (world.provider.open, world.provider.cut) == (0, 1)
    assert world.log.of("generation-end")[0]["outcome"] == "cancelled"


async def test_going_away_while_nobody_reads_stops_the_generation(world: World) -> None:
    world.provider.script = [*[ChatChunk(content="x")] * 1000, Hold(), END]
    async with world.client.stream("POST", CHAT, json=STREAM) as reply:
        await reply.next_chunk()
    assert (world.provider.open, world.provider.cut) == (0, 1)


async def test_going_away_while_waiting_for_a_turn(world: World) -> None:
    world.settings.change({"llm.parallel": 1})
    hold = Hold()
    world.provider.script = [hold, END]
    async with asyncio.TaskGroup() as group:
        first = group.create_task(world.client.post(CHAT, json=STREAM))
        await hold.reached.wait()
        busy = asyncio.Event()
        world.bridge.subscribe(lambda origin, count: busy.set() if count == 2 else None)
        waiting = world.client.send("POST", CHAT, json=STREAM)
        await asyncio.wait_for(busy.wait(), 10)
        await waiting.disconnect()
        await waiting.finished()
        assert world.bridge.status(PAGE)["active"] == 1
        hold.released.set()
    assert first.result().body.endswith(b"data: [DONE]\n\n")
    assert len(world.provider.requests) == 1


async def test_going_away_in_mid_upload(world: World) -> None:
    reply = world.client.send("POST", CHAT, content=[b'{"messages":', b""])
    await reply.disconnect()
    await reply.finished()
    assert world.provider.requests == []


async def test_stop_is_an_abort_error(world: World) -> None:
    hold = Hold()
    world.provider.script = [ChatChunk(content="a"), hold]
    async with world.client.stream("POST", CHAT, json=STREAM) as reply:
        await hold.reached.wait()
        assert world.bridge.stop(PAGE) == 1
        await reply.read()
    last = events(reply)[-1]
    assert (last["error"]["name"], last["error"]["code"]) == ("AbortError", "stopped")


async def test_32_streams_at_once_lose_nothing(world: World) -> None:
    world.provider.script = lambda request: [*(ChatChunk(content=f"{n} ") for n in range(200)), END]
    replies = await asyncio.gather(*(world.client.post(CHAT, json=STREAM) for _ in range(32)))
    expected = "".join(f"{n} " for n in range(200))
    for reply in replies:
        chunks = [event for event in events(reply) if event != "[DONE]"]
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == expected


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
async def test_a_frame_in_the_page_that_is_looked_at_goes_before_the_background(world: World, path: str) -> None:
    world.settings.change({"llm.parallel": 1})
    looked_at, hidden = Origin("hyper", "looked"), Origin("hyper", "hidden")
    world.bridge.show_pages(frozenset({looked_at}))
    hold, order = Hold(), list[str]()
    world.provider.script = [hold, ChatChunk(content="x"), END]

    async def ask(name: str, asker: Asker) -> None:
        reply = await world.client.post(path, json=QUESTION | {"input": "x"}, asker=asker)
        assert reply.status == 200
        order.append(name)

    first = asyncio.create_task(world.client.post(CHAT, json=QUESTION, asker=page(hidden)))
    await asyncio.wait_for(hold.reached.wait(), 10)
    world.provider.script = [ChatChunk(content="x"), END]
    rest, came = [], asyncio.Event()
    world.bridge.subscribe(lambda _origin, _count: came.set())
    for name, asker in (("background", page(PAGE)), ("frame", page("hyper://framed", looked_at))):
        came.clear()
        rest.append(asyncio.create_task(ask(name, asker)))
        await asyncio.wait_for(came.wait(), 10)
    hold.released.set()
    await asyncio.wait_for(asyncio.gather(first, *rest), 10)
    assert order == ["frame", "background"]
