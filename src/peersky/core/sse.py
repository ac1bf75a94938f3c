"""Server-sent events as bytes: a decoder that any split of the input cannot upset, and the encoder of our own streams.

Rules: HTML Living Standard, section 9.2.6 "Interpreting an event stream". Lines end with LF, CRLF or CR; ``data:``
lines of one event are joined with LF; ``:`` lines are comments. Text is decoded per event, so split UTF-8 cannot break.
"""

from __future__ import annotations

import json
from typing import Any, Final

from peersky.core.errors import BackendFailed

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""Longest line or event taken from a server; a server that sends more is broken or hostile."""

DONE: Final = b"data: [DONE]\n\n"

_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class SseDecoder:
    """Turns bytes into the data of events.

    Call :meth:`feed` with whatever arrived, and :meth:`finish` at the end of the stream.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_cr = False
        self._first_line = True

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes, return the data of the events that they completed.

        Raises:
            BackendFailed: a line or an event is longer than the limit.
        """
        events: list[str] = []
        if self._after_cr and chunk:
            # A CR ended the last line; an LF right after it belongs to the same line end.
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        self._buffer += chunk
        while (line := self._take_line()) is not None:
            self._line(line, events)
        if len(self._buffer) > self._max:
            raise self._too_long()
        return events

    def finish(self) -> list[str]:
        """The stream ended. An event without its closing blank line still counts: some servers omit the last one."""
        events: list[str] = []
        if self._buffer:
            line, self._buffer, self._scanned = bytes(self._buffer), bytearray(), 0
            self._line(line, events)
        self._line(b"", events)
        return events

    def _take_line(self) -> bytes | None:
        buffer = self._buffer
        lf = buffer.find(b"\n", self._scanned)
        # Only what comes before: with many lines here, a search to the end would be made for each of them.
        cr = buffer.find(b"\r", self._scanned, lf if lf >= 0 else len(buffer))
        end = cr if cr >= 0 else lf
        if end < 0:
            self._scanned = len(buffer)
            return None
        after = end + 1
        if buffer[end] == 0x0D:
            if after == len(buffer):
                self._after_cr = True
            elif buffer[after] == 0x0A:
                after += 1
        line = bytes(buffer[:end])
        del buffer[:after]
        self._scanned = 0
        return line

    def _line(self, line: bytes, events: list[str]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                events.append(b"\n".join(self._data).decode("utf-8", "replace"))
                self._data, self._data_bytes = [], 0
            return
        field, _, value = line.partition(b":")
        if field == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value)
            if self._data_bytes > self._max:
                raise self._too_long()

    def _too_long(self) -> BackendFailed:
        return BackendFailed(
            f"The model's server sent an event of more than {self._max // 1024 // 1024} MB; the answer was given up.",
            reason="backend_error",
        )


def encode_json(value: Any) -> bytes:
    """One event whose data is ``value`` as JSON (one line, since JSON escapes line ends)."""
    try:
        data = _COMPACT.encode(value).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, from a server that cut an emoji in two: it has no UTF-8 form, but an escape, and in the
        # page the halves join again.
        data = json.dumps(value, separators=(",", ":")).encode()
    return b"data: " + data + b"\n\n"
