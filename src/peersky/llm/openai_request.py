"""A question in OpenAI's form, with what a particular server is known not to take. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from peersky.core.base_url import BaseUrl
from peersky.core.chat import ChatRequest

LIMIT_FIELDS: Final = ("max_tokens", "max_completion_tokens")
"""Two names of one thing: newer models of OpenAI refuse the first, older servers do not know the second."""

OPTIONAL: Final = ("stream_options", "temperature", "top_p")
"""What is left out where it is refused: the answer is one that was asked for all the same."""

_NAMES: Final = (*LIMIT_FIELDS, *OPTIONAL, "reasoning_effort", "reasoning")
_ANY: Final = "any"
"""OpenRouter, asked to heed all parameters, does not say which one nobody takes."""

_REFUSED: Final = re.compile(
    r"unsupported|not support|unrecognized|unknown|unexpected|extra (?:inputs|fields)|not permitted|deprecated"
    r"|does not take|not allowed|invalid (?:param|argument)|only the default",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Quirks:
    """What one server does not take for one model; learned from its refusals."""

    limit_field: str = LIMIT_FIELDS[0]
    left_out: set[str] = field(default_factory=set)

    @classmethod
    def expected(cls, base: BaseUrl) -> Quirks:
        """What is known before the first question."""
        return cls(LIMIT_FIELDS[1] if base.is_openai else LIMIT_FIELDS[0])

    def learn(self, refused: str) -> bool:
        """Take note of a refused option; whether asking again can help."""
        if refused in LIMIT_FIELDS:
            other = LIMIT_FIELDS[1 - LIMIT_FIELDS.index(refused)]
            if refused != self.limit_field or other in self.left_out:
                return False
            self.left_out.add(refused)
            self.limit_field = other
            return True
        if refused in self.left_out:
            return False
        self.left_out.add(refused)
        return True


def chat_payload(model: str, request: ChatRequest, base: BaseUrl, quirks: Quirks) -> dict[str, Any]:
    """The body for ``POST /chat/completions``. The conversation's key stays here: it would join a user's questions."""
    optional: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        quirks.limit_field: request.max_tokens,
        "stop": list(request.stop) or None,
        "seed": request.seed,
        "tools": list(request.tools) or None,
        "tool_choice": request.tool_choice if request.tools else None,
        "response_format": request.response_format,
        "stream_options": {"include_usage": True},
        **_thinking(request.think, base),
    }
    if base.is_openrouter and (request.tools or request.response_format):
        # Without it, OpenRouter silently drops what a model cannot do.
        optional["provider"] = {"require_parameters": True}
    payload = {"model": model, "messages": list(request.messages), "stream": True}
    return payload | {
        name: value for name, value in optional.items() if value is not None and name not in quirks.left_out
    }


def _thinking(think: bool | str | None, base: BaseUrl) -> dict[str, Any]:
    if think is None:
        return {}
    if base.is_openrouter:
        return {"reasoning": {"effort": think} if isinstance(think, str) else {"enabled": think}}
    return {"reasoning_effort": think if isinstance(think, str) else "medium" if think else "none"}


def refused_option(body: Any, sent: Mapping[str, Any]) -> str | None:
    """The option of ours that a refusal names as the one it does not take; None where it names none.

    Args:
        body: of the reply, decoded.
        sent: the body of the request.
    """
    found = _named_option(body)
    if found == _ANY:
        return next((name for name in ("temperature", "top_p") if name in sent), None)
    return found if found in sent else None


def _named_option(body: Any) -> str | None:
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        named = error.get("param")
        if named in _NAMES:
            return str(named)
        return _refused_in(error.get("detail")) or _refused_in(error.get("message"))
    return _refused_in(error)


def _refused_in(detail: Any) -> str | None:
    match detail:
        case str(text) if "can handle the requested parameters" in text:
            return _ANY
        case str(text):
            return next((n for n in _NAMES if re.search(rf"\b{n}\b", text)), None) if _REFUSED.search(text) else None
        case [{"loc": [*loc]}, *_]:
            # FastAPI's validation errors: {"detail": [{"loc": ["body", "stream_options"], "type": "extra_forbidden"}]}
            return next((str(part) for part in loc if part in _NAMES), None)
        case _:
            return None
