"""kill -9 of the whole browser while it writes: what was acknowledged is there, and nothing is half."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from peersky.core.origins import parse_origin
from peersky.llm.download import load_jobs
from peersky.llm.memory import MemoryStore, partition_of
from peersky.p2p.ledger import Ledger
from peersky.system.app_store import AppStore
from peersky.system.paths import Profile, open_profile
from peersky.system.permissions import SitePermissions
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.compose import open_services
from tests.fakes.registry_server import RegistryServer
from tests.faults.busy_browser import MODEL

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
STORES = ("settings", "memory", "ledger", "permissions", "links", "downloads", "drafts")
FIRST = 10
"""Settings have their bounds; this number is within all of them."""

Numbers = dict[str, int]
"""One number for each store."""


@dataclass
class Said:
    """What a browser said before it was killed: the last number of each store, and the drafts that it found."""

    last: Numbers = field(default_factory=dict)
    drafts: list[int] = field(default_factory=list)

    def note(self, line: str) -> None:
        store, _, number = line.partition(" ")
        assert store != "failed", line
        # The kill may cut the last line; a number that lost digits is smaller than the one before.
        if store in STORES and line.endswith("\n"):
            self.last[store] = max(int(number), self.last.get(store, 0))
        elif store == "kept":
            self.drafts = [int(found) for found in number.split()]


def killed_while_it_writes(profile: Profile, first: Numbers, writes: int, registry: str) -> Said:
    """Run the browser until each store acknowledged something and all together ``writes``."""
    argv = [sys.executable, "-m", "tests.faults.busy_browser", str(profile.root), json.dumps(first), registry]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    said = Said()
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as browser:
        assert browser.stdout is not None
        for count, line in enumerate(browser.stdout, 1):
            said.note(line)
            if count >= writes and len(said.last) == len(STORES):
                break
        family = psutil.Process(browser.pid).children(recursive=True)
        browser.send_signal(signal.SIGKILL)
        for line in browser.stdout.read().splitlines(keepends=True):
            said.note(line)
    assert browser.returncode == -signal.SIGKILL, said
    _gone, left = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert left == [], "Processes of the browser outlived it."
    return said


async def kept(profile: Profile, notices: list[str]) -> dict[str, list[int]]:
    """The numbers that each store holds, read as the next start of the browser reads them."""
    settings = SettingsStore(profile.settings_file, SecretStore(profile.secrets_file))
    notices += settings.notices
    number = settings.whole("llm.maxTokens")
    assert settings.text("browser.home") == f"peersky://home/?{number}", "Two settings of one change came apart."
    memory = MemoryStore(profile.memory_file, lambda: True, notices.append)
    ledger = Ledger(profile.ledger_file, notices.append)
    try:
        exported = json.loads(b"".join([piece async for piece in memory.export()]))
        found = await ledger.search(limit=1_000_000)
        owners = [int(key.name) for key in await ledger.names("user")]
        published = sorted(int(one.name) for one in found.publications)
        assert await memory.entries(partition_of(parse_origin("peersky://settings"), ""), limit=1)
    finally:
        await memory.close()
        await ledger.close()
    permissions = SitePermissions(profile.permissions_file, on_notice=notices.append)
    links = AppStore(profile.apps_dir, notices.append).links()
    downloads = {job.model.rpartition("/")[2]: job for job in load_jobs(profile.downloads_file)}
    running = downloads.pop(f"{MODEL}:latest")
    assert (running.state, running.interrupted) == ("paused", True), "It is offered again."
    for line in profile.log_file.read_text(encoding="utf-8").splitlines()[:-1]:
        assert json.loads(line)["kind"]
    return {
        "settings": [number],
        "memory": [int(entry["content"]) for entry in exported["entries"]],
        "ledger": published,
        "owners": owners,
        "permissions": sorted(permissions.limits(site)["number"] for site in permissions.limited()),
        "links": sorted(int(link.name) for link in links),
        "downloads": sorted(int(name.partition(":")[2]) for name in downloads),
    }


def check(found: dict[str, list[int]], first: Numbers, acknowledged: Numbers) -> Numbers:
    """Compare; the number with which each store goes on."""
    # Each was published before it was owned; a kill may fall between the two, but then nothing was acknowledged.
    assert set(range(first["ledger"], acknowledged["ledger"] + 1)) <= set(found.pop("owners"))
    for store, numbers in found.items():
        last = acknowledged[store]
        # One more may be there: written, and the browser killed before it could say so.
        assert numbers[-1] in (last, last + 1), (store, numbers[-3:], last)
    for store in ("memory", "ledger"):
        assert found[store] == list(range(FIRST, found[store][-1] + 1)), f"{store}: one is missing or twice there."
    return {store: numbers[-1] + 1 for store, numbers in found.items()}


async def finish_the_download(profile: Profile, registry: RegistryServer, content: bytes) -> None:
    """What was interrupted again and again ends as what the registry has."""
    registry.gate.set()
    with ProfileLock.acquire(profile):
        services = await open_services(profile, NobodyToAsk())
        try:
            download = next(one for one in services.downloads.list() if MODEL in one.model)
            services.downloads.resume(download.id)
            async with asyncio.timeout(PATIENCE_S):
                done = await services.downloads.wait(download.id)
        finally:
            await services.close()
    assert (done.state, done.message) == ("done", "")
    digest = hashlib.sha256(content).hexdigest()
    assert [file.read_bytes() == content for file in profile.root.rglob(f"*{digest}")] == [True]


@pytest.mark.e2e
@pytest.mark.timeout(3600)
@pytest.mark.fault("kill -9 of the whole browser in the middle of writes, again and again on one profile")
async def test_what_was_acknowledged_survives(
    tmp_path: Path, tiny: Path, long_or: Callable[[int, int], int], record_property: Callable[[str, object], None]
) -> None:
    profile = open_profile(tmp_path / "p")
    profile.settings_file.write_text(
        json.dumps({"llm": {"enabled": True, "memoryEnabled": True}, "p2p": {"listen": "loopback"}})
    )
    rounds, chance = long_or(200, 6), random.Random()
    first, notices, drafts = dict.fromkeys(STORES, FIRST), list[str](), 0
    content = await asyncio.to_thread(tiny.read_bytes) + chance.randbytes(5_000_000)
    with RegistryServer() as registry:
        registry.add(f"{MODEL}:latest", {"model": content})
        # Some of it comes, and then nothing more: it runs whenever the browser is killed.
        registry.gate.clear()
        for _ in range(rounds):
            writes = chance.randint(1, long_or(150, 60))
            said = await asyncio.to_thread(killed_while_it_writes, profile, first, writes, registry.host)
            # Those of the browser before: only Chromium reads them. More than one may be on the disk and not yet told:
            # between a page's word and this process lies the window's thread.
            assert min(said.drafts) >= drafts, (said.drafts, drafts)
            drafts = said.last["drafts"]
            first |= check(await kept(profile, notices), first, said.last)
        await finish_the_download(profile, registry, content)
    assert notices == []
    ProfileLock.acquire(profile).release()
    assert not list(profile.root.glob(".*.tmp")), "What was half-written when the browser was killed is still there."
    record_property("how", f"{rounds} kills, {sum(first.values()) + drafts - FIRST * (len(STORES) + 1)} writes")
