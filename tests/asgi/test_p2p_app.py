"""``hyper:``, ``ipfs:`` and ``ipns:`` without Qt: what is passed on both ways, and what becomes of failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peersky.core.origins import BROWSER
from peersky.web.asker import Asker
from peersky.web.uploads import UploadSessions
from tests.asgi.client import AsgiClient
from tests.asgi.p2p_world import APP, CID, DRIVE, EVIL, World, page

READER = page(APP)
TAB = Asker(BROWSER, BROWSER, "main-frame")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.close()


async def test_a_file_comes_back_as_it_was_written(world: World) -> None:
    drive = await world.make(READER)
    data = bytes(range(256)) * 1000
    written = await world.ask(READER, "PUT", f"{drive}/a%20b%2Fc.bin?x=%26", content=data)
    assert (written.status, written.body) == (201, b"")
    read = await world.ask(READER, "GET", f"{drive}/a%20b%2Fc.bin")
    assert (read.status, read.body) == (200, data)
    assert read.headers["etag"] == '"Ab7"'
    assert read.headers["x-content-type-options"] == "nosniff"
    assert (await world.seen())[-1]["path"] == f"/hyper/{drive[8:]}/a%20b%2Fc.bin"


async def test_a_range_is_the_nodes_own_answer(world: World) -> None:
    drive = await world.make(READER)
    await world.ask(READER, "PUT", f"{drive}/a", content=b"0123456789")
    reply = await world.ask(READER, "GET", f"{drive}/a", headers={"Range": "bytes=2-4"})
    assert (reply.status, reply.body, reply.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    head = await world.ask(READER, "HEAD", f"{drive}/a")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")


async def test_headers_of_ours_pass_in_neither_direction(world: World) -> None:
    spoofed = {
        "X-Peersky-Origin": "user",
        "X-Peersky-Else": "x",
        "Cookie": "a=b",
        "Authorization": "Bearer x",
        "Connection": "close",
        "If-None-Match": '"Ab"',
    }
    await world.ask(READER, "GET", f"{DRIVE}/a", headers=spoofed)
    (seen,) = await world.seen()
    assert seen["headers"]["x-peersky-origin"] == APP
    assert seen["headers"]["if-none-match"] == '"Ab"'
    assert not {"x-peersky-else", "cookie"} & seen["headers"].keys()
    reply = await world.ask(READER, "GET", f"{DRIVE}/strange")
    assert reply.headers["x-own"] == "Kept"
    assert not {"location", "set-cookie", "x-peersky-secret", "connection"} & reply.headers.keys()
    drive = await world.make(READER)
    written = await world.ask(READER, "PUT", f"{drive}/a", content=b"x")
    assert not [name for name in written.headers if name.startswith("x-peersky")]


async def test_headers_are_any_latin_1_and_never_control_characters(world: World) -> None:
    drive = await world.make(READER)
    await world.ask(READER, "GET", f"{drive}/a", headers={"x-any": "Gr\xfc\xdfe"})
    assert (await world.seen())[-1]["headers"]["x-any"] == "Gr\xfc\xdfe"
    reply = await world.ask(READER, "GET", f"{drive}/a", headers={"x-any": "a\x01"})
    assert (reply.status, "no header can have" in reply.text) == (400, True)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (f"{DRIVE}/a/../b", 400),
        (f"{DRIVE}/a/%2e%2E/b", 400),
        (f"{DRIVE}/a%2F..%2Fb", 400),
        (f"{DRIVE}/a%5C..%5Cb", 400),
        (f"{DRIVE}/%00", 400),
        (f"{DRIVE}/%FF", 400),
        ("hyper://%20/", 400),
        ("ipfs://localhost/?key=a", 400),
        (f"{DRIVE}/...", 404),
        (f"{DRIVE}/%F0%9F%8C%8C%20%C3%BC", 404),
        (f"{DRIVE}/" + "n" * 255, 404),
    ],
)
async def test_addresses_that_are_none_are_malformed_and_strange_ones_are_not(
    world: World, url: str, status: int
) -> None:
    reply = await world.ask(READER, "GET", url)
    assert reply.status == status
    assert reply.text.endswith(".")
    assert reply.headers["content-type"].startswith("text/plain")


async def test_a_method_that_is_not_served_says_which_are(world: World) -> None:
    reply = await world.ask(READER, "PATCH", f"{DRIVE}/a")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, PUT, POST, DELETE")
    reply = await world.ask(READER, "PUT", "hyper://localhost/?key=a")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_a_refusal_of_the_node_keeps_status_and_sentence(world: World) -> None:
    reply = await world.ask(READER, "GET", f"{DRIVE}/refuse-504-no_peers")
    assert (reply.status, reply.text) == (504, "It is refused.")
    assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("resource", ["main-frame", "sub-frame"])
async def test_a_tab_gets_failures_as_pages(world: World, resource: str) -> None:
    reply = await world.ask(page(APP, resource), "GET", f"{DRIVE}/refuse-504-no_peers")
    assert reply.text == f"page for {DRIVE}/refuse-504-no_peers: 504 no_peers It is refused."
    assert (reply.status, reply.headers["content-type"]) == (504, "text/html; charset=utf-8")


async def test_a_folder_is_a_page_for_people_and_json_for_programs(world: World) -> None:
    entries = '[{"name": "a <b>.txt", "type": "file", "size": 3, "modified": null}]'
    for asker, headers in ((TAB, {}), (READER, {"Accept": "text/html"})):
        reply = await world.ask(asker, "GET", f"{DRIVE}/listing", headers=headers)
        assert reply.text == f"listing of {DRIVE}/listing: {entries}"
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
    head = await world.ask(TAB, "HEAD", f"{DRIVE}/listing")
    assert head.headers["content-type"] == "text/html; charset=utf-8"
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "text/html, application/json"}):
        reply = await world.ask(READER, "GET", f"{DRIVE}/listing", headers=headers)
        assert reply.json == ["a <b>.txt"]


async def test_events_arrive_one_by_one_and_leaving_reaches_the_node(world: World) -> None:
    async with world.client.stream("GET", f"{DRIVE}/$/extensions/events", asker=READER) as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        assert await reply.next_chunk() == b"data: one\n\n"
    assert [one["path"] for one in await world.seen(gone=1) if "gone" in one] == [
        f"/hyper/{DRIVE[8:]}/$/extensions/events"
    ]


async def test_a_page_that_leaves_before_the_answer_ends_the_search(world: World) -> None:
    began = asyncio.Event()
    world.lookups.subscribe(lambda lookup, runs: began.set() if runs else None)
    await world.node.start()
    reply = world.client.send("GET", f"{DRIVE}/slow", asker=READER)
    await began.wait()
    assert [lookup.url for lookup in world.lookups.running.values()] == [f"{DRIVE}/slow"]
    await reply.disconnect()
    await reply.finished()
    assert not world.lookups.running
    assert world.looked == [(f"{DRIVE}/slow", True), (f"{DRIVE}/slow", False)]


async def test_a_lookup_ends_with_the_first_of_the_answer(world: World) -> None:
    async with world.client.stream("GET", f"{DRIVE}/hang", asker=READER):
        assert world.looked == [(f"{DRIVE}/hang", True), (f"{DRIVE}/hang", False)]
    await world.make(READER)
    assert len(world.looked) == 2, "only reading looks for peers"


@pytest.mark.fault("A page leaves in the middle of an upload")
async def test_a_body_that_breaks_off_is_never_whole_for_the_node(world: World) -> None:
    drive = await world.make(READER)
    reply = world.client.send("PUT", f"{drive}/a", asker=READER, content=[b"half", b""])
    # The second piece never comes: the page has left by then.
    reply._incoming.clear()
    await reply.disconnect()
    await reply.finished()
    assert reply.status == 0
    assert (await world.ask(READER, "GET", f"{drive}/a")).status == 404
    assert not (await world.ledger.search()).total


@pytest.mark.fault("A page leaves just as the P2P node has written what it published")
@pytest.mark.parametrize("pieces", [1, 3])
async def test_what_the_node_has_written_is_noted_though_the_page_has_left(world: World, pieces: int) -> None:
    drive = await world.make(READER)
    content = [b"x" * 1000] * pieces
    length = {"content-length": str(1000 * pieces)}
    reply = world.client.send("PUT", f"{drive}/late", asker=READER, content=content, headers=length)
    await world.node.json("GET", "/test/seen?late=1")
    await reply.disconnect()
    await world.node.json("GET", "/test/acknowledge")
    await reply.finished()
    assert reply.status == 0
    assert [entry.url for entry in (await world.ledger.search()).publications] == [f"{drive}/late"]


@pytest.mark.fault("P2P node dies while a page reads")
async def test_the_node_dying_in_mid_answer_breaks_the_answer_off_and_the_next_one_comes(world: World) -> None:
    reply = world.client.send("GET", f"{DRIVE}/die", asker=READER)
    await reply.started()
    assert await reply.next_chunk() == b"half "
    with pytest.raises(ExceptionGroup):
        await reply.finished()
    assert (await world.ask(READER, "GET", f"{DRIVE}/a")).status == 404


async def test_the_node_dying_before_its_answer_is_a_503_with_a_sentence(world: World) -> None:
    reply = await world.ask(READER, "GET", f"{DRIVE}/die-first")
    assert reply.status == 503
    assert "Try again" in reply.text
    assert (await world.ask(READER, "GET", f"{DRIVE}/a")).status == 404


async def test_an_upload_in_slices_reaches_the_node_as_one_body(world: World, tmp_path: Path) -> None:
    drive = await world.make(READER)
    client = AsgiClient(UploadSessions(world.app, tmp_path / "slices"), READER)
    slices = [bytes([number]) * (1 << 20) for number in range(5)]
    upload, offset = "0" * 32, 0
    form = {"Content-Type": "multipart/form-data; boundary=AbC"}
    for piece in slices:
        reply = await client.request(
            "PUT",
            f"{drive}/f/",
            content=piece,
            headers={"X-Peersky-Upload": f"{upload}; offset={offset}"},
        )
        assert reply.status == 202
        offset += len(piece)
    headers = {"X-Peersky-Upload": f"{upload}; commit={offset}", **form}
    assert (await client.request("PUT", f"{drive}/f/", headers=headers)).status == 201
    seen = (await world.seen())[-1]
    assert (seen["bytes"], seen["headers"]["content-length"]) == (offset, str(offset))
    assert seen["headers"]["content-type"] == "multipart/form-data; boundary=AbC"
    assert not [name for name in seen["headers"] if "upload" in name]
    assert (await world.ask(READER, "GET", f"{drive}/f/")).body == b"".join(slices)


async def test_what_was_published_stands_in_the_ledger(world: World) -> None:
    drive = await world.make(READER)
    said = {"Publication-App": "editor", "Publication-Model": "peersky-starter"}
    await world.ask(READER, "PUT", f"{drive}/a.html", content=b"12345", headers=said)
    await world.ask(READER, "PUT", f"{CID}/b.html", content=b"123")
    file, drive_entry = (await world.ledger.search()).publications
    assert (drive_entry.url, drive_entry.root) == (f"{drive}/a.html", f"{drive}/")
    assert (drive_entry.name, drive_entry.origin, drive_entry.bytes) == ("blog", APP, 5)
    assert (drive_entry.app, drive_entry.model) == ("editor", "peersky-starter")
    assert (file.name, file.bytes, file.pinned) == ("b.html", 3, True)
    assert file.url.startswith("ipfs://bafkrei")
    assert "publication-app" not in (await world.seen())[-2]["headers"]
    titled = {"Publication-Title": "K%C3%A4se%0A %E2%80%AE100%"}
    await world.ask(READER, "PUT", f"{drive}/a.html", content=b"12345", headers=titled)
    assert (await world.ledger.search()).publications[0].name == "Käse 100%"
    assert "publication-title" not in (await world.seen())[-1]["headers"]


async def test_a_failure_leaves_no_entry(world: World) -> None:
    drive = await world.make(READER)
    assert (await world.ask(READER, "PUT", f"{drive}/refuse-507-disk_full", content=b"1")).status == 507
    assert not (await world.ledger.search()).total


async def test_a_drive_that_is_purged_is_nobodys(world: World) -> None:
    drive = await world.make(READER)
    await world.ask(READER, "PUT", f"{drive}/a", content=b"1")
    assert (await world.ask(READER, "DELETE", f"{drive}/a")).status == 200
    assert await world.ledger.owner(f"{drive}/") == APP
    assert (await world.ask(READER, "DELETE", f"{drive}/")).status == 200
    assert await world.ledger.owner(f"{drive}/") is None
    assert not (await world.ledger.search()).publications[0].pinned


async def test_a_name_that_is_removed_is_nobodys(world: World) -> None:
    name = await world.make(READER, "ipns")
    assert (await world.ask(READER, "DELETE", "ipns://localhost/?key=blog")).status == 200
    assert await world.ledger.owner(f"{name}/") is None


async def test_what_others_published_too_stays_shared(world: World) -> None:
    other = page("https://agregore.mauve.moe")
    await world.ask(READER, "PUT", f"{CID}/a", content=b"same")
    reply = await world.ask(other, "PUT", f"{CID}/a", content=b"same")
    root = f"ipfs://{reply.text.removeprefix('ipfs://').partition('/')[0]}/"
    assert (await world.ask(other, "DELETE", root)).status == 200
    assert "DELETE" not in [one["method"] for one in await world.seen()]
    assert await world.ledger.publishers(root) == {APP}
    assert (await world.ask(READER, "DELETE", root)).status == 200
    assert (await world.seen())[-1]["method"] == "DELETE"
    assert not await world.ledger.publishers(root)


async def test_redirects_lead_a_tab_nowhere_but_to_peers(world: World) -> None:
    reply = await world.ask(TAB, "GET", f"{DRIVE}/strange")
    assert "location" not in reply.headers
    evil = await world.ask(page(EVIL, "main-frame"), "GET", f"{DRIVE}/a")
    assert evil.status == 404, "anybody may open a page in the tab"


async def test_a_large_body_that_would_be_refused_is_not_even_taken(world: World, tmp_path: Path) -> None:
    sessions = UploadSessions(world.app, tmp_path / "slices", admit=world.app.admit)
    client = AsgiClient(sessions, page("https://agregore.mauve.moe"))
    world.person.answer = False
    headers = {"X-Peersky-Upload": f"{'0' * 32}; offset=0"}
    reply = await client.request("PUT", f"{DRIVE}/a", content=b"x", headers=headers)
    assert (reply.status, reply.text) == (403, "This drive is not yours to change; publish to one of your own.")
    reply = await client.request("PUT", f"{CID}/a", content=b"x", headers=headers)
    assert reply.status == 403
    assert len(world.person.questions) == 1
    assert (await client.request("PUT", f"{CID}/../a", content=b"x", headers=headers)).status == 400
    assert not list((tmp_path / "slices").glob("*"))
