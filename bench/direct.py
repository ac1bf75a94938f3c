"""The engine's port asked without anything in between: a plain socket that notes when bytes come."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.world import PROMPT, Port


@dataclass(slots=True)
class Answer:
    """One streamed answer.

    Attributes:
        asked_ms: when it was asked, on the clock of :func:`time.time`; so are all times.
        times_ms: when each piece of text arrived.
        texts: the pieces.
        usage, timings: what the engine counted.
    """

    asked_ms: float
    times_ms: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)

    @property
    def first_ms(self) -> float:
        """From the question to the first piece."""
        return self.times_ms[0] - self.asked_ms

    @property
    def tokens(self) -> int:
        """How many tokens it has."""
        return int(self.usage.get("completion_tokens") or len(self.times_ms))


def question(max_tokens: int, **more: Any) -> dict[str, Any]:
    """The body of the request that all sides send."""
    messages = [{"role": "user", "content": PROMPT}]
    return {"messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": True, **more}


def _request(port: Port, body: Mapping[str, Any]) -> bytes:
    content = json.dumps({**body, "cache_prompt": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {port.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


def ask(port: Port, body: Mapping[str, Any]) -> Answer:
    """Ask over a connection of its own and read the answer to its end.

    Raises:
        RuntimeError: the engine refused.
    """
    request = _request(port, {**body, "stream_options": {"include_usage": True}})
    came: list[tuple[float, bytes]] = []
    asked_ms = time.time() * 1000
    with socket.create_connection(("127.0.0.1", port.port), 30) as connection:
        connection.settimeout(120)
        connection.sendall(request)
        while data := connection.recv(1 << 16):
            came.append((time.time() * 1000, data))
    return _read(asked_ms, came)


def _read(asked_ms: float, came: list[tuple[float, bytes]]) -> Answer:
    """Make sense of what came; afterwards, so that it costs the measurement nothing."""
    answer = Answer(asked_ms)
    rest = b""
    for time_ms, data in came:
        rest += data
        while (end := rest.find(b"\n\n")) >= 0:
            event, rest = rest[:end], rest[end + 2 :]
            _, found, text = event.partition(b"data: ")
            if not found or text.startswith(b"[DONE]"):
                continue
            value = json.loads(text)
            answer.usage = value.get("usage") or answer.usage
            answer.timings = value.get("timings") or answer.timings
            for choice in value.get("choices", ()):
                if content := choice["delta"].get("content"):
                    answer.times_ms.append(time_ms)
                    answer.texts.append(content)
    if not answer.times_ms:
        raise RuntimeError(f"the engine did not answer: {came[0][1][:500] if came else b''!r}")
    return answer


def count(port: Port, body: Mapping[str, Any], until_s: float) -> int:
    """How many pieces of text come until a time of :func:`time.monotonic`; the connection is closed then."""
    request = _request(port, body)
    found = 0
    with socket.create_connection(("127.0.0.1", port.port), 30) as connection:
        connection.sendall(request)
        while (left_s := until_s - time.monotonic()) > 0:
            connection.settimeout(left_s)
            try:
                data = connection.recv(1 << 16)
            except TimeoutError:
                break
            if not data:
                break
            found += data.count(b'"content":"')
    return found
