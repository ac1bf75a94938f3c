"""JSON lines as bytes (Ollama's streams): a decoder that any split of the input cannot upset. Pure.

Lines end with LF, with or without a CR before it. Only the bytes of whole lines are decoded, so a character split
between two reads cannot break, and line separators within a JSON text end nothing.
"""

from __future__ import annotations

from typing import Final

from peersky.core.errors import BackendFailed

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
"""Longest line taken from a server; Ollama's own client has the same bound."""


class LineDecoder:
    """Turns bytes into lines. Call :meth:`feed` with whatever arrived, and :meth:`finish` at the end."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._buffer = bytearray()
        self._scanned = 0

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes, return the lines that they completed; empty ones are left out.

        Raises:
            BackendFailed: ``backend_error``: a line is longer than the limit.
        """
        lines: list[str] = []
        self._buffer += chunk
        while (end := self._buffer.find(b"\n", self._scanned)) >= 0:
            self._take(bytes(self._buffer[:end]), lines)
            del self._buffer[: end + 1]
            self._scanned = 0
        self._scanned = len(self._buffer)
        if self._scanned > self._max:
            raise self._too_long()
        return lines

    def finish(self) -> list[str]:
        """The stream ended; a last line without its line end still counts."""
        lines: list[str] = []
        self._take(bytes(self._buffer), lines)
        self._buffer.clear()
        self._scanned = 0
        return lines

    def _take(self, line: bytes, lines: list[str]) -> None:
        if len(line) > self._max:
            raise self._too_long()
        text = line.decode("utf-8", "replace").strip(" \t\r")
        if text:
            lines.append(text)

    def _too_long(self) -> BackendFailed:
        return BackendFailed(
            f"The model's server sent a line of more than {self._max // 1024 // 1024} MB; the answer was given up.",
            reason="backend_error",
        )
