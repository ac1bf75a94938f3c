"""The P2P node as the browser sees it: started when needed, streaming both ways, and again after a death."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import NotSupported, PeerSkyError
from peersky.p2p.errors import NodeRefused, NodeUnavailable
from peersky.p2p.node import P2PNode
from peersky.p2p.node_port import start_all
from peersky.p2p.program import Program
from peersky.system.children import RestartPolicy
from peersky.system.paths import Profile, open_profile
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore

DOUBLE = Path(__file__).parents[2] / "fakes" / "p2p_sidecar.py"
PATIENCE_S = 20


class Bench:
    """A node whose program is the double."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.profile: Profile = open_profile(folder)
        self.settings = SettingsStore(self.profile.settings_file, SecretStore(self.profile.secrets_file))
        self.installs = 0
        self.failure: PeerSkyError | None = None
        self.events: list[str] = []
        self.node = P2PNode(self.settings, self.profile, self.install, self.log, **options)

    async def install(self, say: Callable[[str], None]) -> Program:
        self.installs += 1
        say("Half of it is here.")
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        return Program((sys.executable, str(DOUBLE)))

    def log(self, kind: str, **fields: Any) -> None:
        self.events.append(kind)

    async def seen(self, gone: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.node.json("GET", f"/test/seen?gone={gone}")
        return found

    async def get(self, path: str) -> bytes:
        async with self.node.send("GET", path) as reply:
            return await reply.read()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, sleep=lambda _s: asyncio.sleep(0))
    yield made
    await made.node.close()


async def test_it_starts_with_the_first_request_and_not_before(bench: Bench) -> None:
    assert bench.node.state == "stopped"
    assert "starts with the first" in bench.node.sentence()
    assert await bench.node.status() == {"state": "stopped", "sentence": bench.node.sentence(), "node": None}
    assert bench.installs == 0
    assert await bench.node.json("GET", "/node/status") == {"told": "status", "value": None}
    assert bench.node.state == "ready"
    assert (await bench.node.status())["node"] == {"told": "status", "value": None}


async def test_many_first_requests_share_one_start(bench: Bench) -> None:
    await asyncio.gather(*(bench.node.json("GET", "/node/status") for _ in range(8)))
    assert bench.installs == 1
    assert bench.events.count("child.started") == 1


async def test_the_configuration_has_all_that_was_agreed(bench: Bench) -> None:
    bench.settings.change({"p2p.listen": "loopback", "p2p.ipfs.peers": ["/ip4/127.0.0.1/tcp/4001"]})
    config = await bench.node.json("GET", "/test/config")
    assert len(config.pop("token")) > 30
    assert config == {
        "storage": str(bench.profile.p2p_dir),
        "identity": str(bench.profile.p2p_identity_dir),
        "listen": "loopback",
        "hyperBootstrap": [],
        "ipfsPeers": ["/ip4/127.0.0.1/tcp/4001"],
        "ipfsPort": 0,
        "hyperPort": 0,
        "ipfsBackend": "helia",
        "kuboRpc": "http://127.0.0.1:5001",
        "dnsResolver": "",
        "cacheBytes": 2_000_000_000,
        "uploadBytesPerSecond": 0,
        "downloadBytesPerSecond": 0,
        "lookupSeconds": 20,
    }


async def test_a_body_streams_with_the_pace_of_who_reads(bench: Bench) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield bytes(1 << 16)

    async with bench.node.send("PUT", "/hyper/k/a%2Fb%20c?x=%26", [("x-own", "Ab")], body()) as reply:
        assert reply.status == 201
    assert sent == 64
    (request,) = [one for one in await bench.seen() if one["method"] == "PUT"]
    assert request["path"] == "/hyper/k/a%2Fb%20c?x=%26"
    assert request["bytes"] == 64 << 16
    assert request["headers"]["x-own"] == "Ab"
    assert len(await bench.get("/hyper/k/a%2Fb%20c")) == 64 << 16


async def test_a_body_that_breaks_off_is_seen_by_the_node(bench: Bench) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionAbortedError

    await bench.node.start()
    with pytest.raises(ConnectionAbortedError):
        async with bench.node.send("PUT", "/hyper/k/a", (), body()):
            pass
    async with bench.node.send("GET", "/hyper/k/a") as reply:
        assert reply.status == 404


async def test_whoever_goes_away_is_seen_to_go(bench: Bench) -> None:
    async with bench.node.send("GET", "/hyper/k/hang") as reply:
        chunks = reply.aiter_bytes()
        assert await anext(chunks) == b"half "
        await chunks.aclose()
    assert [one["path"] for one in await bench.seen(gone=1) if "gone" in one] == ["/hyper/k/hang"]
    waiting = asyncio.create_task(bench.get("/hyper/k/slow"))
    await bench.node.json("GET", "/test/seen?path=4")  # both, and what asks
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gone = [one["path"] for one in await bench.seen(gone=2) if "gone" in one]
    assert gone == ["/hyper/k/hang", "/hyper/k/slow"]


@pytest.mark.fault("P2P node dies while it answers")
@pytest.mark.parametrize("path", ["/hyper/k/die", "/hyper/k/die-first"])
async def test_a_death_in_the_middle_is_said_and_the_next_request_finds_a_new_node(bench: Bench, path: str) -> None:
    with pytest.raises(NodeUnavailable, match=r"exit code 9\) before this was done") as caught:
        await bench.get(path)
    assert (caught.value.reason, caught.value.http_status) == ("interrupted", 503)
    assert await bench.node.json("GET", "/node/status")
    assert bench.events.count("child.started") == 2


@pytest.mark.fault("P2P node dies again and again: a sentence, and a new start by hand")
async def test_a_node_that_keeps_dying_is_given_up_until_a_person_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, policy=RestartPolicy(restarts=0))
    with pytest.raises(NodeUnavailable):
        await bench.get("/hyper/k/die-first")
    with pytest.raises(NodeUnavailable, match=r"peersky://settings/p2p") as caught:
        await bench.get("/hyper/k/a")
    assert caught.value.reason == "crash_loop"
    assert "model" not in bench.node.sentence()
    with pytest.raises(NodeUnavailable) as caught:
        await start_all(bench.node)
    assert caught.value.reason == "crash_loop", "what the browser starts by itself is no decision of a person"
    bench.node.retry()
    assert await bench.node.json("GET", "/node/status")
    await bench.node.close()


async def test_a_node_that_is_not_installed_says_why_and_is_tried_again(bench: Bench) -> None:
    bench.failure = NotSupported("There is no network to fetch the peer-to-peer parts from; connect and try again.")
    with pytest.raises(NodeUnavailable, match="connect and try again") as caught:
        await bench.node.start()
    assert caught.value.reason == "not_installed"
    bench.failure = None
    await bench.node.start()
    assert bench.node.state == "ready"


async def test_the_progress_of_the_installation_is_told(bench: Bench) -> None:
    told: list[tuple[str, str]] = []
    unsubscribe = bench.node.subscribe(lambda: told.append((bench.node.state, bench.node.sentence())))
    await bench.node.start()
    assert ("installing", "Half of it is here.") in told
    assert ("starting", "The P2P node is starting.") in told
    assert told[-1][0] == "ready"
    count = len(told)
    unsubscribe()
    await bench.node.restart()
    assert len(told) == count


async def test_a_refusal_has_its_own_status_reason_and_sentence(bench: Bench) -> None:
    with pytest.raises(NodeRefused, match=r"It is refused\.") as caught:
        await bench.node.json("GET", "/node/refuse-507-disk_full")
    assert (caught.value.http_status, caught.value.reason) == (507, "disk_full")


async def test_a_publication_is_told_line_by_line(bench: Bench) -> None:
    file = bench.profile.root / "a.txt"
    file.write_bytes(b"four")
    job = {"path": str(file), "to": "hyper", "name": "blog", "origin": "user"}
    lines = [line async for line in bench.node.lines("POST", "/node/publish", job)]
    assert [line.get("done") for line in lines] == [0, 4, None]
    assert lines[-1]["url"].startswith("hyper://")
    with pytest.raises(NodeRefused, match=r"The disk is full\.") as caught:
        async for _ in bench.node.lines("POST", "/node/publish", {**job, "name": "refused"}):
            pass
    assert caught.value.http_status == 507


async def test_a_changed_limit_is_told_and_a_changed_port_restarts(bench: Bench) -> None:
    await bench.node.start()
    bench.settings.change({"p2p.uploadLimit": 1000})
    bench.settings.change({"browser.home": "peersky://archive/"})
    while not [one for one in await bench.seen() if one["path"] == "/node/limits"]:
        pass
    assert bench.events.count("child.started") == 1
    ready = asyncio.Event()
    bench.node.subscribe(lambda: ready.set() if bench.events.count("child.ready") == 2 else None)
    async with bench.node.send("GET", "/hyper/k/hang"):
        bench.settings.change({"p2p.hyper.port": 4000})
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await ready.wait()
    config = await bench.node.json("GET", "/test/config")
    assert (config["hyperPort"], config["uploadBytesPerSecond"]) == (4000, 1000)


async def test_a_change_starts_nothing_that_does_not_run(bench: Bench) -> None:
    bench.settings.change({"p2p.hyper.port": 4000, "p2p.uploadLimit": 5})
    await bench.node.restart()
    assert bench.node.state == "stopped"
    assert bench.installs == 0


@pytest.mark.parametrize("identities", [False, True])
async def test_reset_deletes_the_data_and_the_identities_only_on_request(bench: Bench, identities: bool) -> None:
    await bench.node.start()
    storage, keys = bench.profile.p2p_dir, bench.profile.p2p_identity_dir
    (storage / "block").write_bytes(b"x")
    (keys / "primary").write_bytes(b"x")
    await bench.node.reset(identities=identities)
    assert bench.node.state == "stopped"
    assert not storage.exists()
    assert keys.exists() is not identities
    await bench.node.start()
    assert sorted(path.name for path in keys.iterdir()) == ([] if identities else ["primary"])
    assert keys.stat().st_mode & 0o777 == 0o700


async def test_requests_wait_while_it_restarts(bench: Bench) -> None:
    await bench.node.start()
    restarting = asyncio.create_task(bench.node.restart())
    await asyncio.sleep(0)
    assert json.loads(await bench.get("/test/config"))["token"]
    await restarting
    assert bench.events.count("child.started") == 2
