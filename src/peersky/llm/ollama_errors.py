"""What Ollama says when it refuses or fails, as PeerSky's errors. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from peersky.core.errors import (
    BackendFailed,
    NotEnoughMemory,
    NotSupported,
    PeerSkyError,
    QuotaExceeded,
)
from peersky.llm import openai_stream
from peersky.llm.error_words import memory_lack, missing_ability, says_model_missing
from peersky.llm.model_server import SETTINGS_PAGE

NAME: Final = "Ollama"
_GIB: Final = 1024**3


def error_of(status: int, body: Any, model: str) -> PeerSkyError:
    """The error that a reply, or a line of a stream, means.

    Args:
        status: of the HTTP reply; 200 for an error within a stream.
        body: decoded JSON, or the text itself where it is none.
        model: the model that was asked.
    """
    body = _unwrapped(body)
    sentence = openai_stream.sentence_of(body)
    text = openai_stream.reported(NAME, sentence, status)
    if lack := memory_lack(sentence):
        need, free = lack
        return NotEnoughMemory(
            f"The model {model} needs {need / _GIB:.1f} GB of memory and Ollama finds {free / _GIB:.1f} GB. "
            "Close other programs, choose a smaller model, or lower the context length in the settings.",
            requested=need,
            quota=free,
        )
    if status == 404 and not (isinstance(body, Mapping) and (model or says_model_missing(sentence))):
        return BackendFailed(
            f"What answers at the base URL is no Ollama; check it in {SETTINGS_PAGE}.", reason="backend_error"
        )
    if status == 404 and says_model_missing(sentence):
        return NotSupported(
            f"Ollama has no model {model}; download it in {SETTINGS_PAGE}, or choose another one there.",
            reason="model_missing",
        )
    if (option := missing_ability(sentence)) is not None:
        return NotSupported(text, param=option or None)
    match status:
        case 403 if not sentence:
            # Its guard against web pages: the name in the address is none that it takes for its own.
            return BackendFailed(
                "Ollama refuses requests at this address. Use http://127.0.0.1:11434/ for one on this computer; for "
                "another one, set OLLAMA_HOST to 0.0.0.0 where it runs.",
                reason="backend_error",
            )
        case 401 | 403:
            where = body.get("signin_url") if isinstance(body, Mapping) else None
            hint = f" Sign in at {where}." if isinstance(where, str) and where.startswith("https://") else ""
            return BackendFailed(f"{text}{hint}", reason="key_refused")
        case 429 | 503:
            return QuotaExceeded(f"{text} Ask again in a moment.", reason="rate_limited")
        case 499:
            return BackendFailed(text, reason="interrupted")
        case _:
            return openai_stream.error_of(status, body, NAME)


def pull_error(sentence: str, model: str) -> PeerSkyError:
    """The error that a line of ``/api/pull`` means."""
    lower = sentence.lower()
    if "file does not exist" in lower or "not found" in lower or "invalid model name" in lower:
        return NotSupported(
            f"There is no model {model} to download; check how it is spelt.", reason="model_missing", param="llm.model"
        )
    if "no space left" in lower:
        return QuotaExceeded(
            f"The disk is full: {model} could not be downloaded. Make room and try again; what arrived is kept.",
            reason="disk_full",
        )
    if 'does not match original host "hf.co"' in lower:
        return NotSupported(f"{model} does not exist at Hugging Face, or is private.", reason="model_missing")
    return BackendFailed(
        f"Ollama could not download {model}: {sentence}. Try again; what arrived is kept.", reason="backend_error"
    )


def _unwrapped(body: Any) -> Any:
    """Since 0.34 Ollama passes the errors of its engine on as JSON within the text."""
    if isinstance(body, Mapping) and isinstance(body.get("error"), str) and body["error"].startswith("{"):
        with suppress(ValueError, RecursionError):
            inner = json.loads(body["error"])
            if isinstance(inner, Mapping):
                return inner
    return body
