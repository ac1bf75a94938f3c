"""A QIODevice that the service thread fills and Chromium's I/O thread drains: the body of one streamed reply."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from PyQt6.QtCore import QIODevice

if TYPE_CHECKING:
    from collections.abc import Callable


class StreamDevice(QIODevice):
    """Bytes on their way to a page.

    Lives in the main thread, is fed from the service thread and read on Chromium's I/O thread, so everything it holds
    is behind one lock. Chromium takes it for a random-access device (``isSequential()`` False): with a sequential one,
    streams never ended (tests/qt/test_platform_facts.py).

    Args:
        total_bytes: what ``size()`` tells Chromium: the length of the body, the length of the *whole* file for a
            partial reply (206), 0 where unknown. Anything else for a request with ``Range`` crashes the browser.
        on_drained: called, on any thread, when data was taken and the reader wants more.
    """

    def __init__(self, total_bytes: int, on_drained: Callable[[], None]) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._chunks: deque[memoryview] = deque()
        self._buffered = 0
        self._finished = False
        self._broken = False
        self._is_awaited = True
        self._total_bytes = total_bytes
        self._on_drained = on_drained
        self.open(QIODevice.OpenModeFlag.ReadOnly | QIODevice.OpenModeFlag.Unbuffered)

    @property
    def buffered_bytes(self) -> int:
        """Bytes fed and not yet read."""
        return self._buffered

    def feed(self, data: bytes) -> None:
        """Append bytes. Thread-safe."""
        if not data:
            return
        with self._lock:
            self._chunks.append(memoryview(data))
            self._buffered += len(data)
            is_awaited = self._is_awaited
        # Chromium reads on by itself until it got nothing, and each signal wakes two of its threads.
        if is_awaited:
            self.readyRead.emit()

    def finish(self) -> None:
        """No more bytes will come. Thread-safe."""
        with self._lock:
            self._finished = True
        # Chromium looks at atEnd() only when it reads, so it must be told once more.
        self.readyRead.emit()

    def break_off(self) -> None:
        """No more bytes will come, though some lack: the page gets a network error. Thread-safe."""
        with self._lock:
            self._broken = True
        self.readyRead.emit()

    # What follows is called by Chromium.

    def readData(self, maxlen: int) -> bytes:
        with self._lock:
            if self._broken and not self._chunks:
                return None  # type: ignore[return-value] # PyQt's way of -1, a read error
            data = self._take(maxlen)
            self._buffered -= len(data)
            self._is_awaited = not data
        if data:
            self._on_drained()
        return data

    def _take(self, maxlen: int) -> bytes:
        if not self._chunks or maxlen <= 0:
            return b""
        first = self._chunks[0]
        if len(first) > maxlen:
            self._chunks[0] = first[maxlen:]
            return bytes(first[:maxlen])
        parts, length = [], 0
        while self._chunks and length + len(self._chunks[0]) <= maxlen:
            part = self._chunks.popleft()
            parts.append(part)
            length += len(part)
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def writeData(self, data: object) -> int:
        return -1

    def bytesAvailable(self) -> int:
        with self._lock:
            return self._buffered

    def atEnd(self) -> bool:
        with self._lock:
            return self._finished and not self._chunks

    def isSequential(self) -> bool:
        return False

    def size(self) -> int:
        return self._total_bytes

    def seek(self, pos: int) -> bool:
        # The body of a partial reply already starts at the place that Chromium seeks to.
        return True
