"""A question in the form of Ollama's native API, and Ollama's lines as chunks. Pure.

Rules: Ollama's ``api/types.go`` and ``server/routes.go`` (v0.33): images are raw base64, the arguments of a tool call
are an object, ``stop`` is a list, unknown options are silently ignored. A request whose load-time options or ``shift``
differ from those of the loaded model loads it anew, so ``num_ctx`` is the only one that is ever sent.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from peersky.core.chat import ChatChunk, ChatRequest, FinishReason, Message, Usage
from peersky.core.errors import BackendFailed, ContextExceeded, InvalidRequest, NotSupported, PeerSkyError
from peersky.llm.ollama_errors import NAME, error_of

MAX_BAD_LINES: Final = 5
SEED_MASK: Final = 0x7FFF_FFFF
"""Seeds reach the engine as 32 bits; as all ones they would mean "at random"."""


def chat_payload(model: str, request: ChatRequest, *, num_ctx: int, keep_alive_s: int) -> dict[str, Any]:
    """The body for ``POST /api/chat``.

    Raises:
        NotSupported: the request asks for what this API has no field for.
        InvalidRequest: a tool call's arguments are no JSON object.
    """
    options = {
        "num_ctx": num_ctx,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "num_predict": request.max_tokens,
        "seed": None if request.seed is None else request.seed & SEED_MASK,
        "stop": list(request.stop) or None,
    }
    payload: dict[str, Any] = {
        "model": model,
        "messages": _messages(request.messages),
        "stream": True,
        # Without it, Ollama drops the oldest messages until the rest fits, and says so to nobody.
        "truncate": False,
        "keep_alive": keep_alive_s,
        "options": {name: value for name, value in options.items() if value is not None},
    }
    if request.tool_choice not in (None, "auto", "none"):
        raise NotSupported(
            "Ollama cannot be made to call a tool; leave the option tool_choice out.", param="tool_choice"
        )
    if request.tools and request.tool_choice != "none":
        payload["tools"] = list(request.tools)
    if request.response_format is not None and (form := _format(request.response_format)) is not None:
        payload["format"] = form
    if request.think is not None:
        payload["think"] = request.think
    return payload


def _format(wanted: Mapping[str, Any]) -> str | dict[str, Any] | None:
    match wanted:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case _:
            raise InvalidRequest(
                "The option response_format must be of type text, json_object or json_schema with a schema.",
                param="response_format",
            )


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    names: dict[str, str] = {}
    result = []
    for index, message in enumerate(messages):
        text, images = _parts(message["content"])
        converted: dict[str, Any] = {"role": message["role"], "content": text}
        if images:
            converted["images"] = images
        calls = [_call(call, f"messages[{index}].tool_calls") for call in message.get("tool_calls", ())]
        if calls:
            converted["tool_calls"] = calls
            names |= {call["id"]: call["function"]["name"] for call in calls if "id" in call}
        if message["role"] == "tool":
            call_id = message.get("tool_call_id", "")
            converted["tool_name"] = message.get("name") or names.get(call_id, "")
            converted["tool_call_id"] = call_id
        result.append(converted)
    return result


def _parts(content: str | list[dict[str, Any]]) -> tuple[str, list[str]]:
    """The text and the images, as raw base64, of a message."""
    if isinstance(content, str):
        return content, []
    texts = [part["text"] for part in content if part["type"] == "text"]
    return "\n".join(texts), [_image(part["image_url"]["url"]) for part in content if part["type"] == "image_url"]


def _image(url: str) -> str:
    head, _, data = url.partition(",")
    if head.lower().endswith(";base64"):
        return data
    return base64.b64encode(unquote_to_bytes(data)).decode()


def _call(call: Mapping[str, Any], at: str) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequest(f"{at} must name the functions that were called.", param=at)
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            arguments = None
    if not isinstance(arguments, Mapping):
        raise InvalidRequest(f"{at}: arguments must be a JSON object.", param=at)
    converted: dict[str, Any] = {"function": {"name": function["name"], "arguments": arguments}}
    if isinstance(call.get("id"), str):
        converted["id"] = call["id"]
    return converted


class OllamaStream:
    """Reads the lines of one answer. Call :meth:`read` with each, and :meth:`finish` when the connection ended.

    Args:
        model: for sentences.
        num_ctx: what was asked for, in tokens.
    """

    def __init__(self, model: str, num_ctx: int) -> None:
        self._model = model
        self._num_ctx = num_ctx
        self._bad = 0
        self._calls = 0
        self.is_done = False
        """The last line has come."""

    def read(self, line: str) -> list[ChatChunk]:
        """The chunks that a line holds.

        Raises:
            BackendFailed: Ollama reports an error, or sends what is no JSON.
            ContextExceeded: the conversation outgrew the context, or Ollama cut it.
        """
        if self.is_done:
            return []
        found = self._parse(line)
        if found is None:
            return []
        if found.get("error"):
            raise _in_mid_answer(error_of(200, found, self._model))
        message = found.get("message")
        message = message if isinstance(message, Mapping) else {}
        calls = self._tool_calls(message.get("tool_calls"))
        chunk = ChatChunk(
            content=_text(message.get("content")), reasoning=_text(message.get("thinking")), tool_calls=calls
        )
        chunks = [chunk] if chunk != ChatChunk() else []
        if found.get("done") is True:
            self.is_done = True
            chunks.append(self._end(found))
        return chunks

    def finish(self) -> None:
        """Raises :class:`BackendFailed` (``interrupted``) if the last line has not come: Ollama ends a stream without
        it when a model repeats itself, and when its engine dies."""
        if not self.is_done:
            raise BackendFailed(f"{NAME} broke off before the answer was finished. Ask again.", reason="interrupted")

    def _parse(self, line: str) -> Mapping[str, Any] | None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, Mapping):
            return found
        self._bad += 1
        if self._bad > MAX_BAD_LINES:
            raise BackendFailed(f"{NAME} sends answers that are no JSON.", reason="backend_error")
        return None

    def _end(self, line: Mapping[str, Any]) -> ChatChunk:
        usage = Usage(_whole(line.get("prompt_eval_count")), _whole(line.get("eval_count")))
        if usage.input_tokens >= self._num_ctx:
            # Versions before 0.12.6 do not know `truncate`: a prompt that fills the whole context was cut to fit.
            raise ContextExceeded(
                f"The text is longer than the {self._num_ctx:,} tokens that {self._model} reads, and this old version "
                f"of {NAME} has cut it. Shorten it, or raise the context length in the settings.",
                quota=self._num_ctx,
            )
        reason: FinishReason = "stop"
        if line.get("done_reason") == "length":
            reason = "length"
        elif self._calls:
            reason = "tool_calls"
        return ChatChunk(finish_reason=reason, usage=usage)

    def _tool_calls(self, value: Any) -> tuple[dict[str, Any], ...]:
        """Complete calls, in OpenAI's form: numbered, with an id, and arguments as a text."""
        if not isinstance(value, list):
            return ()
        calls = []
        for call in value:
            function = call.get("function") if isinstance(call, Mapping) else None
            if not isinstance(function, Mapping):
                continue
            arguments = function.get("arguments")
            if not isinstance(arguments, str):
                arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
            own_id = call.get("id")
            calls.append(
                {
                    "index": self._calls,
                    "id": own_id if isinstance(own_id, str) and own_id else f"call_{secrets.token_hex(8)}",
                    "type": "function",
                    "function": {"name": _text(function.get("name")), "arguments": arguments},
                }
            )
            self._calls += 1
        return tuple(calls)


def _in_mid_answer(error: PeerSkyError) -> PeerSkyError:
    """A refusal cannot come once the answer has begun: then it is a failure."""
    if isinstance(error, InvalidRequest):
        return BackendFailed(error.message, reason="backend_error")
    return error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
