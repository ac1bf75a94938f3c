"""What happened: one JSON object per line, bounded on disk and in memory. Secrets and prompts never get in."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from peersky.system.files import PRIVATE_FILE

MAX_FILE_BYTES: Final = 2 * 1024 * 1024
"""Size at which the file is renamed to ``NAME.1`` and a new one begins; so twice this is the most on disk."""

RECENT: Final = 1000
"""Entries kept in memory."""

MAX_TEXT: Final = 2000
"""Longest text of one field, in characters."""

WITHHELD: Final = frozenset(
    {"prompt", "prompts", "messages", "content", "completion", "apikey", "api_key", "authorization", "token"}
    | {"password", "secret", "cookie"}
)
"""Names of fields whose values are not written, whatever they are."""

Entry = dict[str, Any]


class Logbook:
    """Records events. Thread-safe; a full disk costs the line on disk and nothing else.

    Args:
        file: the log file; None: memory only.
        secrets: tells the texts that must not appear in any line.
    """

    def __init__(self, file: Path | None, secrets: Callable[[], Iterable[str]] = tuple) -> None:
        self._file = file
        self._secrets = secrets
        self._recent: deque[Entry] = deque(maxlen=RECENT)
        self._subscribers: list[Callable[[Entry], None]] = []
        self._lock = threading.Lock()

    def record(self, kind: str, **fields: Any) -> None:
        """Write one event.

        Args:
            kind: what happened, ``engine.started``; stable.
            fields: plain values. Never prompts, never keys; those called so are replaced all the same.
        """
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        hidden = [secret for secret in self._secrets() if len(secret) >= 4]
        entry: Entry = {"at": at, "kind": kind, **_clean(fields, hidden)}
        with self._lock:
            self._recent.append(entry)
            self._append(entry)
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            # A listener that fails must not take down whoever had something to report.
            with contextlib.suppress(Exception):
                subscriber(entry)

    def clean(self, value: Any) -> Any:
        """A value as JSON that may be kept: without secrets, and without texts that have no end."""
        return _clean(value, [secret for secret in self._secrets() if len(secret) >= 4])

    def recent(self, limit: int = 100) -> list[Entry]:
        """The last entries of this process, oldest first."""
        with self._lock:
            entries = list(self._recent)
        return entries[-limit:] if limit > 0 else []

    def clear(self) -> None:
        """Forget everything, in memory and on disk."""
        with self._lock:
            self._recent.clear()
            if self._file is not None:
                for file in (self._file, self._file.with_name(self._file.name + ".1")):
                    with contextlib.suppress(OSError):
                        file.unlink(missing_ok=True)

    def subscribe(self, callback: Callable[[Entry], None]) -> Callable[[], None]:
        """Call ``callback`` with every new entry, on the thread that records it. Returns the way out."""
        return self.follow(callback)[1]

    def follow(self, callback: Callable[[Entry], None]) -> tuple[list[Entry], Callable[[], None]]:
        """The entries so far and a subscription that begins right after them: none is lost, none comes twice."""
        with self._lock:
            self._subscribers.append(callback)
            entries = list(self._recent)

        def unsubscribe() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._subscribers.remove(callback)

        return entries, unsubscribe

    def _append(self, entry: Entry) -> None:
        if self._file is None:
            return
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(self._file, flags, PRIVATE_FILE), "ab") as file:
                size = file.tell()
                if size + len(line) <= MAX_FILE_BYTES or size == 0:
                    file.write(line)
                    return
            self._file.replace(self._file.with_name(self._file.name + ".1"))
            with os.fdopen(os.open(self._file, flags, PRIVATE_FILE), "ab") as file:
                file.write(line)


class LogbookHandler(logging.Handler):
    """Brings what modules and libraries say through :mod:`logging` into the logbook."""

    def __init__(self, logbook: Logbook, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._logbook = logbook

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "text": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            fields["error"] = f"{type(error).__name__}: {error}"
            fields["where"] = [
                f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)[-8:]
            ]
        self._logbook.record(f"log.{record.levelname.lower()}", **fields)


def _clean(value: Any, hidden: list[str]) -> Any:
    """``value`` as JSON, without secrets and without texts that have no end."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {
                str(name): "(withheld)" if str(name).lower() in WITHHELD else _clean(entry, hidden)
                for name, entry in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [_clean(entry, hidden) for entry in list(value)[:100]]
        case _:
            text = str(value)
            for secret in hidden:
                text = text.replace(secret, "(secret)")
            return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
