"""The computer's clock is set back or forward while the browser runs: nothing is lost, and the order is kept."""

from __future__ import annotations

import datetime as real
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.origins import parse_origin
from peersky.llm import memory_entry
from peersky.llm.memory import MemoryStore, Partition
from peersky.p2p.ledger import Ledger, Publication
from peersky.system import logbook as logbook_module
from peersky.system.logbook import Logbook

BLOG = Partition(str(parse_origin("hyper://blog")))
JUMPS = ["2030-01-01", "2000-01-01", "2045-06-01", "1971-01-01"]


class Clock(real.datetime):
    """A clock that shows another of the jumps at each look."""

    shown: Iterator[str] = iter(())

    @classmethod
    def now(cls, tz: real.tzinfo | None = None) -> Clock:
        found = cls.fromisoformat(next(cls.shown))
        return found.replace(tzinfo=tz)


@pytest.fixture
def jumps() -> Callable[[], None]:
    def begin() -> None:
        Clock.shown = iter(JUMPS * 3)

    begin()
    return begin


@pytest.mark.fault("The clock jumps during a conversation that is kept: its order stays")
async def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jumps: Callable[[], None]) -> None:
    monkeypatch.setattr(memory_entry, "datetime", Clock)
    memory = MemoryStore(tmp_path / "memory.sqlite3", lambda: True)
    said = [str(number) for number in range(len(JUMPS) * 3)]
    try:
        for content in said:
            await memory.add(BLOG, {"appId": "a", "sessionId": "s", "content": content})
        assert sorted(one["content"] for one in await memory.entries(BLOG)) == sorted(said)
        assert [one["content"] for one in await memory.entries(BLOG)] in (said, said[::-1])
    finally:
        await memory.close()


@pytest.mark.fault("The clock jumps between lines of the log: the lines stay in order")
def test_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jumps: Callable[[], None]) -> None:
    class Module:
        datetime = Clock
        UTC = real.UTC

    monkeypatch.setattr(logbook_module, "datetime", Module)
    logbook = Logbook(tmp_path / "log.jsonl", set)
    for number in range(len(JUMPS)):
        logbook.record("test", number=number)
    found: list[dict[str, Any]] = list(logbook.recent(10))
    assert sorted(entry["number"] for entry in found) == list(range(len(JUMPS)))
    assert [entry["number"] for entry in found] in ([0, 1, 2, 3], [3, 2, 1, 0])


@pytest.mark.fault("The clock is set back between two publications: neither is lost, and both count")
async def test_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    try:
        for when in (2e9, 1e9, 3e9, 1.0):
            await ledger.record(Publication("hyper://k/", "hyper://k/", "blog", "user", time=when))
        (entry,) = (await ledger.search()).publications
        assert entry.times == 4
        assert isinstance(entry.as_object()["time"], str)
    finally:
        await ledger.close()
