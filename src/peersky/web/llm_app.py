"""The app behind ``llm://bridge/v1``: OpenAI's chat completions, models and embeddings, for whom trust lets in.

Every request is checked here, whatever the page's own script thought; there is no other way to a model. Runs on the
service loop, without Qt.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import struct
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from peersky.core import sse
from peersky.core.chat import ChatAnswer, ChatRequest, chunk_object, parse_chat_request
from peersky.core.errors import BodyTooLarge, Cancelled, InvalidRequest, NotAllowed, NotFound, PeerSkyError
from peersky.core.origins import Origin
from peersky.core.trust import MODEL, Answer, Policy, UseModel, is_trusted, may
from peersky.llm.bridge import Bridge
from peersky.system.site_records import Event, Note
from peersky.web.asker import Asker, asker_of
from peersky.web.errors import ERROR_HANDLERS, NO_STORE, error_response, internal_error
from peersky.web.json_reply import JSONResponse, json_bytes
from peersky.web.requests import json_value

_logger = logging.getLogger(__name__)

HOST: Final = "bridge"
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
MAX_TEXTS: Final = 2048
"""Texts in one request for embeddings; OpenAI's own bound."""

_JSON: Final = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_EVENT_STREAM: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


def make_llm_app(bridge: Bridge, policy: Callable[[], Policy], note: Note = lambda _event: None) -> ASGIApp:
    """The app for the scheme ``llm:``.

    Args:
        bridge: answers.
        policy: what the user decided about trust, asked at each request.
        note: told who was refused; of what is let in, the bridge's meter tells.
    """

    async def chat(request: Request) -> ASGIApp:
        asked, streamed = parse_chat_request(await _json_body(request))
        reply = _streamed_reply if streamed else _whole_reply
        return reply(bridge, asker_of(request.scope), asked)

    async def embeddings(request: Request) -> ASGIApp:
        texts, model, encode = _parse_embedding_request(await _json_body(request))
        return _embeddings_reply(bridge, asker_of(request.scope), texts, model, encode)

    async def models(request: Request) -> Response:
        found = await bridge.models(asker_of(request.scope).origin)
        return JSONResponse({"object": "list", "data": [info.as_object() for info in found]}, headers=NO_STORE)

    async def status(request: Request) -> Response:
        return JSONResponse(bridge.status(asker_of(request.scope).origin), headers=NO_STORE)

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/embeddings", embeddings, methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
            Route("/v1/status", status, methods=["GET"]),
        ],
        exception_handlers=dict(ERROR_HANDLERS),
    )
    app.router.redirect_slashes = False
    return _Gate(app, policy, note)


class _Gate:
    """Refuses whoever may not use the model, before anything of the request is read.

    Whom the user wants to be asked about is let in: the bridge asks, before a question and not before a status.
    """

    def __init__(self, app: ASGIApp, policy: Callable[[], Policy], note: Note) -> None:
        self._app, self._policy, self._note = app, policy, note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asker, policy = asker_of(scope), self._policy()
        if may(asker.origin, UseModel(), asker.top, policy) is Answer.NO:
            refusal = _refusal(asker, policy)
            top = "" if asker.top in (None, asker.origin) else str(asker.top)
            action = "question" if scope["method"] == "POST" else "status"
            self._note(Event(str(asker.origin), MODEL, action, refusal.reason, True, top, merge=True))
            await error_response(refusal)(scope, receive, send)
        elif scope["scheme"] == "llm" and (scope.get("server") or ("", None))[0] != HOST:
            await error_response(NotFound(f"There is nothing but llm://{HOST}/v1."))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _refusal(asker: Asker, policy: Policy) -> NotAllowed:
    """Why :func:`may` said no."""
    if not is_trusted(asker.origin, policy) or (asker.top is not None and not is_trusted(asker.top, policy)):
        return NotAllowed("This page may not use the local model; you can allow it in peersky://settings/sites.")
    if asker.top is None:
        return NotAllowed(
            "Workers may not use the local model; ask it from the page and pass the answer on.", reason="no_stamp"
        )
    return NotAllowed("You blocked this page from the local model.", reason="blocked_by_user")


def _until_gone(work: Callable[[Send], Coroutine[Any, Any, None]]) -> ASGIApp:
    """A reply written by ``work``, which is cancelled as soon as the asker goes away."""

    async def reply(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            working.cancel()

        async with asyncio.TaskGroup() as group:
            working = group.create_task(work(send))
            watching = group.create_task(watch())
            working.add_done_callback(lambda _: watching.cancel())

    return reply


async def _send_json(send: Send, status: int, value: Any, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*_JSON, *more]})
    await send({"type": "http.response.body", "body": json_bytes(value)})


async def _send_error(send: Send, error: Exception) -> None:
    shown = _shown(error)
    told = shown.as_object()
    wait = [(b"retry-after", str(told["retryAfter"]).encode())] if "retryAfter" in told else []
    await _send_json(send, shown.http_status, {"error": told}, wait)


def _shown(error: Exception) -> PeerSkyError:
    """What the page may see of an error. A fault of ours goes to the log."""
    if isinstance(error, PeerSkyError):
        return error
    _logger.error("A question to the model failed", exc_info=error)
    return internal_error()


def _streamed_reply(bridge: Bridge, asker: Asker, asked: ChatRequest) -> ASGIApp:
    """The answer as server-sent events.

    The status is sent with the first chunk and not before: until then (the wait for a turn, the start of the engine,
    a prompt that does not fit) an error is an ordinary reply with its true status. Progress of the prompt is such a
    first chunk, so a page that waits for a long prompt sees it move. From then on an error is an event, after which
    the stream ends without ``[DONE]``.
    """
    answer_id, model, created_s = _identity(bridge, asker.origin, asked)

    async def work(send: Send) -> None:
        started = role_sent = False
        try:
            async with bridge.chat(asker.origin, asked, asker.top) as chunks:
                async for chunk in chunks:
                    if not started:
                        started = True
                        await send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM})
                    if not role_sent and chunk.progress is None:
                        role_sent = True
                        chunk = replace(chunk, role="assistant")
                    event = sse.encode_json(chunk_object(chunk, answer_id, model, created_s))
                    await send({"type": "http.response.body", "body": event, "more_body": True})
        except Exception as error:  # noqa: BLE001 the page must get an end to its stream whatever went wrong
            if not started:
                await _send_error(send, error)
                return
            last = sse.encode_json({"error": _shown(error).as_object()})
        else:
            last = sse.DONE
        await send({"type": "http.response.body", "body": last})

    return _until_gone(work)


def _whole_reply(bridge: Bridge, asker: Asker, asked: ChatRequest) -> ASGIApp:
    """The answer as one JSON object, once it is complete."""
    answer_id, model, created_s = _identity(bridge, asker.origin, asked)

    async def work(send: Send) -> None:
        answer = ChatAnswer()
        try:
            async with bridge.chat(asker.origin, asked, asker.top) as chunks:
                async for chunk in chunks:
                    answer.add(chunk)
        except Exception as error:  # noqa: BLE001 as above
            await _send_error(send, error)
        else:
            await _send_json(send, 200, answer.as_object(answer_id, model, created_s))

    return _until_gone(work)


def _identity(bridge: Bridge, origin: Origin, asked: ChatRequest) -> tuple[str, str, int]:
    """``id``, ``model`` and ``created`` of an answer."""
    model = asked.model or bridge.status(origin)["model"]
    return f"chatcmpl-{secrets.token_hex(12)}", model, int(time.time())


def _embeddings_reply(
    bridge: Bridge, asker: Asker, texts: list[str], model: str | None, encode: Callable[[list[float]], Any]
) -> ASGIApp:
    async def work(send: Send) -> None:
        try:
            vectors = await bridge.embed(asker.origin, texts, model, asker.top)
        except Exception as error:  # noqa: BLE001 as above
            await _send_error(send, error)
            return
        data = [
            {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
        ]
        # Client libraries expect the field; the back ends do not count these tokens.
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        name = model or bridge.status(asker.origin)["model"]
        await _send_json(send, 200, {"object": "list", "model": name, "data": data, "usage": usage})

    return _until_gone(work)


def _parse_embedding_request(body: Any) -> tuple[list[str], str | None, Callable[[list[float]], Any]]:
    if not isinstance(body, dict):
        raise InvalidRequest("The request must be a JSON object.")
    texts, model, form = body.get("input"), body.get("model"), body.get("encoding_format") or "float"
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("The option input must be a text or a list of texts.", param="input")
    if len(texts) > MAX_TEXTS:
        raise InvalidRequest(f"The option input holds more than {MAX_TEXTS} texts.", param="input")
    if model is not None and not isinstance(model, str):
        raise InvalidRequest("The option model must be a text.", param="model")
    if form not in ("float", "base64"):
        raise InvalidRequest("The option encoding_format must be float or base64.", param="encoding_format")
    return texts, model or None, _as_base64 if form == "base64" else list


def _as_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI sends them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


async def _json_body(request: Request) -> Any:
    """The body as JSON, whatever its Content-Type says: a page's ``fetch`` with a string sends ``text/plain``.

    Raises:
        BodyTooLarge: it is longer than :data:`MAX_BODY_BYTES`.
        InvalidRequest: it is no JSON.
    """
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise BodyTooLarge(
                    f"A question to the model may have {MAX_BODY_BYTES // 1024 // 1024} MB at most; "
                    "send less text or smaller images.",
                    requested=len(body),
                    quota=MAX_BODY_BYTES,
                )
    except ClientDisconnect as gone:
        raise Cancelled("The page went away.") from gone
    return json_value(body)
