"""OpenAI-style answers, as servers really send them, into :class:`ChatChunk`. Pure; for all providers of that protocol.

What servers do differently is absorbed here: names of the reasoning text, content as parts, finish reasons of their
own, usage on every chunk or in one without choices, tool calls without an index, errors as objects, texts or lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from peersky.core.chat import ChatChunk, FinishReason, Progress, Usage
from peersky.core.errors import (
    BackendFailed,
    ContextExceeded,
    InvalidRequest,
    NotSupported,
    PeerSkyError,
)
from peersky.llm.error_words import context_overflow

MAX_BAD_EVENTS: Final = 5
MAX_SENTENCE_CHARS: Final = 400

_FINISH: Final[dict[str, FinishReason]] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
}
_CONTEXT_CODES: Final = frozenset({"exceed_context_size_error", "context_length_exceeded"})


class OpenAIStream:
    """Reads the events of one answer.

    Call :meth:`read` with the data of each server-sent event and :meth:`finish` when the connection ended.

    Args:
        server: how sentences for people name the server ("The built-in engine").
        to_error: makes an exception of an event that reports an error; as :func:`error_of` by default.
    """

    def __init__(self, server: str, to_error: Callable[[Mapping[str, Any]], PeerSkyError] | None = None) -> None:
        self._server = server
        self._to_error = to_error or (lambda event: error_of(200, event, server))
        self._role_seen = False
        self._finished = False
        self._done = False
        self._bad = 0
        self._usage: Usage | None = None
        self._calls: list[str] = []

    def read(self, data: str) -> list[ChatChunk]:
        """The chunks that an event holds; most hold one, some none.

        Raises:
            BackendFailed: ``backend_error``: the server reported an error, or sends what is no JSON.
            ContextExceeded: the conversation outgrew the context.
        """
        if self._done or not data.strip():
            return []
        if data.strip() == "[DONE]":
            self._done = True
            return []
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if isinstance(event, list) and event and isinstance(event[0], Mapping):
            event = event[0]
        if not isinstance(event, Mapping):
            self._bad += 1
            if self._bad > MAX_BAD_EVENTS:
                raise BackendFailed(f"{self._server} sends answers that are no JSON.", reason="backend_error")
            return []
        return self._chunks(event)

    @property
    def is_finished(self) -> bool:
        """The finish reason has come: the answer is whole, though its usage may follow."""
        return self._finished

    @property
    def is_done(self) -> bool:
        """``[DONE]`` has come: nothing follows."""
        return self._done

    def finish(self) -> None:
        """The connection ended.

        Raises:
            BackendFailed: ``interrupted``: no finish reason has come, so the answer is cut off.
        """
        if not self._finished:
            raise BackendFailed(f"{self._server} broke off before the answer was finished.", reason="interrupted")

    def _chunks(self, event: Mapping[str, Any]) -> list[ChatChunk]:
        if event.get("error") or event.get("object") == "error" or ("detail" in event and "choices" not in event):
            raise self._to_error(event)
        fresh_usage = _usage(event.get("usage"))
        self._usage = fresh_usage or self._usage
        choice = _first_choice(event)
        if choice is None:
            chunks = []
            if (progress := _progress(event)) is not None:
                chunks.append(ChatChunk(progress=progress))
            if self._finished and fresh_usage:
                chunks.append(ChatChunk(usage=fresh_usage))
            return chunks
        if choice.get("error"):
            raise self._to_error(choice)
        delta = choice.get("delta") or choice.get("message")
        if not isinstance(delta, Mapping):
            delta = {}
        finish = self._finish_reason(choice.get("finish_reason"))
        chunk = ChatChunk(
            content=_text(delta.get("content")),
            reasoning=next(
                (t for t in map(_text, map(delta.get, ("reasoning_content", "reasoning", "thinking"))) if t), ""
            ),
            role=self._role(delta.get("role")),
            tool_calls=self._tool_calls(delta.get("tool_calls")),
            finish_reason=finish,
            usage=self._usage if finish or (self._finished and fresh_usage) else None,
            progress=_progress(event),
        )
        return [] if chunk == ChatChunk() else [chunk]

    def _role(self, value: Any) -> str | None:
        """The role, once: some servers repeat it in each chunk."""
        if self._role_seen or not isinstance(value, str) or not value:
            return None
        self._role_seen = True
        return value

    def _finish_reason(self, value: Any) -> FinishReason | None:
        if not isinstance(value, str) or not value or self._finished:
            return None
        if value == "error":
            raise BackendFailed(f"{self._server} gave up in the middle of the answer.", reason="backend_error")
        self._finished = True
        return _FINISH.get(value, "stop")

    def _tool_calls(self, value: Any) -> tuple[dict[str, Any], ...]:
        if not isinstance(value, list):
            return ()
        return tuple(self._tool_call(call) for call in value if isinstance(call, Mapping))

    def _tool_call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        call_id = call.get("id")
        index = call.get("index")
        if not isinstance(index, int) or not 0 <= index < 1024:
            # Some servers number nothing: a new id, or a name without any, begins a call; what has neither continues
            # the last.
            function = call.get("function")
            name = function.get("name") if isinstance(function, Mapping) else None
            own_id = call_id if isinstance(call_id, str) else ""
            if (own_id and own_id not in self._calls) or (name and not own_id):
                self._calls.append(own_id)
            index = self._calls.index(own_id) if own_id else max(0, len(self._calls) - 1)
        fragment: dict[str, Any] = {"index": index}
        if isinstance(call_id, str) and call_id:
            fragment |= {"id": call_id, "type": "function"}
        function = call.get("function")
        if isinstance(function, Mapping):
            arguments = function.get("arguments")
            if arguments is not None and not isinstance(arguments, str):
                arguments = json.dumps(arguments, ensure_ascii=False)
            fragment["function"] = {"arguments": arguments or ""}
            if isinstance(function.get("name"), str) and function["name"]:
                fragment["function"]["name"] = function["name"]
        return fragment


def error_of(status: int, body: Any, server: str) -> PeerSkyError:
    """The error that a reply means.

    Args:
        status: of the HTTP reply; 200 for an error within a stream.
        body: decoded JSON, or the text itself where it is none.
        server: how sentences for people name the server.
    """
    sentence = sentence_of(body)
    detail = body.get("error", body) if isinstance(body, Mapping) else body
    detail = detail if isinstance(detail, Mapping) else {}
    if _CONTEXT_CODES & {detail.get("type"), detail.get("code")}:
        return _context_error(detail.get("n_prompt_tokens"), detail.get("n_ctx"), sentence)
    if overflow := context_overflow(sentence):
        return _context_error(*overflow, sentence)
    text = reported(server, sentence, status)
    if detail.get("type") == "not_supported_error" or status == 501:
        return NotSupported(text)
    if status in (400, 422):
        return InvalidRequest(text)
    return BackendFailed(text, reason="backend_error")


def reported(server: str, sentence: str, status: int) -> str:
    """What a server said, as a sentence that another may follow."""
    if not sentence:
        return f"{server} failed (status {status})."
    return f"{server} reports: {sentence}" + ("" if sentence.endswith((".", "!", "?", "…")) else ".")


def sentence_of(body: Any) -> str:
    """What a server says went wrong, from any of the usual forms of an error body; empty where it says nothing."""
    match body:
        case str(text):
            # An error page of a proxy is no sentence.
            text = "" if "<html" in text.lower() or "<!doctype" in text.lower() else text
        case [first, *_]:
            return sentence_of(first)
        case {"error": found} | {"detail": found} | {"message": found} | {"msg": found} if found:
            return sentence_of(found)
        case _:
            return ""
    text = " ".join(text.split())
    return text if len(text) <= MAX_SENTENCE_CHARS else text[:MAX_SENTENCE_CHARS] + "…"


def _context_error(requested: Any, quota: Any, sentence: str) -> ContextExceeded:
    if isinstance(requested, int) and isinstance(quota, int):
        sentence = (
            f"The text has {requested:,} tokens and the model reads at most {quota:,}. "
            "Shorten it, or raise the context length in the settings."
        )
    else:
        requested = quota = None
        sentence = sentence or "The text is longer than the model can read. Shorten it."
    return ContextExceeded(sentence, requested=requested, quota=quota)


def _first_choice(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = event.get("choices")
    if not isinstance(choices, list):
        return None
    own = [c for c in choices if isinstance(c, Mapping) and c.get("index", 0) in (0, None)]
    return cast("Mapping[str, Any]", own[0]) if own else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(part.get("text")) if isinstance(part, Mapping) else _text(part) for part in value)
    return ""


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, Mapping):
        return None
    details = value.get("prompt_tokens_details")
    return Usage(
        input_tokens=_whole(value.get("prompt_tokens")),
        output_tokens=_whole(value.get("completion_tokens")),
        cached_tokens=_whole(details.get("cached_tokens")) if isinstance(details, Mapping) else 0,
        cost=_amount(value.get("cost")),
    )


def _progress(event: Mapping[str, Any]) -> Progress | None:
    value = event.get("prompt_progress")
    if not isinstance(value, Mapping):
        return None
    return Progress(processed=_whole(value.get("processed")), total=_whole(value.get("total")))


def _amount(value: Any) -> float | None:
    """What an answer cost: OpenRouter tells it."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < float("inf") else None


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
