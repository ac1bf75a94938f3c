"""What OpenAI-compatible services refuse or break off, and what is tried again, against a server over real HTTP."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import (
    BackendFailed,
    BodyTooLarge,
    ContextExceeded,
    InvalidRequest,
    NotAllowed,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.llm.http import Limits
from peersky.llm.openai_calls import PASSING
from peersky.llm.providers import openai_compat
from tests.fakes.http_server import Abort, Cut, Drip, Hold, Refuse, Silence
from tests.fakes.openai_server import DONE, OpenAIServer, delta
from tests.unit.llm.openai_compat.conftest import MODEL, Home, said
from tests.unit.llm.provider_home import TOOL, ask, ask_for, ask_until_it_breaks, chunks_of, open_settings

REFUSALS: list[tuple[Refuse, type[PeerSkyError], str, str]] = [
    (Refuse(400, said("bad thing")), InvalidRequest, "invalid_request", "bad thing"),
    (Refuse(400, {"error": "bad thing"}), InvalidRequest, "invalid_request", "bad thing"),
    (
        Refuse(422, {"detail": [{"loc": ["body", "x"], "msg": "bad thing"}]}),
        InvalidRequest,
        "invalid_request",
        "bad thing",
    ),
    (Refuse(400, {"object": "error", "message": "bad thing"}), InvalidRequest, "invalid_request", "bad thing"),
    (Refuse(400, [said("bad thing")]), InvalidRequest, "invalid_request", "bad thing"),
    (Refuse(401, said("No auth")), BackendFailed, "key_refused", "No auth"),
    (Refuse(402, said("Insufficient credits")), QuotaExceeded, "credits", "Insufficient credits"),
    (Refuse(403, said("flagged")), NotAllowed, "refused_by_service", "flagged"),
    (Refuse(408, said("slow")), QuotaExceeded, "rate_limited", "slow"),
    (Refuse(429, said("slow down")), QuotaExceeded, "rate_limited", "slow down"),
    (Refuse(429, said("pay", code="insufficient_quota")), QuotaExceeded, "credits", "pay"),
    (Refuse(413, said("too big")), BodyTooLarge, "body_too_large", "too big"),
    (Refuse(500, said("oops")), BackendFailed, "backend_error", "oops"),
    (Refuse(502, "<html>Bad Gateway</html>"), BackendFailed, "backend_error", "status 502"),
    (Refuse(503, said("Loading model")), BackendFailed, "backend_error", "Loading model"),
    (
        Refuse(404, said("The model `x` does not exist", code="model_not_found")),
        NotSupported,
        "model_missing",
        "not exist",
    ),
    (Refuse(400, said("x is not a valid model ID")), NotSupported, "model_missing", "not a valid model"),
    (Refuse(404, said("No endpoints found that support tool use.")), NotSupported, "capability_missing", "tool use"),
    (Refuse(400, said("image input is not supported")), NotSupported, "capability_missing", "image input"),
    (Refuse(501, said("not here")), NotSupported, "capability_missing", "not here"),
    (
        Refuse(400, said("This model's maximum context length is 8 tokens. However, you requested 9 tokens")),
        ContextExceeded,
        "context_length",
        "9 tokens",
    ),
    (
        Refuse(400, said("too long", code="context_length_exceeded")),
        ContextExceeded,
        "context_length",
        "too long",
    ),
]

BY_STATUS = [f"{refusal.status} {reason} {n}" for n, (refusal, _, reason, _) in enumerate(REFUSALS)]


@pytest.mark.parametrize(("refusal", "kind", "reason", "says"), REFUSALS, ids=BY_STATUS)
async def test_a_refusal_is_the_right_error_with_the_services_sentence(
    home: Home, server: OpenAIServer, refusal: Refuse, kind: type[PeerSkyError], reason: str, says: str
) -> None:
    server.refusals = [refusal] * 2
    with pytest.raises(kind, match=says) as caught:
        await ask(home.provider, MODEL)
    assert caught.value.reason == reason
    passes = refusal.status in PASSING and reason != "credits"
    assert len(server.chats()) == (2 if passes else 1)


WITHIN_200 = [
    case for case in REFUSALS if isinstance(case[0].body, dict) and isinstance(case[0].body.get("error"), dict)
]


@pytest.mark.parametrize(("refusal", "kind", "reason", "says"), WITHIN_200)
async def test_the_same_error_within_a_reply_that_looks_well(
    home: Home, server: OpenAIServer, refusal: Refuse, kind: type[PeerSkyError], reason: str, says: str
) -> None:
    error = {"code": refusal.status, **refusal.body["error"]}
    server.whole = {"error": error}
    with pytest.raises(PeerSkyError, match=says) as caught:
        await ask(home.provider, MODEL)
    if isinstance(error["code"], int) and kind is not InvalidRequest:
        assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert len(server.chats()) == 1


async def test_when_to_ask_again_is_in_the_sentence(home: Home, server: OpenAIServer) -> None:
    server.refusals = [Refuse(429, said("slow down"), {"retry-after": "45"})]
    with pytest.raises(QuotaExceeded, match=r"slow down\. Ask again in 45 seconds\."):
        await ask(home.provider, MODEL)
    assert (len(server.chats()), home.pauses) == (1, [])


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "7"}, 7, 7.5),
        ({"retry-after-ms": "2500"}, 2.5, 3),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0, 0.5),
        ({"retry-after": "nonsense"}, 1, 1.5),
        ({"retry-after": "-3"}, 0, 0.5),
        ({}, 1, 1.5),
    ],
)
async def test_what_passes_is_tried_once_more_after_the_wanted_pause(
    home: Home, server: OpenAIServer, headers: dict[str, str], low: float, high: float
) -> None:
    server.refusals = [Refuse(503, said("busy"), headers)]
    assert (await ask(home.provider, MODEL)).content == "Hello"
    assert len(server.chats()) == 2
    assert low <= home.pauses[0] <= high
    assert home.log.of("backend.retry")[0]["why"] == "503"


async def test_nothing_is_tried_twice_after_the_first_word(home: Home, server: OpenAIServer) -> None:
    for last in (Abort, Cut, said("busy", code=503)):
        server.script = ["Hel", last]
        text, _ = await ask_until_it_breaks(home.provider, MODEL, ask_for())
        assert text == "Hel"
    assert (len(server.chats()), home.pauses) == (3, [])


@pytest.mark.fault("A service closes before it replies")
async def test_a_connection_that_breaks_before_the_reply_is_not_asked_again(home: Home, server: OpenAIServer) -> None:
    # The service may have the question already, and charge for it.
    server.refusals = [Abort]
    with pytest.raises(BackendFailed) as caught:
        await ask(home.provider, MODEL)
    assert (caught.value.reason, len(server.chats())) == ("interrupted", 1)


BREAKS: dict[str, tuple[list[Any], type[PeerSkyError], str]] = {
    "reset": ([Abort], BackendFailed, "interrupted"),
    "end without finish": ([Cut], BackendFailed, "interrupted"),
    "DONE without finish": ([DONE, Cut], BackendFailed, "interrupted"),
    "silence": ([Silence], BackendFailed, "interrupted"),
    "drip": ([Drip], BackendFailed, "interrupted"),
    "error event": ([said("overloaded", code=502)], BackendFailed, "backend_error"),
    "OpenRouter's": (
        [{**said("gone", code="server_error"), **delta({"content": ""}, "error")}],
        BackendFailed,
        "backend_error",
    ),
    "finish error": ([delta({}, "error")], BackendFailed, "backend_error"),
    "rate limit": ([said("slow", code=429)], QuotaExceeded, "rate_limited"),
    "overflow": ([said("Context size has been exceeded.", code=500)], ContextExceeded, "context_length"),
    "refusal too late": ([said("bad", code=400)], BackendFailed, "backend_error"),
    "no JSON": ([b"data: x\n\n" * 6], BackendFailed, "backend_error"),
    "endless line": ([b"data: " + b"x" * (9 * 1024 * 1024)], BackendFailed, "backend_error"),
}


@pytest.mark.fault("A service breaks in the middle of an answer")
@pytest.mark.parametrize(("steps", "kind", "reason"), BREAKS.values(), ids=BREAKS.keys())
async def test_a_stream_that_breaks_keeps_its_text_and_never_looks_whole(
    home: Home, server: OpenAIServer, steps: list[Any], kind: type[PeerSkyError], reason: str
) -> None:
    server.script = ["Hel", "lo", *steps, Cut]
    text, error = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    assert isinstance(error, kind), error
    assert (text, error.reason) == ("Hello", reason)
    assert len(server.chats()) == 1


async def test_a_reply_without_a_word_is_no_answer(home: Home, server: OpenAIServer) -> None:
    server.script = [Cut]
    _, error = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    assert isinstance(error, BackendFailed)
    assert error.reason == "interrupted"


@pytest.mark.fault("A service hangs before its first byte")
async def test_silence_before_the_first_byte(tmp_path: Path, server: OpenAIServer) -> None:
    limits = Limits(connect_s=0.2, first_byte_s=0.2, idle_s=0.2)
    home = Home(open_settings(tmp_path, baseURL=server.url), limits=limits)
    server.script = [Hold()]
    _, error = await ask_until_it_breaks(home.provider, MODEL, ask_for())
    assert isinstance(error, BackendFailed)
    assert error.reason == "interrupted"
    await home.provider.close()


@pytest.mark.parametrize("hold", [[Hold()], ["Hel", Hold()]], ids=["before the first word", "in mid-answer"])
async def test_leaving_closes_the_connection(home: Home, server: OpenAIServer, hold: list[Any]) -> None:
    server.script = [*hold, "lo"]
    reading = asyncio.ensure_future(chunks_of(home.provider, MODEL, ask_for()))
    await server.until(lambda: bool(server.chats()))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await server.until(lambda: server.requests[0].gone)


@pytest.mark.fault("A service that is down")
async def test_a_service_that_is_down_is_said_to_be_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    home = Home(open_settings(tmp_path, baseURL=f"http://127.0.0.1:{port}/v1"))
    with pytest.raises(BackendFailed, match=f"cannot be reached at http://127.0.0.1:{port}/v1") as caught:
        await ask(home.provider, MODEL)
    assert caught.value.reason == "unreachable"
    assert len(home.pauses) == 1
    await home.provider.close()


async def test_the_other_name_of_the_limit_is_remembered(home: Home, server: OpenAIServer) -> None:
    server.not_taken = {"max_tokens"}
    for _ in range(2):
        assert (await ask(home.provider, MODEL, max_tokens=9)).content == "Hello"
    names = [{"max_tokens", "max_completion_tokens"} & body.keys() for body in server.chats()]
    assert names == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


@pytest.mark.parametrize("option", ["temperature", "top_p", "stream_options"])
async def test_an_option_that_is_refused_is_left_out_and_remembered(
    home: Home, server: OpenAIServer, option: str
) -> None:
    server.not_taken = {option}
    for _ in range(2):
        assert (await ask(home.provider, MODEL, temperature=0.5, top_p=0.5)).content == "Hello"
    assert [option in body for body in server.chats()] == [True, False, False]
    assert home.log.of("backend.option-refused")[0]["option"] == option


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Unsupported value: 'temperature' does not support 0.5. Only the default is supported."}},
        {
            "detail": [
                {"loc": ["body", "temperature"], "type": "extra_forbidden", "msg": "Extra inputs are not permitted"}
            ]
        },
        {"error": "Unrecognized request argument supplied: temperature"},
    ],
)
async def test_the_option_is_found_in_whatever_form_it_is_named(home: Home, server: OpenAIServer, body: Any) -> None:
    server.refusals = [Refuse(400, body)]
    assert (await ask(home.provider, MODEL, temperature=0.5)).content == "Hello"
    assert ["temperature" in sent for sent in server.chats()] == [True, False]


@pytest.mark.parametrize("option", ["tools", "response_format", "seed", "stop"])
async def test_what_was_asked_for_is_never_left_out(home: Home, server: OpenAIServer, option: str) -> None:
    server.not_taken = {option}
    more: dict[str, Any] = {"tools": (TOOL,), "response_format": {"type": "json_object"}, "seed": 1, "stop": ("a",)}
    with pytest.raises((NotSupported, InvalidRequest), match=option):
        await ask(home.provider, MODEL, **more)
    assert len(server.chats()) == 1


async def test_thinking_that_a_page_asked_for_is_not_left_out_silently(home: Home, server: OpenAIServer) -> None:
    server.not_taken = {"reasoning_effort"}
    with pytest.raises(NotSupported) as caught:
        await ask(home.provider, MODEL, think="high")
    assert caught.value.param == "think"
    assert (await ask(home.provider, MODEL, think=True, think_if_possible=True)).content == "Hello"
    assert (await ask(home.provider, MODEL, think=False)).content == "Hello"


async def test_a_server_that_refuses_everything_is_not_asked_for_ever(home: Home, server: OpenAIServer) -> None:
    server.not_taken = {"max_tokens", "max_completion_tokens", "temperature", "top_p", "stream_options"}
    with pytest.raises((InvalidRequest, NotSupported)):
        await ask(home.provider, MODEL, temperature=0.5, top_p=0.5, max_tokens=9)
    assert len(server.chats()) <= openai_compat.MOST_REFUSALS
