"""What each site did: how much of the models it used per day, and who asked for what, when, with which outcome.

Kept in SQLite. Writing happens behind: nobody who asks waits for the disk, and a disk that fails costs the record
alone. Runs on the service loop.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peersky.core.errors import PeerSkyError
from peersky.system.database import Database
from peersky.system.tasks import TaskOwner

_log = logging.getLogger(__name__)

KEPT: Final = 5000
"""Lines of activity that are kept, and as many that only tell of refusals: those must not push out the others."""

KEPT_DAYS: Final = 366
MOST_PENDING: Final = 1000
PAGE: Final = 200
CONTENT: Final = ("asked", "answered")
"""Details that hold what was said. They are written only while the user wants it."""

_MIGRATIONS: Final = (
    """
    CREATE TABLE usage (
        origin TEXT NOT NULL, day TEXT NOT NULL, service TEXT NOT NULL,
        requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        seconds REAL NOT NULL, cost REAL,
        PRIMARY KEY (origin, day, service)
    ) WITHOUT ROWID;
    CREATE INDEX usage_by_day ON usage (day);
    CREATE TABLE activity (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL, origin TEXT NOT NULL, top TEXT NOT NULL, capability TEXT NOT NULL, action TEXT NOT NULL,
        outcome TEXT NOT NULL, refused INTEGER NOT NULL, count INTEGER NOT NULL, details TEXT NOT NULL,
        merged TEXT UNIQUE
    );
    CREATE INDEX activity_by_refusal ON activity (refused, id);
    """,
)


_EVENTS: Final = """
    SELECT id, at, origin, top, capability, action, outcome, refused, count, details FROM activity
    WHERE (:before IS NULL OR id < :before) AND (:refused IS NULL OR refused = :refused)
        AND (:capability = '' OR capability = :capability)
        AND (:search = '' OR instr(lower(origin || ' ' || action || ' ' || outcome || ' ' || details), :search) > 0)
    ORDER BY id DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Used:
    """What a site used of the models. ``cost`` in the service's currency; None where no service told one."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Used) -> Used:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Used(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.seconds + other.seconds,
            sum(costs) if costs else None,
        )

    def as_object(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
            "seconds": round(self.seconds, 1),
            "cost": self.cost,
        }


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody asked for something.

    Attributes:
        origin: who, serialised.
        capability: one of :data:`peersky.core.trust.SITE_CAPABILITIES`.
        action: what of it, for people who read the list: ``question``, ``read``, ``write``, ``prompt``.
        outcome: ``allowed``, how an answer ended, or the reason of a refusal.
        refused: nothing was done.
        top: the tab's page where it is another, serialised.
        merge: equal ones of a minute become one line with a count.
        details: plain values.
    """

    origin: str
    capability: str
    action: str
    outcome: str
    refused: bool = False
    top: str = ""
    merge: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


Note = Callable[[Event], None]


class SiteRecords:
    """Takes notes and reads them out.

    Args:
        file: the database.
        on_notice: takes a sentence for the user about a damaged file.
        clean: makes a value fit to be kept: without secrets, and not endless.
        now: the time, with the user's time zone.
    """

    def __init__(
        self,
        file: Path,
        on_notice: Callable[[str], None] = lambda _sentence: None,
        clean: Callable[[Any], Any] = lambda value: value,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now().astimezone(),
    ) -> None:
        self._database = Database(file, _MIGRATIONS, on_notice=on_notice)
        self._clean, self._now = clean, now
        self._tasks = TaskOwner("site records")
        self._writing = asyncio.Lock()
        self._flushing = self._closed = False
        self._loaded = ""
        self._today: dict[tuple[str, str], Used] = {}
        self._uses: dict[tuple[str, str, str], Used] = {}
        self._events: list[tuple[Any, ...]] = []
        self._subscribers: list[Callable[[], None]] = []

    @property
    def day(self) -> str:
        """Today, where the user is: ``2026-11-22``."""
        return self._now().date().isoformat()

    def until_tomorrow_s(self) -> float:
        """How long today lasts."""
        now = self._now()
        midnight = datetime.datetime.combine(now.date() + datetime.timedelta(days=1), datetime.time(), now.tzinfo)
        return max(1.0, (midnight - now).total_seconds())

    async def load(self) -> None:
        """Read what was used today, once a day. A file that cannot be read counts as nothing used."""
        day = self.day
        if self._loaded == day:
            return

        def read(connection: sqlite3.Connection) -> list[Any]:
            return connection.execute(
                "SELECT origin, service, requests, input_tokens, output_tokens, seconds, cost FROM usage WHERE day = ?",
                (day,),
            ).fetchall()

        async with self._writing:
            if self._loaded == day:
                return
            # What is not in the file after this, and what comes while it is read, waits in memory.
            await self._write_pending()
            rows: list[Any] = []
            try:
                rows = await self._database.read(read)
            except PeerSkyError as error:
                _log.warning("Usage: %s", error.message)
            stored = {(origin, service): Used(*figures) for origin, service, *figures in rows}
            for (origin, of, service), used in self._uses.items():
                if of == day:
                    stored[origin, service] = stored.get((origin, service), Used()) + used
            self._loaded, self._today = day, stored

    def today(self, origin: str, *, cloud: bool | None = None) -> Used:
        """What an origin used today, as far as :meth:`load` has read it.

        Args:
            cloud: of services on other machines alone, or of this computer alone; None: all.
        """
        if self._loaded != self.day:
            return Used()
        found = Used()
        for (site, service), used in self._today.items():
            if site == origin and cloud in (None, bool(service)):
                found += used
        return found

    def use(self, origin: str, service: str, used: Used) -> None:
        """Add to what an origin used today.

        Args:
            service: serialised origin of the service that answered; empty: this computer.
        """
        day = self.day
        key = (origin, day, service)
        self._uses[key] = self._uses.get(key, Used()) + used
        if self._loaded == day:
            self._today[origin, service] = self._today.get((origin, service), Used()) + used
        self._write_soon()

    def note(self, event: Event) -> None:
        """Add to the list of what happened."""
        at = self._now().astimezone(datetime.UTC).isoformat(timespec="milliseconds")
        kept = (event.origin, event.capability, event.action, event.outcome)
        merged = "|".join((at[:16], event.top, *kept)) if event.merge else None
        details = json.dumps(self._clean(dict(event.details)), ensure_ascii=False)
        if len(self._events) < MOST_PENDING:
            row = (at, event.origin, event.top, event.capability, event.action, event.outcome, event.refused)
            self._events.append((*row, details, merged))
        self._write_soon()

    async def usage(self, since_day: str) -> dict[str, Used]:
        """What each origin used from a day on."""
        await self._flush()

        def read(connection: sqlite3.Connection) -> dict[str, Used]:
            rows = connection.execute(
                "SELECT origin, SUM(requests), SUM(input_tokens), SUM(output_tokens), SUM(seconds), SUM(cost)"
                " FROM usage WHERE day >= ? GROUP BY origin",
                (since_day,),
            )
            return {origin: Used(*figures) for origin, *figures in rows}

        return await self._database.read(read)

    async def events(
        self, *, search: str = "", capability: str = "", refused: bool | None = None, before: int = 0, limit: int = PAGE
    ) -> list[dict[str, Any]]:
        """What happened, newest first.

        Args:
            search: a text that origin, action, outcome or details hold.
            before: only lines with a smaller ``id``; 0: from the newest on.
        """
        await self._flush()
        asked = {
            "search": search.lower(),
            "capability": capability,
            "refused": None if refused is None else int(refused),
            "before": before or None,
            "limit": limit,
        }

        def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            return [_event_object(row) for row in connection.execute(_EVENTS, asked)]

        return await self._database.read(read)

    async def clear(self) -> None:
        """Forget what happened; what was used stays, or a limit could be got rid of."""
        self._events.clear()
        await self._database.write(lambda connection: connection.execute("DELETE FROM activity"))
        await self._database.forget_deleted()
        self._tell()

    async def forget(self, origin: str) -> None:
        """Forget an origin, but for what it used today: that counts towards its limits until tomorrow."""
        await self._flush()
        day = self.day

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM usage WHERE origin = ? AND day <> ?", (origin, day))
            connection.execute("DELETE FROM activity WHERE origin = ?", (origin,))

        await self._database.write(delete)
        await self._database.forget_deleted()
        self._tell()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on the service loop after something was noted. Returns the way out."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    async def close(self) -> None:
        """Write what is pending and close the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await self._flush()
        await self._tasks.close()
        await self._database.close()

    def _write_soon(self) -> None:
        if not (self._flushing or self._closed):
            self._flushing = True
            self._tasks.start(self._flush_all(), "write")

    async def _flush_all(self) -> None:
        try:
            while (self._uses or self._events) and await self._flush():
                self._tell()
        finally:
            self._flushing = False

    async def _flush(self) -> bool:
        async with self._writing:
            return await self._write_pending()

    async def _write_pending(self) -> bool:
        """Write what is pending; False where that fails. Usage waits for the next time then, the list does not."""
        uses, events = self._uses, self._events
        if not (uses or events):
            return True
        self._uses, self._events = {}, []
        oldest = (self._now().date() - datetime.timedelta(days=KEPT_DAYS)).isoformat()
        try:
            await self._database.write(lambda connection: _write(connection, uses, events, oldest))
        except PeerSkyError as error:
            _log.warning("Activity: %s", error.message)
            for key, used in uses.items():
                self._uses[key] = used + self._uses.get(key, Used())
            return False
        return True

    def _tell(self) -> None:
        for callback in list(self._subscribers):
            callback()


def _write(
    connection: sqlite3.Connection,
    uses: Mapping[tuple[str, str, str], Used],
    events: list[tuple[Any, ...]],
    oldest: str,
) -> None:
    for (origin, day, service), used in uses.items():
        figures = (used.requests, used.input_tokens, used.output_tokens, used.seconds, used.cost)
        connection.execute(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (origin, day, service) DO UPDATE SET"
            " requests = requests + excluded.requests, input_tokens = input_tokens + excluded.input_tokens,"
            " output_tokens = output_tokens + excluded.output_tokens, seconds = seconds + excluded.seconds,"
            " cost = CASE WHEN excluded.cost IS NULL THEN cost ELSE COALESCE(cost, 0) + excluded.cost END",
            (origin, day, service, *figures),
        )
    if uses:
        connection.execute("DELETE FROM usage WHERE day < ?", (oldest,))
    connection.executemany(
        "INSERT INTO activity (at, origin, top, capability, action, outcome, refused, details, merged, count)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
        " ON CONFLICT (merged) DO UPDATE SET count = count + 1, at = excluded.at, details = excluded.details",
        events,
    )
    for refused in (0, 1) if events else ():
        connection.execute(
            "DELETE FROM activity WHERE refused = :refused AND id <= (SELECT id FROM activity WHERE refused = :refused"
            " ORDER BY id DESC LIMIT 1 OFFSET :kept)",
            {"refused": refused, "kept": KEPT},
        )


def _event_object(row: Any) -> dict[str, Any]:
    names = ("id", "at", "origin", "top", "capability", "action", "outcome", "refused", "count")
    return {**dict(zip(names, row, strict=False)), "refused": bool(row[7]), "details": json.loads(row[9])}
