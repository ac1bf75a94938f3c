"""``window.llm`` in the real QtWebEngine against odd bytes: any split, any line end, and streams that break."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.qt.llm_lab import page_app

TEXT = 'é🙂\u2028 data: [DONE]\n\ndata: {"x"}'
CAUGHT = "return await window.llm.complete('Hi').catch((e) => [e.name, e.reason]);"


def event(content: str = "", finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


WHOLE = event(TEXT) + event(TEXT) + event(finish_reason="stop") + b"data: [DONE]\n\n"


def replies(status: int, pieces: list[bytes]) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An app that sends these pieces as they are, whatever it is asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/event-stream")]}
        )
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_any_split_and_any_line_end(world: Callable[..., Any], line_end: bytes, size: int) -> None:
    body = b": a comment\nevent: message\nid: 7\n" + WHOLE.replace(b"data: {", b"data:{", 1)
    body = body.replace(b"\n", line_end)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    page = world(peersky=page_app, llm=replies(200, pieces)).page("peersky://p2p/")
    assert page.evaluate("return await window.llm.complete('Hi');") == TEXT * 2


@pytest.mark.fault("The stream to a page breaks")
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"", "interrupted"),
        (200, event("He"), "interrupted"),
        (200, event("He") + event(finish_reason="stop"), "interrupted"),
        (200, event("He") + b"data: [DONE]\n\n", "interrupted"),
        (200, b'{"error": {"message": "x"}}', "interrupted"),
        (200, event("He") + b"data: {broken\n\n", "backend_error"),
        (200, event("He") + b'data: {"error": "out of memory"}\n\n', "backend_error"),
        (502, b"<html>Bad gateway</html>", "backend_error"),
        (500, b'{"error": {}}', "backend_error"),
    ],
)
def test_a_broken_stream_never_looks_like_an_answer(
    world: Callable[..., Any], status: int, body: bytes, reason: str
) -> None:
    page = world(peersky=page_app, llm=replies(status, [body])).page("peersky://p2p/")
    assert page.evaluate(CAUGHT) == ["NetworkError", reason]
    iterated = "try { for await (const d of llm.complete('Hi')); } catch (e) { return [e.name, e.reason]; }"
    assert page.evaluate(iterated) == ["NetworkError", reason]


def test_without_a_bridge(world: Callable[..., Any]) -> None:
    page = world(peersky=page_app).page("peersky://p2p/")
    assert page.evaluate(CAUGHT) == ["NetworkError", "unreachable"]
    assert page.evaluate("return await window.llm.isSupported();") is False
