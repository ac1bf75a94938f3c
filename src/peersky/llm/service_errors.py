"""What OpenAI-compatible services say when they refuse or fail, as PeerSky's errors, with their own sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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
from peersky.llm import openai_stream
from peersky.llm.error_words import missing_ability, says_model_missing
from peersky.llm.model_server import SETTINGS_PAGE, ModelServer

_NO_CREDIT: Final = frozenset({"insufficient_quota", "insufficient_credits", "billing_hard_limit_reached"})
_NO_MODEL: Final = frozenset({"model_not_found", "model_not_available"})


def error_of(
    status: int, body: Any, server: ModelServer, model: str, retry_after_s: float | None = None
) -> PeerSkyError:
    """The error that a reply, or an event of a stream, means.

    Args:
        status: of the HTTP reply; 200 for an error within a stream or within a reply that looks well.
        body: decoded JSON, or the text itself where it is none.
        retry_after_s: how long the service wants to be left alone.
    """
    body = server.masked(body)
    status = _status(status, body)
    sentence = openai_stream.sentence_of(body)
    says = openai_stream.reported(server.name, sentence, status)
    codes = _codes(body)
    usual = openai_stream.error_of(status, body, server.name)
    if isinstance(usual, ContextExceeded):
        return usual
    if status == 402 or codes & _NO_CREDIT:
        return QuotaExceeded(f"{says} Add credit to your account, or choose a local model.", reason="credits")
    if status == 401:
        if not server.key:
            return BackendFailed(
                f"{server.name} wants an API key; enter it in {SETTINGS_PAGE}. It says: {sentence or 'nothing more.'}",
                reason="key_missing",
            )
        return BackendFailed(f"{says} Check the API key in {SETTINGS_PAGE}.", reason="key_refused")
    if status in (408, 409, 425, 429):
        when = f"Ask again in {_seconds(retry_after_s)}." if retry_after_s else "Ask again in a moment."
        return QuotaExceeded(f"{says} {when}", reason="rate_limited")
    if status == 403:
        return NotAllowed(says, reason="refused_by_service")
    if status == 413:
        return BodyTooLarge(says)
    if status < 500 and (option := missing_ability(sentence)) is not None:
        return NotSupported(says, param=option or None)
    if status in (400, 404, 422) and (codes & _NO_MODEL or says_model_missing(sentence)):
        return NotSupported(
            f"{says} Choose another model than {model} in {SETTINGS_PAGE}.", reason="model_missing", param="model"
        )
    if status == 503 and retry_after_s:
        return BackendFailed(f"{says} Ask again in {_seconds(retry_after_s)}.", reason="backend_error")
    if status == 404:
        return BackendFailed(f"{says} Check the base URL in {SETTINGS_PAGE}.", reason="backend_error")
    return usual


def error_in_stream(body: Mapping[str, Any], server: ModelServer, model: str) -> PeerSkyError:
    """The error that an event reports once a stream has begun, when a plain refusal is none any more."""
    error = error_of(200, body, server, model)
    return BackendFailed(error.message, reason="backend_error") if isinstance(error, InvalidRequest) else error


def _status(status: int, body: Any) -> int:
    """The status that is meant: an error within a 200 carries its own."""
    if status >= 400:
        return status
    error = body.get("error") if isinstance(body, Mapping) else None
    for place in (error, body):
        if isinstance(place, Mapping):
            for key in ("code", "status", "status_code"):
                value = place.get(key)
                if isinstance(value, str) and value.isdecimal():
                    value = int(value[:4])
                if isinstance(value, int) and 400 <= value <= 599:
                    return value
    return status


def _codes(body: Any) -> set[str]:
    error = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return set()
    return {value for key in ("code", "type") if isinstance(value := error.get(key), str)}


def _seconds(seconds: float) -> str:
    whole = max(1, round(seconds))
    return "1 second" if whole == 1 else f"{whole:,} seconds"
