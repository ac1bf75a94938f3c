"""``peersky publish``: through the process that holds the profile, with progress, cancelled by Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from peersky.core.errors import PeerSkyError
from peersky.p2p.errors import NodeUnavailable
from peersky.p2p.program import Program, Say
from peersky.system.paths import Profile
from peersky.system.private_socket import read_address
from peersky.system.profile_lock import ProfileLock
from peersky.system.prompt_port import NobodyToAsk
from peersky.web.compose import Services, open_services
from peersky.web.control import ControlServer
from peersky.web.control_client import ControlClient
from tests.cli.conftest import TIMEOUT_S, Cli

DOUBLE = Path(__file__).parents[1] / "fakes" / "p2p_sidecar.py"


async def double(say: Say) -> Program:
    say("Half of the node is here.")
    await asyncio.sleep(0)
    return Program((sys.executable, str(DOUBLE)))


@pytest.fixture
async def services(profile: Profile) -> AsyncIterator[Services]:
    """A browser that holds the profile, with the node's double."""
    with ProfileLock.acquire(profile):
        made = await open_services(profile, NobodyToAsk(), install_node=double)
        control = ControlServer(made, "browser")
        yield made
        await control.close()
        await made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "a.txt"
    made.write_bytes(b"four")
    return made


async def seen(services: Services, gone: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await services.p2p.node.json("GET", f"/test/seen?gone={gone}")
    return found


async def test_it_prints_the_address_alone_and_tells_the_rest_elsewhere(
    services: Services, cli: Cli, file: Path
) -> None:
    done = await cli.arun("publish", str(file), "--name", "blog")
    assert done.code == 0
    assert done.out.startswith("hyper://")
    assert done.out.count("\n") == 1
    assert "Half of the node is here." in done.err
    assert "Published 1 file, 4 bytes; 2 were skipped" in done.err
    assert "--stay" not in done.err, "the browser shares it"
    (entry,) = (await services.p2p.ledger.search()).publications
    assert (entry.url, entry.name, entry.origin, entry.bytes) == (done.out.strip(), "blog", "user", 4)
    assert await services.p2p.ledger.owner(entry.root) == "user"


async def test_the_path_is_the_users_and_the_name_follows_from_it(services: Services, cli: Cli, file: Path) -> None:
    done = await cli.arun("publish", str(file), "--to", "ipfs")
    assert done.out.startswith("ipfs://")
    (entry,) = (await services.p2p.ledger.search()).publications
    assert entry.name == "a.txt"


async def test_a_failure_is_its_sentence(services: Services, cli: Cli, file: Path) -> None:
    done = await cli.arun("publish", str(file), "--name", "refused")
    assert (done.code, done.out) == (1, "")
    assert done.err.rstrip().endswith("peersky: The disk is full.")
    assert not (await services.p2p.ledger.search()).total


async def test_what_is_not_there_is_said_without_starting_anything(services: Services, cli: Cli) -> None:
    done = await cli.arun("publish", "/nowhere/at all")
    assert (done.code, done.err) == (1, "peersky: There is no file or folder at /nowhere/at all.\n")
    assert services.p2p.node.state == "stopped"


async def test_ctrl_c_cancels(services: Services, cli: Cli, file: Path) -> None:
    async with cli.start("publish", str(file), "--name", "endless") as process, asyncio.timeout(TIMEOUT_S):
        assert process.stderr is not None
        while b"25" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert [one["path"] for one in await seen(services, gone=1) if "gone" in one] == ["/node/publish"]
    assert not (await services.p2p.ledger.search()).total


@pytest.mark.fault("P2P node dies while a command publishes")
async def test_a_node_that_dies_meanwhile_is_said(services: Services, cli: Cli, file: Path) -> None:
    await services.p2p.node.start()
    async with cli.start("publish", str(file), "--name", "endless") as process, asyncio.timeout(TIMEOUT_S):
        assert process.stderr is not None
        while b"25" not in await process.stderr.readline():
            pass
        with pytest.raises(NodeUnavailable, match="before this was done"):
            async with services.p2p.node.send("GET", "/hyper/k/die-first"):
                pass
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"before this was done. Try again" in err


@pytest.mark.parametrize(
    ("body", "param"), [({"path": "a", "to": "hyper"}, "path"), ({"path": "/a", "to": "ftp"}, "to"), ({}, "path")]
)
async def test_the_socket_refuses_what_makes_no_sense(
    services: Services, profile: Profile, body: dict[str, Any], param: str
) -> None:
    address = read_address(profile)
    assert address is not None
    client = ControlClient(address)
    try:
        with pytest.raises(PeerSkyError) as caught:
            await asyncio.to_thread(client._call, "POST", "/p2p/publish", body)
        assert caught.value.param == param
    finally:
        client.close()
