"""The ledger: what was published from this profile, by whom, and whose the drives and names are.

One entry for each drive, CID or name and each publisher; publishing to it again brings its entry up to date and counts.
Ownership is kept apart from the entries, so that forgetting what was published gives nobody's drive away.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from peersky.system.database import Database

PAGE: Final = 50
"""Entries that :meth:`Ledger.search` gives where nothing else is asked for."""

_EXPORT_PAGE: Final = 500

_MIGRATIONS: Final = (
    """
    CREATE TABLE publications (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        url TEXT NOT NULL, root TEXT NOT NULL, name TEXT NOT NULL, origin TEXT NOT NULL, app TEXT NOT NULL,
        time REAL NOT NULL, first_time REAL NOT NULL, times INTEGER NOT NULL,
        bytes INTEGER NOT NULL, files INTEGER NOT NULL, model TEXT NOT NULL, pinned INTEGER NOT NULL,
        searched TEXT NOT NULL,
        UNIQUE (root, origin)
    );
    CREATE INDEX publications_by_time ON publications (time, id);
    CREATE TABLE owned (
        root TEXT PRIMARY KEY, origin TEXT NOT NULL, name TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX owned_by_origin ON owned (origin, name);
    """,
)


@dataclass(frozen=True, slots=True)
class Publication:
    """Something that was published.

    Attributes:
        url: what now exists, as people pass it on: ``hyper://KEY/blog/a.html``, ``ipfs://CID/``.
        root: its drive, CID or name: ``hyper://KEY/``, ``ipfs://CID/``, ``ipns://KEY/``.
        name: what the publisher called it, or empty.
        origin: serialised origin of the page that published, or ``user`` for the menu and the command line.
        app: which of the built-in apps it was, which share their origin; else empty.
        bytes: size of what was last written there.
        files: number of files of the same.
        model: name of the model that wrote it; empty where none did, or none is known.
        pinned: whether it is kept on this computer and shared.
        time: when it was last published, in seconds since 1970.
        first_time: when it was first published, in seconds since 1970; set by the ledger.
        times: how often it was published; set by the ledger.
        id: set by the ledger.
        owned: whether its drive or name was made here and is not gone for good; set by the ledger.
    """

    url: str
    root: str
    name: str
    origin: str
    app: str = ""
    bytes: int = 0
    files: int = 1
    model: str = ""
    pinned: bool = True
    time: float = field(default_factory=time.time)
    first_time: float = 0
    times: int = 1
    id: int = 0
    owned: bool = False

    def as_object(self) -> dict[str, Any]:
        """The entry for pages and for the export; times as ISO 8601 in UTC."""
        return {
            "id": self.id,
            "url": self.url,
            "root": self.root,
            "name": self.name,
            "origin": self.origin,
            "app": self.app,
            "bytes": self.bytes,
            "files": self.files,
            "model": self.model,
            "pinned": self.pinned,
            "owned": self.owned,
            "time": _iso(self.time),
            "firstTime": _iso(self.first_time),
            "times": self.times,
        }


@dataclass(frozen=True, slots=True)
class OwnedKey:
    """A drive or an IPNS name that was made here.

    Attributes:
        root: ``hyper://KEY/`` or ``ipns://KEY/``.
        origin: who made it, serialised, or ``user``.
        name: what its maker calls it.
    """

    root: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """Part of what a search found; ``total`` counts all of it."""

    publications: list[Publication]
    total: int


_COLUMNS: Final = ", ".join(
    "EXISTS (SELECT 1 FROM owned WHERE owned.root = publications.root)" if one.name == "owned" else one.name
    for one in fields(Publication)
)

_RECORD: Final = """
    INSERT INTO publications
        (url, root, name, origin, app, time, first_time, times, bytes, files, model, pinned, searched)
    VALUES (:url, :root, :name, :origin, :app, :time, :time, 1, :bytes, :files, :model, :pinned, '')
    ON CONFLICT (root, origin) DO UPDATE SET
        url = excluded.url, name = iif(excluded.name = '', name, excluded.name), app = excluded.app,
        time = max(time, excluded.time), times = times + 1, bytes = excluded.bytes, files = excluded.files,
        model = excluded.model, pinned = excluded.pinned
    RETURNING id
"""
_INDEX: Final = "UPDATE publications SET searched = folded(url, root, name, origin, app, model) WHERE id = ?"


class Ledger:
    """Keeps and finds publications and owners. Any event loop may use it; nothing is opened before it is first used.

    What was acknowledged survives a crash (see :class:`~peersky.system.database.Database`). Every method raises
    :class:`~peersky.core.errors.ProfileUnusable` where the file cannot be used.

    Args:
        file: the database.
        on_notice: takes a sentence for the user about a damaged file.
    """

    def __init__(self, file: Path, on_notice: Callable[[str], None] = lambda _sentence: None) -> None:
        self._notices: list[str] = []
        self._on_notice = on_notice
        self._database = Database(file, _MIGRATIONS, _add_functions, self._notice)

    @property
    def notices(self) -> Sequence[str]:
        """Sentences for the user since the start, until :meth:`reset`: that the file was damaged."""
        return tuple(self._notices)

    # --- what was published

    async def record(self, publication: Publication) -> int:
        """Add an entry, or bring the same publisher's entry for the same root up to date.

        Returns:
            The entry's id. Once this returns, it is on disk.
        """
        values = {column.name: getattr(publication, column.name) for column in fields(Publication)}

        def insert(connection: sqlite3.Connection) -> int:
            number = int(connection.execute(_RECORD, values).fetchone()[0])
            connection.execute(_INDEX, (number,))
            return number

        return await self._database.write(insert)

    async def search(self, text: str = "", limit: int = PAGE, offset: int = 0) -> Found:
        """Entries, the newest first.

        Args:
            text: words, all of which address, name, publisher, app and model together must contain, upper or lower
                case; empty: everything.
            limit: at most this many.
            offset: so many are passed over.
        """
        words = text.casefold().split()
        where = " AND ".join(["instr(searched, ?) > 0"] * len(words)) or "1"

        def find(connection: sqlite3.Connection) -> Found:
            (total,) = connection.execute(
                f"SELECT COUNT(*) FROM publications WHERE {where}",  # noqa: S608 - our own words
                words,
            ).fetchone()
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM publications WHERE {where} "  # noqa: S608
                "ORDER BY time DESC, id DESC LIMIT ? OFFSET ?",
                [*words, limit, offset],
            )
            return Found([_publication(row) for row in rows], total)

        return await self._database.read(find)

    async def get(self, number: int) -> Publication | None:
        """The entry with an id."""
        query = f"SELECT {_COLUMNS} FROM publications WHERE id = ?"  # noqa: S608
        rows = await self._database.read(partial(_fetch, query=query, values=(number,)))
        return _publication(rows[0]) if rows else None

    async def forget(self, number: int) -> None:
        """Delete the entry with an id, if there is one. What it tells of stays shared, and owned by whoever owns it."""
        await self._delete("DELETE FROM publications WHERE id = ?", (number,))

    async def publishers(self, root: str) -> set[str]:
        """Who published to a root that is still shared: serialised origins, ``user`` among them."""
        query = "SELECT origin FROM publications WHERE root = ? AND pinned"
        return {origin for (origin,) in await self._database.read(partial(_fetch, query=query, values=(root,)))}

    async def shared_schemes(self) -> set[str]:
        """The URL schemes of what was published here and is still shared."""
        query = "SELECT DISTINCT substr(root, 1, instr(root, ':') - 1) FROM publications WHERE pinned"
        return {scheme for (scheme,) in await self._database.read(partial(_fetch, query=query, values=()))}

    async def set_pinned(self, root: str, pinned: bool, origin: str | None = None) -> None:
        """Note that a root is shared, or is no longer.

        Args:
            origin: only in this publisher's entry; None: in everybody's.
        """
        query = "UPDATE publications SET pinned = ? WHERE root = ? AND (? IS NULL OR origin = ?)"
        await self._database.write(partial(_execute, query=query, values=(pinned, root, origin, origin)))

    async def export(self) -> AsyncIterator[bytes]:
        """All entries, the oldest first, as one JSON document in pieces."""
        head = {"format": "peersky-ledger", "version": 1, "exportedAt": _iso(time.time())}
        yield (_json(head)[:-1] + ',"publications":[').encode()
        query = f"SELECT {_COLUMNS} FROM publications WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
        last, separator = 0, "\n"
        while rows := await self._database.read(partial(_fetch, query=query, values=(last, _EXPORT_PAGE))):
            for publication in map(_publication, rows):
                yield (separator + _json(publication.as_object())).encode()
                last, separator = publication.id, ",\n"
        yield b"\n]}\n"

    # --- whose it is

    async def owner(self, root: str) -> str | None:
        """Who made a drive or a name: a serialised origin or ``user``; None where it was not made here."""
        query = "SELECT origin FROM owned WHERE root = ?"
        rows = await self._database.read(partial(_fetch, query=query, values=(root,)))
        return str(rows[0][0]) if rows else None

    async def set_owner(self, root: str, origin: str, name: str) -> None:
        """Note who made a drive or a name. The first owner stays the owner: who asks later gets nothing."""
        query = "INSERT INTO owned (root, origin, name) VALUES (?, ?, ?) ON CONFLICT (root) DO NOTHING"
        await self._database.write(partial(_execute, query=query, values=(root, origin, name)))

    async def disown(self, root: str) -> None:
        """Forget who made a drive or a name, because it is gone for good."""
        await self._database.write(partial(_execute, query="DELETE FROM owned WHERE root = ?", values=(root,)))

    async def names(self, origin: str) -> list[OwnedKey]:
        """The drives and names that an origin, or ``user``, made here; by name."""
        query = "SELECT root, origin, name FROM owned WHERE origin = ? ORDER BY name, root"
        return [OwnedKey(*row) for row in await self._database.read(partial(_fetch, query=query, values=(origin,)))]

    # --- all of it

    async def reset(self, *, identities: bool) -> None:
        """Forget everything that was published.

        Args:
            identities: whether the keys are deleted with it, and so who made which drive; where they are kept, the
                same names lead to the same drives again, and these keep their owners.
        """
        if identities:
            await self._database.erase()
        else:
            await self._delete("DELETE FROM publications", ())
        self._notices.clear()

    async def close(self) -> None:
        """Finish and close. Safe to call twice."""
        await self._database.close()

    def _notice(self, sentence: str) -> None:
        self._notices.append(sentence)
        self._on_notice(sentence)

    async def _delete(self, query: str, values: Sequence[Any]) -> None:
        if await self._database.write(partial(_execute, query=query, values=values)):
            await self._database.forget_deleted()


def _fetch(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(query, values).fetchall()


def _execute(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> int:
    return connection.execute(query, values).rowcount


def _publication(row: Sequence[Any]) -> Publication:
    values = dict(zip((column.name for column in fields(Publication)), row, strict=True))
    return Publication(**{**values, **{name: bool(values[name]) for name in ("pinned", "owned")}})


def _add_functions(connection: sqlite3.Connection) -> None:
    connection.create_function("folded", -1, lambda *texts: "\n".join(texts).casefold(), deterministic=True)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
