"""What sites used and did: kept over a restart, filtered, bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peersky.system import site_records
from peersky.system.site_records import Event, SiteRecords, Used

SITE, OTHER, CLOUD = "hyper://abc", "https://agregore.mauve.moe", "https://cloud.example"
NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


class Clock:
    now = NOON

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def records(tmp_path: Path, clock: Clock) -> AsyncIterator[SiteRecords]:
    records = SiteRecords(tmp_path / "a.sqlite3", now=clock)
    yield records
    await records.close()


async def again(tmp_path: Path, clock: Clock) -> SiteRecords:
    return SiteRecords(tmp_path / "a.sqlite3", now=clock)


async def test_usage_adds_up_and_survives_a_restart(tmp_path: Path, records: SiteRecords, clock: Clock) -> None:
    await records.load()
    records.use(SITE, "", Used(1, 10, 5, 1.5))
    records.use(SITE, CLOUD, Used(1, 100, 50, 2.0, 0.25))
    records.use(OTHER, "", Used(1, 1, 1, 1.0))
    expected = Used(2, 110, 55, 3.5, 0.25)
    assert records.today(SITE) == expected
    assert (records.today(SITE, cloud=False).tokens, records.today(SITE, cloud=True).tokens) == (15, 150)
    await records.close()
    later = await again(tmp_path, clock)
    assert later.today(SITE) == Used()
    await later.load()
    later.use(SITE, CLOUD, Used(1, 1, 1, 0.5, 0.25))
    assert later.today(SITE) == Used(3, 111, 56, 4.0, 0.5)
    assert (await later.usage("2026-11-22"))[SITE] == Used(3, 111, 56, 4.0, 0.5)
    await later.close()


async def test_what_was_used_before_it_was_read_counts_once(tmp_path: Path, records: SiteRecords) -> None:
    records.use(SITE, "", Used(1, 10, 0, 1.0))
    await records.load()
    records.use(SITE, "", Used(1, 10, 0, 1.0))
    assert records.today(SITE).tokens == 20
    assert (await records.usage("2026-11-22"))[SITE].tokens == 20
    assert records.today(SITE).tokens == 20


async def test_a_new_day_begins_with_nothing(records: SiteRecords, clock: Clock) -> None:
    await records.load()
    records.use(SITE, "", Used(1, 10, 0, 1.0))
    assert records.until_tomorrow_s() == 12 * 3600
    clock.now = NOON + datetime.timedelta(days=1)
    assert records.today(SITE) == Used()
    await records.load()
    assert records.today(SITE) == Used()
    assert (await records.usage("2026-11-23")) == {}
    assert (await records.usage("2026-11-22"))[SITE].tokens == 10


async def test_events_come_newest_first_and_can_be_searched(records: SiteRecords) -> None:
    records.note(Event(SITE, "llm", "question", "stop", details={"model": "Zebra"}))
    records.note(Event(OTHER, "publish", "add", "declined", True))
    records.note(Event(SITE, "memory", "write", "allowed"))
    assert [event["capability"] for event in await records.events()] == ["memory", "publish", "llm"]
    assert [event["origin"] for event in await records.events(refused=True)] == [OTHER]
    assert [event["details"] for event in await records.events(search="zEBRA")] == [{"model": "Zebra"}]
    assert [event["action"] for event in await records.events(capability="memory")] == ["write"]
    assert await records.events(search="%") == []
    newest = (await records.events(limit=1))[0]
    assert len(await records.events(before=newest["id"])) == 2


async def test_equal_events_of_a_minute_are_one_line(records: SiteRecords, clock: Clock) -> None:
    refusal = Event(OTHER, "llm", "question", "not_trusted", True, merge=True)
    for _ in range(3):
        records.note(refusal)
    assert [event["count"] for event in await records.events()] == [3]
    clock.now = NOON + datetime.timedelta(minutes=1)
    records.note(refusal)
    assert [event["count"] for event in await records.events()] == [1, 3]


async def test_a_site_that_is_refused_without_end_pushes_nothing_out(
    records: SiteRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_records, "KEPT", 10)
    records.note(Event(SITE, "llm", "question", "stop"))
    for number in range(50):
        records.note(Event(f"https://evil{number}.example", "llm", "question", "not_trusted", True, merge=True))
    events = await records.events()
    assert [event["origin"] for event in events if not event["refused"]] == [SITE]
    assert len(events) == 11


async def test_clear_forgets_what_happened_and_not_what_was_used(tmp_path: Path, records: SiteRecords) -> None:
    await records.load()
    records.use(SITE, "", Used(1, 10, 0, 1.0))
    records.note(Event(SITE, "llm", "question", "stop", details={"asked": ["Zebra?"]}))
    assert len(await records.events()) == 1
    await records.clear()
    assert await records.events() == []
    assert records.today(SITE).tokens == 10
    files = await asyncio.to_thread(lambda: [file.read_bytes() for file in tmp_path.iterdir()])
    assert not any(b"Zebra" in held for held in files)


async def test_forgetting_a_site_does_not_give_it_back_its_tokens(records: SiteRecords, clock: Clock) -> None:
    await records.load()
    records.use(SITE, "", Used(1, 10, 0, 1.0))
    records.note(Event(SITE, "llm", "question", "stop"))
    records.note(Event(OTHER, "llm", "question", "stop"))
    clock.now = NOON + datetime.timedelta(days=1)
    await records.load()
    records.use(SITE, "", Used(1, 7, 0, 1.0))
    await records.forget(SITE)
    assert [event["origin"] for event in await records.events()] == [OTHER]
    assert (await records.usage("2026-11-01"))[SITE].tokens == 7


async def test_who_follows_is_told(records: SiteRecords) -> None:
    told: list[int] = []
    unsubscribe = records.subscribe(lambda: told.append(1))
    await records.clear()
    assert told == [1]
    unsubscribe()
    await records.clear()
    assert told == [1]


async def test_a_disk_that_fails_costs_the_record_and_nothing_else(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "a.sqlite3").mkdir()
    records = SiteRecords(tmp_path / "a.sqlite3", now=clock)
    await records.load()
    records.use(SITE, "", Used(1, 10, 0, 1.0))
    records.note(Event(SITE, "llm", "question", "stop"))
    assert records.today(SITE).tokens == 10
    await records.close()
