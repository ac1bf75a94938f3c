"""A chat request and what comes back, between the wire format of ``llm://bridge/v1`` (OpenAI's) and the providers.

Parsing names the option at fault; encoding writes OpenAI's chunks and messages. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from peersky.core.errors import InvalidRequest

ROLES: Final = ("system", "user", "assistant", "tool")
MAX_MESSAGES: Final = 4096
MAX_TOKENS_LIMIT: Final = 1_048_576

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Message = dict[str, Any]
"""One message in OpenAI's form, already checked."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a page asks for.

    Attributes:
        messages: checked messages in OpenAI's form; image parts are always ``{"url": …}`` objects.
        temperature, top_p: None where the page named none.
        max_tokens: longest answer, in tokens; None: the user's default.
        stop: texts that end the answer.
        think: ``None`` (the model's own way), a bool, or a level ``low``/``medium``/``high``.
        think_if_possible: ``think`` is the user's default and not the page's wish: what cannot do it leaves it out.
        model: a model the page asked for; None: the one that the user chose.
        conversation: opaque key of the conversation, for cache affinity; never sent to a cloud.
    """

    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    think: bool | str | None = None
    think_if_possible: bool = False
    model: str | None = None
    conversation: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written; what they cost, where a service tells it."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cost: float | None = None

    def as_object(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of the prompt has been read, in tokens."""

    processed: int
    total: int


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """One piece of an answer. A stream ends normally only with a chunk whose ``finish_reason`` is set.

    ``tool_calls`` are OpenAI's delta fragments. ``usage`` comes with, or right after, the finish reason.
    """

    content: str = ""
    reasoning: str = ""
    role: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model.

    Attributes:
        name: as the user writes it.
        provider: ``builtin``, ``ollama`` or ``openai``.
        capabilities: of ``completion``, ``tools``, ``vision``, ``thinking``, ``embedding``.
        context_length: tokens of one conversation, 0 where unknown.
        size_bytes: on disk, 0 where unknown or remote.
        present: it can answer now, without a download.
        note: one sentence for people ("A demonstration model…").
        memory_bytes: memory that answering takes, weights included; 0 where unknown or remote.
        price: for people, "$3.00 in, $15.00 out per million tokens"; empty where unknown or nothing is charged.
    """

    name: str
    provider: str
    capabilities: frozenset[str] = frozenset({"completion"})
    context_length: int = 0
    size_bytes: int = 0
    present: bool = True
    note: str = ""
    memory_bytes: int = 0
    price: str = ""

    def as_object(self) -> dict[str, Any]:
        return {
            "id": self.name,
            "object": "model",
            "owned_by": self.provider,
            "provider": self.provider,
            "capabilities": sorted(self.capabilities),
            "contextLength": self.context_length,
            "sizeBytes": self.size_bytes,
            "present": self.present,
            "note": self.note,
            "memoryBytes": self.memory_bytes,
            "price": self.price,
        }


def parse_chat_request(body: Any) -> tuple[ChatRequest, bool]:
    """Check the JSON body of ``POST /chat/completions``.

    Returns:
        The request, and whether a stream is wanted. Unknown fields are ignored.

    Raises:
        InvalidRequest: a wrong type or value; ``param`` and the sentence name the option.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest("The request must be a JSON object.")
    longest = "max_tokens" if body.get("max_tokens") is not None else "max_completion_tokens"
    request = ChatRequest(
        messages=_messages(body.get("messages")),
        temperature=_number(body, "temperature", 0, 2),
        top_p=_number(body, "top_p", 0, 1),
        max_tokens=_whole(longest, body.get(longest), 1, MAX_TOKENS_LIMIT),
        stop=_stop(body.get("stop")),
        seed=_whole("seed", body.get("seed"), -(2**63), 2**63 - 1),
        tools=_objects(body, "tools"),
        tool_choice=_tool_choice(body.get("tool_choice")),
        response_format=_object(body, "response_format"),
        think=_think(body),
        model=_text(body, "model") or None,
        conversation=_text(body, "conversation") or None,
    )
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequest("The option stream must be true or false.", param="stream")
    return request, bool(stream)


def _first(body: Mapping[str, Any], *names: str) -> Any:
    return next((body[name] for name in names if body.get(name) is not None), None)


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest("The option messages must be a list of at least one message.", param="messages")
    if len(value) > MAX_MESSAGES:
        raise InvalidRequest(f"The option messages holds more than {MAX_MESSAGES} messages.", param="messages")
    return tuple(_message(entry, index) for index, entry in enumerate(value))


def _message(entry: Any, index: int) -> Message:
    at = f"messages[{index}]"
    if not isinstance(entry, Mapping):
        raise InvalidRequest(f"{at} must be an object with role and content.", param=at)
    role = entry.get("role", "user")
    if role not in ROLES:
        raise InvalidRequest(f"{at}.role must be one of {', '.join(ROLES)}.", param=f"{at}.role")
    message: Message = {"role": role, "content": _content(entry.get("content"), entry, at)}
    for name in ("name", "tool_call_id"):
        if entry.get(name) is not None:
            if not isinstance(entry[name], str):
                raise InvalidRequest(f"{at}.{name} must be a text.", param=f"{at}.{name}")
            message[name] = entry[name]
    if entry.get("tool_calls"):
        calls = entry["tool_calls"]
        if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
            raise InvalidRequest(f"{at}.tool_calls must be a list of objects.", param=f"{at}.tool_calls")
        message["tool_calls"] = entry["tool_calls"]
    return message


def _content(value: Any, entry: Mapping[str, Any], at: str) -> str | list[dict[str, Any]]:
    if isinstance(value, str):
        return value
    if value is None and entry.get("tool_calls"):
        return ""
    if not isinstance(value, list):
        raise InvalidRequest(f"{at}.content must be a text or a list of parts.", param=f"{at}.content")
    return [_part(part, f"{at}.content[{index}]") for index, part in enumerate(value)]


def _part(part: Any, at: str) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url)}} | {
            "type": "image_url",
            "image_url": str(url),
        }:
            if not url.startswith("data:image/"):
                # A remote address would be fetched by the engine or the cloud, past every check of the browser.
                raise InvalidRequest(f"{at}: an image must be a data: URL.", param=at)
            return {"type": "image_url", "image_url": {"url": url}}
        case _:
            raise InvalidRequest(f"{at} must be a part of type text or image_url.", param=at)


def _number(body: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise InvalidRequest(f"The option {name} must be a number.", param=name)
    if not low <= value <= high:
        raise InvalidRequest(f"The option {name} must be between {low:g} and {high:g}.", param=name)
    return float(value)


def _whole(name: str, value: Any, low: int, high: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"The option {name} must be a whole number.", param=name)
    if not low <= value <= high:
        raise InvalidRequest(f"The option {name} must be between {low} and {high}.", param=name)
    return value


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("The option stop must be a text or a list of texts.", param="stop")
    return tuple(text for text in texts if text)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 512:
        raise InvalidRequest(f"The option {name} must be a text of at most 512 characters.", param=name)
    return value


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"The option {name} must be an object.", param=name)
    return dict(value)


def _objects(body: Mapping[str, Any], name: str) -> tuple[dict[str, Any], ...]:
    value = body.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise InvalidRequest(f"The option {name} must be a list of objects.", param=name)
    return tuple(dict(entry) for entry in value)


def _tool_choice(value: Any) -> str | dict[str, Any] | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise InvalidRequest("The option tool_choice must be a text or an object.", param="tool_choice")
    return dict(value)


def _think(body: Mapping[str, Any]) -> bool | str | None:
    value = _first(body, "think", "reasoning_effort")
    if value is None or isinstance(value, bool):
        return value
    if value in ("low", "medium", "high"):
        return str(value)
    if value == "none":
        return False
    raise InvalidRequest("The option think must be true, false, 'low', 'medium' or 'high'.", param="think")


def chunk_object(chunk: ChatChunk, answer_id: str, model: str, created_s: int) -> dict[str, Any]:
    """One chunk as OpenAI's ``chat.completion.chunk``; usage stands where it is known, in the chunk that ends."""
    delta: dict[str, Any] = {}
    if chunk.role:
        delta["role"] = chunk.role
    if chunk.content or chunk.role:
        delta["content"] = chunk.content
    if chunk.reasoning:
        delta["reasoning"] = chunk.reasoning
    if chunk.tool_calls:
        delta["tool_calls"] = list(chunk.tool_calls)
    result: dict[str, Any] = {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": created_s,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": chunk.finish_reason}],
    }
    if chunk.usage:
        result["usage"] = chunk.usage.as_object()
    if chunk.progress:
        result["prompt_progress"] = {"processed": chunk.progress.processed, "total": chunk.progress.total}
    return result


@dataclass(slots=True)
class ChatAnswer:
    """A whole answer, gathered from its chunks."""

    content: str = ""
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, chunks: Iterable[ChatChunk]) -> ChatAnswer:
        answer = cls()
        for chunk in chunks:
            answer.add(chunk)
        return answer

    def add(self, chunk: ChatChunk) -> None:
        """Append one chunk. Tool-call fragments are joined by their index."""
        self.content += chunk.content
        self.reasoning += chunk.reasoning
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage
        for fragment in chunk.tool_calls:
            self._add_tool_call(fragment)

    def _add_tool_call(self, fragment: Mapping[str, Any]) -> None:
        index = fragment.get("index", max(0, len(self.tool_calls) - 1))
        while len(self.tool_calls) <= index:
            self.tool_calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call, function = self.tool_calls[index], fragment.get("function") or {}
        call["id"] = fragment.get("id") or call["id"]
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def as_object(self, answer_id: str, model: str, created_s: int) -> dict[str, Any]:
        """The answer as OpenAI's ``chat.completion``."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            message["reasoning"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return {
            "id": answer_id,
            "object": "chat.completion",
            "created": created_s,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
            "usage": self.usage.as_object() if self.usage else None,
        }
