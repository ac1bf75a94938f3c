"""A running browser's services on a disk that is full or read-only, and without file descriptors."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peersky.core.errors import ProfileUnusable
from peersky.core.origins import parse_origin
from peersky.llm.memory import Partition
from peersky.p2p.ledger import Publication
from peersky.system.paths import Profile, open_profile
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.compose import Services, open_services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.conftest import Disk

ROOT = Path(__file__).parents[2]
BLOG = Partition(str(parse_origin("hyper://blog")))
LONG_TEXT = "kept " * 2000


@asynccontextmanager
async def services_on(folder: Path) -> AsyncIterator[Services]:
    """The services of a profile, with memory switched on and something in every store."""
    profile = open_profile(folder)
    with ProfileLock.acquire(profile):
        services = await open_services(profile, NobodyToAsk())
        try:
            services.settings.change({"llm.memoryEnabled": True, "llm.maxTokens": 100})
            await remember(services, LONG_TEXT)
            await publish(services, "hyper://before/")
            yield services
        finally:
            await services.close()


async def remember(services: Services, text: str) -> None:
    await services.memory.add(BLOG, {"role": "user", "content": text, "appId": "a", "sessionId": "s"})


async def publish(services: Services, root: str) -> None:
    await services.p2p.ledger.record(Publication(root, root, "blog", "user"))


def writes(services: Services) -> dict[str, Callable[[], Awaitable[object]]]:
    """One write for each store."""
    return {
        "settings": lambda: asyncio.to_thread(services.settings.change, {"llm.maxTokens": 200}),
        "memory": lambda: remember(services, LONG_TEXT),
        "ledger": lambda: publish(services, "hyper://after/"),
        "links": lambda: asyncio.to_thread(services.app_store.put_link, "hyper://" + "y" * 52, "Notes"),
        "limits": lambda: asyncio.to_thread(services.permissions.set_limits, "https://site.example", {"queue": 1}),
    }


async def is_refused(services: Services, words: str) -> None:
    """Every write is refused in words, and what was there can be read all the same."""
    services.logbook.record("test.log", text="The log must not break anything either.")
    for write in writes(services).values():
        with pytest.raises(ProfileUnusable, match=words):
            await write()
    assert services.settings.whole("llm.maxTokens") == 100
    assert [one["content"] for one in await services.memory.entries(BLOG)] == [LONG_TEXT]
    assert (await services.p2p.ledger.search()).total == 1


async def is_accepted(services: Services) -> None:
    for write in writes(services).values():
        await write()
    assert services.settings.whole("llm.maxTokens") == 200
    assert len(await services.memory.entries(BLOG)) == 2
    assert (await services.p2p.ledger.search()).total == 2


@pytest.mark.fault("Full disk while the browser runs: each store says so, keeps what it has, and goes on")
async def test_a_full_disk(disk: Disk) -> None:
    async with services_on(disk.folder / "p") as services:
        disk.fill()
        await is_refused(services, "disk is full|disk reports an error")
        disk.empty()
        await is_accepted(services)


@pytest.mark.fault("Full disk at the start: said, nothing is lost, and it goes on when there is room")
async def test_a_full_disk_at_the_start(disk: Disk) -> None:
    async with services_on(disk.folder / "p"):
        pass
    disk.fill()
    services = await open_services(open_profile_of(disk), NobodyToAsk())
    try:
        with pytest.raises(ProfileUnusable, match=r"disk is full|disk reports an error"):
            await services.memory.entries(BLOG)
        assert services.settings.whole("llm.maxTokens") == 100
        disk.empty()
        assert [one["content"] for one in await services.memory.entries(BLOG)] == [LONG_TEXT]
        assert not services.memory.notices
    finally:
        await services.close()


@pytest.mark.fault("Disk too full for a backup: what is stored can be read and written")
async def test_no_room_for_a_backup(disk: Disk) -> None:
    async with services_on(disk.folder / "p") as services:
        for _ in range(20):
            await remember(services, LONG_TEXT)
    backup = disk.folder / "p" / "memory.sqlite3.backup"
    size = backup.stat().st_size
    os.utime(backup, (1, 1))
    disk.fill(but_for=size // 2)
    services = await open_services(open_profile_of(disk), NobodyToAsk())
    try:
        assert len(await services.memory.entries(BLOG)) == 21
        await remember(services, "more")
        assert backup.stat().st_size == size
        disk.empty()
    finally:
        await services.close()
    assert sorted(path.name for path in backup.parent.glob("memory*")) == ["memory.sqlite3", backup.name]


@pytest.mark.fault("A disk that became read-only: each store says so, and goes on when it can be written again")
async def test_a_disk_that_became_read_only(disk: Disk) -> None:
    async with services_on(disk.folder / "p"):
        pass
    # A kernel does not take a disk away from files that are open for writing; the lock of a profile is one.
    services = await open_services(open_profile_of(disk), NobodyToAsk())
    try:
        disk.read_only(True)
        for write in writes(services).values():
            with pytest.raises(ProfileUnusable, match=r"read-only"):
                await write()
        assert services.settings.whole("llm.maxTokens") == 100
        disk.read_only(False)
        await is_accepted(services)
    finally:
        await services.close()


def open_profile_of(disk: Disk) -> Profile:
    """The profile, without looking whether it can be written."""
    return Profile(disk.folder / "p")


@pytest.mark.fault("A profile on a read-only disk at the start")
def test_a_read_only_profile(disk: Disk) -> None:
    open_profile(disk.folder / "p")
    disk.read_only(True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for command in (["run", "--profile"], ["settings", "get", "--profile"]):
        argv = [sys.executable, "-m", "peersky", *command, str(disk.folder / "p")]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        if command[0] == "run" and os.geteuid() != 0:
            assert "read-only" in done.stderr


NO_DESCRIPTORS = """
import asyncio, json, os, resource, sys
from pathlib import Path
from peersky.core.chat import ChatRequest
from peersky.core.errors import PeerSkyError
from peersky.core.origins import USER
from tests.faults.test_disks import LONG_TEXT, remember, services_on, writes

async def ask(services):
    message = {"role": "user", "content": "Hello"}
    async with services.bridge.chat(USER, ChatRequest((message,), model=sys.argv[2], max_tokens=2)) as chunks:
        async for _ in chunks:
            pass

async def main():
    told, soft, hard = {}, *resource.getrlimit(resource.RLIMIT_NOFILE)
    async with services_on(Path(sys.argv[1])) as services:
        work = {**writes(services), "question": lambda: ask(services)}
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        holes = []
        try:
            while True:
                holes.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        for name, do in work.items():
            try:
                await do()
                told[name] = "done"
            except PeerSkyError as error:
                told[name] = error.message
        for hole in holes:
            os.close(hole)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for do in work.values():
            await do()
    print(json.dumps(told))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.fault("No file descriptors are left: a sentence each, and it goes on when there are some again")
def test_no_descriptors(tmp_path: Path, tiny: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    argv = [sys.executable, "-c", NO_DESCRIPTORS, str(tmp_path / "p"), str(tiny)]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    told = json.loads(done.stdout)
    assert "too many files open" in told["settings"]
    assert "Too many open files" in told["question"] or "too many files open" in told["question"]
    # The databases are open already; one that needs no further file takes the write.
    assert all(sentence.endswith(".") or sentence == "done" for sentence in told.values()), told
