"""Errors as replies: OpenAI's error object with a true status, for every app that pages talk to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from peersky.core.errors import InvalidRequest, NotFound, PeerSkyError
from peersky.web.json_reply import JSONResponse

NO_STORE: Final = {"cache-control": "no-store"}


def error_response(error: PeerSkyError, status: int | None = None) -> JSONResponse:
    """The error as ``{"error": {...}}``.

    Args:
        status: the status code, where it is another than the error's own ``http_status``.
    """
    return JSONResponse({"error": error.as_object()}, status or error.http_status, NO_STORE)


def internal_error() -> PeerSkyError:
    """What a page learns of a fault in the program: that there was one, and nothing of its inside."""
    return PeerSkyError("Something in PeerSky went wrong; what it was stands in the log. Try again.")


async def _peersky_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PeerSkyError)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: an unknown path, a method that a path does not have."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        sentence = f"{request.method} is not served here; use {allowed.replace(', ', ' or ')}."
        reply = error_response(InvalidRequest(sentence, reason="method_not_allowed"), error.status_code)
        reply.headers["allow"] = allowed
        return reply
    if error.status_code == HTTPStatus.NOT_FOUND:
        return error_response(NotFound(f"There is nothing at {request.url.path}."))
    return error_response(InvalidRequest(f"{error.detail}."), error.status_code)


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises the error again once this reply is sent: who serves the app writes it to the log.
    return error_response(internal_error())


ERROR_HANDLERS: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    PeerSkyError: _peersky_error,
    HTTPException: _http_error,
    Exception: _unexpected,
}
"""For ``Starlette(exception_handlers=…)``."""
