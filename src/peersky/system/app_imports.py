"""Apps on their way into the profile: files arrive in packs or as a zip in a folder that nothing serves.

Whatever goes wrong, the whole import is thrown away: no app is ever half there.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import secrets
import shutil
import stat
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from peersky.core.app_files import MAX_FILES, Contents
from peersky.core.errors import InvalidRequest, NotFound, PeerSkyError, QuotaExceeded
from peersky.core.sizes import size_text
from peersky.system.files import PRIVATE_DIRECTORY, PRIVATE_FILE, make_directory, unusable

MAX_IMPORTS: Final = 8
IDLE_S: Final = 600.0
"""An import of which nothing is heard for this long is given up."""

_KEEP_FREE_BYTES: Final = 256 * 1024 * 1024
_MAX_INDEX_BYTES: Final = 8 << 20
_READ_BYTES: Final = 256 * 1024
_MAX_RATIO: Final = 200
_RATIO_COUNTS_FROM_BYTES: Final = 50 * 1024 * 1024
_END_OF_DIRECTORY: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_LONGEST_COMMENT_BYTES: Final = 1 << 16
_MAX_DIRECTORY_BYTES: Final = 32 << 20
_LATEST_TIME_S: Final = 1 << 33
_BROKEN_OFF: Final = "The files did not arrive completely; add the app again."
_BAD_ZIP: Final = "This file is no zip archive, or it is damaged; pack the folder again."


class Imports:
    """All imports of a profile.

    Args:
        folder: where they wait; emptied at construction, since none outlives the program.
        clock_s: monotonic clock.
    """

    def __init__(self, folder: Path, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock_s = folder, clock_s
        self._open: dict[str, Import] = {}
        self._used_s: dict[str, float] = {}
        self._lock = threading.Lock()
        shutil.rmtree(folder, ignore_errors=True)

    def begin(self) -> Import:
        """A new, empty import.

        Raises:
            QuotaExceeded: ``too_many_imports``.
            ProfileUnusable: its folder cannot be made.
        """
        with self._lock:
            for token in [token for token, used_s in self._used_s.items() if self._clock_s() - used_s > IDLE_S]:
                self._drop(token)
            if len(self._open) >= MAX_IMPORTS:
                raise QuotaExceeded(
                    "Too many apps are being added at once; wait until one is done.",
                    reason="too_many_imports",
                    requested=len(self._open) + 1,
                    quota=MAX_IMPORTS,
                )
            token = secrets.token_hex(16)
            folder = self._folder / token
            try:
                make_directory(folder / "files")
            except OSError as error:
                raise unusable(error, folder, "create") from error
            self._open[token] = Import(token, folder)
            self._used_s[token] = self._clock_s()
            return self._open[token]

    def get(self, token: str) -> Import:
        """An open import.

        Raises:
            NotFound: there is none; it failed, was given up, or never was.
        """
        with self._lock:
            if token not in self._open:
                raise NotFound("This import is over; add the app again.", reason="no_such_import")
            self._used_s[token] = self._clock_s()
            return self._open[token]

    def drop(self, token: str) -> None:
        """Throw an import away, if it is there."""
        with self._lock:
            self._drop(token)

    def _drop(self, token: str) -> None:
        self._used_s.pop(token, None)
        if (gone := self._open.pop(token, None)) is not None:
            gone.throw_away()


class Import:
    """One import. Its methods block.

    Attributes:
        token: names it.
        contents: what has arrived.
        turn: held by the one step that runs.
    """

    def __init__(self, token: str, folder: Path) -> None:
        self.token, self.contents, self.turn = token, Contents(), asyncio.Lock()
        self._folder = folder
        self._is_over = False

    @property
    def zip_file(self) -> Path:
        """Where a zip waits to be unpacked."""
        return self._folder / "app.zip"

    def pack(self) -> PackReader:
        """Takes a pack; :meth:`PackReader.feed` it all of its bytes."""
        return PackReader(self)

    def unpack(self) -> None:
        """Take the files of the zip at :attr:`zip_file`, and delete it. Symbolic links are left out.

        Raises:
            InvalidRequest: ``bad_zip``, ``bad_name``.
            QuotaExceeded: ``too_many_files``, ``too_large``, ``zip_bomb``, ``disk_full``.
        """
        try:
            _check_directory(self.zip_file)
            with zipfile.ZipFile(self.zip_file) as archive:
                self._unpack(archive, self.zip_file.stat().st_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError, struct.error) as error:
            raise InvalidRequest(_BAD_ZIP, reason="bad_zip") from error
        finally:
            self.zip_file.unlink(missing_ok=True)

    def _unpack(self, archive: zipfile.ZipFile, packed_bytes: int) -> None:
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                self.contents.skipped += 1
                continue
            if entry.flag_bits & 1:
                raise InvalidRequest("This zip is protected by a password; pack it without one.", reason="bad_zip")
            path = self.contents.add(entry.filename, 0)
            if path is None:
                continue
            modified_s = _zip_time(entry.date_time)
            with archive.open(entry) as source, self.create(path, modified_s) as target:
                # What is really there counts, not what the zip says of itself.
                while piece := source.read(_READ_BYTES):
                    self.contents.grow(len(piece))
                    _check_ratio(self.contents.bytes, packed_bytes)
                    target.write(piece)

    def create(self, path: str, modified_s: float) -> _NewFile:
        """A new file of the app, private, with its folders.

        Raises:
            PeerSkyError: the import is over, or the disk is full.
        """
        if self._is_over:
            raise NotFound("This import is over; add the app again.", reason="no_such_import")
        return _NewFile(self._folder / "files" / path, modified_s)

    def check_room(self, size: int) -> None:
        """Refuse what the disk has no room for.

        Raises:
            QuotaExceeded: ``disk_full``.
        """
        free = shutil.disk_usage(self._folder).free
        if free - size < _KEEP_FREE_BYTES:
            raise disk_full(size, max(0, free - _KEEP_FREE_BYTES))

    def files(self) -> Path:
        """The folder of the app's own files, without those around it that only pack it."""
        return self._folder / "files" / self.contents.top_folder()

    def throw_away(self) -> None:
        """Delete everything; a step that still runs fails."""
        self._is_over = True
        shutil.rmtree(self._folder, ignore_errors=True)


class PackReader:
    """Files in a row: a line of JSON, ``[[path, bytes, modified in ms since 1970], …]``, then all their bytes.

    ``assets/pages/apps/import.js`` writes them.
    """

    def __init__(self, target: Import) -> None:
        self._import = target
        self._index = bytearray()
        self._left: list[tuple[str | None, int, float]] | None = None
        self._file: _NewFile | None = None
        self._missing = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidRequest: ``malformed``, ``bad_name``.
            QuotaExceeded: ``too_many_files``, ``too_large``, ``disk_full``.
        """
        view = memoryview(data)
        if self._left is None:
            line, newline, _ = data.partition(b"\n")
            self._index += line
            if len(self._index) > _MAX_INDEX_BYTES:
                raise _malformed()
            if not newline:
                return
            self._left = self._read_index()
            view = view[len(line) + 1 :]
            self._next()
        while len(view):
            if not self._missing:
                raise _malformed()
            taken = min(self._missing, len(view))
            if self._file is not None:
                self._file.write(view[:taken])
            self._missing -= taken
            view = view[taken:]
            if not self._missing:
                self._next()

    def end(self) -> None:
        """All has been fed.

        Raises:
            InvalidRequest: ``interrupted``: something lacks.
        """
        if self._left is None or self._left or self._missing:
            raise InvalidRequest(_BROKEN_OFF, reason="interrupted")

    def close(self) -> None:
        """Close what is open. Safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read_index(self) -> list[tuple[str | None, int, float]]:
        try:
            entries = json.loads(self._index)
        except (ValueError, RecursionError):
            raise _malformed() from None
        if not isinstance(entries, list) or len(entries) > MAX_FILES:
            raise _malformed()
        found = [self._entry(entry) for entry in entries]
        self._import.check_room(sum(size for _, size, _ in found))
        return found[::-1]

    def _entry(self, entry: Any) -> tuple[str | None, int, float]:
        if not isinstance(entry, list) or len(entry) != 3 or not isinstance(entry[0], str):
            raise _malformed()
        name, size, modified_ms = entry
        if not _is_number(size) or size < 0 or not _is_number(modified_ms):
            raise _malformed()
        return self._import.contents.add(name, int(size)), int(size), modified_ms / 1000

    def _next(self) -> None:
        """Open the next file that has bytes; empty ones are made on the way."""
        self.close()
        assert self._left is not None
        while self._left and not self._missing:
            path, self._missing, modified_s = self._left.pop()
            if path is not None:
                self.close()
                self._file = self._import.create(path, modified_s)
        if not self._missing:
            self.close()


class _NewFile:
    """A file that did not exist; private from its first byte."""

    def __init__(self, path: Path, modified_s: float) -> None:
        self._path = path
        self._modified_s = min(max(modified_s, 0.0), _LATEST_TIME_S)
        try:
            path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file: IO[bytes] = os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb")
        except OSError as error:
            raise disk_error(error, path) from error

    def __enter__(self) -> _NewFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes | memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise disk_error(error, self._path) from error

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self._file.close()
            os.utime(self._path, (self._modified_s, self._modified_s))
        except OSError as error:
            raise disk_error(error, self._path) from error


def disk_full(requested: int, quota: int) -> QuotaExceeded:
    """There is no room for an app.

    Args:
        requested, quota: in bytes.
    """
    return QuotaExceeded(
        f"The disk has no room for this app ({size_text(requested)}); free some space and add it again.",
        reason="disk_full",
        requested=requested,
        quota=quota,
    )


def disk_error(error: OSError, path: Path) -> PeerSkyError:
    """What the operating system said while an app was written, for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return QuotaExceeded("The disk is full; free some space and add the app again.", reason="disk_full")
    if error.errno == errno.ENAMETOOLONG:
        return InvalidRequest(f"The path {path.name} is too long for this disk; rename it.", reason="bad_name")
    return unusable(error, path)


def _check_ratio(total: int, packed: int) -> None:
    if total > _RATIO_COUNTS_FROM_BYTES and total > packed * _MAX_RATIO:
        raise QuotaExceeded(
            f"This zip unpacks to more than {_MAX_RATIO} times its size, as no app does; it was not added.",
            reason="zip_bomb",
            requested=total,
            quota=packed * _MAX_RATIO,
        )


def _check_directory(file: Path) -> None:
    """Refuse a zip with a directory that would fill the memory before its entries can be counted."""
    with file.open("rb") as archive:
        size = archive.seek(0, os.SEEK_END)
        archive.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT_BYTES))
        tail = archive.read()
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise InvalidRequest(_BAD_ZIP, reason="bad_zip")
    if struct.unpack_from("<I", tail, at + 12)[0] > _MAX_DIRECTORY_BYTES:
        raise QuotaExceeded(
            f"This zip has too many files: an app may have {MAX_FILES:,}.", reason="too_many_files", quota=MAX_FILES
        )


def _zip_time(date_time: tuple[int, ...]) -> float:
    try:
        return time.mktime((*date_time, 0, 0, -1))  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1 < value < 1 << 53


def _malformed() -> InvalidRequest:
    return InvalidRequest("The files arrived in a form that is not known; reload the page.", reason="malformed")
