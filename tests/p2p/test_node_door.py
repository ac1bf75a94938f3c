"""The P2P node's server answers the browser and nobody else on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.p2p.conftest import Peer, open_peer

pytestmark = pytest.mark.attack("The user's machine and network")


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    async with open_peer(tmp_path / "p") as made:
        yield made


async def test_the_p2p_node_refuses_whoever_has_no_token(peer: Peer) -> None:
    """Neither by a wrong one, nor under another host's name (DNS rebinding), nor as a page's preflight."""
    node = peer.services.p2p.node
    assert (await node.json("GET", "/node/status")) is not None
    assert node.port in peer.services.closed().ports
    child = await node._supervisor.child()
    rebound = {"Host": f"evil.example:{node.port}", "Origin": f"http://evil.example:{node.port}"}
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{node.port}") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, rebound, {**rebound, "Authorization": "Basic x"}):
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                for path in ("/node/status", "/hyper/localhost/?key=x", "/ipfs/localhost/", "/", "/node/limits"):
                    reply = await client.request(method, path, headers=headers)
                    assert reply.status_code == 401, (method, path)
                    assert not [name for name in reply.headers if name.startswith("access-control")]
    listening = {c.laddr.ip for c in psutil.Process(child.pid).net_connections("inet") if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
