"""The download of one file over several connections, which can be broken off anywhere and gone on with later.

The file is divided into parts, each fetched by a Range request. Which bytes are there stands in a side file; whether
they are the right ones is decided by the digest of the whole, so nothing here needs to survive a power cut unharmed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from peersky.core.errors import BackendFailed
from peersky.core.manifest import Layer
from peersky.llm.library.blobs import disk_error
from peersky.llm.library.registry import Broken, Fetcher, Refused, TooSlow
from peersky.system.files import PRIVATE_FILE

MIB: Final = 1024 * 1024
WRITE_BYTES: Final = MIB
SAVE_EVERY_S: Final = 1.0
MAX_RESTARTS: Final = 3
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """How files are fetched.

    Attributes:
        connections: at once, per file.
        part_bytes: size of a part; those at the head of the file are smaller.
        head_bytes: size of the first part.
        back_off_s: waits after failures in a row that brought no byte, or too few; one more ends the transfer.
        sleep: waits for so many seconds.
    """

    connections: int = 4
    part_bytes: int = 32 * MIB
    head_bytes: int = 4 * MIB
    back_off_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(slots=True)
class _Part:
    """Bytes ``start`` to ``end`` (exclusive), of which the first ``done`` are there."""

    start: int
    end: int
    done: int = 0
    taken: bool = False

    def is_done(self) -> bool:
        return self.start + self.done >= self.end


class _StartAgain(Exception):
    """What is there so far is of no use: the file changed, or comes only as a whole."""


class Transfer:
    """One file on its way. Belongs to one event loop and to whoever has the lock on the layer.

    Args:
        layer: what is fetched.
        url: where it is; redirects lead to the bytes.
        partial: where the bytes go.
        state_file: where it stands which of them are there.
        fetcher: asks.
        report: called with the bytes that are there, often; the number falls when something has to be fetched again.
    """

    def __init__(
        self,
        layer: Layer,
        url: str,
        partial: Path,
        state_file: Path,
        fetcher: Fetcher,
        options: TransferOptions,
        report: Callable[[int], None],
    ) -> None:
        self._layer = layer
        self._url = url
        self._partial = partial
        self._state_file = state_file
        self._fetcher = fetcher
        self._options = options
        self._report = report
        self._etag = ""
        self._changed = False
        self._restarts = 0
        self._whole = False
        self._saved_s = 0.0
        self._parts: list[_Part] = []
        self.resumed = False
        """Some bytes were there from an earlier time."""

    @property
    def completed(self) -> int:
        """Bytes that are there."""
        return sum(part.done for part in self._parts)

    def prepare(self) -> None:
        """Find out what is there from an earlier time. Blocking; first call.

        Raises:
            QuotaExceeded, ProfileUnusable: the disk is full, or cannot be written.
        """
        try:
            self._parts = self._load() or self._fresh()
            self.resumed = self.completed > 0
        except OSError as error:
            raise disk_error(error, self._partial.parent) from error

    async def run(self, up_to: int | None = None) -> None:
        """Fetch what is missing. After a failure, what is there is kept.

        Args:
            up_to: only the parts that begin before this byte; None: all.

        Raises:
            BackendFailed: the server refuses, is gone, or sends something else than this file.
            QuotaExceeded: ``disk_full``.
        """
        limit = self._layer.size if up_to is None else min(up_to, self._layer.size)
        try:
            while not all(part.is_done() or part.start >= limit for part in self._parts):
                if self._whole and self._parts[0].done >= limit:
                    return
                await self._round(limit)
        finally:
            self._save()

    def head(self, size: int) -> bytes:
        """The first bytes of the file, as far as :meth:`run` brought them. Blocking."""
        with self._partial.open("rb") as stream:
            return stream.read(min(size, self._layer.size))

    # Rounds: until all is there or something forces to begin again

    async def _round(self, limit: int) -> None:
        for part in self._parts:
            part.taken = False
        open_parts = sum(not part.is_done() and part.start < limit for part in self._parts)
        workers = 1 if self._whole else min(self._options.connections, open_parts)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(limit))
        except BaseExceptionGroup as failures:
            others = [error for error in failures.exceptions if not isinstance(error, _StartAgain)]
            if others:
                raise others[0] from None
            await self._begin_again()

    async def _work(self, limit: int) -> None:
        while part := next((p for p in self._parts if not p.taken and not p.is_done() and p.start < limit), None):
            part.taken = True
            await self._fetch_patiently(part, limit)

    async def _fetch_patiently(self, part: _Part, limit: int) -> None:
        """Fetch one part, with new connections for as long as they bring something."""
        waits = self._options.back_off_s
        failures, best = 0, part.done
        while True:
            trickled = False
            try:
                await self._fetch(part, limit)
                if part.is_done() or (self._whole and part.done >= limit):
                    return
                why = "the connection ended early"
            except Broken as error:
                why, trickled = str(error), isinstance(error, TooSlow)
            except Refused as error:
                # A signed address that expired is made anew by asking again.
                if error.status not in _TEMPORARY and not error.redirected:
                    raise BackendFailed(
                        f"{error.host} does not give a part of the model (it answered {error.status}). "
                        "Try again later.",
                        reason="backend_error",
                    ) from error
                why = f"{error.host} answered {error.status}"
            self._save()
            failures = 1 if part.done > best and not trickled else failures + 1
            best = max(best, part.done)
            if failures > len(waits):
                raise BackendFailed(f"The download broke off: {why}. What arrived is kept; try again.")
            await self._options.sleep(waits[failures - 1])

    async def _fetch(self, part: _Part, limit: int) -> None:
        if self._whole:
            part.done = 0
        start = part.start + part.done
        headers = {} if self._whole else {"Range": f"bytes={start}-{part.end - 1}"}
        try:
            async with self._fetcher.get(self._url, headers) as response:
                self._check(response, start, part)
                with self._partial.open("r+b", buffering=0) as file:
                    await asyncio.to_thread(file.seek, start)
                    await self._receive(response, part, file, limit)
        except Refused as error:
            if error.status == 416:
                raise _StartAgain from error
            raise
        except OSError as error:
            raise disk_error(error, self._partial.parent) from error

    def _check(self, response: httpx.Response, start: int, part: _Part) -> None:
        size = self._layer.size
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._other_file("it is compressed")
        if response.status_code == 206:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            if not found or int(found[1]) != start or int(found[2]) >= part.end:
                raise self._other_file("it sent bytes that were not asked for")
            if found[3] != "*" and int(found[3]) != size:
                raise self._other_file(f"it has {int(found[3]):,} bytes and not {size:,}")
        else:
            length = response.headers.get("content-length")
            if length is not None and length.isdecimal() and int(length) != size:
                raise self._other_file(f"it has {int(length):,} bytes and not {size:,}")
            if not self._whole:
                # The server does not know Range. One connection, from the beginning.
                self._whole = True
                raise _StartAgain
        etag = response.headers.get("etag", "")
        if etag and self._etag and etag != self._etag and not self._changed:
            # Mirrors may differ in this for ever, so once; then the digest decides alone.
            self._changed = True
            self._etag = etag
            raise _StartAgain
        self._etag = etag or self._etag

    async def _receive(self, response: httpx.Response, part: _Part, file: BinaryIO, limit: int) -> None:
        room = part.end - part.start - part.done
        buffer, pace = bytearray(), self._fetcher.pace(response)
        try:
            async for chunk in response.aiter_raw():
                pace.saw(len(chunk))
                if len(buffer) + len(chunk) > room:
                    raise self._other_file("it is longer than announced")
                buffer += chunk
                if len(buffer) >= WRITE_BYTES or len(buffer) == room:
                    full, buffer = buffer, bytearray()
                    room -= len(full)
                    self._wrote(part, await asyncio.to_thread(_write_all, file, full))
                    if self._whole and part.done >= limit:
                        return
        finally:
            # Also when the connection broke or somebody pressed pause: what came is not to be fetched again.
            if buffer:
                self._wrote(part, _write_all(file, buffer))

    def _wrote(self, part: _Part, size: int) -> None:
        part.done += size
        self._report(self.completed)
        if time.monotonic() - self._saved_s > SAVE_EVERY_S:
            self._save()

    def _other_file(self, why: str) -> BackendFailed:
        return BackendFailed(
            f"The server sends something else than the model's file: {why}. Try again later, or choose another model.",
            reason="backend_error",
        )

    # The side file

    def _fresh(self) -> list[_Part]:
        handle = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with os.fdopen(handle, "r+b") as file:
            file.truncate(self._layer.size)
        self._state_file.unlink(missing_ok=True)
        size = self._layer.size
        if self._whole:
            return [_Part(0, size)]
        parts: list[_Part] = []
        start, length = 0, self._options.head_bytes
        while start < size:
            parts.append(_Part(start, min(start + length, size)))
            start += length
            length = min(max(length, start), self._options.part_bytes)
        return parts

    async def _begin_again(self) -> None:
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise self._other_file("it changes all the time")
        try:
            self._parts = await asyncio.to_thread(self._fresh)
        except OSError as error:
            raise disk_error(error, self._partial.parent) from error
        self._report(self.completed)

    def _load(self) -> list[_Part] | None:
        """The parts as the side file tells them; None where it tells nothing that fits."""
        try:
            if self._partial.stat().st_size != self._layer.size:
                return None
            found = json.loads(self._state_file.read_bytes())
            parts = [_Part(int(start), int(end), int(done)) for start, end, done in found["parts"]]
            etag = str(found["etag"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        position = 0
        for part in parts:
            if part.start != position or part.end <= part.start or not 0 <= part.done <= part.end - part.start:
                return None
            position = part.end
        if position != self._layer.size:
            return None
        self._etag = etag
        return parts

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        if self._whole:
            return
        content = {"etag": self._etag, "parts": [[part.start, part.end, part.done] for part in self._parts]}
        temporary = self._state_file.with_suffix(".tmp")
        with contextlib.suppress(OSError):  # It costs fetching some bytes again, if anything.
            temporary.write_text(json.dumps(content), encoding="ascii")
            temporary.replace(self._state_file)


def _write_all(file: BinaryIO, data: bytearray) -> int:
    view = memoryview(data)
    written = 0
    while written < len(view):
        written += file.write(view[written:])
    return written
