"""Files by their digest, in the layout of Ollama's store: ``blobs/sha256-<64 hexadecimal digits>``.

A file gets that name only after its digest was checked. Beside them, while a download lasts, lie ``…-partial`` (the
bytes), ``…-partial.json`` (which of them are there) and ``…-partial.lock``. A file that an Ollama on this computer has
is not downloaded: it is linked, or, on another disk, read where it is; then ``….json`` says where. Ollama's files are
never changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from peersky.core.errors import PeerSkyError, QuotaExceeded
from peersky.core.manifest import Layer
from peersky.system.file_lock import try_lock
from peersky.system.files import PRIVATE_FILE, make_directory, unusable, write_atomically

HASH_STEP_BYTES: Final = 32 * 1024 * 1024
"""Bytes hashed between two chances to be cancelled."""

COPY_STEP_BYTES: Final = 8 * 1024 * 1024
LOCK_PAUSE_S: Final = 0.5
LEFT_BEHIND_S: Final = 86_400
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Report = Callable[[int], None]
"""Told how many bytes are done."""


def ollama_stores(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Where Ollama keeps its models on this computer, if it is there: the user's own and the Linux service's."""
    named = environment.get("OLLAMA_MODELS")
    places = [Path(named)] if named else []
    places += [home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]
    return [place for place in places if (place / "blobs").is_dir()]


async def digest_of(file: Path, report: Report = lambda done: None) -> str:
    """The digest of a file, ``sha256:…``. Can be cancelled.

    Raises:
        OSError: the file cannot be read.
    """
    hasher = hashlib.sha256()
    done = 0

    def step() -> int:
        # Opened anew each time: somebody who presses pause leaves no open file behind.
        with file.open("rb") as stream:
            stream.seek(done)
            left = HASH_STEP_BYTES
            while left and (chunk := stream.read(min(left, 1024 * 1024))):
                hasher.update(chunk)
                left -= len(chunk)
        return HASH_STEP_BYTES - left

    while read := await asyncio.to_thread(step):
        done += read
        report(done)
    return "sha256:" + hasher.hexdigest()


class Blobs:
    """The files of one store.

    Args:
        folder: the directory ``blobs``.
        foreign: stores of Ollama, whose files are used where they fit.
    """

    def __init__(self, folder: Path, foreign: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._foreign = list(foreign)

    def locate(self, layer: Layer) -> Path | None:
        """The checked file of a layer; None where it is not here. Blocking."""
        own = self.folder / layer.file_name
        with contextlib.suppress(OSError):
            return own if own.stat().st_size == layer.size else None
        return self._referred(layer)

    def partial(self, layer: Layer) -> Path:
        """Where a download of this layer is written."""
        return self.folder / f"{layer.file_name}-partial"

    def state_file(self, layer: Layer) -> Path:
        """Where it stands which bytes of :meth:`partial` are there."""
        return self.folder / f"{layer.file_name}-partial.json"

    def written(self, layer: Layer) -> int:
        """Bytes that an unfinished download of this layer takes on the disk already. Blocking."""
        with contextlib.suppress(OSError):
            return _on_disk(self.partial(layer).stat())
        return 0

    def is_offered(self, layer: Layer) -> bool:
        """Whether an Ollama on this computer seems to have this layer. Blocking."""
        for store in self._foreign:
            with contextlib.suppress(OSError):
                if (store / "blobs" / layer.file_name).stat().st_size == layer.size:
                    return True
        return False

    async def adopt(self, layer: Layer, report: Report) -> bool:
        """Use Ollama's file of this layer, if it has one and its digest is right.

        Returns:
            Whether the layer is here now.
        """
        for store in self._foreign:
            theirs = store / "blobs" / layer.file_name
            with contextlib.suppress(OSError):
                if theirs.stat().st_size == layer.size and await self._take_over(theirs.resolve(), layer, report):
                    return True
        return False

    async def add_file(self, file: Path, layer: Layer, digest_known: bool = False) -> None:
        """Bring a file of the user's in: by a hard link, or as a copy. The file itself stays.

        Raises:
            QuotaExceeded: the disk is too full for a copy.
            OSError: it cannot be read, or is not what ``layer`` says.
        """
        make_directory(self.folder)
        if not await self._take_over(file, layer, lambda done: None, may_refer=False, trusted=digest_known):
            raise OSError(errno.EIO, "the file changed while it was read")

    async def finish(self, layer: Layer, report: Report) -> bool:
        """Check a downloaded file and give it its name. One that is wrong is deleted.

        Returns:
            Whether it was right.
        """
        partial = self.partial(layer)
        right = await digest_of(partial, report) == layer.digest
        await asyncio.to_thread(self._settle, layer, right)
        return right

    def discard(self, layer: Layer) -> None:
        """Throw away what an unfinished download of this layer left. Blocking."""
        state = self.state_file(layer)
        for file in (self.partial(layer), state, state.with_suffix(".tmp"), self._lock_file(layer)):
            with contextlib.suppress(OSError):
                file.unlink()

    def tidy(self) -> None:
        """Delete temporary files that a process left which was killed a day ago or earlier. Blocking."""
        for file in self.folder.glob(".sha256-*.tmp"):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < time.time() - LEFT_BEHIND_S:
                    file.unlink()

    def remove(self, layer: Layer) -> int:
        """Delete the file of a layer, or forget where Ollama has it; the bytes this freed. Blocking.

        Raises:
            OSError: it cannot be deleted.
        """
        self._reference(layer).unlink(missing_ok=True)
        own = self.folder / layer.file_name
        try:
            status = own.stat()
            own.unlink()
        except FileNotFoundError:
            return 0
        return status.st_size if status.st_nlink == 1 else 0

    def disk_use(self) -> int:
        """Bytes that the store takes on the disk, unfinished downloads included. Blocking."""
        total = 0
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder):
                with contextlib.suppress(OSError):
                    total += _on_disk(entry.stat(follow_symlinks=False))
        return total

    @asynccontextmanager
    async def lock(self, layer: Layer, waiting: Callable[[], None]) -> AsyncIterator[None]:
        """Keep other processes from downloading this layer; waits while one does.

        Args:
            waiting: called when there is a wait.
        """
        path = self._lock_file(layer)
        while True:
            make_directory(self.folder)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
            with os.fdopen(handle, "r+b", buffering=0) as file:
                try:
                    try_lock(file)
                    # Whoever had it may have deleted the file: then this lock is nobody's.
                    mine = os.fstat(file.fileno()).st_ino == path.stat().st_ino
                except OSError:
                    mine = False
                if mine:
                    try:
                        yield
                    finally:
                        if os.name == "posix":
                            path.unlink(missing_ok=True)
                    break
            waiting()
            await asyncio.sleep(LOCK_PAUSE_S)
        if os.name != "posix":
            with contextlib.suppress(OSError):
                path.unlink()

    def _lock_file(self, layer: Layer) -> Path:
        return self.folder / f"{layer.file_name}-partial.lock"

    def _reference(self, layer: Layer) -> Path:
        return self.folder / f"{layer.file_name}.json"

    def _referred(self, layer: Layer) -> Path | None:
        """Ollama's file, if it is still the one that was checked."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            reference = json.loads(self._reference(layer).read_bytes())
            theirs = Path(reference["path"])
            status = theirs.stat()
            if [status.st_size, status.st_mtime_ns] == [layer.size, reference["modified_ns"]]:
                return theirs
        return None

    def _settle(self, layer: Layer, right: bool) -> None:
        partial = self.partial(layer)
        if right:
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.replace(self.folder / layer.file_name)
        else:
            partial.unlink(missing_ok=True)
        self.state_file(layer).unlink(missing_ok=True)

    async def _take_over(
        self, file: Path, layer: Layer, report: Report, *, may_refer: bool = True, trusted: bool = False
    ) -> bool:
        make_directory(self.folder)
        mine = self.folder / f".{layer.file_name}.{secrets.token_hex(4)}.tmp"
        try:
            if not await asyncio.to_thread(_link, file, mine):
                if may_refer:
                    return await self._refer(file, layer, report)
                await _copy(file, mine, report)
                trusted = False
            # Checked under a name of ours: what gets the blob's name is what was checked.
            if not trusted and await digest_of(mine, report) != layer.digest:
                return False
            if mine.stat().st_size != layer.size:
                return False
            mine.replace(self.folder / layer.file_name)
            return True
        finally:
            with contextlib.suppress(OSError):
                mine.unlink(missing_ok=True)

    async def _refer(self, theirs: Path, layer: Layer, report: Report) -> bool:
        modified_ns = (await asyncio.to_thread(theirs.stat)).st_mtime_ns
        if await digest_of(theirs, report) != layer.digest:
            return False
        reference = json.dumps({"path": str(theirs), "modified_ns": modified_ns})
        await asyncio.to_thread(write_atomically, self._reference(layer), reference.encode())
        return self._referred(layer) is not None


def _on_disk(status: os.stat_result) -> int:
    """What is written of a file that may have holes, where the system tells."""
    blocks: int = getattr(status, "st_blocks", status.st_size)
    return min(status.st_size, blocks * 512)


def _link(file: Path, name: Path) -> bool:
    try:
        os.link(file, name)
    except OSError:  # Another disk, a file system without links, or another user's file.
        return False
    return True


async def _copy(source: Path, target: Path, report: Report) -> None:
    done = 0
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), PRIVATE_FILE)
        with source.open("rb") as reader, os.fdopen(handle, "wb") as writer:
            while chunk := await asyncio.to_thread(reader.read, COPY_STEP_BYTES):
                await asyncio.to_thread(writer.write, chunk)
                done += len(chunk)
                report(done)
    except OSError as error:
        raise disk_error(error, target.parent) from error


def disk_error(error: OSError, folder: Path) -> PeerSkyError:
    """What went wrong with writing, as a sentence; a full disk is an error of its own."""
    if error.errno in FULL:
        return QuotaExceeded(
            f"The disk with {folder} is full. Free some space and go on: what was downloaded is kept.",
            reason="disk_full",
        )
    return unusable(error, folder)
