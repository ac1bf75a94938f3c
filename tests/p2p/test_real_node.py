"""The apps over the real node: what pages make, what a crash leaves, and what the command line publishes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peersky.core.errors import ProfileUnusable
from peersky.core.origins import parse_origin
from peersky.system.profile_lock import ProfileLock
from peersky.web.asker import Asker
from tests.asgi.client import AsgiClient
from tests.p2p.conftest import APP, PATIENCE_S, Peer, open_peer

SITE = Asker(parse_origin("https://agregore.mauve.moe"), parse_origin("https://agregore.mauve.moe"), "xhr")
BOUNDARY = "XyZ"


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    async with open_peer(tmp_path / "p") as made:
        yield made


def form(**files: bytes) -> tuple[bytes, dict[str, str]]:
    """A form with entries ``file``, and its headers."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name.replace("__", "/")}.txt"\r\n'
        "Content-Type: text/plain\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files.items()
    ]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def test_pages_have_drives_of_their_own(peer: Peer) -> None:
    mine = (await peer.ask("POST", "hyper://localhost/?key=blog")).text
    theirs = (await peer.ask("POST", "hyper://localhost/?key=blog", SITE)).text
    assert mine != theirs
    assert (await peer.get("hyper://localhost/?key=blog", asker=SITE)).text == theirs
    assert [question.origin for question in peer.person.questions] == [SITE.origin]
    assert (await peer.ask("PUT", f"{mine}a.html", content=b"mine")).status == 201
    assert (await peer.ask("PUT", f"{mine}a.html", SITE, content=b"theirs")).status == 403
    own = Asker(parse_origin(theirs), parse_origin(theirs), "xhr")
    assert (await peer.ask("PUT", f"{theirs}a.html", own, content=b"its own")).status == 201
    assert (await peer.get(f"{mine}a.html")).text == "mine"
    assert (await peer.get(f"{theirs}a.html")).text == "its own"


@pytest.mark.parametrize("scheme", ["hyper", "ipfs"])
async def test_a_form_becomes_a_folder(peer: Peer, scheme: str) -> None:
    base = "ipfs://bafyaabakaieac/"
    if scheme == "hyper":
        base = (await peer.ask("POST", "hyper://localhost/?key=form")).text + "folder/"
    body, headers = form(a=b"one", sub__b=b"two")
    reply = await peer.ask("PUT", base, content=body, headers=headers)
    assert reply.status == 201
    url = reply.text if scheme == "ipfs" else base
    assert (await peer.get(f"{url}a.txt")).text == "one"
    assert (await peer.get(f"{url}sub/b.txt")).text == "two"
    (entry,) = (await peer.services.p2p.ledger.search()).publications
    assert (entry.files, entry.bytes) == (2, 6)


async def test_a_name_points_where_its_maker_says(peer: Peer) -> None:
    name = (await peer.ask("POST", "ipns://localhost/?key=site")).headers["location"]
    for content in (b"first", b"second"):
        cid = (await peer.ask("PUT", "ipfs://bafyaabakaieac/a.txt", content=content)).text.removesuffix("a.txt")
        assert (await peer.ask("POST", name, SITE, content=cid.encode())).status == 403
        assert (await peer.ask("POST", name, content=cid.encode())).status == 200
        assert (await peer.get(f"{name}a.txt")).body == content
    found = await peer.get("ipns://localhost/?key=site")
    assert (found.status, found.headers["location"]) == (302, name)
    assert (await peer.get("ipns://localhost/?key=site", asker=SITE)).status == 404


@pytest.mark.fault("P2P node (the real one) killed while it publishes")
async def test_a_node_that_is_killed_in_mid_upload_loses_nothing_but_that(peer: Peer) -> None:
    drive = (await peer.ask("POST", "hyper://localhost/?key=blog")).text
    assert (await peer.ask("PUT", f"{drive}kept.txt", content=b"kept")).status == 201
    cid = (await peer.ask("PUT", "ipfs://bafyaabakaieac/kept.txt", content=b"kept")).text

    async def body() -> AsyncIterator[bytes]:
        yield bytes(1 << 20)
        await peer.kill_node()
        for _ in range(64):
            yield bytes(1 << 20)

    pieces = body()

    async def receive() -> dict[str, object]:
        data = await anext(pieces, None)
        return {"type": "http.request", "body": data or b"", "more_body": data is not None}

    client = AsgiClient(peer.services.apps["hyper"], APP)
    sent: list[dict[str, object]] = []

    async def send(event: dict[str, object]) -> None:
        sent.append(event)

    async with asyncio.timeout(PATIENCE_S):
        await client.app(client._scope("PUT", f"{drive}lost.bin", {}, APP), receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert b"killed" in bytes(sent[1]["body"])  # type: ignore[call-overload]
    assert (await peer.get(f"{drive}lost.bin")).status == 404
    assert (await peer.get(f"{drive}kept.txt")).text == "kept"
    assert (await peer.get(cid)).text == "kept"
    assert [entry.url for entry in (await peer.services.p2p.ledger.search("lost")).publications] == []


async def test_what_nobody_has_is_told_as_such_and_what_is_no_key_too(peer: Peer) -> None:
    peer.services.settings.change({"p2p.lookupSeconds": 1})
    nobody = "hyper://" + "y" * 52
    reply = await peer.get(f"{nobody}/")
    assert (reply.status, reply.text.count(".") > 0) == (504, True)
    assert (await peer.get("ipfs://bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4/")).status == 504
    assert (await peer.get("ipfs://notacid/")).status == 400
    tab = Asker(parse_origin("peersky://home"), parse_origin("peersky://home"), "main-frame")
    page = await peer.get(f"{nobody}/", asker=tab)
    assert (page.status, page.headers["content-type"]) == (504, "text/html; charset=utf-8")


async def test_the_command_line_publishes_without_a_browser(tmp_path: Path, site: Path) -> None:
    profile = tmp_path / "p"
    async with open_peer(profile):
        pass
    argv = [sys.executable, "-m", "peersky", "publish", "--profile", str(profile), str(site), "--name", "blog"]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Published 2 files" in done.stderr
    assert "--stay" in done.stderr
    async with open_peer(profile) as peer:
        assert (await peer.get(done.stdout.strip())).text == "<h1>First</h1>"
        assert [entry.name for entry in (await peer.services.p2p.ledger.search()).publications] == ["blog"]
        with pytest.raises(ProfileUnusable):
            ProfileLock.acquire(peer.services.profile)


async def test_the_command_line_shares_until_ctrl_c(tmp_path: Path, site: Path, bootstrap: list[str]) -> None:
    async with open_peer(tmp_path / "p", **{"hyper.bootstrap": bootstrap}):
        pass
    argv = [sys.executable, "-m", "peersky", "publish", "--profile", str(tmp_path / "p"), str(site), "--stay"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            url = (await process.stdout.readline()).decode().strip()
            async with open_peer(tmp_path / "reader", **{"hyper.bootstrap": bootstrap}) as reader:
                assert (await reader.get(url)).text == "<h1>First</h1>"
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, err
