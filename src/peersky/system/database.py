"""A SQLite file of the profile: one thread that reads and writes it, migrations by number, and a backup for bad days.

Nothing here knows what is stored. Memory, history and the like bring their migrations and their queries.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from peersky.core.errors import ProfileUnusable
from peersky.system.files import PRIVATE_FILE, replace_durably, unusable

_T = TypeVar("_T")
Work = Callable[[sqlite3.Connection], _T]

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WHY: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_PERM: "this user may not write there",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_BUSY: "another program holds it",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
}
_COMPANIONS: Final = ("-wal", "-shm")


class Database:
    """One SQLite file, opened at its first use. Any event loop may use it.

    A write that was acknowledged survives a crash and a power cut (write-ahead log, synced at each commit). At the
    opening a damaged file is set aside as ``NAME.damaged-TIME`` and the last backup takes its place; a backup
    (``NAME.backup``) is made at the opening, before an upgrade too, and at the closing, where there is news to keep.

    Args:
        file: the database; created, private to the user, where it is missing.
        migrations: SQL scripts; number N (from 1) takes the schema from version N-1 to N. They only ever get more.
        prepare: what each new connection needs, SQL functions for example.
        on_notice: takes a sentence for the user: that the file was damaged, and what became of it.
    """

    def __init__(
        self,
        file: Path,
        migrations: Sequence[str],
        prepare: Callable[[sqlite3.Connection], None] = lambda _connection: None,
        on_notice: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.file = file
        self._migrations = migrations
        self._prepare = prepare
        self._on_notice = on_notice
        self._connection: sqlite3.Connection | None = None
        self._has_news = False
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=file.stem)

    @property
    def backup_file(self) -> Path:
        return self.file.with_name(f"{self.file.name}.backup")

    @property
    def _new_backup(self) -> Path:
        return self.file.with_name(f"{self.file.name}.backup-new")

    async def read(self, work: Work[_T]) -> _T:
        """Run queries, on the database's thread.

        Raises:
            ProfileUnusable: the file cannot be used; the sentence says why.
        """
        return await self._run(lambda: self._guarded(work))

    async def write(self, work: Work[_T]) -> _T:
        """Run ``work`` in one transaction, on the database's thread. Once this returns, the change is on disk.

        What ``work`` raises undoes all that it did.

        Raises:
            ProfileUnusable: the file cannot be used; the sentence says why.
        """
        return await self._run(lambda: self._guarded(lambda connection: self._transaction(connection, work)))

    async def forget_deleted(self) -> None:
        """Leave nothing of what was deleted in the log and in the backup; the next backup is made in due course."""

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.backup_file.unlink(missing_ok=True)

        await self._run(lambda: self._guarded(forget))

    async def erase(self) -> None:
        """Delete the file with its backup and with what was set aside. The next use begins anew."""
        await self._run(self._erase)

    async def close(self) -> None:
        """Finish what was asked for, back up and close. Safe to call twice; there is no use after it."""
        if self._closed:
            return
        work = self._run(self._finish)
        self._closed = True
        try:
            await work
        finally:
            self._thread.shutdown(wait=False)

    # --- on the database's thread

    def _run(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        if self._closed:
            raise ProfileUnusable(f"{self.file.name} is closed, because PeerSky is closing.", reason="closing")
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _guarded(self, work: Work[_T]) -> _T:
        try:
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)
        except sqlite3.DatabaseError as error:
            if _code(error) in _DAMAGED:
                # The next use opens it again, and repairs what can be repaired.
                self._disconnect()
            if (said := _sentence(error, self.file)) is None:
                raise
            raise said from error
        except OSError as error:
            raise unusable(error, self.file) from error

    def _transaction(self, connection: sqlite3.Connection, work: Work[_T]) -> _T:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._has_news = True
        return result

    def _open(self) -> sqlite3.Connection:
        # To SQLite an empty file is a new database; with a backup beside it, it is one that was lost.
        if self.backup_file.exists() and not (self.file.exists() and self.file.stat().st_size):
            self._set_aside("lost its content")
        for _ in range(2):
            try:
                connection = self._connect(self.file)
            except sqlite3.DatabaseError as error:
                if _code(error) not in _DAMAGED:
                    raise
                self._set_aside("was damaged")
                continue
            try:
                # Before an upgrade, too: what it does wrong must not be all that is left.
                self._back_up_if_possible(connection)
                self._migrate(connection)
                self._back_up_if_possible(connection)
            except BaseException:
                connection.close()
                raise
            return connection
        raise ProfileUnusable(f"{self.file} is damaged, and so is what replaced it. Check the disk, then try again.")

    def _connect(self, file: Path) -> sqlite3.Connection:
        """A connection to a file that passed SQLite's check.

        Raises:
            sqlite3.DatabaseError: with a code of :data:`_DAMAGED`: it did not.
        """
        # SQLite would take the mode from the umask; its log gets the mode of the file.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
        connection = sqlite3.connect(file, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                damage = sqlite3.DatabaseError(found)
                damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise damage
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(self._migrations):
            raise ProfileUnusable(f"{self.file} was written by a newer PeerSky. Update PeerSky to use this profile.")
        for number, script in enumerate(self._migrations[version:], version + 1):
            try:
                connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError) and _sentence(error, self.file) is None:
                    raise ProfileUnusable(
                        f"{self.file} could not be taken over from the PeerSky before ({error}). Nothing in it was "
                        "changed: start that version again, and report this."
                    ) from error
                raise

    def _back_up_if_possible(self, connection: sqlite3.Connection) -> None:
        """On a disk that is full, what is stored can be read all the same; the backup of before stays."""
        try:
            # First into the file itself: its time tells whether it differs. What a killed process left is news, too.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if self._has_news or self._differs_from_backup():
                self._back_up(connection)
        except (sqlite3.OperationalError, OSError):
            with contextlib.suppress(OSError):
                self._new_backup.unlink(missing_ok=True)

    def _differs_from_backup(self) -> bool:
        """Whether the file was written since its backup. The times need not be right: a backup bears its file's."""
        try:
            return self.file.stat().st_mtime_ns != self.backup_file.stat().st_mtime_ns
        except FileNotFoundError:
            return self.file.stat().st_size > 0

    def _back_up(self, connection: sqlite3.Connection) -> None:
        new = self._new_backup
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
        with contextlib.closing(sqlite3.connect(new)) as target:
            connection.backup(target)
        written = self.file.stat()
        os.utime(new, ns=(written.st_atime_ns, written.st_mtime_ns))
        replace_durably(new, self.backup_file)
        self._has_news = False

    def _set_aside(self, what: str) -> None:
        """Put the damaged file out of the way, the last backup in its place, and say so."""
        kept = self.file.with_name(f"{self.file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        sentence = f"{self.file.name} {what}."
        for suffix in ("", *_COMPANIONS):
            with contextlib.suppress(FileNotFoundError):
                self.file.with_name(self.file.name + suffix).replace(f"{kept}{suffix}")
                sentence = f"{self.file.name} {what}; what is left of it is kept as {kept.name}."
        if (made_s := self._good_backup_time()) is None:
            self.backup_file.unlink(missing_ok=True)
            self._on_notice(f"{sentence} There is no good backup of it, so it begins empty.")
            return
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(made_s))
        restored = self.file.with_name(f"{self.file.name}.restored")
        shutil.copyfile(self.backup_file, restored)
        restored.chmod(PRIVATE_FILE)
        replace_durably(restored, self.file)
        self._on_notice(f"{sentence} What it held on {made} was restored; what came later is lost.")

    def _good_backup_time(self) -> float | None:
        """When the backup was made, in seconds since 1970; None where there is none that can be read."""
        try:
            found = self.backup_file.stat()
            if found.st_size == 0:
                return None
            self._connect(self.backup_file).close()
        except FileNotFoundError:
            return None
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise
            return None
        return found.st_mtime

    def _erase(self) -> None:
        self._disconnect()
        self._has_news = False
        try:
            for file in self.file.parent.glob(f"{self.file.name}*"):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise unusable(error, self.file, "delete") from error

    def _finish(self) -> None:
        if self._connection is None:
            return
        try:
            if self._has_news:
                self._back_up_if_possible(self._connection)
        finally:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where an error is of the Python module's own."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _sentence(error: sqlite3.DatabaseError, file: Path) -> ProfileUnusable | None:
    """What SQLite said, for the user; None for a fault in our own SQL."""
    code = _code(error)
    if code in _DAMAGED:
        return ProfileUnusable(f"{file} is damaged. Try again: PeerSky then goes back to its last backup.")
    if code in _WHY:
        return ProfileUnusable(f"PeerSky cannot use {file}: {_WHY[code]}. Free or repair it, then try again.")
    return None
