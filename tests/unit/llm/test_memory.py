"""What pages keep: who sees what, order, sessions, quota, and a search that is compared with the plainest one."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peersky.core.errors import InvalidRequest, NotAllowed, NotFound, QuotaExceeded
from peersky.core.origins import parse_origin
from peersky.llm.memory import MemoryStore, MemoryUse, Partition, partition_of

BLOG, OTHER = Partition("hyper://blog"), Partition("http://localhost:8000")
CHAT, EDITOR = Partition("peersky://p2p", "ai-chat"), Partition("peersky://p2p", "editor")


def entry(content: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"appId": "app", "sessionId": "s", "content": content, **more}


class Memory(MemoryStore):
    """A store that a test can switch."""

    def __init__(self, folder: Path, quota_bytes: int = 1_000_000) -> None:
        self.on = True
        super().__init__(folder / "memory.sqlite3", lambda: self.on, quota_bytes=quota_bytes)

    async def contents(self, owner: Partition, **options: Any) -> list[str]:
        return [one["content"] for one in await self.entries(owner, **options)]


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    made = Memory(tmp_path)
    yield made
    await made.close()


# --- whose


@pytest.mark.parametrize(
    ("origin", "app", "partition"),
    [
        ("hyper://blog", "ai-chat", Partition("hyper://blog")),
        ("http://localhost:8000", "", Partition("http://localhost:8000")),
        ("https://agregore.mauve.moe", "x", Partition("https://agregore.mauve.moe")),
        ("peersky://app-1", "ai-chat", Partition("peersky://app-1")),
        ("peersky://home", "ai-chat", Partition("peersky://home")),
        ("peersky://p2p", "ai-chat", Partition("peersky://p2p", "ai-chat")),
        ("peersky://p2p", "", Partition("peersky://p2p", "")),
    ],
)
def test_whose_entries_are_meant(origin: str, app: str, partition: Partition) -> None:
    assert partition_of(parse_origin(origin), app) == partition


async def test_each_sees_and_clears_its_own(memory: Memory) -> None:
    owners = [BLOG, OTHER, CHAT, EDITOR]
    for number, owner in enumerate(owners):
        await memory.add(owner, entry(f"of {number}"))
    for number, owner in enumerate(owners):
        assert await memory.contents(owner) == [f"of {number}"]
        assert await memory.contents(owner, search="of") == [f"of {number}"]
        assert [one["title"] for one in await memory.sessions(owner)] == [f"of {number}"]
    await memory.clear(CHAT)
    assert [len(await memory.entries(owner)) for owner in owners] == [1, 1, 0, 1]
    with pytest.raises(NotFound):
        await memory.update_session(CHAT, "app", "s", {"title": "Mine"})
    assert (await memory.sessions(EDITOR))[0]["title"] == "of 3"


# --- entries


async def test_an_entry_comes_back_as_it_was_given(memory: Memory) -> None:
    full = entry(
        "Grüße\0🙂", role="assistant", model="m", ts="2026-01-02T03:04:05.678Z", meta={"a": [1, None, {"é": "\u2028"}]}
    )
    await memory.add(BLOG, {**full, "unknown": 1})
    assert await memory.entries(BLOG) == [full]


async def test_defaults(memory: Memory) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await memory.add(BLOG, {"appId": "a", "sessionId": "b", "content": "", "role": None, "model": "", "meta": None})
    (found,) = await memory.entries(BLOG)
    ts = found.pop("ts")
    assert found == {"appId": "a", "sessionId": "b", "role": "user", "content": "", "model": "", "meta": {}}
    assert ts.endswith("Z")
    assert len(ts) == 24
    assert before <= datetime.fromisoformat(ts) <= datetime.now(UTC)


async def test_half_a_surrogate_pair_does_not_break_anything(memory: Memory) -> None:
    await memory.add(BLOG, entry("a\ud800b", meta={"\udfff": "\ud800"}))
    assert await memory.contents(BLOG, search="\ud800") == ["a\ufffdb"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"appId": ""},
        {"appId": None},
        {"appId": 7},
        {"appId": "x" * 65},
        {"sessionId": ""},
        {"sessionId": "x" * 65},
        {"role": "x" * 17},
        {"role": 7},
        {"content": None},
        {"content": ["Hi"]},
        {"content": "x" * 100_001},
        {"model": "x" * 129},
        {"ts": "yesterday"},
        {"ts": "2026-01-01T00:00:00." + "0" * 40},
        {"ts": True},
        {"ts": float("inf")},
        {"ts": 1e300},
        {"meta": []},
        {"meta": "x"},
        {"meta": {"x": "y" * 16_384}},
        {"meta": {"x": float("nan")}},
        {"meta": json.loads('{"x":' * 33 + "1" + "}" * 33)},
    ],
    ids=str,
)
async def test_what_does_not_fit_is_refused(memory: Memory, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await memory.add(BLOG, {**entry(), **wrong})
    assert (refused.value.reason, refused.value.param) == ("invalid_entry", next(iter(wrong)))
    assert await memory.entries(BLOG) == []


@pytest.mark.parametrize("wrong", [None, 7, "Hi", [entry()]], ids=str)
async def test_an_entry_is_an_object(memory: Memory, wrong: Any) -> None:
    with pytest.raises(InvalidRequest):
        await memory.add(BLOG, wrong)


async def test_the_longest_that_fits(memory: Memory) -> None:
    longest = {
        "appId": "é" * 64,
        "sessionId": "🙂" * 64,
        "role": "x" * 16,
        "content": "🙂" * 100_000,
        "model": "x" * 128,
        "meta": {"x": "y" * (16_384 - 8)},
    }
    await memory.add(BLOG, longest)
    (found,) = await memory.entries(BLOG)
    del found["ts"]
    assert found == longest


async def test_entries_are_ordered_by_their_time(memory: Memory) -> None:
    times = [
        "2026-01-01T12:00:00+02:00",
        "2026-01-01T10:30:00Z",
        "2026-01-01",
        1_767_261_660_000,
        "2026-01-01T10:00:00",
    ]
    for ts in times:
        await memory.add(BLOG, entry(str(ts), ts=ts))
    expected = [str(times[at]) for at in (2, 0, 4, 3, 1)]
    assert await memory.contents(BLOG) == expected
    assert await memory.contents(BLOG, limit=2) == expected[-2:]
    assert await memory.contents(BLOG, limit=99) == expected
    assert (await memory.entries(BLOG))[-2]["ts"] == "2026-01-01T10:01:00.000Z"


async def test_filters(memory: Memory) -> None:
    for app, session in [("a", "1"), ("a", "2"), ("b", "1")]:
        await memory.add(BLOG, {"appId": app, "sessionId": session, "content": f"{app}{session} Text"})
    assert await memory.contents(BLOG, app_id="a") == ["a1 Text", "a2 Text"]
    assert await memory.contents(BLOG, session_id="1") == ["a1 Text", "b1 Text"]
    assert await memory.contents(BLOG, app_id="b", session_id="1") == ["b1 Text"]
    assert await memory.contents(BLOG, app_id="b", session_id="2") == []
    assert await memory.contents(BLOG, search="1 tE", app_id="a") == ["a1 Text"]
    assert await memory.contents(BLOG, search="text", limit=1) == ["b1 Text"]


async def test_many_at_once(memory: Memory) -> None:
    await asyncio.gather(*(memory.add(BLOG, entry(str(number))) for number in range(100)))
    assert sorted(map(int, await memory.contents(BLOG))) == list(range(100))


# --- search

ALPHABET = st.sampled_from("aAbsSßẞıİiIſéÉe\u0301ΣσςǅﬀK\"'*^()-: \n\0\ufffdあ🙂𐐀𐐨")
TEXTS = st.text(ALPHABET, max_size=12)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.lists(TEXTS, max_size=6), needles=st.lists(TEXTS.filter(bool), min_size=1, max_size=4), cut=st.data()
)
def test_search_is_a_substring_whatever_the_case(contents: list[str], needles: list[str], cut: st.DataObject) -> None:
    for content in contents:
        start, end = cut.draw(st.integers(0, len(content))), cut.draw(st.integers(0, len(content)))
        needles.append(content[start:end].swapcase() or "a")

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            memory = Memory(Path(folder))
            for content in contents:
                await memory.add(BLOG, entry(content))
                await memory.add(OTHER, entry(content))
            for needle in needles:
                expected = [content for content in contents if needle.casefold() in content.casefold()]
                assert await memory.contents(BLOG, search=needle) == expected
            await memory.clear(OTHER)
            await memory.add(BLOG, entry("new"))
            for needle in needles:
                expected = [content for content in [*contents, "new"] if needle.casefold() in content.casefold()]
                assert await memory.contents(BLOG, search=needle) == expected
            await memory.close()

    asyncio.run(run())


async def test_search_for_a_long_text(memory: Memory) -> None:
    long = " ".join(f"word{number}" for number in range(10_000))
    await memory.add(BLOG, entry(long))
    await memory.add(BLOG, entry(long[:-1]))
    assert len(await memory.entries(BLOG, search=long.upper())) == 1
    assert len(await memory.entries(BLOG, search=long[:-1])) == 2


# --- sessions


async def test_sessions(memory: Memory) -> None:
    await memory.add(BLOG, entry("Be kind", sessionId="1", role="system", ts="2026-01-01T00:00:00Z"))
    await memory.add(BLOG, entry("", sessionId="1", ts="2026-01-01T00:00:01Z"))
    await memory.add(BLOG, entry("Why\nis " + "x" * 100, sessionId="1", ts="2026-01-01T00:00:02Z"))
    await memory.add(BLOG, entry("Because", sessionId="1", role="assistant", model="m", ts="2026-01-01T00:00:04Z"))
    await memory.add(BLOG, entry("An answer", sessionId="2", role="assistant", ts="2026-01-01T00:00:03Z"))
    await memory.add(BLOG, entry("Other app", sessionId="1", appId="other", ts="2026-01-01T00:00:05Z"))
    shared = {"pinned": False}
    expected = [
        {"sessionId": "1", "appId": "other", "title": "Other app", "model": "", "messageCount": 1}
        | {"ts": "2026-01-01T00:00:05Z", **shared},
        {"sessionId": "1", "appId": "app", "title": "Why is " + "x" * 73, "model": "m", "messageCount": 4}
        | {"ts": "2026-01-01T00:00:04Z", **shared},
        {"sessionId": "2", "appId": "app", "title": "", "model": "", "messageCount": 1}
        | {"ts": "2026-01-01T00:00:03Z", **shared},
    ]
    assert await memory.sessions(BLOG) == expected
    assert await memory.sessions(BLOG, limit=2) == expected[:2]
    assert await memory.sessions(BLOG, app_id="app", limit=1) == expected[1:2]
    assert await memory.sessions(OTHER) == []


async def test_a_session_can_be_named_and_pinned(memory: Memory) -> None:
    await memory.add(BLOG, entry("First"))

    async def state() -> tuple[str, bool]:
        (found,) = await memory.sessions(BLOG)
        return found["title"], found["pinned"]

    steps: list[tuple[dict[str, Any], tuple[str, bool]]] = [
        ({"pinned": True}, ("First", True)),
        ({"title": "Mine"}, ("Mine", True)),
        ({"pinned": False}, ("Mine", False)),
        ({}, ("Mine", False)),
        ({"title": None, "pinned": True}, ("First", True)),
        ({"title": "x" * 200}, ("x" * 200, True)),
        ({"title": ""}, ("First", True)),
    ]
    for changes, expected in steps:
        await memory.update_session(BLOG, "app", "s", changes)
        assert await state() == expected


@pytest.mark.parametrize(
    ("session", "changes", "error"),
    [
        (("app", "other"), {"title": "x"}, NotFound),
        (("other", "s"), {"title": "x"}, NotFound),
        (("app", "s"), {"title": "x" * 201}, InvalidRequest),
        (("app", "s"), {"title": 7}, InvalidRequest),
        (("app", "s"), {"pinned": "yes"}, InvalidRequest),
    ],
    ids=str,
)
async def test_refused_changes(
    memory: Memory, session: tuple[str, str], changes: dict[str, Any], error: type[Exception]
) -> None:
    await memory.add(BLOG, entry("First"))
    with pytest.raises(error):
        await memory.update_session(BLOG, *session, changes)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, []),
        ({"app_id": "a"}, ["b1"]),
        ({"session_id": "1"}, ["a2"]),
        ({"app_id": "a", "session_id": "1"}, ["a2", "b1"]),
        ({"app_id": "b", "session_id": "2"}, ["a1", "a2", "b1"]),
    ],
    ids=str,
)
async def test_clear(memory: Memory, filters: dict[str, str], left: list[str]) -> None:
    for name in ("a1", "a2", "b1"):
        await memory.add(BLOG, {"appId": name[0], "sessionId": name[1], "content": name})
    await memory.clear(BLOG, **filters)
    assert await memory.contents(BLOG) == left
    assert await memory.contents(BLOG, search="a") == [name for name in left if "a" in name]
    assert len(await memory.sessions(BLOG)) == len(left)


async def test_a_cleared_session_takes_its_name_along(memory: Memory) -> None:
    await memory.add(BLOG, entry("First"))
    await memory.update_session(BLOG, "app", "s", {"title": "Mine", "pinned": True})
    await memory.clear(BLOG, session_id="s")
    await memory.add(BLOG, entry("Second"))
    (found,) = await memory.sessions(BLOG)
    assert (found["title"], found["pinned"]) == ("Second", False)


# --- off, quota, reset, export


async def test_off_hides_and_keeps(memory: Memory) -> None:
    await memory.add(BLOG, entry("kept"))
    memory.on = False
    assert not memory.is_enabled
    assert await memory.entries(BLOG) == []
    assert await memory.sessions(BLOG) == []
    for refused in (memory.add(BLOG, entry()), memory.update_session(BLOG, "app", "s", {"title": "x"})):
        with pytest.raises(NotAllowed) as error:
            await refused
        assert error.value.reason == "memory_disabled"
    assert (await memory.use()).entries == 1
    memory.on = True
    assert await memory.contents(BLOG) == ["kept"]


async def test_clearing_works_while_it_is_off(memory: Memory) -> None:
    await memory.add(BLOG, entry("kept"))
    memory.on = False
    await memory.clear(BLOG)
    assert await memory.use() == MemoryUse(0, 0)


async def test_an_origin_has_a_quota(tmp_path: Path) -> None:
    memory = Memory(tmp_path, quota_bytes=3000)
    await memory.add(CHAT, entry("é" * 1000))
    with pytest.raises(QuotaExceeded) as full:
        await memory.add(EDITOR, entry("x" * 1000))
    assert (full.value.reason, full.value.quota, full.value.requested) == ("memory_full", 3000, 2202 + 1202)
    await memory.add(BLOG, entry("x" * 1000))
    assert await memory.use() == MemoryUse(2, 2202 + 1202)
    await memory.clear(CHAT)
    await memory.add(EDITOR, entry("x" * 1000))
    await memory.close()


async def exported(memory: MemoryStore) -> Any:
    return json.loads(b"".join([piece async for piece in memory.export()]))


async def test_export_holds_everything(memory: Memory) -> None:
    empty = await exported(memory)
    assert (empty["format"], empty["version"], empty["entries"], empty["sessions"]) == ("peersky-memory", 1, [], [])
    for number in range(1003):
        await memory.add(BLOG if number % 2 else CHAT, entry(f"Nr {number}"))
    await memory.update_session(CHAT, "app", "s", {"title": "Mine", "pinned": True})
    memory.on = False
    found = await exported(memory)
    assert [one["content"] for one in found["entries"]] == [f"Nr {number}" for number in range(1003)]
    assert (found["entries"][0]["origin"], found["entries"][0]["app"]) == ("peersky://p2p", "ai-chat")
    assert found["sessions"] == [
        {"origin": "peersky://p2p", "app": "ai-chat", "appId": "app", "sessionId": "s", "title": "Mine", "pinned": True}
    ]


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@pytest.mark.parametrize("how", ["clear", "reset"])
async def test_what_was_cleared_is_not_on_the_disk_any_more(tmp_path: Path, how: str) -> None:
    first = Memory(tmp_path)
    await first.add(BLOG, entry("A zebra in the garden"))
    await first.close()
    memory = Memory(tmp_path)
    assert await memory.contents(BLOG) == ["A zebra in the garden"]
    assert b"zebra" in everything(tmp_path)
    work: Callable[[], Any] = {"clear": lambda: memory.clear(BLOG), "reset": memory.reset}[how]
    await work()
    assert b"zebra" not in everything(tmp_path)
    await memory.add(BLOG, entry("new"))
    assert await memory.contents(BLOG) == ["new"]
    assert await memory.contents(BLOG, search="zebra") == []
    await memory.close()


async def test_the_index_forgets_what_was_cleared(memory: Memory, tmp_path: Path) -> None:
    for number in range(20):
        await memory.add(BLOG, entry(f"ordinary {number}"))
    await memory.add(BLOG, entry("zqjxw", sessionId="secret"))
    assert b"zqj" in everything(tmp_path)
    await memory.clear(BLOG, session_id="secret")
    assert b"zqj" not in everything(tmp_path)
    assert len(await memory.entries(BLOG, search="ordinary")) == 20


@pytest.mark.fault("A damaged memory")
async def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    first = Memory(tmp_path)
    await first.add(BLOG, entry("kept"))
    await first.close()
    (tmp_path / "memory.sqlite3").write_bytes(b"x" * 10_000)
    said: list[str] = []
    memory = MemoryStore(tmp_path / "memory.sqlite3", lambda: True, said.append)
    assert len(await memory.entries(BLOG)) == 1
    assert list(memory.notices) == said
    assert "was restored" in said[0]
    await memory.reset()
    assert not memory.notices
    await memory.close()
