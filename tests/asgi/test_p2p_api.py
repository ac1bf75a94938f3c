"""``peersky://archive/api`` and ``peersky://settings/api/p2p`` without Qt: what they tell, do, and refuse."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import peersky
from peersky.core.errors import PeerSkyError
from peersky.core.origins import parse_origin
from peersky.core.trust import DEFAULT_POLICY
from peersky.llm.bridge import Bridge
from peersky.llm.memory import MemoryStore, Partition
from peersky.p2p.errors import NodeRefused, NodeUnavailable
from peersky.p2p.ledger import Ledger, Publication
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore
from peersky.web.asker import Asker
from peersky.web.p2p_api import p2p_apis
from peersky.web.pages_app import make_pages_app
from tests.asgi.client import AsgiClient, Reply
from tests.fakes.http_server import Answer, FakeServer, Recorded
from tests.fakes.node_double import STATUS, NodeDouble
from tests.fakes.scripted_provider import Log, ScriptedProvider

ASSETS = Path(peersky.__file__).parent / "assets"
SITE = "https://agregore.mauve.moe"
GONE = NodeUnavailable("The P2P node ended too often.", reason="crash_loop")


def page(host: str, resource: str = "xhr") -> Asker:
    return Asker(parse_origin(f"peersky://{host}"), parse_origin(f"peersky://{host}"), resource)


class World:
    """The pages app over a real ledger, memory and permissions, and a node that starts nothing."""

    def __init__(self, folder: Path) -> None:
        settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.node = NodeDouble()
        self.ledger = Ledger(folder / "ledger.sqlite3")
        self.memory = MemoryStore(folder / "memory.sqlite3", lambda: True)
        apis = p2p_apis(self.node, self.ledger, self.memory)
        bridge = Bridge(settings, {"builtin": ScriptedProvider()}, Log())
        self.app = AsgiClient(make_pages_app(settings, bridge, lambda: DEFAULT_POLICY, ASSETS, apis), page("archive"))

    async def archive(self, query: str = "") -> Any:
        return (await self.app.get(f"peersky://archive/api/ledger{query}")).json

    async def act(self, action: str, **more: Any) -> Reply:
        return await self.app.post("peersky://archive/api/ledger", json={"action": action, **more})

    async def p2p(self, **body: Any) -> Reply:
        url = "peersky://settings/api/p2p"
        if not body:
            return await self.app.get(url, asker=page("settings"))
        return await self.app.post(url, json=body, asker=page("settings"))

    async def publish(self, root: str = "hyper://blog/", **more: Any) -> int:
        return await self.ledger.record(
            Publication(**{"url": root, "root": root, "name": "", "origin": "user", **more})
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.ledger.close()
    await made.memory.close()


# --- the archive


async def test_the_archive_tells_what_was_published_and_starts_nothing(world: World) -> None:
    assert await world.archive() == {
        "publications": [],
        "total": 0,
        "notices": [],
        "node": {
            "state": "stopped",
            "sentence": "The P2P node is not running; it starts with the first peer-to-peer page.",
        },
    }
    for number in range(3):
        await world.publish(f"ipfs://c{number}/", name=f"page {number}", time=number)
    found = await world.archive("?search=PAGE&limit=1&offset=1")
    assert (found["total"], [entry["url"] for entry in found["publications"]]) == (3, ["ipfs://c1/"])
    assert (world.node.starts, world.node.asked) == (0, [])


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "offset=1.5", "offset=99999999999", "limit="])
async def test_a_strange_page_is_refused(world: World, query: str) -> None:
    reply = await world.app.get(f"peersky://archive/api/ledger?{query}")
    assert (reply.status, reply.json["error"]["param"]) == (400, query.partition("=")[0])


@pytest.mark.parametrize("purge", [False, True])
async def test_stop_sharing(world: World, purge: bool) -> None:
    number = await world.publish(url="hyper://blog/a.html")
    await world.ledger.set_owner("hyper://blog/", "user", "blog")
    reply = await world.act("unpin", id=number, purge=purge)
    assert (reply.status, reply.json["publication"]["pinned"]) == (200, False)
    assert world.node.asked == [("POST /node/unpin", {"url": "hyper://blog/", "purge": purge})]
    assert await world.ledger.owner("hyper://blog/") == (None if purge else "user")


async def test_a_drive_that_was_kept_is_shared_again(world: World) -> None:
    number = await world.publish()
    await world.ledger.set_owner("hyper://blog/", "user", "blog")
    await world.act("unpin", id=number)
    reply = await world.act("announce", id=number)
    assert reply.json["publication"]["pinned"]
    assert world.node.asked[-1] == ("POST /node/announce", {"url": "hyper://blog/"})


@pytest.mark.parametrize("root", ["hyper://blog/", "ipfs://cid/", "ipns://name/"])
async def test_what_is_gone_is_not_shared_again(world: World, root: str) -> None:
    number = await world.publish(root)
    await world.ledger.set_owner(root, "user", "blog")
    await world.act("unpin", id=number, purge=True)
    reply = await world.act("announce", id=number)
    assert (reply.status, reply.json["error"]["code"]) == (404, "not_kept")
    entry = await world.ledger.get(number)
    assert entry is not None
    assert not entry.pinned
    # Only a drive can be deleted for good; a name stays its maker's.
    assert entry.owned is (root != "hyper://blog/")


async def test_what_the_node_refuses_stays_shared(world: World) -> None:
    number = await world.publish()
    world.node.failure = NodeRefused("The disk is full.", status=507, reason="disk_full")
    reply = await world.act("unpin", id=number)
    assert reply.json["error"]["message"] == "The disk is full."
    entry = await world.ledger.get(number)
    assert entry is not None
    assert entry.pinned


async def test_announce_forget_and_start(world: World) -> None:
    number = await world.publish()
    assert (await world.act("announce", id=number)).status == 200
    assert world.node.asked == [("POST /node/announce", {"url": "hyper://blog/"})]
    assert (await world.act("forget", id=number)).json["publication"] is None
    assert (await world.archive())["total"] == 0
    world.node.state = "crash_loop"
    started = (await world.act("start")).json
    assert (started["node"]["state"], started["problems"]) == ("ready", [])
    assert world.node.asked[-1] == ("POST /node/start", {"protocols": ["hyper", "ipfs"]})
    world.node.ipfs_error = "The port is taken."
    assert (await world.act("start")).json["problems"] == ["The port is taken."]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "delete", "id": 1}, 400),
        ({"id": 1}, 400),
        ({"action": "forget"}, 400),
        ({"action": "forget", "id": "1"}, 400),
        ({"action": "forget", "id": True}, 400),
        ({"action": "forget", "id": 2**63}, 400),
        ({"action": "forget", "id": -1}, 400),
        ({"action": "announce", "id": 7}, 404),
        ({"action": "unpin", "id": 7}, 404),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(world: World, body: Any, status: int) -> None:
    reply = await world.app.post("peersky://archive/api/ledger", json=body)
    assert reply.status == status
    assert world.node.asked == []


async def test_the_export_is_a_file(world: World) -> None:
    await world.publish(name="blog")
    reply = await world.app.get("peersky://archive/api/ledger-export")
    assert "peersky-archive.json" in reply.headers["content-disposition"]
    assert [entry["name"] for entry in json.loads(reply.text)["publications"]] == ["blog"]


async def test_a_qr_code_is_an_image_with_a_border(world: World) -> None:
    number = await world.publish()
    image = await world.app.get(f"peersky://archive/api/ledger-qr?id={number}", asker=page("archive", "image"))
    assert (image.status, image.headers["content-type"]) == (200, "image/svg+xml")
    assert "<svg" in image.text
    assert 'fill="#fff"' in image.text
    long = await world.publish("hyper://long/", url=f"hyper://long/{'a' * 4000}")
    reply = await world.app.get(f"peersky://archive/api/ledger-qr?id={long}")
    assert (reply.status, reply.json["error"]["code"]) == (501, "too_long")
    assert (await world.app.get("peersky://archive/api/ledger-qr")).status == 400


@pytest.mark.parametrize("name", ["ledger", "ledger-export", "ledger-qr?id=1"])
@pytest.mark.parametrize("who", ["https://evil.example", "hyper://blog", "peersky://p2p", "peersky://settings"])
async def test_the_archive_is_closed_to_others(world: World, name: str, who: str) -> None:
    await world.publish()
    asker = Asker(parse_origin(who), parse_origin(who), "xhr")
    assert (await world.app.get(f"peersky://archive/api/{name}", asker=asker)).status == 403
    assert (await world.app.post(f"peersky://archive/api/{name}", json={}, asker=asker)).status == 403


# --- the settings


async def test_looking_starts_nothing_and_start_starts_both_protocols(world: World) -> None:
    before = (await world.p2p()).json
    assert (before["state"], before["node"]) == ("stopped", None)
    assert (world.node.starts, world.node.asked) == (0, [])
    after = (await world.p2p(action="start")).json
    assert (after["state"], after["node"]) == ("ready", STATUS)
    assert world.node.asked == [("POST /node/start", {"protocols": ["hyper", "ipfs"]})]


async def test_why_it_does_not_start_is_said(world: World) -> None:
    world.node.failure = GONE
    reply = await world.p2p(action="start")
    assert (reply.status, reply.json["error"]["message"]) == (503, GONE.message)


async def test_the_cache_is_freed(world: World) -> None:
    reply = await world.p2p(action="gc")
    assert reply.json["freedBytes"] == 12_000_000


@pytest.mark.parametrize(("identities", "owner"), [(False, "user"), (True, None)])
async def test_reset_deletes_p2p_data_archive_and_memory(world: World, identities: bool, owner: str | None) -> None:
    await world.publish()
    await world.ledger.set_owner("hyper://blog/", "user", "blog")
    await world.memory.add(Partition(SITE), {"appId": "a", "sessionId": "s", "content": "Hi"})
    reply = await world.p2p(action="reset", identities=identities)
    assert (reply.status, reply.json["state"]) == (200, "stopped")
    assert world.node.resets == [identities]
    assert (await world.archive())["total"] == 0
    assert await world.ledger.owner("hyper://blog/") == owner
    assert (await world.memory.use()).entries == 0


async def test_a_reset_that_fails_keeps_the_archive(world: World) -> None:
    await world.publish()
    world.node.failure = PeerSkyError("The files cannot be deleted.")
    assert (await world.p2p(action="reset", identities=True)).status == 500
    assert (await world.archive())["total"] == 1


@pytest.mark.parametrize(
    "body",
    [{"action": "stop"}, {"action": "reset"}, {"action": "reset", "identities": 1}],
    ids=str,
)
async def test_what_the_settings_do_not_know_is_refused(world: World, body: Any) -> None:
    assert (await world.p2p(**body)).status == 400
    assert (world.node.asked, world.node.resets) == ([], [])


class Kubo(FakeServer):
    """Answers every request the same."""

    def __init__(self, status: int, value: Any) -> None:
        super().__init__()
        self._answer = value, status

    async def handle(self, request: Recorded, answer: Answer) -> None:
        await answer.json(*self._answer)


KUBO_ANSWERS: dict[str, tuple[int, Any, int, str]] = {
    "version": (200, {"Version": "0.42.0", "Commit": ""}, 200, '{"version":"0.42.0"}'),
    "forbidden": (403, {}, 502, "refuses PeerSky"),
    "another service": (200, {"ok": True}, 502, "is no Kubo RPC"),
    "a list": (200, [1], 502, "is no Kubo RPC"),
    "no page": (404, {}, 502, "is no Kubo RPC"),
}


@pytest.mark.parametrize("case", KUBO_ANSWERS)
async def test_the_test_of_kubo_says_who_answers(world: World, case: str) -> None:
    answered, value, status, part = KUBO_ANSWERS[case]
    with Kubo(answered, value) as server:
        reply = await world.p2p(action="test", kuboRpc=f"{server.url}/")
    assert (reply.status, part in reply.text) == (status, True), reply.text
    assert server.paths() == ["POST /api/v0/version"]


async def test_no_kubo(world: World) -> None:
    with Kubo(200, {}) as server:
        closed = server.url
    reply = await world.p2p(action="test", kuboRpc=closed)
    assert (reply.status, "No Kubo answers" in reply.text) == (502, True)
    assert (await world.p2p(action="test", kuboRpc="file:///etc")).status == 400
