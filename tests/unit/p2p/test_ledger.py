"""What was published and whose it is: one entry per root and publisher, found again, kept over crashes, exported."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.p2p.ledger import Ledger, OwnedKey, Publication

BLOG = "hyper://blog/"
SITE = "https://agregore.mauve.moe"


def published(root: str = BLOG, origin: str = "user", **more: Any) -> Publication:
    return Publication(**{"url": root, "root": root, "name": "", "origin": origin, **more})


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def run(script: str, file: Path) -> int:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script), file], timeout=60).returncode


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    yield ledger
    await ledger.close()


async def roots(ledger: Ledger, text: str = "") -> list[str]:
    return [entry.root for entry in (await ledger.search(text)).publications]


async def test_an_entry_is_found_with_all_that_was_said(ledger: Ledger) -> None:
    number = await ledger.record(
        published(name="blog", origin="peersky://p2p", app="editor", bytes=9, files=2, model="qwen2.5-coder:3b", time=5)
    )
    entry = await ledger.get(number)
    assert entry is not None
    assert entry.as_object() == {
        "id": number,
        "url": BLOG,
        "root": BLOG,
        "name": "blog",
        "origin": "peersky://p2p",
        "app": "editor",
        "bytes": 9,
        "files": 2,
        "model": "qwen2.5-coder:3b",
        "pinned": True,
        "owned": False,
        "time": "1970-01-01T00:00:05.000Z",
        "firstTime": "1970-01-01T00:00:05.000Z",
        "times": 1,
    }
    assert await ledger.get(number + 1) is None


async def test_publishing_again_updates_the_entry_and_counts(ledger: Ledger) -> None:
    first = await ledger.record(published(name="blog", bytes=1, time=10))
    await ledger.record(published("ipfs://cid/", time=15))
    again = await ledger.record(published(url=f"{BLOG}b.html", bytes=7, model="m", time=20))
    assert again == first
    entry = await ledger.get(first)
    assert entry is not None
    assert (entry.url, entry.name, entry.bytes, entry.model) == (f"{BLOG}b.html", "blog", 7, "m")
    assert (entry.first_time, entry.time, entry.times) == (10, 20, 2)
    assert await roots(ledger) == [BLOG, "ipfs://cid/"], "the newest first"


async def test_each_publisher_of_a_cid_has_an_entry_of_its_own(ledger: Ledger) -> None:
    await ledger.record(published("ipfs://cid/", origin=SITE))
    await ledger.record(published("ipfs://cid/"))
    assert await ledger.publishers("ipfs://cid/") == {SITE, "user"}
    await ledger.set_pinned("ipfs://cid/", False, SITE)
    assert await ledger.publishers("ipfs://cid/") == {"user"}
    await ledger.set_pinned("ipfs://cid/", False)
    assert await ledger.publishers("ipfs://cid/") == set()
    assert (await ledger.search()).total == 2
    await ledger.record(published("ipfs://cid/"))
    assert await ledger.publishers("ipfs://cid/") == {"user"}, "publishing again shares it again"


async def test_search_finds_all_words_in_any_column_and_any_case(ledger: Ledger) -> None:
    await ledger.record(published("ipfs://one/", name="Übersicht 100%", app="editor", model="Qwen"))
    await ledger.record(published("ipfs://two/", name="notes", origin=SITE))
    assert await roots(ledger, "übersicht") == ["ipfs://one/"]
    assert await roots(ledger, "ÜBER qwen") == ["ipfs://one/"]
    assert await roots(ledger, "AGREGORE two") == ["ipfs://two/"]
    assert await roots(ledger, "0%") == ["ipfs://one/"]
    assert await roots(ledger, "one agregore") == []
    assert await roots(ledger, " ") == ["ipfs://two/", "ipfs://one/"]
    await ledger.record(published("ipfs://two/", name="diary", origin=SITE))
    assert await roots(ledger, "notes") == [], "what an entry says no longer is not found"


async def test_ten_thousand_entries_are_searched_and_paged(ledger: Ledger) -> None:
    await ledger.record(published("ipfs://first/", time=0))

    def fill(connection: Any) -> None:
        # As many transactions would take minutes on a slow disk.
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
            "INSERT INTO publications (url, root, name, origin, app, time, first_time, times, bytes, files, model, "
            "pinned, searched) SELECT 'ipfs://c' || i || '/', 'ipfs://c' || i || '/', 'page ' || i, 'user', '', i, i, "
            "1, 1, 1, '', 1, folded('ipfs://c' || i || '/', 'page ' || i) FROM n"
        )

    await ledger._database.write(fill)
    found = await ledger.search("PAGE 99", limit=20)
    assert found.total == sum("99" in str(number) for number in range(1, 10_001))
    assert [entry.name for entry in found.publications[:2]] == ["page 9999", "page 9998"]
    last = await ledger.search("", limit=50, offset=10_000)
    assert (last.total, [entry.root for entry in last.publications]) == (10_001, ["ipfs://first/"])
    text = b"".join([piece async for piece in ledger.export()])
    assert len(json.loads(text)["publications"]) == 10_001


async def test_what_is_shared_is_known_by_scheme(ledger: Ledger) -> None:
    assert await ledger.shared_schemes() == set()
    for root in ("hyper://abc/", "ipfs://bafy1/", "ipfs://bafy2/", "ipns://k51/"):
        await ledger.record(Publication(root, root, "", "user"))
    await ledger.set_pinned("ipns://k51/", False)
    await ledger.set_pinned("ipfs://bafy1/", False)
    assert await ledger.shared_schemes() == {"hyper", "ipfs"}


async def test_the_export_is_json_with_every_entry(ledger: Ledger) -> None:
    empty = json.loads(b"".join([piece async for piece in ledger.export()]))
    assert (empty["format"], empty["version"], empty["publications"]) == ("peersky-ledger", 1, [])
    number = await ledger.record(published(name='“quoted” "name"'))
    entry = await ledger.get(number)
    assert entry is not None
    full = json.loads(b"".join([piece async for piece in ledger.export()]))
    assert full["publications"] == [entry.as_object()]


async def test_the_first_owner_stays_the_owner_and_names_are_per_origin(ledger: Ledger) -> None:
    assert await ledger.owner(BLOG) is None
    await ledger.set_owner(BLOG, SITE, "blog")
    await ledger.set_owner(BLOG, "https://evil.example", "blog")
    await ledger.set_owner("ipns://blog/", "user", "blog")
    assert await ledger.owner(BLOG) == SITE
    assert await ledger.names(SITE) == [OwnedKey(BLOG, SITE, "blog")]
    assert await ledger.names("https://evil.example") == []
    number = await ledger.record(published(origin=SITE))
    assert [entry.owned for entry in (await ledger.search()).publications] == [True]
    await ledger.disown(BLOG)
    assert await ledger.owner(BLOG) is None
    entry = await ledger.get(number)
    assert entry is not None
    assert not entry.owned


async def test_forgetting_an_entry_leaves_the_owner(ledger: Ledger, tmp_path: Path) -> None:
    number = await ledger.record(published("hyper://secret-drive/"))
    await ledger.set_owner("hyper://owned/", "user", "blog")
    await ledger.forget(number)
    await ledger.forget(number)
    assert (await ledger.search()).total == 0
    assert await ledger.owner("hyper://owned/") == "user"
    assert b"secret-drive" not in await asyncio.to_thread(everything_in, tmp_path)


@pytest.mark.parametrize(("identities", "owner"), [(False, "user"), (True, None)])
async def test_reset_keeps_owners_as_long_as_the_keys_are_kept(
    ledger: Ledger, identities: bool, owner: str | None
) -> None:
    await ledger.record(published())
    await ledger.set_owner(BLOG, "user", "blog")
    await ledger.reset(identities=identities)
    assert (await ledger.search()).total == 0
    assert await ledger.owner(BLOG) == owner
    await ledger.record(published())
    assert (await ledger.search()).total == 1


@pytest.mark.fault("kill -9 in the middle of writes to the ledger")
async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    script = """
        import asyncio, os, signal, sys
        from pathlib import Path
        from peersky.p2p.ledger import Ledger, Publication

        async def main():
            ledger = Ledger(Path(sys.argv[1]))
            await ledger.record(Publication("hyper://k/a", "hyper://k/", "blog", "user"))
            await ledger.set_owner("hyper://k/", "user", "blog")
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    file = tmp_path / "ledger.sqlite3"
    assert await asyncio.to_thread(run, script, file) != 0
    ledger = Ledger(file)
    try:
        assert [entry.url for entry in (await ledger.search("blog")).publications] == ["hyper://k/a"]
        assert await ledger.owner("hyper://k/") == "user"
    finally:
        await ledger.close()


@pytest.mark.fault("A damaged ledger")
async def test_a_damaged_file_goes_back_to_its_backup_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    ledger = Ledger(file)
    await ledger.record(published())
    await ledger.close()
    await asyncio.to_thread(file.write_bytes, b"no database " * 1000)
    said: list[str] = []
    again = Ledger(file, said.append)
    try:
        assert await roots(again) == [BLOG]
        assert list(again.notices) == said
        assert "was damaged" in said[0]
        await again.reset(identities=False)
        assert list(again.notices) == []
    finally:
        await again.close()
