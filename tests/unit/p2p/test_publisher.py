"""Publishing for the user: what the node is asked, and what stands in the ledger afterwards."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.p2p.errors import NodeRefused
from peersky.p2p.ledger import Ledger
from peersky.p2p.publisher import USER, publish

DRIVE = f"hyper://{'y' * 52}/"
CID = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/"


class Node:
    """Tells the lines that it was given; an exception among them is raised."""

    def __init__(self, *told: dict[str, Any] | Exception) -> None:
        self.told = told
        self.asked: list[Any] = []
        self.closed = False

    async def lines(self, method: str, path: str, value: Any = None) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append((method, path, value))
        try:
            for line in self.told:
                if isinstance(line, Exception):
                    raise line
                yield line
        finally:
            self.closed = True


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    yield made
    await made.close()


async def test_a_drive_belongs_to_the_user_and_stands_in_the_ledger(ledger: Ledger) -> None:
    node = Node({"done": 1, "total": 2}, {"url": f"{DRIVE}site/", "root": DRIVE, "bytes": 7, "files": 3, "skipped": 1})
    lines = [line async for line in publish(node, ledger, Path("/srv/site"), "hyper")]
    order = {"path": "/srv/site", "to": "hyper", "name": "site", "origin": "user"}
    assert node.asked == [("POST", "/node/publish", order)]
    assert [line.get("skipped") for line in lines] == [None, 1]
    assert await ledger.owner(DRIVE) == USER
    (entry,) = (await ledger.search()).publications
    assert (entry.url, entry.root, entry.name, entry.origin) == (f"{DRIVE}site/", DRIVE, "site", USER)
    assert (entry.bytes, entry.files) == (7, 3)


async def test_a_cid_is_nobodys_drive(ledger: Ledger) -> None:
    node = Node({"url": CID, "root": CID, "bytes": 1, "files": 1})
    assert [line["url"] async for line in publish(node, ledger, Path("/srv/a.html"), "ipfs", "mine")] == [CID]
    assert await ledger.owner(CID) is None
    assert [entry.name for entry in (await ledger.search()).publications] == ["mine"]


async def test_what_failed_or_was_cancelled_is_not_in_the_ledger(ledger: Ledger) -> None:
    refused = Node({"done": 1}, NodeRefused("The disk is full.", status=507, reason="disk_full"))
    with pytest.raises(NodeRefused):
        [line async for line in publish(refused, ledger, Path("/srv/site"), "ipfs")]
    cancelled = Node({"done": 1}, {"url": CID})
    lines = publish(cancelled, ledger, Path("/srv/site"), "ipfs")
    await anext(lines)
    await lines.aclose()
    assert cancelled.closed
    assert (await ledger.search()).total == 0
