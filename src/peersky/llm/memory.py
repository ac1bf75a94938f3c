"""What pages keep with ``window.llmMemory``: conversations, each origin's apart, only while the user allows it.

Search is exact: an entry is found when its content contains the text, both casefolded (Unicode, section 3.13; nothing
is normalised, so ``é`` as one character does not find ``é`` as two). An index of trigrams only narrows down what is
compared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import InvalidRequest, NotAllowed, NotFound, QuotaExceeded
from peersky.core.origins import Origin
from peersky.llm.memory_entry import clean_text, entry_columns, entry_object, iso_text, json_text
from peersky.system.database import Database

QUOTA_BYTES: Final = 50_000_000
"""What one origin may keep: content and meta in UTF-8, and some 200 bytes for each entry."""

MAX_TITLE: Final = 200
"""Longest title that a page gives a session, in characters."""

MAX_HEADING: Final = 80
"""What of a session's first question is its title where it was given none, in characters."""

_APPS_HOST: Final = Origin("peersky", "p2p")
_TRIGRAM: Final = 3
_MAX_TRIGRAMS: Final = 64
"""Of a long search text these many are looked up, well under SQLite's bound for the depth of an expression."""

_EXPORT_PAGE: Final = 500

_MIGRATIONS: Final = (
    """
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        origin TEXT NOT NULL, app TEXT NOT NULL,
        app_id TEXT NOT NULL, session_id TEXT NOT NULL,
        role TEXT NOT NULL, content TEXT NOT NULL, model TEXT NOT NULL,
        ts TEXT NOT NULL, at_ms INTEGER NOT NULL, meta TEXT NOT NULL, bytes INTEGER NOT NULL
    );
    CREATE INDEX entries_by_time ON entries (origin, app, at_ms, id);
    CREATE INDEX entries_by_session ON entries (origin, app, app_id, session_id, at_ms, id);
    CREATE TABLE sessions (
        origin TEXT NOT NULL, app TEXT NOT NULL,
        app_id TEXT NOT NULL, session_id TEXT NOT NULL,
        title TEXT, pinned INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (origin, app, app_id, session_id)
    ) WITHOUT ROWID;
    CREATE TABLE used (origin TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
    CREATE VIRTUAL TABLE trigrams USING fts5 (
        folded, content = '', detail = none, tokenize = 'trigram case_sensitive 1'
    );
    CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
        INSERT INTO trigrams (rowid, folded) VALUES (new.id, indexed(new.content));
        INSERT INTO used VALUES (new.origin, new.bytes)
            ON CONFLICT (origin) DO UPDATE SET bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
        INSERT INTO trigrams (trigrams, rowid, folded) VALUES ('delete', old.id, indexed(old.content));
        UPDATE used SET bytes = bytes - old.bytes WHERE origin = old.origin;
    END;
    """,
)

_ENTRY: Final = "app_id, session_id, role, content, model, ts, meta"

_SESSIONS: Final = """
    WITH found AS (
        SELECT origin, app, app_id, session_id, COUNT(*) AS count, MAX(at_ms) AS last_ms, MAX(id) AS last_id
        FROM entries WHERE {where} GROUP BY origin, app, app_id, session_id
        ORDER BY last_ms DESC, last_id DESC LIMIT ?
    )
    SELECT app_id, session_id, count, title, COALESCE(pinned, 0),
        (SELECT heading(content) FROM entries AS e WHERE {same} AND role = 'user' AND content <> ''
            ORDER BY at_ms, id LIMIT 1),
        (SELECT model FROM entries AS e WHERE {same} AND model <> '' ORDER BY at_ms DESC, id DESC LIMIT 1),
        (SELECT ts FROM entries AS e WHERE {same} ORDER BY at_ms DESC, id DESC LIMIT 1)
    FROM found LEFT JOIN sessions USING (origin, app, app_id, session_id)
    ORDER BY last_ms DESC, last_id DESC
"""
_SAME: Final = " AND ".join(f"e.{name} = found.{name}" for name in ("origin", "app", "app_id", "session_id"))

_LAST_MS: Final = """
    SELECT MAX(at_ms) FROM entries
    WHERE origin = :origin AND app = :app AND app_id = :app_id AND session_id = :session_id
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """Whose entries: those of an origin; of a built-in app, which shares its origin with the others, the app's own.

    Attributes:
        origin: serialised.
        app: first part of the path of a page at ``peersky://p2p``; empty for every other origin.
    """

    origin: str
    app: str = ""


def partition_of(origin: Origin, app: str) -> Partition:
    """The partition of who asks.

    Args:
        app: the app that the page says it is. Counts for built-in apps only, which may trust each other.
    """
    return Partition(str(origin), app if origin == _APPS_HOST else "")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """How much is kept in all."""

    entries: int
    size_bytes: int


class MemoryStore:
    """Keeps and finds entries. Any event loop may use it; nothing is read or written before it is first used.

    Args:
        file: the database.
        is_enabled: whether the user allows pages to keep anything.
        on_notice: takes a sentence for the user about a damaged file.
        quota_bytes: what one origin may keep.
    """

    def __init__(
        self,
        file: Path,
        is_enabled: Callable[[], bool],
        on_notice: Callable[[str], None] = lambda _sentence: None,
        quota_bytes: int = QUOTA_BYTES,
    ) -> None:
        self._notices: list[str] = []
        self._on_notice = on_notice
        self._database = Database(file, _MIGRATIONS, _add_functions, self._notice)
        self._is_enabled = is_enabled
        self._quota_bytes = quota_bytes

    @property
    def is_enabled(self) -> bool:
        return self._is_enabled()

    @property
    def notices(self) -> Sequence[str]:
        """Sentences for the user since the start, until :meth:`reset`: that the file was damaged."""
        return tuple(self._notices)

    async def add(self, owner: Partition, entry: Any) -> None:
        """Keep one entry: ``{appId, sessionId, role?, content, model?, ts?, meta?}``.

        Raises:
            NotAllowed: ``memory_disabled``.
            InvalidRequest: ``invalid_entry``: a part is missing, too long or of the wrong type.
            QuotaExceeded: ``memory_full``: the origin keeps as much as it may.
            ProfileUnusable: the disk is full, or the database cannot be used.
        """
        self._require_enabled()
        row = entry_columns(entry)

        def insert(connection: sqlite3.Connection) -> None:
            found = connection.execute("SELECT bytes FROM used WHERE origin = ?", (owner.origin,)).fetchone()
            total = (found[0] if found else 0) + row["bytes"]
            if total > self._quota_bytes:
                raise QuotaExceeded(
                    f"This site keeps {self._quota_bytes // 1_000_000} MB of conversations, which is all that it may; "
                    "clear some of them.",
                    reason="memory_full",
                    requested=total,
                    quota=self._quota_bytes,
                )
            values = {"origin": owner.origin, "app": owner.app, **row}
            if not entry.get("ts"):
                # The computer's clock may have been set back since: what came later stands later all the same.
                last = connection.execute(_LAST_MS, values).fetchone()[0]
                values["at_ms"] = max(values["at_ms"], last or 0)
            names = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(f"INSERT INTO entries ({names}) VALUES ({places})", values)  # noqa: S608 - our names

        await self._database.write(insert)

    async def entries(
        self,
        owner: Partition,
        *,
        app_id: str = "",
        session_id: str = "",
        search: str = "",
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Entries, oldest first; none while memory is off.

        Args:
            app_id, session_id: only these; empty: all.
            search: text that the content must contain, upper or lower case.
            limit: at most this many, the newest; None: all.
        """
        if not self.is_enabled:
            return []
        where, values = _where(owner, app_id, session_id)
        folded = clean_text(search).casefold()
        if folded:
            if trigrams := _trigrams(folded):
                where += " AND id IN (SELECT rowid FROM trigrams WHERE trigrams MATCH ?)"
                values.append(trigrams)
            where += " AND contains(content, ?)"
            values.append(folded)
        values.append(-1 if limit is None else limit)
        query = f"SELECT {_ENTRY} FROM entries WHERE {where} ORDER BY at_ms DESC, id DESC LIMIT ?"  # noqa: S608
        rows = await self._database.read(partial(_fetch, query=query, values=values))
        return [entry_object(row) for row in reversed(rows)]

    async def sessions(self, owner: Partition, *, app_id: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """Sessions, the one with the newest entry first; none while memory is off.

        Args:
            app_id: only this app's; empty: all.
            limit: at most this many, the newest; None: all.
        """
        if not self.is_enabled:
            return []
        where, values = _where(owner, app_id, "")
        values.append(-1 if limit is None else limit)
        query = _SESSIONS.format(where=where, same=_SAME)
        rows = await self._database.read(partial(_fetch, query=query, values=values))
        return [
            {
                "sessionId": session_id,
                "appId": found_app_id,
                "title": title if title is not None else (heading or ""),
                "ts": ts,
                "model": model or "",
                "messageCount": count,
                "pinned": bool(pinned),
            }
            for found_app_id, session_id, count, title, pinned, heading, model, ts in rows
        ]

    async def update_session(self, owner: Partition, app_id: str, session_id: str, changes: Mapping[str, Any]) -> None:
        """Give a session a title of its own (empty or None: its first message again), or pin it.

        Args:
            changes: ``title`` and ``pinned``; what is missing stays.

        Raises:
            NotAllowed: ``memory_disabled``.
            NotFound: ``no_such_session``.
            InvalidRequest: a title that is too long or no text, ``pinned`` that is no boolean.
        """
        self._require_enabled()
        title, pinned = changes.get("title"), changes.get("pinned")
        if title is not None and not (isinstance(title, str) and len(title) <= MAX_TITLE):
            raise InvalidRequest(f"The option title must be a text of at most {MAX_TITLE} characters.", param="title")
        if pinned is not None and not isinstance(pinned, bool):
            raise InvalidRequest("The option pinned must be true or false.", param="pinned")
        key = (owner.origin, owner.app, clean_text(app_id), clean_text(session_id))
        same = "origin = ? AND app = ? AND app_id = ? AND session_id = ?"

        def update(connection: sqlite3.Connection) -> None:
            if connection.execute(f"SELECT 1 FROM entries WHERE {same}", key).fetchone() is None:  # noqa: S608
                raise NotFound("There is no such session.", reason="no_such_session")
            connection.execute(
                "INSERT OR IGNORE INTO sessions (origin, app, app_id, session_id) VALUES (?, ?, ?, ?)", key
            )
            if "title" in changes:
                own = clean_text(title) if title else None
                connection.execute(f"UPDATE sessions SET title = ? WHERE {same}", (own, *key))  # noqa: S608
            if pinned is not None:
                connection.execute(f"UPDATE sessions SET pinned = ? WHERE {same}", (pinned, *key))  # noqa: S608

        await self._database.write(update)

    async def clear(self, owner: Partition, *, app_id: str = "", session_id: str = "") -> None:
        """Delete the owner's entries; where both arguments are given, those that match both.

        Works while memory is off, too: an app may always forget.
        """
        where, values = _where(owner, app_id, session_id)

        def delete(connection: sqlite3.Connection) -> int:
            count = connection.execute(f"DELETE FROM entries WHERE {where}", values).rowcount  # noqa: S608
            connection.execute(f"DELETE FROM sessions WHERE {where}", values)  # noqa: S608
            if count:
                # A deleted row stays in the index, marked as such, until its parts are merged.
                connection.execute("INSERT INTO trigrams (trigrams) VALUES ('optimize')")
            return count

        if await self._database.write(delete):
            await self._database.forget_deleted()

    async def use(self) -> MemoryUse:
        """How much is kept, of all origins."""
        query = "SELECT (SELECT COUNT(*) FROM entries), (SELECT COALESCE(SUM(bytes), 0) FROM used)"
        return MemoryUse(*(await self._database.read(partial(_fetch, query=query)))[0])

    async def export(self) -> AsyncIterator[bytes]:
        """All that is kept, of all origins, as one JSON document in pieces."""
        query = "SELECT origin, app, app_id, session_id, title, pinned FROM sessions ORDER BY 1, 2, 3, 4"
        sessions = await self._database.read(partial(_fetch, query=query))
        names = ("origin", "app", "appId", "sessionId", "title", "pinned")
        head = {
            "format": "peersky-memory",
            "version": 1,
            "exportedAt": iso_text(datetime.now(UTC)),
            "sessions": [{**dict(zip(names, row, strict=True)), "pinned": bool(row[5])} for row in sessions],
        }
        yield (json_text(head)[:-1] + ',"entries":[').encode()
        query = f"SELECT id, origin, app, {_ENTRY} FROM entries WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
        rows: list[tuple[Any, ...]] = [(0,)]
        separator = "\n"
        while rows:
            page = (rows[-1][0], _EXPORT_PAGE)
            rows = await self._database.read(partial(_fetch, query=query, values=page))
            for _, origin, app, *entry in rows:
                yield (separator + json_text({"origin": origin, "app": app, **entry_object(entry)})).encode()
                separator = ",\n"
        yield b"\n]}\n"

    async def reset(self) -> None:
        """Delete everything that any page keeps, and every copy of it."""
        await self._database.erase()
        self._notices.clear()

    async def close(self) -> None:
        """Finish and close. Safe to call twice."""
        await self._database.close()

    def _notice(self, sentence: str) -> None:
        self._notices.append(sentence)
        self._on_notice(sentence)

    def _require_enabled(self) -> None:
        if not self.is_enabled:
            raise NotAllowed(
                "Memory is off; it can be turned on in peersky://settings/memory.", reason="memory_disabled"
            )


def _fetch(connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return connection.execute(query, values).fetchall()


def _add_functions(connection: sqlite3.Connection) -> None:
    connection.create_function("indexed", 1, _indexed, deterministic=True)
    connection.create_function("contains", 2, lambda content, folded: folded in content.casefold(), deterministic=True)
    connection.create_function(
        "heading", 1, lambda content: content[:MAX_HEADING].replace("\n", " "), deterministic=True
    )


def _indexed(text: str) -> str:
    return _without_nul(text.casefold())


def _without_nul(text: str) -> str:
    # The tokenizer ends at a NUL.
    return text.replace("\0", "\ufffd")


def _trigrams(folded: str) -> str:
    """An FTS5 query that every content with the text matches; empty where the text is shorter than a trigram."""
    text = _without_nul(folded)
    found = dict.fromkeys(text[at : at + _TRIGRAM] for at in range(len(text) - _TRIGRAM + 1))
    return " AND ".join('"' + one.replace('"', '""') + '"' for one in [*found][:_MAX_TRIGRAMS])


def _where(owner: Partition, app_id: str, session_id: str) -> tuple[str, list[Any]]:
    where, values = "origin = ? AND app = ?", [owner.origin, owner.app]
    for name, value in (("app_id", app_id), ("session_id", session_id)):
        if value:
            where += f" AND {name} = ?"
            values.append(clean_text(value))
    return where, values
